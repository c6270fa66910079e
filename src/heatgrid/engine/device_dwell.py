"""Time per feature on a device: codes, a stable sort by session, each row against its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from heatgrid.engine.device_sort import Sorter
from heatgrid.gpu import foreign
from heatgrid.gpu import sessions as kernels
from heatgrid.gpu.device import Device, OutOfMemory, Stream
from heatgrid.words.errors import DeviceError, LimitError

MOST_FEATURES = 1 << 24
SHARED_FEATURES = 48 << 10
"""Bytes of a block's shared memory that sums by feature may take, so that several blocks stay resident."""
MOST_IDLE = 2**31 - 1
"""A step has 32 bits on the CPU: longer ones count as 25 days on both."""
SHARE = 0.5
"""Of the free memory, for the bits of (session, feature)."""


@dataclass(frozen=True)
class Events:
    """Columns of the device, all rows valid: uint32 codes, int64 times (ms = time * mul / div), uint32 codes with all
    bits set where a row has no feature."""

    session: Any
    time: Any
    feature: Any
    sessions: int
    features: int
    mul: int = 1
    div: int = 1


@dataclass(frozen=True)
class Usage:
    """int64 by feature code. in_order: whether the rows came in the order of time within each session."""

    dwell: Any
    visits: Any
    events: Any
    sessions: Any
    in_order: bool


def adopt(device: Device, session: Any, time: Any, feature: Any) -> tuple[Events, int]:
    """Whole numbers on the device, and the number that feature code 0 stands for."""
    found = {}
    for name, data in (("session", session), ("time", time), ("feature", feature)):
        column = foreign.column(name, data, device)
        if column.bits is not None or column.values.dtype.kind not in "iu":
            raise DeviceError(
                f"{name} on the device must be whole numbers without nulls", code="HG5004", where=name,
                value=f"{column.values.dtype}" + (" with nulls" if column.bits is not None else ""),
                expected="codes of int32 or int64; times in ms", hint="encode names first, drop rows that have none",
            )  # fmt: skip
        kind = np.int32 if column.values.dtype.itemsize <= 4 and column.values.dtype != np.uint32 else np.int64
        found[name] = column.values.astype(kind, copy=False)
    stream = device.stream()
    keys, _, sessions = _codes(device, stream, found["session"], "session", 2**32 - 2)
    codes, first_feature, features = _codes(device, stream, found["feature"], "feature", MOST_FEATURES)
    return Events(keys, found["time"].astype(np.int64, copy=False), codes, sessions, features), first_feature


def _codes(device: Device, stream: Stream, values: Any, name: str, most: int) -> tuple[Any, int, int]:
    """(codes from the least value on, that value, how many)."""
    if not len(values):
        return device.empty(0, np.uint32), 0, 0
    span = device.empty(2, np.int64)
    device.upload(np.array([2**63 - 1, -(2**63)]), span, stream)
    device.launch(kernels.span(values, span, device.limits), stream)
    stream.synchronize()
    least, largest = (int(v) for v in device.download(span))
    if largest - least >= most:
        raise LimitError(
            f"{name} numbers lie too far apart", code="HG4430", where=name, value=f"{least:,} to {largest:,}",
            expected=f"fewer than {most:,} between them", hint="number them 0, 1, 2, ... first",
        )  # fmt: skip
    out = device.empty(len(values), np.uint32)
    device.launch(kernels.codes(values, least, out, device.limits), stream)
    stream.synchronize()
    return out, least, largest - least + 1


def usage(device: Device, events: Events, idle: int, *, by_time: bool = False, seen_bytes: int | None = None) -> Usage:
    """by_time: sort by time first; otherwise that is done only where rows turn out not to be in order.

    seen_bytes: for the bits of (session, feature); all sessions at once where they fit, else in windows.
    Raises OutOfMemory.
    """
    n = len(events.session)
    if n > kernels.MOST_ROWS:
        raise LimitError("too many rows for one call", code="HG4431", where="session", value=n,
                         expected=f"at most {kernels.MOST_ROWS:,}")  # fmt: skip
    if not n or not events.features:
        nothing = np.zeros(events.features, np.int64)
        return Usage(nothing, nothing, nothing, nothing, in_order=True)
    work = _Work(device, n)
    keys, order = work.by_time(events) if by_time else (events.session, None)
    keys, order = work.sort(keys, order, (events.sessions - 1).bit_length())
    time, feature = events.time, events.feature
    if order is not None:
        time, feature = work.gather(time, order), work.gather(feature, order)
    ordered = kernels.Rows(keys, time, feature, events.mul, events.div, min(idle, MOST_IDLE))
    by_feature = [device.zeros(events.features, np.int64) for _ in range(4)]
    sums = kernels.Sums(by_feature[0], by_feature[1], by_feature[2], by_feature[3], device.zeros(1, np.uint64))
    work.count(ordered, events, sums, seen_bytes)
    if int(device.download(sums.disorder)[0]):
        assert not by_time
        sorted_first = usage(device, events, idle, by_time=True, seen_bytes=seen_bytes)
        return Usage(
            sorted_first.dwell, sorted_first.visits, sorted_first.events, sorted_first.sessions, in_order=False
        )
    dwell, visits, rows, distinct = (device.download(a) for a in by_feature)
    return Usage(dwell, visits, rows, distinct, in_order=True)


class _Work(Sorter):
    """The buffers of one call."""

    def by_time(self, events: Events) -> tuple[Any, Any]:
        """The sessions' codes in the order of (time, row), and that order."""
        span = self.device.empty(2, np.int64)
        self.device.upload(np.array([2**63 - 1, -(2**63)]), span, self.stream)
        self.device.launch(kernels.span(events.time, span, self.device.limits), self.stream)
        self.stream.synchronize()
        first, last = (int(v) for v in self.device.download(span))
        rows = self.order(events.time, first, (last - first).bit_length())
        return (events.session, None) if rows is None else (self.gather(events.session, rows), rows)

    def count(self, ordered: kernels.Rows, events: Events, sums: kernels.Sums, seen_bytes: int | None) -> None:
        device = self.device
        words = -(-events.features // 32)
        budget = int(device.free_bytes() * SHARE) if seen_bytes is None else seen_bytes
        window = min(budget // (4 * words), events.sessions)
        if window < 1:
            raise OutOfMemory(f"{budget:,} bytes for the features of a session")
        shared = 4 * kernels.WORDS_A_FEATURE * events.features <= min(SHARED_FEATURES, device.limits.shared_block)
        for first in range(0, events.sessions, window):
            some = min(window, events.sessions - first)
            seen = device.zeros(some * words, np.uint32)
            launch = kernels.visits(ordered, first, some, seen, events.features, sums, device.limits, shared)
            device.launch(launch, self.stream)
            self.stream.synchronize()
