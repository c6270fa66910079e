"""The lanes a run can take to the same answer, and the restart when a lane meets what it cannot hold.

T: rows in order of time, sessions interleaved. No sort; late rows wait in a small buffer.
S: sessions one after the other. The same pass: order is checked by session, and the longest idle close first.
P: any order. Rows are cut by session into parts, on the disk where memory is short; each part is sorted and folded
   alone (engine/partitioned.py).
M: maps alone, of a source without sessions: any order, nothing to wait for (points.py).
"""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from heatgrid.cpu import late
from heatgrid.engine import points
from heatgrid.engine.block import DTYPES, Array, Block
from heatgrid.engine.device_sums import DeviceSums
from heatgrid.engine.direct import Unlike, numbered
from heatgrid.engine.encode import AHEAD, Encoder, Needs
from heatgrid.engine.fold import Fold
from heatgrid.engine.frozen import freeze, thaw
from heatgrid.engine.grouped import grouped
from heatgrid.engine.memory import Memory, Room, give_back
from heatgrid.engine.partitioned import Partitioned
from heatgrid.engine.scratch import Scratch
from heatgrid.engine.sessions import Disorder
from heatgrid.engine.spool import Spool
from heatgrid.engine.traces import Traces, joined
from heatgrid.engine.workers import BLOCKS, Workers
from heatgrid.states.state import State
from heatgrid.states.subtract import only_sums, subtract
from heatgrid.words.errors import Cancelled, InputError, UsageError, nearest
from heatgrid.words.events import CANONICAL, Chunk, Place, Source
from heatgrid.words.leave_out import FAST_BOTS
from heatgrid.words.ledger import Ledger
from heatgrid.words.plan import Plan
from heatgrid.words.sizes import shown_size

ORDERS = ("auto", "time", "session", "any")
BLOCK_ROWS = 1 << 17
MAX_OPEN = 1 << 17
"""Open sessions before the longest idle are closed: some 100 MB, or 200 where each clicked on 30 cells."""
KEPT = 8
"""Blocks of an input that are kept until its order has held so long."""
PACE = "more than 1,000 events in a minute, or 12 h without a gap"
CHECKED = 4
"""Blocks from one look at the memory held to the next: each is a file of the system that is opened and read."""
SPARE = 1 << 12
"""Rows left free in front of a block for those held back; more are rare, and then the block is copied."""
Progress = Callable[[int, int | None], object]


Saved = tuple[dict[str, Any], list[Array]]


class Keeper(Protocol):
    """Where a run leaves how far it has come, to go on from there when it is started again."""

    rows: Path
    """A file for rows in no order."""

    @property
    def due(self) -> bool: ...
    def save(self, header: dict[str, Any], arrays: list[Array]) -> None: ...
    def load(self) -> Saved | None: ...
    def forget(self) -> None: ...


@dataclass
class Outcome:
    """A state, and how the run went (not part of the answer)."""

    state: State
    lane: str
    seconds: float
    notes: list[str] = field(default_factory=list)
    words: dict[str, set[str]] = field(default_factory=dict)
    """Kind -> the source's words for it."""


def run_plan(
    source: Source,
    plan: Plan,
    *,
    order: str = "auto",
    threads: int = 2,
    progress: Progress | None = None,
    max_open: int = MAX_OPEN,
    block_rows: int = BLOCK_ROWS,
    memory: int | str | None = None,
    scratch: str | None = None,
    room: Room | None = None,
    keep: Keeper | None = None,
    sums: DeviceSums | None = None,
) -> Outcome:
    """Run a plan over a source.

    order : "time" or "session" promise the order of rows (a violation is an error), "any" goes to lane P at once,
    "auto" tries lane T and starts again where it meets a violation.
    memory : what the process may hold; scratch : the folder for rows beyond it; room : what lane P may use of it.
    keep : the run goes on from what it holds, and leaves there how far it has come.
    sums : a device that counts for the measures that have kernels.
    """
    if order not in ORDERS:
        raise UsageError("unknown order", code="HG1120", where="order", value=order, hint=nearest(order, ORDERS))
    started = time.perf_counter()
    saved = None if keep is None else keep.load()
    if saved is not None:
        source.retell(saved[0]["told"])
    plan, reading, told = source.fit(plan)
    plan, fitted = source.evidence.fit(plan)
    budget = Memory(memory, source.rows_hint)
    with Scratch(scratch) as spooled:

        def attempt(saved: Saved | None, before: _Run | None) -> tuple[_Run, tuple[State, str, list[str]]]:
            with Workers(threads) as workers:
                run = _Run(
                    source, plan, threads, progress, max_open, block_rows, budget, scratch, room, workers, keep, sums
                )  # fmt: skip
                run.follow(before)
                try:
                    return run, run.go(order, spooled, saved)
                except BaseException:
                    run.stop_reading()
                    raise

        def of_bots(before: _Run, order: str, rows: int) -> State:
            """What their rows alone give; rows : of the input, all of which are done."""
            told = copy.deepcopy(source.told())
            done = None if progress is None else lambda _, hint: progress(rows, hint)
            with Workers(threads) as workers:
                run = _Run(
                    source, plan, threads, done, max_open, block_rows, budget, scratch, room, workers, None, None
                )  # fmt: skip
                run.pick(before)
                state = run.go(order, spooled, None)[0]
            source.retell(told)
            return state

        run, answer = attempt(saved, None)
        try:
            said = ""
            if found := len(run.bots):
                many = f"{found:,} session" + (" is a bot" if found == 1 else "s are bots")
                said = f"{many} by pace ({PACE}), and counted: this input can be read once only"
                if run.again:
                    said = f"{many} by pace ({PACE}) and left out (--keep-bots)"
                    whole, lane, notes = answer
                    del answer  # there is room for one
                    left = None
                    if run.traces is not None and only_sums(whole):
                        part = of_bots(run, "any" if lane == "P" else "auto", whole.ledger.read)
                        left = subtract(whole, part, FAST_BOTS, run.bounds)
                        del part
                    del whole
                    if left is None:
                        said = f"{many} by pace ({PACE}): the input was read again without (--keep-bots)"
                        run, answer = attempt(None, run)
                    else:
                        answer = left, lane, notes
            state, lane, notes = answer
            notes += [said] if said else []
            if 2 * state.ledger.left_out.get(FAST_BOTS, 0) > state.ledger.read:
                notes.append("most rows are theirs: where each move of the pointer is a row, people are as fast")
        finally:
            run.stop_reading()
    notes[:0] = [*told, *run.grouped(), *fitted]
    if {"x", "y"} <= set(source.columns) and "kind" not in source.columns:
        notes.append("no column for kind: every row with a point counts as a click")
    state.inputs = source.inputs
    state.reading = reading
    state.evidence = source.evidence.as_dict()
    state.has = tuple(sorted(source.columns))
    state.ledger.check()
    return Outcome(state, lane, time.perf_counter() - started, notes, run.words())


class _Run:
    def __init__(
        self, source: Source, plan: Plan, threads: int, progress: Progress | None, max_open: int, block_rows: int,
        memory: Memory, scratch: str | None, room: Room | None, workers: Workers, keep: Keeper | None,
        sums: DeviceSums | None,
    ) -> None:  # fmt: skip
        self.workers, self.keep, self.sums = workers, keep, sums
        self.source, self.plan, self.threads, self.progress = source, plan, threads, progress
        self.max_open, self.block_rows = memory.open_sessions(max_open, plan), block_rows
        self.memory, self.scratch, self.room = memory, scratch, room
        check_segments(plan, source)
        self.needs = Needs.of(plan, set(source.columns) | set(plan.by), source.others)
        # what runs side by side in lane M stands nowhere together: a run that is kept takes lane T; nor on a device
        alone = None if keep is not None or sums is not None else points.needs_of(plan, self.needs)
        self._points_only = alone is not None
        self.needs = alone or self.needs
        self._numbered = keep is None and source.one_dictionary and source.replayable
        self._spool: Spool | None = None
        self._rest: Generator[Chunk] | None = None
        self._waited = -1
        self._told = 0
        self._encoders: list[Encoder] = []
        """Those of the pass that holds: one, or one a thread."""
        self.bots = np.zeros((0, 2), np.int64)
        """Ids of the bots by pace that a pass has found which they were not left out of."""
        self.bounds: tuple[int, int] | None = None
        """First and last ms of all others, where a pass can tell."""
        self._known = self.bots
        self.traces: Traces | None = None
        """Where their rows are."""
        self._picked: _Run | None = None
        self._after: Place | None = None
        """Where the scan stands behind what has been encoded last."""

    @property
    def again(self) -> bool:
        """Whether the input can be read once more: anew, or from what was kept of it."""
        return self.source.replayable or self._spool is not None

    def follow(self, before: _Run | None) -> None:
        """Leave out what the run before has found, and go on with what it has kept of a stream."""
        if before is not None:
            self._known = before.bots
            if self.source.replayable:
                before.stop_reading()
            else:
                self._spool, self._rest = before._spool, before._rest

    def pick(self, before: _Run) -> None:
        """Count nothing but the rows of the bots that the run before has found."""
        self._picked = before

    def go(self, order: str, spooled: Scratch, saved: Saved | None) -> tuple[State, str, list[str]]:
        """spooled : for a stream that cannot be read again; closed by the caller. saved : to go on from."""
        notes: list[str] = []
        if saved is not None:
            notes += saved[0]["notes"]
            if "parted" in saved[0]:
                return self._partitioned(notes, saved), "P", notes
            try:
                return self._stream(saved[0]["wait"], notes, saved), "S" if order == "session" else "T", notes
            except Disorder as violation:
                if order != "auto":
                    raise _promised(violation, order) from None
                notes[:] = [f"started again: {violation}"]
                if violation.for_good:
                    return self._partitioned(notes), "P", notes
        if self._points_only:
            with closing(self._pieces()) as chunks:
                return points.run(chunks, self._encoder, self.threads, self._tell), "M", notes
        if order != "any":
            kept = self._spool is not None or self._picked is not None  # all of the stream, by the run before
            if not kept and not self.source.replayable and order == "auto":
                self._spool = Spool(spooled, self.memory.spool() if self.room is None else self.room.rows)
                notes.append("the stream is kept in case its order does not hold; --order time avoids that")
            elif not kept and order == "auto":
                self._spool = Spool(spooled, 1 << 62)
            for lateness in self._buffers(order):
                try:
                    return self._stream(lateness, notes), "S" if order == "session" else "T", notes
                except Disorder as violation:
                    if order != "auto":
                        raise _promised(violation, order) from None
                    notes.append(f"started again: {violation}")
                    if violation.for_good or self._waited == self.plan.lateness_ms:
                        break
        elif not ({"session", "user"} & set(self.needs.names)):
            return self._stream(0, notes), "P", notes  # without sessions no row waits for another
        return self._partitioned(notes), "P", notes

    def _buffers(self, order: str) -> tuple[int, ...]:
        """The lateness to try, one after the other; -1: let the first block decide."""
        if order == "session" or self.plan.lateness_ms == 0:
            return (0,)
        if order == "time":
            return (self.plan.lateness_ms,)
        return (-1, self.plan.lateness_ms)

    def _chunks(self, saved: Saved | None = None) -> Generator[Chunk]:
        """One pass over the input: what was kept of it, then what is left; or what is left behind a place.

        Of a stream that cannot be read again all is kept. Of anything else the first pieces: order that does not hold
        mostly shows there, and then nothing is decoded twice.
        """
        if self._picked is not None:
            yield from joined(self._rows_of_bots(self._picked), BLOCK_ROWS)
            return
        if self._spool is None or saved is not None:
            self.stop_reading()
            yield from self._pieces(saved)
            return
        if self._rest is None:
            self._rest = self._pieces()
        at = 0
        while True:
            if self._spool is not None and at < len(self._spool):
                yield self._spool[at]
            else:
                part = next(self._rest, None)
                if part is None:
                    return
                if self._spool is not None and (at < KEPT or not self.source.replayable):
                    self._spool.append(part)
                else:
                    self._spool = None
                yield part
            at += 1

    def _rows_of_bots(self, before: _Run) -> Iterator[Chunk]:
        assert before.traces is not None
        kept = None
        if not self.source.replayable:
            assert before._spool is not None
            kept = before._spool.__getitem__
        return before.traces.chunks(before.bots, lambda tasks: self._pieces(only=tasks), kept)

    def stop_reading(self) -> None:
        """Let go of a pass that was begun."""
        if self._rest is not None:
            self._rest.close()
        self._rest = self._spool = None

    def _pieces(self, saved: Saved | None = None, only: set[tuple[int, int]] | None = None) -> Generator[Chunk]:
        """The chunks of the source, or of some of its tasks, cut into blocks."""
        threads = self.memory.decoders(self.threads)
        start = None if saved is None else Place(*saved[0]["after"])
        chunks = self.source.scan(self.needs.names, threads=threads, workers=self.workers, start=start, only=only)
        if saved is not None:
            self.source.retell(saved[0]["told"])
        for chunk in chunks:
            for begin in range(0, max(1, chunk.batch.num_rows), self.block_rows):
                first = begin == 0
                piece = chunk.batch.slice(begin, self.block_rows)
                last = begin + self.block_rows >= chunk.batch.num_rows
                rest = chunk.read - chunk.batch.num_rows
                part = Chunk(
                    piece, chunk.rank, chunk.row + begin, piece.num_rows + (rest if first else 0),
                    chunk.rejected if first else {}, chunk.after if last else None, chunk.task,
                )  # fmt: skip
                yield part

    def _tell(self, rows: int) -> None:
        if self._told % CHECKED == 0:
            self.memory.check()
        self._told += 1
        if self.progress is not None and self.progress(rows, self.source.rows_hint) is False:
            raise Cancelled("the run was cancelled", code="HG9001")

    def _stream(self, lateness: int, notes: list[str], saved: Saved | None = None) -> State:
        """Lanes T and S: one pass in the order of the input, or what is left of one."""
        try:
            return self._pass(lateness, notes, saved)
        except Unlike:
            self._numbered = False
            return self._pass(lateness, notes, saved)

    def _pass(self, lateness: int, notes: list[str], saved: Saved | None) -> State:
        self._encoders.clear()
        encoder = self._encoder(follows=True)
        fold: Fold | None = None
        wait = lateness

        def rest(after: Place) -> None:
            assert fold is not None
            fold.settle()
            self._keep({"wait": wait}, (encoder, fold), after, notes)

        with ExitStack() as opened:
            if saved is not None:
                self._waited = wait
                fold = opened.enter_context(closing(self._fold(encoder, wait)))
                fold.settle()
                thaw(saved[0]["held"], saved[1], (encoder, fold))
            traces = encoder.traces
            at = 0 if traces is None else traces.blocks
            for block in opened.enter_context(closing(self._blocks(encoder, rest, saved))):
                if fold is None:
                    wait = self._waited = lateness if lateness >= 0 else self._sniff(block)
                    fold = opened.enter_context(closing(self._fold(encoder, wait, block)))
                fold.push(block)
                at += 1
                if traces is not None:
                    traces.told(at, fold.early())
                self._tell(block.read)
            if fold is None:
                fold = opened.enter_context(closing(self._fold(encoder, 0)))
            if fold.late.rows:
                fold.push(_empty(fold.late.rows, fold.late.held), last=True)
            state = fold.finish()
        self._learn([fold])
        if fold.late.late_rows:
            notes.append(f"{fold.late.late_rows:,} rows were late and put in order")
        if fold.sessions is not None and fold.sessions.evicted:
            notes.append(f"{fold.sessions.evicted:,} idle sessions were closed early to save memory")
        add_run_ledger(state, encoder.ledger)
        return state

    def _learn(self, folds: list[Fold]) -> None:
        """Who is a bot by what the folds of a pass have found."""
        self.bots = np.unique(np.concatenate([self.bots, *(fold.bots() for fold in folds)]), axis=0)
        found = [pace.bounds(self.bots) for fold in folds for pace in fold.paces]
        known = [both for both in found if both is not None]
        if known and len(known) == len(found):
            self.bounds = min(first for first, _ in known), max(last for _, last in known)

    def _keep(self, header: dict[str, Any], held: object, after: Place | None, notes: list[str]) -> None:
        """Leave how far the run has come."""
        assert self.keep is not None
        arrays: list[Array] = []
        node = freeze(held, arrays)
        self.keep.save(header | {"held": node, "after": after, "notes": notes, "told": self.source.told()}, arrays)

    def _encoder(self, follows: bool = False) -> Encoder:
        """follows : blocks are folded as they come."""
        made = Encoder(self.plan, self.needs, self.source.time_unit, _ranked(self.source))
        made.bots = self._known
        if made.has_sessions and not self.plan.keep_bots and self._picked is None and not len(self._known):
            made.traces = Traces(made.sessions_of, follows)
        self.traces = made.traces
        self._encoders.append(made)
        return made

    def grouped(self) -> list[str]:
        """How URLs became pages."""
        return grouped(self._encoders)

    def words(self) -> dict[str, set[str]]:
        """Kind -> the source's words for it, of a run that has ended."""
        out: dict[str, set[str]] = {}
        for encoder in self._encoders:
            for word, kind in encoder.kinds.meant():
                out.setdefault(kind, set()).add(word)
        return out

    def _fold(self, encoder: Encoder, lateness: int, first: Block | None = None) -> Fold:
        ids = None
        if first is not None and self._numbered:
            ids = numbered(self.plan, encoder, first, self.max_open, self.source.rows_hint or 0)
        return Fold(
            self.plan, encoder, lateness=lateness, max_open=self.max_open, workers=self.workers, numbered=ids,
            watch=self._picked is None, sums=self.sums,
        )  # fmt: skip

    def _blocks(
        self, encoder: Encoder, rest: Callable[[Place], None] | None = None, saved: Saved | None = None
    ) -> Generator[Block]:
        """Encoded blocks in order, the next ones encoded meanwhile.

        rest : called where a checkpoint is due and no block has been encoded that was not taken.
        """
        chunks = self._chunks(saved)

        def one() -> Block | None:
            chunk = next(chunks, None)
            if chunk is None:
                return None
            self._after = chunk.after
            return encoder.encode(chunk, SPARE)

        lane = self.workers.lane(BLOCKS)
        try:
            coming = deque(lane.give(one) for _ in range(AHEAD))
            while (block := coming.popleft().result()) is not None:
                yield block
                coming.append(lane.give(one))
                if self.keep is not None and rest is not None and self.keep.due:
                    while coming or self._after is None:
                        block = (coming.popleft() if coming else lane.give(one)).result()
                        if block is None:
                            return
                        yield block
                    rest(self._after)
                    coming.extend(lane.give(one) for _ in range(AHEAD))
        finally:
            lane.close()
            chunks.close()

    def _sniff(self, block: Block) -> int:
        """No buffer if the first block keeps time, or if its sessions stand one after the other (lane S)."""
        backward = int(late.count_backward(block["time"][block.lead :], block.ok))
        return 0 if backward == 0 or backward * 16 > block.n else self.plan.lateness_ms

    def _partitioned(self, notes: list[str], saved: Saved | None = None) -> State:
        """Lane P, or what is left of it."""
        if self._spool is None:
            give_back()
        self._encoders.clear()
        encoder = self._encoder()
        lane: Partitioned | None = None

        def begun(scratch: Scratch) -> Partitioned:
            hint = self.source.rows_hint if self._picked is None else None
            return Partitioned(self.plan, encoder, self.room or self.memory.room(), scratch, hint=hint, sums=self.sums)

        def rest(after: Place | None) -> None:
            assert lane is not None
            self._keep({"parted": lane.told()}, (encoder, lane.folds), after, notes)

        def rest_between(now: bool) -> bool:
            if now:
                rest(None)
            return now or (self.keep is not None and self.keep.due)

        with Scratch(self.scratch, None if self.keep is None else self.keep.rows) as scratch:
            if saved is not None:
                lane = begun(scratch)
                lane.retell(saved[0]["parted"])
                thaw(saved[0]["held"], saved[1], (encoder, lane.folds))
            if saved is None or saved[0]["after"] is not None:
                with closing(self._blocks(encoder, rest, saved)) as blocks:
                    for block in blocks:
                        if lane is None:
                            lane = begun(scratch)
                        lane.push(block)
                        if self.memory.short():
                            lane.spill()
                        self._tell(block.read)
            self.stop_reading()
            self.workers.close()  # parts have threads of their own, and each thread its share of the address space
            give_back()
            if lane is None:
                state = self._fold(encoder, 0).finish()
            else:
                state = lane.finish(
                    self.threads, lambda rows: self._tell(min(rows, encoder.ledger.read)),
                    None if self.keep is None else rest_between,
                )  # fmt: skip
                self._learn(lane.folds)
            self._tell(encoder.ledger.read)
            if scratch.bytes:
                notes.append(f"{shown_size(scratch.bytes)} of rows were put on the disk, in {scratch.folder}")
        add_run_ledger(state, encoder.ledger)
        return state


def _promised(violation: Disorder, order: str) -> InputError:
    return InputError(
        f"the rows are not in the order that was promised: {violation}", code="HG2240", where="order", value=order,
        hint="leave --order out, or say --order any",
    )  # fmt: skip


def check_segments(plan: Plan, source: Source) -> None:
    """Raises InputError for a segment that is a canonical column which the source has not."""
    for name in plan.by:
        if name in CANONICAL and name not in source.columns:
            raise InputError(
                "no column for this segment", code="HG2604", where="by", value=name,
                hint=f"--map {name}=COLUMN; {nearest(name, [*source.columns, *source.others])}",
            )  # fmt: skip


def _ranked(source: Source) -> bool:
    """Whether rows of several files can meet in one session."""
    return len(source.inputs) > 1


def add_run_ledger(state: State, ledger: Ledger) -> None:
    """What the encoder has counted of rows that no fold saw."""
    state.ledger.read += ledger.read
    state.ledger.filtered += ledger.filtered
    state.ledger.left_out |= ledger.left_out
    for reason, count in ledger.rejected.items():
        state.ledger.reject(reason, count)


def _empty(lead: int, held: dict[str, Array]) -> Block:
    """A block of nothing but the rows held back."""
    columns: dict[str, Array] = {name: np.empty(lead if name in held else 0, DTYPES[name]) for name in DTYPES}
    nothing = np.zeros(1, np.int64)
    return Block(0, lead, columns, np.ones(0, np.uint8), np.empty(0, np.int32), nothing, nothing)
