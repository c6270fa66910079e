"""What every family of sources offers to Events: a schema, samples and tasks that decode pieces in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pyarrow as pa

if TYPE_CHECKING:
    from heatgrid.sources.deliver import Deliver
    from heatgrid.sources.files import Identity

R = TypeVar("R")
SLICE = 131_072
"""Rows of a delivered batch at most: what stays in cache while the engine looks at it."""
SHARE = 8 * SLICE
"""Rows of data in memory that one task takes."""

BAD_LINES = 20
"""Rejected lines that are kept with their place, for the messages."""


@dataclass
class Piece:
    """One delivered batch with the source rows that it stands for."""

    batch: pa.RecordBatch
    read: int
    rejected: dict[str, int] = field(default_factory=dict)
    bad_lines: list[str] = field(default_factory=list)


Task = Callable[[], list[Piece]]
"""Decodes some rows on a worker and returns their pieces in order."""


class Opened:
    """What one scan has open of one part, one reader a thread: readers must not be shared."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._all: list[Any] = []

    def reader(self, make: Callable[[], R]) -> R:
        """This thread's reader, made when it is first asked for."""
        found: R | None = getattr(self._local, "reader", None)
        if found is None:
            found = self._local.reader = make()
        return found

    def keep(self, item: R) -> R:
        """Remember to close it."""
        self._all.append(item)
        return item

    def close(self) -> None:
        while self._all:
            self._all.pop().close()


@dataclass(frozen=True)
class Job:
    """One scan of one part: what to deliver, on how many threads, what is open for it, what is known of it."""

    deliver: Deliver
    threads: int
    opened: Opened
    repeats: dict[str, bool]
    """Which text columns are worth a dictionary, by the first Parquet file of the scan."""

    @property
    def unfiltered(self) -> Job:
        """The same job on rows that a where has let through already."""
        return replace(self, deliver=replace(self.deliver, where=None))


class Part(Protocol):
    """One file, stream or table; the parts of a source are its ranks."""

    name: str
    schema: pa.Schema
    """Top-level columns as stored, with those of the folders' keys."""
    rows: int | None
    replayable: bool
    loose: bool
    """Texts may be compared with numbers: the source knows no types."""
    quick: bool
    """Decoding is a minor share of a run: a scan on one thread does it where it is asked for."""
    identity: Identity | None

    def sample(self, path: str) -> pa.Array | None:
        """Some values of a column, as stored, for the choice of the time's unit."""
        ...

    def time_bounds(self, path: str) -> pa.Array | None:
        """Smallest and largest value of a column by the file's own statistics, as stored."""
        ...

    def tasks(self, job: Job) -> Iterator[Task]:
        """The work of one scan in the order of the rows; what it opens it gives to ``job.opened``."""
        ...


def pieces_of(batches: Iterable[pa.RecordBatch], job: Job, place: str) -> list[Piece]:
    """Batches cut to ``SLICE`` rows without a copy, then made canonical; done here, on the worker that asks."""
    return [job.deliver(cut, place) for batch in batches for cut in cuts(batch, SLICE)]


def cuts(batch: pa.RecordBatch, rows: int) -> Iterator[pa.RecordBatch]:
    """A batch in slices of at most ``rows``; an empty one stays one."""
    if batch.num_rows <= rows:
        yield batch
        return
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)
