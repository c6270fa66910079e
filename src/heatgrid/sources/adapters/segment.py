"""Segment's and RudderStack's events, as their archives keep them: JSON lines, one call a line.

Fields by the documented calls (page, screen, track, identify, group, alias); not tried on a real archive.
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

KINDS = {"page": "pageview", "screen": "pageview", "track": "custom"}
"""Other calls (identify, group, alias) are kinds of their own names."""
TEXTS: Mapping[str, tuple[str, ...]] = {
    "event_id": ("messageId",), "login": ("userId",), "account": ("context", "groupId"),
    "user_agent": ("context", "userAgent"), "locale": ("context", "locale"), "os": ("context", "os", "name"),
    "device_type": ("context", "device", "type"), "release": ("context", "app", "version"),
}  # fmt: skip
_PATHS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("type", "event", "name", "anonymousId", "timestamp", "originalTimestamp",
                                  "receivedAt")},
    "url": ("properties", "url"), "page_url": ("context", "page", "url"), "path": ("properties", "path"),
    "page_path": ("context", "page", "path"), "title": ("properties", "name"), "sessionId": ("context", "sessionId"),
}  # fmt: skip


class Segment:
    """Sessions are cut by the gap: the calls tell of none."""

    name = "segment"
    about = "Segment's calls (page, screen, track): JSON lines or an array"
    tried = "no real archive; calls by the documentation"
    suffixes: tuple[str, ...] = (".json", ".jsonl", ".ndjson", ".gz")
    evidence = Evidence(moves="none", has=("views",))
    lacks: Mapping[str, str] = {
        "sessions": "not told: a visitor's calls without a gap of 30 minutes (--session-gap) are one",
        "click maps": "no clicks, no coordinates: what is tracked are events of your own",
        "reach, attention": "no scrolls; context.screen is the screen, not the window",
        "hover, exposure, ctr, rage, dead": "no pointer moves, no boxes, no clicks, no reactions",
    }
    sessions = False

    def __init__(self) -> None:
        texts = ("user", "page", "kind", "event", "feature", *TEXTS)
        self.schema = pa.schema(
            [("time", pa.timestamp("us", "UTC")), *([("session", pa.string())] if self.sessions else []),
             *((name, pa.string()) for name in texts)]
        )  # fmt: skip
        self._lines: JsonLines | None = None

    def sniff(self, head: bytes) -> bool:
        return _call(head) and not _rudder(head)

    def records(self, data: bytes) -> Decoded:
        if self._lines is None:
            from heatgrid.sources.adapters.columns import JsonLines

            self._lines = JsonLines(self.schema, {**_PATHS, **TEXTS}, rows)
        return self._lines(data)


class RudderStack(Segment):
    """A session is anonymousId and context.sessionId together."""

    name = "rudderstack"
    about = "RudderStack's calls (page, screen, track), with its sessions: JSON lines or an array"
    lacks: Mapping[str, str] = {
        "events outside of sessions": "calls without context.sessionId (sent by servers) are rejected; --map session= "
        "cuts visitors' calls by the gap instead",
        **{what: why for what, why in Segment.lacks.items() if what != "sessions"},
    }
    sessions = True

    def sniff(self, head: bytes) -> bool:
        return _call(head) and _rudder(head)


def _call(head: bytes) -> bool:
    line = head.partition(b"\n")[0]
    return (
        line.lstrip(b"\xef\xbb\xbf").startswith(b"{")
        and all(name in line for name in (b'"messageId"', b'"type"', b'"context"'))
        and any(name in line for name in (b'"anonymousId"', b'"userId"'))
        and any(name in line for name in (b'"originalTimestamp"', b'"receivedAt"', b'"sentAt"'))
    )


def _rudder(head: bytes) -> bool:
    line = head.partition(b"\n")[0].lower()
    return b'"rudderid"' in line or b"rudderlabs" in line or b"rudderstack" in line


def rows(found: Records) -> dict[str, pa.Array]:
    """What the values of some calls are as columns."""
    import pyarrow.compute as pc

    from heatgrid.sources.adapters.columns import filled, joined, only, over_words, times

    call = found.text("type")
    kind = over_words(call, lambda word: KINDS.get(word.lower(), word.lower()))
    event = pc.coalesce(filled(found.text("event")), filled(found.text("name")))
    visitor = pc.coalesce(*(filled(found.text(name)) for name in ("anonymousId", "login")))
    screen = only(pc.coalesce(event, found.text("title")), pc.equal(call, "screen"))
    made = {name: filled(found.text(name)) for name in TEXTS}
    return made | {
        "time": pc.coalesce(*(times(found.text(name)) for name in ("timestamp", "originalTimestamp", "receivedAt"))),
        "kind": kind, "event": event, "feature": only(event, pc.equal(kind, "custom")), "user": visitor,
        "session": joined(visitor, filled(found.text("sessionId"))),
        "page": pc.coalesce(screen, *(filled(found.text(n)) for n in ("page_url", "url", "page_path", "path"))),
    }  # fmt: skip
