"""rrweb recordings, slowly: events as Python objects, one after the other."""

from __future__ import annotations

import math

INTERACTIONS = {
    0: "mouseup", 1: "mousedown", 2: "click", 3: "contextmenu", 4: "dblclick", 5: "focus", 6: "blur", 7: "touchstart",
    8: "touchdeparted", 9: "touchend", 10: "touchcancel",
}  # fmt: skip
SOURCES = {3: "scroll", 5: "input", 7: "media", 14: "selection"}
POINTERS = ["mouse", "pen", "touch"]


def told(events):
    """(time, kind, what it tells) in the order of time; equal times as they stand in the file."""
    found = []
    for number, event in enumerate(events):
        time, data = event["timestamp"], event.get("data") or {}
        if event["type"] == 4:
            later = [e for e in events[number + 1 :] if e["type"] in (2, 4)]
            snapshot = later[0] if later and later[0]["type"] == 2 else None
            found.append((time, "meta", data | {"snapshot": snapshot and snapshot["data"]}))
        elif event["type"] == 2:
            found.append((time, "snapshot", data))
        elif event["type"] == 5:
            found.append((time, "custom", data))
        elif event["type"] == 3:
            source = data["source"]
            if source in (1, 6, 12):
                for p in data["positions"]:
                    pointer = {6: 2}.get(source)
                    found.append((time + p["timeOffset"], "move", p | {"pointer": pointer}))
            elif source == 2:
                found.append((time, INTERACTIONS[data["type"]], data | {"pointer": data.get("pointerType")}))
            elif source == 4:
                found.append((time, "resize", data))
            elif source in (0, 8, 9, 13, 15):
                found.append((time, "mutation", {}))
            elif source in SOURCES:
                found.append((time, SOURCES[source], data))
    return sorted(found, key=lambda row: row[0])


def rows(events):
    """Canonical rows: dicts of time (ms), kind, x, y, frame, pointer, page, viewport and scroll."""
    out = []
    page = last_href = root = None
    scroll, window = [0, 0], [None, None]
    touched = clicked = -math.inf
    answered = True
    metas = {}
    for event in events:  # pages are told apart in the order of the file
        if event["type"] == 4:
            prior = [e for e in events[: events.index(event)] if e["type"] not in (1, 5, 6)]
            prior = [e for e in prior if e["type"] != 3 or e["data"]["source"] not in (10, 11, 16)]
            loaded = bool(prior) and prior[-1]["type"] == 0
            metas[id(event["data"])] = event["data"]["href"] != last_href or loaded
            last_href = event["data"]["href"]
        if event["type"] == 5 and event["data"]["tag"] == "$pageview":
            metas[id(event["data"]["payload"])] = event["data"]["payload"]["href"] != last_href
            last_href = event["data"]["payload"]["href"]
    opens = iter([metas[id(e["data"])] for e in events if e["type"] == 4])
    fresh = {n: next(opens) for n, e in enumerate(events) if e["type"] == 4}
    by_place = sorted((e["timestamp"], n) for n, e in enumerate(events) if e["type"] == 4)
    order = iter([fresh[n] for _, n in by_place])
    for time, kind, data in told(events):
        x, y, frame, pointer = data.get("x"), data.get("y"), "page", data.get("pointer")
        if kind == "meta":
            window = [data["width"], data["height"]]
            if not next(order):
                continue
            kind, page = "pageview", data["href"]
            start = (data["snapshot"] or {}).get("initialOffset") or {}
            scroll = [start.get("left", 0), start.get("top", 0)]
        elif kind == "snapshot":
            root = data["node"]["id"]
            start = data.get("initialOffset") or {}
            scroll = [start.get("left", scroll[0]), start.get("top", scroll[1])]
            continue
        elif kind == "resize":
            window = [data["width"], data["height"]]
        elif kind == "scroll":
            if data["id"] == root:
                scroll = [x, y]
            else:
                frame = "element"
            x = y = None
        elif kind == "mutation":
            late = answered or time - clicked > 5000
            answered = True
            if late:
                continue
        elif kind == "custom":
            if data["tag"] == "$pageview":
                if not metas[id(data["payload"])]:
                    continue
                kind, page = "pageview", data["payload"]["href"]
            elif data["tag"] in ("window hidden", "window visible"):
                kind = data["tag"].split()[1]
            elif data["tag"].startswith("$"):
                continue
        if kind.startswith("touch") or pointer == 2:
            touched = time if kind.startswith("touch") or kind == "move" else touched
            pointer = 2
        elif pointer is None and kind in ("move", "mouseup", "mousedown", "click", "contextmenu", "dblclick"):
            pointer = 2 if time - touched <= 1000 else 0
        if kind in ("focus", "blur"):
            pointer = data.get("pointer")
        if kind == "click":
            clicked, answered = time, False
        has = x is not None and kind not in ("resize", "input", "media", "selection")
        out.append(
            {
                "time": math.floor(time), "kind": kind, "page": page, "frame": frame,
                "x": x + scroll[0] if has else None, "y": y + scroll[1] if has else None,
                "pointer": None if pointer is None else POINTERS[pointer],
                "viewport_w": window[0], "viewport_h": window[1], "scroll_x": scroll[0], "scroll_y": scroll[1],
            }
        )  # fmt: skip
    return out
