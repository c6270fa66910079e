"""Cases that every backend answers alike: arguments and what the oracle says. Nothing here knows a backend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oracle import points as oracle

ODD = [0.0, -0.0, -0.5, -5e-324, 5e-324, 1e-300, -1e-45, 1e300, -1e300, 2.0**31, 2.0**63, math.nan, math.inf, -math.inf]
STEPS = ((0.0, 8.0), (0.0, 7.5), (0.0, 10.0), (0.0, 0.1), (0.1, 0.1), (-3.0, 1 / 3), (1e6 + 0.3, 1e-3), (-3.0, 49.0),
         (0.0, 2.0**-30), (0.0, 3e-200))  # fmt: skip


@dataclass
class Case:
    """Arguments of bin_points, and (values, used, outside, invalid)."""

    name: str
    x: np.ndarray
    y: np.ndarray
    shape: tuple[int, int]
    more: dict[str, Any] = field(default_factory=dict)
    axes: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 1.0), (0.0, 1.0))

    @property
    def arguments(self) -> dict[str, Any]:
        (x0, w), (y0, h) = self.axes
        ny, nx = self.shape
        return {"shape": self.shape, "extent": (x0, x0 + nx * w, y0, y0 + ny * h), "cell": (w, h), **self.more}

    @property
    def expected(self) -> tuple[np.ndarray, int, int, int]:
        def rows(name: str) -> Any:
            return None if name not in self.more else [v.item() if hasattr(v, "item") else v for v in self.more[name]]

        (x0, w), (y0, h) = self.axes
        return oracle.count(
            self.x.tolist(), self.y.tolist(), shape=self.shape, origin=(x0, y0), cell=(w, h), groups=rows("group"),
            n_groups=self.more.get("n_groups", 1), weights=rows("weight"), weight_scale=self.more.get("weight_scale"),
            valid=rows("valid"),
        )  # fmt: skip


def around_edges(origin: float, step: float, n: int, dtype: Any) -> np.ndarray:
    """Every edge as computed and as the type holds it, with its neighbours."""
    edges = origin + np.arange(-1, n + 2) * step
    with np.errstate(over="ignore", invalid="ignore"):
        exact = np.concatenate([edges, edges + step / 2, ODD]).astype(dtype)
        return np.concatenate([exact, np.nextafter(exact, dtype(-np.inf)), np.nextafter(exact, dtype(np.inf))])


def bin_cases() -> Iterator[Case]:
    rng = np.random.default_rng(11)
    for dtype in (np.float32, np.float64):
        for origin, step in STEPS:
            x = around_edges(origin, step, 13, dtype)
            y = np.resize(np.array([0.5, -1, 2.99, 1, 0]), x.shape).astype(dtype)
            yield Case(
                f"edges {step:g} from {origin:g} {dtype.__name__}", x, y, (3, 13), axes=((origin, step), (0.0, 1.0))
            )
    spread = rng.normal(50, 40, (2, 3000)).astype(np.float32)
    yield Case("spread", *spread, (90, 110))
    yield Case("few points, many cells", *spread[:, :500], (300, 200))
    hot = spread.copy()
    hot[:, ::3] = 50.5
    yield Case("hotspot", *hot, (100, 100))
    yield Case("one cell", np.full(2500, 1.5), np.full(2500, 0.5), (1, 2))
    yield Case("no point", np.zeros(0), np.zeros(0), (3, 4))
    yield Case("one point", np.array([2.5], np.float32), np.array([1.5], np.float32), (3, 4))
    whole = rng.integers(-5, 300, (2, 1500))
    for code in ("i2", "u2", "i4", "i8", "u1"):
        yield Case(f"integers {code}", *whole.astype(code), (25, 31), axes=((0.0, 10.0), (0.0, 7.0)))
    yield Case("float32 beside int32", spread[0], np.resize(whole[0], 3000).astype(np.int32), (9, 11),
               axes=((0.0, 10.0), (0.0, 10.0)))  # fmt: skip
    group = rng.integers(-2, 9, 3000)
    group[5] = 2**40
    valid = rng.random(3000) < 0.8
    yield Case("groups", *spread, (20, 20), {"group": group, "n_groups": 7}, ((0.0, 5.0), (0.0, 5.0)))
    narrow = group.clip(-1, 8).astype(np.int32)
    yield Case("groups and valid", *spread, (20, 20), {"group": narrow, "n_groups": 7, "valid": valid},
               ((0.0, 5.0), (0.0, 5.0)))  # fmt: skip
    yield Case("valid", *spread[:, 1:2998], (20, 20), {"valid": valid[1:2998]}, ((0.0, 5.0), (0.0, 5.0)))
    weight = rng.integers(-1, 2**33, 3000)
    weight[:3] = 2**53, 2**53 + 1, 0
    yield Case("weights", *spread, (20, 20), {"weight": weight}, ((0.0, 5.0), (0.0, 5.0)))
    scaled = rng.normal(3, 2, 3000)
    scaled[:6] = math.nan, math.inf, 2.0**53, 0.125, 0.375, -0.0
    yield Case("float weights, groups, valid", *spread, (20, 20),
               {"weight": scaled, "weight_scale": 4.0, "group": group, "n_groups": 7, "valid": valid},
               ((0.0, 5.0), (0.0, 5.0)))  # fmt: skip


def check(grid: Any, case: Case) -> None:
    values, used, outside, invalid = case.expected
    np.testing.assert_array_equal(np.asarray(grid.values).reshape(values.shape), values, err_msg=case.name)
    assert (grid.used, grid.outside, grid.invalid) == (used, outside, invalid), case.name


SMOOTH = [
    ((70, 90), 0.5, np.float32), ((2, 70, 90), 2.0, np.float32), ((130, 77), 8.0, np.float32),
    ((65, 100), 13.0, np.float32), ((64, 300), 32.0, np.float32), ((5, 3), 7.0, np.float32),
    ((1, 1), 3.0, np.float32), ((33, 65), (0.0, 4.0), np.float32),
    ((70, 90), 2.0, np.float64), ((90, 64), 11.0, np.float64), ((40, 40), 1.5, np.int64),
]  # fmt: skip


def smooth_cases() -> Iterator[tuple[np.ndarray, Any, str, np.ndarray]]:
    """(values, sigma, boundary, what a float64 Gaussian cut at 8 sigma gives)."""
    rng = np.random.default_rng(5)
    for shape, sigma, dtype in SMOOTH:
        values = rng.exponential(50.0, shape).astype(dtype)
        both = sigma if isinstance(sigma, tuple) else (sigma, sigma)
        for boundary in ("constant", "reflect", "nearest"):
            stack = values.reshape(-1, *shape[-2:])
            yield values, sigma, boundary, np.array([oracle.smooth(v, both, boundary) for v in stack]).reshape(shape)
