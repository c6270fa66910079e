"""heatgrid features: what is used and for how long; with a layout also what was seen, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heatgrid.cli.options import EVENTS, Common, Counting, Reading, Result, Running, opt
from heatgrid.cli.tables import deliver, segmented
from heatgrid.cli.values import names, one_of
from heatgrid.cli.work import check_output, heat_of

if TYPE_CHECKING:
    import pyarrow as pa

SHOW = ("usage", "exposure")
RATES = {
    "ctr": ("views_clicked", "exposed_views"),
    "click_rate_session": ("sessions_clicked", "page_sessions"),
    "goal_rate": ("goal_sessions", "sessions_clicked"),
    "unclicked_goal_rate": ("unclicked_goal_sessions", "unclicked_sessions"),
}
"""What is shown as a share, of what."""
UNITS = {
    "ctr": "exposed_units", "click_rate_session": "page_sessions", "goal_rate": "sessions_clicked",
    "unclicked_goal_rate": "unclicked_sessions",
}  # fmt: skip
TIMES = ("exposure_ms", "first_click_ms", "hesitation_ms", "hover_ms")
SHOWN = (
    "exposed_sessions", "exposed_views", "exposure_ms", "clicks", "ctr", "click_rate_session", "first_click_ms",
    "hesitation_ms", "hover_ms", "rage", "dead", "error", "goal_rate", "unclicked_goal_rate", "underused",
)  # fmt: skip


@dataclass(kw_only=True)
class Feature:
    show: str | None = opt(
        "--show", "usage|exposure", "What is counted of them [exposure with --layout, else usage].",
        rich_help_panel="Table",
    )  # fmt: skip


def features(
    *,
    events: EVENTS,
    feature: Feature,
    result: Result,
    reading: Reading,
    counting: Counting,
    running: Running,
    common: Common,
) -> None:
    """Clicks, sessions and time of every feature.

    With --layout FILE (or --areas FILE --show exposure) a row for each page and feature: who had it in the window and
    who clicked, with 95 % intervals; --goal STEP adds who later did something else. A readable table on stdout; -o FILE
    writes all columns as .csv .parquet .arrow .json .npz; --json adds ledger and plan. With --by or --every a row for
    each segment and period that occurs.
    """
    check_output(result.out, result.to, json=common.json)
    if feature.show is not None:
        one_of(feature.show, "--show", SHOW)
    wanted = {"exposure": True} if feature.show == "exposure" else {}
    heat = heat_of(
        events, reading, counting, running, common, maps=names(counting.maps), tables=("features",), **wanted
    )  # fmt: skip
    if (feature.show or ("exposure" if heat.plan.exposure else "usage")) == "usage":
        deliver("features", heat, segmented(heat, "features"), common, result)
        return
    table = heat.exposure_of()
    if result.out is None and not common.json:
        table = readable(table)
    deliver("features", heat, table, common, result)


def readable(table: pa.Table) -> pa.Table:
    """The columns that people look at first, rates with their intervals: k/n alone where there are few."""
    import pyarrow as pa

    from heatgrid.engine.intervals import mark
    from heatgrid.outputs.text import duration

    keys = table.column_names[: table.column_names.index("page_views")]
    rows = table.to_pylist()
    made: dict[str, Any] = {name: table[name] for name in keys}
    for name in SHOWN:
        if name not in table.column_names:
            continue
        if name in TIMES:
            made[name.removesuffix("_ms")] = pa.array(
                [None if row[name] is None else duration(row[name]) for row in rows], pa.string()
            )
        elif name in RATES:
            hits, of = RATES[name]
            made[name] = [_rate(row, name, row[hits], row[of], mark(row[UNITS[name]])) for row in rows]
        else:
            made[name] = table[name]
    return pa.table(made)


def _rate(row: dict[str, Any], name: str, hits: int, of: int, small: str | None) -> str:
    if row[name] is None:
        return f"{hits:,}/{of:,}"
    from heatgrid.engine.intervals import percent

    low, high = (100 * row[f"{name}_{end}"] for end in ("low", "high"))
    return f"{percent(row[name])} ({low:.1f}-{high:.1f})" + (" low" if small else "")
