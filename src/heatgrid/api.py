"""The engine for programs: read, run, load, merge."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

from heatgrid.engine.backend import for_plan
from heatgrid.engine.device_sums import DeviceSums
from heatgrid.engine.lanes import Outcome, run_plan
from heatgrid.engine.pool import thread_count
from heatgrid.heat import Heat
from heatgrid.outputs.checkpoint import Checkpoint, held, version_stamp
from heatgrid.sources.events import Events, open_events
from heatgrid.states import merge as merging
from heatgrid.states.store import from_bytes
from heatgrid.words.errors import InputError, LimitError, UsageError, nearest
from heatgrid.words.plan import Plan

SMALL = 1 << 16
"""Rows that are not worth a thread: of a request of 10,000 two thirds of the time went to starting four of them."""


def read(source: Any, **options: Any) -> Events:
    """Look at an input without reading it.

    source : a path, glob, folder or a list of them (Parquet, Arrow IPC, CSV, NDJSON; plain, gz, zst), "-" for stdin,
        anything with ``__arrow_c_stream__`` or ``__arrow_c_array__``, a pyarrow Dataset or Scanner, a Polars
        LazyFrame, a dict of arrays.
    options : format="auto", map={canonical: column, or None to leave it out}, where="sql-like predicate", tz="UTC",
        time_unit=None, coerce=False, on_error="raise" | "skip".

    Raises InputError (nothing matched, unreadable, columns missing or doubtful) and UsageError (the predicate).
    """
    return open_events(source, **options)


def run(
    events: Any,
    plan: Plan | None = None,
    *,
    order: str = "auto",
    backend: str = "auto",
    threads: int | None = None,
    memory: int | str | None = None,
    scratch: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    progress: bool | Callable[[int, int | None], object] | None = None,
    **plan_fields: Any,
) -> Heat:
    """Count what the plan says, in one pass where the order of the rows allows it.

    events : what ``read`` gives, or anything that it takes.
    plan : a ``Plan``; or its fields as keywords.
    backend : "gpu" counts maps of clicks and moves and scroll on a GPU, and is an error that names all other measures
        of the plan, which have no kernel; "auto" takes the CPU for those, and a GPU for the ones that have a kernel
        where there is one and the input is large; the summary says which and why. The same bits by any.
    order : "auto"; "time" or "session" promise the order (a violation is an error); "any": rows are cut by session.
    threads : at most so many, else HEATGRID_THREADS, else all processors (one for a small table); the answer is the
        same for any.
    memory : what the process may hold in all, as bytes or "1GB" (else HEATGRID_MEMORY, else half of what is free):
        rows in no order go to the disk beyond it; less than what a run needs at least is refused.
    scratch : the folder of the disk for them, else the system's temporary one. Nothing is left there.
    resume : a folder (made where it is missing) in which the run leaves twice a minute how far it has come. Started
        again, whatever ended it, it goes on from there to the same bits; of other files, another plan, reading or
        version it is refused. Files only. What lies there holds hashes of session ids; it stays until it is removed, so
        that a result that was lost before it was saved is there again at once.
    progress : called with (rows done, rows in all or None); returning False cancels. True draws a bar on stderr.

    Raises UsageError, InputError, LimitError, DeviceError (backend "gpu"), Cancelled.
    """
    if plan is not None and plan_fields:
        raise UsageError(
            "a plan and plan fields at once", code="HG1131", where=", ".join(sorted(plan_fields)),
            hint="put them into the Plan",
        )  # fmt: skip
    unknown = sorted(set(plan_fields) - set(Plan.__dataclass_fields__))
    if unknown:
        raise UsageError(
            "unknown option", code="HG1132", where="run", value=unknown[0],
            hint=nearest(unknown[0], Plan.__dataclass_fields__),
        )  # fmt: skip
    chosen = plan if plan is not None else Plan(**plan_fields)
    source = events if isinstance(events, Events) else read(events)
    device = for_plan(backend, chosen, source.rows_hint)
    sums = None if device.device is None else DeviceSums(device)
    tell = _bar if progress is True else (progress or None)
    folder = None if scratch is None else os.fspath(scratch)
    many = thread_count(threads)
    if threads is None and source.rows_hint is not None and source.rows_hint <= SMALL:
        many = 1
    try:
        with ExitStack() as opened:
            keep = (
                None if resume is None else opened.enter_context(_kept(resume, source, chosen, on_gpu=sums is not None))
            )
            outcome = _settled(
                source, chosen, order=order, threads=many, progress=tell, memory=memory, scratch=folder, keep=keep,
                sums=sums,
            )  # fmt: skip
    except MemoryError as error:
        raise LimitError(
            "out of memory", code="HG4001", where="the run", value=str(error) or None,
            hint="a smaller memory= puts rows on the disk sooner; or a larger cell, fewer by, no distinct",
        ) from error  # fmt: skip
    notes = (*source.notes, *outcome.notes, *_bad_rows(source, outcome.state.ledger.rejected))
    return Heat(
        outcome.state,
        lane=outcome.lane,
        seconds=outcome.seconds,
        notes=notes,
        device=(device if sums is None else sums.choice).meta,
    )


@contextmanager
def _kept(folder: str | os.PathLike[str], source: Events, plan: Plan, *, on_gpu: bool = False) -> Iterator[Checkpoint]:
    """The checkpoint of a run, for this run alone. Errors: UsageError HG1160, HG1301."""
    if not source.replayable or len(source.inputs) < len(source.parts):
        raise UsageError(
            "only a run over files can go on later", code="HG1160", where="resume", value=source.name,
            expected="files, which can be read again", hint="write the stream to a file first, or leave --resume out",
        )  # fmt: skip
    counts = {name: value for name, value in plan.as_dict().items() if name not in ("max_pages", "max_features")}
    who = {"version": version_stamp(), "plan": counts, "reading": source.asked, "inputs": source.inputs}
    if on_gpu:
        who["backend"] = "gpu"  # what a run holds there is not what one on the CPU goes on from
    with held(folder):
        yield Checkpoint(folder, who)


def _settled(source: Events, plan: Plan, **how: Any) -> Outcome:
    """A run; and once more where it met the clicks for want of which other words were taken for clicks.

    Errors: InputError HG2231 where the input cannot be read again.
    """
    outcome = run_plan(source, plan, **how)
    taken = source.taken.get("click", ())
    late = source.late_clicks(outcome.words.get("click", set()))
    if not late:
        return outcome
    if not source.replayable:
        raise source.refused_clicks(late)
    source.clicks_found = True
    if how["keep"] is not None:
        how["keep"].forget()
    again = run_plan(source, plan, **how)
    again.notes.append(f"started again: {', '.join(taken)} came before {', '.join(late)}, and is no click")
    return again


def _bad_rows(source: Events, rejected: dict[str, int]) -> list[str]:
    """Where the first broken lines are, and what rejected times may mean."""
    notes = [f"not readable: {line}" for line in source.bad_lines[:3]]
    if rejected.get("decode", 0) > len(notes) and notes:
        notes[-1] += f" (the first of {rejected['decode']:,})"
    if rejected.get("time"):
        notes.append(f"{rejected['time']:,} rows have no time within 2000 to 2100: null, or another unit (--time-unit)")
    return notes


def load(path: str | os.PathLike[str]) -> Heat:
    """A saved state. Raises InputError if it is missing, damaged, or of another version."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            "the saved state cannot be read", code="HG2400", where=os.fspath(path), value=error.strerror,
            expected="a .heat file written by heatgrid build",
        ) from error  # fmt: skip
    return Heat(from_bytes(data, os.fspath(path)))


def merge(heats: Sequence[Heat]) -> Heat:
    """One result of several runs of one plan over inputs that share no session: the same bits as one run of all.

    Raises UsageError HG1601..HG1605 with the reason where they cannot be merged.
    """
    if not heats:
        raise UsageError("nothing to merge", code="HG1600", where="merge", expected="at least one result")
    return Heat(reduce(merging.merge, [heat.state for heat in heats]), notes=heats[0].notes)


def _bar(done: int, total: int | None) -> None:
    import sys

    share = f" {done / total:4.0%}" if total else ""
    sys.stderr.write(f"\r{done:,} rows{share}")
    sys.stderr.flush()
