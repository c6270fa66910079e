"""Lane P in any amount of memory: the same bytes from memory, the disk, parts parted again, merged runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import heatgrid as hg
from answers import differences, of_heat, of_oracle, run_engine
from heatgrid.demo.generate import write
from heatgrid.engine import partitioned, runs
from heatgrid.engine.compact import Layout
from heatgrid.engine.lanes import run_plan
from heatgrid.engine.memory import Room
from heatgrid.engine.scatter import Scatter
from heatgrid.engine.scratch import Scratch
from heatgrid.states.store import to_bytes
from heatgrid.words.errors import Cancelled, LimitError
from heatgrid.words.plan import Plan
from strategies import event_files, plans, shapes

EXAMPLES = settings(
    max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
ROOMS = st.builds(
    Room,
    rows=st.sampled_from((1, 1_000, 1 << 30)),
    leaf_rows=st.sampled_from((1, 3, 8, 1 << 17)),
    batch_rows=st.sampled_from((1, 8, 1 << 17)),
    parts=st.sampled_from((1, 2, 7)),
)
T0 = 1_790_000_000_000
PLAN = Plan(maps=("clicks", "moves"), by=("device",), every="day", distinct=("users",), moves_sessions=True)


@EXAMPLES
@given(
    data=event_files(ids="both"), room=ROOMS, block_rows=st.sampled_from((1, 5, 131_072)), draw=st.data(),
    threads=st.sampled_from((1, 2)),
)  # fmt: skip
def test_every_number_in_any_amount_of_memory(data, room, block_rows, draw, threads):
    plan, shape = draw.draw(plans(set(data.columns))), draw.draw(shapes())
    heat = run_engine(data, plan, shape, order="any", room=room, block_rows=block_rows, threads=threads)
    heat.ledger.check()
    assert differences(of_oracle(data, plan), of_heat(heat)) == []


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    path = tmp_path_factory.mktemp("spill") / "events.parquet"
    write(path, 60_000, seed=5)
    return path


@pytest.fixture(scope="module")
def whole(dump):
    outcome = run_plan(hg.read(dump), PLAN)
    assert outcome.lane == "T"
    return to_bytes(outcome.state)


@pytest.fixture
def shuffled(dump):
    import pyarrow.parquet as pq

    table = pq.read_table(dump)
    order = np.random.default_rng(1).permutation(table.num_rows)
    # rows of one time keep their order only if something says it
    return table.append_column("seq", pa.array(np.arange(table.num_rows))).take(order)


SIZES = [
    Room(rows=1 << 30, parts=16),
    Room(rows=1 << 30, parts=1, leaf_rows=4096),
    Room(rows=1 << 20, parts=3, batch_rows=4096, leaf_rows=4096),
    Room(rows=1 << 20, parts=64, batch_rows=20_000, leaf_rows=1000),
    Room(rows=1, parts=2, batch_rows=1, leaf_rows=30_000),
]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("room", SIZES, ids=lambda room: f"{room.rows}-{room.parts}-{room.leaf_rows}")
def test_the_same_bytes_for_any_budget_and_number_of_parts(dump, whole, room, threads):
    outcome = run_plan(hg.read(dump), PLAN, order="any", room=room, threads=threads)
    assert outcome.lane == "P"
    assert any("on the disk" in note for note in outcome.notes) == (room.rows < 1 << 30)
    assert to_bytes(outcome.state) == whole


def test_shuffled_rows_are_as_if_sorted(dump, whole, shuffled):
    want = run_plan(hg.read(shuffled), PLAN).state
    for room in SIZES[1:4]:
        outcome = run_plan(hg.read(shuffled), PLAN, room=room)
        assert outcome.lane == "P"
        assert to_bytes(outcome.state) == to_bytes(want)
    assert hg.Heat(want).features.equals(hg.run(dump, PLAN).features)


def bot(n, others=2000):
    """Half of the rows or more are one session's, in no order; many of its times are equal."""
    rng = np.random.default_rng(3)
    session = np.where(rng.random(n) < 0.7, "bot", np.char.add("s", rng.integers(0, others, n).astype(str)))
    return pa.table({
        "time": pa.array(T0 + rng.integers(0, 3000, n) * 1000, pa.timestamp("ms", "UTC")), "session": session,
        "kind": rng.choice(["click", "pageview"], n), "page": rng.choice(["/a", "/b"], n),
        "feature": rng.choice(["f", "g", "h"], n), "x": rng.random(n) * 100, "y": rng.random(n) * 50,
    })  # fmt: skip


@pytest.mark.parametrize("rows", [1 << 16, 1 << 19])
def test_one_giant_session_is_merged_from_runs(rows, monkeypatch):
    table = bot(40_000)
    want = to_bytes(run_plan(hg.read(table), Plan(), order="any").state)
    merged, write_run = [], runs._write
    monkeypatch.setattr(runs, "_write", lambda *args: merged.append(1) or write_run(*args))
    room = Room(rows=rows, leaf_rows=2048, batch_rows=4096, parts=4)
    assert to_bytes(run_plan(hg.read(table), Plan(), order="any", room=room, threads=2).state) == want
    assert len(merged) > 2


def test_runs_merge_to_the_stable_order_of_all_keys():
    rng = np.random.default_rng(0)
    n = 5000
    columns = {"time": rng.integers(0, 40, n), "seq": rng.integers(0, 3, n), "rank": rng.integers(0, 2, n),
               "weight": np.arange(n)}  # fmt: skip
    want = np.lexsort([columns["rank"], columns["seq"], columns["time"]])
    assert (runs.time_order(columns) == want).all()
    wide = columns | {"time": columns["time"] * 2**50}
    assert (runs.time_order(wide) == want).all()
    for room in (1, 10_000, 40_000, 1 << 30):
        with Scratch() as scratch:
            pieces = ({k: v[at : at + 100] for k, v in columns.items()} for at in range(0, n, 100))
            found = list(runs.in_order(pieces, n, scratch, room))
        assert (np.concatenate([some["weight"] for some in found]) == want).all()


def test_many_runs_are_merged_in_two_rounds_within_their_room(monkeypatch):
    """Fails if all runs are merged at once, which took hundreds of times as long: each round looks at each run, and
    what a run has in memory shrinks with their number. And if a run of runs has cuts larger than there is room for."""
    rng = np.random.default_rng(0)
    n, room = 200_000, 60_000
    columns = {"time": rng.permutation(n), "weight": np.arange(n)}
    looks, held, most = [0], [0], [0]
    upto, merged = runs._Run.upto, runs._merged

    def counted(self, *args, **kwargs):
        looks[0] += 1
        return upto(self, *args, **kwargs)

    def watched(these, scratch):
        for some in merged(these, scratch):
            held[0] = max(held[0], sum(sum(a.nbytes for a in run.now.values()) for run in these))
            most[0] = max(most[0], len(these))
            yield some

    monkeypatch.setattr(runs._Run, "upto", counted)
    monkeypatch.setattr(runs, "_merged", watched)
    with Scratch() as scratch:
        pieces = ({k: v[at : at + 500] for k, v in columns.items()} for at in range(0, n, 500))
        found = list(runs.in_order(pieces, n, scratch, room))
        assert scratch.bytes == 2 * n * 16
    assert (np.concatenate([some["time"] for some in found]) == np.arange(n)).all()
    assert 10 < most[0] < 30
    assert held[0] <= room
    assert looks[0] < 400_000


def test_a_giant_session_is_merged_with_the_room_of_a_leaf(monkeypatch):
    """Fails if a merge has only what other rows left of the memory: a run of 3 rows, thousands of runs."""
    table = bot(40_000)
    written, write_run = [], runs._write
    monkeypatch.setattr(runs, "_write", lambda *args: written.append(1) or write_run(*args))
    room = Room(rows=1, leaf_rows=2048, batch_rows=4096, parts=4)
    got = run_plan(hg.read(table), Plan(), order="any", room=room).state
    assert 2 < len(written) < 100
    assert to_bytes(got) == to_bytes(run_plan(hg.read(table), Plan(), order="any").state)


def test_a_layout_widens_and_gives_back_what_it_got():
    i64, i32 = np.int64, np.int32
    steps = [
        {"time": np.array([T0, T0 + 9], i64), "page": np.array([-1, 254], i32), "x": np.array([1.5, np.nan]),
         "session_lo": np.array([-5, 2**63 - 1], i64)},
        {"time": np.array([T0 - 2**20, T0], i64), "page": np.array([255, 0], i32), "x": np.array([-0.0, np.inf]),
         "session_lo": np.array([0, 1], i64)},
        {"time": np.array([-(2**62), 2**62], i64), "page": np.array([2**31 - 1, -1], i32), "x": np.array([0.1, 1e300]),
         "session_lo": np.array([0, 1], i64)},
    ]  # fmt: skip
    layout, sizes = Layout(), []
    for columns in steps:
        assert layout.fit(columns)
        assert not layout.fit(columns)
        sizes.append(layout.row_bytes)
        for name, values in columns.items():
            out = np.empty_like(values)
            layout.widen(name, layout.narrow(name, values), out)
            assert out.tobytes() == values.tobytes()
    assert sizes[0] < sizes[1] < sizes[2] == 8 + 4 + 8 + 8


@pytest.mark.parametrize("end", [-(2**63), 2**63 - 2**20])
def test_a_layout_holds_numbers_at_the_ends_of_their_type(end):
    """Fails with OverflowError if the base lies below the least int64."""
    layout = Layout()
    for step in (5, 300, 70_000, 2**20 - 1):
        columns = {"seq": np.array([end, end + step], np.int64)}
        layout.fit(columns)
        out = np.empty(2, np.int64)
        layout.widen("seq", layout.narrow("seq", columns["seq"]), out)
        assert out.tolist() == columns["seq"].tolist()


def test_other_parts_for_the_same_sessions():
    """What shares a part once is spread by the next salt, else parting again would never end."""
    lo = np.random.default_rng(2).integers(-(2**63), 2**63 - 1, 20_000)
    with Scratch() as scratch:
        first, again = (Scatter(8, salt, scratch, room=1 << 30, batch_rows=1 << 15) for salt in (0, 1))
        first.add({"time": lo}, np.arange(len(lo), dtype=np.int32), np.ones(len(lo), np.uint8), lo, lo)
        first.complete()
        one = first.load([3])["session_lo"]
        again.add({"time": one}, np.arange(len(one), dtype=np.int32), np.ones(len(one), np.uint8), one, one)
    assert 2000 < len(one) < 3000
    assert again.rows[:8].min() > len(one) / 16


def test_progress_goes_on_in_the_second_phase_and_can_cancel(shuffled):
    n, seen, plan = shuffled.num_rows, [], replace(PLAN, keep_bots=True)
    room = Room(rows=1 << 20, parts=16, batch_rows=20_000, leaf_rows=4096)
    run_plan(hg.read(shuffled), plan, order="any", room=room, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (n, n)
    again = [done for done, _ in seen[[done for done, _ in seen].index(n) + 1 :]]
    assert len(again) > 10
    assert again == sorted(again)
    calls = len(seen) - 5
    with pytest.raises(Cancelled):
        run_plan(
            hg.read(shuffled), plan, order="any", room=room, progress=lambda done, total: len(seen) < 0 or tick(calls)
        )


COUNTED: list[int] = []


def tick(calls):
    COUNTED.append(1)
    return len(COUNTED) < calls


def test_a_failing_part_ends_the_run_and_its_threads(shuffled, monkeypatch):
    import threading

    def fail(self, fold, columns):
        raise LimitError("no", code="HG4101")

    monkeypatch.setattr(partitioned.Partitioned, "_push", fail)
    with pytest.raises(LimitError):
        run_plan(hg.read(shuffled), PLAN, order="any", room=SIZES[3], threads=3)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("heatgrid-part")]


def test_what_other_threads_are_at_ends_with_the_run(shuffled, monkeypatch):
    """Fails if a part that is under way does not look whether it should stop."""
    pushed, push = [], partitioned.Partitioned._push

    def fail_once(self, fold, columns):
        pushed.append(1)
        if len(pushed) == 5:
            raise LimitError("no", code="HG4101")
        push(self, fold, columns)

    monkeypatch.setattr(partitioned.Partitioned, "_push", fail_once)
    with pytest.raises(LimitError):
        run_plan(hg.read(shuffled), PLAN, order="any", room=Room(rows=1 << 30, leaf_rows=300, parts=2), threads=2)
    assert len(pushed) < 30
