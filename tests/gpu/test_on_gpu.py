"""The cases that every backend answers, on a real device: equal integers, floats within 1e-5 of the peak.

scripts/verify_gpu          this, compute-sanitizer and the benchmarks
pytest -m gpu tests/gpu     this alone
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import heatgrid as hg
from cases import SMOOTH, Case, bin_cases, check, smooth_cases
from counters import counters, named, odd_views
from heatgrid.cpu import scroll
from heatgrid.demo.generate import write
from heatgrid.engine.backend import for_plan
from heatgrid.engine.device_sums import DeviceSums
from heatgrid.engine.lanes import run_plan
from heatgrid.gpu.availability import why_not
from heatgrid.states.store import to_bytes

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(why_not()), reason=f"no GPU: {why_not()}")]


@pytest.fixture
def cupy() -> Any:
    return pytest.importorskip("cupy")


@pytest.mark.parametrize("case", list(bin_cases()), ids=lambda case: case.name)
def test_bin_points(cupy: Any, case: Case) -> None:
    check(hg.bin_points(case.x, case.y, backend="gpu", **case.arguments), case)
    more = {k: cupy.asarray(v) if isinstance(v, np.ndarray) else v for k, v in case.arguments.items()}
    check(hg.bin_points(cupy.asarray(case.x), cupy.asarray(case.y), **more), case)


@pytest.mark.parametrize("shape", [(16, 16), (256, 256), (480, 480), (1080, 1920), (10_000, 1920)])
@pytest.mark.parametrize("kind", ["uniform", "hotspot", "one cell"])
def test_millions_of_points(cupy: Any, shape: tuple[int, int], kind: str) -> None:
    """Counters that wrap many times, every kernel, chunks through pinned memory; against the CPU."""
    rng = np.random.default_rng(1)
    n = 20_000_000
    if kind == "uniform":
        x, y = (rng.random(n, np.float32) * np.float32(side * 1.01) for side in shape[::-1])
    else:
        spread = 0.05 if kind == "hotspot" else 0.0
        x, y = (rng.normal(side / 2 + 0.25, spread * side, n).astype(np.float32) for side in shape[::-1])
    want = hg.bin_points(x, y, shape=shape, backend="cpu")
    for got in (
        hg.bin_points(x, y, shape=shape, backend="gpu"),
        hg.bin_points(cupy.asarray(x), cupy.asarray(y), shape=shape),
    ):
        np.testing.assert_array_equal(got.values, want.values)
        assert (got.used, got.outside, got.invalid) == (want.used, want.outside, want.invalid)


@pytest.mark.parametrize("index", range(len(SMOOTH) * 3))
def test_smooth(cupy: Any, index: int) -> None:
    values, sigma, boundary, expected = list(smooth_cases())[index]
    there = hg.smooth(cupy.asarray(values), sigma, boundary=boundary)
    got = hg.smooth(values, sigma, boundary=boundary, backend="gpu")
    assert isinstance(there, cupy.ndarray)
    np.testing.assert_array_equal(cupy.asnumpy(there), got)
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("ordered", [True, False])
def test_dwell(cupy: Any, ordered: bool) -> None:
    rng = np.random.default_rng(2)
    n = 3_000_000
    time = np.sort(rng.integers(0, 10**9, n)) + 1_788_000_000_000
    if not ordered:
        rng.shuffle(time)
    session, feature = rng.integers(0, 100_000, n), (rng.zipf(1.3, n) % 300).astype(np.int32)
    order = "auto" if ordered else "any"
    want = hg.dwell(session, time, feature, backend="cpu", order=order)
    assert hg.dwell(cupy.asarray(session), cupy.asarray(time), cupy.asarray(feature)).equals(want)
    assert hg.dwell(session[:9999], time[:9999], feature[:9999], backend="gpu").equals(
        hg.dwell(session[:9999], time[:9999], feature[:9999], backend="cpu", order="any")
    )


@pytest.mark.parametrize("order", ["auto", "any"])
def test_a_plan(order: str, tmp_path: Path) -> None:
    """Maps and scroll of a dump: the bytes of the CPU, in lanes T and P, whole and in small chunks."""
    path = tmp_path / "events.parquet"
    write(path, 300_000, seed=3)
    plan = hg.Plan(maps=["clicks", "moves"], scroll=True, tables=(), by=["device"], every="day", moves_sessions=True)
    want = to_bytes(hg.run(path, plan, backend="cpu").state)
    heat = hg.run(path, plan, backend="gpu", order=order)
    assert (heat.summary["backend"], heat.summary["on_cpu"]) == ("gpu", [])
    assert to_bytes(heat.state) == want
    sums = DeviceSums(for_plan("gpu", plan), 20_000)
    assert to_bytes(run_plan(hg.read(path), plan, order=order, sums=sums).state) == want
    assert sums.chunks > 20


def test_every_counter_of_scroll() -> None:
    """All edges of bands, octaves and shares, against the CPU's leaf."""
    log = odd_views(500_000, np.random.default_rng(9))
    want, got = counters(), counters()
    assert scroll.replay(log, 0, len(log), 10.0, *want) == len(log)
    plan = hg.Plan(maps=(), scroll=True, tables=())
    (found,) = DeviceSums(for_plan("gpu", plan)).scroll(log, len(log), 10.0, 9)
    assert scroll.add(found.code, found.sums, 0, *got) == len(found.code)
    assert named(got) == named(want)


def test_dlpack_and_strides(cupy: Any) -> None:
    x = cupy.arange(1000, dtype=cupy.float32)
    got = hg.bin_points(x[::2], x[::2], shape=(1000, 1000))
    assert (got.used, int(got.values.trace())) == (500, 500)

    class Foreign:
        def __dlpack__(self, **more: Any) -> Any:
            return x.__dlpack__(**more)

        def __dlpack_device__(self) -> Any:
            return x.__dlpack_device__()

    assert hg.bin_points(Foreign(), Foreign(), shape=(1000, 1000)).used == 1000
