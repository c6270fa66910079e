"""What exposure costs in a run from Parquet: a plan without it, the same with it, and with a split and a goal.

The layout is the demo product's own. The plans take turns in one process; usage must be equal in all.

    python benchmarks/exposure.py --rows 20000000 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--file", type=Path, help="a dump of the demo, instead of a new one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    import heatgrid as hg
    from heatgrid.demo.generate import write

    path = args.file or Path(tempfile.mkdtemp()) / "events.parquet"
    if args.file is None:
        write(path, args.rows, seed=1, sessions=args.rows // 50)
    path.read_bytes()
    layout = boxes()
    plans = {
        "clicks, usage": {},
        "with exposure": {"layout": layout},
        "and a split, a goal": {"layout": layout, "by": ["device"], "goal": "pageview:/checkout"},
        "split alone": {"by": ["device"]},
        "with scroll instead": {"scroll": True},
    }
    seconds: dict[str, list[float]] = {name: [] for name in plans}
    rows = 0
    for number in range(-1, args.rounds):  # the first is not counted
        features = {}
        for name, more in plans.items():
            started = time.perf_counter()
            heat = hg.run(path, hg.Plan(**more, keep_bots=True), threads=args.threads)
            if number >= 0:
                seconds[name].append(time.perf_counter() - started)
            features[name], rows = heat.features, heat.ledger.read
        if any(not table.equals(features["clicks, usage"]) for table in features.values()):
            raise SystemExit("the usage of features differs")
    for name, all_ in seconds.items():
        each = [s * 1e9 / rows for s in sorted(all_)]
        print(f"{name:22} {statistics.median(each):7.1f} ns a row   {each[0]:.1f} - {each[-1]:.1f}")
    if args.out:
        args.out.write_text(json.dumps({"rows": rows, "rounds": args.rounds, "seconds": seconds}, indent=1) + "\n")


def boxes():
    """The demo product's layout, as areas."""
    from heatgrid.demo import site
    from heatgrid.words.areas import Area

    names, found, features = site.declared_features(), site.boxes(), site.features_of()
    edges = (None, 600, 1024, 1440, None)
    return [
        Area(names[features[p, k]], *map(float, found[p, b, k]), page.path, edges[b], edges[b + 1])
        for p, page in enumerate(site.pages()) for b in range(4) for k in range(features.shape[1])
    ]  # fmt: skip


if __name__ == "__main__":
    main()
