"""Find the exact nearest point of a triangle mesh for each of many points.

Faces lie in the cells of a grid; a point looks at the cells around its own, shell by shell, until
no shell beyond can hold anything nearer.

Shape letters in this file: V vertices, F faces, P points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenelift.jit import compiled, kernel_array, spread

__all__ = ["Nearest", "nearest", "nearest_points"]

# Cells along the longest side: as many as there are faces along it, about, but no more than this.
_MOST_CELLS = 256


class Nearest:
    """The nearest points, and where on the mesh they are.

    Attributes:
        face: int64 [P].
        weights: float32 [P, 3], barycentric, of the face's corners.
        points: float32 [P, 3].
    """

    __slots__ = ("face", "points", "weights")

    def __init__(
        self,
        vertices: NDArray[np.float32],
        faces: NDArray[np.int32],
        face: NDArray[np.int64],
        weights: NDArray[np.float32],
    ) -> None:
        self.face, self.weights = face, weights
        corners = vertices[faces[face]]  # [P, 3, 3]
        self.points = np.einsum("pk,pkc->pc", weights, corners).astype(np.float32)


def nearest(
    vertices: NDArray[np.float32],  # [V, 3]
    faces: NDArray[np.int32],  # [F, 3], F > 0
    points: NDArray[np.float32],  # [P, 3], finite
) -> Nearest:
    """Find the nearest point of the mesh for every point."""
    if not len(faces):
        raise ValueError("a mesh without faces has no nearest point")
    vertices = kernel_array(vertices, np.float32)
    faces = kernel_array(faces, np.int32)
    points = kernel_array(points, np.float32)
    corners = vertices[faces]
    low, high = corners.min((0, 1)), corners.max((0, 1))
    extent = float((high - low).max())
    cell = max(extent / max(4.0, min(_MOST_CELLS, (len(faces) / 8) ** 0.5)), 1e-6 + 1e-6 * extent)
    size = (np.floor((high - low) / cell).astype(np.int64) + 1).clip(1)
    starts, order = _bins(vertices, faces, low, cell, size)
    face = np.zeros(len(points), np.int64)
    weights = np.zeros((len(points), 3), np.float32)
    spread(
        _look,
        len(points),
        vertices,
        faces,
        points,
        low.astype(np.float64),
        cell,
        size,
        starts,
        order,
        face,
        weights,
    )
    return Nearest(vertices, faces, face, weights)


def nearest_points(
    vertices: NDArray[np.float32], faces: NDArray[np.int32], points: NDArray[np.float32]
) -> NDArray[np.float32]:  # [P, 3]
    """Return only the points of `nearest`."""
    return nearest(vertices, faces, points).points


@compiled
def _bins(vertices, faces, low, cell, size):
    """Sort faces into all cells that their boxes touch: first of each cell [cells + 1], faces."""
    counts = np.zeros(size[0] * size[1] * size[2] + 1, np.int64)
    first, last = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for f in range(len(faces)):
        _box(vertices, faces, f, low, cell, size, first, last)
        for i in range(first[0], last[0] + 1):
            for j in range(first[1], last[1] + 1):
                for k in range(first[2], last[2] + 1):
                    counts[(i * size[1] + j) * size[2] + k + 1] += 1
    starts = np.cumsum(counts)
    place = starts[:-1].copy()
    order = np.zeros(starts[-1], np.int32)
    for f in range(len(faces)):
        _box(vertices, faces, f, low, cell, size, first, last)
        for i in range(first[0], last[0] + 1):
            for j in range(first[1], last[1] + 1):
                for k in range(first[2], last[2] + 1):
                    c = (i * size[1] + j) * size[2] + k
                    order[place[c]] = f
                    place[c] += 1
    return starts, order


@compiled
def _box(vertices, faces, f, low, cell, size, first, last):
    """Write into `first` and `last` the range of cells that a face's box covers."""
    for c in range(3):
        a, b, d = vertices[faces[f, 0], c], vertices[faces[f, 1], c], vertices[faces[f, 2], c]
        least, most = min(a, b, d) - low[c], max(a, b, d) - low[c]
        first[c] = max(0, min(size[c] - 1, int(np.floor(least / cell))))
        last[c] = max(0, min(size[c] - 1, int(np.floor(most / cell))))


@compiled
def _look(begin, end, vertices, faces, points, low, cell, size, starts, order, face, weights):
    own = np.zeros(3, np.int64)
    inside = np.zeros(3)
    point = np.zeros(3)
    for p in range(begin, end):
        # From a cell of the grid: for a point outside it, from the nearest.
        outside = 0.0
        for c in range(3):
            at = float(points[p, c]) - low[c]
            own[c] = max(0, min(size[c] - 1, int(np.floor(at / cell))))
            inside[c] = max(0.0, min(size[c] * cell, at))
            outside += (at - inside[c]) ** 2
        best, nearest_face = np.inf, -1
        radius = 0
        most = max(size[0], size[1], size[2])
        while radius <= most:
            if nearest_face >= 0:
                # All that lies beyond the shells so far is at least so far away.
                clear = np.inf
                for c in range(3):
                    clear = min(clear, inside[c] - (own[c] - radius + 1) * cell)
                    clear = min(clear, (own[c] + radius) * cell - inside[c])
                clear = max(0.0, clear)
                if clear * clear + outside >= best:
                    break
            for i in range(max(0, own[0] - radius), min(size[0] - 1, own[0] + radius) + 1):
                edge_i = abs(i - own[0]) == radius
                for j in range(max(0, own[1] - radius), min(size[1] - 1, own[1] + radius) + 1):
                    edge_j = edge_i or abs(j - own[1]) == radius
                    for k in range(max(0, own[2] - radius), min(size[2] - 1, own[2] + radius) + 1):
                        if not (edge_j or abs(k - own[2]) == radius):
                            continue
                        c = (i * size[1] + j) * size[2] + k
                        for n in range(starts[c], starts[c + 1]):
                            f = order[n]
                            distance = _closest(vertices, faces, f, points, p, point)
                            if distance < best:
                                best, nearest_face = distance, f
                                weights[p, 0] = point[0]
                                weights[p, 1] = point[1]
                                weights[p, 2] = point[2]
            radius += 1
        face[p] = nearest_face


@compiled
def _closest(vertices, faces, f, points, p, weights):
    """Compute the squared distance to a face, and the barycentric weights of its nearest point.

    By the regions of its plane: Ericson, Real-Time Collision Detection, 5.1.5.
    """
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    d1 = d2 = d3 = d4 = d5 = d6 = 0.0
    for k in range(3):
        ab = float(vertices[b, k]) - vertices[a, k]
        ac = float(vertices[c, k]) - vertices[a, k]
        ap = float(points[p, k]) - vertices[a, k]
        bp = float(points[p, k]) - vertices[b, k]
        cp = float(points[p, k]) - vertices[c, k]
        d1 += ab * ap
        d2 += ac * ap
        d3 += ab * bp
        d4 += ac * bp
        d5 += ab * cp
        d6 += ac * cp
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    u, v, w = 1.0, 0.0, 0.0
    if d1 <= 0 and d2 <= 0:
        pass
    elif d3 >= 0 and d4 <= d3:
        u, v, w = 0.0, 1.0, 0.0
    elif vc <= 0 and d1 >= 0 and d3 <= 0:
        v = d1 / (d1 - d3)
        u, w = 1 - v, 0.0
    elif d6 >= 0 and d5 <= d6:
        u, v, w = 0.0, 0.0, 1.0
    elif vb <= 0 and d2 >= 0 and d6 <= 0:
        w = d2 / (d2 - d6)
        u, v = 1 - w, 0.0
    elif va <= 0 and d4 >= d3 and d5 >= d6:
        w = (d4 - d3) / max((d4 - d3) + (d5 - d6), 1e-300)
        u, v = 0.0, 1 - w
    elif va + vb + vc > 0:
        v, w = vb / (va + vb + vc), vc / (va + vb + vc)
        u = 1 - v - w
    weights[0], weights[1], weights[2] = u, v, w
    distance = 0.0
    for k in range(3):
        at = u * vertices[a, k] + v * vertices[b, k] + w * vertices[c, k]
        distance += (float(points[p, k]) - at) ** 2
    return distance
