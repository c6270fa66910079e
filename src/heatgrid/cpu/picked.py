"""The first and the last click of each view: kept until the view ends, when its width is known as well as it will be.

A click is one row of int64 (fields below), by the number of its view (of its run, where views have no ids).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import fused, tight

THERE, SLOT, RUN, PAGE, SEGMENT, PERIOD, BUCKET, FIXED, WIDTH, X, Y = range(11)
FIELDS = 12
"""x and y are the bits of their floats; there of 0: there is none. A row is 96 bytes."""
FIRST, LAST = range(2)
NEW_VIEW, WIDTH_FOUND = 1, 4
UNKNOWN = 4


@fused
def _emit(kept: Any, v: Any, out: Any, n: Any, which: Any) -> None:
    """The view has ended: pass on what it kept."""
    if kept[v, THERE]:
        o = np.uint64(n[which])
        for f in range(FIELDS):
            out[o, f] = kept[v, f]
        if out[o, BUCKET] < 0:
            out[o, BUCKET] = UNKNOWN
        n[which] += 1
        kept[v, THERE] = 0


@tight
def fold(
    order: Any, start: Any, ready: Any, slot: Any, run: Any, view: Any, flags: Any, kind: Any, click: Any, page: Any,
    segment: Any, period: Any, bucket: Any, fixed: Any, width: Any, x: Any, y: Any, first: Any,
    last: Any, out_first: Any, out_last: Any, n: Any,
) -> Any:  # fmt: skip
    """Rows order[start:ready]; columns of length 0 are absent. What ended views kept goes to out_first and out_last,
    n[FIRST], n[LAST] of them. Returns the position where these are full, or ready."""
    for k in range(np.uint64(start), np.uint64(ready)):
        i = np.uint64(order[k])
        if slot[i] < 0:
            continue
        clicked = kind[i] == click
        if not (clicked or flags[i] & (NEW_VIEW | WIDTH_FOUND)):
            continue
        v = np.uint64(view[i]) if view.shape[0] else np.uint64(run[i])
        if flags[i] & NEW_VIEW:
            if max(n[FIRST], n[LAST]) >= out_first.shape[0]:
                return np.int64(k)
            _emit(first, v, out_first, n, FIRST)
            _emit(last, v, out_last, n, LAST)
        elif flags[i] & WIDTH_FOUND:
            if first[v, BUCKET] < 0:
                first[v, BUCKET] = bucket[i]
            if last[v, BUCKET] < 0:
                last[v, BUCKET] = bucket[i]
        if clicked:
            last[v, THERE] = 1
            last[v, SLOT] = slot[i]
            last[v, RUN] = run[i]
            last[v, PAGE] = page[i] if page.shape[0] else 0
            last[v, SEGMENT] = segment[i] if segment.shape[0] else 0
            last[v, PERIOD] = period[i] if period.shape[0] else 0
            last[v, BUCKET] = bucket[i] if bucket.shape[0] else UNKNOWN
            last[v, FIXED] = fixed[i] if fixed.shape[0] else 0
            last[v, WIDTH] = 0
            if width.shape[0] and 0.0 < width[i] < 100_000.0:
                last[v, WIDTH] = np.int64(width[i])
            last[v, X] = x[i]
            last[v, Y] = y[i]
            if first[v, THERE] == 0:
                for f in range(FIELDS):
                    first[v, f] = last[v, f]
    return np.int64(ready)


@tight
def close(views: Any, start: Any, first: Any, last: Any, out_first: Any, out_last: Any, n: Any) -> Any:
    """End the views of closing sessions; returns as `fold`."""
    for k in range(np.uint64(start), np.uint64(views.shape[0])):
        if max(n[FIRST], n[LAST]) >= out_first.shape[0]:
            return np.int64(k)
        v = np.uint64(views[k])
        _emit(first, v, out_first, n, FIRST)
        _emit(last, v, out_last, n, LAST)
    return np.int64(views.shape[0])
