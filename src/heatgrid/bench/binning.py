"""Points into grids: made points, the truth by NumPy, and one case of all contenders in turn."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from heatgrid.bench import points as peers
from heatgrid.bench.floor import reading
from heatgrid.bench.race import FLOOR, Contender, race, summary

SPREADS = ("clustered", "uniform", "hotspot")
STACK = (270, 480)
EDGES, EDGES_OF_INTEGERS = 0.01, 0.2
"""The most that a peer's counts may be off in all, as a share of the points, where they may at all: whole numbers all
lie on edges, and boost-histogram puts 3 to 6 % of them into the cell before."""


def made(spread: str, shape: tuple[int, int], n: int, seed: int = 1) -> tuple[Any, Any]:
    """float32. clustered: 200 hotspots with Zipf weights, each 1/100 of the width; hotspot: one, 1/500 of it."""
    rng = np.random.default_rng(seed)
    out = []
    if spread == "clustered":
        weights = 1 / np.arange(1, 201)
        which = rng.choice(200, n, p=weights / weights.sum()).astype(np.uint8)
    for length in shape[::-1]:
        if spread == "uniform":
            v = rng.random(n, np.float32) * np.float32(length)
        elif spread == "hotspot":
            v = rng.standard_normal(n, np.float32) * np.float32(shape[1] / 500) + np.float32(length * 0.37)
        else:
            v = rng.standard_normal(n, np.float32) * np.float32(shape[1] / 100)
            v += (rng.random(200) * length).astype(np.float32)[which]
        v[v == length] += 1
        out.append(v)
    return out[0], out[1]


def stack(n: int, groups: int) -> peers.Work:
    rng = np.random.default_rng(5)
    group = rng.integers(0, groups, n, np.uint16)
    return peers.Work(*made("clustered", STACK, n), STACK, group=group, groups=groups)


def truth(work: peers.Work) -> Any:
    """By the definition, in float64, a stretch at a time."""
    ny, nx = work.shape
    cells = max(work.groups, 1) * ny * nx
    out: Any = np.zeros(cells, np.int64 if cells < 2**28 else np.uint16)
    stretch = 1 << 22
    for a in range(0, len(work.x), stretch):
        qx, qy = (np.asarray(v[a : a + stretch], np.float64) / work.cell for v in (work.x, work.y))
        inside = (qx >= 0) & (qx < nx) & (qy >= 0) & (qy < ny)
        key = np.floor(qy[inside]).astype(np.int64) * nx + np.floor(qx[inside]).astype(np.int64)
        if work.groups:
            key += work.group[a : a + stretch][inside].astype(np.int64) * (ny * nx)
        if cells < 2**28:
            out += np.bincount(key, minlength=cells)
        else:
            found, counts = np.unique(key, return_counts=True)
            out[found] += counts.astype(np.uint16)
    return out.reshape((work.groups, ny, nx) if work.groups else (ny, nx))


def case(
    label: str,
    work: peers.Work,
    names: tuple[str, ...],
    rounds: int,
    threads: int,
    extra: dict[str, Contender] | None = None,
) -> dict[str, Any]:
    """One row of results: each contender's time a point, how many times heatgrid's, and what heatgrid chose."""
    expected = truth(work)
    contenders: dict[str, Contender] = {
        FLOOR: reading([work.x, work.y, *([work.group] if work.groups else [])], threads)
    }
    contenders |= {name: partial(getattr(peers, name), work, threads) for name in ("heatgrid", *names)} | (extra or {})
    differing: dict[str, int] = {}

    def check(name: str, answer: Any) -> None:
        if name == "boost_histogram" or (work.cell != 1.0 and not name.startswith("heatgrid")):
            differing[name] = int((answer.reshape(expected.shape) != expected).sum())
            moved = abs(answer.astype(np.int64).reshape(expected.shape) - expected).sum()
            most = (EDGES_OF_INTEGERS if work.x.dtype.kind in "iu" else EDGES) * len(work.x)
            right = abs(int(answer.sum()) - int(expected.sum())) <= moved <= most
        else:
            right = peers.same(answer, expected)
        if not right:
            raise AssertionError(f"{label}: {name} counts otherwise")

    found = summary(race(contenders, check, rounds), len(work.x))
    chosen = peers.heatgrid_grid(work, threads).meta
    found |= {name: chosen[name] for name in ("variant", "cells_by", "why")}
    return found | ({"cells_that_differ": differing} if differing else {})
