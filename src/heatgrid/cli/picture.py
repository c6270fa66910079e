"""heatgrid picture: a map for a slide, or parts of it side by side on one scale."""
# ruff: noqa: RUF009 (opt is a dataclass field)

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from heatgrid.cli import summary
from heatgrid.cli.maps import SCALES, busiest
from heatgrid.cli.options import EVENTS, Common, Counting, Reading, Running, opt
from heatgrid.cli.text import clean, say
from heatgrid.cli.values import names, one_of, pairs
from heatgrid.cli.work import check_place, heat_of, is_picture, need, rules_of
from heatgrid.words.errors import UsageError


@dataclass(kw_only=True)
class Slide:
    out: str | None = opt("--out -o", "FILE.png", "The picture, 1920 x 1080 pixels.")
    legend: str | None = opt("--legend", "FILE.svg", "The legend alone as well, as SVG.")
    page: str | None = opt("--page", "PAGE", "Whose map [the busiest page].")
    layer: str = opt(
        "--layer", "NAME",
        "clicks, moves, first_clicks, last_clicks, goal_clicks, dwell, or a friction rule (rage:posthog) [clicks].",
        "clicks",
    )  # fmt: skip
    values: str = opt("--values", "NAME", "events, or sessions (each once a cell) [events].", "events")
    segment: list[str] = opt(
        "--segment", "COLUMN=VALUE", "A part of the sessions; given again with another value, side by side.", list
    )
    bucket: str | None = opt("--bucket", "WIDTHS", "0-600, 600-1024, 1024-1440, 1440+ or unknown [the busiest].")
    period: str | None = opt("--period", "START", "Which period, with --every.")
    scale: str = opt("--scale", "NAME", "log, linear or eq (ranks; one map only) [log].", "log")
    vmax: float | None = opt("--vmax", "COUNT", "What the brightest colour stands for [the largest of all drawn].")
    cmap: str = opt("--cmap", "NAME", "Colour table [inferno].", "inferno")
    smooth: float | None = opt("--smooth", "PX", "Blur by a Gaussian of this sigma.")
    background: str | None = opt("--background", "IMAGE", "A screenshot of the page, below the map.")
    opacity: float = opt("--opacity", "SHARE", "Of the map over the screenshot [0.7].", 0.7)
    css_width: float | None = opt("--css-width", "PX", "Width in page px that the screenshot shows.")
    title: str | None = opt("--title", "TEXT", "Above the map [page and kind].")
    theme: str = opt("--theme", "light|dark", "Of the slide [light].", "light")


def picture(
    *, events: EVENTS, slide: Slide, reading: Reading, counting: Counting, running: Running, common: Common
) -> None:
    """A map for a slide: large type, its n, a legend with its unit.

    -o FILE.png is 1920 x 1080 pixels. Two --segment of one column (--segment device=desktop --segment device=phone)
    stand side by side, on one scale and in blocks of one size.
    """
    path = need(slide.out, "--out", "heatgrid picture EVENTS -o slide.png")
    if not is_picture(path) or (slide.legend is not None and not slide.legend.lower().endswith(".svg")):
        raise UsageError(
            "a slide is a PNG, its legend an SVG", code="HG1320", where="--out, --legend",
            value=path if not is_picture(path) else slide.legend, expected=".png, and .svg for --legend",
        )  # fmt: skip
    for place in (path, slide.legend):
        if place is not None:
            check_place(place)
    rules = rules_of(counting)
    mapped = _check(slide, [rule if isinstance(rule, str) else rule.name for rule in rules])
    segments = sides(pairs(slide.segment, "--segment", "--segment device=mobile"))
    columns = dict.fromkeys(name for where in segments for name in where or ())
    look = _look(slide)
    heat = heat_of(
        events, reading, counting, running, common, maps=(slide.layer if mapped else "clicks",), tables=(),
        friction=() if mapped else rules or (slide.layer,),
        moves_sessions=slide.layer == "moves" and slide.values == "sessions",
        **({} if events[0].endswith(".heat") else {"by": tuple(dict.fromkeys((*names(counting.by), *columns)))}),
    )  # fmt: skip
    page = slide.page
    if page is None:
        page = busiest(heat, slide.layer)
        if not common.quiet:
            say(f"the busiest page: {clean(page)} (--page names another)")
    heat.slide(
        path, segments=segments, legend=slide.legend, layer=slide.layer, page=page, bucket=slide.bucket,
        period=slide.period, value=slide.values, **look,
    )  # fmt: skip
    if common.json:
        summary.as_json("picture", heat, path=path, page=page, segments=segments)
    summary.tell(heat, common.quiet, path)


def sides(given: list[tuple[str, str]]) -> list[dict[str, str] | None]:
    """One part for each value of the column that has several; the other columns hold for all of them."""
    values: dict[str, list[str]] = {}
    for name, value in given:
        values.setdefault(name, []).append(value)
    several = [name for name, found in values.items() if len(found) > 1]
    if len(several) > 1:
        raise UsageError(
            "two columns have several values: side by side there is room for one", code="HG1031", where="--segment",
            value=", ".join(several), hint="--segment device=desktop --segment device=phone --segment plan=free",
        )  # fmt: skip
    if not values:
        return [None]
    whole = {name: found[0] for name, found in values.items()}
    return [whole | {several[0]: value} for value in values[several[0]]] if several else [whole]


def _check(slide: Slide, own: list[str]) -> bool:
    """Whether the kind is a layer of the plan's maps (else a friction rule); what no map can be is an error."""
    from heatgrid.words.friction import PRESETS
    from heatgrid.words.plan import BUCKETS, LAYERS, PICKED

    one_of(slide.layer, "--layer", (*LAYERS, *PICKED, *dict.fromkeys(own or PRESETS)))
    one_of(slide.values, "--values", ("events", "sessions"))
    one_of(slide.scale, "--scale", SCALES)
    if slide.bucket is not None:
        one_of(slide.bucket, "--bucket", BUCKETS)
    return slide.layer in (*LAYERS, *PICKED)


def _look(slide: Slide) -> dict[str, Any]:
    """The options of the picture, looked at before anything is read; the screenshot is read."""
    from heatgrid.outputs.drawing import check_theme
    from heatgrid.outputs.pictures import check_looks, screenshot
    from heatgrid.outputs.plots import check_levels

    kept = ("scale", "vmax", "cmap", "opacity", "css_width", "title", "theme")
    look = {name: value for name, value in asdict(slide).items() if name in kept}
    check_levels(slide.scale, slide.vmax, slide.smooth)
    check_looks(slide.cmap, slide.opacity, slide.css_width)
    check_theme(slide.theme)
    if slide.smooth:
        look["smooth_sigma"] = slide.smooth
    if slide.background is not None:
        look["background"] = screenshot(slide.background)
    return look
