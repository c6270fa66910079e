"""Damaged column chunks: no crash, no hang, no byte outside a buffer, and no answer where there is none.

Buffers lie between pages that nobody may touch (``GuardedRoom``): a single load outside of one ends the process.
HEATGRID_FUZZ=5000 draws so many damaged files instead of CI's share.
"""

from __future__ import annotations

import io
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heatgrid.sources.chunks import Chunks
from parquet_bytes import (
    BINARY,
    DELTA,
    I32,
    PLAIN,
    RLE_DICTIONARY,
    STRUCT,
    UTF8,
    Column,
    delta,
    dictionary,
    file,
    group,
    page,
    plain,
    run,
    thrift,
    varint,
    zigzag,
)
from parquet_twice import GuardedRoom, identical, own, theirs

FUZZ = int(os.environ.get("HEATGRID_FUZZ", "30"))
N = 20
NUMBERS = list(range(100, 100 + N))
PICKS = [k % 4 for k in range(N)]
WORDS = [b"a", b"bb", b"", b"ccc"]


def guarded(front: bool) -> GuardedRoom:
    room = GuardedRoom()
    room.front = front
    return room


def only(pages: list[bytes], physical: str = "INT64", rows: int = N, optional: bool = False, **options: Any) -> bytes:
    """A file of one column."""
    said = options.pop("said_rows", None)
    kind = UTF8 if physical == "BYTE_ARRAY" else None
    return file([Column("c", physical, pages, optional, kind, **options)], rows, said)


def numbers(body: bytes | None = None, n: int = N, coding: int = PLAIN, **options: Any) -> bytes:
    return page(plain(NUMBERS, "INT64") if body is None else body, n, coding, **options)


def coded(body: bytes | None = None, *, entries: int = 4, texts: bool = False, told: dict[str, Any] | None = None,
          values: bytes | None = None, **options: Any) -> bytes:  # fmt: skip
    """A file whose column has a dictionary of four and one page of indices; ``told``: of the dictionary's page."""
    physical = "BYTE_ARRAY" if texts else "INT64"
    words = plain(WORDS if texts else range(4), physical) if values is None else values
    first = dictionary(words, entries, **(told or {}))
    body = bytes([2]) + group(PICKS, 2) if body is None else body
    return only([first, page(body, N, RLE_DICTIONARY, **options)], physical, dictionary=True)


LEVELS = run(1, N, 1)
SNAPPY = {"snappy": True}


def optional(levels: bytes, n: int = N, **options: Any) -> bytes:
    return only([numbers(levels=levels, n=n, **options)], optional=True)


def squeezed(content: bytes, size: int) -> bytes:
    """A compressed page of that content."""
    head = page(b"", N, PLAIN, snappy=True, stored=len(content), size=size)
    return only([head[: -len(pa.compress(b"", codec="snappy", asbytes=True))] + content], **SNAPPY)


SOUND: dict[str, Callable[[], bytes]] = {
    "plain": lambda: only([numbers()]),
    "version 2": lambda: only([numbers(version=2)]),
    "optional": lambda: optional(LEVELS),
    "optional, version 2": lambda: optional(LEVELS, version=2),
    "dictionary": coded,
    "dictionary of texts": lambda: coded(texts=True),
    "one run": lambda: coded(bytes([2]) + run(3, N, 2)),
    "31 bits": lambda: coded(bytes([31]) + group(PICKS, 31)),
    "delta": lambda: only([numbers(delta(NUMBERS, 8), coding=DELTA)]),
    "delta of 32 bits": lambda: only([numbers(delta(NUMBERS, 4), coding=DELTA)], "INT32"),
    "snappy": lambda: only([numbers(snappy=True)], **SNAPPY),
    "snappy by hand": lambda: squeezed(varint(160) + bytes([60 << 2, 159]) + plain(NUMBERS, "INT64"), 160),
    "a copy": lambda: squeezed(varint(160) + bytes([28]) + bytes(8) + (bytes([63 << 2 | 2, 8, 0]) * 2
                                                                        + bytes([23 << 2 | 2, 8, 0])), 160),
    "an index page": lambda: only([numbers(b"", 0, kind=1), numbers()]),
    "a field that nobody knows": lambda: only([numbers(extra=[(17, BINARY, b"?")])]),
}  # fmt: skip
"""Files of the same helpers that nothing is wrong with."""


def header(*fields: tuple[int, int, Any], content: bytes = b"") -> bytes:
    return only([thrift(*fields) + content])


SAID = thrift((1, I32, N), (2, I32, 0), (3, I32, 3), (4, I32, 3))
PLAINLY = plain(NUMBERS, "INT64")
DAMAGED: dict[str, Callable[[], bytes]] = {
    # the dictionary and its indices
    "an index beyond the dictionary": lambda: coded(bytes([3]) + group([*PICKS[:-1], 4], 3)),
    "an index beyond the words": lambda: coded(bytes([3]) + group([*PICKS[:-1], 4], 3), texts=True),
    "a run beyond the dictionary": lambda: coded(bytes([3]) + run(4, N, 3)),
    "a run above its width": lambda: coded(bytes([2]) + varint(N << 1) + b"\x7f"),
    "an index with a sign": lambda: coded(bytes([32]) + group([0xFFFFFFFF] * N, 32)),
    "a run with a sign": lambda: coded(bytes([32]) + run(0xFFFFFFFF, N, 32)),
    "a word with a sign": lambda: coded(bytes([32]) + group([0x80000000] * N, 32), texts=True),
    "indices of 33 bits": lambda: coded(bytes([33]) + bytes(200)),
    "indices of 255 bits": lambda: coded(bytes([255]) + bytes(2000)),
    "indices of no bits beyond an empty dictionary": lambda: coded(bytes([0]) + run(0, N, 0), entries=0, values=b""),
    "no width": lambda: coded(b""),
    "no runs": lambda: coded(bytes([2])),
    "too few indices": lambda: coded(bytes([2]) + group(PICKS[:8], 2)),
    "a group longer than the page": lambda: coded(bytes([2]) + group(PICKS, 2)[:-1]),
    "a group of 2^61": lambda: coded(bytes([8]) + varint(1 << 62 | 1) + bytes(40)),
    "groups of one and 2^61": lambda: coded(bytes([8]) + (varint(1 << 62 | 3) + bytes(8)) * 3),
    "a group of 2^60 of no bits": lambda: coded(bytes([0]) + varint(1 << 61 | 1) + bytes(40)),
    "a group of 2^61 of no bits": lambda: coded(bytes([0]) + varint(1 << 62 | 1) + bytes(40)),
    "a run of none": lambda: coded(bytes([2]) + varint(0) + group(PICKS, 2)),
    "a group of none": lambda: coded(bytes([2]) + varint(1) + group(PICKS, 2)),
    "a run of 70 bits": lambda: coded(bytes([2]) + b"\xff" * 10 + b"\x01" + bytes(40)),
    "a negative run": lambda: coded(bytes([2]) + varint((1 << 64) - 2) + bytes(40)),
    "no dictionary": lambda: only([page(bytes([2]) + group(PICKS, 2), N, RLE_DICTIONARY)]),
    "no dictionary of texts": lambda: only([page(bytes([0]) + run(0, N, 0), N, RLE_DICTIONARY)], "BYTE_ARRAY"),
    "two dictionaries": lambda: only([dictionary(plain(range(4), "INT64"), 4)] * 2 + [numbers()], dictionary=True),
    "a dictionary behind its page": lambda: only([numbers(), dictionary(plain(range(4), "INT64"), 4)]),
    "a dictionary in differences": lambda: coded(told={"encoding": DELTA}),
    "a dictionary of indices": lambda: coded(told={"encoding": RLE_DICTIONARY}, texts=True),
    "a dictionary larger than it is": lambda: coded(entries=5),
    "a dictionary of 2^30": lambda: coded(entries=1 << 30),
    "a dictionary of less than none": lambda: coded(entries=-1),
    "more words than there are": lambda: coded(entries=5, texts=True),
    "a word longer than the page": lambda: coded(texts=True, values=plain(WORDS[:3], "BYTE_ARRAY") + b"\4\0\0\0abc"),
    "a word of negative length": lambda: coded(texts=True, values=plain(WORDS[:3], "BYTE_ARRAY") + b"\xff" * 4 + b"a"),
    "a word without its length": lambda: coded(texts=True, values=plain([*WORDS[:3], b"12345"], "BYTE_ARRAY") [:-6]),
    # levels
    "levels longer than the page": lambda: optional(LEVELS, length=1000),
    "levels of negative length": lambda: optional(LEVELS, length=-1),
    "levels of the least length": lambda: optional(LEVELS, length=-(1 << 31)),
    "levels cut off": lambda: optional(group([1] * N, 1)[:-1], length=3),
    "too few levels": lambda: optional(run(1, N - 1, 1)),
    "levels that go on behind the page": lambda: only(
        [page(varint(501) + bytes(9), 2000, PLAIN, levels=b"", length=1 << 20)], optional=True, rows=2000
    ),
    "no levels": lambda: optional(b""),
    "no room for the length of levels": lambda: only([page(b"", N, PLAIN)], optional=True),
    "a level of 2": lambda: optional(varint(N << 1) + b"\2"),
    "a run of no levels": lambda: optional(varint(0) + b"\1" + LEVELS),
    "a group of no levels": lambda: optional(varint(1) + LEVELS),
    "2^62 groups of levels": lambda: optional(varint(1 << 63 | 1) + bytes(50)),
    "more levels than values": lambda: only([numbers(plain(NUMBERS[:9], "INT64"), levels=LEVELS)], optional=True),
    "levels beyond the page, version 2": lambda: optional(LEVELS, version=2, inner={5: 1000}),
    "negative levels, version 2": lambda: optional(LEVELS, version=2, inner={5: -1}),
    "the least levels, version 2": lambda: optional(LEVELS, version=2, inner={5: -(1 << 31)}),
    "levels of lists, version 2": lambda: optional(LEVELS, version=2, inner={6: 2}),
    "levels bit by bit": lambda: optional(LEVELS, inner={3: 4}),
    "too few levels, version 2": lambda: optional(run(1, N - 1, 1), version=2),
    # values
    "a byte too few": lambda: only([numbers(PLAINLY[:-1])]),
    "other rows than values": lambda: only([numbers(version=2, inner={3: N - 1})]),
    "negative rows": lambda: only([numbers(version=2, inner={3: -1})]),
    "more nulls than values": lambda: only([numbers(version=2, inner={2: N + 1})]),
    "negative values": lambda: only([numbers(n=-1)]),
    "2^31 values": lambda: only([numbers(n=(1 << 31) - 1)]),
    "more values than rows": lambda: only([numbers(), numbers(plain([1], "INT64"), 1)]),
    "fewer values than rows": lambda: only([numbers(plain(NUMBERS[:9], "INT64"), 9)]),
    "a page of no values": lambda: only([numbers(b"", 0), numbers()]),
    "an encoding that nobody knows": lambda: only([numbers(coding=77)]),
    "differences of floats": lambda: only([numbers(delta(NUMBERS, 8), coding=DELTA)], "DOUBLE"),
    "differences of others": lambda: only([numbers(delta(NUMBERS[1:], 8), coding=DELTA)]),
    "differences cut off": lambda: only([numbers(delta([k * k * k for k in range(N)], 8)[:-1], coding=DELTA)]),
    "differences without a head": lambda: only([numbers(b"", coding=DELTA)]),
    "a block of none": lambda: only([numbers(bytes([0, 4]) + zigzag(N) + bytes(50), coding=DELTA)]),
    "a block of 2^40": lambda: only([numbers(varint(1 << 40) + bytes([4, N]) + bytes(50), coding=DELTA)]),
    "a block of no parts": lambda: only([numbers(bytes([128, 1, 0, N]) + bytes(50), coding=DELTA)]),
    "a block of 2^40 parts": lambda: only([numbers(bytes([128, 1]) + varint(1 << 40) + bytes([N] * 99), coding=DELTA)]),
    "a part of 8": lambda: only([numbers(bytes([128, 1, 16, N]) + bytes(50), coding=DELTA)]),
    "a block of 64": lambda: only([numbers(bytes([64, 2, N]) + bytes(50), coding=DELTA)]),
    "no widths": lambda: only([numbers(bytes([128, 1, 4, N, 0, 0]), coding=DELTA)]),
    "a difference of 57 bits": lambda: only([numbers(delta([0, 1 << 56, 0], 8), n=3, coding=DELTA)], rows=3),
    "differences of 255 bits": lambda: only([numbers(bytes([128, 1, 4, N, 0, 0, 255, 0, 0, 0]) + bytes(2000),
                                                     coding=DELTA)]),
    "differences of 33 bits": lambda: only([numbers(bytes([128, 1, 4, N, 0, 0, 33, 0, 0, 0]) + bytes(200),
                                                    coding=DELTA)], "INT32"),
    "a first number of 40 bits": lambda: only([numbers(delta([1 << 40] * N, 8), coding=DELTA)], "INT32"),
    "a least difference of 40 bits": lambda: only([numbers(delta([0, 1 << 40], 8), n=2, coding=DELTA)], "INT32", 2),
    # sizes and headers
    "a size too large": lambda: only([numbers(size=161)]),
    "a size too small": lambda: only([numbers(size=159)]),
    "a negative size": lambda: only([numbers(size=-1)]),
    "a size of 2^31": lambda: only([numbers(size=(1 << 31) - 1)]),
    "a size of 2^62": lambda: only([numbers(size=1 << 62)]),
    "more stored than there is": lambda: only([numbers(stored=161)]),
    "less stored than none": lambda: only([numbers(stored=-1)]),
    "2^62 stored": lambda: only([numbers(stored=1 << 62)]),
    "a kind that nobody knows": lambda: only([numbers(kind=9)]),
    "a negative kind": lambda: only([numbers(kind=-1)]),
    "the header of another kind": lambda: only([numbers(kind=3)]),
    "the header of a dictionary": lambda: only([numbers(kind=2)]),
    "two headers": lambda: only([numbers(extra=[(8, STRUCT, SAID)])]),
    "no values said": lambda: only([numbers(drop=[1])]),
    "no encoding said": lambda: only([numbers(drop=[2])]),
    "no coding of levels said": lambda: only([numbers(drop=[3])]),
    "no kind said": lambda: header((2, I32, 160), (3, I32, 160), (5, STRUCT, SAID), content=PLAINLY),
    "no size said": lambda: header((1, I32, 0), (3, I32, 160), (5, STRUCT, SAID), content=PLAINLY),
    "no bytes said": lambda: header((1, I32, 0), (2, I32, 160), (5, STRUCT, SAID)),
    "no header": lambda: header((1, I32, 0), (2, I32, 160), (3, I32, 160), content=PLAINLY),
    "a header without an end": lambda: only([thrift((1, I32, 0), (2, I32, 160), (3, I32, 160))[:-1]]),
    "a field of an endless number": lambda: only([b"\x05" + b"\xff" * 40]),
    "a number without an end": lambda: only([b"\x15" + b"\xff" * 9]),
    "structs in structs": lambda: only([b"\x1c" * 100 + bytes(100)]),
    "lists in lists": lambda: only([b"\x19" + b"\x19" * 100 + bytes(100)]),
    "a list of 2^62": lambda: only([b"\x19\xf3" + varint(1 << 62) + bytes(100)]),
    "a text of 2^63": lambda: only([b"\x18" + varint(1 << 63) + bytes(100)]),
    "a double behind the end": lambda: only([b"\x17\0\0\0"]),
    "a map": lambda: only([b"\x1b" + bytes(50)]),
    # snappy
    "no snappy at all": lambda: only([numbers()], **SNAPPY),
    "snappy without a length": lambda: squeezed(b"\xff" * 4, 160),
    "a length of 40 bits": lambda: squeezed(b"\xff" * 5 + b"\1" + PLAINLY, 160),
    "more than the size": lambda: squeezed(varint(168) + bytes([60 << 2, 167]) + PLAINLY + bytes(8), 160),
    "less than the length": lambda: squeezed(varint(160) + bytes([60 << 2, 151]) + PLAINLY[:-8], 160),
    "less than the size": lambda: squeezed(varint(152) + bytes([60 << 2, 151]) + PLAINLY[:-8], 160),
    "a literal behind the end": lambda: squeezed(varint(160) + bytes([60 << 2, 159]) + PLAINLY[:-8], 160),
    "a literal of 2^32": lambda: squeezed(varint(160) + bytes([63 << 2]) + b"\xff" * 4 + PLAINLY, 160),
    "a literal's length behind the end": lambda: squeezed(varint(160) + bytes([63 << 2, 1]), 160),
    "a copy from before": lambda: squeezed(varint(160) + bytes([28]) + bytes(8) + bytes([63 << 2 | 2, 9, 0]) * 3, 160),
    "a copy of nothing": lambda: squeezed(varint(160) + bytes([28]) + bytes(8) + bytes([63 << 2 | 2, 0, 0]) * 3, 160),
    "a copy from 4 GB before": lambda: squeezed(varint(160) + bytes([28]) + bytes(8) + b"\xff" * 5 + bytes(9), 160),
    "a copy behind the size": lambda: squeezed(varint(160) + bytes([28]) + bytes(8) + bytes([63 << 2 | 2, 8, 0]) * 3,
                                               160),
    "a copy without its distance": lambda: squeezed(varint(12) + bytes([28]) + bytes(8) + b"\1", 12),
    "a copy without half its distance": lambda: squeezed(varint(12) + bytes([28]) + bytes(8) + b"\x0e\1", 12),
    # the footer
    "another type than the schema": lambda: only([numbers()], lies={1: 1}),
    "a type of half the width": lambda: only([numbers(plain(NUMBERS, "INT32"))], lies={1: 1}),
    "booleans in the chunk": lambda: only([numbers()], lies={1: 0}),
    "times of 96 bits in the chunk": lambda: only([numbers()], lies={1: 3}),
    "texts in the chunk": lambda: only([numbers()], lies={1: 6}),
    "a type that nobody knows": lambda: only([numbers()], lies={1: 99}),
    "a codec that nobody knows": lambda: only([numbers()], lies={4: 99}),
    "other values than rows": lambda: only([numbers()], lies={5: N - 1}),
    "rows of less than none": lambda: only([numbers()], lies={5: -1}, said_rows=-1),
    "the least rows": lambda: only([numbers()], lies={5: -(1 << 63)}, said_rows=-(1 << 63)),
    "no bytes of the chunk": lambda: only([numbers()], lies={7: 0}),
    "less than no bytes of the chunk": lambda: only([numbers()], lies={7: -1}),
    "a byte of the chunk too few": lambda: only([numbers()], lies={7: len(numbers()) - 1}),
    "more bytes than the file": lambda: only([numbers()], lies={7: 1 << 20}),
    "2^62 bytes of the chunk": lambda: only([numbers()], lies={7: 1 << 62}),
    "a chunk in front of the file": lambda: only([numbers()], lies={9: -1}),
    "a chunk of the magic": lambda: only([numbers()], lies={9: 0}),
    "a chunk behind the file": lambda: only([numbers()], lies={9: 1 << 40}),
    "a chunk at the end of numbers": lambda: only([numbers()], lies={9: (1 << 63) - 1}),
    "a dictionary said elsewhere": lambda: coded() and only([dictionary(plain(range(4), "INT64"), 4), page(
        bytes([2]) + group(PICKS, 2), N, RLE_DICTIONARY)], dictionary=True, lies={11: 5}),
    "a chunk in another file": lambda: file([Column("c", "INT64", [numbers()], False,
                                                    extra=[(1, BINARY, b"other.parquet")])], N),
}  # fmt: skip


@pytest.mark.parametrize("front", [False, True])
@pytest.mark.parametrize("name", SOUND)
def test_sound_pages_are_decoded(tmp_path: Path, name: str, front: bool) -> None:
    """Fails if a check of the leaves is stricter than the format, or reads outside of its buffers."""
    path = tmp_path / "a.parquet"
    path.write_bytes(SOUND[name]())
    (found,) = own(path, guarded(front))
    assert identical(found["c"], theirs(path, 0, "c"))


@pytest.mark.parametrize("front", [False, True])
@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_left_to_pyarrow(tmp_path: Path, name: str, front: bool) -> None:
    """Fails if the check of the leaves that has this name is missing."""
    path = tmp_path / "a.parquet"
    path.write_bytes(DAMAGED[name]())
    assert own(path, guarded(front)) == [{}]


# ---- damage by chance


def some_file(rng: random.Random, rows: int) -> bytes:
    """Six kinds of columns, written by pyarrow as chance has it."""
    draw = np.random.default_rng(rng.randrange(1 << 30))

    def mask() -> np.ndarray:
        return draw.random(rows) < rng.choice([0, 0, 0.1, 0.9, 1])

    words = np.array([f"w{i}" * (i % 5) + str(i) for i in range(40)], object)
    table = pa.table(
        {
            "time": pa.array(1_700_000_000_000 + np.cumsum(draw.integers(0, 9000, rows)), pa.timestamp("ms"), mask()),
            "word": pa.array(words[draw.integers(0, 40, rows)], mask=mask()),
            "x": pa.array(draw.random(rows).astype("f4"), mask=mask()),
            "y": pa.array(draw.integers(0, 50, rows) * 0.5, mask=mask()),
            "width": pa.array(draw.integers(0, 50, rows).astype("i2"), mask=mask()),
            "id": pa.array(draw.integers(-(2**60), 2**60, rows), mask=mask()),
        }
    )
    deltas = {
        "use_dictionary": ["word"],
        "column_encoding": dict.fromkeys(("time", "width", "id"), "DELTA_BINARY_PACKED"),
    }
    options: dict[str, Any] = rng.choice([{}, {"use_dictionary": False}, deltas])
    out = io.BytesIO()
    pq.write_table(
        table, out, row_group_size=rng.choice([rows, max(1, rows // 2)]), compression=rng.choice(["none", "snappy"]),
        data_page_size=rng.choice([50, 400, 1 << 20]), write_batch_size=rng.choice([8, 33, 1024]),
        data_page_version=rng.choice(["1.0", "2.0"]), write_statistics=rng.random() < 0.3, **options,
    )  # fmt: skip
    return out.getvalue()


def damaged(data: bytes, rng: random.Random, low: int, high: int) -> bytes:
    """Bits flipped, bytes set, copied from elsewhere or taken out, between two places."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        at, way = rng.randrange(low, high), rng.randrange(5)
        n = min(rng.choice([1, 2, 3, 8, 30]), high - at)
        if way == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif way == 1:
            out[at] = rng.choice([0, 1, 2, 127, 128, 255, rng.randrange(256)])
        elif way == 2:
            out[at : at + n] = bytes(rng.choice([0, 255]) for _ in range(n))
        elif way == 3:
            of = rng.randrange(low, high - n + 1)
            out[at : at + n] = out[of : of + n]
        else:
            out[at:high] = out[at + n : high] + bytes(n)
    return bytes(out)


def readable(array: pa.Array) -> bool:
    """Are the words UTF-8; the scan looks at that for both readers."""
    if pa.types.is_dictionary(array.type):
        try:
            array.dictionary.validate(full=True)
        except pa.ArrowInvalid:
            return False
    return True


def test_damage_by_chance_gives_pyarrows_answer_or_none(tmp_path: Path) -> None:
    """Fails if a column is decoded that pyarrow refuses or reads otherwise, or a decoding takes longer than a second.

    Damage to the statistics of a footer makes pyarrow refuse what the leaves do not look at: pages alone are damaged.
    """
    path = tmp_path / "a.parquet"
    answers = refused = 0
    for seed in range(FUZZ):
        rng = random.Random(seed)
        data = some_file(rng, rng.choice([1, 7, 60, 64, 200, 700]))
        end = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
        for _ in range(6):
            path.write_bytes(damaged(data, rng, 4, end))
            begin = time.perf_counter()
            found = own(path, guarded(rng.random() < 0.5))
            assert time.perf_counter() - begin < 1 or seed == 0, seed
            for index, arrays in enumerate(found):
                refused += 6 - len(arrays)
                for name, array in arrays.items():
                    if readable(array):
                        array.validate(full=True)
                        assert identical(array, theirs(path, index, name)), (seed, index, name)
                        answers += 1
    assert answers > 5 * FUZZ < 5 * refused, "nearly all or nearly none was damaged"


def test_a_footer_damaged_by_chance_leads_nowhere(tmp_path: Path) -> None:
    """Fails if what a footer says is followed out of the file or out of a buffer, or into the wrong type."""
    path = tmp_path / "a.parquet"
    opened = answers = 0
    for seed in range(FUZZ):
        rng = random.Random(seed)
        data = some_file(rng, rng.choice([1, 60, 200]))
        end = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
        for _ in range(12):
            path.write_bytes(damaged(data, rng, end, len(data) - 8))
            try:
                with pq.ParquetFile(path) as file:
                    metadata, schema = file.metadata, file.schema_arrow
            except (OSError, pa.ArrowException, ValueError):
                continue
            opened += 1
            chunks = Chunks(metadata, schema, str(path), schema.names, ["word"])
            for index in range(metadata.num_row_groups):
                for name, array in chunks.decode(guarded(rng.random() < 0.5), index).items():
                    answers += 1
                    try:
                        other = theirs(path, index, name)
                    except OSError as error:
                        assert "istogram" in str(error) or "tatistics" in str(error), error  # noqa: PT017
                    else:
                        assert not readable(array) or identical(array, other), (seed, index, name)
    assert answers > opened > FUZZ
