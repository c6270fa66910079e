"""The oracle of journeys: plain Python over the rows that ``sessions.resolve`` has put in order, importing nothing.

``funnel_level`` is ClickHouse's windowFunnel as its documentation and source have it: list the (time, step) of all
rows, sort, walk once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from oracle.sessions import kind_of, page_of, percentile

ENTRY, EXIT = "(entry)", "(exit)"


def by_session(result) -> list[list[dict]]:
    sessions = defaultdict(list)
    for event in result["events"]:
        sessions[event["session"]].append(event)
    return list(sessions.values())


def group_of(event, by, every) -> tuple:
    """The segments and the period of an event, of those that are asked for."""
    return (*(event["by"][name] for name in by), *([event["period"]] if every else []))


def steps_of(events, of) -> list[tuple[str, int, dict]]:
    """(name, ms, event) of each step: the openings of views, or where the feature changes or comes again in a new
    view."""
    steps, current = [], None
    for event in events:
        if event["opens"]:
            current = None
            if of == "pages":
                steps.append((event["page_key"], event["ms"], event))
        if of == "features" and event["feature"] is not None and event["feature"] != current:
            current = event["feature"]
            steps.append((current, event["ms"], event))
    return steps


def transitions(result, of, by=(), every=False) -> dict:
    """{(*group, from, to): columns}; the group is that of the step's event, an exit's that of the last step."""
    rows = defaultdict(lambda: {"count": 0, "sessions": 0, "times": []})
    for events in by_session(result):
        steps = steps_of(events, of)
        pairs = [((*group_of(b[2], by, every), a[0], b[0]), b[1] - a[1]) for a, b in pairwise(steps)]
        if steps:
            pairs.append(((*group_of(steps[0][2], by, every), ENTRY, steps[0][0]), None))
            pairs.append(((*group_of(steps[-1][2], by, every), steps[-1][0], EXIT), None))
        for pair, ms in pairs:
            rows[pair]["count"] += 1
            if ms is not None:
                rows[pair]["times"].append(ms)
        for pair in {pair for pair, _ in pairs}:
            rows[pair]["sessions"] += 1
    out_of, into = Counter(), Counter()
    for (*group, a, b), row in rows.items():
        out_of[*group, a] += row["count"]
        into[*group, b] += row["count"]
    return {
        (*group, a, b): {
            "count": row["count"],
            "sessions": row["sessions"],
            "p_out": row["count"] / out_of[*group, a],
            "p_in": row["count"] / into[*group, b],
            "p50_ms": percentile(row["times"], 50),
            "p95_ms": percentile(row["times"], 95),
        }
        for (*group, a, b), row in rows.items()
    }


def split_paths(result, of, by, every, steps) -> tuple[dict, dict]:
    """({(*group, path): sessions}, {(*group, step, name): sessions}): a session is of the group of its first step."""
    found, matrix = Counter(), Counter()
    for events in by_session(result):
        mine = steps_of(events, of)
        if not mine:
            continue
        group = group_of(mine[0][2], by, every)
        found[*group, tuple(name for name, *_ in mine)] += 1
        for at in range(steps):
            matrix[*group, at + 1, mine[at][0] if at < len(mine) else EXIT] += 1
    return dict(found), dict(matrix)


def split_funnel(result, steps, window_ms, strict, ticks, by, every) -> dict:
    """{group: (rows, drops)}: the funnel of the sessions whose first event of the first step is of the group."""
    groups = defaultdict(list)
    for events in by_session(result):
        first = [event for event in events if matches(steps[0], event, result["plan"])]
        if first:
            groups[group_of(first[0], by, every)] += events
    return {
        group: funnel({**result, "events": events}, steps, window_ms, strict, ticks) for group, events in groups.items()
    }


def paths(result, of) -> list[tuple[tuple[str, ...], int]]:
    """Whole paths and their sessions, by sessions, then names."""
    found = Counter(tuple(name for name, *_ in steps_of(events, of)) for events in by_session(result))
    found.pop((), None)
    return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))


def step_matrix(result, of, steps) -> dict:
    """{name: sessions by step}; (exit): paths that are over by then."""
    rows = defaultdict(lambda: [0] * steps)
    for path, sessions in paths(result, of):
        for at in range(steps):
            rows[path[at] if at < len(path) else EXIT][at] += sessions
    return {name: row for name, row in rows.items() if any(row)}


# ---- funnel


def matches(step, event, plan) -> bool:
    if "kind" in step and event["kind"] not in [kind_of(word, plan["kinds"]) for word in step["kind"]]:
        return False
    if "page" in step and event["page_key"] not in [page_of(page, plan["url_rules"]) for page in step["page"]]:
        return False
    return "feature" not in step or event["feature"] in step["feature"]


def listed(events, steps, plan) -> list[tuple[int, int]]:
    """(time, step from 1); 0 for a row of no step."""
    out = []
    for event in events:
        mine = [(event["time"], i) for i, step in enumerate(steps, 1) if matches(step, event, plan)]
        out += mine or [(event["time"], 0)]
    return out


def funnel_level(pairs, n, window, strict=()) -> tuple[int, list[tuple[int, int, int]]]:
    """(level, [(level that is done here, time, time of the level before)])."""
    chain, done = [None] * n, []

    def level():
        return max((i + 1 for i in range(n) if chain[i] is not None), default=0)

    for time, number in sorted(pairs):
        step = number - 1
        if step == -1:
            if "order" in strict and chain[0] is not None:
                return level(), done
            continue
        if step == 0:
            chain[0] = (time, time)
            done.append((1, time, time))
            if n == 1:
                return 1, done
            continue
        if "order" in strict and chain[0] is not None and chain[step - 1] is None:
            return level(), done
        if chain[step - 1] is not None:
            start, last = chain[step - 1]
            if time <= start + window and ("increase" not in strict or last < time):
                chain[step] = (start, time)
                done.append((step + 1, time, last))
                if step + 1 == n:
                    return n, done
    return level(), done


def funnel(result, steps, window_ms, strict, ticks) -> tuple[list[dict], list[tuple]]:
    """The rows of the funnel, and (step, what, name, sessions) of those who left."""
    plan, n = result["plan"], len(steps)
    levels, times = Counter(), defaultdict(list)
    went, clicked = Counter(), Counter()
    for events in by_session(result):
        level, done = funnel_level(listed(events, steps, plan), n, window_ms * ticks // 1000, strict)
        for reached in range(1, level + 1):
            levels[reached] += 1
            time, before = next((t, b) for which, t, b in done if which == reached)
            times[reached].append(time * 1000 // ticks - before * 1000 // ticks)
        if 0 < level < n:
            left_at = max(t for which, t, _ in done if which == level)
            going = [i for i, e in enumerate(events) if e["opens"] and e["time"] > left_at]
            went[level, events[going[0]]["page_key"] if going else EXIT] += 1
            until = events[: going[0]] if going else events
            last = [e["feature"] for e in until if e["kind"] == "click" and e["feature"] is not None]
            clicked[level, last[-1] if last else "(none)"] += 1
    rows = []
    for k in range(1, n + 1):
        before = levels[k - 1] if k > 1 else levels[1]
        rows.append(
            {
                "step": k,
                "sessions": levels[k],
                "rate_first": levels[k] / levels[1] if levels[1] else None,
                "rate_previous": levels[k] / before if before else None,
                "p50_ms": percentile(times[k], 50) if k > 1 else None,
                "left": levels[k] - levels[k + 1],
                "exits": went[k, EXIT],
            }
        )
    rows[-1]["left"] = 0
    drops = [(k, "next page", name, c) for (k, name), c in went.items()]
    drops += [(k, "last feature", name, c) for (k, name), c in clicked.items()]
    return rows, sorted(drops)


# ---- retention


def retention(result, weekly) -> list[dict]:
    """Rows (cohort, after, users, returned, rate) for each period a user was first seen in, up to the last of all."""
    seen, all_periods = defaultdict(set), set()
    for event in result["events"]:
        all_periods.add(event["returns"])
        if event["user"] is not None:
            seen[event["user"]].add(event["returns"])
    rows = []
    for cohort in sorted({min(periods) for periods in seen.values()}):
        users = [periods for periods in seen.values() if min(periods) == cohort]
        for after in range((max(all_periods) - cohort).days // (7 if weekly else 1) + 1):
            then = cohort + timedelta(weeks=after) if weekly else cohort + timedelta(days=after)
            returned = sum(then in periods for periods in users)
            rows.append({"cohort": label(cohort, weekly), "after": after, "users": len(users), "returned": returned,
                         "rate": returned / len(users)})  # fmt: skip
    return rows


def retention_by(result, weekly, by) -> dict:
    """{segments: rows}: of each combination that has users its own rows alone, up to the last period of all."""
    parts = defaultdict(list)
    for event in result["events"]:
        parts[tuple(event["by"][name] for name in by)].append(event)
    # a row of nobody in the last period, so that all parts end with it
    last = {"returns": max((event["returns"] for event in result["events"]), default=None), "user": None}
    found = {key: retention({"events": [*events, last]}, weekly) for key, events in parts.items()}
    return {key: rows for key, rows in found.items() if rows}


def label(day, weekly) -> str:
    year, week, _ = day.isocalendar()
    return f"{year:04d}-W{week:02d}" if weekly else day.isoformat()


def local_day(time, ticks, tz, weekly) -> date:
    """The local date of a time, or the Monday of its week."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time // ticks)
    day = moment.astimezone(ZoneInfo(tz)).date()
    return day - timedelta(days=day.weekday()) if weekly else day
