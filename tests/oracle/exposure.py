"""Exposure in plain Python, over the events that ``sessions.resolve`` gives: the sentences of the metrics.

``table`` is {(page, *segments[, period], feature): row}; ``layout`` a list of areas as dicts; ``goals`` a list of
{"kind": ..., "page": ..., "feature": ...}, of which a row may match any.
"""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction
from statistics import median

from oracle.sessions import finite, percentile

LEAST = 150
Z = 1.959963984540054
ACTS = ("click", "move")


def table(result, layout, by=(), every=False, goals=(), users=False) -> dict:
    sessions = defaultdict(list)
    for event in result["events"]:
        sessions[event["session"]].append(event)
    pages, cells = defaultdict(list), defaultdict(list)
    for number, events in sessions.items():
        reached = _goals(events, goals)
        known = [event["user"] for event in events if event["user"] is not None] if users else []
        unit = ("user", known[0]) if known else ("session", number)
        views = _views(events, layout)
        for key, of_key in _grouped(views, lambda view: _key(view["events"][0], by, every)).items():
            pages[key].append((unit, of_key))
            for feature in {name for view in of_key for name in view["features"]}:
                told = [view["features"][feature] for view in of_key if feature in view["features"]]
                cells[(*key, feature)].append((unit, told, reached))
    rows = {}
    for cell, units in cells.items():
        row = _row(units, pages[cell[:-1]])
        if any(row[name] for name in ("exposed_views", "exposure_ms", "hover_ms", "views_hovered")):
            rows[cell] = row
    _underused(rows)
    return rows


def _key(event, by, every) -> tuple:
    return (event["page_key"], *(event["by"][name] for name in by), *((event["period"],) if every else ()))


def _grouped(items, key_of) -> dict:
    out = defaultdict(list)
    for item in items:
        out[key_of(item)].append(item)
    return out


# ---- what stands in the window --------------------------------------------------------------------------------------


def _lines(page, width, layout) -> dict:
    """{feature: the height of its line} on a page at a width; of several areas the one that says the most."""
    found = {}
    for number, area in enumerate(layout):
        low, high = area.get("min_width"), area.get("max_width")
        if area.get("page") not in (None, page):
            continue
        if width is None and (low is not None or high is not None):
            continue
        low, high = (-math.inf if low is None else low), (math.inf if high is None else high)
        if width is not None and not low <= width < high:
            continue
        rank = (area.get("page") is None, high - low, number)
        if area["name"] not in found or rank < found[area["name"]][0]:
            found[area["name"]] = (rank, (area["y0"] + area["y1"]) / 2)
    return {name: line for name, (_, line) in found.items()}


def _views(events, layout) -> list:
    """The views of one session, each with its events and what became of each feature in it."""
    views, tabs = {}, {}
    for number, event in enumerate(events):
        event["number"] = number
        view = views.setdefault(id(event["view"]), {"events": [], "features": {}})
        view["events"].append(event)
        event["of"] = view
        tab = tabs.setdefault(event["row"].get("tab"), {"height": None, "width": None, "events": []})
        if finite(event["row"].get("viewport_h")) and 0 < event["row"]["viewport_h"] < 100_000:
            tab["height"] = event["row"]["viewport_h"]
        tab["width"] = event["width"] if event["width"] is not None else tab["width"]
        top, height = event["scroll"], tab["height"]
        lines = _lines(view["events"][0]["page_key"], tab["width"], layout) if height is not None else {}
        event["in_window"] = {name for name, line in lines.items() if top <= line < top + height}
        tab["events"].append(event)
    for tab in tabs.values():
        _stretches(tab["events"])
        _hovers(tab["events"])
    for view in views.values():
        _clicks(view)
    return list(views.values())


def _of(view, feature) -> dict:
    return view["features"].setdefault(feature, {
        "ms": 0, "seen_at": [], "clicks": 0, "first": None, "hesitation": None, "hover": 0, "hovered": False,
        "arrivals": [], "clicked_at": None,
    })  # fmt: skip


def _stretches(events) -> None:
    """How long each line stood in the window of a tab without a break: a view, and a page that nobody sees, end it."""
    begun = {}  # feature -> [the event that it came in with, ms]
    for event in events:
        cut = event["kind"] == "hidden"
        for feature, (first, ms) in list(begun.items()):
            if cut or event["of"] is not first["of"] or feature not in event["in_window"]:
                _stretch(first, feature, ms)
                del begun[feature]
        for feature in event["in_window"]:
            begun.setdefault(feature, [event, 0])
            begun[feature][1] += event["dwell"]
        if event["kind"] == "exposure" and event["feature"] is not None:
            since = begun[event["feature"]][0] if event["feature"] in begun else event
            _of(event["of"], event["feature"])["seen_at"].append(since["number"])
    for feature, (first, ms) in begun.items():
        _stretch(first, feature, ms)


def _stretch(first, feature, ms) -> None:
    told = _of(first["of"], feature)
    told["ms"] += ms
    if ms >= LEAST:
        told["seen_at"].append(first["number"])


def _hovers(events) -> None:
    """Where the pointer of a tab was; fingers hover over nothing."""
    over, view = None, None
    for event in events:
        if event["of"] is not view:
            over, view = None, event["of"]
        if event["kind"] in ACTS and not event["touch"] and event["feature"] != over:
            over = event["feature"]
            if over is not None:
                told = _of(view, over)
                told["hovered"] = True
                told["arrivals"].append(event)
        if over is not None:
            _of(view, over)["hover"] += event["dwell"]


def _clicks(view) -> None:
    start = view["events"][0]["ms"]
    for event in view["events"]:
        feature = event["feature"]
        if event["kind"] != "click" or feature is None:
            continue
        told = _of(view, feature)
        told["clicks"] += event["weight"]
        if told["clicked_at"] is None:
            told["clicked_at"] = event["number"]
            told["first"] = event["ms"] - start
            before = [arrival for arrival in told["arrivals"] if arrival["number"] < event["number"]]
            if before:
                told["hesitation"] = event["ms"] - max(before, key=lambda arrival: arrival["number"])["ms"]


def _goals(events, goals) -> list:
    """The numbers of the rows that are a goal."""
    values = {"kind": "kind", "page": "page_key", "feature": "feature"}
    return [
        number for number, event in enumerate(events)
        if any(all(event[values[name]] in wanted for name, wanted in goal.items()) for goal in goals)
    ]  # fmt: skip


# ---- counting -------------------------------------------------------------------------------------------------------


def _row(units, pages) -> dict:
    """units : one for each session with the feature: (its unit of chance, what its views say, its goals)."""
    c, v = defaultdict(int), defaultdict(int)
    sessions = clicked = reached = unclicked_reached = 0
    told = [one for _, views, _ in units for one in views]
    for unit, views, goals in units:
        hits = sum(one["clicked_at"] is not None for one in views)
        seen = sum(bool(one["seen_at"]) or one["clicked_at"] is not None for one in views)
        if not seen:
            continue
        sessions += 1
        c[unit] += hits
        v[unit] += seen
        if hits:
            clicked += 1
            since = min(one["clicked_at"] for one in views if one["clicked_at"] is not None)
            reached += any(goal > since for goal in goals)
        else:
            since = min(number for one in views for number in one["seen_at"])
            unclicked_reached += any(goal > since for goal in goals)
    page_views = defaultdict(int)
    for unit, views in pages:
        page_views[unit] += len(views)
    clicks = sum(one["clicks"] for one in told)
    page_clicks = sum(
        e["weight"] for _, views in pages for view in views for e in view["events"] if e["kind"] == "click"
    )
    views_clicked, hovered = sum(c.values()), sum(one["hovered"] for one in told)
    row = {
        "page_views": sum(page_views.values()), "page_sessions": len(pages), "exposed_views": sum(v.values()),
        "exposed_sessions": sessions, "exposed_units": len(v),
        "exposure_ms": sum(one["ms"] for one in told), "clicks": clicks, "views_clicked": views_clicked,
        "clicks_unexposed": sum(one["clicks"] for one in told if not one["seen_at"]), "sessions_clicked": clicked,
        "first_click_ms": percentile([one["first"] for one in told if one["first"] is not None], 50),
        "hesitation_ms": percentile([one["hesitation"] for one in told if one["hesitation"] is not None], 50),
        "hover_ms": sum(one["hover"] for one in told), "views_hovered": hovered, "goal_sessions": reached,
        "unclicked_sessions": sessions - clicked, "unclicked_goal_sessions": unclicked_reached,
    }  # fmt: skip
    many, unclicked = len(page_views) >= 30, sessions - clicked
    row["recurrence"] = clicks / views_clicked if clicked >= 30 else None
    row["share"] = clicks / page_clicks if many and page_clicks else None
    row["engagement"] = views_clicked / hovered if many and hovered else None
    rest = [(c[unit], n) for unit, n in page_views.items()]
    _interval(row, "ctr", _clusters([(c[unit], v[unit]) for unit in v]) if len(v) >= 30 else None)
    _interval(row, "click_rate_view", _clusters(rest) if many else None)
    _interval(row, "click_rate_session", (clicked / len(pages), len(pages)) if many else None)
    _interval(row, "goal_rate", (reached / clicked, clicked) if clicked >= 30 else None)
    _interval(row, "unclicked_goal_rate", (unclicked_reached / unclicked, unclicked) if unclicked >= 30 else None)
    row["small"] = "few" if len(v) < 30 else "low" if len(v) < 100 else None
    row["underused"] = None
    return row


def _clusters(pairs) -> tuple[float, float]:
    """The rate of views, and how many independent ones they are worth, of (hits, views) by unit."""
    n, c, v = len(pairs), sum(a for a, _ in pairs), sum(b for _, b in pairs)
    r = Fraction(c, v)
    squares = sum(a * a for a, _ in pairs) - 2 * r * sum(a * b for a, b in pairs) + r * r * sum(b * b for _, b in pairs)
    var = Fraction(n, n - 1) * squares / (v * v)
    return float(r), float(n if var == 0 else min(Fraction(v), r * (1 - r) / var))


def _interval(row, name, found) -> None:
    row[name] = row[f"{name}_low"] = row[f"{name}_high"] = None
    if found is not None:
        p, n = found
        half = Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
        row[name] = p
        row[f"{name}_low"] = max(0.0, (p + Z**2 / (2 * n) - half) / (1 + Z**2 / n))
        row[f"{name}_high"] = min(1.0, (p + Z**2 / (2 * n) + half) / (1 + Z**2 / n))


def _underused(rows) -> None:
    for cells in _grouped(rows, lambda cell: cell[:-1]).values():
        many = [
            rows[cell] for cell in cells
            if rows[cell]["exposed_units"] >= 200 and rows[cell]["exposed_views"] >= rows[cell]["page_views"] / 5
        ]  # fmt: skip
        if len(many) >= 5:
            usual = median(row["ctr"] for row in many)
            for row in many:
                row["underused"] = row["ctr_high"] < usual / 4
