"""The cell of a point, floor(fl(fl(v - origin) / step)) in float64, and the cheaper forms that provably equal it.

1. The step is a power of two: its reciprocal is exact, so the product rounds as the quotient does.
2. Whole coordinates, whole origin and step: floor(v / step) = floor((v + 1/2) / step), and that quotient stays
   1/(2 step) away from every integer, far more than the product's error while cells * step < 2^50.
3. Else the product of the reciprocal differs from the rounded quotient by at most 3 roundings (the reciprocal's, the
   product's, the quotient's), below 3 * 2^-53 * (cells + 2) inside the grid: floors differ only where the product
   lies that close to an integer, and there the kernel divides. `near` is 4/3 of that bound.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from heatgrid.cpu.jit import inline


class Axis(NamedTuple):
    """One axis of a grid as the kernels read it: all float64."""

    origin: float
    step: float
    cells: float
    reciprocal: float
    half: float
    """1/2 for form 2, else 0."""
    near: float
    """Distance to an integer within which form 3 divides; -1 where no product can be wrong; 2 to divide always."""


def make_axis(origin: float, step: float, cells: int, whole: bool = False) -> Axis:
    """The axis; `whole` says that every coordinate is an integer."""
    reciprocal = 1.0 / step
    if math.frexp(step)[0] == 0.5 and math.isfinite(reciprocal):
        return Axis(origin, step, float(cells), reciprocal, 0.0, -1.0)
    if (
        whole
        and origin == math.floor(origin)
        and step == math.floor(step)
        and abs(origin) <= 2.0**52
        and cells * step < 2.0**50
    ):
        return Axis(origin, step, float(cells), reciprocal, 0.5, -1.0)
    usable = 2.0**-1000 < step < 2.0**1000 and cells <= 2**40
    return Axis(origin, step, float(cells), reciprocal, 0.0, (cells + 2.0) * 2.0**-51 if usable else 2.0)


@inline
def quotient(v: Any, axis: Any) -> Any:
    """The cell coordinate as defined; its floor is the cell where `within` holds."""
    return (v - axis.origin) / axis.step


@inline
def quotient_by_product(v: Any, axis: Any) -> Any:
    """Forms 1 to 3; for form 3 its floor is the cell only where it is not `near` an integer."""
    return ((v - axis.origin) + axis.half) * axis.reciprocal


@inline
def within(q: Any, cells: Any) -> Any:
    """Tested on the float, before any cast: 1e300 and -0.5 have no cell, -0.0 has cell 0."""
    return (q >= 0.0) & (q < cells)
