"""The threads of one run, and the work that waits for them: none sleeps while another stage has something to do."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

MEASURES, BLOCKS, DECODING = range(3)
"""Stages, the most urgent first: what has been decoded takes memory until it is counted."""


class Workers:
    """The caller's thread and `threads` - 1 more, made for one run and gone after it.

    Work goes into lanes. Whoever waits for a result does that work itself if nobody has begun it, or else what waits in
    another lane, so that there are never more threads at work than were asked for. (Threads of their own for decoding,
    encoding and measures, four on two processors, took 1.2 times as long: the one that held the interpreter was put
    aside for others, and all waited.) With one thread work is done as it is given.
    """

    def __init__(self, threads: int = 1) -> None:
        self.alone = threads == 1
        self._changed = threading.Condition(threading.Lock())
        self._lanes: list[Lane] = []
        self._sleepers = 0
        self._ended = False
        self._threads = [
            threading.Thread(target=self._work, name=f"heatgrid-{k}", daemon=True) for k in range(1, threads)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __deepcopy__(self, memo: dict[int, Any]) -> Workers:
        """Of a fold that is copied while it goes on: it works on the thread that asks."""
        out = memo[id(self)] = Workers()
        return out

    def lane(self, stage: int, width: int = 1) -> Lane:
        """A queue of which `width` pieces of work are done at once, begun in the order in which they are given."""
        lane = Lane(self, stage, width)
        with self._changed:
            self._lanes.append(lane)
            self._lanes.sort(key=lambda one: one.stage)
        return lane

    def close(self) -> None:
        """Let the threads go; what is under way is waited for, what is not begun is dropped."""
        for lane in list(self._lanes):
            lane.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while (task := self._ready()) is None:
                    if self._ended:
                        return
                    self._sleep()
            self._do(task)

    def _ready(self) -> Task[Any] | None:
        for lane in self._lanes:
            if lane.waiting and lane.busy < lane.width:
                lane.busy += 1
                return lane.waiting.popleft()
        return None

    def _sleep(self) -> None:
        self._sleepers += 1
        try:
            self._changed.wait()
        finally:
            self._sleepers -= 1

    def _do(self, task: Task[Any]) -> None:
        try:
            task.value = task.work()
        except BaseException as error:
            task.error = error
            if not isinstance(error, Exception):
                raise  # an interrupt is for the thread that it meets, whatever it is helping with
        finally:
            with self._changed:
                task.done = True
                task.lane.busy -= 1
                if self._sleepers:
                    self._changed.notify_all()

    def _give(self, task: Task[Any]) -> None:
        if self.alone:
            task.lane.busy += 1
            self._do(task)
            return
        with self._changed:
            task.lane.waiting.append(task)
            if self._sleepers:
                self._changed.notify()

    def _wait(self, task: Task[Any]) -> None:
        """Until the task is done, doing what waits."""
        while True:
            with self._changed:
                own: Task[Any] | None = None
                while not task.done:
                    lane = task.lane
                    if lane.waiting and lane.waiting[0] is task and lane.busy < lane.width:
                        lane.busy += 1
                        own = lane.waiting.popleft()
                    else:
                        own = self._ready()
                    if own is not None:
                        break
                    self._sleep()
            if own is None:
                return
            self._do(own)

    def _drop(self, lane: Lane) -> None:
        with self._changed:
            for task in lane.waiting:
                task.done, task.error = True, CancelledError()
            lane.waiting.clear()
            while lane.busy:
                self._sleep()
            if lane in self._lanes:
                self._lanes.remove(lane)
            self._changed.notify_all()


class Task(Generic[T]):
    """Work given to a lane."""

    def __init__(self, lane: Lane, work: Callable[[], T]) -> None:
        self.lane, self.work = lane, work
        self.done = False
        self.value: T | None = None
        self.error: BaseException | None = None

    def result(self) -> T:
        """What the work gave, or raised."""
        self.lane.workers._wait(self)
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class Lane:
    """See ``Workers.lane``."""

    def __init__(self, workers: Workers, stage: int, width: int) -> None:
        self.workers, self.stage, self.width = workers, stage, width
        self.waiting: deque[Task[Any]] = deque()
        self.busy = 0

    def give(self, work: Callable[[], T]) -> Task[T]:
        task = Task(self, work)
        self.workers._give(task)
        return task

    def close(self) -> None:
        """Drop what is not begun and wait for what is."""
        self.workers._drop(self)
