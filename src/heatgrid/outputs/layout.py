"""A layout as a file of areas (--areas reads it): TOML, or any format of tables."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from heatgrid.outputs.atomic import atomic
from heatgrid.outputs.tables import write_table

if TYPE_CHECKING:
    import pyarrow as pa


def write_layout(layout: pa.Table, path: str | os.PathLike[str], format: str | None = None) -> None:
    """``[[area]]`` tables to .toml; the columns of areas alone to all else."""
    areas = layout.drop_columns(["rows"])
    if format != "toml" and Path(path).suffix.lower() != ".toml":
        write_table(areas, path, format)
        return
    parts = []
    for row in areas.to_pylist():
        lines = (f"{name} = {_quoted(v) if isinstance(v, str) else v}" for name, v in row.items() if v is not None)
        parts.append("[[area]]\n" + "\n".join(lines) + "\n")
    with atomic(Path(path)) as file:
        file.write("\n".join(parts).encode())


def _quoted(text: str) -> str:
    """A basic string: JSON's, but for what TOML does not take bare."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
