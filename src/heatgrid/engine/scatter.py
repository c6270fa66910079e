"""Rows in parts by session: kept in memory as long as there is room, else in the scratch file, a part in few pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from heatgrid.cpu import scatter as leaves
from heatgrid.engine.block import DTYPES, Array
from heatgrid.engine.compact import Layout, full_bytes
from heatgrid.engine.scratch import Scratch

MOST_PARTS = 4096
Columns = dict[str, Array]


@dataclass
class _Batch:
    """Rows of some blocks, each block's sorted by part."""

    layout: Layout
    columns: Columns
    size: int
    rows: int = 0
    blocks: list[Array] = field(default_factory=list)
    bounds: Array = field(default_factory=lambda: np.empty((0, 0), np.int64))
    """Where each part begins in each block's rows, once the batch is complete."""

    def complete(self) -> None:
        if len(self.bounds) < len(self.blocks):
            self.bounds = np.array(self.blocks)

    def count(self, part: int) -> int:
        return int((self.bounds[:, part + 1] - self.bounds[:, part]).sum())

    def collect(self, name: str, part: int) -> Array:
        """A part's rows of a column, as stored."""
        column = self.columns[name]
        out = np.empty(self.count(part), column.dtype)
        bits = np.dtype(f"u{column.dtype.itemsize}")  # one loop for floats and integers of a size
        leaves.collect(column.view(bits), self.bounds, part, out.view(bits))
        return out


@dataclass(frozen=True)
class _Piece:
    """Rows of one part in the scratch file."""

    layout: Layout
    start: int
    rows: int


class Scatter:
    """``add`` rows in the order of the input, then ``load`` one part after the other, each in that order.

    salt : another one parts the same sessions otherwise. room : bytes of rows kept in memory.
    """

    def __init__(self, n_parts: int, salt: int, scratch: Scratch, *, room: int, batch_rows: int) -> None:
        self.n_parts, self.salt, self.room, self.batch_rows = n_parts, salt, room, batch_rows
        self.rows = np.zeros(n_parts + 1, np.int64)
        self.spilled = 0
        """Bytes sent to the scratch file."""
        self._scratch = scratch
        self._layout = Layout()
        self._batches: list[_Batch] = []
        self._pieces: list[list[_Piece]] = [[] for _ in range(n_parts)]

    @property
    def total(self) -> int:
        return int(self.rows[: self.n_parts].sum())

    @property
    def held(self) -> int:
        """Bytes of memory that rows take; of a batch that is complete, the pages that were touched."""
        full = sum(batch.rows * batch.layout.row_bytes for batch in self._batches[:-1])
        return full + sum(batch.size * batch.layout.row_bytes for batch in self._batches[-1:])

    def add(self, columns: Mapping[str, Array], index: Array, ok: Array, lo: Array, hi: Array) -> None:
        """Rows of which those with ok = 0 are left out; index names the row's session in lo and hi."""
        n = len(index)
        part = np.empty(n, np.uint16)
        counts = np.zeros(self.n_parts + 1, np.int64)
        leaves.parts_of(index, ok, lo, self.salt, self.n_parts, part, counts)
        ends = np.cumsum(counts)
        order = np.empty(n, np.int64)  # what np.take would make of it, for each column anew
        leaves.order_of(part, ends - counts, order)
        kept = int(ends[self.n_parts - 1])
        self.rows += counts
        if not kept:
            return
        order = order[:kept]
        sessions = index[order].astype(np.int64)
        mine = {name: column for name, column in columns.items() if name not in ("session_lo", "session_hi")}
        both = {"session_lo": lo, "session_hi": hi}
        changed = self._layout.fit(mine | both)
        batch = self._batch(kept, fresh=changed)
        at = batch.rows
        for name, column in mine.items():
            np.take(self._layout.narrow(name, column), order, out=batch.columns[name][at : at + kept], mode="clip")
        for name, column in both.items():
            np.take(column, sessions, out=batch.columns[name][at : at + kept], mode="clip")
        batch.blocks.append(np.concatenate([[0], ends[: self.n_parts]]) + at)
        batch.rows += kept

    def _batch(self, rows: int, *, fresh: bool) -> _Batch:
        """The batch with room for so many rows; what is held goes to the scratch file where memory has none."""
        last = self._batches[-1] if self._batches else None
        if last is not None and not fresh and last.rows + rows <= last.size:
            return last
        size = max(rows, self.batch_rows)
        if self._batches and self.held + size * self._layout.row_bytes > self.room:
            self.spill()
        columns = {name: np.empty(size, form.dtype) for name, form in self._layout.forms.items()}
        if self._batches:
            self._batches[-1].complete()
        self._batches.append(_Batch(self._layout.copy(), columns, size))
        return self._batches[-1]

    def complete(self) -> None:
        """No row comes any more: parts may be loaded, from several threads at once."""
        if self.spilled or self.held > self.room:
            self.spill()
        elif self._batches:
            self._batches[-1].complete()

    def spill(self) -> None:
        """All rows held to the scratch file, those of a part side by side."""
        if self._batches:
            self._batches[-1].complete()
        before = self._scratch.bytes
        for _, alike in groupby(self._batches, lambda batch: batch.layout.forms):
            batches = list(alike)
            layout = batches[0].layout
            for part in range(self.n_parts):
                rows = sum(batch.count(part) for batch in batches)
                if rows:
                    names = layout.by_size
                    start = self._scratch.put([batch.collect(name, part) for name in names for batch in batches])
                    self._pieces[part].append(_Piece(layout, start, rows))
        self._batches = []
        self.spilled += self._scratch.bytes - before

    def pieces(self, part: int, most: int = 1 << 62) -> Iterator[Columns]:
        """A part's rows as a block has them, at most so many at a time of those in the scratch file."""
        for piece in self._pieces[part]:
            for first in range(0, piece.rows, most):
                rows = min(most, piece.rows - first)
                yield _widened(piece.layout, self._read(piece, first, rows), rows)
        for batch in self._batches:
            rows = batch.count(part)
            if rows:
                yield _widened(batch.layout, {name: batch.collect(name, part) for name in batch.layout.forms}, rows)

    def _read(self, piece: _Piece, first: int, rows: int) -> Columns:
        at, stored = piece.start, {}
        for name in piece.layout.by_size:
            dtype = piece.layout.forms[name].dtype
            stored[name] = self._scratch.get(at + first * dtype.itemsize, rows * dtype.itemsize).view(dtype)
            at += piece.rows * dtype.itemsize
        return stored

    def load(self, parts: Sequence[int]) -> Columns:
        """All rows of some parts."""
        n = int(self.rows[list(parts)].sum())
        out: Columns = {}
        at = 0
        for part in parts:
            for piece in self.pieces(part):
                rows = len(piece["time"])
                if rows == n:
                    return piece
                for name, column in piece.items():
                    out.setdefault(name, np.empty(n, DTYPES[name]))[at : at + rows] = column
                at += rows
        return out

    @property
    def row_bytes(self) -> int:
        """Bytes of a row as a block has it."""
        return full_bytes(self._layout.forms)

    def told(self) -> dict[str, Any]:
        """Where the rows lie, all of them in the scratch file, as JSON."""
        layouts: list[Layout] = []
        pieces = []
        for part, some in enumerate(self._pieces):
            for piece in some:
                if not layouts or layouts[-1] is not piece.layout:
                    layouts.append(piece.layout)
                pieces.append([part, len(layouts) - 1, piece.start, piece.rows])
        return {
            "parts": self.n_parts, "salt": self.salt, "rows": self.rows.tolist(), "spilled": self.spilled,
            "layout": self._layout.told(), "layouts": [layout.told() for layout in layouts], "pieces": pieces,
        }  # fmt: skip

    def retell(self, told: dict[str, Any]) -> None:
        """Take up what was told of a scatter of as many parts."""
        self.rows[:], self.spilled, self._layout = told["rows"], told["spilled"], Layout.of(told["layout"])
        layouts = [Layout.of(one) for one in told["layouts"]]
        for part, layout, start, rows in told["pieces"]:
            self._pieces[part].append(_Piece(layouts[layout], start, rows))

    def groups(self, most: int) -> list[list[int]]:
        """Parts that have rows, small ones together up to ``most`` rows; the largest first."""
        found: list[list[int]] = []
        rows = [0]
        for part in np.flatnonzero(self.rows[: self.n_parts]).tolist():
            if not found or rows[-1] + int(self.rows[part]) > most:
                found.append([])
                rows.append(0)
            found[-1].append(part)
            rows[-1] += int(self.rows[part])
        return sorted(found, key=lambda parts: -int(self.rows[parts].sum()))

    def drop(self) -> None:
        """Let go of what is held in memory."""
        self._batches = []


def _widened(layout: Layout, stored: Columns, rows: int) -> Columns:
    out: Columns = {name: np.empty(rows, DTYPES[name]) for name in stored}
    for name, column in stored.items():
        layout.widen(name, column, out[name])
    return out
