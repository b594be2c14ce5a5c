"""`--on dask`: run each item as a Dask task, on workers that keep the models loaded.

Dask decides who runs what and replaces workers that die; the ledger decides what is done, and
counts attempts. So a poison item takes no neighbour with it: few items are with the scheduler at a
time, its own counting of deaths is set out of reach, and what it gives up all the same is handed
in again, alone.
"""

# Dask has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportUnknownLambdaType=false, reportMissingTypeArgument=false

from __future__ import annotations

import logging
import os
import shlex
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenelift.batch.attempt import CRASHED, Crashed
from scenelift.batch.folder import BatchFolder
from scenelift.batch.identity import WorkerIdentity
from scenelift.batch.items import BatchItem
from scenelift.batch.ledger import Ledger
from scenelift.batch.on_slurm import container_command
from scenelift.batch.progress import BatchProgress
from scenelift.batch.settings import BatchSettings
from scenelift.batch.slurm import SlurmOptions, check_path, seconds_of
from scenelift.batch.worker import Worker
from scenelift.errors import (
    BackendUnavailable,
    InputError,
    OutputError,
    SceneliftError,
    SetupError,
)

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["DaskWorkers", "take_item"]

log = logging.getLogger(__name__)

# With the scheduler at a time, for each worker: one running, one on its way.
TASKS_PER_WORKER = 2
# Going through all items to find those that wait takes a while where there are very many.
REFILL_SECONDS = 1.0
# Workers end in good order this long before SLURM would kill them, not all at once.
LIFETIME_MARGIN, LIFETIME_STAGGER = 300, 60
DEFAULT_TIME, DEFAULT_MEM = "08:00:00", "16G"
STOP_SECONDS = 30.0


class DaskWorkers:
    """Hands items to Dask, a few at a time.

    Args:
        settings: of the batch.
        scheduler: address of one that runs; "" with `slurm`.
        slurm: what to ask SLURM for, one job a worker.
        workers: at most; there are as many as there is work for.
    """

    def __init__(
        self,
        folder: BatchFolder,
        settings: BatchSettings,
        *,
        scheduler: str,
        slurm: SlurmOptions | None,
        workers: int,
    ) -> None:
        if bool(scheduler) == bool(slurm):
            raise InputError(
                "--on dask needs either --scheduler tcp://host:8786 or --slurm, which asks SLURM "
                "for workers."
            )
        self._folder, self._settings, self._workers = folder, settings, workers
        self._scheduler, self._slurm = scheduler, slurm
        self._client: Client | None = None
        self._cluster: Any = None
        self._resources: dict[str, float] | None = None
        self._in_flight: dict[Future, BatchItem] = {}
        self._alone: list[BatchItem] = []
        self._waiting: deque[BatchItem] = deque()
        self._last_look = -REFILL_SECONDS
        self._woken = threading.Event()
        self._ledger = Ledger(folder, WorkerIdentity.here())

    @property
    def name(self) -> str:
        if self._client is None:
            return "Dask"
        n = len(self._client.scheduler_info(n_workers=-1)["workers"])
        return f"{n} Dask worker{'' if n == 1 else 's'}"

    def tick(self, progress: BatchProgress) -> None:
        """Collect the tasks that ended and submit more.

        Raises:
            SetupError: workers cannot work, or there is no such scheduler.
            OutputError: they cannot write.
        """
        if self._client is None:
            self._connect()
        for future in [f for f in self._in_flight if f.done()]:
            self._collected(future, self._in_flight.pop(future))
        if self._alone and not self._in_flight:
            self._hand_in(self._alone.pop())
        if not self._alone:
            self._hand_in_more(progress)

    def wait(self, seconds: float) -> None:
        """Wait a while, or until a task ends, so that its place does not stay empty."""
        self._woken.wait(seconds)
        self._woken.clear()

    def stop(self) -> None:
        """Make the workers give back their items, and wait for them."""
        if self._client is None:
            return
        waiting = [f for f in self._in_flight if not f.done()]
        self._client.run(stop_worker, str(self._folder.root), on_error="ignore")
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and any(not f.done() for f in waiting):
            time.sleep(0.1)

    def kill(self) -> None:
        """Disconnect from the scheduler, and end the workers that we started."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    def _hand_in_more(self, progress: BatchProgress) -> None:
        room = TASKS_PER_WORKER * self._workers - len(self._in_flight)
        if room <= 0:
            return
        if not self._waiting and time.monotonic() - self._last_look >= REFILL_SECONDS:
            self._last_look = time.monotonic()
            self._waiting.extend(self._free_items(progress))
        while self._waiting and room > 0:
            self._hand_in(self._waiting.popleft())
            room -= 1

    def _free_items(self, progress: BatchProgress) -> Iterator[BatchItem]:
        """Yield items that no worker has; trying one that has just ended is harmless."""
        there = {item.id for item in self._in_flight.values()}
        for item in progress.open_items():
            entry = progress.entries.get(item.id)
            is_claimed = entry and entry.state == "claimed" and self._ledger.alive(entry)
            if item.id not in there and not is_claimed:
                yield item

    def _hand_in(self, item: BatchItem) -> None:
        assert self._client is not None
        future = self._client.submit(
            take_item,
            str(self._folder.root),
            self._settings.to_json(),
            item.to_json(),
            pure=False,
            resources=self._resources,
        )
        self._in_flight[future] = item
        future.add_done_callback(lambda _: self._woken.set())

    def _collected(self, future: Future, item: BatchItem) -> None:
        if future.status == "error":
            from distributed import KilledWorker

            error: Any = future.exception()
            if not isinstance(error, KilledWorker):
                raise SetupError(f"Dask could not run {item.id}: {error}") from error
            log.warning("Dask gave up %s after its workers died; trying it alone", item.id)
            self._alone.append(item)
        elif future.status == "finished" and (problem := future.result()):
            self.stop()
            bad_disk = problem["exit_code"] == OutputError.exit_code
            raise (OutputError if bad_disk else SetupError)(problem["detail"])

    def _connect(self) -> None:
        try:
            from dask import config
            from distributed import Client
        except ModuleNotFoundError as exc:
            raise BackendUnavailable(
                "executor",
                "dask",
                reason=f"{exc.name} is not installed: pip install 'scenelift[cluster]'",
                choices=("local", "slurm", "dask"),
            ) from exc
        # The ledger counts attempts; the scheduler must not give up before.
        config.set({"distributed.scheduler.allowed-failures": 2 * self._settings.attempts + 4})
        # Until one is known, tasks count as long ones: every item may have a worker of its own.
        config.set({"distributed.scheduler.unknown-task-duration": "60s"})
        if self._slurm is not None:
            self._cluster = _slurm_cluster(self._folder, self._slurm)
            self._cluster.adapt(minimum=0, maximum=self._workers, target_duration="200ms")
            self._client = Client(self._cluster)
            gpu = "gpu" in self._slurm.gres
        else:
            try:
                self._client = Client(self._scheduler, timeout=20)
            except (OSError, ValueError) as exc:
                raise SetupError(
                    f"No Dask scheduler answers at {self._scheduler}: {exc}. Start one with "
                    "`dask scheduler`, or use --slurm."
                ) from exc
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            gpu = any("GPU" in w["resources"] for w in workers)
            self._workers = max(self._workers, len(workers))
        self._resources = {"GPU": 1} if gpu else None
        self._client.register_plugin(_plugin(str(self._folder.root)))


def _slurm_cluster(folder: BatchFolder, options: SlurmOptions) -> Any:
    """Start a Dask cluster of SLURM jobs, one for each worker."""
    from dask_jobqueue.slurm import SLURMCluster

    directives = options.directives()
    # dask-jobqueue writes both into its script as they are.
    scratch = Path(os.environ.get("TMPDIR", "/tmp"))
    check_path(folder.logs, "the output folder")
    check_path(scratch, "TMPDIR")
    limit = directives.pop("time", DEFAULT_TIME)
    memory = directives.pop("mem", DEFAULT_MEM)
    queue, account = directives.pop("partition", None), directives.pop("account", None)
    cores = directives.pop("cpus-per-task", None)
    extra = ["--resources", "GPU=1"] if "gpu" in options.gres else []
    seconds = seconds_of(limit)
    if seconds > 2 * LIFETIME_MARGIN:
        extra += ["--lifetime", f"{seconds - LIFETIME_MARGIN}s"]
        extra += ["--lifetime-stagger", f"{LIFETIME_STAGGER}s"]
    return SLURMCluster(
        queue=queue,
        account=account,
        # One thread: a worker does one item at a time. Its models may use all cores of the job.
        cores=1,
        processes=1,
        job_cpu=int(cores) if cores else None,
        memory=f"{memory}iB" if memory[-1:] in "KMGT" else memory,
        job_mem=memory,
        walltime=limit,
        job_extra_directives=[
            *(f"--{name}={value}" for name, value in directives.items()),
            "--requeue",
            "--open-mode=append",
        ],
        python=shlex.join(container_command(options, binds=[folder.root])),
        worker_extra_args=extra,
        log_directory=str(folder.logs),
        local_directory=str(scratch),
        scheduler_options={"dashboard_address": None},
    )


# What follows runs inside Dask workers.


class _WorkerOfRoot:
    """Keeps one batch's worker and its models in this process, for one task at a time."""

    def __init__(self, root: str, settings: dict[str, Any]) -> None:
        self.lock = threading.Lock()
        self.worker = Worker(BatchFolder(Path(root)), BatchSettings.from_json(settings))


_workers: dict[str, _WorkerOfRoot] = {}
_held_lock = threading.Lock()


def take_item(root: str, settings: dict[str, Any], item: dict[str, Any]) -> dict[str, Any] | None:
    """Try one item of a batch; return the problem that stops the whole batch, or None.

    Args:
        root: the batch's folder.
        settings: as of `BatchSettings.to_json`.
        item: as of `BatchItem.to_json`.
    """
    with _held_lock:
        if root not in _workers:
            _workers[root] = _WorkerOfRoot(root, settings)
        worker = _workers[root]
    with worker.lock:
        try:
            worker.worker.take(BatchItem.from_json(item))
        except Crashed:
            # The nanny starts a fresh process; what happened is in the ledger.
            os._exit(CRASHED)
        except SceneliftError as exc:
            return exc.problem() | {"exit_code": exc.exit_code}
    return None


def stop_worker(root: str) -> None:
    """Give back the item that this process works on, and release its models."""
    with _held_lock:
        worker = _workers.pop(root, None)
    if worker is not None:
        worker.worker.stop()
        if not worker.lock.acquire(timeout=STOP_SECONDS):
            worker.worker.give_back()


def _plugin(root: str) -> Any:
    """Make a plugin that gives the item back when Dask closes a worker (end of job or lifetime)."""
    from distributed import WorkerPlugin

    class GiveBack(WorkerPlugin):
        name = f"scenelift {root}"

        def teardown(self, worker: Any) -> None:
            stop_worker(root)

    return GiveBack()
