"""A device without a device: arrays are NumPy's, kernels run in the emulator, and streams are as lazy as they may be.

What is put on a stream runs only when someone waits for it, so that host memory which is reused too early, or an order
that no event promises, gives a wrong answer here as it could on a device.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import get_ident, main_thread
from typing import Any

import numpy as np

from emulator.build import FORWARD, Emulator, emulator
from heatgrid.gpu.device import Limits, OutOfMemory
from heatgrid.gpu.launch import Launch

SMALL = Limits(multiprocessors=2, shared_block=48 << 10, shared_multiprocessor=64 << 10, threads_multiprocessor=1024)


class LazyStream:
    def __init__(self) -> None:
        self.todo: list[Callable[[], None]] = []
        self.done = 0

    def put(self, work: Callable[[], None]) -> None:
        self.todo.append(work)

    def run_to(self, end: int) -> None:
        while self.done < end:
            work = self.todo[self.done]
            self.done += 1
            work()

    def record(self) -> LazyEvent:
        return LazyEvent(self, len(self.todo))

    def wait(self, event: LazyEvent) -> None:
        self.put(event.synchronize)

    def synchronize(self) -> None:
        self.run_to(len(self.todo))


@dataclass
class LazyEvent:
    stream: LazyStream
    end: int

    def synchronize(self) -> None:
        self.stream.run_to(self.end)


class OnDevice(np.ndarray):
    """Marks arrays of the device, so that host arrays that stray into a launch are found out."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.ctypes.data, False), "version": 3}


@dataclass
class EmulatedDevice:
    limits: Limits = SMALL
    memory: int = 1 << 30
    seed: int = FORWARD
    kernels: Emulator = field(default_factory=emulator)
    name: str = "emulated"
    launches: list[Launch] = field(default_factory=list)
    traced: list[Any] | None = None
    streams: list[LazyStream] = field(default_factory=list)
    staged: list[np.ndarray] = field(default_factory=list)
    owners: list[object] = field(default_factory=list)
    awaited: list[int] = field(default_factory=list)
    uploads: int = 0
    held: int = 0
    of_thread: int = 0
    """That runs with this device, where one said so."""

    def free_bytes(self) -> int:
        return self.memory - self.held

    @contextmanager
    def current(self) -> Iterator[None]:
        self.of_thread = get_ident()
        yield
        self.of_thread = 0

    def stream(self) -> LazyStream:
        self.streams.append(LazyStream())
        return self.streams[-1]

    def empty(self, n: int, dtype: Any) -> Any:
        array = np.empty(n, dtype)
        if array.nbytes > self.memory:
            raise OutOfMemory(f"{array.nbytes} bytes of {self.memory}")
        array.view(np.uint8)[:] = 0xA5
        return array.view(OnDevice)

    def zeros(self, n: int, dtype: Any) -> Any:
        array = self.empty(n, dtype)
        array[:] = 0
        return array

    def adopt(self, data: object) -> Any | None:
        return data if isinstance(data, OnDevice) else getattr(data, "on_device", None)

    def wrap(self, pointer: int, n: int, dtype: Any, owner: object) -> Any:
        kind = np.dtype(dtype)
        memory = (ctypes.c_char * (n * kind.itemsize)).from_address(pointer)
        array = np.frombuffer(memory, kind, n).view(OnDevice)
        self.owners.append(owner)
        return array

    def wait_for(self, event: int) -> None:
        self.awaited.append(event)

    def staging(self, n: int, dtype: Any) -> np.ndarray:
        self.staged.append(np.empty(n, dtype))
        return self.staged[-1]

    def is_staged(self, host: np.ndarray) -> bool:
        return any(np.may_share_memory(host, own) for own in self.staged)

    def upload(self, host: np.ndarray, out: Any, stream: LazyStream) -> None:
        assert isinstance(out, OnDevice)
        assert out.dtype == host.dtype
        assert out.shape == host.shape
        self.uploads += 1
        stream.put(lambda: np.copyto(out, host))

    def download(self, array: Any) -> np.ndarray:
        assert isinstance(array, OnDevice)
        for stream in self.streams:
            stream.synchronize()
        return np.array(array, subok=False)

    def launch(self, launch: Launch, stream: LazyStream) -> None:
        assert get_ident() in (self.of_thread, main_thread().ident), "the thread has another device"
        assert launch.threads % 32 == 0
        assert launch.shared <= self.limits.shared_block
        assert all(isinstance(a, (np.generic, OnDevice, type(None))) for a in launch.args), launch
        self.launches.append(launch)
        stream.put(lambda: self._run(launch))

    def _run(self, launch: Launch) -> None:
        before = (
            None
            if self.traced is None
            else [np.array(a, subok=False) if isinstance(a, np.ndarray) else a for a in launch.args]
        )
        self.kernels.run(launch, self.seed)
        if self.traced is not None:
            after = [np.array(a, subok=False) if isinstance(a, np.ndarray) else None for a in launch.args]
            self.traced.append((launch, before, after))

    @property
    def entries(self) -> list[str]:
        return [launch.entry for launch in self.launches]
