"""Photos with known truth, rendered from free furniture meshes.

The models shown by the benchmark (`held_out()`) must not be trained on; `make_scene(…,
split="train")` shows the others.
"""

from benchmarks.synthetic.scenes import (
    SIZES,
    SyntheticObject,
    SyntheticScene,
    load_or_make,
    make_scene,
)
from scenelift.training.scenes.classes import COCO, held_out

__all__ = [
    "COCO",
    "SIZES",
    "SyntheticObject",
    "SyntheticScene",
    "held_out",
    "load_or_make",
    "make_scene",
]
