"""bin_points against an oracle that counts one point at a time, in every variant the engine can choose."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heatgrid as hg
from fences import fenced
from heatgrid.cpu import bin as leaves
from heatgrid.cpu import parts, place
from heatgrid.cpu.bits import and_bits, and_mask
from heatgrid.cpu.cell import ALWAYS, NEVER, make_axis
from heatgrid.engine import bins, choose, room
from heatgrid.engine.bins import count_points
from heatgrid.engine.choose import Limits
from heatgrid.engine.columns import Validity
from heatgrid.engine.spans import Span, Target, form_of
from heatgrid.outputs import grouped
from heatgrid.words.errors import DeviceError, HeatgridError, LimitError, UsageError
from oracle import points as oracle

STEPS = [1.0, 8.0, 0.25, 7.5, 10.0, 0.1, 1 / 3, 3.7e-5, 1e18]
ORIGINS = [0.0, -3.0, 0.1, 1e6 + 1 / 3, -1e18]
AXES = [(step, origin) for step in STEPS for origin in ORIGINS if abs(origin) < 1e9 * step]
ODD = [
    0.0, -0.0, -0.5, 0.5, -5e-324, 5e-324, 1e-300, -1e-300, 1e300, -1e300, 2.0**63, -(2.0**63), 2.0**31, 2.0**32,
    math.nan, math.inf, -math.inf, 16_777_216.0, 16_777_217.0,
]  # fmt: skip


VARIANTS = {
    "chosen": Limits(),
    "direct": Limits(variant="direct"),
    "wide": Limits(variant="private", wide=True, run=24),
    "copies": Limits(variant="private", wide=True, copies=leaves.COPIES, run=1000),
    "bytes": Limits(variant="private", wide=False, run=1 << 16),
    "bytes ahead": Limits(variant="private", wide=False, far=True, run=400),
    "parts": Limits(variant="parts", run=48),
    "rows": Limits(variant="rows", run=16),
    "weighed": Limits(variant="weighed", run=40),
    "sparse": Limits(variant="sparse", run=56),
    "sparse rounds": Limits(variant="sparse", run=64, round_cells=1),
    "sorted": Limits(variant="sorted", run=72),
    "near float64": Limits(form=place.DOUBLE_NEAR),
    "quotient": Limits(form=place.DIVIDE, variant="parts", run=64),
}
every_variant = pytest.mark.parametrize("forced", VARIANTS.values(), ids=VARIANTS.keys(), indirect=True)


@pytest.fixture
def forced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Limits:
    """Every call in the test is forced to this variant, where it can do the work at all."""
    monkeypatch.setattr(choose, "FORCED", request.param)
    return request.param


def dense(found: bins.Counted, shape: tuple[int, ...]) -> np.ndarray:
    """The answer as a stack, whatever holds it."""
    if isinstance(found.values, np.ndarray):
        return found.values.reshape(shape)
    out = np.zeros(shape, np.int64)
    keys, counts = found.values.rows(0, len(found.values))
    assert (np.diff(keys) > 0).all()
    assert (counts > 0).all()
    out.ravel()[keys] = counts
    return out


def edge_values(origin: float, step: float, n: int) -> list[float]:
    """Around every edge of an axis: the edge as computed, and its neighbours."""
    out = list(ODD)
    for k in range(-1, n + 2):
        v = origin + k * step
        below, above = math.nextafter(v, -math.inf), math.nextafter(v, math.inf)
        out += [v, below, above, math.nextafter(below, -math.inf), math.nextafter(above, math.inf), v + step / 2]
    return out


def check(grid: hg.Grid, expected: tuple[np.ndarray, int, int, int]) -> None:
    values, used, outside, invalid = expected
    np.testing.assert_array_equal(grid.values.reshape(values.shape), values)
    assert (grid.used, grid.outside, grid.invalid) == (used, outside, invalid)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("step", "origin"), AXES)
def test_edges(dtype: type, step: float, origin: float, monkeypatch: pytest.MonkeyPatch) -> None:
    nx, ny = 13, 3
    with np.errstate(over="ignore"):
        xs = np.array(edge_values(origin, step, nx), np.float64).astype(dtype)
    ys = np.resize(np.array([0.0, 1.0, 2.5, 0.5]), xs.shape).astype(dtype)
    expected = oracle.count(xs.tolist(), ys.tolist(), shape=(ny, nx), origin=(origin, 0), cell=(step, 1))
    for limits in VARIANTS.values():
        monkeypatch.setattr(choose, "FORCED", limits)
        got = hg.bin_points(xs, ys, shape=(ny, nx), extent=(origin, origin + nx * step, 0, ny), cell=(step, 1))
        check(got, expected)
        turned = hg.bin_points(ys, xs, shape=(nx, ny), extent=(0, ny, origin, origin + nx * step), cell=(1, step))
        np.testing.assert_array_equal(turned.values, got.values.T)


@every_variant
@pytest.mark.usefixtures("forced")
def test_what_has_no_cell() -> None:
    """Row 2 and 3: -0.5 would be cell 0 by a cast, the far edge is outside, -0.0 is cell 0."""
    x = [-0.5, 1e300, 2.0**63, -0.0, 4.0, np.float32(3.9999999), math.nan, math.inf, -1e-9]
    got = hg.bin_points(np.array(x, np.float64), np.zeros(len(x)), shape=(1, 4))
    assert got.values.tolist() == [[1, 0, 0, 0]]
    assert (got.used, got.outside, got.invalid) == (1, 6, 2)


@every_variant
@pytest.mark.usefixtures("forced")
def test_invalid_wins_over_outside() -> None:
    got = hg.bin_points(np.array([-1.0, np.nan, -1.0]), np.array([np.nan, -1.0, -1.0]), shape=(2, 2))
    assert (got.used, got.outside, got.invalid) == (0, 1, 2)


@pytest.mark.parametrize("code", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4", ">f8", "f2", "f4", "f8", "g"])
@pytest.mark.parametrize("cell", [8, 10, 7.5, 49])
def test_types(code: str, cell: float) -> None:
    dtype = np.dtype(code)
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else (-200, 200)
    values = np.array([low, high, *range(max(low, -100), 101)], dtype)
    got = hg.bin_points(values, values[::-1], shape=(9, 11), cell=cell)
    floats = [float(v) for v in values]
    check(got, oracle.count(floats, floats[::-1], shape=(9, 11), cell=(cell, cell)))
    mixed = hg.bin_points(values, values[::-1].astype(np.float64), shape=(9, 11), cell=cell)
    np.testing.assert_array_equal(mixed.values, got.values)


numbers = st.one_of(
    st.sampled_from(ODD),
    st.floats(-20, 120),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.integers(-5, 105).map(float),
    st.integers(-3, 30).map(lambda k: math.nextafter(k * 7.5, -math.inf)),
    st.integers(-3, 300).map(lambda k: k * 0.1),
)


@settings(max_examples=150, deadline=None)
@given(
    points=st.lists(st.tuples(numbers, numbers, st.booleans(), st.booleans()), max_size=700),
    step=st.sampled_from([1.0, 8.0, 7.5, 10.0, 0.1, 1 / 3]),
    origin=st.sampled_from([0.0, -3.0, 0.1]),
    single=st.booleans(),
    offsets=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    threads=st.integers(1, 8),
    limits=st.sampled_from(list(VARIANTS.values())),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 40)),
)
def test_any_points(
    points: list[tuple[float, float, bool, bool]],
    step: float,
    origin: float,
    single: bool,
    offsets: tuple[int, int],
    threads: int,
    limits: Limits,
    shape: tuple[int, int],
) -> None:
    """Nulls in bitmaps that start at any bit, every variant, 1 to 8 threads."""
    dtype = np.float32 if single else np.float64
    with np.errstate(over="ignore"):
        x, y = (np.array([p[k] for p in points], np.float64).astype(dtype) for k in (0, 1))
    bits = []
    for k in (0, 1):
        padded = np.concatenate([np.zeros(offsets[k], bool), np.array([p[2 + k] for p in points], bool)])
        bits.append(Validity(np.packbits(padded, bitorder="little"), offsets[k]))
    target = Target(make_axis(origin, step, shape[1]), make_axis(origin, step, shape[0]))
    found = count_points([Span(x, y, masks=tuple(bits))], target, threads, limits)
    xs = [v if p[2] else None for v, p in zip(x.tolist(), points, strict=True)]
    ys = [v if p[3] else None for v, p in zip(y.tolist(), points, strict=True)]
    values, *tally = oracle.count(xs, ys, shape=shape, origin=(origin, origin), cell=(step, step))
    np.testing.assert_array_equal(dense(found, shape), values[0])
    assert list(found[1:4]) == tally


@settings(max_examples=60, deadline=None)
@given(
    points=st.lists(
        st.tuples(
            st.integers(-2, 12),
            st.integers(-2, 6),
            st.one_of(st.none(), st.integers(-2, 5), st.just(2**40)),
            st.one_of(st.none(), st.sampled_from([math.nan, math.inf, -1.0, -0.0, 1e300, 0.125]), st.floats(0, 9)),
            st.one_of(st.none(), st.booleans()),
        ),
        min_size=1, max_size=200,
    ),
    threads=st.integers(1, 4),
    limits=st.sampled_from(list(VARIANTS.values())),
    with_weight=st.booleans(),
)  # fmt: skip
def test_groups_weights_and_masks(points: list[tuple], threads: int, limits: Limits, with_weight: bool) -> None:
    x, y, group, weight, valid = (list(c) for c in zip(*points, strict=True))
    kwargs = {"weights": weight, "weight_scale": 4.0} if with_weight else {}
    expected = oracle.count(x, y, shape=(4, 10), groups=group, n_groups=3, valid=valid, **kwargs)
    more = {"weight": pa.array(weight, pa.float64()), "weight_scale": 4} if with_weight else {}
    public = hg.bin_points(
        np.array(x), np.array(y), shape=(4, 10), group=pa.array(group, pa.int64()), n_groups=3, valid=valid, **more
    )
    check(public, expected)
    span = Span(
        np.array(x), np.array(y), np.array([-9 if g is None else g for g in group]),
        np.array([math.nan if w is None else w for w in weight]) if with_weight else None,
        (Validity(np.array([bool(v) and g is not None for v, g in zip(valid, group, strict=True)])),),
    )  # fmt: skip
    target = Target(make_axis(0, 1, 10, True), make_axis(0, 1, 4, True), 3, 4.0 if with_weight else None)
    found = count_points([span], target, threads, limits)
    np.testing.assert_array_equal(dense(found, (3, 4, 10)), expected[0])
    assert found[1:4] == expected[1:]


@pytest.mark.parametrize("name", ["bytes", "bytes ahead", "parts", "sparse", "sparse rounds"])
@pytest.mark.parametrize("times", [254, 255, 256, 510, 511, 100_003])
def test_full_bytes(name: str, times: int) -> None:
    """Row 6: a byte starts again at 1 after 255 and is noted; without that every count here would be wrong."""
    x = np.zeros(times + 3)
    x[:3] = 1
    group = np.zeros(x.size, np.int32)
    target = Target(make_axis(0, 1, 2), make_axis(0, 1, 2))
    for threads in (1, 3):
        found = count_points([Span(x, 0 * x, group)], target, threads, VARIANTS[name])
        assert dense(found, (4,)).tolist() == [times, 3, 0, 0]
        found = count_points([Span(x - 2, 0 * x, group)], target, threads, VARIANTS[name])
        assert (found.used, found.outside) == (0, times + 3)


def test_beyond_float32_counting() -> None:
    """A float32 counter sticks at 16,777,216."""
    x = np.zeros(16_777_216 + 5, np.uint8)
    assert hg.bin_points(x, x, shape=(1, 1)).values[0, 0] == x.size


def test_every_variant_does_what_it_says() -> None:
    """One input, every variant, each really taken; equal to the last bit."""
    rng = np.random.default_rng(7)
    x, y, group = rng.normal(50, 40, 6000), rng.normal(50, 40, 6000), rng.integers(-1, 4, 6000)
    x[1000:4000], y[1000:4000], group[1000:4000] = 55.5, 44.25, 2
    expected = oracle.count(x.tolist(), y.tolist(), shape=(100, 100), groups=group.tolist(), n_groups=3)
    target = Target(make_axis(0, 1, 100), make_axis(0, 1, 100), 3)
    names = set()
    for limits in VARIANTS.values():
        found = count_points([Span(x, y, group)], target, 2, limits)
        names.add(found.choice.name)
        assert limits.variant is None or found.choice.name.startswith(limits.variant)
        np.testing.assert_array_equal(dense(found, (3, 100, 100)), expected[0])
        assert found[1:4] == expected[1:]
    assert names == {
        "private uint32 x1", "direct x1", "private uint32 x2", "private uint32 x2, 4 copies", "private bytes x2",
        "private bytes x2, ahead", "parts x2", "parts x1", "rows x2", "weighed x2", "sparse x2", "sorted x2",
    } - {"parts x1"}  # fmt: skip


def test_the_selector(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it takes for each kind of input, and that it says why."""
    monkeypatch.setattr(choose, "caches", lambda: room.Caches(1 << 20, 0, "a test"))
    rng = np.random.default_rng(1)
    n = 1 << 19
    x, y = rng.random((2, n)).astype(np.float32)

    def name(shape: tuple[int, int], scale: float = 1.0, limits: Limits | None = None, **more: object) -> str:
        ax, ay = make_axis(0, 1, shape[1]), make_axis(0, 1, shape[0])
        span = Span(x * np.float32(shape[1] * scale), y * np.float32(shape[0] * scale), **more)
        target = Target(ax, ay, groups=7000 if "group" in more else 1)
        choice = choose.choose([span], target, 2, limits or Limits())
        assert choice.why
        return choice.name

    assert name((100, 100)) == "private uint32 x2"
    assert name((100, 100), 0.02) == "private uint32 x2, 4 copies"
    assert name((1000, 2000)) == "private bytes x2"
    assert name((1400, 1499)) == "parts x2"
    assert name((1400, 1499), 0.5) == "private bytes x2, ahead"
    assert name((1400, 1499), limits=Limits(private_bytes=1 << 20)) == "rows x2"
    assert name((2000, 2200)) == "direct x1"
    assert name((100, 100), weight=x) == "weighed x2"
    assert name((100, 100), limits=Limits(private_bytes=9), weight=x) == "rows x2"
    group = rng.integers(0, 7000, n)
    assert name((100, 100), group=group) == "sparse x2"
    assert name((100, 100), group=group, weight=x) == "sorted x1"
    assert name((1000, 1000), group=group) == "sorted x1"
    with pytest.raises(LimitError, match="more memory"):
        name((100, 100), group=group, limits=Limits(stack_bytes=1 << 20))
    monkeypatch.setattr(choose, "caches", lambda: room.Caches(1 << 16, 0, "a test"))
    monkeypatch.setattr(choose, "FEW_MISSES", 0.1)
    assert name((1000, 1000)) == "parts x2"
    assert name((1000, 1000), limits=Limits(private_bytes=2_050_000)) == "private bytes x2, ahead"
    assert name((300, 300)) == "private bytes x2"
    grid = hg.bin_points(x, y, shape=(10, 10), cell=0.1)
    assert str(grid.meta["variant"]).startswith("private")
    assert grid.meta["cells_by"] == "float32 product, checked"
    assert "L2 64 KiB" in str(grid.meta["why"])
    assert choose.machine()["L2"] == "64 KiB"


def test_caches_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index, (level, size, kind) in enumerate(
        [("1", "48K", "Data"), ("1", "32K", "Instruction"), ("2", "2M", "Unified"), ("3", "30720K", "Unified")]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, text in (("level", level), ("size", size), ("type", kind)):
            (folder / name).write_text(text + "\n")
    monkeypatch.setattr(room, "_CACHES", tmp_path)
    assert room.caches.__wrapped__() == (2 << 20, 30 << 20, "the system")
    monkeypatch.setattr(room, "_CACHES", tmp_path / "none")
    assert room.caches.__wrapped__() == (1 << 20, 0, "assumed")


def test_forms_of_the_cell() -> None:
    """Where the short forms may be taken, and where not."""

    def form(dtype: str, origin: float, step: float, cells: int, whole: bool = False) -> int:
        ax = make_axis(origin, step, cells, whole)
        return form_of(Target(ax, ax), np.dtype(dtype))

    assert form("f4", 0, 8, 100) == place.SINGLE
    assert form("f8", 0, 8, 100) == place.DOUBLE
    assert form("f4", 0.1, 8, 100) == place.DOUBLE
    assert form("f4", 3, 8, 100) == place.SINGLE_NEAR
    assert form("f4", 0, 10, 100) == place.SINGLE_NEAR
    assert form("f4", 0, 10, 5000) == place.DOUBLE_NEAR
    assert form("f4", 0, 2.0**70, 100) == place.DOUBLE
    assert form("f8", 0, 10, 100) == place.DOUBLE_NEAR
    assert form("f8", 0, 2.0**-1022 * 3, 100) == place.DIVIDE
    assert form("i8", 5, 10, 100, True) == place.SINGLE
    assert form("i8", 5, 10, 1 << 18, True) == place.DOUBLE
    assert form("i2", 5, 7.5, 100, True) == place.SINGLE_NEAR
    assert form("i4", 5, 7.5, 100, True) == place.DOUBLE_NEAR
    assert make_axis(0, 8, 9).single.near == NEVER
    assert make_axis(0.1, 8, 9).single.near == ALWAYS


@settings(max_examples=200, deadline=None)
@given(
    origin=st.one_of(st.sampled_from([0.0, -3.0, 1.5]), st.integers(-(2**19), 2**19).map(float)),
    step=st.one_of(st.sampled_from([8.0, 0.125, 10.0, 7.3, 49.0, 1 / 3]), st.integers(1, 500).map(float)),
    cells=st.integers(1, 5000),
    whole=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_every_form_is_the_quotient(origin: float, step: float, cells: int, whole: bool, seed: int) -> None:
    """Next to the edges of any axis, each type by the form it is given, against the definition in NumPy."""
    rng = np.random.default_rng(seed)
    edge = np.array([0, 1, cells - 1, cells, *rng.integers(0, cells + 1, 60)])
    near = origin + edge * step
    for dtype in (np.int32, np.int64) if whole else (np.float32, np.float64):
        v = np.concatenate([near, near - 1, near + 1, near + step / 2, [-(2.0**31), 2.0**31 - 1]]).astype(dtype)
        if not whole:
            v = np.concatenate([v, np.nextafter(v, dtype(-np.inf)), np.nextafter(v, dtype(np.inf))])
        q = (v.astype(np.float64) - origin) / step
        inside = (q >= 0) & (q < cells)
        expected = np.bincount(np.floor(q[inside]).astype(np.int64), minlength=cells)
        axes = make_axis(origin, step, cells, whole), make_axis(0, 1, 1, whole)
        found = count_points([Span(v, np.zeros_like(v))], Target(*axes), 1)
        np.testing.assert_array_equal(dense(found, (cells,)), expected)


def test_points_on_edges_divide_at_once() -> None:
    """Whole numbers in floats lie on every tenth edge: the product is given up after some runs, the answer is not."""
    x = np.arange(40_000, dtype=np.float32) % 1000
    for dtype in (np.float32, np.float64):
        got = hg.bin_points(x.astype(dtype), 0 * x.astype(dtype), shape=(1, 100), cell=(10, 1))
        assert (got.values == 400).all()


@every_variant
@pytest.mark.usefixtures("forced")
def test_shifted_input_is_a_shifted_grid() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.integers(-50, 900, 20_000), rng.integers(-50, 500, 20_000)
    for cell in (8, 10, 7):
        here = hg.bin_points(x, y, shape=(50, 100), cell=cell)
        there = hg.bin_points(x + 40, y - 4096, shape=(50, 100), extent=(40, 40 + 100 * cell, -4096, -4096 + 50 * cell))
        np.testing.assert_array_equal(here.values, there.values)
        moved = hg.bin_points(x + 3 * cell, y + 2 * cell, shape=(52, 103), cell=cell)
        np.testing.assert_array_equal(here.values, moved.values[2:, 3:])


@every_variant
@pytest.mark.usefixtures("forced")
def test_split_and_added_is_the_whole() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(20, 30, 5000), rng.normal(20, 30, 5000)
    whole = hg.bin_points(x, y, shape=(40, 40))
    parts = [hg.bin_points(x[k::3], y[k::3], shape=(40, 40)) for k in range(3)]
    np.testing.assert_array_equal(sum(p.values for p in parts), whole.values)
    assert sum(p.outside for p in parts) == whole.outside


def arrow_forms(values: list[float | None]) -> list[object]:
    array = pa.array(values, pa.float64())
    padded = pa.array([7.0, None, 3.0, *values, None], pa.float64())
    n = len(values)
    return [
        array,
        padded.slice(3, n),
        pa.chunked_array([array.slice(0, 5), array.slice(5, 0), array.slice(5)]),
        pa.table({"x": array})["x"],
        pl.Series(values, dtype=pl.Float64),
        pa.array(values, pa.float32()),
        pa.array([None if v is None else Decimal(str(v)) for v in values], pa.decimal128(20, 3)),
        array.dictionary_encode(),
        pa.array(np.array([v or 0.0 for v in values], np.float16), mask=np.array([v is None for v in values])),
        np.ma.MaskedArray([0.0 if v is None else v for v in values], [v is None for v in values]),
        np.array(values, object),
        [math.nan if v is None else v for v in values],
    ]


@every_variant
@pytest.mark.usefixtures("forced")
def test_arrow_and_its_kin() -> None:
    """Row 1: nulls by bitmap and offset; whatever lies in a null slot does not count."""
    values = [1.5, None, 2.0, -1.0, 4.0, None, 0.0, 3.5, 9.0, 2.5, None, 1.0]
    expected = oracle.count(values, values[::-1], shape=(4, 4))
    forms, turned = arrow_forms(values), arrow_forms(values[::-1])
    for k, form in enumerate(forms):
        for other in (turned[k], turned[0], turned[2]):
            check(hg.bin_points(form, other, shape=(4, 4)), expected)
    run_ends = pa.RunEndEncodedArray.from_arrays([2, 5, 6], pa.array([1.0, None, 3.0]))
    check(
        hg.bin_points(run_ends, np.zeros(6), shape=(1, 4)),
        oracle.count([1.0, 1.0, None, None, None, 3.0], [0.0] * 6, shape=(1, 4)),
    )
    nothing = hg.bin_points(pa.nulls(5), np.zeros(5), shape=(2, 2))
    assert (nothing.used, nothing.invalid) == (0, 5)


def test_bitmaps_from_any_bit() -> None:
    rng = np.random.default_rng(2)
    bits = rng.integers(0, 256, 40).astype(np.uint8)
    flags = np.unpackbits(bits, bitorder="little")
    for offset in range(20):
        for n in (0, 1, 7, 8, 9, 24, 31, 250):
            before = rng.integers(0, 256, (n + 7) // 8).astype(np.uint8)
            after = before.copy()
            and_bits(bits, offset, n, after)
            both = np.unpackbits(before, bitorder="little")[:n] & flags[offset : offset + n]
            np.testing.assert_array_equal(np.unpackbits(after, bitorder="little")[:n], both)


@pytest.mark.parametrize("threads", range(1, 9))
@pytest.mark.parametrize("limits", VARIANTS.values(), ids=VARIANTS.keys())
def test_many_points_with_nulls(threads: int, limits: Limits) -> None:
    """Runs that begin inside a bitmap, for every number of threads."""
    rng = np.random.default_rng(threads)
    n = 3000
    x, y = rng.normal(5, 4, n).round(1).astype(np.float32), rng.normal(5, 4, n).astype(np.float32)
    valid = rng.random((2, n + 13)) < 0.9
    bits = tuple(Validity(np.packbits(v, bitorder="little"), k) for v, k in zip(valid, (13, 5), strict=True))
    target = Target(make_axis(0, 0.1, 100), make_axis(0, 1, 10))
    found = count_points([Span(x, y, masks=bits)], target, threads, limits)
    xs = [v if ok else None for v, ok in zip(x.tolist(), valid[0][13:], strict=True)]
    ys = [v if ok else None for v, ok in zip(y.tolist(), valid[1][5:], strict=False)]
    values, *tally = oracle.count(xs, ys, shape=(10, 100), cell=(0.1, 1))
    np.testing.assert_array_equal(found.values, values.ravel())
    assert list(found[1:4]) == tally


@every_variant
@pytest.mark.usefixtures("forced")
def test_garbage_under_a_null() -> None:
    data = pa.py_buffer(np.array([1.0, 1.0, np.nan, 1e300]))
    array = pa.Array.from_buffers(pa.float64(), 4, [pa.py_buffer(bytes([0b0001])), data])
    got = hg.bin_points(array, np.zeros(4), shape=(1, 4))
    assert (got.values.tolist(), got.invalid) == ([[0, 1, 0, 0]], 3)


@every_variant
@pytest.mark.usefixtures("forced")
def test_decimal_and_arrow_bool_mask() -> None:
    got = hg.bin_points([Decimal("1.5"), Decimal("2.5")], [0, 0], shape=(1, 4), valid=pa.array([None, True, True])[1:])
    assert got.values.tolist() == [[0, 1, 1, 0]]
    got = hg.bin_points([1, 2, 3], [0, 0, 0], shape=(1, 4), valid=pa.array([True, None, False]))
    assert (got.values.tolist(), got.invalid) == ([[0, 1, 0, 0]], 2)


@every_variant
@pytest.mark.usefixtures("forced")
def test_strided_reversed_and_readonly() -> None:
    block = np.arange(60, dtype=np.float64).reshape(20, 3)
    x, y = block[:, 0], block[::-1, 1]
    expected = oracle.count(x.tolist(), y.tolist(), shape=(30, 50))
    check(hg.bin_points(x, y, shape=(30, 50)), expected)
    frozen = x.copy()
    frozen.flags.writeable = False
    check(hg.bin_points(frozen, y, shape=(30, 50)), expected)
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float64)
    check(hg.bin_points(unaligned, y, shape=(30, 50)), expected)
    assert frozen.tolist() == x.tolist()


@every_variant
@pytest.mark.usefixtures("forced")
def test_empty() -> None:
    got = hg.bin_points([], [], shape=(2, 3))
    assert (got.values.sum(), got.used, got.outside, got.invalid, got.shape) == (0, 0, 0, 0, (2, 3))
    assert hg.bin_points(pa.chunked_array([], pa.int32()), np.zeros(0), shape=(1, 1), group=pa.nulls(0)).shape == (
        1,
        1,
        1,
    )


@every_variant
@pytest.mark.usefixtures("forced")
def test_extent_and_cell() -> None:
    x = np.array([10.0, 19.99, 20.0, 30.0])
    by_extent = hg.bin_points(x, x, shape=(2, 2), extent=(10, 30, 10, 30))
    by_cell = hg.bin_points(x, x, shape=(2, 2), extent=(10, 30, 10, 30), cell=(10, 10))
    assert by_extent.values.tolist() == by_cell.values.tolist() == [[2, 0], [0, 1]]
    assert by_extent.extent == (10, 30, 10, 30)
    assert hg.bin_points(x, x, shape=(3, 4), cell=(5, 7)).extent == (0, 20, 0, 21)


@every_variant
@pytest.mark.usefixtures("forced")
def test_groups_are_counted_from_the_codes() -> None:
    codes = pa.array([0, None, 4, 2, -1], pa.int16())
    got = hg.bin_points(np.zeros(5), np.zeros(5), shape=(1, 1), group=codes)
    assert got.values.ravel().tolist() == [1, 0, 1, 0, 1]
    assert (got.outside, got.invalid) == (1, 1)
    garbage = pa.Array.from_buffers(
        pa.int32(), 2, [pa.py_buffer(bytes([0b01])), pa.py_buffer(np.array([1, 2**31 - 1], np.int32))]
    )
    assert hg.bin_points([0, 0], [0, 0], shape=(1, 1), group=garbage).shape == (2, 1, 1)


@every_variant
@pytest.mark.usefixtures("forced")
def test_weights() -> None:
    whole = hg.bin_points([0, 0, 0, 1], [0, 0, 0, 0], shape=(1, 2), weight=np.array([2**53, 2**53 + 1, -1, 7]))
    assert (whole.values.tolist(), whole.used, whole.invalid) == ([[2**53, 7]], 2, 2)
    halves = hg.bin_points([0, 1, 2, 3], [0] * 4, shape=(1, 4), weight=[0.5, 1.5, 2.5, 0.49999], weight_scale=1)
    assert halves.values.tolist() == [[0, 2, 2, 0]]
    bad = hg.bin_points([0] * 5, [0] * 5, shape=(1, 1), weight=[np.nan, np.inf, -np.inf, -1e-300, 1e17], weight_scale=1)
    assert (bad.used, bad.invalid) == (0, 5)
    with pytest.raises(LimitError, match="add up"):
        hg.bin_points(np.zeros(1025), np.zeros(1025), shape=(1, 1), weight=np.full(1025, 2**53))
    full = hg.bin_points(np.zeros(1023), np.zeros(1023), shape=(1, 1), weight=np.full(1023, 2**53), threads=2)
    assert full.values[0, 0] == 1023 * 2**53


@pytest.mark.parametrize(
    "bad",
    [
        {"shape": (0, 5)}, {"shape": (-1, 5)}, {"shape": (40_000, 40_000)}, {"shape": (10**9, 1)}, {"shape": 5},
        {"shape": (2.0, 3)}, {"shape": (True, 3)},
        {"cell": 0}, {"cell": -8}, {"cell": math.nan}, {"cell": math.inf}, {"cell": (8, 8, 8)}, {"cell": "8"},
        {"cell": 10**400}, {"cell": 1e308},
        {"extent": (0, math.nan, 0, 1)}, {"extent": (0, math.inf, 0, 1)}, {"extent": (5, 5, 0, 1)},
        {"extent": (9, 5, 0, 1)}, {"extent": (0, 1, 0)}, {"extent": (-1.7e308, 1.7e308, 0, 1)}, {"n_groups": 3},
        {"extent": (0, 10, 0, 10), "cell": 3},
        {"threads": 0}, {"threads": -1}, {"threads": 1.5}, {"threads": True}, {"threads": 10**6},
        {"x": 3.0}, {"x": np.zeros((2, 2))}, {"x": "abcd"}, {"x": ["a", "b"]}, {"x": np.array(["1", "2"])},
        {"x": np.zeros(3)}, {"x": np.array([1j, 2j])}, {"x": np.array([True, False])}, {"x": pa.array(["1", "2"])},
        {"x": np.array(["2020-01-01", "2020-01-02"], "M8[D]")}, {"x": pa.table({"a": [1, 2]})}, {"x": [[1], [2, 3]]},
        {"group": [0.5, 1.5]}, {"group": pa.array(["a", "b"]).dictionary_encode()}, {"group": [0, 1], "n_groups": 0},
        {"weight": [0.5, 1.5]}, {"weight_scale": 2}, {"weight": [1, 2], "weight_scale": 0},
        {"weight": [1, 2], "weight_scale": math.nan}, {"valid": [0, 1]}, {"valid": [True]}, {"backend": "cuda"},
    ],
)  # fmt: skip
def test_refused(bad: dict) -> None:
    """Row 5 and wrong calls: one error that says what was expected, before anything is allocated."""
    call = {"x": np.zeros(2), "y": np.zeros(2), "shape": (4, 4), **bad}
    with pytest.raises(UsageError) as caught:
        hg.bin_points(call.pop("x"), call.pop("y"), **call)
    assert caught.value.exit_code == 2
    assert caught.value.code.startswith("HG14")


def test_many_groups_are_dense_only_on_asking() -> None:
    """Row 5: what a dense stack would take is refused when it is asked for, and not before."""
    for n in (10**6, 2**40):
        grid = hg.bin_points([0, 999], [0, 7], shape=(1000, 1000), group=[n - 1, 0], n_groups=n)
        assert [v.tolist() for v in grid.sparse()] == [[0, n - 1], [7, 0], [999, 0], [1, 1]]
        assert grid.shape == (n, 1000, 1000)
        with pytest.raises(LimitError, match="do not fit"):
            grid.values  # noqa: B018
    with pytest.raises(LimitError, match="too many cells to number"):
        hg.bin_points([0], [0], shape=(1000, 1000), group=[10**13])


@pytest.mark.parametrize("name", ["sparse", "sparse rounds", "sorted"])
def test_sparse_stacks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything a grid can do, from the cells alone."""
    rng = np.random.default_rng(4)
    x, y, group = rng.integers(-1, 20, 9000), rng.integers(-1, 5000, 9000), rng.integers(-1, 30, 9000)
    x[:3000], y[:3000], group[:3000] = 3, 70, 11
    expected = hg.bin_points(x, y, shape=(5000, 19), group=group, n_groups=29)
    assert type(expected) is hg.Grid
    monkeypatch.setattr(choose, "FORCED", VARIANTS[name])
    grid = hg.bin_points(x, y, shape=(5000, 19), group=group, n_groups=29)
    assert type(grid) is not hg.Grid
    assert "29 groups of 5000 x 19 cells" in repr(grid)
    np.testing.assert_array_equal(grid.values, expected.values)
    assert (grid.used, grid.outside, grid.invalid) == (expected.used, expected.outside, expected.invalid)
    for one, other in zip(grid.sparse(), expected.sparse(), strict=True):
        np.testing.assert_array_equal(one, other)
    for batch in (1 << 18, 100):
        monkeypatch.setattr(grouped, "BATCH", batch)
        table = pa.RecordBatchReader.from_stream(grid).read_all()
        assert table.to_pydict() == expected.to_arrow().to_pydict() == grid.to_arrow().to_pydict()
    assert grid.dims == expected.dims
    assert grid.cell == expected.cell


def test_gpu_by_name_gives_the_reason() -> None:
    with pytest.raises(DeviceError) as caught:
        hg.bin_points([0], [0], shape=(1, 1), backend="gpu")
    assert caught.value.exit_code == 6
    assert caught.value.value
    assert hg.bin_points([0], [0], shape=(1, 1)).meta["backend_reason"]

    on_device = SimpleNamespace(__cuda_array_interface__={"shape": (1,)})
    with pytest.raises(DeviceError, match="lives on a GPU"):
        hg.bin_points(on_device, [0], shape=(1, 1))


def test_threads_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEATGRID_THREADS", "two")
    with pytest.raises(UsageError, match="HEATGRID_THREADS"):
        hg.bin_points([0], [0], shape=(1, 1))
    monkeypatch.setenv("HEATGRID_THREADS", "3")
    assert hg.bin_points([0], [0], shape=(1, 1)).used == 1


def test_eight_callers_at_once() -> None:
    """Row 9: each call has threads of its own; nothing is shared."""
    rng = np.random.default_rng(11)
    sets = [(rng.normal(100, 60, 300_000), rng.normal(60, 40, 300_000)) for _ in range(8)]
    alone = [hg.bin_points(x, y, shape=(120, 200), threads=1) for x, y in sets]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda p: hg.bin_points(*p, shape=(120, 200), threads=4), sets * 2))
    for one, other in zip(alone * 2, together, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        assert (one.outside, one.invalid) == (other.outside, other.invalid)


def test_an_error_in_a_thread_is_the_callers() -> None:
    def work(k: int) -> None:
        if k == 1:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bins.each(3, work)


def test_leaves_stay_inside_their_outputs() -> None:
    """Row 8: canaries around every output, with every kind of value, in every form."""
    rng = np.random.default_rng(1)
    for n in (0, 1, 7, 1023, 1024, 1025, 2600):
        with np.errstate(over="ignore", invalid="ignore"):
            odd = np.resize(np.array([*ODD, 6.999, 7.0, 2.999, 3.0]), n)
            x, y = rng.permutation(odd).astype(np.float32), rng.permutation(odd).astype(np.float32)
        group = rng.integers(-3, 9, n).astype(np.int32)
        weight = rng.integers(0, 3, n)
        for step, form in ((1.0, 0), (1.0, 2), (0.7, 1), (0.7, 3), (0.7, 4)):
            ax, ay = make_axis(0, step, 7), make_axis(0, step, 3)
            with fenced() as make:
                bits = make((n + 7) // 8, np.uint8, 0xD7)
                words = make(place.RUN // 8, np.uint64)
                own = words, words.view(np.uint8), make(place.RUN, np.uint32)
                stride = leaves.STRETCH
                given = x, y, group, bits, ax, ay, form
                for copies in (1, leaves.COPIES):
                    wide = make(stride * copies, np.uint32)
                    leaves.count(*given, 4, 84, wide, copies, wide[:0].view(np.uint8), wide[:1], False, *own)
                    values = make(84 + place.SPREAD, np.int64)
                    leaves.widen_copies(wide, copies, 0, values)
                    assert values.sum() == n
                for far in (False, True):
                    byte, notes = make(stride, np.uint8), make(n // leaves.FULL + 2, np.uint32)
                    leaves.count(*given, 4, 84, notes[:0], 1, byte, notes, far, *own)
                    values = make(84 + place.SPREAD, np.int64)
                    leaves.widen(byte.view(np.uint64), byte, 0, values)
                    leaves.add_notes(notes, 0, values)
                    assert values.sum() == n
                pool, before = make(3 * parts.BLOCK + n, np.uint16), make(4 + n // parts.BLOCK, np.int32, -1)
                lines, at = make(2 * parts.LINE, np.uint16), make(2, np.uint32)
                at[1], next_in = parts.BLOCK, make(2, np.uint32)
                next_in[1] = parts.LINE
                leaves_used, _ = parts.partition(
                    *given, 0, 4, np.uint32(parts.PART), pool, before, lines, next_in, at, 2, *own
                )
                assert leaves_used <= len(before)
                held = make(1, np.int64)
                parts.held(before, next_in, at, held)
                byte, notes = make(parts.PART, np.uint8), make(n // leaves.FULL + 2, np.uint32)
                parts.count_part(pool, before, lines, next_in, at, 0, byte, notes)
                copy, copied = make(parts.PART, np.uint8), make(len(notes), np.uint32)
                copy[:], copied[:] = byte, notes
                values = make(84, np.int64)
                assert parts.set_cells(byte, notes, values) == held[0] == values.sum()
                low, found, carry = make(84, np.uint16), make(84, np.uint8), make(parts.PART, np.uint32)
                more = make((n // leaves.FULL + 1, 2), np.int64)
                _, extra = parts.take_cells(copy, copied, carry, low, found, 0, more, 0)
                assert found.sum() + more[:extra, 1].sum() == held[0]
                assert not carry.any()
                assert not copy.any()
                keys = make(n, np.int64)
                parts.keys_of(*given, 4, keys, *own)
                assert (keys >= 0).sum() == held[0]
                part, tally = make(30, np.int64), make(5, np.int64)
                leaves.count_rows(*given[:3], weight, *given[3:], 4, 84, 50, part, tally, *own)
                assert tally[0] == held[0]
                leaves.sample(x[:99], y[:99], group[:99], ax, ay, 4, 84, own[2][: len(x[:99])])
                whole, fixed = make(n, np.int64), make(n, np.int64)
                leaves.whole_weight(weight, whole)
                leaves.fixed_point(x, 10.0, fixed)
                packed = make((n + 7) // 8, np.uint8, 255)
                and_bits(np.full((n + 20) // 8 + 1, 0x5A, np.uint8), 11, n, packed)
                and_mask(group > 0, packed)


CASES = """
import numpy as np, pyarrow as pa, heatgrid as hg
from heatgrid.engine import choose
from heatgrid.engine.bins import count_points
from heatgrid.engine.choose import Limits
from heatgrid.engine.spans import Span, Target
from heatgrid.cpu.cell import make_axis
x = np.array([-1, 0, 3.5, 7, 1e300, np.nan, 2] * 100); y = x[::-1]
for cell in (1, 0.7):
    g = hg.bin_points(pa.array(x, mask=x == 2), y, shape=(5, 9), cell=cell, group=np.arange(700) % 5, n_groups=4)
    assert g.used + g.outside + g.invalid == 700
    t = Target(make_axis(0, cell, 9), make_axis(0, cell, 5), 3)
    group = np.arange(700, dtype=np.int32) % 3
    for variant in choose.VARIANTS:
        for far in (False, True):
            limits = Limits(run=64, variant=variant, far=far, wide=not far, copies=4)
            assert sum(count_points([Span(x, y, group)], t, 3, limits)[1:4]) == 700
hg.bin_points(x, y, shape=(5, 9), weight=np.ones(700, int))
hg.smooth(np.ones((9, 70), np.float32), 3, boundary="reflect")
"""


@pytest.mark.slow
def test_with_index_checks(tmp_path: object) -> None:
    """Row 8: the same leaves compiled with bounds checks, which raise IndexError."""
    env = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", CASES], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_errors_are_one_family() -> None:
    assert issubclass(UsageError, HeatgridError)
