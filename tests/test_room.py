"""Leaves come back where a pool is full and go on when it has grown: nothing is counted twice, or left out."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

import heatgrid as hg
from heatgrid.engine.lanes import run_plan

SESSIONS, STEPS, PAGES = 400, 400, 23
AT = np.datetime64("2026-05-04T10:00:00", "ms")


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Sessions side by side, each with more features and more pairs of pages than there are bits for them: their hash
    sets outgrow the first pool in the middle of a block."""
    step, session = np.divmod(np.arange(SESSIONS * STEPS), SESSIONS)
    page = step * (1 + session % 7) * (1 + step // 40) % PAGES
    return pa.table(
        {
            "time": AT + (step * 1000 + session).astype("timedelta64[ms]"),
            "session": pa.array(np.char.add("s", session.astype(str))).dictionary_encode(),
            "page": np.char.add("/p", page.astype(str)),
            "feature": np.char.add("f", step.astype(str)),
            "kind": np.full(len(step), "click"),
        }
    )


@pytest.mark.parametrize("block_rows", [1 << 12, 1 << 17])
def test_sessions_of_many_features(rows: pa.Table, block_rows: int) -> None:
    """Fails if what waited for room is taken up again anywhere but where it stood: each feature is each session's."""
    plan = hg.Plan(maps=(), tables=("features",), keep_bots=True)
    features = hg.Heat(run_plan(hg.read(rows), plan, block_rows=block_rows).state).features
    assert features["sessions"].to_pylist() == [SESSIONS] * STEPS
    assert features["events"].to_pylist() == [SESSIONS] * STEPS


@pytest.mark.parametrize("tables", [(), ("pages",)])
def test_sessions_of_many_pairs(rows: pa.Table, tables: tuple[str, ...]) -> None:
    """Fails if a pair that waited for room is counted twice, whether sessions are numbered (no tables) or looked up."""
    plan = hg.Plan(maps=(), tables=tables, transitions=("pages",), keep_bots=True)
    found = hg.Heat(run_plan(hg.read(rows), plan).state).transitions.to_pylist()
    pages: dict[str, list[str]] = {}
    for session, page in zip(rows["session"].to_pylist(), rows["page"].to_pylist(), strict=True):
        pages.setdefault(session, []).append(page)
    count, sessions = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for way in pages.values():
        pairs = Counter((a, b) for a, b in pairwise(way) if a != b)
        count += pairs
        sessions.update(pairs.keys())
    assert len(count) > 4 * 64
    inner = {(r["from"], r["to"]): r for r in found if r["from"] != "(entry)" and r["to"] != "(exit)"}
    assert {pair: r["count"] for pair, r in inner.items()} == dict(count)
    assert {pair: r["sessions"] for pair, r in inner.items()} == dict(sessions)


def test_a_session_that_comes_back_after_it_was_closed_is_resumed() -> None:
    """Fails if only sessions that are still open count as resumed: by then "a" was closed for long."""
    others, second = 3000, np.timedelta64(1, "s")
    at = [AT, *(AT + 2 * k * second for k in range(others)), AT + 2 * others * second]
    rows = {
        "time": np.array(at).astype(np.int64),
        "session": ["a", *(f"b{k}" for k in range(others)), "a"],
        "page": ["/"] * len(at),
    }
    plan = hg.Plan(maps=(), tables=("pages",), session_gap=30 * 60_000)
    outcome = run_plan(hg.read(rows), plan, block_rows=512, max_open=1024)
    assert any("closed early" in note for note in outcome.notes)
    assert (outcome.state.totals["sessions"], outcome.state.totals["resumed"]) == (others + 2, 1)
