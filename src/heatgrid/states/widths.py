"""The widest windows of maps, as cpu/tiles.py keeps some of each: so that rows can be taken out of a maximum."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heatgrid.cpu.tiles import WIDTH_SHIFT, WIDTHS
from heatgrid.states.state import MAP_FIELDS, Ints, Maps

ROWS = (1 << WIDTH_SHIFT) - 1
_EVENTS, _WIDEST = MAP_FIELDS.index("events"), MAP_FIELDS.index("viewport_w")
_MOST = 1 << 17
"""More than any window's width."""


def combined(packed: Ints, place: npt.NDArray[np.intp], maps: int) -> Ints:
    """The widest of several lists for each map; place : the map of each list."""
    width, rows = (packed >> WIDTH_SHIFT).ravel(), (packed & ROWS).ravel()
    kept = np.flatnonzero(width)
    codes, inverse = np.unique(np.repeat(place, WIDTHS)[kept] * _MOST + (_MOST - width[kept]), return_inverse=True)
    counts = np.zeros(len(codes), np.int64)
    np.add.at(counts, inverse.reshape(-1), rows[kept])
    of, width = codes // _MOST, _MOST - codes % _MOST
    rank = np.arange(len(codes)) - np.searchsorted(of, of)
    out = np.zeros((maps, WIDTHS), np.int64)
    some = rank < WIDTHS
    out[of[some], rank[some]] = (width[some] << WIDTH_SHIFT) | counts[some]
    return out


def without(maps: Maps, part: Maps, place: Ints) -> bool:
    """Set the widest windows of maps whose events the part's have left; place : the map of each of these.

    False where one cannot be told: all widths that are kept of it were theirs, and there may be more.
    """
    left = maps.values[place, _EVENTS] > 0
    if maps.widths is None or part.widths is None:
        return not (left & (part.values[:, _WIDEST] > 0)).any()
    own = maps.widths[place]
    width, rows = own >> WIDTH_SHIFT, own & ROWS
    full = width[:, -1] > 0
    for k in range(WIDTHS):
        theirs = part.widths[:, k, None]
        rows -= np.where((width > 0) & (theirs >> WIDTH_SHIFT == width), theirs & ROWS, 0)
    if (rows < 0).any():
        raise AssertionError("the part has windows that the whole has not")
    maps.values[place, _WIDEST] = np.where(rows > 0, width, 0).max(axis=1)
    maps.widths = None
    return not (left & full & ~(rows > 0).any(axis=1)).any()
