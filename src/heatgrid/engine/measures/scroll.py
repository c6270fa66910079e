"""Scroll and attention: reach, folds and page heights of views, and the time that every band of a page was in the
window, by page, width bucket, segment and period."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import scroll, tiles
from heatgrid.engine.block import Array, Block
from heatgrid.engine.pairs import Pairs
from heatgrid.engine.sets import Sets
from heatgrid.states.state import BAND_FIELDS, SCROLL_FIELDS, Table
from heatgrid.words.errors import LimitError
from heatgrid.words.ledger import Points
from heatgrid.words.plan import BUCKETS, Plan

MOST_KEYS = 1 << 22
"""As many as there may be maps of one layer; the counters of a key are 0.6 kB and what was hit."""


class Scroll:
    """One grouping: ``extra`` are the block columns (segment, period) that split it."""

    def __init__(self, plan: Plan, extra: tuple[str, ...], click_kind: int) -> None:
        self.extra = extra
        self.pairs = [Pairs() for _ in extra]
        self._band = float(plan.band)
        self._click = click_kind
        self._sets = Sets()
        self._runs = np.zeros((0, scroll.RUN_FIELDS))
        self._views = np.zeros((0, scroll.VIEW_FIELDS))
        self._waiting = np.zeros((0, scroll.WAIT_FIELDS), np.int64)
        self._free = np.array([-1, 0], np.int64)
        self._keys = np.zeros(4096, np.int64)
        self._table = np.full(16_384, -1, np.int32)
        self._used = np.zeros(1, np.int64)
        self._counts = np.zeros((4096, scroll.TILE), np.int64)
        self._totals = np.zeros((64, scroll.TOTALS), np.int64)
        self._near = np.zeros((64, scroll.NEAR), np.int32)

    def resize(self, slots: int, runs: int, views: int) -> None:
        self._sets.resize(slots)
        self._runs = _longer(self._runs, runs)
        n = len(self._views)
        self._views = _longer(self._views, max(runs, views))
        self._views[n:, scroll.V_BASE] = -1

    @property
    def _counters(self) -> tuple[Array, Array, Array, Array, Array, Array]:
        return self._table, self._keys, self._used, self._counts, self._near, self._totals

    def fold(self, block: Block, order: Array, ready: int) -> None:
        c = block.columns
        base = c["page"] if len(c["page"]) else np.zeros(block.rows, np.int32)
        for pairs, name in zip(self.pairs, self.extra, strict=True):
            out = np.empty(block.rows, np.int32)
            pairs.encode(base, c[name], out)
            base = out
        need = (int(base.max(initial=-1)) + 1) * len(BUCKETS)
        if need > MOST_KEYS:
            raise LimitError(
                "too many pages to count scrolls for", code="HG4105", where="by / every / page", value=f"{need:,}",
                expected=f"at most {MOST_KEYS:,} of pages, segments, periods and widths",
                hint="fewer segments, or rules that group pages",
            )  # fmt: skip
        if need > len(self._totals):
            need = max(need, 2 * len(self._totals))
            self._totals, self._near = _longer(self._totals, need), _longer(self._near, need)
        at, reason = 0, scroll.NO_TILE
        while reason != scroll.DONE:
            heads, pool, state = self._sets.arrays
            at, reason = scroll.fold(
                order, at, ready, c["slot"], c["run"], c["view_row"], c["flags"], c["kind"], c["dwell"], base,
                c["bucket"], c["width"], c["scroll"], c["height"], c["page_h"], c["y"], c["fixed"], c["weight"],
                self._click, self._band, self._runs, self._views, self._waiting, self._free, *self._counters, heads,
                pool, state,
            )  # fmt: skip
            self._make_room(int(reason))

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        at, reason = 0, scroll.NO_TILE
        while reason != scroll.DONE:
            at, reason = scroll.leave(
                runs, at, self._band, self._runs, self._views, self._waiting, self._free, *self._counters
            )
            self._make_room(int(reason))
        at, reason = 0, scroll.NO_TILE
        while reason != scroll.DONE:
            heads, pool, state = self._sets.arrays
            at, reason = scroll.close(
                views, at, view_sessions, self._band, self._views, self._waiting, self._free, *self._counters, heads,
                pool, state,
            )  # fmt: skip
            self._make_room(int(reason))
        self._sets.free(slots)

    def _make_room(self, reason: int) -> None:
        if reason == scroll.NO_POOL:
            self._sets.grow()
        elif reason == scroll.NO_TILE:
            n = len(self._keys)
            self._keys, self._counts = _longer(self._keys, 2 * n), _longer(self._counts, 2 * n)
            self._table = np.full(2 * len(self._table), -1, np.int32)
            tiles.rebuild(self._table, self._keys, int(self._used[0]))
        elif reason == scroll.NO_WAITING:
            n, more = len(self._waiting), max(1024, len(self._waiting))
            self._waiting = _longer(self._waiting, n + more)
            self._waiting[n:, scroll.W_NEXT] = np.arange(n + 1, n + 1 + more)
            self._waiting[-1, scroll.W_NEXT] = self._free[0]
            self._free[:] = n, self._free[1] + more

    def points(self) -> Points:
        """Views: those without a window at any row are invalid."""
        rows, unseen = (int(self._totals[:, field].sum()) for field in (scroll.T_VIEWS, scroll.T_UNSEEN))
        return Points(rows=rows, used=rows - unseen, invalid=unseen)

    def _entries(self, plane: int) -> Array:
        """(key, number, count) of all counters of a plane that are not 0."""
        keys = self._keys[: int(self._used[0])]
        mine = np.flatnonzero((keys >> scroll.NUMBER_BITS) % (1 << scroll.PLANE_BITS) == plane)
        keys, counts = keys[mine], self._counts[mine]
        tile, at = np.nonzero(counts)
        first = (keys % (1 << scroll.NUMBER_BITS)) * scroll.TILE
        return np.column_stack(
            [(keys >> (scroll.NUMBER_BITS + scroll.PLANE_BITS))[tile], first[tile] + at, counts[tile, at]]
        )

    def tables(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> dict[str, Table]:
        """``scroll`` by page, (segment, period,) bucket; ``scroll_bands`` by band too; ``scroll_px`` by measure (a
        plane: fold, reach, page height), with histograms; ``scroll_shares`` by vendor (a plane), percent or bucket."""
        own = ("page", *(d for name in self.extra for d in dims[name]))
        nothing = np.zeros((0, 3), np.int64)
        bands = self._entries(scroll.BANDS)
        band, field = bands[:, 1] // scroll.PER_BAND, bands[:, 1] % scroll.PER_BAND
        mine = field == scroll.SESSIONS
        sessions = np.bincount(bands[mine, 0], bands[mine, 2], len(self._totals)).astype(np.int64)
        values = np.column_stack([self._totals[:, : scroll.T_SEEN + 1], sessions])
        keys = np.flatnonzero(values.any(axis=1))
        tables = {"scroll": Table(own, SCROLL_FIELDS, self._named(keys, decode), values[keys], nothing)}
        found, place = np.unique(np.column_stack([bands[:, 0], band]), axis=0, return_inverse=True)
        values = np.zeros((len(found), len(BAND_FIELDS)), np.int64)
        values[place.reshape(-1), field] = bands[:, 2]
        keys = np.column_stack([self._named(found[:, 0], decode), found[:, 1]])
        tables["scroll_bands"] = Table(own, BAND_FIELDS, keys, values, nothing)
        parts = []
        for plane in (scroll.FOLD, scroll.REACH, scroll.PAGE):
            entries = self._entries(plane)
            parts.append(np.column_stack([entries[:, 0], np.full(len(entries), plane), entries[:, 1:]]))
        entries = np.concatenate(parts)
        found, place = np.unique(entries[:, :2], axis=0, return_inverse=True)
        row = place.reshape(-1)
        counts = np.bincount(row, entries[:, 3], len(found)).astype(np.int64)
        keys = np.column_stack([self._named(found[:, 0], decode), found[:, 1]])
        histogram = np.column_stack([row, entries[:, 2:]])
        tables["scroll_px"] = Table(own, ("views",), keys, counts[:, None], histogram)
        parts = []
        for plane in (scroll.SNOWPLOW, scroll.POSTHOG):
            entries = self._entries(plane)
            names = self._named(entries[:, 0], decode)
            parts.append(np.column_stack([names, np.full(len(entries), plane), entries[:, 1:]]))
        entries = np.concatenate(parts)
        tables["scroll_shares"] = Table(own, ("views",), entries[:, :-1].copy(), entries[:, -1:].copy(), nothing)
        return {"|".join((name, *self.extra)): table for name, table in tables.items()}

    def _named(self, key: Array, decode: dict[str, Array]) -> Array:
        """The columns behind keys: page, segments and period, bucket."""
        codes = key // len(BUCKETS)
        columns: list[Any] = [(key % len(BUCKETS))[:, None]]
        for pairs, name in zip(reversed(self.pairs), reversed(self.extra), strict=True):
            before, code = pairs.parts()
            code, codes = code[codes], before[codes]
            columns.insert(0, decode[name][code] if name in decode else code[:, None])
        return np.concatenate([codes[:, None], *columns], axis=1).astype(np.int64)


def _longer(array: Any, rows: int) -> Any:
    """With rows of zeros behind it; fresh pages cost nothing until they are touched."""
    out = np.zeros((rows, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out
