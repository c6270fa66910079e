"""The small buffer for late rows: which rows of a block can be read now, in which order, and which must wait."""

from __future__ import annotations

from collections import deque

import numpy as np

from heatgrid.cpu import late
from heatgrid.engine.block import Array, Block
from heatgrid.engine.crew import BEHIND
from heatgrid.engine.sessions import Disorder

RESOLVED = ("run", "view_row", "dwell", "flags")
"""Columns that the scan writes: a row held back has none of them yet."""


class LateBuffer:
    """lateness : ticks; 0: rows are read as they come (their order is checked by the scan all the same)."""

    of_process = ("_same", "_scratch", "_orders")
    """Room for one block, of which nothing is asked in the next (engine/frozen.py)."""

    def __init__(self, lateness: int) -> None:
        self.lateness = lateness
        self.held: dict[str, Array] = {}
        self.late_rows = 0
        self._same = np.arange(1 << 17, dtype=np.int32)
        self._scratch = np.empty((2, 0), np.int32)
        # measures may still read the order of the block before
        self._orders = deque(np.empty(0, np.int32) for _ in range(BEHIND + 1))

    @property
    def rows(self) -> int:
        return len(self.held["slot"]) if self.held else 0

    @property
    def held_slots(self) -> Array:
        return self.held["slot"] if self.held else np.empty(0, np.int32)

    def fill(self, block: Block) -> None:
        """Put the rows held back in front of the block's own."""
        if block.lead:
            for name, rows in self.held.items():
                block.columns[name][: block.lead] = rows

    def order(self, block: Block, *, last: bool) -> tuple[Array, int]:
        """(order, ready): rows order[:ready] can be read now."""
        n = block.rows
        if self.lateness == 0:
            if len(self._same) < n:
                self._same = np.arange(2 * n, dtype=np.int32)
            return self._same[:n], n
        order = self._orders.popleft()
        if len(order) < n:
            order = np.empty(n * 5 // 4, np.int32)
        self._orders.append(order)
        order = order[:n]
        if self._scratch.shape[1] < n:
            self._scratch = np.empty((2, 2 * n), np.int32)
        behind, kept = self._scratch[:, :n]
        ready, late_rows = late.late_order(block["time"], self.lateness, last, behind, kept, order)
        if ready < 0:
            raise Disorder("too many rows are late for a small buffer", for_good=True)
        self.late_rows += int(late_rows)
        return order, int(ready)

    def hold(self, block: Block, order: Array, ready: int) -> None:
        """Keep the rows order[ready:] for the next block."""
        waiting = order[ready : block.rows]
        if len(waiting):
            columns = ((name, column) for name, column in block.columns.items() if name not in RESOLVED)
            self.held = {name: column.take(waiting) for name, column in columns if len(column)}
        else:
            self.held = {}
