"""Gaussian splats of a solid: flat discs on its surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.transforms import quaternion_from_matrix
from scenelift.reconstruct.embedded.colour import Colours
from scenelift.reconstruct.embedded.outline import Outline
from scenelift.reconstruct.embedded.solid import Solid, Surface
from scenelift.types import Gaussians

__all__ = ["facing", "splats_of"]

FRONT = 32_000
REST = 18_000
# A disc's standard deviation over the spacing of discs: below 0.5 gaps open between them, above
# 0.7 neighbours blur each other.
OVERLAP = 0.55
FLATNESS = 0.12  # thickness over the disc's smaller radius
OPACITY = 0.99
# Random points leave gaps: this many times too many are drawn, and one kept in every cell of a
# grid. A surface passes through about 1.5 cells for every square of a cell's side.
CANDIDATES = 3
CELL = 1.5**0.5
# Photo pixels by which splats stay inside the surface: every splat renderer blurs them by about a
# pixel (0.3 px of variance in 3DGS), and a crowd of opaque ones grows by half of that.
INSET = 0.45
# Cosine between normal and ray below which the visible surface counts as rim: a pixel's disc would
# be stretched more than four times.
GRAZING = 0.25


def splats_of(
    solid: Solid,
    surface: Surface,
    colours: Colours,
    *,
    seed: int,
) -> Gaussians:
    """Cover a solid with splats, in the camera frame.

    The part the photo shows gets one disc for every so many pixels, shaped like their footprint on
    the surface, so that it keeps the photo's detail; rim and back are covered evenly.
    """
    front = _front_discs(solid)
    rest = _even_discs(solid, surface, np.random.default_rng(seed))
    means, axes, radii = (np.concatenate(pair) for pair in zip(front, rest, strict=True))
    u, v = solid.camera.project(means).T
    cosine = facing(means, axes[..., 2])
    cosine[: len(front[0])] = 1  # the photo shows these
    rgb = colours.at(u, v, cosine)
    thin = FLATNESS * radii.min(-1, keepdims=True)
    return Gaussians(
        means=means.astype(np.float32),
        scales=np.concatenate([radii, thin], -1).astype(np.float32),
        rotations=quaternion_from_matrix(axes).astype(np.float32),
        opacities=np.full(len(means), OPACITY, np.float32),
        sh0=Gaussians.sh0_of(rgb),
    )


def facing(points: NDArray, normals: NDArray) -> NDArray[np.float64]:  # 2 × [N, 3] -> [N]
    """Compute the cosine of the angle between normals and the way to the camera."""
    return -(normals * points).sum(-1) / np.maximum(np.linalg.norm(points, axis=-1), 1e-12)


def _inset(outline: Outline) -> float:
    """Choose by how many photo pixels splats stay inside: less where there is little inside."""
    return min(INSET, 0.6 * float(outline.distance.max()))


def _front_discs(
    solid: Solid,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Place discs on the visible surface: means [N, 3], axes [N, 3, 3] (columns), radii [N, 2]."""
    outline = solid.outline
    area = float(outline.inside.sum()) * outline.step**2
    stride = max(0.4, (area / FRONT) ** 0.5)
    height, width = np.array(outline.distance.shape) * outline.step
    u, v = np.meshgrid(
        outline.origin[0] + np.arange(0.5 * stride, width, stride),
        outline.origin[1] + np.arange(0.5 * stride, height, stride),
    )
    u, v = u.ravel(), v.ravel()
    keep = outline.sample(outline.distance, u, v) > max(
        0.4 * stride * _inset(outline) / INSET, _inset(outline)
    )
    u, v = u[keep], v[keep]

    e = 0.5 * max(stride, 0.5 * outline.step)
    along_u = (solid.front(u + e, v) - solid.front(u - e, v)) / (2 * e)
    along_v = (solid.front(u, v + e) - solid.front(u, v - e)) / (2 * e)
    means = solid.front(u, v)
    normals = np.cross(along_v, along_u)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    rays = means / np.linalg.norm(means, axis=-1, keepdims=True)
    visible = -(normals * rays).sum(-1) > GRAZING
    footprint = np.stack([along_u, along_v], -1)[visible]  # [N, 3, 2]
    means, normals = means[visible], normals[visible]
    directions, stretch, _ = np.linalg.svd(footprint, full_matrices=False)
    first = directions[..., 0]
    axes = np.stack([first, np.cross(normals, first), normals], -1)
    return means, axes, OVERLAP * stride * stretch


def _even_discs(
    solid: Solid, surface: Surface, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Spread discs evenly over what the photo does not show, or only at a grazing angle."""
    corners = surface.vertices[surface.faces]
    normals = surface.face_normals()
    areas = np.linalg.norm(normals, axis=-1)
    normals = normals / np.maximum(areas, 1e-30)[:, None]
    centres = corners.mean(1)
    rays = centres / np.linalg.norm(centres, axis=-1, keepdims=True)
    # A little more than the other half, so that no gap opens where the two meet.
    hidden = (-(normals * rays).sum(-1) < GRAZING + 0.15) | (solid.side(centres) < 0)
    weights = np.cumsum(np.where(hidden, areas, 0))
    if not weights[-1] > 0:
        return np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros((0, 2))
    spacing = float(np.sqrt(0.5 * weights[-1] / REST))
    count = CANDIDATES * REST
    ticks = (np.arange(count) + rng.random(count)) / count * weights[-1]
    face = np.searchsorted(weights, ticks).clip(0, len(weights) - 1)
    a, b = np.sqrt(rng.random(count)), rng.random(count)
    shares = np.stack([1 - a, a * (1 - b), a * b], -1)
    means = (shares[..., None] * corners[face]).sum(1)
    rows = _one_per_cell(means, CELL * spacing)
    means, normal = means[rows], normals[face[rows]]
    means -= normal * (_inset(solid.outline) * solid.distance / solid.camera.fx)
    # Any direction across the normal will do: the discs are round.
    helper = np.where(np.abs(normal[:, :1]) < 0.6, [[1.0, 0, 0]], [[0.0, 1, 0]])
    first = np.cross(normal, helper)
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    axes = np.stack([first, np.cross(normal, first), normal], -1)
    # One a cell is less even than a lattice, and the front's colours must not shine through: larger
    # discs close the larger gaps. The back is a blur anyway.
    return means, axes, np.full((len(means), 2), 1.6 * OVERLAP * spacing)


def _one_per_cell(points: NDArray[np.float64], cell: float) -> NDArray[np.int64]:
    """Choose in each cell of a grid the point nearest to its middle; returns their indices."""
    scaled = (points - points.min(0)) / cell
    cells = np.floor(scaled).astype(np.int64)
    a, b, c = cells.T
    size = cells.max(0) + 1
    key = (a * size[1] + b) * size[2] + c
    off = ((scaled - cells - 0.5) ** 2).sum(-1)
    order = np.lexsort((off, key))
    first = np.diff(key[order], prepend=-1) > 0
    return order[first]
