"""The list of bad inputs, row by row, along the whole way: what is read, counted, told and written.

Each test's docstring names a change of the code that makes it fail. What is held in full elsewhere has no copy here:

- rows 1, 2, 10, 13, 20, 21, 23 against the slow oracle, in every combination: test_engine_oracle, test_laws
- row 2 and 3 for every axis, step and type: test_bin (test_edges, test_types, test_what_has_no_cell)
- rows 5, 6 and 7 of the leaf ``bin_points``: test_bin (test_refused, test_beyond_float32_counting, test_weights);
  row 6 of a run: test_engine (test_counters_widen_before_they_can_overflow)
- row 8: canaries of the leaves in test_bin, test_smooth and test_engine; index checks: scripts/test
  (NUMBA_BOUNDSCHECK)
- row 10: 1 and 8 threads, block sizes, lanes: test_engine (test_the_same_bytes_however_the_run_goes)
- rows 15 and 17 of every format, line by line: test_sources_files, test_sources_text
- row 22, units and zones: test_sources_mapping; periods across clock changes: test_engine_oracle
- rows 18, 24 and 30, and 26, 27 and 29 for the scratch file: test_memory; row 19: test_caps, test_spill (one giant
  session), test_engine (idle sessions)
- rows 26 and 27, the writer alone: test_outputs_atomic; /dev/full behind stdout: test_cli
- row 29: test_cli (test_a_signal_ends_a_run_within_a_second_and_leaves_nothing, test_a_closed_pipe_is_silent)
- row 31, .npz: test_outputs_tables (test_a_pickle_in_an_npz_is_refused_unread)
- row 32, hostile names in a browser: test_outputs_report; on the terminal: test_cli
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import math
import pickle
import random
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import heatgrid as hg
from heatgrid.cli import main
from heatgrid.demo.generate import generate
from heatgrid.engine import fold, late, pairs, sessions
from heatgrid.engine.measures import maps, usage
from heatgrid.outputs.tables import write_table
from heatgrid.states.store import MAGIC, to_bytes
from heatgrid.words.areas import Area
from heatgrid.words.errors import HeatgridError, InputError, LimitError, UsageError

T0 = 1_790_000_000_000  # 2026-09-21T13:33:20Z
LANES = pytest.mark.parametrize("order", ["auto", "any"])


def events(n: int, step_ms: int = 1000, **columns: Any) -> pa.Table:
    """Clicks of one session, one a step, at (1, 1); ``columns`` come on top."""
    time = pa.array(T0 + step_ms * np.arange(n), pa.timestamp("ms", "UTC"))
    table = {"time": time, "session": ["s"] * n, "kind": ["click"] * n, "page": ["/a"] * n, "feature": ["f"] * n}
    return pa.table(table | {"x": np.ones(n), "y": np.ones(n)} | columns)


def points(heat: hg.Heat, layer: str = "clicks") -> tuple[int, int, int, int]:
    found = heat.ledger.measures[layer]
    return found.rows, found.used, found.outside, found.invalid


def by_name(table: pa.Table, column: str) -> dict[str, Any]:
    return dict(zip(table.column(0).to_pylist(), table[column].to_pylist(), strict=True))


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return (code, *capfd.readouterr())

    return run


# ---- rows 1 to 8: points, grids, counters


def masked(values: list[float | None], garbage: float) -> pa.Array:
    """Nulls over buffers that hold ``garbage``, as a slice that starts inside a byte of the bitmap."""
    raw = np.array([garbage] * 3 + [garbage if v is None else v for v in values] + [garbage] * 2)
    valid = np.array([True] * 3 + [v is not None for v in values] + [False] * 2)
    bits = np.packbits(valid, bitorder="little")
    whole = pa.Array.from_buffers(pa.float64(), len(raw), [pa.py_buffer(bits.tobytes()), pa.py_buffer(raw)])
    return whole.slice(3, len(values))


BAD_POINTS = [1.0, None, math.nan, math.inf, -math.inf, 9.0, None, None, 4.0, math.nan] * 4


@LANES
@pytest.mark.parametrize("way", ["arrow", "polars", "numpy", "float32"])
def test_row_01_points_that_are_none_are_invalid_and_their_rows_stay(way: str, order: str) -> None:
    """Fails if ``bitmap`` of engine/names.py forgets the offset or the nulls, or if a bad point drops its row."""
    x = masked(BAD_POINTS, garbage=1.0)
    table = events(40, x=x)
    source: Any = table
    if way == "polars":
        source = pl.from_arrow(table)
        assert source["x"].is_nan().sum() == 8
        assert source["x"].null_count() == 12
    elif way == "numpy":
        source = {name: table[name].to_numpy() for name in table.column_names}
    elif way == "float32":
        source = table.set_column(5, "x", x.cast(pa.float32()))
    heat = hg.run(source, order=order)
    assert points(heat) == (40, 12, 0, 28)
    assert heat.ledger.rejected == {}
    assert by_name(heat.pages, "events") == {"/a": 40}
    assert by_name(heat.pages, "dwell_ms") == {"/a": 39_000}
    assert heat.map().values.tolist() == [[8, 4]]


@LANES
def test_row_02_what_a_cast_would_move_into_the_grid_is_outside(order: str) -> None:
    """Fails if ``select`` of cpu/tiles.py casts before it compares: -0.5 would be cell 0, 1e300 and 2^63 anything."""
    x = [-0.5, -1e-9, 1e300, -1e300, 2.0**63, 2.0**64, -0.0, 0.0, 15.9]
    heat = hg.run(events(len(x), x=x), extent=(0, 16, 0, 16), order=order)
    assert points(heat) == (9, 3, 6, 0)
    assert heat.map().values.tolist() == [[2, 1], [0, 0]]
    for kind, values in (
        (pa.int64(), [-(2**63), -1, 2**63 - 1, 3]),
        (pa.uint64(), [2**63, 2**64 - 1, 2**64 - 7, 3]),
        (pa.int8(), [-128, -1, 127, 3]),
    ):
        whole = hg.run(events(4, x=pa.array(values, kind)), extent=(0, 16, 0, 16), order=order)
        assert points(whole) == (4, 1, 3, 0)
        assert whole.map().values.tolist() == [[1, 0], [0, 0]]


@LANES
@pytest.mark.parametrize("cell", [8, 7])
def test_row_03_a_point_rounded_onto_the_far_edge_is_outside(order: str, cell: int) -> None:
    """Fails if ``select`` takes a cell <= n, or computes float32 points in float32 arithmetic of their own."""
    right, bottom = 2.0 * cell, 3.0 * cell
    x = [math.nextafter(right, 0), 1.0, right, math.nextafter(float(cell), 0)]
    y = [1.0, math.nextafter(bottom, 0), 1.0, 1.0]
    plan: Any = {"extent": (0, right, 0, bottom), "cell": cell, "order": order}
    wide = hg.run(events(4, x=x, y=y), **plan)
    assert points(wide) == (4, 3, 1, 0)
    single = {"x": pa.array(np.float32(x)), "y": pa.array(np.float32(y))}
    narrow = hg.run(events(4, **single), **plan)
    assert points(narrow) == (4, 1, 3, 0)
    assert narrow.map().values.tolist() == [[0, 1], [0, 0], [0, 0]]
    leaf = hg.bin_points(np.float32(x), np.float32(y), shape=(3, 2), cell=cell)
    assert np.array_equal(leaf.values, narrow.map().values)


def test_row_04_a_width_that_cannot_be_is_unknown_and_widens_nothing() -> None:
    """Fails if ``width_buckets`` drops ``w > 0`` or ``w < inf``, or ``locate`` believes every width."""
    widths = [0.0, -5.0, None, math.nan, math.inf, -math.inf, 800.0, 1e9]
    table = events(8, session=[f"s{i}" for i in range(8)], viewport_w=pa.array(widths))
    heat = hg.run(table)
    assert heat.ledger.accepted == 8
    assert points(heat) == (8, 8, 0, 0)
    found = {row["bucket"]: (row["events"], row["viewport_w"]) for row in heat.layers().to_pylist()}
    assert found == {"unknown": (6, None), "600-1024": (1, 800), "1440+": (1, None)}
    assert heat.map(bucket="1440+").values.shape == (1, 1)
    assert heat.map(bucket="600-1024").values.shape == (1, 100)


def test_row_05_rows_that_no_measure_draws_are_accepted() -> None:
    """Fails if ``_layer_of_kind`` of engine/fold.py gives other kinds a layer, or such rows are rejected."""
    kinds = ["pageview", "custom", "Checkout", "error", "", None, "click", "mousedown"]
    nothing = pa.nulls(8, pa.float64())
    heat = hg.run(events(8, kind=kinds, x=nothing, y=nothing), maps=("clicks", "moves"))
    assert (heat.ledger.accepted, heat.ledger.rejected) == (8, {})
    assert points(heat) == (1, 0, 0, 1)
    assert points(heat, "moves") == (0, 0, 0, 0)
    assert by_name(heat.pages, "dwell_ms") == {"/a": 7000}


GRIDS = [
    {"cell": 0}, {"cell": -8}, {"cell": math.nan}, {"cell": math.inf}, {"cell": (8, 0)}, {"cell": 1e-9},
    {"extent": (5, 5, 0, 1)}, {"extent": (9, 5, 0, 1)}, {"extent": (0, 1, 0, math.nan)}, {"extent": (0, 1)},
    {"cell": 5e-324}, {"extent": (-1.7e308, 1.7e308, 0, 1)}, {"cell": 1, "extent": (0, 2**31, 0, 1)}, {"cell": 10**309},
]  # fmt: skip


@pytest.mark.parametrize("bad", GRIDS, ids=lambda bad: str(bad)[:32])
def test_row_05_a_grid_of_no_or_too_many_cells_is_refused(bad: dict[str, Any]) -> None:
    """Fails if ``_cell``, ``_extent`` or the check of the shape in words/plan.py is gone."""
    with pytest.raises(UsageError) as caught:
        hg.run(events(1), **bad)
    assert caught.value.code in {"HG1103", "HG1105", "HG1106"}
    assert caught.value.hint


def test_row_05_ten_thousand_million_cells_are_counted_and_never_laid_out() -> None:
    """Fails if ``dense`` of engine/dense.py allocates before it asks: the map of these three clicks has 80 GB."""
    heat = hg.run(events(3, x=[0.0, 5.0, 99_999.0]), cell=1, extent=(0, 100_000, 0, 100_000))
    assert points(heat) == (3, 3, 0, 0)
    with pytest.raises(LimitError) as caught:
        heat.map()
    assert caught.value.code == "HG4102"
    assert "100,000 x 100,000" in str(caught.value)


def test_row_06_a_sum_beyond_64_bits_is_a_limit_in_a_run() -> None:
    """Fails if the sum of the weights is not compared with 2^63 before a counter takes it."""
    with pytest.raises(LimitError):
        hg.run(events(2049, count=np.full(2049, 2**52)))


def test_row_06_a_sum_beyond_64_bits_is_a_limit_in_a_merge() -> None:
    """Fails if ``merge`` adds counters without a look at their sum."""
    parts = [hg.run(events(1200, session=[name] * 1200, count=np.full(1200, 2**52))) for name in "ab"]
    assert parts[0].map().values.tolist() == [[1200 * 2**52]]
    with pytest.raises(LimitError):
        hg.merge(parts)


@LANES
def test_row_07_counts_that_are_no_whole_positive_number_reject_their_row(order: str) -> None:
    """Fails if ``check_count`` of cpu/columns.py leaves out a comparison, or a null count stops being 1."""
    counts = [math.nan, math.inf, -math.inf, -1.0, 0.0, 0.5, 2.0**60, None, 3.0]
    heat = hg.run(events(9, count=masked(counts, garbage=100.0)), order=order)
    assert heat.ledger.rejected == {"count": 7}
    assert by_name(heat.features, "events") == {"f": 4}
    assert heat.map().values.tolist() == [[4]]
    assert points(heat) == (2, 2, 0, 0)


def test_row_07_a_whole_count_that_float64_cannot_hold_rejects_its_row() -> None:
    """Fails if whole counts are compared as floats."""
    assert hg.run(events(1, count=np.array([2**53 + 1]))).ledger.rejected == {"count": 1}


class FencedNumpy:
    """numpy, with a canary on either side of every array that is made."""

    GUARD = 128

    def __init__(self) -> None:
        self.made: list[np.ndarray] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def _fenced(self, array: np.ndarray) -> np.ndarray:
        whole = np.full(array.nbytes + 2 * self.GUARD, 0xA5, np.uint8)
        self.made.append(whole)
        inner = whole[self.GUARD : self.GUARD + array.nbytes].view(array.dtype).reshape(array.shape)
        inner[...] = array
        return inner

    def zeros(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return self._fenced(np.zeros(*args, **kwargs))

    def full(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return self._fenced(np.full(*args, **kwargs))

    def empty(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return self._fenced(np.zeros(*args, **kwargs))

    def concatenate(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return self._fenced(np.concatenate(*args, **kwargs))


def test_row_08_no_leaf_writes_beside_its_tiles_tables_sets_or_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a leaf of usage, tiles, sets, slots or scan writes one element behind what it was given."""
    table = pa.Table.from_batches(generate(6_000, seed=5))
    plan: Any = {
        "maps": ("clicks", "moves"), "by": ("device", "country"), "every": "day", "distinct": ("users",),
        "moves_sessions": True,
    }  # fmt: skip
    want = to_bytes(hg.run(table, **plan).state)
    fences = FencedNumpy()
    for module in (fold, late, pairs, sessions, maps, usage):
        monkeypatch.setattr(module, "np", fences)
    assert to_bytes(hg.run(table, **plan).state) == want
    assert len(fences.made) > 100
    for whole in fences.made:
        assert (whole[: fences.GUARD] == 0xA5).all()
        assert (whole[-fences.GUARD :] == 0xA5).all()


# ---- rows 10 to 17: what is read


def test_row_10_files_by_one_to_eight_threads_are_the_same_bytes(tmp_path: Path) -> None:
    """Fails if chunks reach the engine as they are decoded (``ahead``), or ties between files not by their rank."""
    table = pa.Table.from_batches(generate(3_000, seed=2))
    minutes = pc.floor_temporal(table["time"], unit="minute")
    table = table.set_column(table.schema.get_field_index("time"), "time", minutes).drop_columns(["event_id"])
    files = [table.take(list(range(number, 3_000, 3))) for number in range(3)]
    for number, part in enumerate(files):
        pq.write_table(part, tmp_path / f"{number}.parquet", row_group_size=150)
    plan: Any = {"maps": ("clicks", "moves"), "by": ("device",), "every": "day"}
    heats = [hg.run(tmp_path, threads=n, order=o, **plan) for n in range(1, 9) for o in ("auto", "any")]
    assert len({to_bytes(heat.state) for heat in heats}) == 1
    whole = hg.run(pa.concat_tables(files), order="any", **plan)
    assert heats[0].features.equals(whole.features)
    assert heats[0].pages.equals(whole.pages)


EMPTY: dict[str, Callable[[Path], Any]] = {
    "no rows": lambda _: events(0),
    "no batches": lambda _: pa.RecordBatchReader.from_batches(events(0).schema, iter([])),
    "no chunks": lambda _: pa.Table.from_batches([], events(0).schema),
    "all filtered": lambda _: hg.read(events(5), where="page = '/b'"),
    "frame": lambda _: pl.from_arrow(events(0)),
    "parquet": lambda path: (pq.write_table(events(0), path / "e.parquet"), path / "e.parquet")[1],
    "header": lambda path: (path / "e.csv").write_text("time,session,kind,page,feature,x,y\n") and path / "e.csv",
}


@pytest.mark.parametrize("way", EMPTY)
def test_row_11_no_rows_are_an_empty_result_and_report(tmp_path: Path, way: str) -> None:
    """Fails if any finish, merge or page of the report takes the first of nothing."""
    heat = hg.run(EMPTY[way](tmp_path), maps=("clicks", "moves"), by=("page",), every="week")
    assert (heat.ledger.accepted, heat.ledger.rejected) == (0, {})
    assert (heat.features.num_rows, heat.pages.num_rows, heat.layers().num_rows) == (0, 0, 0)
    assert heat.matrix(columns="week").values.shape == (0, 0)
    assert heat.summary["sessions"] == 0
    heat.save(tmp_path / "e.heat")
    whole = hg.run(events(2), maps=("clicks", "moves"), by=("page",), every="week")
    assert hg.merge([hg.load(tmp_path / "e.heat"), whole]).features.equals(whole.features)
    index = heat.report(tmp_path / "report")
    assert "No map" in index.read_text(encoding="utf-8")


def test_row_11_no_file_at_all_is_an_error(tmp_path: Path, cli: Callable[..., tuple[int, str, str]]) -> None:
    """Fails if an empty match is read as an empty input."""
    code, out, err = cli("report", tmp_path / "*.parquet", "-o", tmp_path / "report")
    assert (code, out) == (3, "")
    assert "HG2202" in err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "e.csv").write_text("time,session,kind,page\n")
    for command in ("features", "pages", "matrix"):
        assert cli(command, tmp_path / "e.csv")[0] == 0
    code, _, err = cli("report", tmp_path / "e.csv", "-o", tmp_path / "report")
    assert (code, "0 rows read" in err) == (0, True)


def test_row_12_a_text_among_the_numbers_is_named_or_an_invalid_point(
    tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    """Fails if ``numbers._parse`` makes null of what is no number without being asked to."""
    path = tmp_path / "a.csv"
    lines = [
        "2026-09-01T00:00:00Z,s,click,12px,1",
        "2026-09-01T00:00:01Z,s,click,7,1",
        "2026-09-01T00:00:02Z,s,click,,1",
    ]
    path.write_text("time,session,kind,x,y\n" + "\n".join(lines) + "\n")
    code, out, err = cli("pages", path, "--maps", "clicks")
    assert (code, out) == (3, "")
    assert [word for word in ("HG2213", str(path), "'x'", "12px", "--coerce") if word not in err] == []
    heat = hg.run(hg.read(path, coerce=True))
    assert points(heat) == (3, 1, 0, 2)
    assert by_name(heat.pages, "dwell_ms") == {"(all)": 2000}
    code, out, _ = cli("pages", path, "--coerce", "--json", "--maps", "clicks")
    assert code == 0
    assert json.loads(out)["ledger"]["measures"]["clicks"]["invalid"] == 2


@pytest.mark.parametrize(
    ("change", "options", "code", "says"),
    [
        (lambda t: t.append_column("x", t["x"]), {}, "HG2211", "value:    x"),
        (lambda t: t, {"map": {"x": "xx"}}, "HG2212", "'x'"),
        (lambda t: t.drop_columns(["time"]), {}, "HG2601", "--map time="),
        (lambda t: t.append_column("ts", t["time"]).append_column("timestamp", t["time"]).drop_columns(["time"]), {},
         "HG2214", "'timestamp'"),
        (lambda t: t.set_column(5, "x", pc.cast(t["x"], pa.bool_())), {}, "HG2213", "'x'"),
    ],
)  # fmt: skip
def test_row_12_missing_double_and_impossible_columns_are_named(
    change: Callable[[pa.Table], pa.Table], options: dict[str, Any], code: str, says: str
) -> None:
    """Fails if the mapping takes the first of two columns, or passes a type that can be no number."""
    with pytest.raises(InputError) as caught:
        hg.run(hg.read(change(events(3)), **options))
    assert caught.value.code == code
    assert says in str(caught.value)


SIMPLE = ("duration", "binary", "float", "date")


@pytest.mark.parametrize("name", ["session", "page", "kind", "feature", "event_id", "by"])
@pytest.mark.parametrize("kind", ["list", "struct", *SIMPLE])
def test_row_12_a_name_of_any_type_is_a_text_or_a_clear_error(name: str, kind: str) -> None:
    """Fails if ``as_text`` of engine/names.py lets an error of Arrow through."""
    made = {
        "list": pa.array([[1], [2], None]),
        "struct": pa.array([{"a": 1}, {"a": 2}, None]),
        "duration": pa.array([1, 2, None], pa.duration("s")),
        "binary": pa.array([b"a", b"\xff", None]),
        "float": pa.array([1.5, math.nan, None]),
        "date": pa.array([1, 2, None], pa.date32()),
    }[kind]
    table = events(3)
    place = table.schema.get_field_index(name)
    table = table.set_column(place, name, made) if place >= 0 else table.append_column(name, made)
    try:
        heat = hg.run(table, by=("by",) if name == "by" else ())
    except InputError as error:
        assert repr(name) in str(error) or f"where:    {name}" in str(error)  # noqa: PT017 - an error is one of two ways
    else:
        heat.ledger.check()


WORDS = ["a", None, "b", "a", "é", "", None, "b", "c"]
INDEX = (pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64())


def recoded(array: pa.Array, index: pa.DataType, words: pa.DataType) -> pa.Array:
    """A dictionary with a word of its own that nothing uses, in an order of its own."""
    known = sorted({v for v in array.to_pylist() if v is not None}, reverse=True)
    known = [f"unused {len(array)}", *known]
    places = [None if v is None else known.index(v) for v in array.to_pylist()]
    return pa.DictionaryArray.from_arrays(pa.array(places, index), pa.array(known, pa.string()).cast(words))


def in_runs(array: pa.Array) -> pa.Array:
    return pa.RunEndEncodedArray.from_arrays(pa.array(range(1, len(array) + 1), pa.int32()), array)


def nulls_inside(array: pa.Array) -> pa.Array:
    known = [None, *sorted({v for v in array.to_pylist() if v is not None})]
    places = [None if i % 2 and v is None else known.index(v) for i, v in enumerate(array.to_pylist())]
    return pa.DictionaryArray.from_arrays(pa.array(places, pa.int8()), pa.array(known, pa.string()))


LAYOUTS: dict[str, Callable[[pa.Array], pa.Array]] = {
    "large_string": lambda a: a.cast(pa.large_string()),
    "string_view": lambda a: a.cast(pa.string_view()),
    "runs": pc.run_end_encode,
    "runs of a dictionary": lambda a: in_runs(a.dictionary_encode()),
    "runs of large strings": lambda a: pc.run_end_encode(a.cast(pa.large_string())),
    "a null in the dictionary": nulls_inside,
    "a word twice in the dictionary": lambda a: pa.DictionaryArray.from_arrays(
        pa.array(range(len(a)), pa.int32()), a.cast(pa.string())
    ),
    "a dictionary of large strings": lambda a: recoded(a, pa.int32(), pa.large_string()),
    "a dictionary of views": lambda a: recoded(a, pa.int32(), pa.string_view()),
    **{f"dictionary by {kind}": lambda a, kind=kind: recoded(a, kind, pa.string()) for kind in INDEX},
}


NAMES = ("session", "user", "account", "tab", "view", "page", "kind", "feature", "event_id", "pointer", "device")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_row_13_every_layout_of_names_gives_the_same_bytes(layout: str) -> None:
    """Fails if ``as_dictionary`` forgets a layout, or ``NameCodes.table`` keeps the codes of another dictionary."""
    rng = random.Random(1)
    n = 60
    words = {name: [rng.choice(WORDS) for _ in range(n)] for name in NAMES}
    words["kind"] = [rng.choice(["click", "move", "pageview", None]) for _ in range(n)]

    def made(shape: Callable[[pa.Array], pa.Array]) -> pa.RecordBatchReader:
        batches = []
        for start, stop in ((0, 7), (7, 8), (8, 41), (41, n)):
            base = events(n).slice(start, stop - start).drop_columns(["session", "kind", "page", "feature"])
            part = {name: shape(pa.array(words[name][start:stop], pa.string())) for name in NAMES}
            batches.append(pa.table(dict(zip(base.column_names, base.columns, strict=True)) | part).to_batches()[0])
        return pa.RecordBatchReader.from_batches(batches[0].schema, iter(batches))

    plan: Any = {"maps": ("clicks", "moves"), "by": ("device", "account"), "distinct": ("users",)}
    want = to_bytes(hg.run(made(lambda a: a), **plan).state)
    assert to_bytes(hg.run(made(LAYOUTS[layout]), **plan).state) == want


def test_row_15_one_unreadable_file_is_named_or_left_out_and_listed(
    tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    """Fails if a file that cannot be read is skipped unasked, or left out without a word."""
    folder = tmp_path / "dump"
    folder.mkdir()
    for number in range(20):
        pq.write_table(events(10, session=[f"s{number}"] * 10), folder / f"{number:02}.parquet")
    broken = folder / "07.parquet"
    broken.write_bytes(broken.read_bytes()[:-100])
    code, out, err = cli("pages", folder, "-o", tmp_path / "p.csv")
    assert (code, out, (tmp_path / "p.csv").exists()) == (3, "", False)
    assert "HG2205" in err
    assert str(broken) in err
    code, out, err = cli("pages", folder, "--on-error", "skip", "--json")
    told = json.loads(out)
    assert (code, told["ledger"]["read"], told["summary"]["sessions"]) == (0, 190, 19)
    assert any("skipped" in note and "07.parquet" in note for note in told["summary"]["notes"])
    assert str(broken) in err


def test_row_15_flipped_bits_are_an_error_or_a_result_that_adds_up(tmp_path: Path) -> None:
    """Fails if an error of Arrow's reader passes ``reading`` of sources/faults.py, or damage unbalances a ledger."""
    path = tmp_path / "a.parquet"
    table = events(300, session=[f"s{i % 9}" for i in range(300)], event_id=[str(i) for i in range(300)])
    pq.write_table(table, path, row_group_size=100)
    data = path.read_bytes()
    rng = random.Random(4)
    errors = 0
    for _ in range(120):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        try:
            hg.run(path, by=("page",)).ledger.check()
        except HeatgridError as error:
            errors += 1
            assert str(path) in str(error) or error.code == "HG2601", error  # noqa: PT017 - either way is right
    assert 0 < errors < 120


def test_row_15_a_stream_that_fails_in_its_middle_is_an_error() -> None:
    """Fails if what a foreign stream raises is not made one of our errors (``tasks`` of sources/memory.py)."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield events(5).to_batches()[0]
        raise pa.ArrowInvalid("the connection was lost")

    with pytest.raises(InputError) as caught:
        hg.run(pa.RecordBatchReader.from_batches(events(5).schema, batches()))
    assert caught.value.code == "HG2219"
    assert "the connection was lost" in str(caught.value)


BROKEN = {
    "jsonl": [b'{"time": "2026-09-01T00:00:01Z",\n', b'{"session": "\xff"}\n', b'{"session": "\\ud800"}\n'],
    "csv": [b"2026-09-01T00:00:01Z\n", b"2026-09-01T00:00:01Z,\xff,/a\n", b"2026-09-01T00:00:01Z,a\0b,/a\n"],
}  # fmt: skip
GOOD = {
    "jsonl": (b"", b'{"time": "2026-09-01T00:00:00Z", "session": "s", "page": "/a"}\n'),
    "csv": (b"time,session,page\n", b"2026-09-01T00:00:00Z,s,/a\n"),
}


def with_broken_lines(folder: Path, kind: str) -> tuple[Path, list[int]]:
    """A file of good lines with three that are none, and the numbers of these."""
    head, good = GOOD[kind]
    lines = [head] if head else []
    numbers = []
    for line in BROKEN[kind]:
        lines += [good, good, line]
        numbers.append(len(lines))
    path = folder / f"a.{kind}"
    path.write_bytes(b"".join(lines))
    return path, numbers


@pytest.mark.parametrize("kind", BROKEN)
def test_row_17_lines_that_are_no_events_are_counted(
    tmp_path: Path, cli: Callable[..., tuple[int, str, str]], kind: str
) -> None:
    """Fails if a line that cannot be decoded takes its block with it, or is missing in the ledger."""
    path, numbers = with_broken_lines(tmp_path, kind)
    source = hg.read(path)
    heat = hg.run(source)
    assert (heat.ledger.read, heat.ledger.accepted, heat.ledger.rejected) == (9, 6, {"decode": 3})
    assert [line.split(": ")[0] for line in source.bad_lines] == [f"{path}:{number}" for number in numbers]
    code, out, err = cli("pages", path, "-o", tmp_path / "p.csv")
    assert (code, out, (tmp_path / "p.csv").exists()) == (4, "", False)
    assert "3 decode" in err
    code, _, err = cli("pages", path, "--max-rejected", "50%")
    assert code == 0
    assert "3 rejected (decode)" in err


ALONE = [
    b'{"session": "\xff"}',
    b'{"session": "\\ud800"}',
    b'{"session": "a\\u0000"}',
    b'{"session": "a\0b"}',
    b"[1]",
    b"{",
]


@pytest.mark.parametrize("line", ALONE)
def test_row_17_each_broken_json_line_alone_costs_itself(tmp_path: Path, line: bytes) -> None:
    """Fails if a line is only looked at closely where another one breaks the block (``parse`` of sources/ndjson.py)."""
    good = GOOD["jsonl"][1]
    path = tmp_path / "a.jsonl"
    path.write_bytes(good + line + b"\n" + good)
    heat = hg.run(path)
    assert (heat.ledger.accepted, heat.ledger.rejected) == (2, {"decode": 1})
    assert heat.summary["sessions"] == 1


def test_row_17_a_json_key_that_is_no_text_costs_its_line(tmp_path: Path) -> None:
    """Fails if ``_infer`` of sources/ndjson.py asks Arrow for the fields of bytes that are no UTF-8."""
    good = GOOD["jsonl"][1]
    path = tmp_path / "a.jsonl"
    path.write_bytes(good + b'{"time": "2026-09-01T00:00:01Z", "session": "s", "\xff": 1}\n' + good)
    heat = hg.run(path)
    assert (heat.ledger.accepted, heat.ledger.rejected) == (2, {"decode": 1})


@pytest.mark.parametrize("line", [b"\xff", b'2026-09-01T00:00:01Z,"s\xa2,/a'], ids=["short", "open quote"])
def test_row_17_a_csv_line_of_two_faults_is_rejected_without_a_traceback(tmp_path: Path, line: bytes) -> None:
    """Fails if ``_types`` of sources/csv.py reads what ``_clean`` would drop (Python then prints what it ignores), or
    ``_clean`` keeps the record that a block ends in: after a lost quote that is all the rest."""
    head, good = GOOD["csv"]
    path = tmp_path / "a.csv"
    path.write_bytes(head + good + line + b"\n" + good)
    code = f"import heatgrid as hg; print(hg.run({str(path)!r}).ledger.rejected)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{'decode': 1}\n", "")


@pytest.mark.parametrize("kind", BROKEN)
def test_row_17_the_file_and_the_number_of_a_broken_line_are_told(
    tmp_path: Path, cli: Callable[..., tuple[int, str, str]], kind: str
) -> None:
    """Fails if the notes of a run leave ``bad_lines`` out."""
    path, numbers = with_broken_lines(tmp_path, kind)
    assert f"{path}:{numbers[0]}" in " ".join(hg.run(path).summary["notes"])
    assert f"{path}:{numbers[0]}" in cli("pages", path, "--max-rejected", "50%")[2]


# ---- rows 20 to 23: order, times, areas


@LANES
@pytest.mark.parametrize("ids", [["e", "e", None, None, "f", "e"], [1, 1, None, None, 0, 1]], ids=["texts", "integers"])
def test_row_20_an_event_counts_once_in_its_session(ids: list[Any], order: str) -> None:
    """Fails if the scan forgets ids, takes null for one, or compares them across sessions."""
    session = ["s", "s", "s", "s", "s", "t"]
    heat = hg.run(events(6, session=session, event_id=ids), order=order)
    assert heat.ledger.rejected == {"duplicate": 1}
    assert by_name(heat.features, "events") == {"f": 5}
    assert heat.map().values.tolist() == [[5]]
    assert heat.map(value="sessions").values.tolist() == [[2]]
    assert by_name(heat.pages, "dwell_ms") == {"/a": 4000}


@LANES
def test_row_20_equal_rows_count_once_on_asking(order: str) -> None:
    """Fails if ``dedupe="rows"`` leaves a column out, or takes two nulls for different values."""
    x = [None, None, 0.0, -0.0, math.nan, math.nan, 2.0, 2.0]
    table = events(8, step_ms=0, x=x, feature=["f"] * 7 + ["g"])
    assert hg.run(table, order=order).ledger.rejected == {}
    assert hg.run(table, order=order, dedupe="rows").ledger.rejected == {"duplicate": 3}


def in_pieces(table: pa.Table, size: int) -> pa.RecordBatchReader:
    return table.to_reader(max_chunksize=size)


@LANES
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_row_21_any_order_is_counted_as_if_sorted_and_ties_as_they_come(order: str, size: int) -> None:
    """Fails if a step back in time is counted as it comes, the merge of late rows or the sort is not
    stable, or a restart loses what was read ahead of a stream."""
    feature = ["a", "b", "c", "d", "e", "f"]
    time = pa.array([T0 + ms for ms in (0, 1000, 1000, 1000, 5000, 5000)], pa.timestamp("ms", "UTC"))
    table = events(6, time=time, feature=feature)
    want = {"a": 1000, "b": 0, "c": 0, "d": 4000, "e": 0, "f": 0}
    for places in ([0, 1, 2, 3, 4, 5], [4, 1, 5, 2, 3, 0], [1, 2, 4, 0, 3, 5], [4, 5, 1, 2, 3, 0]):
        heat = hg.run(in_pieces(table.take(places), size), order=order)
        assert by_name(heat.features, "dwell_ms") == want
        assert by_name(heat.features, "visits") == dict.fromkeys(feature, 1)
    backwards = hg.run(in_pieces(table.take([5, 4, 3, 2, 1, 0]), size), order=order)
    assert by_name(backwards.features, "dwell_ms") == {"a": 1000, "d": 0, "c": 0, "b": 4000, "f": 0, "e": 0}


@LANES
def test_row_21_a_sequence_number_beyond_int64_comes_last(order: str) -> None:
    """Fails if a uint64 ``seq`` wraps: the last row of a tie would become its first."""
    time = pa.array([T0, T0, T0 + 1000], pa.timestamp("ms", "UTC"))
    table = events(3, time=time, feature=["last", "first", "next"], seq=pa.array([2**63 + 5, 3, 9], pa.uint64()))
    assert by_name(hg.run(table, order=order).features, "dwell_ms") == {"last": 1000, "first": 0, "next": 0}


@LANES
def test_row_21_a_clock_that_steps_back_an_hour_gives_no_negative_time(order: str) -> None:
    """Fails if a step is taken as it comes: the dwell would be negative, or the idle limit a hundred times."""
    clock = [0, 1000, 2000, 3_000 - 3_600_000, 4_000 - 3_600_000]
    time = pa.array([T0 + ms for ms in clock], pa.timestamp("ms", "UTC"))
    heat = hg.run(events(5, time=time, feature=list("abcde")), order=order)
    assert by_name(heat.features, "dwell_ms") == {"d": 1000, "e": 30_000, "a": 1000, "b": 1000, "c": 0}


@LANES
def test_row_22_times_that_cannot_be_are_rejected(order: str) -> None:
    """Fails if ``check_time`` and ``_bounded`` let 1970 and 9999 in: the periods would span 8,000 years."""
    seconds = T0 // 1000
    time = [seconds, 0, None, 253_370_764_800, -1, seconds + 1, 946_684_799, 4_133_980_800]
    heat = hg.run(events(8, time=pa.array(time, pa.timestamp("s", "UTC"))), every="day", order=order)
    assert heat.ledger.rejected == {"time": 6}
    assert by_name(heat.pages, "dwell_ms") == {"/a": 1000}
    assert heat.table("pages")["period"].to_pylist() == ["2026-09-21"]
    assert heat.summary["first"].startswith("2026-09-21")


def test_row_22_numbers_of_another_or_of_two_units_name_the_option(
    cli: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """Fails if ``guess_unit`` takes the nearest unit for numbers that fit none, or the more frequent one of two."""
    seconds = T0 // 1000
    for values in ([seconds, seconds * 1000], [5, 6]):
        with pytest.raises(InputError) as caught:
            hg.run(events(2, time=pa.array(values, pa.int64())))
        assert caught.value.code == "HG2215"
        assert "--time-unit" in str(caught.value)
    stray = pa.array([seconds + i for i in range(200)] + [(seconds + 200) * 1000], pa.int64())
    heat = hg.run(events(201, time=stray))
    assert heat.ledger.rejected == {"time": 1}
    assert any("time is read in s" in note for note in heat.summary["notes"])


def test_row_22_stored_times_of_a_wrong_unit_hint_at_it(
    cli: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """Fails if a dump whose milliseconds hold seconds (1970) is rejected and its reader left to guess why."""
    wrong = pa.array([T0 // 1000 + i for i in range(3)], pa.timestamp("ms", "UTC"))
    pq.write_table(events(3, time=wrong), tmp_path / "a.parquet")
    code, _, err = cli("pages", tmp_path / "a.parquet")
    assert code == 4
    assert "unit" in err
    assert "1970" in err


@LANES
def test_row_22_naive_times_are_utc_or_of_the_zone_also_when_the_clock_changes(order: str) -> None:
    """Fails if naive times are taken as UTC in spite of ``tz``, or a period starts by the offset of another day."""
    naive = pa.array(["2026-03-29T01:30:00", "2026-03-29T03:30:00", "2026-10-25T01:30:00", "2026-10-25T03:30:00"])
    table = events(4, time=naive.cast(pa.timestamp("ms")), feature=list("abcd"))
    utc = hg.run(table, every="hour", order=order, idle_ms=10_000_000)
    labels = ["2026-03-29T01", "2026-03-29T03", "2026-10-25T01", "2026-10-25T03"]
    assert sorted(utc.table("features")["period"].to_pylist()) == labels
    assert by_name(utc.features, "dwell_ms") == {"a": 7_200_000, "b": 10_000_000, "c": 7_200_000, "d": 0}
    local = hg.run(
        hg.read(table, tz="Europe/Berlin"), every="hour", tz="Europe/Berlin", order=order, idle_ms=10_800_000
    )
    assert [label[:13] for label in sorted(local.table("features")["period"].to_pylist())] == labels
    assert by_name(local.features, "dwell_ms") == {"a": 3_600_000, "b": 10_800_000, "c": 10_800_000, "d": 0}


AREAS = [
    ("outer", 0, 100, 0, 100), ("flat", 5, 5, 0, 100), ("inverted", 90, 10, 0, 100), ("first", 0, 10, 0, 10),
    ("second", 0, 10, 0, 10), ("overlap", 8, 20, 0, 10), ("point", 3, 3, 3, 3),
]  # fmt: skip


@LANES
@pytest.mark.parametrize("way", ["objects", "toml", "csv"])
def test_row_23_the_smallest_area_that_holds_a_point_names_it(tmp_path: Path, way: str, order: str) -> None:
    """Fails if areas are not sorted by size, the sort is not stable, or an edge is closed on both sides."""
    fields = ("name", "x0", "x1", "y0", "y1")
    areas: Any = [Area(*area) for area in AREAS]
    if way == "toml":
        areas = tmp_path / "areas.toml"
        text = "".join(
            "[[area]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in zip(fields, area, strict=True))
            for area in AREAS
        )
        areas.write_text(text)
    elif way == "csv":
        areas = tmp_path / "areas.csv"
        areas.write_text("\n".join(",".join(map(str, row)) for row in (fields, *AREAS)) + "\n")
    x = [5.0, 3.0, 9.0, 10.0, 19.9, 20.0, 100.0, math.nan, 50.0]
    y = [5.0, 3.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 99.9]
    nothing = pa.nulls(9, pa.string())
    heat = hg.run(events(9, x=x, y=y, feature=nothing), areas=areas if way == "objects" else str(areas), order=order)
    assert by_name(heat.features, "events") == {"first": 3, "overlap": 2, "outer": 2}


# ---- rows 26 and 27: outputs


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


OUTPUTS: dict[str, Callable[[hg.Heat, Path], object]] = {
    "a.heat": lambda heat, path: heat.save(path),
    "a.png": lambda heat, path: heat.picture(path),
    "a.npz": lambda heat, path: heat.map().save(path),
    "a.csv": lambda heat, path: write_table(heat.features, path),
    "a.parquet": lambda heat, path: write_table(heat.features, path),
    "a.arrow": lambda heat, path: write_table(heat.features, path),
    "a.json": lambda heat, path: write_table(heat.features, path),
    "m.png": lambda heat, path: heat.matrix(columns="week").save(path),
    "report": lambda heat, path: heat.report(path),
}


def some_heat(n: int = 200) -> hg.Heat:
    xs = [(i * 37 % 900) * 1.0 for i in range(n)]
    return hg.run(events(n, x=xs, y=xs, feature=[f"feature {i}" for i in range(n)]), every="week")


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", OUTPUTS)
def test_row_26_a_full_disk_is_an_error_and_the_old_output_is_whole(tmp_path: Path, name: str) -> None:
    """Fails if an output is opened under its own name instead of through outputs/atomic.py."""
    target = tmp_path / name
    OUTPUTS[name](some_heat(20), target)
    before = contents(tmp_path)
    heat = some_heat()
    with file_size_limit(1024), pytest.raises(LimitError) as caught:
        OUTPUTS[name](heat, target)
    assert caught.value.code == "HG4301"
    assert name in str(caught.value)
    assert contents(tmp_path) == before
    OUTPUTS[name](heat, target)
    assert contents(tmp_path) != before


@pytest.mark.parametrize("name", OUTPUTS)
def test_row_26_a_missing_folder_is_named(tmp_path: Path, name: str) -> None:
    """Fails if a writer makes folders by itself, or its error is not one of ours."""
    with pytest.raises(InputError) as caught:
        OUTPUTS[name](some_heat(20), tmp_path / "no" / name)
    assert (caught.value.code, caught.value.where) == ("HG2301", str(tmp_path / "no"))
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))
from test_bad_inputs import OUTPUTS, Path, some_heat
heat = some_heat()
os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)
OUTPUTS[sys.argv[3]](heat, Path(sys.argv[2]) / sys.argv[3])
"""


def test_row_27_a_kill_before_the_last_step_leaves_every_old_output(tmp_path: Path) -> None:
    """Fails if an output gets its name before its bytes are on the disk, or the next run trips over the remains."""
    names = ("a.heat", "a.parquet", "report")
    for name in names:
        OUTPUTS[name](some_heat(20), tmp_path / name)
    before = contents(tmp_path)
    words = [sys.executable, "-c", KILLED, __file__, str(tmp_path)]
    children = [subprocess.Popen([*words, name], stderr=subprocess.PIPE, text=True) for name in names]
    assert [(child.communicate()[1], child.returncode) for child in children] == [("", -signal.SIGKILL)] * 3
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(after) > len(before), "nothing was begun: the test would prove nothing"
    for name in names:
        OUTPUTS[name](some_heat(), tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == set(names), "what the killed runs left is gone"
    after = contents(tmp_path)
    assert all(after[name] != before[name] for name in (*names[:2], "report/index.html"))


# ---- rows 31 and 32: hostile contents


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (sys.exit, ("a pickle was run",))


def sealed(body: bytes) -> bytes:
    """Any bytes as a saved state whose checksum fits."""
    return MAGIC + hashlib.sha256(body).digest() + body


def test_row_31_a_pickle_in_a_config_or_a_file_of_areas_is_refused(
    tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    """Fails if a config or areas file is read by anything that runs what it reads."""
    path = tmp_path / "p.toml"
    path.write_bytes(pickle.dumps(Bomb()))
    pq.write_table(events(2), tmp_path / "a.parquet")
    code, _, err = cli("pages", tmp_path / "a.parquet", "-c", path)
    assert (code, "HG2010" in err) == (3, True)
    code, _, err = cli("pages", tmp_path / "a.parquet", "--areas", path)
    assert (code, "HG2110" in err) == (3, True)
    for name in ("p.heat", "p.parquet", "p.arrow"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
        code, _, err = cli("pages", tmp_path / name)
        assert (code, "HG2" in err) == (3, True)


def bodies() -> dict[str, bytes]:
    out = {"pickle": pickle.dumps(Bomb()), "nothing": b"", "no zip": b"PK\x03\x04 and no more"}
    for name, array in (("object header", np.array([Bomb()], dtype=object)), ("no json", np.zeros(3, np.uint8))):
        file = io.BytesIO()
        np.savez(file, header=array)
        out[name] = file.getvalue()
    return out


@pytest.mark.parametrize("body", ["pickle", "nothing", "no zip", "object header", "no json"])
def test_row_31_a_sealed_pickle_in_a_saved_state_is_refused_unread(tmp_path: Path, body: str) -> None:
    """Fails if ``from_bytes`` of states/store.py reads object arrays, or lets the error of a foreign file through."""
    path = tmp_path / "a.heat"
    path.write_bytes(sealed(bodies()[body]))
    with pytest.raises(InputError):
        hg.load(path)


HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "=cmd()|' /C calc'!A0",
    "\x1b[31mred\x1b[0m\x07", "\u202egnp.exe", "a\nb\r\tc", "</script><b>", "../../etc/passwd", "@SUM(A1)", "+1-1",
    "x" * 3000,
]  # fmt: skip
COLUMN = '=<b onclick="x">\x1b[2J'


class Attributes(HTMLParser):
    """The names of all attributes of a page, as a browser reads them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {name for name, _ in attrs}


def test_row_32_hostile_names_are_text_in_the_report_the_tables_and_the_terminal(
    tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    """Fails if a name reaches HTML unescaped, a CSV cell unquoted, a terminal raw, or a file name as it is."""
    n = len(HOSTILE)
    names = {"page": HOSTILE, "feature": HOSTILE, "session": HOSTILE, COLUMN: HOSTILE}
    kinds = ["click"] * (n - 1) + ["<i>kind\x1b"]
    table = pa.concat_tables([events(n, kind=kinds, **names)] * 40)
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    heat = hg.run(path, by=(COLUMN,), every="week")
    html = heat.report(tmp_path / "report", title=HOSTILE[0]).read_text(encoding="utf-8")
    # our own, and what it reads, which is no script and has no `<` by which it could end early
    blocks = re.findall(r"<script\b([^>]*)>(.*?)</script", html, re.DOTALL)
    assert [kind.strip() for kind, _ in blocks if "type=" not in kind] == [""]
    assert [kind.split('"')[1] for kind, _ in blocks if "type=" in kind] == [
        "application/json", "application/octet-stream",
    ]  # fmt: skip
    assert not any("<" in text for kind, text in blocks if "type=" in kind)
    assert json.loads(blocks[0][1])
    assert [name for name in (*HOSTILE, COLUMN, "<i>kind") if "<" in name and name in html] == []
    assert Attributes(html).names.isdisjoint({"onclick", "onerror", "onmouseover"})
    assert not set("\x1b\x07\u202e") & set(html)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    for file in (tmp_path / "report").rglob("*.csv"):
        text = file.read_text(encoding="utf-8")
        assert not set("\x1b\x07") & set(text)
        cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
        assert [cell for cell in cells if cell[:1] in ("=", "@", "+", "\t", "\r") and not cell[1:].isdigit()] == []
    pictures = [file.name for file in (tmp_path / "report" / "maps").iterdir()]
    assert pictures
    assert all(re.fullmatch(r"\d\d-[a-z0-9-]+\.png", name) for name in pictures)
    for words in (("pages", path), ("features", path, "--by", COLUMN), ("matrix", path, "--columns", COLUMN)):
        code, out, err = cli(*words)
        assert code == 0, err
        assert not set("\x1b\x07\u202e\r") & set(out + err)
        assert len(out.splitlines()) < 600
    code, out, err = cli("pages", path, "--by", HOSTILE[4])
    assert code == 3
    assert "\x1b" not in err
