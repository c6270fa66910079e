"""Which sessions clicked where, of those that have a link: a sample for each area of 4 x 4 cells."""

from __future__ import annotations

import numpy as np

from heatgrid.cpu import links, tiles
from heatgrid.engine.block import Array, Block
from heatgrid.engine.links import LinkCodes
from heatgrid.states import links as kept
from heatgrid.states.state import Table
from heatgrid.words.ledger import Points
from heatgrid.words.plan import Plan

FIELDS = ("kept",)


class Links:
    """An area that was clicked takes 64 bytes and a share of a table, at most half of what its cells take in a map; it
    is of the page, the width and fixed or not, never of a segment or period.

    A click whose view has not told its width yet is left out: it cannot be said to which map it belongs.
    """

    def __init__(self, plan: Plan, codes: LinkCodes, click: int, has_views: bool) -> None:
        self.codes = codes
        self._click, self._has_views = click, has_views
        x0, _, y0, _ = plan.bounds
        nx, ny = plan.shape
        self._grid = (x0, y0, *plan.cell_size, nx, ny)
        self._ledger = np.zeros(4, np.int64)
        self._seen = np.zeros(1024, np.uint8)
        self._table = np.full(1024, -1, np.int32)
        self._keys = np.zeros(256, np.int64)
        self._used = np.zeros(1, np.int64)
        self._best = np.zeros((256, kept.KEPT), np.int64)
        self._who = np.full((256, kept.KEPT), -1, np.int32)

    def fold(self, block: Block, order: Array, ready: int) -> None:
        c = block.columns
        ranks = self.codes.ranks
        if len(ranks) > len(self._seen):
            self._seen = np.concatenate([self._seen, np.zeros(len(ranks), np.uint8)])
        at = 0
        while True:
            at = links.fold(
                order, at, ready, c["slot"], c["kind"], self._click, c["replay"], c["page"], c["fixed"], c["bucket"],
                self._has_views, c["x"], c["y"], *self._grid, kept.SIDE, ranks, self._seen, self._ledger, self._table,
                self._keys, self._used, self._best, self._who,
            )  # fmt: skip
            if at >= ready:
                return
            self._grow()

    def _grow(self) -> None:
        n = len(self._keys)
        self._keys = np.concatenate([self._keys, np.zeros(n, np.int64)])
        self._best = np.concatenate([self._best, np.zeros_like(self._best)])
        self._who = np.concatenate([self._who, np.full_like(self._who, -1)])
        self._table = np.full(len(self._table) * 2, -1, np.int32)
        tiles.rebuild(self._table, self._keys, int(self._used[0]))

    def points(self) -> Points:
        """Clicks with a link: those used were looked at; invalid ones have no address of the web, or no point."""
        return Points(*(int(count) for count in self._ledger))

    def tables(self) -> tuple[dict[str, Table], list[str]]:
        """The sample and the sessions that it was drawn of (states/links.py); the links of its dimension ``replay``."""
        n, codes = int(self._used[0]), self.codes
        ranks = np.sort(codes.ranks[np.flatnonzero(self._seen)])
        most = min(kept.farthest(ranks), codes.limit)
        ranks = ranks[ranks <= most]
        row, nth = np.nonzero((self._who[:n] >= 0) & (self._best[:n] <= most))
        urls = [codes.urls[code] for code in self._who[row, nth].tolist()]
        names = sorted({*urls})
        place = {url: i for i, url in enumerate(names)}
        of_map, area = self._keys[row] >> tiles.CELL_BITS, self._keys[row] & tiles.WHOLE_MAP
        across = -(-self._grid[4] // kept.SIDE)
        page, fixed = of_map // tiles.BUCKETS // 2, of_map // tiles.BUCKETS % 2
        keys = [
            page, np.array([place[url] for url in urls], np.int64), fixed, of_map % tiles.BUCKETS, area // across,
            area % across, self._best[row, nth],
        ]  # fmt: skip
        found = {
            kept.LINKS: _table(("page", "replay"), np.column_stack(keys)),
            kept.SAMPLE: _table((), ranks[:, None]),
        }
        return found, names


def _table(dims: tuple[str, ...], keys: Array) -> Table:
    return Table(dims, FIELDS, keys.astype(np.int64), np.ones((len(keys), 1), np.int64), np.zeros((0, 3), np.int64))
