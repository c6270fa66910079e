"""Names to codes: each distinct dictionary is translated once, and a row costs one look-up.

Codes are local to a run, in the order of first sight; results carry the names, sorted.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.cpu import columns, ids
from heatgrid.engine.columns import writable
from heatgrid.words.errors import InputError, LimitError

MOST_NAMES = 1 << 22
"""Of one dimension in a run: some 250 bytes each before anything is counted."""
MOST_RAW = 1 << 16
"""Raw values remembered: URLs with their queries may be as many as the rows, and are nobody's to keep."""
_NO_BITS = np.empty(0, np.uint8)


def bitmap(array: pa.Array) -> tuple[npt.NDArray[np.uint8], int]:
    """The validity bitmap and the array's offset in it; length 0 where all rows are valid."""
    buffer = array.buffers()[0]
    if buffer is None or array.null_count == 0:
        return _NO_BITS, 0
    return np.frombuffer(buffer, np.uint8), array.offset


def values_of(array: pa.Array) -> npt.NDArray[Any]:
    """The raw value buffer of a fixed-width array as a view; what stands under nulls is anything."""
    dtype = array.type.to_pandas_dtype() if not pa.types.is_temporal(array.type) else np.int64
    return np.frombuffer(array.buffers()[1], dtype)[array.offset : array.offset + len(array)]


def indices_of(array: pa.DictionaryArray) -> npt.NDArray[np.int32]:
    """The indices as int32, so that the loops are compiled once; sources have checked their range."""
    return values_of(array.indices).astype(np.int32, copy=False)


def run_end_decoded(array: pa.Array) -> pa.Array:
    """Also runs over a dictionary, which Arrow's own decoder does not take."""
    if isinstance(array.type.value_type, pa.DictionaryType):
        decoded = pa.RunEndEncodedArray.from_arrays(array.run_ends, array.values.dictionary_decode())
        array = decoded.slice(array.offset, len(array))
    return pc.run_end_decode(array)


def as_dictionary(array: pa.Array, column: str = "column") -> pa.DictionaryArray:
    """Any column of names as dictionary<string>: every string and dictionary layout, REE, numbers, booleans."""
    if pa.types.is_run_end_encoded(array.type):
        array = run_end_decoded(array)
    if isinstance(array, pa.DictionaryArray):
        if pa.types.is_string(array.dictionary.type) or pa.types.is_large_string(array.dictionary.type):
            return array
        return pa.DictionaryArray.from_arrays(array.indices, as_text(array.dictionary, column))
    return as_text(array, column).dictionary_encode()


def as_text(array: pa.Array, column: str) -> pa.Array:
    if pa.types.is_run_end_encoded(array.type):
        array = run_end_decoded(array)
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return array
    if pa.types.is_null(array.type):
        return array.cast(pa.string())
    if pa.types.is_nested(array.type):
        raise InputError(
            "a list or struct cannot be a name", code="HG2606", where=column, value=str(array.type),
            expected="text, numbers or booleans", hint="name a field of a struct by its path: --map page=params.page",
        )  # fmt: skip
    return array.cast(pa.large_string() if pa.types.is_binary(array.type) else pa.string())


def key_of(dictionary: pa.Array) -> tuple[object, ...]:
    """Identity of a dictionary: slices of one row group share its buffers."""
    return (*(b.address if b else 0 for b in dictionary.buffers()), dictionary.offset, len(dictionary))


class NameCodes:
    """The names of one dimension. ``clean`` turns a raw value into its name (page key, kind)."""

    of_process = ("_last",)
    """What engine/frozen.py leaves out: an address means nothing in another process."""

    def __init__(
        self,
        clean: Callable[[str], str] | None = None,
        null: str | None = None,
        column: str = "column",
        shortened: Callable[[pa.Array], pa.DictionaryArray | None] | None = None,
    ) -> None:
        """shortened : makes of many raw values fewer that have the same names; asked where there are too many."""
        self.column = column
        self._shortened = shortened
        self.names: list[str] = []
        self.clean = clean
        self.null_name = null
        self._code: dict[str, int] = {}
        self._raw: dict[str, int] = {}
        self._early: dict[str, int] = {}
        self.forgot = False
        """Whether there were more raw values than are remembered: the first ones, and the latest."""
        self._last: tuple[tuple[object, ...], pa.Array, npt.NDArray[np.int32]] | None = None

    def code(self, name: str) -> int:
        found = self._code.get(name)
        if found is None:
            if len(self.names) >= MOST_NAMES:
                raise LimitError(
                    "too many different names in a column", code="HG4105", where=self.column,
                    value=f"more than {MOST_NAMES:,}", expected="pages, features or segments, not ids",
                    hint=f"--map {self.column}= leaves the column out; page rules and areas group names",
                )  # fmt: skip
            found = self._code[name] = len(self.names)
            self.names.append(name)
        return found

    def still(self) -> NameCodes:
        """The same names, to which no other will be added."""
        out = copy.copy(self)
        out.names, out._code = list(self.names), dict(self._code)
        return out

    def find(self, name: str) -> int:
        """The code of a name, -1 if it has not been seen."""
        return self._code.get(name, -1)

    def null_code(self) -> int:
        """-1 where a dimension has no row for null."""
        return -1 if self.null_name is None else self.code(self.null_name)

    def code_of_raw(self, raw: str | None) -> int:
        if raw is None:
            return self.null_code()
        found = self._raw.get(raw)
        if found is None:
            if len(self._raw) >= MOST_RAW:
                self._early, self._raw = self._early or self._raw, {}
                self.forgot = True
            found = self._raw[raw] = self.code(self.clean(raw) if self.clean else raw)
        return found

    def meant(self) -> list[tuple[str, str]]:
        """(raw value, name) of the raw values that are remembered."""
        return [(raw, self.names[code]) for raw, code in (self._early | self._raw).items()]

    def table(self, dictionary: pa.Array) -> npt.NDArray[np.int32]:
        """Codes of the entries of a dictionary."""
        key = key_of(dictionary)
        if self._last is None or self._last[0] != key:
            codes = self._codes(dictionary)
            # a dictionary without entries still needs a valid address for the loop
            self._last = (key, dictionary, np.array(codes if len(codes) else [-1], np.int32))
        return self._last[2]

    def _codes(self, dictionary: pa.Array) -> Any:
        self.forgot |= len(dictionary) > MOST_RAW
        short = self._shortened(dictionary) if self.forgot and self._shortened is not None else None
        if short is None:
            return [self.code_of_raw(raw) for raw in dictionary.to_pylist()]
        return np.array([self.code_of_raw(raw) for raw in short.dictionary.to_pylist()], np.int32)[indices_of(short)]

    def encode(self, array: pa.Array, out: npt.NDArray[np.int32]) -> None:
        encoded = as_dictionary(array, self.column)
        bits, offset = bitmap(encoded.indices)
        columns.remap(indices_of(encoded), bits, offset, self.table(encoded.dictionary), self.null_code(), out)


class IdHashes:
    """128-bit hashes of ids: (index by row, lo, hi by index); index -1 is null."""

    of_process = ("_last",)

    def __init__(self, column: str = "column") -> None:
        self.column = column
        self._last: tuple[tuple[object, ...], pa.Array, Any, Any, Any] | None = None

    def __call__(self, array: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        if pa.types.is_run_end_encoded(array.type):
            array = run_end_decoded(array)
        if isinstance(array, pa.DictionaryArray) and pa.types.is_integer(array.dictionary.type):
            array = array.dictionary_decode()  # the same id has the same hash in every layout
        if pa.types.is_integer(array.type):
            bits, offset = bitmap(array)
            lo, hi = _hash_values(values_of(array).astype(np.int64))
            index = np.arange(len(array), dtype=np.int32)
            if len(bits):
                columns.fill_where_null(bits, offset, np.int32(-1), index)
            return index, lo, hi
        if not isinstance(array, pa.DictionaryArray):
            # ids hardly repeat, or their source would have told: a dictionary costs 100 ns a row, a hash 46
            texts = as_text(array, self.column)
            index = np.arange(len(texts), dtype=np.int32)
            if texts.null_count:
                columns.fill_where_null(*bitmap(texts), np.int32(-1), index)
            return index, *hash_texts(texts)
        encoded = as_dictionary(array, self.column)
        dictionary = encoded.dictionary
        key = key_of(dictionary)
        if self._last is None or self._last[0] != key:
            lo, hi = hash_texts(dictionary)
            table = np.arange(max(1, len(dictionary)), dtype=np.int32)
            if dictionary.null_count:
                bits, offset = bitmap(dictionary)
                columns.fill_where_null(bits, offset, np.int32(-1), table)
            self._last = (key, dictionary, lo, hi, table)
        _, _, lo, hi, table = self._last
        bits, offset = bitmap(encoded.indices)
        if not len(bits) and not dictionary.null_count and len(dictionary):
            return writable(indices_of(encoded)), lo, hi
        index = np.empty(len(array), np.int32)
        columns.remap(indices_of(encoded), bits, offset, table, -1, index)
        return index, lo, hi

    def rows(self, array: pa.Array, lo: npt.NDArray[np.int64], hi: npt.NDArray[np.int64] | None = None) -> None:
        """The hashes by row (or their first word alone); null is (0, 0)."""
        index, all_lo, all_hi = self(array)
        columns.pick(index, all_lo, lo)
        if hi is not None:
            columns.pick(index, all_hi, hi)


def _hash_values(values: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    lo = np.empty(len(values), np.int64)
    hi = np.empty(len(values), np.int64)
    ids.hash_ints(values, lo, hi)
    return lo, hi


def hash_texts(texts: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """lo, hi of each string."""
    wide = pa.types.is_large_string(texts.type)
    lo = np.empty(len(texts), np.int64)
    hi = np.empty(len(texts), np.int64)
    if len(texts):
        _, offsets, data = texts.buffers()
        starts = np.frombuffer(offsets, np.int64 if wide else np.int32)[texts.offset : texts.offset + len(texts) + 1]
        raw = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
        ids.hash_strings(starts.astype(np.int64, copy=False), raw, lo, hi)
    return lo, hi
