"""heatgrid map: one heatmap as a picture or as numbers."""
# ruff: noqa: RUF009 (opt is a dataclass field)

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from heatgrid.cli import summary
from heatgrid.cli.options import EVENTS, Common, Counting, Reading, Result, Running, opt
from heatgrid.cli.tables import deliver
from heatgrid.cli.text import clean, put, say
from heatgrid.cli.values import names, one_of, pairs
from heatgrid.cli.work import check_output, heat_of, is_picture, need, rules_of
from heatgrid.words.errors import InputError, UsageError

if TYPE_CHECKING:
    from heatgrid.heat import Heat
    from heatgrid.outputs.grid import Grid
    from heatgrid.words.friction import Rule

SCALES = ("log", "linear", "eq")


@dataclass(kw_only=True)
class Which:
    """Which of the maps of a run."""

    layer: str = opt(
        "--layer",
        "NAME",
        "clicks, moves, first_clicks, last_clicks, goal_clicks, dwell, or a friction rule (rage:posthog) [clicks].",
        "clicks",
    )
    page: str | None = opt("--page", "PAGE", "Whose map [the busiest page].")
    bucket: str | None = opt("--bucket", "WIDTHS", "0-600, 600-1024, 1024-1440, 1440+ or unknown [the busiest].")
    fixed: bool = opt("--fixed", "", "The layer of sticky targets, in window px.", False)
    period: str | None = opt("--period", "START", "Which period, with --every.")
    segment: list[str] = opt("--segment", "COLUMN=VALUE", "Which segment, with --by.", list)
    cells: str | None = opt("--cells", "posthog", "The clicks in PostHog's cells instead, as a table (-o FILE.csv).")
    values: str = opt("--values", "NAME", "events, or sessions (each once a cell) [events].", "events")


@dataclass(kw_only=True)
class Looks:
    """Of the picture."""

    scale: str = opt("--scale", "NAME", "log, linear or eq (ranks) [log].", "log")
    vmax: float | None = opt("--vmax", "COUNT", "What the brightest colour stands for: makes pictures comparable.")
    cmap: str = opt("--cmap", "NAME", "Colour table [inferno].", "inferno")
    background: str | None = opt("--background", "IMAGE", "A screenshot of the page, below the map.")
    opacity: float = opt("--opacity", "SHARE", "Of the map over the screenshot [0.7].", 0.7)
    smooth: float | None = opt("--smooth", "PX", "Blur by a Gaussian of this sigma (picture only).")
    css_width: float | None = opt("--css-width", "PX", "Width in page px that the screenshot shows.")


def map_(
    *,
    events: EVENTS,
    which: Which,
    looks: Looks,
    result: Result,
    reading: Reading,
    counting: Counting,
    running: Running,
    common: Common,
) -> None:
    """One heatmap, as a picture or as cells.

    -o map.png draws it; .npz is the dense array; .parquet .csv .arrow .json hold the cells that are not zero. -o - on
    a terminal draws it there, in half blocks (into a pipe: the cells as CSV).
    """
    from heatgrid.words.plan import LAYERS, PICKED

    path = need(result.out, "--out", "heatgrid map EVENTS -o map.png")
    rules = rules_of(counting)
    check_output(path, result.to, pictures=which.cells is None, json=common.json)
    if which.cells is not None:
        one_of(which.cells, "--cells", ("posthog",))
        heat = heat_of(events, reading, counting, running, common, maps=(), tables=(), posthog_cells=True)
        cells = heat.posthog_cells
        deliver("map", heat, cells if which.page is None else cells.filter(_on(which.page)), common, result)
        return
    _check(which, looks, rules)
    chosen: dict[str, Any] = {
        "layer": which.layer, "bucket": which.bucket, "fixed": which.fixed, "period": which.period,
        "where": dict(pairs(which.segment, "--segment", "--segment device=mobile")) or None, "value": which.values,
    }  # fmt: skip
    if not any(name.endswith(".heat") for name in events):
        _check_split(chosen, counting)
    there = path == "-" and result.to is None and sys.stdout.isatty()
    look = _look(looks) if is_picture(path) or there else {}
    drawn = which.layer in (*LAYERS, *PICKED)
    if not drawn:
        rules = rules or (which.layer,)
    heat = heat_of(
        events, reading, counting, running, common, maps=(which.layer if drawn else "clicks",), tables=(),
        friction=rules if not drawn else (),
        moves_sessions=which.layer == "moves" and which.values == "sessions",
    )  # fmt: skip
    page = which.page
    if page is None:
        page = busiest(heat, which.layer)
        if not common.quiet:
            say(f"the busiest page: {clean(page)} (--page names another)")
    chosen["page"] = page
    if is_picture(path):
        heat.picture(path, **chosen, **look)
    elif there:
        draw(heat.map(**chosen), looks)
    else:
        from heatgrid.outputs.tables import write_grid

        write_grid(heat.map(**chosen), path, result.to)
    if common.json and path != "-":
        summary.as_json("map", heat, path=path, map={name: choice for name, choice in chosen.items() if choice})
    summary.tell(heat, common.quiet, None if path == "-" else path)


def draw(grid: Grid, looks: Looks) -> None:
    """The map on the terminal: as wide as it, and so high that its pages stay readable by scrolling back."""
    from heatgrid.outputs.terminal import colors_of, map_lines

    size = shutil.get_terminal_size()
    shape = {"columns": size.columns - 1, "rows": max(60, size.lines - 8)}
    for line in map_lines(
        grid, colors_of(os.environ), scale=looks.scale, vmax=looks.vmax, cmap=looks.cmap, **shape
    ):  # fmt: skip
        put(line)
    sys.stdout.flush()


def _on(page: str) -> Any:
    import pyarrow.compute as pc

    return pc.field("page") == page


def _check(which: Which, looks: Looks, rules: Sequence[str | Rule]) -> None:
    from heatgrid.words.friction import PRESETS
    from heatgrid.words.plan import BUCKETS, LAYERS, PICKED

    own = [rule if isinstance(rule, str) else rule.name for rule in rules]
    one_of(which.layer, "--layer", (*LAYERS, *PICKED, *dict.fromkeys(own or PRESETS)))
    one_of(which.values, "--values", ("events", "sessions"))
    one_of(looks.scale, "--scale", SCALES)
    if which.bucket is not None:
        one_of(which.bucket, "--bucket", BUCKETS)


def _check_split(chosen: dict[str, Any], counting: Counting) -> None:
    """A part can be drawn where the run is split by it."""
    by = names(counting.by)
    missing = [column for column in chosen["where"] or () if column not in by]
    if missing:
        raise UsageError(
            "the maps are not split by this column", code="HG1030", where="--segment", value=missing[0],
            expected="a column of --by" + (f": {', '.join(by)}" if by else ""),
            hint=f"--by {','.join((*by, *missing))}",
        )  # fmt: skip
    if chosen["period"] is not None and counting.every is None:
        raise UsageError(
            "the maps are not split by time", code="HG1030", where="--period", value=chosen["period"],
            expected="--every hour, day, week or month beside it", hint="--every week",
        )  # fmt: skip


def _look(looks: Looks) -> dict[str, Any]:
    """The options of the picture, looked at before anything is read; the screenshot is read."""
    from heatgrid.outputs.pictures import check_looks, screenshot
    from heatgrid.outputs.plots import check_levels

    look = asdict(looks)
    look["smooth_sigma"] = look.pop("smooth")
    check_levels(looks.scale, looks.vmax, looks.smooth)
    check_looks(looks.cmap, looks.opacity, looks.css_width)
    if looks.background is not None:
        look["background"] = screenshot(looks.background)
    return look


def busiest(heat: Heat, layer: str) -> str:
    """The page with the most events on its maps of this layer."""
    from heatgrid.engine.others import OTHER

    events: dict[str, int] = {}
    for row in heat.layers().select(["layer", "page", "events"]).to_pylist():
        if row["layer"] == layer and row["page"] != OTHER:
            events[row["page"]] = events.get(row["page"], 0) + row["events"]
    if not events:
        kinds = heat.summary.get("kinds") or {}
        out = ", ".join(f"{count:,} {reason}" for reason, count in heat.ledger.left_out.items())
        raise InputError(
            f"there is no map of {layer}: no row of this kind has a point", code="HG2020", where="--layer",
            value=layer, expected="rows with x and y",
            hint="kinds seen: " + (", ".join(f"{kind} {count:,}" for kind, count in kinds.items()) or "none")
            + (f"; left out: {out} (--keep-bots)" if out and not kinds else ""),
        )  # fmt: skip
    return max(events, key=lambda page: (events[page], page))
