"""Runs one attempt at one job: from its folder to its result, with reports to the queue."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from scenelift.errors import Cancelled, InputError, NothingFound, SceneliftError
from scenelift.io.files import prepare_output_folder
from scenelift.io.image import read_image
from scenelift.options import Options
from scenelift.output.instances import write_instances
from scenelift.pipeline import Pipeline, segment_photo
from scenelift.progress import CancelToken, Reporter
from scenelift.runs import RunSpec, run_job
from scenelift.stages import StageStore, Steps
from scenelift.types import Image, Prompt, Segmentation
from scenelift.webapp.estimate import Estimate, learned, stages_of
from scenelift.webapp.finding import ChosenSegmenter, ShowingSegmenter, choose
from scenelift.webapp.folders import JobFolder
from scenelift.webapp.jobs import JobRow, LeaseLost, Queue
from scenelift.webapp.listener import JobListener
from scenelift.webapp.models import DrawnMask, Selection
from scenelift.webapp.objects import of_manifest
from scenelift.webapp.records import write_record

__all__ = ["Attempt"]

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
DRAWN_MASKS = TypeAdapter(tuple[DrawnMask, ...])


class Attempt:
    """Runs a claimed job to its end, in a thread of its own.

    Args:
        queue: is told how it goes.
        job: as it was claimed.
        folder: the job's files.
        load: gives the pipeline of a quality.
        token: set to stop it.
        most_objects: that one job may have.
        defaults: what a job runs with that does not say otherwise.
        stopping: whether a stop means that the worker ends, and not that the user cancelled.
    """

    def __init__(
        self,
        queue: Queue,
        job: JobRow,
        folder: JobFolder,
        load: Callable[[str], Pipeline],
        *,
        token: CancelToken,
        most_objects: int,
        defaults: Options,
        stopping: Callable[[], bool],
    ) -> None:
        self._queue, self._job, self._folder, self._load = queue, job, folder, load
        self._most_objects, self._stopping = most_objects, stopping
        self._options = job.request.options(defaults)
        self._quality = self._options.backends.quality
        self._stages = stages_of(job.request, job.selection)
        estimate = Estimate(queue.typical_seconds(self._quality), self._stages)
        self._listener = JobListener(queue, job.claim, estimate, (job.width, job.height))
        self._report = Reporter(self._listener, token=token)

    def run(self) -> None:
        """Run the job, and end the claim in every case."""
        try:
            self._work()
        except LeaseLost:
            log.warning("job %s was taken away from this worker", self._job.id)
        except Cancelled:
            if self._stopping():
                self._insist(lambda: self._queue.release(self._job.claim, "The server stopped."))
            else:
                self._end("cancelled")
        except SceneliftError as exc:
            self._end("failed", error=_for_page(exc))
        except Exception as exc:
            log.exception("job %s failed", self._job.id)
            self._end("failed", error=_unexpected(exc))

    def _work(self) -> None:
        job, folder = self._job, self._folder
        pipeline = self._load(self._quality)
        self._report.check()
        if not job.request.review:
            segmenter = ShowingSegmenter(pipeline.segmenter, folder.search, self._on_segmentation)
            prompt = job.request.prompt.to_prompt()
            self._lift(pipeline.with_backends(segmenter=segmenter), prompt)
            return

        image, prompt = read_image(folder.photo), job.request.prompt.to_prompt()
        segmentation = Segmentation(instances=())  # where nothing was asked for, all is pointed at
        if prompt.phrases or prompt.boxes or prompt.points:
            store = StageStore(folder.stages)
            steps = Steps(self._report, store, pipeline.runtime, depends=(image, prompt))
            segmentation = segment_photo(pipeline.segmenter, image, prompt, steps)
            self._queue.learn(self._quality, learned(steps.timings, self._stages))
        if job.selection is None:
            prepare_output_folder(folder.search)
            write_instances(folder.search, image, segmentation)
            self._on_segmentation(segmentation)
            self._end("review")
            return
        with pipeline.runtime.active():
            shortlist = choose(
                segmentation,
                job.selection,
                pipeline.segmenter,
                image,
                self._report.at("segment"),
                masks=_drawn_masks(folder, job.selection),
                most=self._most_objects,
            )
        prepare_output_folder(folder.search)
        write_instances(folder.search, image, shortlist)
        self._on_segmentation(shortlist)
        segmenter = ChosenSegmenter(pipeline.segmenter, shortlist)
        # Names that were given in review are asked for, and no phrase of which nothing was kept.
        labels = dict.fromkeys(instance.label for instance in shortlist.instances)
        prompt = replace(prompt, phrases=tuple(labels))
        self._lift(pipeline.with_backends(segmenter=segmenter), prompt, image)

    def _on_segmentation(self, segmentation: Segmentation) -> None:
        self._listener.on_segmentation(segmentation)

    def _lift(self, pipeline: Pipeline, prompt: Prompt, image: Image | None = None) -> None:
        spec = RunSpec.of(self._folder.photo, prompt, self._folder.scene, self._options)
        manifest = run_job(spec, pipeline, self._report, image=image)
        self._queue.learn(self._quality, learned(manifest.timings, self._stages))
        self._end(
            "done",
            objects=of_manifest(manifest, (self._job.width, self._job.height)),
            notes=manifest.notes,
            files=[f.model_dump() for f in manifest.files],
        )

    def _end(self, state: Any, **facts: Any) -> None:
        facts.setdefault("notes", self._listener.notes)
        if not self._insist(lambda: self._queue.finish(self._job.claim, state, **facts)):
            return  # another worker has the job, and its folder
        if state in ("failed", "cancelled"):
            shutil.rmtree(self._folder.scene, ignore_errors=True)
        for job in self._queue.of_id(self._job.id):
            write_record(self._folder, job)

    def _insist(self, write: Callable[[], None]) -> bool:
        """Write a result that must not be lost, waiting for a full disk to be cleared.

        Returns:
            Whether it was: not where the job was taken away from this worker.
        """
        while True:
            try:
                write()
            except sqlite3.OperationalError as exc:
                log.error("job %s could not be ended, trying again: %s", self._job.id, exc)
                time.sleep(RETRY_SECONDS)
            except LeaseLost:
                log.warning("job %s was taken away from this worker", self._job.id)
                return False
            else:
                return True


def _drawn_masks(folder: JobFolder, selection: Selection) -> tuple[DrawnMask, ...]:
    """Return the masks of a choice.

    Raises:
        InputError: their file is gone or damaged.
    """
    if not selection.drawn:
        return ()
    try:
        return DRAWN_MASKS.validate_json(folder.drawn_masks(selection.drawn).read_bytes())
    except (OSError, ValidationError) as exc:
        raise InputError(
            "The masks that were drawn are no longer there. Upload the photo and draw them again."
        ) from exc


def _for_page(exc: SceneliftError) -> dict[str, Any]:
    """Adapt the problem's advice to users of the page, who have no terminal."""
    problem = exc.problem()
    if isinstance(exc, NothingFound):
        # The page offers what was seen in the photo as buttons.
        facts = str(NothingFound(exc.prompts, reason=exc.reason).facts)
        advice = (
            "Try another phrase, draw a box around the object, or take the phrases away and point "
            "at it."
        )
        problem["detail"] = f"{facts} {advice}"
    return problem


def _unexpected(exc: Exception) -> dict[str, Any]:
    return _problem(
        "unexpected",
        f"Something went wrong that should not ({type(exc).__name__}). The server's log has the "
        "details; trying again with another photo or phrase may help.",
    )


def _problem(slug: str, detail: str) -> dict[str, Any]:
    return {
        "type": f"urn:scenelift:problem:{slug}",
        "title": slug.replace("-", " "),
        "status": 500,
        "detail": detail,
    }
