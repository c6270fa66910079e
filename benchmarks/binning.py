"""Points into grids: heatgrid, its best peers and the floor of reading the same bytes, in turn in one process.

Each section is measured by itself and added to the file of results: `nine` (three inputs, three grids), `types`
(float64, int16, uint16, cells of 7.5), `validity` (a tenth of x and of y null), `groups` (50 and 5,000 maps), `peaks`
(memory of the groups, a process each) and `small` (10,000 points a call). Contenders are warm, take turns round after
round, and every answer must be the truth, which NumPy counts by the definition. Points that round onto the last edge
are moved off it, since peers count that edge in; boost-histogram puts some points that lie on an edge into the cell
before it, and so do all peers where a cell is not 1 wide: those cells are counted and told.

    python benchmarks/binning.py --points 50000000 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from heatgrid.bench import binning, race
from heatgrid.bench import points as peers
from heatgrid.bench.binning import SPREADS, STACK, made, stack, truth

HERE = Path(__file__).parent
SHAPES = {"256^2": (256, 256), "1080p": (1080, 1920), "1920x10000": (10_000, 1920)}
SECTIONS = ("nine", "types", "validity", "groups", "peaks", "small")
PACKAGES = (
    "numba",
    "numpy",
    "pyarrow",
    "datashader",
    "fast-histogram",
    "boost-histogram",
    "polars",
    "duckdb",
    "pandas",
)


def main() -> None:
    args = arguments().parse_args()
    os.environ["POLARS_MAX_THREADS"] = str(args.threads)
    if args.child:
        child(*args.child, args)
        return
    out = args.out or HERE / "results" / f"binning-{args.points}.json"
    report = json.loads(out.read_text()) if out.exists() else {"benchmark": "binning", "points": args.points}
    report["machine"], report["versions"] = race.machine(), race.versions(PACKAGES)
    for name in args.only.split(","):
        report[name] = {"threads": args.threads, "rounds": args.rounds, "cases": globals()[name](args)}
        out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"wrote {out}")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, by comma")
    parser.add_argument("--calls", type=int, default=1000, help="requests of the section `small`")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return parser


def case(label: str, work: peers.Work, names: tuple[str, ...], args: argparse.Namespace, **more: Any) -> dict[str, Any]:
    found = binning.case(label, work, names, args.rounds, args.threads, **more)
    best = found["best_peer"]
    print(f"{label:28} {found['variant']:28} {found['times_heatgrid'][best]:6.2f} x {best}", found["ns"], flush=True)
    return found


def nine(args: argparse.Namespace) -> dict[str, Any]:
    found = {}
    for spread in SPREADS:
        for name, shape in SHAPES.items():
            work = peers.Work(*made(spread, shape, args.points), shape)
            found[f"{spread} {name}"] = case(f"{spread} {name}", work, peers.GRIDS, args)
    ratios = [one["times_heatgrid"][one["best_peer"]] for one in found.values()]
    print(f"least {min(ratios):.2f}, geometric mean {statistics.geometric_mean(ratios):.2f}")
    return found


def types(args: argparse.Namespace) -> dict[str, Any]:
    found = {}
    for spread, name in (("uniform", "256^2"), ("clustered", "1080p"), ("clustered", "1920x10000")):
        x, y = made(spread, SHAPES[name], args.points)
        for dtype in (np.float64, np.int16, np.uint16):
            with np.errstate(invalid="ignore"):
                own = [np.maximum(v, 0).astype(dtype) if dtype is np.uint16 else np.floor(v).astype(dtype)
                       if dtype is np.int16 else v.astype(dtype) for v in (x, y)]  # fmt: skip
            for v, length in zip(own, SHAPES[name][::-1], strict=True):
                v[v == length] += 1
            label = f"{np.dtype(dtype).name} {spread} {name}"
            found[label] = case(label, peers.Work(*own, SHAPES[name]), peers.GRIDS, args)
    x, y = made("clustered", (1080, 1920), args.points)
    label = "cells of 7.5, clustered 1080p"
    scale = np.float32(7.5)
    found[label] = case(label, peers.Work(x * scale, y * scale, (1080, 1920), cell=7.5), peers.GRIDS, args)
    return found


def validity(args: argparse.Namespace) -> dict[str, Any]:
    """Peers get NaN in place of null; DuckDB and Polars, which take nulls, are several times slower (groups)."""
    import pyarrow as pa

    found = {}
    for spread, name in (("uniform", "256^2"), ("clustered", "1080p"), ("clustered", "1920x10000")):
        rng = np.random.default_rng(9)
        x, y = made(spread, SHAPES[name], args.points)
        masks = [rng.random(args.points, np.float32) < 0.1 for _ in range(2)]
        nulls = tuple(pa.array(v, mask=m) for v, m in zip((x, y), masks, strict=True))
        for v, m in zip((x, y), masks, strict=True):
            v[m] = np.nan
        label = f"a tenth null, {spread} {name}"
        found[label] = case(label, peers.Work(x, y, SHAPES[name], nulls=nulls), peers.GRIDS, args)
    return found


def groups(args: argparse.Namespace) -> dict[str, Any]:
    """boost-histogram is left out of 5,000: 10 GB and 40 s a round."""
    found = {}
    for count in (50, 5000):
        work = stack(args.points, count)
        names = peers.STACKS if count == 50 else tuple(n for n in peers.STACKS if n != "boost_histogram")
        extra = {"heatgrid, unfolded": lambda w=work: _unfolded(peers.heatgrid_grid(w, args.threads))}
        found[f"{count} groups"] = case(f"{count} groups", work, names, args, extra=extra if count == 5000 else {})
    return found


def _unfolded(grid: Any) -> Any:
    """(key, count) by way of .sparse()."""
    group, iy, ix, count = grid.sparse()
    ny, nx = STACK
    return (group.astype(np.int64) * ny + iy) * nx + ix, count


def peaks(args: argparse.Namespace) -> dict[str, Any]:
    """The most memory of a process that has the points, for one call of each; and before it."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in (50, 5000):
            work = stack(args.points, count)
            for name in ("x", "y", "group"):
                getattr(work, name).tofile(Path(folder) / name)
            for name in ("heatgrid", "heatgrid_sparse", "datashader", "polars", "duckdb"):
                command = [
                    sys.executable,
                    __file__,
                    "--threads",
                    str(args.threads),
                    "--child",
                    name,
                    str(count),
                    folder,
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
                found[f"{count} groups, {name}"] = json.loads(done.stdout.splitlines()[-1])
                print(f"{count} groups, {name}", found[f"{count} groups, {name}"], flush=True)
    return found


def child(name: str, count: str, folder: str, args: argparse.Namespace) -> None:
    def load(points: slice) -> peers.Work:
        files = (("x", np.float32), ("y", np.float32), ("group", np.uint16))
        x, y, group = (np.fromfile(Path(folder) / f, t)[points] for f, t in files)
        return peers.Work(x, y, STACK, group=group, groups=int(count))

    def run(work: peers.Work) -> Any:
        if name == "heatgrid_sparse":
            return peers.heatgrid_grid(work, args.threads).sparse()
        return getattr(peers, name)(work, args.threads)

    small = load(slice(0, None))
    before = _most_held()
    answer = run(small)
    after = _most_held()
    del answer
    print(json.dumps({"peak_mb": round(after / 1e6), "with_the_points_alone_mb": round(before / 1e6)}))


def _most_held() -> int:
    """Bytes. Not by getrusage: what it tells of a child begins with what its parent held."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) << 10


def small(args: argparse.Namespace) -> dict[str, Any]:
    """10,000 points a call, every call timed, contenders in turn."""
    found: dict[str, Any] = {}
    for name, shape in SHAPES.items():
        work = peers.Work(*made("clustered", shape, 10_000), shape)
        expected = truth(work)
        times: dict[str, list[float]] = {}
        for contender in ("heatgrid", "datashader", "fast_histogram"):
            run = getattr(peers, contender)
            assert peers.same(run(work, args.threads), expected), contender
            times[contender] = []
        for _ in range(args.calls):
            for contender, own in times.items():
                run = getattr(peers, contender)
                start = time.perf_counter()
                run(work, 1)
                own.append((time.perf_counter() - start) * 1e3)
        found[name] = {
            k: {"p50_ms": round(float(np.quantile(t, 0.5)), 3), "p99_ms": round(float(np.quantile(t, 0.99)), 3)}
            for k, t in times.items()
        }
        print(name, found[name], flush=True)
    return found


if __name__ == "__main__":
    main()
