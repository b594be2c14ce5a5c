"""What the light quality costs: a photo of two boxes to all files, stage by stage, on a CPU.

    make bench-light

Networks have the published sizes and random weights; the detector and the mask model run in full
and their answers are replaced by the two boxes that the photo shows, so that the stages after them
have what they would have. The second photo is counted: models loaded, kernels compiled. CPU seconds
count whatever else the machine does; wall time is theirs divided by the cores, if nobody else is
there.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scenelift.options import BackendOptions
from scenelift.output.scene import write_scene
from scenelift.pipeline import Pipeline
from scenelift.progress import Event, Reporter
from scenelift.segment import Segmenter
from scenelift.testing.moge2_sizes import PUBLISHED, plant_metric_plane, shapes_of, write_moge2
from scenelift.types import BoxPrompt, Image, Instance, Prompt, Segmentation

BOXES = ((90, 190, 250, 380), (360, 240, 560, 420))  # x0, y0, x1, y1 in a photo of 640 × 480


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", type=Path, help="where the made-up weights go; kept")
    parser.add_argument("--photos", type=int, default=2, help="the last one is counted")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        weights = options.weights or Path(scratch) / "weights"
        if not (weights / "light").is_dir():
            write_weights(weights)
        pipeline = Pipeline.from_quality("light", BackendOptions(weights=weights, device="cpu"))
        pipeline = Pipeline(
            Planted(pipeline.segmenter), pipeline.pointmapper, pipeline.reconstructor
        )
        for k in range(options.photos):
            print(f"photo {k + 1}", flush=True)
            run(pipeline, Path(scratch) / f"out{k}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / (2**20 if sys.platform == 'darwin' else 2**10):.0f} MiB")
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} (1 would be this benchmark alone on one core)")


def run(pipeline: Pipeline, out: Path) -> None:
    """One photo to all files; prints each stage."""
    clock = Clock()
    scene = pipeline.run(photo(), Prompt(phrases=("box",), min_score=0.99), report=Reporter(clock))
    clock.lap("objects")
    write_scene(scene, out)
    clock.lap("write and preview")
    for stage, (cpu, wall) in clock.spent.items():
        print(f"  {stage:18} {cpu:7.1f} CPU s {wall:7.1f} s")
    cpu, wall = (sum(values) for values in zip(*clock.spent.values(), strict=True))
    print(f"  {'all':18} {cpu:7.1f} CPU s {wall:7.1f} s")
    splats = sum(len(o.shape.gaussians or ()) for o in scene.objects)
    print(f"  {len(scene.objects)} objects, {splats} splats, in {scene.units}", flush=True)


def photo() -> Image:
    """Two boxes in plain colours on a floor."""
    rng = np.random.default_rng(0)
    rows = np.linspace(70, 190, 480)[:, None, None]
    pixels = np.clip(rows + rng.normal(0, 6, (480, 640, 3)), 0, 255).astype(np.uint8)
    for (x0, y0, x1, y1), colour in zip(BOXES, ((190, 60, 40), (50, 90, 170)), strict=True):
        pixels[y0:y1, x0:x1] = colour
        pixels[y0 : y0 + 40, x0:x1] = np.array(colour) * 5 // 4 % 256
    return Image(pixels=pixels)


class Planted:
    """The light segmenter, with the boxes in place of its answer."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.inner = segmenter
        self.name, self.version = segmenter.name, segmenter.version

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        self.inner.segment(image, with_boxes(prompt), report)
        return Segmentation(instances=tuple(planted(image)))


def with_boxes(prompt: Prompt) -> Prompt:
    """The prompt with both boxes, so that the mask model cuts them."""
    boxes = tuple(BoxPrompt(box=box, label="box") for box in BOXES)
    return dataclasses.replace(prompt, boxes=boxes)


def planted(image: Image) -> Iterator[Instance]:
    for x0, y0, x1, y1 in BOXES:
        mask = np.zeros((image.height, image.width), bool)
        mask[y0:y1, x0:x1] = True
        yield Instance(mask=mask, label="box", score=0.9, box=Instance.box_of(mask))


class Clock:
    """Seconds since the last lap: those of segment and pointmap end with their events.

    The objects' stages overlap each other, so they are one lap.
    """

    def __init__(self) -> None:
        self.spent: dict[str, tuple[float, float]] = {}
        self._since = cpu_seconds(), time.perf_counter()

    def __call__(self, event: Event) -> None:
        if event.kind == "stage_finished" and event.stage in ("segment", "pointmap"):
            self.lap(event.stage)

    def lap(self, name: str) -> None:
        now = cpu_seconds(), time.perf_counter()
        self.spent[name] = now[0] - self._since[0], now[1] - self._since[1]
        self._since = now


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def write_weights(folder: Path) -> None:
    """Random weights of the published sizes, as `scenelift models download light` leaves them."""
    from scenelift.testing.fake_weights import draw_weights
    from scenelift.testing.published_segmenters import write_grounding_dino_tiny, write_sam2_tiny

    light = folder / "light"
    write_grounding_dino_tiny(light / "grounding-dino-tiny")
    write_sam2_tiny(light / "sam2.1-tiny")
    config = PUBLISHED["moge-2-vits-normal"]
    tensors = draw_weights(shapes_of(config), seed=0)
    plant_metric_plane(tensors)
    write_moge2(light / "moge-2-vits-normal" / "model.pt", config, tensors)


if __name__ == "__main__":
    main()
