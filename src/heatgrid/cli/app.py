"""The commands, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import heatgrid
from heatgrid.cli import (
    bench,
    demo,
    doctor,
    features,
    formats,
    friction,
    journeys,
    layout,
    look,
    maps,
    picture,
    plan,
    report,
    scroll,
    snapshot,
    states,
    tables,
)
from heatgrid.cli.options import is_of, spread
from heatgrid.cli.text import put

_ABOUT = """Event dumps of any size into usage heatmaps: maps, times and tables, counted exactly.

Start with `heatgrid demo`, then `heatgrid look YOUR_EVENTS` and `heatgrid report YOUR_EVENTS -o DIR`."""

_EXITS = (
    "Exit codes: 0 ok, 1 our bug, 2 usage, 3 input, 4 too many rejected or too few rows, 5 a limit, "
    "6 device absent, 130/143 stopped by a signal."
)

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo.demo,
    "look": look.look,
    "report": report.report,
    "matrix": tables.matrix,
    "map": maps.map_,
    "picture": picture.picture,
    "features": features.features,
    "pages": tables.pages,
    "paths": journeys.paths,
    "funnel": journeys.funnel,
    "friction": friction.friction,
    "scroll": scroll.scroll,
    "layout": layout.layout,
    "snapshot": snapshot.snapshot,
    "build": states.build,
    "merge": states.merge,
    "plan": plan.plan,
    "formats": formats.formats,
    "convert": formats.convert,
    "bench": bench.bench,
    "doctor": doctor.doctor,
}
_HEADINGS = (
    "Input", "Dump", "Bench", "Converting", "Result", "Table", "Journey", "Which", "Slide", "Depth", "Looks",
    "Shooting", "Reading", "Counting", "Running", "Common",
)  # fmt: skip


class Command(TyperCommand):
    """A command whose help lists its options under their headings."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for param in self.get_params(ctx):
            _spare(param, getattr(self.callback, "kinds", {}).get(param.name, bool))
        return super().parse_args(ctx, args)

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


class Commands(TyperGroup):
    """All commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for param in self.get_params(ctx):
            _spare(param, bool)
        return super().parse_args(ctx, args)


def app(words: Sequence[str]) -> typer.Typer:
    """All commands under one name; only that which ``words`` call has its options (those of all take 40 ms)."""
    made = typer.Typer(
        name="heatgrid", cls=Commands, help=_ABOUT, epilog=_EXITS, add_completion=False, no_args_is_help=True,
        rich_markup_mode=None, pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )  # fmt: skip
    made.callback()(_root)
    called = next((word for word in words if not word.startswith("-")), None)
    for name, function in COMMANDS.items():
        made.command(name, cls=Command)(spread(function) if name == called else _named(function))
    return made


def _named(function: Callable[..., None]) -> Callable[[], None]:
    """What the list of commands shows of one."""

    def command() -> None:
        raise AssertionError(function)

    command.__doc__ = function.__doc__
    return command


def _spare(param: Any, kind: Any) -> None:
    """Leave values alone that are of their kind already: Typer loads a library and builds a converter for every option,
    given or not, a tenth of a second in all. What is missing, wrong or to be converted still goes its way."""
    convert = param.process_value

    def process(ctx: Any, value: Any) -> Any:
        if not is_of(value, kind) or (param.required and not value):
            return convert(ctx, value)
        value = list(value) if isinstance(value, tuple) else value
        return value if param.callback is None else param.callback(ctx, param, value)

    param.process_value = process


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
