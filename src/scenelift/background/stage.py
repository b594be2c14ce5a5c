"""The background stage: rebuild floor, walls and surroundings without the objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

from scenelift.background.inpaint import complete
from scenelift.background.margin import Margin
from scenelift.background.planes import Plane, find_walls, ground_planes
from scenelift.background.relief import (
    Relief,
    backstop,
    grid_of,
    relief_behind,
    relief_behind_edges,
    sample_points,
)
from scenelift.background.rim import hidden_by
from scenelift.background.shape import JUMP, Layer, count_faces, mesh_of, splats_of
from scenelift.geometry.ground import find_ground
from scenelift.geometry.transforms import pose_matrix, transform_gaussians, transform_points
from scenelift.progress import Reporter, silent
from scenelift.threads import side_by_side
from scenelift.types import (
    Background,
    Gaussians,
    Image,
    Instance,
    Mesh,
    PointMap,
    Pose,
    SceneObject,
)

__all__ = ["Mode", "lift_background"]

Mode = Literal["photo", "planes"]

CELLS = 22_000  # of the first layer: two faces each, and some thousands behind edges
PIXELS_A_CELL = 4  # at least: a small photo has nothing finer to show
BEHIND_EDGES = 14  # cells that what is behind goes on at a jump of the depth
MOST_FACES = 60_000
MOST_SPLATS = 200_000
BLUR = 0.015  # of the longer side: the picture of what is behind everything
WORKING = 1024  # pixels of the longer side, beyond which the photo is made smaller
SIDES, ENDS = 0.16, 0.1  # of width and height: margin that a camera moving by 9 degrees sees
FAINT = 0.3  # splats of less opacity are no surface
POINTS_OF_AN_OBJECT = 60_000
COARSE = 12_000  # cells at which walls are looked for
CAMERA_UP = np.array([0.0, 1.0, 0.0])


def lift_background(
    image: Image,
    points: PointMap,
    instances: Sequence[Instance],
    *,
    objects: Sequence[SceneObject] = (),
    mode: Mode = "photo",
    factor: float = 1.0,
    seed: int = 0,
    report: Reporter | None = None,
) -> Background:
    """Turn what the photo shows around and behind the objects into geometry.

    Args:
        image, points: of one size with the masks.
        instances: the objects, which are taken out.
        objects: where they were placed in the scene, before the background.
        mode: "photo" for all that is seen, "planes" for floor, table tops and walls alone.
        factor: units of the scene in one of the point map.
        seed: makes the result repeatable.
        report: progress; raises Cancelled between steps.
    """
    report = report or silent()
    report.update(0, 4, "floor and walls")
    ground = find_ground(points, instances, seed=seed)
    up = CAMERA_UP if ground is None else ground.up
    pixels, points, masked = _at_working_size(image, points, instances)
    hidden = hidden_by(pixels, masked)
    planes = [*ground_planes(ground), *_walls(points, hidden, up, seed)]

    report.update(1, 4, "depths behind the objects")
    margin = Margin.of(points.camera, SIDES, ENDS)
    wide, outside = margin.points(points), margin.around(np.zeros_like(hidden), True)
    solid = _points_of(objects) / factor
    hidden_wide, picture_wide = margin.around(hidden, False), margin.mirrored(pixels)
    cells = max(1, min(CELLS, hidden.size // PIXELS_A_CELL))
    while True:
        relief = relief_behind(
            wide,
            hidden_wide,
            planes,
            cells=cells,
            pixels=picture_wide,
            outside=outside,
            solid=solid,
        )
        second = relief_behind_edges(relief, planes, jump=JUMP, reach=BEHIND_EDGES)
        sheet = backstop(relief, reach=BEHIND_EDGES)
        layers = [
            Layer(relief=relief, pixels=picture_wide, photo_box=margin.photo_box(hidden)),
            Layer(relief=sheet, pixels=picture_wide, whole=True),
        ]
        if second is not None:
            layers.append(Layer(relief=second, pixels=picture_wide, within=second.filled))
        faces = count_faces(layers, planes_only=False)
        if faces <= MOST_FACES:
            break
        cells = int(cells * 0.95 * MOST_FACES / faces)

    report.update(2, 4, "the picture behind the objects")

    def completed(picture: NDArray[np.uint8], hole: NDArray[np.bool_], at: Relief) -> NDArray:
        return complete(picture, hole, margin.inside(_over(at.surface, margin, hidden)))

    behind = completed(pixels, hidden, relief)
    layers[0] = replace(layers[0], pixels=margin.mirrored(behind))
    again = behind
    if second is not None and second.front is not None:
        front = margin.inside(_over(_grown(second.front), margin, hidden))
        again = completed(behind, front, second)
        layers[2] = replace(layers[2], pixels=margin.mirrored(again))
    layers[1] = replace(layers[1], pixels=_blurred(margin.mirrored(again)))
    report.update(3, 4, "mesh and splats")
    flat = mode == "planes"
    mesh = mesh_of(layers, planes_only=flat)
    splats = splats_of(layers, planes_only=flat, most=min(MOST_SPLATS, 2 * hidden.size))
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


def _points_of(objects: Sequence[SceneObject]) -> NDArray[np.float64]:
    """Collect points [N, 3] of objects in the scene: means of their splats, or mesh corners."""
    points = [np.zeros((0, 3))]
    for o in objects:
        shape = o.shape
        if shape.gaussians is not None and len(shape.gaussians):
            own = shape.gaussians.means[shape.gaussians.opacities > FAINT]
        elif shape.mesh is not None:
            own = shape.mesh.vertices
        else:
            continue
        some = own[:: -(-len(own) // POINTS_OF_AN_OBJECT) or 1]
        points.append(transform_points(some, pose_matrix(o.pose)))
    return np.concatenate(points)


def _at_working_size(
    image: Image, points: PointMap, instances: Sequence[Instance]
) -> tuple[NDArray[np.uint8], PointMap, NDArray[np.bool_]]:
    """Scale photo, point map and all masks together to at most the size of textures."""
    masked = np.zeros((image.height, image.width), bool)
    for instance in instances:
        masked |= instance.mask
    factor = WORKING / max(image.height, image.width)
    if factor >= 1:
        return image.pixels, points, masked
    width, height = (max(1, round(side * factor)) for side in (image.width, image.height))
    small = Pillow.fromarray(image.pixels).resize((width, height), Pillow.Resampling.BOX)
    cover = Pillow.fromarray(masked.astype(np.float32)).resize(
        (width, height), Pillow.Resampling.BOX
    )
    rows = ((np.arange(height) + 0.5) * image.height / height).astype(int)[:, None]
    columns = ((np.arange(width) + 0.5) * image.width / width).astype(int)
    smaller = PointMap(
        points=points.points[rows, columns],
        normals=None if points.normals is None else points.normals[rows, columns],
        camera=points.camera.resized(width, height),
    )
    return np.asarray(small), smaller, np.asarray(cover) > 0


def _walls(
    points: PointMap, hidden: NDArray[np.bool_], up: NDArray[np.float64], seed: int
) -> list[Plane]:
    """Find walls, from a coarse grid of points and their normals."""
    _, place = grid_of(points.camera, COARSE)
    grid = sample_points(points.points, place).astype(np.float64)
    on_objects = sample_points(hidden, place)
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
    usable = np.isfinite(grid).all(-1) & np.isfinite(normals).all(-1) & ~on_objects
    if usable.sum() < 100:
        return []
    p, n = grid[usable], normals[usable]
    n = np.where((n * p).sum(1, keepdims=True) > 0, -n, n)  # towards the camera
    return find_walls(p, n, up, seed=seed)


def _blurred(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blur a picture until nothing in it looks like a thing; light and colours stay."""
    sigma = BLUR * max(pixels.shape[:2])
    channels = (pixels[..., k].astype(np.float32) for k in range(pixels.shape[2]))
    blurred = side_by_side(lambda c: ndimage.gaussian_filter(c, sigma), channels)
    return np.stack(list(blurred), -1).astype(np.uint8)


def _grown(crossings: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Grow a mask by the grid's crossings that touch it."""
    return np.asarray(ndimage.binary_dilation(crossings, np.ones((3, 3), bool)), bool)


def _over(values: NDArray, margin: Margin, photo: NDArray[np.bool_]) -> NDArray:
    """Give every pixel of photo and margin the value of the nearest crossing of the grid."""
    h, w = values.shape
    height, width = margin.around(photo, False).shape
    rows = np.rint(np.linspace(0, h - 1, height)).astype(int)
    columns = np.rint(np.linspace(0, w - 1, width)).astype(int)
    return values[rows[:, None], columns]


def _grown_mesh(mesh: Mesh, factor: float) -> Mesh:
    return replace(mesh, vertices=(mesh.vertices * np.float32(factor)).astype(np.float32))


def _grown_splats(splats: Gaussians, factor: float) -> Gaussians:
    return transform_gaussians(splats, Pose(scale=factor))
