"""Parquet files: row groups decoded ahead of the consumer, skipped where their statistics rule them out."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from heatgrid.cpu.chosen import rows_of
from heatgrid.sources.chosen import Chosen
from heatgrid.sources.chunks import FROM_ROWS, Chunks, Loaded, Room
from heatgrid.sources.deliver import value_at
from heatgrid.sources.faults import corrupt, reading
from heatgrid.sources.files import Identity
from heatgrid.sources.footer import BUFFER, Footer
from heatgrid.sources.hive import keys_field, partitions, with_keys
from heatgrid.sources.layouts import as_bytes, bare, is_text
from heatgrid.sources.mapping import sound, split_path, type_of
from heatgrid.sources.parts import SLICE, Job, Piece, Task, pieces_of
from heatgrid.sources.prune import Bounds, can_be_true
from heatgrid.sources.where import Where
from heatgrid.words.errors import InputError

_HEAD = 8_192
"""Values that a look at a row group takes."""
_WHOLE_BYTES = 96 << 20
"""A row group that decodes to more than this is streamed, not held at once."""


@dataclass(frozen=True)
class _Wanted:
    """What one scan reads of one file."""

    columns: list[str]
    dictionaries: list[str]
    keys: dict[str, str | None]
    chunks: Chunks | None
    """What of it our own leaves may decode."""
    chosen: Chosen | None = None
    """The where, if it can be applied before more than its own columns is decoded."""


class _Reader:
    """What one worker has of a file: Arrow's reader, opened when it is first needed, and room for our leaves."""

    def __init__(self, path: str, metadata: pq.FileMetaData, wanted: _Wanted, job: Job) -> None:
        self._path, self._metadata, self._wanted, self._job = path, metadata, wanted, job
        self._file: pq.ParquetFile | None = None
        self._raw: int | None = None
        self._room = Room()

    def read(self, index: int, few: bool) -> tuple[pa.Table, Collection[str]]:
        """A row group, and the columns that our leaves have decoded. few: too few to keep the threads busy."""
        columns, chunks = self._wanted.columns, self._wanted.chunks
        own = chunks.decode(self._room, index) if chunks is not None else {}
        rest = [name for name in columns if name not in own]
        if own and not rest:
            return pa.table(own), own
        table = self._arrow(index, rest, few)
        if any(len(array) != table.num_rows for array in own.values()):
            return self._arrow(index, columns, few), ()  # says what is wrong with it
        for name, array in own.items():
            table = table.append_column(name, array)
        return table, own

    def choose(self, index: int, few: bool, place: str) -> pa.RecordBatch | None:
        """The rows of a row group that the where lets through; None if all of it must be read for that."""
        chosen = self._wanted.chosen
        if chosen is None:
            return None
        if self._raw is None:
            self._raw = self._job.opened.keep(open(self._path, "rb", buffering=0)).fileno()  # noqa: SIM115
        loaded: dict[str, Loaded] = {}
        found = chosen.rows(self._room, self._raw, index, loaded)
        if found is None:
            return None
        rows, n = found
        if n == 0:
            return _nothing(chosen.columns)
        if n == self._metadata.row_group(index).num_rows:
            return None
        own = chosen.take(self._room, self._raw, index, loaded, rows, n)
        if own is None:
            return None
        rest = [name for name in chosen.columns if name not in own]
        if rest:
            numbers = np.empty(n, np.int32)
            rows_of(rows, numbers)
            table = _sound(self._arrow(index, rest, few), place)
            if table.num_rows != self._metadata.row_group(index).num_rows:
                return None
            own |= dict(zip(rest, table.take(pa.array(numbers)).combine_chunks().columns, strict=True))
        if not own:
            return pa.RecordBatch.from_struct_array(pa.StructArray.from_buffers(pa.struct([]), n, [None]))
        arrays = [one.chunk(0) if isinstance(one, pa.ChunkedArray) else one for one in own.values()]
        return pa.RecordBatch.from_arrays(arrays, names=list(own))

    def _arrow(self, index: int, columns: list[str], few: bool) -> pa.Table:
        if self._file is None:
            self._file = self._job.opened.keep(
                pq.ParquetFile(self._path, metadata=self._metadata, read_dictionary=self._wanted.dictionaries)
            )
        return self._file.read_row_group(index, columns=columns, use_threads=few)


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
            self.quick = file.metadata.num_rows >= FROM_ROWS
            self.own = sound(file.schema_arrow)
            self.told = (file.schema_arrow.metadata or {}).get(b"heatgrid.evidence")
        self.keys = {key: value for key, value in partitions(self.path).items() if key not in self.own.names}
        self.schema = keys_field(self.own, self.keys)

    def sample(self, path: str) -> pa.Array | None:
        """The ends by statistics where they are known, else the first values."""
        ends = self.time_bounds(path)
        if ends is not None:
            return ends
        with reading(self.path), self._open() as file:
            for batch in file.iter_batches(batch_size=65_536, columns=[path], use_threads=False):
                return value_at(batch, path)
        return None

    def head(self, path: str) -> pa.Array | None:
        """The first values of the first, middle and last row groups, in this order."""
        top = split_path(self.schema.names, path)[0]
        if top in self.keys:
            return pa.array([self.keys[top]], pa.string())
        found = []
        with reading(self.path), self._open() as file:
            groups = file.num_row_groups
            for group in sorted({0, groups // 2, groups - 1} & set(range(groups))):
                for batch in file.iter_batches(batch_size=_HEAD, row_groups=[group], columns=[path], use_threads=False):
                    found.append(value_at(batch, path))
                    break
        there = [array for array in found if array is not None]
        return pa.concat_arrays(there) if there else None

    def time_bounds(self, path: str) -> pa.Array | None:
        kind = type_of(self.own, path)
        if kind is None or is_text(bare(kind)):
            return None
        ends = []
        try:
            with reading(self.path), self._open() as file:
                footer = Footer(file, self.own, self.path)
                for index in range(footer.groups):
                    bound = footer.bounds(index, path)
                    if footer.rows(index) and (bound is None or bound.ends is None):
                        return None
                    if bound is not None and bound.ends is not None:
                        ends.append(bound.ends)
        except InputError:
            return None  # the scan meets the damage where it is, and says so
        if not ends:
            return None
        both = pa.concat_arrays(ends)
        order = pc.sort_indices(both)
        return both.take(pa.array([order[0].as_py(), order[-1].as_py()]))

    def tasks(self, job: Job) -> Iterator[Task]:
        with reading(self.path):
            file = self._open()
        with file:
            footer = Footer(file, self.own, self.path)
            wanted = self._wanted(job, footer)
            few = footer.groups < 2 * job.threads
            pruner = _Pruner(job, footer, wanted.chunks, self.keys)
            for index in range(footer.groups):
                rows = footer.rows(index)
                if pruner.rules_out(index):
                    yield partial(self._skipped, job, rows)
                elif footer.decoded(index, wanted.columns) > _WHOLE_BYTES:
                    yield from self._streamed(job, footer.metadata, wanted, index)
                else:
                    yield partial(self._whole, job, footer.metadata, wanted, index, few)

    def _open(self) -> pq.ParquetFile:
        """For the footer and for single pages."""
        return pq.ParquetFile(self.path, buffer_size=BUFFER)

    def _wanted(self, job: Job, footer: Footer) -> _Wanted:
        columns = []
        keys = {}
        for path in job.deliver.paths:
            top = split_path(self.schema.names, path)[0]
            if top in self.keys:
                keys[top] = self.keys[top]
            elif type_of(self.own, path) is not None:
                columns.append(path)
        names = [path for path in columns if path != job.deliver.time_path]
        unknown = [path for path in names if path not in job.repeats]
        if footer.groups and footer.rows(0):
            footer.look(0, unknown)
            job.repeats.update({path: footer.repeats(path) for path in unknown})
        dictionaries = [path for path in names if job.repeats.get(path)]
        chunks = None
        if footer.metadata.num_rows >= FROM_ROWS:
            with reading(self.path):
                chunks = Chunks(footer.metadata, self.own, self.path, columns, dictionaries)
        chosen = None if chunks is None else Chosen.of(chunks, job.deliver, self.own, self.keys)
        return _Wanted(columns, dictionaries, keys, chunks, chosen)

    def _whole(self, job: Job, metadata: pq.FileMetaData, wanted: _Wanted, index: int, few: bool) -> list[Piece]:
        place = self._place(index)

        with reading(place):
            reader = job.opened.reader(lambda: _Reader(self.path, metadata, wanted, job))
            chosen = reader.choose(index, few, place)
            if chosen is not None:
                return self._chosen(job, wanted, chosen, metadata.row_group(index).num_rows, place)
            table, own = reader.read(index, few)
        expected = metadata.row_group(index).num_rows
        if wanted.columns and table.num_rows != expected:
            raise corrupt(place, f"{table.num_rows} rows where {expected} are announced")
        return pieces_of(_batches(table, expected, wanted, place, own), job, place)

    def _chosen(self, job: Job, wanted: _Wanted, batch: pa.RecordBatch, rows: int, place: str) -> list[Piece]:
        """The pieces of rows that a where has let through already; the first stands for those that it has not."""
        if batch.num_rows == 0:
            return self._skipped(job, rows)
        pieces = pieces_of([with_keys(batch, wanted.keys)], job.unfiltered, place)
        pieces[0].read += rows - batch.num_rows
        return pieces

    def _streamed(self, job: Job, metadata: pq.FileMetaData, wanted: _Wanted, index: int) -> Iterator[Task]:
        """A row group too large to hold: batch by batch, decoded where it is asked for."""
        place = self._place(index)
        with reading(place):
            file = pq.ParquetFile(
                self.path, metadata=metadata, read_dictionary=wanted.dictionaries, buffer_size=16 * BUFFER
            )
        with file:
            batches = file.iter_batches(SLICE, row_groups=[index], columns=wanted.columns)
            while True:
                with reading(place):
                    batch = next(batches, None)
                if batch is None:
                    return
                columns = [sound_text(column, place) for column in batch.columns]
                batch = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
                yield partial(pieces_of, [with_keys(batch, wanted.keys)], job, place)

    def _skipped(self, job: Job, rows: int) -> list[Piece]:
        return [Piece(job.deliver.empty(self.schema, self.name), rows)]

    def _place(self, index: int) -> str:
        return f"{self.path}, row group {index}"


class _Pruner:
    """Which row groups of a file the where rules out by what the footer says of them."""

    def __init__(self, job: Job, footer: Footer, chunks: Chunks | None, keys: dict[str, str | None]) -> None:
        self._job, self._footer, self._chunks, self._keys = job, footer, chunks, keys
        paths = [] if job.deliver.where is None else job.deliver.where.columns
        self._own = [] if chunks is None else [path for path in paths if path in chunks.columns]
        self._others = [path for path in paths if path not in self._own and path not in keys]
        self._known: dict[tuple[object, ...], bool] = {}

    def rules_out(self, index: int) -> bool:
        where = self._job.deliver.where
        if where is None:
            return False
        if self._others or self._chunks is None:
            return not can_be_true(where, self._bounds(index, where))
        # row groups of which the same is said are asked about once: a question takes 0.5 ms
        rows = self._footer.rows(index)
        said: list[object] = []
        for path in self._own:
            low, high, nulls = self._chunks.told(index, path)
            said += [low, high, nulls < 0, nulls == 0, nulls == rows]
        key = tuple(said)
        if key not in self._known:
            self._known[key] = not can_be_true(where, self._bounds(index, where))
        return self._known[key]

    def _bounds(self, index: int, where: Where) -> dict[str, Bounds]:
        rows = self._footer.rows(index)
        self._footer.look(index, self._others)
        bounds = {}
        for path in where.columns:
            if path in self._keys:
                value = self._keys[path]
                ends = None if value is None else pa.array([value, value])
                bound: Bounds | None = Bounds(ends, rows if value is None else 0, rows)
            elif self._chunks is not None and path in self._own:
                bound = self._chunks.bounds(index, path)
            else:
                bound = self._footer.bounds(index, path)
            if bound is not None:
                bounds[path] = _as_delivered(bound, self._job) if path == self._job.deliver.time_path else bound
        return bounds


def _nothing(names: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(0) for _ in names], names=names)


def _as_delivered(bound: Bounds, job: Job) -> Bounds:
    """Bounds of the time as it is delivered; rows may become null by being out of range.

    Of texts there are none: their order is not that of their times where offsets or spellings differ.
    """
    if bound.ends is None or is_text(bound.ends.type):
        return Bounds(None, None, bound.rows)
    ends = job.deliver.times(bound.ends)
    if ends.null_count:
        return Bounds(None, None, bound.rows)
    return Bounds(ends, bound.nulls, bound.rows)


def _batches(table: pa.Table, rows: int, wanted: _Wanted, place: str, own: Collection[str]) -> Iterator[pa.RecordBatch]:
    if not wanted.columns:
        empty = pa.RecordBatch.from_struct_array(pa.StructArray.from_buffers(pa.struct([]), rows, [None]))
        yield with_keys(empty, wanted.keys)
        return
    for batch in _sound(table, place, own).to_batches(max_chunksize=SLICE):
        yield with_keys(batch, wanted.keys)


def _sound(table: pa.Table, place: str, own: Collection[str] = ()) -> pa.Table:
    """Arrow's decoder trusts the indices and the texts of a file; nobody after this point has to.

    own : columns whose indices have been looked at as they were decoded.
    """
    for index, column in enumerate(table.columns):
        chunks = column.chunks
        inside = table.column_names[index] in own
        checked = [sound_text(chunk, place, inside) for chunk in chunks]
        if any(new is not old for new, old in zip(checked, chunks, strict=True)):
            table = table.set_column(index, table.column_names[index], pa.chunked_array([as_bytes(c) for c in checked]))
    return table


def sound_text(array: pa.Array, place: str, inside: bool = False) -> pa.Array:
    """The same array if its texts are UTF-8, else as bytes, of which the broken ones cost their rows.

    inside : the indices are known to be inside the dictionary.
    """
    if not is_text(bare(array.type)) and not pa.types.is_dictionary(array.type):
        return array
    try:
        if pa.types.is_dictionary(array.type) and (inside or _inside(array)):
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
