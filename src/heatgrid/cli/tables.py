"""heatgrid pages, matrix: one table, readable on stdout unless a file or JSON is asked for."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heatgrid.cli import summary, text
from heatgrid.cli.options import EVENTS, Common, Counting, Reading, Result, Running, opt
from heatgrid.cli.values import names, one_of
from heatgrid.cli.work import check_output, heat_of, is_picture
from heatgrid.words.errors import InputError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

    from heatgrid.heat import Heat
    from heatgrid.outputs.matrix import Matrix

ON_TERMINAL = 40
"""Rows of a readable table on a terminal; a pipe gets them all."""
VALUES = ("sessions", "users", "clicks", "dwell_ms", "events")
ROWS = ("feature", "page")


@dataclass(kw_only=True)
class Table:
    rows: str = opt("--rows", "feature|page", "What the rows are [feature].", "feature")
    columns: str = opt("--columns", "NAME", "hour, day, week, month, account, or any column [week].", "week")
    values: str = opt("--values", "NAME", "sessions, users, clicks, dwell_ms or events [sessions].", "sessions")


def pages(
    *, events: EVENTS, result: Result, reading: Reading, counting: Counting, running: Running, common: Common
) -> None:
    """Views, sessions and time of every page.

    A readable table on stdout; -o FILE writes .csv .parquet .arrow .json .npz; --json adds ledger and plan.
    With --by or --every a row for each segment and period that occurs.
    """
    check_output(result.out, result.to, json=common.json)
    heat = heat_of(events, reading, counting, running, common, maps=names(counting.maps), tables=("pages",))
    deliver("pages", heat, segmented(heat, "pages"), common, result)


def segmented(heat: Heat, name: str) -> pa.Table:
    return heat.table(name, by=bool(heat.plan.by), every=heat.plan.every is not None)


def matrix(
    *,
    events: EVENTS,
    table: Table,
    result: Result,
    reading: Reading,
    counting: Counting,
    running: Running,
    common: Common,
) -> None:
    """Features or pages by week, account or segment.

    The usage matrix, as a readable table, a picture (-o usage.png) or a file of any table format.
    """
    from heatgrid.words.plan import PERIODS

    one_of(table.rows, "--rows", ROWS)
    one_of(table.values, "--values", VALUES)
    check_output(result.out, result.to, pictures=True, json=common.json)
    # `release` is a column: the periods that releases cut are asked for as `period`
    period = table.columns in PERIODS or (table.columns == "period" and counting.every is not None)
    by = names(counting.by)
    try:
        heat = heat_of(
            events, reading, counting, running, common, maps=names(counting.maps), tables=(table.rows + "s",),
            every=table.columns if table.columns in PERIODS else counting.every,
            by=by if period or table.columns in by else (*by, table.columns),
            distinct=("users",) if table.values == "users" else names(counting.distinct),
        )  # fmt: skip
    except InputError as error:
        if error.code != "HG2212" or error.value != table.columns:
            raise
        near = nearest(table.columns, PERIODS)
        raise InputError(
            "there is no such column, and no such period", code=error.code, where=error.where, value=error.value,
            hint=near if near.startswith("did") else f"{error.hint}; or a period: {', '.join(PERIODS)}",
        ) from None  # fmt: skip
    made = heat.matrix(rows=table.rows, columns="period" if period else table.columns, values=table.values)
    if result.out is not None and is_picture(result.out):
        made.save(result.out)
        _done("matrix", heat, common, result.out)
        return
    deliver("matrix", heat, made.to_table(), common, result, made)


def deliver(
    name: str, heat: Heat, table: pa.Table, common: Common, result: Result, matrix: Matrix | None = None
) -> None:
    """A file, stdout in a named format, JSON, or a readable table."""
    if result.out is not None:
        from heatgrid.outputs.tables import write_table

        write_table(table, result.out, result.to)
        _done(name, heat, common, None if result.out == "-" else result.out)
        return
    if common.json:
        summary.as_json(name, heat, columns=table.column_names, rows=[_row(row) for row in table.to_pylist()])
    else:
        show(table, matrix)
    summary.tell(heat, common.quiet)


def _done(name: str, heat: Heat, common: Common, path: str | None) -> None:
    if common.json and path:
        summary.as_json(name, heat, path=path)
    summary.tell(heat, common.quiet, path)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def show(table: pa.Table, matrix: Matrix | None = None) -> None:
    """A table on stdout, without columns that hold nothing; a terminal gets the first rows, ruled and in colour
    (the cells of a matrix as in its picture), a pipe all of them in plain text."""
    table = table.select([i for i, column in enumerate(table.columns) if column.null_count < max(1, len(column))])
    there = sys.stdout.isatty()
    shown = table.slice(0, ON_TERMINAL) if there else table
    rows = list(zip(*(column.to_pylist() for column in shown.columns), strict=True))
    if there:
        from heatgrid.cli.rich_tables import draw

        draw(table.column_names, rows, matrix)
    else:
        for line in text.table(table.column_names, rows):
            text.put(line)
    if shown.num_rows < table.num_rows:
        text.put(f"... and {table.num_rows - shown.num_rows:,} more: -o FILE.csv, or pipe this into a pager")
    sys.stdout.flush()
