"""JSON lines: blocks through Arrow's parser, and line by line where a block does not parse."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.json as pajson

from heatgrid.sources.layouts import is_utf8
from heatgrid.sources.parts import Job
from heatgrid.sources.streams import Block, occurrences
from heatgrid.sources.text import Parsed
from heatgrid.words.errors import InputError, shorten

_BOM = b"\xef\xbb\xbf"


class Ndjson:
    """The fields that the first block of a file shows, and how blocks are parsed."""

    quotes = False

    def __init__(self, first: Block | None, name: str) -> None:
        self.name = name
        data = b"" if first is None else self.body(first).data
        if data.lstrip()[:1] == b"[":
            raise InputError(
                "the file is one JSON array, not one event a line",
                code="HG2204",
                where=name,
                expected='lines such as {"time": "2024-05-01T12:00:00Z", "session": "a", ...}',
                hint="jq -c '.[]' in.json > out.jsonl",
            )
        self.schema = _shown(self._infer(data))

    def _infer(self, data: bytes) -> pa.Schema:
        if not data.strip():
            return pa.schema([])
        if is_utf8(data):  # Arrow's parser takes other bytes unseen
            try:
                return _arrow(data, None).schema
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                pass  # some lines are broken, or a field has two types
        kinds: dict[str, Any] = {}
        for line in data.split(b"\n"):
            row = _row(line)
            if isinstance(row, dict):
                _merge(kinds, row)
        return pa.schema([(key, _arrow_type(kind)) for key, kind in kinds.items()])

    def body(self, block: Block) -> Block:
        return Block(block.data.removeprefix(_BOM), block.line)

    def parse(self, block: Block, job: Job | None, tops: list[str]) -> Parsed:
        schema = pa.schema([self.schema.field(top) for top in tops])
        escaped = b"\\" in block.data and b"\\u0000" in block.data  # the first is looked for ten times as fast
        if not escaped and b"\0" not in block.data and tops and is_utf8(block.data):
            try:
                table = _arrow(block.data, schema)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                pass  # line by line then
            else:
                if table.num_rows == occurrences(block.data, b"\n") + (not block.data.endswith(b"\n")):
                    return Parsed(_one_batch(table.select(tops)))
        return self._each(block, tops)

    def _each(self, block: Block, tops: list[str]) -> Parsed:
        rows: list[dict[str, Any]] = []
        bad: list[tuple[int, str]] = []
        for number, line in enumerate(block.data.split(b"\n")):
            if not line.strip():
                continue
            row = _row(line)
            if isinstance(row, dict):
                rows.append(row)
            else:
                bad.append((block.line + number, f"{row}: {shorten(repr(line[:80]), 80)}"))
        columns = [_column([row.get(top) for row in rows], self.schema.field(top).type) for top in tops]
        if tops:
            parsed = Parsed(pa.RecordBatch.from_arrays(columns, names=tops))
        else:
            bare = pa.StructArray.from_buffers(pa.struct([]), len(rows), [None])
            parsed = Parsed(pa.RecordBatch.from_struct_array(bare))
        for where, why in bad:
            parsed.reject(where, why)
        return parsed


def _arrow(data: bytes, schema: pa.Schema | None) -> pa.Table:
    behaviour = "infer" if schema is None else "ignore"
    return pajson.read_json(
        pa.py_buffer(data),
        read_options=pajson.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=pajson.ParseOptions(explicit_schema=schema, unexpected_field_behavior=behaviour),
    )


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _row(line: bytes) -> dict[str, Any] | str:
    """The object of a line, or why it is none."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8"
    if "\0" in text or "\\u0000" in text:
        return "NUL"
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(row, dict):
        return "not a JSON object"
    if "\\ud" in text.lower():
        try:
            json.dumps(row, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            return "lone surrogate"
    return row


def _shown(schema: pa.Schema) -> pa.Schema:
    """Arrow takes some texts for times; they stay texts until the time rule reads them."""
    return pa.schema([(entry.name, _untimed(entry.type)) for entry in schema])


def _untimed(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return pa.struct([(f.name, _untimed(f.type)) for f in fields])
    if pa.types.is_list(kind):
        return pa.list_(_untimed(kind.value_type))
    return pa.string() if pa.types.is_temporal(kind) else kind


def _merge(kinds: dict[str, Any], row: dict[str, Any]) -> None:
    """The kinds of values that a field has had: a set of words, and the fields of objects."""
    for key, value in row.items():
        seen = kinds.setdefault(key, {"words": set(), "fields": {}})
        if isinstance(value, dict):
            seen["words"].add("object")
            _merge(seen["fields"], value)
        elif value is not None:
            seen["words"].add(type(value).__name__)


def _arrow_type(kind: dict[str, Any]) -> pa.DataType:
    words = kind["words"]
    if words == {"object"}:
        return pa.struct([(key, _arrow_type(below)) for key, below in kind["fields"].items()])
    if words == {"bool"}:
        return pa.bool_()
    if words == {"int"}:
        return pa.int64()
    if words and words <= {"int", "float"}:
        return pa.float64()
    return pa.null() if not words else pa.string()


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Python values as the type that the file showed first, or as text where they are of another."""
    if pa.types.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        below = [
            _column([value.get(f.name) if isinstance(value, dict) else None for value in values], f.type)
            for f in fields
        ]
        return pa.StructArray.from_arrays(below, names=[f.name for f in fields])
    kinds = {type(value) for value in values if value is not None}
    try:
        if not pa.types.is_string(kind) and not (bool in kinds and len(kinds) > 1):
            return pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass  # another type than the first block had
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
