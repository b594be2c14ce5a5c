"""Boxes → masks of the embedded segmenter against exact and hand-drawn ones.

    python -m benchmarks.masks [--size small] [--quick] [--overlays FOLDER]

Boxes of synthetic objects are the true ones, each side moved at random by 3 % (standard
deviation); the other objects of the scene are rivals. Those of photos are the detectors' or, for
things that they do not know, drawn by hand.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage.draw import polygon2mask

from benchmarks.synthetic.scenes import SIZES, load_or_make
from scenelift.progress import silent
from scenelift.segment.embedded.masks import BoxMasker
from scenelift.types import Box

OUTLINES = Path(__file__).parents[1] / "tests" / "segment" / "outlines.json"
LEAST_SIDE = 40  # pixels of the longer side of a box: less is not expected to work
JITTER = 0.03


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One object to cut out.

    Attributes:
        source: "photo" or "synthetic".
        name: for the table.
        pixels: uint8 [H, W, 3].
        box: where it is.
        rivals: boxes of the other objects.
        truth: bool [H, W].
    """

    source: str
    name: str
    pixels: NDArray[np.uint8]
    box: Box
    rivals: tuple[Box, ...]
    truth: NDArray[np.bool_]


def photos() -> list[Case]:
    """Objects of scikit-image's photos, outlined by hand."""
    cases = []
    for drawn in json.loads(OUTLINES.read_text("utf-8")):
        pixels = getattr(skimage.data, drawn["photo"])()
        if pixels.ndim == 2:
            pixels = np.stack([pixels] * 3, -1)
        # Outlines are in continuous coordinates; polygon2mask has pixel centres at whole numbers.
        outline = np.array(drawn["outline"])[:, ::-1] - 0.5
        cases.append(
            Case(
                source="photo",
                name=drawn["name"],
                pixels=pixels,
                box=tuple(drawn["box"]),
                rivals=(),
                truth=polygon2mask(pixels.shape[:2], outline),
            )
        )
    return cases


def synthetic(size: Literal["small", "large"]) -> list[Case]:
    """Objects of rendered scenes."""
    rng = np.random.default_rng(0)
    cases = []
    for scene in load_or_make(size):
        boxes = [_jittered(thing.instance.box, rng) for thing in scene.objects]
        for index, thing in enumerate(scene.objects):
            x0, y0, x1, y1 = thing.instance.box
            if max(x1 - x0, y1 - y0) >= LEAST_SIDE:
                cases.append(
                    Case(
                        source="synthetic",
                        name=f"{scene.name} {thing.label}",
                        pixels=scene.image.pixels,
                        box=boxes[index],
                        rivals=(*boxes[:index], *boxes[index + 1 :]),
                        truth=thing.mask,
                    )
                )
    return cases


def _jittered(box: Box, rng: np.random.Generator) -> Box:
    x0, y0, x1, y1 = box
    dx0, dy0, dx1, dy1 = rng.normal(0, JITTER, 4) * [x1 - x0, y1 - y0, x1 - x0, y1 - y0]
    return float(x0 + dx0), float(y0 + dy0), float(x1 + dx1), float(y1 + dy1)


def overlay(case: Case, mask: NDArray[np.bool_]) -> Pillow.Image:
    """The mask in red over the photo."""
    red = case.pixels * 0.45 + np.array([140, 0, 44])
    return Pillow.fromarray(np.where(mask[..., None], red, case.pixels).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description="Mean IoU of the embedded segmenter's masks.")
    parser.add_argument("--size", choices=SIZES, default="small", help="of the synthetic set")
    parser.add_argument("--threads", type=int, default=0, help="0 is one a core")
    parser.add_argument("--quick", action="store_true", help="as clicks are answered")
    parser.add_argument("--overlays", type=Path, help="folder for a picture of every object")
    options = parser.parse_args()
    masker = BoxMasker.load(None, options.threads)
    scores: dict[str, list[float]] = {}
    cases = [*photos(), *synthetic(options.size)]
    seconds, processor = time.perf_counter(), time.process_time()
    for case in cases:
        photo_tokens = masker.photo_tokens(case.pixels) if options.quick else None
        [alpha] = masker.masks(
            case.pixels, [case.box], case.rivals, silent(), photo_tokens=photo_tokens
        )
        mask = alpha >= 0.5
        iou = float((mask & case.truth).sum() / (mask | case.truth).sum())
        scores.setdefault(case.source, []).append(iou)
        print(f"{case.source:10} {case.name:32} {iou:.3f}")
        if options.overlays:
            options.overlays.mkdir(parents=True, exist_ok=True)
            overlay(case, mask).save(options.overlays / f"{case.name}.png")
    for source, values in scores.items():
        print(
            f"{source}: mean IoU {np.mean(values):.3f}, median {np.median(values):.3f}, "
            f"{np.mean(np.array(values) >= 0.5):.0%} at 0.5 and more, {len(values)} objects"
        )
    seconds, processor = time.perf_counter() - seconds, time.process_time() - processor
    print(
        f"{seconds / len(cases):.2f} s an object, {processor / len(cases):.2f} s of processor time"
    )


if __name__ == "__main__":
    main()
