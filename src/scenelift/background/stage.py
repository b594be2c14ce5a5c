"""The background stage: floor, walls and what else the photo shows, without the objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scenelift.background.inpaint import complete
from scenelift.background.planes import Plane, find_walls, ground_planes
from scenelift.background.relief import (
    grid_of,
    relief_behind,
    relief_behind_edges,
    sample_points,
)
from scenelift.background.shape import JUMP, Layer, mesh_of, splats_of
from scenelift.compose.ground import find_ground
from scenelift.geometry.regions import distance_inside
from scenelift.geometry.transforms import transform_gaussians
from scenelift.progress import Reporter, silent
from scenelift.types import Background, Gaussians, Image, Instance, Mesh, PointMap, Pose

__all__ = ["Mode", "lift_background"]

Mode = Literal["photo", "planes"]

CELLS = 22_000  # of the first layer: two faces each, and some thousands behind edges
BEHIND_EDGES = 14  # cells that what is behind goes on at a jump of the depth
MOST_SPLATS = 120_000
RIM = 0.012  # of the longer side: pixels at a mask's rim that mix object and background
COARSE = 12_000  # cells at which walls are looked for
CAMERA_UP = np.array([0.0, 1.0, 0.0])


def lift_background(
    image: Image,
    points: PointMap,
    instances: Sequence[Instance],
    *,
    mode: Mode = "photo",
    factor: float = 1.0,
    seed: int = 0,
    report: Reporter | None = None,
) -> Background:
    """Turn what the photo shows around and behind the objects into geometry.

    Args:
        image, points: of one size with the masks.
        instances: the objects, which are taken out.
        mode: "photo" for all that is seen, "planes" for floor, table tops and walls alone.
        factor: units of the scene in one of the point map.
        seed: makes the result repeatable.
        report: progress; raises Cancelled between steps.
    """
    report = report or silent()
    hidden = _rimmed(instances, image)
    report.update(0, 4, "floor and walls")
    ground = find_ground(points, instances, seed=seed)
    up = CAMERA_UP if ground is None else ground.up
    planes = [*ground_planes(ground), *_walls(points, hidden, up, seed)]
    report.update(1, 4, "depths behind the objects")
    relief = relief_behind(points, hidden, planes, cells=CELLS)
    report.update(2, 4, "the picture behind the objects")
    pixels = complete(image.pixels, hidden, _regions(relief.surface, image))
    layers = [Layer(relief=relief, pixels=pixels)]
    second = relief_behind_edges(relief, planes, jump=JUMP, reach=BEHIND_EDGES)
    if second is not None:
        unseen = _enlarged(second.filled, image)
        again = complete(pixels, unseen, _regions(second.surface, image))
        layers.append(Layer(relief=second, pixels=again, within=second.filled))
    report.update(3, 4, "mesh and splats")
    flat = mode == "planes"
    mesh = mesh_of(layers, planes_only=flat)
    splats = splats_of(layers, planes_only=flat, most=MOST_SPLATS)
    notes = [] if planes else ["No floor and no wall was seen: the background is a relief alone."]
    if flat and not planes:
        notes = ["No floor and no wall was seen: there is no background."]
    return Background(
        mode=mode,
        mesh=_grown_mesh(mesh, factor),
        gaussians=_grown_splats(splats, factor),
        planes=tuple(p.kind for p in planes),
        up=(float(up[0]), float(up[1]), float(up[2])),
        levels=() if ground is None else tuple(float(h) * factor for h in ground.levels),
        notes=tuple(notes),
    )


def _rimmed(instances: Sequence[Instance], image: Image) -> NDArray[np.bool_]:
    """All masks, grown by the pixels in which object and background mix."""
    hidden = np.zeros((image.height, image.width), bool)
    for instance in instances:
        hidden |= instance.mask
    reach = max(2, round(RIM * max(image.height, image.width)))
    return distance_inside(~hidden) <= reach if hidden.any() else hidden


def _walls(
    points: PointMap, hidden: NDArray[np.bool_], up: NDArray[np.float64], seed: int
) -> list[Plane]:
    """Walls, from a coarse grid of points and their normals."""
    _, place = grid_of(points.camera, COARSE)
    grid = sample_points(points.points, place).astype(np.float64)
    covered = sample_points(hidden, place)
    if points.normals is not None:
        normals = sample_points(points.normals, place).astype(np.float64)
    else:
        across = np.full_like(grid, np.nan)
        down = np.full_like(grid, np.nan)
        across[:, 2:-2] = grid[:, 4:] - grid[:, :-4]
        down[2:-2] = grid[4:] - grid[:-4]
        cross = np.cross(down, across)
        with np.errstate(invalid="ignore", divide="ignore"):
            normals = cross / np.linalg.norm(cross, axis=-1, keepdims=True)
    usable = np.isfinite(grid).all(-1) & np.isfinite(normals).all(-1) & ~covered
    if usable.sum() < 100:
        return []
    p, n = grid[usable], normals[usable]
    n = np.where((n * p).sum(1, keepdims=True) > 0, -n, n)  # towards the camera
    return find_walls(p, n, up, seed=seed)


def _enlarged(crossings: NDArray[np.bool_], image: Image) -> NDArray[np.bool_]:
    """Pixels [H, W] near one of the crossings of the grid."""
    grown = np.asarray(ndimage.binary_dilation(crossings, np.ones((3, 3), bool)))
    return _regions(grown.astype(np.int64), image) > 0


def _regions(surface: NDArray[np.int64], image: Image) -> NDArray[np.int64]:
    """The surface number of every pixel of the photo, from those at the grid's crossings."""
    h, w = surface.shape
    rows = np.rint(np.linspace(0, h - 1, image.height)).astype(int)
    columns = np.rint(np.linspace(0, w - 1, image.width)).astype(int)
    return surface[rows[:, None], columns]


def _grown_mesh(mesh: Mesh, factor: float) -> Mesh:
    return replace(mesh, vertices=(mesh.vertices * np.float32(factor)).astype(np.float32))


def _grown_splats(splats: Gaussians, factor: float) -> Gaussians:
    return transform_gaussians(splats, Pose(scale=factor))
