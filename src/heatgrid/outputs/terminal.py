"""A map in a terminal: two blocks a character, one above the other, in as many colours as there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from heatgrid.outputs.grid import Grid
from heatgrid.outputs.pictures import map_palette, map_subtitle, map_title
from heatgrid.outputs.plots import Plot, plot
from heatgrid.outputs.text import short

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COLORS = ("true", "256", "none")
UPPER = "▀"
SHADES = " ░▒▓█"
RESET = "\033[0m"
_STEPS = (0, 95, 135, 175, 215, 255)
"""Levels of a channel in the cube of 256-colour terminals."""


def colors_of(environment: Mapping[str, str]) -> str:
    """How many colours a terminal has: ``true`` (24 bit), ``256`` or ``none``; NO_COLOR and dumb ones have none."""
    term = environment.get("TERM", "")
    if environment.get("NO_COLOR") or term in ("", "dumb", "linux") or term.startswith("vt"):
        return "none"
    return "true" if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit") else "256"


def map_lines(
    grid: Grid, colors: str, *, columns: int = 80, rows: int = 60, scale: str = "log", vmax: float | None = None,
    cmap: str = "inferno",
) -> list[str]:  # fmt: skip
    """Title, n, the map in at most so many columns and rows, and what its colours stand for."""
    room = (columns, 2 * rows)
    # a block is at least what a half character can show, whatever a picture of pixels could
    drawn = plot(grid, scale=scale, vmax=vmax, room=(3 * room[0], 3 * room[1]), least=1)
    body = _shaded(drawn) if colors == "none" else _colored(drawn, map_palette(cmap, 256), colors)
    return [short(map_title(grid.meta), 2 * columns), map_subtitle(grid), *body, *_key(drawn, colors, cmap)]


def _key(drawn: Plot, colors: str, cmap: str) -> list[str]:
    """Some levels with the counts they stand for."""
    parts = []
    for at, label in drawn.ticks:
        level = max(1, round(255 * at))
        if colors == "none":
            parts.append(f"{SHADES[_shade(level)] * 2} {label}")
        else:
            parts.append(f"{_of(map_palette(cmap, 256), level, colors, 48)}  {RESET} {label}")
    told = {"log": "log scale", "linear": "linear scale", "eq": "equalised"}[drawn.scale]
    return ["  ".join(parts), f"{drawn.unit}, {told}", *drawn.notes]


def _shade(level: int) -> int:
    return 0 if level == 0 else 1 + min(3, level // 64)


def _shaded(drawn: Plot) -> list[str]:
    """Without colour: a character is the larger of its two blocks."""
    import numpy as np

    pairs = _pairs(drawn.levels)
    return ["".join(SHADES[_shade(int(v))] for v in row).rstrip() for row in np.maximum(pairs[0], pairs[1])]


def _colored(drawn: Plot, palette: bytes, colors: str) -> list[str]:
    upper, lower = _pairs(drawn.levels)
    lines = []
    for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
        out, last = [], None
        for pair in zip(above, below, strict=True):
            if pair != last:
                out += [_of(palette, v, colors, how) for v, how in zip(pair, (38, 48), strict=True)]
                last = pair
            out.append(UPPER)
        lines.append("".join(out) + RESET)
    return lines


def _pairs(levels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    import numpy as np

    padded = np.pad(levels, ((0, levels.shape[0] % 2), (0, 0)))
    return padded[::2], padded[1::2]


def _of(palette: bytes, level: int, colors: str, how: int) -> str:
    """How a terminal is told a colour; ``how``: 38 for the character, 48 for what is behind it."""
    red, green, blue = palette[3 * level : 3 * level + 3]
    if colors == "true":
        return f"\033[{how};2;{red};{green};{blue}m"
    r, g, b = (min(range(6), key=lambda i: abs(_STEPS[i] - v)) for v in (red, green, blue))
    return f"\033[{how};5;{16 + 36 * r + 6 * g + b}m"
