"""Maps of a source without sessions: one loop from a chunk's columns, as Arrow has them, to the counted tiles.

Without sessions a row needs no order and no memory of others, so nothing of a block is kept: times, kinds and points
are looked at in short stretches that stay in the first cache. (By blocks, with the leaves that sessions need, a row
cost 43 ns beside its decoding; this takes 7.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.intrinsics import store64
from heatgrid.cpu.jit import tight
from heatgrid.cpu.tiles import BUCKETS, CELL_BITS, LAYERS, UNKNOWN, WIDEST, tile_of

STRETCH = 2048
"""Rows looked at together; before each so many new tiles must have room."""
_SPREAD = (((np.arange(256)[:, None] >> np.arange(8)) & 1).astype(np.uint8)).view(np.uint64).ravel()
"""The bits of a byte as bytes."""


@tight
def _valid(bits: Any, offset: Any, start: Any, out: Any) -> None:
    """out[i] = the validity bit of row start + i, 1 where there are no bits. out : a multiple of 8 is written."""
    n = out.shape[0]
    if bits.shape[0] == 0:
        out[:] = 1
        return
    first = start + offset
    if first & 7 == 0:
        for k in range((n + 7) >> 3):
            store64(out, 8 * k, _SPREAD[bits[np.uint64((first >> 3) + k)]])
        return
    for i in range(n):
        j = np.uint64(first + i)
        out[i] = (bits[j >> np.uint64(3)] >> np.uint8(j & np.uint64(7))) & 1


@tight
def _in_time(time: Any, first: Any, last: Any, ok: Any, bounds: Any) -> Any:
    """ok[i] &= first <= time[i] < last; bounds widened by what is left of them. Returns how many that is."""
    found = np.int64(0)
    low = bounds[0]
    high = bounds[1]
    for i in range(ok.shape[0]):
        t = time[i]
        there = ok[i] & np.uint8(t >= first) & np.uint8(t < last)
        ok[i] = there
        found += there
        low = min(low, t if there else np.int64(2**63 - 1))
        high = max(high, t if there else np.int64(-(2**63)))
    bounds[0] = low
    bounds[1] = high
    return found


@tight
def _is_power(edge: Any) -> Any:
    """Is it a power of two that is far from the ends of float64."""
    whole = 2.0**-60
    while whole < edge:
        whole *= 2.0
    return whole == edge and edge < 2.0**60


@tight
def fold(
    start: Any, n: Any, time: Any, time_bits: Any, time_offset: Any, first: Any, last: Any, kind: Any, kind_bits: Any,
    kind_offset: Any, kind_codes: Any, no_kind: Any, layer_of_kind: Any, page: Any, page_bits: Any, page_offset: Any,
    page_codes: Any, no_page: Any, x: Any, x_bits: Any, x_offset: Any, y: Any, y_bits: Any, y_offset: Any, fixed: Any,
    bucket: Any, width: Any, touched: Any, x0: Any, y0: Any, cw: Any, ch: Any, nx: Any, ny: Any, n_tx: Any,
    scratch: Any, rows: Any, cells: Any, kind_counts: Any, bounds: Any, ledger: Any, table: Any, keys: Any, used: Any,
    counts: Any, stats: Any,
) -> Any:  # fmt: skip
    """Count rows [start, n) of a chunk in the tiles and by kind; ``bounds`` and ``ledger`` as the scan and the maps
    keep them.

    kind, page : dictionary indices, *_codes : by entry, no_* : of a null; of length 0: all rows are null. x of length
    0: no points. touched : is a row from a touch pointer (uint8); fixed, bucket, width, touched : length 0 if unknown.
    scratch : uint8 (4, STRETCH); rows : int32 of STRETCH; cells : int32 (2, STRETCH); counts : events by tile and cell.
    Returns (row to go on with once there is room for STRETCH
    tiles, or n; rows whose time is null or outside [first, last)).
    """
    bad = np.int64(0)
    # of a power of two the inverse is exact, and so is what it gives: a division takes 1.5 ns
    per_x = 1.0 / cw
    per_y = 1.0 / ch
    exact = _is_power(cw) and _is_power(ch)
    while start < n:
        if used[0] + STRETCH > keys.shape[0]:
            return start, bad
        m = min(n - start, np.int64(STRETCH))
        ok = scratch[0, :m]
        drawn = scratch[1, :m]
        there = scratch[2, :m]
        mark = scratch[3, :m]
        cell_x = cells[0]
        cell_y = cells[1]
        _valid(time_bits, time_offset, start, ok)
        good = _in_time(time[start : start + m], first, last, ok, bounds)
        bad += m - good
        if kind.shape[0]:
            _valid(kind_bits, kind_offset, start, there)
            end = np.uint32(kind_codes.shape[0] - 1)
            for i in range(m):
                code = np.int64(kind_codes[min(np.uint32(kind[start + i]), end)]) if there[i] else np.int64(no_kind)
                kind_counts[np.uint64(code)] += ok[i]
                drawn[i] = (layer_of_kind[np.uint64(code)] + 1) & -np.int64(ok[i])
        else:
            kind_counts[no_kind] += good
            every = np.int64(layer_of_kind[no_kind] + 1)
            for i in range(m):
                drawn[i] = every & -np.int64(ok[i])
        if x.shape[0] == 0:
            start += m
            continue
        if touched.shape[0]:
            for i in range(m):
                if drawn[i] == 2 and touched[start + i]:
                    drawn[i] = 0
        _valid(x_bits, x_offset, start, there)
        _valid(y_bits, y_offset, start, ok)
        some_x = x[start : start + m]
        some_y = y[start : start + m]
        for i in range(m):
            # of every row, by vectors (2.4 ns a row; of the listed ones one by one 4.7): is its point finite (1) and in
            # the grid (2), and its cell
            px = np.float64(some_x[i])
            py = np.float64(some_y[i])
            cx = np.floor((px - x0) * per_x if exact else (px - x0) / cw)
            cy = np.floor((py - y0) * per_y if exact else (py - y0) / ch)
            is_finite = (abs(px) < np.inf) & (abs(py) < np.inf)
            hit = is_finite & (cx >= 0.0) & (cx < nx) & (cy >= 0.0) & (cy < ny)
            cell_x[i] = np.int32(cx if hit else 0.0)
            cell_y[i] = np.int32(cy if hit else 0.0)
            mark[i] = np.uint8(is_finite) + np.uint8(hit)
        for i in range(m):
            mark[i] = mark[i] & -np.uint8((there[i] & ok[i]) & np.uint8(drawn[i] != 0))
        for layer in range(LAYERS):
            some = np.int64(0)
            finite = np.int64(0)
            hits = np.int64(0)
            for i in range(m):
                of_layer = np.uint8(drawn[i] == layer + 1)
                some += np.int64(of_layer)
                finite += np.int64(of_layer & np.uint8(mark[i] != 0))
                hits += np.int64(of_layer & (mark[i] >> np.uint8(1)))
            ledger[layer, 0] += some
            ledger[layer, 1] += hits
            ledger[layer, 2] += finite - hits
            ledger[layer, 3] += some - finite  # a null is as invalid as what is not finite
        inside = np.uint64(0)
        for i in range(m):
            rows[inside] = i
            inside += np.uint64(mark[i] >> np.uint8(1))
        for k in range(inside):
            at = np.int64(rows[k])
            row = np.uint64(start + at)
            base = np.int64(no_page)
            if page.shape[0]:
                j = np.int64(row) + page_offset
                if page_bits.shape[0] == 0 or (page_bits[j >> 3] >> (j & 7)) & 1:
                    base = np.int64(page_codes[np.uint64(np.uint32(page[row]))])
            number = (base * LAYERS + np.int64(drawn[at]) - 1) * 2
            if fixed.shape[0] and fixed[row]:
                number += 1
            of = np.int64(bucket[row]) if bucket.shape[0] else np.int64(UNKNOWN)
            number = number * BUCKETS + (of if of >= 0 else np.int64(UNKNOWN))
            ix = np.int64(cell_x[np.uint64(at)])
            iy = np.int64(cell_y[np.uint64(at)])
            tile = tile_of(table, keys, used, (number << CELL_BITS) | ((iy >> 4) * n_tx + (ix >> 4)))
            counts[np.uint64(tile), np.uint64(((iy & 15) << 4) | (ix & 15))] += 1
            if width.shape[0] and 0.0 < width[row] < 100_000.0:
                stats[np.uint64(number), WIDEST] = max(stats[np.uint64(number), WIDEST], np.int64(width[row]))
        start += m
    return start, bad
