"""Column chunks decoded by our own leaves against pyarrow's own reader, and which of them the leaves took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fences import fenced
from heatgrid.cpu import snappy
from heatgrid.sources.chunks import Chunks, Room
from parquet_bytes import (
    DELTA,
    PLAIN,
    PLAIN_DICTIONARY,
    RLE_DICTIONARY,
    UTF8,
    Column,
    delta,
    dictionary,
    file,
    hybrid,
    page,
    plain,
    varint,
)
from parquet_twice import GuardedRoom, compare, own

ROWS = 1_500
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
TIMES = {f"time_{unit}": pa.timestamp(unit, tz) for unit, tz in (("ms", "UTC"), ("us", None), ("ns", "Europe/Berlin"))}
FLOATS = ["float", "double"]
NULLS = ["none", "some", "all", "bursts", "one"]


def values(kind: str, rows: int, rng: np.random.Generator) -> Any:
    if kind == "text":
        words = ["", "a", "bö", "long " * 9, *(f"w{i}" for i in range(30))]
        return np.array(words, object)[rng.integers(0, len(words), rows)]
    if kind in TIMES:
        return 1_700_000_000_000 + np.cumsum(rng.integers(-5, 9_000, rows))
    if kind in FLOATS:
        some = np.array([0.0, -0.0, np.nan, np.inf, -1.5, 1e-40])
        return np.where(rng.random(rows) < 0.5, some[rng.integers(0, len(some), rows)], rng.random(rows))
    dtype = np.dtype(kind)
    ends = np.iinfo(dtype)
    # differences of 56 bits are the widest that the leaves take
    least, most = (ends.min, ends.max) if dtype.itemsize < 8 else (ends.min >> 9, ends.max >> 10)
    far = rng.integers(least, most, rows, dtype, endpoint=True)
    return np.where(rng.random(rows) < 0.5, far, rng.integers(0, 90, rows).astype(dtype))


def absent(pattern: str, rows: int, rng: np.random.Generator) -> np.ndarray:
    if pattern == "bursts":
        return np.repeat(rng.random(rows // 50 + 1) < 0.5, 50)[:rows]
    if pattern == "one":
        return np.arange(rows) == rows // 2
    return rng.random(rows) < {"none": 0.0, "some": 0.3, "all": 2.0}[pattern]


def arrow_type(kind: str) -> pa.DataType:
    return TIMES.get(kind) or {"text": pa.string(), "float": pa.float32(), "double": pa.float64()}.get(
        kind, pa.type_for_alias(kind if kind not in (*FLOATS, "text") else "int8")
    )


KINDS = ["text", *TIMES, *FLOATS, *INTEGERS]


def everything(rows: int = ROWS, seed: int = 0) -> pa.Table:
    """Each type the leaves claim, in each pattern of nulls, and required."""
    rng = np.random.default_rng(seed)
    fields, columns = [], []
    for kind in KINDS:
        for pattern in ["required", *NULLS]:
            what = values(kind, rows, rng)
            if kind == "float":
                what = what.astype("f4")
            mask = None if pattern == "required" else absent(pattern, rows, rng)
            columns.append(pa.array(what, mask=mask).cast(arrow_type(kind)))
            fields.append(pa.field(f"{kind}-{pattern}", arrow_type(kind), pattern != "required"))
    return pa.table(columns, schema=pa.schema(fields))


def names_of(table: pa.Table, *kinds: str) -> set[str]:
    return {name for name in table.column_names if name.split("-")[0] in kinds}


WHOLE = [*INTEGERS, *TIMES]
CODINGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "dictionary": ({"dictionary_pagesize_limit": 1 << 20}, KINDS),
    "falling back": ({"dictionary_pagesize_limit": 100}, [*WHOLE, *FLOATS]),
    "plain": ({"use_dictionary": False}, [*WHOLE, *FLOATS]),
    "delta": ({"use_dictionary": False, "column_encoding": dict.fromkeys(WHOLE, "DELTA_BINARY_PACKED")},
              [*WHOLE, *FLOATS]),
    "split": ({"use_dictionary": False, "column_encoding": dict.fromkeys([*WHOLE, *FLOATS], "BYTE_STREAM_SPLIT")}, []),
    "other texts": ({"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}}, [*WHOLE, *FLOATS]),
    "lengths of texts": ({"use_dictionary": False, "column_encoding": {"text": "DELTA_LENGTH_BYTE_ARRAY"}},
                         [*WHOLE, *FLOATS]),
}  # fmt: skip


def by_column(options: dict[str, Any], table: pa.Table) -> dict[str, Any]:
    """Encodings by kind as encodings by column."""
    coding = options.get("column_encoding")
    if coding is None:
        return options
    return options | {
        "column_encoding": {name: coding[kind] for name in table.column_names if (kind := name.split("-")[0]) in coding}
    }


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("codec", ["none", "snappy"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("pages", ["tiny", "one"])
def test_every_type_in_every_coding_is_what_pyarrow_reads(
    tmp_path: Path, coding: str, codec: str, version: str, pages: str
) -> None:
    """Fails with any loop of pages.py, or if a column is left to pyarrow without a reason."""
    table = everything()
    options, taken = CODINGS[coding]
    sizes: dict[str, Any] = {"data_page_size": 60, "write_batch_size": 37} if pages == "tiny" else {}
    path = tmp_path / "a.parquet"
    pq.write_table(
        table, path, compression=codec, data_page_version=version, row_group_size=ROWS - 333, version="2.6",
        **sizes, **by_column(options, table),
    )  # fmt: skip
    found = compare(path)
    if coding == "falling back":
        # the texts whose dictionary was full are left to pyarrow, others are not
        assert pages == "one" or "text-required" not in found[0]
        found = [names - names_of(table, "text") for names in found]
    want = names_of(table, *taken)
    assert found == [want, want]


@pytest.mark.parametrize("codec", ["gzip", "zstd", "lz4", "brotli"])
def test_other_codecs_are_left_to_pyarrow(tmp_path: Path, codec: str) -> None:
    """Fails if ``_CODECS`` names one more."""
    path = tmp_path / "a.parquet"
    pq.write_table(everything(200), path, compression=codec)
    assert own(path) == [{}]


def test_columns_of_one_file_may_have_different_codecs(tmp_path: Path) -> None:
    """Fails if ``_array`` takes one chunk's codec for another's."""
    table = pa.table({"a": range(100), "b": range(100), "c": range(100), "d": ["x"] * 100})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression={"a": "snappy", "b": "zstd", "c": "none", "d": "snappy"})
    assert compare(path) == [{"a", "c", "d"}]


@pytest.mark.parametrize("group", [1, 7, 8, 9, 63, 64, 65, 128, 500])
def test_row_groups_of_few_rows(tmp_path: Path, group: int) -> None:
    """Fails if ``_levels`` or ``_spread`` miscount at the end of a word of validity bits."""
    path = tmp_path / "a.parquet"
    rows = min(500, 4 * group)
    table = everything(rows, group)
    pq.write_table(table, path, row_group_size=group, compression="snappy")
    found = compare(path)
    assert all(names == set(table.column_names) for names in found)
    assert len(found) == -(-rows // group)


def test_row_groups_of_no_rows_are_left_to_pyarrow(tmp_path: Path) -> None:
    """Fails if ``_array`` takes chunks of 0 rows (some writers give them no page at all)."""
    path = tmp_path / "a.parquet"
    table = everything(10)
    with pq.ParquetWriter(path, table.schema) as writer:
        for rows in (3, 0, 7):
            writer.write_table(table.slice(0, rows))
    found = compare(path)
    assert [bool(names) for names in found] == [True, False, True]
    empty = tmp_path / "b.parquet"
    with pq.ParquetWriter(empty, table.schema):
        pass
    assert own(empty) == []


def test_the_footer_of_a_file_without_row_groups_or_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({}), path)
    assert own(path) == [{}]


SAVED = {
    "int8": pa.dictionary(pa.int8(), pa.string()),
    "large": pa.large_string(),
    "view": pa.string_view(),
    "large in a dictionary": pa.dictionary(pa.int16(), pa.large_string()),
}


@pytest.mark.parametrize("layout", SAVED)
def test_texts_of_every_layout_are_texts_with_a_dictionary(tmp_path: Path, layout: str) -> None:
    """Fails if a text is taken by its Arrow type and not by what the file stores."""
    path = tmp_path / "a.parquet"
    words = ["a", None, "bc", "a", "", None] * 20
    pq.write_table(pa.table({"word": pa.array(words).cast(SAVED[layout])}), path)
    assert compare(path) == [{"word"}]
    assert own(path)[0]["word"].to_pylist() == words


def test_types_that_the_file_does_not_store_are_left_to_pyarrow(tmp_path: Path) -> None:
    """Fails if ``_delivered`` goes by Arrow's type or by the stored one alone."""
    n = 50
    table = pa.table(
        {
            "day": pa.array(range(n), pa.date32()),
            "day64": pa.array([86_400_000 * i for i in range(n)], pa.date64()),
            "clock": pa.array(range(n), pa.time32("ms")),
            "clock64": pa.array(range(n), pa.time64("us")),
            "span": pa.array(range(n), pa.duration("ms")),
            "half": pa.array([0.5] * n, pa.float16()),
            "money": pa.array(range(n), pa.decimal128(9, 2)),
            "flag": pa.array([True] * n),
            "bytes": pa.array([b"x"] * n),
            "fixed": pa.array([b"xy"] * n, pa.binary(2)),
            "list": pa.array([[1, 2]] * n),
            "map": pa.array([[("k", 1)]] * n, pa.map_(pa.string(), pa.int64())),
            "ok": pa.array(range(n)),
            "seconds, stored as ms": pa.array(range(n), pa.timestamp("s")),
            "numbers in a dictionary": pa.array([5] * n).dictionary_encode(),
        }
    )
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    assert compare(path) == [{"ok", "seconds, stored as ms", "numbers in a dictionary"}]
    pq.write_table(pa.table({"t": pa.array(range(n), pa.timestamp("us"))}), path, use_deprecated_int96_timestamps=True)
    assert compare(path) == [set()]
    times = pa.table({"t": pa.array(range(0, 1000 * n, 1000), pa.timestamp("us"))})
    pq.write_table(times, path, coerce_timestamps="ms")
    assert compare(path) == [{"t"}]


def test_a_text_without_a_dictionary_asked_for_is_left_to_pyarrow(tmp_path: Path) -> None:
    """Fails if texts get a dictionary that nobody asked for: the time as text is read as it is."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x", "y"], "b": ["x", "y"]}), path)
    with pq.ParquetFile(path) as opened:
        some = Chunks(opened.metadata, opened.schema_arrow, str(path), ["a", "b"], ["b"])
    assert some.columns == ["b"]


def test_fields_in_structs_and_names_with_dots(tmp_path: Path) -> None:
    """Fails if ``_top`` goes by the path alone: a field of a struct has the same path as a column whose name is it."""
    inner = pa.struct([pa.field("b", pa.int64(), nullable=False), pa.field("c", pa.string())])
    n = 30
    table = pa.table(
        {
            "a.b": pa.array([7] * n),
            "a": pa.array([{"b": i, "c": "x"} for i in range(n)], inner),
            "p.q.r": pa.array(range(n)),
            "list": pa.array([[i] for i in range(n)]),
            "plain": pa.array(range(n)),
        }
    )
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    names = [*table.column_names, "a.c", "list.list.element"]
    assert compare(path, columns=names) == [{"p.q.r", "plain"}]
    pq.write_table(table.select(["a", "plain"]), path)
    assert compare(path, columns=["a", "a.b", "a.c", "plain"]) == [{"plain"}]


# ---- other writers


def some_rows(rows: int) -> pa.Table:
    """What a click map needs, without the types that a writer has not."""
    rng = np.random.default_rng(3)
    gone = rng.random(rows) < 0.2
    return pa.table(
        {
            "time": pa.array(1_700_000_000_000_000 + np.cumsum(rng.integers(0, 9, rows)), pa.timestamp("us")),
            "word": pa.array(np.array(["a", "bb", "", "ccc"], object)[rng.integers(0, 4, rows)], mask=gone),
            "x": pa.array(rng.random(rows), mask=gone),
            "y": pa.array(rng.random(rows).astype("f4")),
            "width": pa.array(rng.integers(0, 9, rows).astype("i4"), mask=rng.random(rows) < 0.9),
            "small": pa.array(rng.integers(0, 9, rows).astype("u1")),
            "id": pa.array(rng.integers(0, 2**60, rows)),
            "none": pa.array([None] * rows, pa.int64()),
        }
    )


@pytest.mark.parametrize("codec", ["snappy", "uncompressed"])
@pytest.mark.parametrize("page_size", [None, 300])
def test_files_of_polars(tmp_path: Path, codec: Any, page_size: int | None) -> None:
    path = tmp_path / "a.parquet"
    table = some_rows(5_000)
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    frame.write_parquet(path, compression=codec, row_group_size=1_100, data_page_size=page_size)
    for names in compare(path):
        assert names >= {"time", "x", "y", "width", "id", "small"}, names


@pytest.mark.parametrize("codec", ["snappy", "uncompressed"])
@pytest.mark.parametrize("version", ["V1", "V2"])
def test_files_of_duckdb(tmp_path: Path, codec: str, version: str) -> None:
    path = tmp_path / "a.parquet"
    table = some_rows(5_000)
    with duckdb.connect() as database:
        database.register("rows_given", table)
        options = f"codec '{codec}', parquet_version '{version}', row_group_size 2048"
        database.execute(f"copy rows_given to '{path}' (format parquet, {options})")
    for names in compare(path):
        assert names >= {"time", "word", "width", "small"}, names


# ---- pages that no writer makes, but the format allows


@st.composite
def odd_columns(draw: st.DrawFn) -> bytes:
    """A file of one column in pages of any lengths, versions, codings and runs."""
    rng = draw(st.randoms(use_true_random=False))
    physical = draw(st.sampled_from(["INT32", "INT64", "FLOAT", "DOUBLE", "BYTE_ARRAY"]))
    optional, packs = draw(st.booleans()), draw(st.booleans())
    coded = physical == "BYTE_ARRAY" or draw(st.booleans())
    entries = draw(st.sampled_from([1, 2, 5, 300]))
    # differences of differences of INT64 stay within the 56 bits that the leaf takes from one load
    bits = {"INT32": 32, "INT64": 56}.get(physical)
    if physical == "BYTE_ARRAY":
        words: list[Any] = [b"%x" % i * (i % 4) or b"-%d" % i for i in range(entries)]
    elif bits:
        words = [rng.randrange(-(1 << bits - 4), 1 << bits - 4) for _ in range(entries)]
    else:
        words = [rng.randrange(-999, 999) / 4 for _ in range(entries)]
    pages = []
    if coded:
        coding = rng.choice([PLAIN, PLAIN_DICTIONARY])
        pages.append(dictionary(plain(words, physical), entries, encoding=coding, snappy=packs))
    rows = 0
    for _ in range(draw(st.integers(1, 6))):
        n = rng.choice([1, 7, 8, 13, 63, 64, 65, 100, 500])
        rows += n
        share = rng.choice([0, 0.1, 0.5, 0.95, 1])
        valid = [int(not optional or rng.random() >= share) for _ in range(n)]
        picks = [rng.randrange(entries) for _ in range(sum(valid))]
        version = rng.choice([1, 2])
        ways = ([RLE_DICTIONARY, PLAIN_DICTIONARY] if coded else []) + ([PLAIN] if physical != "BYTE_ARRAY" else [])
        coding = rng.choice([*ways, DELTA] if bits else ways)
        some = [words[k] for k in picks]
        if coding == PLAIN:
            body = plain(some, physical)
        elif coding == DELTA:
            body = delta(some, 4 if physical == "INT32" else 8, *rng.choice([(128, 4), (128, 1), (512, 16)]))
        else:
            width = rng.choice([(entries - 1).bit_length(), rng.randint((entries - 1).bit_length(), 31)])
            body = bytes([width]) + hybrid(picks, width, rng)
        levels = hybrid(valid, 1, rng) if optional else None
        squeezed = packs and (version == 1 or rng.random() < 0.9)
        flag = rng.random() < 0.9 or squeezed != packs
        pages.append(page(body, n, coding, levels=levels, version=version, snappy=squeezed, flag=flag))
    kind = UTF8 if physical == "BYTE_ARRAY" else None
    column = Column("c", physical, pages, optional, kind, packs, dictionary=coded)
    return file([column], rows)


@settings(max_examples=150, deadline=None)
@given(data=odd_columns(), front=st.booleans())
def test_pages_of_any_make(tmp_path_factory: pytest.TempPathFactory, data: bytes, front: bool) -> None:
    """Fails with most changes of ``_levels``, ``_packed``, ``_delta``, ``_spread``, or if versions mix."""
    path = tmp_path_factory.getbasetemp() / "odd.parquet"
    path.write_bytes(data)

    def room() -> Room:
        made = GuardedRoom()
        made.front = front
        return made

    assert compare(path, room) == [{"c"}]


@st.composite
def snappy_streams(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """(stream, content): literals and copies of every form, also those that overlap themselves."""
    out = bytearray()
    stream = bytearray()
    for _ in range(draw(st.integers(0, 30))):
        way = draw(st.integers(0, 3))
        if way == 0 or not out:
            some = draw(st.binary(min_size=1, max_size=100))
            n = len(some) - 1
            long = n >= 60 or draw(st.booleans())
            width = draw(st.integers(1, 4)) if long else 0
            stream += bytes([59 + width << 2]) + n.to_bytes(width, "little") if long else bytes([n << 2])
            stream += some
            out += some
            continue
        back = draw(st.integers(1, min(len(out), 2047 if way == 1 else 1 << 16)))
        if way == 1:
            n = draw(st.integers(4, 11))
            stream += bytes([1 | n - 4 << 2 | back >> 8 << 5, back & 255])
        else:
            n = draw(st.integers(1, 64))
            stream += bytes([way | n - 1 << 2]) + back.to_bytes(2 * way - 2, "little")
        for _ in range(n):
            out.append(out[-back])
    return varint(len(out)) + bytes(stream), bytes(out)


@settings(max_examples=200, deadline=None)
@given(snappy_streams(), st.integers(-2, 2))
def test_snappy_streams_of_any_make(given_stream: tuple[bytes, bytes], lie: int) -> None:
    """Fails if a form of a literal or of a copy is read wrongly, or written outside of the output."""
    stream, content = given_stream
    if content:
        assert pa.decompress(stream, len(content), "snappy", asbytes=True) == content
    with fenced() as make:
        size = max(0, len(content) + lie)
        out = make(size + snappy.SLACK, np.uint8)
        b = np.frombuffer(bytearray(b"?" + stream + bytes(snappy.SLACK)), np.uint8)
        done = snappy.unpack(b, 1, len(stream) + 1, out, size)
    assert done == (size == len(content))
    assert not done or bytes(out[:size]) == content


@pytest.mark.parametrize("rows", [0, 1, 50_000])
def test_snappy_of_the_common_compressor(rows: int) -> None:
    rng = np.random.default_rng(rows)
    for content in (rng.integers(0, 3, rows, np.uint8), np.arange(rows, dtype="i8") // 7, rng.random(rows)):
        packs = pa.compress(content.tobytes(), codec="snappy", asbytes=True)
        out = np.empty(content.nbytes + snappy.SLACK, np.uint8)
        b = np.frombuffer(bytearray(packs + bytes(snappy.SLACK)), np.uint8)
        assert snappy.unpack(b, 0, len(packs), out, content.nbytes)
        assert out[: content.nbytes].tobytes() == content.tobytes()
