"""The oracle itself, on cases whose numbers were worked out by hand."""

from __future__ import annotations

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle import sql
from oracle.sessions import (
    bucket_of,
    cell_of,
    kind_of,
    layers,
    maps,
    page_of,
    percentile,
    period_of,
    points,
    remembered,
    resolve,
    summary,
    table,
)
from strategies import SMALL, TICKS, event_files, shapes, to_batches, to_table

T0 = 1_788_220_800_000  # 2026-09-01T00:00:00Z in ms


def ev(ms, **values):
    """One event ``ms`` after T0, as most cases need it: session s, page /a."""
    return {"time": T0 + ms, "session": "s", "page": "/a", "kind": "custom", **values}


def run(*rows, **plan):
    return resolve([list(rows)], plan, unit="ms")


def test_dwell_goes_to_the_earlier_event_and_is_capped():
    # steps 1000 (A), 500 (none), 40000 -> 30000 (A); the last event adds nothing
    result = run(ev(0, feature="A"), ev(1000), ev(1500, feature="A"), ev(41_500, feature="B"))
    features = table(result, "features")
    assert features[("A",)]["dwell_ms"] == 31_000
    assert features[("A",)]["visits"] == 2
    assert features[("A",)]["open_visits"] == 0
    assert features[("B",)] == {
        "events": 1, "clicks": 0, "sessions": 1, "dwell_ms": 0, "visits": 1, "open_visits": 1,
        "p50_ms": None, "p90_ms": None, "p99_ms": None,
    }  # fmt: skip
    pages = table(result, "pages")
    assert pages[("/a",)]["dwell_ms"] == 31_500
    assert (pages[("/a",)]["views"], pages[("/a",)]["visits"], pages[("/a",)]["open_visits"]) == (1, 1, 1)


def test_milliseconds_are_floored_before_the_difference():
    # 999 us is ms 0 and 1000 us is ms 1: the step is 1 ms although only 1 us passed; 1000 -> 1999 us is 0
    rows = [{"time": T0 * 1000 + us, "session": 1, "feature": f} for us, f in ((999, "A"), (1000, "B"), (1999, "C"))]
    features = table(resolve([rows], {}, unit="us"), "features")
    assert [features[(f,)]["dwell_ms"] for f in "ABC"] == [1, 0, 0]


def test_hidden_stops_the_clock_until_a_waking_event_of_that_tab():
    rows = [
        ev(0, kind="click", tab=1),
        ev(100, kind="hidden", tab=1),  # 0..100 counts, nothing after
        ev(150, kind="click", tab=2),  # another tab wakes nobody
        ev(200, kind="focus", tab=1),  # focus does not wake
        ev(300, kind="visible", tab=1),  # 300..450 counts
        ev(450, kind="blur", tab=1),
        ev(1150, kind="error", tab=2),  # 150..1150 counts
    ]
    assert table(run(*rows), "pages")[("/a",)]["dwell_ms"] == 100 + 150 + 1000


def test_views_open_by_pageview_first_row_and_change_of_page():
    rows = [
        ev(0, page=None),  # opens: the first row; its page is unset
        ev(1, page=None),  # stays
        ev(2, page="/a"),  # opens: the first page after none
        ev(3, page=None),  # stays in the view on /a
        ev(4, page="/a"),  # stays
        ev(5, page="/a", kind="pageview"),  # opens
        ev(6, page="/b"),  # opens
        ev(7, page="/a"),  # opens
        ev(8, page=None, kind="pageview"),  # opens on no page
        ev(9, page="/a"),  # opens: the page was unset
    ]
    pages = table(run(*rows), "pages")
    assert {key: row["views"] for key, row in pages.items()} == {("(none)",): 2, ("/a",): 4, ("/b",): 1}
    # visits on (none): rows 0-1, row 3, row 8; on /a: 2, 4, 5, 7, 9 (4|5 are two views)
    assert {key: row["visits"] for key, row in pages.items()} == {("(none)",): 3, ("/a",): 5, ("/b",): 1}
    assert pages[("/a",)]["open_visits"] == 1


def test_a_view_column_rules():
    rows = [
        ev(0, view=None, viewport_w=100),  # anonymous
        ev(1, view="v", page="/b"),  # opens v
        ev(2, view=None, page="/c", kind="pageview"),  # stays in v, whatever the page
        ev(3, view="w", viewport_w=1500),  # opens w
        ev(4, view="v", x=1, y=1, kind="click"),  # back in v: no width seen there yet
        ev(5, view="v", viewport_w=700),  # now it has one
    ]
    result = run(*rows)
    assert {k: r["views"] for k, r in table(result, "pages").items()} == {("/a",): 2, ("/b",): 1, ("/c",): 0}
    assert list(maps(result)) == [("clicks", "/a", "600-1024", False, (), None)]


def test_width_is_the_first_known_of_the_view():
    rows = [
        ev(0, kind="click", x=0, y=0, viewport_w=0),
        ev(1, viewport_w=float("nan")),
        ev(2, viewport_w=1440),
        ev(3, kind="click", x=7.999, y=8, viewport_w=599),
        ev(4, kind="pageview", page="/b"),
        ev(5, kind="click", page="/b", x=-0.0, y=0),
    ]
    assert maps(run(*rows)) == {
        ("clicks", "/a", "1440+", False, (), None): {(0, 0): (1, 1), (1, 0): (1, 1)},
        ("clicks", "/b", "unknown", False, (), None): {(0, 0): (1, 1)},
    }


def test_points_are_used_outside_or_invalid():
    nan, inf = float("nan"), float("inf")
    clicks = [(0, 0), (-0.5, 0), (16_384, 0), (16_383.999, 262_143.9), (0, 262_144), (nan, 0), (0, inf), (None, 1)]
    rows = [ev(i, kind="click", x=x, y=y) for i, (x, y) in enumerate(clicks)]
    rows.append(ev(9, kind="move", x=1, y=1, pointer="touch"))
    rows.append(ev(10, kind="move", x=1e300, y=1, pointer=None))
    result = run(*rows, maps=("clicks", "moves"))
    assert points(result) == {
        "clicks": {"rows": 8, "used": 2, "outside": 3, "invalid": 3},
        "moves": {"rows": 1, "used": 0, "outside": 1, "invalid": 0},
    }
    assert maps(result)[("clicks", "/a", "unknown", False, (), None)] == {(0, 0): (1, 1), (32_767, 2047): (1, 1)}


def test_cells_are_half_open_and_may_hang_over_the_extent():
    plan = {"extent": (10, 35, 0, 10), "cell": (10, 5)}  # 3 x 2 cells, the third reaches to 40
    at = [(10, 0), (19.99, 4.99), (20, 5), (39.9, 0), (40, 0), (9.9, 0)]
    assert [cell_of(plan, p) for p in at] == [(0, 0), (0, 0), (1, 1), (0, 2), None, None]


def test_sessions_of_a_cell_are_counted_once_and_moves_only_on_request():
    rows = [ev(i, kind=k, x=4, y=4, session=s) for i, (k, s) in enumerate([("click", 1), ("click", 1), ("click", 2)])]
    rows += [ev(9, kind="mousemove", x=4, y=4, session=1)]
    plan = {"maps": ("clicks", "moves")}
    key = ("/a", "unknown", False, (), None)
    assert maps(run(*rows, **plan)) == {("clicks", *key): {(0, 0): (3, 2)}, ("moves", *key): {(0, 0): (1, None)}}
    assert layers(run(*rows, **plan)) == {("clicks", *key): (3, 2), ("moves", *key): (1, None)}
    assert maps(run(*rows, **plan, moves_sessions=True))[("moves", *key)] == {(0, 0): (1, 1)}


def test_viewport_frame_adds_the_last_scroll_but_not_for_fixed_targets():
    rows = [
        ev(0, kind="click", x=0, y=10, scroll_y=None),  # 10
        ev(1, kind="scroll", scroll_y=100),
        ev(2, kind="click", x=0, y=10),  # 110
        ev(3, kind="click", x=0, y=10, fixed=True),  # 10, in a layer of its own
        ev(4, kind="click", x=0, y=10, tab="t"),  # 10: another tab
    ]
    key = ("clicks", "/a", "unknown")
    assert maps(run(*rows, frame="viewport", cell=10)) == {
        (*key, False, (), None): {(1, 0): (2, 1), (11, 0): (1, 1)},
        (*key, True, (), None): {(1, 0): (1, 1)},
    }


def test_order_is_time_seq_file_row():
    # at one time: seq null first, then 1, then 2; file 0 before file 1
    first = [
        {"time": T0 + 5, "session": 1, "seq": 2, "feature": "C"},
        {"time": T0 + 9, "session": 1, "seq": None, "feature": "E"},
    ]
    second = [
        {"time": T0 + 5, "session": 1, "seq": 1, "feature": "B"},
        {"time": T0 + 5, "session": 1, "seq": 2, "feature": "D"},
        {"time": T0, "session": 1, "seq": 9, "feature": "A"},
        {"time": T0 + 9, "session": 1, "seq": None, "feature": "F"},
    ]
    result = resolve([first, second], {}, unit="ms")
    assert [e["feature"] for e in result["events"]] == list("ABCDEF")
    assert {k[0]: r["dwell_ms"] for k, r in table(result, "features").items()} == {
        "A": 5, "B": 0, "C": 0, "D": 4, "E": 0, "F": 0,
    }  # fmt: skip


def test_sessions_are_cut_from_user_and_tab():
    minute = 60_000
    rows = [
        {"time": T0, "user": "u", "tab": None},
        {"time": T0 + 29 * minute, "user": "u", "tab": None},
        {"time": T0 + 59 * minute, "user": "u", "tab": None},  # 30 minutes: a new session
        {"time": T0 + 59 * minute, "user": "u", "tab": "t"},  # another tab: a third
        {"time": T0 + 59 * minute, "user": None, "tab": "t"},
    ]
    result = resolve([rows], {"distinct": ("users",)}, unit="ms")
    assert (result["sessions"], result["resumed"]) == (3, 0)
    assert result["ledger"] == {"read": 5, "accepted": 4, "filtered": 0, "rejected": {"session": 1}}
    assert table(result, "pages") == {
        ("(all)",): {
            "events": 4, "clicks": 0, "views": 3, "sessions": 3, "dwell_ms": 30_000, "visits": 3, "open_visits": 3,
            "p50_ms": None, "p90_ms": None, "p99_ms": None, "users": 1,
        }
    }  # fmt: skip


def test_a_gap_cuts_a_session_id_over_all_its_tabs():
    rows = [ev(0, tab=1), ev(90, tab=2), ev(180, tab=1), ev(280, tab=1)]
    assert (run(*rows)["sessions"], run(*rows)["resumed"]) == (1, 0)
    cut = run(*rows, session_gap=100)  # 180 -> 280 is a gap; 0 -> 180 of tab 1 is not
    assert (cut["sessions"], cut["resumed"]) == (2, 1)
    assert table(cut, "pages")[("/a",)]["dwell_ms"] == 180


def test_without_session_and_user_only_counts_are_made():
    rows = [{"time": T0, "kind": "click", "x": 1, "y": 1, "viewport_w": 800, "feature": "A", "page": None}]
    result = resolve([rows], {}, unit="ms")
    assert maps(result) == {("clicks", "(none)", "600-1024", False, (), None): {(0, 0): (1, None)}}
    row = table(result, "features")[("A",)]
    assert (row["events"], row["clicks"]) == (1, 1)
    assert {row[c] for c in row if c not in ("events", "clicks")} == {None}
    assert (summary(result)["sessions"], summary(result)["views"]) == (None, None)


def test_rejected_rows_and_duplicates():
    year = 365 * 86_400_000
    rows = [
        ev(0, event_id="e"),
        ev(10, event_id="e"),  # dropped
        ev(20, event_id=None),
        ev(30, event_id=None),  # null is never a duplicate
        ev(40, event_id="e", session="z"),  # another session
        {**ev(0), "time": None},
        {**ev(0), "time": -1},
        {**ev(0), "time": T0 + 200 * year},
        ev(0, session=None),
    ]
    result = run(*rows)
    assert result["ledger"] == {
        "read": 9, "accepted": 4, "filtered": 0, "rejected": {"time": 3, "session": 1, "duplicate": 1},
    }  # fmt: skip
    assert table(result, "pages")[("/a",)]["dwell_ms"] == 30
    whole = run(ev(0, x=1), ev(0, x=1), ev(0, x=2), ev(1, x=1), dedupe="rows")
    assert whole["ledger"]["rejected"] == {"duplicate": 1}
    zeros = run(
        ev(0, x=0.0), ev(0, x=-0.0), ev(0, x=float("nan")), ev(0, x=-float("nan")), ev(0, x=None), dedupe="rows"
    )
    assert zeros["ledger"]["rejected"] == {"duplicate": 2}


def test_counts_weigh_events_and_clicks_only():
    rows = [ev(0, kind="click", x=1, y=1, count=5), ev(7, kind="click", x=1, y=1, count=None)]
    rows += [ev(8, count=bad) for bad in (0, -1, 1.5, float("nan"))]
    result = run(*rows)
    assert result["ledger"]["rejected"] == {"count": 4}
    page = table(result, "pages")[("/a",)]
    assert (page["events"], page["clicks"], page["views"], page["visits"], page["dwell_ms"]) == (6, 6, 1, 1, 7)
    assert maps(result)[("clicks", "/a", "unknown", False, (), None)] == {(0, 0): (6, 1)}
    assert points(result)["clicks"]["rows"] == 2


def test_the_innermost_area_names_a_point_but_a_feature_wins():
    box = {"x0": 0, "x1": 10, "y0": 0, "y1": 10}
    areas = [
        {"name": "outer", **box, "x1": 100},
        {"name": "first", **box},
        {"name": "second", **box},
        {"name": "b only", **box, "x1": 1, "page": "/b"},
        {"name": "wide", **box, "x1": 2, "min_width": 1024},
        {"name": "flat", **box, "x1": 0},
    ]
    rows = [
        ev(0, x=0, y=0),  # first
        ev(1, x=10, y=9.9),  # outer: the right edge of first is open
        ev(2, x=0, y=10),  # none
        ev(3, x=0, y=0, page="/b/"),  # b only
        ev(4, x=1.5, y=0, viewport_w=1024),  # wide
        ev(5, x=0, y=0, feature="own"),  # own
        ev(6, x=None, y=0),  # none
    ]
    got = [e["feature"] for e in run(*rows, areas=areas)["events"]]
    assert got == ["first", "outer", None, "b only", "wide", "own", None]


def test_segments_and_periods_are_those_of_each_event():
    hour = 3_600_000
    rows = [
        ev(hour - 1000, feature="A", device="x", kind="pageview"),
        ev(hour + 1000, feature="A", device="y"),
        ev(hour + 1500, feature="A", device=None),
    ]
    result = run(*rows, by=("device",), every="hour")
    features = table(result, "features", by=("device",), every=True)
    x, y, none = ("A", "x", "2026-09-01T00"), ("A", "y", "2026-09-01T01"), ("A", "(none)", "2026-09-01T01")
    assert {k: (r["dwell_ms"], r["visits"], r["open_visits"], r["p50_ms"]) for k, r in features.items()} == {
        x: (2000, 1, 0, remembered(2000)), y: (500, 1, 0, remembered(500)), none: (0, 1, 1, None),
    }  # fmt: skip
    assert table(result, "features")[("A",)]["visits"] == 1
    assert [r["views"] for r in table(result, "pages", by=("device",), every=True).values()] == [1, 0, 0]


@pytest.mark.parametrize(
    ("every", "tz", "label"),
    [
        ("hour", "UTC", "2026-09-01T00"),
        ("hour", "America/New_York", "2026-08-31T20-0400"),
        ("day", "Europe/Berlin", "2026-09-01"),
        ("day", "America/New_York", "2026-08-31"),
        ("week", "UTC", "2026-W36"),
        ("month", "America/New_York", "2026-08"),
        (None, "UTC", None),
    ],
)
def test_periods(every, tz, label):
    assert period_of(T0, "ms", every, tz) == label


def test_iso_weeks_belong_to_the_year_of_their_thursday():
    assert period_of(1_767_225_600, "s", "week", "UTC") == "2026-W01"  # Thursday 2026-01-01
    assert period_of(1_798_761_600, "s", "week", "UTC") == "2026-W53"  # Friday 2027-01-01


def test_percentiles_are_nearest_rank_of_the_histogram():
    # exact to 127, then the middle of steps of 2 ms to 255, 4 to 511, 8 to 1023, 16 to 2047, ..., 256 to 32,767
    known = [remembered(v) for v in (0, 63, 64, 127, 128, 129, 255, 511, 1000, 1039, 30_000)]
    assert known == [0, 63, 64, 127, 129, 129, 255, 510, 1004, 1032, 30_080]
    assert all(abs(remembered(v) - v) <= 0.008 * v for v in range(5000))
    values = list(range(1, 11))
    assert [percentile(values, p) for p in (50, 90, 99)] == [5, 9, 10]
    assert (percentile([7], 50), percentile([1, 2], 50), percentile([], 50)) == (7, 1, None)


def test_words():
    assert [kind_of(w, None) for w in ("Press", " tap ", "$pageview", "Checkout", None)] == [
        "click", "click", "pageview", "Checkout", "custom",
    ]  # fmt: skip
    assert kind_of("Checkout", {"click": ("checkout",)}) == "click"
    assert [bucket_of(w) for w in (599.9, 600, 1023, 1024, 1439, 1440, None)] == [
        "0-600", "600-1024", "600-1024", "1024-1440", "1024-1440", "1440+", "unknown",
    ]  # fmt: skip
    urls = ["https://h.example/a/12/?q=1#top", "/a/b%40c.example/", "/#/x/7?y", "Pricing page", "https://h.example"]
    assert [page_of(u, True) for u in urls] == ["/a/:id", "/a/:email", "/#/x/:id", "Pricing page", "/"]


@settings(SMALL, max_examples=40)
@given(
    data=event_files(ids="session", synonyms=False, dirty=False),
    cell=st.sampled_from((8.0, 10.0, 0.3)),
    key=st.sampled_from(("feature", "page")),
)
def test_sql_agrees(tmp_path, data, cell, key):
    """Two tellings of the rules, in Python and in SQL, that share no line."""
    gone = {"event_id", "count"}  # what the SQL leaves out
    columns = [name for name in data.columns if name not in gone]
    paths = []
    for i in range(len(data.files)):
        paths.append(tmp_path / f"{i}.parquet")
        events = to_table(data, i).select(columns)
        if data.unit != "us":  # whole numbers there, a timestamp here
            place = columns.index("time")
            events = events.set_column(place, "time", events["time"].cast("int64"))
        pq.write_table(events, paths[-1])
    files = [[{name: row[name] for name in columns} for row in rows] for rows in data.files]
    result = resolve(files, {"cell": cell, "url_rules": False}, unit=data.unit, columns=columns)
    ticks = None if data.unit == "us" else TICKS[data.unit]
    source, has = sql.parquet(paths), {*columns, "filename", "file_row_number"}
    with duckdb.connect(config={"threads": 1}) as db:
        got = db.execute(sql.click_cells(source, has, cell=cell, ticks_per_second=ticks)).fetchall()
        want = [
            (page, bucket, fixed, iy, ix, events, sessions)
            for (_, page, bucket, fixed, _, _), cells in maps(result).items()
            for (iy, ix), (events, sessions) in cells.items()
        ]
        assert sorted(got) == sorted(want)
        got = db.execute(sql.dwell(source, has, key=key, ticks_per_second=ticks)).fetchall()
        columns = ("events", "clicks", "sessions", "dwell_ms", "visits")
        want = [(name, *(row[c] for c in columns)) for (name,), row in table(result, key + "s").items()]
        assert sorted(got) == sorted(want)


@settings(SMALL, max_examples=60)
@given(data=event_files(), shape=shapes())
def test_arrow_batches_hold_the_rows(data, shape):
    """Whatever the layout, chunking and offset: the values that come out are those of the rows."""
    for i, rows in enumerate(data.files):
        batches = to_batches(data, i, shape)
        for batch in batches:
            batch.validate(full=True)
        got = [row for batch in batches for row in batch.drop_columns(["time"]).to_pylist()]
        assert repr(got) == repr([{k: v for k, v in row.items() if k != "time"} for row in rows])


@settings(SMALL, max_examples=60)
@given(data=event_files(ids="both"), gap=st.sampled_from((None, 1000)))
def test_ledgers_add_up(data, gap):
    result = resolve(
        data.files, {"maps": ("clicks", "moves"), "session_gap": gap}, unit=data.unit, columns=data.columns
    )
    ledger = result["ledger"]
    assert ledger["read"] == ledger["accepted"] + sum(ledger["rejected"].values()) == sum(map(len, data.files))
    for layer in points(result).values():
        assert layer["rows"] == layer["used"] + layer["outside"] + layer["invalid"]
    pages = table(result, "pages").values()
    assert sum(row["views"] for row in pages) == summary(result)["views"]
    assert sum(row["events"] for row in pages) == sum(e["weight"] for e in result["events"])
