"""One Parquet file read twice: by the leaves of heatgrid, and by pyarrow's own reader, which is the oracle."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from heatgrid.sources.chunks import Chunks, Room

TEXT = pa.dictionary(pa.int32(), pa.string())


class GuardedRoom(Room):
    """Every buffer alone between pages that nobody may touch: a read or a write outside of it ends the process.

    front : buffers begin behind the page before them, else they end in front of the page behind them.
    """

    front = False

    def scratch(self, name: str, size: int) -> np.ndarray:
        return self.lend(size)

    def lend(self, size: int) -> np.ndarray:
        page = mmap.PAGESIZE
        inner = -(-max(size, 1) // page) * page
        whole = np.frombuffer(mmap.mmap(-1, inner + 2 * page), np.uint8)
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        for at in (0, page + inner):
            done = protect(ctypes.c_void_p(whole.ctypes.data + at), ctypes.c_size_t(page), 0)
            assert done == 0
        return whole[page : page + size] if self.front else whole[page + inner - size : page + inner]


def texts(file: pq.ParquetFile) -> list[str]:
    schema = file.metadata.schema
    columns = [schema.column(i) for i in range(len(schema))]
    return [c.path for c in columns if c.physical_type == "BYTE_ARRAY"]


def own(path: Path, room: Room | None = None, columns: list[str] | None = None) -> list[dict[str, pa.Array]]:
    """What the leaves make of each row group."""
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names if columns is None else columns
        chunks = Chunks(file.metadata, file.schema_arrow, str(path), names, texts(file))
        room = Room() if room is None else room
        return [chunks.decode(room, group) for group in range(file.num_row_groups)]


def theirs(path: Path, group: int, name: str) -> pa.Array:
    """What pyarrow makes of a column of a row group, alone: damage in another does not matter."""
    # texts without read_dictionary: with it, pyarrow 26 leaves out words that a dictionary page has twice
    with pq.ParquetFile(path) as file:
        column = file.read_row_group(group, columns=[name], use_threads=False).column(0)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def identical(mine: pa.Array, other: pa.Array) -> bool:
    """The same type, the same rows null, and the same values to the last bit of a float."""
    if pa.types.is_dictionary(mine.type):
        return mine.type == TEXT and mine.cast(pa.string()).equals(other.cast(pa.string()))
    if mine.type != other.type:
        return False
    if pa.types.is_floating(mine.type):
        bits = pa.int32() if mine.type == pa.float32() else pa.int64()
        mine, other = mine.view(bits), other.view(bits)
    return bool(mine.equals(other) and mine.null_count == other.null_count)


def compare(path: Path, room: Callable[[], Room] = Room, columns: list[str] | None = None) -> list[set[str]]:
    """Every column that the leaves decoded is pyarrow's; which those were, by row group."""
    found = own(path, room(), columns)
    for group, arrays in enumerate(found):
        for name, array in arrays.items():
            array.validate(full=True)
            assert identical(array, theirs(path, group, name)), (path.name, group, name)
    return [set(arrays) for arrays in found]
