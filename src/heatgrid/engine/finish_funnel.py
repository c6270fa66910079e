"""The funnel to tables: its steps with rates, times and where those went who left; what is small is withheld."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heatgrid.engine import refuse
from heatgrid.engine.finish import UNLOCK, lines, percentiles, visible_rows
from heatgrid.engine.finish_journeys import EXIT, counted, dims_of, names_of, tail_of
from heatgrid.states.merge import narrowed
from heatgrid.states.state import Ints, State, Table
from heatgrid.words.errors import UsageError


def funnel_table(state: State, by: bool = False, every: bool = False) -> pa.Table:
    """One row a step: step, name, sessions, rate_first, rate_previous, p50_ms (since the step before), left, exits,
    next_page and next_sessions (where most of those who left went), last_feature and last_sessions.

    Numbers of fewer than min_sessions sessions are null, and so is the step after, where the two would give away how
    few have left. by, every : by segment and period, which come first: those of a session's first row of the first
    step.
    """
    _refuse_funnel(state)
    dims = dims_of(state, by, every)
    table = _part(state, "funnel", dims)
    n = len(state.plan.funnel_steps)
    groups, member = np.unique(table.keys[:, :-1], axis=0, return_inverse=True)
    groups = groups if dims else np.zeros((1, 0), np.int64)
    at = (member.reshape(-1) if dims else 0, table.keys[:, -1])
    values = np.zeros((len(groups), n, len(table.fields)), np.int64)
    values[at] = table.values
    found = np.full((len(groups), n), -1, np.int64)
    found[at] = percentiles(table, (50,))[:, 0]
    reached, left, exits = (values[:, :, f] for f in range(3))
    hidden, hidden_left = _small(state, groups, reached, left)
    first = np.maximum(reached[:, :1], 1)
    before = np.concatenate([reached[:, :1], reached[:, :-1]], axis=1)
    reserved = ("step", "name", "sessions", "left", "exits")
    columns: dict[str, Any] = dict(names_of(state, dims, np.repeat(groups, n, axis=0), reserved))

    def column(counts: Any, mask: Any) -> pa.Array:
        return pa.array(counts.reshape(-1), mask=np.broadcast_to(mask, counts.shape).reshape(-1))

    columns |= {
        "step": pa.array(np.tile(np.arange(1, n + 1), len(groups))),
        "name": pa.array([step.name for step in state.plan.funnel_steps] * len(groups), pa.string()),
        "sessions": column(reached, hidden),
        "rate_first": column(reached / first, hidden | (reached[:, :1] == 0)),
        "rate_previous": column(reached / np.maximum(before, 1), hidden | (before == 0)),
        "p50_ms": column(found, hidden | (found < 0)),
        "left": column(left, hidden_left),
        "exits": column(exits, hidden_left | _few(state, exits) | _few(state, left - exits)),
    }
    drops = _drops(state, dims)
    for name, of, what in (("next", "page", "next page"), ("last", "feature", "last feature")):
        best = {(*row[:-4], row[-4]): row for row in reversed(drops) if row[-3] == what}
        wanted = [(*group, step) for group in groups.tolist() for step in range(1, n + 1)]
        most = [best.get(key) for key in wanted]
        columns[f"{name}_{of}"] = pa.array([row and row[-2] for row in most], pa.string())
        columns[f"{name}_sessions"] = pa.array([row and row[-1] for row in most], pa.int64())
    return pa.table(columns)


def drop_offs_table(state: State, by: bool = False, every: bool = False) -> pa.Table:
    """Where sessions went that left at a step: step, what (next page, last feature clicked), name, sessions; by segment
    and period where asked for."""
    _refuse_funnel(state)
    dims = dims_of(state, by, every)
    rows = _drops(state, dims)
    types = {"step": pa.int64(), "what": pa.string(), "name": pa.string(), "sessions": pa.int64()}
    groups = np.array([row[:-4] for row in rows], np.int64).reshape(len(rows), len(dims))
    columns: dict[str, Any] = dict(names_of(state, dims, groups, tuple(types)))
    columns |= {name: pa.array([r[len(dims) + i] for r in rows], t) for i, (name, t) in enumerate(types.items())}
    return pa.table(columns)


def _part(state: State, name: str, dims: tuple[str, ...]) -> Table:
    """A table of the funnel, split by these dimensions."""
    if not dims:
        return state.tables[name]
    table = state.tables[name + tail_of(dims_of(state, True, True))]
    return narrowed(table, (*(dim for dim in table.dims if dim in ("page", "feature")), *dims))


def _drops(state: State, dims: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """(groups' codes, step, what, name, sessions) of those who left, by group, step, what, sessions, then name."""
    table = _part(state, "funnel", dims)
    rows: list[tuple[Any, ...]] = []
    for (*group, step), values in zip(table.keys.tolist(), table.values.tolist(), strict=True):
        rows += [(*group, step + 1, "next page", EXIT, values[2])]
        rows += [(*group, step + 1, "last feature", "(none)", values[3])]
    for thing, what in (("page", "next page"), ("feature", "last feature")):
        part, names = _part(state, f"funnel|{thing}", dims), state.names[thing]
        for (code, *group, step), (count,) in zip(part.keys.tolist(), part.values.tolist(), strict=True):
            rows.append((*group, step + 1, what, names[code], count))
    rows = [row for row in rows if row[-1]]
    if dims and state.plan.min_sessions > 1:
        # the same in all groups: one alone that is withheld could be told from the whole
        number = {key: i for i, key in enumerate(sorted({row[-4:-1] for row in rows}))}
        keys = np.array([(*row[:-4], number[row[-4:-1]]) for row in rows], np.int64)
        kept = visible_rows(state, counted(keys, np.array([row[-1] for row in rows], np.int64)))
        rows = [rows[i] for i in kept.tolist()]
    k = max(state.plan.min_sessions, 1)
    shown = [row for row in rows if row[-1] >= k]
    return sorted(shown, key=lambda r: (r[:-4], r[-4], r[-3] != "next page", -r[-1], r[-2]))


def _few(state: State, counts: Ints) -> npt.NDArray[np.bool_]:
    k = state.plan.min_sessions
    few: npt.NDArray[np.bool_] = (counts > 0) & (counts < k)
    return few


def _small(
    state: State, groups: Ints, reached: Ints, left: Ints
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """What is not shown of (groups, steps) sessions that reached a step, and that left there."""
    hidden = _few(state, reached)
    hidden_left = _few(state, left) | hidden
    along = lines(groups) if len(groups) > 1 else []
    before = -1
    while before != (before := int(hidden.sum() + hidden_left.sum())):
        hidden_left |= hidden
        # reached[k] - reached[k + 1] = left[k]: of the three none is withheld alone
        here, after, gone = hidden[:, :-1], hidden[:, 1:], hidden_left[:, :-1]
        gone |= after
        after |= gone & ~here & (reached[:, 1:] > 0)
        for line in along:
            for mask, counts in ((hidden, reached), (hidden_left, left)):
                _hide_another(mask, counts, line)
    return hidden, hidden_left


def _hide_another(mask: npt.NDArray[np.bool_], counts: Ints, line: npt.NDArray[np.intp]) -> None:
    """Where one group alone of a line is withheld at a step, the next smallest goes with it."""
    for step in range(counts.shape[1]):
        there = line[counts[line, step] > 0]
        shown = there[~mask[there, step]]
        if len(shown) == len(there) - 1 and len(shown):
            mask[shown[np.argmin(counts[shown, step])], step] = True


def _refuse_funnel(state: State) -> None:
    refuse.check(state, "funnel")
    if "funnel" not in state.tables:
        without = state.session_ids is None and bool(state.plan.funnel_steps)
        raise UsageError(
            "there is no funnel", code="HG1507", where="funnel",
            hint=f"needs {UNLOCK}" if without else "funnel=['pageview:/', 'pageview:/pricing'] in the plan",
        )  # fmt: skip
