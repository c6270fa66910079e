"""Releases: moments read from every way of writing them, that cut periods (test_engine_oracle has them among its
plans) or mark them, in tables, pictures and saved states."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import heatgrid as hg
from heatgrid.cli import main
from heatgrid.outputs.matrix_pictures import MARK
from heatgrid.words.errors import HeatgridError

HOUR = 3600 * 1000
T0 = 1_788_220_800_000  # 2026-09-01T00:00:00Z


def events(hours: list[int], session: str = "s") -> pa.Table:
    return pa.table(
        {
            "time": pa.array([T0 + h * HOUR for h in hours], pa.timestamp("ms", "UTC")),
            "session": [f"{session}{h // 24}" for h in hours],
            "kind": ["click"] * len(hours),
            "feature": ["buy"] * len(hours),
            "x": [1.0] * len(hours),
            "y": [1.0] * len(hours),
        }
    )


@pytest.mark.parametrize(
    "given",
    [
        {"2.1": "2026-09-01", "2.2": "2026-09-02T10:00"},
        {"2.1": date(2026, 9, 1), "2.2": datetime(2026, 9, 2, 8, 0, tzinfo=UTC)},
        ["2.2=2026-09-02T10:00:00+02:00", "2.1=2026-08-31T22:00Z"],
        [{"name": "2.1", "at": "2026-09-01"}, ("2.2", "2026-09-02T10:00")],
        "releases.toml",
        "releases.csv",
    ],
    ids=["mapping", "dates", "texts", "rows", "toml", "csv"],
)
def test_every_way_to_write_them(given: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if naive moments are of UTC, or a file's dates are not those of its zone."""
    monkeypatch.chdir(tmp_path)
    Path("releases.csv").write_text("name,at\n2.2,2026-09-02 10:00\n2.1,2026-09-01\n")
    Path("releases.toml").write_text(
        '[[release]]\nname = "2.1"\nat = 2026-09-01\n[[release]]\nname = "2.2"\nat = 2026-09-02T10:00:00\n'
    )
    plan = hg.Plan(releases=given, every="week", tz="Europe/Berlin")
    assert [(r.name, r.at_ms) for r in plan.release_list] == [("2.1", T0 - 2 * HOUR), ("2.2", T0 + 32 * HOUR)]
    assert hg.Plan.from_dict(plan.as_dict()) == plan


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"a": "soon"}, "HG1161"),
        ({"": "2026-09-01"}, "HG1161"),
        ([3], "HG1161"),
        (["a=2026-09-01", "a=2026-09-02"], "HG1162"),
        ([{"name": "a", "when": "2026-09-01"}], "HG1163"),
        ("nowhere.toml", "HG2150"),
        ((), "HG1164"),
    ],
)
def test_what_is_no_release_is_refused(given: object, code: str) -> None:
    with pytest.raises(HeatgridError) as caught:
        hg.Plan(releases=given, every="release")
    assert caught.value.code == code


def test_a_release_begins_with_its_own_moment() -> None:
    """Fails if a stretch is open on the left, or closed on the right."""
    heat = hg.run(events([0, 9, 10, 11, 30]), every="release", releases={"2.1": "2026-09-01T10:00Z"}, tz="UTC")
    rows = heat.table("features").select(["period", "clicks"]).to_pylist()
    assert rows == [
        {"period": "(before 2.1)", "clicks": 2},
        {"period": "2026-09-01T10:00 2.1", "clicks": 3},
    ]
    made = heat.matrix(values="clicks")
    assert made.columns == ["(before 2.1)", "2026-09-01T10:00 2.1"]
    assert made.values.tolist() == [[2, 3]]


def test_whole_seconds_come_before_a_moment_within_them() -> None:
    """Fails if a moment is rounded down to the ticks of the source."""
    table = events([0, 1])
    table = table.set_column(0, "time", pa.array([T0 // 1000, T0 // 1000 + 1], pa.timestamp("s", "UTC")))
    heat = hg.run(table, every="release", releases={"a": "2026-09-01T00:00:00.5"})
    assert heat.table("features")["period"].to_pylist() == ["(before a)", "2026-09-01T00:00:00.500 a"]


def test_a_stretch_without_rows_is_a_column_of_0() -> None:
    releases = {"a": "2026-09-01T01:00", "b": "2026-09-01T02:00", "c": "2026-09-03", "later": "2027-01-01"}
    made = hg.run(events([1, 60]), every="release", releases=releases).matrix(values="clicks")
    assert dict(zip(made.columns, made.values[0].tolist(), strict=True)) == {
        "2026-09-01T01:00 a": 1, "2026-09-01T02:00 b": 0, "2026-09-03 c": 1,
    }  # fmt: skip


def test_marks_stand_in_tables_pictures_and_states(tmp_path: Path) -> None:
    """A release outside of the data is listed, and marks nothing. Fails if columns are marked by place, not name."""
    heat = hg.run(events([0, 30, 60]), every="day", releases={"2.1": "2026-09-02T12:00", "9": "2030-01-01"})
    assert heat.releases.to_pylist() == [
        {"release": "2.1", "at": datetime(2026, 9, 2, 12, tzinfo=UTC), "period": "2026-09-02"},
        {"release": "9", "at": datetime(2030, 1, 1, tzinfo=UTC), "period": "2030-01-01"},
    ]
    assert heat.summary["releases"][0] == {"name": "2.1", "at": "2026-09-02T12:00:00Z"}
    made = heat.matrix(values="clicks")
    assert made.marks == [("2026-09-02", "2.1")]
    assert b'"2026-09-02"' in made.to_table().schema.metadata[b"heatgrid.releases"]
    made.save(tmp_path / "m.png")
    pixels = np.asarray(Image.open(tmp_path / "m.png").convert("RGB")).astype(int)
    at = np.argwhere((np.abs(pixels - MARK) < 12).all(axis=2))
    made.marks = []
    made.save(tmp_path / "n.png")
    other = np.asarray(Image.open(tmp_path / "n.png").convert("RGB")).astype(int)
    assert not (np.abs(other - MARK) < 12).all(axis=2).any()
    # one bar of one column's width, in the middle column
    assert len(at) > 60
    assert np.ptp(at[:, 0]) == 2
    assert np.ptp(at[:, 1]) < 80
    heat.save(tmp_path / "a.heat")
    assert hg.load(tmp_path / "a.heat").releases.equals(heat.releases)


def test_states_of_more_releases_add_up_unless_those_cut_periods() -> None:
    """Marks are no part of what a state counts; a cut is."""
    first = {"2.1": "2026-09-01T10:00"}
    more = first | {"2.2": "2026-09-03"}
    a, b = (hg.run(events(h, s), every="day", releases=r) for h, s, r in (([0, 30], "a", first), ([50], "b", more)))
    assert hg.merge([a, b]).releases["release"].to_pylist() == ["2.1", "2.2"]
    for others, code in (({"2.1": "2026-09-02"}, "HG1608"), ({"2.1": "2026-09-01T10:00"}, None)):
        c = hg.run(events([50], "c"), every="day", releases=others)
        if code is None:
            assert hg.merge([a, c]).releases.equals(a.releases)
            continue
        with pytest.raises(HeatgridError) as caught:
            hg.merge([a, c])
        assert caught.value.code == code
    a, b = (hg.run(events(h, s), every="release", releases=r) for h, s, r in (([0], "a", first), ([50], "b", more)))
    with pytest.raises(HeatgridError) as caught:
        hg.merge([a, b])
    assert caught.value.code == "HG1602"
    assert "releases" in str(caught.value)


def test_the_command(tmp_path: Path) -> None:
    pq.write_table(events([0, 9, 10, 30]), tmp_path / "e.parquet")
    (tmp_path / "r.csv").write_text("name,at\n2.1,2026-09-01T10:00\n")
    out = tmp_path / "m.csv"
    code = main(
        ["matrix", str(tmp_path / "e.parquet"), "--columns", "period", "--every", "release", "--releases",
        str(tmp_path / "r.csv"), "--values", "clicks", "-q", "-o", str(out)]
    )  # fmt: skip
    assert code == 0
    assert out.read_text().splitlines()[0].replace('"', "") == "feature,(before 2.1),2026-09-01T10:00 2.1,total"
    assert out.read_text().splitlines()[1].replace('"', "") == "buy,2,2,4"
