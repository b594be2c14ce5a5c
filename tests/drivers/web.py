"""A web app whose models are fakes, as processes that can be killed.

    python -m tests.drivers.web --data DIR --port 8000      the server
    python -m tests.drivers.web_worker --data DIR           its worker (the server starts it)

The quality is called "fake". Phrases are colours, as of `ColorSegmenter`, and these, each of which
makes a kind of trouble: "hang" (a stage that never looks up), "crash" (kills its own process),
"memory" (MemoryError), "bug" (an unexpected exception), "slow" (objects take half a second each).
As long as the file exists that the variable `FAKE_HOLD` names, a process makes no more "slow"
objects than the number in it.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from scenelift.errors import BackendUnavailable
from scenelift.options import Options
from scenelift.pipeline import Pipeline
from scenelift.progress import Reporter
from scenelift.qualities import BackendNames, Choice
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorClicker,
    ColorSegmenter,
    PlanePointMapper,
)
from scenelift.types import (
    Image,
    Instance,
    ObjectView,
    Prompt,
    Reconstruction,
    Segmentation,
)

__all__ = [
    "FAKE",
    "HANGS",
    "HOLD",
    "WORKER",
    "FakeQualities",
    "fake_clicker",
    "fake_pipeline",
    "fake_settings",
]

FAKE = "fake"
HOLD = "FAKE_HOLD"
HANGS = "Nothing stops this stage now."
WORKER = "tests.drivers.web_worker"
SLOW_STEPS, SLOW_SECONDS = 10, 0.05


class FakeQualities:
    """Offers the fake quality and nothing else."""

    @property
    def names(self) -> list[str]:
        return [FAKE]

    def check(self, quality: str) -> None:
        if quality != FAKE:
            raise BackendUnavailable("quality", quality, reason="only a fake", choices=[FAKE])


class TroubledSegmenter(ColorSegmenter):
    """Finds colours and what is in boxes; some phrases make trouble."""

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        report.update(0)
        for phrase in prompt.phrases:
            match phrase:
                case "hang":
                    report.note(HANGS)  # nothing looks up from here on
                    time.sleep(3600)
                case "crash":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "memory":
                    raise MemoryError
                case "bug":
                    raise RuntimeError("a bug")
                case _:
                    pass
        found = super().segment(image, prompt, report)
        if "slow" in prompt.phrases:
            renamed = (replace(i, label="slow") for i in found.instances)
            found = replace(found, instances=tuple(renamed))
        drawn = tuple(_in_box(image, b.box, b.label) for b in prompt.boxes if b.positive)
        return replace(found, instances=(*found.instances, *drawn))


class SlowReconstructor(BallReconstructor):
    """Takes half a second for objects called "slow", or as long as it is held, and reports."""

    _slow = 0

    def reconstruct(self, view: ObjectView, *, seed: int, report: Reporter) -> Reconstruction:
        if view.instance.label == "slow":
            steps = 0
            while steps < SLOW_STEPS or self._slow >= _slow_allowed():
                steps += 1
                report.update(steps / (steps + SLOW_STEPS))  # rises however long it is held
                time.sleep(SLOW_SECONDS)
            self._slow += 1
        return super().reconstruct(view, seed=seed, report=report)


def fake_pipeline(options: Options | None = None) -> Pipeline:
    """The pipeline of the fake quality; "green" objects fail."""
    FakeQualities().check(options.backends.quality if options else FAKE)
    names = BackendNames(
        segmenter="fake-color", pointmapper="fake-plane", reconstructor="fake-ball"
    )
    return Pipeline(
        TroubledSegmenter(),
        PlanePointMapper(),
        SlowReconstructor(fail_on="green"),
        choice=Choice(quality=FAKE, names=names),
    )


def fake_clicker() -> ColorClicker:
    """What answers clicks while a job does not make way."""
    clicker = ColorClicker()
    clicker.name = "fake-spare"
    return clicker


def fake_settings(data: Path, **given: object):
    """Settings of a server for tests: fake quality, small limits on time, none on numbers."""
    from scenelift.webapp.settings import Settings

    values: dict[str, object] = {
        "data": data,
        "quality": FAKE,
        "uploads_per_minute": 1_000_000,
        "requests_per_minute": 1_000_000,
        "max_queued": 100_000,
        "jobs_per_token": 100_000,
        "min_free_bytes": 0,
        "shutdown_seconds": 3,
    }
    return Settings.model_validate(values | given)


def _slow_allowed() -> float:
    if HOLD not in os.environ:
        return math.inf
    try:
        return int(Path(os.environ[HOLD]).read_text())
    except FileNotFoundError:
        return math.inf


def _in_box(image: Image, box: tuple[float, float, float, float], label: str) -> Instance:
    mask = np.zeros((image.height, image.width), np.bool_)
    x0, y0, x1, y1 = (max(0, round(v)) for v in box)
    mask[y0:y1, x0:x1] = True
    return Instance(mask=mask, label=label or "object", score=1.0, box=Instance.box_of(mask))


def main() -> None:
    """Run the server until it is told to stop."""
    from scenelift.webapp.app import create_app
    from scenelift.webapp.serving import run_server

    parser = argparse.ArgumentParser(prog="python -m tests.drivers.web", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--lease-seconds", type=float, default=20)
    parser.add_argument("--max-attempts", type=int, default=3)
    args = parser.parse_args()
    settings = fake_settings(
        args.data,
        port=args.port,
        lease_seconds=args.lease_seconds,
        max_attempts=args.max_attempts,
    )
    app = create_app(settings, qualities=FakeQualities(), worker_module=WORKER)
    run_server(settings, app=app)


if __name__ == "__main__":
    main()
