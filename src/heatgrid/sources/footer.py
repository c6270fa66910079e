"""What a Parquet footer says of row groups: sizes, bounds, dictionaries; safe also where the footer is damaged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from heatgrid.sources.faults import corrupt, reading
from heatgrid.sources.layouts import bare, is_bytes, is_text
from heatgrid.sources.mapping import type_of
from heatgrid.sources.prune import Bounds, ends_of

BUFFER = 1 << 16
_SHORT = 16
"""Bytes of a text, on average, up to which it is read into a dictionary though it is not stored with one."""

_MANY = 100_000


class Footer:
    """The footer of an open file.

    Arrow's Python view of a column chunk ends the process where the chunk's metadata contradicts itself; its decoder
    raises. So the decoder opens a chunk, for a batch of no rows, before its metadata is looked at.
    """

    def __init__(self, file: pq.ParquetFile, schema: pa.Schema, name: str) -> None:
        self.file = file
        self.schema = schema
        self.name = name
        self.metadata: pq.FileMetaData = file.metadata
        self.groups: int = self.metadata.num_row_groups
        columns = range(self.metadata.num_columns)
        self._leaves: dict[str, int] = {self.metadata.schema.column(i).path: i for i in columns}
        self._safe: set[tuple[int, str]] = set()
        self._below: dict[tuple[str, ...], int] = {}

    def rows(self, index: int) -> int:
        return int(self.metadata.row_group(index).num_rows)

    def look(self, index: int, paths: Iterable[str]) -> None:
        """Make the metadata of some columns of a row group safe to look at, in one go."""
        unseen = [path for path in paths if path in self._leaves and (index, path) not in self._safe]
        if not unseen or self.rows(index) == 0:
            return
        place = f"{self.name}, row group {index}"
        leaves = [self._leaves[path] for path in unseen]
        with reading(place):
            next(self.file.reader.iter_batches(0, [index], column_indices=leaves, use_threads=False), None)
        group = self.metadata.row_group(index)
        for path, leaf in zip(unseen, leaves, strict=True):
            if group.column(leaf).physical_type != self.metadata.schema.column(leaf).physical_type:
                raise corrupt(place, f"column {path!r} is not what the schema says")
            self._safe.add((index, path))

    def _chunk(self, index: int, path: str) -> pq.ColumnChunkMetaData | None:
        self.look(index, (path,))
        return self.metadata.row_group(index).column(self._leaves[path]) if (index, path) in self._safe else None

    def bounds(self, index: int, path: str) -> Bounds | None:
        """Ends and nulls of a column in a row group; None where nothing is known of it."""
        chunk = self._chunk(index, path)
        kind = type_of(self.schema, path)
        statistics = None if chunk is None else chunk.statistics
        if statistics is None or kind is None:
            return None
        nulls = statistics.null_count if statistics.has_null_count else None
        ends = None
        if statistics.has_min_max:
            with contextlib.suppress(pa.ArrowNotImplementedError, ValueError, OverflowError):
                ends = ends_of(statistics.min, statistics.max, kind)
        return Bounds(ends, nulls, self.rows(index))

    def repeats(self, path: str) -> bool:
        """Is a dictionary worth its making: a text that is stored with one, or is short.

        Where many rows take more than _SHORT bytes each, dictionary and all, the writer gave its dictionary up.
        """
        kind = bare(type_of(self.schema, path))
        chunk = self._chunk(0, path) if self.groups and (is_text(kind) or is_bytes(kind)) else None
        if chunk is None:
            return False
        short = chunk.total_uncompressed_size <= _SHORT * self.rows(0)
        return bool(short or (chunk.has_dictionary_page and self.rows(0) < _MANY))

    def decoded(self, index: int, paths: list[str]) -> int:
        """Bytes of some columns of a row group once they are decoded, about and rather too many."""
        group = self.metadata.row_group(index)
        below = self._below.get(tuple(paths))
        if below is None:
            below = sum(any(f"{leaf}.".startswith(f"{path}.") for path in paths) for leaf in self._leaves)
            self._below[tuple(paths)] = below
        return below * (8 * self.rows(index) + int(group.total_byte_size) // max(1, len(self._leaves)))
