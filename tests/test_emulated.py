"""The GPU's path without a GPU: the same policy, the same launches, the unchanged kernels run by the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import heatgrid as hg
from cases import Case, bin_cases, check, smooth_cases
from emulator.build import FORWARD, REVERSE, SHUFFLED, needs_compiler
from emulator.device import SMALL, EmulatedDevice
from heatgrid.engine import backend, device_bins
from heatgrid.gpu import availability

pytestmark = needs_compiler
ORDERS = (FORWARD, REVERSE, SHUFFLED)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedDevice]:
    """The machine has this device."""
    made = EmulatedDevice()
    monkeypatch.setattr(availability, "why_not", lambda: "")
    monkeypatch.setattr(backend, "open_device", lambda: made)
    yield made


def on(device: EmulatedDevice, data: Any) -> Any:
    """A copy on the device."""
    array = np.ascontiguousarray(data)
    held = device.empty(array.size, array.dtype).reshape(array.shape)
    held[...] = array
    return held


ARRAYS = ("group", "weight", "valid")


def held(device: EmulatedDevice, case: Case) -> dict[str, Any]:
    more = {k: on(device, v) if k in ARRAYS else v for k, v in case.arguments.items()}
    return {"x": on(device, case.x), "y": on(device, case.y), **more}


@pytest.mark.parametrize("case", list(bin_cases()), ids=lambda case: case.name)
def test_bin_points(device: EmulatedDevice, case: Case) -> None:
    from_host = hg.bin_points(case.x, case.y, backend="gpu", **case.arguments)
    check(from_host, case)
    device.seed = REVERSE
    uploads = device.uploads
    from_device = hg.bin_points(**held(device, case))
    masks = "valid" in case.more
    assert device.uploads == uploads + masks  # the bitmap's ones, no column
    check(from_device, case)
    on_cpu = hg.bin_points(case.x, case.y, backend="cpu", **case.arguments)
    np.testing.assert_array_equal(on_cpu.values, from_device.values)
    assert (from_host.meta["backend"], from_device.meta["backend"], on_cpu.meta["backend"]) == ("gpu", "gpu", "cpu")
    assert from_device.meta["backend_reason"] == "the input is on the device"
