"""Ten Parquet files with unlike column names, made from the real samples, and what must come of each.

The expectations are computed here, from the samples, with polars and plain Python: nothing of heatgrid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from oracle.sessions import page_of


@dataclass
class Made:
    """A frame, what a report of it must say, or the words of the error that it must end with."""

    frame: pl.DataFrame
    kinds: dict[str, int] = field(default_factory=dict)
    sessions: int | None = None
    pages: dict[str, int] | None = None
    clicks: list[tuple[float, float]] | None = None
    """The points of the clicks, in px of the page."""
    frame_told: str = "page (assumed)"
    error: tuple[str, ...] = ()


def _mouse(data: Path) -> pl.DataFrame:
    return pl.read_parquet(data / "deviz_mouse_track" / "mouse_track.parquet")


def _points(frame: pl.DataFrame, x: str, y: str) -> list[tuple[float, float]]:
    return list(frame.select(x, y).iter_rows())


def mouse_as_it_is(data: Path) -> Made:
    """type, pressed, date: a press and a release are both named Click."""
    frame = _mouse(data)
    presses = frame.filter((pl.col("type") == "Click") & (pl.col("pressed") == "True"))
    releases = frame.filter((pl.col("type") == "Click") & (pl.col("pressed") == "False")).height
    kinds = {"move": 11_299, "scroll": 2_793, "click": presses.height, "mouseup": releases}
    return Made(frame, kinds, clicks=_points(presses, "x", "y"))


def mouse_as_a_browser_says(data: Path) -> Made:
    """DOM words and names, times in ms; presses and releases, but no click."""
    frame = _mouse(data).with_columns(
        eventKind=pl.when(pl.col("type") == "Move").then(pl.lit("mousemove"))
        .when(pl.col("type") == "Scroll").then(pl.lit("wheel"))
        .when(pl.col("pressed") == "True").then(pl.lit("mousedown")).otherwise(pl.lit("mouseup")),
        occurredAt=pl.col("date").dt.epoch("ms"),
    )  # fmt: skip
    downs = frame.filter(pl.col("eventKind") == "mousedown")
    kinds = {"move": 11_299, "scroll": 2_793, "click": downs.height, "mouseup": 80}
    shown = frame.select("occurredAt", "eventKind", pageX="x", pageY="y", mouseButton="button")
    return Made(shown, kinds, clicks=_points(downs, "x", "y"), frame_told="page")


def mouse_with_own_words(data: Path) -> Made:
    """Names that nobody publishes: the values tell; times are seconds with a fraction in a text."""
    frame = _mouse(data).filter(pl.col("pressed").is_null() | (pl.col("pressed") == "True"))
    seconds = pl.col("date").dt.epoch("us") / 1_000_000
    shown = frame.select(
        stempel=seconds.cast(pl.String), was=pl.col("type").str.to_uppercase(), cursor_x="x", cursor_y="y"
    )
    clicks = frame.filter(pl.col("type") == "Click")
    return Made(shown, {"move": 11_299, "scroll": 2_793, "click": 79}, clicks=_points(clicks, "x", "y"))


def map_as_it_is(data: Path) -> Made:
    """trial, action = down, at, px, py: 5,029 presses and no word for a click."""
    frame = pl.read_parquet(data / "iweb_map_clicks" / "mouse_actions.parquet")
    return Made(frame, {"click": frame.height}, clicks=_points(frame, "px", "py"))


def map_as_visits(data: Path) -> Made:
    """Points and visits without kinds; times as texts with an offset."""
    frame = pl.read_parquet(data / "iweb_map_clicks" / "mouse_actions.parquet")
    shown = frame.select(
        visitId="trial", visitor="subject", clickedAt=pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%S%.3f+00:00"),
        mouseX="px", mouseY="py", condition="typ",
    )  # fmt: skip
    return Made(shown, {"click": frame.height}, 479, clicks=_points(frame, "px", "py"))


def shop_as_an_export(data: Path) -> Made:
    """distinct_id, $session_id, event, timestamp as text, no point and no page."""
    frame = pl.read_csv(data / "retentioneering_ecom" / "ecom.csv.gz")
    shown = frame.select("timestamp", "event", "platform", **{"distinct_id": "user_id", "$session_id": "session_id"})
    kinds = {row["event"]: row["len"] for row in frame.group_by("event").len().to_dicts()}
    return Made(shown, kinds, frame["session_id"].n_unique())


def server_log(data: Path) -> Made:
    """request_path with queries, visitor_id, time with an offset: visits are cut at 30 minutes."""
    line = re.compile(r'^(\S+) \S+ \S+ \[([^]]+)\] "(?:GET|POST|HEAD|OPTIONS) (\S+)')
    rows = []
    for text in (data / "elastic_apache_logs" / "apache_logs").read_text(encoding="utf-8").splitlines():
        found = line.match(text)
        if found:
            rows.append((found[1], datetime.strptime(found[2], "%d/%b/%Y:%H:%M:%S %z"), found[3]))
    pages: dict[str, int] = {}
    seen: dict[str, list[float]] = {}
    for visitor, at, path in rows:
        page = page_of(path, True) or ""
        pages[page] = pages.get(page, 0) + 1
        seen.setdefault(visitor, []).append(at.timestamp())
    gaps = sum(b - a >= 1800 for times in seen.values() for a, b in zip(sorted(times), sorted(times)[1:], strict=False))
    shown = pl.DataFrame(
        {"visitor_id": [r[0] for r in rows], "event_ts": [r[1].isoformat() for r in rows],
         "request_path": [r[2] for r in rows], "agent_family": ["x"] * len(rows)}
    )  # fmt: skip
    return Made(shown, {"custom": len(rows)}, len(seen) + gaps, pages)


def tracker_nested(data: Path) -> Made:
    """A tracker's columns as structs of structs: page.url, session.id, user.id and meta.timestamp."""
    source = data / "snowplow_ecommerce_apache2" / "source" / "snowplow_ecommerce_events.csv"
    flat = pl.read_csv(source, infer_schema_length=0).filter(pl.col("domain_sessionid").is_not_null())
    shown = flat.select(
        meta=pl.struct(timestamp=pl.col("derived_tstamp"), vendor=pl.col("event_vendor")),
        event=pl.struct(name=pl.col("event_name"), vendor=pl.lit("x")),
        context=pl.struct(
            page=pl.struct(url=pl.col("page_url"), title=pl.col("page_title")),
            session=pl.struct(id=pl.col("domain_sessionid")),
        ),
        user=pl.struct(id=pl.col("domain_userid"), country=pl.col("geo_country")),
    )
    pages: dict[str, int] = {}
    for url in flat["page_url"].to_list():
        page = page_of(url, True) or "(none)"
        pages[page] = pages.get(page, 0) + 1
    kinds = {row["event_name"]: row["len"] for row in flat.group_by("event_name").len().to_dicts()}
    return Made(shown, kinds, flat["domain_sessionid"].n_unique(), pages)


def recording(data: Path) -> Made:
    """A recording's clicks, presses and scrolls as rows: x and y of the window, beside where it stands."""
    text = (data / "rrweb_demo_session" / "events.js").read_text(encoding="utf-8")
    events = json.loads(text[text.index("[") : text.rindex("]") + 1])
    words = {0: "MouseUp", 1: "MouseDown", 2: "Click", 5: "Focus", 6: "Blur"}
    root = {1}
    top, rows, clicks = 0.0, [], []
    for one in events:
        more = one["data"] if isinstance(one["data"], dict) else {}
        if one["type"] == 2:
            root = {more["node"]["id"]}
            top = more["initialOffset"]["top"]
        if one["type"] == 3 and more.get("source") == 3 and more["id"] in root:
            top = more["y"]
            rows.append((one["timestamp"], "Scroll", None, None, top))
        if one["type"] == 3 and more.get("source") == 2 and more["type"] in words:
            point = (more.get("x"), more.get("y"))
            rows.append((one["timestamp"], words[more["type"]], *point, top))
            if words[more["type"]] == "Click":
                clicks.append((point[0], point[1] + top))
    names = ["epochMs", "interactionType", "clientX", "clientY", "scrollTop"]
    shown = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)
    shown = shown.with_columns(innerHeight=pl.lit(705), innerWidth=pl.lit(1166), sessionKey=pl.lit("8dda0c07"))
    kinds: dict[str, int] = {}
    for _, word, *_ in rows:
        name = {"MouseUp": "MouseUp", "MouseDown": "MouseDown"}.get(word, word.lower())
        kinds[name] = kinds.get(name, 0) + 1
    return Made(shown, kinds, 1, clicks=clicks, frame_told="viewport + scroll_y")


def tracker_flat(data: Path) -> Made:
    """Nearly all of a tracker's columns: two could be the kind, and neither says more than the other."""
    source = data / "snowplow_ecommerce_apache2" / "source" / "snowplow_ecommerce_events.csv"
    # with its times of the device it is known as the tracker's own
    shown = pl.read_csv(source, infer_schema_length=0).drop("dvce_created_tstamp")
    return Made(shown, error=("HG2214", "'event'", "'event_name'", "--map kind="))


FILES: dict[str, Callable[[Path], Made]] = {
    made.__name__: made
    for made in (
        mouse_as_it_is, mouse_as_a_browser_says, mouse_with_own_words, map_as_it_is, map_as_visits, shop_as_an_export,
        server_log, tracker_nested, recording, tracker_flat,
    )
}  # fmt: skip
