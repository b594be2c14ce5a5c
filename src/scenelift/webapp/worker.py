"""The process that owns the models: `python -m scenelift.webapp.worker --data DIR`.

The server starts it and replaces it when it dies. It takes one job at a time and runs all of them
in one thread, while its main thread renews the lease and listens for cancellation and the end.
"""

from __future__ import annotations

import argparse
import faulthandler
import fcntl
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from scenelift.errors import SceneliftError
from scenelift.options import Options
from scenelift.output.scene import peak_memory_bytes
from scenelift.pipeline import Pipeline
from scenelift.progress import CancelToken
from scenelift.segment.clicks import Clicker
from scenelift.webapp.answering import Answerer, embedded_clicker
from scenelift.webapp.editing import EditAttempt
from scenelift.webapp.exporting import ExportAttempt
from scenelift.webapp.folders import DataFolder
from scenelift.webapp.jobs import Claim, JobRow, LeaseLost, Queue, Task
from scenelift.webapp.lifting import Attempt
from scenelift.webapp.repeats import Repeats
from scenelift.webapp.turns import Turns, YieldingToken
from scenelift.worker_processes import LastingThread, join_or_exit, on_stop_request

__all__ = ["Worker", "main"]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
BEAT_SECONDS = 2.0
LOCK_SECONDS = 30.0
NICENESS = 5
ATTEMPTS: dict[Task, type[Attempt]] = {
    "lift": Attempt,
    "edit": EditAttempt,
    "export": ExportAttempt,
}


class Worker:
    """Takes jobs off the queue until it is told to stop.

    Args:
        data: the server's data folder.
        slot: number of this worker; nobody else has it, see `hold_slot`.
        load: builds the pipeline of a quality; called once for each.
        lease_seconds: how long this worker may be silent.
        stop_seconds: how long what is being done may go on after `stop`.
        most_objects: that one job may have.
        defaults: what a job runs with that does not say otherwise.
    """

    def __init__(
        self,
        data: DataFolder,
        queue: Queue,
        load: Callable[[str], Pipeline],
        *,
        slot: int = 0,
        lease_seconds: float = 60,
        stop_seconds: float = 5,
        most_objects: int = 20,
        defaults: Options | None = None,
    ) -> None:
        self._data, self._queue, self._load_new = data, queue, load
        self._slot, self._lease, self._stop_seconds = slot, lease_seconds, stop_seconds
        self._most_objects, self._defaults = most_objects, defaults or Options()
        self._pipelines: dict[str, Pipeline] = {}
        self._stop = threading.Event()
        self._next_beat = 0.0
        self._ready = False
        self._repeats = Repeats(log)
        self._loading = threading.RLock()
        self._thread = LastingThread("jobs")
        self.turns = Turns()
        self.on_review: Callable[[str, str], None] = lambda job, quality: None

    def pipeline(self, quality: str) -> Pipeline:
        """Return the models of a quality, loaded when first asked for."""
        return self._load(quality)

    def stop(self) -> None:
        """Finish, or give back, the current job, and return from `run`."""
        self._stop.set()

    def preload(self, quality: str) -> None:
        """Load the models that most jobs will want; each job reports what they lack."""
        try:
            self._load(quality)
        except SceneliftError as exc:
            log.warning("quality %s is not ready: %s", quality, exc)

    def run(self, preload: str | None = None) -> None:
        """Work until `stop`. Jobs of a predecessor that died wait again."""
        # A server that lives has seen to them itself: this one, or the machine, went down too.
        self._queue.recover(self._slot, "its worker too", outage=True)
        if preload:
            self._attend(lambda: self.preload(preload), None, CancelToken())
        self._ready = True
        while not self._stop.is_set():
            self._beat(None)
            job = self._claim()
            if job is None:
                self._stop.wait(POLL_SECONDS)
            else:
                self._run(job)

    def _claim(self) -> JobRow | None:
        try:
            return self._queue.claim(self._slot, lease=self._lease)
        except sqlite3.Error as exc:
            self._repeats.tell("the queue cannot be written", exc)
            return None

    def _run(self, job: JobRow) -> None:
        token = YieldingToken(self.turns)
        attempt = ATTEMPTS[job.task](
            self._queue,
            job,
            self._data.job(job.id),
            self._load,
            token=token,
            most_objects=self._most_objects,
            defaults=self._defaults,
            stopping=self._stop.is_set,
        )

        def work() -> None:
            with self.turns.working():
                attempt.run()

        self._attend(work, job.claim, token)
        if self._is_in_review(job.id):
            self.on_review(job.id, job.request.options(self._defaults).backends.quality)

    def _is_in_review(self, job_id: str) -> bool:
        try:
            return any(row.state == "review" for row in self._queue.of_id(job_id))
        except sqlite3.Error as exc:
            self._repeats.tell("the queue cannot be read", exc)
            return False

    def _attend(self, work: Callable[[], None], claim: Claim | None, token: CancelToken) -> None:
        """Run a function in the jobs' thread; stop it when the user, or the server, says so."""
        self._thread.start(work)
        current = claim  # None once the job is somebody else's

        def tick() -> None:
            nonlocal current
            try:
                if self._stop.is_set() or (current and self._queue.wants_cancel(current)):
                    token.cancel()
                self._beat(current)
            except LeaseLost:
                token.cancel()
                current = None
            except sqlite3.Error as exc:
                self._repeats.tell("the queue cannot be reached", exc)

        join_or_exit(
            self._thread,
            stopping=self._stop.is_set,
            seconds=self._stop_seconds,
            give_back=lambda: self._give_back(current) if current else None,
            tick=tick,
        )

    def _give_back(self, claim: Claim) -> None:
        """Give back a job whose stage does not react. The attempt does not count."""
        try:
            self._queue.release(claim, "The server stopped.")
        except (LeaseLost, sqlite3.Error) as exc:
            log.warning("job %s was not given back: %r", claim.job, exc)

    def _load(self, quality: str) -> Pipeline:
        with self._loading:
            if quality not in self._pipelines:
                self._pipelines[quality] = self._load_new(quality)
            return self._pipelines[quality]

    def _beat(self, claim: Claim | None) -> None:
        now = time.monotonic()
        if now < self._next_beat:
            return
        self._next_beat = now + BEAT_SECONDS
        # Kills this process should Python itself stand still: a thread in C holding its lock.
        faulthandler.dump_traceback_later(self._lease, exit=True)
        try:
            if claim:
                self._queue.renew(claim, lease=self._lease)
            self._queue.beat(self._slot, os.getpid(), ready=self._ready, memory=peak_memory_bytes())
        except sqlite3.Error as exc:
            self._repeats.tell("the queue cannot be written", exc)


@contextmanager
def hold_slot(path: Path) -> Iterator[None]:
    """Context: be the only worker of a slot. The lock ends with the process."""
    with path.open("a") as file:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SystemExit(f"another worker holds {path}") from None
                time.sleep(POLL_SECONDS)
        yield


def build(options: Options) -> Pipeline:
    """Build the pipeline that a server's options describe."""
    return Pipeline.build(options=options.models, **asdict(options.backends))


def main(
    arguments: Sequence[str] | None = None,
    load: Callable[[Options], Pipeline] = build,
    groups: Mapping[str, Any] = MappingProxyType({}),
    fallback: Callable[[], Clicker | None] = embedded_clicker,
) -> None:
    """Run a worker until it is told to stop.

    Args:
        load: builds the pipeline of a quality; tests bring their own.
        groups: groups of options, by their names in `Options`, for jobs that do not say otherwise;
            tests want small files.
        fallback: what answers clicks while a job does not make way.
    """
    args = _parse(arguments)
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s worker {args.slot} %(levelname)s %(name)s: %(message)s",
    )
    # The page must answer while all cores work; on a server with a GPU this costs nothing.
    os.nice(NICENESS)
    data = DataFolder(args.data)
    options = Options.from_plain({**json.loads(args.options), "device": args.device})
    options = replace(options, **groups)
    with hold_slot(data.lock(args.slot)):
        worker = Worker(
            data,
            Queue(data.database, max_attempts=args.max_attempts),
            lambda quality: load(
                replace(options, backends=replace(options.backends, quality=quality))
            ),
            slot=args.slot,
            lease_seconds=args.lease_seconds,
            stop_seconds=args.stop_seconds,
            most_objects=args.max_objects,
            defaults=options,
        )
        clicks = None
        if args.answers is not None:
            answerer = Answerer(
                lambda job: data.job(job).photo,
                worker.pipeline,
                worker.turns,
                lambda line: _write_all(args.answers, line),
                fallback=fallback,
            )
            worker.on_review, clicks = answerer.look_ahead, answerer.take
        on_stop_request(worker.stop, with_parent=args.parent, take=clicks)
        worker.run(options.backends.quality if args.preload else None)


def _write_all(file: int, line: bytes) -> None:
    """Write a line to the server, which may be gone."""
    try:
        while line:
            line = line[os.write(file, line) :]
    except OSError as exc:
        log.warning("an answer could not be sent: %s", exc)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scenelift.webapp.worker", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the server's data folder")
    parser.add_argument("--slot", type=int, default=0, help="number of this worker")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--options", default="{}", help="the server's, as a JSON object")
    parser.add_argument("--preload", action="store_true", help="load models before the first job")
    parser.add_argument("--lease-seconds", type=float, default=60)
    parser.add_argument("--stop-seconds", type=float, default=5)
    parser.add_argument("--max-attempts", type=int, default=3)
    parser.add_argument("--max-objects", type=int, default=20)
    parser.add_argument("--answers", type=int, help="file descriptor for answers to clicks")
    parser.add_argument("--parent", action="store_true", help="stop when standard input closes")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
