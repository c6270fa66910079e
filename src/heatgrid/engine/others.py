"""The cap on pages and features: names beyond it are complete in states, and one row, ``(other)``, at the end."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.states.state import State

OTHER = "(other)"
ADDED = ("events", "clicks", "views", "dwell_ms", "visits", "open_visits")
"""Columns of which (other) has the sum. Distinct sessions, users and percentiles of several rows do not add up."""


def beyond(state: State, thing: str) -> list[str]:
    """The names that the plan's cap leaves out: all but those with the most events, of equal ones by name."""
    most = {"page": state.plan.max_pages, "feature": state.plan.max_features}[thing]
    table = state.tables.get(f"{thing}s")
    if table is None or len(table.keys) <= most:
        return []
    order = np.lexsort([table.keys[:, 0], -table.values[:, table.fields.index("events")]])
    return [state.names[thing][code] for code in table.keys[order[most:], 0]]


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
