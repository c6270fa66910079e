"""Counting points per cell, in two phases: a vectorised pass writes the cells of a run of points into a buffer that
stays in L1, then a scatter adds them to the counters.

Points without a cell go to sinks behind the counters, so that neither phase branches on them: `sink` is the number of
cells, SPREAD outside sinks follow, then SPREAD invalid ones (several, since adding to one place is a chain of waits).
`bits` is the validity bitmap from the first point on, or of length 0 where all are valid. Every `counts` is flat.
`buffer` is uint32 (BUFFER,), one a thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.cell import quotient, quotient_by_product, within
from heatgrid.cpu.intrinsics import prefetch
from heatgrid.cpu.jit import inline, leaf

SPREAD = 16
SINKS = 2 * SPREAD
BUFFER = 512
AHEAD = 24


@inline
def cells_by_product(x: Any, y: Any, ax: Any, ay: Any, sink: Any, out: Any) -> None:
    """Cells by reciprocals that cannot be wrong (cell.py, forms 1 and 2); `sink` for points without a cell."""
    row = np.uint32(ax.cells)
    for i in range(out.shape[0]):
        qx = quotient_by_product(np.float64(x[i]), ax)
        qy = quotient_by_product(np.float64(y[i]), ay)
        if within(qx, ax.cells) & within(qy, ay.cells):
            out[i] = np.uint32(np.int32(qy)) * row + np.uint32(np.int32(qx))
        else:
            out[i] = sink


@inline
def cells_by_checked_product(x: Any, y: Any, ax: Any, ay: Any, sink: Any, out: Any) -> Any:
    """The same for form 3. Returns whether any point may lie across an edge: then divide."""
    row = np.uint32(ax.cells)
    near = False
    for i in range(out.shape[0]):
        qx = quotient_by_product(np.float64(x[i]), ax)
        qy = quotient_by_product(np.float64(y[i]), ay)
        near |= (abs(qx - np.rint(qx)) < ax.near) | (abs(qy - np.rint(qy)) < ay.near)
        if within(qx, ax.cells) & within(qy, ay.cells):
            out[i] = np.uint32(np.int32(qy)) * row + np.uint32(np.int32(qx))
        else:
            out[i] = sink
    return near


@inline
def cells_by_quotient(x: Any, y: Any, ax: Any, ay: Any, sink: Any, out: Any) -> None:
    """Cells as defined."""
    row = np.uint32(ax.cells)
    for i in range(out.shape[0]):
        qx = quotient(np.float64(x[i]), ax)
        qy = quotient(np.float64(y[i]), ay)
        if within(qx, ax.cells) & within(qy, ay.cells):
            out[i] = np.uint32(np.int32(qy)) * row + np.uint32(np.int32(qx))
        else:
            out[i] = sink


@inline
def split_sinks(x: Any, y: Any, sink: Any, out: Any) -> None:
    """Tell outside from invalid, in the rare runs that hold such points, and spread them over the sinks."""
    missing = False
    for i in range(out.shape[0]):
        missing |= out[i] == sink
    if missing:
        for i in range(out.shape[0]):
            if out[i] == sink:
                vx = np.float64(x[i])
                vy = np.float64(y[i])
                lane = i & (SPREAD - 1)
                out[i] = sink + np.uint32(lane if (vx - vx == 0.0) & (vy - vy == 0.0) else SPREAD + lane)


@inline
def drop_nulls(bits: Any, start: Any, sink: Any, out: Any) -> None:
    """Points whose validity bit is 0 are invalid, whatever their bytes say; `start` is a multiple of 8."""
    n = out.shape[0]
    byte = start >> 3
    all_valid = (n & 7) == 0
    for i in range(n >> 3):
        all_valid &= bits[byte + i] == 255
    if not all_valid:
        for i in range(n):
            if not (bits[byte + (i >> 3)] >> (i & 7)) & 1:
                out[i] = sink + np.uint32(SPREAD + (i & (SPREAD - 1)))


@inline
def cells(x: Any, y: Any, bits: Any, start: Any, ax: Any, ay: Any, sink: Any, divide: Any, out: Any) -> Any:
    """Cells of the run of points that begins at row `start` of the bitmap. Returns whether it had to divide."""
    if not divide:
        if (ax.near < 0.0) & (ay.near < 0.0):
            cells_by_product(x, y, ax, ay, sink, out)
        else:
            divide = cells_by_checked_product(x, y, ax, ay, sink, out)
    if divide:
        cells_by_quotient(x, y, ax, ay, sink, out)
    split_sinks(x, y, sink, out)
    if bits.shape[0] != 0:
        drop_nulls(bits, start, sink, out)
    return divide


@inline
def add_groups(group: Any, cells_of_map: Any, n_groups: Any, sink: Any, out: Any) -> None:
    """Move each point that has a cell to the map of its group; groups outside [0, n_groups) are outside."""
    for i in range(out.shape[0]):
        if out[i] < sink:
            g = group[i]
            if (g >= 0) & (g < n_groups):
                out[i] += np.uint32(g) * cells_of_map
            else:
                out[i] = sink + np.uint32(i & (SPREAD - 1))


@inline
def divide_at_once(redone: Any, runs: Any) -> Any:
    """Whether so many runs touched an edge that trying the product first is a loss."""
    return runs >= 4 and 2 * redone > runs


@leaf
def count(x: Any, y: Any, bits: Any, ax: Any, ay: Any, counts: Any, copies: int, far: bool, buffer: Any) -> None:
    """Add 1 per point. counts holds `copies` (a power of two) grids one after the other, which neighbouring points take
    in turn, so that a hot cell does not wait for itself; `far` asks for cells ahead (grids beyond the cache)."""
    stride = np.uint32(counts.shape[0] // copies)
    sink = np.uint32(stride - SINKS)
    runs = 0
    redone = 0
    for a in range(0, x.shape[0], buffer.shape[0]):
        b = min(a + buffer.shape[0], x.shape[0])
        out = buffer[: b - a]
        redone += cells(x[a:b], y[a:b], bits, a, ax, ay, sink, divide_at_once(redone, runs), out)
        runs += 1
        if copies > 1:
            for i in range(out.shape[0]):
                counts[np.uint32(i & (copies - 1)) * stride + out[i]] += 1
        elif far:
            for i in range(min(AHEAD, out.shape[0])):
                prefetch(counts, np.uint64(out[i]))
            for i in range(out.shape[0] - AHEAD):
                prefetch(counts, np.uint64(out[i + AHEAD]))
                counts[out[i]] += 1
            for i in range(max(out.shape[0] - AHEAD, 0), out.shape[0]):
                counts[out[i]] += 1
        else:
            for i in range(out.shape[0]):
                counts[out[i]] += 1


@leaf
def count_groups(
    x: Any, y: Any, group: Any, bits: Any, ax: Any, ay: Any, n_groups: int, counts: Any, buffer: Any
) -> None:
    """Add 1 per point to the map of its group; counts is (n_groups, ny, nx) flat, then the sinks."""
    sink = np.uint32(counts.shape[0] - SINKS)
    cells_of_map = np.uint32(ax.cells * ay.cells)
    runs = 0
    redone = 0
    for a in range(0, x.shape[0], buffer.shape[0]):
        b = min(a + buffer.shape[0], x.shape[0])
        out = buffer[: b - a]
        redone += cells(x[a:b], y[a:b], bits, a, ax, ay, sink, divide_at_once(redone, runs), out)
        runs += 1
        add_groups(group[a:b], cells_of_map, n_groups, sink, out)
        for i in range(out.shape[0]):
            prefetch(counts, np.uint64(out[i]))
        for i in range(out.shape[0]):
            counts[out[i]] += 1


@leaf
def count_rows(
    x: Any,
    y: Any,
    group: Any,
    weight: Any,
    bits: Any,
    ax: Any,
    ay: Any,
    n_groups: int,
    first: int,
    values: Any,
    tally: Any,
    buffer: Any,
) -> None:
    """Add 1 (or the weight, where there are weights) for the points whose cell lies in
    [first, first + len(values)): several threads share one grid by taking a range of its rows each.

    group, weight : length 0 where there are none. A weight < 0 is invalid.
    tally : int64 (6,): used, outside, invalid points of the whole grid; the weights' sum as its high part, low 32 bits;
    the used points of the range.
    """
    sink = np.uint32(n_groups * np.int64(ax.cells * ay.cells))
    cells_of_map = np.uint32(ax.cells * ay.cells)
    runs = 0
    redone = 0
    lo = np.uint32(first)
    room = np.uint32(values.shape[0])
    for a in range(0, x.shape[0], buffer.shape[0]):
        b = min(a + buffer.shape[0], x.shape[0])
        out = buffer[: b - a]
        redone += cells(x[a:b], y[a:b], bits, a, ax, ay, sink, divide_at_once(redone, runs), out)
        runs += 1
        if weight.shape[0] != 0:
            for i in range(out.shape[0]):
                if weight[a + i] < 0:
                    out[i] = sink + np.uint32(SPREAD)
        if group.shape[0] != 0:
            add_groups(group[a:b], cells_of_map, n_groups, sink, out)
        total = np.int64(0)
        for i in range(out.shape[0]):
            c = out[i]
            if c >= sink:
                tally[1 if c < sink + np.uint32(SPREAD) else 2] += 1
                continue
            w = np.int64(1)
            if weight.shape[0] != 0:
                w = weight[a + i]
            total += w
            tally[0] += 1
            k = np.uint32(c - lo)
            if k < room:
                values[k] += w
                tally[5] += 1
        low = tally[4] + (total & 0xFFFFFFFF)
        tally[3] += (total >> 32) + (low >> 32)
        tally[4] = low & 0xFFFFFFFF


@leaf
def widen(counts: Any, copies: int, first: int, values: Any) -> None:
    """values += the private counters of the cells from `first` on, summed over their copies."""
    stride = counts.shape[0] // copies
    for c in range(copies):
        part = counts[c * stride + first : c * stride + first + values.shape[0]]
        for i in range(values.shape[0]):
            values[i] += np.int64(part[i])


@leaf
def sinks(counts: Any, copies: int) -> Any:
    """(outside, invalid) points of private counters."""
    stride = counts.shape[0] // copies
    outside = np.int64(0)
    invalid = np.int64(0)
    for c in range(copies):
        end = (c + 1) * stride
        for i in range(SPREAD):
            outside += np.int64(counts[end - SINKS + i])
            invalid += np.int64(counts[end - SPREAD + i])
    return outside, invalid


@leaf
def repeats(x: Any, y: Any, ax: Any, ay: Any, out: Any) -> Any:
    """How many of these points fall into the same cell as one of the two before them: the mark of a hotspot."""
    cells_by_quotient(x, y, ax, ay, np.uint32(np.int64(ax.cells * ay.cells)), out)
    same = 0
    for i in range(2, out.shape[0]):
        same += (out[i] == out[i - 1]) | (out[i] == out[i - 2])
    return same


@leaf
def fixed_point(weight: Any, scale: float, out: Any) -> None:
    """out = weight * scale rounded half to even; -1 where NaN, infinite, negative or above 2^53."""
    for i in range(weight.shape[0]):
        w = np.float64(weight[i]) * scale
        if weight[i] >= 0 and w <= 9007199254740992.0:
            out[i] = np.int64(np.rint(w))
        else:
            out[i] = -1


@leaf
def whole_weight(weight: Any, out: Any) -> None:
    """out = the integer weight; -1 where negative or above 2^53."""
    for i in range(weight.shape[0]):
        if weight[i] >= 0 and weight[i] <= 9007199254740992:
            out[i] = np.int64(weight[i])
        else:
            out[i] = -1
