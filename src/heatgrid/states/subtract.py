"""A state without some of its sessions, by a state of these alone: nearly all of a state are sums over sessions.

What is none: the distinct users of a row, a sample of links, the first and the last time, and the widest window of a
map beyond the few widths that are kept of it. Where one cannot be told there is no answer, and the input has to be read
again.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from heatgrid.states.links import LINKS
from heatgrid.states.merge import recoded
from heatgrid.states.paths import merge_paths
from heatgrid.states.state import Ints, Maps, Paths, State, Table, canonical, drop_empty
from heatgrid.states.widths import without as widths_without
from heatgrid.words.ledger import Ledger, Points

SIGNED = ("attention_ms",)
"""Fields that are changes: what is left of them may be less than nothing, and rows of them may have cancelled out."""
COUNTED = ("duplicate", "count")
"""Reasons for which a row is rejected only after it is known whose it is."""
WIDE_FROM = 2**32


def only_sums(state: State) -> bool:
    """Whether nothing in it is of another kind: a user of some sessions may have others, and what a sample of links has
    left out for them is not there."""
    return LINKS not in state.tables and all(table.ids is None for table in state.tables.values())


def subtract(whole: State, part: State, what: str, bounds: tuple[int, int] | None) -> State | None:
    """`whole` without the sessions of `part`; None where it cannot be told. Both must be canonical; they are used up.

    what : the name under which the ledger has the rows of the part, as filtered ones. bounds : of what is left, where
    they are known.
    """
    if not only_sums(whole):
        return None
    accepted = whole.ledger.accepted - part.ledger.accepted
    if accepted and bounds is None:
        return None
    names = {dim: [*found, *_new(found, part.names.get(dim, []))] for dim, found in whole.names.items()}
    for name, maps in whole.maps.items():
        if not _take_maps(maps, part.maps[name], recoded(part, part.maps[name], names)):
            return None
    for name, table in whole.tables.items():
        whole.tables[name] = _less(table, part.tables[name], recoded(part, part.tables[name], names))
    whole.paths = {name: _less_paths(paths, part, name, names) for name, paths in whole.paths.items()}
    whole.names = names
    whole.totals = {name: _least(count - part.totals[name], name) for name, count in whole.totals.items()}
    whole.bounds = bounds if accepted else None
    if whole.session_ids is not None and part.session_ids is not None:
        whole.session_ids = whole.session_ids[~holds(part.session_ids, *whole.session_ids.T)]
    _take_ledger(whole.ledger, part.ledger, what)
    return canonical(whole)


def holds(ids: Ints, lo: Ints, hi: Ints) -> npt.NDArray[np.bool_]:
    """Whether each of (lo, hi) is among the ids (n, 2)."""
    out = np.isin(lo, ids[:, 0])
    some = np.flatnonzero(out)
    known = set(map(tuple, ids.tolist()))
    out[some] = [pair in known for pair in zip(lo[some].tolist(), hi[some].tolist(), strict=True)]
    return out


def _new(known: list[str], names: list[str]) -> list[str]:
    there = set(known)
    return [name for name in names if name not in there]


def _least(count: int, what: str) -> int:
    if count < 0:
        raise AssertionError(f"{what}: the part has {-count:,} more than the whole")
    return count


def _take_ledger(whole: Ledger, part: Ledger, what: str) -> None:
    whole.accepted = _least(whole.accepted - part.accepted, "accepted")
    taken = part.accepted
    for reason in COUNTED:
        if count := part.rejected.get(reason, 0):
            taken += count
            whole.rejected[reason] = _least(whole.rejected.get(reason, 0) - count, reason)
            if not whole.rejected[reason]:
                del whole.rejected[reason]
    whole.leave_out(what, taken)
    for name, points in part.measures.items():
        for field in vars(Points()):
            left = getattr(whole.measures[name], field) - getattr(points, field)
            setattr(whole.measures[name], field, _least(left, f"{field} of {name}"))


def places(rows: Ints, wanted: Ints) -> Ints:
    """The place of each wanted row among distinct rows, -1 where it is not there."""
    if not len(rows) or rows.shape[1] == 0:
        return np.full(len(wanted), 0 if len(rows) else -1, np.int64)
    both = np.concatenate([rows, wanted])
    low, high = both.min(axis=0), both.max(axis=0)
    spans = [int(h) - int(m) + 1 for m, h in zip(low, high, strict=True)]
    if math.prod(spans) < 2**62:
        codes = both[:, 0] - low[0]
        for k in range(1, both.shape[1]):
            codes = codes * spans[k] + (both[:, k] - low[k])
    else:
        codes = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
    own, asked = codes[: len(rows)], codes[len(rows) :]
    order = np.argsort(own, kind="stable")
    at = order[np.minimum(np.searchsorted(own, asked, sorter=order), len(rows) - 1)]
    return np.where(own[at] == asked, at, -1)


def _with(rows: Ints, more: Ints) -> tuple[Ints, Ints]:
    """The rows with those of ``more`` that are not among them behind, and the places of ``more``."""
    place = places(rows, more)
    missing = np.flatnonzero(place < 0)
    place[missing] = len(rows) + np.arange(len(missing))
    return np.concatenate([rows, more[missing]]), place


def _less(table: Table, part: Table, keys: Ints) -> Table:
    """keys : the part's in the names of the whole."""
    own, place = _with(table.keys, keys)
    values = np.zeros((len(own), len(table.fields)), np.int64)
    values[: len(table.values)] = table.values
    values[place] -= part.values
    plain = [k for k, name in enumerate(table.fields) if name not in SIGNED]
    _least(int(values[:, plain].min(initial=0)), ", ".join(table.fields))
    cells = part.histogram.copy()
    cells[:, 0] = place[cells[:, 0]]
    entries, at = _with(table.histogram[:, :2], cells[:, :2])
    counts = np.zeros(len(entries), np.int64)
    counts[: len(table.histogram)] = table.histogram[:, 2]
    counts[at] -= cells[:, 2]
    _least(int(counts.min(initial=0)), "durations")
    left = counts > 0
    return Table(table.dims, table.fields, own, values, np.column_stack([entries, counts])[left])


def _take_maps(maps: Maps, part: Maps, keys: Ints) -> bool:
    """In place; False where the widest window cannot be told."""
    place = places(maps.keys, keys)
    if (place < 0).any():
        raise AssertionError("the part has maps that the whole has not")
    maps.values[place, :2] -= part.values[:, :2]
    _least(int(maps.values[:, :2].min(initial=0)), "events and sessions of maps")
    known = widths_without(maps, part, place)
    tiles = part.tiles.copy()
    tiles[:, 0] = place[tiles[:, 0]]
    at = places(maps.tiles, tiles)
    if (at < 0).any() or (maps.counts[at] < part.counts).any():
        raise AssertionError("the part has cells that the whole has not")
    maps.counts[at] -= part.counts.astype(maps.counts.dtype, copy=False)
    empty = at[~maps.counts[at].any(axis=(1, 2))]
    if len(empty):
        kept = np.ones(len(maps.tiles), bool)
        kept[empty] = False
        maps.tiles, maps.counts = maps.tiles[kept], maps.counts[kept]
    wide = np.int64 if maps.values[:, 0].sum() >= WIDE_FROM else np.uint32
    maps.counts = maps.counts.astype(wide, copy=False)
    return known


def _less_paths(paths: Paths, of: State, name: str, names: dict[str, list[str]]) -> Paths:
    part = of.paths[name]
    part.ended = -part.ended
    tree, rows = merge_paths(paths, part, paths.keys, recoded(of, part, names))
    _least(int(tree.ended.min(initial=0)), "paths")
    kept = _alive(tree)
    number = np.cumsum(kept) - 1
    split = None
    if paths.split is not None and part.split is not None:
        keys, own = recoded(of, part.split, names), paths.split.keys.copy()
        keys[:, -1], own[:, -1] = rows[1][keys[:, -1]], rows[0][own[:, -1]]
        paths.split.keys = own
        split = _less(paths.split, part.split, keys)
        drop_empty(split)
        split.keys[:, -1] = number[split.keys[:, -1]]
    parents = tree.parents[kept]
    parents = np.where(parents < 0, -1, number[parents])
    return Paths(tree.dims, tree.keys[kept], parents, tree.ended[kept], split)


def _alive(tree: Paths) -> npt.NDArray[np.bool_]:
    """The beginnings of paths that some session still has."""
    alive = tree.ended > 0
    above = tree.parents[alive]
    while len(above := np.unique(above[above >= 0])):
        above = above[~alive[above]]
        alive[above] = True
        above = tree.parents[above]
    return alive
