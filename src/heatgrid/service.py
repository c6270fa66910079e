"""The engine for services that feed it: rows are pushed as they come, answers are asked for at any time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Literal

from heatgrid.engine.encode import Encoder, Needs
from heatgrid.engine.lanes import MAX_OPEN, add_run_ledger, check_segments
from heatgrid.engine.live import LATE, Live
from heatgrid.engine.memory import Memory, give_back
from heatgrid.heat import Heat
from heatgrid.sources.events import Events, open_events
from heatgrid.words.errors import HeatgridError, LimitError, UsageError, nearest
from heatgrid.words.plan import Plan
from heatgrid.words.sizes import shown_size

ON_LATE = ("raise", "reject")


class Engine:
    """Counts what the plan says of rows that are pushed, and gives the result so far whenever it is asked for.

    plan : a ``Plan``, as for ``heatgrid.run``.
    seconds : how long a call may take, the wait for another thread's call included; None: any time.
    memory : what the process may hold in all, as bytes or "1GB" (else HEATGRID_MEMORY, else half of what is free).
    on_late : "raise": rows that come too late refuse the call that brings them; "reject": they are left out and
        stand in the ledger under ``late``.
    reading : as for ``heatgrid.read``: map, where, tz, time_unit, coerce, evidence. What the first table leaves open
        (which column is what, the unit of numeric times) it decides for all.

    The integers are those of ``heatgrid.run`` over the same rows in the order of their coming, for any cut into calls.
    A row may come up to ``plan.lateness_ms`` behind the newest one before it. A later one is counted as well as long
    as no row of its session that stands after it has been read; else it is too late, and there is no way back: a
    stream cannot be read twice. Sessions are open until their ``session_gap`` has passed; without one they close only
    when many others came since (`memory`), and rows of a closed one are too late too.

    A call that raises has changed nothing, so it may be made again, with other rows or more time. All methods may be
    called from any thread. Memory follows the answer, the open sessions, the rows of the last ``lateness_ms``, and 27
    to 37 bytes for each closed session (its id, which proves that results may be added): a service that runs on for
    months closes its engine each day, say, and merges the days.

    >>> import heatgrid as hg
    >>> start = 1_788_220_800_000
    >>> with hg.Engine(hg.Plan(maps=["clicks"], tables=["pages"]), time_unit="ms") as engine:
    ...     for n in range(3):
    ...         rows = {"time": [start + 1000 * n, start + 1000 * n + 400], "session": ["a", "b"]}
    ...         rows |= {"page": ["/", "/pricing"], "kind": ["pageview", "click"], "x": [None, 40.0], "y": [None, 20.0]}
    ...         _ = engine.push(rows)
    ...     print(engine.snapshot().map("clicks", page="/pricing").values.sum())
    ...     _ = engine.push({"time": [start + 9000], "session": ["c"], "page": ["/"], "kind": ["pageview"]})
    ...     heat = engine.close()
    3
    >>> heat.pages.select(["page", "events", "sessions"]).to_pylist()
    [{'page': '/', 'events': 4, 'sessions': 2}, {'page': '/pricing', 'events': 3, 'sessions': 1}]
    """

    def __init__(
        self,
        plan: Plan | None = None,
        *,
        seconds: float | None = None,
        memory: int | str | None = None,
        on_late: Literal["raise", "reject"] = "raise",
        **reading: Any,
    ) -> None:
        if on_late not in ON_LATE:
            raise UsageError(
                "unknown treatment of late rows", code="HG1144", where="on_late", value=on_late,
                hint=nearest(str(on_late), ON_LATE),
            )  # fmt: skip
        self.plan = Plan() if plan is None else plan
        self.rows = 0
        """Rows taken so far, as the ledger's ``read``."""
        self._seconds, self._drop_late, self._reading = seconds, on_late == "reject", reading
        self._memory = Memory(memory)
        self._lock = threading.Lock()
        self._events: Events | None = None
        self._needs: tuple[str, ...] = ()
        self._notes: list[str] = []
        self._how: dict[str, object] = {}
        self._live: Live | None = None
        self._closed = False
        self._broken: BaseException | None = None
        self._started = time.perf_counter()

    def __repr__(self) -> str:
        return f"Engine({self.rows:,} rows, {'closed' if self._closed else 'open'}, plan {self.plan.hash()[:8]})"

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._let_go()

    def push(self, batch: Any, *, seconds: float | None = None) -> int:
        """Take the rows of a table; returns how many were read.

        batch : a pyarrow RecordBatch or Table, a Polars or pandas frame, anything with ``__arrow_c_stream__`` or
            ``__arrow_c_array__``, a dict of arrays, or a list of such. Hundreds of rows a call and more are cheap.
        seconds : instead of the engine's own.

        Raises InputError (the table, HG2250 other columns than the first, HG2251 other times, HG2260 rows too late),
        LimitError (HG4006 time, HG4007 memory), UsageError (HG1141 closed). Nothing of the table is counted then.
        A LimitError HG4009 ends the engine: what was counted does not fit.
        """
        if isinstance(batch, str | os.PathLike):
            raise UsageError(
                "a path is not pushed", code="HG1142", where="batch", value=batch, expected="rows in memory",
                hint="heatgrid.run reads files",
            )  # fmt: skip
        with self._held(seconds) as left:
            first, (events, live) = self._events is None, self._read(batch)

            def check() -> None:
                self._in_time(left(), "push")
                self._in_memory()
                words = {word for word, kind in live.encoder.kinds.meant() if kind == "click"}
                if late := events.late_clicks(words):
                    raise events.refused_clicks(late)

            try:
                chunks = events.scan(self._needs, threads=1)
                taken = live.take(chunks, drop_late=self._drop_late, check=check)
            except BaseException:
                if first:
                    self._events = self._live = None
                raise
            self.rows += taken
            with self._whole():
                live.settle(lambda: left() > 0)
        return taken

    def snapshot(self, *, seconds: float | None = None) -> Heat:
        """The result of all rows so far, every session that is open counted as if it ended here. The stream goes on.

        Other threads wait only while the counters are copied. Raises LimitError (HG4006 time, HG4008 no memory for a
        copy), UsageError (HG1141 closed, HG1143 nothing was pushed yet).
        """
        with self._held(seconds) as left:
            live = self._pushed()
            needed = live.copy_bytes()
            if needed > self._memory.left():
                raise LimitError(
                    "there is no memory for a copy", code="HG4008", where="snapshot", value=shown_size(needed),
                    expected=f"at most {shown_size(self._memory.left())}", hint="close(), or a larger memory=",
                )  # fmt: skip
            copied = live.copy()
            events, rows = self._events, self.rows
        self._in_time(left(), "snapshot")
        assert events is not None
        heat = self._finish(copied, events, rows)
        self._in_time(left(), "snapshot")
        return heat

    def close(self) -> Heat:
        """The result of all rows; the engine takes no more. Raises UsageError (HG1141 closed, HG1143 no rows)."""
        with self._held(None):
            live, events = self._pushed(), self._events
            assert events is not None
            with self._whole():
                heat = self._finish(live, events, self.rows)
            self._let_go()
        return heat

    # ---- within

    @contextmanager
    def _held(self, seconds: float | None) -> Generator[Callable[[], float]]:
        """The lock, and a function that tells the seconds that are left."""
        seconds = self._seconds if seconds is None else seconds
        end = float("inf") if seconds is None else time.monotonic() + seconds
        if not self._lock.acquire(timeout=-1 if seconds is None else max(seconds, 0)):
            self._in_time(0.0, "the wait for another call")
        try:
            if self._closed:
                raise UsageError(
                    "the engine is closed", code="HG1141", where="Engine", hint="a new Engine; close() gave the result"
                )
            if self._broken is not None:
                raise LimitError(
                    "the engine has ended", code="HG4009", where="Engine", value=str(self._broken).split("\n")[0],
                    hint="a new Engine, fed from the last result that was kept",
                ) from self._broken  # fmt: skip
            yield lambda: end - time.monotonic()
        finally:
            self._lock.release()

    @contextmanager
    def _whole(self) -> Generator[None]:
        """What fails in here leaves counters that do not belong together."""
        try:
            yield
        except BaseException as error:
            self._broken = error
            self._live = None
            if isinstance(error, HeatgridError | MemoryError):
                raise LimitError(
                    "the engine has ended", code="HG4009", where="Engine", value=str(error).split("\n")[0],
                    hint=getattr(error, "hint", None) or "more memory, a larger cell, fewer by",
                ) from error  # fmt: skip
            raise

    def _read(self, batch: Any) -> tuple[Events, Live]:
        if self._events is not None and self._live is not None:
            return self._events.another(batch), self._live
        events = open_events(batch, **self._reading)
        if events.times.number_unit is not None and not self._reading.get("time_unit") and not events.rows_hint:
            raise UsageError(
                "the unit of numeric times is not known", code="HG1146", where="time_unit",
                expected="s, ms, us or ns", hint="Engine(plan, time_unit='ms'), or begin with a table that has rows",
            )  # fmt: skip
        plan, self._how, told = events.fit(self.plan)
        plan, fitted = events.evidence.fit(plan)
        notes = [*told, *fitted]
        check_segments(plan, events)
        needs = Needs.of(plan, set(events.columns) | set(plan.by), events.others)
        encoder = Encoder(plan, needs, events.time_unit, ranked=False)
        self._live = Live(plan, encoder, max_open=self._memory.open_sessions(MAX_OPEN, plan))
        self._events, self._needs = events, needs.names
        self._notes = [*notes, *events.notes]
        return events, self._live

    def _pushed(self) -> Live:
        if self._live is None:
            raise UsageError(
                "nothing was pushed yet", code="HG1143", where="Engine",
                hint="push an empty table of all columns first: it tells which columns there are",
            )  # fmt: skip
        return self._live

    def _finish(self, live: Live, events: Events, rows: int) -> Heat:
        state, ledger = live.finish()
        add_run_ledger(state, ledger)
        state.reading = self._how
        state.evidence = events.evidence.as_dict()
        state.has = tuple(sorted(events.columns))
        state.ledger.check()
        late = state.ledger.rejected.get(LATE)
        notes = [*self._notes, *([f"{late:,} rows came too late and were left out"] if late else [])]
        return Heat(state, lane="live", seconds=time.perf_counter() - self._started, notes=tuple(notes))

    def _let_go(self) -> None:
        if self._live is not None:
            self._live.fold.close()
        self._closed, self._live = True, None

    def _in_time(self, left: float, what: str) -> None:
        if left <= 0:
            raise LimitError(
                "the call has no time left", code="HG4006", where=what, expected="the seconds= of the call or Engine",
                hint="fewer rows a call, more seconds",
            )  # fmt: skip

    def _in_memory(self) -> None:
        if not self._memory.left():
            give_back()
        if not self._memory.left():
            raise LimitError(
                "the rows do not fit in the memory that the process may hold", code="HG4007", where="push",
                value=f"{shown_size(self._memory.limit)} allowed", hint="smaller tables, a larger memory=, or close()",
            )  # fmt: skip
