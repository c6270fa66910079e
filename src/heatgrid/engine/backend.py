"""Which device a computation takes, and why: the one place that decides between CPU and GPU."""

from __future__ import annotations

from dataclasses import dataclass

from heatgrid.gpu import availability, foreign
from heatgrid.gpu.device import Device
from heatgrid.words.errors import DeviceError, UsageError, nearest
from heatgrid.words.plan import BACKENDS, LAYERS, Plan

ON_GPU = ("bin_points", "smooth", "dwell")
MEASURES_ON_GPU = ("maps of clicks and moves", "scroll")
LEAST_ROWS = 1 << 27
"""Rows of a run from which a device is looked for. An estimate, as no GPU was at hand: the CPU still reads and resolves
each row, and with a device that took no time at all 1.5 M rows of maps took as long as without one (0.49 to 0.68 s and
0.47 to 0.84, one thread, 2 x 3 runs each in turn on a busy machine). Many sessions a cell and large grids may gain."""
LEAST_POINTS = 1 << 23
"""Points in main memory from which copying them is worth it: a copy of 64 MB, below which the first launch and the
result's way back weigh as much. Not measured: no GPU was at hand."""
LEAST_CELLS = 1 << 22
"""The same for a grid to be smoothed, which comes back as large as it went."""


@dataclass(frozen=True)
class Choice:
    """device: None for the CPU. forced: an error of the device is an error, not a reason for the CPU."""

    device: Device | None
    reason: str
    forced: bool = False
    able: tuple[str, ...] = ()
    """Of a run: the measures that are counted there."""
    without: tuple[str, ...] = ()
    """And those that are not."""

    @property
    def meta(self) -> dict[str, object]:
        if self.device is None:
            return {"backend": "cpu", "backend_reason": self.reason}
        out: dict[str, object] = {"backend": "gpu", "backend_reason": self.reason, "device": self.device.name}
        if self.able:
            out |= {"on_gpu": list(self.able), "on_cpu": list(self.without)}
        return out


def open_device() -> Device:
    from heatgrid.gpu import cupy_device

    return cupy_device.open_device()


def on_device(*data: object) -> bool:
    """Whether any of these lies in a device's memory."""
    return any(foreign.on_device(item) for item in data)


def choose(backend: str, *, what: str, size: int, least: int, there: bool) -> Choice:
    """size: items to be done; least: from how many a copy to the device is worth it; there: the input is on it."""
    _check(backend)
    if backend == "cpu":
        return Choice(None, "asked for")
    if backend == "auto" and not there and size < least:  # first: to look for a GPU takes longer than a small map
        return Choice(None, f"{size:,} {what}: below {least:,} the copy to a GPU costs more than it saves")
    missing = availability.why_not()
    if backend == "gpu":
        if missing:
            raise _absent(missing)
        return Choice(open_device(), "asked for", forced=True)
    if missing:
        return Choice(None, missing)
    return Choice(open_device(), "the input is on the device" if there else f"{size:,} {what}")


def for_plan(backend: str, plan: Plan, rows: int | None = None) -> Choice:
    """The device of a run of so many rows (None: nobody knows): what has a kernel is counted there, the rest here.

    Errors: UsageError HG1411; DeviceError HG5001 (no GPU) or HG5006 (measures without a GPU kernel, which it names),
    where ``gpu`` is asked for.
    """
    _check(backend)
    if backend == "cpu":
        return Choice(None, "asked for")
    able, without = kernels_for(plan)
    if backend == "gpu":
        missing = availability.why_not()
        if missing:
            raise _absent(missing)
        if without:
            raise DeviceError(
                "the plan has measures without a GPU kernel", code="HG5006", where="backend", value=", ".join(without),
                expected=f"what has one: {', '.join(ON_GPU)}; of a plan {', '.join(MEASURES_ON_GPU)}",
                hint='backend="auto" takes the CPU for them: the same integers',
            )  # fmt: skip
        return Choice(open_device(), "asked for", forced=True, able=tuple(able))
    rest = f"no GPU kernel for {', '.join(without)}" if without else ""
    # nobody looks for a GPU before it could pay: to import CuPy takes longer than a small run
    if not able:
        return Choice(None, rest)
    if rows is None or rows < LEAST_ROWS:
        few = "rows that nobody has counted" if rows is None else f"{rows:,} rows"
        why = f"{few}: below {LEAST_ROWS:,} a GPU saves less than it costs to begin"
        return Choice(None, "; ".join(filter(None, (why, rest))))
    missing = availability.why_not()
    if missing:
        return Choice(None, missing)
    reason = f"{rows:,} rows: {', '.join(able)}"
    return Choice(open_device(), "; ".join(filter(None, (reason, rest))), able=tuple(able), without=tuple(without))


def kernels_for(plan: Plan) -> tuple[list[str], list[str]]:
    """The measures of a plan that have a GPU kernel, and those that have none."""
    able = {*(f"the map of {layer}" for layer in LAYERS), "scroll"}
    asked = measures(plan)
    return [name for name in asked if name in able], [name for name in asked if name not in able]


def measures(plan: Plan) -> list[str]:
    """What a plan counts, in its own words."""
    asked = {
        "scroll": plan.scroll, "friction": plan.rules, "exposure": plan.exposure, "funnel": plan.funnel_steps,
        "retention": plan.retention, "PostHog's cells": plan.posthog_cells, "layout": plan.gathers,
        "users": plan.distinct,
    }  # fmt: skip
    return [
        *(f"the map of {layer}" for layer in plan.maps), *plan.tables,
        *(f"transitions of {of}" for of in plan.transitions), *(f"paths of {of}" for of in plan.paths),
        *(name for name, wanted in asked.items() if wanted),
    ] or ["events"]  # fmt: skip


def _check(backend: str) -> None:
    if backend not in BACKENDS:
        raise UsageError(
            "unknown backend", code="HG1411", where="backend", value=backend,
            expected="one of " + ", ".join(BACKENDS), hint=nearest(str(backend), BACKENDS),
        )  # fmt: skip


def few_points(choice: Choice, cells: int, points: int) -> Choice:
    """What follows from a stack of mostly zeros: under `auto` the CPU, which keeps only the cells hit."""
    if choice.device is None or choice.forced:
        return choice
    return Choice(None, f"{cells:,} cells for {points:,} points: the CPU keeps only those hit")


def no_room(choice: Choice, error: Exception) -> Choice:
    """What follows from too little memory on the device: the CPU under `auto`, else the error."""
    if choice.forced:
        raise DeviceError(
            "the device has too little memory", code="HG5005", where="backend", value=str(error),
            expected=f"room on {choice.device.name if choice.device else 'the device'}",
            hint="smaller grids, fewer groups, or the CPU",
        ) from error  # fmt: skip
    return Choice(None, f"the device has too little memory: {error}")


def _absent(why: str) -> DeviceError:
    return DeviceError(
        "the GPU was asked for and cannot be used", code="HG5001", where="backend", value=why,
        expected="a CUDA device", hint='backend="auto" takes the CPU: the same integers',
    )  # fmt: skip


def not_here(name: str, data: object) -> DeviceError:
    """An input that lies on a device, for a computation that goes to the CPU."""
    return DeviceError(
        f"{name} lives on a GPU, and this computation runs on the CPU", code="HG5003", where=name,
        value=type(data).__name__, expected="an array in main memory", hint="cupy.asnumpy(...) copies it there",
    )  # fmt: skip
