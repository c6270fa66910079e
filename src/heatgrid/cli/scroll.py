"""heatgrid scroll: how far down pages are seen, and how long each height of them."""

from __future__ import annotations

from dataclasses import dataclass

from heatgrid.cli import summary
from heatgrid.cli.options import EVENTS, Common, Counting, Reading, Result, Running, opt
from heatgrid.cli.tables import deliver
from heatgrid.cli.values import names, one_of
from heatgrid.cli.work import check_output, heat_of, is_picture

SHOW = ("pages", "reach", "attention", "snowplow", "posthog")


@dataclass(kw_only=True)
class Depth:
    show: str = opt(
        "--show", "NAME",
        "pages; reach or attention by px; snowplow (percent) or posthog (px) as these count them [pages].", "pages",
    )  # fmt: skip
    page: str | None = opt("--page", "PAGE", "Whose picture [the page with the most views].")
    bucket: str | None = opt("--bucket", "WIDTHS", "0-600, 600-1024, 1024-1440, 1440+ or unknown [the most views].")
    background: str | None = opt("--background", "IMAGE", "A screenshot of the page, beside the strips.")
    css_width: float | None = opt("--css-width", "PX", "Width in page px that the screenshot shows.")


def scroll(
    *,
    events: EVENTS,
    depth: Depth,
    result: Result,
    reading: Reading,
    counting: Counting,
    running: Running,
    common: Common,
) -> None:
    """How far down pages are seen; attention; folds.

    A readable table on stdout; -o FILE writes .csv .parquet .arrow .json .npz; -o FILE.png draws reach and attention of
    one page. With --by or --every a row for each segment and period that occurs.
    """
    from heatgrid.words.plan import BUCKETS

    one_of(depth.show, "--show", SHOW)
    if depth.bucket is not None:
        one_of(depth.bucket, "--bucket", BUCKETS)
    check_output(result.out, result.to, pictures=True, json=common.json)
    shot = None
    if is_picture(result.out):
        from heatgrid.outputs.pictures import check_looks, screenshot

        check_looks(css_width=depth.css_width)
        shot = None if depth.background is None else screenshot(depth.background)
    heat = heat_of(
        events, reading, counting, running, common, maps=names(counting.maps), tables=(), scroll=True,
    )  # fmt: skip
    if result.out is not None and is_picture(result.out):
        heat.scroll_picture(
            result.out, page=depth.page, bucket=depth.bucket, background=shot, css_width=depth.css_width
        )
        if common.json:
            summary.as_json("scroll", heat, path=result.out)
        summary.tell(heat, common.quiet, result.out)
        return
    deliver("scroll", heat, heat.scroll_of(depth.show), common, result)
