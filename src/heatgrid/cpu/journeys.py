"""Journeys: which rows begin a step of their session, and how often one step follows another.

A step on pages is the opening of a view. A step on features begins where a row's feature is another than that of
the step before, or a view has opened since; rows without a feature are passed over. The tabs of a session are one
journey, in the order of its rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import histogram, sets
from heatgrid.cpu.ids import spread
from heatgrid.cpu.jit import tight
from heatgrid.cpu.slots import millis

CODE, SINCE, WHOLE = range(3)
"""The open step of a session: its code (-1: none yet), its begin in ms, and its code with its group."""
COUNT, SESSIONS = range(2)
DONE, NO_POOL, NO_HISTOGRAM, NO_PAIR = range(4)


@tight
def view_steps(order: Any, ready: Any, slot: Any, flags: Any, rows: Any) -> Any:
    """rows = the rows that open a view, in order; returns how many. rows has room for one more than ready."""
    n = np.uint64(0)
    for k in range(np.uint64(ready)):
        i = np.uint64(order[k])
        rows[n] = i
        # one row in twenty: arithmetic, not a branch
        n += np.uint64(slot[i] >= 0) & np.uint64(flags[i] & 1)
    return np.int64(n)


@tight
def feature_steps(order: Any, ready: Any, slot: Any, flags: Any, feature: Any, last: Any, rows: Any) -> Any:
    """The same for features; last : by slot, the feature that goes on (-1: none, or a view has opened since)."""
    n = np.uint64(0)
    for k in range(np.uint64(ready)):
        i = np.uint64(order[k])
        if slot[i] < 0:
            continue
        s = np.uint64(slot[i])
        g = feature[i]
        before = np.int32(-1) if flags[i] & 1 else last[s]
        rows[n] = i
        n += np.uint64(g >= 0) & np.uint64(g != before)
        last[s] = g if g >= 0 else before
    return np.int64(n)


@tight
def transitions(
    start: Any, stop: Any, rows: Any, slot: Any, code: Any, whole: Any, time: Any, ms_mul: Any, ms_div: Any,
    open_step: Any, entries: Any, table: Any, keys: Any, count: Any, fields: Any, directory: Any, buckets: Any,
    used: Any, heads: Any, pool: Any, pool_state: Any,
) -> Any:  # fmt: skip
    """Count the steps rows[start:stop]: entries by code, or (COUNT, SESSIONS) and the time of the pair.

    code of length 0: all rows are of code 0. whole : by step, its code with its group (a step counts for the group
    it is taken in); of length 0: there are none. table : int32 of a power of two, -1 where empty; keys : from << 32 |
    to, with its group. Returns (position reached, reason to make room).
    """
    mask = np.uint64(table.shape[0] - 1)
    for n in range(np.uint64(start), np.uint64(stop)):
        i = np.uint64(rows[n])
        s = np.uint64(slot[i])
        g = np.int64(code[i]) if code.shape[0] else np.int64(0)
        w = np.int64(whole[n]) if whole.shape[0] else g
        ms = millis(time[i], ms_mul, ms_div)
        before = open_step[s, CODE]
        if before < 0:
            entries[np.uint64(w)] += 1
        else:
            key = (before << 32) | w
            h = spread(key) & mask
            while table[h] >= 0 and keys[np.uint64(table[h])] != key:
                h = (h + np.uint64(1)) & mask
            if table[h] < 0:
                if count[0] >= keys.shape[0]:
                    return np.int64(n), NO_PAIR
                table[h] = count[0]
                keys[np.uint64(count[0])] = key
                count[0] += 1
            p = np.uint64(table[h])
            new = sets.add(pool, pool_state, heads, s, np.int64(p) + 1)
            if new < 0:
                return np.int64(n), NO_POOL
            fields[p, SESSIONS] += new
            if not histogram.add(directory, buckets, used, p, ms - open_step[s, SINCE]):
                return np.int64(n), NO_HISTOGRAM
            fields[p, COUNT] += 1
        open_step[s, CODE] = g
        open_step[s, SINCE] = ms
        open_step[s, WHOLE] = w
    return np.int64(stop), DONE


@tight
def close(slots: Any, open_step: Any, exits: Any) -> None:
    """The last step of each closing session is where it leaves."""
    for k in range(slots.shape[0]):
        s = np.uint64(slots[k])
        if open_step[s, CODE] >= 0:
            exits[np.uint64(open_step[s, WHOLE])] += 1
            open_step[s, CODE] = -1


@tight
def begin(stop: Any, rows: Any, slot: Any, group: Any, begun: Any) -> None:
    """begun = group of the first step of each session; -1: it has taken none."""
    for n in range(np.uint64(stop)):
        i = np.uint64(rows[n])
        s = np.uint64(slot[i])
        if begun[s] < 0:
            begun[s] = group[i]
