"""The commands, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

import heatgrid
from heatgrid.cli import demo, doctor, friction, journeys, maps, plan, report, scroll, states, tables
from heatgrid.cli.options import spread
from heatgrid.cli.text import put

_ABOUT = """Event dumps of any size into usage heatmaps: maps, times and tables, counted exactly.

Start with `heatgrid demo`, then `heatgrid report YOUR_EVENTS -o DIR`."""

_EXITS = (
    "Exit codes: 0 ok, 1 our bug, 2 usage, 3 input, 4 too many rejected or too few rows, 5 a limit, "
    "6 device absent, 130/143 stopped by a signal."
)

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo.demo,
    "report": report.report,
    "matrix": tables.matrix,
    "map": maps.map_,
    "features": tables.features,
    "pages": tables.pages,
    "paths": journeys.paths,
    "funnel": journeys.funnel,
    "friction": friction.friction,
    "scroll": scroll.scroll,
    "build": states.build,
    "merge": states.merge,
    "plan": plan.plan,
    "doctor": doctor.doctor,
}
_HEADINGS = (
    "Input", "Dump", "Result", "Table", "Journey", "Which", "Depth", "Looks", "Reading", "Counting", "Running",
    "Common",
)  # fmt: skip


class Command(TyperCommand):
    """A command whose help lists its options under their headings."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        found: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                other = "Input" if param.param_type_name == "argument" else "Common"
                found.setdefault(getattr(param, "rich_help_panel", None) or other, []).append(record)
        for heading in sorted(found, key=_HEADINGS.index):
            with formatter.section(heading):
                formatter.write_dl(found[heading])


def app() -> typer.Typer:
    """All commands under one name."""
    made = typer.Typer(
        name="heatgrid", help=_ABOUT, epilog=_EXITS, add_completion=False, no_args_is_help=True,
        rich_markup_mode=None, pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )  # fmt: skip
    made.callback()(_root)
    for name, function in COMMANDS.items():
        made.command(name, cls=Command)(spread(function))
    return made


def _version(value: bool) -> None:
    if value:
        put(f"heatgrid {heatgrid.__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="The version, and nothing else.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Nothing to do before a command."""
