"""The queue's file may be lost, damaged, older or newer: no result goes, and nobody is stopped."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import time

import pytest

from scenelift.errors import OutputError
from scenelift.progress import silent
from scenelift.runs import RunSpec, run_job
from scenelift.types import Prompt
from scenelift.webapp import housekeeping, supervisor
from scenelift.webapp.access import LOCAL_OWNER
from scenelift.webapp.errors import QueueTooNew
from scenelift.webapp.folders import DataFolder
from scenelift.webapp.housekeeping import Housekeeper
from scenelift.webapp.jobs import NewJob, Queue, new_job_id
from scenelift.webapp.jobs.database import SCHEMA_VERSION
from scenelift.webapp.jobs.worker_side import MAX_OUTAGES
from scenelift.webapp.models import JobPrompt, JobRequest
from scenelift.webapp.records import open_queue, restore_jobs, write_missing_records, write_record
from scenelift.webapp.supervisor import Supervisor

DAY = 24 * 3600.0
REQUEST = JobRequest(prompt=JobPrompt(phrases=("red",)), seed=7, quality="fake")


@pytest.fixture
def data(tmp_path):
    folder = DataFolder(tmp_path / "data", reserve_bytes=10_000)
    folder.prepare()
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The output folder of a run."""
    import PIL.Image

    from scenelift.options import ExportOptions
    from scenelift.pipeline import Pipeline
    from scenelift.testing.fakes import (
        BallReconstructor,
        ColorSegmenter,
        PlanePointMapper,
        disc_photo,
    )

    folder = tmp_path_factory.mktemp("finished")
    PIL.Image.fromarray(disc_photo().pixels).save(folder / "photo.png")
    spec = RunSpec(
        photo=folder / "photo.png",
        prompt=Prompt(phrases=("red",)),
        out=folder / "scene",
        seed=7,
        export=ExportOptions(preview_frames=1, preview_size=16),
    )
    run_job(spec, Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor()), silent())
    return folder / "scene"


def add(data, queue, *, owner=LOCAL_OWNER, state=None, scene=None):
    job = new_job_id()
    data.job(job).path.mkdir()
    data.job(job).photo.write_bytes(b"a photo")
    row = queue.add(NewJob(id=job, owner=owner, request=REQUEST, width=160, height=120))
    if scene:
        shutil.copytree(scene, data.job(job).scene)
    if state:
        claim = queue.claim(0, lease=60).claim
        queue.finish(claim, state, error={"detail": "why"} if state == "failed" else None)
        row = queue.get(job)
    write_record(data.job(job), row)
    return job


def lose(data):
    for path in data.path.glob("queue.sqlite3*"):
        path.unlink()


def reopened(data, owners=(LOCAL_OWNER,)):
    queue = open_queue(data, max_attempts=3)
    restore_jobs(data, queue, owners)
    return queue


@pytest.mark.parametrize("how", ["lost", "damaged", "no database", "restored"])
def test_jobs_are_found_again_on_disk(data, finished, caplog, how):
    queue = open_queue(data, max_attempts=3)
    queue.close()
    backup = data.database.read_bytes()
    queue = open_queue(data, max_attempts=3)
    done = add(data, queue, state="done", scene=finished)
    failed = add(data, queue, state="failed")
    cancelled = add(data, queue, state="cancelled")
    waiting = add(data, queue, owner="ann")
    queue.close()
    size = data.database.stat().st_size
    lose(data)
    if how == "damaged":
        data.database.write_bytes(backup[:100] + os.urandom(size - 100))
    elif how == "no database":
        data.database.write_bytes(b"a letter, and no database at all" * 100)
    elif how == "restored":
        data.database.write_bytes(backup)

    with caplog.at_level(logging.WARNING):
        queue = reopened(data)
    assert {job: queue.get(job).state for job in (done, failed, cancelled, waiting)} == {
        done: "done",
        failed: "failed",
        cancelled: "cancelled",
        waiting: "queued",
    }
    row = queue.get(done, LOCAL_OWNER)
    assert row.request == REQUEST
    assert [o.label for o in row.objects] == ["red"]
    assert {f["path"] for f in row.files} >= {"scene.ply", "scene.glb"}
    assert queue.get(failed).error == {"detail": "why"}
    assert [job.id for job in queue.of_owner("ann", limit=9)] == [waiting]
    assert queue.claim(0, lease=60).id == waiting
    aside = list(data.path.glob("queue.sqlite3.damaged-*"))
    assert bool(aside) == (how in ("damaged", "no database"))
    if aside:
        assert len([r for r in caplog.records if "damaged" in r.message]) == 1
    queue.close()


def test_a_scene_of_an_earlier_version_is_whoevers_it_can_only_be(data, finished):
    job = new_job_id()
    data.job(job).path.mkdir()
    shutil.copytree(finished, data.job(job).scene)
    for owners, seen in ((("ann", "bob"), 0), (("ann",), 1)):
        queue = reopened(data, owners)
        assert len(queue.of_owner("ann", limit=9)) == seen
        assert (data.job(job).scene / "scene.json").exists()
        queue.close()
    queue = open_queue(data, max_attempts=3)
    row = queue.get(job)
    assert (row.state, row.request.options().seeds.seed, row.request.prompt.phrases) == (
        "done",
        7,
        ("red",),
    )
    queue.close()


def test_a_folder_with_work_in_it_is_no_leftover(data, finished, monkeypatch):
    queue = open_queue(data, max_attempts=3)
    kept = []
    for name in ("scene", "found", "stages"):
        job = data.job(new_job_id())
        (job.path / name).mkdir(parents=True)
        (job.path / name / "file").write_bytes(b"x")
        kept.append(job.path)
    leftover = data.job(new_job_id())
    leftover.path.mkdir()
    for path in (leftover.photo, leftover.display_photo, leftover.thumbnail):
        path.write_bytes(b"x")
    monkeypatch.setattr(housekeeping, "ORPHAN_SECONDS", -1.0)
    Housekeeper(data, queue, keep_seconds=DAY, max_bytes=0).tidy()
    assert sorted(data.jobs.iterdir()) == sorted(kept)
    queue.close()


def test_what_makes_no_sense_in_a_folder_stops_no_start(data, caplog):
    queue = open_queue(data, max_attempts=3)
    jobs = [add(data, queue, state="done") for _ in range(5)]
    queue.close()
    lose(data)
    for job, text in zip(jobs, ["{", "[]", '{"version": 99}', "[" * 10_000, ""], strict=True):
        data.job(job).record.write_text(text)
    queue = reopened(data)
    assert queue.ids() == set()
    assert {p.name for p in data.jobs.iterdir()} == set(jobs)
    queue.close()


def test_jobs_of_an_earlier_version_are_written_down(data):
    queue = open_queue(data, max_attempts=3)
    job = add(data, queue, owner="ann")
    data.job(job).record.unlink()
    write_missing_records(data, queue)
    assert json.loads(data.job(job).record.read_text())["owner"] == "ann"
    queue.close()


# The tables of version 1, as it made them.
VERSION_1 = """
CREATE TABLE jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN
    ('queued', 'running', 'review', 'done', 'failed', 'cancelled')),
  request TEXT NOT NULL, selection TEXT, width INTEGER NOT NULL, height INTEGER NOT NULL,
  created REAL NOT NULL, started REAL, finished REAL, attempt INTEGER NOT NULL DEFAULT 0,
  worker TEXT, lease REAL, claimed REAL, cancel REAL, deleting INTEGER NOT NULL DEFAULT 0,
  stage TEXT NOT NULL DEFAULT '', fraction REAL NOT NULL DEFAULT 0, eta REAL,
  objects TEXT NOT NULL DEFAULT '[]', notes TEXT NOT NULL DEFAULT '[]', error TEXT,
  files TEXT NOT NULL DEFAULT '[]');
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, job TEXT NOT NULL,
  time REAL NOT NULL, data TEXT NOT NULL);
CREATE TABLE workers (
  slot INTEGER PRIMARY KEY, pid INTEGER NOT NULL, seen REAL NOT NULL, ready INTEGER NOT NULL,
  memory INTEGER);
CREATE TABLE timings (
  quality TEXT NOT NULL, stage TEXT NOT NULL, typical REAL NOT NULL, total REAL NOT NULL,
  count INTEGER NOT NULL, PRIMARY KEY (quality, stage));
PRAGMA user_version = 1;
"""


REQUEST_1 = (
    '{"prompt": {"phrases": ["red"], "boxes": [], "min_score": null, "max_objects": 20}, '
    '"seed": 7, "quality": "fake", "review": false, '
    '"meshes": {"faces": 500, "texture_size": 64, "vertex_colors": false}}'
)


def write_version_1(path):
    c = sqlite3.connect(path)
    c.executescript(VERSION_1)
    rows = [
        (f"{k:032x}", state, REQUEST_1, 1.7e9 + k)
        for k, state in enumerate(("done", "running", "queued"))
    ]
    c.executemany(
        "INSERT INTO jobs (id, owner, state, request, width, height, created, worker) "
        "VALUES (?, 'ann', ?, ?, 4, 3, ?, '0-abc')",
        rows,
    )
    c.commit()
    c.close()
    return [row[0] for row in rows]


def test_a_queue_of_an_earlier_version_is_brought_up_to_date(tmp_path):
    ids = write_version_1(tmp_path / "q")
    queue = Queue(tmp_path / "q")
    assert queue.is_intact()
    assert [queue.get(i).state for i in ids] == ["done", "running", "queued"]
    assert all(queue.get(i).readable for i in ids)
    assert (queue.get(ids[0]).request.seed, queue.get(ids[0]).request.faces) == (7, 500)
    queue.recover(0, "its worker too", outage=True)
    assert queue.claim(0, lease=60).id == ids[1]
    queue.close()
    again = Queue(tmp_path / "q")
    assert again.ids() == set(ids)
    again.close()


def stamp(path, version, oldest):
    c = sqlite3.connect(path)
    c.execute("INSERT OR REPLACE INTO facts VALUES ('oldest_reader', ?)", (oldest,))
    c.execute(f"PRAGMA user_version = {version}")
    c.execute("ALTER TABLE jobs ADD COLUMN of_tomorrow TEXT DEFAULT 'x'")
    c.commit()
    c.close()


def test_a_queue_of_a_later_version_is_read_as_far_as_that_allows(data):
    queue = open_queue(data, max_attempts=3)
    job = add(data, queue)
    queue.close()
    stamp(data.database, SCHEMA_VERSION + 1, SCHEMA_VERSION)
    queue = reopened(data)
    assert queue.claim(0, lease=60).id == job
    queue.close()
    before = data.database.read_bytes()
    c = sqlite3.connect(data.database)
    c.execute("UPDATE facts SET value = ?", (SCHEMA_VERSION + 1,))
    c.commit()
    c.close()
    with pytest.raises(QueueTooNew, match="Start that version again"):
        open_queue(data, max_attempts=3)
    assert len(data.database.read_bytes()) >= len(before)
    assert not list(data.path.glob("*damaged*"))


UNREADABLE = {
    "request": '{"prompt": {"phrases": ["red"]}, "of_tomorrow": 1}',
    "objects": '[{"label": 7}]',
    "notes": '{"a": "b"}',
    "files": '[{"path": "x"}]',
    "error": "[1]",
    "created": "yesterday",
    "stage": b"\xff",
    "selection": "{",
}


def spoil(data, job, column, value):
    c = sqlite3.connect(data.database)
    c.execute(f"UPDATE jobs SET {column} = ? WHERE id = ?", (value, job))
    c.commit()
    c.close()


@pytest.mark.parametrize("column", UNREADABLE)
def test_a_row_that_cannot_be_read_is_a_failed_job_and_the_others_go_on(open_client, column):
    with open_client() as client:
        services = client.app.state.services
        data, queue = services.data, services.queue
        good = add(data, queue, state="done")
        bad = add(data, queue, state="done")
        waiting = add(data, queue)
        spoil(data, bad, column, UNREADABLE[column])
        listed = client.get("/api/jobs")
        assert listed.status_code == 200, listed.text
        states = {job["id"]: job["state"] for job in listed.json()["jobs"]}
        assert states == {waiting: "queued", bad: "failed", good: "done"}
        shown = client.get(f"/api/jobs/{bad}").json()
        assert shown["error"]["type"] == "urn:scenelift:problem:unreadable"
        services.housekeeper.tidy()
        assert queue.ids() == {good, bad, waiting}
        assert client.post(f"/api/jobs/{bad}/rerun", json={}).status_code in (409, 422)
        assert client.delete(f"/api/jobs/{bad}").status_code == 204
        assert queue.ids() == {good, waiting}


def test_a_waiting_row_that_cannot_be_read_fails_and_lets_the_next_one_run(data):
    queue = open_queue(data, max_attempts=3)
    bad, good = add(data, queue), add(data, queue)
    spoil(data, bad, "request", "{}")
    assert queue.claim(0, lease=60).id == good
    assert queue.get(bad).state == "failed"
    queue.close()


def watched(queue, **given):
    values = {"cancel_seconds": 9, "job_seconds": 9, "lease_seconds": 9, "stop_seconds": 1}
    return Supervisor(queue, lambda slot: ["true"], 1, **values | given)


def test_the_supervisor_outlives_what_it_meets(data, monkeypatch, caplog):
    """No more files, a row nobody understands, a bug: it says so once, and goes on."""
    queue = open_queue(data, max_attempts=3)
    monkeypatch.setattr(supervisor, "TICK_SECONDS", 0.001)
    met = []

    def popen(*args, **options):
        met.append("start")
        raise OSError(24, "Too many open files")

    def running():
        met.append("look")
        raise KeyError("a bug")

    monkeypatch.setattr(supervisor.subprocess, "Popen", popen)
    monkeypatch.setattr(queue, "running", running)
    keeper = watched(queue)
    keeper.start()
    deadline = time.monotonic() + 60
    while len(met) < 200 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert keeper._thread.is_alive()
    keeper.stop()
    assert {"start", "look"} == set(met)
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 2
    queue.close()


def test_a_clock_that_is_set_ends_no_attempt(data, monkeypatch):
    queue = open_queue(data, max_attempts=3)
    add(data, queue)
    queue.claim(0, lease=60)
    keeper = watched(queue)
    (job, lease), now = queue.running()[0], time.time()
    assert keeper._overdue(job, lease) is None
    monkeypatch.setattr(time, "time", lambda: now + 31 * DAY)
    assert keeper._overdue(job, lease) is None
    monkeypatch.undo()
    began = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began + 10)
    assert keeper._overdue(job, lease) == "it was silent for too long"
    assert keeper._overdue(job, lease + 1) == "it took longer than 9 s"
    queue.close()


def test_an_outage_is_hardly_a_jobs_fault_but_has_an_end(data):
    queue = open_queue(data, max_attempts=3)
    job = add(data, queue)
    for _ in range(MAX_OUTAGES - 1):
        queue.claim(0, lease=60)
        queue.recover(0, "its worker too", outage=True)
        row = queue.get(job)
        assert (row.state, row.attempt) == ("queued", 0)
    queue.claim(0, lease=60)
    queue.recover(0, "its worker too", outage=True)
    assert queue.get(job).state == "failed"
    queue.close()


def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    theirs = tmp_path / "scenelift"
    theirs.mkdir(mode=0o777)
    theirs.chmod(0o777)
    DataFolder(theirs).create()
    assert theirs.stat().st_mode & 0o022 == 0, "ours, but others could write there"
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    os.chown(theirs, 4711, -1) if os.getuid() == 0 else None
    if theirs.stat().st_uid == 0:
        pytest.skip("root's folders are trusted")
    with pytest.raises(OutputError, match="another user"):
        DataFolder(theirs).create()
