"""Sessions that the source has numbered, in place of those of sessions.py: one dictionary of ids for all rows.

None is closed before the end, so that a row needs no look-up at all; how many there may be is for lanes.py to say.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heatgrid.cpu import direct
from heatgrid.cpu.slots import NEVER
from heatgrid.engine.block import Array, Block
from heatgrid.engine.encode import Encoder
from heatgrid.engine.measures.friction import is_chain
from heatgrid.engine.sessions import Closer, Disorder
from heatgrid.words.plan import Plan

SOME_RUNS = 1024


LIGHT = 8
"""How many times as many sessions may be open where a plan keeps little of each: 200 bytes, and not 2,750."""
_ORDERED = frozenset(("seq", "view", "event_id"))


def numbered(plan: Plan, encoder: Encoder, first: Block, most: int, rows: int) -> tuple[Array, Array] | None:
    """The ids of the sessions as the source has numbered them, if the plan and the source ask for no more than a time
    and a tab of each row, and all of them may be open at once; ``most`` : where a plan keeps much of each."""
    if not encoder.has_sessions or encoder.has_user_only or encoder.ranked or plan.session_gap:
        return None
    if plan.dedupe or _ORDERED & encoder.columns:
        return None
    n = len(first.lo)
    return (first.lo, first.hi) if n <= most * (LIGHT if light(plan) else 1) and 4 * n <= rows else None


def light(plan: Plan) -> bool:
    """Whether a plan keeps little of a session: where it is, and what it has done on its way."""
    return not (
        plan.by or plan.every or plan.tables or plan.maps or plan.paths or plan.funnel_steps or plan.retention
        or plan.distinct or plan.scroll or plan.exposure or plan.layout or plan.gathers or plan.posthog_cells
        or not all(is_chain(rule) for rule in plan.rules)
    )  # fmt: skip


class Unlike(Exception):
    """Rows whose sessions are numbered otherwise: the pass must start again with sessions that are looked up."""


class Direct:
    """lo, hi : the ids, by number. ms : (multiplier, divisor) of the source's ticks. Otherwise as ``Sessions``."""

    evicted = 0

    def __init__(self, lo: Array, hi: Array, *, ms: tuple[int, int], idle: int, brief: bool) -> None:
        """brief : nothing asks for more of a row than its session, its run and whether it opens a view. Raises Unlike
        where an id has two numbers."""
        table = np.full(1 << (2 * max(len(lo), 1) - 1).bit_length(), -1, np.int32)
        if not direct.distinct(lo, hi, table):
            raise Unlike
        self._brief = brief
        self._ids = lo, hi
        self._ms, self._idle = ms, idle
        self._counts = np.zeros(5, np.int64)
        self._state = np.zeros((len(lo), direct.FIELDS), np.int64)
        self._state[:, direct.LAST] = NEVER
        self._others = np.zeros((0, direct.FIELDS), np.int64)
        self._run_scroll = np.zeros(0, np.float64)
        self._closers: list[Closer] = []
        self._grow_runs()

    @property
    def totals(self) -> npt.NDArray[np.int64]:
        return self._counts[:4]

    @property
    def open(self) -> int:
        return int(self._counts[0])

    def add_closer(self, closer: Closer) -> None:
        self._closers.append(closer)
        closer.resize(len(self._state), self._runs, 0)

    @property
    def _runs(self) -> int:
        return len(self._state) + len(self._others)

    def assign(self, block: Block, held: Array) -> None:
        """As ``Sessions.assign``. Raises Unlike if the block's ids are numbered otherwise."""
        if block.n and block.lo is not self._ids[0]:
            raise Unlike
        direct.number(block.index, block.ok, block["slot"][block.lead :])

    def scan(
        self, block: Block, order: Array, ready: int, kind_flags: Array, viewport: bool, none_page: int,
        kind_counts: Array, bounds: Array,
    ) -> None:  # fmt: skip
        """As ``Sessions.scan``."""
        c = block.columns
        if self._brief:
            self._glance(c, order, ready, kind_flags, none_page, kind_counts, bounds)
            return
        at = 0
        while True:
            at, reason = direct.scan(
                order, at, ready, c["slot"], c["time"], c["tab"], c["kind"], c["page"], c["bucket"], c["scroll"],
                c["fixed"], c["y"], kind_flags, *self._ms, self._idle, viewport, none_page, self._state, self._others,
                self._run_scroll, self._counts, kind_counts, bounds, c["run"], c["dwell"], c["flags"],
            )  # fmt: skip
            if self._is_done(reason):
                return

    def _glance(
        self, c: dict[str, Array], order: Array, ready: int, kind_flags: Array, none_page: int, kind_counts: Array,
        bounds: Array,
    ) -> None:  # fmt: skip
        run = c["run"] if len(c["tab"]) else c["run"][:0]
        at = 0
        while True:
            at, reason = direct.glance(
                order, at, ready, c["slot"], c["time"], c["tab"], c["kind"], c["page"], kind_flags, none_page,
                self._state.ravel(), self._others, self._counts, run, c["flags"],
            )  # fmt: skip
            if self._is_done(reason):
                break
        if not len(run):
            c["run"] = c["slot"]
        counts = np.zeros((4, len(kind_counts)), np.int64)
        direct.tally(order, ready, c["slot"], c["kind"], c["time"], counts, bounds)
        kind_counts += counts.sum(axis=0)

    def _is_done(self, reason: int) -> bool:
        """Makes room for runs where they ran out. Raises Disorder."""
        if reason == direct.DISORDER:
            raise Disorder("the rows of a session are not in order of time")
        if reason == direct.NO_RUN:
            self._grow_runs()
        return bool(reason == direct.DONE)

    def end_block(self, held: Array) -> None:
        """No session has ended."""

    def end_part(self) -> None:
        raise NotImplementedError("parts have sessions that are looked up")

    def finish(self) -> npt.NDArray[np.int64]:
        """As ``Sessions.finish``."""
        seen = np.flatnonzero(self._state[:, direct.LAST] != NEVER)
        others = np.arange(self._counts[4], dtype=np.int64)
        runs, of_run = np.concatenate([seen, len(self._state) + others]), seen
        if len(others):
            of_run = np.concatenate([seen, self._owners(seen, len(others))])
        for closer in self._closers:
            closer.close(seen, runs, runs, of_run)
        lo, hi = self._ids
        return np.column_stack([lo[seen], hi[seen]])

    def ids_of(self, numbers: Array) -> npt.NDArray[np.int64]:
        """The ids (n, 2) of some numbers."""
        lo, hi = self._ids
        return np.column_stack([lo[numbers], hi[numbers]])

    def _owners(self, seen: Array, others: int) -> npt.NDArray[np.int64]:
        """The session of each run of another tab."""
        out = np.empty(others, np.int64)
        at = self._state[:, direct.NEXT]
        at = np.where(self._state[:, direct.LAST] == NEVER, -1, at)
        sessions = np.flatnonzero(at >= 0)
        at = at[sessions]
        while len(at):
            out[at] = sessions
            at = self._others[at, direct.NEXT]
            sessions, at = sessions[at >= 0], at[at >= 0]
        return out

    def _grow_runs(self) -> None:
        old = len(self._others)
        others = np.zeros((max(SOME_RUNS, 2 * old), direct.FIELDS), np.int64)
        others[:old] = self._others
        self._others = others
        scroll = np.zeros(self._runs, np.float64)
        scroll[: len(self._run_scroll)] = self._run_scroll
        self._run_scroll = scroll
        for closer in self._closers:
            closer.resize(len(self._state), self._runs, 0)
