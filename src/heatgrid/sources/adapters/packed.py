"""Recordings whose events are packed: rrweb's packFn (each event a text of zlib) and PostHog's compression of single
fields (gzip, `cv` 2024-10); by posthog-js 1.449 and @rrweb/packer. Bytes are told as characters up to U+00FF."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

MARK = re.compile(rb'"cv"\s*:\s*"2024-10"')
"""PostHog's: an event that carries it has gzipped fields."""
_FIELDS = ("texts", "attributes", "removes", "adds")
_AROUND = ("events", "snapshots", "data")
_ANY = zlib.MAX_WBITS | 32
"""zlib or gzip, by the first bytes."""


class Packed(ValueError):
    """A recording has events that must be unpacked first."""


def unpacked(text: bytes, most: int) -> bytes:
    """JSON of the same events with nothing packed in them; one that cannot be unpacked is null.

    text : an array, an object around one, or lines. most : bytes that all of it may unpack to.

    Errors: ValueError where it is not JSON, or unpacks to more.
    """
    room = _Room(most)
    try:
        try:
            whole = room.opened(json.loads(text))
        except json.JSONDecodeError:
            whole = [room.opened(_line(line)) for line in text.splitlines() if line.strip()]
    except RecursionError as error:
        raise ValueError("its events are nested too deep") from error
    if isinstance(whole, list):
        whole = [event for one in whole for event in _events(one)]
    return json.dumps(whole, separators=(",", ":")).encode()


def _events(one: Any) -> list[Any]:
    """PostHog's stored lines hold several: {"window_id": ..., "data": [...]}, or [window, event]."""
    if isinstance(one, list):
        return one[1:] if len(one) == 2 and isinstance(one[0], str | None) else one
    inner = one.get("data") if isinstance(one, dict) and "timestamp" not in one else None
    return inner if isinstance(inner, list) else [one]


def _line(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # one bad line is one bad row
        return None


class _Room:
    """What may still be unpacked."""

    def __init__(self, most: int) -> None:
        self.left = self.most = most

    def opened(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
                return [value[0], self.opened(value[1])]
            return [self.opened(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "timestamp" not in value:
            return {key: self.opened(one) if key in _AROUND else one for key, one in value.items()}
        return self._event(value) if "cv" in value else value

    def _event(self, event: dict[str, Any]) -> Any:
        data = event.get("data")
        if isinstance(data, str):
            data = self._text(data)
        elif isinstance(data, dict):
            data = data | {name: self._text(data[name]) for name in _FIELDS if isinstance(data.get(name), str)}
        return None if data is None else event | {"data": data}

    def _text(self, packed: str) -> Any:
        """The value of a packed text; None for one that is damaged."""
        try:
            stream = zlib.decompressobj(_ANY)
            data = stream.decompress(packed.encode("latin-1"), self.left + 1)
            if len(data) > self.left:
                raise ValueError(f"its events unpack to more than {self.most >> 20} MiB")
            self.left -= len(data)
            return json.loads(data) if stream.eof else None
        except (zlib.error, UnicodeError, json.JSONDecodeError):
            return None
