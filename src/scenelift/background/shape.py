"""A relief as what files hold: a textured mesh and splats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from scenelift.background.relief import Relief
from scenelift.geometry.transforms import concatenate_gaussians, quaternion_from_matrix
from scenelift.types import Gaussians, Mesh

__all__ = ["JUMP", "Layer", "mesh_of", "splats_of"]

JUMP = 1.12  # ratio of depths of neighbours beyond which they are not one surface
OVERLAP = 0.55  # of a cell's side: standard deviation of the splat that covers it
THIN = 0.05  # of the smaller of the others: splats lie flat
OPACITY = 0.99
TEXTURE = 1024  # texels of the longer side


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """A relief with its picture.

    Attributes:
        relief: depths.
        pixels: uint8 [H, W, 3], the photo completed where this layer was not seen.
        within: bool [h + 1, w + 1] of the crossings of the grid: only cells with one of these
            belong to the layer. None for all.
    """

    relief: Relief
    pixels: NDArray[np.uint8]
    within: NDArray[np.bool_] | None = None


def cells_of(layer: Layer, *, planes_only: bool) -> NDArray[np.bool_]:
    """Which cells [h, w] of the grid are surface: not those across a jump of the depth."""
    relief = layer.relief
    depth, surface = relief.depth, relief.surface
    corners = [depth[:-1, :-1], depth[:-1, 1:], depth[1:, :-1], depth[1:, 1:]]
    numbers = np.stack([surface[:-1, :-1], surface[:-1, 1:], surface[1:, :-1], surface[1:, 1:]])
    one = (numbers == numbers[0]).all(0) & (numbers[0] != -1)
    near, far = np.minimum.reduce(corners), np.maximum.reduce(corners)
    whole = one | (far < JUMP * near)
    if planes_only:
        whole &= (numbers >= 0).all(0)
    if layer.within is not None:
        w = layer.within
        whole &= w[:-1, :-1] | w[:-1, 1:] | w[1:, :-1] | w[1:, 1:]
    return whole


def mesh_of(layers: Sequence[Layer], *, planes_only: bool) -> Mesh:
    """A mesh of all layers; their pictures stand one above the other in its texture.

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
        used, place = np.unique(corners, return_inverse=True)
        x, y = relief.place.reshape(-1, 2)[used].T
        # Half a texel from the picture's ends, so that pictures do not mix.
        v = np.clip(y / height, 0.5 / size[1], 1 - 0.5 / size[1])
        vertices.append(relief.points.reshape(-1, 3)[used])
        faces.append(place.reshape(-1, 3) + count)
        uv.append(np.stack([x / width, 1 - (v + number) / len(layers)], 1))
        picture = Pillow.fromarray(layer.pixels).resize(size, Pillow.Resampling.LANCZOS)
        pictures.append(np.asarray(picture))
        count += len(used)
    return Mesh(
        vertices=np.concatenate(vertices).astype(np.float32),
        faces=np.concatenate(faces).astype(np.int32),
        uv=np.concatenate(uv).astype(np.float32),
        texture=np.ascontiguousarray(np.concatenate(pictures)),
    )


def splats_of(layers: Sequence[Layer], *, planes_only: bool, most: int) -> Gaussians:
    """Flat splats that tile all layers, each with its picture's colour at its place.

    Args:
        layers, planes_only: as of `mesh_of`.
        most: number of splats that is not exceeded.
    """
    cells = [np.nonzero(cells_of(layer, planes_only=planes_only)) for layer in layers]
    parts = max(1, int(np.sqrt(most / max(sum(len(rows) for rows, _ in cells), 1))))
    return concatenate_gaussians(
        [
            _tiles(layer, rows, columns, parts)
            for layer, (rows, columns) in zip(layers, cells, strict=True)
        ]
    )


def _tiles(layer: Layer, rows: NDArray, columns: NDArray, parts: int) -> Gaussians:
    """Splats of some cells of a layer, `parts` × `parts` a cell."""
    relief, pixels = layer.relief, layer.pixels
    height, width = pixels.shape[:2]
    step = (np.arange(parts) + 0.5) / parts
    t, s = (v.ravel() for v in np.meshgrid(step, step, indexing="ij"))  # down and across a cell

    def corner(di: int, dj: int) -> NDArray[np.float64]:
        return relief.points[rows + di, columns + dj][:, None]  # [C, 1, 3]

    p00, p01, p10, p11 = corner(0, 0), corner(0, 1), corner(1, 0), corner(1, 1)
    s3, t3 = s[None, :, None], t[None, :, None]
    means = (1 - t3) * ((1 - s3) * p00 + s3 * p01) + t3 * ((1 - s3) * p10 + s3 * p11)
    across = ((1 - t3) * (p01 - p00) + t3 * (p11 - p10)) / parts
    down = ((1 - s3) * (p10 - p00) + s3 * (p11 - p01)) / parts
    means, across, down = (v.reshape(-1, 3) for v in (means, across, down))
    colours = _colours(relief, pixels, rows, columns, s, t, (height, width))
    rotation, scales = _frames(across, down)
    return Gaussians(
        means=means.astype(np.float32),
        scales=scales.astype(np.float32),
        rotations=quaternion_from_matrix(rotation).astype(np.float32).reshape(-1, 4),
        opacities=np.full(len(means), OPACITY, np.float32),
        sh0=Gaussians.sh0_of(colours / 255),
    )


def _colours(
    relief: Relief,
    pixels: NDArray[np.uint8],
    rows: NDArray,
    columns: NDArray,
    s: NDArray,
    t: NDArray,
    size: tuple[int, int],
) -> NDArray[np.float64]:
    """Colour of every splat, the mean over its part of a cell."""
    height, width = size
    first, last = relief.place[rows, columns], relief.place[rows + 1, columns + 1]
    side = np.abs(last - first).mean() / max(1, round(len(s) ** 0.5))
    small = Pillow.fromarray(pixels)
    if side > 1:  # a splat covers more than a pixel
        small = small.resize(
            (max(1, round(width / side)), max(1, round(height / side))), Pillow.Resampling.BOX
        )
    picture = np.asarray(small, np.float64)
    x = first[:, None, 0] + s * (last - first)[:, None, 0]
    y = first[:, None, 1] + t * (last - first)[:, None, 1]
    u = np.clip((x / width * picture.shape[1]).astype(int), 0, picture.shape[1] - 1)
    v = np.clip((y / height * picture.shape[0]).astype(int), 0, picture.shape[0] - 1)
    return picture[v, u].reshape(-1, 3)


def _frames(
    across: NDArray[np.float64], down: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotations [N, 3, 3] and standard deviations [N, 3] of splats over parallelograms."""
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
