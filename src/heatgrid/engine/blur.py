"""Gaussian smoothing of a stack of grids: taps, borders, tiles and threads."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from heatgrid.cpu import smooth as leaves
from heatgrid.engine.pool import each

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

BOUNDARIES = ("constant", "reflect", "nearest")
MOST_RADIUS = 1 << 20
ROWS = 64
SLAB_BYTES = 512 << 10
"""What a tile with its margins may take: half of a core's own cache."""


def radius_of(sigma: float, truncate: float) -> int:
    """Cells on each side: the first tap left out is below exp(-truncate^2 / 2) of the peak, 3.8e-6 for 5 sigma."""
    return math.floor(truncate * sigma)


def taps_of(sigma: float, radius: int, dtype: Any) -> Array:
    """Weights of distance 0 .. radius, of unit gain over both sides."""
    if radius == 0:
        return np.ones(1, dtype)
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    gain = weights[0] + 2.0 * weights[:0:-1].sum()
    return np.asarray(weights / gain, dtype)


def border(n: int, radius: int, boundary: str) -> npt.NDArray[np.int64]:
    """The index inside 0 .. n-1 that stands for each of -radius .. n-1+radius; -1 for zero."""
    index = np.arange(-radius, n + radius)
    if boundary == "nearest":
        return np.clip(index, 0, n - 1)
    if boundary == "reflect":
        folded = index % (2 * n)
        return np.where(folded < n, folded, 2 * n - 1 - folded)
    return np.where((index >= 0) & (index < n), index, -1)


def smooth_stack(
    values: Array,
    out: Array,
    sigmas: tuple[float, float],
    radii: tuple[int, int],
    boundary: str,
    threads: int,
    rows_of_tile: int = ROWS,
) -> None:
    """out = values smoothed along the last two axes; both contiguous, of one type, and `out` may overlap `values`."""
    if np.may_share_memory(values, out):
        values = values.copy()
    ny, nx = values.shape[-2:]
    images, results = values.reshape(-1, ny, nx), out.reshape(-1, ny, nx)
    down, along = (taps_of(s, r, values.dtype) for s, r in zip(sigmas, radii, strict=True))
    if boundary == "constant":
        down, along = down[:ny], along[:nx]
    ry, rx = down.shape[0] - 1, along.shape[0] - 1
    rows, columns = border(ny, ry, boundary), border(nx, rx, boundary)
    height = min(rows_of_tile, ny)
    width = min(nx, max(SLAB_BYTES // ((height + 2 * ry) * values.itemsize) // 64 * 64, 64))
    todo = deque((k, top) for k in range(images.shape[0]) for top in range(0, ny, height))

    def work(_: int) -> None:
        slab = np.empty((height + 2 * ry) * width, values.dtype)
        columns_done = np.empty(height * width, values.dtype)
        lines = np.empty((height, nx + 2 * rx), values.dtype)
        while True:
            try:
                k, top = todo.popleft()
            except IndexError:
                return
            tall = min(height, ny - top)
            for left in range(0, nx, width):
                wide = min(width, nx - left)
                source = slab[: (tall + 2 * ry) * wide].reshape(tall + 2 * ry, wide)
                part = columns_done[: tall * wide].reshape(tall, wide)
                leaves.fill_slab(images[k], rows, top, left, source)
                leaves.filter_down(source, down, part)
                lines[:tall, rx + left : rx + left + wide] = part
            leaves.fill_margins(columns, rx, lines[:tall])
            leaves.filter_along(lines[:tall], along, results[k, top : top + tall])

    each(min(threads, len(todo)), work)
