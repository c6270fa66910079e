"""A plan on a device without one: the same policy, launches and kernels, run by the emulator, give the same bytes as
the CPU and what the oracle says, for any chunk, lane and memory."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import heatgrid as hg
import test_resume
import test_scroll
from answers import differences, of_heat, of_oracle, run_engine
from counters import counters, named, odd_views
from emulator.build import REVERSE, SHUFFLED, needs_compiler
from emulator.device import EmulatedDevice
from heatgrid.cli import main
from heatgrid.cpu import scroll, tiles
from heatgrid.demo.generate import write
from heatgrid.engine import backend, device_sums
from heatgrid.engine.backend import Choice
from heatgrid.engine.device_sums import DeviceSums, Grid
from heatgrid.engine.lanes import run_plan
from heatgrid.engine.memory import Room
from heatgrid.gpu import availability
from heatgrid.states.store import to_bytes
from heatgrid.words.errors import DeviceError
from strategies import event_files, plans

pytestmark = needs_compiler
FEW = settings(
    max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
PLAN = hg.Plan(maps=["clicks", "moves"], scroll=True, tables=(), by=["device"], cell=32, extent=(0, 1440, 0, 4000))


def on_device(rows: int, device: EmulatedDevice | None = None, forced: bool = True) -> DeviceSums:
    return DeviceSums(Choice(device or EmulatedDevice(), "asked for", forced), rows)


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("dump") / "events.parquet"
    write(path, 1500, seed=5)
    return path


@pytest.fixture(scope="module")
def whole(dump: Any) -> bytes:
    return to_bytes(run_plan(hg.read(dump), PLAN).state)


WAYS: list[dict[str, Any]] = [{}, {"order": "any", "threads": 2}, {"block_rows": 100, "threads": 1}]


@pytest.mark.parametrize("way", range(len(WAYS)))
def test_the_demo_dump_gives_the_same_bytes(way: int, dump: Any, whole: bytes) -> None:
    """Fails if a session counts twice in two chunks; if a point that waits for its width, one outside, or a wide window
    is lost; if a stay or a view counts for another band."""
    device = EmulatedDevice(seed=way)
    sums = on_device(600, device)
    outcome = run_plan(hg.read(dump), PLAN, sums=sums, **WAYS[way])
    assert to_bytes(outcome.state) == whole
    assert outcome.lane == ("P" if way == 1 else "T")
    assert {"place_points", "scroll_counts", "run_count", "run_sums", "sort_move"} <= set(device.entries)
    assert sums.chunks >= 6


def test_sessions_that_end_on_the_way_give_their_numbers_to_others(dump: Any) -> None:
    """Fails if one gets the number of another whose rows are still in the log, or what that one has seen."""
    plan = replace(PLAN, session_gap=60_000, lateness_ms=0, scroll=False, by=())
    rows = hg.read(pq.read_table(dump).sort_by("time"))
    want = run_plan(rows, plan, order="time")
    got = run_plan(rows, plan, order="time", block_rows=50, threads=1, sums=on_device(300))
    assert to_bytes(got.state) == to_bytes(want.state)
    assert got.state.totals["sessions"] > 40


@FEW
@given(data=event_files(), more=st.data(), rows=st.sampled_from((3, 1000)))
def test_maps_say_what_the_oracle_says(data: Any, more: Any, rows: int) -> None:
    fields = more.draw(plans(set(data.columns)))
    heat = run_engine(data, fields, sums=on_device(rows), threads=1)
    assert differences(of_oracle(data, fields), of_heat(heat)) == []


@FEW
@given(data=test_scroll.scrolling(), more=st.data())
def test_scroll_says_what_the_oracle_says(data: Any, more: Any) -> None:
    fields = more.draw(test_scroll.fields_for(data))
    heat = run_engine(data, fields, sums=on_device(1), threads=1)
    assert test_scroll.got(heat) == test_scroll.want(data, fields)
    assert to_bytes(heat.state) == to_bytes(run_engine(data, fields).state)


@pytest.mark.parametrize("kind", ["ordered", "shuffled"])
def test_a_run_on_a_device_goes_on_from_a_checkpoint(
    kind: str, dump: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With rows in its logs, points that wait and sessions that have ended with their numbers."""
    table = pq.read_table(dump)
    paths = test_resume.files(table.append_column("seq", pa.array(np.arange(len(table)))), tmp_path / "in", kind)
    want = run_plan(hg.read(paths), PLAN)
    how = {"threads": 2, "max_open": 20, "room": Room(1 << 20, 700, 1000, 4), "sums": on_device(600)}
    got, _, stopped = test_resume.in_pieces(paths, PLAN, tmp_path / "keep", (1,), monkeypatch, **how)
    assert stopped == 1
    assert to_bytes(got.state) == to_bytes(want.state)


@pytest.mark.parametrize(("band", "seed"), [(1.0, 0), (8.0, REVERSE), (10.0, SHUFFLED)])
def test_every_counter_of_scroll(band: float, seed: int) -> None:
    """Against the CPU's leaf, row by row of one log."""
    log = odd_views(1200, np.random.default_rng(int(band)))
    want = counters()
    assert scroll.replay(log, 0, len(log), band, *want) == len(log)
    got = counters()
    (found,) = on_device(1, EmulatedDevice(seed=seed)).scroll(log, len(log), band, 9)
    assert scroll.add(found.code, found.sums, 0, *got) == len(found.code)
    assert (np.diff(found.code) > 0).all()
    assert named(want) == named(got)
    assert len(named(got)) > 200


def points(n: int, rng: Any, more: bool) -> dict[str, np.ndarray]:
    edges = np.array([0, -0.0, -5e-324, 31.999999999999996, 32, 1e300, np.nan, np.inf, 95.99999999999999, 96])
    log = {"map": rng.integers(0, 40, n).astype(np.uint32), "who": rng.integers(0, 3, n).astype(np.uint32)}
    for name in ("x", "y"):
        log[name] = np.where(rng.random(n) < 0.3, rng.choice(edges, n), rng.uniform(-9, 105, n))
    log["width"] = rng.integers(0, 3000, n if more else 0).astype(np.uint32)
    log["weight"] = rng.integers(0, 2**45, n if more else 0)
    return log


@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("memory", [1 << 30, 20_000, 1000])
def test_points_in_any_memory(monkeypatch: pytest.MonkeyPatch, more: bool, memory: int) -> None:
    """Whole, in smaller and smaller parts, and by the CPU: one sum, one tally, one widest window."""
    monkeypatch.setattr(device_sums, "LEAST_ROWS", 64)
    monkeypatch.setattr(device_sums, "PIECE", 777)
    n, grid = 3000, Grid(0, 0, 32, 32, 3, 3, 2 * tiles.BUCKETS)
    log = points(n, np.random.default_rng(3), more)
    sums = on_device(n, EmulatedDevice(memory=memory), forced=False)
    parts = list(sums.points(log, n, grid, 40))
    want = expected(log, 40)
    assert total(parts) == want
    assert (len(parts) == 1) == (memory != 20_000)
    assert sums.on_device == (memory != 1000)
    if memory == 1000:
        assert "too little memory" in sums.choice.reason
        with pytest.raises(DeviceError, match="too little memory") as caught:
            list(on_device(n, EmulatedDevice(memory=memory)).points(log, n, grid, 40))
        assert (caught.value.exit_code, caught.value.code) == (6, "HG5005")


def expected(log: dict[str, np.ndarray], maps: int) -> tuple[Any, ...]:
    """By plain Python."""
    found: dict[tuple[int, int], int] = {}
    tally, widest = [0] * 4, [0] * maps
    for i, (m, who, x, y) in enumerate(zip(*(log[k].tolist() for k in ("map", "who", "x", "y")), strict=True)):
        layer = m // 10 % 2
        if not (abs(x) < np.inf and abs(y) < np.inf):
            tally[2 * layer + 1] += 1
        elif not (0 <= x / 32 < 3 and 0 <= y / 32 < 3):
            tally[2 * layer] += 1
        else:
            key = who, m * 9 + int(y / 32) * 3 + int(x / 32)
            found[key] = found.get(key, 0) + (int(log["weight"][i]) if len(log["weight"]) else 1)
            if len(log["width"]):
                widest[m] = max(widest[m], int(log["width"][i]))
    return {k: v for k, v in found.items() if v}, tally, widest if len(log["width"]) else []


def total(parts: list[Any]) -> tuple[Any, ...]:
    found: dict[tuple[int, int], int] = {}
    for part in parts:
        for who, code, amount in zip(part.who.tolist(), part.code.tolist(), part.sums.tolist(), strict=True):
            found[who, code] = found.get((who, code), 0) + amount
    widest = np.max([part.widest for part in parts], axis=0).tolist()
    return {k: v for k, v in found.items() if v}, sum(part.tally for part in parts).tolist(), widest


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> EmulatedDevice:
    made = EmulatedDevice()
    monkeypatch.setattr(availability, "why_not", lambda: "")
    monkeypatch.setattr(backend, "open_device", lambda: made)
    return made


def test_a_run_asked_for_on_the_gpu(device: EmulatedDevice, dump: Any, whole: bytes) -> None:
    heat = hg.run(dump, PLAN, backend="gpu")
    assert to_bytes(heat.state) == whole
    able = ["the map of clicks", "the map of moves", "scroll"]
    assert [heat.summary[k] for k in ("backend", "on_gpu", "on_cpu")] == ["gpu", able, []]
    assert "place_points" in device.entries


def test_auto_takes_what_has_a_kernel_to_the_device(
    device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch, dump: Any
) -> None:
    plan = replace(PLAN, tables=("features",), maps=("moves",), scroll=False, by=())
    want = to_bytes(hg.run(dump, plan, backend="cpu").state)
    assert hg.run(dump, plan).summary["backend"] == "cpu"
    assert not device.entries
    monkeypatch.setattr(backend, "LEAST_ROWS", 1500)
    heat = hg.run(dump, plan)
    assert to_bytes(heat.state) == want
    assert [heat.summary[k] for k in ("backend", "on_gpu", "on_cpu")] == ["gpu", ["the map of moves"], ["features"]]
    assert heat.summary["backend_reason"] == "1,500 rows: the map of moves; no GPU kernel for features"
    assert "place_points" in device.entries


def test_a_device_without_room_leaves_a_run_to_the_cpu(
    device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch, dump: Any, whole: bytes
) -> None:
    monkeypatch.setattr(backend, "LEAST_ROWS", 1500)
    device.memory = 100
    heat = hg.run(dump, PLAN)
    assert to_bytes(heat.state) == whole
    assert heat.summary["backend"] == "cpu"
    assert "too little memory" in str(heat.summary["backend_reason"])
    with pytest.raises(DeviceError) as caught:
        hg.run(dump, PLAN, backend="gpu")
    assert caught.value.code == "HG5005"


def test_the_bench_tells_the_steps_of_a_device_apart(
    device: EmulatedDevice, capfd: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    """Copies from both kinds of memory, kernels and the way back, of every kernel that counts; answers compared."""
    path = tmp_path / "bench.json"
    words = ["--rows", "700", "--grid", "32x32", "--rounds", "1", "--only", "device", "-o", str(path)]
    assert main(["bench", *words, "--backend", "cpu,gpu"]) == 0
    cases = json.loads(path.read_text())["cases"]
    steps = {"floor: reading on the device", "heatgrid", *(f"heatgrid, gpu: {step}" for step in STEPS)}
    assert [set(case["ns"]) for case in cases[:4]] == [steps] * 4
    assert set(cases[4]["ns"]) == {"heatgrid", "heatgrid, gpu: the whole run"}
    assert all(case["share_of_reading"]["heatgrid, gpu: kernels"] > 0 for case in cases[:4])
    assert {"bin_f32_global", "visits_shared", "place_points", "scroll_counts", "run_sums"} <= set(device.entries)
    out = capfd.readouterr().out
    assert out.count("% of reading once") == 4
    assert out.count("pinned memory") == 4


STEPS = ("copy, pageable memory", "copy, pinned memory", "kernels", "finish")
