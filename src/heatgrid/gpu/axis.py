"""One axis of a grid as the kernels read it (struct Axis of kernels/include/cell.cuh), and why its bounds hold.

With u = 2^-53 (2^-24 in float32) the product of a rounded difference and a rounded reciprocal is off by at most
3 u (cells + 2) inside the grid and one cell around it; in float32 the rounded origin adds |x0 - float32(x0)| / step.
The quotient as defined is off by 2^-52 (cells + 2). Where the product lies further than `near`, 4/3 of the sum, from
every integer, both have the same floor; elsewhere the kernel divides in float64. Where the sum passes 1/4 of a cell the
product is never asked.

Three cases need no bound. A step that is a power of two has an exact reciprocal (in float32 with the origin at 0, so
that the difference is exact too). Float32 coordinates on whole steps from 0: floor(v / step) = floor((floor(v) + 1/2)
/ step), which stays 1 / (2 step) away from every integer; pixels in cells of 10 would otherwise lie on an edge in every
tenth point.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

AXIS = np.dtype(
    [
        ("origin", "f8"), ("step", "f8"), ("reciprocal", "f8"), ("near", "f8"), ("f_origin", "f4"),
        ("f_reciprocal", "f4"), ("f_near", "f4"), ("whole", "i4"), ("cells", "i8"),
    ],
    align=True,
)  # fmt: skip
EXACT, NEVER = -1.0, 2.0
LARGEST = 2.0**100
"""Steps and origins beyond it, or below its inverse, could leave the range of float32 on the way."""


def make_axis(origin: float, step: float, cells: int) -> Any:
    """The structure as a NumPy scalar."""
    axis = np.zeros((), AXIS)
    reciprocal = 1.0 / step
    power = math.frexp(step)[0] == 0.5 and math.isfinite(reciprocal)
    axis["origin"], axis["step"], axis["reciprocal"], axis["cells"] = origin, step, reciprocal, cells
    axis["near"] = EXACT if power else _near(0.0, cells, 2.0**-53, 2.0**-1000 < step < 2.0**1000)
    fits = 1 / LARGEST < step < LARGEST and abs(origin) < LARGEST and cells * step < LARGEST
    with np.errstate(over="ignore", under="ignore"):
        axis["f_origin"], axis["f_reciprocal"] = origin, reciprocal
    if fits and origin == 0 and power and cells <= 2**22:
        axis["f_near"] = EXACT
    elif fits and origin == 0 and step == math.floor(step) and cells * step <= 2**21:
        axis["f_near"], axis["whole"] = EXACT, 1
    else:
        shift = abs(origin - float(axis["f_origin"])) / step if fits else 0.0
        axis["f_near"] = _near(shift, cells, 2.0**-24, fits)
    return axis[()]


def _near(shift: float, cells: int, unit: float, usable: bool) -> float:
    wrong = 1.01 * shift + (cells + 2.0) * (3.02 * unit + 2.0**-51)
    return wrong * 4 / 3 if usable and wrong < 0.25 else NEVER
