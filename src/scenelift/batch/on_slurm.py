"""`--on slurm`: submit an array job whose tasks work on the same ledger."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scenelift.batch import slurm
from scenelift.batch.folder import BatchFolder
from scenelift.batch.progress import BatchProgress
from scenelift.batch.slurm import SlurmOptions
from scenelift.errors import InputError, SetupError

__all__ = ["SlurmArray", "array_script", "container_command", "task_share"]

log = logging.getLogger(__name__)

# The controller is asked this often: it serves the whole site.
ASK_SECONDS = 5.0
# Arrays that end without having finished a single item: something is wrong with the set-up.
FRUITLESS_ARRAYS = 2
STOP_SECONDS = 40.0


class SlurmArray:
    """Submits an array job, and another one if items are left when it ends.

    Args:
        workers: tasks of the array.
    """

    def __init__(self, folder: BatchFolder, options: SlurmOptions, *, workers: int) -> None:
        self._folder = folder
        self._script = array_script(folder, options, workers=workers)
        self._workers = workers
        self._job = ""
        self._last_query = 0.0
        self._left_at_start = 0
        self._fruitless = 0

    @property
    def name(self) -> str:
        return f"job {self._job}, {self._workers} tasks" if self._job else "SLURM"

    @property
    def job(self) -> str:
        """Number of the latest job, or "" before the first."""
        return self._job

    def tick(self, progress: BatchProgress) -> None:
        """Submit a job if none is waiting or running.

        Raises:
            SetupError: SLURM does not take jobs, or they end without having done anything.
        """
        now = time.monotonic()
        if now - self._last_query < ASK_SECONDS:
            return
        self._last_query = now
        if self._job and slurm.running_jobs(self._job):
            return
        progress.refresh()
        if not progress.remaining:
            return
        if self._job:
            self._fruitless = (
                self._fruitless + 1 if progress.remaining == self._left_at_start else 0
            )
            if self._fruitless >= FRUITLESS_ARRAYS:
                raise SetupError(
                    f"Job {self._job} ended and finished no item; {progress.remaining} are left. "
                    f"Its logs are in {self._folder.logs}."
                )
        self._left_at_start = progress.remaining
        self._job = slurm.submit(self._script)
        log.info("submitted job %s", self._job)

    def wait(self, seconds: float) -> None:
        """Wait a while."""
        time.sleep(seconds)

    def stop(self) -> None:
        """Cancel the job; its workers give their items back."""
        if not self._job:
            return
        if slurm.running_jobs(self._job):
            slurm.cancel(self._job)
        deadline = time.monotonic() + STOP_SECONDS
        while slurm.running_jobs(self._job) and time.monotonic() < deadline:
            time.sleep(1.0)

    def kill(self) -> None:
        """Do nothing: SLURM ends by itself what `stop` did not."""


def array_script(folder: BatchFolder, options: SlurmOptions, *, workers: int) -> str:
    """Write the job script of an array of workers for a batch that was begun.

    Raises:
        InputError: options that SLURM cannot take.
    """
    if workers < 1:
        raise InputError(f"--workers must be at least 1, got {workers}.")
    directives = {
        "array": f"0-{workers - 1}",
        # Of a name that SLURM fills in, only its own signs are meant.
        "output": f"{str(folder.logs).replace('%', '%%')}/slurm-%A_%a.log",
    }
    return slurm.render(
        slurm.script("batch"),
        directives | options.directives(),
        {"PYTHON": container_command(options, binds=[folder.root]), "OUT": str(folder.root)},
    )


def container_command(options: SlurmOptions, *, binds: Sequence[Path] = ()) -> list[str]:
    """Return the command that starts Python inside the image, or this installation's Python.

    Args:
        binds: folders that must be visible inside; home and working folder are anyway.

    Raises:
        InputError: a folder's path means something else there.
    """
    if not options.container:
        return [sys.executable]
    command = ["apptainer", "exec"]
    if "gpu" in options.gres:
        command.append("--nv")
    for folder in binds:
        if set(str(folder)) & set(":,"):
            raise InputError(
                f"{folder} cannot be bound into a container: its path has ':' or ','. Choose "
                "another folder, or a link without them."
            )
        command += ["--bind", str(folder)]
    return [*command, str(Path(options.container).absolute()), "python3"]


def task_share() -> tuple[float, float]:
    """Return where in the list this array task begins, and the length of its part, in 0…1.

    The whole list outside of an array.
    """
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT")
    try:
        task, first, count = (int(os.environ[name]) for name in names)
    except (KeyError, ValueError):
        return 0.0, 1.0
    return ((task - first) % count) / count, 1 / count
