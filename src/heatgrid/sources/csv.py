"""CSV and its cousins: blocks through Arrow's parser, and line by line where a block does not parse."""

from __future__ import annotations

import csv
import io
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from heatgrid.sources.layouts import is_utf8
from heatgrid.sources.parts import Job
from heatgrid.sources.streams import Block
from heatgrid.sources.text import Parsed
from heatgrid.words.errors import InputError, shorten

_DELIMITERS = ",;\t|"
_TEXT = pa.dictionary(pa.int32(), pa.string())
_BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff")


class Csv:
    """The header of one file, and how its blocks are parsed. Empty cells are missing."""

    quotes = True

    def __init__(self, first: Block | None, name: str) -> None:
        self.name = name
        data = b"" if first is None else first.data
        if data.startswith(_WIDE):
            raise InputError(
                "the file is UTF-16", code="HG2204", where=name, expected="UTF-8", hint="iconv -f UTF-16 -t UTF-8"
            )
        data = data.removeprefix(_BOM)
        self.end = self._header_end(data)
        header = data[: self.end]
        self.lines = header.count(b"\n")
        try:
            text = header.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                "the header is not UTF-8", code="HG2205", where=f"{name}, line 1", value=repr(header[:80])
            ) from error
        self.delimiter = max(_DELIMITERS, key=text.count) if any(d in text for d in _DELIMITERS) else ","
        self.names = next(csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter), [])
        self.schema = self._types(first)

    @staticmethod
    def _header_end(data: bytes) -> int:
        """The place after the first record."""
        at = -1
        while True:
            at = data.find(b"\n", at + 1)
            if at < 0:
                return len(data)
            if data.count(b'"', 0, at) % 2 == 0:
                return at + 1

    def _types(self, first: Block | None) -> pa.Schema:
        """What the columns look like, for people; every scan converts by what it needs them for."""
        if first is None or not self.names:
            return pa.schema([])
        if len(set(self.names)) < len(self.names):
            return pa.schema([(name, pa.string()) for name in self.names])
        sample = b"\n".join(self._clean(self.body(first))[0].data.split(b"\n")[:1000])
        try:
            table = self._read(sample, pacsv.ConvertOptions(), [])
        except pa.ArrowInvalid:
            return pa.schema([(name, pa.string()) for name in self.names])
        shown = [(e.name, pa.string() if pa.types.is_temporal(e.type) else e.type) for e in table.schema]
        return pa.schema(shown)

    def body(self, block: Block) -> Block:
        start = len(_BOM) if block.data.startswith(_BOM) else 0
        return Block(block.data[start + self.end :], block.line + self.lines)

    def parse(self, block: Block, job: Job | None, tops: list[str]) -> Parsed:
        bad: list[tuple[int, str]] = []
        if b"\0" in block.data or not is_utf8(block.data):
            block, bad = self._clean(block)
        picked = tops or self.names[:1]
        odd: list[Any] = []
        try:
            table = self._read(block.data, self._options(picked, job), odd)
        except pa.ArrowInvalid:
            odd = []
            table = self._read(block.data, self._options(picked, None), odd)
        parsed = Parsed(_one_batch(table.select(tops), table.num_rows))
        for line, why in bad:
            parsed.reject(line, why)
        at = 0
        for row in odd:
            at = _find_record(block.data, row.text.encode(), at)
            line = block.line + block.data.count(b"\n", 0, at)
            parsed.reject(line, f"{row.actual_columns} fields, not {row.expected_columns}: {shorten(row.text, 80)}")
            at += 1
        return parsed

    def _options(self, picked: list[str], job: Job | None) -> pacsv.ConvertOptions:
        types: dict[str, pa.DataType] = dict.fromkeys(picked, pa.string())
        if job is not None:
            by_role = {
                "time": pa.string(),
                "number": pa.float64(),
                "whole": pa.int64(),
                "flag": pa.bool_(),
                "name": _TEXT,
            }
            types = {name: by_role[job.deliver.role(name)] for name in picked}
        return pacsv.ConvertOptions(
            include_columns=picked, column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False,
            null_values=[""], check_utf8=False,
        )  # fmt: skip

    def _read(self, data: bytes, convert: pacsv.ConvertOptions, odd: list[Any]) -> pa.Table:
        def keep(row: Any) -> str:
            odd.append(row)
            return "skip"

        if not data[:64].strip(b"\r\n") and not data.strip(b"\r\n"):
            kinds = [convert.column_types.get(name, pa.string()) for name in self.names]
            return pa.schema(list(zip(self.names, kinds, strict=True))).empty_table()
        return pacsv.read_csv(
            pa.py_buffer(data),
            read_options=pacsv.ReadOptions(column_names=self.names, use_threads=False, block_size=len(data) + 1),
            parse_options=pacsv.ParseOptions(
                delimiter=self.delimiter, newlines_in_values=b'"' in data, invalid_row_handler=keep
            ),
            convert_options=convert,
        )

    def _clean(self, block: Block) -> tuple[Block, list[tuple[int, str]]]:
        """A block without the records that hold NUL or are no UTF-8; they leave empty lines so that numbers stay."""
        kept: list[bytes] = []
        bad: list[tuple[int, str]] = []
        record: list[bytes] = []
        for number, line in enumerate(block.data.split(b"\n")):
            record.append(line)
            whole = b"\n".join(record)
            if whole.count(b'"') % 2 and len(record) < 100:
                continue
            self._keep(record, block.line + number, kept, bad)
            record = []
        if record:
            self._keep(record, block.line + number, kept, bad)
        return Block(b"\n".join(kept), block.line), bad

    @staticmethod
    def _keep(record: list[bytes], last: int, kept: list[bytes], bad: list[tuple[int, str]]) -> None:
        """Add the lines of a record, or empty ones and the reason; last: the number of its last line."""
        whole = b"\n".join(record)
        why = "NUL byte" if b"\0" in whole else "not UTF-8" if not is_utf8(whole) else ""
        if why:
            bad.append((last - len(record) + 1, f"{why}: {shorten(repr(whole[:80]), 80)}"))
            kept += [b""] * len(record)
        else:
            kept += record


def _find_record(data: bytes, text: bytes, at: int) -> int:
    """The place of a whole record with this text, from ``at`` on."""
    while True:
        found = data.find(text, at)
        if found < 0:
            return at
        end = found + len(text)
        if (found == 0 or data[found - 1] in b"\r\n") and (end == len(data) or data[end] in b"\r\n"):
            return found
        at = found + 1


def _one_batch(table: pa.Table, rows: int) -> pa.RecordBatch:
    if table.num_columns == 0:
        return pa.RecordBatch.from_struct_array(pa.StructArray.from_buffers(pa.struct([]), rows, [None]))
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
