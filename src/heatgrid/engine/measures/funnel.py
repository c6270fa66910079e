"""The funnel: how far sessions come through its steps within the window, how long they take, where the others go."""

from __future__ import annotations

import numpy as np

from heatgrid.cpu import funnel, histogram
from heatgrid.engine.block import Array, Block
from heatgrid.engine.encode import Encoder
from heatgrid.engine.measures.groups import Groups
from heatgrid.engine.pairs import PairCounts
from heatgrid.states.state import FUNNEL_FIELDS, Table
from heatgrid.words.plan import Plan


class Funnel:
    """A session keeps 72 bytes and 16 for each step. It counts for the group of its first row of the first step."""

    def __init__(self, plan: Plan, encoder: Encoder, ms: tuple[int, int], extra: tuple[str, ...]) -> None:
        self.groups = Groups(extra)
        self.steps = len(plan.funnel_steps)
        window = plan.funnel_window_ms * encoder.ticks // 1000
        strict = ("order" in plan.strict, "increase" in plan.strict)
        self._rule = (self.steps, window, *strict, *ms)
        self._click = encoder.kinds.code("click")
        self._of = encoder.funnel_codes
        self._rows = np.zeros((0, funnel.CHAINS + 2 * self.steps), np.int64)
        self._fields = np.zeros((self.steps, funnel.FIELDS), np.int64)
        self._directory = np.full((self.steps, histogram.OCTAVES), -1, np.int32)
        self._buckets = np.zeros((64, histogram.WIDTH), np.int64)
        self._used = np.zeros(1, np.int64)
        self._pages = PairCounts()
        """Those who left, by group and step, and the page they went to."""
        self._features = PairCounts()

    def resize(self, slots: int, runs: int, views: int) -> None:
        rows = np.zeros((slots, self._rows.shape[1]), np.int64)
        funnel.clear_all(rows)
        rows[: len(self._rows)] = self._rows
        self._rows = rows

    def fold(self, block: Block, order: Array, ready: int) -> None:
        c = block.columns
        groups = self.groups.encode(block)
        self._room(int(groups.max(initial=0)) + 1)
        at = 0
        while True:
            at = funnel.fold(
                order, at, ready, c["slot"], c["time"], c["flags"], c["kind"], c["page"], c["feature"], groups,
                *self._of, self._click, *self._rule, self._rows, self._fields, self._directory, self._buckets,
                self._used,
            )  # fmt: skip
            if at >= ready:
                return
            self._grow()

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        at, n = 0, len(slots)
        left, pages, features = (np.full(n, -1, np.int32) for _ in range(3))
        while True:
            at = funnel.close(
                at, slots, *self._rule, self._rows, self._fields, self._directory, self._buckets, self._used, left,
                pages, features,
            )  # fmt: skip
            if at >= n:
                break
            self._grow()
        self._pages.add(left, pages)
        self._features.add(left, features)

    def _grow(self) -> None:
        self._buckets = np.concatenate([self._buckets, np.zeros_like(self._buckets)])

    def _room(self, groups: int) -> None:
        more = groups * self.steps - len(self._fields)
        if more > 0:
            more = max(more, len(self._fields))
            self._fields = np.concatenate([self._fields, np.zeros((more, funnel.FIELDS), np.int64)])
            self._directory = np.concatenate([self._directory, np.full((more, histogram.OCTAVES), -1, np.int32)])

    def tables(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> dict[str, Table]:
        """The whole, which is the sum of its groups, and with any groups these: ``funnel|segment|period``."""
        made = {}
        for split in (False, True)[: 1 + bool(self.groups.extra)]:
            tail = "".join(f"|{name}" for name in self.groups.extra) if split else ""
            names = self.groups.dims(dims) if split else ()
            rows = np.arange(len(self._fields))
            # a group of which no row was of the first step has no session; without groups there is one
            rows = rows[self._fields[:, funnel.REACHED][rows // self.steps * self.steps] > 0] if split else rows
            keys = self._keys(rows, decode, split=split)
            entry = self._histogram()
            if split:
                place = np.full(len(self._fields), -1, np.int64)
                place[rows] = np.arange(len(rows))
                made[f"funnel{tail}"] = Table(
                    names, FUNNEL_FIELDS, keys, self._fields[rows],
                    np.column_stack([place[entry[:, 0]], entry[:, 1:]]),
                )  # fmt: skip
            else:
                fields = np.zeros((self.steps, funnel.FIELDS), np.int64)
                np.add.at(fields, rows % self.steps, self._fields)
                made["funnel"] = Table((), FUNNEL_FIELDS, np.arange(self.steps)[:, None], fields, self._summed(entry))
            for thing, counts in (("page", self._pages), ("feature", self._features)):
                at, code = counts.pairs.parts()
                found = np.column_stack([code, self._keys(at, decode, split=split)])
                found, which = np.unique(found, axis=0, return_inverse=True)
                sums = np.zeros((len(found), 1), np.int64)
                np.add.at(sums[:, 0], which.reshape(-1), counts.counts)
                made[f"funnel|{thing}{tail}"] = Table(
                    (thing, *names), ("sessions",), found, sums, np.zeros((0, 3), np.int64)
                )
        return made

    def _keys(self, at: Array, decode: dict[str, Array], *, split: bool) -> Array:
        step = at % self.steps
        return np.column_stack([self.groups.keys(at // self.steps, decode), step]) if split else step[:, None]

    def _histogram(self) -> Array:
        steps, octaves = np.nonzero(self._directory >= 0)
        buckets = self._buckets[self._directory[steps, octaves]]
        entry, sub = np.nonzero(buckets)
        return np.column_stack([steps[entry], octaves[entry] * histogram.WIDTH + sub, buckets[entry, sub]])

    def _summed(self, entries: Array) -> Array:
        """Over groups."""
        cells, which = np.unique(
            np.column_stack([entries[:, 0] % self.steps, entries[:, 1]]), axis=0, return_inverse=True
        )
        counts = np.zeros(len(cells), np.int64)
        np.add.at(counts, which.reshape(-1), entries[:, 2])
        return np.column_stack([cells, counts])
