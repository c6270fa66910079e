"""heatgrid report: everything of one run as a folder with a page to open."""

from __future__ import annotations

from dataclasses import dataclass

from heatgrid.cli import summary
from heatgrid.cli.beside import helped
from heatgrid.cli.options import EVENTS, Common, Counting, Reading, Running, opt
from heatgrid.cli.values import names
from heatgrid.cli.work import check_place, heat_of, need, rules_of

LAYERS = ("clicks", "moves")
PERIOD = "week"
JOURNEYS = ("pages",)
RULES = ("rage", "dead", "error", "quick_back")
"""Friction of a report without --rule: findings need it; what the source cannot serve is named with what would."""


@dataclass(kw_only=True)
class Folder:
    out: str | None = opt("--out -o", "DIR", "The folder that the report becomes.", rich_help_panel="Result")
    screens: str | None = opt(
        "--screens", "DIR", "Screenshots below the maps: pricing@1440.png, or screens.toml.", rich_help_panel="Result"
    )


def report(
    *, events: EVENTS, folder: Folder, reading: Reading, counting: Counting, running: Running, common: Common
) -> None:
    """Maps, usage matrix and tables as one page.

    The folder holds index.html (self-contained), maps/*.png, the tables as CSV and Parquet, and summary.json.
    """
    out = need(folder.out, "--out", "heatgrid report EVENTS -o report")
    check_place(out, folder=True)
    with helped():
        heat = heat_of(
            events,
            reading,
            counting,
            running,
            common,
            maps=names(counting.maps) or LAYERS,
            every=counting.every or PERIOD,
            transitions=names(counting.transitions) or JOURNEYS,
            scroll=True,
            friction=rules_of(counting) or RULES,
            layout=counting.layout or True,
            exposure=counting.exposure or counting.areas is not None,
        )
    index = heat.report(out, screens=folder.screens)
    if common.json:
        summary.as_json("report", heat, path=str(index))
    summary.tell(heat, common.quiet, str(index))
