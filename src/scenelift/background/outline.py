"""Split relief cells at a jump of the depth into a nearer and a farther part.

The line between them runs where the photo's colours change (marching squares), so that outlines are
those of the photo and thin things stay, at a grid much coarser than its pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.background.relief import Relief

__all__ = ["Pieces", "pieces_of"]

SAMPLES = 8  # of the photo along an edge of a cell
CONTRAST = 6.0  # grey levels between the two sides, below which the line runs through the middle


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pieces:
    """Triangles of split cells.

    Attributes:
        points: float64 [T, 3, 3], their corners in the camera frame.
        place: float64 [T, 3, 2], x and y of them in pixels of the picture.
        on_plane: bool [T], whether all of its cell's corners on its side lie on planes.
    """

    points: NDArray[np.float64]
    place: NDArray[np.float64]
    on_plane: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.points)

    def only(self, rows: NDArray[np.bool_]) -> Pieces:
        """Select the pieces of a mask."""
        return Pieces(
            points=self.points[rows], place=self.place[rows], on_plane=self.on_plane[rows]
        )


def pieces_of(relief: Relief, pixels: NDArray[np.uint8], selection: NDArray[np.bool_]) -> Pieces:
    """Make the triangles of the relief cells that a jump of the depth crosses.

    Args:
        relief: depths.
        pixels: uint8 [H, W, 3], its picture.
        selection: bool [h, w], the cells.
    """
    rows, columns = np.nonzero(selection)
    i = rows[:, None] + np.array([0, 0, 1, 1])
    j = columns[:, None] + np.array([0, 1, 1, 0])  # [C, 4], round the cell
    rays, place = relief.rays[i, j], relief.place[i, j]
    depth, plane = relief.depth[i, j], relief.surface[i, j] >= 0
    near = depth < _between(depth)[:, None]
    after = [1, 2, 3, 0]
    t = _crossings(pixels, place, place[:, after])[..., None]
    rays = np.concatenate([rays, (1 - t) * rays + t * rays[:, after]], 1)  # [C, 8, 3]
    place = np.concatenate([place, (1 - t) * place + t * place[:, after]], 1)
    # A crossing is as far away as the corner beside it on the same side.
    depths = {}
    for side in (True, False):
        beside = np.where(near == side, depth, depth[:, after])
        depths[side] = np.concatenate([depth, beside], 1)
    code = near @ (1 << np.arange(4))
    points, places, on_plane = [np.zeros((0, 3, 3))], [np.zeros((0, 3, 2))], [np.zeros(0, bool)]
    for number, triangles in _TRIANGLES.items():
        cells = np.flatnonzero(code == number)
        for side, corners in triangles if cells.size else ():
            at = np.ix_(cells, np.array(corners))
            points.append(rays[at] * depths[side][at][..., None])
            places.append(place[at])
            on_plane.append((plane[cells] | (near[cells] != side)).all(1))
    return Pieces(
        points=np.concatenate(points),
        place=np.concatenate(places),
        on_plane=np.concatenate(on_plane),
    )


def _between(depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a depth [C] in the widest gap between the depths [C, 4] of each cell."""
    log = np.sort(np.log(depth), 1)
    gap = np.diff(log).argmax(1)
    at = np.arange(len(log))
    return np.exp((log[at, gap] + log[at, gap + 1]) / 2)


def _crossings(
    pixels: NDArray[np.uint8], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Find where the colour changes most along edges [C, 4] between two places, in 0…1."""
    height, width = pixels.shape[:2]
    along = (np.arange(SAMPLES) + 0.5)[:, None] / SAMPLES
    place = start[..., None, :] + along * (end - start)[..., None, :]  # [C, 4, S, 2]
    u = np.clip(place[..., 0].astype(int), 0, width - 1)
    v = np.clip(place[..., 1].astype(int), 0, height - 1)
    total = pixels[v, u].astype(np.float64).cumsum(2)  # [C, 4, S, 3]
    count = np.arange(1, SAMPLES)[:, None]
    before, whole = total[..., :-1, :], total[..., -1:, :]
    apart = np.abs(before / count - (whole - before) / (SAMPLES - count)).max(-1)
    # Two halves with different means: as variance between the two sides.
    count = count[:, 0]
    best = (apart**2 * count * (SAMPLES - count)).argmax(-1)
    strong = np.take_along_axis(apart, best[..., None], -1)[..., 0] > CONTRAST
    return np.where(strong, (best + 1) / SAMPLES, 0.5)


def _triangles() -> dict[int, list[tuple[bool, list[int]]]]:
    """List triangles for each set of near corners, from corners 0…3 and crossings 4…7."""
    table: dict[int, list[tuple[bool, list[int]]]] = {}
    for code in range(1, 15):
        near = [bool(code >> k & 1) for k in range(4)]
        polygons: list[tuple[bool, list[int]]] = []
        if near[0] == near[2] and near[1] == near[3]:
            polygons = [(near[k], [4 + (k - 1) % 4, k, 4 + k]) for k in range(4)]
            polygons.append((False, [4, 5, 6, 7]))
        else:
            for side in (True, False):
                ring = []
                for k in range(4):
                    ring += [k] if near[k] == side else []
                    ring += [4 + k] if near[k] != near[(k + 1) % 4] else []
                polygons.append((side, ring))
        table[code] = [
            (side, [ring[0], ring[k + 1], ring[k]])  # as the whole cells turn
            for side, ring in polygons
            for k in range(1, len(ring) - 1)
        ]
    return table


_TRIANGLES = _triangles()
