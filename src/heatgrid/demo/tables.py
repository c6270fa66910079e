"""The site and the habits of its people as quantile tables: a draw is one look-up with ten random bits."""

from __future__ import annotations

from datetime import date, timedelta
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from heatgrid.demo import site
from heatgrid.demo.walk import DAY, DRAWS

# shares of kinds once a page is open, desktop and touch: a click often opens the next page by itself
_KINDS = (
    {"pageview": 0.017, "click": 0.175, "move": 0.55, "scroll": 0.07, "resize": 0.006, "input": 0.14, "hidden": 0.014,
     "error": 0.009},
    {"pageview": 0.017, "click": 0.30, "move": 0.18, "scroll": 0.22, "resize": 0.012, "input": 0.20, "hidden": 0.03,
     "error": 0.009},
)  # fmt: skip
# seconds to the next event: (median, sigma of its logarithm) after each kind, then: reading, and away from the tab
_STEPS = ((1.8, 0.7), (1.2, 0.6), (0.45, 0.6), (0.8, 0.6), (1.0, 0.5), (0.6, 0.6), (1.0, 0.5), (1.5, 0.6), (1.0, 0.5),
          (9.0, 1.0), (40.0, 0.9))  # fmt: skip
_LEAST, _MOST = 0.2, 300.0

PLAN_OF = np.array([0, 1, 1, 2, 0, 1, 2, 0], np.int8)[np.arange(len(site.ACCOUNTS)) * 7 % 8]
COUNTRY_OF = (np.arange(len(site.ACCOUNTS)) ** 2 % 23 % len(site.COUNTRIES)).astype(np.int8)


def tables(days: int) -> npt.NDArray[np.void]:
    """All that the walk looks up, packed into one record; releases are spread over ``days``."""
    normal = _normal()
    lengths = np.exp(0.8 * normal)
    steps = np.array([np.clip(median * np.exp(sigma * normal), _LEAST, _MOST) * 1000 for median, sigma in _STEPS])
    names = site.declared_features()
    changed = [page.path for page in site.pages()].index(site.CHANGED_PAGE)
    special = [names.index(site.DEAD_BUTTON), names.index(site.UNUSED_FEATURE), changed, site.CHANGED_RELEASE]
    parts = {
        "lengths": lengths / lengths.mean(),
        "normal": normal,
        "steps": steps.astype(np.int32),
        "kinds": quantiles([[kinds.get(kind, 0.0) for kind in site.KINDS] for kinds in _KINDS]),
        "landings": quantiles([0.3 if p == 0 else page.popularity / 100 for p, page in enumerate(site.pages())]),
        "transitions": quantiles(site.transitions()),
        "targets": quantiles(site.weights()),
        "boxes": site.boxes(),
        "heights": site.heights(),
        "features_of": site.features_of(),
        "screens": np.array([site.SCREENS[device] for device in site.DEVICES], np.int16),
        "accounts": quantiles(1.0 / (3 + np.arange(len(site.ACCOUNTS)))),
        "plan_of": PLAN_OF,
        "devices": quantiles([[0.62, 0.10, 0.28], [0.74, 0.10, 0.16], [0.84, 0.08, 0.08]]),
        "released": np.array([int(share * days * DAY) for share, _ in site.RELEASES]),
        "special": np.array(special, np.int64),
    }
    packed = np.zeros(1, np.dtype([(name, part.dtype, part.shape) for name, part in parts.items()], align=True))
    for name, part in parts.items():
        packed[name] = part
    return packed


def quantiles(weights: Any) -> npt.NDArray[np.int8]:
    """(..., n) weights -> (..., DRAWS) choices, each as often as its weight says; weight 0 never."""
    share = np.cumsum(np.asarray(weights, np.float64), axis=-1)
    share /= share[..., -1:]
    at = (np.arange(DRAWS) + 0.5) / DRAWS
    chosen: npt.NDArray[np.int64] = (share[..., None, :] <= at[:, None]).sum(axis=-1)
    return chosen.astype(np.int8)


def _normal() -> npt.NDArray[np.float32]:
    of = NormalDist().inv_cdf
    return np.array([of((i + 0.5) / DRAWS) for i in range(DRAWS)], np.float32)


def rhythm(start: date, days: int) -> npt.NDArray[np.float64]:
    """Sessions begun up to each hour of the period, in any unit: (hours + 1,), from 0."""
    factors = []
    for day in range(days):
        weekend = (start + timedelta(days=day)).weekday() >= 5
        factors.append((site.WEEKEND if weekend else 1.0) * site.WEEKLY_GROWTH ** (day / 7))
    return np.concatenate([[0.0], np.cumsum(np.outer(factors, site.HOURS))])
