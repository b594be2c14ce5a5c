"""The texture of a solid: its front, sides and back, side by side, as the photo's camera sees them.

Front and back are height fields along viewing rays, so where a point projects to is where it lies
in the picture, and the mesh keeps the photo's detail however few triangles it has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.reconstruct.embedded.colour import Colours
from scenelift.reconstruct.embedded.solid import Solid, Surface
from scenelift.reconstruct.embedded.splats import facing

__all__ = ["Skin", "skin_of"]

# Cosines to the camera that the picture's tiles stand for; a face goes with the nearest.
PARTS = np.array([0.4, 0.3, 0.24, 0.18, 0.1, -0.14, -0.24, -0.33, -0.5])
SMALLER = 5  # times fewer texels along a side of the tiles without detail
# Texels around each tile: linear filtering and a viewer's smaller copies must not mix them.
MARGIN = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Skin:
    """A textured surface, cut open along its rim.

    Attributes:
        vertex: int64 [V], the surface's vertex at the same place; once for each tile.
        faces: int32 [F, 3], the surface's, in the same order.
        uv: float32 [V, 2], v upwards from the bottom row.
        picture: uint8 [h, w, 3], the front on the left, sides and back on the right.
    """

    vertex: NDArray[np.int64]
    faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    picture: NDArray[np.uint8]


def skin_of(solid: Solid, surface: Surface, colours: Colours) -> Skin:
    """Paint the surface and assign to every face its part of the picture.

    The photo's view is a large tile on the left; the sides and the back, which have no detail, are
    small ones on the right, from nearly ahead to quite behind, so that no step shows between them.
    """
    rows, columns = colours.front.shape[:2]
    small = tuple(max(2, -(-n // SMALLER)) for n in (rows, columns))
    ahead = _Tile.of(colours, (rows, columns), PARTS[0])
    others = [_Tile.of(colours, small, cosine) for cosine in PARTS[1:]]
    tall, wide = others[0].picture.shape[:2]
    down = max(1, -(-len(ahead.picture) // tall))  # tiles above each other
    across = -(-len(others) // down)
    height = max(len(ahead.picture), down * tall)
    width = ahead.picture.shape[1] + across * wide
    offsets = [ahead.picture.shape[1] + k // down * wide for k in range(len(others))]
    top = [k % down * tall for k in range(len(others))]
    # What is left over repeats the object's own colours: any texel may be sampled.
    picture = np.pad(
        ahead.picture, ((0, height - len(ahead.picture)), (0, across * wide), (0, 0)), mode="edge"
    )
    for tile, x, y in zip(others, offsets, top, strict=True):
        picture[y : y + tall, x : x + wide] = tile.picture

    normals = surface.face_normals()
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    cosine = facing(surface.vertices[surface.faces].mean(1), normals)
    part = np.abs(cosine[:, None] - PARTS).argmin(1)  # [F]
    count = len(surface.vertices)
    place = surface.faces + count * part[:, None]  # every vertex once in each tile that needs it
    corner_indices, faces = np.unique(place, return_inverse=True)
    vertex, of = corner_indices % count, corner_indices // count
    tiles = [ahead, *others]
    corner, texel = (np.array([getattr(t, name) for t in tiles]) for name in ("corner", "texel"))
    offset = np.array([(0, 0), *zip(offsets, top, strict=True)])
    where = (solid.camera.project(surface.vertices[vertex]) - corner[of]) / texel[of] + offset[of]
    uv = where / (width, height)
    uv[:, 1] = 1 - uv[:, 1]
    return Skin(
        vertex=vertex,
        faces=faces.reshape(-1, 3).astype(np.int32),
        uv=uv.astype(np.float32),
        picture=picture,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tile:
    """The object's part of the photo, painted for one angle to the camera.

    Attributes:
        picture: uint8 [h, w, 3], with `MARGIN` texels around.
        corner: (u, v) of its upper left corner in the photo.
        texel: photo pixels across and down that one texel covers.
    """

    picture: NDArray[np.uint8]
    corner: NDArray[np.float64]
    texel: NDArray[np.float64]

    @classmethod
    def of(cls, colours: Colours, size: tuple[int, ...], cosine: float) -> _Tile:
        """Paint a tile of so many rows and columns, its margins not counted."""
        rows, columns = size
        height, width = rows + 2 * MARGIN, columns + 2 * MARGIN
        texel = np.array(colours.size) / (columns, rows)
        corner = np.array(colours.origin) - MARGIN * texel
        u, v = np.meshgrid(
            corner[0] + (np.arange(width) + 0.5) * texel[0],
            corner[1] + (np.arange(height) + 0.5) * texel[1],
        )
        rgb = colours.at(u.ravel(), v.ravel(), np.full(u.size, cosine))
        picture = np.rint(rgb * 255).astype(np.uint8).reshape(height, width, 3)
        return cls(picture=picture, corner=corner, texel=texel)
