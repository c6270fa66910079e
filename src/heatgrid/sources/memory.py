"""Tables, frames, relations and streams that are already in this process, by the Arrow C interface."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from heatgrid.sources.deliver import value_at
from heatgrid.sources.faults import broken_off, invalid, second_scan
from heatgrid.sources.files import Identity
from heatgrid.sources.parts import SHARE, SLICE, Job, Piece, Task, cuts, pieces_of
from heatgrid.sources.sound import Sound
from heatgrid.words.errors import InputError

if TYPE_CHECKING:
    import pyarrow.dataset as pads

Open = Callable[[list[str]], Iterator[pa.RecordBatch]]


class MemoryPart:
    """Batches of a schema; ``open`` starts them from the beginning with at least the columns asked for."""

    loose = False
    quick = True
    identity: Identity | None = None

    def __init__(
        self,
        name: str,
        schema: pa.Schema,
        rows: int | None,
        open_: Open,
        *,
        replayable: bool = True,
        foreign: bool = True,
        table: bool = False,
    ) -> None:
        """table : Arrow's own, whose chunks may well share their dictionaries."""
        self.name = name
        self.schema = schema.remove_metadata()
        self.rows = rows
        self.replayable = replayable
        self.table = table
        self._open = open_
        self._sound = Sound() if foreign else None
        self._first: list[pa.RecordBatch] = []
        self._rest: Iterator[pa.RecordBatch] | None = None
        self._used = False
        self._broken: InputError | None = None

    def sample(self, path: str) -> pa.Array | None:
        """The first values; of a one-shot stream they are kept for its only scan."""
        tops = [path if path in self.schema.names else path.split(".", maxsplit=1)[0]]
        if self.replayable:
            batches = self._open(tops)
        else:
            batches = self._rest = self._open(self.schema.names) if self._rest is None else self._rest
        kept = next((batch for batch in self._first if batch.num_rows), None)
        for batch in self._told(batches) if kept is None else [kept]:
            if kept is None and not self.replayable:
                self._first.append(batch)
            if batch.num_rows:
                return value_at(self._checked(batch.slice(0, 65_536), tops), path)
        return None

    def time_bounds(self, path: str) -> pa.Array | None:
        return None

    def tasks(self, job: Job) -> Iterator[Task]:
        tops = job.deliver.tops(self.schema.names)
        if self.replayable:
            batches = self._open(tops)
        else:
            if self._used:
                raise second_scan(self.name)
            self._used = True
            rest = self._open(self.schema.names) if self._rest is None else self._rest
            batches = chain(self._first, rest)
            self._first = []
        for batch in self._told(batches):
            for share in cuts(batch, SHARE):
                yield partial(self._deliver, job, share, tops)

    def _told(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """What a producer raises in its middle as an error of ours.

        The first one is kept: asked again, PostgreSQL's driver no longer tells what the database said (a sample meets
        it first, and leaves it to the scan to say so).
        """
        while True:
            if self._broken is not None and not self.replayable:
                raise self._broken
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                self._broken = broken_off(self.name, str(error))
                raise self._broken from error
            if batch is None:
                return
            yield batch

    def _deliver(self, job: Job, batch: pa.RecordBatch, tops: list[str]) -> list[Piece]:
        batch = self._checked(batch, tops)
        if job.deliver.where is not None:
            return _cut(job.deliver(batch, self.name))
        return pieces_of([batch], job, self.name)

    def _checked(self, batch: pa.RecordBatch, tops: list[str]) -> pa.RecordBatch:
        """The columns asked for; another producer's buffers are validated before anything reads them."""
        names = batch.schema.names
        picked = [top for top in tops if top in names]
        if picked:
            batch = pa.RecordBatch.from_arrays([batch.column(names.index(top)) for top in picked], names=picked)
        if self._sound is not None:
            try:
                self._sound(batch)
            except (pa.ArrowInvalid, pa.ArrowIndexError) as error:
                raise invalid(self.name, str(error)) from error
        return batch


def _cut(piece: Piece) -> list[Piece]:
    """What a where has left of many rows, in as few equal pieces as may be: the first stands for all that was read."""
    n = piece.batch.num_rows
    if n <= SLICE:
        return [piece]
    size = -(-n // -(-n // SLICE))
    parts = [piece.batch.slice(at, size) for at in range(size, n, size)]
    rest = [Piece(part, part.num_rows) for part in parts]
    first = Piece(piece.batch.slice(0, size), piece.read - (n - size), piece.rejected, piece.bad_lines)
    return [first, *rest]


def memory_part(source: Any, name: str) -> MemoryPart | None:
    """A part for any object that is, or can give, Arrow data; None for anything else."""
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    if isinstance(source, pa.Table):
        return MemoryPart(
            name, source.schema, source.num_rows, lambda tops: iter(_select(source, tops).to_batches()), table=True
        )  # fmt: skip
    # who holds a dataset has loaded its module, which costs 30 to 80 ms (it loads pandas, where there is one)
    datasets = sys.modules.get("pyarrow.dataset")
    if datasets is not None and isinstance(source, datasets.Dataset):
        return _dataset(source, name)
    if datasets is not None and isinstance(source, datasets.Scanner):
        reader = source.to_reader()
        return MemoryPart(name, reader.schema, None, lambda _: iter(reader), replayable=False, foreign=False)
    if isinstance(source, Mapping):
        return memory_part(_table(source, name), name)
    module = type(source).__module__.partition(".")[0]
    if module == "polars" and type(source).__name__ == "LazyFrame":
        return _lazy(source, name)
    if hasattr(source, "__arrow_c_stream__"):
        return _stream(source, name, module)
    if hasattr(source, "__arrow_c_array__"):
        batch = pa.record_batch(source)
        return memory_part(batch, name)
    return None


def _select(table: pa.Table, tops: list[str]) -> pa.Table:
    return table.select(tops) if tops else table


def _table(source: Mapping[str, Any], name: str) -> pa.Table:
    columns = {}
    for key, value in source.items():
        try:
            columns[str(key)] = value if isinstance(value, pa.Array | pa.ChunkedArray) else pa.array(value)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise InputError(
                f"column {key!r} cannot be made an Arrow column",
                code="HG2217",
                where=name,
                value=str(error),
                expected="a one-dimensional array or list of one type",
            ) from error
    lengths = {key: len(value) for key, value in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(
            "the columns differ in length",
            code="HG2218",
            where=name,
            value=", ".join(f"{key}: {length:,}" for key, length in lengths.items()),
            expected="one length",
        )
    return pa.table(columns)


def _dataset(source: pads.Dataset, name: str) -> MemoryPart:
    def open_(tops: list[str]) -> Iterator[pa.RecordBatch]:
        return iter(source.to_batches(columns=tops or None))

    return MemoryPart(name, source.schema, None, open_, foreign=False)


def _lazy(source: Any, name: str) -> MemoryPart:
    schema = _reader(source.limit(0).collect(), name).schema

    def open_(tops: list[str]) -> Iterator[pa.RecordBatch]:
        frame = source.select(tops) if tops else source
        return iter(pa.RecordBatchReader.from_stream(frame.collect(engine="streaming")))

    return MemoryPart(name, schema, None, open_)


def _stream(source: Any, name: str, module: str) -> MemoryPart:
    """A frame or relation gives a new stream on every asking; a bare stream gives one."""
    replayable = hasattr(source, "__len__") or hasattr(source, "shape")
    if not replayable:
        reader = _reader(source, name)
        return MemoryPart(name, reader.schema, None, lambda _: iter(reader), replayable=False)
    rows = int(source.shape[0]) if hasattr(source, "shape") else len(source)
    if module in ("pandas", "polars"):
        names = [str(column) for column in source.columns]
        if len(set(names)) == len(names):
            schema = _reader(source.head(1000) if module == "pandas" else source.head(0), name).schema

            def picked(tops: list[str]) -> Iterator[pa.RecordBatch]:
                return iter(_reader(source[tops] if tops else source, name))

            return MemoryPart(name, schema, rows, picked)
    return MemoryPart(name, _reader(source, name).schema, rows, lambda _: iter(_reader(source, name)))


def _reader(source: Any, name: str) -> pa.RecordBatchReader:
    try:
        return pa.RecordBatchReader.from_stream(source)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(
            "the object does not give an Arrow stream",
            code="HG2217",
            where=name,
            value=str(error).split("\n", maxsplit=1)[0],
            expected="columns of one type each, with names that are texts",
        ) from error
