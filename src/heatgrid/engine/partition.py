"""Points sent to parts of a grid (cpu/parts.py), and what memory that takes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from heatgrid.cpu import bin as counters
from heatgrid.cpu import parts as leaves
from heatgrid.engine.choose import Choice
from heatgrid.engine.pool import each
from heatgrid.engine.spans import Cut, Target, load, scratch, take

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

LINE_BYTES = 64


class Counter(NamedTuple):
    """One part's counters, all 0 between parts."""

    counts: Array
    notes: Array
    carry: Array


class _Sent(NamedTuple):
    """What one thread sent."""

    pool: Array
    before: Array
    lines: Array
    next_in: Array
    at: Array


class Parts:
    SIZE: ClassVar[int] = leaves.PART

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self.sent: list[_Sent] = []
        self.invalid = 0

    def held(self) -> npt.NDArray[np.int64]:
        """Points in each part."""
        out = np.zeros(self.parts, np.int64)
        for one in self.sent:
            leaves.held(one.before, one.next_in, one.at, out)
        return out

    def counter(self, most: int) -> Counter:
        """For parts of at most so many points."""
        counts = _aligned(self.SIZE // 2).view(np.uint8)
        counts[:] = 0
        return Counter(counts, np.zeros(most // counters.FULL + 2, np.uint32), np.zeros(self.SIZE, np.uint32))

    def count(self, part: int, into: Counter) -> None:
        for one in self.sent:
            leaves.count_part(*one, part, into.counts, into.notes)

    def count_into(self, part: int, counter: Counter, values: Array) -> int:
        """values = the part's cells; returns its points."""
        self.count(part, counter)
        return int(leaves.set_cells(counter.counts, counter.notes, values))


def parted(cuts: list[Cut], target: Target, choice: Choice, points: int, first: int, groups: int) -> Parts:
    """Every point of the groups [first, first + groups) in the part of its cell."""
    cells = groups * target.cells_of_map
    found = Parts(-(-cells // leaves.PART))
    todo = deque(cuts)
    invalid: list[int] = []

    def work(_: int) -> None:
        blocks = found.parts + 1 + points // leaves.BLOCK + 1
        pool = _aligned(blocks * leaves.BLOCK)
        before = np.full(blocks, -1, np.int32)
        lines = _aligned((found.parts + 1) * leaves.LINE)
        order = np.arange(found.parts + 1, dtype=np.uint32)
        at, next_in = order * np.uint32(leaves.BLOCK), order * np.uint32(leaves.LINE)
        own = scratch()
        used, bad = found.parts + 1, 0
        for span, start, stop in take(todo):
            block = load(span, start, stop, target)
            form = block.form if choice.form is None else choice.form
            used, more = leaves.partition(
                block.x, block.y, block.group, block.bits, target.ax, target.ay, form, first, groups,
                np.uint32(found.parts * leaves.PART), pool, before, lines, next_in, at, used, *own,
            )  # fmt: skip
            bad += int(more)
        found.sent.append(_Sent(pool, before, lines, next_in, at))
        invalid.append(bad)

    each(choice.threads, work)
    found.invalid = sum(invalid)
    return found


def _aligned(n: int) -> Array:
    """uint16 (n,) from a multiple of a line on; pages that are never written cost nothing."""
    raw = np.empty(n * 2 + LINE_BYTES, np.uint8)
    skip = -raw.ctypes.data % LINE_BYTES
    return raw[skip : skip + n * 2].view(np.uint16)
