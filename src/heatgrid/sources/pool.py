"""Work done ahead of its consumer, in order, by a bounded number of threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
K = TypeVar("K")


def ahead(tasks: Iterator[tuple[K, Callable[[], T]]], threads: int) -> Generator[tuple[K, Callable[[], T]], None, None]:
    """Run tasks on ``threads`` workers; keys and results in order.

    While the consumer holds one result, ``threads`` more are running or ready: never more than threads + 1 alive if
    it lets go of one before it asks for the next. The workers end with the generator, also when it is closed early.
    A failed task raises when its result is called for. Without workers a task is done when its result is called for.
    """
    if threads == 0:
        yield from tasks
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="heatgrid-source") as workers:
        waiting: deque[tuple[K, Future[T]]] = deque()
        try:
            for key, task in tasks:
                waiting.append((key, workers.submit(task)))
                if len(waiting) > threads:
                    yield _next(waiting)
            while waiting:
                yield _next(waiting)
        finally:
            for _, future in waiting:
                future.cancel()


def _next(waiting: deque[tuple[K, Future[T]]]) -> tuple[K, Callable[[], T]]:
    key, future = waiting.popleft()
    return key, future.result
