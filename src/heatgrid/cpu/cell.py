"""The cell of a point, floor(fl(fl(v - origin) / step)) in float64, and the cheaper forms that provably equal it.

In float64:
1. The step is a power of two: its reciprocal is exact, so the product rounds as the quotient does.
2. Whole coordinates, whole origin and step: floor(v / step) = floor((v + 1/2) / step), and that quotient stays
   1/(2 step) away from every integer, far more than the product's error while cells * step < 2^50.
3. Else the product of the reciprocal differs from the rounded quotient by at most 3 roundings (the reciprocal's, the
   product's, the quotient's), below 3 * 2^-53 * (cells + 2) inside the grid: floors differ only where the product
   lies that close to an integer, and there the kernel divides. `near` is 4/3 of that bound.

In float32, twice as many points an instruction, for coordinates that float32 holds exactly (`single`):
1. A power of two from the origin 0: the product is exact. A negative one may underflow to -0.0, which has no cell.
2. As above while |origin| + cells * step < 2^21: v + 1/2 - origin is exact inside the grid, the product's error is
   below cells * 2^-23. Integers that float32 rounds lie outside before and after, since rounding keeps the order.
3. As above with 3 * 2^-24 * (cells + 2), where the origin is a float32. Taken up to 4,096 cells: beyond, every other
   run of points holds one that lies too near an integer.

A quotient is compared as the integer of its bits: one comparison rejects what is negative, too large, infinite or NaN.
-0.0 has cell 0 and must not come up: v + 0.0 turns it into 0.0, and so does adding 0.0 to what may underflow.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from heatgrid.cpu.intrinsics import bits_of
from heatgrid.cpu.jit import tight

NEVER = -1.0
"""`near` where no product can be wrong."""
ALWAYS = 2.0
"""`near` where every product may be: divide, or do not take this form."""
MOST_SINGLE = 4096


class Single(NamedTuple):
    """One axis in float32."""

    start: np.float32
    reciprocal: np.float32
    near: np.float32
    limit: np.uint32
    """The bits of the number of cells."""


class Axis(NamedTuple):
    """One axis of a grid as the kernels read it."""

    start: float
    """What is added to a coordinate: -origin, or 1/2 - origin in form 2."""
    origin: float
    step: float
    reciprocal: float
    near: float
    """Distance to an integer within which form 3 divides."""
    limit: np.uint64
    n: np.uint32
    single: Single
    whole: bool
    """Whether `single` is form 2, which every integer type can take."""

    @property
    def cells(self) -> int:
        return int(self.n)


def make_axis(origin: float, step: float, cells: int, whole: bool = False) -> Axis:
    """The axis; `whole` says that every coordinate is an integer."""
    reciprocal = 1.0 / step
    power = math.frexp(step)[0] == 0.5 and math.isfinite(reciprocal)
    whole = whole and origin == math.floor(origin) and step == math.floor(step)
    half = 0.0
    if power:
        near = NEVER
    elif whole and abs(origin) <= 2.0**51 and cells * step < 2.0**50:
        half, near = 0.5, NEVER
    else:
        usable = 2.0**-1000 < step < 2.0**1000 and cells <= 2**40
        near = (cells + 2.0) * 2.0**-51 if usable else ALWAYS
    whole = whole and abs(origin) + cells * step < 2.0**21
    return Axis(
        half - origin, float(origin), float(step), reciprocal, near, np.float64(cells).view(np.uint64),
        np.uint32(cells), _single(origin, step, cells, whole, power), whole,
    )  # fmt: skip


def _single(origin: float, step: float, cells: int, whole: bool, power: bool) -> Single:
    half = 0.0
    usable = 2.0**-60 < step < 2.0**60 and cells < 2**24 and abs(origin) < 2.0**60
    if whole:
        half, near = 0.5, NEVER
    elif usable and power and origin == 0.0:
        near = NEVER
    elif usable and cells <= MOST_SINGLE and float(np.float32(origin)) == origin:
        near = (cells + 2.0) * 2.0**-22
    else:
        return Single(np.float32(0), np.float32(0), np.float32(ALWAYS), np.uint32(0))
    limit = np.float32(cells).view(np.uint32)
    return Single(np.float32(half - origin), np.float32(1.0 / step), np.float32(near), limit)


@tight
def quotient(v: Any, axis: Any) -> Any:
    """The cell coordinate as defined."""
    return (v - axis.origin) / axis.step + 0.0


@tight
def product(v: Any, axis: Any) -> Any:
    """Its floor is the cell where it is not `near` an integer."""
    return (v + axis.start) * axis.reciprocal + 0.0


@tight
def single(v: Any, axis: Any) -> Any:
    """The same in float32."""
    return (np.float32(v) + axis.start) * axis.reciprocal


@tight
def is_near(q: Any, axis: Any) -> Any:
    return abs(q - np.rint(q)) < axis.near


@tight
def within(qx: Any, qy: Any, ax: Any, ay: Any) -> Any:
    """Tested on the floats, before any cast: 1e300, -0.5 and NaN have no cell."""
    return (bits_of(qx) < ax.limit) & (bits_of(qy) < ay.limit)


@tight
def cell(qx: Any, qy: Any, row: Any) -> Any:
    """In 32 bits throughout: Numba's own sums of uint32 are 64 bits wide, and then so are the vectors."""
    return np.uint32(np.uint32(np.uint32(np.int32(qy)) * row) + np.uint32(np.int32(qx)))
