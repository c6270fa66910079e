"""What a run without bots by pace gives by taking them out of the state is what it gives by reading again without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import heatgrid as hg
from heatgrid.engine import lanes, traces
from heatgrid.engine.measures import pace
from heatgrid.states.state import State
from heatgrid.states.store import to_bytes
from heatgrid.states.subtract import subtract
from heatgrid.words.areas import Area
from heatgrid.words.leave_out import FAST_BOTS

START = 1_760_000_040_000
MOST, LONGEST = 12, 1_500_000
"""Events in a minute and ms without a gap, for dumps that are small."""
AREAS = [Area("top", 0, 2000, 0, 300), Area("rest", 0, 900, 300, 9000, page="/a")]
BASE: dict[str, Any] = {"lateness_ms": 400}
PLANS: dict[str, dict[str, Any]] = {
    "maps": {"maps": ("clicks", "moves"), "moves_sessions": True},
    "tables": {"maps": (), "tables": ("features", "pages")},
    "matrix": {"maps": ("clicks",), "tables": ("features",), "by": ("device", "country"), "every": "day"},
    "friction": {"maps": ("clicks",), "every": "day",
                 "friction": ("rage", "error", "quick_back", "thrash", "page_loop", "dead:posthog")},
    "journeys": {"transitions": ("pages", "features"), "paths": ("pages", "features"), "by": ("device",)},
    "funnel": {"funnel": ("pageview:/a", "click", "pageview:/b"), "by": ("device",)},
    "scroll": {"scroll": True, "every": "day"},
    "exposure": {"areas": AREAS, "exposure": True, "goal": "pageview:/b", "maps": ("clicks", "goal_clicks")},
    "picked": {"maps": ("clicks", "first_clicks", "last_clicks"), "by": ("device",), "widths": "scale"},
    "scaled": {"maps": ("clicks", "moves"), "widths": "scale", "areas": AREAS, "exposure": False},
    "element": {"maps": ("clicks",), "widths": "element", "layout": AREAS},
    "layout": {"layout": True},
    "posthog": {"posthog_cells": True, "by": ("device",), "frame": "viewport"},
    "gap": {"maps": ("clicks",), "tables": ("pages",), "session_gap": 90_000},
    "rows": {"maps": ("clicks",), "dedupe": "rows"},
}  # fmt: skip


def dump(seed: int, *, sessions: int = 9, bots: int = 2, rows: int = 40, late: bool = False) -> pa.Table:
    """Sessions that overlap, some of which are too fast or go on for too long; all that can be odd of a row."""
    rng = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []
    for s in range(sessions):
        fast = s < bots and rng.random() < 0.7
        n = int(rng.integers(MOST + 1, rows + MOST)) if s < bots else int(rng.integers(1, rows))
        begin = int(rng.integers(0, 6 * 3_600_000)) * int(rng.random() < 0.8)
        steps = rng.integers(0, 900, n) if fast else rng.integers(0, 60_000, n)
        if s < bots and not fast:
            steps = rng.integers(60_000, 120_000, n)
        if rng.random() < 0.3:
            steps[n // 2] += 3 * 3_600_000
        width = int(rng.choice((320, 800, 801, 1366, 1440, 1920, 2560)))
        at = START + begin + np.cumsum(steps)
        for t in at:
            found.append({
                "time": int(t), "session": f"s{s}", "tab": str(rng.integers(0, 2)),
                "page": "/only" if s < bots and rng.random() < 0.1 else str(rng.choice(["/a", "/b", "/c"])),
                "kind": str(rng.choice(["click", "click", "click", "move", "pageview", "scroll", "error", "hidden"])),
                "feature": None if rng.random() < 0.3 else str(rng.choice(["x", "y", f"of {s}"])),
                "x": float(rng.choice([5, 5, 700, np.nan, np.inf, -3, 1900, rng.random() * 1500])),
                "y": float(rng.choice([5, 5, 300, np.nan, 99_999, rng.random() * 3000])),
                "viewport_w": None if rng.random() < 0.3 else width + int(rng.integers(0, 2)), "viewport_h": 700,
                "page_h": int(rng.choice([700, 2000])), "scroll_y": float(rng.choice([0, 100, 900])),
                "event_id": int(rng.integers(0, 400)), "count": float(rng.choice([1, 1, 1, 2, 0, 0.5])),
                "device": str(rng.choice(["phone", "desktop", "only" if s < bots else "desktop"])),
                "country": str(rng.choice(["de", "fr"])), "user": f"u{s // 2}",
                "user_agent": "Googlebot" if rng.random() < 0.03 else "Mozilla",
                "box_x": 10.0 * s, "box_y": 5.0, "box_w": 50.0, "box_h": float(rng.choice([20, 30])),
                "fixed": bool(rng.random() < 0.1),
            })  # fmt: skip
    found.sort(key=lambda row: row["time"])
    if late:
        for i in rng.integers(1, len(found), len(found) // 20):
            if found[i]["time"] - found[i - 1]["time"] < 300 and found[i]["session"] != found[i - 1]["session"]:
                found[i], found[i - 1] = found[i - 1], found[i]
    if rng.random() < 0.5:
        found[int(rng.integers(0, len(found)))]["session"] = None
    table = pa.table({name: [row[name] for row in found] for name in found[0]})
    times = pa.array([None if rng.random() < 0.02 else row["time"] for row in found], pa.timestamp("ms", "UTC"))
    return table.set_column(0, "time", times)


def both(
    source: Any, patch: pytest.MonkeyPatch, *, plan: dict[str, Any], blocks: int = 29, **how: Any
) -> tuple[bytes, bytes, list[str]]:
    """The bytes of the state by taking away and by reading again, and how it went."""
    how = {"threads": 1} | how
    made = lanes._Run.__init__
    tried: list[str] = []

    def taken(*args: Any) -> State | None:
        state = subtract(*args)
        tried.append("again" if state is None else "taken out")
        return state

    states = []
    for instead in (taken, lambda *_: None):
        with patch.context() as here:
            here.setattr(lanes._Run, "__init__", lambda self, *all_: made(self, *all_[:5], blocks, *all_[6:]))
            here.setattr(lanes, "subtract", instead)
            here.setattr(pace, "MOST", MOST)
            here.setattr(pace, "LONGEST", LONGEST)
            states.append(hg.run(source(), hg.Plan(**(BASE | plan)), **how).state)
    return to_bytes(states[0]), to_bytes(states[1]), tried


def with_dictionaries(table: pa.Table) -> pa.Table:
    for name in ("session", "page", "kind", "feature", "device"):
        table = table.set_column(table.column_names.index(name), name, table[name].dictionary_encode())
    return table


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("seed", range(4))
def test_every_plan(name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.parquet"
    table = dump(seed, late=seed % 2 == 1)
    pq.write_table(table if seed < 2 else with_dictionaries(table), path, row_group_size=31)
    got, want, tried = both(lambda: hg.read(path), monkeypatch, plan=PLANS[name])
    assert tried, "there are bots"
    assert got == want
    assert tried == ["taken out"] or name in ("matrix", "friction", "picked")


SOURCES = ("parquet", "dictionaries", "csv", "table", "frame", "stream", "files", "users")


def source_of(kind: str, table: pa.Table, folder: Path) -> Any:
    """Makes the same input anew each time it is called."""
    path = folder / f"events.{'csv' if kind == 'csv' else 'parquet'}"
    if kind == "csv":
        pacsv.write_csv(table, path)
    elif kind == "files":
        for i, at in enumerate(range(0, table.num_rows, 41)):
            pq.write_table(table.slice(at, 41), folder / f"{9 - i if i < 9 else i}.parquet", row_group_size=23)
        path = folder
    elif kind in ("parquet", "dictionaries", "users"):
        pq.write_table(with_dictionaries(table) if kind == "dictionaries" else table, path, row_group_size=23)
    elif kind == "stream":
        return lambda: pa.RecordBatchReader.from_batches(table.schema, iter(table.to_batches(max_chunksize=23)))
    else:
        pieces = table.to_batches(max_chunksize=23) if kind == "table" else table.to_batches()
        return lambda: hg.read(pa.Table.from_batches(pieces))
    # sessions are then cut from what a user does in a tab
    return lambda: hg.read(str(path), map={"session": None} if kind == "users" else None)


EVERYTHING: dict[str, Any] = {
    "maps": ("clicks", "moves", "first_clicks", "goal_clicks"), "tables": ("pages", "features"), "by": ("device",),
    "every": "day", "transitions": ("pages",), "paths": ("pages",), "friction": ("rage", "quick_back", "dead:posthog"),
    "funnel": ("pageview:/a", "click"), "goal": "pageview:/b", "scroll": True, "posthog_cells": True, "areas": AREAS,
}  # fmt: skip


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("order", ["auto", "any"])
@pytest.mark.parametrize("at_hand", [0, 4])
def test_every_source_and_lane(
    kind: str, order: str, at_hand: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "stream" and order == "any":
        pytest.skip("is read once only")
    monkeypatch.setattr(traces, "AT_HAND", at_hand)
    table = dump(11 + at_hand, late=True)
    source = source_of(kind, table, tmp_path)
    got, want, tried = both(source, monkeypatch, plan=PLANS["gap"] | {"by": ("device",)}, order=order, threads=2)
    assert got == want
    assert tried == ["taken out"] or (kind == "users" and not tried), "a tab of a user may be no bot"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000), sessions=st.integers(1, 8), bots=st.integers(1, 4), late=st.booleans(),
    kind=st.sampled_from(["parquet", "dictionaries", "table", "users"]), order=st.sampled_from(["auto", "any"]),
    blocks=st.sampled_from([5, 16, 1 << 17]), at_hand=st.sampled_from([0, 1, 4]),
    bytes_=st.sampled_from([2000, 1 << 20]), plan=st.sampled_from([*PLANS.values(), EVERYTHING]),
)  # fmt: skip
def test_any_dump(
    seed: int, sessions: int, bots: int, late: bool, kind: str, order: str, blocks: int, at_hand: int, bytes_: int,
    plan: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    table = dump(seed, sessions=sessions, bots=bots, rows=25, late=late)
    source = source_of(kind, table, tmp_path_factory.mktemp("any"))
    with monkeypatch.context() as patch:
        patch.setattr(traces, "AT_HAND", at_hand)
        patch.setattr(traces, "MOST_BYTES", bytes_)
        got, want, _ = both(source, patch, plan=plan, order=order, blocks=blocks)
    assert got == want


def rows(session: str, at: list[int], **more: Any) -> list[dict[str, Any]]:
    plain = {"page": "/", "kind": "click", "x": 5.0, "y": 5.0, "viewport_w": 1440}
    return [{"time": START + t, "session": session} | plain | more for t in at]


def table_of(*some: list[dict[str, Any]]) -> pa.Table:
    found = sorted((row for part in some for row in part), key=lambda row: row["time"])
    table = pa.table({name: [row[name] for row in found] for name in found[0]})
    return table.set_column(0, "time", table["time"].cast(pa.timestamp("ms", "UTC")))


@pytest.mark.parametrize("theirs", [1440, 1400, 1900])
def test_the_widest_window_of_the_others(theirs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wider than all, one of several that are as wide, or less wide than some."""
    bot = rows("bot", list(range(0, 1500, 50)), viewport_w=theirs)
    table = table_of(bot, rows("me", [100, 5000]), rows("you", [200, 6000], viewport_w=1410))
    got, want, tried = both(lambda: hg.read(table), monkeypatch, plan={"maps": ("clicks",)})
    assert got == want
    assert tried == ["taken out"]


def test_widths_that_are_not_kept_are_read_again_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that are kept are the bot's, and there are others below."""
    bot = [row | {"viewport_w": 1900 + i % 5, "view": str(i % 5)} for i, row in enumerate(rows("bot", [*range(30)]))]
    table = table_of(bot, [row | {"view": "v"} for row in rows("me", [100, 5000])])
    got, want, tried = both(lambda: hg.read(table), monkeypatch, plan={"maps": ("clicks",)})
    assert got == want
    assert tried == ["again"]


@pytest.mark.parametrize("first", [True, False])
def test_the_first_and_the_last_row_of_all_is_a_bots(first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    bot = rows("bot", [*range(0 if first else 100, 500, 10), *([] if first else [9000])])
    table = table_of(bot, rows("me", [50, 5000]), rows("you", [60, 6000]))
    got, want, tried = both(lambda: hg.read(table), monkeypatch, plan={"maps": ("clicks",)})
    assert got == want
    assert tried == ["taken out"]


def test_nobody_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(rows("bot", list(range(0, 500, 10))))
    got, want, tried = both(lambda: hg.read(table), monkeypatch, plan=EVERYTHING | {"by": ()})
    assert got == want
    assert tried == ["taken out"]


def test_users_are_read_again_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of a bot may have other sessions."""
    mine = [row | {"user": "one"} for row in rows("bot", list(range(0, 500, 10)))]
    table = table_of(mine, [row | {"user": "one"} for row in rows("me", [1, 5000])])
    plan = {"tables": ("pages",), "distinct": ("users",)}
    got, want, tried = both(lambda: hg.read(table), monkeypatch, plan=plan)
    assert got == want
    assert tried == []


def test_only_what_was_not_at_hand_is_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if tasks without rows of bots are read again, or those whose rows were kept."""
    from heatgrid.sources import parquet

    quick, slow = rows("quick", list(range(9000, 9400, 10))), rows("slow", [60_000 * i for i in range(40)])
    people = [row for i in range(40) for row in rows(f"p{i}", [60_000 * i + 100 * k for k in range(9)])]
    path = tmp_path / "events.parquet"
    read: list[int] = []
    plain = parquet.ParquetPart._whole
    monkeypatch.setattr(parquet.ParquetPart, "_whole", lambda *a: read.append(a[4]) or plain(*a))
    for some, again in (([quick], 0), ([slow], 22)):
        table = table_of(*some, people)
        pq.write_table(table, path, row_group_size=10)
        groups = -(-table.num_rows // 10)
        read.clear()
        with monkeypatch.context() as patch:
            patch.setattr(pace, "MOST", MOST)
            patch.setattr(pace, "LONGEST", LONGEST)
            heat = hg.run(path, maps=("clicks",), threads=1, lateness_ms=0)
        assert heat.ledger.left_out == {FAST_BOTS: len(some[0])}
        assert sorted(read[:groups]) == list(range(groups))
        assert len(read) - groups == again
        assert len(set(read[groups:])) == again


def test_what_is_done_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "MOST", MOST)
    table = table_of(rows("bot", list(range(0, 500, 10))), rows("me", [50, 5000]))
    seen: list[int] = []
    hg.run(table, maps=("clicks",), progress=lambda done, _: seen.append(done))
    assert len(seen) > 1
    assert seen == sorted(seen)


def test_less_than_nothing_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(rows("me", [50, 5000]), rows("you", [60, 6000]))
    more = table_of(rows("you", [60, 61, 62, 63, 6000]))
    whole, part = (hg.run(some, maps=("clicks",), keep_bots=True).state for some in (table, more))
    with pytest.raises(AssertionError, match="more than the whole"):
        subtract(whole, part, FAST_BOTS, (0, 1))
