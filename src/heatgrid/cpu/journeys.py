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


RUN = 512
"""Steps that are resolved before they are counted; each may bring a pair and a row of the histogram."""
LISTS = 3
BITS = 4
"""Words of a session's bit set: the first 64 * BITS pairs are looked up there, the others in its hash set."""


@tight
def transitions(
    start: Any, stop: Any, rows: Any, slot: Any, code: Any, whole: Any, time: Any, ms_mul: Any, ms_div: Any,
    open_step: Any, entries: Any, table: Any, keys: Any, count: Any, fields: Any, directory: Any, buckets: Any,
    used: Any, bits: Any, heads: Any, pool: Any, pool_state: Any, lists: Any, waiting: Any,
) -> Any:  # fmt: skip
    """Count the steps rows[start:stop]: entries by code, or (COUNT, SESSIONS) and the time of the pair.

    code of length 0: all rows are of code 0. whole : by step, its code with its group (a step counts for the group
    it is taken in); of length 0: there are none. table : int32 of a power of two, -1 where empty; keys : from << 32 |
    to, with its group. bits (int64, BITS) by slot: pairs seen. Returns (position reached, reason to make room).

    First what each of RUN steps means is written to lists, then these are counted: whether a session enters, and
    whether a pair is new in it, comes in no order (62 to 25 ns a step). lists (int64, LISTS x RUN) are kept between
    calls; waiting (int64): where the counting of the first of them goes on and ends.
    """
    mask = np.uint64(table.shape[0] - 1)
    pairs, sessions, times = lists[0], lists[1], lists[2]
    a = np.uint64(start)
    while True:
        for j in range(np.uint64(waiting[0]), np.uint64(waiting[1])):
            p = pairs[j]
            s = np.uint64(sessions[j])
            u = np.uint64(p)
            if p < 64 * BITS:
                word = bits[s, u >> np.uint64(6)]
                fields[u, SESSIONS] += 1 - ((word >> (p & 63)) & 1)
                bits[s, u >> np.uint64(6)] = word | (np.int64(1) << (p & 63))
            else:
                new = sets.add(pool, pool_state, heads, s, p)
                if new < 0:
                    waiting[0] = j
                    return np.int64(a), NO_POOL
                fields[u, SESSIONS] += new
            fields[u, COUNT] += 1
        waiting[0] = 0
        waiting[1] = 0
        if a >= np.uint64(stop):
            return np.int64(stop), DONE
        if count[0] + RUN > keys.shape[0]:
            return np.int64(a), NO_PAIR
        if used[0] + RUN > buckets.shape[0]:
            return np.int64(a), NO_HISTOGRAM
        end = min(np.uint64(stop), a + np.uint64(RUN))
        found = np.uint64(0)
        for n in range(a, end):
            i = np.uint64(rows[n])
            s = np.uint64(slot[i])
            g = np.int64(code[i]) if code.shape[0] else np.int64(0)
            w = np.int64(whole[n]) if whole.shape[0] else g
            ms = millis(time[i], ms_mul, ms_div)
            before = open_step[s, CODE]
            enters = np.int64(before < 0)
            entries[np.uint64(w)] += enters
            # of a step that enters nothing stays: the next one is written in its place
            pairs[found] = (before << 32) | w
            sessions[found] = np.int64(s)
            times[found] = ms - open_step[s, SINCE]
            found += np.uint64(1 - enters)
            open_step[s, CODE] = g
            open_step[s, SINCE] = ms
            open_step[s, WHOLE] = w
        for j in range(found):
            key = pairs[j]
            h = spread(key) & mask
            while table[h] >= 0 and keys[np.uint64(table[h])] != key:
                h = (h + np.uint64(1)) & mask
            if table[h] < 0:
                table[h] = count[0]
                keys[np.uint64(count[0])] = key
                count[0] += 1
            pairs[j] = table[h]
            histogram.add(directory, buckets, used, np.uint64(table[h]), times[j])
        waiting[1] = np.int64(found)
        a = end


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
