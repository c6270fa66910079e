"""Any input as a stream of canonical chunks: the door between what people have and the engine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from heatgrid.sources import mapping
from heatgrid.sources.deliver import Deliver
from heatgrid.sources.files import check_format, choose_format, expand, identify, unknown_format
from heatgrid.sources.layouts import bare, is_text
from heatgrid.sources.memory import MemoryPart, memory_part
from heatgrid.sources.parts import Job, Part, Piece, Task
from heatgrid.sources.pool import ahead
from heatgrid.sources.times import Times, choose
from heatgrid.sources.where import Where, compile_where
from heatgrid.words.errors import HeatgridError, InputError, UsageError
from heatgrid.words.events import CANONICAL, Chunk

_OPENERS = 8
_OVERLAP = 1.5
_BAD_LINES = 20


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
    ) -> None:
        self.parts = parts
        self.name = name
        self.coerce = coerce
        self.on_error = on_error
        self.skipped = skipped
        self.bad_lines: list[str] = []
        self.replayable = all(part.replayable for part in parts)
        counts = [part.rows for part in parts]
        self.rows_hint = None if any(c is None for c in counts) else sum(c for c in counts if c is not None)
        self.schema = _united(parts)
        found = mapping.find(self.schema, map, name)
        self.columns = found.columns
        self._opening_notes = [*notes, *found.notes, *_lacking(parts, self.schema, self.columns)]
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

    def scan(self, columns: Sequence[str], *, threads: int = 1) -> Iterator[Chunk]:
        """Chunks of the canonical (or, for segments, own) columns, decoded ahead on ``threads`` workers.

        Files follow each other in time where their statistics show that they do, else in the order of their paths;
        ``Chunk.rank`` is the place among the sorted paths in either case.
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
        )
        self.bad_lines.clear()
        self._notes_of_scan = []
        self.skipped[:] = self._skipped_at_opening
        return self._chunks(Job(deliver, max(1, threads)), self._order())

    def _type(self, name: str, path: str) -> pa.DataType:
        if name == "time":
            return pa.timestamp(self.times.unit, "UTC")
        kind = mapping.type_of(self.schema, path)
        return pa.null() if kind is None else kind

    def _chunks(self, job: Job, order: list[int]) -> Iterator[Chunk]:
        failed: dict[int, HeatgridError] = {}
        work = ahead(self._tasks(job, order, failed), job.threads)
        current: int | None = None
        row = 0
        try:
            for rank, result in work:
                if rank != current:
                    self._leave(current)
                    current, row = rank, 0
                if rank in self._failed_now:
                    continue
                try:
                    for piece in result():
                        yield self._chunk(piece, rank, row)
                        row += piece.read
                except InputError as error:
                    self._fail(rank, error, row)
            self._leave(current)
        finally:
            work.close()
            for part in self.parts:
                part.close()
