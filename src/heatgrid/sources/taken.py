"""The rows that a where lets through, taken from columns that are in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heatgrid.cpu import bits as bitmaps
from heatgrid.cpu import chosen, taken
from heatgrid.engine.columns import writable
from heatgrid.engine.names import bitmap, indices_of
from heatgrid.sources.layouts import over_values, storage, text

FROM_ROWS = 1 << 16
"""Below it Arrow's own kernels: nothing is compiled for a small input."""


def answers(array: pa.Array, ask: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """A true, false or null of each row, asked once for each entry of a dictionary."""
    array = storage(array)
    if len(array) < FROM_ROWS or not isinstance(array, pa.DictionaryArray) or not len(array.dictionary):
        return over_values(array, ask)
    found = over_values(array.dictionary, ask)
    data = _marks(array, found.fill_null(False))
    unknown = found.null_count > 0
    if not unknown and not array.indices.null_count:
        return pa.Array.from_buffers(pa.bool_(), len(array), [None, pa.py_buffer(data)])
    known = _marks(array, found.is_valid()) if unknown else np.full((len(array) + 7) // 8, 255, np.uint8)
    if array.indices.null_count:
        bits, offset = bitmap(array.indices)
        bitmaps.and_bits(writable(bits), offset, len(array), known)
    return pa.Array.from_buffers(pa.bool_(), len(array), [pa.py_buffer(known), pa.py_buffer(data)])


def _marks(array: pa.DictionaryArray, by_entry: pa.Array) -> npt.NDArray[np.uint8]:
    out = np.zeros((len(array) + 7) // 8, np.uint8)
    table = np.asarray(by_entry.to_numpy(zero_copy_only=False)).astype(np.uint8)
    taken.marks(writable(indices_of(array)), table, out)
    return out


class Taken:
    """The rows where a mask is true; null is false."""

    def __init__(self, mask: pa.Array) -> None:
        n = len(mask)
        valid, data = mask.buffers()
        self._mask = mask
        self._rows: npt.NDArray[np.int32] | None = None
        if n < FROM_ROWS or mask.offset:
            self.count = mask.true_count
            return
        words = np.zeros(n // 64 + 2, np.uint64)
        packed = words.view(np.uint8)[: (n + 7) // 8]
        packed[:] = np.frombuffer(data, np.uint8)[: len(packed)]
        if valid is not None:
            packed &= np.frombuffer(valid, np.uint8)[: len(packed)]
        words[n // 64] &= np.uint64((1 << n % 64) - 1)
        self.count = int(chosen.count(words, n))
        self._rows = np.empty(self.count, np.int32)
        chosen.rows_of(words, self._rows)

    def __call__(self, column: pa.Array) -> pa.Array:
        """These rows of a column."""
        if self.count == len(self._mask):
            return column
        column = storage(column)
        if isinstance(column, pa.DictionaryArray):
            return pa.DictionaryArray.from_arrays(self(column.indices), column.dictionary, safe=False)
        kind = column.type
        fixed = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_temporal(kind)
        if self._rows is None or not fixed or kind.bit_width not in (8, 16, 32, 64):
            return over_values(column, text).filter(self._mask)
        unsigned = np.dtype(f"u{kind.bit_width // 8}")
        whole = np.frombuffer(column.buffers()[1], unsigned)[column.offset : column.offset + len(column)]
        out = np.empty(self.count, unsigned)
        taken.values(writable(whole), self._rows, out)
        bits, offset = bitmap(column)
        if not len(bits):
            return pa.Array.from_buffers(kind, self.count, [None, pa.py_buffer(out)])
        there = np.zeros((self.count + 7) // 8, np.uint8)
        found = taken.valid(writable(bits), offset, self._rows, there)
        buffers = [pa.py_buffer(there), pa.py_buffer(out)]
        return pa.Array.from_buffers(kind, self.count, buffers, self.count - int(found))
