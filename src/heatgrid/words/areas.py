"""Named half-open rectangles on pages; the innermost that holds a point names its feature."""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heatgrid.words.errors import InputError, UsageError, nearest


@dataclass(frozen=True)
class Area:
    """[x0, x1) x [y0, y1) in page px, on ``page`` (None: every page), for viewport widths [min_width, max_width)."""

    name: str
    x0: float
    x1: float
    y0: float
    y1: float
    page: str | None = None
    min_width: float | None = None
    max_width: float | None = None

    def __post_init__(self) -> None:
        box = (self.x0, self.x1, self.y0, self.y1)
        if not self.name or not all(isinstance(v, (int, float)) and math.isfinite(v) for v in box):
            raise UsageError(
                "an area needs a name and four finite numbers", code="HG1110", where=f"area {self.name!r}", value=box,
                expected="name, x0, x1, y0, y1",
            )  # fmt: skip

    @property
    def size(self) -> float:
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)

    def as_dict(self) -> dict[str, object]:
        return dict(vars(self))


_FIELDS = tuple(Area.__dataclass_fields__)


def load_areas(areas: str | Path | Sequence[Area] | None) -> tuple[Area, ...] | None:
    """Areas from a TOML file (``[[area]]`` tables), a CSV file (a header line) or as they are.

    Errors: UsageError for unknown fields, InputError for a file that cannot be read.
    """
    if areas is None:
        return None
    if not isinstance(areas, (str, Path)):
        return tuple(areas) or None
    path = Path(areas)
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".csv":
            rows: list[dict[str, object]] = [dict(row) for row in csv.DictReader(text.splitlines())]
        else:
            rows = tomllib.loads(text).get("area", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error) as error:
        raise InputError(
            "the areas file cannot be read", code="HG2110", where=str(path), value=str(error),
            expected="TOML with [[area]] tables, or CSV with the columns " + ", ".join(_FIELDS),
        ) from error  # fmt: skip
    if not rows:
        raise InputError(
            "the areas file names no area",
            code="HG2111",
            where=str(path),
            expected="at least one [[area]] or row",
        )
    return tuple(_area(row, f"{path} area {i + 1}") for i, row in enumerate(rows))


def _area(row: dict[str, object], where: str) -> Area:
    values: dict[str, object] = {}
    for key, value in row.items():
        if key not in _FIELDS:
            raise UsageError(
                "unknown field of an area",
                code="HG1111",
                where=where,
                value=key,
                hint=nearest(str(key), _FIELDS),
            )
        if value in (None, ""):
            continue
        if key in ("name", "page"):
            values[key] = str(value)
            continue
        try:
            values[key] = float(str(value))
        except ValueError:
            raise UsageError(
                f"{key} of an area is not a number", code="HG1112", where=where, value=value, expected="px"
            ) from None
    missing = [name for name in _FIELDS[:5] if name not in values]
    if missing:
        raise UsageError(
            "an area lacks " + ", ".join(missing), code="HG1113", where=where, expected="name, x0, x1, y0, y1"
        )
    return Area(**values)  # type: ignore[arg-type]
