"""Maps as PNG, with Pillow alone: title with n, colour bar with its unit, axes in px, both ledgers in the footer."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heatgrid.outputs.atomic import atomic
from heatgrid.outputs.colors import table
from heatgrid.outputs.drawing import INK, MUTED, check_theme, encode, ramp, wrap
from heatgrid.outputs.grid import Grid
from heatgrid.outputs.matrix_pictures import matrix_picture
from heatgrid.outputs.plots import Plot, Smoother, nice_step, plot
from heatgrid.outputs.text import drawable, duration, font, short
from heatgrid.words.errors import InputError, UsageError, shorten
from heatgrid.words.ledger import Ledger
from heatgrid.words.plan import DWELL_LAYER

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

__all__ = ["map_picture", "map_subtitle", "map_title", "matrix_picture", "plot_png"]

RAMP = 40
"""Entries of a picture's palette for paper to ink; the rest is for the map."""
FIRST = 36
"""The colour of the least level within a 256-entry table: the entries before it are too close to the ground."""
MAX_PIXELS = 64_000_000
GROUND = (17, 16, 26)
LEFT, RIGHT, TOP = 62, 24, 18
LEAST_WIDTH = 600


def map_picture(grid: Grid, path: str | os.PathLike[str], **options: Any) -> Path:
    """Draw one grid as a PNG file; options: those of ``map_image``, whose errors it has."""
    picture = map_image(grid, **options)
    target = Path(path)
    with atomic(target) as file:
        file.write(encode(picture))
    return target


def map_image(
    grid: Grid,
    *,
    scale: str = "log",
    vmax: float | None = None,
    cmap: str = "inferno",
    smooth: Smoother | None = None,
    smooth_sigma: float | None = None,
    extent: tuple[float, float, float, float] | None = None,
    background: str | os.PathLike[str] | Image.Image | None = None,
    css_width: float | None = None,
    opacity: float = 0.7,
    title: str | None = None,
    subtitle: str | None = None,
    footer: Sequence[str] = (),
    ledger: Ledger | None = None,
    theme: str = "light",
    width: int = 760,
    max_height: int = 1800,
) -> Image.Image:
    """Draw one grid: title with n, colour bar with its unit, axes, ledgers.

    Two pictures with the same ``scale``, ``vmax``, ``cmap`` and ``extent`` compare pixel by pixel.

    Parameters
    ----------
    scale : ``log``, ``linear`` or ``eq`` (ranks within this map; no vmax).
    vmax : the count that the brightest colour stands for; ``None``: the largest drawn.
    smooth, smooth_sigma : ``heatgrid.smooth`` and its sigma in px of the page.
    extent : (x0, x1, y0, y1) to draw; ``None``: the occupied part.
    background : a screenshot below the map, with cells of zero left clear; it begins at the page's corner, and
        ``css_width`` is the width in px of the page that it shows (``None``: one pixel is one px).
    title, subtitle : ``None``: page and layer; n, width bucket, period, segment and frame, from ``grid.meta`` (page,
        layer, bucket, fixed, period, where, events, sessions, frame, min_sessions, viewport_w).
    ledger : of the run; its two lines join the footer.

    Raises
    ------
    UsageError : HG1310-HG1317 for unusable options. InputError : HG2320, the screenshot cannot be read.
    """
    check_theme(theme)
    check_looks(cmap, opacity, css_width)
    for name, size in (("width", width), ("max_height", max_height)):
        if not 64 <= size <= 8000:
            raise UsageError(f"{name} is not usable", code="HG1317", where=name, value=size, expected="64 to 8000")
    shot = None if background is None else screenshot(background)
    drawn = plot(
        grid, scale=scale, vmax=vmax, smooth=smooth, sigma=smooth_sigma,
        extent=extent, room=(width, max_height),
    )  # fmt: skip
    notes = list(drawn.notes)
    if shot is None:
        body: Any = level_image(drawn, width, max_height)
    else:
        css = css_width or float(shot.width)
        if css_width is None:
            notes.append("one pixel of the screenshot is taken as one px (css_width not given)")
        body = _overlay(drawn, shot, shot.width / css, table(cmap), opacity, width, max_height)
        if body.info["beyond"]:
            notes.append("plain grey: beyond the screenshot")
        drawn.extent = (0.0, body.width / body.info["px"], 0.0, body.height / body.info["px"])
    lines = [*ledger_lines(grid, ledger), *_withheld(grid), *notes, *footer]
    return _compose(body, drawn, cmap, theme, title or map_title(grid.meta), subtitle or map_subtitle(grid), lines)


def map_title(meta: dict[str, object]) -> str:
    """Page and layer, as the picture's heading."""
    meta = {**meta, "layer": meta.get("told") or meta.get("layer")}
    parts = [str(meta[key]) for key in ("page", "layer") if meta.get(key) not in (None, "")]
    if meta.get("fixed"):
        parts.append("fixed elements")
    return " · ".join(short(part, 70) for part in parts) or "map"


def map_subtitle(grid: Grid) -> str:
    """n (always), then what the map is limited to, then the frame of its points."""
    meta = grid.meta
    events = meta.get("events", grid.used)
    parts = [f"n = {events:,} events"]
    if meta.get("layer") == DWELL_LAYER and isinstance(events, int):
        parts = [f"n = {duration(events)} of dwell"]
    sessions = meta.get("sessions")
    if isinstance(sessions, int):
        parts.append(f"{sessions:,} sessions" + _weak(sessions))
    if meta.get("bucket") not in (None, ""):
        parts.append("width unknown" if meta["bucket"] == "unknown" else f"width {meta['bucket']} px")
    if meta.get("period"):
        parts.append(short(str(meta["period"]), 30))
    where = meta.get("where")
    if isinstance(where, dict):
        parts += [f"{short(str(key), 30)} = {short(str(value), 30)}" for key, value in sorted(where.items())]
    if meta.get("frame"):
        parts.append(f"frame: {meta['frame']}")
    return " · ".join(parts)


def factor_of(drawn: Plot, width: int, max_height: int) -> int:
    """Whole pixels that a block is wide."""
    ny, nx = drawn.levels.shape
    ratio = drawn.block[1] / drawn.block[0]
    factor: int = max(1, min(width // nx, int(max_height / (ny * ratio)), 64))
    return factor


def level_image(drawn: Plot, width: int, max_height: int, factor: int | None = None) -> Image.Image:
    """Levels as an 8-bit image, every block the same whole number of pixels (smoothed maps are interpolated)."""
    import numpy as np
    from PIL import Image

    ny, nx = drawn.levels.shape
    fx = factor or factor_of(drawn, width, max_height)
    fy = max(1, round(fx * drawn.block[1] / drawn.block[0]))
    if drawn.smoothed:
        return Image.fromarray(drawn.levels).resize((nx * fx, ny * fy), Image.Resampling.BILINEAR)
    return Image.fromarray(np.repeat(np.repeat(drawn.levels, fy, axis=0), fx, axis=1))


def plot_png(drawn: Plot, cmap: str, width: int, max_height: int) -> bytes:
    """The map alone, without title or legend, as PNG bytes: for pages that say those in text."""
    image = level_image(drawn, width, max_height)
    image.putpalette(map_palette(cmap, 256))
    return encode(image)


def overlay_png(
    drawn: Plot, shot: Image.Image, css_width: float, cmap: str, width: int, max_height: int
) -> bytes:  # fmt: skip
    """The same above a screenshot, which begins at the page's corner and shows ``css_width`` px of it."""
    return encode(overlay(drawn, shot, css_width, cmap, width, max_height))


def overlay(
    drawn: Plot, shot: Image.Image, css_width: float, cmap: str, width: int, max_height: int, opacity: float = 0.7
) -> Image.Image:  # fmt: skip
    """The picture of that, as RGB."""
    body = _overlay(drawn, shot, shot.width / css_width, table(cmap), opacity, width, max_height)
    drawn.extent = (0.0, body.width / body.info["px"], 0.0, body.height / body.info["px"])
    if body.info["beyond"]:
        drawn.notes.append("plain grey: beyond the screenshot")
    return body


@cache
def map_palette(cmap: str, entries: int) -> bytes:
    """The ground for nothing, then ``entries`` - 1 colours from the least visible to the brightest."""
    import numpy as np

    at = np.rint(np.linspace(FIRST, 255, entries - 1)).astype(int)
    colors: bytes = table(cmap)[at].tobytes()
    return bytes(GROUND) + colors


def check_looks(cmap: str = "inferno", opacity: float = 0.7, css_width: float | None = None) -> None:
    """What can be said of a picture's options before there is a map. Raises UsageError HG1310 (cmap), HG1317."""
    table(cmap)
    if not (math.isfinite(opacity) and 0 <= opacity <= 1):
        raise UsageError("opacity is not usable", code="HG1317", where="opacity", value=opacity, expected="0 to 1")
    if css_width is not None and not (math.isfinite(css_width) and 1 <= css_width <= 100_000):
        raise UsageError(
            "css_width is not usable", code="HG1317", where="css_width", value=css_width, expected="px >= 1"
        )


def screenshot(source: str | os.PathLike[str] | Image.Image) -> Image.Image:
    """The screenshot as RGB; its size is looked at before it is decoded."""
    from PIL import Image

    if isinstance(source, Image.Image):
        return source.convert("RGB")
    try:
        with Image.open(source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(
                    "the screenshot is too large", code="HG2321", where=os.fspath(source),
                    value=f"{image.width} x {image.height} pixels", expected=f"at most {MAX_PIXELS:,} pixels",
                )  # fmt: skip
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            "the screenshot cannot be read", code="HG2320", where=os.fspath(source), value=shorten(str(error)),
            expected="a PNG, JPEG or WebP picture",
        ) from error  # fmt: skip


def _overlay(
    drawn: Plot, shot: Image.Image, scale: float, colors: npt.NDArray[np.uint8], opacity: float, width: int,
    max_height: int,
) -> Image.Image:  # fmt: skip
    """The screenshot with the map above it; ``info["px"]`` of the result is its pixels by px of the page."""
    import numpy as np
    from PIL import Image

    x0, x1, y0, y1 = drawn.extent
    page = (max(shot.width / scale, x1), max(shot.height / scale, y1))
    px = min(max(width, 1000) / page[0], max_height / page[1], max(scale, 1.0))
    size = (max(1, round(page[0] * px)), max(1, round(page[1] * px)))
    base = Image.new("RGB", size, (128, 128, 132))
    inner = (max(1, round(shot.width * px / scale)), max(1, round(shot.height * px / scale)))
    base.paste(shot.resize(inner, Image.Resampling.BILINEAR, reducing_gap=2.0), (0, 0))
    picture = np.asarray(base).astype(np.float32)
    ny, nx = drawn.levels.shape
    ix = np.floor(((np.arange(size[0]) + 0.5) / px - x0) / drawn.block[0]).astype(np.int64)
    iy = np.floor(((np.arange(size[1]) + 0.5) / px - y0) / drawn.block[1]).astype(np.int64)
    alpha = opacity * (0.6 + 0.4 * np.arange(256) / 255)
    if drawn.smoothed:  # soft edges: what is faint shows the page
        alpha = opacity * np.minimum(1.0, np.arange(256) / 96)
    alpha[0] = 0.0
    inside = np.ix_((iy >= 0) & (iy < ny), (ix >= 0) & (ix < nx))
    levels = np.zeros((size[1], size[0]), np.uint8)
    levels[inside] = drawn.levels[np.ix_(iy[(iy >= 0) & (iy < ny)], ix[(ix >= 0) & (ix < nx)])]
    at = FIRST + np.arange(256) * (255 - FIRST) // 255
    over = alpha.astype(np.float32)[levels][..., None]
    mixed = picture * (1 - over) + colors[at][levels] * over
    image = Image.fromarray(np.rint(mixed).astype(np.uint8))
    image.info["px"] = px
    image.info["beyond"] = inner[0] < size[0] - 1 or inner[1] < size[1] - 1
    return image


def _compose(
    body: Image.Image, drawn: Plot, cmap: str, theme: str, title: str, subtitle: str, footer: list[str]
) -> Image.Image:
    """Ink on paper as one 8-bit layer (255 = ink), the map put in its place: a palette picture where possible."""
    import numpy as np
    from PIL import Image, ImageDraw

    wide = max(LEFT + body.width + RIGHT, LEAST_WIDTH)
    room = wide - LEFT - RIGHT
    head = wrap(title, 20, room)[:2]
    sub = wrap(subtitle, 13, room)[:3]
    foot = [line for text in footer for line in wrap(text, 11, room)]
    bar_y = TOP + 27 * len(head) + 18 * len(sub) + 12
    map_y = bar_y + 10 + 20 + 26
    high = map_y + body.height + 16 + 15 * len(foot) + 12
    ink = Image.new("L", (wide, high), 0)
    draw = ImageDraw.Draw(ink)
    y = TOP
    for line in head:
        draw.text((LEFT, y), line, fill=INK, font=font(20))
        y += 27
    for line in sub:
        draw.text((LEFT, y), line, fill=MUTED, font=font(13))
        y += 18
    bar_w = min(260, room // 2)
    for at, label in drawn.ticks:
        x = LEFT + round(at * (bar_w - 1))
        draw.line((x, bar_y + 10, x, bar_y + 13), fill=MUTED)
        draw.text((x, bar_y + 14), drawable(label), fill=MUTED, font=font(11), anchor="ma")
    note = {"log": "log scale", "linear": "linear scale", "eq": "equalised"}[drawn.scale]
    draw.text((LEFT + bar_w + 28, bar_y - 3), drawable(f"{drawn.unit}, {note}"), fill=MUTED, font=font(12))
    _axes(draw, drawn, body.width, body.height, map_y)
    y = map_y + body.height + 16
    for line in foot:
        draw.text((LEFT, y), line, fill=MUTED, font=font(11))
        y += 15
    strip = np.broadcast_to(np.linspace(1, 255, bar_w).astype(np.uint8), (10, bar_w))
    layer = np.asarray(ink)
    if body.mode == "L":
        entries = 256 - RAMP
        canvas = (layer.astype(np.uint16) * (RAMP - 1) // 255).astype(np.uint8)
        of_level = (RAMP + np.arange(256) * (entries - 1) // 255).astype(np.uint8)
        of_level[1:] = np.maximum(of_level[1:], RAMP + 1)
        canvas[map_y : map_y + body.height, LEFT : LEFT + body.width] = of_level[np.asarray(body)]
        canvas[bar_y : bar_y + 10, LEFT : LEFT + bar_w] = of_level[strip]
        picture = Image.fromarray(canvas)
        picture.putpalette(ramp(theme, RAMP).tobytes() + map_palette(cmap, entries))
        return picture
    rgb = ramp(theme, 256)[layer]
    rgb[map_y : map_y + body.height, LEFT : LEFT + body.width] = np.asarray(body)
    colors = np.frombuffer(map_palette(cmap, 256), np.uint8).reshape(-1, 3)
    rgb[bar_y : bar_y + 10, LEFT : LEFT + bar_w] = colors[strip]
    return Image.fromarray(rgb)


def _axes(draw: Any, drawn: Plot, width: int, height: int, top: int) -> None:
    """Ticks in px along the top and the left edge."""
    x0, x1, y0, y1 = drawn.extent
    step = nice_step(x1 - x0, max(2, width // 90))
    for i in range(math.ceil(x0 / step), math.floor(x1 / step) + 1):
        x = LEFT + (i * step - x0) / (x1 - x0) * width
        draw.line((x, top - 4, x, top - 1), fill=MUTED)
        draw.text((x, top - 18), f"{i * step:,g}", fill=MUTED, font=font(11), anchor="ma")
    draw.text((LEFT - 6, top - 18), "px", fill=MUTED, font=font(11), anchor="ra")
    step = nice_step(y1 - y0, max(2, height // 70))
    for i in range(math.ceil(y0 / step), math.floor(y1 / step) + 1):
        y = top + (i * step - y0) / (y1 - y0) * height
        draw.line((LEFT - 4, y, LEFT - 1, y), fill=MUTED)
        draw.text((LEFT - 8, y), f"{i * step:,g}", fill=MUTED, font=font(11), anchor="rm")


def _weak(n: int) -> str:
    return " (fewer than 30)" if n < 30 else " (low)" if n < 100 else ""


def ledger_lines(grid: Grid, ledger: Ledger | None) -> list[str]:
    layer = str(grid.meta.get("layer", grid.name))
    lines = [] if ledger is None else [ledger.run_line()]
    if ledger is not None and layer in ledger.measures:
        lines.append(f"{layer}, all maps: {ledger.measures[layer].line()}")
    else:
        lines.append(f"points: {grid.used:,} used + {grid.outside:,} outside + {grid.invalid:,} invalid")
    return [*lines, f"this map: {grid.used:,} {grid.unit}"]


def _withheld(grid: Grid) -> list[str]:
    k = grid.meta.get("min_sessions") or 0
    if not k:
        return ["min_sessions 0: nothing is withheld"]
    count = grid.meta.get("withheld")
    said = f", {count:,} {grid.unit} here" if isinstance(count, int) else ""
    return [f"min_sessions {k}: cells of fewer sessions are withheld{said}"]
