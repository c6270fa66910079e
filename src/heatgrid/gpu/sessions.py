"""Launches of kernels/sessions.cu."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from heatgrid.gpu.device import THREADS, Limits, blocks_for
from heatgrid.gpu.launch import Launch

DIGITS = 256
BITS = 8
TILE = 2048
"""Rows that a block of sort_move puts in order at once."""
SORT_THREADS = 256
SCAN_THREADS = 1024
VISIT_THREADS = 512
BLOCKS_EACH = 4
WORDS_A_FEATURE = 5
MOST_ROWS = 2**32 - 1
SOURCE = "sessions.cu"


@dataclass(frozen=True)
class Cut:
    """How the passes of one sort divide n rows: `blocks` of `span` rows, the last one shorter."""

    n: int
    span: int
    blocks: int


@dataclass(frozen=True)
class Rows:
    """Device arrays in the order of (session, time, row): uint32, int64, uint32; ms = time * mul / div."""

    session: Any
    time: Any
    feature: Any
    mul: int
    div: int
    idle: int


@dataclass(frozen=True)
class Sums:
    """int64 by feature, and one uint64."""

    dwell: Any
    visits: Any
    events: Any
    sessions: Any
    disorder: Any


def cut(n: int, limits: Limits) -> Cut:
    """Whole tiles for every block, as evenly as they go; not more blocks than stay resident."""
    tiles = max(-(-n // TILE), 1)
    each = -(-tiles // (limits.multiprocessors * BLOCKS_EACH))
    return Cut(n, each * TILE, -(-tiles // each))


def span(values: Any, out: Any, limits: Limits) -> Launch:
    """out = {least, largest} of int32 or int64 values; begins as the type's largest and least."""
    n = int(values.shape[0])
    kind = "i32" if values.dtype == np.int32 else "i64"
    return Launch(SOURCE, f"span_{kind}", blocks_for(n, THREADS, limits), THREADS, (values, np.uint64(n), out))


def codes(values: Any, origin: int, out: Any, limits: Limits) -> Launch:
    """uint32 codes = values - origin; all bits set below the origin."""
    n = int(values.shape[0])
    kind = "i32" if values.dtype == np.int32 else "i64"
    args = (values, np.uint64(n), np.int64(origin), out)
    return Launch(SOURCE, f"codes_{kind}", blocks_for(n, THREADS, limits), THREADS, args)


def time_keys(time: Any, rows: Any, origin: int, shift: int, out: Any, limits: Limits) -> Launch:
    """32 bits of time - origin, from bit `shift` on, in the order of `rows` (None: as they are)."""
    n = int(time.shape[0])
    args = (time, rows, np.uint64(n), np.int64(origin), np.uint32(shift), out)
    return Launch(SOURCE, "time_keys", blocks_for(n, THREADS, limits), THREADS, args)


def gather(values: Any, rows: Any, out: Any, limits: Limits) -> Launch:
    """out[p] = values[rows[p]], of uint32 or int64."""
    n = int(rows.shape[0])
    kind = "u32" if values.dtype.itemsize == 4 else "i64"
    return Launch(SOURCE, f"gather_{kind}", blocks_for(n, THREADS, limits), THREADS, (values, rows, np.uint64(n), out))


def count(keys: Any, plan: Cut, shift: int, histogram: Any) -> Launch:
    """A pass's first step: rows of each digit in each block."""
    args = (keys, np.uint64(plan.n), np.uint64(plan.span), np.uint32(shift), histogram)
    return Launch(SOURCE, "sort_count", plan.blocks, SORT_THREADS, args)


def scan(histogram: Any) -> Launch:
    """Its second: where each digit of each block begins."""
    return Launch(SOURCE, "sort_scan", 1, SCAN_THREADS, (histogram, np.uint64(histogram.shape[0])))


def move(keys: Any, rows: Any, plan: Cut, shift: int, histogram: Any, keys_out: Any, rows_out: Any) -> Launch:
    """Its third: rows to their places. rows: None for 0, 1, 2, ..."""
    args = (
        keys, rows, np.uint64(plan.n), np.uint64(plan.span), np.uint32(shift), histogram, keys_out, rows_out,
    )  # fmt: skip
    return Launch(SOURCE, "sort_move", plan.blocks, SORT_THREADS, args)


def visits(
    rows: Rows, first: int, sessions: int, seen: Any, features: int, sums: Sums, limits: Limits, shared: bool
) -> Launch:
    """Everything in the window [0, sessions) of sessions; in later ones, from `first` on, distinct sessions only.

    seen: uint32, a bit for each (session of the window, feature), all 0.
    """
    n = int(rows.session.shape[0])
    ends = (sums.dwell, sums.visits, sums.events, sums.sessions, sums.disorder)
    args = (
        rows.session, rows.time, rows.feature, np.uint64(n), np.int64(rows.mul), np.int64(rows.div),
        np.int64(rows.idle), np.uint32(first), np.uint32(sessions), np.uint32(-(-features // 32)), seen,
    )  # fmt: skip
    blocks = blocks_for(n, VISIT_THREADS, limits)
    if not shared:
        return Launch(SOURCE, "visits_global", blocks, VISIT_THREADS, (*args, *ends))
    size = 4 * WORDS_A_FEATURE * features
    return Launch(SOURCE, "visits_shared", blocks, VISIT_THREADS, (*args, np.uint32(features), *ends), size)
