"""Benchmarks as one picture: a line a case, a dot a contender, by how many times heatgrid's time it took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from heatgrid.bench.race import FLOOR
from heatgrid.outputs.drawing import FAINT, INK, MUTED, encode, ramp, wrap
from heatgrid.outputs.text import drawable, font, short, text_width

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw as Draw

WIDTH, EDGE, ROW, DOT = 1000, 24, 24, 5
OWN = (204, 51, 17)
HUES = (
    (0, 119, 187),
    (238, 119, 51),
    (0, 153, 136),
    (170, 51, 119),
    (187, 153, 0),
    (102, 102, 153),
    (51, 187, 238),
    (85, 85, 85),
)
"""Told apart also by most of those who do not see all colours (after Paul Tol's vibrant scheme)."""


@dataclass
class Line:
    """One case. dots: contender -> (median, least, most), in times of heatgrid's median; own: heatgrid's time."""

    label: str
    own: str
    dots: dict[str, tuple[float, float, float]]


def line_of(label: str, item: str, found: dict[str, Any]) -> Line:
    """From a summary of race.py."""
    own = found["ns"]["heatgrid"]
    dots = {name: (ns / own, *(v / own for v in found["ns_least_most"][name])) for name, ns in found["ns"].items()}
    return Line(label, f"{own:.3g} ns a {item}", dots)


def digest(lines: Sequence[Line]) -> str:
    """Of the figures drawn; the picture's comment."""
    return sha256(repr(lines).encode()).hexdigest()


def chart(lines: Sequence[Line], *, title: str, notes: Sequence[str] = ()) -> bytes:
    """PNG bytes. A logarithmic axis; a dot is a median, its stroke reaches from the least to the most."""
    from PIL import Image, ImageDraw

    colors = [tuple(int(v) for v in rgb) for rgb in ramp("light", 256)]
    names = list(dict.fromkeys(_kind(name) for line in lines for name in line.dots))
    hues: dict[str, Any] = dict(zip((n for n in names if _rival(n)), HUES * 3, strict=False))
    hues |= {name: OWN if name.startswith("heatgrid") else colors[FAINT] for name in names if not _rival(name)}
    left = EDGE + round(max(text_width(drawable(line.label), 13) for line in lines)) + 14
    right = WIDTH - EDGE - round(max(text_width(line.own, 12) for line in lines)) - 14
    head, foot = wrap(title, 20, WIDTH - 2 * EDGE), [t for note in notes for t in wrap(note, 11, WIDTH - 2 * EDGE)]
    key = _key(names)
    top = 20 + 27 * len(head) + 20 * len(key) + 30
    bottom = top + ROW * len(lines)
    image = Image.new("RGB", (WIDTH, bottom + 30 + 15 * len(foot) + 12), colors[0])
    draw = ImageDraw.Draw(image)
    for i, text in enumerate(head):
        draw.text((EDGE, 18 + 27 * i), text, fill=colors[INK], font=font(20))
    for i, row in enumerate(key):
        for x, name in row:
            y = 28 + 27 * len(head) + 20 * i
            draw.ellipse((x, y - DOT, x + 2 * DOT, y + DOT), fill=hues[name])
            draw.text((x + 15, y), drawable(name), fill=colors[INK], font=font(13), anchor="lm")
    values = [v for line in lines for dot in line.dots.values() for v in dot]
    low, high = math.log(min(values) * 0.9), math.log(max(values) * 1.1)

    def at(value: float) -> float:
        return left + (math.log(value) - low) / (high - low) * (right - left)

    _axis(draw, [t for t in TICKS if low <= math.log(t) <= high], at, top, bottom, colors)
    for i, line in enumerate(lines):
        y = top + ROW * i + ROW // 2
        draw.text((left - 14, y), drawable(line.label), fill=colors[INK], font=font(13), anchor="rm")
        draw.text((WIDTH - EDGE, y), line.own, fill=colors[MUTED], font=font(12), anchor="rm")
        for name, (middle, least, most) in sorted(line.dots.items(), key=lambda dot: dot[0].startswith("heatgrid")):
            hue = hues[_kind(name)]
            draw.line((at(least), y, at(most), y), fill=hue, width=2)
            draw.ellipse((at(middle) - DOT, y - DOT, at(middle) + DOT, y + DOT), fill=hue, outline=colors[0])
    draw.text((WIDTH - EDGE, top - 8), "heatgrid", fill=OWN, font=font(12), anchor="rs")
    for i, text in enumerate(foot):
        draw.text((EDGE, bottom + 28 + 15 * i), text, fill=colors[MUTED], font=font(11))
    return encode(image, digest(lines))


TICKS = tuple(m * 10.0**e for e in range(-4, 5) for m in (1, 2, 5))


def _axis(draw: Draw, ticks: Sequence[float], at: Any, top: int, bottom: int, colors: Sequence[Any]) -> None:
    last = -1000.0
    for tick in ticks:
        draw.line((at(tick), top, at(tick), bottom), fill=OWN if tick == 1 else colors[24], width=1)
        text = f"{tick:g} x"
        if at(tick) - last > text_width(text, 11) + 12 or tick == 1:
            draw.text((at(tick), bottom + 6), text, fill=colors[MUTED], font=font(11), anchor="ma")
            last = at(tick)


def _rival(name: str) -> bool:
    return not name.startswith(("heatgrid", FLOOR))


def _kind(name: str) -> str:
    """What shares a colour: a library at its own and at other settings."""
    return name.partition(", radius")[0].partition(", its radius")[0].partition(" float")[0]


def _key(names: Sequence[str]) -> list[list[tuple[int, str]]]:
    rows: list[list[tuple[int, str]]] = [[]]
    x = EDGE
    for name in names:
        wide = 15 + round(text_width(drawable(short(name, 40)), 13)) + 22
        if x + wide > WIDTH - EDGE and rows[-1]:
            rows.append([])
            x = EDGE
        rows[-1].append((x, name))
        x += wide
    return rows
