"""The map of dwell by hand: where the pointer was while time passed, what it is refused for, how it is shown."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import heatgrid as hg
from heatgrid.cli import main
from heatgrid.engine.lanes import run_plan
from heatgrid.engine.measures import rested
from heatgrid.outputs.pictures import map_subtitle, map_title
from heatgrid.words.errors import UsageError

START = 1_788_220_800_000
PLAN = {"maps": ("clicks", "dwell"), "tables": (), "cell": 10}


def table(rows, **more):
    """rows : (ms, session, kind, x); more : columns."""
    time, session, kind, x = zip(*rows, strict=True)
    n = len(rows)
    base = {
        "time": pa.array(np.array(time) + START, pa.timestamp("ms", "UTC")), "session": pa.array(session),
        "kind": pa.array(kind), "page": ["/"] * n, "x": pa.array(x, pa.float64()), "y": [5.0] * n,
    }  # fmt: skip
    return pa.table(base | more)


def cells(heat, value="events", **where):
    values = heat.map("dwell", page="/", value=value, **where).values
    return {int(ix): int(values[iy, ix]) for iy, ix in zip(*np.nonzero(values), strict=True)}


ROWS = [
    (0, "a", "pageview", None), (100, "a", "move", 15.0), (350, "a", "move", 25.0), (1350, "a", "click", 25.0),
    (1400, "a", "scroll", None), (9000, "a", "move", 15.0), (99_000, "a", "rest", 35.0), (99_001, "a", "hidden", None),
    (99_500, "a", "move", 15.0), (0, "b", "move", 15.0), (7, "b", "move", 25.0),
]  # fmt: skip


def test_ms_lie_where_the_pointer_was():
    heat = hg.run(table(ROWS), **PLAN)
    assert cells(heat) == {1: 250 + 30_000 + 7, 2: 1000 + 50, 3: 1}, "a scroll ends the stay, and an idle step is 30 s"
    assert cells(heat, "sessions") == {1: 2, 2: 1, 3: 1}
    assert heat.ledger.measures["dwell"].line() == "6 rows = 6 used"
    grid = heat.map("dwell")
    assert (grid.unit, grid.used) == ("ms", 31_308)
    assert map_title(grid.meta) == "/ · time with the pointer there"
    assert map_subtitle(grid).startswith("n = 31 s of dwell")
    assert [(row["layer"], row["events"]) for row in heat.layers().to_pylist()] == [("dwell", 31_308), ("clicks", 1)]


def test_touch_and_steps_of_no_time_are_not_there():
    touch = pa.array(["touch" if x == 15.0 else "mouse" for *_, x in ROWS])
    assert cells(hg.run(table(ROWS, pointer=touch), **PLAN)) == {2: 1050, 3: 1}
    still = [(5, "a", "move", 15.0), (5, "a", "move", 25.0), (9, "a", "move", 35.0), (9, "a", "click", None)]
    heat = hg.run(table(still), **PLAN)
    assert cells(heat) == {2: 4}
    assert heat.ledger.measures["dwell"].rows == 1


def test_a_point_that_is_none_is_counted():
    rows = [(0, "a", "move", None), (1, "a", "move", -5.0), (3, "a", "move", 5.0), (6, "a", "click", 5.0)]
    heat = hg.run(table(rows), **PLAN)
    assert cells(heat) == {0: 3}
    assert heat.ledger.measures["dwell"].line() == "3 rows = 1 used + 1 outside + 1 invalid"


@pytest.mark.parametrize("block_rows", [1, 3, 1 << 17])
def test_a_step_is_drawn_in_the_width_of_its_own_view(block_rows):
    """Told by the row that ends the step, by another tab of the view meanwhile, before it, or never."""
    rows = [
        (0, "a", "move", 15.0), (10, "a", "move", 25.0), (30, "a", "move", 35.0), (40, "a", "pageview", None),
        (41, "a", "move", 45.0), (42, "a", "move", 45.0), (50, "a", "pageview", None), (60, "a", "move", 15.0),
    ]  # fmt: skip
    widths = pa.array([None, 700, None, None, None, None, 400, None], pa.int32())
    heat = hg.Heat(run_plan(hg.read(table(rows, viewport_w=widths)), hg.Plan(**PLAN), block_rows=block_rows).state)
    assert cells(heat, bucket="600-1024") == {1: 10, 2: 20, 3: 10}
    assert cells(heat, bucket="unknown") == {4: 9}
    assert {row["bucket"] for row in heat.layers().to_pylist() if row["layer"] == "dwell"} == {"600-1024", "unknown"}
    tabs = [(0, "a", "move", 15.0), (5, "a", "scroll", None), (20, "a", "move", 15.0)]
    columns = {"tab": ["1", "2", "1"], "view": ["v", "v", "v"], "viewport_w": pa.array([None, 700, None], pa.int32())}
    heat = hg.Heat(run_plan(hg.read(table(tabs, **columns)), hg.Plan(**PLAN), block_rows=block_rows).state)
    assert cells(heat, bucket="600-1024") == {1: 20}


@pytest.mark.parametrize("room", [2, 5, 8192])
def test_more_steps_than_any_room(room):
    n = 3000
    rows = [(k * 10, f"s{i}", "move", 10.0 * (k + i % 5)) for k in range(4) for i in range(n)]
    widths = pa.array([None] * (2 * n) + [700] * (2 * n), pa.int32())  # told by a row that ends a step as well
    with patch.object(rested, "OUT_ROWS", room):
        heat = hg.run(table(rows, viewport_w=widths), **PLAN)
    assert cells(heat) == {0: 6000, 1: 12_000, 2: 18_000, 3: 18_000, 4: 18_000, 5: 12_000, 6: 6000}
    assert cells(heat, "sessions") == {0: 600, 1: 1200, 2: 1800, 3: 1800, 4: 1800, 5: 1200, 6: 600}


def test_more_ms_in_a_cell_than_32_bits_hold():
    n = 1500
    rows = [(k * 3_000_000, "a", "move", 15.0) for k in range(n)]
    heat = hg.run(table(rows), **PLAN, idle_ms=3_000_000, keep_bots=True)
    assert cells(heat) == {1: (n - 1) * 3_000_000}
    assert (n - 1) * 3_000_000 > 2**32


@pytest.mark.parametrize(("evidence", "kept", "word"), [
    ({"time_quality": "flush:5000"}, ("move", "click"), "flush"), ({"moves": "none"}, ("move", "click"), "moves=none"),
    (None, ("click", "pageview"), "kind move"),
])  # fmt: skip
def test_refused_with_what_unlocks_it(evidence, kept, word):
    rows = [row for row in ROWS if row[2] in kept]
    heat = hg.run(hg.read(table(rows), evidence=evidence), **PLAN | {"tables": ("pages",)})
    assert word in heat.refused["dwell map"]
    assert ("dwell" in heat.refused) == (word == "flush"), "the column of the tables is another matter"
    assert any(line.startswith("dwell") and " off: " in line for line in heat.refusals())
    with pytest.raises(UsageError) as caught:
        heat.map("dwell")
    assert caught.value.code == "HG1540"
    assert {row["layer"] for row in heat.layers().to_pylist()} == {"clicks"}
    assert {drawn.layer for drawn in heat.sparse_maps()} == {"clicks"}


def test_without_sessions_and_with_few():
    without = hg.run(table(ROWS).drop_columns(["session"]), **PLAN)
    assert "session" in without.refused["dwell"]
    few = hg.run(table(ROWS), **PLAN, min_sessions=2)
    assert cells(few) == {1: 30_257}
    assert few.map("dwell").meta["withheld"] == 1051
    assert few.ledger.measures["dwell"].used == 6, "steps are not withheld, ms of cells are"
    few.ledger.check()


def test_from_the_command_line_and_in_a_report(tmp_path, capfd):
    pq.write_table(table(ROWS), tmp_path / "rows.parquet")
    words = [str(tmp_path / "rows.parquet"), "--cell", "10"]
    assert main(["map", *words, "--layer", "dwell", "-o", str(tmp_path / "x.csv")]) == 0
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 4
    assert main(["map", *words, "--layer", "dwell", "-o", str(tmp_path / "x.png")]) == 0
    assert main(["report", *words, "--maps", "clicks,dwell", "-o", str(tmp_path / "out")]) == 0
    assert any("dwell" in file.name for file in (tmp_path / "out" / "maps").iterdir())
    capfd.readouterr()
