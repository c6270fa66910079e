"""The log-linear histogram of durations: exact below 128, then 64 sub-buckets an octave (error <= 1/64, the
representative within 0.8 %). Octaves are allocated when first hit: directory[key, octave] -> row of the pool."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.intrinsics import leading_zeros
from heatgrid.cpu.jit import fused

OCTAVES = 58
WIDTH = 64


@fused
def octave_of(v: Any) -> Any:
    """0 below 64, else 1 + how often v can be halved before it is below 128."""
    return max(np.int64(0), 58 - leading_zeros(np.int64(v) | 1))


@fused
def add(directory: Any, pool: Any, used: Any, key: Any, v: Any) -> Any:
    """Count v under key; False if the pool must grow first."""
    o = octave_of(v)
    row = np.int64(directory[key, o])
    if row < 0:
        row = used[0]
        if row >= pool.shape[0]:
            return False
        used[0] = row + 1
        directory[key, o] = row
    pool[row, v if o == 0 else (v >> (o - 1)) - WIDTH] += 1
    return True
