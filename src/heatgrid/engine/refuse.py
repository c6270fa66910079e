"""What a state's source cannot tell by its evidence: which metrics are off, what is missing, what would unlock them."""

from __future__ import annotations

from heatgrid.states.state import State
from heatgrid.words.errors import UsageError
from heatgrid.words.evidence import Evidence, evidence_of
from heatgrid.words.friction import Follow, Marked, Rule, Thrash
from heatgrid.words.plan import DWELL_LAYER, GOAL_LAYER, OF_VIEWS

TIMED = ("dwell_ms", "visits", "open_visits")
"""Columns of tables that need the time of each row."""
ORDERED = ("transitions", "paths", "funnel")
DWELL_MAP = "dwell map"
"""What is refused where only the map of that name is: ``dwell`` is a column of the tables."""


def evidence(state: State) -> Evidence:
    return evidence_of(state.evidence)


def untimed(state: State) -> str | None:
    """Why the times of single rows say nothing."""
    told = evidence(state)
    if told.time_quality != "flush":
        return None
    return (
        f"the rows of up to {told.time_ms:,} ms share one time (evidence time_quality=flush:{told.time_ms}); "
        "a source with the time of each event: --evidence time_quality=event"
    )


def unheld(state: State, *names: str) -> str | None:
    """Why what the source says not to have is missing."""
    told = evidence(state)
    lacking = [name for name in names if not told.holds(name)]
    if not lacking:
        return None
    held = ",".join((*(told.has or ()), *lacking))
    return f"the source declares no {' and no '.join(lacking)} (--evidence has={held})"


def of_rule(state: State, rule: Rule) -> str | None:
    """Why a friction rule cannot be trusted; flags of the source itself always are."""
    if isinstance(rule, Marked):
        return None
    if isinstance(rule, Thrash) and evidence(state).moves in ("rest", "none"):
        told = evidence(state)
        kept = f"rest:{told.moves_ms}" if told.moves == "rest" else "none"
        return f"the pointer's way is not kept (evidence moves={kept}); a source with all moves: --evidence moves=all"
    if isinstance(rule, Follow) and not rule.followed and (why := unheld(state, "reactions")):
        return why
    return untimed(state)


def unwatched(state: State) -> str | None:
    """Why it is not known for how long each part of a page was in the window."""
    told = evidence(state)
    if told.has is not None and "depth" in told.has and "scroll" not in told.has:
        held = ",".join((*told.has, "scroll"))
        return (
            f"the source tells only how far down a view ever was, not when the page stood where (--evidence has={held})"
        )
    return untimed(state)


def reacts(state: State) -> bool:
    """Whether the source declares that it carries reactions, so that no row of mutation need prove it."""
    return "reactions" in (evidence(state).has or ())


def refused(state: State) -> dict[str, str]:
    """Metrics of the plan, but for friction rules, that the evidence does not bear."""
    out: dict[str, str] = {}
    plan, why = state.plan, untimed(state)
    if why is not None:
        if plan.tables:
            out |= dict.fromkeys(("dwell", "visits"), why)
        if plan.scroll:
            out["attention"] = why
        out |= {name: why for name in ORDERED if getattr(plan, name)}
        out |= {layer: why for layer in (*OF_VIEWS, GOAL_LAYER) if layer in plan.maps}
    views = unheld(state, "views")
    if views and "pages" in plan.tables:
        out["views"] = views
    if views is not None:
        out |= {layer: views for layer in OF_VIEWS if layer in plan.maps}
    if plan.scroll and (unseen := unwatched(state)):
        out["attention"] = unseen
    scrolls = () if "depth" in (evidence(state).has or ()) else ("scroll",)
    if plan.scroll and (none := unheld(state, *scrolls, "viewport", "views")):
        out["scroll"] = out["attention"] = none
    if plan.exposure and (dark := why or unheld(state, "scroll", "viewport", "views") or _pinged(state)):
        out["exposure"] = dark
    if DWELL_LAYER in plan.maps and (unknown := unrested(state)):
        out[DWELL_MAP] = unknown
    if "moves" in plan.maps and evidence(state).moves == "none":
        out["moves"] = (
            "the source keeps no pointer moves (evidence moves=none); a source with them: --evidence moves=all"
        )
    return out


def unrested(state: State) -> str | None:
    """Why it is not known where the pointer was while time passed."""
    if (why := untimed(state)) is not None:
        return why
    if evidence(state).moves == "none":
        return "the source keeps no pointer moves (evidence moves=none); a source with them: --evidence moves=all"
    kinds = {state.names["kind"][int(code)] for code in state.tables["kinds"].keys[:, 0]}
    if kinds and not kinds & {"move", "rest"}:
        return "no row is of kind move or rest (--kind move=WORD): between clicks the pointer may be anywhere"
    return None


def _pinged(state: State) -> str | None:
    """Why pings do not tell what was in the window; rows of kind exposure do."""
    told, kinds = evidence(state), state.tables["kinds"]
    if told.time_quality != "ping" or "exposure" in (state.names["kind"][int(code)] for code in kinds.keys[:, 0]):
        return None
    return (
        f"a row every {told.time_ms:,} ms does not tell what was in the window between (evidence "
        f"time_quality=ping:{told.time_ms}), and no row is of kind exposure (--kind exposure=WORD)"
    )


def off(state: State, layer: str) -> str | None:
    """Why a map is refused, or a metric by its name."""
    return refused(state).get(DWELL_MAP if layer == DWELL_LAYER else layer)


def check(state: State, what: str) -> None:
    """Errors: UsageError HG1540 where a metric that is asked for by name is refused."""
    why = off(state, what)
    if why is not None:
        raise UsageError(f"{what}: this source cannot tell", code="HG1540", where=what, value=why)


def lines(state: State) -> list[str]:
    """The same for people, one line a reason."""
    by_reason: dict[str, list[str]] = {}
    for name, why in refused(state).items():
        by_reason.setdefault(why, []).append(name)
    return [f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} off: {why}" for why, names in by_reason.items()]
