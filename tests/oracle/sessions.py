"""The oracle: plain Python over lists of dicts, one readable rule after the other, slow, importing nothing of ours.

``resolve(files, plan, unit=...)`` reads ``files`` (a list of files, in the order of their rank; a file is a list of
rows; a row is a dict of canonical names, ``None`` for null, ``time`` a whole number of ``unit`` since 1970) under a
plain dict of plan fields and says for each accepted row its session, view, page, feature and dwell. ``table``,
``maps``, ``points`` and ``summary`` then count. All results are plain dicts, lists, strings and integers.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote
from zoneinfo import ZoneInfo

PLAN = {
    "maps": ("clicks",), "cell": 8, "extent": None, "frame": "page", "by": (), "every": None, "tz": "UTC",
    "areas": None, "tables": ("features", "pages"), "distinct": (), "idle_ms": 30_000, "session_gap": None,
    "lateness_ms": 60_000, "dedupe": None, "min_sessions": 0, "moves_sessions": False, "kinds": None,
    "url_rules": True, "time_range": (2000, 2101), "goal": (), "releases": (),
    "widths": "bucket", "reference": 1440,
}  # fmt: skip
CANVAS = (0.0, 16_384.0, 0.0, 262_144.0)
TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
HALF_HOUR_MS = 30 * 60 * 1000
NONE = "(none)"
ALL = "(all)"
WAKING = {"visible", "pageview", "click", "move", "scroll", "input"}
WORDS = {
    "pageview": ["pageview", "page_view", "page-view", "$pageview", "view", "pageload", "page_load", "screen",
                 "screen_view"],
    "click": ["click", "press", "tap", "left_click", "leftclick", "mouseclick", "$mp_click"],
    "move": ["move", "mousemove", "mouse_move", "pointermove", "pointer_move"],
    "rest": ["rest"],
    "scroll": ["scroll", "wheel", "$mp_scroll"],
    "resize": ["resize", "viewport_resize"],
    "input": ["input", "change", "keypress", "keydown", "typing"],
    "focus": ["focus"],
    "blur": ["blur"],
    "hidden": ["hidden", "hide"],
    "visible": ["visible", "show"],
    "error": ["error", "exception", "$exception", "js_error"],
    "exposure": ["exposure", "expose", "impression"],
    "custom": ["custom"],
}  # fmt: skip


# ---- one value at a time ------------------------------------------------------------------------------------------


def _alike(value) -> str:
    """The same text for numbers that are equal: -0.0 is 0.0; repr writes every NaN alike."""
    return repr(value + 0.0 if isinstance(value, float) else value)


def finite(value) -> bool:
    """A number that is there: not null, not NaN, not infinite."""
    return value is not None and math.isfinite(value)


def known_width(value) -> bool:
    return finite(value) and value > 0


def bucket_of(width) -> str:
    if width is None:
        return "unknown"
    if width < 600:
        return "0-600"
    if width < 1024:
        return "600-1024"
    if width < 1440:
        return "1024-1440"
    return "1440+"


def kind_of(word, own_words) -> str:
    """The plan's own words come first, then the published synonyms, both case-blind; other words stay."""
    if word is None:
        return "custom"
    for words in ({k: [w.strip().lower() for w in v] for k, v in (own_words or {}).items()}, WORDS):
        for kind, synonyms in words.items():
            if word.strip().lower() in synonyms:
                return kind
    return word


def page_of(value, url_rules: bool) -> str | None:
    """Host, query, plain fragment and trailing slash dropped; ids and e-mail addresses replaced; a plain name stays."""
    if value is None:
        return None
    text = str(value)
    if not url_rules:
        return text
    without_host = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*", "", text)
    if text.startswith("//") and "." in re.split("[/?#]", text[2:])[0]:
        without_host = text[2 + len(re.split("[/?#]", text[2:])[0]) :]
    if text.lower().startswith("www.") and re.search("[/?#]", text) and " " not in re.split("[/?#]", text)[0]:
        without_host = text[len(re.split("[/?#]", text)[0]) :]
    has_query = any(mark in tail for tail in re.findall(r"\?([^?\s]+)", text) for mark in "=&%")
    if without_host == text and text[:1] not in ("/", "?") and text[:2] != "#/" and not has_query:
        return mails(text)
    path, _, fragment = re.sub("^//+", "/", without_host).partition("#")
    key = _clean(path.split("?")[0]) or "/"
    if fragment.startswith("/"):
        key += "#" + (_clean(fragment.split("?")[0]) or "/")
    return key


def mails(text: str) -> str:
    """Each e-mail address as :email: what is around an @, up to what no address holds, with a dot behind it."""
    words = re.split(r"([/\s,;:<>()\"'=&?]+)", text)
    return "".join(":email" if re.search(r".@[^@.]+\.[^@.]", word) else word for word in words)


def _clean(path: str) -> str:
    parts = []
    for part in path.rstrip("/").split("/"):
        bare = re.sub(";[^;=]*=[^;]*", "", part)
        is_uuid = re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", bare)
        if bare.isdecimal() or is_uuid or re.fullmatch(r"[0-9a-fA-F]{8,}", bare):
            parts.append(":id")
        elif "@" in unquote(bare) and mails(unquote(bare)) != unquote(bare):
            parts.append(mails(unquote(bare)))
        else:
            parts.append(bare)
    return "/".join(parts)


def name_of(value) -> str:
    """A segment value as the key of a result."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def released(time: int, unit: str, releases, tz: str) -> str:
    """The stretch between releases, (name, ISO 8601) pairs, that holds a time: named by what came last, together."""
    moments = []
    for name, text in releases:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(tz))
        micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        moments.append((micros, name, moment.astimezone(ZoneInfo(tz))))
    # micros / 10**6 <= time / ticks, in whole numbers
    past = [moment for moment in moments if moment[0] * TICKS[unit] <= time * 10**6]
    if not past:
        return f"(before {min(moments)[1]})"
    last = max(past)[0]
    names = sorted(name for micros, name, _ in past if micros == last)
    local = next(local for micros, _, local in past if micros == last)
    text = local.strftime("%Y-%m-%dT%H:%M" if local.strftime("%H%M") != "0000" or last % 60_000_000 else "%Y-%m-%d")
    if last % 60_000_000:
        text += local.strftime(":%S")
    if last % 1_000_000:
        text += f".{last % 1_000_000 // 1000:03d}"
    return f"{text} {', '.join(names)}"


def period_of(time: int, unit: str, every: str | None, tz: str, releases=()) -> str | None:
    if every is None:
        return None
    if every == "release":
        return released(time, unit, releases, tz)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time // TICKS[unit])
    local = moment.astimezone(ZoneInfo(tz))
    if every == "hour":  # with its offset where a clock may be set back and name two hours alike
        offset = "" if tz == "UTC" else local.strftime("%z")
        return f"{local.year:04d}-{local.month:02d}-{local.day:02d}T{local.hour:02d}{offset}"
    if every == "day":
        return f"{local.year:04d}-{local.month:02d}-{local.day:02d}"
    if every == "week":
        year, week, _ = local.isocalendar()
        return f"{year:04d}-W{week:02d}"
    return f"{local.year:04d}-{local.month:02d}"


def remembered(ms: int) -> int:
    """What the histogram remembers of a duration: exact below 128, then the middle of one of 64 steps an octave."""
    width = 1
    while ms // width >= 128:
        width *= 2
    return ms // width * width + width // 2


def percentile(durations: list[int], percent: int) -> int | None:
    """Nearest rank: the smallest value with at least percent % of all at or below it."""
    if not durations:
        return None
    rank = max(1, -(-percent * len(durations) // 100))
    return remembered(sorted(durations)[rank - 1])


# ---- rows to sessions ---------------------------------------------------------------------------------------------


def resolve(files, plan=None, *, unit="us", columns=None) -> dict:
    """Every accepted row with its session, view, page, feature and dwell; ``columns`` names the mapped columns."""
    plan = {**PLAN, **(plan or {})}
    if columns is None:
        columns = {name for rows in files for row in rows for name in row}
    columns = set(columns)
    reader = _Reader(plan, unit, columns)
    for rank, rows in enumerate(files):
        for number, row in enumerate(rows):
            reader.take(rank, number, row)
    return reader.finish()


class _Reader:
    def __init__(self, plan, unit, columns) -> None:
        self.plan, self.unit, self.columns = plan, unit, columns
        self.by_session_column = "session" in columns
        self.has_sessions = "session" in columns or "user" in columns
        # without a column of kinds, points are clicks
        has_points = "x" in columns and "y" in columns
        self.only_kind = None if "kind" in columns else "click" if has_points else "custom"
        self.read = 0
        self.rejected = Counter()
        self.groups = defaultdict(list)  # id of a session (or None where there are no sessions) -> [(order, row)]
        self.events, self.tabs, self.sessions, self.resumed = [], [], 0, 0

    def take(self, rank, number, row) -> None:
        """One row of the input: rejected for what it holds itself, or put with its session."""
        self.read += 1
        reason = self._unusable(row)
        if reason:
            self.rejected[reason] += 1
            return
        if self.by_session_column:
            group = row["session"]
        elif self.has_sessions:
            group = (row["user"], row.get("tab"))
        else:
            group = None
        seq = row.get("seq")
        order = (row["time"], seq is not None, seq if seq is not None else 0, rank, number)
        self.groups[group].append((order, row))

    def _unusable(self, row) -> str | None:
        time = row.get("time")
        if time is None or not self._in_range(time):
            return "time"
        if self.by_session_column:
            if row.get("session") is None:
                return "session"
        elif self.has_sessions and row.get("user") is None:
            return "session"
        count = row.get("count")
        if count is not None and not (math.isfinite(count) and count == math.floor(count) and count > 0):
            return "count"
        return None

    def _in_range(self, time) -> bool:
        if self.plan["time_range"] is None:
            return True
        first, last = self.plan["time_range"]
        return self._year(first) <= time < self._year(last)

    def _year(self, year) -> int:
        days = (datetime(year, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
        return days * 86_400 * TICKS[self.unit]

    def _ms(self, time) -> int:
        return time * 1000 // TICKS[self.unit]

    def finish(self) -> dict:
        for rows in self.groups.values():
            rows.sort(key=lambda pair: pair[0])
            if self.has_sessions:
                for session in self._cut(rows):
                    self._walk(session)
            else:
                for _, row in rows:
                    self._row_alone(row)
        return {
            "plan": self.plan,
            "unit": self.unit,
            "has_sessions": self.has_sessions,
            "has_users": "user" in self.columns,
            "events": self.events,
            "tabs": self.tabs,
            "sessions": self.sessions if self.has_sessions else None,
            "resumed": self.resumed if self.has_sessions else None,
            "ledger": {
                "read": self.read,
                "accepted": len(self.events),
                "filtered": 0,
                "rejected": {reason: n for reason, n in self.rejected.items() if n},
            },
        }

    def _cut(self, rows) -> list[list[dict]]:
        """The runs of one id between its gaps, without duplicates; a dropped duplicate leaves no trace."""
        gap = self.plan["session_gap"]
        if gap is None and not self.by_session_column:
            gap = HALF_HOUR_MS
        runs, seen, last = [], set(), None
        for _, row in rows:
            starts = last is None or (gap is not None and self._ms(row["time"]) - self._ms(last) >= gap)
            if starts:
                seen = set()
            mark = self._identity(row)
            if mark is not None and mark in seen:
                self.rejected["duplicate"] += 1
                continue
            seen.add(mark)
            if starts:
                runs.append([])
            runs[-1].append(row)
            last = row["time"]
        if self.by_session_column:
            self.resumed += len(runs) - 1
        return runs

    def _identity(self, row):
        if self.plan["dedupe"] == "rows":
            return tuple(_alike(row.get(name)) for name in sorted(self.columns))
        return row.get("event_id")

    # ---- inside a session -----------------------------------------------------------------------------------------

    def _walk(self, rows) -> None:
        number = self.sessions
        self.sessions += 1
        views = {}  # view id -> view, where a view column rules
        tabs = {}  # tab -> what is known of it now
        for row in rows:
            tab = tabs.setdefault(
                row.get("tab"), {"view": None, "hidden": False, "scroll": 0.0, "width": None, "events": []}
            )
            event = self._event(row)
            if event["width"] is not None:
                tab["width"] = event["width"]
            event["window"] = tab["width"]
            event["session"] = number
            event["view"] = self._view(row, event, tab, views)
            event["opens"] = not event["view"]["events"]
            if event["opens"]:  # a new page begins at its top
                tab["scroll"] = 0.0
            if finite(row.get("scroll_y")) and not of_container(row, event):
                tab["scroll"] = float(row["scroll_y"])
            self._place(row, event, tab["scroll"])
            event["view"]["events"].append(event)
            if event["kind"] == "hidden":
                tab["hidden"] = True
            elif event["kind"] in WAKING:
                tab["hidden"] = False
            event["hidden"] = tab["hidden"]
            tab["events"].append(event)
        for tab in tabs.values():
            self.tabs.append(tab["events"])
            for a, b in zip(tab["events"], tab["events"][1:], strict=False):
                if not a["hidden"]:
                    a["dwell"] = min(b["ms"] - a["ms"], self.plan["idle_ms"])

    def _view(self, row, event, tab, views) -> dict:
        """The view of a row, opened by it or known before."""
        page = event["page"]
        current = tab["view"]
        if "view" in self.columns:
            view_id = row.get("view")
            if view_id is not None:
                current = views.setdefault(view_id, {"page": page, "events": []})
            elif current is None:
                current = {"page": page, "events": []}
        elif current is None or event["kind"] == "pageview" or (page is not None and page != current["page"]):
            current = {"page": page, "events": []}
        tab["view"] = current
        return current

    def _row_alone(self, row) -> None:
        event = self._event(row)
        event["window"] = event["width"]
        knows = finite(row.get("scroll_y")) and not of_container(row, event)
        self._place(row, event, float(row["scroll_y"]) if knows else 0.0)
        event.update(session=None, view={"page": event["page"], "events": [event]}, opens=False)
        self.events.append(event)

    def _event(self, row) -> dict:
        plan = self.plan
        page = page_of(row.get("page"), plan["url_rules"]) if "page" in self.columns else ALL
        width = row.get("viewport_w") if known_width(row.get("viewport_w")) else None
        event = {
            "time": row["time"],
            "ms": self._ms(row["time"]),
            "kind": self.only_kind or kind_of(row["kind"], plan["kinds"]),
            "page": page,
            "page_key": NONE if page is None else page,
            "row": row,
            "fixed": bool(row.get("fixed")),
            "width": width,
            "touch": str(row.get("pointer")).lower() == "touch",
            "weight": 1 if row.get("count") is None else int(row["count"]),
            "user": row.get("user"),
            "by": {name: name_of(row.get(name)) for name in (*plan["by"], "account")},
            "period": period_of(row["time"], self.unit, plan["every"], plan["tz"], plan["releases"]),
            "dwell": 0,
        }
        if self.has_sessions:
            self.events.append(event)
        return event

    def _place(self, row, event, scroll) -> None:
        """Its point on the page, and the feature there."""
        x, y = row.get("x"), row.get("y")
        moves = self.plan["frame"] == "viewport" and not event["fixed"]
        event["scroll"] = scroll
        event["point_y"] = float(y) + scroll * moves if finite(y) else None
        event["point"] = (float(x), float(y) + scroll * moves) if finite(x) and finite(y) else None
        if self.plan["frame"] == "element":
            event["point"] = in_box(row, x, y)
            event["point_y"] = None if event["point"] is None else event["point"][1]
        feature = row.get("feature")
        event["feature"] = self._area(event) if feature is None else str(feature)
        event["map_point"] = self._laid_out(row, event)

    def _laid_out(self, row, event):
        """The point on maps: where it would lie in a window of the reference width."""
        plan, point = self.plan, event["point"]
        if plan["widths"] == "scale":
            if point is None or event["window"] is None:
                return None
            return point[0] * plan["reference"] / float(event["window"]), point[1]
        if plan["widths"] == "element":
            return self._in_element(row, event)
        return point

    def _in_element(self, row, event):
        home = reference_box(self.plan, event["page_key"], event["feature"])
        if home is None or not (finite(row.get("x")) and finite(row.get("y"))):
            return None
        shares = [float(row["x"]), float(row["y"])]
        if self.plan["frame"] != "element":
            box = [row.get(name) for name in ("box_x", "box_y", "box_w", "box_h")]
            if not all(finite(side) for side in box) or box[2] <= 0 or box[3] <= 0:
                return None
            shares = [(event["point"][0] - box[0]) / box[2], (event["point"][1] - box[1]) / box[3]]
        return (
            home["x0"] + shares[0] * (home["x1"] - home["x0"]), home["y0"] + shares[1] * (home["y1"] - home["y0"])
        )  # fmt: skip

    def _area(self, event) -> str | None:
        best = None
        for area in self.plan["areas"] or ():
            if not _holds(area, event):
                continue
            size = (area["x1"] - area["x0"]) * (area["y1"] - area["y0"])
            if best is None or size < best[0]:
                best = (size, area["name"])
        return None if best is None else best[1]


def of_container(row, event) -> bool:
    """A scroll in an element's own frame."""
    return event["kind"] == "scroll" and str(row.get("frame")).lower() == "element"


def _holds(area, event) -> bool:
    if event["point"] is None:
        return False
    x, y = event["point"]
    if not (area["x0"] <= x < area["x1"] and area["y0"] <= y < area["y1"]):
        return False
    if area.get("page") is not None and area["page"] != event["page_key"]:
        return False
    low, high, width = area.get("min_width"), area.get("max_width"), event["width"]
    if (low is not None or high is not None) and width is None:
        return False
    return (low is None or width >= low) and (high is None or width < high)


# ---- counting -----------------------------------------------------------------------------------------------------


def table(result, name, by=(), every=False) -> dict:
    """``features`` or ``pages``: {(name, *segments in the order of ``by``[, period]): its columns}.

    Visits are runs of one key, so those of segments need not add up to those of totals.
    """

    def key_of(event):
        first = event["feature"] if name == "features" else event["page_key"]
        if first is None:
            return None
        return (first, *(event["by"][column] for column in by), *((event["period"],) if every else ()))

    rows = {}
    for event in result["events"]:
        key = key_of(event)
        if key is None:
            continue
        row = rows.setdefault(key, {"events": 0, "clicks": 0, "views": 0, "dwell_ms": 0, "visits": 0,
                                    "open_visits": 0, "sessions": set(), "users": set(), "closed": []})  # fmt: skip
        row["events"] += event["weight"]
        row["clicks"] += event["weight"] if event["kind"] == "click" else 0
        row["views"] += 1 if event["opens"] else 0
        row["dwell_ms"] += event["dwell"]
        row["sessions"].add(event["session"])
        if event["user"] is not None:
            row["users"].add(event["user"])
    for events in result["tabs"]:
        for key, dwell, is_open in _visits(events, key_of):
            rows[key]["visits"] += 1
            if is_open:
                rows[key]["open_visits"] += 1
            else:
                rows[key]["closed"].append(dwell)
    return {key: _finish_row(result, name, row) for key, row in rows.items()}


def _visits(events, key_of) -> list:
    """(key, dwell, open) of the maximal runs of one key inside one view of one (session, tab)."""
    visits, before = [], None
    for event in events:
        here = (key_of(event), id(event["view"]))
        if here[0] is not None:
            if here != before:
                visits.append([here[0], 0, False])
            visits[-1][1] += event["dwell"]
        before = here
    if visits and before[0] is not None:
        visits[-1][2] = True
    return visits


def _finish_row(result, name, row) -> dict:
    done = {"events": row["events"], "clicks": row["clicks"]}
    if name == "pages":
        done["views"] = row["views"]
    done["sessions"] = len(row["sessions"])
    for column in ("dwell_ms", "visits", "open_visits"):
        done[column] = row[column]
    for percent in (50, 90, 99):
        done[f"p{percent}_ms"] = percentile(row["closed"], percent)
    if not result["has_sessions"]:
        for column in set(done) - {"events", "clicks"}:
            done[column] = None
    if "users" in result["plan"]["distinct"]:
        done["users"] = len(row["users"]) if result["has_users"] else None
    return done


def layers_of(result, event) -> list[str]:
    """The layers that an event is drawn on: a click's also as the first, or the last, of its view."""
    layer = layer_of(event)
    dwells = ["dwell"] if rests(event) else []
    if layer != "clicks" or not result["has_sessions"]:
        return [layer, *dwells]
    clicks = [other for other in event["view"]["events"] if other["kind"] == "click"]
    ends = (("first_clicks", clicks[0]), ("last_clicks", clicks[-1]))
    reaches = ["goal_clicks"] if id(event) in before_goals(result) else []
    return [layer, *dwells, *(name for name, end in ends if end is event), *reaches]


def before_goals(result) -> set:
    """Clicks (by id) after which their session reaches a goal: a row of which one of the steps holds.

    ``result["most_waiting"]``: so many of a session wait at once, and those beyond are in ``result["excess"]``. A click
    waits until the goal (and no longer: there are no widths in what is tested so)."""
    if "before_goals" not in result:
        found, waiting, most = set(), defaultdict(list), result.get("most_waiting")
        result["excess"] = 0
        for event in result["events"]:  # those of a session stand in its order
            mine = waiting[event["session"]]
            values = {"kind": event["kind"], "page": event["page_key"], "feature": event["feature"]}
            if any(all(values[name] in wanted for name, wanted in goal.items()) for goal in result["plan"]["goal"]):
                found |= set(mine[:most])
                result["excess"] += len(mine[most:]) if most is not None else 0
                mine.clear()
            if event["kind"] == "click":
                mine.append(id(event))
        result["before_goals"] = found
    return result["before_goals"]


def layer_of(event) -> str | None:
    if event["kind"] == "click":
        return "clicks"
    if event["kind"] in ("move", "rest") and not event["touch"]:
        return "moves"
    return None


def in_box(row, x, y):
    """The px of a point that is told as shares of its element's box."""
    box = [row.get(name) for name in ("box_x", "box_y", "box_w", "box_h")]
    if not (finite(x) and finite(y) and all(finite(side) for side in box)):
        return None
    return box[0] + float(x) * box[2], box[1] + float(y) * box[3]


def reference_box(plan, page, feature):
    """The area of a feature at the reference width: the page's own first, then the narrowest range, the first named."""
    fits = []
    for at, area in enumerate(plan["areas"] or ()):
        low, high = area.get("min_width", -math.inf), area.get("max_width", math.inf)
        mine = area.get("page") in (None, page)
        if area["name"] == feature and mine and low <= plan["reference"] < high:
            fits.append((area.get("page") is None, high - low, at, area))
    return min(fits)[-1] if fits else None


def cell_of(plan, point) -> tuple[int, int] | None:
    """(iy, ix), or None outside; tested on the float before any cast."""
    x0, x1, y0, y1 = (float(v) for v in (plan["extent"] or CANVAS))
    cell = plan["cell"]
    width, height = (float(c) for c in (cell if isinstance(cell, (tuple, list)) else (cell, cell)))
    nx, ny = math.ceil((x1 - x0) / width), math.ceil((y1 - y0) / height)
    fx, fy = (point[0] - x0) / width, (point[1] - y0) / height
    if not (0 <= fx < nx and 0 <= fy < ny):
        return None
    return math.floor(fy), math.floor(fx)


def view_width(event):
    """The first known width of the view's rows, in their order."""
    return next((e["width"] for e in event["view"]["events"] if e["width"] is not None), None)


def drawn(result, by, every) -> dict:
    """{(layer, page, bucket, fixed, segments, period): [(cell, event)]}: every point that a map uses."""
    plan, found = result["plan"], defaultdict(list)
    for event in result["events"]:
        cell = None if event["map_point"] is None else cell_of(plan, event["map_point"])
        if cell is None:
            continue
        segments = tuple(event["by"][column] for column in by)
        bucket = bucket_of(view_width(event) if plan["widths"] == "bucket" else plan["reference"])
        for layer in layers_of(result, event):
            if layer in plan["maps"]:
                key = (layer, event["page_key"], bucket, event["fixed"], segments, event["period"] if every else None)
                found[key].append((cell, event))
    return found


def rests(event) -> bool:
    """Time passes between this row and the next of its tab, and the pointer is where this row says."""
    return event["dwell"] > 0 and event["kind"] in ("move", "rest", "click") and not event["touch"]


def count_sessions(result, layer, events) -> int | None:
    """Distinct sessions, each once; those of moves only where the plan asks for them."""
    wanted = result["has_sessions"] and (layer != "moves" or result["plan"]["moves_sessions"])
    return len({event["session"] for event in events}) if wanted else None


def weigh(layer, events) -> int:
    """A row may stand for many clicks, but of a view only one is the first; and of dwell its ms count."""
    if layer == "dwell":
        return sum(event["dwell"] for event in events)
    return len(events) if layer in ("first_clicks", "last_clicks") else sum(e["weight"] for e in events)


def maps(result, by=None, every=True) -> dict:
    """{(layer, page, bucket, fixed, segments, period): {(iy, ix): (events, sessions or None)}}."""
    out = {}
    for key, hits in drawn(result, result["plan"]["by"] if by is None else by, every).items():
        cells = defaultdict(list)
        for cell, event in hits:
            cells[cell].append(event)
        out[key] = {
            cell: (weigh(key[0], events), count_sessions(result, key[0], events)) for cell, events in cells.items()
        }
    return out


def layers(result, by=None, every=True) -> dict:
    """The same keys: (events, sessions or None) of each whole map."""
    return {
        key: (weigh(key[0], [e for _, e in hits]), count_sessions(result, key[0], [e for _, e in hits]))
        for key, hits in drawn(result, result["plan"]["by"] if by is None else by, every).items()
    }


def points(result) -> dict:
    """{layer: rows = used + outside + invalid}, in rows, whatever they weigh."""
    ledgers = {layer: {"rows": 0, "used": 0, "outside": 0, "invalid": 0} for layer in result["plan"]["maps"]}
    for event in result["events"]:
        for layer in ledgers.keys() & layers_of(result, event):
            ledgers[layer]["rows"] += 1
            if event["map_point"] is None:
                ledgers[layer]["invalid"] += 1
            elif cell_of(result["plan"], event["map_point"]) is None:
                ledgers[layer]["outside"] += 1
            else:
                ledgers[layer]["used"] += 1
    return ledgers


def summary(result) -> dict:
    """Totals of the run; ``first`` and ``last`` in ticks of the unit; ``None`` for what no column can give."""
    events, plan = result["events"], result["plan"]
    users = None
    if "users" in plan["distinct"] and result["has_users"]:
        users = len({e["user"] for e in events if e["user"] is not None})
    return {
        "rows": len(events),
        "sessions": result["sessions"],
        "resumed": result["resumed"],
        "views": sum(e["opens"] for e in events) if result["has_sessions"] else None,
        "users": users,
        "pages": len({e["page_key"] for e in events}),
        "features": len({e["feature"] for e in events if e["feature"] is not None}),
        "first": min((e["time"] for e in events), default=None),
        "last": max((e["time"] for e in events), default=None),
        "kinds": dict(Counter(e["kind"] for e in events)),
    }
