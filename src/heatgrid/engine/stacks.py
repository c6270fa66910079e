"""Stacks of maps of which only the cells that were hit are kept: by partition, or by sorting where points are few."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from heatgrid.cpu import bin as counters
from heatgrid.cpu import parts as leaves
from heatgrid.engine.choose import Choice
from heatgrid.engine.partition import Parts, parted
from heatgrid.engine.pool import each
from heatgrid.engine.spans import Cut, Target, load, scratch, take
from heatgrid.words.errors import LimitError

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

TOGETHER = 64
"""Parts whose cells are gathered in one piece: few enough for threads to share them evenly."""


class Unfolded(NamedTuple):
    group: Array
    iy: Array
    ix: Array
    number: Array


class Sparse(Protocol):
    """Cells that are not 0, ascending by key = group * cells of a map + cell."""

    def __len__(self) -> int: ...

    def rows(self, start: int, stop: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(keys, counts) of some of them."""
        ...

    def unfold(self, ny: int, nx: int, out: Unfolded, threads: int) -> None:
        """All of them as group, iy, ix and what the cell holds."""
        ...


@dataclass(frozen=True)
class Listed:
    keys: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, start: int, stop: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        return self.keys[start:stop], self.counts[start:stop]

    def unfold(self, ny: int, nx: int, out: Unfolded, threads: int) -> None:
        leaves.unfold(self.keys, ny * nx, nx, *out[:3])
        out.number[:] = self.counts


class Piece(NamedTuple):
    """Parts one after the other: 3 bytes a cell, instead of 8 for a key and a count."""

    first: Array
    """The key at which each part begins."""
    starts: Array
    """Where the cells of each part begin in `low`; and their end."""
    low: Array
    byte: Array
    more: Array
    """(place, what the byte lacks), ascending."""

    def rows(self, start: int, stop: int, keys: Array, counts: Array) -> None:
        part = int(np.searchsorted(self.starts, start, "right")) - 1
        leaves.unpack(self.starts, self.first, self.low, self.byte, part, start, keys, counts)
        a, b = np.searchsorted(self.more[:, 0], (start, stop))
        counts[self.more[a:b, 0] - start] += self.more[a:b, 1]


class Packed:
    def __init__(self, pieces: list[Piece]) -> None:
        self.pieces = pieces
        self.ends = np.cumsum([len(piece.low) for piece in pieces], dtype=np.int64)

    def __len__(self) -> int:
        return int(self.ends[-1]) if self.pieces else 0

    def rows(self, start: int, stop: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        keys, counts = np.empty(stop - start, np.int64), np.empty(stop - start, np.int64)
        at = start
        for k in range(int(np.searchsorted(self.ends, start, "right")), len(self.pieces)):
            if at >= stop:
                break
            piece = self.pieces[k]
            before = int(self.ends[k]) - len(piece.low)
            end = min(stop, int(self.ends[k]))
            piece.rows(at - before, end - before, keys[at - start : end - start], counts[at - start : end - start])
            at = end
        return keys, counts

    def unfold(self, ny: int, nx: int, out: Unfolded, threads: int) -> None:
        todo = deque(range(len(self.pieces)))

        def work(_: int) -> None:
            for k in take(todo):
                piece = self.pieces[k]
                before = int(self.ends[k]) - len(piece.low)
                own = Unfolded(*(column[before : before + len(piece.low)] for column in out))
                leaves.unpack_rows(piece.starts, piece.first, piece.low, piece.byte, ny * nx, nx, *own)
                own.number[piece.more[:, 0]] += piece.more[:, 1]

        each(threads, work)


def take_parts(cuts: list[Cut], target: Target, choice: Choice, points: int) -> tuple[Packed, int, int]:
    """A partition a round, each round for a range of the groups."""
    step = -(-target.groups // choice.rounds)
    pieces: list[Piece] = []
    used = invalid = 0
    for first in range(0, target.groups, step):
        found = parted(cuts, target, choice, points, first, min(step, target.groups - first))
        held = found.held()
        used += int(held.sum())
        invalid = found.invalid
        pieces += _pieces(found, held, choice.threads, first * target.cells_of_map)
    return Packed(pieces), used, invalid


def _pieces(found: Parts, held: Array, threads: int, base: int) -> list[Piece]:
    starts = range(0, found.parts, TOGETHER)
    most = int(held.max())
    room = int(np.minimum(held, Parts.SIZE).sum())
    room = min(room, TOGETHER * min(most, Parts.SIZE))
    out: dict[int, Piece] = {}
    todo = deque(starts)

    def work(_: int) -> None:
        counter = found.counter(most)
        low, byte = np.empty(room, np.uint16), np.empty(room, np.uint8)
        for start in take(todo):
            parts = range(start, min(start + TOGETHER, found.parts))
            more = np.empty((int(held[parts.start : parts.stop].sum()) // counters.FULL + 1, 2), np.int64)
            ends = np.zeros(len(parts) + 1, np.int64)
            used = wide = 0
            for k, part in enumerate(parts):
                if held[part]:
                    found.count(part, counter)
                    used, wide = leaves.take_cells(*counter, low, byte, used, more, wide)
                ends[k + 1] = used
            first = base + np.arange(parts.start, parts.stop, dtype=np.int64) * Parts.SIZE
            out[start] = Piece(first, ends, low[:used].copy(), byte[:used].copy(), more[:wide].copy())

    each(threads, work)
    return [out[start] for start in starts]


def sort_cells(cuts: list[Cut], target: Target, choice: Choice, points: int) -> tuple[Listed, int, int]:
    """By sorting one 64-bit key a point: for few points, any number of groups, and weights."""
    own = scratch()
    keys = np.empty(points, np.int64)
    weights = np.empty(points if any(span.weight is not None for span, _, _ in cuts) else 0, np.int64)
    at = invalid = 0
    for span, start, stop in cuts:
        block = load(span, start, stop, target)
        form = block.form if choice.form is None else choice.form
        n = stop - start
        invalid += int(leaves.keys_of(
            block.x, block.y, block.group, block.bits, target.ax, target.ay, form, target.groups, keys[at : at + n],
            *own,
        ))  # fmt: skip
        if weights.size:
            weights[at : at + n] = block.weight
        at += n
    inside = keys >= 0
    used = int(np.count_nonzero(inside))
    if not weights.size:
        return Listed(*np.unique(keys[inside], return_counts=True)), used, invalid
    keys, weights = keys[inside], weights[inside]
    check_total((int((weights >> 32).sum()) << 32) + int((weights & 0xFFFFFFFF).sum()))
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    sums = np.add.reduceat(weights[order], first) if first.size else weights
    return Listed(keys[first], sums), used, invalid


def check_total(total: int) -> None:
    """No cell can pass 2^63 - 1 while the sum of all weights does not: it is kept in two limbs."""
    if total > 2**63 - 1:
        raise LimitError(
            "the weights add up to more than a cell can hold", code="HG4401", where="weight", value=total,
            expected="a sum of at most 2^63 - 1", hint="a smaller weight_scale, or fewer points a call",
        )  # fmt: skip
