"""The first phase of binning: the cells of a run of points, by vector instructions, into a buffer that stays in L1.

Points without a cell get places behind the grid: `sink` + 0 .. SPREAD - 1 in turn, so that no later phase branches on
them (several, since adding to one place is a chain of waits). Which of them are invalid and not merely outside is
counted in the runs that hold any.

`bits` is the validity bitmap from the first point on, or of length 0 where all are valid; `group` has length 0 where
there are none. `flags` is uint8 (RUN,), and `words` the same memory as uint64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.cell import cell, is_near, product, quotient, single, within
from heatgrid.cpu.jit import tight

SPREAD = 16
RUN = 1024
PIECE = 128
"""Points that are done again together where one is near an edge in float32."""
SINGLE, SINGLE_NEAR, DOUBLE, DOUBLE_NEAR, DIVIDE = range(5)
"""Forms of cell.py: 1 and 2, then 3, in float32; the same in float64; as defined."""
_BYTES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").view(np.uint64).ravel()
"""A byte of a bitmap as eight bytes of 0 or 1."""


@tight
def lane(i: Any, sink: Any) -> Any:
    return np.uint32(sink + np.uint32(np.uint32(i) & np.uint32(SPREAD - 1)))


@tight
def by_single(x: Any, y: Any, ax: Any, ay: Any, sink: Any, out: Any) -> Any:
    row, sx, sy = ax.n, ax.single, ay.single
    top = np.uint32(0)
    for i in range(out.shape[0]):
        qx, qy = single(x[i], sx), single(y[i], sy)
        c = lane(i, sink)
        if within(qx, qy, sx, sy):
            c = cell(qx, qy, row)
        out[i] = c
        top = max(top, c)
    return top


@tight
def by_single_near(x: Any, y: Any, ax: Any, ay: Any, sink: Any, out: Any) -> Any:
    """The highest cell, and whether any point lies too near an edge to trust it."""
    row, sx, sy = ax.n, ax.single, ay.single
    top = np.uint32(0)
    near = np.uint32(0)
    for i in range(out.shape[0]):
        qx, qy = single(x[i], sx), single(y[i], sy)
        near |= np.uint32(is_near(qx, sx) | is_near(qy, sy))
        c = lane(i, sink)
        if within(qx, qy, sx, sy):
            c = cell(qx, qy, row)
        out[i] = c
        top = max(top, c)
    return top, near


@tight
def by_double(x: Any, y: Any, ax: Any, ay: Any, sink: Any, out: Any) -> Any:
    row = ax.n
    top = np.uint32(0)
    for i in range(out.shape[0]):
        qx, qy = product(np.float64(x[i]), ax), product(np.float64(y[i]), ay)
        c = lane(i, sink)
        if within(qx, qy, ax, ay):
            c = cell(qx, qy, row)
        out[i] = c
        top = max(top, c)
    return top


@tight
def by_double_near(x: Any, y: Any, ax: Any, ay: Any, sink: Any, out: Any) -> Any:
    row = ax.n
    top = np.uint32(0)
    near = np.uint32(0)
    for i in range(out.shape[0]):
        qx, qy = product(np.float64(x[i]), ax), product(np.float64(y[i]), ay)
        near |= np.uint32(is_near(qx, ax) | is_near(qy, ay))
        c = lane(i, sink)
        if within(qx, qy, ax, ay):
            c = cell(qx, qy, row)
        out[i] = c
        top = max(top, c)
    return top, near


@tight
def by_quotient(x: Any, y: Any, ax: Any, ay: Any, sink: Any, out: Any) -> Any:
    row = ax.n
    top = np.uint32(0)
    for i in range(out.shape[0]):
        qx, qy = quotient(np.float64(x[i]), ax), quotient(np.float64(y[i]), ay)
        c = lane(i, sink)
        if within(qx, qy, ax, ay):
            c = cell(qx, qy, row)
        out[i] = c
        top = max(top, c)
    return top


@tight
def invalid(x: Any, y: Any) -> Any:
    """How many are NaN or infinite."""
    n = np.uint32(0)
    for i in range(x.shape[0]):
        vx, vy = np.float64(x[i]), np.float64(y[i])
        n = np.uint32(n + np.uint32(not ((vx - vx == 0.0) & (vy - vy == 0.0))))
    return n


@tight
def drop_nulls(x: Any, y: Any, bits: Any, byte: Any, sink: Any, words: Any, flags: Any, out: Any) -> Any:
    """Points whose validity bit is 0 have no cell, whatever their bytes say. Returns the invalid points of the run.

    The bits are first spread to bytes: read where they are used they cost four times as much.
    """
    n = out.shape[0]
    for i in range((n + 7) >> 3):
        words[i] = _BYTES[bits[byte + i]]
    bad = np.uint32(0)
    for i in range(n):
        vx, vy = np.float64(x[i]), np.float64(y[i])
        ok = flags[i] != 0
        out[i] = out[i] if ok else lane(i, sink)
        bad = np.uint32(bad + np.uint32(not (ok & (vx - vx == 0.0) & (vy - vy == 0.0))))
    return bad


@tight
def add_groups(group: Any, first: Any, n_groups: Any, cells_of_map: Any, sink: Any, out: Any) -> Any:
    """Move each point that has a cell to the map of its group - first; other groups have no cell."""
    top = np.uint32(0)
    for i in range(out.shape[0]):
        g = np.int64(group[i]) - first
        c = lane(i, sink)
        if (out[i] < cells_of_map) & (g >= 0) & (g < n_groups):
            c = np.uint32(out[i] + np.uint32(np.uint32(g) * cells_of_map))
        out[i] = c
        top = max(top, c)
    return top


@tight
def all_ones(bits: Any, byte: Any, n: Any) -> Any:
    """Whether n whole bytes hold no zero bit."""
    every = np.uint8(255)
    for i in range(n):
        every &= bits[byte + i]
    return every == 255


@tight
def cells(
    x: Any, y: Any, group: Any, bits: Any, start: Any, ax: Any, ay: Any, form: Any, first: Any, n_groups: Any,
    sink: Any, words: Any, flags: Any, out: Any,
) -> Any:  # fmt: skip
    """Cells of the run of points that begins at row `start` (a multiple of 8) of the bitmap: (invalid, divided).

    With groups a cell is (group - first) * cells of a map + cell. `divided`: whether the products were not trusted.
    """
    n = out.shape[0]
    mapped = group.shape[0] != 0
    end = np.uint32(ax.n * ay.n) if mapped else sink
    divided = form == DIVIDE
    top = np.uint32(0)
    if form == SINGLE:
        top = by_single(x, y, ax, ay, end, out)
    elif form == SINGLE_NEAR:
        for a in range(0, n, PIECE):
            b = min(a + PIECE, n)
            piece = by_single_near(x[a:b], y[a:b], ax, ay, end, out[a:b])
            if piece[1]:
                piece = by_double_near(x[a:b], y[a:b], ax, ay, end, out[a:b])
                divided |= piece[1] != 0
            top = max(top, piece[0])
    elif form == DOUBLE:
        top = by_double(x, y, ax, ay, end, out)
    elif form == DOUBLE_NEAR:
        whole = by_double_near(x, y, ax, ay, end, out)
        top = whole[0]
        divided = whole[1] != 0
    if divided:
        top = by_quotient(x, y, ax, ay, end, out)
    bad = np.int64(0)
    if bits.shape[0] != 0 and not ((n & 7) == 0 and all_ones(bits, start >> 3, n >> 3)):
        bad = np.int64(drop_nulls(x, y, bits, start >> 3, end, words, flags, out))
    elif top >= end:
        bad = np.int64(invalid(x, y))
    if mapped:
        add_groups(group, first, n_groups, end, sink, out)
    return bad, divided


@tight
def divide_at_once(form: Any, divided: Any, runs: Any) -> Any:
    """DIVIDE where so many runs touched an edge that trying the product first is a loss."""
    return DIVIDE if (runs >= 4) & (2 * divided > runs) else form
