"""The published way to put objects' splats into one scene, kept for comparison.

The pipeline composes scenes with `compose`; this one also floors the splats' sizes as the published
helper does, and normalises a scene for its viewer. Frames are the published ones (`pose`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scenelift.geometry.transforms import multiply_quaternions
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
    placed, kernels = [], []
    for gaussians, pose in objects:
        s = float(pose.scale[0])
        kernel = KERNEL * s
        inverse = pose.rotation * (1, -1, -1, -1)
        placed.append(
            replace(
                gaussians,
                means=pose.apply(gaussians.means).astype(np.float32),
                rotations=multiply_quaternions(inverse, gaussians.rotations).astype(np.float32),
                scales=np.maximum(gaussians.scales * s, 1.1 * kernel).astype(np.float32),
            )
        )
        kernels.append(kernel)
    # Sizes are stored less their object's kernel and read with the scene's, which is the least.
    least = min(kernels)
    for i, (gaussians, kernel) in enumerate(zip(placed, kernels, strict=True)):
        squares = gaussians.scales.astype(np.float64) ** 2 - kernel**2 + least**2
        placed[i] = replace(gaussians, scales=np.sqrt(squares).astype(np.float32))
    return PublishedScene(gaussians=_concatenated(placed), kernel=least)


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


def _concatenated(parts: Sequence[Gaussians]) -> Gaussians:
    return Gaussians(
        means=np.concatenate([p.means for p in parts]),
        scales=np.concatenate([p.scales for p in parts]),
        rotations=np.concatenate([p.rotations for p in parts]),
        opacities=np.concatenate([p.opacities for p in parts]),
        sh0=np.concatenate([p.sh0 for p in parts]),
    )
