"""States to tables: names for codes, percentiles from histograms, small rows withheld. Nothing before this rounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heatgrid.engine import friction, refuse
from heatgrid.states.state import FRICTION_FIELDS, MAP_FIELDS, RULE_FIELDS, USAGE_FIELDS, Ints, State, Table
from heatgrid.words.errors import UsageError, nearest
from heatgrid.words.plan import BUCKETS, LAYERS, PICKED

PERCENTILES = (50, 90, 99)
COUNTERS = (*USAGE_FIELDS, *(f"p{percent}_ms" for percent in PERCENTILES), "users")
NEEDS_SESSIONS = ("views", "sessions", "dwell_ms", "visits", "open_visits")
UNLOCK = "a session or user column (--map session=COLUMN)"


def shown(dim: str) -> str:
    """The column's name of a dimension: segments are stored as by:NAME, apart from canonical names."""
    return dim.removeprefix("by:")


def usage_table(state: State, name: str) -> pa.Table:
    """One row a key: its names, the counters, p50/p90/p99 of closed visits in ms, users where counted."""
    table = state.tables[name]
    kept = visible_rows(state, table)
    columns: dict[str, Any] = {}
    for d, dim in enumerate(table.dims):
        names = np.array(state.names[dim], object)
        columns[free_name(dim, columns, COUNTERS)] = pa.array(names[table.keys[kept, d]], pa.string())
    without = state.session_ids is None
    off = NEEDS_SESSIONS if without else refuse.TIMED if refuse.untimed(state) else ()
    if refuse.unheld(state, "views"):
        off = (*off, "views")
    first = table.dims[0]
    for f, field in enumerate(table.fields):
        if field == "views" and first == "feature":
            continue
        values = pa.array(table.values[kept, f])
        columns[field] = pa.nulls(len(kept), pa.int64()) if field in off else values
    found = percentiles(table) if "visits" not in off else np.full((len(table.keys), len(PERCENTILES)), -1)
    for p, percent in enumerate(PERCENTILES):
        values = found[kept, p]
        columns[f"p{percent}_ms"] = pa.array(values, pa.int64(), mask=values < 0)
    if table.ids is not None:
        columns["users"] = pa.array(np.bincount(table.ids[:, 0], minlength=len(table.keys))[kept])
    for family, flagged in friction.columns_of(state, name).items():
        columns[family] = pa.array(flagged[kept], pa.int64(), mask=flagged[kept] < 0)
    return pa.table(columns)


def free_name(dim: str, taken: dict[str, Any], reserved: tuple[str, ...]) -> str:
    """The column of a dimension; a segment that is named like another column is by_NAME."""
    name = shown(dim)
    return f"by_{name}" if name in taken or (dim != name and name in reserved) else name


def visible_rows(state: State, table: Table, along: int | None = None) -> npt.NDArray[np.intp]:
    """Rows of at least min_sessions sessions; where one alone of a line is withheld the next smallest goes with
    it, since a total would give it away. along : there are totals over so many of the first dimensions alone."""
    k = state.plan.min_sessions
    every = np.arange(len(table.keys))
    if k <= 1 or state.session_ids is None:
        return every
    sessions = table.values[:, table.fields.index("sessions")]
    hidden = sessions < k
    changed = True
    while changed:
        changed = False
        for line in lines(table.keys, along):
            rest = line[~hidden[line]]
            if len(rest) == len(line) - 1 and len(rest):
                hidden[rest[np.argmin(sessions[rest])]] = True
                changed = True
    return np.flatnonzero(~hidden)


def lines(keys: Ints, along: int | None = None) -> list[npt.NDArray[np.intp]]:
    """Rows that share all dimensions but one (of the first ``along``): each such line adds up to a total that is
    shown elsewhere."""
    out = []
    for d in range(keys.shape[1] if along is None else along):
        others = np.delete(keys, d, axis=1)
        if others.shape[1] == 0:
            return [np.arange(len(keys))]
        _, group = np.unique(others, axis=0, return_inverse=True)
        order = np.argsort(group.reshape(-1), kind="stable")
        out += np.split(order, np.flatnonzero(np.diff(group.reshape(-1)[order])) + 1)
    return out


def withheld(state: State, name: str) -> int:
    """Rows of a table that min_sessions withholds."""
    table = state.tables[name]
    return len(table.keys) - len(visible_rows(state, table))


def representative(bucket: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The middle of a histogram bucket in ms: exact below 128, within 0.8 % above."""
    octave, sub = bucket // 64, bucket % 64
    shift = np.maximum(octave - 1, 0)
    low = np.where(octave == 0, sub, (64 + sub) << shift)
    middle: npt.NDArray[np.int64] = low + ((np.int64(1) << shift) >> 1)
    return middle


def percentiles(table: Table, wanted: tuple[int, ...] = PERCENTILES) -> Ints:
    """(rows, 3): p50, p90, p99 of closed visits' dwell by nearest rank; -1 where no visit was closed."""
    out = np.full((len(table.keys), len(wanted)), -1, np.int64)
    entries = table.histogram
    if not len(entries):
        return out
    starts = np.flatnonzero(np.r_[True, entries[1:, 0] != entries[:-1, 0]])
    rows = entries[starts, 0]
    totals = np.add.reduceat(entries[:, 2], starts)
    upto = np.cumsum(entries[:, 2])
    before = upto[starts] - entries[starts, 2]
    for p, percent in enumerate(wanted):
        rank = -(-totals * percent // 100)
        at = np.searchsorted(upto, before + rank)
        out[rows, p] = representative(entries[at, 1])
    return out


def layers_table(state: State) -> pa.Table:
    """One row a map: layer (or friction rule), page, width bucket, fixed, segments and period if any, events, sessions,
    viewport_w."""
    picked = [layer for layer in PICKED if layer in state.plan.maps and refuse.off(state, layer) is None]
    stacks = ["maps", *picked, *(rule.name for rule in friction.served(state))]
    found = [stack_of(state, stack, split=True) for stack in stacks]
    if not any(found):
        empty = {"layer": pa.string(), "page": pa.string(), "bucket": pa.string(), "fixed": pa.bool_()}
        return pa.schema([*empty.items(), ("events", pa.int64()), ("sessions", pa.int64())]).empty_table()
    table = pa.concat_tables([maps_table(state, name) for name in found if name is not None])
    return table.sort_by([("events", "descending"), ("layer", "ascending"), ("page", "ascending")])


def stack_of(state: State, stack: str, *, split: bool) -> str | None:
    """The name of the maps ``maps`` or of a friction rule, whole or split by all that the plan names."""
    names = [name for name in state.maps if name.partition("|")[0] == stack]
    return max(names, key=len) if split and names else next((name for name in names if "|" not in name), None)


def maps_table(state: State, name: str) -> pa.Table:
    maps = state.maps[name]
    stack = name.partition("|")[0]
    keys, values = maps.keys, maps.values
    if state.plan.min_sessions > 1 and state.session_ids is not None:
        seen = values[:, 1] >= state.plan.min_sessions
        keys, values = keys[seen], values[seen]
    layer, fixed, bucket = keys[:, -3], keys[:, -2], keys[:, -1]
    columns: dict[str, Any] = {
        "layer": pa.array(np.array(LAYERS, object)[layer] if stack == "maps" else [stack] * len(layer), pa.string()),
        "page": pa.array(np.array(state.names["page"], object)[keys[:, 0]], pa.string()),
        "bucket": pa.array(np.array(BUCKETS, object)[bucket], pa.string()),
        "fixed": pa.array(fixed == 1),
    }
    for d, dim in enumerate(maps.dims[1:], 1):
        names = np.array(state.names[dim], object)[keys[:, d]]
        columns[free_name(dim, columns, MAP_FIELDS)] = pa.array(names, pa.string())
    uncounted = np.full(len(keys), state.session_ids is None)
    if not state.plan.moves_sessions:
        uncounted |= layer == LAYERS.index("moves")
    columns["events"] = pa.array(values[:, 0])
    columns["sessions"] = pa.array(values[:, 1], mask=uncounted)
    columns["viewport_w"] = pa.array(values[:, 2], mask=values[:, 2] == 0)
    return pa.table(columns)


def friction_table(state: State, name: str) -> pa.Table:
    """One row a rule, page and feature (and segment, period): flagged, sessions, considered, excess."""
    off = friction.refused(state)
    table = state.tables.get(name)
    extra = [d for d, there in ((f"by:{b}", "segment" in name) for b in state.plan.by) if there]
    dims = table.dims if table is not None else ("rule", "page", "target", *extra, *(["period"] * ("period" in name)))
    columns: dict[str, Any] = {}
    kept = visible_rows(state, table) if table is not None else np.zeros(0, np.intp)
    if table is not None and off:
        served = np.array([rule not in off for rule in state.names["rule"]], bool)
        kept = kept[served[table.keys[kept, 0]]]
    for d, dim in enumerate(dims):
        names = np.array(state.names[dim] if table is not None else [], object)
        codes = table.keys[kept, d] if table is not None else kept
        columns[free_name("feature" if dim == "target" else dim, columns, FRICTION_FIELDS)] = pa.array(
            names[codes], pa.string()
        )
    for f, field in enumerate(FRICTION_FIELDS):
        columns[field] = pa.array(table.values[kept, f] if table is not None else kept, pa.int64())
    return pa.table(columns)


def rules_table(state: State) -> pa.Table:
    """One row a rule of the plan: its version and parameters, all that it flagged, or why it is off."""
    off = friction.refused(state)
    table = state.tables.get("rules")
    names = state.names.get("rule", [])
    at = {names[int(code)]: i for i, code in enumerate(table.keys[:, 0])} if table is not None else {}
    rows = []
    for rule in state.plan.rules:
        row: dict[str, Any] = {"rule": rule.name, "version": rule.version, "parameters": rule.parameters()}
        counts = table.values[at[rule.name]].tolist() if table is not None and rule.name in at else [0] * 5
        few = 0 < counts[1] < state.plan.min_sessions
        hidden = rule.name in off or few
        row |= {field: None if hidden else n for field, n in zip(RULE_FIELDS, counts, strict=True)}
        rows.append(row | {"off": off.get(rule.name)})
    fields = [("rule", pa.string()), ("version", pa.int64()), ("parameters", pa.string())]
    schema = pa.schema([*fields, *((field, pa.int64()) for field in RULE_FIELDS), ("off", pa.string())])
    return pa.Table.from_pylist(rows, schema)


def table_name(state: State, thing: str, by: bool, every: bool) -> str:
    """The table of a grouping, or an error that says which option makes it."""
    things = (*state.plan.tables, *(("friction",) if state.plan.friction else ()))
    if thing not in things:
        raise UsageError(
            f"the plan has no table of {thing}", code="HG1501", where="tables", value=thing,
            hint=nearest(thing, things),
        )  # fmt: skip
    return "|".join((thing, *(["segment"] if by else []), *(["period"] if every else [])))
