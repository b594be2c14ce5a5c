"""A disk that is full can be cleared through the app, and is no reason to refuse to start."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile

import pytest
from tests.drivers.live_server import disc_png
from tests.drivers.web import fake_settings

from scenelift.errors import OutputError
from scenelift.webapp.app import open_data
from scenelift.webapp.folders import DataFolder
from scenelift.webapp.jobs.database import QueueFile


def submit(client, **fields):
    answer = client.post(
        "/api/jobs", files={"image": ("a.png", disc_png())}, data={"text_prompt": "red", **fields}
    )
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


@pytest.fixture
def fill(monkeypatch):
    """Lets every write fail as long as nothing was given up: what is held back fills the disk."""
    real = QueueFile.transaction

    def fill_(data):
        def transaction(self):
            if data.reserve.exists():
                raise sqlite3.OperationalError("database or disk is full")
            return real(self)

        monkeypatch.setattr(QueueFile, "transaction", transaction)

    return fill_


def test_a_job_can_be_deleted_when_the_disk_is_full(open_client, fill):
    with open_client() as client:
        data = client.app.state.services.data
        job, other = submit(client), submit(client)
        assert data.reserve.exists()
        fill(data)
        assert client.post(f"/api/jobs/{other}/cancel").status_code == 507
        assert client.delete(f"/api/jobs/{job}").status_code == 204
        assert [j["id"] for j in client.get("/api/jobs").json()["jobs"]] == [other]
        assert not data.job(job).path.exists()
        assert not data.reserve.exists()
        data.keep_reserve()
        assert data.reserve.exists(), "held back again, as there is room"


def test_others_jobs_go_on_being_nobodys_business_when_the_disk_is_full(open_client, fill):
    with open_client() as client:
        data, job = client.app.state.services.data, submit(client)
        fill(data)
        assert client.delete(f"/api/jobs/{'0' * 32}").status_code == 404
        assert data.job(job).path.exists()


def full(data):
    def temporary_file(**options):
        if data.reserve.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open(data.path / "probe", "w+b")

    return temporary_file


def test_a_server_starts_on_a_full_disk(tmp_path, monkeypatch):
    data = DataFolder(tmp_path / "data")
    data.prepare()
    (data.trash / "old").mkdir()
    monkeypatch.setattr(tempfile, "TemporaryFile", full(data))
    data.prepare()
    assert not list(data.trash.iterdir())


def test_one_that_cannot_even_then_says_so(tmp_path, monkeypatch):
    data = DataFolder(tmp_path / "data", reserve_bytes=0)

    def refuse(**options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(OutputError, match="Free some space"):
        data.prepare()


@pytest.mark.parametrize("name", ["jobs", "spool", "server.lock"])
def test_something_in_the_place_of_ours_is_told_by_name(tmp_path, name):
    settings = fake_settings(tmp_path / "data")
    settings.data.mkdir()
    if name == "server.lock":
        (settings.data / name).mkdir()
    else:
        (settings.data / name).write_text("")
    data = DataFolder(settings.data, reserve_bytes=0)
    with pytest.raises(OutputError, match=name), open_data(settings, data):
        pass


def test_a_queue_that_another_process_holds_is_busy_and_no_bug(open_client):
    with open_client() as client:
        queue = client.app.state.services.queue
        job = submit(client)
        holder = sqlite3.connect(client.app.state.services.data.database)
        with queue.connection() as c:
            c.execute("PRAGMA busy_timeout = 50")
        holder.execute("BEGIN IMMEDIATE")
        try:
            answer = client.post(f"/api/jobs/{job}/cancel")
        finally:
            holder.execute("ROLLBACK")
            holder.close()
        assert answer.status_code == 503, answer.text
        assert answer.json()["type"] == "urn:scenelift:problem:queue-busy"
        assert answer.headers["retry-after"]


def test_a_reviewed_job_has_to_wait_for_room_too(open_client):
    with open_client(jobs_per_token=2, max_objects=3) as client:
        queue = client.app.state.services.queue
        reviewed = []
        for _ in range(2):
            reviewed.append(submit(client, review="true"))
            queue.finish(queue.claim(0, lease=60).claim, "review")
        for _ in range(2):
            submit(client)
        answer = client.post(
            f"/api/jobs/{reviewed[0]}/continue", json={"add": [{"box": [0, 0, 9, 9]}]}
        )
        assert answer.status_code == 429, answer.text
        look = {"add": [{"box": [0, 0, 9, 9]}]}
        answer = client.post(f"/api/jobs/{reviewed[0]}/look", json=look)
        assert answer.status_code == 429, answer.text
        boxes = [{"box": [0, 0, 9, 9]}] * 4
        answer = client.post(f"/api/jobs/{reviewed[0]}/continue", json={"add": boxes})
        assert answer.status_code == 422
        assert "a job takes 3" in answer.json()["detail"]
        assert queue.get(reviewed[0]).state == "review"
