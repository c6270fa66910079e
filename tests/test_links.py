"""Links from a place to the recordings of sessions that clicked there: the sample, its bounds, hostile addresses."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import heatgrid as hg
from answers import run_engine
from heatgrid.cli import main
from heatgrid.engine.lanes import run_plan
from heatgrid.engine.links import LARGEST, LinkCodes
from heatgrid.engine.names import hash_texts
from heatgrid.states import links as kept
from heatgrid.states.store import to_bytes
from heatgrid.words.plan import BUCKETS
from law import check_lanes_and_parts
from oracle import links as oracle
from strategies import LANES, SMALL, event_files, plans

START = 1_788_220_800_000
URLS = (
    "https://r.example/a", "https://r.example/b", "http://r.example/c?t=1", "HTTPS://r.example/d", "https://r.example/é",
    "javascript:alert(1)", "javascript://%0aalert(1)", "https://r.example/a b",
    'https://r.example/"x', "data:text/html,x", "", "//r.example/a",
    "https://r.example/" + "x" * 1000, "https://r.example/\u202egnp",
)  # fmt: skip


def rank(text):
    return int(hash_texts(pa.array([text]))[0][0]) & LARGEST


def with_links(draw, events):
    """The same rows with a link here and there."""
    rng = draw(st.randoms(use_true_random=False))
    events.columns = (*events.columns, "replay_url")
    events.files = [
        [row | {"replay_url": rng.choice((None, *URLS, *URLS[:3]))} for row in rows] for rows in events.files
    ]
    return events


def sample(heat):
    """{(page, fixed, bucket, row, column): [(rank, url)]} and the ranks looked at, out of a state."""
    state, found = heat.state, {}
    names = state.names
    for page, url, fixed, bucket, row, column, number in state.tables["links"].keys.tolist():
        place = (names["page"][page], bool(fixed), BUCKETS[bucket], row, column)
        found.setdefault(place, []).append((number, names["replay"][url]))
    near = set(state.tables["link_sessions"].keys[:, 0].tolist())
    return {place: sorted(some) for place, some in found.items()}, near


@settings(SMALL, max_examples=120)
@given(
    data=st.data(), ids=st.sampled_from(("session", "user", "none")), most=st.integers(1, 4), many=st.integers(1, 4),
    lane=st.fixed_dictionaries(LANES),
)  # fmt: skip
def test_the_sample_is_the_oracles(data, ids, most, many, lane):
    events = with_links(data.draw, data.draw(event_files(ids=ids)))
    plan = data.draw(plans(set(events.columns))) | {"tables": (), "maps": ("clicks",), "goal": (), "cell": 3}
    assume("kind" in events.columns)
    with patch.object(kept, "MOST", most), patch.object(kept, "KEPT", many):
        heat = run_engine(events, plan, **lane)
    found, near, points = oracle.links(
        events.files, plan, events.unit, events.columns,
        lambda row: rank(row["session" if ids == "session" else "replay_url"]), most, many,
    )  # fmt: skip
    assert sample(heat) == (found, near)
    told = heat.ledger.measures["links"].as_dict()
    assert {name: told[name] for name in points} == points
    rows = {(row["page"], row["bucket"], row["replay_url"]) for row in heat.links.to_pylist()}
    assert rows == {(place[0], place[2], url) for place, some in found.items() for _, url in some}


@settings(SMALL, max_examples=40)
@given(data=st.data(), most=st.integers(1, 3), parts=st.integers(2, 3))
def test_every_lane_and_the_sum_of_parts_have_the_same_sample(data, most, parts):
    ids = data.draw(st.sampled_from(("session", "user")))
    events = with_links(data.draw, data.draw(event_files(ids=ids, dirty=False)))
    assume("kind" in events.columns)
    plan = {"maps": ("clicks",), "tables": ("pages",), "frame": "page"}
    with patch.object(kept, "MOST", most), patch.object(kept, "KEPT", 2):
        check_lanes_and_parts(run_engine, sample, events, plan, parts)


def rows_of(n, sessions, **columns):
    at = np.arange(n)
    return pa.table({
        "time": pa.array(START + 100 * at, pa.timestamp("ms", "UTC")), "session": [f"s{i % sessions}" for i in at],
        "kind": ["click"] * n, "page": ["/"] * n, "x": at % 7 * 40.0, "y": [5.0] * n,
        "replay_url": [f"https://r.example/{i % sessions}" for i in at], **columns,
    })  # fmt: skip


def test_of_very_many_sessions_few_are_held():
    """Memory: addresses beyond twice what is looked at are let go while rows are read."""
    table, most = rows_of(6000, 3000), 50
    held = []
    encode = LinkCodes.encode

    def watched(self, *args):
        encode(self, *args)
        held.append(sum(map(bool, self.urls)))

    with patch.object(kept, "MOST", most), patch.object(LinkCodes, "encode", watched):
        state = run_plan(hg.read(table), hg.Plan(tables=()), block_rows=25).state
        whole = run_plan(hg.read(table), hg.Plan(tables=()), order="any").state
        halves = [table.filter(pa.array([i % 3000 % 2 == half for i in range(6000)])) for half in (0, 1)]
        merged = hg.merge([hg.run(half, hg.Plan(tables=())) for half in halves])
    assert to_bytes(state)[40:] == to_bytes(whole)[40:]
    assert max(held[:240]) <= 2 * most + 25
    ranks = [rank(f"s{i}") for i in range(3000)]
    near = set(sorted(ranks)[:most])
    areas = {}
    for i in range(6000):
        areas.setdefault(i % 7 * 40 // 32, set()).add((ranks[i % 3000], f"https://r.example/{i % 3000}"))
    found = {place: [one for one in sorted(some)[: kept.KEPT] if one[0] in near] for place, some in areas.items()}
    expected = {("/", False, "unknown", 0, place): some for place, some in found.items()}
    assert sample(hg.Heat(state)) == (expected, near)
    assert {len(some) for some in found.values()} == {kept.KEPT}
    assert sample(merged) == sample(hg.Heat(state))
    assert merged.links.equals(hg.Heat(state).links)


def test_a_link_is_of_the_width_and_the_layer_that_its_click_is_drawn_on():
    table = rows_of(
        6, 6, viewport_w=pa.array([1500, 400, None, 400, 1500, 700], pa.int32()),
        fixed=pa.array([False, False, False, True, False, False]),
    ).set_column(4, "x", pa.array([1.0, 1.0, 1.0, 1.0, 31.9, 32.0]))  # fmt: skip
    found = hg.run(table, tables=()).links
    places = {(row["bucket"], row["fixed"], row["x0"], row["replay_url"][-1]) for row in found.to_pylist()}
    assert places == {
        ("1440+", False, 0.0, "0"), ("0-600", False, 0.0, "1"), ("0-600", True, 0.0, "3"), ("1440+", False, 0.0, "4"),
        ("600-1024", False, 32.0, "5"),
    }, "the third has told no width"  # fmt: skip
    scaled = hg.run(table, tables=(), widths="scale", reference=1500, keep_bots=True).links.to_pylist()
    assert {row["bucket"] for row in scaled} == {"1440+"}


def test_of_the_addresses_of_a_session_the_first_is_kept():
    for order in ("bac", "abc", "cba"):
        urls = [f"https://r.example/{letter}" for letter in order]
        assert {*hg.run(rows_of(3, 1, replay_url=urls), tables=()).links["replay_url"].to_pylist()} == {
            "https://r.example/a"
        }


def test_addresses_that_are_none_are_counted_and_not_kept():
    table = rows_of(len(URLS), len(URLS), replay_url=pa.array(URLS))
    heat = hg.run(table, tables=())
    assert heat.ledger.measures["links"].line() == f"{len(URLS)} rows = 5 used + {len(URLS) - 5} invalid"
    kept_urls = set(heat.links["replay_url"].to_pylist())
    assert kept_urls <= set(URLS[:5])
    assert b"javascript" not in to_bytes(heat.state)
    assert heat.state.names["replay"] == sorted(kept_urls)


def test_nothing_is_kept_where_it_is_not_asked_for(tmp_path, capfd):
    table = rows_of(100, 40)
    withheld = hg.run(table, tables=(), min_sessions=5)
    assert "min_sessions" in withheld.refused["links"]
    assert any(line.startswith("links are off") for line in withheld.refusals())
    for heat in (withheld, hg.run(table, tables=(), links=False), hg.run(table, tables=(), maps=("moves",))):
        assert "links" not in heat.state.tables
        assert heat.links.num_rows == 0
        assert "replay" not in heat.state.names
    pq.write_table(table, tmp_path / "rows.parquet")
    sizes = []
    for more in ([], ["--no-links"]):
        words = ["build", str(tmp_path / "rows.parquet"), "-o", str(tmp_path / "a.heat"), *more]
        assert main(words) == 0
        sizes.append(hg.load(tmp_path / "a.heat").links.num_rows)
        (tmp_path / "a.heat").unlink()
    capfd.readouterr()
    assert sizes[0] > 0 == sizes[1]


def test_states_with_and_without_links_are_not_merged_and_a_saved_one_has_its_own(tmp_path):
    heat = hg.run(rows_of(100, 40), tables=())
    heat.save(tmp_path / "a.heat")
    assert hg.load(tmp_path / "a.heat").links.equals(heat.links)
    other = rows_of(100, 40, session=[f"t{i}" for i in range(100)]).drop_columns(["replay_url"])
    with pytest.raises(hg.HeatgridError) as caught:
        hg.merge([heat, hg.run(other, tables=())])
    assert caught.value.code == "HG1606"
