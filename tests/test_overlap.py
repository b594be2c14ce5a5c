"""Stages of different objects run at the same time, with the results of one after the other."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import TypeVar

import pytest
import torch

from scenelift import overlap
from scenelift.overlap import (
    AHEAD,
    AT_ONCE,
    AT_ONCE_BESIDE_GPU,
    EARLY,
    WAITING,
    early_work,
    in_turn,
    overlapped,
)
from scenelift.progress import CancelToken, Event, Reporter
from tests.drivers.patience import patient

T = TypeVar("T")

PATIENCE = patient(10.0)  # seconds, for what happens at once


def whole(first: Callable[[int], T]) -> Callable[[int], Callable[[], T]]:
    """A first step that is not in two halves."""
    return lambda k: partial(first, k)


def test_the_next_first_step_begins_before_the_second_step_ends():
    begun = [threading.Event() for _ in range(3)]

    def first(k: int) -> int:
        begun[k].set()
        return k

    def then(k: int, made: int) -> int:
        if k == 0:
            assert begun[1].wait(PATIENCE)
        return 10 * made

    assert overlapped(range(3), whole(first), then) == [0, 10, 20]


@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_results_are_in_order_whoever_is_done_first(count, halves):
    pause = threading.Event()

    def then(k: int, made: str) -> tuple[int, str]:
        pause.wait(0.03 * (count - k) / 7)
        return k, made

    assert overlapped(range(count), whole(str), then, halves=halves) == [
        (k, str(k)) for k in range(count)
    ]


def test_first_steps_are_taken_in_order_in_this_thread():
    taken: list[tuple[int, int]] = []
    overlapped(
        range(5), whole(lambda k: taken.append((k, threading.get_ident()))), lambda k, made: None
    )
    assert taken == [(k, threading.get_ident()) for k in range(5)]


def test_only_so_many_objects_wait():
    open_, most = threading.Event(), 0
    waiting: set[int] = set()

    def first(k: int) -> int:
        nonlocal most
        waiting.add(k)
        most = max(most, len(waiting))
        if k == AT_ONCE + AHEAD:
            open_.set()
        return k

    def then(k: int, made: int) -> None:
        assert open_.wait(PATIENCE)
        waiting.discard(k)

    overlapped(range(20), whole(first), then)
    assert most <= AT_ONCE + AHEAD + 1


def test_an_error_of_a_second_step_stops_the_run_and_waits_for_the_others():
    taken, ended = [], threading.Event()

    def then(k: int, made: int) -> None:
        if k == 0:
            raise ValueError("zero")
        threading.Event().wait(0.05)
        ended.set()

    with pytest.raises(ValueError, match="zero"):
        overlapped(range(1000), whole(lambda k: taken.append(k) or k), then)
    assert len(taken) < 100
    with pytest.raises(ValueError, match="zero"):  # in the same threads
        overlapped(range(9), whole(lambda k: k), then)
    threads = [t.name for t in threading.enumerate()]
    assert sum(name.startswith("finish") for name in threads) == AT_ONCE


def test_an_error_of_a_first_step_cancels_what_waits():
    done = []

    def first(k: int) -> int:
        if k == 2:
            raise ValueError("two")
        return k

    with pytest.raises(ValueError, match="two"):
        overlapped(range(9), whole(first), lambda k, made: done.append(k))
    assert set(done) <= {0, 1}


def test_events_of_other_threads_reach_the_listener_in_the_thread_that_runs():
    heard: list[tuple[str, int]] = []

    def listen(event: Event) -> None:
        heard.append((event.message, threading.get_ident()))

    report = Reporter(listen, token=CancelToken()).from_threads()

    def then(k: int, made: int) -> None:
        report.at("finish", k).update(0.5, message=f"half of {k}")

    def first(k: int) -> int:
        report.at("reconstruct", k).update(1, message=f"{k}")
        return k

    overlapped(range(3), whole(first), then)
    report.check()
    assert {thread for _, thread in heard} == {threading.get_ident()}
    assert {message for message, _ in heard} == {
        *("0", "1", "2"),
        *("half of 0", "half of 1", "half of 2"),
    }


def test_early_work_is_done_beside_and_an_error_waits_until_it_is_asked_for():
    done = threading.Event()
    with early_work() as begin:
        broken = begin(lambda: 1 / 0)
        whole = begin(lambda: done.set() or 7)
        assert done.wait(PATIENCE)
        assert whole() == 7
        with pytest.raises(ZeroDivisionError):
            broken()


def test_early_work_that_has_not_begun_is_done_by_whoever_asks():
    open_, threads = threading.Event(), []
    with early_work() as begin:
        blocked = [begin(lambda: open_.wait(PATIENCE)) for _ in range(EARLY)]
        late = begin(lambda: threads.append(threading.current_thread()))
        late()
        open_.set()
        assert all(wait() for wait in blocked)
    assert threads == [threading.current_thread()]


def test_calls_in_turn_are_made_in_order_in_another_thread_while_this_one_goes_on():
    go_on, calls = threading.Event(), []

    def call(k: int) -> None:
        assert go_on.wait(PATIENCE)
        calls.append((k, threading.get_ident()))

    with in_turn() as later:
        for k in range(WAITING + 1):
            later(lambda k=k: call(k))
        assert not calls  # nothing was waited for
        go_on.set()
    threads = {thread for _, thread in calls}
    assert [k for k, _ in calls] == list(range(WAITING + 1))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_an_error_of_a_call_in_turn_is_raised_and_no_call_is_left_out():
    go_on, calls = threading.Event(), []

    def fail() -> None:
        assert go_on.wait(PATIENCE)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"), in_turn() as later:
        later(fail)
        later(lambda: calls.append("after it"))
        go_on.set()
    with pytest.raises(KeyError), in_turn() as later:
        later(lambda: calls.append("before another error"))
        raise KeyError
    assert calls == ["after it", "before another error"]


def test_the_next_first_half_runs_beside_a_second_one_and_no_two_second_ones_do():
    begun = [threading.Event() for _ in range(4)]
    second: list[int] = []
    where: set[int] = set()
    most_ahead = 0

    def start(k: int) -> Callable[[], int]:
        nonlocal most_ahead
        begun[k].set()
        most_ahead = max(most_ahead, k - len(second))
        return partial(complete, k)

    def complete(k: int) -> int:
        if k + 1 < len(begun):
            assert begun[k + 1].wait(PATIENCE)
        second.append(k)
        where.add(threading.get_ident())
        return k

    for _ in range(2):  # the next photo's are called in the same thread
        for event in begun:
            event.clear()
        second.clear()
        made = overlapped(range(4), start, lambda k, made: 10 * made, halves=True)
        assert made == [0, 10, 20, 30]
        assert second == [0, 1, 2, 3]
    assert len(where) == 1
    assert threading.get_ident() not in where
    assert most_ahead <= 2


def test_numbers_are_taken_when_another_object_may_begin():
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for k in range(4):
            taken.append(k)
            yield k

    def start(k: int) -> Callable[[], int]:
        assert taken == list(range(k + 1))  # others share the numbers, and may take the next one
        return lambda: k

    assert overlapped(numbers(), start, lambda k, made: made, halves=True) == [0, 1, 2, 3]


@pytest.mark.parametrize("second", [False, True])
def test_an_error_in_either_half_stops_the_run_and_the_next_one_goes_well(second):
    started: list[int] = []
    under_way = threading.Event()

    def fail(k: int) -> None:
        if k == 2:
            raise ValueError("two")

    def start(k: int) -> Callable[[], None]:
        started.append(k)
        under_way.set()
        return partial(fail, k) if second else partial(lambda _: None, fail(k))

    def then(k: int, made: None) -> None:
        assert under_way.wait(PATIENCE)

    with pytest.raises(ValueError, match="two"):
        overlapped(range(1000), start, then, halves=True)
    assert len(started) < 100
    assert overlapped(range(2), lambda k: lambda: k, lambda k, made: made, halves=True) == [0, 1]


def test_a_stop_is_heard_while_a_second_half_is_waited_for():
    stopped = threading.Event()

    def meanwhile() -> None:
        stopped.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        overlapped(
            range(3),
            lambda k: lambda: stopped.wait(PATIENCE),
            lambda k, made: None,
            halves=True,
            meanwhile=meanwhile,
        )
    assert stopped.is_set()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_halves_on_a_gpu_hand_over_memory_that_nobody_else_takes_meanwhile():
    gpu, count = torch.device("cuda"), 1 << 20

    def start(k: int) -> Callable[[], int]:
        torch.cuda._sleep(5_000_000)
        handed_over = torch.full((count,), k, dtype=torch.int32, device=gpu)

        def complete() -> int:
            torch.cuda._sleep(10_000_000)
            return int(handed_over.sum())

        return complete

    made = overlapped(range(30), start, lambda k, made: made, device="cuda", halves=True)
    assert made == [k * count for k in range(30)]


class Streams:
    """Stands for CUDA: what streams are told, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self)
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
        monkeypatch.setattr(overlap, "_stream", lambda device, name, priority: self)
        monkeypatch.setattr(overlap, "_at_once", lambda device: 1)
        monkeypatch.setattr(overlap, "calls_apart", lambda enabled: nullcontext())

    def record_event(self) -> int:
        self.told.append("first half is queued")
        return 0

    def wait_event(self, event: int) -> None:
        self.told.append("wait for that")

    def synchronize(self) -> None:
        self.told.append("second half is computed")


def test_halves_wait_for_what_the_other_one_has_queued(monkeypatch):
    streams = Streams(monkeypatch)

    def start(k: int) -> Callable[[], None]:
        streams.told.append("first half")
        return lambda: streams.told.append("second half")

    overlapped(range(1), start, lambda k, made: None, device="cuda", halves=True)
    assert streams.told == [
        *("first half", "first half is queued"),
        *("wait for that", "second half", "second half is computed"),
    ]
    with pytest.raises(ZeroDivisionError):
        overlapped(
            range(1), lambda k: lambda: 1 // 0, lambda k, made: None, device="cuda", halves=True
        )
    assert streams.told[-1] == "second half is computed"  # whatever it has queued before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    def run() -> list[int]:
        return overlapped(range(2), lambda k: lambda: k, lambda k, made: made, halves=True)

    assert run() == [0, 1]
    child = os.fork()
    if not child:
        signal.alarm(int(PATIENCE))
        os._exit(run() != [0, 1])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("device", "cores", "cap", "expected"),
    [
        ("cpu", 16, None, AT_ONCE),
        ("cuda:0", 2, None, AT_ONCE),
        ("cuda:0", 16, 7 << 30, AT_ONCE),
        ("cuda:0", 16, 11 << 30, AT_ONCE_BESIDE_GPU),
        ("cuda", 16, None, AT_ONCE_BESIDE_GPU),
    ],
)
def test_two_are_finished_at_a_time_beside_a_gpu_with_room_and_cores(
    monkeypatch, device, cores, cap, expected
):
    monkeypatch.setattr(overlap, "core_count", lambda: cores)
    monkeypatch.setattr(overlap, "memory_cap", lambda device: cap)
    assert overlap._at_once(device) == expected
