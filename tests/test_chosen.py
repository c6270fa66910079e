"""A where applied before other columns are decoded: the same rows and states as by decoding all and dropping."""

from __future__ import annotations

import itertools
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heatgrid as hg
from heatgrid.cpu import chosen as leaves
from heatgrid.demo.generate import write as write_dump
from heatgrid.engine import points
from heatgrid.sources import open_events, parquet
from heatgrid.sources.chosen import Chosen
from heatgrid.sources.chunks import Chunks, Room, chosen_rows
from heatgrid.states.store import to_bytes
from heatgrid.words.errors import Cancelled, InputError
from parquet_twice import GuardedRoom, identical, texts
from test_chunks import everything, odd_columns

OURS = 0
PYARROW = 1 << 62


@pytest.fixture(autouse=True)
def _ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "FROM_ROWS", OURS)


# ---- the leaves: rows taken from pages are rows taken from what pyarrow reads


def bits_of(rows: np.ndarray) -> np.ndarray:
    out = np.zeros(len(rows) // 64 + 2, np.uint64)
    packed = np.packbits(rows, bitorder="little")
    out.view(np.uint8)[: len(packed)] = packed
    return out


def patterns(rows: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    one = np.zeros(rows, bool)
    one[rows - 1 if seed % 2 else rows // 2] = True
    return {
        "few": rng.random(rows) < 0.02, "half": rng.random(rows) < 0.5, "all": np.ones(rows, bool), "one": one,
        "the end": np.arange(rows) >= rows - 70, "stretches": np.repeat(rng.random(rows // 97 + 1) < 0.2, 97)[:rows],
    }  # fmt: skip


def taken(path: Path, room: Any, seed: int) -> int:
    """Every chunk that the leaves know, at every pattern of rows, against pyarrow; how many that were."""
    found = 0
    with pq.ParquetFile(path) as file, path.open("rb", buffering=0) as raw:
        chunks = Chunks(file.metadata, file.schema_arrow, str(path), file.schema_arrow.names, texts(file))
        for group in range(file.num_row_groups):
            for name in chunks.columns:
                if chunks.load(room, raw.fileno(), group, name) is None:
                    continue
                whole = chunks.decode(room, group).get(name)
                loaded = chunks.load(room, raw.fileno(), group, name)
                assert loaded is not None
                for rows in patterns(loaded.rows, seed).values():
                    n = int(rows.sum())
                    if n == 0:
                        continue
                    words = whole.dictionary if whole is not None and loaded.column.text else None
                    mine = chosen_rows(room, loaded, bits_of(rows), n, words)
                    assert (mine is None) <= (whole is None)
                    if whole is None or mine is None:
                        continue
                    mine.validate(full=True)
                    want = whole.filter(pa.array(rows))
                    assert identical(mine, want.cast(pa.string()) if loaded.column.text else want)
                    found += 1
    return found


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize(
    "options",
    [{"dictionary_pagesize_limit": 1 << 20}, {"dictionary_pagesize_limit": 100}, {"use_dictionary": False},
     {"use_dictionary": False, "delta": True}],
    ids=["dictionary", "falling back", "plain", "delta"],
)  # fmt: skip
@pytest.mark.parametrize("tiny", [True, False])
def test_chosen_rows_of_every_type_and_coding(
    tmp_path: Path, version: str, options: dict[str, Any], tiny: bool
) -> None:
    """Fails with any loop of chosen.py: ranks among nulls, runs passed over, the end of a word, a page left out."""
    table = everything(1_100, 5)
    options = dict(options)
    if options.pop("delta", False):
        whole = [name for name in table.column_names if name.split("-")[0].startswith(("int", "uint", "time"))]
        options["column_encoding"] = dict.fromkeys(whole, "DELTA_BINARY_PACKED")
    sizes: dict[str, Any] = {"data_page_size": 60, "write_batch_size": 37} if tiny else {}
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression="snappy", data_page_version=version, version="2.6", **sizes, **options)
    assert taken(path, Room(), 3) > 200


@settings(max_examples=40, deadline=None)
@given(odd_columns(), st.integers(0, 9), st.booleans())
def test_chosen_rows_of_odd_pages(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, seed: int, front: bool
) -> None:
    """Fails where a leaf reads or writes beyond its arrays (guard pages), or trusts how writers cut runs."""
    path = tmp_path_factory.mktemp("odd") / "a.parquet"
    path.write_bytes(data)
    room = GuardedRoom()
    room.front = front
    taken(path, room, seed)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_members_of_a_dictionary(data: st.DataObject) -> None:
    """Fails if a width is not what a load gives, a null is taken for an entry, or an index beyond is not seen."""
    entries = data.draw(st.sampled_from([1, 2, 3, 16, 63, 64, 65, 200, 1_000]))
    rows = data.draw(st.sampled_from([1, 8, 63, 64, 65, 500]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    nulls = data.draw(st.sampled_from([0.0, 0.3, 1.0]))
    picks = rng.integers(0, entries, rows)
    if data.draw(st.booleans()):
        picks = np.sort(picks)
    gone = rng.random(rows) < nulls
    words = pa.array([f"w{k}" for k in range(entries)])
    table = pa.table({"a": pa.DictionaryArray.from_arrays(pa.array(picks, mask=gone), words).cast(pa.string())})
    where = data.draw(st.sampled_from(["a = 'w0'", "a != 'w1'", "not a like 'w1%'", "a is null", "a is not null"]))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, data_page_size=40, write_batch_size=data.draw(st.sampled_from([5, 64, 1_000])))
    kept = same_rows(sink.getvalue().to_pybytes(), where, ["a"])
    mask = {"a = 'w0'": picks == 0, "a != 'w1'": picks != 1, "a is null": gone, "a is not null": ~gone}
    if where in mask:
        assert kept == int((mask[where] & (~gone if "null" not in where else True)).sum())


# ---- whole scans


def scanned(path: Path, where: str, columns: list[str], **options: Any) -> tuple[pa.Table, int, dict[str, int]]:
    events = open_events(str(path), where=where, **options)
    batches, read, rejected = [], 0, {}
    for chunk in events.scan(columns, threads=2):
        read += chunk.read
        for reason, n in chunk.rejected.items():
            rejected[reason] = rejected.get(reason, 0) + n
        if chunk.batch.num_rows:
            arrays = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in chunk.batch.columns]
            batches.append(pa.RecordBatch.from_arrays(arrays, names=chunk.batch.schema.names))
    return (pa.Table.from_batches(batches) if batches else pa.table({})), read, rejected


def same_rows(data: bytes, where: str, columns: list[str], **options: Any) -> int:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "a.parquet"
        path.write_bytes(data)
        found = []
        for rows in (OURS, PYARROW):
            patch.setattr(parquet, "FROM_ROWS", rows)
            found.append(scanned(path, where, columns, **options))
    (mine, *told), (other, *told_too) = found
    assert told == told_too
    assert mine.num_rows == other.num_rows
    if mine.num_rows:
        assert mine.schema.names == other.schema.names
        for one, two in zip(mine.columns, other.columns, strict=True):
            one, two = one.combine_chunks(), two.combine_chunks()
            if pa.types.is_floating(one.type):
                one, two = (a.cast(pa.float64()).view(pa.int64()) for a in (one, two))
            assert one.cast(two.type).equals(two)
    return mine.num_rows


def rows_for_predicates(rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    words = np.array(["click", "move", "", "bö", "x" * 40], object)
    number = np.where(rng.random(rows) < 0.3, np.nan, rng.integers(-3, 4, rows) / 2)
    return pa.table(
        {
            "time": pa.array(1_700_000_000_000 + rng.integers(-5, 900, rows), pa.timestamp("ms", "UTC"),
                             mask=rng.random(rows) < 0.1),
            "kind": pa.array(words[rng.integers(0, 5, rows)], mask=rng.random(rows) < 0.2),
            "page": pa.array(words[np.sort(rng.integers(0, 3, rows))]),
            "x": pa.array(number, mask=rng.random(rows) < 0.3),
            "n": pa.array(rng.integers(-5, 6, rows), pa.int16(), mask=rng.random(rows) < 0.1),
            "flag": pa.array(rng.random(rows) < 0.5, mask=rng.random(rows) < 0.2),
        }
    )  # fmt: skip


LEAVES = [
    "kind = 'click'", "kind != 'move'", "kind in ('click', '')", "kind in ('click', null)", "kind is null", "x > 0",
    "kind like '%o%'", "page = 'click'", "page < 'm'", "x != 0.5", "x = 0.5", "x is null", "n between -2 and 1",
    "n >= 2", "time >= '2023-11-14T22:13:20.400Z'", "time is null", "page is not null", "n in (1, null)",
]  # fmt: skip


@st.composite
def predicates(draw: st.DrawFn, depth: int = 3) -> str:
    shape = draw(st.sampled_from(["leaf", "and", "or", "not"])) if depth else "leaf"
    if shape == "leaf":
        return draw(st.sampled_from(LEAVES))
    if shape == "not":
        return f"not ({draw(predicates(depth - 1))})"
    return f"({draw(predicates(depth - 1))}) {shape} ({draw(predicates(depth - 1))})"


@settings(max_examples=80, deadline=None)
@given(predicates(), st.integers(0, 5), st.booleans(), st.sampled_from([40, 1 << 20]), st.sampled_from([90, 1_000]))
def test_any_predicate_lets_the_same_rows_through(where: str, seed: int, coded: bool, page: int, group: int) -> None:
    """Fails if a null is taken for false below `not`, NaN for a number, or `and` stops at what is not empty."""
    sink = pa.BufferOutputStream()
    table = rows_for_predicates(400, seed)
    pq.write_table(
        table, sink, use_dictionary=True if coded else ["kind", "page"], data_page_size=page, write_batch_size=33,
        row_group_size=group,
    )  # fmt: skip
    same_rows(sink.getvalue().to_pybytes(), where, ["time", "kind", "x", "n"])


def test_predicates_take_the_short_way(tmp_path: Path) -> None:
    """Fails if the tests above would pass because nothing is chosen early at all."""
    path = tmp_path / "a.parquet"
    pq.write_table(rows_for_predicates(400, 0), path)
    events = open_events(str(path), where="kind = 'click' and not x > 0")
    calls: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        real = Chosen.take

        def spy(self: Chosen, *args: Any) -> Any:
            calls.append(args[-1])
            return real(self, *args)

        patch.setattr(Chosen, "take", spy)
        rows = sum(chunk.batch.num_rows for chunk in events.scan(["time", "kind", "x"], threads=1))
    assert calls == [rows]
    assert 0 < rows < 100


def test_columns_that_are_pyarrows_are_taken_row_by_row(tmp_path: Path) -> None:
    """Fails if a column without a leaf (a boolean) is not cut to the chosen rows."""
    path = tmp_path / "a.parquet"
    pq.write_table(rows_for_predicates(400, 1), path)
    assert same_rows(path.read_bytes(), "kind = 'click'", ["time", "flag", "x"]) > 10


def test_text_that_is_no_number_costs_the_run_wherever_it_stands(tmp_path: Path) -> None:
    """Fails if a filter hides a wrong type: the row would be dropped, the column is wrong all the same."""
    path = tmp_path / "a.parquet"
    table = pa.table({"time": [1_700_000_000] * 4, "kind": ["a", "b", "a", "b"], "x": ["1", "no", "2", "3"]})
    pq.write_table(table, path)
    for rows, where in itertools.product((OURS, PYARROW), ("kind = 'a'", "kind like '%z%'")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parquet, "FROM_ROWS", rows)
            with pytest.raises(InputError) as caught:
                scanned(path, where, ["time", "x"])
        assert caught.value.code == "HG2213"


def test_texts_that_are_no_utf8_are_counted_alike(tmp_path: Path) -> None:
    """Fails if rows with broken names are chosen as if they could be read."""
    path = tmp_path / "a.parquet"
    words = pa.array([b"ok", b"\xff\xfe", b"ok", b"fine"] * 20).view(pa.binary())
    table = pa.table({"time": pa.array([1_700_000_000_000] * 80, pa.timestamp("ms")), "kind": words})
    schema = pa.schema([table.schema.field("time"), pa.field("kind", pa.string())])
    kind = pa.Array.from_buffers(pa.string(), 80, words.buffers())
    pq.write_table(pa.table([table["time"], kind], schema=schema), path)
    for where in ("kind = 'ok'", "kind is null", "time is not null"):
        same_rows(path.read_bytes(), where, ["time", "kind"])


def test_keys_of_folders_and_columns_that_a_file_lacks(tmp_path: Path) -> None:
    """Fails if what is one value in the whole file is looked for in its columns."""
    folder = tmp_path / "country=DE"
    folder.mkdir()
    pq.write_table(rows_for_predicates(200, 2), folder / "a.parquet")
    pq.write_table(rows_for_predicates(100, 2).drop_columns(["n"]), folder / "b.parquet")
    for where in ("country = 'DE' and kind = 'click'", "country = 'AT' or kind = 'click'", "n is null and x > 0",
                  "not (n = 1) or kind = 'move'"):  # fmt: skip
        found = []
        for rows in (OURS, PYARROW):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(parquet, "FROM_ROWS", rows)
                table, *told = scanned(tmp_path, where, ["time", "kind", "x", "country"])
                found.append((str(table.to_pydict()), told))
        assert found[0] == found[1], where


# ---- lane M: maps alone


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("points") / "demo.parquet"
    write_dump(path, 120_000)
    return path


ALONE = dict.fromkeys(("session", "user"))


@pytest.mark.parametrize("threads", [1, 6])
@pytest.mark.parametrize("cell", [8, (7.3, 512.0)])
@pytest.mark.parametrize("lacks", [(), ("viewport_w", "pointer", "page"), ("kind", "viewport_w")])
@pytest.mark.parametrize("where", [None, "x > 300 or page like '/t%'"])
def test_maps_alone_are_those_of_the_other_lanes(
    dump: Path, monkeypatch: pytest.MonkeyPatch, threads: int, cell: Any, lacks: tuple[str, ...], where: str | None
) -> None:
    """Fails if lane M counts a row, a kind, a time, a width or a cell otherwise than the lanes by blocks."""
    found = []
    for lane in ("M", "T"):
        if lane == "T":
            monkeypatch.setattr(points, "needs_of", lambda plan, needs: None)
        if where and "page" in lacks:
            where = where.replace("page", "country")
        events = hg.read(dump, map=ALONE | dict.fromkeys(lacks), where=where)
        heat = hg.run(events, maps=("clicks", "moves"), tables=(), cell=cell, threads=threads)
        assert heat.lane == lane
        found.append((to_bytes(heat.state), heat.ledger))
    assert found[0] == found[1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3), st.booleans())
def test_odd_points_alone_are_those_of_the_other_lanes(seed: int, pieces: int, narrow: bool) -> None:
    """Fails at NaN, infinities, -0.0, the ends of the extent, nulls at any bit, slices, and times out of range."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6_000))
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, -1e-9, 99.999, 100.0, 1e300])
    kind = pa.float32() if narrow else pa.float64()

    def column() -> pa.Array:
        some = np.where(rng.random(n) < 0.3, odd[rng.integers(0, len(odd), n)], rng.random(n) * 120)
        with np.errstate(over="ignore"):
            return pa.array(some.astype("f4" if narrow else "f8"), kind, mask=rng.random(n) < 0.3)

    table = pa.table(
        {
            "time": pa.array(rng.choice([1_700_000_000_000, 1, 2**61], n, p=[0.8, 0.1, 0.1]), pa.timestamp("ms"),
                             mask=rng.random(n) < 0.1),
            "kind": pa.array(np.array(["click", "move", "scroll"], object)[rng.integers(0, 3, n)],
                             mask=rng.random(n) < 0.1),
            "page": pa.array(np.array(["/a", "/b?q=1", "/b"], object)[rng.integers(0, 3, n)], mask=rng.random(n) < 0.2),
            "x": column(), "y": column(), "fixed": pa.array(rng.random(n) < 0.5, mask=rng.random(n) < 0.2),
            "viewport_w": pa.array(rng.integers(-1, 2_000, n), mask=rng.random(n) < 0.3),
            "pointer": pa.array(np.array(["touch", "mouse"], object)[rng.integers(0, 2, n)], mask=rng.random(n) < 0.2),
        }
    ).slice(int(rng.integers(0, 9)))  # fmt: skip
    cuts = [table.slice(at, -(-n // pieces)) for at in range(0, n, -(-n // pieces))]
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for lane in ("M", "T"):
            if lane == "T":
                patch.setattr(points, "needs_of", lambda plan, needs: None)
            heat = hg.run(hg.read(pa.concat_tables(cuts)), maps=("clicks", "moves"), tables=(), cell=(8, 3.3),
                          extent=(0, 100, -5, 100), threads=2)  # fmt: skip
            assert heat.lane == lane
            found.append((to_bytes(heat.state), heat.ledger))
    assert found[0] == found[1]


def test_more_than_maps_is_not_for_lane_m(dump: Path) -> None:
    """Fails if a plan or a source asks for what lane M does not count, and gets it."""
    for options, more in (({}, {"session": "session"}), ({"tables": ("pages",)}, {}), ({"by": ("country",)}, {}),
                          ({"every": "day"}, {}), ({"dedupe": "rows"}, {}), ({"frame": "viewport"}, {})):  # fmt: skip
        heat = hg.run(hg.read(dump, map=ALONE | more), threads=2, **({"maps": ("clicks",), "tables": ()} | options))
        assert heat.lane != "M", options


def test_a_run_of_lane_m_can_be_cancelled(dump: Path) -> None:
    """Fails if the other counters go on, or the sources' workers are left behind."""
    before = threading.active_count()
    with pytest.raises(Cancelled):
        hg.run(hg.read(dump, map=ALONE), maps=("clicks",), tables=(), threads=6, progress=lambda done, of: False)
    assert threading.active_count() == before


def test_rows_of_bits() -> None:
    rows = np.random.default_rng(1).random(1_000) < 0.3
    out = np.empty(int(rows.sum()), np.int32)
    leaves.rows_of(bits_of(rows), out)
    assert out.tolist() == np.flatnonzero(rows).tolist()
    assert int(leaves.count(bits_of(rows), 1_000)) == len(out)
