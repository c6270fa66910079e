"""PostHog's events export: Parquet (properties as JSON text) and JSON lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from heatgrid.sources.adapters.registry import Decoded
from heatgrid.words.evidence import Evidence

if TYPE_CHECKING:
    from heatgrid.sources.adapters.posthog_rows import Reader

TEXTS = {
    "session": "$session_id", "account": "$group_0", "tab": "$window_id", "view": "$pageview_id",
    "page": "$current_url", "browser": "$browser", "os": "$os", "device_type": "$device_type",
    "country": "$geoip_country_code", "user_agent": "$raw_user_agent",
}  # fmt: skip
"""Column -> property."""
NUMBERS = {"viewport_w": "$viewport_width", "viewport_h": "$viewport_height"}
_HEAD = re.compile(rb'\s*\{[^\n]{0,20000}?"(?:properties|event|uuid)"\s*:')
_NAMES = (b'"event"', b'"distinct_id"', b'"properties"', b'"timestamp"', b'"uuid"')


class PostHog:
    """``properties=plan+price``: these properties of events become segments."""

    name = "posthog"
    about = "PostHog's export of events: Parquet, JSON lines or an array"
    tried = "no real export; what posthog-js 1.449 sends in Chromium, as its service would write it"
    suffixes = (".parquet", ".jsonl", ".ndjson", ".json")
    options: Mapping[str, str] = {"properties": "names of event properties to have as segments, joined by +"}
    evidence = Evidence(moves="none", has=("depth", "viewport", "views"))
    lacks: Mapping[str, str] = {
        "click maps": "events carry no coordinates; PostHog's heatmaps rows do (--format posthog-heatmaps)",
        "attention": "only the deepest scroll of a view is told, by the event that left it, not when the page stood "
        "where; of a view that was never left nothing",
        "dead, thrash": "no reactions and no pointer moves; PostHog's own $dead_click and $rageclick rows are kept as "
        "dead:source and rage:source",
        "exposure, ctr": "no boxes",
    }
    needs = ("uuid", "event", "distinct_id", "person_id", "properties", "elements_chain", "timestamp")

    def __init__(self, properties: str = "") -> None:
        self._own = tuple(dict.fromkeys(name for name in properties.split("+") if name))
        self.schema = pa.schema(
            [("time", pa.timestamp("us", "UTC")), ("kind", pa.string()), ("user", pa.string()),
             ("event_id", pa.string()), ("feature", pa.string()), ("event", pa.string()),
             *((name, pa.string()) for name in (*TEXTS, *self._own)),
             *((name, pa.float64()) for name in (*NUMBERS, "scroll_y"))]
        )  # fmt: skip
        if len(set(self.schema.names)) < len(self.schema.names):
            raise ValueError("properties that have no column of that name yet")
        self._reader: Reader | None = None

    def sniff(self, head: bytes) -> bool:
        line = head.partition(b"\n")[0]
        return bool(_HEAD.match(head)) and all(name in line for name in _NAMES) and b'"$' in line

    def knows(self, schema: pa.Schema) -> bool:
        if not {"uuid", "event", "distinct_id", "properties", "timestamp"} <= set(schema.names):
            return False
        kind = schema.field("properties").type
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))

    def records(self, data: bytes) -> Decoded:
        return self._read().lines(data)

    def convert(self, batch: pa.RecordBatch) -> Decoded:
        return self._read().rows(batch)

    def _read(self) -> Reader:
        if self._reader is None:
            from heatgrid.sources.adapters.posthog_rows import Reader

            self._reader = Reader(self.schema, self._own)
        return self._reader


HEATMAP_KINDS: Mapping[str, str] = {
    "click": "click", "rageclick": "rageclick", "deadclick": "deadclick", "mousemove": "rest", "scrolldepth": "scroll",
}  # fmt: skip


class PostHogHeatmaps:
    """Rows of PostHog's `heatmaps` table, by a query of it (CSV, Parquet, JSON lines)."""

    name = "posthog-heatmaps"
    about = "rows of PostHog's heatmaps table: points in sixteenths of a px"
    tried = "no real table; what posthog-js 1.449 sends in Chromium, as its service would store it"
    suffixes = (".parquet", ".csv", ".jsonl", ".ndjson")
    evidence = Evidence(
        time_quality="flush", time_ms=5_000, moves="rest", moves_ms=500, quantum_px=16, has=("scroll", "viewport")
    )
    lacks: Mapping[str, str] = {
        "dwell, order, funnels, rage": "all points of a flush (up to 5 s) share one time; its own rageclick and "
        "deadclick rows are kept as rage:source and dead:source",
        "views, reach": "no pageview rows; scrolldepth rows tell of the deepest scroll only",
        "exact points": "stored as round(px / 16)",
        "features": "no element is told",
        "kind of pointer": "not told: after a touch a point where the pointer rested may be one the browser made up",
    }
    needs: Sequence[str] = (
        "session_id", "distinct_id", "timestamp", "x", "y", "scale_factor", "viewport_width", "viewport_height",
        "pointer_target_fixed", "current_url", "type",
    )  # fmt: skip
    schema = pa.schema(
        [("time", pa.timestamp("us", "UTC")), ("session", pa.string()), ("user", pa.string()), ("page", pa.string()),
         ("kind", pa.string()), ("x", pa.float64()), ("y", pa.float64()), ("fixed", pa.bool_()),
         ("viewport_w", pa.float64()), ("viewport_h", pa.float64()), ("scroll_y", pa.float64())]
    )  # fmt: skip

    def knows(self, schema: pa.Schema) -> bool:
        return {"x", "y", "scale_factor", "pointer_target_fixed", "type", "current_url"} <= set(schema.names)

    def convert(self, batch: pa.RecordBatch) -> Decoded:
        from heatgrid.sources.adapters.posthog_rows import heatmap_rows

        return Decoded(heatmap_rows(batch, self.schema, HEATMAP_KINDS))


def own_columns(extra: Sequence[str]) -> dict[str, Any]:
    """Column -> property, for texts."""
    return TEXTS | {name: name for name in extra}
