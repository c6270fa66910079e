"""Journeys: the steps of sessions from page to page, or from feature to feature; how they follow, and whole paths."""

from __future__ import annotations

import numpy as np

from heatgrid.cpu import histogram, journeys, pairs, trie
from heatgrid.engine.block import Array, Block
from heatgrid.engine.measures.groups import Groups
from heatgrid.engine.pairs import PairCounts, Pairs
from heatgrid.engine.sets import Sets
from heatgrid.states.paths import larger, new_tree
from heatgrid.states.state import TRANSITION_FIELDS, Paths, Table

WIDE_FROM = 2**32


class Journeys:
    """Transitions and paths of one ``thing`` ("page" or "feature"), whole and by group.

    A session keeps 56 bytes for transitions, and a set of those it made beyond the first 256; 4 for its path; paths
    cost some 30 bytes for each distinct beginning of a path. A transition counts for the group of the row that comes to
    its page, an exit for that of the last step, a path for that of its first one.
    """

    def __init__(
        self, thing: str, groupings: list[tuple[str, ...]], *, transitions: bool, paths: bool, ms: tuple[int, int]
    ) -> None:
        self.thing, self.ms = thing, ms
        self.transitions = [Transitions(extra) for extra in groupings] if transitions else []
        self.paths = PathTree(groupings[-1]) if paths else None
        self._last = np.zeros(0, np.int32)
        self._rows = np.empty(0, np.int64)

    @property
    def _members(self) -> list[Transitions | PathTree]:
        return [*self.transitions, *([self.paths] if self.paths is not None else [])]

    def resize(self, slots: int, runs: int, views: int) -> None:
        if self.thing == "feature":
            self._last = _resized(self._last, slots, -1)
        for part in self._members:
            part.resize(slots)

    def fold(self, block: Block, order: Array, ready: int) -> None:
        c = block.columns
        if len(self._rows) <= ready:
            self._rows = np.empty(ready * 5 // 4 + 1, np.int64)
        codes = c[self.thing]
        if self.thing == "page":
            n = journeys.view_steps(order, ready, c["slot"], c["flags"], self._rows)
        elif len(codes):
            n = journeys.feature_steps(order, ready, c["slot"], c["flags"], codes, self._last, self._rows)
        else:
            return
        most = int(codes.max(initial=0))
        for transitions in self.transitions:
            transitions.fold(int(n), self._rows, block, codes, self.ms, most)
        if self.paths is not None:
            self.paths.fold(int(n), self._rows, block, codes)

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        if self.thing == "feature":
            self._last[slots] = -1
        for part in self._members:
            part.close(slots)


class Transitions:
    def __init__(self, extra: tuple[str, ...]) -> None:
        self.groups = Groups(extra)
        self._pairs = Pairs()
        """Codes with their groups, where there are any."""
        self._open = np.zeros((0, 3), np.int64)
        self._ends = np.zeros((2, 64), np.int64)
        """Entries and exits by code."""
        self._keys = np.zeros(64, np.int64)
        self._table = np.full(256, -1, np.int32)
        self._count = np.zeros(1, np.int64)
        self._fields = np.zeros((64, len(TRANSITION_FIELDS)), np.int64)
        self._directory = np.full((64, histogram.OCTAVES), -1, np.int32)
        self._buckets = np.zeros((64, histogram.WIDTH), np.uint32)
        self._used = np.zeros(1, np.int64)
        self._bits = np.zeros((0, journeys.BITS), np.int64)
        self._sets = Sets()
        self._lists = np.empty((journeys.LISTS, journeys.RUN), np.int64)
        self._waiting = np.zeros(2, np.int64)
        self._steps = 0

    def resize(self, slots: int) -> None:
        self._sets.resize(slots)
        self._bits = _resized(self._bits, slots, 0)
        self._open = _resized(self._open, slots, -1)

    def fold(self, n: int, rows: Array, block: Block, codes: Array, ms: tuple[int, int], most: int) -> None:
        whole = np.empty(0, np.int32)
        if self.groups.extra:
            steps = rows[:n]
            whole = np.empty(n, np.int32)
            mine = codes[steps] if len(codes) else np.zeros(n, np.int32)
            self._pairs.encode(mine, self.groups.encode(block)[steps], whole)
            most = len(self._pairs) - 1
        if most >= self._ends.shape[1]:
            ends = np.zeros((2, max(most + 1, 2 * self._ends.shape[1])), np.int64)
            ends[:, : self._ends.shape[1]] = self._ends
            self._ends = ends
        self._steps += n
        if self._steps >= WIDE_FROM and self._buckets.dtype != np.int64:
            self._buckets = self._buckets.astype(np.int64)
        at = 0
        while True:
            at, reason = journeys.transitions(
                at, n, rows, block["slot"], codes, whole, block["time"], *ms, self._open, self._ends[0], self._table,
                self._keys, self._count, self._fields, self._directory, self._buckets, self._used, self._bits,
                *self._sets.arrays, self._lists, self._waiting,
            )  # fmt: skip
            if reason == journeys.DONE:
                return
            if reason == journeys.NO_POOL:
                self._sets.grow()
            elif reason == journeys.NO_HISTOGRAM:
                self._buckets = np.concatenate([self._buckets, np.zeros_like(self._buckets)])
            else:
                self._grow()

    def _grow(self) -> None:
        n = len(self._keys)
        self._keys = np.concatenate([self._keys, np.zeros(n, np.int64)])
        self._fields = np.concatenate([self._fields, np.zeros_like(self._fields)])
        self._directory = np.concatenate([self._directory, np.full_like(self._directory, -1)])
        self._table = np.full(8 * n, -1, np.int32)
        pairs.rebuild(self._table, self._keys, int(self._count[0]))

    def close(self, slots: Array) -> None:
        self._sets.free(slots)
        self._bits[slots] = 0
        journeys.close(slots, self._open, self._ends[1])

    def table(self, thing: str, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> Table:
        """keys : from, to, the groups', and 0 between two steps, 1 before the first (from = to), 2 after the last."""
        n = int(self._count[0])
        to, group = self._parts(self._keys[:n] & 0xFFFFFFFF, decode)
        keys, values = [np.column_stack([self._keys[:n] >> 32, to, group, np.zeros(n, np.int64)])], [self._fields[:n]]
        for edge, counts in enumerate(self._ends, 1):
            codes = np.flatnonzero(counts)
            code, group = self._parts(codes, decode)
            keys.append(np.column_stack([code, code, group, np.full(len(codes), edge)]))
            # a session has one entry and one exit
            values.append(np.column_stack([counts[codes], counts[codes]]))
        rows, octaves = np.nonzero(self._directory[:n] >= 0)
        buckets = self._buckets[self._directory[rows, octaves]]
        entry, sub = np.nonzero(buckets)
        entries = [rows[entry], octaves[entry] * histogram.WIDTH + sub, buckets[entry, sub].astype(np.int64)]
        return Table(
            dims=(thing, thing, *self.groups.dims(dims)),
            fields=TRANSITION_FIELDS,
            keys=np.concatenate(keys).astype(np.int64),
            values=np.concatenate(values),
            histogram=np.column_stack(entries).astype(np.int64),
        )

    def _parts(self, whole: Array, decode: dict[str, Array]) -> tuple[Array, Array]:
        """The codes and the groups' keys of codes with their groups."""
        if not self.groups.extra:
            return whole, np.zeros((len(whole), 0), np.int64)
        codes, groups = self._pairs.parts()
        return codes[whole], self.groups.keys(groups[whole], decode)


class PathTree:
    def __init__(self, extra: tuple[str, ...]) -> None:
        self.groups = Groups(extra)
        self._begun = np.zeros(0, np.int32)
        self._split = PairCounts()
        """Sessions by the end of their path and their group."""
        self._here = np.zeros(0, np.int32)
        self._tree = new_tree(1 << 10)
        self._ended = np.zeros(1 << 10, np.int64)

    def resize(self, slots: int) -> None:
        self._here = _resized(self._here, slots, trie.ROOT)
        if self.groups.extra:
            self._begun = _resized(self._begun, slots, -1)

    def fold(self, n: int, rows: Array, block: Block, codes: Array) -> None:
        if self.groups.extra:
            journeys.begin(n, rows, block["slot"], self.groups.encode(block), self._begun)
        at = 0
        while (at := trie.walk(at, n, rows, block["slot"], codes, self._here, *self._tree)) < n:
            self._tree = larger(self._tree)

    def close(self, slots: Array) -> None:
        if len(self._ended) < len(self._tree[1]):
            self._ended = _resized(self._ended, len(self._tree[1]), 0)
        if self.groups.extra:
            self._split.add(self._here[slots], self._begun[slots])
            self._begun[slots] = -1
        trie.close(slots, self._here, self._ended)

    def part(self, thing: str, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> Paths:
        _, parents, codes, used = self._tree
        n = int(used[0])
        ended = _resized(self._ended, max(n, len(self._ended)), 0)[1:n]
        return Paths(
            dims=(thing,),
            keys=codes[1:n, None].astype(np.int64),
            parents=parents[1:n].astype(np.int64) - 1,
            ended=ended.copy(),
            split=self._split_table(dims, decode) if self.groups.extra else None,
        )

    def _split_table(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> Table:
        nodes, groups = self._split.pairs.parts()
        return Table(
            dims=self.groups.dims(dims),
            fields=("sessions",),
            keys=np.column_stack([self.groups.keys(groups, decode), nodes - 1]),
            values=self._split.counts[:, None],
            histogram=np.zeros((0, 3), np.int64),
        )


def _resized(array: Array, rows: int, empty: int) -> Array:
    out = np.full((rows, *array.shape[1:]), empty, array.dtype)
    out[: len(array)] = array
    return out
