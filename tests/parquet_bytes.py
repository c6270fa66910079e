"""Parquet files written byte by byte, so that any part of one may be odd, or lie.

``file(columns, rows)`` has one row group; a column's pages are given as bytes, of ``page``, ``dictionary`` and the
encoders below. Knows nothing of heatgrid. Source: https://github.com/apache/parquet-format.
"""

from __future__ import annotations

import itertools
import random
import struct as packing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

I32, I64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12
TYPES = {"INT32": 1, "INT64": 2, "FLOAT": 4, "DOUBLE": 5, "BYTE_ARRAY": 6}
PLAIN, PLAIN_DICTIONARY, RLE, DELTA, RLE_DICTIONARY, SPLIT = 0, 2, 3, 5, 8, 9
UTF8, MILLIS, INT_8 = 0, 9, 15
"""Converted types."""


def varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def zigzag(n: int) -> bytes:
    return varint((n << 1 ^ n >> 63) & (1 << 64) - 1)


def thrift(*fields: tuple[int, int, Any]) -> bytes:
    """A struct in the compact protocol: (id, type, value); of lists the value is (type of the elements, elements)."""
    out = b""
    last = 0
    for number, kind, value in fields:
        step = number - last
        out += bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + zigzag(number)
        out += _value(kind, value)
        last = number
    return out + b"\0"


def _value(kind: int, value: Any) -> bytes:
    if kind in (I32, I64):
        return zigzag(value)
    if kind == BINARY:
        return varint(len(value)) + bytes(value)
    if kind == LIST:
        element, items = value
        head = bytes([len(items) << 4 | element]) if len(items) < 15 else bytes([240 | element]) + varint(len(items))
        return head + b"".join(_value(element, item) for item in items)
    return bytes(value) if kind == STRUCT else b""


def packed(values: Sequence[int], width: int) -> bytes:
    """Numbers of ``width`` bits one after the other, filled up to a multiple of eight numbers."""
    bits = sum(value << (width * k) for k, value in enumerate(values))
    return bits.to_bytes(-(-len(values) // 8) * width, "little")


def run(value: int, count: int, width: int) -> bytes:
    return varint(count << 1) + value.to_bytes((width + 7) // 8, "little")


def group(values: Sequence[int], width: int) -> bytes:
    return varint(-(-len(values) // 8) << 1 | 1) + packed(values, width)


def hybrid(values: Sequence[int], width: int, rng: random.Random) -> bytes:
    """Runs and packed groups as ``rng`` has it, of lengths that no writer would choose."""
    out = b""
    i = 0
    while i < len(values):
        same = 1
        while i + same < len(values) and values[i + same] == values[i] and same < 200:
            same += 1
        if (rng.random() < 0.6 and same > 1) or rng.random() < 0.1:
            n = rng.randint(1, same)
            out += run(values[i], n, width)
        else:
            n = 8 * rng.choice((1, 1, 2, 7, 8, 9, 33))
            out += group(values[i : i + n], width)
        i += n
    return out


def delta(values: Sequence[int], wide: int, block: int = 128, parts: int = 4) -> bytes:
    """DELTA_BINARY_PACKED, of 8 * ``wide`` bits."""
    bits = 8 * wide
    wrap = lambda n: (n + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)  # noqa: E731
    out = varint(block) + varint(parts) + varint(len(values)) + zigzag(values[0] if values else 0)
    steps = [wrap(b - a) for a, b in itertools.pairwise(values)]
    each = block // parts
    for start in range(0, len(steps), block):
        some = steps[start : start + block]
        least = min(some)
        pieces = [[(s - least) % (1 << bits) for s in some[k : k + each]] for k in range(0, len(some), each)]
        widths = [max(piece).bit_length() for piece in pieces]
        out += zigzag(least) + bytes(widths) + bytes(parts - len(pieces))
        for piece, width in zip(pieces, widths, strict=True):
            out += packed(piece + [0] * (each - len(piece)), width)
    return out


def plain(values: Iterable[Any], physical: str) -> bytes:
    if physical == "BYTE_ARRAY":
        return b"".join(packing.pack("<I", len(v)) + v for v in values)
    form = {"INT32": "<i", "INT64": "<q", "FLOAT": "<f", "DOUBLE": "<d"}[physical]
    return b"".join(packing.pack(form, v) for v in values)


def dictionary(body: bytes, entries: int, *, encoding: int = PLAIN, snappy: bool = False, **lies: int) -> bytes:
    """A dictionary page; ``lies``: stored, size, kind."""
    what = thrift((1, I32, entries), (2, I32, encoding))
    return _page(lies.pop("kind", 2), [(7, STRUCT, what)], body, b"", snappy, lies)


def page(
    body: bytes, values: int, encoding: int, *, levels: bytes | None = None, version: int = 1, snappy: bool = False,
    flag: bool = True, inner: dict[int, int] | None = None, drop: Iterable[int] = (), extra: Sequence[Any] = (),
    **lies: int,
) -> bytes:  # fmt: skip
    """A data page. levels : of an optional column; inner : numbers of the description that lie; drop : fields of the
    description left out; flag : say whether version 2 is compressed; lies : stored, size, kind, length (of the levels
    of version 1)."""
    if version == 1:
        head = b"" if levels is None else packing.pack("<i", lies.pop("length", len(levels)))
        said = {1: values, 2: encoding, 3: RLE, 4: RLE}
        body, front = head + (levels or b"") + body, b""
    else:
        front = levels or b""
        said = {1: values, 2: 0, 3: values, 4: encoding, 5: len(front), 6: 0}
    fields: list[tuple[int, int, Any]] = [(k, I32, v) for k, v in (said | (inner or {})).items() if k not in drop]
    if version == 2 and flag:
        fields.append((7, 1 if snappy else 2, None))
    kind = lies.pop("kind", 0 if version == 1 else 3)
    headers = [(5 if version == 1 else 8, STRUCT, thrift(*fields)), *extra]
    return _page(kind, headers, body, front, snappy, lies)


def _page(kind: int, headers: list[Any], body: bytes, front: bytes, snappy: bool, lies: dict[str, int]) -> bytes:
    content = front + (pa.compress(body, codec="snappy", asbytes=True) if snappy else body)
    size = lies.pop("size", len(front) + len(body))
    stored = lies.pop("stored", len(content))
    assert not lies, lies
    return thrift((1, I32, kind), (2, I32, size), (3, I32, stored), *sorted(headers, key=lambda h: h[0])) + content


@dataclass
class Column:
    """A column chunk: its pages, and what the footer says of it; ``lies`` by field of its metadata."""

    name: str
    physical: str
    pages: list[bytes]
    optional: bool = True
    converted: int | None = None
    snappy: bool = False
    lies: dict[int, int] = field(default_factory=dict)
    dictionary: bool = False
    """Is the first page one."""
    extra: list[tuple[int, int, Any]] = field(default_factory=list)
    """More fields of the chunk."""


def file(columns: list[Column], rows: int, said_rows: int | None = None) -> bytes:
    out = b"PAR1"
    chunks = []
    for column in columns:
        first = len(out)
        stored = sum(map(len, column.pages))
        said: dict[int, int] = {1: TYPES[column.physical], 4: int(column.snappy), 5: rows, 6: stored, 7: stored}
        said[9] = first + (len(column.pages[0]) if column.dictionary else 0)
        if column.dictionary:
            said[11] = first
        said |= column.lies
        fields: list[tuple[int, int, Any]] = [(k, I32 if k < 5 else I64, v) for k, v in said.items()]
        fields += [(2, LIST, (I32, [PLAIN])), (3, LIST, (BINARY, [column.name.encode()]))]
        meta = thrift(*sorted(fields, key=lambda f: f[0]))
        chunks.append(thrift(*sorted([(2, I64, first), (3, STRUCT, meta), *column.extra], key=lambda f: f[0])))
        out += b"".join(column.pages)
    schema = [thrift((4, BINARY, b"schema"), (5, I32, len(columns)))]
    for column in columns:
        element: list[tuple[int, int, Any]] = [
            (1, I32, TYPES[column.physical]), (3, I32, int(column.optional)), (4, BINARY, column.name.encode())
        ]  # fmt: skip
        if column.converted is not None:
            element.append((6, I32, column.converted))
        schema.append(thrift(*element))
    told = rows if said_rows is None else said_rows
    row_group = thrift((1, LIST, (STRUCT, chunks)), (2, I64, len(out)), (3, I64, told))
    footer = thrift((1, I32, 2), (2, LIST, (STRUCT, schema)), (3, I64, told), (4, LIST, (STRUCT, [row_group])))
    return out + footer + packing.pack("<I", len(footer)) + b"PAR1"
