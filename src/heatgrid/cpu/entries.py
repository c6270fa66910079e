"""Small hash tables of lines that an open view or session owns, in one pool: like the sets, with counters at each key.

An entry is 2^wide words, the first its key (never 0); a region holds 2^c entries, at most 3/4 of them in use.
``heads[s] = (offset, c, entries used)``, c = 0: no region yet.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import fused, tight
from heatgrid.cpu.sets import give, take

SMALLEST = 3
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@fused
def spare(pool: Any, pool_state: Any, heads: Any, s: Any, more: Any, wide: Any, words: Any) -> Any:
    """Whether so many entries can be added to those of s, however often they move, and so many words be taken, without
    growing the pool."""
    size = max(heads[s, 1], np.int64(SMALLEST))
    while (heads[s, 2] + more) * 4 > np.int64(3) << size:
        size += 1
    return pool_state[0] + words + (np.int64(4) << (size + wide)) <= pool.shape[0]


@tight
def _grow(pool: Any, pool_state: Any, heads: Any, s: Any, wide: Any) -> None:
    """Twice the room for the entries of s, or their first; there must be ``spare``."""
    size = heads[s, 1]
    bigger = max(np.int64(SMALLEST), size + 1)
    region = take(pool, pool_state, bigger + wide)
    words = np.int64(1) << wide
    if size > 0:
        old = heads[s, 0]
        mask = (np.int64(1) << bigger) - 1
        for p in range(old, old + (words << size), words):
            if pool[p] != 0:
                at = np.int64((np.uint64(pool[p]) * _GOLDEN) >> np.uint64(64 - bigger))
                while pool[region + (at << wide)] != 0:
                    at = (at + 1) & mask
                for w in range(words):
                    pool[region + (at << wide) + w] = pool[p + w]
        give(pool, pool_state, old, size + wide)
    heads[s, 0] = region
    heads[s, 1] = bigger


@tight
def place(pool: Any, pool_state: Any, heads: Any, s: Any, key: Any, wide: Any) -> Any:
    """The first word of the key's entry among those of s, a new one of zeros if it has none; for that there must be
    ``spare``. Where the key has an entry already nothing moves."""
    if heads[s, 1] == 0:
        _grow(pool, pool_state, heads, s, wide)
    shift = np.uint64(wide)
    at = np.uint64(0)
    for _ in range(2):
        base = np.uint64(heads[s, 0])
        size = np.uint64(heads[s, 1])
        mask = (np.uint64(1) << size) - np.uint64(1)
        h = (np.uint64(key) * _GOLDEN) >> (np.uint64(64) - size)
        while pool[base + (h << shift)] != 0 and pool[base + (h << shift)] != key:
            h = (h + np.uint64(1)) & mask
        at = base + (h << shift)
        if pool[at] == key:
            return at
        if (heads[s, 2] + 1) * 4 <= np.int64(3) << heads[s, 1]:
            break
        _grow(pool, pool_state, heads, s, wide)
    pool[at] = key
    heads[s, 2] += 1
    return at


@fused
def free(pool: Any, pool_state: Any, heads: Any, s: Any, wide: Any) -> None:
    """Give back the entries of s."""
    if heads[s, 1] > 0:
        give(pool, pool_state, heads[s, 0], heads[s, 1] + wide)
    heads[s, 0] = 0
    heads[s, 1] = 0
    heads[s, 2] = 0
