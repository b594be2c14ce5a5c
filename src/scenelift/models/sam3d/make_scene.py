"""The published way to put objects' splats into one scene, kept for comparison.

The pipeline composes scenes with `compose`, in its own frames; here frames are the published ones
(`pose`), and a scene can be normalised for its viewer. What joins the splats is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scenelift.geometry.transforms import join_gaussians, multiply_quaternions
from scenelift.models.sam3d.pose import PublishedPose
from scenelift.types import Gaussians

__all__ = ["KERNEL", "PublishedScene", "make_scene", "normalised_for_viewing"]

# Smallest standard deviation of a splat in the object frame.
KERNEL = 0.0009


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PublishedScene:
    """Splats in PyTorch3D axes.

    Attributes:
        gaussians: of all objects, in their order.
        kernel: what the published container adds, in quadrature, to every stored size.
    """

    gaussians: Gaussians
    kernel: float


def make_scene(objects: Sequence[tuple[Gaussians, PublishedPose]]) -> PublishedScene:
    """Place the z-up splats of each object, and concatenate them."""
    splats_in_scene = []
    for gaussians, pose in objects:
        s = float(pose.scale[0])
        inverse = pose.rotation * (1, -1, -1, -1)
        splats_in_scene.append(
            replace(
                gaussians,
                means=pose.apply(gaussians.means).astype(np.float32),
                rotations=multiply_quaternions(inverse, gaussians.rotations).astype(np.float32),
                scales=(gaussians.scales * s).astype(np.float32),
                kernel=KERNEL * s,
            )
        )
    scene = join_gaussians(splats_in_scene)
    return PublishedScene(gaussians=scene, kernel=scene.kernel)


def normalised_for_viewing(scene: PublishedScene) -> PublishedScene:
    """Scale the opaque splats' longest extent to 1, and centre their box on the origin."""
    gaussians = scene.gaussians
    opaque = gaussians.means[gaussians.opacities > 0.9]
    if not len(opaque):
        raise ValueError("the scene has no splat of opacity above 0.9 to normalise by")
    low, high = opaque.min(0), opaque.max(0)
    extent = float((high - low).max())
    return PublishedScene(
        gaussians=replace(
            gaussians,
            means=(gaussians.means - (low + high) / 2) / np.float32(extent),
            scales=gaussians.scales / np.float32(extent),
        ),
        kernel=scene.kernel / extent,
    )
