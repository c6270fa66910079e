"""Maps in tiles of 16 x 16 cells, allocated when first hit: thousands of tall pages cost what they use.

A map is (base * LAYERS + layer) * 2 + fixed) * BUCKETS + bucket, where base is the dense id of (page, segment,
period). A click whose view has not told its width yet waits in a list of its view, and is counted when it does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import sets
from heatgrid.cpu.jit import inline, leaf

SIDE = 16
CELLS = SIDE * SIDE
LAYERS = 2
BUCKETS = 5
UNKNOWN = 4
CELL_BITS = 36
WHOLE_MAP = (1 << CELL_BITS) - 1
"""The cell number that stands for the map itself in the sets of sessions."""
DONE, NO_POOL, NO_TILE, NO_WAITING = range(4)
EVENTS, SESSIONS, WIDEST = range(3)
STATS = 3
W_BASE, W_CELL, W_WEIGHT, W_NEXT = range(4)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@inline
def _tile(table: Any, keys: Any, used: Any, key: Any) -> Any:
    """Row of the tile (map << 36 | tile), -1 if it is new and there is no room."""
    mask = np.uint64(table.shape[0] - 1)
    h = ((np.uint64(key) * _GOLDEN) >> np.uint64(20)) & mask
    while table[h] >= 0 and keys[table[h]] != key:
        h = (h + np.uint64(1)) & mask
    row = np.int64(table[h])
    if row < 0:
        row = used[0]
        if row >= keys.shape[0]:
            return np.int64(-1)
        used[0] = row + 1
        keys[row] = key
        table[h] = row
    return row


@leaf
def rebuild(table: Any, keys: Any, count: Any) -> None:
    """Fill an empty (all -1) table anew from the keys."""
    mask = np.uint64(table.shape[0] - 1)
    for n in range(count):
        h = ((np.uint64(keys[n]) * _GOLDEN) >> np.uint64(20)) & mask
        while table[h] >= 0:
            h = (h + np.uint64(1)) & mask
        table[h] = n


@inline
def _count(
    m: Any, cell: Any, w: Any, s: Any, want_sessions: Any, tag: Any, nx: Any, n_tx: Any, table: Any, keys: Any,
    used: Any, events: Any, sessions: Any, stats: Any, heads: Any, pool: Any, pool_state: Any,
) -> Any:  # fmt: skip
    """One event of session s (-1: none) in a cell of map m. Safe to call again after making room."""
    iy = cell // nx
    ix = cell - iy * nx
    row = _tile(table, keys, used, (np.int64(m) << CELL_BITS) | ((iy >> 4) * n_tx + (ix >> 4)))
    if row < 0:
        return NO_TILE
    c = ((iy & 15) << 4) | (ix & 15)
    if want_sessions and s >= 0:
        whole = sets.add(pool, pool_state, heads, s, tag | (np.int64(m) << CELL_BITS) | WHOLE_MAP)
        if whole < 0:
            return NO_POOL
        stats[m, SESSIONS] += whole
        new = sets.add(pool, pool_state, heads, s, tag | (np.int64(m) << CELL_BITS) | cell)
        if new < 0:
            return NO_POOL
        sessions[row, c] += new
    events[row, c] += w
    stats[m, EVENTS] += w
    return DONE


@leaf
def fold(
    order: Any, start: Any, ready: Any, slot: Any, run: Any, view: Any, flags: Any, kind: Any,
    layer_of_kind: Any, base: Any, bucket: Any, own_width: Any, fixed: Any, pointer: Any, touch_code: Any, x: Any,
    y: Any, weight: Any,
    x0: Any, y0: Any, cw: Any, ch: Any, nx: Any, ny: Any, n_tx: Any, want_sessions: Any, tag: Any,
    waiting_head: Any, waiting: Any, waiting_free: Any, ledger: Any, table: Any, keys: Any, used: Any, events: Any,
    sessions: Any, stats: Any, heads: Any, pool: Any, pool_state: Any,
) -> Any:  # fmt: skip
    """Add rows order[start:ready] of the kinds that a layer draws.

    layer_of_kind: -1 not drawn, else the layer; want_sessions by layer; ledger[layer] = rows, used, outside,
    invalid. view of length 0: a view is its run; run of length 0: no sessions, each row's own bucket.
    waiting_head by view. Returns (position, reason).
    """
    for k in range(start, ready):
        i = order[k]
        s = np.int64(slot[i])
        if s < 0:
            continue
        b = np.int64(bucket[i]) if bucket.shape[0] else -1
        v = np.int64(-1)
        if run.shape[0]:
            v = np.int64(view[i]) if view.shape[0] else np.int64(run[i])
            f = flags[i]
            if f & 5 and waiting_head[v] >= 0:
                known = np.int64(UNKNOWN) if f & 1 else b
                reason = _flush(
                    v, known, s, want_sessions, tag, nx, n_tx, waiting_head, waiting, waiting_free, table, keys, used,
                    events, sessions, stats, heads, pool, pool_state,
                )  # fmt: skip
                if reason != DONE:
                    return k, reason
        layer = np.int64(layer_of_kind[kind[i]])
        if layer < 0 or (layer == 1 and pointer.shape[0] and pointer[i] == touch_code):
            continue
        px = x[i] - x0
        py = y[i] - y0
        fx = px / cw
        fy = py / ch
        if not (abs(x[i]) < np.inf and abs(y[i]) < np.inf):
            ledger[layer, 0] += 1
            ledger[layer, 3] += 1
            continue
        cx = np.floor(fx)
        cy = np.floor(fy)
        if not (0.0 <= cx < nx and 0.0 <= cy < ny):
            ledger[layer, 0] += 1
            ledger[layer, 2] += 1
            continue
        cell = np.int64(cy) * nx + np.int64(cx)
        w = weight[i] if weight.shape[0] else np.int64(1)
        m0 = (np.int64(base[i]) * LAYERS + layer) * 2
        if fixed.shape[0] and fixed[i]:
            m0 += 1
        if b < 0 and v >= 0 and bucket.shape[0]:
            n = waiting_free[0]
            if n < 0:
                return k, NO_WAITING
            waiting_free[0] = waiting[n, W_NEXT]
            waiting[n, W_BASE] = m0
            waiting[n, W_CELL] = cell
            waiting[n, W_WEIGHT] = w
            waiting[n, W_NEXT] = waiting_head[v]
            waiting_head[v] = n
        else:
            m = m0 * BUCKETS + (b if b >= 0 else UNKNOWN)
            reason = _count(
                m, cell, w, s if run.shape[0] else np.int64(-1), want_sessions[layer], tag, nx, n_tx, table, keys, used,
                events, sessions, stats, heads, pool, pool_state,
            )  # fmt: skip
            if reason != DONE:
                return k, reason
            if own_width.shape[0] and own_width[i] < 100_000.0:
                stats[m, WIDEST] = max(stats[m, WIDEST], np.int64(own_width[i]))
        ledger[layer, 0] += 1
        ledger[layer, 1] += 1
    return ready, DONE


@inline
def _flush(
    v: Any, bucket: Any, s: Any, want_sessions: Any, tag: Any, nx: Any, n_tx: Any, waiting_head: Any, waiting: Any,
    waiting_free: Any, table: Any, keys: Any, used: Any, events: Any, sessions: Any, stats: Any, heads: Any,
    pool: Any, pool_state: Any,
) -> Any:  # fmt: skip
    """Count what waits in a view, one after the other, so that it can stop for room and go on."""
    while waiting_head[v] >= 0:
        n = waiting_head[v]
        m0 = waiting[n, W_BASE]
        reason = _count(
            m0 * BUCKETS + bucket, waiting[n, W_CELL], waiting[n, W_WEIGHT], s, want_sessions[(m0 >> 1) % LAYERS], tag,
            nx, n_tx, table, keys, used, events, sessions, stats, heads, pool, pool_state,
        )  # fmt: skip
        if reason != DONE:
            return reason
        waiting_head[v] = waiting[n, W_NEXT]
        waiting[n, W_NEXT] = waiting_free[0]
        waiting_free[0] = n
    return DONE


@leaf
def close(
    views: Any, start: Any, session_of_view: Any, want_sessions: Any, tag: Any, nx: Any, n_tx: Any, waiting_head: Any,
    waiting: Any, waiting_free: Any, table: Any, keys: Any, used: Any, events: Any, sessions: Any, stats: Any,
    heads: Any, pool: Any, pool_state: Any,
) -> Any:  # fmt: skip
    """Views of closing sessions that never told their width: what waits goes to `unknown`."""
    for k in range(start, views.shape[0]):
        v = np.int64(views[k])
        reason = _flush(
            v, UNKNOWN, np.int64(session_of_view[k]), want_sessions, tag, nx, n_tx, waiting_head, waiting, waiting_free,
            table, keys, used, events, sessions, stats, heads, pool, pool_state,
        )  # fmt: skip
        if reason != DONE:
            return k, reason
    return views.shape[0], DONE
