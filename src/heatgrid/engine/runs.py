"""Rows in the order key of the metrics: by a sort in memory, or by sorted runs in the scratch file, merged."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field

import numpy as np

from heatgrid.cpu import scatter as leaves
from heatgrid.engine.block import DTYPES, Array
from heatgrid.engine.compact import full_bytes
from heatgrid.engine.scatter import Columns
from heatgrid.engine.scratch import Scratch

_FEW = 16
"""Runs that are merged at once in any case."""
_LEAST_CUT = 16
KEYS = ("time", "seq", "rank")
"""The order of a session's rows; what is equal in all keeps the order of the input."""


def time_order(columns: Columns) -> Array:
    """The rows in order.

    By time and the row's number as one integer where both fit 63 bits, digit by digit: 11 ns a row, NumPy's sort of
    the same 54, of several keys 80 and more. The other keys are looked at only where times are equal.
    """
    time = columns["time"]
    n = len(time)
    if not n:
        return np.empty(0, np.int64)
    low, own = int(time.min()), (n - 1).bit_length()
    bits = (int(time.max()) - low).bit_length() + own
    if bits > 63:
        return np.lexsort([columns[name] for name in reversed(KEYS) if name in columns])
    order = time - low
    order <<= own
    order |= np.arange(n)
    other = np.empty_like(order)
    if leaves.sort_by_bits(order, other, own, bits, np.empty(leaves.DIGITS, np.int64)) % 2:
        order = other
    ticks = order >> own
    order &= (1 << own) - 1
    others = [columns[name] for name in reversed(KEYS[1:]) if name in columns]
    if others:
        same = ticks[1:] == ticks[:-1]
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
        rows = order[tied]
        order[tied] = rows[np.lexsort([*(key[rows] for key in others), ticks[tied]])]
    return order


@dataclass
class _Run:
    """A sorted run in the scratch file: its pieces (start, rows), and the one that is being merged."""

    pieces: list[tuple[int, int]]
    names: list[str]
    now: Columns = field(default_factory=dict)
    at: int = 0

    def next(self, scratch: Scratch) -> bool:
        """Read the next piece; False at the end."""
        if not self.pieces:
            return False
        start, rows = self.pieces.pop(0)
        sizes = [np.dtype(DTYPES[name]).itemsize * rows for name in self.names]
        raw = scratch.get(start, sum(sizes))
        parts = np.split(raw, np.cumsum(sizes)[:-1])
        self.now = {name: part.view(DTYPES[name]) for name, part in zip(self.names, parts, strict=True)}
        self.at = 0
        return True

    def last(self) -> tuple[int, ...]:
        return tuple(int(self.now[name][-1]) for name in KEYS if name in self.now)

    def upto(self, bound: tuple[int, ...], *, inclusive: bool) -> int:
        """Where the rows end that are before ``bound`` in the order."""
        low, high = self.at, len(self.now["time"])
        for name, value in zip((name for name in KEYS if name in self.now), bound, strict=True):
            column = self.now[name][low:high]
            low, high = low + int(np.searchsorted(column, value)), low + int(np.searchsorted(column, value, "right"))
        return high if inclusive else low


def in_order(pieces: Iterable[Columns], rows: int, scratch: Scratch, room: int) -> Generator[Columns]:
    """The rows of all pieces in order, some at a time, with ``room`` bytes of memory; ``rows`` in all."""
    runs: list[_Run] = []
    names: list[str] = []
    most = 0
    waiting: list[Columns] = []
    held = 0
    for piece in pieces:
        names = names or sorted(piece, key=lambda name: -np.dtype(DTYPES[name]).itemsize)
        size = len(piece["time"]) * full_bytes(piece)
        # as many at a time as give two rounds: what a merge costs grows with the square of their number
        most = most or max(_FEW, math.isqrt(rows * full_bytes(piece) * 3 // room) + 1)
        if waiting and (held + size) * 3 > room:
            runs.append(_write(waiting, names, scratch, room // most))
            held = 0
        waiting.append(piece)
        held += size
    if waiting:
        runs.append(_write(waiting, names, scratch, room // most))
    while len(runs) > most:
        runs = [_rewritten(runs[at : at + most], names, scratch) for at in range(0, len(runs), most)]
    yield from _merged(runs, scratch)


def _rewritten(runs: list[_Run], names: list[str], scratch: Scratch) -> _Run:
    """Runs that follow each other in the input as one, in cuts no larger than theirs."""
    step = max(rows for run in runs for _, rows in run.pieces)
    pieces = []
    for columns in _merged(runs, scratch):
        for at in range(0, len(columns["time"]), step):
            cut = [columns[name][at : at + step] for name in names]
            pieces.append((scratch.put(cut), len(cut[0])))
    return _Run(pieces, names)


def _write(waiting: list[Columns], names: list[str], scratch: Scratch, room: int) -> _Run:
    """Sort some pieces, which are let go of, and write them in cuts that take, merged, no more than ``room`` bytes."""
    columns = {name: np.concatenate([piece[name] for piece in waiting]) for name in names}
    waiting.clear()
    step = max(_LEAST_CUT, room // (3 * full_bytes(columns)))
    order = time_order(columns)
    cuts = [order[at : at + step] for at in range(0, len(order), step)]
    return _Run([(scratch.put([columns[name][cut] for name in names]), len(cut)) for cut in cuts], names)


def _merged(runs: list[_Run], scratch: Scratch) -> Generator[Columns]:
    """Runs are in the order of the input, so of equal rows those of an earlier run come first.

    A round takes all rows up to the least of the last rows in memory: none of any run can come before them later.
    """
    live = [run for run in runs if run.next(scratch)]
    while live:
        bound, least = min((run.last(), k) for k, run in enumerate(live))
        taken: list[Columns] = []
        for k, run in enumerate(live):
            end = run.upto(bound, inclusive=k <= least)
            taken.append({name: column[run.at : end] for name, column in run.now.items()})
            run.at = end
        columns = {name: np.concatenate([some[name] for some in taken]) for name in runs[0].names}
        order = time_order(columns)
        yield {name: column[order] for name, column in columns.items()}
        live = [run for run in live if run.at < len(run.now["time"]) or run.next(scratch)]
