"""Which rows of a row group a where lets through, found in its own columns before anything else is decoded.

The predicate's subtrees of one column are evaluated once for each entry of its dictionary, and a row costs a look at a
bit; of columns without a dictionary the values are decoded. With Kleene's logic "true" and "false" of a tree follow
from those of its parts without "null": true(a and b) = true(a) & true(b), false(a and b) = false(a) | false(b).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heatgrid.cpu import chosen as leaves
from heatgrid.sources.chunks import Chunks, Loaded, Room, chosen_rows, whole, words_of
from heatgrid.sources.deliver import Deliver
from heatgrid.sources.layouts import bare, is_text
from heatgrid.sources.mapping import type_of
from heatgrid.sources.predicate import And, Node, Not, Or, columns_of
from heatgrid.sources.where import Where

Bits = npt.NDArray[np.uint64]
"""Rows as bits, in one word more than they fill."""


@dataclass
class _Test:
    """Rows of one column for which a part of the predicate is ``wanted``."""

    path: str
    where: Where
    wanted: bool
    null: bool
    """Whether a row without a value is one."""
    last: tuple[pa.Array, npt.NDArray[np.uint8]] | None = field(default=None, repr=False)


@dataclass
class _Both:
    every: bool
    left: _Program
    right: _Program


_Program = bool | _Test | _Both


class Chosen:
    """A where on the columns of one file; made by ``of`` if all that it needs can be had."""

    def __init__(self, program: _Program, chunks: Chunks, deliver: Deliver, columns: list[str]) -> None:
        self._program, self._chunks, self._job = program, chunks, deliver
        self._words: dict[str, tuple[bytes, pa.Array]] = {}
        self.columns = columns
        """To be delivered: those of the leaves are decoded here, the others are pyarrow's."""

    @classmethod
    def of(cls, chunks: Chunks, deliver: Deliver, schema: pa.Schema, keys: Mapping[str, str | None]) -> Chosen | None:
        """None where there is no where, or one of its columns, or a text that is to be a number, is not for this."""
        where = deliver.where
        if where is None:
            return None
        constants: dict[str, pa.Array | None] = {}
        known = set(chunks.columns)
        for path in where.columns:
            if path in keys:
                constants[path] = pa.array([keys[path]], pa.string())
            elif type_of(schema, path) is None:
                constants[path] = None
            elif path not in known:
                return None
        columns = []
        for path in dict.fromkeys([*deliver.wanted.values(), *deliver.beside]):
            kind = type_of(schema, path)
            if kind is None or path in keys:
                continue
            # what is no number costs the whole run, wherever it stands, and not only where a row is chosen
            if is_text(bare(kind)) and deliver.role(path) not in ("name", "time"):
                return None
            columns.append(path)
        nothing = {path: pa.nulls(1, type_of(schema, path)) for path in where.columns if path not in constants}
        if deliver.time_path in nothing:
            nothing[deliver.time_path] = deliver.times(nothing[deliver.time_path])
        program = _program(where, where.tree, True, constants, nothing)
        return None if program is True else cls(program, chunks, deliver, columns)

    def rows(self, room: Room, file: int, group: int, loaded: dict[str, Loaded]) -> tuple[Bits, int] | None:
        """The rows of a row group and how many; None if a column is damaged or not for the leaves after all."""
        return self._find(self._program, room, file, group, loaded)

    def take(
        self, room: Room, file: int, group: int, loaded: dict[str, Loaded], rows: Bits, n: int
    ) -> dict[str, pa.Array] | None:
        """Those columns of these rows that the leaves decode; None as above."""
        out: dict[str, pa.Array] = {}
        for name in self.columns:
            if name not in self._chunks.columns:
                continue
            one = loaded.get(name) or self._chunks.load(room, file, group, name)
            if one is None:
                return None
            words = (one.words or self._sound_words(room, name, one)) if one.column.text else None
            array = None if one.column.text and words is None else chosen_rows(room, one, rows, n, words)
            if array is None:
                return None
            out[name] = array
        return out

    def _find(
        self, program: _Program, room: Room, file: int, group: int, loaded: dict[str, Loaded]
    ) -> tuple[Bits, int] | None:
        if isinstance(program, bool):
            return np.zeros(1, np.uint64), 0
        if isinstance(program, _Test):
            if program.path not in loaded:
                found = self._chunks.load(room, file, group, program.path, f"bytes {program.path}")
                if found is None:
                    return None
                # the pages are taken apart in the room's one table
                found = found._replace(table=found.table.copy())
                words = self._sound_words(room, program.path, found) if found.column.text else None
                loaded[program.path] = found._replace(words=words)
            one = loaded[program.path]
            return _by_entry(room, program, one) if one.column.text else self._by_value(room, program, one)
        left = self._find(program.left, room, file, group, loaded)
        if left is None or left[1] == (0 if program.every else next(iter(loaded.values())).rows):
            return left
        right = self._find(program.right, room, file, group, loaded)
        if right is None:
            return None
        both = left[0] & right[0] if program.every else left[0] | right[0]
        return both, int(leaves.count(both, next(iter(loaded.values())).rows))

    def _sound_words(self, room: Room, name: str, one: Loaded) -> pa.Array | None:
        """The dictionary; None also where a text of it is no UTF-8: such rows are counted where all is decoded.

        The one of the row group before if they are the same: what is known of its entries need not be asked again.
        """
        words = words_of(room, one)
        if words is None:
            return None
        key = b"".join(buffer.to_pybytes() for buffer in words.buffers() if buffer is not None)
        last = self._words.get(name)
        if last is not None and last[0] == key:
            return last[1]
        try:
            words.validate(full=True)
        except pa.ArrowInvalid:
            return None
        self._words[name] = key, words
        return words

    def _by_value(self, room: Room, test: _Test, one: Loaded) -> tuple[Bits, int] | None:
        array = whole(room, one)
        if array is None:
            return None
        if test.path == self._job.time_path:
            array = self._job.times(array)
        mask = test.where.mask({test.path: array}, one.rows)
        assert mask.offset == 0
        valid, data = mask.buffers()
        bits = _words(data, one.rows)
        if not test.wanted:
            np.invert(bits, out=bits)
        if valid is not None:
            bits &= _words(valid, one.rows)
        _cut(bits, one.rows)
        return bits, int(leaves.count(bits, one.rows))


def _program(
    where: Where, node: Node, wanted: bool, constants: Mapping[str, pa.Array | None], nothing: Mapping[str, pa.Array]
) -> _Program:
    """Where a tree is ``wanted`` (true or false). constants : the one value of columns that have one in the whole file,
    None if the file lacks them; nothing : a null of each of the others."""
    paths = {where.paths[name] for name in columns_of(node)}
    if len(paths) <= 1:
        path = next(iter(paths), "")
        part = replace(where, tree=node)
        if not paths or path in constants:
            value = constants.get(path)
            return bool(part.mask({} if value is None else {path: value}, 1)[0].as_py() is wanted)
        null = part.mask({path: nothing[path]}, 1)[0].as_py() is wanted
        return _Test(path, part, wanted, null)
    if isinstance(node, Not):
        return _program(where, node.inner, not wanted, constants, nothing)
    assert isinstance(node, And | Or)
    left = _program(where, node.left, wanted, constants, nothing)
    right = _program(where, node.right, wanted, constants, nothing)
    every = isinstance(node, And) is wanted
    for one, other in ((left, right), (right, left)):
        if isinstance(one, bool):
            return other if one is every else one
    return _Both(every, left, right)


def _by_entry(room: Room, test: _Test, one: Loaded) -> tuple[Bits, int] | None:
    words = one.words
    if words is None:
        return None
    last = test.last
    if last is None or last[0] is not words:
        mask = test.where.mask({test.path: words}, len(words))
        hits = np.array([answer is test.wanted for answer in mask.to_pylist()], np.uint8)
        test.last = last = words, hits
    table = last[1]
    size = one.rows // 64 + 2
    out = np.zeros(size, np.uint64)
    if not table.any() and not (test.null and one.column.optional):
        return out, 0
    bits = room.scratch("valid", 8 * size).view(np.uint64)
    bits[:] = 0
    scratch, dense = room.scratch("page", one.page_bytes), room.scratch("dense", 8 * size).view(np.uint64)
    found = leaves.members(
        one.raw, one.table, one.codec, one.column.optional, table, test.null, scratch, dense, bits, out, one.rows
    )
    return None if found < 0 else (out, int(found))


def _words(buffer: pa.Buffer, rows: int) -> Bits:
    """A bitmap as words of its own."""
    out = np.zeros(rows // 64 + 2, np.uint64)
    size = (rows + 7) // 8
    out.view(np.uint8)[:size] = np.frombuffer(buffer, np.uint8)[:size]
    return out


def _cut(bits: Bits, rows: int) -> None:
    """Nothing is set behind the last row."""
    bits[rows // 64] &= np.uint64((1 << rows % 64) - 1)
    bits[rows // 64 + 1 :] = 0
