"""Exposure: which features came into the window, how long, and what views and sessions did with them, by page, feature,
segment and period; whole, and split by all that the plan names."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import exposure, histogram
from heatgrid.cpu.pairs import rebuild
from heatgrid.engine.block import Array, Block
from heatgrid.engine.lines import Lines
from heatgrid.engine.pairs import Pairs
from heatgrid.engine.sets import Sets
from heatgrid.states.state import EXPOSURE_FIELDS, EXPOSURE_PAGE_FIELDS, EXPOSURE_USER_FIELDS, Table
from heatgrid.words.errors import LimitError

LEAST_MS = 150
"""In one stretch, from which on a line counts as seen (Contentsquare)."""
ACTS = ("click", "move", "hidden", "exposure")
MOST_CELLS = 1 << 24
_NO_USERS = np.empty(0, np.int64)


class Exposure:
    """``extra`` are the block columns (segment, period) that split it; goals : codes of its steps, if there are any."""

    def __init__(
        self, extra: tuple[str, ...], lines: Lines, acts: Array, touch: int, ms: tuple[int, int],
        goals: tuple[Array, Array, Array, Array], has_goal: bool, users: bool,
    ) -> None:  # fmt: skip
        self.extra = extra
        self.pairs = [Pairs() for _ in extra]
        self._lines, self._acts, self._touch, self._ms = lines.arrays, acts, touch, ms
        self._goal = (*goals[:3], np.append(goals[3], np.int64(has_goal)))
        self._bases = 1 + bool(extra)
        self._named = False
        self._runs = np.zeros((0, exposure.RUN_FIELDS), np.int64)
        self._windows = np.zeros((0, exposure.WINDOW_FIELDS))
        self._views = np.zeros((0, exposure.VIEW_FIELDS), np.int64)
        self._goals = np.zeros(0, np.int64)
        self._by_user = users
        self._users = np.zeros((0, 2), np.int64)
        self._out = np.zeros((1 << 14 if users else 0, exposure.OUT_FIELDS), np.int64)
        self._n_out = np.zeros(1, np.int64)
        self._passed = np.zeros((0, exposure.OUT_FIELDS), np.int64)
        self._fresh: list[Array] = []
        self._entries, self._sets = Sets(), Sets()
        self._table = np.full(8192, -1, np.int32)
        self._keys = np.zeros(4096, np.int64)
        self._count = np.zeros(1, np.int64)
        self._fields = np.zeros((4096, exposure.CELL_FIELDS), np.int64)
        self._pages = np.zeros((128, exposure.PAGE_FIELDS), np.int64)
        self._first_cell = np.full(128, -1, np.int64)
        self._directory = np.full((2 * 4096, histogram.OCTAVES), -1, np.int32)
        self._buckets = np.zeros((256, histogram.WIDTH), np.int64)
        self._used = np.zeros(1, np.int64)

    def resize(self, slots: int, runs: int, views: int) -> None:
        n, m = len(self._runs), len(self._views)
        self._runs, self._windows = _longer(self._runs, runs), _longer(self._windows, runs)
        for field in (exposure.R_VIEW, exposure.R_TABLE, exposure.R_HOVER):
            self._runs[n:, field] = -1
        self._views = _longer(self._views, max(runs, views))
        self._views[m:, exposure.V_BASE] = -1
        self._goals, self._users = _longer(self._goals, slots), _longer(self._users, slots)
        self._entries.resize(len(self._views))
        self._sets.resize(slots)

    def fold(self, block: Block, order: Array, ready: int) -> None:
        c = block.columns
        self._named = len(c["view_row"]) > 0
        page = c["page"] if len(c["page"]) else np.zeros(block.rows, np.int32)
        split = page
        for pairs, name in zip(self.pairs, self.extra, strict=True):
            out = np.empty(block.rows, np.int32)
            pairs.encode(split, c[name], out)
            split = out
        need = 2 * (1 + max(int(page.max(initial=-1)), int(split.max(initial=-1))))
        if need > len(self._pages):
            n, need = len(self._pages), max(need, 2 * len(self._pages))
            self._pages, self._first_cell = _longer(self._pages, need), _longer(self._first_cell, need)
            self._first_cell[n:] = -1
        split = split if self.extra else np.empty(0, np.int32)
        at, reason = 0, exposure.NO_CELL
        while reason != exposure.DONE:
            heads, pool, state = self._entries.arrays
            own, words, free = self._sets.arrays
            at, reason = exposure.fold(
                order, at, ready, c["slot"], c["run"], c["view_row"], c["time"], *self._ms, c["flags"], c["kind"],
                c["dwell"], c["page"], page, split, c["feature"], c["scroll"], c["height"], c["width"], c["pointer"],
                self._touch, c["weight"], self._acts, LEAST_MS, *self._goal, *self._lines, self._runs, self._windows,
                self._views, heads, pool, state, self._goals, own, words, free, self._table, self._keys, self._count,
                self._fields, self._pages, self._first_cell, self._directory, self._buckets, self._used,
                c["user_lo"] if self._by_user else _NO_USERS, c["user_hi"] if self._by_user else _NO_USERS,
                self._users,
            )  # fmt: skip
            self._make_room(int(reason))

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        heads, pool, state = self._entries.arrays
        exposure.leave(
            runs, self._named, self._lines[3], LEAST_MS, *self._lines[5:], self._runs, self._windows, self._views, pool,
            state, heads,
        )  # fmt: skip
        at, reason = 0, exposure.NO_CELL
        while reason != exposure.DONE:
            heads, pool, state = self._entries.arrays
            own, words, free = self._sets.arrays
            at, reason = exposure.close_views(
                views, at, view_sessions, self._bases, *self._lines[5:], self._views, heads, pool, state, own, words,
                free, self._table, self._keys, self._count, self._fields, self._pages, self._first_cell,
                self._directory, self._buckets, self._used,
            )  # fmt: skip
            self._make_room(int(reason))
        at, reason = 0, exposure.NO_OUT
        while reason != exposure.DONE:
            own, words, free = self._sets.arrays
            at, reason = exposure.close(
                slots, at, self._goals, self._lines[5], own, words, free, self._keys, self._fields, self._pages,
                self._first_cell, self._users, self._out, self._n_out,
            )  # fmt: skip
            if reason == exposure.NO_OUT:
                self._keep_users()

    def _keep_users(self) -> None:
        """What sessions have passed on, one row a user and cell as soon as that saves much."""
        n = int(self._n_out[0])
        if n == 0:
            self._out = _longer(self._out, 2 * len(self._out))
        self._fresh.append(self._out[:n].copy())
        self._n_out[0] = 0
        if sum(map(len, self._fresh)) > max(1 << 20, len(self._passed)):
            self._passed = _by_user([self._passed, *self._fresh])
            self._fresh = []

    def _make_room(self, reason: int) -> None:
        if reason == exposure.NO_ENTRY:
            self._entries.grow()
        elif reason == exposure.NO_SESSION:
            self._sets.grow()
        elif reason == exposure.NO_HISTOGRAM:
            self._buckets = _longer(self._buckets, 2 * len(self._buckets))
        elif reason == exposure.NO_CELL:
            n = 2 * len(self._keys)
            if n > MOST_CELLS:
                raise LimitError(
                    "too many features to count exposure for", code="HG4105", where="by / every / feature",
                    value=f"more than {MOST_CELLS:,}", expected="pages times features, segments and periods",
                    hint="fewer segments, or rules that group pages",
                )  # fmt: skip
            self._keys, self._fields = _longer(self._keys, n), _longer(self._fields, n)
            self._directory = np.concatenate([self._directory, np.full_like(self._directory, -1)])
            self._table = np.full(2 * n, -1, np.int32)
            rebuild(self._table, self._keys, int(self._count[0]))

    def tables(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> dict[str, Table]:
        """``exposure`` by page, (segment, period,) feature; ``exposure_pages`` without the feature; ``exposure_ms`` by
        feature and measure (0: first click, 1: hesitation), with histograms. Whole, and with the plan's split."""
        made: dict[str, Table] = {}
        self._keep_users()
        users = _by_user([self._passed, *self._fresh])
        of_page = users[:, exposure.O_KEY] < 0
        keys = self._keys[: int(self._count[0])]
        base, feature = keys >> 32, keys & 0xFFFFFFFF
        nothing = np.zeros((0, 3), np.int64)
        rows, octaves = np.nonzero(self._directory[: 2 * len(keys)] >= 0)
        counts = self._buckets[self._directory[rows, octaves]]
        entry, sub = np.nonzero(counts)
        number = octaves[entry] * histogram.WIDTH + sub
        entries = np.column_stack([rows[entry], number, counts[entry, sub]]).astype(np.int64)
        for half, extra in enumerate(((), self.extra)[: self._bases]):
            own = ("page", *(d for name in extra for d in dims[name]))
            tail = "".join(f"|{name}" for name in extra)
            mine = np.flatnonzero(base % 2 == half)
            named = self._named_bases(base[mine] // 2, half, decode)
            fields = self._fields[mine, : len(EXPOSURE_FIELDS)]
            made["exposure" + tail] = Table(
                (*own, "feature"), EXPOSURE_FIELDS, np.column_stack([named, feature[mine]]), fields, nothing
            )
            pages = np.flatnonzero(self._pages[half::2].any(axis=1))
            made["exposure_pages" + tail] = Table(
                own, EXPOSURE_PAGE_FIELDS, self._named_bases(pages, half, decode),
                self._pages[2 * pages + half, : len(EXPOSURE_PAGE_FIELDS)], nothing,
            )  # fmt: skip
            some = entries[base[entries[:, 0] // 2] % 2 == half] if len(entries) else entries
            found, place = np.unique(some[:, 0], return_inverse=True)
            cell = found // 2
            named = self._named_bases(base[cell] // 2, half, decode)
            made["exposure_ms" + tail] = Table(
                (*own, "feature"), ("views",), np.column_stack([named, feature[cell], found % 2]),
                np.bincount(place, some[:, 2], len(found)).astype(np.int64)[:, None],
                np.column_stack([place, some[:, 1:]]).astype(np.int64),
            )  # fmt: skip
            if self._by_user:
                rows = users[of_page & ((-users[:, exposure.O_KEY] - 1) % 2 == half)]
                named = self._named_bases((-rows[:, exposure.O_KEY] - 1) // 2, half, decode)
                made["exposure_page_users" + tail] = Table(
                    own, ("views",), np.column_stack([named, rows[:, :2]]), rows[:, exposure.O_VIEWS][:, None], nothing
                )
                rows = users[~of_page]
                rows = rows[base[rows[:, exposure.O_KEY] - 1] % 2 == half]
                cell = rows[:, exposure.O_KEY] - 1
                named = self._named_bases(base[cell] // 2, half, decode)
                made["exposure_users" + tail] = Table(
                    (*own, "feature"), EXPOSURE_USER_FIELDS, np.column_stack([named, feature[cell], rows[:, :2]]),
                    rows[:, exposure.O_VIEWS :].copy(), nothing,
                )  # fmt: skip
        return made

    def _named_bases(self, codes: Array, half: int, decode: dict[str, Array]) -> Array:
        """The columns behind bases: page, segments and period."""
        columns: list[Any] = []
        if half:
            for pairs, name in zip(reversed(self.pairs), reversed(self.extra), strict=True):
                before, code = pairs.parts()
                code, codes = code[codes], before[codes]
                columns.insert(0, decode[name][code] if name in decode else code[:, None])
        return np.concatenate([codes[:, None], *columns], axis=1).astype(np.int64)


def _by_user(parts: list[Array]) -> Array:
    """One row for each user and key, its counts added up."""
    rows = np.concatenate(parts)
    if not len(rows):
        return rows
    rows = rows[np.lexsort([rows[:, exposure.O_KEY], rows[:, exposure.O_HIGH], rows[:, exposure.O_LOW]])]
    first = np.flatnonzero(np.r_[True, (rows[1:, : exposure.O_VIEWS] != rows[:-1, : exposure.O_VIEWS]).any(axis=1)])
    sums = np.add.reduceat(rows[:, exposure.O_VIEWS :], first)
    return np.column_stack([rows[first, : exposure.O_VIEWS], sums])


def _longer(array: Any, rows: int) -> Any:
    """With rows of zeros behind it."""
    out = np.zeros((rows, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out
