"""The device through CuPy. Everything that touches CUDA's run time is in this file."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from heatgrid.gpu.device import Limits, OutOfMemory
from heatgrid.gpu.launch import Launch, Packed
from heatgrid.gpu.source import OPTIONS, text

PINNED = 1
"""cudaMemoryTypeHost."""
PLAIN_SHARED = 48 << 10
"""Bytes of dynamic shared memory that a kernel may take without having asked for more."""
DLPACK_CUDA = 2


class CupyStream:
    """Holds what its work touches until it is done: CuPy's pool would hand freed memory to the next who asks."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.held: list[object] = []

    def record(self) -> Any:
        return self.stream.record()

    def wait(self, event: Any) -> None:
        self.stream.wait_event(event)

    def synchronize(self) -> None:
        self.stream.synchronize()
        self.held.clear()


class CupyDevice:
    """One CUDA device: the one that is current when it is opened."""

    def __init__(self) -> None:
        import cupy

        self._cupy = cupy
        self._device = cupy.cuda.Device()
        facts = cupy.cuda.runtime.getDeviceProperties(self._device.id)
        self.name = facts["name"].decode()
        self.limits = Limits(
            multiprocessors=facts["multiProcessorCount"],
            shared_block=facts["sharedMemPerBlockOptin"],
            shared_multiprocessor=facts["sharedMemPerMultiprocessor"],
            threads_multiprocessor=facts["maxThreadsPerMultiProcessor"],
        )
        self._modules: dict[str, Any] = {}
        self._kernels: dict[str, Any] = {}

    def free_bytes(self) -> int:
        """What the driver has left, and what CuPy's pool holds unused."""
        free = self._cupy.cuda.runtime.memGetInfo()[0]
        return int(free + self._cupy.get_default_memory_pool().free_bytes())

    def current(self) -> Any:
        return self._cupy.cuda.Device(self._device.id)

    def stream(self) -> CupyStream:
        return CupyStream(self._cupy.cuda.Stream(non_blocking=True))

    def empty(self, n: int, dtype: npt.DTypeLike) -> Any:
        try:
            return self._cupy.empty(n, dtype)
        except self._cupy.cuda.memory.OutOfMemoryError as error:
            raise OutOfMemory(str(error)) from error

    def zeros(self, n: int, dtype: npt.DTypeLike) -> Any:
        out = self.empty(n, dtype)
        out.data.memset(0, out.nbytes)
        # on the null stream, and streams of ours do not wait for that one
        self._cupy.cuda.get_current_stream().synchronize()
        return out

    def adopt(self, data: object) -> Any | None:
        cupy = self._cupy
        if isinstance(data, cupy.ndarray):
            return cupy.ascontiguousarray(data)
        if hasattr(data, "__cuda_array_interface__"):
            return cupy.ascontiguousarray(cupy.asarray(data))
        where = getattr(data, "__dlpack_device__", None)
        if where is not None and where()[0] == DLPACK_CUDA:
            return cupy.ascontiguousarray(cupy.from_dlpack(data))
        return None

    def wrap(self, pointer: int, n: int, dtype: npt.DTypeLike, owner: object) -> Any:
        kind = np.dtype(dtype)
        memory = self._cupy.cuda.UnownedMemory(pointer, n * kind.itemsize, owner, self._device.id)
        return self._cupy.ndarray((n,), kind, self._cupy.cuda.MemoryPointer(memory, 0))

    def wait_for(self, event: int) -> None:
        if event:
            self._cupy.cuda.runtime.eventSynchronize(event)

    def staging(self, n: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        kind = np.dtype(dtype)
        memory = self._cupy.cuda.alloc_pinned_memory(max(n * kind.itemsize, 1))
        return np.frombuffer(memory, kind, n)

    def is_staged(self, host: npt.NDArray[Any]) -> bool:
        runtime = self._cupy.cuda.runtime
        try:
            return bool(runtime.pointerGetAttributes(host.ctypes.data).type == PINNED)
        except runtime.CUDARuntimeError:
            return False

    def upload(self, host: npt.NDArray[Any], out: Any, stream: CupyStream) -> None:
        self._follow(stream)
        stream.held.append((host, out))
        self._cupy.cuda.runtime.memcpyAsync(
            out.data.ptr, host.ctypes.data, host.nbytes, self._cupy.cuda.runtime.memcpyHostToDevice, stream.stream.ptr
        )

    def download(self, array: Any) -> npt.NDArray[Any]:
        self._device.synchronize()
        return np.asarray(self._cupy.asnumpy(array))

    def launch(self, launch: Launch, stream: CupyStream) -> None:
        kernel = self._kernel(launch)
        packed = Packed(launch.args, _address)
        self._follow(stream)
        stream.held.append(launch.args)
        self._cupy.cuda.driver.launchKernel(
            kernel.ptr, launch.blocks, 1, 1, launch.threads, 1, 1, launch.shared, stream.stream.ptr, packed.address, 0
        )

    def _follow(self, stream: CupyStream) -> None:
        """What CuPy still makes on the caller's stream (an array, its cast, memory that is used again) comes first:
        streams of ours do not wait for that one by themselves."""
        stream.stream.wait_event(self._cupy.cuda.get_current_stream().record())

    def _kernel(self, launch: Launch) -> Any:
        """Compiled once a process and, by CuPy, once on disk for this architecture and this very text."""
        if launch.entry not in self._kernels:
            if launch.source not in self._modules:
                self._modules[launch.source] = self._cupy.RawModule(code=text(launch.source), options=OPTIONS)
            raw = self._modules[launch.source].get_function(launch.entry)
            if launch.shared > PLAIN_SHARED or launch.entry.endswith("_shared"):
                raw.max_dynamic_shared_size_bytes = self.limits.shared_block - raw.shared_size_bytes
            self._kernels[launch.entry] = raw.kernel
        return self._kernels[launch.entry]


def _address(array: Any) -> int:
    return int(array.data.ptr)


@cache
def open_device() -> CupyDevice:
    return CupyDevice()
