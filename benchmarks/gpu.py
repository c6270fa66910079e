"""The GPU against the CPU, and both against what the device can do at all.

    python benchmarks/gpu.py --rows 500000000 --grids 256x256 1080x1920 10000x1920 --sigma 2 8 32 --groups 50

Device-resident input (kernels), pinned and pageable host memory (copies and kernels) and the finish (the result's way
back) apart; each figure is the median of several runs, answers compared. Floors measured here: reading, copying,
random atomics.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import heatgrid as hg
from heatgrid.bench import device
from heatgrid.engine import device_blur
from heatgrid.engine.gauss import CUT, radius_of
from heatgrid.gpu.availability import why_not

RESULTS = Path(__file__).parent / "results"
KINDS = ("uniform", "hotspot", "clustered")
FLOORS = r"""
extern "C" __global__ void read_all(const float4* v, unsigned long long n, float* out) {
  float sum = 0;
  for (unsigned long long i = blockIdx.x * (unsigned long long)blockDim.x + threadIdx.x; i < n;
       i += (unsigned long long)gridDim.x * blockDim.x) {
    const float4 q = v[i];
    sum += q.x + q.y + q.z + q.w;
  }
  if (sum == 12345.678f) *out = sum;
}
extern "C" __global__ void random_atomics(unsigned* counts, unsigned cells, unsigned long long n) {
  for (unsigned long long i = blockIdx.x * (unsigned long long)blockDim.x + threadIdx.x; i < n;
       i += (unsigned long long)gridDim.x * blockDim.x) {
    unsigned long long h = i * 0x9E3779B97F4A7C15ull;
    h ^= h >> 29;
    h *= 0xBF58476D1CE4E5B9ull;
    atomicAdd(counts + (unsigned)((h >> 32) * cells >> 32), 1u);
  }
}
"""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000_000, help="points")
    parser.add_argument("--events", type=int, default=50_000_000, help="rows of dwell")
    parser.add_argument("--grids", nargs="*", default=["256x256", "1080x1920", "10000x1920"], help="NYxNX")
    parser.add_argument("--sigma", nargs="*", type=float, default=[2, 8, 32])
    parser.add_argument("--image", default="4096x4096", help="NYxNX to be smoothed")
    parser.add_argument("--groups", type=int, default=50)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--cpu-rows", type=int, default=20_000_000, help="points and rows that the CPU gets")
    parser.add_argument("--plan-rows", type=int, default=4_000_000, help="rows of a plan, whole and step by step")
    parser.add_argument("-o", "--output", type=Path, help="a JSON file; default benchmarks/results/gpu-DEVICE.json")
    return parser.parse_args()


def main() -> int:
    asked = options()
    reason = why_not()
    if reason:
        print(f"no GPU: {reason}. Nothing was measured.")
        return 6
    import cupy

    bench = Bench(cupy, asked)
    bench.floors()
    bench.binning()
    bench.smoothing()
    bench.dwelling()
    bench.steps()
    bench.write()
    return 0


class Bench:
    def __init__(self, cupy: Any, asked: argparse.Namespace) -> None:
        self.cupy, self.asked = cupy, asked
        facts = cupy.cuda.runtime.getDeviceProperties(0)
        self.name = facts["name"].decode()
        self.out: dict[str, Any] = {
            "device": self.name,
            "driver": cupy.cuda.runtime.driverGetVersion(),
            "runtime": cupy.cuda.runtime.runtimeGetVersion(),
            "cupy": cupy.__version__,
            "heatgrid": hg.__version__,
            "python": platform.python_version(),
            "rows": asked.rows,
            "figures": [],
        }

    def device_ms(self, work: Callable[[], object]) -> float:
        """Median of events around the work; the first run compiles and is not counted."""
        cupy = self.cupy
        work()
        cupy.cuda.Device().synchronize()
        seen = []
        for _ in range(self.asked.repeat):
            started = time.perf_counter()
            work()
            cupy.cuda.Device().synchronize()
            seen.append((time.perf_counter() - started) * 1e3)
        return statistics.median(seen)

    def say(self, what: str, ms: float, **facts: Any) -> None:
        self.out["figures"].append({"what": what, "ms": round(ms, 4), **facts})
        shown = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in facts.items())
        print(f"{what:<56}{ms:>12.3f} ms   {shown}", flush=True)

    def floors(self) -> None:
        cupy = self.cupy
        module = cupy.RawModule(code=FLOORS)
        blocks = 132 * 8
        some = cupy.zeros(1 << 28, cupy.float32)
        sink = cupy.zeros(1, cupy.float32)
        read = module.get_function("read_all")
        ms = self.device_ms(lambda: read((blocks,), (256,), (some, np.uint64(some.size // 4), sink)))
        self.read = some.nbytes / ms / 1e6
        self.say("floor: reading device memory", ms, gb_s=self.read)
        self.copies: dict[str, float] = {}
        host = np.ones(1 << 26, np.float32)
        pinned = np.frombuffer(cupy.cuda.alloc_pinned_memory(host.nbytes), np.float32, host.size)
        pinned[:] = 1
        for kind, source in (("pageable", host), ("pinned", pinned)):
            target = some[: source.size]
            ms = self.device_ms(lambda source=source, target=target: target.set(source))
            self.copies[kind] = source.nbytes / ms / 1e6
            self.say(f"floor: copying {kind} host memory", ms, gb_s=self.copies[kind])
        some = sink  # given back
        self.atomics: dict[int, float] = {}
        atomics = module.get_function("random_atomics")
        for ny, nx in map(shape_of, self.asked.grids):
            counts = cupy.zeros(ny * nx, cupy.uint32)
            n = np.uint64(1 << 28)
            args = (counts, np.uint32(ny * nx), n)
            ms = self.device_ms(lambda args=args: atomics((blocks,), (256,), args))
            self.atomics[ny * nx] = float(n) / ms / 1e6
            self.say(f"floor: random atomics on {ny} x {nx} uint32", ms, g_per_s=self.atomics[ny * nx])

    def points(self, kind: str, n: int, ny: int, nx: int) -> tuple[Any, Any]:
        cupy = self.cupy
        rng = cupy.random.default_rng(1)
        if kind == "uniform":
            return rng.random(n, cupy.float32) * nx, rng.random(n, cupy.float32) * ny
        x, y = (rng.standard_normal(n, cupy.float32) for _ in range(2))
        if kind == "clustered":
            spot = cupy.minimum((1 / (rng.random(n, cupy.float32) + 1e-3)).astype(cupy.int32), 199)
            x, y = x * 0.2 + (spot * 37 % 97) / 10 - 5, y * 0.2 + (spot * 53 % 89) / 10 - 5
        return x * (nx / 20) + nx / 2, y * (ny / 20) + ny / 2

    def binning(self) -> None:
        cupy, n = self.cupy, self.asked.rows
        for ny, nx in map(shape_of, self.asked.grids):
            for kind in KINDS:
                x, y = self.points(kind, n, ny, nx)
                where = f"{ny} x {nx}, {kind}"
                grid = hg.bin_points(x, y, shape=(ny, nx))
                ms = self.device_ms(lambda x=x, y=y, s=(ny, nx): hg.bin_points(x, y, shape=s))
                facts = {"variant": grid.meta["variant"], "ns_a_point": ms * 1e6 / n}
                facts["of_read_bandwidth"] = 8 * n / ms / 1e6 / self.read
                facts["of_random_atomics"] = n / ms / 1e6 / self.atomics[ny * nx]
                self.say(f"bin, on the device, {where}", ms, **facts)
                self.rival(x, y, ny, nx, grid, where)
                some = min(self.asked.cpu_rows, n)
                host_x, host_y = cupy.asnumpy(x[:some]), cupy.asnumpy(y[:some])
                cpu = self.host_ms(lambda a=host_x, b=host_y, s=(ny, nx): hg.bin_points(a, b, shape=s, backend="cpu"))
                want = hg.bin_points(host_x, host_y, shape=(ny, nx), backend="cpu")
                assert (hg.bin_points(x[:some], y[:some], shape=(ny, nx)).values == want.values).all()
                ratio = (cpu / some) / (ms / n)
                self.say(f"bin, CPU, {where}", cpu, ns_a_point=cpu * 1e6 / some, gpu_is_faster=ratio)
                self.finish(grid, where)
                if kind == "uniform":
                    self.from_host(host_x, host_y, (ny, nx))
        self.grouped()

    def rival(self, x: Any, y: Any, ny: int, nx: int, grid: Any, where: str) -> None:
        """cupy.bincount of cells made by CuPy; the same integers for cells of 1."""
        cupy = self.cupy

        def count() -> Any:
            inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
            cells = cupy.where(inside, y.astype(cupy.int32) * nx + x.astype(cupy.int32), nx * ny)
            return cupy.bincount(cells, minlength=nx * ny + 1)[: nx * ny]

        try:
            assert (cupy.asnumpy(count()).reshape(ny, nx) == grid.values).all()
            self.say(f"bin, cupy.bincount, {where}", self.device_ms(count))
        except cupy.cuda.memory.OutOfMemoryError:
            print(f"cupy.bincount, {where}: out of memory")

    def finish(self, grid: Any, where: str) -> None:
        """The result's way back."""
        ms = self.host_ms(lambda: self.cupy.asnumpy(grid.on_device))
        self.say(f"bin, finish (result to the host), {where}", ms)

    def from_host(self, x: Any, y: Any, shape: tuple[int, int]) -> None:
        cupy = self.cupy
        pinned = [np.frombuffer(cupy.cuda.alloc_pinned_memory(v.nbytes), np.float32, v.size) for v in (x, y)]
        for to, v in zip(pinned, (x, y), strict=True):
            to[:] = v
        for kind, (a, b) in (("pageable", (x, y)), ("pinned", pinned)):
            ms = self.device_ms(lambda a=a, b=b: hg.bin_points(a, b, shape=shape, backend="gpu"))
            rate = 2 * x.nbytes / ms / 1e6
            where = f"{shape[0]} x {shape[1]}"
            self.say(f"bin, from {kind} memory, {where}", ms, gb_s=rate, of_copy_rate=rate / self.copies[kind])

    def grouped(self) -> None:
        cupy, n, groups = self.cupy, self.asked.rows // 2, self.asked.groups
        x, y = self.points("clustered", n, 270, 480)
        group = cupy.random.default_rng(2).integers(0, groups, n, dtype=cupy.int32)
        args = {"shape": (270, 480), "group": group, "n_groups": groups}
        ms = self.device_ms(lambda: hg.bin_points(x, y, **args))
        self.say(f"bin, {groups} groups of 270 x 480, clustered", ms, ns_a_point=ms * 1e6 / n)

    def smoothing(self) -> None:
        from cupyx.scipy.ndimage import gaussian_filter

        cupy = self.cupy
        ny, nx = shape_of(self.asked.image)
        image = cupy.random.default_rng(3).random((ny, nx), cupy.float32)
        for sigma in self.asked.sigma:
            ours = self.device_ms(lambda s=sigma: hg.smooth(image, s))
            theirs = self.device_ms(lambda s=sigma: gaussian_filter(image, s, mode="constant", truncate=5.0))
            exact = gaussian_filter(image.astype(cupy.float64), sigma, mode="constant", truncate=8.0)
            error = float(abs(hg.smooth(image, sigma) - exact).max() / exact.max())
            share = 4 * image.nbytes / ours / 1e6 / self.read
            facts = {"cupyx_ms": theirs, "faster": theirs / ours, "error": error, "of_read_bandwidth": share}
            self.say(f"smooth {ny} x {nx}, sigma {sigma:g}", ours, **facts)
        self.forms(image)
        host = cupy.asnumpy(image)
        for sigma in self.asked.sigma:
            self.say(f"smooth, CPU, sigma {sigma:g}", self.host_ms(lambda s=sigma: hg.smooth(host, s, backend="cpu")))

    def forms(self, image: Any) -> None:
        """Both forms at each sigma, whichever would be chosen: what ``device_blur.MOST_TAPS`` should be."""
        chosen: Any = device_blur
        usual = chosen.MOST_TAPS
        try:
            for sigma in self.asked.sigma:
                for form, most in (("direct", 1 << 30), ("recursive", 0)):
                    chosen.MOST_TAPS = most
                    ms = self.device_ms(lambda s=sigma: hg.smooth(image, s))
                    self.say(f"smooth, sigma {sigma:g}, {form}", ms, taps_a_side=radius_of(sigma, CUT))
        finally:
            chosen.MOST_TAPS = usual

    def dwelling(self) -> None:
        cupy, n = self.cupy, self.asked.events
        rng = cupy.random.default_rng(4)
        session = rng.integers(0, max(n // 50, 1), n, dtype=cupy.int32)
        feature = rng.integers(0, 200, n, dtype=cupy.int32)
        clock = cupy.arange(n, dtype=cupy.int64) * 20 + 1_788_000_000_000
        ordered = self.device_ms(lambda: hg.dwell(session, clock, feature))
        self.say("dwell, in order of time, on the device", ordered, ns_a_row=ordered * 1e6 / n)
        mixed = cupy.random.permutation(n)
        shuffled = [v[mixed] for v in (session, clock, feature)]
        ms = self.device_ms(lambda: hg.dwell(*shuffled, order="any"))
        self.say("dwell, in no order, on the device", ms, ns_a_row=ms * 1e6 / n)
        some = min(self.asked.cpu_rows, n)
        host = [cupy.asnumpy(v[:some]) for v in (session, clock, feature)]
        cpu = self.host_ms(lambda: hg.dwell(*host, backend="cpu"), repeat=1)
        assert hg.dwell(session[:some], clock[:some], feature[:some]).equals(hg.dwell(*host, backend="cpu"))
        self.say("dwell, CPU", cpu, ns_a_row=cpu * 1e6 / some, gpu_is_faster=(cpu / some) / (ordered / n))

    def steps(self) -> None:
        """What `heatgrid bench` tells: copies of both kinds, kernels and the way back apart; whole runs of a plan."""
        grids = tuple(map(shape_of, self.asked.grids[:1]))
        for label, item, found in device.cases(self.asked.plan_rows, grids, 3):
            for name, ns in found["ns"].items():
                facts = {f"ns_a_{item}": ns, "cpu": found["times_heatgrid"][name]}
                facts |= {
                    fact: found[fact][name] for fact in ("gb_s", "share_of_reading") if name in found.get(fact, {})
                }
                self.say(f"{label}: {name}", ns * found["items"] / 1e6, **facts)

    def host_ms(self, work: Callable[[], object], repeat: int = 3) -> float:
        seen = []
        for _ in range(repeat):
            started = time.perf_counter()
            work()
            seen.append((time.perf_counter() - started) * 1e3)
        return statistics.median(seen)

    def write(self) -> None:
        path = self.asked.output or RESULTS / f"gpu-{self.name.replace(' ', '-')}.json"
        path.write_text(json.dumps(self.out, indent=1) + "\n")
        print(f"written: {path}")


def shape_of(text: str) -> tuple[int, int]:
    ny, nx = text.split("x")
    return int(ny), int(nx)


if __name__ == "__main__":
    sys.exit(main())
