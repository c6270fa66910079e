"""The map of clicks of sessions that later reach a goal of the plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heatgrid.cpu import goals
from heatgrid.engine.block import Array, Block
from heatgrid.engine.measures.maps import MapMeasure
from heatgrid.engine.measures.picked import LAYER_OF_KIND, OUT_ROWS, as_block
from heatgrid.states.state import Maps
from heatgrid.words.ledger import Points
from heatgrid.words.plan import GOAL_LAYER, Plan

FIELDS = {
    "slot": goals.SLOT, "run": goals.VIEW, "page": goals.PAGE, "segment": goals.SEGMENT, "period": goals.PERIOD,
    "bucket": goals.BUCKET, "fixed": goals.FIXED, "width": goals.WIDTH,
}  # fmt: skip
MOST_WAITING = 4096
"""Clicks of one session that may wait at once, 393 KB: a giant one must not take the memory of all."""


class GoalClicks:
    """A click waits in 96 bytes until its session reaches a goal (then it is drawn) or ends; whole and split by all
    that the plan names. A row is no click of a goal that it is itself. Of a session in which MOST_WAITING wait already
    a click is not drawn, and counted as excess where its session reaches a goal."""

    def __init__(
        self, plan: Plan, groupings: list[tuple[str, ...]], click: int, steps: tuple[Array, Array, Array, Array]
    ) -> None:
        self._click, self._steps = click, steps
        drawn = dict.fromkeys((groupings[0], groupings[-1]))
        clicks = replace(plan, maps=("clicks",))
        self._maps = [MapMeasure(clicks, extra, True, -1) for extra in drawn]
        self._heads = np.zeros((0, 4), np.int64)
        self._excess = np.zeros(1, np.int64)
        self._pool = np.zeros((0, goals.FIELDS), np.int64)
        self._free = np.zeros(1, np.int64)
        self._out = np.empty((OUT_ROWS, goals.FIELDS), np.int64)
        self._n = np.zeros(1, np.int64)
        self._weighted = False

    def resize(self, slots: int, runs: int, views: int) -> None:
        heads = np.zeros((slots, 4), np.int64)
        heads[: len(self._heads)] = self._heads
        self._heads = heads
        for maps in self._maps:
            maps.resize(slots, runs, views)

    def fold(self, block: Block, order: Array, ready: int) -> None:
        c = block.columns
        self._weighted |= len(c["weight"]) > 0
        at = 0
        while True:
            at, reason = goals.fold(
                order, at, ready, c["slot"], c["run"], c["view_row"], c["flags"], c["kind"], self._click, c["page"],
                c["feature"], c["segment"], c["period"], c["bucket"], c["fixed"], c["width"], c["weight"],
                c["x"].view(np.int64), c["y"].view(np.int64), *self._steps, MOST_WAITING, self._excess, self._heads,
                self._pool, self._free, self._out, self._n,
            )  # fmt: skip
            if reason == goals.DONE:
                return
            if reason == goals.FULL:
                self._draw()
            else:
                self._more_pool()

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        at = 0
        while (at := goals.close(slots, at, self._heads, self._pool, self._free, self._out, self._n)) < len(slots):
            self._draw()
        self._draw()
        for maps in self._maps:
            maps.close(slots, runs, views, view_sessions)

    def _draw(self) -> None:
        n = int(self._n[0])
        if n:
            rows = self._out[:n]
            block, order = as_block(rows, FIELDS, goals.X, goals.Y), np.arange(n, dtype=np.int32)
            if self._weighted:
                block.columns["weight"] = np.ascontiguousarray(rows[:, goals.WEIGHT])
            for maps in self._maps:
                maps.fold(block, order, n, LAYER_OF_KIND)
        self._n[0] = 0

    def _more_pool(self) -> None:
        old = len(self._pool)
        more = np.zeros((max(1024, old), goals.FIELDS), np.int64)
        more[:, goals.NEXT] = np.arange(old + 2, old + 2 + len(more))
        more[-1, goals.NEXT] = 0
        self._pool = np.concatenate([self._pool, more])
        self._free[0] = old + 1

    def points(self) -> dict[str, Points]:
        points, excess = self._maps[0].points()["clicks"], int(self._excess[0])
        points.rows += excess
        points.excess = excess
        return {GOAL_LAYER: points}

    def maps(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> dict[str, Maps]:
        return {"|".join((GOAL_LAYER, *m.extra)): m.maps(dims, decode) for m in self._maps}
