"""What a call of `hg.Engine` costs: the same rows pushed in calls of several sizes, warm, in process, in turn.

python benchmarks/engine.py --rows 400000 --rounds 3

Rows wait until there are enough for a block, so that most calls are cheap and some fold what waits: the mean of all
calls of a round counts, its median over rounds. A call's own cost and a row's are the line through these by size (least
squares of the relative error). After each round the integers must be those of one `hg.run` over all rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from itertools import chain
from pathlib import Path
from typing import Any

from heatgrid.bench import race

HERE = Path(__file__).parent
COLUMNS = ["time", "session", "tab", "page", "kind", "feature", "x", "y", "viewport_w"]
SIZES = (100, 1_000, 10_000, 100_000)
CALLS = 200
"""At most so many of a size are made: of 100 rows a call as of 1,000."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()

    import pyarrow as pa

    import heatgrid as hg
    from heatgrid.demo.generate import generate

    table = pa.Table.from_batches(list(generate(args.rows, seed=3))).select(COLUMNS).combine_chunks()
    plan = hg.Plan(maps=["clicks"], tables=["features"], cell=8)
    sizes = [size for size in SIZES if size * 2 <= args.rows]
    calls: dict[int, list[list[float]]] = {size: [] for size in sizes}
    snapshots: list[float] = []
    for number in range(args.rounds + 1):  # the first is for the kernels
        for size in sizes:
            part = table.slice(0, min(args.rows, size * CALLS))
            batches = [part.slice(at, size).to_batches()[0] for at in range(0, part.num_rows, size)]
            with hg.Engine(plan, on_late="reject") as engine:
                took = []
                for batch in batches:
                    start = time.perf_counter()
                    engine.push(batch)
                    took.append(time.perf_counter() - start)
                start = time.perf_counter()
                engine.snapshot()
                asked = time.perf_counter() - start
                heat = engine.close()
            if answer(heat) != answer(hg.run(part, plan)):
                raise SystemExit(f"calls of {size} rows count something else")
            if number:
                calls[size].append(took[1:])  # the first one looks at the columns
                snapshots.append(asked)
    means = {size: statistics.median(statistics.mean(took) for took in found) for size, found in calls.items()}
    call, row = line_through(means)
    report: dict[str, Any] = {
        "benchmark": "engine", "rows": args.rows, "rounds": args.rounds, "machine": race.machine(),
        "call_ms": call * 1e3, "row_ns": row * 1e9, "snapshot_ms": statistics.median(snapshots) * 1e3,
        "sizes": [
            {"rows": size, "calls": sum(map(len, calls[size])), "mean_ms": means[size] * 1e3,
             "median_ms": statistics.median(chain.from_iterable(calls[size])) * 1e3,
             "longest_ms": statistics.median(max(took) for took in calls[size]) * 1e3}
            for size in sizes
        ],
    }  # fmt: skip
    out = args.out or HERE / "results" / "engine.json"
    out.write_text(json.dumps(report, indent=1) + "\n")
    print(
        f"{report['call_ms']:.2f} ms a call, {report['row_ns']:.0f} ns a row, {report['snapshot_ms']:.1f} ms a snapshot"
    )
    print(f"wrote {out}")


def answer(heat: Any) -> list[Any]:
    """All cells of all maps, and the table; the ledger's rows, but for those that came too late."""
    maps = [sorted(one.items()) for one in map(vars, heat.state.maps.values())]
    found = [[name, [int(v) for v in value.reshape(-1)]] for one in maps for name, value in one if name != "dims"]
    return [found, heat.features.to_pylist(), heat.ledger.accepted]


def line_through(means: dict[int, float]) -> tuple[float, float]:
    """(seconds a call, seconds a row) of the line with the least relative errors."""
    import numpy as np

    sizes, seconds = np.array(list(means), float), np.array(list(means.values()))
    weighed = np.column_stack([np.ones(len(sizes)), sizes]) / seconds[:, None]
    (call, row), *_ = np.linalg.lstsq(weighed, np.ones(len(sizes)), rcond=None)
    return float(call), float(row)


if __name__ == "__main__":
    main()
