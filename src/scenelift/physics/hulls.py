"""Split a mesh into convex pieces for collisions.

The decomposition is CoACD's (https://arxiv.org/abs/2205.02961): concavity is judged by collisions,
so that a cup stays open and a chair can be pushed under a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import SetupError
from scenelift.types import Mesh

__all__ = ["MOST_CORNERS", "Hull", "bounds_of", "convex_hulls", "cut", "furthest", "hull_of"]

CONCAVITY = 0.06  # of the object's size, left in a piece: CoACD's own is 0.05
MOST_HULLS = 24
MOST_CORNERS = 48  # of one piece: MuJoCo and PhysX take 64 at most
CONVEX = 0.97  # of its hull's volume: what fills that is one piece
THINNEST = 1e-3  # of the longest side: simulators refuse what has no volume


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hull:
    """A convex piece.

    Attributes:
        vertices: float64 [V, 3].
        faces: int32 [F, 3], counter-clockwise seen from outside.
        volume: in cubed units of the vertices.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    volume: float

    def planes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return unit normals [P, 3] and offsets [P]: inside, normal · x is at most the offset."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        normals = np.cross(b - a, c - a)
        lengths = np.linalg.norm(normals, axis=1)
        real = lengths > 1e-9 * lengths.max()
        normals = normals[real] / lengths[real, None]
        return normals, (normals @ self.vertices.T).max(1)

    def edges(self) -> NDArray[np.int64]:
        """Return pairs of corners [E, 2], each once."""
        pairs = np.concatenate(
            [self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]]
        )
        return np.unique(np.sort(pairs, axis=1), axis=0).astype(np.int64)

    def crossings(
        self, normal: NDArray[np.float64], offset: float
    ) -> NDArray[np.float64]:  # [N, 3]
        """Return the points where edges cross the plane normal · x = offset."""
        heights = self.vertices @ normal - offset
        edges = self.edges()
        edges = edges[heights[edges[:, 0]] * heights[edges[:, 1]] < 0]
        first, second = heights[edges[:, :1]], heights[edges[:, 1:]]
        share = first / (first - second)
        return self.vertices[edges[:, 0]] * (1 - share) + self.vertices[edges[:, 1]] * share


def convex_hulls(mesh: Mesh) -> list[Hull]:
    """Split a mesh into convex pieces that fill it; the same mesh gives the same pieces.

    Args:
        mesh: of any kind, closed or not; at least four vertices that are not in one plane, or they
            are given a thickness.

    Raises:
        SetupError: the package is not installed.
    """
    try:
        import coacd
    except ImportError as exc:
        raise SetupError(
            "Colliders need the package coacd: pip install 'scenelift[physics]'."
        ) from exc
    coacd.set_log_level("error")
    vertices = mesh.vertices.astype(np.float64)
    used = vertices[np.unique(mesh.faces)] if len(mesh.faces) else vertices
    size = float((used.max(0) - used.min(0)).max())
    thin = float(np.linalg.svd(used - used.mean(0), compute_uv=False)[-1]) / np.sqrt(len(used))
    if thin < THINNEST * size or len(mesh.faces) < 4:
        return [hull_of(_thickened(used, size))]
    whole = _whole(mesh)
    if whole is not None:
        return [whole]
    parts = coacd.run_coacd(
        coacd.Mesh(vertices, mesh.faces.astype(np.int32)),
        threshold=CONCAVITY,
        max_convex_hull=MOST_HULLS,
        max_ch_vertex=MOST_CORNERS,
        preprocess_resolution=30,
        resolution=1000,
        mcts_nodes=10,
        mcts_iterations=60,
        mcts_max_depth=2,
        seed=0,
    )
    hulls = [hull_of(np.asarray(corners)) for corners, _ in parts if len(corners) >= 4]
    return hulls or [hull_of(_thickened(used, size))]


def _whole(mesh: Mesh) -> Hull | None:
    """Return the hull of a closed mesh that is convex already; decomposing one takes seconds."""
    import trimesh

    shape = trimesh.Trimesh(mesh.vertices, mesh.faces)
    hull = hull_of(shape.vertices)
    if not shape.is_watertight or shape.volume < CONVEX * hull.volume:
        return None
    return hull_of(furthest(hull.vertices, MOST_CORNERS))


def bounds_of(hulls: Sequence[Hull]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and the highest corner [3] of the box around some pieces."""
    low = np.min([h.vertices.min(0) for h in hulls], axis=0)
    high = np.max([h.vertices.max(0) for h in hulls], axis=0)
    return low, high


def furthest(corners: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Return corners of a convex piece, at most that many: those that reach furthest."""
    if len(corners) <= most:
        return corners
    k = np.arange(most) + 0.5
    z, turn = 1 - 2 * k / most, k * np.pi * (3 - np.sqrt(5))  # evenly around a sphere
    flat = np.sqrt(1 - z * z)
    directions = np.stack([flat * np.cos(turn), flat * np.sin(turn), z], 1)
    return corners[np.unique((corners @ directions.T).argmax(0))]


def hull_of(points: NDArray) -> Hull:
    """Make the convex hull of points; those in one plane get a thickness."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        hull = ConvexHull(points)
    except QhullError:
        hull = ConvexHull(_thickened(points, float(np.ptp(points, axis=0).max())))
    points = hull.points
    corners, place = np.unique(hull.simplices, return_inverse=True)
    vertices = points[corners]
    faces = place.reshape(-1, 3).astype(np.int32)
    # Qhull does not order the corners of a face: outwards is away from the middle.
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    inwards = (np.cross(b - a, c - a) * (a - vertices.mean(0))).sum(1) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    return Hull(vertices=vertices, faces=faces, volume=float(hull.volume))


def cut(hull: Hull, normal: NDArray[np.float64], offset: float) -> Hull | None:
    """Cut off what lies beyond the plane normal · x = offset; None if hardly anything is left."""
    heights = hull.vertices @ normal - offset
    if (heights <= 0).all():
        return hull
    points = np.concatenate([hull.vertices[heights <= 0], hull.crossings(normal, offset)])
    size = float(np.ptp(hull.vertices, axis=0).max())
    if len(points) < 4 or float(-heights.min()) < THINNEST * size:
        return None
    return hull_of(points)


def _thickened(points: NDArray, size: float) -> NDArray[np.float64]:
    """Add points on both sides of a flat sheet, so that it has a volume."""
    middle = points.mean(0)
    _, _, axes = np.linalg.svd(points - middle, full_matrices=True)
    reach = 5 * THINNEST * max(size, 1e-6)
    spread = points - middle
    # A line is thickened across both of its short axes.
    offsets = [axes[-1] * reach, -axes[-1] * reach, axes[-2] * reach, -axes[-2] * reach]
    return np.concatenate([middle + spread + o for o in offsets])
