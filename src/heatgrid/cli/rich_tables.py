"""Tables on a terminal, by rich, which Typer brings: ruled, numbers right, hostile names as plain text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from heatgrid.cli.text import cell, clean, colored

if TYPE_CHECKING:
    from heatgrid.outputs.matrix import Matrix

LEAST = 12
"""Columns of characters that a name keeps where the terminal is narrow."""


def draw(names: Sequence[str], rows: Sequence[Sequence[object]], matrix: Matrix | None = None) -> None:
    """To stdout. NO_COLOR and dumb terminals get the rules without colour; what does not fit is cut with an ellipsis,
    names before numbers."""
    bare = not colored(sys.stdout)
    console = Console(file=sys.stdout, highlight=False, no_color=bare, force_terminal=not bare)
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for i, name in enumerate(names):
        numbers = bool(rows) and all(isinstance(row[i], (int, float)) or row[i] is None for row in rows)
        table.add_column(
            Text(clean(name, 40)), justify="right" if numbers else "left", overflow="ellipsis", no_wrap=True,
            min_width=None if numbers else min(LEAST, len(name)),
        )  # fmt: skip
    fills = [] if matrix is None or bare else _fills(matrix)
    for r, row in enumerate(rows):
        styles = fills[r] if r < len(fills) else []
        # Text and not str: [red] in a name is a name
        table.add_row(
            *(Text(cell(value), style=styles[i] if i < len(styles) else "") for i, value in enumerate(row))
        )  # fmt: skip
    console.print(table)


def _fills(matrix: Matrix) -> list[list[str]]:
    """A style for each cell of a matrix, as in a picture on dark paper: the name's first, then those of the values."""
    from heatgrid.outputs.colors import luminance
    from heatgrid.outputs.matrix_pictures import shades_of, shares

    shades, part = shades_of("inferno", "dark"), shares(matrix)
    out = []
    for values, row in zip(matrix.values.tolist(), part.tolist(), strict=True):
        styles = [""]
        for value, share in zip(values, row, strict=True):
            if not value or share < 0:
                styles.append("dim")
                continue
            red, green, blue = shades[round(share * 255)].tolist()
            ink = "#ffffff" if luminance((red, green, blue)) < 0.19 else "#14141a"
            styles.append(f"{ink} on #{red:02x}{green:02x}{blue:02x}")
        out.append(styles)
    return out
