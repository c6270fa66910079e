"""Chunks to blocks: names to codes, ids to hashes, numbers to float64, rejected rows marked and counted."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.cpu import columns, ids
from heatgrid.engine.block import DTYPES, Array, Block, Buffers, absent
from heatgrid.engine.columns import writable
from heatgrid.engine.crew import BEHIND
from heatgrid.engine.links import LinkCodes
from heatgrid.engine.measures.exposure import ACTS
from heatgrid.engine.measures.layout import BOX
from heatgrid.engine.names import IdHashes, NameCodes, bitmap, values_of
from heatgrid.engine.pairs import Pairs
from heatgrid.engine.periods import Periods, Releases
from heatgrid.engine.steps import codes_of_steps
from heatgrid.engine.traces import Traces
from heatgrid.engine.urls import shortened
from heatgrid.states.subtract import holds
from heatgrid.words.errors import InputError, LimitError, nearest
from heatgrid.words.events import NONE, Chunk, kind_of
from heatgrid.words.leave_out import AGENT_COLUMNS, AUTOMATED_COLUMNS, BOTS, FAST_BOTS, USERS, is_bot, is_true, matcher
from heatgrid.words.ledger import Ledger
from heatgrid.words.pages import PageRules, value_key
from heatgrid.words.plan import BUCKET_EDGES, DWELL_LAYER, RELEASE, Plan

TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
MAX_TIME = 2**62
MOST_WEIGHT = 9.2e18
NUMBERS = (
    ("x", "x"), ("y", "y"), ("viewport_w", "width"), ("viewport_h", "height"), ("page_h", "page_h"),
    ("scroll_y", "scroll"), *((name, name) for name in BOX),
)  # fmt: skip
"""Columns of the source, and what a block calls them."""
AHEAD = 2
"""Blocks that are encoded while one is folded."""


@dataclass(frozen=True)
class Needs:
    """Which canonical columns of the source a plan reads."""

    names: tuple[str, ...]
    points: bool = False
    """Whether x and y are mapped, read or not: without kinds such rows are clicks under any plan."""

    @classmethod
    def of(cls, plan: Plan, available: set[str], others: Sequence[str] = ()) -> Needs:
        if "time" not in available:
            raise InputError(
                "no time column", code="HG2601", where="columns", expected="a column for `time`",
                hint=f"--map time=COLUMN; {nearest('time', sorted(available))}",
            )  # fmt: skip
        wanted = ["time", "seq", "session", "tab", "view", "page", "kind", "feature", "event_id", "count"]
        if "session" not in available:
            wanted.append("user")
        if plan.maps or plan.area_list:
            wanted.append("viewport_w")
        if plan.maps or plan.area_list or plan.friction:
            wanted += ["x", "y", "fixed"]
            if plan.frame == "viewport":
                wanted.append("scroll_y")
        if "element" in (plan.frame, plan.widths):
            wanted += BOX
        if plan.scroll:
            wanted += ["viewport_w", "viewport_h", "page_h", "scroll_y", "y", "fixed"]
        if plan.gathers:
            wanted += ["viewport_w", "fixed", *BOX]
        if plan.exposure:
            wanted += ["viewport_w", "viewport_h", "scroll_y", "pointer"]
        if plan.posthog_cells:
            wanted += ["viewport_w", "x", "y", "fixed"]
            if plan.frame == "viewport":
                wanted.append("scroll_y")
        if plan.scroll or plan.exposure or plan.frame == "viewport":
            wanted.append("frame")
        if {"moves", DWELL_LAYER} & set(plan.maps) or any(rule.counts == "move" for rule in plan.rules):
            wanted.append("pointer")
        if plan.linked:
            wanted.append("replay_url")
        if "users" in plan.distinct or plan.retention or plan.exclude_users:
            wanted.append("user")
        if "session" not in available and "user" not in available:
            wanted = [name for name in wanted if name not in ("tab", "view", "seq")]
        names = [name for name in dict.fromkeys((*wanted, *plan.by)) if name in available]
        if not plan.keep_bots:
            names += [name for name in (*AGENT_COLUMNS, *AUTOMATED_COLUMNS) if name in others and name not in names]
        points = {"x", "y"} <= available
        return cls(tuple(sorted(available | set(others))) if plan.dedupe == "rows" else tuple(names), points)


class Encoder:
    """Holds the codes of the run; ``encode`` is called for one chunk after the other, in order."""

    def __init__(self, plan: Plan, needs: Needs, time_unit: str, ranked: bool) -> None:
        self.plan = plan
        self.ledger = Ledger()
        self.ticks = TICKS[time_unit]
        has = set(needs.names)
        self.has_user_only = "session" not in has and "user" in has
        self.has_sessions = "session" in has or self.has_user_only
        self.has_page = "page" in has
        self.has_points = {"x", "y"} <= has
        kinds = {word.strip().lower(): kind for kind, words in (plan.kinds or {}).items() for word in words}
        # without a kind column a table of points is a table of clicks (said in the notes), any other of events
        self.points_only = "kind" not in has and needs.points
        self.kinds = NameCodes(
            lambda raw: kinds.get(raw.strip().lower()) or kind_of(raw),
            null="click" if self.points_only else "custom",
            column="kind",
        )
        rules = plan.page_rules
        of_values = None if rules is None else value_key(rules)
        plain = shortened if rules == PageRules() else None
        self.pages = NameCodes(rules, null=NONE, column="page", shortened=plain)
        self.features = NameCodes(of_values, column="feature")
        # every name that a fold asks for has its code before folds and the worker run side by side
        self.kinds.code("click")
        for area in plan.area_list:
            self.features.code(area.name)
            if area.page is not None:
                self.pages.code_of_raw(area.page)
        self.funnel_codes = codes_of_steps(plan.funnel_steps, self.kinds, self.pages, self.features)
        self.goal_codes = codes_of_steps(plan.goal_steps, self.kinds, self.pages, self.features)
        if plan.exposure:
            for kind in ACTS:
                self.kinds.code(kind)
        if plan.exposure or plan.widths == "element":
            for area in plan.known_layout:
                self.features.code(area.name)
                if area.page is not None:
                    self.pages.code_of_raw(area.page)
        self.has_users = ("users" in plan.distinct or plan.retention is not None) and "user" in has
        self.cohort_names = NameCodes()
        self.cohorts = Periods(plan.retention, plan.tz, self.ticks, self.cohort_names) if plan.retention else None
        self.pointers = NameCodes(str.lower, null=NONE)
        self._left_out = [
            (column, what, NameCodes(_word_of(test), column=column))
            for column, what, test in _left_out(plan)
            if column in has
        ]
        self.touch_code = self.pointers.code("touch")
        self.links = LinkCodes("session" in has) if plan.linked and self.has_points and "replay_url" in has else None
        self.frames = NameCodes(str.lower, null=NONE)
        self.element_code = self.frames.code("element")
        self.segments = [NameCodes(rules if name == "page" else of_values, NONE, name) for name in plan.by]
        self.segment_pairs = [Pairs() for _ in plan.by[1:]]
        self.period_names = NameCodes()
        self.periods: Periods | Releases | None = None
        if plan.every == RELEASE:
            self.periods = Releases(plan.release_list, plan.tz, self.ticks, self.period_names)
        elif plan.every is not None:
            self.periods = Periods(plan.every, plan.tz, self.ticks, self.period_names)
        self._ids = {name: IdHashes(name) for name in ("session", "user", "tab", "view", "event_id")}
        self._ring = deque(Buffers() for _ in range(AHEAD + BEHIND + 1))
        self._has = self.columns = has
        self.ranked = ranked
        self.edges = np.array(BUCKET_EDGES, np.float64)
        years = plan.time_range
        self.range = (-MAX_TIME, MAX_TIME)
        if years is not None:
            self.range = _year(years[0]) * self.ticks, _year(years[1]) * self.ticks
        self._before = self.range[0]
        self._total = 0.0
        self.bots = np.zeros((0, 2), np.int64)
        """Ids of sessions that a run before has found to be bots by their pace."""
        self.traces: Traces | None = None

    def encode(self, chunk: Chunk, lead: int) -> Block:
        """The block's arrays are used again: for the AHEAD + BEHIND + 1st block after it.

        Raises InputError for columns of a type that cannot be what they are mapped to.
        """
        self._ring.append(buffers := self._ring.popleft())
        batch = chunk.batch
        n = batch.num_rows
        self.account(chunk)
        cols = {name: absent(name) for name in DTYPES}

        def fresh(name: str) -> Array:
            cols[name] = buffers.take(name, lead + n)
            return cols[name][lead:]

        ok = np.ones(n, np.uint8)
        get = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
        self._time(get["time"], fresh("time"), ok)
        index, lo, hi = self.sessions_of(get, n, self._ids)
        if self.traces is not None:
            self.traces.note(chunk, index, lo, hi)
        if self.has_sessions:
            self.ledger.reject("session", int(columns.check_index(index, ok)))
        self._leave_out(get, ok)
        if len(self.bots):
            self._leave_out_fast(index, lo, hi, ok)
        if "count" in self._has:
            bad = columns.check_count(self._counts(get, n), fresh("weight"), ok)
            self.ledger.reject("count", int(bad))
            self._total += float(cols["weight"][lead:].sum(dtype=np.float64))
            if self._total >= MOST_WEIGHT:
                raise LimitError(
                    "the counts add up to more than a 64-bit counter holds", code="HG4103", where="count",
                    value=f"{self._total:.3g}", expected=f"less than {MOST_WEIGHT:.3g}", hint="split the input",
                )  # fmt: skip
        self._names(get, n, fresh)
        self._ids_by_row(get, n, fresh)
        if self.links is not None:
            clicks = (cols["kind"][lead:] == self.kinds.find("click")) & (ok == 1)
            self.links.encode(get.get("replay_url"), clicks, index, lo, fresh("replay"))
        if self.ranked:
            fresh("rank")[:] = chunk.rank
        if "seq" in self._has:
            fresh("seq")[:] = self._seq(get, n)
        for source, name in NUMBERS:
            if source in self._has:
                self.number(get, source, n, out=fresh(name))
        if "scroll_y" in self._has and "frame" in self._has:
            self._leave_out_containers(get, cols["kind"][lead:], cols["scroll"][lead:])
        if "viewport_w" in self._has:
            columns.width_buckets(cols["width"][lead:], self.edges, fresh("bucket"))
        if "fixed" in self._has:
            fresh("fixed")[:] = self.number(get, "fixed", n, null=0.0) != 0
        if self.periods is not None:
            self.periods.encode(cols["time"][lead:], ok, fresh("period"))
        if self.cohorts is not None:
            self.cohorts.encode(cols["time"][lead:], ok, fresh("cohort"))
        fresh("slot")
        return Block(n, lead, cols, ok, index, lo, hi, self.ledger.read)

    def still(self) -> Encoder:
        """Its names and ledger as they are now: for a fold that is finished while this one goes on."""
        out = copy.copy(self)
        out.ledger = copy.deepcopy(self.ledger)
        for name, codes in vars(self).items():
            if isinstance(codes, NameCodes):
                setattr(out, name, codes.still())
        out.segments = [codes.still() for codes in self.segments]
        out.segment_pairs = copy.deepcopy(self.segment_pairs)
        return out

    def mark(self) -> tuple[Ledger, int, float]:
        """What `reset` takes to forget all that is encoded from now on, but for names."""
        return copy.deepcopy(self.ledger), self._before, self._total

    def reset(self, mark: tuple[Ledger, int, float]) -> None:
        self.ledger, self._before, self._total = mark

    def account(self, chunk: Chunk) -> None:
        """Enter a chunk's rows, and those that the source has left out, into the ledger."""
        self.ledger.read += chunk.read
        self.ledger.filtered += chunk.read - chunk.batch.num_rows - sum(chunk.rejected.values())
        for reason, count in chunk.rejected.items():
            self.ledger.reject(reason, count)

    def _time(self, column: pa.Array, out: npt.NDArray[np.int64], ok: npt.NDArray[np.uint8]) -> None:
        bits, offset = bitmap(column)
        bad = columns.check_time(
            writable(values_of(column)), writable(bits), offset, *self.range, self._before, out, ok
        )
        self.ledger.reject("time", int(bad))
        if len(out):
            self._before = int(out[-1])

    def _leave_out(self, get: dict[str, pa.Array], ok: npt.NDArray[np.uint8]) -> None:
        """Mark the rows of bots and of excluded users, so that they are neither counted nor rejected."""
        for column, what, codes in self._left_out:
            if column in get:
                found = np.empty(len(ok), np.int32)
                self._encode(codes, get[column], found)
                out = (found == codes.find("True")) & (found >= 0) & (ok == 1)
                ok[out] = 0
                self.ledger.leave_out(what, int(out.sum()))

    def _leave_out_fast(self, index: Array, lo: Array, hi: Array, ok: npt.NDArray[np.uint8]) -> None:
        """The same of the rows of bots by their pace; lo, hi: the ids of the block, index: the one of each row."""
        bad = holds(self.bots, lo, hi)
        if bad.any():
            out = (index >= 0) & bad[index] & (ok == 1)
            ok[out] = 0
            self.ledger.leave_out(FAST_BOTS, int(out.sum()))

    def sessions_of(
        self, get: dict[str, pa.Array], n: int, hashes: dict[str, IdHashes]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The session of each row: its id, or (user, tab), to be cut by the gap; (index by row, lo, hi)."""
        nothing = np.zeros(1, np.int64)
        if not self.has_sessions:
            return np.zeros(n, np.int32), nothing, nothing
        if not self.has_user_only:
            column = get.get("session")
            return hashes["session"](column) if column is not None else (np.full(n, -1, np.int32), nothing, nothing)
        if "user" not in get:
            return np.full(n, -1, np.int32), nothing, nothing
        index, lo, hi = hashes["user"](get["user"])
        if "tab" not in get:
            return index, lo, hi
        tab_lo, tab_hi = np.empty(n, np.int64), np.empty(n, np.int64)
        hashes["tab"].rows(get["tab"], tab_lo, tab_hi)
        user_lo, user_hi = np.empty(n, np.int64), np.empty(n, np.int64)
        columns.pick(index, lo, user_lo)
        columns.pick(index, hi, user_hi)
        lo, hi = user_lo, user_hi
        ids.mix_into(lo, hi, tab_lo, tab_hi)
        return np.where(index < 0, -1, np.arange(n, dtype=np.int32)).astype(np.int32), lo, hi

    def _names(self, get: dict[str, pa.Array], n: int, fresh: object) -> None:
        assert callable(fresh)
        for name, codes in (
            ("kind", self.kinds),
            ("page", self.pages),
            ("feature", self.features),
            ("pointer", self.pointers),
        ):
            if name in self._has or name == "kind" or (name == "feature" and self.plan.area_list):
                self._encode(codes, get.get(name), fresh(name))
        if self.plan.by:
            out = fresh("segment")
            self._encode(self.segments[0], get.get(self.plan.by[0]), out)
            for codes, pairs, name in zip(self.segments[1:], self.segment_pairs, self.plan.by[1:], strict=True):
                other = np.empty(n, np.int32)
                self._encode(codes, get.get(name), other)
                pairs.encode(out.copy(), other, out)

    @staticmethod
    def _encode(codes: NameCodes, column: pa.Array | None, out: npt.NDArray[np.int32]) -> None:
        if column is None:
            out[:] = codes.null_code()
        else:
            codes.encode(column, out)

    def _ids_by_row(self, get: dict[str, pa.Array], n: int, fresh: object) -> None:
        assert callable(fresh)
        if self.has_sessions and not self.has_user_only and "tab" in self._has:
            self._rows(get, "tab", fresh("tab"))
        if self.has_sessions and "view" in self._has:
            self._rows(get, "view", fresh("view"))
        if self.plan.dedupe == "rows":
            self._row_ids(get, fresh("event"), np.empty(n, np.int64))
        elif self.has_sessions and "event_id" in self._has:
            self._rows(get, "event_id", fresh("event"))
        if self.has_users:
            self._rows(get, "user", fresh("user_lo"), fresh("user_hi"))

    def _rows(
        self, get: dict[str, pa.Array], name: str, lo: npt.NDArray[np.int64], hi: npt.NDArray[np.int64] | None = None
    ) -> None:
        if name in get:
            self._ids[name].rows(get[name], lo, hi)
            return
        for out in (lo, hi):
            if out is not None:
                out[:] = 0

    @staticmethod
    def _row_ids(get: dict[str, pa.Array], lo: npt.NDArray[np.int64], hi: npt.NDArray[np.int64]) -> None:
        """One id of the whole row, in the order of the columns' names; null counts as a value."""
        lo[:] = 1
        hi[:] = 1
        other_lo, other_hi = np.empty_like(lo), np.empty_like(hi)
        for _, column in sorted(get.items()):
            IdHashes().rows(_comparable(column), other_lo, other_hi)
            ids.mix_into(lo, hi, other_lo, other_hi)

    def number(
        self,
        get: dict[str, pa.Array],
        name: str,
        n: int,
        null: float = np.nan,
        out: npt.NDArray[np.float64] | None = None,
    ) -> npt.NDArray[np.float64]:
        """A numeric column as float64, into ``out`` where given."""
        if out is None:
            out = np.empty(n)
        column = get.get(name)
        if column is None:
            out[:] = null
            return out
        kind = column.type
        if pa.types.is_boolean(kind):
            column = column.cast(pa.uint8())
        elif pa.types.is_decimal(kind) or pa.types.is_float16(kind) or pa.types.is_dictionary(kind):
            column = pc.cast(column.dictionary_decode() if pa.types.is_dictionary(kind) else column, pa.float64())
        elif pa.types.is_null(kind):
            out[:] = null
            return out
        elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise InputError(
                f"the column for {name} does not hold numbers", code="HG2603", where=name, value=str(kind),
                expected="integers or floats", hint="--coerce reads text as numbers and counts what fails as invalid",
            )  # fmt: skip
        values, bits = values_of(column), bitmap(column)
        if values.dtype in (np.float32, np.float64):
            columns.copy_numbers(values, *bits, null, out)
            return out
        # straight into the block: an array between the two is fresh pages each time
        np.copyto(out, values)
        if len(bits[0]):
            columns.fill_where_null(*bits, np.float64(null).view(np.int64), out.view(np.int64))
        return out

    def _leave_out_containers(self, get: dict[str, pa.Array], kind: Array, scroll: Array) -> None:
        """A scroll in the frame of an element moves that container: it says nothing of where the page stands."""
        frame = np.empty(len(kind), np.int32)
        self._encode(self.frames, get.get("frame"), frame)
        scroll[(frame == self.element_code) & (kind == self.kinds.find("scroll"))] = np.nan

    def _counts(self, get: dict[str, pa.Array], n: int) -> npt.NDArray[np.float64]:
        """The count of each row; integers that float64 cannot hold are infinite, and so rejected."""
        number = self.number(get, "count", n, null=1.0)
        column = get.get("count")
        if column is not None and pa.types.is_integer(column.type):
            number[(values_of(column) > 2**53) & ~np.isnan(number)] = np.inf
        return number

    def _seq(self, get: dict[str, pa.Array], n: int) -> npt.NDArray[np.int64]:
        """The sequence number; null comes first."""
        if "seq" not in get:
            return np.full(n, -MAX_TIME)
        column = get["seq"]
        if not pa.types.is_integer(column.type):
            number = self.number(get, "seq", n)
            return np.where(np.isnan(number), -MAX_TIME, np.clip(np.nan_to_num(number), -(2**53), 2**53)).astype(
                np.int64
            )
        values = values_of(column)
        # beyond int64 all are the last
        out = (np.minimum(values, 2**63 - 1) if values.dtype == np.uint64 else values).astype(np.int64)
        bits, offset = bitmap(column)
        if len(bits):
            columns.fill_where_null(bits, offset, -MAX_TIME, out)
        return out


def _left_out(plan: Plan) -> list[tuple[str, str, Callable[[str], bool]]]:
    """(column, what its rows are, the test of a value) of all that a plan leaves out."""
    out: list[tuple[str, str, Callable[[str], bool]]] = []
    if plan.exclude_users:
        out.append(("user", USERS, matcher(plan.exclude_users)))
    if not plan.keep_bots:
        out += [(column, BOTS, is_bot) for column in AGENT_COLUMNS]
        out += [(column, BOTS, is_true) for column in AUTOMATED_COLUMNS]
    return out


def _word_of(test: Callable[[str], bool]) -> Callable[[str], str]:
    return lambda raw: str(test(raw))


def _comparable(column: pa.Array) -> pa.Array:
    """Values that are equal as equal ids: times and floats as 64-bit integers, -0.0 as 0.0, every NaN as one."""
    if pa.types.is_nested(column.type) and not pa.types.is_run_end_encoded(column.type):
        raise InputError(
            "rows with nested columns cannot be compared", code="HG2605", where="dedupe", value=str(column.type),
            expected="columns of numbers, texts and times", hint="map an event_id, or leave the column out",
        )  # fmt: skip
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64())
    if not pa.types.is_floating(column.type):
        return column
    values = values_of(column).astype(np.float64) + 0.0
    values[np.isnan(values)] = np.nan
    valid = None if column.null_count == 0 else pc.is_null(column).to_numpy(zero_copy_only=False)
    return pa.array(values.view(np.int64), mask=valid)


def _year(year: int) -> int:
    """Seconds from 1970 to the start of a year, in UTC."""
    return int((np.datetime64(f"{year:04d}-01-01") - np.datetime64("1970-01-01")) / np.timedelta64(1, "s"))
