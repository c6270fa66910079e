"""What a Parquet footer says of row groups: sizes, bounds, dictionaries; safe also where the footer is damaged."""

from __future__ import annotations

import contextlib

import pyarrow as pa
import pyarrow.parquet as pq

from heatgrid.sources.faults import corrupt, reading
from heatgrid.sources.layouts import bare, is_bytes, is_text
from heatgrid.sources.mapping import type_of
from heatgrid.sources.prune import Bounds, ends_of

BUFFER = 1 << 16
_SHORT = 16
"""Bytes of a text, on average, up to which it is read into a dictionary though it is not stored with one."""


class Footer:
    """The footer of an open file.

    Arrow's Python view of a column chunk ends the process where the chunk's metadata contradicts itself; its decoder
    raises. So one row of the chunk is decoded before its metadata is looked at: a page, a few milliseconds.
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

    def rows(self, index: int) -> int:
        return int(self.metadata.row_group(index).num_rows)

    def _chunk(self, index: int, path: str) -> pq.ColumnChunkMetaData | None:
        leaf = self._leaves.get(path)
        if leaf is None or self.rows(index) == 0:
            return None
        if (index, path) not in self._safe:
            place = f"{self.name}, row group {index}"
            with reading(place):
                first = next(self.file.iter_batches(1, row_groups=[index], columns=[path], use_threads=False), None)
            announced = self.metadata.schema.column(leaf).physical_type
            if first is None or self.metadata.row_group(index).column(leaf).physical_type != announced:
                raise corrupt(place, f"column {path!r} is not what the schema says")
            self._safe.add((index, path))
        return self.metadata.row_group(index).column(leaf)

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
        """Is a dictionary worth its making: a text that is stored with one, or is short."""
        kind = bare(type_of(self.schema, path))
        chunk = self._chunk(0, path) if self.groups and (is_text(kind) or is_bytes(kind)) else None
        if chunk is None:
            return False
        return bool(chunk.has_dictionary_page or chunk.total_uncompressed_size <= _SHORT * self.rows(0))

    def width(self, paths: list[str]) -> int:
        """Bytes of a decoded row of some columns, about, by the first row group."""
        if self.groups == 0 or self.rows(0) == 0:
            return 0
        below = [leaf for leaf in self._leaves if any(f"{leaf}.".startswith(f"{path}.") for path in paths)]
        chunks = [self._chunk(0, leaf) for leaf in below]
        return sum(8 + chunk.total_uncompressed_size // self.rows(0) for chunk in chunks if chunk is not None)
