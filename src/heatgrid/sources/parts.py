"""What every family of sources offers to Events: a schema, samples and tasks that decode pieces in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from heatgrid.sources.deliver import Deliver
    from heatgrid.sources.files import Identity

SLICE = 131_072
"""Rows of a delivered batch at most: what stays in cache while the engine looks at it."""

BAD_LINES = 20
"""Rejected lines that are kept with their place, for the messages."""


@dataclass
class Piece:
    """One delivered batch with the source rows that it stands for."""

    batch: pa.RecordBatch
    read: int
    rejected: dict[str, int] = field(default_factory=dict)
    bad_lines: list[str] = field(default_factory=list)


Task = Callable[[], Iterator[Piece]]
"""Decodes some rows on a worker and returns their pieces in order."""


@dataclass(frozen=True)
class Job:
    """One scan: what to deliver, and on how many threads."""

    deliver: Deliver
    threads: int


class Part(Protocol):
    """One file, stream or table; the parts of a source are its ranks."""

    name: str
    schema: pa.Schema
    """Top-level columns as stored, with those of the folders' keys."""
    rows: int | None
    replayable: bool
    loose: bool
    """Texts may be compared with numbers: the source knows no types."""
    identity: Identity | None

    def sample(self, path: str) -> pa.Array | None:
        """Some values of a column, as stored, for the choice of the time's unit."""
        ...

    def time_bounds(self, path: str) -> pa.Array | None:
        """Smallest and largest value of a column by the file's own statistics, as stored."""
        ...

    def tasks(self, job: Job) -> Iterator[Task]: ...

    def close(self) -> None:
        """Let go of what a scan opened; called once after every scan, also after one that stopped early."""
        ...


def slices(batches: Iterator[pa.RecordBatch], job: Job, place: str) -> Iterator[Piece]:
    """Batches cut to ``SLICE`` rows without a copy, then made canonical."""
    for batch in batches:
        for start in range(0, max(batch.num_rows, 1), SLICE):
            cut = batch if batch.num_rows <= SLICE else batch.slice(start, SLICE)
            yield job.deliver(cut, place)
