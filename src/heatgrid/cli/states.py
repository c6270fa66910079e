"""heatgrid build and merge: counted once, saved, put together later."""

from __future__ import annotations

from typing import Annotated

import typer

from heatgrid.cli import summary
from heatgrid.cli.options import EVENTS, Common, Counting, Reading, Running, opt
from heatgrid.cli.values import names
from heatgrid.cli.work import heat_of, loaded, need

STATE = Annotated[
    str | None, opt("--out", "-o", metavar="X.heat", panel="Result", help="The saved state, for every other command.")
]
STATES = Annotated[list[str], typer.Argument(metavar="A.heat B.heat", help="Saved states.", show_default=False)]
LAYERS = ("clicks",)


def build(
    events: EVENTS, reading: Reading, counting: Counting, running: Running, common: Common, out: STATE = None
) -> None:
    """Count events into a .heat file: every command takes it in their place, and states merge."""
    path = need(out, "--out", "heatgrid build EVENTS -o may.heat")
    heat = heat_of(events, reading, counting, running, common, maps=names(counting.maps) or LAYERS)
    heat.save(path)
    if common.json:
        summary.as_json("build", heat, path=path)
    summary.tell(heat, common.quiet, path)


def merge(states: STATES, common: Common, out: STATE = None) -> None:
    """Put .heat files of one plan and disjoint sessions together: the same numbers as one run over all events."""
    path = need(out, "--out", "heatgrid merge a.heat b.heat -o both.heat")
    heat = loaded(states)
    heat.save(path)
    if common.json:
        summary.as_json("merge", heat, path=path)
    summary.tell(heat, common.quiet, path)
