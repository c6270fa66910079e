"""Journeys against the oracle: transitions, paths, the step matrix and the funnel, in every lane; and their laws."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

import heatgrid as hg
from answers import differences, run_engine
from heatgrid.cli import main
from heatgrid.outputs.matrix_pictures import shades_of
from heatgrid.states.store import to_bytes
from heatgrid.words.errors import UsageError
from heatgrid.words.funnel import Step, step_of
from heatgrid.words.plan import Plan
from oracle import journeys as oracle
from oracle import sessions
from strategies import BLOCKS, LANES, SMALL, TICKS, Input, event_files, plans, shapes

EXAMPLES = settings(SMALL, max_examples=100)
OWNED = st.sampled_from(("session", "session", "both", "user"))
THINGS = ("pages", "features")
STEPS = (
    {"kind": ["pageview"]}, {"kind": ["click"]}, {"kind": ["click", "move"]}, {"page": ["/a"]}, {"page": ["/b"]},
    {"feature": ["F"]}, {"feature": ["G", "H"]}, {"kind": ["pageview"], "page": ["/b/"]},
    {"kind": ["click"], "feature": ["F"]}, {"kind": ["custom"]}, {"page": ["/nowhere"]}, {"page": ["(none)"]},
)  # fmt: skip
T0 = 1_788_220_800_000


@st.composite
def funnels(draw) -> dict:
    return {
        "funnel": draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=5)),
        "funnel_window_ms": draw(st.sampled_from((0, 1, 1000, 30_000, 86_400_000))),
        "strict": tuple(draw(st.lists(st.sampled_from(("order", "increase")), unique=True))),
    }


@st.composite
def cases(draw, **kwargs):
    data = draw(event_files(ids=draw(OWNED), **kwargs))
    plan = draw(plans(set(data.columns))) | draw(funnels()) | {"maps": (), "transitions": THINGS, "paths": THINGS}
    return data, plan, draw(shapes())


def of_oracle(data, plan, steps=6) -> dict:
    result = sessions.resolve(data.files, plan, unit=data.unit, columns=data.columns)
    out = {}
    for of in THINGS:
        out["transitions", of] = oracle.transitions(result, of)
        out["paths", of] = oracle.paths(result, of)
        out["steps", of] = oracle.step_matrix(result, of, steps)
    if plan["funnel"]:
        rows, drops = oracle.funnel(result, plan["funnel"], plan["funnel_window_ms"], plan["strict"], TICKS[data.unit])
        out["funnel"], out["drops"] = {row["step"]: row for row in rows}, drops
    return out


def of_heat(heat, steps=6) -> dict:
    out = {}
    for of in THINGS:
        rows = heat.transitions_of(of).to_pylist()
        out["transitions", of] = {(row.pop("from"), row.pop("to")): row for row in rows}
        out["paths", of] = [(tuple(r["path"].split(" > ")), r["sessions"]) for r in heat.paths_of(of).to_pylist()]
        matrix = heat.steps_of(of, steps)
        out["steps", of] = dict(zip(matrix.rows, matrix.values.tolist(), strict=True))
    if heat.plan.funnel_steps:
        columns = ["step", "sessions", "rate_first", "rate_previous", "p50_ms", "left", "exits"]
        out["funnel"] = {row["step"]: row for row in heat.funnel.select(columns).to_pylist()}
        out["drops"] = sorted(tuple(row.values()) for row in heat.drop_offs.to_pylist())
    return out


@EXAMPLES
@given(case=cases(), **LANES)
def test_every_column(case, **lane):
    data, plan, shape = case
    heat = run_engine(data, plan, shape, **lane)
    assert differences(of_oracle(data, plan), of_heat(heat)) == []


def groupings(plan):
    """(by, every) of the tables that a plan splits."""
    return [
        (by, every)
        for by in (False, True)[: 1 + bool(plan["by"])]
        for every in (False, True)[: 1 + bool(plan["every"])]
        if by or every
    ]


def split_of_oracle(data, plan, steps=6) -> dict:
    result = sessions.resolve(data.files, plan, unit=data.unit, columns=data.columns)
    out = {}
    for by, every in groupings(plan):
        split = (plan["by"] if by else (), every)
        for of in THINGS:
            out["transitions", of, by, every] = oracle.transitions(result, of, *split)
            paths, matrix = oracle.split_paths(result, of, *split, steps)
            out["paths", of, by, every], out["steps", of, by, every] = paths, matrix
        asked = plan["funnel"], plan["funnel_window_ms"], plan["strict"], TICKS[data.unit]
        funnels = oracle.split_funnel(result, *asked, *split)
        out["funnel", by, every] = {
            (*group, row.pop("step")): row for group, (rows, _) in funnels.items() for row in rows
        }
        out["drops", by, every] = sorted((*group, *drop) for group, (_, drops) in funnels.items() for drop in drops)
    return out


def split_of_heat(heat, steps=6) -> dict:
    """The same of a result: the first columns are the segments and the period."""
    out = {}
    for by, every in groupings({"by": heat.plan.by, "every": heat.plan.every}):
        width, split = len(heat.plan.by) * by + every, {"by": by, "every": every}
        for of in THINGS:
            rows = [list(row.items()) for row in heat.transitions_of(of, **split).to_pylist()]
            out["transitions", of, by, every] = {
                tuple(v for _, v in row[: width + 2]): dict(row[width + 2 :]) for row in rows
            }
            paths = [list(row.values()) for row in heat.paths_of(of, **split).to_pylist()]
            out["paths", of, by, every] = {
                (*row[:width], tuple(row[width].split(" > "))): row[width + 2] for row in paths
            }
            shares = {}
            for row in paths:
                shares[tuple(row[:width])] = shares.get(tuple(row[:width]), 0) + row[-1]
            assert all(abs(share - 1) < 1e-9 for share in shares.values())
            matrix = [tuple(row.values()) for row in heat.steps_table(of, steps, **split).to_pylist()]
            out["steps", of, by, every] = {row[:-1]: row[-1] for row in matrix}
            assert len(out["steps", of, by, every]) == len(matrix)
        rows = [list(row.items()) for row in heat.funnel_of(**split).to_pylist()]
        columns = ("sessions", "rate_first", "rate_previous", "p50_ms", "left", "exits")
        out["funnel", by, every] = {
            tuple(v for _, v in row[: width + 1]): {name: dict(row[width + 1 :])[name] for name in columns}
            for row in rows
        }
        out["drops", by, every] = sorted(tuple(row.values()) for row in heat.drop_offs_of(**split).to_pylist())
    return out


@EXAMPLES
@given(case=cases(), **LANES)
def test_every_column_by_segment_and_period(case, **lane):
    data, plan, shape = case
    assume(plan["by"] or plan["every"])
    heat = run_engine(data, plan, shape, **lane)
    assert differences(split_of_oracle(data, plan), split_of_heat(heat)) == []
    assert differences(of_oracle(data, plan), of_heat(heat)) == []


@settings(EXAMPLES, max_examples=40)
@given(case=cases(drop=False), parts=st.integers(2, 3))
def test_groups_are_merged_too_and_add_up_to_the_whole(case, parts):
    data, plan, _ = case
    assume(plan["by"] or plan["every"])
    owners = sorted({repr(owner_of(data, row)) for rows in data.files for row in rows})
    pieces = []
    for part in range(parts):
        files = [[row for row in rows if repr(owner_of(data, row)) in owners[part::parts]] for rows in data.files]
        pieces.append(run_engine(replace(data, files=files), plan))
    whole, merged = run_engine(data, plan), hg.merge(pieces)
    got = split_of_heat(merged)
    assert differences(split_of_heat(whole), got) == []
    totals = of_heat(whole)
    for (what, *of, by, every), rows in got.items():
        width = len(plan["by"]) * by + every
        added = {}
        if what in ("transitions", "steps", "paths"):
            for key, value in rows.items():
                count = value["count"] if what == "transitions" else value
                added[key[width:]] = added.get(key[width:], 0) + count
        if what == "transitions":
            assert added == {pair: row["count"] for pair, row in totals[what, *of].items()}
        elif what == "paths":
            assert added == {(path,): n for path, n in totals[what, *of]}
        elif what == "steps":
            matrix = {(at, name): n for name, row in totals[what, *of].items() for at, n in enumerate(row, 1) if n}
            assert added == matrix
        elif what == "funnel":
            for key, row in rows.items():
                added[key[-1]] = added.get(key[-1], 0) + row["sessions"]
            assert all(added.get(step, 0) == row["sessions"] for step, row in totals["funnel"].items())


@st.composite
def walks(draw):
    """Few kinds and pages, many ties and returns: chains that are started again, overtaken, and out of their window."""
    rng = draw(st.randoms(use_true_random=False))
    now, rows = T0, []
    for _ in range(draw(st.integers(1, 60))):
        now += rng.choice((0, 0, 0, 1, 1, 2, 5))
        kind = rng.choice(("pageview", "click", "click", "custom"))
        row = {"session": rng.choice("ab"), "tab": rng.choice("tu"), "page": rng.choice("ABC"), "kind": kind}
        rows.append({**row, "time": now, "feature": rng.choice(("F", "G", None))})
    steps = [{"page": [draw(st.sampled_from("ABC"))]} for _ in range(draw(st.integers(1, 5)))]
    steps = [step | ({"kind": ["click"]} if draw(st.booleans()) else {}) for step in steps]
    window, strict = draw(st.sampled_from((0, 2, 5, 1000))), draw(funnels())["strict"]
    plan = {"maps": (), "transitions": THINGS, "paths": THINGS, "funnel": steps, "funnel_window_ms": window}
    if draw(st.booleans()):
        for row in rows:
            row["plan"] = rng.choice(("free", "pro"))
        plan["by"] = ("plan",)
    return Input([rows], tuple(rows[0]), "ms"), {"by": (), "every": None, **plan, "strict": strict}


@EXAMPLES
@given(case=walks(), block_rows=BLOCKS)
def test_chains_with_ties_and_returns(case, block_rows):
    data, plan = case
    heat = run_engine(data, plan, block_rows=block_rows)
    assert differences(of_oracle(data, plan), of_heat(heat)) == []
    assert differences(split_of_oracle(data, plan), split_of_heat(heat)) == []


@settings(EXAMPLES, max_examples=40)
@given(case=cases(drop=False), parts=st.integers(2, 3))
def test_split_by_session_and_merged_is_the_whole(case, parts):
    data, plan, _ = case
    owners = sorted({repr(owner_of(data, row)) for rows in data.files for row in rows})
    pieces = []
    for part in range(parts):
        mine = set(owners[part::parts])
        files = [[row for row in rows if repr(owner_of(data, row)) in mine] for rows in data.files]
        pieces.append(run_engine(replace(data, files=files), plan))
    whole, merged = run_engine(data, plan), hg.merge(pieces)
    assert differences(of_heat(whole), of_heat(merged)) == []
    for name in ("paths", "tables"):
        mine, other = getattr(whole.state, name), getattr(merged.state, name)
        assert same_parts(mine, other)
    assert whole.state.names == merged.state.names


def owner_of(data, row):
    return row["session"] if "session" in data.columns else (row["user"], row.get("tab"))


def same_parts(mine, other) -> bool:
    return all(
        np.array_equal(value, vars(other[name])[field])
        for name in mine
        for field, value in vars(mine[name]).items()
        if isinstance(value, np.ndarray)
    )


@settings(EXAMPLES, max_examples=40)
@given(case=cases(), block_rows=BLOCKS)
def test_every_lane_gives_the_same_bytes(case, block_rows):
    data, plan, shape = case
    first = to_bytes(run_engine(data, plan).state)
    assert to_bytes(run_engine(data, plan, shape, order="any", block_rows=block_rows).state) == first
    assert to_bytes(run_engine(data, plan, shape, block_rows=block_rows, threads=2, max_open=1).state) == first


@settings(EXAMPLES, max_examples=40)
@given(case=cases())
def test_a_saved_state_gives_the_same(case, tmp_path_factory):
    data, plan, _ = case
    path = tmp_path_factory.getbasetemp() / "journeys.heat"
    heat = run_engine(data, plan)
    heat.save(path)
    assert differences(of_heat(heat), of_heat(hg.load(path))) == []


@settings(EXAMPLES, max_examples=40)
@given(case=cases(drop=False))
def test_sums(case):
    """Into a page go as many transitions as it has views, and as many leave it; sessions come in and go out once."""
    data, plan, _ = case
    heat = run_engine(data, plan)
    for way in ("to", "from"):
        views = {}
        for row in heat.transitions_of("pages").to_pylist():
            views[row[way]] = views.get(row[way], 0) + row["count"]
        outside = views.pop("(exit)" if way == "to" else "(entry)", 0)
        assert outside == heat.summary["sessions"]
        assert views == {row["page"]: row["views"] for row in heat.pages.to_pylist() if row["views"]}
    assert sum(sessions for _, sessions in of_heat(heat)["paths", "pages"]) == heat.summary["sessions"]
    funnel = heat.funnel.to_pylist()
    assert all(a["left"] == a["sessions"] - b["sessions"] for a, b in pairwise(funnel))


@settings(EXAMPLES, max_examples=60)
@given(case=cases(), period=st.sampled_from(("day", "week")), parts=st.integers(1, 3), block_rows=BLOCKS)
def test_retention(case, period, parts, block_rows):
    data, plan, shape = case
    assume("user" in data.columns)
    plan |= {"retention": period, "transitions": (), "paths": (), "funnel": ()}
    result = sessions.resolve(data.files, plan, unit=data.unit, columns=data.columns)
    for event in result["events"]:
        event["returns"] = oracle.local_day(event["time"], TICKS[data.unit], plan["tz"], period == "week")
    owners = sorted({repr(owner_of(data, row)) for rows in data.files for row in rows})
    pieces = []
    for part in range(parts):
        files = [[row for row in rows if repr(owner_of(data, row)) in owners[part::parts]] for rows in data.files]
        pieces.append(run_engine(replace(data, files=files), plan, shape, block_rows=block_rows))
    merged = hg.merge(pieces)
    assert merged.retention.to_pylist() == oracle.retention(result, period == "week")
    assert to_bytes(run_engine(data, plan, order="any").state) == to_bytes(run_engine(data, plan).state)
    if plan["by"]:
        found = {}
        for row in merged.retention_of(by=True).to_pylist():
            values = list(row.values())
            names = list(row)[-5:]
            found.setdefault(tuple(values[:-5]), []).append(dict(zip(names, values[-5:], strict=True)))
        assert found == oracle.retention_by(result, period == "week", plan["by"])


def test_a_user_of_two_segments_is_in_the_cohorts_of_both():
    """Fails if the total counts such a user once for each segment."""
    days = [("u1", 0, "phone"), ("u1", 0, "desk"), ("u2", 0, "desk"), ("u1", 1, "desk"), ("u2", 2, "phone")]
    rows = [{"time": T0 + d * 86_400_000, "session": f"{u}{d}{w}", "user": u, "device": w} for u, d, w in days]
    heat = run_rows(rows, retention="day", by=("device",))
    assert heat.retention["returned"].to_pylist() == [2, 1, 1]
    parts = heat.retention_of(by=True)
    assert parts.column_names[0] == "device"
    got = [(r["device"], r["cohort"][-2:], r["after"], r["users"], r["returned"]) for r in parts.to_pylist()]
    assert got == [
        ("desk", "01", 0, 2, 2), ("desk", "01", 1, 2, 1), ("desk", "01", 2, 2, 0),
        ("phone", "01", 0, 1, 1), ("phone", "01", 1, 1, 0), ("phone", "01", 2, 1, 0), ("phone", "03", 0, 1, 1),
    ]  # fmt: skip


def test_one_user_in_two_segments_begins_in_each():
    rows = [
        {"time": T0 + d * 86_400_000, "session": f"s{d}", "user": "u", "device": w}
        for d, w in enumerate(("desk", "phone"))
    ]
    parts = run_rows(rows, retention="day", by=("device",)).retention_of(by=True)
    assert [(r["cohort"][-2:], r["after"], r["users"], r["returned"]) for r in parts.to_pylist()] == [
        ("01", 0, 1, 1), ("01", 1, 1, 0), ("02", 0, 1, 1),
    ]  # fmt: skip


def test_what_segments_withhold_does_not_follow_from_the_total():
    """One of four segments returns with two users: the next smallest goes too, or the total would tell it."""
    rows = [
        {"time": T0 + d * 86_400_000, "session": f"{w}{u}{d}", "user": f"{w}{u}", "device": w}
        for w, back in (("a", 5), ("b", 2), ("c", 4), ("d", 6))
        for u in range(8) for d in (0, 1) if d == 0 or u < back
    ]  # fmt: skip
    rows.sort(key=lambda row: row["time"])
    heat = run_rows(rows, retention="day", by=("device",), min_sessions=3)
    assert heat.retention["returned"].to_pylist() == [32, 17]
    rows = heat.retention_of(by=True).to_pylist()
    assert {r["device"]: r["returned"] for r in rows if r["after"] == 1} == {"a": 5, "b": None, "c": None, "d": 6}


def test_retention_is_a_command(tmp_path, capsys):
    pq.write_table(
        pa.table({
            "time": pa.array([T0 + d * 86_400_000 for d in (0, 0, 1)], pa.timestamp("ms", "UTC")),
            "session": ["a", "b", "c"], "user": ["u", "v", "u"], "kind": ["click"] * 3, "device": ["x", "y", "x"],
        }),
        tmp_path / "e.parquet",
    )  # fmt: skip
    words = ["paths", str(tmp_path / "e.parquet"), "--show", "retention", "-q"]
    assert main([*words, "--retention", "day", "--by", "device", "-o", str(tmp_path / "r.csv")]) == 0
    lines = (tmp_path / "r.csv").read_text().replace('"', "").splitlines()
    assert lines[:3] == ["device,cohort,after,users,returned,rate", "x,2026-09-01,0,1,1,1", "x,2026-09-01,1,1,1,1"]
    assert main([*words, "--retention", "day", "-o", str(tmp_path / "r.png")]) == 0
    with Image.open(tmp_path / "r.png") as picture:
        assert picture.width > 400
    assert main(words) == 2
    assert "HG1027" in capsys.readouterr().err


def test_retention_needs_users():
    heat = run_rows(visits(("/a",)), retention="day")
    assert any("retention is off" in note for note in heat.refusals())
    for none in (heat, run_rows(visits(("/a",)))):
        with pytest.raises(UsageError) as caught:
            _ = none.retention
        assert caught.value.code == "HG1508"


def test_few_users_that_returned_are_withheld():
    days = [("u1", 0), ("u2", 0), ("u3", 0), ("u4", 1), ("u1", 1), ("u1", 2), ("u2", 2), ("u3", 2)]
    rows = [{"time": T0 + day * 86_400_000, "session": f"{u}{day}", "user": u} for u, day in days]
    heat = run_rows(sorted(rows, key=lambda row: row["time"]), retention="day", min_sessions=2)
    assert heat.retention["returned"].to_pylist() == [3, None, 3]


def run_rows(rows, **plan):
    return run_engine(Input([rows], tuple(rows[0]), "ms"), {"maps": (), **plan})


def visits(*paths):
    """One session a path, a pageview a second."""
    return [
        {"time": T0 + 1000 * i, "session": f"s{n}", "kind": "pageview", "page": page}
        for n, path in enumerate(paths)
        for i, page in enumerate(path)
    ]


def test_a_small_journey_by_hand():
    rows = visits(("/a", "/b"), ("/a", "/b", "/a", "/b"), ("/b",))
    heat = run_rows(rows, transitions=("pages",), paths=("pages",), funnel=["/a", "pageview:/b"])
    assert heat.transitions.to_pylist()[:2] == [
        {"from": "/a", "to": "/b", "count": 3, "sessions": 2, "p_out": 1.0, "p_in": 0.75, "p50_ms": 1004,
         "p95_ms": 1004},
        {"from": "/b", "to": "(exit)", "count": 3, "sessions": 3, "p_out": 0.75, "p_in": 1.0, "p50_ms": None,
         "p95_ms": None},
    ]  # fmt: skip
    assert heat.paths.to_pylist()[0] == {"path": "/a > /b", "steps": 2, "sessions": 1, "share": 1 / 3}
    assert heat.paths_of(top=1).to_pylist()[1] == {"path": "(other)", "steps": None, "sessions": 2, "share": 2 / 3}
    matrix = heat.steps_of(steps=3)
    assert (matrix.rows, matrix.values.tolist()) == (["/a", "/b", "(exit)"], [[2, 0, 1], [1, 2, 0], [0, 1, 2]])
    assert heat.funnel["sessions"].to_pylist() == [2, 2]


def test_a_page_may_be_called_like_an_end():
    heat = run_rows(visits(("(entry)", "(exit)"), ("(exit)",)), transitions=("pages",), paths=("pages",))
    rows = {(row["from"], row["to"], row["count"]) for row in heat.transitions.to_pylist()}
    assert rows == {
        ("(entry)", "(entry)", 1), ("(entry)", "(exit)", 1), ("(exit)", "(exit)", 2),
    }  # fmt: skip
    assert heat.transitions.num_rows == 4  # of entry to the page of exit's name, and of entry's to it


def test_many_pages_and_long_paths_make_room():
    rng = np.random.default_rng(5)
    rows = visits(*([f"/p{p}" for p in rng.integers(0, 300, 400)] for _ in range(20)))
    data, plan = Input([rows], tuple(rows[0]), "ms"), {"maps": (), "transitions": THINGS, "paths": THINGS, "funnel": []}
    assert differences(of_oracle(data, plan), of_heat(run_engine(data, plan))) == []


def test_times_of_every_size_make_room_in_the_histogram():
    rows, now = [], T0
    for step in range(1, 36):
        now += 1 << step
        rows += [{"time": now, "session": "s", "kind": "click", "page": f"/{step}"}]
    steps = [{"page": [f"/{step}"]} for step in range(1, 33)]
    data = Input([rows], tuple(rows[0]), "ms")
    plan = {"maps": (), "transitions": THINGS, "paths": THINGS, "funnel": steps, "strict": (), "time_range": None}
    plan["funnel_window_ms"] = 2**39
    assert differences(of_oracle(data, plan), of_heat(run_engine(data, plan))) == []
    many = [{**row, "session": f"s{n}", "time": row["time"] + n} for n in range(80) for row in rows[n % 30 :]]
    data = Input([sorted(many, key=lambda row: row["time"])], tuple(rows[0]), "ms")
    assert differences(of_oracle(data, plan), of_heat(run_engine(data, plan))) == []


def test_few_sessions_are_withheld():
    rows = visits(*[("/a", "/b", "/c")] * 10, *[("/a", "/b")] * 9, ("/a",), ("/a", "/d"))
    asked = {"transitions": ("pages",), "paths": ("pages",), "funnel": ["/a", "/b", "/c"]}
    heat = run_rows(rows, min_sessions=5, **asked)
    assert {(r["from"], r["to"]): r["sessions"] for r in heat.transitions.to_pylist()} == {
        ("(entry)", "/a"): 21, ("/a", "/b"): 19, ("/b", "/c"): 10, ("/c", "(exit)"): 10, ("/b", "(exit)"): 9,
    }  # fmt: skip
    # two paths of one session each take the next smallest with them, or their sum would be told by (other)
    assert heat.paths.to_pylist()[-1] == {"path": "(other)", "steps": None, "sessions": 11, "share": 11 / 21}
    assert not {name for name, row in zip(heat.steps.rows, heat.steps.values, strict=True) if (row == 1).any()}
    # two left at the first step: the second step's number would tell it
    assert heat.funnel["sessions"].to_pylist() == [21, None, 10]
    assert heat.funnel["left"].to_pylist() == [None, None, 0]
    assert "exit" not in heat.funnel["next_page"].to_pylist()


def test_few_sessions_of_a_group_are_withheld_also_from_who_subtracts():
    """Whatever is shown: what is not cannot be told from the whole, from the other groups, or from sums in a group."""
    groups = {
        "a": visits(*[("/a", "/b", "/c")] * 20, *[("/a", "/d")] * 8, *[("/a", "/b")] * 6),
        "b": visits(*[("/a", "/b", "/c")] * 3, *[("/a", "/d")] * 9, *[("/a", "/b")] * 2),
        "c": visits(*[("/a", "/b", "/c")] * 12, *[("/a", "/d")] * 7, *[("/a", "/b")] * 9),
    }
    rows = [
        {**row, "session": f"{plan}{row['session']}", "plan": plan} for plan, some in groups.items() for row in some
    ]
    asked = {"transitions": ("pages",), "paths": ("pages",), "funnel": ["/a", "/b", "/c"], "by": ("plan",)}
    heat, whole = run_rows(rows, min_sessions=5, **asked), run_rows(rows, **asked)
    for table in ("transitions_of", "paths_of", "steps_table", "funnel_of", "drop_offs_of"):
        shown, known = getattr(heat, table)(by=True).to_pylist(), getattr(whole, table)(by=True).to_pylist()
        counts = [row["sessions"] for row in shown if row["sessions"] is not None]
        assert min(counts) >= 5, table
        assert len(shown) < len(known) or None in [row["sessions"] for row in shown], table
        key = next(name for name in ("from", "path", "page", "name") if name in shown[0])
        for line in {(row[key], row.get("to"), row.get("step"), row.get("what")) for row in known} - {("(other)",) * 4}:
            mine, all_of_it = (
                [row["sessions"] for row in rows
                 if (row[key], row.get("to"), row.get("step"), row.get("what")) == line and row["sessions"] is not None]
                for rows in (shown, known)
            )  # fmt: skip
            assert len(all_of_it) - len(mine) != 1 or line[0] == "(other)", (table, line)
    for row in heat.funnel_of(by=True).to_pylist():
        assert (row["plan"], row["step"]) != ("b", 3) or row["sessions"] is None
    steps = heat.funnel_of(by=True).to_pylist()
    for one, other in pairwise(steps):
        if one["plan"] == other["plan"]:
            assert [one["sessions"], other["sessions"], one["left"]].count(None) != 1


def test_plans_without_journeys_keep_nothing_of_them():
    heat = run_rows(visits(("/a", "/b")))
    assert not heat.state.paths
    assert set(heat.state.tables) == {"features", "pages", "kinds"}
    for ask in (lambda: heat.transitions, lambda: heat.paths, lambda: heat.steps, lambda: heat.funnel):
        with pytest.raises(UsageError) as caught:
            ask()
        assert caught.value.code in ("HG1506", "HG1507")


def test_without_sessions_a_journey_is_refused_with_what_unlocks_it():
    rows = [{"time": T0, "kind": "click", "page": "/a"}]
    heat = run_rows(rows, transitions=("pages",), paths=("pages",), funnel=["click"])
    assert any("transitions, paths, funnel are off" in note for note in heat.refusals())
    for ask in (lambda: heat.transitions, lambda: heat.paths, lambda: heat.funnel):
        with pytest.raises(UsageError, match="session"):
            ask()


@pytest.mark.parametrize(
    ("text", "step", "name"),
    [
        ("pageview:/pricing", Step(kind=("pageview",), page=("/pricing",)), "pageview:/pricing"),
        ("click", Step(kind=("click",)), "click"),
        ("/a:b", Step(page=("/a:b",)), "page=/a:b"),
        ("https://x.io/a", Step(page=("https://x.io/a",)), "page=https://x.io/a"),
        ("kind=click&feature=Sign up", Step(kind=("click",), feature=("Sign up",)), "kind=click&feature=Sign up"),
        ({"feature": ["b", "a"]}, Step(feature=("a", "b")), "feature=a,b"),
        (Step(kind=("x",)), Step(kind=("x",)), "x"),
    ],
)
def test_steps_as_they_are_written(text, step, name):
    assert step_of(text) == step
    assert step.name == name


@pytest.mark.parametrize("step", ["", "kind=click&x=1", {}, {"kind": 5}, {"page": []}, 7, None, {"pages": "/a"}])
def test_what_is_no_step(step):
    with pytest.raises(UsageError) as caught:
        Plan(funnel=[step])
    assert caught.value.code == "HG1114"


def test_a_plan_with_journeys_goes_through_json():
    plan = Plan(funnel=["/a", {"feature": ["x", "y"]}], strict="order", transitions="pages", paths=["features"])
    again = Plan.from_dict(plan.as_dict())
    assert again == plan
    assert again.hash() == plan.hash() != Plan().hash()
    with pytest.raises(UsageError) as caught:
        Plan(funnel=["/a"] * 33)
    assert caught.value.code == "HG1115"
    for wrong in ({"strict": "dedupe"}, {"transitions": "page"}, {"funnel_window_ms": -1}):
        with pytest.raises(UsageError):
            Plan(**wrong)


def test_pictures_of_a_funnel_of_transitions_and_steps(tmp_path):
    rows = visits(*[("/a", "/b", "/c")] * 40, *[("/a", "/x <&> é" + "y" * 200)] * 35, ("/c",))
    plan = {"transitions": "pages", "paths": "pages", "funnel": ["/a", "/b", {"page": "/c"}]}
    heat = run_rows(rows, **plan)
    heat.funnel_picture(tmp_path / "funnel.png")
    heat.transition_matrix().save(tmp_path / "transitions.png")
    heat.steps.save(tmp_path / "steps.png")
    few = run_rows(rows[:6], **plan)
    few.funnel_picture(tmp_path / "few.png", theme="dark")
    matrix = heat.transition_matrix(top=2)
    assert matrix.values.shape == (2, 2)
    images = {path.stem: np.asarray(Image.open(path).convert("RGB")) for path in tmp_path.glob("*.png")}
    assert set(images) == {"funnel", "transitions", "steps", "few"}
    strongest = tuple(shades_of("inferno", "light")[140].tolist())
    bars = (images["funnel"] == strongest).all(axis=2).sum(axis=1)
    lengths = sorted({int(v) for v in bars if v > 100}, reverse=True)
    assert len(lengths) == 2  # the second and the third step are alike
    assert lengths[1] / lengths[0] == pytest.approx(40 / 75, abs=0.01)
    assert not (images["few"] == strongest).all(axis=2).any()


def test_the_report_tells_of_journeys_too(tmp_path):
    rows = visits(*[("/a", "/b")] * 40, ("/a", "<b>x</b>"), ("/a",))
    run_rows(rows, transitions="pages", paths="pages", funnel=["/a", "/b"]).report(tmp_path / "r")
    page = (tmp_path / "r" / "index.html").read_text()
    assert '<section id="funnel">' in page
    assert "transitions by page and the next" in page.lower()
    assert "sessions by page and step" in page.lower()
    assert "<b>x</b>" not in page
    for name in ("funnel", "transitions-pages", "paths-pages"):
        assert (tmp_path / "r" / f"{name}.csv").stat().st_size > 40
    run_rows(rows).report(tmp_path / "plain")
    assert "funnel" not in (tmp_path / "plain" / "index.html").read_text().split('id="off"')[0].split("</style>")[1]
