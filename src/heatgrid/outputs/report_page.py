"""index.html: one document with its style, script and pictures inside, and a policy that lets nothing else load."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from heatgrid.outputs.report_exposure import exposure_section
from heatgrid.outputs.report_parts import (
    funnel_section,
    level_styles,
    map_figure,
    matrix_section,
    one,
    ramp_definition,
    scroll_section,
    text,
    usage_section,
)
from heatgrid.outputs.report_view import findings_section, script, view_section
from heatgrid.outputs.text import bound
from heatgrid.words.events import RICH

if TYPE_CHECKING:
    from heatgrid.outputs.report import Content
    from heatgrid.words.ledger import Ledger

DEFINITIONS = (
    ("session", "one id of the session column; without one, a user's events without a gap of 30 min"),
    ("time", "from each event to the next of its session and tab, at most the idle limit; it goes to the first one's "
     "page and feature, and the last event of a session adds none"),
    ("visit", "a run of events on one feature or page within a view; closed unless the session ended in it"),
    ("percentiles", "of closed visits, within 0.8 %, shown from 30 visits on and marked low below 100"),
    ("share", "of sessions; with fewer than 30 sessions in all only k/n is shown, below 100 it is marked low"),
    ("map", "events by half-open cell of the page; left and top edges belong to a cell"),
    ("dwell map", "the time from a move, a rest or a click to the next event, where the pointer was; a scroll or a key "
     "press ends it"),
    ("recordings", "of 4 x 4 cells at most four sessions that clicked there, always the same of the same sessions"),
    ("reach", "the lowest px of a page that was in the window, of each view; the curve is the share of views that saw "
     "a height"),
    ("attention", "how long a height of the page was in the window, counted as the time"),
    ("fold", "the bottom of the first window of a view; clicks below it, of those with a point that are not fixed"),
    ("seen", "the middle height of a feature was in the window for 150 ms in one stretch, or it was clicked"),
    ("95 % interval", "of sessions by Wilson; of views with the number of views they are worth, as those of one "
     "session are alike"),
    ("underused", "seen in 200 sessions and a fifth of its page's views, and clicked, at the most, a quarter as often "
     "as the usual feature of the page"),
    ("width bucket", "the window's width at the first event of a view that tells it; a map each, as layouts differ"),
    ("outside, invalid", "points beyond the grid; points with an empty, NaN or infinite coordinate"),
    ("withheld", "cells and rows of fewer than min_sessions sessions"),
)  # fmt: skip


def page(content: Content, cmap: str) -> str:
    """The whole document."""
    here = files("heatgrid.outputs") / "templates"
    style = (here / "report.css").read_text(encoding="utf-8") + level_styles(cmap)
    code = script()
    whole = "".join(_body(content, cmap))
    seen, script_tag, rest = whole.partition('<script type="application/json"')
    data, end_tag, below = rest.rpartition("</script>")
    body = bound(seen) + script_tag + data + end_tag + bound(below) if script_tag else bound(whole)
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(code)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">'
        f"<title>{text(content.title, 120)}</title><style>{style}</style></head>\n"
        f"<body>{body}<script>{code}</script></body></html>\n"
    )


def lead(content: Content) -> str:
    """The one sentence: period, sessions, users, rows, and how healthy the data is."""
    about, ledger = content.summary, content.ledger
    counts = [_count(about.get(name), name) for name in ("sessions", "users")]
    who = " of ".join(part for part in counts if part)
    events = _count(ledger.accepted, "events")
    where = [_count(about.get(name) or None, name) for name in ("pages", "features")]
    on = " and ".join(part for part in where if part)
    what = f"{who} made {events}" if who else events
    out = [what + (f" on {on}" if on else "")]
    if about.get("first"):
        out.append(_span(str(about["first"]), str(about["last"])))
    return " ".join(out) + ". " + health(ledger)


def _span(first: str, last: str) -> str:
    """``from 1 Sep 2026 to 1 Oct 2026``, or the times of a single day; the summary's times are UTC."""
    start, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
    if start.date() == end.date():
        return f"on {start.day} {start:%b %Y}, {start:%H:%M} to {end:%H:%M} UTC"
    return f"from {start.day} {start:%b %Y} to {end.day} {end:%b %Y} (UTC)"


def health(ledger: Ledger) -> str:
    if not ledger.read:
        return "The input has no rows."
    parts = [f"{_percent(ledger.accepted, ledger.read)} of the {ledger.read:,} rows read were used"]
    if ledger.filtered:
        parts.append(f"{_percent(ledger.filtered, ledger.read)} were filtered out")
    if ledger.rejected_total:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(ledger.rejected.items()))
        parts.append(f"{_percent(ledger.rejected_total, ledger.read)} rejected ({reasons})")
    return ", ".join(parts) + "."


def _body(content: Content, cmap: str) -> list[str]:
    sessions = content.summary.get("sessions")
    parts = [
        '<a class="skip" href="#content">Skip to the content</a>',
        ramp_definition(cmap),
        f'<header class="top"><h1>{text(content.title, 120)}</h1><p class="lead">{text(lead(content))}</p>',
        _tiles(content),
        _alert(content),
        _left_out(content),
        _nav(content),
        '</header><main id="content">',
        findings_section(content),
    ]
    matrices = [matrix_section(matrix, i) for i, matrix in enumerate(content.matrices)]
    beside = content.maps[0] if content.maps and content.matrices and len(content.matrices[0].columns) <= 7 else None
    if beside is None:
        parts += matrices[:1]
    else:
        shown = f'<section><h2>The busiest map</h2><p class="n">of {_count(content.maps_in_all, "maps")}</p>'
        parts.append(f'<div class="hero">{matrices[0]}{shown}{map_figure(beside)}</section></div>')
    if content.funnel is not None:
        parts.append(funnel_section(content.funnel, sessions))
    parts.append(view_section(content))
    time_name = "time" if RICH & set(content.summary.get("kinds") or {}) else "time until next event"
    if content.features is not None and content.features.num_rows:
        parts.append(usage_section(content.features, "feature", sessions, time_name))
    if content.exposure is not None and content.exposure.num_rows:
        parts.append(exposure_section(content.exposure))
    if content.pages is not None and content.pages.num_rows:
        parts.append(usage_section(content.pages, "page", sessions, time_name))
    if content.scroll is not None and content.scroll.num_rows:
        parts.append(scroll_section(content.scroll, content.scrolls))
    parts.append(_friction(content))
    parts += matrices[1:]
    parts += [_ledger(content), _off(content), _definitions(), "</main>", _footer(content)]
    return parts


def _tiles(content: Content) -> str:
    about = content.summary
    shown = [(about.get(name), name) for name in ("sessions", "users", "views")]
    shown += [(content.ledger.accepted, "events")]
    shown += [(about.get(name) or None, name) for name in ("pages", "features")]
    tiles = "".join(f"<li><b>{v:,}</b><span>{one(v, name)}</span></li>" for v, name in shown if v is not None)
    return f'<ul class="tiles">{tiles}</ul>'


def _alert(content: Content) -> str:
    """A word before the first number, where numbers are small or much was rejected."""
    sessions, ledger, out = content.summary.get("sessions"), content.ledger, []
    if ledger.read and ledger.rejected_total > 0.05 * ledger.read:
        out.append(f"{_percent(ledger.rejected_total, ledger.read)} of the rows were rejected: see the ledger below.")
    if isinstance(sessions, int) and sessions < 30 and ledger.read:
        out.append(f"Only {sessions} sessions: counts are shown, but nothing here may be ranked or generalised.")
    elif isinstance(sessions, int) and sessions < 100 and ledger.read:
        out.append(f"Only {sessions} sessions: shares are rough.")
    return f'<p class="alert" role="note">{text(" ".join(out))}</p>' if out else ""


def _left_out(content: Content) -> str:
    """Bots and excluded users: on the first screen, as they are not in any number of it."""
    ledger = content.ledger
    out = [f"{count:,} rows of {what}s" for what, count in sorted(ledger.left_out.items()) if count]
    return f'<p class="n" id="left-out">Left out of all numbers: {text(", ".join(out))}.</p>' if out else ""


def _nav(content: Content) -> str:
    links = [("findings", "Findings")] if content.findings is not None else []
    if content.matrices:
        links.append(("matrix", "Usage matrix"))
    if content.funnel is not None:
        links.append(("funnel", "Funnel"))
    if content.data:
        links.append(("view", "Maps"))
    for name, rows in (("features", content.features), ("pages", content.pages)):
        if rows is not None and rows.num_rows:
            links.append((name, name.capitalize()))
    if content.scroll is not None and content.scroll.num_rows:
        links.append(("scrolls", "Scroll"))
    if content.rules is not None:
        links.append(("friction", "Friction"))
    links += [("ledger", "Ledger"), ("off", "What is off"), ("definitions", "Definitions")]
    items = "".join(f'<a href="#{target}">{label}</a>' for target, label in links)
    return f'<nav aria-label="sections">{items}</nav>'


def _friction(content: Content) -> str:
    """A line a rule: all that it flagged, and where most; rules that are off stand with the rest that is."""
    if content.rules is None or content.friction is None:
        return ""
    rows, items = content.friction.to_pylist(), []
    for rule in content.rules.to_pylist():
        if rule["flagged"] is None:
            continue
        line = (
            f"{rule['rule']}: {rule['flagged']:,} of {rule['considered']:,}, in {_count(rule['sessions'], 'sessions')}"
        )
        most = max((row for row in rows if row["rule"] == rule["rule"]), key=lambda row: row["flagged"], default=None)
        if most and most["flagged"]:
            line += f"; most on {most['page']}, {most['feature']}: {most['flagged']:,}"
        items.append(f'<li title="{text(rule["parameters"], 200)}">{text(line, 300)}</li>')
    told = "".join(items) or "<li>no rule that this input can serve</li>"
    return (
        '<section id="friction"><h2>Friction</h2><p class="n">What each rule flags, of the clicks, page views or '
        f'pointer moves that it looks at.</p><div class="plain"><ul>{told}</ul></div></section>'
    )


def _ledger(content: Content) -> str:
    lines = "".join(f"<p>{text(line)}</p>" for line in content.ledger.lines())
    k = content.plan.min_sessions
    kept = f"min_sessions {k}: " + (
        f"cells and rows of fewer than {k} sessions are withheld" if k else "nothing is withheld"
    )
    kinds = ", ".join(f"{name} {count:,}" for name, count in (content.summary.get("kinds") or {}).items())
    seen = f"<p>kinds: {text(kinds, 600)}</p>" if kinds else ""
    return (
        '<section id="ledger"><h2>Ledger</h2><p class="n">Every row read and every point drawn is accounted for.</p>'
        f'<div class="plain">{lines}<p>{text(kept)}</p>{seen}</div></section>'
    )


def _off(content: Content) -> str:
    """How the input was read, and what it cannot give as it is."""
    notes = [str(note) for note in content.summary.get("notes") or []]
    refused = [note for note in notes if " off: " in note]
    read_as = [note for note in notes if note not in refused]
    known = {note.split(" off: ")[0] for note in refused}
    off = [*refused, *(note for note in content.notes if note.split(" off: ")[0] not in known)]
    parts = ['<section id="off"><h2>What is off, and what unlocks it</h2><div class="plain"><ul>']
    parts += [f"<li>{text(note)}</li>" for note in off] or ["<li>nothing</li>"]
    parts.append("</ul></div></section>")
    if read_as:
        items = "".join(f"<li>{text(note)}</li>" for note in read_as)
        parts.append(
            f'<section id="read"><h2>How the input was read</h2><div class="plain"><ul>{items}</ul></div></section>'
        )
    return "".join(parts)


def _definitions() -> str:
    items = "".join(f"<dt>{text(word)}</dt><dd>{text(meaning)}</dd>" for word, meaning in DEFINITIONS)
    return f'<section id="definitions"><h2>Definitions</h2><div class="plain"><dl>{items}</dl></div></section>'


def _footer(content: Content) -> str:
    about: dict[str, Any] = content.summary
    frame = f" · frame: {text(about['frame'])}" if about.get("frame") else ""
    lane = f" · lane {text(about['lane'])}" if about.get("lane") else ""
    plan = f"plan {content.plan.hash()[:8]} · idle limit {content.plan.idle_ms / 1000:g} s"
    return f"<footer>heatgrid · {plan}{frame}{lane}</footer>"


def _count(value: object, name: str) -> str:
    return "" if not isinstance(value, int) else f"{value:,} {one(value, name)}"


def _percent(part: int, whole: int) -> str:
    """Never 100 % for less than all, never 0 % for more than none."""
    share = 100 * part / whole
    if part == whole or not part:
        return f"{share:.0f} %"
    return f"{min(max(share, 0.1), 99.9):.1f} %"


def _digest(code: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode("ascii") + "'"
