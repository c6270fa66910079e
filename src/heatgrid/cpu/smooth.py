"""The direct filter: symmetric taps along the rows, then down the columns, of one band of an image.

A step takes as many rows as a vector has lanes and turns them, so that neighbours along a row lie in neighbouring
vectors; filters them; turns them back into panels (a column of vectors each, rows one after the other); and filters
down each panel straight into the image. So both directions are one loop over vectors, memory is read once and written
once, and only the 2 * radius rows between steps are kept.

Each result is one chain of fused multiply-adds from the far taps to the near ones (small terms first): its bits depend
neither on bands nor on threads.
"""

from __future__ import annotations

from typing import Any

from heatgrid.cpu.intrinsics import prefetch, prefetch_read
from heatgrid.cpu.jit import tight
from heatgrid.cpu.vectors import LINE, fma, load, plus, spread, store, turn

AHEAD = 4
"""Panels by which a result's cache lines are asked for ahead: without, the stores took 1.2x the whole time."""


@tight
def direct_band(
    image: Any,
    above: Any,
    below: Any,
    out: Any,
    nx: int,
    top: int,
    bottom: int,
    rows: Any,
    columns: Any,
    down: Any,
    along: Any,
    lines: Any,
    block: Any,
    panels: Any,
) -> None:
    """Rows top .. bottom - 1 of out. Images are flat.

    above, below: the image's rows just before `top` and from `bottom` on, as far as the filter reaches (they may be
    parts of the image, or copies of what another band overwrites). rows, columns: the index inside the image that
    stands for each of -radius .. n - 1 + radius, -1 for zero. down, along: weights of distance 0, 1, ...
    """
    lanes = LINE // lines.itemsize
    reach = down.shape[0] - 1
    ny = rows.shape[0] - 2 * reach
    wide = (nx + lanes - 1) // lanes
    room = panels.shape[0] // (wide * lanes)
    first = top - reach
    """The row that lies first in the panels; those before 0 and from ny on stand for rows of the image."""
    done, filled = max(first, 0), ny
    for y in range(top, bottom, lanes):
        tall = min(lanes, bottom - y)
        last = y + tall + reach
        if y + 2 * lanes + reach - first > room:
            kept = (done if done < ny else filled) - y + reach
            for c in range(wide):
                base = c * room
                for t in range(kept):
                    store(panels, (base + t) * lanes, load(panels, (base + t + y - reach - first) * lanes))
            first = y - reach
        while done < min(last, ny):
            if done < top:
                count = min(lanes, top - done)
                turn_rows(above, (done - top) * nx + above.shape[0], count, nx, columns, lines)
            elif done < bottom:
                count = min(lanes, bottom - done)
                turn_rows(image, done * nx, count, nx, columns, lines)
            else:
                count = min(lanes, min(ny, bottom + reach) - done)
                turn_rows(below, (done - bottom) * nx, count, nx, columns, lines)
            for c in range(wide):
                for i in range(lanes):
                    prefetch_read(image, (done + lanes + i) * nx + c * lanes)
                filter_vectors(lines, c * lanes * lanes, along, block, 0, lanes)
                turn(block, 0, lanes, panels, (c * room + done - first) * lanes, lanes)
            done += count
        if y == top:
            for t in range(first, 0):
                repeat_row(panels, room, wide, t - first, rows[t + reach] - first, rows[t + reach] < 0)
        while filled < last:
            repeat_row(panels, room, wide, filled - first, rows[filled + reach] - first, rows[filled + reach] < 0)
            filled += 1
        for c in range(wide):
            at = (c * room + y - reach - first) * lanes
            for i in range(lanes):
                prefetch(out, (y + i) * nx + (c + AHEAD) * lanes)
            if tall == lanes and (c + 1) * lanes <= nx:
                filter_vectors(panels, at, down, out, y * nx + c * lanes, nx)
                continue
            filter_vectors(panels, at, down, block, 0, lanes)
            for i in range(tall):
                for j in range(min(lanes, nx - c * lanes)):
                    out[(y + i) * nx + c * lanes + j] = block[i * lanes + j]


@tight
def turn_rows(image: Any, at: int, count: int, nx: int, columns: Any, lines: Any) -> None:
    """lines[t, i] = row i at column columns[t], a vector for each t; rows from `count` on are zero."""
    lanes = LINE // lines.itemsize
    side = (columns.shape[0] - nx) // 2
    whole = nx // lanes * lanes if count == lanes else 0
    for j in range(0, whole, lanes):
        turn(image, at + j, nx, lines, (side + j) * lanes, lanes)
    for j in range(whole, nx):
        for i in range(lanes):
            lines[(side + j) * lanes + i] = image[at + i * nx + j] if i < count else 0
    for t in range(side):
        repeat_row(lines, 0, 1, t, side + columns[t], columns[t] < 0)
        far = side + nx + t
        repeat_row(lines, 0, 1, far, side + columns[far], columns[far] < 0)


@tight
def turn_back(lines: Any, nx: int, image: Any, at: int, count: int) -> None:
    """Row i at column j = lines[j, i]."""
    lanes = LINE // lines.itemsize
    whole = nx // lanes * lanes if count == lanes else 0
    for j in range(0, whole, lanes):
        turn(lines, j * lanes, lanes, image, at + j, nx)
    for j in range(whole, nx):
        for i in range(count):
            image[at + i * nx + j] = lines[j * lanes + i]


@tight
def repeat_row(panels: Any, room: int, wide: int, to: int, of: int, none: bool) -> None:
    """Vector `to` of each panel = vector `of`, or zero."""
    lanes = LINE // panels.itemsize
    for c in range(wide):
        vector = spread(panels.dtype.type(0)) if none else load(panels, (c * room + of) * lanes)
        store(panels, (c * room + to) * lanes, vector)


@tight
def filter_vectors(source: Any, at: int, taps: Any, out: Any, to: int, step: int) -> None:
    """out[to + r * step] = sum over t of taps[|t|] * source[at + (r + radius + t) * lanes], for as many r as lanes.

    Four results at a time share what they load: half a load a tap and result (two results take 1.5x the time, six and
    eight none less), and 4 additions and 4 multiply-adds a cycle and tap are what the registers' ports can do: 90 % of
    that is reached at 40 taps.
    """
    lanes = LINE // source.itemsize
    reach = taps.shape[0] - 1
    for r in range(0, lanes, 4):
        low = at + r * lanes
        high = low + 2 * reach * lanes
        a0, a1 = load(source, low), load(source, low + lanes)
        a2, a3 = load(source, low + 2 * lanes), load(source, low + 3 * lanes)
        b0, b1 = load(source, high), load(source, high + lanes)
        b2, b3 = load(source, high + 2 * lanes), load(source, high + 3 * lanes)
        weight = spread(source.dtype.type(0))
        s0, s1, s2, s3 = weight, weight, weight, weight
        for k in range(reach, 0, -1):
            weight = spread(taps[k])
            s0, s1 = fma(weight, plus(a0, b0), s0), fma(weight, plus(a1, b1), s1)
            s2, s3 = fma(weight, plus(a2, b2), s2), fma(weight, plus(a3, b3), s3)
            low += lanes
            high -= lanes
            a0, a1, a2, a3 = a1, a2, a3, load(source, low + 3 * lanes)
            b0, b1, b2, b3 = load(source, high), b0, b1, b2
        weight = spread(taps[0])
        store(out, to + r * step, fma(weight, a0, s0))
        store(out, to + (r + 1) * step, fma(weight, a1, s1))
        store(out, to + (r + 2) * step, fma(weight, a2, s2))
        store(out, to + (r + 3) * step, fma(weight, a3, s3))
