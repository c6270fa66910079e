"""Launches as the file that replay.cpp reads."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np


def write(path: Path, traced: list[Any]) -> None:
    """traced: (launch, arguments before, arguments after), as EmulatedDevice records them."""
    with path.open("wb") as out:
        _numbers(out, len(traced))
        for launch, before, after in traced:
            name = launch.entry.encode()
            _numbers(out, len(name))
            out.write(name)
            _numbers(out, launch.blocks, 1, 1, launch.threads, 1, 1, launch.shared, len(before))
            for was, becomes in zip(before, after, strict=True):
                if was is None:
                    _numbers(out, 2, 0)
                    continue
                value = np.asarray(was)
                _numbers(out, 0 if becomes is None else 1, value.nbytes)
                out.write(value.tobytes())
                if becomes is not None:
                    out.write(becomes.tobytes())


def _numbers(out: Any, *values: int) -> None:
    out.write(struct.pack(f"<{len(values)}Q", *values))
