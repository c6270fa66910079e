"""The feature table: a row for each page and feature (segment and period), what was seen of it and what came of it."""

from __future__ import annotations

from itertools import groupby
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from heatgrid.engine import friction, refuse
from heatgrid.engine.finish import UNLOCK, free_name, percentiles, visible_rows
from heatgrid.engine.intervals import FEW, mark, wilson, worth
from heatgrid.states.state import EXPOSURE_FIELDS, EXPOSURE_PAGE_FIELDS, SQUARES, Ints, State, Table
from heatgrid.words.errors import UsageError

NEEDED = ("scroll_y", "viewport_h")
UNDERUSED_UNITS, UNDERUSED_SHARE, UNDERUSED_AMONG, UNDERUSED_PART = 200, (1, 5), 5, 4
"""Exposed units at least; share of the page's views at least; such features at least; part of their median."""
COLUMNS = {
    "page_views": pa.int64(), "page_sessions": pa.int64(), "exposed_views": pa.int64(), "exposed_sessions": pa.int64(),
    "exposed_units": pa.int64(), "exposure_ms": pa.int64(), "clicks": pa.int64(), "clicks_unexposed": pa.int64(),
    "views_clicked": pa.int64(),
    "sessions_clicked": pa.int64(), "ctr": pa.float64(), "ctr_low": pa.float64(), "ctr_high": pa.float64(),
    "click_rate_view": pa.float64(), "click_rate_view_low": pa.float64(), "click_rate_view_high": pa.float64(),
    "click_rate_session": pa.float64(), "click_rate_session_low": pa.float64(),
    "click_rate_session_high": pa.float64(), "recurrence": pa.float64(), "share": pa.float64(),
    "first_click_ms": pa.int64(), "hesitation_ms": pa.int64(), "hover_ms": pa.int64(), "views_hovered": pa.int64(),
    "engagement": pa.float64(), "goal_sessions": pa.int64(), "goal_rate": pa.float64(), "goal_rate_low": pa.float64(),
    "goal_rate_high": pa.float64(), "unclicked_sessions": pa.int64(), "unclicked_goal_sessions": pa.int64(),
    "unclicked_goal_rate": pa.float64(), "unclicked_goal_rate_low": pa.float64(),
    "unclicked_goal_rate_high": pa.float64(), "underused": pa.bool_(), "small": pa.string(),
}  # fmt: skip
_GOAL = tuple(name for name in COLUMNS if "goal" in name or name == "unclicked_sessions")
_HOVER = ("hover_ms", "views_hovered", "engagement", "hesitation_ms")
_TIMED = ("exposure_ms", "first_click_ms", "hover_ms", "hesitation_ms")


def missing(state: State) -> str | None:
    """Why there is no exposure in a state whose plan asks for it: what lacks, and what would unlock it."""
    if not state.plan.known_layout:
        return (
            "no layout is known before the pass (--layout FILE, as heatgrid layout EVENTS -o FILE writes it from the "
            "boxes of rows, and heatgrid snapshot RECORDINGS -o DIR from pages of rrweb; or --areas FILE)"
        )
    limited = any(a.min_width is not None or a.max_width is not None for a in state.plan.known_layout)
    needed = (*NEEDED, *(["viewport_w"] if limited else []))
    lacking = [name for name in needed if name not in state.has]
    if lacking:
        options = " ".join(f"--map {name}=COLUMN" for name in lacking)
        return f"no column for {' and '.join(lacking)} ({options})"
    if state.session_ids is None:
        return f"no sessions: {UNLOCK}"
    return refuse.refused(state).get("exposure")


def exposure_table(state: State, by: bool = True, every: bool = True) -> pa.Table:
    """One row a page and feature, with segments and period where they are asked for. Empty where the source cannot give
    it (``missing``).

    What a view does counts under the page, segment and period that it began with; so do its clicks.
    page_views, page_sessions : of the page. exposed_* : with the feature's mid-height line in the window for 150 ms in
    one stretch, or a click on it (clicks_unexposed: those of views without such a stretch).
    ctr : views clicked of those exposed; click_rate_* : of all of the page; each with its 95 % interval. The units of
    chance are users with distinct=("users",) and a user column (exposed_units; a session without a user is its own),
    else sessions. Rates are None below 30 units, and ``small`` says few (below 30 exposed units) or low (below 100).
    goal_* : of the sessions that clicked those that reached the goal later; unclicked_* : of those that were exposed
    and did not click. An association, no effect.

    Errors: UsageError HG1550 (the plan does not count it), HG1551 (no such grouping).
    """
    plan = state.plan
    if not plan.exposure:
        raise UsageError(
            "the plan does not count exposure", code="HG1550", where="exposure",
            hint="layout='layout.csv' in the plan, --layout FILE; or exposure=True with areas",
        )  # fmt: skip
    extras = [*(["segment"] if by and plan.by else []), *(["period"] if every and plan.every else [])]
    whole = [*(["segment"] if plan.by else []), *(["period"] if plan.every else [])]
    if extras and extras != whole:
        raise UsageError(
            "exposure is counted whole, and split by all that the plan names", code="HG1551", where="by / every",
            value=" and ".join(extras), expected="neither, or " + " and ".join(whole),
        )  # fmt: skip
    tail = "".join(f"|{extra}" for extra in extras)
    table = state.tables.get("exposure" + tail)
    if table is None or missing(state) is not None:
        segments = [f"by:{name}" for name in plan.by if "segment" in extras]
        dims = ("page", *segments, *(["period"] if "period" in extras else []), "feature")
        table = Table(dims, EXPOSURE_FIELDS, *(np.zeros((0, n), np.int64) for n in (len(dims), 0, 3)))
    kept = visible_rows(state, table) if len(table.keys) else np.zeros(0, np.intp)
    rows = _rows(state, tail, table, kept.tolist())
    return _named(state, table, kept, rows)


def _named(state: State, table: Table, kept: Any, rows: list[dict[str, Any]]) -> pa.Table:
    """Page, feature, segments, period; then the columns that this plan and source give."""
    out: dict[str, Any] = {}
    own = (*COLUMNS, *friction.FAMILIES)
    for d in (0, len(table.dims) - 1, *range(1, len(table.dims) - 1)):
        names = np.array(state.names.get(table.dims[d], []), object)
        out[free_name(table.dims[d], out, own)] = pa.array(names[table.keys[kept, d]], pa.string())
    for name, kind in COLUMNS.items():
        if state.plan.goal_steps or name not in _GOAL:
            out[name] = pa.array([row[name] for row in rows], kind)
    for family, flagged in _friction(state, table).items():
        out[family] = pa.array(flagged[kept], pa.int64(), mask=flagged[kept] < 0)
    return pa.table(out)


def _rows(state: State, tail: str, table: Table, kept: list[int]) -> list[dict[str, Any]]:
    n = len(EXPOSURE_PAGE_FIELDS)
    pages = {key[:-n]: dict(zip(EXPOSURE_PAGE_FIELDS, key[-n:], strict=True)) for key in _joined(state, tail)}
    page_units, units = _units(state, tail)
    medians = _medians(state, tail)
    off = _off(state)
    rows = []
    for i in kept:
        *key, feature = table.keys[i].tolist()
        counts = dict(zip(EXPOSURE_FIELDS, table.values[i].tolist(), strict=True))
        page = pages[tuple(key)]
        squares = {name: _square(counts, name) for name in SQUARES} | {"views_views": _square(page, "views_views")}
        for name, more in (units.get((*key, feature), {}) | page_units.get(tuple(key), {})).items():
            squares[name] = squares.get(name, 0) + more
        squares["units"] = counts["alone"] + squares.get("units", 0)
        squares["page_units"] = page["alone"] + squares.get("page_units", 0)
        row = _row(counts, page, squares)
        for which, name in enumerate(("first_click_ms", "hesitation_ms")):
            row[name] = medians.get((*key, feature, which))
        row["underused"] = None
        rows.append(row | dict.fromkeys(off))
    _underused(rows, [tuple(table.keys[i, :-1].tolist()) for i in kept])
    return rows


def _joined(state: State, tail: str) -> list[tuple[int, ...]]:
    pages = state.tables.get("exposure_pages" + tail)
    return [] if pages is None else list(map(tuple, np.column_stack([pages.keys, pages.values]).tolist()))


def _medians(state: State, tail: str) -> dict[tuple[int, ...], int]:
    measured = state.tables.get("exposure_ms" + tail)
    if measured is None:
        return {}
    return dict(zip(map(tuple, measured.keys.tolist()), percentiles(measured, (50,))[:, 0].tolist(), strict=True))


Sums = dict[tuple[int, ...], dict[str, int]]


def _units(state: State, tail: str) -> tuple[Sums, Sums]:
    """By page, and by page and feature: how many users there were, and the sums of their products."""
    pages, cells = (state.tables.get(name + tail) for name in ("exposure_page_users", "exposure_users"))
    if pages is None or cells is None or not len(pages.keys):
        return {}, {}
    views = pages.values[:, 0]
    of_page = dict(zip(map(tuple, pages.keys.tolist()), views.tolist(), strict=True))
    width = len(pages.dims)
    seen, clicked = cells.values.T
    there = cells.keys[:, [*range(width), width + 1, width + 2]]
    page_views = np.array([of_page[key] for key in map(tuple, there.tolist())], np.int64)
    found = _summed(pages.keys[:, :width], {"page_units": np.ones_like(views), "views_views": views * views})
    products = {
        "units": np.ones_like(seen), "clicked_clicked": clicked * clicked, "clicked_exposed": clicked * seen,
        "exposed_exposed": seen * seen, "clicked_views": clicked * page_views,
    }  # fmt: skip
    return found, _summed(cells.keys[:, : width + 1], products)


def _summed(keys: Ints, values: dict[str, Ints]) -> Sums:
    """Sums of rows of equal keys (those of a state are sorted), as whole numbers of any size."""
    if not len(keys):
        return {}
    first = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)])
    out: Sums = {key: {} for key in map(tuple, keys[first].tolist())}
    for name, numbers in values.items():
        low, high = (np.add.reduceat(part, first).tolist() for part in (numbers & 0xFFFFFFFF, numbers >> 32))
        for sums, a, b in zip(out.values(), low, high, strict=True):
            sums[name] = a + (b << 32)
    return out


def _off(state: State) -> list[str]:
    """Columns that the evidence does not bear."""
    told = refuse.evidence(state)
    off = [] if told.moves not in ("rest", "none") else list(_HOVER)
    return [*off, *_TIMED] if told.time_quality == "ping" else off


def _square(counts: dict[str, int], name: str) -> int:
    return counts[f"{name}_low"] + (counts[f"{name}_high"] << 32)


def _row(counts: dict[str, int], page: dict[str, int], squares: dict[str, int]) -> dict[str, Any]:
    """One row, but for medians and what needs other rows."""
    c, v, seen, units = counts["views_clicked"], counts["exposed_views"], counts["sessions"], squares["units"]
    c2, ce, e2, cv = (squares[name] for name in SQUARES)
    clicked = counts["sessions_clicked"]
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {name: counts[name] for name in EXPOSURE_FIELDS if name in COLUMNS}
    row |= {
        "page_views": page["views"], "page_sessions": page["sessions"], "exposed_sessions": seen,
        "exposed_units": units, "unclicked_sessions": seen - clicked,
        "unclicked_goal_sessions": counts["goal_unclicked"],
        "small": mark(units),
    }  # fmt: skip
    if units >= FEW:
        _rate(row, "ctr", c / v, worth(units, c, v, c2, ce, e2))
    if squares["page_units"] >= FEW:
        views, all_units = page["views"], squares["page_units"]
        _rate(row, "click_rate_view", c / views, worth(all_units, c, views, c2, cv, squares["views_views"]))
        _rate(row, "click_rate_session", clicked / page["sessions"], page["sessions"])
        row["share"] = counts["clicks"] / page["clicks"] if page["clicks"] else None
        row["engagement"] = c / counts["views_hovered"] if counts["views_hovered"] else None
    if clicked >= FEW:
        row["recurrence"] = counts["clicks"] / c
        _rate(row, "goal_rate", counts["goal_sessions"] / clicked, clicked)
    if seen - clicked >= FEW:
        _rate(row, "unclicked_goal_rate", counts["goal_unclicked"] / (seen - clicked), seen - clicked)
    return row


def _rate(row: dict[str, Any], name: str, rate: float, n: float) -> None:
    row[name] = rate
    row[f"{name}_low"], row[f"{name}_high"] = wilson(rate, n)


def _underused(rows: list[dict[str, Any]], keys: list[tuple[int, ...]]) -> None:
    """Seen by many and used by few, among the features of a page that many see."""
    order = sorted(range(len(rows)), key=lambda i: keys[i])
    part, of = UNDERUSED_SHARE
    for _, group in groupby(order, key=lambda i: keys[i]):
        seen = [
            rows[i] for i in group
            if rows[i]["exposed_units"] >= UNDERUSED_UNITS
            and rows[i]["exposed_views"] * of >= rows[i]["page_views"] * part
        ]  # fmt: skip
        if len(seen) >= UNDERUSED_AMONG:
            usual = median(row["ctr"] for row in seen)
            for row in seen:
                row["underused"] = row["ctr_high"] < usual / UNDERUSED_PART


def _friction(state: State, table: Table) -> dict[str, Any]:
    """Flagged clicks by family, as columns; -1: refused."""
    return friction.flagged_at(state, table) if state.plan.friction else {}
