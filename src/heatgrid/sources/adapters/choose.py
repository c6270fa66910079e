"""Which adapter reads an input: the one that was asked for, else one that is certain by its first bytes or columns."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from heatgrid.sources.adapters import registry
from heatgrid.sources.adapters.parts import LinesPart, RecordingPart, TablePart, tell_apart
from heatgrid.sources.elements import ElementsOf
from heatgrid.sources.files import FORMATS
from heatgrid.sources.parts import Part
from heatgrid.sources.stdin import NAME
from heatgrid.sources.streams import FileBytes, PipeBytes, blocks
from heatgrid.words.errors import InputError, UsageError
from heatgrid.words.evidence import Evidence, evidence_of

HEAD = 1 << 16


def named(format: str) -> Any:
    """The adapter that ``format`` names; None if it names none."""
    if format in ("auto", "arrow", *FORMATS):
        return None
    return registry.load(format)


def text(source: FileBytes, adapter: Any) -> Part | None:
    """A text file by an adapter: one session, or lines; None if no adapter takes it so."""
    if adapter is None:
        head = _head(source)
        adapter = next((one for one in _own(registry.Recordings, registry.Lines) if one.sniff(head)), None)
        if adapter is None and head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"["):
            head = _first(source)
            adapter = next((one for one in _own(registry.Lines) if one.sniff(head)), None)
    if isinstance(adapter, registry.Recordings):
        return RecordingPart(source, adapter)
    if (
        isinstance(adapter, registry.Tables)
        and isinstance(adapter, registry.Lines)
        and not (adapter.sniff(_head(source)) or adapter.sniff(_first(source)))
    ):
        return None  # of its two ways, that of tables
    if isinstance(adapter, registry.Lines):
        return _lines(source, adapter)
    return None


def stdin(adapter: Any) -> Part:
    """Standard input by an adapter that was asked for."""
    pipe = PipeBytes(sys.stdin.buffer, NAME)
    if isinstance(adapter, registry.Lines):
        return _lines(pipe, adapter)
    raise UsageError(
        "this format is not read from a pipe", code="HG1208", where=NAME, value=adapter.name,
        hint="give the files by their names: a recording's session is its file's name",
    )  # fmt: skip


def table(part: Part, format: str, adapter: Any) -> Part:
    """A table by an adapter: the one that was asked for, or the one that knows its columns; else as it is."""
    if adapter is None and format == "auto":
        adapter = next((one for one in _own(registry.Tables) if one.knows(part.schema)), None)
    if adapter is None:
        return part
    if not isinstance(adapter, registry.Tables):
        raise InputError(
            "this format is no table", code="HG2204", where=part.name, value=adapter.name, expected=adapter.about
        )
    if not adapter.knows(part.schema):
        lacking = [name for name in adapter.needs if name not in part.schema.names]
        raise InputError(
            "these are not the columns of this format", code="HG2223", where=part.name, value=adapter.name,
            expected=f"{adapter.about}; missing or of another type: {', '.join(lacking[:8]) or 'none by name'}",
            hint="without --format the table is read by its own columns (heatgrid plan EVENTS)",
        )  # fmt: skip
    return TablePart(part, adapter)


def settle(parts: Sequence[Part]) -> tuple[Evidence | None, list[str]]:
    """The evidence that the inputs declare, and notes; what is not of one kind is an error."""
    kinds = {getattr(part, "adapter", None) and part.adapter.name: part for part in parts}  # type: ignore[attr-defined]
    if len(kinds) > 1:
        (one, first), (other, second) = list(kinds.items())[:2]
        raise InputError(
            "these inputs are of two formats, which tell of unlike things", code="HG2222",
            where=f"{first.name} and {second.name}", value=f"{one or 'a table'} and {other or 'a table'}",
            hint="read them apart; heatgrid convert makes canonical Parquet of each",
        )  # fmt: skip
    name, part = next(iter(kinds.items()))
    if name is None:
        return _kept(parts), []
    adapter: Any = part.adapter  # type: ignore[attr-defined]
    notes = [f"read as {name}: {adapter.about}"]
    notes += tell_apart([one for one in parts if isinstance(one, RecordingPart)])
    return least([getattr(one, "evidence", adapter.evidence) for one in parts]), notes


def least(told: Sequence[Evidence]) -> Evidence:
    """Of files of one format the evidence that holds for all: that with the coarsest times."""
    return max(told, key=lambda one: (one.time_quality != "event", one.time_ms))


def _kept(parts: Sequence[Part]) -> Evidence | None:
    """What ``heatgrid convert`` wrote down of the source that it read; unlike ones say nothing."""
    told = {getattr(part, "told", None) for part in parts}
    kept = told.pop()
    if kept is None or told:
        return None
    try:
        return evidence_of(json.loads(kept))
    except (ValueError, UsageError, TypeError):
        return None  # another's metadata, or a later version's


def _lines(given: FileBytes | PipeBytes, adapter: registry.Lines) -> Part:
    source = ElementsOf(given)
    stream = source.open()
    try:
        found = blocks(stream, quotes=False)
        first = next(found, None)
    finally:
        if source.replayable:
            stream.close()
    return LinesPart(source, adapter, first, found)


def _head(source: FileBytes) -> bytes:
    stream = source.open()
    try:
        return stream.read(HEAD)
    finally:
        stream.close()


def _first(source: FileBytes) -> bytes:
    """The same of what may be an array of records: as lines."""
    stream = ElementsOf(source).open()
    try:
        return stream.read(HEAD).lstrip()
    finally:
        stream.close()


def _own(*kinds: type) -> list[Any]:
    """Our own adapters of some kinds: those of other packages are taken by name only."""
    return [one for one in _all() if isinstance(one, kinds)]


@cache
def _all() -> list[Any]:
    """Made once: of thousands of recordings each asks, and a recording's reader keeps its words."""
    return [registry.load(name) for name in registry.OWN]
