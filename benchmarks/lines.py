"""CSV and NDJSON: from the text to a click map with dwell, beside how long others take to read the same file alone.

The others read the same columns and count nothing: pyarrow's own readers (which use all threads), and Polars. Each
takes its turn in one process, round after round; the rows must be as many.

    python benchmarks/lines.py --rows 1000000 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
from pyarrow import csv
from pyarrow import json as ndjson

import heatgrid as hg
from heatgrid.bench import race
from heatgrid.demo.generate import write

HERE = Path(__file__).parent
COLUMNS = ["time", "session", "user", "page", "kind", "x", "y", "feature"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "events.parquet", args.rows, seed=3)
        rows = pq.read_table(Path(folder) / "events.parquet", columns=COLUMNS)
        csv.write_csv(rows, Path(folder) / "events.csv")
        pl.from_arrow(rows).write_ndjson(Path(folder) / "events.ndjson")  # type: ignore[union-attr]
        for name in ("csv", "ndjson"):
            path = f"{folder}/events.{name}"
            found[name] = of_file(name, path, args.rows, args.rounds)
            size = Path(path).stat().st_size
            found[name]["mb_a_second"] = {who: round(size / s / 1e6) for who, s in found[name]["median_s"].items()}
            print(name, found[name], flush=True)
    report = {
        "benchmark": "lines", "rows": args.rows, "rounds": args.rounds, "machine": race.machine(),
        "versions": {name: version(name) for name in ("pyarrow", "polars")}, "formats": found,
    }  # fmt: skip
    out = args.out or HERE / "results" / f"lines-{args.rows}.json"
    out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"wrote {out}")


def of_file(name: str, path: str, rows: int, rounds: int) -> dict[str, Any]:
    contenders: dict[str, Callable[[], int]] = {
        "heatgrid, map and dwell": lambda: hg.run(path, maps=("clicks",), tables=("features",)).ledger.read,
        "pyarrow reads": lambda: (csv.read_csv(path) if name == "csv" else ndjson.read_json(path)).num_rows,
        "polars reads": lambda: (pl.read_csv if name == "csv" else pl.read_ndjson)(path).height,
    }
    seconds: dict[str, list[float]] = {who: [] for who in contenders}
    for turn in range(rounds + 1):
        for who, run in contenders.items():
            started = time.perf_counter()
            read = run()
            if turn:
                seconds[who].append(time.perf_counter() - started)
            if read != rows:
                raise SystemExit(f"{name}: {who} read {read:,} of {rows:,} rows")
    ours = seconds["heatgrid, map and dwell"]
    return {
        "median_s": {who: round(statistics.median(each), 3) for who, each in seconds.items()},
        "ratio_to_pyarrow": round(
            statistics.median(a / b for a, b in zip(seconds["pyarrow reads"], ours, strict=True)), 2
        ),
    }


if __name__ == "__main__":
    main()
