"""smooth against float64 Gaussian matrices cut at 8 sigma."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heatgrid as hg
from fences import fenced
from heatgrid.cpu import smooth as leaves
from heatgrid.engine import blur
from heatgrid.words.errors import DeviceError, LimitError, UsageError
from oracle import points as oracle

BOUNDARIES = ("constant", "reflect", "nearest")


def image(kind: str, ny: int, nx: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    if kind == "impulse":
        out = np.zeros((ny, nx))
        out[ny // 2, nx // 3] = 1
        out[0, -1] = 1
        return out
    if kind == "hotspots":
        y, x = np.mgrid[:ny, :nx]
        spots = [(rng.uniform(0, ny), rng.uniform(0, nx), rng.uniform(1, 9), 10**k) for k in range(5)]
        return sum(h * np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * s * s)) for a, b, s, h in spots)
    if kind == "flat":
        return np.full((ny, nx), 12345.678)
    return rng.exponential(5.0, (ny, nx))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("kind", ["impulse", "hotspots", "noise", "flat"])
def test_error_is_below_1e_5_of_the_peak(dtype: type, boundary: str, kind: str) -> None:
    for (ny, nx), sigma in (
        ((70, 90), 0.5),
        ((70, 90), 0.89),
        ((130, 77), 2),
        ((90, 400), 8),
        ((300, 260), 32),
        ((5, 3), 7),
    ):
        values = image(kind, ny, nx).astype(dtype)
        expected = oracle.smooth(values, (sigma, sigma), boundary)
        got = hg.smooth(values, sigma, boundary=boundary)
        assert got.dtype == dtype
        assert np.abs(got - expected).max() <= 1e-5 * expected.max(), (ny, nx, sigma)


def test_unit_gain() -> None:
    values = np.zeros((101, 101))
    values[50, 50] = 1
    assert hg.smooth(values, 4).sum() == pytest.approx(1, abs=1e-12)
    assert hg.smooth(np.ones((40, 40)), 9, boundary="reflect") == pytest.approx(1, abs=1e-12)
    assert hg.smooth(np.ones((40, 40)), 9)[0, 0] == pytest.approx(0.25, abs=0.03)


def test_axes_and_nothing_to_do() -> None:
    values = image("noise", 30, 40)
    np.testing.assert_array_equal(hg.smooth(values, 0), values)
    np.testing.assert_allclose(hg.smooth(values, (0, 3)), oracle.smooth(values, (0, 3), "constant"), rtol=1e-5)
    np.testing.assert_allclose(hg.smooth(values, (3, 0)), oracle.smooth(values, (3, 0), "constant"), rtol=1e-5)
    assert hg.smooth(np.empty((3, 0, 5)), 2).shape == (3, 0, 5)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 90)),
    sigma=st.sampled_from([0.3, 1, 2.7, 11]),
    boundary=st.sampled_from(BOUNDARIES),
    threads=st.integers(2, 8),
    rows=st.integers(1, 40),
)
def test_same_bits_for_any_threads_tiles_and_stacks(
    shape: tuple[int, int, int], sigma: float, boundary: str, threads: int, rows: int
) -> None:
    values = np.random.default_rng(2).random(shape).astype(np.float32)
    one = hg.smooth(values, sigma, boundary=boundary, threads=1)
    np.testing.assert_array_equal(one, hg.smooth(values, sigma, boundary=boundary, threads=threads))
    tiled = np.empty_like(values)
    radius = blur.radius_of(sigma, 5)
    blur.smooth_stack(values, tiled, (sigma, sigma), (radius, radius), boundary, threads, rows)
    np.testing.assert_array_equal(one, tiled)
    for k in range(shape[0]):
        np.testing.assert_array_equal(one[k], hg.smooth(values[k], sigma, boundary=boundary))


def test_narrow_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    values = image("noise", 150, 333).astype(np.float32)
    whole = hg.smooth(values, 6)
    monkeypatch.setattr(blur, "SLAB_BYTES", 1)
    np.testing.assert_array_equal(hg.smooth(values, 6), whole)


def test_out_and_in_place() -> None:
    values = image("noise", 140, 60).astype(np.float32)
    expected = hg.smooth(values, 5)
    with fenced() as make:
        out = make(values.shape, np.float32)
        assert hg.smooth(values, 5, out=out) is out
        np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(hg.smooth(values, 5, out=values), expected)
    both = np.concatenate([image("noise", 140, 60), np.zeros((1, 60))]).astype(np.float32)
    np.testing.assert_array_equal(hg.smooth(both[:-1], 5, out=both[1:]), expected)


def test_other_inputs() -> None:
    grid = hg.bin_points(np.array([5.0]), np.array([5.0]), shape=(11, 11))
    soft = hg.smooth(grid, 1)
    assert soft.dtype == np.float64
    assert soft.argmax() == 5 * 11 + 5
    values = image("noise", 20, 30)
    np.testing.assert_array_equal(hg.smooth(values.T, 2), hg.smooth(np.ascontiguousarray(values.T), 2))
    np.testing.assert_array_equal(hg.smooth(values.astype(">f8"), 2), hg.smooth(values, 2))
    frozen = values.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(hg.smooth(frozen, 2), hg.smooth(values, 2))
    assert hg.smooth(values.astype(np.float16), 2).dtype == np.float32


def test_leaves_stay_inside_their_outputs() -> None:
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        for radius in (0, 1, 3, 4, 9, 30):
            for n, m in ((1, 1), (5, 33), (3, 100)):
                taps = rng.random(radius + 1).astype(dtype)
                with fenced() as make:
                    slab = make((n + 2 * radius, m), dtype)
                    lines = make((n, m + 2 * radius), dtype)
                    part, out = make((n, m), dtype), make((n, m), dtype)
                    leaves.fill_slab(np.ones((n, m + 2), dtype), blur.border(n, radius, "reflect"), 0, 2, slab)
                    leaves.filter_down(slab, taps, part)
                    lines[:, radius : radius + m] = part
                    leaves.fill_margins(blur.border(m, radius, "reflect"), radius, lines)
                    leaves.filter_along(lines, taps, out)
                    gain = taps[0] + 2 * taps[1:].sum(dtype=np.float64)
                    np.testing.assert_allclose(out, gain * gain, rtol=1e-5)


def test_eight_callers_at_once() -> None:
    values = [image("noise", 200, 300) + k for k in range(8)]
    alone = [hg.smooth(v, 4, threads=1) for v in values]
    with ThreadPoolExecutor(8) as pool:
        for one, other in zip(alone, pool.map(lambda v: hg.smooth(v, 4, threads=3), values), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "bad",
    [
        {"sigma": math.nan}, {"sigma": -1}, {"sigma": math.inf}, {"sigma": (1, 2, 3)}, {"sigma": "2"}, {"sigma": None},
        {"boundary": "wrap"}, {"truncate": 0}, {"truncate": math.nan}, {"values": np.zeros(5)}, {"values": 3.0},
        {"values": np.zeros((2, 2), complex)}, {"values": np.array([["a"]])}, {"out": np.zeros((2, 2), np.float32)},
        {"out": np.zeros((3, 3))}, {"out": [[0, 0], [0, 0]]}, {"threads": 0}, {"backend": "tpu"},
    ],
)  # fmt: skip
def test_refused(bad: dict) -> None:
    call = {"values": np.zeros((2, 2)), "sigma": 1, **bad}
    with pytest.raises(UsageError):
        hg.smooth(call.pop("values"), call.pop("sigma"), **call)


def test_limits_and_devices() -> None:
    with pytest.raises(LimitError):
        hg.smooth(np.zeros((2, 2)), 1e9)
    with pytest.raises(DeviceError):
        hg.smooth(np.zeros((2, 2)), 1, backend="gpu")
