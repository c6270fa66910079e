"""The CUDA sources without a GPU: the header by the host compiler against NumPy, the kernels by NVRTC."""

from __future__ import annotations

import ctypes
import math
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from heatgrid.gpu.locate import kernels
from oracle import points as oracle

ARCHITECTURES = ("75", "80", "90")
MOST_REGISTERS = 64
HEADERS = sorted(path.name for path in (kernels() / "include").iterdir())
SOURCES = sorted(path.name for path in kernels().glob("*.cu"))
HOST = """
#include "cell.cuh"
extern "C" void cells(const double* x, const double* y, long long n, const double* axes, long long nx, long long ny,
                      long long* out) {
  const heatgrid::Axis ax{axes[0], axes[1], nx}, ay{axes[2], axes[3], ny};
  for (long long i = 0; i < n; ++i) out[i] = heatgrid::cell_of(x[i], y[i], ax, ay);
}
extern "C" int valid(const unsigned char* bits, long long i) { return heatgrid::is_valid(bits, i); }
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
    source.write_text(f'#include "{name}"\n')
    compile_host(source, tmp_path / "alone.o", "-c")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("host")
    (folder / "host.cpp").write_text(HOST)
    compile_host(folder / "host.cpp", folder / "host.so", "-shared", "-fPIC")
    return ctypes.CDLL(str(folder / "host.so"))


@needs_compiler
@pytest.mark.parametrize(("origin", "step"), [(0.0, 8.0), (0.0, 7.5), (0.1, 0.1), (-3.0, 1 / 3), (1e6 + 0.3, 1e-3)])
def test_cell_of_the_header_is_numpys(host: ctypes.CDLL, origin: float, step: float) -> None:
    nx, ny = 300, 5
    edges = origin + np.arange(-2, nx + 3) * step
    odd = [math.nan, math.inf, -math.inf, 1e300, -1e300, 2.0**63, -(2.0**63), -0.0, -0.5, -5e-324, 1.7e308, -1.7e308]
    values = np.concatenate([edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf), odd])
    x, y = np.repeat(values, 9), np.tile(np.array([0, 1, -0.0, 4.999, 5, -0.5, np.nan, np.inf, 1e300]), values.size)
    out = np.empty(x.size, np.int64)
    axes = np.array([origin, step, 0.0, 1.0])
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (x, y, axes, out)]
    longs = [ctypes.c_longlong(n) for n in (x.size, nx, ny)]
    host.cells(pointers[0], pointers[1], longs[0], pointers[2], longs[1], longs[2], pointers[3])

    with np.errstate(invalid="ignore", over="ignore"):
        qx, qy = (x - origin) / step, y / 1.0
    inside = (qx >= 0) & (qx < nx) & (qy >= 0) & (qy < ny)
    expected = np.where(np.isfinite(x) & np.isfinite(y), -1, -2)
    expected[inside] = np.floor(qy[inside]).astype(int) * nx + np.floor(qx[inside]).astype(int)
    np.testing.assert_array_equal(out, expected)
    _, used, outside, invalid = oracle.count(x.tolist(), y.tolist(), shape=(ny, nx), origin=(origin, 0), cell=(step, 1))
    assert [(out >= 0).sum(), (out == -1).sum(), (out == -2).sum()] == [used, outside, invalid]


@needs_compiler
def test_validity_of_the_header(host: ctypes.CDLL) -> None:
    bits = bytes([0b10110010, 0b00000001])
    got = [host.valid(bits, ctypes.c_longlong(i)) for i in range(16)]
    assert got == np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little").tolist()
    assert host.valid(None, ctypes.c_longlong(10**12)) == 1


def test_the_rules_of_the_sources() -> None:
    """The only #ifdef __CUDACC__, own headers only, no launches, entry points by their C names."""
    texts = {path.name: path.read_text() for path in kernels().rglob("*.cu*")}
    assert [name for name, text in texts.items() if "__CUDACC__" in re.sub("//.*", "", text)] == ["portable.cuh"]
    for name, text in texts.items():
        assert "<<<" not in text, name
        for include in re.findall(r"#include\s+(.*)", text):
            assert include.strip('"').removeprefix("include/") in HEADERS, (name, include)
        assert text.count("__global__") == text.count('extern "C" __global__ void'), name


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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", SOURCES)
def test_nvrtc_compiles_every_kernel(nvrtc: Nvrtc, name: str, architecture: str) -> None:
    source = kernels() / name
    common = ("--std=c++17", "--fmad=false", f"--include-path={kernels()}")
    code, log = nvrtc.compile(source, f"--gpu-architecture=sm_{architecture}", "--ptxas-options=-v", *common)
    entries = re.findall(r'extern "C" __global__ void (\w+)', source.read_text())
    assert entries
    for entry in entries:
        assert entry.encode() in code
    assert "warning" not in log
    assert all(int(n) <= MOST_REGISTERS for n in re.findall(r"Used (\d+) registers", log))
    assert all(n == "0" for n in re.findall(r"(\d+) bytes spill", log))
    ptx = nvrtc.compile(source, f"--gpu-architecture=compute_{architecture}", *common)[0].decode()
    assert "fma.rn.f64" not in ptx
    assert "div.rn.f64" in ptx


def test_nvrtc_is_kept_from_fusing(nvrtc: Nvrtc) -> None:
    """With fusing allowed the cell formula still rounds after each operation."""
    ptx = nvrtc.compile(kernels() / "bin.cu", "--gpu-architecture=compute_80", "--fmad=true", f"-I{kernels()}")[0]
    assert b"sub.rn.f64" in ptx
    assert b"div.rn.f64" in ptx
