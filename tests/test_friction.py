"""Friction against an oracle in plain Python and against DuckDB: every preset and own rules, on small hostile sessions
whose gaps and distances are just what a rule allows, or just not."""

from __future__ import annotations

import json
from dataclasses import replace

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv

import heatgrid as hg
from answers import cells_of, differences, groupings, map_groupings, run_engine
from heatgrid.cli import main
from heatgrid.demo.generate import write
from heatgrid.words.errors import HeatgridError, UsageError
from heatgrid.words.friction import PRESETS, REACTIONS, Back, Follow, Loop, Marked, Repeat, Thrash, rules_of
from law import check_lanes_and_parts
from oracle import friction as oracle
from oracle import sessions, sql
from strategies import BLOCKS, LANES, SMALL, T0, TICKS, Input, event_files, plans, shapes

EXAMPLES = settings(SMALL, max_examples=60)
YEAR_2000, YEAR_2101 = 946_684_800_000_000, 4_133_980_800_000_000
OWN = (
    Repeat(name="rage:all", n=3, gap_ms=1000, radius_px=30, metric="l2", once=False),
    Repeat(name="rage:box", n=2, gap_ms=500, radius_px=30, metric="box", once=False, restart=True),
    Repeat(name="rage:span", n=3, span_ms=1000, radius_px=30, metric="l1", restart=True),
    Repeat(name="rage:boxes", n=3, span_ms=2000, radius_px=30, metric="box", once=False),
    Repeat(name="rage:many", n=10, gap_ms=1001, same_feature=True, once=False),
    Follow(name="dead:own", kinds=("error", "scroll"), within_ms=1000, followed=False),
    Follow(name="then:click", kinds=("click",), within_ms=300),
    Follow(name="at once", kinds=("error",), within_ms=0),
    Marked(name="rage:own", kinds=("input", "rageclick")),
    Back(name="back:own", within_ms=0),
    Loop(name="loop:2", n=2, within_ms=1000),
    Thrash(name="thrash:3", n=3, within_ms=300),
    Thrash(name="thrash:1", n=1, within_ms=0),
)
ALL_RULES = (*PRESETS, *OWN)
GAPS = (0, 0, 1, 99, 100, 299, 300, 301, 499, 500, 501, 999, 1000, 1001, 2499, 2500, 2501, 3000, 3001, 5000, 5001)
STEPS = ((0, 0), (0, 0), (29, 0), (30, 0), (15, 15), (-14.5, 15), (18, 24), (18, 23.9), (50, 0), (0, -50), (0, 50.5),
         (-30, 0), (1e300, 0))  # fmt: skip


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    path = tmp_path_factory.mktemp("dump") / "events.parquet"
    write(path, 200_000, seed=5)
    return path


@st.composite
def clicking(draw, ids=("session", "user")) -> Input:
    """Sessions of many clicks, with steps in time and space at the edges of the rules."""
    rng = draw(st.randoms(use_true_random=False))
    unit = draw(st.sampled_from(("ms", "us", "s")))
    owner = draw(st.sampled_from(ids))
    extras = ("tab", "view", "viewport_w", "fixed", "scroll_y", "pointer", "count", "device", "event_id")
    columns = {"time", owner, "page", "kind", "x", "y", "feature", *draw(st.lists(st.sampled_from(extras), max_size=4))}
    kinds = draw(st.sampled_from((
        ("click",) * 6 + ("move", "error", "mutation", "scroll"),
        ("click",) * 30 + ("error", "mutation"),
        ("move",) * 9 + ("click",),
        ("pageview", "pageview", "click"),
        ("click", "rageclick", "$dead_click", "navigation", "selection", "input", "error", "mutation", "move"),
    )))  # fmt: skip
    gaps = draw(st.sampled_from((GAPS, (0, 1, 20), (0, 0, 0, 1000), (99, 100), (299, 300, 301), (999, 1000, 1001))))
    steps = draw(st.sampled_from((STEPS, ((0, 0),), ((1, 0), (-1, 0)), ((0, 0), (29, 0), (-29, 0), (30, 0)))))
    pages = draw(st.sampled_from((("/a",), ("/a", "/b"), ("/a", "/b", "/c", None))))
    features = draw(st.sampled_from((("F",), ("F", "G"), ("F", None), ("F", "(none)", None))))
    nothing = draw(st.sampled_from((0.0, 0.05)))
    rows, now, places = [], T0 * 1000, {}
    for _ in range(draw(st.sampled_from((5, 20, 40, 80)))):
        now += rng.choice(gaps)
        who, tab = rng.choice(("s1", "s1", "s1", "s2")), rng.choice(("t1", "t1", None))
        x, y = places.get((who, tab), (100.0, 100.0))
        dx, dy = rng.choice(steps)
        places[who, tab] = x, y = (x + dx) if x < 1e299 else 100.0, y + dy
        if rng.random() < nothing:
            x = rng.choice((None, float("nan"), float("inf")))
        row = {"time": now * TICKS[unit] // 1000, owner: who, "tab": tab, "kind": rng.choice(kinds), "x": x, "y": y}
        row |= {"page": rng.choice(pages), "feature": rng.choice(features), "device": rng.choice(("phone", None))}
        row |= {"view": rng.choice(("v1", "v2", None)), "viewport_w": rng.choice((None, 599.0, 1440.0))}
        row |= {"fixed": rng.random() < 0.1, "scroll_y": rng.choice((None, 0.0, 3.5)), "count": rng.choice((1, 1, 3))}
        row |= {"pointer": rng.choice(("mouse", "touch")), "event_id": f"e{rng.randrange(200)}"}
        rows.append({name: row[name] for name in columns})
    if draw(st.booleans()) and len(rows) > 1:
        rows.insert(rng.randrange(len(rows)), rows.pop(rng.randrange(len(rows))))
    cut = rng.randint(0, len(rows))
    return Input([rows[:cut], rows[cut:]], tuple(sorted(columns)), unit, "double", "double")


@st.composite
def fields_for(draw, data) -> dict:
    plan = {
        "maps": draw(st.sampled_from((("clicks",), ("clicks", "moves")))),
        "frame": draw(st.sampled_from(("page", "viewport"))),
        "widths": draw(st.sampled_from(("bucket", "bucket", "scale"))),
        "by": ("device",) if "device" in data.columns and draw(st.booleans()) else (),
        "every": draw(st.sampled_from((None, "hour"))),
        "session_gap": draw(st.sampled_from((None, 3000, 1_800_000))),
        "cell": draw(st.sampled_from((8, 30))),
    }
    return plan | {"friction": ALL_RULES}


def plain(chosen) -> dict:
    """The rules as the oracle reads them."""
    return {rule.name: rule.as_dict() for rule in rules_of(chosen)}


def want(data, fields) -> dict:
    """All that the oracle says of the rules that this input can serve."""
    fields = dict(fields)
    rules = plain(fields.pop("friction"))
    result = sessions.resolve(data.files, fields, unit=data.unit, columns=data.columns)
    plan = result["plan"]
    tables = {
        (by, every): oracle.table(result, rules, plan["by"] if by else (), every) for by, every in groupings(plan)
    }
    maps = {
        (name, by, every): oracle.cells(result, rule, plan["by"] if by else (), every)
        for by, every in map_groupings(plan)
        for name, rule in rules.items()
        if rule["type"] in ("repeat", "follow", "marked")
    }
    return {"totals": oracle.totals(result, rules), "tables": tables, "maps": maps}


def got(heat) -> dict:
    plan = {"by": heat.plan.by, "every": heat.plan.every}
    totals = {row.pop("rule"): row for row in heat.rules.drop_columns(["version", "parameters"]).to_pylist()}
    tables = {}
    for by, every in groupings(plan):
        rows = {}
        for row in heat.table("friction", by=by, every=every).to_pylist():
            counts = {name: row.pop(name) for name in ("flagged", "sessions", "considered", "excess")}
            rows[tuple(row.values())] = counts
        tables[by, every] = rows
    maps = {
        (rule.name, by, every): {
            key[1:]: cells for key, cells in cells_of(heat.state, by, every, what=rule.name).items()
        }
        for by, every in map_groupings(plan)
        for rule in heat.plan.rules
        if rule.counts == "click"
    }
    return {"totals": totals, "tables": tables, "maps": maps}


def agree(data, fields, **options):
    heat = run_engine(data, fields, **options)
    heat.ledger.check()
    mine, its = got(heat), want(data, fields)
    off = {name for name, row in mine["totals"].items() if row.pop("off")}
    for name in off:
        del mine["totals"][name], its["totals"][name]
    for rows in (*its["tables"].values(), *mine["tables"].values()):
        for key in [key for key in rows if key[0] in off]:
            del rows[key]
    if off:
        mine["maps"], its["maps"] = ({k: v for k, v in one["maps"].items() if k[0] not in off} for one in (mine, its))
    assert differences(its, mine) == []
    return heat


@EXAMPLES
@given(data=clicking(), more=st.data(), **LANES)
def test_every_rule_flags_what_the_oracle_flags(data, more, **lane):
    fields = more.draw(fields_for(data))
    agree(data, fields, **lane)


@EXAMPLES
@given(data=event_files(ids="session"), more=st.data(), shape=shapes(), block_rows=BLOCKS)
def test_every_rule_on_any_rows(data, more, shape, block_rows):
    fields = more.draw(plans(set(data.columns))) | {"friction": ALL_RULES}
    fields["maps"] = ("clicks",)
    agree(data, fields, shape=shape, block_rows=block_rows)


# ---- laws -----------------------------------------------------------------------------------------------------------


@settings(EXAMPLES, max_examples=25)
@given(data=clicking(), more=st.data(), parts=st.integers(2, 3))
def test_parts_of_the_sessions_add_up_and_every_lane_gives_the_same_bytes(data, more, parts):
    check_lanes_and_parts(run_engine, got, data, more.draw(fields_for(data)), parts)


@settings(EXAMPLES, max_examples=20)
@given(data=clicking(), more=st.data())
def test_a_rule_never_changes_what_another_one_says(data, more):
    fields = more.draw(fields_for(data))
    together = got(run_engine(data, fields))
    alone = more.draw(st.sampled_from(rules_of(ALL_RULES)))
    own = got(run_engine(data, {**fields, "friction": (alone,)}))
    assert own["totals"][alone.name] == together["totals"][alone.name]
    for key, rows in own["tables"].items():
        assert rows == {k: v for k, v in together["tables"][key].items() if k[0] == alone.name}


@settings(EXAMPLES, max_examples=20)
@given(data=clicking(), more=st.data())
def test_without_rules_nothing_is_counted_and_with_them_nothing_else_changes(data, more):
    fields = more.draw(fields_for(data))
    bare, full = run_engine(data, {**fields, "friction": ()}), run_engine(data, fields)
    assert set(bare.state.tables) == {name for name in full.state.tables if name.partition("|")[0] != "friction"} - {
        "rules"
    }
    for name, table in bare.state.tables.items():
        assert table.values.tolist() == full.state.tables[name].values.tolist()
    assert bare.rules.num_rows == 0
    assert bare.features.equals(full.features.select(bare.features.column_names))


# ---- single cases ---------------------------------------------------------------------------------------------------


def clicks(*points, kind="click", **more):
    """Clicks at (ms, x, y) of one session."""
    return [{"time": T0 * 1000 + ms, "session": "s", "page": "/a", "kind": kind, "x": float(x), "y": float(y),
             "feature": "F", **more} for ms, x, y in points]  # fmt: skip


def flagged(rows, *chosen) -> dict:
    rows = sorted(rows, key=lambda row: row["time"])
    names = sorted({name for row in rows for name in row})
    data = Input([[{name: row.get(name) for name in names} for row in rows]], tuple(names), "ms")
    heat = agree(data, {"friction": chosen})
    return {row["rule"]: row["flagged"] for row in heat.rules.to_pylist()}


@pytest.mark.parametrize(
    ("points", "want"),
    [
        ([(0, 0, 0), (999, 0, 0), (1998, 0, 0)], 1),
        ([(0, 0, 0), (1000, 0, 0), (1999, 0, 0)], 0),
        ([(0, 0, 0), (10, 29, 0), (20, 29, 29.5)], 1),
        ([(0, 0, 0), (10, 30, 0), (20, 30, 0)], 0),
        ([(0, 0, 0), (10, 15, 15), (20, 15, 15)], 0),
        ([(i, 0, 0) for i in range(9)], 1),
        ([(0, 0, 0), (1, 0, 0), (2, float("nan"), 0), (3, 0, 0), (4, 0, 0)], 0),
        ([(i, 0, 0) for i in range(4)] + [(5000 + i, 0, 0) for i in range(3)], 2),
    ],
)
def test_posthog_flags_the_third_click_once_a_run(points, want):
    assert flagged(clicks(*points), "rage") == {"rage:posthog": want}


def test_vendors_disagree_about_eight_clicks():
    rows = clicks(*((i * 250, i % 2 * 20, i % 2 * 20) for i in range(8)))
    told = flagged(rows, "rage:posthog", "rage:mixpanel", "rage:datadog", "rage:amplitude", "rage:openreplay")
    # l1 40 px apart; l2 28.3; five in a second; a box of 20; each 250 ms after the one before
    assert told == {
        "rage:posthog": 0, "rage:mixpanel": 2, "rage:datadog": 1, "rage:amplitude": 1, "rage:openreplay": 1,
    }  # fmt: skip


@pytest.mark.parametrize(("rule", "ms"), [("dead:posthog", 2500), ("dead:amplitude", 3000), ("dead:mixpanel", 500)])
@pytest.mark.parametrize("kind", REACTIONS)
def test_a_reaction_counts_up_to_the_last_millisecond(rule, ms, kind):
    known = clicks((-90_000, 0, 0), kind="mutation")
    assert flagged(known + clicks((0, 0, 0)) + clicks((ms, 0, 0), kind=kind), rule) == {rule: 0}
    assert flagged(known + clicks((0, 0, 0)) + clicks((ms + 1, 0, 0), kind=kind), rule) == {rule: 1}


def test_a_new_view_is_a_reaction_also_in_another_tab():
    rows = clicks((-90_000, 0, 0), kind="mutation", tab="a") + clicks((0, 0, 0), tab="a")
    assert flagged(rows + clicks((9, 0, 0), kind="move", tab="a"), "dead") == {"dead:posthog": 1}
    assert flagged(rows + clicks((9, 0, 0), kind="move", tab="b"), "dead") == {"dead:posthog": 0}


def test_an_error_belongs_to_every_click_of_the_second_before_it():
    rows = clicks((0, 0, 0), (1, 0, 0), (1001, 0, 0), (1001, 5, 5)) + clicks((1001, 0, 0), kind="error")
    assert flagged(rows, "error") == {"error": 3}


@pytest.mark.parametrize(("n", "excess"), [(64, 0), (65, 1), (80, 16)])
def test_beyond_64_waiting_clicks_the_session_is_a_bots(n, excess):
    rows = clicks(*((i, 0, 0) for i in range(n))) + clicks((n + 1, 0, 0), kind="error")
    data = Input([rows], tuple(rows[0]), "ms")
    heat = agree(data, {"friction": ("error",)})
    (row,) = heat.rules.to_pylist()
    assert (row["flagged"], row["considered"], row["excess"]) == (64, 64, excess)
    assert row["bot_sessions"] == (excess > 0)


@pytest.mark.parametrize("word", ["rageclick", "$rageclick", "$mp_rage_click", "deadclick", "$dead_click"])
def test_rows_that_only_flag_a_click_are_no_clicks(word):
    rows = clicks((0, 0, 0), (1, 0, 0)) + clicks((1, 0, 0), kind=word)
    data = Input([rows], tuple(rows[0]), "ms")
    heat = run_engine(data, {"friction": ("rage:source", "dead:source", "rage")})
    assert heat.features["clicks"].to_pylist() == [2]
    assert heat.map("clicks").values.sum() == 2
    totals = {row["rule"]: (row["flagged"], row["considered"]) for row in heat.rules.to_pylist()}
    assert totals["dead:source" if "dead" in word else "rage:source"] == (1, 2)


# ---- what a source cannot give --------------------------------------------------------------------------------------

BASE = {"time": [T0 * 1000, T0 * 1000 + 1], "session": ["s", "s"], "page": ["/a", "/a"], "kind": ["click", "click"],
        "x": [1.0, 2.0], "y": [1.0, 2.0], "feature": ["F", "F"]}  # fmt: skip


@pytest.mark.parametrize(
    ("lacks", "changes", "off", "unlock"),
    [
        (("session",), {}, set(PRESETS), "--map session="),
        (("x",), {}, {"rage:posthog", "rage:mixpanel", "rage:amplitude", "thrash"}, "--map x="),
        (("feature",), {}, {"rage:amplitude", "rage:openreplay"}, "--map feature="),
        (("page",), {}, {"quick_back", "page_loop"}, "--map page="),
        ((), {"kind": ["click", "scroll"]}, {"dead:posthog", "dead:mixpanel", "dead:amplitude"}, "--kind mutation="),
        ((), {"kind": ["move", "move"]}, {name for name in PRESETS if name.startswith("rage") and "source" not in name},
         "--kind click="),
        ((), {}, {"error"}, "--kind error="),
        ((), {}, {"thrash"}, "--kind move="),
        ((), {}, {"rage:source"}, "rageclick"),
    ],
)  # fmt: skip
def test_rules_that_a_source_cannot_serve_are_refused_by_name(lacks, changes, off, unlock):
    rows = {name: column for name, column in (BASE | changes).items() if name not in lacks}
    heat = hg.run(rows, friction=tuple(PRESETS))
    told = {row["rule"]: row for row in heat.rules.to_pylist()}
    for name in off:
        assert unlock in told[name]["off"]
        assert told[name]["flagged"] is None
        assert any(name in line and unlock in line for line in heat.refusals())
    assert not off & set(heat.friction["rule"].to_pylist())


def test_a_refused_family_is_an_empty_column_and_a_served_one_is_not():
    heat = hg.run(BASE, friction=("rage", "dead", "error"))
    (row,) = heat.features.to_pylist()
    assert (row["rage"], row["dead"], row["error"]) == (0, None, None)
    assert "rage" not in hg.run(BASE).features.column_names


def test_columns_are_those_of_the_first_rule_of_a_family():
    rows = clicks(*((i, 0, 0) for i in range(4))) + clicks(*((i, 0, 0) for i in range(9000, 9003)), page="/b")
    data = Input([rows], tuple(rows[0]), "ms")
    first = run_engine(data, {"friction": ("rage:posthog", "rage:datadog"), "every": "day"})
    other = run_engine(data, {"friction": ("rage:datadog", "rage:posthog")})
    assert first.features["rage"].to_pylist() == [2]
    assert other.features["rage"].to_pylist() == [1]
    assert dict(zip(*(first.pages[c].to_pylist() for c in ("page", "rage")), strict=True)) == {"/a": 1, "/b": 1}
    assert first.table("pages")["rage"].to_pylist() == [1, 1]


def test_few_sessions_are_withheld_in_rows_columns_and_totals():
    rows = [
        row for s in range(3) for row in clicks((0, 0, 0), (1, 0, 0), (2, 0, 0) if s else (2, 900, 0), session=str(s))
    ]
    data = Input([sorted(rows, key=lambda row: row["time"])], tuple(rows[0]), "ms")
    fields = {"friction": ("rage",), "maps": ("clicks",)}
    assert run_engine(data, {**fields, "min_sessions": 2}).features["rage"].to_pylist() == [2]
    heat = run_engine(data, {**fields, "min_sessions": 3})
    assert heat.features["rage"].to_pylist() == [None]
    assert heat.friction.num_rows == 0
    assert heat.rules["flagged"].to_pylist() == [None]


# ---- maps -----------------------------------------------------------------------------------------------------------


def test_flagged_clicks_have_a_map_named_like_their_rule():
    rows = clicks(*((i, 20, 9) for i in range(3))) + clicks((9000, 100, 100))
    data = Input([rows], tuple(rows[0]), "ms")
    heat = run_engine(data, {"friction": ("rage", "dead", "rage:datadog")})
    grid = heat.map("rage:posthog")
    assert grid.values.sum() == 1
    assert grid.values[1, 2] == 1
    assert grid.name == "rage:posthog"
    assert heat.map("rage:posthog", page="/a", value="sessions").values.sum() == 1
    assert heat.layers()["layer"].to_pylist() == ["clicks", "rage:posthog"]
    assert heat.ledger.measures["rage:posthog"].used == 1
    with pytest.raises(UsageError, match="mutation"):
        heat.map("dead:posthog")
    with pytest.raises(UsageError, match="rage:posthog"):
        heat.map("rage:posthg")


# ---- rules as data --------------------------------------------------------------------------------------------------


def test_rules_from_toml_by_likeness_and_whole(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(
        '[rules."rage:mine"]\nlike = "rage:posthog"\nn = 5\nspan_ms = 700\n'
        '[rules."dead:mine"]\ntype = "follow"\nkinds = "mutation"\nwithin_ms = 10\nfollowed = false\nversion = 3\n'
    )
    mine, dead = rules_of(str(path))
    assert mine == Repeat(name="rage:mine", n=5, span_ms=700, radius_px=30, metric="l1")
    assert dead == Follow(name="dead:mine", kinds=("mutation",), within_ms=10, followed=False, version=3)
    plan = hg.Plan(friction=(str(path), "rage"))
    assert [rule.name for rule in plan.rules] == ["rage:mine", "dead:mine", "rage:posthog"]
    assert hg.Plan.from_dict(json.loads(json.dumps(plan.as_dict()))).hash() == plan.hash()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = [", "HG2120"),
        ("", "HG2120"),
        ("rules = 3", "HG2120"),
        ('[rules.a]\nlike = "rage:posthg"', "HG1151"),
        ('[rules.a]\ntype = "repeat"', "HG1153"),
        ('[rules.a]\ntype = "reapeat"\nn = 3', "HG1153"),
        ('[rules.a]\nlike = "rage"\nradius = 3', "HG1153"),
        ('[rules.a]\nlike = "rage"\nn = 1', "HG1154"),
        ('[rules.a]\nlike = "rage"\nn = 65', "HG1154"),
        ('[rules.a]\nlike = "rage"\nn = true', "HG1154"),
        ('[rules.a]\nlike = "rage"\nspan_ms = 3\ngap_ms = 3', "HG1154"),
        ('[rules.a]\nlike = "rage"\nradius_px = 0', "HG1154"),
        ('[rules.a]\nlike = "rage"\nradius_px = nan', "HG1154"),
        ('[rules.a]\nlike = "rage"\nmetric = "l3"', "HG1154"),
        ('[rules.a]\nlike = "rage"\nonce = 1', "HG1154"),
        ('[rules.a]\nlike = "dead"\nkinds = []', "HG1154"),
        ('[rules.a]\nlike = "dead"\nwithin_ms = -1', "HG1154"),
        ('[rules."a|b"]\nlike = "dead"', "HG1154"),
    ],
)
def test_rules_that_cannot_be_are_refused(tmp_path, text, code):
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(HeatgridError) as caught:
        hg.Plan(friction=str(path))
    assert caught.value.code == code


def test_a_missing_file_an_unknown_name_and_two_of_one_name_are_refused(tmp_path):
    for friction, code in (
        (str(tmp_path / "no.toml"), "HG2120"),
        ("rgae", "HG1151"),
        (("rage", Repeat(name="rage:posthog", n=4, gap_ms=1)), "HG1152"),
    ):
        with pytest.raises(HeatgridError) as caught:
            hg.Plan(friction=friction)
        assert caught.value.code == code


def test_the_presets_are_the_published_ones():
    rage = {"type": "repeat", "version": 1, "gap_ms": None, "span_ms": None, "radius_px": None, "metric": "l1",
            "same_feature": False, "once": True, "restart": False}  # fmt: skip
    dead = {"type": "follow", "version": 1, "kinds": ["input", "mutation", "navigation", "scroll", "selection"],
            "followed": False}  # fmt: skip
    want = {
        "rage:posthog": rage | {"n": 3, "gap_ms": 1000, "radius_px": 30},
        "rage:mixpanel": rage | {"n": 4, "gap_ms": 1000, "radius_px": 30, "metric": "l2", "restart": True},
        "rage:datadog": rage | {"n": 4, "span_ms": 1000},
        "rage:amplitude": rage | {"n": 4, "span_ms": 1000, "radius_px": 50, "metric": "box", "same_feature": True},
        "rage:openreplay": rage | {"n": 3, "gap_ms": 300, "same_feature": True},
        "dead:posthog": dead | {"within_ms": 2500},
        "dead:amplitude": dead | {"within_ms": 3000},
        "dead:mixpanel": dead | {"within_ms": 500},
        "error": {"type": "follow", "version": 1, "kinds": ["error"], "within_ms": 1000, "followed": True},
        "quick_back": {"type": "back", "version": 1, "within_ms": 5000},
        "page_loop": {"type": "loop", "version": 1, "n": 3, "within_ms": 15_000},
        "thrash": {"type": "thrash", "version": 1, "n": 21, "within_ms": 2000},
    }
    found = {name: rule.as_dict() for name, rule in PRESETS.items() if not name.endswith(":source")}
    assert found == {name: {**rule, "name": name} for name, rule in want.items()}


def test_rules_and_their_versions_are_part_of_the_plan():
    plans_ = [hg.Plan(), hg.Plan(friction="rage"), hg.Plan(friction=replace(PRESETS["rage:posthog"], version=2)),
              hg.Plan(friction=replace(PRESETS["rage:posthog"], n=4))]  # fmt: skip
    assert len({plan.hash() for plan in plans_}) == 4
    assert hg.Plan(friction="rage").hash() == hg.Plan(friction=("rage:posthog",)).hash()


# ---- command line and report -----------------------------------------------------------------------------------------


def test_the_command_shows_totals_then_rows_and_names_what_is_off(dump, capfd):
    assert main(["friction", str(dump), "--rule", "rage,rage:datadog,dead"]) == 0
    out, err = capfd.readouterr()
    totals, rows = out.split("\n\n")
    assert [line.split()[0] for line in totals.splitlines()[-3:]] == ["rage:posthog", "rage:datadog", "dead:posthog"]
    assert "checkout.apply-coupon" in rows
    assert "dead:posthog is off: no rows of kind mutation" in err


def test_the_command_writes_rows_and_takes_own_rules_and_saved_states(dump, tmp_path, capfd):
    rules = tmp_path / "rules.toml"
    rules.write_text('[rules."rage:mine"]\nlike = "rage"\nn = 2\n[rules.unused]\nlike = "error"\n')
    options = ["--rules", str(rules), "--rule", "rage,rage:mine", "-q"]
    assert main(["friction", str(dump), *options, "-o", str(tmp_path / "f.csv")]) == 0
    table = csv.read_csv(tmp_path / "f.csv")
    assert set(table["rule"].to_pylist()) == {"rage:posthog", "rage:mine"}
    assert main(["build", str(dump), *options, "-o", str(tmp_path / "x.heat")]) == 0
    assert main(["friction", str(tmp_path / "x.heat"), "-q", "-o", str(tmp_path / "g.csv")]) == 0
    assert (tmp_path / "g.csv").read_bytes() == (tmp_path / "f.csv").read_bytes()
    assert main(["map", str(dump), "--layer", "rage:mine", *options[:2], "-q", "-o", str(tmp_path / "m.png")]) == 0
    capfd.readouterr()
    assert main(["friction", str(dump), "--rules", str(rules), "-q", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert {row["rule"] for row in told["rows"]} == {"rage:mine", "unused"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("friction", "x", "--rule", "rgae"), 2, "HG1151"),
        (("friction", "x", "--rules", "no.toml"), 3, "HG2120"),
        (("map", "x", "--layer", "rage:posthg", "-o", "m.png"), 2, "rage:posthog"),
    ],
)
def test_mistakes_of_rules_are_named(words, code, said, capfd):
    assert main(list(words)) == code
    assert said in capfd.readouterr().err


def test_the_report_has_a_section_of_the_rules_that_it_can_serve(dump, tmp_path):
    hg.run(hg.read(dump), friction=("rage", "dead")).report(tmp_path / "r")
    page = (tmp_path / "r" / "index.html").read_text()
    assert 'id="friction"' in page
    assert "rage:posthog: " in page
    assert "dead:posthog is off" in page
    assert (tmp_path / "r" / "friction.csv").exists()
    hg.run(hg.read(dump)).report(tmp_path / "s")
    assert 'id="friction"' not in (tmp_path / "s" / "index.html").read_text()


# ---- another engine -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [name for name in PRESETS if name.startswith("rage") and name != "rage:source"])
def test_duckdb_finds_the_same_rage_in_200_000_rows(dump, rule):
    heat = hg.run(hg.read(dump), friction=rule, maps=(), tables=(), keep_bots=True)
    source = f"""(SELECT * FROM {sql.parquet([dump])}
                  WHERE epoch_us(time) >= {YEAR_2000} AND epoch_us(time) < {YEAR_2101} AND session IS NOT NULL
                  QUALIFY row_number() OVER (PARTITION BY session, event_id ORDER BY time, file_row_number) = 1
                    OR event_id IS NULL)"""
    with duckdb.connect(config={"threads": 2}) as db:
        rows = db.execute(sql.rage(source, PRESETS[rule].as_dict())).fetchall()
    want = {(rule, page, feature): (flags, sessions) for page, feature, flags, sessions in rows}
    found = {
        (row["rule"], row["page"], row["feature"]): (row["flagged"], row["sessions"])
        for row in heat.friction.to_pylist()
        if row["flagged"]
    }
    assert sum(flags for flags, _ in want.values()) > 100
    assert found == want
