"""A kernel launch as data: what the device runs, what the emulator runs, and what the tests look at."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_SHARED = 1 << 20


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel of kernels/<source>.

    args : what the kernel takes, in order: arrays of the device, None (a null pointer), or NumPy scalars of the very
        type, structures included. Nothing else, so that no size is ever guessed.
    shared : bytes of dynamic shared memory.
    """

    source: str
    entry: str
    blocks: int
    threads: int
    args: tuple[Any, ...]
    shared: int = 0


class Packed:
    """The arguments as CUDA takes them: an array of pointers to the values. Keeps the values alive."""

    def __init__(self, args: tuple[Any, ...], address: Callable[[Any], int]) -> None:
        self.values = [_value(arg, address) for arg in args]
        self.pointers = (ctypes.c_void_p * len(args))(*[value.ctypes.data for value in self.values])

    @property
    def address(self) -> int:
        return ctypes.addressof(self.pointers)


def _value(arg: Any, address: Callable[[Any], int]) -> Any:
    if isinstance(arg, np.generic):
        return np.asarray(arg)
    if isinstance(arg, (bool, int, float)):
        raise TypeError(f"{arg!r} has no size: a NumPy scalar says which")
    return np.asarray(0 if arg is None else address(arg), np.uint64)
