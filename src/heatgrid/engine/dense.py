"""One map of a state as a dense array, made on asking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heatgrid.engine.room import available_bytes
from heatgrid.states.state import TILE_SIDE, Ints, Maps, State
from heatgrid.words.errors import LimitError
from heatgrid.words.plan import DWELL_LAYER, LAYERS, Plan

MOST_CELLS = 1 << 28


@dataclass
class Dense:
    """values (ny, nx) from the corner of the extent to the last hit cell, or to what the plan names."""

    values: npt.NDArray[np.int64]
    extent: tuple[float, float, float, float]
    used: int
    withheld: int


def dense(state: State, maps: Maps, rows: Ints, *, sessions: bool, widest: int) -> Dense:
    """The sum of some maps of one stack. Cells of fewer than min_sessions sessions are withheld and counted."""
    plan = state.plan
    chosen = np.flatnonzero(np.isin(maps.tiles[:, 0], rows))
    nx, _ = plan.shape
    n_tx = -(-nx // TILE_SIDE)
    tile_y, tile_x = np.divmod(maps.tiles[chosen, 1], n_tx)
    counts, by_session = np.moveaxis(maps.counts[chosen].astype(np.int64), 2, 0)
    hidden = 0
    if plan.min_sessions > 1 and state.session_ids is not None:
        small = (counts > 0) & (by_session < plan.min_sessions)
        hidden = int(counts[small].sum())
        counts[small] = 0
        by_session[small] = 0
    shown = by_session if sessions else counts
    used = int(counts.sum())
    height, width = _size(plan, shown, tile_y, tile_x, widest)
    rows_y = -(-height // TILE_SIDE) * TILE_SIDE
    rows_x = -(-width // TILE_SIDE) * TILE_SIDE
    if rows_y * rows_x > min(MOST_CELLS, available_bytes() // 16):
        raise LimitError(
            "the map is too large to be dense", code="HG4102", where="map", value=f"{height:,} x {width:,} cells",
            expected=f"at most {min(MOST_CELLS, available_bytes() // 16):,} cells",
            hint="a larger cell, a smaller extent, or its sparse cells",
        )  # fmt: skip
    out = np.zeros((rows_y, rows_x), np.int64)
    blocks = out.reshape(rows_y // TILE_SIDE, TILE_SIDE, rows_x // TILE_SIDE, TILE_SIDE)
    inside = (tile_y < blocks.shape[0]) & (tile_x < blocks.shape[2])
    squares = shown[inside].reshape(-1, TILE_SIDE, TILE_SIDE)
    for y, x, square in zip(tile_y[inside], tile_x[inside], squares, strict=True):
        blocks[y, :, x, :] += square
    cw, ch = plan.cell_size
    x0, _, y0, _ = plan.bounds
    values = np.ascontiguousarray(out[:height, :width])
    return Dense(values, (x0, x0 + width * cw, y0, y0 + height * ch), used, hidden)


def withheld_events(state: State, layer: str) -> int:
    """Events of a layer, or of the map of a friction rule, in cells of fewer than min_sessions sessions.

    None of dwell: its points are steps, and what is withheld of a cell is ms (each picture says how many)."""
    if layer == DWELL_LAYER:
        return 0
    maps = state.maps.get("maps" if layer in LAYERS else layer)
    if state.plan.min_sessions <= 1 or state.session_ids is None or maps is None:
        return 0
    counts = maps.counts
    if layer in LAYERS:
        counts = counts[maps.keys[maps.tiles[:, 0], -3] == LAYERS.index(layer)]
    return int(counts[..., 0].sum(where=counts[..., 1] < state.plan.min_sessions, dtype=np.int64))


def _size(plan: Plan, shown: Ints, tile_y: Ints, tile_x: Ints, widest: int) -> tuple[int, int]:
    """Cells (ny, nx): all of a named extent, else up to the last cell that is hit, and the viewport's width."""
    nx, ny = plan.shape
    if plan.extent is not None:
        return ny, nx
    squares = shown.reshape(-1, TILE_SIDE, TILE_SIDE)
    at, iy, ix = np.nonzero(squares)
    if not len(at):
        return 1, 1
    height = int((tile_y[at] * TILE_SIDE + iy).max()) + 1
    width = int((tile_x[at] * TILE_SIDE + ix).max()) + 1
    return min(ny, height), min(nx, max(width, -(-widest // max(1, int(plan.cell_size[0])))))
