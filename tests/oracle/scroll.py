"""Scroll and attention in plain Python, over the events that ``sessions.resolve`` gives: the sentences of the metrics.

``pages``, ``reach``, ``attention``, ``snowplow`` and ``posthog`` are {(page, *segments[, period], bucket): ...}.
"""

from __future__ import annotations

import math
from collections import defaultdict

from oracle.sessions import bucket_of, finite, percentile, view_width

END = 262_144.0


def counted(result, band, by=(), every=False) -> dict:
    """All five tables."""
    _windows(result)
    result["band"] = band
    tables = {"pages": {}, "reach": {}, "attention": {}, "snowplow": {}, "posthog": {}}
    ended, clicked, seen = _by_key(result, by, every)
    for key in {*ended, *clicked, *seen}:
        views = ended[key]
        known = [view for view in views if view["reach"] is not None]
        tables["pages"][key] = _page(views, known, clicked[key], sum(ms for _, _, ms in seen[key]))
        if known:
            tables["reach"][key] = _reach(known, band)
            tables["snowplow"][key] = _histogram(v["percent"] for v in known if v["percent"] is not None)
            tables["posthog"][key] = _histogram(v["posthog"] for v in known)
        tables["attention"][key] = _attention(seen[key], band)
    return tables


def ledger(result) -> dict:
    _windows(result)
    views = [_view(events) for events in _views(result)]
    invalid = sum(view["reach"] is None for view in views)
    return {"rows": len(views), "used": len(views) - invalid, "outside": 0, "invalid": invalid}


def _windows(result) -> None:
    """Where the window of each tab stood at each event; a size carries on, that of a page until another view."""
    for events in result["tabs"]:
        height, width, page, view = None, None, None, None
        for event in events:
            row = event["row"]
            if event["view"] is not view:
                view, page = event["view"], None
            if finite(row.get("viewport_h")) and 0 < row["viewport_h"] < 100_000:
                height = float(row["viewport_h"])
            if finite(row.get("page_h")) and row["page_h"] > 0:
                page = min(float(row["page_h"]), END)
            event["relaid"] = event["width"] is not None and event["width"] != width
            width = event["width"] if event["width"] is not None else width
            event["window"] = (event["scroll"], height, page)


def _views(result) -> list:
    views = {}
    for event in result["events"]:
        views.setdefault(id(event["view"]), []).append(event)
    return list(views.values())


def _by_key(result, by, every):
    """By key: ended views; clicks as (weight, below the fold); stays as (top, bottom, ms)."""
    ended, clicked, seen = defaultdict(list), defaultdict(list), defaultdict(list)

    def key_of(event):
        period = (event["period"],) if every else ()
        return (event["page_key"], *(event["by"][name] for name in by), *period, bucket_of(view_width(event)))

    for events in _views(result):
        view = _view(events)
        ended[key_of(events[0])].append(view)
        for event in events:
            y = event["point_y"]
            told = view["fold"] is not None and event["number"] >= view["told"]
            if event["kind"] == "click" and not event["fixed"] and y is not None and told:
                clicked[key_of(event)].append((event["weight"], y >= view["fold"]))
            top, height, _ = event["window"]
            if height is not None and event["dwell"] > 0:
                first, last = max(top, 0.0), min(top + height, END)
                if math.ceil(first / result["band"]) < math.ceil(max(last, 0.0) / result["band"]):
                    seen[key_of(event)].append((first, last, event["dwell"]))
    return ended, clicked, seen


def _view(events) -> dict:
    """What one view tells when it has ended."""
    view = {"session": events[0]["session"], "reach": None, "fold": None, "told": None, "grown": False, "height": None,
            "percent": None, "posthog": None}  # fmt: skip
    deepest, tallest, last, first_height = 0.0, 0.0, None, None
    for number, event in enumerate(events):
        event["number"] = number
        top, height, page = event["window"]
        deepest = max(deepest, top)
        if page is not None:
            view["height"] = max(view["height"] or 0.0, page)
            if first_height is None or event["relaid"]:
                first_height = page
            elif page * 5 > first_height * 6:
                view["grown"] = True
        if height is None:
            continue
        bottom = max(0.0, min(top + height, END if page is None else page, END))
        if view["fold"] is None:
            view["fold"], view["told"] = bottom, number
        view["reach"] = max(view["reach"] or 0.0, bottom)
        tallest, last = max(tallest, height), height
    if view["reach"] is None:
        return view
    if view["height"] is not None:
        doc = view["height"]
        view["percent"] = _half_up(100 * min(min(deepest, doc) + tallest, doc) / doc)
    # Python's round is half to even, as ClickHouse's
    view["posthog"] = (round(min(deepest, END) / 16) + round(last / 16)) * 16 // 100 * 100
    return view


def _half_up(value) -> int:
    whole = math.floor(value)
    return whole + (value - whole >= 0.5)


def _page(views, known, clicks, seen_ms) -> dict:
    sessions = len({view["session"] for view in known})
    growing = sum(view["grown"] for view in views)
    below = sum(weight for weight, deep in clicks if deep)
    total = sum(weight for weight, _ in clicks)
    folds = [int(view["fold"]) for view in known]
    reaches = [int(view["reach"]) for view in known]
    heights = [int(view["height"]) for view in known if view["height"] is not None]
    page_h = percentile(heights, 50) if heights else percentile(reaches, 99)
    page_h = None if not page_h or growing else min(page_h, 20_000)
    reach = percentile(reaches, 50)
    out = {"views": len(views), "sessions": sessions, "page_h": page_h, "reach_p50": reach,
           "reach_p90": percentile(reaches, 90),
           "reach_share": min(reach, page_h) / page_h if page_h and sessions >= 30 else None}  # fmt: skip
    out |= {f"fold_p{percent}": percentile(folds, percent) for percent in (10, 50, 90)}
    share = below / total if total and sessions >= 30 else None
    return out | {"clicks": total, "below": below, "below_share": share, "seen_ms": seen_ms, "growing": growing,
                  "unseen": len(views) - len(known)}  # fmt: skip


def _reach(known, band) -> dict:
    """{y: (views, sessions) that saw it}; a session once, however many views it had."""
    sessions = defaultdict(float)
    for view in known:
        sessions[view["session"]] = max(sessions[view["session"]], view["reach"])
    out, y = {}, 0
    while any(view["reach"] >= y for view in known):
        out[y] = (sum(view["reach"] >= y for view in known), sum(reach >= y for reach in sessions.values()))
        y += band
    return out


def _attention(stays, band) -> dict:
    """{y: ms}, from the top to the last that was seen."""
    out, y = {}, 0
    while any(bottom > y for _, bottom, _ in stays):
        out[y] = sum(ms for top, bottom, ms in stays if top <= y < bottom)
        y += band
    return out


def _histogram(values) -> dict:
    out = defaultdict(int)
    for value in values:
        out[value] += 1
    return dict(out)
