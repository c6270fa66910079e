"""The result of a run as data: named integer arrays under sorted names, so that equal results are equal bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from heatgrid.words.ledger import Ledger
from heatgrid.words.plan import METRICS_VERSION, Plan

Ints = npt.NDArray[np.int64]

USAGE_FIELDS = ("events", "clicks", "views", "sessions", "dwell_ms", "visits", "open_visits")
KIND_FIELDS = ("events",)
FRICTION_FIELDS = ("flagged", "sessions", "considered", "excess")
RULE_FIELDS = (*FRICTION_FIELDS, "bot_sessions")
MAP_FIELDS = ("events", "sessions", "viewport_w")
TRANSITION_FIELDS = ("count", "sessions")
FUNNEL_FIELDS = ("sessions", "left", "exits", "unclicked")
SCROLL_FIELDS = ("views", "unseen", "growing", "clicks", "below", "seen_ms", "sessions")
BAND_FIELDS = ("attention_ms", "views", "sessions")
"""By how much attention changes at the band's first px; views and sessions that reach into it, no farther."""
LAYOUT_FIELDS = ("rows",)
SQUARES = ("clicked_clicked", "clicked_exposed", "exposed_exposed", "clicked_views")
EXPOSURE_FIELDS = (
    "exposed_views", "views_clicked", "clicks", "clicks_unexposed", "exposure_ms", "hover_ms", "views_hovered",
    "sessions", "sessions_clicked", "goal_sessions", "goal_unclicked",
    *(f"{name}_{limb}" for name in SQUARES for limb in ("low", "high")), "alone",
)  # fmt: skip
"""Sessions are those exposed; sums over sessions of products of their views as two limbs of 32 bits and more: of those
alone, whose user is not known or not asked for. The others are in tables by user."""
EXPOSURE_PAGE_FIELDS = ("views", "clicks", "sessions", "views_views_low", "views_views_high", "alone")
EXPOSURE_USER_FIELDS = ("exposed", "clicked")
TILE_SIDE = 16
TOTALS = ("sessions", "resumed", "views")


@dataclass
class Table:
    """Rows of counters by key. ``keys[g, d]`` is a code of dimension ``dims[d]`` (see ``State.names``)."""

    dims: tuple[str, ...]
    fields: tuple[str, ...]
    keys: Ints
    values: Ints
    histogram: Ints
    """(row, octave * 64 + sub-bucket, count): durations of closed visits."""
    ids: Ints | None = None
    """(row, lo, hi): the distinct users of each row, where the plan asks for them."""


@dataclass
class Maps:
    """Maps in tiles. ``keys`` are those of ``dims``, then layer, fixed, bucket as plain numbers."""

    dims: tuple[str, ...]
    keys: Ints
    values: Ints
    """Fields MAP_FIELDS; viewport_w is a maximum, the others are sums."""
    tiles: Ints
    """(map row, tile number) of each tile."""
    counts: npt.NDArray[Any]
    """(tiles, 16 * 16, 2): events and sessions of each cell."""
    widths: Ints | None = None
    """(rows, n) of a run alone, as cpu/tiles.py packs them: the largest windows and how many rows had them."""


@dataclass
class Paths:
    """Paths of sessions as a tree without its root: each row is a path so far, its parent that without its last step.

    ``keys[p, 0]`` is the code of the last step (``dims[0]``); ``parents[p]`` a row, -1 for the root; ``ended[p]`` the
    sessions whose whole path this is.
    """

    dims: tuple[str, ...]
    keys: Ints
    parents: Ints
    ended: Ints
    split: Table | None = None
    """Where the plan splits: sessions by group and row, the last of its keys."""


@dataclass
class State:
    """All that a run counted."""

    plan: Plan
    ledger: Ledger
    names: dict[str, list[str]]
    tables: dict[str, Table]
    maps: dict[str, Maps]
    totals: dict[str, int]
    bounds: tuple[int, int] | None
    """First and last time of accepted rows, in ms since 1970."""
    session_ids: Ints | None
    """(n, 2) 128-bit hashes: the proof that two states hold different sessions. Personal data. In no order, and one of
    several runs may be there for each: most results are neither saved nor merged (see ``ids_of``)."""
    inputs: list[dict[str, object]] = field(default_factory=list)
    has: tuple[str, ...] = ()
    """Canonical columns the input had, so that a missing metric can name what would unlock it."""
    evidence: dict[str, object] = field(default_factory=dict)
    """What the source declared (words.evidence)."""
    reading: dict[str, object] = field(default_factory=dict)
    """How the input was read, and why so (sources.reading); of several inputs read alike."""
    metrics_version: int = METRICS_VERSION
    paths: dict[str, Paths] = field(default_factory=dict)


def ids_of(state: State) -> Ints | None:
    """The ids of the state's sessions, each once, sorted; the state keeps them so."""
    ids = state.session_ids
    if ids is not None:
        # sorted by their first half, which seldom leaves anything to the second: a lexsort takes 4 times as long
        ids = ids[np.argsort(ids[:, 0])]
        if len(ids) > 1 and (ids[1:, 0] == ids[:-1, 0]).any():
            ids = np.unique(ids, axis=0)
        state.session_ids = ids
    return ids


def canonical(state: State) -> State:
    """Names sorted, rows in the order of their keys, rows without any count dropped. In place."""
    for table in state.tables.values():
        drop_empty(table)
    for maps in state.maps.values():
        _drop_empty_maps(maps)
    for dim, names in state.names.items():
        used = np.zeros(len(names), bool)
        for part in _parts(state):
            for d, name in enumerate(part.dims):
                if name == dim:
                    used[part.keys[:, d]] = True
        kept = sorted(name for name, u in zip(names, used, strict=True) if u)
        place = {name: i for i, name in enumerate(kept)}
        recode = np.array([place.get(name, -1) for name in names], np.int64)
        for part in _parts(state):
            for d, name in enumerate(part.dims):
                if name == dim:
                    part.keys[:, d] = recode[part.keys[:, d]]
        state.names[dim] = kept
    for table in state.tables.values():
        _sort_table(table)
    for maps in state.maps.values():
        _sort_maps(maps)
    if state.paths:
        from heatgrid.states.paths import sort_paths

        for paths in state.paths.values():
            sort_paths(paths)
            if paths.split is not None:
                _sort_table(paths.split)
    return state


def _parts(state: State) -> list[Table | Maps | Paths]:
    split = [paths.split for paths in state.paths.values() if paths.split is not None]
    return [*state.tables.values(), *state.maps.values(), *state.paths.values(), *split]


SOME_ROWS = 1 << 12


def row_order(keys: Ints) -> Ints:
    """The permutation that sorts rows by their columns, the first column first."""
    if keys.shape[1] == 0:
        return np.arange(len(keys))
    if len(keys) > SOME_ROWS:
        # as one number, where they fit: a lexsort of a quarter of a million rows takes 16 ms, this 4
        low, high = keys.min(axis=0), keys.max(axis=0)
        widths = [int(high[k]) - int(low[k]) + 1 for k in range(keys.shape[1])]
        if math.prod(widths) < 2**62:
            whole = keys[:, 0] - low[0]
            for k in range(1, keys.shape[1]):
                whole = whole * widths[k] + (keys[:, k] - low[k])
            return np.argsort(whole, kind="stable")
    return np.lexsort(keys.T[::-1])


def sort_rows(rows: Ints) -> Ints:
    return rows[row_order(rows)]


def drop_empty(table: Table) -> None:
    kept = np.flatnonzero(table.values.any(axis=1))
    if len(kept) < len(table.keys):
        place = np.full(len(table.keys), -1, np.int64)
        place[kept] = np.arange(len(kept))
        table.keys, table.values = table.keys[kept], table.values[kept]
        table.histogram[:, 0] = place[table.histogram[:, 0]]
        if table.ids is not None:
            table.ids[:, 0] = place[table.ids[:, 0]]


def _drop_empty_maps(maps: Maps) -> None:
    kept = np.flatnonzero(maps.values[:, 0])
    if len(kept) < len(maps.keys):
        place = np.full(len(maps.keys), -1, np.int64)
        place[kept] = np.arange(len(kept))
        maps.keys, maps.values = maps.keys[kept], maps.values[kept]
        maps.widths = None if maps.widths is None else maps.widths[kept]
        maps.tiles[:, 0] = place[maps.tiles[:, 0]]


def _sort_table(table: Table) -> None:
    order = row_order(table.keys)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    table.keys, table.values = table.keys[order], table.values[order]
    table.histogram[:, 0] = place[table.histogram[:, 0]]
    table.histogram = sort_rows(table.histogram)
    if table.ids is not None:
        table.ids[:, 0] = place[table.ids[:, 0]]
        table.ids = sort_rows(table.ids)


def _sort_maps(maps: Maps) -> None:
    order = row_order(maps.keys)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    maps.keys, maps.values = maps.keys[order], maps.values[order]
    maps.widths = None if maps.widths is None else maps.widths[order]
    maps.tiles[:, 0] = place[maps.tiles[:, 0]]
    order = row_order(maps.tiles)
    if not np.array_equal(order, np.arange(len(order))):
        maps.tiles, maps.counts = maps.tiles[order], maps.counts[order]
