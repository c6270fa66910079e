"""The leaves that look at a column of times, against a loop that anyone can read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatgrid.cpu import columns

NO_BITS = np.zeros(0, np.uint8)


@st.composite
def times(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Some hundred times, most of them good, with the validity bits of an array that begins at any bit; or none."""
    n = draw(st.integers(0, 300))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    ticks = rng.integers(100, 200, n)
    ticks[rng.random(n) < draw(st.sampled_from([0.0, 0.01, 0.5]))] = rng.choice([99, 200, -(2**62), 2**62])
    if draw(st.booleans()):
        return ticks, NO_BITS, 0
    offset = draw(st.integers(0, 20))
    valid = rng.random(offset + n) >= draw(st.sampled_from([0.0, 0.01, 0.5]))
    return ticks, np.append(np.packbits(valid, bitorder="little"), np.uint8(0)), offset


def is_valid(bits: np.ndarray, offset: int, i: int) -> bool:
    return not len(bits) or bool(bits[(i + offset) // 8] >> ((i + offset) % 8) & 1)


@given(times())
def test_bits_of_times_in_a_range(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    """Fails if `in_range` takes 64 rows for good without asking for their bits, or bits of another row."""
    ticks, bits, offset = case
    want = [is_valid(bits, offset, i) and 100 <= t < 200 for i, t in enumerate(ticks.tolist())]
    out = np.zeros((len(ticks) + 7) // 8, np.uint8)
    found = columns.in_range(ticks, bits, offset, 100, 200, out)
    assert found == sum(want)
    assert np.unpackbits(out, count=len(ticks), bitorder="little").astype(bool).tolist() == want


@given(times())
def test_times_are_copied_and_bad_ones_marked(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    """Fails if `check_time` misses a bad row among good ones, or if a bad row does not take the time before it."""
    ticks, bits, offset = case
    before, want, ok = 100, [], []
    for i, t in enumerate(ticks.tolist()):
        good = is_valid(bits, offset, i) and 100 <= t < 200
        before = t if good else before
        want.append(before)
        ok.append(int(good))
    time, marks = np.empty(len(ticks), np.int64), np.ones(len(ticks), np.uint8)
    bad = columns.check_time(ticks, bits, offset, 100, 200, 100, time, marks)
    assert (time.tolist(), marks.tolist(), bad) == (want, ok, ok.count(0))


def test_one_null_among_good_times() -> None:
    """Fails if the bits of whole groups are taken from where they begin in a byte alone: the last few are not seen."""
    ticks = np.full(130, 150)
    for offset in range(8):
        for null in range(130):
            valid = np.ones(offset + 130, bool)
            valid[offset + null] = False
            bits = np.append(np.packbits(valid, bitorder="little"), np.uint8(255))
            time, marks, out = np.empty(130, np.int64), np.ones(130, np.uint8), np.zeros(17, np.uint8)
            assert columns.in_range(ticks, bits, offset, 100, 200, out) == 129
            assert not out[null // 8] >> null % 8 & 1
            assert columns.check_time(ticks, bits, offset, 100, 200, 100, time, marks) == 1
            assert not marks[null]


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float64])
@given(times())
def test_nulls_become_what_a_block_holds_for_them(dtype: type, case: tuple[np.ndarray, np.ndarray, int]) -> None:
    """Fails if `fill_where_null` mixes up rows at the ends of bytes."""
    ticks, bits, offset = case
    if not len(bits):
        return
    out = ticks.astype(dtype)
    if dtype is np.float64:
        null = np.float64(np.nan).view(np.int64)
        columns.fill_where_null(bits, offset, null, out.view(np.int64))
    else:
        columns.fill_where_null(bits, offset, dtype(-1), out)
    missing = np.nan if dtype is np.float64 else -1
    want = [t if is_valid(bits, offset, i) else missing for i, t in enumerate(ticks.astype(dtype).tolist())]
    np.testing.assert_array_equal(out, np.array(want, dtype))
