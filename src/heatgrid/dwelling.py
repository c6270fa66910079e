"""Time per feature from three arrays: the session engine for array people."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from heatgrid.api import run
from heatgrid.dwelling_device import dwell_held, dwell_on_device
from heatgrid.engine import backend as devices
from heatgrid.engine.lanes import ORDERS
from heatgrid.gpu.device import OutOfMemory
from heatgrid.sources.events import open_events
from heatgrid.words.errors import InputError, UsageError, nearest
from heatgrid.words.plan import Plan

COLUMNS = ("feature", "dwell_ms", "visits", "sessions", "events")


def dwell(
    session: Any, time: Any, feature: Any, *, idle_ms: int = 30_000, order: str = "auto", backend: str = "auto"
) -> pa.Table:
    """Time spent on each feature.

    The time from an event to the next one of its session, at most ``idle_ms``, belongs to the feature of the first.

    Parameters
    ----------
    session, feature : ids and names, one a row: NumPy or Arrow arrays, lists; a null feature gives its time to nothing,
        a row with a null session is rejected.
    time : datetime64 or Arrow timestamps, or integers in ms.
    order : "auto", "time", "session" or "any", as in ``run``.
    backend : "auto" takes a GPU for columns that lie on it (whole numbers without nulls; time in ms), else the CPU:
        encoding names in main memory is most of the work. "gpu" is an error where there is none.

    Returns
    -------
    pyarrow.Table : feature, dwell_ms, visits, sessions, events, by dwell then name; the ledger of rows stands in the
        schema's metadata under ``heatgrid``.

    Raises
    ------
    UsageError : arrays of unlike length. InputError : a type that cannot be read as what it is given for.
    """
    there = devices.on_device(session, time, feature)
    choice = devices.choose(
        "cpu" if backend == "auto" and not there else backend, what="rows", size=0, least=0, there=there
    )
    if order not in ORDERS:
        raise UsageError("unknown order", code="HG1120", where="order", value=order, hint=nearest(order, ORDERS))
    plan = Plan(maps=(), tables=("features",), idle_ms=idle_ms, time_range=None)
    if there and choice.device is not None:
        return dwell_held(choice, session, time, feature, idle_ms, order)
    if there:
        raise devices.not_here("session, time, feature", session)
    columns = {"session": _array(session), "time": _times(time), "feature": _array(feature)}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(
            "the arrays are not of one length", code="HG1140", where="session, time, feature",
            value=", ".join(f"{name} {n:,}" for name, n in lengths.items()), expected="one row each",
        )  # fmt: skip
    if choice.device is not None:
        try:
            return dwell_on_device(choice, columns["session"], columns["time"], columns["feature"], idle_ms, order)
        except OutOfMemory as error:
            devices.no_room(choice, error)
    events = open_events(pa.table(columns), time_range=(1, 9999))
    heat = run(events, plan, order=order)
    return heat.features.select(COLUMNS).replace_schema_metadata({"heatgrid": json.dumps(heat.ledger.as_dict())})


def _array(values: Any) -> pa.ChunkedArray:
    if hasattr(values, "__arrow_c_stream__"):
        return pa.chunked_array(values)
    if hasattr(values, "__arrow_c_array__"):
        return pa.chunked_array([pa.array(values)])
    try:
        return pa.chunked_array([pa.array(values, from_pandas=True)])
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(
            "these values are not one column", code="HG2220", where="dwell", value=str(error),
            expected="a one-dimensional array of one type",
        ) from error  # fmt: skip


def _times(values: Any) -> pa.ChunkedArray:
    coarse = ("Y", "M", "W", "D", "h", "m")
    if isinstance(values, np.ndarray) and values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] in coarse:
        values = values.astype("datetime64[s]")
    times = _array(values)
    if pa.types.is_timestamp(times.type):
        return times
    if pa.types.is_integer(times.type):
        return times.cast(pa.int64()).cast(pa.timestamp("ms", "UTC"))
    raise InputError(
        "time is neither a timestamp nor an integer", code="HG2221", where="time", value=str(times.type),
        expected="datetime64, Arrow timestamps, or integers in ms",
    )  # fmt: skip
