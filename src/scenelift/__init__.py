"""One photo and a phrase become a 3D scene: Gaussian splats and meshes, each object in its place.

from scenelift import Pipeline

scene = Pipeline.from_quality("auto").run("room.jpg", "chair")
scene.save("out/")
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# Libraries that would report to their makers look at these when they are loaded, so they are told
# before anything can load one. tests/test_no_network.py shows that nobody calls anybody.
for _name in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(_name, "1")

if TYPE_CHECKING:
    from scenelift.compose import create_scene_mesh, make_scene
    from scenelift.errors import SceneliftError
    from scenelift.geometry.transforms import compose_transform, transform_points
    from scenelift.options import BackendOptions, ReconstructionOptions
    from scenelift.pipeline import Pipeline, SAM3SAM3DPipeline
    from scenelift.scene import Scene
    from scenelift.types import Gaussians, Image, Instance, Mesh, PointMap, Pose, Prompt

__version__ = "0.1.0"

# Where each public name lives. They are imported when first used, so that `import scenelift` and
# `scenelift --help` load nothing heavy.
_HOMES = {
    "BackendOptions": "scenelift.options",
    "Gaussians": "scenelift.types",
    "Image": "scenelift.types",
    "Instance": "scenelift.types",
    "Mesh": "scenelift.types",
    "Pipeline": "scenelift.pipeline",
    "PointMap": "scenelift.types",
    "Pose": "scenelift.types",
    "Prompt": "scenelift.types",
    "ReconstructionOptions": "scenelift.options",
    "SAM3SAM3DPipeline": "scenelift.pipeline",
    "Scene": "scenelift.scene",
    "SceneliftError": "scenelift.errors",
    "compose_transform": "scenelift.geometry.transforms",
    "create_scene_mesh": "scenelift.compose",
    "make_scene": "scenelift.compose",
    "transform_points": "scenelift.geometry.transforms",
}

__all__ = [
    "BackendOptions",
    "Gaussians",
    "Image",
    "Instance",
    "Mesh",
    "Pipeline",
    "PointMap",
    "Pose",
    "Prompt",
    "ReconstructionOptions",
    "SAM3SAM3DPipeline",
    "Scene",
    "SceneliftError",
    "__version__",
    "compose_transform",
    "create_scene_mesh",
    "make_scene",
    "transform_points",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
