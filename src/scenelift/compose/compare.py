"""Measure how well poses explain the photo: thousands of small renders a second, on the CPU.

A pose's surfels are drawn into a depth picture of the evidence's size and compared with it pixel by
pixel; `docs/layout.md` says what counts. Inside the kernel z points forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.compose.evidence import UNKNOWN, VISIBLE, Evidence
from scenelift.compose.surfels import Surfels
from scenelift.jit import compiled, kernel_array, spread

__all__ = ["Comparison", "Weights", "compare"]

NEAR = 1e-3  # of the object's distance: surfels nearer than that to the camera are not drawn

FAR_OFF = 40.0  # an offset of more than its root times the bias costs little more
PLANE_PIXELS = 1000  # as many tell where the plane lies


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights of errors, relative to 1 for a wrong silhouette.

    Depth errs in two ways that cost differently: point by point, and as a whole, since point maps
    are smooth and smoothly wrong. What is wrong as a whole is a plane over the picture: a common
    offset and a slope.

    Attributes:
        depth: of a relief (depth less that plane) that is entirely wrong.
        depth_scale: relief error, over the object's size, that costs half of that; beyond it an
            error counts ever less.
        offset: of a common offset as large as `bias`.
        bias: typical offset of a point map, over the object's distance.
        slope: of a plane as steep as `tilt`.
        tilt: typical slope of a point map's error, depth over length across.
        colour: of colours that have nothing in common.
        tolerance: over the object's size: a pose's surface that much behind what was observed
            is hidden by it.
    """

    depth: float = 1.0
    depth_scale: float = 0.06
    offset: float = 0.004
    bias: float = 0.025
    slope: float = 0.005
    tilt: float = 0.1
    colour: float = 0.15
    tolerance: float = 0.04


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Scores of K poses, float64 [K] each.

    Attributes:
        iou: of the silhouette and the mask over seen and free pixels.
        depth: robust mean of relief errors in 0…1; 0 where there is nothing to compare.
        offset: how far the observed points lie behind the pose's surface, as a whole, over the
            object's distance.
        slope: how much farther behind they lie per length across the picture.
        colour: 0 where colours rise and fall together, 1 where they have nothing in common.
        visible: share of the drawn silhouette that is neither hidden nor outside the photo.
        shift: [K, 2], from the centre of its visible pixels to that of the seen ones, pixels.
        growth: seen pixels over visible pixels.
        behind: mean of observed over drawn depth where both are, 1 where nothing is.
    """

    iou: NDArray[np.float64]
    depth: NDArray[np.float64]
    offset: NDArray[np.float64]
    slope: NDArray[np.float64]
    colour: NDArray[np.float64]
    visible: NDArray[np.float64]
    shift: NDArray[np.float64]
    growth: NDArray[np.float64]
    behind: NDArray[np.float64]

    def cost(self, weights: Weights) -> NDArray[np.float64]:  # [K]
        off = (self.offset / weights.bias) ** 2
        steep = (self.slope / weights.tilt) ** 2
        return (
            1
            - self.iou
            + weights.depth * self.depth
            + weights.offset * off / (1 + off / FAR_OFF)
            + weights.slope * steep / (1 + steep / FAR_OFF)
            + weights.colour * self.colour
        )


def compare(
    surfels: Surfels,
    evidence: Evidence,
    poses: NDArray[np.float64],  # [K, 3, 4]
    weights: Weights,
) -> Comparison:
    """Draw the surfels in each pose and compare the drawing with the photo.

    Args:
        poses: camera_from_object, the upper rows of similarity matrices.
    """
    flip = np.array([1.0, -1.0, -1.0])[:, None]  # to x right, y down, z forward
    colors = surfels.colors
    terms = np.zeros((len(poses), 13))
    spread(
        _compare,
        len(poses),
        kernel_array(surfels.points, np.float32),
        kernel_array(np.zeros((0, 3)) if colors is None else colors, np.float32),
        surfels.spacing,
        kernel_array(poses * flip, np.float64),
        kernel_array(evidence.intrinsics, np.float64),
        kernel_array(evidence.kind, np.uint8),
        kernel_array(evidence.depth, np.float32),
        kernel_array(evidence.photo, np.float32),
        kernel_array(np.argwhere(evidence.mask), np.int64),
        weights.depth_scale * evidence.size if evidence.has_relief else np.inf,
        weights.tolerance * evidence.size,
        evidence.distance / evidence.intrinsics[:2],
        weights.slope / weights.tilt**2,
        NEAR * evidence.distance,
        terms,
    )
    both, missed, extra, depth_sum, depth_count, colour, drawn_count, visible = terms.T[:8]
    visible_mask = evidence.mask
    centre = np.argwhere(visible_mask).mean(0)[::-1]
    return Comparison(
        iou=both / np.maximum(both + missed + extra, 1),
        depth=depth_sum / np.maximum(depth_count, 1),
        colour=colour,
        visible=visible / np.maximum(drawn_count, 1),
        shift=np.where(visible[:, None] > 0, centre - terms[:, 8:10], 0.0),
        growth=int(visible_mask.sum()) / np.maximum(visible, 1),
        behind=terms[:, 10],
        offset=terms[:, 11] / evidence.distance,
        slope=np.sqrt(terms[:, 12]),
    )


@compiled
def _compare(
    first,
    end,
    points,  # [N, 3]
    colors,  # [N, 3], or none
    spacing,
    poses,  # [K, 3, 4]
    intrinsics,
    kind,  # [h, w]
    observed,  # [h, w]
    photo,  # [h, w, 3]
    pixels,  # [S, 2], rows and columns
    depth_scale,
    tolerance,
    across,  # length of a pixel, [2]
    stiffness,
    near,
    terms,  # [K, 13]
):
    height, width = kind.shape
    for k in range(first, end):
        depth = np.full((height, width), np.float32(np.inf), np.float32)
        front = np.full((height, width), np.int32(-1), np.int32)
        _draw(points, spacing, poses[k], intrinsics, near, depth, front)
        offset, right, down, middle = _smooth_error(
            depth, observed, pixels, depth_scale, across, stiffness
        )
        per_x, per_y = right * across[0], down * across[1]
        origin = offset - per_x * middle[0] - per_y * middle[1]
        both, drawn_count, visible, extra = 0.0, 0.0, 0.0, 0.0
        depth_sum, depth_count, ratio_sum = 0.0, 0.0, 0.0
        sum_x, sum_y = 0.0, 0.0
        for y in range(height):
            for x in range(width):
                if front[y, x] < 0:
                    continue
                drawn_count += 1
                if kind[y, x] == UNKNOWN:
                    continue
                smooth = origin + per_x * x + per_y * y
                behind = depth[y, x] + smooth - observed[y, x]
                if kind[y, x] == VISIBLE:
                    both += 1
                    error = behind / depth_scale
                    if error == error:  # a point was observed here
                        depth_sum += error * error / (1 + error * error)
                        depth_count += 1
                        ratio_sum += observed[y, x] / depth[y, x]
                elif behind > tolerance:
                    continue  # hidden
                else:
                    extra += 1
                visible += 1
                sum_x += x
                sum_y += y
        terms[k, 0], terms[k, 1], terms[k, 2] = both, len(pixels) - both, extra
        terms[k, 3], terms[k, 4] = depth_sum, depth_count
        terms[k, 5] = _colour_cost(front, pixels, photo, colors) if len(colors) else 0.0
        terms[k, 6], terms[k, 7] = drawn_count, visible
        terms[k, 8], terms[k, 9] = sum_x / max(visible, 1.0), sum_y / max(visible, 1.0)
        terms[k, 10] = ratio_sum / depth_count if depth_count > 0 else 1.0
        terms[k, 11] = offset
        terms[k, 12] = right**2 + down**2


@compiled
def _draw(points, spacing, m, intrinsics, near, depth, front):
    """Draw the nearest surfel of each pixel: its distance and its number."""
    height, width = depth.shape
    fx, fy, cx, cy = intrinsics
    scale = (m[0, 0] ** 2 + m[1, 0] ** 2 + m[2, 0] ** 2) ** 0.5
    for n in range(len(points)):
        px, py, pz = points[n, 0], points[n, 1], points[n, 2]
        z = m[2, 0] * px + m[2, 1] * py + m[2, 2] * pz + m[2, 3]
        if z < near:
            continue
        inverse = 1 / z
        u = cx + fx * (m[0, 0] * px + m[0, 1] * py + m[0, 2] * pz + m[0, 3]) * inverse
        v = cy + fy * (m[1, 0] * px + m[1, 1] * py + m[1, 2] * pz + m[1, 3]) * inverse
        # A square as wide as the gap to its neighbours, and never narrower than a pixel.
        half = max(0.5, 0.5 * spacing * scale * fx * inverse)
        if not (-half < u < width + half and -half < v < height + half):
            continue
        first_column, right = max(0, int(u - half + 0.5)), min(width, int(u + half + 0.5))
        top, bottom = max(0, int(v - half + 0.5)), min(height, int(v + half + 0.5))
        for y in range(top, bottom):
            for x in range(first_column, right):
                if z < depth[y, x]:
                    depth[y, x] = z
                    front[y, x] = n


@compiled
def _smooth_error(depth, observed, pixels, scale, across, stiffness):
    """Fit a robust plane through the distances of observed points behind drawn ones.

    The least of the mean squared error over `scale`, weighted as the robust mean does, plus
    `stiffness` times the squared slope. A slab has no relief to tell a slope from: its `scale` is
    infinite.

    Returns:
        The plane's height in its middle, its slopes right and down, and the middle in pixels.
    """
    step = max(1, len(pixels) // PLANE_PIXELS)
    x, y, e = np.zeros((3, len(pixels) // step + 1), np.float32)
    middle = np.zeros(2)
    offset, right, down = 0.0, 0.0, 0.0
    count = 0
    for i in range(0, len(pixels), step):
        error = observed[pixels[i, 0], pixels[i, 1]] - depth[pixels[i, 0], pixels[i, 1]]
        if np.isfinite(error):
            x[count], y[count], e[count] = pixels[i, 1], pixels[i, 0], error
            count += 1
    if not count:
        return offset, right, down, middle
    middle[0], middle[1] = x[:count].mean(), y[:count].mean()
    offset = np.median(e[:count])
    for _ in range(4 if scale < np.inf else 0):  # what is far from the plane so far counts less
        w, wx, wy, we = 0.0, 0.0, 0.0, 0.0
        wxx, wxy, wyy, wxe, wye = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(count):
            u, v = (x[i] - middle[0]) * across[0], (y[i] - middle[1]) * across[1]
            far = (e[i] - offset - right * u - down * v) / scale
            weight = 1 / (1 + far * far) ** 2
            w += weight
            wx += weight * u
            wy += weight * v
            we += weight * e[i]
            wxx += weight * u * u
            wxy += weight * u * v
            wyy += weight * v * v
            wxe += weight * u * e[i]
            wye += weight * v * e[i]
        stiff = stiffness * scale * scale * count
        xx, yy, xy = wxx - wx * wx / w + stiff, wyy - wy * wy / w + stiff, wxy - wx * wy / w
        xe, ye = wxe - wx * we / w, wye - wy * we / w
        determinant = xx * yy - xy * xy
        right, down = (yy * xe - xy * ye) / determinant, (xx * ye - xy * xe) / determinant
        offset = (we - right * wx - down * wy) / w
    return offset, right, down, middle


@compiled
def _colour_cost(front, pixels, photo, colors):
    """Compute 1 − correlation of drawn and observed colours, in 0…1, whatever brightness and tint.

    Channels are centred each, so that the light's colour and the exposure do not matter.
    """
    count = 0.0
    sums = np.zeros((5, 3), np.float64)  # a, b, aa, bb, ab
    for i in range(len(pixels)):
        y, x = pixels[i, 0], pixels[i, 1]
        n = front[y, x]
        if n < 0:
            continue
        count += 1
        for c in range(3):
            a, b = colors[n, c], photo[y, x, c]
            sums[0, c] += a
            sums[1, c] += b
            sums[2, c] += a * a
            sums[3, c] += b * b
            sums[4, c] += a * b
    if count < 1:
        return 1.0
    # A little noise, so that the correlation of two plain surfaces means nothing.
    aa, bb, ab = 3e-4 * count, 3e-4 * count, 0.0
    for c in range(3):
        aa += sums[2, c] - sums[0, c] ** 2 / count
        bb += sums[3, c] - sums[1, c] ** 2 / count
        ab += sums[4, c] - sums[0, c] * sums[1, c] / count
    return min(1.0, max(0.0, 1 - ab / (aa * bb) ** 0.5))
