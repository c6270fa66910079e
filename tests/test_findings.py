"""Findings: their rules against intervals solved another way, and what was planted in the demo dump."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist, median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import heatgrid as hg
from heatgrid.demo import site
from heatgrid.demo.generate import generate
from heatgrid.engine.findings import TITLES, Found, findings, more_needed, note, sentence
from heatgrid.engine.intervals import percent

PLAN = hg.Plan(
    maps=("clicks",), every="week", transitions=("pages",), friction=("rage", "dead", "error", "quick_back"),
    layout=site.areas(),
)  # fmt: skip


def ends(k: int, n: int, tests: int = 1) -> tuple[float, float]:
    """Wilson's interval as the rates p that k of n does not refute: (k/n - p)^2 = z^2 p (1 - p) / n, by bisection."""
    z = NormalDist().inv_cdf(1 - 0.025 / tests)

    def refuted(p: float) -> bool:
        return (k / n - p) ** 2 * n > z * z * p * (1 - p)

    def edge(inside: float, outside: float) -> float:
        for _ in range(100):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if refuted(middle) else (middle, outside)
        return inside

    return (0.0 if k == 0 else edge(k / n, 0.0)), (1.0 if k == n else edge(k / n, 1.0))


def feature(name: str, sessions: int, clicks: int, dwell_ms: int = 0) -> dict[str, Any]:
    return {"feature": name, "sessions": sessions, "clicks": clicks, "dwell_ms": dwell_ms}


def flagged(page: str, name: str, sessions: int, rule: str = "rage:posthog", considered: int = 999) -> dict[str, Any]:
    return {
        "rule": rule, "page": page, "feature": name, "flagged": 2 * sessions, "sessions": sessions,
        "considered": considered, "excess": 0,
    }  # fmt: skip


SHOP = Found(
    units=1000,
    features=[
        feature("buy", 600, 700), feature("search", 400, 500), feature("filter", 300, 310), feature("old", 50, 0),
        feature("read", 200, 12, 9_000_000), feature("(none)", 900, 400),
    ],
    pages=[{"page": "/", "sessions": 800}, {"page": "/cart", "sessions": 500}, {"page": "/rare", "sessions": 20}],
    friction=[flagged("/cart", "buy", 90), flagged("/", "search", 4), flagged("/", "buy", 3),
              flagged("/rare", "buy", 20)],
    transitions=[{"from": "/", "to": "(exit)", "count": 300}, {"from": "/cart", "to": "(exit)", "count": 400},
                 {"from": "/", "to": "/cart", "count": 500}],
)  # fmt: skip


def told(found: Found) -> dict[str, dict[str, Any]]:
    rows = findings(found)
    assert len({row["kind"] for row in rows[:4]}) == min(4, len({row["kind"] for row in rows})), "kinds take turns"
    return {row["kind"]: row for row in reversed(rows)}


def test_each_kind_names_the_right_one_with_its_interval() -> None:
    rows = told(SHOP)
    assert {kind: (row["page"], row["feature"], row["k"], row["n"]) for kind, row in rows.items()} == {
        "friction": ("/cart", "buy", 90, 500), "unused": (None, "old", 0, 50), "drop_off": ("/cart", None, 400, 500),
        "top": (None, "buy", 600, 1000), "attention": (None, "read", 12, 200),
    }  # fmt: skip
    for row in rows.values():
        low, high = ends(row["k"], row["n"])
        assert math.isclose(row["low"], low, abs_tol=1e-9)
        assert math.isclose(row["high"], high, abs_tol=1e-9)
    assert rows["friction"]["compared_rate"] == (4 + 3 + 20) / (800 + 800 + 20)
    assert rows["drop_off"]["compared_rate"] == 300 / 820
    assert rows["top"]["compared_rate"] == 0.4
    usual = median([700 / 600, 500 / 400, 310 / 300, 12 / 200])
    assert rows["unused"]["compared_rate"] == min(1.0, usual)
    assert rows["unused"]["small"] == "low"


@pytest.mark.parametrize("n", [29, 30, 31])
def test_none_is_from_fewer_than_30_units(n: int) -> None:
    shop = replace(
        SHOP, units=n, friction=[flagged("/", "a", n - 2), flagged("/b", "c", 0)], transitions=[],
        pages=[{"page": "/", "sessions": n}, {"page": "/b", "sessions": 400}],
        features=[feature("a", n - 1, n), feature("b", 2, 2)],
    )  # fmt: skip
    rows = findings(shop)
    assert bool(rows) == (n >= 30)
    assert all(row["n"] >= 30 for row in rows)


def test_the_bar_is_that_of_all_candidates_together() -> None:
    """40 pages: the interval of one alone would let by chance one pass; that of all of them does not."""
    pages = [{"page": f"/{i:02d}", "sessions": 400} for i in range(40)]
    exits = [{"from": f"/{i:02d}", "to": "(exit)", "count": 100} for i in range(40)]
    exits[7] = {"from": "/07", "to": "(exit)", "count": 146}
    found = Found(units=9_000, pages=pages, transitions=exits)
    assert ends(146, 400)[0] > 1.25 * 0.25 > ends(146, 400, 40)[0]
    assert findings(found) == []
    exits[7]["count"] = 165
    assert ends(165, 400, 40)[0] > 1.25 * 0.25
    assert [row["page"] for row in findings(found)] == ["/07"]


def test_views_do_not_count_as_features_and_come_after_clicks() -> None:
    rule = "quick_back"
    shop = replace(SHOP, friction=[
        *SHOP.friction, flagged("/", "(none)", 400, rule), flagged("/cart", "(none)", 10, rule),
        flagged("/cart", "buy", 300, rule),
    ])  # fmt: skip
    rows = [row for row in findings(shop) if row["kind"] == "friction"]
    assert [(row["rule"], row["page"]) for row in rows] == [("rage:posthog", "/cart"), (rule, "/")]
    assert rows[1]["compared_rate"] == 10 / 500


@pytest.mark.parametrize("k", [9, 10])
def test_a_handful_is_no_friction(k: int) -> None:
    pages = [{"page": "/", "sessions": 80_000}, {"page": "/cart", "sessions": 500}]
    shop = replace(SHOP, pages=pages, friction=[flagged("/cart", "buy", k), flagged("/", "search", 0)])
    assert ("friction" in told(shop)) == (k == 10)


def test_dead_clicks_lead_nowhere() -> None:
    shop = replace(SHOP, friction=[flagged("/cart", "buy", 90, "dead:posthog"), flagged("/", "x", 2, "dead:posthog")])
    row = told(shop)["nowhere"]
    assert (row["feature"], row["k"], row["n"]) == ("buy", 90, 500)


def test_a_funnel_comes_before_exits() -> None:
    counts = [(500, 50), (450, 300), (150, 0)]
    steps = [{"name": f"{i}", "sessions": n, "left": left} for i, (n, left) in enumerate(counts)]
    row = told(replace(SHOP, funnel=steps))["drop_off"]
    assert (row["page"], row["k"], row["n"], row["compared_rate"]) == (None, 300, 450, 0.1)


def test_users_are_the_units_where_they_are_counted() -> None:
    rows = [feature("a", 90, 90) | {"users": 40}, feature("b", 80, 80) | {"users": 5}]
    row = told(Found(units=50, unit="users", features=rows))["top"]
    assert (row["k"], row["n"], row["unit"]) == (40, 50, "users")


def test_nothing_passes_and_how_many_more_are_needed() -> None:
    shop = Found(units=100, features=[feature("a", 48, 48), feature("b", 40, 40)])
    assert findings(shop) == []
    more = more_needed(shop)
    assert more is not None
    # with so many more of the same the first would pass, and with a fifth fewer of all it would not
    for part, passes in ((1.0, True), (0.8, False)):
        n = part * (100 + more)
        a, b = 0.48 * n, 0.40 * n  # no unit in common: a - b varies as a + b - (a - b)^2 / n
        sure = (a - b) ** 2 > 3.0**2 * (a + b - (a - b) ** 2 / n)
        assert (sure and ends(round(a), round(n))[0] > 0.4) == passes
    assert note(shop, []) == f"nothing passes the bar; about {more:,} more sessions needed"
    assert note(Found(), []) == "no findings: they need a session or user column (--map session=COLUMN)"
    assert note(Found(units=10), []) == "nothing passes the bar"


@pytest.fixture(scope="module")
def demo() -> hg.Heat:
    dump = generate(200_000, seed=7)
    return hg.run(pa.Table.from_batches(list(dump)), PLAN)


def test_what_is_planted_in_the_demo_is_found(demo: hg.Heat) -> None:
    rows = demo.findings.to_pylist()
    first = rows[:5]
    assert (first[0]["kind"], first[0]["feature"]) == ("friction", site.DEAD_BUTTON)
    assert ("unused", site.UNUSED_FEATURE) in [(row["kind"], row["feature"]) for row in first]
    page = next(row for row in demo.pages.to_pylist() if row["page"] == "/checkout")
    assert first[0]["n"] == page["sessions"]
    assert first[0]["k"] == sum(
        row["sessions"] for row in demo.friction.to_pylist()
        if (row["rule"], row["page"], row["feature"]) == ("rage:posthog", "/checkout", site.DEAD_BUTTON)
    )  # fmt: skip
    for row in rows:
        assert sentence(row).startswith(TITLES[row["kind"]] + ": ")
        assert f"{row['k']:,} of {row['n']:,}" in sentence(row)


def test_findings_are_in_the_folder_of_a_report(demo: hg.Heat, tmp_path: Path) -> None:
    demo.report(tmp_path / "r", maps=1)
    facts = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert facts["findings"] == demo.findings.to_pylist()


def test_without_sessions_there_is_a_reason_and_no_finding() -> None:
    rows = pa.table({"time": pa.array([1_700_000_000_000 + i for i in range(60)]), "kind": ["click"] * 60,
                     "feature": ["a"] * 60})  # fmt: skip
    heat = hg.run(rows, hg.Plan(maps=()))
    assert heat.findings.num_rows == 0
    assert heat.findings.schema.metadata[b"note"].startswith(b"no findings: they need a session")


def test_shares_are_said_with_their_k_and_n_and_no_silly_digit() -> None:
    """0.000518 % is nothing anybody can do anything with."""
    pages = [{"page": f"/{i}", "sessions": 100_000} for i in range(5)]
    friction = [flagged("/0", "buy", 300), *(flagged(f"/{i}", "buy", 1 if i == 1 else 0) for i in range(1, 5))]
    row = told(Found(units=400_000, pages=pages, friction=friction))["friction"]
    assert (row["compared_k"], row["compared_n"]) == (1, 400_000)
    assert row["compared_rate"] == 1 / 400_000
    assert sentence(row).endswith("; the rest of the same rule: below 0.1 % (1 of 400,000)")
    assert "300 of 100,000 sessions (0.3 %, 95 % interval 0.3 % to 0.3 %)" in sentence(row)
    drop = told(SHOP)["drop_off"]
    assert sentence(drop).endswith("all other pages: 36.6 % (300 of 820)")


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0 %"), (1.0, "100 %"), (1e-9, "below 0.1 %"), (0.001, "0.1 %"), (0.9999, "above 99.9 %"), (0.5, "50.0 %")],
)
def test_a_share_in_words(share: float, words: str) -> None:
    assert percent(share) == words


@pytest.fixture(scope="module")
def walks() -> pa.Table:
    names = ["time", "session", "page", "feature", "kind", "x", "y", "viewport_w"]
    return pa.Table.from_batches(generate(30_000, seed=21)).select(names)


def halves(table: pa.Table, seed: int, more: float = 0.5) -> pa.Table:
    """Each session's pages fall to /a or /b, and its features to a or b, by a coin: what is left is chance alone."""
    rng = np.random.default_rng(seed)
    sessions = table["session"].cast(pa.string()).combine_chunks().dictionary_encode()
    pages = table["page"].cast(pa.string()).combine_chunks().dictionary_encode()
    coins = rng.random((len(sessions.dictionary) + 1, len(pages.dictionary) + 1)) < 0.5
    whose = rng.random(len(sessions.dictionary) + 1) < more
    session = sessions.indices.fill_null(-1).to_numpy()
    page = np.where(coins[session, pages.indices.fill_null(-1).to_numpy()], "/a", "/b")
    feature = np.where(whose[session], "a", "b")
    named = pa.array(feature, mask=pc.is_null(table["feature"]).to_numpy())
    return table.set_column(2, "page", pa.array(page)).set_column(3, "feature", named)


def test_of_two_halves_of_the_same_sessions_nothing_is_called_a_difference(walks: pa.Table) -> None:
    """Fails if a side's own doubt is left out: every third draw called one half the more used."""
    plan = hg.Plan(maps=(), transitions=("pages",), friction=("rage", "error"))
    kinds = ("friction", "drop_off", "top", "attention", "unused")
    called = [
        (seed, row["kind"], row["text"])
        for seed in range(16)
        for row in hg.run(halves(walks, seed), plan).findings.to_pylist()
        if row["kind"] in kinds
    ]  # fmt: skip
    assert called == []
    unlike = hg.run(halves(walks, 0, more=0.8), plan).findings.to_pylist()
    assert [(row["kind"], row["feature"]) for row in unlike] == [("top", "a")], "but a difference is one"
