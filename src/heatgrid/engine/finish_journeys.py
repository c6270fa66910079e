"""Journeys to tables: transitions with their shares, top paths, the step matrix, the funnel with its drop-offs."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heatgrid.cpu import trie
from heatgrid.engine import refuse
from heatgrid.engine.finish import UNLOCK, percentiles, visible_rows
from heatgrid.states.state import Ints, State
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


def transitions_table(state: State, of: str | None = None) -> pa.Table:
    """One row a pair that occurs: from, to, count, sessions, p_out, p_in, p50_ms, p95_ms; by count, then names."""
    of = chosen(state, "transitions", of)
    table = state.tables[f"transitions|{of}"]
    names = np.array(state.names[of.removesuffix("s")], object)
    edge, count = table.keys[:, 2], table.values[:, 0]
    # an entry comes from the node -1, an exit goes to it
    ends = [np.where(edge == 1, -1, table.keys[:, 0]), np.where(edge == 2, -1, table.keys[:, 1])]
    shares = []
    for node in ends:
        _, group = np.unique(node, return_inverse=True)
        all_of_node = np.zeros(len(node), np.int64)
        np.add.at(all_of_node, group.reshape(-1), count)
        shares.append(count / np.maximum(all_of_node[group.reshape(-1)], 1))
    found = percentiles(table, (50, 95))
    # what leads out of a node, entry too, adds up to a known number, and so does what leads into one
    kept = visible_rows(state, replace(table, keys=np.column_stack(ends)))
    columns: dict[str, Any] = {
        name: pa.array([outside if k < 0 else names[k] for k in node[kept]], pa.string())
        for name, node, outside in (("from", ends[0], ENTRY), ("to", ends[1], EXIT))
    }
    columns["count"] = pa.array(count[kept])
    columns["sessions"] = pa.array(table.values[kept, 1])
    columns["p_out"] = pa.array(shares[0][kept], pa.float64())
    columns["p_in"] = pa.array(shares[1][kept], pa.float64())
    for p, name in enumerate(("p50_ms", "p95_ms")):
        columns[name] = pa.array(found[kept, p], mask=found[kept, p] < 0)
    order = [("count", "descending"), ("from", "ascending"), ("to", "ascending")]
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


def paths_table(state: State, of: str | None = None, top: int | None = None) -> pa.Table:
    """One row a whole path of sessions: path, steps, sessions, share; by sessions, then by the names of its steps.

    top : so many rows, and one more, (other), for all that are left or withheld.
    """
    of = chosen(state, "paths", of)
    paths = state.paths[of]
    ended = np.flatnonzero(paths.ended)
    all_sessions = int(paths.ended.sum())
    ranked = ended[np.argsort(-paths.ended[ended], kind="stable")]
    if state.plan.min_sessions > 1:
        shown = int((paths.ended[ranked] >= state.plan.min_sessions).sum())
        # a rest below the limit takes the next smallest path with it
        while shown and 0 < int(paths.ended[ranked[shown:]].sum()) < state.plan.min_sessions:
            shown -= 1
        ranked = ranked[:shown]
    ranked = ranked if top is None else ranked[:top]
    names = state.names[of.removesuffix("s")]
    texts: list[str] = []
    steps: list[int | None] = []
    for node in ranked.tolist():
        path: list[str] = []
        while node >= 0:
            path.append(names[int(paths.keys[node, 0])])
            node = int(paths.parents[node])
        texts.append(JOIN.join(reversed(path)))
        steps.append(len(path))
    sessions = paths.ended[ranked].tolist()
    if sum(sessions) < all_sessions:
        texts.append(OTHER)
        steps.append(None)
        sessions.append(all_sessions - sum(sessions))
    return pa.table(
        {
            "path": pa.array(texts, pa.string()),
            "steps": pa.array(steps, pa.int64()),
            "sessions": pa.array(sessions, pa.int64()),
            "share": pa.array([n / all_sessions for n in sessions], pa.float64()),
        }
    )


def step_counts(state: State, of: str, steps: int) -> tuple[list[str], Ints]:
    """Names and sessions (names + exit, steps): who is where at step 1, 2, ...; the last row: whose path has ended.

    The others by total, then name; cells of fewer than min_sessions sessions are 0.
    """
    paths = state.paths[of]
    through = paths.ended.copy()
    depth = np.zeros(len(through), np.int64)
    trie.passed(paths.parents, through, depth)
    names = state.names[of.removesuffix("s")]
    counts = np.zeros((len(names) + 1, steps), np.int64)
    near = depth <= steps
    np.add.at(counts, (paths.keys[near, 0], depth[near] - 1), through[near])
    short = depth < steps
    np.add.at(counts, (np.full(short.sum(), len(names)), depth[short]), paths.ended[short])
    counts[-1] = np.cumsum(counts[-1])
    counts[counts < state.plan.min_sessions] = 0
    # the names are sorted, and exit stays the last
    total = np.append(counts[:-1].sum(axis=1), -1)
    order = np.argsort(-total, kind="stable")
    order = order[counts[order].any(axis=1)]
    return [[*names, EXIT][i] for i in order.tolist()], counts[order]


def funnel_table(state: State) -> pa.Table:
    """One row a step: step, name, sessions, rate_first, rate_previous, p50_ms (since the step before), left, exits,
    next_page and next_sessions (where most of those who left went), last_feature and last_sessions.

    Numbers of fewer than min_sessions sessions are null, and so is the step after, where the two would give away how
    few have left.
    """
    _refuse_funnel(state)
    table = state.tables["funnel"]
    n = len(state.plan.funnel_steps)
    values = np.zeros((n, len(table.fields)), np.int64)
    values[table.keys[:, 0]] = table.values
    found = np.full(n, -1, np.int64)
    found[table.keys[:, 0]] = percentiles(table, (50,))[:, 0]
    reached, left, exits, _ = values.T
    hidden, hidden_left = _small(state, reached, left)
    first = max(int(reached[0]), 1) if n else 1
    before = np.maximum(np.concatenate([reached[:1], reached[:-1]]), 1)
    after = [_most(state, thing, n) for thing in ("page", "feature")]
    columns: dict[str, Any] = {
        "step": pa.array(np.arange(1, n + 1)),
        "name": pa.array([step.name for step in state.plan.funnel_steps], pa.string()),
        "sessions": pa.array(reached, mask=hidden),
        "rate_first": pa.array(reached / first, mask=hidden | (reached[0] == 0)),
        "rate_previous": pa.array(reached / before, mask=hidden | (np.concatenate([reached[:1], reached[:-1]]) == 0)),
        "p50_ms": pa.array(found, mask=hidden | (found < 0)),
        "left": pa.array(left, mask=hidden_left),
        "exits": pa.array(exits, mask=hidden_left | _few(state, exits) | _few(state, left - exits)),
    }
    for (name, of), (who, how_many) in zip((("next", "page"), ("last", "feature")), after, strict=True):
        columns[f"{name}_{of}"] = pa.array(who, pa.string())
        columns[f"{name}_sessions"] = pa.array(how_many, pa.int64())
    return pa.table(columns)


def drop_offs_table(state: State) -> pa.Table:
    """Where sessions went that left at a step: step, what (next page, last feature clicked), name, sessions."""
    _refuse_funnel(state)
    table = state.tables["funnel"]
    rows: list[tuple[int, str, str, int]] = []
    for step, values in zip(table.keys[:, 0].tolist(), table.values.tolist(), strict=True):
        rows += [(step + 1, "next page", EXIT, values[2]), (step + 1, "last feature", "(none)", values[3])]
    for thing, what in (("page", "next page"), ("feature", "last feature")):
        part = state.tables[f"funnel|{thing}"]
        names = state.names[thing]
        for (code, step), (count,) in zip(part.keys.tolist(), part.values.tolist(), strict=True):
            rows.append((step + 1, what, names[code], count))
    k = max(state.plan.min_sessions, 1)
    rows = sorted((row for row in rows if row[3] >= k), key=lambda r: (r[0], r[1] != "next page", -r[3], r[2]))
    types = {"step": pa.int64(), "what": pa.string(), "name": pa.string(), "sessions": pa.int64()}
    return pa.table({name: pa.array([r[i] for r in rows], t) for i, (name, t) in enumerate(types.items())})


def retention_table(state: State) -> pa.Table:
    """cohort (day or week first seen), after (days or weeks), users (of the cohort), returned, rate.

    Every ``after`` up to the last period of the input. Cohorts of fewer than min_sessions users are left out, fewer
    that returned are null.
    """
    table = state.tables.get("retention")
    if table is None or table.ids is None:
        raise UsageError(
            "retention was not counted", code="HG1508", where="retention",
            hint="a user column (--map user=COLUMN)" if table else "retention='week' in the plan",
        )  # fmt: skip
    weekly = state.plan.retention == "week"
    labels = [state.names["cohort"][code] for code in table.keys[:, 0].tolist()]
    place = np.array([_ordinal(label, weekly) for label in labels], np.int64)
    named = dict(zip(place.tolist(), labels, strict=True))
    _, who = np.unique(table.ids[:, 1:], axis=0, return_inverse=True)
    when = place[table.ids[:, 0]]
    last = int(place.max(initial=0))
    first = np.full(int(who.max(initial=-1)) + 1, last, np.int64)
    np.minimum.at(first, who.reshape(-1), when)
    rows: list[tuple[str, int, int, int | None]] = []
    k = state.plan.min_sessions
    cohorts, sizes = np.unique(first, return_counts=True)
    for cohort, size in zip(cohorts.tolist(), sizes.tolist(), strict=True):
        mine = first[who.reshape(-1)] == cohort
        returned = np.bincount(when[mine] - cohort, minlength=last - cohort + 1).tolist()
        if size >= k:
            rows += [(named[cohort], n, size, None if 0 < r < k else r) for n, r in enumerate(returned)]
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    rate = [None if r is None else r / size for _, _, size, r in rows]
    types = {"cohort": pa.string(), "after": pa.int64(), "users": pa.int64(), "returned": pa.int64()}
    made = {name: pa.array(values, kind) for (name, kind), values in zip(types.items(), columns, strict=True)}
    return pa.table(made | {"rate": pa.array(rate, pa.float64())})


def _ordinal(label: str, weekly: bool) -> int:
    """Days since the year 1, or weeks."""
    if weekly:
        year, week = label.split("-W")
        return date.fromisocalendar(int(year), int(week), 1).toordinal() // 7
    return date.fromisoformat(label).toordinal()


def _most(state: State, thing: str, steps: int) -> tuple[list[str | None], list[int | None]]:
    """What most of those who left at each step did next (the exit included), or clicked last."""
    rows = drop_offs_table(state).to_pylist()
    what = "next page" if thing == "page" else "last feature"
    best = {row["step"]: row for row in reversed(rows) if row["what"] == what}
    found = [best.get(step) for step in range(1, steps + 1)]
    return [row and row["name"] for row in found], [row and row["sessions"] for row in found]


def _few(state: State, counts: Ints) -> npt.NDArray[np.bool_]:
    k = state.plan.min_sessions
    few: npt.NDArray[np.bool_] = (counts > 0) & (counts < k)
    return few


def _small(state: State, reached: Ints, left: Ints) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    hidden = _few(state, reached)
    hidden_left = _few(state, left) | hidden
    # reached[k] - reached[k + 1] = left[k]
    hidden[1:] |= hidden_left[:-1] & (reached[1:] > 0)
    return hidden, hidden_left | hidden


def _refuse_funnel(state: State) -> None:
    refuse.check(state, "funnel")
    if "funnel" not in state.tables:
        without = state.session_ids is None and bool(state.plan.funnel_steps)
        raise UsageError(
            "there is no funnel", code="HG1507", where="funnel",
            hint=f"needs {UNLOCK}" if without else "funnel=['pageview:/', 'pageview:/pricing'] in the plan",
        )  # fmt: skip
