"""Sizes as people write them: ``1GB``, ``512 MiB``, ``1500000``."""

from __future__ import annotations

import re

from heatgrid.words.errors import UsageError

_UNITS = {"": 1, "B": 1} | {
    letter + tail: base**power
    for power, letter in enumerate("KMGT", 1)
    for tail, base in (("", 1000), ("B", 1000), ("IB", 1024))
}
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*$")


def parse_size(value: int | str, where: str) -> int:
    """Bytes. Raises UsageError HG1029."""
    match = _SIZE.match(str(value)) if not isinstance(value, bool) else None
    unit = _UNITS.get(match[2].upper()) if match else None
    size = int(float(match[1]) * unit) if match and unit else 0
    if size < 1:
        raise UsageError(
            "not a size", code="HG1029", where=where, value=value, expected="a number of bytes, or one with its unit",
            hint="1GB, 512MB, 2GiB",
        )  # fmt: skip
    return size


def shown_size(size: int, unit: str | None = None) -> str:
    """``1.3GB``; in a given unit rounded up, so that what is asked for is enough."""
    for name in ("TB", "GB", "MB") if unit is None else (unit,):
        if unit is not None:
            tenths = -(-size * 10 // _UNITS[name])
            return f"{-(-tenths // 10)}{name}" if name == "MB" else f"{tenths / 10:g}{name}"
        if size >= _UNITS[name]:
            return f"{size / _UNITS[name]:.3g} {name}"
    return f"{size:,} bytes"
