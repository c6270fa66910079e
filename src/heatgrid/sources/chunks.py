"""Column chunks of large Parquet files decoded by our own leaves, where their layout is one that these know.

Decoding was half of a run's time: pyarrow takes 38 ns a row for the eight columns of a click map with dwell, the
leaves 10. What they do not know (nested columns, other encodings and codecs, texts without a dictionary) or find
damaged is left to pyarrow, which decodes it or says what is wrong.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from heatgrid.cpu import pages, thrift

FROM_ROWS = 1 << 21
"""Files of fewer rows are pyarrow's: their leaves would take longer to load, or to compile, than they save."""
MOST_PAGES = 1 << 16
_INT32, _INT64, _FLOAT, _DOUBLE, _BYTES = 1, 2, 4, 5, 6
_WIDE = {_INT32: np.int32, _FLOAT: np.int32, _INT64: np.int64, _DOUBLE: np.int64}
_KNOWN_CODECS = (0, pages.SNAPPY)
_MAGIC = b"PAR1"


class Chunks:
    """What a footer says of where the columns of a file are, and which of them the leaves may decode.

    columns : names to be decoded; dictionaries : those of them that are texts delivered with a dictionary.
    """

    def __init__(self, metadata: pq.FileMetaData, schema: pa.Schema, path: str, columns: Iterable[str],
                 dictionaries: Iterable[str]) -> None:  # fmt: skip
        self.path = path
        self._layout = _footer(path, metadata)
        self._kinds: dict[str, tuple[int, pa.DataType, bool]] = {}
        if self._layout is None:
            return
        wanted = set(columns)
        texts = set(dictionaries)
        for leaf in range(metadata.num_columns):
            column = metadata.schema.column(leaf)
            flat = column.max_repetition_level == 0 and column.max_definition_level <= 1
            if column.path not in wanted or column.path not in schema.names or not flat:
                continue
            kind = _delivered(column, schema.field(column.path).type, column.path in texts)
            if kind is not None:
                self._kinds[column.path] = leaf, kind, column.max_definition_level == 1

    @property
    def columns(self) -> list[str]:
        return list(self._kinds)

    def decode(self, room: Room, group: int) -> dict[str, pa.Array]:
        """Columns of a row group; those that are missing are for pyarrow."""
        out: dict[str, pa.Array] = {}
        if self._layout is None:
            return out
        with open(self.path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            for name, (leaf, kind, optional) in self._kinds.items():
                where = self._layout[group, leaf]
                found = _load(file.fileno(), size, where, room)
                array = None if found is None else _array(room, found, where, kind, optional)
                if array is not None:
                    out[name] = array
        return out


class Room:
    """Memory of one worker, used again: bytes read, pages taken apart, and buffers that come back once no array
    needs them. (Fresh pages of memory cost 6 ns a row, half of what decoding does.)"""

    def __init__(self) -> None:
        self.stack = np.empty((thrift.DEEPEST, 2), np.int64)
        self.table = np.empty((256, thrift.PAGE_FIELDS), np.int64)
        self._kept: dict[str, npt.NDArray[np.uint8]] = {}
        self._free: dict[int, list[npt.NDArray[np.uint8]]] = {}

    def scratch(self, name: str, size: int) -> npt.NDArray[np.uint8]:
        """At least so many bytes, the same ones for the same name."""
        have = self._kept.get(name)
        if have is None or len(have) < size:
            have = self._kept[name] = np.empty(size * 5 // 4 + 64, np.uint8)
        return have

    def lend(self, size: int) -> npt.NDArray[np.uint8]:
        """So many bytes for an array; they come back when the last one that looks at them is gone."""
        step = -(-size // 4096) * 4096
        free = self._free.setdefault(step, [])
        base = free.pop() if free else np.empty(step, np.uint8)
        view = base[:size]
        weakref.finalize(view, free.append, base)
        return view


def _footer(path: str, metadata: pq.FileMetaData) -> npt.NDArray[np.int64] | None:
    """Where each column chunk is, (row groups, leaves, thrift.CHUNK_FIELDS); None where our own look at it fails."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC or length > size - 8:
            return None
        file.seek(size - 8 - length)
        raw = np.frombuffer(file.read(length) + bytes(pages.SLACK), np.uint8)
    groups, leaves = metadata.num_row_groups, metadata.num_columns
    layout = np.zeros((groups, leaves, thrift.CHUNK_FIELDS), np.int64)
    stack = np.empty((thrift.DEEPEST, 2), np.int64)
    found = thrift.chunks(raw, length, leaves, stack, layout) if groups and leaves else -1
    return layout if found == groups else None


def _delivered(column: pq.ColumnSchema, kind: pa.DataType, text: bool) -> pa.DataType | None:
    """The type a leaf gives a column, None for pyarrow's: the same as pyarrow's, small integers as 32 bits."""
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
    if physical == "INT32" and kind == pa.uint32():
        return kind
    if physical == "INT32" and kind in (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16()):
        return pa.int32()
    return None


def _load(
    file: int, size: int, where: npt.NDArray[np.int64], room: Room
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]] | None:
    """(bytes of a column chunk, its pages)."""
    start, stored = int(where[thrift.C_DATA]), int(where[thrift.C_STORED])
    dictionary = int(where[thrift.C_DICTIONARY])
    if 0 < dictionary < start:
        start = dictionary
    values = where[thrift.C_VALUES] == where[thrift.C_ROWS]
    if where[thrift.C_ELSEWHERE] or where[thrift.C_CODEC] not in _KNOWN_CODECS or not values:
        return None
    if not (4 <= start <= size - stored and stored > 0):
        return None
    raw = room.scratch("bytes", stored + pages.SLACK)
    if os.preadv(file, [raw[:stored].data], start) != stored:
        return None
    while True:
        found = int(thrift.pages(raw, stored, room.stack, room.table))
        if found < 0 or found > MOST_PAGES:
            return None
        if found <= len(room.table):
            return raw, room.table[:found]
        room.table = np.empty((found, thrift.PAGE_FIELDS), np.int64)


def _array(
    room: Room, found: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]], where: npt.NDArray[np.int64],
    kind: pa.DataType, optional: bool,
) -> pa.Array | None:  # fmt: skip
    """The chunk as an Arrow array, or None."""
    raw, table = found
    rows = int(where[thrift.C_ROWS])
    codec = int(where[thrift.C_CODEC])
    largest = int(table[:, thrift.SIZE].max(initial=0))
    if largest > 1 << 30 or rows > 1 << 30:
        return None
    first = table[0] if len(table) else None
    has_dictionary = first is not None and first[thrift.KIND] == pages.DICTIONARY
    entries = int(first[thrift.VALUES]) if first is not None and has_dictionary else 0
    if (table[1:, thrift.KIND] == pages.DICTIONARY).any() or entries > 1 << 26:
        return None
    text = pa.types.is_dictionary(kind)
    if text != (where[thrift.C_TYPE] == _BYTES) or (text and not has_dictionary):
        return None
    dtype = np.int32 if text else _WIDE[int(where[thrift.C_TYPE])]
    scratch = room.scratch("page", largest + pages.SLACK)
    dense = room.scratch("dense", 8 * rows + 8)[: 8 * rows + 8].view(dtype)
    bits = room.lend(8 * (rows // 64 + 2))
    bits[:] = 0
    values = room.lend(rows * np.dtype(dtype).itemsize)
    if text:
        valid = pages.indices(
            raw, table, len(table), codec, optional, entries, scratch, dense, bits.view(np.uint64), values.view(dtype)
        )
    else:
        dictionary = room.scratch("dictionary", 8 * entries + 8)[: 8 * entries + 8].view(dtype)
        indices = room.scratch("indices", 4 * rows + 8)[: 4 * rows + 8].view(np.int32)
        valid = pages.numbers(
            raw, table, len(table), codec, optional, dictionary, entries, scratch, indices, dense,
            bits.view(np.uint64), values.view(dtype),
        )  # fmt: skip
    if valid < 0:
        return None
    nulls = rows - int(valid)
    buffers = [pa.py_buffer(bits) if nulls else None, pa.py_buffer(values)]
    if not text:
        return pa.Array.from_buffers(kind, rows, buffers, nulls)
    words = _words(raw, table[0], codec, scratch)
    if words is None:
        return None
    return pa.DictionaryArray.from_buffers(kind, rows, buffers, words, nulls)


def _words(
    raw: npt.NDArray[np.uint8], page: npt.NDArray[np.int64], codec: int, scratch: npt.NDArray[np.uint8]
) -> pa.Array | None:
    entries = int(page[thrift.VALUES])
    offsets = np.empty(entries + 1, np.int32)
    data = np.empty(int(page[thrift.SIZE]), np.uint8)
    total = int(pages.words(raw, page, codec, scratch, offsets, data))
    if total < 0:
        return None
    return pa.StringArray.from_buffers(entries, pa.py_buffer(offsets), pa.py_buffer(data[:total]))
