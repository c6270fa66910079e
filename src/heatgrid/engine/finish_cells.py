"""All maps of a state as lists of their cells: what a page that draws them itself needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from heatgrid.engine import friction, refuse
from heatgrid.engine.finish import stack_of
from heatgrid.states.state import TILE_SIDE, Ints, State
from heatgrid.words.plan import BUCKETS, LAYERS, PICKED


@dataclass
class SparseMap:
    """One map: its cells that are not 0 (by iy, then ix), their events, and their sessions where counted."""

    layer: str
    page: str
    bucket: str
    fixed: bool
    split: dict[str, str]
    """Segment columns and ``period``, where it is a part of a whole."""
    events: int
    sessions: int | None
    viewport_w: int
    ix: Ints
    iy: Ints
    counts: Ints
    by_session: Ints | None


def sparse_maps(state: State, *, split: bool) -> Iterator[SparseMap]:
    """The whole maps, or (``split``) those by all segments and periods of the plan; none where it names none. Cells and
    maps of fewer than min_sessions sessions are not among them."""
    picked = [layer for layer in PICKED if layer in state.plan.maps and refuse.off(state, layer) is None]
    for stack in ("maps", *picked, *(rule.name for rule in friction.served(state))):
        name = stack_of(state, stack, split=split)
        if name is not None and ("|" in name) == split:
            yield from _stack(state, name, None if stack == "maps" else stack)


def _stack(state: State, name: str, layer: str | None) -> Iterator[SparseMap]:
    maps, plan = state.maps[name], state.plan
    across = -(-plan.shape[0] // TILE_SIDE)
    least = plan.min_sessions if state.session_ids is not None else 0
    order = np.argsort(maps.tiles[:, 0], kind="stable")
    ends = np.searchsorted(maps.tiles[order, 0], np.arange(len(maps.keys) + 1))
    for m, (key, (events, sessions, widest)) in enumerate(zip(maps.keys.tolist(), maps.values.tolist(), strict=True)):
        mine = order[ends[m] : ends[m + 1]]
        cells = maps.counts[mine].astype(np.int64)
        shown = (cells[..., 0] > 0) & (cells[..., 1] >= least if least > 1 else True)
        tile, at = np.nonzero(shown)
        if not len(tile) or (least > 1 and sessions < least):
            continue
        tile_y, tile_x = np.divmod(maps.tiles[mine[tile], 1], across)
        iy, ix = tile_y * TILE_SIDE + at // TILE_SIDE, tile_x * TILE_SIDE + at % TILE_SIDE
        by_place = np.lexsort((ix, iy))
        counted = state.session_ids is not None and (
            layer is not None or LAYERS[key[-3]] != "moves" or plan.moves_sessions
        )
        both = cells[tile, at][by_place]
        yield SparseMap(
            layer or LAYERS[key[-3]], state.names["page"][key[0]], BUCKETS[key[-1]], bool(key[-2]),
            {dim.removeprefix("by:"): state.names[dim][key[d]] for d, dim in enumerate(maps.dims[1:], 1)},
            events, sessions if counted else None, widest, ix[by_place], iy[by_place], both[:, 0],
            both[:, 1] if counted else None,
        )  # fmt: skip
