"""The scan of sessions: each row, in order, to its run, its step, its view. Everything else reads these columns.

A run is one (session, tab); a view is the stretch of a run between pageviews, or (session, view id) where the
source names views. ``runs[r]`` and ``views[v]`` are rows of int64 (fields below); both hang in lists from their
session, newest first: a session has one or two tabs, so a walk beats a second hash table.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import sets
from heatgrid.cpu.jit import fused, tight
from heatgrid.cpu.slots import HI, LAST, LO, NEVER, NEXT, RANK, RUN, SEQ, VIEWS, millis, open_slot

TAB, R_NEXT, MS, PAGE, VIEW, HIDDEN, BUCKET = range(7)
RUN_FIELDS = 8
V_ID, V_NEXT, V_BUCKET = range(3)
VIEW_FIELDS = 3

NEW_VIEW, VIEW_CHANGE, WIDTH_FOUND, ENDED_UNKNOWN = 1, 2, 4, 8
"""Row flags; the last: the view before ended without having told its width."""
DUPLICATE = -2

DONE, NO_SLOT, NO_RUN, NO_VIEW, NO_POOL, DISORDER = range(6)
"""Why the scan came back before the end: room to be made, or the rows of a session are not in order."""

ODD = "seq", "rank", "view", "event", "scroll"
"""Columns that most plans lack; with a gap the reasons for the longer of the loop's two forms."""

SESSIONS, RESUMED, OPENED_VIEWS, DUPLICATES = range(4)
EVENT_KEY = 1 << 60


@tight
def scan(
    order: Any, start: Any, ready: Any, time: Any, slot: Any, seq: Any, rank: Any, tab: Any, view: Any, kind: Any,
    page: Any, bucket: Any, event: Any, scroll: Any, fixed: Any, y: Any, flag_of_kind: Any, batch: Any, ms_mul: Any,
    ms_div: Any, idle: Any, gap: Any, frame_viewport: Any, none_page: Any,
    slots: Any, touch: Any, free_slots: Any, runs: Any, free_runs: Any, run_scroll: Any, views: Any,
    free_views: Any, heads: Any, pool: Any, pool_state: Any, left: Any, retired: Any, totals: Any, kind_counts: Any,
    bounds: Any, run: Any, view_row: Any, dwell: Any, flags: Any, odd: Any,
) -> Any:  # fmt: skip
    """Resolve rows order[start:ready]. Columns of length 0 are absent.

    In: time (ticks), slot (-1 rejected), seq, rank (order key), tab and view (64-bit ids, 0 = null), kind and page
    (codes), bucket (of the row's own viewport, -1 unknown), event (63-bit id, 0 = null), scroll, fixed.
    flag_of_kind: 1 pageview, 2 hidden, 4 waking. left: free slots, runs, views, retired so far.
    odd: None where no gap and none of ODD is given, a shorter loop (12.7 to 11.3 ns a row); else anything.
    Out, by row: slot (final; DUPLICATE dropped), run, dwell (ms that belong to the row before in the run), flags,
    view_row (where views have ids), bucket (of the view, -1 while unknown), scroll (of the tab, where the row names
    none), y (+ scroll in the viewport frame);
    totals; kind_counts and bounds (first, last time) of the rows that are neither rejected nor dropped.
    Returns (position reached, reason).
    """
    # indices are unsigned in all hot leaves: Numba tests every signed one for a position counted from the end
    first_time = bounds[0]
    last_time = bounds[1]
    opened = np.int64(0)
    reason = DONE
    k = np.uint64(start)
    while k < np.uint64(ready):
        i = np.uint64(order[k])
        if slot[i] < 0:
            k += np.uint64(1)
            continue
        s = np.uint64(slot[i])
        while slots[s, NEXT] >= 0:
            s = np.uint64(slots[s, NEXT])
        t = time[i]
        ms = millis(t, ms_mul, ms_div)
        before = slots[s, LAST]
        if t < before:
            reason = DISORDER
            break
        if odd is not None:
            if t == before:
                if seq.shape[0] and seq[i] < slots[s, SEQ]:
                    reason = DISORDER
                    break
                same = seq.shape[0] == 0 or seq[i] == slots[s, SEQ]
                if rank.shape[0] and same and rank[i] < slots[s, RANK]:
                    reason = DISORDER
                    break
            if gap > 0 and before != NEVER and ms - millis(before, ms_mul, ms_div) >= gap:
                if left[0] == 0:
                    reason = NO_SLOT
                    break
                left[0] -= 1
                new = np.uint64(free_slots[np.uint64(left[0])])
                open_slot(slots, new, slots[s, LO], slots[s, HI])
                touch[new] = batch
                slots[s, NEXT] = np.int64(new)
                retired[np.uint64(left[3])] = np.int32(s)
                left[3] += 1
                totals[SESSIONS] += 1
                totals[RESUMED] += 1
                s = new
            if view.shape[0] and left[2] == 0:
                reason = NO_VIEW
                break
        if left[1] == 0:
            reason = NO_RUN
            break
        if odd is not None and event.shape[0] and event[i] != 0:
            new_event = sets.add(pool, pool_state, heads, s, EVENT_KEY | ((event[i] >> 3) & (EVENT_KEY - 1)))
            if new_event < 0:
                reason = NO_POOL
                break
            if new_event == 0:
                slot[i] = DUPLICATE
                totals[DUPLICATES] += 1
                k += np.uint64(1)
                continue

        tab_id = tab[i] if tab.shape[0] else 0
        found = slots[s, RUN]
        while found >= 0 and runs[np.uint64(found), TAB] != tab_id:
            found = runs[np.uint64(found), R_NEXT]
        first = found < 0
        if first:
            left[1] -= 1
            found = np.int64(free_runs[np.uint64(left[1])])
            r = np.uint64(found)
            runs[r, TAB] = tab_id
            runs[r, R_NEXT] = slots[s, RUN]
            runs[r, PAGE] = -1
            runs[r, VIEW] = -1
            runs[r, HIDDEN] = 0
            runs[r, BUCKET] = -1
            run_scroll[r] = 0.0
            slots[s, RUN] = found
        r = np.uint64(found)

        code = np.uint64(kind[i])
        kind_counts[code] += 1
        first_time = min(first_time, t)
        last_time = max(last_time, t)
        kind_flags = flag_of_kind[code]
        hidden = runs[r, HIDDEN]
        step = 0 if first or hidden else min(ms - runs[r, MS], idle)
        # kinds come in no order: arithmetic, not branches
        runs[r, HIDDEN] = (hidden & ~(kind_flags >> 2)) | ((kind_flags >> 1) & 1)

        f = 0
        p = page[i] if page.shape[0] else 0
        if odd is not None and view.shape[0]:
            f = _named_view(s, r, view[i], slots, runs, views, free_views, left)
            v = runs[r, VIEW]
            view_row[i] = v
            width = views[np.uint64(v), V_BUCKET]
        else:
            if first or kind_flags & 1 or (p != none_page and p != runs[r, PAGE]):
                f = NEW_VIEW | VIEW_CHANGE
                if not first and runs[r, BUCKET] < 0:
                    f |= ENDED_UNKNOWN
                runs[r, PAGE] = p if p != none_page else -1
                runs[r, BUCKET] = -1
            v = found
            width = runs[r, BUCKET]
        opened += f & NEW_VIEW
        if bucket.shape[0]:
            own = bucket[i]
            if width < 0 and own >= 0:
                width = own
                if not f & NEW_VIEW:
                    f |= WIDTH_FOUND
                if odd is not None and view.shape[0]:
                    views[np.uint64(v), V_BUCKET] = own
                else:
                    runs[r, BUCKET] = own
            bucket[i] = width

        if odd is not None and scroll.shape[0]:
            # a new page begins at its top; null, NaN and infinite carry on what was
            if f & NEW_VIEW:
                run_scroll[r] = 0.0
            if abs(scroll[i]) < np.inf:
                run_scroll[r] = scroll[i]
            scroll[i] = run_scroll[r]
            if frame_viewport and not (fixed.shape[0] and fixed[i]):
                y[i] += run_scroll[r]

        slots[s, LAST] = t
        if odd is not None:
            if seq.shape[0]:
                slots[s, SEQ] = seq[i]
            if rank.shape[0]:
                slots[s, RANK] = rank[i]
        runs[r, MS] = ms
        slot[i] = np.int32(s)
        run[i] = np.int32(r)
        dwell[i] = step
        flags[i] = f
        k += np.uint64(1)
    bounds[0] = first_time
    bounds[1] = last_time
    totals[OPENED_VIEWS] += opened
    return np.int64(k), reason


@fused
def _named_view(s: Any, r: Any, view_id: Any, slots: Any, runs: Any, views: Any, free_views: Any, left: Any) -> Any:
    """Find or open the view of the session by its id; a null id stays in the run's view or opens a nameless one."""
    current = runs[r, VIEW]
    if view_id == 0:
        if current >= 0:
            return 0
        v = np.int64(-1)
    else:
        v = slots[s, VIEWS]
        while v >= 0 and views[np.uint64(v), V_ID] != view_id:
            v = views[np.uint64(v), V_NEXT]
    f = 0
    if v < 0:
        left[2] -= 1
        v = np.int64(free_views[np.uint64(left[2])])
        views[np.uint64(v), V_ID] = view_id
        views[np.uint64(v), V_NEXT] = slots[s, VIEWS]
        views[np.uint64(v), V_BUCKET] = -1
        slots[s, VIEWS] = v
        f = 1
    if v != current:
        f |= 2
        runs[r, VIEW] = v
    return f
