"""The third stage alone: shapes and layout from true masks, with true and with estimated points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import metrics
from benchmarks.quality.mapping import scene_scale
from benchmarks.quality.report import Attempts, Row, Table, mean
from benchmarks.quality.shapes import (
    PLACED,
    QUERIES,
    Sampled,
    UnitSurface,
    bounds,
    compare_shapes,
    turn_to_fit,
)
from benchmarks.synthetic import SyntheticObject, SyntheticScene
from scenelift.compose.merge import make_scene
from scenelift.errors import ObjectFailed
from scenelift.geometry.transforms import matrix_from_quaternion, pose_matrix, transform_points
from scenelift.progress import silent
from scenelift.reconstruct import Reconstructor, begin_photo
from scenelift.render.splats import render_splats
from scenelift.types import Camera, Gaussians, ObjectView, PointMap, Reconstruction, SceneObject

__all__ = [
    "ZERO",
    "ObjectFigures",
    "compare_object",
    "compare_photo",
    "flat_pictures",
    "measure_reconstructor",
    "object_row",
    "picture_row",
    "picture_table",
    "reconstruct_object",
]

GREY = (0.5, 0.5, 0.5)
"""Behind the splats, so that what they leave uncovered is neither black nor the photo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFigures:
    """How well one object came out. Distances are NaN where there is no result."""

    f1: float
    chamfer: float
    volume_iou: float
    box_iou: float
    rotation: float
    add_s: float

    def named(self) -> dict[str, float]:
        return {
            "F1@.02": self.f1,
            "Chamfer": self.chamfer,
            "vol. IoU": self.volume_iou,
            "3D IoU": self.box_iou,
            "ICP-rot °": self.rotation,
            "ADD-S": self.add_s,
            "ADD-S@.1": float(self.add_s < 0.1),
        }


ZERO = ObjectFigures(
    f1=0.0, chamfer=math.nan, volume_iou=0.0, box_iou=0.0, rotation=math.nan, add_s=math.nan
)
"""An object without a result: scores count as 0, distances are not averaged."""


def measure_reconstructor(
    reconstructor: Reconstructor,
    scenes: Sequence[SyntheticScene],
    maps: Sequence[PointMap | None],
    *,
    condition: str,
    seed: int,
) -> tuple[Row, Row | None, list[str]]:
    """Reconstruct every object from its true mask.

    Args:
        maps: a point map for each scene; one that is None fails all objects of its scene.
        condition: for the row's name.

    Returns:
        The row of shapes and layout, the row of splat pictures (None where no backend makes
        splats), and the failures.
    """
    attempts = Attempts()
    figures: list[ObjectFigures] = []
    pictures: list[tuple[float, float]] = []
    for scene, points in zip(scenes, maps, strict=True):
        done: list[SceneObject] = []
        instances = [o.instance for o in scene.objects]
        for index, o in enumerate(scene.objects):
            what = f"{scene.name}, {o.label}, {condition}"
            result = attempts.run(
                what, reconstruct_object, reconstructor, scene, instances, index, points, seed
            )
            compared = None
            if result is not None and points is not None:
                # Comparing is not the backend's time, but a mesh that cannot be compared is.
                compared = Attempts(failures=attempts.failures).run(
                    what, compare_object, result, scene, o, points
                )
                done.append(
                    SceneObject(
                        index=index, instance=o.instance, shape=result.shape, pose=result.pose
                    )
                )
            figures.append(compared or ZERO)
        picture = compare_photo(make_scene(done), scene, points.camera) if points else None
        if picture:
            pictures.append(picture)
    name = f"{reconstructor.name}, {condition}"
    row = object_row(name, figures, mean(attempts.seconds))
    return row, picture_row(name, pictures, len(scenes)), attempts.failures


def reconstruct_object(
    reconstructor: Reconstructor,
    scene: SyntheticScene,
    instances: Sequence,
    index: int,
    points: PointMap | None,
    seed: int,
) -> Reconstruction:
    """Reconstruct one object of a scene; object k uses seed + k."""
    if points is None:
        raise ObjectFailed(index, instances[index].label, "the photo has no point map")
    begin_photo(reconstructor, scene.image, points)
    view = ObjectView(
        image=scene.image,
        instance=instances[index],
        points=points,
        others=(*instances[:index], *instances[index + 1 :]),
        index=index,
    )
    return reconstructor.reconstruct(view, seed=seed + index, report=silent())


def object_row(name: str, figures: Sequence[ObjectFigures], seconds: float) -> Row:
    named = [f.named() for f in figures]
    return Row(
        name=name,
        count=len(figures),
        failed=sum(f is ZERO for f in figures),
        figures={key: mean([n[key] for n in named]) for key in ZERO.named()},
        seconds=seconds,
    )


def picture_row(name: str, pictures: Sequence[tuple[float, float]], scenes: int) -> Row | None:
    if not pictures:
        return None
    return Row(
        name=name,
        count=scenes,
        failed=scenes - len(pictures),
        figures={"PSNR": mean([p for p, _ in pictures]), "SSIM": mean([s for _, s in pictures])},
    )


def compare_object(
    result: Reconstruction, scene: SyntheticScene, truth: SyntheticObject, points: PointMap
) -> ObjectFigures:
    """All figures of one reconstruction.

    Args:
        points: what it was placed with; its units are aligned with metres before the layout is
            compared.

    Raises:
        ValueError: the result has no mesh, or one without area.
    """
    if result.shape.mesh is None:
        raise ValueError("the backend returned no mesh")
    estimate = Sampled.of(result.shape.mesh)
    true_shape, unit_truth = _truth(truth)
    rotation = matrix_from_quaternion(result.pose.rotation)
    true_rotation = matrix_from_quaternion(truth.pose.rotation)
    shape = compare_shapes(estimate, unit_truth, true_rotation.T @ rotation)

    # Layout in the room's axes, in metres.
    metres = np.diag([scene_scale(scene, points)] * 3 + [1.0])
    placed = _moved(estimate, scene.world_from_camera @ metres @ pose_matrix(result.pose))
    true_placed = _moved(true_shape, scene.world_from_camera @ pose_matrix(truth.pose))
    low, high = bounds(true_shape.corners)
    diameter = truth.pose.scale * float(np.linalg.norm(high - low))
    return ObjectFigures(
        f1=shape.f1,
        chamfer=shape.chamfer,
        volume_iou=shape.volume_iou,
        box_iou=metrics.box_iou(bounds(placed.corners), bounds(true_placed.corners)),
        rotation=turn_to_fit(placed, true_placed),
        add_s=metrics.add_s(placed.points, true_placed.points, diameter, QUERIES),
    )


def _moved(surface: Sampled, matrix: NDArray[np.float64]) -> Sampled:
    """The surface in place, with as many points as stand for it there."""
    return Sampled(
        corners=transform_points(surface.corners, matrix),
        points=transform_points(surface.points[:PLACED], matrix),
    )


# A truth with its trees takes 15 MB; conditions go through the scenes in the same order.
@lru_cache(maxsize=64)
def _truth(truth: SyntheticObject) -> tuple[Sampled, UnitSurface]:
    shape = Sampled.of(truth.mesh)
    return shape, UnitSurface.of(shape)


def compare_photo(
    splats: Gaussians, scene: SyntheticScene, camera: Camera
) -> tuple[float, float] | None:
    """PSNR and SSIM of the splats against the photo inside the true masks; None without splats."""
    if not len(splats):
        return None
    drawn = render_splats(splats, camera, background=GREY)
    mask = np.any([o.mask for o in scene.objects], axis=0)
    photo = scene.image.pixels / 255.0
    return metrics.psnr(drawn.color, photo, mask), metrics.ssim(drawn.color, photo, mask)


def flat_pictures(scenes: Sequence[SyntheticScene]) -> Row | None:
    """Baseline: every mask filled with its mean colour."""
    pictures = []
    for scene in scenes:
        photo = scene.image.pixels / 255.0
        mask = np.any([o.mask for o in scene.objects], axis=0)
        flat = np.full_like(photo, 0.5)
        for o in scene.objects:
            flat[o.mask] = photo[o.mask].mean(0)
        pictures.append((metrics.psnr(flat, photo, mask), metrics.ssim(flat, photo, mask)))
    return picture_row("mean colour of each mask", pictures, len(scenes))


def picture_table(rows: Sequence[Row | None]) -> Table:
    return Table(
        title="Splats drawn over the photo, inside the true masks",
        of="photos",
        rows=[row for row in rows if row is not None],
    )
