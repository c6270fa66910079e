"""Points per cell and Gaussian smoothing, one at a time in plain Python, as METRICS words them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def cell_along(v: float, origin: float, step: float, n: int) -> int | None:
    """floor((v - origin) / step) in float64; None outside, tested before the cast. v is finite."""
    q = (float(v) - float(origin)) / float(step)
    return math.floor(q) if 0 <= q < n else None


def is_invalid(v: float | None) -> bool:
    return v is None or not math.isfinite(v)


def count(
    xs: Sequence[float | None],
    ys: Sequence[float | None],
    *,
    shape: tuple[int, int],
    origin: tuple[float, float] = (0.0, 0.0),
    cell: tuple[float, float] = (1.0, 1.0),
    groups: Sequence[int | None] | None = None,
    n_groups: int = 1,
    weights: Sequence[float | None] | None = None,
    weight_scale: float | None = None,
    valid: Sequence[bool | None] | None = None,
) -> tuple[np.ndarray, int, int, int]:
    """(grids (n_groups, ny, nx), used, outside, invalid)."""
    grids = np.zeros((n_groups, *shape), object)
    used = outside = invalid = 0
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        group = 0 if groups is None else groups[i]
        weight = 1 if weights is None else weights[i]
        if weight_scale is not None and not is_invalid(weight) and weight >= 0:
            scaled = float(weight) * weight_scale
            weight = round(scaled) if scaled <= 2**53 else None
        bad_weight = weight is None or is_invalid(weight) or weight < 0 or weight > 2**53
        if is_invalid(x) or is_invalid(y) or group is None or bad_weight or (valid is not None and not valid[i]):
            invalid += 1
            continue
        ix = cell_along(x, origin[0], cell[0], shape[1])
        iy = cell_along(y, origin[1], cell[1], shape[0])
        if ix is None or iy is None or not 0 <= group < n_groups:
            outside += 1
            continue
        grids[group, iy, ix] += int(weight)
        used += 1
    return grids.astype(np.int64), used, outside, invalid


def border(i: int, n: int, boundary: str) -> int | None:
    if 0 <= i < n:
        return i
    if boundary == "constant":
        return None
    if boundary == "nearest":
        return 0 if i < 0 else n - 1
    while not 0 <= i < n:
        i = -1 - i if i < 0 else 2 * n - 1 - i
    return i


def gaussian_matrix(n: int, sigma: float, boundary: str, cut: float = 8.0) -> np.ndarray:
    """Row i: the weight of each cell in result i; float64, cut at `cut` sigma, unit gain over the whole filter."""
    matrix = np.zeros((n, n))
    radius = math.ceil(cut * sigma)
    weights = {t: math.exp(-0.5 * (t / sigma) ** 2) if sigma else 1.0 for t in range(-radius, radius + 1)}
    gain = math.fsum(weights.values())
    for i in range(n):
        for t, w in weights.items():
            j = border(i + t, n, boundary)
            if j is not None:
                matrix[i, j] += w / gain
    return matrix


def smooth(image: np.ndarray, sigma: tuple[float, float], boundary: str) -> np.ndarray:
    down = gaussian_matrix(image.shape[0], sigma[0], boundary)
    along = gaussian_matrix(image.shape[1], sigma[1], boundary)
    return down @ image.astype(np.float64) @ along.T
