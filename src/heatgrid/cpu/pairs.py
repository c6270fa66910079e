"""Pairs of codes to dense ids, in the order of first sight: keys of several columns, two at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.ids import spread
from heatgrid.cpu.jit import tight


@tight
def pair_ids(a: Any, b: Any, start: Any, table: Any, keys: Any, count: Any, out: Any) -> Any:
    """out[i] = id of (a[i], b[i]), -1 if either is negative.

    table : int32 of a power of two, -1 where empty; keys : int64, a << 32 | b by id; count : int64 (1,).
    Returns the row where the room ran out (the caller grows and comes back), or the number of rows.
    """
    mask = np.uint64(table.shape[0] - 1)
    last = np.int64(-1)
    last_id = np.int32(-1)
    for i in range(start, a.shape[0]):
        if a[i] < 0 or b[i] < 0:
            out[i] = -1
            continue
        key = (np.int64(a[i]) << 32) | np.int64(b[i])
        if key == last:
            out[i] = last_id
            continue
        h = spread(key) & mask
        while table[h] >= 0 and keys[table[h]] != key:
            h = (h + np.uint64(1)) & mask
        if table[h] < 0:
            n = count[0]
            if n >= keys.shape[0]:
                return i
            keys[n] = key
            table[h] = n
            count[0] = n + 1
        last = key
        last_id = table[h]
        out[i] = last_id
    return a.shape[0]


@tight
def rebuild(table: Any, keys: Any, count: Any) -> None:
    """Fill an empty (all -1) table anew from the keys."""
    mask = np.uint64(table.shape[0] - 1)
    for n in range(count):
        h = spread(keys[n]) & mask
        while table[h] >= 0:
            h = (h + np.uint64(1)) & mask
        table[h] = n
