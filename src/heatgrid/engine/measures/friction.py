"""Friction: each rule of the plan walks the clicks, views and moves of open sessions; what it flags is counted by page
and feature, with segment and period as further keys, and drawn as a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from heatgrid.cpu import friction
from heatgrid.engine.block import DTYPES, Array, Block, absent
from heatgrid.engine.measures.maps import MapMeasure
from heatgrid.engine.pairs import Pairs
from heatgrid.engine.sets import Sets
from heatgrid.states.state import FRICTION_FIELDS, RULE_FIELDS, Maps, Table
from heatgrid.words.events import NONE
from heatgrid.words.friction import (
    METRICS,
    MOST_WAITING,
    NAVIGATION,
    Back,
    Follow,
    Loop,
    Marked,
    Repeat,
    Rule,
    Thrash,
)
from heatgrid.words.ledger import Points
from heatgrid.words.plan import Plan

OUT_ROWS = 8192
FLAGGED_ROW, TOLD = 0, 1
"""Kinds of the rows that the maps of a rule see."""
LAYER_OF_KIND = np.array([0, -1], np.int32)


class Places:
    """Dense ids of (page, feature or none, segment, period), and of the part of it that each grouping counts by; the
    last of ``groups`` is all places as one."""

    def __init__(self, groupings: Sequence[tuple[str, ...]]) -> None:
        self.extras = groupings[-1]
        self._pairs = [Pairs() for _ in range(1 + len(self.extras))]
        self._columns: list[tuple[int, ...]] = [
            *((0, 1, *(2 + self.extras.index(e) for e in grouping)) for grouping in groupings),
            (),
        ]
        self._known: list[dict[tuple[int, ...], int]] = [{} for _ in self._columns]
        self.parts = np.zeros((0, 2 + len(self.extras)), np.int64)
        self.groups = [np.zeros(0, np.int32) for _ in self._columns]

    def encode(self, page: Array, feature: Array, extras: list[Array], none: int) -> Array:
        """The place of each row; none : the code of a feature that is named like a missing one, or -1."""
        on = np.where(feature == none, 0, feature + 1).astype(np.int32)
        place = page
        for pairs, other in zip(self._pairs, (on, *extras), strict=True):
            out = np.empty(len(page), np.int32)
            pairs.encode(place, other, out)
            place = out
        if len(self._pairs[-1]) > len(self.parts):
            self._learn()
        return place

    def _learn(self) -> None:
        codes = np.arange(len(self._pairs[-1]), dtype=np.int64)
        columns: list[Array] = []
        for pairs in reversed(self._pairs):
            before, code = pairs.parts()
            columns.insert(0, code[codes])
            codes = before[codes]
        old = len(self.parts)
        self.parts = np.column_stack([codes, *columns])
        for g, (chosen, known) in enumerate(zip(self._columns, self._known, strict=True)):
            keys = map(tuple, self.parts[old:, list(chosen)].tolist())
            new = np.array([known.setdefault(key, len(known)) for key in keys], np.int32)
            self.groups[g] = np.concatenate([self.groups[g], new])

    @property
    def sizes(self) -> list[int]:
        """How many groups each grouping has."""
        return [len(known) for known in self._known]

    def keys(self, grouping: int) -> Array:
        """The columns of each group."""
        width = len(self._columns[grouping])
        return np.array(list(self._known[grouping]), np.int64).reshape(-1, width)


class _Rule:
    """One rule at work: its queues, its counters, its maps."""

    def __init__(self, rule: Rule, number: int, none_page: int, groupings: int) -> None:
        self.rule, self.number = rule, number
        self.fields = np.zeros((64, friction.FIELDS), np.int64)
        self.sessions = [np.zeros(64, np.int64) for _ in range(groupings + 1)]
        self.bots = np.zeros(1, np.int64)
        self.maps: list[MapMeasure] = []
        self.by_session = isinstance(rule, Follow)
        self.unfollowed = isinstance(rule, Follow) and not rule.followed
        self._queues = np.zeros((0, friction.QUEUE), np.int64)
        self._pool = np.zeros((0, friction.RECORD), np.int64)
        self._free = np.full(1, -1, np.int64)
        self._pointers = np.zeros((0, 0), np.int64)
        bit = friction.OWN + number
        self._leaf, self._parameters = _leaf_of(rule, bit, none_page, self.bots)

    def resize(self, slots: int, runs: int) -> None:
        if isinstance(self.rule, Thrash):
            self._pointers = _longer(self._pointers, runs, friction.T_TIMES + self.rule.n)
        elif not isinstance(self.rule, Marked):
            self._queues = _longer(self._queues, slots if self.by_session else runs, friction.QUEUE)

    def room(self, places: int, groups: list[int]) -> None:
        if places > len(self.fields):
            self.fields = _longer(self.fields, max(places, 2 * len(self.fields)), friction.FIELDS)
        for g, n in enumerate(groups):
            if n > len(self.sessions[g]):
                self.sessions[g] = np.concatenate([self.sessions[g], np.zeros(max(n, len(self.sessions[g])), np.int64)])

    def step(self, records: Array, at: int, n: int, out: Array, n_out: Array) -> tuple[int, int]:
        if isinstance(self.rule, Thrash):
            store: tuple[Array, ...] = (self._pointers,)
        elif is_chain(self.rule):
            store = (self._queues,)
        else:
            store = () if isinstance(self.rule, Marked) else (self._queues, self._pool, self._free)
        at, reason = self._leaf(records, at, n, *self._parameters, *store, self.fields, out, n_out)
        if reason == friction.NO_POOL:
            self._more_pool()
        return int(at), int(reason)

    def end(self, slots: Array, runs: Array, at: int, out: Array, n_out: Array) -> tuple[int, int]:
        if isinstance(self.rule, Thrash):
            self._pointers[runs] = 0
        if is_chain(self.rule):
            self._queues[runs] = 0
        if isinstance(self.rule, (Thrash, Marked)) or is_chain(self.rule):
            return 0, friction.DONE
        at, reason = friction.end(
            slots if self.by_session else runs, at, self._queues, self._pool, self._free, self.unfollowed,
            self.fields, out, n_out,
        )  # fmt: skip
        return int(at), int(reason)

    def _more_pool(self) -> None:
        n = len(self._pool)
        self._pool = _longer(self._pool, max(1024, 2 * n), friction.RECORD)
        self._pool[n:, friction.F_NEXT] = np.arange(n + 1, len(self._pool) + 1)
        self._pool[-1, friction.F_NEXT] = -1
        self._free[0] = n


def is_chain(rule: Rule) -> bool:
    """Whether a rule asks of each click only the one before, and flags none but the click at hand."""
    if not isinstance(rule, Repeat) or rule.gap_ms is None or not rule.once:
        return False
    return rule.radius_px is None or rule.metric != "box"


def _leaf_of(rule: Rule, bit: int, none_page: int, bots: Array) -> tuple[Any, tuple[Any, ...]]:
    """The leaf of a rule, and its parameters."""
    if isinstance(rule, Repeat):
        times = (rule.n, rule.gap_ms or 0, rule.span_ms or 0)
        space = (float(rule.radius_px or 0), METRICS.index(rule.metric), rule.same_feature)
        if is_chain(rule):
            return friction.chain, (rule.n, rule.gap_ms, *space, rule.restart)
        return friction.repeat, (*times, *space, rule.once, rule.restart)
    if isinstance(rule, Follow):
        opens = NAVIGATION in rule.kinds
        return friction.follow, (bit, opens, rule.within_ms, rule.followed, MOST_WAITING, bots)
    if isinstance(rule, Back):
        return friction.back, (rule.within_ms, none_page)
    if isinstance(rule, Loop):
        return friction.loop, (rule.n, rule.within_ms, MOST_WAITING, none_page, bots)
    if isinstance(rule, Thrash):
        return friction.thrash, (rule.n, rule.within_ms)
    return friction.marked, (bit,)


class Friction:
    """All rules of a plan that the source has the columns for. ``groupings`` end with the one by all extras.

    ms : (multiplier, divisor) of the source's ticks. touch : the code of a touch pointer.
    """

    def __init__(
        self, plan: Plan, rules: Sequence[Rule], groupings: list[tuple[str, ...]], *, ms: tuple[int, int],
        none_page: int, touch: int, points: bool,
    ) -> None:  # fmt: skip
        self._ms, self._touch = ms, touch
        self._groupings = groupings
        self.places = Places(groupings)
        self.rules = [_Rule(rule, i, none_page, len(groupings)) for i, rule in enumerate(rules)]
        if points and "clicks" in plan.maps:
            for rule in self.rules:
                if rule.rule.counts == "click":
                    drawn = dict.fromkeys((groupings[0], groupings[-1]))
                    rule.maps = [MapMeasure(plan, extra, True, touch) for extra in drawn]
        with_maps = any(rule.maps for rule in self.rules)
        opens = any(r.rule.counts == "view" or (isinstance(r.rule, Follow) and NAVIGATION in r.rule.kinds)
                    for r in self.rules)  # fmt: skip
        self._mask = (friction.TELLS if with_maps else 0) | (friction.NEW_VIEW if opens else 0)
        self._sets = [Sets() for _ in self.places.groups]
        self._rows = np.empty(0, np.int64)
        self._records = np.empty((0, friction.RECORD), np.int64)
        self._out = np.empty((OUT_ROWS, friction.RECORD), np.int64)
        self._n_out = np.zeros(1, np.int64)
        self._named_views = False

    def role_of_kind(self, names: Sequence[str]) -> Array:
        """Bits of each kind, by code."""
        rules = [r.rule for r in self.rules]
        clicks = any(rule.counts == "click" for rule in rules)
        moves = any(rule.counts == "move" for rule in rules)
        roles = []
        for name in names:
            role = (clicks and name == "click") << friction.CLICK | (moves and name == "move") << friction.MOVE
            for i, rule in enumerate(rules):
                if isinstance(rule, (Follow, Marked)) and name in rule.kinds:
                    role |= 1 << (friction.OWN + i)
            roles.append(role)
        return np.array(roles, np.int64)

    def resize(self, slots: int, runs: int, views: int) -> None:
        for sets in self._sets:
            sets.resize(slots)
        for rule in self.rules:
            rule.resize(slots, runs)
            for maps in rule.maps:
                maps.resize(slots, runs, views)

    def fold(
        self, block: Block, drawn: Block, order: Array, ready: int, role_of_kind: Array, none_feature: int
    ) -> None:
        """drawn : the same rows as maps are to see them."""
        c, d = block.columns, drawn.columns
        if len(self._rows) < ready + 1:
            self._rows = np.empty(ready * 5 // 4 + 1, np.int64)
        n = int(friction.select(order, ready, c["slot"], c["kind"], c["flags"], role_of_kind, self._mask, self._rows))
        if not n:
            return
        rows = self._rows[:n]
        page = c["page"][rows] if len(c["page"]) else np.zeros(n, np.int32)
        feature = c["feature"][rows] if len(c["feature"]) else np.full(n, -1, np.int32)
        extras = [c[name][rows] for name in self.places.extras]
        place = self.places.encode(page, feature, extras, none_feature)
        if len(self._records) < n:
            self._records = np.empty((n * 5 // 4, friction.RECORD), np.int64)
        self._named_views = len(c["view"]) > 0
        friction.gather(
            rows, n, c["time"], *self._ms, c["slot"], c["run"], c["view_row"], c["flags"], c["kind"], c["page"],
            c["feature"], c["x"].view(np.int64), c["y"].view(np.int64), d["x"].view(np.int64), d["y"].view(np.int64),
            d["bucket"], c["fixed"], d["width"], c["weight"], c["pointer"], self._touch, place, role_of_kind,
            self._mask | friction.NEW_VIEW, self._records,
        )  # fmt: skip
        groups = self.places.sizes
        for rule in self.rules:
            rule.room(len(self.places.parts), groups)
            at, reason = 0, friction.NO_OUT
            while reason != friction.DONE:
                at, reason = rule.step(self._records, at, n, self._out, self._n_out)
                if reason != friction.NO_POOL:
                    self._flush(rule)

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        for rule in self.rules:
            at, reason = 0, friction.NO_OUT
            while reason != friction.DONE:
                at, reason = rule.end(slots, runs, at, self._out, self._n_out)
                self._flush(rule)
            for maps in rule.maps:
                maps.close(slots, runs, views, view_sessions)
        for sets in self._sets:
            sets.free(slots)

    def _flush(self, rule: _Rule) -> None:
        """Count the sessions of what a rule has flagged, and draw it."""
        n = int(self._n_out[0])
        self._n_out[0] = 0
        if not n:
            return
        for g, sets in enumerate(self._sets):
            at = 0
            while True:
                at = friction.count_sessions(
                    self._out, at, n, rule.number, self.places.groups[g], rule.sessions[g], *sets.arrays
                )
                if at >= n:
                    break
                sets.grow()
        if rule.maps:
            block = self._as_block(self._out[:n])
            order = np.arange(n, dtype=np.int32)
            for maps in rule.maps:
                maps.fold(block, order, n, LAYER_OF_KIND)

    def _as_block(self, out: Array) -> Block:
        """Flagged rows as a block of clicks, with the marks that views have told their width between them."""
        n = len(out)
        told = out[:, friction.F_PLACE] < 0
        parts = self.places.parts[np.where(told, 0, out[:, friction.F_PLACE])]
        values: dict[str, Array] = {
            "slot": out[:, friction.F_SLOT], "run": out[:, friction.F_RUN], "page": parts[:, 0],
            "weight": out[:, friction.F_WEIGHT], "bucket": out[:, friction.F_BUCKET],
            "fixed": out[:, friction.F_WIDTH] // friction.FIXED, "width": out[:, friction.F_WIDTH] % friction.FIXED,
            "flags": np.where(told, out[:, friction.F_FLAGS] & friction.TELLS, 0),
            "kind": np.where(told, TOLD, FLAGGED_ROW),
            **{name: parts[:, 2 + i] for i, name in enumerate(self.places.extras)},
        }  # fmt: skip
        if self._named_views:
            values["view_row"] = out[:, friction.F_VIEW]
        columns = {name: values[name].astype(kind) if name in values else absent(name) for name, kind in DTYPES.items()}
        for name, field in (("x", friction.F_DRAWN_X), ("y", friction.F_DRAWN_Y)):
            columns[name] = np.ascontiguousarray(out[:, field]).view(np.float64)
        nothing = np.zeros(1, np.int64)
        return Block(n, 0, columns, np.ones(n, np.uint8), np.zeros(n, np.int32), nothing, nothing)

    def points(self) -> dict[str, Points]:
        """Of each rule that is drawn: what became of the points that it flagged."""
        return {r.rule.name: r.maps[0].points()["clicks"] for r in self.rules if r.maps}

    def maps(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> dict[str, Maps]:
        return {"|".join((r.rule.name, *m.extra)): m.maps(dims, decode) for r in self.rules for m in r.maps}

    def tables(self, dims: dict[str, tuple[str, ...]], decode: dict[str, Array]) -> dict[str, Table]:
        """``friction`` for each grouping: rule, page, target, then segments and period; ``rules``: all of each."""
        tables = {}
        for g, extra in enumerate(self._groupings):
            keys = self.places.keys(g)
            columns = [keys[:, :2]]
            for i, name in enumerate(extra):
                code = keys[:, 2 + i]
                columns.append(decode[name][code] if name in decode else code[:, None])
            own = np.concatenate(columns, axis=1)
            blocks, values = [], []
            for rule in self.rules:
                counts = np.zeros((len(keys), friction.FIELDS), np.int64)
                np.add.at(counts, self.places.groups[g], rule.fields[: len(self.places.parts)])
                blocks.append(np.column_stack([np.full(len(keys), rule.number), own]))
                flagged, considered, excess = counts.T
                values.append(np.column_stack([flagged, rule.sessions[g][: len(keys)], considered, excess]))
            tables["|".join(("friction", *extra))] = Table(
                dims=("rule", "page", "target", *(d for name in extra for d in dims[name])),
                fields=FRICTION_FIELDS,
                keys=np.concatenate(blocks).astype(np.int64),
                values=np.concatenate(values).astype(np.int64),
                histogram=np.zeros((0, 3), np.int64),
            )
        totals = []
        for rule in self.rules:
            flagged, considered, excess = rule.fields.sum(axis=0)
            totals.append([flagged, rule.sessions[-1][0], considered, excess, rule.bots[0]])
        tables["rules"] = Table(
            dims=("rule",),
            fields=RULE_FIELDS,
            keys=np.arange(len(totals))[:, None],
            values=np.array(totals, np.int64),
            histogram=np.zeros((0, 3), np.int64),
        )
        return tables

    def names(self, features: Sequence[str]) -> dict[str, list[str]]:
        """The names of the dimensions that only these tables have."""
        return {"rule": [rule.rule.name for rule in self.rules], "target": [NONE, *features]}


def _longer(array: Array, rows: int, width: int) -> Array:
    out = np.zeros((rows, width), np.int64)
    out[: len(array), : array.shape[1]] = array
    return out
