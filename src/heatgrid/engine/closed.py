"""The ids of closed sessions with room that grows: what cpu/closed.py works on."""

from __future__ import annotations

import numpy as np

from heatgrid.cpu import closed
from heatgrid.engine.block import Array


class Closed:
    """with_times : whether an id may return, and the end of its session is kept."""

    def __init__(self, *, with_times: bool) -> None:
        self._ids = np.zeros((1 << 10, 2), np.int64)
        self._last = np.zeros(1 << 10 if with_times else 0, np.int64)
        self._table = np.zeros(1 << 11, np.uint64)
        self._n = 0

    @property
    def ids(self) -> Array:
        """(n, 2), in the order in which they closed."""
        return self._ids[: self._n]

    @property
    def arrays(self) -> tuple[Array, Array, Array]:
        """Table, ids and times, as the leaves take them."""
        return self._table, self._ids, self._last

    def add(self, ids: Array, ms: Array) -> None:
        """ids (k, 2) of sessions that closed, and their last ms."""
        need = self._n + len(ids)
        if need > len(self._ids):
            # memory is taken as it is touched, so much room costs little, and a copy of what is not filled all of it
            room = max(need, len(self._ids) * 4)
            self._ids = _with_room(self.ids, room)
            if len(self._last):
                self._last = _with_room(self._last[: self._n], room)
        if need * 4 > len(self._table) * 3:
            self._table = np.zeros(1 << (need * 4 // 3).bit_length(), np.uint64)
            closed.refill(self._table, self.ids)
        self._n = int(closed.insert(*self.arrays, self._n, ids, ms))


def _with_room(items: Array, rows: int) -> Array:
    out = np.empty((rows, *items.shape[1:]), items.dtype)
    out[: len(items)] = items
    return out
