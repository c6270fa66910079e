"""Clicks of sessions that have a link: of each area of cells the sessions of the smallest ranks, whatever the order."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import tight
from heatgrid.cpu.tiles import BUCKETS, CELL_BITS, UNKNOWN, tile_of

REFUSED, BEYOND, FIRST = range(3)
"""Codes below that of the first session: no address of the web, a session whose rank is too large. -1: no value."""
ROWS, USED, OUTSIDE, INVALID = range(4)


@tight
def fold(
    order: Any, start: Any, ready: Any, slot: Any, kind: Any, click: Any, code: Any, page: Any, fixed: Any,
    bucket: Any, has_views: Any, x: Any, y: Any, x0: Any, y0: Any, cw: Any, ch: Any, nx: Any, ny: Any, side: Any,
    ranks: Any, seen: Any, ledger: Any, table: Any, keys: Any, used: Any, best: Any, who: Any,
) -> Any:  # fmt: skip
    """Rows order[start:ready]; columns of length 0 are absent. side : cells on a side of an area; ranks, seen by code.

    An area is a row of best (its smallest ranks, the smallest first) and of who (their codes, -1: free); its key is
    (page * 2 + fixed) * BUCKETS + bucket, then its number. A click whose view has told no width yet is in none.
    Seen is a session by any click with a link, also a duplicate or one without a point, as the codes are made of all.
    Returns the position where there is no room for another area, or ready.
    """
    most = np.uint64(best.shape[1])
    across = (np.int64(nx) + side - 1) // side
    for k in range(np.uint64(start), np.uint64(ready)):
        i = np.uint64(order[k])
        if code[i] >= FIRST:
            seen[np.uint64(code[i])] = 1
        if slot[i] < 0 or kind[i] != click or code[i] < 0:
            continue
        became = INVALID
        cx = 0.0
        cy = 0.0
        if code[i] != REFUSED and abs(x[i]) < np.inf and abs(y[i]) < np.inf:
            cx = np.floor((x[i] - x0) / cw)
            cy = np.floor((y[i] - y0) / ch)
            became = USED if 0.0 <= cx < nx and 0.0 <= cy < ny else OUTSIDE
        if became == USED and code[i] >= FIRST:
            c = np.uint64(code[i])
            b = np.int64(bucket[i]) if bucket.shape[0] else np.int64(UNKNOWN)
            if b < 0 and not has_views:
                b = np.int64(UNKNOWN)
            if b >= 0:
                m = np.int64(page[i]) * 2 if page.shape[0] else np.int64(0)
                m += 1 if fixed.shape[0] and fixed[i] else 0
                area = (np.int64(cy) // side) * across + np.int64(cx) // side
                row = tile_of(table, keys, used, ((m * BUCKETS + b) << CELL_BITS) | area)
                if row < 0:
                    return np.int64(k)
                r = np.uint64(row)
                rank = ranks[c]
                at = np.uint64(0)
                while at < most and who[r, at] >= 0 and best[r, at] < rank:
                    at += np.uint64(1)
                if at < most and not (who[r, at] >= 0 and best[r, at] == rank):
                    for j in range(most - np.uint64(1), at, -1):
                        best[r, np.uint64(j)] = best[r, np.uint64(j - 1)]
                        who[r, np.uint64(j)] = who[r, np.uint64(j - 1)]
                    best[r, at] = rank
                    who[r, at] = code[i]
        ledger[ROWS] += 1
        ledger[became] += 1
    return np.int64(ready)
