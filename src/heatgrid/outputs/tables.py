"""Tables and grids as files: .parquet .arrow .csv .json .npz, each complete or not at all."""

from __future__ import annotations

import io
import json
import math
import os
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from heatgrid.outputs.atomic import atomic
from heatgrid.outputs.text import csv_cell
from heatgrid.words.errors import InputError, LimitError, UsageError, nearest

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from heatgrid.outputs.grid import Grid

FORMATS = ("parquet", "arrow", "csv", "json", "npz")
MAX_TEXT_BYTES = 2**30
"""A column of strings becomes a fixed-width array in .npz: one long name must not make it huge."""
_ROWS = 65_536


def format_of(path: str | os.PathLike[str], format: str | None = None, allowed: tuple[str, ...] = FORMATS) -> str:
    """The format asked for, else the one of the suffix; ``-`` (stdout) is CSV unless one is named.

    Raises UsageError (HG1320) with the list for any other.
    """
    chosen = format
    if chosen is None:
        chosen = "csv" if os.fspath(path) == "-" else Path(path).suffix[1:].lower()
    if chosen not in allowed:
        raise UsageError(
            "no format of this name" if format else "the suffix names no format", code="HG1320",
            where=os.fspath(path), value=format or Path(path).suffix or "(none)",
            expected=" ".join(f".{name}" for name in allowed), hint=nearest(chosen, allowed),
        )  # fmt: skip
    return chosen


def write_table(table: pa.Table, path: str | os.PathLike[str], format: str | None = None) -> None:
    """Write a table to ``path``, or to stdout for ``-``.

    .json is one object {"heatgrid": 1, "columns": [...], "rows": [[...], ...]}; .npz holds one array a column
    (strings of fixed width; ``NAME.valid`` beside a column with nulls), never a pickle; in .csv a text cell that a
    spreadsheet would run gets a leading ', and control characters are spelt out.

    Raises UsageError (HG1320) for an unknown suffix, and what ``atomic`` raises.
    """
    write = _WRITERS[format_of(path, format)]
    _deliver(path, lambda file: write(table, file))


def write_grid(grid: Grid, path: str | os.PathLike[str], format: str | None = None) -> None:
    """Write a grid: .npz is dense (values, extent, used, outside, invalid, name, unit, meta), all else sparse cells.

    .parquet and .arrow carry the extent and the ledger in their schema's metadata under ``heatgrid``.
    """
    name = format_of(path, format)
    facts = grid_facts(grid)
    if name == "npz":
        _deliver(path, lambda file: _arrays(_dense(grid), file))
        return
    table = grid.to_arrow()
    if name == "json":
        _deliver(path, lambda file: _json(table, file, facts))
        return
    table = table.replace_schema_metadata({"heatgrid": json.dumps(facts)})
    _deliver(path, lambda file: _WRITERS[name](table, file))


def write_json(data: dict[str, object], path: str | os.PathLike[str]) -> None:
    """One versioned object as UTF-8 JSON, in strict form (no NaN)."""
    text = json.dumps({"heatgrid": 1, **data}, default=_plain, allow_nan=False, indent=1)
    _deliver(path, lambda file: file.write(text.encode() + b"\n"))


def read_npz(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz by name. Pickled objects are refused unread (InputError HG2310)."""
    import numpy as np

    try:
        with open(path, "rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if isinstance(arrays, np.ndarray):
                raise ValueError("a single array, not an .npz")
            with arrays:
                return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise InputError(
            "the file cannot be read as .npz", code="HG2310", where=os.fspath(path), value=str(error),
            expected="an .npz of plain arrays; pickled objects are never loaded",
        ) from error  # fmt: skip


def grid_facts(grid: Grid) -> dict[str, object]:
    """What a sparse file must say beside the cells."""
    return {
        "name": grid.name,
        "unit": grid.unit,
        "shape": list(grid.shape),
        "extent": list(grid.extent),
        "used": int(grid.used),
        "outside": int(grid.outside),
        "invalid": int(grid.invalid),
        "meta": json.loads(json.dumps(grid.meta, default=_plain)),
    }


def _deliver(path: str | os.PathLike[str], write: Callable[[IO[bytes]], object]) -> None:
    if os.fspath(path) != "-":
        with atomic(path) as file:
            write(file)
        return
    buffer = io.BytesIO()  # whole or not at all holds for stdout as well
    write(buffer)
    sys.stdout.flush()
    sys.stdout.buffer.write(buffer.getbuffer())
    sys.stdout.buffer.flush()


def _parquet(table: pa.Table, file: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, file, compression="zstd")


def _arrow(table: pa.Table, file: IO[bytes]) -> None:
    import pyarrow as pa

    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _csv(table: pa.Table, file: IO[bytes]) -> None:
    import pyarrow as pa
    from pyarrow import csv

    columns = [_safe_column(table.column(i)) for i in range(table.num_columns)]
    csv.write_csv(pa.table(columns, names=[csv_cell(name) for name in table.column_names]), file)


def _safe_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text as harmless text (each distinct value is looked at once), anything nested as JSON."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_nested(column.type):
        texts = [None if v is None else json.dumps(v, default=_plain) for v in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.large_string())])
    codes = column if pa.types.is_dictionary(column.type) else None
    if codes is None:
        if not _is_text(column.type):
            return column
        codes = column.cast(pa.large_string()).dictionary_encode()
    elif not _is_text(column.type.value_type):
        return column.cast(column.type.value_type)
    codes = codes.combine_chunks()
    arrays = codes.chunks if isinstance(codes, pa.ChunkedArray) else [codes]
    taken = [
        pc.take(pa.array([_safe_or_none(v) for v in a.dictionary.to_pylist()], pa.large_string()), a.indices)
        for a in arrays
    ]
    return pa.chunked_array(taken, pa.large_string())


def _safe_or_none(text: str | None) -> str | None:
    return None if text is None else csv_cell(text)


def _is_text(type_: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _json(table: pa.Table, file: IO[bytes], facts: dict[str, object] | None = None) -> None:
    head = json.dumps({"heatgrid": 1, **(facts or {}), "columns": table.column_names}, default=_plain)
    file.write(head[:-1].encode() + b', "rows": [')
    separator = b"\n"
    for batch in table.to_batches(max_chunksize=_ROWS):
        columns = [_finite(column.to_pylist()) for column in batch.columns]
        rows = [json.dumps(row, default=_plain) for row in zip(*columns, strict=True)]
        if rows:
            file.write(separator + ",\n".join(rows).encode())
            separator = b",\n"
    file.write(b"\n]}\n")


def _finite(values: list[object]) -> list[object]:
    """NaN and infinity have no form in JSON: null."""
    return [None if isinstance(v, float) and not math.isfinite(v) else v for v in values]


def _npz(table: pa.Table, file: IO[bytes]) -> None:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name in table.column_names:
        column = table.column(name)
        arrays[name] = _fixed(column, name)
        if column.null_count:
            arrays[f"{name}.valid"] = column.is_valid().to_numpy()
    _arrays(arrays, file)


def _fixed(column: pa.ChunkedArray, name: str) -> npt.NDArray[Any]:
    """A column as an array without objects; nulls are 0, "" or NaT under ``NAME.valid``."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if _is_text(column.type) or pa.types.is_nested(column.type) or pa.types.is_null(column.type):
        raw = ["" if v is None else v for v in column.to_pylist()]
        texts = [v if isinstance(v, str) else json.dumps(v, default=_plain) for v in raw]
        size = 4 * len(texts) * max(map(len, texts), default=0)
        if size > MAX_TEXT_BYTES:
            raise LimitError(
                "the strings of a column do not fit a fixed-width array", code="HG4310", where=f"column {name!r}",
                value=f"{size:,} bytes", expected=f"at most {MAX_TEXT_BYTES:,}", hint="write .parquet or .arrow",
            )  # fmt: skip
        return np.array(texts, dtype=str) if texts else np.zeros(0, "U1")
    if column.null_count and not pa.types.is_temporal(column.type):
        column = column.fill_null(False if pa.types.is_boolean(column.type) else 0)
    array = np.asarray(column.to_numpy())
    return array.astype(str) if array.dtype.kind == "O" else array


def _dense(grid: Grid) -> dict[str, npt.NDArray[Any]]:
    import numpy as np

    facts = grid_facts(grid)
    return {
        "values": np.ascontiguousarray(grid.values),
        "extent": np.array(grid.extent, np.float64),
        **{name: np.array(facts[name], np.int64) for name in ("used", "outside", "invalid")},
        "name": np.array(grid.name),
        "unit": np.array(grid.unit),
        "meta": np.array(json.dumps(facts["meta"])),
    }


def _arrays(arrays: dict[str, npt.NDArray[Any]], file: IO[bytes]) -> None:
    """An .npz whose bytes depend on the arrays only (zip members carry a fixed date)."""
    import numpy as np

    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as out:
                np.lib.format.write_array(out, array, allow_pickle=False)


def _plain(value: object) -> object:
    """What json cannot write: numpy numbers as numbers, times as ISO text, anything else as its text."""
    item = getattr(value, "item", None)
    if callable(item):
        return item()
    iso = getattr(value, "isoformat", None)
    return iso() if callable(iso) else str(value)


_WRITERS: dict[str, Callable[[pa.Table, IO[bytes]], None]] = {
    "parquet": _parquet,
    "arrow": _arrow,
    "csv": _csv,
    "json": _json,
    "npz": _npz,
}
