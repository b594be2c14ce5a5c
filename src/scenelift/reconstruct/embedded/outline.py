"""An object's outline: a smooth signed distance on a grid of nodes over its part of the photo.

The grid is finer than the photo for small objects and coarser for large ones, so that the time
an object takes hardly depends on how many pixels it has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from scenelift.errors import InputError
from scenelift.geometry.regions import distance_inside, regions

__all__ = ["MIN_PIXELS", "Outline", "trace_outline"]

# Fewer pixels than this have no outline to speak of.
MIN_PIXELS = 16
# Part of a mask that its smoothed outline must cover: half of a straight line a pixel wide is.
LEAST_COVERAGE = 1 / 3
# Longest side, in pixels, at which a mask is worked on: larger ones are reduced first.
WORK_SIDE = 480
# Islands below this part of the largest are taken for crumbs of the segmenter.
CRUMB = 0.01
# Nodes of the volume that the solid is cut out of: about 1 s of marching cubes on two slow cores.
VOLUME_NODES = 900_000
MARGIN = 3  # nodes of empty border


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """A mask as a smooth signed distance.

    Attributes:
        distance: float64 [h, w] in photo pixels, positive inside, at the nodes.
        on_cut: bool [h, w], outside nodes where something hides the object or the photo ends: the
            outline there is a cut through the object, not its silhouette.
        origin: (u, v) of node [0, 0] in continuous photo coordinates.
        step: photo pixels between nodes.
    """

    distance: NDArray[np.float64]
    on_cut: NDArray[np.bool_]
    origin: tuple[float, float]
    step: float

    @property
    def inside(self) -> NDArray[np.bool_]:
        return self.distance > 0

    def sample(self, values: NDArray, u: NDArray, v: NDArray, *, order: int = 1) -> NDArray:
        """Interpolate node values [h, w] at photo coordinates."""
        rows, columns = (v - self.origin[1]) / self.step, (u - self.origin[0]) / self.step
        return map_coordinates(values, [rows, columns], order=order, mode="nearest")


def trace_outline(
    mask: NDArray[np.bool_],
    hidden_by: NDArray[np.bool_] | None = None,
) -> Outline:
    """Trace a mask.

    Args:
        mask: bool [H, W] of the object.
        hidden_by: bool [H, W], pixels of things in front of it, or None.

    Raises:
        InputError: the mask is empty, too small for a shape, or nothing but dots and lines.
    """
    area = int(mask.sum())
    if area < MIN_PIXELS:
        raise InputError(
            f"A mask of {area} pixels is too small to make a solid of; at least {MIN_PIXELS} are "
            "needed. Use a photo of higher resolution, or one taken closer."
        )
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    factor = -(-max(bottom - top, right - left) // WORK_SIDE)

    # Two photo pixels around the box tell occluders and the photo's border from background.
    pad = 2 * factor
    window = (top - pad, left - pad, bottom + pad, right + pad)
    work = _reduced(_cropped(mask, window, False), factor)
    work = _without_crumbs(work)
    cut_mask = _reduced(_cropped(np.zeros_like(mask), window, True), factor)
    if hidden_by is not None:
        cut_mask |= _reduced(_cropped(hidden_by, window, False), factor)
    distance = _smooth_distance(work)

    step = _step(work, distance)
    height, width = (np.array(work.shape) - 4) / step
    h, w = int(np.ceil(height)) + 1 + 2 * MARGIN, int(np.ceil(width)) + 1 + 2 * MARGIN
    # Positions of the nodes in work pixels, whose index 0 is the centre of the first.
    y = 1.5 + step * (np.arange(h) - MARGIN)
    x = 1.5 + step * (np.arange(w) - MARGIN)
    grid = np.meshgrid(y, x, indexing="ij")
    nodes = map_coordinates(distance, grid, order=1, mode="nearest")
    outside = np.maximum(
        np.maximum(-y, y - (work.shape[0] - 1))[:, None],
        np.maximum(-x, x - (work.shape[1] - 1))[None],
    )
    nodes = np.where(outside > 0, np.minimum(nodes, -outside), nodes)
    area_above_zero = np.count_nonzero(nodes > 0) * (step * factor) ** 2
    if area_above_zero < LEAST_COVERAGE * area:
        raise InputError(
            f"The mask's {area} pixels are scattered, or lines a pixel wide: there is no solid in "
            "them. Use a mask of connected areas."
        )
    cut_nodes = map_coordinates(cut_mask.astype(np.float32), grid, order=0, mode="nearest") > 0
    return Outline(
        distance=nodes * factor,
        on_cut=cut_nodes & (nodes <= 0),
        origin=(
            float(window[1] + (x[0] + 0.5) * factor),
            float(window[0] + (y[0] + 0.5) * factor),
        ),
        step=step * factor,
    )


def _cropped(
    mask: NDArray[np.bool_], window: tuple[int, int, int, int], beyond: bool
) -> NDArray[np.bool_]:
    """Cut out a part of a mask; the window may reach over its borders, filled with `beyond`."""
    y0, x0, y1, x1 = window
    out = np.full((y1 - y0, x1 - x0), beyond)
    ys, xs = slice(max(y0, 0), min(y1, mask.shape[0])), slice(max(x0, 0), min(x1, mask.shape[1]))
    out[ys.start - y0 : ys.stop - y0, xs.start - x0 : xs.stop - x0] = mask[ys, xs]
    return out


def _reduced(mask: NDArray[np.bool_], factor: int) -> NDArray[np.bool_]:
    """Reduce a mask to 1 / factor of its size, rounded up: blocks that are at least half full."""
    if factor == 1:
        return mask
    h, w = (-(-side // factor) for side in mask.shape)
    padded = np.pad(mask, ((0, h * factor - mask.shape[0]), (0, w * factor - mask.shape[1])))
    return padded.reshape(h, factor, w, factor).mean((1, 3)) >= 0.5


def _without_crumbs(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    islands, count = regions(mask, diagonal=True)
    if count < 2:
        return mask
    areas = np.bincount(islands.ravel())
    areas[0] = 0
    return (areas >= CRUMB * areas.max())[islands]


def _smooth_distance(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute the signed distance to the outline in pixels, without the pixels' staircase.

    Blurring a distance moves its zero level by less than half a pixel at an edge, but would wipe
    out lines a pixel wide: every pixel's centre therefore keeps its side.
    """
    # Distances between pixel centres: the edge lies half a pixel before the first other pixel.
    padded = np.pad(mask, 1)
    signed = np.where(padded, distance_inside(padded) - 0.5, 0.5 - distance_inside(~padded))
    signed = signed[1:-1, 1:-1]
    smooth = gaussian_filter(signed, 1.0, mode="nearest")
    return np.where(mask, np.maximum(smooth, 0.2), np.minimum(smooth, -0.2))


def _step(mask: NDArray[np.bool_], distance: NDArray[np.float64]) -> float:
    """Choose the pixels between nodes so that the volume has about `VOLUME_NODES`."""
    height, width = mask.shape
    depth = 2.4 * max(float(distance.max()), 0.5)
    step = (height * width * depth / VOLUME_NODES) ** (1 / 3)
    # Thin masks have little volume; beyond four nodes a pixel there is nothing left to resolve.
    return max(step, 0.25, max(height, width) / (2 * WORK_SIDE))
