"""Each open session owns a small hash set of int64 keys: cells of maps, rows of a table, or event ids.

All sets live in one pool: a set is a region of 2^c words, doubled at 3/4 full; freed regions hang in one list for
each size. A key is never 0. ``heads[s] = (offset, log2 capacity, used)``, capacity 0 = no region yet.
``pool_state = (top, free list head of each size ...)``; a free region's first word is the next one's offset + 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.intrinsics import LINE, prefetch
from heatgrid.cpu.jit import fused, tight

SMALLEST = 4
CLASSES = 40
VALUE_BITS = 20
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@fused
def take(pool: Any, pool_state: Any, size: Any) -> Any:
    """Offset of a zeroed region of 2^size words, or -1 when the pool must grow.

    The first lines of the region after it are asked for: it was given back long ago, and a click in seven is the first
    of its session (55 to 49 ns a click).
    """
    head = pool_state[1 + size]
    words = np.int64(1) << size
    if head > 0:
        offset = head - 1
        pool_state[1 + size] = pool[offset]
        _fetch(pool, pool[offset] - 1)
        pool[offset : offset + words] = 0
        return offset
    offset = pool_state[0]
    if offset + words > pool.shape[0]:
        return np.int64(-1)
    pool_state[0] = offset + words
    _fetch(pool, offset + words)
    pool[offset : offset + words] = 0
    return offset


@fused
def _fetch(pool: Any, offset: Any) -> None:
    first = np.uint64(max(np.int64(0), offset))
    prefetch(pool, first)
    prefetch(pool, first + np.uint64(LINE // 8))


@fused
def give(pool: Any, pool_state: Any, offset: Any, size: Any) -> None:
    pool[offset] = pool_state[1 + size]
    pool_state[1 + size] = offset + 1


@tight
def grow(pool: Any, pool_state: Any, heads: Any, s: Any, shift: Any) -> Any:
    """Move the set of s to a region of twice the size, or give it its first. Returns log2 of the new size, or -1 when
    the pool must grow first. A word's key is what stands above its lowest ``shift`` bits.

    A call, not put into its callers, which seldom reach it: with its copies (and those of the flush) the fold and the
    close of the tiles took 9.0 s to compile, without them 3.6 s with all they call.
    """
    size = heads[s, 1]
    bigger = max(np.int64(SMALLEST), size + 1)
    region = take(pool, pool_state, bigger)
    if region < 0:
        return np.int64(-1)
    if size > 0:
        old = heads[s, 0]
        wide = (np.int64(1) << bigger) - 1
        for p in range(old, old + (np.int64(1) << size)):
            k = pool[p]
            if k != 0:
                h = np.int64((np.uint64(k >> shift) * _GOLDEN) >> np.uint64(64 - bigger))
                while pool[region + h] != 0:
                    h = (h + 1) & wide
                pool[region + h] = k
        give(pool, pool_state, old, size)
    heads[s, 0] = region
    heads[s, 1] = bigger
    return bigger


@fused
def add(pool: Any, pool_state: Any, heads: Any, s: Any, key: Any) -> Any:
    """1: the key is new in the set of s, 0: it was there, -1: nothing done, the pool must grow first."""
    size = heads[s, 1]
    if size == 0 or heads[s, 2] * 4 >= (np.int64(3) << size):
        size = grow(pool, pool_state, heads, np.int64(s), 0)
        if size < 0:
            return -1
    base = np.uint64(heads[s, 0])
    mask = (np.uint64(1) << np.uint64(size)) - np.uint64(1)
    at = (np.uint64(key) * _GOLDEN) >> np.uint64(64 - size)
    while pool[base + at] != 0:
        if pool[base + at] == key:
            return 0
        at = (at + np.uint64(1)) & mask
    pool[base + at] = key
    heads[s, 2] += 1
    return 1


@fused
def place(heads: Any, s: Any, key: Any) -> Any:
    """Where the search for a key in the set of s would begin."""
    return np.uint64(heads[s, 0]) + ((np.uint64(key) * _GOLDEN) >> np.uint64(64 - max(heads[s, 1], np.int64(1))))


@fused
def room_for_two(pool: Any, pool_state: Any, heads: Any, s: Any) -> Any:
    """Whether two keys can be added to the set of s without growing the pool."""
    return pool_state[0] + (np.int64(8) << max(heads[s, 1], np.int64(SMALLEST))) <= pool.shape[0]


@fused
def raise_to(pool: Any, pool_state: Any, heads: Any, s: Any, key: Any, value: Any) -> Any:
    """A set of keys that carry a value, below 2^VALUE_BITS: what key had in that of s (-1: it is new); now it has the
    larger one. There must be ``room_for_two``; the words of such a set are (key + 1) << VALUE_BITS | value."""
    size = heads[s, 1]
    if size == 0 or heads[s, 2] * 4 >= (np.int64(3) << size):
        size = grow(pool, pool_state, heads, np.int64(s), VALUE_BITS)
    base = np.uint64(heads[s, 0])
    mask = (np.uint64(1) << np.uint64(size)) - np.uint64(1)
    name = np.int64(key) + 1
    at = (np.uint64(name) * _GOLDEN) >> np.uint64(64 - size)
    while pool[base + at] != 0:
        if pool[base + at] >> VALUE_BITS == name:
            before = pool[base + at] & ((np.int64(1) << VALUE_BITS) - 1)
            pool[base + at] = (name << VALUE_BITS) | max(before, np.int64(value))
            return before
        at = (at + np.uint64(1)) & mask
    pool[base + at] = (name << VALUE_BITS) | np.int64(value)
    heads[s, 2] += 1
    return np.int64(-1)


@tight
def drop_seen(
    order: Any, start: Any, ready: Any, slot: Any, event: Any, mark: Any, heads: Any, pool: Any, pool_state: Any
) -> Any:  # fmt: skip
    """slot[i] = mark for accepted rows whose event is in the one set already. Returns where the pool must grow."""
    for k in range(start, ready):
        i = order[k]
        if slot[i] >= 0 and event[i] != 0:
            new = add(pool, pool_state, heads, 0, event[i])
            if new < 0:
                return k
            if new == 0:
                slot[i] = mark
    return ready


@tight
def free(pool: Any, pool_state: Any, heads: Any, slots: Any) -> None:
    """Give back the regions of closed sessions."""
    for i in range(slots.shape[0]):
        s = slots[i]
        if heads[s, 1] > 0:
            give(pool, pool_state, heads[s, 0], heads[s, 1])
        heads[s, 0] = 0
        heads[s, 1] = 0
        heads[s, 2] = 0
