"""Launches of kernels/smooth.cu."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.gpu.device import Limits
from heatgrid.gpu.launch import Launch

THREADS = 256
LINES = 32
LENGTH = 64
BORDERS = {"constant": 0, "reflect": 1, "nearest": 2}


def smooth(
    axis: str, values: Any, out: Any, taps: Any, boundary: str, shape: tuple[int, int, int], limits: Limits
) -> Launch:
    """One axis ("down" or "along") of `images` grids of ny * nx; out and values are different arrays."""
    images, ny, nx = shape
    lines, length = (nx, ny) if axis == "down" else (ny, nx)
    tiles = images * -(-lines // LINES) * -(-length // LENGTH)
    kind = "f32" if values.dtype == np.float32 else "f64"
    args = (
        values, out, taps, np.int32(taps.shape[0] - 1), np.int32(BORDERS[boundary]), np.int64(images), np.int64(ny),
        np.int64(nx),
    )  # fmt: skip
    return Launch("smooth.cu", f"smooth_{axis}_{kind}", min(tiles, limits.multiprocessors * 32), THREADS, args)
