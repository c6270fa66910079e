"""pytest benchmarks: `pytest benchmarks --rows 1000000`. The dump is made once a session."""

from __future__ import annotations

import pytest

from heatgrid.demo.generate import write


def pytest_addoption(parser):
    parser.addoption("--rows", type=int, default=200_000, help="rows of the demo dump")


@pytest.fixture(scope="session")
def dump(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "events.parquet"
    write(path, request.config.getoption("--rows"))
    return str(path)
