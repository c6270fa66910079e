"""The ids of closed sessions, in the order they closed, found through a table of their places.

``ids`` (capacity, 2) int64; ``last`` their last ms, of length 0 where a closed id may never return; ``table`` uint64
(2^k): the low half of the id's second word << 32 | place + 1, 0 where empty. An id that is not there, the usual case,
is told from the table alone. 16 B an id and 11 - 21 B of table; ids in the table itself took 32 - 64 B, and five times
as long to fill (lines asked for ahead: 4.6 ns a row of the 50 M-row dump, which closes a session each 50 rows).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.intrinsics import prefetch
from heatgrid.cpu.jit import fused, tight

AHEAD = 16
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@fused
def home(lo: Any, table: Any) -> Any:
    return (np.uint64(lo) >> np.uint64(7)) & np.uint64(table.shape[0] - 1)


@fused
def find(table: Any, ids: Any, lo: Any, hi: Any) -> Any:
    """Place of an id, -1 if it was never closed."""
    mask = np.uint64(table.shape[0] - 1)
    h = home(lo, table)
    while table[h] != 0:
        place = (table[h] & _LOW) - np.uint64(1)
        if table[h] >> _HALF == np.uint64(hi) & _LOW and ids[place, 0] == lo and ids[place, 1] == hi:
            return np.int64(place)
        h = (h + np.uint64(1)) & mask
    return np.int64(-1)


@fused
def _enter(table: Any, lo: Any, hi: Any, place: Any) -> None:
    mask = np.uint64(table.shape[0] - 1)
    h = home(lo, table)
    while table[h] != 0:
        h = (h + np.uint64(1)) & mask
    table[h] = (np.uint64(hi) << _HALF) | np.uint64(place + 1)


@tight
def insert(table: Any, ids: Any, last: Any, n: Any, new: Any, ms: Any) -> Any:
    """Add the ids `new` (k, 2), last seen at `ms`; one that is there takes the new time. Returns how many there are."""
    for i in range(np.uint64(new.shape[0])):
        far = i + np.uint64(AHEAD)
        if far < np.uint64(new.shape[0]):
            prefetch(table, home(new[far, 0], table))
        place = find(table, ids, new[i, 0], new[i, 1])
        if place < 0:
            place = np.int64(n)
            ids[np.uint64(n), 0] = new[i, 0]
            ids[np.uint64(n), 1] = new[i, 1]
            _enter(table, new[i, 0], new[i, 1], place)
            n += 1
        if last.shape[0]:
            last[np.uint64(place)] = ms[i]
    return n


@tight
def refill(table: Any, ids: Any) -> None:
    """Enter all ids into an empty table."""
    for i in range(np.uint64(ids.shape[0])):
        far = i + np.uint64(AHEAD)
        if far < np.uint64(ids.shape[0]):
            prefetch(table, home(ids[far, 0], table))
        _enter(table, ids[i, 0], ids[i, 1], np.int64(i))
