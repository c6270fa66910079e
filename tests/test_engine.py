"""The engine's own promises: no sorter on the streaming lanes, bounded open sessions, room that grows, threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

import heatgrid as hg
from heatgrid.demo.generate import write
from heatgrid.engine import fold, lanes
from heatgrid.engine.block import Buffers
from heatgrid.engine.lanes import run_plan
from heatgrid.states.store import to_bytes
from heatgrid.words.errors import Cancelled, InputError, LimitError, UsageError
from heatgrid.words.plan import Plan

EVERYTHING = {
    "maps": ("clicks", "moves"), "by": ("device", "country"), "every": "day", "distinct": ("users",),
    "moves_sessions": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    path = tmp_path_factory.mktemp("engine") / "events.parquet"
    write(path, 60_000, seed=5)
    return path


@pytest.fixture(scope="module")
def whole(dump):
    return to_bytes(hg.run(hg.read(dump), **EVERYTHING).state)


def state_of(dump, **options):
    """The state's bytes; the plan is the same, how the run goes is not."""
    return to_bytes(run_plan(hg.read(dump), Plan(**EVERYTHING), **options).state)


def by_session(dump):
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(dump)
    table = table.set_column(1, "session", table["session"].cast(pa.string()))
    first = table.append_column("row", pa.array(np.arange(table.num_rows)))
    order = pc.sort_indices(first, [("session", "ascending"), ("time", "ascending"), ("row", "ascending")])
    return table.take(order)


def no_sorter(*args, **kwargs):
    raise AssertionError("a streaming lane called the sorter")


def test_every_measure_runs_on_lane_t_without_a_sorter(dump, whole, monkeypatch):
    monkeypatch.setattr(lanes, "Partitioned", no_sorter)
    outcome = run_plan(hg.read(dump), Plan(**EVERYTHING))
    assert outcome.lane == "T"
    assert to_bytes(outcome.state) == whole


def test_every_measure_runs_on_lane_s_without_a_sorter(dump, monkeypatch):
    table = by_session(dump)
    want = run_plan(hg.read(table), Plan(**EVERYTHING), order="any").state
    monkeypatch.setattr(lanes, "Partitioned", no_sorter)
    outcome = run_plan(hg.read(table), Plan(**EVERYTHING), order="session", max_open=1024)
    assert outcome.lane == "S"
    assert to_bytes(outcome.state) == to_bytes(want)


@pytest.mark.parametrize(
    "options",
    [{"order": "any"}, {"order": "any", "threads": 8}, {"threads": 1}, {"threads": 8}, {"block_rows": 1000},
     {"block_rows": 77_777}, {"max_open": 1024}],
    ids=str,
)  # fmt: skip
def test_the_same_bytes_however_the_run_goes(dump, whole, options):
    assert state_of(dump, **options) == whole


def test_idle_sessions_close_early_and_a_return_starts_again():
    """5,000 sessions of one event each, then the first one comes back: with room for 1,024 it was closed by then."""
    n = 5_000
    time = pa.array(1_790_000_000_000 + np.arange(n + 1) * 1000, pa.timestamp("ms", "UTC"))
    session = [f"s{i}" for i in range(n)] + ["s0"]
    table = pa.table({"time": time, "session": session, "feature": ["f"] * (n + 1)})
    outcome = run_plan(hg.read(table), Plan(maps=()), max_open=1024, block_rows=512)
    assert outcome.lane == "P"
    assert any("came back" in note for note in outcome.notes)
    roomy = run_plan(hg.read(table), Plan(maps=()), block_rows=512)
    assert roomy.lane == "T"
    assert to_bytes(outcome.state) == to_bytes(roomy.state)
    closed = run_plan(hg.read(table.slice(0, n)), Plan(maps=()), max_open=1024, block_rows=512)
    assert closed.lane == "T"
    assert any("closed early" in note for note in closed.notes)
    assert closed.state.totals["sessions"] == n


def test_a_promise_of_order_that_is_broken_is_an_error():
    table = pa.table({"time": pa.array([2_000, 0], pa.timestamp("s", "UTC")).cast(pa.timestamp("ms", "UTC")),
                      "session": ["a", "a"]})  # fmt: skip
    table = table.set_column(0, "time", pa.array([1_790_000_100_000, 1_790_000_000_000], pa.timestamp("ms", "UTC")))
    with pytest.raises(InputError) as caught:
        hg.run(hg.read(table), maps=(), order="time", lateness_ms=0)
    assert caught.value.code == "HG2240"


def test_eight_threads_at_once(dump, whole):
    barrier = threading.Barrier(8)

    def go(_):
        barrier.wait()
        return to_bytes(hg.run(hg.read(dump), threads=2, **EVERYTHING).state)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(go, range(8))) == {whole}


class Fenced(Buffers):
    """Buffers with a canary on either side of each column."""

    GUARD = 64
    made: list[np.ndarray] = []  # noqa: RUF012 - of all folds of a test

    def take(self, name, rows):
        if rows == 0:
            return super().take(name, 0)
        dtype = super().take(name, 0).dtype
        array = np.empty(rows + 2 * self.GUARD, dtype)
        array.view(np.uint8)[:] = 0xA5
        self.made.append(array)
        return array[self.GUARD : self.GUARD + rows]


def test_no_leaf_writes_beside_its_column(dump, whole, monkeypatch):
    monkeypatch.setattr("heatgrid.engine.encode.Buffers", Fenced)
    monkeypatch.setattr(fold, "Buffers", Fenced)
    Fenced.made.clear()
    assert state_of(dump, block_rows=20_000) == whole
    assert len(Fenced.made) > 30
    for array in Fenced.made:
        for side in (array[: Fenced.GUARD], array[-Fenced.GUARD :]):
            assert (side.view(np.uint8) == 0xA5).all()


def test_progress_tells_rows_and_can_cancel(dump):
    seen = []
    hg.run(hg.read(dump), maps=(), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (60_000, 60_000)
    with pytest.raises(Cancelled):
        hg.run(hg.read(dump), maps=(), progress=lambda done, total: False)


def test_counters_widen_before_they_can_overflow():
    """Two rows that stand for 2^32 - 1 clicks each in one cell."""
    time = pa.array([1_790_000_000_000] * 2, pa.timestamp("ms", "UTC"))
    many = 2**32 - 1
    table = pa.table({"time": time, "session": ["a", "b"], "kind": ["click"] * 2, "x": [1.0] * 2, "y": [1.0] * 2,
                      "count": [many] * 2})  # fmt: skip
    heat = hg.run(hg.read(table))
    assert heat.map().values[0, 0] == 2 * many
    assert heat.pages["events"].to_pylist() == [2 * many]
    halves = [hg.run(hg.read(table.slice(i, 1))) for i in range(2)]
    assert hg.merge(halves).map().values[0, 0] == 2 * many


def test_merge_refuses_what_would_be_wrong(dump, tmp_path):
    a = hg.run(hg.read(dump), maps=())
    with pytest.raises(UsageError) as caught:
        hg.merge([a, a])
    assert caught.value.code == "HG1604"
    import pyarrow.parquet as pq

    table = pq.read_table(dump)
    b = hg.run(hg.read(table.slice(0, 100)), maps=())
    c = hg.run(hg.read(table.slice(50, 100)), maps=())
    with pytest.raises(UsageError) as caught:
        hg.merge([b, c])
    assert caught.value.code == "HG1605"
    with pytest.raises(UsageError) as caught:
        hg.merge([b, hg.run(hg.read(table.slice(0, 100)), maps=(), idle_ms=1)])
    assert caught.value.code == "HG1602"
    assert "idle_ms" in str(caught.value)


def test_a_state_survives_the_disk_and_any_flipped_bit_is_found(dump, tmp_path):
    heat = hg.run(hg.read(dump), **EVERYTHING)
    path = tmp_path / "a.heat"
    heat.save(path)
    again = hg.load(path)
    assert to_bytes(again.state) == to_bytes(heat.state)
    assert again.features.equals(heat.features)
    data = bytearray(path.read_bytes())
    for at in np.random.default_rng(0).integers(0, len(data), 40):
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(at % 8)
        path.write_bytes(damaged)
        with pytest.raises(InputError):
            hg.load(path)


def test_too_many_maps_is_a_limit():
    n = 60_000
    time = pa.array(np.full(n, 1_790_000_000_000), pa.timestamp("ms", "UTC"))
    table = pa.table({"time": time, "kind": ["click"] * n, "x": np.ones(n), "y": np.ones(n)})
    names = np.arange(15 * n).astype(str).reshape(15, n)
    big = pa.concat_tables([table.append_column("page", pa.array(part)) for part in names])
    with pytest.raises(LimitError):
        hg.run(hg.read(big), tables=(), url_rules=False)


def stream_of(table, rows=1000):
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=rows))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stream_that_starts_again_loses_nothing(threads):
    n = 20_000
    time = 1_790_000_000_000 + np.arange(n) * 100
    time[2000:3000] = time[2000:3000][::-1]
    table = pa.table({"time": pa.array(time, pa.timestamp("ms", "UTC")), "session": (np.arange(n) % 7).astype(str)})
    streamed = run_plan(hg.read(stream_of(table)), Plan(maps=()), threads=threads)
    assert streamed.state.ledger.read == n
    assert to_bytes(streamed.state) == to_bytes(run_plan(hg.read(table), Plan(maps=())).state)
    assert any("stream" in note for note in streamed.notes)


def test_users_without_a_user_column_are_off_and_not_memory():
    table = pa.table({"time": pa.array([1_790_000_000_000], pa.timestamp("ms", "UTC")), "session": ["a"]})
    heat = hg.run(hg.read(table), maps=(), distinct=("users",))
    assert "users" not in heat.pages.column_names
    assert any("distinct users are off" in note for note in heat.summary["notes"])


def test_an_integer_id_is_one_id_in_every_layout():
    time = pa.array([1_790_000_000_000, 1_790_000_001_000], pa.timestamp("ms", "UTC"))
    ids = pa.array([5, 5])
    plain, coded = (hg.run(pa.table({"time": time, "session": c}), maps=()) for c in (ids, ids.dictionary_encode()))
    with pytest.raises(UsageError) as caught:
        hg.merge([plain, coded])
    assert caught.value.code == "HG1605"


def test_states_with_and_without_maps_do_not_merge():
    time = pa.array([1_790_000_000_000], pa.timestamp("ms", "UTC"))
    a = hg.run(pa.table({"time": time, "session": ["a"], "kind": ["click"]}))
    b = hg.run(pa.table({"time": time, "session": ["b"], "kind": ["click"], "x": [1.0], "y": [1.0]}))
    for pair in ([a, b], [b, a]):
        with pytest.raises(UsageError) as caught:
            hg.merge(pair)
        assert caught.value.code == "HG1606"


def test_a_rejected_time_at_the_head_of_a_block_does_not_flush_the_late_buffer():
    time = [1_790_000_000_000 + i * 100 for i in range(1000)]
    time[500] = None
    time[501] = time[499] - 50
    table = pa.table({"time": pa.array(time, pa.timestamp("ms", "UTC")), "session": ["a"] * 1000})
    assert run_plan(hg.read(table), Plan(maps=()), order="time", block_rows=500).lane == "T"


def test_a_late_row_before_the_return_of_a_closed_session_joins_the_old_one():
    """With room for 1,024 sessions `v` is closed; it returns past its gap, but a late row of it lies within."""
    gap, n = 60_000, 1_500
    rows = [(0, "v"), *((i * 30, f"s{i}") for i in range(1, n)), (gap + 5, "v"), (gap - 5, "v"), (gap + 9, "end")]
    table = pa.table({"time": pa.array([1_790_000_000_000 + t for t, _ in rows], pa.timestamp("ms", "UTC")),
                      "session": [s for _, s in rows]})  # fmt: skip
    plan = Plan(maps=(), session_gap=gap, lateness_ms=1000)
    small = run_plan(hg.read(table), plan, max_open=1024, block_rows=256)
    assert small.state.totals == run_plan(hg.read(table), plan, order="any").state.totals
    assert small.state.totals["sessions"] == n + 1


def test_a_segment_that_the_source_lacks_is_an_error():
    table = pa.table({"time": pa.array([1_790_000_000_000], pa.timestamp("ms", "UTC")), "user": ["a"]})
    with pytest.raises(InputError) as caught:
        hg.run(table, maps=(), by=("account",))
    assert caught.value.code == "HG2604"


def test_an_area_on_a_raw_url_is_on_its_page():
    table = pa.table({"time": pa.array([1_790_000_000_000], pa.timestamp("ms", "UTC")), "session": ["a"],
                      "kind": ["click"], "page": ["/order/77"], "x": [5.0], "y": [5.0]})  # fmt: skip
    heat = hg.run(table, areas=(hg.Area("buy", 0, 10, 0, 10, page="/order/123"),))
    assert heat.features["feature"].to_pylist() == ["buy"]
