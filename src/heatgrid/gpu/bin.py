"""Launches of kernels/bin.cu and columns.cu."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from heatgrid.gpu.device import THREADS, Limits, blocks_for
from heatgrid.gpu.launch import Launch

POINTS_AT_ONCE = 4
MOST_POINTS = 2**32 - 1
"""Points a launch, so that no 32-bit counter wraps."""
MOST_ROOM = 2**32 - 2
SHARED_THREADS = 1024
WARP = 32
WIDTHS = (32, 16, 8)


@dataclass(frozen=True)
class Points:
    """Device arrays of one launch: x and y of one float type; group int32, weight int64, bits uint8, or None."""

    x: Any
    y: Any
    group: Any = None
    weight: Any = None
    bits: Any = None
    bit_offset: int = 0

    @property
    def rows(self) -> int:
        return int(self.x.shape[0])

    @property
    def kind(self) -> str:
        return "f32" if self.x.dtype == np.float32 else "f64"


@dataclass(frozen=True)
class Part:
    """The cells [first, first + room) of `groups` maps of ax.cells * ay.cells cells."""

    ax: Any
    ay: Any
    groups: int
    first: int
    room: int


@dataclass(frozen=True)
class Layout:
    """Counters of a block: `width` bits each, `copies` side by side, `stride` words from one copy to the next."""

    width: int
    copies: int
    stride: int

    @property
    def bytes(self) -> int:
        return 4 * self.copies * self.stride


def layout(cells: int, limits: Limits) -> Layout | None:
    """The widest counters that fit, and as many copies as leave two blocks to a multiprocessor; None: too many cells.

    A stride that is odd puts the copies of one cell into different banks.
    """
    for width in WIDTHS:
        words = -(-cells * width // 32)
        if 4 * words <= limits.shared_block:
            break
    else:
        return None
    stride = words | 1
    room = min(limits.shared_block, limits.shared_multiprocessor // 2 - 1024)
    copies = WARP
    while copies > 1 and 4 * copies * stride > room:
        copies //= 2
    return Layout(width, copies, stride if copies > 1 else words)


def shared(points: Points, part: Part, plan: Layout, counts: Any, tally: Any, limits: Limits) -> Launch:
    """Blocks no more than stay resident, and few enough that emptying their counters is a small part of the work."""
    resident = max(1, min(limits.shared_multiprocessor // (plan.bytes + 1024), limits.threads_multiprocessor // 1024))
    useful = -(-points.rows // max(SHARED_THREADS * POINTS_AT_ONCE, 4 * part.room))
    blocks = max(1, min(limits.multiprocessors * resident, useful))
    args = (
        *_job(points, part), np.uint32(plan.width), np.uint32(plan.copies), np.uint32(plan.stride), counts, tally,
    )  # fmt: skip
    return Launch("bin.cu", f"bin_{points.kind}_shared", blocks, SHARED_THREADS, args, plan.bytes)


def direct(points: Points, part: Part, counts: Any, tally: Any, limits: Limits) -> Launch:
    """32-bit counters in device memory."""
    blocks = blocks_for(-(-points.rows // POINTS_AT_ONCE), THREADS, limits)
    return Launch("bin.cu", f"bin_{points.kind}_global", blocks, THREADS, (*_job(points, part), counts, tally))


def weighted(points: Points, part: Part, counts: Any, total: Any, tally: Any, limits: Limits) -> Launch:
    """64-bit sums in device memory."""
    blocks = blocks_for(-(-points.rows // POINTS_AT_ONCE), THREADS, limits)
    args = (*_job(points, part), points.weight, counts, total, tally)
    return Launch("bin.cu", f"bin_{points.kind}_weighted", blocks, THREADS, args)


def _job(points: Points, part: Part) -> tuple[Any, ...]:
    return (
        points.x, points.y, points.group, points.bits, np.int64(points.bit_offset), np.uint64(points.rows), part.ax,
        part.ay, np.uint64(part.groups), np.uint64(part.first), np.uint64(part.room),
    )  # fmt: skip


def and_bits(bits: Any, offset: int, n: int, out: Any, limits: Limits) -> Launch:
    """`out`, a bitmap from bit 0 on, keeps the rows whose bit is set."""
    return _by_byte("and_bits", n, limits, bits, np.int64(offset), np.uint64(n), out)


def and_bytes(mask: Any, n: int, out: Any, limits: Limits) -> Launch:
    """`out` keeps the rows whose byte is not 0."""
    return _by_byte("and_bytes", n, limits, mask, np.uint64(n), out)


def _by_byte(entry: str, n: int, limits: Limits, *args: Any) -> Launch:
    return Launch("columns.cu", entry, blocks_for(-(-n // 8), THREADS, limits), THREADS, args)


def weigh(weight: Any, scale: float | None, out: Any, limits: Limits) -> Launch:
    """int64 weights from int64, or from float64 by a scale; -1 where there is none."""
    n = int(weight.shape[0])
    blocks = blocks_for(n, THREADS, limits)
    if scale is None:
        return Launch("columns.cu", "whole_weight", blocks, THREADS, (weight, np.uint64(n), out))
    return Launch("columns.cu", "fixed_weight", blocks, THREADS, (weight, np.float64(scale), np.uint64(n), out))


def widen(counts: Any, values: Any, limits: Limits) -> Launch:
    """values += counts."""
    n = int(counts.shape[0])
    return Launch("columns.cu", "widen", blocks_for(n, THREADS, limits), THREADS, (counts, np.uint64(n), values))
