"""Scroll and attention whose counters are summed on a device: the CPU follows windows and views, and writes down each
stay and each ended view; the rest, and all that a state holds, is that of ``Scroll``."""

from __future__ import annotations

import numpy as np

from heatgrid.cpu import scroll
from heatgrid.engine.block import Array
from heatgrid.engine.device_sums import DeviceSums
from heatgrid.engine.measures.scroll import Scroll
from heatgrid.states.state import Table
from heatgrid.words.ledger import Points
from heatgrid.words.plan import Plan


class DeviceScroll(Scroll):
    """As ``Scroll``."""

    of_process = ("_sums",)

    def __init__(self, plan: Plan, extra: tuple[str, ...], click_kind: int, sums: DeviceSums) -> None:
        super().__init__(plan, extra, click_kind)
        self._sums = sums
        rows = max(sums.rows // scroll.LOG_FIELDS, 2 * scroll.MOST_TILES)
        self._log = sums.staging(rows * scroll.LOG_FIELDS, np.float64).reshape(rows, scroll.LOG_FIELDS)
        self._room = np.zeros(rows, np.int64)
        """Only its length is asked for, as that of the tiles' keys."""
        self._logged = np.zeros(1, np.int64)
        self._no_tiles = np.zeros((0, 0), np.int32)

    @property
    def _counters(self) -> tuple[Array, Array, Array, Array, Array, Array]:
        return self._table, self._room, self._logged, self._log, self._no_tiles, self._totals

    def _make_room(self, reason: int) -> None:
        if reason == scroll.NO_TILE:
            self.flush()
        else:
            super()._make_room(reason)

    def flush(self) -> None:
        """Count what is in the log."""
        for found in self._sums.scroll(self._log, int(self._logged[0]), self._band, len(self._totals)):
            at, stop = found if isinstance(found, tuple) else (0, len(found.code))
            while at < stop:
                where = self._table, self._keys, self._used, self._counts, self._near
                if isinstance(found, tuple):
                    at = scroll.replay(self._log, at, stop, self._band, *where)
                else:
                    at = scroll.add(found.code, found.sums, at, *where)
                if at < stop:
                    super()._make_room(scroll.NO_TILE)
        self._logged[0] = 0

    def points(self) -> Points:
        self.flush()
        return super().points()

    def tables(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> dict[str, Table]:
        self.flush()
        return super().tables(dims, decode)
