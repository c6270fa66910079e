"""The emulator itself: it sees what a device would punish. Every barrier of every kernel is needed, and no two threads
touch one place without an atomic."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulator import trace, work
from emulator.build import Emulator, Failed, compile_all, needs_compiler
from heatgrid.gpu.launch import Launch
from heatgrid.gpu.locate import kernels

pytestmark = needs_compiler
BARRIER = re.compile(r"__sync(?:threads|warp)\(\);")
FORWARD, REVERSE = "0", "1"
SANITIZERS = {
    "thread": ("-O1", "-fsanitize=thread"),
    "address": ("-O1", "-fsanitize=address", "-fsanitize=shift,signed-integer-overflow,bounds,alignment,float-cast-overflow",
                "-fno-sanitize-recover=undefined"),
}

BUILDS = {"fibers": ("-O0",), **SANITIZERS}


def sources() -> list[Path]:
    return sorted(kernels().glob("*.cu")) + sorted((kernels() / "include").glob("*.cuh"))


BARRIERS = [(path.relative_to(kernels()), k) for path in sources() for k in range(len(BARRIER.findall(path.read_text())))]


def without_barrier(folder: Path, file: Path, k: int) -> Path:
    """A copy of kernels/ that lacks one barrier."""
    copy = folder / "kernels"
    shutil.copytree(kernels(), copy)
    text = (copy / file).read_text()
    found = list(BARRIER.finditer(text))[k]
    (copy / file).write_text(text[: found.start()] + text[found.end() :])
    return copy


@pytest.fixture(scope="module")
def traced() -> dict[str, list[Any]]:
    """Launches of every kernel with their memory before and after, by source."""
    return work.traced()


@pytest.fixture(scope="module")
def replays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("replay")
    for name, flags in BUILDS.items():
        compile_all(kernels(), folder / name, *flags)
    return {name: folder / name for name in BUILDS}


def replay(program: Path, launches: list[Any], folder: Path, how: str = "threads") -> subprocess.CompletedProcess[str]:
    """A process of its own: a kernel that lacks a barrier may write anywhere."""
    trace.write(folder / "trace", launches)
    return subprocess.run([program, folder / "trace", how], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_no_races_and_no_steps_outside(sanitizer: str, traced: Any, replays: Any, tmp_path: Path) -> None:
    """Real threads, two blocks at a time, arrays of exactly their size: the same bits as the fibers'."""
    done = replay(replays[sanitizer], [t for launches in traced.values() for t in launches], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_traces_run_every_kernel(traced: Any) -> None:
    entries = {launch.entry for launches in traced.values() for launch, _, _ in launches}
    text = "".join(path.read_text() for path in kernels().glob("*.cu"))
    assert entries == set(re.findall(r"\b(\w+)\((?=const|u32\* h|[uif]\d+\* )", re.sub(r"namespace heatgrid \{.*?\}  // namespace", "", text, flags=re.S)))


@pytest.mark.parametrize(("file", "k"), BARRIERS, ids=lambda v: str(v))
def test_every_barrier_is_needed(file: Path, k: int, traced: Any, replays: Any, tmp_path: Path) -> None:
    """Without it the fibers, forwards or backwards, leave other bits; or ThreadSanitizer sees the race."""
    copy = without_barrier(tmp_path, file, k)
    names = [file.name] if file.suffix == ".cu" else [n for n in traced if file.name in (kernels() / n).read_text()]
    launches = [t for name in names for t in traced[name]]
    compile_all(copy, tmp_path / "fibers", *BUILDS["fibers"], names=names)
    assert replay(replays["fibers"], launches, tmp_path, FORWARD).returncode == 0
    if any(replay(tmp_path / "fibers", launches, tmp_path, seed).returncode != 0 for seed in (FORWARD, REVERSE)):
        return
    compile_all(copy, tmp_path / "threads", *SANITIZERS["thread"], names=names)
    assert "data race" in replay(tmp_path / "threads", launches, tmp_path).stderr


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_the_sanitizers_see_what_they_should(sanitizer: str, traced: Any, tmp_path: Path) -> None:
    """A counter without its atomic; a grid-stride loop that goes one too far."""
    copy = tmp_path / "kernels"
    shutil.copytree(kernels(), copy)
    text = (copy / "columns.cu").read_text()
    wrong = {
        "thread": text.replace("out[b] &= heatgrid::eight(bits, offset, 8 * b, n);", "out[0] &= heatgrid::eight(bits, offset, 8 * b, n);"),
        "address": text.replace("i < n; i += heatgrid::row_stride()) values[i] +=", "i <= n; i += heatgrid::row_stride()) values[i] +="),
    }[sanitizer]
    assert wrong != text
    (copy / "columns.cu").write_text(wrong)
    compile_all(copy, tmp_path / "wrong", *SANITIZERS[sanitizer], names=["columns.cu"])
    done = replay(tmp_path / "wrong", traced["columns.cu"], tmp_path)
    assert done.returncode != 0
    assert {"thread": "data race", "address": "heap-buffer-overflow"}[sanitizer] in done.stderr


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
