"""The queue keeps every promise it made, whoever dies in between."""

from __future__ import annotations

import json
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scenelift.webapp.errors import Conflict, NotAllowedYet, NotFound
from scenelift.webapp.jobs import LeaseLost, Limits, NewJob, Progress, Queue, new_job_id
from scenelift.webapp.models import JobPrompt, JobRequest, Selection

REQUEST = JobRequest(prompt=JobPrompt(phrases=("red",)))


@pytest.fixture
def queue(tmp_path):
    queue = Queue(tmp_path / "queue.sqlite3", max_attempts=3)
    yield queue
    assert queue.is_intact()
    queue.close()


def add(queue, owner="ann"):
    job = NewJob(id=new_job_id(), owner=owner, request=REQUEST, width=4, height=3)
    return queue.add(job).id


def claim(queue, slot=0):
    job = queue.claim(slot, lease=60)
    assert job is not None
    return job.claim


def kinds(queue, owner="ann"):
    return [json.loads(e.data)["kind"] for e in queue.events_after(0, owner)]


def test_jobs_are_claimed_in_the_order_they_came(queue):
    ids = [add(queue) for _ in range(3)]
    assert queue.positions() == {ids[0]: 1, ids[1]: 2, ids[2]: 3}
    assert [claim(queue).job for _ in ids] == ids
    assert queue.claim(0, lease=60) is None


def test_a_claim_is_a_fence_once_the_job_was_given_to_another(queue):
    add(queue)
    first = claim(queue)
    queue.recover(0, "it was killed")
    second = claim(queue)
    for write in (
        lambda: queue.record(first, Progress(kind="note")),
        lambda: queue.finish(first, "done"),
        lambda: queue.release(first, "stop"),
        lambda: queue.renew(first, lease=60),
        lambda: queue.wants_cancel(first),
    ):
        with pytest.raises(LeaseLost):
            write()
    queue.finish(second, "done")
    assert queue.get(second.job).state == "done"


def test_a_job_that_kills_its_worker_ends_after_three_attempts_with_the_reason(queue):
    job = add(queue)
    for _ in range(3):
        claim(queue)
        queue.recover(0, "it was killed")
    row = queue.get(job)
    assert row.state == "failed"
    assert row.error["title"] == "worker failed"
    assert "3 times" in row.error["detail"]
    assert "it was killed" in row.error["detail"]


def test_an_orderly_stop_costs_no_attempt(queue):
    job = add(queue)
    for _ in range(5):
        queue.release(claim(queue), "stop")
        claim(queue)
        queue.recover(0, "the server stopped", counts=False)
    assert queue.get(job).attempt == 0
    assert queue.get(job).state == "queued"


def test_recovery_touches_only_its_own_slot(queue):
    add(queue), add(queue)
    one, eleven = claim(queue, 1), claim(queue, 11)
    assert queue.recover(1, "it was killed") == [one.job]
    queue.finish(eleven, "done")


def test_jobs_of_others_do_not_exist(queue):
    job = add(queue, "ann")
    for call in (queue.get, queue.cancel, queue.delete):
        with pytest.raises(NotFound):
            call(job, "bob")
    assert queue.of_owner("bob", limit=10) == []
    assert queue.events_after(0, "bob") == []


def test_cancelling_ends_what_waits_and_asks_what_runs(queue):
    running, waiting = add(queue), add(queue)
    held = claim(queue)
    assert queue.cancel(waiting, "ann").state == "cancelled"
    assert queue.cancel(running, "ann").state == "running"
    assert queue.wants_cancel(held)
    queue.recover(0, "it was killed")
    assert queue.get(running).state == "cancelled"


def test_a_cancelled_job_that_is_given_back_ends_instead_of_waiting_for_ever(queue):
    job = add(queue)
    held = claim(queue)
    queue.cancel(job, "ann")
    queue.release(held, "The server stopped.")
    assert queue.get(job).state == "cancelled"
    assert kinds(queue)[-1] == "cancelled"


def test_a_deleted_job_is_gone_at_once_and_its_files_may_go_when_nobody_works_on_it(queue):
    job = add(queue)
    held = claim(queue)
    queue.delete(job, "ann")
    with pytest.raises(NotFound):
        queue.get(job)
    assert queue.jobs_to_remove() == []
    queue.finish(held, "cancelled")
    assert queue.jobs_to_remove() == [job]
    queue.purge(job)
    assert queue.ids() == set()
    assert kinds(queue) == ["deleted"]


def test_only_a_reviewed_job_can_be_continued(queue):
    job = add(queue)
    with pytest.raises(Conflict, match="queued"):
        queue.select(job, "ann", Selection(keep=(0,)))
    queue.finish(claim(queue), "review")
    row = queue.select(job, "ann", Selection(keep=(0,)))
    assert (row.state, row.selection) == ("queued", Selection(keep=(0,)))


def test_limits_hold_for_all_and_for_each(queue):
    for _ in range(2):
        add(queue)
    new = NewJob(id=new_job_id(), owner="ann", request=REQUEST, width=4, height=3)
    with pytest.raises(NotAllowedYet, match="2 jobs waiting or running"):
        queue.add(new, Limits(active=2))
    with pytest.raises(NotAllowedYet, match="all that fit"):
        queue.add(new, Limits(queued=2))
    queue.add(new, Limits(active=3, queued=3))


def test_event_numbers_are_never_given_twice(queue):
    job = add(queue)
    last = queue.last_event()
    queue.delete(job, "ann")
    queue.purge(job)
    queue.forget_events(2e10)
    assert queue.events_after(0, "ann") == []
    add(queue)
    assert queue.events_after(0, "ann")[0].seq > last


def test_a_queue_of_another_version_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "q") as c:
        c.execute("PRAGMA user_version = 99")
    c.close()
    with pytest.raises(Conflict, match="another version"):
        Queue(tmp_path / "q")


ACTIONS = ("add", "claim", "finish", "fail", "die", "stop", "cancel", "delete")


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(actions=st.lists(st.sampled_from(ACTIONS), max_size=30))
def test_no_job_is_lost_or_worked_on_twice_whatever_happens(tmp_path_factory, actions):
    queue = Queue(tmp_path_factory.mktemp("q") / "q", max_attempts=3)
    added, deleted, held = [], set(), None
    for action in actions:
        if action == "add":
            added.append(add(queue))
        elif action == "claim" and held is None:
            job = queue.claim(0, lease=60)
            held = job.claim if job else None
        elif action in ("finish", "fail") and held:
            queue.finish(held, "done" if action == "finish" else "failed", error={"detail": "x"})
            held = None
        elif action == "die":
            queue.recover(0, "it was killed")
            held = None
        elif action == "stop" and held:
            queue.release(held, "stop")
            held = None
        elif action in ("cancel", "delete"):
            for job in set(added[-1:]) - deleted:
                if action == "cancel":
                    queue.cancel(job, "ann")
                else:
                    queue.delete(job, "ann")
                    deleted.add(job)
    assert len(queue.running()) == (1 if held else 0)
    if held:
        queue.finish(held, "done")
    while job := queue.claim(0, lease=60):
        queue.finish(job.claim, "done")
    states = {job: queue.get(job).state for job in added if job not in deleted}
    assert set(states.values()) <= {"done", "failed", "cancelled"}
    ends = [k for k in kinds(queue) if k in ("done", "failed", "cancelled")]
    assert len(ends) == len(states)
    queue.close()
