"""Scroll and attention as tables: pages with their folds and reaches, the two curves, the counts that others give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from heatgrid.cpu.scroll import FOLD, PAGE, POSTHOG, REACH, SNOWPLOW
from heatgrid.engine import refuse
from heatgrid.engine.finish import UNLOCK, free_name, percentiles, visible_rows
from heatgrid.states.state import Ints, State, Table
from heatgrid.words.errors import UsageError, nearest
from heatgrid.words.plan import BUCKETS

SHOW = ("pages", "reach", "attention", "snowplow", "posthog")
NEEDED = ("scroll_y", "viewport_h")
TALLEST = 20_000
"""Px: no page is taken to be higher."""
FEW = 30
"""Below so many sessions counts are given, and no shares."""
_OWN = ("bucket", "views", "sessions", "page_h", "clicks", "below", "y", "share", "attention_ms", "percent", "px")


def missing(state: State) -> str | None:
    """Why there is no scroll in a state whose plan asks for it: what lacks, and what would unlock it."""
    lacking = [name for name in NEEDED if name not in state.has]
    if lacking:
        options = " ".join(f"--map {name}=COLUMN" for name in lacking)
        return f"no column for {' and '.join(lacking)} ({options})"
    return f"no sessions: {UNLOCK}" if state.session_ids is None else refuse.refused(state).get("scroll")


def scroll_table(state: State, show: str, by: bool = True, every: bool = True) -> pa.Table:
    """One of ``SHOW``, by page, segments and period where they are asked for, and width bucket. Empty where the source
    cannot give it (``missing``).

    pages : views, sessions, page_h (px; None if it grows), reach_p50, reach_p90, reach_share (of page_h), fold_p10,
        fold_p50, fold_p90 (bottom of the first window, px), clicks (with a point, not fixed), below (the fold),
        below_share, seen_ms (dwell with a known window), growing (views in which the page grew by more than 20 %),
        unseen (views without a window).
    reach : by y (px, the first of each band): views and sessions that saw it, and their shares.
    attention : by y: ms that it was in the window, and ms for each view.
    snowplow : by percent (0 to 100): views that got so far, no farther. posthog : the same by px, in hundreds.

    Errors: UsageError HG1520 (the plan does not count it), HG1521 (no such table or grouping).
    """
    if not state.plan.scroll:
        raise UsageError(
            "the plan does not count scrolls", code="HG1520", where="scroll", hint="scroll=True in the plan, --scroll"
        )
    if show not in SHOW:
        raise UsageError("no such table of scrolls", code="HG1521", where="show", value=show, hint=nearest(show, SHOW))
    extras = [*(["segment"] if by and state.plan.by else []), *(["period"] if every and state.plan.every else [])]
    whole = [*(["segment"] if state.plan.by else []), *(["period"] if state.plan.every else [])]
    if extras and extras != whole:
        raise UsageError(
            "scrolls are counted whole, and split by all that the plan names", code="HG1521", where="by / every",
            value=" and ".join(extras), expected="neither, or " + " and ".join(whole),
        )  # fmt: skip
    tail = "".join(f"|{extra}" for extra in extras)
    pages = state.tables.get("scroll" + tail)
    unwatched = refuse.unwatched(state) is not None
    if pages is None or missing(state) is not None or (show == "attention" and unwatched):
        dims = ("page", *(f"by:{name}" for name in state.plan.by if "segment" in extras), *extras[-1:])
        own = tuple(dim for dim in dims if dim != "segment")
        nothing = np.zeros((0, 3), np.int64)
        pages = Table(own, (), np.zeros((0, len(own) + 1), np.int64), np.zeros((0, 7), np.int64), nothing)
        return _named(state, pages, np.zeros(0, np.intp), _made(show, state, "", pages, np.zeros(0, np.intp))[1])
    rows, columns = _made(show, state, tail, pages, visible_rows(state, pages))
    return _named(state, pages, rows, columns)


def cells_missing(state: State) -> str | None:
    """Why there are no cells of PostHog's in a state whose plan asks for them."""
    lacking = [name for name in ("x", "y", "viewport_w") if name not in state.has]
    if lacking:
        return f"no column for {' and '.join(lacking)} ({' '.join(f'--map {name}=COLUMN' for name in lacking)})"
    if state.plan.min_sessions > 1:
        return "sessions are not counted in these cells, so that none could be withheld (--min-sessions 0)"
    return None


def cells_table(state: State, by: bool = True, every: bool = True) -> pa.Table:
    """Clicks as PostHog keeps them: page, segments and period where asked for, fixed, x (share of the window, to two
    decimals), y (px), clicks. Empty where the source cannot give them.

    Errors: UsageError HG1523 (the plan does not count them).
    """
    if not state.plan.posthog_cells:
        raise UsageError(
            "the plan does not count PostHog's cells", code="HG1523", where="posthog_cells",
            hint="posthog_cells=True in the plan, heatgrid map --cells posthog",
        )  # fmt: skip
    split = (by and bool(state.plan.by)) or (every and state.plan.every is not None)
    names = [name for name in state.tables if name.partition("|")[0] == "posthog_cells"]
    table = state.tables.get(max(names, key=len) if names and split else "posthog_cells")
    if table is None or cells_missing(state):
        table = Table(
            ("page",), ("clicks",), np.zeros((0, 4), np.int64), np.zeros((0, 1), np.int64), np.zeros((0, 3), np.int64)
        )
    out: dict[str, Any] = {}
    for d, dim in enumerate(table.dims):
        named = np.array(state.names.get(dim, []), object)
        out[free_name(dim, out, ("fixed", "x", "y", "clicks"))] = pa.array(named[table.keys[:, d]], pa.string())
    fixed, share, y = table.keys[:, -3:].T
    out |= {"fixed": pa.array(fixed == 1), "x": pa.array(share / 100.0), "y": pa.array(y * 16)}
    return pa.table({**out, "clicks": pa.array(table.values[:, 0])})


def _made(show: str, state: State, tail: str, pages: Table, kept: Any) -> tuple[Any, dict[str, pa.Array]]:
    """For each row of a table the row of ``pages`` that it belongs to, and its own columns."""
    if show == "pages":
        return kept, _pages(state, tail, pages, kept)
    if show in ("snowplow", "posthog"):
        return _shares(state, tail, pages, kept, show)
    return _curve(state, tail, pages, kept, show)


def _named(state: State, pages: Table, rows: Any, columns: dict[str, pa.Array]) -> pa.Table:
    """The names of the pages' dimensions, then what was made."""
    out: dict[str, Any] = {}
    for d, dim in enumerate(pages.dims):
        names = np.array(state.names.get(dim, []), object)
        out[free_name(dim, out, (*_OWN, *columns))] = pa.array(names[pages.keys[rows, d]], pa.string())
    out["bucket"] = pa.array(np.array(BUCKETS, object)[pages.keys[rows, -1]], pa.string())
    return pa.table({**out, **columns})


def _at(pages: Table, other: Table) -> Ints:
    """The row of ``pages`` for each row of a table with further columns of keys; -1: none."""
    width = pages.keys.shape[1]
    place = {key: i for i, key in enumerate(map(tuple, pages.keys.tolist()))}
    return np.array([place.get(key, -1) for key in map(tuple, other.keys[:, :width].tolist())], np.int64)


def _pages(state: State, tail: str, pages: Table, kept: Any) -> dict[str, pa.Array]:
    n = len(pages.keys)
    views, unseen, growing, clicks, below, seen, sessions = pages.values.T
    px = {name: np.full(n, -1, np.int64) for name in ("p10", "p50", "p90", "reach_p50", "reach_p90", "page_h")}
    measured = state.tables.get("scroll_px" + tail)
    if measured is not None:
        found = percentiles(measured, (10, 50, 90, 99))
        row, what = _at(pages, measured), measured.keys[:, -1]
        for name, kind, percent in (
            ("p10", FOLD, 0), ("p50", FOLD, 1), ("p90", FOLD, 2), ("reach_p50", REACH, 1), ("reach_p90", REACH, 2),
            # where no row tells it the page is as high as nearly all reach, at most
            ("page_h", REACH, 3), ("page_h", PAGE, 1),
        ):  # fmt: skip
            mine = (what == kind) & (row >= 0)
            px[name][row[mine]] = found[mine, percent]
    height = np.minimum(px["page_h"], TALLEST)
    known, small = height > 0, sessions < FEW
    reach = np.minimum(px["reach_p50"], height) / np.maximum(height, 1)

    def ints(values: Any, mask: Any = None) -> pa.Array:
        return pa.array(values[kept], pa.int64(), mask=None if mask is None else mask[kept])

    def share(values: Any, mask: Any) -> pa.Array:
        return pa.array(values[kept], pa.float64(), mask=(mask | small)[kept])

    out = {"views": ints(views), "sessions": ints(sessions), "page_h": ints(height, ~known | (growing > 0))}
    out |= {name: ints(px[name], px[name] < 0) for name in ("reach_p50", "reach_p90")}
    out["reach_share"] = share(reach, ~known | (growing > 0))
    out |= {f"fold_{name}": ints(px[name], px[name] < 0) for name in ("p10", "p50", "p90")}
    out |= {"clicks": ints(clicks), "below": ints(below)}
    out["below_share"] = share(below / np.maximum(clicks, 1), clicks == 0)
    return out | {
        "seen_ms": ints(seen, np.full(n, refuse.untimed(state) is not None)),
        "growing": ints(growing),
        "unseen": ints(unseen),
    }


def _groups(pages: Table, kept: Any, other: Table) -> Iterator[tuple[int, Ints, Ints]]:
    """(row of pages, numbers, values) of a table whose last key is a number, for the rows that are kept."""
    row = _at(pages, other)
    shown = np.isin(row, kept)
    order = np.flatnonzero(shown)
    order = order[np.argsort(row[order], kind="stable")]
    for part in np.split(order, np.flatnonzero(np.diff(row[order])) + 1):
        if len(part):
            yield int(row[part[0]]), other.keys[part, -1], other.values[part]


def _curve(state: State, tail: str, pages: Table, kept: Any, show: str) -> tuple[Any, dict[str, pa.Array]]:
    bands = state.tables.get("scroll_bands" + tail)
    parts: list[tuple[Any, ...]] = []
    for row, band, values in _groups(pages, kept, bands) if bands is not None else ():
        curve = np.zeros((int(band.max()) + 1, 3), np.int64)
        curve[band] = values
        # as many reach y as reach at least into its band; attention is the sum of its changes
        reached = np.cumsum(curve[::-1, 1:], axis=0)[::-1]
        last = int(np.flatnonzero(reached[:, 0]).max(initial=-1)) + 1
        attention = np.cumsum(curve[:, 0])
        # what few have seen is withheld: reach never rises, so that is the end of the curve
        few = int(np.count_nonzero(reached[:, 1] >= max(1, state.plan.min_sessions)))
        size = last if show == "reach" else int(np.flatnonzero(attention).max(initial=-1)) + 1
        size = min(size, few) if state.plan.min_sessions > 1 else size
        y = np.arange(size) * state.plan.band
        share = reached / np.maximum(reached[:1], 1)
        parts.append((np.full(size, row), y, reached[:size], share[:size], attention[:size], reached[0]))
    empty = (np.zeros(0, np.intp), np.zeros(0, np.int64), np.zeros((0, 2), np.int64), np.zeros((0, 2)))
    columns: list[Any] = [
        np.concatenate([part[i] for part in parts]) if parts else nothing
        for i, nothing in enumerate((*empty, empty[1]))
    ]
    rows, y, reached, share, attention = columns
    views = np.concatenate([np.full(len(part[0]), part[5][0]) for part in parts]) if parts else rows
    small = np.concatenate([np.full(len(part[0]), part[5][1] < FEW) for part in parts]) if parts else rows > 0
    made = {"y": pa.array(y, pa.int64())}
    if show == "attention":
        each = attention / np.maximum(views, 1)
        return rows, made | {
            "attention_ms": pa.array(attention, pa.int64()),
            "ms_per_view": pa.array(each, pa.float64(), mask=small | (views == 0)),
        }
    for i, name in enumerate(("views", "sessions")):
        made[name] = pa.array(reached[:, i], pa.int64())
        made[f"{name}_share"] = pa.array(share[:, i], pa.float64(), mask=small)
    return rows, made


def _shares(state: State, tail: str, pages: Table, kept: Any, show: str) -> tuple[Any, dict[str, pa.Array]]:
    table = state.tables.get("scroll_shares" + tail)
    rows, numbers, views = [], [], []
    plane = SNOWPLOW if show == "snowplow" else POSTHOG
    if table is not None:
        mine = np.flatnonzero(table.keys[:, -2] == plane)
        table = Table(table.dims, table.fields, table.keys[mine], table.values[mine], table.histogram)
    for row, number, values in _groups(pages, kept, table) if table is not None else ():
        rows.append(np.full(len(number), row))
        numbers.append(number)
        views.append(values[:, 0])
    number = np.concatenate(numbers) if numbers else np.zeros(0, np.int64)
    at = number if show == "snowplow" else number * 100
    counts = pa.array(np.concatenate(views) if views else number, pa.int64())
    name = "percent" if show == "snowplow" else "px"
    return np.concatenate(rows) if rows else number.astype(np.intp), {name: pa.array(at, pa.int64()), "views": counts}
