"""heatgrid features, pages, matrix: one table, readable on stdout unless a file or JSON is asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from heatgrid.cli import summary, text
from heatgrid.cli.options import EVENTS, Common, Counting, Output, Reading, Running, opt
from heatgrid.cli.values import names, one_of
from heatgrid.cli.work import heat_of
from heatgrid.words.errors import UsageError
from heatgrid.words.plan import PERIODS

if TYPE_CHECKING:
    import pyarrow as pa

    from heatgrid.heat import Heat

ON_TERMINAL = 40
"""Rows of a readable table on a terminal; a pipe gets them all."""
VALUES = ("sessions", "users", "clicks", "dwell_ms", "events")
ROWS = ("feature", "page")
_PICTURE = "Picture"


def features(
    events: EVENTS, reading: Reading, counting: Counting, running: Running, common: Common, output: Output
) -> None:
    """Events, clicks, sessions, time, visits and their percentiles of every feature."""
    _single("features", events, reading, counting, running, common, output)


def pages(
    events: EVENTS, reading: Reading, counting: Counting, running: Running, common: Common, output: Output
) -> None:
    """Events, views, sessions, time, visits and their percentiles of every page."""
    _single("pages", events, reading, counting, running, common, output)


def _single(
    name: str,
    events: Sequence[str],
    reading: Reading,
    counting: Counting,
    running: Running,
    common: Common,
    output: Output,
) -> None:
    heat = heat_of(events, reading, counting, running, common, maps=names(counting.maps), tables=(name,))
    table = heat.table(name, by=bool(heat.plan.by), every=heat.plan.every is not None)
    deliver(name, heat, table, common, output)


def matrix(
    events: EVENTS,
    reading: Reading,
    counting: Counting,
    running: Running,
    common: Common,
    output: Output,
    rows: Annotated[str, opt("--rows", metavar="feature|page", panel="Result", help="What the rows are [feature].")] = "feature",
    columns: Annotated[str, opt("--columns", metavar="NAME", panel="Result", help="What the columns are: hour, day, week, month, account, or any column [week].")] = "week",
    value: Annotated[str, opt("--values", metavar="NAME", panel="Result", help="sessions, users, clicks, dwell_ms or events [sessions].")] = "sessions",
) -> None:  # fmt: skip
    """The usage matrix: features (or pages) by week, account or any segment, as a table or a .png."""
    one_of(rows, "--rows", ROWS)
    one_of(value, "--values", VALUES)
    period = columns in PERIODS
    by = names(counting.by)
    heat = heat_of(
        events, reading, counting, running, common, maps=names(counting.maps), tables=(rows + "s",),
        every=columns if period else counting.every,
        by=by if period or columns in by else (*by, columns),
        distinct=("users",) if value == "users" else names(counting.distinct),
    )  # fmt: skip
    made = heat.matrix(rows=rows, columns="period" if period else columns, values=value)
    if output.out and output.out != "-" and output.out.endswith(".png"):
        from heatgrid.outputs.pictures import matrix_picture

        matrix_picture(made, output.out)
        _done("matrix", heat, common, output.out)
        return
    deliver("matrix", heat, made.to_table(), common, output)


def deliver(name: str, heat: Heat, table: pa.Table, common: Common, output: Output) -> None:
    """A file, stdout in a named format, JSON, or a readable table."""
    if output.out is not None:
        from heatgrid.outputs.tables import write_table

        if output.out == "-" and common.json:
            raise UsageError("both want stdout", code="HG1022", where="--json, -o -", hint="-o - --to json, or --json")
        write_table(table, output.out, output.to)
        _done(name, heat, common, None if output.out == "-" else output.out)
        return
    if common.json:
        data = [_row(row) for row in table.to_pylist()]
        summary.as_json(name, heat, columns=table.column_names, rows=data)
    else:
        show(table)
    summary.tell(heat, common.quiet)


def _done(name: str, heat: Heat, common: Common, path: str | None) -> None:
    if common.json and path:
        summary.as_json(name, heat, path=path)
    summary.tell(heat, common.quiet, path)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and v != v else v for k, v in row.items()}


def show(table: pa.Table) -> None:
    """An aligned table on stdout; a terminal gets the first rows and how many there are."""
    shown = table.slice(0, ON_TERMINAL) if sys.stdout.isatty() else table
    columns: Iterable[list[Any]] = (column.to_pylist() for column in shown.columns)
    for line in text.table(table.column_names, list(zip(*columns, strict=True))):
        print(line)
    if shown.num_rows < table.num_rows:
        print(f"... and {table.num_rows - shown.num_rows:,} more: -o FILE.csv, or pipe this into a pager")
