"""Session ids to slots: an open-addressing table over 128-bit hashes, and the set of closed ids.

``slots[s]`` is one row of int64 (fields below), so that a session costs one cache line; a struct of arrays was the
first plan and touches five lines for the same row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import fused, tight

LO, HI, RUN, VIEWS, LAST, SEQ, RANK, NEXT = range(8)
"""id (two words), newest run and view (-1), time and seq and rank of the last row, successor after a gap (-1)."""
FIELDS = 8
NEVER = -(2**63)

DONE, FULL, RETURNED = 0, 1, 2


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


@tight
def assign(
    index: Any, ok: Any, lo: Any, hi: Any, time: Any, start: Any, epoch: Any, batch: Any, ms_mul: Any, ms_div: Any,
    gap: Any, seen: Any, table: Any, slots: Any, touch: Any, free: Any, left: Any, totals: Any, closed: Any, out: Any,
) -> Any:  # fmt: skip
    """out[i] = slot of the session (lo, hi)[index[i]], -1 where ok[i] is 0. Returns (row reached, reason).

    seen : int64 by index, epoch << 32 | slot, so that an id is looked up once a batch, not once a row.
    touch : number of the batch in which a slot was last seen; free : stack of free slots, left[0] of them.
    totals : (sessions opened, resumed ids, ...).
    closed : int64 (size, 2 or 3): ids that were closed (lo, hi, with a gap also last ms << 1 | 1), 0 where empty.
    Reasons: DONE; FULL: no free slot; RETURNED: a closed id comes back
    before its session gap has passed (without a gap: ever).
    """
    mask = table.shape[0] - 1
    for i in range(np.uint64(start), np.uint64(index.shape[0])):
        if not ok[i]:
            out[i] = -1
            continue
        j = np.uint64(index[i])
        known = seen[j]
        if known >> 32 == epoch:
            out[i] = known & 0xFFFFFFFF
            continue
        h = _home(lo[j], mask)
        s = np.int64(table[np.uint64(h)])
        while s >= 0 and not (slots[np.uint64(s), LO] == lo[j] and slots[np.uint64(s), HI] == hi[j]):
            h = (h + 1) & mask
            s = np.int64(table[np.uint64(h)])
        if s < 0:
            if left[0] == 0:
                return np.int64(i), FULL
            mark = lookup(closed, lo[j], hi[j])
            if mark != 0:
                ms = millis(time[i], ms_mul, ms_div)
                if gap <= 0 or ms - (mark >> 1) < gap:
                    return np.int64(i), RETURNED
                totals[1] += 1
            left[0] -= 1
            totals[0] += 1
            s = np.int64(free[left[0]])
            open_slot(slots, s, lo[j], hi[j])
            table[h] = s
        touch[s] = batch
        seen[j] = (np.int64(epoch) << 32) | s
        out[i] = s
    return index.shape[0], DONE


@fused
def _closed_home(lo: Any, size: Any) -> Any:
    """By the high bits, so that a table of any size is nearly in the order of its ids."""
    return np.int64(((np.uint64(lo) >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32))


@fused
def lookup(closed: Any, lo: Any, hi: Any) -> Any:
    """0 if the id is not in the set, else its mark (1 where the set keeps none)."""
    size = closed.shape[0]
    h = _closed_home(lo, size)
    found = np.int64(0)
    while closed[h, 0] != 0 or closed[h, 1] != 0:
        if closed[h, 0] == lo and closed[h, 1] == hi:
            found = closed[h, 2] if closed.shape[1] == 3 else np.int64(1)
            break
        h += 1
        if h == size:
            h = np.int64(0)
    return found


@tight
def insert_closed(closed: Any, ids: Any) -> Any:
    """Add the rows of ids, (n, 2) or (n, 3) as the set; an id that is there takes the new mark, rows of 0 are none.
    Returns how many are new."""
    size = closed.shape[0]
    new = 0
    for i in range(ids.shape[0]):
        if ids[i, 0] == 0 and ids[i, 1] == 0:
            continue
        h = _closed_home(ids[i, 0], size)
        while (closed[h, 0] != 0 or closed[h, 1] != 0) and not (
            closed[h, 0] == ids[i, 0] and closed[h, 1] == ids[i, 1]
        ):
            h += 1
            if h == size:
                h = np.int64(0)
        new += closed[h, 0] == 0 and closed[h, 1] == 0
        for k in range(ids.shape[1]):
            closed[h, k] = ids[i, k]
    return new


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
