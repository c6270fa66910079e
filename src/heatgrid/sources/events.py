"""Any input as a stream of canonical chunks: the door between what people have and the engine."""

from __future__ import annotations

import copy
import os
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from heatgrid.engine.memory import check_addresses
from heatgrid.engine.workers import Workers
from heatgrid.sources import infer, mapping, values
from heatgrid.sources.adapters import choose as adapting
from heatgrid.sources.deliver import Deliver
from heatgrid.sources.files import check_format, choose_format, expand, identify
from heatgrid.sources.ipc import open_ipc
from heatgrid.sources.layouts import bare
from heatgrid.sources.memory import MemoryPart, memory_part
from heatgrid.sources.parquet import ParquetPart
from heatgrid.sources.parts import BAD_LINES, Job, Opened, Part, Piece, Task
from heatgrid.sources.pool import ahead
from heatgrid.sources.reading import Reading
from heatgrid.sources.refine import refined
from heatgrid.sources.sampling import Sampler
from heatgrid.sources.stdin import open_stdin
from heatgrid.sources.streams import FileBytes
from heatgrid.sources.text import open_text
from heatgrid.sources.times import PER_SECOND, Times, choose
from heatgrid.sources.where import Where, compile_where
from heatgrid.words.errors import InputError, UsageError, shorten
from heatgrid.words.events import CANONICAL, Chunk, Place
from heatgrid.words.evidence import Evidence, evidence_of
from heatgrid.words.plan import Plan

_OPENERS = 8
_OVERLAP = 1.5
"""Files are read in the order of time if their spans add up to no more than this many times the whole."""
_SAMPLED = 64


class Events:
    """A lazy input; made by ``open_events``. Implements ``words.events.Source``."""

    def __init__(
        self,
        parts: list[Part],
        *,
        name: str,
        map: Mapping[str, str | None] | None,
        where: str | None,
        tz: str,
        time_unit: str | None,
        coerce: bool,
        on_error: str,
        time_range: tuple[int, int],
        notes: list[str],
        skipped: list[str],
        evidence: Evidence,
        declared: bool = False,
    ) -> None:
        self.evidence = evidence
        self.parts = parts
        self.name = name
        self.coerce = coerce
        self.on_error = on_error
        self.tz = tz
        self.skipped = skipped
        self.bad_lines: list[str] = []
        self.replayable = all(part.replayable for part in parts)
        counts = [part.rows for part in parts]
        self.rows_hint = None if any(c is None for c in counts) else sum(c for c in counts if c is not None)
        self.schema = _united(parts)
        self._asked, self._declared = dict(map or {}), declared
        self._sample = Sampler(parts)
        self.taken: dict[str, tuple[str, ...]] = {}
        """Kind -> words that ``fit`` took for it, since a sample has no better one."""
        self.clicks_found = False
        """No word is to be taken for a click: there are clicks."""
        self.found = found = mapping.find(self.schema, map, name, self._sample, declared=declared)
        if not declared:
            infer.fill(found, map or {}, self.schema, self._sample, name)
        self.columns = {name: found.columns[name] for name in CANONICAL if name in found.columns}
        self.refined = refined(found, self.schema, self._sample)
        self._opening_notes = [*notes, *found.notes, *_lacking(parts, self.columns), *evidence.notes()]
        self.time_path = self.columns.get("time")
        self.times = self._choose_times(tz, time_unit, time_range)
        self.time_unit = self.times.unit
        self.where = self._where(where, tz)
        self._notes_of_scan: list[str] = []
        self._skipped_at_opening = list(skipped)

    @property
    def inputs(self) -> list[dict[str, object]]:
        return [part.identity.as_dict() for part in self.parts if part.identity is not None]

    @property
    def one_dictionary(self) -> bool:
        """See ``words.events.Source``."""
        path = self.columns.get("session", "")
        table = len(self.parts) == 1 and isinstance(self.parts[0], MemoryPart) and self.parts[0].table
        return table and path in self.schema.names and pa.types.is_dictionary(self.schema.field(path).type)

    @property
    def others(self) -> list[str]:
        """Columns of the source that no canonical column takes: possible segments."""
        taken = set(self.columns.values())
        return [name for name in self.schema.names if name not in taken and name not in CANONICAL]

    @property
    def files(self) -> list[str]:
        """The files in rank order."""
        return [part.identity.path for part in self.parts if part.identity is not None]

    @property
    def notes(self) -> list[str]:
        return [*self._opening_notes, *self._notes_of_scan]

    def mapping(self) -> list[tuple[str, str]]:
        """(canonical, source column) pairs in canonical order, for printing."""
        return list(self.columns.items())

    def __repr__(self) -> str:
        pairs = ", ".join(f"{a}={b}" if a != b else a for a, b in self.columns.items())
        rows = "" if self.rows_hint is None else f", {self.rows_hint:,} rows"
        return f"Events({self.name}: {len(self.parts)} part(s){rows}; {pairs})"

    def path_of(self, name: str) -> str | None:
        """The source path of a canonical name or of a column under its own name."""
        if name in self.columns:
            return self.columns[name]
        return name if name not in CANONICAL and mapping.type_of(self.schema, name) is not None else None

    def fit(self, plan: Plan) -> tuple[Plan, dict[str, object], list[str]]:
        """See ``words.events.Source``. Errors: InputError HG2601 where no column is the time."""
        fitted, reading = self.read_for(plan)
        return fitted, reading.as_dict(), reading.notes()

    def read_for(self, plan: Plan) -> tuple[Plan, Reading]:
        """The plan with the frame of the points, and words that are clicks for want of any; and how the input is read.

        Errors: InputError HG2601 where no column is the time.
        """
        if self.time_path is None:
            raise infer.no_time(self.schema, self._sample, self.name)
        self.taken = {}
        if "kind" in self.columns and "click" not in (plan.kinds or {}) and not self.clicks_found:
            words = infer.clicks_without_click(values.words_of(self._sample(self.columns["kind"])))
            self.taken = {"click": words} if words else {}
        framed = None
        if {"x", "y"} <= set(self.columns):
            framed = infer.Framed(plan.frame, "as asked")
            adapter = getattr(self.parts[0], "adapter", None)
            if plan.frame == "auto" and adapter is not None:
                framed = infer.Framed("page", f"as {adapter.name} is read")
            elif plan.frame == "auto":
                framed = infer.frame(self.columns, self._sample, self.name)
        fitted = replace(
            plan, frame="page" if framed is None else framed.frame, kinds={**(plan.kinds or {}), **self.taken}
        )
        return fitted, Reading(
            self.columns, self.found.why, self.found.passed, self.times.unit, self.tz,
            frame=None if framed is None else framed.frame, frame_why=framed.why if framed else "",
            assumed=framed is not None and framed.assumed, kinds=self.taken,
            refined=None if self.refined is None else str(self.refined),
        )  # fmt: skip

    def late_clicks(self, words: set[str]) -> list[str]:
        """Of the words that were read as clicks those that are, where others had been taken for want of any."""
        taken = self.taken.get("click", ())
        return sorted(words - set(taken)) if taken else []

    def refused_clicks(self, late: Sequence[str]) -> InputError:
        """For an input that cannot be read again."""
        return InputError(
            "there are clicks, after rows that were taken for clicks", code="HG2231", where=self.name,
            value=f"{', '.join(late)} after {', '.join(self.taken['click'])}", hint=f"--kind click={','.join(late)}",
        )  # fmt: skip

    def another(self, source: Any) -> Events:
        """The same reading of another table: its columns, its times and its where as they were found here.

        A column that is missing there is null. Raises InputError for one that is new (HG2250), and for times that
        would be read otherwise (HG2251).
        """
        out = copy.copy(self)
        out.parts = _parts(source, "auto", None, self.on_error, [], [])
        out.bad_lines, out._notes_of_scan = [], []
        counts = [part.rows for part in out.parts]
        out.rows_hint = None if any(c is None for c in counts) else sum(c for c in counts if c is not None)
        schema = _united(out.parts)
        if not schema.equals(self.schema):
            self._refuse_other(schema, out.parts)
        return out

    def _refuse_other(self, schema: pa.Schema, parts: list[Part]) -> None:
        place = parts[0].name
        asked = {
            name: path
            for name, path in self._asked.items()
            if path is None or path == "" or mapping.type_of(schema, path) is not None
        }
        found = mapping.find(schema, asked, place, Sampler(parts), declared=self._declared).columns
        new = [f"{name} = {path}" for name, path in found.items() if self.columns.get(name) != path]
        if new or "time" not in found:
            raise InputError(
                "the columns are not those of the first table", code="HG2250", where=place,
                value=", ".join(new) or "no time", expected=", ".join(f"{k} = {v}" for k, v in self.columns.items()),
                hint="begin with a table that has every column (it may be empty), or name them by map=",
            )  # fmt: skip
        kind, units = bare(mapping.type_of(schema, found["time"])), list(PER_SECOND)
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        finer = pa.types.is_timestamp(kind) and units.index(kind.unit) > units.index(self.times.unit)
        if (number and self.times.number_unit is None) or finer:
            raise InputError(
                "the times are not like those of the first table", code="HG2251", where=place, value=str(kind),
                expected=f"times as before, in {self.times.unit}", hint="one type and unit for all tables",
            )  # fmt: skip

    def time_ranges(self) -> list[tuple[int, int] | None]:
        """First and last time of each part by its own statistics, in ``time_unit``; None where it has none."""
        ranges: list[tuple[int, int] | None] = []
        for part in self.parts:
            ends = None if self.time_path is None else part.time_bounds(self.time_path)
            if ends is None or len(ends) != 2:
                ranges.append(None)
                continue
            times = self.times(ends)
            first, last = times.view(pa.int64()).to_pylist()
            ranges.append(None if first is None or last is None else (first, last))
        return ranges

    def scan(
        self, columns: Sequence[str], *, threads: int = 1, workers: Workers | None = None, start: Place | None = None,
        only: Set[tuple[int, int]] | None = None,
    ) -> Iterator[Chunk]:  # fmt: skip
        """Chunks of the canonical (or, for segments, own) columns, decoded ahead on ``threads`` of the workers (without
        a run: threads of its own).

        Files follow each other in time where their statistics show that they do, else in the order of their paths;
        ``Chunk.rank`` is the place among the sorted paths in either case. start : what lies before is not decoded, but
        for pieces of the very task. only : (rank, task) of chunks of a scan that was alike; no other is decoded.
        """
        wanted = {}
        for name in columns:
            path = self.path_of(name)
            if path is not None:
                wanted[name] = path
            elif name not in CANONICAL:
                raise mapping.missing(name, self.schema, self.name)
        deliver = Deliver(
            wanted=wanted,
            time_path=self.time_path,
            times=self.times,
            where=self.where,
            coerce=self.coerce,
            types={name: self._type(name, path) for name, path in wanted.items()},
            refined=self.refined,
        )
        self.bad_lines.clear()
        self._notes_of_scan = []
        self.skipped[:] = self._skipped_at_opening
        order = [rank for rank in self._order() if only is None or any(rank == one for one, _ in only)]
        return self._chunks(deliver, max(1, threads), workers, order, start, only)

    def told(self) -> dict[str, Any]:
        """See ``words.events.Source``."""
        return {
            "lines": self.bad_lines, "notes": self._notes_of_scan, "skipped": self.skipped, "clicks": self.clicks_found
        }  # fmt: skip

    def retell(self, told: dict[str, Any]) -> None:
        """See ``words.events.Source``."""
        self.bad_lines[:], self._notes_of_scan, self.skipped[:] = told["lines"], list(told["notes"]), told["skipped"]
        self.clicks_found = told["clicks"]

    @property
    def asked(self) -> dict[str, object]:
        """All that decides which rows there are and what they say, as JSON."""
        return {
            "columns": self.columns, "where": None if self.where is None else self.where.source, "tz": self.tz,
            "time_unit": self.times.unit, "times": str(self.times), "coerce": self.coerce, "on_error": self.on_error,
            "refined": str(self.refined), "evidence": self.evidence.as_dict(),
        }  # fmt: skip

    def _type(self, name: str, path: str) -> pa.DataType:
        if name == "time":
            return pa.timestamp(self.times.unit, "UTC")
        kind = mapping.type_of(self.schema, path)
        return pa.null() if kind is None else kind

    def _chunks(
        self, deliver: Deliver, threads: int, workers: Workers | None, order: list[int], start: Place | None,
        only: Set[tuple[int, int]] | None,
    ) -> Iterator[Chunk]:  # fmt: skip
        failed: set[int] = set()
        opened: dict[int, Opened] = {}
        tasks = self._tasks(deliver, threads, order, failed, opened, start, only)
        # on one thread what is quick is decoded where it is asked for, and no row group waits in memory
        spare = threads == 1 and self.where is None and all(part.quick for part in self.parts)
        work = ahead(tasks, 0 if spare else threads, workers)
        current = -1
        row = 0
        try:
            for (rank, number), result in work:
                begins = start if start is not None and (rank, number) == start[:2] else None
                if rank != current:
                    self._leave(current, failed, opened)
                    current, row = rank, start.row if start is not None and rank == start.rank else 0
                try:
                    pieces = deque(result())
                except InputError as error:
                    if rank not in failed:
                        self._fail(rank, error, row)
                        failed.add(rank)
                    continue
                del result
                if rank in failed:
                    continue
                at = 0 if begins is None else begins.piece
                for _ in range(at):
                    pieces.popleft()
                while pieces:
                    read = pieces[0].read
                    at += 1
                    yield self._chunk(pieces.popleft(), Place(rank, number, at, row + read), row)
                    row += read
            self._leave(current, failed, opened)
        finally:
            work.close()
            tasks.close()
            for one in opened.values():
                one.close()

    def _tasks(
        self, deliver: Deliver, threads: int, order: list[int], failed: set[int], opened: dict[int, Opened],
        start: Place | None, only: Set[tuple[int, int]] | None,
    ) -> Generator[tuple[tuple[int, int], Task], None, None]:  # fmt: skip
        """The tasks of every part in turn, each with its number; a part that cannot go on ends with a task that raises
        why."""
        repeats: dict[str, bool] = {}
        for rank in order if start is None else order[order.index(start.rank) :]:
            first = start.task if start is not None and rank == start.rank else 0
            number = 0
            part = self.parts[rank]
            job = Job(replace(deliver, loose=part.loose), threads, opened.setdefault(rank, Opened()), repeats)
            try:
                if part.identity is not None:
                    part.identity.check()
                for number, task in enumerate(part.tasks(job)):
                    if number >= first and (only is None or (rank, number) in only):
                        yield (rank, number), task
                    if rank in failed:
                        break
            except InputError as error:
                yield (rank, number + 1), partial(_raise, error)

    def _chunk(self, piece: Piece, after: Place, row: int) -> Chunk:
        room = BAD_LINES - len(self.bad_lines)
        if room > 0 and piece.bad_lines:
            self.bad_lines += piece.bad_lines[:room]
        again = self.replayable
        return Chunk(
            piece.batch, after.rank, row, piece.read, piece.rejected, after if again else None,
            (after.rank, after.task) if again else None,
        )  # fmt: skip

    def _leave(self, rank: int, failed: set[int], opened: dict[int, Opened]) -> None:
        """A part is done: its files are closed, and they must be the ones that were opened."""
        if rank < 0:
            return
        part = self.parts[rank]
        opened.pop(rank).close()
        if part.identity is not None and rank not in failed:
            part.identity.check()

    def _fail(self, rank: int, error: InputError, row: int) -> None:
        if self.on_error != "skip" or self.parts[rank].identity is None:
            raise error
        name = self.parts[rank].name
        self.skipped.append(name)
        self._notes_of_scan.append(_skip_note(name, error, row))

    def _order(self) -> list[int]:
        """Ranks in the order of reading: by time if the files then hardly overlap, else as the paths are sorted."""
        ranks = list(range(len(self.parts)))
        if len(ranks) < 2 or self.time_path is None:
            return ranks
        known = []
        for times in self.time_ranges():
            if times is None:
                return ranks
            known.append(times)
        spans = sum(last - first for first, last in known)
        whole = max(last for _, last in known) - min(first for first, _ in known)
        if spans > _OVERLAP * whole:
            return ranks
        return sorted(ranks, key=lambda rank: (known[rank][0], rank))

    def _choose_times(self, tz: str, time_unit: str | None, years: tuple[int, int]) -> Times:
        path = self.time_path
        kinds = (
            [] if path is None else [k for part in self.parts if (k := mapping.type_of(part.schema, path)) is not None]
        )
        samples = []
        step = max(1, len(self.parts) // _SAMPLED)
        for part in self.parts[::step]:
            kind = None if path is None else mapping.type_of(part.schema, path)
            if path is None or kind is None or pa.types.is_temporal(bare(kind)):
                continue
            try:
                values = part.sample(path)
            except InputError:
                if self.on_error != "skip":
                    raise
                continue  # the scan lists it
            if values is not None:
                samples.append(values)
        place = self.name if path is None else f"{self.name}, column {path!r}"
        choice = choose(samples, kinds, tz=tz, time_unit=time_unit, years=years, place=place)
        self._opening_notes += choice.notes
        return choice.times

    def _where(self, source: str | None, tz: str) -> Where | None:
        if source is None:
            return None

        def resolve(name: str) -> str | None:
            return name if mapping.type_of(self.schema, name) is not None else self.columns.get(name)

        where = compile_where(source, resolve, [*mapping.paths_of(self.schema), *self.columns], tz)
        for part in self.parts:
            empty = {}
            for path in where.columns:
                kind = self._type("time", path) if path == self.time_path else mapping.type_of(part.schema, path)
                empty[path] = pa.nulls(0, pa.null() if kind is None else kind)
            where.mask(empty, 0, loose=part.loose)
        return where


def open_events(
    source: Any,
    *,
    format: str = "auto",
    map: Mapping[str, str | None] | None = None,
    where: str | None = None,
    tz: str = "UTC",
    time_unit: str | None = None,
    coerce: bool = False,
    on_error: str = "raise",
    time_range: tuple[int, int] = (2000, 2101),
    evidence: Evidence | Mapping[str, Any] | Sequence[str] | None = None,
    declared: bool = False,
) -> Events:
    """Open a path, glob, folder, list of them, ``-``, or anything that holds or gives Arrow data.

    ``map`` is canonical -> source column (dotted paths into structs; None or "" = unmapped on purpose), ``where`` a
    small SQL predicate, ``tz`` the zone of naive times, ``time_unit`` (s, ms, us, ns) that of numbers, ``coerce``
    turns values of a wrong type into missing ones, ``on_error="skip"`` leaves out files that cannot be read and
    lists them, ``time_range`` are the years that a time may lie in (half-open; others become null), ``evidence`` what
    the source can tell (``words.evidence.evidence_of``: {"time_quality": "flush:5000", "has": "scroll,viewport"}),
    ``declared`` reads the columns of ``map`` and no other: nothing is inferred.
    """
    if on_error not in ("raise", "skip"):
        raise UsageError("on_error is 'raise' or 'skip'", code="HG1205", value=on_error)
    adapter = adapting.named(format)
    if format != "auto" and adapter is None:
        format = check_format(format)
    if not time_range[0] < time_range[1] or not 1 <= time_range[0] <= time_range[1] <= 9999:
        raise UsageError("time_range is (first year, year after the last)", code="HG1206", value=time_range)
    check_addresses()
    notes: list[str] = []
    skipped: list[str] = []
    parts = _parts(source, format, adapter, on_error, notes, skipped)
    told, sentences = adapting.settle(parts)
    notes += sentences
    return Events(
        parts,
        name=parts[0].name if len(parts) == 1 else f"{len(parts)} inputs",
        map=map,
        where=where,
        tz=tz,
        time_unit=time_unit,
        coerce=coerce,
        on_error=on_error,
        time_range=time_range,
        notes=notes,
        skipped=skipped,
        evidence=evidence_of(evidence, told),
        declared=declared,
    )


def _parts(
    source: Any, format: str, adapter: Any, on_error: str, notes: list[str], skipped: list[str]
) -> list[Part]:  # fmt: skip
    items = list(source) if isinstance(source, list | tuple | set | frozenset) else [source]
    paths = [os.fspath(item) for item in items if isinstance(item, str | os.PathLike) and item != "-"]
    parts: list[Part] = []
    if paths:
        found, sentences = expand([os.fsdecode(path) for path in paths], getattr(adapter, "suffixes", ()))
        notes += sentences
        parts += _open_files(found, format, adapter, on_error, notes, skipped)
    for item in items:
        if isinstance(item, str | os.PathLike):
            if item == "-":
                parts.append(open_stdin(format) if adapter is None else adapting.stdin(adapter))
            continue
        name = type(item).__name__ if len(items) == 1 else f"{type(item).__name__} {len(parts)}"
        part = memory_part(item, name)
        if part is None:
            raise InputError(
                "this object cannot be read as events",
                code="HG2217",
                where=name,
                expected="a path, '-', an object with __arrow_c_stream__ or __arrow_c_array__, or a dict of arrays",
                hint="pandas, polars, duckdb and pyarrow objects can be passed as they are",
            )
        parts.append(adapting.table(part, format, adapter))
    if not parts:
        raise InputError(
            "there is nothing to read",
            code="HG2202",
            value=", ".join(skipped) or None,
            expected="at least one file",
            hint="every file was skipped" if skipped else None,
        )
    return parts


def _open_files(
    found: list[str], format: str, adapter: Any, on_error: str, notes: list[str], skipped: list[str]
) -> list[Part]:  # fmt: skip
    def open_one(path: str) -> Part | InputError:
        try:
            return open_file(path, format, adapter)
        except InputError as error:
            return error

    with ThreadPoolExecutor(min(_OPENERS, len(found))) as openers:
        opened = list(openers.map(open_one, found))
    parts = []
    for path, part in zip(found, opened, strict=True):
        if not isinstance(part, InputError):
            parts.append(part)
        elif on_error == "skip":
            skipped.append(path)
            notes.append(_skip_note(path, part, 0))
        else:
            raise part
    return parts


def open_file(path: str, format: str, adapter: Any = None) -> Part:
    """The part for one file by its format; ``adapter``: the one that was asked for."""
    identity = identify(path)
    chosen, packed = choose_format("auto" if adapter is not None else format, path)
    if packed is None and chosen == "parquet":
        return adapting.table(ParquetPart(identity), format, adapter)
    if packed is None and chosen == "ipc":
        return adapting.table(open_ipc(identity), format, adapter)
    if packed is not None and chosen in ("parquet", "ipc"):
        raise InputError(
            "a compressed Parquet or Arrow file cannot be read in place",
            code="HG2204",
            where=path,
            hint="unpack it first",
        )
    text = FileBytes(identity, packed)
    if adapter is not None or format == "auto":
        part = adapting.text(text, adapter)
        if part is not None:
            return part
    return adapting.table(open_text(text, chosen), format, adapter)


def _united(parts: list[Part]) -> pa.Schema:
    """Every column of any part, with the first type that says something."""
    if len(parts) == 1:
        return parts[0].schema
    fields: dict[str, pa.Field] = {}
    for part in parts:
        for entry in part.schema:
            known = fields.get(entry.name)
            if known is None or pa.types.is_null(known.type):
                fields[entry.name] = entry
    return pa.schema(list(fields.values()))


def _lacking(parts: list[Part], columns: Mapping[str, str]) -> list[str]:
    """Mapped columns that some of the parts do not have."""
    notes = []
    for canonical, path in columns.items():
        without = sum(mapping.type_of(part.schema, path) is None for part in parts)
        if without:
            name = canonical if canonical == path else f"{canonical} = {path}"
            notes.append(f"{name}: {without:,} of {len(parts):,} files have no such column, null there")
    return notes


def _skip_note(name: str, error: InputError, row: int) -> str:
    after = f" after {row:,} rows" if row else ""
    why = error.what if error.value is None else f"{error.what}: {shorten(error.value, 120)}"
    return f"skipped {name}{after} ({why}) [{error.code}]"


def _raise(error: InputError) -> list[Piece]:
    raise error
