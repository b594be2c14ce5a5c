"""What goes away by itself, and what must not."""

from __future__ import annotations

import os
import time

import pytest

from scenelift.webapp import housekeeping
from scenelift.webapp.folders import DataFolder
from scenelift.webapp.housekeeping import Housekeeper, folder_bytes
from scenelift.webapp.jobs import NewJob, Queue, new_job_id
from scenelift.webapp.models import JobPrompt, JobRequest

DAY = 24 * 3600.0


@pytest.fixture
def data(tmp_path):
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    return folder


@pytest.fixture
def queue(data):
    queue = Queue(data.database)
    yield queue
    queue.close()


def keeper(data, queue, *, keep_seconds=DAY, max_bytes=10**9, owner_bytes=None):
    return Housekeeper(
        data, queue, keep_seconds=keep_seconds, max_bytes=max_bytes, owner_bytes=owner_bytes
    )


def add(data, queue, *, state=None, size=100, owner="ann"):
    job = new_job_id()
    data.job(job).path.mkdir()
    data.job(job).photo.write_bytes(bytes(size))
    request = JobRequest(prompt=JobPrompt(phrases=("red",)))
    queue.add(NewJob(id=job, owner=owner, request=request, width=4, height=3))
    if state:
        queue.finish(queue.claim(0, lease=60).claim, state)
    return job


def test_the_oldest_finished_jobs_make_room_and_waiting_ones_stay(data, queue):
    done = [add(data, queue, state="done", size=1000) for _ in range(3)]
    waiting = add(data, queue, size=10_000)
    keeper(data, queue, max_bytes=1500).tidy()
    assert queue.ids() == {done[2], waiting}
    assert {p.name for p in data.jobs.iterdir()} == {done[2], waiting}


def test_jobs_are_kept_as_long_as_was_set(data, queue):
    job = add(data, queue, state="done")
    keeper(data, queue, keep_seconds=DAY).tidy()
    assert queue.ids() == {job}
    time.sleep(0.01)
    keeper(data, queue, keep_seconds=0.001).tidy()
    assert queue.ids() == set()
    assert not list(data.jobs.iterdir())


def test_a_folder_without_a_job_goes_once_no_upload_can_be_behind_it(data, queue):
    orphan = data.jobs / new_job_id()
    orphan.mkdir()
    keeper(data, queue).tidy()
    assert orphan.exists()
    old = time.time() - housekeeping.ORPHAN_SECONDS - 1
    os.utime(orphan, (old, old))
    keeper(data, queue).tidy()
    assert not orphan.exists()


def test_what_a_failed_job_had_computed_is_not_kept(data, queue):
    job = add(data, queue, state="failed")
    scene = data.job(job).scene
    scene.mkdir()
    (scene / "half").write_bytes(b"x")
    keeper(data, queue).tidy()
    assert not scene.exists()
    assert data.job(job).photo.exists()


def test_a_deletion_that_was_cut_short_is_completed(data, queue):
    job = add(data, queue, state="done")
    queue.delete(job, "ann")
    keeper(data, queue).tidy()
    assert queue.ids() == set()
    assert not data.job(job).path.exists()


def test_a_deleted_job_goes_as_soon_as_its_worker_has_let_go_of_it(data, queue):
    job = add(data, queue)
    claim = queue.claim(0, lease=60).claim
    house = keeper(data, queue)
    house.start()
    try:
        queue.delete(job, "ann")
        queue.finish(claim, "cancelled")
        deadline = time.monotonic() + 40  # a whole round takes a minute
        while data.job(job).path.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not data.job(job).path.exists()
    finally:
        house.stop()


def test_leftovers_of_killed_uploads_go_at_the_next_start(data):
    (data.incoming / "x").mkdir()
    (data.incoming / "x" / "photo").write_bytes(b"x")
    (data.trash / "y").mkdir()
    data.prepare()
    assert not list(data.incoming.iterdir())
    assert not list(data.trash.iterdir())


def test_the_data_folder_is_private(data):
    assert data.path.stat().st_mode & 0o077 == 0


def test_size_counts_files_and_not_what_links_lead_to(data, tmp_path):
    (tmp_path / "far").write_bytes(bytes(10**6))
    (data.path / "near").write_bytes(bytes(100))
    (data.path / "link").symlink_to(tmp_path / "far")
    assert 100 <= folder_bytes(data.path) < 10**6


def test_a_clock_that_jumps_for_a_round_removes_nothing(data, queue, monkeypatch):
    job = add(data, queue, state="done")
    leftover = data.jobs / new_job_id()
    leftover.mkdir()
    house, now = keeper(data, queue), time.time()
    house.tidy()
    monkeypatch.setattr(time, "time", lambda: now + 31 * DAY)
    house.tidy()
    monkeypatch.undo()
    house.tidy()
    assert queue.ids() == {job}
    assert leftover.exists()


def test_a_clock_that_is_wrong_from_the_start_removes_nothing(data, queue, monkeypatch):
    job, now = add(data, queue, state="done"), time.time()
    monkeypatch.setattr(time, "time", lambda: now + 31 * DAY)
    keeper(data, queue).tidy()
    assert queue.ids() == {job}


def test_after_a_day_without_a_jump_the_clock_is_believed_again(data, queue, monkeypatch):
    add(data, queue, state="done")
    now, boot = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
    monkeypatch.setattr(time, "time", lambda: now + 31 * DAY)
    monkeypatch.setattr(time, "clock_gettime", lambda clock: boot)
    house = keeper(data, queue)
    house.tidy()
    assert queue.ids()
    monkeypatch.setattr(time, "time", lambda: now + 32 * DAY + 1)
    monkeypatch.setattr(time, "clock_gettime", lambda clock: boot + DAY + 1)
    house.tidy()
    assert not queue.ids()


def test_nobody_loses_results_to_the_jobs_of_others(data, queue):
    anns = [add(data, queue, state="done", size=400) for _ in range(2)]
    bobs = [add(data, queue, state="done", size=900, owner="bob") for _ in range(3)]
    keeper(data, queue, max_bytes=2000, owner_bytes=1000).tidy()
    assert queue.ids() == {*anns, bobs[-1]}


def test_beyond_the_whole_those_go_first_who_have_most(data, queue):
    anns = [add(data, queue, state="done", size=400) for _ in range(2)]
    bobs = [add(data, queue, state="done", size=900, owner="bob") for _ in range(2)]
    keeper(data, queue, max_bytes=2000).tidy()
    assert queue.ids() == {*anns, bobs[-1]}


def test_what_this_version_cannot_read_is_kept_for_its_owner(data, queue):
    job = add(data, queue, state="done", size=5000)
    with queue.transaction() as c:
        c.execute("UPDATE jobs SET request = '{}', created = 'long ago', finished = 'then'")
    keeper(data, queue, keep_seconds=0.001, max_bytes=10).tidy()
    assert queue.ids() == {job}
    assert data.job(job).photo.exists()
