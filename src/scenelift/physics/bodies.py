"""Turn objects into rigid bodies, with the floor and table tops that they stand on.

Everything is in a frame of simulators: z up, metres (or what the scene has in their place), with
the photo's camera above x = y = 0 and z = 0 at the lowest surface.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.transforms import pose_matrix
from scenelift.physics.hulls import Hull, convex_hulls
from scenelift.physics.materials import FRICTION, density_of
from scenelift.types import Mesh, SceneObject

__all__ = ["Body", "Shelf", "World", "world_of"]

STANDS_ON = 0.03  # of the scene's height: nearer than that to a surface, a thing stands on it
SHELF_THICKNESS = 0.02  # of a table top, in units of the scene
SHELF_MARGIN = 0.05  # beyond the footprints of what stands on it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Body:
    """A rigid body.

    Attributes:
        name: unique in the scene.
        label: what it was called.
        position: float64 [3], of the object's origin.
        rotation: w, x, y, z: world_from_object.
        mesh: what it looks like, scaled to the world's units, in the object's axes.
        hulls: its colliders, likewise.
        density: kg/m³.
        friction: Coulomb's coefficient.
    """

    name: str
    label: str
    position: NDArray[np.float64]
    rotation: tuple[float, float, float, float]
    mesh: Mesh
    hulls: tuple[Hull, ...]
    density: float
    friction: float = FRICTION

    @property
    def mass(self) -> float:
        """Mass in kg, from the volume of the colliders."""
        return self.density * sum(h.volume for h in self.hulls)

    @property
    def lowest(self) -> float:
        """Height of its lowest corner in the world."""
        return float(self.corners()[:, 2].min())

    def corners(self) -> NDArray[np.float64]:
        """Corners of its colliders in the world, [N, 3]."""
        rotation = pose_rotation(self.rotation)
        return np.concatenate([h.vertices for h in self.hulls]) @ rotation.T + self.position


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A level surface above the floor that does not move, such as a table top.

    Attributes:
        low, high: corners x, y of the rectangle.
        height: of its upper side.
        thickness: below that.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    height: float
    thickness: float = SHELF_THICKNESS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """The bodies and fixed surfaces that a simulator starts from; the floor is the plane z = 0.

    Attributes:
        bodies: one an object with a mesh.
        shelves: what stands still above the floor.
        world_from_scene: float64 [4, 4], rigid.
        metres: whether the units are metres.
    """

    bodies: tuple[Body, ...]
    shelves: tuple[Shelf, ...]
    world_from_scene: NDArray[np.float64]
    metres: bool


def world_of(
    objects: Sequence[SceneObject],
    *,
    up: Sequence[float] = (0.0, 1.0, 0.0),
    levels: Sequence[float] = (),
    metres: bool = False,
    densities: Mapping[str, float] | None = None,
) -> World:
    """Turn the objects of a scene into rigid bodies on what carries them.

    Args:
        objects: those without a mesh are left out.
        up: against gravity, in the scene frame.
        levels: heights along `up` of the floor and of table tops, where the photo shows them; a
            thing that stands on none of them gets a shelf of its own.
        metres: whether the scene's unit is the metre.
        densities: label or word -> kg/m³, in place of those of `materials`.

    Raises:
        SetupError: the package for colliders is not installed.
    """
    turn = _turn_upright(np.asarray(up, np.float64))
    bodies = [
        _body(o, turn, densities)
        for o in objects
        if o.shape.mesh is not None and len(o.shape.mesh.faces)
    ]
    lowest = min((b.lowest for b in bodies), default=0.0)
    # Nothing begins inside the ground: engines would throw it up.
    floor = min((*levels, lowest))
    world = np.eye(4)
    world[:3, :3] = turn
    world[2, 3] = -floor
    bodies = [_lowered(b, floor) for b in bodies]
    tops = sorted({level - floor for level in levels if level > floor})
    return World(
        bodies=tuple(bodies),
        shelves=tuple(_shelves(bodies, tops)),
        world_from_scene=world,
        metres=metres,
    )


def pose_rotation(wxyz: Sequence[float]) -> NDArray[np.float64]:
    """Convert a unit quaternion w, x, y, z to a rotation matrix [3, 3]."""
    from scipy.spatial.transform import Rotation

    w, x, y, z = wxyz
    return Rotation.from_quat([x, y, z, w]).as_matrix()


def _body(o: SceneObject, turn: NDArray, densities: Mapping[str, float] | None) -> Body:
    from scipy.spatial.transform import Rotation

    assert o.shape.mesh is not None
    matrix = pose_matrix(o.pose)
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    x, y, z, w = Rotation.from_matrix(turn @ matrix[:3, :3] / scale).as_quat(canonical=True)
    mesh = replace(o.shape.mesh, vertices=(o.shape.mesh.vertices * scale).astype(np.float32))
    return Body(
        name=o.name,
        label=o.instance.label,
        position=turn @ matrix[:3, 3],
        rotation=(float(w), float(x), float(y), float(z)),
        mesh=mesh,
        hulls=tuple(convex_hulls(mesh)),
        density=density_of(o.instance.label, densities),
    )


def _turn_upright(up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the rotation that takes `up` to z and the camera's right to about x."""
    z = up / np.linalg.norm(up)
    right = np.array([1.0, 0, 0]) if abs(z[0]) < 0.9 else np.array([0, 0, -1.0])
    x = right - (right @ z) * z
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def _near(bodies: Sequence[Body]) -> float:
    """Return how close to a surface counts as standing on it."""
    if not bodies:
        return STANDS_ON
    heights = np.concatenate([b.corners()[:, 2] for b in bodies])
    return STANDS_ON * float(heights.max() - heights.min())


def _lowered(body: Body, floor: float) -> Body:
    return replace(body, position=body.position - [0, 0, floor])


def _shelves(bodies: Sequence[Body], tops: Sequence[float]) -> list[Shelf]:
    """Make surfaces for the bodies that stand neither on the floor nor on each other."""
    near = _near(bodies)
    groups: dict[float, list[NDArray]] = {}
    heights: dict[float, float] = {}
    for body in sorted(bodies, key=lambda b: b.lowest):
        if body.lowest <= near or _carried(body, bodies, near):
            continue
        height = min((*tops, *groups), key=lambda t: abs(t - body.lowest), default=body.lowest)
        if abs(height - body.lowest) > near:
            height = body.lowest
        groups.setdefault(height, []).append(body.corners()[:, :2])
        heights[height] = min(heights.get(height, height), body.lowest)
    shelves = []
    for level, footprints in groups.items():
        height = heights[level]  # under the feet of what stands on it, as the floor is
        points = np.concatenate(footprints)
        low, high = points.min(0) - SHELF_MARGIN, points.max(0) + SHELF_MARGIN
        shelves.append(
            Shelf(
                low=(float(low[0]), float(low[1])),
                high=(float(high[0]), float(high[1])),
                height=float(height),
                thickness=min(SHELF_THICKNESS, float(height)),
            )
        )
    return shelves


def _carried(body: Body, bodies: Sequence[Body], near: float) -> bool:
    """Return whether another body reaches up to it from below."""
    corners = body.corners()
    for other in bodies:
        if other is body or other.lowest >= body.lowest:
            continue
        below = other.corners()
        apart = (below[:, :2].min(0) > corners[:, :2].max(0)) | (
            below[:, :2].max(0) < corners[:, :2].min(0)
        )
        if not apart.any() and below[:, 2].max() > body.lowest - near:
            return True
    return False
