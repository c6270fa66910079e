"""heatgrid friction: what each rule flags, so that vendors' numbers can be compared on one dump."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heatgrid.cli import text
from heatgrid.cli.options import EVENTS, Common, Counting, Reading, Result, Running
from heatgrid.cli.tables import deliver, show
from heatgrid.cli.values import names
from heatgrid.cli.work import check_output, heat_of, rules_of

if TYPE_CHECKING:
    import pyarrow as pa


def friction(
    *, events: EVENTS, result: Result, reading: Reading, counting: Counting, running: Running, common: Common
) -> None:
    """Rage, dead and error clicks, quick backs, page loops, thrashing.

    Without --rule all presets, side by side. On stdout the totals of each rule, then what it flagged by page and
    feature; -o FILE writes a row for each rule, page and feature as .csv .parquet .arrow .json .npz.
    """
    from heatgrid.words.friction import PRESETS

    check_output(result.out, result.to, json=common.json)
    heat = heat_of(
        events, reading, counting, running, common, maps=names(counting.maps), tables=(),
        friction=rules_of(counting) or tuple(PRESETS),
    )  # fmt: skip
    table = heat.table("friction", by=bool(heat.plan.by), every=heat.plan.every is not None)
    if result.out is None and not common.json:
        show(heat.rules.drop_columns(["version"]))
        text.put("")
        table = _flagged(table)
    deliver("friction", heat, table, common, result)


def _flagged(table: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

    return table.filter(pc.greater(table["flagged"], 0))
