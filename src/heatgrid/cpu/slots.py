"""Session ids to slots: an open-addressing table over 128-bit hashes.

``slots[s]`` is one row of int64 (fields below), so that a session costs one cache line; a struct of arrays was the
first plan and touches five lines for the same row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import closed
from heatgrid.cpu.intrinsics import prefetch
from heatgrid.cpu.jit import fused, tight

LO, HI, RUN, VIEWS, LAST, SEQ, RANK, NEXT = range(8)
"""id (two words), newest run and view (-1), time and seq and rank of the last row, successor after a gap (-1)."""
FIELDS = 8
NEVER = -(2**63)

DONE, FULL, RETURNED = 0, 1, 2
NEW, LATE = -1, -2
"""Where a row's session is not among the open ones, and where the row can no longer be read in its place."""


@fused
def _home(lo: Any, mask: Any) -> Any:
    return np.int64((np.uint64(lo) >> np.uint64(7)) & np.uint64(mask))


@fused
def millis(t: Any, ms_mul: Any, ms_div: Any) -> Any:
    """Ticks of the source as whole milliseconds, floored."""
    return t * ms_mul if ms_div == 1 else t // ms_div


@fused
def open_slot(slots: Any, s: Any, lo: Any, hi: Any) -> None:
    """A session of this id that has seen no row yet."""
    slots[s, LO] = lo
    slots[s, HI] = hi
    slots[s, RUN] = -1
    slots[s, VIEWS] = -1
    slots[s, LAST] = NEVER
    slots[s, SEQ] = NEVER
    slots[s, RANK] = 0
    slots[s, NEXT] = -1


CHUNK = 4096
"""Rows whose new ids are gathered, so that the lines of all of them can be asked for."""
AHEAD = 16


@tight
def assign(
    index: Any, ok: Any, lo: Any, hi: Any, time: Any, start: Any, epoch: Any, batch: Any, ms_mul: Any, ms_div: Any,
    gap: Any, seen: Any, table: Any, slots: Any, touch: Any, free: Any, left: Any, totals: Any, gone: Any,
    gone_ids: Any, gone_last: Any, runs: Any, fresh: Any, out: Any,
) -> Any:  # fmt: skip
    """out[i] = slot of the session (lo, hi)[index[i]], -1 where ok[i] is 0. Returns (row reached, reason).

    Ids not seen in this batch are gathered first: each is three misses in turn (table, slot, run), 190 ns, and with the
    lines asked for ahead 50.

    seen : int64 by index, epoch << 32 | slot, so that an id is looked up once a batch, not once a row.
    touch : number of the batch in which a slot was last seen; free : stack of free slots, left[0] of them.
    totals : (sessions opened, resumed ids, ...).
    gone, gone_ids, gone_last : ids that were closed (closed.py). runs : to be asked for. fresh : int32 (2, CHUNK).
    Reasons: DONE; FULL: no free slot; RETURNED: a closed id comes back
    before its session gap has passed (without a gap: ever).
    """
    mask = table.shape[0] - 1
    who = fresh[0]
    row = fresh[1]
    n = np.uint64(index.shape[0])
    first = np.uint64(start)
    while first < n:
        stop = min(n, first + np.uint64(CHUNK))
        found = np.uint64(0)
        for i in range(first, stop):
            if ok[i] and seen[np.uint64(index[i])] >> 32 != epoch:
                j = np.uint64(index[i])
                seen[j] = np.int64(epoch) << 32
                prefetch(table, np.uint64(_home(lo[j], mask)))
                prefetch(gone, closed.home(lo[j], gone))
                who[found] = np.int32(j)
                row[found] = np.int32(i)
                found += np.uint64(1)
        reason = DONE
        k = np.uint64(0)
        while k < found and reason == DONE:
            far = k + np.uint64(AHEAD)
            if far < found:
                there = np.int64(table[np.uint64(_home(lo[np.uint64(who[far])], mask))])
                if there < 0 and left[0] >= AHEAD:
                    there = np.int64(free[left[0] - AHEAD])
                prefetch(slots, np.uint64(max(np.int64(0), there) * FIELDS))
                prefetch(touch, np.uint64(max(np.int64(0), there)))
            j = np.uint64(who[k])
            h = _home(lo[j], mask)
            s = np.int64(table[np.uint64(h)])
            while s >= 0 and not (slots[np.uint64(s), LO] == lo[j] and slots[np.uint64(s), HI] == hi[j]):
                h = (h + 1) & mask
                s = np.int64(table[np.uint64(h)])
            if s >= 0:
                prefetch(runs, np.uint64(max(np.int64(0), slots[np.uint64(s), RUN]) * FIELDS))
            elif left[0] == 0:
                reason = FULL
            else:
                before = closed.find(gone, gone_ids, lo[j], hi[j])
                back = before >= 0 and (
                    gap <= 0 or millis(time[np.uint64(row[k])], ms_mul, ms_div) - gone_last[np.uint64(before)] < gap
                )
                if back:
                    reason = RETURNED
                else:
                    totals[1] += before >= 0
                    left[0] -= 1
                    totals[0] += 1
                    s = np.int64(free[np.uint64(left[0])])
                    open_slot(slots, s, lo[j], hi[j])
                    table[np.uint64(h)] = s
            if reason == DONE:
                touch[np.uint64(s)] = batch
                seen[j] = (np.int64(epoch) << 32) | s
                k += np.uint64(1)
        if reason != DONE:
            stop = np.uint64(row[k])
            for rest in range(k, found):
                seen[np.uint64(who[rest])] = 0
        for i in range(first, stop):
            out[i] = np.int32(seen[np.uint64(index[i])] & 0xFFFFFFFF) if ok[i] else np.int32(-1)
        if reason != DONE:
            return np.int64(stop), reason
        first = stop
    return index.shape[0], DONE


@tight
def stand(
    lo: Any, hi: Any, time: Any, seq: Any, ms_mul: Any, ms_div: Any, gap: Any, table: Any, slots: Any, gone: Any,
    gone_ids: Any, gone_last: Any, out: Any,
) -> Any:  # fmt: skip
    """out[i] = slot of the open session (lo, hi)[i], NEW, or LATE: the session has been read beyond the row's time
    (and seq, unless of length 0), or was closed and may not return yet (as `assign`). Returns how many are late."""
    mask = table.shape[0] - 1
    late = 0
    for i in range(np.uint64(lo.shape[0])):
        h = _home(lo[i], mask)
        s = np.int64(table[np.uint64(h)])
        while s >= 0 and not (slots[np.uint64(s), LO] == lo[i] and slots[np.uint64(s), HI] == hi[i]):
            h = (h + 1) & mask
            s = np.int64(table[np.uint64(h)])
        if s >= 0:
            last = slots[np.uint64(s), LAST]
            behind = time[i] < last
            if seq.shape[0] and time[i] == last:
                behind = seq[i] < slots[np.uint64(s), SEQ]
        else:
            s = np.int64(NEW)
            before = closed.find(gone, gone_ids, lo[i], hi[i])
            behind = before >= 0 and (gap <= 0 or millis(time[i], ms_mul, ms_div) - gone_last[before] < gap)
        out[i] = LATE if behind else s
        late += behind
    return np.int64(late)


@tight
def rebuild(table: Any, slots: Any, alive: Any) -> None:
    """Fill an empty (all -1) table with the slots that are alive (1) and newest of their id (no successor)."""
    mask = table.shape[0] - 1
    for s in range(alive.shape[0]):
        if alive[s] and slots[s, NEXT] < 0:
            h = _home(slots[s, LO], mask)
            while table[h] >= 0:
                h = (h + 1) & mask
            table[h] = s


@tight
def succeed(table: Any, slots: Any, retired: Any) -> None:
    """Let the table name the successor of each session that was cut by the gap."""
    mask = table.shape[0] - 1
    for i in range(retired.shape[0]):
        s = np.int64(retired[i])
        h = _home(slots[s, LO], mask)
        while table[h] != s and table[h] >= 0:
            h = (h + 1) & mask
        if table[h] == s:
            last = s
            while slots[last, NEXT] >= 0:
                last = slots[last, NEXT]
            table[h] = last


@tight
def follow(slot: Any, slots: Any) -> None:
    """Rows held back point to the successor of a session that was cut since."""
    for i in range(slot.shape[0]):
        s = np.int64(slot[i])
        while s >= 0 and slots[s, NEXT] >= 0:
            s = slots[s, NEXT]
        slot[i] = s


@tight
def lists_of(closing: Any, head: Any, slots: Any, items: Any, link: Any, out: Any) -> Any:
    """Write the members (runs or views) of the lists of closing sessions to out; returns how many."""
    n = 0
    for i in range(closing.shape[0]):
        m = slots[closing[i], head]
        while m >= 0:
            out[n] = m
            n += 1
            m = items[m, link]
    return n


@tight
def owners_of(closing: Any, head: Any, slots: Any, items: Any, link: Any, out: Any) -> None:
    """The session of each member that `lists_of` wrote, in the same order."""
    n = 0
    for i in range(closing.shape[0]):
        m = slots[closing[i], head]
        while m >= 0:
            out[n] = closing[i]
            n += 1
            m = items[m, link]
