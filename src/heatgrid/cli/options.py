"""The options that commands share, each declared once, and the decorator that spreads them into a command.

A command names the groups it takes (``reading: Reading, common: Common``); Typer sees their fields as options.
Every option can also come from the environment (``HEATGRID_CELL=16``) or from a TOML file (``-c``), in this order:
flags, environment, file, default.
"""
# ruff: noqa: RUF009 (opt is a dataclass field)

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_type_hints

import typer

from heatgrid.cli import config, text
from heatgrid.outputs.atomic import claimed

EVENTS = Annotated[
    list[str],
    typer.Argument(
        metavar="EVENTS", show_default=False, help="Files, folders or patterns of events (- is stdin), or .heat files."
    ),
]


def opt(names: str, metavar: str, help: str, default: Any = None, **more: Any) -> Any:
    """A field that is an option; ``names`` as in "--out -o". Lists take the option several times."""
    about = {"names": names.split(), "metavar": metavar or None, "help": help, **more}
    if default is list:
        return field(default_factory=list, metadata=about)
    return field(default=default, metadata=about)


@dataclass(kw_only=True)
class Reading:
    """How the input is understood."""

    map: list[str] = opt(
        "--map", "NAME=COLUMN", "Which column is which: x=pointer_x, page=params.page; event_id= leaves one out.", list
    )
    kind: list[str] = opt("--kind", "KIND=WORD,...", "The source's words for a kind: click=press,tap.", list)
    where: str | None = opt("--where", "PREDICATE", "Only these rows, e.g. \"country = 'DE' and not bot\".")
    declared: bool = opt("--declared", "", "Only the columns of --map are read: nothing is inferred.", False)
    tz: str = opt("--tz", "ZONE", "Zone of naive times and of periods [UTC].", "UTC")
    time_unit: str | None = opt("--time-unit", "s|ms|us|ns", "Unit of integer times [by their magnitude].")
    format: str = opt(
        "--format", "NAME", "parquet, arrow, csv, ndjson, or one of `heatgrid formats` [by name and content].", "auto"
    )
    coerce: bool = opt("--coerce", "", "Text such as '12px' for a number rejects the row, not the run.", False)
    evidence: list[str] = opt(
        "--evidence", "NAME=VALUE", "What the source can tell: time_quality=flush:5000, moves=rest:500, quantum_px=16, "
        "has=scroll,viewport.", list,
    )  # fmt: skip
    on_error: str = opt(
        "--on-error", "raise|skip", "An unreadable file stops the run, or is left out and listed [raise].", "raise"
    )


@dataclass(kw_only=True)
class Counting:
    """The plan: what is counted."""

    maps: list[str] = opt(
        "--maps", "LAYER,...", "Layers to map: clicks, moves, first_clicks, last_clicks, goal_clicks, dwell.", list
    )
    by: list[str] = opt("--by", "COLUMN,...", "Segments: any columns, what occurs of them, and totals.", list)
    every: str | None = opt("--every", "PERIOD", "hour, day, week or month, in --tz; or release.")
    releases: list[str] = opt(
        "--releases",
        "FILE|NAME=TIME",
        "Releases to mark in periods, or to cut them: 2.1=2026-03-01, TOML or CSV.",
        list,
    )
    cell: str | None = opt("--cell", "PX", "Edge of a cell: 8, or 8x16 [8].")
    extent: str | None = opt("--extent", "X0,X1,Y0,Y1", "The box that is mapped, in px [the whole page].")
    frame: str | None = opt("--frame", "page|viewport|element", "What x and y are measured from [by names and values].")
    widths: str | None = opt(
        "--widths", "bucket|scale|element", "Windows of all widths: a map each bucket, x to scale, or by element."
    )
    reference: int | None = opt("--reference", "PX", "The width that --widths scale and element draw for [1440].")
    areas: str | None = opt("--areas", "FILE", "Named rectangles (TOML, CSV): points in them get the name as feature.")
    page_rule: list[str] = opt(
        "--page-rule", "PATTERN=PAGE", "Pages by the user's own patterns: /p/:id/settings/**=/p/settings.", list
    )
    keep_param: list[str] = opt("--keep-param", "NAME,...", "URL parameters that stay part of a page.", list)
    keep_host: bool = opt("--keep-host", "", "Pages of unlike hosts are told apart.", False)
    raw_urls: bool = opt("--raw-urls", "", "Pages as they stand, with queries, ids and e-mail addresses.", False)
    layout: str | None = opt(
        "--layout", "FILE", "Where features lie, as heatgrid layout -o FILE writes it: which were seen, and used."
    )
    exposure: bool = opt("--exposure", "", "The same with the layout that --areas names.", False)
    goal: list[str] = opt(
        "--goal", "STEP", "Sessions that used a feature and later did this (as --funnel; several: any of them).", list
    )
    distinct: list[str] = opt("--distinct", "users", "Also count distinct users (costs memory).", list)
    transitions: list[str] = opt("--transitions", "pages,features", "How often one follows another in a session.", list)
    paths: list[str] = opt("--paths", "pages,features", "Whole paths of sessions, and the step matrix.", list)
    funnel: list[str] = opt(
        "--funnel", "STEP", "A step of the funnel, in order: pageview:/pricing, or kind=click&feature=Sign up.", list
    )
    funnel_window: str | None = opt("--funnel-window", "TIME", "The longest way through the funnel [1d].")
    strict: list[str] = opt("--strict", "order,increase", "As windowFunnel's strict_order, strict_increase.", list)
    retention: str | None = opt("--retention", "day|week", "Users that come back (costs memory).")
    session_gap: str | None = opt("--session-gap", "TIME", "No event for so long ends a session, e.g. 30min.")
    idle: str | None = opt("--idle", "TIME", "The most that one pause adds to a time spent [30s].")
    lateness: str | None = opt("--lateness", "TIME", "How late rows may come without a sort [60s].")
    dedupe: str | None = opt("--dedupe", "rows", "Rows equal in every column count once in a session.")
    rule: list[str] = opt(
        "--rule", "NAME,...", "Friction rules: rage, rage:datadog, dead, error, quick_back, ...", list
    )
    rules: str | None = opt("--rules", "FILE", "Own friction rules (TOML); --rule picks from them.")
    max_pages: int | None = opt("--max-pages", "N", "Pages beyond, by their events, are one row (other) [100000].")
    max_features: int | None = opt("--max-features", "N", "The same for features [100000].")
    scroll: bool = opt(
        "--scroll", "", "How far down views reach, and attention (heatgrid scroll does it by itself).", False
    )
    band: int | None = opt("--band", "PX", "Curves of scroll and attention are counted so many px apart [16].")
    exclude_users: list[str] = opt(
        "--exclude-users", "FILE|PATTERN", "Users to leave out: a name, *@example.com, or a file of such lines.", list
    )
    keep_bots: bool = opt(
        "--keep-bots",
        "",
        "Count bots too: by a column of agents, automated browsers, sessions of > 1,000 events a minute or > 12 h "
        "without a rest.",
        False,
    )
    no_links: bool = opt("--no-links", "", "Keep no replay_url of any session.", False)
    min_sessions: int | None = opt("--min-sessions", "N", "Cells and rows of fewer sessions are withheld [0].")


@dataclass(kw_only=True)
class Running:
    """How the run goes, and when it counts as failed."""

    order: str = opt("--order", "NAME", "What is known of the rows' order: auto, time, session or any [auto].", "auto")
    backend: str = opt("--backend", "NAME", "auto, cpu or gpu [auto].", "auto")
    threads: int | None = opt("--threads", "N", "At most so many [all cores].")
    memory: str | None = opt("--memory", "SIZE", "What the process may hold, e.g. 1GB [half of what is free].")
    scratch: str | None = opt("--scratch", "DIR", "Where rows go beyond that [the temporary folder].")
    resume: str | None = opt(
        "--resume", "DIR", "Leave there how far the run has come; started again it goes on from there."
    )
    max_rejected: str = opt(
        "--max-rejected", "SHARE", "More rejected rows (duplicates aside) fail with exit code 4 [1%].", "1%"
    )
    min_rows: int = opt("--min-rows", "N", "Fewer accepted rows fail with exit code 4 [0].", 0)


@dataclass(kw_only=True)
class Common:
    """What every command takes."""

    json: bool = opt("--json", "", "One JSON object on stdout, nothing else there.", False)
    quiet: bool = opt("--quiet -q", "", "No progress and no summary on stderr.", False)
    config: str | None = opt("--config -c", "FILE", "Options from a TOML file.", is_eager=True, callback=config.load)
    debug: bool = opt("--debug", "", "Tracebacks with errors.", False)
    given: frozenset[str] = frozenset()
    """Names of the options that stand on the command line (not an option itself)."""


@dataclass(kw_only=True)
class Result:
    """Where a result goes."""

    out: str | None = opt("--out -o", "FILE", "The result as a file, its format by the name's end; - is stdout.")
    to: str | None = opt("--to", "FORMAT", "The format where the name does not say it (-o -).")


@cache
def _hints(group: type) -> dict[str, Any]:
    return get_type_hints(group)


def spread(function: Callable[..., None]) -> Callable[..., None]:
    """The same command with each group's fields as its own parameters, for Typer to see."""
    own = inspect.signature(function, eval_str=True).parameters
    groups: dict[str, Any] = {name: p.annotation for name, p in own.items() if is_dataclass(p.annotation)}
    seen = [inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    seen += [p for name, p in own.items() if name not in groups]
    seen += [_parameter(group, spec) for group in groups.values() for spec in fields(group) if spec.metadata]

    def command(*, ctx: typer.Context, **values: Any) -> None:
        taken = {}
        for name, group in groups.items():
            taken[name] = group(**{spec.name: values.pop(spec.name) for spec in fields(group) if spec.metadata})
            if isinstance(taken[name], Common):
                taken[name].given = given(ctx)
        for line in config.unknown_variables(os.environ):
            text.say(line)
        with claimed(next((group.out for group in taken.values() if hasattr(group, "out")), None)):
            function(**values, **taken)
            if (running := taken.get("running")) is not None and running.resume is not None:
                from heatgrid.outputs.checkpoint import forget

                forget(running.resume)  # the result is written

    command.__name__, command.__doc__, command.__module__ = function.__name__, function.__doc__, function.__module__
    command.__signature__ = inspect.Signature(seen)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in seen}
    command.kinds = kinds_of(function)  # type: ignore[attr-defined]
    return command


def kinds_of(function: Callable[..., None]) -> dict[str, Any]:
    """The type of each parameter of a command, its groups' fields spread."""
    found: dict[str, Any] = {}
    for name, p in inspect.signature(function, eval_str=True).parameters.items():
        if is_dataclass(p.annotation):
            hints = _hints(p.annotation)  # type: ignore[arg-type]
            found |= {spec.name: hints[spec.name] for spec in fields(p.annotation) if spec.metadata}
        else:
            found[name] = get_args(p.annotation)[0]
    return found


def _parameter(group: type, spec: Any) -> inspect.Parameter:
    """One field as Typer reads it, under the group's heading, with its variable HEATGRID_NAME."""
    about = {"rich_help_panel": group.__name__, "show_default": False, "show_envvar": False, **spec.metadata}
    option = typer.Option(*about.pop("names"), envvar="HEATGRID_" + spec.name.upper(), **about)
    default = spec.default_factory() if callable(spec.default_factory) else spec.default
    kind: Any = _hints(group)[spec.name]
    return inspect.Parameter(
        spec.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )


def is_of(value: Any, kind: Any) -> bool:
    """Whether an option's value needs no conversion to its kind: str, int, bool, one of them or None, list[str]."""
    if kind == list[str]:
        return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)
    return value is None or type(value) in (get_args(kind) or (kind,))


def given(ctx: typer.Context) -> frozenset[str]:
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")
