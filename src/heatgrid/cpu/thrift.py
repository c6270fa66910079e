"""What a Parquet file says of itself: page headers and the column chunks of its footer (Thrift's compact protocol).

Every position is checked against the end of the bytes; -1 is the answer to anything that is not understood. Source:
the Parquet format's thrift definition, https://github.com/apache/parquet-format.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import brief, tight

I32, I64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12
DEEPEST = 32

KIND, ENCODING, VALUES, START, STORED, SIZE, LEVELS, PACKED = range(8)
"""A page: its kind, the encoding of its values, how many (nulls too), first byte, bytes stored, bytes of its content,
bytes of the levels in front (version 2; -1: levels that are not known here), is the content compressed."""
PAGE_FIELDS = 8
DATA, INDEX, DICTIONARY, DATA_2 = range(4)
"""Kinds of pages; there is nothing to read in an index page."""
_HEADER = 5
"""Field of a page's header that describes a page of kind 0; those of the kinds after it follow."""

C_TYPE, C_CODEC, C_VALUES, C_STORED, C_DATA, C_DICTIONARY, C_ELSEWHERE, C_ROWS = range(8)
"""A column chunk: physical type, codec, values, bytes stored, offsets of the first data page and the dictionary
(0: none), is it in another file or encrypted, rows of its row group."""
C_LEAST, C_LEAST_SIZE, C_MOST, C_MOST_SIZE, C_NULLS = range(8, 13)
"""Its statistics: where the bytes of the least and of the greatest value are in the footer and how many, and the nulls;
sizes and nulls are -1 where they are not told (or, of the ends, where the footer tells no order of values)."""
CHUNK_FIELDS = 13


@tight
def varint(b: Any, i: Any, end: Any) -> Any:
    """(value, position behind it), the position -1 where the bytes end or the number has more than 64 bits."""
    value = np.uint64(0)
    shift = np.uint64(0)
    while True:
        if i >= end or shift > np.uint64(63):
            return np.int64(0), np.int64(-1)
        byte = np.uint64(b[i])
        i += 1
        value |= (byte & np.uint64(127)) << shift
        shift += np.uint64(7)
        if byte < np.uint64(128):
            return np.int64(value), np.int64(i)


@tight
def zigzag(b: Any, i: Any, end: Any) -> Any:
    """(signed number, position behind it)."""
    value, i = varint(b, i, end)
    return np.int64(np.uint64(value) >> np.uint64(1)) ^ -(value & 1), i


@tight
def field(b: Any, i: Any, end: Any, before: Any) -> Any:
    """(id, type, position) of the next field of a struct; type 0: the struct has ended, -1: broken, as is position."""
    if i < 0 or i >= end:
        return before, np.int64(-1), np.int64(-1)
    head = np.int64(b[i])
    i += 1
    kind = head & 15
    if kind == 0:
        return before, np.int64(0), np.int64(i)
    number = before + (head >> 4)
    if head >> 4 == 0:
        number, i = zigzag(b, i, end)
    return number, kind if i >= 0 else np.int64(-1), np.int64(i)


@tight
def listed(b: Any, i: Any, end: Any) -> Any:
    """(length, type of the elements, position) of a list."""
    if i < 0 or i >= end:
        return np.int64(0), np.int64(0), np.int64(-1)
    head = np.int64(b[i])
    i += 1
    size = head >> 4
    if size == 15:
        size, i = varint(b, i, end)
    if i < 0 or size < 0 or size > end - i:
        return np.int64(0), np.int64(0), np.int64(-1)
    return size, head & 15, np.int64(i)


@tight
def skip(b: Any, i: Any, end: Any, kind: Any, stack: Any) -> Any:
    """The position behind a value of a struct's field. stack : int64 (DEEPEST, 2) of elements still to come."""
    depth = 0
    while True:
        if i < 0 or i > end:
            return np.int64(-1)
        if kind == 3:
            i += 1
        elif 4 <= kind <= 6:
            _, i = varint(b, i, end)
        elif kind == 7:
            i += 8
        elif kind == BINARY:
            size, i = varint(b, i, end)
            if i < 0 or size < 0 or size > end - i:
                return np.int64(-1)
            i += size
        elif kind == LIST or kind == LIST + 1 or kind == STRUCT:
            if depth == DEEPEST:
                return np.int64(-1)
            stack[depth, 0] = STRUCT
            stack[depth, 1] = -1
            if kind != STRUCT:
                stack[depth, 1], stack[depth, 0], i = listed(b, i, end)
            depth += 1
        elif kind != 1 and kind != 2:
            return np.int64(-1)
        while depth > 0 and i >= 0:
            if stack[depth - 1, 1] < 0:
                _, kind, i = field(b, i, end, np.int64(0))
                if kind > 0:
                    break
            elif stack[depth - 1, 1] > 0:
                stack[depth - 1, 1] -= 1
                kind = stack[depth - 1, 0]
                # a truth value is in the head of a field, but a byte of a list
                kind = np.int64(3) if kind <= 2 else kind
                break
            depth -= 1
        if i < 0 or i > end:
            return np.int64(-1)
        if depth == 0:
            return np.int64(i)


@brief
def pages(b: Any, end: Any, stack: Any, out: Any) -> Any:
    """The pages of a column chunk, whose bytes are b[:end], into out (n, PAGE_FIELDS). Returns how many, or -1;
    where out has no room for them, twice its length."""
    i = np.int64(0)
    n = 0
    while i < end:
        if n == out.shape[0]:
            return np.int64(2 * n)
        out[n, :] = 0
        out[n, PACKED] = 1
        described = np.int64(-1)
        seen = np.int64(0)
        number = np.int64(0)
        while True:
            number, kind, i = field(b, i, end, number)
            if kind == 0:
                break
            if kind < 0:
                return np.int64(-1)
            if kind == I32 and 1 <= number <= 3:
                place = KIND if number == 1 else SIZE if number == 2 else STORED
                out[n, place], i = zigzag(b, i, end)
                seen |= 1 << number
            elif kind == STRUCT and _HEADER + DATA <= number <= _HEADER + DATA_2 and number != _HEADER + INDEX:
                if described >= 0:
                    return np.int64(-1)
                described = number - _HEADER
                i = _page_of_values(b, i, end, described, stack, out[n])
            else:
                i = skip(b, i, end, kind, stack)
        if seen != 0b1110 or out[n, STORED] < 0 or out[n, SIZE] < 0 or out[n, STORED] > end - i:
            return np.int64(-1)
        out[n, START] = i
        i += out[n, STORED]
        if out[n, KIND] != INDEX:
            if out[n, KIND] != described or out[n, VALUES] < 0:
                return np.int64(-1)
            n += 1
    return np.int64(n)


@tight
def _page_of_values(b: Any, i: Any, end: Any, which: Any, stack: Any, page: Any) -> Any:
    """The description of a DATA, DICTIONARY or DATA_2 page; the position behind it, -1 if one of its numbers is
    missing."""
    known = np.int64(6) if which == DATA_2 else np.int64(4) if which == DATA else np.int64(2)
    nulls = np.int64(0)
    rows = np.int64(-1)
    repeated = np.int64(0)
    seen = np.int64(0)
    number = np.int64(0)
    while True:
        number, kind, i = field(b, i, end, number)
        if kind <= 0:
            break
        if kind == I32 and 1 <= number <= known:
            value, i = zigzag(b, i, end)
            seen |= 1 << number
            if number == 1:
                page[VALUES] = value
            elif number == (4 if which == DATA_2 else 2):
                page[ENCODING] = value
            elif which == DATA_2 and number == 2:
                nulls = value
            elif which == DATA_2 and number == 3:
                rows = value
            elif which == DATA_2 and number == 5:
                page[LEVELS] = value
            elif which == DATA_2:
                repeated = value
            elif which == DATA and number == 3:
                # levels in the old order of bits are nobody's any more
                page[LEVELS] = 0 if value == 3 else -1
        elif which == DATA_2 and number == 7 and kind <= 2:
            page[PACKED] = 2 - kind
        else:
            i = skip(b, i, end, kind, stack)
    if which == DATA_2 and (repeated != 0 or rows != page[VALUES] or not 0 <= nulls <= rows):
        page[LEVELS] = -1
    return i if seen == (2 << known) - 2 else np.int64(-1)


@tight
def chunks(b: Any, end: Any, n_columns: Any, stack: Any, out: Any) -> Any:
    """The column chunks of a footer b[:end], into out (row groups, n_columns, CHUNK_FIELDS). Returns the number of
    row groups, or -1 where the footer is not understood."""
    groups = np.int64(-1)
    ordered = False
    i = np.int64(0)
    number = np.int64(0)
    while True:
        number, kind, i = field(b, i, end, number)
        if kind == 0:
            for g in range(0 if ordered else groups):
                out[g, :, C_LEAST_SIZE] = -1
                out[g, :, C_MOST_SIZE] = -1
            return groups
        if kind < 0:
            return np.int64(-1)
        if number == 7 and kind == LIST:
            ordered, i = _ordered(b, i, end, stack)
            continue
        if number != 4 or kind != LIST:
            i = skip(b, i, end, kind, stack)
            continue
        groups, element, i = listed(b, i, end)
        if groups > out.shape[0] or (groups > 0 and element != STRUCT):
            return np.int64(-1)
        for g in range(groups):
            i = _row_group(b, i, end, n_columns, stack, out[g])


@tight
def _ordered(b: Any, i: Any, end: Any, stack: Any) -> Any:
    """(are the values of all columns in the order of their type, position) of a footer's list of orders."""
    count, element, i = listed(b, i, end)
    same = element == STRUCT
    for _ in range(count):
        number, kind, i = field(b, i, end, np.int64(0))
        same = same and number == 1 and kind == STRUCT
        while kind > 0:
            i = skip(b, i, end, kind, stack)
            number, kind, i = field(b, i, end, number)
        if kind < 0:
            return False, np.int64(-1)
    return same, i


@tight
def _statistics(b: Any, i: Any, end: Any, stack: Any, out: Any) -> Any:
    """A column chunk's statistics into its fields; the position behind them."""
    number = np.int64(0)
    while True:
        number, kind, i = field(b, i, end, number)
        if kind <= 0:
            return i
        if number == 3 and kind == I64:
            out[C_NULLS], i = zigzag(b, i, end)
        elif (number == 5 or number == 6) and kind == BINARY:
            size, at = varint(b, i, end)
            out[C_MOST if number == 5 else C_LEAST] = at
            out[C_MOST_SIZE if number == 5 else C_LEAST_SIZE] = size
            i = skip(b, i, end, kind, stack)
        else:
            i = skip(b, i, end, kind, stack)


@tight
def _row_group(b: Any, i: Any, end: Any, n_columns: Any, stack: Any, out: Any) -> Any:
    rows = np.int64(-1)
    found = np.int64(0)
    number = np.int64(0)
    while True:
        number, kind, i = field(b, i, end, number)
        if kind <= 0:
            break
        if number == 1 and kind == LIST:
            found, element, i = listed(b, i, end)
            if found != n_columns or element != STRUCT:
                return np.int64(-1)
            for c in range(found):
                i = _chunk(b, i, end, stack, out[c])
        elif number == 3 and kind == I64:
            rows, i = zigzag(b, i, end)
        else:
            i = skip(b, i, end, kind, stack)
    for c in range(found):
        out[c, C_ROWS] = rows
    return i if found == n_columns else np.int64(-1)


@tight
def _chunk(b: Any, i: Any, end: Any, stack: Any, out: Any) -> Any:
    for f in range(CHUNK_FIELDS):
        out[f] = 0
    out[C_TYPE] = -1
    out[C_LEAST_SIZE] = -1
    out[C_MOST_SIZE] = -1
    out[C_NULLS] = -1
    number = np.int64(0)
    while True:
        number, kind, i = field(b, i, end, number)
        if kind <= 0:
            return i
        if number == 1 or number == 8 or number == 9:
            # in another file, or encrypted
            out[C_ELSEWHERE] = 1
        if number != 3 or kind != STRUCT:
            i = skip(b, i, end, kind, stack)
            continue
        inner = np.int64(0)
        while True:
            inner, kind, i = field(b, i, end, inner)
            if kind <= 0:
                break
            place = np.int64(-1)
            if inner == 1:
                place = np.int64(C_TYPE)
            elif inner == 4:
                place = np.int64(C_CODEC)
            elif inner == 5:
                place = np.int64(C_VALUES)
            elif inner == 7:
                place = np.int64(C_STORED)
            elif inner == 9:
                place = np.int64(C_DATA)
            elif inner == 11:
                place = np.int64(C_DICTIONARY)
            if place >= 0 and kind == (I32 if inner < 5 else I64):
                out[place], i = zigzag(b, i, end)
            elif inner == 12 and kind == STRUCT:
                i = _statistics(b, i, end, stack, out)
            else:
                i = skip(b, i, end, kind, stack)
        if kind < 0:
            return np.int64(-1)
