"""Amplitude: the export of events (packed JSON lines), and interactions as session replay for browsers sends them.

Names of the browser's own events and properties by its documentation, with and without the "[Amplitude] " before them;
interactions by the source of its session replay (clicks of one place, selector and hour are one row with a count).
Neither has been tried on a real export.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from heatgrid.sources.adapters.registry import Decoded
from heatgrid.words.evidence import Evidence

if TYPE_CHECKING:
    from heatgrid.sources.adapters.columns import JsonLines
    from heatgrid.sources.records import Records

KINDS = {
    "page viewed": "pageview", "screen viewed": "pageview", "element clicked": "click", "element changed": "input",
    "element interacted": "click", "form started": "input", "form submitted": "submit", "rage click": "rageclick",
    "dead click": "deadclick", "error logged": "error",
}  # fmt: skip
_OWN = frozenset(("session_start", "session_end", "session started", "session ended", "start session", "end session"))
TEXTS = {
    "event_id": "$insert_id", "login": "user_id", "country": "country", "os": "os_name", "device_type": "device_type",
    "platform": "platform", "release": "version_name",
}  # fmt: skip
_TOPS = ("event_time", "event_type", "device_id", "user_id", "session_id", "uuid", "amplitude_id")
_PROPS = (
    "Page Location", "Page URL", "Page Path", "Screen Name", "Element ID", "Element Tag", "Element Text",
    "Element Aria Label", "Element Href", "Viewport Width", "Viewport Height", "Form ID", "Form Name",
)  # fmt: skip
_NAMED = {"id": "Element ID", "aria-label": "Element Aria Label", "href": "Element Href"}
_MARK = "[Amplitude] "


class Amplitude:
    """A session is device_id and session_id together."""

    name = "amplitude"
    about = "Amplitude's export of events: JSON lines or an array"
    tried = "no real export; rows by its documentation"
    suffixes = (".json", ".jsonl", ".ndjson")
    evidence = Evidence(moves="none", has=("viewport", "views"))
    lacks: Mapping[str, str] = {
        "click maps": "clicks carry the corner of their element, not their point; interactions have points "
        "(--format amplitude-interactions)",
        "reach, attention": "no scrolls",
        "hover, exposure, ctr": "no pointer moves; boxes are not told",
        "dead, rage by place": "no reactions, no points; its own Rage Click and Dead Click rows are kept as "
        "rage:source and dead:source",
        "events outside of sessions": "rows with session_id -1 (sent by servers) have no session and are rejected; "
        "--map session= cuts users' events by the gap instead",
    }

    def __init__(self) -> None:
        texts = ("session", "user", "page", "kind", "event", "feature", *TEXTS)
        self.schema = pa.schema(
            [("time", pa.timestamp("us", "UTC")), *((name, pa.string()) for name in texts),
             ("viewport_w", pa.float64()), ("viewport_h", pa.float64())]
        )  # fmt: skip
        self._lines: JsonLines | None = None

    def sniff(self, head: bytes) -> bool:
        line = head.partition(b"\n")[0]
        return line.lstrip(b"\xef\xbb\xbf").startswith(b"{") and all(
            b'"%s"' % name in line for name in (b"event_type", b"event_time", b"event_properties", b"$insert_id")
        )

    def records(self, data: bytes) -> Decoded:
        if self._lines is None:
            from heatgrid.sources.adapters.columns import JsonLines

            paths: dict[str, tuple[str, ...]] = {name: (name,) for name in (*_TOPS, *TEXTS.values())}
            paths |= {name: ("event_properties", name) for name in _PROPS}
            paths |= {_MARK + name: ("event_properties", _MARK + name) for name in _PROPS}
            self._lines = JsonLines(self.schema, paths, rows)
        return self._lines(data)


def rows(found: Records) -> dict[str, pa.Array]:
    """What the values of some events are as columns."""
    import pyarrow.compute as pc

    from heatgrid.sources.adapters.columns import elements, filled, joined, only, over_words, times

    def told(name: str) -> pa.Array:
        return pc.coalesce(filled(found.text(_MARK + name)), filled(found.text(name)))

    def plainly(word: str) -> str:
        return word.removeprefix(_MARK).lower()

    event = found.text("event_type")
    kind = over_words(
        event, lambda word: KINDS.get(plainly(word)) or (plainly(word) if plainly(word) in _OWN else "custom")
    )
    device = pc.coalesce(*(filled(found.text(name)) for name in ("device_id", "user_id", "amplitude_id")))
    session = found.text("session_id")
    element = elements(told("Element Tag"), {name: told(prop) for name, prop in _NAMED.items()}, told("Element Text"))
    form = over_words(pc.coalesce(told("Form ID"), told("Form Name")), "form#{}".format)
    made = {name: found.text(prop) for name, prop in TEXTS.items()}
    return made | {
        "time": times(found.text("event_time")), "kind": kind, "event": event,
        "session": joined(device, only(session, pc.not_equal(session, "-1"))),
        "user": pc.coalesce(filled(found.text("user_id")), device),
        "page": pc.coalesce(*(told(name) for name in ("Page Location", "Page URL", "Page Path", "Screen Name"))),
        "feature": pc.coalesce(only(event, pc.equal(kind, "custom")), element, form),
        "event_id": pc.coalesce(filled(found.text("$insert_id")), found.text("uuid")),
        "viewport_w": _number(found, "Viewport Width"), "viewport_h": _number(found, "Viewport Height"),
    }  # fmt: skip


def _number(found: Records, name: str) -> pa.Array:
    import pyarrow.compute as pc

    return pc.coalesce(found.number(_MARK + name), found.number(name))


class AmplitudeInteractions:
    """Clicks with their points; a row is ``count`` clicks of one place within an hour."""

    name = "amplitude-interactions"
    about = "clicks of Amplitude's session replay by place and hour: JSON lines with x, y, selector, count"
    tried = "no real export; rows by the source of its session replay for browsers"
    suffixes = (".json", ".jsonl", ".ndjson")
    evidence = Evidence(time_quality="flush", time_ms=3_600_000, moves="none", has=("viewport",))
    lacks: Mapping[str, str] = {
        "dwell, order, funnels, rage": "clicks of one place and hour are one row with a count and the hour's time",
        "sessions, users": "not told by a row (they are in the address that it is sent to)",
        "views, reach": "no pageviews, no scrolls",
        "hover, exposure, ctr": "no pointer moves, no boxes",
    }
    schema = pa.schema(
        [("time", pa.timestamp("us", "UTC")), ("page", pa.string()), ("kind", pa.string()), ("feature", pa.string()),
         ("x", pa.float64()), ("y", pa.float64()), ("viewport_w", pa.float64()), ("viewport_h", pa.float64()),
         ("count", pa.float64())]
    )  # fmt: skip

    def __init__(self) -> None:
        self._lines: JsonLines | None = None

    def sniff(self, head: bytes) -> bool:
        line = head.partition(b"\n")[0]
        return line.lstrip(b"\xef\xbb\xbf").startswith(b"{") and all(
            b'"%s"' % name in line
            for name in (b"x", b"y", b"viewportWidth", b"viewportHeight", b"pageUrl", b"timestamp", b"count")
        )

    def records(self, data: bytes) -> Decoded:
        if self._lines is None:
            from heatgrid.sources.adapters.columns import JsonLines

            names = ("timestamp", "x", "y", "viewportWidth", "viewportHeight", "selector", "pageUrl", "count", "type")
            self._lines = JsonLines(self.schema, {name: (name,) for name in names}, interactions)
        return self._lines(data)


def interactions(found: Records) -> dict[str, pa.Array]:
    """The same of interactions."""
    from heatgrid.sources.adapters.columns import filled, times

    return {
        "time": times(found.text("timestamp"), "ms"), "page": found.text("pageUrl"), "kind": found.text("type"),
        "feature": filled(found.text("selector")), "x": found.number("x"), "y": found.number("y"),
        "viewport_w": found.number("viewportWidth"), "viewport_h": found.number("viewportHeight"),
        "count": found.number("count"),
    }  # fmt: skip
