"""Bots that do not say that they are one: told by their pace, left out of every number, counted on the first screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import heatgrid as hg
from heatgrid.demo.generate import write
from heatgrid.engine.measures.pace import Pace
from heatgrid.words.leave_out import FAST_BOTS

MINUTE, HOUR = 60_000, 3_600_000
START = 1_760_000_040_000
"""The beginning of a minute."""
PLAN = hg.Plan(maps=("clicks",), every="week", transitions=("pages",), friction=("rage", "error"))


def times(name: str) -> list[int]:
    """When the events of a session are; what they are at the edges of the rule."""
    spread = {
        "just 1,000": [START + 10 * i for i in range(1000)],
        "1,001": [START + 59 * i for i in range(1001)],
        "1,001 in two minutes": [START + MINUTE - 5_000 + 10 * i for i in range(1001)],
        "12 h": [START + i * HOUR // 4 for i in range(49)],
        "12 h and 1 ms": [*(START + i * HOUR // 4 for i in range(49)), START + 12 * HOUR + 1],
        "13 h with a rest": [START + i * HOUR // 4 + (i > 24) * HOUR // 4 for i in range(53)],
        "13 h with hardly a rest": [START + i * (HOUR // 2 - 1) for i in range(27)],
        "a person": [START + 4000 * i for i in range(60)],
    }
    return spread[name]


NAMES = ("just 1,000", "1,001", "1,001 in two minutes", "12 h", "12 h and 1 ms", "13 h with a rest",
         "13 h with hardly a rest", "a person")  # fmt: skip
BOTS = {"1,001", "12 h and 1 ms", "13 h with hardly a rest"}


def table(names: tuple[str, ...] = NAMES) -> pa.Table:
    rows = [(at, name) for name in names for at in times(name)]
    rows.sort()
    return pa.table({
        "time": pa.array([at for at, _ in rows], pa.timestamp("ms", "UTC")), "session": [name for _, name in rows],
        "page": ["/"] * len(rows), "kind": ["click"] * len(rows), "x": [5.0] * len(rows), "y": [5.0] * len(rows),
        "feature": [name for _, name in rows],
    })  # fmt: skip


def by_hand(sessions: list[str], ms: list[int]) -> set[str]:
    """The rule, slowly: more than 1,000 events in a minute of the clock, or 12 h without a step of 30 min."""
    bots = {s for (s, _), n in Counter(zip(sessions, (t // MINUTE for t in ms), strict=True)).items() if n > 1000}
    for name in set(sessions):
        own = sorted(t for s, t in zip(sessions, ms, strict=True) if s == name)
        since = own[0]
        for before, after in pairwise(own):
            since = after if after - before >= HOUR // 2 else since
            if after - since > 12 * HOUR:
                bots.add(name)
    return bots


@pytest.mark.parametrize("order", ["auto", "time", "any"])
@pytest.mark.parametrize("block_rows", [97, 1 << 17])
def test_who_is_one_in_every_lane_and_block(order: str, block_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from heatgrid.engine import lanes

    plain = lanes._Run.__init__
    monkeypatch.setattr(
        lanes._Run, "__init__",
        lambda self, source, plan, threads, progress, max_open, _, *rest: plain(
            self, source, plan, threads, progress, max_open, block_rows, *rest
        ),
    )  # fmt: skip
    data = table()
    bots = by_hand(data["session"].to_pylist(), data["time"].cast(pa.int64()).to_pylist())
    assert bots == BOTS
    heat = hg.run(data, PLAN, order=order)
    left = sum(len(times(name)) for name in BOTS)
    heat.ledger.check()
    assert heat.ledger.left_out == {FAST_BOTS: left}
    assert sorted(heat.features["feature"].to_pylist()) == sorted(set(NAMES) - BOTS)
    assert heat.summary["sessions"] == len(NAMES) - len(BOTS)
    assert any(note.startswith("3 sessions are bots by pace") for note in heat.notes)
    kept = hg.run(
        data, hg.Plan(maps=("clicks",), every="week", keep_bots=True), order=order
    )  # fmt: skip
    assert kept.summary["sessions"] == len(NAMES)
    assert kept.ledger.left_out == {}


def test_without_one_the_input_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from heatgrid.engine import lanes

    runs = []
    plain = lanes._Run.go
    monkeypatch.setattr(lanes._Run, "go", lambda self, *rest: runs.append(1) or plain(self, *rest))
    hg.run(table(tuple(name for name in NAMES if name not in BOTS)), PLAN)
    assert len(runs) == 1
    hg.run(table(), PLAN)
    assert len(runs) == 3


def batches(data: pa.Table) -> Iterator[pa.RecordBatch]:
    yield from data.to_batches(max_chunksize=500)


def test_a_stream_is_read_again_from_what_was_kept_or_it_is_said(tmp_path: Path) -> None:
    """Fails if a second run of a stream finds nothing more to read."""
    data = table()
    want = hg.run(data, PLAN)
    stream = pa.RecordBatchReader.from_batches(data.schema, batches(data))
    heat = hg.run(stream, PLAN)
    assert heat.ledger.left_out == want.ledger.left_out
    assert heat.features.equals(want.features)
    once = hg.run(pa.RecordBatchReader.from_batches(data.schema, batches(data)), PLAN, order="time")
    assert once.ledger.left_out == {}
    assert once.summary["sessions"] == len(NAMES)
    assert any("and counted: this input can be read once only" in note for note in once.notes)


def test_an_id_that_was_a_bot_once_is_one_after_the_gap() -> None:
    late = [START + 5 * HOUR + 1000 * i for i in range(5)]
    data = table(("1,001", "a person"))
    more = pa.table({
        "time": pa.array(late, pa.timestamp("ms", "UTC")), "session": ["1,001"] * 5, "page": ["/"] * 5,
        "kind": ["click"] * 5, "x": [5.0] * 5, "y": [5.0] * 5, "feature": ["after the gap"] * 5,
    })  # fmt: skip
    plan = hg.Plan(maps=("clicks",), session_gap=HOUR // 2)
    heat = hg.run(pa.concat_tables([data, more]), plan)
    assert heat.features["feature"].to_pylist() == ["a person"]
    users = pa.concat_tables([data, more]).rename_columns(
        ["user" if name == "session" else name for name in data.column_names]
    )
    assert hg.run(users, hg.Plan(maps=("clicks",))).features["feature"].to_pylist() == ["a person"]


def test_who_takes_the_slot_of_a_bot_is_none() -> None:
    """Fails if what is known of a session is left in its slot when it ends."""
    pace = Pace((1, 1), 0)
    pace.resize(2, 2, 0)
    order = np.arange(1001, dtype=np.int32)

    def fold(times: list[int]) -> None:
        n = len(times)
        columns = {"time": np.array(times, np.int64), "slot": np.zeros(n, np.int32)}
        pace.fold(SimpleNamespace(columns=columns), order, n)  # type: ignore[arg-type]
        pace.close(np.array([0]), np.array([[len(times), 7]]))

    fold([START + i for i in range(1001)])
    fold([START + MINUTE * i for i in range(30)])
    assert pace.found().tolist() == [[1001, 7]]


def test_a_bot_of_30_percent_of_the_events_leaves_the_headline_as_it_was(tmp_path: Path) -> None:
    """By its pace alone: no agent, no flag. The demo's own bot is left out of the clean run as well."""
    path = tmp_path / "clean.parquet"
    write(path, 30_000, seed=5)
    clean = pq.read_table(path)
    clean = pa.table({
        name: column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for name, column in zip(clean.column_names, clean.columns, strict=True)
    })  # fmt: skip
    n = round(clean.num_rows * 0.3 / 0.7)
    rng = np.random.default_rng(1)
    seen = clean.take(rng.integers(0, clean.num_rows, n))
    first = clean["time"].cast(pa.int64())[1000].as_py()
    unit = clean.schema.field("time").type.unit
    step = {"ms": 1, "us": 1000, "ns": 10**6, "s": 1}[unit] * 50
    columns: dict[str, Any] = {name: seen[name] for name in seen.column_names}
    columns["time"] = pa.array(first + step * np.arange(n)).cast(clean.schema.field("time").type)
    for name in ("session", "session_id", "user", "user_id", "event_id"):
        if name in columns:
            own = [10**12 + i if name == "event_id" else 10**12 for i in range(n)]
            columns[name] = pa.array(own).cast(clean.schema.field(name).type)
    crawled = pa.concat_tables([clean, pa.table(columns, schema=clean.schema)]).sort_by("time")
    want, got = hg.run(clean, PLAN), hg.run(crawled, PLAN)
    kept = hg.run(crawled, hg.Plan(**{**PLAN.__dict__, "keep_bots": True}))
    for name in ("sessions", "views", "events", "pages", "features"):
        assert abs(got.summary[name] - want.summary[name]) <= 0.01 * want.summary[name], name
    assert kept.summary["events"] > 1.3 * want.summary["events"], "it would have been seen"
    assert [(row["kind"], row["feature"], row["k"], row["n"]) for row in got.findings.to_pylist()] == [
        (row["kind"], row["feature"], row["k"], row["n"]) for row in want.findings.to_pylist()
    ]
    index = got.report(tmp_path / "out").read_text()
    head = index[: index.index("</header>")]
    left = got.ledger.left_out[FAST_BOTS]
    assert left > n * 0.99
    assert f"Left out of all numbers: {left:,} rows of {FAST_BOTS}s" in head


def test_once_one_is_met_the_first_reading_only_looks_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if measures go on to count what is thrown away, or if a bot that comes later is not found."""
    from heatgrid.engine import lanes
    from heatgrid.engine.measures.usage import Usage

    folds = []
    plain, made = Usage.fold, lanes._Run.__init__
    monkeypatch.setattr(Usage, "fold", lambda self, *rest: folds.append(1) or plain(self, *rest))
    monkeypatch.setattr(lanes._Run, "__init__", lambda self, *all_: made(self, *all_[:5], 200, *all_[6:]))
    early = [(START + 10 * i, "1,001") for i in range(1001)]
    late = [(START + HOUR + 1000 * i, f"person {i // 50}") for i in range(4000)]
    last = [(START + 9 * HOUR + 10 * i, "another") for i in range(1001)]
    rows = [*early, *late, *last]
    data = pa.table({
        "time": pa.array([at for at, _ in rows], pa.timestamp("ms", "UTC")), "session": [name for _, name in rows],
        "page": ["/"] * len(rows), "kind": ["move"] * len(rows), "x": [5.0] * len(rows), "y": [5.0] * len(rows),
    })  # fmt: skip
    heat = hg.run(data, maps=("moves",), tables=("pages",), threads=1)
    assert heat.ledger.left_out == {FAST_BOTS: len(early) + len(last)}
    blocks = -(-len(rows) // 200)
    assert blocks <= len(folds) < blocks + 10


def test_a_recorder_of_every_move_is_told_why_nothing_is_left(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Fails if a person's dense recording is gone without a word that says how to keep it."""
    from heatgrid.cli import main

    n = 2000
    path = tmp_path / "moves.parquet"
    pq.write_table(pa.table({
        "time": pa.array(START + 16 * np.arange(n), pa.timestamp("ms", "UTC")), "session": ["me"] * n,
        "page": ["/"] * n, "kind": ["move"] * n, "x": np.arange(n) % 700.0, "y": np.arange(n) % 500.0,
    }), path)  # fmt: skip
    heat = hg.run(path)
    assert any(note.startswith("most rows are theirs") for note in heat.notes)
    assert main(["map", str(path), "--layer", "moves", "-o", str(tmp_path / "m.png"), "-q"]) == 3
    assert "left out: 2,000 fast or tireless bot (--keep-bots)" in capfd.readouterr().err
    assert main(["map", str(path), "--layer", "moves", "-o", str(tmp_path / "m.png"), "-q", "--keep-bots"]) == 0
