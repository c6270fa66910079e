"""The ``key=value`` folders above a file as constant columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

_NULL = "__HIVE_DEFAULT_PARTITION__"


def partitions(path: str) -> dict[str, str | None]:
    """The keys and values of the folders above a file."""
    keys: dict[str, str | None] = {}
    for folder in Path(path).parent.parts:
        key, equals, value = folder.partition("=")
        if equals and key:
            keys[unquote(key)] = None if value == _NULL else unquote(value)
    return keys


def keys_field(schema: pa.Schema, keys: Mapping[str, str | None]) -> pa.Schema:
    """A file's schema with the keys of its folders."""
    for key in keys:
        schema = schema.append(pa.field(key, pa.dictionary(pa.int8(), pa.string())))
    return schema


def with_keys(batch: pa.RecordBatch, keys: Mapping[str, str | None]) -> pa.RecordBatch:
    """A batch with the keys of its file's folders."""
    if not keys:
        return batch
    columns = list(batch.columns)
    for value in keys.values():
        index = pa.repeat(pa.scalar(None if value is None else 0, pa.int8()), batch.num_rows)
        columns.append(pa.DictionaryArray.from_arrays(index, pa.array([value or ""]), safe=False))
    return pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names, *keys])
