"""Worker processes end as they should."""

import subprocess
import sys
import threading

from scenelift.worker_processes import LastingThread, join_or_exit
from tests.drivers.patience import patient

PATIENCE = patient(10.0)

WORKER = """
from scenelift.worker_processes import on_stop_request
on_stop_request(lambda: None, with_parent=True)
"""


def test_a_worker_that_is_done_ends_well_while_its_parent_is_there():
    """Python aborts at the end where a thread waits in its buffered standard input."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert worker.stdin is not None
    assert worker.stderr is not None
    try:
        assert (worker.wait(60), worker.stderr.read()) == (0, b"")
    finally:
        worker.kill()
        worker.stdin.close()
        worker.stderr.close()


def test_one_thread_does_all_work_and_outlives_what_fails():
    thread, threads = LastingThread("jobs"), []

    def work(fails: bool) -> None:
        threads.append(threading.get_ident())
        assert not fails

    for fails in (False, True, False):
        thread.start(lambda fails=fails: work(fails))
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert len(threads) == 3
    assert len(set(threads)) == 1


def test_a_worker_looks_around_until_the_work_of_its_thread_is_done():
    thread, ticks, enough = LastingThread("jobs"), [], threading.Event()

    def tick() -> None:
        ticks.append(thread.is_alive())
        enough.set()

    thread.start(lambda: enough.wait(PATIENCE))
    join_or_exit(thread, stopping=lambda: False, seconds=0, give_back=lambda: None, tick=tick)
    assert ticks[0]
    assert not thread.is_alive()
