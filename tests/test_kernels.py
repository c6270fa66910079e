"""The CUDA sources without a GPU: the header by the host compiler against NumPy, the kernels by NVRTC."""

from __future__ import annotations

import ctypes
import math
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulator.build import entries
from heatgrid.gpu.axis import AXIS, make_axis
from heatgrid.gpu.locate import kernels
from heatgrid.gpu.source import OPTIONS, text
from oracle import points as oracle

ARCHITECTURES = ("75", "80", "90", "120")
BUDGETS = {
    r"bin_f.._shared": (64, 0),  # 1024 threads a block: 65,536 registers
    r"bin_f.._\w+": (64, 0),  # four blocks of 256 to a multiprocessor
    r"smooth_\w+_f32": (80, 26 << 10),  # three blocks of 256
    r"smooth_\w+_f64": (128, 42 << 10),  # two
    r"recursive_\w+": (112, 42 << 10),  # two blocks of 288
    r"sort_move": (64, 27 << 10),  # four
    r"place_points|scroll_counts": (64, 0),  # four blocks of 256
    r"sort_\w+|visits_\w+|run_\w+": (40, 1 << 10),
    r"\w+": (40, 0),
}
ODD = [0.0, -0.0, -0.5, -5e-324, 5e-324, -1e-45, 1e300, -1e300, 2.0**31, 2.0**63, math.nan, math.inf, -math.inf, 3.4e38]
HEADERS = sorted(path.name for path in (kernels() / "include").iterdir())
SOURCES = sorted(path.name for path in kernels().glob("*.cu"))
HOST = """
#include "cell.cuh"
using heatgrid::Axis;
extern "C" void cells(const double* x, const double* y, long long n, const Axis* ax, const Axis* ay, long long* out) {
  for (long long i = 0; i < n; ++i) out[i] = heatgrid::cell_of(x[i], y[i], *ax, *ay);
}
extern "C" void quick_f32(const float* x, const float* y, long long n, const Axis* ax, const Axis* ay, long long* out) {
  for (long long i = 0; i < n; ++i) out[i] = heatgrid::quick_cell(x[i], y[i], *ax, *ay);
}
extern "C" void quick_f64(const double* x, const double* y, long long n, const Axis* ax, const Axis* ay,
                          long long* out) {
  for (long long i = 0; i < n; ++i) out[i] = heatgrid::quick_cell(x[i], y[i], *ax, *ay);
}
extern "C" int valid(const unsigned char* bits, long long i) { return heatgrid::is_valid(bits, i); }
extern "C" int size_of_axis() { return sizeof(Axis); }
"""
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


def compile_host(source: Path, target: Path, *options: str) -> None:
    command = ["g++", "-std=c++17", "-O3", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-x", "c++"]
    done = subprocess.run(
        [*command, f"-I{kernels() / 'include'}", *options, str(source), "-o", str(target)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@needs_compiler
@pytest.mark.parametrize("name", HEADERS)
def test_headers_compile_alone(name: str, tmp_path: Path) -> None:
    source = tmp_path / "alone.cpp"
    source.write_text(f'#include "cuda.hpp"\n#include "{name}"\n')
    compile_host(source, tmp_path / "alone.o", "-c", f"-I{Path(__file__).parent / 'emulator'}", "-Wno-clobbered")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("host")
    (folder / "host.cpp").write_text(HOST)
    compile_host(folder / "host.cpp", folder / "host.so", "-shared", "-fPIC")
    return ctypes.CDLL(str(folder / "host.so"))


def call(function: Any, x: np.ndarray, y: np.ndarray, ax: Any, ay: Any) -> np.ndarray:
    out = np.empty(x.size, np.int64)
    axes = [np.asarray(axis) for axis in (ax, ay)]
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (x, y, *axes, out)]
    function(pointers[0], pointers[1], ctypes.c_longlong(x.size), *pointers[2:])
    return out


@needs_compiler
@pytest.mark.parametrize(("origin", "step"), [(0.0, 8.0), (0.0, 7.5), (0.1, 0.1), (-3.0, 1 / 3), (1e6 + 0.3, 1e-3)])
def test_cell_of_the_header_is_numpys(host: ctypes.CDLL, origin: float, step: float) -> None:
    nx, ny = 300, 5
    edges = origin + np.arange(-2, nx + 3) * step
    odd = [math.nan, math.inf, -math.inf, 1e300, -1e300, 2.0**63, -(2.0**63), -0.0, -0.5, -5e-324, 1.7e308, -1.7e308]
    values = np.concatenate([edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf), odd])
    x, y = np.repeat(values, 9), np.tile(np.array([0, 1, -0.0, 4.999, 5, -0.5, np.nan, np.inf, 1e300]), values.size)
    out = call(host.cells, x, y, make_axis(origin, step, nx), make_axis(0, 1, ny))

    with np.errstate(invalid="ignore", over="ignore"):
        qx, qy = (x - origin) / step, y / 1.0
    inside = (qx >= 0) & (qx < nx) & (qy >= 0) & (qy < ny)
    expected = np.where(np.isfinite(x) & np.isfinite(y), -1, -2)
    expected[inside] = np.floor(qy[inside]).astype(int) * nx + np.floor(qx[inside]).astype(int)
    np.testing.assert_array_equal(out, expected)
    _, used, outside, invalid = oracle.count(x.tolist(), y.tolist(), shape=(ny, nx), origin=(origin, 0), cell=(step, 1))
    assert [(out >= 0).sum(), (out == -1).sum(), (out == -2).sum()] == [used, outside, invalid]


AXES = [
    (origin, step, n)
    for step in (8.0, 7.5, 10.0, 49.0, 1.0, 0.1, 1 / 3, 1e-3, 2.0**-40, 3e-30, 5e-120, 1e18, 4e60, 2.0**600)
    for origin in (0.0, 0.1, -3.0, 1e6 + 1 / 3, 2.0**24 + 1, -1e18, 1e38)
    for n in (1, 13, 1920, 3_000_000)
    if abs(origin) < 1e9 * step
]


@needs_compiler
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_quick_cell_is_the_cell(host: ctypes.CDLL, dtype: type) -> None:
    """Around every edge, as the type holds it, and in between: the forms never differ from the definition."""
    assert host.size_of_axis() == AXIS.itemsize
    rng = np.random.default_rng(0)
    function = host.quick_f32 if dtype is np.float32 else host.quick_f64
    seen = 0
    for origin, step, n in AXES:
        edges = rng.integers(-2, n + 3, 300) if n > 300 else np.repeat(np.arange(-2, n + 3), 5)
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.concatenate([origin + edges * step, origin + rng.uniform(-1, n + 1, 500) * step, ODD]).astype(
                dtype
            )
            values = np.concatenate([values, np.nextafter(values, dtype(np.inf)), np.nextafter(values, dtype(-np.inf))])
        other = np.resize(np.array([0.5, 1, -0.0, 2.999, 3, np.nan, -1], dtype), values.size)
        ax, ay = make_axis(origin, step, n), make_axis(0, 1, 3)
        for x, y, a, b in ((values, other, ax, ay), (other, values, ay, ax)):
            expected = call(host.cells, x.astype(np.float64), y.astype(np.float64), a, b)
            np.testing.assert_array_equal(call(function, x, y, a, b), expected, err_msg=f"{origin} {step} {n}")
            seen += int((expected >= 0).sum())
    assert seen > 50_000


def test_most_axes_need_no_division() -> None:
    """The usual ones: pixels in cells of 8, 10, 7.5; an extent from 0 in n cells; float32 and float64."""
    for step, n in ((8, 240), (10, 192), (7.5, 256), (1, 1920), (1440 / 256, 256), (0.1, 500)):
        axis = make_axis(0.0, step, n)
        assert axis["near"] < 1e-9
        assert axis["f_near"] < 1e-3
    assert [make_axis(0.0, s, 100)["f_near"] for s in (8, 10, 0.25)] == [-1, -1, -1]
    assert make_axis(0.0, 7.3, 3_000_000)["f_near"] == 2
    assert make_axis(1e9 + 0.3, 1e-3, 10)["f_near"] == 2


@needs_compiler
def test_validity_of_the_header(host: ctypes.CDLL) -> None:
    bits = bytes([0b10110010, 0b00000001])
    got = [host.valid(bits, ctypes.c_longlong(i)) for i in range(16)]
    assert got == np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little").tolist()
    assert host.valid(None, ctypes.c_longlong(10**12)) == 1


def test_the_rules_of_the_sources() -> None:
    """The only #ifdef __CUDACC__, own headers only, no launches, entry points by their C names."""
    texts = {path.name: path.read_text() for path in kernels().rglob("*.cu*")}
    assert [name for name, whole in texts.items() if "__CUDACC__" in re.sub("//.*", "", whole)] == ["portable.cuh"]
    for name, whole in texts.items():
        assert "<<<" not in whole, name
        for include in re.findall(r"#include\s+(.*)", whole):
            own = include.strip('"').removeprefix("include/") in HEADERS
            assert own or (name, include) == ("portable.cuh", "<cmath>"), (name, include)
        assert whole.count("__global__ ") == whole.count('extern "C" __global__ void'), name


class Nvrtc:
    """The few calls of libnvrtc that compiling takes; none of them needs a driver."""

    def __init__(self, library: Path) -> None:
        self.lib = ctypes.CDLL(str(library))

    def compile(self, source: Path, *options: str) -> tuple[bytes, str]:
        program = ctypes.c_void_p()
        text, name = source.read_bytes(), source.name.encode()
        assert self.lib.nvrtcCreateProgram(ctypes.byref(program), text, name, 0, None, None) == 0
        flags = [o.encode() for o in options]
        failed = self.lib.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
        log = self._get(program, "ProgramLog").rstrip(b"\0").decode()
        assert not failed, log
        kind = "CUBIN" if any(o.startswith("--gpu-architecture=sm_") for o in options) else "PTX"
        code = self._get(program, kind)
        self.lib.nvrtcDestroyProgram(ctypes.byref(program))
        return code, log

    def _get(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        assert getattr(self.lib, f"nvrtcGet{what}Size")(program, ctypes.byref(size)) == 0
        buffer = ctypes.create_string_buffer(size.value)
        assert getattr(self.lib, f"nvrtcGet{what}")(program, buffer) == 0
        return buffer.raw


@pytest.fixture(scope="module")
def nvrtc() -> Nvrtc:
    package = find_spec("nvidia")
    places = [] if package is None else [Path(p) for p in package.submodule_search_locations or ()]
    found = [lib for place in places for lib in sorted(place.glob("*/lib/libnvrtc.so.*"))]
    if not found:
        pytest.skip("nvidia-cuda-nvrtc is not installed: the CUDA sources are not compiled here")
    return Nvrtc(found[-1])


@pytest.fixture(scope="module")
def compiled(nvrtc: Nvrtc, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(cubin, log) by source and architecture, of the text that the device is given."""
    folder = tmp_path_factory.mktemp("nvrtc")
    done: dict[tuple[str, str], tuple[bytes, str]] = {}

    def get(name: str, architecture: str) -> tuple[bytes, str]:
        if (name, architecture) not in done:
            (folder / name).write_text(text(name))
            flags = (f"--gpu-architecture=sm_{architecture}", "--ptxas-options=-v", *OPTIONS)
            done[name, architecture] = nvrtc.compile(folder / name, *flags)
        return done[name, architecture]

    return get


def resources(log: str) -> dict[str, tuple[int, int, int]]:
    """Registers, bytes of static shared memory and bytes spilled, by entry point."""
    out = {}
    for part in log.split("Compiling entry function '")[1:]:
        spilled = [int(n) for n in re.findall(r"(\d+) bytes spill", part)]
        shared = re.search(r"(\d+) bytes smem", part)
        registers = re.search(r"Used (\d+) registers", part)
        assert registers is not None
        assert len(spilled) == 2
        out[part.partition("'")[0]] = int(registers[1]), int(shared[1]) if shared else 0, sum(spilled)
    return out


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", SOURCES)
def test_nvrtc_compiles_every_kernel(compiled: Any, name: str, architecture: str) -> None:
    """Every entry within its budget of registers and shared memory, and nothing spilled."""
    code, log = compiled(name, architecture)
    found = resources(log)
    assert set(found) == set(entries(kernels() / name))
    assert "warning" not in log
    for entry, (registers, shared, spilled) in found.items():
        assert entry.encode() in code
        most_registers, most_shared = next(b for pattern, b in BUDGETS.items() if re.fullmatch(pattern, entry))
        assert (registers <= most_registers, shared <= most_shared, spilled) == (True, True, 0), (entry, found[entry])


def test_the_sources_compile_as_they_lie(nvrtc: Nvrtc) -> None:
    """Each alone with its own headers, the cell never fused, even where fusing is allowed."""
    for name in SOURCES:
        flags = ("--gpu-architecture=compute_80", "--std=c++17", f"--include-path={kernels()}")
        ptx = nvrtc.compile(kernels() / name, *flags, "--fmad=false")[0].decode()
        assert ("fma.rn" in ptx) == (name in ("smooth.cu", "recursive.cu")), name
        if name == "bin.cu":
            fused = nvrtc.compile(kernels() / name, *flags, "--fmad=true")[0].decode()
            for step in ("sub.rn.f64", "div.rn.f64", "mul.rn.f64", "sub.rn.f32", "mul.rn.f32"):
                assert step in fused
            assert "fma.rn" not in fused
