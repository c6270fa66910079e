"""Plain text for terminals: hostile names shown escaped, tables aligned, numbers and sizes readable."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TextIO

from heatgrid.outputs.text import short, visible


def clean(text: object, width: int = 0) -> str:
    """One line that cannot steer a terminal; with ``width`` the middle of a long one is left out."""
    return short(str(text), width) if width else visible(str(text))


def colored(stream: TextIO) -> bool:
    """NO_COLOR (any value but empty) and dumb terminals get none."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO) -> str:
    return f"\033[{style}m{text}\033[0m" if colored(stream) else text


def put(line: str) -> None:
    """One line of the result to stdout."""
    sys.stdout.write(line + "\n")


def say(line: str) -> None:
    """One line to stderr, where everything goes that is not the result."""
    sys.stderr.write(line + "\n")


def columns_of(text: str) -> int:
    """Terminal cells a text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text
    )


def cell(value: object, width: int = 60) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return clean(value, width)


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of an aligned table: text to the left, numbers to the right, a rule below the head."""
    body = list(rows)
    numeric = [
        all(isinstance(row[i], (int, float)) or row[i] is None for row in body) and bool(body)
        for i in range(len(names))
    ]
    shown = [[clean(name, 40) for name in names], *([cell(value) for value in row] for row in body)]
    widths = [max(columns_of(line[i]) for line in shown) for i in range(len(names))]

    def line(values: Sequence[str]) -> str:
        padded = []
        for value, width, right in zip(values, widths, numeric, strict=True):
            gap = " " * (width - columns_of(value))
            padded.append(gap + value if right else value + gap)
        return "  ".join(padded).rstrip()

    return [line(shown[0]), "  ".join("-" * width for width in widths), *(line(values) for values in shown[1:])]


def size(count: float) -> str:
    """Bytes for people: 1.5 GB."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
