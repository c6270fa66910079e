"""States as bytes: a magic word, the SHA-256 of what follows, then a plain .npz (no pickle) with a JSON header."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import numpy as np

from heatgrid.states.state import Maps, Paths, State, Table, ids_of
from heatgrid.words.errors import InputError, UsageError
from heatgrid.words.ledger import Ledger
from heatgrid.words.plan import METRICS_VERSION, Plan

MAGIC = b"HEATGRID"
VERSION = 1


def to_bytes(state: State) -> bytes:
    arrays: dict[str, Any] = {}
    for name, table in sorted(state.tables.items()):
        for part in ("keys", "values", "histogram", "ids"):
            if getattr(table, part) is not None:
                arrays[f"table/{name}/{part}"] = getattr(table, part)
    for name, maps in sorted(state.maps.items()):
        for part in ("keys", "values", "tiles", "counts"):
            arrays[f"maps/{name}/{part}"] = getattr(maps, part)
    for name, paths in sorted(state.paths.items()):
        for part in ("keys", "parents", "ended"):
            arrays[f"paths/{name}/{part}"] = getattr(paths, part)
        if paths.split is not None:
            arrays[f"paths/{name}/split"] = np.column_stack([paths.split.keys, paths.split.values])
    ids = ids_of(state)
    if ids is not None:
        arrays["session_ids"] = ids
    header = {
        "version": VERSION,
        "metrics_version": state.metrics_version,
        "plan": state.plan.as_dict(),
        "ledger": state.ledger.as_dict(),
        "names": state.names,
        "totals": state.totals,
        "bounds": state.bounds,
        "inputs": state.inputs,
        "has": state.has,
        "evidence": state.evidence,
        "reading": state.reading,
        "tables": {n: {"dims": t.dims, "fields": t.fields} for n, t in state.tables.items()},
        "maps": {n: {"dims": m.dims} for n, m in state.maps.items()},
        "paths": {n: {"dims": p.dims} | _split_header(p) for n, p in state.paths.items()},
    }
    arrays["header"] = np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8)
    body = io.BytesIO()
    np.savez_compressed(body, allow_pickle=False, **arrays)
    data = body.getvalue()
    return MAGIC + hashlib.sha256(data).digest() + data


def _split_header(paths: Paths) -> dict[str, object]:
    return {} if paths.split is None else {"split": paths.split.dims}


def from_bytes(data: bytes, where: str) -> State:
    """Errors: InputError HG2401 (not a state), HG2402 (damaged), HG2403 (another version)."""
    body = data[40:]
    if data[:8] != MAGIC:
        raise InputError("this is not a saved state", code="HG2401", where=where, expected="a .heat file of heatgrid")
    if hashlib.sha256(body).digest() != data[8:40]:
        raise InputError(
            "the saved state is damaged: its checksum does not fit", code="HG2402", where=where,
            hint="build it anew, or fetch it again",
        )  # fmt: skip
    try:
        return _parse(body, where)
    except (KeyError, ValueError, TypeError, EOFError, AttributeError, zipfile.BadZipFile, UsageError) as error:
        raise InputError(
            "this is not what heatgrid writes into a state", code="HG2404", where=where, value=str(error),
            expected="a .heat file of heatgrid", hint="build it anew",
        ) from error  # fmt: skip


def _parse(body: bytes, where: str) -> State:
    with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
        header = json.loads(arrays["header"].tobytes())
        if header["version"] != VERSION or header["metrics_version"] != METRICS_VERSION:
            raise InputError(
                "the saved state is of another version", code="HG2403", where=where,
                value=f"format {header['version']}, metrics {header['metrics_version']}",
                expected=f"format {VERSION}, metrics {METRICS_VERSION}", hint="build it anew with this version",
            )  # fmt: skip
        tables = {
            name: Table(
                dims=tuple(t["dims"]),
                fields=tuple(t["fields"]),
                keys=arrays[f"table/{name}/keys"],
                values=arrays[f"table/{name}/values"],
                histogram=arrays[f"table/{name}/histogram"],
                ids=arrays.get(f"table/{name}/ids"),
            )
            for name, t in header["tables"].items()
        }
        maps = {
            name: Maps(
                tuple(m["dims"]),
                *(arrays[f"maps/{name}/{part}"] for part in ("keys", "values", "tiles", "counts")),
            )
            for name, m in header["maps"].items()
        }
        paths = {
            name: Paths(tuple(p["dims"]), *(arrays[f"paths/{name}/{part}"] for part in ("keys", "parents", "ended")))
            for name, p in header.get("paths", {}).items()
        }
        for name, p in header.get("paths", {}).items():
            if "split" in p:
                rows = arrays[f"paths/{name}/split"]
                nothing = np.zeros((0, 3), np.int64)
                paths[name].split = Table(tuple(p["split"]), ("sessions",), rows[:, :-1], rows[:, -1:], nothing)
        session_ids = arrays.get("session_ids")
    return State(
        plan=Plan.from_dict(header["plan"]),
        ledger=Ledger.from_dict(header["ledger"]),
        names=header["names"],
        tables=tables,
        maps=maps,
        totals=header["totals"],
        bounds=tuple(header["bounds"]) if header["bounds"] else None,
        session_ids=session_ids,
        inputs=header["inputs"],
        has=tuple(header["has"]),
        evidence=header.get("evidence", {}),
        reading=header.get("reading", {}),
        paths=paths,
    )
