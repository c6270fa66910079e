"""Maps in tiles of 16 x 16 cells, allocated when first hit: thousands of tall pages cost what they use.

A map is ((base * LAYERS + layer) * 2 + fixed) * BUCKETS + bucket, where base is the dense id of (page, segment,
period). A click whose view has not told its width yet waits in a list of its view, and is counted when it does.
``counts[tile, cell] = (events, sessions)``, side by side so that a click touches one line.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import sets
from heatgrid.cpu.ids import spread
from heatgrid.cpu.intrinsics import prefetch
from heatgrid.cpu.jit import fused, tight

SIDE = 16
CELLS = SIDE * SIDE
LAYERS = 2
BUCKETS = 5
UNKNOWN = 4
CELL_BITS = 36
WHOLE_MAP = (1 << CELL_BITS) - 1
"""The cell number that stands for the map itself in the sets of sessions."""
KEY = 1 << 62
"""Keys of the sets are never 0."""
DONE, NO_POOL, NO_TILE, NO_WAITING = range(4)
EVENTS, SESSIONS, WIDEST = range(3)
STATS = 3
WIDTHS, WIDTH_SHIFT = 4, 46
"""Windows kept of a map, the widest first, each with how many rows had it: width << shift | rows."""
W_BASE, W_CELL, W_WEIGHT, W_NEXT = range(4)
BATCH = 4096
"""Rows whose tiles are looked up before they are counted, so that their lines can be asked for."""
AHEAD, NEAR = 16, 8
"""Events between the request for a line and its use: of counters and of a session's head, then of the set behind it."""


@tight
def select(
    order: Any, ready: Any, slot: Any, flags: Any, kind: Any, layer_of_kind: Any, pointer: Any, touch_code: Any,
    x: Any, y: Any, x0: Any, y0: Any, cw: Any, ch: Any, nx: Any, ny: Any, ledger: Any, rows: Any, cells: Any,
) -> Any:  # fmt: skip
    """The rows that a layer draws inside the grid, in order, with their cells; and those that end a wait (cell -1).

    layer_of_kind : -1 not drawn, else the layer; ledger[layer] = rows, used, outside, invalid. Returns how many.
    """
    # kinds come in no order: the few rows that are drawn are gathered without a branch, then looked at
    found = np.uint64(0)
    for k in range(np.uint64(ready)):
        i = np.uint64(order[k])
        drawn = layer_of_kind[np.uint64(kind[i])] >= 0
        if flags.shape[0]:
            drawn |= (flags[i] & 12) != 0
        rows[found] = np.int64(i)
        found += np.uint64(drawn & (slot[i] >= 0))
    n = np.uint64(0)
    for k in range(found):
        i = np.uint64(rows[k])
        layer = np.int64(layer_of_kind[np.uint64(kind[i])])
        waits = flags.shape[0] and (flags[i] & 12) != 0
        if layer == 1 and pointer.shape[0] and pointer[i] == touch_code:
            layer = np.int64(-1)
        cell = np.int64(-1)
        if layer >= 0:
            ledger[np.uint64(layer), 0] += 1
            fx = (x[i] - x0) / cw
            fy = (y[i] - y0) / ch
            if not (abs(x[i]) < np.inf and abs(y[i]) < np.inf):
                ledger[np.uint64(layer), 3] += 1
            else:
                cx = np.floor(fx)
                cy = np.floor(fy)
                if 0.0 <= cx < nx and 0.0 <= cy < ny:
                    ledger[np.uint64(layer), 1] += 1
                    cell = (np.int64(cy) << 32) | np.int64(cx)
                else:
                    ledger[np.uint64(layer), 2] += 1
        if cell >= 0 or waits:
            rows[n] = np.int64(i)
            cells[n] = cell
            n += np.uint64(1)
    return np.int64(n)


@fused
def tile_of(table: Any, keys: Any, used: Any, key: Any) -> Any:
    """Row of the tile of this key (here: map << 36 | tile), -1 if it is new and there is no room."""
    mask = np.uint64(table.shape[0] - 1)
    h = spread(key) & mask
    while table[h] >= 0 and keys[np.uint64(table[h])] != key:
        h = (h + np.uint64(1)) & mask
    row = np.int64(table[h])
    if row < 0:
        row = used[0]
        if row >= keys.shape[0]:
            return np.int64(-1)
        used[0] = row + 1
        keys[np.uint64(row)] = key
        table[h] = row
    return row


@tight
def rebuild(table: Any, keys: Any, count: Any) -> None:
    """Fill an empty (all -1) table anew from the keys."""
    mask = np.uint64(table.shape[0] - 1)
    for n in range(count):
        h = spread(keys[n]) & mask
        while table[h] >= 0:
            h = (h + np.uint64(1)) & mask
        table[h] = n


@fused
def _keep_width(widths: Any, m: Any, w: Any) -> None:
    """So that rows can be taken out of a maximum: it is known as long as some row of a width that is kept is left."""
    k = np.uint64(0)
    while k < np.uint64(WIDTHS) and widths[m, k] >> WIDTH_SHIFT > w:
        k += np.uint64(1)
    if k == np.uint64(WIDTHS):
        return
    if widths[m, k] >> WIDTH_SHIFT == w:
        widths[m, k] += 1
        return
    last = np.uint64(WIDTHS - 1)
    while last > k:
        widths[m, last] = widths[m, last - np.uint64(1)]
        last -= np.uint64(1)
    widths[m, k] = (w << WIDTH_SHIFT) | 1


@tight
def locate(
    start: Any, stop: Any, rows: Any, cells: Any, kind: Any, layer_of_kind: Any, base: Any, bucket: Any, fixed: Any,
    own_width: Any, has_views: Any, n_tx: Any, table: Any, keys: Any, used: Any, stats: Any, widths: Any, maps: Any,
    tiles: Any,
) -> Any:  # fmt: skip
    """Map and tile of selected rows [start, stop); a row that waits for its width has tile -1 and the map without
    bucket. widths : of length 0 where they are not kept. Returns the position where the tiles ran out, or stop."""
    for n in range(np.uint64(start), np.uint64(stop)):
        i = np.uint64(rows[n])
        tiles[n] = -1
        maps[n] = -1
        if cells[n] < 0:
            continue
        m = (np.int64(base[i]) * LAYERS + layer_of_kind[np.uint64(kind[i])]) * 2
        if fixed.shape[0] and fixed[i]:
            m += 1
        b = np.int64(bucket[i]) if bucket.shape[0] else np.int64(UNKNOWN)
        if b < 0:
            if has_views:
                maps[n] = m
                continue
            b = np.int64(UNKNOWN)
        m = m * BUCKETS + b
        iy = cells[n] >> 32
        ix = cells[n] & 0xFFFFFFFF
        row = tile_of(table, keys, used, (m << CELL_BITS) | ((iy >> 4) * n_tx + (ix >> 4)))
        if row < 0:
            return np.int64(n)
        maps[n] = m
        tiles[n] = row
        if own_width.shape[0] and 0.0 < own_width[i] < 100_000.0:
            stats[np.uint64(m), WIDEST] = max(stats[np.uint64(m), WIDEST], np.int64(own_width[i]))
            if widths.shape[0]:
                _keep_width(widths, np.uint64(m), np.int64(own_width[i]))
    return np.int64(stop)


@fused
def count_event(
    m: Any, row: Any, iy: Any, ix: Any, w: Any, s: Any, nx: Any, counts: Any, stats: Any, heads: Any,
    pool: Any, pool_state: Any,
) -> Any:  # fmt: skip
    """One event of session s (-1: sessions are not counted). False: the pool must grow first, and nothing was done."""
    c = np.uint64(((iy & 15) << 4) | (ix & 15))
    tile = np.uint64(row)
    of_map = np.uint64(m)
    if s >= 0:
        who = np.uint64(s)
        if not sets.room_for_two(pool, pool_state, heads, who):
            return False
        key = KEY | (np.int64(m) << CELL_BITS)
        # a session that is new in the map is new in the cell, so the map is asked for only then
        if sets.add(pool, pool_state, heads, who, key | (iy * nx + ix)) == 1:
            counts[tile, c, 1] += 1
            stats[of_map, SESSIONS] += sets.add(pool, pool_state, heads, who, key | WHOLE_MAP)
    counts[tile, c, 0] += w
    stats[of_map, EVENTS] += w
    return True


@tight
def _flush(
    v: Any, bucket: Any, s: Any, want_sessions: Any, nx: Any, n_tx: Any, waiting_head: Any, waiting: Any,
    waiting_free: Any, table: Any, keys: Any, used: Any, counts: Any, stats: Any, heads: Any, pool: Any,
    pool_state: Any,
) -> Any:  # fmt: skip
    """Count what waits in a view, one after the other, so that it can stop for room and go on."""
    reason = DONE
    while waiting_head[v] >= 0 and reason == DONE:
        entry = waiting_head[v]
        m0 = waiting[entry, W_BASE]
        m = m0 * BUCKETS + bucket
        iy = waiting[entry, W_CELL] >> 32
        ix = waiting[entry, W_CELL] & 0xFFFFFFFF
        row = tile_of(table, keys, used, (m << CELL_BITS) | ((iy >> 4) * n_tx + (ix >> 4)))
        if row < 0:
            reason = NO_TILE
        else:
            who = s if want_sessions[(m0 >> 1) % LAYERS] else np.int64(-1)
            w = waiting[entry, W_WEIGHT]
            if not count_event(m, row, iy, ix, w, who, nx, counts, stats, heads, pool, pool_state):
                reason = NO_POOL
            else:
                waiting_head[v] = waiting[entry, W_NEXT]
                waiting[entry, W_NEXT] = waiting_free[0]
                waiting_free[0] = entry
    return reason


@tight
def fold(
    start: Any, stop: Any, rows: Any, cells: Any, maps: Any, tiles: Any, slot: Any, run: Any, view: Any, flags: Any,
    bucket: Any, weight: Any, nx: Any, n_tx: Any, want_sessions: Any, waiting_head: Any, waiting: Any,
    waiting_free: Any, table: Any, keys: Any, used: Any, counts: Any, stats: Any, heads: Any, pool: Any,
    pool_state: Any,
) -> Any:  # fmt: skip
    """Count selected rows [start, stop) that `locate` has placed.

    want_sessions by layer; view of length 0: a view is its run; run of length 0: no sessions; flags of length 0:
    nothing waits; waiting_head by view.
    Returns (position, reason to make room).
    """
    for n in range(np.uint64(start), np.uint64(stop)):
        far = n + np.uint64(AHEAD)
        if far < np.uint64(stop) and tiles[far] >= 0:
            c = (((cells[far] >> 32) & 15) << 4) | (cells[far] & 15)
            prefetch(counts, np.uint64((tiles[far] * CELLS + c) * 2))
            if run.shape[0]:
                prefetch(heads, np.uint64(slot[np.uint64(rows[far])]) * np.uint64(3))
        near = n + np.uint64(NEAR)
        if run.shape[0] and near < np.uint64(stop) and tiles[near] >= 0:
            of_map = KEY | (maps[near] << CELL_BITS)
            who = np.uint64(slot[np.uint64(rows[near])])
            prefetch(pool, sets.place(heads, who, of_map | ((cells[near] >> 32) * nx + (cells[near] & 0xFFFFFFFF))))
            prefetch(pool, sets.place(heads, who, of_map | WHOLE_MAP))
        i = np.uint64(rows[n])
        s = np.int64(-1)
        v = np.int64(-1)
        if run.shape[0]:
            s = np.int64(slot[i])
            v = np.int64(view[i]) if view.shape[0] else np.int64(run[i])
            if flags.shape[0] and flags[i] & 12 and waiting_head[np.uint64(v)] >= 0:
                known = np.int64(UNKNOWN) if flags[i] & 8 else np.int64(bucket[i])
                reason = _flush(
                    v, known, s, want_sessions, nx, n_tx, waiting_head, waiting, waiting_free, table, keys, used,
                    counts, stats, heads, pool, pool_state,
                )  # fmt: skip
                if reason != DONE:
                    return np.int64(n), reason
        if cells[n] < 0:
            continue
        w = weight[i] if weight.shape[0] else np.int64(1)
        iy = cells[n] >> 32
        ix = cells[n] & 0xFFFFFFFF
        m = maps[n]
        if tiles[n] < 0:
            entry = waiting_free[0]
            if entry < 0:
                return np.int64(n), NO_WAITING
            waiting_free[0] = waiting[entry, W_NEXT]
            waiting[entry, W_BASE] = m
            waiting[entry, W_CELL] = cells[n]
            waiting[entry, W_WEIGHT] = w
            waiting[entry, W_NEXT] = waiting_head[v]
            waiting_head[v] = entry
            continue
        if not want_sessions[np.uint64((m // (2 * BUCKETS)) % LAYERS)]:
            s = np.int64(-1)
        if not count_event(m, tiles[n], iy, ix, w, s, nx, counts, stats, heads, pool, pool_state):
            return np.int64(n), NO_POOL
    return np.int64(stop), DONE


@tight
def place_and_fold(
    start: Any, located: Any, stop: Any, rows: Any, cells: Any, kind: Any, layer_of_kind: Any, base: Any, fixed: Any,
    own_width: Any, maps: Any, tiles: Any, slot: Any, run: Any, view: Any, flags: Any, bucket: Any, weight: Any,
    nx: Any, n_tx: Any, widths: Any, want_sessions: Any, waiting_head: Any, waiting: Any, waiting_free: Any,
    table: Any, keys: Any, used: Any, counts: Any, stats: Any, heads: Any, pool: Any, pool_state: Any,
) -> Any:  # fmt: skip
    """Selected rows [start, stop), of which [start, located) have their tiles, BATCH after BATCH.

    One call for all of a block: each gives the interpreter away and waits for it again.
    Returns (rows counted, rows located, reason to make room).
    """
    at = np.int64(start)
    placed = np.int64(located)
    while at < stop:
        if placed == at:
            placed = locate(
                at, min(np.int64(stop), at + BATCH), rows, cells, kind, layer_of_kind, base, bucket, fixed, own_width,
                run.shape[0] != 0, n_tx, table, keys, used, stats, widths, maps, tiles,
            )  # fmt: skip
            if placed == at:
                return at, placed, NO_TILE
        at, reason = fold(
            at, placed, rows, cells, maps, tiles, slot, run, view, flags, bucket, weight, nx, n_tx, want_sessions,
            waiting_head, waiting, waiting_free, table, keys, used, counts, stats, heads, pool, pool_state,
        )  # fmt: skip
        if reason != DONE:
            return at, placed, reason
    return at, placed, DONE


@tight
def close(
    views: Any, start: Any, session_of_view: Any, want_sessions: Any, nx: Any, n_tx: Any, waiting_head: Any,
    waiting: Any, waiting_free: Any, table: Any, keys: Any, used: Any, counts: Any, stats: Any, heads: Any, pool: Any,
    pool_state: Any,
) -> Any:  # fmt: skip
    """Views of closing sessions that never told their width: what waits goes to `unknown`."""
    for k in range(start, views.shape[0]):
        v = np.int64(views[k])
        reason = _flush(
            v, UNKNOWN, np.int64(session_of_view[k]), want_sessions, nx, n_tx, waiting_head, waiting, waiting_free,
            table, keys, used, counts, stats, heads, pool, pool_state,
        )  # fmt: skip
        if reason != DONE:
            return k, reason
    return views.shape[0], DONE
