"""The map of dwell: ms in the cell where the pointer was while they passed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heatgrid.cpu import rested
from heatgrid.engine.block import Array, Block
from heatgrid.engine.measures.maps import MapMeasure
from heatgrid.engine.measures.picked import OUT_ROWS, as_block
from heatgrid.states.state import Maps
from heatgrid.words.ledger import Points
from heatgrid.words.plan import DWELL_LAYER, Plan

FIELDS = {
    "slot": rested.SLOT, "run": rested.VIEW, "page": rested.PAGE, "segment": rested.SEGMENT, "period": rested.PERIOD,
    "bucket": rested.BUCKET, "fixed": rested.FIXED, "width": rested.WIDTH, "weight": rested.MS, "kind": rested.KIND,
    "flags": rested.FLAGS,
}  # fmt: skip
LAYER_OF_KIND = np.array([0, -1], np.int32)
"""Of steps, and of rows that only tell a width."""
POINTER = frozenset(("move", "rest", "click"))
"""Kinds of rows that say where the pointer is. A row of another kind ends the stay: after a scroll or a key press it
lies on another part of the page, or nobody knows where."""


class Rested:
    """A run keeps 112 bytes: its latest row, where that is the pointer's. Whole, and split by all that the plan names;
    a step goes by the page, segment and period of the row it begins with, and the width of its view."""

    def __init__(self, plan: Plan, groupings: list[tuple[str, ...]], touch: int) -> None:
        self._touch = touch
        clicks = replace(plan, maps=("clicks",))
        self._maps = [MapMeasure(clicks, extra, True, -1) for extra in dict.fromkeys((groupings[0], groupings[-1]))]
        self._kept = np.zeros((0, rested.FIELDS), np.int64)
        self._known = np.zeros(0, np.int64)
        self._out = np.empty((OUT_ROWS, rested.FIELDS), np.int64)
        self._n = np.zeros(1, np.int64)

    def resize(self, slots: int, runs: int, views: int) -> None:
        kept = np.zeros((runs, rested.FIELDS), np.int64)
        kept[: len(self._kept)] = self._kept
        known = np.full(max(runs, views), -1, np.int64)
        known[: len(self._known)] = self._known
        self._kept, self._known = kept, known
        for maps in self._maps:
            maps.resize(slots, runs, views)

    def fold(self, block: Block, order: Array, ready: int, kinds: list[str]) -> None:
        """kinds : their names, by code."""
        c = block.columns
        is_pointer = np.array([name in POINTER for name in kinds], np.bool_)
        at = 0
        while True:
            at = rested.fold(
                order, at, ready, c["slot"], c["run"], c["view_row"], c["flags"], c["kind"], is_pointer, c["pointer"],
                self._touch, c["page"], c["segment"], c["period"], c["bucket"], c["fixed"], c["width"], c["dwell"],
                c["x"].view(np.int64), c["y"].view(np.int64), self._kept, self._known, self._out, self._n,
            )  # fmt: skip
            if at >= ready:
                return
            self._draw()

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        self._draw()  # what is kept of a run goes with it: the first row of another one begins no step
        for maps in self._maps:
            maps.close(slots, runs, views, view_sessions)

    def _draw(self) -> None:
        n = int(self._n[0])
        if n:
            block, order = as_block(self._out[:n], FIELDS, rested.X, rested.Y), np.arange(n, dtype=np.int32)
            for maps in self._maps:
                maps.fold(block, order, n, LAYER_OF_KIND)
        self._n[0] = 0

    def points(self) -> dict[str, Points]:
        """Of steps that took time, by the row they begin with."""
        return {DWELL_LAYER: self._maps[0].points()["clicks"]}

    def maps(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> dict[str, Maps]:
        return {"|".join((DWELL_LAYER, *m.extra)): m.maps(dims, decode) for m in self._maps}
