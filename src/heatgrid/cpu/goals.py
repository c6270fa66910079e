"""Clicks that wait for their session to reach a goal: drawn when it does, dropped when the session ends without.

A click is one row of int64 (fields below) in a pool; those of a session are linked, the latest first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import fused, tight

NEXT, SLOT, VIEW, PAGE, SEGMENT, PERIOD, BUCKET, FIXED, WIDTH, X, Y, WEIGHT = range(12)
FIELDS = 12
"""x and y are the bits of their floats; view is the run where views have no ids; 96 bytes. WIDTH has REACHED added
where the goal was reached before the width of the click's view is known."""
REACHED = 1 << 40
HEAD, UNSETTLED, WAITING, BEYOND = range(4)
"""Of a session: its latest click + 1, how many of them wait for the width of their view, how many wait at all, and
how many clicks since the last goal found no place to wait."""
DONE, FULL, NO_POOL = range(3)
NEW_VIEW, WIDTH_FOUND = 1, 4
UNKNOWN = 4


@fused
def _settle(s: Any, v: Any, bucket: Any, heads: Any, pool: Any) -> None:
    """The width of a view is known now, or never will be."""
    at = heads[s, HEAD]
    while at:
        r = np.uint64(at - 1)
        if pool[r, BUCKET] < 0 and pool[r, VIEW] == v:
            pool[r, BUCKET] = bucket
            heads[s, UNSETTLED] -= 1
        at = pool[r, NEXT]


@fused
def _pass_on(s: Any, r: Any, heads: Any, pool: Any, free: Any, out: Any, n: Any) -> None:
    heads[s, WAITING] -= 1
    o = np.uint64(n[0])
    for f in range(FIELDS):
        out[o, f] = pool[r, f]
    out[o, WIDTH] &= REACHED - 1
    if out[o, BUCKET] < 0:
        out[o, BUCKET] = UNKNOWN
    n[0] += 1
    pool[r, NEXT] = free[0]
    free[0] = r + 1


@fused
def _reach(s: Any, heads: Any, pool: Any, free: Any, out: Any, n: Any) -> Any:
    """The session has reached a goal: pass on its clicks, but for those whose view may still tell its width. Whether
    there was room for all."""
    before = np.int64(0)
    at = heads[s, HEAD]
    while at:
        r = np.uint64(at - 1)
        after = pool[r, NEXT]
        if pool[r, BUCKET] < 0:
            pool[r, WIDTH] |= REACHED
            before = at
        else:
            if n[0] >= out.shape[0]:
                return False
            _pass_on(s, r, heads, pool, free, out, n)
            if before:
                pool[np.uint64(before - 1), NEXT] = after
            else:
                heads[s, HEAD] = after
        at = after
    return True


@tight
def fold(
    order: Any, start: Any, ready: Any, slot: Any, run: Any, view: Any, flags: Any, kind: Any, click: Any, page: Any,
    feature: Any, segment: Any, period: Any, bucket: Any, fixed: Any, width: Any, weight: Any, x: Any, y: Any,
    of_kind: Any, of_page: Any, of_feature: Any, rest: Any, most: Any, excess: Any, heads: Any, pool: Any, free: Any,
    out: Any, n: Any,
) -> Any:  # fmt: skip
    """Rows order[start:ready]; columns of length 0 are absent. Goals as steps of a funnel (cpu/funnel.py): bits of the
    steps by code. Clicks whose session has reached one go to out, n[0] of them. At most ``most`` of a session wait; of
    those beyond, excess[0] would have been drawn. Returns (position, DONE or what there
    is no room for)."""
    for k in range(np.uint64(start), np.uint64(ready)):
        i = np.uint64(order[k])
        if slot[i] < 0:
            continue
        s = np.uint64(slot[i])
        v = np.int64(view[i]) if view.shape[0] else np.int64(run[i])
        if heads[s, UNSETTLED] and flags[i] & (NEW_VIEW | WIDTH_FOUND):
            _settle(s, v, UNKNOWN if flags[i] & NEW_VIEW else bucket[i], heads, pool)
        if heads[s, HEAD]:  # with clicks beyond there are clicks that wait
            c = np.uint64(kind[i])
            p = np.int64(page[i]) if page.shape[0] else np.int64(0)
            g = np.int64(feature[i]) if feature.shape[0] else np.int64(-1)
            steps = of_kind[c] if c < of_kind.shape[0] else rest[0]
            steps &= of_page[np.uint64(p)] if page.shape[0] and p < of_page.shape[0] else rest[1]
            steps &= of_feature[np.uint64(g)] if 0 <= g < of_feature.shape[0] else rest[2]
            if steps:
                if not _reach(s, heads, pool, free, out, n):
                    return np.int64(k), FULL
                excess[0] += heads[s, BEYOND]
                heads[s, BEYOND] = 0
        if kind[i] == click and heads[s, WAITING] >= most:
            heads[s, BEYOND] += 1
        elif kind[i] == click:
            if free[0] == 0:
                return np.int64(k), NO_POOL
            r = np.uint64(free[0] - 1)
            free[0] = pool[r, NEXT]
            pool[r, NEXT] = heads[s, HEAD]
            pool[r, SLOT] = slot[i]
            pool[r, VIEW] = v
            pool[r, PAGE] = page[i] if page.shape[0] else 0
            pool[r, SEGMENT] = segment[i] if segment.shape[0] else 0
            pool[r, PERIOD] = period[i] if period.shape[0] else 0
            pool[r, BUCKET] = bucket[i] if bucket.shape[0] else UNKNOWN
            pool[r, FIXED] = fixed[i] if fixed.shape[0] else 0
            pool[r, WIDTH] = 0
            if width.shape[0] and 0.0 < width[i] < 100_000.0:
                pool[r, WIDTH] = np.int64(width[i])
            pool[r, X] = x[i]
            pool[r, Y] = y[i]
            pool[r, WEIGHT] = weight[i] if weight.shape[0] else 1
            heads[s, HEAD] = r + 1
            heads[s, WAITING] += 1
            heads[s, UNSETTLED] += pool[r, BUCKET] < 0
    return np.int64(ready), DONE


@tight
def close(slots: Any, start: Any, heads: Any, pool: Any, free: Any, out: Any, n: Any) -> Any:
    """End sessions: what has not reached a goal is dropped. Returns the position where out is full, or the end."""
    for k in range(np.uint64(start), np.uint64(slots.shape[0])):
        s = np.uint64(slots[k])
        while heads[s, HEAD]:
            r = np.uint64(heads[s, HEAD] - 1)
            if pool[r, WIDTH] & REACHED:
                if n[0] >= out.shape[0]:
                    return np.int64(k)
                heads[s, HEAD] = pool[r, NEXT]
                _pass_on(s, r, heads, pool, free, out, n)
            else:
                heads[s, HEAD] = pool[r, NEXT]
                pool[r, NEXT] = free[0]
                free[0] = r + 1
        heads[s, UNSETTLED] = 0
        heads[s, WAITING] = 0
        heads[s, BEYOND] = 0
    return np.int64(slots.shape[0])
