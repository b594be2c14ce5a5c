"""A real server with fake models on loopback, which tests may kill."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
import time

import httpx
import PIL.Image
import pytest
from starlette.testclient import TestClient

from scenelift.testing.fakes import disc_photo
from scenelift.testing.web import FakeQualities, fake_settings
from scenelift.webapp.app import create_app
from scenelift.webapp.folders import DataFolder
from scenelift.webapp.jobs import Queue

# A module that ends at once, whatever its arguments: jobs stay queued.
NO_WORKER = "this"
FINAL = {"done", "failed", "cancelled", "review"}
PATIENCE = 30.0


def png(image=None) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray((image or disc_photo()).pixels).save(buffer, "PNG")
    return buffer.getvalue()


class LiveServer:
    """The fake web app as a process."""

    def __init__(self, data, *arguments):
        self.data, self._arguments = DataFolder(data), arguments
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE)
        self.process = None

    def start(self):
        line = [sys.executable, "-m", "scenelift.testing.web"]
        line += ["--data", str(self.data.path), "--port", str(self.port), *self._arguments]
        self.process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
        self.until(self._answers)
        return self

    def _answers(self):
        try:
            return self.http.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) in (0, -signal.SIGTERM)

    def close(self):
        self.http.close()
        if self.process and self.process.poll() is None:
            self.stop()

    def submit(self, *phrases, **fields):
        answer = self.http.post(
            "/api/jobs",
            files={"image": ("photo.png", png())},
            data={"text_prompt": list(phrases), **fields},
        )
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def job(self, job_id):
        return self.http.get(f"/api/jobs/{job_id}").json()

    def wait(self, job_id, *states):
        wanted = set(states) or FINAL
        self.until(lambda: self.job(job_id)["state"] in wanted)
        return self.job(job_id)

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.05)

    def events(self, after=0):
        """What has been written so far."""
        queue = Queue(self.data.database)
        rows = queue.events_after(after, "local", 100_000)
        queue.close()
        return [json.loads(row.data) for row in rows]

    def worker_pid(self):
        queue = Queue(self.data.database)
        pids = [w["pid"] for w in queue.workers()]
        queue.close()
        return pids[0] if pids else None


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for all tests that leave it as it is."""
    live = LiveServer(tmp_path_factory.mktemp("web") / "data").start()
    yield live
    live.close()


@pytest.fixture
def make_server(tmp_path):
    """Makes a server that the test may break, from more arguments."""
    made = []

    def make(*arguments):
        made.append(LiveServer(tmp_path / "data", *arguments))
        return made[-1]

    yield make
    for live in made:
        live.close()


@pytest.fixture
def own_server(make_server):
    """A server that the test may break."""
    return make_server()


@pytest.fixture(scope="session")
def open_client(tmp_path_factory):
    """Opens a client of an app in this process; its worker stays away."""

    def open_(**given):
        settings = fake_settings(tmp_path_factory.mktemp("app") / "data", preload=False, **given)
        app = create_app(settings, qualities=FakeQualities(), worker_module=NO_WORKER)
        return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)

    return open_
