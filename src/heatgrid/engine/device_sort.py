"""Rows put in order on a device: a stable radix sort of codes with row numbers, 8 bits a pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.gpu import sessions as kernels
from heatgrid.gpu.device import Device

WORD = 32


class Sorter:
    """The buffers of one call, and its stream. Raises OutOfMemory."""

    def __init__(self, device: Device, n: int) -> None:
        self.device, self.n = device, n
        self.stream = device.stream()
        self.cut = kernels.cut(n, device.limits)
        self.histogram = device.empty(kernels.DIGITS * self.cut.blocks, np.uint32)

    def sort(self, keys: Any, rows: Any, bits: int) -> tuple[Any, Any]:
        """Stable, by the low `bits` of uint32 keys; (keys, the rows' numbers), None for as they are."""
        spare: list[tuple[Any, Any]] = []
        for shift in range(0, bits, kernels.BITS):
            out = spare.pop() if spare else self._pair()
            for launch in (
                kernels.count(keys, self.cut, shift, self.histogram),
                kernels.scan(self.histogram),
                kernels.move(keys, rows, self.cut, shift, self.histogram, *out),
            ):
                self.device.launch(launch, self.stream)
            if shift:
                spare.append((keys, rows))
            keys, rows = out
        return keys, rows

    def order(self, values: Any, origin: int, bits: int) -> Any:
        """The rows in the order of int64 values, which lie less than 2^bits above the origin."""
        rows = None
        for shift in range(0, bits, WORD):
            keys = self.device.empty(self.n, np.uint32)
            launch = kernels.time_keys(values, rows, origin, shift, keys, self.device.limits)
            self.device.launch(launch, self.stream)
            _, rows = self.sort(keys, rows, min(WORD, bits - shift))
        return rows

    def gather(self, values: Any, rows: Any) -> Any:
        out = self.device.empty(self.n, values.dtype)
        self.device.launch(kernels.gather(values, rows, out, self.device.limits), self.stream)
        return out

    def _pair(self) -> tuple[Any, Any]:
        return self.device.empty(self.n, np.uint32), self.device.empty(self.n, np.uint32)
