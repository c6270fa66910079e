"""heatgrid doctor --warm: one small run of everything, so that each CPU kernel is compiled and on disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from heatgrid.cli import text
from heatgrid.cli.report import JOURNEYS, LAYERS, PERIOD, RULES

ROWS = 20_000


def warmed(quiet: bool = True) -> str:
    """Run the steps, each told on stderr as it begins; what they took in all."""
    started = time.monotonic()
    with TemporaryDirectory() as folder:
        for number, (name, step) in enumerate(STEPS.items(), 1):
            if not quiet:
                text.say(f"{time.monotonic() - started:5.1f} s  {number} of {len(STEPS)}: {name}")
            step(Path(folder))
    return f"the CPU kernels are ready ({time.monotonic() - started:.1f} s)"


def _dump(folder: Path) -> None:
    from heatgrid.demo.generate import write

    write(folder / "events.parquet", ROWS, seed=0)


def _run(folder: Path, order: str = "auto", **plan: Any) -> Any:
    from heatgrid.api import read, run
    from heatgrid.words.plan import Plan

    return run(read(folder / "events.parquet"), Plan(**plan), order=order)


def _maps(folder: Path) -> None:
    from heatgrid.api import read, run
    from heatgrid.words.areas import Area

    bar = [Area("nav.home", 0, 1, 12, 52)]
    usual: dict[str, Any] = {
        "maps": LAYERS,
        "every": PERIOD,
        "transitions": JOURNEYS,
        "friction": RULES,
        "scroll": True,
    }
    heat = _run(folder, layout=bar, **usual)
    heat.report(folder / "report")
    _run(folder, layout=True, **usual)
    # the scan has a shorter form for sources without ids of events
    run(read(folder / "events.parquet", map={"event_id": None}), maps=LAYERS)


def _counts(folder: Path) -> None:
    from heatgrid.api import read, run

    options: dict[str, Any] = {"by": ("device",), "moves_sessions": True, "distinct": ("users",)}
    _run(folder, maps=("clicks", "moves"), **options)
    _run(folder, maps=("clicks", "moves"), order="any", **options)
    # a column of links of its own: what is no address is looked at as well
    run(read(folder / "events.parquet", map={"replay_url": "page"}), maps=("clicks", "dwell"), tables=())


def _journeys(folder: Path) -> None:
    things = ("pages", "features")
    funnel = ("pageview", "click")
    _run(folder, maps=(), transitions=things, paths=things, funnel=funnel, retention="week")


def _friction(folder: Path) -> None:
    from heatgrid.words.friction import PRESETS

    _run(folder, maps=(), friction=tuple(PRESETS))


def _large(folder: Path) -> None:
    from heatgrid.api import read, run
    from heatgrid.sources import parquet as files

    parquet: Any = files  # its limit is not for others to set
    usual, parquet.FROM_ROWS = parquet.FROM_ROWS, 1
    try:
        _run(folder, maps=("clicks",))
        alone = {"session": None, "user": None}
        run(read(folder / "events.parquet", map=alone, where="kind = 'click'"), maps=("clicks",), tables=())
    finally:
        parquet.FROM_ROWS = usual


def _unordered(folder: Path) -> None:
    from heatgrid.api import read, run
    from heatgrid.words.plan import Plan

    run(read(folder / "events.parquet"), Plan(), order="any")


def _lines(folder: Path) -> None:
    import pyarrow.parquet as pq
    from pyarrow import csv

    from heatgrid.api import run

    csv.write_csv(pq.read_table(folder / "events.parquet"), folder / "events.csv")
    run(folder / "events.csv", maps=("clicks",))


def _arrays(_: Path) -> None:
    import numpy as np

    from heatgrid.arrays import bin_points, smooth
    from heatgrid.dwelling import dwell

    for kind in (np.float32, np.float64):
        x, y = np.random.default_rng(0).random((2, ROWS)).astype(kind) * 100
        bin_points(x, y, shape=(100, 100))
        bin_points(x, y, shape=(100, 100), group=np.arange(ROWS) % 3, n_groups=3)
        for sigma in (2, 32):
            smooth(np.zeros((64, 64), kind), sigma)
    rows = np.arange(ROWS)
    dwell(rows % 7, rows, rows % 3)


STEPS: dict[str, Callable[[Path], None]] = {
    "the demo's events": _dump,
    "a report: maps, times, features, transitions": _maps,
    "segments, moves with sessions, distinct users": _counts,
    "paths, funnel, retention": _journeys,
    "friction": _friction,
    "large Parquet files": _large,
    "rows in no order": _unordered,
    "CSV": _lines,
    "points, smoothing and times of arrays": _arrays,
}
