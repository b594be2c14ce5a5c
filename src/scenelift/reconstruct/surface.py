"""Shapes of models that make a surface and its materials: TRELLIS.2 and Pixal3D.

What the decoders give becomes a mesh whose faces look outwards, a volume of materials around it,
from which `finish` bakes its textures, and splats on it, so that every file can be written.

Shape letters in this file: V vertices, F faces, N voxels, S splats.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scenelift.finish.normals import face_normals
from scenelift.finish.orient import oriented
from scenelift.geometry.sampling import sample_surface
from scenelift.geometry.transforms import quaternion_from_matrix, transform_gaussians
from scenelift.models.trellis2.attributes import AttributeField
from scenelift.models.trellis2.model import LiftedSurface
from scenelift.types import Gaussians, MaterialVolume, Mesh, Pose, Shape

__all__ = ["shape_of_surface", "splats_on"]

# A GPU leaves so many faces of the fine mesh before it comes to the host: what a light mesh's
# textures and normals are read from. The published export begins with fewer.
MOST_FACES = 1_000_000
SPLATS = 100_000
# Standard deviations of a disc, over the spacing of discs and over its own radius: wide enough
# that no gap opens between them, and flat.
OVERLAP, FLATNESS = 0.7, 0.12
OPACITY = 0.99


def shape_of_surface(
    surface: LiftedSurface, object_from_cube: NDArray[np.float64], *, seed: int
) -> tuple[Shape, float]:
    """Convert an object to our frame: y up, inside [−0.5, 0.5]³.

    Vertices may lie half a voxel beyond the cube. Then the object is made smaller.

    Args:
        surface: in the frame of the model's cube.
        object_from_cube: [3, 3], turns axes into axes.
        seed: of the places of splats.

    Returns:
        The shape, and the factor that it was made smaller by: at most 1.
    """
    if not len(surface.faces):
        return Shape(), 1.0
    field = AttributeField(surface.cells, surface.attributes, surface.resolution)
    vertices, faces = _light_enough(surface)
    faces = oriented(vertices, faces)
    reach = float(np.abs(vertices).max(initial=0))
    shrink = min(1.0, 0.5 / reach)
    turn = object_from_cube.T * shrink
    colors = _at(field, vertices, surface)[:, :3]
    mesh = Mesh(
        vertices=np.clip(vertices @ turn, -0.5, 0.5).astype(np.float32),
        faces=faces,
        colors=np.rint(np.clip(colors, 0, 1) * 255).astype(np.uint8),
    )
    splats = splats_on(vertices, faces, lambda at: _at(field, at, surface), seed=seed)
    shape = Shape(
        gaussians=_rotate(splats, object_from_cube, shrink),
        mesh=mesh,
        materials=MaterialVolume(
            cells=_turned_cells(surface.cells, object_from_cube, surface.resolution),
            values=surface.attributes.half().cpu().numpy(),
            resolution=surface.resolution,
            side=shrink,
        ),
    )
    return shape, shrink


def _light_enough(surface: LiftedSurface) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    mesh = Mesh(
        vertices=surface.vertices.float().cpu().numpy(),
        faces=surface.faces.to(torch.int32).cpu().numpy(),
    )
    if surface.faces.device.type == "cuda" and len(mesh.faces) > MOST_FACES:
        from scenelift.finish.thinning import thin

        mesh = thin(mesh, MOST_FACES, surface.faces.device)
    return mesh.vertices, mesh.faces


def _at(field: AttributeField, points: NDArray, surface: LiftedSurface) -> NDArray[np.float32]:
    """Read attributes [P, 6] at points of the cube."""
    device = surface.attributes.device
    place = (torch.tensor(points, dtype=torch.float32, device=device) + 0.5) * surface.resolution
    values, _ = field.at(place)
    return values.cpu().numpy()


def _turned_cells(cells: Tensor, turn: NDArray[np.float64], resolution: int) -> NDArray[np.int32]:
    """Renumber cells in a cube with other axes: from the other end where one is turned round."""
    source = np.abs(turn).argmax(1)
    forward = turn[np.arange(3), source] > 0
    along = cells[:, source.tolist()]
    ends = torch.tensor(~forward, device=cells.device)
    return torch.where(ends, resolution - 1 - along, along).to(torch.int32).cpu().numpy()


def splats_on(
    vertices: NDArray[np.float32],  # [V, 3]
    faces: NDArray[np.int32],  # [F, 3]
    attributes_at: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    *,
    count: int = SPLATS,
    seed: int = 0,
) -> Gaussians:
    """Spread flat discs evenly over a surface, in its base colour: no light is in it.

    Args:
        attributes_at: points [S, 3] -> base colour, metallic, roughness, alpha [S, 6].
        count: about so many.
        seed: of their places.
    """
    on = sample_surface(vertices, faces, count, np.random.default_rng(seed))
    if on is None:
        empty = np.zeros((0, 3), np.float32)
        return Gaussians(
            means=empty,
            scales=empty,
            rotations=np.zeros((0, 4), np.float32),
            opacities=np.zeros(0, np.float32),
            sh0=empty,
        )
    means = on.at(vertices, faces)
    normal = face_normals(vertices, faces[on.face])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    helper = np.where(np.abs(normal[:, :1]) < 0.6, [[1.0, 0, 0]], [[0.0, 1, 0]])
    first = np.cross(normal, helper)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-30)
    axes = np.stack([first, np.cross(normal, first), normal], -1)
    radius = OVERLAP * (on.area / max(1, len(means))) ** 0.5
    values = attributes_at(means)
    disc = np.array([radius, radius, FLATNESS * radius], np.float32)
    return Gaussians(
        means=means,
        scales=np.tile(disc, (len(means), 1)),
        rotations=quaternion_from_matrix(axes).astype(np.float32),
        opacities=(OPACITY * np.clip(values[:, 5], 0, 1)).astype(np.float32),
        sh0=Gaussians.sh0_of(np.clip(values[:, :3], 0, 1)),
    )


def _rotate(splats: Gaussians, turn: NDArray[np.float64], scale: float) -> Gaussians:
    w, x, y, z = (float(part) for part in quaternion_from_matrix(turn))
    rotated = transform_gaussians(splats, Pose(rotation=(w, x, y, z), scale=scale))
    np.clip(rotated.means, -0.5, 0.5, out=rotated.means)
    return rotated
