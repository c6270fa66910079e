"""Launches of kernels/sums.cu and scroll.cu."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from heatgrid.gpu.device import THREADS, Limits, blocks_for
from heatgrid.gpu.launch import Launch
from heatgrid.gpu.sessions import Cut

RUN_THREADS = 256
COUNTERS = 8
"""Doubles of a row of scroll's log, and counters that it may add to."""
LAYERS = 2
SOURCE = "sums.cu"


@dataclass(frozen=True)
class Points:
    """Device arrays of points in many maps: map and who (a session from 1 on, 0: none) uint32, x and y float64, width
    uint32 or None (0: unknown)."""

    map: Any
    who: Any
    x: Any
    y: Any
    width: Any = None


def place(
    points: Points, ax: Any, ay: Any, of_layer: int, none: int, code: Any, who: Any, widest: Any, tally: Any,
    limits: Limits,
) -> Launch:  # fmt: skip
    """code (int64) and who of each point; widest uint32 by map, or None; tally uint64, {outside, invalid} a layer."""
    n = int(points.x.shape[0])
    args = (
        points.map, points.who, points.x, points.y, points.width, np.uint64(n), ax, ay, np.uint32(of_layer),
        np.int64(none), code, who, widest, tally,
    )  # fmt: skip
    return Launch(SOURCE, "place_points", blocks_for(n, THREADS, limits), THREADS, args)


def run_count(who: Any, code: Any, plan: Cut, starts: Any) -> Launch:
    """starts (uint32, one more than blocks, all 0): runs of equal (who, code) that begin in each block."""
    args = (who, code, np.uint64(plan.n), np.uint64(plan.span), starts)
    return Launch(SOURCE, "run_count", plan.blocks, RUN_THREADS, args)


def run_sums(
    who: Any, code: Any, amount: Any, plan: Cut, starts: Any, who_out: Any, code_out: Any, sums: Any
) -> Launch:
    """starts: scanned. sums (int64, all 0) by run, and what each run is of; amount: None for 1 each."""
    args = (who, code, amount, np.uint64(plan.n), np.uint64(plan.span), starts, who_out, code_out, sums)
    return Launch(SOURCE, "run_sums", plan.blocks, RUN_THREADS, args)


def scroll(log: Any, n: int, band: float, none: int, code: Any, amount: Any, limits: Limits) -> Launch:
    """log: n rows of COUNTERS float64; code and amount: COUNTERS * n."""
    args = (log, np.uint64(n), np.float64(band), np.int64(none), code, amount)
    return Launch("scroll.cu", "scroll_counts", blocks_for(n, THREADS, limits), THREADS, args)
