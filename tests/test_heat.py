"""What a result answers: small numbers withheld, the matrix and its totals, percentiles, errors that name choices."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest

import heatgrid as hg
from heatgrid.engine.finish import representative
from heatgrid.words.errors import UsageError

T0 = 1_790_000_000_000


def events(rows):
    names = ("time", "session", "kind", "page", "feature", "x", "y", "device")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    times = pa.array([T0 + t for t in columns.pop("time")], pa.timestamp("ms", "UTC"))
    return pa.table({"time": times, **{name: list(values) for name, values in columns.items()}})


ROWS = [
    (0, "a", "click", "/p", "buy", 1.0, 1.0, "phone"),
    (1_000, "b", "click", "/p", "buy", 2.0, 2.0, "phone"),
    (2_000, "b", "click", "/p", "help", 100.0, 100.0, "desk"),
    (5_000, "a", "click", "/p", "buy", 3.0, 3.0, "desk"),
    (6_000, "a", "move", "/p", "help", 3.0, 3.0, "desk"),
]


@pytest.fixture(scope="module")
def heat():
    return hg.run(events(ROWS), maps=("clicks", "moves"), by=("device",), every="day")


def test_cells_below_min_sessions_are_withheld_and_counted():
    heat = hg.run(events(ROWS), maps=("clicks", "moves"), min_sessions=2)
    grid = heat.map("clicks")
    assert grid.values[0, 0] == 3  # two sessions
    assert grid.values.sum() == 3  # the lone click of b at (100, 100) is not shown
    assert grid.meta["withheld"] == 1
    points = heat.ledger.measures["clicks"]
    assert (points.rows, points.used, points.withheld) == (4, 3, 1)
    assert heat.ledger.measures["moves"].withheld == 1
    heat.ledger.check()


def test_rows_below_min_sessions_take_the_next_smallest_with_them():
    rows = [(i * 10, f"s{i}", "click", "/p", "common", 0.0, 0.0, "d") for i in range(5)]
    rows += [(100 + i, f"s{i}", "click", "/p", "rarer", 0.0, 0.0, "d") for i in range(3)]
    rows += [(200, "s0", "click", "/p", "lone", 0.0, 0.0, "d")]
    shown = hg.run(events(rows), min_sessions=2).features["feature"].to_pylist()
    assert shown == ["common"]  # `lone` alone would follow from the total of the page
    assert sorted(hg.run(events(rows)).features["feature"].to_pylist()) == ["common", "lone", "rarer"]


def test_the_matrix_and_its_totals(heat):
    matrix = heat.matrix(columns="device")
    assert (matrix.rows, sorted(matrix.columns)) == (["buy", "help"], ["desk", "phone"])
    cell = {(r, c): int(v) for r, line in zip(matrix.rows, matrix.values, strict=True)
            for c, v in zip(matrix.columns, line, strict=True)}  # fmt: skip
    assert cell == {("buy", "desk"): 1, ("buy", "phone"): 2, ("help", "desk"): 2, ("help", "phone"): 0}
    assert matrix.row_totals.tolist() == [2, 2]  # sessions of the whole, not 3
    clicks = heat.matrix(columns="device", values="clicks")
    assert clicks.row_totals.tolist() == [3, 1]
    assert heat.matrix(rows="page", columns="period").values.tolist() == [[2]]


def test_adding_a_segment_never_changes_the_total(heat):
    plain = hg.run(events(ROWS), maps=("clicks", "moves"))
    assert plain.features.equals(heat.features)
    assert np.array_equal(plain.map("clicks").values, heat.map("clicks").values)
    split = [heat.map("clicks", where={"device": d}).values.sum() for d in ("phone", "desk")]
    assert split == [2, 2]


@pytest.mark.parametrize(
    ("ask", "code", "named"),
    [
        (lambda h: h.map("click"), "HG1510", "clicks"),
        (lambda h: h.map("clicks", page="/q"), "HG1514", "/p"),
        (lambda h: h.map("clicks", where={"country": "DE"}), "HG1516", "country"),
        (lambda h: h.map("clicks", where={"device": "fone"}), "HG1514", "phone"),
        (lambda h: h.map("moves", value="sessions"), "HG1512", "moves_sessions"),
        (lambda h: h.matrix(columns="country"), "HG1503", "device"),
        (lambda h: h.matrix(rows="user"), "HG1502", "page"),
        (lambda h: h.matrix(columns="device", values="users"), "HG1504", "distinct users"),
        (lambda h: h.table("widgets"), "HG1501", "pages"),
    ],
)
def test_errors_name_what_there_is(heat, ask, code, named):
    with pytest.raises(UsageError) as caught:
        ask(heat)
    assert caught.value.code == code
    assert named in str(caught.value)


def test_the_representative_is_within_0_8_percent():
    """Of every bucket that a duration up to a day can fall in; exact below 128."""
    value = np.unique(np.r_[np.arange(5_000), np.geomspace(5_000, 86_400_000, 20_000).astype(np.int64)])
    octave = np.maximum(0, np.frexp(value)[1] - 6)  # 64 .. 127 is octave 1
    bucket = np.where(octave == 0, value, octave * 64 + (value >> np.maximum(octave - 1, 0)) - 64)
    found = representative(bucket)
    assert (found[value < 128] == value[value < 128]).all()
    assert (np.abs(found - value) <= 0.008 * value).all()


def test_a_source_without_sessions_says_what_would_unlock_them():
    heat = hg.run(events(ROWS).drop_columns(["session"]))
    assert heat.summary["sessions"] is None
    assert any("--map session=" in note for note in heat.summary["notes"])
    assert heat.features["dwell_ms"].null_count == heat.features.num_rows
    assert heat.map("clicks").values.sum() == 4


def test_a_lone_withheld_cell_does_not_follow_from_its_row_total():
    """Each feature has 10 sessions in DE and 2 in FR: FR is hidden, so DE must go too."""
    rows = [(i, f"s{i}", "click", "/p", f, 0.0, 0.0, "DE" if i < 10 else "FR") for i in range(12) for f in ("A", "B")]
    heat = hg.run(events(rows), by=("device",), min_sessions=5)
    assert heat.table("features").num_rows == 0
    assert heat.features["sessions"].to_pylist() == [12, 12]


def test_a_segment_named_like_a_counter_keeps_its_column():
    table = events(ROWS).append_column("events", pa.array(["x", "y", "x", "y", "x"]))
    heat = hg.run(table, by=("events",))
    assert sorted(heat.table("features")["by_events"].unique().to_pylist()) == ["x", "y"]
    assert heat.matrix(columns="events", values="clicks").values.sum() == 4


@pytest.mark.parametrize(
    ("every", "days", "labels"),
    [
        ("week", (0, 21), ["2026-W39", "2026-W40", "2026-W41", "2026-W42"]),
        ("day", (0, 2), ["2026-09-21", "2026-09-22", "2026-09-23"]),
        ("month", (0, 62), ["2026-09", "2026-10", "2026-11"]),
    ],
)
def test_a_period_in_which_nothing_happened_is_a_column_of_0(every, days, labels):
    rows = [(day * 86_400_000, "a", "click", "/p", "buy", 1.0, 1.0, "phone") for day in days]
    matrix = hg.run(events(rows), every=every).matrix(values="clicks")
    assert matrix.columns == labels
    assert matrix.values.tolist() == [[1] + [0] * (len(labels) - 2) + [1]]


def test_hours_between_two_events_are_there_also_where_the_clock_changes():
    """The night of 2026-10-25 in Berlin has the hour 02 twice."""
    rows = [(0, "a", "click", "/p", "buy", 1.0, 1.0, "x"), (4 * 3_600_000, "a", "click", "/p", "buy", 1.0, 1.0, "x")]
    table = events(rows)
    shifted = pa.compute.add(table["time"], pa.scalar(1_792_879_200_000 - T0, pa.duration("ms")))
    matrix = hg.run(table.set_column(0, "time", shifted), every="hour", tz="Europe/Berlin").matrix(values="clicks")
    hours = [
        "2026-10-25T00+0200",
        "2026-10-25T01+0200",
        "2026-10-25T02+0200",
        "2026-10-25T02+0100",
        "2026-10-25T03+0100",
    ]
    assert sorted(matrix.columns) == sorted(hours)


def test_a_small_request_starts_no_thread(monkeypatch):
    """Fails if a service pays for threads with each call: two thirds of the time of 10,000 rows."""
    started = []
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: (started.append(self.name), start(self)))
    alone = hg.run(events(ROWS))
    assert started == []
    assert hg.run(events(ROWS), threads=2).features == alone.features
    assert started != []
