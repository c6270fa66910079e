"""Laws that hold without knowing the answer: what may change about the input, and what then must not change."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import heatgrid as hg
from answers import differences, of_heat, plan_of, run_engine
from heatgrid.words.errors import UsageError
from strategies import SMALL, TICKS, event_files, plans, shapes, to_table

EXAMPLES = settings(SMALL, max_examples=30)
OWNED = st.sampled_from(("session", "both", "user"))


@st.composite
def cases(draw, **kwargs):
    data = draw(event_files(ids=draw(OWNED), **kwargs))
    return data, draw(plans(set(data.columns)))


def owner_of(data, row):
    return row["session"] if "session" in data.columns else (row["user"], row.get("tab"))


@EXAMPLES
@given(case=cases(), looks=st.lists(shapes(), min_size=2, max_size=2), parts=st.integers(2, 3))
def test_split_by_session_and_merged_is_the_whole(case, looks, parts, tmp_path_factory):
    data, plan = case
    owners = sorted({repr(owner_of(data, row)) for rows in data.files for row in rows})
    pieces = []
    for part in range(parts):
        mine = set(owners[part::parts])
        files = [[row for row in rows if repr(owner_of(data, row)) in mine] for rows in data.files]
        piece = run_engine(replace(data, files=files), plan, looks[part % 2], block_rows=4)
        path = tmp_path_factory.getbasetemp() / "part.heat"
        piece.save(path)
        pieces.append(hg.load(path))
    whole = of_heat(run_engine(data, plan, looks[0]))
    merged = hg.merge(pieces)
    merged.ledger.check()
    assert differences(whole, of_heat(merged)) == []
    assert differences(whole, of_heat(hg.merge(pieces[::-1]))) == []


def test_states_that_share_a_session_are_not_merged():
    rows = {"time": np.arange(4) * 1000 + 1_788_220_800_000, "session": ["a", "b", "b", "c"], "page": ["/"] * 4}
    first, second = (hg.run({k: v[part] for k, v in rows.items()}) for part in (slice(0, 2), slice(2, 4)))
    with pytest.raises(UsageError) as caught:
        hg.merge([first, second])
    assert caught.value.code.startswith("HG16")


@EXAMPLES
@given(case=cases(), seed=st.integers(0, 99))
def test_paths_may_be_named_in_any_order(case, seed, tmp_path_factory):
    data, plan = case
    folder = tmp_path_factory.getbasetemp() / "files"
    folder.mkdir(exist_ok=True)
    paths = []
    for i in range(len(data.files)):
        paths.append(folder / f"{i}.parquet")
        table = to_table(data, i)
        if data.unit == "s":  # Parquet has no seconds
            times = table["time"].cast(pa.timestamp("ms", "UTC"))
            table = table.set_column(table.schema.get_field_index("time"), "time", times)
        pq.write_table(table, paths[-1], row_group_size=1 + seed % 7)
    want = of_heat(run_engine(data, plan))
    random.Random(seed).shuffle(paths)
    assert differences(want, of_heat(hg.run(hg.read([str(p) for p in paths]), plan_of(plan)))) == []


@EXAMPLES
@given(case=cases(), seed=st.integers(0, 99), shape=shapes())
def test_rows_of_distinct_times_may_come_in_any_order_and_cut(case, seed, shape):
    data, plan = case
    rows = [row for rows in data.files for row in rows]
    for i, row in enumerate(rows):  # spread ties over the ticks that follow
        row["time"] = None if row["time"] is None else row["time"] * len(rows) + i
        assume(row["time"] is None or row["time"] < 2**62)
    whole = of_heat(run_engine(replace(data, files=[rows]), plan))
    shuffled = random.Random(seed).sample(rows, len(rows))
    cut = seed % (len(rows) + 1)
    again = replace(data, files=[shuffled[:cut], shuffled[cut:]])
    assert differences(whole, of_heat(run_engine(again, plan, shape, block_rows=3))) == []


@EXAMPLES
@given(case=cases(), right=st.integers(0, 40), down=st.integers(0, 40))
def test_shifted_points_give_a_shifted_grid(case, right, down):
    data, plan = case
    plan |= {"cell": 8, "extent": (0, 4096, 0, 4096), "frame": "page", "areas": None}
    data = replace(data, coordinates="double", files=[[dict(row) for row in rows] for rows in data.files])
    inside = [row for rows in data.files for row in rows]
    for row in inside:  # kept where both places are on the grid and the sum is exact, else no point on either
        ok = all(
            row[axis] is not None and 0 <= row[axis] < 2048 and (row[axis] + by) - by == row[axis]
            for axis, by in (("x", 8 * right), ("y", 8 * down))
        )
        row["x"], row["y"] = (row["x"], row["y"]) if ok else (None, None)
    before = of_heat(run_engine(data, plan))
    for row in inside:
        if row["x"] is not None:
            row["x"], row["y"] = row["x"] + 8 * right, row["y"] + 8 * down
    after = of_heat(run_engine(data, plan))
    for grouping, maps in before["maps"].items():
        moved = {key: {(iy + down, ix + right): v for (iy, ix), v in cells.items()} for key, cells in maps.items()}
        assert differences(moved, after["maps"][grouping]) == []
    assert differences({**before, "maps": None}, {**after, "maps": None}) == []


@EXAMPLES
@given(case=cases(dirty=False), times=st.integers(2, 5))
def test_a_count_weighs_like_as_many_rows(case, times):
    data, plan = case
    assume("event_id" not in data.columns and "view" not in data.columns and plan.get("dedupe") is None)
    # of many clicks that are the goal all but the last come before it
    plan = plan | {"maps": tuple(name for name in plan["maps"] if name != "goal_clicks")}
    columns = tuple(dict.fromkeys((*data.columns, "count")))
    rows = [dict(row, count=None) for row in data.files[0]]
    heavy = [i for i, row in enumerate(rows) if row.get("kind") not in (None, "pageview", "$pageview")]
    assume(heavy)
    chosen = heavy[times % len(heavy)]
    many = rows[: chosen + 1] + [dict(rows[chosen]) for _ in range(times - 1)] + rows[chosen + 1 :]
    one = [dict(row, count=times if i == chosen else None) for i, row in enumerate(rows)]
    a = of_heat(run_engine(replace(data, columns=columns, files=[many]), plan))
    b = of_heat(run_engine(replace(data, columns=columns, files=[one]), plan))
    for what in ("tables", "maps", "layers"):
        assert differences(a[what], b[what]) == []


@EXAMPLES
@given(case=cases(dirty=False), days=st.integers(1, 300))
def test_a_later_start_changes_no_count(case, days):
    data, plan = case
    plan["every"] = None
    before = of_heat(run_engine(data, plan))
    for rows in data.files:
        for row in rows:
            row["time"] += days * 86_400 * TICKS[data.unit]
    after = of_heat(run_engine(data, plan))
    for what in ("tables", "maps", "layers", "ledger"):
        assert differences(before[what], after[what]) == []
