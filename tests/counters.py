"""Logs of scroll at every edge, and the counters that they fill, for the emulator and for a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu import scroll


def odd_views(n: int, rng: Any) -> np.ndarray:
    """Ended views and stays at all edges of bands, octaves and sixteenths."""
    px = np.array(
        [0, 0.5, 7.999999999999999, 8, 63, 64, 127, 127.5, 128, 160, 161.25, 255, 256, 3000.75, 262_143.5, 262_144]
    )
    log = rng.choice(px, (n, scroll.LOG_FIELDS))
    log[:, 3] = rng.choice([0, 40, 1000, 70_000, 262_144], n)
    log[:, 4] = rng.choice([*px, 1e300], n)
    log[:, 5:7] = rng.choice([8, 24, 96.5, 160, 99_999], (n, 2))
    log[:, 7] = rng.choice([-1, 0, 3, 15, 32_000], n)
    key = rng.integers(0, 9, n)
    log[:, 0] = 2 * key + 1
    stays = rng.random(n) < 0.4
    log[stays, 0] -= 1
    log[stays, 1] = rng.integers(0, 50, stays.sum())
    log[stays, 2] = log[stays, 1] + rng.integers(1, 50, stays.sum())
    log[stays, 3] = rng.integers(1, 2**50, stays.sum())
    return log


def counters() -> tuple[Any, ...]:
    table, keys = np.full(1 << 15, -1, np.int32), np.zeros(1 << 13, np.int64)
    near = np.zeros((9, scroll.NEAR), np.int32)
    return table, keys, np.zeros(1, np.int64), np.zeros((len(keys), scroll.TILE), np.int64), near


def named(of: tuple[Any, ...]) -> dict[tuple[int, int], int]:
    _, keys, used, counts, _ = of
    rows, at = np.nonzero(counts[: used[0]])
    return {(int(keys[r]), int(a)): int(counts[r, a]) for r, a in zip(rows, at, strict=True)}
