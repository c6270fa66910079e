"""Compiles kernels/*.cu with the host's compiler: as a library for ctypes, or as a program that replays launches."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest

from heatgrid.gpu.launch import Launch, Packed
from heatgrid.gpu.locate import kernels

HERE = Path(__file__).parent
FLAGS = (
    "-std=c++17",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-clobbered",
    "-pthread",
    "-fno-gnu-unique",
)
NAMES = sorted(path.name for path in kernels().glob("*.cu"))
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed: no CUDA emulator")
FORWARD, REVERSE, SHUFFLED = 0, 1, 2
"""Orders in which the fibers of a block, and the blocks, take their turns."""


class Failed(Exception):
    """The emulator stopped a kernel: a barrier that some threads never reach, a wrong launch."""


def entries(source: Path) -> list[str]:
    found = re.findall(r'extern "C" __global__ void(?: __launch_bounds__\([\d, ]+\))?\s+(\w+)\(', source.read_text())
    assert found, source
    return found


def command(folder: Path, target: Path, *flags: str, names: list[str] | None = None) -> list[str]:
    """Makes one binary of all kernels of the folder, which is kernels/ or an edited copy, in one unit: the headers of
    the standard library are most of a compile."""
    lines = ['#include "cuda.hpp"' if "-shared" in flags else '#include "replay.cpp"']
    for name in names or NAMES:
        lines.append(f'#include "{folder / name}"')
        lines += [f"EMULATE({entry})" for entry in entries(folder / name)]
    unit = target.with_suffix(".cpp")
    unit.write_text("\n".join(lines) + "\n")
    return ["g++", *FLAGS, *flags, f"-I{HERE}", str(unit), "-o", str(target)]


def compile_all(folder: Path, target: Path, *flags: str, names: list[str] | None = None) -> None:
    run([command(folder, target, *flags, names=names)])


def run(commands: list[list[str]]) -> None:
    """Side by side."""
    running = [subprocess.Popen(c, stderr=subprocess.PIPE, text=True) for c in commands]
    for process in running:
        _, errors = process.communicate()
        assert process.returncode == 0, errors


class Emulator:
    """A compiled set of kernels, called as the driver calls them."""

    def __init__(self, library: Path) -> None:
        self._emulate = ctypes.CDLL(str(library)).emulate
        self._emulate.restype = ctypes.c_char_p

    def run(self, launch: Launch, seed: int = FORWARD) -> None:
        packed = Packed(launch.args, address)
        shape = (ctypes.c_uint * 9)(launch.blocks, 1, 1, launch.threads, 1, 1, launch.shared, 0, seed)
        wrong = self._emulate(launch.entry.encode(), shape, ctypes.c_void_p(packed.address), len(launch.args))
        if wrong is not None:
            raise Failed(f"{launch.entry}: {wrong.decode()}")


def address(array: Any) -> int:
    assert isinstance(array, np.ndarray), type(array)
    assert array.flags.c_contiguous
    return array.ctypes.data


@cache
def emulator() -> Emulator:
    """The kernels as they are, compiled once a session."""
    folder = Path(mkdtemp(prefix="heatgrid-emulator-"))
    compile_all(kernels(), folder / "kernels.so", "-O2", "-shared", "-fPIC")
    return Emulator(folder / "kernels.so")
