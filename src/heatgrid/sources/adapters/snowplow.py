"""Snowplow's enriched events: the TSV of 131 columns without a header, and warehouse tables by their column names."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pyarrow as pa

from heatgrid.sources.adapters.registry import Decoded
from heatgrid.words.evidence import Evidence

PLACES = {
    "app_id": 0, "platform": 1, "collector_tstamp": 3, "dvce_created_tstamp": 4, "event": 5, "event_id": 6,
    "user_id": 12, "domain_userid": 15, "geo_country": 18, "page_url": 29, "page_urlpath": 35, "contexts": 52,
    "se_category": 53, "se_action": 54, "unstruct_event": 58, "pp_xoffset_min": 73, "pp_xoffset_max": 74,
    "pp_yoffset_min": 75, "pp_yoffset_max": 76, "useragent": 77, "br_viewwidth": 95, "br_viewheight": 96,
    "doc_width": 106, "doc_height": 107, "domain_sessionid": 123, "derived_tstamp": 124, "event_name": 126,
}  # fmt: skip
"""Columns of the TSV, from 0."""
WIDTH = 131
_TIME = re.compile(rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d")
_EVENTS = (b"page_view", b"page_ping", b"struct", b"unstruct", b"event", b"transaction", b"transaction_item")


class Snowplow:
    """``ping=10``: the tracker's heartbeat in seconds (the evidence of times)."""

    name = "snowplow"
    about = "Snowplow's enriched events: TSV without a header, or a warehouse table by its columns"
    tried = "a real warehouse table, and what its tracker 4.6 sends in Chromium"
    suffixes = (".tsv", ".txt", ".csv", ".parquet")
    options: Mapping[str, str] = {"ping": "seconds between page pings, as the tracker is set [10]"}
    lacks: Mapping[str, str] = {
        "click maps": "clicks carry no coordinates (link_click and button_click name their element)",
        "moves, hover": "no pointer moves",
        "exposure, ctr": "boxes are not told; expose_element rows are kept as kind exposure",
        "dead, rage by place": "no reactions, no coordinates",
    }
    needs = tuple(PLACES)

    def __init__(self, ping: str = "10") -> None:
        ms = round(float(ping) * 1000)
        self.evidence = Evidence(
            time_quality="ping", time_ms=ms, moves="none", has=("scroll", "viewport", "views")
        )  # fmt: skip
        words = ("session", "user", "view", "page", "kind", "feature", "event_id", "event", "login", "app_id",
                 "platform", "country", "user_agent")  # fmt: skip
        numbers = ("viewport_w", "viewport_h", "page_w", "page_h", "scroll_x", "scroll_y")
        self.schema = pa.schema(
            [("time", pa.timestamp("us", "UTC")), *((name, pa.string()) for name in words),
             *((name, pa.float64()) for name in numbers)]
        )  # fmt: skip

    def sniff(self, head: bytes) -> bool:
        fields = head.partition(b"\n")[0].rstrip(b"\r").split(b"\t")
        return len(fields) == WIDTH and fields[5] in _EVENTS and bool(_TIME.match(fields[3]))

    def knows(self, schema: pa.Schema) -> bool:
        return {
            "event_id", "collector_tstamp", "dvce_created_tstamp", "event", "event_name", "domain_sessionid",
        } <= set(schema.names)  # fmt: skip

    def wanted(self, schema: pa.Schema) -> list[str]:
        """Of a table, the columns that are looked at: those of contexts and events have their versions in the name."""
        return [name for name in schema.names if name in PLACES or name.startswith(("contexts_", "unstruct_event_"))]

    def records(self, data: bytes) -> Decoded:
        from heatgrid.sources.adapters.snowplow_rows import of_lines

        return of_lines(data, self.schema)

    def convert(self, batch: pa.RecordBatch) -> Decoded:
        from heatgrid.sources.adapters.snowplow_rows import of_table

        return Decoded(of_table(batch, self.schema))
