"""What adapters of events share: JSON lines as columns, texts, numbers, times, and the names of single elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.sources.adapters.dom import name_of
from heatgrid.sources.adapters.registry import Decoded
from heatgrid.sources.layouts import is_text, is_utf8, text
from heatgrid.sources.parts import BAD_LINES
from heatgrid.sources.records import Array, Paths, Records, lines_of
from heatgrid.sources.times import Times

_BETWEEN = "\x1f"
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?$"


class Values(Protocol):
    """The values of some records by the names that an adapter gives them."""

    def text(self, name: str) -> pa.Array: ...
    def number(self, name: str) -> pa.Array: ...


class JsonLines:
    """JSON lines as rows: values at paths, and what an adapter makes of them."""

    def __init__(
        self,
        schema: pa.Schema,
        paths: Mapping[str, tuple[str, ...]],
        make: Callable[[Records], Mapping[str, pa.Array]],
        more: Sequence[str] = (),
        rows: Callable[[Records], Array] | None = None,
    ) -> None:
        """paths : name -> path. more : keys that ``make`` looks for itself. rows : which records are rows; else all."""
        self._schema, self._make, self._named, self._rows = schema, make, [*paths], rows
        self._paths = Paths([*paths.values()], more=more)

    def __call__(self, data: bytes) -> Decoded:
        """Rows of whole lines; one that is no JSON, or holds what is no text, is none."""
        data, why = readable(data)
        found = Records(self._paths, *lines_of(data), self._named)
        made = self._make(found)
        there = found.tape.roots != -2
        if self._rows is not None:
            there &= self._rows(found)
        return decoded(self._schema, made, there, faults(found) | why)


def faults(found: Records, what: str = "not JSON") -> dict[int, str]:
    """Row -> why it is none. To be asked when all texts have been taken."""
    why = {int(r): what for r in np.flatnonzero(found.tape.roots == -1)}
    return why | {int(r): "NUL or lone surrogate" for r in np.flatnonzero(found.bad)}


def readable(data: bytes) -> tuple[bytes, dict[int, str]]:
    """Lines with those emptied that are no UTF-8, before anything takes texts of them; and which these are."""
    if is_utf8(data):
        return data, {}
    lines = data.split(b"\n")
    why = {row: "not UTF-8" for row, line in enumerate(lines) if not is_utf8(line)}
    return b"\n".join(b"" if row in why else line for row, line in enumerate(lines)), why


def decoded(schema: pa.Schema, made: Mapping[str, pa.Array], rows: Array, why: Mapping[int, str]) -> Decoded:
    """The rows that are some, and the first of those that are none. rows : bool, which of them there are."""
    batch = pa.RecordBatch.from_arrays([made[name] for name in schema.names], schema=schema)
    keep = rows.copy()
    keep[list(why)] = False
    if not keep.all():
        batch = batch.filter(pa.array(keep))
    return Decoded(batch, len(why), [(row + 1, why[row]) for row in sorted(why)[:BAD_LINES]])


def over_words(column: pa.Array, function: Callable[[str], str | None]) -> pa.Array:
    """A function of each word, done once for each that occurs."""
    coded = column.dictionary_encode()
    made = pa.array([function(word) for word in coded.dictionary.to_pylist()], pa.string())
    return made.take(coded.indices)


def words(column: pa.Array) -> pa.Array:
    """Any layout of texts as plain ones."""
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def filled(column: pa.Array) -> pa.Array:
    """Texts, the empty ones null."""
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def plain(column: pa.Array) -> pa.Array:
    """A column without a dictionary, in a layout that every compute function takes."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return text(column) if is_text(column.type) else column


def numbers(column: pa.Array) -> pa.Array:
    """float64 of numbers, or of texts that are some; what is none (``12px``) is null, and so no point."""
    column = plain(column)
    if not is_text(column.type):
        return column.cast(pa.float64())
    return pc.if_else(pc.match_substring_regex(column, _NUMBER), column, pa.scalar(None, column.type)).cast(
        pa.float64()
    )


def times(column: pa.Array, unit: str | None = None) -> pa.Array:
    """Instants to the microsecond; unit : of times that are numbers, else they are ISO texts."""
    return Times("us", "UTC", number_unit=unit)(plain(column))


def only(column: pa.Array, when: pa.Array) -> pa.Array:
    """The values where something holds, else null."""
    return pc.if_else(pc.fill_null(when, False), column, pa.scalar(None, column.type))


def joined(*columns: pa.Array, by: str = "/") -> pa.Array:
    """Texts put together; null where one is."""
    return pc.binary_join_element_wise(*columns, by)


def elements(tag: pa.Array, attributes: Mapping[str, pa.Array], content: pa.Array) -> pa.Array:
    """Readable names of elements of which the tag, some attributes and the text are told; null without a tag."""
    names = [*attributes]
    parts = [pc.fill_null(column, "") for column in (content, *attributes.values())]
    return over_words(joined(filled(tag), *parts, by=_BETWEEN), partial(_element, names))


def _element(names: Sequence[str], told: str) -> str:
    tag, content, *values = told.split(_BETWEEN)
    attributes = {name: value for name, value in zip(names, values, strict=False) if value}
    return name_of([(tag.lower(), attributes, lambda: content)])
