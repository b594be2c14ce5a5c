"""Stages of different objects run at the same time, with the results of one after the other."""

from __future__ import annotations

import threading

import pytest

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

PATIENCE = patient(10.0)  # seconds, for what happens at once


def test_the_next_first_step_begins_before_the_second_step_ends():
    begun = [threading.Event() for _ in range(3)]

    def first(k: int) -> int:
        begun[k].set()
        return k

    def then(k: int, made: int) -> int:
        if k == 0:
            assert begun[1].wait(PATIENCE)
        return 10 * made

    assert overlapped(range(3), first, then) == [0, 10, 20]


@pytest.mark.parametrize("count", [0, 1, 7])
def test_results_are_in_order_whoever_is_done_first(count):
    pause = threading.Event()

    def then(k: int, made: str) -> tuple[int, str]:
        pause.wait(0.03 * (count - k) / 7)
        return k, made

    assert overlapped(range(count), str, then) == [(k, str(k)) for k in range(count)]


def test_first_steps_are_taken_in_order_in_this_thread():
    taken: list[tuple[int, int]] = []
    overlapped(range(5), lambda k: taken.append((k, threading.get_ident())), lambda k, made: None)
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

    overlapped(range(20), first, then)
    assert most <= AT_ONCE + AHEAD + 1


def test_an_error_of_a_second_step_stops_the_run_and_waits_for_the_others():
    taken, ended = [], threading.Event()

    def then(k: int, made: int) -> None:
        if k == 0:
            raise ValueError("zero")
        threading.Event().wait(0.05)
        ended.set()

    with pytest.raises(ValueError, match="zero"):
        overlapped(range(1000), lambda k: taken.append(k) or k, then)
    assert len(taken) < 100
    threads = [t.name for t in threading.enumerate()]
    assert not any(name.startswith("finish") for name in threads)


def test_an_error_of_a_first_step_cancels_what_waits():
    done = []

    def first(k: int) -> int:
        if k == 2:
            raise ValueError("two")
        return k

    with pytest.raises(ValueError, match="two"):
        overlapped(range(9), first, lambda k, made: done.append(k))
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

    overlapped(range(3), first, then)
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
