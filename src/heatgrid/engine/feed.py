"""Columns in main memory to the device, a chunk at a time, so that copies and kernels overlap.

Two slots, each with its own memory on the device and pinned memory on the host. While the kernels work on one, the
other is filled: the host waits until the slot's last copy has left its pinned memory, the copies wait until the kernels
that read the slot are through, the kernels wait for the copies. Memory that is pinned is copied from where it lies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heatgrid.engine.pool import each
from heatgrid.gpu.device import Device, Event, Stream

SLOTS = 2
CHUNK_BYTES = 64 << 20
"""Of one column in a slot: long enough that starting a copy is nothing, short enough that the first is soon there."""
COPIERS = 4
"""Threads that copy into pinned memory; one alone is slower than the bus."""
SHARE = 1 << 20


@dataclass
class Slot:
    arrays: dict[str, Any] = field(default_factory=dict)
    pinned: dict[str, Any] = field(default_factory=dict)
    copied: Event | None = None
    used: Event | None = None


@dataclass
class Feed:
    """Made for one call. `rows` a chunk at most."""

    device: Device
    rows: int
    compute: Stream
    slots: list[Slot] = field(default_factory=lambda: [Slot() for _ in range(SLOTS)])
    turn: int = 0

    def __post_init__(self) -> None:
        self.copies = self.device.stream()

    def chunks(self, n: int, load: Callable[[int, int], dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """For each chunk of n rows, what load(start, stop) gives (host arrays by name; None stays None), on the device.

        The consumer puts its kernels on `compute` before it asks for the next chunk.
        """
        for start in range(0, n, self.rows):
            slot = self.slots[self.turn % SLOTS]
            self.turn += 1
            if slot.copied is not None:
                slot.copied.synchronize()
            host = load(start, min(start + self.rows, n))
            if slot.used is not None:
                self.copies.wait(slot.used)
            yield {name: None if column is None else self._send(slot, name, column) for name, column in host.items()}
            slot.used = self.compute.record()

    def _send(self, slot: Slot, name: str, column: Any) -> Any:
        key = f"{name}:{column.dtype}"
        if key not in slot.arrays or len(slot.arrays[key]) < len(column):
            slot.arrays[key] = self.device.empty(len(column), column.dtype)
            slot.pinned.pop(key, None)
        out = slot.arrays[key][: len(column)]
        source = column
        if not self.device.is_staged(column):
            if key not in slot.pinned:
                slot.pinned[key] = self.device.staging(len(slot.arrays[key]), column.dtype)
            source = slot.pinned[key][: len(column)]
            _copy(column, source)
        self.device.upload(source, out, self.copies)
        slot.copied = self.copies.record()
        self.compute.wait(slot.copied)
        return out

    def finish(self) -> None:
        self.copies.synchronize()
        self.compute.synchronize()


def _copy(source: Any, out: Any) -> None:
    threads = max(1, min(COPIERS, source.nbytes // SHARE))
    edges = [len(source) * k // threads for k in range(threads + 1)]
    each(threads, lambda k: np.copyto(out[edges[k] : edges[k + 1]], source[edges[k] : edges[k + 1]]))
