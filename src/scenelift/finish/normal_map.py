"""Make normal maps, which shade a light mesh like the fine mesh that it was made from.

A texel holds the fine surface's normal in the frame that a renderer has there: the interpolated
normal and tangent of the light mesh, as they come out of its vertices. The tangents go into the
files, so that renderers do not have to agree on how they are made.

Shape letters in this file: V vertices, F faces, T texels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenelift.finish.nearest import Nearest
from scenelift.finish.normals import vertex_normals
from scenelift.finish.texels import Texels
from scenelift.threads import side_by_side
from scenelift.types import Mesh

__all__ = ["normal_map", "vertex_tangents"]

# Cosine between the light and the fine surface's normal below which the nearest point lies on
# another side of something thin: there the light mesh's own normal is kept.
SAME_SIDE = 0.0
TEXELS_AT_ONCE = 1 << 15  # what they take fits into a cache, and threads share them


def vertex_tangents(
    vertices: NDArray[np.float32],  # [V, 3], one for each chart that it is in
    faces: NDArray[np.int32],  # [F, 3]
    uv: NDArray[np.float32],  # [V, 2]
    normals: NDArray[np.float32],  # [V, 3]
) -> NDArray[np.float32]:  # [V, 4]
    """Compute unit tangents along growing u, orthogonal to the normals, and the sign of v (±1)."""
    corners = vertices[faces].astype(np.float64)
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    at = uv[faces].astype(np.float64)
    (au, av), (bu, bv) = (at[:, 1] - at[:, 0]).T, (at[:, 2] - at[:, 0]).T
    signed = au * bv - bu * av  # twice the area in the texture
    sign = np.where(signed < 0, -1.0, 1.0)[:, None]
    # Times the texture's area, which so weights the faces of a vertex.
    along_u = sign * (a * bv[:, None] - b * av[:, None])
    total, side = np.zeros((len(vertices), 3)), np.zeros(len(vertices))
    for k in range(3):
        np.add.at(total, faces[:, k], along_u)
        np.add.at(side, faces[:, k], signed)
    n = normals.astype(np.float64)
    total -= (total * n).sum(1, keepdims=True) * n
    length = np.linalg.norm(total, axis=1, keepdims=True)
    # Where there is nothing to go by, any direction square to the normal.
    helper = np.where(np.abs(n[:, :1]) < 0.6, [[1.0, 0, 0]], [[0.0, 1, 0]])
    other = np.cross(n, helper)
    other /= np.maximum(np.linalg.norm(other, axis=1, keepdims=True), 1e-12)
    unit = np.where(length > 1e-12, total / np.maximum(length, 1e-12), other)
    handedness = np.where(side < 0, -1.0, 1.0)[:, None]
    return np.concatenate([unit, handedness], 1).astype(np.float32)


def normal_map(
    light: Mesh,  # with normals and tangents
    texels: Texels,
    fine: Mesh,
    at: Nearest,  # the fine mesh's points under the texels
) -> NDArray[np.uint8]:  # [T, 3]
    """Write the fine surface's normals in the light mesh's tangent frames, as bytes."""
    smooth = vertex_normals(fine.vertices, fine.faces)
    pixels = np.zeros((len(texels.face), 3), np.uint8)

    def fill(first: int) -> None:
        some = slice(first, first + TEXELS_AT_ONCE)
        corners = smooth[fine.faces[at.face[some]]]
        target = np.einsum("tk,tkc->tc", at.weights[some], corners)
        pixels[some] = _in_frame(light, texels.part(some), target)

    for _ in side_by_side(fill, range(0, len(pixels), TEXELS_AT_ONCE)):
        pass
    return pixels


def _in_frame(
    light: Mesh, texels: Texels, detail_normals: NDArray[np.float32]
) -> NDArray[np.uint8]:  # [T, 3] -> [T, 3]
    """Rotate normals into the light mesh's tangent frames."""
    assert light.normals is not None
    assert light.tangents is not None
    n = _unit(texels.interpolate(light.faces, light.normals))
    # As shaders do: both are made unit vectors again, and need not be square to each other.
    t = _unit(texels.interpolate(light.faces, light.tangents[:, :3]))
    handedness = texels.interpolate(light.faces, light.tangents[:, 3:])
    b = np.cross(n, t) * np.sign(handedness)
    detail_normals = _unit(detail_normals)
    detail_normals = np.where(
        (detail_normals * n).sum(1, keepdims=True) > SAME_SIDE, detail_normals, n
    )
    # Coordinates in the frame (t, b, n): by the dual basis.
    across = np.stack([np.cross(b, n), np.cross(n, t), np.cross(t, b)], 1)  # [T, 3, 3]
    volume = np.einsum("tc,tc->t", t, across[:, 0])
    inside = (
        np.einsum("tkc,tc->tk", across, detail_normals) / np.where(volume == 0, 1, volume)[:, None]
    )
    return np.rint((_unit(inside) * 0.5 + 0.5) * 255).astype(np.uint8)


def _unit(vectors: NDArray) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    up = np.array([0, 0, 1], np.float32)
    return np.where(length > 1e-12, vectors / np.maximum(length, 1e-12), up).astype(np.float32)
