"""Use several GPUs for one scene: each has a process that keeps its own reconstructor.

The processes share one photo's objects: whoever is free takes the next. What comes out is what one
process would have made, in the order of the objects; the stages' results are kept in the same
places, so a run may be resumed with another number of GPUs. Finished objects, some fifty megabytes
each, cross over in files of a temporary folder: pipes are slow, and shared memory is scarce in
containers.
"""

from __future__ import annotations

import logging
import multiprocessing
import pickle
import queue
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenelift.device import split_devices
from scenelift.errors import Cancelled, SceneliftError, SetupError
from scenelift.io.files import explain_failure
from scenelift.lifting import Lifting, PhotoObjects
from scenelift.options import BackendOptions
from scenelift.progress import CancelToken, Reporter
from scenelift.reconstruct import RECONSTRUCTORS, Reconstructor
from scenelift.runtime import Runtime
from scenelift.stages import StageStore, Steps
from scenelift.types import FailedObject, Reconstruction, StageTiming

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event as ProcessEvent

__all__ = ["Crew", "crew_of"]

log = logging.getLogger(__name__)

POLL = 0.1  # seconds between two looks whether the run was stopped, or a process has died
LEAVE = 5.0  # seconds for a process to end by itself

Outcome = Reconstruction | FailedObject


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _ObjectFile:
    """Message: an object is done, with its number and the file of its result."""

    index: int
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Idle:
    """Message: a process has no more objects of the photo, or stopped because of an error."""

    member: int
    timings: tuple[StageTiming, ...]
    error: Exception | None


class Crew:
    """Processes that lift objects. They start at once, and load while other stages run.

    Args:
        make: builds the reconstructor that computes on a device; called in each process, so it
            must be something that can be pickled.
        devices: one for each process, "cuda:0" and so on.
    """

    def __init__(self, make: Callable[[str], Reconstructor], devices: Sequence[str]) -> None:
        self.devices = tuple(devices)
        self._make = make
        self._processes: list[Any] = []
        self._start()

    def lift(
        self,
        photo: PhotoObjects,
        stages: Steps,
        report: Reporter,
        on_object: Callable[[int, Outcome], object] = lambda index, outcome: None,
    ) -> list[Reconstruction | FailedObject]:
        """Lift all objects of a photo; arguments and errors as for `Lifting.run`.

        Args:
            photo: whose objects.
            stages: whose store is used, and whose timings are added to.
            report: hears what all processes report.
            on_object: called with every object as soon as it is done or has failed.

        Raises:
            SetupError: a process has died, most often because the machine's memory ran out.
        """
        if not self._processes or not all(process.is_alive() for process in self._processes):
            self.close()
            self._start()
        self._stop.clear()
        for index in range(len(photo.instances)):
            self._indices.put(index)
        for photos in self._photos:
            self._indices.put(None)  # one end for each process
            photos.put((photo, stages.folder, Path(self._folder.name)))
        outcomes: dict[int, Outcome] = {}
        try:
            idle = self._collect(report, outcomes, on_object)
        except BaseException:
            self.close()  # nobody knows what its processes are at
            raise
        for one in idle:
            stages.add(one.timings)
            if one.error is not None:
                raise one.error
        return [outcomes[index] for index in range(len(photo.instances))]

    def close(self) -> None:
        """End the processes; they start again when they are needed."""
        if not self._processes:
            return
        self._stop.set()
        for photos in self._photos:
            photos.put(None)
        for process in self._processes:
            process.join(LEAVE)
            if process.is_alive():
                process.terminate()
        self._processes = []
        self._folder.cleanup()

    def __del__(self) -> None:
        self.close()

    def _start(self) -> None:
        # Not forked: CUDA does not survive it.
        context = multiprocessing.get_context("spawn")
        self._folder = tempfile.TemporaryDirectory(prefix="scenelift-", ignore_cleanup_errors=True)
        self._answers, self._indices = context.Queue(), context.Queue()
        self._stop: ProcessEvent = context.Event()
        self._photos = [context.Queue() for _ in self.devices]
        for queued in (self._indices, *self._photos):
            queued.cancel_join_thread()  # what a process that died has not read holds nobody up
        self._processes = [
            context.Process(
                target=_work,
                args=(k, device, self._make, photos, self._indices, self._answers, self._stop),
                name=f"scenelift on {device}",
                daemon=True,
            )
            for k, (device, photos) in enumerate(zip(self.devices, self._photos, strict=True))
        ]
        for process in self._processes:
            process.start()

    def _collect(
        self,
        report: Reporter,
        outcomes: dict[int, Outcome],
        on_object: Callable[[int, Outcome], object],
    ) -> list[_Idle]:
        """Collect the objects' results until all processes are idle again.

        Meanwhile passes on what they report. A run that is stopped stops them too.
        """
        idle: list[_Idle] = []
        stopped: Cancelled | None = None
        while len(idle) < len(self._processes):
            try:
                answer = self._answers.get(timeout=POLL)
            except queue.Empty:
                self._check_alive({one.member for one in idle})
                answer = None
            try:
                report.check()
            except Cancelled as exc:
                stopped = exc
                self._stop.set()
            if isinstance(answer, _ObjectFile):
                with answer.file.open("rb") as stream:
                    outcomes[answer.index] = pickle.load(stream)  # noqa: S301 - our own
                answer.file.unlink()
                on_object(answer.index, outcomes[answer.index])
            elif isinstance(answer, _Idle):
                idle.append(answer)
                if answer.error is not None:
                    self._stop.set()
            elif answer is not None:
                report.at(answer.stage, answer.object_index).send(
                    answer.kind, answer.message, answer.fraction
                )
        if stopped is not None:
            raise stopped
        return idle

    def _check_alive(self, idle: set[int]) -> None:
        for member, process in enumerate(self._processes):
            if member not in idle and not process.is_alive():
                raise SetupError(
                    f"The process on {self.devices[member]} has ended with code "
                    f"{process.exitcode}, most often because the machine's memory is full. Start "
                    f"again with fewer devices."
                )


def crew_of(reconstructor: str, options: BackendOptions) -> Crew | None:
    """Start the processes that the devices ask for; None if one device does all the work.

    Args:
        reconstructor: the name of a registered one, loaded in each of them.
        options: what it is told; its device is one of theirs.

    Raises:
        InputError, SetupError: such devices cannot share a scene, or are not there.
    """
    devices = split_devices(options.device)
    if len(devices) == 1 or not RECONSTRUCTORS.entry(reconstructor).shares_objects:
        return None
    return Crew(partial(_load, reconstructor, options), devices)


def _load(reconstructor: str, options: BackendOptions, device: str) -> Reconstructor:
    return RECONSTRUCTORS.load(reconstructor, replace(options, device=device))


class _SharedToken(CancelToken):
    """A stop signal that the leading process sets."""

    def __init__(self, stop: ProcessEvent) -> None:
        super().__init__()
        self._stop = stop

    @property
    def cancelled(self) -> bool:
        return self._stop.is_set()


def _work(
    member: int,
    device: str,
    make: Callable[[str], Reconstructor],
    photos: Any,
    indices: Any,
    answers: Any,
    stop: ProcessEvent,
) -> None:
    """Lift objects in this process until the leading process ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that leads tells it to stop
    reconstructor: Reconstructor | None = None
    failed = None
    try:
        _choose(device)
        reconstructor = make(device)
    except Exception as exc:
        log.exception("no reconstructor on %s", device)
        failed = _portable(exc)  # told with the first photo
    token = _SharedToken(stop)
    while (task := photos.get()) is not None:
        photo, results, crossing = task
        stages = Steps(
            Reporter(answers.put, token=token),
            None if results is None else StageStore(results),
            Runtime(device=device),
        )

        def on_object(index: int, outcome: Outcome, crossing: Path = crossing) -> None:
            file = crossing / f"{index}.pickle"
            try:
                with file.open("wb") as stream:
                    pickle.dump(outcome, stream, protocol=5)
            except OSError as exc:
                raise explain_failure(file, exc) from exc
            answers.put(_ObjectFile(index=index, file=file))

        mine, error = _Indices(indices), failed
        if reconstructor is not None:
            lifting = Lifting(
                photo=photo,
                reconstructor=reconstructor,
                stages=stages,
                device=device,
                on_object=on_object,
            )
            try:
                lifting.run(mine)
            except Cancelled as exc:
                error = exc
            except Exception as exc:
                log.exception("lifting objects on %s failed", device)
                error = _portable(exc)
        mine.drain()
        answers.put(_Idle(member=member, timings=stages.timings, error=error))


class _Indices:
    """The numbers of objects for this process, up to the marker that ends them."""

    def __init__(self, queue: Any) -> None:
        self._queue, self._is_over = queue, False

    def __iter__(self) -> Iterator[int]:
        while not self._is_over:
            index = self._queue.get()
            if index is None:
                self._is_over = True
            else:
                yield index

    def drain(self) -> None:
        """Discard numbers that a failed run has left, so that the next photo starts clean."""
        for _ in self:
            pass


def _portable(error: Exception) -> Exception:
    """Return an error that can be sent to another process: ours may take other arguments."""
    if type(error).__init__ is SceneliftError.__init__:
        return type(error)(str(error))
    return SetupError(f"{type(error).__name__}: {error}")


def _choose(device: str) -> None:
    """Make a device the current one of this process, so that it uses no other."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.set_device(torch.device(device))
