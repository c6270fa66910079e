"""Friction rules as data: the published presets, own rules from TOML, and what of its source each rule needs."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from heatgrid.words.errors import InputError, UsageError, nearest

METRICS = ("l1", "l2", "box")
REACTIONS = ("input", "mutation", "navigation", "scroll", "selection")
NAVIGATION = "navigation"
"""As a kind of reaction: its own rows, and every row that opens a view."""
MUTATION = "mutation"
MOST_WAITING = 64
"""Clicks (or page views) of a session that wait for what follows them, for each rule."""
MOST_RULES = 32
LONGEST_MS = 2**40


def _bad(rule: Rule, name: str, value: object, expected: str) -> UsageError:
    return UsageError(
        f"{name} of a friction rule is not usable", code="HG1154", where=str(rule.name), value=value, expected=expected
    )


def _whole(rule: Rule, name: str, *, least: int, most: int = LONGEST_MS) -> None:
    value = getattr(rule, name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _bad(rule, name, value, f"a whole number from {least} to {most:,}")


def _kinds(rule: Follow | Marked) -> None:
    if not isinstance(rule.kinds, tuple) or not rule.kinds or not all(isinstance(k, str) and k for k in rule.kinds):
        raise _bad(rule, "kinds", rule.kinds, "at least one kind of row")
    object.__setattr__(rule, "kinds", tuple(sorted(set(rule.kinds))))


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What every rule has. ``name`` is FAMILY or FAMILY:VARIANT; results and maps carry it."""

    name: str
    version: int = 1
    type: ClassVar[str] = ""
    counts: ClassVar[str] = "click"
    """What is flagged: clicks, page views, or pointer moves."""

    @property
    def family(self) -> str:
        return self.name.partition(":")[0]

    @property
    def needs_points(self) -> bool:
        return False

    @property
    def needs_feature(self) -> bool:
        return False

    def __post_init__(self) -> None:
        if not self.name or self.name != self.name.strip() or "|" in self.name or not self.name.isprintable():
            raise _bad(self, "name", self.name, "a printable word such as rage:mine, without |")
        _whole(self, "version", least=1)

    def as_dict(self) -> dict[str, object]:
        """JSON-ready; ``rule_of`` makes the rule of it again."""
        data = {"type": self.type, **asdict(self)}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in data.items()}

    def parameters(self) -> str:
        """The parameters in one line, for tables."""
        hidden = ("name", "version", "type")
        told = ((k, v) for k, v in self.as_dict().items() if k not in hidden and v not in (None, False))
        return ", ".join(f"{k} {' '.join(v) if isinstance(v, list) else v}" for k, v in told)


@dataclass(frozen=True, kw_only=True)
class Repeat(Rule):
    """Repeated clicks of one tab: it holds at a click if the n clicks that end with it

    each follow the one before in less than ``gap_ms``, or all lie within ``span_ms`` (exactly one of the two);
    and, with ``radius_px``, are each less than it from the one before (``l1``: |dx| + |dy|, ``l2``: straight), or
    (``box``) spread at most so far on each axis; and, with ``same_feature``, are on one feature.
    ``once``: flags the click at which it comes to hold; else all n and every further one. ``restart``: clicks that
    were flagged for are forgotten, and the count begins anew.
    """

    n: int
    gap_ms: int | None = None
    span_ms: int | None = None
    radius_px: float | None = None
    metric: str = "l1"
    same_feature: bool = False
    once: bool = True
    restart: bool = False
    type: ClassVar[str] = "repeat"

    @property
    def needs_points(self) -> bool:
        return self.radius_px is not None

    @property
    def needs_feature(self) -> bool:
        return self.same_feature

    def __post_init__(self) -> None:
        super().__post_init__()
        _whole(self, "n", least=2, most=MOST_WAITING)
        if (self.gap_ms is None) == (self.span_ms is None):
            raise _bad(self, "gap_ms / span_ms", (self.gap_ms, self.span_ms), "one of the two")
        _whole(self, "gap_ms" if self.span_ms is None else "span_ms", least=1)
        r = self.radius_px
        if r is not None and (isinstance(r, bool) or not isinstance(r, (int, float)) or not 0 < r < 1e9):
            raise _bad(self, "radius_px", r, "px > 0")
        if self.metric not in METRICS:
            raise _bad(self, "metric", self.metric, nearest(str(self.metric), METRICS))
        for name in ("same_feature", "once", "restart"):
            if not isinstance(getattr(self, name), bool):
                raise _bad(self, name, getattr(self, name), "true or false")


@dataclass(frozen=True, kw_only=True)
class Follow(Rule):
    """A click is flagged if a row of ``kinds`` of its session comes after it within ``within_ms``; with
    ``followed`` false, if none does. A row that opens a view counts as ``navigation``."""

    kinds: tuple[str, ...]
    within_ms: int
    followed: bool = True
    type: ClassVar[str] = "follow"

    def __post_init__(self) -> None:
        super().__post_init__()
        _kinds(self)
        _whole(self, "within_ms", least=0)
        if not isinstance(self.followed, bool):
            raise _bad(self, "followed", self.followed, "true or false")


@dataclass(frozen=True, kw_only=True)
class Marked(Rule):
    """The source's own flags: rows of ``kinds``, which only flag a click and are none."""

    kinds: tuple[str, ...]
    type: ClassVar[str] = "marked"

    def __post_init__(self) -> None:
        super().__post_init__()
        _kinds(self)


@dataclass(frozen=True, kw_only=True)
class Back(Rule):
    """In a tab, from a page to another and back to the first within ``within_ms``; flags the view that was left."""

    within_ms: int
    type: ClassVar[str] = "back"
    counts: ClassVar[str] = "view"

    def __post_init__(self) -> None:
        super().__post_init__()
        _whole(self, "within_ms", least=0)


@dataclass(frozen=True, kw_only=True)
class Loop(Rule):
    """In a tab, n views of one page begin within ``within_ms``; flags the last, and the page's count begins anew."""

    n: int
    within_ms: int
    type: ClassVar[str] = "loop"
    counts: ClassVar[str] = "view"

    def __post_init__(self) -> None:
        super().__post_init__()
        _whole(self, "n", least=2, most=MOST_WAITING)
        _whole(self, "within_ms", least=0)


@dataclass(frozen=True, kw_only=True)
class Thrash(Rule):
    """In a tab, the pointer turns n times (its way along x or along y, either counts once a move) within
    ``within_ms``; flags the move of the last turn, and the count begins anew. Touch is no pointer."""

    n: int
    within_ms: int
    type: ClassVar[str] = "thrash"
    counts: ClassVar[str] = "move"

    @property
    def needs_points(self) -> bool:
        return True

    def __post_init__(self) -> None:
        super().__post_init__()
        _whole(self, "n", least=1, most=1024)
        _whole(self, "within_ms", least=0)


TYPES: dict[str, type[Rule]] = {t.type: t for t in (Repeat, Follow, Marked, Back, Loop, Thrash)}


def _dead(vendor: str, within_ms: int) -> Follow:
    return Follow(name=f"dead:{vendor}", kinds=REACTIONS, within_ms=within_ms, followed=False)


PRESETS: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Repeat(name="rage:posthog", n=3, gap_ms=1000, radius_px=30, metric="l1"),
        Repeat(name="rage:mixpanel", n=4, gap_ms=1000, radius_px=30, metric="l2", restart=True),
        Repeat(name="rage:datadog", n=4, span_ms=1000),
        Repeat(name="rage:amplitude", n=4, span_ms=1000, radius_px=50, metric="box", same_feature=True),
        Repeat(name="rage:openreplay", n=3, gap_ms=300, same_feature=True),
        Marked(name="rage:source", kinds=("$mp_rage_click", "$rageclick", "rageclick")),
        _dead("posthog", 2500),
        _dead("amplitude", 3000),
        _dead("mixpanel", 500),
        Marked(name="dead:source", kinds=("$dead_click", "$mp_dead_click", "deadclick")),
        Follow(name="error", kinds=("error",), within_ms=1000),
        Back(name="quick_back", within_ms=5000),
        Loop(name="page_loop", n=3, within_ms=15_000),
        Thrash(name="thrash", n=21, within_ms=2000),
    )
}
SHORT = {"rage": "rage:posthog", "dead": "dead:posthog"}


def rules_of(chosen: Sequence[str | Rule] | str | Rule) -> tuple[Rule, ...]:
    """Rules by the name of a preset (``rage``: ``rage:posthog``), as themselves, or all of a TOML file by its path.

    Errors: UsageError HG1151..HG1154; InputError HG2120 for a file that cannot be read.
    """
    out: list[Rule] = []
    for item in (chosen,) if isinstance(chosen, (str, Rule)) else chosen:
        if isinstance(item, str) and item.endswith(".toml"):
            out += load_rules(item)
        else:
            out.append(item if isinstance(item, Rule) else preset(item))
    out = list(dict.fromkeys(out))
    names = [rule.name for rule in out]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or len(out) > MOST_RULES:
        raise UsageError(
            "two rules of one name" if twice else "too many rules", code="HG1152", where="friction",
            value=twice[0] if twice else len(out), expected=f"at most {MOST_RULES} rules, each of its own name",
        )  # fmt: skip
    return tuple(out)


def preset(name: object) -> Rule:
    found = PRESETS.get(SHORT.get(str(name), str(name)))
    if found is None:
        raise UsageError(
            "unknown friction rule", code="HG1151", where="friction", value=name,
            expected="a preset, or a rule of a TOML file", hint=nearest(str(name), PRESETS),
        )  # fmt: skip
    return found


def load_rules(path: str | Path) -> tuple[Rule, ...]:
    """The rules of a TOML file: ``[rules."rage:mine"]`` with ``like = "rage:posthog"`` and what differs, or ``type``
    and all its parameters. Errors: InputError HG2120, UsageError HG1151, HG1153, HG1154."""
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("rules")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            "the file of rules cannot be read", code="HG2120", where=str(path), value=str(error),
            expected='TOML with tables such as [rules."rage:mine"]',
        ) from error  # fmt: skip
    if not isinstance(found, dict) or not found or not all(isinstance(v, dict) for v in found.values()):
        raise InputError(
            "the file names no rule", code="HG2120", where=str(path), expected='tables such as [rules."rage:mine"]'
        )
    return tuple(_own(name, dict(values)) for name, values in found.items())


def _own(name: str, values: dict[str, object]) -> Rule:
    like = values.pop("like", None)
    base = {} if like is None else preset(like).as_dict()
    if like is not None and "gap_ms" in values and "span_ms" not in values:
        base.pop("span_ms", None)
    if like is not None and "span_ms" in values and "gap_ms" not in values:
        base.pop("gap_ms", None)
    return rule_of({**base, "version": 1, **values, "name": name})


def rule_of(data: dict[str, Any]) -> Rule:
    """A rule of its ``as_dict``, or of a file's table.

    Errors: UsageError HG1153 (names of parameters), HG1154 (their values).
    """
    values = dict(data)
    name, kind = values.get("name"), values.pop("type", None)
    if kind not in TYPES:
        raise UsageError(
            "unknown type of a rule", code="HG1153", where=str(name), value=kind,
            expected='a type, or like = "rage:posthog"', hint=nearest(str(kind), TYPES),
        )  # fmt: skip
    known = {f.name: f for f in fields(TYPES[kind])}
    strange = [key for key in values if key not in known]
    lacking = [key for key, f in known.items() if f.default is MISSING and key not in values]
    if strange or lacking:
        raise UsageError(
            "unknown parameter of a rule" if strange else "a parameter of a rule is missing", code="HG1153",
            where=str(name), value=(strange or lacking)[0],
            hint=nearest(strange[0], known) if strange else ", ".join(lacking),
        )  # fmt: skip
    kinds = values.get("kinds")
    if isinstance(kinds, (list, str)):
        values["kinds"] = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    return TYPES[kind](**values)


def missing(
    rule: Rule,
    *,
    has: Collection[str],
    kinds: Collection[str] | None,
    sessions: bool,
    areas: bool,
    reacts: bool = False,
) -> str | None:
    """What a source lacks for a rule, with what would unlock it; None if nothing.

    has : canonical columns; kinds : kinds that occur, None while they are not known; reacts : the source declares that
    it carries reactions.
    """
    if not sessions:
        return "no session or user column (--map session=COLUMN)"
    if rule.needs_points and not {"x", "y"} <= set(has):
        return "no coordinates (--map x=COLUMN --map y=COLUMN)"
    if rule.needs_feature and "feature" not in has and not (areas and {"x", "y"} <= set(has)):
        return "no column for feature (--map feature=COLUMN, or --areas FILE with x and y)"
    if rule.counts == "view" and "page" not in has:
        return "no column for page (--map page=COLUMN)"
    if kinds is None:
        return None
    if reacts and isinstance(rule, Follow) and not rule.followed:
        return None
    if isinstance(rule, Follow) and not rule.followed and MUTATION in rule.kinds and MUTATION not in kinds:
        # scrolls and inputs alone would leave every click dead that only changes the page
        return f"no rows of kind {MUTATION} (--kind {MUTATION}=WORD)"
    if isinstance(rule, (Follow, Marked)) and not set(rule.kinds) & set(kinds):
        return f"no rows of kind {' or '.join(rule.kinds)} (--kind {rule.kinds[0]}=WORD)"
    wanted = {"click": "click", "move": "move"}.get(rule.counts)
    if wanted is not None and wanted not in kinds and not isinstance(rule, Marked):
        return f"no rows of kind {wanted} (--kind {wanted}=WORD)"
    return None
