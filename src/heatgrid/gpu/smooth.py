"""Launches of kernels/smooth.cu and recursive.cu."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.gpu.device import Limits
from heatgrid.gpu.launch import Launch

THREADS = 256
LINES = 32
LENGTH = 64
RECURSIVE_THREADS = 288
"""A warp that counts and eight that bring and take."""
RECURSIVE_BLOCKS = 2
"""Of 288 threads with up to 112 registers, on a multiprocessor."""
BORDERS = {"constant": 0, "reflect": 1, "nearest": 2}


def smooth(
    axis: str, values: Any, out: Any, taps: Any, boundary: str, shape: tuple[int, int, int], limits: Limits,
    only: Any = None,
) -> Launch:  # fmt: skip
    """One axis ("down" or "along") of `images` grids of ny * nx; out and values are different arrays. only: what
    `recursive` left in `wild`."""
    images, ny, nx = shape
    lines, length = (nx, ny) if axis == "down" else (ny, nx)
    tiles = images * -(-lines // LINES) * -(-length // LENGTH)
    kind = "f32" if values.dtype == np.float32 else "f64"
    args = (
        values, out, taps, np.int32(taps.shape[0] - 1), np.int32(BORDERS[boundary]), np.int64(images), np.int64(ny),
        np.int64(nx), only,
    )  # fmt: skip
    return Launch("smooth.cu", f"smooth_{axis}_{kind}", min(tiles, limits.multiprocessors * 32), THREADS, args)


def groups(axis: str, shape: tuple[int, int, int]) -> int:
    """How many times 32 lines of one image: the numbers that `wild` has."""
    images, ny, nx = shape
    return images * -(-(nx if axis == "down" else ny) // LINES)


def recursive(
    axis: str, values: Any, out: Any, pairs: Any, wild: Any, boundary: str, far: int, shape: tuple[int, int, int],
    limits: Limits,
) -> Launch:  # fmt: skip
    """The same recursively, by the 21 numbers of three pairs of poles. far: cells run through before the border, with
    the cell beyond them for ever before that. wild: uint32 for each of the groups, 1 where its lines are not finite."""
    kind = "f32" if values.dtype == np.float32 else "f64"
    args = (
        values, out, pairs, wild, np.int32(BORDERS[boundary]), np.int32(far), *(np.int64(n) for n in shape),
    )  # fmt: skip
    blocks = min(groups(axis, shape), limits.multiprocessors * RECURSIVE_BLOCKS)
    return Launch("recursive.cu", f"recursive_{axis}_{kind}", blocks, RECURSIVE_THREADS, args)
