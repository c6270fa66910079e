"""The report folder: index.html that works alone, the maps as PNG, the tables, summary.json. Whole or not at all."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from heatgrid.engine.others import OTHER
from heatgrid.outputs.atomic import atomic_dir
from heatgrid.outputs.grid import Grid
from heatgrid.outputs.matrix import Matrix
from heatgrid.outputs.pictures import map_picture, overlay_png, plot_png, screenshot
from heatgrid.outputs.plots import Plot, plot
from heatgrid.outputs.report_data import places, view_data
from heatgrid.outputs.report_page import page
from heatgrid.outputs.screens import height_off, screen_for, screens_of, slug
from heatgrid.outputs.scroll_pictures import scroll_subtitle
from heatgrid.outputs.tables import write_json, write_table
from heatgrid.words.errors import UsageError
from heatgrid.words.ledger import Ledger
from heatgrid.words.plan import BUCKETS, DWELL_LAYER, Plan

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import Image

    from heatgrid.engine.finish_cells import SparseMap

ROOM, NARROW_ROOM = (560, 1500), (324, 1500)
"""Pixels of a map within the page; a phone's page is not blown up to the width of a desktop's."""


MOST_PATHS = 1000
MOST_SCROLLS, SCROLL_HEIGHT = 3, 560
"""Pages whose reach and attention are drawn, and how high: the frame of a picture shows it whole."""


class Result(Protocol):
    """What a report is made of: ``heatgrid.Heat``, or anything that answers alike."""

    @property
    def plan(self) -> Plan: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def summary(self) -> dict[str, Any]: ...
    @property
    def features(self) -> pa.Table: ...
    @property
    def pages(self) -> pa.Table: ...
    @property
    def rules(self) -> pa.Table: ...
    @property
    def friction(self) -> pa.Table: ...
    @property
    def findings(self) -> pa.Table: ...
    @property
    def scroll(self) -> pa.Table: ...
    @property
    def exposure(self) -> pa.Table: ...
    def scroll_of(self, show: str = ..., by: bool = ..., every: bool = ...) -> pa.Table: ...
    def scroll_picture(
        self, path: Path, *, page: str | None = ..., bucket: str | None = ..., max_height: int = ...
    ) -> Path: ...
    @property
    def layout(self) -> pa.Table: ...
    @property
    def links(self) -> pa.Table: ...
    @property
    def releases(self) -> pa.Table: ...
    def layers(self) -> pa.Table: ...
    def sparse_maps(self, *, split: bool) -> Iterable[SparseMap]: ...
    def map(self, layer: str = ..., *, page: str | None = ..., bucket: str | None = ..., fixed: bool = ...) -> Grid: ...
    def matrix(self, rows: str = ..., columns: str = ..., values: str = ...) -> Matrix: ...
    def retention_matrix(self) -> Matrix: ...
    def transition_matrix(self, of: str | None = ...) -> Matrix: ...
    def steps_of(self, of: str | None = ...) -> Matrix: ...
    def transitions_of(self, of: str | None = ...) -> pa.Table: ...
    def paths_of(self, of: str | None = ..., top: int | None = ...) -> pa.Table: ...
    @property
    def funnel(self) -> pa.Table: ...


@dataclass
class MapCard:
    """One map of the report: as a picture of its own (``file``) and as pixels within the page (``png``)."""

    grid: Grid
    plot: Plot
    file: str
    png: str
    wide: bool


@dataclass
class Content:
    """All that the page shows."""

    title: str
    summary: dict[str, Any]
    ledger: Ledger
    plan: Plan
    matrices: list[Matrix]
    maps: list[MapCard]
    maps_in_all: int
    features: pa.Table | None
    pages: pa.Table | None
    notes: list[str]
    data: tuple[str, str] | None = None
    """JSON and blob of the map view."""
    left: int = 0
    """Maps that the page has no room for."""
    screened: bool = False
    scale: str = "log"
    places: dict[str, str] = field(default_factory=dict)
    """The page of a feature on which it is clicked most."""
    drawn: frozenset[str] = frozenset()
    findings: pa.Table | None = None
    funnel: pa.Table | None = None
    rules: pa.Table | None = None
    friction: pa.Table | None = None
    scroll: pa.Table | None = None
    exposure: pa.Table | None = None
    scrolls: list[tuple[str, str, str]] = field(default_factory=list)
    """What is drawn of reach and attention: (what it shows, file, PNG in base64)."""


def write_report(
    heat: Result,
    directory: str | os.PathLike[str],
    *,
    maps: int = 12,
    title: str = "Usage report",
    scale: str = "log",
    cmap: str = "inferno",
    screens: str | os.PathLike[str] | None = None,
) -> Path:
    """Write the report of a run into ``directory`` and return the path of its index.html.

    The folder holds index.html (needs nothing else, no network), maps/*.png of the ``maps`` busiest maps,
    features and pages as .csv and .parquet, matrix.csv, summary.json. It takes the place of an earlier report
    in one step; a folder with other files in it is refused (UsageError HG1302).
    screens : a folder of screenshots (``pricing@1440.png``) or a screens.toml, to be seen below the maps.
    """
    if isinstance(maps, bool) or not 0 <= maps <= 200:
        raise UsageError(
            "this many maps do not fit a report", code="HG1318", where="maps", value=maps, expected="0 to 200"
        )
    shots = None if screens is None else Shots(heat, screens)
    with atomic_dir(directory) as folder:
        (folder / "maps").mkdir()
        layers = heat.layers()
        chosen, in_all = busiest(layers, maps)
        data, left = view_data(heat, cmap, scale, shots) if layers.num_rows else (None, 0)
        content = Content(
            title=title,
            summary=heat.summary,
            ledger=heat.ledger,
            plan=heat.plan,
            matrices=list(_matrices(heat)),
            maps=[_card(heat, folder, i, row, scale, cmap, shots) for i, row in enumerate(chosen, 1)],
            maps_in_all=in_all,
            features=heat.features if "features" in heat.plan.tables else None,
            pages=heat.pages if "pages" in heat.plan.tables else None,
            notes=_off(heat),
            data=data,
            left=left,
            screened=shots is not None,
            scale=scale,
            places=places(heat),
            drawn=frozenset(layers["layer"].to_pylist()),
            findings=heat.findings,
            funnel=heat.funnel if heat.plan.funnel_steps and _counts(heat, "funnel") else None,
            rules=heat.rules if heat.plan.friction else None,
            friction=heat.friction if heat.plan.friction else None,
            scroll=heat.scroll if heat.plan.scroll else None,
            exposure=heat.exposure if heat.plan.exposure else None,
            scrolls=list(_scrolls(heat, folder)) if heat.plan.scroll else [],
        )
        if content.scroll is not None:
            for show in ("reach", "attention"):
                write_table(heat.scroll_of(show, by=False, every=False), folder / f"{show}.parquet")
        for name, journey in _journeys(heat, content.funnel):
            write_table(journey, folder / f"{name}.csv")
        for name, table in (("features", content.features), ("pages", content.pages), ("friction", content.friction),
                            ("scroll", content.scroll), ("exposure", content.exposure)):  # fmt: skip
            if table is not None:
                write_table(table, folder / f"{name}.csv")
                write_table(table, folder / f"{name}.parquet")
        for i, matrix in enumerate(content.matrices):
            name = "matrix" if i == 0 else f"matrix-{slug(matrix.row_name)}-{slug(matrix.column_name)}"
            write_table(matrix.to_table(), folder / f"{name}.csv")
        write_json(_facts(content), folder / "summary.json")
        (folder / "index.html").write_text(page(content, cmap), encoding="utf-8")
    return Path(directory) / "index.html"


def busiest(layers: pa.Table, most: int) -> tuple[list[dict[str, Any]], int]:
    """The maps with the most events (segments and periods together), two thirds clicks; and how many there are."""
    events: dict[tuple[str, str, str, bool], int] = {}
    for row in layers.select(["layer", "page", "bucket", "fixed", "events"]).to_pylist():
        if row["page"] == OTHER:
            continue  # many pages, one upon the other
        key = (row["layer"], row["page"], row["bucket"], row["fixed"])
        # of dwell they are ms, which no click would stand up to
        events[key] = events.get(key, 0) + (row["events"] // 1000 if row["layer"] == DWELL_LAYER else row["events"])
    order = sorted(events, key=lambda key: (-events[key], key))
    clicks = [key for key in order if key[0] == "clicks"]
    others = [key for key in order if key[0] != "clicks"]
    room = max(most - len(others), -(-most * 2 // 3))
    taken = [*clicks[:room], *others[: most - len(clicks[:room])]]
    return [dict(zip(("layer", "page", "bucket", "fixed"), key, strict=True)) for key in taken], len(events)


def _card(
    heat: Result, folder: Path, number: int, row: dict[str, Any], scale: str, cmap: str, shots: Shots | None
) -> MapCard:
    grid = heat.map(row["layer"], page=row["page"], bucket=row["bucket"], fixed=row["fixed"])
    file = f"maps/{number:02d}-{slug(row['page'])}-{row['layer']}-{slug(row['bucket'])}.png"
    shot = shots.of(row) if shots is not None else None
    room = NARROW_ROOM if row["bucket"] == BUCKETS[0] else ROOM
    drawn = plot(grid, scale=scale, room=room)
    if shot is None:
        map_picture(grid, folder / file, scale=scale, cmap=cmap, ledger=heat.ledger)
        data = plot_png(drawn, cmap, *room)
    else:
        drawn.notes += shot.notes
        map_picture(
            grid, folder / file, scale=scale, cmap=cmap, ledger=heat.ledger, background=shot.image,
            css_width=shot.css_width, footer=shot.notes,
        )  # fmt: skip
        data = overlay_png(drawn, shot.image, shot.css_width, cmap, *room)
    return MapCard(grid, drawn, file, base64.b64encode(data).decode("ascii"), room == ROOM)


@dataclass
class _Shot:
    """A screenshot, opened."""

    image: Image.Image
    css_width: float
    notes: list[str]


class Shots:
    """The screenshots of a report; what of them does not fit is said below the map."""

    def __init__(self, heat: Result, place: str | os.PathLike[str]) -> None:
        self._screens = screens_of(place)
        self._pages = sorted(set(heat.layers()["page"].to_pylist()))
        rows = heat.scroll.to_pylist() if heat.plan.scroll and "scroll" not in heat.summary.get("refused", {}) else []
        self._heights = {(row["page"], row["bucket"]): row["page_h"] for row in rows}

    def of(self, row: dict[str, Any]) -> _Shot | None:
        """That of a map, by its page and width; fixed targets have none: they are measured from the window."""
        screen = None if row["fixed"] else screen_for(self._screens, self._pages, row["page"], row["bucket"])
        if screen is None:
            return None
        image = screenshot(screen.file)
        off = height_off(screen, image.size, self._heights.get((row["page"], row["bucket"])))
        return _Shot(image, screen.css_width, [off] if off else [])


def _scrolls(heat: Result, folder: Path) -> Iterator[tuple[str, str, str]]:
    """The pages with the most views, each in its most frequent width."""
    drawn: set[str] = set()
    for row in heat.scroll.to_pylist():
        if row["views"] and row["page"] not in drawn and len(drawn) < MOST_SCROLLS:
            drawn.add(row["page"])
            (folder / "scroll").mkdir(exist_ok=True)
            file = f"scroll/{len(drawn):02d}-{slug(row['page'])}-{slug(row['bucket'])}.png"
            heat.scroll_picture(folder / file, page=row["page"], bucket=row["bucket"], max_height=SCROLL_HEIGHT)
            told = f"{row['page']}: {scroll_subtitle(row)}"
            yield told, file, base64.b64encode((folder / file).read_bytes()).decode("ascii")


def _matrices(heat: Result) -> Iterator[Matrix]:
    """By period first, then by segment: features, and pages where there are no features."""
    counted = heat.summary.get("sessions") is not None
    values = "sessions" if counted else "events"
    for rows in ("feature", "page"):
        if rows + "s" not in heat.plan.tables or not heat.summary.get(rows + "s"):
            continue
        if heat.plan.every:
            yield heat.matrix(rows=rows, columns="period", values=values)
        for column in heat.plan.by:
            yield heat.matrix(rows=rows, columns=column, values=values if len(heat.plan.by) == 1 else "events")

    if heat.plan.retention and "retention" not in heat.summary.get("refused", {}):
        yield heat.retention_matrix()
    for of in heat.plan.transitions if _counts(heat, "transitions") else ():
        yield heat.transition_matrix(of)
    for of in heat.plan.paths if _counts(heat, "paths") else ():
        yield heat.steps_of(of)


def _counts(heat: Result, what: str) -> bool:
    """Whether a journey of the plan could be counted: there are sessions, and their rows have times of their own."""
    return heat.summary.get("sessions") is not None and what not in heat.summary.get("refused", {})


def _journeys(heat: Result, funnel: pa.Table | None) -> Iterator[tuple[str, pa.Table]]:
    """Tables of journeys that are files beside the page."""
    if funnel is not None:
        yield "funnel", funnel
    for of in heat.plan.transitions if _counts(heat, "transitions") else ():
        yield f"transitions-{of}", heat.transitions_of(of)
    for of in heat.plan.paths if _counts(heat, "paths") else ():
        yield f"paths-{of}", heat.paths_of(of, top=MOST_PATHS)


def _off(heat: Result) -> list[str]:
    """What is not in this report, and the option or column that would bring it."""
    plan, summary, off = heat.plan, heat.summary, []
    if summary.get("users") is None:
        off.append("distinct users are off: --distinct users, with a user column (--map user=COLUMN)")
    if plan.every is None:
        off.append("periods are off: --every day, week or month")
    if not plan.by:
        off.append("segments are off: --by COLUMN")
    if not plan.exposure:
        off.append("what was seen of features is off: --layout FILE, as heatgrid layout EVENTS -o FILE writes it")
    if not plan.area_list:
        off.append("areas are off: --areas FILE names rectangles of a page as features")
    if not plan.funnel_steps:
        off.append("the funnel is off: --funnel STEP for each step, such as --funnel pageview:/pricing")
    if not plan.paths:
        off.append("paths and the step matrix are off: --paths pages")
    if not plan.friction:
        off.append("friction is off: --rule rage,error,quick_back, or --rules FILE")
    if not plan.scroll:
        off.append("scroll and attention are off: --scroll")
    if "moves" not in plan.maps:
        off.append("the map of pointer moves is off: --maps clicks,moves")
    if DWELL_LAYER not in plan.maps:
        off.append("the map of dwell is off: --maps clicks,moves,dwell")
    if plan.linked and not heat.links.num_rows:
        off.append("links from a place to recordings are off: --map replay_url=COLUMN, with their addresses")
    return off


def _facts(content: Content) -> dict[str, object]:
    return {
        "command": "report",
        "summary": content.summary,
        "ledger": content.ledger.as_dict(),
        "plan": content.plan.as_dict(),
        "findings": content.findings.to_pylist() if content.findings is not None else [],
        "maps": [{"file": card.file, "used": card.grid.used, **card.grid.meta} for card in content.maps],
        "maps_in_all": content.maps_in_all,
    }
