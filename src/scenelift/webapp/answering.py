"""Answers clicks in the worker: read from the server's line, between a job's steps.

The server writes one JSON object a line: {"id", "job", "quality", "click"}. The answer, a line too,
is {"id", "answer"} or {"id", "problem"}.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from scenelift.errors import SceneliftError
from scenelift.geometry.photo_size import own_box, photo_size, working_box, working_point
from scenelift.io.image import read_image
from scenelift.pipeline import Pipeline
from scenelift.segment.clicks import Clicker, Clicks, FeatureCache, clicker_of
from scenelift.stages import digest
from scenelift.types import Image, Instance
from scenelift.webapp.mask_runs import Runs, mask_of_runs, runs_of_mask
from scenelift.webapp.models import Click
from scenelift.webapp.turns import Turns

__all__ = ["Answerer", "embedded_clicker"]

log = logging.getLogger(__name__)

BUSY_SECONDS = 2.0
REPLY_SIDE = 1024
CACHED_PHOTOS = 2


class Answerer:
    """Answers clicks one by one, in a thread of its own.

    Args:
        photo_of: job -> its photo.
        load: the pipeline of a quality.
        turns: shared with the jobs of this process.
        send: takes an answer to the server; one line.
        fallback: models on the CPU that answer while a job does not make way; None where they are
            not installed.
    """

    def __init__(
        self,
        photo_of: Callable[[str], Path],
        load: Callable[[str], Pipeline],
        turns: Turns,
        send: Callable[[bytes], None],
        *,
        fallback: Callable[[], Clicker | None],
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self._photo_of, self._load, self._turns = photo_of, load, turns
        self._send, self._make_fallback, self._busy = send, fallback, busy_seconds
        self._fallback: Clicker | None = None
        self._features = FeatureCache()
        self._photos: OrderedDict[str, tuple[Image, str]] = OrderedDict()
        self._requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True, name="clicks").start()

    def take(self, line: bytes) -> None:
        """Take one request, a line from the server."""
        try:
            self._requests.put(json.loads(line))
        except ValueError:
            log.error("the server wrote what is no JSON: %r", line[:80])

    def look_ahead(self, job: str, quality: str) -> None:
        """Look at the photo of a job in review before the first click on it comes."""
        self._requests.put({"job": job, "quality": quality, "ahead": True})

    def _run(self) -> None:
        while True:
            request = self._requests.get()
            if "ahead" in request:
                self._look_ahead(request)
                continue
            try:
                reply = {"answer": self._answer(request)}
            except SceneliftError as exc:
                reply = {"problem": exc.problem()}
            except Exception as exc:
                log.exception("a click could not be answered")
                reply = {"problem": {"detail": f"The click failed ({type(exc).__name__})."}}
            self._send(json.dumps({"id": request["id"], **reply}).encode() + b"\n")

    def _look_ahead(self, request: dict[str, Any]) -> None:
        """Compute features where no job computes; else the first click does it."""
        try:
            image, key = self._photo(request["job"])
            with self._turns.answering(0) as free:
                if free:
                    clicker = self._own(request)
                    self._features.look(clicker, image, key)
                    clicker.release()
        except SceneliftError as exc:
            log.info("clicks on job %s will say: %s", request["job"], exc)
        except Exception:
            log.exception("the photo of job %s could not be looked at", request["job"])

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        began = time.monotonic()
        image, key = self._photo(request["job"])
        clicks = _on(image, Click.model_validate(request["click"]))

        def answer(clicker: Clicker, *, busy: bool) -> dict[str, Any]:
            waiting_seconds = time.monotonic() - began
            alpha = self._cut(clicker, image, key, clicks)
            return _reply(image, alpha, clicker, began, waiting_seconds, busy=busy)

        with self._turns.answering(self._busy) as free:
            if free:
                return answer(self._own(request), busy=False)
        spare = self._spare()
        if spare is not None:
            return answer(spare, busy=True)
        with self._turns.answering(None):
            return answer(self._own(request), busy=False)

    def _own(self, request: dict[str, Any]) -> Clicker:
        """Return the clicker of the job's quality."""
        return clicker_of(self._load(request["quality"]).segmenter)

    def _cut(self, clicker: Clicker, image: Image, key: str, clicks: Clicks) -> NDArray[np.float32]:
        alpha = clicker.cut(self._features.look(clicker, image, key), clicks)
        clicker.release()
        return alpha

    def _spare(self) -> Clicker | None:
        if self._fallback is None:
            self._fallback = self._make_fallback()
        return self._fallback

    def _photo(self, job: str) -> tuple[Image, str]:
        """Return the photo of a job and its digest."""
        if job not in self._photos:
            image = read_image(self._photo_of(job))
            self._photos[job] = image, digest(image.pixels)
            while len(self._photos) > CACHED_PHOTOS:
                self._photos.popitem(last=False)
        self._photos.move_to_end(job)
        return self._photos[job]


def embedded_clicker() -> Clicker | None:
    """Load the embedded models, where they are installed."""
    from scenelift.errors import SetupError
    from scenelift.options import BackendOptions
    from scenelift.segment.embedded import EmbeddedSegmenter

    try:
        return EmbeddedSegmenter.load(BackendOptions(device="cpu")).clicker
    except SetupError as exc:
        log.warning("clicks wait for jobs: %s", exc)
        return None


def _on(image: Image, click: Click) -> Clicks:
    """Convert a click to working pixels."""
    points = tuple(p.to_prompt() for p in click.points)
    mask = None
    if click.mask is not None:
        mask = mask_of_runs(click.mask, image.width, image.height) >= 0.5
    return Clicks(
        points=tuple(replace(p, point=working_point(image, p.point)) for p in points),
        box=working_box(image, click.box) if click.box is not None else None,
        mask=mask,
    )


def _reply(
    image: Image,
    alpha: NDArray[np.float32],
    clicker: Clicker,
    began: float,
    waiting_seconds: float,
    *,
    busy: bool,
) -> dict[str, Any]:
    mask = np.asarray(alpha >= 0.5)
    box = None
    if mask.any():
        size = (image.width, image.height)
        box = [round(v, 1) for v in own_box(size, photo_size(image), Instance.box_of(mask))]
    return {
        "mask": _mask_runs(alpha).model_dump(mode="json"),
        "box": box,
        "by": clicker.name,
        "busy": busy,
        "waited": round(waiting_seconds, 3),
        "seconds": round(time.monotonic() - began, 3),
    }


def _mask_runs(alpha: NDArray[np.float32]) -> Runs:
    """Encode a soft mask at the size of a screen as runs."""
    height, width = alpha.shape
    shrink = min(1.0, REPLY_SIDE / max(height, width))
    picture = Pillow.fromarray((alpha * 255).astype(np.uint8))
    if shrink < 1:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        picture = picture.resize(size, Pillow.Resampling.BOX)
    return runs_of_mask(np.asarray(picture) >= 128)
