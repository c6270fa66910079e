"""heatgrid paths and funnel: how sessions go from page to page, and how far they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from heatgrid.cli import summary
from heatgrid.cli.options import EVENTS, Common, Counting, Reading, Result, Running, opt
from heatgrid.cli.tables import deliver
from heatgrid.cli.values import names, one_of
from heatgrid.cli.work import check_output, heat_of, is_picture
from heatgrid.words.errors import UsageError

SHOW = ("paths", "transitions", "steps", "retention")
FUNNEL = ("steps", "drop-offs")


@dataclass(kw_only=True)
class Journey:
    of: str | None = opt("--of", "pages|features", "What a step of a path is [pages].")
    show: str = opt("--show", "NAME", "paths, transitions, steps (the step matrix) or retention [paths].", "paths")
    top: int = opt("--top", "N", "So many paths, and the others as one row [20].", 20)
    steps: int = opt("--steps", "N", "Steps of the step matrix [10].", 10)


@dataclass(kw_only=True)
class Which:
    show: str = opt("--show", "NAME", "steps, or drop-offs (where those went that left, by step) [steps].", "steps")


def paths(
    *,
    events: EVENTS,
    journey: Journey,
    result: Result,
    reading: Reading,
    counting: Counting,
    running: Running,
    common: Common,
) -> None:
    """Top paths of sessions, transitions, step matrix, retention.

    A readable table on stdout; -o FILE writes .csv .parquet .arrow .json .npz; -o FILE.png draws transitions and steps.
    With --by or --every by segment and period too: a path is one of those it begins in.
    """
    one_of(journey.show, "--show", SHOW)
    if journey.of is not None:
        one_of(journey.of, "--of", ("pages", "features"))
    if journey.top < 1:
        raise UsageError("no row to show", code="HG1024", where="--top", value=journey.top, expected=">= 1")
    if not 1 <= journey.steps <= 1000:
        raise UsageError(
            "no such step matrix", code="HG1024", where="--steps", value=journey.steps, expected="1 to 1000"
        )
    if journey.show == "retention" and counting.retention is None and not any(e.endswith(".heat") for e in events):
        raise UsageError(
            "retention by what?", code="HG1027", where="--retention", expected="day or week", hint="--retention week"
        )
    drawn = is_picture(result.out)
    kind = "transitions" if journey.show == "transitions" else "paths"
    if drawn and journey.show == "paths":
        raise UsageError(
            "paths are not drawn", code="HG1025", where="--out", value=result.out, expected="a table",
            hint="--show transitions, steps or retention draws a picture",
        )  # fmt: skip
    check_output(result.out, result.to, pictures=True, json=common.json)
    asked: dict[str, Any] = (
        {}
        if journey.show == "retention"
        else {kind: tuple(dict.fromkeys((journey.of or "pages", *names(getattr(counting, kind)))))}
    )
    heat = heat_of(events, reading, counting, running, common, maps=names(counting.maps), tables=(), **asked)
    if drawn:
        assert result.out is not None
        if journey.show == "retention":
            matrix = heat.retention_matrix()
        elif journey.show == "steps":
            matrix = heat.steps_of(journey.of, journey.steps)
        else:
            matrix = heat.transition_matrix(journey.of)
        matrix.save(result.out)
        _drawn("paths", heat, common, result.out)
        return
    split = {"by": bool(heat.plan.by), "every": heat.plan.every is not None}
    if journey.show == "retention":
        table = heat.retention_of(by=split["by"])
    elif journey.show == "transitions":
        table = heat.transitions_of(journey.of, **split)
    elif journey.show == "paths":
        table = heat.paths_of(journey.of, journey.top, **split)
    elif any(split.values()):
        table = heat.steps_table(journey.of, journey.steps, **split)
    else:
        table = heat.steps_of(journey.of, journey.steps).to_table()
    deliver("paths", heat, table, common, result)


def funnel(
    *,
    events: EVENTS,
    which: Which,
    result: Result,
    reading: Reading,
    counting: Counting,
    running: Running,
    common: Common,
) -> None:
    """How far sessions come through the steps.

    heatgrid funnel EVENTS --funnel pageview:/pricing --funnel "kind=click&feature=Sign up". A readable table on stdout;
    -o FILE writes .csv .parquet .arrow .json .npz, or draws a .png. With --by or --every by segment and period too.
    """
    one_of(which.show, "--show", FUNNEL)
    if not counting.funnel and not any(name.endswith(".heat") for name in events):
        raise UsageError(
            "the funnel has no steps", code="HG1026", where="--funnel", expected="one --funnel STEP for each step",
            hint="heatgrid funnel EVENTS --funnel pageview:/ --funnel pageview:/pricing",
        )  # fmt: skip
    check_output(result.out, result.to, pictures=True, json=common.json)
    heat = heat_of(events, reading, counting, running, common, maps=names(counting.maps), tables=())
    if result.out is not None and is_picture(result.out):
        heat.funnel_picture(result.out)
        _drawn("funnel", heat, common, result.out)
        return
    made = heat.funnel_of if which.show == "steps" else heat.drop_offs_of
    deliver("funnel", heat, made(by=bool(heat.plan.by), every=heat.plan.every is not None), common, result)


def _drawn(name: str, heat: Any, common: Common, path: str) -> None:
    if common.json:
        summary.as_json(name, heat, path=path)
    summary.tell(heat, common.quiet, path)
