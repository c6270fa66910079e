"""The usage matrix: features or pages by period, segment or account."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

UNITS = {"sessions": "sessions", "clicks": "clicks", "dwell_ms": "ms", "events": "events", "users": "users"}


@dataclass
class Matrix:
    """Integers by (row, column), with the names and the totals.

    row_totals, column_totals : None where they need not add up and are not known by themselves (distinct counts).
    sessions : sessions behind each cell (the n of small numbers); the values themselves where they are sessions.
    n : sessions in all, the n of the title; None without sessions.
    marks : (column, what happened in it): releases.
    """

    rows: list[str]
    columns: list[str]
    values: npt.NDArray[np.int64]
    value: str = "sessions"
    unit: str = ""
    row_name: str = "feature"
    column_name: str = "period"
    row_totals: npt.NDArray[np.int64] | None = None
    column_totals: npt.NDArray[np.int64] | None = None
    sessions: npt.NDArray[np.int64] | None = None
    n: int | None = None
    notes: list[str] = field(default_factory=list)
    marks: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.rows), len(self.columns)):
            raise ValueError(f"{self.values.shape} values for {len(self.rows)} rows x {len(self.columns)} columns")
        self.unit = self.unit or UNITS.get(self.value, self.value)
        if self.sessions is None and self.value in ("sessions", "users"):
            self.sessions = self.values

    @classmethod
    def build(
        cls,
        rows: Sequence[str],
        columns: Sequence[str],
        values: Sequence[int],
        *,
        value: str = "sessions",
        row_name: str = "feature",
        column_name: str = "period",
        declared: Iterable[str] = (),
        declared_columns: Iterable[str] = (),
        row_totals: Mapping[str, int] | None = None,
        column_totals: Mapping[str, int] | None = None,
        sessions: Sequence[int] | None = None,
        n: int | None = None,
    ) -> Matrix:
        """From one (row, column, value) an entry; entries of one cell are added.

        Rows are sorted by total (largest first), then name; ``declared`` names without entries are rows
        (columns: ``declared_columns``) of 0.
        Columns named ``period`` keep their order in time, others are sorted as rows are. The totals of distinct
        counts must be given, since those do not add up; of other values they are sums.
        """
        import numpy as np

        additive = value not in ("sessions", "users")
        row_names = list(dict.fromkeys([*rows, *declared]))
        column_names = list(dict.fromkeys([*columns, *declared_columns]))
        row_at = {name: i for i, name in enumerate(row_names)}
        column_at = {name: i for i, name in enumerate(column_names)}
        at = (
            np.array([row_at[name] for name in rows], np.int64),
            np.array([column_at[name] for name in columns], np.int64),
        )
        cells = np.zeros((len(row_names), len(column_names)), np.int64)
        np.add.at(cells, at, np.asarray(values, np.int64))
        behind = None
        if sessions is not None:
            behind = np.zeros_like(cells)
            np.add.at(behind, at, np.asarray(sessions, np.int64))
        by_row = _totals(cells.sum(axis=1), row_names, row_totals)
        by_column = _totals(cells.sum(axis=0), column_names, column_totals)
        row_order = sorted(range(len(row_names)), key=lambda i: (-int(by_row[i]), row_names[i]))
        if column_name == "period":
            column_order = sorted(range(len(column_names)), key=lambda i: column_names[i])
        else:
            column_order = sorted(range(len(column_names)), key=lambda i: (-int(by_column[i]), column_names[i]))
        pick = np.ix_(row_order, column_order)
        return cls(
            rows=[row_names[i] for i in row_order],
            columns=[column_names[i] for i in column_order],
            values=cells[pick],
            value=value,
            row_name=row_name,
            column_name=column_name,
            row_totals=by_row[row_order] if additive or row_totals is not None else None,
            column_totals=by_column[column_order] if additive or column_totals is not None else None,
            sessions=None if behind is None else behind[pick],
            n=n,
        )

    def to_table(self) -> pa.Table:
        """The first column holds the row names, then one column each, then ``total`` where it is known."""
        import pyarrow as pa

        names, arrays = [self.row_name], [pa.array(self.rows, pa.string())]
        for i, column in enumerate(self.columns):
            names.append(column)
            arrays.append(pa.array(self.values[:, i]))
        if self.row_totals is not None:
            names.append("total")
            arrays.append(pa.array(self.row_totals))
        made = pa.table(arrays, names=_distinct(names))
        if not self.marks:
            return made
        marks = [{"column": column, "release": name} for column, name in self.marks]
        return made.replace_schema_metadata({"heatgrid.releases": json.dumps(marks, ensure_ascii=False)})

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_table().__arrow_c_stream__(requested_schema)

    def to_xarray(self) -> Any:
        """An xarray.DataArray by the row and the column names. UsageError HG1340 without the extra ``xarray``."""
        from heatgrid.outputs.frames import library

        coords = {"row": self.rows, "column": self.columns}
        attrs = {"unit": self.unit, "row": self.row_name, "column": self.column_name}
        return library("xarray").DataArray(
            self.values, coords=coords, dims=("row", "column"), name=self.value, attrs=attrs
        )  # fmt: skip

    def to_pandas(self) -> Any:
        """``to_table`` as a pandas.DataFrame. UsageError HG1340 without the extra ``pandas``."""
        from heatgrid.outputs.frames import to_pandas

        return to_pandas(self.to_table())

    def to_polars(self) -> Any:
        """The same as a polars.DataFrame. UsageError HG1340 without the extra ``polars``."""
        from heatgrid.outputs.frames import to_polars

        return to_polars(self.to_table())

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        from heatgrid.outputs.drawing import encode
        from heatgrid.outputs.matrix_pictures import matrix_image

        return encode(matrix_image(self))

    def save(self, path: str | os.PathLike[str]) -> None:
        """A picture for .png, else a table: .parquet .arrow .csv .json .npz."""
        if os.fspath(path).lower().endswith(".png"):
            from heatgrid.outputs.pictures import matrix_picture

            matrix_picture(self, path)
            return
        from heatgrid.outputs.tables import write_table

        write_table(self.to_table(), path)


def _totals(
    sums: npt.NDArray[np.int64], names: Sequence[str], given: Mapping[str, int] | None
) -> npt.NDArray[np.int64]:
    import numpy as np

    return sums if given is None else np.array([given.get(name, 0) for name in names], np.int64)


def _distinct(names: list[str]) -> list[str]:
    """A column of the data may be called as the row names or the total are: the later one gets a number."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out
