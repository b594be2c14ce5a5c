"""A pipeline of 50 ms that finds nothing: what else an item takes is the batch's own cost."""

from __future__ import annotations

import time

from scenelift.pipeline import Pipeline
from scenelift.progress import Reporter
from scenelift.testing.fakes import BallReconstructor, PlanePointMapper
from scenelift.types import Image, Prompt, Segmentation

__all__ = ["NAP_SECONDS", "nap_pipeline"]

NAP_SECONDS = 0.05


class NappingSegmenter:
    """Sleeps, and finds nothing."""

    name = "fake-nap"
    version = "1"

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        report.update(0)
        time.sleep(NAP_SECONDS)
        return Segmentation(instances=())


def nap_pipeline() -> Pipeline:
    """For `scenelift batch --pipeline tests.drivers.naps:nap_pipeline`."""
    return Pipeline(NappingSegmenter(), PlanePointMapper(), BallReconstructor())
