"""The demo dump: a stream of record batches, or one Parquet file. Seeded, any size, flat memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from heatgrid.demo import site, walk
from heatgrid.demo.counts import DIRTY, Counts
from heatgrid.demo.tables import COUNTRY_OF, PLAN_OF, rhythm, tables
from heatgrid.engine.measures.layout import BOX
from heatgrid.outputs.atomic import atomic
from heatgrid.words.errors import UsageError
from heatgrid.words.plan import BUCKET_EDGES

ROW_GROUP = 262_144
_NAMES = pa.dictionary(pa.int32(), pa.string())
_FEW = pa.dictionary(pa.int8(), pa.string())
DELTAS = dict.fromkeys(("time", "event_id"), "DELTA_BINARY_PACKED")
"""Times in order and running ids: a third of the bytes, and decoded four times as fast as plain values in snappy."""
SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("ms", "UTC")), ("session", _NAMES), ("user", _NAMES), ("account", _FEW), ("tab", _FEW),
        ("page", _FEW), ("kind", _FEW), ("x", pa.float32()), ("y", pa.float32()), ("pointer", _FEW),
        ("viewport_w", pa.int16()), ("viewport_h", pa.int16()), ("page_h", pa.int32()), ("scroll_y", pa.int32()),
        ("feature", pa.dictionary(pa.int16(), pa.string())), *((name, pa.int16()) for name in BOX),
        ("event_id", pa.int64()), ("device", _FEW), ("country", _FEW), ("plan", _FEW), ("release", _FEW),
    ]
)  # fmt: skip
_PLAIN = ("time", "x", "y", "event_id")
"""Columns that a Parquet dictionary only slows down: nearly every value is a new one."""


class Dump(Iterator[pa.RecordBatch]):
    """The batches of one dump; ``counts`` grows with them and is whole after the last one."""

    def __init__(self, rows: int, *, seed: int, sessions: int | None, days: int, start: str) -> None:
        sessions = max(1, rows // 50) if sessions is None else sessions
        _check(rows, sessions, days)
        self._rows = rows
        self._key = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
        self._tables = tables(days)
        self._starts = rhythm(_day(start), days)
        self._slots = np.zeros(0, walk.SLOT)
        self._heap = np.zeros(0, np.int64)
        self._free = np.zeros(0, np.int64)
        self._more_slots()
        self._world = np.zeros(1, walk.WORLD)
        spare = (rows - sessions) // (2 * (walk.BOT_LEAST + walk.BOT_SPREAD))
        bots = min(1 + rows // 400_000, spare, sessions // 2)
        for name, value in {
            "rng": self._key, "sessions": sessions, "unassigned": rows, "users": max(1, sessions // 4),
            "bots_left": bots, "bot_every": sessions // bots if bots else 0, "clock": walk.UNSEEN, "event": 1,
            "origin": (_day(start) - date(1970, 1, 1)).days * walk.DAY, "dirty_at": 200, "late_at": 300,
            "duplicate_at": 400,
        }.items():  # fmt: skip
            self._world[name] = value
        walk.first_start(self._world, self._starts)

    @property
    def counts(self) -> Counts:
        c = [int(v) for v in self._world["counts"][0]]
        return Counts(
            rows=int(self._world["written"][0]),
            sessions=int(self._world["begun"][0]),
            ties=c[walk.N_TIES],
            returning=c[walk.N_RETURNING],
            midnight=c[walk.N_MIDNIGHT],
            two_tab=c[walk.N_TWO_TAB],
            resizes=c[walk.N_RESIZES],
            late=c[walk.N_LATE],
            duplicates=c[walk.N_DUPLICATES],
            bots=c[walk.N_BOTS],
            dirty=dict(zip(DIRTY, c[walk.N_DIRTY :], strict=True)),
        )

    def __next__(self) -> pa.RecordBatch:
        size = min(ROW_GROUP, self._rows - int(self._world["written"][0]))
        if size == 0:
            raise StopIteration
        rows, entries = np.empty(size, walk.ROW), np.empty(size, walk.ENTRY)
        world = self._world
        world["filled"] = world["codes"] = 0
        world["group"] += 1
        while walk.walk(world, self._slots, self._heap, self._free, self._tables, self._starts, rows, entries) < size:
            self._more_slots()
        return self._batch(rows, entries[: world["codes"][0]])

    def _more_slots(self) -> None:
        old = len(self._slots)
        new = max(1024, 2 * old)
        assert new <= walk.MAX_OPEN
        self._slots = np.concatenate([self._slots, np.zeros(new - old, walk.SLOT)])
        self._heap = np.concatenate([self._heap, np.zeros(new - old, np.int64)])
        self._free = np.concatenate([self._free, np.arange(old, new)])

    def _batch(self, rows: npt.NDArray[np.void], entries: npt.NDArray[np.void]) -> pa.RecordBatch:
        """What a session decides is looked up by its code; a user of two sessions gets one dictionary entry."""
        kind, feature, nulls, code = (np.ascontiguousarray(rows[name]) for name in ("kind", "feature", "nulls", "code"))
        users, user = np.unique(entries["user"], return_inverse=True)
        account = entries["account"]
        point = (nulls & walk.NULL_POINT) == 0
        viewport = kind != walk.ERROR
        columns = {
            "time": array(rows["time"], (nulls & walk.NULL_TIME) == 0, SCHEMA.field("time").type),
            "session": words(code, self._ids(entries["session"], "s"), (nulls & walk.NULL_SESSION) == 0),
            "user": words(user.astype(np.int32)[code], self._ids(users, "u")),
            "account": words(account[code], site.ACCOUNTS),
            "tab": words(rows["tab"], ("t0", "t1")),
            "page": words(rows["page"], [page.path for page in site.pages()]),
            "kind": words(kind, site.KINDS),
            "x": array(rows["x"], point),
            "y": array(rows["y"], point),
            "pointer": words(entries["pointer"][code], site.POINTERS),
            "viewport_w": array(rows["viewport_w"], viewport),
            "viewport_h": array(rows["viewport_h"], viewport),
            "page_h": array(rows["page_h"]),
            "scroll_y": array(rows["scroll"]),
            "feature": words(feature, site.declared_features(), feature >= 0),
            **_boxes(rows, feature),
            "event_id": array(rows["event"]),
            "device": words(entries["device"][code], site.DEVICES),
            "country": words(COUNTRY_OF[account][code], site.COUNTRIES),
            "plan": words(PLAN_OF[account][code], site.PLANS),
            "release": words(entries["release"][code], [name for _, name in site.RELEASES]),
        }
        return pa.RecordBatch.from_arrays(list(columns.values()), schema=SCHEMA)

    def _ids(self, numbers: npt.NDArray[np.int64], letter: str) -> pa.Array:
        text = np.empty((len(numbers), walk.ID_LENGTH), np.uint8)
        walk.write_ids(numbers, self._key >> 16, ord(letter), text)
        offsets = np.arange(0, text.size + 1, walk.ID_LENGTH, dtype=np.int32)
        return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(text))


def generate(
    rows: int, *, seed: int = 7, sessions: int | None = None, days: int = 30, start: str = "2026-09-01"
) -> Dump:
    """An iterator of record batches of up to 262,144 rows, ``rows`` in all, in order of time but for late rows.

    Parameters
    ----------
    sessions : distinct sessions, begun over the whole period; a row for 50 by default.
    days, start : the period, whole UTC days; sessions that began near its end run on past it.

    The same arguments give the same rows. Memory depends on the sessions open at one time, not on ``rows``.
    Raises UsageError for numbers that do not fit together.
    """
    return Dump(rows, seed=seed, sessions=sessions, days=days, start=start)


def write(
    path: str | Path,
    rows: int,
    *,
    seed: int = 7,
    sessions: int | None = None,
    days: int = 30,
    start: str = "2026-09-01",
    progress: Callable[[int, int], object] | None = None,
) -> Counts:
    """The dump as one Parquet file (snappy, row groups of 262,144), there whole or not at all; what is in it.

    ``progress(rows written, rows)`` is called after each row group. One row group is made while the one before
    is written.
    """
    dump = generate(rows, seed=seed, sessions=sessions, days=days, start=start)
    dictionaries = [name for name in SCHEMA.names if name not in _PLAIN]
    done = 0
    with (
        atomic(Path(path), "wb") as file,
        pq.ParquetWriter(
            file, SCHEMA, compression="snappy", use_dictionary=dictionaries, column_encoding=DELTAS
        ) as writer,
        ThreadPoolExecutor(1) as ahead,
    ):
        coming = ahead.submit(next, dump, None)
        while (batch := coming.result()) is not None:
            coming = ahead.submit(next, dump, None)
            writer.write_batch(batch, row_group_size=ROW_GROUP)
            done += batch.num_rows
            if progress is not None:
                progress(done, rows)
    return dump.counts


def _boxes(rows: npt.NDArray[np.void], feature: npt.NDArray[np.int16]) -> dict[str, pa.Array]:
    """Where the feature of a row lies at the width that its window has, in whole px of the page."""
    page, there = rows["page"].astype(np.intp), feature >= 0
    width = np.searchsorted(BUCKET_EDGES, rows["viewport_w"], "right")
    # the bar's features come first on every page, its own behind them
    of_page = np.where(feature < len(site.BAR), np.maximum(feature, 0), feature - 6 * page)
    edges = np.rint(site.boxes()).astype(np.int16)[page, width, of_page]
    sides = (edges[:, 0], edges[:, 2], edges[:, 1] - edges[:, 0], edges[:, 3] - edges[:, 2])
    return {name: array(np.ascontiguousarray(side), there) for name, side in zip(BOX, sides, strict=True)}


def array(
    values: npt.NDArray[Any], there: npt.NDArray[np.bool_] | None = None, kind: pa.DataType | None = None
) -> pa.Array:
    """An Arrow array of ``values`` (or of their bits as ``kind``); null where not ``there``."""
    values = np.ascontiguousarray(values)
    bitmap = None if there is None else pa.py_buffer(np.packbits(there, bitorder="little"))
    return pa.Array.from_buffers(kind or pa.from_numpy_dtype(values.dtype), len(values), [bitmap, pa.py_buffer(values)])


def words(codes: npt.NDArray[Any], values: Any, there: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """A dictionary array of ``codes`` into ``values``."""
    dictionary = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    return pa.DictionaryArray.from_arrays(array(codes, there), dictionary)


def _day(start: str) -> date:
    try:
        return date.fromisoformat(start)
    except ValueError:
        raise UsageError(
            "the first day cannot be read", code="HG1701", where="start", value=start, expected="YYYY-MM-DD"
        ) from None


def _check(rows: int, sessions: int, days: int) -> None:
    for name, value, least, most in (
        ("rows", rows, 1, 2**40),
        ("days", days, 1, 10_000),
        ("sessions", sessions, 1, rows),
    ):
        if not least <= value <= most:
            raise UsageError(
                f"{name} of a demo dump is out of range", code="HG1702", where=name, value=value,
                expected=f"{least:,} to {most:,}", hint="a session has at least one row",
            )  # fmt: skip
