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
FLAGS = ("-std=c++17", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Wno-clobbered", "-pthread", "-fno-gnu-unique")
NAMES = sorted(path.name for path in kernels().glob("*.cu"))
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed: no CUDA emulator")
FORWARD, REVERSE, SHUFFLED = 0, 1, 2
"""Orders in which the fibers of a block, and the blocks, take their turns."""


class Failed(Exception):
    """The emulator stopped a kernel: a barrier that some threads never reach, a wrong launch."""


def entries(source: Path) -> list[str]:
    found = re.findall(r'extern "C" __global__ void(?: __launch_bounds__\(\d+\))?\s+(\w+)\(', source.read_text())
    assert found, source
    return found


@cache
def header(flags: tuple[str, ...]) -> str:
    """The option that has cuda.hpp read once for all sources with these flags: most of a compile is its headers."""
    folder = mkdtemp(prefix="heatgrid-header-")
    target = f"{folder}/cuda.hpp.gch"
    subprocess.run(["g++", *FLAGS, *flags, "-w", "-x", "c++-header", str(HERE / "cuda.hpp"), "-o", target], check=True)
    return f"-I{folder}"


def compile_all(folder: Path, target: Path, *flags: str, names: list[str] | None = None) -> None:
    """One binary of all kernels of the folder, which is kernels/ or an edited copy."""
    chosen = names or NAMES
    parts = []
    for name in chosen:
        unit = target.with_name(f"{target.stem}-{Path(name).stem}.cpp")
        lines = ['#include "cuda.hpp"', f'#include "{folder / name}"']
        lines += [f"EMULATE({entry})" for entry in entries(folder / name)]
        unit.write_text("\n".join(lines) + "\n")
        parts.append(unit)
    if "-shared" not in flags:
        parts.append(target.with_name(f"{target.stem}-main.cpp"))
        shutil.copy(HERE / "replay.cpp", parts[-1])
    ours = [f for f in flags if f != "-shared"]
    once = header(tuple(ours))
    jobs = [["g++", *FLAGS, *ours, once, f"-I{HERE}", "-c", str(u), "-o", str(u.with_suffix(".o"))] for u in parts]
    running = [subprocess.Popen(job, stderr=subprocess.PIPE, text=True) for job in jobs]
    for process in running:
        assert process.wait() == 0, process.stderr.read()
        process.stderr.close()
    objects = [str(u.with_suffix(".o")) for u in parts]
    done = subprocess.run(["g++", *FLAGS, *flags, *objects, "-o", str(target)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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
