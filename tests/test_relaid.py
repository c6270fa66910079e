"""Windows of all widths on one map: x to scale, points in their elements' boxes; points told as shares of a box."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heatgrid as hg
from answers import differences, of_heat, of_oracle, run_engine
from heatgrid.cli import main
from heatgrid.engine.lanes import run_plan
from heatgrid.heat import Heat
from heatgrid.states.store import to_bytes
from heatgrid.words.areas import Area
from heatgrid.words.errors import HeatgridError
from law import check_lanes_and_parts
from strategies import LANES, SMALL, event_files, plans, shapes

EXAMPLES = settings(SMALL, max_examples=80)
SIDES = {"box_x": (0.0, 8.0, -3.5, None), "box_y": (0.0, 7.0, 100.0), "box_w": (0.0, 16.0, 3.0, float("nan")),
         "box_h": (20.0, 1.5, -1.0, float("inf"))}  # fmt: skip
HOMES = [
    {"name": "F", "x0": 100, "x1": 164, "y0": 0, "y1": 10},
    {"name": "F", "x0": 200, "x1": 230, "y0": 50, "y1": 51, "page": "/b"},
    {"name": "F", "x0": 300, "x1": 320, "y0": 7, "y1": 19, "page": "/b", "min_width": 600, "max_width": 1440},
    {"name": "G", "x0": 0, "x1": 1000, "y0": 0, "y1": 1, "max_width": 800},
    {"name": "G", "x0": 16, "x1": 48, "y0": 16, "y1": 33, "min_width": 600},
    {"name": "G", "x0": 900, "x1": 901, "y0": 0, "y1": 1, "min_width": 600},
    {"name": "on a", "x0": 0, "x1": 9, "y0": 0, "y1": 9, "page": "/a"},
]


@st.composite
def cases(draw):
    data = draw(event_files(ids=draw(st.sampled_from(("session", "session", "both", "user", "none")))))
    rng = draw(st.randoms(use_true_random=False))
    sides = [name for name in SIDES if rng.random() < 0.95]
    for rows in data.files:
        for row in rows:
            row |= {name: rng.choice(SIDES[name]) if rng.random() < 0.4 else SIDES[name][0] or 32.0 for name in sides}
    data.columns = tuple(sorted((*data.columns, *sides)))
    plan = draw(plans(set(data.columns)))
    plan["widths"] = draw(st.sampled_from(("bucket", "scale", "element", "element")))
    plan["reference"] = draw(st.sampled_from((1440, 800, 599, 1)))
    plan["frame"] = draw(st.sampled_from(("page", "viewport", "element")))
    plan["areas"] = HOMES if plan["widths"] == "element" else draw(st.sampled_from((None, HOMES)))
    return data, plan, draw(shapes())


@EXAMPLES
@given(case=cases(), **LANES)
def test_every_point(case, **lane):
    data, plan, shape = case
    heat = run_engine(data, plan, shape, **lane)
    heat.ledger.check()
    assert differences(of_oracle(data, plan), of_heat(heat)) == []


@settings(SMALL, max_examples=15)
@given(case=cases(), parts=st.integers(1, 3))
def test_lanes_and_parts(case, parts):
    data, plan, shape = case
    if {"session", "user"} & set(data.columns):

        def run(data, fields, **how):
            return run_engine(data, fields, shape, **how)

        check_lanes_and_parts(run, lambda heat: of_heat(heat)["maps"], data, plan, parts)


def rows(**columns):
    n = len(columns["session"])
    made = {"time": pa.array(np.arange(n) * 1000 + 1_788_220_800_000, pa.timestamp("ms", "UTC")), "kind": ["click"] * n}
    return pa.table(made | columns)


def cells(heat: Heat, **where):
    grid = heat.map("clicks", **where)
    return {(int(ix), int(iy)): int(grid.values[iy, ix]) for iy, ix in zip(*np.nonzero(grid.values), strict=True)}


def test_a_width_is_the_rows_own_else_what_its_tab_told_last() -> None:
    """Fails if a width crosses from a tab to another, from a session to the next in its slot, or ends with a view."""
    table = rows(
        session=["a", "a", "a", "a", "b"], tab=["1", "1", "2", "1", "1"], page=["/", "/x", "/", "/x", "/"],
        x=[360.0, 360.0, 360.0, 360.0, 360.0], y=[5.0] * 5, viewport_w=[720, None, None, 1440, None],
    )  # fmt: skip
    heat = hg.run(table, widths="scale", cell=10, order="session")
    assert cells(heat, page="/") == {(72, 0): 1}
    assert cells(heat, page="/x") == {(72, 0): 1, (36, 0): 1}
    assert [row["bucket"] for row in heat.layers().to_pylist()] == ["1440+"] * 2
    assert (heat.ledger.measures["clicks"].used, heat.ledger.measures["clicks"].invalid) == (3, 2)
    assert heat.map("clicks", page="/").meta["frame"] == "page (assumed), x to the scale of 1,440 px"
    assert heat.map("clicks", page="/").meta["viewport_w"] == 1440


def test_an_elements_points_lie_in_its_box_on_the_layout() -> None:
    """The button is at the right of a wide window and at the bottom of a narrow one; on the map it is in one place."""
    table = rows(
        session=["a", "b", "c", "d"], page=["/"] * 4, feature=["buy", "buy", "buy", "else"],
        x=[1350.0, 60.0, 20.0, 5.0], y=[110.0, 805.0, 800.0, 5.0], viewport_w=[1440, 390, 390, 390],
        box_x=[1300.0, 20.0, 20.0, 0.0], box_y=[100.0, 800.0, 800.0, 0.0], box_w=[100.0, 80.0, 80.0, 0.0],
        box_h=[20.0, 10.0, 10.0, 10.0],
    )  # fmt: skip
    home = [Area("buy", 1300, 1400, 100, 120, "/", 1024, None), Area("buy", 20, 100, 800, 810, "/", None, 1024)]
    heat = hg.run(table, widths="element", areas=home, cell=10)
    assert cells(heat) == {(135, 11): 2, (130, 10): 1}
    assert heat.ledger.measures["clicks"].invalid == 1, "no box of it is on the layout"
    narrow = hg.run(table, widths="element", areas=home, cell=10, reference=390)
    assert cells(narrow) == {(6, 80): 2, (2, 80): 1}
    assert narrow.map("clicks").meta["bucket"] == "0-600"


@pytest.mark.parametrize(
    ("feature", "page", "reference", "left"),
    [
        ("F", "/a", 1440, 100), ("F", "/b", 1440, 200), ("F", "/b", 1439, 300), ("F", "/b", 599, 200),
        ("G", "/a", 599, 0), ("G", "/a", 799, 0), ("G", "/a", 800, 16), ("on a", "/b", 1440, None),
    ],
)  # fmt: skip
def test_the_box_of_the_layout(feature: str, page: str, reference: int, left: int | None) -> None:
    """The page's own, then the narrowest range, then the first named; ranges are half-open."""
    table = rows(session=["s"], page=[page], feature=[feature], x=[0.0], y=[0.0])
    heat = hg.run(
        table, widths="element", frame="element", areas=[Area(**home) for home in HOMES], reference=reference, cell=1
    )
    found = {ix for ix, _ in cells(heat)} if heat.ledger.measures["clicks"].used else set()
    assert found == (set() if left is None else {left})


def test_a_box_without_an_inside_places_nothing() -> None:
    sides = {"x": [5.0] * 4, "y": [5.0] * 4, "box_x": [0.0] * 4, "box_y": [0.0] * 4}
    widths, heights = [10.0, -10.0, 10.0, float("inf")], [10.0, 10.0, 0.0, 10.0]
    table = rows(session=["s"] * 4, feature=["b"] * 4, box_w=widths, box_h=heights, **sides)
    heat = hg.run(table, widths="element", areas=[Area("b", 0, 100, 0, 100)])
    assert (heat.ledger.measures["clicks"].used, heat.ledger.measures["clicks"].invalid) == (1, 3)


def test_a_width_ends_with_its_session() -> None:
    """The gap cuts an id and gives its place back, to sessions that have told none. Fails if it stays there."""
    n = 12
    table = rows(session=["a"] * n, page=["/"] * n, x=[360.0] * n, y=[5.0] * n, viewport_w=[720] + [None] * (n - 1))
    time = [1_788_220_800_000 + (k // 2) * 10**7 + k % 2 for k in range(n)]
    table = table.set_column(0, "time", pa.array(time, pa.timestamp("ms", "UTC")))
    plan = hg.Plan(widths="scale", session_gap=1000, lateness_ms=0)
    heat = hg.Heat(run_plan(hg.read(table), plan, order="time", block_rows=2).state)
    assert (heat.ledger.measures["clicks"].used, heat.ledger.measures["clicks"].invalid) == (2, n - 2)


def test_what_is_lacking_is_named() -> None:
    table = rows(session=["a"], x=[0.5], y=[0.5], feature=["buy"])
    for plan, word in (
        ({"widths": "scale"}, "viewport_w"),
        ({"widths": "element", "areas": [Area("buy", 0, 1, 0, 1)]}, "box_x and box_y"),
        ({"frame": "element"}, "box_w"),
    ):
        heat = hg.run(table, **plan)
        assert word in heat.refused["clicks"]
        assert any("maps are empty" in line and word in line for line in heat.refusals())
        assert heat.ledger.measures["clicks"].invalid == 1
    # shares of a box need no box where the layout has one
    heat = hg.run(table, widths="element", frame="element", areas=[Area("buy", 0, 100, 0, 100)])
    assert "clicks" not in heat.refused
    assert cells(heat) == {(6, 6): 1}
    with pytest.raises(HeatgridError) as caught:
        hg.Plan(widths="element")
    assert caught.value.code == "HG1165"


def test_rage_is_of_the_pixels_of_the_window() -> None:
    """Three clicks 20 px apart are near; to the scale of 1440 px they would be 72 px apart."""
    table = rows(
        session=["a"] * 3, x=[10.0, 30.0, 50.0], y=[5.0] * 3, viewport_w=[400] * 3, page=["/"] * 3, feature=["f"] * 3
    )
    table = table.set_column(0, "time", pa.array([1_788_220_800_000 + k * 100 for k in range(3)], pa.timestamp("ms")))
    heat = hg.run(table, widths="scale", friction=("rage",))
    assert heat.friction["flagged"].to_pylist() == [1]
    grid = heat.map("rage:posthog")
    assert grid.meta["bucket"] == "1440+"
    assert [(int(ix), int(iy)) for iy, ix in zip(*np.nonzero(grid.values), strict=True)] == [(50 * 1440 // 400 // 8, 0)]
    # in the box on the layout, of a source of shares too; the rule still sees the px
    sides = {"box_x": [0.0] * 3, "box_y": [0.0] * 3, "box_w": [100.0] * 3, "box_h": [10.0] * 3}
    for name, values in sides.items():
        table = table.append_column(name, pa.array(values))
    shares = table.set_column(table.schema.get_field_index("x"), "x", pa.array([0.1, 0.3, 0.5]))
    shares = shares.set_column(shares.schema.get_field_index("y"), "y", pa.array([0.5] * 3))
    for events, frame in ((table, "page"), (shares, "element")):
        heat = hg.run(events, widths="element", frame=frame, areas=[Area("f", 800, 1800, 80, 90)], friction=("rage",))
        assert heat.friction["flagged"].to_pylist() == [1]
        grid = heat.map("rage:posthog")
        assert [(int(ix), int(iy)) for iy, ix in zip(*np.nonzero(grid.values), strict=True)] == [(1300 // 8, 85 // 8)]


def test_rows_that_only_a_rule_draws() -> None:
    """The source's own flags are no clicks, and lie in their boxes all the same."""
    sides = {"box_x": [0.0], "box_y": [0.0], "box_w": [100.0], "box_h": [10.0]}
    table = rows(session=["a"], x=[50.0], y=[5.0], feature=["f"], **sides)
    table = table.set_column(table.schema.get_field_index("kind"), "kind", pa.array(["rageclick"]))
    heat = hg.run(table, widths="element", areas=[Area("f", 800, 1800, 80, 90)], friction=("rage:source",))
    assert np.argwhere(heat.map("rage:source").values).tolist() == [[85 // 8, 1300 // 8]]


def test_the_command(tmp_path, capsys) -> None:
    pq.write_table(
        rows(session=["a", "b"], page=["/"] * 2, x=[360.0, 180.0], y=[5.0] * 2, viewport_w=[720, 360]),
        tmp_path / "e.parquet",
    )
    out = tmp_path / "m.csv"
    words = ["map", str(tmp_path / "e.parquet"), "--widths", "scale", "--reference", "1000", "--cell", "10"]
    assert main([*words, "-o", str(out)]) == 0
    assert len(out.read_text().splitlines()) == 2, "both in one cell of one map"
    assert main([*words, "-o", str(tmp_path / "m.png")]) == 0
    assert main([*words, "--widths", "elastic", "-o", str(out)]) == 2
    assert "HG1101" in capsys.readouterr().err


def test_bucket_changes_nothing(tmp_path) -> None:
    table = rows(session=["a", "b"], page=["/"] * 2, x=[360.0, 180.0], y=[5.0] * 2, viewport_w=[720, 360])
    assert to_bytes(hg.run(table).state) == to_bytes(hg.run(table, widths="bucket").state)
    assert {row["bucket"] for row in hg.run(table).layers().to_pylist()} == {"0-600", "600-1024"}
