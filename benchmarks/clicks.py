"""Clicks of the embedded default: how good a mask is after one, two, three and five of them.

    python -m benchmarks.clicks out/photos               the outlined photographs, half of them
    python -m benchmarks.clicks --scenes out/train       rendered scenes kept out of training
    … --with-box                                         corrections of what a true box gives

The first click is in the middle of the object, each further one in the middle of the largest part
that is missing or too much.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.outlined import photos
from scenelift.options import BackendOptions
from scenelift.segment.clicks import Clicks
from scenelift.segment.embedded import EmbeddedSegmenter
from scenelift.segment.embedded.clicks import EmbeddedClicker, EmbeddedFeatures
from scenelift.types import Box, Image, PointPrompt

COUNTS = (1, 2, 3, 5)
LEAST_SIDE = 40  # pixels of a rendered object's longer side
SCENES = 12


def next_click(truth: NDArray[np.bool_], mask: NDArray[np.bool_]) -> PointPrompt | None:
    """Choose the pixel in the middle of the largest error; None where there is no error."""
    missing, extra = (_depth(error) for error in (truth & ~mask, mask & ~truth))
    depth = missing if missing.max() >= extra.max() else extra
    if depth.max() == 0:
        return None
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return PointPrompt(point=(column + 0.5, row + 0.5), positive=depth is missing)


def _depth(region: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(ndimage.distance_transform_edt(np.pad(region, 1)))[1:-1, 1:-1]


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(a & b) / max(1, np.count_nonzero(a | b)))


def outlined(folder: Path, most: int) -> Iterator[tuple[str, Image, list[NDArray[np.bool_]]]]:
    for photo in photos(once=False)[:most]:
        truths = [mask for _, mask in photo.truths()]
        if truths:
            yield photo.file, Image(pixels=photo.pixels(folder)), truths


def rendered(folder: Path, most: int) -> Iterator[tuple[str, Image, list[NDArray[np.bool_]]]]:
    """Scenes of makers that no training saw, at most four objects each."""
    from scenelift.training.scenes.generate import Scenes

    count = 0
    for path in sorted(folder.glob("val-*.npz")):
        scenes = Scenes.load(path)
        for k in range(len(scenes.pixels)):
            of_scene = np.flatnonzero((scenes.scene == k) & (scenes.visible >= 0.25))
            sides = np.max(scenes.box[of_scene, 2:] - scenes.box[of_scene, :2], axis=1)
            numbers = scenes.number[of_scene[sides >= LEAST_SIDE]][:4]
            if len(numbers):
                yield (
                    f"{path.stem}:{k}",
                    Image(pixels=scenes.pixels[k]),
                    [scenes.numbers[k] == n for n in numbers],
                )
            count += 1
            if count == most:
                return


def box_of(mask: NDArray[np.bool_]) -> Box:
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)


def after_clicks(
    clicker: EmbeddedClicker,
    features: EmbeddedFeatures,
    truth: NDArray[np.bool_],
    *,
    with_box: bool,
) -> list[float]:
    """Give clicks one after the other; return the IoU after each."""
    box = box_of(truth) if with_box else None
    mask = np.zeros_like(truth)
    if box is not None:
        mask = clicker.cut(features, Clicks(box=box)) >= 0.5
    points: list[PointPrompt] = []
    ious = []
    for _ in range(max(COUNTS)):
        click = next_click(truth, mask)
        if click is not None:
            points.append(click)
            mask = clicker.cut(features, Clicks(points=tuple(points), box=box)) >= 0.5
        ious.append(iou(mask, truth))
    return ious


def main() -> None:
    parser = argparse.ArgumentParser(description="Masks after clicks.")
    parser.add_argument("photos", nargs="?", type=Path, help="outlined photographs")
    parser.add_argument("--scenes", type=Path, help="folder of rendered scenes")
    parser.add_argument("--count", type=int, default=SCENES, help="photographs or scenes")
    parser.add_argument("--with-box", action="store_true", help="the object's box besides")
    options = parser.parse_args()
    if (options.photos is None) == (options.scenes is None):
        parser.error("give a folder of photographs, or --scenes FOLDER")

    segmenter = EmbeddedSegmenter.load(BackendOptions())
    clicker = segmenter.clicker
    assert clicker is not None
    cases = (
        outlined(options.photos, options.count)
        if options.photos
        else rendered(options.scenes, options.count)
    )
    after: list[list[float]] = []
    seconds = 0.0
    for photo, image, truths in cases:
        features = clicker.look(image)
        for truth in truths:
            start = time.process_time()
            ious = after_clicks(clicker, features, truth, with_box=options.with_box)
            seconds += time.process_time() - start
            after.append([ious[k - 1] for k in COUNTS])
            row = "  ".join(f"{k}: {v:.3f}" for k, v in zip(COUNTS, after[-1], strict=True))
            print(f"{photo[:34]:34} {row}", flush=True)
    for k, column in zip(COUNTS, np.array(after).T, strict=True):
        least = ", ".join(f"{np.count_nonzero(column >= t)} at {t}" for t in (0.5, 0.85))
        print(f"{k} clicks: mean IoU {column.mean():.3f}, of {len(column)}: {least}")
    print(f"{seconds / (max(COUNTS) * len(after)):.2f} s of processor time a click")


if __name__ == "__main__":
    main()
