"""Arrow IPC files and streams; every batch is validated in full before anything reads its buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pyarrow as pa

from heatgrid.sources.deliver import value_at
from heatgrid.sources.faults import invalid, reading, second_scan
from heatgrid.sources.files import Identity, head_of
from heatgrid.sources.hive import keys_field, partitions, with_keys
from heatgrid.sources.mapping import sound
from heatgrid.sources.parts import Job, Part, Piece, Task, pieces_of
from heatgrid.words.errors import InputError

_FEATHER_1 = b"FEA1"


def open_ipc(identity: Identity) -> Part:
    """The file format if its magic says so, else the stream format."""
    head = head_of(identity.path)
    if head.startswith(_FEATHER_1):
        raise InputError(
            "Feather version 1 is not read",
            code="HG2204",
            where=identity.path,
            expected="Arrow IPC (Feather version 2)",
            hint="write it anew with pyarrow.feather.write_feather(table, path)",
        )
    if head.startswith(b"ARROW1"):
        return IpcFile(identity)
    return IpcStream(identity.path, lambda: pa.OSFile(identity.path), identity)


class IpcFile:
    """Batches by their place in the file, so that workers decode several at once; never memory-mapped."""

    replayable = True
    loose = False
    quick = True

    def __init__(self, identity: Identity) -> None:
        self.identity: Identity | None = identity
        self.name = self.path = identity.path
        with reading(self.path), self._open() as file, pa.ipc.open_file(file) as reader:
            self.count = reader.num_record_batches
            self.own = sound(reader.schema)
        self.rows: int | None = None
        self.keys = {key: value for key, value in partitions(self.path).items() if key not in self.own.names}
        self.schema = keys_field(self.own, self.keys)

    def _open(self) -> pa.NativeFile:
        return pa.OSFile(self.path)

    def _reader(self, job: Job) -> pa.RecordBatchFileReader:
        fields = sorted(self.own.get_field_index(top) for top in job.deliver.tops(self.own.names))
        options = pa.ipc.IpcReadOptions(included_fields=fields or [0], use_threads=False)
        return pa.ipc.open_file(job.opened.keep(self._open()), options=options)

    def sample(self, path: str) -> pa.Array | None:
        with reading(self.path), self._open() as file, pa.ipc.open_file(file) as reader:
            for index in range(reader.num_record_batches):
                batch = reader.get_batch(index)
                if batch.num_rows:
                    return value_at(checked(batch, self.path), path)
        return None

    def time_bounds(self, path: str) -> pa.Array | None:
        return None

    def tasks(self, job: Job) -> Iterator[Task]:
        for index in range(self.count):
            yield partial(self._batch, job, index)

    def _batch(self, job: Job, index: int) -> list[Piece]:
        place = f"{self.path}, batch {index}"
        with reading(place):
            batch = job.opened.reader(lambda: self._reader(job)).get_batch(index)
        checked(batch, place)
        return pieces_of([with_keys(batch, self.keys)], job, place)


class IpcStream:
    """Batches one after the other, from a file or from a pipe."""

    loose = False
    quick = True
    rows: int | None = None

    def __init__(self, name: str, open_: Callable[[], pa.NativeFile], identity: Identity | None) -> None:
        self.name = name
        self.identity = identity
        self.replayable = identity is not None
        self._open = open_
        self._first: list[pa.RecordBatch] = []
        begun = self._begin()
        self._reader: pa.RecordBatchReader | None = None if self.replayable else begun
        self._used = False
        with reading(self.name):
            self.own = sound(begun.schema)
        own_keys = {} if identity is None else partitions(identity.path)
        self.keys = {key: value for key, value in own_keys.items() if key not in self.own.names}
        self.schema = keys_field(self.own, self.keys)

    def _begin(self) -> pa.RecordBatchReader:
        with reading(self.name):
            return pa.ipc.open_stream(self._open(), options=pa.ipc.IpcReadOptions(use_threads=False))

    def _read(self, reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
        with reading(self.name):
            try:
                return checked(reader.read_next_batch(), self.name)
            except StopIteration:
                return None

    def sample(self, path: str) -> pa.Array | None:
        for kept in self._first:
            if kept.num_rows:
                return value_at(kept, path)
        reader = self._begin() if self._reader is None else self._reader
        while (batch := self._read(reader)) is not None:
            if not self.replayable:
                self._first.append(batch)
            if batch.num_rows:
                return value_at(batch, path)
        return None

    def time_bounds(self, path: str) -> pa.Array | None:
        return None

    def tasks(self, job: Job) -> Iterator[Task]:
        if self._used and not self.replayable:
            raise second_scan(self.name)
        self._used = True
        reader = self._begin() if self._reader is None else self._reader
        for batch in self._first:
            yield partial(self._deliver, job, batch)
        self._first = []
        while (batch := self._read(reader)) is not None:
            yield partial(self._deliver, job, batch)

    def _deliver(self, job: Job, batch: pa.RecordBatch) -> list[Piece]:
        return pieces_of([with_keys(batch, self.keys)], job, self.name)


def checked(batch: pa.RecordBatch, place: str) -> pa.RecordBatch:
    try:
        batch.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowIndexError) as error:
        raise invalid(place, str(error)) from error
    return batch
