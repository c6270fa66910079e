"""Contenders in turn: how they are timed, checked and summed up, on which machine and with which versions."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Contender = Callable[[], Any]
FLOOR = "floor"
"""The contender that does the least that any could: it reads the same bytes."""
TURN_S = 0.06
"""What the timed calls of one turn may take together; at least one is made."""
SLOW_S, SLOW_ROUNDS = 0.3, 5
"""What takes longer a call has no more than so many rounds, and is not warmed up for each."""


def race(
    contenders: dict[str, Contender], check: Callable[[str, Any], None], rounds: int, *, short: bool = False
) -> dict[str, list[float]]:
    """Seconds of each, in turn, round after round; the first turn warms up and is checked.

    short: a turn is one call that is not timed and the median of as many as fit into TURN_S, so that works of a few
    milliseconds find the caches and their threads as warm.
    """
    calls, slow = dict.fromkeys(contenders, 1), set()
    for name, run in contenders.items():
        answer = run()
        if answer is not None:
            check(name, answer)
        del answer
        if short:
            once = _seconds(run)
            calls[name] = max(1, min(10, int(TURN_S / once)))
            slow |= {name} if once > SLOW_S else set()
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, run in contenders.items():
            if name in slow and number >= SLOW_ROUNDS:
                continue
            if short and name not in slow:
                run()
            found[name].append(statistics.median(_seconds(run) for _ in range(calls[name])))
    return found


def _seconds(run: Contender) -> float:
    start = time.perf_counter()
    answer = run()
    seconds = time.perf_counter() - start
    del answer
    return seconds


def summary(seconds: dict[str, list[float]], items: int) -> dict[str, Any]:
    """Medians, spread, the ratios of the medians, and the medians of the rounds' ratios."""
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    own = seconds["heatgrid"]
    rivals = [name for name in seconds if not name.startswith("heatgrid") and not name.startswith(FLOOR)]
    return {
        "items": items,
        "ns": {name: round(m / items * 1e9, 3) for name, m in medians.items()},
        "ns_least_most": {k: [round(f(t) / items * 1e9, 3) for f in (min, max)] for k, t in seconds.items()},
        "times_heatgrid": {name: round(m / medians["heatgrid"], 3) for name, m in medians.items()},
        "times_in_a_round": {
            name: round(statistics.median(a / b for a, b in zip(t, own, strict=False)), 3)
            for name, t in seconds.items()
        },
        "best_peer": min(rivals, key=medians.__getitem__, default=None),
    }


def machine() -> dict[str, Any]:
    return {"processor": _processor(), "cores": os.cpu_count(), "python": platform.python_version()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def versions(names: Sequence[str]) -> dict[str, str]:
    """Of the packages that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
