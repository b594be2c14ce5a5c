"""Kill worker and server of the web app at random moments, and count what is lost: nothing.

    python benchmarks/faults.py [--kills 50] [--seed 0]

Jobs with fake models are submitted all along while `kill -9` hits the worker or the server. In
the end every accepted job must be done, or failed with a reason; no finished object may have been
done again; SQLite must find its file intact. Exits with 1 otherwise. Takes about two minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
import PIL.Image

from scenelift.testing.fakes import disc_photo
from scenelift.webapp.folders import DataFolder
from scenelift.webapp.jobs import Queue

PATIENCE = 120.0


class FakeServer:
    """`scenelift.testing.web` as a process on loopback."""

    def __init__(self, data: Path) -> None:
        self.data = DataFolder(data)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        line = [sys.executable, "-m", "scenelift.testing.web"]
        line += ["--data", str(self.data.path), "--port", str(self.port)]
        # A job may be hit again and again here, by no fault of its own.
        line += ["--max-attempts", "20"]
        self.process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                self.http.get("/health")
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise SystemExit("the server did not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def submit(self, photo: bytes) -> str | None:
        """The id of the job, or None where the server was killed before it answered."""
        try:
            answer = self.http.post(
                "/api/jobs",
                files={"image": ("photo.png", photo)},
                data={"text_prompt": ["slow", "red", "blue"]},
            )
        except httpx.TransportError:
            return None
        return answer.json()["id"] if answer.status_code == 202 else None

    def kill_worker(self) -> bool:
        """Whether there was one that it could be done to."""
        queue = Queue(self.data.database)
        pids = [int(w["pid"]) for w in queue.workers()]
        queue.close()
        for pid in pids:
            # A number that was given to another process since is left alone.
            command = Path(f"/proc/{pid}/cmdline")
            if command.exists() and str(self.data.path).encode() in command.read_bytes():
                os.kill(pid, signal.SIGKILL)
                return True
        return False


def photo_bytes(folder: Path) -> bytes:
    path = folder / "photo.png"
    PIL.Image.fromarray(np.asarray(disc_photo().pixels)).save(path)
    return path.read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        failed = run(Path(folder), args.kills, rng)
    raise SystemExit(1 if failed else 0)


def run(folder: Path, kills: int, rng: random.Random) -> bool:
    photo = photo_bytes(folder)
    server = FakeServer(folder / "data")
    server.start()
    accepted: list[str] = []
    hits: Counter[str] = Counter()
    began = time.monotonic()
    try:
        while hits.total() < kills:
            job = server.submit(photo) if len(accepted) < kills // 2 else None
            if job:
                accepted.append(job)
            time.sleep(rng.uniform(0.0, 2.5))
            if rng.random() < 0.6:
                hits["worker"] += server.kill_worker()
            else:
                server.kill()
                server.start()
                hits["server"] += 1
        ended = wait_for_all(server, accepted)
    finally:
        if server.process is not None and server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(30)
        server.http.close()
    return report(server.data, accepted, hits, ended, time.monotonic() - began)


def wait_for_all(server: FakeServer, jobs: list[str]) -> bool:
    deadline = time.monotonic() + PATIENCE
    queue = Queue(server.data.database)
    try:
        while time.monotonic() < deadline:
            if all(queue.get(job).state in ("done", "failed") for job in jobs):
                return True
            time.sleep(0.2)
        return False
    finally:
        queue.close()


def report(
    data: DataFolder, accepted: list[str], hits: Counter[str], ended: bool, seconds: float
) -> bool:
    queue = Queue(data.database)
    rows = {job: queue.get(job) for job in accepted}
    states = Counter(row.state for row in rows.values())
    silent = [job for job, row in rows.items() if row.state == "failed" and not row.error]
    events = [json.loads(e.data) for e in queue.events_after(0, "local", 10**9)]
    intact = queue.is_intact()
    queue.close()
    objects = Counter(
        (e["job"], e["object_index"])
        for e in events
        if e["kind"] == "stage_finished" and e["stage"] == "reconstruct"
    )
    twice = [key for key, times in objects.items() if times > 1]
    ends = Counter(e["job"] for e in events if e["kind"] in ("done", "failed"))
    resumed = sum(e["kind"] == "stage_resumed" for e in events)
    print(f"kill -9 of the worker          {hits['worker']}")
    print(f"kill -9 of the server          {hits['server']}")
    print(f"accepted jobs                  {len(accepted)}")
    print(f"  by state                     {dict(states)}")
    print(f"  failed without a reason      {len(silent)}")
    print(f"  ended more than once         {sum(times > 1 for times in ends.values())}")
    print(f"objects finished               {len(objects)}, of which done twice: {len(twice)}")
    print(f"stages resumed from disk       {resumed}")
    print(f"integrity_check                {'ok' if intact else 'FAILED'}")
    print(f"time                           {seconds:.0f} s")
    return bool(
        not ended or silent or twice or not intact or any(times > 1 for times in ends.values())
    )


if __name__ == "__main__":
    main()
