"""Threads of one call: none of them writes any more once the call has ended, however it ends."""

from __future__ import annotations

import time
from typing import Any

import pytest

from heatgrid.engine import pool


def test_a_thread_that_cannot_be_started_leaves_none_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the threads are started outside of what waits for them: they went on in the caller's arrays."""
    real, written = pool.start_new_thread, []

    def start(function: Any, arguments: Any) -> int:
        if arguments[0] == 2:
            raise RuntimeError("can't start new thread")
        return int(real(function, arguments))

    def work(k: int) -> None:
        time.sleep(0.2)
        written.append(k)

    monkeypatch.setattr(pool, "start_new_thread", start)
    with pytest.raises(RuntimeError, match="can't start"):
        pool.each(4, work)
    assert written == [1]


class _Interrupted:
    """A lock whose first two waits are interrupted, before and after it was had."""

    def __init__(self, lock: Any) -> None:
        self._lock, self.calls = lock, 0
        self.release = lock.release

    def acquire(self) -> None:
        self.calls += 1
        if self.calls == 2:
            raise KeyboardInterrupt
        self._lock.acquire()
        if self.calls == 3:
            raise KeyboardInterrupt


def test_an_interrupt_while_waiting_is_raised_when_all_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if Ctrl-C ends the wait, or is lost, or if the wait begins again for a thread that has ended."""
    make, written = pool.allocate_lock, []
    monkeypatch.setattr(pool, "allocate_lock", lambda: _Interrupted(make()))

    def work(k: int) -> None:
        time.sleep(0.1 * k)
        written.append(k)

    with pytest.raises(KeyboardInterrupt):
        pool.each(3, work)
    assert sorted(written) == [0, 1, 2]
