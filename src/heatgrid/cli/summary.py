"""What a run says at its end: at most 15 lines on stderr, or one JSON object on stdout."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from heatgrid.cli.text import clean, say
from heatgrid.outputs.text import duration

if TYPE_CHECKING:
    import pyarrow as pa

    from heatgrid.heat import Heat

MOST, FINDINGS = 15, 3
_MAPPED = re.compile(r"^\w+ = .+ \(.+\)(, not .+)?$")
JSON_VERSION = 1


def lines(heat: Heat, wrote: str | None) -> list[str]:
    """Ledger, size, period, how it was read, three findings, what is off, where the result is."""
    about = heat.summary
    head = heat.ledger.lines()
    size = _size(about)
    how = _how(heat)
    rows = telling(heat)
    off = _off(heat)
    tail = [f"wrote {wrote}"] if wrote else []
    room = MOST - len(size) - len(rows) - len(off) - len(tail)
    head = head[: max(2, room // 2)]
    notes = how[: room - len(head)]
    return [clean(line) for line in (*head, *size, *notes, *rows, *off, *tail)]


def tell(heat: Heat, quiet: bool, wrote: str | None = None) -> None:
    if not quiet:
        for line in lines(heat, wrote):
            say(line)


def as_json(command: str, heat: Heat, **more: Any) -> None:
    """The one object of --json."""
    emit(command, ledger=heat.ledger.as_dict(), summary=heat.summary, plan=heat.plan.as_dict(), **more)


def emit(command: str, **fields: Any) -> None:
    import json

    text = json.dumps({"heatgrid": JSON_VERSION, "command": command, **fields}, default=str, indent=1, allow_nan=False)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def quoted(value: object) -> str:
    """A text or a list of them as TOML writes it (as JSON does)."""
    import json

    return json.dumps(value, ensure_ascii=False)


def _size(about: dict[str, Any]) -> list[str]:
    counts = [(about.get("sessions"), "sessions"), (about.get("views"), "views"), (about.get("users"), "users")]
    counts += [(about.get("pages"), "pages"), (about.get("features"), "features")]
    parts = [f"{count:,} {name if count != 1 else name[:-1]}" for count, name in counts if count is not None]
    kinds = about.get("kinds") or {}
    kind_list = ", ".join(
        f"{name} {count:,}" for name, count in sorted(kinds.items(), key=lambda kv: (-kv[1], kv[0]))[:6]
    )
    out = [", ".join(parts)] if parts else []
    if kind_list:
        out.append(f"kinds: {kind_list}")
    return out


def _how(heat: Heat) -> list[str]:
    about = heat.summary
    out = []
    if about.get("first"):
        out.append(f"from {about['first']} to {about['last']} (periods in {heat.plan.tz})")
    seconds = about.get("seconds")
    if about.get("lane") and seconds:
        out.append(f"lane {about['lane']}, {seconds:.2f} s, {heat.ledger.read / seconds / 1e6:.1f} M rows/s")
    notes = [str(note) for note in about.get("notes") or []]
    mapped = [note for note in notes if _MAPPED.match(note)]
    if mapped:
        out.append("read as: " + ", ".join(mapped))
    return out + [note for note in notes if note not in mapped]


def telling(heat: Heat) -> list[str]:
    """Three findings; with fewer, why there is none, the feature with the most time and that with the most clicks."""
    from heatgrid.engine.findings import sentence

    out = [sentence(row) for row in heat.findings.slice(0, FINDINGS).to_pylist()]
    note = (heat.findings.schema.metadata or {}).get(b"note")
    out += [f"findings: {note.decode()}"] if note else []
    if len(out) < FINDINGS and "features" in heat.plan.tables:
        features = _named(heat.features, "feature")
        most = max(features, key=lambda row: (row.get("dwell_ms") or 0, row["feature"]), default=None)
        if most and most.get("dwell_ms"):
            sessions = f" in {most['sessions']:,} sessions" if most.get("sessions") else ""
            out.append(f"most time: {most['feature']}, {duration(most['dwell_ms'])}{sessions}")
        most = max(features, key=lambda row: (row.get("clicks") or 0, row["feature"]), default=None)
        if most and most.get("clicks"):
            out.append(f"most clicks: {most['feature']}, {most['clicks']:,}")
    return out[:FINDINGS]


def _named(table: pa.Table, name: str) -> list[dict[str, Any]]:
    return [row for row in table.to_pylist() if row.get(name) not in (None, "(none)", "(all)")]


def _off(heat: Heat) -> list[str]:
    plan = heat.plan
    off = []
    if "users" not in plan.distinct:
        off.append("distinct users (--distinct users)")
    if not plan.by:
        off.append("segments (--by COLUMN)")
    if plan.every is None:
        off.append("periods (--every week)")
    if not plan.area_list:
        off.append("areas (--areas FILE)")
    return ["off: " + ", ".join(off)] if off else []
