"""Usage by feature or page: events, clicks, views, sessions, dwell, visits; with segment and period as further keys."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from heatgrid.cpu import histogram, idset, usage
from heatgrid.engine.block import Array, Block
from heatgrid.engine.pairs import Pairs
from heatgrid.engine.sets import Sets
from heatgrid.states.state import USAGE_FIELDS, Table

WIDE_FROM = 2**32
"""Rows from which a 32-bit counter could overflow."""


@dataclass
class Usage:
    """One table. ``key`` is "feature" or "page"; ``extra`` the further key columns of the block, in order."""

    name: str
    key: str
    extra: tuple[str, ...]
    with_sessions: bool
    users: bool
    click_kind: int
    pairs: list[Pairs] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pairs = [Pairs() for _ in self.extra]
        self._fields = np.zeros((64, usage.FIELDS), np.int64)
        self._directory = np.full((64, histogram.OCTAVES), -1, np.int32)
        self._buckets = np.zeros((2 * usage.RUN, histogram.WIDTH), np.uint32)
        self._used = np.zeros(1, np.int64)
        self._lists = np.empty((usage.LISTS, usage.RUN), np.int64), np.zeros(2, np.int64)
        self._visits = np.zeros((0, 2), np.int64)
        self._bits = np.zeros((0, usage.BITS), np.int64)
        self._sets = Sets()
        self._rows = 0
        self._ids = np.zeros((1 << 10, 3), np.int64)
        self._n_ids = np.zeros(1, np.int64)
        self._user_counts = np.zeros(64, np.int64)

    def resize(self, slots: int, runs: int, views: int) -> None:
        self._sets.resize(slots)
        bits = np.zeros((slots, usage.BITS), np.int64)
        bits[: len(self._bits)] = self._bits
        self._bits = bits
        open_visits = np.zeros((runs, 2), np.int64)
        open_visits[len(self._visits) :, 0] = -1
        open_visits[: len(self._visits)] = self._visits
        self._visits = open_visits

    def fold(self, block: Block, order: Array, ready: int) -> None:
        c = block.columns
        keys = c[self.key]
        if not len(keys):
            # a source without the column: no feature at all, or all on the one page
            keys = np.full(block.rows, -1 if self.key == "feature" else 0, np.int32)
        for pairs, name in zip(self.pairs, self.extra, strict=True):
            out = np.empty(block.rows, np.int32)
            pairs.encode(keys, c[name], out)
            keys = out
        self._room(int(keys.max(initial=-1)) + 1)
        if not self.with_sessions:
            usage.fold_rows(c["slot"], keys, c["kind"], c["weight"], self.click_kind, self._fields)
        else:
            self._fold_sessions(c, keys, order, ready)
        if self.users:
            at = 0
            while True:
                at = idset.fold(
                    order, at, ready, c["slot"], keys, c["user_lo"], c["user_hi"], self._ids, self._n_ids,
                    self._user_counts,
                )  # fmt: skip
                if at >= ready:
                    break
                larger = np.zeros((len(self._ids) * 2, 3), np.int64)
                idset.rebuild(self._ids, larger)
                self._ids = larger

    def _fold_sessions(self, c: dict[str, Array], keys: Array, order: Array, ready: int) -> None:
        self._rows += ready
        if self._rows >= WIDE_FROM and self._buckets.dtype != np.int64:
            self._buckets = self._buckets.astype(np.int64)
        at = 0
        while True:
            at, reason = usage.fold(
                order, at, ready, c["slot"], c["run"], keys, c["kind"], c["dwell"], c["flags"], c["weight"],
                self.click_kind, self._visits, self._bits, self._fields, self._directory, self._buckets,
                self._used, *self._sets.arrays, *self._lists,
            )  # fmt: skip
            if reason == usage.DONE:
                return
            if reason == usage.NO_POOL:
                self._sets.grow()
            else:
                self._buckets = np.concatenate([self._buckets, np.zeros_like(self._buckets)])

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        self._sets.free(slots)
        usage.close(runs, slots, self._visits, self._bits, self._fields)

    def _room(self, rows: int) -> None:
        if rows > len(self._fields):
            more = max(rows, 2 * len(self._fields)) - len(self._fields)
            self._fields = np.concatenate([self._fields, np.zeros((more, usage.FIELDS), np.int64)])
            self._directory = np.concatenate([self._directory, np.full((more, histogram.OCTAVES), -1, np.int32)])
            self._user_counts = np.concatenate([self._user_counts, np.zeros(more, np.int64)])

    def table(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> Table:
        """dims: names of the dimensions behind a block column; decode: their codes by the column's code, if several."""
        n = len(self.pairs[-1]) if self.pairs else len(self._fields)
        codes = np.arange(n, dtype=np.int64)
        columns: list[Array] = []
        for pairs, name in zip(reversed(self.pairs), reversed(self.extra), strict=True):
            before, code = pairs.parts()
            code, codes = code[codes], before[codes]
            columns.insert(0, decode[name][code] if name in decode else code[:, None])
        columns.insert(0, codes[:, None])
        rows, octaves = np.nonzero(self._directory[:n] >= 0)
        counts = self._buckets[self._directory[rows, octaves]]
        entry, sub = np.nonzero(counts)
        entries = np.column_stack(
            [rows[entry], octaves[entry] * histogram.WIDTH + sub, counts[entry, sub].astype(np.int64)]
        )
        ids = None
        if self.users:
            ids = self._ids[self._ids[:, 0] != 0].copy()
            ids[:, 0] -= 1
        return Table(
            dims=(self.key, *(d for name in self.extra for d in dims[name])),
            fields=USAGE_FIELDS,
            keys=np.concatenate(columns, axis=1).astype(np.int64),
            values=self._fields[:n, : len(USAGE_FIELDS)].copy(),
            histogram=entries.astype(np.int64),
            ids=ids,
        )
