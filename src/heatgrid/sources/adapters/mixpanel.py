"""Mixpanel's raw export: JSON lines of {"event", "properties"}.

Properties of clicks, scrolls and leaves as mixpanel-browser 2.83 sends them (tests/browser reads what it sends);
that the export's time is in whole seconds, or in ms where time_in_ms is asked for, is by its documentation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from heatgrid.sources.adapters.registry import Decoded
from heatgrid.words.evidence import Evidence

if TYPE_CHECKING:
    from heatgrid.sources.adapters.columns import JsonLines
    from heatgrid.sources.records import Array, Records

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
         "$el_text", "$max_scroll_view_depth", "$captured_for_heatmap", "$event_type", "$elements",
         "$target")  # fmt: skip
_BETWEEN = "\x1f"
_ROUTE = "mp_locationchange"
_MS = 1e11
"""Times from here on are ms: as seconds they are of the year 5138."""
_WHOLE = re.compile(rb'"time"\s*:\s*(\d+(?:\.\d*[1-9])?)')


class Mixpanel:
    """Sessions are cut by the gap: the export tells of none."""

    name = "mixpanel"
    about = "Mixpanel's raw export: JSON lines or an array"
    tried = "no real export; what mixpanel-browser 2.83 sends in Chromium, times as its documentation says"
    suffixes = (".jsonl", ".ndjson", ".json", ".txt")
    evidence = Evidence(
        time_quality="flush", time_ms=1_000, moves="none", has=("scroll", "viewport", "views")
    )  # fmt: skip
    lacks: Mapping[str, str] = {
        "sessions": "not told: a user's events without a gap of 30 minutes (--session-gap) are one",
        "dwell, order, funnels, rage": "where the export's times are whole seconds, as they are unless it is asked for "
        "with time_in_ms=true; its own $mp_rage_click and $mp_dead_click rows are kept as rage:source and dead:source",
        "reach of pages left by a route": "their $mp_page_leave comes after the next page's view and is left out; that "
        "of other pages counts where record_heatmap_data is on, else its depth is a constant",
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
            self._lines = JsonLines(self.schema, paths, rows, rows=_no_routes)
        return self._lines(data)

    def evidence_in(self, first: bytes) -> Evidence:
        """Times of single events, if one of them is in ms or has a fraction."""
        finer = (b"." in time or float(time) >= _MS for time in _WHOLE.findall(first))
        return replace(self.evidence, time_quality="event", time_ms=0) if any(finer) else self.evidence


def _no_routes(found: Records) -> Array:
    """A page left by a route of the site is told of after its successor's view: as a row it would be one more view."""
    import pyarrow.compute as pc

    routed = pc.and_(pc.equal(found.text("event"), "$mp_page_leave"), pc.equal(found.text("$event_type"), _ROUTE))
    return np.asarray(pc.invert(pc.fill_null(routed, False)))


def rows(found: Records) -> dict[str, pa.Array]:
    """What the values of some events are as columns.

    Where the page stood is told by clicks (pageY - clientY), by scrolls, and of a page that is left by how far down its
    window ever was. A page that is left is hidden: what follows it is no time on it.
    """
    import pyarrow.compute as pc

    from heatgrid.sources.adapters.columns import only, over_words

    event = found.text("event")
    kind = over_words(event, lambda word: KINDS.get(word) or (word if word.startswith("$") else "custom"))
    depth = pc.subtract(found.number("$max_scroll_view_depth"), found.number("$viewportHeight"))
    depth = only(depth, pc.equal(found.text("$captured_for_heatmap"), "true"))
    stood = pc.coalesce(
        only(found.number("$scroll_top"), pc.equal(kind, "scroll")), only(depth, pc.equal(kind, "hidden")),
        pc.subtract(found.number("$pageY"), found.number("$clientY")),
    )  # fmt: skip
    names = ("$el_tag_name", "$el_id", "$el_text", "$target", "$elements")
    told = [pc.fill_null(found.text(name), "") for name in names]
    element = over_words(pc.binary_join_element_wise(*told, _BETWEEN), _element)
    made = {
        "time": _instants(found), "kind": kind, "event": event,
        "feature": pc.coalesce(only(event, pc.equal(kind, "custom")), element),
        "x": found.number("$pageX"), "y": found.number("$pageY"),
        "scroll_y": pc.max_element_wise(stood, 0.0, skip_nulls=False),
    }  # fmt: skip
    made |= {name: found.text(prop) for name, prop in TEXTS.items()}
    made |= {name: found.number(prop) for name, prop in NUMBERS.items()}
    return made | {"page_h": pc.coalesce(made["page_h"], found.number("$scroll_height"))}


def _instants(found: Records) -> pa.Array:
    """Times of a column of s and of ms, each row by its size."""
    import pyarrow.compute as pc

    from heatgrid.sources.adapters.columns import times

    told = found.number("time")
    ms = pc.fill_null(pc.greater_equal(told, _MS), False)
    return pc.if_else(ms, times(pc.if_else(ms, found.text("time"), pa.scalar(None, pa.string())), "ms"),
                      times(pc.if_else(ms, pa.scalar(None, pa.string()), found.text("time")), "s"))  # fmt: skip


@lru_cache(100_000)
def _element(told: str) -> str | None:
    """The name of what was clicked: the innermost element has fields of its own, those around it are in a list."""
    from heatgrid.sources.adapters.dom import Element, name_of

    tag, own, text, *objects = told.split(_BETWEEN)
    target, around = (json.loads(one) if one else None for one in objects)
    if not tag:
        return None
    first = attributes_of(target) if isinstance(target, dict) else {}
    chain: list[Element] = [(tag.lower(), first | ({"id": own} if own else {}), lambda: text)]
    for one in around[1:] if isinstance(around, list) else ():
        if isinstance(one, dict):
            # the text that is told is that of the innermost one
            chain.append((str(one.get("$tag_name", "")).lower(), attributes_of(one), lambda: text))
    return name_of(chain)


def attributes_of(told: Mapping[str, Any]) -> dict[str, str]:
    """The attributes of one element of Mixpanel's: its id, and those that are told as $attr-NAME."""
    found = {name.removeprefix("$attr-"): value for name, value in told.items() if name.startswith("$attr-")}
    if told.get("$id"):
        found["id"] = told["$id"]
    return {name: value for name, value in found.items() if isinstance(value, str) and value}
