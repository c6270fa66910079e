"""What the engine and the oracle say about the same rows, as equal plain dicts if they agree."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from heatgrid.engine.lanes import run_plan
from heatgrid.heat import Heat
from heatgrid.sources.events import open_events
from heatgrid.words.areas import Area
from heatgrid.words.plan import BUCKETS, LAYERS, PICKED, Plan
from oracle import sessions as oracle
from strategies import TICKS, to_table

TILE = 16


def plan_of(fields) -> Plan:
    """A Plan of the plain fields that the oracle reads."""
    areas = fields.get("areas")
    made = None if areas is None else [Area(**area) for area in areas]
    return Plan(**{"frame": "page", **fields, "areas": made})


def run_engine(data, fields, shape=None, *, shapes=None, **options) -> Heat:
    """The rows as Arrow tables, one a file, through a lane; ``shapes``: one a file."""
    tables = [to_table(data, i, shapes[i] if shapes else shape) for i in range(len(data.files))]
    source = open_events(tables, map={name: name for name in data.columns if name in CANONICAL})
    plan = plan_of(fields)
    outcome = run_plan(source, plan, **options)
    return Heat(outcome.state, lane=outcome.lane, seconds=outcome.seconds, notes=tuple(outcome.notes))


CANONICAL = {
    "time", "seq", "session", "user", "account", "tab", "view", "page", "kind", "x", "y", "fixed", "pointer",
    "viewport_w", "viewport_h", "page_h", "scroll_y", "frame", "feature", "box_x", "box_y", "box_w", "box_h", "count",
    "event_id", "replay_url",
}  # fmt: skip


def groupings(plan):
    """(by, every) of the tables a plan makes."""
    return [(b, e) for b in (False, True)[: 1 + bool(plan["by"])] for e in (False, True)[: 1 + bool(plan["every"])]]


def map_groupings(plan):
    """Maps are made whole, and split by all that the plan names."""
    return {(False, False), (bool(plan["by"]), bool(plan["every"]))}


def of_oracle(data, fields) -> dict:
    result = oracle.resolve(data.files, fields, unit=data.unit, columns=data.columns)
    plan = result["plan"]
    summary = oracle.summary(result)
    for end in ("first", "last"):
        if summary[end] is not None:
            moment = datetime.fromtimestamp(summary[end] * 1000 // TICKS[data.unit] // 1000, UTC)
            summary[end] = moment.strftime("%Y-%m-%d %H:%M:%S")
    tables, maps, layers = {}, {}, {}
    for by, every in groupings(plan):
        segments = plan["by"] if by else ()
        for name in plan["tables"]:
            tables[name, by, every] = oracle.table(result, name, segments, every)
        if (by, every) in map_groupings(plan):
            maps[by, every] = oracle.maps(result, segments, every)
    layers = oracle.layers(result)
    if not any(event["kind"] in ("move", "rest") for event in result["events"]):
        layers = {key: counts for key, counts in layers.items() if key[0] != "dwell"}  # refused
    ledger = {**result["ledger"], "measures": oracle.points(result)}
    return {"ledger": ledger, "summary": summary, "tables": tables, "maps": maps, "layers": layers}


UNCOUNTED = {
    "lane", "seconds", "notes", "refused", "frame", "events", "reading", "releases", "backend", "backend_reason",
}  # fmt: skip
"""Of a summary: how the run went."""


def of_heat(heat) -> dict:
    plan = {name: getattr(heat.plan, name) for name in ("by", "every", "tables", "maps")}
    summary = {k: v for k, v in heat.summary.items() if k not in UNCOUNTED}
    summary["rows"] = heat.summary["events"]
    tables, maps = {}, {}
    for by, every in groupings(plan):
        for name in plan["tables"]:
            tables[name, by, every] = table_of(heat.table(name, by=by, every=every))
        if (by, every) in map_groupings(plan):
            maps[by, every] = cells_of(heat.state, by, every)
            for layer in set(plan["maps"]) & set(PICKED):
                cells = cells_of(heat.state, by, every, what=layer)
                maps[by, every] |= {(layer, *key[1:]): found for key, found in cells.items()}
    ledger = heat.ledger.as_dict()
    ledger["measures"] = {
        name: {k: v for k, v in points.items() if k != "withheld"} for name, points in ledger["measures"].items()
    }
    for layer in plan["maps"]:
        ledger["measures"].setdefault(layer, {"rows": 0, "used": 0, "outside": 0, "invalid": 0})
    layers = {layer_key(row, plan["by"]): (row["events"], row["sessions"]) for row in heat.layers().to_pylist()}
    return {"ledger": ledger, "summary": summary, "tables": tables, "maps": maps, "layers": layers}


def table_of(table) -> dict:
    keys = table.column_names.index("events")
    names = table.column_names[keys:]
    rows = {}
    for row in table.to_pylist():
        values = list(row.values())
        rows[tuple(values[:keys])] = dict(zip(names, values[keys:], strict=True))
    assert len(rows) == table.num_rows
    return rows


def layer_key(row, by) -> tuple:
    segments = tuple(row.get(f"by_{name}", row.get(name)) for name in by)
    return (row["layer"], row["page"], row["bucket"], row["fixed"], segments, row.get("period"))


def cells_of(state, by, every, what="maps") -> dict:
    """The cells of a state's maps (or those of a friction rule), out of their tiles."""
    dims = {"page", *(f"by:{name}" for name in state.plan.by if by), *(["period"] if every else [])}
    out = {}
    for stored, maps in state.maps.items():
        if stored.partition("|")[0] != what or set(maps.dims) != dims:
            continue
        across = -(-state.plan.shape[0] // TILE)
        for (row, tile), square in zip(maps.tiles.tolist(), maps.counts, strict=True):
            events, sessions = square[:, 0], square[:, 1]
            key = maps.keys[row].tolist()
            names = dict(zip(maps.dims, (state.names[d][c] for d, c in zip(maps.dims, key, strict=False)), strict=True))
            layer, fixed, bucket = LAYERS[key[-3]], bool(key[-2]), BUCKETS[key[-1]]
            segments = tuple(names[f"by:{name}"] for name in state.plan.by if by)
            name = (layer, names["page"], bucket, fixed, segments, names.get("period"))
            counts = state.session_ids is not None and (layer != "moves" or state.plan.moves_sessions)
            for at in np.flatnonzero(events).tolist():
                iy, ix = tile // across * TILE + at // TILE, tile % across * TILE + at % TILE
                cell = (int(events[at]), int(sessions[at]) if counts else None)
                cells = out.setdefault(name, {})
                assert (iy, ix) not in cells
                cells[iy, ix] = cell
    return out


def differences(want, got, path="") -> list[str]:
    """Where two nested dicts differ, one line each."""
    if isinstance(want, dict) and isinstance(got, dict):
        out = []
        for key in [*want, *(k for k in got if k not in want)]:
            if key not in want or key not in got:
                out.append(f"{path}[{key!r}]: {'only in the engine' if key not in want else 'missing in the engine'}: "
                           f"{got.get(key, want.get(key))!r}")  # fmt: skip
            else:
                out += differences(want[key], got[key], f"{path}[{key!r}]")
        return out
    return [] if want == got else [f"{path}: oracle {want!r}, engine {got!r}"]
