"""Turn a relief into a textured mesh and splats, as files hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

from scenelift.background.outline import Pieces, pieces_of
from scenelift.background.relief import Relief
from scenelift.geometry.transforms import concatenate_gaussians, quaternion_from_matrix
from scenelift.types import Gaussians, Mesh

__all__ = ["JUMP", "Layer", "count_faces", "mesh_of", "splats_of"]

JUMP = 1.06  # ratio of depths of neighbours beyond which they are not one surface
JUMP_BEHIND = 1.25  # of neighbours that were not seen: they were continued smoothly
LONGEST = 5.0  # times what a splat spans in the picture: a longer one is a spike from beside
OVERLAP = 0.65  # of a cell's side: standard deviation of its splat; less lets light through
THIN = 0.05  # of the smaller of the others: splats lie flat
OPACITY = 0.99
TEXTURE = 1360  # texels of the longer side, margin included
FINEST = 4  # splats on a cell's side
CRISP = 0.7  # of what is finer than a splat is added to its colour: splats blur as they overlap


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """A relief with its picture.

    Attributes:
        relief: depths.
        pixels: uint8 [H, W, 3], the photo completed where this layer was not seen.
        within: bool [h + 1, w + 1] of the crossings of the grid: only cells with one of these
            belong to the layer. None for all, and then for the parts of cells that a jump of the
            depth cuts too.
        whole: nothing of it is cut, however far apart neighbours are.
        photo_box: left, top, right and bottom of the photo in the picture, whose rest is margin.
    """

    relief: Relief
    pixels: NDArray[np.uint8]
    within: NDArray[np.bool_] | None = None
    whole: bool = False
    photo_box: tuple[int, int, int, int] | None = None

    def pieces(self, *, planes_only: bool) -> Pieces:
        """Triangles of the cells that a jump of the depth cuts."""
        shape = self.relief.depth.shape
        cells = np.zeros((shape[0] - 1, shape[1] - 1), bool)
        if self.within is None:
            cells = ~cells_of(self, planes_only=False)
        pieces = pieces_of(self.relief, self.pixels, cells)
        return pieces.only(pieces.on_plane) if planes_only else pieces


def cells_of(layer: Layer, *, planes_only: bool) -> NDArray[np.bool_]:
    """Select the cells [h, w] of the grid that are surface, without those across a jump."""
    relief = layer.relief
    depth, surface = relief.depth, relief.surface
    corners = [depth[:-1, :-1], depth[:-1, 1:], depth[1:, :-1], depth[1:, 1:]]
    numbers = np.stack([surface[:-1, :-1], surface[:-1, 1:], surface[1:, :-1], surface[1:, 1:]])
    one = (numbers == numbers[0]).all(0) & (numbers[0] != -1)
    near, far = np.minimum.reduce(corners), np.maximum.reduce(corners)
    whole = one | (far < (JUMP if layer.within is None else JUMP_BEHIND) * near) | layer.whole
    if planes_only:
        whole &= (numbers >= 0).all(0)
    if layer.within is not None:
        w = layer.within
        whole &= w[:-1, :-1] | w[:-1, 1:] | w[1:, :-1] | w[1:, 1:]
    return whole


def count_faces(layers: Sequence[Layer], *, planes_only: bool) -> int:
    """Count the faces that `mesh_of` gives."""
    return sum(
        2 * int(cells_of(layer, planes_only=planes_only).sum())
        + len(layer.pieces(planes_only=planes_only))
        for layer in layers
    )


def mesh_of(layers: Sequence[Layer], *, planes_only: bool) -> Mesh:
    """Make one mesh of all layers, whose pictures are stacked in its texture.

    Args:
        layers: one or more, of one size.
        planes_only: leave out what lies on no plane.
    """
    height, width = layers[0].pixels.shape[:2]
    factor = min(1.0, TEXTURE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    vertices, faces, uv, pictures, count = [], [], [], [], 0
    for number, layer in enumerate(layers):
        relief = layer.relief
        rows, columns = np.nonzero(cells_of(layer, planes_only=planes_only))
        a = rows * relief.depth.shape[1] + columns
        b, c, d = a + 1, a + relief.depth.shape[1], a + relief.depth.shape[1] + 1
        corners = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
        corner_indices, place = np.unique(corners, return_inverse=True)
        pieces = layer.pieces(planes_only=planes_only)
        there = [relief.place.reshape(-1, 2)[corner_indices], pieces.place.reshape(-1, 2)]
        x, y = np.concatenate(there).T
        # Half a texel from the picture's ends, so that pictures do not mix.
        v = np.clip(y / height, 0.5 / size[1], 1 - 0.5 / size[1])
        vertices += [relief.points.reshape(-1, 3)[corner_indices], pieces.points.reshape(-1, 3)]
        faces.append(place.reshape(-1, 3) + count)
        faces.append(np.arange(3 * len(pieces)).reshape(-1, 3) + count + len(corner_indices))
        uv.append(np.stack([x / width, 1 - (v + number) / len(layers)], 1))
        picture = Pillow.fromarray(layer.pixels).resize(size, Pillow.Resampling.LANCZOS)
        pictures.append(np.asarray(picture))
        count += len(x)
    return Mesh(
        vertices=np.concatenate(vertices).astype(np.float32),
        faces=np.concatenate(faces).astype(np.int32),
        uv=np.concatenate(uv).astype(np.float32),
        texture=np.ascontiguousarray(np.concatenate(pictures)),
    )


def splats_of(layers: Sequence[Layer], *, planes_only: bool, most: int) -> Gaussians:
    """Make flat splats that tile all layers, each with the colour of its place in the picture.

    What the photo shows has the finest; its margin, and what is behind edges, has coarser ones.

    Args:
        layers, planes_only: as of `mesh_of`.
        most: number of splats that is not exceeded, unless one a cell are more.
    """
    tilings = [tiling for layer in layers for tiling in _tilings(layer, planes_only)]
    finest = FINEST
    while finest > 1 and sum(t.count(finest) for t in tilings) > most:
        finest -= 1
    return concatenate_gaussians([t.splats(finest) for t in tilings])


class _Tiling(Protocol):
    """A part of a layer that splats are to cover."""

    def count(self, finest: int) -> int: ...

    def splats(self, finest: int) -> Gaussians: ...


def _tilings(layer: Layer, planes_only: bool) -> list[_Tiling]:
    cells = cells_of(layer, planes_only=planes_only)
    x, y = np.moveaxis((layer.relief.place[:-1, :-1] + layer.relief.place[1:, 1:]) / 2, -1, 0)
    left, top, right, bottom = layer.photo_box or (-np.inf, -np.inf, np.inf, np.inf)
    fine = (x > left) & (x < right) & (y > top) & (y < bottom)
    fine &= layer.within is None and not layer.whole
    return [
        _Cells(layer=layer, mask=cells & fine, coarser=1),
        _Cells(layer=layer, mask=cells & ~fine, coarser=2),
        _Bits(layer=layer, pieces=layer.pieces(planes_only=planes_only)),
    ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cells:
    """Some cells of a layer, tiled with so many times fewer splats a side than the finest."""

    layer: Layer
    mask: NDArray[np.bool_]
    coarser: int

    def _parts(self, finest: int) -> int:
        return max(1, finest // self.coarser)

    def count(self, finest: int) -> int:
        return int(self.mask.sum()) * self._parts(finest) ** 2

    def splats(self, finest: int) -> Gaussians:
        parts = self._parts(finest)
        relief = self.layer.relief
        rows, columns = np.nonzero(self.mask)
        step = (np.arange(parts) + 0.5) / parts
        t, s = (v.ravel()[None, :, None] for v in np.meshgrid(step, step, indexing="ij"))

        def corners(values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
            return [values[rows + i, columns + j][:, None] for i in (0, 1) for j in (0, 1)]

        def inside(values: NDArray[np.float64]) -> NDArray[np.float64]:
            a, b, c, d = corners(values)
            return (1 - t) * ((1 - s) * a + s * b) + t * ((1 - s) * c + s * d)

        a, b, c, d = corners(relief.points)
        across = ((1 - t) * (b - a) + t * (d - c)) / parts
        down = ((1 - s) * (c - a) + s * (d - b)) / parts
        sides = (relief.place[1, 1] - relief.place[0, 0]) / parts
        means = inside(relief.points).reshape(-1, 3)
        return _flat(
            means,
            across.reshape(-1, 3),
            down.reshape(-1, 3),
            _colours(self.layer.pixels, inside(relief.place).reshape(-1, 2), sides),
            LONGEST * _span(relief, means) / parts,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Bits:
    """Triangles of a layer, each cut into equal ones with one splat each."""

    layer: Layer
    pieces: Pieces

    def count(self, finest: int) -> int:
        return len(self.pieces) * max(1, finest - 1) ** 2

    def splats(self, finest: int) -> Gaussians:
        parts = max(1, finest - 1)
        middles = (
            np.array(
                [
                    (i + d, j + d)
                    for i in range(parts)
                    for j in range(parts - i)
                    for d in ((1 / 3,) if i + j == parts - 1 else (1 / 3, 2 / 3))
                ]
            )
            / parts
        )  # [S, 2]
        s, t = middles[None, :, :1], middles[None, :, 1:]

        def inside(values: NDArray[np.float64]) -> NDArray[np.float64]:
            a, b, c = (values[:, None, k] for k in range(3))
            return a + s * (b - a) + t * (c - a)

        a, b, c = (self.pieces.points[:, None, k] for k in range(3))
        # A triangle is half of what its sides span.
        shrink = np.sqrt(0.5) / parts
        spread = np.ones_like(s)
        place = self.layer.relief.place
        sides = (place[1, 1] - place[0, 0]) / finest
        means = inside(self.pieces.points).reshape(-1, 3)
        return _flat(
            means,
            ((b - a) * shrink * spread).reshape(-1, 3),
            ((c - a) * shrink * spread).reshape(-1, 3),
            _colours(self.layer.pixels, inside(self.pieces.place).reshape(-1, 2), sides),
            _span(self.layer.relief, means) / parts,
        )


def _span(relief: Relief, means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the width of a cell [N] across the view, at the depth of points [N, 3]."""
    return -means[:, 2] * float(relief.rays[0, 1, 0] - relief.rays[0, 0, 0])


def _flat(
    means: NDArray[np.float64],
    across: NDArray[np.float64],
    down: NDArray[np.float64],
    colours: NDArray[np.float64],
    longest: NDArray[np.float64],
) -> Gaussians:
    """Make splats [N] that cover parallelograms with these middles and sides, up to that length."""
    rotation, scales = _frames(across, down)
    scales = np.minimum(scales, OVERLAP * longest[:, None])
    return Gaussians(
        means=means.astype(np.float32),
        scales=scales.astype(np.float32),
        rotations=quaternion_from_matrix(rotation).astype(np.float32).reshape(-1, 4),
        opacities=np.full(len(means), OPACITY, np.float32),
        sh0=Gaussians.sh0_of(colours / 255),
    )


def _colours(
    pixels: NDArray[np.uint8], place: NDArray[np.float64], sides: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute colours [N, 3] of splats over rectangles of a picture, sharpened.

    Args:
        pixels: uint8 [H, W, 3].
        place: [N, 2], x and y of their middles in pixels.
        sides: [2], width and height of one.
    """
    height, width = pixels.shape[:2]
    small = Pillow.fromarray(pixels)
    across, down = (max(1.0, float(side)) for side in sides)  # a splat may cover many pixels
    if max(across, down) > 1:
        size = max(1, round(width / across)), max(1, round(height / down))
        small = small.resize(size, Pillow.Resampling.BOX)
    picture = np.asarray(small, np.float32)
    soft = np.asarray(ndimage.gaussian_filter(picture, (OVERLAP, OVERLAP, 0)))
    picture = np.clip(picture + CRISP * (picture - soft), 0, 255)
    u = np.clip((place[:, 0] / width * picture.shape[1]).astype(int), 0, picture.shape[1] - 1)
    v = np.clip((place[:, 1] / height * picture.shape[0]).astype(int), 0, picture.shape[0] - 1)
    return picture[v, u].astype(np.float64)


def _frames(
    across: NDArray[np.float64], down: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute rotations [N, 3, 3] and standard deviations [N, 3] of splats over parallelograms."""
    tiny = 1e-12
    wide = np.linalg.norm(across, axis=1, keepdims=True)
    x = across / np.maximum(wide, tiny)
    off = down - (down * x).sum(1, keepdims=True) * x
    high = np.linalg.norm(off, axis=1, keepdims=True)
    y = off / np.maximum(high, tiny)
    z = np.cross(x, y)
    flat = (np.linalg.norm(z, axis=1) < 0.5) | (wide[:, 0] < tiny) | (high[:, 0] < tiny)
    rotation = np.stack([x, y, z], -1)
    rotation[flat] = np.eye(3)
    sides = OVERLAP * np.concatenate([wide, high], 1)
    # Slanted cells overlap their neighbours by what they lean.
    sides[:, 1] = np.maximum(sides[:, 1], OVERLAP * 0.25 * wide[:, 0])
    thin = THIN * sides.min(1, keepdims=True)
    return rotation, np.maximum(np.concatenate([sides, thin], 1), tiny)
