"""Points resolved to their maps and written down, for a device to find their cells and to count them.

A row of the log is (map, session, x, y) and, where the source has them, its weight and its window's width. Sessions
have numbers of the log's own, from 1 on, that go to no other session before the log has been counted; 0 is for layers
whose sessions nobody counts. A point whose view has not told its width yet waits in a list of its view, as in tiles.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import fused, tight
from heatgrid.cpu.tiles import BUCKETS, CELL_BITS, LAYERS, UNKNOWN, count_event, tile_of

W_BASE, W_WEIGHT, W_NEXT = range(3)
DONE, FULL, NO_NUMBER, NO_WAITING, NO_TILE, NO_POOL = range(6)
TOLD, TOLD_UNKNOWN = 12, 8


@fused
def _who(s: Any, m: Any, want: Any, number: Any, free: Any, n_free: Any) -> Any:
    """The number of session s in the log, if the map's layer counts sessions."""
    if s < 0 or not want[(m // (2 * BUCKETS)) % LAYERS]:
        return np.uint32(0)
    if number[s] == 0:
        n_free[0] -= 1
        number[s] = free[n_free[0]]
    return np.uint32(number[s])


@tight
def _flush(
    v: Any, bucket: Any, s: Any, want: Any, number: Any, free: Any, n_free: Any, head: Any, waiting: Any, place: Any,
    unused: Any, used: Any, log_map: Any, log_who: Any, log_x: Any, log_y: Any, log_width: Any, log_weight: Any,
) -> Any:  # fmt: skip
    """Write down what waits in view v; False where the log is full first."""
    while head[v] >= 0:
        n = used[0]
        if n >= log_map.shape[0]:
            return False
        entry = head[v]
        m = waiting[entry, W_BASE] * BUCKETS + bucket
        log_map[n] = m
        log_who[n] = _who(s, m, want, number, free, n_free)
        log_x[n] = place[entry, 0]
        log_y[n] = place[entry, 1]
        if log_width.shape[0]:
            log_width[n] = 0
        if log_weight.shape[0]:
            log_weight[n] = waiting[entry, W_WEIGHT]
        used[0] = n + 1
        head[v] = waiting[entry, W_NEXT]
        waiting[entry, W_NEXT] = unused[0]
        unused[0] = entry
    return True


@tight
def stage(
    order: Any, start: Any, ready: Any, slot: Any, run: Any, view: Any, flags: Any, kind: Any, layer_of_kind: Any,
    pointer: Any, touch_code: Any, x: Any, y: Any, base: Any, bucket: Any, fixed: Any, width: Any, weight: Any,
    drawn: Any, want: Any, number: Any, free: Any, n_free: Any, head: Any, waiting: Any, place: Any, unused: Any,
    used: Any, log_map: Any, log_who: Any, log_x: Any, log_y: Any, log_width: Any, log_weight: Any,
) -> Any:  # fmt: skip
    """Write down the rows order[start:ready] that a layer draws.

    Columns of length 0 are absent: run: no sessions, and nothing waits; view: a view is its run. drawn: rows by layer.
    Returns (position, what to make room for).
    """
    for k in range(np.uint64(start), np.uint64(ready)):
        i = np.uint64(order[k])
        if slot[i] < 0:
            continue
        layer = np.int64(layer_of_kind[np.uint64(kind[i])])
        if layer == 1 and pointer.shape[0] and pointer[i] == touch_code:
            layer = np.int64(-1)
        told = flags.shape[0] != 0 and run.shape[0] != 0 and (flags[i] & TOLD) != 0
        if layer < 0 and not told:
            continue
        n = used[0]
        if n >= log_map.shape[0]:
            return np.int64(k), FULL
        s = np.int64(-1)
        v = np.int64(-1)
        if run.shape[0]:
            s = np.int64(slot[i])
            v = np.int64(view[i]) if view.shape[0] else np.int64(run[i])
            if n_free[0] < 1 and number[s] == 0:
                return np.int64(k), NO_NUMBER
            if told and head[v] >= 0:
                known = np.int64(UNKNOWN) if flags[i] & TOLD_UNKNOWN else np.int64(bucket[i])
                if not _flush(
                    v, known, s, want, number, free, n_free, head, waiting, place, unused, used, log_map, log_who,
                    log_x, log_y, log_width, log_weight,
                ):  # fmt: skip
                    return np.int64(k), FULL
                n = used[0]
                if n >= log_map.shape[0]:
                    return np.int64(k), FULL
        if layer < 0:
            continue
        m = (np.int64(base[i]) * LAYERS + layer) * 2
        if fixed.shape[0] and fixed[i]:
            m += 1
        w = weight[i] if weight.shape[0] else np.int64(1)
        b = np.int64(bucket[i]) if bucket.shape[0] else np.int64(UNKNOWN)
        if b < 0 and v >= 0:
            entry = unused[0]
            if entry < 0:
                return np.int64(k), NO_WAITING
            unused[0] = waiting[entry, W_NEXT]
            waiting[entry, W_BASE] = m
            waiting[entry, W_WEIGHT] = w
            waiting[entry, W_NEXT] = head[v]
            place[entry, 0] = x[i]
            place[entry, 1] = y[i]
            head[v] = entry
            drawn[layer] += 1
            continue
        m = m * BUCKETS + (np.int64(UNKNOWN) if b < 0 else b)
        drawn[layer] += 1
        log_map[n] = m
        log_who[n] = _who(s, m, want, number, free, n_free)
        log_x[n] = x[i]
        log_y[n] = y[i]
        if log_width.shape[0]:
            known_width = width.shape[0] != 0 and 0.0 < width[i] < 100_000.0
            log_width[n] = np.int64(width[i]) if known_width else 0
        if log_weight.shape[0]:
            log_weight[n] = w
        used[0] = n + 1
    return np.int64(ready), DONE


@tight
def end(
    views: Any, start: Any, session_of_view: Any, want: Any, number: Any, free: Any, n_free: Any, head: Any,
    waiting: Any, place: Any, unused: Any, used: Any, log_map: Any, log_who: Any, log_x: Any, log_y: Any,
    log_width: Any, log_weight: Any,
) -> Any:  # fmt: skip
    """Views of closing sessions that never told their width: what waits goes to `unknown`."""
    for k in range(start, views.shape[0]):
        v = np.int64(views[k])
        s = np.int64(session_of_view[k])
        if head[v] < 0:
            continue
        if n_free[0] < 1 and number[s] == 0:
            return k, NO_NUMBER
        if not _flush(
            v, UNKNOWN, s, want, number, free, n_free, head, waiting, place, unused, used, log_map, log_who, log_x,
            log_y, log_width, log_weight,
        ):  # fmt: skip
            return k, FULL
    return views.shape[0], DONE


@tight
def add(
    start: Any, who: Any, codes: Any, sums: Any, nx: Any, cells: Any, n_tx: Any, table: Any, keys: Any, used: Any,
    counts: Any, stats: Any, heads: Any, pool: Any, pool_state: Any,
) -> Any:  # fmt: skip
    """Add what was counted to the tiles, from `start` on: code = map * cells + cell. Returns (position, reason)."""
    for n in range(np.uint64(start), np.uint64(codes.shape[0])):
        m = codes[n] // cells
        cell = codes[n] - m * cells
        iy = cell // nx
        ix = cell - iy * nx
        row = tile_of(table, keys, used, (m << CELL_BITS) | ((iy >> 4) * n_tx + (ix >> 4)))
        if row < 0:
            return np.int64(n), NO_TILE
        s = np.int64(who[n]) - 1
        if not count_event(m, row, iy, ix, sums[n], s, nx, counts, stats, heads, pool, pool_state):
            return np.int64(n), NO_POOL
    return np.int64(codes.shape[0]), DONE
