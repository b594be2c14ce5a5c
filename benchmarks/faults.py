"""Kill worker and server of the web app at random moments, and count what is lost: nothing.

    python benchmarks/faults.py [--kills 50] [--seed 0]

Jobs with fake models are submitted all along while `kill -9` hits the worker or the server. In
the end every accepted job must be done, or failed with a reason; no finished object may have been
done again; SQLite must find its file intact. Exits with 1 otherwise. Takes about two minutes.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
from tests.drivers.live_server import FAKE_SERVER, LiveServer

from scenelift.webapp.jobs import Queue

PATIENCE = 120.0


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
    # A job may be hit again and again here, by no fault of its own.
    command = [*FAKE_SERVER, "--max-attempts", "20"]
    server = LiveServer(folder / "data", command, patience=PATIENCE).start()
    accepted: list[str] = []
    hits: Counter[str] = Counter()
    began = time.monotonic()
    try:
        while hits.total() < kills:
            if len(accepted) < kills // 2:
                # The server may be killed before it answers: then nobody was promised anything.
                with suppress(httpx.TransportError):
                    accepted.append(server.submit("slow", "red", "blue"))
            time.sleep(rng.uniform(0.0, 2.5))
            if rng.random() < 0.6:
                hits["worker"] += server.kill_worker()
            else:
                server.kill()
                server.start()
                hits["server"] += 1
        ended = wait_for_all(server, accepted)
    finally:
        server.close()
    return report(server, accepted, hits, ended, time.monotonic() - began)


def wait_for_all(server: LiveServer, jobs: list[str]) -> bool:
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
    server: LiveServer, accepted: list[str], hits: Counter[str], ended: bool, seconds: float
) -> bool:
    queue = Queue(server.data.database)
    rows = {job: queue.get(job) for job in accepted}
    states = Counter(row.state for row in rows.values())
    silent = [job for job, row in rows.items() if row.state == "failed" and not row.error]
    intact = queue.is_intact()
    queue.close()
    events = server.events()
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
