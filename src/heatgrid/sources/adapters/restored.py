"""The page of an rrweb recording as it stood at a moment: its snapshot, and what was changed since."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from heatgrid.cpu.rrweb import META, MUTATION, RESIZE, SNAPSHOT, TIME, X, Y
from heatgrid.sources.adapters.recording import Told

DOCUMENT, DOCTYPE, ELEMENT, TEXT, CDATA, _COMMENT = range(6)
"""Types of nodes by rrweb."""
DEEPEST = 512
"""As deep as HTML's own parser goes; nothing lies below in what is restored."""
_WIDE = (50, 10_000)


class Stay(NamedTuple):
    """A page that was open: its address, the window, from when to when (ms), the moment to show, the snapshot's row."""

    href: str
    width: int
    height: int
    begin: float
    end: float
    moment: float
    snapshot: int


class Node:
    """A node of a document; the ids of a snapshot and of its mutations name it."""

    __slots__ = ("attributes", "children", "id", "kind", "shadow", "svg", "tag", "text", "up")

    def __init__(self, told: dict[str, Any]) -> None:
        self.id: object = told.get("id")
        self.kind: object = told.get("type")
        tag, text, attributes = told.get("tagName"), told.get("textContent"), told.get("attributes")
        self.tag = tag.lower() if isinstance(tag, str) else ""
        self.text = text if isinstance(text, str) else ""
        self.attributes: dict[str, Any] = dict(attributes) if isinstance(attributes, dict) else {}
        self.svg, self.shadow = told.get("isSVG") is True, told.get("isShadow") is True
        self.children: list[Node] = []
        self.up: Node | None = None


class Flat(NamedTuple):
    """A node in the order of the document: the place of its parent (-1: the top), and the node."""

    parent: int
    node: Node


def stays(told: Told, after_ms: float) -> list[Stay]:
    """The pages of a recording that can be shown, each ``after_ms`` after it was opened, or as it was left before."""
    rows, what = told.rows, told.what
    openers = sorted(told.hrefs)
    last = float(rows[:, TIME].max()) if len(rows) else 0.0
    windows = np.flatnonzero((what == META) | (what == RESIZE))
    shots = np.flatnonzero(what == SNAPSHOT)
    found = []
    for opener, after in zip(openers, [*openers, len(rows)][1:], strict=True):
        begin, end = float(rows[opener, TIME]), float(rows[after, TIME]) if after < len(rows) else last
        own = shots[(shots > opener) & (shots < after)]
        before = shots[shots < opener]
        if what[opener] == META:  # a document of its own
            if not len(own):
                continue
            base = int(own[0])
        elif len(before):
            base = int(before[-1])
        else:
            continue
        moment = max(min(begin + after_ms, end), float(rows[base, TIME]))
        later = own[(own > base) & (rows[own, TIME] <= moment)]
        base = int(later[-1]) if len(later) else base
        seen = windows[(windows < after) & (rows[windows, TIME] <= moment) & (rows[windows, X] > 0)]
        if not len(seen):
            continue
        width, height = (int(np.clip(rows[seen[-1], side], *_WIDE)) for side in (X, Y))
        found.append(Stay(told.hrefs[opener], width, height, begin, end, moment, base))
    return found


def document(told: Told, stay: Stay) -> list[Flat]:
    """The nodes of a page at its moment, in the order of the document; the first is the document.

    Errors: ValueError where the snapshot is none.
    """
    page = _Page(_json(told.text(stay.snapshot)).get("node"))
    rows, what = told.rows, told.what
    changes = np.flatnonzero((what == MUTATION) & (rows[:, TIME] <= stay.moment))
    for row in changes[changes > stay.snapshot].tolist():
        if told.snapshots[row] == told.snapshots[stay.snapshot]:
            page.change(_json(told.text(row)))
    return page.flat()


def _json(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("its page is nested too deep") from error
    return found if isinstance(found, dict) else {}


class _Page:
    """A tree that mutations are applied to; what of them makes no sense is passed over, as rrweb's replayer does."""

    def __init__(self, told: object) -> None:
        self._by_id: dict[object, Node] = {}
        if not isinstance(told, dict) or told.get("type") != DOCUMENT:
            raise ValueError("its snapshot holds no document")
        self._top = self._made(told)

    def _made(self, told: dict[str, Any]) -> Node:
        """A node and all below it."""
        top = Node(told)
        todo = [(top, told, 0)]
        while todo:
            node, about, depth = todo.pop()
            self._by_id[_key(node.id)] = node
            below = about.get("childNodes")
            for child in below if isinstance(below, list) and depth < DEEPEST else ():
                if isinstance(child, dict):
                    made = Node(child)
                    made.up = node
                    node.children.append(made)
                    todo.append((made, child, depth + 1))
        return top

    def change(self, data: dict[str, Any]) -> None:
        """One event: removed, added, texts, attributes; or rules of a style sheet (source 8, and 15: those adopted)."""
        for one in _dicts(data, "removes"):
            self._remove(self._by_id.get(_key(one.get("id"))))
        waiting: dict[object, list[dict[str, Any]]] = {}
        todo = list(reversed(_dicts(data, "adds")))
        while todo:
            one = todo.pop()
            told, needs = one.get("node"), self._needs(one)
            if needs is not None:
                waiting.setdefault(needs, []).append(one)
            elif isinstance(told, dict):
                self._add(one, told)
                todo += reversed(waiting.pop(_key(told.get("id")), []))
        for one in _dicts(data, "texts"):
            node, value = self._by_id.get(_key(one.get("id"))), one.get("value")
            if node is not None:
                node.text = value if isinstance(value, str) else ""
        for one in _dicts(data, "attributes"):
            node, given = self._by_id.get(_key(one.get("id"))), one.get("attributes")
            if node is not None and isinstance(given, dict):
                for name, value in given.items():
                    _attribute(node, name, value)
        if data.get("source") == 8:
            self._rule(self._by_id.get(_key(data.get("id"))), data, "adds")
        elif data.get("source") == 15:
            head = next((node for node in self._by_id.values() if node.tag == "head"), None)
            for sheet in _dicts(data, "styles"):
                self._rule(head, sheet, "rules")

    def _remove(self, node: Node | None) -> None:
        if node is not None and node.up is not None:
            del node.up.children[_place(node.up, node)]
            node.up = None

    def _needs(self, one: dict[str, Any]) -> object:
        """The id of the parent, or of the node that follows, if that is not there yet."""
        parent, after = _key(one.get("parentId")), one.get("nextId")
        above = self._by_id.get(parent)
        if above is None:
            return parent
        follower = None if after is None else self._by_id.get(_key(after))
        return _key(after) if after is not None and (follower is None or follower.up is not above) else None

    def _add(self, one: dict[str, Any], told: dict[str, Any]) -> None:
        parent, after = self._by_id.get(_key(one.get("parentId"))), one.get("nextId")
        self._remove(self._by_id.get(_key(told.get("id"))))
        if parent is None or _depth(parent) >= DEEPEST:
            return
        node = self._made(told)
        node.up = parent
        at = len(parent.children) if after is None else _place(parent, self._by_id[_key(after)])
        parent.children.insert(at, node)

    def _rule(self, parent: Node | None, data: dict[str, Any], name: str) -> None:
        """Rules that a script added to a sheet come last in it; where among the others it put them is not kept."""
        if parent is None:
            return
        rules = "\n".join(one["rule"] for one in _dicts(data, name) if isinstance(one.get("rule"), str))
        if parent.tag == "style" and isinstance(parent.attributes.get("_cssText"), str):
            parent.attributes["_cssText"] += "\n" + rules
        elif rules:
            text = Node({"type": TEXT, "textContent": "\n" + rules})
            above = parent if parent.tag == "style" else Node({"type": ELEMENT, "tagName": "style"})
            if above is not parent:
                above.up = parent
                parent.children.append(above)
            text.up = above
            above.children.append(text)

    def flat(self) -> list[Flat]:
        found: list[Flat] = []
        todo = [Flat(-1, self._top)]
        while todo:
            at = todo.pop()
            place = len(found)
            found.append(at)
            todo += [Flat(place, child) for child in reversed(at.node.children)]
        return found


def _attribute(node: Node, name: str, value: object) -> None:
    if value is None:
        node.attributes.pop(name, None)
    elif isinstance(value, dict):  # of a style only what was changed
        before = node.attributes.get("style")
        kept = dict(_declared(before)) if isinstance(before, str) else {}
        for key, told in value.items():
            if told is False:
                kept.pop(key, None)
            elif isinstance(told, list) and len(told) == 2:
                kept[key] = f"{told[0]} !{told[1]}"
            else:
                kept[key] = str(told)
        node.attributes["style"] = "; ".join(f"{key}: {told}" for key, told in kept.items())
    else:
        node.attributes[name] = value


def _declared(style: str) -> Iterator[tuple[str, str]]:
    """The declarations of a style attribute; semicolons inside quotes and brackets are part of a value."""
    depth, quote, start = 0, "", 0
    for at, c in enumerate(style + ";"):
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        elif c in "()":
            depth += 1 if c == "(" else -1
        elif c == ";" and depth <= 0:
            name, colon, value = style[start:at].partition(":")
            if colon:
                yield name.strip(), value.strip()
            start = at + 1


def _place(parent: Node, child: Node) -> int:
    """Where a child stands; most of what is moved stands near the end."""
    return next(at for at in range(len(parent.children) - 1, -1, -1) if parent.children[at] is child)


def _depth(node: Node) -> int:
    depth = 0
    above: Node | None = node
    while above is not None:
        depth, above = depth + 1, above.up
    return depth


def _dicts(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = data.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _key(given: object) -> object:
    """An id as a key: numbers alone name nodes."""
    return given if isinstance(given, int) and not isinstance(given, bool) else None
