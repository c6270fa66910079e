"""CSV and JSON lines: what the two have in common, blocks of lines parsed on workers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Protocol

import pyarrow as pa

from heatgrid.sources.deliver import value_at
from heatgrid.sources.elements import ElementsOf
from heatgrid.sources.faults import second_scan
from heatgrid.sources.files import Identity, format_by_magic, unknown_format
from heatgrid.sources.hive import keys_field, partitions, with_keys
from heatgrid.sources.parts import BAD_LINES, Job, Part, Piece, Task, pieces_of
from heatgrid.sources.streams import Block, FileBytes, PipeBytes, blocks, record_end
from heatgrid.words.pages import masked

_SAMPLED = 1 << 19
"""Bytes of a file that a look at a column parses."""


class Parsed:
    """The rows of a block, and the lines that are none."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self.rejected = 0
        self.bad: list[tuple[int, str]] = []

    def reject(self, line: int, why: str) -> None:
        self.rejected += 1
        if len(self.bad) < BAD_LINES:
            self.bad.append((line, why))


class Grammar(Protocol):
    """How one file's blocks become batches; made from its first block."""

    schema: pa.Schema
    quotes: bool

    def body(self, block: Block) -> Block:
        """The first block without what is no row (a header)."""
        ...

    def parse(self, block: Block, job: Job | None, tops: list[str]) -> Parsed: ...


class TextPart:
    """One text file or pipe."""

    loose = True
    quick = False
    rows: int | None = None

    def __init__(
        self, source: FileBytes | PipeBytes | ElementsOf, grammar: Grammar, first: Block | None, rest: Iterator[Block]
    ) -> None:
        self.name = source.name
        self.identity: Identity | None = source.identity
        self.replayable = source.replayable
        self.grammar = grammar
        own_keys = {} if self.identity is None else partitions(self.identity.path)
        self.keys = {key: value for key, value in own_keys.items() if key not in grammar.schema.names}
        self.schema = keys_field(grammar.schema, self.keys)
        self._source = source
        self._first = first
        self._rest = rest
        self._used = False

    def sample(self, path: str) -> pa.Array | None:
        if self._first is None:
            return None
        tops = [path if path in self.schema.names else path.split(".", maxsplit=1)[0]]
        data = self._first.data
        if len(data) > _SAMPLED:
            data = data[: record_end(data[:_SAMPLED], self.grammar.quotes) or len(data)]
        parsed = self.grammar.parse(self.grammar.body(Block(data, self._first.line)), None, tops)
        return value_at(parsed.batch, path)

    def time_bounds(self, path: str) -> pa.Array | None:
        return None

    def tasks(self, job: Job) -> Iterator[Task]:
        if self.replayable:
            found = blocks(job.opened.keep(self._source.open()), quotes=self.grammar.quotes)
        else:
            if self._used:
                raise second_scan(self.name)
            self._used = True
            found = chain([] if self._first is None else [self._first], self._rest)
        for number, block in enumerate(found):
            yield partial(self._parse, job, self.grammar.body(block) if number == 0 else block)

    def _parse(self, job: Job, block: Block) -> list[Piece]:
        tops = job.deliver.tops(self.grammar.schema.names)
        parsed = self.grammar.parse(block, job, tops)
        batch = with_keys(parsed.batch, self.keys)
        pieces = pieces_of([batch], job, f"{self.name}, lines from {block.line}")
        if parsed.rejected:
            last = pieces[-1]
            last.read += parsed.rejected
            last.rejected["decode"] = last.rejected.get("decode", 0) + parsed.rejected
            last.bad_lines = [f"{self.name}:{line}: {masked(why)}" for line, why in sorted(parsed.bad)]
        return pieces


def open_text(given: FileBytes | PipeBytes, chosen: str | None) -> Part:
    """A text file of a known format, or of the one that its first bytes show."""
    from heatgrid.sources.csv import Csv
    from heatgrid.sources.ndjson import Ndjson

    source: FileBytes | PipeBytes | ElementsOf = given if chosen == "csv" else ElementsOf(given)
    stream = source.open()
    try:
        found = blocks(stream, quotes=chosen != "ndjson")
        first = next(found, None)
        if chosen is None:
            chosen = format_by_magic(b"" if first is None else first.data[:4096])
        if first is not None and chosen not in ("csv", "ndjson"):
            raise unknown_format(source.name)
        grammar: Grammar = (Ndjson if chosen == "ndjson" else Csv)(first, source.name)
    finally:
        if source.replayable:
            stream.close()
    return TextPart(source, grammar, first, found)
