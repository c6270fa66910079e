"""From options to a result: what is read, what is counted, and whether it counts as good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from heatgrid.cli import values
from heatgrid.cli.options import Common, Counting, Reading, Running
from heatgrid.cli.progress import Bar
from heatgrid.words.errors import InputError, QualityError, UsageError

if TYPE_CHECKING:
    from heatgrid.heat import Heat
    from heatgrid.sources.events import Events
    from heatgrid.words.friction import Rule
    from heatgrid.words.ledger import Ledger
    from heatgrid.words.plan import Plan

TIME_UNITS = ("s", "ms", "us", "ns")
ORDERS = ("auto", "time", "session", "any")


def plan_of(counting: Counting, reading: Reading, **set_by_command: Any) -> Plan:
    """The plan that the options spell; what the command sets itself comes on top."""
    from heatgrid.words.plan import LAYERS, PICKED, Plan

    asked: dict[str, Any] = {
        "maps": values.names(counting.maps),
        "by": values.names(counting.by),
        "every": counting.every,
        "releases": tuple(counting.releases),
        "cell": values.numbers(counting.cell, "--cell", (1, 2), "8"),
        "extent": values.numbers(counting.extent, "--extent", (4,), "0,1440,0,4000"),
        "frame": counting.frame,
        "widths": counting.widths,
        "reference": counting.reference,
        "areas": counting.areas,
        "url_params": values.names(counting.keep_param),
        "url_hosts": counting.keep_host or None,
        "url_patterns": values.page_rules(counting.page_rule),
        "url_rules": False if counting.raw_urls else None,
        "layout": counting.layout,
        "exposure": counting.exposure or None,
        "goal": tuple(counting.goal),
        "distinct": values.names(counting.distinct),
        "transitions": values.names(counting.transitions),
        "paths": values.names(counting.paths),
        "funnel": tuple(counting.funnel),
        "funnel_window_ms": values.duration(counting.funnel_window, "--funnel-window"),
        "strict": values.names(counting.strict),
        "retention": counting.retention,
        "session_gap": values.duration(counting.session_gap, "--session-gap"),
        "idle_ms": values.duration(counting.idle, "--idle"),
        "lateness_ms": values.duration(counting.lateness, "--lateness"),
        "dedupe": counting.dedupe,
        "min_sessions": counting.min_sessions,
        "max_pages": counting.max_pages,
        "max_features": counting.max_features,
        "scroll": counting.scroll or None,
        "band": counting.band,
        "exclude_users": tuple(counting.exclude_users),
        "keep_bots": counting.keep_bots or None,
        "links": False if counting.no_links else None,
        "friction": rules_of(counting),
        "kinds": values.kinds(reading.kind),
        "tz": reading.tz,
    }
    if asked["cell"] is not None and len(asked["cell"]) == 1:
        asked["cell"] = asked["cell"][0]
    asked = {name: value for name, value in asked.items() if value not in (None, ())}
    for layer in asked.get("maps", ()):
        values.one_of(layer, "--maps", (*LAYERS, *PICKED))
    return Plan(**(asked | set_by_command))


def rules_of(counting: Counting) -> tuple[str | Rule, ...]:
    """The friction rules asked for: presets by name, own ones from their file; all of the file where none is named."""
    chosen = values.names(counting.rule)
    if counting.rules is None:
        return chosen
    from heatgrid.words.friction import load_rules

    own = {rule.name: rule for rule in load_rules(counting.rules)}
    return tuple(own.get(name, name) for name in chosen or own)


def events_of(events: Sequence[str], reading: Reading) -> Events:
    """The input, looked at but not yet read."""
    if reading.time_unit is not None:
        values.one_of(reading.time_unit, "--time-unit", TIME_UNITS)
    values.one_of(reading.on_error, "--on-error", ("raise", "skip"))
    mapping = values.mapping(reading.map)
    from heatgrid.sources.events import open_events

    return open_events(
        events[0] if len(events) == 1 else list(events), format=reading.format, map=mapping, where=reading.where,
        tz=reading.tz, time_unit=reading.time_unit, coerce=reading.coerce, on_error=reading.on_error,
        evidence=reading.evidence or None, declared=reading.declared,
    )  # fmt: skip


def heat_of(
    events: Sequence[str],
    reading: Reading,
    counting: Counting,
    running: Running,
    common: Common,
    **set_by_command: Any,
) -> Heat:
    """Count the events, or load and merge what was counted before; then judge the ledger."""
    limit = values.share(running.max_rejected, "--max-rejected")
    values.one_of(running.order, "--order", ORDERS)
    from heatgrid.words.plan import BACKENDS

    values.one_of(running.backend, "--backend", BACKENDS)
    if running.threads is not None and running.threads < 1:
        raise UsageError(
            "no thread to work with", code="HG1017", where="--threads", value=running.threads, expected=">= 1"
        )
    saved = [name for name in events if name.endswith(".heat")]
    if saved and len(saved) < len(events):
        raise UsageError(
            "saved states and events cannot be counted together", code="HG1018", where="EVENTS",
            value=", ".join(saved[:3]), expected="only .heat files, or only events",
            hint="heatgrid build EVENTS -o more.heat, then name both .heat files",
        )  # fmt: skip
    if saved:
        _too_late(saved, common)
        heat = loaded(saved)
    else:
        plan = plan_of(counting, reading, **set_by_command)
        try:
            source = events_of(events, reading)
        except InputError as error:
            if error.code != "HG2201" or not (counting.funnel or counting.goal):
                raise
            option = "--funnel" if counting.funnel else "--goal"
            hint = f"{option} {error.where}, if that is a step (each takes {option})"
            hint = f"{error.hint} or {hint}" if (error.hint or "").startswith("did") else hint
            raise InputError(error.what, code=error.code, where=error.where, hint=hint) from None
        from heatgrid.cli.doctor import say_if_first

        say_if_first(common.quiet)
        from heatgrid.api import run

        with Bar(not common.quiet) as bar:
            heat = run(
                source, plan, order=running.order, backend=running.backend, threads=running.threads,
                memory=running.memory, scratch=running.scratch, resume=running.resume, progress=bar,
            )  # fmt: skip
    judge(heat.ledger, limit, running.min_rows)
    if counting.maps or set_by_command.get("maps"):
        wanted_kinds(heat)
    return heat


def wanted_kinds(heat: Heat) -> None:
    """Points without one row of a kind that the maps want: its words are not known. Errors: InputError HG2607."""
    kinds = heat.summary["kinds"]
    wanted = [layer.removesuffix("s") for layer in heat.plan.maps]
    if "maps" not in heat.state.maps or not kinds or "kind" not in heat.state.has or set(wanted) & set(kinds):
        return
    counts = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    raise InputError(
        f"no row is a {' or a '.join(wanted)}", code="HG2607", where="kind",
        value=", ".join(f"{name} {n:,}" for name, n in counts[:12]) + (", ..." if len(counts) > 12 else ""),
        expected=f"one of these kinds to be a {wanted[0]}",
        hint=f"--kind {wanted[0]}={counts[0][0]}, or --map kind= where every row with a point is a click",
    )  # fmt: skip


def _too_late(paths: Sequence[str], common: Common) -> None:
    """What a saved state counts was fixed when it was built."""
    late = sorted({spec.name for group in (Reading, Counting) for spec in fields(group)} & common.given)
    if late:
        option = "--" + late[0].replace("_", "-")
        raise UsageError(
            "a saved state is counted already: this option comes too late", code="HG1019", where=option,
            value=", ".join(paths[:3]), hint=f"heatgrid build EVENTS {option} ... -o NEW.heat",
        )  # fmt: skip


def loaded(paths: Sequence[str]) -> Heat:
    """One saved state, or several as one."""
    from heatgrid.api import load, merge

    heats = [load(path) for path in paths]
    return heats[0] if len(heats) == 1 else merge(heats)


def check_output(
    path: str | None, to: str | None = None, *, pictures: bool = False, json: bool = False, more: tuple[str, ...] = ()
) -> None:
    """Refuse an output that cannot be written, before anything is read: its format, its folder, its right to stdout.

    pictures : whether the command draws; more : formats of its own.
    """
    if path is None:
        return
    if path == "-" and json:
        raise UsageError("both want stdout", code="HG1022", where="--json, -o -", hint="-o - --to json, or --json")
    from heatgrid.outputs.tables import FORMATS, format_of

    if not (pictures and is_picture(path)):
        format_of(path, to, (*(("png",) if pictures and to is None else ()), *more, *FORMATS))
    if path != "-":
        check_place(path)


def check_place(path: str, *, folder: bool = False) -> None:
    """The same of its folder alone, or of the folder that a report becomes."""
    from heatgrid.outputs.atomic import promised

    promised(path, folder=folder)


def is_picture(path: str | None) -> bool:
    return path is not None and path.lower().endswith(".png")


def judge(ledger: Ledger, limit: float, min_rows: int) -> None:
    """Too many rejected rows (duplicates were dropped on purpose), or too few accepted ones."""
    bad = {reason: count for reason, count in ledger.rejected.items() if count and reason != "duplicate"}
    total = sum(bad.values())
    if total > limit * ledger.read:
        share = 100 * total / ledger.read
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(bad.items()))
        raise QualityError(
            "too many rows were rejected", code="HG3001", where="the input",
            value=f"{total:,} of {ledger.read:,} ({share:.2g}%): {reasons}", expected=f"at most {100 * limit:g}%",
            hint=_why(bad) + f"look at these rows, or accept them with --max-rejected {min(100, int(share) + 1)}%",
        )  # fmt: skip
    if ledger.accepted < min_rows:
        raise QualityError(
            "too few rows were accepted", code="HG3002", where="the input",
            value=f"{ledger.accepted:,} of {ledger.read:,}", expected=f"at least {min_rows:,}",
            hint="check --where and the files, or lower --min-rows",
        )  # fmt: skip


def _why(bad: dict[str, int]) -> str:
    """What most of the rejected rows may have in common."""
    if max(bad, key=lambda reason: bad[reason]) != "time":
        return ""
    return (
        "the times are null or outside 2000 to 2100 (seconds read as milliseconds are near 1970): another unit, "
        "perhaps (--time-unit, or the stored type); "
    )


def need(value: str | None, option: str, example: str) -> str:
    """An option without which the command has nothing to write to."""
    if not value:
        raise UsageError(f"{option} is missing", code="HG1021", where=option, expected="a name", hint=example)
    return value
