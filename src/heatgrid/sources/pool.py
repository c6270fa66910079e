"""Work done ahead of its consumer, in order, by a bounded number of threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TypeVar

from heatgrid.engine.workers import DECODING, Task, Workers

T = TypeVar("T")
K = TypeVar("K")


def ahead(
    tasks: Iterator[tuple[K, Callable[[], T]]], width: int, workers: Workers | None = None
) -> Generator[tuple[K, Callable[[], T]], None, None]:
    """Run tasks on the workers, `width` at once, or on as many threads of its own; keys and results in order.

    While the consumer holds one result, ``width`` more are running or ready: never more than width + 1 alive if it lets
    go of one before it asks for the next. Threads of its own end with the generator, also when it is closed early.
    A failed task raises when its result is called for. On one thread a task is done when its result is called for.
    """
    if width == 0 or (workers is not None and workers.alone):
        yield from tasks
        return
    with ExitStack() as opened:
        lane = (workers or opened.enter_context(Workers(width + 1))).lane(DECODING, width)
        waiting: deque[tuple[K, Task[T]]] = deque()
        try:
            for key, task in tasks:
                waiting.append((key, lane.give(task)))
                if len(waiting) > width:
                    yield _next(waiting)
            while waiting:
                yield _next(waiting)
        finally:
            lane.close()


def _next(waiting: deque[tuple[K, Task[T]]]) -> tuple[K, Callable[[], T]]:
    key, task = waiting.popleft()
    return key, task.result
