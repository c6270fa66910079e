"""From a Parquet dump to the click map and the dwell per feature: heatgrid, DuckDB, Polars and the floor of decoding.

Whole processes in turn, round after round, so that a drift of the machine meets all alike; each child warms up on a
small dump first, times the work alone, and gives a digest of its answer: all digests must be equal.

    python benchmarks/whole_way.py --rows 50000000 --rounds 5
    python benchmarks/whole_way.py --rows 200000000 --sessions 1000000 --only heatgrid --rounds 1
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from heatgrid.bench import race

HERE = Path(__file__).parent
CONTENDERS = ("heatgrid", "duckdb", "polars", "polars-over", "decode")
WARM_ROWS = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--sessions", type=int, help="default: one for 50 rows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders, by comma")
    parser.add_argument("--dumps", type=Path, default=Path(tempfile.gettempdir()) / "heatgrid-bench")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*args.child, threads=args.threads, warm=str(dump(args.dumps, WARM_ROWS, None)))
        return
    path = dump(args.dumps, args.rows, args.sessions)
    dump(args.dumps, WARM_ROWS, None)
    names = args.only.split(",")
    runs: dict[str, list[dict]] = {name: [] for name in names}
    for number in range(args.rounds):
        for name in names:
            runs[name].append(measure(name, path, args))
            one = runs[name][-1]
            print(f"round {number + 1} {name:12} {one['seconds']:8.2f} s  {one['peak_mb']:7.0f} MB", flush=True)
    report = summary(args, path, runs)
    out = args.out or HERE / "results" / f"whole_way-{args.rows}.json"
    out.write_text(json.dumps(report, indent=1) + "\n")
    show(report)
    print(f"wrote {out}")


def dump(folder: Path, rows: int, sessions: int | None) -> Path:
    from heatgrid.demo.generate import write

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"demo-{rows}-{sessions or rows // 50}.parquet"
    if not path.exists():
        print(f"making {path}", file=sys.stderr)
        write(path, rows, sessions=sessions)
    return path


def read_once(path: Path) -> None:
    """Every contender finds the dump in the page cache: some machines give idle pages back to their host."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def measure(name: str, path: Path, args: argparse.Namespace) -> dict:
    command = [
        sys.executable,
        __file__,
        "--threads",
        str(args.threads),
        "--dumps",
        str(args.dumps),
        "--child",
        name,
        path,
    ]
    read_once(path)
    env = os.environ | {"POLARS_MAX_THREADS": str(args.threads)}
    done = subprocess.run([str(c) for c in command], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def child(name: str, path: str, threads: int, warm: str) -> None:
    from heatgrid.bench import whole as peers

    work = {
        "heatgrid": lambda p: peers.heatgrid(p, threads),
        "duckdb": lambda p: peers.duckdb(p, threads),
        "polars": peers.polars,
        "polars-over": lambda p: peers.polars(p, windows=True),
        "decode": lambda p: peers.decode(p, threads),
    }[name]
    warm_up(work, warm)
    cpu, wall = time.process_time(), time.perf_counter()
    answer = work(path)
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu_seconds, "peak_mb": peak, "answer": digest(answer)}))


def warm_up(work: Callable[[str], object], path: str) -> None:
    """The work on a small dump, by the leaves too that only large files take."""
    from heatgrid.sources import parquet

    work(path)
    usual, parquet.FROM_ROWS = parquet.FROM_ROWS, 1
    try:
        work(path)
    finally:
        parquet.FROM_ROWS = usual


def digest(answer: object) -> str | None:
    """Of the values alone, in the order of the keys; None for the floor, which has no answer."""
    if isinstance(answer, int):
        return None
    sha = hashlib.sha256()
    for table in answer:
        for column in table.columns:
            sha.update(repr(column.to_pylist()).encode())
    return sha.hexdigest()


def summary(args: argparse.Namespace, path: Path, runs: dict[str, list[dict]]) -> dict:
    answers = {run["answer"] for each in runs.values() for run in each} - {None}
    if len(answers) > 1:
        raise SystemExit(f"the answers differ: {answers}")
    contenders = {name: figures(each, args.rows) for name, each in runs.items()}
    return {
        "benchmark": "whole_way",
        "rows": args.rows,
        "sessions": args.sessions or args.rows // 50,
        "rounds": args.rounds,
        "threads": args.threads,
        "bytes": path.stat().st_size,
        "machine": race.machine(),
        "versions": race.versions(("numba", "numpy", "pyarrow", "duckdb", "polars")),
        "answer": next(iter(answers), None),
        "contenders": contenders,
        "times_heatgrid": ratios(runs, "heatgrid"),
    }


def figures(each: list[dict], rows: int) -> dict:
    """Of the rounds of one contender."""
    seconds = [r["seconds"] for r in each]
    return {
        "median_s": statistics.median(seconds),
        "min_s": min(seconds),
        "max_s": max(seconds),
        "ns_a_row": statistics.median(seconds) / rows * 1e9,
        "cpu_ns_a_row": statistics.median(r["cpu"] for r in each) / rows * 1e9,
        "peak_mb": max(r["peak_mb"] for r in each),
    }


def ratios(runs: dict[str, list[dict]], base: str) -> dict[str, float]:
    """The times of all against the base's, by the median of the rounds."""
    if base not in runs:
        return {}
    return {
        name: statistics.median(a["seconds"] / b["seconds"] for a, b in zip(each, runs[base], strict=True))
        for name, each in runs.items()
    }


def show(report: dict) -> None:
    print(f"{report['rows']:,} rows, {report['sessions']:,} sessions, medians of {report['rounds']}")
    for name, one in report["contenders"].items():
        ratio = report["times_heatgrid"].get(name)
        times = f"{ratio:6.2f} x heatgrid" if ratio else ""
        print(f"{name:12} {one['ns_a_row']:8.1f} ns/row  {one['peak_mb']:7.0f} MB  {times}")


if __name__ == "__main__":
    main()
