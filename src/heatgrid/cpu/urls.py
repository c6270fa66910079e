"""URLs shortened to what their page key needs, many at a time: the common rules of words/pages.py, on bytes.

What these loops do not know (routes in fragments, hosts without a scheme) they leave whole, and parts that are e-mail
addresses or escaped stay as they are: the page key of a shortened URL is that of the URL.
"""

from __future__ import annotations

from typing import Any

from heatgrid.cpu.jit import fused, tight

_SLASH, _HASH, _QUERY, _COLON = 0x2F, 0x23, 0x3F, 0x3A
_LONGEST_SCHEME = 16


@fused
def _is_hex(byte: int) -> bool:
    return 0x30 <= byte <= 0x39 or 0x61 <= (byte | 0x20) <= 0x66


@tight
def is_id(data: Any, start: int, stop: int) -> bool:
    """Whether a part of a path is an integer, hex of 8 and more digits, or a UUID."""
    size = stop - start
    if size == 0:
        return False
    digits, hexes, dashes = 0, 0, 0
    for p in range(start, stop):
        byte = data[p]
        if 0x30 <= byte <= 0x39:
            digits += 1
        if _is_hex(byte):
            hexes += 1
        at = p - start
        if byte == 0x2D and (at == 8 or at == 13 or at == 18 or at == 23):
            dashes += 1
    return digits == size or (hexes == size and size >= 8) or (size == 36 and dashes == 4 and hexes == 32)


@tight
def path_of(data: Any, start: int, stop: int) -> int:
    """Where the path begins: behind ``scheme://host``, or at a slash; -1 if this is another text."""
    if start == stop:
        return -1
    if data[start] == _SLASH:
        return start
    p = start
    while p < stop and p - start < _LONGEST_SCHEME and data[p] != _COLON:
        byte = data[p] | 0x20
        if not (0x61 <= byte <= 0x7A):
            return -1
        p += 1
    if p == start or p + 2 >= stop or data[p] != _COLON or data[p + 1] != _SLASH or data[p + 2] != _SLASH:
        return -1
    p += 3
    while p < stop and data[p] != _SLASH and data[p] != _QUERY and data[p] != _HASH:
        p += 1
    return p


@tight
def end_of_path(data: Any, start: int, stop: int) -> int:
    """Where the path ends; -1 if more than a slash begins it, or a route follows it."""
    if start + 1 < stop and data[start] == _SLASH and data[start + 1] == _SLASH:
        return -1
    p = start
    while p < stop and data[p] != _QUERY and data[p] != _HASH:
        p += 1
    end = p
    while p < stop and data[p] != _HASH:
        p += 1
    return -1 if p + 1 < stop and data[p + 1] == _SLASH else end


@tight
def shorten(starts: Any, data: Any, out: Any, ends: Any) -> int:
    """Each text's path with ``:id`` for its ids into ``out`` (uint8, 2 bytes for each of data), else the text itself.

    starts : int64, n + 1 offsets into ``data`` (uint8). ends : int64, n + 1 offsets into ``out``. Returns its length.
    """
    used = 0
    ends[0] = 0
    for i in range(starts.shape[0] - 1):
        start, stop = starts[i], starts[i + 1]
        first = path_of(data, start, stop)
        end = end_of_path(data, first, stop) if first >= 0 else -1
        if end < 0:
            for p in range(start, stop):
                out[used] = data[p]
                used += 1
            ends[i + 1] = used
            continue
        while end > first and data[end - 1] == _SLASH:
            end -= 1
        if end == first:
            out[used] = _SLASH
            used += 1
        part = first
        while part < end:  # each part begins with its slash
            out[used] = _SLASH
            used += 1
            after = part + 1
            while after < end and data[after] != _SLASH:
                after += 1
            if is_id(data, part + 1, after):
                out[used], out[used + 1], out[used + 2] = _COLON, 0x69, 0x64
                used += 3
            else:
                for p in range(part + 1, after):
                    out[used] = data[p]
                    used += 1
            part = after
        ends[i + 1] = used
    return used
