"""A funnel as a picture: a bar for each step, the shares beside it, and below it who left and where to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heatgrid.outputs.atomic import atomic
from heatgrid.outputs.drawing import FAINT, INK, MUTED, check_theme, encode, ramp, wrap
from heatgrid.outputs.matrix_pictures import SMALL, shades_of
from heatgrid.outputs.text import drawable, duration, font, short, text_width

if TYPE_CHECKING:
    import pyarrow as pa

WIDTH, EDGE, STEP, BAR = 900, 24, 74, 26
SHARE = 150
"""Room for the share of the first step, right of the longest bar."""


def funnel_picture(
    funnel: pa.Table, path: str | os.PathLike[str], *, title: str = "funnel", subtitle: str = "", theme: str = "light",
    cmap: str = "inferno", footer: Sequence[str] = (),
) -> Path:  # fmt: skip
    """Draw the rows of ``Heat.funnel`` as a PNG file: bars in proportion to the first step.

    A step of fewer than 30 sessions is grey and says k/n instead of a share. Raises UsageError (HG1310, HG1316).
    """
    from PIL import Image, ImageDraw

    check_theme(theme)
    colors = [tuple(int(v) for v in rgb) for rgb in ramp(theme, 256)]
    red, green, blue = shades_of(cmap, theme)[140].tolist()
    rows = funnel.to_pylist()
    room = WIDTH - 2 * EDGE
    head = wrap(title, 20, room)[:2]
    sub = wrap(subtitle, 13, room)[:2] if subtitle else []
    foot = [line for text in footer for line in wrap(text, 11, room)]
    top = 18 + 27 * len(head) + 18 * len(sub) + 12
    image = Image.new("RGB", (WIDTH, top + STEP * len(rows) + 15 * len(foot) + 20), colors[0])
    draw = ImageDraw.Draw(image)
    y = 18
    for lines, size, high, ink in ((head, 20, 27, INK), (sub, 13, 18, MUTED)):
        for line in lines:
            draw.text((EDGE, y), line, fill=colors[ink], font=font(size))
            y += high
    first = next((row["sessions"] for row in rows), None) or 0
    for i, row in enumerate(rows):
        y = top + i * STEP
        label = drawable(short(f"{row['step']}  {row['name']}", 80))
        draw.text((EDGE, y), label, fill=colors[INK], font=font(13))
        box = (EDGE, y + 19, EDGE + room - SHARE, y + 19 + BAR)
        draw.rectangle(box, fill=colors[8])
        value = row["sessions"]
        if value:
            fill = (red, green, blue) if value >= SMALL else colors[FAINT]
            draw.rectangle((*box[:2], box[0] + max(1, (room - SHARE) * value // first), box[3]), fill=fill)
        draw.text((box[2] + 12, y + 19 + BAR / 2), share(value, first), fill=colors[INK], font=font(13), anchor="lm")
        draw.text((EDGE, y + 49), drawable(about(row, room)), fill=colors[MUTED], font=font(11))
    y = top + STEP * len(rows) + 6
    for line in foot:
        draw.text((EDGE, y), line, fill=colors[MUTED], font=font(11))
        y += 15
    target = Path(path)
    with atomic(target) as file:
        file.write(encode(image))
    return target


def share(value: int | None, first: int) -> str:
    """``1,234 (56.7 %)``; k/n of few sessions."""
    if value is None:
        return "withheld"
    if first < SMALL:
        return f"{value:,}/{first:,}"
    return f"{value:,} ({100 * value / first:.1f} %)"


def about(row: dict[str, Any], room: int = 10**6) -> str:
    """The line below a bar: the time since the step before, and who left where to."""
    parts = []
    if row["step"] > 1 and row["p50_ms"] is not None:
        parts.append(f"median {duration(row['p50_ms'])} since the step before")
    if row["left"]:
        parts.append(f"{row['left']:,} left here")
        for name, count, words in (
            (row["next_page"], row["next_sessions"], "most often to"),
            (row["last_feature"], row["last_sessions"], "last click"),
        ):
            if name is not None:
                parts.append(f"{words} {short(name, 40)} ({count:,})")
    while len(parts) > 1 and text_width(" · ".join(parts), 11) > room:
        parts.pop()
    return " · ".join(parts)
