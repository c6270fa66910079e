"""Usage by key (feature, page, with segment or period): events, clicks, sessions, views, dwell, visits."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import histogram, sets
from heatgrid.cpu.jit import tight

EVENTS, CLICKS, VIEWS, SESSIONS, DWELL, VISITS, OPEN_VISITS = range(7)
FIELDS = 8
"""One more than there are: a row of counters is one cache line."""
DONE, NO_POOL, NO_HISTOGRAM = range(3)
BITS = 4
"""Words of a session's bit set: the first 64 * BITS keys of a table are looked up there, the others in its hash set
(22 ns a row with the hash set alone, 15 with the bits: a visit begins in every fourth row)."""


RUN = 512
"""Rows that are resolved before they are counted."""
LISTS = 5


@tight
def fold(
    order: Any, start: Any, ready: Any, slot: Any, run: Any, key: Any, kind: Any, dwell: Any, flags: Any,
    weight: Any, click_kind: Any, visits: Any, bits: Any, fields: Any, directory: Any, buckets: Any,
    used: Any, heads: Any, pool: Any, pool_state: Any, lists: Any, waiting: Any,
) -> Any:  # fmt: skip
    """Add rows order[start:ready]; a row of key -1 has none: it ends the visit before it.

    First what each of RUN rows means is written to lists, without a branch, then each list is counted: whether a row
    has a key, begins a visit or ends one comes in no order, and three guesses a row failed in turn (13 to 9 ns).

    visits (int64, 2) by run: key (-1: none) and ms of the open visit; bits (int64, BITS) by slot: keys seen.
    lists (int64, LISTS x RUN): scratch, kept between calls; waiting (int64): where the first of them, of visits begun,
    goes on and ends. Returns (position reached, reason to make room).
    """
    begun, ended, ended_ms, keyed, passed = lists[0], lists[1], lists[2], lists[3], lists[4]
    a = np.uint64(start)
    while True:
        for j in range(np.uint64(waiting[0]), np.uint64(waiting[1])):
            g = begun[j] & 0xFFFFFFFF
            s = np.uint64(begun[j] >> 32)
            u = np.uint64(g)
            if g < 64 * BITS:
                word = bits[s, u >> np.uint64(6)]
                fields[u, SESSIONS] += 1 - ((word >> (g & 63)) & 1)
                bits[s, u >> np.uint64(6)] = word | (np.int64(1) << (g & 63))
            else:
                new = sets.add(pool, pool_state, heads, s, g)
                if new < 0:
                    waiting[0] = j
                    return np.int64(a), NO_POOL
                fields[u, SESSIONS] += new
        waiting[0] = 0
        waiting[1] = 0
        if a >= np.uint64(ready):
            return np.int64(ready), DONE
        if used[0] + RUN > buckets.shape[0]:
            return np.int64(a), NO_HISTOGRAM
        stop = min(np.uint64(ready), a + np.uint64(RUN))
        n_begun = np.uint64(0)
        n_ended = np.uint64(0)
        n_keyed = np.uint64(0)
        n_passed = np.uint64(0)
        for k in range(a, stop):
            i = np.uint64(order[k])
            if slot[i] < 0:
                continue
            r = np.uint64(run[i])
            g = np.int64(key[i])
            d = np.int64(dwell[i])
            before = visits[r, 0]
            total = visits[r, 1] + d
            changed = np.int64(g != before) | ((np.int64(flags[i]) >> 1) & 1)
            had = 1 + (before >> 63)  # 0 or 1: a shift of the sign
            has = 1 + (g >> 63)
            visits[r, 0] = g
            visits[r, 1] = total * (had & (1 - changed))
            begun[n_begun] = (np.int64(slot[i]) << 32) | g
            n_begun += np.uint64(changed & has)
            ended[n_ended] = before
            ended_ms[n_ended] = total
            n_ended += np.uint64(changed & had)
            keyed[n_keyed] = (np.int64(i) << 32) | g
            n_keyed += np.uint64(has)
            passed[n_passed] = (before << 32) | d
            n_passed += np.uint64(had)
        for j in range(n_keyed):
            u = np.uint64(keyed[j] & 0xFFFFFFFF)
            i = np.uint64(keyed[j] >> 32)
            w = weight[i] if weight.shape[0] else 1
            fields[u, EVENTS] += w
            fields[u, CLICKS] += w * (kind[i] == click_kind)
            fields[u, VIEWS] += flags[i] & 1
        for j in range(n_passed):
            fields[np.uint64(passed[j] >> 32), DWELL] += passed[j] & 0xFFFFFFFF
        for j in range(n_ended):
            u = np.uint64(ended[j])
            histogram.add(directory, buckets, used, u, ended_ms[j])
            fields[u, VISITS] += 1
        waiting[1] = np.int64(n_begun)
        a = stop


@tight
def fold_rows(slot: Any, key: Any, kind: Any, weight: Any, click_kind: Any, fields: Any) -> None:
    """The part that needs no session: events and clicks of accepted rows."""
    for i in range(slot.shape[0]):
        g = key[i]
        if slot[i] >= 0 and g >= 0:
            w = weight[i] if weight.shape[0] else 1
            fields[g, EVENTS] += w
            if kind[i] == click_kind:
                fields[g, CLICKS] += w


@tight
def close(runs: Any, slots: Any, visits: Any, bits: Any, fields: Any) -> None:
    """The visits that the end of their session left open; the bits of the sessions are cleared."""
    for i in range(slots.shape[0]):
        bits[slots[i]] = 0
    for i in range(runs.shape[0]):
        r = runs[i]
        if visits[r, 0] >= 0:
            fields[visits[r, 0], VISITS] += 1
            fields[visits[r, 0], OPEN_VISITS] += 1
        visits[r, 0] = -1
        visits[r, 1] = 0
