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


@tight
def fold(
    order: Any, start: Any, ready: Any, slot: Any, run: Any, key: Any, kind: Any, dwell: Any, flags: Any,
    weight: Any, click_kind: Any, visits: Any, bits: Any, fields: Any, directory: Any, buckets: Any,
    used: Any, heads: Any, pool: Any, pool_state: Any,
) -> Any:  # fmt: skip
    """Add rows order[start:ready]; a row of key -1 has none: it ends the visit before it.

    visits (int64, 2) by run: key (-1: none) and ms of the open visit; bits (int64, BITS) by slot: keys seen.
    Returns (position reached, reason to make room).
    """
    for k in range(np.uint64(start), np.uint64(ready)):
        i = np.uint64(order[k])
        if slot[i] < 0:
            continue
        s = np.uint64(slot[i])
        r = np.uint64(run[i])
        g = np.int64(key[i])
        u = np.uint64(g)
        before = visits[r, 0]
        changed = g != before or (flags[i] & 2) != 0
        if changed and g >= 0:
            if g < 64 * BITS:
                word = bits[s, u >> np.uint64(6)]
                fields[u, SESSIONS] += 1 - ((word >> (g & 63)) & 1)
                bits[s, u >> np.uint64(6)] = word | (np.int64(1) << (g & 63))
            else:
                new = sets.add(pool, pool_state, heads, s, g)
                if new < 0:
                    return np.int64(k), NO_POOL
                fields[u, SESSIONS] += new
        if before >= 0:
            d = dwell[i]
            last = np.uint64(before)
            if changed:
                total = visits[r, 1] + d
                if not histogram.add(directory, buckets, used, last, total):
                    return np.int64(k), NO_HISTOGRAM
                fields[last, VISITS] += 1
                visits[r, 1] = 0
            else:
                visits[r, 1] += d
            fields[last, DWELL] += d
        if changed:
            visits[r, 0] = g
        if g >= 0:
            w = weight[i] if weight.shape[0] else 1
            # sums of a comparison, not branches: kinds come in no order
            fields[u, EVENTS] += w
            fields[u, CLICKS] += w * (kind[i] == click_kind)
            fields[u, VIEWS] += flags[i] & 1
    return np.int64(ready), DONE


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
