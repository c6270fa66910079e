"""The set of closed ids: what was added is found, nothing else, over growth, collisions and ids that come again."""

from __future__ import annotations

import numpy as np
import pytest

from heatgrid.cpu.closed import find
from heatgrid.cpu.jit import tight
from heatgrid.engine.closed import Closed


@tight
def places(table, ids, asked, out):
    for i in range(asked.shape[0]):
        out[i] = find(table, ids, asked[i, 0], asked[i, 1])


def lookup(closed: Closed, asked) -> list[int]:
    table, ids, _ = closed.arrays
    out = np.empty(len(asked), np.int64)
    places(table, ids, asked, out)
    return out.tolist()


@pytest.mark.parametrize("spread", [1 << 63, 1 << 12])
def test_ids_are_found_and_others_are_not(spread: int) -> None:
    """Fails if growth loses an id, a tag alone is trusted, or the search stops before an empty place.

    A small spread: all first words share a home, so that only the second words tell the ids apart.
    """
    rng = np.random.default_rng(1)
    lo = (rng.integers(-spread, spread, 9000) >> 12 << 12) if spread > 1 << 12 else np.zeros(600, np.int64)
    ids = np.column_stack([lo, rng.permutation(len(lo)) << 31])
    closed = Closed(with_times=False)
    for part in np.array_split(ids, 7):
        closed.add(np.ascontiguousarray(part), np.zeros(len(part), np.int64))
    assert closed.ids.tolist() == ids.tolist()
    assert lookup(closed, ids) == list(range(len(ids)))
    assert set(lookup(closed, ids + np.array([0, 1]))) == {-1}
    assert set(lookup(closed, ids ^ np.array([0, 1 << 62]))) == {-1}


def test_an_id_that_comes_again_takes_the_new_time() -> None:
    """Fails if a session that returned and closed again is kept twice, or with its first end."""
    closed = Closed(with_times=True)
    ids = np.arange(5000).repeat(2).reshape(-1, 2) * 977
    closed.add(ids, np.arange(5000))
    closed.add(ids[::2].copy(), np.arange(5000, 7500))
    assert len(closed.ids) == 5000
    _, _, last = closed.arrays
    assert last[:4].tolist() == [5000, 1, 5001, 3]
