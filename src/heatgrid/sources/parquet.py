"""Parquet files: row groups decoded ahead of the consumer, skipped where their statistics rule them out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from heatgrid.sources.deliver import value_at
from heatgrid.sources.faults import corrupt, reading
from heatgrid.sources.files import Identity
from heatgrid.sources.hive import keys_field, partitions, with_keys
from heatgrid.sources.layouts import as_bytes, bare, is_bytes, is_text
from heatgrid.sources.mapping import sound, split_path, type_of
from heatgrid.sources.parts import SLICE, Job, Piece, Task, pieces_of
from heatgrid.sources.prune import Bounds, can_be_true, ends_of

_WHOLE_BYTES = 96 << 20
"""A row group that decodes to more than this is streamed, not held at once."""


@dataclass(frozen=True)
class _Wanted:
    """What one scan reads of one file."""

    columns: list[str]
    dictionaries: list[str]
    partitions: dict[str, str | None]


class ParquetPart:
    """One Parquet file; its footer is read when it is opened and again by every scan."""

    replayable = True
    loose = False

    def __init__(self, identity: Identity) -> None:
        self.identity: Identity | None = identity
        self.path = identity.path
        self.name = identity.path
        with reading(self.path), pq.ParquetFile(self.path) as file:
            self.rows: int | None = file.metadata.num_rows
            self.own = sound(file.schema_arrow)
        self.partitions = {key: value for key, value in partitions(self.path).items() if key not in self.own.names}
        self.schema = keys_field(self.own, self.partitions)

    def sample(self, path: str) -> pa.Array | None:
        """The ends by statistics where they are known, else the first values."""
        ends = self.time_bounds(path)
        if ends is not None:
            return ends
        with reading(self.path), pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=65_536, columns=[path], use_threads=False):
                return value_at(batch, path)
        return None

    def time_bounds(self, path: str) -> pa.Array | None:
        with reading(self.path), pq.ParquetFile(self.path) as file:
            metadata = file.metadata
            leaf = _leaves(metadata).get(path)
            kind = type_of(self.own, path)
            if leaf is None or kind is None or is_text(bare(kind)):
                return None
            ends = []
            for index in range(metadata.num_row_groups):
                group = metadata.row_group(index)
                if group.num_rows:
                    one = _bounds(group, leaf, kind).ends
                    if one is None:
                        return None
                    ends.append(one)
        if not ends:
            return None
        both = pa.concat_arrays(ends)
        return pa.concat_arrays([_smallest(both), _largest(both)])

    def tasks(self, job: Job) -> Iterator[Task]:
        with reading(self.path):
            file = pq.ParquetFile(self.path)
        with file:
            metadata = file.metadata
            wanted = self._wanted(job, metadata)
            sizes = _Sizes(metadata, wanted)
            few = metadata.num_row_groups < 2 * job.threads
            for index in range(metadata.num_row_groups):
                group = metadata.row_group(index)
                if self._ruled_out(job, metadata, index):
                    yield partial(self._skipped, job, group.num_rows)
                elif sizes.of(index) > _WHOLE_BYTES:
                    yield from self._streamed(job, metadata, wanted, index)
                else:
                    yield partial(self._whole, job, metadata, wanted, index, few)

    def _wanted(self, job: Job, metadata: pq.FileMetaData) -> _Wanted:
        leaves = _leaves(metadata)
        names = self.own.names
        columns = []
        texts = []
        keys = {}
        for path in job.deliver.paths:
            top = split_path(self.schema.names, path)[0]
            kind = type_of(self.own, path)
            if top in self.partitions:
                keys[top] = self.partitions[top]
            elif top in names and kind is not None:
                columns.append(path)
                plain = path != job.deliver.time_path and (is_text(bare(kind)) or is_bytes(bare(kind)))
                if plain and path in leaves and _has_dictionary(metadata, leaves[path]):
                    texts.append(path)
        return _Wanted(columns, texts, keys)

    def _whole(self, job: Job, metadata: pq.FileMetaData, wanted: _Wanted, index: int, few: bool) -> list[Piece]:
        place = self._place(index)
        with reading(place):
            file = job.opened.reader(
                lambda: job.opened.keep(
                    pq.ParquetFile(self.path, metadata=metadata, read_dictionary=wanted.dictionaries)
                )
            )
            table = file.read_row_group(index, columns=wanted.columns, use_threads=few)
        expected = metadata.row_group(index).num_rows
        if wanted.columns and table.num_rows != expected:
            raise corrupt(place, f"{table.num_rows} rows where {expected} are announced")
        return pieces_of(_batches(table, expected, wanted, place), job, place)

    def _streamed(self, job: Job, metadata: pq.FileMetaData, wanted: _Wanted, index: int) -> Iterator[Task]:
        """A row group too large to hold: batch by batch, decoded where it is asked for."""
        place = self._place(index)
        with reading(place):
            file = pq.ParquetFile(
                self.path, metadata=metadata, read_dictionary=wanted.dictionaries, pre_buffer=False, buffer_size=1 << 20
            )
        with file:
            batches = file.iter_batches(SLICE, row_groups=[index], columns=wanted.columns)
            while True:
                with reading(place):
                    batch = next(batches, None)
                if batch is None:
                    return
                batch = pa.RecordBatch.from_arrays(
                    [_sound_text(column, place) for column in batch.columns], names=batch.schema.names
                )
                batch = with_keys(batch, wanted.partitions)
                yield partial(_deliver_one, job, batch, place)

    def _skipped(self, job: Job, rows: int) -> list[Piece]:
        return [Piece(job.deliver.empty(self.schema, self.name), rows)]

    def _place(self, index: int) -> str:
        return f"{self.path}, row group {index}"

    def _ruled_out(self, job: Job, metadata: pq.FileMetaData, index: int) -> bool:
        where = job.deliver.where
        if where is None:
            return False
        group = metadata.row_group(index)
        leaves = _leaves(metadata)
        bounds = {}
        for path in where.columns:
            kind = type_of(self.own, path)
            if path in self.partitions and path not in self.own.names:
                value = self.partitions[path]
                ends = None if value is None else pa.array([value, value])
                bounds[path] = Bounds(ends, group.num_rows if value is None else 0, group.num_rows)
            elif kind is not None and path in leaves:
                bound = _bounds(group, leaves[path], kind)
                if path == job.deliver.time_path:
                    bound = _time_bounds(bound, job)
                bounds[path] = bound
        return not can_be_true(where, bounds)


class _Sizes:
    """What the wanted columns of a row group take once they are decoded, by the footer."""

    def __init__(self, metadata: pq.FileMetaData, wanted: _Wanted) -> None:
        self.metadata = metadata
        leaves = _leaves(metadata)
        self.leaves = [
            i for path, i in leaves.items() if any(path == c or path.startswith(c + ".") for c in wanted.columns)
        ]

    def of(self, index: int) -> int:
        group = self.metadata.row_group(index)
        return sum(max(group.column(i).total_uncompressed_size, 8 * group.num_rows) for i in self.leaves)


def _deliver_one(job: Job, batch: pa.RecordBatch, place: str) -> list[Piece]:
    return pieces_of([batch], job, place)


def _batches(table: pa.Table, rows: int, wanted: _Wanted, place: str) -> Iterator[pa.RecordBatch]:
    if not wanted.columns:
        empty = pa.RecordBatch.from_struct_array(pa.StructArray.from_buffers(pa.struct([]), rows, [None]))
        yield with_keys(empty, wanted.partitions)
        return
    for batch in _sound(table, place).to_batches(max_chunksize=SLICE):
        yield with_keys(batch, wanted.partitions)


def _sound(table: pa.Table, place: str) -> pa.Table:
    """Arrow's decoder trusts the indices and the texts of a file; nobody after this point has to."""
    for index, column in enumerate(table.columns):
        checked = [_sound_text(chunk, place) for chunk in column.chunks]
        if any(new is not old for new, old in zip(checked, column.chunks, strict=True)):
            table = table.set_column(index, table.column_names[index], pa.chunked_array([as_bytes(c) for c in checked]))
    return table


def _sound_text(array: pa.Array, place: str) -> pa.Array:
    """The same array if its texts are UTF-8, else as bytes, of which the broken ones cost their rows."""
    if not is_text(bare(array.type)) and not pa.types.is_dictionary(array.type):
        return array
    try:
        if pa.types.is_dictionary(array.type) and _inside(array):
            array.dictionary.validate(full=True)
        else:
            array.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowIndexError) as error:
        if not is_text(bare(array.type)):
            raise corrupt(place, str(error)) from error
        array = as_bytes(array)
        try:
            array.validate(full=True)
        except (pa.ArrowInvalid, pa.ArrowIndexError) as worse:
            raise corrupt(place, str(worse)) from worse
    return array


def _inside(array: pa.DictionaryArray) -> bool:
    """All stored indices, also those below nulls, are inside the dictionary: many times faster than a validation."""
    if array.type.index_type != pa.int32() or len(array) == 0:
        return False
    values = np.frombuffer(array.indices.buffers()[1], np.uint32)[array.offset : array.offset + len(array)]
    return int(values.max()) < len(array.dictionary)


def _leaves(metadata: pq.FileMetaData) -> dict[str, int]:
    """Dotted path -> column index; columns inside lists keep their longer paths."""
    return {metadata.schema.column(i).path: i for i in range(metadata.num_columns)}


def _has_dictionary(metadata: pq.FileMetaData, leaf: int) -> bool:
    """Texts stored without a dictionary (unique ids) are not worth one."""
    if metadata.num_row_groups == 0:
        return False
    return any("DICTIONARY" in encoding for encoding in metadata.row_group(0).column(leaf).encodings)


def _bounds(group: pq.RowGroupMetaData, leaf: int, kind: pa.DataType) -> Bounds:
    statistics = group.column(leaf).statistics
    if statistics is None:
        return Bounds(None, None, group.num_rows)
    nulls = statistics.null_count if statistics.has_null_count else None
    ends = None
    if statistics.has_min_max:
        with contextlib.suppress(pa.ArrowNotImplementedError, ValueError, OverflowError):
            ends = ends_of(statistics.min, statistics.max, kind)
    return Bounds(ends, nulls, group.num_rows)


def _time_bounds(bound: Bounds, job: Job) -> Bounds:
    """Ends of the time as it is delivered; rows may become null by being out of range."""
    if bound.ends is None:
        return bound
    ends = job.deliver.times(bound.ends)
    if ends.null_count:
        return Bounds(None, None, bound.rows)
    return Bounds(ends, bound.nulls, bound.rows)


def _smallest(array: pa.Array) -> pa.Array:
    return array.take(pa.array([int(pc.sort_indices(array)[0].as_py())]))


def _largest(array: pa.Array) -> pa.Array:
    return array.take(pa.array([int(pc.sort_indices(array)[-1].as_py())]))
