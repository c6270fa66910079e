"""Tables and grids as files: exact back and forth, harmless in spreadsheets, no pickle."""

from __future__ import annotations

import csv
import io
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatgrid.outputs.grid import Grid
from heatgrid.outputs.matrix import Matrix
from heatgrid.outputs.tables import FORMATS, format_of, read_npz, write_grid, write_table
from heatgrid.outputs.text import FORMULA, compact, csv_cell, drawable, duration, short, visible
from heatgrid.words.errors import InputError, LimitError, UsageError

HOSTILE = ["=cmd()|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\x1b[31mred", '<b>"q"</b>', "a,b\nc", ""]


def sample() -> pa.Table:
    return pa.table(
        {
            "feature": pa.array([*HOSTILE, None]),
            "coded": pa.array([*HOSTILE, None]).dictionary_encode(),
            "count": pa.array([2**60, None, *range(9)]),
            "ratio": pa.array([float("nan"), None, float("inf"), *([0.5] * 8)]),
            "time": pa.array([1, None, *range(9)], pa.timestamp("ms", "UTC")),
            "=flag": pa.array([True, None, *([False] * 9)]),
        }
    )


def rows_of(path: Path) -> list[list[str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_arrow_formats_keep_everything(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    write_table(sample(), path)
    if suffix == "parquet":
        back = pq.read_table(path)
    else:
        with pa.ipc.open_file(path) as reader:
            back = reader.read_all()
    for name in ("feature", "count", "time", "=flag"):
        assert back[name].equals(sample()[name])
    assert back["coded"].cast(pa.string()).equals(sample()["feature"])


def test_csv_cells_are_text_and_nothing_runs(tmp_path: Path) -> None:
    write_table(sample(), tmp_path / "x.csv")
    head, *rows = rows_of(tmp_path / "x.csv")
    assert head[-1] == "'=flag"
    for column in (0, 1):
        cells = [row[column] for row in rows]
        assert cells[:6] == ["'" + HOSTILE[0], "'+1", "'-1", "'@SUM(A1)", "'\tx", "'\rx"]
        assert cells[6:9] == ["\\x1b[31mred", HOSTILE[7], HOSTILE[8]]
        assert not any(cell[:1] and cell[0] in FORMULA for cell in cells)
    assert rows[0][2] == str(2**60), "a number stays a number"
    assert b"\x1b" not in (tmp_path / "x.csv").read_bytes()


def test_negative_numbers_are_not_text(tmp_path: Path) -> None:
    write_table(pa.table({"n": [-5]}), tmp_path / "x.csv")
    assert rows_of(tmp_path / "x.csv")[1] == ["-5"]


@given(st.text())
def test_no_csv_cell_starts_a_formula_or_carries_an_escape(text: str) -> None:
    cell = csv_cell(text)
    assert not cell or cell[0] not in FORMULA
    assert not any(c in cell for c in "\x1b\x00\x7f\x9b")


def test_json_is_one_versioned_object(tmp_path: Path) -> None:
    write_table(sample(), tmp_path / "x.json")
    data = json.loads((tmp_path / "x.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert data["heatgrid"] == 1
    assert data["columns"] == sample().column_names
    assert [row[0] for row in data["rows"]] == [*HOSTILE, None]
    assert data["rows"][0][2] == 2**60
    assert data["rows"][0][3] is None, "NaN has no form in JSON"
    assert data["rows"][0][4].startswith("1970-01-01T00:00:00.001")


def test_json_of_no_rows(tmp_path: Path) -> None:
    write_table(sample().slice(0, 0), tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text())["rows"] == []


def test_npz_holds_plain_arrays(tmp_path: Path) -> None:
    write_table(sample(), tmp_path / "x.npz")
    arrays = read_npz(tmp_path / "x.npz")
    assert arrays["feature"].dtype.kind == "U"
    assert arrays["feature"].tolist()[:10] == HOSTILE
    assert arrays["feature.valid"].tolist() == [True] * 10 + [False]
    assert arrays["count"].dtype == np.int64
    assert arrays["count"][0] == 2**60
    assert not arrays["count.valid"][1]
    assert np.isnat(arrays["time"][1])
    assert all(array.dtype.kind != "O" for array in arrays.values())


def test_npz_bytes_depend_on_the_arrays_only(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_table(sample(), tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (sys.exit, ("a pickle was run",))


def test_a_pickle_in_an_npz_is_refused_unread(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array([Bomb()], dtype=object))
    with pytest.raises(InputError, match="HG2310"):
        read_npz(tmp_path / "x.npz")
    (tmp_path / "y.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="HG2310"):
        read_npz(tmp_path / "y.npz")
    (tmp_path / "z.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match="HG2310"):
        read_npz(tmp_path / "z.npz")


def test_one_long_string_does_not_blow_up_an_npz(tmp_path: Path) -> None:
    table = pa.table({"page": pa.array(["/"] * 200_000 + ["x" * 2000])})
    with pytest.raises(LimitError, match="HG4310"):
        write_table(table, tmp_path / "x.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.xls", "x", "x.CSVV"])
def test_an_unknown_suffix_lists_the_formats(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.parquet \.arrow \.csv \.json \.npz"):
        write_table(sample(), tmp_path / name)


def test_the_format_may_be_named() -> None:
    assert format_of("x.dat", "csv") == "csv"
    assert format_of("X.CSV") == "csv"
    assert format_of("-") == "csv"
    with pytest.raises(UsageError, match="HG1320"):
        format_of("x.csv", "excel")


def test_stdout_gets_the_bytes_and_stays_open(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2]})
    for format_ in FORMATS:
        write_table(table, "-", format_)
        out = capfdbinary.readouterr().out
        write_table(table, tmp_path / f"x.{format_}")
        assert out == (tmp_path / f"x.{format_}").read_bytes()
    assert not sys.stdout.closed


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_failed_table_leaves_the_old_one(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / f"x.{suffix}"
    write_table(sample(), target)
    old = target.read_bytes()

    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("heatgrid.outputs.atomic.os.fdopen", lambda *a, **k: Full())
    with pytest.raises(LimitError, match="HG4301"):
        write_table(sample(), target)
    monkeypatch.undo()
    assert target.read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 1


def grid() -> Grid:
    values = np.zeros((3, 4), np.int64)
    values[1, 2], values[2, 3] = 5, 2**40
    return Grid(
        values, (0.0, 32.0, 0.0, 24.0), used=5 + 2**40, outside=3, invalid=1, meta={"page": "/", "n": np.int64(7)}
    )


def test_a_grid_is_dense_in_npz(tmp_path: Path) -> None:
    grid().save(tmp_path / "g.npz")
    arrays = read_npz(tmp_path / "g.npz")
    assert np.array_equal(arrays["values"], grid().values)
    assert arrays["extent"].tolist() == [0, 32, 0, 24]
    assert (int(arrays["used"]), int(arrays["outside"]), int(arrays["invalid"])) == (5 + 2**40, 3, 1)
    assert json.loads(str(arrays["meta"])) == {"page": "/", "n": 7}


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "csv", "json"])
def test_a_grid_is_sparse_elsewhere_and_says_its_extent(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"g.{suffix}"
    write_grid(grid(), path)
    expected = [[1, 2, 20.0, 12.0, 5], [2, 3, 28.0, 20.0, 2**40]]
    if suffix == "csv":
        assert [[float(v) for v in row] for row in rows_of(path)[1:]] == expected
        return
    if suffix == "json":
        data = json.loads(path.read_text())
        assert data["rows"] == expected
        facts = data
    else:
        table = pq.read_table(path) if suffix == "parquet" else pa.ipc.open_file(path.read_bytes()).read_all()
        assert [list(row.values()) for row in table.to_pylist()] == expected
        facts = json.loads(table.schema.metadata[b"heatgrid"])
    assert facts["extent"] == [0, 32, 0, 24]
    assert facts["shape"] == [3, 4]
    assert (facts["used"], facts["outside"], facts["invalid"]) == (5 + 2**40, 3, 1)


def test_a_matrix_is_sorted_by_total_then_name_with_declared_rows() -> None:
    made = Matrix.build(
        ["b", "a", "c", "a"], ["w1", "w2", "w1", "w1"], [3, 1, 9, 2], value="clicks", declared=["unused", "a"], n=40
    )
    assert made.rows == ["c", "a", "b", "unused"]
    assert made.columns == ["w1", "w2"]
    assert made.values.tolist() == [[9, 0], [2, 1], [3, 0], [0, 0]]
    assert made.row_totals is not None
    assert made.row_totals.tolist() == [9, 3, 3, 0]
    assert made.column_totals is not None
    assert made.column_totals.tolist() == [14, 1]
    assert made.to_table().to_pylist()[0] == {"feature": "c", "w1": 9, "w2": 0, "total": 9}


def test_distinct_counts_have_totals_only_where_they_are_known() -> None:
    rows, columns, values = ["a", "a", "b"], ["w1", "w2", "w2"], [5, 5, 7]
    bare = Matrix.build(rows, columns, values, value="sessions")
    assert bare.row_totals is None
    assert bare.column_totals is None
    known = Matrix.build(rows, columns, values, value="sessions", row_totals={"a": 6, "b": 7})
    assert known.rows == ["b", "a"], "sorted by the distinct total, not by the sum of columns"
    assert known.to_table()["total"].to_pylist() == [7, 6]


def test_columns_of_segments_are_sorted_by_total_and_names_may_clash() -> None:
    made = Matrix.build(["a", "a"], ["total", "feature"], [1, 5], value="clicks", column_name="device")
    assert made.columns == ["feature", "total"]
    assert made.to_table().column_names == ["feature", "feature (2)", "total", "total (2)"]


def test_a_matrix_of_nothing() -> None:
    made = Matrix.build([], [], [], value="sessions")
    assert made.to_table().num_rows == 0


@given(st.text(), st.integers(5, 60))
def test_names_are_shown_as_printable_text(text: str, width: int) -> None:
    assert visible(text).isprintable() or "\u2028" not in visible(text)
    assert not any(c in visible(text) for c in "\x00\x07\x1b\x9b\u202e\n\r")
    assert len(short(text, width)) <= width


def test_both_ends_of_a_long_name_stay() -> None:
    assert short("/docs/" + "x" * 100 + "/edit", 20).startswith("/docs/")
    assert short("/docs/" + "x" * 100 + "/edit", 20).endswith("/edit")


def test_pictures_spell_out_what_their_font_lacks() -> None:
    assert drawable("café – 日") == "cafe - \\u65e5"


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0.0 s"),
        (850, "0.8 s"),
        (12_345, "12 s"),
        (200_000, "3 min 20 s"),
        (18_720_000, "5 h 12 min"),
        (5e8, "5 d 18 h"),
    ],
)
def test_durations(ms: float, text: str) -> None:
    assert duration(ms) == text


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0"), (999, "999"), (1234, "1.2k"), (999_600, "1.0M"), (-5_600_000, "-5.6M")]
)
def test_compact_numbers(n: int, text: str) -> None:
    assert compact(n) == text
