"""heatgrid demo: a made-up product's events, and the report of them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from heatgrid.cli import summary
from heatgrid.cli.beside import helped
from heatgrid.cli.doctor import say_if_first
from heatgrid.cli.options import Common, Counting, Reading, Running, opt
from heatgrid.cli.progress import Bar
from heatgrid.cli.report import JOURNEYS, LAYERS, PERIOD, RULES
from heatgrid.cli.text import clean, say
from heatgrid.cli.work import check_place, heat_of
from heatgrid.words.errors import UsageError

ROWS = 1_000_000
FILE, REPORT = "events.parquet", "report"


@dataclass(kw_only=True)
class Dump:
    out: str = opt("--out -o", "DIR", "Where it goes [demo].", "demo")
    rows: int = opt("--rows", "N", "How many events [1000000].", ROWS)
    seed: int = opt("--seed", "N", "Another seed, another dump of the same kind [7].", 7)


def demo(*, dump: Dump, common: Common) -> None:
    """A realistic dump and the report of it.

    The first thing to run: DIR/events.parquet (seeded, with dirty rows planted and counted) and DIR/report.
    """
    if dump.rows < 1 or dump.seed < 0:
        raise UsageError(
            "no such dump", code="HG1023", where="--rows, --seed", value=f"{dump.rows}, {dump.seed}",
            expected="at least one row, a seed >= 0",
        )  # fmt: skip
    say_if_first(common.quiet)
    from heatgrid.demo.generate import write
    from heatgrid.demo.site import areas

    os.makedirs(dump.out, exist_ok=True)
    check_place(os.path.join(dump.out, REPORT), folder=True)
    path = os.path.join(dump.out, FILE)
    started = time.monotonic()
    with helped():
        with Bar(not common.quiet) as bar:
            counts = write(path, dump.rows, seed=dump.seed, progress=bar).as_dict()
        if not common.quiet:
            say(f"made {dump.rows:,} events in {time.monotonic() - started:.1f} s: {clean(path)}")
            say("planted: " + ", ".join(planted(counts)))
        heat = heat_of(
            [path], Reading(), Counting(), Running(), common, maps=LAYERS, every=PERIOD, transitions=JOURNEYS,
            scroll=True, friction=RULES, layout=areas(),
        )  # fmt: skip
    index = heat.report(os.path.join(dump.out, REPORT))
    if common.json:
        summary.as_json("demo", heat, events=path, path=str(index), planted=counts)
    summary.tell(heat, common.quiet, str(index))


def planted(counts: dict[str, object]) -> list[str]:
    """``12 ties``, ``3 two tab``, ... with the dirty rows summed up."""
    flat = {name: value for name, value in counts.items() if isinstance(value, int)}
    dirty = counts.get("dirty")
    if isinstance(dirty, dict):
        flat["dirty"] = sum(dirty.values())
    return [f"{value:,} {name.replace('_', ' ')}" for name, value in flat.items()]
