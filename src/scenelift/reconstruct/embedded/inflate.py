"""Inflation: the thickness of a solid whose outline is known.

The squared half thickness φ solves −∇²φ + φ/λ² = 2 inside the outline with φ = 0 on it. A strip
of half width R gets φ = R² − x², a round bar, and every outline a smooth solid that is thick
where it is wide. Where the outline is only a cut (by something in front, or by the photo's
border) no condition holds φ down, so the solid ends there in a face and not in an edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, grey_closing, grey_opening
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu

from scenelift.geometry.regions import distance_inside, nearest_inside
from scenelift.reconstruct.embedded.outline import Outline
from scenelift.reconstruct.embedded.proportions import Proportions

__all__ = ["inflate"]

# Screening length over the root of the area: long enough not to flatten anything, short enough
# that an outline which is a cut all around still has a thickness.
SCREENING = 1.0
# No class is inflated beyond this multiple of a round bar of the outline's own width.
MOST_STRETCH = 1.6


def inflate(outline: Outline, proportions: Proportions) -> NDArray[np.float64]:  # [h, w]
    """Compute the squared half thickness at the outline's nodes, in photo pixels².

    Inside it is positive. Outside it is negative and continues the inside linearly across the
    outline, so that the zero level of φ − w² is the closed surface of the solid.
    """
    inside = outline.inside
    phi = np.zeros(inside.shape)
    phi[inside] = _solve(outline)

    peak = float(phi.max())
    target = (0.5 * proportions.depth * _small_side(outline)) ** 2
    if proportions.round:
        phi = _revolve(outline, phi)
    elif target < peak:
        # Harmonic sum of φ and a limit: edges stay round, the middle flattens to the target.
        limit = target * peak / (peak - target + 1e-9)
        phi = phi * limit / (phi + limit)
    else:
        phi = phi * min(target / peak, MOST_STRETCH**2)
    return _continued_outside(outline, phi)


def _solve(outline: Outline) -> NDArray[np.float64]:
    """Solve for φ at the inside nodes, in photo pixels².

    Five-point Laplacian; between an inside and an outside node the outline is crossed at a
    fraction θ of the step, which enters the diagonal as 1/θ (Gibou et al. 2002), so that the
    result does not follow the steps of the grid.
    """
    d, inside = outline.distance, outline.inside
    count = int(inside.sum())
    index = np.full(inside.shape, -1)
    index[inside] = np.arange(count)
    diagonal = np.zeros(inside.shape)
    links: list[tuple[NDArray, NDArray]] = []
    for axis in (0, 1):
        for shift in (1, -1):
            neighbour_d = np.roll(d, shift, axis)
            neighbour_inside = np.roll(inside, shift, axis)
            both = inside & neighbour_inside
            links.append((index[both], np.roll(index, shift, axis)[both]))
            edge = inside & ~neighbour_inside & ~np.roll(outline.on_cut, shift, axis)
            theta = np.clip(d / np.maximum(d - neighbour_d, 1e-9), 0.05, 1.0)
            diagonal += both + np.where(edge, 1 / theta, 0.0)
    diagonal += 1 / (SCREENING**2 * count)  # λ² = SCREENING² · area, in nodes
    rows = np.concatenate([index[inside], *(a for a, _ in links)])
    columns = np.concatenate([index[inside], *(b for _, b in links)])
    values = np.concatenate([diagonal[inside], *(-np.ones(len(a)) for a, _ in links)])
    matrix = coo_array((values, (rows, columns)), shape=(count, count)).tocsc()
    factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return factors.solve(np.full(count, 2.0)) * outline.step**2


def _small_side(outline: Outline) -> float:
    """Measure the smaller extent of the outline along its principal axes, in photo pixels.

    Never more than three times the largest inscribed radius: spread arms or legs make a box
    wide, not a body deep.
    """
    rows, columns = np.nonzero(outline.inside)
    centred = np.stack([rows - rows.mean(), columns - columns.mean()])
    _, axes = np.linalg.eigh(centred @ centred.T)
    low, high = np.percentile(axes.T @ centred, [1, 99], axis=1)
    extent = float((high - low).min() + 1) * outline.step
    radius = float(distance_inside(outline.inside).max()) * outline.step
    return min(extent, 3 * radius)


def _revolve(outline: Outline, phi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the squared half thickness of the outline turned about the vertical.

    Each row's longest run is a diameter. What sticks out of it over less than a third of the
    height, such as where a handle is joined, is not body and stays inflated.
    """
    inside = outline.inside
    rows = np.flatnonzero(inside.any(1))
    left, right = np.zeros(len(rows)), np.zeros(len(rows))
    for i, row in enumerate(rows):
        edges = np.flatnonzero(np.diff(np.pad(inside[row], 1).astype(np.int8)))
        starts, ends = edges[::2], edges[1::2]
        longest = (ends - starts).argmax()
        left[i], right[i] = starts[longest] - 0.5, ends[longest] - 0.5
    window = max(3, len(rows) // 3)
    left = grey_closing(left, size=window, mode="nearest")
    right = grey_opening(right, size=window, mode="nearest")
    smoothing = max(1.0, len(rows) / 40)
    left, right = gaussian_filter1d(left, smoothing), gaussian_filter1d(right, smoothing)

    columns = np.arange(inside.shape[1])
    body = np.zeros(inside.shape)
    product = (columns - left[:, None]) * (right[:, None] - columns)
    body[rows] = np.maximum(product, 0) * outline.step**2
    # Harmonic sum with a much inflated φ: top and bottom get rounded edges.
    steep = 8 * phi
    body = steep * body / np.maximum(steep + body, 1e-9)
    return np.sqrt(body**2 + phi**2 * np.exp(-body / np.maximum(phi, 1e-9)))


def _continued_outside(outline: Outline, phi: NDArray[np.float64]) -> NDArray[np.float64]:
    d, inside = outline.distance, outline.inside
    slope = phi / np.maximum(d, 0.25 * outline.step)
    rows, columns = nearest_inside(inside)
    floor = 1e-3 * outline.step
    return np.where(inside, phi, np.maximum(slope, floor)[rows, columns] * np.minimum(d, -1e-6))
