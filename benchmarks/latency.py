"""A request of 10,000 rows, warm, in process: a table in memory to the click map and the time per feature.

python benchmarks/latency.py --rows 10000 --calls 500
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from heatgrid.bench import race

HERE = Path(__file__).parent
COLUMNS = ["time", "session", "tab", "page", "kind", "feature", "x", "y", "viewport_w"]
PAGES = ("/", "/dashboard", "/pricing")
WARM_CALLS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()

    import pyarrow as pa

    import heatgrid as hg
    from heatgrid.demo.generate import generate

    table = pa.Table.from_batches(list(generate(args.rows, seed=3))).select(COLUMNS)
    seconds = []
    answers = set()
    for number in range(WARM_CALLS + args.calls):
        start = time.perf_counter()
        heat = hg.run(table, maps=("clicks",), tables=("features",), cell=8, keep_bots=True)
        clicks = sum(heat.map("clicks", page=page).values.sum() for page in PAGES)
        dwell = heat.features["dwell_ms"].to_numpy().sum()
        if number >= WARM_CALLS:
            seconds.append(time.perf_counter() - start)
        answers.add((int(clicks), int(dwell)))
    if len(answers) != 1:
        raise SystemExit(f"the answers differ: {answers}")
    seconds.sort()
    at = {f"p{p}_ms": seconds[min(len(seconds) - 1, len(seconds) * p // 100)] * 1e3 for p in (50, 90, 99)}
    report = {"benchmark": "latency", "rows": args.rows, "calls": args.calls, "machine": race.machine()} | at
    out = args.out or HERE / "results" / f"latency-{args.rows}.json"
    out.write_text(json.dumps(report, indent=1) + "\n")
    print(", ".join(f"{name} {value:.1f}" for name, value in at.items()))
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
