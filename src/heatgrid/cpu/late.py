"""Late rows: the order in which a block is read, when some rows stand a little behind their time.

No sort: the rows that keep time are a list already, the late ones are few and inserted into a second list, and
the two are merged, so a block costs O(rows + late^2 / 4) moves of 4 bytes with late <= rows / 16.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import fused, tight


@tight
def late_order(time: Any, lateness: Any, last: bool, late: Any, kept: Any, order: Any) -> Any:
    """Fill order with the rows of time by (time, row); late, kept: int32 scratch of the same length.

    A row more than `lateness` behind the rows before it starts a new stretch: nothing is moved over it (if that
    breaks the order of a session, the scan finds it). Returns (ready, number late): order[ready:] are the rows
    less than `lateness` behind the newest, to be read with the next block; all are ready if `last`.
    ready = -1: too many late rows for a small buffer.
    """
    n = time.shape[0]
    done = 0
    n_kept = 0
    n_late = 0
    all_late = 0
    newest = np.int64(0)
    for i in range(n):
        t = time[i]
        if n_kept == 0 or t >= newest:
            kept[n_kept] = i
            n_kept += 1
            newest = t
        elif t >= newest - lateness:
            p = n_late
            while p > 0 and time[late[p - 1]] > t:
                late[p] = late[p - 1]
                p -= 1
            late[p] = i
            n_late += 1
            all_late += 1
            if all_late > 64 and all_late > n >> 4:
                return -1, all_late
        else:
            done = _merge(time, kept, n_kept, late, n_late, order, done)
            kept[0] = i
            n_kept = 1
            n_late = 0
            newest = t
    start = done
    done = _merge(time, kept, n_kept, late, n_late, order, done)
    ready = done
    if not last:
        while ready > start and time[order[ready - 1]] > newest - lateness:
            ready -= 1
    return ready, all_late


@fused
def _merge(time: Any, kept: Any, n_kept: Any, late: Any, n_late: Any, order: Any, done: Any) -> Any:
    """Both lists are in order of (time, row); equal times keep the order of rows."""
    a = 0
    b = 0
    while a < n_kept and b < n_late:
        ta = time[kept[a]]
        tb = time[late[b]]
        if ta < tb or (ta == tb and kept[a] < late[b]):
            order[done] = kept[a]
            a += 1
        else:
            order[done] = late[b]
            b += 1
        done += 1
    while a < n_kept:
        order[done] = kept[a]
        a += 1
        done += 1
    while b < n_late:
        order[done] = late[b]
        b += 1
        done += 1
    return done


@tight
def count_backward(time: Any, ok: Any) -> Any:
    """How many accepted rows stand behind the newest before them."""
    newest = np.int64(-(2**63))
    backward = 0
    for i in range(time.shape[0]):
        if ok[i]:
            if time[i] < newest:
                backward += 1
            else:
                newest = time[i]
    return backward
