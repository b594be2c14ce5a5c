"""The first half of the background: what the photo shows around its objects.

It needs the photo, its points and the masks, and no object: a run does it while it makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from scenelift.background.layers import Pictures, Reliefs
from scenelift.background.margin import Margin
from scenelift.background.planes import Plane, find_walls, ground_planes
from scenelift.background.relief import (
    VisibleRelief,
    grid_of,
    sample_points,
    visible_relief,
)
from scenelift.background.rim import hidden_by
from scenelift.geometry.ground import find_ground
from scenelift.progress import Reporter, silent
from scenelift.types import Image, Instance, PointMap

__all__ = ["MOST_FACES", "Surroundings", "look_around"]

MOST_FACES = 60_000
SPARE = 0.95  # of the faces at most: what is left is for objects that are placed otherwise

CELLS = 22_000  # of the first layer: two faces each, and some thousands behind edges
PIXELS_A_CELL = 4  # at least: a small photo has nothing finer to show
WORKING = 1024  # pixels of the longer side, beyond which the photo is made smaller
SIDES, ENDS = 0.16, 0.1  # of width and height: margin that a camera moving by 9 degrees sees
SPARED = 0.08  # of the width, that a corner may end before: all else pays for a wide margin
MOST_SIDES = 0.3  # of the width, where the floor is near: cells are the wider for it
SWING = np.tan(np.radians(9))
CORNER = 1 / 12  # of width and height: what is near is looked for there
COARSE = 12_000  # cells at which walls are looked for
CAMERA_UP = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surroundings:
    """What a photo shows around its objects, wherever these will be placed.

    Attributes:
        hidden: bool [H, W], what the objects hide of the photo at the size that is worked at.
        margin: what is added around it.
        picture: uint8, the photo with its margin.
        points: those of the photo, with the margin.
        planes: floor, table tops and walls.
        up: against gravity.
        levels: heights of floor and table tops along `up`, in units of the points.
        visible: what is visible, on the finest grid whose layers have few enough faces.
        pictures: the photo, completed for each layer.
    """

    hidden: NDArray[np.bool_]
    margin: Margin
    picture: NDArray[np.uint8]
    points: PointMap
    planes: Sequence[Plane]
    up: tuple[float, float, float]
    levels: tuple[float, ...]
    visible: VisibleRelief
    pictures: Pictures

    def coarser(self, visible: VisibleRelief, factor: float) -> VisibleRelief:
        """Compute what is visible on a grid of so many times the cells."""
        rows, columns = visible.depth.shape
        cells = int((rows - 1) * (columns - 1) * SPARE * factor)
        return _visible(self.points, self.hidden, self.planes, self.margin, self.picture, cells)


def _visible(
    points: PointMap,
    hidden: NDArray[np.bool_],
    planes: Sequence[Plane],
    margin: Margin,
    picture: NDArray[np.uint8],
    cells: int,
) -> VisibleRelief:
    return visible_relief(
        points,
        margin.around(hidden, False),
        planes,
        cells=cells,
        # A wider margin makes cells wider, and leaves as many rows: floors are seen at an angle.
        stretched=picture.shape[1] / (hidden.shape[1] * (1 + 2 * SIDES)),
        pixels=picture,
        outside=margin.around(np.zeros_like(hidden), True),
    )


def look_around(
    image: Image,
    points: PointMap,
    instances: Sequence[Instance],
    *,
    seed: int = 0,
    report: Reporter | None = None,
) -> Surroundings:
    """Find floor, walls and what else the photo shows around its objects.

    Args:
        image, points: of one size with the masks.
        instances: the objects, which are taken out.
        seed: makes the result repeatable.
        report: raises Cancelled between steps.
    """
    report = report or silent()
    ground = find_ground(points, instances, seed=seed)
    up = CAMERA_UP if ground is None else ground.up
    pixels, points, masked = _at_working_size(image, points, instances)
    hidden = hidden_by(pixels, masked)
    report.check()
    planes = [*ground_planes(ground), *_walls(points, hidden, up, seed)]
    report.check()
    margin = Margin.of(points.camera, _sides(points, masked), ENDS)
    picture, wide = margin.continued(pixels), margin.points(points)
    cells = max(1, min(CELLS, hidden.size // PIXELS_A_CELL))
    visible = _visible(wide, hidden, planes, margin, picture, cells)
    # Behind the objects there is what is behind their points: where exactly each will be placed
    # matters little to the number of faces, and to the picture.
    reliefs = Reliefs.of(visible, planes)
    while (faces := reliefs.count_faces(picture)) > SPARE * MOST_FACES:
        cells = int(cells * SPARE * MOST_FACES / faces)
        visible = _visible(wide, hidden, planes, margin, picture, cells)
        reliefs = Reliefs.of(visible, planes)
    report.check()
    return Surroundings(
        hidden=hidden,
        margin=margin,
        picture=picture,
        points=wide,
        planes=planes,
        up=(float(up[0]), float(up[1]), float(up[2])),
        levels=() if ground is None else ground.levels,
        visible=visible,
        pictures=Pictures.of(pixels, hidden, reliefs, margin),
    )


def _sides(points: PointMap, masked: NDArray[np.bool_]) -> float:
    """Choose the margin, in shares of the width, that a swing about the objects sees.

    What is nearer than they are moves the more: a floor leaves the picture at its lower corners.
    """
    depth = -points.points[..., 2]
    height, width = depth.shape
    rows, columns = max(1, round(CORNER * height)), max(1, round(CORNER * width))
    corners = depth[-rows:, :columns], depth[-rows:, -columns:]
    near = [part[np.isfinite(part)] for part in corners]
    objects = depth[masked & np.isfinite(depth)]
    if not objects.size or not all(part.size for part in near):
        return SIDES
    nearest = min(float(np.median(part)) for part in near)
    shift = SWING * points.camera.fx / width * (float(np.median(objects)) / nearest - 1)
    return float(np.clip(shift - SPARED, SIDES, MOST_SIDES))


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
