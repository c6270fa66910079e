"""Measures at work beside the scan: each takes its orders one after the other, in a lane of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from heatgrid.engine.block import Array
from heatgrid.engine.workers import MEASURES, Lane, Task, Workers

M = TypeVar("M")
BEHIND = 1
"""Blocks that measures may still be busy with while the next one is scanned."""


class Crew:
    """The measures of a fold, block by block."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._lanes: list[Lane] = []
        self._given: deque[list[Task[None]]] = deque([[]])

    def hire(self, measure: M) -> Member[M]:
        """A measure's own place in the crew."""
        return Member(measure, self, self.lane(MEASURES))

    def lane(self, kind: int) -> Lane:
        """A lane that is closed with the crew."""
        self._lanes.append(self._workers.lane(kind))
        return self._lanes[-1]

    def tell(self, lane: Lane, work: Callable[..., None], *args: Any) -> None:
        task = lane.give(partial(work, *args))
        if self._workers.alone:
            task.result()  # it is done, and its error is for the block that brought it
        else:
            self._given[-1].append(task)

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
        """Whatever is under way is waited for, so that no thread is left with an array."""
        for lane in self._lanes:
            lane.close()


class Member(Generic[M]):
    """A measure to which everything is told in order, and done later."""

    def __init__(self, measure: M, crew: Crew, lane: Lane) -> None:
        self.measure, self._crew, self.lane = measure, crew, lane

    def tell(self, work: Callable[..., None], *args: Any) -> None:
        self._crew.tell(self.lane, work, *args)

    def resize(self, slots: int, runs: int, views: int) -> None:
        self.tell(self.measure.resize, slots, runs, views)  # type: ignore[attr-defined]

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        self.tell(self.measure.close, slots, runs, views, view_sessions)  # type: ignore[attr-defined]
