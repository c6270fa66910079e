"""heatgrid report: everything of one run as a folder with a page to open."""

from __future__ import annotations

from typing import Annotated

from heatgrid.cli import summary
from heatgrid.cli.options import EVENTS, Common, Counting, Reading, Running, opt
from heatgrid.cli.values import names
from heatgrid.cli.work import heat_of, need

FOLDER = Annotated[
    str | None, opt("--out", "-o", metavar="DIR", panel="Result", help="The folder that the report becomes.")
]
LAYERS = ("clicks", "moves")
PERIOD = "week"


def report(
    events: EVENTS, reading: Reading, counting: Counting, running: Running, common: Common, out: FOLDER = None
) -> None:
    """Maps, usage matrix and tables as a folder: index.html (self-contained), maps/, tables, summary.json."""
    folder = need(out, "--out", "heatgrid report EVENTS -o report")
    heat = heat_of(
        events, reading, counting, running, common, maps=names(counting.maps) or LAYERS, every=counting.every or PERIOD
    )
    index = heat.report(folder)
    if common.json:
        summary.as_json("report", heat, path=str(index))
    summary.tell(heat, common.quiet, str(index))
