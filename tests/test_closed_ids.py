"""The set of closed ids: 24 bytes an id at most, every one found again, those at the end of the table too."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from heatgrid.cpu import slots
from heatgrid.engine.sessions import Sessions


@numba.njit
def find(closed, ids, out):
    for i in range(len(ids)):
        out[i] = slots.lookup(closed, ids[i, 0], ids[i, 1])


def found(closed, ids):
    out = np.zeros(len(ids), np.int64)
    find(closed, ids, out)
    return out


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("size", [1000, 1151, 4097])
def test_every_id_is_found_and_no_other(width, size):
    rng = np.random.default_rng(size)
    ids = rng.integers(-(2**63), 2**63 - 1, (875, width))
    ids[:100, 0] = -1 - np.arange(100)  # all of them at home in the last place: they go on from the first
    closed = np.zeros((size, width), np.int64)
    assert slots.insert_closed(closed, ids) == len(ids)
    assert slots.insert_closed(closed, ids) == 0
    marks = ids[:, 2] if width == 3 else np.ones(len(ids), np.int64)
    assert (found(closed, ids) == marks).all()
    others = ids[:, :2] + [[0, 1]]
    assert (found(closed, others) == 0).all()
    larger = np.zeros((size * 2, width), np.int64)
    assert slots.insert_closed(larger, closed) == len(ids)
    assert (found(larger, ids) == marks).all()


def test_a_closed_id_takes_at_most_24_bytes():
    sessions = Sessions(ms_mul=1, ms_div=1, gap=0, idle=30_000, max_open=1 << 15, lateness=0)
    rng = np.random.default_rng(0)
    n = len(sessions._slots)
    sizes = []
    for _ in range(200):
        sessions._slots[:, :2] = rng.integers(-(2**63), 2**63 - 1, (n, 2))
        sessions._remember(np.arange(n))
        sizes.append(sessions._closed.nbytes / sessions._n_closed)
    assert sessions._n_closed == 200 * n
    assert max(sizes[5:]) <= 24.1
    assert min(sizes) >= 16
