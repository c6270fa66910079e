"""One pass over blocks: each block is resolved once, then every measure of the plan sees it while it is in cache."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from heatgrid.cpu import areas, columns, scan, sets
from heatgrid.engine.block import Array, Block, Buffers
from heatgrid.engine.crew import BEHIND, Crew, Member
from heatgrid.engine.device_sums import DeviceSums
from heatgrid.engine.direct import Direct, light
from heatgrid.engine.encode import Encoder
from heatgrid.engine.late import RESOLVED, LateBuffer
from heatgrid.engine.lines import lines_of
from heatgrid.engine.measures.device_maps import DeviceMaps
from heatgrid.engine.measures.device_scroll import DeviceScroll
from heatgrid.engine.measures.exposure import ACTS, Exposure
from heatgrid.engine.measures.friction import Friction
from heatgrid.engine.measures.funnel import Funnel
from heatgrid.engine.measures.goals import GoalClicks
from heatgrid.engine.measures.journeys import Journeys
from heatgrid.engine.measures.layout import BOX, Layout
from heatgrid.engine.measures.links import Links
from heatgrid.engine.measures.maps import MapMeasure
from heatgrid.engine.measures.pace import Pace, Watch
from heatgrid.engine.measures.picked import Picked
from heatgrid.engine.measures.posthog import PosthogCells
from heatgrid.engine.measures.rested import POINTER, Rested
from heatgrid.engine.measures.retention import Retention
from heatgrid.engine.measures.scroll import Scroll
from heatgrid.engine.measures.usage import Usage
from heatgrid.engine.relaid import Relaid
from heatgrid.engine.sessions import Closer, Sessions
from heatgrid.engine.sets import Sets
from heatgrid.engine.workers import Workers
from heatgrid.states.state import KIND_FIELDS, TOTALS, State, Table, canonical
from heatgrid.words.events import ALL, NONE, WAKING
from heatgrid.words.friction import missing
from heatgrid.words.ledger import Ledger
from heatgrid.words.plan import DWELL_LAYER, GOAL_LAYER, JOURNEYS, LAYERS, OF_VIEWS, Plan

DEFAULT_GAP = 30 * 60 * 1000
GROUPINGS = ((), ("segment",), ("period",), ("segment", "period"))


class Fold:
    """Blocks in, a state out. Reads the encoder's codes and never changes them, so that folds run side by side.

    lateness : ms that rows may be late (0: not at all). max_open : open sessions kept before the longest idle close.
    workers : measures work beside the scan of the next block; without them as the block is pushed.
    """

    of_process = ("_sums",)

    def __init__(
        self, plan: Plan, encoder: Encoder, *, lateness: int, max_open: int, workers: Workers | None = None,
        numbered: tuple[Array, Array] | None = None, watch: bool = False,
        sums: DeviceSums | None = None,
    ) -> None:  # fmt: skip
        """numbered : the ids of the sessions that the source has numbered (see direct.py). watch : for bots by their
        pace, unless the plan keeps them. sums : a device that counts for the measures that have kernels."""
        self.plan, self.encoder, self._sums = plan, encoder, sums
        ticks = encoder.ticks
        ms_mul, ms_div = (1000, 1) if ticks == 1 else (1, ticks // 1000)
        self._ms = ms_mul, ms_div
        gap = plan.session_gap or (DEFAULT_GAP if encoder.has_user_only else 0)
        self.late = LateBuffer(lateness * ticks // 1000 if encoder.has_sessions else 0)
        self.sessions: Sessions | Direct | None = None
        idle = min(plan.idle_ms, 2**31 - 1)
        if numbered is not None:
            self.sessions = Direct(*numbered, ms=self._ms, idle=idle, brief=light(plan))
        elif encoder.has_sessions:
            self.sessions = Sessions(
                ms_mul=ms_mul, ms_div=ms_div, gap=gap, idle=idle, max_open=max_open, lateness=lateness
            )
        self.duplicates = 0
        self._seen = Sets(slots=1)
        self._none_page = encoder.pages.null_code() if encoder.has_page else -1
        self.bounds = np.array([2**63 - 1, -(2**63)], np.int64)
        self.kind_counts = np.zeros(0, np.int64)
        self._ring = deque(Buffers() for _ in range(BEHIND + 1))
        self._areas = self._area_arrays()
        self._segment_dims = tuple(f"by:{name}" for name in plan.by)
        self.usages = self._usages()
        self.maps = self._maps()
        self.picked = self._picked()
        self.rested = self._rested()
        self.frictions = self._frictions()
        self.journeys = self._journeys()
        self.funnels = (
            [Funnel(plan, encoder, self._ms, self._groupings()[-1])]
            if plan.funnel_steps and encoder.has_sessions
            else []
        )
        self.retentions = [Retention(encoder.has_users, bool(plan.by))] if plan.retention else []
        self.scrolls = self._scrolls()
        self.exposures = self._exposures()
        self.cells = self._cells()
        boxes = {"feature", *BOX} <= encoder.columns and self.sessions is not None
        self.layouts = [Layout()] if plan.gathers and boxes else []
        click = encoder.kinds.find("click")
        has_views = self.sessions is not None
        self.links = [] if encoder.links is None else [Links(plan, encoder.links, click, has_views)]
        self._crew = Crew(workers or Workers())
        self._usage_crew = [self._crew.hire(usage) for usage in self.usages]
        self._map_crew = [self._crew.hire(maps) for maps in self.maps]
        self._friction_crew = [self._crew.hire(friction) for friction in self.frictions]
        self._journey_crew: list[Member[Any]] = [
            *map(self._crew.hire, self.journeys), *map(self._crew.hire, self.funnels),
            *map(self._crew.hire, self.scrolls), *map(self._crew.hire, self.exposures),
        ]  # fmt: skip
        self._picked_crew: list[Member[Any]] = [self._crew.hire(some) for some in self.picked]
        self._rested_crew = [self._crew.hire(some) for some in self.rested]
        self.relaid: Relaid | None = None
        if Relaid.wanted(plan) and encoder.has_points:
            self.relaid = Relaid(plan, encoder.pages.code_of_raw, encoder.features.code, encoder.has_page)
        self._retention_crew = [self._crew.hire(measure) for measure in self.retentions]
        self._layout_crew = [self._crew.hire(measure) for measure in self.layouts]
        self._cell_crew = [self._crew.hire(measure) for measure in self.cells]
        self._link_crew = [self._crew.hire(measure) for measure in self.links]
        if self.sessions is not None:
            members: list[Closer] = [
                *self._usage_crew, *self._map_crew, *self._friction_crew, *self._journey_crew, *self._picked_crew,
                *self._rested_crew, *([] if self.relaid is None else [self.relaid]),
            ]  # fmt: skip
            for member in members:
                self.sessions.add_closer(member)
        self.paces = [Pace(self._ms, gap)] if watch and self.sessions is not None and not plan.keep_bots else []
        self._watch_crew: list[Watch] = []
        if self.sessions is not None:
            self._watch_crew = [Watch.hired(pace, self._crew, self.sessions) for pace in self.paces]
            for one in self._watch_crew:
                self.sessions.add_closer(one)

    def _groupings(self) -> list[tuple[str, ...]]:
        have = {"segment": bool(self.plan.by), "period": self.plan.every is not None}
        return [g for g in GROUPINGS if all(have[name] for name in g)]

    def _usages(self) -> list[Usage]:
        click = self.encoder.kinds.code("click")
        with_sessions = self.sessions is not None
        users = self.encoder.has_users and "users" in self.plan.distinct
        keys = [(table, table.removesuffix("s")) for table in self.plan.tables]
        pairs = [(table, key, extra) for table, key in keys for extra in self._groupings()]
        return [
            Usage("|".join((table, *extra)), key, extra, with_sessions, users, click) for table, key, extra in pairs
        ]

    def _maps(self) -> Sequence[MapMeasure]:
        if not set(LAYERS) & set(self.plan.maps) or not self.encoder.has_points:
            return []
        groupings = self._groupings()
        chosen = [groupings[0], groupings[-1]] if len(groupings) > 1 else groupings
        touch = self.encoder.touch_code
        with_sessions = self.sessions is not None
        if self._sums is not None:
            return [DeviceMaps(self.plan, extra, with_sessions, touch, self._sums) for extra in chosen]
        return [MapMeasure(self.plan, extra, with_sessions, touch) for extra in chosen]

    def _picked(self) -> list[Picked | GoalClicks]:
        if not self.encoder.has_points or self.sessions is None:
            return []
        click, found = self.encoder.kinds.code("click"), list[Picked | GoalClicks]()
        if set(OF_VIEWS) & set(self.plan.maps):
            found.append(Picked(self.plan, self._groupings(), click))
        if GOAL_LAYER in self.plan.maps:
            found.append(GoalClicks(self.plan, self._groupings(), click, self.encoder.goal_codes))
        return found

    def _rested(self) -> list[Rested]:
        wanted = DWELL_LAYER in self.plan.maps and self.encoder.has_points and self.sessions is not None
        return [Rested(self.plan, self._groupings(), self.encoder.touch_code)] if wanted else []

    def _scrolls(self) -> Sequence[Scroll]:
        """Whole, and split by all that the plan names, as the maps."""
        if not self.plan.scroll or self.sessions is None or not {"scroll_y", "viewport_h"} <= self.encoder.columns:
            return []
        click, groupings = self.encoder.kinds.code("click"), self._groupings()
        chosen = dict.fromkeys((groupings[0], groupings[-1]))
        if self._sums is not None:
            return [DeviceScroll(self.plan, extra, click, self._sums) for extra in chosen]
        return [Scroll(self.plan, extra, click) for extra in chosen]

    def _exposures(self) -> list[Exposure]:
        """One measure for the whole and the split: its walk over the windows is the same."""
        e = self.encoder
        wanted = self.plan.exposure and self.plan.known_layout and self.sessions is not None
        if not wanted or not {"scroll_y", "viewport_h"} <= e.columns:
            return []
        lines = lines_of(self.plan.known_layout, e.pages.code_of_raw, e.features.code, e.has_page)
        acts = np.array([e.kinds.code(kind) for kind in ACTS], np.int32)
        goal = bool(self.plan.goal_steps)
        users = e.has_users and "users" in self.plan.distinct
        return [Exposure(self._groupings()[-1], lines, acts, e.touch_code, self._ms, e.goal_codes, goal, users)]

    def _cells(self) -> list[PosthogCells]:
        if not self.plan.posthog_cells or not {"x", "y", "viewport_w"} <= self.encoder.columns:
            return []
        groupings = self._groupings()
        return [PosthogCells(extra) for extra in dict.fromkeys((groupings[0], groupings[-1]))]

    def _frictions(self) -> list[Friction]:
        """One measure of all rules that the source has the columns for, or none."""
        e = self.encoder
        has, areas = e.columns, bool(self.plan.area_list)
        rules = [
            rule for rule in self.plan.rules
            if missing(rule, has=has, kinds=None, sessions=self.sessions is not None, areas=areas) is None
        ]  # fmt: skip
        if not rules:
            return []
        return [
            Friction(
                self.plan, rules, self._groupings(), ms=self._ms, none_page=self._none_page, touch=e.touch_code,
                points=e.has_points,
            )
        ]  # fmt: skip

    def _journeys(self) -> list[Journeys]:
        if self.sessions is None:
            return []
        asked = [(name, name in self.plan.transitions, name in self.plan.paths) for name in JOURNEYS]
        return [
            Journeys(name.removesuffix("s"), self._groupings(), transitions=follow, paths=whole, ms=self._ms)
            for name, follow, whole in asked
            if follow or whole
        ]

    def _count_kinds(self, kinds: int) -> None:
        """Room to count so many."""
        more = kinds - len(self.kind_counts)
        if more > 0:
            self.kind_counts = np.append(self.kind_counts, np.zeros(more, np.int64))

    def layers(self) -> Array:
        """The layer of each kind seen so far, which can be counted now; -1: it is not drawn."""
        self._count_kinds(len(self.encoder.kinds.names))
        return self._layer_of_kind()

    def _layer_of_kind(self) -> Array:
        drawn = {layer.removesuffix("s"): i for i, layer in enumerate(LAYERS) if layer in self.plan.maps}
        drawn["rest"] = drawn.get("move", -1)  # where the pointer rested, of sources that keep no more of its way
        return np.array([drawn.get(name, -1) for name in self.encoder.kinds.names], np.int32)

    def _pointed(self, layers: Array) -> Array:
        """The same, with all that maps of other layers may show: clicks, and whatever a friction rule flags."""
        if self.frictions:
            return np.zeros_like(layers)
        if self.picked:
            layers = layers.copy()
            layers[self.encoder.kinds.find("click")] = 0
        if self.rested:
            layers = layers.copy()
            layers[[name in POINTER for name in self.encoder.kinds.names]] = 0
        return layers

    def _kind_flags(self) -> Array:
        names = self.encoder.kinds.names
        flags = [(n == "pageview") + 2 * (n == "hidden") + 4 * (n in WAKING) for n in names]
        return np.array(flags, np.uint8)

    def _area_arrays(self) -> tuple[Array, Array, Array] | None:
        if not self.plan.area_list or not self.encoder.has_points:
            return None
        ranked = sorted(self.plan.area_list, key=lambda a: a.size)
        box = [[a.x0, a.x1, a.y0, a.y1, _or(a.min_width, -np.inf), _or(a.max_width, np.inf)] for a in ranked]
        pages = [-1 if a.page is None else self.encoder.pages.code_of_raw(a.page) for a in ranked]
        features = [self.encoder.features.code(a.name) for a in ranked]
        return np.array(box, np.float64), np.array(pages, np.int32), np.array(features, np.int32)

    def push(self, block: Block, *, last: bool = False) -> None:
        """Fold a block. Its arrays are in use until the second block after it is pushed, or the fold finishes.

        Raises Disorder where the lane cannot go on.
        """
        self._crew.next_block()
        self._ring.append(buffers := self._ring.popleft())
        block.set_lead(self.late.rows)
        c = block.columns
        kind_flags = self._kind_flags()
        self._count_kinds(len(kind_flags))
        if self.sessions is None:
            c["slot"][:] = block.ok.astype(np.int32) - 1
            if self._viewport(c):
                # no run to carry the scroll forward in: a null is 0
                c["y"] += np.nan_to_num(c["scroll"]) * (1 - c["fixed"] if len(c["fixed"]) else 1)
            order, ready = self.late.order(block, last=last)
            self._drop_seen(c, order, ready)
            columns.tally(order, ready, c["slot"], c["kind"], c["time"], self.kind_counts, self.bounds)
        else:
            self.sessions.assign(block, self.late.held_slots)
            self.late.fill(block)
            order, ready = self.late.order(block, last=last)
            for name in RESOLVED:
                # a view is its run unless views have ids
                wanted = name != "view_row" or len(c["view"])
                c[name] = buffers.take(name, block.rows if wanted else 0)
            self.sessions.scan(
                block, order, ready, kind_flags, self._viewport(c), self._none_page, self.kind_counts, self.bounds
            )
        if self.relaid is not None:
            self.relaid.place(block, order, ready)
        if self._areas is not None:
            areas.name_by_area(
                order, ready, c["slot"], c["feature"], c["page"], c["x"], c["y"], c["width"], *self._areas
            )
        layers = self._layer_of_kind()
        drawn = block if self.relaid is None else self.relaid.drawn(block, order, ready, self._pointed(layers))
        for usage in self._usage_crew:
            usage.tell(usage.measure.fold, block, order, ready)
        for maps in self._map_crew:
            maps.tell(maps.measure.fold, drawn, order, ready, layers)
        for some in self._picked_crew:
            some.tell(some.measure.fold, drawn, order, ready)
        for rested in self._rested_crew:
            rested.tell(rested.measure.fold, drawn, order, ready, [*self.encoder.kinds.names])
        for friction in self._friction_crew:
            roles = friction.measure.role_of_kind(self.encoder.kinds.names)
            friction.tell(friction.measure.fold, block, drawn, order, ready, roles, self.encoder.features.find(NONE))
        for journey in self._journey_crew:
            journey.tell(journey.measure.fold, block, order, ready)
        for watching in self._watch_crew:
            watching.tell(watching.measure.fold_and_tell, block, order, ready)
        for retention in self._retention_crew:
            retention.tell(retention.measure.fold, block, order, ready)
        for layout in self._layout_crew:
            layout.tell(layout.measure.fold, block, order, ready)
        for linked in self._link_crew:
            linked.tell(linked.measure.fold, drawn, order, ready)
        for cells in self._cell_crew:
            cells.tell(cells.measure.fold, block, order, ready, self.encoder.kinds.find("click"))
        self.late.hold(block, order, ready)
        if self.sessions is not None:
            self.sessions.end_block(self.late.held_slots)

    def end_part(self) -> None:
        """Close every session: none of them has a row in what comes."""
        if self.sessions is not None:
            self.sessions.end_part()

    def bots(self) -> Array:
        """The ids (n, 2) of the sessions that no person makes, of a fold that is finished."""
        return np.concatenate([np.zeros((0, 2), np.int64), *(pace.found() for pace in self.paces)])

    def early(self) -> Array:
        """Some of them, as soon as they are found out; each is told once."""
        return np.concatenate([np.zeros((0, 2), np.int64), *(pace.early() for pace in self.paces)])

    def settle(self) -> None:
        """Wait until all measures have seen all blocks."""
        self._crew.settle()

    def close(self) -> None:
        """End what the measures are at."""
        self._crew.close()

    def _drop_seen(self, c: dict[str, Array], order: Array, ready: int) -> None:
        """Without sessions, rows that are to count once (dedupe="rows") are kept in one set for the whole input."""
        at = 0
        while len(c["event"]):
            at = sets.drop_seen(
                order, at, ready, c["slot"], c["event"], scan.DUPLICATE, *self._seen.arrays,
            )  # fmt: skip
            if at >= ready:
                break
            self._seen.grow()
        self.duplicates += int((c["slot"] == scan.DUPLICATE).sum()) if len(c["event"]) else 0

    def _viewport(self, c: dict[str, Array]) -> bool:
        """Whether y still lacks the scroll."""
        return self.plan.frame == "viewport" and len(c["y"]) > 0 and len(c["scroll"]) > 0

    def finish(self) -> State:
        """Close every session; the state is canonical. The encoder's ledger is not in it (it belongs to the run)."""
        ids = self.sessions.finish() if self.sessions is not None else None
        self._crew.settle()
        dims = {"segment": self._segment_dims, "period": ("period",)}
        decode = {"segment": self._segment_codes()}
        ledger = Ledger()
        if self.maps:
            ledger.measures = self.maps[0].points()
        for some in (*self.picked, *self.rested):
            ledger.measures |= some.points()
        kinds = len(self.kind_counts)
        tables = {u.name: u.table(dims, decode) for u in self.usages}
        tables["kinds"] = Table(
            ("kind",),
            KIND_FIELDS,
            np.arange(kinds)[:, None],
            self.kind_counts[:, None].copy(),
            np.zeros((0, 3), np.int64),
        )
        for funnel in self.funnels:
            tables |= funnel.tables(dims, decode)
        for measure in self.scrolls:
            tables |= measure.tables(dims, decode)
        for exposed in self.exposures:
            tables |= exposed.tables(dims, decode)
        for cells in self.cells:
            tables["|".join(("posthog_cells", *cells.extra))] = cells.table(dims, decode)
        for layout in self.layouts:
            tables["layout"] = layout.table()
            ledger.measures["boxes"] = layout.points
        if self.cells:
            ledger.measures["posthog cells"] = self.cells[0].points
        if self.scrolls:
            ledger.measures["scroll"] = self.scrolls[0].points()
        for journey in self.journeys:
            for part in journey.transitions:
                name = "|".join(("transitions", f"{journey.thing}s", *part.groups.extra))
                tables[name] = part.table(journey.thing, dims, decode)
        for retention in self.retentions:
            tables["retention"] = retention.table(dims, decode)
        names = {
            "kind": list(self.encoder.kinds.names),
            "page": list(self.encoder.pages.names) if self.encoder.has_page else [ALL],
            "feature": list(self.encoder.features.names),
            "period": list(self.encoder.period_names.names),
            "cohort": list(self.encoder.cohort_names.names),
        }
        for linked in self.links:
            found, names["replay"] = linked.tables()
            tables |= found
            ledger.measures["links"] = linked.points()
        for dim, codes in zip(self._segment_dims, self.encoder.segments, strict=True):
            names[dim] = list(codes.names)
        drawn = {"|".join(("maps", *m.extra)): m.maps(dims, decode) for m in self.maps}
        for some in (*self.picked, *self.rested):
            drawn |= some.maps(dims, decode)
        for friction in self.frictions:
            tables |= friction.tables(dims, decode)
            names |= friction.names(self.encoder.features.names)
            drawn |= friction.maps(dims, decode)
            ledger.measures |= friction.points()
        totals = dict.fromkeys(TOTALS, 0)
        if self.sessions is not None:
            sessions, resumed, views, duplicates = (int(v) for v in self.sessions.totals)
            # a session cut from a user's events is no session resumed
            resumed = 0 if self.encoder.has_user_only else resumed
            totals = {"sessions": sessions, "resumed": resumed, "views": views}
            ledger.reject("duplicate", duplicates)
        ledger.reject("duplicate", self.duplicates)
        ledger.accepted = int(self.kind_counts.sum())
        mul, div = self._ms
        bounds = (int(self.bounds[0]) * mul // div, int(self.bounds[1]) * mul // div) if ledger.accepted else None
        return canonical(
            State(
                plan=self.plan,
                ledger=ledger,
                names=names,
                tables=tables,
                maps=drawn,
                totals=totals,
                bounds=bounds,
                session_ids=ids,
                paths={f"{j.thing}s": j.paths.part(j.thing, dims, decode) for j in self.journeys if j.paths},
            )
        )

    def _segment_codes(self) -> Array:
        """The codes of the by-columns behind each segment code, (n, len(by))."""
        if len(self.plan.by) < 2:
            n = len(self.encoder.segments[0].names) if self.plan.by else 0
            return np.arange(n, dtype=np.int64)[:, None]
        codes = np.arange(len(self.encoder.segment_pairs[-1]), dtype=np.int64)
        parts: list[Array] = []
        for pairs in reversed(self.encoder.segment_pairs):
            before, code = pairs.parts()
            parts.insert(0, code[codes])
            codes = before[codes]
        return np.column_stack([codes, *parts])


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
