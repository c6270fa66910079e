"""Clicks in the cells that PostHog keeps: fixed or not, x as a share of the window in hundredths, y in sixteens.

Its rows hold x, y and the window's width divided by 16 and rounded half to even; so is the share.
Few rows are clicks, so this is done on arrays of them; no leaf of its own.
"""

from __future__ import annotations

import numpy as np

from heatgrid.engine.block import Array, Block
from heatgrid.engine.pairs import Pairs
from heatgrid.states.state import Table
from heatgrid.words.ledger import Points

SIXTEEN = 16.0
MOST_X, MOST_Y = 1 << 14, 1 << 15
"""Shares and rows beyond these are outside, and so is what is left of the page or above it."""


class PosthogCells:
    """One grouping: ``extra`` are the block columns (segment, period) that split it."""

    def __init__(self, extra: tuple[str, ...]) -> None:
        self.extra = extra
        self.pairs = [Pairs() for _ in extra]
        self._cells = Pairs()
        self._counts = np.zeros(64, np.int64)
        self.points = Points()

    def fold(self, block: Block, order: Array, ready: int, click_kind: int) -> None:
        c = block.columns
        rows = order[:ready]
        rows = rows[(c["kind"][rows] == click_kind) & (c["slot"][rows] >= 0)]
        self.points.rows += len(rows)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            x, y, width = (np.rint(c[name][rows] / SIXTEEN) for name in ("x", "y", "width"))
            share = np.rint(x / width * 100.0)
            known = np.isfinite(x) & np.isfinite(y) & (width > 0) & np.isfinite(width)
            inside = known & (share >= 0) & (share < MOST_X) & (y >= 0) & (y < MOST_Y)
        self.points.invalid += int(len(rows) - known.sum())
        self.points.outside += int(known.sum() - inside.sum())
        self.points.used += int(inside.sum())
        rows, share, y = rows[inside], share[inside].astype(np.int32), y[inside].astype(np.int32)
        base = c["page"][rows] if len(c["page"]) else np.zeros(len(rows), np.int32)
        for pairs, name in zip(self.pairs, self.extra, strict=True):
            out = np.empty(len(rows), np.int32)
            pairs.encode(base, c[name][rows], out)
            base = out
        fixed = c["fixed"][rows].astype(np.int32) if len(c["fixed"]) else np.zeros(len(rows), np.int32)
        cell = np.empty(len(rows), np.int32)
        self._cells.encode(base, (fixed << 30) | (share << 15) | y, cell)
        if len(self._cells) > len(self._counts):
            more = np.zeros(max(len(self._cells), 2 * len(self._counts)), np.int64)
            more[: len(self._counts)] = self._counts
            self._counts = more
        np.add.at(self._counts, cell, c["weight"][rows] if len(c["weight"]) else 1)

    def table(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> Table:
        """Keys: page, segments and period, fixed, share in hundredths, y in sixteens."""
        codes, cell = self._cells.parts()
        columns: list[Array] = [(cell >> 30)[:, None], ((cell >> 15) % MOST_Y)[:, None], (cell % MOST_Y)[:, None]]
        for pairs, name in zip(reversed(self.pairs), reversed(self.extra), strict=True):
            before, code = pairs.parts()
            code, codes = code[codes], before[codes]
            columns.insert(0, decode[name][code] if name in decode else code[:, None])
        return Table(
            dims=("page", *(d for name in self.extra for d in dims[name])),
            fields=("clicks",),
            keys=np.concatenate([codes[:, None], *columns], axis=1).astype(np.int64),
            values=self._counts[: len(cell), None].copy(),
            histogram=np.zeros((0, 3), np.int64),
        )
