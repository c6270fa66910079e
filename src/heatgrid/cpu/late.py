"""Late rows: the order in which a block is read, when some rows stand a little behind their time.

No sort: the rows that keep time are a list already, the late ones are few and inserted into a second list, and
the two are merged, so a block costs O(rows + late^2 / 4) moves of 4 bytes with late <= rows / 16.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import tight


@tight
def late_order(time: Any, lateness: Any, last: bool, late: Any, kept: Any, order: Any) -> Any:
    """Fill order with the rows of time by (time, row); late, kept: int32 scratch of the same length.

    A row more than `lateness` behind the rows before it starts a new stretch: nothing is moved over it (if that
    breaks the order of a session, the scan finds it). Returns (ready, number late): order[ready:] are the rows
    less than `lateness` behind the newest, to be read with the next block; all are ready if `last`.
    ready = -1: too many late rows for a small buffer.
    """
    n = time.shape[0]
    done = np.int64(0)
    n_kept = np.int64(0)
    n_late = np.int64(0)
    all_late = np.int64(0)
    newest = np.int64(-(2**63))
    for i in range(n):
        t = time[i]
        if t >= newest:
            kept[np.uint64(n_kept)] = i
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
                return np.int64(-1), all_late
        else:
            done = _merge(time, kept[:n_kept], late[:n_late], order, done)
            kept[0] = i
            n_kept = np.int64(1)
            n_late = np.int64(0)
            newest = t
    start = done
    done = _merge(time, kept[:n_kept], late[:n_late], order, done)
    ready = done
    if not last:
        while ready > start and time[order[ready - 1]] > newest - lateness:
            ready -= 1
    return ready, all_late


@tight
def _merge(time: Any, kept: Any, late: Any, order: Any, done: Any) -> Any:
    """Both lists are in order of (time, row); equal times keep the order of rows. Returns the end of the list.

    The late ones are few: the place of each is found by halving, and what stands between two is copied as it is.
    """
    a = np.int64(0)
    for b in range(late.shape[0]):
        row = late[b]
        t = time[row]
        low = a
        high = np.int64(kept.shape[0])
        while low < high:
            middle = (low + high) >> 1
            other = kept[middle]
            if time[other] < t or (time[other] == t and other < row):
                low = middle + 1
            else:
                high = middle
        _copy(kept[a:low], order[done:])
        done += low - a
        order[done] = row
        done += 1
        a = low
    _copy(kept[a:], order[done:])
    return done + kept.shape[0] - a


@tight
def _copy(rows: Any, out: Any) -> None:
    for i in range(rows.shape[0]):
        out[i] = rows[i]


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
