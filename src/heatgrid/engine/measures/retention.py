"""Retention: which users were there in which day or week; who came back follows at the end, so that states merge."""

from __future__ import annotations

import numpy as np

from heatgrid.cpu import idset
from heatgrid.engine.block import Array, Block
from heatgrid.engine.measures.groups import Groups
from heatgrid.states.state import Table


class Retention:
    """A set of (segment and period, user): 24 bytes for each, a third of the room kept free. Without segments those of
    all are the one set, and with them its union: a user of several is kept once for each."""

    def __init__(self, users: bool, by: bool) -> None:
        self.users = users
        self._groups = Groups(("segment", "cohort") if by else ("cohort",))
        self._ids = np.zeros((1 << 10, 3), np.int64)
        self._used = np.zeros(1, np.int64)
        self._events = np.zeros(64, np.int64)
        self._most = 0

    def fold(self, block: Block, order: Array, ready: int) -> None:
        if not self.users:
            return
        c = block.columns
        rows = order[:ready]
        key = self._groups.encode(block)
        codes = key[rows[c["slot"][rows] >= 0]]
        if len(codes) == 0:
            return
        self._most = max(self._most, int(codes.max()) + 1)
        if self._most > len(self._events):
            self._events = np.concatenate([self._events, np.zeros(self._most, np.int64)])
        counts = np.bincount(codes)
        self._events[: len(counts)] += counts
        at = 0
        users = np.zeros(len(self._events), np.int64)
        while True:
            at = idset.fold(order, at, ready, c["slot"], key, c["user_lo"], c["user_hi"], self._ids, self._used, users)
            if at >= ready:
                return
            larger = np.zeros((len(self._ids) * 2, 3), np.int64)
            idset.rebuild(self._ids, larger)
            self._ids = larger

    def table(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> Table:
        ids = None
        if self.users:
            ids = self._ids[self._ids[:, 0] != 0].copy()
            ids[:, 0] -= 1
        keys = self._groups.keys(np.arange(self._most), decode)
        events = self._events[: self._most, None].copy()
        names = self._groups.dims(dims | {"cohort": ("cohort",)})
        return Table(names, ("events",), keys, events, np.zeros((0, 3), np.int64), ids)
