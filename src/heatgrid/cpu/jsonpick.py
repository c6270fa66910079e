"""Columns from a JSON tape: the value at a path in each record, its text, its number."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.intrinsics import copy_bytes
from heatgrid.cpu.jit import tight
from heatgrid.cpu.json import ARRAY, ESCAPED, FALSE, NULL, NUMBER, OBJECT, STRING, TRUE, word_of

MOST_DEEP = 16
_TENS = 10.0 ** np.arange(23)
NOTHING, WHOLE, REAL, HARD, WRONG = range(5)
"""What a value is as a number: none (null, absent), an integer, a float, one that needs exact arithmetic, no number."""


@tight
def pick(lines: Any, roots: Any, child: Any, column: Any, stack: Any, found: Any) -> None:
    """found[c, r] (int32) = the line of column c's value in record r, -1 if it has none; the last one of equal keys.

    child : int16 (nodes, words + 1), the node that a word leads to, or -1. column : int16 (nodes), the column that ends
    there, or -1. Node 0 is the record itself. stack : int64 (MOST_DEEP, 2).
    """
    for r in range(roots.shape[0]):
        for c in range(found.shape[0]):
            found[c, r] = -1
        root = np.int64(roots[r])
        if root < 0:
            continue
        if column[0] >= 0:
            found[column[0], r] = root
        if lines[root, 0] & 0xFF != OBJECT:
            continue
        depth = 1
        stack[0, 0] = 0
        stack[0, 1] = np.int64(lines[root, 3])
        t = root + 1
        last = np.int64(lines[root, 3])
        while t < last:
            while t >= stack[depth - 1, 1]:
                depth -= 1
            node = np.int64(child[stack[depth - 1, 0], lines[t, 0] >> 8])
            past = np.int64(lines[t, 3])
            if node >= 0:
                if column[node] >= 0:
                    found[column[node], r] = t
                if lines[t, 0] & 0xFF == OBJECT and past > t + 1 and depth < MOST_DEEP:
                    stack[depth, 0] = node
                    stack[depth, 1] = past
                    depth += 1
                    t += 1
                    continue
            t = past


@tight
def keyed(
    data: Any, lines: Any, lists: Any, key: Any, value: Any, text: Any, ends: Any, table: Any, column: Any, found: Any
) -> None:
    """found[c, r] (int32) = the line of what record r's array of {key: word, value: {type: value}} has for the word of
    column c: the first of its types that is not null; -1 without one. Of equal keys the first counts.

    lists : int32, the line of each array, or -1. key, value : the words of the two members. column : int32 (words + 1),
    the column of a word, or -1. Whatever is not as this says is passed over.
    """
    for r in range(lists.shape[0]):
        for c in range(found.shape[0]):
            found[c, r] = -1
        root = np.int64(lists[r])
        if root < 0 or lines[root, 0] & 0xFF != ARRAY:
            continue
        t = root + 1
        last = np.int64(lines[root, 3])
        while t < last:
            past = np.int64(lines[t, 3])
            of = np.int64(-1)
            at = np.int64(-1)
            m: Any = t + 1
            while m < past:
                word = lines[m, 0] >> 8
                if word == key and lines[m, 0] & 0xFF == STRING:
                    start = np.int64(lines[m, 1])
                    of = np.int64(column[word_of(data, start, np.int64(lines[m, 2]) - start, text, ends, table)])
                elif word == value and lines[m, 0] & 0xFF == OBJECT:
                    at = m
                m = np.int64(lines[m, 3])
            if of >= 0 and at >= 0 and found[of, r] < 0:
                m = at + 1
                while m < lines[at, 3]:
                    if lines[m, 0] & 0xFF != NULL:
                        found[of, r] = m
                        break
                    m = np.int64(lines[m, 3])
            t = past


@tight
def sizes(lines: Any, found: Any) -> Any:
    """Bytes that the texts of some values take at most."""
    total: Any = 0
    for r in range(found.shape[0]):
        if found[r] >= 0:
            total += np.int64(lines[found[r], 2] - lines[found[r], 1])
    return total


@tight
def _hex(data: Any, at: Any) -> Any:
    value = np.int64(0)
    for k in range(4):
        c = np.int64(data[at + k])
        value = value * 16 + (c - 0x30 if c < 0x3A else (c | 0x20) - 0x57)
    return value


@tight
def _unescape(data: Any, at: Any, stop: Any, out: Any, o: Any) -> Any:
    """A string's bytes without its escapes to out from o on: where they end; -1 for a NUL or a lone surrogate."""
    while at < stop:
        c = data[at]
        if c != 0x5C:
            out[o] = c
            o += 1
            at += 1
            continue
        c = data[at + 1]
        at += 2
        if c == 0x75:
            code = _hex(data, at)
            at += 4
            if 0xD800 <= code < 0xE000:
                low = np.int64(0)
                if code < 0xDC00 and at + 6 <= stop and data[at] == 0x5C and data[at + 1] == 0x75:
                    low = _hex(data, at + 2)
                if not 0xDC00 <= low < 0xE000:
                    return np.int64(-1)
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
                at += 6
            if code == 0:
                return np.int64(-1)
            if code < 0x80:
                out[o] = code
                o += 1
            elif code < 0x800:
                out[o] = 0xC0 | code >> 6
                out[o + 1] = 0x80 | (code & 0x3F)
                o += 2
            elif code < 0x10000:
                out[o] = 0xE0 | code >> 12
                out[o + 1] = 0x80 | (code >> 6 & 0x3F)
                out[o + 2] = 0x80 | (code & 0x3F)
                o += 3
            else:
                out[o] = 0xF0 | code >> 18
                out[o + 1] = 0x80 | (code >> 12 & 0x3F)
                out[o + 2] = 0x80 | (code >> 6 & 0x3F)
                out[o + 3] = 0x80 | (code & 0x3F)
                o += 4
            continue
        if c == 0x62:
            c = 0x08
        elif c == 0x66:
            c = 0x0C
        elif c == 0x6E:
            c = 0x0A
        elif c == 0x72:
            c = 0x0D
        elif c == 0x74:
            c = 0x09
        out[o] = c
        o += 1
    return np.int64(o)


@tight
def unescaped(data: Any, start: Any, stop: Any, out: Any) -> Any:
    """One string's bytes without its escapes; how many, or -1."""
    return _unescape(data, np.int64(start), np.int64(stop), out, np.int64(0))


@tight
def texts(data: Any, lines: Any, found: Any, offsets: Any, out: Any, valid: Any, bad: Any) -> Any:
    """Strings without their escapes, every other value as it is written; null and absent ones are not valid.

    offsets : int32 (n + 1). out : uint8, as many as ``sizes`` says. valid : uint8. bad : uint8, set to 1 where a string
    holds a NUL or half a surrogate. Returns the bytes used.
    """
    o = np.int64(0)
    for r in range(found.shape[0]):
        offsets[r] = o
        valid[r] = 0
        t = np.int64(found[r])
        if t < 0:
            continue
        kind = lines[t, 0] & 0xFF
        if kind == NULL:
            continue
        start, stop = np.int64(lines[t, 1]), np.int64(lines[t, 2])
        if kind == ESCAPED:
            end = _unescape(data, start, stop, out, o)
            if end < 0:
                bad[r] = 1
                continue
            o = end
        else:
            copy_bytes(out, o, data, start, stop - start)
            o += stop - start
        valid[r] = 1
    offsets[found.shape[0]] = o
    return o


@tight
def parse(data: Any, at: Any, stop: Any) -> Any:
    """(what it is, the integer, the float) of a number's text; exact, or HARD."""
    negative = at < stop and data[at] == 0x2D
    if negative:
        at += 1
    mantissa = np.uint64(0)
    digits = 0
    scale = 0
    point = False
    some = False
    power: Any = 0
    while at < stop:
        c = data[at]
        if np.uint8(c - 0x30) <= 9:
            some = True
            if digits or c != 0x30:
                digits += 1
            mantissa = mantissa * np.uint64(10) + np.uint64(c - 0x30)
            scale -= 1 if point else 0
        elif c == 0x2E and not point:
            point = True
        elif c | 0x20 == 0x65 and some:
            at += 1
            down = at < stop and data[at] == 0x2D
            if at < stop and (data[at] == 0x2D or data[at] == 0x2B):
                at += 1
            if at >= stop or stop - at > 4:
                return WRONG if at >= stop else HARD, np.int64(0), 0.0
            while at < stop:
                if np.uint8(data[at] - 0x30) > 9:
                    return WRONG, np.int64(0), 0.0
                power = power * 10 + np.int64(data[at] - 0x30)
                at += 1
            power = -power if down else power
            point = True
            break
        else:
            return WRONG, np.int64(0), 0.0
        at += 1
    if not some:
        return WRONG, np.int64(0), 0.0
    if digits > 18:
        return HARD, np.int64(0), 0.0
    whole = np.int64(mantissa)
    if not point:
        whole = -whole if negative else whole
        return WHOLE, whole, float(whole)
    scale += power
    if whole > 2**53 or scale > 22 or scale < -22:
        return HARD, np.int64(0), 0.0
    real = float(whole)
    real = real * _TENS[scale] if scale >= 0 else real / _TENS[-scale]
    return REAL, np.int64(0), -real if negative else real


@tight
def numbers(data: Any, lines: Any, found: Any, out: Any, what: Any) -> Any:
    """Numbers, strings that hold one, and true and false as 1 and 0, as float64; what : uint8, what each value is.

    Returns how many are HARD or WRONG.
    """
    odd = 0
    for r in range(found.shape[0]):
        what[r] = NOTHING
        out[r] = np.nan
        t = np.int64(found[r])
        if t < 0:
            continue
        kind = lines[t, 0] & 0xFF
        if kind == NULL:
            continue
        if kind == TRUE or kind == FALSE:
            what[r] = WHOLE
            out[r] = 1.0 if kind == TRUE else 0.0
            continue
        start, stop = np.int64(lines[t, 1]), np.int64(lines[t, 2])
        if kind == STRING and start == stop:
            continue
        kind_of, _, value = parse(data, start, stop) if kind == NUMBER or kind == STRING else (WRONG, np.int64(0), 0.0)
        what[r] = kind_of
        if kind_of == WHOLE or kind_of == REAL:
            out[r] = value
        else:
            odd += 1
    return odd
