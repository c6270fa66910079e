"""Parquet and Arrow files: every row accounted for, in order, whatever the threads, the filter or the damage."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from heatgrid.sources import open_events, parquet
from heatgrid.sources.events import Events
from heatgrid.sources.parts import SLICE
from heatgrid.sources.pool import ahead
from heatgrid.words.errors import InputError, UsageError
from heatgrid.words.events import Chunk

START = 1_714_521_600_000_000


def dump(rows: int, seed: int = 0, start: int = START) -> pa.Table:
    """Events in the order of time with the columns of a real dump."""
    rng = np.random.default_rng(seed)

    def words(names: list[str], nulls: float = 0.0) -> pa.Array:
        picks = pa.array(rng.integers(0, len(names), rows).astype("i4"), mask=rng.random(rows) < nulls)
        return pa.DictionaryArray.from_arrays(picks, pa.array(names)).cast(pa.string())

    return pa.table(
        {
            "timestamp": pa.array(start + np.cumsum(rng.integers(0, 90_000, rows)), pa.timestamp("us")),
            "session_id": words([f"s{i:05}" for i in range(max(1, rows // 20))]),
            "page": words(["/", "/pricing", "/docs"]),
            "kind": words(["click", "move", "pageview"]),
            "x": pa.array(rng.integers(0, 1400, rows).astype("i2")),
            "y": pa.array(rng.random(rows) * 4000, mask=rng.random(rows) < 0.01),
            "viewport_width": pa.array(rng.choice([390, 1440], rows).astype("i2")),
            "feature": words(["buy", "help", "menu"], nulls=0.5),
            "country": words(["DE", "FR", "NA"], nulls=0.1),
        }
    )


def write(path: Path, table: pa.Table, group: int = 1_000, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group, **options)
    return path


def chunks(events: Events, columns: list[str] | None = None, threads: int = 2) -> list[Chunk]:
    return list(events.scan(columns or list(events.columns), threads=threads))


def rows_of(found: list[Chunk]) -> list[dict[str, Any]]:
    return [row for chunk in found for row in chunk.batch.to_pylist()]


def plain(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a dump under canonical names, made without the code under test."""
    names = {"timestamp": "time", "session_id": "session", "viewport_width": "viewport_w"}
    table = table.set_column(0, "timestamp", table["timestamp"].cast(pa.timestamp("us", "UTC")))
    return table.rename_columns([names.get(name, name) for name in table.column_names]).to_pylist()


COLUMNS = ["time", "session", "page", "kind", "x", "y", "viewport_w", "feature", "country"]


def test_every_row_arrives_once_in_order(tmp_path: Path) -> None:
    tables = [dump(2_500, seed) for seed in range(3)]
    for number, table in enumerate(tables):
        write(tmp_path / f"part-{number}.parquet", table, 700)
    events = open_events(tmp_path)
    assert events.rows_hint == 7_500
    assert events.files == [str(tmp_path / f"part-{n}.parquet") for n in range(3)]
    assert dict(events.mapping())["session"] == "session_id"
    found = chunks(events, COLUMNS)
    assert rows_of(found) == [row for table in tables for row in plain(table)]
    assert [(c.rank, c.row) for c in found] == sorted((c.rank, c.row) for c in found)
    for rank in range(3):
        at = 0
        for chunk in found:
            if chunk.rank == rank:
                assert chunk.row == at
                assert chunk.read == chunk.batch.num_rows
                at += chunk.read
        assert at == 2_500
    assert found[0].batch.schema.field("time").type == pa.timestamp("us", "UTC")
    assert events.time_unit == "us"
    for name in ("session", "page", "feature", "country"):
        assert pa.types.is_dictionary(found[0].batch.schema.field(name).type)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_threads_change_nothing(tmp_path: Path, threads: int) -> None:
    for number in range(4):
        write(tmp_path / f"{number}.parquet", dump(900, number), 200)
    one = chunks(open_events(tmp_path), COLUMNS, 1)
    many = chunks(open_events(tmp_path), COLUMNS, threads)
    assert [(c.rank, c.row, c.read, c.batch.to_pylist()) for c in one] == [
        (c.rank, c.row, c.read, c.batch.to_pylist()) for c in many
    ]


def test_long_row_groups_come_in_slices_that_share_a_dictionary(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", dump(300_000), 300_000)
    found = chunks(open_events(tmp_path / "a.parquet"), ["time", "session"])
    assert [c.batch.num_rows for c in found] == [SLICE, SLICE, 300_000 - 2 * SLICE]
    places = {c.batch["session"].dictionary.buffers()[2].address for c in found}
    assert len(places) == 1


def test_only_what_is_asked_for_is_there(tmp_path: Path) -> None:
    events = open_events(write(tmp_path / "a.parquet", dump(50)))
    (chunk,) = chunks(events, ["time", "x", "scroll_y", "country"])
    assert chunk.batch.schema.names == ["time", "x", "country"]
    with pytest.raises(InputError, match="did you mean 'country'"):
        chunks(events, ["time", "contry"])


PREDICATES = [
    "x < 100",
    "timestamp >= '2024-05-01T00:00:40Z'",
    "time between '2024-05-01T00:00:10Z' and '2024-05-01T00:00:20Z' and country != 'DE'",
    "feature is null",
    "not (feature = 'buy' or y > 100)",
    "country in ('NA', 'XX') or x = 5",
    "country is not null and x >= 1e9",
    "session_id like 's0000%'",
]


@pytest.mark.parametrize("source", PREDICATES)
@pytest.mark.parametrize("statistics", [True, False])
def test_filters_pushed_down_give_what_filters_after_reading_give(
    tmp_path: Path, source: str, statistics: bool
) -> None:
    table = dump(3_000, 5)
    table = table.append_column("wide", table["x"].cast(pa.int64()))
    path = write(tmp_path / "a.parquet", table, 250, write_statistics=statistics)
    events = open_events(path, where=source)
    found = chunks(events, COLUMNS)
    after = chunks(open_events(table, where=source), COLUMNS)
    assert rows_of(found) == rows_of(after)
    assert sum(c.read for c in found) == 3_000
    assert [c.row for c in found] == list(range(0, 3_000, 250))


def test_row_groups_that_cannot_match_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", dump(2_000), 100)
    decoded: list[int] = []
    read = pq.ParquetFile.read_row_group

    def watched(self: pq.ParquetFile, index: int, **options: Any) -> pa.Table:
        decoded.append(index)
        return read(self, index, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", watched)
    last = pc.max(dump(2_000)["timestamp"]).as_py()
    found = chunks(open_events(path, where=f"time >= '{last.isoformat()}'"), COLUMNS)
    assert decoded == [19]
    assert sum(c.read for c in found) == 2_000
    assert sum(c.batch.num_rows for c in found) == 1
    assert found[0].batch.num_rows == 0
    assert found[0].batch.schema.names == COLUMNS


def test_nan_in_a_skipped_looking_group_is_kept(tmp_path: Path) -> None:
    """Statistics leave NaN out: ``not y < 5`` is true for it."""
    table = pa.table({"time": pa.array([START, START], pa.timestamp("us")), "y": [1.0, float("nan")]})
    events = open_events(write(tmp_path / "a.parquet", table), where="not y < 5")
    assert len(rows_of(chunks(events))) == 1


def test_an_enormous_row_group_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = dump(200_000)
    path = write(tmp_path / "a.parquet", table, 200_000)
    held = rows_of(chunks(open_events(path, where="x < 5"), COLUMNS))
    monkeypatch.setattr(parquet, "_WHOLE_BYTES", 1)
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", None)
    found = chunks(open_events(path, where="x < 5"), COLUMNS)
    assert rows_of(found) == held
    assert [c.row for c in found] == [0, SLICE]
    assert sum(c.read for c in found) == 200_000


def test_work_ahead_is_bounded_and_in_order() -> None:
    lock = threading.Lock()
    alive = peak = 0

    def work(number: int) -> int:
        nonlocal alive, peak
        with lock:
            alive += 1
            peak = max(peak, alive)
        time.sleep(0.002)
        return number

    tasks: Iterator[tuple[int, Callable[[], int]]] = ((n, lambda n=n: work(n)) for n in range(50))  # type: ignore[misc]
    for key, result in ahead(tasks, 3):
        assert result() == key
        with lock:
            assert alive <= 4
            alive -= 1
    assert peak > 1


def test_a_consumer_that_stops_leaves_nothing_open(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / f"{number}.parquet", dump(500, number), 50)
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    scan = open_events(tmp_path).scan(COLUMNS, threads=3)
    next(scan)
    next(scan)
    scan.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("heatgrid-")]
    if before:
        assert set(os.listdir("/proc/self/fd")) <= before


def test_many_files_do_not_stay_open(tmp_path: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("open files are counted in /proc")
    table = dump(20)
    for number in range(60):
        write(tmp_path / f"{number:02}.parquet", table)
    events = open_events(tmp_path)
    base = len(os.listdir("/proc/self/fd"))
    most = max(len(os.listdir("/proc/self/fd")) for _ in events.scan(COLUMNS, threads=2))
    assert most - base <= 16


def test_two_scans_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    events = open_events(write(tmp_path / "a.parquet", dump(2_000), 100))
    first = events.scan(["time", "x"], threads=2)
    head = next(first)
    whole = rows_of(chunks(events, ["time", "session"]))
    rest = [head, *first]
    assert len(whole) == sum(c.batch.num_rows for c in rest) == 2_000


def test_files_are_read_in_time_and_ranked_by_path(tmp_path: Path) -> None:
    for name, day in (("a", 2), ("b", 0), ("c", 1)):
        write(tmp_path / f"{name}.parquet", dump(300, day, START + day * 86_400_000_000), 100)
    events = open_events(tmp_path)
    found = chunks(events, COLUMNS)
    assert [c.rank for c in found] == [1, 1, 1, 2, 2, 2, 0, 0, 0]
    times = pa.concat_arrays([c.batch["time"] for c in found]).to_pylist()
    assert times == sorted(times)
    ranges = events.time_ranges()
    assert ranges[1] is not None
    assert ranges[1][0] == pc.min(dump(300, 0)["timestamp"].cast(pa.int64())).as_py()


def test_files_that_share_their_time_stay_in_the_order_of_paths(tmp_path: Path) -> None:
    """Parts of a dump sorted by session: sorting them by time would tear sessions apart."""
    write(tmp_path / "a.parquet", dump(300, 1, START + 1_000_000))
    write(tmp_path / "b.parquet", dump(300, 2, START))
    assert [c.rank for c in chunks(open_events(tmp_path))] == [0, 1]


def test_folder_keys_are_columns_and_prune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for country in ("DE", "FR%20", "__HIVE_DEFAULT_PARTITION__"):
        write(tmp_path / f"land={country}" / "a.parquet", dump(100).drop(["country"]))
    found = chunks(open_events(tmp_path), ["time", "land"])
    assert sorted({row["land"] for row in rows_of(found)}, key=str) == ["DE", "FR ", None]
    events = open_events(str(tmp_path / "**" / "*.parquet"), where="land = 'DE'")
    read = []
    original = pq.ParquetFile.read_row_group

    def watched(self: pq.ParquetFile, index: int, **options: Any) -> pa.Table:
        read.append(index)
        return original(self, index, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", watched)
    found = chunks(events, ["time", "x"])
    assert sum(c.read for c in found) == 300
    assert len(rows_of(found)) == 100
    assert len(read) == 1


def test_files_may_differ_in_columns_and_types(tmp_path: Path) -> None:
    table = dump(10)
    write(tmp_path / "a.parquet", table.drop(["country"]))
    changed = table.set_column(4, "x", table["x"].cast(pa.float64()))
    changed = changed.set_column(2, "page", pa.array(range(10)))
    seconds = changed["timestamp"].cast(pa.timestamp("ms"), safe=False).cast(pa.timestamp("ms", "UTC"))
    write(tmp_path / "b.parquet", changed.set_column(0, "timestamp", seconds))
    events = open_events(tmp_path)
    found = chunks(events, COLUMNS)
    assert {c.batch.schema.field("time").type for c in found} == {pa.timestamp("us", "UTC")}
    assert found[0].batch["country"].null_count == 10
    assert found[0].batch.schema.names == found[1].batch.schema.names
    assert found[1].batch["x"].to_pylist() == table["x"].to_pylist()
    assert found[1].batch["page"].to_pylist() == list(range(10))
    assert any("viewport_w = viewport_width" in note for note in events.notes)


def test_nested_fields_by_their_path(tmp_path: Path) -> None:
    inner = pa.StructArray.from_arrays([pa.array(["/a", None, "/b"]), pa.array([1, 2, 3])], ["page_location", "other"])
    table = pa.table(
        {
            "ts": pa.array([START, START, START], pa.timestamp("us", "UTC")),
            "params": pa.array(inner.to_pylist(), inner.type, mask=np.array([False, False, True])),
        }
    )
    path = write(tmp_path / "a.parquet", table)
    for source in (path, table):
        events = open_events(
            source, map={"page": "params.page_location"}, where="params.other >= 1 or params.other is null"
        )
        assert [row["page"] for row in rows_of(chunks(events))] == ["/a", None, None]
        assert [row["params.other"] for row in rows_of(chunks(events, ["time", "params.other"]))] == [1, 2, None]
    with pytest.raises(InputError, match=r"did you mean 'params\.page_location'"):
        open_events(path, map={"page": "params.page_loc"})


def test_bytes_are_text_and_what_is_no_text_is_rejected(tmp_path: Path) -> None:
    """ClickHouse writes strings as bytes; a broken one costs its row, not the file."""
    for dictionary in (True, False):
        table = pa.table(
            {
                "time": pa.array([START] * 4, pa.timestamp("us")),
                "session": pa.array([b"a", b"\xff\xfe", None, "é".encode()], pa.binary()),
            }
        )
        events = open_events(write(tmp_path / "a.parquet", table, use_dictionary=dictionary))
        (chunk,) = chunks(events)
        assert chunk.batch["session"].to_pylist() == ["a", None, "é"]
        assert chunk.rejected == {"decode": 1}
        assert chunk.read == 4
        (chunk,) = chunks(open_events(tmp_path / "a.parquet", where="session in ('a', 'é')"))
        assert chunk.batch["session"].to_pylist() == ["a", "é"]
        assert chunk.rejected == {}


def test_arrow_files_and_streams(tmp_path: Path) -> None:
    table = dump(2_500)
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=700)
    with pa.ipc.new_stream(tmp_path / "b.arrows", table.schema) as writer:
        writer.write_table(table, max_chunksize=700)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(tmp_path / "c.feather", table.schema, options=options) as writer:
        writer.write_table(table)
    for name in ("a.arrow", "b.arrows", "c.feather"):
        for _ in range(2):
            found = chunks(open_events(tmp_path / name), COLUMNS)
            assert rows_of(found) == plain(table)
            assert sum(c.read for c in found) == 2_500


# ---- damage ----


def test_a_truncated_file_of_many_is_named_or_skipped(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / f"{number}.parquet", dump(300, number), 100)
    broken = tmp_path / "2.parquet"
    data = broken.read_bytes()
    broken.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"2\.parquet") as caught:
        open_events(tmp_path)
    assert caught.value.code == "HG2205"
    events = open_events(tmp_path, on_error="skip")
    assert events.skipped == [str(broken)]
    assert any("2.parquet" in note for note in events.notes)
    assert sum(c.read for c in chunks(events)) == 1_200


def test_a_damaged_row_group_is_named_or_ends_its_file(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.parquet", dump(3_000, number), 500, compression="zstd")
    broken = tmp_path / "1.parquet"
    start = pq.read_metadata(broken).row_group(3).column(0).data_page_offset
    data = bytearray(broken.read_bytes())
    data[start : start + 400] = bytes(400)
    broken.write_bytes(bytes(data))
    for threads in (1, 4):
        with pytest.raises(InputError, match=r"1\.parquet, row group 3"):
            chunks(open_events(tmp_path), threads=threads)
        events = open_events(tmp_path, on_error="skip")
        for _ in range(2):
            found = chunks(events, threads=threads)
            assert sum(c.read for c in found) == 3_000 + 1_500 + 3_000
            assert events.skipped == [str(broken)]
            assert len([n for n in events.notes if "after 1,500 rows" in n]) == 1


def flips(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        yield bytes(changed) if rng.random() < 0.8 else bytes(changed[: rng.randrange(1, len(changed))])


@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrows"])
def test_flipped_bits_are_an_error_or_other_values_never_a_crash(tmp_path: Path, kind: str) -> None:
    table = dump(400, 3)
    table = table.set_column(2, "page", pc.dictionary_encode(table["page"]))
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        write(path, table, 200)
    else:
        new = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with new(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=200)
    good = 0
    errors: list[InputError] = []
    whole = path.read_bytes()
    tail = len(whole) - 5_000
    footers = (whole[:tail] + data for data in flips(whole[tail:], 150, 2))
    for data in (*flips(whole, 150, 7), *footers):
        path.write_bytes(data)
        try:
            events = open_events(path, where="page != '/x' or page is null")
            for chunk in events.scan(["time", "session", "page", "x", "y"], threads=2):
                chunk.batch.to_pydict()
            good += 1
        except UsageError as error:
            assert error.code == "HG1211", "only a column whose name was hit"  # noqa: PT017
        except InputError as error:
            errors.append(error)
    assert 0 < good < 300
    assert all(str(path) in str(error) and error.code.startswith("HG22") for error in errors)


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", dump(600), 100)
    events = open_events(path)
    scan = events.scan(COLUMNS, threads=2)
    next(scan)
    os.utime(path, ns=(1, 1))
    with pytest.raises(InputError, match="changed while it was read") as caught:
        list(scan)
    assert caught.value.code == "HG2206"
    text = tmp_path / "a.csv"
    text.write_text("time,session\n2024-05-01,a\n")
    events = open_events(text)
    text.write_text("time,session\n2024-05-01,a\n2024-05-01,a\n")
    with pytest.raises(InputError, match="changed while it was read"):
        chunks(events)


def test_nothing_matched_and_nothing_in_it(tmp_path: Path) -> None:
    for source in (tmp_path, str(tmp_path / "*.parquet")):
        with pytest.raises(InputError) as caught:
            open_events(source)
        assert caught.value.code == "HG2202"
    write(tmp_path / "events.parquet", dump(0))
    with pytest.raises(InputError, match=r"did you mean 'events\.parquet'") as caught:
        open_events(tmp_path / "event.parquet")
    assert caught.value.code == "HG2201"
    (tmp_path / ".hidden").touch()
    with pytest.raises(InputError, match=r"choose one of 'events\.parquet'$"):
        open_events(tmp_path / "zzz")
    events = open_events(tmp_path)
    assert events.rows_hint == 0
    assert rows_of(chunks(events, COLUMNS)) == []
    (tmp_path / "no").mkdir()
    (tmp_path / "no" / "notes.parquet").write_text("these are no events")
    with pytest.raises(InputError, match=r"notes\.parquet"):
        open_events(tmp_path / "no")


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", dump(10))
    events = open_events([tmp_path, path, str(path)])
    assert sum(c.read for c in chunks(events)) == 10
    assert any("read once" in note for note in events.notes)


def test_names_lie_and_first_bytes_do_not(tmp_path: Path) -> None:
    path = write(tmp_path / "events", dump(10))
    assert sum(c.read for c in chunks(open_events(path))) == 10
    (tmp_path / "noise").write_bytes(b"\x00\x01\x02\x03" * 50)
    with pytest.raises(InputError, match="not known") as caught:
        open_events(tmp_path / "noise")
    assert caught.value.code == "HG2204"


def test_real_files(data_dir: Path) -> None:
    """Rows, types and the first mapping of the real samples, against Arrow itself."""
    mouse = data_dir / "deviz_mouse_track" / "mouse_track.parquet"
    events = open_events(mouse, where="pressed = 'True'")
    assert events.columns == {"time": "date", "kind": "type", "x": "x", "y": "y"}
    found = chunks(events)
    assert sum(c.read for c in found) == 14_251
    assert sum(c.batch.num_rows for c in found) == 79
    web = open_events(data_dir / "iweb_map_clicks" / "mouse_actions.parquet", map={"session": "trial"})
    assert web.columns["x"] == "px"
    found = chunks(web, ["time", "session", "x", "y", "typ"])
    assert sum(c.batch.num_rows for c in found) == 5_029
    flights = open_events(data_dir / "vega_flights_3m" / "flights-3m.parquet", map={"x": "delay", "y": "distance"})
    total = delays = 0
    for chunk in flights.scan(["time", "x", "origin"], threads=2):
        total += chunk.read
        delays += pc.sum(chunk.batch["x"]).as_py()
        assert pa.types.is_dictionary(chunk.batch.schema.field("origin").type)
    assert total == 3_000_000
    assert delays == pc.sum(pq.read_table(flights.files[0], columns=["delay"])["delay"]).as_py()


@pytest.mark.parametrize("own", [True, False], ids=["our leaves", "pyarrow"])
@pytest.mark.parametrize("coded", [True, False])
def test_times_stored_as_text_are_not_bounded_by_their_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool, coded: bool
) -> None:
    """Fails if a footer's least and greatest text are taken for the least and greatest time, of row groups or of the
    file: rows were lost without a word. The truth is Python's own calendar."""
    monkeypatch.setattr(parquet, "FROM_ROWS", 0 if own else 1 << 62)
    words = ["2024-05-01T23:00:00-05:00", "2024-05-02T00:30:00+05:00", "2024-05-02T01:00:00Z", "2024-05-02 05:00:00"]
    words += ["20 May", "2024-05-02 05:00", "2024-05-02T23:00:00.5-05:00", "2024-05-03T00:30+05:00"]
    texts = [word for word in words for _ in range(8)]
    table = pa.table({"time": texts, "x": pa.array(range(len(texts)), pa.int32()), "page": ["/a"] * len(texts)})
    whole = write(tmp_path / "a.parquet", table, 24, use_dictionary=coded)

    def instant(word: str) -> datetime | None:
        try:
            there = datetime.fromisoformat(word)
        except ValueError:
            return None
        return there if there.tzinfo else there.replace(tzinfo=UTC)

    instants = [instant(word) for word in texts]
    for day, hour in ((1, 18), (1, 20), (2, 0), (2, 4), (2, 5), (3, 3), (3, 5)):
        limit = datetime(2024, 5, day, hour, tzinfo=UTC)
        said = f"'2024-05-0{day} {hour:02}:00:00'"
        wants = {
            f"time < {said}": [i for i, at in enumerate(instants) if at is not None and at < limit],
            f"time >= {said} and x < 60": [i for i, at in enumerate(instants) if at and at >= limit and i < 60],
            f"not time >= {said}": [i for i, at in enumerate(instants) if at is not None and at < limit],
            "time is null": [i for i, at in enumerate(instants) if at is None],
        }
        for where, want in wants.items():
            events = open_events(whole, where=where)
            assert [row["x"] for row in rows_of(chunks(events, ["time", "x"]))] == want, where
    good = write(tmp_path / "b.parquet", table.slice(0, 24), 24, use_dictionary=coded)
    assert open_events(good).time_ranges() == [None]


def test_a_folder_that_is_the_time_is_compared_as_a_time(tmp_path: Path) -> None:
    """Fails if the folder's text is compared with the literal's: '2024-05-02' is less than '2024-05-02 00:00:00'."""
    for day in (1, 2):
        write(tmp_path / f"time=2024-05-0{day}" / "a.parquet", pa.table({"x": [day, day], "page": ["/a", "/b"]}))
    found = chunks(open_events(tmp_path, where="time >= '2024-05-02 00:00:00'"), ["time", "x"])
    assert [row["x"] for row in rows_of(found)] == [2, 2]
