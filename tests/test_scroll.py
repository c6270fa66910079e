"""Scroll and attention against an oracle in plain Python and against DuckDB: reach, folds, page heights, the time of
every band, clicks below the fold, and the counts that Snowplow and PostHog give."""

from __future__ import annotations

import json
from dataclasses import replace

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyarrow import csv

import heatgrid as hg
from answers import differences, groupings, run_engine
from heatgrid.cli import main
from heatgrid.demo.generate import write
from heatgrid.states.store import to_bytes
from heatgrid.words.errors import UsageError
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
    extras = ("page_h", "page_h", "viewport_w", "x", "y", "fixed", "tab", "view", "device", "count", "event_id", "frame")
    columns = {"time", owner, "page", "kind", *NEEDED, *draw(st.lists(st.sampled_from(extras), max_size=7))}
    columns |= {"x", "y"} if {"x", "y"} & columns else set()
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
    pages = draw(st.sampled_from(((1000.0, 1200.0, 1200.5, 1440.0), (300.0, 199.5), (0.0, -9.0, 1e300, 70_000.0, 40.0))))
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
        row |= {"fixed": rng.random() < 0.2, "tab": rng.choice(("t1", "t1", "t2", None)), "count": rng.choice((1, 1, 3))}
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
    return all(abs(row.get(name) or 0) < 6000 for rows in data.files for row in rows for name in ("scroll_y", "viewport_h"))


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
