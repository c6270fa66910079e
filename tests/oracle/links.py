"""Which sessions with a link clicked where: the sample of each area, by sorting all of them."""

from __future__ import annotations

from collections import defaultdict

from oracle import sessions as oracle


def is_web(url: str) -> bool:
    """An address that a page may link to, in visible letters."""
    scheme, sign, rest = url.partition("://")
    plain = all(ch.isprintable() and not ch.isspace() and ch not in "<>\"'`\\" for ch in url)
    return scheme.lower() in ("http", "https") and bool(sign and rest) and plain and len(url.encode()) <= 1000


def links(files, plan, unit, columns, rank_of, most, kept):
    """({(page, fixed, bucket, area row, area column): [(rank, url)]}, {rank}, the ledger of clicks with a link).

    rank_of(row): of its session, or of its link. most : sessions that are looked at; kept : of an area.
    """
    reader = oracle._Reader({**oracle.PLAN, **plan}, unit, set(columns))
    best = {}
    for rows in files:
        for row in rows:
            kind = reader.only_kind or oracle.kind_of(row["kind"], reader.plan["kinds"])
            url = row.get("replay_url")
            if kind != "click" or url is None or reader._unusable(row) or not is_web(url):
                continue
            best[rank_of(row)] = min(best.get(rank_of(row), url), url)
    result = oracle.resolve(files, plan, unit=unit, columns=columns)
    points = {"rows": 0, "used": 0, "outside": 0, "invalid": 0}
    areas = defaultdict(set)
    for event in result["events"]:
        url = event["row"].get("replay_url")
        if event["kind"] != "click" or url is None:
            continue
        points["rows"] += 1
        point = event["map_point"] if is_web(url) else None
        cell = None if point is None else oracle.cell_of(result["plan"], point)
        became = "invalid" if point is None else "outside" if cell is None else "used"
        points[became] += 1
        if cell is None:
            continue
        rank = rank_of(event["row"])
        width = _told_by(event)
        if result["plan"]["widths"] != "bucket":
            width = result["plan"]["reference"]
        elif width is None and result["has_sessions"] and "viewport_w" in columns:
            continue
        place = (event["page_key"], event["fixed"], oracle.bucket_of(width), cell[0] // 4, cell[1] // 4)
        areas[place].add(rank)
    near = set(sorted(best)[:most])
    found = {}
    for place, ranks in areas.items():
        mine = sorted(ranks)[:kept]
        if mine[0] in near:
            found[place] = [(rank, best[rank]) for rank in mine if rank in near]
    return found, near, points


def _told_by(event):
    """The width that the view of an event has told until then."""
    for other in event["view"]["events"]:
        if other["width"] is not None:
            return other["width"]
        if other is event:
            return None
    return None
