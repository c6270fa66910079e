"""States add up when their inputs hold different sessions; every other merge is refused with the reason."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from heatgrid.states import widths
from heatgrid.states.links import trim
from heatgrid.states.state import Ints, Maps, Paths, State, Table, canonical, ids_of
from heatgrid.words.errors import LimitError, UsageError
from heatgrid.words.plan import Plan

MOST = 9.2e18


def merge(a: State, b: State, *, same_run: bool = False) -> State:
    """A new state of all that a and b counted. Both must be canonical.

    same_run : parts of one run, cut by session: the proof by ids is not needed.
    Errors: UsageError HG1601..HG1608.
    """
    refuse_unlike(a, b)
    refuse_unlike_columns(a, b)
    if not same_run:
        refuse_unlike_evidence(a, b)
    refuse_overflow(a, b)
    if not same_run:
        refuse_overlap(a, b)
    names = {dim: sorted({*a.names.get(dim, []), *b.names.get(dim, [])}) for dim in sorted({*a.names, *b.names})}
    out = State(
        plan=_with_releases(a, b),
        ledger=copy.deepcopy(a.ledger),
        names=names,
        tables={k: _merge_tables(a, b, k, names) for k in a.tables},
        maps={k: _merge_maps(a, b, k, names) for k in a.maps},
        totals={k: a.totals[k] + b.totals[k] for k in a.totals},
        bounds=_bounds(a, b),
        session_ids=_union(a, b),
        inputs=sorted((*a.inputs, *b.inputs), key=str) if not same_run else a.inputs,
        has=tuple(sorted({*a.has, *b.has})),
        evidence=a.evidence,
        reading=a.reading if a.reading == b.reading else _alike(a.reading, b.reading),
        paths={k: _merge_paths(a, b, k, names) for k in a.paths},
    )
    out.ledger.add(b.ledger)
    trim(out)
    return canonical(out)


def _with_releases(a: State, b: State) -> Plan:
    """Releases that only mark periods may be more in the later state."""
    mine, other = a.plan.release_list, b.plan.release_list
    if mine == other:
        return a.plan
    at = {release.name: release.at_ms for release in mine}
    unlike = [release.name for release in other if at.get(release.name, release.at_ms) != release.at_ms]
    if unlike:
        raise UsageError(
            "a release has two moments", code="HG1608", where="releases", value=", ".join(unlike),
            expected="one moment for each name", hint="build both with one list of releases",
        )  # fmt: skip
    return replace(a.plan, releases=(*mine, *other))


def _alike(a: dict[str, object], b: dict[str, object]) -> dict[str, object]:
    """What holds for both; a frame that one of them was not told is assumed."""
    return {key: value for key, value in a.items() if b.get(key) == value}


def refuse_unlike(a: State, b: State) -> None:
    if a.metrics_version != b.metrics_version:
        raise UsageError(
            "the states were counted by different definitions", code="HG1601", where="metrics_version",
            value=f"{a.metrics_version} and {b.metrics_version}", hint="build both anew with this version",
        )  # fmt: skip
    if a.plan.hash() != b.plan.hash():
        mine, other = a.plan.as_dict(), b.plan.as_dict()
        unlike = [k for k in mine if mine[k] != other.get(k)]
        raise UsageError(
            "the states were counted by different plans", code="HG1602", where=", ".join(unlike) or "plan",
            value="; ".join(f"{k}: {mine[k]!r} and {other.get(k)!r}" for k in unlike),
            hint="build both with the same options",
        )  # fmt: skip
    if (a.session_ids is None) != (b.session_ids is None):
        raise UsageError(
            "one state has sessions and the other has none", code="HG1603", where="session",
            hint="map a session or user column in both",
        )  # fmt: skip


def refuse_unlike_evidence(a: State, b: State) -> None:
    """What one source cannot tell the sum cannot tell either, but the other's part of it could be."""
    unlike = [k for k in sorted({*a.evidence, *b.evidence}) if a.evidence.get(k) != b.evidence.get(k)]
    if unlike:
        raise UsageError(
            "the sources of the states declare different evidence", code="HG1607", where=", ".join(unlike),
            value="; ".join(f"{k}: {a.evidence.get(k)} and {b.evidence.get(k)}" for k in unlike),
            hint="build both with the same --evidence: what the weaker one can tell",
        )  # fmt: skip


def refuse_overflow(a: State, b: State) -> None:
    """Every counter is at most the sum of all events, or of all dwell."""
    for name in a.tables:
        most = sum(float(s.tables[name].values.sum(axis=0, dtype=np.float64).max(initial=0)) for s in (a, b))
        if most >= MOST:
            raise LimitError(
                "the sum does not fit a 64-bit counter", code="HG4104", where=name, value=f"{most:.3g}",
                expected=f"less than {MOST:.3g}", hint="merge fewer states",
            )  # fmt: skip


def refuse_unlike_columns(a: State, b: State) -> None:
    """One has counted maps, users, scrolls or friction, and the other had no columns for them."""
    ids = [k for k in {*a.tables} & {*b.tables} if (a.tables[k].ids is None) != (b.tables[k].ids is None)]
    unlike = sorted({name.partition("|")[0] for name in {*a.tables} ^ {*b.tables}})
    if set(a.maps) != set(b.maps) or ids or unlike:
        what = ("users", "user") if ids else (unlike[0], unlike[0]) if unlike else ("maps", "x, y")
        raise UsageError(
            f"one state has {what[0]} and the other has none", code="HG1606", where=what[1],
            hint="map the same columns in both, or plan without them",
        )  # fmt: skip


def refuse_overlap(a: State, b: State) -> None:
    """The same input twice, or a session in both, would be counted twice."""
    twice = [str(i["name"]) for i in a.inputs if i in b.inputs]
    if twice:
        raise UsageError(
            "the same input is in both states", code="HG1604", where="inputs", value=", ".join(twice[:5]),
            expected="inputs that differ", hint="merge states of different files",
        )  # fmt: skip
    of_a, of_b = ids_of(a), ids_of(b)
    if of_a is None or of_b is None:
        return
    both = len(of_a) + len(of_b) - len(np.unique(np.concatenate([of_a, of_b]), axis=0))
    if both:
        raise UsageError(
            "some sessions are in both states", code="HG1605", where="session", value=f"{both:,} sessions",
            expected="states that were cut between sessions: their dwell, visits and distinct counts would be wrong",
            hint="build one state from all the files: heatgrid build A B -o AB.heat",
        )  # fmt: skip


def _union(a: State, b: State) -> Ints | None:
    if a.session_ids is None or b.session_ids is None:
        return None
    return np.concatenate([a.session_ids, b.session_ids])


def _bounds(a: State, b: State) -> tuple[int, int] | None:
    found = [x for x in (a.bounds, b.bounds) if x is not None]
    return (min(x[0] for x in found), max(x[1] for x in found)) if found else None


def recoded(state: State, part: Table | Maps | Paths, names: dict[str, list[str]]) -> Ints:
    keys = part.keys.copy()
    for d, dim in enumerate(part.dims):
        place = {name: i for i, name in enumerate(names[dim])}
        recode = np.array([place[name] for name in state.names[dim]], np.int64)
        keys[:, d] = recode[keys[:, d]] if len(recode) else keys[:, d]
    return keys


def _group(rows: Ints) -> tuple[Ints, npt.NDArray[np.intp]]:
    """Distinct rows, and for each row the number of its distinct one."""
    if rows.shape[1] == 0:
        return rows[:1], np.zeros(len(rows), np.intp)
    distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
    return distinct, inverse.reshape(-1)


def _merge_tables(a: State, b: State, name: str, names: dict[str, list[str]]) -> Table:
    ta, tb = a.tables[name], b.tables[name]
    return _sum(ta, tb, recoded(a, ta, names), recoded(b, tb, names))


def _sum(ta: Table, tb: Table, keys_a: Ints, keys_b: Ints) -> Table:
    """Both tables in one; keys: theirs in the names of the sum."""
    keys, place = _group(np.concatenate([keys_a, keys_b]))
    values = np.zeros((len(keys), len(ta.fields)), np.int64)
    np.add.at(values, place, np.concatenate([ta.values, tb.values]))
    shift = len(ta.keys)
    entries = np.concatenate([ta.histogram, tb.histogram + np.array([shift, 0, 0])])
    entries[:, 0] = place[entries[:, 0]]
    cells, cell_place = _group(entries[:, :2])
    counts = np.zeros(len(cells), np.int64)
    np.add.at(counts, cell_place, entries[:, 2])
    ids = None
    if ta.ids is not None and tb.ids is not None:
        ids = np.concatenate([ta.ids, tb.ids + np.array([shift, 0, 0])])
        ids[:, 0] = place[ids[:, 0]]
        ids = np.unique(ids, axis=0) if len(ids) else ids
    return Table(ta.dims, ta.fields, keys, values, np.column_stack([cells, counts]), ids)


def narrowed(table: Table, dims: tuple[str, ...]) -> Table:
    """The sums over all dimensions but ``dims``; what a key has beyond its dimensions stays."""
    kept = [d for d in range(table.keys.shape[1]) if d >= len(table.dims) or table.dims[d] in dims]
    keys = table.keys[:, kept]
    part = replace(table, dims=tuple(d for d in table.dims if d in dims), ids=None)
    none = replace(part, values=table.values[:0], histogram=table.histogram[:0], keys=keys[:0])
    return _sum(replace(part, keys=keys), none, keys, keys[:0])


def _merge_maps(a: State, b: State, name: str, names: dict[str, list[str]]) -> Maps:
    ma, mb = a.maps[name], b.maps[name]
    keys, place = _group(np.concatenate([recoded(a, ma, names), recoded(b, mb, names)]))
    values = np.zeros((len(keys), ma.values.shape[1]), np.int64)
    both = np.concatenate([ma.values, mb.values])
    np.add.at(values, place, both)
    values[:, 2] = 0
    np.maximum.at(values[:, 2], place, both[:, 2])
    tiles = np.concatenate([ma.tiles, mb.tiles + np.array([len(ma.keys), 0])])
    tiles[:, 0] = place[tiles[:, 0]]
    tiles, tile_place = _group(tiles)
    wide = np.int64 if values[:, 0].sum() >= 2**32 else np.uint32
    counts = np.zeros((len(tiles), *ma.counts.shape[1:]), wide)
    for part, start in ((ma, 0), (mb, len(ma.tiles))):
        rows = tile_place[start : start + len(part.tiles)]
        counts[rows] += part.counts.astype(wide, copy=False)
    told = None
    if ma.widths is not None and mb.widths is not None:
        told = widths.combined(np.concatenate([ma.widths, mb.widths]), place, len(keys))
    return Maps(ma.dims, keys, values, tiles, counts, told)


def _merge_paths(a: State, b: State, name: str, names: dict[str, list[str]]) -> Paths:
    from heatgrid.states.paths import merge_paths

    pa, pb = a.paths[name], b.paths[name]
    out, rows = merge_paths(pa, pb, recoded(a, pa, names), recoded(b, pb, names))
    if pa.split is not None and pb.split is not None:
        keys = []
        for state, split, place in ((a, pa.split, rows[0]), (b, pb.split, rows[1])):
            keys.append(recoded(state, split, names))
            keys[-1][:, -1] = place[keys[-1][:, -1]]
        out.split = _sum(pa.split, pb.split, *keys)
    return out
