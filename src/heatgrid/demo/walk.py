"""The leaf of the demo: a walk over all open sessions at once, always the one whose event is due next.

Every draw comes from one splitmix64 stream and tables of quantiles, so the same seed gives the same rows.
Counts are taken here from what is written, not from what was meant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from heatgrid.cpu.jit import inline, leaf

Array = npt.NDArray[Any]

PAGEVIEW, CLICK, MOVE, SCROLL, RESIZE, INPUT, HIDDEN, VISIBLE, ERROR = range(9)
DRAWS = 1024
"""Entries of a table of quantiles: ten random bits choose one."""
TEN = DRAWS - 1

HOUR, DAY = 3_600_000, 86_400_000
YEAR_9999 = 253_402_300_799_000
UNSEEN = -(2**62)
SLOT_BITS = 21
MAX_OPEN = 1 << SLOT_BITS
BOT_LEAST, BOT_SPREAD = 1_200, 1_200

NULL_TIME, NULL_SESSION, NULL_POINT = 1, 2, 4
(DIRTY_NULL_TIME, DIRTY_1970, DIRTY_9999, DIRTY_NULL_SESSION, DIRTY_NULL_POINT, DIRTY_NAN, DIRTY_INF, DIRTY_NEGATIVE,
 DIRTY_HALF, DIRTY_HUGE) = range(10)  # fmt: skip
DIRTY_TYPES = 10
N_TIES, N_RETURNING, N_MIDNIGHT, N_TWO_TAB, N_RESIZES, N_LATE, N_DUPLICATES, N_BOTS, N_DIRTY = range(9)

WORLD = np.dtype(
    [
        ("rng", "u8"), ("sessions", "i8"), ("begun", "i8"), ("open", "i8"), ("unassigned", "i8"), ("users", "i8"),
        ("bots_left", "i8"), ("bot_every", "i8"), ("next_start", "i8"), ("hour", "i8"), ("origin", "i8"),
        ("clock", "i8"), ("event", "i8"), ("written", "i8"), ("filled", "i8"), ("group", "i8"), ("codes", "i8"),
        ("late_at", "i8"), ("dirty_at", "i8"), ("duplicate_at", "i8"), ("dirty_type", "i8"),
        ("counts", "i8", (N_DIRTY + DIRTY_TYPES,)),
    ],
    align=True,
)  # fmt: skip
SLOT = np.dtype(
    [
        ("session", "i8"), ("user", "i8"), ("left", "i8"), ("done", "i8"), ("pause_at", "i8"), ("since", "i8"),
        ("seen", "i8"), ("first_day", "i8"), ("last", "i8"), ("other_last", "i8"), ("group", "i8"), ("code", "i4"),
        ("x", "f4"), ("y", "f4"), ("scroll", "i4"), ("other_scroll", "i4"), ("focus", "i4"), ("burst", "i4"),
        ("page", "i2"), ("other_page", "i2"), ("target", "i2"), ("screen_w", "i2"), ("screen_h", "i2"),
        ("bucket", "i1"), ("plan", "i1"), ("device", "i1"), ("account", "i1"), ("pointer", "i1"), ("release", "i1"),
        ("tab", "i1"), ("two_tab", "i1"), ("tabs_seen", "i1"), ("hidden", "i1"), ("leaving", "i1"), ("bot", "i1"),
        ("returned", "i1"), ("midnight", "i1"),
    ],
    align=True,
)  # fmt: skip


ROW = np.dtype(
    [
        ("time", "i8"), ("event", "i8"), ("code", "i4"), ("x", "f4"), ("y", "f4"), ("scroll", "i4"), ("page_h", "i4"),
        ("feature", "i2"), ("viewport_w", "i2"), ("viewport_h", "i2"), ("page", "i1"), ("kind", "i1"), ("tab", "i1"),
        ("nulls", "i1"),
    ],
    align=True,
)  # fmt: skip
"""A row as it is written; ``code`` is its session's entry in the row group."""
ENTRY = np.dtype(
    [
        ("session", "i8"), ("user", "i8"), ("account", "i1"), ("device", "i1"), ("pointer", "i1"), ("release", "i1"),
    ],
    align=True,
)  # fmt: skip
ID_LENGTH = 13
GOLDEN, MIX_1, MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
U1, U27, U30, U31 = np.uint64(1), np.uint64(27), np.uint64(30), np.uint64(31)


@inline
def mixed(z: Any) -> Any:
    z = (z ^ (z >> U30)) * MIX_1
    z = (z ^ (z >> U27)) * MIX_2
    return np.int64((z ^ (z >> U31)) >> U1)


@inline
def bits(w: Any) -> Any:
    """63 random bits."""
    w.rng += GOLDEN
    return mixed(w.rng)


@inline
def unit(w: Any) -> Any:
    return (bits(w) >> 10) * 2.0**-53


@inline
def sink(heap: Array, size: int, key: int) -> None:
    """Put ``key`` where the top was."""
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = key


@inline
def rise(heap: Array, i: int, key: int) -> None:
    while i > 0 and heap[(i - 1) >> 1] > key:
        heap[i] = heap[(i - 1) >> 1]
        i = (i - 1) >> 1
    heap[i] = key


@inline
def next_start(w: Any, starts: Array) -> None:
    """The next session starts in its share of the period, so that starts come sorted without a sort."""
    at = (w.begun + unit(w)) / w.sessions * starts[-1]
    while w.hour + 2 < len(starts) and starts[w.hour + 1] <= at:
        w.hour += 1
    low, high = starts[w.hour], starts[w.hour + 1]
    w.next_start = np.int64((w.hour + min((at - low) / (high - low), 0.999999)) * HOUR)


@inline
def length(w: Any, s: Any, t: Any) -> Any:
    """How many rows this session gets of those left; the last one gets them all."""
    left = w.sessions - w.begun
    spare = w.unassigned - left
    s.bot = w.bot_every > 0 and w.begun % w.bot_every == w.bot_every // 2
    if s.bot:
        w.bots_left -= 1
        return 1 + min(spare, BOT_LEAST + bits(w) % BOT_SPREAD)
    if left == 1:
        return w.unassigned
    fair = (w.unassigned - w.bots_left * (BOT_LEAST + BOT_SPREAD // 2)) / (left - w.bots_left) - 1.0
    return 1 + min(spare, np.int64(max(fair, 0.0) * t.lengths[bits(w) & TEN] + unit(w)))


@inline
def bucket_of(width: int) -> Any:
    return (width >= 600) + (width >= 1024) + (width >= 1440)


@inline
def look(w: Any, s: Any, t: Any) -> None:
    """Choose what the pointer wants next on this page."""
    page = s.page
    if page == t.special[2] and s.release >= t.special[3]:
        page = len(t.heights)
    s.target = t.targets[page, s.bucket, s.plan, bits(w) & TEN]


@inline
def begin(w: Any, s: Any, t: Any) -> None:
    s.session = w.begun
    s.left = length(w, s, t)
    w.unassigned -= s.left
    w.counts[N_BOTS] += s.bot and s.left >= BOT_LEAST
    u = unit(w)
    s.user = np.int64(w.users * u * np.sqrt(u))
    traits = mixed(np.uint64(s.user + 1) * GOLDEN)
    r = bits(w)
    s.account = t.accounts[traits & TEN]
    s.plan = t.plan_of[s.account]
    s.device = t.devices[s.plan, (traits >> 10) & TEN if r & 7 else (r >> 3) & TEN]
    s.pointer = 0 if s.device == 0 else 2 if s.device == 1 and (traits >> 20) & 7 == 0 else 1
    screen = (traits >> 24) & 7
    s.screen_w, s.screen_h = t.screens[s.device, screen, 0], t.screens[s.device, screen, 1]
    s.bucket = bucket_of(s.screen_w)
    s.release = 0
    while s.release + 1 < len(t.released) and t.released[s.release + 1] <= w.next_start:
        s.release += 1
    s.two_tab = (r >> 13) & 15 == 0 and not s.bot
    s.pause_at = s.left // 2 if (r >> 17) & 15 == 0 and not s.bot else -1
    s.page = t.landings[(r >> 21) & TEN]
    s.x, s.y = s.screen_w * 0.5, s.screen_h * 0.4
    s.done, s.scroll, s.tab, s.tabs_seen, s.hidden, s.burst = 0, 0, 0, 0, 0, 0
    s.focus, s.leaving, s.returned, s.midnight, s.group = -1, 1, 0, 0, -1
    s.other_page, s.last, s.other_last, s.seen, s.since = -1, UNSEEN, UNSEEN, UNSEEN, w.next_start
    w.begun += 1


@inline
def middle(s: Any, t: Any, axis: int) -> Any:
    """Of the target's box, in page px; axis 0 is x, 2 is y."""
    return 0.5 * (t.boxes[s.page, s.bucket, s.target, axis] + t.boxes[s.page, s.bucket, s.target, axis + 1])


@inline
def side(s: Any, t: Any, axis: int) -> Any:
    return t.boxes[s.page, s.bucket, s.target, axis + 1] - t.boxes[s.page, s.bucket, s.target, axis]


@inline
def kind_of(w: Any, s: Any, t: Any, r: int) -> Any:
    """What this session does now, and what that changes of the page, the tab and the window."""
    if s.leaving:
        kind = PAGEVIEW
    elif s.hidden:
        kind = VISIBLE
    elif s.burst:
        kind = CLICK
    elif s.two_tab and s.done == 3:
        kind = HIDDEN
    else:
        kind = t.kinds[min(s.device, 1), r & TEN]
    if kind == INPUT and s.focus < 0:
        kind = MOVE if s.device == 0 else SCROLL
    if kind == CLICK and not s.burst and not s.bot:
        top = middle(s, t, 2)
        if top < s.scroll + 8 or top > s.scroll + s.screen_h - 8:
            kind = SCROLL
    return kind


@inline
def scroll(w: Any, s: Any, t: Any, r: int, height: int) -> None:
    """A part of a window down, sometimes up; towards the target if that is below; the deeper the rarer."""
    deepest = height - s.screen_h
    reach = s.screen_h * (0.15 + 0.55 * ((r >> 10) & TEN) / DRAWS)
    depth = s.scroll / (deepest + 1.0)
    down = ((r >> 20) & TEN) / DRAWS < 0.92 - 0.55 * depth
    away = middle(s, t, 2) - s.scroll - s.screen_h * 0.45
    if (r >> 30) & 3 and abs(away) > s.screen_h * 0.5:
        s.scroll += np.int32(away)
    else:
        s.scroll += np.int32(reach if down else -reach)
    s.scroll = min(max(s.scroll, 0), deepest)


@inline
def folded(v: float, top: int) -> Any:
    """Into [0, top], turned back at the edges so that nothing heaps up there."""
    v = abs(v)
    return min(max(2 * top - v if v > top else v, 0.0), float(top))


@inline
def point(s: Any, t: Any, kind: int, r: int) -> None:
    """Where the pointer goes in the window: onto the target, towards it, or along the lines of a text (an F)."""
    near, far = t.normal[(r >> 10) & TEN], t.normal[(r >> 20) & TEN]
    chance = (r >> 30) & 15
    x, y = middle(s, t, 0), middle(s, t, 2) - s.scroll
    if s.bot:
        s.x, s.y = s.screen_w * (0.5 + 0.2 * near), s.screen_h * (0.5 + 0.2 * far)
    elif kind == CLICK:
        if s.burst:
            s.x, s.y = s.x + near, s.y + far
        elif chance == 0:
            s.x, s.y = s.x + 90 * near, s.y + 90 * far
        else:
            s.x, s.y = x + 0.17 * near * side(s, t, 0), y + 0.17 * far * side(s, t, 2)
    elif chance < 8 and 0 < y < s.screen_h:
        pull = 0.25 + 0.05 * chance
        s.x, s.y = s.x + pull * (x - s.x) + 14 * near, s.y + pull * (y - s.y) + 10 * far
    elif chance < 13:
        along = ((r >> 34) & TEN) / DRAWS
        if chance < 10:
            x, y = 0.08 + 0.70 * along, 0.17
        elif chance < 11:
            x, y = 0.08 + 0.42 * along, 0.38
        else:
            x, y = 0.11, 0.12 + 0.8 * along
        s.x += 0.75 * (x * s.screen_w - s.x) + 12 * near
        s.y += 0.75 * (y * s.screen_h - s.y) + 9 * far
    else:
        s.x, s.y = s.x + 45 * near, s.y + 45 * far
    s.x, s.y = folded(s.x, s.screen_w - 1), folded(s.y, s.screen_h - 1)


@inline
def hit(s: Any, t: Any, x: float, y: float) -> Any:
    """The feature whose box holds the point, or -1."""
    for k in range(t.features_of.shape[1]):
        if (
            t.boxes[s.page, s.bucket, k, 2] <= y < t.boxes[s.page, s.bucket, k, 3]
            and t.boxes[s.page, s.bucket, k, 0] <= x < t.boxes[s.page, s.bucket, k, 1]
        ):
            return np.int64(t.features_of[s.page, k])
    return np.int64(-1)


@inline
def step(w: Any, s: Any, t: Any, kind: int, r: int) -> Any:
    """Milliseconds to this session's next event."""
    if s.left <= s.pause_at:
        s.pause_at, s.leaving = -1, 1
        return HOUR + 120_000 + bits(w) % (19 * HOUR - 240_000)
    if s.bot:
        return 20 + (r & 15)
    if s.burst:
        return 150 + (r & 255)
    chance = (r >> 44) & 127
    if chance < 2:
        return 0
    row = kind
    if kind == HIDDEN:
        row = ERROR + 2
    elif chance < 10:
        row = ERROR + 1
    return np.int64(t.steps[row, (r >> 53) & TEN])


@inline
def spoil(w: Any, s: Any, row: Any) -> Any:
    """Make the row dirty, if one is due and this one can be; the types take turns."""
    kind = w.dirty_type
    if w.written < w.dirty_at or s.done == 0 or (kind >= DIRTY_NULL_POINT and row.nulls & NULL_POINT):
        return False
    if kind == DIRTY_NULL_TIME:
        row.nulls |= NULL_TIME
        row.time = UNSEEN
    elif kind == DIRTY_1970:
        row.time = 0
    elif kind == DIRTY_9999:
        row.time = YEAR_9999
    elif kind == DIRTY_NULL_SESSION:
        row.nulls |= NULL_SESSION
    elif kind == DIRTY_NULL_POINT:
        row.nulls |= NULL_POINT
    elif kind == DIRTY_NAN:
        row.x = np.nan
    elif kind == DIRTY_INF:
        row.y = np.inf
    elif kind == DIRTY_NEGATIVE:
        row.x = -1.0 - (bits(w) & TEN)
    elif kind == DIRTY_HALF:
        row.x = -0.5
    else:
        row.y = 1e30
    w.counts[N_DIRTY + kind] += 1
    w.dirty_at += 500 + (bits(w) & TEN)
    w.dirty_type = (kind + 1) % DIRTY_TYPES
    return True


@inline
def enter(w: Any, s: Any, entry: Any) -> None:
    """The session's entry in this row group; its place is its code."""
    entry.session, entry.user, entry.account = s.session, s.user, s.account
    entry.device, entry.pointer, entry.release = s.device, s.pointer, s.release
    s.code, s.group = w.codes, w.group
    w.codes += 1


@inline
def note(w: Any, s: Any, row: Any) -> None:
    """Count what a row shows of its session."""
    w.counts[N_RESIZES] += row.kind == RESIZE
    time = row.time
    valid = 0 < time < YEAR_9999
    if valid:
        w.counts[N_LATE] += time < w.clock
        w.clock = max(w.clock, time)
    if row.nulls & NULL_SESSION:
        return
    w.counts[N_TIES] += time == s.last and time != UNSEEN
    s.last = time
    if s.tabs_seen | (1 << s.tab) != s.tabs_seen:
        s.tabs_seen |= 1 << s.tab
        w.counts[N_TWO_TAB] += s.tabs_seen == 3
    if not valid:
        return
    day = time // DAY
    if s.seen == UNSEEN:
        s.first_day = day
    elif time - s.seen >= HOUR and not s.returned:
        s.returned = 1
        w.counts[N_RETURNING] += 1
    if day != s.first_day and not s.midnight:
        s.midnight = 1
        w.counts[N_MIDNIGHT] += 1
    s.seen = max(s.seen, time)


@inline
def act(w: Any, s: Any, t: Any, row: Any, now: int) -> Any:
    """Write the row of the session whose turn it is; ms to its next one."""
    r = bits(w)
    kind = kind_of(w, s, t, r)
    if kind == PAGEVIEW:
        if s.done > 0:
            s.page = t.transitions[s.page, (r >> 10) & TEN]
        s.leaving, s.scroll, s.focus = 0, 0, -1
        look(w, s, t)
    elif kind == RESIZE:
        if s.device == 0:
            s.screen_w, s.screen_h = t.screens[0, (r >> 10) & 7, 0], t.screens[0, (r >> 10) & 7, 1]
            s.bucket = bucket_of(s.screen_w)
        else:
            s.screen_h = t.screens[s.device, (r >> 10) & 7, 1]
    elif kind == VISIBLE:
        s.hidden = 0
    height = max(t.heights[s.page, s.bucket], s.screen_h)
    s.scroll = min(s.scroll, height - s.screen_h)
    feature = np.int64(-1)
    nulls = NULL_POINT
    if kind == SCROLL:
        scroll(w, s, t, r, height)
    elif kind == INPUT:
        feature = np.int64(s.focus)
    elif kind in (CLICK, MOVE):
        point(s, t, kind, r)
        nulls = 0
        row.x, row.y = s.x, s.y + s.scroll
        feature = hit(s, t, row.x, row.y)
        if kind == CLICK and feature == t.special[1]:
            kind = MOVE
    if kind == CLICK:
        s.focus = feature
        if s.burst:
            s.burst -= 1
        elif feature == t.special[0] and not s.bot:
            s.burst = 2 + ((r >> 40) & 3)
        else:
            s.leaving = feature >= 0 and (r >> 40) & 15 < 7
            look(w, s, t)
    row.time = now + w.origin
    row.kind, row.page, row.page_h, row.feature = kind, s.page, height, feature
    row.tab, row.scroll, row.nulls = s.tab, s.scroll, nulls
    row.viewport_w, row.viewport_h = (0, 0) if kind == ERROR else (s.screen_w, s.screen_h)
    row.event = w.event
    w.event += 1
    row.code = s.code
    if not spoil(w, s, row) and w.written >= w.late_at:
        late = w.clock - 1_000 - bits(w) % 29_000
        if late >= s.since + w.origin:
            row.time = late
            w.late_at += 500 + (bits(w) & TEN)
    note(w, s, row)
    s.done += 1
    s.left -= 1
    w.written += 1
    wait = step(w, s, t, kind, r)
    if wait >= HOUR:
        s.since = now + wait
    if kind == HIDDEN:
        s.hidden = 1
        if s.two_tab:
            s.tab ^= 1
            s.last, s.other_last = s.other_last, s.last
            s.scroll, s.other_scroll = s.other_scroll, s.scroll
            if s.other_page < 0:
                s.other_page, s.scroll, s.hidden, s.leaving = s.page, 0, 0, 1
            else:
                s.page, s.other_page = s.other_page, s.page
            s.focus = -1
            look(w, s, t)
    return wait


@inline
def repeated(w: Any, s: Any, row: Any) -> None:
    """The row before once more: the same event, sent twice."""
    w.counts[N_DUPLICATES] += 1
    note(w, s, row)
    s.left -= 1
    s.done += 1
    w.written += 1
    w.duplicate_at += 1_000 + (bits(w) & (2 * DRAWS - 1))


@leaf
def first_start(world: Array, starts: Array) -> None:
    next_start(world[0], starts)


@leaf
def walk(
    world: Array, slots: Array, heap: Array, free: Array, tables: Array, starts: Array, rows: Array, entries: Array
) -> int:
    """Fill ``rows`` (and the ``entries`` of their sessions) from ``world[0].filled`` on; returns the number filled.

    Stops when the rows are full, all sessions have ended, or no slot is free (then the caller makes more).
    ``heap`` holds (ms after the start << SLOT_BITS | slot) of the open sessions; ``free`` the slots not in use;
    ``starts`` the sessions begun, cumulative by hour. Everything else is a record: a record costs no reference count.
    """
    w, t = world[0], tables[0]
    n, cap = w.filled, len(rows)
    while n < cap and (w.open > 0 or w.begun < w.sessions):
        if w.begun < w.sessions and (w.open == 0 or w.next_start <= heap[0] >> SLOT_BITS):
            if w.open == len(slots):
                break
            i = np.int64(free[w.open])
            begin(w, slots[i], t)
            rise(heap, w.open, w.next_start << SLOT_BITS | i)
            w.open += 1
            next_start(w, starts)
            continue
        top = heap[0]
        i, now = top & (MAX_OPEN - 1), top >> SLOT_BITS
        s, row = slots[i], rows[n]
        if s.group != w.group:
            enter(w, s, entries[w.codes])
        dirty, late = w.dirty_at, w.late_at
        wait = act(w, s, t, row, now)
        n += 1
        plain = dirty == w.dirty_at and late == w.late_at and row.tab == s.tab
        if plain and w.written >= w.duplicate_at and n < cap and s.left > 0:
            rows[n] = rows[n - 1]
            repeated(w, s, rows[n])
            n += 1
        if s.left > 0:
            sink(heap, w.open, (now + wait) << SLOT_BITS | i)
        else:
            w.open -= 1
            free[w.open] = i
            sink(heap, w.open, heap[w.open])
    w.filled = n
    return int(n)


@leaf
def write_ids(numbers: Array, key: int, letter: int, out: Array) -> None:
    """``letter`` and twelve hex digits for each number below 2^48: distinct, and scattered like real ids."""
    low48 = (1 << 48) - 1
    for i in range(len(numbers)):
        z = (numbers[i] + key) & low48
        z = (z * 0x5DEECE66D + 11) & low48
        z = ((z ^ (z >> 25)) * 0x2545F4914F6D) & low48
        z ^= z >> 23
        out[i, 0] = letter
        for d in range(12):
            digit = (z >> (4 * d)) & 15
            out[i, 1 + d] = digit + (48 if digit < 10 else 87)
