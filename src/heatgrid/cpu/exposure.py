"""Exposure: which features' mid-height lines stand in the window of each tab, how long, and what became of it.

The lines of a page at a width are sorted, so those in the window are a range of them; where a row moves the window two
searches find the new range, and only lines that enter or leave are touched. Time is not handed out to lines: a run has
a clock (ms of dwell), and a line remembers what it said when the line came in.

What happens inside a view waits in a block of the view, an entry for each feature that its page has lines of, and is
counted when the view ends, under the page, segment and period that the view was opened with. Sessions keep how many of
their views were exposed and clicked, for what is counted once a session, and for the squares that intervals need: again
a block for each page. Features without a line (and the lines of each tab where views have ids) are in small hash tables
beside the blocks; with all features in such tables the fold took twice as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import entries, histogram
from heatgrid.cpu.ids import spread
from heatgrid.cpu.jit import fused, tight
from heatgrid.cpu.sets import give, take
from heatgrid.cpu.slots import millis

R_CLOCK, R_VIEW, R_FROM, R_TO, R_TABLE, R_HOVER, R_HOVER_MS, R_HOVER_AT = range(8)
RUN_FIELDS = 8
"""ms of dwell so far; open view (-1); lines in the window [from, to) of a table (-1); feature under the pointer (-1),
ms there, and its entry where that stays in its place (-1)."""
W_SCROLL, W_HEIGHT, W_WIDTH = range(3)
WINDOW_FIELDS = 4
"""Where the window of a run stands; 0 is an unknown size."""
V_BASE, V_SPLIT, V_START, V_CLICKS, V_GROUP, V_BLOCK, V_SIZE = range(7)
VIEW_FIELDS = 8
"""What a view counts under: whole (-1: no view), and split by segment and period (-1: it is not); its page's group of
features, its block (and log2 of the words, 0: none)."""
E_KEY, E_ENTERED, E_MS, E_CLICKS, E_HOVER, E_FIRST, E_POINTER, E_STATE = range(8)
VIEW_WIDE = 3
"""An entry of a view: a key (in hash tables); the clock + 1 when its line came in (0: out); ms in the window, clicks,
ms under the pointer; ms + 1 from the view's start to the first click (0: none); ms + 1 from there to the pointer's last
arrival, and from the first click on, between the two (hesitation); bits, and goals of the session before it was exposed
and before its first click (GOALS bits each)."""
EXPOSED, CLICKED, HOVERED, KEPT = 1, 2, 4, 8
BITS, GOALS = 4, 29
_MASK = (1 << GOALS) - 1
S_KEY, S_VIEWS, S_CLICKED, S_GOALS = range(4)
S_BLOCK, S_GROUP = S_CLICKED, S_GOALS
SESSION_WIDE = 2
"""An entry of a session: -(base + 1) with its views of a page, its block + 1 and group; or cell + 1 with views exposed,
of these clicked, goals + 1 before either (0: never)."""
B_VIEWS, B_GOALS = range(2)
BLOCK_WIDE = 1
"""An entry of a session's block: views exposed and, CLICKED_AT bits up, clicked; goals as above."""
CLICKED_AT = 32

(C_VIEWS, C_CLICKED, C_CLICKS, C_UNEXPOSED, C_MS, C_HOVER, C_HOVERED, C_SESSIONS, C_SESSIONS_CLICKED, C_GOAL,
 C_GOAL_UNCLICKED) = range(11)  # fmt: skip
C_SQUARES = 11
"""From here pairs of limbs: the sums over sessions of clicked^2, clicked * exposed, exposed^2, clicked * page views."""
C_ALONE = 19
CELL_FIELDS = 24
P_VIEWS, P_CLICKS, P_SESSIONS, P_SQUARES, _, P_ALONE = range(6)
"""Squares are of sessions whose user is not known (or not asked for): C_ALONE, P_ALONE of them."""
PAGE_FIELDS = 8
LIMB = 32
FEW = 16
ABSURD = 100_000.0
"""No window is this high."""
NEW_VIEW, VIEW_CHANGE = 1, 2
DONE, NO_ENTRY, NO_CELL, NO_HISTOGRAM, NO_SESSION, NO_OUT = range(6)
O_LOW, O_HIGH, O_KEY, O_VIEWS, O_CLICKED = range(5)
OUT_FIELDS = 5
"""What a session of a known user passes on: the user, cell + 1 or -(base + 1), views, of these clicked."""


@fused
def first_from(values: Any, start: Any, stop: Any, least: Any) -> Any:
    """The first of values[start:stop], ascending, that is not below ``least``; stop if none is."""
    low = np.int64(start)
    high = np.int64(stop)
    while low < high:
        middle = (low + high) >> 1
        if values[np.uint64(middle)] < least:
            low = middle + 1
        else:
            high = middle
    return low


@fused
def _class_of(words: Any) -> Any:
    """log2 of the words that a block takes."""
    size = np.int64(3)
    while (np.int64(1) << size) < words:
        size += 1
    return size


@tight
def _of_tab(v: Any, r: Any, local: Any, pool: Any, pool_state: Any, heads: Any) -> Any:
    """The entry of a line in one tab, where several may show the view."""
    key = ((np.int64(r) + 1) << 32) | (np.int64(local) + 1)
    return entries.place(pool, pool_state, heads, v, key, VIEW_WIDE)


@fused
def _main(v: Any, local: Any, views: Any) -> Any:
    return np.uint64(views[v, V_BLOCK] + (np.int64(local) << VIEW_WIDE))


@fused
def _line(v: Any, r: Any, named: Any, local: Any, views: Any, pool: Any, pool_state: Any, heads: Any) -> Any:
    """The entry that knows when a line came into a run's window."""
    e = _main(v, local, views)
    if named:
        e = np.uint64(_of_tab(v, r, local, pool, pool_state, heads))
    return e


@fused
def _local(v: Any, feature: Any, views: Any, groups: Any, of_group: Any) -> Any:
    """The number of a feature among those that the view's page has lines of, or -1."""
    q = np.uint64(views[v, V_GROUP])
    first = groups[q]
    behind = groups[q + np.uint64(1)]
    low = np.int64(first)
    high = np.int64(behind)
    while high - low > FEW:
        middle = (low + high) >> 1
        if of_group[np.uint64(middle)] < feature:
            low = middle + 1
        else:
            high = middle
    # features come in no order: the last few are counted, not searched
    j = low
    for k in range(np.uint64(low), np.uint64(high)):
        j += np.int64(of_group[k] < feature)
    found = j < behind and of_group[np.uint64(j)] == feature
    return j - first if found else np.int64(-1)


@fused
def _of_feature(
    v: Any, feature: Any, views: Any, groups: Any, of_group: Any, pool: Any, pool_state: Any, heads: Any
) -> Any:  # fmt: skip
    """The entry of a feature in a view."""
    local = _local(v, feature, views, groups, of_group)
    if local >= 0:
        e = _main(v, local, views)
    else:
        e = np.uint64(entries.place(pool, pool_state, heads, v, np.int64(feature) + 1, VIEW_WIDE))
    return e


@fused
def _goals_at(pool: Any, e: Any, shift: Any, goals: Any) -> None:
    """Let an entry's state say how many goals the session had reached."""
    at = e + np.uint64(E_STATE)
    pool[at] = (pool[at] & ~(np.int64(_MASK) << shift)) | (min(np.int64(goals), np.int64(_MASK)) << shift)


@fused
def _enter(e: Any, clock: Any, goals: Any, pool: Any) -> None:
    pool[e + np.uint64(E_ENTERED)] = clock + 1
    if not pool[e + np.uint64(E_STATE)] & EXPOSED:
        _goals_at(pool, e, BITS, goals)


@fused
def _expose(m: Any, goals: Any, pool: Any) -> None:
    """A feature was seen, from when the session had reached so many goals; the earliest counts."""
    state = pool[m + np.uint64(E_STATE)]
    if not state & EXPOSED or goals < (state >> BITS) & _MASK:
        _goals_at(pool, m, BITS, goals)
    pool[m + np.uint64(E_STATE)] |= EXPOSED


@fused
def _leave(e: Any, m: Any, clock: Any, least: Any, pool: Any) -> None:
    """A line goes out of the window; m: the entry of its feature."""
    ms = clock - (pool[e + np.uint64(E_ENTERED)] - 1)
    pool[e + np.uint64(E_ENTERED)] = 0
    pool[m + np.uint64(E_MS)] += ms
    if ms >= least:
        _expose(m, (pool[e + np.uint64(E_STATE)] >> BITS) & _MASK, pool)


@tight
def _point_at(
    feature: Any, r: Any, v: Any, runs: Any, views: Any, groups: Any, of_group: Any, pool: Any, pool_state: Any,
    heads: Any,
) -> None:  # fmt: skip
    """The pointer goes to a feature, or to none (-1): the time until now was the one's before."""
    before = runs[r, R_HOVER]
    if before >= 0 and runs[r, R_HOVER_MS] > 0:
        e = np.uint64(runs[r, R_HOVER_AT])
        if runs[r, R_HOVER_AT] < 0:
            e = _of_feature(v, before, views, groups, of_group, pool, pool_state, heads)
        pool[e + np.uint64(E_HOVER)] += runs[r, R_HOVER_MS]
    runs[r, R_HOVER] = np.int64(feature)
    runs[r, R_HOVER_MS] = 0
    runs[r, R_HOVER_AT] = -1


@tight
def _out(
    r: Any, named: Any, locals_: Any, least: Any, runs: Any, views: Any, groups: Any, of_group: Any, pool: Any,
    pool_state: Any, heads: Any,
) -> None:  # fmt: skip
    """A run leaves its view: its lines go out, and the pointer."""
    v = np.uint64(runs[r, R_VIEW])
    for j in range(np.uint64(runs[r, R_FROM]), np.uint64(runs[r, R_TO])):
        e = _line(v, r, named, locals_[j], views, pool, pool_state, heads)
        _leave(e, _main(v, locals_[j], views), runs[r, R_CLOCK], least, pool)
    runs[r, R_FROM] = 0
    runs[r, R_TO] = 0
    runs[r, R_TABLE] = -1
    _point_at(np.int64(-1), r, v, runs, views, groups, of_group, pool, pool_state, heads)


@tight
def _shift(
    r: Any, v: Any, named: Any, start: Any, stop: Any, lined: Any, locals_: Any, least: Any, goals: Any, runs: Any,
    views: Any, pool: Any, pool_state: Any, heads: Any,
) -> None:  # fmt: skip
    """The lines [start, stop) of a table are in the window now: those that came, and those that went."""
    clock = runs[r, R_CLOCK]
    a = runs[r, R_FROM]
    b = runs[r, R_TO]
    if runs[r, R_TABLE] == lined or a == b:
        # of an interval and another one: what is before and what is behind the other
        for half in range(2):
            low = a if half == 0 else max(a, stop)
            high = min(b, start) if half == 0 else b
            for j in range(low, high):
                local = locals_[np.uint64(j)]
                e = _line(v, r, named, local, views, pool, pool_state, heads)
                _leave(e, _main(v, local, views), clock, least, pool)
        for half in range(2):
            low = start if half == 0 else max(start, b)
            high = min(stop, a) if half == 0 else stop
            if a == b:
                low = start if half == 0 else stop
                high = stop
            for j in range(low, high):
                _enter(_line(v, r, named, locals_[np.uint64(j)], views, pool, pool_state, heads), clock, goals, pool)
    else:
        # another width: a feature whose line is in the window before and after has never left it
        for j in range(start, stop):
            e = _line(v, r, named, locals_[np.uint64(j)], views, pool, pool_state, heads)
            if pool[e + np.uint64(E_ENTERED)] > 0:
                pool[e + np.uint64(E_STATE)] |= KEPT
            else:
                _enter(e, clock, goals, pool)
        for j in range(a, b):
            local = locals_[np.uint64(j)]
            e = _line(v, r, named, local, views, pool, pool_state, heads)
            if pool[e + np.uint64(E_STATE)] & KEPT:
                pool[e + np.uint64(E_STATE)] &= ~np.int64(KEPT)
            else:
                _leave(e, _main(v, local, views), clock, least, pool)
    runs[r, R_FROM] = start
    runs[r, R_TO] = stop
    runs[r, R_TABLE] = lined


@fused
def _cell_of(table: Any, keys: Any, count: Any, base: Any, feature: Any) -> Any:
    """The number of (base, feature), a new one if it has none; there must be room for it."""
    key = (np.int64(base) << 32) | np.int64(feature)
    mask = np.uint64(table.shape[0] - 1)
    h = spread(key) & mask
    while table[h] >= 0 and keys[np.uint64(table[h])] != key:
        h = (h + np.uint64(1)) & mask
    if table[h] < 0:
        n = count[0]
        keys[np.uint64(n)] = key
        table[h] = np.int32(n)
        count[0] = n + 1
    return np.uint64(table[h])


@fused
def _earlier(word: Any, shift: Any, goals: Any) -> Any:
    """A word with goals + 1 at a shift, if it has more there or nothing."""
    half = np.int64(0xFFFFFFFF)
    before = (word >> shift) & half
    if before == 0 or goals + 1 < before:
        word = (word & ~(half << shift)) | ((goals + 1) << shift)
    return word


@tight
def _room(
    v: Any, s: Any, bases: Any, views: Any, groups: Any, view_heads: Any, heads: Any, pool: Any, pool_state: Any,
    keys: Any, count: Any, buckets: Any, used: Any,
) -> Any:  # fmt: skip
    """DONE if a view of session s can end without anything growing, else what lacks."""
    q = np.uint64(views[v, V_GROUP])
    lines = groups[q + np.uint64(1)] - groups[q]
    more = bases * (view_heads[v, 2] + 1)
    if count[0] + more + bases * lines > keys.shape[0]:
        return NO_CELL
    if used[0] + 2 * (more + bases * lines) > buckets.shape[0]:
        return NO_HISTOGRAM
    words = bases << _class_of(lines << BLOCK_WIDE)
    if not entries.spare(pool, pool_state, heads, s, more, SESSION_WIDE, words):
        return NO_SESSION
    return DONE


@fused
def _counted(e: Any, c: Any, view_pool: Any, fields: Any, directory: Any, buckets: Any, used: Any) -> None:
    """Count what an entry of a view says under a cell."""
    state = view_pool[e + np.uint64(E_STATE)]
    row = fields[c]
    row[C_VIEWS] += np.int64((state & (EXPOSED | CLICKED)) != 0)
    row[C_MS] += view_pool[e + np.uint64(E_MS)]
    row[C_HOVER] += view_pool[e + np.uint64(E_HOVER)]
    row[C_HOVERED] += np.int64((state & HOVERED) != 0)
    if state & CLICKED:
        clicks = view_pool[e + np.uint64(E_CLICKS)]
        row[C_CLICKED] += 1
        row[C_CLICKS] += clicks
        if not state & EXPOSED:
            row[C_UNEXPOSED] += clicks
        histogram.add(directory, buckets, used, 2 * c, view_pool[e + np.uint64(E_FIRST)] - 1)
        hesitation = view_pool[e + np.uint64(E_POINTER)] - 1
        if hesitation >= 0:
            histogram.add(directory, buckets, used, 2 * c + np.uint64(1), hesitation)


@fused
def _told(word: Any, state: Any) -> Any:
    """A session's word of goals with those of a view."""
    if state & EXPOSED:
        word = _earlier(word, 32, (state >> BITS) & _MASK)
    if state & CLICKED:
        word = _earlier(word, 0, (state >> (BITS + GOALS)) & _MASK)
    return word


@tight
def _end(
    v: Any, s: Any, views: Any, groups: Any, of_group: Any, view_heads: Any, view_pool: Any, view_state: Any,
    heads: Any, pool: Any, pool_state: Any, table: Any, keys: Any, count: Any, fields: Any, pages: Any,
    first_cell: Any, directory: Any, buckets: Any, used: Any,
) -> None:  # fmt: skip
    """Count a view, and let go of its entries."""
    q = views[v, V_GROUP]
    of = groups[np.uint64(q)]
    lines = groups[np.uint64(q + 1)] - of
    block = views[v, V_BLOCK]
    for b in range(2):
        base = views[v, np.uint64(V_BASE + b)]
        if base < 0:
            continue
        pages[np.uint64(base), P_VIEWS] += 1
        pages[np.uint64(base), P_CLICKS] += views[v, V_CLICKS]
        p = entries.place(pool, pool_state, heads, s, -base - 1, SESSION_WIDE)
        pool[p + np.uint64(S_VIEWS)] += 1
        if lines > 0 and pool[p + np.uint64(S_BLOCK)] == 0:
            pool[p + np.uint64(S_BLOCK)] = take(pool, pool_state, _class_of(lines << BLOCK_WIDE)) + 1
            pool[p + np.uint64(S_GROUP)] = q
        own = pool[p + np.uint64(S_BLOCK)] - 1
        if lines > 0 and first_cell[np.uint64(base)] < 0:
            first_cell[np.uint64(base)] = count[0]
            for j in range(lines):
                keys[np.uint64(count[0] + j)] = (base << 32) | np.int64(of_group[np.uint64(of + j)])
            count[0] += lines
        for j in range(lines):
            e = np.uint64(block + (j << VIEW_WIDE))
            state = view_pool[e + np.uint64(E_STATE)]
            if state & (EXPOSED | CLICKED | HOVERED) == 0 and view_pool[e + np.uint64(E_MS)] == 0:
                continue
            _counted(
                e, np.uint64(first_cell[np.uint64(base)] + j), view_pool, fields, directory, buckets, used
            )  # fmt: skip
            if state & (EXPOSED | CLICKED):
                p = np.uint64(own + (j << BLOCK_WIDE))
                pool[p + np.uint64(B_VIEWS)] += 1 + (np.int64((state & CLICKED) != 0) << CLICKED_AT)
                pool[p + np.uint64(B_GOALS)] = _told(pool[p + np.uint64(B_GOALS)], state)
        for i in range((np.int64(1) << view_heads[v, 1]) if view_heads[v, 1] > 0 else 0):
            e = np.uint64(view_heads[v, 0] + (i << VIEW_WIDE))
            key = view_pool[e]
            if key == 0 or key >> 32 != 0:
                continue
            state = view_pool[e + np.uint64(E_STATE)]
            c = _cell_of(table, keys, count, base, key - 1)
            _counted(e, c, view_pool, fields, directory, buckets, used)
            if state & (EXPOSED | CLICKED):
                p = entries.place(pool, pool_state, heads, s, np.int64(c) + 1, SESSION_WIDE)
                pool[p + np.uint64(S_VIEWS)] += 1
                pool[p + np.uint64(S_CLICKED)] += np.int64((state & CLICKED) != 0)
                pool[p + np.uint64(S_GOALS)] = _told(pool[p + np.uint64(S_GOALS)], state)
    entries.free(view_pool, view_state, view_heads, v, VIEW_WIDE)
    if views[v, V_SIZE] > 0:
        give(view_pool, view_state, block, views[v, V_SIZE])
    views[v, V_BASE] = -1


@tight
def fold(
    order: Any, start: Any, ready: Any, slot: Any, run: Any, view: Any, time: Any, ms_mul: Any, ms_div: Any,
    flags: Any, kind: Any, dwell: Any, page: Any, base: Any, split: Any, feature: Any, scroll: Any, height: Any,
    width: Any, pointer: Any, touch_code: Any, weight: Any, acts: Any, least: Any, of_kind: Any, of_page: Any,
    of_feature: Any, rest: Any, table_of_page: Any, starts: Any, lines: Any, locals_: Any, edges: Any, groups: Any,
    of_group: Any, runs: Any,
    windows: Any, views: Any, view_heads: Any, view_pool: Any, view_state: Any, goals: Any, heads: Any, pool: Any,
    pool_state: Any, table: Any, keys: Any, count: Any, fields: Any, pages: Any, first_cell: Any, directory: Any,
    buckets: Any, used: Any, user_lo: Any, user_hi: Any, users: Any,
) -> Any:  # fmt: skip
    """Add rows order[start:ready]. Columns of length 0 are absent; scroll is as the scan leaves it, without gaps.

    acts : codes of click, move, hidden and exposure. least : ms in one stretch. of_kind, of_page, of_feature, rest :
    goals, as steps of a funnel; rest[3]: there are some. table_of_page : the first table of a page's lines, last that
    of all other pages; a page has one for each width between edges, and one for an unknown width; starts : where a
    table's lines begin.
    Returns (position reached, reason to make room).
    """
    named = view.shape[0] > 0
    bases = np.int64(1) + np.int64(split.shape[0] > 0)
    for k in range(np.uint64(start), np.uint64(ready)):
        i = np.uint64(order[k])
        if slot[i] < 0:
            continue
        s = np.uint64(slot[i])
        r = np.uint64(run[i])
        v = np.uint64(view[i]) if named else r
        f = flags[i]
        code = kind[i]
        at = scroll[i]
        h = height[i]
        h = h if (h > 0.0) & (h < ABSURD) else windows[r, W_HEIGHT]
        w = width[i] if width.shape[0] else 0.0
        w = w if (w > 0.0) & (w < np.inf) else windows[r, W_WIDTH]
        moved = (at != windows[r, W_SCROLL]) | (h != windows[r, W_HEIGHT]) | (w != windows[r, W_WIDTH])
        moved |= (f & VIEW_CHANGE) != 0
        acting = (code == acts[0]) | (code == acts[1]) | (code == acts[3])
        begin = np.int64(0)
        end = np.int64(0)
        lined = np.int64(-1)
        if moved:
            p = np.int64(page[i]) if page.shape[0] else np.int64(0)
            if not f & NEW_VIEW:
                p = views[v, V_BASE] >> 1
            last = table_of_page.shape[0] - 1
            lined = np.int64(table_of_page[np.uint64(min(p, last))])
            e = np.int64(0)
            while e < edges.shape[0] and edges[np.uint64(e)] <= w:
                e += 1
            lined += e if w > 0.0 else np.int64(edges.shape[0] + 1)
            if h > 0.0:
                first = starts[np.uint64(lined)]
                behind = starts[np.uint64(lined + 1)]
                begin = first_from(lines, first, behind, at)
                end = first_from(lines, begin, behind, at + h)
        opens = (f & NEW_VIEW) != 0
        group = np.int64(0)
        size = np.int64(0)
        if opens:
            p = np.int64(page[i]) if page.shape[0] else np.int64(0)
            group = np.int64(table_of_page[np.uint64(min(p, table_of_page.shape[0] - 1))]) // (edges.shape[0] + 2)
            n_lines = groups[np.uint64(group + 1)] - groups[np.uint64(group)]
            size = _class_of(n_lines << VIEW_WIDE) if n_lines > 0 else np.int64(0)
        if opens | acting | (moved & named):
            more = 2 * (end - begin) * np.int64(named) + 2
            if not entries.spare(view_pool, view_state, view_heads, v, more, VIEW_WIDE, np.int64(1) << size):
                return np.int64(k), NO_ENTRY
        ends = not named and opens and views[v, V_BASE] >= 0
        if ends:
            lacks = _room(v, s, bases, views, groups, view_heads, heads, pool, pool_state, keys, count, buckets, used)
            if lacks != DONE:
                return np.int64(k), lacks

        # from here on the row is done as a whole
        if user_lo.shape[0] and users[s, 0] == 0 and users[s, 1] == 0:
            users[s, 0] = user_lo[i]
            users[s, 1] = user_hi[i]
        runs[r, R_CLOCK] += dwell[i]
        if runs[r, R_HOVER] >= 0:
            runs[r, R_HOVER_MS] += dwell[i]
        if rest[3]:
            # first, so that no row is later than itself
            steps = of_kind[np.uint64(code)] if code < of_kind.shape[0] else rest[0]
            p = np.int64(page[i]) if page.shape[0] else np.int64(0)
            steps &= of_page[np.uint64(p)] if page.shape[0] and p < of_page.shape[0] else rest[1]
            g = np.int64(feature[i]) if feature.shape[0] else np.int64(-1)
            steps &= of_feature[np.uint64(g)] if 0 <= g < of_feature.shape[0] else rest[2]
            goals[s] += np.int64(steps != 0)
        if f & VIEW_CHANGE:
            if runs[r, R_VIEW] >= 0:
                _out(r, named, locals_, least, runs, views, groups, of_group, view_pool, view_state, view_heads)
            if ends:
                _end(
                    v, s, views, groups, of_group, view_heads, view_pool, view_state, heads, pool, pool_state, table,
                    keys, count, fields, pages, first_cell, directory, buckets, used,
                )  # fmt: skip
            if opens:
                views[v, V_BASE] = 2 * np.int64(base[i])
                views[v, V_SPLIT] = 2 * np.int64(split[i]) + 1 if split.shape[0] else -1
                views[v, V_START] = millis(time[i], ms_mul, ms_div)
                views[v, V_CLICKS] = 0
                views[v, V_GROUP] = group
                views[v, V_SIZE] = size
                views[v, V_BLOCK] = take(view_pool, view_state, size) if size > 0 else 0
            runs[r, R_VIEW] = np.int64(v)
        if moved:
            _shift(
                r, v, named, begin, end, lined, locals_, least, goals[s], runs, views, view_pool, view_state, view_heads
            )  # fmt: skip
            windows[r, W_SCROLL] = at
            windows[r, W_HEIGHT] = h
            windows[r, W_WIDTH] = w
        if code == acts[2]:
            # nobody looks: what comes after is another stretch
            for j in range(np.uint64(runs[r, R_FROM]), np.uint64(runs[r, R_TO])):
                e = _line(v, r, named, locals_[j], views, view_pool, view_state, view_heads)
                _leave(e, _main(v, locals_[j], views), runs[r, R_CLOCK], least, view_pool)
                _enter(e, runs[r, R_CLOCK], goals[s], view_pool)
        if not acting:
            continue
        g = np.int64(feature[i]) if feature.shape[0] else np.int64(-1)
        since = millis(time[i], ms_mul, ms_div) - views[v, V_START]
        if code == acts[0]:
            n = weight[i] if weight.shape[0] else np.int64(1)
            views[v, V_CLICKS] += n
            if g >= 0:
                e = _of_feature(v, g, views, groups, of_group, view_pool, view_state, view_heads)
                view_pool[e + np.uint64(E_CLICKS)] += n
                if not view_pool[e + np.uint64(E_STATE)] & CLICKED:
                    view_pool[e + np.uint64(E_STATE)] |= CLICKED
                    view_pool[e + np.uint64(E_FIRST)] = since + 1
                    arrived = view_pool[e + np.uint64(E_POINTER)]
                    view_pool[e + np.uint64(E_POINTER)] = since + 1 - arrived + 1 if arrived > 0 else 0
                    _goals_at(view_pool, e, BITS + GOALS, goals[s])
        elif code == acts[3]:
            if g >= 0:
                before = np.int64(goals[s])
                local = _local(v, g, views, groups, of_group)
                if local >= 0:
                    e = _line(v, r, named, local, views, view_pool, view_state, view_heads)
                    if view_pool[e + np.uint64(E_ENTERED)] > 0:
                        # dated from when its line came in, as a stretch is
                        before = (view_pool[e + np.uint64(E_STATE)] >> BITS) & _MASK
                e = _of_feature(v, g, views, groups, of_group, view_pool, view_state, view_heads)
                _expose(e, before, view_pool)
            continue
        if g != runs[r, R_HOVER] and not (pointer.shape[0] and pointer[i] == touch_code):
            _point_at(g, r, v, runs, views, groups, of_group, view_pool, view_state, view_heads)
            if g >= 0:
                e = _of_feature(v, g, views, groups, of_group, view_pool, view_state, view_heads)
                view_pool[e + np.uint64(E_STATE)] |= HOVERED
                block = views[v, V_BLOCK]
                if views[v, V_SIZE] > 0 and block <= np.int64(e) < block + (np.int64(1) << views[v, V_SIZE]):
                    runs[r, R_HOVER_AT] = np.int64(e)
                if not view_pool[e + np.uint64(E_STATE)] & CLICKED:
                    view_pool[e + np.uint64(E_POINTER)] = since + 1
    return np.int64(ready), DONE


@tight
def leave(
    closing: Any, named: Any, locals_: Any, least: Any, groups: Any, of_group: Any, runs: Any, windows: Any, views: Any,
    pool: Any, pool_state: Any, heads: Any,
) -> None:  # fmt: skip
    """Closing runs: their lines go out, and the next run in their place knows no window."""
    for n in range(closing.shape[0]):
        r = np.uint64(closing[n])
        if runs[r, R_VIEW] >= 0:
            _out(r, named, locals_, least, runs, views, groups, of_group, pool, pool_state, heads)
        runs[r, R_CLOCK] = 0
        runs[r, R_VIEW] = -1
        windows[r, W_SCROLL] = 0.0
        windows[r, W_HEIGHT] = 0.0
        windows[r, W_WIDTH] = 0.0


@tight
def close_views(
    closing: Any, at: Any, owners: Any, bases: Any, groups: Any, of_group: Any, views: Any, view_heads: Any,
    view_pool: Any, view_state: Any, heads: Any, pool: Any, pool_state: Any, table: Any, keys: Any, count: Any,
    fields: Any, pages: Any, first_cell: Any, directory: Any, buckets: Any, used: Any,
) -> Any:  # fmt: skip
    """Closing views end, of the sessions `owners`. Returns (position reached, reason to make room)."""
    for n in range(at, closing.shape[0]):
        v = np.uint64(closing[n])
        if views[v, V_BASE] < 0:
            continue
        s = np.uint64(owners[n])
        lacks = _room(v, s, bases, views, groups, view_heads, heads, pool, pool_state, keys, count, buckets, used)
        if lacks != DONE:
            return n, lacks
        _end(
            v, s, views, groups, of_group, view_heads, view_pool, view_state, heads, pool, pool_state, table, keys,
            count, fields, pages, first_cell, directory, buckets, used,
        )  # fmt: skip
    return closing.shape[0], DONE


@fused
def _limbs(row: Any, at: Any, amount: Any) -> None:
    row[at] += amount & ((np.int64(1) << LIMB) - 1)
    row[at + 1] += amount >> LIMB


@fused
def _pass_on(key: Any, views: Any, clicked: Any, user: Any, out: Any, n_out: Any) -> None:
    row = out[np.uint64(n_out[0])]
    row[O_LOW] = user[0]
    row[O_HIGH] = user[1]
    row[O_KEY] = key
    row[O_VIEWS] = views
    row[O_CLICKED] = clicked
    n_out[0] += 1


@fused
def _once(
    key: Any, row: Any, seen: Any, clicked: Any, page_views: Any, told: Any, total: Any, user: Any, known: Any,
    out: Any, n_out: Any,
) -> None:  # fmt: skip
    """Count what a session did with a feature."""
    row[C_SESSIONS] += 1
    if known:
        _pass_on(key, seen, clicked, user, out, n_out)
    else:
        row[C_ALONE] += 1
        _limbs(row, C_SQUARES + 4, seen * seen)
        _limbs(row, C_SQUARES, clicked * clicked)
        _limbs(row, C_SQUARES + 2, clicked * seen)
        _limbs(row, C_SQUARES + 6, clicked * page_views)
    if clicked > 0:
        row[C_SESSIONS_CLICKED] += 1
        row[C_GOAL] += np.int64(total > (told & 0xFFFFFFFF) - 1)
    else:
        row[C_GOAL_UNCLICKED] += np.int64(total > (told >> 32) - 1)


@tight
def close(
    closing: Any, at: Any, goals: Any, groups: Any, heads: Any, pool: Any, pool_state: Any, keys: Any, fields: Any,
    pages: Any, first_cell: Any, users: Any, out: Any, n_out: Any,
) -> Any:  # fmt: skip
    """Closing sessions, whose views have ended: what is counted once a session, and the squares; out, n_out : what
    those of known users pass on. Returns (position reached, reason to make room)."""
    half = (np.int64(1) << CLICKED_AT) - 1
    for n in range(at, closing.shape[0]):
        s = np.uint64(closing[n])
        user = users[s]
        known = (user[0] != 0) | (user[1] != 0)
        first = heads[s, 0]
        entries_of = (np.int64(1) << heads[s, 1]) if heads[s, 1] > 0 else np.int64(0)
        if known:
            most = np.int64(0)
            for i in range(entries_of):
                e = np.uint64(first + (i << SESSION_WIDE))
                most += np.int64(pool[e] != 0)
                if pool[e] < 0 and pool[e + np.uint64(S_BLOCK)] > 0:
                    q = np.uint64(pool[e + np.uint64(S_GROUP)])
                    most += groups[q + np.uint64(1)] - groups[q]
            if n_out[0] + most > out.shape[0]:
                return n, NO_OUT
        total = np.int64(goals[s])
        goals[s] = 0
        for i in range(entries_of):
            e = np.uint64(first + (i << SESSION_WIDE))
            key = pool[e]
            if key == 0:
                continue
            views = pool[e + np.uint64(S_VIEWS)]
            if key > 0:
                base = keys[np.uint64(key - 1)] >> 32
                p = entries.place(pool, pool_state, heads, s, -base - 1, SESSION_WIDE)
                _once(
                    key, fields[np.uint64(key - 1)], views, pool[e + np.uint64(S_CLICKED)],
                    pool[p + np.uint64(S_VIEWS)], pool[e + np.uint64(S_GOALS)], total, user, known, out, n_out,
                )  # fmt: skip
                continue
            base = -key - 1
            row = pages[np.uint64(base)]
            row[P_SESSIONS] += 1
            if known:
                _pass_on(key, views, np.int64(0), user, out, n_out)
            else:
                row[P_ALONE] += 1
                _limbs(row, P_SQUARES, views * views)
            block = pool[e + np.uint64(S_BLOCK)] - 1
            if block < 0:
                continue
            q = np.uint64(pool[e + np.uint64(S_GROUP)])
            lines = groups[q + np.uint64(1)] - groups[q]
            for j in range(lines):
                p = np.uint64(block + (j << BLOCK_WIDE))
                both = pool[p + np.uint64(B_VIEWS)]
                if both != 0:
                    cell = first_cell[np.uint64(base)] + j
                    _once(
                        cell + 1, fields[np.uint64(cell)], both & half, both >> CLICKED_AT, views,
                        pool[p + np.uint64(B_GOALS)], total, user, known, out, n_out,
                    )  # fmt: skip
            give(pool, pool_state, block, _class_of(lines << BLOCK_WIDE))
        user[0] = 0
        user[1] = 0
        entries.free(pool, pool_state, heads, s, SESSION_WIDE)
    return closing.shape[0], DONE
