"""The cap on pages and features: names beyond it are complete in states, and one row, ``(other)``, at the end."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.states.state import MAP_FIELDS, Ints, State

OTHER = "(other)"
ADDED = ("events", "clicks", "views", "dwell_ms", "visits", "open_visits")
"""Columns of which (other) has the sum. Distinct sessions, users and percentiles of several rows do not add up."""


def beyond(state: State, thing: str) -> list[str]:
    """The names that the plan's cap leaves out: all but those with the most events, of equal ones by name."""
    most = {"page": state.plan.max_pages, "feature": state.plan.max_features}[thing]
    table = state.tables.get(f"{thing}s")
    if table is not None:
        codes, events = table.keys[:, 0], table.values[:, table.fields.index("events")]
    elif thing == "page":
        codes, events = _mapped(state)
    else:
        return []
    order = np.lexsort([codes, -events])
    return [state.names[thing][code] for code in codes[order[most:]]]


def _mapped(state: State) -> tuple[Ints, Ints]:
    """Pages and their events on maps, where the plan has no table of pages."""
    whole = [maps for name, maps in state.maps.items() if "|" not in name]
    keys = np.concatenate([maps.keys[:, 0] for maps in whole]) if whole else np.zeros(0, np.int64)
    events = np.zeros(len(state.names.get("page", [])), np.int64)
    for maps in whole:
        np.add.at(events, maps.keys[:, 0], maps.values[:, 0])
    codes = np.unique(keys)
    return codes, events[codes]


def capped_layers(state: State, table: pa.Table) -> pa.Table:
    """The table of maps with those of pages beyond the cap as maps of (other), which have events and no sessions."""
    names = beyond(state, "page")
    if not names:
        return table
    rest = pc.is_in(table["page"], pa.array(names, pa.string()))
    some = table.filter(rest)
    some = some.set_column(some.column_names.index("page"), "page", pa.array([OTHER] * len(some), pa.string()))
    keys = [name for name in table.column_names if name not in MAP_FIELDS]
    sums = some.group_by(keys, use_threads=False).aggregate([("events", "sum"), ("viewport_w", "max")])
    found = {"events": sums["events_sum"], "viewport_w": sums["viewport_w_max"], "sessions": pa.nulls(len(sums))}
    columns = [(found[f.name] if f.name in found else sums[f.name]).cast(f.type) for f in table.schema]
    return pa.concat_tables([table.filter(pc.invert(rest)), pa.table(columns, schema=table.schema)])


def capped(state: State, thing: str, table: pa.Table, *, least: bool = False) -> pa.Table:
    """A table of features or pages with the names beyond the cap as (other), one row a segment and period.

    least : (other) has the most sessions of any of its names, which it has at least, instead of none.
    """
    names = beyond(state, thing)
    if not names:
        return table
    rest = pc.is_in(table[thing], pa.array(names, pa.string()))
    some = table.filter(rest)
    some = some.set_column(some.column_names.index(thing), thing, pa.array([OTHER] * len(some), pa.string()))
    keys = table.column_names[: table.column_names.index("events")]
    added = [name for name in ADDED if name in table.column_names]
    asked = [*((name, "sum") for name in added), *([("sessions", "max")] if least else [])]
    sums = some.group_by(keys, use_threads=False).aggregate(asked)
    found = {name: sums[name] for name in keys} | {name: sums[f"{name}_{how}"] for name, how in asked}
    empty = pa.nulls(len(sums))
    columns = [found.get(field.name, empty).cast(field.type) for field in table.schema]
    return pa.concat_tables([table.filter(pc.invert(rest)), pa.table(columns, schema=table.schema)])


def notes(state: State) -> list[str]:
    caps = {"page": state.plan.max_pages, "feature": state.plan.max_features}
    lines = []
    for thing, most in caps.items():
        n = len(beyond(state, thing))
        if n:
            lines.append(f"{n:,} {thing}s beyond the {most:,} with the most events are {OTHER} (--max-{thing}s)")
    return lines
