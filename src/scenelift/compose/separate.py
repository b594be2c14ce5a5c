"""Separate objects that pierce each other, by the smallest moves along the ground."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scenelift.compose.placed_object import TIGHT, PlacedObject
from scenelift.compose.support import across

__all__ = ["Solid", "separate", "solid_of"]

GRID = 40  # voxels along the longest side
DIRECTIONS = 16
TOUCHING = 0.004  # share of a volume that may lie inside another: less than voxels tell
FARTHEST = 0.5  # of the smaller object's size: what is deeper inside is left as it is
ROUNDS = 4
PER_MOVE = 0.3  # cost of moving by an object's whole size, against the cost in the photo

CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))  # of a box of side 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solid:
    """The volume that an object fills, in its own frame.

    Attributes:
        occupancy: bool [A, B, C], voxels.
        low: float64 [3], corner of the first voxel.
        voxel: side of a voxel.
    """

    occupancy: NDArray[np.bool_]
    low: NDArray[np.float64]
    voxel: float

    def centres(self, most: int = 3000) -> NDArray[np.float64]:  # [N, 3]
        """Return the middles of filled voxels, evenly thinned to at most so many."""
        index = np.argwhere(self.occupancy)
        return self.low + (index[:: max(1, -(-len(index) // most))] + 0.5) * self.voxel

    def corners(self) -> NDArray[np.float64]:  # [8, 3]
        """Corners of the box around all voxels."""
        return self.low + CORNERS * self.occupancy.shape * self.voxel

    def holds(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:  # [N, 3] -> [N]
        """Return which points lie in a filled voxel."""
        index = np.floor((points - self.low) / self.voxel).astype(np.int64)
        inside = ((index >= 0) & (index < self.occupancy.shape)).all(1)
        index[~inside] = 0
        return inside & self.occupancy[tuple(index.T)]


def solid_of(points: NDArray[np.floating], down: NDArray[np.float64]) -> Solid:
    """Fill the voxels inside a surface, and between it and what it stands on.

    Args:
        points: [N, 3] on the surface, close enough to fill the voxels it crosses.
        down: in the object's frame: air does not enter from there, since the undersides of
            things are often missing.
    """
    low, high = points.min(0).astype(np.float64), points.max(0).astype(np.float64)
    voxel = max(float((high - low).max()) / GRID, 1e-9)
    shape = np.maximum(np.ceil((high - low) / voxel).astype(int), 1)
    surface = np.zeros(shape, bool)
    index = np.minimum(((points - low) / voxel).astype(int), shape - 1)
    surface[tuple(index.T)] = True
    axis = int(np.abs(down).argmax())
    air = np.pad(~surface, 1, constant_values=True)
    floor = [slice(None)] * 3
    floor[axis] = slice(0, 1) if down[axis] < 0 else slice(-1, None)
    air[tuple(floor)] = False
    corner = [0, 0, 0]
    corner[axis] = -1 if down[axis] < 0 else 0
    regions = np.zeros(air.shape, np.int32)
    ndimage.label(air, output=regions)
    occupancy = (regions != regions[tuple(corner)])[1:-1, 1:-1, 1:-1]
    return Solid(occupancy=occupancy, low=low, voxel=voxel)


def separate(
    objects: Sequence[PlacedObject], solids: Sequence[Solid], up: NDArray[np.float64]
) -> None:
    """Separate objects that pierce each other.

    One that stands on the other is left to `stand`; whatever stands on a moved one comes along.

    Args:
        solids: of the objects, in their order.
        up: against gravity, camera frame.
    """
    for _ in range(ROUNDS):
        any_moved = False
        for a, b in _pairs(objects):
            any_moved |= _take_apart(objects, solids, a, b, up)
        if not any_moved:
            return


def _pairs(objects: Sequence[PlacedObject]) -> Iterator[tuple[int, int]]:
    for a in range(len(objects)):
        for b in range(a + 1, len(objects)):
            first, second = objects[a], objects[b]
            if first.standing != second.index and second.standing != first.index:
                yield a, b


def _take_apart(
    objects: Sequence[PlacedObject], solids: Sequence[Solid], a: int, b: int, up: NDArray
) -> bool:
    if _far_apart(objects, solids, a, b):  # most pairs of a scene
        return False
    points = [
        solids[k].centres() @ objects[k].pose[:, :3].T + objects[k].pose[:, 3] for k in (a, b)
    ]
    into = [np.linalg.inv(objects[k].pose[:, :3]) for k in (a, b)]

    def overlap(shift: NDArray) -> float:
        """Compute the largest share of either inside the other once `a` has moved by `shift`."""
        in_b = solids[b].holds((points[0] + shift - objects[b].pose[:, 3]) @ into[1].T)
        in_a = solids[a].holds((points[1] - shift - objects[a].pose[:, 3]) @ into[0].T)
        return max(float(in_b.mean()), float(in_a.mean()))

    if overlap(np.zeros(3)) < TOUCHING:
        return False
    size = min(objects[a].size, objects[b].size)
    shifts = [s for s in (_smallest(overlap, d, size) for d in _around(up)) if s is not None]
    if not shifts:
        objects[a].notes.append(f"It is inside {objects[b].name}: they could not be taken apart.")
        return False
    options = [(share, shift) for shift in shifts for share in (0.0, 0.5, 1.0)]

    def price(option: tuple[float, NDArray]) -> float:
        share, shift = option
        far = float(np.linalg.norm(shift))
        return (
            _rise(objects[a], share * shift)
            + _rise(objects[b], (share - 1) * shift)
            + PER_MOVE * far / size
        )

    share, shift = min(options, key=price)
    for k, way in ((a, share), (b, share - 1)):
        if way:
            _carry(objects, k, way * shift)
            objects[k].notes.append(
                f"It was moved by {np.linalg.norm(way * shift) / objects[k].size:.0%} of its size, "
                f"out of {objects[b if k == a else a].name}."
            )
    return True


def _far_apart(objects: Sequence[PlacedObject], solids: Sequence[Solid], a: int, b: int) -> bool:
    """Return whether the boxes around two objects' voxels are apart at their present places."""
    boxes = []
    for k in (a, b):
        corners = solids[k].corners() @ objects[k].pose[:, :3].T + objects[k].pose[:, 3]
        boxes.append((corners.min(0), corners.max(0)))
    (low_a, high_a), (low_b, high_b) = boxes
    return bool((low_a > high_b).any() or (low_b > high_a).any())


def _around(up: NDArray[np.float64]) -> NDArray[np.float64]:  # [DIRECTIONS, 3]
    right, away = across(up)
    angle = np.arange(DIRECTIONS)[:, None] * (2 * np.pi / DIRECTIONS)
    return np.cos(angle) * right + np.sin(angle) * away


def _smallest(overlap, direction: NDArray, size: float) -> NDArray[np.float64] | None:
    """Find the shortest shift along a direction that ends the overlap, to 1/100 of the size."""
    low, high = 0.0, 0.04 * size
    while overlap(high * direction) >= TOUCHING:
        low, high = high, 2 * high
        if high > FARTHEST * size:
            return None
    while high - low > 0.01 * size:
        middle = (low + high) / 2
        if overlap(middle * direction) < TOUCHING:
            high = middle
        else:
            low = middle
    return high * direction


def _rise(o: PlacedObject, shift: NDArray) -> float:
    """Compute how much agreement with the photo is lost by moving an object."""
    poses = np.stack([o.pose, o.pose + np.outer(shift, [0, 0, 0, 1])])
    before, after = o.compare(poses, TIGHT).cost(TIGHT)
    return float(after - before)


def _carry(objects: Sequence[PlacedObject], k: int, shift: NDArray) -> None:
    """Move an object and whatever stands on it."""
    objects[k].pose = objects[k].pose + np.outer(shift, [0, 0, 0, 1])
    for j, other in enumerate(objects):
        if other.standing == objects[k].index:
            _carry(objects, j, shift)
