"""JSON text as a tape: one line of four integers for each value that somebody asked for, in the order of the text.

Everything is checked by the grammar; what lies under a key that is not among the words is passed over and leaves no
line. Other parsers make an object of each value, with the interpreter's lock held: most of a recording is the page's
markup, of which a name here and there is wanted.

A line: (kind | word << 8, start, stop, next): the bytes [start, stop) of the text (of a string without its quotes), and
the line after the last one below this value. ``word`` is 1 + the number of its key among the words, 0 without a key
(in an array, or at the top).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.intrinsics import load32, load64, string_ends, trailing_zeros
from heatgrid.cpu.jit import tight

OBJECT, ARRAY, STRING, ESCAPED, NUMBER, TRUE, FALSE, NULL = range(1, 9)
"""Kinds; ESCAPED is a string with a backslash in it."""
DEEPEST = 1024
PAD = 64
"""Bytes after the text that must be readable."""
TABLE = 1024
"""Places of the table of words; a power of two, and at least four a word."""

_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _AFTER = range(5)
_SPACE, _QUOTE, _SLASH, _MINUS, _DOT = 0x20, 0x22, 0x5C, 0x2D, 0x2E
_TRUE, _NULL, _ALSE = (int.from_bytes(word, "little") for word in (b"true", b"null", b"alse"))
_MASKS = np.array([(1 << 8 * n) - 1 for n in range(8)] + [2**64 - 1], np.uint64)
_ODD = np.uint64(0x9E3779B97F4A7C15)


@tight
def _mix(data: Any, at: Any, length: Any) -> Any:
    """The place of a word in the table, by its first and last eight bytes and its length."""
    first = load64(data, at) & _MASKS[min(length, 8)]
    last = load64(data, at + length - 8) if length > 8 else np.uint64(0)
    h = (first ^ (last * _ODD) ^ np.uint64(length)) * _ODD
    return np.int64(h >> np.uint64(54))


@tight
def word_of(data: Any, at: Any, length: Any, text: Any, ends: Any, table: Any) -> Any:
    """1 + the number of a word, 0 for one that is not there."""
    h = _mix(data, at, length)
    while table[h] >= 0:
        w = np.int64(table[h])
        start = np.int64(ends[w])
        if ends[w + 1] - start == length:
            same = True
            for k in range(length):
                if text[start + k] != data[at + k]:
                    same = False
                    break
            if same:
                return w + 1
        h = (h + 1) & (TABLE - 1)
    return np.int64(0)


@tight
def enter(text: Any, ends: Any, table: Any) -> None:
    """Fill an empty (all -1) table with the words text[ends[w]:ends[w + 1]]; text is padded as the data are."""
    for w in range(ends.shape[0] - 1):
        h = _mix(text, np.int64(ends[w]), np.int64(ends[w + 1] - ends[w]))
        while table[h] >= 0:
            h = (h + 1) & (TABLE - 1)
        table[h] = w


@tight
def _string(data: Any, at: Any, stop: Any) -> Any:
    """(the place of the closing quote of the string that begins at ``at``, or -1; whether it holds a backslash)."""
    escaped = False
    while at < stop:
        bits = string_ends(data, at)
        if bits == 0:
            at += 32
            continue
        at += np.int64(trailing_zeros(bits))
        if at >= stop:
            break
        if data[at] == _QUOTE:
            return at, escaped
        if data[at] != _SLASH or at + 1 >= stop:
            break
        escaped = True
        c = data[at + 1]
        if c == 0x75:  # u
            if at + 6 > stop:
                break
            for k in range(2, 6):
                h = data[at + k] | 0x20
                if not (0x30 <= h <= 0x39 or 0x61 <= h <= 0x66):
                    return np.int64(-1), escaped
            at += 6
        elif c in (0x22, 0x5C, 0x2F, 0x62, 0x66, 0x6E, 0x72, 0x74):  # "\/bfnrt
            at += 2
        else:
            break
    return np.int64(-1), escaped


@tight
def _digits(data: Any, at: Any, stop: Any) -> Any:
    while at < stop and np.uint8(data[at] - 0x30) <= 9:
        at += 1
    return at


@tight
def _number(data: Any, at: Any, stop: Any) -> Any:
    """The place after the number that begins at ``at``, or -1."""
    if data[at] == _MINUS:
        at += 1
    first = at
    at = _digits(data, at, stop)
    if at == first or (data[first] == 0x30 and at > first + 1):
        return np.int64(-1)
    if at < stop and data[at] == _DOT:
        first = at + 1
        at = _digits(data, first, stop)
        if at == first:
            return np.int64(-1)
    if at < stop and data[at] | 0x20 == 0x65:  # e
        at += 1
        if at < stop and (data[at] == 0x2B or data[at] == _MINUS):
            at += 1
        first = at
        at = _digits(data, first, stop)
        if at == first:
            return np.int64(-1)
    return at


@tight
def _spaces(data: Any, at: Any, stop: Any) -> Any:
    while at < stop and (data[at] == _SPACE or data[at] == 0x0A or data[at] == 0x0D or data[at] == 0x09):
        at += 1
    return at


@tight
def tape(
    data: Any, starts: Any, stops: Any, first: Any, text: Any, ends: Any, table: Any, lines: Any, used: Any, roots: Any,
    faults: Any, stack: Any,
) -> Any:  # fmt: skip
    """The values of the texts data[starts[r]:stops[r]], from record ``first`` on, one value each.

    data : uint8, PAD readable bytes after the last text. lines : int32 (room, 4), of which ``used`` are taken.
    roots : int32, the line of each record's value; -1 for a record that is no JSON, and then faults (int64) is the
    place of the byte where it ceases to be; -2 for one of spaces alone. stack : int64 (DEEPEST, 2).
    Returns (records done, lines used); fewer than all records where the lines ran out.
    """
    room = lines.shape[0]
    for r in range(first, starts.shape[0]):
        stop = np.int64(stops[r])
        at = _spaces(data, np.int64(starts[r]), stop)
        kept = used
        roots[r] = used
        if at >= stop:
            roots[r] = -2
            continue
        depth = 0
        silent = 0  # the depth from which on nothing is kept; 0: all is
        word = 0
        expect = _VALUE
        bad = False
        while True:
            at = _spaces(data, at, stop)
            if at >= stop:
                bad = True
                break
            c = data[at]
            if expect == _AFTER:
                top = stack[depth - 1, 0]
                if c == 0x2C:
                    expect = _KEY if top & 1 else _VALUE
                    at += 1
                    continue
                if c != (0x7D if top & 1 else 0x5D):
                    bad = True
                    break
            elif expect == _KEY or (expect == _KEY_OR_END and c != 0x7D):
                if c != _QUOTE:
                    bad = True
                    break
                begin = at + 1
                at, escaped = _string(data, begin, stop)
                if at < 0:
                    at = begin
                    bad = True
                    break
                if silent == 0:
                    word = word_of(data, begin, at - begin, text, ends, table)
                at = _spaces(data, at + 1, stop)
                if at >= stop or data[at] != 0x3A:
                    bad = True
                    break
                at += 1
                expect = _VALUE
                continue
            closing = expect == _AFTER or (expect == _KEY_OR_END) or (expect == _VALUE_OR_END and c == 0x5D)
            if closing:
                depth -= 1
                line = stack[depth, 1]
                if line >= 0:
                    lines[line, 2] = at + 1
                    lines[line, 3] = used
                if silent > depth:
                    silent = 0
                at += 1
            else:
                inside = depth > 0 and stack[depth - 1, 0] & 1
                keep = silent == 0 and (word > 0 or not inside)
                kind = 0
                begin = at
                if c == _QUOTE:
                    begin = at + 1
                    at, escaped = _string(data, begin, stop)
                    if at < 0:
                        at = begin
                        bad = True
                        break
                    kind = ESCAPED if escaped else STRING
                elif c == 0x7B or c == 0x5B:
                    kind = OBJECT if c == 0x7B else ARRAY
                    if depth == DEEPEST:
                        bad = True
                        break
                elif c == _MINUS or np.uint8(c - 0x30) <= 9:
                    kind = NUMBER
                    past = _number(data, at, stop)
                    if past < 0:
                        bad = True
                        break
                    at = past
                elif c == 0x74 and at + 4 <= stop and load32(data, at) == _TRUE:
                    kind = TRUE
                    at += 4
                elif c == 0x6E and at + 4 <= stop and load32(data, at) == _NULL:
                    kind = NULL
                    at += 4
                elif c == 0x66 and at + 5 <= stop and load32(data, at + 1) == _ALSE:
                    kind = FALSE
                    at += 5
                else:
                    bad = True
                    break
                line = -1
                if keep:
                    if used == room:
                        return r, kept
                    line = used
                    lines[line, 0] = kind | word << 8
                    lines[line, 1] = begin
                    lines[line, 2] = at
                    used += 1
                    lines[line, 3] = used
                word = 0
                if kind == OBJECT or kind == ARRAY:
                    stack[depth, 0] = 1 if kind == OBJECT else 0
                    stack[depth, 1] = line
                    depth += 1
                    if silent == 0 and line < 0:
                        silent = depth
                    at += 1
                    expect = _KEY_OR_END if kind == OBJECT else _VALUE_OR_END
                    continue
                if kind == STRING or kind == ESCAPED:
                    at += 1
            if depth == 0:
                break
            expect = _AFTER
        if not bad:
            at = _spaces(data, at, stop)
            bad = at < stop
        if bad:
            roots[r] = -1
            faults[r] = at
            used = kept
    return starts.shape[0], used
