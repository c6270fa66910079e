"""Snappy's block format, so that a column chunk is decoded by one call that holds no lock.

A page holds some ten thousand bytes: pyarrow's codec asks for Python's lock twice a page, a hundred times a row group.
Source: https://github.com/google/snappy/blob/main/format_description.txt
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.intrinsics import copy_bytes
from heatgrid.cpu.jit import tight


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
    if length != size or size > out.shape[0]:
        return False
    o = np.int64(0)
    while i < end:
        tag = np.int64(b[i])
        i += 1
        if tag & 3 == 0:
            n = tag >> 2
            if n >= 60:
                extra = n - 59
                if i + extra > end:
                    return False
                n = np.int64(0)
                for k in range(extra):
                    n |= np.int64(b[i + k]) << (8 * k)
                i += extra
            n += 1
            if n > end - i or n > size - o:
                return False
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
            if i + wide > end:
                return False
            n = 1 + (tag >> 2)
            back = np.int64(0)
            for k in range(wide):
                back |= np.int64(b[i + k]) << (8 * k)
            i += wide
        if back == 0 or back > o or n > size - o:
            return False
        if back >= n:
            copy_bytes(out, o, out, o - back, n)
        else:
            # source and target overlap: the same bytes again and again
            for k in range(n):
                out[o + k] = out[o + k - back]
        o += n
    return o == size
