"""Threads compute side by side, and one alone where memory has run out."""

from __future__ import annotations

import threading

from tests.drivers.patience import patient

from scenelift.models.turns import Turns

PATIENCE = patient(10.0)


def test_who_wants_to_be_alone_waits_for_the_others_and_they_for_it():
    turns, order = Turns(), []
    sharing, waiting = threading.Event(), threading.Event()

    def share() -> None:
        with turns.shared():
            sharing.set()
            assert waiting.wait(PATIENCE)
            order.append("first share ends")
        with turns.shared():
            order.append("second share")

    thread = threading.Thread(target=share)
    thread.start()
    assert sharing.wait(PATIENCE)
    threading.Timer(0.05, waiting.set).start()
    with turns.alone():
        order.append("alone")
        threading.Event().wait(0.05)
        order.append("no longer alone")
    thread.join(PATIENCE)
    assert order == ["first share ends", "alone", "no longer alone", "second share"]


def test_two_that_share_and_want_to_be_alone_both_get_it():
    turns, alone, crowd = Turns(), threading.Lock(), threading.Barrier(2)
    overlaps: list[bool] = []

    def work() -> None:
        with turns.shared():
            crowd.wait(PATIENCE)
            with turns.alone(), turns.alone(), turns.shared():
                overlaps.append(not alone.acquire(blocking=False))
                threading.Event().wait(0.02)
                alone.release()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert overlaps == [False, False]
    with turns.alone():  # nothing was left behind
        pass
