"""Friction of a state: which rules its source could not serve, and what was flagged as columns of other tables."""

from __future__ import annotations

import numpy as np

from heatgrid.engine import refuse
from heatgrid.states.state import Ints, State, Table
from heatgrid.words.friction import Rule, missing

FAMILIES = ("rage", "dead", "error")
"""Families that are columns of the tables of features and pages."""


def refused(state: State) -> dict[str, str]:
    """Rules of the plan that cannot be trusted on this source: what is missing, and what would unlock it."""
    if not state.plan.rules:
        return {}
    kinds = _kinds(state)
    areas, sessions = bool(state.plan.area_list), state.session_ids is not None
    reacts = refuse.reacts(state)
    found = {
        rule.name: missing(rule, has=state.has, kinds=kinds, sessions=sessions, areas=areas, reacts=reacts)
        or refuse.of_rule(state, rule)
        for rule in state.plan.rules
    }
    return {name: why for name, why in found.items() if why is not None}


def refusals(state: State) -> list[str]:
    """The same as lines for people."""
    by_reason: dict[str, list[str]] = {}
    for name, why in refused(state).items():
        by_reason.setdefault(why, []).append(name)
    return [f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} off: {why}" for why, names in by_reason.items()]


def served(state: State) -> list[Rule]:
    off = refused(state)
    return [rule for rule in state.plan.rules if rule.name not in off]


def column_rules(state: State) -> dict[str, Rule | None]:
    """The first rule of each family that the plan has; None where all of a family are refused."""
    able = served(state)
    asked = {rule.family for rule in state.plan.rules}
    return {f: next((rule for rule in able if rule.family == f), None) for f in FAMILIES if f in asked}


def columns_of(state: State, name: str) -> dict[str, Ints]:
    """Flagged clicks by family for each row of a table of features or pages; -1: refused, or withheld."""
    table = state.tables[name]
    thing, _, grouping = name.partition("|")
    source = state.tables.get("|".join(("friction", *([grouping] if grouping else []))))
    if source is None:
        return {family: np.full(len(table.keys), -1, np.int64) for family in column_rules(state)}
    first = source.keys[:, 1]
    if thing == "features":
        place = {feature: i for i, feature in enumerate(state.names["feature"])}
        first = np.array([place.get(target, -1) for target in state.names["target"]], np.int64)[source.keys[:, 2]]
    return _by_family(state, source, np.column_stack([first, source.keys[:, 3:]]), table.keys)


def flagged_at(state: State, table: Table) -> dict[str, Ints]:
    """The same for a table of page, segments, period and feature."""
    own = table.dims[1:-1]
    extras = [*(["segment"] if own[:1] not in ((), ("period",)) else []), *(["period"] if "period" in own else [])]
    source = state.tables.get("|".join(("friction", *extras)))
    if source is None:
        return {family: np.full(len(table.keys), -1, np.int64) for family in column_rules(state)}
    place = {feature: i for i, feature in enumerate(state.names["feature"])}
    feature = np.array([place.get(target, -1) for target in state.names["target"]], np.int64)[source.keys[:, 2]]
    keys = np.column_stack([source.keys[:, 1], source.keys[:, 3:], feature])
    return _by_family(state, source, keys, table.keys)


def _by_family(state: State, source: Table, keys: Ints, wanted: Ints) -> dict[str, Ints]:
    """Flagged clicks of a friction table, whose rows have these keys, for each of the keys wanted."""
    out = {family: np.full(len(wanted), -1, np.int64) for family in column_rules(state)}
    sessions = source.values[:, source.fields.index("sessions")]
    flagged = source.values[:, source.fields.index("flagged")]
    row_of = {key: i for i, key in enumerate(map(tuple, wanted.tolist()))}
    row = np.array([row_of.get(key, -1) for key in map(tuple, keys.tolist())], np.int64)
    for family, rule in column_rules(state).items():
        if rule is None or rule.name not in state.names["rule"]:
            out[family][:] = 0 if rule is not None else -1
            continue
        mine = (source.keys[:, 0] == state.names["rule"].index(rule.name)) & (row >= 0)
        out[family] = np.bincount(row[mine], flagged[mine], len(wanted)).astype(np.int64)
        few = mine & (flagged > 0) & (sessions < state.plan.min_sessions)
        out[family][row[few]] = -1
    return out


def _kinds(state: State) -> list[str]:
    return [state.names["kind"][int(k)] for k in state.tables["kinds"].keys[:, 0]]
