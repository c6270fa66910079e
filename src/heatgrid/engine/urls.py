"""Many URLs at once: those of a dictionary as the fewer texts that their pages need."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from heatgrid.cpu import urls


def shortened(texts: pa.Array) -> pa.DictionaryArray | None:
    """A dictionary of (large) strings, each shortened (cpu/urls.py); None where one is null."""
    if texts.null_count or not len(texts):
        return None
    wide = pa.types.is_large_string(texts.type)
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int64 if wide else np.int32)[texts.offset : texts.offset + len(texts) + 1]
    raw = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    out = np.empty(2 * int(starts[-1] - starts[0]) + 1, np.uint8)
    ends = np.empty(len(starts), np.int64)
    used = int(urls.shorten(starts.astype(np.int64), raw, out, ends))
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(out[:used])]
    return pa.Array.from_buffers(pa.large_string(), len(texts), buffers).dictionary_encode()
