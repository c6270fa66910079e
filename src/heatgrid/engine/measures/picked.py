"""Maps of the first and of the last click of each view. A row of many clicks (count) is one of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heatgrid.cpu import picked
from heatgrid.engine.block import DTYPES, Array, Block, absent
from heatgrid.engine.measures.maps import MapMeasure
from heatgrid.states.state import Maps
from heatgrid.words.ledger import Points
from heatgrid.words.plan import OF_VIEWS, Plan

OUT_ROWS = 8192
LAYER_OF_KIND = np.zeros(1, np.int32)
"""All rows that the maps see are clicks."""
FIELDS = {
    "slot": picked.SLOT, "run": picked.RUN, "page": picked.PAGE, "segment": picked.SEGMENT, "period": picked.PERIOD,
    "bucket": picked.BUCKET, "fixed": picked.FIXED, "width": picked.WIDTH,
}  # fmt: skip


class Picked:
    """A view keeps 192 bytes: its first click and its last one. They are drawn when it ends, whole and split by all
    that the plan names, in the segment, period and page of their own row and the width bucket of their view."""

    def __init__(self, plan: Plan, groupings: list[tuple[str, ...]], click: int) -> None:
        self._click = click
        drawn = dict.fromkeys((groupings[0], groupings[-1]))
        clicks = replace(plan, maps=("clicks",))
        self.layers = {
            layer: [MapMeasure(clicks, extra, True, -1) for extra in drawn] for layer in OF_VIEWS if layer in plan.maps
        }
        self._kept = np.zeros((2, 0, picked.FIELDS), np.int64)
        self._out = np.empty((2, OUT_ROWS, picked.FIELDS), np.int64)
        self._n = np.zeros(2, np.int64)

    def resize(self, slots: int, runs: int, views: int) -> None:
        kept = np.zeros((2, max(runs, views), picked.FIELDS), np.int64)
        kept[:, : self._kept.shape[1]] = self._kept
        self._kept = kept
        for maps in self._maps:
            maps.resize(slots, runs, views)

    @property
    def _maps(self) -> list[MapMeasure]:
        return [maps for some in self.layers.values() for maps in some]

    def fold(self, block: Block, order: Array, ready: int) -> None:
        c = block.columns
        first, last = self._kept
        at = 0
        while True:
            at = picked.fold(
                order, at, ready, c["slot"], c["run"], c["view_row"], c["flags"], c["kind"], self._click, c["page"],
                c["segment"], c["period"], c["bucket"], c["fixed"], c["width"], c["x"].view(np.int64),
                c["y"].view(np.int64), first, last, self._out[0], self._out[1], self._n,
            )  # fmt: skip
            if at >= ready:
                return
            self._draw()

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        at = 0
        first, last = self._kept
        while (at := picked.close(views, at, first, last, self._out[0], self._out[1], self._n)) < len(views):
            self._draw()
        self._draw()
        for maps in self._maps:
            maps.close(slots, runs, views, view_sessions)

    def _draw(self) -> None:
        for which, layer in enumerate(OF_VIEWS):
            n = int(self._n[which])
            block, order = as_block(self._out[which, :n], FIELDS, picked.X, picked.Y), np.arange(n, dtype=np.int32)
            for maps in self.layers.get(layer, []) if n else []:
                maps.fold(block, order, n, LAYER_OF_KIND)
        self._n[:] = 0

    def points(self) -> dict[str, Points]:
        return {layer: maps[0].points()["clicks"] for layer, maps in self.layers.items()}

    def maps(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> dict[str, Maps]:
        return {"|".join((layer, *m.extra)): m.maps(dims, decode) for layer, some in self.layers.items() for m in some}


def as_block(rows: Array, fields: dict[str, int], x: int, y: int) -> Block:
    """Kept clicks as a block; fields : where each column lies in a row of them, x and y as the bits of floats."""
    n = len(rows)
    columns = {name: absent(name) for name in DTYPES}
    columns |= {name: np.zeros(n, DTYPES[name]) for name in ("kind", "flags")}
    columns |= {name: rows[:, field].astype(DTYPES[name]) for name, field in fields.items()}
    for name, field in (("x", x), ("y", y)):
        columns[name] = np.ascontiguousarray(rows[:, field]).view(np.float64)
    nothing = np.zeros(1, np.int64)
    return Block(n, 0, columns, np.ones(n, np.uint8), np.zeros(n, np.int32), nothing, nothing)
