"""Pictures and layouts of recorded pages: each page of rrweb recordings rebuilt in a browser, as wide as it was seen.

A recording has the page's markup and no layout: laid out again at the recorded width it tells where elements lie and
how high the page is. What the recording does not hold (pictures, fonts and style sheets of other hosts) is missing
there too, and said.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heatgrid.outputs.atomic import atomic_dir
from heatgrid.outputs.layout import write_layout
from heatgrid.outputs.photograph import Photo, Sitter, browser_at, needed, photographs
from heatgrid.outputs.screens import slug
from heatgrid.words.errors import HeatgridError, InputError
from heatgrid.words.pages import page_key
from heatgrid.words.plan import BUCKET_EDGES

if TYPE_CHECKING:
    from heatgrid.sources.adapters.parts import RecordingPart
    from heatgrid.sources.adapters.recording import Told
    from heatgrid.sources.adapters.restored import Stay

AFTER_MS = 3_000
MOST_NODES = 200_000
_UNSEEN = frozenset(
    ("base", "head", "html", "body", "link", "meta", "noscript", "script", "style", "template", "title")
)


@dataclass(frozen=True)
class Screen:
    """A picture: its page, the window's width, the page's height (px), file, the recording, features with a box."""

    page: str
    css_width: int
    page_h: int
    file: str
    recording: str
    features: int


@dataclass
class Snapshots:
    """What was made, and what is to be said of it."""

    screens: list[Screen] = field(default_factory=list)
    areas: int = 0
    notes: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Choice:
    page: str
    part: RecordingPart
    stay: Stay


def snapshot(
    recordings: Any,
    out: str | os.PathLike[str],
    *,
    after_ms: float = AFTER_MS,
    rules: Callable[[str], str] = page_key,
    format: str = "rrweb",
    browser: str | None = None,
    sandbox: bool = True,
    on_error: str = "raise",
    threads: int = 1,
) -> Snapshots:
    """A folder of pictures (``pricing@1440.png``), screens.toml and layout.toml: a run's --screens and --layout.

    Of each page and width bucket one picture: at the width that most of its stays had, of these the one opened last,
    ``after_ms`` after it was opened (or as it was left before). Boxes are those of what can be operated or was given a
    name (id, data attribute), px of the page; of several of one name the median, as ``heatgrid layout`` has it. What is
    fixed to the window, hidden, or scrolled out of sight inside a container has none.

    Errors: UsageError HG1040 (the extra is not installed), HG1041 (no browser); InputError HG2270 (the browser does not
    start), HG2271 (no page in the recordings), and those of reading.
    """
    needed()
    browser_at(browser)
    made = Snapshots()
    parts = _recordings(recordings, format, on_error, made)
    chosen = _chosen(parts, after_ms, rules, on_error, threads, made)
    if not chosen:
        raise InputError(
            "no page can be rebuilt", code="HG2271", where=", ".join(part.name for part in parts[:3]),
            value=f"{len(parts):,} recordings", expected="a recording's first events: Meta (type 4), FullSnapshot (2)",
            hint="; ".join(made.notes[:2]) or None,
        )  # fmt: skip
    sitters, names = [], []
    for choice in list(chosen):
        try:
            sitter, of_place = _sitter(choice)
        except (ValueError, InputError) as error:
            _skip(made, choice.part, error, on_error)
            chosen.remove(choice)
            continue
        sitters.append(sitter)
        names.append(of_place)
    photos = photographs(sitters, browser, sandbox)
    _write(Path(out), list(zip(chosen, names, sitters, photos, strict=True)), made)
    return made


def _recordings(given: Any, format: str, on_error: str, made: Snapshots) -> list[RecordingPart]:
    from heatgrid.sources.adapters.parts import RecordingPart
    from heatgrid.sources.events import open_events

    events = open_events(given, format=format, on_error=on_error)
    parts = [part for part in events.parts if isinstance(part, RecordingPart) and hasattr(part.adapter, "told")]
    if len(parts) < len(events.parts):
        raise InputError(
            "only recordings hold pages", code="HG2271", where=events.name, value=format, expected="files of rrweb"
        )
    made.skipped += events.skipped
    return parts


def _chosen(
    parts: Sequence[RecordingPart], after_ms: float, rules: Callable[[str], str], on_error: str, threads: int,
    made: Snapshots,
) -> list[_Choice]:  # fmt: skip
    """One stay for each page and bucket."""
    from heatgrid.sources.pool import ahead

    found: dict[tuple[str, int], list[_Choice]] = defaultdict(list)
    tasks = ((part, partial(_stays, part, after_ms)) for part in parts)
    for part, result in ahead(tasks, threads):
        try:
            stays = result()
        except (ValueError, InputError) as error:
            _skip(made, part, error, on_error)
            continue
        for stay in stays:
            page = rules(stay.href)
            found[page, sum(stay.width >= edge for edge in BUCKET_EDGES)].append(_Choice(page, part, stay))
    chosen = []
    for _, choices in sorted(found.items()):
        widths = Counter(choice.stay.width for choice in choices)
        width = max(widths, key=lambda width: (widths[width], width))
        whole = [one for one in choices if one.stay.width == width]
        lasting = [one for one in whole if one.stay.end - one.stay.begin >= after_ms] or whole
        chosen.append(max(lasting, key=lambda one: (one.stay.begin, one.part.name)))
    return chosen


def _told(part: RecordingPart) -> Told:
    found: Told = part.adapter.told(part.data())  # type: ignore[attr-defined]
    return found


def _stays(part: RecordingPart, after_ms: float) -> list[Stay]:
    from heatgrid.sources.adapters.restored import stays

    return stays(_told(part), after_ms)


def _skip(made: Snapshots, part: RecordingPart, error: Exception, on_error: str) -> None:
    if on_error != "skip":
        if isinstance(error, HeatgridError):
            raise error
        from heatgrid.sources.faults import corrupt

        raise corrupt(part.name, str(error)) from error
    made.skipped.append(part.name)
    made.notes.append(f"skipped {part.name} ({str(error).partition(chr(10))[0]})")


def _sitter(choice: _Choice) -> tuple[Sitter, list[str]]:
    """The page as the browser gets it, and the names of those elements whose boxes are wanted."""
    from heatgrid.sources.adapters.restored import DOCTYPE, ELEMENT, document

    told = _told(choice.part)
    flat = document(told, choice.stay)
    if len(flat) > MOST_NODES:
        raise ValueError(f"a page of {len(flat):,} nodes; at most {MOST_NODES:,} are laid out")
    nodes = told.nodes()
    number = int(told.snapshots[choice.stay.snapshot])
    rows, asked, names = [], [], []
    for place, (parent, node) in enumerate(flat):
        attributes = {name: value for name, value in node.attributes.items() if isinstance(value, str | int | float)}
        if any(child.shadow for child in node.children):
            attributes["rr_shadow"] = True
        rows.append((parent, node.kind, node.tag, node.svg, node.shadow, node.text, attributes))
        if node.kind != ELEMENT or node.tag in _UNSEEN or not isinstance(node.id, int):
            continue
        if (name := nodes.names(number, node.id)) is not None:
            asked.append(place)
            names.append(name)
    quirks = not any(node.kind == DOCTYPE for _, node in flat[:8])
    return Sitter(choice.stay.width, choice.stay.height, rows, asked, quirks), names


def _write(
    out: Path, shot: Sequence[tuple[_Choice, Sequence[str], Sitter, Photo | str]], made: Snapshots
) -> None:  # fmt: skip
    import pyarrow as pa

    from heatgrid.engine.finish_layout import TYPES

    areas: list[dict[str, object]] = []
    lines: list[str] = []
    lost: Counter[str] = Counter()
    unseen: Counter[str] = Counter()
    with atomic_dir(out) as folder:
        for choice, names, sitter, photo in shot:
            page, part = choice.page, choice.part
            if isinstance(photo, str):
                made.notes.append(f"no picture of {page} at {sitter.width} px ({part.name}): {photo}")
                continue
            file = _free(folder, f"{slug(page)}@{sitter.width}")
            (folder / file).write_bytes(photo.png)
            boxes: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
            for name, box in zip(names, photo.boxes, strict=True):
                if isinstance(box, str):
                    unseen[box] += 1
                else:
                    boxes[name].append(box)
            edges = (None, *BUCKET_EDGES, None)
            bucket = sum(sitter.width >= edge for edge in BUCKET_EDGES)
            for name, found in boxes.items():
                x, y, width, height = (_median([box[side] for box in found]) for side in range(4))
                areas.append({
                    "name": name, "x0": x, "x1": x + width, "y0": y, "y1": y + height, "page": page,
                    "min_width": edges[bucket], "max_width": edges[bucket + 1], "rows": len(found),
                })  # fmt: skip
            told = {"page": page, "css_width": sitter.width, "file": file}
            lines.append("[[screen]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in told.items()))
            made.screens.append(Screen(page, sitter.width, photo.tall, file, part.name, len(boxes)))
            lost += photo.blocked
        if not made.screens:
            raise InputError(
                "no page could be photographed", code="HG2271", where=str(out), value="; ".join(made.notes[:3])
            )
        (folder / "screens.toml").write_text("\n".join(lines), encoding="utf-8")
        if areas:
            write_layout(pa.Table.from_pylist(areas, pa.schema(list(TYPES.items()))), folder / "layout.toml")
    made.areas = len(areas)
    if lost:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in lost.most_common())
        made.notes.append(f"not in the recordings, and not loaded: {kinds}; what lies around them may be elsewhere")
    if unseen:
        why = ", ".join(f"{count:,} {_WHY[kind]}" for kind, count in unseen.most_common())
        made.notes.append(f"elements without a box: {why}")


_WHY = {"hidden": "hidden", "fixed": "fixed to the window", "inside": "out of sight inside a container"}


def _free(folder: Path, name: str) -> str:
    number, file = 1, f"{name}.png"
    while (folder / file).exists():
        number += 1
        file = f"{name.replace('@', f'-{number}@')}.png"
    return file


def _median(px: Sequence[float]) -> int:
    """Nearest rank, whole px."""
    return round(sorted(px)[(len(px) + 1) // 2 - 1])
