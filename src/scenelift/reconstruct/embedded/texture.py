"""The texture of a solid: its front and its back, side by side, as the photo's camera sees them.

Front and back are height fields along viewing rays, so where a point projects to is where it lies
in the picture, and the mesh keeps the photo's detail however few triangles it has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.reconstruct.embedded.colour import Colours
from scenelift.reconstruct.embedded.solid import Solid, Surface

__all__ = ["Skin", "skin_of"]

# Texels around each half: linear filtering and a viewer's smaller copies must not mix the halves.
MARGIN = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Skin:
    """A textured surface, cut open along its rim.

    Attributes:
        vertex: int64 [V], the surface's vertex at the same place; those on the rim come twice.
        faces: int32 [F, 3], the surface's, in the same order.
        uv: float32 [V, 2], v upwards from the bottom row.
        picture: uint8 [h, w, 3], front on the left, back on the right.
    """

    vertex: NDArray[np.int64]
    faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    picture: NDArray[np.uint8]


def skin_of(solid: Solid, surface: Surface, colours: Colours) -> Skin:
    """Paint both sides and tell every face where it lies in the picture.

    On the rim both sides have the same colour, so a face that reaches over it may go with either.
    """
    rows, columns = colours.front.shape[:2]
    height, width = rows + 2 * MARGIN, columns + 2 * MARGIN
    texel = np.array(colours.size) / (columns, rows)  # photo pixels
    corner = np.array(colours.origin) - MARGIN * texel
    u, v = np.meshgrid(
        corner[0] + (np.arange(width) + 0.5) * texel[0],
        corner[1] + (np.arange(height) + 0.5) * texel[1],
    )
    u, v = u.ravel(), v.ravel()
    behind = -solid.half(u, v) / solid.thickest
    halves = [colours.at(u, v, side).reshape(height, width, 3) for side in (-behind, behind)]
    picture = np.rint(np.concatenate(halves, 1) * 255).astype(np.uint8)

    at_back = solid.side(surface.vertices)[surface.faces].mean(1) < 0  # [F]
    count = len(surface.vertices)
    place = surface.faces + count * at_back[:, None]  # every vertex on the front, then at the back
    used, faces = np.unique(place, return_inverse=True)
    vertex = used % count
    where = (solid.camera.project(surface.vertices[vertex]) - corner) / texel
    where[:, 0] += width * (used >= count)
    uv = where / (2 * width, height)
    uv[:, 1] = 1 - uv[:, 1]
    return Skin(
        vertex=vertex,
        faces=faces.reshape(-1, 3).astype(np.int32),
        uv=uv.astype(np.float32),
        picture=picture,
    )
