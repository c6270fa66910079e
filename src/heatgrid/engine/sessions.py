"""Open sessions: slots, runs, views and sets, with room that grows, and the closing of sessions.

The leaves stop where room runs out and say what they lack; this file makes room and calls them again.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from heatgrid.cpu import scan, slots
from heatgrid.engine.block import Array, Block
from heatgrid.engine.closed import Closed
from heatgrid.engine.sets import Sets


class Disorder(Exception):
    """A session's rows are not in order, or a closed session came back: the pass must start again elsewhere.

    for_good : waiting longer for late rows cannot help.
    """

    def __init__(self, what: str, *, for_good: bool = False) -> None:
        super().__init__(what)
        self.for_good = for_good


class Closer(Protocol):
    """What sessions need of the measures."""

    def resize(self, slots: int, runs: int, views: int) -> None: ...
    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None: ...


class Sessions:
    """All open sessions of one pass.

    gap : ms of no event that end a session (0: never). max_open : above it the sessions idle the longest are closed.
    """

    def __init__(self, *, ms_mul: int, ms_div: int, gap: int, idle: int, max_open: int, lateness: int) -> None:
        self.ms = (ms_mul, ms_div)
        self.gap, self.idle, self.max_open = gap, idle, max_open
        # a closed session may only return once no late row can still come before its first one
        self._return_gap = gap + lateness if gap else 0
        self.closers: list[Closer] = []
        self.sets = Sets()
        self.totals = np.zeros(4, np.int64)
        self.left = np.zeros(4, np.int64)
        self.batch = 0
        self.evicted = 0
        self._epoch = 0
        self._seen = np.zeros(0, np.int64)
        self._slots = np.zeros((0, slots.FIELDS), np.int64)
        self._touch = np.zeros(0, np.int64)
        self._free = np.zeros(0, np.int32)
        self._table = np.full(2, -1, np.int32)
        self._retired = np.zeros(0, np.int32)
        self._fresh = np.empty((2, slots.CHUNK), np.int32)
        self._runs = np.zeros((0, scan.RUN_FIELDS), np.int64)
        self._run_scroll = np.zeros(0, np.float64)
        self._free_runs = np.zeros(0, np.int32)
        self._views = np.zeros((0, scan.VIEW_FIELDS), np.int64)
        self._free_views = np.zeros(0, np.int32)
        self._closed = Closed(with_times=gap > 0)
        self._gone: list[npt.NDArray[np.int64]] = []
        self._grow_slots()
        self._grow_runs()
        self._grow_views()

    @property
    def open(self) -> int:
        return len(self._slots) - int(self.left[0])

    def assign(self, block: Block, held: Array) -> None:
        """Fill the block's slots from its session ids; held: slots of rows held back, which must stay."""
        self.batch += 1
        self._epoch += 1
        if len(self._seen) < len(block.lo):
            self._seen = np.zeros(len(block.lo) * 5 // 4 + 64, np.int64)
        out = block["slot"][block.lead :]
        time = block["time"][block.lead :]
        at = 0
        while True:
            at, reason = slots.assign(
                block.index, block.ok, block.lo, block.hi, time, at, self._epoch, self.batch, *self.ms,
                self._return_gap, self._seen, self._table, self._slots, self._touch, self._free, self.left, self.totals,
                *self._closed.arrays, self._runs, self._fresh, out,
            )  # fmt: skip
            if reason == slots.DONE:
                return
            if reason == slots.RETURNED:
                raise Disorder("a session came back after it was closed", for_good=True)
            self._make_slots(held)

    def stand(self, lo: Array, hi: Array, time: Array, seq: Array) -> npt.NDArray[np.int32]:
        """By row: the slot of its open session, slots.NEW or slots.LATE. Nothing is changed."""
        out = np.empty(len(lo), np.int32)
        slots.stand(
            lo, hi, time, seq, *self.ms, self._return_gap, self._table, self._slots, *self._closed.arrays, out
        )  # fmt: skip
        return out

    def make_way(self, most: int, needed: Array) -> None:
        """Close the longest idle, if more than so many are open; needed: slots that must stay."""
        if self.open >= most:
            self._evict(needed)

    def scan(
        self, block: Block, order: Array, ready: int, kind_flags: Array, viewport: bool, none_page: int,
        kind_counts: Array, bounds: Array,
    ) -> None:  # fmt: skip
        """Resolve rows order[:ready]: final slot, run, step, view, bucket; count them by kind."""
        c = block.columns
        if len(self._retired) < ready:
            self._retired = np.empty(ready * 5 // 4, np.int32)
        odd = True if self.gap > 0 or any(len(c[name]) for name in scan.ODD) else None
        at = 0
        while True:
            at, reason = scan.scan(
                order, at, ready, c["time"], c["slot"], c["seq"], c["rank"], c["tab"], c["view"], c["kind"], c["page"],
                c["bucket"], c["event"], c["scroll"], c["fixed"], c["y"], kind_flags, self.batch, *self.ms, self.idle,
                self.gap, viewport, none_page, self._slots, self._touch, self._free, self._runs, self._free_runs,
                self._run_scroll, self._views, self._free_views, self.sets.heads, self.sets.pool, self.sets.state,
                self.left, self._retired, self.totals, kind_counts, bounds, c["run"], c["view_row"], c["dwell"],
                c["flags"], odd,
            )  # fmt: skip
            if reason == scan.DONE:
                return
            if reason == scan.DISORDER:
                raise Disorder("the rows of a session are not in order of time")
            if reason == scan.NO_POOL:
                self.sets.grow()
            elif reason == scan.NO_RUN:
                self._grow_runs()
            elif reason == scan.NO_VIEW:
                self._grow_views()
            else:
                self._grow_slots()

    def end_block(self, held: Array) -> None:
        """Close the sessions that the gap has cut in this block; rows held back follow their successors."""
        n = int(self.left[3])
        if n:
            cut = self._retired[:n]
            slots.succeed(self._table, self._slots, cut)
            slots.follow(held, self._slots)
            self._close(cut.astype(np.int64))
            self.left[3] = 0

    def end_part(self) -> None:
        """Close all sessions, none of which returns: their ids are only kept to be told."""
        closing = np.flatnonzero(self._alive())
        self._gone.append(np.ascontiguousarray(self._slots[closing, :2]))
        self._close(closing, for_good=True)
        self._epoch += 1

    def finish(self) -> npt.NDArray[np.int64]:
        """Close all; returns the ids of all sessions (n, 2), in no order; one that returned may be there twice."""
        alive = np.flatnonzero(self._alive())
        self._tell_closers(alive)
        return np.concatenate([self._closed.ids, *self._gone, self._slots[alive, : slots.HI + 1]])

    def ids_of(self, closing: Array) -> npt.NDArray[np.int64]:
        """The ids (n, 2) of open sessions by their slots."""
        return np.ascontiguousarray(self._slots[closing, : slots.HI + 1])

    def _alive(self) -> npt.NDArray[np.uint8]:
        alive = np.ones(len(self._slots), np.uint8)
        alive[self._free[: self.left[0]]] = 0
        return alive

    def _make_slots(self, held: Array) -> None:
        if len(self._slots) < self.max_open or not self._evict(held):
            self._grow_slots()

    def _evict(self, held: Array) -> bool:
        """Close the quarter of the sessions that was not seen for the longest; False if too few can go."""
        may_go = self._alive().astype(bool)
        may_go &= self._touch < self.batch
        may_go[held[held >= 0]] = False
        count = int(may_go.sum())
        if count * 4 < len(self._slots):
            return False
        first = int(self._touch[may_go].min())
        since = np.bincount(self._touch[may_go] - first)
        limit = first + int(np.searchsorted(np.cumsum(since), count // 4))
        closing = np.flatnonzero(may_go & (self._touch <= limit))
        self.evicted += len(closing)
        self._close(closing)
        self._epoch += 1
        return True

    def _close(self, closing: npt.NDArray[np.int64], *, for_good: bool = False) -> None:
        if not len(closing):
            return
        runs, views = self._tell_closers(closing)
        if not for_good:
            self._remember(closing)
        self.sets.free(closing)
        for free, at, gone in ((self._free, 0, closing), (self._free_runs, 1, runs), (self._free_views, 2, views)):
            free[self.left[at] : self.left[at] + len(gone)] = gone
            self.left[at] += len(gone)
        self._rebuild()

    def _tell_closers(self, closing: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        """Let the measures end these sessions; returns their runs and views."""
        room = len(self._runs) + len(self._views)
        run_list = np.empty(room, np.int64)
        view_list = np.empty(room, np.int64)
        runs = run_list[: slots.lists_of(closing, slots.RUN, self._slots, self._runs, scan.R_NEXT, run_list)]
        views = view_list[: slots.lists_of(closing, slots.VIEWS, self._slots, self._views, scan.V_NEXT, view_list)]
        # a run is a view too where views have no ids: the measures get both with the session they belong to
        of_run = self._members(closing, slots.RUN, self._runs, scan.R_NEXT, len(runs))
        of_view = self._members(closing, slots.VIEWS, self._views, scan.V_NEXT, len(views))
        for closer in self.closers:
            closer.close(closing, runs, views if len(views) else runs, of_view if len(views) else of_run)
        return runs, views

    def _members(self, closing: Array, head: int, items: Array, link: int, total: int) -> npt.NDArray[np.int64]:
        """The closing session of each member that lists_of gave, in its order."""
        out = np.empty(total, np.int64)
        slots.owners_of(closing, head, self._slots, items, link, out)
        return out

    def _remember(self, closing: npt.NDArray[np.int64]) -> None:
        mul, div = self.ms
        ids = np.ascontiguousarray(self._slots[closing, : slots.HI + 1])
        self._closed.add(ids, self._slots[closing, slots.LAST] * mul // div)

    def _rebuild(self) -> None:
        size = 1 << (2 * len(self._slots) - 1).bit_length()
        if len(self._table) == size:
            self._table.fill(-1)
        else:
            self._table = np.full(size, -1, np.int32)
        slots.rebuild(self._table, self._slots, self._alive())

    def _grow_slots(self) -> None:
        old = len(self._slots)
        new = max(1024, old * 2)
        if old < self.max_open:
            new = max(1024, min(new, self.max_open))
        self._slots = _resized(self._slots, new)
        self._touch = _resized(self._touch, new)
        self._free = _resized(self._free, new)
        self._free[self.left[0] : self.left[0] + new - old] = np.arange(new - 1, old - 1, -1)
        self.left[0] += new - old
        self.sets.resize(new)
        self._resize_closers()
        self._rebuild()

    def _grow_runs(self) -> None:
        old = len(self._runs)
        new = max(1024, old * 2)
        self._runs = _resized(self._runs, new)
        self._run_scroll = _resized(self._run_scroll, new)
        self._free_runs = _resized(self._free_runs, new)
        self._free_runs[self.left[1] : self.left[1] + new - old] = np.arange(new - 1, old - 1, -1)
        self.left[1] += new - old
        self._resize_closers()

    def _grow_views(self) -> None:
        old = len(self._views)
        new = max(256, old * 2)
        self._views = _resized(self._views, new)
        self._free_views = _resized(self._free_views, new)
        self._free_views[self.left[2] : self.left[2] + new - old] = np.arange(new - 1, old - 1, -1)
        self.left[2] += new - old
        self._resize_closers()

    def add_closer(self, closer: Closer) -> None:
        self.closers.append(closer)
        closer.resize(len(self._slots), len(self._runs), len(self._views))

    def _resize_closers(self) -> None:
        for closer in self.closers:
            closer.resize(len(self._slots), len(self._runs), len(self._views))


def _resized(array: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    out = np.zeros((rows, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out
