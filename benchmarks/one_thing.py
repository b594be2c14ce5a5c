"""Prompts on photographs of one thing on a plain ground: 20 forks, 20 pairs of scissors.

    python -m benchmarks.one_thing DATA

DATA is the folder that `scenelift train pictures` reads: photos.jsonl, pictures and masks. Each is
asked for by its own word and by another that is not there. No detector learned from these
photographs; the mask head saw some of them behind rendered things.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from benchmarks.outlined import FOUND, best_ious
from scenelift.options import BackendOptions
from scenelift.progress import silent
from scenelift.segment import SEGMENTERS
from scenelift.types import Image, Prompt

ABSENT = {"fork": "scissors", "scissors": "fork"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Photographs of one thing on a plain ground.")
    parser.add_argument("data", type=Path, help="folder of photos.jsonl")
    parser.add_argument("--segmenter", default="embedded")
    options = parser.parse_args()
    segmenter = SEGMENTERS.load(options.segmenter, BackendOptions())
    ious: dict[str, list[float]] = {word: [] for word in ABSENT}
    wrong, absent = 0, 0
    for line in (options.data / "photos.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        word = row.get("category")
        if word not in ABSENT or "mask" not in row:
            continue
        picture = Pillow.open(options.data / row["file"]).convert("RGB")
        truth = np.asarray(Pillow.open(options.data / row["mask"]).convert("L")) > 127
        image = Image(pixels=np.asarray(picture))
        found = segmenter.segment(image, Prompt(phrases=(word,)), silent()).instances
        [iou] = best_ious([(word, truth)], found)
        ious[word].append(iou)
        wrong += len(found) - (iou >= FOUND)
        absent += bool(
            segmenter.segment(image, Prompt(phrases=(ABSENT[word],)), silent()).instances
        )
        print(f"{row['file']:32} {iou:.3f}", flush=True)
    for word, of_word in ious.items():
        recall = np.count_nonzero(np.array(of_word) >= FOUND)
        print(f"{word}: {recall} of {len(of_word)} found, mean IoU {np.mean(of_word):.3f}")
    print(f"{wrong} wrong finds; {absent} finds of the word that is not there")


if __name__ == "__main__":
    main()
