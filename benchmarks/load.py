"""Load the web app on loopback: does it answer while a job runs and two hundred photos arrive?

    python benchmarks/load.py [--uploads 200] [--jobs 500] [--quality embedded|fake]

First, with the embedded models, /health is asked fifty times a second and an event stream is read
while a job runs on all cores and uploads arrive eight at a time. Then memory of server and worker
is read while five hundred jobs of the fake pipeline pass; before that, jobs are cancelled in the
middle of a stage. Bounded in number and time; talks to 127.0.0.1 only. Exits with 1 where a budget
is missed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
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
from tests.drivers.live_server import FAKE_SERVER, LiveServer, disc_png

HEALTH_BUDGET_SECONDS = 0.05
CANCEL_BUDGET_SECONDS = 1.0
# Of both processes together, from the two hundredth job, when caches are full, to the last.
GROWTH_BUDGET_BYTES = 20 * 2**20
PATIENCE = 900.0


@contextmanager
def serve(data: Path, quality: str) -> Iterator[LiveServer]:
    """A server whose limits let all of it in."""
    scenelift = str(Path(sys.executable).parent / "scenelift")
    command = FAKE_SERVER if quality == "fake" else (scenelift, "serve", "--quality", quality)
    limits = {
        "SCENELIFT_UPLOADS_PER_MINUTE": "1000000",
        "SCENELIFT_REQUESTS_PER_MINUTE": "1000000",
        "SCENELIFT_MAX_QUEUED": "10000",
        "SCENELIFT_JOBS_PER_TOKEN": "10000",
    }
    server = LiveServer(data, command, environment=limits, patience=PATIENCE).start()
    try:
        server.until_ready()
        yield server
    finally:
        server.close()


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
    photo = photo_bytes(quality)
    phrase = "red" if quality == "fake" else "cup"
    with serve(folder / "load", quality) as server:
        health, events = HealthProbe(server.url), EventProbe(server.url)
        events.start()
        first = server.submit(phrase, photo=photo)
        server.wait(first, "running")
        health.start()
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            jobs = list(pool.map(lambda _: server.submit(phrase, photo=photo), range(uploads)))
        upload_seconds = time.monotonic() - began
        # Some jobs are to run meanwhile, not all two hundred.
        for job in jobs[4:]:
            server.http.delete(f"/api/jobs/{job}")
        for job in (first, *jobs[:4]):
            server.wait(job)
        health.done.set()
        health.join()
        kept = [event["seq"] for event in server.events()]
        server.until(lambda: bool(events.numbers) and events.numbers[-1] >= kept[-1])
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
    warm, began = 0, time.monotonic()
    with serve(folder / "memory", "fake") as server:
        for number in range(1, jobs + 1):
            job = server.submit("red")
            server.wait(job)
            server.http.delete(f"/api/jobs/{job}").raise_for_status()
            if number == min(200, jobs // 2):
                warm = resident_bytes(server.pid)
        end = resident_bytes(server.pid)
    growth = end - warm
    print(
        f"memory over {jobs} jobs      {warm / 2**20:.0f} -> {end / 2**20:.0f} MiB "
        f"({growth / 2**20:+.1f}), {(time.monotonic() - began) / jobs:.2f} s a job"
    )
    return growth < GROWTH_BUDGET_BYTES


def cancels_in_time(folder: Path) -> bool:
    """Cancel jobs in a stage that heeds cancelling and in one that never looks up."""
    kept = True
    with serve(folder / "cancel", "fake") as server:
        for phrases in (("slow", "red", "blue"), ("hang", "red")):
            times = [seconds_to_cancel(server, *phrases) for _ in range(10)]
            print(
                f"cancel in a {phrases[0]!r} stage   median {np.median(times):.2f} s, "
                f"worst {max(times):.2f} s of {len(times)}"
            )
            kept &= max(times) < CANCEL_BUDGET_SECONDS
    return kept


def seconds_to_cancel(server: LiveServer, *phrases: str) -> float:
    server.until_ready()
    job = server.submit(*phrases)
    server.wait(job, "running")
    time.sleep(0.3)  # into the stage
    began = time.perf_counter()
    server.http.post(f"/api/jobs/{job}/cancel").raise_for_status()
    while server.job(job)["state"] != "cancelled":
        time.sleep(0.01)
    return time.perf_counter() - began


def resident_bytes(server: int) -> int:
    """Resident memory of the server and its workers."""
    pids = [server]
    for task in Path(f"/proc/{server}/task").iterdir():
        pids += [int(pid) for pid in (task / "children").read_text().split()]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")


def photo_bytes(quality: str) -> bytes:
    if quality == "fake":
        return disc_png()
    import skimage.data

    buffer = io.BytesIO()
    PIL.Image.fromarray(skimage.data.coffee()).save(buffer, "PNG")
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--quality", default="embedded")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = answers_under_load(Path(folder), args.uploads, args.quality)
        kept &= cancels_in_time(Path(folder))
        kept &= memory_stays_flat(Path(folder), args.jobs)
    print(json.dumps({"budgets kept": bool(kept)}))
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
