"""Scroll: how far down each view was seen, and how long every height of a page was in the window.

Where a window stands changes with few rows; all others only add their time. So a run keeps its stay (scroll, window,
key, ms so far), which is added to the curve when it ends: two ends of a band, summed up at the very end. What needs
the width bucket of a view that has not told it yet waits in a list of the view.

A key is base * BUCKETS + bucket, base that of (page, segment, period); counters lie in tiles of 64, of which only those
that were hit are there. Curves are in bands of ``band`` px, counted at the first px of each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import sets
from heatgrid.cpu.histogram import octave_of
from heatgrid.cpu.jit import fused, tight
from heatgrid.cpu.tiles import BUCKETS, UNKNOWN, tile_of

R_SCROLL, R_HEIGHT, R_PAGE, R_WIDTH, R_BASE, R_MS, R_VIEW = range(7)
RUN_FIELDS = 8
"""Where the window of a run stands: all float64, so that a row compares one cache line; 0 is an unknown size."""
V_BASE, V_BUCKET, V_WAITING, V_REACH, V_FOLD, V_FIRST, V_LONGEST, V_DEEPEST, V_TALLEST, V_LAST = range(10)
VIEW_FIELDS = 16
"""An open view (base -1: none): reach and fold (-1: no window yet); page height at first (-1: it has grown) and at
most; scroll at most; window at most and last."""
W_BASE, W_FROM, W_TO, W_COUNT, W_NEXT = range(5)
WAIT_FIELDS = 5
"""What waits: a stay of W_COUNT ms, or (from -1) a click of that weight, W_TO 1 if below the fold."""

T_VIEWS, T_UNSEEN, T_GROWN, T_CLICKS, T_BELOW, T_SEEN = range(6)
TOTALS = 8
"""Counters of a key: one line."""
BANDS, FOLD, REACH, PAGE, SNOWPLOW, POSTHOG = range(6)
"""Planes of tiles: bands; histograms of folds, reaches and page heights (px); views by the scroll share of Snowplow
(0 to 100), and by PostHog's bucket (hundreds of px)."""
ATTENTION, VIEWS, SESSIONS = range(3)
"""Of a band: by how much attention changes there (ms); views and sessions that reach into it, no farther."""
PER_BAND = 4
NUMBER_BITS, PLANE_BITS = 18, 3
COUNTER_BITS = NUMBER_BITS + 6
_NEAR = np.array([0, 64, 78, 92, 106, 108, 128])
NEAR = 128
"""Where the first tiles of each plane stand in a key's line of ``near`` (row + 1, 0: none yet); those behind, of pages
of more than 1,024 bands, are looked up in a table."""
TILE = 64
"""Counters of a tile: 16 bands, or 64 numbers of a histogram."""
DEEPEST = 262_144.0
"""The end of the canvas: what reaches farther is counted there."""
ABSURD = 100_000.0
"""No window is this high."""
MOST_TILES = 16
"""More than a row can begin: the end of a stay and of a view."""
NEW_VIEW, VIEW_CHANGE, TELLS, ENDED_UNKNOWN = 1, 2, 12, 8
LOG_FIELDS = 8
"""Where ``near`` has no tiles, ``counts`` (float64) is a log for a GPU: a stay as 2 * key, first band, band behind the
last, ms; an ended view as 2 * key + 1, reach, fold, page height, deepest scroll, tallest and last window, and the band
that its session had reached before. kernels/scroll.cu says what they count for, and ``replay`` does."""
DONE, NO_POOL, NO_TILE, NO_WAITING = range(4)


@tight
def _far(table: Any, keys: Any, used: Any, name: Any) -> Any:
    return tile_of(table, keys, used, name)


@fused
def _count(
    table: Any, keys: Any, counts: Any, used: Any, near: Any, key: Any, plane: Any, number: Any, amount: Any
) -> None:
    """Add to a counter; the caller has seen to the room for a new tile."""
    n = np.int64(number)
    tile = n >> 6
    name = (np.int64(key) << (NUMBER_BITS + PLANE_BITS)) | (np.int64(plane) << NUMBER_BITS) | tile
    if tile < _NEAR[plane + 1] - _NEAR[plane]:
        at = np.uint64(_NEAR[plane] + tile)
        row = np.int64(near[np.uint64(key), at]) - 1
        if row < 0:
            row = used[0]
            used[0] = row + 1
            keys[np.uint64(row)] = name
            near[np.uint64(key), at] = np.int32(row + 1)
    else:
        row = np.int64(_far(table, keys, used, name))
    counts[np.uint64(row), np.uint64(n & 63)] += amount


@fused
def _step(px: Any) -> Any:
    """The number of whole px in a histogram: exact below 128, then 64 steps an octave."""
    v = np.int64(px)
    octave = octave_of(v)
    return v if octave == 0 else (octave << 6) + (v >> (octave - 1)) - 64


@fused
def _wait(v: Any, base: Any, start: Any, stop: Any, count: Any, views: Any, waiting: Any, free: Any) -> None:
    entry = free[0]
    free[0] = waiting[entry, W_NEXT]
    free[1] -= 1
    waiting[entry, W_BASE] = np.int64(base)
    waiting[entry, W_FROM] = start
    waiting[entry, W_TO] = stop
    waiting[entry, W_COUNT] = count
    waiting[entry, W_NEXT] = np.int64(views[v, V_WAITING])
    views[v, V_WAITING] = entry


@fused
def _stay(
    table: Any, keys: Any, counts: Any, used: Any, near: Any, totals: Any, key: Any, start: Any, stop: Any, ms: Any
) -> None:
    """Two ends of a stay: attention rises by ms at the first band, and falls at the one behind the last."""
    totals[np.uint64(key), T_SEEN] += ms
    if near.shape[1] == 0:
        row = np.uint64(used[0])
        used[0] += 1
        counts[row, 0] = 2 * key
        counts[row, 1] = start
        counts[row, 2] = stop
        counts[row, 3] = ms
    else:
        _ends(table, keys, counts, used, near, key, start, stop, ms)


@fused
def _ends(table: Any, keys: Any, counts: Any, used: Any, near: Any, key: Any, start: Any, stop: Any, ms: Any) -> None:
    for end in range(2):
        band = stop if end else start
        _count(table, keys, counts, used, near, key, BANDS, band * PER_BAND + ATTENTION, -ms if end else ms)


@fused
def _settle(
    r: Any,
    band: Any,
    runs: Any,
    views: Any,
    waiting: Any,
    free: Any,
    table: Any,
    keys: Any,
    used: Any,
    counts: Any,
    near: Any,
    totals: Any,
) -> None:
    """The time of a run's stay, to the bands whose first px was in the window."""
    if runs[r, R_MS] > 0.0 and runs[r, R_HEIGHT] > 0.0:
        top = min(max(runs[r, R_SCROLL], 0.0), DEEPEST)
        end = min(max(runs[r, R_SCROLL] + runs[r, R_HEIGHT], 0.0), DEEPEST)
        start = np.int64(np.ceil(top / band))
        stop = np.int64(np.ceil(end / band))
        if start < stop:
            v = np.uint64(runs[r, R_VIEW])
            ms = np.int64(runs[r, R_MS])
            if views[v, V_BUCKET] < 0.0:
                _wait(v, runs[r, R_BASE], start, stop, ms, views, waiting, free)
            else:
                key = np.int64(runs[r, R_BASE]) * BUCKETS + np.int64(views[v, V_BUCKET])
                _stay(table, keys, counts, used, near, totals, key, start, stop, ms)
    runs[r, R_MS] = 0.0


@fused
def _told(
    v: Any,
    bucket: Any,
    views: Any,
    waiting: Any,
    free: Any,
    table: Any,
    keys: Any,
    used: Any,
    counts: Any,
    near: Any,
    totals: Any,
) -> Any:
    """The bucket of a view: what waited for it is counted, one after the other, so that it can stop for room and go on
    (False)."""
    views[v, V_BUCKET] = bucket
    entry = np.int64(views[v, V_WAITING])
    while entry >= 0 and used[0] + MOST_TILES <= keys.shape[0]:
        key = waiting[entry, W_BASE] * BUCKETS + np.int64(bucket)
        if waiting[entry, W_FROM] >= 0:
            _stay(
                table, keys, counts, used, near, totals, key, waiting[entry, W_FROM], waiting[entry, W_TO],
                waiting[entry, W_COUNT],
            )  # fmt: skip
        else:
            totals[np.uint64(key), T_CLICKS] += waiting[entry, W_COUNT]
            totals[np.uint64(key), T_BELOW] += waiting[entry, W_COUNT] * waiting[entry, W_TO]
        views[v, V_WAITING] = waiting[entry, W_NEXT]
        waiting[entry, W_NEXT] = free[0]
        free[0] = entry
        free[1] += 1
        entry = np.int64(views[v, V_WAITING])
    return entry < 0


@fused
def _begin(v: Any, base: Any, bucket: Any, views: Any) -> None:
    views[v, V_BASE] = base
    views[v, V_BUCKET] = bucket
    views[v, V_WAITING] = -1.0
    views[v, V_REACH] = -1.0
    views[v, V_FOLD] = -1.0
    views[v, V_FIRST] = 0.0
    views[v, V_LONGEST] = 0.0
    views[v, V_DEEPEST] = 0.0
    views[v, V_TALLEST] = 0.0
    views[v, V_LAST] = 0.0


@fused
def _end(
    v: Any, s: Any, band: Any, views: Any, table: Any, keys: Any, used: Any, counts: Any, near: Any, totals: Any,
    heads: Any, pool: Any, pool_state: Any,
) -> None:  # fmt: skip
    """Count an ended view of session s."""
    key = np.int64(views[v, V_BASE]) * BUCKETS + np.int64(views[v, V_BUCKET])
    row = np.uint64(key)
    views[v, V_BASE] = -1.0
    reach = views[v, V_REACH]
    totals[row, T_VIEWS] += 1
    totals[row, T_GROWN] += np.int64(views[v, V_FIRST] < 0.0)
    totals[row, T_UNSEEN] += np.int64(reach < 0.0)
    if reach >= 0.0:
        level = np.int64(np.floor(reach / band))
        before = sets.raise_to(pool, pool_state, heads, s, key, level)
        if near.shape[1] == 0:
            at = np.uint64(used[0])
            used[0] += 1
            counts[at, 0] = 2 * key + 1
            counts[at, 1] = reach
            counts[at, 2] = views[v, V_FOLD]
            counts[at, 3] = views[v, V_LONGEST]
            counts[at, 4] = views[v, V_DEEPEST]
            counts[at, 5] = views[v, V_TALLEST]
            counts[at, 6] = views[v, V_LAST]
            counts[at, 7] = before
        else:
            _seen(
                key, level, before, reach, views[v, V_FOLD], views[v, V_LONGEST], views[v, V_DEEPEST],
                views[v, V_TALLEST], views[v, V_LAST], table, keys, used, counts, near,
            )  # fmt: skip


@fused
def _seen(
    key: Any, level: Any, before: Any, reach: Any, fold_at: Any, longest: Any, deepest: Any, tallest: Any, last: Any,
    table: Any, keys: Any, used: Any, counts: Any, near: Any,
) -> None:  # fmt: skip
    """Count a view that had a window."""
    # one after the other through one place: the code of a look-up is long
    for what in range(8):
        plane = np.int64(what)
        amount = np.int64(1)
        if what == FOLD:
            number = _step(fold_at)
        elif what == REACH:
            number = _step(reach)
        elif what == POSTHOG:
            # kept as sixteenths; rint is half to even
            steps = np.rint(min(deepest, DEEPEST) / 16.0) + np.rint(last / 16.0)
            number = np.int64(steps) * 16 // 100
        elif what == PAGE or what == SNOWPLOW:
            if longest <= 0.0:
                continue
            seen = min(min(deepest, longest) + tallest, longest)
            number = _step(longest) if what == PAGE else np.int64(np.floor(100.0 * seen / longest + 0.5))
        elif what == BANDS:
            number = level * PER_BAND + VIEWS
        elif before >= level:
            break
        else:
            # the session reaches farther than it did before
            plane = np.int64(BANDS)
            number = level * PER_BAND + SESSIONS
            if what > POSTHOG + 1:
                if before < 0:
                    break
                number = before * PER_BAND + SESSIONS
                amount = np.int64(-1)
        _count(table, keys, counts, used, near, key, plane, number, amount)


@tight
def fold(
    order: Any, start: Any, ready: Any, slot: Any, run: Any, view: Any, flags: Any, kind: Any, dwell: Any, base: Any,
    bucket: Any, width: Any, scroll: Any, height: Any, page_h: Any, y: Any, fixed: Any, weight: Any, click_kind: Any,
    band: Any, runs: Any, views: Any, waiting: Any, free: Any, table: Any, keys: Any, used: Any, counts: Any,
    near: Any, totals: Any, heads: Any, pool: Any, pool_state: Any,
) -> Any:  # fmt: skip
    """Add rows order[start:ready]. Columns of length 0 are absent; scroll is as the scan leaves it, without gaps.

    view of length 0: a view is its run. Returns (position reached, reason to make room).
    """
    named = view.shape[0] > 0
    for k in range(np.uint64(start), np.uint64(ready)):
        i = np.uint64(order[k])
        if slot[i] < 0:
            continue
        if used[0] + MOST_TILES > keys.shape[0]:
            return np.int64(k), NO_TILE
        if free[1] < 2:
            return np.int64(k), NO_WAITING
        s = np.uint64(slot[i])
        r = np.uint64(run[i])
        v = np.uint64(view[i]) if named else r
        f = flags[i]
        own = np.float64(bucket[i]) if bucket.shape[0] else np.float64(UNKNOWN)
        if f:
            ends = not named and (f & NEW_VIEW) != 0 and views[v, V_BASE] >= 0.0
            if ends and not sets.room_for_two(pool, pool_state, heads, s):
                return np.int64(k), NO_POOL
            if f & TELLS:
                tells = np.float64(UNKNOWN) if f & ENDED_UNKNOWN else own
                if not _told(v, tells, views, waiting, free, table, keys, used, counts, near, totals):
                    return np.int64(k), NO_TILE
        else:
            ends = False

        # from here on the row is done as a whole
        g = np.float64(base[i])
        at = scroll[i]
        h = height[i]
        h = h if (h > 0.0) & (h < ABSURD) else runs[r, R_HEIGHT]
        p = page_h[i] if page_h.shape[0] else 0.0
        if p > 0.0 and p < np.inf:
            p = min(p, DEEPEST)
        else:
            p = 0.0 if f & VIEW_CHANGE else runs[r, R_PAGE]
        w = width[i] if width.shape[0] else 0.0
        w = w if (w > 0.0) & (w < np.inf) else runs[r, R_WIDTH]
        runs[r, R_MS] += dwell[i]
        moved = (at != runs[r, R_SCROLL]) | (h != runs[r, R_HEIGHT]) | (p != runs[r, R_PAGE])
        if moved | (w != runs[r, R_WIDTH]) | (g != runs[r, R_BASE]) | ((f & VIEW_CHANGE) != 0):
            _settle(r, band, runs, views, waiting, free, table, keys, used, counts, near, totals)
            if f & NEW_VIEW:
                if ends:
                    _end(v, s, band, views, table, keys, used, counts, near, totals, heads, pool, pool_state)
                _begin(v, g, own, views)
            if p > 0.0:
                first = views[v, V_FIRST]
                if first == 0.0 or (first > 0.0 and w != runs[r, R_WIDTH]):
                    # another width lays the page out anew: no growth
                    views[v, V_FIRST] = p
                elif 5.0 * p > 6.0 * first and first > 0.0:
                    views[v, V_FIRST] = -1.0
                views[v, V_LONGEST] = max(views[v, V_LONGEST], p)
            views[v, V_DEEPEST] = max(views[v, V_DEEPEST], at)
            if h > 0.0:
                bottom = at + h
                if p > 0.0:
                    bottom = min(bottom, p)
                bottom = min(max(bottom, 0.0), DEEPEST)
                if views[v, V_FOLD] < 0.0:
                    views[v, V_FOLD] = bottom
                views[v, V_REACH] = max(views[v, V_REACH], bottom)
                views[v, V_TALLEST] = max(views[v, V_TALLEST], h)
                views[v, V_LAST] = h
            runs[r, R_SCROLL] = at
            runs[r, R_HEIGHT] = h
            runs[r, R_PAGE] = p
            runs[r, R_WIDTH] = w
            runs[r, R_BASE] = g
            runs[r, R_VIEW] = np.float64(v)

        if kind[i] == click_kind and y.shape[0] and not (fixed.shape[0] and fixed[i]) and abs(y[i]) < np.inf:
            fold_at = views[v, V_FOLD]
            if fold_at >= 0.0:
                count = weight[i] if weight.shape[0] else np.int64(1)
                below = np.int64(y[i] >= fold_at)
                if views[v, V_BUCKET] < 0.0:
                    _wait(v, g, np.int64(-1), below, count, views, waiting, free)
                else:
                    key = np.int64(base[i]) * BUCKETS + np.int64(views[v, V_BUCKET])
                    totals[np.uint64(key), T_CLICKS] += count
                    totals[np.uint64(key), T_BELOW] += count * below
    return np.int64(ready), DONE


@tight
def leave(
    closing: Any, at: Any, band: Any, runs: Any, views: Any, waiting: Any, free: Any, table: Any, keys: Any, used: Any,
    counts: Any, near: Any, totals: Any,
) -> Any:  # fmt: skip
    """The stays of closing runs end, from `at` on. Returns (position, reason to make room)."""
    for n in range(at, closing.shape[0]):
        if used[0] + MOST_TILES > keys.shape[0]:
            return n, NO_TILE
        if free[1] < 2:
            return n, NO_WAITING
        r = np.uint64(closing[n])
        _settle(r, band, runs, views, waiting, free, table, keys, used, counts, near, totals)
        runs[r, R_HEIGHT] = 0.0
        runs[r, R_WIDTH] = 0.0
        runs[r, R_BASE] = -1.0
    return closing.shape[0], DONE


@tight
def close(
    closing: Any, at: Any, owners: Any, band: Any, views: Any, waiting: Any, free: Any, table: Any, keys: Any,
    used: Any, counts: Any, near: Any, totals: Any, heads: Any, pool: Any, pool_state: Any,
) -> Any:  # fmt: skip
    """Closing views end, of the sessions `owners`; the same return."""
    for n in range(at, closing.shape[0]):
        v = np.uint64(closing[n])
        if views[v, V_BASE] < 0.0:
            continue
        if used[0] + MOST_TILES > keys.shape[0]:
            return n, NO_TILE
        s = np.uint64(owners[n])
        if not sets.room_for_two(pool, pool_state, heads, s):
            return n, NO_POOL
        if views[v, V_BUCKET] < 0.0 or views[v, V_WAITING] >= 0.0:
            bucket = np.float64(UNKNOWN) if views[v, V_BUCKET] < 0.0 else views[v, V_BUCKET]
            if not _told(v, bucket, views, waiting, free, table, keys, used, counts, near, totals):
                return n, NO_TILE
        _end(v, s, band, views, table, keys, used, counts, near, totals, heads, pool, pool_state)
    return closing.shape[0], DONE


@tight
def replay(log: Any, at: Any, stop: Any, band: Any, table: Any, keys: Any, used: Any, counts: Any, near: Any) -> Any:
    """Count logged rows [at, stop). Returns where the room for tiles ended, or stop."""
    for n in range(np.uint64(at), np.uint64(stop)):
        if used[0] + MOST_TILES > keys.shape[0]:
            return np.int64(n)
        key = np.int64(log[n, 0]) >> 1
        if np.int64(log[n, 0]) & 1 == 0:
            _ends(table, keys, counts, used, near, key, np.int64(log[n, 1]), np.int64(log[n, 2]), np.int64(log[n, 3]))
        else:
            reach = log[n, 1]
            level = np.int64(np.floor(reach / band))
            _seen(
                key, level, np.int64(log[n, 7]), reach, log[n, 2], log[n, 3], log[n, 4], log[n, 5], log[n, 6], table,
                keys, used, counts, near,
            )  # fmt: skip
    return np.int64(stop)


@tight
def add(names: Any, sums: Any, at: Any, table: Any, keys: Any, used: Any, counts: Any, near: Any) -> Any:
    """Add to counters by their names, from `at` on: (key << 3 | plane) << 24 | number. Returns where the room ended."""
    for n in range(np.uint64(at), np.uint64(names.shape[0])):
        if used[0] + MOST_TILES > keys.shape[0]:
            return np.int64(n)
        name = names[n]
        _count(
            table, keys, counts, used, near, name >> (COUNTER_BITS + PLANE_BITS), (name >> COUNTER_BITS) & 7,
            name & ((1 << COUNTER_BITS) - 1), sums[n],
        )  # fmt: skip
    return np.int64(names.shape[0])
