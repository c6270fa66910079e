"""Arrays between canaries: a write before or behind an output is seen."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FENCE = 4096
LINE = 64
"""Outputs begin on a cache line, as some leaves ask for."""
BYTE = 0xA5


@contextmanager
def fenced() -> Iterator[Callable[..., np.ndarray]]:
    """make(shape, dtype, fill=0) -> array; on leaving, every canary must be alive."""
    buffers: list[tuple[np.ndarray, int]] = []

    def make(shape: int | tuple[int, ...], dtype: object, fill: object = 0) -> np.ndarray:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        raw = np.full(size + 2 * FENCE + LINE, BYTE, np.uint8)
        skip = -raw.ctypes.data % LINE
        buffer = raw[skip : skip + size + 2 * FENCE]
        buffers.append((buffer, size))
        array = buffer[FENCE : FENCE + size].view(dtype).reshape(shape)
        array[...] = fill
        return array

    yield make
    for buffer, size in buffers:
        assert (buffer[:FENCE] == BYTE).all(), "written before the output"
        assert (buffer[FENCE + size :] == BYTE).all(), "written behind the output"
