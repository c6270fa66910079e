"""Releases of the product: named moments that cut periods (``every="release"``) and are marked in them."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from heatgrid.words.errors import InputError, UsageError, nearest

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXPECTED = "a day or a moment as ISO 8601 writes it: 2026-03-01, 2026-03-01T10:30, 2026-03-01T10:30:00Z"


@dataclass(frozen=True)
class Release:
    """A name, and its first moment in whole ms since 1970 (UTC)."""

    name: str
    at_ms: int

    @property
    def moment(self) -> datetime:
        return EPOCH + timedelta(milliseconds=self.at_ms)

    def as_dict(self) -> dict[str, object]:
        return {"name": self.name, "at": self.moment.isoformat().replace("+00:00", "Z")}


def load_releases(given: Any, tz: str) -> tuple[Release, ...]:
    """Releases by their moment.

    given : {name: moment}, or a sequence of ``Release``, (name, moment), ``{"name": ..., "at": ...}``, texts
        ``NAME=MOMENT`` or names of files: TOML (``[[release]]`` with ``name`` and ``at``) or CSV (the same columns).
        A moment is ISO text, a date or a datetime; one without an offset, and the beginning of a day, are of ``tz``.

    Errors: UsageError HG1161 (a moment), HG1162 (a name twice), InputError HG2150 (a file).
    """
    zone = ZoneInfo(tz)
    items = list(given.items()) if isinstance(given, Mapping) else [given] if isinstance(given, str) else list(given)
    found = [release for item in items for release in _of(item, zone)]
    by_name = {release.name: release for release in found}
    for release in found:
        if by_name[release.name] != release:
            raise UsageError(
                "a release has two moments", code="HG1162", where="releases", value=release.name,
                expected="one moment for each name", hint="give the later one a name of its own",
            )  # fmt: skip
    return tuple(sorted(by_name.values(), key=lambda release: (release.at_ms, release.name)))


def _of(item: Any, zone: ZoneInfo) -> list[Release]:
    if isinstance(item, Release):
        return [item]
    if isinstance(item, (str, Path)):
        name, equals, moment = str(item).partition("=")
        return [_made(name, moment, zone, "releases")] if equals else _read(Path(item), zone)
    if isinstance(item, Mapping):
        return [_row(item, zone, "releases")]
    if isinstance(item, Sequence) and len(item) == 2:
        return [_made(item[0], item[1], zone, "releases")]
    raise UsageError(
        "this is no release", code="HG1161", where="releases", value=item, expected="a name and a moment",
        hint="{'2.1': '2026-03-01'}, or the name of a file",
    )  # fmt: skip


def _read(path: Path, zone: ZoneInfo) -> list[Release]:
    try:
        text = path.read_text(encoding="utf-8")
        rows: Any
        if path.suffix == ".csv":
            rows = list(csv.DictReader(text.splitlines()))
        else:
            rows = tomllib.loads(text).get("release", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error) as error:
        raise InputError(
            "the list of releases cannot be read", code="HG2150", where=str(path), value=str(error),
            expected="NAME=MOMENT, or a file: TOML with [[release]] tables, or CSV, with name and at",
        ) from error  # fmt: skip
    if not rows or not isinstance(rows, list):
        raise InputError(
            "the list of releases names none", code="HG2150", where=str(path),
            expected="at least one [[release]] (or row) with name and at",
        )  # fmt: skip
    return [_row(row, zone, f"{path} release {i + 1}") for i, row in enumerate(rows)]


def _row(row: Mapping[str, Any], zone: ZoneInfo, where: str) -> Release:
    for key in row:
        if key not in ("name", "at"):
            raise UsageError(
                "unknown field of a release", code="HG1163", where=where, value=key, expected="name and at",
                hint=nearest(str(key), ("name", "at")),
            )  # fmt: skip
    return _made(row.get("name"), row.get("at"), zone, where)


def _made(name: Any, moment: Any, zone: ZoneInfo, where: str) -> Release:
    if not isinstance(name, str) or not name.strip():
        raise UsageError("a release needs a name", code="HG1161", where=where, value=name, expected="a text")
    try:
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment.strip())
        elif isinstance(moment, date) and not isinstance(moment, datetime):
            moment = datetime(moment.year, moment.month, moment.day)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        since = moment.astimezone(UTC) - EPOCH
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise UsageError(
            "the moment of a release is not understood", code="HG1161", where=f"{where}: {name}", value=moment,
            expected=_EXPECTED,
        ) from None  # fmt: skip
    # the first whole ms that is not before it
    return Release(name.strip(), -(-since // timedelta(milliseconds=1)))
