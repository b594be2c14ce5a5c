"""The process that owns the models: `python -m scenelift.batch.worker --out DIR --plan NAME`.

It takes one item after the other off the ledger until none is left. All executors end up here:
local processes and array tasks in `Worker.run`, Dask tasks in `Worker.take`.
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from scenelift.batch.attempt import CRASHED, Attempt, Crashed
from scenelift.batch.entry import Entry, is_settled
from scenelift.batch.folder import BatchFolder
from scenelift.batch.identity import WorkerIdentity
from scenelift.batch.items import BatchItem, read_plan
from scenelift.batch.journal import JournalReader
from scenelift.batch.ledger import Ledger
from scenelift.batch.settings import BatchSettings, load_pipeline, read_settings, with_device
from scenelift.errors import SceneliftError
from scenelift.io.files import write_json
from scenelift.pipeline import Pipeline
from scenelift.progress import CancelToken
from scenelift.worker_processes import join_or_exit, on_stop_request

__all__ = ["Worker", "main"]

log = logging.getLogger(__name__)

STOP_SECONDS = 20.0
LINGER_SECONDS = 1.0


class Worker:
    """Takes items until none is left, or until it is stopped.

    Args:
        folder: of the batch.
        settings: of the batch, as this worker is to use them.
        load: builds the pipeline; called before the first claim.
    """

    def __init__(
        self,
        folder: BatchFolder,
        settings: BatchSettings,
        load: Callable[[], Pipeline] | None = None,
    ) -> None:
        identity = WorkerIdentity.here()
        self._folder, self._settings = folder, settings
        self._load = load or (lambda: load_pipeline(settings, folder, identity.name))
        self._pipeline: Pipeline | None = None
        self._ledger = Ledger(
            folder, identity, lease=settings.lease_seconds, attempts=settings.attempts
        )
        self._stop = threading.Event()
        self._attempt: Attempt | None = None
        self._token = CancelToken()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Give the current item back at its next step, and make `run` return."""
        self._stop.set()
        self._token.cancel()

    def give_back(self) -> None:
        """Give the current item back at once, because this process must end now."""
        if self._attempt is not None:
            self._attempt.give_back("stopped")

    def run(self, items: Sequence[BatchItem], *, start: float = 0.0) -> None:
        """Work until every item is settled, or nothing can be taken for a lease.

        Args:
            start: where in the list to begin, in 0…1; workers that begin apart rarely meet.

        Raises:
            Crashed: this process must end; another one can go on.
            SceneliftError: nobody can go on, see `Attempt.run`.
        """
        first = int(start * len(items))
        journals = JournalReader(self._folder.journals)
        journals.refresh()
        queue = deque([*items[first:], *items[:first]])
        # How many in a row others are at, and when that last changed.
        busy_in_a_row, last_change = 0, time.monotonic()
        while queue and not self._stop.is_set():
            item = queue.popleft()
            entry = journals.entries.get(item.id)
            if is_settled(entry, item):
                continue
            if not (entry and entry.state == "claimed" and self._ledger.alive(entry)):
                entry = self.take(item, entry.number if entry else 0)
                if entry is None or entry.worker.get("name") != self._ledger.worker.name:
                    journals.refresh_sparingly()  # we are among others now
                if is_settled(entry, item):
                    busy_in_a_row, last_change = 0, time.monotonic()
                    continue
            queue.append(item)
            busy_in_a_row += 1
            if busy_in_a_row >= len(queue):
                # Others are at everything that is left. They may die: wait, but not for ever.
                if time.monotonic() - last_change > self._ledger.lease + LINGER_SECONDS:
                    break
                self._stop.wait(LINGER_SECONDS)
                count = len(journals.entries)
                journals.refresh()
                busy_in_a_row = 0
                if len(journals.entries) != count:
                    last_change = time.monotonic()

    def take(self, item: BatchItem, at_least: int = 0) -> Entry | None:
        """Try one item; return the entry that ended the attempt, or the one that prevents it.

        Raises:
            As `run`.
        """
        if self._pipeline is None:
            self._pipeline = self._load()
        self._token = CancelToken()
        if self._stop.is_set():
            return None
        claim = self._ledger.claim(item, at_least)
        if not self._ledger.is_mine(claim):
            if claim.state == "failed":
                # Nobody else cleans up after a worker that died in the last attempt.
                self._folder.discard_work(item.id, claim.number - 1)
            return claim
        self._attempt = Attempt(
            self._folder, self._ledger, self._settings, item, claim, self._token
        )
        if self._stop.is_set():
            self._token.cancel()
        try:
            return self._attempt.run(self._pipeline)
        finally:
            self._attempt = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code is 0, that of an error, or `CRASHED`."""
    args = _parse(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    folder = BatchFolder(args.out)
    settings = with_device(read_settings(folder)[0], args.device, args.threads)
    worker = Worker(folder, settings)
    code: list[int] = []

    def work() -> None:
        try:
            worker.run(list(read_plan(folder.plan(args.plan))), start=args.start)
            code.append(0)
        except Crashed:
            code.append(CRASHED)
        except SceneliftError as exc:
            log.error("%s", exc)
            if args.problem:
                write_json(args.problem, exc.problem())
            code.append(exc.exit_code)

    on_stop_request(worker.stop, with_parent=args.parent)
    thread = threading.Thread(target=work, daemon=True, name="work")
    thread.start()
    join_or_exit(
        thread,
        stopping=lambda: worker.stopping,
        seconds=STOP_SECONDS,
        give_back=worker.give_back,
    )
    return code[0] if code else CRASHED


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scenelift.batch.worker", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the batch's folder")
    parser.add_argument("--plan", required=True, help="name of the plan")
    parser.add_argument("--start", type=float, default=0.0, help="where to begin, in 0…1")
    parser.add_argument("--device", help="in place of the batch's")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--problem", type=Path, help="file for the error that stops everybody")
    parser.add_argument("--parent", action="store_true", help="stop when standard input closes")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
