"""hg.dwell on a device: what lies in main memory is encoded here, what lies on the device is taken as it is."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.engine.backend import Choice, no_room
from heatgrid.engine.device_dwell import Events, Usage, adopt, usage
from heatgrid.gpu.device import Device, OutOfMemory
from heatgrid.words.errors import InputError
from heatgrid.words.ledger import Ledger

TICKS = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}
"""(mul, div) to ms."""
LEAST_TIME = int(np.datetime64("0001-01-01", "s").astype(np.int64))
END_TIME = int(np.datetime64("9999-01-01", "s").astype(np.int64))


def dwell_held(choice: Choice, session: Any, time: Any, feature: Any, idle_ms: int, order: str) -> pa.Table:
    """Codes and times in ms that lie on the device. Raises DeviceError, also where its memory is too small."""
    device = _device(choice)
    try:
        events, first = adopt(device, session, time, feature)
        found = usage(device, events, idle_ms, by_time=order == "any")
    except OutOfMemory as error:
        no_room(Choice(device, "", forced=True), error)
        raise
    _check_order(found, order)
    names = pc.cast(pa.array(np.arange(events.features, dtype=np.int64) + first), pa.string())
    return _table(found, names, Ledger(read=len(events.session), accepted=len(events.session)), device)


def dwell_on_device(
    choice: Choice, session: pa.ChunkedArray, time: pa.ChunkedArray, feature: pa.ChunkedArray, idle_ms: int, order: str
) -> pa.Table:
    """The same from main memory. Raises OutOfMemory."""
    device = _device(choice)
    mul, div = TICKS[time.type.unit]
    ledger = Ledger(read=len(time))
    ticks = pc.cast(time, pa.int64())
    per_second = 1000 * div // mul
    least, end = LEAST_TIME * per_second, END_TIME * per_second
    in_range = pc.fill_null(
        pc.and_(
            pc.greater_equal(ticks, max(least, -(2**63))), pc.less(ticks, min(end, 2**63 - 1))
        ), False,
    )  # fmt: skip
    known = pc.is_valid(session)
    keep = pc.and_(in_range, known)
    ledger.reject("time", len(time) - (pc.sum(in_range).as_py() or 0))
    ledger.reject("session", pc.sum(pc.and_not(in_range, known)).as_py() or 0)
    if not pc.all(keep).as_py():
        session, ticks, feature = (c.filter(keep) for c in (session, ticks, feature))
    ledger.accepted = len(ticks)
    sessions, ids = _encode(session)
    codes, names = _encode(_text(feature))
    stream = device.stream()
    columns = []
    for values in (sessions, np.ascontiguousarray(ticks.to_numpy()), codes):
        columns.append(device.empty(len(values), values.dtype))
        device.upload(values, columns[-1], stream)
    stream.synchronize()
    events = Events(columns[0], columns[1], columns[2], len(ids), len(names), mul, div)
    found = usage(device, events, idle_ms, by_time=order == "any")
    _check_order(found, order)
    return _table(found, names, ledger, device)


def _device(choice: Choice) -> Device:
    assert choice.device is not None
    return choice.device


def _encode(column: pa.ChunkedArray) -> tuple[Any, pa.Array]:
    """(uint32 codes, all bits set for null; what they stand for)."""
    coded = (
        column.combine_chunks()
        if pa.types.is_dictionary(column.type)
        else pc.dictionary_encode(column).combine_chunks()
    )
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.chunk(0) if coded.num_chunks else pa.array([], column.type).dictionary_encode()
    codes = pc.fill_null(pc.cast(coded.indices, pa.int32()), -1).to_numpy(zero_copy_only=False)
    return codes.view(np.uint32), coded.dictionary


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return pc.cast(column, pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            "these values are no names", code="HG2220", where="feature", value=str(error), expected="text or numbers",
        ) from error  # fmt: skip


def _check_order(found: Usage, order: str) -> None:
    if not found.in_order and order in ("time", "session"):
        raise InputError(
            "the rows are not in the order that was promised", code="HG2240", where="order", value=order,
            hint="leave order out, or say 'any'",
        )  # fmt: skip


def _table(found: Usage, names: pa.Array, ledger: Ledger, device: Device) -> pa.Table:
    """By dwell, then events, then name: as the CPU's."""
    table = pa.table(
        {
            "feature": names, "dwell_ms": found.dwell, "visits": found.visits, "sessions": found.sessions,
            "events": found.events,
        }
    )  # fmt: skip
    order = [("dwell_ms", "descending"), ("events", "descending"), ("feature", "ascending")]
    table = table.filter(pc.greater(table["events"], 0)).sort_by(order)
    return table.replace_schema_metadata({"heatgrid": json.dumps(ledger.as_dict()), "backend": device.name})
