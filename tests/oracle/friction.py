"""Friction in plain Python: each rule as its sentence in the metrics, over the events that ``sessions.resolve`` gives.

A rule is a plain dict: ``type`` and its parameters. ``flags`` says what it flags, ``table`` and ``cells`` count it.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from oracle.sessions import NONE, bucket_of, cell_of, view_width

MOST = 64


def flags(result, rule) -> dict:
    """``flagged``, ``considered``, ``excess``: lists of (event, weight); ``bots``: how many sessions had an excess."""
    sessions = defaultdict(list)
    for event in result["events"]:
        sessions[event["session"]].append(event)
    found = {"flagged": [], "considered": [], "excess": [], "bots": set()}
    if rule["type"] == "follow":
        for events in sessions.values():
            _follow(events, rule, found)
    elif rule["type"] == "marked":
        for event in result["events"]:
            if event["kind"] == "click":
                found["considered"].append((event, event["weight"]))
            if event["kind"] in rule["kinds"]:
                found["flagged"].append((event, event["weight"]))
    else:
        walk = {"repeat": _repeat, "back": _back, "loop": _loop, "thrash": _thrash}[rule["type"]]
        for events in result["tabs"]:
            walk(events, rule, found)
    found["bots"] = len(found["bots"])
    return found


# ---- clicks -------------------------------------------------------------------------------------------------------


def _repeat(events, rule, found) -> None:
    clicks = [event for event in events if event["kind"] == "click"]
    found["considered"] += [(click, click["weight"]) for click in clicks]
    n, start, held, flagged = rule["n"], 0, False, set()
    for j in range(len(clicks)):
        holds = j + 1 - n >= start and _together(clicks[j + 1 - n : j + 1], rule)
        if holds and rule["once"] and not held:
            flagged.add(j)
        if holds and not rule["once"]:
            flagged |= set(range(j + 1 - n, j + 1))
        held = holds
        if holds and rule["restart"]:
            start, held = j + 1, False
    found["flagged"] += [(clicks[j], clicks[j]["weight"]) for j in sorted(flagged)]


def _together(clicks, rule) -> bool:
    """Whether n clicks of one tab, one after the other, are what the rule means."""
    pairs = list(pairwise(clicks))
    if rule["gap_ms"] is not None and any(b["ms"] - a["ms"] >= rule["gap_ms"] for a, b in pairs):
        return False
    if rule["span_ms"] is not None and clicks[-1]["ms"] - clicks[0]["ms"] > rule["span_ms"]:
        return False
    if rule["same_feature"] and (clicks[0]["feature"] is None or len({c["feature"] for c in clicks}) > 1):
        return False
    radius = rule["radius_px"]
    if radius is None:
        return True
    if any(c["point"] is None for c in clicks):
        return False
    if rule["metric"] == "box":
        return all(max(axis) - min(axis) <= radius for axis in zip(*(c["point"] for c in clicks), strict=True))
    for a, b in pairs:
        dx, dy = abs(b["point"][0] - a["point"][0]), abs(b["point"][1] - a["point"][1])
        if rule["metric"] == "l1" and not dx + dy < radius:
            return False
        if rule["metric"] == "l2" and not dx * dx + dy * dy < radius * radius:
            return False
    return True


def _follow(events, rule, found) -> None:
    """Every click looks at all that comes after it; whether it was let in depends on those that still waited."""

    def comes(event):
        return event["kind"] in rule["kinds"] or ("navigation" in rule["kinds"] and event["opens"])

    within, admitted = rule["within_ms"], []
    for j, click in enumerate(events):
        if click["kind"] != "click":
            continue
        waiting = [
            i for i in admitted
            if click["ms"] - events[i]["ms"] <= within and not any(comes(e) for e in events[i + 1 : j + 1])
        ]  # fmt: skip
        if len(waiting) >= MOST:
            found["excess"].append((click, click["weight"]))
            found["bots"].add(click["session"])
            continue
        admitted.append(j)
        found["considered"].append((click, click["weight"]))
        followed = any(comes(e) and e["ms"] - click["ms"] <= within for e in events[j + 1 :])
        if followed == rule["followed"]:
            found["flagged"].append((click, click["weight"]))


# ---- pages and pointer --------------------------------------------------------------------------------------------


def _openings(events, found) -> list[dict]:
    return [event for event in events if event["opens"] and event["page"] is not None]


def _back(events, rule, found) -> None:
    found["considered"] += [(event, 1) for event in events if event["opens"]]
    stays = []
    for event in _openings(events, found):
        if not stays or stays[-1]["page"] != event["page"]:
            stays.append(event)
    for a, b, c in zip(stays, stays[1:], stays[2:], strict=False):
        if a["page"] == c["page"] and c["ms"] - b["ms"] <= rule["within_ms"]:
            found["flagged"].append((b, 1))


def _loop(events, rule, found) -> None:
    found["considered"] += [(event, 1) for event in events if event["opens"] and event["page"] is None]
    kept = []
    for event in _openings(events, found):
        kept = [e for e in kept if event["ms"] - e["ms"] <= rule["within_ms"]]
        if len(kept) >= MOST:
            found["excess"].append((event, 1))
            found["bots"].add((event["session"], id(events)))
            continue
        found["considered"].append((event, 1))
        kept.append(event)
        if sum(e["page"] == event["page"] for e in kept) == rule["n"]:
            found["flagged"].append((event, 1))
            kept = [e for e in kept if e["page"] != event["page"]]


def _thrash(events, rule, found) -> None:
    moves = [event for event in events if event["kind"] == "move" and not event["touch"]]
    found["considered"] += [(event, 1) for event in moves]
    points = [event for event in moves if event["point"] is not None]
    turns, way = [], [0, 0]
    for a, b in pairwise(points):
        turned = False
        for axis in (0, 1):
            step = b["point"][axis] - a["point"][axis]
            if step != 0:
                turned |= way[axis] * step < 0
                way[axis] = 1 if step > 0 else -1
        if turned:
            turns.append(b)
            if len(turns) >= rule["n"] and b["ms"] - turns[-rule["n"]]["ms"] <= rule["within_ms"]:
                found["flagged"].append((b, 1))
                turns = []


# ---- counting -----------------------------------------------------------------------------------------------------


def table(result, rules, by=(), every=False) -> dict:
    """{(rule, page, feature, segments..., period): flagged, sessions, considered, excess}, rows with any of them."""
    rows = defaultdict(lambda: {"flagged": 0, "sessions": set(), "considered": 0, "excess": 0})
    for name, rule in rules.items():
        found = flags(result, rule)
        for what in ("flagged", "considered", "excess"):
            for event, weight in found[what]:
                row = rows[name, *key_of(event, by, every)]
                row[what] += weight
                if what == "flagged":
                    row["sessions"].add(event["session"])
    return {key: {**row, "sessions": len(row["sessions"])} for key, row in rows.items()}


def key_of(event, by, every) -> tuple:
    feature = NONE if event["feature"] is None else event["feature"]
    return (event["page_key"], feature, *(event["by"][name] for name in by), *([event["period"]] if every else []))


def totals(result, rules) -> dict:
    """{rule: flagged, sessions, considered, excess, bot_sessions}."""
    out = {}
    for name, rule in rules.items():
        found = flags(result, rule)
        out[name] = {what: sum(w for _, w in found[what]) for what in ("flagged", "considered", "excess")}
        out[name] |= {"sessions": len({e["session"] for e, _ in found["flagged"]}), "bot_sessions": found["bots"]}
    return out


def cells(result, rule, by=(), every=False) -> dict:
    """{(page, bucket, fixed, segments, period): {(iy, ix): (flagged, sessions)}}."""
    hits = defaultdict(lambda: defaultdict(list))
    for event, weight in flags(result, rule)["flagged"]:
        plan = result["plan"]
        cell = None if event["map_point"] is None else cell_of(plan, event["map_point"])
        if cell is not None:
            segments = tuple(event["by"][name] for name in by)
            bucket = bucket_of(view_width(event) if plan["widths"] == "bucket" else plan["reference"])
            key = (event["page_key"], bucket, event["fixed"], segments)
            hits[*key, event["period"] if every else None][cell].append((weight, event["session"]))
    return {
        key: {cell: (sum(w for w, _ in found), len({s for _, s in found})) for cell, found in cells.items()}
        for key, cells in hits.items()
    }
