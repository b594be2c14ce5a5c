"""Put a segmenter of your own into the pipeline: anything with the protocol's methods will do.

    python examples/02_your_own_backend.py photo.jpg out/

This one takes the brightest part of the photo, whatever the prompt says.
"""

from __future__ import annotations

import sys

import numpy as np

from scenelift import BackendOptions, Image, Instance, Pipeline, Prompt
from scenelift.pointmap import POINT_MAPPERS
from scenelift.progress import Reporter
from scenelift.reconstruct import RECONSTRUCTORS
from scenelift.types import Segmentation


class Brightest:
    name = "brightest"
    version = "1"

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        light = image.pixels.mean(-1)
        mask = light >= np.percentile(light, 90)
        instance = Instance(mask=mask, label="bright", score=1.0, box=Instance.box_of(mask))
        return Segmentation(instances=(instance,))


def main(photo: str, folder: str) -> None:
    options = BackendOptions()
    pipeline = Pipeline(
        Brightest(),
        POINT_MAPPERS.load("embedded", options),
        RECONSTRUCTORS.load("embedded", options),
    )
    print(pipeline.run(photo, "bright").save(folder))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
