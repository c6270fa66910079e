"""What the engine asks of a device. CuPy's is cupy_device.py; the tests bring one that runs kernels on the host."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from heatgrid.gpu.launch import Launch

THREADS = 256
"""Threads a block where a kernel has no reason for another number."""


class OutOfMemory(Exception):
    """The device has no room for an array."""


@dataclass(frozen=True)
class Limits:
    """multiprocessors, and per block and multiprocessor: bytes of shared memory; resident threads."""

    multiprocessors: int
    shared_block: int
    shared_multiprocessor: int
    threads_multiprocessor: int


class Event(Protocol):
    def synchronize(self) -> object:
        """The host waits."""


class Stream(Protocol):
    """Work in order; two streams run side by side unless one waits."""

    def record(self) -> Event: ...
    def wait(self, event: Event) -> None: ...
    def synchronize(self) -> object: ...


class Device(Protocol):
    """Arrays are the device's own: one-dimensional unless said, sliceable, with dtype and shape."""

    name: str
    limits: Limits

    def free_bytes(self) -> int: ...

    def current(self) -> AbstractContextManager[object]:
        """Makes it this thread's device: each thread begins with another of its own."""

    def stream(self) -> Stream: ...

    def empty(self, n: int, dtype: npt.DTypeLike) -> Any:
        """Raises OutOfMemory."""

    def zeros(self, n: int, dtype: npt.DTypeLike) -> Any:
        """Raises OutOfMemory. Done before anything that is asked for later, on any stream."""

    def adopt(self, data: object) -> Any | None:
        """An array that is on the device already, by its protocols and without a copy; None if `data` is none."""

    def wrap(self, pointer: int, n: int, dtype: npt.DTypeLike, owner: object) -> Any:
        """Memory of the device that belongs to `owner`, as an array."""

    def wait_for(self, event: int) -> None:
        """The host waits for a CUDA event of another library."""

    def staging(self, n: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Host memory that copies without the driver's own buffer."""

    def is_staged(self, host: npt.NDArray[Any]) -> bool: ...

    def upload(self, host: npt.NDArray[Any], out: Any, stream: Any) -> None:
        """Begin to copy; `host` must stay as it is until the stream is through."""

    def download(self, array: Any) -> npt.NDArray[Any]:
        """Wait for everything before, and copy."""

    def launch(self, launch: Launch, stream: Any) -> None: ...


def blocks_for(n: int, threads: int, limits: Limits) -> int:
    """Enough blocks for n items one each, at most what is resident at once: the loops stride over the rest."""
    resident = limits.multiprocessors * max(limits.threads_multiprocessor // threads, 1)
    return max(1, min(-(-n // threads), resident))
