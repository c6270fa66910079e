"""heatgrid demo: a made-up product's events, and the report of them."""

from __future__ import annotations

import os
import time
from typing import Annotated

from heatgrid.cli import summary
from heatgrid.cli.options import Common, Counting, Reading, Running, opt
from heatgrid.cli.report import LAYERS, PERIOD
from heatgrid.cli.text import say
from heatgrid.cli.work import heat_of
from heatgrid.outputs.text import visible
from heatgrid.words.errors import UsageError

ROWS = 1_000_000
FILE, REPORT = "events.parquet", "report"


def demo(
    common: Common,
    out: Annotated[str, opt("--out", "-o", metavar="DIR", panel="Result", help="Where it goes [demo].")] = "demo",
    rows: Annotated[int, opt("--rows", metavar="N", panel="Result", help="How many events [1000000].")] = ROWS,
    seed: Annotated[int, opt("--seed", metavar="N", panel="Result", help="Another dump of the same kind [0].")] = 0,
) -> None:
    """A realistic dump of events (seeded) and the report of it: the first thing to run."""
    if rows < 1 or seed < 0:
        raise UsageError(
            "no such dump",
            code="HG1023",
            where="--rows, --seed",
            value=f"{rows}, {seed}",
            expected="rows >= 1, seed >= 0",
        )
    from heatgrid.demo.generate import write

    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, FILE)
    started = time.monotonic()
    counts = write(path, rows, seed=seed).as_dict()
    if not common.quiet:
        say(f"made {rows:,} events in {time.monotonic() - started:.1f} s: {visible(path)}")
        say("planted: " + ", ".join(_planted(counts)))
    heat = heat_of([path], Reading(), Counting(), Running(), common, maps=LAYERS, every=PERIOD)
    index = heat.report(os.path.join(out, REPORT))
    if common.json:
        summary.as_json("demo", heat, events=path, path=str(index), planted=counts)
    summary.tell(heat, common.quiet, str(index))


def _planted(counts: dict[str, object]) -> list[str]:
    flat = {name: value for name, value in counts.items() if isinstance(value, int)}
    dirty = counts.get("dirty")
    if isinstance(dirty, dict):
        flat["dirty"] = sum(dirty.values())
    return [f"{value:,} {name.replace('_', ' ')}" for name, value in flat.items()]
