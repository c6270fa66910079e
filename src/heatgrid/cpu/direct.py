"""The scan of sessions that the source has numbered: one dictionary of ids for all rows, so that none is looked up.

What `slots.assign` and `scan.scan` do for sessions that come and go, for a source without seq, event or view ids and a
plan without a session gap: a session and the run of the tab it is in are one line, `state[s]`; runs of its other tabs
are rows of `others` and change places with it: 8 ns a row instead of 14, and 5 for a glance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.intrinsics import prefetch
from heatgrid.cpu.jit import tight
from heatgrid.cpu.scan import ENDED_UNKNOWN, NEW_VIEW, OPENED_VIEWS, SESSIONS, VIEW_CHANGE, WIDTH_FOUND
from heatgrid.cpu.slots import NEVER, millis

LAST, MS, PAGE, TAB, RUN, HIDDEN, BUCKET, NEXT = range(8)
"""Time of the session's last row (ticks; others: not kept) and of the run's (ms), page (-1: none), tab, run, whether
hidden, width bucket (-1: unknown), the first (others: next) run of another tab (-1: none)."""
FIELDS = 8
DONE, NO_RUN, DISORDER = range(3)
AHEAD = 16


@tight
def scan(
    order: Any, start: Any, ready: Any, slot: Any, time: Any, tab: Any, kind: Any, page: Any, bucket: Any, scroll: Any,
    fixed: Any, y: Any, flag_of_kind: Any, ms_mul: Any, ms_div: Any, idle: Any, frame_viewport: Any, none_page: Any,
    state: Any, others: Any, run_scroll: Any, totals: Any, kind_counts: Any, bounds: Any, run: Any, dwell: Any,
    flags: Any,
) -> Any:  # fmt: skip
    """Resolve rows order[start:ready]; as `scan.scan`, but slot is the session's number, or -1.

    state (int64, FIELDS) by session, LAST of NEVER: not seen; others : rows of runs, totals[4] of them in use; run :
    of a session's first tab its number, of others[o] number of sessions + o. run_scroll by run.
    Returns (position reached, reason).
    """
    sessions = np.int64(state.shape[0])
    low = bounds[0]
    high = bounds[1]
    opened = np.int64(0)
    begun = np.int64(0)
    reason = np.int64(DONE)
    k = np.uint64(start)
    while k < np.uint64(ready):
        i = np.uint64(order[k])
        if slot[i] < 0:
            k += np.uint64(1)
            continue
        s = np.uint64(slot[i])
        t = time[i]
        before = state[s, LAST]
        if t < before:
            reason = np.int64(DISORDER)
            break
        first = before == NEVER
        if first:
            begun += 1
            state[s, PAGE] = -1
            state[s, TAB] = tab[i] if tab.shape[0] else 0
            state[s, RUN] = np.int64(s)
            state[s, HIDDEN] = 0
            state[s, BUCKET] = -1
            state[s, NEXT] = -1
            if scroll.shape[0]:
                run_scroll[s] = 0.0
        elif tab.shape[0] and tab[i] != state[s, TAB]:
            other = state[s, NEXT]
            while other >= 0 and others[np.uint64(other), TAB] != tab[i]:
                other = others[np.uint64(other), NEXT]
            first = other < 0
            if first:
                other = totals[4]
                if other >= others.shape[0]:
                    reason = np.int64(NO_RUN)
                    break
                totals[4] += 1
                others[np.uint64(other), NEXT] = state[s, NEXT]
                state[s, NEXT] = other
                others[np.uint64(other), PAGE] = -1
                others[np.uint64(other), TAB] = tab[i]
                others[np.uint64(other), RUN] = sessions + other
                others[np.uint64(other), HIDDEN] = 0
                others[np.uint64(other), BUCKET] = -1
                if scroll.shape[0]:
                    run_scroll[np.uint64(sessions + other)] = 0.0
            o = np.uint64(other)
            for field in range(MS, NEXT):
                here = state[s, field]
                state[s, field] = others[o, field]
                others[o, field] = here

        code = np.uint64(kind[i])
        kind_counts[code] += 1
        low = min(low, t)
        high = max(high, t)
        ms = millis(t, ms_mul, ms_div)
        kind_flags = flag_of_kind[code]
        hidden = state[s, HIDDEN]
        step = 0 if first or hidden else min(ms - state[s, MS], idle)
        state[s, HIDDEN] = (hidden & ~(kind_flags >> 2)) | ((kind_flags >> 1) & 1)
        p = page[i] if page.shape[0] else 0
        named = np.int64(p != none_page)
        opens = np.int64(first) | np.int64(kind_flags & 1) | (named & np.int64(p != state[s, PAGE]))
        f = opens * (NEW_VIEW | VIEW_CHANGE)
        width = state[s, BUCKET]
        f |= (opens & np.int64(not first) & np.int64(width < 0)) * ENDED_UNKNOWN
        state[s, PAGE] = p if named else (np.int64(-1) if opens else state[s, PAGE])
        width = np.int64(-1) if opens else width
        opened += opens
        if bucket.shape[0]:
            own = bucket[i]
            if width < 0 and own >= 0:
                width = np.int64(own)
                if not opens:
                    f |= WIDTH_FOUND
            bucket[i] = width
        state[s, BUCKET] = width
        r = np.uint64(state[s, RUN])
        if scroll.shape[0]:
            # a new page begins at its top; null, NaN and infinite carry on what was
            if opens:
                run_scroll[r] = 0.0
            if abs(scroll[i]) < np.inf:
                run_scroll[r] = scroll[i]
            scroll[i] = run_scroll[r]
            if frame_viewport and not (fixed.shape[0] and fixed[i]):
                y[i] += run_scroll[r]
        state[s, LAST] = t
        state[s, MS] = ms
        run[i] = np.int32(r)
        dwell[i] = step
        flags[i] = f
        k += np.uint64(1)
    totals[SESSIONS] += begun
    totals[OPENED_VIEWS] += opened
    bounds[0] = low
    bounds[1] = high
    return np.int64(k), reason


@tight
def number(index: Any, ok: Any, out: Any) -> None:
    """out = index, -1 where ok is 0."""
    for i in range(out.shape[0]):
        out[i] = index[i] if ok[i] else np.int32(-1)


@tight
def glance(
    order: Any, start: Any, ready: Any, slot: Any, time: Any, tab: Any, kind: Any, page: Any, flag_of_kind: Any,
    none_page: Any, state: Any, others: Any, totals: Any, run: Any, flags: Any,
) -> Any:  # fmt: skip
    """`scan` for a plan that asks no more of a row than its session, its run (of length 0: there are no tabs) and
    whether it opens a view: 100 instructions a row are 60. Nothing is counted by kind, and no bounds. state : of one
    dimension."""
    sessions = np.int64(state.shape[0] // FIELDS)
    opened = np.int64(0)
    begun = np.int64(0)
    reason = np.int64(DONE)
    k = np.uint64(start)
    while k < np.uint64(ready):
        i = np.uint64(order[k])
        if slot[i] < 0:
            k += np.uint64(1)
            continue
        if k + np.uint64(AHEAD) < np.uint64(ready):
            prefetch(state, np.uint64(max(np.int32(0), slot[np.uint64(order[k + np.uint64(AHEAD)])])) << np.uint64(3))
        s = np.uint64(slot[i]) << np.uint64(3)
        before = state[s]
        if time[i] < before:
            reason = np.int64(DISORDER)
            break
        if before == NEVER:
            begun += 1
            state[s + np.uint64(PAGE)] = -2
            state[s + np.uint64(TAB)] = tab[i] if tab.shape[0] else 0
            state[s + np.uint64(RUN)] = np.int64(slot[i])
            state[s + np.uint64(NEXT)] = -1
        if tab.shape[0] and tab[i] != state[s + np.uint64(TAB)]:
            other = state[s + np.uint64(NEXT)]
            while other >= 0 and others[np.uint64(other), TAB] != tab[i]:
                other = others[np.uint64(other), NEXT]
            if other < 0:
                other = totals[4]
                if other >= others.shape[0]:
                    reason = np.int64(NO_RUN)
                    break
                totals[4] += 1
                others[np.uint64(other), NEXT] = state[s + np.uint64(NEXT)]
                state[s + np.uint64(NEXT)] = other
                others[np.uint64(other), PAGE] = -2
                others[np.uint64(other), TAB] = tab[i]
                others[np.uint64(other), RUN] = sessions + other
            o = np.uint64(other)
            for field in range(PAGE, HIDDEN):
                here = state[s + np.uint64(field)]
                state[s + np.uint64(field)] = others[o, field]
                others[o, field] = here
        # -2: the run has no row yet, -1: no page; as in `scan.scan`, but without a branch
        p = np.int64(page[i]) if page.shape[0] else np.int64(0)
        here = state[s + np.uint64(PAGE)]
        named = np.int64(p != none_page)
        opens = np.int64(flag_of_kind[np.uint64(np.uint32(kind[i]))] & 1) | (named & np.int64(p != here))
        opens |= np.int64(here == -2)
        kept = -named
        state[s + np.uint64(PAGE)] = (p & kept) | (((here + 1) * (1 - opens) - 1) & ~kept)
        state[s] = time[i]
        opened += opens
        if run.shape[0]:
            run[i] = np.int32(state[s + np.uint64(RUN)])
        flags[i] = np.uint8(opens * (NEW_VIEW | VIEW_CHANGE))
        k += np.uint64(1)
    totals[SESSIONS] += begun
    totals[OPENED_VIEWS] += opened
    return np.int64(k), reason


@tight
def tally(order: Any, ready: Any, slot: Any, kind: Any, time: Any, counts: Any, bounds: Any) -> None:
    """What `glance` does not do: counts by kind (int64 of four rows, to be added up), and (first, last) time. Rows
    come in order of time within a session alone."""
    low = bounds[0]
    high = bounds[1]
    for k in range(np.uint64(ready)):
        i = np.uint64(order[k])
        there = np.int64(slot[i] >= 0)
        counts[k & np.uint64(3), np.uint64(np.uint32(kind[i]))] += there
        low = min(low, time[i]) if there else low
        high = max(high, time[i]) if there else high
    bounds[0] = low
    bounds[1] = high


@tight
def distinct(lo: Any, hi: Any, table: Any) -> Any:
    """Whether no two of the ids (lo, hi) are one. table : int32 of a power of two, all -1, at least twice as long."""
    mask = np.uint64(table.shape[0] - 1)
    n = np.uint64(lo.shape[0])
    for i in range(n):
        ahead = i + np.uint64(AHEAD)
        if ahead < n:
            prefetch(table, (np.uint64(lo[ahead]) >> np.uint64(7)) & mask)
        h = (np.uint64(lo[i]) >> np.uint64(7)) & mask
        while table[h] >= 0:
            j = np.uint64(table[h])
            if lo[j] == lo[i] and hi[j] == hi[i]:
                return False
            h = (h + np.uint64(1)) & mask
        table[h] = np.int32(i)
    return True
