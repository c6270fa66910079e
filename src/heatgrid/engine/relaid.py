"""Windows of all widths on one map: where a point would lie on the page at the plan's reference width.

scale : x times the reference by the width of the window, which is the row's own, else what its tab told last.
element : the share of the way through its element's box that a point lies at, in that element's box on the layout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from heatgrid.cpu import relaid
from heatgrid.engine.block import Array, Block
from heatgrid.engine.measures.layout import BOX
from heatgrid.words.areas import Area
from heatgrid.words.events import ALL
from heatgrid.words.plan import BUCKET_EDGES, Plan

_EVERY_PAGE = 0


class Relaid:
    """``drawn`` gives a block as maps are to see it: all in the bucket of the reference. Its own x and y stay those of
    its window, for areas, friction and scrolls."""

    def __init__(
        self, plan: Plan, page_code: Callable[[str], int], feature_code: Callable[[str], int], has_page: bool
    ) -> None:
        self._widths, self._reference = plan.widths, float(plan.reference)
        self._in_boxes = plan.frame == "element"
        self._bucket = int(np.searchsorted(BUCKET_EDGES, plan.reference, side="right"))
        self._told = np.zeros(0)
        self._shares: dict[str, Array] = {}
        boxes: dict[int, tuple[float, Area]] = {}
        for area in plan.known_layout if plan.widths == "element" else ():
            least = -math.inf if area.min_width is None else area.min_width
            most = math.inf if area.max_width is None else area.max_width
            if not least <= plan.reference < most:
                continue
            everywhere = area.page is None or (not has_page and area.page == ALL)
            if not has_page and not everywhere:
                continue
            page = _EVERY_PAGE if everywhere else page_code(area.page or "") + 1
            key, rank = page << 32 | feature_code(area.name), most - least
            if key not in boxes or rank < boxes[key][0]:
                boxes[key] = rank, area
        self._keys = np.array(sorted(boxes), np.int64)
        self._boxes = _boxes([boxes[key][1] for key in sorted(boxes)])

    @staticmethod
    def wanted(plan: Plan) -> bool:
        return plan.frame == "element" or (bool(plan.maps or plan.rules) and plan.widths != "bucket")

    # ---- as what closes with its sessions

    def resize(self, slots: int, runs: int, views: int) -> None:
        told = np.full(runs, np.nan)
        told[: len(self._told)] = self._told
        self._told = told

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        self._told[runs] = np.nan

    # ---- as the rows come

    def place(self, block: Block, order: Array, ready: int) -> None:
        """Points in boxes become px of the page, in place; called once for each row."""
        if not self._in_boxes:
            return
        c = block.columns
        rows = order[:ready]
        rows = rows[c["slot"][rows] >= 0]
        self._shares = {name: c[name].copy() for name in ("x", "y")}
        for point, low, size in (("x", "box_x", "box_w"), ("y", "box_y", "box_h")):
            if not len(c[low]) or not len(c[size]):
                c[point][rows] = np.nan
                continue
            with np.errstate(over="ignore", invalid="ignore"):
                c[point][rows] = c[low][rows] + c[point][rows] * c[size][rows]

    def drawn(self, block: Block, order: Array, ready: int, layer_of_kind: Array) -> Block:
        """The block for maps, once its rows have features."""
        if self._widths == "bucket":
            return block
        c = block.columns
        if self._widths == "element":
            rows = order[:ready]
            rows = rows[c["slot"][rows] >= 0]
            x, y = self._by_element(block, rows[layer_of_kind[c["kind"][rows]] >= 0])
        else:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                x, y = c["x"] * self._reference / self._window(block, order, ready), c["y"]
        n = block.rows
        ours: dict[str, Array] = {
            "x": x, "y": y, "bucket": np.full(n, self._bucket, np.int32), "width": np.full(n, self._reference)
        }  # fmt: skip
        return replace(block, columns={**c, **ours})

    def _window(self, block: Block, order: Array, ready: int) -> Array:
        c = block.columns
        out = np.full(block.rows, np.nan)
        if not len(c["width"]):
            return out
        if not len(c["run"]):
            return np.where((c["width"] > 0) & (c["width"] < np.inf), c["width"], np.nan)
        relaid.carry_widths(order, ready, c["slot"], c["run"], c["width"], self._told, out)
        return out

    def _by_element(self, block: Block, rows: Array) -> tuple[Array, Array]:
        """x and y on the layout of the reference; NaN where the row has no box, or its feature none on the layout."""
        c = block.columns
        out = np.full((2, block.rows), np.nan)
        if not len(self._keys) or not len(c["feature"]) or not (self._in_boxes or all(len(c[name]) for name in BOX)):
            return out[0], out[1]
        rows = rows[c["feature"][rows] >= 0]
        feature = c["feature"][rows].astype(np.int64)
        page = c["page"][rows].astype(np.int64) if len(c["page"]) else np.full(len(rows), -1)
        at = self._find((page + 1) << 32 | feature)
        at = np.where(at < 0, self._find(feature), at)
        box = self._boxes[at]
        for axis, (point, low, size) in enumerate((("x", "box_x", "box_w"), ("y", "box_y", "box_h"))):
            share = (self._shares if self._in_boxes else c)[point][rows]
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                if not self._in_boxes:
                    inside = (c[size][rows] > 0) & (c[size][rows] < np.inf)
                    share = np.where(inside, (share - c[low][rows]) / c[size][rows], np.nan)
                out[axis, rows] = np.where(at < 0, np.nan, box[:, 2 * axis] + share * box[:, 2 * axis + 1])
        return out[0], out[1]

    def _find(self, keys: Array) -> Array:
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, at, -1)


def _boxes(areas: Sequence[Area]) -> Array:
    """x0, width, y0, height of each."""
    return np.array([[a.x0, a.x1 - a.x0, a.y0, a.y1 - a.y0] for a in areas], np.float64).reshape(-1, 4)
