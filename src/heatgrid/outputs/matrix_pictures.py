"""The usage matrix as a picture: coloured cells with their numbers, totals, small numbers grey."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heatgrid.outputs.atomic import atomic
from heatgrid.outputs.colors import luminance, table
from heatgrid.outputs.drawing import FAINT, INK, MUTED, check_theme, encode, ramp, wrap
from heatgrid.outputs.matrix import Matrix
from heatgrid.outputs.text import compact, drawable, duration, font, short, text_width
from heatgrid.words.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

SMALL = 30
"""Cells of fewer sessions are shown without colour: k alone, and grey."""
MOST_ROWS, MOST_COLUMNS = 60, 40
ROW = 24
NARROW, WIDE = 46, 76
EDGE = 24
MARK = (214, 39, 40)
"""Of columns in which a release lies: red on light paper and on dark."""
MOST_MARKS = 12


def matrix_picture(matrix: Matrix, path: str | os.PathLike[str], **options: Any) -> Path:
    """Draw the matrix as a PNG file; options: those of ``matrix_image``, whose errors it has."""
    picture = matrix_image(matrix, **options)
    target = Path(path)
    with atomic(target) as file:
        file.write(encode(picture))
    return target


def matrix_image(
    matrix: Matrix,
    *,
    title: str | None = None,
    cmap: str = "inferno",
    scale: str = "log",
    vmax: float | None = None,
    theme: str = "light",
) -> Image.Image:
    """Draw the matrix: at most 60 rows and 40 columns, the rest is named in the footer.

    ``vmax`` is the value of the strongest colour; ``None``: the largest. A cell of fewer than 30 sessions has no
    colour. Raises UsageError (HG1310, HG1312, HG1313, HG1316) for unusable options.
    """
    check_theme(theme)
    if scale not in ("log", "linear"):
        raise UsageError("unknown scale", code="HG1312", where="scale", value=scale, expected="log or linear")
    if vmax is not None and not (math.isfinite(vmax) and vmax > 0):
        raise UsageError("vmax is not usable", code="HG1313", where="vmax", value=vmax, expected="a number > 0")
    image: Image.Image = _Picture(
        matrix, title or matrix_title(matrix), shades_of(cmap, theme), scale, vmax, theme
    ).draw()
    return image


def matrix_title(matrix: Matrix) -> str:
    return f"{matrix.value.removesuffix('_ms')} by {matrix.row_name} and {matrix.column_name}"


def matrix_subtitle(matrix: Matrix) -> str:
    """n, the unit and the size, for the line below a title."""
    n = [] if matrix.n is None else [f"n = {matrix.n:,} sessions" + (" (fewer than 30)" if matrix.n < SMALL else "")]
    size = f"{len(matrix.rows):,} x {len(matrix.columns):,}"
    return " · ".join([*n, f"unit: {'time' if matrix.unit == 'ms' else matrix.unit}", size])


def cell_text(matrix: Matrix, value: int) -> str:
    """A value in at most a handful of characters; times as times."""
    if matrix.unit == "ms":
        return duration(value).rsplit(" ", 2)[0] if duration(value).count(" ") > 1 else duration(value)
    return compact(value)


def shares(matrix: Matrix, scale: str = "log", vmax: float | None = None) -> npt.NDArray[np.float64]:
    """0..1 by cell, for colouring: -1 where the cell is of fewer than 30 sessions (its n is too small to rank)."""
    import numpy as np

    values = matrix.values.astype(np.float64)
    top = vmax or max(1.0, float(values.max(initial=0)))
    if scale == "log":  # linear near zero, so that the usual range of a few hundreds does not look all alike
        unit = max(1.0, top / 30)
        part = np.log1p(values / unit) / math.log1p(top / unit)
    else:
        part = values / top
    part = np.clip(part, 0.0, 1.0)
    if matrix.sessions is not None:
        part = np.where((matrix.sessions < SMALL) & (matrix.values > 0), -1.0, part)
    return part


def shades_of(cmap: str, theme: str) -> npt.NDArray[np.uint8]:
    """From near the paper to the strongest: on light paper the table runs backwards, so that more is darker."""
    import numpy as np

    colors = table(cmap)
    at = np.linspace(252, 70, 256) if theme == "light" else np.linspace(48, 235, 256)
    shades: npt.NDArray[np.uint8] = colors[np.rint(at).astype(int)]
    return shades


class _Picture:
    def __init__(
        self, matrix: Matrix, title: str, shades: npt.NDArray[np.uint8], scale: str, vmax: float | None, theme: str
    ) -> None:
        self.matrix, self.title, self.shades, self.theme = matrix, title, shades, theme
        self.part = shares(matrix, scale, vmax)
        self.colors = [tuple(int(v) for v in rgb) for rgb in ramp(theme, 256)]
        self.n_rows = min(len(matrix.rows), MOST_ROWS)
        self.n_columns = min(len(matrix.columns), MOST_COLUMNS)
        self.labels = [drawable(short(name, 42)) for name in matrix.rows[: self.n_rows]]
        self.heads = [drawable(short(name, 18)) for name in matrix.columns[: self.n_columns]]
        self.step = max(NARROW, min(WIDE, 720 // max(1, self.n_columns)))
        self.left = EDGE + round(max([text_width(label, 12) for label in self.labels] + [80])) + 12
        self.slant = any(text_width(head, 12) > self.step - 6 for head in self.heads)

    def draw(self) -> Any:
        from PIL import Image, ImageDraw

        totals = WIDE if self.matrix.row_totals is not None else 0
        wide = max(self.left + self.step * self.n_columns + totals + EDGE, 560)
        head = wrap(self.title, 20, wide - 2 * EDGE)[:2]
        sub = wrap(matrix_subtitle(self.matrix), 13, wide - 2 * EDGE)[:2]
        foot = [line for text in self._footer() for line in wrap(text, 11, wide - 2 * EDGE)]
        top = 18 + 27 * len(head) + 18 * len(sub) + 14
        column_room = round(max([text_width(h, 12) for h in self.heads] + [0])) + 14 if self.slant else 24
        body = top + column_room
        sums = ROW + 6 if self.matrix.column_totals is not None else 0
        high = body + ROW * self.n_rows + sums + 14 + 15 * len(foot) + 14
        image = Image.new("RGB", (wide, high), self.colors[0])
        draw = ImageDraw.Draw(image)
        y = 18
        for line in head:
            draw.text((EDGE, y), line, fill=self.colors[INK], font=font(20))
            y += 27
        for line in sub:
            draw.text((EDGE, y), line, fill=self.colors[MUTED], font=font(13))
            y += 18
        self._heads(image, draw, body, totals)
        self._cells(draw, body)
        self._totals(draw, body)
        y = body + ROW * self.n_rows + sums + 14
        for line in foot:
            draw.text((EDGE, y), line, fill=self.colors[MUTED], font=font(11))
            y += 15
        return image.quantize(128, dither=Image.Dither.NONE) if wide * high < 400_000 else image

    def _heads(self, image: Any, draw: Any, body: int, totals: int) -> None:
        from PIL import Image, ImageDraw

        for i, head in enumerate(self.heads):
            x = self.left + i * self.step
            if not self.slant:
                draw.text((x + self.step / 2, body - 8), head, fill=self.colors[MUTED], font=font(12), anchor="ms")
                continue
            strip = Image.new("L", (round(text_width(head, 12)) + 2, 16), 0)
            ImageDraw.Draw(strip).text((0, 0), head, fill=255, font=font(12))
            turned = strip.rotate(90, expand=True)
            at = (x + (self.step - turned.width) // 2, body - 6 - turned.height)
            image.paste(self.colors[MUTED], (*at, at[0] + turned.width, at[1] + turned.height), turned)
        for i in self._marked():
            # a release lies in the column, not at its edge: a bar between its head and its cells
            x = self.left + i * self.step
            draw.rectangle((x, body - 4, x + self.step - 3, body - 2), fill=MARK)
        if totals:
            x = self.left + self.n_columns * self.step + totals - 8
            draw.text((x, body - 8), "total", fill=self.colors[MUTED], font=font(12), anchor="rs")

    def _marked(self) -> list[int]:
        there = {column for column, _ in self.matrix.marks}
        return [i for i, name in enumerate(self.matrix.columns[: self.n_columns]) if name in there]

    def _cells(self, draw: Any, body: int) -> None:
        size = 11 if self.step < 60 else 12
        face = font(size)
        for r in range(self.n_rows):
            y = body + r * ROW
            draw.text((self.left - 10, y + 12), self.labels[r], fill=self.colors[INK], font=font(12), anchor="rm")
            for c in range(self.n_columns):
                x = self.left + c * self.step
                value, part = int(self.matrix.values[r, c]), float(self.part[r, c])
                box = (x, y, x + self.step - 2, y + ROW - 2)
                fill, ink = self._paint(value, part)
                draw.rectangle(box, fill=fill)
                text = cell_text(self.matrix, value)
                if text_width(text, size) <= self.step - 6:
                    draw.text((x + self.step / 2 - 1, y + 11), text, fill=ink, font=face, anchor="mm")

    def _paint(self, value: int, part: float) -> tuple[Any, Any]:
        if value == 0:
            return self.colors[6], self.colors[FAINT]
        if part < 0:
            return self.colors[16], self.colors[MUTED]
        red, green, blue = self.shades[round(part * 255)].tolist()
        fill = (red, green, blue)
        return fill, (255, 255, 255) if luminance(fill) < 0.19 else (20, 20, 26)

    def _totals(self, draw: Any, body: int) -> None:
        rows, columns = self.matrix.row_totals, self.matrix.column_totals
        if rows is not None:
            x = self.left + self.n_columns * self.step + WIDE - 8
            for r in range(self.n_rows):
                text = cell_text(self.matrix, int(rows[r]))
                draw.text((x, body + r * ROW + 11), text, fill=self.colors[INK], font=font(12), anchor="rm")
        if columns is not None:
            y = body + self.n_rows * ROW + 6
            draw.line((self.left, y, self.left + self.n_columns * self.step - 2, y), fill=self.colors[FAINT])
            draw.text((self.left - 10, y + 13), "total", fill=self.colors[MUTED], font=font(12), anchor="rm")
            for c in range(self.n_columns):
                middle = self.left + c * self.step + self.step / 2 - 1
                text = cell_text(self.matrix, int(columns[c]))
                draw.text((middle, y + 13), text, fill=self.colors[INK], font=font(12), anchor="mm")

    def _footer(self) -> list[str]:
        matrix, lines = self.matrix, []
        left_out = len(matrix.rows) - self.n_rows
        if left_out:
            lines.append(f"{left_out:,} more rows are not drawn (they are in the table)")
        if len(matrix.columns) > self.n_columns:
            lines.append(f"{len(matrix.columns) - self.n_columns:,} more columns are not drawn")
        if (self.part < 0).any():
            lines.append(f"grey: fewer than {SMALL} sessions")
        if matrix.sessions is None:
            lines.append("the sessions behind a cell are not known here")
        if matrix.value in ("sessions", "users") and matrix.column_name != "step":
            lines.append(f"distinct {matrix.value}: cells need not add up to their totals")
        if matrix.marks:
            named = [short(f"{name} ({column})", 60) for column, name in matrix.marks]
            more = f", and {len(named) - MOST_MARKS:,} more" if len(named) > MOST_MARKS else ""
            lines.append(f"releases (marked): {', '.join(named[:MOST_MARKS])}{more}")
        return [*lines, *matrix.notes]
