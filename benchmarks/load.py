"""Load the web app on loopback: does it answer while a job runs and two hundred photos arrive?

    python benchmarks/load.py [--uploads 200] [--jobs 500] [--quality embedded|fake]

First, with the embedded models, /health is asked fifty times a second and an event stream is read
while a job runs on all cores and uploads arrive eight at a time. Then memory of server and worker
is read while five hundred jobs of the fake pipeline pass. Bounded in number and time; talks to
127.0.0.1 only. Exits with 1 where a budget is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import PIL.Image

from scenelift.testing.fakes import disc_photo
from scenelift.webapp.folders import DataFolder
from scenelift.webapp.jobs import Queue

HEALTH_BUDGET_SECONDS = 0.05
# Of both processes together, from the hundredth job to the last.
GROWTH_BUDGET_BYTES = 20 * 2**20
FINAL = ("done", "failed", "cancelled")
PATIENCE = 900.0


@contextmanager
def serve(data: Path, quality: str) -> Iterator[tuple[httpx.Client, int]]:
    """A server process; gives a client and the process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if quality == "fake":
        line = [sys.executable, "-m", "scenelift.testing.web"]
    else:
        line = [str(Path(sys.executable).parent / "scenelift"), "serve", "--quality", quality]
    limits = {
        "SCENELIFT_UPLOADS_PER_MINUTE": "1000000",
        "SCENELIFT_REQUESTS_PER_MINUTE": "1000000",
        "SCENELIFT_MAX_QUEUED": "10000",
        "SCENELIFT_JOBS_PER_TOKEN": "10000",
    }
    process = subprocess.Popen(
        [*line, "--data", str(data), "--port", str(port)],
        env=os.environ | limits,
        stderr=subprocess.DEVNULL,
    )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
    try:
        wait_until(lambda: ready(client))
        yield client, process.pid
    finally:
        client.close()
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(condition, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("waited too long")
        time.sleep(0.1)


def submit(client: httpx.Client, photo: bytes, phrase: str) -> str:
    answer = client.post(
        "/api/jobs", files={"image": ("photo.png", photo)}, data={"text_prompt": phrase}
    )
    answer.raise_for_status()
    return answer.json()["id"]


class HealthProbe(threading.Thread):
    """Asks /health fifty times a second and notes how long it took."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url, self.seconds, self.done = url, list[float](), threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self.done.wait(0.02):
                began = time.perf_counter()
                client.get("/health").raise_for_status()
                self.seconds.append(time.perf_counter() - began)


class EventProbe(threading.Thread):
    """Reads the event stream until it is closed."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url, self.numbers = url, list[int]()

    def run(self) -> None:
        with (
            httpx.Client(base_url=self._url, timeout=None) as client,
            client.stream("GET", "/api/events", params={"last_event_id": 0}) as stream,
        ):
            number = 0
            try:
                for line in stream.iter_lines():
                    name, _, value = line.partition(": ")
                    if name == "id":
                        number = int(value)
                    elif line == "event: job":
                        self.numbers.append(number)
            except httpx.TransportError:
                return


def answers_under_load(folder: Path, uploads: int, quality: str) -> bool:
    """Upload while jobs run; returns whether the budgets were kept."""
    data = DataFolder(folder / "load")
    photo = photo_bytes(folder, quality)
    phrase = "red" if quality == "fake" else "cup"
    with serve(data.path, quality) as (client, _):
        url = str(client.base_url)
        health, events = HealthProbe(url), EventProbe(url)
        events.start()
        first = submit(client, photo, phrase)
        wait_until(lambda: client.get(f"/api/jobs/{first}").json()["state"] == "running")
        health.start()
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            jobs = list(pool.map(lambda _: submit(client, photo, phrase), range(uploads)))
        upload_seconds = time.monotonic() - began
        # Some jobs are to run meanwhile, not all two hundred.
        for job in jobs[4:]:
            client.delete(f"/api/jobs/{job}")
        for job in (first, *jobs[:4]):
            wait_until(lambda job=job: client.get(f"/api/jobs/{job}").json()["state"] in FINAL)
        health.done.set()
        health.join()
        last = client.get("/api/jobs").json()["last_event_id"]
        wait_until(lambda: bool(events.numbers) and events.numbers[-1] >= last, 10)
        queue = Queue(data.database)
        kept = [e.seq for e in queue.events_after(0, "local", 10**9)]
        queue.close()
    times = np.array(health.seconds)
    p99 = float(np.percentile(times, 99))
    in_order = events.numbers == sorted(set(events.numbers))
    missed = len(set(kept) - set(events.numbers))
    print(f"uploads                  {uploads} in {upload_seconds:.1f} s, quality {quality}")
    print(
        f"/health                  {len(times)} answers: median {1e3 * np.median(times):.1f} ms, "
        f"p99 {1e3 * p99:.1f} ms, worst {1e3 * times.max():.1f} ms"
    )
    print(f"events                   {len(events.numbers)} read, {missed} missed")
    print(f"events in order          {in_order}")
    return p99 < HEALTH_BUDGET_SECONDS and not missed and in_order


def memory_stays_flat(folder: Path, jobs: int) -> bool:
    """Pass many fake jobs, deleting each; returns whether memory stayed within the budget."""
    data = folder / "memory"
    photo = photo_bytes(folder, "fake")
    warm, began = 0, time.monotonic()
    with serve(data, "fake") as (client, server):
        for number in range(1, jobs + 1):
            job = submit(client, photo, "red")
            wait_until(lambda job=job: client.get(f"/api/jobs/{job}").json()["state"] in FINAL)
            client.delete(f"/api/jobs/{job}").raise_for_status()
            if number == min(100, jobs // 2):
                warm = resident_bytes(server)
        end = resident_bytes(server)
    growth = end - warm
    print(
        f"memory over {jobs} jobs      {warm / 2**20:.0f} -> {end / 2**20:.0f} MiB "
        f"({growth / 2**20:+.1f}), {(time.monotonic() - began) / jobs:.2f} s a job"
    )
    return growth < GROWTH_BUDGET_BYTES


def resident_bytes(server: int) -> int:
    """Resident memory of the server and its workers."""
    pids = [server]
    for task in Path(f"/proc/{server}/task").iterdir():
        pids += [int(pid) for pid in (task / "children").read_text().split()]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")


def photo_bytes(folder: Path, quality: str) -> bytes:
    path = folder / f"{quality}.png"
    if quality == "fake":
        pixels = disc_photo().pixels
    else:
        import skimage.data

        pixels = skimage.data.coffee()
    PIL.Image.fromarray(np.asarray(pixels)).save(path)
    return path.read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--quality", default="embedded")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = answers_under_load(Path(folder), args.uploads, args.quality)
        kept &= memory_stays_flat(Path(folder), args.jobs)
    print(json.dumps({"budgets kept": bool(kept)}))
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
