"""Intervals of rates: Wilson's for shares of units, and for views of units that have several the same with the number
of views that they are worth. Whole numbers go in; nothing is rounded before the last step."""

from __future__ import annotations

import math

Z = 1.959963984540054
"""Of 95 %, two-sided."""
FEW, LOW = 30, 100
"""Below so many units k/n alone; below so many a rate is marked low."""


def wilson(rate: float, n: float, z: float = Z) -> tuple[float, float]:
    """Least and most of a rate seen on n units (n > 0)."""
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # at 0 and 1 an end is the rate itself, but for rounding
    return max(0.0, min(rate, middle - half)), min(1.0, max(rate, middle + half))


def worth(units: int, c: int, v: int, c2: int, cv: int, v2: int) -> float:
    """How many views v are worth that came from so many units (>= 2), c of them hits: units differ, and the views of
    one are alike. c2, cv, v2 : the sums over units of c^2, c v and v^2.

    var = n/(n-1) (c2 - 2 r cv + r^2 v2) / v^2, with r = c/v; min(v, r (1-r) / var), or the units where var is 0.
    """
    spread = c2 * v * v - 2 * c * v * cv + c * c * v2
    if spread == 0:
        return units
    # r (1-r) / var = (c (v-c) / v^2) / (n/(n-1) spread / v^4), in whole numbers
    return min(float(v), c * (v - c) * v * v * (units - 1) / (units * spread))


def percent(share: float) -> str:
    """A share in words: never 0 % for more than none, nor 100 % for less than all, nor a digit that tells nothing."""
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    return "below 0.1 %" if share < 0.001 else "above 99.9 %" if share > 0.999 else f"{100 * share:.1f} %"


def mark(units: int) -> str | None:
    """``few`` below 30 units, ``low`` below 100."""
    return "few" if units < FEW else "low" if units < LOW else None
