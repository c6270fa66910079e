"""Maps whose points are counted on a device: the CPU says which map and session a row belongs to, the device its cell
and how many there are of a kind; tiles, distinct sessions and all that a state holds are those of ``MapMeasure``."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import stage, tiles
from heatgrid.engine.block import Array, Block, absent
from heatgrid.engine.device_sums import DeviceSums, Grid, Sums
from heatgrid.engine.measures.maps import MapMeasure
from heatgrid.states.state import Maps
from heatgrid.words.ledger import Points
from heatgrid.words.plan import Plan

COLUMNS = {"map": np.uint32, "who": np.uint32, "x": np.float64, "y": np.float64}
RARE = {"width": np.uint32, "weight": np.int64}
"""Of the log, where the source has them."""


class DeviceMaps(MapMeasure):
    """As ``MapMeasure``."""

    of_process = ("_sums",)

    def __init__(self, plan: Plan, extra: tuple[str, ...], with_sessions: bool, touch: int, sums: DeviceSums) -> None:
        super().__init__(plan, extra, with_sessions, touch)
        self._sums = sums
        self._log = {name: sums.staging(sums.rows, dtype) for name, dtype in COLUMNS.items()}
        self._log |= {name: np.empty(0, dtype) for name, dtype in RARE.items()}
        self._logged = np.zeros(1, np.int64)
        self._drawn = np.zeros(tiles.LAYERS, np.int64)
        self._number = np.zeros(0, np.uint32)
        """By slot: the session's number in the log, 0 for none yet."""
        self._free = np.zeros(0, np.uint32)
        self._n_free = np.zeros(1, np.int64)
        self._numbers = 0
        self._closed: list[Array] = []
        """Numbers of sessions that have ended, which rows of the log still have."""
        self._place = np.zeros((0, 2))

    def resize(self, slots: int, runs: int, views: int) -> None:
        number = np.zeros(slots, np.uint32)
        number[: len(self._number)] = self._number
        self._number = number
        head = np.full(max(runs, views), -1, np.int32)
        head[: len(self._waiting_head)] = self._waiting_head
        self._waiting_head = head

    def _told(self) -> tuple[Any, ...]:
        log = (self._log[name] for name in (*COLUMNS, *RARE))
        return (
            self._want, self._number, self._free, self._n_free, self._waiting_head, self._waiting, self._place,
            self._waiting_free, self._logged, *log,
        )  # fmt: skip

    def fold(self, block: Block, order: Array, ready: int, layer_of_kind: Array) -> None:
        c = block.columns
        base = self._bases(block)
        self._with("width", c["width"])
        self._with("weight", c["weight"])
        flags = c["flags"] if len(c["bucket"]) else absent("flags")
        run = c["run"] if self.with_sessions else absent("run")
        at, reason = 0, stage.FULL
        while reason != stage.DONE:
            at, reason = stage.stage(
                order, at, ready, c["slot"], run, c["view_row"], flags, c["kind"], layer_of_kind, c["pointer"],
                self.touch, c["x"], c["y"], base, c["bucket"], c["fixed"], c["width"], c["weight"], self._drawn,
                *self._told(),
            )  # fmt: skip
            self._make_way(int(reason))

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        at, reason = 0, stage.FULL
        while reason != stage.DONE:
            at, reason = stage.end(views, at, view_sessions, *self._told())
            self._make_way(int(reason))
        ended = self._number[slots]
        self._number[slots] = 0
        self._closed.append(ended[ended > 0])

    def _with(self, name: str, column: Array) -> None:
        """The log has a column where the source has it, which its first block tells."""
        if len(column) and not len(self._log[name]):
            self._log[name] = self._sums.staging(self._sums.rows, RARE[name])

    def _make_way(self, reason: int) -> None:
        if reason == stage.FULL:
            self.flush()
        elif reason == stage.NO_NUMBER:
            more = max(1024, self._numbers)
            free = np.empty(self._numbers + more, np.uint32)
            n = int(self._n_free[0])
            free[:n] = self._free[:n]
            free[n : n + more] = np.arange(self._numbers + more, self._numbers, -1)
            self._free, self._numbers = free, self._numbers + more
            self._n_free[0] = n + more
            self._sets.resize(self._numbers)
        elif reason == stage.NO_WAITING:
            n, more = len(self._waiting), max(1024, len(self._waiting))
            self._waiting = np.concatenate([self._waiting, np.zeros((more, 4), np.int64)])
            self._place = np.concatenate([self._place, np.zeros((more, 2))])
            self._waiting[n:, stage.W_NEXT] = np.arange(n + 1, n + 1 + more)
            self._waiting[-1, stage.W_NEXT] = -1
            self._waiting_free[0] = n

    def flush(self) -> None:
        """Count what is in the log; numbers of sessions that have ended are free again."""
        x0, y0, width, height, nx, ny = self._grid
        grid = Grid(x0, y0, width, height, nx, ny, 2 * tiles.BUCKETS)
        for found in self._sums.points(self._log, int(self._logged[0]), grid, len(self._stats)):
            self._add(found, nx * ny)
        self._logged[0] = 0
        for ended in self._closed:
            self._sets.free(ended.astype(np.int64) - 1)
            n = int(self._n_free[0])
            self._free[n : n + len(ended)] = ended
            self._n_free[0] = n + len(ended)
        self._closed.clear()

    def _add(self, found: Sums, cells: int) -> None:
        at, reason = 0, stage.NO_TILE
        while True:
            heads, pool, state = self._sets.arrays
            at, reason = stage.add(
                at, found.who, found.code, found.sums, self._grid[4], cells, self._n_tx, self._table, self._keys,
                self._used, self._counts, self._stats, heads, pool, state,
            )  # fmt: skip
            if reason == stage.DONE:
                break
            self.make_room(tiles.NO_TILE if reason == stage.NO_TILE else tiles.NO_POOL)
        if len(found.widest):
            np.maximum(self._stats[:, tiles.WIDEST], found.widest, out=self._stats[:, tiles.WIDEST])
        self._ledger[:, 2:] += found.tally.reshape(tiles.LAYERS, 2)

    def points(self) -> dict[str, Points]:
        self.flush()
        self._ledger[:, 0] = self._drawn
        self._ledger[:, 1] = self._drawn - self._ledger[:, 2:].sum(axis=1)
        return super().points()

    def maps(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> Maps:
        self.flush()
        return super().maps(dims, decode)
