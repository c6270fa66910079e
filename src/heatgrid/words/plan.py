"""The plan of a run: what is to be counted, with which parameters. Pure data, checked when it is made."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from zoneinfo import ZoneInfo

from heatgrid.words.areas import Area, load_areas
from heatgrid.words.errors import UsageError, nearest
from heatgrid.words.friction import Rule, rule_of, rules_of
from heatgrid.words.funnel import Step, load_funnel
from heatgrid.words.leave_out import patterns_of
from heatgrid.words.pages import PageRules
from heatgrid.words.pages import patterns_of as page_patterns
from heatgrid.words.releases import Release, load_releases

METRICS_VERSION = 1
BACKENDS = ("auto", "cpu", "gpu")
LAYERS = ("clicks", "moves")
OF_VIEWS = ("first_clicks", "last_clicks")
GOAL_LAYER = "goal_clicks"
DWELL_LAYER = "dwell"
PICKED = (*OF_VIEWS, GOAL_LAYER, DWELL_LAYER)
"""Maps of some of the clicks: of each view the first, or the last; those of sessions that later reach the goal. And of
ms, where the pointer was while they passed."""
TABLES = ("features", "pages")
PERIODS = ("hour", "day", "week", "month")
RELEASE = "release"
"""Periods that releases cut; ``release`` is a column as well, so that a matrix asks for it as ``period``."""
FRAMES = ("auto", "page", "viewport", "element")
WIDTHS = ("bucket", "scale", "element")
"""Policies for windows of different widths."""
DISTINCT = ("users",)
JOURNEYS = ("pages", "features")
STRICT = ("order", "increase")
RETURNS = ("day", "week")

BUCKET_EDGES = (600, 1024, 1440)
BUCKETS = ("0-600", "600-1024", "1024-1440", "1440+", "unknown")
CANVAS = (0.0, 16_384.0, 0.0, 262_144.0)
"""The extent of a map in page px when the plan names none: points beyond it are counted as outside."""
MAX_CELLS = 2**36 - 1
MAX_SIDE = 2**31 - 1
"""Leaves keep the column and the row of a cell in 32 bits."""


@dataclass(frozen=True)
class Plan:
    """What a run counts.

    Parameters
    ----------
    maps : layers to draw, of ``clicks``, ``moves``, ``first_clicks`` and ``last_clicks`` (of each view),
        ``goal_clicks`` (of sessions that later reach the goal), and ``dwell`` (ms, where the pointer was meanwhile).
    cell : edge of a cell in px (a number, or (width, height)).
    extent : (x0, x1, y0, y1) in px; ``None``: the canvas, 16,384 x 262,144 px from the page's corner.
    frame : ``page`` (x, y are document px), ``viewport`` (window px: scroll_y is added to y), ``element`` (shares of
        the element's box, 0 to 1), or ``auto``: what names and values of the columns say, else page, which every
        picture then calls assumed.
    widths : what becomes of windows of different widths on maps of clicks and moves: ``bucket`` (a map for each width
        bucket), ``scale`` (x times reference / viewport_w), ``element`` (points are laid into their element's box on
        the layout at the reference width; needs ``layout`` or ``areas``, and the box_* columns or that frame).
    reference : the width in px that ``widths`` lays points out for.
    by : segment columns; tables get every combination that occurs, and totals.
    every : ``hour``, ``day``, ``week`` or ``month`` in ``tz``: one period each, half-open. ``release``: from each of
        the releases to the next one.
    releases : named moments, {name: "2026-03-01T10:00"}, or a TOML or CSV file of them (``words.releases``): they are
        marked in results by period, and cut them where ``every`` says so.
    areas : named rectangles (path of a TOML or CSV file, or a sequence of ``Area``).
    tables : ``features`` and/or ``pages``: events, clicks, sessions, dwell, visits and percentiles.
    distinct : ``("users",)`` counts distinct users exactly (costs memory by user and row of the result).
    idle_ms : the longest time that one step may add to a dwell.
    session_gap : ms of no event that end a session; without a session column the default is 30 min.
    lateness_ms : how late a row may be, in its time, behind rows before it, in the time-ordered lane.
    dedupe : ``None`` (by event_id where mapped) or ``rows`` (rows equal in every column count once a session).
    max_pages, max_features : names beyond, by their events, are one row ``(other)`` of a table; states keep them all.
    min_sessions : cells and rows of fewer sessions are withheld and counted.
    moves_sessions : also count distinct sessions in the cells of moves.
    transitions : ``pages`` and/or ``features``: how often one follows another in a session, and after which time.
    paths : ``pages`` and/or ``features``: whole paths of sessions, and the step matrix (memory by distinct path).
    funnel : up to 32 steps, each a text (``pageview:/pricing``, ``kind=click&feature=Sign up``) or a mapping of
        ``kind``, ``page``, ``feature`` to one or several values; counted in each session as ClickHouse's windowFunnel.
    funnel_window_ms : the longest time from a chain's first step to its last.
    strict : ``order`` (a row of no step, or of a step too far on, ends the chain) and/or ``increase`` (later times
        only), as windowFunnel's options of these names.
    retention : ``day`` or ``week`` in ``tz``: users that came back so long after they were first seen (costs memory by
        user and period).
    kinds : {canonical kind: words of the source that mean it}, before the built-in synonyms.
    url_rules : turn URLs into page keys (ids, e-mails and queries dropped), in all columns of names.
    url_params : query parameters that stay part of a page. url_hosts : pages of unlike hosts are told apart.
    url_patterns : {pattern: page} or pairs, before the rules for ids: ``/project/*/settings/**`` (``*`` and ``:word``
        stand for one part, ``**`` for any), or ``^regular expression``.
    time_range : (first, last) year accepted, half-open; rows outside are rejected as ``time``. ``None``: any.
    friction : rules by name (``rage``, ``rage:datadog``, ``dead``, ``error``, ``quick_back``, ...), as ``Rule``, or of
        a TOML file by its path. The first of a family is the column of that name in the tables.
    scroll : how far views reach down, and how long each band of a page was in the window, for each map's page, bucket,
        segment and period.
    posthog_cells : clicks also in the cells that PostHog keeps: x as a share of the window, y in sixteens of px.
    layout : gather the median box of each feature (of the box_* columns), by page and width bucket; or, as a path or a
        sequence of ``Area``, the layout that was gathered, with which ``exposure`` goes.
    exposure : which features came into the window and for how long, and what became of it (clicks, hover, intervals),
        by page and feature. Needs a layout known before the pass: ``layout``, else ``areas``.
    goal : steps as of a funnel; the table of exposure says how many sessions reached one of them later (it goes with
        the goal, but for one of ``goal_clicks`` without a layout).
    exclude_users : users to leave out, by name or pattern (``*@example.com``), or files of such lines.
    links : where the source maps ``replay_url``: a sample of sessions for each place that was clicked, with the address
        of their recording. Not with min_sessions, as a link shows one session.
    keep_bots : rows of known bots (by a column of agents) and of automated browsers (webdriver) are counted too.
    band : px of a band, whole: curves are counted at the first px of each.

    Raises
    ------
    UsageError : for any value outside its range, with the nearest names.
    """

    maps: Sequence[str] = ("clicks",)
    cell: float | tuple[float, float] = 8
    extent: tuple[float, float, float, float] | None = None
    frame: str = "auto"
    widths: str = "bucket"
    reference: int = 1440
    by: Sequence[str] = ()
    every: str | None = None
    releases: Any = ()
    tz: str = "UTC"
    areas: str | Sequence[Area] | None = None
    tables: Sequence[str] = TABLES
    distinct: Sequence[str] = ()
    idle_ms: int = 30_000
    session_gap: int | None = None
    lateness_ms: int = 60_000
    dedupe: str | None = None
    min_sessions: int = 0
    moves_sessions: bool = False
    transitions: Sequence[str] = ()
    paths: Sequence[str] = ()
    funnel: Sequence[Any] | str = ()
    funnel_window_ms: int = 86_400_000
    strict: Sequence[str] = ()
    retention: str | None = None
    kinds: dict[str, Sequence[str]] | None = None
    url_rules: bool = True
    url_params: Sequence[str] = ()
    url_hosts: bool = False
    url_patterns: Mapping[str, str] | Sequence[Sequence[str]] = ()
    time_range: tuple[int, int] | None = (2000, 2101)
    friction: Sequence[str | Rule] = ()
    max_pages: int = 100_000
    max_features: int = 100_000
    scroll: bool = False
    band: int = 16
    posthog_cells: bool = False
    layout: bool | str | Sequence[Area] = False
    exposure: bool = False
    goal: Sequence[Any] | str = ()
    exclude_users: Sequence[str] | str = ()
    keep_bots: bool = False
    links: bool = True

    def __post_init__(self) -> None:
        for name, allowed in (
            ("maps", (*LAYERS, *PICKED)), ("tables", TABLES), ("distinct", DISTINCT), ("transitions", JOURNEYS),
            ("paths", JOURNEYS), ("strict", STRICT),
        ):  # fmt: skip
            _subset(self, name, allowed)
        object.__setattr__(self, "by", _names(self.by))
        _one_of("every", self.every, (None, *PERIODS, RELEASE))
        _one_of("retention", self.retention, (None, *RETURNS))
        _one_of("frame", self.frame, FRAMES)
        _one_of("widths", self.widths, WIDTHS)
        _whole("reference", self.reference, least=1)
        _one_of("dedupe", self.dedupe, (None, "rows"))
        object.__setattr__(self, "areas", load_areas(self.areas))
        object.__setattr__(self, "friction", rules_of(self.friction))
        object.__setattr__(self, "funnel", load_funnel(self.funnel))
        object.__setattr__(self, "goal", load_funnel(self.goal))
        if not isinstance(self.layout, bool):
            object.__setattr__(self, "layout", load_areas(self.layout) or False)
        if self.widths == "element" and not self.known_layout:
            raise UsageError(
                "to lay points into the boxes of elements these must be known", code="HG1165", where="widths",
                value="element", expected="a layout, or areas",
                hint="--layout FILE as heatgrid layout -o FILE writes it; or --widths scale",
            )  # fmt: skip
        if GOAL_LAYER in self.maps and not self.goal:
            raise UsageError(
                "a map of clicks before the goal needs a goal", code="HG1109", where="goal", value=GOAL_LAYER,
                expected="a step as of a funnel", hint="--goal pageview:/checkout, goal='pageview:/checkout'",
            )  # fmt: skip
        if (self.goal and (GOAL_LAYER not in self.maps or self.area_list)) or isinstance(self.layout, tuple):
            object.__setattr__(self, "exposure", True)
        object.__setattr__(self, "kinds", {k: _names(v) for k, v in sorted((self.kinds or {}).items())})
        object.__setattr__(self, "cell", _cell(self.cell))
        object.__setattr__(self, "extent", _extent(self.extent))
        for name in ("idle_ms", "lateness_ms", "min_sessions", "funnel_window_ms"):
            _whole(name, getattr(self, name), least=0)
        for name in ("max_pages", "max_features"):
            _whole(name, getattr(self, name), least=1)
        if self.min_sessions > 1:
            # a cell can only be shown if its sessions are known
            object.__setattr__(self, "moves_sessions", True)
        if self.session_gap is not None:
            _whole("session_gap", self.session_gap, least=1)
        _whole("band", self.band, least=1)
        object.__setattr__(self, "url_params", _names(self.url_params))
        object.__setattr__(self, "url_patterns", page_patterns(self.url_patterns))
        object.__setattr__(self, "exclude_users", patterns_of(self.exclude_users))
        try:
            ZoneInfo(self.tz)
        except (KeyError, ValueError, OSError):
            raise UsageError(
                "unknown time zone", code="HG1104", where="tz", value=self.tz, expected="an IANA name",
                hint="for example UTC or Europe/Berlin",
            ) from None  # fmt: skip
        object.__setattr__(self, "releases", load_releases(self.releases, self.tz))
        if self.every == RELEASE and not self.releases:
            raise UsageError(
                "periods by release need releases", code="HG1164", where="releases", value="none",
                expected="names and moments", hint="--releases 2.1=2026-03-01, releases={'2.1': '2026-03-01'}, a file",
            )  # fmt: skip
        years = self.time_range
        whole = isinstance(years, (tuple, list)) and len(years) == 2 and all(isinstance(y, int) for y in years)
        if years is not None and not (whole and 1 <= years[0] < years[1] <= 9999):
            raise UsageError(
                "the range of years is not usable", code="HG1108", where="time_range", value=years,
                expected="(first year, year after the last)", hint="(2000, 2101), or None for any",
            )  # fmt: skip
        x0, x1, y0, y1 = self.bounds
        if not all(math.isfinite(span / edge) for span, edge in zip((x1 - x0, y1 - y0), self.cell_size, strict=True)):
            raise UsageError(
                "the grid has too many cells to count", code="HG1105", where="extent / cell",
                value=f"{self.bounds} by {self.cell_size}", hint="a larger --cell or a smaller --extent",
            )  # fmt: skip
        nx, ny = self.shape
        if nx * ny > MAX_CELLS or min(nx, ny) < 1 or max(nx, ny) > MAX_SIDE:
            raise UsageError(
                "the grid has no cell, or too many", code="HG1105", where="extent / cell", value=f"{ny} x {nx} cells",
                expected=f"1 to {MAX_CELLS:,} cells, {MAX_SIDE:,} on a side",
                hint="a larger --cell or a smaller --extent",
            )  # fmt: skip

    @property
    def cell_size(self) -> tuple[float, float]:
        assert isinstance(self.cell, tuple)
        return self.cell

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        return CANVAS if self.extent is None else self.extent

    @property
    def shape(self) -> tuple[int, int]:
        """Cells (nx, ny) of the full extent."""
        x0, x1, y0, y1 = self.bounds
        cw, ch = self.cell_size
        return math.ceil((x1 - x0) / cw), math.ceil((y1 - y0) / ch)

    @property
    def area_list(self) -> tuple[Area, ...]:
        assert self.areas is None or isinstance(self.areas, tuple)
        return self.areas or ()

    @property
    def page_rules(self) -> PageRules | None:
        """How URLs become pages; None where they stay as they are."""
        assert isinstance(self.url_patterns, tuple)
        return PageRules(tuple(self.url_params), self.url_hosts, self.url_patterns) if self.url_rules else None

    @property
    def known_layout(self) -> tuple[Area, ...]:
        """Where features lie, as far as it is known before the pass."""
        return self.layout if isinstance(self.layout, tuple) else self.area_list

    @property
    def gathers(self) -> bool:
        """Whether the layout is to be gathered."""
        return self.layout is True

    @property
    def release_list(self) -> tuple[Release, ...]:
        assert isinstance(self.releases, tuple)
        return self.releases

    @property
    def rules(self) -> tuple[Rule, ...]:
        return rules_of(self.friction)

    @property
    def funnel_steps(self) -> tuple[Step, ...]:
        assert isinstance(self.funnel, tuple)
        return self.funnel

    @property
    def linked(self) -> bool:
        """Whether clicks are sampled for links."""
        return self.links and "clicks" in self.maps and self.min_sessions < 2

    @property
    def goal_steps(self) -> tuple[Step, ...]:
        assert isinstance(self.goal, tuple)
        return self.goal

    def as_dict(self) -> dict[str, object]:
        """JSON-ready; two plans with the same dict count the same things."""
        data: dict[str, object] = {f.name: getattr(self, f.name) for f in fields(self)}
        data["areas"] = [area.as_dict() for area in self.area_list]
        data["friction"] = [rule.as_dict() for rule in self.rules]
        data["funnel"] = [step.as_dict() for step in self.funnel_steps]
        data["goal"] = [step.as_dict() for step in self.goal_steps]
        data["releases"] = [release.as_dict() for release in self.release_list]
        if isinstance(self.layout, tuple):
            data["layout"] = [area.as_dict() for area in self.layout]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in data.items()}

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> Plan:
        known = {f.name for f in fields(cls)}
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known}
        values["areas"] = tuple(Area(**area) for area in data["areas"])  # type: ignore[attr-defined]
        if isinstance(layout := data.get("layout"), (list, tuple)):
            values["layout"] = tuple(Area(**area) for area in layout)
        values["friction"] = tuple(rule_of(rule) for rule in data["friction"])  # type: ignore[attr-defined]
        return cls(**values)  # type: ignore[arg-type]

    def hash(self) -> str:
        """Identity of the plan for merging; lateness and caps decide how a run goes and ends, never what it counts,
        and neither do releases that cut no period."""
        marks = () if self.every == RELEASE else ("releases",)
        beside = ("lateness_ms", "max_pages", "max_features", *marks)
        data = {k: v for k, v in self.as_dict().items() if k not in beside}
        text = json.dumps([METRICS_VERSION, data], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def _names(value: Sequence[str] | str) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(dict.fromkeys(value))


def _subset(plan: Plan, name: str, allowed: tuple[str, ...]) -> None:
    chosen = _names(getattr(plan, name))
    for item in chosen:
        _one_of(name, item, allowed)
    object.__setattr__(plan, name, chosen)


def _one_of(name: str, value: str | None, allowed: Sequence[str | None]) -> None:
    if value not in allowed:
        names = [a for a in allowed if a is not None]
        raise UsageError(
            f"unknown value for {name}", code="HG1101", where=name, value=value,
            expected="one of " + ", ".join(names), hint=nearest(str(value), names),
        )  # fmt: skip


def _whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**40:
        raise UsageError(
            f"{name} is out of range",
            code="HG1102",
            where=name,
            value=value,
            expected=f"a whole number >= {least}",
        )


def _cell(value: object) -> tuple[float, float]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    ok = len(pair) == 2 and all(isinstance(v, (int, float)) and 0 < v < 2.0**60 for v in pair)
    if not ok:
        raise UsageError(
            "the cell size is not usable", code="HG1103", where="cell", value=value,
            expected="a number of px > 0, or (width, height)", hint="8 is a good start",
        )  # fmt: skip
    return float(pair[0]), float(pair[1])


def _extent(value: object) -> tuple[float, float, float, float] | None:
    if value is None:
        return None
    numbers = isinstance(value, (tuple, list)) and all(isinstance(v, (int, float)) for v in value)
    box = tuple(float(v) for v in value) if numbers else ()  # type: ignore[attr-defined]
    if len(box) != 4 or not all(map(math.isfinite, box)) or not (box[0] < box[1] and box[2] < box[3]):
        raise UsageError(
            "the extent is not usable", code="HG1106", where="extent", value=value,
            expected="x0,x1,y0,y1 with x0 < x1 and y0 < y1, all finite", hint="for example 0,1440,0,4000",
        )  # fmt: skip
    return box[0], box[1], box[2], box[3]
