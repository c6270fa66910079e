"""The engine says what the slow oracle says: every column, every lane, any layout, chunking and block size."""

from __future__ import annotations

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heatgrid as hg
from answers import cells_of, differences, of_heat, of_oracle, run_engine, table_of
from heatgrid.demo.generate import generate, write
from heatgrid.engine import periods
from heatgrid.words.errors import HeatgridError
from oracle import sql
from strategies import BLOCKS, LANES, SMALL, Input, event_files, in_order, plans, shapes

EXAMPLES = settings(SMALL, max_examples=60)
YEAR_2000, YEAR_2101 = 946_684_800_000_000, 4_133_980_800_000_000


@st.composite
def cases(draw, ids=("session", "session", "both", "user", "none"), **kwargs):
    data = draw(event_files(ids=draw(st.sampled_from(ids)), **kwargs))
    return data, draw(plans(set(data.columns))), draw(shapes())


@EXAMPLES
@given(case=cases(), **LANES)
def test_every_number(case, **lane):
    data, plan, shape = case
    heat = run_engine(data, plan, shape, **lane)
    heat.ledger.check()
    assert differences(of_oracle(data, plan), of_heat(heat)) == []


@EXAMPLES
@given(case=cases(ids=("session", "both", "user")), block_rows=BLOCKS, promise=st.sampled_from(("time", "session")))
def test_a_kept_promise_of_order_is_never_refused(case, block_rows, promise):
    data, plan, shape = case
    data = in_order(data, promise)
    heat = run_engine(data, plan, shape, order=promise, block_rows=block_rows)
    assert heat.lane == {"time": "T", "session": "S"}[promise]
    assert differences(of_oracle(data, plan), of_heat(heat)) == []


@EXAMPLES
@given(
    case=cases(ids=("session", "both", "user")),
    block_rows=BLOCKS,
    promise=st.sampled_from(("time", "session")),
    lateness=st.sampled_from((0, 1, 60_000)),
)
def test_a_broken_promise_is_an_error_or_does_no_harm(case, block_rows, promise, lateness):
    data, plan, shape = case
    plan["lateness_ms"] = lateness
    try:
        heat = run_engine(data, plan, shape, order=promise, block_rows=block_rows)
    except HeatgridError as error:
        code = error.code
        assert code == "HG2240", error  # noqa: PT017 - whether it is raised depends on the case
        return
    assert differences(of_oracle(data, plan), of_heat(heat)) == []


def demo_input(rows, seed):
    """A small demo dump as rows for the oracle."""
    names = ("time", "session", "user", "account", "tab", "page", "kind", "x", "y", "pointer", "viewport_w", "scroll_y",
             "feature", "event_id", "device", "plan")  # fmt: skip
    found = []
    for batch in generate(rows, seed=seed, sessions=rows // 60):
        table = batch.select(list(names))
        times = table["time"].cast("int64").to_pylist()
        found += [{**row, "time": t} for row, t in zip(table.drop_columns(["time"]).to_pylist(), times, strict=True)]
    for row in found:
        row["event_id"] = str(row["event_id"])
        row["scroll_y"] = None if row["scroll_y"] is None else float(row["scroll_y"])
    return Input([found], names, "ms", "float", "int32")


@pytest.mark.parametrize("order", ["auto", "any"])
def test_the_demo_dump_with_all_its_dirt(order):
    data = demo_input(4000, seed=3)
    plan = {"maps": ("clicks", "moves"), "by": ("device", "account"), "every": "week", "session_gap": 1_800_000,
            "tz": "Europe/Berlin", "distinct": ("users",), "frame": "viewport"}  # fmt: skip
    assert differences(of_oracle(data, plan), of_heat(run_engine(data, plan, order=order))) == []


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    path = tmp_path_factory.mktemp("dump") / "events.parquet"
    write(path, 200_000, seed=11)
    return path


@pytest.mark.parametrize("order", ["auto", "any"])
def test_duckdb_says_the_same_of_200_000_rows(dump, order):
    heat = hg.run(hg.read(dump), order=order, threads=2, keep_bots=True)
    has = {*pq.read_schema(dump).names, "file_row_number"}
    source = f"""(SELECT * FROM {sql.parquet([dump])}
                  WHERE epoch_us(time) >= {YEAR_2000} AND epoch_us(time) < {YEAR_2101} AND session IS NOT NULL
                  QUALIFY row_number() OVER (PARTITION BY session, event_id ORDER BY time, file_row_number) = 1
                    OR event_id IS NULL)"""
    with duckdb.connect(config={"threads": 2}) as db:
        cells = db.execute(sql.click_cells(source, has)).fetchall()
        want = {}
        for page, bucket, fixed, iy, ix, events, sessions in cells:
            want.setdefault(("clicks", page, bucket, fixed, (), None), {})[iy, ix] = (events, sessions)
        assert len(cells) > 1000
        assert differences(want, cells_of(heat.state, False, False)) == []
        for thing in ("feature", "page"):
            rows = db.execute(sql.dwell(source, has, key=thing)).fetchall()
            columns = ("events", "clicks", "sessions", "dwell_ms", "visits")
            want = {(name,): dict(zip(columns, values, strict=True)) for name, *values in rows}
            got = table_of(heat.features if thing == "feature" else heat.pages)
            assert differences(want, {k: {c: row[c] for c in columns} for k, row in got.items()}) == []
        (accepted,) = db.execute(f"SELECT count(*) FROM {source}").fetchone()
        assert heat.ledger.accepted == accepted


def agree(rows, plan, unit="ms", columns=None):
    """Engine and oracle on a few rows, which differ in a point that random cases reach seldom."""
    data = Input([rows], columns or tuple(rows[0]), unit)
    assert differences(of_oracle(data, plan), of_heat(run_engine(data, plan))) == []


T0 = 1_788_220_800_000


@pytest.mark.parametrize("owner", ["session", "user"])
def test_a_batch_in_which_nobody_is_named(owner):
    agree([{"time": T0 + i, owner: None, "page": "/a"} for i in range(3)], {})


def test_viewport_points_scroll_without_sessions_too():
    row = {"time": T0, "kind": "click", "x": 1.0, "y": 5.0, "scroll_y": 100.0}
    agree([row, {**row, "scroll_y": None}], {"frame": "viewport"})


def test_runs_cut_from_users_are_not_resumed_sessions():
    agree([{"time": T0 + i * 3_600_000, "user": "u", "page": "/a"} for i in range(3)], {})


@pytest.mark.parametrize("width", [-5, 0, 1])
def test_a_width_that_cannot_be_is_in_no_range(width):
    row = {"time": T0, "session": "s", "kind": "click", "x": 1.0, "y": 1.0, "viewport_w": width}
    areas = [{"name": "narrow", "x0": 0, "x1": 2, "y0": 0, "y1": 2, "max_width": 600}]
    agree([row], {"areas": areas})


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "America/Havana", "Africa/Cairo", "Europe/Berlin"])
@pytest.mark.parametrize("every", ["hour", "day", "week", "month"])
def test_periods_across_a_year_of_clock_changes(zone, every):
    """Lord Howe moves its clock by half an hour, Havana and Cairo at midnight."""
    start = 1_767_225_600
    rows = [{"time": start + 3600 * hour + 900 * (hour % 4), "session": "s"} for hour in range(0, 24 * 365, 5)]
    changes = [start + 86_400 * day for day in (66, 67, 93, 94, 113, 276, 297, 303, 304)]
    rows += [{"time": day + 1800 * half, "session": "s"} for day in changes for half in range(48)]
    agree(rows, {"every": every, "tz": zone}, unit="s")


@pytest.mark.parametrize("time", [None, 0, 2**33 * 1000])
def test_rejected_times_make_no_periods(time, monkeypatch):
    """A row without a time, the first of its batch too, must not name every hour since 1970."""
    label, made = periods.Periods._label, []
    monkeypatch.setattr(periods.Periods, "_label", lambda self, start: made.append(start) or label(self, start))
    rows = [{"time": t, "session": "s", "page": "/a"} for t in (time, T0, time, T0 + 3_600_000)]
    agree(rows, {"every": "hour"})
    assert len(made) <= 24 * 4  # the quarters of the one day that occurs
