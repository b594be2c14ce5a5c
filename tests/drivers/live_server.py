"""A web app as a process on loopback, which tests and benchmarks may kill."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import PIL.Image

from scenelift.testing.fakes import disc_photo
from scenelift.webapp.folders import DataFolder
from scenelift.webapp.jobs import Queue
from tests.drivers.patience import patient
from tests.drivers.web import HOLD

__all__ = ["FAKE_SERVER", "FINAL", "LiveServer", "disc_png"]

FAKE_SERVER = (sys.executable, "-m", "tests.drivers.web")
FINAL = frozenset({"done", "failed", "cancelled", "review"})


def disc_png() -> bytes:
    """The photo that the fake models understand, as a PNG."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(disc_photo().pixels).save(buffer, "PNG")
    return buffer.getvalue()


class LiveServer:
    """A server process and a client of it.

    Args:
        data: the data folder.
        command: what starts it, without `--data` and `--port`.
        environment: variables besides this process's own.
        patience: seconds after which waiting is an error, on a machine that is otherwise idle.
    """

    def __init__(
        self,
        data: Path,
        command: Sequence[str] = FAKE_SERVER,
        *,
        environment: Mapping[str, str] | None = None,
        patience: float = 120.0,
    ) -> None:
        self.data, self._patience = DataFolder(data), patience
        self._hold = data.with_suffix(".hold")
        self._environment = os.environ | {HOLD: str(self._hold)} | dict(environment or {})
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._command = [*command, "--data", str(data), "--port", str(self.port)]
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=patient(patience))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the server's process.

        Raises:
            RuntimeError: it was not started.
        """
        return self._started().pid

    def start(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stderr=subprocess.DEVNULL
        )
        self.until(lambda: self._answers("/health"))
        return self

    def until_ready(self) -> None:
        """Wait for the worker's models."""
        self.until(lambda: self._answers("/ready"))

    def kill(self) -> None:
        process = self._started()
        process.kill()
        process.wait()

    def kill_worker(self) -> bool:
        """Whether there was one that it could be done to."""
        pid = self.worker_pid()
        # A number that was given to another process since is left alone.
        command = Path(f"/proc/{pid}/cmdline")
        if not command.exists() or str(self.data.path).encode() not in command.read_bytes():
            return False
        os.kill(int(pid or 0), signal.SIGKILL)
        return True

    def stop(self) -> None:
        """End it in good order.

        Raises:
            RuntimeError: it ended with another code than that of an orderly stop.
        """
        process = self._started()
        process.send_signal(signal.SIGTERM)
        code = process.wait(self._patience)
        if code not in (0, -signal.SIGTERM):
            raise RuntimeError(f"the server ended with {code}")

    def close(self) -> None:
        self.http.close()
        if self._process is not None and self._process.poll() is None:
            self.stop()

    @contextmanager
    def held(self, *, after: int = 0) -> Iterator[None]:
        """Within it, no worker gets more than the first `after` objects called "slow" done.

        To be entered before such a job is submitted.
        """
        self._hold.write_text(str(after))
        try:
            yield
        finally:
            self._hold.unlink()

    def submit(self, *phrases: str, photo: bytes | None = None, **fields: str) -> str:
        """The id of a new job.

        Raises:
            httpx.HTTPError: the server did not accept it.
        """
        answer = self.http.post(
            "/api/jobs",
            files={"image": ("photo.png", photo or disc_png())},
            data={"text_prompt": list(phrases), **fields},
        )
        answer.raise_for_status()
        return answer.json()["id"]

    def job(self, job_id: str) -> dict[str, Any]:
        return self.http.get(f"/api/jobs/{job_id}").json()

    def wait(self, job_id: str, *states: str) -> dict[str, Any]:
        """The job once it is in one of the states, or at an end where none is named."""
        self.until(lambda: self.job(job_id)["state"] in (states or FINAL))
        return self.job(job_id)

    def until(self, condition: Callable[[], bool]) -> None:
        """Raises:
        TimeoutError: it did not come true within `patience`.
        """
        began = time.monotonic()
        while not condition():
            # Looked up again and again: load may come while we wait.
            if time.monotonic() - began > patient(self._patience):
                raise TimeoutError(f"waited {time.monotonic() - began:.0f} s")
            time.sleep(0.05)

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """What has been written so far, read from the file; each with its number as `seq`."""
        queue = Queue(self.data.database)
        rows = queue.events_after(after, "local", 10**9)
        queue.close()
        return [json.loads(row.data) | {"seq": row.seq} for row in rows]

    def worker_pid(self) -> int | None:
        queue = Queue(self.data.database)
        pids = [int(worker["pid"]) for worker in queue.workers()]
        queue.close()
        return pids[0] if pids else None

    def _answers(self, path: str) -> bool:
        try:
            return self.http.get(path).status_code == 200
        except httpx.TransportError:
            return False

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process
