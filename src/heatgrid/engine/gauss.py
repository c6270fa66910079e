"""The Gaussian as numbers that filters take: weights for the direct form, poles for the recursive one, borders."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Whole = npt.NDArray[np.int64]

BOUNDARIES = ("constant", "reflect", "nearest")
CUT = 5.0
"""Sigmas on each side in the direct form: the first tap left out is below 3.8e-6 of the peak."""

# exp(-t^2 / 2), t >= 0, as the real part of a sum of SHARES * exp(-RATES * t): least squares first, then the largest
# error of the product along two axes was made least (3.2e-6 of the peak, at any sigma: only its samples are taken).
RATES = np.array([2.14922828 - 0.52479755j, 2.04676125 - 2.84222357j, 2.11861953 - 1.61167297j])
SHARES = np.array([3.06738120 - 6.72585208j, 0.14683979 + 0.05990446j, -2.21422250 + 0.71809429j])
FORGOTTEN = 10.0
"""Sigmas after which the slowest pole has forgotten what lay before: 1e-8 is left."""


def radius_of(sigma: float, truncate: float) -> int:
    """Cells on each side of the direct form."""
    return math.floor(truncate * sigma)


def taps_of(sigma: float, radius: int, n: int, boundary: str, dtype: Any) -> Array:
    """Weights of distance 0, 1, ..., of unit gain over both sides, for a line of n cells.

    They never reach beyond n cells: from there on "constant" only sees zeros, "nearest" only the last cell, and
    "reflect" comes round again after 2 n, so that weights of one and the same cell can be added up beforehand.
    """
    if radius == 0:
        return np.ones(1, dtype)
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    weights /= weights[0] + 2.0 * weights[:0:-1].sum()
    if boundary == "constant":
        weights = weights[:n]
    elif boundary == "nearest" and radius > n:
        weights = np.append(weights[:n], weights[n:].sum())
    elif radius > n:
        turns = np.arange(radius + 1) % (2 * n)
        centre = weights[0]
        weights = np.bincount(np.minimum(turns, 2 * n - turns), weights, n + 1)
        weights[0] += weights[0] - centre  # whole turns to the left and to the right
    return np.asarray(weights, dtype)


def border(n: int, radius: int, boundary: str) -> Whole:
    """The index inside 0 .. n-1 that stands for each of -radius .. n-1+radius; -1 for zero."""
    index = np.arange(-radius, n + radius)
    if boundary == "nearest":
        return np.clip(index, 0, n - 1)
    if boundary == "reflect":
        folded = index % (2 * n)
        return np.where(folded < n, folded, 2 * n - 1 - folded)
    return np.where((index >= 0) & (index < n), index, -1)


def pairs_of(sigma: float, dtype: Any) -> Array:
    """The recursive form's numbers for one sigma, a row for each pair of poles, of unit gain: decay, -pull, level and
    slope from the cell itself on, level and slope from the cell before on, 1 / pull (see cpu/recursive.py)."""
    poles = np.exp(-RATES / sigma)
    shares = SHARES / (SHARES * (1.0 + poles) / (1.0 - poles)).real.sum()
    pull = np.abs(1.0 - poles) ** 2
    columns = [np.abs(poles) ** 2, -pull]
    for share in (shares, shares * poles):
        slope = 2.0 * poles.real * share.real - (share * poles).real
        columns += [share.real - slope, slope]
    return np.stack([*columns, 1.0 / pull], axis=1).astype(dtype)


def outside(n: int, sigma: float, boundary: str) -> tuple[Whole, Whole, Whole]:
    """How the recursive form starts: (before, behind, edges). Its states are those of x[edge] for ever (-1: of zeros),
    then of the cells at `before` for the way forth and at `behind` for the way back."""
    none = np.empty(0, np.int64)
    if boundary == "constant":
        return none, none, np.array([-1, -1])
    if boundary == "nearest":
        return none, none, np.array([0, n - 1])
    far = max(math.ceil(FORGOTTEN * sigma), 1)
    places = border(n, far, boundary)
    before, behind = places[:far], places[: far + n - 1 : -1]
    return before, np.ascontiguousarray(behind), np.array([before[0], behind[0]])
