"""Distinct ids by key: an exact set of (key, 128-bit hash). Memory grows with the answer: opt-in only."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import fused, tight

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@fused
def _home(key: Any, lo: Any, shift: Any) -> Any:
    return np.int64(((np.uint64(lo) ^ (np.uint64(key) * _GOLDEN)) * _GOLDEN) >> np.uint64(shift))


@tight
def fold(
    order: Any, start: Any, ready: Any, slot: Any, key: Any, lo: Any, hi: Any, table: Any, used: Any, counts: Any
) -> Any:  # fmt: skip
    """Add (key[i], id (lo, hi)[i]) of accepted rows order[start:ready]; counts[key] += 1 for each new one.

    table : int64 (2^k, 3): key + 1 (0 empty), lo, hi. An id (0, 0) is null. Returns the position where the table is
    2/3 full, or ready.
    """
    mask = table.shape[0] - 1
    shift = 64
    n = table.shape[0]
    while n > 1:
        n >>= 1
        shift -= 1
    for k in range(start, ready):
        i = order[k]
        g = np.int64(key[i])
        if slot[i] < 0 or g < 0 or (lo[i] == 0 and hi[i] == 0):
            continue
        h = _home(g, lo[i], shift)
        while table[h, 0] != 0 and not (table[h, 0] == g + 1 and table[h, 1] == lo[i] and table[h, 2] == hi[i]):
            h = (h + 1) & mask
        if table[h, 0] == 0:
            if used[0] * 3 >= table.shape[0] * 2:
                return k
            used[0] += 1
            table[h, 0] = g + 1
            table[h, 1] = lo[i]
            table[h, 2] = hi[i]
            counts[g] += 1
    return ready


@tight
def rebuild(old: Any, table: Any) -> None:
    """Put the entries of the old table into a larger empty one."""
    mask = table.shape[0] - 1
    shift = 64
    n = table.shape[0]
    while n > 1:
        n >>= 1
        shift -= 1
    for p in range(old.shape[0]):
        if old[p, 0] != 0:
            h = _home(old[p, 0] - 1, old[p, 1], shift)
            while table[h, 0] != 0:
                h = (h + 1) & mask
            table[h, 0] = old[p, 0]
            table[h, 1] = old[p, 1]
            table[h, 2] = old[p, 2]
