"""A solid seen from the photo's camera: every point is a pixel, a depth, and a side.

The solid is built along viewing rays, not across parallel ones: whatever its thickness, it covers
exactly the pixels of its outline in the photo it came from.
"""

from __future__ import annotations

from dataclasses import dataclass

import fast_simplification
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from scenelift.geometry.isosurface import isosurface
from scenelift.geometry.regions import nearest_inside
from scenelift.reconstruct.embedded.outline import Outline
from scenelift.reconstruct.embedded.volume import OccupancyField
from scenelift.types import Camera

__all__ = ["Solid", "Surface", "surface_of"]

MAX_FACES = 30_000
# Decimation seldom leaves these surfaces closed (steps along rays pinch), so more is put up with.
MAX_FILLED_FACES = 60_000
# Decimation's aggressiveness (its own default is 7), tried in turn: collapsing edges in haste
# pinches thin parts together now and then, and costs no less time.
HASTES = (5, 3, 1)
# Half thickness over focal length: nearer than this to the camera a solid would engulf it.
MOST_SWELL = 0.4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solid:
    """A solid between a front and a back height field along the rays of a camera.

    Lengths along a ray are in pixels at the solid's distance: `distance · w / fx` in scene units,
    positive away from the camera.

    Attributes:
        outline: the outline and its grid of nodes.
        phi: float64 [h, w], squared half thickness in pixels², negative outside.
        middle: float64 [h, w], where half way between front and back lies, in pixels.
        camera: the photo's camera.
        distance: depth of w = 0 in scene units.
        occupancy: what is inside between front and back, where that is known; None: everything.
    """

    outline: Outline
    phi: NDArray[np.float64]
    middle: NDArray[np.float64]
    camera: Camera
    distance: float
    occupancy: OccupancyField | None = None

    @classmethod
    def of(
        cls,
        outline: Outline,
        phi: NDArray[np.float64],
        relief: NDArray[np.float64] | None,
        camera: Camera,
        distance: float,
    ) -> Solid:
        """Make a solid whose visible surface has its median at `distance`.

        Args:
            relief: float64 [h, w], how far the visible surface lies beyond `distance`, in pixels;
                None makes front and back mirror images.
        """
        phi = phi * min(1.0, (MOST_SWELL * camera.fx) ** 2 / max(float(phi.max()), 1e-9))
        half = np.sqrt(np.maximum(phi, 0))
        median = float(np.median(half[outline.inside]))
        middle = np.full(phi.shape, median) if relief is None else relief + half
        return cls(outline=outline, phi=phi, middle=middle, camera=camera, distance=distance)

    @classmethod
    def of_occupancy(
        cls, outline: Outline, occupancy: OccupancyField, camera: Camera, distance: float
    ) -> Solid:
        """Make a solid of any shape; rays first enter its front and last leave its back.

        Raises:
            ValueError: nothing is inside.
        """
        first, last, hit = occupancy.extent()
        if not hit.any():
            raise ValueError("nothing is inside the field: there is no solid")
        near = nearest_inside(hit)
        first, last = first[near], last[near]
        h, w = outline.distance.shape
        u = outline.origin[0] + outline.step * np.arange(w)
        v = outline.origin[1] + outline.step * np.arange(h)
        rows = (v - occupancy.v[0]) / (occupancy.v[1] - occupancy.v[0])
        columns = (u - occupancy.u[0]) / (occupancy.u[1] - occupancy.u[0])
        where = np.meshgrid(rows, columns, indexing="ij")
        front, back = (
            map_coordinates(side, where, order=1, mode="nearest") for side in (first, last)
        )
        half = np.maximum((back - front) / 2, 0.25 * outline.step)
        phi = np.where(outline.inside, half**2, -(outline.step**2))
        middle = (front + back) / 2
        return cls(
            outline=outline,
            phi=phi,
            middle=middle,
            camera=camera,
            distance=distance,
            occupancy=occupancy,
        )

    @property
    def thickest(self) -> float:
        """The largest half thickness, in pixels."""
        return float(self.phi.max()) ** 0.5

    def half(self, u: NDArray, v: NDArray) -> NDArray[np.float64]:
        """Return the half thickness at photo coordinates, in pixels; 0 outside."""
        return np.sqrt(np.maximum(self.outline.sample(self.phi, u, v), 0))

    def at(self, u: NDArray, v: NDArray, w: NDArray) -> NDArray[np.float64]:  # [N] -> [N, 3]
        """Return points in the camera frame."""
        c = self.camera
        depth = self.distance * (1 + w / c.fx)
        return np.stack([(u - c.cx) / c.fx * depth, (c.cy - v) / c.fy * depth, -depth], -1)

    def front(self, u: NDArray, v: NDArray) -> NDArray[np.float64]:  # [N] -> [N, 3]
        """Return the visible surface."""
        return self.at(u, v, self.outline.sample(self.middle, u, v) - self.half(u, v))

    def side(self, points: NDArray[np.float64]) -> NDArray[np.float64]:  # [N, 3] -> [N]
        """Measure how far points lie before the rim, over the largest half thickness: −1…1."""
        u, v = self.camera.project(points).T
        w = (-points[:, 2] / self.distance - 1) * self.camera.fx
        return np.clip((self.outline.sample(self.middle, u, v) - w) / self.thickest, -1, 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """Triangles in the camera frame, counter-clockwise seen from outside.

    Attributes:
        vertices: float64 [V, 3].
        faces: int32 [F, 3].
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]

    def face_normals(self) -> NDArray[np.float64]:  # [F, 3]
        """Compute normals whose length is twice the face's area."""
        a, b, c = np.moveaxis(self.vertices[self.faces], 1, 0)
        return np.cross(b - a, c - a)

    def vertex_normals(self) -> NDArray[np.float64]:  # [V, 3]
        """Compute unit normals, weighted by area."""
        normals = np.zeros_like(self.vertices)
        faces = self.face_normals()
        for corner in range(3):
            np.add.at(normals, self.faces[:, corner], faces)
        lengths = np.linalg.norm(normals, axis=-1, keepdims=True)
        upright = np.tile([0.0, 0, 1], (len(normals), 1))
        return np.divide(normals, lengths, out=upright, where=lengths > 0)


def surface_of(solid: Solid, *, max_faces: int = MAX_FACES) -> Surface:
    """Build the closed surface of a solid, of at most about `max_faces` triangles."""
    if solid.occupancy is not None:
        most = max(max_faces, MAX_FILLED_FACES)
        return _decimated(_surface_of_occupancy(solid, solid.occupancy), most)
    step = solid.outline.step
    reach = int(np.ceil(solid.thickest / step)) + 2
    w = step * np.arange(-reach, reach + 1)[:, None, None]
    # φ − w² has its zero on the surface; the divisor is positive and makes the values nearly
    # linear across it, where marching cubes interpolates linearly.
    field = solid.phi - w**2
    field /= np.sqrt(np.maximum(solid.phi, 0) + step**2) + np.abs(w)
    index, faces = isosurface(field.astype(np.float32))

    (u0, v0), straight = solid.outline.origin, (index[:, 0] - reach) * step
    u, v = u0 + index[:, 2] * step, v0 + index[:, 1] * step
    vertices = solid.at(u, v, straight + solid.outline.sample(solid.middle, u, v))
    # The grid's axes run away from the camera, down and to the right: a left-handed frame.
    surface = Surface(vertices=vertices, faces=faces[:, ::-1])
    return _decimated(surface, max_faces)


def _surface_of_occupancy(solid: Solid, occupancy: OccupancyField) -> Surface:
    # Only the part of the field that has something inside, and a border around it.
    spans = []
    for axis in range(3):
        rest = tuple(k for k in range(3) if k != axis)
        slices = np.flatnonzero((occupancy.field > 0).any(rest))
        spans.append(slice(max(0, slices[0] - 1), slices[-1] + 2))
    index, faces = isosurface(np.ascontiguousarray(occupancy.field[tuple(spans)]))
    d, y, x = (index[:, k] + spans[k].start for k in range(3))
    steps = [axis[1] - axis[0] for axis in (occupancy.w, occupancy.v, occupancy.u)]
    w, v, u = (
        a[0] + step * i
        for a, step, i in zip(
            (occupancy.w, occupancy.v, occupancy.u), steps, (d, y, x), strict=True
        )
    )
    return Surface(vertices=solid.at(u, v, w), faces=faces[:, ::-1])


def _decimated(surface: Surface, max_faces: int) -> Surface:
    if len(surface.faces) <= max_faces:
        return surface
    # Decimation works in float32: centred and of unit size, it keeps its digits.
    centre = surface.vertices.mean(0)
    size = float(np.ptp(surface.vertices, axis=0).max())
    unit = ((surface.vertices - centre) / size).astype(np.float32)
    for haste in HASTES:
        vertices, faces, *_ = fast_simplification.simplify(
            unit, np.ascontiguousarray(surface.faces), target_count=max_faces, agg=haste
        )
        smaller = Surface(
            vertices=vertices.astype(np.float64) * size + centre, faces=faces.astype(np.int32)
        )
        if _closed(smaller.faces):
            return smaller
    # A closed surface is worth more than few faces.
    return surface


def _closed(faces: NDArray[np.int32]) -> bool:
    """Whether every edge is used once in each direction."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    count = int(faces.max()) + 1
    there, back = edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0]
    there.sort()
    back.sort()
    return bool((there[1:] != there[:-1]).all() and (there == back).all())
