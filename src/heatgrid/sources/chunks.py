"""Column chunks of large Parquet files decoded by our own leaves, where their layout is one that these know.

Decoding was half of a run's time: pyarrow takes 38 ns a row for the eight columns of a click map with dwell, the
leaves 10. What they do not know (nested columns, other encodings and codecs, texts without a dictionary) or find
damaged is left to pyarrow, which decodes it or says what is wrong.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from heatgrid.cpu import chosen, pages, thrift
from heatgrid.cpu.snappy import SLACK
from heatgrid.sources.prune import Bounds, ends_of_bytes

FROM_ROWS = 1 << 21
"""Files of fewer rows are pyarrow's: their leaves would take longer to load, or to compile, than they save."""
MOST_PAGES = 1 << 16
_MOST = 1 << 30
"""Rows of a chunk and bytes of a page at most: positions in them are int32 in Arrow."""
_EXPANDS = 22
"""Snappy's shortest copy of 64 bytes has 3: a page that claims to be more than so many times its chunk is a lie."""
_PHYSICAL = {"INT32": 1, "INT64": 2, "FLOAT": 4, "DOUBLE": 5, "BYTE_ARRAY": 6}
_CODECS = (0, pages.SNAPPY)
_MAGIC = b"PAR1"
Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]


class _Column(NamedTuple):
    """A column that the leaves may decode."""

    leaf: int
    physical: str
    optional: bool
    kind: pa.DataType
    """As delivered."""

    @property
    def text(self) -> bool:
        return self.physical == "BYTE_ARRAY"

    @property
    def stored(self) -> type[np.int32 | np.int64]:
        """What the leaves fill: indices of a text, the bits of a number."""
        return np.int64 if self.physical in ("INT64", "DOUBLE") else np.int32

    def encodings(self, dictionary: bool) -> set[int]:
        """Those of its data pages that the leaves know and the format allows, in a chunk with or without one."""
        known = {pages.PLAIN_DICTIONARY, pages.RLE_DICTIONARY} if dictionary else set()
        if not self.text:
            known.add(pages.PLAIN)
        if self.physical in ("INT32", "INT64"):
            known.add(pages.DELTA)
        return known


class Chunks:
    """What a footer says of where the columns of a file are, and which of them the leaves may decode.

    columns : names to be decoded; dictionaries : those of them that are texts delivered with a dictionary.
    """

    def __init__(self, metadata: pq.FileMetaData, schema: pa.Schema, path: str, columns: Iterable[str],
                 dictionaries: Iterable[str]) -> None:  # fmt: skip
        self.path = path
        self._footer, self._layout = _footer(path, metadata)
        self._columns: dict[str, _Column] = {}
        if self._layout is None:
            return
        wanted = set(columns)
        texts = set(dictionaries)
        for leaf in range(metadata.num_columns):
            column = metadata.schema.column(leaf)
            name = column.path
            flat = column.max_repetition_level == 0 and column.max_definition_level <= 1
            if name not in wanted or not flat or not _top(name, schema):
                continue
            kind = _delivered(column, schema.field(name).type, name in texts)
            if kind is not None:
                self._columns[name] = _Column(leaf, column.physical_type, column.max_definition_level == 1, kind)

    @property
    def columns(self) -> list[str]:
        return list(self._columns)

    def decode(self, room: Room, group: int) -> dict[str, pa.Array]:
        """Columns of a row group; those that are missing are for pyarrow."""
        out: dict[str, pa.Array] = {}
        if self._layout is None:
            return out
        with open(self.path, "rb", buffering=0) as file:
            for name in self._columns:
                loaded = self.load(room, file.fileno(), group, name)
                array = None if loaded is None else whole(room, loaded)
                if array is not None:
                    out[name] = array
        return out

    def load(self, room: Room, file: int, group: int, name: str, keep: str = "bytes") -> Loaded | None:
        """A column chunk as it is stored, in the scratch of the name `keep`; None if it is nothing for the leaves."""
        assert self._layout is not None
        column = self._columns[name]
        return _loaded(room, file, self._layout[group, column.leaf], column, keep)

    def is_text(self, name: str) -> bool:
        return self._columns[name].text

    def told(self, group: int, name: str) -> tuple[bytes | None, bytes | None, int]:
        """The least and the greatest value of a column in a row group as the footer has them, and the nulls (-1: it
        does not say). Source: column orders and statistics of the Parquet format; the ends of before there were orders
        are not looked at."""
        assert self._layout is not None
        assert self._footer is not None
        where = self._layout[group, self._columns[name].leaf].tolist()
        ends = [
            self._footer[where[at] : where[at] + where[size]].tobytes() if where[size] >= 0 else None
            for at, size in ((thrift.C_LEAST, thrift.C_LEAST_SIZE), (thrift.C_MOST, thrift.C_MOST_SIZE))
        ]
        return ends[0], ends[1], where[thrift.C_NULLS]

    def bounds(self, group: int, name: str) -> Bounds:
        """The same as values."""
        assert self._layout is not None
        low, high, nulls = self.told(group, name)
        column = self._columns[name]
        both = None if low is None or high is None else ends_of_bytes(low, high, column.kind)
        return Bounds(both, None if nulls < 0 else nulls, int(self._layout[group, column.leaf, thrift.C_ROWS]))


class Room:
    """Memory of one worker, used again: bytes read, pages taken apart, and buffers that come back once no array
    needs them. (Fresh pages of memory cost 6 ns a row, half of what decoding does.)"""

    def __init__(self) -> None:
        self.stack = np.empty((thrift.DEEPEST, 2), np.int64)
        self.table = np.empty((256, thrift.PAGE_FIELDS), np.int64)
        self._kept: dict[str, Bytes] = {}
        self._free: dict[int, list[Bytes]] = {}

    def scratch(self, name: str, size: int) -> Bytes:
        """So many bytes, the same ones for the same name."""
        have = self._kept.get(name)
        if have is None or len(have) < size:
            have = self._kept[name] = np.empty(size * 5 // 4 + 64, np.uint8)
        return have[:size]

    def lend(self, size: int) -> Bytes:
        """So many bytes for an array; they come back when the last one that looks at them is gone.

        What looks at them must hold the array given here, as Arrow's buffers do: a NumPy view of it holds the memory
        behind it, which may be lent again. In powers of two, so that row groups of many lengths share them.
        """
        step = 1 << max(12, (size - 1).bit_length())
        free = self._free.setdefault(step, [])
        base = free.pop() if free else np.empty(step, np.uint8)
        view = base[:size]
        weakref.finalize(view, free.append, base)
        return view


class Loaded(NamedTuple):
    """A column chunk as it is stored."""

    column: _Column
    raw: Bytes
    table: Numbers
    """Its pages."""
    codec: int
    rows: int
    words: pa.Array | None = None
    """Its dictionary, where it has been looked at."""

    @property
    def entries(self) -> int:
        """Of its dictionary."""
        return int(self.table[0, thrift.VALUES]) if self.table[0, thrift.KIND] == thrift.DICTIONARY else 0

    @property
    def page_bytes(self) -> int:
        return int(self.table[:, thrift.SIZE].max()) + SLACK


def _footer(path: str, metadata: pq.FileMetaData) -> tuple[Bytes | None, Numbers | None]:
    """The footer, and where each column chunk is: (row groups, leaves, thrift.CHUNK_FIELDS); None where our own look
    at it fails."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC or length > size - 8:
            return None, None
        file.seek(size - 8 - length)
        raw = np.frombuffer(bytearray(file.read(length)), np.uint8)
    groups, leaves = metadata.num_row_groups, metadata.num_columns
    layout = np.zeros((groups, leaves, thrift.CHUNK_FIELDS), np.int64)
    stack = np.empty((thrift.DEEPEST, 2), np.int64)
    found = thrift.chunks(raw, len(raw), leaves, stack, layout) if groups and leaves else -1
    return (raw, layout) if found == groups else (None, None)


def _delivered(column: pq.ColumnSchema, kind: pa.DataType, text: bool) -> pa.DataType | None:
    """The type a leaf gives a column, which is pyarrow's; None for a column that is pyarrow's."""
    physical = column.physical_type
    if text and physical == "BYTE_ARRAY" and column.logical_type.type == "STRING":
        return pa.dictionary(pa.int32(), pa.string())
    if (physical == "FLOAT" and kind == pa.float32()) or (physical == "DOUBLE" and kind == pa.float64()):
        return kind
    if physical == "INT64" and kind in (pa.int64(), pa.uint64()):
        return kind
    if physical == "INT64" and pa.types.is_timestamp(kind):
        # a unit that Arrow's schema names and the file does not hold is pyarrow's to convert
        stored = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
        unit = next((short for long, short in stored.items() if long in str(column.logical_type)), None)
        return kind if unit == kind.unit else None
    small = pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32()
    return kind if physical == "INT32" and kind in small else None


def _top(name: str, schema: pa.Schema) -> bool:
    """Is the leaf of that path a column, and not a field in a struct whose path reads the same."""
    parts = name.split(".")
    return name in schema.names and not any(".".join(parts[:n]) in schema.names for n in range(1, len(parts)))


def _load(room: Room, file: int, where: Numbers, keep: str) -> Bytes | None:
    """The bytes of a column chunk and SLACK, if it is where and what its description says."""
    size = os.fstat(file).st_size
    start, stored = int(where[thrift.C_DATA]), int(where[thrift.C_STORED])
    dictionary = int(where[thrift.C_DICTIONARY])
    if 0 < dictionary < start:
        start = dictionary
    if not (4 <= start <= size - stored and stored > 0):
        return None
    raw = room.scratch(keep, stored + SLACK)
    return raw if os.preadv(file, [raw[:stored].data], start) == stored else None


def _pages(room: Room, raw: Bytes, column: _Column) -> Numbers | None:
    """The pages of a column chunk, if there is none among them that the leaves do not know."""
    stored = len(raw) - SLACK
    found = int(thrift.pages(raw, stored, room.stack, room.table))
    while len(room.table) < found <= MOST_PAGES:
        room.table = np.empty((found, thrift.PAGE_FIELDS), np.int64)
        found = int(thrift.pages(raw, stored, room.stack, room.table))
    if not 0 < found <= len(room.table):
        return None
    table = room.table[:found]
    # lists: a chunk has some ten pages, and NumPy's functions are slower for so few
    kinds, encodings = table[:, thrift.KIND].tolist(), table[:, thrift.ENCODING].tolist()
    values, sizes = table[:, thrift.VALUES].tolist(), table[:, thrift.SIZE].tolist()
    dictionary = kinds[0] == thrift.DICTIONARY
    if thrift.DICTIONARY in kinds[dictionary:] or not column.encodings(dictionary).issuperset(encodings[dictionary:]):
        return None
    if 0 in values[dictionary:]:
        return None  # pyarrow takes a page of no values for the last one
    # 4 bytes are the least that a number or a text takes
    if dictionary and (encodings[0] not in (pages.PLAIN, pages.PLAIN_DICTIONARY) or 4 * values[0] > sizes[0]):
        return None
    return None if max(sizes) > min(_MOST, _EXPANDS * stored) else table


def _loaded(room: Room, file: int, where: Numbers, column: _Column, keep: str) -> Loaded | None:
    rows, codec = int(where[thrift.C_ROWS]), int(where[thrift.C_CODEC])
    if where[thrift.C_TYPE] != _PHYSICAL[column.physical] or where[thrift.C_ELSEWHERE] or codec not in _CODECS:
        return None
    if where[thrift.C_VALUES] != rows or not 0 < rows <= _MOST:
        return None
    raw = _load(room, file, where, keep)
    table = None if raw is None else _pages(room, raw, column)
    return None if raw is None or table is None else Loaded(column, raw, table, codec, rows)


def whole(room: Room, loaded: Loaded) -> pa.Array | None:
    """A column chunk as an Arrow array; None if it is damaged or not known to the leaves."""
    column, raw, table, codec, rows = loaded[:5]
    wide = np.dtype(column.stored).itemsize
    entries = loaded.entries
    scratch = room.scratch("page", loaded.page_bytes)
    dense = room.scratch("dense", wide * (rows + 1)).view(column.stored)
    bits = room.lend(8 * (rows // 64 + 2))
    bits[:] = 0
    values = room.lend(wide * rows)
    result = bits.view(np.uint64), values.view(column.stored)
    if column.text:
        valid = pages.indices(raw, table, codec, column.optional, entries, scratch, dense, *result)
    else:
        dictionary = room.scratch("dictionary", wide * entries).view(column.stored)
        found = room.scratch("found", 4 * rows).view(np.int32)
        valid = pages.numbers(raw, table, codec, column.optional, dictionary, scratch, found, dense, *result)
    if valid < 0:
        return None
    words = None
    if column.text:
        words = words_of(room, loaded)
        if words is None:
            return None
    return made(room, column, bits, values, rows, int(valid), words)


def chosen_rows(
    room: Room, loaded: Loaded, rows: npt.NDArray[np.uint64], n: int, words: pa.Array | None
) -> pa.Array | None:
    """Of a column chunk the n rows that are set in the words of `rows`; the same as taken from ``whole``."""
    column, raw, table, codec = loaded[:4]
    wide = np.dtype(column.stored).itemsize
    scratch = room.scratch("page", loaded.page_bytes)
    ranks = room.scratch("found", 4 * n).view(np.int32)
    valid_bits = room.scratch("valid", 8 * len(rows)).view(np.uint64)
    valid_bits[:] = 0
    bits = room.lend(8 * (n // 64 + 2))
    bits[:] = 0
    values = room.lend(wide * n)
    which = rows, loaded.rows, scratch, ranks
    result = valid_bits, bits.view(np.uint64), values.view(column.stored)
    if column.text:
        valid = chosen.indices(raw, table, codec, column.optional, loaded.entries, *which, *result)
    else:
        dictionary = room.scratch("dictionary", wide * loaded.entries).view(column.stored)
        dense = room.scratch("dense", wide * (loaded.rows + 1)).view(column.stored)
        valid = chosen.numbers(raw, table, codec, column.optional, dictionary, *which, dense, *result)
    return None if valid < 0 else made(room, column, bits, values, n, int(valid), words)


def made(
    room: Room, column: _Column, bits: Bytes, values: Bytes, rows: int, valid: int, words: pa.Array | None
) -> pa.Array:
    """The array of what the leaves have filled."""
    if not column.text and column.kind.bit_width < 32:
        values = _narrowed(room, values.view(np.int32), np.dtype(column.kind.to_pandas_dtype()))
    nulls = rows - valid
    buffers = [pa.py_buffer(bits) if nulls else None, pa.py_buffer(values)]
    if not column.text:
        return pa.Array.from_buffers(column.kind, rows, buffers, nulls)
    return pa.DictionaryArray.from_buffers(column.kind, rows, buffers, words, nulls)


def _narrowed(room: Room, values: npt.NDArray[np.int32], kind: np.dtype[Any]) -> Bytes:
    """Integers of 8 or 16 bits, which are stored as 32."""
    out = room.lend(len(values) * kind.itemsize)
    np.copyto(out.view(kind), values, casting="unsafe")
    return out


def words_of(room: Room, loaded: Loaded) -> pa.Array | None:
    """The dictionary of a column chunk of texts; None if it is damaged."""
    page = loaded.table[0]
    entries = loaded.entries
    offsets = np.empty(entries + 1, np.int32)
    data = np.empty(int(page[thrift.SIZE]), np.uint8)
    scratch = room.scratch("page", loaded.page_bytes)
    total = int(pages.words(loaded.raw, page, loaded.codec, scratch, offsets, data))
    if total < 0:
        return None
    return pa.StringArray.from_buffers(entries, pa.py_buffer(offsets), pa.py_buffer(data[:total]))
