"""Text on paper for pictures: themes, wrapped lines in the built-in font, PNG bytes."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

from heatgrid.outputs.text import drawable, short, text_width
from heatgrid.words.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

THEMES = {"light": ((255, 255, 255), (28, 29, 36)), "dark": ((22, 23, 29), (236, 236, 242))}
INK, MUTED, FAINT = 255, 165, 90


def check_theme(theme: str) -> None:
    if theme not in THEMES:
        raise UsageError("unknown theme", code="HG1316", where="theme", value=theme, expected=" or ".join(THEMES))


def encode(image: Image.Image, comment: str = "") -> bytes:
    """PNG bytes; packed for speed, since pictures of maps are small anyway."""
    from PIL.PngImagePlugin import PngInfo

    buffer, about = io.BytesIO(), PngInfo()
    if comment:
        about.add_text("Comment", comment)
    image.save(buffer, "PNG", compress_level=2, pnginfo=about)
    return buffer.getvalue()


@cache
def ramp(theme: str, entries: int) -> npt.NDArray[np.uint8]:
    """Paper to ink."""
    import numpy as np

    paper, ink = THEMES[theme]
    return np.rint(np.linspace(paper, ink, entries)).astype(np.uint8)


def wrap(text: str, size: int, room: int) -> list[str]:
    """Lines that fit; a word longer than a line is shortened."""
    lines: list[str] = []
    used, space = 0.0, text_width(" ", size)
    for word in drawable(text).split(" "):
        while text_width(word, size) > room:
            word = drawable(short(word, len(word) - max(1, len(word) // 12)))
        width = text_width(word, size)
        if lines and used + space + width <= room:
            lines[-1] += " " + word
            used += space + width
        else:
            lines.append(word)
            used = width
    return lines
