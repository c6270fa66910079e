"""Points into grids on the CPU: which variant, how many threads, whose counters. The answer never depends on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from heatgrid.cpu import bin as leaves
from heatgrid.cpu.bits import and_bits, and_mask
from heatgrid.cpu.cell import Axis
from heatgrid.engine.pool import each
from heatgrid.words.errors import LimitError

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

NATIVE = ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
LARGEST_RUN = 1 << 20
SMALLEST_RUN = 1 << 16
CACHE = 1 << 20
"""Bytes of counters that a core's own cache holds: beyond it the scatter asks for its cells ahead."""
COPIES = 8
"""Sub-grids against one hot cell: 2.7x with them where a store to one place waits for the one before."""
HOT = 0.25
LARGEST_PRIVATE = 1 << 30
SAMPLE = 4096
_NONE_U1 = np.empty(0, np.uint8)
_NONE_I4 = np.empty(0, np.int32)
_NONE_I8 = np.empty(0, np.int64)


class Bits(Protocol):
    """Validity of rows: one byte each where offset is -1, else a bitmap that starts at bit `offset`."""

    @property
    def values(self) -> Array: ...
    @property
    def offset(self) -> int: ...


@dataclass(frozen=True)
class Span:
    """Rows of one layout. `group` are integer codes, `weight` integers or floats."""

    x: Array
    y: Array
    group: Array | None = None
    weight: Array | None = None
    masks: tuple[Bits, ...] = ()


@dataclass(frozen=True)
class Target:
    """The grid, or the stack of one grid a group."""

    ax: Axis
    ay: Axis
    groups: int = 1
    weight_scale: float | None = None

    @property
    def cells(self) -> int:
        return self.groups * int(self.ax.cells) * int(self.ay.cells)


@dataclass(frozen=True)
class Limits:
    """Set by tests to force every path: counters that would overflow, private grids that do not fit."""

    counter: str = "u4"
    points: int = 2**32 - 1
    """The most points that a private grid takes before it is added to the 64-bit one."""
    private_bytes: int = LARGEST_PRIVATE
    run: int | None = None


class Counted(NamedTuple):
    values: npt.NDArray[np.int64]
    """Flat: one number a cell."""
    used: int
    outside: int
    invalid: int
    variant: str


class Run(NamedTuple):
    x: Array
    y: Array
    group: Array
    weight: Array
    bits: Array


def count_points(spans: Sequence[Span], target: Target, threads: int, limits: Limits | None = None) -> Counted:
    """Count (or weigh) the points of all spans."""
    limits = limits or Limits()
    points = sum(span.x.shape[0] for span in spans)
    threads = max(1, min(threads, points // SMALLEST_RUN if limits.run is None else threads))
    weighted = any(span.weight is not None for span in spans)
    runs = _runs(spans, points, threads, limits)
    bytes_each = target.cells * (8 if weighted else np.dtype(limits.counter).itemsize)
    if points * 8 < target.cells:
        return _by_rows(runs, target, 1, "direct")
    if bytes_each * threads > limits.private_bytes:
        return _by_rows(runs, target, threads, "rows")
    if weighted:
        return _weighed(runs, target, threads)
    return _private(runs, target, threads, limits)


def _runs(spans: Sequence[Span], points: int, threads: int, limits: Limits) -> list[tuple[Span, int, int]]:
    size = limits.run or min(max(points // (threads * 8), SMALLEST_RUN), LARGEST_RUN)
    size = min(size, limits.points)
    return [(s, a, min(a + size, s.x.shape[0])) for s in spans for a in range(0, s.x.shape[0], size)]


def _load(span: Span, start: int, stop: int, target: Target) -> Run:
    """The rows as the leaves take them; only what they cannot read as it lies is converted, a run at a time."""
    x, y = span.x[start:stop], span.y[start:stop]
    if x.dtype != y.dtype or x.dtype.str[1:] not in NATIVE:
        x, y = x.astype(np.float64), y.astype(np.float64)
    x, y = _plain(x), _plain(y)
    group, weight = _NONE_I4, _NONE_I8
    if span.group is not None:
        g = span.group[start:stop]
        group = np.where((g >= 0) & (g < target.groups), g, -1).astype(np.int32)
    if span.weight is not None:
        w = span.weight[start:stop]
        w = _plain(w.astype(np.float64) if w.dtype.str[1:] not in NATIVE else w)
        weight = np.empty(stop - start, np.int64)
        if target.weight_scale is None:
            leaves.whole_weight(w, weight)
        else:
            leaves.fixed_point(w, target.weight_scale, weight)
    return Run(x, y, group, weight, _bitmap(span.masks, start, stop))


def _plain(values: Array) -> Array:
    native = values.dtype.newbyteorder("=")
    return np.require(values, dtype=native, requirements=("C", "A"))


def _bitmap(masks: tuple[Bits, ...], start: int, stop: int) -> Array:
    """One bitmap for the run, from bit 0 on: as it lies where there is one that starts at a byte, else their `and`."""
    if not masks:
        return _NONE_U1
    n = stop - start
    first = masks[0].offset + start
    if len(masks) == 1 and masks[0].offset >= 0 and first % 8 == 0:
        return masks[0].values[first >> 3 : (first + n + 7) >> 3]
    out = np.full((n + 7) >> 3, 255, np.uint8)
    for mask in masks:
        if mask.offset >= 0:
            and_bits(mask.values, mask.offset + start, n, out)
        else:
            and_mask(np.ascontiguousarray(mask.values[start:stop]), out)
    return out


def _private(runs: list[tuple[Span, int, int]], target: Target, threads: int, limits: Limits) -> Counted:
    """Private narrow counters a thread, added to the 64-bit grid at the end and before any could overflow."""
    cells = target.cells
    itemsize = np.dtype(limits.counter).itemsize
    grouped = any(span.group is not None for span, _, _ in runs)
    copies = 1
    if not grouped and cells * itemsize * COPIES * threads <= min(4 * CACHE * threads, limits.private_bytes):
        copies = COPIES if _is_hot(runs, target) else 1
    far = cells * itemsize > CACHE
    values = np.zeros(cells, np.int64)
    tally = [0, 0]
    lock = Lock()
    todo = deque(runs)
    final: list[Array] = []

    def spill(counts: Array) -> None:
        with lock:
            leaves.widen(counts, copies, 0, values)
            outside, invalid = leaves.sinks(counts, copies)
            tally[0] += int(outside)
            tally[1] += int(invalid)
        counts[:] = 0

    def work(_: int) -> None:
        counts = np.zeros((cells + leaves.SINKS) * copies, limits.counter)
        buffer = _buffer()
        held = 0
        for span, start, stop in _take(todo):
            if held + stop - start > limits.points:
                spill(counts)
                held = 0
            held += stop - start
            x, y, group, _weight, bits = _load(span, start, stop, target)
            if grouped:
                leaves.count_groups(x, y, group, bits, target.ax, target.ay, target.groups, counts, buffer)
            else:
                leaves.count(x, y, bits, target.ax, target.ay, counts, copies, far, buffer)
        final.append(counts)

    each(threads, work)
    for counts in final:
        outside, invalid = leaves.sinks(counts, copies)
        tally[0] += int(outside)
        tally[1] += int(invalid)
    _sum_rows(final, copies, values, threads)
    points = sum(stop - start for _, start, stop in runs)
    variant = f"private x{threads}" + (f", {copies} copies" if copies > 1 else "") + (", ahead" if far else "")
    return Counted(values, points - tally[0] - tally[1], tally[0], tally[1], variant)


def _weighed(runs: list[tuple[Span, int, int]], target: Target, threads: int) -> Counted:
    """A 64-bit grid a thread."""
    todo = deque(runs)
    grids = [np.zeros(target.cells, np.int64) for _ in range(threads)]
    tallies = np.zeros((threads, 6), np.int64)

    def work(k: int) -> None:
        buffer = _buffer()
        for span, start, stop in _take(todo):
            _count_rows(_load(span, start, stop, target), target, 0, grids[k], tallies[k], buffer)

    each(threads, work)
    _check_total(tallies)
    _sum_rows(grids[1:], 1, grids[0], threads)
    used, outside, invalid = (int(v) for v in tallies[:, :3].sum(axis=0))
    return Counted(grids[0], used, outside, invalid, f"weighed x{threads}")


def _by_rows(runs: list[tuple[Span, int, int]], target: Target, threads: int, variant: str) -> Counted:
    """One 64-bit grid, each thread going through all points for its own range of rows: no other memory."""
    values = np.zeros(target.cells, np.int64)
    tallies = np.zeros((threads, 6), np.int64)
    edges = [target.cells * k // threads for k in range(threads + 1)]

    def work(k: int) -> None:
        buffer = _buffer()
        part = values[edges[k] : edges[k + 1]]
        for span, start, stop in runs:
            _count_rows(_load(span, start, stop, target), target, edges[k], part, tallies[k], buffer)

    each(threads, work)
    _check_total(tallies[:1])
    used, outside, invalid = (int(v) for v in tallies[0, :3])
    return Counted(values, used, outside, invalid, f"{variant} x{threads}")


def _buffer() -> Array:
    return np.empty(leaves.BUFFER, np.uint32)


def _count_rows(run: Run, target: Target, first: int, part: Array, tally: Array, buffer: Array) -> None:
    leaves.count_rows(
        run.x, run.y, run.group, run.weight, run.bits, target.ax, target.ay, target.groups, first, part, tally, buffer
    )


def _take(todo: deque[tuple[Span, int, int]]) -> Any:
    """Runs until there are none; popleft is atomic, so threads share the queue."""
    while True:
        try:
            run = todo.popleft()
        except IndexError:
            return
        yield run


def _sum_rows(grids: list[Array], copies: int, values: Array, threads: int) -> None:
    edges = [values.shape[0] * k // threads for k in range(threads + 1)]

    def work(k: int) -> None:
        for counts in grids:
            leaves.widen(counts, copies, edges[k], values[edges[k] : edges[k + 1]])

    each(threads, work)


def _is_hot(runs: list[tuple[Span, int, int]], target: Target) -> bool:
    span, start, stop = runs[len(runs) // 2]
    run = _load(Span(span.x, span.y), start, min(stop, start + SAMPLE), target)
    same = int(leaves.repeats(run.x, run.y, target.ax, target.ay, np.empty(len(run.x), np.uint32)))
    return same > HOT * len(run.x)


def _check_total(tallies: Array) -> None:
    """No cell can pass 2^63 - 1 while the sum of all weights does not: it is kept in two limbs."""
    total = sum((int(t[3]) << 32) + int(t[4]) for t in tallies)
    if total > 2**63 - 1:
        raise LimitError(
            "the weights add up to more than a cell can hold", code="HG4401", where="weight", value=total,
            expected="a sum of at most 2^63 - 1", hint="a smaller weight_scale, or fewer points a call",
        )  # fmt: skip
