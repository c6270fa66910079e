"""CSV and JSON lines: broken lines cost themselves only, wrong values are named, blocks never tear a record."""

from __future__ import annotations

import bz2
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatgrid.sources import open_events, streams
from heatgrid.sources.events import Events
from heatgrid.sources.layouts import is_utf8
from heatgrid.sources.stdin import open_stdin
from heatgrid.sources.streams import Unpacked, blocks
from heatgrid.words.errors import InputError
from heatgrid.words.events import Chunk

HEADER = "time,session,page,x,y,country\n"


def chunks(events: Events, columns: list[str] | None = None, threads: int = 2) -> list[Chunk]:
    return list(events.scan(columns or [*events.columns, "country"], threads=threads))


def rows_of(found: list[Chunk]) -> list[dict[str, Any]]:
    return [row for chunk in found for row in chunk.batch.to_pylist()]


def csv_of(rows: int) -> str:
    lines = [
        f"2024-05-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z,s{n % 7},/p{n % 3},{n % 800},{n / 2},DE"
        for n in range(rows)
    ]
    return HEADER + "\n".join(lines) + "\n"


def put(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("packing", ["", ".gz", ".zst", ".bz2"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_packed_or_not_in_blocks_or_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str, kind: str
) -> None:
    rows = 3_000
    text = csv_of(rows)
    if kind == "jsonl":
        names = HEADER.strip().split(",")
        split = (line.split(",") for line in text.splitlines()[1:])
        made = ({k: (float(v) if k in "xy" else v) for k, v in zip(names, line, strict=True)} for line in split)
        text = "".join(json.dumps(row) + "\n" for row in made)
    data = text.encode()
    packed = {
        "": lambda: data,
        ".gz": lambda: gzip.compress(data[:1000]) + gzip.compress(data[1000:]),
        ".zst": lambda: pa.Codec("zstd").compress(data, asbytes=True),
        ".bz2": lambda: bz2.compress(data),
    }[packing]()
    path = put(tmp_path / f"a.{kind}{packing}", packed)
    monkeypatch.setattr(blocks, "__kwdefaults__", {"size": 10_000})
    events = open_events(path, where="x >= 20")
    found = chunks(events, threads=3)
    expected = [n for n in range(rows) if n % 800 >= 20]
    assert [row["y"] for row in rows_of(found)] == [n / 2 for n in expected]
    assert [row["session"] for row in rows_of(found)] == [f"s{n % 7}" for n in expected]
    assert len(found) > 5
    assert sum(c.read for c in found) == rows
    assert [c.row for c in found] == [sum(c.read for c in found[:i]) for i in range(len(found))]
    assert found[0].batch["time"][0].value == 1_714_521_620_000_000
    assert pa.types.is_floating(found[0].batch.schema.field("x").type) or kind == "jsonl"
    put(tmp_path / "noname", packed)
    assert sum(c.read for c in chunks(open_events(tmp_path / "noname"))) == rows


def test_broken_csv_lines_cost_themselves(tmp_path: Path) -> None:
    good = b"2024-05-01,a,/,1,2,DE\n"
    lines = [
        HEADER.encode(),
        good,
        b"2024-05-01,a,/,1\n",  # 3: too few
        b"2024-05-01,a,/,1,2,DE,more\n",  # 4: too many
        good,
        b"2024-05-01,\xff\xfe,/,1,2,DE\n",  # 6: not UTF-8
        b"2024-05-01,a\0b,/,1,2,DE\n",  # 7: NUL
        b'2024-05-01,a,"/two\nlines",1,2,DE\n',  # 8 and 9
        good,
        b"2024-05-01,a\n",  # 11
        good,
    ]
    events = open_events(put(tmp_path / "a.csv", b"".join(lines)))
    (chunk,) = chunks(events)
    assert chunk.batch.num_rows == 5
    assert chunk.rejected == {"decode": 5}
    assert chunk.read == 10
    assert [int(line.removeprefix(str(tmp_path / "a.csv:")).split(":")[0]) for line in events.bad_lines] == [
        3,
        4,
        6,
        7,
        11,
    ]
    assert chunk.batch["page"].to_pylist() == ["/", "/", "/two\nlines", "/", "/"]
    chunks(events)
    assert len(events.bad_lines) == 5, "a second scan starts its list anew"


def test_broken_json_lines_cost_themselves(tmp_path: Path) -> None:
    good = b'{"time": "2024-05-01", "session": "a", "x": 1, "country": "DE"}\n'
    lines = [
        good,
        b'{"time": "2024-05-01", "session": "a", \n',  # 2
        good,
        b'{"session": "\xff"}\n',  # 4
        b'{"session": "\\ud800"}\n',  # 5
        b'{"session": "a\\u0000b"}\n',  # 6
        b"[1, 2]\n",  # 7
        b"\n",
        good[:-1] + b"\r\n",
        b'{"time": "2024-05-01", "session": "\\ud83d\\ude00"} {"session": "two"}\n',  # 10
        b"[" * 100_000 + b"\n",  # 11
        b'{"time": "2024-05-01", "session": "\\ud83d\\ude00", "x": null, "new": {"deep": [1]}}',
    ]
    events = open_events(put(tmp_path / "a.jsonl", b"".join(lines)))
    (chunk,) = chunks(events)
    assert chunk.batch["session"].to_pylist() == ["a", "a", "a", "😀"]
    assert chunk.batch["x"].to_pylist() == [1, 1, 1, None]
    assert chunk.rejected == {"decode": 7}
    assert chunk.read == 11
    assert [int(line.split(".jsonl:")[1].split(":")[0]) for line in events.bad_lines] == [2, 4, 5, 6, 7, 10, 11]


@pytest.mark.parametrize("bad", [b'{"session": "a\\u0000b"}', b'{"session": "b"} {"session": "c"}'])
def test_what_the_parser_would_take_is_rejected_too(tmp_path: Path, bad: bytes) -> None:
    good = b'{"session": "a"}\n'
    (chunk,) = chunks(open_events(put(tmp_path / "a.jsonl", good + bad + b"\n" + good)), ["session"])
    assert chunk.batch["session"].to_pylist() == ["a", "a"]
    assert chunk.rejected == {"decode": 1}


def test_twenty_bad_lines_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    events = open_events(put(tmp_path / "a.csv", csv_of(5) + "bad\n" * 100))
    (chunk,) = chunks(events)
    assert chunk.rejected == {"decode": 100}
    assert len(events.bad_lines) == 20
    assert events.bad_lines[0].startswith(f"{tmp_path / 'a.csv'}:7: 1 fields, not 6")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_value_of_a_wrong_type_is_named_or_coerced(tmp_path: Path, kind: str) -> None:
    if kind == "csv":
        text = HEADER + "2024-05-01,a,/,5,1,DE\n2024-05-01,a,/,12px,,DE\n2024-05-01,a,/, 7 ,NaN,DE\n"
    else:
        rows = [{"x": 5, "y": 1}, {"x": "12px", "y": None}, {"x": " 7 ", "y": float("nan")}]
        text = "".join(
            json.dumps({"time": "2024-05-01", "session": "a", "page": "/", "country": "DE", **r}) + "\n" for r in rows
        )
    path = put(tmp_path / f"a.{kind}", text)
    with pytest.raises(InputError, match="12px") as caught:
        chunks(open_events(path))
    assert caught.value.code == "HG2213"
    assert str(path) in str(caught.value)
    assert "'x'" in str(caught.value)
    assert "--coerce" in str(caught.value)
    (chunk,) = chunks(open_events(path, coerce=True))
    assert chunk.batch["x"].to_pylist() == [5, None, 7]
    assert [v if v is None or v == v else "nan" for v in chunk.batch["y"].to_pylist()] == [1, None, "nan"]  # noqa: PLR0124
    assert chunk.rejected == {}
    chunks(open_events(path), ["time", "session"])


def test_a_field_whose_type_changes_from_line_to_line(tmp_path: Path) -> None:
    rows = [
        {"session": 1, "time": 1_714_521_600},
        {"session": "b", "time": "1714521601"},
        {"session": True, "time": 1_714_521_602.0},
    ]
    path = put(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    (chunk,) = chunks(open_events(path), ["time", "session"])
    assert chunk.batch["session"].to_pylist() == ["1", "b", "true"]
    assert [t.second for t in chunk.batch["time"].to_pylist()] == [0, 1, 2]


def test_nested_json_by_path(tmp_path: Path) -> None:
    rows = [
        {"event": "click", "properties": {"time": 1_714_521_600, "$pageX": 5, "more": {"a": "b"}}},
        {"event": "move", "properties": {"time": 1_714_521_601}},
        {"event": "move", "properties": None},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    for extra in ("", "not json\n"):
        path = put(tmp_path / "a.jsonl", text + extra)
        events = open_events(
            path, map={"x": "properties.$pageX", "time": "properties.time"}, where="event in ('click', 'move')"
        )
        (chunk,) = chunks(events, ["time", "kind", "x", "properties.more.a"])
        assert chunk.batch["x"].to_pylist() == [5, None, None]
        assert chunk.batch["properties.more.a"].to_pylist() == ["b", None, None]
        assert chunk.batch["time"].null_count == 1
        assert chunk.rejected == ({"decode": 1} if extra else {})


def test_delimiters_quotes_marks_and_empty_files(tmp_path: Path) -> None:
    text = '\ufefftime;session;"a;b"\r\n2024-05-01;"x;""y""";5" screen\r\n2024-05-02;;6\r\n'
    events = open_events(put(tmp_path / "a.csv", text))
    (chunk,) = chunks(events, ["time", "session", "a;b"])
    assert chunk.batch["session"].to_pylist() == ['x;"y"', None]
    assert chunk.batch["a;b"].to_pylist() == ['5" screen', "6"]
    put(tmp_path / "b.tsv", text.replace(";", "\t"))
    assert open_events(tmp_path / "b.tsv").columns == {"time": "time", "session": "session"}
    for name in ("none.csv", "none.jsonl"):
        assert chunks(open_events(put(tmp_path / name, "")), ["time"]) == []
    only_header = open_events(put(tmp_path / "head.csv", HEADER))
    assert rows_of(chunks(only_header)) == []
    with pytest.raises(InputError, match="UTF-16"):
        open_events(put(tmp_path / "wide.csv", HEADER.encode("utf-16")))
    with pytest.raises(InputError, match="two columns have one name") as caught:
        open_events(put(tmp_path / "twice.csv", "time,x,x\n1,2,3\n"))
    assert caught.value.code == "HG2211"
    with pytest.raises(InputError, match="JSON array"):
        open_events(put(tmp_path / "array.json", "[1, 2]"))


@settings(max_examples=60, deadline=None)
@given(
    cells=st.lists(
        st.lists(st.text('ab",\n;', max_size=6), min_size=3, max_size=3).filter(any),
        min_size=1,
        max_size=12,
    ),
    size=st.integers(1, 40),
)
def test_blocks_never_tear_a_quoted_record(cells: list[list[str]], size: int) -> None:
    """Whole blocks, cut anywhere, hold the same records as the text."""
    records = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in cells]
    data = "".join(records).encode()
    found = list(blocks(Unpacked(pa.BufferReader(data), None, "test"), quotes=True, size=size))
    assert b"".join(block.data for block in found) == data
    ends = {0}
    for record in records:
        ends.add(max(ends) + len(record.encode()))
    at = 0
    for block in found:
        assert at in ends
        assert block.line == 1 + data.count(b"\n", 0, at)
        at += len(block.data)


def test_stray_quotes_do_not_hold_a_file_back() -> None:
    data = b'a,5" screen,b\n' * 4001 + b'"quoted\nend",x,y\n' * 3
    found = list(blocks(Unpacked(pa.BufferReader(data), None, "test"), quotes=True, size=1_000))
    assert b"".join(block.data for block in found) == data
    assert len(found) > 20
    assert all(block.data.endswith(b"\n") for block in found)


# ---- limits and damage ----


@pytest.mark.parametrize("packing", ["gz", "zst", "bz2"])
def test_truncated_packing_is_an_error(tmp_path: Path, packing: str) -> None:
    data = csv_of(5_000).encode()
    packed = {
        "gz": gzip.compress(data),
        "zst": pa.Codec("zstd").compress(data, asbytes=True),
        "bz2": bz2.compress(data),
    }[packing]
    path = put(tmp_path / f"a.csv.{packing}", packed[: len(packed) // 2])
    with pytest.raises(InputError, match=r"a\.csv\.") as caught:
        chunks(open_events(path))
    assert caught.value.code == "HG2205"
    put(tmp_path / "b.csv", csv_of(3))
    assert sum(c.read for c in chunks(open_events(tmp_path, on_error="skip"))) >= 3


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BOMB_BYTES", 20 << 20)
    bomb = pa.Codec("zstd").compress(HEADER.encode() + b"2024-05-01,a,/,1,2,DE\n" * 2_000_000, asbytes=True)
    path = put(tmp_path / "a.csv.zst", bomb)
    with pytest.raises(InputError, match="unpacks to more") as caught:
        chunks(open_events(path))
    assert caught.value.code == "HG2209"
    monkeypatch.setattr(streams, "BOMB_RATIO", 1_000_000)
    assert sum(c.read for c in chunks(open_events(path), ["time"])) == 2_000_000


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_an_endless_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(streams, "MAX_LINE", 50_000)
    monkeypatch.setattr(blocks, "__kwdefaults__", {"size": 10_000})
    text = (csv_of(3) if name == "a.csv" else '{"time": 1714521600, "country": "DE"}\n') + "x" * 200_000 + "\n"
    with pytest.raises(InputError, match="one line is longer") as caught:
        chunks(open_events(put(tmp_path / name, text)))
    assert caught.value.code == "HG2210"


# ---- standard input ----


def from_stdin(data: bytes, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Events:
    class Pipe:
        buffer = io.BytesIO(data)

    monkeypatch.setattr("sys.stdin", Pipe())
    return open_events("-", **options)


@pytest.mark.parametrize("packing", [bytes, gzip.compress])
def test_standard_input_is_read_once(monkeypatch: pytest.MonkeyPatch, packing: Any) -> None:
    events = from_stdin(packing(csv_of(3_000).encode()), monkeypatch)
    assert not events.replayable
    assert events.inputs == []
    found = chunks(events)
    assert sum(c.read for c in found) == 3_000
    assert rows_of(found)[-1]["y"] == 1499.5
    with pytest.raises(InputError, match="cannot be read again") as caught:
        chunks(events)
    assert caught.value.code == "HG2216"


def test_arrow_and_json_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    events = from_stdin(b'{"time": 1714521600, "country": "DE"}\n' * 9, monkeypatch)
    assert sum(c.batch.num_rows for c in chunks(events)) == 9
    table = pa.table({"time": [1_714_521_600] * 5, "country": ["DE"] * 5})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    events = from_stdin(sink.getvalue().to_pybytes(), monkeypatch)
    assert [c.batch.num_rows for c in chunks(events)] == [2, 2, 1]
    with pytest.raises(InputError, match="cannot be read again"):
        chunks(events)
    with pytest.raises(InputError, match="cannot be read from a pipe"):
        open_stdin("auto", io.BytesIO(b"PAR1 and more"))


def test_real_text_files(data_dir: Path) -> None:
    shop = open_events(
        data_dir / "retentioneering_ecom" / "ecom.csv.gz",
        map={"feature": "event", "kind": None},
        where="platform != 'xx'",
    )
    found = chunks(shop, ["time", "session", "user", "feature", "platform"])
    assert sum(c.read for c in found) == 31_106
    assert sum(c.rejected.get("decode", 0) for c in found) == 0
    with gzip.open(shop.files[0], "rt", encoding="utf-8") as file:
        names = file.readline().rstrip("\n").split(",")
        column = names.index("event")
        expected = [line.rstrip("\n").split(",")[column] for line in file]
    assert [row["feature"] for row in rows_of(found)] == expected


def test_much_text_is_looked_at_as_little_is() -> None:
    """Above 64 KiB Arrow says what is UTF-8: as Python does, halves of surrogates and long forms of short ones too."""
    plain = "öffne ".encode() * 20_000
    bad = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82", b"\xf4\x90\x80\x80", b"\x80"]
    for one in [b"", "€".encode(), "\U0001f600".encode(), *bad]:
        for whole in (plain + one + plain, one + plain, plain + one):
            assert is_utf8(whole) == (one not in bad) == is_utf8(b"ab" + one + b"ab")


def test_rows_behind_many_empty_lines_of_a_csv_are_read(tmp_path: Path) -> None:
    """Fails if a block that begins with empty lines is taken for one of nothing else."""
    path = tmp_path / "events.csv"
    path.write_text(HEADER + "\n" * 200 + csv_of(3).removeprefix(HEADER))
    assert len(rows_of(chunks(open_events(str(path))))) == 3
