"""Some values of columns, read once and only when a name leaves a question open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.engine.names import as_text, run_end_decoded
from heatgrid.sources.layouts import bare, is_bytes, storage, text, utf8
from heatgrid.sources.mapping import type_of
from heatgrid.sources.parquet import ParquetPart
from heatgrid.sources.parts import Part
from heatgrid.words.errors import InputError

_PARTS = 3
_ROWS = 4_096
"""Values that are looked at of a part that is no Parquet file: a request of 10,000 rows is read in 8 ms, all of them
would take 1.5 more."""


class Sampler:
    """The first rows of a few parts; a file that cannot be read says nothing here, and why when it is scanned."""

    def __init__(self, parts: Sequence[Part]) -> None:
        ends = {0, len(parts) // 2, len(parts) - 1}
        self._parts = [parts[i] for i in sorted(ends)][:_PARTS]
        self._known: dict[str, list[pa.Array | None]] = {}

    def __call__(self, path: str) -> pa.Array | None:
        """The values of a column as they are stored, of the first part that has it and of those alike."""
        found = [array for array in self._by_part(path) if array is not None and len(array)]
        if not found:
            return None
        alike = [array for array in found if array.type == found[0].type]
        return pa.concat_arrays(alike) if len(alike) > 1 else alike[0]

    def rows(self, paths: Sequence[str]) -> list[list[npt.NDArray[np.float64]]]:
        """For each part the numbers of several columns side by side; null and what is no number is NaN."""
        out = []
        for arrays in zip(*(self._by_part(path) for path in paths), strict=True):
            numbers = [_numbers(array) for array in arrays if array is not None]
            if len(numbers) == len(paths):
                shortest = min(map(len, numbers))
                out.append([one[:shortest] for one in numbers])
        return out

    def _by_part(self, path: str) -> list[pa.Array | None]:
        if path not in self._known:
            self._known[path] = [_head(part, path) for part in self._parts]
        return self._known[path]


def _head(part: Part, path: str) -> pa.Array | None:
    if type_of(part.schema, path) is None:
        return None
    try:
        found = part.head(path) if isinstance(part, ParquetPart) else part.sample(path)
    except InputError:
        return None
    return None if found is None else _flat(found if isinstance(part, ParquetPart) else found.slice(0, _ROWS))


def _flat(array: pa.Array) -> pa.Array:
    """Values in the plainest layout of their type; bytes that are no text are null."""
    array = storage(array)
    if pa.types.is_run_end_encoded(array.type):
        return _flat(run_end_decoded(array))
    if pa.types.is_dictionary(array.type):
        return pa.DictionaryArray.from_arrays(array.indices, _flat(array.dictionary), safe=False).dictionary_decode()
    return utf8(array)[0] if is_bytes(array.type) else text(array)


def _numbers(array: pa.Array) -> npt.NDArray[np.float64]:
    kind = bare(array.type)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return _parsed(array)
    values: npt.NDArray[np.float64] = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _parsed(array: pa.Array) -> npt.NDArray[np.float64]:
    """Texts as numbers, as CSV has them."""
    texts = as_text(array, "sample")
    good = pc.match_substring_regex(texts, r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$")
    kept = pc.if_else(good, pc.utf8_trim_whitespace(texts), pa.scalar(None, texts.type))
    values: npt.NDArray[np.float64] = kept.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values
