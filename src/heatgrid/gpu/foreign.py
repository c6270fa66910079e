"""Arrays of other libraries that lie on the device, by protocol and without a copy: the CUDA array interface (with the
bitmap that cudf puts in), DLPack, and Arrow's C device interface."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np

from heatgrid.gpu.device import Device
from heatgrid.words.errors import DeviceError

CUDA = 2
"""kDLCUDA of DLPack and ARROW_DEVICE_CUDA are one number."""
FORMATS = {"c": "i1", "C": "u1", "s": "i2", "S": "u2", "i": "i4", "I": "u4", "l": "i8", "L": "u8", "f": "f4", "g": "f8"}
UNITS = {"tss": "s", "tsm": "ms", "tsu": "us", "tsn": "ns"}
"""Arrow's format letters, of numbers and of times, which are whole numbers of 64 bits."""


@dataclass(frozen=True)
class Column:
    """values: an array of the device; bits: its validity from bit `offset` on, or None. unit: of a time."""

    values: Any
    bits: Any = None
    offset: int = 0
    unit: str = ""


def on_device(data: object) -> bool:
    if hasattr(data, "__cuda_array_interface__"):
        return True
    where = getattr(data, "__dlpack_device__", None)
    if where is not None and not hasattr(data, "__array_interface__"):
        return int(where()[0]) == CUDA
    return hasattr(data, "__arrow_c_device_array__") and not hasattr(data, "__arrow_c_array__")


def column(name: str, data: Any, device: Device) -> Column:
    """Raises DeviceError HG5004 where the layout is none of ours."""
    interface = getattr(data, "__cuda_array_interface__", None)
    if interface is not None and interface.get("mask") is not None:
        return _masked(data, interface, device)
    array = device.adopt(data)
    if array is None and hasattr(data, "__arrow_c_device_array__"):
        return _arrow(name, data, device)
    if array is None or array.ndim != 1:
        raise DeviceError(
            f"{name} is not on the device as one column", code="HG5004", where=name, value=type(data).__name__,
            expected="one-dimensional arrays, all of them on the device or none",
        )  # fmt: skip
    return Column(array)


def _masked(data: Any, interface: dict[str, Any], device: Device) -> Column:
    """Values with a bitmap of the same layout as Arrow's, of which cudf says `<t1`."""
    n = int(interface["shape"][0])
    values = device.wrap(interface["data"][0], n, interface["typestr"], data)
    mask = interface["mask"].__cuda_array_interface__
    return Column(values, device.wrap(mask["data"][0], (n + 7) // 8, "u1", interface["mask"]))


class _Schema(ctypes.Structure):
    _fields_ = (("format", ctypes.c_char_p),)


class _Array(ctypes.Structure):
    """ArrowDeviceArray: an ArrowArray, then the device."""

    _fields_ = (
        ("length", ctypes.c_int64), ("null_count", ctypes.c_int64), ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64), ("n_children", ctypes.c_int64), ("buffers", ctypes.POINTER(ctypes.c_void_p)),
        ("children", ctypes.c_void_p), ("dictionary", ctypes.c_void_p), ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p), ("device_id", ctypes.c_int64), ("device_type", ctypes.c_int32),
        ("sync_event", ctypes.c_void_p),
    )  # fmt: skip


def _arrow(name: str, data: Any, device: Device) -> Column:
    capsules = data.__arrow_c_device_array__()
    schema = _Schema.from_address(_pointer(capsules[0], b"arrow_schema"))
    array = _Array.from_address(_pointer(capsules[1], b"arrow_device_array"))
    letters = schema.format.decode()
    unit = UNITS.get(letters[:3], "")
    kind = "i8" if unit else FORMATS.get(letters)
    if kind is None or array.n_buffers != 2 or array.dictionary or array.device_type != CUDA:
        raise DeviceError(
            f"{name} is an Arrow array of another layout", code="HG5004", where=name,
            value=f"format {letters!r}, device type {array.device_type}", expected="numbers in CUDA memory",
            hint="cast it, or decode its dictionary, first",
        )  # fmt: skip
    if array.sync_event:
        device.wait_for(ctypes.c_void_p.from_address(array.sync_event).value or 0)
    owner = (data, capsules)
    n, offset = array.length, array.offset
    values = device.wrap(array.buffers[1] + offset * np.dtype(kind).itemsize, n, kind, owner)
    bits = None
    if array.buffers[0] and array.null_count:
        bits = device.wrap(array.buffers[0], (offset + n + 7) // 8, "u1", owner)
    return Column(values, bits, offset, unit)


def _pointer(capsule: object, name: bytes) -> int:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return int(get(capsule, name))
