"""Adapters as parts of a source: files that are one session each, and tables whose rows are made others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from heatgrid.sources.adapters.registry import Decoded, Lines, Recordings, Tables, Telling
from heatgrid.sources.deliver import Deliver
from heatgrid.sources.elements import ElementsOf
from heatgrid.sources.faults import corrupt
from heatgrid.sources.files import PACKED, SUFFIXES
from heatgrid.sources.hive import keys_field, partitions, with_keys
from heatgrid.sources.parts import BAD_LINES, Job, Part, Piece, Task, pieces_of
from heatgrid.sources.streams import Block, FileBytes, PipeBytes
from heatgrid.sources.text import Parsed, TextPart
from heatgrid.sources.times import Times
from heatgrid.words.errors import InputError

if TYPE_CHECKING:
    from heatgrid.sources.files import Identity

MOST_BYTES = 512 << 20
"""Of one recording, unpacked: it is read whole. A session of a day with all its moves is a tenth of that."""
_CHUNK = 16 << 20


class RecordingPart:
    """One file, one session."""

    loose = False
    quick = False
    replayable = True
    rows: int | None = None

    def __init__(self, source: FileBytes, adapter: Recordings) -> None:
        self.name = source.name
        self.identity: Identity | None = source.identity
        self.adapter = adapter
        self.session = stem(source.name)
        own = partitions(source.name)
        self.keys = {key: value for key, value in own.items() if key not in adapter.schema.names}
        self.schema = keys_field(adapter.schema, self.keys)
        self._source = source

    def sample(self, path: str) -> pa.Array | None:
        return None

    def time_bounds(self, path: str) -> pa.Array | None:
        return None

    def tasks(self, job: Job) -> Iterator[Task]:
        yield partial(self._decode, job)

    def _decode(self, job: Job) -> list[Piece]:
        try:
            decoded = self.adapter.decode(self.data(), self.session)
        except ValueError as error:
            raise corrupt(self.name, str(error)) from error
        return pieces(decoded, with_keys(decoded.batch, self.keys), job, self.name)

    def data(self) -> bytes:
        """The whole file, unpacked. Errors: InputError HG2210 for more than can be a session."""
        stream = self._source.open()
        found: list[bytes] = []
        held = 0
        try:
            while more := stream.read(_CHUNK):
                found.append(more)
                held += len(more)
                if held > MOST_BYTES:
                    raise InputError(
                        "one recording is larger than can be a session", code="HG2210", where=self.name,
                        expected=f"at most {MOST_BYTES >> 20} MiB unpacked", hint="cut it by session",
                    )  # fmt: skip
        finally:
            stream.close()
        return found[0] if len(found) == 1 else b"".join(found)


class TablePart:
    """A table whose rows an adapter makes others."""

    loose = False
    quick = False

    def __init__(self, base: Part, adapter: Tables) -> None:
        self.base, self.adapter = base, adapter
        self.name, self.identity, self.replayable = base.name, base.identity, base.replayable
        self.schema = adapter.schema
        self.rows: int | None = None

    def sample(self, path: str) -> pa.Array | None:
        return None

    def time_bounds(self, path: str) -> pa.Array | None:
        return None

    def tasks(self, job: Job) -> Iterator[Task]:
        choose = getattr(self.adapter, "wanted", None)
        names = self.adapter.needs if choose is None else choose(self.base.schema)
        wanted = {name: name for name in names if name in self.base.schema.names}
        raw = Deliver(wanted=wanted, time_path=None, times=Times(), where=None, coerce=True, loose=self.base.loose)
        for task in self.base.tasks(replace(job, deliver=raw)):
            yield partial(self._convert, task, job)

    def _convert(self, task: Task, job: Job) -> list[Piece]:
        made: list[Piece] = []
        for piece in task():
            decoded = self.adapter.convert(piece.batch)
            new = pieces(decoded, decoded.batch, job, self.name)
            new[-1].read += piece.read - piece.batch.num_rows
            for reason, count in piece.rejected.items():
                new[-1].rejected[reason] = new[-1].rejected.get(reason, 0) + count
            new[-1].bad_lines = [*piece.bad_lines, *new[-1].bad_lines][:BAD_LINES]
            made += new
        return made


class _LineGrammar:
    """An adapter of JSON lines as the grammar of a text part."""

    quotes = False

    def __init__(self, adapter: Lines) -> None:
        self.adapter, self.schema = adapter, adapter.schema

    def body(self, block: Block) -> Block:
        return Block(block.data.removeprefix(b"\xef\xbb\xbf"), block.line)

    def parse(self, block: Block, job: Job | None, tops: list[str]) -> Parsed:
        decoded = self.adapter.records(block.data)
        parsed = Parsed(decoded.batch)
        parsed.rejected = decoded.rejected
        parsed.bad = [(block.line - 1 + line, why) for line, why in decoded.bad]
        return parsed


class LinesPart(TextPart):
    """JSON lines that an adapter reads itself."""

    loose = False

    def __init__(
        self, source: FileBytes | PipeBytes | ElementsOf, adapter: Lines, first: Block | None, rest: Iterator[Block]
    ) -> None:
        super().__init__(source, _LineGrammar(adapter), first, rest)
        self.adapter = adapter
        self.evidence = adapter.evidence
        if first is not None and isinstance(adapter, Telling):
            self.evidence = adapter.evidence_in(first.data)


def pieces(decoded: Decoded, batch: pa.RecordBatch, job: Job, name: str) -> list[Piece]:
    """What an adapter made, as the rows that a scan asked for."""
    made = pieces_of([batch], job, name)
    if decoded.rejected:
        last = made[-1]
        last.read += decoded.rejected
        last.rejected["decode"] = last.rejected.get("decode", 0) + decoded.rejected
        last.bad_lines = [f"{name}:{line}: {why}" for line, why in sorted(decoded.bad)[:BAD_LINES]]
    return made


def stem(path: str) -> str:
    """A file's name without what tells its format."""
    name = os.path.basename(path)
    for known in (PACKED, {*SUFFIXES, ".js", ".rrweb"}):
        base, suffix = os.path.splitext(name)
        if suffix.lower() in known and base:
            name = base
    return name


def tell_apart(parts: Sequence[RecordingPart]) -> list[str]:
    """Sessions of one name in two folders: all get their folders' names before them. Notes."""
    names = [part.session for part in parts]
    if len(set(names)) == len(names):
        return []
    base = os.path.commonpath([os.path.dirname(os.path.abspath(part.name)) for part in parts])
    for part in parts:
        folder = os.path.relpath(os.path.dirname(os.path.abspath(part.name)), base)
        part.session = part.session if folder == "." else f"{folder}/{part.session}"
    notes = ["two recordings have one name: sessions are called by their folders too"]
    seen: dict[str, str] = {}
    for part in parts:
        if part.session in seen:
            raise InputError(
                "two recordings are of one session", code="HG2221", where=f"{seen[part.session]} and {part.name}",
                value=part.session, hint="rename one of them: a recording's session is its file's name",
            )  # fmt: skip
        seen[part.session] = part.name
    return notes
