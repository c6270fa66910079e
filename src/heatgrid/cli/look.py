"""heatgrid look: what an input is, how it would be read and why, what it gives and what would unlock the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heatgrid.cli import summary, text
from heatgrid.cli.options import EVENTS, Common, Counting, Reading, opt
from heatgrid.cli.work import events_of, plan_of

if TYPE_CHECKING:
    from heatgrid.sources.events import Events
    from heatgrid.sources.reading import Reading as How
    from heatgrid.words.plan import Plan

LOOKED = 200_000
"""Rows that are counted for kinds, pages and times."""
_WIDE, _NAMED = 100, 40

GIVES = (
    ("counts by kind and period", ("time",), ""),
    ("pages", ("page",), ""),
    ("features by name", ("feature",), ", or --areas FILE with x and y"),
    ("maps", ("x", "y"), ""),
    ("maps by the width of the window", ("x", "y", "viewport_w"), ""),
    ("sessions, visits, time spent", ("session",), " (or user)"),
    ("transitions, paths, funnels", ("session",), " (or user)"),
    ("rage clicks and other friction", ("session", "x", "y"), ""),
    ("scroll depth and attention", ("session", "scroll_y", "viewport_h"), ""),
    ("distinct users, retention", ("user",), ""),
    ("where features lie (layout)", ("feature", "box_x", "box_y", "box_w", "box_h", "viewport_w"), ""),
    ("duplicates dropped by id", ("event_id",), ", or --dedupe rows"),
)
"""What can be made, the columns it needs (a user stands for a session), and what would do instead."""


@dataclass(kw_only=True)
class Written:
    out: str | None = opt(
        "--out -o", "FILE", "Write how it is read as a config for -c (heatgrid.toml).", rich_help_panel="Result"
    )


@dataclass
class Seen:
    """What the first rows hold."""

    rows: int = 0
    whole: bool = True
    kinds: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    urls: int = 0
    untimed: int = 0
    span: tuple[str, str] | None = None
    sessions: int | None = None


def look(*, events: EVENTS, written: Written, reading: Reading, counting: Counting, common: Common) -> None:
    """What it is, how it would be read, what it can and cannot give.

    Counts the kinds and pages of the first rows, and nothing else; -o heatgrid.toml keeps the reading for -c.
    """
    source = events_of(events, reading)
    plan = plan_of(counting, reading)
    how: How | None = None
    if source.time_path is not None:
        plan, how = source.read_for(plan)
    seen = rows_of(source, plan)
    if written.out:
        from heatgrid.outputs.atomic import atomic

        with atomic(written.out) as file:
            file.write(config_of(source, how, reading, counting).encode())
    if common.json:
        summary.emit("look", **_facts(source, how, seen), **({"path": written.out} if written.out else {}))
        return
    for line in lines(source, how, seen, events, written.out):
        text.put(line)


def rows_of(source: Events, plan: Plan) -> Seen:
    """Count the first rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from heatgrid.engine.names import as_text
    from heatgrid.words.events import kind_of

    seen, raw, ids = Seen(), Counter[str](), []
    columns = [name for name in ("time", "kind", "page", "session") if name in source.columns]
    own = {word.lower(): kind for kind, words in (plan.kinds or {}).items() for word in words}
    ends: list[Any] = []
    for chunk in source.scan(columns, threads=1):
        batch = chunk.batch
        seen.rows += chunk.read
        get = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
        for name, counter in (("kind", seen.kinds), ("page", raw)):
            if name in get:
                words = pc.value_counts(as_text(get[name], name))
                counter.update(dict(zip(words.field(0).to_pylist(), words.field(1).to_pylist(), strict=True)))
        if "time" in get:
            seen.untimed += get["time"].null_count
            ends += [end for end in pc.min_max(get["time"]).as_py().values() if end is not None]
        if "session" in get:
            ids.append(pc.unique(as_text(get["session"], "session")).cast(pa.string()))
        if seen.rows >= LOOKED:
            seen.whole = source.rows_hint is not None and source.rows_hint <= seen.rows
            break
    kinds: Counter[str] = Counter()
    for word, n in seen.kinds.items():
        kinds["custom" if word is None else own.get(word.strip().lower()) or kind_of(word)] += n
    seen.kinds = kinds
    rules = plan.page_rules
    for url, n in raw.items():
        seen.pages["(none)" if url is None else rules(url) if rules else url] += n
    seen.urls = len(raw)
    if ends:
        seen.span = (f"{min(ends):%Y-%m-%d %H:%M:%S}", f"{max(ends):%Y-%m-%d %H:%M:%S}")
    if ids:
        seen.sessions = len(pc.unique(pa.chunked_array(ids)).drop_null())
    return seen


def unread(source: Events) -> list[str]:
    """Columns, and fields of structs, that nothing reads."""
    from heatgrid.sources.mapping import leaves

    taken = {*source.columns.values(), *([source.refined.path] if source.refined else [])}
    return [path for path, _, _ in leaves(source.schema) if path not in taken]


def able(columns: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """(what can be made of these columns, what cannot and the option that names what is missing)."""
    has = {*columns, *(["session"] if "user" in columns else [])}
    can = [what for what, needs, _ in GIVES if has.issuperset(needs)]
    off = [(what, [name for name in needs if name not in has], other) for what, needs, other in GIVES]
    return can, [
        (what, " ".join(f"--map {n}=COLUMN" for n in lacking) + other) for what, lacking, other in off if lacking
    ]


def lines(source: Events, how: How | None, seen: Seen, events: Sequence[str], out: str | None) -> list[str]:
    """The page that people read."""
    rows = "" if source.rows_hint is None else f"{source.rows_hint:,} rows, "
    made = [f"{source.name}: {rows}{len(source.schema.names):,} columns", ""]
    shown = []
    for name, path in source.columns.items():
        passed = source.found.passed.get(name)
        why = source.found.why[name] + (f", not {', '.join(passed)}" if passed else "")
        shown.append((name, path, _type(source, path), why))
    made += text.table(("read as", "column", "type", "why"), shown)
    if free := unread(source):
        more = f" and {len(free) - _NAMED:,} more" if len(free) > _NAMED else ""
        made += ["", *_wrapped("not read", ", ".join(free[:_NAMED]) + more + "  (--where takes any of them, --by too)")]
    made.append("")
    of = "" if seen.whole else f"  (of the first {seen.rows:,} rows)"
    facts = []
    if seen.span:
        unit = f", read in {source.times.unit}" if source.times.number_unit else ""
        lost = f"; {seen.untimed:,} rows have no time" if seen.untimed else ""
        facts.append(("time", f"{seen.span[0]} to {seen.span[1]} UTC{unit}{lost}{of}"))
    if how is not None and how.frame is not None:
        facts.append(("points", f"{how.frame}{' (assumed)' if how.assumed else ''}: {how.frame_why}"))
    if "kind" in source.columns:
        facts.append(("kinds", _counts(seen.kinds, 12) + of))
    elif {"x", "y"} <= set(source.columns):
        facts.append(("kinds", "no column: every row with a point counts as a click (--map kind=COLUMN)"))
    else:
        facts.append(("kinds", "no column: every row is an event of no kind (--map kind=COLUMN)"))
    if seen.pages:
        urls = f"{seen.urls:,} URLs are {len(seen.pages):,} pages: " if seen.urls > len(seen.pages) else ""
        facts.append(("pages", urls + _counts(seen.pages, 6) + of))
    if seen.sessions is not None:
        facts.append(("sessions", f"{seen.sessions:,}{of}"))
    facts += [("note", note) for note in _notes(source, how, seen)]
    can, cannot = able(list(source.columns))
    made += [line for name, fact in facts for line in _wrapped(name, fact)]
    made += ["", *_wrapped("gives", ", ".join(can) or "nothing yet")]
    made += [
        line for i, (what, option) in enumerate(cannot) for line in _wrapped("" if i else "off", f"{what}: {option}")
    ]
    files = " ".join(events)
    report = f"heatgrid report {files}{f' -c {out}' if out else ''} -o report"
    keep = [] if out else [f"heatgrid look {files} -o heatgrid.toml   # keeps this reading, to be edited, for -c"]
    made += ["", *(f"{'' if i else 'next':<10}{command}" for i, command in enumerate([report, *keep]))]
    return [text.clean(line) for line in made]


def config_of(source: Events, how: How | None, reading: Reading, counting: Counting) -> str:
    """The reading as TOML: what -c takes, and nothing is inferred any more."""
    quoted = summary.quoted
    out = ["# how heatgrid reads this input; columns that are not named here are not read", "declared = true"]
    if source.times.number_unit:
        out.append(f"time-unit = {quoted(source.times.number_unit)}")
    out.append(f"tz = {quoted(reading.tz)}")
    if how is not None and how.frame is not None:
        assumed = "assumed: " if how.assumed else ""
        out.append(f"frame = {quoted(how.frame)}  # {assumed}{how.frame_why}")
    for name, value in (("where", reading.where), ("evidence", reading.evidence), ("keep-param", counting.keep_param),
                        ("page-rule", counting.page_rule)):  # fmt: skip
        if value:
            out.append(f"{name} = {quoted(value)}")
    out += [f"{name} = true" for name, on in (("coerce", reading.coerce), ("keep-host", counting.keep_host),
                                             ("raw-urls", counting.raw_urls)) if on]  # fmt: skip
    out += ["", "[map]"]
    out += [f"{name} = {quoted(path)}  # {source.found.why[name]}" for name, path in source.columns.items()]
    kinds = {**({} if how is None else dict(how.kinds))}
    if reading.kind or kinds:
        from heatgrid.cli import values

        out += ["", "[kind]"]
        out += [
            f"{kind} = {quoted(list(words))}" for kind, words in {**kinds, **(values.kinds(reading.kind) or {})}.items()
        ]
    return "\n".join(out) + "\n"


def _facts(source: Events, how: How | None, seen: Seen) -> dict[str, Any]:
    can, cannot = able(list(source.columns))
    return {
        "input": source.name, "rows": source.rows_hint, "columns": source.columns, "not_read": unread(source),
        "reading": {} if how is None else how.as_dict(), "looked_at": seen.rows, "first": seen.span and seen.span[0],
        "last": seen.span and seen.span[1], "kinds": dict(seen.kinds.most_common()), "urls": seen.urls,
        "pages": dict(seen.pages.most_common(100)), "sessions": seen.sessions, "gives": can, "off": dict(cannot),
        "notes": _notes(source, how, seen),
    }  # fmt: skip


def _notes(source: Events, how: How | None, seen: Seen) -> list[str]:
    """What the table of columns does not say."""
    from heatgrid.words.events import KINDS

    told = [] if how is None else how.notes()
    named = tuple(f"{name} = " for name in source.columns)
    notes = [note for note in source.notes if not note.startswith((*named, "time is read in"))]
    if "kind" in source.columns and seen.kinds and not set(seen.kinds) & {*KINDS} - {"custom"}:
        notes.append(f"no kind is known: if they name features, --map feature={source.columns['kind']}")
    return notes + [note for note in told if not note.startswith("x and y are")]


def _type(source: Events, path: str) -> str:
    """As people say it: a dictionary is what its entries are."""
    import pyarrow as pa

    from heatgrid.sources.mapping import type_of

    kind = type_of(source.schema, path)
    return f"{kind.value_type} (codes)" if isinstance(kind, pa.DictionaryType) else str(kind)


def _counts(counter: Counter[str], most: int) -> str:
    ordered = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name} {n:,}" for name, n in ordered[:most])
    return shown + (f" and {len(ordered) - most:,} more" if len(ordered) > most else "")


def _wrapped(name: str, fact: str) -> list[str]:
    """A fact behind its name, broken at blanks."""
    import textwrap

    broken = textwrap.wrap(fact, _WIDE, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{name if i == 0 else '':<10}{line}" for i, line in enumerate(broken)]
