"""Where the rows of some sessions are: of each block which ids it may hold, and the rows themselves of those that were
told while the block was still at hand. What is left is read once more, task by task.

Bots by their pace are such: nearly all are found out within a block or two of their first row, and nothing of them has
to be read again. A bit set of each block, 8 to 64 KB, finds the other blocks, in whatever order rows come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

import numpy as np
import pyarrow as pa

from heatgrid.cpu import traces
from heatgrid.engine.block import Array
from heatgrid.engine.names import IdHashes, run_end_decoded
from heatgrid.states.subtract import holds
from heatgrid.words.events import Chunk

AT_HAND = 4
"""Blocks that are kept behind the one at work."""
MOST_BYTES = 64 << 20
"""Of rows that are kept: beyond it they are all read once more."""
BITS_PER_ID = 8
Ids = Callable[[dict[str, pa.Array], int, dict[str, IdHashes]], tuple[Array, Array, Array]]
Task = tuple[int, int]


class Traces:
    """One pass; ``note`` is called by the thread that encodes, the rest by the one that folds.

    ids : (columns, rows, hashes) -> (index by row, lo, hi) of the sessions of a batch.
    """

    of_process = ("_at_hand", "_rows", "_known_to", "_bytes", "_hashes", "_last", "_follows")

    def __init__(self, ids: Ids, follows: bool) -> None:
        """follows : ``told`` is called as the blocks are folded, so that they are kept at hand."""
        self._ids, self._follows = ids, follows
        self.bots = np.zeros((0, 2), np.int64)
        """In the order in which they were told."""
        self._tasks: list[Task | None] = []
        """The task that made each block, of a source that has such."""
        self._bits: list[Array] = []
        self._at_hand: dict[int, tuple[Chunk, Array, Array, Array]] = {}
        self._rows: dict[int, Chunk] = {}
        self._known_to: dict[int, int] = {}
        """How many of the bots have been looked for in a block."""
        self._bytes = 0
        self._hashes = {name: IdHashes(name) for name in ("session", "user", "tab")}
        self._last: tuple[Array, Array] | None = None

    def note(self, chunk: Chunk, index: Array, lo: Array, hi: Array) -> None:
        """A block of these rows comes next; (lo, hi)[index] are the ids of its rows."""
        # slices of a row group share its ids, and then the set of them
        if self._last is None or self._last[0] is not lo or len(lo) > len(index):
            n = min(len(lo), len(index))
            # rows that are not numbered have an id each, and few different ones
            per = BITS_PER_ID if len(lo) < len(index) else 1
            bits = np.zeros(1 << (n * per // 64).bit_length(), np.uint64)
            if len(lo) <= len(index):
                traces.mark(lo, hi, bits)
            else:
                traces.mark_rows(index, lo, hi, bits)
            self._last = lo, bits
        self._bits.append(self._last[1])
        self._tasks.append(chunk.task)
        if self._follows:
            self._at_hand[len(self._tasks) - 1] = chunk, index, lo, hi

    @property
    def blocks(self) -> int:
        return len(self._tasks)

    def told(self, at: int, found: Array) -> None:
        """The fold is at so many blocks; found (n, 2): ids of bots, perhaps again."""
        self._learn(found)
        for number, block in list(self._at_hand.items()):
            if number >= at or not self._follows:
                continue
            known = self._known_to.get(number, 0)
            if known < len(self.bots):
                self._known_to[number] = len(self.bots)
                if len(self._likely(number, known)):
                    self._keep(number, self._rows_of(*block, self._likely(number)))
            if number < at - AT_HAND:
                self._at_hand.pop(number, None)

    def _learn(self, found: Array) -> None:
        if len(found):
            new = found[~holds(self.bots, found[:, 0], found[:, 1])]
            self.bots = np.concatenate([self.bots, np.unique(new, axis=0)])

    def _keep(self, number: int, chunk: Chunk) -> None:
        if not chunk.read:
            return
        before = self._rows.get(number)
        self._bytes += chunk.batch.nbytes - (0 if before is None else before.batch.nbytes)
        self._rows[number] = chunk
        if self._bytes > MOST_BYTES:
            self._follows = False
            self._rows, self._known_to, self._at_hand = {}, {}, {}

    def _likely(self, number: int, known: int = 0) -> Array:
        """Those of the bots, but for the first so many, of which a block may hold rows."""
        some = self.bots[known:]
        there = np.empty(len(some), np.uint8)
        traces.may_hold(some[:, 0].copy(), some[:, 1].copy(), self._bits[number], there)
        return some.compress(there == 1, axis=0)

    def rows_of(self, chunk: Chunk) -> Chunk:
        """The bots' rows of a chunk, in order."""
        batch = chunk.batch
        get = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
        return self._rows_of(chunk, *self._ids(get, batch.num_rows, self._hashes), self.bots)

    def _rows_of(self, chunk: Chunk, index: Array, lo: Array, hi: Array, bots: Array) -> Chunk:
        """With texts as they are: the rows are few, and their dictionaries are not."""
        batch = chunk.batch
        theirs = holds(bots, lo, hi)
        rows = np.flatnonzero((index >= 0) & theirs[index]) if theirs.any() else np.zeros(0, np.int64)
        if not len(rows):
            return Chunk(batch.slice(0, 0), chunk.rank, 0, 0)
        columns = [_plain(column, pa.array(rows)) for column in batch.columns]
        return Chunk(pa.RecordBatch.from_arrays(columns, names=batch.schema.names), chunk.rank, 0, len(rows))

    def chunks(
        self, bots: Array, again: Callable[[set[Task] | None], Iterator[Chunk]], kept: Callable[[int], Chunk] | None
    ) -> Iterator[Chunk]:
        """All rows of the bots, in the order of the input.

        again : reads the chunks of some tasks once more, or all; kept : of a stream the block of a number.
        """
        self.told(self.blocks, bots)
        assert len(self.bots) == len(bots)
        missing = {
            number
            for number in range(len(self._tasks))
            if (known := self._known_to.get(number, 0)) < len(self.bots) and len(self._likely(number, known))
        }
        if kept is not None:
            for number in range(len(self._tasks)):
                if number in missing:
                    yield self.rows_of(kept(number))
                elif number in self._rows:
                    yield self._rows[number]
            return
        if any(self._tasks[number] is None for number in missing):
            yield from map(self.rows_of, again(None))
            return
        tasks = {task for number in missing if (task := self._tasks[number]) is not None}
        read = groupby(again(tasks), key=lambda chunk: chunk.task) if tasks else iter(())
        last: Task | None = None
        for number, task in enumerate(self._tasks):
            if task not in tasks or task is None:
                if number in self._rows:
                    yield self._rows[number]
            elif task != last:
                found, some = next(read)
                assert found == task
                yield from map(self.rows_of, some)
            last = task


def _plain(column: pa.Array, rows: pa.Array) -> pa.Array:
    if pa.types.is_run_end_encoded(column.type):
        column = run_end_decoded(column)
    taken = column.take(rows)
    return taken.dictionary_decode() if isinstance(taken, pa.DictionaryArray) else taken


def joined(chunks: Iterator[Chunk], rows: int) -> Iterator[Chunk]:
    """Small chunks as few of some rows or more; those of several files stay apart."""
    held: list[Chunk] = []
    for chunk in chunks:
        if held and (chunk.rank != held[0].rank or sum(one.read for one in held) >= rows):
            yield _one(held)
            held = []
        if chunk.read:
            held.append(chunk)
    if held:
        yield _one(held)


def _one(chunks: list[Chunk]) -> Chunk:
    tables = [pa.Table.from_batches([chunk.batch]) for chunk in chunks]
    (batch,) = pa.concat_tables(tables, promote_options="permissive").combine_chunks().to_batches()
    return Chunk(batch, chunks[0].rank, 0, batch.num_rows)
