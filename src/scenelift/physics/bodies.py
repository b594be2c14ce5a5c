"""Turn objects into rigid bodies, with the floor and table tops that they stand on.

Everything is in a frame of simulators: z up, metres (or what the scene has in their place), with
the photo's camera above x = y = 0 and z = 0 at the floor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.transforms import pose_matrix
from scenelift.physics.hulls import Hull, convex_hulls
from scenelift.physics.masses import mass_properties
from scenelift.physics.materials import FRICTION, density_of
from scenelift.physics.settle import FLOOR, Shelf, Standing, settle
from scenelift.types import Mesh, SceneObject

__all__ = ["Body", "Shelf", "World", "pose_rotation", "world_of"]


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
        mass: in kg, from density and the volume of the mesh's convex pieces.
        centre: float64 [3], of its mass, in the object's axes.
        inertia: float64 [3, 3], about that centre, in the object's axes.
        stands_on: "floor", "surface" or the name of another body.
        friction: Coulomb's coefficient.
    """

    name: str
    label: str
    position: NDArray[np.float64]
    rotation: tuple[float, float, float, float]
    mesh: Mesh
    hulls: tuple[Hull, ...]
    density: float
    mass: float
    centre: NDArray[np.float64]
    inertia: NDArray[np.float64]
    stands_on: str = "floor"
    friction: float = FRICTION

    @property
    def lowest(self) -> float:
        """Height of its lowest corner in the world."""
        return float(self.corners()[:, 2].min())

    def corners(self) -> NDArray[np.float64]:
        """Corners of its colliders in the world, [N, 3]."""
        rotation = pose_rotation(self.rotation)
        return np.concatenate([h.vertices for h in self.hulls]) @ rotation.T + self.position


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
    standings = [
        Standing(
            hulls=tuple(_moved(h, pose_rotation(b.rotation), b.position) for h in b.hulls),
            centre=pose_rotation(b.rotation) @ b.centre + b.position,
        )
        for b in bodies
    ]
    settled = settle(standings, levels)
    world = np.eye(4)
    world[:3, :3] = turn
    world[2, 3] = -settled.floor
    names = [b.name for b in bodies]
    return World(
        bodies=tuple(
            _settled(b, s, settled.floor, names)
            for b, s in zip(bodies, settled.standings, strict=True)
        ),
        shelves=settled.shelves,
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
    hulls = tuple(convex_hulls(mesh))
    density = density_of(o.instance.label, densities)
    mass, centre, inertia = mass_properties(hulls, density)
    return Body(
        name=o.name,
        label=o.instance.label,
        position=turn @ matrix[:3, 3],
        rotation=(float(w), float(x), float(y), float(z)),
        mesh=mesh,
        hulls=hulls,
        density=density,
        mass=mass,
        centre=centre,
        inertia=inertia,
    )


def _settled(body: Body, standing: Standing, floor: float, names: Sequence[str]) -> Body:
    """Return a body with the colliders and the mass centre that it was settled with."""
    back = pose_rotation(body.rotation).T
    position = body.position - [0, 0, floor]
    return replace(
        body,
        position=position,
        hulls=tuple(_moved(h, back, -back @ position) for h in standing.hulls),
        centre=back @ (standing.centre - position),
        stands_on=_carrier(standing.stands_on, names),
    )


def _carrier(on: int | None, names: Sequence[str]) -> str:
    """Name what carries a body, as `scene.json` does."""
    if on is None:
        return "surface"
    return "floor" if on == FLOOR else names[on]


def _moved(hull: Hull, rotation: NDArray[np.float64], shift: NDArray[np.float64]) -> Hull:
    return replace(hull, vertices=hull.vertices @ rotation.T + shift)


def _turn_upright(up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the rotation that takes `up` to z and the camera's right to about x."""
    z = up / np.linalg.norm(up)
    right = np.array([1.0, 0, 0]) if abs(z[0]) < 0.9 else np.array([0, 0, -1.0])
    x = right - (right @ z) * z
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])
