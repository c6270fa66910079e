"""What leads to CuPy, without a driver: who may use the GPU and why not, and what its driver is called with."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import heatgrid as hg
from heatgrid.engine import backend
from heatgrid.gpu import availability
from heatgrid.gpu.device import Limits, OutOfMemory, blocks_for
from heatgrid.gpu.launch import Launch
from heatgrid.gpu.source import OPTIONS, text
from heatgrid.words.errors import DeviceError


class FakeArray:
    """An array of a device: an address and nothing behind it."""

    def __init__(self, pointer: int, nbytes: int = 64) -> None:
        self.data = SimpleNamespace(ptr=pointer, memset=lambda value, n: None)
        self.nbytes = nbytes


def fake_cupy(compute: str = "90", available: bool = True) -> Any:
    """As much of CuPy as CupyDevice touches; it writes down what it is asked."""
    calls: list[Any] = []
    properties = {
        "name": b"Fake 100", "multiProcessorCount": 132, "sharedMemPerBlockOptin": 227 << 10,
        "sharedMemPerMultiprocessor": 228 << 10, "maxThreadsPerMultiProcessor": 2048,
    }  # fmt: skip

    class OutOfMemoryError(Exception):
        pass

    class RawModule:
        def __init__(self, code: str, options: tuple[str, ...]) -> None:
            calls.append(("compile", code, options))

        def get_function(self, name: str) -> Any:
            kernel = SimpleNamespace(
                kernel=SimpleNamespace(ptr=4242), shared_size_bytes=0, max_dynamic_shared_size_bytes=0
            )
            calls.append(("function", name, kernel))
            return kernel

    def launch_kernel(*args: Any) -> None:
        pointers = (ctypes.c_void_p * 3).from_address(args[9])
        values = [
            ctypes.c_uint64.from_address(pointers[0] or 0).value,
            ctypes.c_uint32.from_address(pointers[1] or 0).value,
        ]
        calls.append(("launch", args[:9], [*values, ctypes.c_uint64.from_address(pointers[2] or 0).value]))

    def empty(n: int, dtype: Any) -> FakeArray:
        if n > 1000:
            raise OutOfMemoryError("no room")
        return FakeArray(n)

    cupy: Any = ModuleType("cupy")
    cupy.calls, cupy.RawModule, cupy.empty = calls, RawModule, empty
    cupy.get_default_memory_pool = lambda: SimpleNamespace(free_bytes=lambda: 5)
    cupy.cuda = SimpleNamespace(
        is_available=lambda: available,
        Device=lambda: SimpleNamespace(id=0, compute_capability=compute, synchronize=lambda: None),
        Stream=lambda non_blocking: SimpleNamespace(
            ptr=77, synchronize=lambda: calls.append(("synchronize",)), wait_event=lambda e: calls.append(("wait", e))
        ),
        get_current_stream=lambda: SimpleNamespace(synchronize=lambda: None, record=lambda: "what was asked before"),
        runtime=SimpleNamespace(
            getDeviceProperties=lambda number: properties, memGetInfo=lambda: (100, 200), memcpyHostToDevice=1,
            memcpyAsync=lambda *args: calls.append(("copy", args)),
        ),
        driver=SimpleNamespace(launchKernel=launch_kernel),
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    )  # fmt: skip
    return cupy


def use(monkeypatch: pytest.MonkeyPatch, cupy: Any) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(availability, "find_spec", lambda name: object())


def test_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "find_spec", lambda name: None)
    assert "not installed" in availability.why_not()
    use(monkeypatch, None)
    assert "does not import" in availability.why_not()
    use(monkeypatch, fake_cupy(available=False))
    assert "no CUDA driver" in availability.why_not()
    use(monkeypatch, fake_cupy(compute="61"))
    assert availability.why_not() == "the device is of compute capability 6.1, and 7.0 is needed"
    use(monkeypatch, fake_cupy())
    assert availability.why_not() == ""
    monkeypatch.setenv("HEATGRID_GPU", "0")
    assert "HEATGRID_GPU=0" in availability.why_not()


@pytest.mark.parametrize("call", ["bin_points", "smooth", "dwell"])
def test_a_gpu_that_is_absent_is_an_error_with_the_reason(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setattr(availability, "why_not", lambda: "the reason")
    x = np.zeros(3)
    with pytest.raises(DeviceError, match="the reason") as caught:
        {
            "bin_points": lambda: hg.bin_points(x, x, shape=(1, 1), backend="gpu"),
            "smooth": lambda: hg.smooth(np.zeros((2, 2)), 1, backend="gpu"),
            "dwell": lambda: hg.dwell(["a"] * 3, np.arange(3), ["f"] * 3, backend="gpu"),
        }[call]()
    assert (caught.value.exit_code, caught.value.code) == (6, "HG5001")
    monkeypatch.setattr(backend, "LEAST_POINTS", 3)
    assert hg.bin_points(x, x, shape=(1, 1)).meta["backend_reason"] == "the reason"


def test_a_run_says_which_measures_have_no_gpu_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a measure is not named, if `auto` looks for a GPU, or if what is missing is told as another thing."""
    rows = {
        "time": [1_700_000_000_000, 1_700_000_000_001],
        "session": ["a", "a"],
        "page": ["p", "p"],
        "kind": ["click", "click"],
        "x": [1, 2],
        "y": [1, 2],
    }
    plan = hg.Plan(maps=["clicks", "moves"], tables=["features"], friction=["rage"], transitions=["pages"], scroll=True)
    named = "features, transitions of pages, friction"
    monkeypatch.setattr(availability, "why_not", lambda: "")
    with pytest.raises(DeviceError) as caught:
        hg.run(rows, plan, backend="gpu")
    assert (caught.value.exit_code, caught.value.code, caught.value.value) == (6, "HG5006", named)
    monkeypatch.setattr(availability, "why_not", lambda: "no driver")
    with pytest.raises(DeviceError, match="no driver") as caught:
        hg.run(rows, plan, backend="gpu")
    assert (caught.value.exit_code, caught.value.code) == (6, "HG5001")
    monkeypatch.setattr(availability, "why_not", lambda: pytest.fail("looked for a GPU"))
    summary = hg.run(rows, plan).summary
    few = "2 rows: below 134,217,728 a GPU saves less than it costs to begin"
    assert (summary["backend"], summary["backend_reason"]) == ("cpu", f"{few}; no GPU kernel for {named}")
    summary = hg.run(rows, maps=(), tables=["features"]).summary
    assert (summary["backend"], summary["backend_reason"]) == ("cpu", "no GPU kernel for features")
    assert hg.run(rows, plan, backend="cpu").summary["backend_reason"] == "asked for"


def test_small_requests_do_not_look_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """To import CuPy and to ask the driver takes longer than they do."""
    looked: list[int] = []
    monkeypatch.setattr(availability, "why_not", lambda: looked.append(1) or "none")
    monkeypatch.setattr(backend, "LEAST_POINTS", 10_001)
    monkeypatch.setattr(backend, "LEAST_CELLS", 101)
    x = np.zeros(10_000)
    few = hg.bin_points(x, x, shape=(10, 10))
    hg.smooth(few, 1)
    assert looked == []
    assert "10,000 points: below 10,001" in str(few.meta["backend_reason"])
    monkeypatch.setattr(backend, "LEAST_POINTS", 10_000)
    monkeypatch.setattr(backend, "LEAST_CELLS", 100)
    hg.bin_points(x, x, shape=(10, 10))
    hg.smooth(few, 1)
    assert looked == [1, 1]


def test_the_driver_gets_what_the_launch_says(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = fake_cupy()
    use(monkeypatch, cupy)
    from heatgrid.gpu.cupy_device import CupyDevice

    device = CupyDevice()
    assert (device.name, device.limits) == ("Fake 100", Limits(132, 227 << 10, 228 << 10, 2048))
    assert device.free_bytes() == 105
    stream = device.stream()
    launch = Launch("bin.cu", "bin_f32_shared", 3, 1024, (FakeArray(123456789012), np.uint32(7), None), 100_000)
    device.launch(launch, stream)
    device.launch(launch, stream)
    compiled = [c for c in cupy.calls if c[0] == "compile"]
    assert compiled == [("compile", text("bin.cu"), OPTIONS)]
    function = next(c for c in cupy.calls if c[0] == "function")
    assert (function[1], function[2].max_dynamic_shared_size_bytes) == ("bin_f32_shared", 227 << 10)
    launches = [c for c in cupy.calls if c[0] == "launch"]
    assert launches == [("launch", (4242, 3, 1, 1, 1024, 1, 1, 100_000, 77), [123456789012, 7, 0])] * 2
    # fails if a kernel may start before CuPy has made its arguments
    assert [c[0] for c in cupy.calls if c[0] in ("wait", "launch")] == ["wait", "launch"] * 2
    assert ("wait", "what was asked before") in cupy.calls
    assert len(stream.held) == 2
    stream.synchronize()
    assert stream.held == []
    host = np.arange(4.0)
    device.upload(host, FakeArray(99), stream)
    assert cupy.calls[-2:] == [("wait", "what was asked before"), ("copy", (99, host.ctypes.data, 32, 1, 77))]
    with pytest.raises(OutOfMemory, match="no room"):
        device.zeros(2000, np.int64)


def test_a_source_is_whole_and_knows_its_headers() -> None:
    for name in ("bin.cu", "smooth.cu", "recursive.cu", "sessions.cu", "columns.cu", "sums.cu", "scroll.cu"):
        whole = text(name)
        assert '#include "' not in whole
        assert "#pragma once" not in whole
        assert whole.count("#define HEATGRID_LEAF __device__") == 1


def test_blocks() -> None:
    limits = Limits(10, 48 << 10, 64 << 10, 1024)
    assert [blocks_for(n, 256, limits) for n in (0, 1, 256, 257, 10**9)] == [1, 1, 1, 2, 40]


@pytest.mark.skipif(find_spec("cupy") is None, reason="CuPy is not installed: its import without a driver is not tried")
def test_cupy_without_a_driver() -> None:
    code = "from heatgrid.gpu.availability import why_not; print(why_not())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() in ("", "CuPy finds no CUDA driver with a device")
