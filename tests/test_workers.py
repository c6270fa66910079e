"""The workers of a run: order and width of lanes, who does what while it waits, errors and the end."""

from __future__ import annotations

import threading
import time

import pytest

from heatgrid.engine.workers import BLOCKS, DECODING, MEASURES, Workers


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("width", [1, 3])
def test_lanes_keep_order_and_width_and_no_more_threads_work_than_asked(threads: int, width: int) -> None:
    """Fails if a lane of width 1 begins work before the one before it is done, or more work than threads."""
    lock = threading.Lock()
    begun: list[int] = []
    at_work = peak = in_lane = most = 0

    def work(number: int, own: bool) -> int:
        nonlocal at_work, peak, in_lane, most
        with lock:
            at_work += 1
            peak = max(peak, at_work)
            if own:
                begun.append(number)
                in_lane += 1
                most = max(most, in_lane)
        time.sleep(0.001)
        with lock:
            at_work -= 1
            in_lane -= own
        return number

    with Workers(threads) as workers:
        lane, other = workers.lane(BLOCKS, width), workers.lane(DECODING)
        given = [(lane.give(lambda n=n: work(n, True)), other.give(lambda n=n: work(n, False))) for n in range(20)]
        assert [(a.result(), b.result()) for a, b in given] == [(n, n) for n in range(20)]
    assert begun == sorted(begun)
    assert most <= width
    assert peak <= threads
    assert threads == 1 or peak > 1


def test_a_thread_that_waits_does_what_waits() -> None:
    """Work that waits for other work ends, however deep, on one thread beside the caller's."""
    with Workers(2) as workers:
        decoding, blocks, measures = workers.lane(DECODING), workers.lane(BLOCKS), workers.lane(MEASURES)
        names: set[str] = set()

        def decode() -> int:
            names.add(threading.current_thread().name)
            time.sleep(0.001)
            return 1

        def block() -> int:
            return decoding.give(decode).result() + 1

        found = [blocks.give(block) for _ in range(30)]
        marks = [measures.give(decode) for _ in range(30)]
        assert [one.result() for one in found] == [2] * 30
        assert [one.result() for one in marks] == [1] * 30
    assert len(names) == 2


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_comes_out_where_the_result_is_asked_for(threads: int) -> None:
    def wrong() -> None:
        raise ValueError("this one")

    with Workers(threads) as workers:
        lane = workers.lane(BLOCKS)
        first, second, third = lane.give(lambda: 1), lane.give(wrong), lane.give(lambda: 3)
        assert first.result() == 1
        with pytest.raises(ValueError, match="this one"):
            second.result()
        assert third.result() == 3


def test_an_interrupt_is_raised_by_the_thread_that_it_meets() -> None:
    """Fails if an interrupt of the caller's thread is kept for whoever asks for the work that it was helping with."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    with Workers(1) as workers:
        lane = workers.lane(MEASURES)
        with pytest.raises(KeyboardInterrupt):
            lane.give(interrupted)


def test_a_closed_lane_drops_what_is_not_begun_and_waits_for_what_is() -> None:
    started, go = threading.Event(), threading.Event()
    done: list[int] = []

    def slow() -> None:
        started.set()
        go.wait(5)
        done.append(0)

    with Workers(2) as workers:
        lane = workers.lane(BLOCKS)
        lane.give(slow)
        rest = [lane.give(lambda n=n: done.append(n)) for n in range(1, 4)]
        assert started.wait(5)
        threading.Timer(0.05, go.set).start()
        lane.close()
        assert done == [0]
        assert all(one.done for one in rest)
        before = threading.active_count()
    assert threading.active_count() < before
