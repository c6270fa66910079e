"""heatgrid build and merge: counted once, saved, put together later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from heatgrid.cli import summary
from heatgrid.cli.options import EVENTS, Common, Counting, Reading, Running, opt
from heatgrid.cli.values import names
from heatgrid.cli.work import check_place, heat_of, loaded, need

STATES = Annotated[list[str], typer.Argument(metavar="A.heat B.heat", help="Saved states.", show_default=False)]
LAYERS = ("clicks",)


@dataclass(kw_only=True)
class State:
    out: str | None = opt("--out -o", "X.heat", "The saved state.", rich_help_panel="Result")


def build(
    *, events: EVENTS, state: State, reading: Reading, counting: Counting, running: Running, common: Common
) -> None:
    """Count events into a .heat file.

    Every other command takes it in place of the events, at once; states of one plan merge.
    """
    path = need(state.out, "--out", "heatgrid build EVENTS -o may.heat")
    check_place(path)
    heat = heat_of(events, reading, counting, running, common, maps=names(counting.maps) or LAYERS)
    heat.save(path)
    if common.json:
        summary.as_json("build", heat, path=path)
    summary.tell(heat, common.quiet, path)


def merge(*, states: STATES, state: State, common: Common) -> None:
    """Put .heat files together.

    They must be of one plan and of disjoint sessions: then the numbers are those of one run over all events.
    """
    path = need(state.out, "--out", "heatgrid merge a.heat b.heat -o both.heat")
    check_place(path)
    heat = loaded(states)
    heat.save(path)
    if common.json:
        summary.as_json("merge", heat, path=path)
    summary.tell(heat, common.quiet, path)
