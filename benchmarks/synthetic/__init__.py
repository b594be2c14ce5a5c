"""Photos with known truth, rendered from free furniture meshes.

The models shown by the benchmark (`held_out()`) must not be trained on; `make_scene(…,
split="train")` shows the others, `load_or_make_validation` those that watch training.
"""

from benchmarks.synthetic.scenes import (
    SIZES,
    Room,
    SyntheticObject,
    SyntheticScene,
    load_or_make,
    make_room,
    make_scene,
)
from benchmarks.synthetic.validation import VALIDATION_SIZES, load_or_make_validation
from scenelift.training.scenes.classes import COCO, held_out

__all__ = [
    "COCO",
    "SIZES",
    "VALIDATION_SIZES",
    "Room",
    "SyntheticObject",
    "SyntheticScene",
    "held_out",
    "load_or_make",
    "load_or_make_validation",
    "make_room",
    "make_scene",
]
