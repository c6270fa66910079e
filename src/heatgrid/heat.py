"""The result of a run, as people and programs ask it: maps, tables, the matrix, pictures, the report."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.engine import (
    findings,
    finish,
    finish_exposure,
    finish_journeys,
    finish_layout,
    finish_links,
    finish_scroll,
    friction,
    others,
    refuse,
)
from heatgrid.engine.dense import dense, withheld_events
from heatgrid.engine.findings import Found
from heatgrid.engine.finish_cells import SparseMap, sparse_maps
from heatgrid.engine.finish_funnel import drop_offs_table, funnel_table
from heatgrid.engine.measures.layout import BOX
from heatgrid.engine.periods import label_at, labels_of
from heatgrid.outputs.grid import Grid
from heatgrid.outputs.matrix import Matrix
from heatgrid.outputs.text import duration
from heatgrid.states.state import Maps, State
from heatgrid.words.errors import UsageError, nearest
from heatgrid.words.events import RICH
from heatgrid.words.ledger import Ledger, Points
from heatgrid.words.plan import BUCKETS, DWELL_LAYER, GOAL_LAYER, LAYERS, PICKED, RELEASE, Plan

ADDITIVE = ("events", "clicks", "dwell_ms")
VALUES = (*ADDITIVE, "sessions", "users")


class Heat:
    """What a run counted. Made by ``heatgrid.run``, ``load`` or ``merge``; never changed."""

    def __init__(
        self,
        state: State,
        *,
        lane: str = "",
        seconds: float = 0.0,
        notes: tuple[str, ...] = (),
        device: Mapping[str, object] | None = None,
    ) -> None:
        self.state = state
        self.lane, self.seconds, self.notes, self.device = lane, seconds, notes, device or {}

    @property
    def plan(self) -> Plan:
        return self.state.plan

    @cached_property
    def ledger(self) -> Ledger:
        """Rows of the run, and points of each layer; those in cells below min_sessions stand under withheld."""
        ledger = copy.deepcopy(self.state.ledger)
        for name in friction.refused(self.state):
            ledger.measures.pop(name, None)
        for name, points in ledger.measures.items():
            points.withheld = withheld_events(self.state, name)
            points.used -= points.withheld
        return ledger

    def __repr__(self) -> str:
        sessions = "no sessions" if self.state.session_ids is None else f"{self.state.totals['sessions']:,} sessions"
        return f"Heat({self.ledger.accepted:,} events, {sessions}, plan {self.plan.hash()[:8]})"

    @cached_property
    def summary(self) -> dict[str, Any]:
        """rows, sessions, views, pages, features, first, last, kinds, releases, lane, backend and its reason,
        seconds, notes."""
        state = self.state
        with_sessions = state.session_ids is not None
        kinds = state.tables["kinds"]
        counts = {
            state.names["kind"][int(k)]: int(v) for k, v in zip(kinds.keys[:, 0], kinds.values[:, 0], strict=True)
        }
        first, last = (_iso(t) for t in state.bounds) if state.bounds else (None, None)
        return {
            "rows": self.ledger.read,
            "events": self.ledger.accepted,
            "sessions": state.totals["sessions"] if with_sessions else None,
            "resumed": state.totals["resumed"] if with_sessions else None,
            "views": state.totals["views"] if with_sessions else None,
            "users": self._users(),
            "pages": self._count("pages"),
            "features": self._count("features"),
            "first": first,
            "last": last,
            "kinds": dict(sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))),
            "releases": [release.as_dict() for release in self.plan.release_list],
            "frame": _frame(state),
            "reading": state.reading,
            "lane": self.lane,
            **self.device,
            "seconds": self.seconds,
            "refused": self.refused,
            "notes": [*self.notes, *others.notes(self.state), *self.refusals()],
        }

    def _count(self, thing: str) -> int | None:
        return len(self.state.tables[thing].keys) if thing in self.state.tables else None

    def _users(self) -> int | None:
        tables = [self.state.tables.get("pages"), self.state.tables.get("features")]
        ids = next((t.ids for t in tables if t is not None and t.ids is not None), None)
        return None if ids is None else len(np.unique(ids[:, 1:], axis=0))

    @cached_property
    def refused(self) -> dict[str, str]:
        """Metrics of the plan that this source cannot give: what it lacks, and what would unlock it."""
        state, has, plan = self.state, set(self.state.has), self.plan
        without = f"no sessions: {finish.UNLOCK}" if state.session_ids is None else None
        out: dict[str, str] = {}
        lacking = [name for name in ("x", "y") if name not in has]
        if lacking:
            why = f"no column for {' and '.join(lacking)} ({' '.join(f'--map {name}=COLUMN' for name in lacking)})"
            out |= dict.fromkeys(plan.maps, why)
        elif unplaced := _unplaced(state):
            out |= dict.fromkeys(plan.maps, unplaced)
        if without:
            journeys = [name for name in ("transitions", "paths", "funnel") if getattr(plan, name)]
            picked = [layer for layer in PICKED if layer in plan.maps]
            out |= dict.fromkeys(("sessions", "views", "dwell", "visits", *journeys, *picked), without)
        if "features" in plan.tables and "feature" not in has and not plan.area_list:
            out["features"] = "no column for feature (--map feature=COLUMN, or --areas FILE with x and y)"
        if plan.gathers and (unseen := finish_layout.missing(state)):
            out["layout"] = unseen
        if plan.exposure and (unseen := finish_exposure.missing(state)):
            out["exposure"] = unseen
        if plan.posthog_cells and (unseen := finish_scroll.cells_missing(state)):
            out["posthog_cells"] = unseen
        if withheld := finish_links.missing(state):
            out["links"] = withheld
        if plan.exclude_users and "user" not in has:
            out["exclude_users"] = "no column for user (--map user=COLUMN)"
        if "user" not in has:
            wanted = [*(["retention"] if plan.retention else []), *plan.distinct]
            out |= dict.fromkeys(wanted, "no column for user (--map user=COLUMN)")
        if plan.scroll and (unseen := finish_scroll.missing(state)):
            out |= dict.fromkeys(("scroll", "attention"), unseen)
        return refuse.refused(state) | out | friction.refused(state)

    def refusals(self) -> list[str]:
        """What this input cannot give, and the column or option that would unlock it."""
        has, out = set(self.state.has), []
        if not {"x", "y"} <= has and self.plan.maps:
            lacking = " and ".join(name for name in ("x", "y") if name not in has)
            out.append(f"maps are off: no column for {lacking or 'x, y'} (--map x=COLUMN --map y=COLUMN)")
        elif self.plan.maps and (unplaced := _unplaced(self.state)):
            out.append(f"maps are empty: {unplaced}")
        if self.state.session_ids is None:
            out.append(f"sessions, views, dwell and visits are off: they need {finish.UNLOCK}")
        journeys = [name for name in ("transitions", "paths", "funnel") if getattr(self.plan, name)]
        if self.state.session_ids is None and set(PICKED) & set(self.plan.maps):
            layers = ", ".join(layer for layer in PICKED if layer in self.plan.maps)
            out.append(f"{layers.replace('_', ' ')} are off: they need {finish.UNLOCK}")
        if self.state.session_ids is None and journeys:
            out.append(f"{', '.join(journeys)} are off: they need {finish.UNLOCK}")
        if "features" in self.plan.tables and "feature" not in has and not self.plan.area_list:
            out.append("features are off: no column for feature (--map feature=COLUMN, or --areas FILE with x and y)")
        if self.state.session_ids is None and "event_id" in has and self.plan.dedupe is None:
            out.append(f"duplicates are not looked for: event ids are compared within a session; {finish.UNLOCK}")
        if self.plan.retention and "user" not in has:
            out.append("retention is off: no column for user (--map user=COLUMN)")
        if self.plan.exclude_users and "user" not in has:
            out.append("exclude_users is off: no column for user (--map user=COLUMN)")
        if "users" in self.plan.distinct and "user" not in has:
            out.append("distinct users are off: no column for user (--map user=COLUMN)")
        unseen = finish_scroll.missing(self.state) if self.plan.scroll else None
        if unseen is not None and "scroll" not in refuse.refused(self.state):
            out.append(f"scroll and attention are off: {unseen}")
        if self.plan.gathers and (unseen := finish_layout.missing(self.state)):
            out.append(f"the layout is off: {unseen}")
        unseen = finish_exposure.missing(self.state) if self.plan.exposure else None
        if unseen is not None and "exposure" not in refuse.refused(self.state):
            out.append(f"exposure is off: {unseen}")
        if self.plan.posthog_cells and (unseen := finish_scroll.cells_missing(self.state)):
            out.append(f"PostHog's cells are off: {unseen}")
        if withheld := finish_links.missing(self.state):
            out.append(f"links are off: {withheld}")
        return out + refuse.lines(self.state) + friction.refusals(self.state)

    # ---- tables

    @cached_property
    def features(self) -> pa.Table:
        """One row a feature: events, clicks, sessions, dwell_ms, visits, open_visits, p50_ms, p90_ms, p99_ms."""
        return self.table("features", by=False, every=False)

    @cached_property
    def pages(self) -> pa.Table:
        """One row a page: events, clicks, views, sessions, dwell_ms, visits, open_visits, percentiles."""
        return self.table("pages", by=False, every=False)

    @cached_property
    def friction(self) -> pa.Table:
        """One row a rule, page and feature: flagged clicks (views, moves), their sessions, those considered, and
        the excess of sessions in which more than 64 waited. Rules that the source cannot serve are not there."""
        return self.table("friction", by=False, every=False)

    @cached_property
    def rules(self) -> pa.Table:
        """One row a friction rule of the plan: version, parameters, the totals of ``friction``, bot sessions, and
        ``off``: what this source lacks for it."""
        return finish.rules_table(self.state)

    @cached_property
    def releases(self) -> pa.Table:
        """The releases of the plan: release, at (UTC), and the period of ``every`` in which each lies."""
        marks = self.plan.release_list
        return pa.table(
            {
                "release": pa.array([release.name for release in marks], pa.string()),
                "at": pa.array([release.at_ms for release in marks], pa.timestamp("ms", "UTC")),
                "period": pa.array([label_at(self.plan, release.at_ms) for release in marks], pa.string()),
            }
        )

    def table(self, thing: str = "features", by: bool = True, every: bool = True) -> pa.Table:
        """Features or pages with the plan's segment and period columns, by dwell, then name; or friction by rule.

        Errors: UsageError HG1501 if the plan has no such table.
        """
        if thing == "friction" and not self.plan.friction:
            raise UsageError(
                "the plan has no friction rules", code="HG1501", where="friction",
                hint="friction=('rage', 'error') in the plan, --rule rage,error",
            )  # fmt: skip
        name = finish.table_name(self.state, thing, by and bool(self.plan.by), every and self.plan.every is not None)
        if thing == "friction":
            table = finish.friction_table(self.state, name)
            keys = [(c, "ascending") for c in table.column_names[: table.column_names.index("flagged")]]
            if len(keys) == 3:
                keys.insert(1, ("flagged", "descending"))
            return table.sort_by(keys)
        return others.capped(self.state, thing.removesuffix("s"), self._usage(name, by, every))

    def _usage(self, name: str, by: bool, every: bool) -> pa.Table:
        """A table of features or pages with every name."""
        table = finish.usage_table(self.state, name)
        keys = [(c, "ascending") for c in table.column_names[: table.column_names.index("events")]]
        if not (by and self.plan.by) and not (every and self.plan.every):
            keys = [("dwell_ms", "descending"), ("events", "descending"), *keys]
        return table.sort_by(keys)

    def matrix(self, rows: str = "feature", columns: str = "period", values: str = "sessions") -> Matrix:
        """The usage matrix: features or pages by period or by a segment column.

        columns : "period" (or the plan's ``every``), or one of the plan's ``by``.
        values : sessions, users (where counted), clicks, events, dwell_ms.
        Errors: UsageError HG1502 (rows), HG1503 (columns), HG1504 (values).
        """
        thing = rows.removesuffix("s") + "s"
        if thing not in self.plan.tables:
            raise UsageError(
                "unknown rows of the matrix", code="HG1502", where="rows", value=rows,
                hint=nearest(rows, [t.removesuffix("s") for t in self.plan.tables]),
            )  # fmt: skip
        if values not in VALUES:
            raise UsageError(
                "unknown values of the matrix", code="HG1504", where="values", value=values,
                hint=nearest(values, VALUES),
            )  # fmt: skip
        by_period = columns in ("period", self.plan.every) and self.plan.every is not None
        if not by_period and columns not in self.plan.by:
            raise UsageError(
                "the plan does not split by this column", code="HG1503", where="columns", value=columns,
                expected=", ".join((*self.plan.by, *(["period"] if self.plan.every else []))) or "by=... or every=...",
                hint="--every week for periods, --by COLUMN for a segment",
            )  # fmt: skip
        if not by_period and len(self.plan.by) > 1 and values not in ADDITIVE:
            raise UsageError(
                f"{values} of one column do not follow from those of several", code="HG1505", where="by",
                value=", ".join(self.plan.by), hint=f"run with --by {columns} alone",
            )  # fmt: skip
        first = thing.removesuffix("s")
        table, totals = (
            self._usage(finish.table_name(self.state, thing, by, every), by, every)
            for by, every in ((not by_period, by_period), (False, False))
        )
        for part in (table, totals):
            if values not in part.column_names or (part.num_rows and part[values].null_count):
                need = "--distinct users and a user column" if values == "users" else finish.UNLOCK
                need = refuse.untimed(self.state) or need if values == "dwell_ms" else need
                raise UsageError(f"{values} were not counted", code="HG1504", where="values", hint=f"needs {need}")
        if self.plan.min_sessions > 1:
            # a row that is withheld in the totals is withheld here, or it could be told from them
            table = table.filter(pc.is_in(table[first], totals[first].combine_chunks()))
        distinct = values not in ADDITIVE
        rest = others.beyond(self.state, first)
        notes = []
        if rest and distinct:
            table, totals = (
                part.filter(pc.invert(pc.is_in(part[first], pa.array(rest, pa.string())))) for part in (table, totals)
            )
            notes = [f"{len(rest):,} {thing} beyond the cap are left out: distinct {values} of several do not add up"]
        elif rest:
            table, totals = (others.capped(self.state, first, part, least=True) for part in (table, totals))
            notes = [f"{others.OTHER}: {len(rest):,} {thing} beyond the cap"]
        column = "period" if by_period else columns
        if not by_period and (column == first or column in finish.COUNTERS):
            column = f"by_{column}"
        areas = [area.name for area in self.plan.area_list if area.name not in rest] if first == "feature" else []
        counted = self.state.session_ids is not None
        periods: list[str] = []
        if by_period and self.state.bounds and self.plan.every:
            first_ms, last_ms = self.state.bounds
            periods = labels_of(self.plan, first_ms, last_ms)
        by_row = dict(zip(totals[first].to_pylist(), totals[values].to_pylist(), strict=True))
        made = Matrix.build(
            table[first].to_pylist(),
            table[column].to_pylist(),
            table[values].to_pylist(),
            value=values,
            row_name=first,
            column_name=column,
            declared=areas,
            declared_columns=periods,
            row_totals=by_row if distinct else None,
            sessions=table["sessions"].to_pylist() if counted and len(self.plan.by) <= 1 else None,
            n=self.state.totals["sessions"] if counted else None,
        )
        made.notes = notes
        if by_period and self.plan.every != RELEASE:
            made.marks = [
                (row["period"], row["release"]) for row in self.releases.to_pylist() if row["period"] in periods
            ]
        return made

    # ---- scroll and attention

    @cached_property
    def scroll(self) -> pa.Table:
        """One row a page and width bucket: views, sessions, height, how far they reach, folds, clicks below the fold.

        Errors: UsageError HG1520 if the plan does not count scrolls.
        """
        return self.scroll_of("pages", by=False, every=False)

    @cached_property
    def reach(self) -> pa.Table:
        """By page, width bucket and y (px): the views and sessions that saw it."""
        return self.scroll_of("reach", by=False, every=False)

    @cached_property
    def attention(self) -> pa.Table:
        """By page, width bucket and y (px): how long it was in the window."""
        return self.scroll_of("attention", by=False, every=False)

    @cached_property
    def layout(self) -> pa.Table:
        """Median boxes: name, x0, x1, y0, y1, page, min_width, max_width (as areas), and the rows behind each.

        Errors: UsageError HG1530 (the plan gathers none), HG1531 (the source has no boxes).
        """
        return finish_layout.layout_table(self.state)

    @cached_property
    def exposure(self) -> pa.Table:
        """The feature table: one row a page and feature, exposed views and sessions, click rates with their intervals,
        hover, medians; ``engine.finish_exposure.exposure_table`` names the columns.

        Errors: UsageError HG1550 if the plan does not count it.
        """
        return self.exposure_of(by=False, every=False)

    def exposure_of(self, by: bool = True, every: bool = True) -> pa.Table:
        """The same with the plan's segments and period, by exposed views, then names."""
        table = finish_exposure.exposure_table(self.state, by, every)
        keys = [(name, "ascending") for name in table.column_names[: table.column_names.index("page_views")]]
        first = [] if len(keys) > 2 else [("exposed_views", "descending")]
        return table.sort_by([*first, *keys])

    @cached_property
    def posthog_cells(self) -> pa.Table:
        """Clicks in PostHog's cells: page, (segments, period,) fixed, x (share of the window), y (px), clicks.

        Errors: UsageError HG1523 if the plan does not count them.
        """
        return finish_scroll.cells_table(self.state)

    def scroll_of(self, show: str = "pages", by: bool = True, every: bool = True) -> pa.Table:
        """pages, reach, attention, snowplow or posthog: the tables of ``engine.finish_scroll.scroll_table``."""
        table = finish_scroll.scroll_table(self.state, show, by, every)
        keys = [(name, "ascending") for name in table.column_names[: table.column_names.index("bucket") + 1]]
        if show == "pages":
            first = [] if len(keys) > 2 else [("views", "descending")]
            return table.sort_by([*first, *keys])
        return table.sort_by([*keys, (table.column_names[len(keys)], "ascending")])

    # ---- journeys

    @cached_property
    def transitions(self) -> pa.Table:
        """How often one page follows another: from, to, count, sessions, p_out, p_in, p50_ms, p95_ms, by count.

        Entry and exit are nodes of their own. Of features, where the plan has no transitions of pages.
        Errors: UsageError HG1506 if the plan has none.
        """
        return self.transitions_of()

    def transitions_of(self, of: str | None = None, *, by: bool = False, every: bool = False) -> pa.Table:
        """Transitions of ``pages`` or ``features``; by, every: also by the plan's segments and periods.

        A transition is one of the segment and period in which the session comes to its page.
        """
        return finish_journeys.transitions_table(self.state, of, by, every)

    def transition_matrix(self, of: str | None = None, top: int = 20) -> Matrix:
        """Transitions as a matrix: from by to, the ``top`` most frequent of each."""
        of = finish_journeys.chosen(self.state, "transitions", of)
        rows, columns, counts, sessions = finish_journeys.transition_counts(self.state, of, top)
        return Matrix(
            rows, columns, counts, value="transitions", row_name=of.removesuffix("s"), column_name="the next",
            sessions=sessions, n=self.state.totals["sessions"],
            notes=[f"the {top} most frequent of each"] if max(len(rows), len(columns)) == top else [],
        )  # fmt: skip

    @cached_property
    def paths(self) -> pa.Table:
        """Whole paths of sessions: path, steps, sessions, share, by sessions. Errors: UsageError HG1506."""
        return self.paths_of()

    def paths_of(
        self, of: str | None = None, top: int | None = None, *, by: bool = False, every: bool = False
    ) -> pa.Table:
        """Paths over ``pages`` or ``features``; with ``top`` the rest is one row, (other). by, every: also by the
        segments and periods in which they begin."""
        return finish_journeys.paths_table(self.state, of, top, by, every)

    @cached_property
    def steps(self) -> Matrix:
        """The step matrix: sessions by page and step (1 to 10), and those whose path has ended: (exit)."""
        return self.steps_of()

    def steps_of(self, of: str | None = None, steps: int = 10) -> Matrix:
        """The step matrix of ``pages`` or ``features``. Errors: UsageError HG1506 (no paths), HG1102 (steps)."""
        of = self._steps(of, steps)
        names, counts = finish_journeys.step_counts(self.state, of, steps)
        k = self.plan.min_sessions
        notes = [f"cells of fewer than {k} sessions are withheld"] if k > 1 else []
        return Matrix(
            names, [str(step) for step in range(1, steps + 1)], counts, value="sessions",
            row_name=of.removesuffix("s"), column_name="step", n=self.state.totals["sessions"], notes=notes,
        )  # fmt: skip

    def steps_table(self, of: str | None = None, steps: int = 10, *, by: bool = False, every: bool = False) -> pa.Table:
        """The step matrix as rows: step, page or feature (or (exit)), sessions; by, every: also by the segments and
        periods in which paths begin. Errors as ``steps_of``."""
        return finish_journeys.steps_table(self.state, self._steps(of, steps), steps, by, every)

    def _steps(self, of: str | None, steps: int) -> str:
        if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= 1000:
            raise UsageError(
                "steps is out of range", code="HG1102", where="steps", value=steps, expected="a whole number, 1 to 1000"
            )
        return finish_journeys.chosen(self.state, "paths", of)

    @cached_property
    def funnel(self) -> pa.Table:
        """One row a step: sessions, rates from the first and the previous step, median time, who left and where to.

        Errors: UsageError HG1507 if the plan has no funnel, or the input no sessions.
        """
        return self.funnel_of()

    @cached_property
    def drop_offs(self) -> pa.Table:
        """Where sessions went that left the funnel: step, what (next page, last feature), name, sessions."""
        return self.drop_offs_of()

    def funnel_of(self, *, by: bool = False, every: bool = False) -> pa.Table:
        """The funnel by the plan's segments and periods: those in which a session first takes the first step."""
        return funnel_table(self.state, by, every)

    def drop_offs_of(self, *, by: bool = False, every: bool = False) -> pa.Table:
        """The same for ``drop_offs``."""
        return drop_offs_table(self.state, by, every)

    @cached_property
    def retention(self) -> pa.Table:
        """Users that came back: cohort, after (days or weeks), users, returned, rate. Errors: UsageError HG1508."""
        return self.retention_of()

    def retention_of(self, *, by: bool = False) -> pa.Table:
        """Retention by the plan's segments: of the rows of each alone, so that a user of two is in the cohorts of both
        (those of segments need not add up)."""
        return finish_journeys.retention_table(self.state, by)

    def retention_matrix(self) -> Matrix:
        """Retention as a matrix: users that returned, by cohort and the days or weeks after; 0 where withheld."""
        rows = self.retention.to_pylist()
        cohorts = list(dict.fromkeys(row["cohort"] for row in rows))
        values = np.zeros((len(cohorts), 1 + max((row["after"] for row in rows), default=-1)), np.int64)
        for row in rows:
            values[cohorts.index(row["cohort"]), row["after"]] = row["returned"] or 0
        return Matrix(
            cohorts, [str(after) for after in range(values.shape[1])], values, value="users",
            row_name=f"first {self.plan.retention}", column_name=f"{self.plan.retention}s after",
            n=self.state.totals["sessions"],
        )  # fmt: skip

    # ---- findings

    @cached_property
    def findings(self) -> pa.Table:
        """What is worth a look, the most telling first: kind (friction, nowhere, unused, drop_off, top, underused,
        attention), page, feature, rule, k of n units with rate, low and high (95 %), what it is compared with, and a
        sentence. None is from fewer than 30 units; where there is none the schema's metadata says why, as ``note``.
        """
        found = self._found()
        rows = findings.findings(found)
        return findings.as_table(rows, findings.note(found, rows))

    def _found(self) -> Found:
        """The tables of this result that findings come from."""
        state, plan, about = self.state, self.plan, self.summary
        if state.session_ids is None:
            return Found()
        users = about["users"] if "features" in plan.tables and about["users"] else None
        off = about["refused"]
        named = "features" in plan.tables and "features" not in off
        journeys = bool(plan.transitions) and "pages" in plan.transitions and "transitions" not in off
        seen = plan.exposure and "exposure" not in off
        return Found(
            units=users or state.totals["sessions"],
            unit="users" if users else "sessions",
            features=self.features.to_pylist() if named else (),
            pages=self.pages.to_pylist() if "pages" in plan.tables else (),
            friction=self.friction.to_pylist() if plan.friction else (),
            transitions=self.transitions_of("pages").to_pylist() if journeys else (),
            funnel=self.funnel.to_pylist() if plan.funnel_steps and "funnel" not in off else (),
            exposure=self.exposure.to_pylist() if seen else (),
            declared=[*((area.name, area.page) for area in (*plan.area_list, *plan.known_layout)), *self._laid_out()],
            timed=bool(RICH & set(about["kinds"])) and not refuse.untimed(state),
            clicks="click" in about["kinds"],
        )  # fmt: skip

    def _laid_out(self) -> list[tuple[str, str]]:
        """(feature, page) of a gathered layout."""
        if not self.plan.gathers or finish_layout.missing(self.state):
            return []
        return sorted(set(zip(*(self.layout[name].to_pylist() for name in ("name", "page")), strict=True)))

    # ---- maps

    def layers(self) -> pa.Table:
        """One row a map: layer, page, bucket, fixed, segments and period if any, events, sessions, viewport_w."""
        return others.capped_layers(self.state, finish.layers_table(self.state))

    @cached_property
    def links(self) -> pa.Table:
        """Recordings that show a click at a place: page, bucket, fixed, x0, x1, y0, y1 (px, half-open), replay_url.

        Of each area of 4 x 4 cells at most four sessions, a sample that is the same for any order of the rows. Empty
        where the source maps no ``replay_url``. A link tells of one person: it is personal data, kept in states too.
        """
        return finish_links.links_table(self.state)

    def sparse_maps(self, *, split: bool = False) -> Iterator[SparseMap]:
        """All maps as lists of their cells: the whole ones, or those by all segments and periods of the plan."""
        return sparse_maps(self.state, split=split)

    def map(
        self,
        layer: str = "clicks",
        *,
        page: str | None = None,
        bucket: str | None = None,
        fixed: bool = False,
        period: str | None = None,
        where: dict[str, str] | None = None,
        value: str = "events",
    ) -> Grid:
        """One map as a grid.

        layer : "clicks", "moves", "first_clicks", "last_clicks" (of each view), "goal_clicks" (of sessions that
            later reach the goal), "dwell" (ms, where the pointer was meanwhile), or a friction rule of the plan
            ("rage:posthog"): the clicks that it flagged.
        page : may be left out where there is one; "(other)": all beyond the cap, one upon the other.
        bucket : the width bucket; None: the one with the most events.
        where : {segment column: value}; period : its label; both need a plan that splits by them.
        value : "events", or "sessions" (distinct, each counted once a cell).
        Errors: UsageError HG1510..HG1516, with what there is to choose from.
        """
        rules = {rule.name for rule in friction.served(self.state)}
        _choice("layer", layer, (*LAYERS, *PICKED, *(rule.name for rule in self.plan.rules)), "HG1510")
        stack = "maps" if layer in LAYERS else layer
        if layer not in {*self.plan.maps, *rules} or stack not in self.state.maps:
            refusal = friction.refused(self.state).get(layer) or next(iter(self.refusals()), "")
            raise UsageError(
                f"there is no map of {layer}", code="HG1511", where="layer", value=layer,
                hint=refusal if stack != "maps" or not self.state.maps else nearest(layer, self.plan.maps),
            )  # fmt: skip
        if layer in PICKED:
            refuse.check(self.state, layer)
        _choice("value", value, ("events", "sessions"), "HG1512")
        if value == "sessions" and (
            self.state.session_ids is None or (layer == "moves" and not self.plan.moves_sessions)
        ):
            raise UsageError(
                "sessions were not counted in the cells of this map", code="HG1512", where="value", value=value,
                hint="moves_sessions=True in the plan" if self.state.session_ids is not None else finish.UNLOCK,
            )  # fmt: skip
        split = bool(where) or period is not None
        maps = self.state.maps[finish.stack_of(self.state, stack, split=split) or stack]
        number = LAYERS.index(layer) if stack == "maps" else 0
        rows = np.flatnonzero((maps.keys[:, -3] == number) & (maps.keys[:, -2] == int(fixed)))
        if page == others.OTHER and (rest := others.beyond(self.state, "page")):
            if value == "sessions":
                raise UsageError(
                    "distinct sessions of several pages do not add up", code="HG1515", where="page", value=page,
                    hint="value='events', or a larger cap (--max-pages)",
                )  # fmt: skip
            codes = [self.state.names["page"].index(name) for name in rest]
            rows = rows[np.isin(maps.keys[rows, 0], codes)]
        else:
            rows, page = self._pick(maps, rows, "page", page, layer)
        for name, wanted in sorted((where or {}).items()):
            rows, _ = self._pick(maps, rows, f"by:{name}", wanted, layer)
        if period is not None:
            rows, _ = self._pick(maps, rows, "period", period, layer)
        if bucket is None:
            events = np.bincount(maps.keys[rows, -1], maps.values[rows, 0], minlength=len(BUCKETS))
            bucket = BUCKETS[int(events.argmax())]
        _choice("bucket", bucket, BUCKETS, "HG1513")
        rows = rows[maps.keys[rows, -1] == BUCKETS.index(bucket)]
        if not len(rows):
            raise UsageError(
                "there is no such map", code="HG1514", where="bucket", value=bucket, hint="see heat.layers()"
            )
        if value == "sessions" and len(rows) > 1:
            raise UsageError(
                "distinct sessions of several maps do not add up", code="HG1515", where="where / period",
                value=f"{len(rows)} maps", hint="name a value for " + ", ".join(finish.shown(d) for d in maps.dims[1:]),
            )  # fmt: skip
        return self._grid(maps, rows, layer, value, page=page, bucket=bucket, fixed=fixed, period=period, where=where)

    def _counts_sessions(self, layer: str) -> bool:
        return self.state.session_ids is not None and (layer != "moves" or self.plan.moves_sessions)

    def _grid(self, maps: Maps, rows: Any, layer: str, value: str, **meta: object) -> Grid:
        widest = int(maps.values[rows, 2].max())
        made = dense(self.state, maps, rows, sessions=value == "sessions", widest=widest)
        points = self.ledger.measures.get(layer, Points())
        one = len(rows) == 1 and self._counts_sessions(layer)
        sessions = int(maps.values[rows, 1].sum()) if one else None
        meta |= {
            "layer": layer,
            "told": self._told(layer),
            "events": int(maps.values[rows, 0].sum()),
            "sessions": sessions,
            "viewport_w": widest or None,
            "frame": self.summary["frame"],
            "min_sessions": self.plan.min_sessions,
            "withheld": made.withheld,
        }
        return Grid(
            values=made.values,
            extent=made.extent,
            used=made.used,
            outside=points.outside,
            invalid=points.invalid,
            name=layer,
            unit="sessions" if value == "sessions" else "ms" if layer == DWELL_LAYER else layer,
            meta=meta,
        )

    def _told(self, layer: str) -> str | None:
        """What a layer is called where its rows are not what its name says."""
        told = refuse.evidence(self.state)
        if layer == GOAL_LAYER:
            return "clicks of sessions that later reached " + " or ".join(step.name for step in self.plan.goal_steps)
        if layer == DWELL_LAYER:
            return "time with the pointer there"
        return f"pointer rests >= {told.moves_ms:,} ms" if layer == "moves" and told.moves == "rest" else None

    def _pick(self, maps: Maps, rows: Any, dim: str, wanted: str | None, layer: str) -> tuple[Any, str]:
        """Rows whose dimension has the wanted name; None is allowed where there is only one."""
        if dim not in maps.dims:
            raise UsageError(
                f"the maps are not split by {finish.shown(dim)}", code="HG1516", where=finish.shown(dim), value=wanted,
                hint="run with --by or --every for it",
            )  # fmt: skip
        codes = maps.keys[rows, maps.dims.index(dim)]
        names = self.state.names[dim]
        there = [names[c] for c in np.unique(codes)]
        if wanted is None and len(there) == 1:
            wanted = there[0]
        if wanted is None or wanted not in there:
            raise UsageError(
                f"no map of {layer} for this {finish.shown(dim)}", code="HG1514", where=finish.shown(dim),
                value=wanted, expected="one of " + ", ".join(there[:8]), hint=nearest(wanted or "", there),
            )  # fmt: skip
        return rows[codes == names.index(wanted)], wanted

    # ---- outputs

    def picture(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Draw one map as a PNG: the arguments of ``map``, and those of ``outputs.pictures.map_picture``."""
        from heatgrid.outputs.pictures import map_picture

        names = ("layer", "page", "bucket", "fixed", "period", "where", "value")
        chosen = {name: options.pop(name) for name in names if name in options}
        if "smooth_sigma" in options:
            from heatgrid.arrays import smooth

            options.setdefault("smooth", smooth)
        return map_picture(self.map(**chosen), path, ledger=self.ledger, **options)

    def slide(
        self,
        path: str | os.PathLike[str],
        *,
        segments: Sequence[dict[str, str] | None] = (None,),
        legend: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> Path:
        """Draw a map as a PNG of 1920 x 1080 pixels, with ``segments`` one map for each, side by side on one scale.

        segments : {segment column: value} each, as ``where`` of ``map``. legend : an .svg file for the legend alone.
        options : the other arguments of ``map``, and those of ``outputs.slides.slide``, whose errors it has.
        """
        from heatgrid.outputs.slides import slide

        names = ("layer", "page", "bucket", "fixed", "period", "value")
        chosen = {name: options.pop(name) for name in names if name in options}
        if "smooth_sigma" in options:
            from heatgrid.arrays import smooth

            options.setdefault("smooth", smooth)
        grids = [self.map(**chosen, where=where) for where in segments]
        return slide(grids, path, legend=legend, ledger=self.ledger, **options)

    def to_pandas(self, thing: str = "features", *, by: bool = True, every: bool = True) -> Any:
        """``table`` as a pandas.DataFrame. UsageError HG1340 without the extra ``pandas``."""
        from heatgrid.outputs.frames import to_pandas

        return to_pandas(self.table(thing, by, every))

    def to_polars(self, thing: str = "features", *, by: bool = True, every: bool = True) -> Any:
        """``table`` as a polars.DataFrame. UsageError HG1340 without the extra ``polars``."""
        from heatgrid.outputs.frames import to_polars

        return to_polars(self.table(thing, by, every))

    def to_xarray(self, layer: str = "clicks", **which: Any) -> Any:
        """A ``map`` as an xarray.DataArray. UsageError HG1340 without the extra ``xarray``."""
        return self.map(layer, **which).to_xarray()

    def _repr_html_(self) -> str:
        """What a notebook shows: what was counted, the ledger, the findings and the busiest map."""
        from heatgrid.outputs.notebook import heat_html

        return heat_html(self)

    def scroll_picture(
        self, path: str | os.PathLike[str], *, page: str | None = None, bucket: str | None = None, **options: Any
    ) -> Path:
        """Draw reach and attention of a page as a PNG, of the one with the most views unless another is named.

        options : those of ``outputs.scroll_pictures.scroll_picture``. Errors: UsageError HG1520 (the plan does not
        count scrolls), HG1522 (no view of this page and bucket).
        """
        from heatgrid.outputs.scroll_pictures import scroll_picture

        rows = [row for row in self.scroll.to_pylist() if row["views"]]
        pages = sorted({row["page"] for row in rows})
        chosen = [row for row in rows if page in (None, row["page"]) and bucket in (None, row["bucket"])]
        if not chosen:
            off = finish_scroll.missing(self.state)
            raise UsageError(
                "there is no scroll to draw", code="HG1522", where="page / bucket", value=f"{page}, {bucket}",
                expected="a page with views", hint=off or nearest(page or "", pages),
            )  # fmt: skip
        row = max(chosen, key=lambda row: row["views"])
        mine = (pc.field("page") == row["page"]) & (pc.field("bucket") == row["bucket"])
        footer = [*self.ledger.lines()[:1], f"min_sessions {self.plan.min_sessions}"]
        return scroll_picture(
            row, self.reach.filter(mine), self.attention.filter(mine), path, **{"footer": footer} | options
        )

    def funnel_picture(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Draw the funnel as a PNG: the arguments of ``outputs.funnel_pictures.funnel_picture``."""
        from heatgrid.outputs.funnel_pictures import funnel_picture

        window, rules = self.plan.funnel_window_ms, ", ".join(f"strict {name}" for name in self.plan.strict)
        n = f"n = {self.state.totals['sessions']:,} sessions · within {duration(window)}"
        n += f" · {rules}" if rules else ""
        footer = [*self.ledger.lines()[:1], f"min_sessions {self.plan.min_sessions}"]
        return funnel_picture(self.funnel, path, **{"subtitle": n, "footer": footer} | options)

    def report(self, directory: str | os.PathLike[str], **options: Any) -> Path:
        """Write the report: index.html (self-contained), maps/*.png, tables, summary.json. Returns index.html."""
        from heatgrid.outputs.report import write_report

        return write_report(self, directory, **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state, complete or not at all; ``heatgrid.load`` reads it. Holds hashes of the session ids."""
        from heatgrid.outputs.atomic import atomic
        from heatgrid.states.store import to_bytes

        with atomic(path) as file:
            file.write(to_bytes(self.state))


def _frame(state: State) -> str:
    """The frame of points, for pictures: what was assumed is called so; and what was done for widths."""
    frame = _measured_from(state)
    if state.plan.widths == "bucket":
        return frame
    how = "x to the scale of" if state.plan.widths == "scale" else "laid into elements at"
    return f"{frame}, {how} {state.plan.reference:,} px"


def _measured_from(state: State) -> str:
    if state.plan.frame == "element":
        return "element"
    if state.plan.frame == "page":
        return "page (assumed)" if state.reading.get("frame_assumed", True) else "page"
    return "viewport + scroll_y" if "scroll_y" in state.has else "viewport (no scroll_y: px of the window)"


def _unplaced(state: State) -> str | None:
    """What no point can be placed for want of."""
    plan, has = state.plan, set(state.has)
    boxes = [name for name in BOX if name not in has]
    if plan.widths == "scale" and "viewport_w" not in has:
        lacking = ["viewport_w"]
    elif plan.widths == "element" and "feature" not in has and not plan.area_list:
        lacking = ["feature"]
    elif (plan.frame == "element") != (plan.widths == "element") and "element" in (plan.frame, plan.widths):
        lacking = boxes
    else:
        lacking = []
    if not lacking:
        return None
    return f"no column for {' and '.join(lacking)} ({' '.join(f'--map {name}=COLUMN' for name in lacking)})"


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _choice(where: str, value: str, choices: tuple[str, ...], code: str) -> None:
    if value not in choices:
        raise UsageError(f"unknown {where}", code=code, where=where, value=value, hint=nearest(value, choices))
