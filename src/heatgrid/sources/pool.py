"""Work done ahead of its consumer, in order, by a bounded number of threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
K = TypeVar("K")


def ahead(tasks: Iterator[tuple[K, Callable[[], T]]], threads: int) -> Iterator[tuple[K, Callable[[], T]]]:
    """Run tasks on ``threads`` workers, at most ``threads`` of them not yet asked for; keys and results in order.

    With the one that the consumer holds there are never more than threads + 1 results alive. The workers end with
    the generator, also when it is closed early. A failed task raises when its result is called for.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="heatgrid-source") as workers:
        waiting: deque[tuple[K, Future[T]]] = deque()
        try:
            for key, task in tasks:
                waiting.append((key, workers.submit(task)))
                if len(waiting) >= threads:
                    yield _next(waiting)
            while waiting:
                yield _next(waiting)
        finally:
            for _, future in waiting:
                future.cancel()


def _next(waiting: deque[tuple[K, Future[T]]]) -> tuple[K, Callable[[], T]]:
    key, future = waiting.popleft()
    return key, future.result
