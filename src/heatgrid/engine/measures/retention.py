"""Retention: which users were there in which day or week; who came back follows at the end, so that states merge."""

from __future__ import annotations

import numpy as np

from heatgrid.cpu import idset
from heatgrid.engine.block import Array, Block
from heatgrid.states.state import Table


class Retention:
    """A set of (period, user): 24 bytes for each, a third of the room kept free."""

    def __init__(self, users: bool) -> None:
        self.users = users
        self._ids = np.zeros((1 << 10, 3), np.int64)
        self._used = np.zeros(1, np.int64)
        self._events = np.zeros(64, np.int64)

    def fold(self, block: Block, order: Array, ready: int) -> None:
        if not self.users:
            return
        c = block.columns
        rows = order[:ready]
        codes = c["cohort"][rows[c["slot"][rows] >= 0]]
        if len(codes) == 0:
            return
        if (most := int(codes.max())) >= len(self._events):
            self._events = np.concatenate([self._events, np.zeros(max(most, len(self._events)), np.int64)])
        counts = np.bincount(codes)
        self._events[: len(counts)] += counts
        at = 0
        users = np.zeros(len(self._events), np.int64)
        while True:
            at = idset.fold(
                order, at, ready, c["slot"], c["cohort"], c["user_lo"], c["user_hi"], self._ids, self._used, users
            )
            if at >= ready:
                return
            larger = np.zeros((len(self._ids) * 2, 3), np.int64)
            idset.rebuild(self._ids, larger)
            self._ids = larger

    def table(self, periods: int) -> Table:
        ids = None
        if self.users:
            ids = self._ids[self._ids[:, 0] != 0].copy()
            ids[:, 0] -= 1
        events = np.zeros((periods, 1), np.int64)
        known = min(periods, len(self._events))
        events[:known, 0] = self._events[:known]
        return Table(("cohort",), ("events",), np.arange(periods)[:, None], events, np.zeros((0, 3), np.int64), ids)
