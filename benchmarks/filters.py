"""From a Parquet dump to maps alone: of all events, of clicks, of the clicks on one page; against Polars and DuckDB.

The contenders take turns in one process, round after round, and count the same: events by cell of 8 px (and by page
where there is a filter), of rows whose time lies from 2000 to 2100. Every answer must be the same. `decode` is the
floor: pyarrow reads the columns that the answer needs and throws them away.

    python benchmarks/filters.py --rows 20000000 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
PAGE = "/team/invite"
WHERE = {"all": None, "clicks": "kind = 'click'", "page": f"kind = 'click' and page = '{PAGE}'"}
GOALS = {"all": 4.0, "clicks": 1.2, "page": 3.0}
UNUSED = ("event_id", "viewport_w", "session", "user", "tab", "pointer", "scroll_y", "feature")
NX, NY, CELL = 2048, 32768, 8.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--sessions", type=int, help="default: one for 50 rows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dumps", type=Path, default=Path(tempfile.gettempdir()) / "heatgrid-bench")
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    os.environ["POLARS_MAX_THREADS"] = str(args.threads)
    sys.path.insert(0, str(HERE))
    from heatgrid.bench import race
    from whole_way import dump

    path = str(dump(args.dumps, args.rows, args.sessions))
    cases = {}
    for case in WHERE:
        contenders = contenders_of(case, path, args.threads)
        answers = {name: run() for name, run in contenders.items() if name != "decode"}
        if len(set(answers.values())) != 1:
            raise SystemExit(f"{case}: the answers differ: {answers}")
        contenders.get("decode", list)()
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(args.rounds):
            for name, run in contenders.items():
                started = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - started)
        cases[case] = summary(case, seconds, args.rows)
        cases[case]["answer"] = next(iter(answers.values()))
        show(case, cases[case])
    report = {
        "benchmark": "filters", "rows": args.rows, "sessions": args.sessions or args.rows // 50,
        "rounds": args.rounds, "threads": args.threads, "bytes": Path(path).stat().st_size,
        "machine": race.machine(), "versions": {name: version(name) for name in ("pyarrow", "duckdb", "polars")},
        "cases": cases,
    }  # fmt: skip
    out = args.out or HERE / "results" / f"filters-{args.rows}.json"
    out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"wrote {out}")


def contenders_of(case: str, path: str, threads: int) -> dict[str, Callable[[], object]]:
    return {
        "heatgrid": lambda: heatgrid(case, path, threads),
        "polars": lambda: polars(case, path),
        "duckdb": lambda: duckdb(case, path, threads),
        "decode": lambda: decode(case, path, threads),
    }


def heatgrid(case: str, path: str, threads: int) -> tuple[int, int]:
    """(events, cells with one)."""
    import numpy as np

    import heatgrid as hg

    unused = (*UNUSED, "kind", "page") if case == "all" else UNUSED
    events = hg.read(path, map=dict.fromkeys(unused), where=WHERE[case])
    heat = hg.run(events, maps=("clicks",), tables=(), cell=CELL, threads=threads, keep_bots=True)
    counts = heat.state.maps["maps"].counts[:, :, 0]
    return int(counts.sum()), int(np.count_nonzero(counts))


def polars(case: str, path: str) -> tuple[int, int]:
    from datetime import UTC, datetime

    import polars as pl

    rows = pl.scan_parquet(path).filter(
        pl.col("time") >= datetime(2000, 1, 1, tzinfo=UTC), pl.col("time") < datetime(2101, 1, 1, tzinfo=UTC)
    )
    if case != "all":
        rows = rows.filter(pl.col("kind") == "click")
    if case == "page":
        rows = rows.filter(pl.col("page") == PAGE)
    point = [pl.col(c).cast(pl.Float64) / CELL for c in ("x", "y")]
    inside = [p.is_finite() & (p >= 0) & (p < n) for p, n in zip(point, (NX, NY), strict=True)]
    by = [] if case == "all" else ["page"]
    cells = (
        rows.filter(*inside)
        .select(*by, iy=point[1].floor().cast(pl.Int32), ix=point[0].floor().cast(pl.Int32))
        .group_by(*by, "iy", "ix")
        .len()
        .collect(engine="streaming")
    )
    return int(cells["len"].sum()), len(cells)


def duckdb(case: str, path: str, threads: int) -> tuple[int, int]:
    import duckdb

    test = {"all": "true", "clicks": "kind = 'click'", "page": f"kind = 'click' AND page = '{PAGE}'"}[case]
    by = "" if case == "all" else "page, "
    with duckdb.connect() as con:
        con.execute(f"SET threads = {threads}; SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        found = con.sql(f"""
            SELECT sum(n), count(*) FROM (
              SELECT {by} CAST(floor(y / {CELL}::DOUBLE) AS INTEGER) AS iy,
                     CAST(floor(x / {CELL}::DOUBLE) AS INTEGER) AS ix, count(*) AS n
              FROM read_parquet('{path}')
              WHERE {test} AND time >= '2000-01-01 00:00:00+00' AND time < '2101-01-01 00:00:00+00'
                AND isfinite(x) AND isfinite(y) AND x >= 0 AND y >= 0
                AND x / {CELL}::DOUBLE < {NX} AND y / {CELL}::DOUBLE < {NY} GROUP BY ALL)""").fetchall()
    return int(found[0][0]), int(found[0][1])


def decode(case: str, path: str, threads: int) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(threads)
    names = ["page", "kind"] if case != "all" else []
    file = pq.ParquetFile(path, read_dictionary=names, pre_buffer=True)
    return sum(b.num_rows for b in file.iter_batches(1 << 18, columns=["time", "x", "y", *names], use_threads=True))


def summary(case: str, seconds: dict[str, list[float]], rows: int) -> dict:
    peers = ("polars", "duckdb")
    best = min(peers, key=lambda name: statistics.median(seconds[name]))
    ratios = [a / b for a, b in zip(seconds[best], seconds["heatgrid"], strict=True)]
    return {
        "contenders": {
            name: {
                "median_s": statistics.median(each), "min_s": min(each), "max_s": max(each),
                "ns_a_row": statistics.median(each) / rows * 1e9,
            }
            for name, each in seconds.items()
        },
        "better_peer": best, "ratio": statistics.median(ratios), "goal": GOALS[case],
    }  # fmt: skip


def show(case: str, found: dict) -> None:
    each = "  ".join(f"{name} {one['ns_a_row']:.1f}" for name, one in found["contenders"].items())
    print(f"{case:7} ns/row: {each}   {found['ratio']:.2f} x {found['better_peer']} (goal {found['goal']})", flush=True)


if __name__ == "__main__":
    main()
