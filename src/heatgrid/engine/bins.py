"""Points into grids on the CPU: whose counters, and how they come together. The answer never depends on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from heatgrid.cpu import bin as leaves
from heatgrid.cpu import place
from heatgrid.engine import choose
from heatgrid.engine.choose import Choice, Limits
from heatgrid.engine.partition import Parts, parted
from heatgrid.engine.pool import each
from heatgrid.engine.spans import Block, Cut, Scratch, Span, Target, cut, load, scratch, take
from heatgrid.engine.stacks import Sparse, check_total, sort_cells, take_parts

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


ALONE = 1 << 22
"""Cells that are added up sooner than other threads are up: 0.5 ms a thread's counters, against 1 to 5."""


class Counted(NamedTuple):
    values: npt.NDArray[np.int64] | Sparse
    """Flat: one number a cell; or only the cells that were hit."""
    used: int
    outside: int
    invalid: int
    choice: Choice


def count_points(spans: Sequence[Span], target: Target, threads: int, limits: Limits | None = None) -> Counted:
    """Count (or weigh) the points of all spans."""
    limits = choose.FORCED or limits or Limits()
    choice = choose.choose(spans, target, threads, limits)
    cuts = cut(spans, choice.run)
    points = sum(span.x.shape[0] for span in spans)
    sparse: Sparse | None = None
    if choice.variant == "private":
        values, used, invalid = _private(cuts, target, choice)
    elif choice.variant == "parts":
        values, used, invalid = _parts(cuts, target, choice, points)
    elif choice.variant == "weighed":
        values, used, invalid = _weighed(cuts, target, choice)
    elif choice.variant in ("sparse", "sorted"):
        sparse, used, invalid = (take_parts if choice.variant == "sparse" else sort_cells)(cuts, target, choice, points)
    else:
        values, used, invalid = _by_rows(cuts, target, choice)
    return Counted(sparse if sparse is not None else values, used, points - used - invalid, invalid, choice)


def _form(block: Block, choice: Choice) -> int:
    return block.form if choice.form is None else choice.form


class _Private(NamedTuple):
    wide: Array
    counts: Array
    notes: Array


def _counters(choice: Choice, cells: int, points: int) -> _Private:
    stride = -(-(cells + place.SPREAD) // leaves.STRETCH) * leaves.STRETCH
    if choice.wide:
        return _Private(np.zeros(stride * choice.copies, np.uint32), np.empty(0, np.uint8), np.zeros(1, np.uint32))
    notes = np.zeros(points // leaves.FULL + 2, np.uint32)
    return _Private(np.empty(0, np.uint32), np.zeros(stride, np.uint8), notes)


def _widen(own: _Private, choice: Choice, first: int, values: Array) -> None:
    if choice.wide:
        leaves.widen_copies(own.wide, choice.copies, first, values)
    else:
        leaves.widen(own.counts.view(np.uint64), own.counts, first, values)
        leaves.add_notes(own.notes, first, values)


def _private(cuts: list[Cut], target: Target, choice: Choice) -> tuple[Array, int, int]:
    """Private counters a thread, added to the 64-bit grid at the end."""
    cells = target.cells
    points = sum(stop - start for _, start, stop in cuts)
    todo = deque(cuts)
    final: list[_Private] = []
    invalid: list[int] = []

    def work(_: int) -> None:
        counters = _counters(choice, cells, points)
        own = scratch()
        bad = 0
        for span, start, stop in take(todo):
            block = load(span, start, stop, target)
            bad += leaves.count(
                block.x, block.y, block.group, block.bits, target.ax, target.ay, _form(block, choice), target.groups,
                np.uint32(cells), counters.wide, choice.copies, counters.counts, counters.notes, choice.far, *own,
            )  # fmt: skip
        final.append(counters)
        invalid.append(bad)

    each(choice.threads, work)
    values = np.zeros(cells, np.int64)
    stretches = -(-cells // leaves.STRETCH)
    helpers = choice.threads if cells > ALONE else 1
    edges = [min(stretches * k // helpers * leaves.STRETCH, cells) for k in range(helpers)] + [cells]

    def add(k: int) -> None:
        for one in final:
            _widen(one, choice, edges[k], values[edges[k] : edges[k + 1]])

    each(helpers, add)
    nowhere = np.zeros(place.SPREAD, np.int64)
    at = cells // leaves.STRETCH * leaves.STRETCH
    for one in final:
        tail = np.zeros(cells + place.SPREAD - at, np.int64)
        _widen(one, choice, at, tail)
        nowhere += tail[cells - at :]
    return values, points - int(nowhere.sum()), sum(invalid)


def _parts(cuts: list[Cut], target: Target, choice: Choice, points: int) -> tuple[Array, int, int]:
    """A partition into parts of the grid, each counted by one thread straight into the answer."""
    found = parted(cuts, target, choice, points, 0, target.groups)
    values = np.empty(target.cells, np.int64)
    sums = [0] * choice.threads
    todo = deque(range(found.parts))
    most = int(found.held().max())

    def work(k: int) -> None:
        counter = found.counter(most)
        for part in take(todo):
            cells = values[part * Parts.SIZE : (part + 1) * Parts.SIZE]
            sums[k] += found.count_into(part, counter, cells)

    each(choice.threads, work)
    return values, sum(sums), found.invalid


def _weighed(cuts: list[Cut], target: Target, choice: Choice) -> tuple[Array, int, int]:
    """A 64-bit grid a thread."""
    todo = deque(cuts)
    grids = [np.zeros(target.cells, np.int64) for _ in range(choice.threads)]
    tallies = np.zeros((choice.threads, 5), np.int64)

    def work(k: int) -> None:
        own = scratch()
        for span, start, stop in take(todo):
            _count_rows(load(span, start, stop, target), target, choice, 0, grids[k], tallies[k], own)

    each(choice.threads, work)
    check_total(sum((int(t[2]) << 32) + int(t[3]) for t in tallies))
    edges = [target.cells * k // choice.threads for k in range(choice.threads + 1)]

    def add(k: int) -> None:
        for grid in grids[1:]:
            grids[0][edges[k] : edges[k + 1]] += grid[edges[k] : edges[k + 1]]

    each(choice.threads, add)
    used, invalid = (int(v) for v in tallies[:, :2].sum(axis=0))
    return grids[0], used, invalid


def _by_rows(cuts: list[Cut], target: Target, choice: Choice) -> tuple[Array, int, int]:
    """One 64-bit grid, each thread going through all points for its own range of rows: no other memory."""
    values = np.zeros(target.cells, np.int64)
    tallies = np.zeros((choice.threads, 5), np.int64)
    edges = [target.cells * k // choice.threads for k in range(choice.threads + 1)]

    def work(k: int) -> None:
        own = scratch()
        part = values[edges[k] : edges[k + 1]]
        for span, start, stop in cuts:
            _count_rows(load(span, start, stop, target), target, choice, edges[k], part, tallies[k], own)

    each(choice.threads, work)
    check_total((int(tallies[0, 2]) << 32) + int(tallies[0, 3]))
    return values, int(tallies[0, 0]), int(tallies[0, 1])


def _count_rows(
    block: Block, target: Target, choice: Choice, first: int, part: Array, tally: Array, own: Scratch
) -> None:
    leaves.count_rows(
        block.x, block.y, block.group, block.weight, block.bits, target.ax, target.ay, _form(block, choice),
        target.groups, np.uint32(target.cells), first, part, tally, own.words, own.flags, own.cells,
    )  # fmt: skip
