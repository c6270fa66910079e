"""Maps for slides: 16:9, large type, one legend with its unit; up to four parts side by side on one scale."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heatgrid.outputs.atomic import atomic
from heatgrid.outputs.colors import table
from heatgrid.outputs.drawing import INK, MUTED, check_theme, encode, ramp, wrap
from heatgrid.outputs.grid import Grid
from heatgrid.outputs.pictures import (
    FIRST,
    check_looks,
    factor_of,
    ledger_lines,
    level_image,
    map_palette,
    map_subtitle,
    map_title,
    overlay,
    screenshot,
)
from heatgrid.outputs.plots import Plot, Smoother, plot
from heatgrid.outputs.text import drawable, font, short
from heatgrid.words.errors import UsageError
from heatgrid.words.ledger import Ledger

if TYPE_CHECKING:
    from PIL import Image

SIZE = (1920, 1080)
MOST = 4
EDGE, BETWEEN = 64, 48
HEAD, SUB, FOOT = 44, 22, 16
BOTTOM = 970
SCALES = {"log": "log scale", "linear": "linear scale", "eq": "equalised"}


def slide(
    grids: Sequence[Grid],
    path: str | os.PathLike[str],
    *,
    legend: str | os.PathLike[str] | None = None,
    scale: str = "log",
    vmax: float | None = None,
    cmap: str = "inferno",
    smooth: Smoother | None = None,
    smooth_sigma: float | None = None,
    background: str | os.PathLike[str] | Image.Image | None = None,
    css_width: float | None = None,
    opacity: float = 0.7,
    title: str | None = None,
    ledger: Ledger | None = None,
    theme: str = "light",
) -> Path:
    """Draw one to four grids of one kind as a PNG of 1920 x 1080 pixels; all of them on one scale, in blocks of one
    size, a px of the page as long in each, so that colours and lengths compare.

    legend : an .svg file for the legend alone, to be placed and scaled by hand.
    vmax : as in ``map_image``; None: the largest of all grids.

    Raises
    ------
    UsageError : HG1310-HG1317 for unusable options, HG1319 for grids that no scale holds.
    """
    check_theme(theme)
    check_looks(cmap, opacity, css_width)
    _comparable(grids, scale)
    shot = None if background is None else screenshot(background)
    room = ((SIZE[0] - 2 * EDGE - BETWEEN * (len(grids) - 1)) // len(grids), BOTTOM - _top(grids))
    drawn = _plots(grids, room, {"scale": scale, "vmax": vmax, "smooth": smooth, "sigma": smooth_sigma})
    bodies = []
    factor = min(factor_of(one, *room) for one in drawn)
    for one in drawn:
        if shot is None:
            body = level_image(one, *room, factor)
            body.putpalette(map_palette(cmap, 256))
            body = body.convert("RGB")
        else:
            body = overlay(one, shot, css_width or float(shot.width), cmap, *room, opacity)
        body.thumbnail(room)
        bodies.append(body)
    picture = _compose(grids, drawn, bodies, cmap, theme, title, ledger)
    target = Path(path)
    if legend is not None:
        with atomic(legend) as file:
            file.write(legend_svg(drawn[0], cmap).encode())
    with atomic(target) as file:
        file.write(encode(picture))
    return target


def _top(grids: Sequence[Grid]) -> int:
    """Where maps begin: below their title and n, and the name of each of several."""
    return 232 if len(grids) > 1 else 180


def legend_svg(drawn: Plot, cmap: str, width: int = 420) -> str:
    """Colours, ticks and the unit of a plot as an SVG of its own, in the colour of the text around it."""
    colors = table(cmap)
    stops = "".join(
        f'<stop offset="{i / 16:.4f}" stop-color="#{r:02x}{g:02x}{b:02x}"/>'
        for i in range(17)
        for r, g, b in [colors[FIRST + i * (255 - FIRST) // 16].tolist()]
    )
    inner = width - 40
    ticks = "".join(
        f'<path d="M{20 + at * inner:.1f} 24v5" stroke="currentColor"/>'
        f'<text x="{20 + at * inner:.1f}" y="43" text-anchor="middle">{escape(label)}</text>'
        for at, label in drawn.ticks
    )
    told = f"{drawn.unit}, {SCALES[drawn.scale]}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 72" width="{width}" height="72" role="img" '
        f'font-family="sans-serif" font-size="13" fill="currentColor"><title>{escape(told)}</title>'
        f'<defs><linearGradient id="ramp">{stops}</linearGradient></defs>'
        f'<rect x="20" y="10" width="{inner}" height="14" rx="2" fill="url(#ramp)"/>{ticks}'
        f'<text x="20" y="64">{escape(told)}</text></svg>\n'
    )


def _comparable(grids: Sequence[Grid], scale: str) -> None:
    if not 1 <= len(grids) <= MOST:
        raise UsageError(
            "this many maps do not fit a slide", code="HG1319", where="grids", value=len(grids), expected=f"1 to {MOST}"
        )
    if scale == "eq" and len(grids) > 1:
        raise UsageError(
            "an equalised scale ranks within one map: two of them do not compare", code="HG1319", where="scale",
            value=scale, hint="scale log or linear",
        )  # fmt: skip
    if len({(grid.unit, grid.cell) for grid in grids}) > 1:
        raise UsageError(
            "these maps count unlike things: no scale holds both", code="HG1319", where="grids",
            value=", ".join(f"{grid.unit} in {grid.cell[0]:g} x {grid.cell[1]:g} px" for grid in grids),
            expected="one unit and one size of cells",
        )  # fmt: skip


def _plots(grids: Sequence[Grid], room: tuple[int, int], options: dict[str, Any]) -> list[Plot]:
    """In blocks of the largest that any of them needs, then with the largest count that any of them has."""
    cell = grids[0].cell[0]
    needed = max(round(plot(grid, room=room, **options).block[0] / cell) for grid in grids)
    if options["vmax"] is None and options["scale"] != "eq":
        tops = [plot(grid, room=room, least=needed, **options).vmax for grid in grids]
        options = options | {"vmax": max(tops)}
    return [plot(grid, room=room, least=needed, **options) for grid in grids]


def _compose(
    grids: Sequence[Grid], drawn: Sequence[Plot], bodies: Sequence[Image.Image], cmap: str, theme: str,
    title: str | None, ledger: Ledger | None,
) -> Image.Image:  # fmt: skip
    from PIL import Image, ImageDraw

    colors = [tuple(int(v) for v in rgb) for rgb in ramp(theme, 256)]
    picture = Image.new("RGB", SIZE, colors[0])
    draw = ImageDraw.Draw(picture)
    wide, top = SIZE[0] - 2 * EDGE, _top(grids)
    head = wrap(title or map_title(grids[0].meta), HEAD, wide - 680)[:1]
    for line in head:
        draw.text((EDGE, 40), line, fill=colors[INK], font=font(HEAD))
    x, step = EDGE, (wide + BETWEEN) // len(grids)
    for grid, one, body in zip(grids, drawn, bodies, strict=True):
        name, told = _name(grid), map_subtitle(grid)
        y = 108
        if len(grids) > 1:
            draw.text((x, y), drawable(short(name, 60)), fill=colors[INK], font=font(SUB + 6))
            y += 38
        for line in wrap(told, SUB - 4 if len(grids) > 1 else SUB, step - BETWEEN)[: 3 if len(grids) > 1 else 2]:
            draw.text((x, y), line, fill=colors[MUTED], font=font(SUB - 4 if len(grids) > 1 else SUB))
            y += 26
        picture.paste(body, (x, top))
        draw.rectangle((x - 1, top - 1, x + body.width, top + body.height), outline=colors[70])
        size = f"{one.extent[1] - one.extent[0]:,.0f} x {one.extent[3] - one.extent[2]:,.0f} px of the page"
        draw.text((x, top + 6 + body.height), size, fill=colors[MUTED], font=font(FOOT))
        x += step
    _legend(picture, draw, drawn[0], cmap, colors, grids, bodies)
    notes = dict.fromkeys(note for one in drawn for note in one.notes)
    lines = [ledger.run_line()] if ledger is not None else ledger_lines(grids[0], None)[:1]
    foot = [part for line in (*lines, *notes) for part in wrap(line, FOOT, wide)][:3]
    for i, line in enumerate(foot):
        draw.text((EDGE, SIZE[1] - 16 - 22 * (len(foot) - i)), line, fill=colors[MUTED], font=font(FOOT))
    return picture


def _legend(
    picture: Image.Image, draw: Any, drawn: Plot, cmap: str, colors: Sequence[Any], grids: Sequence[Grid],
    bodies: Sequence[Image.Image],
) -> None:  # fmt: skip
    """To the right of a single map where there is room, else at the top."""
    import numpy as np
    from PIL import Image

    beside = len(grids) == 1 and bodies[0].width < SIZE[0] - 2 * EDGE - 700
    x, y = (EDGE + bodies[0].width + 80, 190) if beside else (SIZE[0] - EDGE - 620, 46)
    wide = 560
    entries = np.frombuffer(map_palette(cmap, 256), np.uint8).reshape(-1, 3)
    strip = entries[np.broadcast_to(np.linspace(1, 255, wide).astype(np.uint8), (18, wide))]
    picture.paste(Image.fromarray(strip), (x, y))
    for at, label in drawn.ticks:
        draw.text((x + at * (wide - 1), y + 24), drawable(label), fill=colors[INK], font=font(FOOT + 2), anchor="ma")
    told = f"{drawn.unit}, {SCALES[drawn.scale]}" + (", one scale for all" if len(grids) > 1 else "")
    draw.text((x, y + 50), drawable(told), fill=colors[MUTED], font=font(FOOT + 2))


def _name(grid: Grid) -> str:
    where = grid.meta.get("where")
    parts = [f"{key} = {value}" for key, value in sorted(where.items())] if isinstance(where, dict) else []
    return ", ".join([*parts, *([str(grid.meta["period"])] if grid.meta.get("period") else [])]) or "all"
