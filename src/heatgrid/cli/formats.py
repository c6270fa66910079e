"""heatgrid formats and heatgrid convert: what can be read, what it can and cannot give, and as canonical Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from heatgrid.cli import summary, text
from heatgrid.cli.options import EVENTS, Common, Reading, Result, opt
from heatgrid.cli.progress import Bar
from heatgrid.cli.work import events_of, need
from heatgrid.words.errors import UsageError

TABLES = {
    "parquet": "Parquet of any columns", "arrow": "Arrow IPC files and streams of any columns",
    "csv": "CSV and TSV with a header, plain or packed", "ndjson": "JSON lines of any fields, plain or packed",
}  # fmt: skip


@dataclass(kw_only=True)
class Converting:
    """What is written."""

    keep_urls: bool = opt("--keep-urls", "", "Pages as they are, with queries and ids [page keys].", False)


def formats(
    *,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", show_default=False, help="One of them.")] = None,
    common: Common,
) -> None:
    """The formats that can be read, and what each can and cannot give.

    Without a name, one line each; with one, its columns, its evidence and what is off for lack of what.
    """
    from heatgrid.sources.adapters.registry import UNREAD, load, names

    found = names() if name is None else [name]
    told = {one: told_of(load(one)) for one in found if one not in TABLES}
    if common.json:
        summary.emit("formats", formats=told, tables=TABLES, unread=UNREAD)
        return
    if name is None:
        rows = [*told.items(), *((table, {"about": about, "tried": ""}) for table, about in TABLES.items())]
        for one, facts in rows:
            untried = " (not tried on a real one)" if facts["tried"].startswith("no real") else ""
            text.put(f"{one:<24}{text.clean(facts['about'])}{untried}")
        for one, why in UNREAD.items():
            text.put(f"{'not ' + one:<24}{why}")
        text.put("heatgrid formats NAME tells what it gives and lacks; --format NAME[:option=value] asks for it")
        return
    if name in TABLES:
        text.put(f"{name}: {TABLES[name]}; what columns it has it gives (heatgrid plan EVENTS)")
        return
    facts = told[name]
    text.put(f"{name}: {facts['about']}")
    text.put(f"gives    {', '.join(facts['gives'])}")
    if facts["tried"]:
        text.put(f"tried    on {text.clean(facts['tried'])}")
    text.put("evidence " + ", ".join(f"{k}={v}" for k, v in facts["evidence"].items()))
    for what, why in facts["lacks"].items():
        text.put(f"lacks    {what}: {text.clean(why)}")
    for option, about in facts["options"].items():
        text.put(f"option   {option}: {text.clean(about)}")


def told_of(adapter: Any) -> dict[str, Any]:
    """What an adapter declares, JSON-ready."""
    evidence = {k: v for k, v in adapter.evidence.as_dict().items() if v not in (None, 0)}
    return {
        "about": adapter.about, "gives": list(adapter.schema.names), "lacks": dict(adapter.lacks),
        "evidence": evidence, "options": dict(getattr(adapter, "options", {})), "tried": getattr(adapter, "tried", ""),
    }  # fmt: skip


def convert(*, events: EVENTS, result: Result, converting: Converting, reading: Reading, common: Common) -> None:
    """Any input as one Parquet file of canonical columns.

    The file keeps the evidence of its source, and every command reads it as it is. Pages are written as page keys:
    without queries, with :id for ids.
    """
    out = need(result.out, "--out", "-o events.parquet")
    if out == "-" or (result.to or "parquet") != "parquet" or not out.endswith((".parquet", ".pq")):
        raise UsageError("convert writes Parquet files", code="HG1022", where="--out", value=out, hint="-o X.parquet")
    source = events_of(events, reading)
    from heatgrid.engine.pool import thread_count
    from heatgrid.outputs.convert import write_canonical

    names = [*source.columns, *source.others]
    with Bar(not common.quiet) as bar:
        counts = write_canonical(
            source.scan(names, threads=thread_count(None)), out, names=names, evidence=source.evidence,
            keep_urls=converting.keep_urls, tell=lambda rows: _tell(bar, rows, source.rows_hint),
        )  # fmt: skip
    if common.json:
        summary.emit("convert", path=out, rows=counts, columns=names, notes=source.notes)
        return
    if not common.quiet:
        for note in (*source.notes, *(f"not readable: {line}" for line in source.bad_lines[:3])):
            text.say(text.clean(note))
        lost = ", ".join(f"{count:,} {why}" for why, count in counts.items() if why not in ("read", "written"))
        text.say(f"{counts['written']:,} of {counts['read']:,} rows" + (f" (rejected: {lost})" if lost else ""))
        text.say(f"wrote {out}")


def _tell(bar: Any, rows: int, hint: int | None) -> None:
    bar(rows, hint)
