"""heatgrid map: one heatmap as a picture or as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from heatgrid.cli import summary
from heatgrid.cli.options import EVENTS, Common, Counting, Output, Reading, Running, opt
from heatgrid.cli.text import clean, say
from heatgrid.cli.values import one_of, pairs
from heatgrid.cli.work import heat_of, need
from heatgrid.words.errors import InputError
from heatgrid.words.plan import BUCKETS, LAYERS

if TYPE_CHECKING:
    from heatgrid.heat import Heat

SCALES = ("log", "linear", "eq")
_RESULT, _PICTURE = "Result", "Picture"


def map_(
    events: EVENTS,
    reading: Reading,
    counting: Counting,
    running: Running,
    common: Common,
    output: Output,
    layer: Annotated[str, opt("--layer", metavar="NAME", panel=_RESULT, help="clicks or moves [clicks].")] = "clicks",
    page: Annotated[str | None, opt("--page", metavar="PAGE", panel=_RESULT, help="Whose map [the busiest page].")] = None,
    bucket: Annotated[str | None, opt("--bucket", metavar="WIDTHS", panel=_RESULT, help="0-600, 600-1024, 1024-1440, 1440+ or unknown [the busiest].")] = None,
    fixed: Annotated[bool, opt("--fixed", panel=_RESULT, help="The layer of sticky targets, in window px.")] = False,
    period: Annotated[str | None, opt("--period", metavar="START", panel=_RESULT, help="Which period, with --every.")] = None,
    segment: Annotated[list[str] | None, opt("--segment", metavar="COLUMN=VALUE", panel=_RESULT, help="Which segment, with --by.")] = None,
    value: Annotated[str, opt("--values", metavar="NAME", panel=_RESULT, help="events or sessions (each once a cell) [events].")] = "events",
    scale: Annotated[str, opt("--scale", metavar="NAME", panel=_PICTURE, help="log, linear or eq (ranks) [log].")] = "log",
    vmax: Annotated[float | None, opt("--vmax", metavar="COUNT", panel=_PICTURE, help="What the brightest colour stands for, so that two pictures compare.")] = None,
    cmap: Annotated[str, opt("--cmap", metavar="NAME", panel=_PICTURE, help="Colour table [inferno].")] = "inferno",
    background: Annotated[str | None, opt("--background", metavar="IMAGE", panel=_PICTURE, help="A screenshot of the page below the map.")] = None,
    opacity: Annotated[float, opt("--opacity", metavar="SHARE", panel=_PICTURE, help="Of the map over the screenshot [0.7].")] = 0.7,
    css_width: Annotated[float | None, opt("--css-width", metavar="PX", panel=_PICTURE, help="Width in page px that the screenshot shows.")] = None,
) -> None:  # fmt: skip
    """One heatmap: .png as a picture; .npz .parquet .csv .arrow .json as cells."""
    path = need(output.out, "--out", "heatgrid map EVENTS -o map.png")
    one_of(layer, "--layer", LAYERS)
    one_of(value, "--values", ("events", "sessions"))
    one_of(scale, "--scale", SCALES)
    if bucket is not None:
        one_of(bucket, "--bucket", BUCKETS)
    heat = heat_of(
        events, reading, counting, running, common, maps=(layer,), tables=(), moves_sessions=value == "sessions"
    )
    which = pairs(segment, "--segment", "--segment device=mobile")
    chosen: dict[str, Any] = {
        "layer": layer, "page": page if page is not None else busiest(heat, layer), "bucket": bucket, "fixed": fixed,
        "period": period, "where": dict(which) or None, "value": value,
    }  # fmt: skip
    if page is None and not common.quiet:
        say(f"the busiest page: {clean(chosen['page'])} (--page names another)")
    if path.endswith(".png"):
        looks = {"scale": scale, "vmax": vmax, "cmap": cmap, "background": background, "opacity": opacity}
        heat.picture(path, **chosen, **looks, css_width=css_width)
    else:
        from heatgrid.outputs.tables import write_grid

        write_grid(heat.map(**chosen), path, output.to)
    if common.json and path != "-":
        summary.as_json(
            "map", heat, path=path, map={name: choice for name, choice in chosen.items() if choice is not None}
        )
    summary.tell(heat, common.quiet, None if path == "-" else path)


def busiest(heat: Heat, layer: str) -> str:
    """The page with the most events on its maps of this layer."""
    events: dict[str, int] = {}
    for row in heat.layers().select(["layer", "page", "events"]).to_pylist():
        if row["layer"] == layer:
            events[row["page"]] = events.get(row["page"], 0) + row["events"]
    if not events:
        kinds = heat.summary.get("kinds") or {}
        raise InputError(
            f"there is no map of {layer}: no row of this kind has a point", code="HG2020", where="--layer", value=layer,
            expected="rows with x and y", hint="kinds seen: " + (", ".join(f"{k} {n:,}" for k, n in kinds.items()) or "none"),
        )  # fmt: skip
    return max(events, key=lambda page: (events[page], page))
