"""What a service does with what its client sent, until it lies in an export: the least of it that changes a field.

By the services' public sources and documentation; nothing here comes from heatgrid.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs

TSV = {
    "aid": 0, "p": 1, "eid": 6, "uid": 12, "duid": 15, "vid": 16, "url": 29, "co": 52, "se_ca": 53, "se_ac": 54,
    "ue_pr": 58, "pp_mix": 73, "pp_max": 74, "pp_miy": 75, "pp_may": 76, "sid": 123,
}  # fmt: skip
"""Parameters of Snowplow's tracker protocol -> places of the enriched event's fields."""
PAIRS = {"vp": (95, 96), "ds": (106, 107)}
EVENTS = {"pv": "page_view", "pp": "page_ping", "ue": "unstruct", "se": "struct"}


def _sent(body: bytes) -> str:
    """JSON as it is, or as the field ``data`` of a form, in base64 or not."""
    if not body.startswith(b"data="):
        return body.decode()
    data = parse_qs(body.decode())["data"][0]
    return data if data[0] in "[{" else base64.b64decode(data).decode()


def posthog_events(posts) -> list[dict]:
    """All events as they arrive: what was under way when its page was left comes again, by the same uuid."""
    found = []
    for post in posts:
        if not post.path.startswith("/collect/posthog/e/"):
            continue
        one = json.loads(_sent(post.body))
        found += one["batch"] if "batch" in one else one if isinstance(one, list) else [one]
    return found


def posthog_export(posts) -> bytes:
    """The batch export's JSON lines: heatmaps are cut out of events, the chain and the id become columns."""
    lines = []
    for event in posthog_events(posts):
        props = {k: v for k, v in event["properties"].items() if k not in ("$heatmap_data", "$elements")}
        if event["event"] == "$$heatmap":
            continue
        lines.append({
            "uuid": event["uuid"], "event": event["event"], "distinct_id": props.pop("distinct_id"),
            "elements_chain": props.pop("$elements_chain", ""), "timestamp": event["timestamp"], "properties": props,
        })  # fmt: skip
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def posthog_heatmaps(posts) -> str:
    """Rows of the heatmaps table as CSV: points in sixteenths, and the deepest scroll of a view that was left."""
    names = ("session_id", "distinct_id", "timestamp", "x", "y", "scale_factor", "viewport_width", "viewport_height",
             "pointer_target_fixed", "current_url", "type")  # fmt: skip
    rows = [",".join(names)]
    for event in {event["uuid"]: event for event in posthog_events(posts)}.values():
        props = event["properties"]
        size = [round(props["$viewport_width"] / 16), round(props["$viewport_height"] / 16)]
        who = [props["$session_id"], props["distinct_id"], event["timestamp"]]
        for url, points in (props.get("$heatmap_data") or {}).items():
            for one in points:
                at = [round(one["x"] / 16), round(one["y"] / 16), 16, *size]
                rows.append(",".join(map(str, [*who, *at, str(one["target_fixed"]).lower(), url, one["type"]])))
        if props.get("$prev_pageview_pathname") and props.get("$prev_pageview_max_scroll") is not None:
            at = [0, round(props["$prev_pageview_max_scroll"] / 16), 16, *size, "false"]
            rows.append(",".join(map(str, [*who, *at, props["$prev_pageview_pathname"], "scrolldepth"])))
    return "\n".join(rows) + "\n"


def mixpanel_export(posts, ms: bool) -> bytes:
    """The raw export; ms : with time_in_ms, else times are whole seconds. Events sent twice are in it twice."""
    lines = []
    for post in posts:
        for event in json.loads(_sent(post.body)):
            props = {k: v for k, v in event["properties"].items() if k != "token"}
            props["time"] = round(props["time"] * 1000) if ms else int(props["time"])
            lines.append({"event": event["event"], "properties": props | {"mp_processing_time_ms": int(post.at * 1e3)}})
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _stamp(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def snowplow_enriched(posts) -> bytes:
    """The enriched TSV: protocol parameters at their places, and the derived time."""
    lines = []
    for post in posts:
        for one in json.loads(post.body)["data"]:
            fields = [""] * 131
            for name, place in TSV.items():
                fields[place] = str(one.get(name, ""))
            for name, places in PAIRS.items():
                for place, value in zip(places, one[name].split("x"), strict=True):
                    fields[place] = value
            # sent at this time and 20 ms under way: how busy the machine of a test is would be in the derived time
            made, sent, arrived = float(one["dtm"]), float(one["stm"]), float(one["stm"]) + 20
            fields[3], fields[4], fields[124] = _stamp(arrived), _stamp(made), _stamp(arrived - (sent - made))
            fields[5] = fields[126] = EVENTS[one["e"]]
            if one["e"] == "ue":
                schema = json.loads(one["ue_pr"])["data"]["schema"]
                fields[126] = schema.split("/")[1]
            lines.append("\t".join(fields))
    return ("\n".join(lines) + "\n").encode()
