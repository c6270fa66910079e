"""Journeys to tables: transitions with their shares, top paths, the step matrix, retention."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heatgrid.cpu import trie
from heatgrid.engine import refuse
from heatgrid.engine.finish import UNLOCK, free_name, percentiles, visible_rows
from heatgrid.states.merge import narrowed
from heatgrid.states.state import Ints, State, Table, sort_rows
from heatgrid.words.errors import UsageError
from heatgrid.words.plan import JOURNEYS

ENTRY, EXIT, OTHER = "(entry)", "(exit)", "(other)"
JOIN = " > "


def chosen(state: State, what: str, of: str | None) -> str:
    """``pages`` or ``features``: the one that is asked for, or else the first that the plan has."""
    refuse.check(state, what)
    planned = [name for name in JOURNEYS if name in getattr(state.plan, what)]
    if state.session_ids is None:
        raise UsageError(f"{what} were not counted", code="HG1506", where=what, hint=f"needs {UNLOCK}")
    if not planned or of not in (None, *planned):
        raise UsageError(
            f"the plan has no {what} of {of or 'pages or features'}", code="HG1506", where=what, value=of,
            expected=" or ".join(planned) or f"{what}=('pages',) in the plan",
            hint=f"run with {what}=('{of or 'pages'}',)",
        )  # fmt: skip
    return of or planned[0]


def dims_of(state: State, by: bool, every: bool) -> tuple[str, ...]:
    """The dimensions by which a table is to be split, of those of the plan."""
    segments = [f"by:{name}" for name in state.plan.by] if by else []
    return (*segments, *(["period"] if every and state.plan.every else []))


def tail_of(dims: tuple[str, ...]) -> str:
    """What stands behind a table's name for its dimensions."""
    segment, period = any(d != "period" for d in dims), "period" in dims
    return "|segment" * segment + "|period" * period


def names_of(state: State, dims: tuple[str, ...], keys: Ints, reserved: tuple[str, ...]) -> dict[str, pa.Array]:
    """A column of names for each dimension."""
    columns: dict[str, pa.Array] = {}
    for d, dim in enumerate(dims):
        names = np.array(state.names[dim], object)
        columns[free_name(dim, columns, reserved)] = pa.array(names[keys[:, d]], pa.string())
    return columns


def counted(keys: Ints, sessions: Ints) -> Table:
    """Sessions by key, as a table whose small rows can be told from each other."""
    return Table((), ("sessions",), keys, sessions[:, None], np.zeros((0, 3), np.int64))


def transitions_table(state: State, of: str | None = None, by: bool = False, every: bool = False) -> pa.Table:
    """One row a pair that occurs: from, to, count, sessions, p_out, p_in, p50_ms, p95_ms; by count, then names.

    by, every : by segment and period, which come first: those of the row that comes to a page; an exit's are those of
    the last step. Shares are within one.
    """
    of = chosen(state, "transitions", of)
    dims = dims_of(state, by, every)
    table = state.tables[f"transitions|{of}{tail_of(dims)}"]
    names = np.array(state.names[of.removesuffix("s")], object)
    edge, count, groups = table.keys[:, -1], table.values[:, 0], table.keys[:, 2:-1]
    # an entry comes from the node -1, an exit goes to it
    ends = [np.where(edge == 1, -1, table.keys[:, 0]), np.where(edge == 2, -1, table.keys[:, 1])]
    shares = []
    for node in ends:
        _, group = np.unique(np.column_stack([node, groups]), axis=0, return_inverse=True)
        all_of_node = np.zeros(len(node), np.int64)
        np.add.at(all_of_node, group.reshape(-1), count)
        shares.append(count / np.maximum(all_of_node[group.reshape(-1)], 1))
    found = percentiles(table, (50, 95))
    # what leads out of a node, entry too, adds up to a known number, and so does what leads into one
    kept = visible_rows(state, replace(table, keys=np.column_stack([*ends, groups])))
    reserved = ("from", "to", "count", "sessions", "p_out", "p_in", "p50_ms", "p95_ms")
    columns: dict[str, Any] = dict(names_of(state, dims, groups[kept], reserved))
    order = [(name, "ascending") for name in columns]
    for name, node, outside in (("from", ends[0], ENTRY), ("to", ends[1], EXIT)):
        columns[name] = pa.array([outside if k < 0 else names[k] for k in node[kept]], pa.string())
    columns["count"] = pa.array(count[kept])
    columns["sessions"] = pa.array(table.values[kept, 1])
    columns["p_out"] = pa.array(shares[0][kept], pa.float64())
    columns["p_in"] = pa.array(shares[1][kept], pa.float64())
    for p, name in enumerate(("p50_ms", "p95_ms")):
        columns[name] = pa.array(found[kept, p], mask=found[kept, p] < 0)
    order += [("count", "descending"), ("from", "ascending"), ("to", "ascending")]
    return pa.table(columns).sort_by(order)


def transition_counts(state: State, of: str, top: int) -> tuple[list[str], list[str], Ints, Ints]:
    """(from names, to names, count, sessions) of the ``top`` nodes that are left, and come to, most often."""
    rows = transitions_table(state, of).select(["from", "to", "count", "sessions"]).to_pylist()
    sums: list[dict[str, int]] = [{}, {}]
    for row in rows:
        for total, way in zip(sums, ("from", "to"), strict=True):
            total[row[way]] = total.get(row[way], 0) + row["count"]
    shown = [sorted(total, key=lambda name, t=total: (-t[name], name))[:top] for total in sums]  # type: ignore[misc]
    places = [{name: i for i, name in enumerate(names)} for names in shown]
    found = np.zeros((2, len(shown[0]), len(shown[1])), np.int64)
    for row in rows:
        a, b = places[0].get(row["from"]), places[1].get(row["to"])
        if a is not None and b is not None:
            found[:, a, b] += row["count"], row["sessions"]
    return shown[0], shown[1], found[0], found[1]


def paths_table(
    state: State, of: str | None = None, top: int | None = None, by: bool = False, every: bool = False
) -> pa.Table:
    """One row a whole path of sessions: path, steps, sessions, share; by sessions, then by the names of its steps.

    top : so many rows, and one more, (other), for all that are left or withheld. by, every : by segment and period,
    which come first: those of the first step.
    """
    of = chosen(state, "paths", of)
    paths, dims = state.paths[of], dims_of(state, by, every)
    ended = np.flatnonzero(paths.ended)
    table = counted(ended[:, None], paths.ended[ended])
    if dims and paths.split is not None:
        table = narrowed(paths.split, dims)
    groups, member = np.unique(table.keys[:, :-1], axis=0, return_inverse=True)
    member, counts = member.reshape(-1), table.values[:, 0]
    seen = _paths_seen(state, table, member)
    names = state.names[of.removesuffix("s")]
    rows: list[tuple[int, str, int | None, int, float]] = []
    for g in range(len(groups)):
        mine = np.flatnonzero(member == g)
        all_sessions = int(counts[mine].sum())
        ranked = mine[seen[mine]]
        ranked = ranked[np.argsort(-counts[ranked], kind="stable")][:top]
        for node, sessions in zip(table.keys[ranked, -1].tolist(), counts[ranked].tolist(), strict=True):
            path: list[str] = []
            while node >= 0:
                path.append(names[int(paths.keys[node, 0])])
                node = int(paths.parents[node])
            rows.append((g, JOIN.join(reversed(path)), len(path), sessions, sessions / all_sessions))
        rest = all_sessions - int(counts[ranked].sum())
        if rest:
            rows.append((g, OTHER, None, rest, rest / all_sessions))
    types = {"path": pa.string(), "steps": pa.int64(), "sessions": pa.int64(), "share": pa.float64()}
    columns: dict[str, Any] = dict(names_of(state, dims, groups[[row[0] for row in rows]], tuple(types)))
    columns |= {name: pa.array([row[i] for row in rows], t) for i, (name, t) in enumerate(types.items(), 1)}
    return pa.table(columns)


def _paths_seen(state: State, table: Table, member: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Rows that may be shown: neither a path of few sessions, nor what would tell one, by the rest of a group (of
    fewer than min_sessions) or by the same path in all groups."""
    counts, k = table.values[:, 0], state.plan.min_sessions
    seen = np.ones(len(counts), bool)
    while k > 1:
        now = np.where(seen, counts, 0) >= k
        if table.keys.shape[1] > 1:
            now[:] = False
            now[visible_rows(state, counted(table.keys, np.where(seen, counts, 0)))] = True
        for g in range(int(member.max(initial=-1)) + 1):
            mine = np.flatnonzero(member == g)
            # a rest below the limit takes the next smallest path with it
            while 0 < int(counts[mine[~now[mine]]].sum()) < k and now[mine].any():
                shown = mine[now[mine]]
                now[shown[np.flatnonzero(counts[shown] == counts[shown].min())[-1]]] = False
        if (now == seen).all():
            break
        seen = now
    return seen


def step_counts(state: State, of: str, steps: int) -> tuple[list[str], Ints]:
    """Names and sessions (names + exit, steps): who is where at step 1, 2, ...; the last row: whose path has ended.

    The others by total, then name; cells of fewer than min_sessions sessions are 0.
    """
    counts = _where_at(state, of, steps, state.paths[of].ended)
    counts[counts < state.plan.min_sessions] = 0
    # the names are sorted, and exit stays the last
    total = np.append(counts[:-1].sum(axis=1), -1)
    order = np.argsort(-total, kind="stable")
    order = order[counts[order].any(axis=1)]
    return [[*state.names[of.removesuffix("s")], EXIT][i] for i in order.tolist()], counts[order]


def _where_at(state: State, of: str, steps: int, ended: Ints) -> Ints:
    """(names + exit, steps) sessions; ended : those whose path is that of a row of the tree."""
    paths = state.paths[of]
    through = ended.copy()
    depth = np.zeros(len(through), np.int64)
    trie.passed(paths.parents, through, depth)
    names = state.names[of.removesuffix("s")]
    counts = np.zeros((len(names) + 1, steps), np.int64)
    near = depth <= steps
    np.add.at(counts, (paths.keys[near, 0], depth[near] - 1), through[near])
    short = depth < steps
    np.add.at(counts, (np.full(short.sum(), len(names)), depth[short]), ended[short])
    counts[-1] = np.cumsum(counts[-1])
    return counts


def steps_table(state: State, of: str, steps: int, by: bool, every: bool) -> pa.Table:
    """The step matrix as rows: (segments, period,) step, the name of the thing (or (exit)), sessions; by step, then
    sessions. Rows of fewer than min_sessions sessions, and those that would give them away, are left out."""
    paths, dims = state.paths[of], dims_of(state, by, every)
    thing = of.removesuffix("s")
    found = []
    if dims and paths.split is not None:
        table = narrowed(paths.split, dims)
        groups, member = np.unique(table.keys[:, :-1], axis=0, return_inverse=True)
        for k in range(len(groups)):
            mine = member.reshape(-1) == k
            ended = np.zeros(len(paths.ended), np.int64)
            ended[table.keys[mine, -1]] = table.values[mine, 0]
            found.append(_where_at(state, of, steps, ended))
    else:
        groups, found = np.zeros((1, 0), np.int64), [_where_at(state, of, steps, paths.ended)]
    counts = np.array(found, np.int64).reshape(len(groups), len(state.names[thing]) + 1, steps)
    g, code, step = np.nonzero(counts)
    values = counts[g, code, step]
    kept = visible_rows(state, counted(np.column_stack([groups[g], code, step]), values))
    texts = np.array([*state.names[thing], EXIT], object)
    columns: dict[str, Any] = dict(names_of(state, dims, groups[g[kept]], ("step", thing, "sessions")))
    order = [(name, "ascending") for name in columns]
    columns |= {"step": pa.array(step[kept] + 1), thing: pa.array(texts[code[kept]], pa.string())}
    columns["sessions"] = pa.array(values[kept])
    return pa.table(columns).sort_by([*order, ("step", "ascending"), ("sessions", "descending"), (thing, "ascending")])


def retention_table(state: State, by: bool = False) -> pa.Table:
    """cohort (day or week first seen), after (days or weeks), users (of the cohort), returned, rate.

    Every ``after`` up to the last period of the input. Cohorts of fewer than min_sessions users are left out, fewer
    that returned are null. by : by segment, which comes first: each as if its rows were all there are, so that a user
    of several is in the cohorts of each.
    """
    table = state.tables.get("retention")
    if table is None or table.ids is None:
        raise UsageError(
            "retention was not counted", code="HG1508", where="retention",
            hint="a user column (--map user=COLUMN)" if table else "retention='week' in the plan",
        )  # fmt: skip
    weekly = state.plan.retention == "week"
    dims = dims_of(state, by, False)
    names = state.names["cohort"]
    place = np.array([_ordinal(label, weekly) for label in names], np.int64)[table.keys[:, -1]]
    named = dict(zip(place.tolist(), (names[code] for code in table.keys[:, -1].tolist()), strict=True))
    last = int(place.max(initial=0))
    groups, group = table.keys[:1, :0], np.zeros(len(table.keys), np.int64)
    if dims:
        groups, group = np.unique(table.keys[:, : len(dims)], axis=0, return_inverse=True)
    # (group, user, period) in this order: the first of a user is its cohort
    key = table.ids[:, 0]
    seen = sort_rows(np.column_stack([group.reshape(-1)[key], table.ids[:, 1:], place[key]]))
    new = _changes(seen)
    seen, first = seen[new], _changes(seen[new][:, :3])
    cohort = seen[first, 3][np.cumsum(first) - 1] if len(seen) else seen[:, 3]
    cells, returned = np.unique(
        np.column_stack([seen[:, 0], cohort, seen[:, 3] - cohort]), axis=0, return_counts=True
    )  # fmt: skip
    k = state.plan.min_sessions
    shown = np.zeros(len(cells), bool)
    # of segments a total is shown elsewhere, from which one alone that is withheld would follow
    parts = np.column_stack([groups[cells[:, 0]], cells[:, 1:]])
    shown[visible_rows(state, counted(parts, returned), len(dims)) if dims else np.flatnonzero(returned >= k)] = True
    rows: list[tuple[int, str, int, int, int | None]] = []
    at = {(g, c, n): i for i, (g, c, n) in enumerate(cells.tolist())}
    for g, c in [(g, c) for g, c, n in cells.tolist() if n == 0]:
        whole = at[g, c, 0]
        if shown[whole]:
            for n in range(last - c + 1):
                cell = at.get((g, c, n))
                back = 0 if cell is None else int(returned[cell]) if shown[cell] else None
                rows.append((g, named[c], n, int(returned[whole]), back))
    types = {"cohort": pa.string(), "after": pa.int64(), "users": pa.int64(), "returned": pa.int64()}
    columns: dict[str, Any] = dict(names_of(state, dims, groups[[row[0] for row in rows]], (*types, "rate")))
    columns |= {name: pa.array([row[i] for row in rows], kind) for i, (name, kind) in enumerate(types.items(), 1)}
    rate = [None if back is None else back / size for *_, size, back in rows]
    return pa.table(columns | {"rate": pa.array(rate, pa.float64())})


def _changes(rows: Ints) -> npt.NDArray[np.bool_]:
    """Whether a row is another than the one before it."""
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return new


def _ordinal(label: str, weekly: bool) -> int:
    """Days since the year 1, or weeks."""
    if weekly:
        year, week = label.split("-W")
        return date.fromisocalendar(int(year), int(week), 1).toordinal() // 7
    return date.fromisoformat(label).toordinal()
