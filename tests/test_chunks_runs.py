"""Scans and whole runs by our own leaves and by pyarrow alone: the same batches, states, errors and ledgers."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import heatgrid as hg
from heatgrid.demo.generate import DELTAS
from heatgrid.demo.generate import write as write_dump
from heatgrid.sources import open_events, parquet
from heatgrid.sources.chunks import Chunks, Room
from heatgrid.states.store import to_bytes
from heatgrid.words.errors import InputError
from test_chunks import some_rows

ALL = 0
NONE = 1 << 62
"""FROM_ROWS: every file is for the leaves, or none."""


# ---- the memory of a worker, used again


KEPT: dict[str, tuple[Callable[[pa.Array], Any], Callable[[Any], bytes]]] = {
    "the array": (lambda a: a, lambda a: a.buffers()[1].to_pybytes()),
    "its validity": (lambda a: a.is_valid(), lambda a: a.buffers()[1].to_pybytes()),
    "a slice": (lambda a: a.slice(50), lambda a: bytes(a.buffers()[1])),
    "the bits": (lambda a: a.buffers()[0], lambda b: b.to_pybytes()),
    "the values": (lambda a: a.buffers()[1], lambda b: b.to_pybytes()),
    "what NumPy sees": (lambda a: np.frombuffer(a.buffers()[1], np.int64)[10:], lambda v: v.tobytes()),
    "a batch": (lambda a: pa.RecordBatch.from_arrays([a], ["a"]).slice(3), lambda b: b["a"].buffers()[1].to_pybytes()),
}
"""What a consumer may keep of an array, and its bytes."""


@pytest.mark.parametrize("kept", KEPT)
def test_what_is_kept_of_an_array_is_never_written_again(tmp_path: Path, kept: str) -> None:
    """Fails if ``lend`` gives memory that somebody still looks at, or what is lent does not hold it."""
    path = tmp_path / "a.parquet"
    rng = random.Random(kept)
    pq.write_table(some_rows(2_000).select(["none", "x", "width", "time", "word"]), path, row_group_size=100)
    keep, look = KEPT[kept]
    room = Room()
    with pq.ParquetFile(path) as opened:
        some = Chunks(opened.metadata, opened.schema_arrow, str(path), ["none", "x", "width", "time", "word"], ["word"])
    held: list[tuple[Any, bytes]] = []
    for group in [*range(20)] * 5:
        for name in ("none", "x"):
            thing = keep(some.decode(room, group)[name])
            held.append((thing, look(thing)))
            del thing
            if rng.random() < 0.5:
                held.pop(rng.randrange(len(held)))
    assert len(held) > 50
    assert all(look(thing) == before for thing, before in held)


def test_memory_comes_back_and_is_bounded() -> None:
    """Fails if ``lend`` never uses memory again, or keeps some for each length of a row group."""
    room = Room()
    places = set()
    for size in range(100_000, 160_000, 100):
        array = pa.py_buffer(room.lend(size))
        places.add(array.address)
        assert array.size == size
        del array
    assert len(places) <= 2
    held = [room.lend(5_000) for _ in range(3)]
    assert len({view.ctypes.data for view in held}) == 3
    assert len(room.lend(0)) == 0


@pytest.mark.parametrize("threads", [1, 4])
def test_batches_of_a_scan_stay_what_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """Fails if workers share a room, or a batch is written again while a consumer holds it."""
    monkeypatch.setattr(parquet, "FROM_ROWS", ALL)
    paths = []
    for number in range(3):
        table = some_rows(30_000)
        paths.append(tmp_path / f"{number}.parquet")
        pq.write_table(table, paths[-1], row_group_size=700)
    events = open_events(paths, map={"x": "x", "page": "word"})
    columns = ["time", "x", "y", "page", "small", "width", "id"]
    kept = list(events.scan(columns, threads=threads))
    monkeypatch.setattr(parquet, "FROM_ROWS", NONE)
    want = list(events.scan(columns, threads=1))
    assert [(c.rank, c.row) for c in kept] == [(c.rank, c.row) for c in want]
    for mine, other in zip(kept, want, strict=True):
        assert mine.batch.schema == other.batch.schema
        assert plainly(mine.batch).equals(plainly(other.batch))


def plainly(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch without dictionaries."""
    columns = [c.cast(pa.string()) if pa.types.is_dictionary(c.type) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def test_a_scan_takes_the_leaves_for_large_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if FROM_ROWS is not asked, or large files are pyarrow's again."""
    path = tmp_path / "a.parquet"
    pq.write_table(some_rows(1_000), path, row_group_size=300)
    taken: list[list[str]] = []
    decode = Chunks.decode

    def watched(self: Chunks, room: Room, group: int) -> dict[str, pa.Array]:
        found = decode(self, room, group)
        taken.append(sorted(found))
        return found

    monkeypatch.setattr(Chunks, "decode", watched)
    for rows, groups in ((1_001, 0), (1_000, 4)):
        monkeypatch.setattr(parquet, "FROM_ROWS", rows)
        found = list(open_events(path, map={"page": "word"}).scan(["time", "x", "page"], threads=1))
        assert sum(c.batch.num_rows for c in found) == 1_000
        assert taken == [["time", "word", "x"]] * groups


# ---- whole runs


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo dump in six row groups, with the encodings that the demo gives it."""
    path = tmp_path_factory.mktemp("dump") / "dump.parquet"
    write_dump(path, 300_000, seed=3, sessions=6_000)
    table = pq.read_table(path)
    plain = [*DELTAS, "x", "y"]
    words = [name for name in table.column_names if name not in plain]
    pq.write_table(table, path, row_group_size=50_000, use_dictionary=words, column_encoding=DELTAS)
    return path


PLAN: dict[str, Any] = {
    "maps": ("clicks", "moves"),
    "by": ("device", "country"),
    "every": "day",
    "distinct": ("users",),
}


def run(path: Path, threads: int = 2, **options: Any) -> hg.Heat:
    return hg.run(hg.read(path, **options), threads=threads, **PLAN)


@pytest.mark.parametrize(
    ("where", "threads"),
    [(None, 2), ("country != 'DE' and viewport_w < 900", 2), ("time >= '2026-09-20T00:00:00Z'", 2)],
)
def test_a_run_is_the_same_by_either_reader(
    dump: Path, monkeypatch: pytest.MonkeyPatch, where: str | None, threads: int
) -> None:
    """Fails if a value, a null or a type differs anywhere in a dump."""
    monkeypatch.setattr(parquet, "FROM_ROWS", ALL)
    mine = run(dump, threads, where=where)
    monkeypatch.setattr(parquet, "FROM_ROWS", NONE)
    other = run(dump, threads, where=where)
    assert to_bytes(mine.state) == to_bytes(other.state)
    assert mine.ledger == other.ledger
    assert mine.ledger.read == 300_000


def spoiled(path: Path, folder: Path, group: int, column: str, back: int) -> Path:
    """The file with the first data page of a column chunk overwritten, ``back`` bytes into it."""
    with pq.ParquetFile(path) as file:
        index = file.schema_arrow.names.index(column)
        chunk = file.metadata.row_group(group).column(index)
        at = chunk.data_page_offset
    data = bytearray(path.read_bytes())
    data[at + back : at + back + 40] = b"\xff" * 40
    out = folder / "spoiled.parquet"
    out.write_bytes(data)
    return out


@pytest.mark.parametrize(("column", "back"), [("time", 0), ("x", 45), ("page", 60)])
def test_a_damaged_row_group_is_told_and_left_out_alike(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str, back: int
) -> None:
    """Fails if the leaves decode what pyarrow refuses, or their -1 is an error of its own."""
    path = spoiled(dump, tmp_path, 2, column, back)
    told, states = [], []
    for rows in (ALL, NONE):
        monkeypatch.setattr(parquet, "FROM_ROWS", rows)
        with pytest.raises(InputError) as caught:
            run(path)
        told.append((caught.value.code, caught.value.where, caught.value.value))
        heat = run(path, on_error="skip")
        states.append((to_bytes(heat.state), heat.ledger))
    assert told[0] == told[1]
    assert told[0][:2] == ("HG2205", f"{path}, row group 2")
    assert states[0] == states[1]
    assert states[0][1].read < 300_000
