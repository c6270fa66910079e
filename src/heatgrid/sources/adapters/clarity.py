"""What clarity-js sends to a collector of one's own: JSON lines (or an array) of payloads {"e", "a", "p"}.

By the source of clarity-js 0.8.70 and what it sends in Chromium. Times are ms since its page was opened, whose moment
only the first payload of a page tells, so a file is read whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from heatgrid.sources.adapters.registry import Decoded
from heatgrid.words.evidence import Evidence

_METRIC, _DIMENSION, _DISCOVER, _DOCUMENT, _CLICK, _SCROLL, _RESIZE = 0, 1, 5, 8, 9, 10, 11
_VISIBILITY = 28
_POINTERS = {
    12: "move", 13: "mousedown", 14: "mouseup", 16: "dblclick", 17: "touchstart", 18: "touchend", 19: "move",
    20: "touchcancel",
}  # fmt: skip
_OTHERS = {27: "input", 31: "error", 38: "submit", 42: "input"}
_TOUCH = range(17, 21)
_SIZES = {_RESIZE: ("viewport_w", "viewport_h"), _DOCUMENT: ("page_w", "page_h")}
_SETTLED_MS = 1_000
_TAPPED_MS = 1_000
_WHOLE = 32_767
"""The far side of an element, as a place inside it is told."""
_PAYLOAD = re.compile(rb'\s*\[?\s*\{\s*"e"\s*:\s*\[\s*"\d+\.\d+\.\d+"\s*,\s*\d+\s*,')
_LONGEST = 40


class Clarity:
    """A session is Clarity's own; a page of it is opened for each address."""

    name = "clarity"
    about = "what clarity-js sends to a collector of one's own: JSON lines or an array of its payloads"
    tried = "no real collector's files; what clarity-js 0.8.70 sends in Chromium"
    suffixes = (".json", ".jsonl", ".ndjson")
    evidence = Evidence(moves="throttle", moves_ms=25, has=("boxes", "scroll", "viewport", "views", "visibility"))
    lacks: Mapping[str, str] = {
        "names by data attributes": "a click tells of its element the tag, class, id and text, and not what is around "
        "it: a click on a span inside of a button is one on the span",
        "dead clicks": "no reactions",
        "pages of which the first payload is missing": "only that tells when a page was opened: rows are rejected",
        "fixed layers": "sticky targets cannot be told from others: their clicks are counted where the page was then",
        "Clarity's own export": "it holds aggregates and no events",
    }
    schema = pa.schema(
        [("time", pa.timestamp("ms", "UTC")), ("session", pa.string()), ("user", pa.string()), ("view", pa.string()),
         ("page", pa.string()), ("kind", pa.string()), ("feature", pa.string()), ("frame", pa.string()),
         ("pointer", pa.string()), *((name, pa.float64()) for name in (
             "x", "y", "viewport_w", "viewport_h", "page_w", "page_h", "scroll_x", "scroll_y",
             "box_x", "box_y", "box_w", "box_h"))]
    )  # fmt: skip

    def sniff(self, head: bytes) -> bool:
        return bool(_PAYLOAD.match(head)) and b'"a"' in head

    def decode(self, data: bytes, session: str) -> Decoded:
        """session : not used, payloads name their own."""
        pages: dict[tuple[Any, ...], list[tuple[int, dict[str, Any]]]] = {}
        bad: list[tuple[int, str]] = []
        for line, payload in _payloads(data):
            envelope = payload.get("e") if isinstance(payload, dict) else None
            if not (isinstance(envelope, list) and len(envelope) >= 8 and isinstance(payload.get("a"), list)):
                bad.append((line, "no payload of clarity-js"))
                continue
            if not _is_text(json.dumps([envelope, payload["a"]], ensure_ascii=False)):
                bad.append((line, "NUL or lone surrogate"))
                continue
            pages.setdefault(tuple(map(str, envelope[4:8])), []).append((line, payload))
        rows: list[dict[str, Any]] = []
        for key, payloads in pages.items():
            payloads.sort(key=lambda one: _number(one[1]["e"][1]) or 0)
            made = list(_rows(key, [payload for _, payload in payloads]))
            if not made:
                bad += [(line, "when its page was opened is not told") for line, _ in payloads]
            rows += made
        rows.sort(key=lambda row: row["time"])
        return Decoded(pa.RecordBatch.from_pylist(rows, schema=self.schema), len(bad), sorted(bad))


def _payloads(data: bytes) -> Iterator[tuple[int, Any]]:
    """(line, payload); None for what is not JSON. Errors: ValueError for an array that is torn."""
    text = data.removeprefix(b"\xef\xbb\xbf")
    if text.lstrip().startswith(b"["):
        try:
            yield from ((1, one) for one in json.loads(text))
        except RecursionError as error:
            raise ValueError("it is nested too deep") from error
        return
    for number, line in enumerate(text.split(b"\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield number, None


def _rows(key: tuple[Any, ...], payloads: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows of one page; none where it is not told when it was opened."""
    tokens = sorted(
        (row for payload in payloads for row in payload["a"] if _is_row(row) and row[1] not in (_METRIC, _DIMENSION)),
        key=lambda row: row[0],
    )
    told = [row for payload in payloads for row in payload["a"] if _is_row(row)]
    starts = (_number(_pairs(row).get(0)) for row in told if row[1] == _METRIC)
    opened = next((start for start in starts if start is not None), None)
    if opened is None:
        return
    addresses = (_pairs(row).get(1) for row in told if row[1] == _DIMENSION)
    url = next((one[0] for one in addresses if isinstance(one, list) and one and isinstance(one[0], str)), None)
    envelope = payloads[0]["e"]
    page = url or (envelope[11] if len(envelope) > 11 and isinstance(envelope[11], str) else None)
    project, user, session, number = key
    state: dict[str, Any] = {
        "session": f"{project}/{session}", "user": user, "view": number, "page": page, "frame": "page",
        "viewport_w": None, "viewport_h": None, "page_w": None, "page_h": None, "scroll_x": 0.0, "scroll_y": 0.0,
    }  # fmt: skip
    root = _root(payloads)
    for at, kind, *sizes in tokens:  # told while the page is laid out: those that it has then are the view's
        if kind in _SIZES and at <= _SETTLED_MS and len(sizes) > 1:
            state |= zip(_SIZES[kind], map(_number, sizes[:2]), strict=True)
    yield state | {"time": int(opened), "kind": "pageview"}
    touched = -float(_TAPPED_MS + 1)
    for at, kind, *rest in tokens:
        about = [*rest, *[None] * 20]
        row = state | {"time": int(opened + at)}
        x, y = _number(about[1]), _number(about[2])
        if kind in _SIZES:
            if at <= _SETTLED_MS:
                continue
            state |= zip(_SIZES[kind], map(_number, about[:2]), strict=True)
            if kind == _RESIZE:
                yield state | {"time": row["time"], "kind": "resize"}
        elif kind == _VISIBILITY:
            seen = about[0] in (1, "1", "true", True, "visible")
            yield row | {"kind": "visible" if seen else "hidden"}
        elif kind == _SCROLL:
            if about[0] == root or (root is None and (_number(about[0]) or 0) <= 3):
                state["scroll_x"], state["scroll_y"] = x, y
                yield state | {"time": row["time"], "kind": "scroll"}
            else:
                yield row | {"kind": "scroll", "frame": "element"}
        elif kind == _CLICK:
            box = _box([x, y, *map(_number, (about[3], about[4], about[13], about[14]))])
            touch = at - touched <= _TAPPED_MS
            yield row | box | {
                "kind": "click", "x": x, "y": y, "feature": _feature(about[15], about[17], about[8], about[12]),
                "pointer": "touch" if touch else "mouse",
            }  # fmt: skip
        elif kind in _POINTERS:
            touch = kind in _TOUCH or at - touched <= _TAPPED_MS
            touched = at if kind in _TOUCH else touched
            yield row | {"kind": _POINTERS[kind], "x": x, "y": y, "pointer": "touch" if touch else "mouse"}
        elif kind in _OTHERS:
            yield row | {"kind": _OTHERS[kind]}


def _is_text(told: str) -> bool:
    """Whether it can be stored: neither a NUL (as JSON has it) nor half a surrogate."""
    try:
        told.encode()
    except UnicodeEncodeError:
        return False
    return "\\u0000" not in told


def _is_row(row: Any) -> bool:
    return isinstance(row, list) and len(row) >= 2 and _number(row[0]) is not None and isinstance(row[1], int)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2.0**53:
        return None
    return float(value)


def _pairs(row: list[Any]) -> dict[Any, Any]:
    """A row of alternating keys and values."""
    return {key: value for key, value in zip(row[2::2], row[3::2], strict=False) if isinstance(key, int)}


def _root(payloads: list[dict[str, Any]]) -> Any:
    """The number of the html element, whose scrolls are the page's: [..., id, parent, (previous,) "HTML", ...]."""
    for payload in payloads:
        for row in payload.get("p") or ():
            if _is_row(row) and row[1] == _DISCOVER and "HTML" in row:
                at = row.index("HTML")
                while at > 3 and isinstance(row[at - 1], int):
                    at -= 1
                return row[at]
    return None


def _box(told: list[float | None]) -> dict[str, float]:
    """Where the element lies, by the point (x, y), where inside of the element it is (floor of 32,767ths), its size."""
    known = [value for value in told if value is not None]
    if len(known) < 6:
        return {}
    x, y, inside_x, inside_y, width, height = known
    if not (width > 0 and height > 0 and 0 <= inside_x <= _WHOLE and 0 <= inside_y <= _WHOLE):
        return {}
    left, top = round(x - inside_x / _WHOLE * width), round(y - inside_y / _WHOLE * height)
    return {"box_x": float(left), "box_y": float(top), "box_w": width, "box_h": height}


def _feature(tag: Any, given: Any, text: Any, whole: Any) -> str | None:
    from heatgrid.sources.adapters.dom import name_of, shown

    if not isinstance(tag, str) or not tag:
        return None
    content = text if isinstance(text, str) else ""
    attributes = {"id": given} if isinstance(given, str) and given else {}
    name = name_of([(tag, attributes, lambda: content)])
    return f'{tag} "{shown(content)}"' if name == tag and whole == 1 and 0 < len(content) <= _LONGEST else name
