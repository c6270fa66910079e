"""First and last clicks of views, and clicks before a goal, by hand: what no oracle sees, refusals, the CLI."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import heatgrid as hg
from answers import cells_of, run_engine
from heatgrid.cli import main
from heatgrid.engine.lanes import run_plan
from heatgrid.engine.measures import goals
from heatgrid.words.errors import UsageError
from oracle import sessions as oracle
from strategies import GOALS, LANES, SMALL, event_files, plans

START = 1_788_220_800_000
PLAN = {"maps": ("clicks", "first_clicks", "last_clicks"), "tables": (), "cell": 10}


def table(rows):
    """rows : (ms, session, kind, page, x)."""
    time, session, kind, page, x = zip(*rows, strict=True)
    stamps = pa.array(np.array(time) + START, pa.timestamp("ms", "UTC"))
    return pa.table(
        {"time": stamps, "session": pa.array(session), "kind": pa.array(kind), "page": pa.array(page),
         "x": pa.array(x, pa.float64()), "y": pa.array([5.0] * len(x))}
    )  # fmt: skip


def cells(heat, layer, **where):
    values = heat.map(layer, **where).values
    return {int(ix): int(values[iy, ix]) for iy, ix in zip(*np.nonzero(values), strict=True)}


def test_a_small_case_by_hand():
    rows = [
        (0, "a", "pageview", "/", None), (1, "a", "click", "/", 15.0), (2, "a", "click", "/", 25.0),
        (3, "a", "click", "/", 35.0), (4, "a", "pageview", "/", None), (5, "a", "click", "/", 15.0),
        (6, "a", "move", "/", 95.0), (7, "a", "pageview", "/", None), (8, "b", "click", "/", 25.0),
    ]  # fmt: skip
    heat = hg.run(table(rows), **PLAN)
    assert cells(heat, "clicks") == {1: 2, 2: 2, 3: 1}
    assert cells(heat, "first_clicks") == {1: 2, 2: 1}
    assert cells(heat, "last_clicks") == {1: 1, 2: 1, 3: 1}
    assert cells(heat, "first_clicks", value="sessions") == {1: 1, 2: 1}
    assert heat.ledger.measures["first_clicks"].rows == 3
    assert [row["layer"] for row in heat.layers().to_pylist()] == ["clicks", "first_clicks", "last_clicks"]


@pytest.mark.parametrize("block_rows", [5000, 1 << 17])
def test_many_views_open_at_once_and_closed_at_once(block_rows):
    n = 9000
    rows = [(0, "early", "click", "/", 95.0), *((0, f"s{i}", "pageview", "/", None) for i in range(n))]
    rows += [(k, f"s{i}", "click", "/", 10.0 * (k + i % 5)) for k in (1, 2, 3) for i in range(n)]
    heat = hg.Heat(run_plan(hg.read(table(rows)), hg.Plan(**PLAN), block_rows=block_rows).state)
    assert cells(heat, "first_clicks") == {1 + k: n // 5 for k in range(5)} | {9: 1}
    assert cells(heat, "last_clicks") == {3 + k: n // 5 for k in range(5)} | {9: 1}
    again = hg.run(
        table([(ms + 10, *rest) for ms, *rest in rows] + [(99, f"s{i}", "pageview", "/", None) for i in range(n)]),
        **PLAN,
    )
    assert cells(again, "last_clicks") == cells(heat, "last_clicks")


def test_refused_with_what_unlocks_them():
    rows = table([(0, "a", "click", "/", 15.0)])
    without = hg.run(rows.drop_columns(["session"]), **PLAN)
    assert "session or user column" in without.refused["first_clicks"]
    assert any("first clicks, last clicks are off" in line for line in without.refusals())
    with pytest.raises(UsageError) as caught:
        without.map("last_clicks")
    assert caught.value.code == "HG1511"
    flushed = hg.run(hg.read(rows, evidence={"time_quality": "flush:5000"}), **PLAN)
    assert "flush" in flushed.refused["last_clicks"]
    with pytest.raises(UsageError) as caught:
        flushed.map("last_clicks")
    assert caught.value.code == "HG1540"
    assert cells(flushed, "clicks") == {1: 1}
    unseen = hg.run(hg.read(rows, evidence={"has": ["boxes"]}), **PLAN)
    assert "views" in unseen.refused["first_clicks"]


GOAL = {"maps": ("clicks", "goal_clicks"), "goal": "input:/b", "tables": (), "cell": 10}


def test_clicks_before_a_goal_by_hand():
    rows = [
        (0, "a", "click", "/", 15.0), (1, "b", "click", "/", 15.0), (2, "a", "input", "/a", None),
        (3, "a", "input", "/b", None), (4, "a", "click", "/", 25.0), (5, "b", "click", "/b", 35.0),
        (6, "c", "click", "/", 15.0), (7, "c", "click", "/", 15.0), (8, "c", "input", "/b", None),
        (9, "c", "click", "/", 45.0), (9, "c", "input", "/b", None),
    ]  # fmt: skip
    heat = hg.run(table(rows), **GOAL)
    assert cells(heat, "goal_clicks", page="/") == {1: 3, 4: 1}
    assert cells(heat, "goal_clicks", page="/", value="sessions") == {1: 2, 4: 1}
    assert heat.ledger.measures["goal_clicks"].rows == 4
    assert heat.map("goal_clicks", page="/").meta["told"] == "clicks of sessions that later reached input:/b"
    assert "exposure" not in heat.refused, "a goal alone asks for its table, which needs a layout; a map of it does not"
    itself = hg.run(table(rows), **GOAL | {"goal": "click"})
    assert cells(itself, "goal_clicks", page="/") == {1: 4}, "a row is not before itself"


def test_a_click_before_a_goal_is_drawn_in_the_width_of_its_own_view():
    """Two tabs of one session: the width of the second is told after click and goal, that of the first never."""
    rows = [(0, "a", "click", "/", 15.0), (1, "a", "click", "/", 25.0), (2, "a", "input", "/b", None)]
    rows += [(3, "a", "scroll", "/", None)]
    told = table(rows).append_column("tab", pa.array(["1", "2", "3", "2"]))
    told = told.append_column("viewport_w", pa.array([None, None, 1500, 700]))
    told = told.append_column("count", pa.array([7, 1, 1, 1]))
    heat = hg.run(told, **GOAL)
    found = {row["bucket"]: row["events"] for row in heat.layers().to_pylist() if row["layer"] == "goal_clicks"}
    assert found == {"unknown": 7, "600-1024": 1}


@pytest.mark.parametrize("block_rows", [700, 1 << 17])
def test_more_clicks_before_a_goal_than_any_room(block_rows):
    n = 9000
    rows = [(k, f"s{i}", "click", "/", 10.0 * (k + i % 5)) for k in (1, 2) for i in range(n)]
    rows += [(3, f"s{i}", "input", "/b", None) for i in range(0, n, 2)]
    rows += [(4, "many", "click", "/", 95.0) for _ in range(20_000)] + [(5, "many", "input", "/b", None)]
    plan = hg.Plan(**GOAL, keep_bots=True)  # by its pace the giant one is a bot's
    whole = [run_plan(hg.read(table(rows)), plan, block_rows=block_rows).state]
    seconds = (
        [row for row in rows if row[1] == "many" or int(row[1][1:]) % 3],
        [row for row in rows if row[1] != "many" and not int(row[1][1:]) % 3],
    )
    merged = hg.merge([hg.run(table(some), plan) for some in seconds])
    for heat in (hg.Heat(whole[0]), merged):
        found = cells(heat, "goal_clicks", page="/")
        assert found == {1: 900, 2: 1800, 3: 1800, 4: 1800, 5: 1800, 6: 900, 9: goals.MOST_WAITING}
        points = heat.ledger.measures["goal_clicks"]
        assert points.excess == 20_000 - goals.MOST_WAITING
        assert points.rows == 9000 + 20_000
        assert f"{points.excess:,} excess" in "\n".join(heat.ledger.lines())
        heat.ledger.check()


@settings(SMALL, max_examples=60)
@given(data=st.data(), most=st.integers(1, 4), lane=st.fixed_dictionaries(LANES))
def test_those_beyond_what_a_session_may_hold(data, most, lane):
    """Against the oracle, in every lane. Without widths: then a click waits for the goal alone."""
    events = data.draw(event_files(ids="session"))
    events.columns = tuple(name for name in events.columns if name != "viewport_w")
    events.files = [[row | {"viewport_w": None} for row in rows] for rows in events.files]
    plan = data.draw(plans(set(events.columns))) | {"goal": data.draw(st.sampled_from(GOALS)), "tables": ()}
    plan["maps"] = ("clicks", "goal_clicks")
    assume("kind" in events.columns)
    with patch.object(goals, "MOST_WAITING", most):
        heat = run_engine(events, plan, **lane)
    result = oracle.resolve(events.files, plan, unit=events.unit, columns=events.columns)
    result["most_waiting"] = most
    oracle.before_goals(result)
    expected = oracle.points(result)["goal_clicks"]
    points = heat.ledger.measures["goal_clicks"]
    assert points.excess == result["excess"]
    assert (points.rows, points.used) == (expected["rows"] + result["excess"], expected["used"])
    drawn = {key: cells for key, cells in oracle.maps(result).items() if key[0] == "goal_clicks"}
    split = bool(plan["by"]), plan["every"] is not None
    found = cells_of(heat.state, *split, what="goal_clicks")
    assert {("goal_clicks", *key[1:]): value for key, value in found.items()} == drawn


def test_a_place_is_free_again_when_its_click_is_drawn_or_its_session_ends():
    """Clicks that wait for a width alone hold their places too; a session after another has all of them."""
    rows = [(k, "a", "click", "/", 15.0) for k in range(3)] + [(3, "a", "input", "/", None)]
    rows += [(k, "a", "click", "/", 25.0) for k in range(4, 7)] + [(7, "a", "scroll", "/", None)]
    rows += [(k, "a", "click", "/", 35.0) for k in range(8, 11)] + [(11, "a", "input", "/", None)]
    told = table(rows).append_column("viewport_w", pa.array([None] * 7 + [700] + [None] * 4, pa.int32()))
    with patch.object(goals, "MOST_WAITING", 4):
        heat = hg.run(told, **GOAL | {"goal": "input"})
    # three wait for goal and width, one for the goal alone: two of the second three find no place. When the width is
    # told the first three stay until the next goal; none of the last three finds one either
    assert cells(heat, "goal_clicks", page="/") == {1: 3, 2: 1}
    assert heat.ledger.measures["goal_clicks"].excess == 5
    with patch.object(goals, "MOST_WAITING", 1):
        again = [(0, "click"), (1, "click"), (2, "input"), (3, "click"), (4, "input")]
        heat = hg.run(table([(k, "a", kind, "/", 15.0) for k, kind in again]), **GOAL | {"goal": "input"})
        assert heat.ledger.measures["goal_clicks"].excess == 1
        assert cells(heat, "goal_clicks", page="/") == {1: 2}
        # in the slot of a session that has ended without a goal: the gap cuts an id, and gives its slot back
        rows = [(part * 10**8 + k, "a", "click", "/", 15.0) for part in range(4) for k in (0, 1)]
        rows += [(4 * 10**8, "a", "click", "/", 15.0), (4 * 10**8, "a", "input", "/", 15.0)]
        plan = hg.Plan(**GOAL | {"goal": "input"}, session_gap=1000, lateness_ms=0)
        heat = hg.Heat(run_plan(hg.read(table(rows)), plan, order="time", block_rows=2).state)
    assert heat.ledger.measures["goal_clicks"].excess == 0
    assert cells(heat, "goal_clicks", page="/") == {1: 1}


def test_a_goal_map_without_a_goal_or_an_order():
    with pytest.raises(UsageError) as caught:
        hg.Plan(maps=("goal_clicks",))
    assert caught.value.code == "HG1109"
    flushed = hg.run(hg.read(table([(0, "a", "click", "/", 1.0)]), evidence={"time_quality": "flush:5000"}), **GOAL)
    assert "flush" in flushed.refused["goal_clicks"]


def test_a_goal_map_from_the_command_line(tmp_path, capfd):
    pq.write_table(table([(0, "a", "click", "/", 15.0), (1, "a", "input", "/b", None)]), tmp_path / "rows.parquet")
    words = ["map", str(tmp_path / "rows.parquet"), "--layer", "goal_clicks"]
    assert main([*words, "-o", str(tmp_path / "x.csv")]) == 2
    assert "--goal" in capfd.readouterr().err
    assert main([*words, "--goal", "input:/b", "--cell", "10", "-o", str(tmp_path / "x.csv")]) == 0
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 2
    assert main([*words, "--goal", "input:/b", "-o", str(tmp_path / "x.png")]) == 0
    capfd.readouterr()


def test_a_map_of_first_clicks_from_the_command_line(tmp_path, capfd):
    pq.write_table(table([(0, "a", "click", "/", 15.0), (1, "a", "click", "/", 25.0)]), tmp_path / "rows.parquet")
    out = tmp_path / "first.csv"
    assert main(["map", str(tmp_path / "rows.parquet"), "--layer", "first_clicks", "--cell", "10", "-o", str(out)]) == 0
    lines = out.read_text().splitlines()
    assert len(lines) == 2
    assert main(["map", str(tmp_path / "rows.parquet"), "--layer", "first_clicks", "-o", str(tmp_path / "x.png")]) == 0
    assert (tmp_path / "x.png").stat().st_size > 1000
    capfd.readouterr()
