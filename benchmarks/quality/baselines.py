"""Answers that take no model, through the same protocols: what a figure must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import trimesh
from numpy.typing import NDArray
from skimage.measure import marching_cubes

from scenelift.errors import ObjectFailed
from scenelift.progress import Reporter
from scenelift.reconstruct.embedded.inflate import inflate
from scenelift.reconstruct.embedded.outline import trace_outline
from scenelift.reconstruct.embedded.proportions import proportions_of
from scenelift.reconstruct.embedded.relief import hidden_by, relief_of, visible_depth
from scenelift.reconstruct.embedded.solid import Solid, surface_of
from scenelift.types import (
    Camera,
    Image,
    Instance,
    Mesh,
    ObjectView,
    PointMap,
    Pose,
    Prompt,
    Reconstruction,
    Segmentation,
    Shape,
)

__all__ = [
    "BoxReconstructor",
    "BoxSegmenter",
    "InflatedReconstructor",
    "RampPointMapper",
    "SilhouetteReconstructor",
    "corners_of",
    "placed",
]


class BoxSegmenter:
    """Fills the boxes it is given."""

    name, version = "filled box", "1"

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        instances = []
        for given in prompt.boxes:
            x0, y0, x1, y1 = (round(c) for c in given.box)
            mask = np.zeros((image.height, image.width), bool)
            mask[y0:y1, x0:x1] = True
            instances.append(Instance(mask=mask, label=given.label, score=1.0, box=given.box))
        return Segmentation(instances=tuple(instances))


class RampPointMapper:
    """Lower in the photo is nearer: inverse depth grows with the row, fivefold in all."""

    name, version = "row ramp", "1"

    def estimate(self, image: Image, instances: Sequence[Instance], report: Reporter) -> PointMap:
        camera = Camera.from_fov(image.width, image.height, fov_deg=55)
        inverse = np.linspace(0.2, 1, image.height)[:, None] * np.ones(image.width)
        return PointMap(points=camera.unproject(1 / inverse), camera=camera, source=self.name)


class BoxReconstructor:
    """A box around the points of the mask, as deep as it is wide."""

    name, version = "box", "1"

    def begin(self, image: Image, points: PointMap) -> None:
        """A new photo; there is nothing to prepare."""

    def reconstruct(self, view: ObjectView, *, seed: int, report: Reporter) -> Reconstruction:
        low, high = corners_of(view)
        cube = trimesh.creation.box(extents=high - low)
        return placed(np.asarray(cube.vertices) + (low + high) / 2, np.asarray(cube.faces))


class SilhouetteReconstructor:
    """The visual hull of one view, as deep as it is wide: the mask, extruded away from the eye."""

    name, version = "extruded mask", "1"
    STEPS = 48

    def begin(self, image: Image, points: PointMap) -> None:
        """A new photo; there is nothing to prepare."""

    def reconstruct(self, view: ObjectView, *, seed: int, report: Reporter) -> Reconstruction:
        image, instance = view.image, view.instance
        low, high = corners_of(view)
        pitch = float((high - low).max()) / self.STEPS
        # One empty voxel all round closes the surface.
        counts = np.ceil((high - low) / pitch).astype(int) + 2
        origin = low - pitch
        centres = origin + (np.indices(counts.tolist()).reshape(3, -1).T + 0.5) * pitch
        u, v = view.camera.project(centres).T
        column, row = np.floor(u).astype(int), np.floor(v).astype(int)
        inside = (column >= 0) & (column < image.width) & (row >= 0) & (row < image.height)
        inside &= ((centres >= low) & (centres <= high)).all(1)
        inside[inside] = instance.mask[row[inside], column[inside]]
        grid = np.pad(inside.reshape(counts), 1)
        if not grid.any():
            raise ObjectFailed(0, instance.label, "its silhouette is thinner than a voxel")
        vertices, faces, _, _ = marching_cubes(grid.astype(np.float32), 0.5)
        return placed(origin + (vertices - 0.5) * pitch, faces[:, ::-1])


class InflatedReconstructor:
    """The mask as a balloon: thick where it is wide, its front where the points are.

    What the embedded reconstructor made of every mask before it had a trained head, and still makes
    of the thinnest; the label says how deep such things are, and which of them are round.
    """

    name, version = "inflated mask", "1"

    def begin(self, image: Image, points: PointMap) -> None:
        """A new photo; there is nothing to prepare."""

    def reconstruct(self, view: ObjectView, *, seed: int, report: Reporter) -> Reconstruction:
        instance, points = view.instance, view.points
        outline = trace_outline(instance.mask, hidden_by(view))
        distance = visible_depth(instance.mask, points)
        solid = Solid.of(
            outline,
            inflate(outline, proportions_of(instance.class_name, instance.label)),
            relief_of(outline, points, distance),
            points.camera,
            distance,
        )
        surface = surface_of(solid)
        return placed(surface.vertices, surface.faces)


def corners_of(
    view: ObjectView,
    axes: NDArray | None = None,  # [3, 3]
) -> tuple[NDArray, NDArray]:
    """Corners of a box, 2 % of stray points left out on each side, as deep as it is wide.

    Args:
        axes: camera_from_box, whose third axis points towards the camera; None for the camera's.

    Returns:
        The lowest and the highest corner [3] in the box's axes.
    """
    seen = view.points.points[view.mask]
    seen = seen[np.isfinite(seen).all(1)].astype(float)
    if axes is not None:
        seen = seen @ axes
    if len(seen) < 10:
        raise ObjectFailed(0, view.instance.label, "fewer than ten of its pixels have a point")
    low, high = np.percentile(seen, [2, 98], axis=0)
    high = np.maximum(high, low + 1e-3 * np.abs(seen).max())
    low[2] = high[2] - max(high[0] - low[0], high[2] - low[2])
    return low, high


def placed(vertices: NDArray, faces: NDArray) -> Reconstruction:
    """A mesh in the camera frame as a reconstruction whose object frame has the camera's axes."""
    low, high = vertices.min(0), vertices.max(0)
    scale = float((high - low).max())
    centre = (low + high) / 2
    x, y, z = centre.tolist()
    mesh = Mesh(
        vertices=((vertices - centre) / scale).astype(np.float32),
        faces=np.ascontiguousarray(faces, np.int32),
    )
    return Reconstruction(shape=Shape(mesh=mesh), pose=Pose(translation=(x, y, z), scale=scale))
