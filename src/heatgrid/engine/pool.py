"""Threads for one call: made for it and gone after it, so that nothing is shared between callers or after a fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from heatgrid.words.errors import UsageError

MOST_THREADS = 1024


def thread_count(threads: int | None) -> int:
    """The number asked for, else HEATGRID_THREADS, else the processors this process may use."""
    where = "threads"
    value: object = threads
    if threads is None and os.environ.get("HEATGRID_THREADS"):
        where = "HEATGRID_THREADS"
        text = os.environ[where]
        value = int(text) if text.isascii() and text.isdigit() else text
    if value is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        count = value.__index__() if not isinstance(value, bool) else 0  # type: ignore[attr-defined]
    except AttributeError:
        count = 0
    if not 1 <= count <= MOST_THREADS:
        raise UsageError(
            "the number of threads is not usable", code="HG1401", where=where, value=value,
            expected=f"a whole number from 1 to {MOST_THREADS}", hint="leave it out: one thread per processor",
        )  # fmt: skip
    return int(count)


def each(threads: int, work: Callable[[int], None]) -> None:
    """work(0) ... work(threads - 1) at the same time, the first of them on the calling thread."""
    if threads == 1:
        work(0)
        return
    with ThreadPoolExecutor(threads - 1, thread_name_prefix="heatgrid") as pool:
        others = [pool.submit(work, k) for k in range(1, threads)]
        work(0)
        for other in others:
            other.result()
