"""Mixpanel's raw export: JSON lines of {"event", "properties"}.

Properties of clicks, scrolls and leaves as mixpanel-browser 2.83 writes them (read in its source); that the export's
time is in whole seconds is by its documentation, not yet seen in a real export.
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
    "$mp_web_page_view": "pageview", "$mp_click": "click", "$mp_scroll": "scroll", "$mp_page_leave": "hidden",
    "$mp_input_change": "input", "$mp_submit": "submit",
}  # fmt: skip
"""Its rage and dead clicks are kinds of their own names: rows beside their click, which friction rules know."""
TEXTS = {
    "user": "distinct_id", "login": "$user_id", "event_id": "$insert_id", "page": "$current_url", "browser": "$browser",
    "os": "$os", "country": "mp_country_code",
}  # fmt: skip
NUMBERS = {
    "viewport_w": "$viewportWidth", "viewport_h": "$viewportHeight", "page_w": "$pageWidth", "page_h": "$pageHeight",
}  # fmt: skip
_MORE = ("time", "$pageX", "$pageY", "$clientX", "$clientY", "$scroll_top", "$scroll_height", "$el_tag_name", "$el_id",
         "$el_text", "$max_scroll_view_depth")  # fmt: skip
_TARGET = ("aria-label", "role", "name", "title", "type", "href")


class Mixpanel:
    """Sessions are cut by the gap: the export tells of none."""

    name = "mixpanel"
    about = "Mixpanel's raw export: JSON lines"
    suffixes = (".jsonl", ".ndjson", ".json", ".txt")
    evidence = Evidence(moves="none", has=("scroll", "viewport", "views"))
    lacks: Mapping[str, str] = {
        "sessions": "not told: a user's events without a gap of 30 minutes (--session-gap) are one",
        "times below a second": "the export's time is in whole seconds (by its documentation; not seen in a real "
        "export): computed rage clicks are found only within one, use rage:source and dead:source, its own rows",
        "attention": "scrolls are told where a quarter of the page is passed, unless scroll_capture_all is set",
        "hover, thrash": "no pointer moves",
        "exposure, ctr": "no boxes",
        "all clicks": "by default only clicks that autocapture takes: none on inputs, or on what its settings block",
    }

    def __init__(self) -> None:
        numbers = ("x", "y", *NUMBERS, "scroll_y")
        texts = ("kind", "event", "feature", *TEXTS)
        self.schema = pa.schema(
            [("time", pa.timestamp("us", "UTC")), *((name, pa.string()) for name in texts),
             *((name, pa.float64()) for name in numbers)]
        )  # fmt: skip
        self._lines: JsonLines | None = None

    def sniff(self, head: bytes) -> bool:
        line = head.partition(b"\n")[0]
        return (
            line.lstrip(b"\xef\xbb\xbf").startswith(b"{")
            and all(name in line for name in (b'"event"', b'"properties"', b'"distinct_id"', b'"time"'))
            and any(name in line for name in (b'"$mp_', b'"mp_lib"', b'"$mp_api_', b'"mp_processing_time_ms"'))
        )

    def records(self, data: bytes) -> Decoded:
        if self._lines is None:
            from heatgrid.sources.adapters.columns import JsonLines

            paths: dict[str, tuple[str, ...]] = {"event": ("event",)}
            paths |= {name: ("properties", name) for name in (*TEXTS.values(), *NUMBERS.values(), *_MORE)}
            paths |= {f"attr-{name}": ("properties", "$target", f"$attr-{name}") for name in _TARGET}
            self._lines = JsonLines(self.schema, paths, rows)
        return self._lines(data)


def rows(found: Records) -> dict[str, pa.Array]:
    """What the values of some events are as columns.

    Where the page stood is told by clicks (pageY - clientY), by scrolls, and of a page that is left by how far down its
    window ever was. A page that is left is hidden: what follows it is no time on it.
    """
    import pyarrow.compute as pc

    from heatgrid.sources.adapters.columns import elements, only, over_words, times

    event = found.text("event")
    kind = over_words(event, lambda word: KINDS.get(word) or (word if word.startswith("$") else "custom"))
    depth = pc.subtract(found.number("$max_scroll_view_depth"), found.number("$viewportHeight"))
    stood = pc.coalesce(
        only(found.number("$scroll_top"), pc.equal(kind, "scroll")), only(depth, pc.equal(kind, "hidden")),
        pc.subtract(found.number("$pageY"), found.number("$clientY")),
    )  # fmt: skip
    attributes = {"id": found.text("$el_id")} | {name: found.text(f"attr-{name}") for name in _TARGET}
    element = elements(found.text("$el_tag_name"), attributes, found.text("$el_text"))
    made = {
        "time": times(found.text("time"), "s"), "kind": kind, "event": event,
        "feature": pc.coalesce(only(event, pc.equal(kind, "custom")), element),
        "x": found.number("$pageX"), "y": found.number("$pageY"),
        "scroll_y": pc.max_element_wise(stood, 0.0, skip_nulls=False),
    }  # fmt: skip
    made |= {name: found.text(prop) for name, prop in TEXTS.items()}
    made |= {name: found.number(prop) for name, prop in NUMBERS.items()}
    return made | {"page_h": pc.coalesce(made["page_h"], found.number("$scroll_height"))}
