"""Small truths about Arrow layouts: what a column holds below dictionaries, runs, views and extensions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MUCH = 1 << 16
"""Bytes."""


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def bare(kind: pa.DataType) -> pa.DataType:
    """The type of the values themselves."""
    while True:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        elif pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
            kind = kind.value_type
        else:
            return kind


def storage(array: pa.Array) -> pa.Array:
    """An array without extension types."""
    while isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    return array


def over_values(array: pa.Array, function: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """A function of each value, done once per dictionary entry or run instead of once per row."""
    array = storage(array)
    if pa.types.is_dictionary(array.type):
        return over_values(array.dictionary, function).take(array.indices)
    if pa.types.is_run_end_encoded(array.type):
        return over_values(pc.run_end_decode(array), function)
    return function(array)


def text(array: pa.Array) -> pa.Array:
    """Any string layout as one that every compute function takes."""
    return array.cast(pa.large_string()) if pa.types.is_string_view(array.type) else array


def as_bytes(array: pa.Array) -> pa.Array:
    """A text column as bytes, without a copy and without a look at them; bytes stay."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(array.indices, as_bytes(array.dictionary), safe=False)
    if pa.types.is_string(kind):
        return array.view(pa.binary())
    if pa.types.is_large_string(kind):
        return array.view(pa.large_binary())
    return array


def utf8(array: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Bytes as text (16-byte ids as hex), and which of them are no UTF-8: null in the text."""
    if pa.types.is_fixed_size_binary(array.type):
        return pa.array([None if v is None else v.hex() for v in array.to_pylist()], pa.string()), None
    wide = pa.types.is_large_binary(array.type) or pa.types.is_binary_view(array.type)
    target = pa.large_string() if wide else pa.string()
    try:
        return array.cast(target), None
    except pa.ArrowInvalid:
        values = array.to_pylist()
    good = [None if v is None or not _readable(v) else v.decode("utf-8") for v in values]
    broken = np.array([v is not None and g is None for v, g in zip(values, good, strict=True)], dtype=bool)
    return pa.array(good, target), pa.array(broken)


def _readable(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def is_utf8(data: bytes) -> bool:
    """Whether it is UTF-8; of much at once Arrow says so, which holds no lock meanwhile."""
    if len(data) >= _MUCH:
        ends = pa.py_buffer(np.array([0, len(data)], np.int64))
        whole = pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(data)])
        try:
            whole.cast(pa.large_string())
        except pa.ArrowInvalid:
            return False
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
