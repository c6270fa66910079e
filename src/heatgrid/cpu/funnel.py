"""ClickHouse's windowFunnel over open sessions: each level keeps the start of its chain and its own last time.

Rows of one time are put in the order of their steps, so the rows of the newest time of a session wait as a set of
steps (32 bits) until time goes on: a row costs O(steps), and no list of events is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import histogram
from heatgrid.cpu.jit import fused, tight
from heatgrid.cpu.slots import NEVER, millis

TIME, STEPS, LEVEL, STOPPED, NEXT, LAST, GOING, GROUP, CHAINS = range(9)
"""A session's row: time and steps that wait, level reached, 1 where no row can change it any more; the first page
opened after the last of that level (-1 none), the feature clicked last, and that when the page was opened; the group
of its first row of the first step (-1: none yet); chains."""
NO_STEP = 1 << 32
"""A row that is of no step, in the set of those that wait: strict order ends at it."""
MOST_STEPS = 32
REACHED, LEFT, EXITS, UNCLICKED = range(4)
FIELDS = 4


@fused
def clear(rows: Any, s: Any) -> None:
    """A session that has seen no row."""
    rows[s, TIME] = NEVER
    rows[s, STEPS] = 0
    rows[s, LEVEL] = 0
    rows[s, STOPPED] = 0
    rows[s, NEXT] = -1
    rows[s, LAST] = -1
    rows[s, GOING] = -1
    rows[s, GROUP] = -1


@tight
def clear_all(rows: Any) -> None:
    for s in range(rows.shape[0]):
        clear(rows, s)


@fused
def _settle(
    rows: Any, s: Any, steps: Any, window: Any, strict_order: Any, strict_increase: Any, ms_mul: Any, ms_div: Any,
    fields: Any, directory: Any, buckets: Any, used: Any,
) -> Any:  # fmt: skip
    """Count the steps that wait. False: the histogram must grow first; what is done is not done again."""
    waiting = rows[s, STEPS]
    t = rows[s, TIME]
    level = rows[s, LEVEL]
    base = np.uint64(max(rows[s, GROUP], 0) * steps)
    room = True
    if waiting & NO_STEP:
        waiting ^= NO_STEP
        if level > 0:
            rows[s, STOPPED] = 1
    for e in range(steps):
        if not (room and (waiting >> e) & 1):
            continue
        here = np.uint64(CHAINS + 2 * e)
        before = np.uint64(CHAINS + 2 * (e - 1)) if e > 0 else here
        first = rows[s, before] if e > 0 else t
        prior = rows[s, before + np.uint64(1)] if e > 0 else t
        matched = rows[s, STOPPED] == 0
        if matched and e > 0:
            if level < e:
                matched = False
                if strict_order and level > 0:
                    rows[s, STOPPED] = 1
            else:
                matched = t - first <= window and (prior < t or not strict_increase)
        if matched:
            if level == e:
                if e > 0:
                    ms = millis(t, ms_mul, ms_div) - millis(prior, ms_mul, ms_div)
                    room = histogram.add(directory, buckets, used, base + np.uint64(e), ms)
                if room:
                    level = np.int64(e + 1)
                    fields[base + np.uint64(e), REACHED] += 1
            if room:
                rows[s, here] = first
                rows[s, here + np.uint64(1)] = t
                if level == e + 1:
                    rows[s, NEXT] = -1
                if e + 1 == steps:
                    rows[s, STOPPED] = 1
        if room:
            waiting &= ~(np.int64(1) << e)
    rows[s, STEPS] = waiting
    rows[s, LEVEL] = level
    return room


@tight
def fold(
    order: Any, start: Any, ready: Any, slot: Any, time: Any, flags: Any, kind: Any, page: Any, feature: Any,
    group: Any, of_kind: Any, of_page: Any, of_feature: Any, rest: Any, click_kind: Any, steps: Any, window: Any,
    strict_order: Any, strict_increase: Any, ms_mul: Any, ms_div: Any, rows: Any, fields: Any, directory: Any,
    buckets: Any, used: Any,
) -> Any:  # fmt: skip
    """Rows order[start:ready] of their sessions; returns where the histogram must grow, or ready.

    of_kind, of_page, of_feature : by code, the steps (bits) that such a row may be of; rest : the same three for codes
    beyond and for none. group : of length 0 where all are of one. window in ticks. rows : by slot (fields above).
    fields, directory : by group, then step.
    """
    for k in range(np.uint64(start), np.uint64(ready)):
        i = np.uint64(order[k])
        if slot[i] < 0:
            continue
        c = np.uint64(kind[i])
        p = np.int64(page[i]) if page.shape[0] else np.int64(0)
        g = np.int64(feature[i]) if feature.shape[0] else np.int64(-1)
        steps_here = of_kind[c] if c < of_kind.shape[0] else rest[0]
        steps_here &= of_page[np.uint64(p)] if page.shape[0] and p < of_page.shape[0] else rest[1]
        steps_here &= of_feature[np.uint64(g)] if 0 <= g < of_feature.shape[0] else rest[2]
        opens = (flags[i] & 1) != 0
        clicked = kind[i] == click_kind and g >= 0
        if not (steps_here or opens or clicked or strict_order):
            continue
        s = np.uint64(slot[i])
        t = time[i]
        if t != rows[s, TIME] and rows[s, STEPS]:
            if not _settle(
                rows, s, steps, window, strict_order, strict_increase, ms_mul, ms_div, fields, directory, buckets, used
            ):
                return np.int64(k)
        if steps_here or strict_order:
            rows[s, TIME] = t
            rows[s, STEPS] |= steps_here if steps_here else NO_STEP
            if steps_here & 1 and rows[s, GROUP] < 0:
                rows[s, GROUP] = group[i] if group.shape[0] else 0
        if opens and rows[s, NEXT] < 0:
            rows[s, NEXT] = p
            rows[s, GOING] = rows[s, LAST]
        if clicked:
            rows[s, LAST] = g
    return np.int64(ready)


@tight
def close(
    start: Any, slots: Any, steps: Any, window: Any, strict_order: Any, strict_increase: Any, ms_mul: Any, ms_div: Any,
    rows: Any, fields: Any, directory: Any, buckets: Any, used: Any, left: Any, pages: Any, features: Any,
) -> Any:  # fmt: skip
    """End sessions. left, pages, features : by slot of the list, the group and step at which the session left, the
    page it went to, the feature it clicked last; -1: it did not leave, or there is none.

    Returns where the histogram must grow, or the number of slots.
    """
    for k in range(start, slots.shape[0]):
        s = np.uint64(slots[k])
        if rows[s, STEPS]:
            if not _settle(
                rows, s, steps, window, strict_order, strict_increase, ms_mul, ms_div, fields, directory, buckets, used
            ):
                return k
        level = rows[s, LEVEL]
        left[k] = -1
        if 0 < level < steps:
            at = np.uint64(rows[s, GROUP] * steps + level - 1)
            fields[at, LEFT] += 1
            clicked = rows[s, LAST] if rows[s, NEXT] < 0 else rows[s, GOING]
            fields[at, EXITS] += rows[s, NEXT] < 0
            fields[at, UNCLICKED] += clicked < 0
            left[k] = at
            pages[k] = rows[s, NEXT]
            features[k] = clicked
        clear(rows, s)
    return slots.shape[0]
