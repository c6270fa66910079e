"""Lane P: rows in any order, cut by session into parts, each part sorted and folded alone.

Parts are in memory as long as they fit, else in the scratch file. A part that is too large is parted again by another
hash; one that cannot be, since most of it is one session, is put in order by runs and merged (engine/runs.py).
Each thread has one fold for all its parts, so that the memory of the answer does not grow with their number.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from typing import Any

import numpy as np

from heatgrid.engine.block import DTYPES, Array, Block, absent
from heatgrid.engine.device_sums import DeviceSums
from heatgrid.engine.encode import Encoder
from heatgrid.engine.fold import Fold
from heatgrid.engine.memory import LEAST_ROWS, Room
from heatgrid.engine.runs import in_order, time_order
from heatgrid.engine.scatter import Columns, Scatter
from heatgrid.engine.scratch import Scratch
from heatgrid.states.merge import merge
from heatgrid.states.state import State
from heatgrid.words.plan import Plan

OPEN_SESSIONS = 1 << 15
"""Those of a part end with it, but closing has its price: it waits until there are so many."""


class _Stopped(Exception):
    """Another thread failed, or the caller has had enough."""


class Partitioned:
    """Blocks in, in any order of their rows, a state out."""

    def __init__(
        self, plan: Plan, encoder: Encoder, room: Room, scratch: Scratch, *, hint: int | None,
        sums: DeviceSums | None = None,
    ) -> None:  # fmt: skip
        self.plan, self.encoder, self.room, self.scratch, self.hint = plan, encoder, room, scratch, hint
        self._sums = sums
        self._top: Scatter | None = None
        self._stop = threading.Event()
        self.folds: list[Fold] = []
        self._todo: list[list[int]] | None = None
        """Groups of parts that no fold has seen; None as long as rows come."""
        self._sent: tuple[int, int] | None = None
        """Size and checksum of the scratch file with all rows in it."""

    def push(self, block: Block) -> None:
        """The block's arrays may be used again afterwards."""
        block.set_lead(0)
        columns = {name: column for name, column in block.columns.items() if len(column) and name != "slot"}
        if self._top is None:
            row_bytes = 16 + sum(column.dtype.itemsize for column in columns.values()) // 2
            parts = self.room.parts_for(self.hint, row_bytes)
            self._top = Scatter(parts, 0, self.scratch, room=self.room.rows, batch_rows=self.room.batch_rows)
        before = self._top.spilled
        self._top.add(columns, block.index, block.ok, block.lo, block.hi)
        if self.hint and self._top.spilled and not before:
            # the last tenth is doubt: later rows may be narrower, or rejected
            self.scratch.expect(self._top.spilled * 9 // 10 * self.hint // self._top.total)

    def spill(self) -> None:
        """All rows held to the disk, unless they are hardly worth it."""
        if self._top is not None and self._top.held > LEAST_ROWS:
            self._top.spill()

    def told(self) -> dict[str, Any]:
        """Where the rows are and which are left to fold, as JSON; they leave the memory for it."""
        if self._top is not None:
            self._top.spill()
        if self._sent is None or self._todo is None:
            self._sent = self.scratch.sync()
        top = None if self._top is None else self._top.told()
        return {"top": top, "todo": self._todo, "folds": len(self.folds), "scratch": self._sent}

    def retell(self, told: dict[str, Any]) -> None:
        """Go on from what was told; the folds are filled by the caller."""
        size, crc = self._sent = told["scratch"]
        self.scratch.go_on(size, crc)
        if told["top"] is not None:
            parts, salt = told["top"]["parts"], told["top"]["salt"]
            self._top = Scatter(parts, salt, self.scratch, room=self.room.rows, batch_rows=self.room.batch_rows)
            self._top.retell(told["top"])
        self._todo = told["todo"]
        self.folds = [self._fold() for _ in range(told["folds"])]

    def finish(self, threads: int, tell: Callable[[int], None], rest: Callable[[bool], bool] | None = None) -> State:
        """tell : called with rows folded, from this thread; what it raises ends the run.

        rest : asked after each part whether all shall rest for a checkpoint (False), and called when they do (True).
        """
        if self._top is not None:
            self._fold_all(self._top, threads, tell, rest)
        if not self.folds:
            return self._fold().finish()
        states = deque(fold.finish() for fold in self.folds)
        while len(states) > 1:
            states.append(merge(states.popleft(), states.popleft(), same_run=True))
        return states[0]

    def _fold_all(
        self, top: Scatter, threads: int, tell: Callable[[int], None], rest: Callable[[bool], bool] | None
    ) -> None:
        if rest is None:
            top.complete()
        elif self._todo is None:
            # parts that are folded side by side write to the same file: what lies there by now is what counts
            self._sent, self._todo = None, top.groups(self.room.leaf_rows)
            rest(True)
        self.room = Room(
            max((self.room.rows - top.held) // threads, 1), self.room.leaf_rows, self.room.batch_rows, self.room.parts
        )
        idle = list(self.folds)
        lock = threading.Lock()

        def one(parts: list[int]) -> int:
            with lock:
                if not idle:
                    self.folds.append(self._fold())
                    idle.append(self.folds[-1])
                fold = idle.pop()
            self._parts(fold, top, parts)
            with lock:
                idle.append(fold)
            return int(top.rows[parts].sum())

        todo = deque(top.groups(self.room.leaf_rows) if self._todo is None else self._todo)
        rows = top.total - sum(int(top.rows[parts].sum()) for parts in todo)
        resting = False
        with ThreadPoolExecutor(threads, thread_name_prefix="heatgrid-part") as pool:
            try:
                busy: set[Future[int]] = set()
                while todo or busy:
                    while todo and len(busy) <= threads and not resting:
                        busy.add(pool.submit(one, todo.popleft()))
                    done, busy = wait(busy, return_when=FIRST_COMPLETED)
                    rows += sum(future.result() for future in done)
                    tell(rows)
                    if rest is not None and (resting := resting or rest(False)) and not busy:
                        self._todo = list(todo)
                        resting = not rest(True)
            finally:
                self._stop.set()
        top.drop()
        if rest is not None:
            self._top, self._todo, self._sent = None, [], (0, 0)
            rest(True)

    def _fold(self) -> Fold:
        return Fold(self.plan, self.encoder, lateness=0, max_open=2**31, watch=True, sums=self._sums)

    def _parts(self, fold: Fold, scatter: Scatter, parts: list[int]) -> None:
        """All rows of some parts through the fold, those of a session in order."""
        rows = int(scatter.rows[parts].sum())
        if len(parts) > 1 or rows <= 2 * self.room.leaf_rows:
            self._push(fold, scatter.load(parts))
            return
        child = self._parted_again(scatter, parts[0], rows)
        for group in child.groups(self.room.leaf_rows):
            if int(child.rows[group].sum()) > max(2 * self.room.leaf_rows, rows // 2):
                self._whole(fold, child, group[0])
            else:
                self._parts(fold, child, group)

    def _parted_again(self, scatter: Scatter, part: int, rows: int) -> Scatter:
        room = max(1, self.room.rows >> scatter.salt)  # what has been parted before is still there
        n_parts = min(256, 2 * rows // self.room.leaf_rows + 2)
        child = Scatter(n_parts, scatter.salt + 1, self.scratch, room=room, batch_rows=min(rows, self.room.batch_rows))
        for columns in scatter.pieces(part, self.room.batch_rows):
            self._go_on()
            lo, hi = columns.pop("session_lo"), columns.pop("session_hi")
            child.add(columns, np.arange(len(lo), dtype=np.int32), np.ones(len(lo), np.uint8), lo, hi)
        child.complete()
        return child

    def _whole(self, fold: Fold, scatter: Scatter, part: int) -> None:
        """A part that is one session for the most."""
        rows = int(scatter.rows[part])
        # as much as a leaf takes anyway: rows that stayed in memory may have left nothing, and a merge of 300,000 rows
        # with 10 KB took more than 200 s, not 0.2
        room = max(self.room.rows, self.room.leaf_rows * scatter.row_bytes)
        if rows * scatter.row_bytes * 2 <= room:
            self._push(fold, scatter.load([part]))
            return
        scatter.spill()
        some = max(1, room // (12 * scatter.row_bytes))
        with closing(in_order(scatter.pieces(part, some), rows, self.scratch, room)) as pieces:
            for columns in pieces:
                self._blocks(fold, columns, np.arange(len(columns["time"])))
        fold.end_part()

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise _Stopped

    def _push(self, fold: Fold, columns: Columns) -> None:
        self._blocks(fold, columns, time_order(columns))
        if fold.sessions is not None and fold.sessions.open >= OPEN_SESSIONS:
            fold.end_part()

    def _blocks(self, fold: Fold, columns: Columns, order: Array) -> None:
        blocks = max(1, round(len(order) / self.room.leaf_rows))
        for rows in np.array_split(order, blocks):
            self._go_on()
            fold.push(block_of(columns, rows))


def block_of(columns: Columns, rows: Array) -> Block:
    """The block of some rows, each with its session's id of its own."""
    n = len(rows)
    taken = {name: columns[name].take(rows, mode="clip") if name in columns else absent(name) for name in DTYPES}
    lo, hi = taken.pop("session_lo"), taken.pop("session_hi")
    taken["slot"] = np.empty(n, np.int32)
    return Block(n, 0, taken, np.ones(n, np.uint8), np.arange(n, dtype=np.int32), lo, hi)
