"""GA4's export to BigQuery (events_YYYYMMDD), saved as Parquet or JSON lines.

Fields by the documented schema of the export; not yet tried on a real table: that events of one request may share its
time, and which parameters a property's own tags add.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from heatgrid.sources.adapters.registry import Decoded
from heatgrid.words.evidence import Evidence

if TYPE_CHECKING:
    from heatgrid.sources.adapters.ga4_rows import Reader

TOPS = (
    "event_timestamp", "event_name", "user_pseudo_id", "user_id", "platform", "batch_ordering_id", "batch_event_index",
)  # fmt: skip
NESTED: Mapping[str, tuple[str, ...]] = {
    "country": ("geo", "country"), "device_type": ("device", "category"), "os": ("device", "operating_system"),
    "browser": ("device", "web_info", "browser"),
}  # fmt: skip
PARAMS = (
    "ga_session_id", "page_location", "firebase_screen", "firebase_screen_class", "engagement_time_msec",
    "percent_scrolled", "link_id", "link_text", "link_url", "form_id", "form_name",
)  # fmt: skip
_SURE = {"event_timestamp", "event_name", "event_params", "user_pseudo_id"}


class Ga4:
    """A session is user_pseudo_id and ga_session_id together; items and user_properties are not looked at."""

    name = "ga4"
    about = "GA4's export to BigQuery: Parquet, JSON lines or an array"
    tried = "no real table; rows by the documented schema of the export"
    suffixes = (".parquet", ".jsonl", ".ndjson", ".json")
    evidence = Evidence(moves="none", has=("views",))
    lacks: Mapping[str, str] = {
        "click maps": "clicks carry no coordinates, and only those on links that lead away are told",
        "reach, attention": "scroll is one event at 90 % of the page; percent_scrolled is a column",
        "hover, exposure, ctr": "no pointer moves, no boxes, no window",
        "rage, dead": "no other clicks, no reactions",
        "exact times": "events of one request may share its time (not confirmed on a real table): "
        "batch_ordering_id and batch_event_index order them where the export has them",
        "duplicates": "events have no id",
        "visitors without consent": "rows without user_pseudo_id or ga_session_id have no session and are rejected",
    }
    needs: Sequence[str] = (*TOPS, "event_params", "geo", "device")

    def __init__(self) -> None:
        texts = ("session", "user", "login", "page", "kind", "feature", "event", "platform", *NESTED)
        self.schema = pa.schema(
            [("time", pa.timestamp("us", "UTC")), *((name, pa.string()) for name in texts), ("seq", pa.int64()),
             ("engagement_time_msec", pa.float64()), ("percent_scrolled", pa.float64())]
        )  # fmt: skip
        self._reader: Reader | None = None

    def sniff(self, head: bytes) -> bool:
        line = head.partition(b"\n")[0].lstrip(b"\xef\xbb\xbf")
        return line.startswith(b"{") and all(
            b'"%s"' % name in line for name in (b"event_timestamp", b"event_name", b"event_params", b"key")
        )

    def knows(self, schema: pa.Schema) -> bool:
        return set(schema.names) >= _SURE and pa.types.is_nested(schema.field("event_params").type)

    def records(self, data: bytes) -> Decoded:
        return self._read().lines(data)

    def convert(self, batch: pa.RecordBatch) -> Decoded:
        return self._read().rows(batch)

    def _read(self) -> Reader:
        if self._reader is None:
            from heatgrid.sources.adapters.ga4_rows import Reader

            self._reader = Reader(self.schema)
        return self._reader
