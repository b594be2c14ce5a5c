"""Judges whether each stage's result on the photo of the self-check is plausible.

Limits are wide: every published model meets them by far, and random weights do not. They do not
measure how good a model is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.selfcheck import photo as reference
from scenelift.selfcheck.finding import Finding, figure, truth
from scenelift.types import Gaussians, Mesh, PointMap, SceneObject, Segmentation, Shape

__all__ = [
    "Range",
    "best_instance",
    "judge_internals",
    "judge_object",
    "judge_points",
    "judge_segmentation",
]

_VISIBLE = 0.05  # opacity


def best_instance(segmentation: Segmentation) -> int | None:
    """Return the number of the instance that covers most of the cup's opening, or None."""
    opening = reference.cup_opening()
    shares = [float(i.mask[opening].mean()) for i in segmentation.instances]
    best = int(np.argmax(shares)) if shares else None
    return best if best is not None and shares[best] > 0.5 else None


def judge_segmentation(segmentation: Segmentation) -> list[Finding]:
    """Check that the cup is found once, and that its mask covers little else."""
    count = len(segmentation.instances)
    findings = [figure("segment", f"objects called {reference.PHRASE!r}", count, 1, 4)]
    if not segmentation.instances:
        return findings
    best = best_instance(segmentation)
    instance = segmentation.instances[0 if best is None else best]
    opening, around = reference.cup_opening(), reference.surroundings()
    cup, mask = reference.cup(), instance.mask
    return [
        *findings,
        figure("segment", "share of the cup's opening in its mask", mask[opening].mean(), 0.8),
        figure(
            "segment",
            "share of its mask on the bare table",
            mask[around].sum() / mask.sum(),
            high=0.05,
        ),
        figure("segment", "area of its mask, cups", mask.sum() / cup.sum(), 0.55, 3),
        figure("segment", "its score", instance.score, 0.3, 1),
    ]


def judge_points(points: PointMap) -> list[Finding]:
    """Check that distances are finite, near is near, and the table is level."""
    from scenelift.geometry.ground import find_ground

    depth = -points.points[..., 2].astype(np.float64)
    there = np.isfinite(depth)
    fov = np.degrees(2 * np.arctan(points.camera.width / 2 / points.camera.fx))
    findings = [
        figure("pointmap", "share of pixels with a point", there.mean(), 0.6),
        figure("pointmap", "width of the field of view, degrees", fov, 12, 110),
    ]
    if not there.any():
        return findings
    middles = {name: _median(depth, place) for name, place in reference.PLACES.items()}
    low, high = np.percentile(depth[there], (2, 98))
    findings += [
        truth(
            "pointmap", "every point is in front of the camera", ok=bool((depth[there] > 0).all())
        ),
        figure("pointmap", "farthest over nearest", high / low, 1.1, 60),
        _nearer("the cup's far rim", "the table behind it", middles, 1.01),
        _nearer("the table's near right corner", "the table's far right corner", middles, 1.03),
    ]
    if points.scale != "relative":
        metres = float(np.median(depth[there])) * points.metres_per_unit
        findings.append(figure("pointmap", "distance, metres", metres, 0.1, 5))
    ground = find_ground(points, [reference.cup_instance()])
    if ground is None:
        findings.append(truth("pointmap", "a table is seen", ok=False))
    else:
        tilt = float(np.degrees(np.arccos(np.clip(ground.up[1], -1, 1))))
        findings.append(
            figure("pointmap", "the table's tilt from the camera's up, degrees", tilt, 5, 75)
        )
    if points.normals is not None:
        findings += _judge_normals(points)
    return findings


def _judge_normals(points: PointMap) -> list[Finding]:
    assert points.normals is not None
    there = np.isfinite(points.normals).all(-1)
    there &= np.isfinite(points.points).all(-1)
    rays = points.points[there] / np.linalg.norm(points.points[there], axis=-1, keepdims=True)
    facing = -(points.normals[there] * rays).sum(-1)
    table = _place(points.normals, reference.PLACES["the table's near right corner"])
    alike = np.linalg.norm(np.nanmean(table, axis=0)) if len(table) else np.nan
    return [
        figure("pointmap", "share of normals that face the camera", (facing > 0).mean(), 0.9),
        figure("pointmap", "agreement of the table's normals", float(alike), 0.9),
    ]


def _nearer(near: str, far: str, middles: Mapping[str, float], least: float) -> Finding:
    ratio = middles[far] / middles[near]
    return figure("pointmap", f"distance of {far} over that of {near}", ratio, least)


def _place(values: NDArray, place: tuple[int, int, int, int]) -> NDArray:
    x0, y0, x1, y1 = place
    inside = values[y0:y1, x0:x1]
    return inside.reshape(-1, *inside.shape[2:])


def _median(depth: NDArray, place: tuple[int, int, int, int]) -> float:
    values = _place(depth, place)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")


def judge_object(scene_object: SceneObject) -> list[Finding]:
    """Check shape, colours and pose of the cup against what the photo shows.

    Args:
        scene_object: with its shape finished, in the pose that its reconstructor gave, and scored
            there.
    """
    shape, quality, findings = scene_object.shape, scene_object.quality, []
    if "voxels" in quality:
        findings.append(figure("reconstruct", "voxels", quality["voxels"], 800, 80_000))
    if shape.gaussians is not None:
        findings += _judge_splats(shape.gaussians)
    overlap, unlike = quality.get("mask_iou", 0.0), quality.get("colour_error", 0.0)
    findings += [
        figure("reconstruct", "IoU of its silhouette in its pose with its mask", overlap, 0.5),
        figure("reconstruct", "1 - correlation of its colours with the photo's", unlike, high=0.8),
    ]
    if shape.mesh is None:
        return [*findings, truth("finish", "there is a mesh", ok=False)]
    findings += _judge_mesh(shape.mesh)
    if shape.gaussians is not None and len(shape.gaussians) and len(shape.mesh.faces):
        findings += _judge_agreement(shape.gaussians, shape.mesh)
    return findings


def _judge_splats(splats: Gaussians) -> list[Finding]:
    count = len(splats)
    findings = [figure("reconstruct", "splats", count, 500, 3_000_000)]
    if not count:
        return findings
    finite = all(
        np.isfinite(part).all()
        for part in (splats.means, splats.scales, splats.opacities, splats.sh0)
    )
    findings.append(truth("reconstruct", "every number of its splats is finite", ok=bool(finite)))
    if finite:
        beyond = float((np.abs(splats.means) > 0.6).any(1).mean())
        findings += [
            figure("reconstruct", "share of splats outside the object's box", beyond, high=0.02),
            figure(
                "reconstruct",
                "median size of a splat, object sizes",
                float(np.median(splats.scales)),
                1e-5,
                0.1,
            ),
            figure(
                "reconstruct",
                "share of splats that can be seen",
                float((splats.opacities > _VISIBLE).mean()),
                0.2,
            ),
        ]
    return findings


def _judge_mesh(mesh: Mesh) -> list[Finding]:
    count = len(mesh.faces)
    findings = [figure("finish", "faces", count, 100, 2_000_000)]
    if not count:
        return findings
    extent = np.ptp(mesh.vertices, axis=0)
    return [
        *findings,
        truth("finish", "every vertex is finite", ok=bool(np.isfinite(mesh.vertices).all())),
        figure("finish", "longest side of its box, object sizes", float(extent.max()), 0.3, 1.2),
        figure("finish", "shortest side over longest", float(extent.min() / extent.max()), 0.1),
    ]


def _judge_agreement(splats: Gaussians, mesh: Mesh) -> list[Finding]:
    """Check that splats and mesh show the same surface."""
    from scipy.spatial import KDTree

    from scenelift.compose.surfels import surfels_of

    visible = splats.means[splats.opacities > _VISIBLE]
    if not len(visible) or not np.isfinite(visible).all():
        return []
    some = visible[:: max(1, len(visible) // 5000)]
    apart, _ = KDTree(surfels_of(Shape(mesh=mesh), 20_000).points).query(some)
    name = "median distance of splats from the mesh, object sizes"
    return [figure("finish", name, float(np.median(apart)), high=0.05)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Lowest and highest output of a network, and how many numbers were not finite."""

    low: float
    high: float
    strange: int


# Of SAM 3D Objects and TRELLIS, which share these networks. The published code's run of the former,
# on another photo, had logits from −116 to 92 and latents from −9.6 to 6.4.
_INTERNALS = {
    "structure": ("logits of the structure", (-1000.0, -8.0), (4.0, 1000.0)),
    "latents": ("latents of the voxels", (-100.0, -1.5), (1.5, 100.0)),
}


def judge_internals(ranges: Mapping[str, Range]) -> list[Finding]:
    """Check the outputs of networks inside a reconstructor, by the name of the network."""
    findings = []
    for name, (what, lows, highs) in _INTERNALS.items():
        if name in ranges:
            actual = ranges[name]
            findings += [
                figure("reconstruct", f"least of the {what}", actual.low, *lows),
                figure("reconstruct", f"most of the {what}", actual.high, *highs),
                truth("reconstruct", f"the {what} are finite", ok=not actual.strange),
            ]
    return findings
