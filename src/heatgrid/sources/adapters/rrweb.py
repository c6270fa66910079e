"""rrweb recordings: a JSON array, JSON lines, or a script (`const events = [...]`); a file is a session."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from heatgrid.sources.adapters.registry import Decoded
from heatgrid.words.evidence import Evidence

if TYPE_CHECKING:
    from heatgrid.sources.adapters.recording import Reader, Told

START = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|//[^\n]*\n|/\*.*?\*/)*"
    rb"(?:(?:export\s+)?(?:const|let|var)\s+[\w$]+\s*=|export\s+default|module\.exports\s*=|[\w$.]+\s*=)?\s*(?=[\[{])",
    re.DOTALL,
)
_EVENT = re.compile(
    rb'\{\s*(?:"timestamp"\s*:\s*\d+(?:\.\d+)?\s*,\s*)?"type"\s*:\s*[0-6]\s*,(?:\s*"timestamp"\s*:\s*\d+(?:\.\d+)?\s*,)?'
    rb'\s*"data"\s*:\s*(?:\{\s*(?:\}|"(?:href|node|source|tag|plugin|initialOffset)"\s*:)|"\\u001f)'
)

_PACKED = re.compile(rb'"x(?:\\u009[cC]|\xc2\x9c)')
"""The text of a zlib stream, as rrweb's pack() makes one of each event."""


class Rrweb:
    """``page_event=TAG``: a custom event of that tag whose payload has an href or url opens a page (SPA routes)."""

    name = "rrweb"
    about = "recordings of rrweb: JSON array, JSON lines or script, one session a file (its name)"
    tried = "a real recording, and what rrweb 2.2 records in Chromium"
    suffixes = (".json", ".js", ".ndjson", ".jsonl", ".rrweb")
    options: Mapping[str, str] = {"page_event": "tag of the custom events that open a page (else $pageview)"}
    evidence = Evidence(
        moves="throttle", moves_ms=50, has=("reactions", "scroll", "viewport", "views"), time_quality="event"
    )
    lacks: Mapping[str, str] = {
        "users": "a recording names no user; a folder user=NAME/ does",
        "exposure, ctr": "no boxes: the recording has the page's markup, not its layout; heatgrid snapshot lays it "
        "out in a browser, and --layout DIR/layout.toml then tells",
        "page height": "no page_h: reach is cut at its p99",
        "fixed layers": "sticky targets cannot be told from others: their clicks are counted where the page was then",
    }
    schema = pa.schema(
        [
            ("time", pa.timestamp("ms", "UTC")), ("session", pa.dictionary(pa.int32(), pa.string())),
            ("page", pa.dictionary(pa.int32(), pa.string())), ("kind", pa.dictionary(pa.int32(), pa.string())),
            ("x", pa.float64()), ("y", pa.float64()), ("frame", pa.dictionary(pa.int32(), pa.string())),
            ("pointer", pa.dictionary(pa.int32(), pa.string())), ("viewport_w", pa.float64()),
            ("viewport_h", pa.float64()), ("scroll_x", pa.float64()), ("scroll_y", pa.float64()),
            ("feature", pa.dictionary(pa.int32(), pa.string())),
        ]
    )  # fmt: skip

    def __init__(self, page_event: str = "$pageview") -> None:
        self._page_event = page_event
        self._reader: Reader | None = None

    def sniff(self, head: bytes) -> bool:
        start = START.match(head)
        if start is None:
            return False
        at = start.end() + (head[start.end() : start.end() + 1] == b"[")
        spaces = re.compile(rb"\s*").match(head, at)
        return bool(spaces and (_EVENT.match(head, spaces.end()) or _PACKED.match(head, spaces.end())))

    def decode(self, data: bytes, session: str) -> Decoded:
        return self._read().decode(data, session)

    def told(self, data: bytes) -> Told:
        """What a recording says of its pages (heatgrid snapshot). Errors: ValueError, as ``decode``."""
        return self._read().told(data)

    def _read(self) -> Reader:
        if self._reader is None:
            from heatgrid.sources.adapters.recording import Reader

            self._reader = Reader(self.schema, self._page_event)
        return self._reader
