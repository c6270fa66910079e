"""The GPU's path without a GPU: the same policy, the same launches, the unchanged kernels run by the emulator."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import heatgrid as hg
from cases import SMOOTH, Case, bin_cases, check, smooth_cases
from emulator import foreign_columns
from emulator.build import FORWARD, REVERSE, SHUFFLED, needs_compiler
from emulator.device import SMALL, EmulatedDevice, OnDevice
from heatgrid.cpu.cell import make_axis as make_cpu_axis
from heatgrid.engine import backend, blur, choose, device_bins, device_blur, device_dwell
from heatgrid.engine.device_bins import Bounds
from heatgrid.engine.spans import Span, Target
from heatgrid.gpu import availability
from heatgrid.gpu import bin as kernels
from heatgrid.gpu.axis import make_axis
from heatgrid.outputs.device_grid import DeviceGrid
from heatgrid.outputs.grouped import GroupedGrid
from heatgrid.words.errors import DeviceError, HeatgridError
from oracle import points as oracle

pytestmark = needs_compiler
ORDERS = (FORWARD, REVERSE, SHUFFLED)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> EmulatedDevice:
    """The machine has this device."""
    made = EmulatedDevice()
    monkeypatch.setattr(availability, "why_not", lambda: "")
    monkeypatch.setattr(backend, "open_device", lambda: made)
    return made


def on(device: EmulatedDevice, data: Any) -> Any:
    """A copy on the device."""
    array = np.ascontiguousarray(data)
    held = device.empty(array.size, array.dtype).reshape(array.shape)
    held[...] = array
    return held


ARRAYS = ("group", "weight", "valid")


def held(device: EmulatedDevice, case: Case) -> dict[str, Any]:
    more = {k: on(device, v) if k in ARRAYS else v for k, v in case.arguments.items()}
    return {"x": on(device, case.x), "y": on(device, case.y), **more}


@pytest.mark.parametrize("case", list(bin_cases()), ids=lambda case: case.name)
def test_bin_points(device: EmulatedDevice, case: Case) -> None:
    from_host = hg.bin_points(case.x, case.y, backend="gpu", **case.arguments)
    check(from_host, case)
    device.seed = REVERSE
    uploads = device.uploads
    from_device = hg.bin_points(**held(device, case))
    masks = "valid" in case.more
    assert device.uploads == uploads + masks  # the bitmap's ones, no column
    check(from_device, case)
    on_cpu = hg.bin_points(case.x, case.y, backend="cpu", **case.arguments)
    np.testing.assert_array_equal(on_cpu.values, from_device.values)
    assert (from_host.meta["backend"], from_device.meta["backend"], on_cpu.meta["backend"]) == ("gpu", "gpu", "cpu")
    assert from_device.meta["backend_reason"] == "the input is on the device"


SPREAD = next(case for case in bin_cases() if case.name == "spread")
HOT = next(case for case in bin_cases() if case.name == "hotspot")
WIDE = replace(SMALL, shared_block=96 << 10, shared_multiprocessor=200 << 10)


@pytest.mark.parametrize(
    ("limits", "case", "variant"),
    [
        (SMALL, SPREAD, "global"),
        (SMALL, HOT, "global"),
        (SMALL, next(c for c in bin_cases() if c.name == "groups"), "shared 32-bit"),
        (replace(SMALL, shared_block=1 << 10), next(c for c in bin_cases() if c.name == "groups"), "global"),
        (replace(SMALL, shared_block=6 << 10), next(c for c in bin_cases() if c.name == "groups"), "shared 16-bit"),
        (replace(SMALL, shared_block=2801), next(c for c in bin_cases() if c.name == "groups"), "shared 8-bit"),
        (SMALL, next(c for c in bin_cases() if c.name == "weights"), "weighted"),
    ],
)
@pytest.mark.parametrize("order", ORDERS)
def test_every_kernel_is_chosen(device: EmulatedDevice, limits: Any, case: Case, variant: str, order: int) -> None:
    device.limits, device.seed = limits, order
    grid = hg.bin_points(case.x, case.y, backend="gpu", **case.arguments)
    check(grid, case)
    assert grid.meta["variant"] == variant


@pytest.mark.parametrize("width", [8, 16, 32])
@pytest.mark.parametrize("copies", [1, 4, 32])
@pytest.mark.parametrize("order", ORDERS)
def test_counters_that_wrap(device: EmulatedDevice, width: int, copies: int, order: int) -> None:
    """All fields of a word run over, again and again, and the last word has fields that stand for no cell."""
    device.seed = order
    rng = np.random.default_rng(width)
    cells = 7
    n = 150_000 if (width, copies) == (16, 1) else 9_000
    x = rng.choice(cells, n, p=[0.1, 0.001, 0.02, 0.55, 0.05, 0.25, 0.029]).astype(np.float32)
    fields = 32 // width
    words = -(-cells // fields)
    plan = kernels.Layout(width, copies, words | 1)
    ax, ay = make_axis(0, 1, cells), make_axis(0, 1, 1)
    counts, tally, stream = device.zeros(cells + 1, np.int64), device.zeros(2, np.uint64), device.stream()
    points = kernels.Points(on(device, x), on(device, x * 0))
    part = kernels.Part(ax, ay, 1, 0, cells)
    launch = replace(
        kernels.shared(points, part, plan, counts, tally, device.limits), blocks=1 if width == 16 else 2, threads=64
    )
    device.launch(launch, stream)
    stream.synchronize()
    np.testing.assert_array_equal(counts, [*np.bincount(x.astype(int), minlength=cells), 0])


def test_grids_and_inputs_in_parts(device: EmulatedDevice) -> None:
    """Chunks of 64 rows, a grid in three parts, counters that are widened on the way."""
    rng = np.random.default_rng(1)
    xs, ys = rng.normal(200, 150, (2, 1000)).astype(np.float32)
    target = Target(make_cpu_axis(0, 1, 400), make_cpu_axis(0, 1, 400))
    expected = hg.bin_points(xs, ys, shape=(400, 400), backend="cpu")
    spans = [Span(xs[:300], ys[:300]), Span(xs[300:301], ys[300:301]), Span(xs[301:].astype(float), ys[301:])]
    for bounds, variant in (
        (Bounds(rows=64), "global"),
        (Bounds(rows=64, points=100), "global"),
        (Bounds(rows=64, bytes=(1 << 16) * 12 + 64 * 64), "global, 3 parts"),
        (Bounds(rows=5000), "global"),
    ):
        found = device_bins.count_points(device, spans, target, bounds)
        np.testing.assert_array_equal(np.asarray(found.values).reshape(400, 400), expected.values)
        assert found[1:5] == (expected.used, expected.outside, expected.invalid, variant)
        assert (device.entries.count("widen") > 3) == (bounds.points == 100)
        device.launches.clear()
    weights = np.arange(1000, dtype=np.int64)
    by_weight = hg.bin_points(xs, ys, weight=weights, shape=(400, 400), backend="cpu")
    found = device_bins.count_points(
        device, [Span(xs, ys, weight=weights)], target, Bounds(rows=64, bytes=(1 << 17) * 8 + 64 * 64)
    )
    assert found.variant == "weighted, 2 parts"
    np.testing.assert_array_equal(np.asarray(found.values).reshape(400, 400), by_weight.values)


def test_launches_cover_more_points_than_a_counter_holds(
    device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "MOST_POINTS", 700)
    case = next(c for c in bin_cases() if c.name == "valid")
    check(hg.bin_points(**held(device, case)), case)
    assert sum(entry.startswith("bin_") for entry in device.entries) == 5


def test_a_chunk_waits_for_its_slot(device: EmulatedDevice) -> None:
    """Streams are as lazy as they may be: pinned memory that is filled too early gives a wrong answer."""
    x = np.arange(640, dtype=np.float32)
    target = Target(make_cpu_axis(0, 1, 640), make_cpu_axis(0, 1, 1))
    found = device_bins.count_points(device, [Span(x, x * 0)], target, Bounds(rows=64, shared=False))
    np.testing.assert_array_equal(found.values, np.ones(640))
    assert len(device.staged) == 4
    pinned = device.staging(640, np.float32)
    pinned[:] = x
    before = len(device.staged)
    found = device_bins.count_points(device, [Span(pinned, pinned)], Target(target.ax, target.ax), Bounds(rows=64))
    assert (found.used, len(device.staged)) == (640, before)


def test_masks_of_arrow_and_device_columns(device: EmulatedDevice) -> None:
    """Bitmaps from any bit, from several columns, on either side; cudf's interface and Arrow's are not copied."""
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 30, (2, 500)).astype(np.float64)
    nulls = rng.random((3, 513)) < 0.3
    arrays = [pa.array(np.resize(v, 513), mask=m)[13:] for v, m in zip((x, y, y % 5), nulls, strict=True)]
    group = arrays[2].cast(pa.int64())
    expected = hg.bin_points(arrays[0], arrays[1], group=group, n_groups=5, shape=(30, 30), backend="cpu")
    got = hg.bin_points(arrays[0], arrays[1], group=group, n_groups=5, shape=(30, 30), backend="gpu")
    uploads = device.uploads
    there = [foreign_columns.Arrow(device, a) for a in (arrays[0], arrays[1], group)]
    from_arrow = hg.bin_points(there[0], there[1], group=there[2], shape=(30, 30))
    masked = hg.bin_points(
        foreign_columns.Masked(device, arrays[0]), on(device, arrays[1].fill_null(np.nan).to_numpy()), shape=(30, 30)
    )
    assert device.uploads == uploads + 1  # the ones that three bitmaps are joined in
    for grid in (got, from_arrow):
        np.testing.assert_array_equal(grid.values, expected.values)
        assert (grid.used, grid.outside, grid.invalid) == (expected.used, expected.outside, expected.invalid)
    two = hg.bin_points(arrays[0], arrays[1], shape=(30, 30), backend="cpu")
    np.testing.assert_array_equal(masked.values, two.values)


def test_what_the_device_does_not_take(device: EmulatedDevice) -> None:
    x = on(device, np.arange(4.0))
    for arguments, code in (
        ((x, np.arange(4.0)), "HG5004"),
        ((x, x.reshape(2, 2)), "HG5004"),
        ((x, x[:3]), "HG1416"),
        ((x, on(device, np.ones(4, bool))), "HG1402"),
        ((foreign_columns.Arrow(device, pa.array([1, 2], pa.decimal128(9))), x), "HG5004"),
    ):
        with pytest.raises(HeatgridError) as caught:
            hg.bin_points(*arguments, shape=(2, 2))
        assert caught.value.code == code


def test_weights_beyond_a_cell(device: EmulatedDevice) -> None:
    x = np.zeros(1025)
    whole = hg.bin_points(x[:1023], x[:1023], weight=np.full(1023, 2**53), shape=(1, 1), backend="gpu")
    assert whole.values[0, 0] == 1023 * 2**53
    with pytest.raises(HeatgridError, match="HG4401"):
        hg.bin_points(x, x, weight=np.full(1025, 2**53), shape=(1, 1), backend="gpu")


def test_results_stay_until_asked_for(device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = hg.bin_points(SPREAD.x, SPREAD.y, backend="gpu", **SPREAD.arguments)
    fetched = []
    monkeypatch.setattr(grid, "_download", lambda array: fetched.append(array) or np.asarray(array))
    assert (grid.shape, fetched) == ((90, 110), [])
    smooth = hg.smooth(grid, 2)
    assert isinstance(smooth, OnDevice)
    assert fetched == []
    assert grid.values is grid.values
    assert len(fetched) == 1
    np.testing.assert_array_equal(smooth, hg.smooth(grid.values, 2, backend="cpu"))
    np.testing.assert_array_equal(np.asarray(grid), SPREAD.expected[0][0])
    assert grid.sparse()[3].sum() == grid.used


@pytest.mark.parametrize("index", range(len(SMOOTH) * 3))
def test_smooth(device: EmulatedDevice, index: int) -> None:
    """Within 1e-5 of the peak of the oracle, and of the CPU; from the host and the device, in any order of threads."""
    values, sigma, boundary, expected = list(smooth_cases())[index]
    device.seed = ORDERS[index % 3]
    from_host = hg.smooth(values, sigma, boundary=boundary, backend="gpu")
    on_cpu = hg.smooth(values, sigma, boundary=boundary, backend="cpu")
    from_device = hg.smooth(on(device, values), sigma, boundary=boundary)
    np.testing.assert_array_equal(from_host, from_device)
    assert from_host.dtype == on_cpu.dtype == from_device.dtype
    for other in (expected, on_cpu):
        assert np.abs(from_host - other).max() <= 1e-5 * np.abs(expected).max()


def test_smooth_spreads_what_is_not_finite_as_far_as_the_cpu(device: EmulatedDevice) -> None:
    values = np.ones((40, 150), np.float32)
    values[20, 70], values[3, 3] = np.nan, np.inf
    for sigma in (2, 16):
        got, want = (hg.smooth(values, sigma, backend=b, truncate=4) for b in ("gpu", "cpu"))
        np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))


@pytest.mark.parametrize("boundary", ["constant", "reflect", "nearest"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "sigma"), [((2, 65, 200), 7), ((150, 33), (9, 30)), ((40, 129), (0, 8.5)), ((129, 40), (6.5, 2))]
)
def test_smooth_recursively(
    device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch, boundary: str, dtype: type, shape: Any, sigma: Any
) -> None:
    """By the same form as the CPU: the same bits, in any order of threads; and 1e-5 from the oracle."""
    monkeypatch.setattr(device_blur, "MOST_TAPS", blur.MOST_TAPS)
    values = np.random.default_rng(6).exponential(50.0, shape).astype(dtype)
    values.reshape(-1)[::3] = 0
    device.seed = ORDERS[("constant", "reflect", "nearest").index(boundary)]
    got = hg.smooth(values, sigma, boundary=boundary, backend="gpu")
    assert any(entry.startswith("recursive") for entry in device.entries)
    np.testing.assert_array_equal(got, hg.smooth(values, sigma, boundary=boundary, backend="cpu"))
    both = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    want = np.array([oracle.smooth(v, both, boundary) for v in values.reshape(-1, *shape[-2:])]).reshape(shape)
    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()


def test_which_form_smooths(device: EmulatedDevice) -> None:
    """By sigma and the axis's length; a cut asked for is made directly; wide float32 ones in float64."""
    values = np.random.default_rng(7).random((40, 260)).astype(np.float32)
    for sigma, more, entries in (
        (19.9, {}, ["smooth_along_f32", "smooth_down_f32"]),
        (21, {}, ["recursive_along_f32", "smooth_along_f32", "smooth_down_f32"]),
        (21, {"truncate": 5.0}, ["smooth_along_f32", "smooth_down_f32"]),
        (201, {}, ["recursive_along_f64", "smooth_along_f64", "smooth_down_f64"]),
    ):
        device.launches.clear()
        got = hg.smooth(values, sigma, backend="gpu", **more)
        assert device.entries == entries
        assert got.dtype == np.float32
        np.testing.assert_array_equal(hg.smooth(on(device, values), sigma, **more), got)
        want = hg.smooth(values, sigma, backend="cpu", **more)
        assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()


def test_smooth_recursively_what_is_not_finite(device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """It spreads 5 sigma and no further: those 32 lines are filtered directly, the others as ever."""
    monkeypatch.setattr(device_blur, "MOST_TAPS", blur.MOST_TAPS)
    values = np.random.default_rng(8).random((100, 150)).astype(np.float32)
    values[70, 5], values[3, 140] = np.nan, np.inf
    got, want = (hg.smooth(values, (0, 8), backend=b) for b in ("gpu", "cpu"))
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
    assert 0 < np.isnan(got).sum() < 100
    calm = np.isfinite(want)
    assert np.abs(got[calm] - want[calm]).max() <= 1e-5
    tall, wide = (hg.smooth(values, 8, backend=b) for b in ("gpu", "cpu"))
    np.testing.assert_array_equal(np.isfinite(tall), np.isfinite(wide))


def test_smooth_a_stack_in_parts(device: EmulatedDevice) -> None:
    values = np.random.default_rng(3).random((5, 40, 50)).astype(np.float32)
    device.memory = 3 * values[:2].nbytes * 5 // 4 + 64
    out = np.empty_like(values)
    assert hg.smooth(values, 3, backend="gpu", out=out) is out
    assert len(device.launches) == 6
    np.testing.assert_allclose(out, hg.smooth(values, 3, backend="cpu"), rtol=0, atol=1e-6)


# ---- which device, and why ----------------------------------------------------------------------------------------


def test_auto_says_why(device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.zeros(100)
    few = hg.bin_points(x, x, shape=(1, 1))
    assert few.meta["backend"] == "cpu"
    assert "100 points: below 8,388,608" in str(few.meta["backend_reason"])
    monkeypatch.setattr(backend, "LEAST_POINTS", 100)
    many = hg.bin_points(x, x, shape=(1, 1))
    assert (many.meta["backend"], many.meta["backend_reason"], many.meta["device"]) == ("gpu", "100 points", "emulated")
    asked = hg.bin_points(x, x, shape=(1, 1), backend="cpu")
    assert (asked.meta["backend"], asked.meta["backend_reason"]) == ("cpu", "asked for")
    with pytest.raises(DeviceError, match="HG5003"):
        hg.bin_points(on(device, x), on(device, x), shape=(1, 1), backend="cpu")


def test_out_of_memory(device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """First less at a time; then the CPU under `auto` and the error under `gpu`."""
    monkeypatch.setattr(backend, "LEAST_POINTS", 100)
    rng = np.random.default_rng(8)
    x = rng.random(3000)
    expected = hg.bin_points(x, x, shape=(600, 700), extent=(0, 1, 0, 1), backend="cpu")
    device.memory = 4 << 20
    parts = hg.bin_points(x, x, shape=(600, 700), extent=(0, 1, 0, 1), backend="gpu")
    assert parts.meta["variant"] == "global, 2 parts"
    device.memory = 100_000
    there = hg.bin_points(on(device, x), on(device, x), shape=(600, 700), extent=(0, 1, 0, 1))
    auto = hg.bin_points(x, x, shape=(600, 700), extent=(0, 1, 0, 1))
    for grid in (parts, auto, there):
        np.testing.assert_array_equal(grid.values, expected.values)
    for grid in (auto, there):
        assert grid.meta["backend"] == "cpu"
        assert "too little memory" in str(grid.meta["backend_reason"])
    with pytest.raises(DeviceError, match="HG5005") as caught:
        hg.bin_points(x, x, shape=(600, 700), extent=(0, 1, 0, 1), backend="gpu")
    assert caught.value.exit_code == 6
    with pytest.raises(DeviceError, match="HG5005"):
        hg.smooth(np.ones((300, 300)), 2, backend="gpu")


def test_stacks_of_mostly_zeros(device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under `auto` the CPU keeps only the cells hit, wherever the columns lie; asked for, the GPU makes what fits."""
    monkeypatch.setattr(backend, "LEAST_POINTS", 100)
    monkeypatch.setattr(choose, "SPARSE_FROM", 5000)
    rng = np.random.default_rng(5)
    x, group = rng.integers(0, 12, 200).astype(np.int8), rng.integers(-1, 80, 200)
    group[:3] = 79, 2**40, 2**31 + 3
    held = on(device, x), on(device, x), on(device, group)
    whole = hg.bin_points(x, x, group=group, n_groups=80, shape=(10, 10), backend="gpu")
    assert isinstance(whole, DeviceGrid)
    for a, b, codes in ((x, x, group), held):
        kept = hg.bin_points(a, b, group=codes, n_groups=80, shape=(10, 10))
        assert isinstance(kept, GroupedGrid)
        assert kept.meta["backend_reason"] == "8,000 cells for 200 points: the CPU keeps only those hit"
        np.testing.assert_array_equal(kept.values, whole.values)
        assert (kept.used, kept.outside, kept.invalid) == (whole.used, whole.outside, whole.invalid)
        most = hg.bin_points(a, b, group=codes, shape=(1, 1), extent=(0, 10, 0, 10))
        assert most.shape == (2**40 + 1, 1, 1)
        assert {79, 2**31 + 3, 2**40} & set(group[x < 10]) <= set(most.sparse()[0])
    with pytest.raises(DeviceError, match="HG5005"):
        hg.bin_points(x, x, group=group, shape=(10, 10), backend="gpu")
    device.memory = 1 << 20
    monkeypatch.setattr(device_bins, "available_bytes", lambda: 1)
    with pytest.raises(DeviceError, match="HG5005"):
        hg.bin_points(x, x, group=group, n_groups=1500, shape=(10, 10), backend="gpu")


# ---- dwell --------------------------------------------------------------------------------------------------------


def rows_of(
    n: int, sessions: int, features: int, seed: int, span: int = 10**6
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    time = np.sort(rng.integers(0, span, n)) + 1_788_000_000_000
    return rng.zipf(1.3, n) % sessions, time, rng.zipf(1.2, n) % features


def plain_dwell(session: Any, time: Any, feature: Any, idle: int) -> dict[Any, list[int]]:
    """One row at a time: [dwell, visits, sessions, events] by feature; rows in the order of (time, row)."""
    out: dict[Any, list[int]] = {}
    last: dict[Any, tuple[int, Any]] = {}
    seen = set()
    for i in sorted(range(len(time)), key=lambda i: time[i]):
        s, t, f = session[i], time[i], feature[i]
        if s is None or t is None:
            continue
        before = last.get(s)
        if before is not None and before[1] is not None:
            out[before[1]][0] += min(t - before[0], idle)
        last[s] = (t, f)
        if f is None:
            continue
        row = out.setdefault(f, [0, 0, 0, 0])
        row[3] += 1
        row[1] += before is None or before[1] != f
        row[2] += (s, f) not in seen
        seen.add((s, f))
    return out


def as_dict(table: pa.Table) -> dict[str, list[int]]:
    return {r["feature"]: [r["dwell_ms"], r["visits"], r["sessions"], r["events"]] for r in table.to_pylist()}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("n", "sessions", "features"), [(0, 1, 1), (1, 1, 1), (700, 1, 5), (5000, 300, 40), (6000, 70_000, 3000)]
)
def test_dwell(device: EmulatedDevice, order: int, n: int, sessions: int, features: int) -> None:
    device.seed = order
    session, time, feature = rows_of(n, sessions, features, n)
    expected = plain_dwell(session.tolist(), time.tolist(), [str(f) for f in feature], 30_000)
    on_cpu = hg.dwell(session, time, feature, backend="cpu")
    from_host = hg.dwell(session, time, feature, backend="gpu")
    from_device = hg.dwell(on(device, session), on(device, time), on(device, feature.astype(np.int32)))
    assert as_dict(from_host) == expected
    assert from_host.equals(on_cpu)
    assert from_device.equals(on_cpu)
    assert json.loads(from_host.schema.metadata[b"heatgrid"]) == json.loads(on_cpu.schema.metadata[b"heatgrid"])
    assert from_device.schema.metadata[b"backend"] == b"emulated"
    assert ("visits_global" in device.entries) == (features == 3000)


def test_dwell_of_rows_in_no_order(device: EmulatedDevice) -> None:
    session, time, feature = rows_of(3000, 60, 9, 5, span=2**41)
    mixed = np.random.default_rng(1).permutation(3000)
    session, time, feature = session[mixed], time[mixed], feature[mixed]
    on_cpu = hg.dwell(session, time, feature, order="any", backend="cpu")
    assert hg.dwell(session, time, feature, backend="gpu").equals(on_cpu)
    assert device.entries.count("time_keys") == 2
    assert hg.dwell(session, time, feature, order="any", backend="gpu").equals(on_cpu)
    for promise in ("time", "session"):
        with pytest.raises(HeatgridError, match="HG2240"):
            hg.dwell(session, time, feature, order=promise, backend="gpu")


def test_dwell_of_hostile_columns(device: EmulatedDevice) -> None:
    rng = np.random.default_rng(9)
    n = 900
    session = [None if k == 0 else f"s{k}" for k in rng.integers(0, 30, n)]
    feature = [None if k == 0 else "" if k == 1 else f"f{k}" for k in rng.integers(0, 9, n)]
    for unit, scale in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        ticks = [int(t) for t in np.sort(rng.integers(-(10**9), 10**9, n)) * scale + rng.integers(0, scale, n)]
        times = [None if rng.random() < 0.05 else t for t in ticks]
        if unit in ("s", "ms"):
            times[5] = -(10**14) * scale // 1000
        array = pa.array(times, pa.timestamp(unit))
        for names in (feature, pa.array(feature).dictionary_encode(), pa.chunked_array([feature[:100], feature[100:]])):
            on_cpu = hg.dwell(session, array, names, idle_ms=10**12, backend="cpu")
            got = hg.dwell(session, array, names, idle_ms=10**12, backend="gpu")
            assert got.equals(on_cpu)
            ledgers = [json.loads(t.schema.metadata[b"heatgrid"]) for t in (got, on_cpu)]
            assert ledgers[0] == ledgers[1]


def test_dwell_counts_sessions_in_windows(device: EmulatedDevice) -> None:
    """As many sessions at a time as their bits find room."""
    session, time, feature = rows_of(2000, 100, 70, 3)
    events, _ = device_dwell.adopt(device, on(device, session), on(device, time), on(device, feature))
    whole = device_dwell.usage(device, events, 30_000)
    small = device_dwell.usage(device, events, 30_000, seen_bytes=4 * 3 * 7)
    for a, b in zip(
        (whole.dwell, whole.visits, whole.events, whole.sessions),
        (small.dwell, small.visits, small.events, small.sessions),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    assert device.entries.count("visits_shared") == 1 + -(-events.sessions // 7)


def test_dwell_the_device_does_not_take(device: EmulatedDevice) -> None:
    good = on(device, np.arange(4))
    for arguments, code in (
        ((on(device, np.arange(4.0)), good, good), "HG5004"),
        ((good, good, on(device, np.array([0, 2**30, 0, 0]))), "HG4430"),
        ((on(device, np.array([0, 2**40, 0, 0])), good, good), "HG4430"),
        ((foreign_columns.Masked(device, pa.array([1, None, 2, 3])), good, good), "HG5004"),
    ):
        with pytest.raises(HeatgridError) as caught:
            hg.dwell(*arguments)
        assert caught.value.code == code
    with pytest.raises(HeatgridError, match="HG5003"):
        hg.dwell(good, good, good, backend="cpu")
    with pytest.raises(HeatgridError, match="HG1120"):
        hg.dwell(good, good, good, order="sorted")
    device.memory = 8
    with pytest.raises(HeatgridError, match="HG5005"):
        hg.dwell(good, good, good)
