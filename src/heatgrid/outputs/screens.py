"""Screenshots below the maps of a report: which picture is of which page, at which width."""

from __future__ import annotations

import os
import re
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heatgrid.words.errors import InputError
from heatgrid.words.plan import BUCKET_EDGES, BUCKETS

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
OFF = 0.05
"""The share by which a screenshot may be higher or lower than its page before it is said."""
_NAMED = re.compile(r"^(?P<page>.+)@(?P<width>\d{2,5})$")


@dataclass(frozen=True)
class Screen:
    """A picture of a page whose window was ``css_width`` px wide. page : its key, or the slug of it."""

    page: str
    css_width: float
    file: Path
    by_slug: bool = True

    @property
    def bucket(self) -> str:
        return BUCKETS[sum(self.css_width >= edge for edge in BUCKET_EDGES)]

    def is_of(self, page: str) -> bool:
        return self.page == (slug(page) if self.by_slug else page)


def slug(name: str) -> str:
    """A page as a file's name: ``/project/:id`` is ``project-id``, ``/`` is ``root``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40] or "root"


def screens_of(place: str | os.PathLike[str]) -> list[Screen]:
    """The pictures of a folder (``pricing@1440.png``) or of a screens.toml; a folder's screens.toml comes first.

    Errors: InputError HG2330 (no such folder or file, no picture in it), HG2331 (an entry of the TOML is not usable).
    """
    path = Path(place)
    if path.is_file():
        return _listed(path)
    if not path.is_dir():
        raise _none(path, "there is no such folder")
    found = _listed(path / "screens.toml") if (path / "screens.toml").is_file() else []
    for file in sorted(path.iterdir()):
        named = _NAMED.match(file.stem)
        if named and file.suffix.lower() in SUFFIXES:
            found.append(Screen(slug(named["page"]), float(named["width"]), file))
    if not found:
        raise _none(path, "no picture has a page and a width in its name")
    return found


def screen_for(screens: Sequence[Screen], pages: Sequence[str], page: str, bucket: str) -> Screen | None:
    """The first picture of a page in a width; none where its name is that of two pages."""
    for screen in screens:
        if screen.bucket == bucket and screen.is_of(page) and sum(map(screen.is_of, pages)) == 1:
            return screen
    return None


def height_off(screen: Screen, size: tuple[int, int], height: float | None) -> str | None:
    """What to say of a picture (pixels) whose page is another height in px."""
    shown = size[1] * screen.css_width / size[0]
    if not height or abs(shown - height) <= OFF * height:
        return None
    return f"{screen.file.name} shows {shown:,.0f} px of height, the page has {height:,.0f}: another state of it?"


def _listed(path: Path) -> list[Screen]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            "the list of screenshots cannot be read", code="HG2330", where=os.fspath(path), value=str(error)
        ) from error
    out = []
    for entry in data.get("screen", []):
        page, width, file = (entry.get(name) for name in ("page", "css_width", "file"))
        unknown = sorted(set(entry) - {"page", "css_width", "file", "release"})
        wide = isinstance(width, int | float) and not isinstance(width, bool) and 50 <= width <= 20_000
        if unknown or not (isinstance(page, str) and isinstance(file, str) and wide):
            raise InputError(
                "an entry of the list of screenshots is not usable", code="HG2331", where=os.fspath(path),
                value=entry, expected='[[screen]] with page = "/pricing", css_width = 1440, file = "pricing.png"',
            )  # fmt: skip
        out.append(Screen(page, float(width), path.parent / file, by_slug=False))
    return out


def _none(path: Path, what: str) -> InputError:
    return InputError(
        what, code="HG2330", where=os.fspath(path), expected="pictures such as pricing@1440.png, or a screens.toml"
    )
