"""Rows that go on coming: counted as they come, in the order of their times, with an answer whenever it is asked for.

Rows are encoded as they arrive and wait, as lane P keeps them, until the newest is `lateness` ahead; then they are
sorted and folded. So a row that comes late costs nothing but its place in a sort, and a call that fails has changed
nothing: what it brought is forgotten.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from heatgrid.cpu import slots
from heatgrid.engine.block import Array
from heatgrid.engine.encode import Encoder
from heatgrid.engine.fold import Fold
from heatgrid.engine.partitioned import block_of
from heatgrid.engine.runs import time_order
from heatgrid.engine.scatter import Columns
from heatgrid.engine.sessions import Sessions
from heatgrid.states.state import State
from heatgrid.words.errors import InputError
from heatgrid.words.events import Chunk
from heatgrid.words.ledger import Ledger
from heatgrid.words.plan import Plan

FEW = 1 << 16
"""Rows that wait for more before they are sorted and folded: a fold of ten rows costs half as much as one of 5,000."""
BLOCK_ROWS = 1 << 17
LATE = "late"
"""The ledger's reason of rows that came too late."""


class Live:
    """max_open : open sessions before the longest idle close. now : seconds since 1970."""

    def __init__(self, plan: Plan, encoder: Encoder, *, max_open: int, now: Callable[[], float] = time.time) -> None:
        self.encoder = encoder
        self.waiting: list[Columns] = []
        self.rows = 0
        """Rows that wait."""
        self._max_open, self._now = max_open, now
        self._settled = 0
        self._lateness = plan.lateness_ms * encoder.ticks // 1000 if encoder.has_sessions else 0
        # no session closes inside a fold, where one that came back could not be refused any more
        self.fold = Fold(plan, encoder, lateness=0, max_open=2**31)

    def take(self, chunks: Iterable[Chunk], *, drop_late: bool, check: Callable[[], None]) -> int:
        """Encode rows and let them wait: all of them or, where anything is raised, none. Returns how many were read.

        drop_late : rows too late to be read in their place are rejected, else they are an error.
        check : called after each chunk; may raise.
        """
        encoder = self.encoder
        before = encoder.mark()
        read = encoder.ledger.read
        fresh: list[Columns] = []
        try:
            for chunk in chunks:
                for start in range(0, max(1, chunk.batch.num_rows), BLOCK_ROWS):
                    part = chunk.batch.slice(start, BLOCK_ROWS)
                    rest, rejected = (chunk.read - chunk.batch.num_rows, chunk.rejected) if start == 0 else (0, {})
                    piece = Chunk(part, chunk.rank, chunk.row + start, part.num_rows + rest, rejected)
                    fresh.append(self._encoded(piece, drop_late=drop_late))
                    check()
        except BaseException:
            encoder.reset(before)
            raise
        self.waiting += fresh
        self.rows += sum(len(columns["time"]) for columns in fresh)
        return encoder.ledger.read - read

    def _encoded(self, chunk: Chunk, *, drop_late: bool) -> Columns:
        """The accepted rows of a chunk in arrays of their own, each with the id of its session."""
        block = self.encoder.encode(chunk, 0)
        rows = np.flatnonzero(block.ok)
        columns = {name: column[rows] for name, column in block.columns.items() if len(column) and name != "slot"}
        session = block.index[rows]
        columns["session_lo"], columns["session_hi"] = block.lo[session], block.hi[session]
        sessions = self.fold.sessions
        if not isinstance(sessions, Sessions) or not len(rows):
            return columns
        seq = columns.get("seq", np.empty(0, np.int64))
        stand = sessions.stand(columns["session_lo"], columns["session_hi"], columns["time"], seq)
        late = np.flatnonzero(stand == slots.LATE)
        if not len(late):
            return columns
        if not drop_late:
            when = int(columns["time"][late[0]]) / self.encoder.ticks
            raise InputError(
                "rows come too late to be counted in their place", code="HG2260", where="push",
                value=f"{len(late):,} rows, the first of {_iso(when)}",
                expected="rows at most lateness_ms behind the newest, of sessions that are open",
                hint="a larger lateness_ms; a session_gap, where sessions pause for long; or on_late='reject'",
            )  # fmt: skip
        self.encoder.ledger.reject(LATE, len(late))
        kept = np.flatnonzero(stand != slots.LATE)
        return {name: column[kept] for name, column in columns.items()}

    def settle(self, go_on: Callable[[], bool], *, last: bool = False) -> None:
        """Fold the rows for which nothing earlier can come any more, or all; few wait for more.

        go_on : asked between blocks; what is left then waits for the next time.
        """
        if not self.rows or (not last and self.rows - self._settled < max(FEW, self._settled)):
            return
        names = self.waiting[0]
        columns = {name: np.concatenate([part[name] for part in self.waiting]) for name in names}
        order = time_order(columns)
        ready = len(order) if last else self._ready(columns, order)
        done = 0
        while done < ready and go_on():
            some = order[done : min(done + BLOCK_ROWS, ready)]
            self._make_way(columns)
            self.fold.push(block_of(dict(columns), some))
            done += len(some)
        left = order[done:]
        self.waiting = [{name: column[left] for name, column in columns.items()}] if len(left) else []
        self.rows = len(left)
        # what stays because time was up is looked at in the next call again
        self._settled = self.rows if done == ready else 0

    def _ready(self, columns: Columns, order: Array) -> int:
        """How many rows of the order are at least the lateness behind the newest; of one time and different seq, all
        wait for the first that is newer.

        A clock that is ahead of ours says nothing of how far the stream has come, unless most are.
        """
        times = columns["time"][order]
        if self._lateness == 0 and "seq" not in columns:
            return len(times)
        now = int(self._now() * self.encoder.ticks)
        told = int(np.searchsorted(times, now, "right"))
        newest = int(times[told - 1] if 2 * told >= len(times) else times[-1])
        return int(np.searchsorted(times, newest - self._lateness + ("seq" not in columns)))

    def _make_way(self, columns: Columns) -> None:
        sessions = self.fold.sessions
        if isinstance(sessions, Sessions) and sessions.open >= self._max_open:
            none = np.empty(0, np.int64)
            far = np.full(len(columns["time"]), 2**62)
            here = sessions.stand(columns["session_lo"], columns["session_hi"], far, none)
            sessions.make_way(self._max_open, here)

    def copy(self) -> Live:
        """What has been counted so far; neither of the two changes the other."""
        out = copy.copy(self)
        out.encoder = self.encoder.still()
        out.waiting = list(self.waiting)
        kept = (self.encoder, out.encoder), (self.fold.plan, self.fold.plan)
        out.fold = copy.deepcopy(self.fold, {id(old): new for old, new in kept})
        return out

    def finish(self) -> tuple[State, Ledger]:
        """Close every session. The ledger holds the rows that no fold saw."""
        self.settle(lambda: True, last=True)
        return self.fold.finish(), self.encoder.ledger

    def copy_bytes(self) -> int:
        """What a copy takes, at most."""
        return _bytes_of(self.fold, {id(self.encoder)})


def _bytes_of(thing: Any, seen: set[int]) -> int:
    """Bytes of all arrays that hang on an object of ours."""
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if isinstance(thing, list | tuple):
        return sum(_bytes_of(item, seen) for item in thing)
    if isinstance(thing, dict):
        return sum(_bytes_of(item, seen) for item in thing.values())
    if type(thing).__module__.startswith("heatgrid.engine"):
        return sum(_bytes_of(item, seen) for item in vars(thing).values())
    return 0


def _iso(seconds: float) -> str:
    return str(np.datetime64(int(seconds), "s")) + "Z"
