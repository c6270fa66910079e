"""Foreign names as harmless text: no control characters, no formulas, not longer than there is room."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFont

FORMULA = "=+-@\t\r\n"
"""A spreadsheet runs a text cell that starts with one of these."""
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def visible(text: str) -> str:
    """Control, format (direction marks) and lone surrogate characters spelt out as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) if unicodedata.category(c) in _HIDDEN else c for c in text)


def short(text: str, width: int) -> str:
    """At most ``width`` characters, the middle left out: both ends of a path tell it apart."""
    text = visible(text)
    if len(text) <= width:
        return text
    head = (width - 1) * 2 // 3
    return text[:head] + "…" + text[len(text) - (width - 1 - head) :]


def csv_cell(text: str) -> str:
    """A text cell that no spreadsheet runs and no terminal obeys."""
    safe = "".join(_escape(c) if c not in "\t\r\n" and unicodedata.category(c) == "Cc" else c for c in text)
    return "'" + safe if safe[:1] and safe[0] in FORMULA else safe


def drawable(text: str) -> str:
    """The text in characters that the built-in font has: accents dropped, others spelt out as escapes."""
    out = []
    for c in visible(text):
        if _has_glyph(c):
            out.append(c)
            continue
        plain = "".join(d for d in unicodedata.normalize("NFKD", c) if not unicodedata.combining(d))
        out.append(plain if plain and all(map(_has_glyph, plain)) else _SPELT.get(c) or _escape(c))
    return "".join(out)


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's built-in font: the same on every machine, laid out by Pillow itself (no shaping library)."""
    from PIL import ImageFont

    face = ImageFont.load_default(size)
    return face.font_variant(layout_engine=ImageFont.Layout.BASIC) if hasattr(face, "font_variant") else face


def text_width(text: str, size: int) -> float:
    """Pixels of a line, without kerning: never narrower than drawn by more than a pixel or two."""
    return sum(_advance(c, size) for c in text)


def duration(ms: float) -> str:
    """``0.8 s``, ``42 s``, ``3 min 20 s``, ``5 h 12 min``, ``9 d 4 h``."""
    seconds = ms / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    for big, small, size, step in (("min", "s", 60, 1), ("h", "min", 3600, 60), ("d", "h", 86_400, 3600)):
        if whole < size * 60 or big == "d" or (big == "h" and whole < 48 * 3600):
            rest = whole % size // step
            return f"{whole // size:,} {big}" + (f" {rest} {small}" if rest else "")
    raise AssertionError("unreachable")


_NUMBER_AND_UNIT = re.compile(r"(?<=\d)(\+?) (?=(?:%|px|ms|s|min|h|d)(?!\w))")
_IN_TEXT = re.compile(r">[^<]*\d\+? [^<]*<")


def bound(html: str) -> str:
    """HTML in whose text no line is broken between a number and its unit; attributes stay as they are."""
    return _IN_TEXT.sub(lambda found: _NUMBER_AND_UNIT.sub("\\1\u00a0", found[0]), html)


def compact(value: int) -> str:
    """``999``, ``1.2k``, ``34k``, ``5.6M``: at most four characters wide up to 10^15."""
    size = float(abs(value))
    sign = "-" if value < 0 else ""
    for suffix in ("", "k", "M", "G", "T"):
        if size < 999.5 or suffix == "T":
            text = f"{size:.0f}" if size >= 9.95 or not suffix else f"{size:.1f}"
            return sign + text + suffix
        size /= 1000
    raise AssertionError("unreachable")


_SPELT = {"–": "-", "—": "-", "−": "-", "×": "x", "≤": "<=", "≥": ">=", "→": "->", "←": "<-"}


def _escape(c: str) -> str:
    code = ord(c)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65_536 else f"\\U{code:08x}"


@cache
def _advance(c: str, size: int) -> float:
    return font(size).getlength(c)


@cache
def _has_glyph(c: str) -> bool:
    if " " <= c <= "~":
        return True
    return len(c) == 1 and _glyph(c) != _glyph("\uffff")


@cache
def _glyph(c: str) -> tuple[tuple[int, int], bytes]:
    mask = font(16).getmask(c)
    return mask.size, bytes(mask)
