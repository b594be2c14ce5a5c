"""Masks and boxes that the user supplies, in place of a model.

    folder with instances.json   what `scenelift segment` wrote, edited or added to
    folder                       its pictures, arrays and JSON files, in natural order
    .json .geojson               COCO (polygons, run lengths, boxes) and what other tools write,
                                 see `annotations`
    .xml .txt .csv               CVAT, VOC; YOLO; VIA, TensorFlow
    picture                      one mask, or one value or one colour an object
    .npy .npz                    bool or numbers [H, W], or a stack of masks [N, H, W]

`docs/segment-models.md` states the rule for each kind; `reading` names the objects.
"""

from __future__ import annotations

from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.pixels import MaskSource, mask_sources
from scenelift.segment.given.reading import GivenObjects, load_masks, read_given
from scenelift.segment.given.segmenter import INSTANCES_NAME, GivenSegmenter

__all__ = [
    "INSTANCES_NAME",
    "Canvas",
    "GivenObjects",
    "GivenSegmenter",
    "MaskSource",
    "load_masks",
    "mask_sources",
    "read_given",
]
