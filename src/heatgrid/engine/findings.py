"""What in a result is worth a look: rows of tables in, findings out. Pure; whole numbers until the rates.

A finding is k of n units (users where the plan counts them, else sessions) with its 95 % interval, beside the rate that
it is compared with. None comes from fewer than 30 units. As many candidates are looked at for each kind, the bar is the
interval of 95 % for all of them together (Bonferroni): it must lie above (friction: above twice) what it is compared
with; of what is rare, below a quarter of the usual.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import NormalDist, median
from typing import Any

import pyarrow as pa

from heatgrid.engine.intervals import FEW, mark, percent, wilson

Row = dict[str, Any]
KINDS = ("friction", "nowhere", "unused", "drop_off", "top", "underused", "attention")
"""Worst friction, clicks that lead nowhere, declared but unused, biggest drop-off, top features, underused, attention
without clicks: in this order they take turns."""
MOST_OF_A_KIND = 3
TIMES, LEAST_HITS = 2, 10
"""Friction: how many times the rate elsewhere its interval must pass, and how many units must have met it."""
OF_VIEWS = ("quick_back", "page_loop")
"""Families of rules that flag views, not features: told of after those of clicks, as a way back may be use."""
EXITS = 1.25
"""Pages differ in how many sessions end on them: of those a quarter more than elsewhere is asked for."""
QUARTER = 0.25
CLEAR = 3.0
"""Standard deviations of a difference at least: a reader takes each for one, and 95 % would be wrong in every 20th."""
TITLES = {
    "friction": "Worst friction", "nowhere": "Clicks that lead nowhere", "unused": "Declared but unused",
    "drop_off": "Biggest drop-off", "top": "Most used", "underused": "Underused",
    "attention": "Attention without clicks",
}  # fmt: skip
NO_RATE = ("unused", "attention")
"""Kinds compared with clicks for each unit, which their sentence names: no share of units."""
TYPES = {
    "kind": pa.string(), "page": pa.string(), "feature": pa.string(), "rule": pa.string(), "k": pa.int64(),
    "n": pa.int64(), "unit": pa.string(), "rate": pa.float64(), "low": pa.float64(), "high": pa.float64(),
    "small": pa.string(), "compared": pa.string(), "compared_rate": pa.float64(), "compared_k": pa.int64(),
    "compared_n": pa.int64(), "text": pa.string(),
}  # fmt: skip
NOT_NAMED = ("(none)", "(all)", "(other)", "(exit)", "(entry)", "")


@dataclass
class Found:
    """The tables that findings come from, as rows; what a source cannot give is empty."""

    units: int | None = None
    unit: str = "sessions"
    features: Sequence[Row] = ()
    pages: Sequence[Row] = ()
    friction: Sequence[Row] = ()
    transitions: Sequence[Row] = ()
    funnel: Sequence[Row] = ()
    exposure: Sequence[Row] = ()
    declared: Sequence[tuple[str, str | None]] = ()
    """(feature, page or None) of areas."""
    timed: bool = True
    """Whether the time on a feature is more than the time until the next click."""
    clicks: bool = True


@dataclass(order=True)
class Candidate:
    """What may become a finding. ``rare``: the fewer the more telling. weight : how much of it there is."""

    weight: tuple[float, ...]
    kind: str = field(compare=False)
    page: str | None = field(compare=False)
    feature: str | None = field(compare=False)
    k: int = field(compare=False)
    n: int = field(compare=False)
    unit: str = field(compare=False)
    compared: str = field(compare=False)
    base: float | None = field(compare=False)
    told: str = field(compare=False)
    rule: str | None = field(compare=False, default=None)
    times: float = field(compare=False, default=1.0)
    rare: bool = field(compare=False, default=False)
    bounds: tuple[float, float] | None = field(compare=False, default=None)
    """The interval, where it is not Wilson's of k of n; then it has been judged already."""
    of: tuple[int, int] | None = field(compare=False, default=None)
    """k and n of what it is compared with, where that is a share."""

    def passes(self, z: float, scale: float = 1.0) -> bool:
        """Whether it would stand, with ``scale`` times as much of the same."""
        k, n = self.k * scale, self.n * scale
        if n < FEW or self.bounds is not None:
            return n >= FEW
        if self.base is None:
            return True
        low, high = wilson(k / n, n, z)
        if self.rare:
            return high < self.base * self.times
        return low > self.base * self.times and k >= LEAST_HITS and self._clear(z, scale)

    def _clear(self, z: float, scale: float) -> bool:
        """Whether what it is compared with is as sure: a half of the sessions is no reason to call the other more."""
        if self.of is None:
            return True
        z = max(z, CLEAR)
        (k, n), (other, whole) = (self.k * scale, self.n * scale), (self.of[0] * scale, self.of[1] * scale)
        if self.kind == "top":
            # of the same units: at the worst no unit has both, and then the counts spread the most
            return k - other > z * math.sqrt(k + other - (k - other) ** 2 / n)
        # Newcombe's interval of a difference, from the two of Wilson
        rate, base = k / n, other / whole
        spread = math.hypot(rate - wilson(rate, n, z)[0], self.times * (wilson(base, whole, z)[1] - base))
        return rate - self.times * base > spread


def findings(found: Found) -> list[Row]:
    """Findings, the most telling first: kinds take turns, a feature is told of once (and as one of the top).

    Fields: kind, page, feature, rule, k, n, unit, rate, low, high, small (``low`` below 100 units), compared
    (with what), compared_rate, text (one sentence)."""
    taken: dict[str, list[Row]] = {}
    told: set[tuple[str | None, str | None]] = set()
    for kind, some in _candidates(found).items():
        z = _level(len(some))
        passed = sorted(
            (one for one in some if one.passes(z)), key=lambda one: (*(-part for part in one.weight), *_names(one))
        )
        for one in passed:
            # a feature has one trouble, a page without a feature its own; the most used may have one as well
            place = (None if one.feature else one.page, one.feature)
            if (kind == "top" or place not in told) and len(taken.get(kind, ())) < MOST_OF_A_KIND:
                if kind != "top":
                    told.add(place)
                taken.setdefault(kind, []).append(_row(one))
    return [rows[turn] for turn in range(MOST_OF_A_KIND) for rows in taken.values() if turn < len(rows)]


def more_needed(found: Found) -> int | None:
    """How many more units, of the same rates, would let the first candidate pass; None: no candidate would."""
    if not found.units:
        return None
    least: float | None = None
    for some in _candidates(found).values():
        z = _level(len(some))
        for one in some:
            scale = FEW / one.n if 0 < one.n < FEW else 1.0
            while one.n and scale < 1e4 and not one.passes(z, scale):
                scale *= 1.1
            if one.n and scale < 1e4 and (least is None or scale < least):
                least = scale
    return None if least is None else _rounded(math.ceil((least - 1.0) * found.units))


def note(found: Found, rows: Sequence[Row]) -> str | None:
    """What to say where there is no finding."""
    if rows:
        return None
    if found.units is None:
        return "no findings: they need a session or user column (--map session=COLUMN)"
    more = more_needed(found)
    if not more:
        return "nothing passes the bar"
    return f"nothing passes the bar; about {more:,} more {found.unit} needed"


def _candidates(found: Found) -> dict[str, list[Candidate]]:
    if found.units is None:
        return {}
    by_kind: dict[str, list[Candidate]] = {kind: [] for kind in KINDS}
    for one in (*_friction(found), *_unused(found), *_left(found), *_top(found), *_underused(found), *_idle(found)):
        by_kind[one.kind].append(one)
    return by_kind


def _friction(found: Found) -> Iterator[Candidate]:
    """Units of a page in which a rule flagged a feature, against all other features of the rule."""
    pages = {row["page"]: row["sessions"] or 0 for row in found.pages}
    by_rule: dict[str, list[Row]] = {}
    for row in found.friction:
        of_views = row["rule"].partition(":")[0] in OF_VIEWS
        if row["page"] in pages and row["considered"] and (not of_views or row["feature"] in NOT_NAMED):
            by_rule.setdefault(row["rule"], []).append(row)
    for rule, rows in by_rule.items():
        hits, all_n = sum(row["sessions"] for row in rows), sum(pages[row["page"]] for row in rows)
        family = rule.partition(":")[0]
        for row in rows:
            k, n = row["sessions"], pages[row["page"]]
            if all_n == n or k > n:
                continue
            rest = (hits - k) / (all_n - n)
            feature = None if row["feature"] in NOT_NAMED else row["feature"]
            where = f"{feature} ({row['page']})" if feature else row["page"]
            kind = "nowhere" if family == "dead" else "friction"
            what = f"{_WORDS.get(family, family)} ({rule})"
            yield Candidate(
                (family not in OF_VIEWS, k - n * rest), kind, row["page"], feature, k, n, "sessions",
                "the rest of the same rule", rest, f"{where}: {what}: {row['flagged']:,} times", rule, float(TIMES),
                of=(hits - k, all_n - n),
            )  # fmt: skip


_WORDS = {
    "dead": "clicks without any reaction", "rage": "repeated angry clicks", "error": "errors after clicks",
    "quick_back": "left at once", "page_loop": "round in circles", "thrash": "the pointer thrashes about",
}  # fmt: skip


def _usual(found: Found) -> float | None:
    """Clicks for each unit that had the feature: of the usual feature that is clicked."""
    rates = [row["clicks"] / row[found.unit] for row in _features(found) if row["clicks"] and row[found.unit] >= FEW]
    return median(rates) if rates else None


def _features(found: Found) -> list[Row]:
    return [row for row in found.features if row["feature"] not in NOT_NAMED and row.get(found.unit)]


def _unused(found: Found) -> Iterator[Candidate]:
    """Features that were there, by what was seen, by the pointer on them or by their areas, and never clicked."""
    usual = _usual(found)
    if not found.clicks or usual is None:
        return
    compared = f"the usual feature has {usual:.2g} clicks for each of its {found.unit}"
    base = min(1.0, usual)
    clicked = {row["feature"]: row["clicks"] for row in found.features}
    # the best witness of each: who saw it, else who opened its page, else whose pointer was on it
    seen: dict[str, tuple[int, int, str | None, str]] = {}
    pages = {row["page"]: row["sessions"] or 0 for row in found.pages}
    witnesses = [
        *((row["feature"], (0, row[found.unit], None, "that had the pointer on it")) for row in _features(found)),
        *((name, (1, pages.get(page, 0), page, f"that opened {page}")) for name, page in found.declared if page),
        *((row["feature"], (2, row["exposed_sessions"], row["page"], "that saw it")) for row in found.exposure),
    ]
    for name, witness in witnesses:
        seen[name] = max(seen.get(name, witness), witness, key=lambda w: w[:2])
    for name, (how, n, page, words) in seen.items():
        if not clicked.get(name) and name not in NOT_NAMED:
            unit = "sessions" if how else found.unit
            yield Candidate(
                (n,), "unused", page, name, 0, n, unit, compared, base, f"{name}: never clicked by {unit} {words}",
                times=QUARTER, rare=True,
            )  # fmt: skip


def _left(found: Found) -> Iterator[Candidate]:
    """Steps of the funnel, or pages where sessions end, against the others."""
    if found.funnel:
        steps = [row for row in found.funnel[:-1] if row["sessions"] and row["left"] is not None]
        pairs = [(str(row["name"]), row["left"], row["sessions"]) for row in steps]
        word, compared, times = "left the funnel after", "the other steps", 1.0
    else:
        pages = {row["page"]: row["sessions"] or 0 for row in found.pages}
        ends = {row["from"]: row["count"] for row in found.transitions if row["to"] == "(exit)"}
        pairs = [(name, ends.get(name, 0), n) for name, n in pages.items() if n and name not in NOT_NAMED]
        word, compared, times = "ended on", "all other pages", EXITS
    hits, whole = sum(k for _, k, _ in pairs), sum(n for *_, n in pairs)
    for name, k, n in pairs:
        if k > n:
            continue
        rest = (hits - k) / (whole - n) if whole > n else None
        page = None if found.funnel else name
        than = "nothing" if rest is None else compared
        yield Candidate(
            (k - n * (rest or 0.0),), "drop_off", page, None, k, n, "sessions", than, rest,
            f"sessions that {word} {name}", times=times, of=None if rest is None else (hits - k, whole - n),
        )  # fmt: skip


def _top(found: Found) -> Iterator[Candidate]:
    """The features of most units, each against the one after it."""
    rows = sorted(_features(found), key=lambda row: (-row[found.unit], row["feature"]))
    if not found.units:
        return
    for place, (row, after) in enumerate(pairwise(rows), 1):
        if place > MOST_OF_A_KIND:
            return
        k, n = row[found.unit], found.units
        yield Candidate(
            (k,), "top", None, row["feature"], k, n, found.unit, f"the next, {after['feature']}",
            after[found.unit] / n, f"{row['feature']}: number {place} by {found.unit}",
            of=(after[found.unit], n),
        )  # fmt: skip


def _underused(found: Found) -> Iterator[Candidate]:
    """Those of the feature table, which has judged them."""
    by_page: dict[str, list[float]] = {}
    for row in found.exposure:
        if row["underused"] is not None:
            by_page.setdefault(row["page"], []).append(row["ctr"])
    for row in found.exposure:
        if row["underused"]:
            usual = median(by_page[row["page"]])
            yield Candidate(
                (row["exposed_units"],), "underused", row["page"], row["feature"], row["views_clicked"],
                row["exposed_views"], "views", "the usual feature of the page", usual,
                f"{row['feature']} ({row['page']}): seen by many, clicked by few",
                bounds=(row["ctr_low"], row["ctr_high"]),
            )  # fmt: skip


def _idle(found: Found) -> Iterator[Candidate]:
    """Time on a feature and hardly a click: at most so many units clicked as there were clicks."""
    rows, usual = _features(found), _usual(found)
    spent = [row["dwell_ms"] / row[found.unit] for row in rows if row.get("dwell_ms") and row[found.unit] >= FEW]
    if not found.timed or not found.clicks or usual is None or not spent:
        return
    long = median(spent)
    for row in rows:
        n, clicks, ms = row[found.unit], row["clicks"], row.get("dwell_ms") or 0
        if clicks and ms >= long * n:
            yield Candidate(
                (ms,), "attention", None, row["feature"], min(clicks, n), n, found.unit,
                f"the usual feature has {usual:.2g} clicks for each of its {found.unit}", min(1.0, usual),
                f"{row['feature']}: {ms / n / 1000:.1f} s for each of {n:,} {found.unit} (usual: {long / 1000:.1f} s), "
                f"and {clicks:,} clicks",
                times=QUARTER, rare=True,
            )  # fmt: skip


def _level(candidates: int) -> float:
    return NormalDist().inv_cdf(1 - 0.025 / max(1, candidates))


def _names(one: Candidate) -> tuple[str, ...]:
    return (one.page or "", one.feature or "", one.rule or "")


def _row(one: Candidate) -> Row:
    low, high = one.bounds or wilson(one.k / one.n, one.n)
    return {
        "kind": one.kind, "page": one.page, "feature": one.feature, "rule": one.rule, "k": one.k, "n": one.n,
        "unit": one.unit, "rate": one.k / one.n, "low": low, "high": high, "small": mark(one.n),
        "compared": one.compared, "compared_rate": one.base,
        "compared_k": one.of[0] if one.of else None, "compared_n": one.of[1] if one.of else None, "text": one.told,
    }  # fmt: skip


def _rounded(value: int) -> int:
    """To two digits, upwards."""
    step: int = 10 ** max(0, len(str(value)) - 2)
    return -(-value // step) * step


def as_table(rows: Sequence[Row], said: str | None) -> pa.Table:
    """Findings as an Arrow table; what is said where there is none is its metadata ``note``."""
    schema = pa.schema(list(TYPES.items()), metadata={"note": said} if said else None)
    return pa.Table.from_pylist(list(rows), schema)


def sentence(row: Row) -> str:
    """A finding in one line: what, k of n with its interval, compared with what."""
    share = f"{row['k']:,} of {row['n']:,} {row['unit']}"
    rate = f"{percent(row['rate'])}, 95 % interval {percent(row['low'])} to {percent(row['high'])}"
    low = " (low)" if row["small"] else ""
    return f"{TITLES[row['kind']]}: {row['text']}; {share} ({rate}){low}; {beside(row)}"


def beside(row: Row) -> str:
    """What a finding is compared with: its share, and the k of n that it is."""
    if row["compared_rate"] is None or row["kind"] in NO_RATE:
        return str(row["compared"])
    of = "" if row["compared_n"] is None else f" ({row['compared_k']:,} of {row['compared_n']:,})"
    return f"{row['compared']}: {percent(row['compared_rate'])}{of}"
