"""What a source can tell: how exact its times are, which pointer moves it keeps, how finely it rounds, what its rows
hold. Declared with the source; where nothing is declared its columns speak."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from heatgrid.words.errors import UsageError, nearest
from heatgrid.words.plan import CANVAS, Plan

TIME = ("event", "flush", "ping")
MOVES = ("all", "throttle", "rest", "none")
HOLDS = ("boxes", "scroll", "depth", "visibility", "viewport", "views", "reactions")
_MS = {"time_quality": ("flush", "ping"), "moves": ("throttle", "rest")}
_MS_OF = {"time_quality": "time_ms", "moves": "moves_ms"}


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a source declares.

    time_quality : ``event`` (each row has its own time), ``flush`` (the rows of up to time_ms share one), ``ping``
        (rows every time_ms while a page is open).
    moves : ``all``, ``throttle`` (at most one in moves_ms), ``rest`` (only where the pointer rested so long), ``none``.
    quantum_px : coordinates are multiples of it; they were rounded, so that k stands for [(k - 1/2) q, (k + 1/2) q).
    sample_rate : the share of sessions that was kept.
    has : of ``boxes``, ``scroll``, ``depth`` (of scrolls only how far down a view ever was: reach, and no attention),
        ``visibility``, ``viewport``, ``views``, ``reactions``; None: what columns tell.
    """

    time_quality: str = "event"
    time_ms: int = 0
    moves: str = "all"
    moves_ms: int = 0
    quantum_px: float | None = None
    sample_rate: float = 1.0
    has: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("time_quality", TIME), ("moves", MOVES)):
            if getattr(self, name) not in allowed:
                raise _bad(name, getattr(self, name), "one of " + ", ".join(allowed), allowed)
        for word in self.has or ():
            if word not in HOLDS:
                raise _bad("has", word, "of " + ", ".join(HOLDS), HOLDS)
        for name, kind in (("time_ms", self.time_quality), ("moves_ms", self.moves)):
            ms = getattr(self, name)
            timed = kind in (*_MS["time_quality"], *_MS["moves"])
            if isinstance(ms, bool) or not isinstance(ms, int) or not (0 < ms < 2**40 if timed else ms == 0):
                of = name.replace("time_ms", "time_quality").removesuffix("_ms")
                raise _bad(of, f"{kind}:{ms}", "ms with flush, ping, throttle and rest, and only there")
        for name in ("quantum_px", "sample_rate"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int | float | None):
                raise _bad(name, number, "a number")
        if self.sample_rate is None:
            raise _bad("sample_rate", None, "a share, above 0 and up to 1")
        if self.quantum_px is not None and not (math.isfinite(self.quantum_px) and 0 < self.quantum_px < 10_000):
            raise _bad("quantum_px", self.quantum_px, "px > 0")
        if not (math.isfinite(self.sample_rate) and 0 < self.sample_rate <= 1):
            raise _bad("sample_rate", self.sample_rate, "a share, above 0 and up to 1")

    def as_dict(self) -> dict[str, object]:
        """JSON-ready; ``evidence_of`` makes it again."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    def holds(self, what: str) -> bool:
        """Whether it may be there: always, where nothing is declared."""
        return self.has is None or what in self.has

    def fit(self, plan: Plan) -> tuple[Plan, list[str]]:
        """The plan with cells no smaller than the quantum, on the grid of the rounding; and what was changed."""
        q = self.quantum_px
        if q is None or not plan.maps:
            return plan, []
        notes = []
        cell = tuple(max(c, q) for c in plan.cell_size)
        if cell != plan.cell_size:
            shown = "x".join(f"{c:g}" for c in plan.cell_size)
            notes.append(f"cells of {shown} px are raised to {q:g} px: the source rounds to it")
        extent = plan.extent
        if extent is None:
            extent = (CANVAS[0] - q / 2, CANVAS[1] - q / 2, CANVAS[2] - q / 2, CANVAS[3] - q / 2)
            notes.append(f"the grid begins at -{q / 2:g} px: the source rounds to {q:g} px")
        return replace(plan, cell=(cell[0], cell[1]), extent=extent), notes

    def notes(self) -> list[str]:
        """What readers must know."""
        return [f"a sample of {100 * self.sample_rate:g} % of the sessions: counts are those of the sample"] * (
            self.sample_rate < 1
        )


def evidence_of(value: Evidence | Mapping[str, Any] | Sequence[str] | None, base: Evidence | None = None) -> Evidence:
    """Evidence as it is, as a mapping, or as texts such as ``time_quality=flush:5000``, ``has=scroll,viewport``.

    base : what holds where the mapping or the texts name nothing.

    Errors: UsageError HG1145 for an unknown name or an unusable value.
    """
    if value is None or isinstance(value, Evidence):
        return value or base or Evidence()
    if isinstance(value, Mapping):
        pairs = [(str(name), given) for name, given in value.items()]
    else:
        texts = [value] if isinstance(value, str) else list(value)
        pairs = [(name.strip(), given.strip()) for name, _, given in (text.partition("=") for text in texts)]
    known = tuple(field.name for field in fields(Evidence))
    out: dict[str, Any] = {}
    for name, given in pairs:
        if name not in known:
            raise _bad("evidence", name, "one of " + ", ".join(known), known)
        if name in _MS and (base is not None or name in out):
            out[_MS_OF[name]] = 0
        out |= _read(name, given)
    return Evidence(**out) if base is None else replace(base, **out)


def _read(name: str, given: Any) -> dict[str, Any]:
    if name == "has":
        words = given.split(",") if isinstance(given, str) else given
        if words is not None and not isinstance(words, Sequence | set | frozenset):
            raise _bad(name, given, "words")
        return {"has": None if words is None else tuple(sorted({str(word).strip() for word in words} - {""}))}
    if not isinstance(given, str):
        return {name: given}
    try:
        if name in _MS:
            kind, colon, ms = given.partition(":")
            return {name: kind} | ({_MS_OF[name]: int(ms)} if colon else {})
        return {name: int(given) if name.endswith("_ms") else float(given)}
    except ValueError:
        raise _bad(name, given, "a number") from None


def _bad(name: str, value: object, expected: str, choices: Sequence[str] = ()) -> UsageError:
    hint = (
        nearest(str(value), choices)
        if choices
        else "time_quality=flush:5000, moves=rest:500, quantum_px=16, has=scroll"
    )
    return UsageError(
        "this evidence is not usable", code="HG1145", where=name, value=value, expected=expected, hint=hint
    )
