"""Maps of clicks and moves: events and distinct sessions by cell, for each page, segment, period and width bucket."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import tiles
from heatgrid.engine.block import Array, Block, absent
from heatgrid.engine.pairs import Pairs
from heatgrid.engine.sets import Sets
from heatgrid.states.state import Maps
from heatgrid.words.errors import LimitError
from heatgrid.words.ledger import Points
from heatgrid.words.plan import LAYERS, Plan

MAX_MAPS = 1 << 24
WIDE_FROM = 2**32


class MapMeasure:
    """All maps of one grouping: ``extra`` are the block columns (segment, period) that split them."""

    def __init__(self, plan: Plan, extra: tuple[str, ...], with_sessions: bool, touch: int) -> None:
        self.extra = extra
        self.with_sessions = with_sessions
        self._sets = Sets()
        self.pairs = [Pairs() for _ in extra]
        self.touch = touch
        self._layers = plan.maps
        x0, _, y0, _ = plan.bounds
        nx, ny = plan.shape
        self._grid = (x0, y0, *plan.cell_size, nx, ny)
        self._n_tx = -(-nx // tiles.SIDE)
        self._want = np.array([1, int(plan.moves_sessions)], np.uint8) * np.uint8(with_sessions)
        self._ledger = np.zeros((len(LAYERS), 4), np.int64)
        self._keys = np.zeros(256, np.int64)
        self._table = np.full(1024, -1, np.int32)
        self._used = np.zeros(1, np.int64)
        self._counts = np.zeros((256, tiles.CELLS, 2), np.uint32)
        self._events = np.zeros((0, tiles.CELLS), np.uint32)
        self._stats = np.zeros((64, tiles.STATS), np.int64)
        # what can be left out again when the run is over (states/subtract.py)
        self._widths = np.zeros((64 if with_sessions and not plan.keep_bots else 0, tiles.WIDTHS), np.int64)
        self._total = 0
        self._waiting_head = np.zeros(0, np.int32)
        self._waiting = np.zeros((0, 4), np.int64)
        self._waiting_free = np.full(1, -1, np.int64)
        self._scratch = np.empty((4, 0), np.int64)

    def resize(self, slots: int, runs: int, views: int) -> None:
        self._sets.resize(slots)
        head = np.full(max(runs, views), -1, np.int32)
        head[: len(self._waiting_head)] = self._waiting_head
        self._waiting_head = head

    def _state(self) -> tuple[Any, ...]:
        return (
            self._want, self._waiting_head, self._waiting, self._waiting_free, self._table, self._keys,
            self._used, self._counts, self._stats, *self._sets.arrays,
        )  # fmt: skip

    def fold(self, block: Block, order: Array, ready: int, layer_of_kind: Array) -> None:
        c = block.columns
        base = self._bases(block)
        if self._scratch.shape[1] < block.rows:
            self._scratch = np.empty((4, block.rows * 5 // 4), np.int64)
        rows, cells, maps, places = self._scratch
        # without widths nothing waits for one, and no row is looked at for ending a wait
        flags = c["flags"] if len(c["bucket"]) else absent("flags")
        n = tiles.select(
            order, ready, c["slot"], flags, c["kind"], layer_of_kind, c["pointer"], self.touch, c["x"],
            c["y"], *self._grid, self._ledger, rows, cells,
        )  # fmt: skip
        run = c["run"] if self.with_sessions else absent("run")
        at = placed = 0
        while at < n:
            at, placed, reason = tiles.place_and_fold(
                at, placed, n, rows, cells, c["kind"], layer_of_kind, base, c["fixed"], c["width"], maps, places,
                c["slot"], run, c["view_row"], flags, c["bucket"], c["weight"], self._grid[4], self._n_tx,
                self._widths, *self._state(),
            )  # fmt: skip
            if reason != tiles.DONE:
                self.make_room(int(reason))

    def _bases(self, block: Block) -> Array:
        """The base of each row's map, with room for all of them."""
        c = block.columns
        base = c["page"] if len(c["page"]) else np.zeros(block.rows, np.int32)
        for pairs, name in zip(self.pairs, self.extra, strict=True):
            out = np.empty(block.rows, np.int32)
            pairs.encode(base, c[name], out)
            base = out
        weight = c["weight"]
        self._room(int(base.max(initial=-1)) + 1, int(weight.sum()) if len(weight) else block.rows)
        return base

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        at = 0
        while True:
            want, *rest = self._state()
            at, reason = tiles.close(views, at, view_sessions, want, self._grid[4], self._n_tx, *rest)
            if reason == tiles.DONE:
                self._sets.free(slots)
                return
            self.make_room(int(reason))

    def make_room(self, reason: int) -> None:
        if reason == tiles.NO_POOL:
            self._sets.grow()
        elif reason == tiles.NO_TILE:
            n = len(self._keys)
            self._keys = np.concatenate([self._keys, np.zeros(n, np.int64)])
            # np.zeros takes pages only when they are touched, np.concatenate would touch all
            counts = np.zeros((2 * n, tiles.CELLS, 2), self._counts.dtype)
            counts[:n] = self._counts
            self._counts = counts
            self._table = np.full(len(self._table) * 2, -1, np.int32)
            tiles.rebuild(self._table, self._keys, int(self._used[0]))
        else:
            n = len(self._waiting)
            more = np.zeros((max(1024, n), 4), np.int64)
            more[:, tiles.W_NEXT] = np.arange(n + 1, n + 1 + len(more))
            more[-1, tiles.W_NEXT] = -1
            self._waiting = np.concatenate([self._waiting, more])
            self._waiting_free[0] = n

    def _room(self, bases: int, events: int) -> None:
        rows = bases * tiles.LAYERS * 2 * tiles.BUCKETS
        if rows >= MAX_MAPS:
            raise LimitError(
                "too many maps", code="HG4101", where="by / every / page", value=f"{rows:,}",
                expected=f"fewer than {MAX_MAPS:,}", hint="fewer segments, or rules that group pages",
            )  # fmt: skip
        if rows > len(self._stats):
            more = max(rows, 2 * len(self._stats)) - len(self._stats)
            self._stats = np.concatenate([self._stats, np.zeros((more, tiles.STATS), np.int64)])
            if len(self._widths):
                self._widths = np.concatenate([self._widths, np.zeros((more, tiles.WIDTHS), np.int64)])
        self._total += events
        if self._total >= WIDE_FROM and self._counts.dtype != np.int64:
            self._counts = self._counts.astype(np.int64)

    def counters(self, bases: int, events: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The grid and the tables for so many bases and more events, which lane M counts in by itself: a counter a
        cell, twice as many in a cache as with one for sessions beside it."""
        self._room(bases, events)
        if self._events.dtype != self._counts.dtype or len(self._events) < len(self._keys):
            events_now = np.zeros((len(self._keys), tiles.CELLS), self._counts.dtype)
            events_now[: len(self._events)] = self._events
            self._events = events_now
        tables = self._ledger, self._table, self._keys, self._used, self._events, self._stats
        return (*self._grid, self._n_tx), tables

    def sum_events(self) -> None:
        """What lane M has counted to where the other lanes do."""
        n = int(self._used[0])
        self._counts[:n, :, 0] = self._events[:n]
        in_tile = self._events[:n].sum(axis=1, dtype=np.int64)
        np.add.at(self._stats[:, tiles.EVENTS], self._keys[:n] >> tiles.CELL_BITS, in_tile)

    def points(self) -> dict[str, Points]:
        return {
            layer: Points(*(int(v) for v in self._ledger[i])) for i, layer in enumerate(LAYERS) if layer in self._layers
        }

    def maps(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> Maps:
        n = int(self._used[0])
        numbers = np.arange(len(self._stats), dtype=np.int64)
        numbers = numbers[self._stats[:, tiles.EVENTS] > 0]
        bucket = numbers % tiles.BUCKETS
        fixed = numbers // tiles.BUCKETS % 2
        layer = numbers // (tiles.BUCKETS * 2) % tiles.LAYERS
        codes = numbers // (tiles.BUCKETS * 2 * tiles.LAYERS)
        columns: list[Array] = []
        for pairs, name in zip(reversed(self.pairs), reversed(self.extra), strict=True):
            before, code = pairs.parts()
            code, codes = code[codes], before[codes]
            columns.insert(0, decode[name][code] if name in decode else code[:, None])
        keys = np.concatenate([codes[:, None], *columns, layer[:, None], fixed[:, None], bucket[:, None]], axis=1)
        place = np.full(len(self._stats), -1, np.int64)
        place[numbers] = np.arange(len(numbers))
        tile_map = place[self._keys[:n] >> tiles.CELL_BITS]
        tile_no = self._keys[:n] & tiles.WHOLE_MAP
        # a tile may exist without a count when room ran out between the two
        kept = np.flatnonzero(tile_map >= 0)
        whole = len(kept) == n
        wide = np.int64 if self._stats[:, tiles.EVENTS].sum() >= WIDE_FROM else np.uint32
        return Maps(
            dims=("page", *(d for name in self.extra for d in dims[name])),
            keys=keys.astype(np.int64),
            values=self._stats[numbers],
            tiles=np.column_stack([tile_map[kept], tile_no[kept]]).astype(np.int64),
            counts=(self._counts[:n] if whole else self._counts[kept]).astype(wide, copy=False),
            widths=self._widths[numbers] if len(self._widths) else None,
        )
