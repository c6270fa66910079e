"""Where features lie: the boxes that rows carry, by page, feature and width bucket, each number counted px by px.

Boxes of one feature are nearly all alike, so the distinct numbers are few; on arrays, without a leaf of its own, since
a layout is gathered once and not in every run.
"""

from __future__ import annotations

import numpy as np

from heatgrid.engine.block import Array, Block
from heatgrid.engine.pairs import Pairs
from heatgrid.states.state import LAYOUT_FIELDS, Table
from heatgrid.words.ledger import Points
from heatgrid.words.plan import BUCKETS

BOX = ("box_x", "box_y", "box_w", "box_h")
FARTHEST = 1 << 20
"""Px: a box beyond is no box."""


class Layout:
    def __init__(self) -> None:
        self.points = Points()
        self._places = Pairs()
        self._numbers = Pairs()
        self._counts = np.zeros(64, np.int64)

    def fold(self, block: Block, order: Array, ready: int) -> None:
        """Rows of a feature whose box is in px of the page: those of fixed ones are in px of the window."""
        c = block.columns
        rows = order[:ready]
        rows = rows[(c["slot"][rows] >= 0) & (c["feature"][rows] >= 0)]
        if len(c["fixed"]):
            rows = rows[c["fixed"][rows] == 0]
        bucket = c["bucket"][rows] if len(c["bucket"]) else np.full(len(rows), len(BUCKETS) - 1, np.int32)
        boxes = np.column_stack([np.floor(c[name][rows]) for name in BOX])
        with np.errstate(invalid="ignore"):
            known = (np.abs(boxes) < FARTHEST).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1) & (bucket >= 0)
        self.points.rows += len(rows)
        self.points.invalid += int(len(rows) - known.sum())
        self.points.used += int(known.sum())
        rows, bucket, boxes = rows[known], bucket[known], boxes[known]
        page = c["page"][rows] if len(c["page"]) else np.zeros(len(rows), np.int32)
        place, number = np.empty(len(rows), np.int32), np.empty(len(rows), np.int32)
        self._places.encode(page, c["feature"][rows], place)
        for side in range(len(BOX)):
            key = ((place * len(BUCKETS) + bucket) * len(BOX) + side).astype(np.int32)
            self._numbers.encode(key, (boxes[:, side] + FARTHEST).astype(np.int32), number)
            if len(self._numbers) > len(self._counts):
                more = np.zeros(max(len(self._numbers), 2 * len(self._counts)), np.int64)
                more[: len(self._counts)] = self._counts
                self._counts = more
            np.add.at(self._counts, number, 1)

    def table(self) -> Table:
        """Keys: page, feature, bucket, side of the box (x, y, w, h), px."""
        key, px = self._numbers.parts()
        page, feature = self._places.parts()
        rest, side = np.divmod(key, len(BOX))
        place, bucket = np.divmod(rest, len(BUCKETS))
        return Table(
            dims=("page", "feature"),
            fields=LAYOUT_FIELDS,
            keys=np.column_stack([page[place], feature[place], bucket, side, px - FARTHEST]).astype(np.int64),
            values=self._counts[: len(key), None].copy(),
            histogram=np.zeros((0, 3), np.int64),
        )
