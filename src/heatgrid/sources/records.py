"""JSON records as columns: which values are wanted, and Arrow arrays of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heatgrid.cpu import json as leaves
from heatgrid.cpu import jsonpick
from heatgrid.cpu.json import PAD

Array = npt.NDArray[Any]
MOST_BYTES = 1 << 30
"""Of a text, so that 32 bits tell a place."""


class Words:
    """Keys that are wanted; what lies under any other is checked and passed over."""

    def __init__(self, words: Iterable[str]) -> None:
        self.names = list(dict.fromkeys(words))
        coded = [word.encode() for word in self.names]
        self.text = padded(b"".join(coded))
        self.ends = np.concatenate([[0], np.cumsum([len(word) for word in coded])]).astype(np.int32)
        self.table = np.full(leaves.TABLE, -1, np.int32)
        if 4 * len(self.names) > leaves.TABLE:
            raise ValueError(f"{len(self.names)} words")
        leaves.enter(self.text, self.ends, self.table)
        self.code = {name: number + 1 for number, name in enumerate(self.names)}


def padded(data: bytes | memoryview) -> Array:
    """Bytes with what the leaves may read beyond them."""
    out = np.empty(len(data) + PAD, np.uint8)
    out[: len(data)] = np.frombuffer(data, np.uint8)
    out[len(data) :] = 0
    return out


class Tape:
    """The wanted values of some records; see cpu/json.py."""

    def __init__(self, data: Array, starts: Array, stops: Array, words: Words) -> None:
        """data : uint8 with PAD bytes after the last text. starts, stops : int64, the bytes of each record."""
        self.data, self.starts = data, starts
        n = len(starts)
        self.roots = np.empty(n, np.int32)
        self.faults = np.zeros(n, np.int64)
        size = int((stops - starts).sum())
        self.lines = np.empty((64 + size // 16, 4), np.int32)
        stack = np.empty((leaves.DEEPEST, 2), np.int64)
        done = used = 0
        while True:
            done, used = leaves.tape(
                data, starts, stops, done, words.text, words.ends, words.table, self.lines, used, self.roots,
                self.faults, stack,
            )  # fmt: skip
            if done == n:
                break
            more = np.empty((3 * len(self.lines), 4), np.int32)
            more[:used] = self.lines[:used]
            self.lines = more
        self.used = used


class Paths:
    """Dotted paths into records, as a tree of words."""

    def __init__(self, paths: Sequence[tuple[str, ...]], words: Words | None = None, more: Sequence[str] = ()) -> None:
        """more : words that are no part of a path, but whose values are looked at."""
        self.words = words or Words([*(word for path in paths for word in path), *more])
        nodes: list[dict[str, int]] = [{}]
        ends: dict[int, int] = {}
        for column, path in enumerate(paths):
            node = 0
            for word in path:
                if word not in nodes[node]:
                    nodes[node][word] = len(nodes)
                    nodes.append({})
                node = nodes[node][word]
            ends[node] = column
        if len(ends) < len(paths):
            raise ValueError("two columns of one path: the first of them would be empty")
        self.size = len(paths)
        self.child = np.full((len(nodes), len(self.words.names) + 1), -1, np.int16)
        self.column = np.full(len(nodes), -1, np.int16)
        for node, below in enumerate(nodes):
            for word, to in below.items():
                self.child[node, self.words.code[word]] = to
        for node, column in ends.items():
            self.column[node] = column

    def find(self, tape: Tape) -> Array:
        """int32 (paths, records): the line of each value, or -1."""
        found = np.empty((self.size, len(tape.roots)), np.int32)
        stack = np.empty((jsonpick.MOST_DEEP, 2), np.int64)
        jsonpick.pick(tape.lines, tape.roots, self.child, self.column, stack, found)
        return found


def texts(tape: Tape, found: Array, bad: Array) -> pa.Array:
    """Values as texts; records with one that is none are marked in ``bad``."""
    n = len(found)
    offsets, valid = np.empty(n + 1, np.int32), np.empty(n, np.uint8)
    out = np.empty(int(jsonpick.sizes(tape.lines, found)), np.uint8)
    used = int(jsonpick.texts(tape.data, tape.lines, found, offsets, out, valid, bad))
    buffers = [_bitmap(valid), pa.py_buffer(offsets), pa.py_buffer(out[:used])]
    return pa.Array.from_buffers(pa.string(), n, buffers)


def numbers(tape: Tape, found: Array) -> pa.Array:
    """Values as float64; what is no number is null."""
    n = len(found)
    out, what = np.empty(n), np.empty(n, np.uint8)
    if jsonpick.numbers(tape.data, tape.lines, found, out, what):
        for r in np.flatnonzero(what == jsonpick.HARD).tolist():
            start, stop = tape.lines[found[r], 1:3].tolist()
            out[r] = float(tape.data[start:stop].tobytes())
        what[what == jsonpick.WRONG] = jsonpick.NOTHING
    return pa.Array.from_buffers(pa.float64(), n, [_bitmap(what != jsonpick.NOTHING), pa.py_buffer(out)])


def _bitmap(valid: Array) -> pa.Buffer:
    return pa.py_buffer(np.packbits(valid.astype(bool), bitorder="little"))


class Records:
    """Some JSON records and the values at the paths that are wanted of them."""

    def __init__(self, paths: Paths, data: Array, starts: Array, stops: Array, named: Sequence[str]) -> None:
        self.words = paths.words
        self.tape = Tape(data, starts, stops, paths.words)
        self._found = paths.find(self.tape)
        self._place = {name: column for column, name in enumerate(named)}
        self.bad = np.zeros(len(starts), np.uint8)
        """1 where a text that was taken is none (a NUL, half a surrogate)."""

    def text(self, name: str) -> pa.Array:
        return texts(self.tape, self._found[self._place[name]], self.bad)

    def number(self, name: str) -> pa.Array:
        return numbers(self.tape, self._found[self._place[name]])

    def entries(self, name: str, wanted: Sequence[str]) -> Entries:
        """Of an array of {"key": ..., "value": {type: value}}, the values of the keys that are wanted."""
        column = np.full(len(self.words.names) + 1, -1, np.int32)
        for place, key in enumerate(wanted):
            column[self.words.code[key]] = place
        found = np.empty((len(wanted), len(self.tape.roots)), np.int32)
        jsonpick.keyed(
            self.tape.data, self.tape.lines, self._found[self._place[name]], self.words.code["key"],
            self.words.code["value"], self.words.text, self.words.ends, self.words.table, column, found,
        )  # fmt: skip
        return Entries(self, {key: found[place] for place, key in enumerate(wanted)})


class Entries:
    """Values of an array's entries, by their keys."""

    def __init__(self, records: Records, found: dict[str, Array]) -> None:
        self._records, self._found = records, found

    def text(self, key: str) -> pa.Array:
        return texts(self._records.tape, self._found[key], self._records.bad)

    def number(self, key: str) -> pa.Array:
        return numbers(self._records.tape, self._found[key])


def lines_of(data: bytes) -> tuple[Array, Array, Array]:
    """(padded bytes, where each line begins, where it ends)."""
    memory = padded(data)
    ends = np.flatnonzero(memory[: len(data)] == 0x0A)
    starts = np.concatenate([[0], ends + 1])
    stops = np.append(ends, len(data))
    if starts[-1] == len(data):
        starts, stops = starts[:-1], stops[:-1]
    return memory, starts.astype(np.int64), stops.astype(np.int64)


def spans_of(column: pa.Array) -> tuple[Array, Array, Array]:
    """The same of a column of texts; a null is empty."""
    column = column.cast(pa.large_string())
    n = len(column)
    _, offsets, data = column.buffers()
    at = np.frombuffer(offsets, np.int64)[column.offset : column.offset + n + 1] if n else np.zeros(1, np.int64)
    first, last = int(at[0]), int(at[-1])
    memory = padded(memoryview(data)[first:last]) if data is not None else padded(b"")
    starts, stops = at[:-1] - first, at[1:] - first
    if column.null_count:
        stops = np.where(np.asarray(column.is_null()), starts, stops)
    return memory, np.ascontiguousarray(starts), np.ascontiguousarray(stops)
