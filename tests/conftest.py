"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("heatgrid", deadline=None)  # the first example may compile a kernel
settings.load_profile("heatgrid")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the real sample files; tests that need it skip visibly where it is absent."""
    given = os.environ.get("HEATGRID_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "README.txt").is_file():
        pytest.skip("real sample data not found (set HEATGRID_DATA)")
    return folder
