"""What an rrweb recording says, as canonical rows.

Points are window px in the recording and page px here: the document's scroll at their own time is added (a move's own
time is `timestamp + timeOffset`). Scrolls of anything but the document are those of containers (frame `element`).
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from heatgrid.cpu import json as leaves
from heatgrid.cpu import rrweb as walk
from heatgrid.cpu.rrweb import (
    CLICK,
    CUSTOM,
    DRAG,
    FIELDS,
    INPUT,
    INTERACTION,
    LINE,
    LOADED,
    MEDIA,
    META,
    MOVE,
    MUTATION,
    NODE,
    PACKED,
    PLUGIN,
    RESIZE,
    SCROLL,
    SELECTION,
    SNAPSHOT,
    TIME,
    TOUCH_MOVE,
    VOID,
    WHAT,
    WORDS,
)  # fmt: skip
from heatgrid.sources.adapters.dom import Nodes, text_of
from heatgrid.sources.adapters.packed import MARK, Packed, unpacked
from heatgrid.sources.adapters.registry import Decoded
from heatgrid.sources.adapters.rrweb import START
from heatgrid.sources.layouts import is_utf8
from heatgrid.sources.parts import BAD_LINES
from heatgrid.sources.records import Array, Tape, Words, padded

_TAIL = re.compile(rb"[\s;]*(?:(?:export\s+default|module\.exports\s*=)\s*[\w$]+[\s;]*)?\Z")
_KINDS = {
    META: "pageview", MOVE: "move", TOUCH_MOVE: "move", DRAG: "move", SCROLL: "scroll", RESIZE: "resize",
    INPUT: "input", MEDIA: "media", SELECTION: "selection", MUTATION: "mutation", CUSTOM: "custom", PLUGIN: "error",
    INTERACTION: "mouseup", INTERACTION + 1: "mousedown", CLICK: "click", INTERACTION + 3: "contextmenu",
    INTERACTION + 4: "dblclick", INTERACTION + 5: "focus", INTERACTION + 6: "blur", INTERACTION + 7: "touchstart",
    INTERACTION + 8: "touchdeparted", INTERACTION + 9: "touchend", INTERACTION + 10: "touchcancel",
}  # fmt: skip
_NAMES = [*dict.fromkeys(_KINDS.values()), "hidden", "visible", "interaction"]
_POINTERS = ["mouse", "pen", "touch"]
_DEEP = 4096
MOST_UNPACKED = 512 << 20
"""Bytes of a recording's packed events; as many as one may have that is not packed."""


class Reader:
    """The files of one run; used by several threads."""

    def __init__(self, schema: pa.Schema, page_event: str) -> None:
        self.schema, self._page_event = schema, page_event
        self._words = Words((*WORDS, "events", "snapshots"))

    def decode(self, data: bytes, session: str) -> Decoded:
        tape, events, bad, rejected, rows, status = self._rows(data)
        for event in np.flatnonzero((status == VOID) & (events >= 0)).tolist():
            rejected += 1
            if len(bad) < BAD_LINES:
                bad.append((_line(tape.data, int(tape.lines[events[event], 1])), "no rrweb event"))
        batch, broken = self._batch(tape, rows, session)
        rejected += len(broken)
        bad += [(_line(tape.data, int(tape.lines[at, 1])), "NUL or lone surrogate") for at in broken[:BAD_LINES]]
        return Decoded(batch, rejected, bad)

    def told(self, data: bytes) -> Told:
        """What a recording says of its pages. Errors: ValueError, as ``decode``."""
        tape, _, _, _, rows, _ = self._rows(data)
        what = rows[:, WHAT].astype(np.int64)
        hrefs: dict[int, str] = {}
        self._special(tape, rows, what, np.zeros(len(rows), np.uint8), hrefs, {}, _KIND_CODES[what], [])
        return Told(tape, rows, what, hrefs, self._words)

    def _rows(self, data: bytes) -> tuple[Tape, Array, list[tuple[int, str]], int, Array, Array]:
        """The tape, its events, unreadable ones and how many; the rows of events, and the status of each event."""
        if MARK.search(data) is None and not data.lstrip().startswith(b'"'):
            try:
                tape, events, bad, rejected = self._events(data)
                return tape, events, bad, rejected, *_rows(tape, events)
            except Packed:
                pass
        start = START.match(data)
        at = 0 if start is None else start.end()
        stop = data.rfind(b"]") + 1
        text = data[at:stop] if data[at : at + 1] == b"[" and _TAIL.match(data, stop) else data[at:]
        tape, events, bad, rejected = self._events(unpacked(text, MOST_UNPACKED))
        try:
            return tape, events, bad, rejected, *_rows(tape, events)
        except Packed as error:
            raise ValueError(f"{error}, and not as rrweb's pack() or PostHog do it") from error

    def _events(self, data: bytes) -> tuple[Tape, Array, list[tuple[int, str]], int]:
        """The tape, the lines of its events (-1: unreadable), unreadable ones with their line, and how many."""
        start = START.match(data)
        if start is None:
            if not data.strip():
                return Tape(padded(b""), *_spans([]), self._words), np.empty(0, np.int32), [], 0
            raise ValueError("it is neither a JSON array nor JSON lines, nor a script that holds one")
        at = start.end()
        memory = padded(data)
        if data[at : at + 1] == b"{":
            return self._lines(memory, data, at)
        stop = data.rfind(b"]") + 1
        if not _TAIL.match(data, stop):
            stop = len(data)
        return self._whole(memory, data, at, stop)

    def _lines(self, memory: Array, data: bytes, at: int) -> tuple[Tape, Array, list[tuple[int, str]], int]:
        ends = np.flatnonzero(memory[at : len(data)] == 0x0A) + at
        starts = np.concatenate([[at], ends + 1]).astype(np.int64)
        stops = np.append(ends, len(data)).astype(np.int64)
        tape = Tape(memory, starts, stops, self._words)
        if tape.roots[0] < 0 or (len(starts) == 1 and self._inside(tape, 0) is not None):
            return self._whole(memory, data, at, len(data.rstrip()))  # one object over many lines, or around all
        return self._checked(tape, data, tape.roots.copy(), starts, stops)

    def _whole(
        self, memory: Array, data: bytes, at: int, stop: int
    ) -> tuple[Tape, Array, list[tuple[int, str]], int]:  # fmt: skip
        tape = Tape(memory, *_spans([(at, stop)]), self._words)
        if tape.roots[0] < 0:
            where = int(tape.faults[0])
            line = _line(memory, where)
            raise ValueError(
                f"it ends in the middle (line {line})" if where >= stop else f"line {line}, byte {where:,} is not JSON"
            )
        top = self._inside(tape, 0)
        if top is None:
            top = 0
        lines = tape.lines
        if int(lines[top, 0]) & 0xFF == leaves.OBJECT:
            found = np.array([top], np.int32)
        else:
            found = np.empty(tape.used, np.int32)
            found = found[: int(walk.entries(lines, top, found))]
        return self._checked(tape, data, found, lines[found, 1].astype(np.int64), lines[found, 2].astype(np.int64))

    def _inside(self, tape: Tape, top: int) -> int | None:
        """The array of events inside an object around them ({"events": [...]}, a player's export)."""
        for word in ("events", "snapshots"):
            if int(tape.lines[top, 0]) & 0xFF != leaves.OBJECT:
                return None
            found = int(walk.member(tape.lines, top, self._words.code[word]))
            if found < 0:
                inner = int(walk.member(tape.lines, top, self._words.code["data"]))
                found = -1 if inner < 0 else int(walk.member(tape.lines, inner, self._words.code[word]))
            if found >= 0 and int(tape.lines[found, 0]) & 0xFF == leaves.ARRAY:
                return found
        return None

    @staticmethod
    def _checked(
        tape: Tape, data: bytes, events: Array, starts: Array, stops: Array
    ) -> tuple[Tape, Array, list[tuple[int, str]], int]:
        bad: list[tuple[int, str]] = []
        rejected = 0
        why: dict[int, str] = {}
        for at in np.flatnonzero(events == -1).tolist():
            why[at] = "not JSON"
        if not is_utf8(data):
            for at in range(len(events)):
                if not is_utf8(data[int(starts[at]) : int(stops[at])]):
                    why[at] = "not UTF-8"
        kinds = tape.lines[events[events >= 0], 0] & 0xFF
        if ((kinds == leaves.STRING) | (kinds == leaves.ESCAPED)).any():
            raise Packed("its events are packed texts")
        for at in sorted(why):
            events[at] = -1
            rejected += 1
            if len(bad) < BAD_LINES:
                bad.append((_line(tape.data, int(starts[at])), why[at]))
        return tape, events, bad, rejected

    def _batch(self, tape: Tape, rows: Array, session: str) -> tuple[pa.RecordBatch, list[int]]:
        """The rows, and the lines of events whose page no text can name."""
        n = len(rows)
        what = rows[:, WHAT].astype(np.int64)
        kinds = _KIND_CODES[what]
        fresh = np.zeros(n, np.uint8)
        hrefs: dict[int, str] = {}
        notes: dict[int, str] = {}
        dropped: list[int] = []
        broken = self._special(tape, rows, what, fresh, hrefs, notes, kinds, dropped)
        order = np.argsort(rows[:, TIME], kind="stable")
        out, keep = np.empty((n, 6)), np.empty(n, np.uint8)
        pages, touched = np.empty(n, np.int64), np.empty(n, np.int8)
        state = np.array([0.0, 0.0, np.nan, np.nan])
        walk.place(rows, order, fresh, state, out, keep, pages, touched)
        keep[dropped] = 0
        order = order[keep[order] > 0]
        kinds, out, pages, touched = kinds[order], out[order], pages[order], touched[order]
        openers = sorted(hrefs)
        page_of = np.full(n + 1, -1, np.int64)
        page_of[openers] = np.arange(len(openers))
        feature, words = self._features(tape, rows, what, order, notes)
        columns = [
            _times(rows[order, TIME]),
            _coded(np.zeros(len(order), np.int32), [session]),
            _coded(page_of[pages], [hrefs[row] for row in openers]),
            _coded(kinds, _NAMES),
            _real(out[:, 0]),
            _real(out[:, 1]),
            _coded((keep[order] == 2).astype(np.int32), ["page", "element"]),
            _coded(touched, _POINTERS),
            *(_real(out[:, c]) for c in range(2, 6)),
            _coded(feature, words),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema), broken

    def _special(
        self, tape: Tape, rows: Array, what: Array, fresh: Array, hrefs: dict[int, str], notes: dict[int, str],
        kinds: Array, dropped: list[int],
    ) -> list[int]:  # fmt: skip
        """Pages, custom events and those of plugins: few, and with texts. Returns lines of what no text can name."""
        broken: list[int] = []
        nodes = Nodes(tape, self._words, np.empty((0, 4), np.int64))
        special = np.flatnonzero((what == META) | (what == CUSTOM) | (what == PLUGIN))
        href = None
        for row in special.tolist():
            line = int(rows[row, LINE])
            inside = {} if line < 0 else nodes.members(line)
            if what[row] == META:
                if "href" in inside and text_of(tape, inside["href"]) is None:
                    broken.append(line)
                    dropped.append(row)
                    continue
                told = nodes.text(inside.get("href"))
                # a recorder that takes stock again writes this one anew too, but no document has been loaded then
                before = row - 1
                while before >= 0 and what[before] in (CUSTOM, PLUGIN):
                    before -= 1
                if told != href or (before >= 0 and what[before] == LOADED):
                    fresh[row], hrefs[row], href = 1, told, told
                continue
            payload = inside.get("payload")
            members = {} if payload is None else nodes.members(payload)
            if what[row] == PLUGIN:
                if nodes.text(members.get("level")) != "error":
                    dropped.append(row)
                continue
            tag = nodes.text(inside.get("tag"))
            told = nodes.text(members.get("href")) or nodes.text(members.get("url"))
            state = nodes.text(members.get("visibilityState")) or nodes.text(members.get("state"))
            seen = next((w for w in ("hidden", "visible") if w in (state, tag.removeprefix("window "))), None)
            if tag == self._page_event and told:
                if told == href:  # the client tells of the page that was recorded already
                    dropped.append(row)
                    continue
                fresh[row], hrefs[row], href = 1, told, told
                kinds[row] = _NAMES.index("pageview")
            elif seen:
                kinds[row] = _NAMES.index(seen)
            elif tag.startswith("$"):
                dropped.append(row)  # a client's own housekeeping
            else:
                notes[row] = tag
        return broken

    def _features(
        self, tape: Tape, rows: Array, what: Array, order: Array, notes: dict[int, str]
    ) -> tuple[Array, list[str]]:
        """The code of each row's element, and the names."""
        snapshots = np.cumsum(what == SNAPSHOT)
        has = (rows[:, NODE] > 0) & (what != SNAPSHOT)
        ids = np.where(has, snapshots << 32 | np.where(has, rows[:, NODE], 0).astype(np.int64), -1)[order]
        unique, codes = np.unique(ids, return_inverse=True)
        words: dict[str, int] = {}
        of_id = np.full(len(unique), -1, np.int64)
        nodes = Nodes(tape, self._words, _nodes(tape, rows, what, snapshots))
        known = nodes.rows(unique)
        nodes.gather(known[known >= 0])
        for at, row in enumerate(known.tolist()):
            name = None if row < 0 else nodes.name_at(row)
            if name is not None:
                of_id[at] = words.setdefault(name, len(words))
        feature = of_id[codes]
        for at in np.flatnonzero(what[order] == CUSTOM).tolist():
            tag = notes.get(int(order[at]))
            if tag:
                feature[at] = words.setdefault(tag, len(words))
        return feature, list(words)


class Told:
    """A recording on its tape: ``rows`` of cpu/rrweb.py, ``what`` each is, ``hrefs`` of those that open a page."""

    def __init__(self, tape: Tape, rows: Array, what: Array, hrefs: dict[int, str], words: Words) -> None:
        self.tape, self.rows, self.what, self.hrefs = tape, rows, what, hrefs
        self.snapshots = np.cumsum(what == SNAPSHOT)
        self._words = words

    def text(self, row: int) -> bytes:
        """The JSON of a row's data."""
        start, stop = self.tape.lines[int(self.rows[row, LINE]), 1:3].tolist()
        return self.tape.data[start:stop].tobytes()

    def nodes(self) -> Nodes:
        return Nodes(self.tape, self._words, _nodes(self.tape, self.rows, self.what, self.snapshots))


def _rows(tape: Tape, events: Array) -> tuple[Array, Array]:
    """The rows of events, and the status of each event."""
    rows = np.empty((tape.used + len(events), FIELDS))
    first, status = np.empty(len(events), np.int64), np.empty(len(events), np.uint8)
    n = int(walk.rows_of(tape.data, tape.lines, events, rows, first, status))
    if (status == PACKED).any():
        raise Packed("its events are packed")
    return rows[:n], status


def _nodes(tape: Tape, rows: Array, what: Array, snapshots: Array) -> Array:
    """Every node told of: int64 (nodes, 4): snapshot, id, parent's id, line."""
    stack = np.empty((_DEEP, 2), np.int64)
    found = np.empty((tape.used, 3), np.int64)
    n = 0
    ends: list[tuple[int, int]] = []
    told = np.flatnonzero((what == SNAPSHOT) | (what == MUTATION))
    for number in np.unique(snapshots[told]).tolist():
        lines = rows[told[snapshots[told] == number], LINE].astype(np.int64)
        n = int(walk.nodes_told(tape.data, tape.lines, lines, found, n, stack))
        ends.append((number, n))
    table = np.empty((n, 4), np.int64)
    table[:, 1:] = found[:n]
    begin = 0
    for number, end in ends:
        table[begin:end, 0] = number
        begin = end
    return table


_KIND_CODES = np.full(64, _NAMES.index("interaction"), np.int32)
_KIND_CODES[list(_KINDS)] = [_NAMES.index(name) for name in _KINDS.values()]


def _spans(spans: list[tuple[int, int]]) -> tuple[Array, Array]:
    both = np.array(spans, np.int64).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def _line(data: Array, at: int) -> int:
    """The number of the line that a byte lies in, from 1."""
    return 1 + int(np.count_nonzero(data[:at] == 0x0A))


def _times(ms: Array) -> pa.Array:
    return pa.array(np.floor(ms).astype(np.int64)).view(pa.timestamp("ms", "UTC"))


def _real(values: Array) -> pa.Array:
    """NaN is not known: null."""
    return pa.array(np.ascontiguousarray(values), from_pandas=True)


def _coded(codes: Array, words: list[str]) -> pa.Array:
    """Names by code; below 0 is null."""
    codes = codes.astype(np.int32)
    indices = pa.array(codes, mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words, pa.string()), safe=False)
