"""What has been read of a stream that cannot be read again: in memory, and beyond a budget in the scratch file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from heatgrid.engine.scratch import Scratch
from heatgrid.words.events import Chunk


@dataclass(frozen=True)
class _Stored:
    """A chunk whose batch lies in the scratch file, as an Arrow stream of its own: dictionaries differ by batch."""

    start: int
    size: int
    rank: int
    row: int
    read: int
    rejected: dict[str, int]


class Spool:
    """Chunks by their place. room : bytes of them kept in memory."""

    def __init__(self, scratch: Scratch, room: int) -> None:
        self._scratch, self._left = scratch, room
        self._chunks: list[Chunk | _Stored] = []

    def __len__(self) -> int:
        return len(self._chunks)

    def append(self, chunk: Chunk) -> None:
        self._left -= chunk.batch.nbytes
        self._chunks.append(chunk if self._left >= 0 else self._store(chunk))

    def __getitem__(self, at: int) -> Chunk:
        found = self._chunks[at]
        if isinstance(found, Chunk):
            return found
        raw = self._scratch.get(found.start, found.size)
        batch = pa.ipc.open_stream(pa.py_buffer(raw)).read_next_batch()
        return Chunk(batch, found.rank, found.row, found.read, found.rejected)

    def _store(self, chunk: Chunk) -> _Stored:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, chunk.batch.schema) as writer:
            writer.write_batch(chunk.batch)
        data = np.frombuffer(sink.getvalue(), np.uint8)
        start = self._scratch.put([data])
        return _Stored(start, len(data), chunk.rank, chunk.row, chunk.read, chunk.rejected)
