"""Where the pointer was while time passed: each step of a run, laid on the point of the row that it begins with.

What a run keeps of its latest row is one row of int64 (fields below), where that row is the pointer's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import fused, tight

SLOT, VIEW, PAGE, SEGMENT, PERIOD, BUCKET, FIXED, WIDTH, X, Y, MS, KIND, FLAGS, THERE = range(14)
FIELDS = 14
"""x and y are the bits of their floats; view is the run where views have no ids; 112 bytes."""
STEP, ONLY_FLAGS = range(2)
"""Kinds of what goes out: time at a point, or a row that tells (or ends) the width of a view for which some waits."""
NEW_VIEW, TELLS = 1, 12
UNKNOWN = 4


@fused
def _pass_on(kept: Any, r: Any, ms: Any, known: Any, out: Any, n: Any) -> None:
    """The time until the run's next row, in the width that the view of this one has told by now."""
    o = np.uint64(n[0])
    for f in range(FIELDS):
        out[o, f] = kept[r, f]
    if out[o, BUCKET] < 0:
        out[o, BUCKET] = known[np.uint64(out[o, VIEW])]
    out[o, MS] = ms
    out[o, KIND] = STEP
    out[o, FLAGS] = 0
    n[0] += 1


@tight
def fold(
    order: Any, start: Any, ready: Any, slot: Any, run: Any, view: Any, flags: Any, kind: Any, is_pointer: Any,
    pointer: Any, touch: Any, page: Any, segment: Any, period: Any, bucket: Any, fixed: Any, width: Any, dwell: Any,
    x: Any, y: Any, kept: Any, known: Any, out: Any, n: Any,
) -> Any:  # fmt: skip
    """Rows order[start:ready]; columns of length 0 are absent. is_pointer by kind; kept by run; known (the bucket) by
    view. Steps that are over, and rows that tell a width, go to out, n[0] of them, in order. Returns the position where
    out is full, or ready."""
    for k in range(np.uint64(start), np.uint64(ready)):
        i = np.uint64(order[k])
        if slot[i] < 0:
            continue
        if n[0] + 2 > out.shape[0]:
            return np.int64(k)
        r = np.uint64(run[i])
        v = np.uint64(view[i]) if view.shape[0] else r
        if kept[r, THERE] and dwell[i] > 0:
            _pass_on(kept, r, dwell[i], known, out, n)
        b = np.int64(bucket[i]) if bucket.shape[0] else np.int64(UNKNOWN)
        if flags[i] & NEW_VIEW or b >= 0:
            known[v] = b
        if flags[i] & TELLS:
            o = np.uint64(n[0])
            for f in range(FIELDS):
                out[o, f] = 0
            out[o, SLOT] = slot[i]
            out[o, VIEW] = np.int64(v)
            out[o, BUCKET] = b
            out[o, KIND] = ONLY_FLAGS
            out[o, FLAGS] = flags[i]
            n[0] += 1
        kept[r, THERE] = is_pointer[np.uint64(kind[i])] and not (pointer.shape[0] and pointer[i] == touch)
        if kept[r, THERE]:
            kept[r, SLOT] = slot[i]
            kept[r, VIEW] = np.int64(v)
            kept[r, PAGE] = page[i] if page.shape[0] else 0
            kept[r, SEGMENT] = segment[i] if segment.shape[0] else 0
            kept[r, PERIOD] = period[i] if period.shape[0] else 0
            kept[r, BUCKET] = b
            kept[r, FIXED] = fixed[i] if fixed.shape[0] else 0
            kept[r, WIDTH] = 0
            if width.shape[0] and 0.0 < width[i] < 100_000.0:
                kept[r, WIDTH] = np.int64(width[i])
            kept[r, X] = x[i]
            kept[r, Y] = y[i]
    return np.int64(ready)
