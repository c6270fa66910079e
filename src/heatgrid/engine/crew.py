"""Measures at work beside the scan: each takes its orders one after the other, on a thread that it keeps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

from heatgrid.engine.block import Array

M = TypeVar("M")
BEHIND = 1
"""Blocks that measures may still be busy with while the next one is scanned."""


class Crew:
    """threads : how many may work beside the caller; 0: orders are done at once."""

    def __init__(self, threads: int) -> None:
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix="heatgrid-measure") for _ in range(threads)]
        self._members = 0
        self._given: deque[list[Future[None]]] = deque([[]])

    def hire(self, measure: M) -> Member[M]:
        """A measure's own place in the crew."""
        self._members += 1
        return Member(measure, self, self._members - 1)

    def tell(self, place: int, work: Callable[..., None], *args: Any) -> None:
        if not self._threads:
            work(*args)
            return
        self._given[-1].append(self._threads[place % len(self._threads)].submit(work, *args))

    def next_block(self, behind: int = BEHIND) -> None:
        """Begin a block: wait until no measure is more than `behind` blocks behind; their errors come out here."""
        self._given.append([])
        while len(self._given) > behind + 1:
            for done in self._given.popleft():
                done.result()

    def settle(self) -> None:
        """Wait for all; their errors come out."""
        self.next_block(0)

    def close(self) -> None:
        """Let the threads go; whatever is under way is waited for, so that none is left with an array."""
        wait([done for given in self._given for done in given])
        for thread in self._threads:
            thread.shutdown()


class Member(Generic[M]):
    """A measure to which everything is told in order, and done later."""

    def __init__(self, measure: M, crew: Crew, place: int) -> None:
        self.measure, self._crew, self._place = measure, crew, place

    def tell(self, work: Callable[..., None], *args: Any) -> None:
        self._crew.tell(self._place, work, *args)

    def resize(self, slots: int, runs: int, views: int) -> None:
        self.tell(self.measure.resize, slots, runs, views)  # type: ignore[attr-defined]

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        self.tell(self.measure.close, slots, runs, views, view_sessions)  # type: ignore[attr-defined]
