"""The triangles in one hole, which are cut and flipped."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from scenelift.jit import compiled

__all__ = ["Patch"]

EXACT = 120  # the longest rim whose best triangulation is searched for: the time grows with n³
MOST = 4000  # vertices that refinement may add

Triangle = tuple[int, int, int]


class Patch:
    """A disc of triangles whose first vertices are the rim, in order, counter-clockwise.

    Args:
        rim: [n, 3], n ≥ 3.
        outward: [n, 3], unit normals of the faces beside the edges from each vertex to the next.
        used_edges: edges (a < b) between vertices of the rim that the mesh around has already.

    Attributes:
        points: [n + m, 3], rim first.
    """

    def __init__(
        self,
        rim: NDArray[np.float64],
        outward: NDArray[np.float64],
        used_edges: set[tuple[int, int]],
    ) -> None:
        self.points = rim
        self._used_edges = used_edges
        self._rim = len(rim)
        self._opposite: dict[tuple[int, int], int] = {}  # directed edge -> third corner
        triangulate = _least_bent if len(rim) <= EXACT else _by_ears
        for triangle in triangulate(rim, outward):
            self._add(triangle)

    def triangles(self) -> NDArray[np.int64]:  # [T, 3]
        """Return each triangle once."""
        return np.array(
            [(a, b, c) for (a, b), c in self._opposite.items() if a < b and a < c], np.int64
        ).reshape(-1, 3)

    def refine(self, longest: float) -> None:
        """Split inner edges in half, longest first, until none is longer than that.

        Edges around are flipped to keep the angles wide (Delaunay). Edges that the mesh has already
        are split whatever their length, as an edge of four faces would not be manifold.
        """
        points = [tuple(p) for p in self.points.tolist()]
        heap = [
            (-np.inf if (a, b) in self._used_edges else -_distance(points, a, b), a, b)
            for (a, b) in self._opposite
            if a < b and self._inner(a, b)
        ]
        heapq.heapify(heap)
        while heap and len(points) < self._rim + MOST:
            negative, a, b = heapq.heappop(heap)
            if -negative <= longest:
                break
            if not self._inner(a, b):
                continue
            c, d = self._opposite[a, b], self._opposite[b, a]
            m = len(points)
            points.append(tuple((p + q) / 2 for p, q in zip(points[a], points[b], strict=True)))
            self._remove((a, b, c))
            self._remove((b, a, d))
            for triangle in ((a, m, c), (m, b, c), (b, m, d), (m, a, d)):
                self._add(triangle)
            new_edges = self._flip([(a, c), (c, b), (b, d), (d, a)], points)
            for p, q in (*new_edges, (a, m), (m, b), (c, m), (d, m)):
                low, high = min(p, q), max(p, q)
                heapq.heappush(heap, (-_distance(points, low, high), low, high))
        self.points = np.array(points)

    def _inner(self, a: int, b: int) -> bool:
        return (a, b) in self._opposite and (b, a) in self._opposite

    def _flip(
        self, edges: list[tuple[int, int]], points: list[tuple[float, ...]]
    ) -> list[tuple[int, int]]:
        """Flip edges, and those around them, whose opposite angles sum to more than π."""
        new_edges: list[tuple[int, int]] = []
        budget = 100
        while edges and budget:
            a, b = edges.pop()
            if not self._inner(a, b):
                continue
            c, d = self._opposite[a, b], self._opposite[b, a]
            exists = (c, d) in self._opposite or (d, c) in self._opposite
            if exists or c == d or (min(c, d), max(c, d)) in self._used_edges:
                continue
            if _angle(points, c, a, b) + _angle(points, d, a, b) <= np.pi + 1e-6:
                continue
            budget -= 1
            self._remove((a, b, c))
            self._remove((b, a, d))
            self._add((c, d, b))
            self._add((d, c, a))
            new_edges.append((c, d))
            edges += [(a, c), (c, b), (b, d), (d, a)]
        return new_edges

    def _add(self, triangle: Triangle) -> None:
        a, b, c = triangle
        self._opposite[a, b], self._opposite[b, c], self._opposite[c, a] = c, a, b

    def _remove(self, triangle: Triangle) -> None:
        a, b, c = triangle
        del self._opposite[a, b], self._opposite[b, c], self._opposite[c, a]


def _distance(points: list[tuple[float, ...]], a: int, b: int) -> float:
    return sum((p - q) ** 2 for p, q in zip(points[a], points[b], strict=True)) ** 0.5


def _angle(points: list[tuple[float, ...]], at: int, a: int, b: int) -> float:
    u = np.subtract(points[a], points[at])
    v = np.subtract(points[b], points[at])
    return float(np.arctan2(np.linalg.norm(np.cross(u, v)), u @ v))


def _least_bent(rim: NDArray[np.float64], outward: NDArray[np.float64]) -> list[Triangle]:
    """Triangulate with the smallest sharpest bend; among equals, with the smallest area."""
    best_split = _best_splits(np.ascontiguousarray(rim), np.ascontiguousarray(outward))
    triangles, open_spans = [], [(0, len(rim) - 1)]
    while open_spans:
        i, k = open_spans.pop()
        if k - i < 2:
            continue
        m = int(best_split[i, k])
        triangles.append((i, m, k))
        open_spans += [(i, m), (m, k)]
    return triangles


@compiled
def _bend(ax, ay, az, bx, by, bz):
    """Compute 1 − cos of the angle between two unit normals; 2 if one is missing."""
    if (ax == 0 and ay == 0 and az == 0) or (bx == 0 and by == 0 and bz == 0):
        return 2.0
    return 1 - (ax * bx + ay * by + az * bz)


@compiled
def _best_splits(rim, outward):
    """Find the best triangle on every span i…k of the rim by dynamic programming."""
    n = len(rim)
    bend = np.zeros((n, n))
    area = np.zeros((n, n))
    split = np.zeros((n, n), np.int64)
    normal = np.zeros((n, n, 3))
    for i in range(n - 1):
        normal[i, i + 1] = outward[i]
    cross = np.zeros(3)
    for span in range(2, n):
        for i in range(n - span):
            k = i + span
            best_bend, best_area = np.inf, np.inf
            for m in range(i + 1, k):
                ux, uy, uz = rim[m, 0] - rim[i, 0], rim[m, 1] - rim[i, 1], rim[m, 2] - rim[i, 2]
                vx, vy, vz = rim[k, 0] - rim[i, 0], rim[k, 1] - rim[i, 1], rim[k, 2] - rim[i, 2]
                cross[0], cross[1], cross[2] = (
                    uy * vz - uz * vy,
                    uz * vx - ux * vz,
                    ux * vy - uy * vx,
                )
                length = np.sqrt(cross[0] ** 2 + cross[1] ** 2 + cross[2] ** 2)
                if length > 0:
                    cross /= length
                a, b = normal[i, m], normal[m, k]
                worst = max(
                    bend[i, m],
                    bend[m, k],
                    _bend(cross[0], cross[1], cross[2], a[0], a[1], a[2]),
                    _bend(cross[0], cross[1], cross[2], b[0], b[1], b[2]),
                )
                if span == n - 1:
                    c = outward[n - 1]
                    worst = max(worst, _bend(cross[0], cross[1], cross[2], c[0], c[1], c[2]))
                total = area[i, m] + area[m, k] + length
                if worst < best_bend - 1e-9 or (worst < best_bend + 1e-9 and total < best_area):
                    best_bend, best_area = worst, total
                    split[i, k] = m
                    normal[i, k] = cross
            bend[i, k], area[i, k] = best_bend, best_area
    return split


def _by_ears(rim: NDArray[np.float64], outward: NDArray[np.float64]) -> list[Triangle]:
    """Cut off the narrowest corner again and again, for rims too long for `_least_bent`."""
    n = len(rim)
    before, after = np.roll(np.arange(n), 1), np.roll(np.arange(n), -1)
    return [tuple(t) for t in _ears(np.ascontiguousarray(rim), before, after).tolist()]


@compiled
def _ears(rim, before, after):
    n = len(rim)
    triangles = np.zeros((n - 2, 3), np.int64)
    cost = np.zeros(n)
    alive = np.ones(n, np.bool_)
    for i in range(n):
        cost[i] = _corner(rim, before[i], i, after[i])
    for t in range(n - 2):
        best = -1
        for i in range(n):
            if alive[i] and (best < 0 or cost[i] < cost[best]):
                best = i
        p, q = before[best], after[best]
        triangles[t, 0], triangles[t, 1], triangles[t, 2] = p, best, q
        alive[best] = False
        after[p], before[q] = q, p
        cost[p] = _corner(rim, before[p], p, q)
        cost[q] = _corner(rim, p, q, after[q])
    return triangles


@compiled
def _corner(rim, a, b, c):
    """Measure how narrow a corner is: the length of the edge that would close it."""
    return np.sqrt(((rim[a] - rim[c]) ** 2).sum())
