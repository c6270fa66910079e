"""The options that commands share, each declared once, and the decorator that spreads them into a command.

A command names the groups it takes (``reading: Reading, common: Common``); Typer sees their fields as options.
Every option can also come from the environment (``HEATGRID_CELL=16``) or from a TOML file (``-c``), in this order:
flags, environment, file, default.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, get_type_hints

import typer

from heatgrid.cli import config

EVENTS = Annotated[
    list[str],
    typer.Argument(metavar="EVENTS", help="Files, folders or patterns of events (- is stdin), or .heat files.", show_default=False),
]  # fmt: skip


def opt(*names: str, help: str, panel: str, **more: Any) -> Any:
    """An option under a heading of the help, with its variable HEATGRID_NAME."""
    long = next(name for name in names if name.startswith("--"))
    variable = "HEATGRID_" + long.partition("/")[0].lstrip("-").replace("-", "_").upper()
    return typer.Option(
        *names, help=help, rich_help_panel=panel, envvar=variable, show_envvar=False, show_default=False, **more
    )


_READ, _COUNT, _RUN, _COMMON, _RESULT = "Reading", "Counting", "Running", "Common", "Result"


@dataclass
class Reading:
    """How the input is understood."""

    map: Annotated[list[str], opt("--map", metavar="NAME=COLUMN", panel=_READ, help="Which column is which, e.g. x=pointer_x (page=params.page reaches into structs; event_id= leaves one out).")] = field(default_factory=list)  # fmt: skip
    kind: Annotated[list[str], opt("--kind", metavar="KIND=WORD,...", panel=_READ, help="Words of the source for a kind, e.g. click=press,tap.")] = field(default_factory=list)  # fmt: skip
    where: Annotated[str | None, opt("--where", metavar="PREDICATE", panel=_READ, help="Only these rows, e.g. \"country = 'DE' and not bot\".")] = None  # fmt: skip
    tz: Annotated[str, opt("--tz", metavar="ZONE", panel=_READ, help="Zone of naive times and of periods [UTC].")] = "UTC"  # fmt: skip
    time_unit: Annotated[str | None, opt("--time-unit", metavar="s|ms|us|ns", panel=_READ, help="Unit of integer times [by their magnitude].")] = None  # fmt: skip
    format: Annotated[str, opt("--format", metavar="NAME", panel=_READ, help="parquet, arrow, csv or ndjson [by name and content].")] = "auto"  # fmt: skip
    coerce: Annotated[bool, opt("--coerce", panel=_READ, help="Text such as '12px' in a number column rejects the row instead of the run.")] = False  # fmt: skip
    on_error: Annotated[str, opt("--on-error", metavar="raise|skip", panel=_READ, help="An unreadable file stops the run, or is left out and listed [raise].")] = "raise"  # fmt: skip


@dataclass
class Counting:
    """The plan: what is counted."""

    maps: Annotated[list[str], opt("--maps", metavar="LAYER,...", panel=_COUNT, help="Layers to map: clicks, moves.")] = field(default_factory=list)  # fmt: skip
    by: Annotated[list[str], opt("--by", metavar="COLUMN,...", panel=_COUNT, help="Segments: any columns, every combination that occurs, and totals.")] = field(default_factory=list)  # fmt: skip
    every: Annotated[str | None, opt("--every", metavar="PERIOD", panel=_COUNT, help="hour, day, week or month, in --tz.")] = None  # fmt: skip
    cell: Annotated[str | None, opt("--cell", metavar="PX", panel=_COUNT, help="Edge of a cell: 8, or 8x16 [8].")] = None  # fmt: skip
    extent: Annotated[str | None, opt("--extent", metavar="X0,X1,Y0,Y1", panel=_COUNT, help="Box that is mapped, in px [the whole page].")] = None  # fmt: skip
    frame: Annotated[str | None, opt("--frame", metavar="page|viewport", panel=_COUNT, help="What x and y are measured from [page].")] = None  # fmt: skip
    areas: Annotated[str | None, opt("--areas", metavar="FILE", panel=_COUNT, help="Named rectangles, TOML or CSV: points in them get their name as feature.")] = None  # fmt: skip
    distinct: Annotated[list[str], opt("--distinct", metavar="users", panel=_COUNT, help="Also count distinct users (costs memory).")] = field(default_factory=list)  # fmt: skip
    session_gap: Annotated[str | None, opt("--session-gap", metavar="TIME", panel=_COUNT, help="No event for so long ends a session, e.g. 30min.")] = None  # fmt: skip
    idle: Annotated[str | None, opt("--idle", metavar="TIME", panel=_COUNT, help="The most that one pause adds to a time spent [30s].")] = None  # fmt: skip
    lateness: Annotated[str | None, opt("--lateness", metavar="TIME", panel=_COUNT, help="How late rows may come without a sort [60s].")] = None  # fmt: skip
    dedupe: Annotated[str | None, opt("--dedupe", metavar="rows", panel=_COUNT, help="Rows equal in every column count once in a session.")] = None  # fmt: skip
    min_sessions: Annotated[int | None, opt("--min-sessions", metavar="N", panel=_COUNT, help="Cells and rows of fewer sessions are withheld and counted [0].")] = None  # fmt: skip


@dataclass
class Running:
    """How the run goes, and when it counts as failed."""

    order: Annotated[str, opt("--order", metavar="NAME", panel=_RUN, help="auto, time, session or any: what is known about the rows' order [auto].")] = "auto"  # fmt: skip
    backend: Annotated[str, opt("--backend", metavar="NAME", panel=_RUN, help="auto, cpu or gpu [auto].")] = "auto"  # fmt: skip
    threads: Annotated[int | None, opt("--threads", metavar="N", panel=_RUN, help="At most so many [all cores].")] = None  # fmt: skip
    max_rejected: Annotated[str, opt("--max-rejected", metavar="SHARE", panel=_RUN, help="More rejected rows (duplicates aside) fail with exit code 4 [1%].")] = "1%"  # fmt: skip
    min_rows: Annotated[int, opt("--min-rows", metavar="N", panel=_RUN, help="Fewer accepted rows fail with exit code 4 [0].")] = 0  # fmt: skip


@dataclass
class Common:
    """What every command takes."""

    json: Annotated[bool, opt("--json", panel=_COMMON, help="One JSON object on stdout, nothing else there.")] = False
    quiet: Annotated[bool, opt("--quiet", "-q", panel=_COMMON, help="No progress and no summary on stderr.")] = False
    config: Annotated[str | None, opt("--config", "-c", metavar="FILE", panel=_COMMON, is_eager=True, callback=config.load, help="Options from a TOML file.")] = None  # fmt: skip
    debug: Annotated[bool, opt("--debug", panel=_COMMON, help="Tracebacks with errors.")] = False  # fmt: skip
    given: frozenset[str] = field(default_factory=frozenset)
    """Names of the options that were written on the command line (not an option itself)."""


@dataclass
class Output:
    """Where a result goes."""

    out: Annotated[str | None, opt("--out", "-o", metavar="FILE", panel=_RESULT, help="The result as a file, its format by the name's end; - is stdout.")] = None  # fmt: skip
    to: Annotated[str | None, opt("--to", metavar="FORMAT", panel=_RESULT, help="The format where the name does not say it (-o -).")] = None  # fmt: skip


@cache
def _hints(group: type) -> dict[str, Any]:
    return get_type_hints(group, include_extras=True)


def spread(function: Callable[..., None]) -> Callable[..., None]:
    """The same command with each group's fields as its own parameters, for Typer to see."""
    own = inspect.signature(function, eval_str=True).parameters
    groups = {name: p.annotation for name, p in own.items() if is_dataclass(p.annotation)}
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    seen = [context] + [p.replace(kind=p.KEYWORD_ONLY) for name, p in own.items() if name not in groups]
    for group in groups.values():
        for spec in fields(group):
            if spec.name != "given":
                default = spec.default_factory() if spec.default_factory is not MISSING else spec.default
                seen.append(
                    inspect.Parameter(
                        spec.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=_hints(group)[spec.name]
                    )
                )

    def command(*, ctx: typer.Context, **values: Any) -> None:
        taken = {}
        for name, group in groups.items():
            taken[name] = group(**{s.name: values.pop(s.name) for s in fields(group) if s.name in values})
            if isinstance(taken[name], Common):
                taken[name].given = given(ctx)
        function(**values, **taken)

    command.__name__, command.__doc__, command.__module__ = function.__name__, function.__doc__, function.__module__
    command.__signature__ = inspect.Signature(seen)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in seen}
    return command


def given(ctx: typer.Context) -> frozenset[str]:
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")
