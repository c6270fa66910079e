"""Lane M: maps alone, of a source without sessions. Rows need no order and no memory of others, so a chunk goes from
its Arrow columns to the tiles in one loop, and chunks are counted side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from heatgrid.cpu import columns, points, tiles
from heatgrid.engine.block import Array
from heatgrid.engine.columns import writable
from heatgrid.engine.encode import Encoder, Needs
from heatgrid.engine.fold import Fold
from heatgrid.engine.names import NameCodes, as_dictionary, bitmap, indices_of, values_of
from heatgrid.states.merge import merge
from heatgrid.states.state import State
from heatgrid.words.events import Chunk
from heatgrid.words.plan import LAYERS, Plan

READ = ("time", "page", "kind", "x", "y", "fixed", "viewport_w", "pointer")
_UNREAD = ("feature", "event_id")
"""Columns that maps alone do nothing with; any other (a session, a count, a browser's name) makes a row more than a
point."""
_NO_INDEX = np.empty(0, np.int32)
_NO_FLAGS = np.empty(0, np.uint8)
_NO_NUMBERS = np.empty(0, np.float64)


def needs_of(plan: Plan, needs: Needs) -> Needs | None:
    """What lane M reads for a plan; None if the plan or the source ask for more than maps."""
    asked = (
        plan.by, plan.every, plan.tables, plan.area_list, plan.rules, plan.transitions, plan.paths, plan.funnel_steps,
        plan.retention, plan.distinct, plan.dedupe, plan.scroll, plan.layout, plan.posthog_cells,
        plan.exclude_users, plan.exposure,
    )  # fmt: skip
    alone = plan.maps and set(plan.maps) <= set(LAYERS) and plan.frame == "page" and {"x", "y"} <= set(needs.names)
    if any(asked) or plan.widths != "bucket" or not alone or not set(needs.names) <= {*READ, *_UNREAD}:
        return None
    return replace(needs, names=tuple(name for name in needs.names if name in READ))


def run(chunks: Iterator[Chunk], encoder: Callable[[], Encoder], threads: int, tell: Callable[[int], None]) -> State:
    """The state of all chunks, counted by half of the threads: to decode them takes the others as long.

    encoder : makes one for each of the threads; tell : called on this one with the rows done.
    """
    lock, done = threading.Lock(), threading.Event()
    read = 0

    def some(told: Callable[[int], None] | None) -> Counter:
        nonlocal read
        counter = Counter(encoder())
        try:
            while not done.is_set():
                with lock:
                    chunk = next(chunks, None)
                    read += 0 if chunk is None else chunk.read
                if chunk is None:
                    break
                counter.push(chunk)
                if told is not None:
                    told(read)
            # once more where others have taken the last chunks
            if told is not None:
                told(read)
        finally:
            done.set()
        return counter

    if threads < 4:
        return some(tell).state()
    with ThreadPoolExecutor(threads // 2 - 1, thread_name_prefix="heatgrid-count") as pool:
        others = [pool.submit(some, None) for _ in range(threads // 2 - 1)]
        state = some(tell).state()
        for other in others:
            state = merge(state, other.result().state(), same_run=True)
    return state


class Counter:
    """Counts chunks in a fold's own tables, from which it makes the state."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._fold = Fold(encoder.plan, encoder, lateness=0, max_open=1)
        self._maps = self._fold.maps[0]
        self._scratch = np.empty((4, points.STRETCH), np.uint8)
        self._rows = np.empty(points.STRETCH, np.int32)
        self._cells = np.empty((2, points.STRETCH), np.int32)

    def push(self, chunk: Chunk) -> None:
        e, fold, maps = self.encoder, self._fold, self._maps
        e.account(chunk)
        n = chunk.batch.num_rows
        get = {name: chunk.batch.column(i) for i, name in enumerate(chunk.batch.schema.names)}
        kind = _codes(e.kinds, get.get("kind"))
        page = _codes(e.pages, get["page"]) if e.has_page else (_NO_INDEX, _NO_FLAGS, 0, _NO_INDEX, 0)
        time = writable(values_of(get["time"])), *_bits(get["time"])
        x, y = self._points(get, n)
        rows: tuple[Any, ...] = (*time, *e.range, *kind, fold.layers(), *page, *x, *y, *self._rare(get, n))
        most = max(int(page[3].max(initial=-1)), page[4])
        at = 0
        while True:
            grid, counters = maps.counters(most + 1, n if at == 0 else 0)
            scratch: tuple[Any, ...] = self._scratch, self._rows, self._cells, fold.kind_counts, fold.bounds
            at, bad = points.fold(at, n, *rows, *grid, *scratch, *counters)
            e.ledger.reject("time", int(bad))
            if at >= n:
                return
            maps.make_room(tiles.NO_TILE)

    def _points(self, get: dict[str, pa.Array], n: int) -> tuple[Any, ...]:
        """(values, validity, offset) of x and y: as they are if both are float32, else as float64, null as NaN."""
        both = [get[name] for name in ("x", "y")]
        if all(one.type == pa.float32() for one in both):
            return tuple((writable(values_of(one)), *_bits(one)) for one in both)
        return tuple((self.encoder.number(get, name, n), _NO_FLAGS, 0) for name in ("x", "y"))

    def _rare(self, get: dict[str, pa.Array], n: int) -> tuple[Array, Array, Array, Array]:
        """fixed, bucket, width and touched, each of length 0 if the source has no column for it."""
        e = self.encoder
        fixed, bucket, width, touched = _NO_FLAGS, _NO_INDEX, _NO_NUMBERS, _NO_FLAGS
        if "fixed" in get:
            fixed = (e.number(get, "fixed", n, null=0.0) != 0).astype(np.uint8)
        if "viewport_w" in get:
            width, bucket = e.number(get, "viewport_w", n), np.empty(n, np.int32)
            columns.width_buckets(width, e.edges, bucket)
        if "pointer" in get:
            codes = np.empty(n, np.int32)
            e.pointers.encode(get["pointer"], codes)
            touched = (codes == e.touch_code).astype(np.uint8)
        return fixed, bucket, width, touched

    def state(self) -> State:
        self._maps.sum_events()
        state = self._fold.finish()
        ledger = self.encoder.ledger
        state.ledger.read, state.ledger.filtered = ledger.read, ledger.filtered
        for reason, count in ledger.rejected.items():
            state.ledger.reject(reason, count)
        return state


def _bits(array: pa.Array) -> tuple[Array, int]:
    bits, offset = bitmap(array)
    return writable(bits), offset


def _codes(codes: NameCodes, column: pa.Array | None) -> tuple[Array, Array, int, Array, int]:
    """Dictionary indices with their validity, the code by index, and that of a null. Indices of length 0: all null."""
    if column is None:
        return _NO_INDEX, _NO_FLAGS, 0, _NO_INDEX, codes.null_code()
    encoded = as_dictionary(column, codes.column)
    # under a null the index may be anything: the leaf asks for the validity first
    return (
        writable(indices_of(encoded)), *_bits(encoded.indices), codes.table(encoded.dictionary), codes.null_code()
    )  # fmt: skip
