"""Whole numbers in as few bytes as they need: seven bits a byte, the lowest first, the eighth says that more follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def varints(values: npt.NDArray[Any]) -> bytes:
    """Of numbers >= 0."""
    left = values.astype(np.uint64)
    size = np.ones(len(left), np.intp)
    for bits in range(7, 64, 7):
        size += left >= np.uint64(1 << bits)
    ends = np.cumsum(size)
    out = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    at, there = ends - size, np.ones(len(left), bool)
    while there.any():
        more = there & (left >= 128)
        out[at[there]] = (left[there] & 127).astype(np.uint8) | (more[there] * 128).astype(np.uint8)
        left >>= np.uint64(7)
        at += 1
        there = more
    return out.tobytes()
