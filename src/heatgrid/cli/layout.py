"""heatgrid layout: where features lie on their pages, as areas for other runs."""

from __future__ import annotations

from heatgrid.cli import summary
from heatgrid.cli.options import EVENTS, Common, Counting, Reading, Result, Running
from heatgrid.cli.tables import deliver
from heatgrid.cli.values import names
from heatgrid.cli.work import check_output, heat_of


def layout(
    *, events: EVENTS, result: Result, reading: Reading, counting: Counting, running: Running, common: Common
) -> None:
    """Median boxes of features, as areas.

    From the boxes that rows carry (box_x, box_y, box_w, box_h), by page, feature and window width. A readable table on
    stdout; -o layout.toml or layout.csv is what --areas reads.
    """
    check_output(result.out, result.to, json=common.json, more=("toml",))
    heat = heat_of(events, reading, counting, running, common, maps=names(counting.maps), tables=(), layout=True)
    table = heat.layout
    if result.out is None or result.out == "-":
        deliver("layout", heat, table, common, result)
        return
    from heatgrid.outputs.layout import write_layout

    write_layout(table, result.out, result.to)
    if common.json:
        summary.as_json("layout", heat, path=result.out)
    summary.tell(heat, common.quiet, result.out)
