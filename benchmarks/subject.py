"""What "the main subject" finds on photographs whose objects are outlined.

    python -m benchmarks.subject out/photos              the outlined photographs, half of them
    python -m benchmarks.subject --masks FOLDER          photographs of one thing, with masks

A photograph's figure is the best IoU of an instance with one outlined object, with the largest one,
and of all instances together with all objects together.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from benchmarks.clicks import iou, outlined
from scenelift.options import BackendOptions
from scenelift.progress import silent
from scenelift.segment.embedded import EmbeddedSegmenter
from scenelift.types import Image, Prompt

NAMES = ("with one", "with the largest", "all with all")


def masked(folder: Path, step: int) -> Iterator[tuple[str, Image, list[NDArray[np.bool_]]]]:
    """Photographs with a mask beside them: `mask_NAME.png`."""
    for path in sorted(folder.glob("mask_*.png"))[::step]:
        pixels = np.asarray(
            PIL.Image.open(path.with_name(f"{path.stem.removeprefix('mask_')}.jpg")).convert("RGB")
        )
        size = (pixels.shape[1], pixels.shape[0])
        mask = np.asarray(PIL.Image.open(path).convert("L").resize(size)) >= 128
        yield path.stem, Image(pixels=pixels), [mask]


def main() -> None:
    parser = argparse.ArgumentParser(description="The main subject of photographs.")
    parser.add_argument("photos", nargs="?", type=Path, help="outlined photographs")
    parser.add_argument("--masks", type=Path, help="folder of photographs with masks")
    parser.add_argument("--step", type=int, default=1, help="every so many of those with masks")
    options = parser.parse_args()
    if (options.photos is None) == (options.masks is None):
        parser.error("give a folder of outlined photographs, or --masks FOLDER")
    cases = outlined(options.photos, 99) if options.photos else masked(options.masks, options.step)
    segmenter = EmbeddedSegmenter.load(BackendOptions())
    prompt = Prompt(phrases=("the main subject",))
    rows = []
    for name, image, truths in cases:
        masks = [i.mask for i in segmenter.segment(image, prompt, silent()).instances]
        nothing = np.zeros_like(truths[0])
        largest = max(truths, key=np.count_nonzero)
        rows.append(
            (
                max((iou(mask, truth) for mask in masks for truth in truths), default=0.0),
                max((iou(mask, largest) for mask in masks), default=0.0),
                iou(np.any([nothing, *masks], 0), np.any(truths, 0)),
            )
        )
        print(f"{name[:34]:34} {len(masks)}", *(f"{v:.3f}" for v in rows[-1]), flush=True)
    for name, column in zip(NAMES, np.array(rows).T, strict=True):
        count = np.count_nonzero(column >= 0.5)
        print(f"{name}: {count} of {len(column)} at .5, mean {column.mean():.3f}")


if __name__ == "__main__":
    main()
