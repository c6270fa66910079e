"""Readable names of the elements of a recorded page, from the nodes that a recording tells of."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from heatgrid.cpu import json as leaves
from heatgrid.cpu import rrweb as walk
from heatgrid.cpu.json import PAD
from heatgrid.cpu.jsonpick import unescaped
from heatgrid.sources.records import Array, Tape, Words

MARKS = (
    "data-testid", "data-test-id", "data-test", "data-qa", "data-cy", "data-track", "data-attr", "data-feature",
    "data-action",
)  # fmt: skip
"""Attributes that people give so that an element has a name."""
ACTIVE = frozenset(("a", "button", "input", "select", "textarea", "summary", "label", "option"))
ROLES = frozenset(
    ("button", "link", "tab", "menuitem", "menuitemcheckbox", "menuitemradio", "option", "checkbox", "radio", "switch")
)
UP = 12
"""Ancestors that are looked at."""
LONGEST = 40
Element = tuple[str, dict[str, str], Callable[[], str]]
"""(tag, attributes, what gives its text)."""


class Told(NamedTuple):
    """An element, the row of its parent, the name that somebody gave it, whether it can be operated."""

    element: Element
    above: int
    own: str | None
    active: bool


_NAMING = ("", "id", "role", "onclick", "aria-label", "title", "alt", "name", "type", *MARKS)
"""The tag, and the attributes that names are made of."""
_MADE = re.compile(r"\d{4}|[0-9a-f]{8}|^:r|^(radix|react-aria|headlessui|ember|mui|ext-gen|yui|rc[-_])", re.IGNORECASE)
_EMAIL = re.compile(r"\S+@\S+\.\S+")
_SPACES = re.compile(r"\s+")


def is_made(word: str) -> bool:
    """An id that a library counts up: another one in the next session."""
    return bool(_MADE.search(word))


def shown(text: str) -> str:
    """A text as part of a name: one line, short, without addresses."""
    text = _EMAIL.sub(":email", _SPACES.sub(" ", text).strip())
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"


class Nodes:
    """The nodes of a recording by (snapshot, id); of equal ones the last."""

    def __init__(self, tape: Tape, words: Words, table: Array) -> None:
        """table : int64 (nodes, 4): snapshot, id, parent's id, line."""
        self.tape, self.words = tape, words
        self._table = table
        keys = table[:, 0] << 32 | (table[:, 1] & 0xFFFFFFFF)
        above = table[:, 0] << 32 | (table[:, 2] & 0xFFFFFFFF)
        self._order, self._above = np.argsort(keys, kind="stable"), np.argsort(above, kind="stable")
        self._keys, self._parents = keys[self._order], above[self._above]
        self._members: dict[int, dict[str, int]] = {}
        self._told: dict[int, Told] = {}
        self._chains: dict[int, list[Told]] = {}
        self._found = np.empty((512, 2), np.int32)
        self._field = np.full(len(words.names) + 1, -1, np.int32)
        for column, name in enumerate(_NAMING[1:], 1):
            self._field[words.code[name]] = column
        # as large as there are nodes: what is not written to takes no memory
        self._seen, self._used = np.zeros(len(table), np.uint8), 0
        self._around = np.empty((len(table), 2), np.int64)
        self._lines = np.empty((len(table), len(_NAMING)), np.int32)
        self._bytes = tape.data.data

    def find(self, snapshot: int, node: int) -> int:
        """The row of a node, or -1."""
        key = snapshot << 32 | (node & 0xFFFFFFFF)
        at = int(self._keys.searchsorted(key, side="right")) - 1
        return int(self._order[at]) if at >= 0 and self._keys[at] == key else -1

    def rows(self, keys: Array) -> Array:
        """The rows of nodes by snapshot << 32 | id; -1 for those that are not known."""
        if not len(self._keys):
            return np.full(len(keys), -1, np.int64)
        at = self._keys.searchsorted(keys, side="right") - 1
        return np.where((at >= 0) & (self._keys[at] == keys), self._order[at], -1)

    def parent(self, row: int) -> int:
        return self.find(int(self._table[row, 0]), int(self._table[row, 2]))

    def children(self, row: int) -> list[int]:
        """Rows of what hangs below a node, in the order in which it was told."""
        key = int(self._table[row, 0]) << 32 | (int(self._table[row, 1]) & 0xFFFFFFFF)
        first, last = np.searchsorted(self._parents, [key, key + 1])
        return [int(r) for r in self._above[first:last]]

    def members(self, line: int) -> dict[str, int]:
        """The lines of an object's members by their names."""
        found = self._members.get(line)
        if found is None:
            n = int(walk.members(self.tape.lines, line, self._found))
            names = self.words.names
            found = self._members[line] = {names[word - 1]: at for word, at in self._found[:n].tolist()}
        return found

    def text(self, line: int | None) -> str:
        """A string's text; "" for what is none."""
        if line is None:
            return ""
        return text_of(self.tape, line) or ""

    def tag(self, row: int) -> str:
        return self.text(self.members(int(self._table[row, 3])).get("tagName")).lower()

    def gather(self, rows: Array) -> None:
        """What the names of some nodes need, in one call."""
        first = self._used
        self._used = last = int(
            walk.elements(
                self.tape.lines, self._table, self._keys, self._order, rows, self._field, self._seen, self._around,
                self._lines, first,
            )
        )  # fmt: skip
        found = self._lines[first:last]
        places, columns = np.nonzero(found >= 0)
        lines = found[places, columns]
        given: list[dict[str, str]] = [{} for _ in range(last - first)]
        for place, column, line, span in zip(
            places.tolist(), columns.tolist(), lines.tolist(), self.tape.lines[lines].tolist(), strict=True
        ):
            given[place][_NAMING[column]] = self._text(line, span)
        for (row, above), attributes in zip(self._around[first:last].tolist(), given, strict=True):
            tag = attributes.pop("", "").lower()
            self._told[row] = Told(
                (tag, attributes, partial(self.content, row)), above, _own(tag, attributes), is_active(tag, attributes)
            )

    def _text(self, line: int, span: list[int]) -> str:
        kind, start, stop, _ = span
        if kind & 0xFF == leaves.STRING:
            return str(self._bytes[start:stop], "utf-8", "replace")
        return self.text(line)

    def told(self, row: int) -> Told:
        """An element as names need it: of those above many elements, once."""
        if row not in self._told:
            self.gather(np.array([row], np.int64))
        return self._told[row]

    def content(self, row: int, most: int = 200) -> str:
        """What an element reads, as far as it is short."""
        parts: list[str] = []
        todo = [row]
        seen = 0
        while todo and seen < 64:
            at = todo.pop()
            seen += 1
            told = self.text(self.members(int(self._table[at, 3])).get("textContent"))
            if told and self.tag(at) == "":
                parts.append(told)
            elif self.tag(at) not in ("style", "script", "noscript"):
                todo += reversed(self.children(at))
            if sum(map(len, parts)) > most:
                break
        return shown(" ".join(parts))

    def name(self, snapshot: int, node: int) -> str | None:
        """The name of the element that a node belongs to: what can be operated, if it lies in that; None if unknown."""
        row = self.find(snapshot, node)
        return None if row < 0 else self.name_at(row)

    def name_at(self, row: int) -> str | None:
        """The same of the node in a row."""
        one = self.told(row)
        chain = self._chain(row if one.element[0] else one.above)
        return _name(chain) if chain else None

    def _chain(self, row: int) -> list[Told]:
        """An element and those around it, UP at most."""
        path: list[int] = []
        while row >= 0 and row not in self._chains and self.told(row).element[0] and len(path) <= self._used:
            path.append(row)
            row = self.told(row).above
        chain = self._chains.get(row, [])
        for at in reversed(path):
            chain = self._chains[at] = [self.told(at), *chain[: UP - 1]]
        return chain

    def names(self, snapshot: int, node: int) -> str | None:
        """The name of an element that is a feature by itself: it can be operated, or has a name of its own outside of
        what can; None for all others."""
        row = self.find(snapshot, node)
        told = self.told(row) if row >= 0 else None
        if told is None or not (told.active or told.own):
            return None
        name = self.name(snapshot, node)
        return name if told.active or name == told.own else None


def name_of(chain: Sequence[Element]) -> str:
    """The name of the first of some elements, each inside the next: of what can be operated, if it lies in that."""
    return _name([Told(one, -1, _own(one[0], one[1]), is_active(one[0], one[1])) for one in chain])


def _name(chain: Sequence[Told]) -> str:
    for one in chain:
        if one.active:
            return one.own or _named(one.element) or _within(chain, one.element[0])
    return chain[0].own or _within(chain, chain[0].element[0])


def is_active(tag: str, attributes: Mapping[str, str]) -> bool:
    """Whether it can be operated."""
    return tag in ACTIVE or attributes.get("role") in ROLES or "onclick" in attributes


def _own(tag: str, attributes: Mapping[str, str]) -> str | None:
    """By what somebody gave it as a name: a data attribute, an id."""
    if not attributes:
        return None
    for mark in MARKS:
        if attributes.get(mark):
            return f"{tag}[{mark}={shown(attributes[mark])}]"
    given = attributes.get("id", "")
    return f"{tag}#{shown(given)}" if given and not is_made(given) else None


def _named(one: Element) -> str | None:
    """By its role and what it reads."""
    tag, attributes, content = one
    role = attributes.get("role") or tag
    for told in (attributes.get("aria-label"), content(), attributes.get("title"), attributes.get("alt")):
        if told and told.strip():
            return f'{role} "{shown(told)}"'
    if attributes.get("name"):
        return f"{role}[name={shown(attributes['name'])}]"
    return f"{role}[type={attributes['type']}]" if attributes.get("type") else None


def _within(chain: Sequence[Told], tag: str) -> str:
    """By the nearest ancestor that has a name."""
    return next((f"{one.own} {tag}" for one in chain if one.own), tag)


def text_of(tape: Tape, line: int) -> str | None:
    """The text of a string on the tape, "" for what is none; None where it holds a NUL or half a surrogate."""
    kind, start, stop, _ = tape.lines[line].tolist()
    if kind & 0xFF == leaves.STRING:
        return tape.data[start:stop].tobytes().decode("utf-8", "replace")
    if kind & 0xFF != leaves.ESCAPED:
        return ""
    out = np.empty(stop - start + PAD, np.uint8)
    used = int(unescaped(tape.data, start, stop, out))
    return None if used < 0 else out[:used].tobytes().decode("utf-8", "replace")
