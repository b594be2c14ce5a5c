"""Find a pose for a shape that has none, from mask, points and colours.

All rotations are tried on small pictures, the best are improved, and the best of those once more
on larger ones, together with the poses that are easily mistaken for them: turned by quarters about
the shape's axes. The nearer the end, the fewer poses and the more effort for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from scenelift.compose.compare import Weights, compare
from scenelift.compose.evidence import Evidence, evidence_of
from scenelift.compose.search import (
    improve,
    quarter_turns,
    rotation_grid,
    rotation_of_vector,
    turn_between,
)
from scenelift.compose.surfels import Surfels, surfels_of
from scenelift.errors import ReconstructionError
from scenelift.geometry.transforms import pose_from_matrix
from scenelift.progress import Reporter, silent
from scenelift.types import ObjectView, Pose, Shape

__all__ = ["FittedPose", "fit_pose"]

MIN_PIXELS = 16  # of a mask: fewer say nothing about a pose

ROTATIONS = 3000  # the nearest is 10° away on average, 16° at most of nearly all
UPRIGHT_YAWS = 36
MOST_ROTATIONS = 32  # distinct rotations that are improved on small pictures
FINALISTS, MISTAKABLE = 5, 3  # distinct poses, and quarter turns of the best, that go on
COARSE, FINE = 36, 72  # pixels across the mask
COARSE_POINTS, FINE_POINTS = 2000, 16000
APART = 20.0  # degrees between rotations that count as distinct

LOOSE = Weights(depth_scale=0.12)  # a coarse pose is still far off
TIGHT = Weights()
LEANING = 0.12  # cost of a shape that lies on its side, where shapes are said to be upright

# Of two poses, the mean distance between their surfaces over the object's size that makes them
# differ, and a difference of costs that leaves no doubt.
ELSEWHERE, CLEAR = 0.04, 0.2

# Turn, shift right and up, apparent size, distance: see `Nearby`.
WIDE = np.array([0.16, 0.16, 0.16, 0.06, 0.06, 0.08, 0.06])
NARROW = np.array([0.06, 0.06, 0.06, 0.02, 0.02, 0.03, 0.03])

# On the larger pictures: how many of the best are improved, from how far off, and with what effort.
ROUNDS = (
    (FINALISTS + MISTAKABLE, 1.5 * NARROW, (12, 12)),
    (3, NARROW, (16, 16)),
    (1, NARROW / 2, (16, 16)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPose:
    """A pose that was fitted to a shape.

    Attributes:
        pose: scene_from_object, in the frame and units of the point map.
        confidence: 0…1: how well it explains what was seen, and how much better than the best
            pose that looks different in space.
        quality: figures for the manifest: "pose_confidence", "mask_iou", "depth_residual",
            "colour_error".
        notes: plain sentences for the user.
    """

    pose: Pose
    confidence: float
    quality: dict[str, float]
    notes: tuple[str, ...] = ()


def fit_pose(
    shape: Shape,
    view: ObjectView,
    *,
    up: Sequence[float] | None = (0.0, 1.0, 0.0),
    seed: int = 0,
    report: Reporter | None = None,
) -> FittedPose:
    """Find the pose of a shape in the photo. Takes about three seconds on all cores.

    Args:
        shape: in the object frame.
        view: the object in the photo; the points tell what hides what.
        up: the way up in the camera frame, where the shape's y is expected to point within some
            30°; None where the shape may stand on its head.
        seed: makes the result repeatable.
        report: progress; raises Cancelled between steps.

    Raises:
        ReconstructionError: the shape has no surface, or the mask too few pixels.
    """
    report = report or silent()
    pixels = int(view.mask.sum())
    if pixels < MIN_PIXELS:
        raise ReconstructionError(
            f"The mask of {view.instance.label!r} has {pixels} pixels; "
            f"a pose needs {MIN_PIXELS} or more."
        )
    rng = np.random.default_rng(seed)
    surfels = surfels_of(shape, FINE_POINTS)
    few = surfels.few(COARSE_POINTS)
    small, large = (evidence_of(view, side) for side in (COARSE, FINE))
    centre = (surfels.points.min(0) + surfels.points.max(0)).astype(np.float64) / 2
    towards = None if up is None else np.asarray(up, float) / np.linalg.norm(up)

    def cost(of: Surfels, evidence: Evidence, weights: Weights, poses: NDArray) -> NDArray:
        value = compare(of, evidence, poses, weights).cost(weights)
        return value if towards is None else value + _leaning(poses, towards)

    report.update(0.05, message="rotations")
    rotations = _rotations(towards)
    poses = _initial_poses(few, small, rotations)
    for _ in range(2):
        poses = _corrected(few, small, poses)
    candidates = _distinct(poses, cost(few, small, LOOSE, poses), MOST_ROTATIONS)

    report.update(0.2, message="poses")
    poses, costs = improve(
        lambda p: cost(few, small, LOOSE, p), candidates, centre, WIDE, (14, 12), rng
    )
    finalists = _distinct(poses, costs, FINALISTS)
    quarters = quarter_turns(finalists[0], centre)
    quarter_turned_poses = _distinct(quarters, cost(surfels, large, TIGHT, quarters), MISTAKABLE)

    report.update(0.5, message="details")

    def tight(poses: NDArray) -> NDArray:
        return cost(surfels, large, TIGHT, poses)

    poses = np.concatenate([finalists, quarter_turned_poses])
    costs = np.full(len(poses), np.inf)
    for best, spread, effort in ROUNDS:
        poses[:best], costs[:best] = improve(tight, poses[:best], centre, spread, effort, rng)
        order = np.argsort(costs, kind="stable")
        poses, costs = poses[order], costs[order]
    report.update(1.0)

    figures = compare(surfels, large, poses[:1], TIGHT)
    margin = _margin(surfels, poses, costs)
    iou = float(figures.iou[0])
    confidence = float(iou * (1 - figures.depth[0]) * (1 - np.exp(-margin / 0.02)))
    notes = () if large.has_depth else ("No point was seen on it: its distance is a guess.",)
    return FittedPose(
        pose=pose_from_matrix(np.vstack([poses[0], [0, 0, 0, 1]])),
        confidence=confidence,
        quality={
            "pose_confidence": confidence,
            "mask_iou": iou,
            "depth_residual": float(figures.depth[0]),
            "colour_error": float(figures.colour[0]),
        },
        notes=notes,
    )


def _rotations(up: NDArray[np.float64] | None) -> NDArray[np.float64]:  # [K, 3, 3]
    """List rotations to try: all there are, and upright ones more densely if those are expected."""
    everywhere = rotation_grid(ROTATIONS)
    if up is None:
        return everywhere
    yaw = np.arange(UPRIGHT_YAWS) * (2 * np.pi / UPRIGHT_YAWS)
    about_y = rotation_of_vector(yaw[:, None] * [0.0, 1.0, 0.0])
    # The way up is known roughly: lean towards and from the camera by as much as it may be off.
    leans = rotation_of_vector(np.radians([-30, -15, 0, 15, 30])[:, None] * [1.0, 0.0, 0.0])
    upright = (leans[:, None] @ turn_between(np.array([0.0, 1.0, 0.0]), up) @ about_y).reshape(
        -1, 3, 3
    )
    return np.concatenate([upright, everywhere])


def _initial_poses(surfels: Surfels, evidence: Evidence, rotations: NDArray) -> NDArray[np.float64]:
    """Place turned shapes to fill the mask's box, with their fronts at the points: [K, 3, 4]."""
    rows, columns = np.nonzero(evidence.mask)
    fx, fy, cx, cy = evidence.intrinsics
    width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
    u, v = columns.min() + width / 2, rows.min() + height / 2
    ray = np.array([(u - cx) / fx, (cy - v) / fy, -1.0])
    # Seen from aside of the picture's middle, a shape looks turned: turn it with the ray.
    facing = turn_between(np.array([0.0, 0.0, -1.0]), ray / np.linalg.norm(ray))
    rotated_points = np.einsum("kij,nj->kni", facing.T @ rotations, surfels.points[:500])
    low, high = rotated_points.min(1), rotated_points.max(1)  # [K, 3]
    extent = np.maximum(high - low, 1e-6)
    room = np.array([width / fx, height / fy]) * evidence.distance
    scale = np.sqrt(np.prod(room) / np.prod(extent[:, :2], 1))
    # What is seen first is a good deal of the surface before the middle.
    behind = 0.3 * scale * extent[:, 2]
    middle = ray * (evidence.distance + behind)[:, None]
    linear = rotations * (scale * (1 + behind / evidence.distance))[:, None, None]
    centre = np.einsum("ij,kj->ki", facing, (low + high) / 2)
    offset = middle - centre * (scale * (1 + behind / evidence.distance))[:, None]
    return np.concatenate([linear, offset[..., None]], 2)


def _corrected(surfels: Surfels, evidence: Evidence, poses: NDArray) -> NDArray[np.float64]:
    """Move and scale poses [K, 3, 4] so that area, centre and distance agree with the mask's."""
    comparison = compare(surfels, evidence, poses, LOOSE)
    fx, fy = evidence.intrinsics[:2]
    grow = np.clip(np.sqrt(comparison.growth), 0.7, 1.4)
    middle = poses[:, :, :3] @ surfels.points.mean(0) + poses[:, :, 3]
    depth = -middle[:, 2]
    shift = np.stack(
        [comparison.shift[:, 0] / fx * depth, -comparison.shift[:, 1] / fy * depth, 0 * depth], 1
    )
    along = np.clip(comparison.behind, 0.7, 1.4) if evidence.has_depth else np.ones(len(poses))
    linear = poses[:, :, :3] * (grow * along)[:, None, None]
    centres = (middle + shift) * along[:, None]
    return np.concatenate([linear, (centres - linear @ surfels.points.mean(0))[..., None]], 2)


def _leaning(poses: NDArray, up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the cost [K] of the angle between the shapes' y and the way up: 0 within 25°."""
    y = poses[:, :, 1] / np.linalg.norm(poses[:, :, 1], axis=1, keepdims=True)
    angle = np.degrees(np.arccos(np.clip(y @ up, -1, 1)))
    return LEANING * np.clip((angle - 25) / 30, 0, 1)


def _distinct(poses: NDArray, costs: NDArray, count: int) -> NDArray[np.float64]:
    """Choose the cheapest poses, none within `APART` degrees of a cheaper one: [≤ count, 3, 4]."""
    order = np.argsort(costs, kind="stable")
    rotations = poses[:, :, :3] / np.cbrt(np.linalg.det(poses[:, :, :3]))[:, None, None]
    selection: list[int] = []
    for k in order:
        traces = np.einsum("nij,ij->n", rotations[selection], rotations[k])
        if not selection or traces.max() < 1 + 2 * np.cos(np.radians(APART)):
            selection.append(int(k))
            if len(selection) == count:
                break
    return poses[selection]


def _margin(surfels: Surfels, poses: NDArray, costs: NDArray) -> float:
    """Compute how much more the cheapest pose with a different surface costs than the first."""
    points = surfels.points[:600].astype(np.float64)
    best = poses[0]
    points_in_scene = points @ best[:, :3].T + best[:, 3]
    size = float(np.linalg.norm(np.ptp(points_in_scene, axis=0)))
    tree = KDTree(surfels.points[:3000] @ best[:, :3].T + best[:, 3])
    elsewhere = [
        float(cost)
        for pose, cost in zip(poses[1:], costs[1:], strict=True)
        if tree.query(points @ pose[:, :3].T + pose[:, 3])[0].mean() > ELSEWHERE * size
    ]
    return max(0.0, min(elsewhere, default=costs[0] + CLEAR) - float(costs[0]))
