"""Any source as one Parquet file of canonical columns, which every command reads without being told anything."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq

from heatgrid.outputs.atomic import atomic
from heatgrid.words.events import Chunk
from heatgrid.words.evidence import Evidence
from heatgrid.words.pages import page_key

EVIDENCE = b"heatgrid.evidence"
GROUP_ROWS = 1 << 20
Tell = Callable[[int], None]


def write_canonical(
    chunks: Iterable[Chunk], path: str | os.PathLike[str], *, names: Sequence[str], evidence: Evidence,
    keep_urls: bool = False, tell: Tell | None = None,
) -> Mapping[str, int]:  # fmt: skip
    """The rows of all chunks, in their order; pages are page keys (no query, no ids) unless ``keep_urls``.

    The evidence goes along in the file's metadata. Returns {"read": rows of the source, "written": ..., and why the
    others are not: a row without a readable time is kept (null), what could not be decoded is not}. Columns get the
    type of the first chunk. Raises what ``atomic`` raises; InputError comes from the source.
    """
    it = iter(chunks)
    first = next(it, None)
    counts = {"read": 0, "written": 0}
    keys: dict[str | None, str | None] = {None: None}
    schema: pa.Schema | None = None
    with atomic(path) as file:
        if first is None:
            empty = pa.schema([(name, pa.null()) for name in names])
            pq.write_table(empty.empty_table(), file)
            return counts
        schema = _schema(first.batch.schema).with_metadata({EVIDENCE: json.dumps(evidence.as_dict()).encode()})
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            held: list[pa.RecordBatch] = []
            rows = 0
            for chunk in chain([first], it):
                counts["read"] += chunk.read
                for reason, count in chunk.rejected.items():
                    counts[reason] = counts.get(reason, 0) + count
                batch = _plain(chunk.batch, schema, keys, keep_urls)
                held.append(batch)
                rows += batch.num_rows
                counts["written"] += batch.num_rows
                if rows >= GROUP_ROWS:
                    writer.write_table(pa.Table.from_batches(held, schema))
                    held, rows = [], 0
                if tell is not None:
                    tell(counts["read"])
            if held:
                writer.write_table(pa.Table.from_batches(held, schema))
    return counts


def _schema(seen: pa.Schema) -> pa.Schema:
    """Names as plain texts: the writer makes dictionaries of its own."""
    return pa.schema([(entry.name, _type(entry.type)) for entry in seen])


def _type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _type(kind.value_type)
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind


def _plain(
    batch: pa.RecordBatch, schema: pa.Schema, keys: dict[str | None, str | None], keep_urls: bool
) -> pa.RecordBatch:  # fmt: skip
    columns = []
    for entry in schema:
        column = batch.column(entry.name)
        if entry.name == "page" and not keep_urls:
            column = _page_keys(column, keys)
        columns.append(column if column.type == entry.type else column.cast(entry.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _page_keys(column: pa.Array, keys: dict[str | None, str | None]) -> pa.Array:
    """Queries hold what nobody should keep: dropped before anything is written."""
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    words = column.dictionary.cast(pa.string()).to_pylist()
    for word in words:
        if word not in keys:
            keys[word] = page_key(word)
    found = pa.array([keys[word] for word in words], pa.string())
    return found.take(column.indices)
