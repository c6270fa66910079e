"""The recursive filter: a sum of three damped oscillations each way, at the same cost for any sigma.

A pair of poles keeps two states, y and its step d:

    d = decay * d - pull * y + x;  y = y + d;  result += level * y + slope * d

with decay = |pole|^2 and pull = |1 - pole|^2. Both keep all their digits in float32 as the poles come close to 1, where
the usual y = a * y1 + b * y2 + x loses them (pull is its 1 - a - b, about 5 / sigma^2), and it costs no multiplication
more. Lanes are columns of an image, or its rows once they are turned. Each is computed alone and in one order, so its
bits depend neither on strips nor on threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.intrinsics import prefetch, prefetch_read
from heatgrid.cpu.jit import fused, tight
from heatgrid.cpu.smooth import turn_back, turn_rows
from heatgrid.cpu.vectors import LINE, fma, load, plus, spread, store, times

STATES = 6
"""Vectors of state of a vector of lines: y and d of three pairs."""
RUN = 64
"""Rows that one vector of columns goes on for before its neighbour gets its turn, and that are asked for ahead: the
neighbour's cache lines lie beside its own. One vector after the other from end to end took 1.6x the time."""
CALM_32, CALM_64 = 1e-25, 1e-280
"""States 3e-8 (float64: 1e-16) below these become zero every RUN rows, before they reach the denormal numbers, where
they would stay for ever and slow some processors a hundredfold: most maps are zeros with a few points."""


@tight
def start(x: Any, at: int, pitch: int, edge: int, order: Any, k: Any, state: Any, to: int) -> None:
    """The states that x would have left behind, had it lain at the places of `order`, with x[edge] for ever before
    that (zero for ever where edge is -1). Place i is the vector at x[at + i * pitch]."""
    lanes = LINE // x.itemsize
    none = spread(x.dtype.type(0))
    level = none if edge < 0 else load(x, at + edge * pitch)
    y0, y1, y2 = times(spread(k[0, 6]), level), times(spread(k[1, 6]), level), times(spread(k[2, 6]), level)
    d0, d1, d2 = none, none, none
    q0, q1, q2 = spread(k[0, 0]), spread(k[1, 0]), spread(k[2, 0])
    p0, p1, p2 = spread(k[0, 1]), spread(k[1, 1]), spread(k[2, 1])
    for t in range(order.shape[0]):
        v = load(x, at + order[t] * pitch)
        d0, d1, d2 = fma(q0, d0, fma(p0, y0, v)), fma(q1, d1, fma(p1, y1, v)), fma(q2, d2, fma(p2, y2, v))
        y0, y1, y2 = plus(y0, d0), plus(y1, d1), plus(y2, d2)
    store(state, to, y0)
    store(state, to + lanes, y1)
    store(state, to + 2 * lanes, y2)
    store(state, to + 3 * lanes, d0)
    store(state, to + 4 * lanes, d1)
    store(state, to + 5 * lanes, d2)


@tight
def forth(x: Any, at: int, pitch: int, count: int, k: Any, state: Any, of: int, half: Any, to: int) -> None:
    """half = what each place has from itself and all before it; goes on from the states and leaves them behind."""
    lanes = LINE // x.itemsize
    y0, y1, y2 = calm(state, of), calm(state, of + lanes), calm(state, of + 2 * lanes)
    d0, d1, d2 = calm(state, of + 3 * lanes), calm(state, of + 4 * lanes), calm(state, of + 5 * lanes)
    q0, q1, q2 = spread(k[0, 0]), spread(k[1, 0]), spread(k[2, 0])
    p0, p1, p2 = spread(k[0, 1]), spread(k[1, 1]), spread(k[2, 1])
    e0, e1, e2 = spread(k[0, 2]), spread(k[1, 2]), spread(k[2, 2])
    f0, f1, f2 = spread(k[0, 3]), spread(k[1, 3]), spread(k[2, 3])
    for _ in range(count):
        v = load(x, at)
        prefetch_read(x, at + RUN * pitch)
        d0, d1, d2 = fma(q0, d0, fma(p0, y0, v)), fma(q1, d1, fma(p1, y1, v)), fma(q2, d2, fma(p2, y2, v))
        y0, y1, y2 = plus(y0, d0), plus(y1, d1), plus(y2, d2)
        sums = fma(e1, y1, fma(f1, d1, fma(e0, y0, times(f0, d0))))
        store(half, to, fma(e2, y2, fma(f2, d2, sums)))
        at += pitch
        to += lanes
    store(state, of, y0)
    store(state, of + lanes, y1)
    store(state, of + 2 * lanes, y2)
    store(state, of + 3 * lanes, d0)
    store(state, of + 4 * lanes, d1)
    store(state, of + 5 * lanes, d2)


@tight
def back(
    x: Any, at: int, pitch: int, count: int, k: Any, state: Any, of: int, half: Any, to: int,
    out: Any, put: int, step: int,
) -> None:  # fmt: skip
    """out = half + what each place has from all behind it, from the last place to the first. `out` may be x or half."""
    lanes = LINE // x.itemsize
    y0, y1, y2 = calm(state, of), calm(state, of + lanes), calm(state, of + 2 * lanes)
    d0, d1, d2 = calm(state, of + 3 * lanes), calm(state, of + 4 * lanes), calm(state, of + 5 * lanes)
    q0, q1, q2 = spread(k[0, 0]), spread(k[1, 0]), spread(k[2, 0])
    p0, p1, p2 = spread(k[0, 1]), spread(k[1, 1]), spread(k[2, 1])
    e0, e1, e2 = spread(k[0, 4]), spread(k[1, 4]), spread(k[2, 4])
    f0, f1, f2 = spread(k[0, 5]), spread(k[1, 5]), spread(k[2, 5])
    at += (count - 1) * pitch
    to += (count - 1) * lanes
    put += (count - 1) * step
    for _ in range(count):
        v = load(x, at)
        prefetch_read(x, at - RUN * pitch)
        prefetch(out, put - RUN * step)
        sums = fma(e1, y1, fma(f1, d1, fma(e0, y0, fma(f0, d0, load(half, to)))))
        store(out, put, fma(e2, y2, fma(f2, d2, sums)))
        d0, d1, d2 = fma(q0, d0, fma(p0, y0, v)), fma(q1, d1, fma(p1, y1, v)), fma(q2, d2, fma(p2, y2, v))
        y0, y1, y2 = plus(y0, d0), plus(y1, d1), plus(y2, d2)
        at -= pitch
        to -= lanes
        put -= step
    store(state, of, y0)
    store(state, of + lanes, y1)
    store(state, of + 2 * lanes, y2)
    store(state, of + 3 * lanes, d0)
    store(state, of + 4 * lanes, d1)
    store(state, of + 5 * lanes, d2)


@fused
def calm(state: Any, of: int) -> Any:
    """A vector of states, those near zero made zero: they vanish beside a large number."""
    large = spread(state.dtype.type(CALM_32 if state.itemsize == 4 else CALM_64))
    less = spread(state.dtype.type(-CALM_32 if state.itemsize == 4 else -CALM_64))
    return plus(plus(load(state, of), large), less)


@tight
def recursive_strip(
    x: Any, at: int, pitch: int, n: int, wide: int, edges: Any, before: Any, behind: Any, k: Any, state: Any, half: Any,
    out: Any, put: int, step: int,
) -> bool:  # fmt: skip
    """Filter down `wide` neighbouring vectors of columns of n rows; `out` may be x. False, and nothing is written, if
    a number is not finite: it would reach every row."""
    lanes = LINE // x.itemsize
    for c in range(wide):
        start(x, at + c * lanes, pitch, edges[0], before, k, state, c * STATES * lanes)
    for row in range(0, n, RUN):
        count = min(RUN, n - row)
        for c in range(wide):
            to = (c * n + row) * lanes
            forth(x, at + row * pitch + c * lanes, pitch, count, k, state, c * STATES * lanes, half, to)
    for t in range(wide * STATES * lanes):
        if not abs(state[t]) < np.inf:
            return False
    for c in range(wide):
        start(x, at + c * lanes, pitch, edges[1], behind, k, state, c * STATES * lanes)
    for row in range((n - 1) // RUN * RUN, -1, -RUN):
        count = min(RUN, n - row)
        for c in range(wide):
            of, to = c * STATES * lanes, (c * n + row) * lanes
            place = put + row * step + c * lanes
            back(x, at + row * pitch + c * lanes, pitch, count, k, state, of, half, to, out, place, step)
    return True


@tight
def recursive_rows(
    x: Any, first: int, count: int, nx: int, columns: Any, edges: Any, before: Any, behind: Any, k: Any, state: Any,
    half: Any, lines: Any, out: Any,
) -> bool:  # fmt: skip
    """Filter along `count` rows of a flat image, no more than a vector has lanes; as recursive_strip."""
    lanes = LINE // x.itemsize
    turn_rows(x, first * nx, count, nx, columns, lines)
    if not recursive_strip(lines, 0, lanes, nx, 1, edges, before, behind, k, state, half, lines, 0, lanes):
        return False
    turn_back(lines, nx, out, first * nx, count)
    return True


@tight
def recursive_columns(
    x: Any, first: int, count: int, nx: int, ny: int, edges: Any, before: Any, behind: Any, k: Any, state: Any,
    half: Any, lines: Any, out: Any,
) -> bool:  # fmt: skip
    """Filter down `count` columns of a flat image, fewer than a vector has lanes; as recursive_strip."""
    lanes = LINE // x.itemsize
    for i in range(ny):
        for j in range(lanes):
            lines[i * lanes + j] = x[i * nx + first + j] if j < count else 0
    if not recursive_strip(lines, 0, lanes, ny, 1, edges, before, behind, k, state, half, lines, 0, lanes):
        return False
    for i in range(ny):
        for j in range(count):
            out[i * nx + first + j] = lines[i * lanes + j]
    return True
