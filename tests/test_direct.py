"""Sessions numbered by the source's dictionary are those that are looked up: the same state, to the last bit."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import heatgrid as hg
from heatgrid.engine import direct, lanes
from heatgrid.engine.lanes import run_plan
from heatgrid.engine.measures import friction
from heatgrid.sources import memory, taken
from heatgrid.sources.events import Events, open_events
from heatgrid.states.store import to_bytes
from heatgrid.words.friction import Repeat

START = 1_788_220_800_000
KINDS = ("pageview", "click", "click", "click", "move", "scroll", "hidden", "visible", "focus", None, "mutation")
FULL = {
    "light": {"maps": (), "tables": (), "transitions": ("pages",), "friction": ("rage:posthog", "rage:mixpanel")},
    "features": {"maps": (), "tables": (), "transitions": ("pages", "features"), "friction": ("rage:openreplay",)},
    "usual": {"maps": ("clicks", "moves"), "tables": ("features", "pages")},
    "split": {"maps": ("clicks",), "by": ("device",), "every": "day", "paths": ("pages",)},
    "more": {"maps": ("first_clicks",), "friction": ("rage:datadog", "dead:posthog", "quick_back"), "scroll": True},
    "viewport": {"maps": ("clicks",), "frame": "viewport", "friction": ("rage:posthog",)},
}


def table(seed: int, *, rows: int = 400, late: bool = False, tabs: bool = True) -> pa.Table:
    """Few sessions with tabs side by side; those of an even seed click much, and mostly near the click before."""
    rng = random.Random(seed)
    near = 8 * (1 - seed % 2)
    ids = [f"s{i}" for i in range(12)]
    now = START
    found = []
    for _ in range(rows):
        now += rng.choice((0, 0, 1, 40, 400, 999, 1000, 31_000, *[9] * near))
        session = None if rng.random() < 0.03 else ids[min(int(rng.expovariate(0.4)), 11)]
        time = rng.choice((0, None)) if rng.random() < 0.02 else now - (rng.randrange(3000) if late else 0)
        kind = rng.choice((*KINDS, *["click"] * near))
        x = rng.choice((1.0, 5.0, 28.0, 90.0, None, float("nan"), *[2.0] * near))
        y = rng.choice((0.0, 3.0, 40.0, 900.0, *[1.0] * near))
        found.append(
            (
                time, session, rng.choice(("a", "b", None)), kind, rng.choice(("/", "/a", "/b?x=1", None)),
                rng.choice(("F", "G", None)), x, y, rng.choice((0.0, 100.0, None)), rng.choice((None, 500, 1200)),
                rng.choice((700.0, None)), rng.choice(("phone", "desk")),
            )
        )  # fmt: skip
    names = ["time", "session", "tab", "kind", "page", "feature", "x", "y", "scroll_y", "viewport_w", "viewport_h",
             "device"]  # fmt: skip
    made = pa.table(dict(zip(names, map(list, zip(*found, strict=True)), strict=True)))
    made = made.set_column(0, "time", made["time"].cast(pa.timestamp("ms", "UTC")))
    made = made if tabs else made.drop_columns(["tab"])
    return made.set_column(1, "session", made["session"].combine_chunks().dictionary_encode())


@pytest.fixture
def used(monkeypatch):
    """How often sessions were numbered by the source; for a table of any size."""
    seen = []
    monkeypatch.setattr(
        lanes, "numbered", lambda *args: seen.append(1) or direct.numbered(*args[:-2], 1 << 20, 1 << 40)
    )
    return seen


def state(source, **plan):
    return to_bytes(hg.run(source, threads=1, **plan).state)


@pytest.mark.parametrize("plan", FULL)
@pytest.mark.parametrize("late", [False, True])
def test_numbered_sessions_give_the_same_state(used, monkeypatch, plan, late):
    """Fails if a leaf of cpu/direct.py resolves a row otherwise than scan.py: tabs, hidden, views, widths, scroll."""
    tables = [table(seed, late=late, tabs=seed % 3 > 0) for seed in range(6)]
    found = [state(one, **FULL[plan]) for one in tables]
    tried = len(used)
    assert tried >= len(tables)
    monkeypatch.setattr(Events, "one_dictionary", False)
    assert [state(one, **FULL[plan]) for one in tables] == found
    assert len(used) == tried


def test_several_blocks_and_chunks(used):
    """Fails if what a block leaves open is lost, or if chunks of one dictionary are taken for different ones."""
    whole = table(7, rows=900)
    cut = pa.Table.from_batches([whole.slice(a, 100).to_batches()[0] for a in range(0, 900, 100)])
    assert state(cut, **FULL["more"]) == state(whole, **FULL["more"])


def test_what_is_not_numbered_starts_again(used, monkeypatch):
    """Fails if one of the checks for another dictionary, an id twice, or a null among the ids is left out."""
    plain = table(3)
    plan = FULL["light"]
    want = state(plain.set_column(1, "session", plain["session"].cast(pa.string())), **plan)
    halves = [part.set_column(1, "session", part["session"].cast(pa.string()).combine_chunks().dictionary_encode())
              for part in (plain.slice(0, 200), plain.slice(200))]  # fmt: skip
    ids = plain["session"].combine_chunks()
    n = len(ids.dictionary)
    twice = pa.DictionaryArray.from_arrays(
        pc.if_else(pa.array(np.arange(len(ids)) % 2 == 0), ids.indices, pc.add(ids.indices, n)),
        pa.concat_arrays([ids.dictionary, ids.dictionary]),
    )
    null = pa.DictionaryArray.from_arrays(pc.fill_null(ids.indices, n), pa.array([*ids.dictionary.to_pylist(), None]))
    for other in (
        pa.concat_tables(halves),
        plain.set_column(1, "session", twice),
        plain.set_column(1, "session", null),
    ):
        assert state(other, **plan) == want
    assert len(used) == 3


def test_a_session_that_goes_back_in_time(used):
    """Fails if the order of a session's rows is not checked: the run must go on in lane P."""
    rows = table(5, tabs=False)
    rows = rows.take(pa.array(random.Random(1).sample(range(rows.num_rows), rows.num_rows)))
    heat = hg.run(rows, threads=1, **FULL["light"])
    assert heat.lane == "P"
    text = rows.set_column(1, "session", rows["session"].cast(pa.string()))
    assert state(text, **FULL["light"]) == to_bytes(heat.state)


def test_how_many_may_be_open():
    """Fails if sessions that are never closed are numbered without a limit, or for a plan that keeps much of each."""
    rows = table(1)
    events = hg.read(rows)
    seen = []
    for most, plan in ((1000, "usual"), (4, "light"), (4, "usual"), (1, "light")):
        made = hg.Plan(**FULL[plan])
        memory, workers = lanes.Memory(None, None), lanes.Workers()
        run = lanes._Run(events, made, 1, None, most, 1 << 17, memory, None, None, workers, None, None)
        run.max_open = most
        with lanes.closing(run._blocks(encoder := run._encoder())) as blocks:
            first = next(blocks)
        seen.append(direct.numbered(made, encoder, first, most, rows.num_rows) is not None)
        assert direct.numbered(made, encoder, first, most, 3 * len(first.lo)) is None
    assert seen == [True, True, False, False]


def test_more_transitions_than_bits(used):
    """Fails if a pair beyond the bit set is counted for a session twice, or if a pair is lost where tables grow."""
    rng = random.Random(0)
    steps = [(f"s{rng.randrange(9)}", f"/p{rng.randrange(40)}") for _ in range(9000)]
    made = pa.table({
        "time": pa.array(range(START, START + 9000), pa.timestamp("ms", "UTC")), "kind": ["pageview"] * 9000,
        "session": pa.array([s for s, _ in steps]).dictionary_encode(), "page": [p for _, p in steps],
    })  # fmt: skip
    heat = hg.run(made, maps=(), tables=(), transitions=("pages",), threads=1, keep_bots=True)
    paths: dict[str, list[str]] = {}
    for session, page in steps:
        paths.setdefault(session, []).append(page)
    count = Counter(pair for path in paths.values() for pair in pairwise(path))
    sessions = Counter(pair for path in paths.values() for pair in set(pairwise(path)))
    rows = [row for row in heat.transitions.to_pylist() if "(" not in row["from"] + row["to"]]
    assert {(row["from"], row["to"]): (row["count"], row["sessions"]) for row in rows} == {
        pair: (n, sessions[pair]) for pair, n in count.items()
    }
    assert len(rows) > 1000


def in_blocks(rows, most, **plan):
    made = run_plan(open_events(rows), hg.Plan(frame="page", **plan), block_rows=most, threads=1)
    assert made.lane == "T"
    return to_bytes(made.state)


def test_what_a_session_leaves_in_its_place(monkeypatch):
    """Fails if pairs that were seen, or the click before, are still there when another session takes the place."""
    monkeypatch.setattr(Events, "one_dictionary", False)
    plan = {"maps": (), "transitions": ("pages",), "session_gap": 20_000, "friction": ["rage:posthog"]}
    plan["friction"].append(Repeat(name="rage:slow", n=2, gap_ms=10**9))
    for seed in range(4):
        rows = table(seed, rows=1200)
        assert in_blocks(rows, 20, **plan) == in_blocks(rows, 1 << 17, **plan)


RULES = (
    {"n": 3, "gap_ms": 1000, "radius_px": 30.0}, {"n": 2, "gap_ms": 400, "radius_px": 6.0, "metric": "l2"},
    {"n": 4, "gap_ms": 31_001, "same_feature": True}, {"n": 2, "gap_ms": 1000, "restart": True},
)  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_a_chain_is_a_queue_of_one(monkeypatch, seed):
    """Fails if cpu/friction.chain flags another click than ``repeat``, or forgets to end with a session."""
    rows = table(seed, rows=1500)
    rules = [Repeat(name=f"rage:own-{i}", **rule) for i, rule in enumerate(RULES)]
    found = state(rows, friction=rules, maps=("clicks",), session_gap=60_000)
    monkeypatch.setattr(friction, "is_chain", lambda rule: False)
    assert state(rows, friction=rules, maps=("clicks",), session_gap=60_000) == found


WHERES = (
    "kind = 'click'", "kind != 'click' and page in ('/', '/a')", "not (feature = 'F') or x > 4", "kind is null",
    "viewport_w >= 500 and session = 's1'", "time >= '2026-09-01 00:01:00'", "kind = 'none'", "page like '/%'",
)  # fmt: skip


@pytest.mark.parametrize("where", WHERES)
def test_rows_of_a_where_are_taken_as_arrow_takes_them(monkeypatch, where):
    """Fails if a leaf of cpu/taken.py, a null or an offset of a slice goes wrong."""
    rows = table(11, rows=1000).slice(13, 900)
    for name in ("kind", "page", "feature"):
        rows = rows.set_column(rows.schema.get_field_index(name), name, rows[name].combine_chunks().dictionary_encode())
    events = hg.read(rows.slice(5), where=where)
    names = [*events.columns, "device"]

    def delivered(most):
        chunks = list(events.scan(names))
        assert sum(chunk.read for chunk in chunks) == rows.num_rows - 5
        for chunk in chunks:
            chunk.batch.validate(full=True)
            assert chunk.batch.num_rows <= most
        return repr([row for chunk in chunks for row in chunk.batch.select(names).to_pylist()])

    want = delivered(1000)
    monkeypatch.setattr(taken, "FROM_ROWS", 1)
    monkeypatch.setattr(memory, "SLICE", 64)
    assert delivered(64) == want
