"""Snappy's block format, so that a column chunk is decoded by one call that holds no lock.

A page holds some ten thousand bytes: pyarrow's codec asks for Python's lock twice a page, a hundred times a row group.
Source: https://github.com/google/snappy/blob/main/format_description.txt
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.intrinsics import copy_bytes, load64, store64
from heatgrid.cpu.jit import tight

SLACK = 16
"""Bytes that must be there behind the last one of input and output: short pieces are copied whole words at a time (a
call for each was 1.7 ns a byte of a dictionary of numbers, this is 1.2)."""


@tight
def unpack(b: Any, i: Any, end: Any, out: Any, size: Any) -> Any:
    """Decompress b[i:end] into out[:size]. True if it was exactly `size` bytes and nothing was out of place."""
    length = np.int64(0)
    shift = 0
    while True:
        if i >= end or shift > 28:
            return False
        byte = np.int64(b[i])
        i += 1
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    if length != size:
        return False
    o = np.int64(0)
    while i < end:
        tag = np.int64(b[i])
        i += 1
        if tag & 3 == 0:
            n = tag >> 2
            if n >= 60:
                extra = n - 59
                if extra > end - i:
                    return False
                n = _number(b, i, extra)
                i += extra
            n += 1
            if n > end - i or n > size - o:
                return False
            if n <= 16:
                store64(out, o, load64(b, i))
                store64(out, o + 8, load64(b, i + 8))
            else:
                copy_bytes(out, o, b, i, n)
            i += n
            o += n
            continue
        if tag & 3 == 1:
            if i >= end:
                return False
            n = 4 + ((tag >> 2) & 7)
            back = ((tag >> 5) << 8) | np.int64(b[i])
            i += 1
        else:
            wide = 2 if tag & 3 == 2 else 4
            if wide > end - i:
                return False
            n = 1 + (tag >> 2)
            back = _number(b, i, wide)
            i += wide
        if back == 0 or back > o or n > size - o:
            return False
        if back >= 8:
            for k in range(0, n, 8):
                store64(out, o + k, load64(out, o + k - back))
        else:
            # source and target overlap within a word: the same bytes again and again
            for k in range(n):
                out[o + k] = out[o + k - back]
        o += n
    return o == size


@tight
def _number(b: Any, i: Any, wide: Any) -> Any:
    """The little-endian number of at most 4 bytes at b[i]."""
    return np.int64(load64(b, i) & ((np.uint64(1) << np.uint64(8 * wide)) - np.uint64(1)))
