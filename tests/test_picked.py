"""First and last clicks of views beyond what the oracle sees: many views, by hand, refusals, the command line."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import heatgrid as hg
from heatgrid.cli import main
from heatgrid.engine.lanes import run_plan
from heatgrid.words.errors import UsageError

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
    assert any("first and last clicks" in line for line in without.refusals())
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


def test_a_map_of_first_clicks_from_the_command_line(tmp_path, capfd):
    pq.write_table(table([(0, "a", "click", "/", 15.0), (1, "a", "click", "/", 25.0)]), tmp_path / "rows.parquet")
    out = tmp_path / "first.csv"
    assert main(["map", str(tmp_path / "rows.parquet"), "--layer", "first_clicks", "--cell", "10", "-o", str(out)]) == 0
    lines = out.read_text().splitlines()
    assert len(lines) == 2
    assert main(["map", str(tmp_path / "rows.parquet"), "--layer", "first_clicks", "-o", str(tmp_path / "x.png")]) == 0
    assert (tmp_path / "x.png").stat().st_size > 1000
    capfd.readouterr()
