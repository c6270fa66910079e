"""Scroll and attention against an oracle in plain Python and against DuckDB: reach, folds, page heights, the time of
every band, clicks below the fold, and the counts that Snowplow and PostHog give."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyarrow import csv

import heatgrid as hg
from answers import differences, groupings, run_engine
from heatgrid.cli import main
from heatgrid.demo.generate import write
from heatgrid.words.errors import LimitError, UsageError
from law import check_lanes_and_parts
from oracle import scroll as oracle
from oracle import sessions, sql
from strategies import T0, TICKS, Input, event_files, plans, shapes

FOUND = [Phase.explicit, Phase.reuse, Phase.generate]
EXAMPLES = settings(max_examples=80, deadline=None, phases=FOUND, suppress_health_check=list(HealthCheck))
BLOCKS = st.sampled_from((1, 2, 3, 7, 131_072))
SHOW = ("pages", "reach", "attention", "snowplow", "posthog")
NEEDED = {"scroll_y", "viewport_h"}
YEAR_2000, YEAR_2101 = 946_684_800_000_000, 4_133_980_800_000_000


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    path = tmp_path_factory.mktemp("dump") / "events.parquet"
    write(path, 200_000, seed=5)
    return path


@st.composite
def scrolling(draw, ids=("session", "session", "user")) -> Input:
    """Sessions that scroll, resize, hide and change pages, with nulls and absurd sizes among them."""
    rng = draw(st.randoms(use_true_random=False))
    unit = draw(st.sampled_from(("ms", "us", "s")))
    owner = draw(st.sampled_from(ids))
    extras = ("page_h", "page_h", "viewport_w", "y", "fixed", "tab", "view", "device", "count", "event_id", "frame")
    columns = {"time", owner, "page", "kind", *NEEDED, *draw(st.lists(st.sampled_from(extras), max_size=7))}
    columns |= {"x"} if "y" in columns else set()
    kinds = draw(st.sampled_from((
        ("scroll",) * 4 + ("click", "move", "pageview", "hidden", "visible", "focus"),
        ("scroll", "scroll", "click", "click", "click"),
        ("pageview", "click", "scroll", "resize"),
    )))  # fmt: skip
    tops = draw(st.sampled_from((
        (0.0, 0.0, 100.0, 160.0, 161.0, 400.25, 3000.0),
        (0.0, -30.0, 15.75, 16.0, 1e300, float("nan"), float("inf"), 262_144.0, 262_143.5),
        (7.0, 8.0, 24.0, 40.0, 56.0, 5000.0),
    )))  # fmt: skip
    heights = draw(st.sampled_from(((160.0,), (160.0, 161.0, 96.5), (0.0, -4.0, 99_999.0, 1e5, 1e300, 24.0, None))))
    grown = ((1000.0, 1200.0, 1200.5, 1440.0), (300.0, 199.5), (0.0, -9.0, 1e300, 70_000.0, 40.0))
    pages = draw(st.sampled_from(grown))
    nothing = draw(st.sampled_from((0.0, 0.2, 0.6)))
    gaps = draw(st.sampled_from(((0, 1, 500, 29_999, 30_000, 30_001), (0, 0, 7), (1000,))))
    rows, now = [], T0 * 1000

    def maybe(value):
        return None if rng.random() < nothing else value

    for _ in range(draw(st.sampled_from((1, 5, 20, 40)))):
        now += rng.choice(gaps)
        row = {"time": now * TICKS[unit] // 1000, owner: rng.choice(("s1", "s1", "s1", "s2", "s3"))}
        row |= {"kind": rng.choice(kinds), "page": rng.choice(("/a", "/a", "/a", "/b", None))}
        row |= {"scroll_y": maybe(rng.choice(tops)), "viewport_h": maybe(rng.choice(heights))}
        row |= {"page_h": maybe(rng.choice(pages)), "viewport_w": maybe(rng.choice((500.0, 700.0, 1440.0, 0.0)))}
        row |= {"x": 1.0, "y": maybe(rng.choice((0.0, 159.0, 160.0, 161.0, 2000.0, float("nan"), float("inf"))))}
        row |= {
            "fixed": rng.random() < 0.2,
            "tab": rng.choice(("t1", "t1", "t2", None)),
            "count": rng.choice((1, 1, 3)),
        }
        row |= {"view": rng.choice(("v1", "v1", "v2", None)), "device": rng.choice(("phone", "desk", None))}
        row |= {"event_id": f"e{rng.randrange(60)}", "frame": rng.choice(("page", "element", "Element", None))}
        rows.append({name: row[name] for name in columns})
    if draw(st.booleans()) and len(rows) > 1:
        rows.insert(rng.randrange(len(rows)), rows.pop(rng.randrange(len(rows))))
    cut = rng.randint(0, len(rows))
    return Input([rows[:cut], rows[cut:]], tuple(sorted(columns)), unit, "double", "double")


@st.composite
def fields_for(draw, data) -> dict:
    return {
        "scroll": True,
        "band": draw(st.sampled_from((1, 7, 16, 100, 5000))) if _low(data) else 1000,
        "frame": draw(st.sampled_from(("page", "viewport"))),
        "by": ("device",) if "device" in data.columns and draw(st.booleans()) else (),
        "every": draw(st.sampled_from((None, "hour"))),
        "session_gap": draw(st.sampled_from((None, 29_999, 1_800_000))),
        "idle_ms": draw(st.sampled_from((30_000, 100, 0))),
        "maps": (),
        "tables": (),
    }


def _low(data) -> bool:
    """Whether the oracle may look at every px."""
    names = ("scroll_y", "viewport_h")
    return all(abs(row.get(name) or 0) < 6000 for rows in data.files for row in rows for name in names)


def want(data, fields) -> dict:
    fields = dict(fields)
    band = fields.pop("band", 16)
    fields.pop("scroll")
    result = sessions.resolve(data.files, fields, unit=data.unit, columns=data.columns)
    plan = result["plan"]
    whole = {(False, False), (bool(plan["by"]), bool(plan["every"]))}
    tables = {}
    for by, every in groupings(plan):
        if (by, every) in whole:
            for show, rows in oracle.counted(result, band, plan["by"] if by else (), every).items():
                tables[show, by, every] = {key: row for key, row in rows.items() if row or show == "pages"}
    return {"tables": tables, "ledger": oracle.ledger(result)}


def got(heat) -> dict:
    plan = {"by": heat.plan.by, "every": heat.plan.every}
    whole = {(False, False), (bool(plan["by"]), bool(plan["every"]))}
    tables = {}
    for by, every in groupings(plan):
        if (by, every) in whole:
            for show in SHOW:
                tables[show, by, every] = rows_of(heat.scroll_of(show, by, every), show)
    points = heat.ledger.as_dict()["measures"].get("scroll", {})
    return {"tables": tables, "ledger": {name: n for name, n in points.items() if name != "withheld"}}


def rows_of(table, show) -> dict:
    """By key: the row, or {y, percent or px: counts}."""
    out = {}
    size = table.column_names.index("bucket") + 1
    for row in table.to_pylist():
        values = list(row.values())
        key, rest = tuple(values[:size]), values[size:]
        if show == "pages":
            out[key] = dict(zip(table.column_names[size:], rest, strict=True))
        else:
            counts = (row["views"], row["sessions"]) if show == "reach" else rest[1]
            assert rest[0] not in out.setdefault(key, {})
            out[key][rest[0]] = counts
    return out


def agree(data, fields, **options):
    heat = run_engine(data, fields, **options)
    heat.ledger.check()
    assert differences(want(data, fields), got(heat)) == []
    return heat


@EXAMPLES
@given(
    data=scrolling(), more=st.data(), order=st.sampled_from(("auto", "auto", "any")), block_rows=BLOCKS,
    threads=st.sampled_from((1, 2)), max_open=st.sampled_from((1, 2, 262_144)),
)  # fmt: skip
def test_every_table_says_what_the_oracle_says(data, more, order, block_rows, threads, max_open):
    fields = more.draw(fields_for(data))
    agree(data, fields, order=order, block_rows=block_rows, threads=threads, max_open=max_open)


@settings(EXAMPLES, max_examples=30)
@given(data=event_files(ids="session"), more=st.data(), shape=shapes(), block_rows=BLOCKS)
def test_every_table_on_any_rows(data, more, shape, block_rows):
    rng = more.draw(st.randoms(use_true_random=False))
    for rows in data.files:
        for row in rows:
            row.setdefault("scroll_y", rng.choice((0.0, 99.5, None)))
            row["viewport_h"], row["page_h"] = rng.choice((160.0, None)), rng.choice((900.0, 1000.5, None))
    data = replace(data, columns=tuple(sorted({*data.columns, *NEEDED, "page_h"})))
    fields = more.draw(plans(set(data.columns))) | {"scroll": True, "maps": (), "tables": (), "areas": None}
    agree(data, fields, shape=shape, block_rows=block_rows)


# ---- laws -----------------------------------------------------------------------------------------------------------


@settings(EXAMPLES, max_examples=30)
@given(data=scrolling(), more=st.data(), parts=st.integers(2, 3))
def test_parts_of_the_sessions_add_up_and_every_lane_gives_the_same_bytes(data, more, parts):
    check_lanes_and_parts(run_engine, got, data, more.draw(fields_for(data)), parts)


@settings(EXAMPLES, max_examples=40)
@given(data=scrolling(), more=st.data())
def test_reach_never_rises_and_segments_leave_the_total_as_it_is(data, more):
    fields = more.draw(fields_for(data))
    heat, bare = run_engine(data, fields), run_engine(data, fields | {"by": (), "every": None})
    whole, split = ({show: heat.scroll_of(show, by, by) for show in SHOW} for by in (False, True))
    for show in SHOW:
        assert whole[show].equals(bare.scroll_of(show, False, False))
    for rows in (rows_of(table["reach"], "reach") for table in (whole, split)):
        for curve in rows.values():
            counts = [curve[y] for y in sorted(curve)]
            assert all(a[0] >= b[0] and a[1] >= b[1] for a, b in pairwise(counts))
            assert all(sessions <= views for views, sessions in counts)
    for name in ("views", "clicks", "below", "growing", "unseen", "seen_ms"):
        # a width may be told in a view's later row, so sums are over all widths
        assert sum(whole["pages"][name].to_pylist()) == sum(split["pages"][name].to_pylist())
    totals = [sum(table["attention"]["attention_ms"].to_pylist()) for table in (whole, split)]
    assert totals[0] == totals[1]


@settings(EXAMPLES, max_examples=20)
@given(data=scrolling(), more=st.data())
def test_scrolls_change_nothing_else(data, more):
    fields = more.draw(fields_for(data)) | {"tables": ("pages",)}
    with_them, bare = run_engine(data, fields), run_engine(data, fields | {"scroll": False})
    assert with_them.pages.equals(bare.pages)
    assert {name for name in with_them.state.tables if name.startswith("scroll")}
    assert not {name for name in bare.state.tables if name.startswith("scroll")}


# ---- single cases ---------------------------------------------------------------------------------------------------


def seen(*rows, band=10, **fields):
    """Rows (ms, kind, scroll_y, more) of one session with a window of 100 px on a page of 1,000."""
    made = []
    for ms, kind, top, more in rows:
        row = {"time": T0 * 1000 + ms, "session": "s", "page": "/a", "kind": kind, "scroll_y": top, "viewport_h": 100.0,
               "page_h": 1000.0, "x": 1.0, "y": None, "viewport_w": 1440.0}  # fmt: skip
        made.append(row | more)
    names = sorted({name for row in made for name in row})
    data = Input([[{name: row.get(name) for name in names} for row in made]], tuple(names), "ms")
    return agree(data, {"scroll": True, "band": band, "maps": (), "tables": (), **fields})


def first(heat) -> dict:
    return heat.scroll.to_pylist()[0]


def levels(heat, show, value) -> dict:
    return {row["y"]: row[value] for row in heat.scroll_of(show).to_pylist()}


def test_a_view_reaches_as_far_as_its_window_did_and_not_beyond_the_page():
    heat = seen((0, "pageview", 0.0, {}), (10, "scroll", 300.0, {}), (20, "scroll", 50.0, {}))
    assert levels(heat, "reach", "views") == dict.fromkeys(range(0, 401, 10), 1)
    heat = seen((0, "pageview", 0.0, {}), (10, "scroll", 950.0, {}))
    assert max(levels(heat, "reach", "views")) == 1000


def test_time_goes_to_what_was_in_the_window_before_the_scroll():
    moves = (500, "scroll", 50.0, {}), (800, "move", None, {}), (900, "scroll", 95.0, {})
    heat = seen((0, "pageview", 0.0, {}), *moves)
    want = {y: (500 if y < 100 else 0) + (400 if 50 <= y < 150 else 0) for y in range(0, 150, 10)}
    assert levels(heat, "attention", "attention_ms") == want


@pytest.mark.parametrize(("hides", "ms"), [((), 30_000), ((100,), 100)])
def test_no_attention_while_hidden_and_at_most_the_idle_limit(hides, ms):
    rows = [(0, "pageview", 0.0, {}), *((at, "hidden", 0.0, {}) for at in hides), (90_000, "scroll", 0.0, {})]
    assert set(levels(seen(*rows), "attention", "attention_ms").values()) == {ms}


def test_another_view_begins_at_its_top():
    again = (20, "pageview", None, {}), (30, "click", None, {})
    heat = seen((0, "pageview", 0.0, {}), (10, "scroll", 700.0, {}), *again)
    assert levels(heat, "reach", "views") == {y: 2 if y <= 100 else 1 for y in range(0, 801, 10)}
    assert levels(heat, "reach", "sessions") == dict.fromkeys(range(0, 801, 10), 1)


def test_a_container_that_scrolls_is_not_the_page():
    rows = (0, "pageview", 0.0, {"frame": None}), (10, "scroll", 700.0, {"frame": "element"})
    assert max(levels(seen(*rows), "reach", "views")) == 100
    rows = (0, "pageview", 0.0, {"frame": None}), (10, "click", 700.0, {"frame": "element"})
    assert max(levels(seen(*rows), "reach", "views")) == 800


@pytest.mark.parametrize(
    ("y", "fixed", "below"),
    [(99.0, False, (1, 0)), (100.0, False, (1, 1)), (500.0, True, (0, 0)), (None, False, (0, 0))],
)
def test_clicks_below_the_fold_of_their_view(y, fixed, below):
    more = {"fixed": False}
    heat = seen((0, "pageview", 0.0, more), (5, "scroll", 300.0, more), (9, "click", 300.0, {"y": y, "fixed": fixed}))
    assert (first(heat)["clicks"], first(heat)["below"]) == below


@pytest.mark.parametrize(("later", "width", "growing"), [(1200.0, 1440.0, 0), (1200.5, 1440.0, 1), (1500.0, 500.0, 0)])
def test_a_page_that_grows_by_more_than_a_fifth_has_no_height(later, width, growing):
    heat = seen((0, "pageview", 0.0, {}), (5, "scroll", 0.0, {"page_h": later, "viewport_w": width}))
    assert first(heat)["growing"] == growing
    assert (first(heat)["page_h"] is None) == bool(growing)


def test_without_page_heights_a_page_is_as_high_as_nearly_all_reach():
    rows = [(i, "pageview", float(i), {"page_h": None}) for i in range(100)]
    assert first(seen(*rows))["page_h"] == 199  # the middle of 198 and 199
    rows = [(i, "pageview", 90_000.0, {"page_h": None}) for i in range(3)]
    assert first(seen(*rows, band=1000))["page_h"] == 20_000


def test_the_first_window_is_the_fold_and_percentiles_are_of_views():
    rows = [(i, "pageview", 0.0, {"viewport_h": 50.0 + i}) for i in range(10)]
    row = first(seen(*rows, (10, "scroll", 500.0, {"viewport_h": 60.0})))
    assert [row[f"fold_p{p}"] for p in (10, 50, 90)] == [50, 54, 58]


@pytest.mark.parametrize(
    ("top", "high", "page", "percent"),
    [(0.0, 100.0, 1000.0, 10), (45.0, 100.0, 1000.0, 15), (44.9, 100.0, 1000.0, 14), (2000.0, 100.0, 1000.0, 100),
     (-50.0, 100.0, 1000.0, 10), (0.0, 5.0, 1000.0, 1), (0.0, 4.9, 1000.0, 0)],
)  # fmt: skip
def test_snowplows_scroll_percent(top, high, page, percent):
    heat = seen((0, "pageview", top, {"viewport_h": high, "page_h": page}))
    (row,) = heat.scroll_of("snowplow").to_pylist()
    assert (row["percent"], row["views"]) == (percent, 1)


@pytest.mark.parametrize(
    ("top", "high", "px"),
    [
        (0.0, 800.0, 800),
        (8.0, 800.0, 800),
        (8.0, 784.0, 700),
        (24.0, 768.0, 800),
        (24.1, 808.1, 800),
        (1e300, 100.0, 262_200),
    ],
)
def test_posthogs_scroll_buckets_round_half_to_even(top, high, px):
    heat = seen((0, "pageview", top, {"viewport_h": high}), band=1000)
    (row,) = heat.scroll_of("posthog").to_pylist()
    assert (row["px"], row["views"]) == (px, 1)


def test_few_sessions_get_no_shares_and_fewer_than_asked_for_are_withheld():
    row = {"page": "/a", "kind": "pageview", "viewport_h": 60.0, "page_h": 125.0, "viewport_w": 1440.0}
    rows = [row | {"time": T0 * 1000 + i, "session": f"s{i}", "scroll_y": 0.0 if i else 500.0} for i in range(40)]
    for n, share in ((29, None), (30, 0.48)):
        data = Input([rows[:n]], tuple(rows[0]), "ms")
        heat = agree(data, {"scroll": True, "band": 20, "maps": (), "tables": ()})
        assert first(heat)["reach_share"] == share
        assert (heat.reach["views_share"].to_pylist()[0] is None) == (share is None)
    data = Input([rows], tuple(rows[0]), "ms")
    heat = run_engine(data, {"scroll": True, "band": 20, "maps": (), "tables": (), "min_sessions": 2})
    assert heat.reach["y"].to_pylist() == [0, 20, 40, 60]
    assert heat.attention.num_rows == 0
    lone = run_engine(Input([rows[:1]], tuple(rows[0]), "ms"), {"scroll": True, "maps": (), "min_sessions": 2})
    assert [lone.scroll_of(show).num_rows for show in SHOW] == [0] * 5


def test_more_pages_than_there_is_room_for_is_a_limit(monkeypatch):
    monkeypatch.setattr("heatgrid.engine.measures.scroll.MOST_KEYS", 5)
    rows = [{"time": T0 * 1000, "session": "s", "page": f"/{p}", "scroll_y": 0.0, "viewport_h": 9.0} for p in "ab"]
    assert run_engine(Input([rows[:1]], tuple(rows[0]), "ms"), {"scroll": True}).scroll.num_rows == 1
    with pytest.raises(LimitError) as caught:
        run_engine(Input([rows], tuple(rows[0]), "ms"), {"scroll": True})
    assert caught.value.code == "HG4105"


# ---- what a source cannot give --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "said"),
    [("viewport_h", "no column for viewport_h (--map viewport_h=COLUMN)"), ("scroll_y", "--map scroll_y=COLUMN"),
     ("session", "no sessions")],
)  # fmt: skip
def test_what_lacks_is_named_and_the_rest_is_counted(missing, said):
    row = {"time": T0 * 1000, "session": "s", "page": "/a", "kind": "click", "scroll_y": 0.0, "viewport_h": 100.0}
    del row[missing]
    heat = run_engine(Input([[row]], tuple(row), "ms"), {"scroll": True, "by": (), "maps": ()})
    (line,) = [line for line in heat.refusals() if line.startswith("scroll and attention are off")]
    assert said in line
    assert [heat.scroll_of(show).num_rows for show in SHOW] == [0] * 5
    assert heat.pages.num_rows == 1
    with pytest.raises(UsageError) as caught:
        heat.scroll_picture("no.png")
    assert caught.value.code == "HG1522"


def test_what_was_not_asked_for_is_an_error():
    row = {"time": T0 * 1000, "session": "s", "page": "/a", "scroll_y": 0.0, "viewport_h": 100.0, "device": "x"}
    data = Input([[row]], tuple(row), "ms")
    with pytest.raises(UsageError) as caught:
        _ = run_engine(data, {}).scroll
    assert caught.value.code == "HG1520"
    heat = run_engine(data, {"scroll": True, "by": ("device",), "every": "day"})
    for call in (("depth",), ("pages", True, False)):
        with pytest.raises(UsageError) as caught:
            heat.scroll_of(*call)
        assert caught.value.code == "HG1521"
    with pytest.raises(UsageError) as caught:
        hg.Plan(band=0)
    assert caught.value.code == "HG1102"


# ---- command line, report, pictures ---------------------------------------------------------------------------------


def test_the_command_shows_writes_draws_and_takes_saved_states(dump, tmp_path, capfd):
    assert main(["scroll", str(dump)]) == 0
    out, _ = capfd.readouterr()
    assert "fold_p50" in out
    assert "/projects/board" in out
    assert main(["scroll", str(dump), "-q", "--show", "reach", "--band", "100", "-o", str(tmp_path / "r.csv")]) == 0
    table = csv.read_csv(tmp_path / "r.csv")
    assert {y % 100 for y in table["y"].to_pylist()} == {0}
    options = ["--band", "100", "-q"]
    assert main(["build", str(dump), "--scroll", *options, "-o", str(tmp_path / "x.heat")]) == 0
    assert main(["scroll", str(tmp_path / "x.heat"), "-q", "--show", "reach", "-o", str(tmp_path / "s.csv")]) == 0
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "s.csv").read_bytes()
    for name, more in (("a.png", []), ("b.png", ["--page", "/", "--bucket", "0-600"])):
        assert main(["scroll", str(tmp_path / "x.heat"), "-q", *more, "-o", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"
    capfd.readouterr()
    assert main(["scroll", str(tmp_path / "x.heat"), "-q", "--json", "--show", "snowplow"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert all(0 <= row["percent"] <= 100 for row in told["rows"])
    for words in (["--show", "depth"], ["--bucket", "9"], ["--page", "/no", "-o", str(tmp_path / "n.png")]):
        assert main(["scroll", str(tmp_path / "x.heat"), "-q", *words]) == 2


def test_the_report_has_a_section_with_curves(dump, tmp_path):
    hg.run(hg.read(dump), scroll=True).report(tmp_path / "r")
    page = (tmp_path / "r" / "index.html").read_text()
    assert 'id="scrolls"' in page
    assert "below the fold" in page
    assert len(list((tmp_path / "r" / "scroll").glob("*.png"))) == 3
    assert (tmp_path / "r" / "scroll.csv").exists()
    hg.run(hg.read(dump)).report(tmp_path / "s")
    bare = (tmp_path / "s" / "index.html").read_text()
    assert 'id="scrolls"' not in bare
    assert "scroll and attention are off: --scroll" in bare


# ---- PostHog's cells ------------------------------------------------------------------------------------------------


def in_cells(result, by=(), every=False) -> dict:
    """In plain Python, whose round is half to even as ClickHouse's."""
    out = {}
    for event in result["events"]:
        row = event["row"]
        if event["kind"] != "click" or event["point"] is None or not row.get("viewport_w"):
            continue
        x, y = (round(v / 16) for v in event["point"])
        width = round(row["viewport_w"] / 16)
        if width <= 0 or not (0 <= round(x / width * 100) < 16_384 and 0 <= y < 32_768):
            continue
        period = (event["period"],) if every else ()
        key = (event["page_key"], *(event["by"][name] for name in by), *period)
        key += (event["fixed"], round(x / width * 100) / 100, y * 16)
        out[key] = out.get(key, 0) + event["weight"]
    return out


@settings(EXAMPLES, max_examples=40)
@given(data=event_files(ids="session"), more=st.data(), shape=shapes(), block_rows=BLOCKS)
def test_posthogs_cells_are_rounded_twice_half_to_even(data, more, shape, block_rows):
    rng = more.draw(st.randoms(use_true_random=False))
    for rows in data.files:
        for row in rows:
            row["x"], row["y"] = (rng.choice((0, 8, 24, 40, 167, 168, 169, 720, -9, None)) for _ in "xy")
    data = replace(data, coordinates="int32")
    fields = more.draw(plans(set(data.columns))) | {"posthog_cells": True, "maps": (), "areas": None}
    heat = run_engine(data, fields, shape, block_rows=block_rows)
    heat.ledger.check()
    result = sessions.resolve(data.files, fields, unit=data.unit, columns=data.columns)
    if "viewport_w" in data.columns:
        by, every = result["plan"]["by"], result["plan"]["every"] is not None
        found = {
            tuple(values[:-1]): values[-1] for values in (list(row.values()) for row in heat.posthog_cells.to_pylist())
        }
        assert found == in_cells(result, by, every)
        merged = hg.merge([heat, run_engine(replace(data, files=[[]]), fields)])
        assert merged.posthog_cells.equals(heat.posthog_cells)
    else:
        assert "viewport_w" in heat.refused["posthog_cells"]
        assert heat.posthog_cells.num_rows == 0


def test_posthogs_cells_by_hand_and_by_the_command(tmp_path, capfd):
    points = [(8.0, 24.0), (24.0, 40.0), (720.0, 8.0), (1440.0, 0.0), (99_999.0, 0.0), (float("nan"), 0.0)]
    rows = [{"time": T0 * 1000, "session": "s", "kind": "click", "page": "/", "x": x, "y": y, "viewport_w": 1440.0}
            for x, y in points]  # fmt: skip
    heat = run_engine(Input([rows], tuple(rows[0]), "ms"), {"posthog_cells": True, "maps": ()})
    cells = [(row["x"], row["y"], row["clicks"]) for row in heat.posthog_cells.to_pylist()]
    assert cells == [(0.0, 32, 1), (0.02, 32, 1), (0.5, 0, 1), (1.0, 0, 1), (69.44, 0, 1)]
    points = heat.ledger.measures["posthog cells"]
    assert (points.rows, points.used, points.outside, points.invalid) == (6, 5, 0, 1)
    (tmp_path / "e.ndjson").write_text("\n".join(json.dumps({**row, "x": 8}) for row in rows))
    assert main(["map", str(tmp_path / "e.ndjson"), "--cells", "posthog", "-q", "-o", str(tmp_path / "c.csv")]) == 0
    assert csv.read_csv(tmp_path / "c.csv")["clicks"].to_pylist() == [4, 2]
    few = run_engine(Input([rows], tuple(rows[0]), "ms"), {"posthog_cells": True, "maps": (), "min_sessions": 2})
    assert few.posthog_cells.num_rows == 0
    assert "withheld" in few.refused["posthog_cells"]
    with pytest.raises(UsageError) as caught:
        _ = run_engine(Input([rows], tuple(rows[0]), "ms"), {}).posthog_cells
    assert caught.value.code == "HG1523"


# ---- another engine -------------------------------------------------------------------------------------------------


def test_duckdb_finds_the_same_reach_and_attention_in_200_000_rows(dump):
    heat = hg.run(hg.read(dump), scroll=True, maps=(), tables=(), keep_bots=True)
    source = f"""(SELECT * FROM {sql.parquet([dump])}
                  WHERE epoch_us(time) >= {YEAR_2000} AND epoch_us(time) < {YEAR_2101} AND session IS NOT NULL
                  QUALIFY row_number() OVER (PARTITION BY session, event_id ORDER BY time, file_row_number) = 1
                    OR event_id IS NULL)"""
    has = {"session", "tab", "page", "kind", "time", "file_row_number", *NEEDED, "viewport_w", "page_h"}
    reach, attention = sql.scroll(source, has)
    with duckdb.connect(config={"threads": 2}) as db:
        ended = db.execute(reach).fetchall()
        stays = db.execute(attention).fetchall()
    want = {}
    for page, bucket, level, views, sessions_ in ended:
        for b in range(level + 1):
            a = want.get((page, bucket, b * 16), (0, 0))
            want[page, bucket, b * 16] = (a[0] + int(views), a[1] + int(sessions_))
    found = {(r["page"], r["bucket"], r["y"]): (r["views"], r["sessions"]) for r in heat.reach.to_pylist()}
    assert len(want) > 1000
    assert found == want
    times = {}
    for r in heat.attention.to_pylist():
        if r["y"] in (0, 800, 1600):
            times[r["page"], r["y"]] = times.get((r["page"], r["y"]), 0) + r["attention_ms"]
    assert {key: ms for key, ms in times.items() if ms} == {
        (page, y): ms for page, *all_ms in stays for y, ms in zip((0, 800, 1600), all_ms, strict=True) if ms
    }
