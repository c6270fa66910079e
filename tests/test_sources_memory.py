"""Data in this process: frames, relations, streams and arrays of every layout, passed on without a copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from heatgrid.sources import open_events
from heatgrid.sources.events import Events
from heatgrid.words.errors import InputError
from heatgrid.words.events import Chunk

TIMES = [1_714_521_600_000 + n for n in range(6)]
SESSIONS = ["a", "b", None, "a", "é", ""]
XS = [1.5, float("nan"), None, float("inf"), -0.5, 4.0]


def table() -> pa.Table:
    return pa.table({"time": pa.array(TIMES, pa.timestamp("ms", "UTC")), "session": SESSIONS, "x": XS})


def chunks(events: Events, columns: list[str] | None = None) -> list[Chunk]:
    return list(events.scan(columns or list(events.columns), threads=2))


def columns_of(found: list[Chunk]) -> dict[str, list[Any]]:
    whole = pa.Table.from_batches([c.batch for c in found]).to_pydict()
    return {name: [str(v) if v != v else v for v in values] for name, values in whole.items()}  # noqa: PLR0124


class OnlyStream:
    """A producer that gives its stream once and says nothing else."""

    def __init__(self, source: pa.Table) -> None:
        self.source = source

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.source.__arrow_c_stream__(requested_schema)


class OnlyArray:
    def __init__(self, source: pa.Table) -> None:
        self.batch = source.combine_chunks().to_batches()[0]

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return self.batch.__arrow_c_array__(requested_schema)


def parquet_dataset(source: pa.Table, folder: Path) -> Any:
    pq.write_table(source, folder / "a.parquet")
    return pads.dataset(folder / "a.parquet")


SOURCES: dict[str, tuple[Callable[[pa.Table, Path], Any], bool]] = {
    "table": (lambda t, _: t, True),
    "batch": (lambda t, _: t.combine_chunks().to_batches()[0], True),
    "reader": (lambda t, _: t.to_reader(max_chunksize=2), False),
    "dataset": (parquet_dataset, True),
    "scanner": (lambda t, folder: parquet_dataset(t, folder).scanner(), False),
    "polars": (lambda t, _: pl.from_arrow(t), True),
    "lazy": (lambda t, _: pl.from_arrow(t).lazy(), True),  # type: ignore[union-attr]
    "duckdb": (lambda t, _: duckdb.from_arrow(t), True),
    "stream": (lambda t, _: OnlyStream(t), False),
    "array": (lambda t, _: OnlyArray(t), True),
    "dict": (lambda t, _: {name: t[name].combine_chunks() for name in t.column_names}, True),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_kind_of_object(name: str, tmp_path: Path) -> None:
    make, replayable = SOURCES[name]
    source = make(table(), tmp_path)
    events = open_events(source, where="session is not null or x is null")
    assert events.replayable == replayable
    assert events.inputs == []
    found = chunks(events)
    assert columns_of(found)["session"] == SESSIONS
    assert columns_of(found)["x"] == [1.5, "nan", None, float("inf"), -0.5, 4.0]
    assert [t.microsecond for t in columns_of(found)["time"]] == [n * 1000 for n in range(6)]
    assert sum(c.read for c in found) == 6
    if replayable:
        assert sum(c.read for c in chunks(events, ["time"])) == 6
    else:
        with pytest.raises(InputError, match="cannot be read again"):
            chunks(events)


def test_numpy_arrays_and_their_faults() -> None:
    made = {"time": np.array(TIMES, "datetime64[ms]"), "x": np.arange(6, dtype="i2"), "session": np.array(["a"] * 6)}
    found = chunks(open_events(made))
    assert columns_of(found)["x"] == list(range(6))
    with pytest.raises(InputError, match="differ in length") as caught:
        open_events({**made, "x": np.arange(5)})
    assert caught.value.code == "HG2218"
    with pytest.raises(InputError, match="cannot be made an Arrow column"):
        open_events({**made, "x": np.zeros((2, 3))})
    with pytest.raises(InputError, match="cannot be read as events") as caught:
        open_events(5)
    assert caught.value.code == "HG2217"


LAYOUTS: dict[str, Callable[[pa.Array], pa.Array]] = {
    "string": lambda a: a,
    "large": lambda a: a.cast(pa.large_string()),
    "view": lambda a: a.cast(pa.string_view()),
    "runs": pc.run_end_encode,
    "null in dictionary": lambda a: pa.DictionaryArray.from_arrays(
        pa.array([0, 1, 2, 0, 3, 4], pa.uint16()), pa.array(["a", "b", None, "é", ""], pa.large_string())
    ),
    **{
        f"dictionary {kind}": lambda a, kind=kind: a.dictionary_encode().cast(pa.dictionary(kind, pa.string()))  # type: ignore[misc]
        for kind in (pa.int8(), pa.uint8(), pa.int16(), pa.uint32(), pa.int64())
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_pass_unchanged_also_sliced_and_filtered(layout: str) -> None:
    array = LAYOUTS[layout](pa.array(SESSIONS))
    source = table().set_column(1, "session", array).slice(1, 4)
    (chunk,) = chunks(open_events(source))
    assert chunk.batch.schema.field("session").type == array.type
    assert chunk.batch["session"].to_pylist() == SESSIONS[1:5]
    assert columns_of([chunk])["x"] == ["nan", None, float("inf"), -0.5]
    (chunk,) = chunks(open_events(source, where="x > 0 or session is null"))
    assert chunk.batch["session"].to_pylist() == [None, "a"]
    if pa.types.is_dictionary(array.type):
        assert chunk.batch.schema.field("session").type == array.type


def test_slices_are_passed_without_a_copy() -> None:
    values = pa.array(np.arange(300_000, dtype="f8"))
    source = pa.table({"time": pa.array([TIMES[0]] * 300_000, pa.timestamp("ms", "UTC")), "x": values}).slice(7)
    found = chunks(open_events(source))
    assert {c.batch["x"].buffers()[1].address for c in found} == {values.buffers()[1].address}
    assert [c.row for c in found] == [0, 131_072, 262_144]
    assert found[1].batch["x"].offset == 7 + 131_072


def test_dictionaries_may_differ_from_batch_to_batch() -> None:
    def batch(words: list[str]) -> pa.RecordBatch:
        return pa.record_batch(
            {"time": pa.array(TIMES[:2], pa.timestamp("ms")), "session": pa.array(words).dictionary_encode()}
        )

    batches = [batch(["a", "b"]), batch(["b", "c"])]
    reader = pa.RecordBatchReader.from_batches(batches[0].schema, iter(batches))
    found = chunks(open_events(reader, where="session != 'a'"))
    assert [c.batch["session"].to_pylist() for c in found] == [["b"], ["b", "c"]]


def test_foreign_buffers_are_validated() -> None:
    good = pa.array([0, 1, 0, 1, 0, 1], pa.int32())
    for indices in (pa.array([0, 1, 0, 99, 0, 1], pa.int32()), pa.array([0, 1, 0, -1, 0, 1], pa.int32())):
        broken = pa.DictionaryArray.from_arrays(indices, pa.array(["a", "b"]), safe=False)
        source = table().set_column(1, "session", broken)
        with pytest.raises(InputError, match="not valid") as caught:
            chunks(open_events(OnlyStream(source)))
        assert caught.value.code == "HG2218"
        chunks(open_events(OnlyStream(source)), ["time", "x"])
    offsets = pa.py_buffer(np.array([0, 1, 1 << 20, 2, 3, 4, 5], "i4").tobytes())
    wild = pa.Array.from_buffers(pa.string(), 6, [None, offsets, pa.py_buffer(b"abcde")])
    with pytest.raises(InputError, match="not valid"):
        chunks(open_events({"time": good, "session": wild}, time_unit="s", time_range=(1970, 2000)))


def test_wrong_types_and_text_that_is_numbers() -> None:
    source = table().set_column(2, "x", pa.array(["1", " 2.5", None, "+3", "-4e2", "nan"]))
    assert columns_of(chunks(open_events(source)))["x"] == [1, 2.5, None, 3, -400, "nan"]
    source = source.set_column(2, "x", pa.array(["1", "12px", None, "3", "", "null"]).dictionary_encode())
    with pytest.raises(InputError, match="12px") as caught:
        chunks(open_events(source))
    assert caught.value.code == "HG2213"
    assert columns_of(chunks(open_events(source, coerce=True)))["x"] == [1, None, None, 3, None, None]
    for wrong in (pa.array([True] * 6), pa.array(TIMES, pa.timestamp("ms")), pa.array([[1]] * 6)):
        with pytest.raises(InputError, match="'wrong'"):
            chunks(open_events(table().append_column("wrong", wrong), map={"y": "wrong"}))
    fixed = table().append_column("fixed", pa.array(["True", "false", None, "1", "no", ""]))
    assert columns_of(chunks(open_events(fixed)))["fixed"] == [True, False, None, True, False, None]
    sequence = table().append_column("seq", pa.array([str(2**53 + n) for n in range(6)]))
    assert columns_of(chunks(open_events(sequence)))["seq"] == [2**53 + n for n in range(6)]


def test_several_objects_and_no_rows() -> None:
    events = open_events([table(), table().slice(0, 0), table().to_batches()[0]])
    found = chunks(events)
    assert [(c.rank, c.read) for c in found] == [(0, 6), (2, 6)]
    assert chunks(open_events(table().slice(0, 0))) == []
    with pytest.raises(InputError, match="nothing to read"):
        open_events([])


def test_a_lazy_frame_reads_only_what_is_asked_for() -> None:
    asked: list[str] = []

    def watch(frame: pl.DataFrame) -> pl.DataFrame:
        asked.extend(frame.columns)
        return frame

    lazy = pl.from_arrow(table()).lazy().map_batches(watch, projection_pushdown=True)  # type: ignore[union-attr]
    events = open_events(lazy)
    asked.clear()
    chunks(events, ["time", "x"])
    assert "x" in asked
    assert chunks(events, ["time", "x"])[0].batch.schema.names == ["time", "x"]
