"""How far a page was seen, and how long each height of it: two strips beside the page, with its folds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heatgrid.outputs.atomic import atomic
from heatgrid.outputs.colors import luminance
from heatgrid.outputs.colors import table as color_table
from heatgrid.outputs.drawing import FAINT, INK, MUTED, check_theme, encode, ramp, wrap
from heatgrid.outputs.matrix_pictures import SMALL
from heatgrid.outputs.pictures import screenshot
from heatgrid.outputs.plots import nice_step
from heatgrid.outputs.text import drawable, duration, font
from heatgrid.words.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import Image

LEFT, EDGE, GAP = 62, 24, 34
SHOT, STRIP, CURVE = 260, 200, 330
LEAST, MOST = 320, 1500
"""Pixels that a page is drawn high."""
TALLEST = 20_000


def scroll_picture(
    page: dict[str, Any], reach: pa.Table, attention: pa.Table, path: str | os.PathLike[str], *,
    title: str | None = None, subtitle: str | None = None, theme: str = "light", cmap: str = "inferno",
    background: str | os.PathLike[str] | Image.Image | None = None, css_width: float | None = None,
    footer: Sequence[str] = (), max_height: int = MOST,
) -> Path:  # fmt: skip
    """Draw one row of ``Heat.scroll`` with its rows of ``Heat.reach`` and ``Heat.attention`` as a PNG file.

    Left (with ``background``) the screenshot, as wide as ``css_width`` px of the page; then attention as colour, time
    in the window for each view; then the share of views that saw each height, with the folds across. Of fewer than 30
    sessions counts are written, no shares. Raises UsageError (HG1310, HG1316, HG1317), InputError (HG2320, HG2321).
    """
    check_theme(theme)
    if not 64 <= max_height <= 8000:
        raise UsageError(
            "max_height is not usable", code="HG1317", where="max_height", value=max_height, expected="64 to 8000"
        )
    shot = None if background is None else screenshot(background)
    picture = _Picture(page, reach, attention, theme, cmap, shot, css_width, max_height)
    lines = [*picture.notes, *footer]
    image = picture.draw(title or f"{page['page']} · scroll and attention", subtitle or scroll_subtitle(page), lines)
    target = Path(path)
    with atomic(target) as file:
        file.write(encode(image))
    return target


def scroll_subtitle(page: dict[str, Any]) -> str:
    """n, the width bucket, height, and what lies below the fold."""
    n = page["sessions"]
    weak = " (fewer than 30)" if n < SMALL else " (low)" if n < 100 else ""
    parts = [f"n = {page['views']:,} views · {n:,} sessions{weak}"]
    parts.append("width unknown" if page["bucket"] == "unknown" else f"width {page['bucket']} px")
    if page["growing"]:
        parts.append(f"the page grew in {page['growing']:,} views")
    elif page["page_h"]:
        parts.append(f"{page['page_h']:,} px high")
    if page["clicks"]:
        share = "" if page["below_share"] is None else f" ({100 * page['below_share']:.0f} %)"
        parts.append(f"{page['below']:,} of {page['clicks']:,} clicks below the fold{share}")
    return " · ".join(parts)


def reached(reach: Sequence[tuple[int, int]], band: int) -> int:
    """How far down one view in a thousand comes, px: below, a tall page is empty. reach : (y, views that saw it)."""
    n = reach[0][1] if reach else 0
    return max((y for y, views in reach if views and views * 1000 >= n), default=0) + band


class _Picture:
    def __init__(
        self, page: dict[str, Any], reach: pa.Table, attention: pa.Table, theme: str, cmap: str,
        shot: Image.Image | None, css_width: float | None, max_height: int,
    ) -> None:  # fmt: skip
        self.page, self.shot = page, shot
        self.colors = [tuple(int(v) for v in rgb) for rgb in ramp(theme, 256)]
        # as on the maps of clicks, on paper of either theme: nothing is dark, the most is bright
        self.shades = color_table(cmap)
        self.reach = list(zip(reach["y"].to_pylist(), reach["views"].to_pylist(), strict=True))
        self.attention = list(zip(attention["y"].to_pylist(), attention["attention_ms"].to_pylist(), strict=True))
        ys = [y for y, _ in self.reach] + [y for y, ms in self.attention if ms]
        self.band = next((y for y, _ in self.reach if y), 16)
        seen = max(ys, default=0) + self.band
        whole = max(seen, page["page_h"] or 0)
        self.height = min(max(reached(self.reach, self.band), page["fold_p90"] or 0, LEAST), TALLEST)
        self.px = min(max_height / self.height, 1.0)
        self.notes = [f"counted at the first px of bands of {self.band} px"]
        if whole > self.height:
            high = f"; the page is {page['page_h']:,} px high" if page["page_h"] else ""
            why = "as far as 1 in 1,000 views comes" if self.height < TALLEST else "no page is drawn higher"
            self.notes.append(f"drawn to {self.height:,} px ({why}), seen to {seen:,}{high}")
        self.css = css_width or (float(shot.width) if shot is not None else 0.0)

    def draw(self, title: str, subtitle: str, footer: list[str]) -> Image.Image:
        from PIL import Image, ImageDraw

        strip_x = LEFT + (SHOT + GAP if self.shot is not None else 0)
        curve_x = strip_x + STRIP + GAP
        wide = curve_x + CURVE + 110 + EDGE
        room = wide - LEFT - EDGE
        head, sub = wrap(title, 20, room)[:2], wrap(subtitle, 13, room)[:3]
        foot = [line for text in footer for line in wrap(text, 11, room)]
        top = 18 + 27 * len(head) + 18 * len(sub) + 62
        high = round(self.height * self.px)
        image = Image.new("RGB", (wide, top + high + 16 + 15 * len(foot) + 14), self.colors[0])
        draw = ImageDraw.Draw(image)
        y = 18
        for lines, size, step, ink in ((head, 20, 27, INK), (sub, 13, 18, MUTED)):
            for line in lines:
                draw.text((LEFT, y), line, fill=self.colors[ink], font=font(size))
                y += step
        self._axis(draw, top, high)
        if self.shot is not None:
            self._page(image, top, high)
        self._strip(image, draw, strip_x, top, high)
        self._curve(draw, curve_x, top, high)
        self._folds(image, draw, LEFT, curve_x + CURVE, top, high)
        y = top + high + 14
        for line in foot:
            draw.text((LEFT, y), line, fill=self.colors[MUTED], font=font(11))
            y += 15
        return image

    def _axis(self, draw: Any, top: int, high: int) -> None:
        step = nice_step(self.height, max(2, high // 70))
        for i in range(int(self.height / step) + 1):
            y = top + i * step * self.px
            draw.line((LEFT - 5, y, LEFT - 2, y), fill=self.colors[MUTED])
            draw.text((LEFT - 9, y), f"{i * step:,g}", fill=self.colors[MUTED], font=font(11), anchor="rm")
        draw.text((LEFT - 9, top - 18), "px", fill=self.colors[MUTED], font=font(11), anchor="rm")

    def _page(self, image: Image.Image, top: int, high: int) -> None:
        assert self.shot is not None
        from PIL import Image as Images

        # as wide as the strip, each height beside its own: the page keeps its scale down, not its proportions
        scale = self.shot.width / self.css
        tall = max(1, min(high, round(self.shot.height / scale * self.px)))
        part = self.shot.crop((0, 0, self.shot.width, min(self.shot.height, round(self.height * scale))))
        image.paste((128, 128, 132), (LEFT, top, LEFT + SHOT, top + high))
        image.paste(part.resize((SHOT, tall), Images.Resampling.BILINEAR, reducing_gap=2.0), (LEFT, top))

    def _strip(self, image: Image.Image, draw: Any, x: int, top: int, high: int) -> None:
        import numpy as np
        from PIL import Image as Images

        views = max(1, self.page["views"])
        ms = np.zeros(high)
        most = max((value for _, value in self.attention), default=0)
        for y, value in self.attention:
            ms[round(y * self.px) : round((y + self.band) * self.px)] = value
        levels = np.rint(255 * ms / max(most, 1)).astype(int)
        column = self.shades[levels].astype(np.uint8)
        image.paste(Images.fromarray(np.repeat(column[:, None], STRIP, axis=1)), (x, top))
        key = np.repeat(self.shades[np.linspace(0, 255, STRIP).astype(int)][None].astype(np.uint8), 8, axis=0)
        image.paste(Images.fromarray(key), (x, top - 32))
        draw.text((x, top - 53), "attention: time in the window", fill=self.colors[INK], font=font(12))
        each = duration(most / views) + " a view" if self.page["sessions"] >= SMALL else duration(most) + " in all"
        draw.text((x, top - 20), "0", fill=self.colors[MUTED], font=font(11))
        draw.text((x + STRIP, top - 20), drawable(each), fill=self.colors[MUTED], font=font(11), anchor="ra")

    def _curve(self, draw: Any, x: int, top: int, high: int) -> None:
        n = self.reach[0][1] if self.reach else 0
        fill = tuple(self.shades[150].tolist())
        draw.text((x, top - 53), "reach: views that saw this height", fill=self.colors[INK], font=font(12))
        draw.rectangle((x, top, x + CURVE, top + high - 1), fill=self.colors[8])
        for y, views in self.reach:
            a, b = round(y * self.px), min(round((y + self.band) * self.px), high)
            if b > a and n:
                draw.rectangle((x, top + a, x + CURVE * views / n, top + b - 1), fill=fill)
        counts = self.page["sessions"] < SMALL
        for quarter in range(5):
            at = x + CURVE * quarter / 4
            draw.line((at, top, at, top + high - 1), fill=self.colors[FAINT])
            label = f"{n * quarter // 4:,}" if counts else f"{25 * quarter} %"
            draw.text((at, top - 20), label, fill=self.colors[MUTED], font=font(11), anchor="ma")

    def _folds(self, image: Any, draw: Any, left: int, right: int, top: int, high: int) -> None:
        """Lines across all, the median whole; labels that would touch move down."""
        lowest = -1000.0
        for name in ("p10", "p50", "p90"):
            fold = self.page[f"fold_{name}"]
            if fold is None or fold * self.px >= high:
                continue
            y = top + fold * self.px
            dashes = range(left, right, 4 if name == "p50" else 8)
            under = [luminance(image.getpixel((at, round(y)))) for at in dashes]
            for at, light in zip(dashes, under, strict=True):
                # dark on what is bright there, and bright on what is dark
                ink = (20, 20, 26) if light > 0.19 else (255, 255, 255)
                draw.line((at, y, min(at + 4, right), y), fill=ink, width=2 if name == "p50" else 1)
            lowest = max(y, lowest + 13)
            draw.text(
                (right + 8, lowest), f"fold {name}: {fold:,}", fill=self.colors[MUTED], font=font(11), anchor="lm"
            )
