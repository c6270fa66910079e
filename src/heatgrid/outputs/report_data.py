"""What the page draws from: every map as its cells, curves and boxes; names and numbers as JSON, cells as one blob.

The blob is varints, deflated, in base64; the browser inflates it (DecompressionStream) and reads a map when it is asked
for. Of a map: the steps from one cell's number (iy * width + ix) to the next, then their events, then their sessions.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from heatgrid.outputs.colors import table
from heatgrid.outputs.text import visible
from heatgrid.outputs.varints import varints
from heatgrid.states.links import SIDE
from heatgrid.words.plan import BUCKETS, DWELL_LAYER

if TYPE_CHECKING:
    import pyarrow as pa

    from heatgrid.outputs.report import Result, Shots

MOST_BYTES, MOST_SHOTS = 14 << 20, 5 << 20
"""Varints before they are deflated (to a half, and base64 adds a third), and pictures: a page stays below 15 MB."""
SHOT_WIDTH, SHOT_HEIGHT = 1440, 8000
KEPT_BOXES = 40_000
MOST_LINKS = 1 << 20
"""Letters of addresses of recordings, those of the busiest maps first."""


class Names:
    """Each name once; the numbers stand for them."""

    def __init__(self) -> None:
        self.all: dict[str, int] = {}

    def __call__(self, name: str) -> int:
        return self.all.setdefault(name, len(self.all))

    @property
    def shown(self) -> list[str]:
        return [visible(name) for name in self.all]


def view_data(heat: Result, cmap: str, scale: str, shots: Shots | None) -> tuple[tuple[str, str], int]:
    """(JSON, blob) of a result, what the viewer of the page needs; and the maps that it has no room for."""
    layers, pages, parts, features = Names(), Names(), Names(), Names()
    nx = heat.plan.shape[0]
    blob, maps, left, size = [], [], 0, 0
    whole = sorted(heat.sparse_maps(split=False), key=lambda m: (-m.events, m.layer, m.page, m.bucket))
    split = sorted(
        heat.sparse_maps(split=True), key=lambda m: (-m.events, m.layer, m.page, m.bucket, sorted(m.split.items()))
    )
    for m in (*whole, *split):
        packed = varints(np.diff(m.iy * nx + m.ix, prepend=0)) + varints(m.counts)
        packed += b"" if m.by_session is None else varints(m.by_session)
        if size + len(packed) > MOST_BYTES:
            left += 1
            continue
        maps.append([
            layers(m.layer), pages(m.page), BUCKETS.index(m.bucket), int(m.fixed),
            [[name, parts(value)] for name, value in m.split.items()], m.events,
            -1 if m.sessions is None else m.sessions, m.viewport_w, size, len(m.ix), int(m.by_session is not None),
        ])  # fmt: skip
        blob.append(packed)
        size += len(packed)
    curves = []
    for page, bucket, row, reach, attention in _curves(heat):
        packed = varints(reach) + varints(attention)
        curves.append([pages(page), BUCKETS.index(bucket), *row, size, len(reach), len(attention)])
        blob.append(packed)
        size += len(packed)
    urls, links = Names(), []
    for which, packed, areas, total in _links(heat, pages, urls, maps):
        links.append([*which, size, areas, total])
        blob.append(packed)
        size += len(packed)
    data = {
        "layers": list(layers.all), "side": SIDE, "dwell": DWELL_LAYER, "pages": pages.shown,
        "parts": parts.shown, "buckets": list(BUCKETS),
        "maps": maps, "left": left, "curves": curves, "band": heat.plan.band, "scale": scale,
        "grid": [nx, *heat.plan.cell_size, heat.plan.bounds[0], heat.plan.bounds[2]],
        "links": links, "urls": list(urls.all), "widths": heat.plan.widths, "reference": heat.plan.reference,
        "releases": [[row["period"], visible(row["release"])] for row in heat.releases.to_pylist()],
        "frame": heat.summary.get("frame"), "min_sessions": heat.plan.min_sessions,
        "ledger": {name: [p.outside, p.invalid, p.withheld] for name, p in heat.ledger.measures.items()},
        "colors": bytes(table(cmap).reshape(-1)).hex(),
        "boxes": _boxes(heat, pages, features), "features": [],
        "clicks": [[pages(page), features(name), clicks] for page, name, clicks in _clicked(heat)],
        "shots": _shots(shots, maps, list(layers.all), list(pages.all)) if shots is not None else [],
    }  # fmt: skip
    data["pages"], data["features"] = pages.shown, features.shown
    packed = zlib.compress(b"".join(blob), 6)
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return (text.replace("<", "\\u003c"), base64.b64encode(packed).decode("ascii")), left


def places(heat: Result) -> dict[str, str]:
    """The page on which each feature is clicked most."""
    most: dict[str, tuple[int, str]] = {}
    for page, feature, clicks in _clicked(heat):
        most[feature] = max(most.get(feature, (-1, "")), (clicks, page))
    return {feature: page for feature, (_, page) in most.items()}


def _curves(heat: Result) -> Iterable[tuple[str, str, list[Any], Any, Any]]:
    """Of each page and width: views, height, fold, and the two curves by band."""
    if not heat.plan.scroll or "scroll" in heat.summary.get("refused", {}):
        return
    tables = {}
    for show, column in (("reach", "views"), ("attention", "attention_ms")):
        rows = heat.scroll_of(show, by=False, every=False)
        found: dict[tuple[str, str], list[int]] = {}
        for page, bucket, value in zip(*(rows[c].to_pylist() for c in ("page", "bucket", column)), strict=True):
            found.setdefault((page, bucket), []).append(value or 0)
        tables[show] = found
    for row in heat.scroll.to_pylist():
        key = (row["page"], row["bucket"])
        told = [row[name] for name in ("views", "page_h", "fold_p50")]
        yield (
            *key,
            told,
            np.array(tables["reach"].get(key, []), np.int64),
            np.array(tables["attention"].get(key, []), np.int64),
        )


def _links(
    heat: Result, pages: Names, urls: Names, maps: list[list[Any]]
) -> Iterable[tuple[tuple[int, int, int], bytes, int, int]]:
    """Of each map's page, width and fixed or not: numbers of its areas, how many links each has, and which."""
    table = heat.links
    x0, _, y0, _ = heat.plan.bounds
    wide, high = (SIDE * size for size in heat.plan.cell_size)
    across = -(-heat.plan.shape[0] // SIDE)
    found: dict[tuple[int, int, int], dict[int, list[str]]] = {}
    for page, bucket, fixed, x, y, url in zip(
        *(table[name].to_pylist() for name in ("page", "bucket", "fixed", "x0", "y0", "replay_url")), strict=True
    ):
        area = round((y - y0) / high) * across + round((x - x0) / wide)
        key = (pages(page), BUCKETS.index(bucket), int(fixed))
        found.setdefault(key, {}).setdefault(area, []).append(url)
    letters = 0
    for key in dict.fromkeys((page, bucket, fixed) for _, page, bucket, fixed, *_ in maps):
        areas = found.get(key, {})
        letters += sum(len(url) for some in areas.values() for url in some if url not in urls.all)
        if not areas or letters > MOST_LINKS:
            continue
        order = sorted(areas)
        which = [urls(url) for area in order for url in dict.fromkeys(areas[area])]
        counts = [len({*areas[area]}) for area in order]
        packed = varints(np.diff(np.array(order), prepend=0)) + varints(np.array(counts)) + varints(np.array(which))
        yield key, packed, len(order), len(which)


def _boxes(heat: Result, pages: Names, features: Names) -> list[list[Any]]:
    """[page or -1, feature, x0, x1, y0, y1, least and most width]: as declared, else as gathered."""
    rows: list[tuple[Any, ...]] = [
        (a.page, a.name, a.x0, a.x1, a.y0, a.y1, a.min_width, a.max_width) for a in heat.plan.known_layout
    ]
    if not rows and heat.plan.gathers and "layout" not in heat.summary.get("refused", {}):
        named: pa.Table = heat.layout
        keys = ("page", "name", "x0", "x1", "y0", "y1", "min_width", "max_width")
        rows = list(zip(*(named[key].to_pylist() for key in keys), strict=True))
    return [[-1 if p is None else pages(p), features(name), *rest] for p, name, *rest in rows[:KEPT_BOXES]]


def _clicked(heat: Result) -> list[tuple[str, str, int]]:
    """(page, feature, clicks) at all widths: of the feature table, else those that a friction rule of clicks saw."""
    refused = heat.summary.get("refused", {})
    if heat.plan.exposure and "exposure" not in refused:
        return [(row["page"], row["feature"], row["clicks"]) for row in heat.exposure.to_pylist()]
    of_clicks = [r.name for r in heat.plan.rules if r.family in ("rage", "error") and r.name not in refused]
    rows = heat.friction.to_pylist() if of_clicks else []
    return [(row["page"], row["feature"], row["considered"]) for row in rows if row["rule"] == of_clicks[0]]


def _shots(shots: Shots, maps: list[list[Any]], layers: list[str], pages: list[str]) -> list[list[Any]]:
    """[page, bucket, width in page px, height in page px, picture, what is to be said of it]."""
    out, size, seen = [], 0, set()
    for layer, page, bucket, fixed, *_ in maps:
        if fixed or (page, bucket) in seen:
            continue
        seen.add((page, bucket))
        row = {"layer": layers[layer], "page": pages[page], "bucket": BUCKETS[bucket], "fixed": False}
        shot = shots.of(row)
        if shot is None:
            continue
        image = shot.image.convert("RGB")
        height = shot.css_width * image.height / image.width
        scale = min(1.0, SHOT_WIDTH / image.width, SHOT_HEIGHT / image.height)
        if scale < 1.0:
            image = image.resize((round(image.width * scale), round(image.height * scale)))
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=80)
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        if size + len(data) <= MOST_SHOTS:
            size += len(data)
            out.append([page, bucket, shot.css_width, height, "data:image/webp;base64," + data, shot.notes])
    return out
