"""Friction: rows that a rule may need become records, and each rule walks them with queues of records that wait.

A record is one line of 16 int64. A queue is a list of copies of records in one pool (``F_NEXT`` and ``F_MARK`` take
the place of fields that a waiting record no longer needs), oldest first; its owner is a run (session and tab) or a
session. Flagged records go to ``out``, one after the other in the order in which they are decided, since a session
or a view may end between two of them. Every rule has its own queues, so that one rule never changes another's answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import sets
from heatgrid.cpu.jit import fused, tight
from heatgrid.cpu.slots import millis

(F_MS, F_X, F_Y, F_SLOT, F_RUN, F_VIEW, F_PLACE, F_PAGE, F_FEATURE, F_WEIGHT, F_BUCKET, F_WIDTH, F_DRAWN_X, F_DRAWN_Y,
 F_ROLE, F_FLAGS) = range(16)  # fmt: skip
F_NEXT, F_MARK = F_ROLE, F_FLAGS
RECORD = 16
"""x and y are the bits of their floats, as the window has them for the rules and as maps draw them; place -1 in
``out``: a mark that a view told its width, or ended without. A width has FIXED added where the target is fixed."""
FIXED = 1 << 40
CLICK, MOVE, OWN = 0, 1, 2
"""Bits of a role: a click, a pointer move, and from OWN on one for each rule: a row of its kinds."""
HEAD, TAIL, COUNT, STATE = range(4)
QUEUE = 4
FLAGGED, CONSIDERED, EXCESS = range(3)
FIELDS = 3
NEW_VIEW, TELLS, ENDED_UNKNOWN = 1, 12, 8
UNKNOWN = 4
DONE, NO_POOL, NO_OUT = range(3)
L1, L2, BOX = range(3)
UNFINITE = 0x7FF << 52


@tight
def select(order: Any, ready: Any, slot: Any, kind: Any, flags: Any, role_of_kind: Any, mask: Any, rows: Any) -> Any:
    """The rows, in order, whose kind has a role or whose flags are in the mask. Returns how many."""
    n = np.uint64(0)
    for k in range(np.uint64(ready)):
        i = np.uint64(order[k])
        there = slot[i] >= 0
        rows[n] = np.int64(i)
        # a row without a slot has no flags yet: what stands there is another block's
        n += np.uint64(there and (role_of_kind[np.uint64(kind[i])] != 0 or (flags[i] & mask) != 0))
    return np.int64(n)


@tight
def gather(
    rows: Any, n: Any, time: Any, ms_mul: Any, ms_div: Any, slot: Any, run: Any, view: Any, flags: Any, kind: Any,
    page: Any, feature: Any, x: Any, y: Any, drawn_x: Any, drawn_y: Any, bucket: Any, fixed: Any, width: Any,
    weight: Any, pointer: Any, touch_code: Any, place: Any, role_of_kind: Any, keep: Any, out: Any,
) -> None:  # fmt: skip
    """Records of the selected rows. Columns of length 0 are absent; place is by selected row, all others by row.
    keep : the flags that a rule or its maps ask for.

    x, y : bits of floats. A touch point is no move of a pointer.
    """
    nan = np.int64(0x7FF8 << 48)
    for k in range(np.uint64(n)):
        i = np.uint64(rows[k])
        out[k, F_MS] = millis(time[i], ms_mul, ms_div)
        out[k, F_X] = x[i] if x.shape[0] else nan
        out[k, F_Y] = y[i] if y.shape[0] else nan
        out[k, F_SLOT] = slot[i]
        out[k, F_RUN] = run[i]
        out[k, F_VIEW] = view[i] if view.shape[0] else run[i]
        out[k, F_PLACE] = place[k]
        out[k, F_PAGE] = page[i] if page.shape[0] else 0
        out[k, F_FEATURE] = feature[i] if feature.shape[0] else -1
        out[k, F_WEIGHT] = weight[i] if weight.shape[0] else 1
        out[k, F_BUCKET] = bucket[i] if bucket.shape[0] else UNKNOWN
        out[k, F_DRAWN_X] = drawn_x[i] if drawn_x.shape[0] else nan
        out[k, F_DRAWN_Y] = drawn_y[i] if drawn_y.shape[0] else nan
        out[k, F_WIDTH] = FIXED if fixed.shape[0] and fixed[i] else 0
        if width.shape[0] and 0.0 < width[i] < 100_000.0:
            out[k, F_WIDTH] += np.int64(width[i])
        role = role_of_kind[np.uint64(kind[i])]
        if pointer.shape[0] and pointer[i] == touch_code:
            role &= ~np.int64(1 << MOVE)
        out[k, F_ROLE] = role
        out[k, F_FLAGS] = flags[i] & keep


@fused
def _float(bits: Any) -> Any:
    return np.int64(bits).view(np.float64)


@fused
def _finite(bits: Any) -> Any:
    return (bits & UNFINITE) != UNFINITE


@fused
def _push(pool: Any, free: Any, queues: Any, q: Any, record: Any) -> None:
    """Let a copy of the record wait, as the newest; there must be a free entry."""
    e = np.uint64(free[0])
    free[0] = pool[e, F_NEXT]
    for f in range(F_ROLE):
        pool[e, f] = record[f]
    pool[e, F_NEXT] = -1
    pool[e, F_MARK] = 0
    if queues[q, COUNT] == 0:
        queues[q, HEAD] = np.int64(e)
    else:
        pool[np.uint64(queues[q, TAIL]), F_NEXT] = np.int64(e)
    queues[q, TAIL] = np.int64(e)
    queues[q, COUNT] += 1


@fused
def _pop(pool: Any, free: Any, queues: Any, q: Any) -> None:
    """Forget the oldest."""
    e = np.uint64(queues[q, HEAD])
    queues[q, HEAD] = pool[e, F_NEXT]
    queues[q, COUNT] -= 1
    pool[e, F_NEXT] = free[0]
    free[0] = np.int64(e)


@fused
def _clear(pool: Any, free: Any, queues: Any, q: Any) -> None:
    if queues[q, COUNT] > 0:
        pool[np.uint64(queues[q, TAIL]), F_NEXT] = free[0]
        free[0] = queues[q, HEAD]
        queues[q, COUNT] = 0


@fused
def _emit(record: Any, weight: Any, fields: Any, out: Any, n_out: Any) -> None:
    """Count a record as flagged, and pass it on."""
    fields[np.uint64(record[F_PLACE]), FLAGGED] += weight
    o = np.uint64(n_out[0])
    for f in range(F_ROLE):
        out[o, f] = record[f]
    n_out[0] += 1


@fused
def _pass_on(record: Any, out: Any, n_out: Any) -> None:
    """The mark for the maps, whose own clicks may wait for a width."""
    o = np.uint64(n_out[0])
    for f in range(RECORD):
        out[o, f] = record[f]
    out[o, F_PLACE] = -1
    n_out[0] += 1


@fused
def _tell(record: Any, pool: Any, queues: Any, q: Any, out: Any, n_out: Any) -> None:
    """The record's view has told its width, or the one before it in its run ended without: what waits learns it."""
    known = np.int64(UNKNOWN) if record[F_FLAGS] & ENDED_UNKNOWN else record[F_BUCKET]
    e = queues[q, HEAD]
    for _ in range(queues[q, COUNT]):
        u = np.uint64(e)
        if pool[u, F_BUCKET] < 0 and pool[u, F_VIEW] == record[F_VIEW]:
            pool[u, F_BUCKET] = known
        e = pool[u, F_NEXT]
    _pass_on(record, out, n_out)


@tight
def repeat(
    records: Any, start: Any, stop: Any, least: Any, gap: Any, span: Any, radius: Any, metric: Any,
    same_feature: Any, once: Any, restart: Any, queues: Any, pool: Any, free: Any, fields: Any, out: Any, n_out: Any,
) -> Any:  # fmt: skip
    """Repeated clicks of a run: its queue holds the last clicks that a group could still be made of, at most `least`.

    gap, span : ms, 0 if the rule has none; radius : 0 if none. STATE: 1 if the rule held at the click before.
    Returns (position reached, reason).
    """
    for k in range(np.uint64(start), np.uint64(stop)):
        record = records[k]
        if n_out[0] + least + 1 >= out.shape[0]:
            return np.int64(k), NO_OUT
        if free[0] < 0:
            return np.int64(k), NO_POOL
        q = np.uint64(record[F_RUN])
        if record[F_FLAGS] & TELLS:
            _tell(record, pool, queues, q, out, n_out)
        if not record[F_ROLE] & (1 << CLICK):
            continue
        fields[np.uint64(record[F_PLACE]), CONSIDERED] += record[F_WEIGHT]
        usable = True
        if same_feature and record[F_FEATURE] < 0:
            usable = False
        if radius > 0.0 and not (_finite(record[F_X]) and _finite(record[F_Y])):
            usable = False
        if queues[q, COUNT] > 0:
            last = np.uint64(queues[q, TAIL])
            linked = usable
            if gap > 0 and record[F_MS] - pool[last, F_MS] >= gap:
                linked = False
            if same_feature and record[F_FEATURE] != pool[last, F_FEATURE]:
                linked = False
            if linked and radius > 0.0 and metric != BOX:
                dx = abs(_float(record[F_X]) - _float(pool[last, F_X]))
                dy = abs(_float(record[F_Y]) - _float(pool[last, F_Y]))
                near = dx + dy < radius if metric == L1 else dx * dx + dy * dy < radius * radius
                linked = near
            if not linked:
                _clear(pool, free, queues, q)
        if not usable:
            queues[q, STATE] = 0
            continue
        if span > 0:
            while queues[q, COUNT] > 0 and record[F_MS] - pool[np.uint64(queues[q, HEAD]), F_MS] > span:
                _pop(pool, free, queues, q)
        if queues[q, COUNT] == least:
            _pop(pool, free, queues, q)
        _push(pool, free, queues, q, record)
        holds = queues[q, COUNT] == least
        if holds and metric == BOX and radius > 0.0:
            holds = _within_box(pool, queues, q, radius)
        if holds and once and queues[q, STATE] == 0:
            _emit(record, record[F_WEIGHT], fields, out, n_out)
        if holds and not once:
            e = queues[q, HEAD]
            for _ in range(queues[q, COUNT]):
                u = np.uint64(e)
                if pool[u, F_MARK] == 0:
                    pool[u, F_MARK] = 1
                    _emit(pool[u], pool[u, F_WEIGHT], fields, out, n_out)
                e = pool[u, F_NEXT]
        if holds and restart:
            _clear(pool, free, queues, q)
            holds = False
        queues[q, STATE] = np.int64(holds)
    return np.int64(stop), DONE


C_MS, C_X, C_Y, C_STATE = range(4)
"""Of a run: the click before, and (its feature + 1) << 8 | clicks in a row, at most as many as the rule asks, << 1 |
whether the rule held at it."""


@tight
def chain(
    records: Any, start: Any, stop: Any, least: Any, gap: Any, radius: Any, metric: Any, same_feature: Any,
    restart: Any, last: Any, fields: Any, out: Any, n_out: Any,
) -> Any:  # fmt: skip
    """`repeat` for a rule that asks of each click only the one before and flags once: no click needs to wait, and a run
    is half a line (`last`) instead of a queue and its entries (21 to 9 ns a click).

    Returns (position reached, reason).
    """
    for k in range(np.uint64(start), np.uint64(stop)):
        record = records[k]
        if n_out[0] + 2 >= out.shape[0]:
            return np.int64(k), NO_OUT
        if record[F_FLAGS] & TELLS:
            _pass_on(record, out, n_out)
        if not record[F_ROLE] & (1 << CLICK):
            continue
        fields[np.uint64(record[F_PLACE]), CONSIDERED] += record[F_WEIGHT]
        r = np.uint64(record[F_RUN])
        x = _float(record[F_X])
        y = _float(record[F_Y])
        known = last[r, C_STATE]
        usable = not (same_feature and record[F_FEATURE] < 0)
        linked = record[F_MS] - last[r, C_MS] < gap
        if same_feature:
            linked &= known >> 8 == record[F_FEATURE] + 1
        if radius > 0.0:
            usable &= _finite(record[F_X]) & _finite(record[F_Y])
            dx = abs(x - _float(last[r, C_X]))
            dy = abs(y - _float(last[r, C_Y]))
            linked &= (dx + dy if metric == L1 else dx * dx + dy * dy) < (radius if metric == L1 else radius * radius)
        # clicks come in no order: nothing is chosen by a branch but the few that are flagged
        row = min(((known >> 1) & 127) * np.int64(linked) + 1, least) * np.int64(usable)
        holds = np.int64(row == least)
        if holds & ~known & 1:
            _emit(record, record[F_WEIGHT], fields, out, n_out)
        if restart:
            row *= 1 - holds
            holds = np.int64(0)
        last[r, C_MS] = record[F_MS]
        last[r, C_X] = record[F_X]
        last[r, C_Y] = record[F_Y]
        last[r, C_STATE] = ((record[F_FEATURE] + 1) << 8) | (row << 1) | holds
    return np.int64(stop), DONE


@fused
def _within_box(pool: Any, queues: Any, q: Any, radius: Any) -> Any:
    """Whether the points of a queue spread at most `radius` on each axis."""
    e = np.uint64(queues[q, HEAD])
    left = _float(pool[e, F_X])
    top = _float(pool[e, F_Y])
    right = left
    bottom = top
    for _ in range(1, queues[q, COUNT]):
        e = np.uint64(pool[e, F_NEXT])
        x = _float(pool[e, F_X])
        y = _float(pool[e, F_Y])
        left = min(left, x)
        right = max(right, x)
        top = min(top, y)
        bottom = max(bottom, y)
    return right - left <= radius and bottom - top <= radius


@tight
def follow(
    records: Any, start: Any, stop: Any, bit: Any, opens: Any, within: Any, followed: Any, most: Any, bots: Any,
    queues: Any, pool: Any, free: Any, fields: Any, out: Any, n_out: Any,
) -> Any:  # fmt: skip
    """Clicks of a session that wait for a row of the rule's kinds (role bit), or where `opens`, of a new view.

    STATE: 1 if a click found no room to wait; bots[0] counts such sessions. Returns (position reached, reason).
    """
    for k in range(np.uint64(start), np.uint64(stop)):
        record = records[k]
        if n_out[0] + most + 1 >= out.shape[0]:
            return np.int64(k), NO_OUT
        if free[0] < 0:
            return np.int64(k), NO_POOL
        q = np.uint64(record[F_SLOT])
        if record[F_FLAGS] & TELLS:
            _tell(record, pool, queues, q, out, n_out)
        role = record[F_ROLE]
        comes = (role >> bit) & 1 or (opens and record[F_FLAGS] & NEW_VIEW)
        click = role & (1 << CLICK)
        while queues[q, COUNT] > 0:
            e = np.uint64(queues[q, HEAD])
            late = record[F_MS] - pool[e, F_MS] > within
            if not late and not comes:
                break
            if late != followed:
                _emit(pool[e], pool[e, F_WEIGHT], fields, out, n_out)
            _pop(pool, free, queues, q)
        if click:
            if queues[q, COUNT] == most:
                fields[np.uint64(record[F_PLACE]), EXCESS] += record[F_WEIGHT]
                bots[0] += 1 - queues[q, STATE]
                queues[q, STATE] = 1
                continue
            fields[np.uint64(record[F_PLACE]), CONSIDERED] += record[F_WEIGHT]
            _push(pool, free, queues, q, record)
    return np.int64(stop), DONE


@tight
def marked(records: Any, start: Any, stop: Any, bit: Any, fields: Any, out: Any, n_out: Any) -> Any:
    """Rows of the source's own flags. Returns (position reached, reason)."""
    for k in range(np.uint64(start), np.uint64(stop)):
        record = records[k]
        if n_out[0] + 2 >= out.shape[0]:
            return np.int64(k), NO_OUT
        if record[F_FLAGS] & TELLS:
            _pass_on(record, out, n_out)
        if record[F_ROLE] & (1 << CLICK):
            fields[np.uint64(record[F_PLACE]), CONSIDERED] += record[F_WEIGHT]
        if (record[F_ROLE] >> bit) & 1:
            _emit(record, record[F_WEIGHT], fields, out, n_out)
    return np.int64(stop), DONE


@tight
def back(
    records: Any, start: Any, stop: Any, within: Any, none_page: Any, queues: Any, pool: Any, free: Any, fields: Any,
    out: Any, n_out: Any,
) -> Any:  # fmt: skip
    """A run's queue holds the first view of its page and of the page before. Returns (position reached, reason)."""
    for k in range(np.uint64(start), np.uint64(stop)):
        record = records[k]
        if n_out[0] + 1 >= out.shape[0]:
            return np.int64(k), NO_OUT
        if free[0] < 0:
            return np.int64(k), NO_POOL
        if not record[F_FLAGS] & NEW_VIEW:
            continue
        fields[np.uint64(record[F_PLACE]), CONSIDERED] += 1
        q = np.uint64(record[F_RUN])
        page = record[F_PAGE]
        if page == none_page:
            continue
        if queues[q, COUNT] > 0:
            here = np.uint64(queues[q, TAIL])
            if pool[here, F_PAGE] == page:
                continue
            if queues[q, COUNT] == 2:
                before = np.uint64(queues[q, HEAD])
                if pool[before, F_PAGE] == page and record[F_MS] - pool[here, F_MS] <= within:
                    _emit(pool[here], 1, fields, out, n_out)
                _pop(pool, free, queues, q)
        _push(pool, free, queues, q, record)
    return np.int64(stop), DONE


@tight
def loop(
    records: Any, start: Any, stop: Any, least: Any, within: Any, most: Any, none_page: Any, bots: Any, queues: Any,
    pool: Any, free: Any, fields: Any, out: Any, n_out: Any,
) -> Any:  # fmt: skip
    """A run's queue holds the views that began within `within` and were not flagged for. Returns (position, reason).

    STATE and bots as in `follow`.
    """
    for k in range(np.uint64(start), np.uint64(stop)):
        record = records[k]
        if n_out[0] + 1 >= out.shape[0]:
            return np.int64(k), NO_OUT
        if free[0] < 0:
            return np.int64(k), NO_POOL
        page = record[F_PAGE]
        if not record[F_FLAGS] & NEW_VIEW:
            continue
        q = np.uint64(record[F_RUN])
        while queues[q, COUNT] > 0 and record[F_MS] - pool[np.uint64(queues[q, HEAD]), F_MS] > within:
            _pop(pool, free, queues, q)
        if page == none_page:
            fields[np.uint64(record[F_PLACE]), CONSIDERED] += 1
            continue
        if queues[q, COUNT] == most:
            fields[np.uint64(record[F_PLACE]), EXCESS] += 1
            bots[0] += 1 - queues[q, STATE]
            queues[q, STATE] = 1
            continue
        fields[np.uint64(record[F_PLACE]), CONSIDERED] += 1
        _push(pool, free, queues, q, record)
        same = np.int64(0)
        e = queues[q, HEAD]
        for _ in range(queues[q, COUNT]):
            same += pool[np.uint64(e), F_PAGE] == page
            e = pool[np.uint64(e), F_NEXT]
        if same == least:
            _emit(record, 1, fields, out, n_out)
            _drop_page(pool, free, queues, q, page)
    return np.int64(stop), DONE


@fused
def _drop_page(pool: Any, free: Any, queues: Any, q: Any, page: Any) -> None:
    """Forget the entries of a page."""
    e = queues[q, HEAD]
    last = np.int64(-1)
    count = queues[q, COUNT]
    for _ in range(count):
        u = np.uint64(e)
        e = pool[u, F_NEXT]
        if pool[u, F_PAGE] == page:
            if last < 0:
                queues[q, HEAD] = e
            else:
                pool[np.uint64(last), F_NEXT] = e
            pool[u, F_NEXT] = free[0]
            free[0] = np.int64(u)
            queues[q, COUNT] -= 1
        else:
            last = np.int64(u)
    queues[q, TAIL] = last


T_SEEN, T_X, T_Y, T_DX, T_DY, T_TURNS, T_AT, T_TIMES = range(8)
"""Of a run: whether a point was seen, the last point, the signs of its last steps, turns kept, where the next goes."""


@tight
def thrash(
    records: Any, start: Any, stop: Any, least: Any, within: Any, pointers: Any, fields: Any, out: Any, n_out: Any
) -> Any:
    """pointers (int64, T_TIMES + least) by run, with the times of the last turns in a ring.

    Returns (position reached, reason).
    """
    for k in range(np.uint64(start), np.uint64(stop)):
        record = records[k]
        if n_out[0] + 1 >= out.shape[0]:
            return np.int64(k), NO_OUT
        if not record[F_ROLE] & (1 << MOVE):
            continue
        fields[np.uint64(record[F_PLACE]), CONSIDERED] += 1
        if not (_finite(record[F_X]) and _finite(record[F_Y])):
            continue
        r = np.uint64(record[F_RUN])
        x = _float(record[F_X])
        y = _float(record[F_Y])
        turned = False
        if pointers[r, T_SEEN]:
            for axis in range(2):
                step = x - _float(pointers[r, T_X]) if axis == 0 else y - _float(pointers[r, T_Y])
                sign = np.int64(step > 0.0) - np.int64(step < 0.0)
                if sign != 0:
                    turned |= sign == -pointers[r, T_DX + axis]
                    pointers[r, T_DX + axis] = sign
        pointers[r, T_SEEN] = 1
        pointers[r, T_X] = record[F_X]
        pointers[r, T_Y] = record[F_Y]
        if not turned:
            continue
        at = pointers[r, T_AT]
        pointers[r, np.uint64(T_TIMES + at)] = record[F_MS]
        at = at + 1 if at + 1 < least else 0
        pointers[r, T_AT] = at
        pointers[r, T_TURNS] += 1
        # the ring is full: the oldest of the last `least` turns stands where the next one goes
        if pointers[r, T_TURNS] >= least and record[F_MS] - pointers[r, np.uint64(T_TIMES + at)] <= within:
            _emit(record, 1, fields, out, n_out)
            pointers[r, T_TURNS] = 0
            pointers[r, T_AT] = 0
    return np.int64(stop), DONE


@tight
def end(
    owners: Any, start: Any, queues: Any, pool: Any, free: Any, unfollowed: Any, fields: Any, out: Any, n_out: Any
) -> Any:
    """Owners whose session ends: what waits is flagged where the rule flags what nothing follows, and forgotten.

    Returns (position reached, reason).
    """
    for k in range(np.uint64(start), np.uint64(owners.shape[0])):
        q = np.uint64(owners[k])
        if n_out[0] + queues[q, COUNT] >= out.shape[0]:
            return np.int64(k), NO_OUT
        if unfollowed:
            e = queues[q, HEAD]
            for _ in range(queues[q, COUNT]):
                _emit(pool[np.uint64(e)], pool[np.uint64(e), F_WEIGHT], fields, out, n_out)
                e = pool[np.uint64(e), F_NEXT]
        _clear(pool, free, queues, q)
        queues[q, STATE] = 0
    return np.int64(owners.shape[0]), DONE


@tight
def count_sessions(
    records: Any, start: Any, n: Any, rule: Any, group_of_place: Any, sessions: Any, heads: Any, pool: Any,
    pool_state: Any,
) -> Any:  # fmt: skip
    """Add each session once to the groups in which records [start, n) flagged it. Returns where the pool must grow."""
    for k in range(np.uint64(start), np.uint64(n)):
        place = records[k, F_PLACE]
        if place < 0:
            continue
        g = np.int64(group_of_place[np.uint64(place)])
        key = (np.int64(rule) << 40) + g + 1
        new = sets.add(pool, pool_state, heads, np.uint64(records[k, F_SLOT]), key)
        if new < 0:
            return np.int64(k)
        sessions[np.uint64(g)] += new
    return np.int64(n)
