"""Exposure, clicks, hover and goals of features against an oracle in plain Python; laws; the demo's planted ones."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import heatgrid as hg
from answers import groupings, run_engine
from heatgrid.cli import main
from heatgrid.demo.generate import write
from heatgrid.demo.site import DEAD_BUTTON, UNUSED_FEATURE
from heatgrid.states.store import to_bytes
from heatgrid.words.areas import Area, load_areas
from heatgrid.words.errors import UsageError
from law import check_lanes_and_parts
from oracle import exposure as oracle
from oracle import sessions
from strategies import T0, TICKS, Input

FOUND = [Phase.explicit, Phase.reuse, Phase.generate]
EXAMPLES = settings(max_examples=120, deadline=None, phases=FOUND, suppress_health_check=list(HealthCheck))
BLOCKS = st.sampled_from((1, 2, 3, 7, 131_072))
LAYOUT = [
    {"name": "F", "x0": 0, "x1": 10, "y0": 0, "y1": 100},
    {"name": "G", "x0": 0, "x1": 10, "y0": 90, "y1": 110, "page": "/a"},
    {"name": "H", "x0": 0, "x1": 10, "y0": 100, "y1": 100, "page": "/a"},
    {"name": "H", "x0": 0, "x1": 10, "y0": 200, "y1": 400.5, "page": "/a", "max_width": 1000},
    {"name": "H", "x0": 0, "x1": 10, "y0": 40, "y1": 60, "page": "/a", "min_width": 1000},
    {"name": "I", "x0": 0, "x1": 10, "y0": 155, "y1": 175, "page": "/b"},
    {"name": "I", "x0": 0, "x1": 10, "y0": 55, "y1": 65, "page": "/b", "min_width": 600, "max_width": 1000},
    {"name": "J", "x0": 0, "x1": 10, "y0": 160, "y1": 160},
    {"name": "F", "x0": 0, "x1": 10, "y0": 120, "y1": 140, "page": "/b"},
    {"name": "F", "x0": 0, "x1": 10, "y0": 10, "y1": 10, "max_width": 1000},
    {"name": "K", "x0": 0, "x1": 10, "y0": 40, "y1": 60, "page": "(none)"},
    {"name": "L", "x0": 0, "x1": 10, "y0": 40, "y1": 60, "page": "(all)"},
]
GOALS = ((), ({"kind": ("input",)},), ({"kind": ("pageview",), "page": ("/b",)}, {"feature": ("G",)}))


@st.composite
def visits(draw, ids=("session", "session", "session", "user"), most=60) -> Input:
    """Sessions that scroll, resize, hide, hover and click, in two tabs, with pages that change without a pageview."""
    rng = draw(st.randoms(use_true_random=False))
    unit = draw(st.sampled_from(("ms", "us", "s", "ns")))
    owner = draw(st.sampled_from(ids))
    extras = (
        "viewport_w",
        "viewport_w",
        "tab",
        "tab",
        "view",
        "device",
        "count",
        "event_id",
        "pointer",
        "frame",
    )
    columns = {"time", owner, "kind", "scroll_y", "viewport_h", "feature", "page"}
    columns |= {*draw(st.lists(st.sampled_from(extras), max_size=8))}
    columns -= set(draw(st.sampled_from(((), (), ("page",), ("feature",)))))
    kinds = draw(st.sampled_from((
        ("scroll", "scroll", "click", "click", "move", "move", "pageview", "hidden", "visible", "exposure", "input"),
        ("move", "move", "move", "click", "scroll", "focus"),
        ("scroll", "scroll", "hidden", "focus", "click"),
        ("click", "pageview", "input"),
    )))  # fmt: skip
    tops = draw(
        st.sampled_from(((0.0, 0.0, 50.0, 51.0, 100.0, 160.0, 300.0), (0.0, -30.0, 1e300, 49.75), (0.0, 900.0)))
    )
    heights = draw(st.sampled_from(((100.0,), (100.0, 99.5, 50.0), (0.0, -4.0, 1e5, 99_999.0, 60.0, None))))
    gaps = draw(st.sampled_from(((0, 1, 149, 150, 151, 500), (0, 0, 7, 30_001), (75, 75, 1000), (149, 1), (0, 150))))
    nothing = draw(st.sampled_from((0.0, 0.2, 0.6)))
    rows, now = [], T0 * 1000

    def maybe(value):
        return None if rng.random() < nothing else value

    for _ in range(draw(st.sampled_from((1, 5, 20, most)))):
        now += rng.choice(gaps)
        row = {"time": now * TICKS[unit] // 1000, owner: rng.choice(("s1", "s1", "s1", "s2", "s3"))}
        row |= {"kind": rng.choice(kinds), "page": rng.choice(("/a", "/a", "/a", "/b", "/c", None))}
        row |= {"scroll_y": maybe(rng.choice(tops)), "viewport_h": maybe(rng.choice(heights))}
        row |= {
            "feature": rng.choice(("F", "F", "G", "H", "I", "Z", None)),
            "pointer": rng.choice(("touch", "mouse", None)),
        }
        row |= {"viewport_w": maybe(rng.choice((500.0, 700.0, 999.5, 1000.0, 1440.0, 0.0, float("nan"))))}
        row |= {"tab": rng.choice(("t1", "t1", "t2", None)), "count": rng.choice((1, 1, 3))}
        row |= {"view": rng.choice(("v1", "v1", "v2", None)), "device": rng.choice(("phone", "desk", None))}
        row |= {"user": row.get("user", rng.choice(("u1", "u2", None)))}
        row |= {"event_id": f"e{rng.randrange(60)}", "frame": rng.choice(("page", "element", None))}
        rows.append({name: row[name] for name in columns})
    if draw(st.booleans()) and len(rows) > 1:
        rows.insert(rng.randrange(len(rows)), rows.pop(rng.randrange(len(rows))))
    cut = rng.randint(0, len(rows))
    return Input([rows[:cut], rows[cut:]], tuple(sorted(columns)), unit, "double", "double")


@st.composite
def fields_for(draw, data) -> dict:
    layout = draw(st.lists(st.sampled_from(LAYOUT), unique_by=id, min_size=1)) if draw(st.booleans()) else LAYOUT
    return {
        "layout": layout,
        "goal": draw(st.sampled_from(GOALS)),
        "by": ("device",) if "device" in data.columns and draw(st.booleans()) else (),
        "every": draw(st.sampled_from((None, "hour"))),
        "distinct": draw(st.sampled_from(((), ("users",)))),
        "session_gap": draw(st.sampled_from((None, 29_999, 1_800_000))),
        "idle_ms": draw(st.sampled_from((30_000, 100, 0))),
        "maps": (),
        "tables": (),
    }


def run(data, fields, shape=None, **options):
    return run_engine(data, fields | {"layout": [Area(**area) for area in fields["layout"]]}, shape, **options)


def want(data, fields) -> dict:
    plain = {name: value for name, value in fields.items() if name not in ("layout", "goal")}
    result = sessions.resolve(data.files, plain, unit=data.unit, columns=data.columns)
    plan, layout = result["plan"], fields["layout"]
    if "viewport_w" not in data.columns and any("min_width" in a or "max_width" in a for a in layout):
        return {}
    whole = {(False, False), (bool(plan["by"]), bool(plan["every"]))}
    return {
        (by, every): oracle.table(
            result, layout, plan["by"] if by else (), every, fields["goal"],
            "user" in data.columns and "users" in fields.get("distinct", ()),
        )
        for by, every in groupings(plan) if (by, every) in whole
    }  # fmt: skip


def got(heat) -> dict:
    plan = {"by": heat.plan.by, "every": heat.plan.every}
    whole = {(False, False), (bool(plan["by"]), bool(plan["every"]))}
    tables = {}
    for by, every in groupings(plan):
        if (by, every) not in whole:
            continue
        table = heat.exposure_of(by, every)
        keys = table.column_names[: table.column_names.index("page_views")]
        tables[by, every] = {}
        for row in table.to_pylist():
            page, feature, *rest = (row[name] for name in keys)
            assert (page, *rest, feature) not in tables[by, every]
            tables[by, every][page, *rest, feature] = {k: v for k, v in row.items() if k not in keys}
    return tables


def differ(wanted, found) -> list[str]:
    """Counts exactly; rates to twelve digits."""
    out = []
    for grouping, rows in wanted.items():
        for key in {*rows, *found[grouping]}:
            a, b = rows.get(key), found[grouping].get(key)
            if a is None or b is None:
                out.append(f"{grouping} {key}: oracle {a}, engine {b}")
                continue
            for name, value in b.items():
                same = value == a[name]
                if isinstance(value, float) and isinstance(a[name], float):
                    same = math.isclose(value, a[name], rel_tol=1e-9, abs_tol=1e-12)
                if not same:
                    out.append(f"{grouping} {key} {name}: oracle {a[name]}, engine {value}")
    return sorted(out)


def agree(data, fields, shape=None, **options):
    heat = run(data, fields, shape, **options)
    heat.ledger.check()
    wanted = want(data, fields)
    if not wanted:
        assert "viewport_w" in heat.refused["exposure"]
        return heat
    assert differ(wanted, got(heat)) == []
    return heat


@EXAMPLES
@given(
    data=visits(), more=st.data(), order=st.sampled_from(("auto", "auto", "any")), block_rows=BLOCKS,
    threads=st.sampled_from((1, 2)), max_open=st.sampled_from((1, 2, 262_144)),
)  # fmt: skip
def test_every_column_says_what_the_oracle_says(data, more, order, block_rows, threads, max_open):
    fields = more.draw(fields_for(data))
    agree(data, fields, order=order, block_rows=block_rows, threads=threads, max_open=max_open)


def crowd(seed, people=450) -> Input:
    """As many sessions as intervals and medians need, some with many views; nobody clicks O, few P."""
    rng = random.Random(seed)
    rows = []
    for person in range(people):
        now = T0 * 1000 + rng.randrange(3_600_000)
        for _ in range(rng.choice((1, 1, 2, 6))):
            page = rng.choice(("/a", "/a", "/a", "/b"))
            kinds = rng.choices(("scroll", "click", "click", "move", "input", "hidden"), k=rng.randrange(8))
            for kind in ("pageview", *kinds):
                row = {
                    "time": now,
                    "session": f"s{person}",
                    "user": f"u{person % 310}" if person % 9 else None,
                    "page": page,
                    "kind": kind,
                    "viewport_h": 100.0,
                }
                row |= {"scroll_y": rng.choice((0.0, 0.0, 60.0, 100.0))}
                row |= {"feature": rng.choices("FGMNHJP", weights=(40, 20, 40, 40, 20, 20, 12))[0]}
                rows.append(row | {"viewport_w": 700.0, "device": rng.choice(("phone", "desk"))})
                now += rng.choice((10, 149, 200, 3000))
    rows.sort(key=lambda row: row["time"])
    return Input([rows], tuple(sorted(rows[0])), "ms", "double", "double")


MANY = [*LAYOUT, *({"name": n, "x0": 0, "x1": 1, "y0": 20, "y1": 40, "page": "/a"} for n in "MNOP")]


@pytest.mark.parametrize(("seed", "distinct"), [(1, ()), (2, ("users",))])
def test_intervals_medians_and_the_rule_of_the_underused_of_a_crowd(seed, distinct):
    data = crowd(seed)
    fields = {"layout": MANY, "goal": ({"kind": ("input",)},), "by": ("device",), "maps": (), "tables": ()}
    fields["distinct"] = distinct
    rows = agree(data, fields).exposure.to_pylist()
    assert {row["underused"] for row in rows} == {True, False, None}
    assert {row["small"] for row in rows} >= {None}
    assert all(row["ctr_low"] <= row["ctr"] <= row["ctr_high"] for row in rows if row["ctr"])


# ---- laws -----------------------------------------------------------------------------------------------------------


@settings(EXAMPLES, max_examples=40)
@given(data=visits(), more=st.data(), parts=st.integers(2, 3))
def test_parts_of_the_sessions_add_up_and_every_lane_gives_the_same_bytes(data, more, parts):
    check_lanes_and_parts(run, got, data, more.draw(fields_for(data)), parts)


SUMS = ("exposed_views", "views_clicked", "clicks", "clicks_unexposed", "exposure_ms", "hover_ms", "views_hovered")


@settings(EXAMPLES, max_examples=40)
@given(data=visits(), more=st.data())
def test_segments_leave_the_total_as_it_is_and_add_up_to_it(data, more):
    data = replace(data, columns=tuple(sorted({*data.columns, "device"})))
    fields = more.draw(fields_for(data)) | {"by": ("device",)}
    split = run(data, fields)
    bare = run(data, fields | {"by": (), "every": None})
    assert split.exposure.equals(bare.exposure)
    for name in SUMS:
        every = fields["every"] is not None
        assert sum(split.exposure_of(True, every)[name].to_pylist()) == sum(bare.exposure[name].to_pylist())
    for row in bare.exposure.to_pylist():
        assert row["views_clicked"] <= row["exposed_views"] <= row["page_views"]
        assert row["sessions_clicked"] <= row["exposed_sessions"] <= row["page_sessions"]
        assert row["clicks_unexposed"] <= row["clicks"]


# ---- single cases ---------------------------------------------------------------------------------------------------


def seen(*rows, layout=None, columns=(), **fields):
    """Rows (ms, kind, more) of one session with a window of 100 px on /a; F has its line at 50, G (/a only) at 100."""
    made = []
    for ms, kind, more in rows:
        row = {"time": T0 * 1000 + ms, "session": "s", "page": "/a", "kind": kind, "scroll_y": 0.0}
        made.append(row | {"viewport_h": 100.0, "feature": None} | more)
    names = sorted({*columns, *(name for row in made for name in row)})
    data = Input([[{name: row.get(name) for name in names} for row in made]], tuple(names), "ms", "double", "double")
    heat = agree(data, {"layout": layout or LAYOUT[:2], "goal": (), "maps": (), "tables": (), **fields})
    return {row["feature"]: row for row in heat.exposure.to_pylist() if row["page"] == "/a"}


def test_a_stretch_is_cut_by_a_hidden_page_and_by_a_scroll_away():
    split = seen((0, "pageview", {}), (149, "hidden", {}), (9000, "visible", {}), (9149, "focus", {}))
    assert (split["F"]["exposed_views"], split["F"]["exposure_ms"]) == (0, 298)
    one = seen((0, "pageview", {}), (149, "focus", {}), (150, "focus", {}))
    assert (one["F"]["exposed_views"], one["F"]["exposure_ms"]) == (1, 150)
    away = seen((0, "pageview", {}), (100, "scroll", {"scroll_y": 60.0}), (200, "scroll", {}), (249, "hidden", {}))
    assert (away["F"]["exposed_views"], away["F"]["exposure_ms"]) == (0, 149)
    # the line at 100 is below a window of [0, 100), and came in with the scroll
    assert (away["G"]["exposed_views"], away["G"]["exposure_ms"]) == (0, 100)


def test_a_feature_that_stays_in_the_window_when_it_is_resized_has_never_left_it():
    layout = [
        {"name": "F", "x0": 0, "x1": 1, "y0": 0, "y1": 20, "max_width": 1000},
        {"name": "F", "x0": 0, "x1": 1, "y0": 60, "y1": 80, "min_width": 1000},
    ]
    wide, narrow = {"viewport_w": 1200.0}, {"viewport_w": 600.0}
    rows = seen((0, "pageview", wide), (100, "resize", narrow), (200, "focus", narrow), layout=layout)
    assert (rows["F"]["exposed_views"], rows["F"]["exposure_ms"]) == (1, 200)


def test_hesitation_is_from_the_last_arrival_to_the_first_click_and_fingers_have_none():
    on_f, on_g = {"feature": "F", "pointer": "mouse"}, {"feature": "G", "pointer": "mouse"}
    finger = {"feature": "F", "pointer": "Touch"}
    rows = seen(
        (0, "pageview", {}), (10, "move", on_f), (20, "move", on_g), (50, "move", on_f), (60, "move", on_f),
        (90, "click", on_f), (95, "move", on_g), (99, "move", on_f), (120, "click", on_f),
    )  # fmt: skip
    told = ("first_click_ms", "hesitation_ms", "hover_ms", "clicks", "views_hovered", "engagement")
    assert [rows["F"][name] for name in told] == [90, 40, 76, 2, 1, None]
    rows = seen((0, "pageview", {}), (10, "move", finger), (90, "click", finger), (200, "click", finger))
    assert [rows["F"][name] for name in told] == [90, None, 0, 2, 0, None]


def test_a_goal_counts_for_those_that_clicked_before_it():
    goal = {"goal": ({"kind": ("input",)},)}
    later = seen((0, "pageview", {}), (10, "click", {"feature": "F"}), (10, "input", {}), **goal)
    assert later["F"]["goal_sessions"] == 1
    earlier = seen((0, "pageview", {}), (10, "input", {}), (10, "click", {"feature": "F"}), **goal)
    assert earlier["F"]["goal_sessions"] == 0
    goal = {"goal": ({"feature": ("F",)},)}
    itself = seen((0, "pageview", {}), (10, "click", {"feature": "F"}), **goal)
    assert itself["F"]["goal_sessions"] == 0
    unclicked = seen((0, "pageview", {}), (200, "click", {"feature": "Z"}), goal=({"feature": ("Z",)},))
    assert (unclicked["F"]["unclicked_sessions"], unclicked["F"]["unclicked_goal_sessions"]) == (1, 1)


def rows_of(n=2, **more):
    made = {
        "time": [T0 * 1000 + 1000 * i for i in range(n)], "session": ["s"] * n, "page": ["/a"] * n,
        "kind": ["pageview", *["click"] * (n - 1)], "feature": [None, *["F"] * (n - 1)],
        "scroll_y": [0.0] * n, "viewport_h": [100.0] * n, "viewport_w": [700.0] * n,
    }  # fmt: skip
    return made | more


AREAS = [Area(**area) for area in LAYOUT[:2]]


def test_what_lacks_is_named_and_the_rest_goes_on():
    cases = [
        ({"exposure": True}, {}, {}, "--layout FILE"),
        ({"layout": AREAS}, {"scroll_y": None}, {}, "--map scroll_y=COLUMN"),
        ({"layout": [replace(AREAS[0], min_width=600)]}, {"viewport_w": None}, {}, "--map viewport_w=COLUMN"),
        ({"layout": AREAS}, {"session": None}, {}, "--map session=COLUMN"),
        ({"layout": AREAS}, {}, {"time_quality": "flush:5000"}, "time_quality=flush"),
        ({"layout": AREAS}, {}, {"time_quality": "ping:5000"}, "exposure=WORD"),
        ({"layout": AREAS}, {}, {"has": "viewport,views"}, "declares no scroll"),
    ]  # fmt: skip
    for plan, changed, evidence, told in cases:
        data = {name: values for name, values in (rows_of() | changed).items() if values is not None}
        heat = hg.run(hg.read(data, evidence=evidence), **plan)
        assert told in heat.refused["exposure"], told
        assert any("exposure" in line and told in line for line in heat.refusals())
        assert heat.exposure.num_rows == 0
        assert "ctr" in heat.exposure.column_names
        assert heat.features["clicks"].to_pylist() == [1]
    with pytest.raises(UsageError) as caught:
        _ = hg.run(rows_of()).exposure
    assert caught.value.code == "HG1550"
    with pytest.raises(UsageError) as caught:
        hg.run(rows_of(), layout=AREAS, by=["page"], every="day").exposure_of(True, False)
    assert caught.value.code == "HG1551"


def test_what_the_source_says_of_its_moves_and_its_rows_of_exposure():
    hover = ("hover_ms", "views_hovered", "engagement", "hesitation_ms")
    heat = hg.run(hg.read(rows_of(), evidence={"moves": "rest:500"}), layout=AREAS)
    assert all(heat.exposure[name].null_count == heat.exposure.num_rows for name in hover)
    data = rows_of(3, kind=["pageview", "exposure", "click"])
    heat = hg.run(hg.read(data, evidence={"time_quality": "ping:1000"}), layout=AREAS)
    row = next(row for row in heat.exposure.to_pylist() if row["feature"] == "F")
    assert (row["exposed_views"], row["exposure_ms"], row["first_click_ms"]) == (1, None, None)


def test_rows_of_few_sessions_are_withheld_and_states_keep_the_plan(tmp_path):
    data = crowd(3, 60)
    fields = {"layout": [Area(**area) for area in MANY], "maps": (), "tables": (), "min_sessions": 20}
    fields["goal"] = ("input", "/b")
    heat = run_engine(data, fields)
    whole = run_engine(data, fields | {"min_sessions": 0})
    assert 0 < heat.exposure.num_rows < whole.exposure.num_rows
    assert min(heat.exposure["exposed_sessions"].to_pylist()) >= 20
    heat.save(tmp_path / "x.heat")
    again = hg.load(tmp_path / "x.heat")
    assert again.plan == heat.plan
    assert again.plan.hash() == heat.plan.hash()
    assert again.exposure.equals(heat.exposure)


def test_flagged_clicks_are_columns_where_the_plan_has_rules():
    data = rows_of(9, time=[T0 * 1000 + i for i in range(9)], x=[1.0] * 9, y=[1.0] * 9)
    heat = hg.run(data, layout=AREAS, friction=("rage", "error"), by=["page"])
    for table in (heat.exposure, heat.exposure_of()):
        told = {row["feature"]: (row["rage"], row["error"]) for row in table.to_pylist()}
        assert told == {"F": (1, None)}


# ---- the demo, end to end -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    path = tmp_path_factory.mktemp("dump") / "events.parquet"
    write(path, 400_000, sessions=10_000, seed=5)
    return path


def test_layout_then_features_on_the_demo(dump, tmp_path, capfd):
    layout = str(tmp_path / "layout.csv")
    assert main(["layout", str(dump), "-q", "-o", layout]) == 0
    found = {(area.name, area.page): area for area in load_areas(layout)}
    assert len(found) == 24 * 12
    words = ["features", str(dump), "-q", "--layout", layout, "--goal", "pageview:/checkout"]
    assert main([*words, "--rule", "rage", "-o", str(tmp_path / "f.parquet")]) == 0
    rows = {(row["page"], row["feature"]): row for row in pq.read_table(tmp_path / "f.parquet").to_pylist()}
    unused = rows["/settings", UNUSED_FEATURE]
    assert unused["exposed_sessions"] > 30
    assert (unused["clicks"], unused["ctr"]) == (0, 0.0)
    dead = rows["/checkout", DEAD_BUTTON]
    others = [row for (page, _), row in rows.items() if page == "/checkout"]
    assert dead["recurrence"] == max(row["recurrence"] or 0 for row in others) > 5
    assert dead["rage"] == max(row["rage"] for row in rows.values()) > 0
    assert any(row["underused"] for row in rows.values())
    capfd.readouterr()
    assert main(words) == 0
    told = capfd.readouterr().out
    line = next(line for line in told.splitlines() if UNUSED_FEATURE in line)
    assert "0 % (0.0-" in line
    assert "goal_rate" in told.splitlines()[0]
    for suffix in ("csv", "arrow", "json", "npz"):
        assert main([*words, "-o", str(tmp_path / f"f.{suffix}")]) == 0
    assert main([*words, "--show", "usage", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["columns"][:2] == ["feature", "events"]
    assert main(["report", str(dump), "-q", "--layout", layout, "--maps", "clicks", "-o", str(tmp_path / "r")]) == 0
    page = (tmp_path / "r" / "index.html").read_text()
    assert 'id="exposure"' in page
    assert "underused</span>" in page
    assert (tmp_path / "r" / "exposure.csv").is_file()


def test_the_same_in_the_order_of_the_file_and_in_none(dump):
    events = pq.read_table(dump)
    layout = [Area("nav.home", 0, 1, 12, 52), Area("home.customers", 0, 1, 900, 940, page="/")]
    whole = hg.run(dump, layout=layout, maps=(), every="week")
    parted = hg.run(events, layout=layout, maps=(), every="week", order="any", threads=1)
    whole.state.inputs = parted.state.inputs = []
    assert to_bytes(whole.state) == to_bytes(parted.state)
