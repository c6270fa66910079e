"""The emulator itself: it sees what a device would punish. Every barrier of every kernel is needed, and no two threads
touch one place without an atomic."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulator import trace, work
from emulator.build import NAMES, Emulator, Failed, command, compile_all, entries, needs_compiler, run
from heatgrid.gpu.launch import Launch
from heatgrid.gpu.locate import kernels

pytestmark = needs_compiler
BARRIER = re.compile(r"__sync(?:threads|warp)\(\);")
FORWARD, REVERSE = "0", "1"
SANITIZERS = {
    "thread": ("-O1", "-fsanitize=thread"),
    "address": (
        "-O0",
        "-fsanitize=address",
        "-fsanitize=shift,signed-integer-overflow,bounds,alignment,float-cast-overflow",
        "-fno-sanitize-recover=undefined",
    ),
}

BUILDS = {"fibers": ("-O0",), **SANITIZERS}


def barriers() -> list[str]:
    """file:line of each."""
    out = []
    for path in sorted(kernels().rglob("*.cu*")):
        lines = path.read_text().splitlines()
        out += [f"{path.name}:{k}" for k, line in enumerate(lines, 1) if BARRIER.search(line)]
    return out


@pytest.fixture(scope="module")
def traced() -> dict[str, list[Any]]:
    """Launches of every kernel with their memory before and after, by source."""
    return work.traced()


@pytest.fixture(scope="module")
def replays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("replay")
    run([command(kernels(), folder / name, *flags) for name, flags in BUILDS.items()])
    return {name: folder / name for name in BUILDS}


def replay(program: Path, launches: list[Any], folder: Path, *how: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: a kernel that lacks a barrier may write anywhere."""
    trace.write(folder / "trace", launches)
    command = [program, folder / "trace", *(how or ("threads",))]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_no_races_and_no_steps_outside(sanitizer: str, traced: Any, replays: Any, tmp_path: Path) -> None:
    """Real threads, two blocks at a time, arrays of exactly their size: the same bits as the fibers'."""
    done = replay(replays[sanitizer], [t for launches in traced.values() for t in launches], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_traces_run_every_kernel(traced: Any) -> None:
    seen = {launch.entry for launches in traced.values() for launch, _, _ in launches}
    assert seen == {entry for name in NAMES for entry in entries(kernels() / name)}


@pytest.mark.parametrize("barrier", barriers())
def test_every_barrier_is_needed(barrier: str, traced: Any, replays: Any, tmp_path: Path) -> None:
    """Left out, the fibers, forwards or backwards, leave other bits; or ThreadSanitizer sees the race."""
    file = barrier.partition(":")[0]
    launches = traced.get(file) or [
        t for name in traced for t in traced[name] if file in (kernels() / name).read_text()
    ]
    assert replay(replays["fibers"], launches, tmp_path, FORWARD).returncode == 0
    if all(replay(replays["fibers"], launches, tmp_path, seed, barrier).returncode == 0 for seed in (FORWARD, REVERSE)):
        assert "data race" in replay(replays["thread"], launches, tmp_path, "threads", barrier).stderr


@pytest.mark.parametrize(
    ("was", "becomes", "sanitizer", "says"),
    [
        ("  __syncthreads();\n  own.flush();", "  own.flush();", "", "differs"),
        ("sum != 0) atomicAdd(counts + cell, sum);", "sum != 0) counts[cell] += sum;", "thread", "data race"),
        ("cell < cells; cell += blockDim.x", "cell <= cells; cell += blockDim.x", "address", "heap-buffer-overflow"),
    ],
)
def test_an_edited_kernel_is_found_out(
    was: str, becomes: str, sanitizer: str, says: str, traced: Any, tmp_path: Path
) -> None:
    """Copies of bin.cu: without the barrier before its counters are emptied, without an atomic, one cell too far."""
    copy = tmp_path / "kernels"
    shutil.copytree(kernels(), copy)
    text = (copy / "bin.cu").read_text()
    assert was in text
    (copy / "bin.cu").write_text(text.replace(was, becomes))
    compile_all(copy, tmp_path / "edited", *BUILDS[sanitizer or "fibers"], names=["bin.cu"])
    done = replay(tmp_path / "edited", traced["bin.cu"], tmp_path, *(() if sanitizer else (FORWARD,)))
    assert done.returncode != 0
    assert says in done.stderr


PROBES = """
#include "include/warp.cuh"
using heatgrid::u32;
extern "C" __global__ void half_of_a_barrier(u32* out) {
  if (threadIdx.x < 7) __syncthreads();
  out[threadIdx.x] = 1;
}
extern "C" __global__ void two_barriers(u32* out) {
  if (threadIdx.x < 7) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = 1;
}
extern "C" __global__ void lanes_missing(u32* out) {
  if (threadIdx.x < 7) out[threadIdx.x] = __shfl_sync(0xffffffffu, 1u, 0);
}
extern "C" __global__ void lane_not_named(u32* out) { out[threadIdx.x] = __shfl_sync(1u, 1u, 0); }
extern "C" __global__ void garbage(u32* out) {
  HEATGRID_SHARED(u32, own, 64);
  HEATGRID_DYNAMIC_SHARED(u32, more);
  out[threadIdx.x] = own[threadIdx.x] == more[threadIdx.x] ? own[threadIdx.x] : 0;
}
extern "C" __global__ void collectives(u32* out) {
  const u32 i = threadIdx.x;
  u32 wrong = __shfl_up_sync(0xffffffffu, i, 3) != (i % 32 < 3 ? i : i - 3);
  wrong |= __shfl_down_sync(0xffffffffu, i, 3) != (i % 32 > 28 ? i : i + 3);
  wrong |= __shfl_xor_sync(0xffffffffu, i, 5) != (i ^ 5);
  wrong |= __shfl_sync(0xffffffffu, i, 9) != i / 32 * 32 + 9;
  wrong |= __ballot_sync(0xffffffffu, i % 3 == 0) != (i < 32 ? 0x49249249u : 0x92492492u);
  wrong |= __match_any_sync(0xffffffffu, i % 4) != 0x11111111u << (i % 4);
  wrong |= (__any_sync(0xffffffffu, i == 40) != 0) != (i >= 32);
  wrong |= __all_sync(0xffffffffu, i < 40) != (i < 32);
  if (i % 2 == 0) wrong |= __shfl_sync(0x55555555u, i, 2) != i / 32 * 32 + 2;
  out[i] = wrong;
}
"""


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    folder = tmp_path_factory.mktemp("probes")
    shutil.copytree(kernels() / "include", folder / "include")
    (folder / "probes.cu").write_text(PROBES)
    compile_all(folder, folder / "probes.so", "-O1", "-shared", "-fPIC", names=["probes.cu"])
    return Emulator(folder / "probes.so")


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("half_of_a_barrier", "after a thread of the block has returned|never come"),
        ("two_barriers", "in two places at once"),
        ("lanes_missing", "never come"),
        ("lane_not_named", "its mask does not name"),
        ("nothing", "no kernel of this name"),
    ],
)
def test_the_emulator_says_what_is_wrong(probes: Emulator, entry: str, says: str) -> None:
    with pytest.raises(Failed, match=says):
        probes.run(Launch("probes.cu", entry, 1, 64, (np.zeros(64, np.uint32),)))


def test_collectives_and_shared_memory(probes: Emulator) -> None:
    out = np.ones(64, np.uint32)
    probes.run(Launch("probes.cu", "collectives", 1, 64, (out,)))
    assert out.tolist() == [0] * 64
    probes.run(Launch("probes.cu", "garbage", 2, 64, (out,), 256))
    assert out.tolist() == [0xA5A5A5A5] * 64


def test_wrong_launches(probes: Emulator) -> None:
    out = np.ones(64, np.uint32)
    with pytest.raises(Failed, match="takes 1 arguments, not 2"):
        probes.run(Launch("probes.cu", "garbage", 1, 64, (out, out)))
    with pytest.raises(Failed, match="no device takes"):
        probes.run(Launch("probes.cu", "garbage", 1, 2048, (out,)))
    with pytest.raises(TypeError, match="has no size"):
        probes.run(Launch("probes.cu", "garbage", 1, 64, (1,)))


def test_the_header_is_short() -> None:
    assert len((Path(__file__).parent / "emulator" / "cuda.hpp").read_text().splitlines()) <= 800
