"""Columns of other libraries on the emulated device, as their protocols show them."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from emulator.device import EmulatedDevice
from heatgrid.gpu.foreign import CUDA, _Array

_NEW = ctypes.pythonapi.PyCapsule_New
_NEW.restype, _NEW.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)


class Arrow:
    """An Arrow array whose buffers lie on the device: __arrow_c_device_array__ and nothing else."""

    def __init__(self, device: EmulatedDevice, array: Any) -> None:
        self.array = array
        self.length = len(array)
        letters = {pa.float64(): b"g", pa.int64(): b"l", pa.int32(): b"i", pa.timestamp("us"): b"tsu:"}
        buffers = array.buffers()
        self._pointers = (ctypes.c_void_p * 2)(*[None if b is None else b.address for b in buffers])
        self._schema = ctypes.create_string_buffer(72)
        self._format = ctypes.create_string_buffer(letters.get(array.type, b"d:9,0"))
        ctypes.c_void_p.from_buffer(self._schema).value = ctypes.addressof(self._format)
        self._array = _Array(
            length=len(array), null_count=array.null_count, offset=array.offset, n_buffers=2, buffers=self._pointers,
            device_type=CUDA,
        )  # fmt: skip

    def __len__(self) -> int:
        return self.length

    def __arrow_c_device_array__(self, requested_schema: object = None, **_: object) -> tuple[object, object]:
        return (
            _NEW(ctypes.addressof(self._schema), b"arrow_schema", None),
            _NEW(ctypes.addressof(self._array), b"arrow_device_array", None),
        )


class Masked:
    """Values and a bitmap, as cudf's __cuda_array_interface__ has them."""

    def __init__(self, device: EmulatedDevice, array: Any) -> None:
        values = array.fill_null(0).to_numpy()
        bits = np.packbits(array.is_valid().to_numpy(zero_copy_only=False), bitorder="little")
        self._keep = values, bits
        self.length = len(array)
        mask = {"shape": (len(array),), "typestr": "<t1", "data": (bits.ctypes.data, True), "version": 3}
        self.__cuda_array_interface__ = {
            "shape": values.shape, "typestr": values.dtype.str, "data": (values.ctypes.data, True), "version": 3,
            "mask": SimpleNamespace(__cuda_array_interface__=mask),
        }  # fmt: skip

    def __len__(self) -> int:
        return self.length
