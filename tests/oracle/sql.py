"""The foreign oracle, and the peer of the benchmarks: click maps and dwell in DuckDB SQL over canonical columns.

``source`` is what stands after FROM (``parquet(paths)``, a table, a view); ``has`` names its columns, so that each
query reads only what is there. Kinds must be canonical words and times valid; ``time`` is a TIMESTAMP or a whole
number of ``ticks_per_second``. Rows of one time keep the order seq, filename, file_row_number, as far as they exist.
All windows of a stage share one partition and order, so that the database sorts once a stage: dwell needs one.
"""

from __future__ import annotations

import math

CANVAS = (0.0, 16_384.0, 0.0, 262_144.0)
BUCKET = """CASE WHEN width IS NULL THEN 'unknown' WHEN width < 600 THEN '0-600' WHEN width < 1024 THEN '600-1024'
                    WHEN width < 1440 THEN '1024-1440' ELSE '1440+' END"""
WAKING = "('visible', 'pageview', 'click', 'move', 'scroll', 'input')"


def parquet(paths) -> str:
    """The files, with what gives their rows a place: sorted paths, row numbers."""
    listed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in sorted(map(str, paths)))
    return f"read_parquet([{listed}], filename = true, file_row_number = true)"


def click_cells(source, has, *, cell=8.0, extent=CANVAS, ticks_per_second=None, by_view=True) -> str:
    """page, bucket, fixed, iy, ix, events, sessions of every cell clicked.

    ``by_view``: the bucket is that of the first known width in the click's view; else that of its own row (the same
    where every row carries its width and nobody resizes, and far cheaper).
    """
    width = "CASE WHEN viewport_w > 0 AND isfinite(CAST(viewport_w AS DOUBLE)) THEN viewport_w END"
    point = f"""CAST(x AS DOUBLE) AS x, CAST(y AS DOUBLE) AS y,
                   {"coalesce(CAST(fixed AS BOOLEAN), false)" if "fixed" in has else "false"} AS fixed,
                   {width if "viewport_w" in has else "CAST(NULL AS INTEGER)"} AS width"""
    if not by_view:
        return f"""
          WITH clicks AS (
            SELECT session, {_page(has)} AS page, {point}
            FROM {source} WHERE {_kind(has)} = 'click' AND session IS NOT NULL AND time IS NOT NULL)
          {_cells(cell, extent)}"""
    place = ", ".join(["time", *(["seq"] if "seq" in has else []), *_tie(has)])
    if "view" in has:
        numbered = "numbered AS (SELECT * EXCLUDE (width), width AS own_width FROM placed)"
        view = "session, view_of"
    else:
        numbered = f"""numbered AS (
            SELECT * EXCLUDE (width), width AS own_width, sum(CAST(opens AS INTEGER)) OVER (
                     PARTITION BY session, tab ORDER BY {_order(has)} ROWS UNBOUNDED PRECEDING) AS view_of
            FROM placed)"""
        view = "session, tab, view_of"
    same = " AND ".join(f"n.{column} IS NOT DISTINCT FROM w.{column}" for column in view.split(", "))
    return f"""{_placed(source, has, f"{place}, {point}", ticks_per_second)},
          {numbered},
          widths AS (
            SELECT {view}, first(own_width ORDER BY {_order(has)}) AS width
            FROM numbered WHERE own_width IS NOT NULL GROUP BY ALL),
          clicks AS (
            SELECT n.*, w.width FROM numbered n LEFT JOIN widths w ON {same} WHERE n.kind = 'click')
          {_cells(cell, extent)}"""


def dwell(source, has, *, key="feature", idle_ms=30_000, ticks_per_second=None) -> str:
    """``key`` (feature or page), events, clicks, sessions, dwell_ms, visits."""
    name = "feature" if key == "feature" else "coalesce(page, '(none)')"
    steps = f"""CASE WHEN lead(ms) OVER here - ms > {idle_ms} THEN {idle_ms} ELSE lead(ms) OVER here - ms END AS step,
                   lag({name}) OVER here AS name_before,
                   last_value(CASE WHEN kind = 'hidden' THEN true WHEN kind IN {WAKING} THEN false END IGNORE NULLS)
                     OVER upto AS hidden"""
    return f"""{_placed(source, has, "", ticks_per_second, steps)}
          SELECT {name} AS {key}, count(*) AS events, count(*) FILTER (WHERE kind = 'click') AS clicks,
                 count(DISTINCT session) AS sessions,
                 CAST(coalesce(sum(step) FILTER (WHERE hidden IS NOT TRUE), 0) AS BIGINT) AS dwell_ms,
                 count(*) FILTER (WHERE leaves OR name_before IS DISTINCT FROM {name}) AS visits
          FROM placed WHERE {name} IS NOT NULL
          GROUP BY ALL ORDER BY ALL"""


def transitions(source, has, *, ticks_per_second=None) -> str:
    """from, to (null outside), count, sessions, times (ms, sorted) of views that open one after the other."""
    name = "coalesce(page, '(none)')"
    return f"""{_placed(source, has, "", ticks_per_second)},
          steps AS (
            SELECT session, {name} AS page, ms, lag({name}) OVER journey AS before, lag(ms) OVER journey AS ms_before,
                   lead({name}) OVER journey IS NULL AS leaves
            FROM placed WHERE opens
            WINDOW journey AS (PARTITION BY session ORDER BY {_order(has)})),
          pairs AS (
            SELECT before AS "from", page AS "to", session, ms - ms_before AS took FROM steps
            UNION ALL SELECT page, NULL, session, NULL FROM steps WHERE leaves)
          SELECT "from", "to", count(*), count(DISTINCT session),
                 list_sort(list(took) FILTER (WHERE took IS NOT NULL))
          FROM pairs GROUP BY ALL"""


def _placed(source, has, columns, ticks_per_second, windows="") -> str:
    """CTE ``placed``: usable rows; ``opens``: it opens a view; ``leaves``: its view is not that of the row before."""
    tab, view, feature = (c if c in has else "CAST(NULL AS VARCHAR)" for c in ("tab", "view", "feature"))
    if "view" in has:
        anonymous = "'a' || coalesce('t' || tab, '')"
        now = f"coalesce('v' || last_value(view IGNORE NULLS) OVER upto, {anonymous})"
        before = f"coalesce('v' || last_value(view IGNORE NULLS) OVER before, {anonymous})"
        views = f"{now} AS view_of, row_number() OVER here = 1 OR {now} <> {before} AS leaves"
    else:
        # the page of the view before this row; chr(0) where a pageview without page opened it
        mark = "CASE WHEN page IS NOT NULL THEN page WHEN kind = 'pageview' THEN chr(0) END"
        opens = f"""row_number() OVER here = 1 OR kind = 'pageview' OR (
                     page IS NOT NULL AND page IS DISTINCT FROM last_value({mark} IGNORE NULLS) OVER before)"""
        views = f"{opens} AS opens, opens AS leaves"
    return f"""
          WITH rows AS (
            SELECT session, {tab} AS tab, {view} AS view, {_page(has)} AS page, {feature} AS feature,
                   {_kind(has)} AS kind,
                   {_millis(ticks_per_second)} AS ms, {columns or ", ".join(["time", *_tie(has), *_seq(has)])}
            FROM {source} WHERE session IS NOT NULL AND time IS NOT NULL),
          placed AS (
            SELECT *, {views}{", " + windows if windows else ""}
            FROM rows
            WINDOW here AS (PARTITION BY session, tab ORDER BY {_order(has)}),
                   upto AS (PARTITION BY session, tab ORDER BY {_order(has)} ROWS UNBOUNDED PRECEDING),
                   before AS (PARTITION BY session, tab ORDER BY {_order(has)}
                              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))"""


def _cells(cell, extent) -> str:
    x0, x1, y0, y1 = (float(v) for v in extent)
    nx, ny = math.ceil((x1 - x0) / cell), math.ceil((y1 - y0) / cell)
    fx, fy = f"(x - {_f64(x0)}) / {_f64(cell)}", f"(y - {_f64(y0)}) / {_f64(cell)}"
    return f"""SELECT coalesce(page, '(none)') AS page, {BUCKET} AS bucket, fixed,
                 CAST(floor({fy}) AS BIGINT) AS iy, CAST(floor({fx}) AS BIGINT) AS ix,
                 count(*) AS events, count(DISTINCT session) AS sessions
          FROM clicks
          WHERE isfinite(x) AND isfinite(y) AND {fx} >= 0 AND {fx} < {nx} AND {fy} >= 0 AND {fy} < {ny}
          GROUP BY ALL ORDER BY ALL"""


def _f64(value) -> str:
    """A literal that is a double: 8.0 alone would be a decimal."""
    return f"CAST({float(value)!r} AS DOUBLE)"


def _page(has) -> str:
    return "page" if "page" in has else "'(all)'"


def _kind(has) -> str:
    """Without a column of kinds, points are clicks."""
    return "coalesce(kind, 'custom')" if "kind" in has else "'click'" if {"x", "y"} <= set(has) else "'custom'"


def _seq(has) -> list[str]:
    return ["seq"] if "seq" in has else []


def _tie(has) -> list[str]:
    return [column for column in ("filename", "file_row_number") if column in has]


def _order(has) -> str:
    return ", ".join(["time", *(f"{column} NULLS FIRST" for column in _seq(has)), *_tie(has)])


def _millis(ticks_per_second) -> str:
    """``time`` floored to whole milliseconds."""
    if ticks_per_second is None:
        return "epoch_us(time) // 1000"  # epoch_ms rounds
    if ticks_per_second <= 1000:
        return f"time * {1000 // ticks_per_second}"
    return f"time // {ticks_per_second // 1000}"


def rage(source, rule) -> str:
    """page, feature, flagged clicks, sessions of a rule of repeated clicks that flags once a group.

    Clicks are islands between those that the rule cannot link to the click before; where it begins anew after each
    group every n-th of an island is flagged, else each click that ends a group and follows none that does.
    """
    n = rule["n"]
    links = ["true"]
    if rule["gap_ms"] is not None:
        links.append(f"ms - lag(ms) OVER here < {rule['gap_ms']}")
    if rule["same_feature"]:
        links.append("feature = lag(feature) OVER here")
    point = "isfinite(x) AND isfinite(y) AND isfinite(lag(x) OVER here) AND isfinite(lag(y) OVER here)"
    dx, dy = (f"(CAST({c} AS DOUBLE) - CAST(lag({c}) OVER here AS DOUBLE))" for c in "xy")
    if rule["radius_px"] is not None and rule["metric"] == "l1":
        links.append(f"{point} AND abs({dx}) + abs({dy}) < {rule['radius_px']}")
    if rule["radius_px"] is not None and rule["metric"] == "l2":
        links.append(f"{point} AND {dx} * {dx} + {dy} * {dy} < {rule['radius_px'] ** 2}")
    holds = [f"count(*) OVER last = {n}", *(["feature IS NOT NULL"] if rule["same_feature"] else [])]
    if rule["span_ms"] is not None:
        holds.append(f"ms - min(ms) OVER last <= {rule['span_ms']}")
    if rule["radius_px"] is not None and rule["metric"] == "box":
        holds += [f"isfinite(max({c}) OVER last) AND max({c}) OVER last - min({c}) OVER last <= {rule['radius_px']}"
                  for c in "xy"]  # fmt: skip
    ends = f"number % {n} = 0" if rule["restart"] else "holds AND NOT coalesce(lag(holds) OVER here, false)"
    here = "here AS (PARTITION BY session, tab ORDER BY time, file_row_number)"
    island = "PARTITION BY session, tab, island ORDER BY time, file_row_number"
    return f"""
      WITH linked AS (
        SELECT *, coalesce({" AND ".join(f"({link})" for link in links)}, false) AS link
        FROM (SELECT session, tab, time, file_row_number, page, feature, x, y, epoch_us(time) // 1000 AS ms
              FROM {source} WHERE kind = 'click')
        WINDOW {here}),
      islands AS (
        SELECT *, sum(CAST(NOT link AS INTEGER)) OVER (here ROWS UNBOUNDED PRECEDING) AS island FROM linked
        WINDOW {here}),
      held AS (
        SELECT *, row_number() OVER ({island}) AS number, {" AND ".join(f"({h})" for h in holds)} AS holds
        FROM islands
        WINDOW last AS ({island} ROWS BETWEEN {n - 1} PRECEDING AND CURRENT ROW)),
      flagged AS (SELECT *, {ends} AS flag FROM held WINDOW {here})
      SELECT coalesce(page, '(none)'), coalesce(feature, '(none)'), count(*), count(DISTINCT session)
      FROM flagged WHERE flag GROUP BY ALL"""


def scroll(source, has, *, band=16, heights=(0, 800, 1600), idle_ms=30_000, ticks_per_second=None) -> tuple[str, str]:
    """Two queries: page, bucket, level (reach // band), views, sessions that reach into it, no farther; and page, ms
    that each of ``heights`` was in the window. Rows tell scroll_y and page_h; a missing viewport_h is the last."""
    place = ", ".join(["time", *_tie(has)])
    columns = f"""{place}, CAST(scroll_y AS DOUBLE) AS scroll_y, CAST(page_h AS DOUBLE) AS page_h, viewport_h,
                   CASE WHEN viewport_w > 0 THEN viewport_w END AS width"""
    windows = f"""last_value(CASE WHEN viewport_h > 0 THEN viewport_h END IGNORE NULLS) OVER upto AS high,
                   least(lead(ms) OVER here - ms, CASE WHEN lead(ms) OVER here IS NOT NULL THEN {idle_ms} END) AS step,
                   last_value(CASE WHEN kind = 'hidden' THEN true WHEN kind IN {WAKING} THEN false END IGNORE NULLS)
                     OVER upto AS hidden"""
    placed = _placed(source, has, columns, ticks_per_second, windows)
    order = _order(has)
    reach = f"""{placed},
          numbered AS (
            SELECT *, sum(CAST(opens AS INTEGER)) OVER (
                     PARTITION BY session, tab ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS view_of
            FROM placed),
          views AS (
            SELECT session, tab, view_of, coalesce(first(page ORDER BY {order}), '(none)') AS page,
                   first(width ORDER BY {order}) FILTER (width IS NOT NULL) AS width,
                   max(least(scroll_y + high, page_h)) AS reach
            FROM numbered GROUP BY ALL HAVING reach IS NOT NULL),
          placed_views AS (
            SELECT session, page, {BUCKET} AS bucket, CAST(floor(reach / {band}) AS BIGINT) AS level FROM views),
          farthest AS (SELECT session, page, bucket, max(level) AS level FROM placed_views GROUP BY ALL)
          SELECT page, bucket, level, sum(views), sum(sessions) FROM (
            SELECT page, bucket, level, count(*) AS views, 0 AS sessions FROM placed_views GROUP BY ALL
            UNION ALL SELECT page, bucket, level, 0, count(*) FROM farthest GROUP BY ALL)
          GROUP BY ALL"""
    seen = ", ".join(
        f"CAST(coalesce(sum(step) FILTER (scroll_y <= {y} AND {y} < scroll_y + high), 0) AS BIGINT)" for y in heights
    )
    attention = f"{placed} SELECT coalesce(page, '(none)'), {seen} FROM placed WHERE hidden IS NOT TRUE GROUP BY 1"
    return reach, attention
