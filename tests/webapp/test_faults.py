"""Whoever is killed, and when: accepted jobs end, and nothing finished is done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.drivers.live_server import LiveServer
from tests.drivers.web import HANGS

from scenelift.webapp.jobs import Queue


@pytest.fixture(scope="module")
def worn_server(tmp_path_factory):
    """A server that many tests kill, or its workers: it is up again after each."""
    live = LiveServer(tmp_path_factory.mktemp("worn") / "data").start()
    yield live
    live.close()


def events_of(server, job):
    return [e for e in server.events() if e.get("job") == job]


def finished_twice(events):
    done = Counter(
        (e["job"], e["object_index"])
        for e in events
        if e["kind"] == "stage_finished" and e["stage"] == "reconstruct"
    )
    return [key for key, times in done.items() if times > 1]


def intact(server):
    queue = Queue(server.data.database)
    try:
        return queue.is_intact()
    finally:
        queue.close()


@pytest.mark.parametrize("victim", ["worker", "server"])
def test_killing_loses_nothing_and_repeats_nothing(own_server, victim):
    own_server.start()

    def first_object_done():
        return any(
            e["kind"] == "stage_finished" and e["object_index"] == 0 for e in own_server.events()
        )

    with own_server.held(after=1):
        jobs = [own_server.submit("slow", "red", "blue") for _ in range(2)]
        own_server.until(first_object_done)
        if victim == "worker":
            os.kill(own_server.worker_pid(), signal.SIGKILL)
        else:
            own_server.kill()
            own_server.start()
    assert [own_server.wait(job)["state"] for job in jobs] == ["done", "done"]
    events = own_server.events()
    assert finished_twice(events) == []
    assert any(e["kind"] == "stage_resumed" for e in events)
    assert [e["kind"] for e in events].count("done") == len(jobs)
    assert intact(own_server)


def test_a_cancelled_job_stops_even_in_a_stage_that_never_looks_up(worn_server):
    job, next_job = worn_server.submit("hang"), worn_server.submit("red")
    worn_server.until(lambda: any(e["message"] == HANGS for e in events_of(worn_server, job)))
    pid = worn_server.worker_pid()
    worn_server.http.post(f"/api/jobs/{job}/cancel")
    assert worn_server.wait(job)["state"] == "cancelled"
    assert worn_server.wait(next_job)["state"] == "done"
    assert worn_server.worker_pid() != pid


def test_a_running_job_stops_between_steps_and_keeps_its_worker(server):
    server.until(lambda: server.http.get("/ready").status_code == 200)
    with server.held():
        job = server.submit("slow", "red", "blue")
        server.wait(job, "running")
        pid = server.worker_pid()
        server.http.post(f"/api/jobs/{job}/cancel")
        assert server.wait(job)["state"] == "cancelled"
    assert server.worker_pid() == pid


def test_a_job_that_kills_its_worker_fails_and_the_next_one_runs(worn_server):
    poison, good = worn_server.submit("crash"), worn_server.submit("red")
    job = worn_server.wait(poison)
    assert job["state"] == "failed"
    assert job["attempt"] == 3
    assert "3 times" in job["error"]["detail"]
    assert worn_server.wait(good)["state"] == "done"


def test_a_worker_that_stands_still_is_replaced(make_server):
    live = make_server("--lease-seconds", "3").start()
    with live.held():
        job = live.submit("slow", "red")
        live.wait(job, "running")
        os.kill(live.worker_pid(), signal.SIGSTOP)
    assert live.wait(job)["state"] == "done"
    assert "silent" in next(e["message"] for e in live.events() if e["kind"] == "requeued")


def test_an_orderly_stop_gives_the_job_back_without_counting_the_attempt(worn_server):
    with worn_server.held():
        job = worn_server.submit("slow", "red", "blue")
        worn_server.wait(job, "running")
        worn_server.stop()
    queue = Queue(worn_server.data.database)
    row = queue.get(job)
    queue.close()
    assert (row.state, row.attempt) == ("queued", 0)
    worn_server.start()
    assert worn_server.wait(job)["state"] == "done"


def test_the_death_of_the_server_alone_does_not_count_against_a_job(own_server):
    """Its stage does not stop, so the worker leaves; but not without giving the job back."""
    own_server.start()
    job = own_server.submit("hang")
    own_server.until(lambda: any(e["message"] == HANGS for e in own_server.events()))
    worker = own_server.worker_pid()
    own_server.kill()
    own_server.until(lambda: not Path(f"/proc/{worker}").exists())
    queue = Queue(own_server.data.database)
    row = queue.get(job)
    queue.close()
    assert (row.state, row.attempt) == ("queued", 0)


def test_a_result_outlives_the_loss_of_the_queue(own_server):
    own_server.start()
    job = own_server.submit("red")
    own_server.wait(job, "done")
    before = own_server.job(job)
    own_server.stop()
    for part in own_server.data.path.glob("queue.sqlite3*"):
        part.unlink()
    own_server.start()
    after = own_server.job(job)
    changing = ("started", "attempt", "finished", "stage")
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    answer = own_server.http.get(after["manifest_url"])
    assert answer.status_code == 200


def test_two_servers_cannot_share_a_folder(server):
    line = [sys.executable, "-m", "tests.drivers.web", "--port", "0"]
    second = subprocess.run(
        [*line, "--data", str(server.data.path)], capture_output=True, text=True, timeout=30
    )
    assert second.returncode != 0
    assert "Another server is using" in second.stderr
    assert server.http.get("/health").status_code == 200
