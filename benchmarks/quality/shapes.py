"""Comparing two surfaces: samples, voxels, and rigid alignment by iterative closest points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from benchmarks.quality import metrics
from scenelift.training.scenes.volumes import outside_filled
from scenelift.types import Mesh

__all__ = [
    "PLACED",
    "QUERIES",
    "Sampled",
    "ShapeFigures",
    "UnitSurface",
    "align",
    "bounds",
    "compare_shapes",
    "sample",
    "turn_to_fit",
]

DENSE = 100_000
"""Points that stand for a surface. Of one as large as that of the cube [−1, 1]³, 99.5 % of other
points of the same surface have one of these within 0.02."""
QUERIES = 4_000
"""From so many of them distances are measured. 10,000 take a third longer and change the mean F1
of 13 objects by 0.0007, Chamfer by 0.0004. (Saving elsewhere biases: two fifths of `DENSE` cost
0.014 in F1, half of `VOXEL_SAMPLES` 0.02 in volume IoU.)"""
PLACED = 10_000
"""Points that stand for a surface in place, where the floor that comes from their spacing, 0.006
of the diameter, is far below the 0.1 that counts."""
THRESHOLD = 0.02
"""Of the F-score, where the object's longest side is 2."""
GRID = 64
VOXEL_SAMPLES = 300_000
"""Of the largest surface that fits into the grid (about 25,000 voxels), each voxel gets 12."""
R2 = np.array([0.7548776662466927, 0.5698402909980532])
"""Steps of the two-dimensional low-discrepancy sequence after the plastic number (Roberts 2018)."""
ICP_SAMPLES, ICP_TARGETS, ICP_PROBE, ICP_STEPS = 600, 4000, 5, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeFigures:
    """How well a shape fits, after both are scaled to [−1, 1] and aligned.

    Attributes:
        f1: F-score at 0.02.
        chamfer: mean distance, both ways.
        volume_iou: of voxels, 64³.
    """

    f1: float
    chamfer: float
    volume_iou: float


def sample(mesh: Mesh, count: int, seed: int = 0) -> NDArray[np.float64]:  # [count, 3]
    """Points spread evenly over a mesh, in no order.

    Each face gets its share of the points to within one. Within a face they follow a sequence
    that leaves no gaps: a gap of one voxel would open a closed surface.

    Raises:
        ValueError: the mesh has no area.
    """
    a, b, c = mesh.vertices[mesh.faces].astype(np.float64).transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    total = float(area.sum())
    if not (np.isfinite(total) and total > 0):
        raise ValueError(f"a mesh of {len(mesh.faces)} faces without area")
    rng = np.random.default_rng(seed)
    upto = np.floor(np.cumsum(area) / total * (count - 1e-6) + rng.random()).astype(int)
    upto[-1] = count
    order = rng.permutation(count)
    face = np.repeat(np.arange(len(area)), np.diff(upto, prepend=0))
    u, v = ((rng.random(2) + np.arange(count)[:, None] * R2) % 1).T[..., None]
    # The square root spreads points evenly over the triangle (Osada et al. 2002, section 4.1).
    u = np.sqrt(u)
    return ((1 - u) * a[face] + u * (1 - v) * b[face] + u * v * c[face])[order]


def bounds(points: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest corner of points [N, 3]."""
    # One column at a time: numpy reduces the first axis of so flat an array slowly.
    columns = [points[:, k] for k in range(3)]
    return np.array([c.min() for c in columns]), np.array([c.max() for c in columns])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sampled:
    """A mesh and points on it, of any scale and place.

    Attributes:
        corners: [V, 3], the vertices that its faces use: they bound it exactly.
        points: [N, 3], evenly spread, in no order.
    """

    corners: NDArray[np.float64]
    points: NDArray[np.float64]

    @classmethod
    def of(cls, mesh: Mesh, seed: int = 0) -> Sampled:
        """Enough points of a mesh for all figures.

        Raises:
            ValueError: the mesh has no area.
        """
        corners = mesh.vertices[np.unique(mesh.faces)].astype(np.float64)
        return cls(corners=corners, points=sample(mesh, VOXEL_SAMPLES, seed))


@dataclass(frozen=True, eq=False)
class UnitSurface:
    """Points that stand for a surface whose box's longest side is [−1, 1].

    Attributes:
        dense: [N, 3], many and in no order.
    """

    dense: NDArray[np.float64]

    @classmethod
    def of(cls, surface: Sampled) -> UnitSurface:
        scale, centre = _to_unit(surface.corners)
        return cls(scale * (surface.points - centre))

    @cached_property
    def tree(self) -> KDTree:
        return KDTree(self.dense[:DENSE], balanced_tree=False, compact_nodes=False)

    @cached_property
    def coarse_tree(self) -> KDTree:
        return KDTree(self.dense[:ICP_TARGETS])

    @cached_property
    def voxels(self) -> NDArray[np.bool_]:  # [64, 64, 64]
        """What it fills of [−1, 1]³; what sticks out is flattened against the border."""
        # Dropping it instead would open the surface, and its inside would count as air.
        index = np.clip(np.floor((self.dense + 1) * (GRID / 2)).astype(int), 0, GRID - 1)
        grid = np.zeros((GRID,) * 3, bool)
        grid[tuple(index.T)] = True
        return outside_filled(grid)


def _to_unit(corners: NDArray) -> tuple[float, NDArray[np.float64]]:
    """Scale and centre that bring a box's longest side to [−1, 1]: scale · (x − centre)."""
    low, high = bounds(corners)
    return 2 / float((high - low).max()), (low + high) / 2


def compare_shapes(estimate: Sampled, truth: UnitSurface, rotation: NDArray) -> ShapeFigures:
    """Figures of an estimate's shape, whatever its scale and place.

    The alignment starts from four quarter turns about y and keeps the best: a table whose front
    was guessed wrongly is still a good table. The size of a box along the axes depends on the
    orientation, so the estimate is scaled once more after it was turned.

    Args:
        rotation: 3×3, turns the estimate about into the truth's axes.
    """
    few = estimate.points[:ICP_SAMPLES]
    linear, offset = rotation, np.zeros(3)
    for starts in ([_quarter_turn(k) for k in range(4)], [np.eye(3)]):
        scale, centre = _to_unit(estimate.corners @ rotation.T)
        turn, shift = align(scale * (few @ rotation.T - centre), truth.coarse_tree, starts=starts)
        rotation = turn @ rotation
        linear, offset = scale * rotation, shift - scale * turn @ centre
    moved = UnitSurface(estimate.points @ linear.T + offset)
    to_truth = truth.tree.query(moved.dense[:QUERIES])[0]
    to_estimate = moved.tree.query(truth.dense[:QUERIES])[0]
    return ShapeFigures(
        f1=metrics.f_score(to_truth, to_estimate, THRESHOLD),
        chamfer=metrics.chamfer(to_truth, to_estimate),
        volume_iou=metrics.volume_iou(moved.voxels, truth.voxels),
    )


def turn_to_fit(estimate: Sampled, truth: Sampled) -> float:
    """Degrees by which ICP turns an estimate to fit the truth, both scaled to [−1, 1] first."""
    scale, centre = _to_unit(estimate.corners)
    few = scale * (estimate.points[:ICP_SAMPLES] - centre)
    true_scale, true_centre = _to_unit(truth.corners)
    target = KDTree(true_scale * (truth.points[:ICP_TARGETS] - true_centre))
    return metrics.rotation_angle(align(few, target)[0])


def _quarter_turn(k: int) -> NDArray[np.float64]:
    c, s = [(1, 0), (0, 1), (-1, 0), (0, -1)][k]
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], float)


def align(
    points: NDArray, target: KDTree, *, starts: list[NDArray[np.float64]] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation and translation that bring points [N, 3] nearest to a target.

    Point-to-point ICP (Besl and McKay 1992): pair every point with its nearest, move rigidly to
    fit the pairs, repeat. Each start gets a few steps; the best is carried on to the end.
    """
    trials = [
        _iterate(points, target, start, np.zeros(3), ICP_PROBE) for start in starts or [np.eye(3)]
    ]
    rotation, translation, _ = min(trials, key=lambda trial: trial[2])
    rotation, translation, _ = _iterate(points, target, rotation, translation, ICP_STEPS)
    return rotation, translation


def _iterate(
    points: NDArray, target: KDTree, rotation: NDArray, translation: NDArray, steps: int
) -> tuple[NDArray, NDArray, float]:
    error = np.inf
    for _ in range(steps):
        distance, index = target.query(points @ rotation.T + translation)
        before, error = error, float(np.mean(distance**2))
        if before - error < 1e-6:
            break
        rotation, translation = _fit(points, np.asarray(target.data)[index])
    return rotation, translation, error


def _fit(source: NDArray, goal: NDArray) -> tuple[NDArray, NDArray]:
    """Least-squares rotation and translation between paired points (Kabsch 1976)."""
    a, b = source.mean(0), goal.mean(0)
    u, _, vt = np.linalg.svd((goal - b).T @ (source - a))
    rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    return rotation, b - rotation @ a
