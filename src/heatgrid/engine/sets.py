"""The pool of the open sessions' hash sets, one for each that keeps some: what cpu/sets.py works on."""

from __future__ import annotations

import numpy as np

from heatgrid.cpu import sets
from heatgrid.engine.block import Array


class Sets:
    """Sets by slot. Leaves take ``heads, pool, state`` and come back where the pool must grow."""

    def __init__(self, slots: int = 0) -> None:
        self.pool = np.zeros(1 << 16, np.int64)
        self.state = np.zeros(1 + sets.CLASSES, np.int64)
        self.heads = np.zeros((slots, 3), np.int64)

    @property
    def arrays(self) -> tuple[Array, Array, Array]:
        return self.heads, self.pool, self.state

    def grow(self) -> None:
        # in its place: the system moves pages and copies none (55 copies were 50 ns a row of 10 M with every measure);
        # by little, since NumPy touches what is new (200 M rows: a peak of 713 MB where it doubled)
        self.pool.resize(len(self.pool) * 5 // 4, refcheck=False)

    def resize(self, slots: int) -> None:
        heads = np.zeros((slots, 3), np.int64)
        heads[: len(self.heads)] = self.heads
        self.heads = heads

    def free(self, slots: Array) -> None:
        sets.free(self.pool, self.state, self.heads, slots)
