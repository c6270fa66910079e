"""Rows of points as the binning leaves take them: what they cannot read as it lies is converted a block at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from heatgrid.cpu import bin as leaves
from heatgrid.cpu import place
from heatgrid.cpu.bits import and_bits, and_mask
from heatgrid.cpu.cell import ALWAYS, NEVER, Axis

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

NATIVE = ("f4", "f8", "i2", "u2", "i4", "i8")
"""Types the leaves are compiled for; each costs some seconds, once."""
NARROW = {"i1": "i2", "u1": "u2", "f2": "f4"}
"""What these are widened to; the others become float64."""
CODES = ("u2", "i4", "i8")
SINGLE = ("f4", "i2", "u2")
"""Types whose every value is a float32."""
FORMS = ("float32 product", "float32 product, checked", "float64 product", "float64 product, checked", "quotient")
_NONE_U1 = np.empty(0, np.uint8)
_NONE_I4 = np.empty(0, np.int32)
_NONE_I8 = np.empty(0, np.int64)


class Bits(Protocol):
    """Validity of rows: one byte each where offset is -1, else a bitmap that starts at bit `offset`."""

    @property
    def values(self) -> Array: ...
    @property
    def offset(self) -> int: ...


@dataclass(frozen=True)
class Span:
    """Rows of one layout. `group` are integer codes, `weight` integers or floats."""

    x: Array
    y: Array
    group: Array | None = None
    weight: Array | None = None
    masks: tuple[Bits, ...] = ()


@dataclass(frozen=True)
class Target:
    """The grid, or the stack of one grid a group."""

    ax: Axis
    ay: Axis
    groups: int = 1
    weight_scale: float | None = None

    @property
    def cells_of_map(self) -> int:
        return self.ax.cells * self.ay.cells

    @property
    def cells(self) -> int:
        return self.groups * self.cells_of_map


class Block(NamedTuple):
    x: Array
    y: Array
    group: Array
    weight: Array
    bits: Array
    form: int


class Scratch(NamedTuple):
    """Buffers of one thread."""

    words: Array
    flags: Array
    cells: Array


Cut = tuple[Span, int, int]


def scratch(rows: int = place.RUN) -> Scratch:
    words = np.empty((rows + 7) // 8, np.uint64)
    return Scratch(words, words.view(np.uint8), np.empty(rows, np.uint32))


def cut(spans: Sequence[Span], size: int) -> list[Cut]:
    return [(s, a, min(a + size, s.x.shape[0])) for s in spans for a in range(0, s.x.shape[0], size)]


def take(todo: deque[Any]) -> Iterator[Any]:
    """Items until there are none; popleft is atomic, so threads share the queue."""
    while True:
        try:
            item = todo.popleft()
        except IndexError:
            return
        yield item


def load(span: Span, start: int, stop: int, target: Target) -> Block:
    x, y = span.x[start:stop], span.y[start:stop]
    if x.dtype != y.dtype or x.dtype.str[1:] not in NATIVE:
        kind = NARROW.get(x.dtype.str[1:], "f8") if x.dtype == y.dtype else "f8"
        x, y = x.astype(kind), y.astype(kind)
    x, y = _plain(x), _plain(y)
    group, weight = _NONE_I4, _NONE_I8
    if span.group is not None:
        group = span.group[start:stop]
        group = _plain(group if group.dtype.str[1:] in CODES else _codes(group))
    bits = bitmap(span.masks, start, stop)
    if span.weight is not None:
        weight = whole_weights(span.weight[start:stop], target.weight_scale)
        if weight.size and weight.min() < 0:
            bits = bits.copy() if bits.size else np.full((weight.size + 7) >> 3, 255, np.uint8)
            and_mask(weight >= 0, bits)
    return Block(x, y, group, weight, bits, form_of(target, x.dtype))


def form_of(target: Target, dtype: np.dtype[Any]) -> int:
    """The cheapest form of cell.py that is right for coordinates of this type."""
    ax, ay = target.ax, target.ay
    near = float(max(ax.single.near, ay.single.near))
    narrow = dtype.str[1:] in SINGLE and near < ALWAYS
    if near == NEVER and (narrow or (ax.whole and ay.whole and dtype.kind in "iu")):
        return place.SINGLE
    if narrow:
        return place.SINGLE_NEAR
    near = max(ax.near, ay.near)
    return place.DOUBLE if near == NEVER else place.DIVIDE if near == ALWAYS else place.DOUBLE_NEAR


def whole_weights(weight: Array, scale: float | None) -> Array:
    """Weights as integers, -1 where they are invalid."""
    w = _plain(
        weight if weight.dtype.str[1:] in ("f4", "f8", "i4", "i8", "u8") else weight.astype(_weight_type(weight))
    )
    out = np.empty(w.shape[0], np.int64)
    if scale is None:
        leaves.whole_weight(w, out)
    else:
        leaves.fixed_point(w, scale, out)
    return out


def _weight_type(weight: Array) -> type:
    return np.float64 if weight.dtype.kind == "f" else np.int64


def _codes(group: Array) -> Array:
    """As int64; what that cannot hold becomes negative, which is no group either."""
    return group.astype(np.int64, casting="unsafe")


def _plain(values: Array) -> Array:
    native = values.dtype.newbyteorder("=")
    return np.require(values, dtype=native, requirements=("C", "A"))


def bitmap(masks: tuple[Bits, ...], start: int, stop: int) -> Array:
    """One bitmap for the block from bit 0 on: as it lies, where there is one that starts at a byte; else an `and`."""
    if not masks:
        return _NONE_U1
    n = stop - start
    first = masks[0].offset + start
    if len(masks) == 1 and masks[0].offset >= 0 and first % 8 == 0:
        return masks[0].values[first >> 3 : (first + n + 7) >> 3]
    out = np.full((n + 7) >> 3, 255, np.uint8)
    for mask in masks:
        if mask.offset >= 0:
            and_bits(mask.values, mask.offset + start, n, out)
        else:
            and_mask(np.ascontiguousarray(mask.values[start:stop]), out)
    return out
