"""What names leave open: columns by their types and values, frames, words that are clicks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from heatgrid.sources import values
from heatgrid.sources.layouts import bare, is_text
from heatgrid.sources.mapping import Found, Sample, frame_of_name, leaves, twofold
from heatgrid.sources.sampling import Sampler
from heatgrid.sources.times import readable
from heatgrid.words.errors import InputError
from heatgrid.words.events import kind_of
from heatgrid.words.synonyms import CLICKS_WITHOUT_CLICK, plain

_TIME_WORDS = ("time", "date", "stamp", "ts", "at", "when", "epoch", "utc", "ms")
_NO_PAGE = (
    "ref",
    "link",
    "target",
    "avatar",
    "image",
    "img",
    "src",
    "icon",
    "logo",
    "asset",
    "prev",
    "next",
    "landing",
)
_URLS, _IDS, _WITHIN = 0.9, 0.2, 0.999
_ENOUGH = 1_000


@dataclass(frozen=True)
class Framed:
    """What x and y are measured from, and why."""

    frame: str
    why: str
    assumed: bool = False


def fill(found: Found, asked: Mapping[str, str | None], schema: pa.Schema, sample: Sampler, place: str) -> None:
    """Time, page and kind by types and values where no name told them; an id that is none is left out.

    Errors: InputError HG2214 where two columns could be the time.
    """
    free = [(path, kind) for path, kind, _ in leaves(schema) if path not in found.columns.values()]
    if "time" not in found.columns and "time" not in asked:
        _time(found, free, sample, place)

    def urls(path: str) -> bool:
        return _may_be_page(path) and values.url_share(sample(path)) >= _URLS

    def kinds(path: str) -> bool:
        return values.only_kinds(sample(path))

    for canonical, fits, why in (("page", urls, "its values are URLs"), ("kind", kinds, "its values are kinds")):
        if canonical in found.columns or canonical in asked:
            continue
        texts = [path for path, kind in free if is_text(bare(kind)) and path not in found.columns.values()]
        could = [path for path in texts if fits(path)]
        if len(could) == 1:
            found.take(canonical, could[0], why)
            found.notes.append(f"{canonical} = {could[0]} ({why})")
        elif could:
            found.notes.append(f"{canonical} is not read: {' or '.join(could)}? (--map {canonical}={could[0]})")
    _drop_no_id(found, sample)


def _may_be_page(path: str) -> bool:
    return not any(word in plain(path.rpartition(".")[2]) for word in _NO_PAGE)


def _time(found: Found, free: list[tuple[str, pa.DataType]], sample: Sample, place: str) -> None:
    for why, could in (
        ("the only column of times", [path for path, kind in free if pa.types.is_timestamp(bare(kind))]),
        ("its values are times", [path for path, kind in free if _holds_times(path, kind, sample)]),
        ("the only column of dates", [path for path, kind in free if pa.types.is_date(bare(kind))]),
    ):
        if len(could) > 1:
            raise twofold("time", could, place)
        if could:
            found.take("time", could[0], why)
            found.notes.append(f"time = {could[0]} ({why})")
            return


def _holds_times(path: str, kind: pa.DataType, sample: Sample) -> bool:
    """Texts that are times; numbers only where the name speaks of time as well: an id can look like seconds."""
    kind = bare(kind)
    if is_text(kind):
        return readable(sample(path)) >= _URLS
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return False
    words = path.rpartition(".")[2].lower().replace("-", "_").strip("$").split("_")
    return any(word in _TIME_WORDS or word.endswith(("time", "stamp")) for word in words) and (
        readable(sample(path)) >= _URLS
    )


def could_be_time(schema: pa.Schema, sample: Sample) -> str | None:
    """A column of numbers that would be times, for the hint of an error."""
    numbers = [path for path, kind, _ in leaves(schema) if pa.types.is_integer(bare(kind))]
    return next((path for path in numbers if readable(sample(path)) >= _URLS), None)


def _drop_no_id(found: Found, sample: Sample) -> None:
    """An event_id that repeats names no event: rows of one id are dropped as duplicates."""
    path = found.columns.get("event_id")
    if path is None or found.why["event_id"] == "as asked":
        return
    share = values.distinct_share(sample(path))
    if share is not None and share < _IDS:
        del found.columns["event_id"]
        found.notes = [note for note in found.notes if not note.startswith("event_id = ")]
        found.notes.append(f"event_id is not read: {path} repeats, so it names no event (--map event_id={path})")


def clicks_without_click(words: Mapping[str, int]) -> tuple[str, ...]:
    """The words of a sample that are clicks for want of any; none where a word is a click."""
    if any(kind_of(word) == "click" for word in words):
        return ()
    return tuple(sorted(word for word in words if word.strip().lower() in CLICKS_WITHOUT_CLICK))


def frame(columns: Mapping[str, str], sample: Sampler, place: str) -> Framed:
    """page or viewport: by the names of x and y, else by where y lies, else page, which is then assumed."""
    named = frame_of_name(columns["x"])
    if named is not None:
        return Framed(named, f"{columns['x']}, {columns['y']}")
    lacking = [name for name in ("viewport_h", "scroll_y") if name not in columns]
    if lacking:
        return Framed("page", f"no column for {' and '.join(lacking)} to tell", assumed=True)
    rows = sample.rows([columns[name] for name in ("y", "viewport_h", "scroll_y")])
    y, window, scroll = (np.concatenate([np.zeros(0), *(part[i] for part in rows)]) for i in range(3))
    known = np.isfinite(y) & np.isfinite(window)
    beyond, total = int(np.count_nonzero(y[known] > window[known])), int(known.sum())
    page = partial(Framed, "page", assumed=True)
    if not total:
        return page("no row has y and viewport_h")
    if not (scroll > 0).any():
        return page("no page is scrolled")
    if beyond > (1 - _WITHIN) * total:
        return page("y lies beyond the window in more than 0.1 % of a sample")
    # a point of the page is never above what the window shows of it; few rows may lie in the window by chance
    both = np.isfinite(y) & (scroll > 0)
    above = bool((y[both] < scroll[both]).any())
    if not above and (both.any() or total < _ENOUGH):
        return page("y lies in the window, but so it may on the page")
    return Framed("viewport", "y lies in the window in 99.9 % of a sample, while pages are scrolled")


def no_time(schema: pa.Schema, sample: Sample, place: str) -> InputError:
    """No column is the time of the rows."""
    could = could_be_time(schema, sample)
    names = [path for path, kind, _ in leaves(schema)][:20]
    if not names:
        return InputError(
            "the input is empty: it has no columns", code="HG2601", where=place, value="nothing",
            expected="a header, or rows; no rows below a header are fine", hint="was it written to the end?",
        )  # fmt: skip
    return InputError(
        "no time column", code="HG2601", where=place, value="columns: " + ", ".join(names),
        expected="a column for `time`: timestamps, ISO texts, or numbers since 1970",
        hint=f"--map time={could}" if could else "--map time=COLUMN",
    )  # fmt: skip
