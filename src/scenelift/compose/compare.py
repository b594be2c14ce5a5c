"""How well poses explain what was seen: thousands of small renders a second, on the CPU.

A pose's surfels are drawn into a depth picture of the evidence's size and compared with it pixel by
pixel; `docs/layout.md` says what counts. Inside the kernel z points forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from scenelift.compose.evidence import FREE, SEEN, Evidence
from scenelift.compose.surfels import Surfels
from scenelift.render.jit import PARALLEL_REGION, compiled, kernel_array

__all__ = ["Comparison", "Weights", "compare"]

NEAR = 1e-3  # of the object's distance: surfels nearer than that to the camera are not drawn

FAR_OFF = 40.0  # an offset of more than its root times the bias costs little more


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What errors cost, beside 1 for a wrong silhouette.

    Depth errs in two ways that cost differently: point by point, and as a whole, since point maps
    are smooth and smoothly wrong.

    Attributes:
        depth: of a relief (depth less its common offset) that is entirely wrong.
        depth_scale: relief error, over the object's size, that costs half of that; beyond it an
            error counts ever less.
        offset: of a common offset as large as `bias`.
        bias: typical offset of a point map, over the object's distance.
        colour: of colours that have nothing in common.
        tolerance: over the object's size: a pose's surface that much behind what was observed
            is hidden by it.
    """

    depth: float = 1.0
    depth_scale: float = 0.06
    offset: float = 0.004
    bias: float = 0.025
    colour: float = 0.15
    tolerance: float = 0.04


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Figures of K poses, float64 [K] each.

    Attributes:
        iou: of the silhouette and the mask over seen and free pixels.
        depth: robust mean of relief errors in 0…1; 0 where there is nothing to compare.
        offset: how far the observed points lie behind the pose's surface, as a whole, over the
            object's distance.
        colour: 0 where colours rise and fall together, 1 where they have nothing in common.
        visible: share of the drawn silhouette that is neither hidden nor outside the photo.
        shift: [K, 2], from the centre of its visible pixels to that of the seen ones, pixels.
        growth: seen pixels over visible pixels.
        behind: mean of observed over drawn depth where both are, 1 where nothing is.
    """

    iou: NDArray[np.float64]
    depth: NDArray[np.float64]
    offset: NDArray[np.float64]
    colour: NDArray[np.float64]
    visible: NDArray[np.float64]
    shift: NDArray[np.float64]
    growth: NDArray[np.float64]
    behind: NDArray[np.float64]

    def cost(self, weights: Weights) -> NDArray[np.float64]:  # [K]
        off = (self.offset / weights.bias) ** 2
        return (
            1
            - self.iou
            + weights.depth * self.depth
            + weights.offset * off / (1 + off / FAR_OFF)
            + weights.colour * self.colour
        )


def compare(
    surfels: Surfels,
    evidence: Evidence,
    poses: NDArray[np.float64],  # [K, 3, 4]
    weights: Weights,
) -> Comparison:
    """Draw the surfels in each pose and compare with what was seen.

    Args:
        poses: camera_from_object, the upper rows of similarity matrices.
    """
    flip = np.array([1.0, -1.0, -1.0])[:, None]  # to x right, y down, z forward
    colors = surfels.colors
    with PARALLEL_REGION:
        terms = _compare(
            kernel_array(surfels.points, np.float32),
            kernel_array(np.zeros((0, 3)) if colors is None else colors, np.float32),
            surfels.spacing,
            kernel_array(poses * flip, np.float64),
            kernel_array(evidence.intrinsics, np.float64),
            kernel_array(evidence.kind, np.uint8),
            kernel_array(evidence.depth, np.float32),
            kernel_array(evidence.photo, np.float32),
            weights.depth_scale * evidence.size if evidence.has_relief else np.inf,
            weights.tolerance * evidence.size,
            NEAR * evidence.distance,
        )
    both, missed, extra, depth_sum, depth_count, colour, drawn, visible = terms.T[:8]
    seen = evidence.seen
    centre = np.argwhere(seen).mean(0)[::-1]
    return Comparison(
        iou=both / np.maximum(both + missed + extra, 1),
        depth=depth_sum / np.maximum(depth_count, 1),
        colour=colour,
        visible=visible / np.maximum(drawn, 1),
        shift=np.where(visible[:, None] > 0, centre - terms[:, 8:10], 0.0),
        growth=int(seen.sum()) / np.maximum(visible, 1),
        behind=terms[:, 10],
        offset=terms[:, 11] / evidence.distance,
    )


@compiled(parallel=True)
def _compare(
    points, colors, spacing, poses, intrinsics, kind, observed, photo, depth_scale, tolerance, near
):
    height, width = kind.shape
    fx, fy, cx, cy = intrinsics
    terms = np.zeros((len(poses), 12), np.float64)
    for k in numba.prange(len(poses)):
        m = poses[k]
        scale = (m[0, 0] ** 2 + m[1, 0] ** 2 + m[2, 0] ** 2) ** 0.5
        depth = np.full((height, width), np.float32(np.inf), np.float32)
        front = np.full((height, width), np.int32(-1), np.int32)
        for n in range(len(points)):
            px, py, pz = points[n, 0], points[n, 1], points[n, 2]
            z = m[2, 0] * px + m[2, 1] * py + m[2, 2] * pz + m[2, 3]
            if z < near:
                continue
            u = cx + fx * (m[0, 0] * px + m[0, 1] * py + m[0, 2] * pz + m[0, 3]) / z
            v = cy + fy * (m[1, 0] * px + m[1, 1] * py + m[1, 2] * pz + m[1, 3]) / z
            # A square as wide as the gap to its neighbours, and never narrower than a pixel.
            half = max(0.5, 0.5 * spacing * scale * fx / z)
            left, right = int(np.ceil(u - half - 0.5)), int(np.floor(u + half - 0.5))
            top, bottom = int(np.ceil(v - half - 0.5)), int(np.floor(v + half - 0.5))
            for y in range(max(0, top), min(height - 1, bottom) + 1):
                for x in range(max(0, left), min(width - 1, right) + 1):
                    if z < depth[y, x]:
                        depth[y, x] = z
                        front[y, x] = n
        offset = _common_offset(depth, kind, observed, depth_scale)
        both, missed, extra, drawn, visible = 0.0, 0.0, 0.0, 0.0, 0.0
        depth_sum, depth_count, ratio_sum = 0.0, 0.0, 0.0
        sum_x, sum_y = 0.0, 0.0
        for y in range(height):
            for x in range(width):
                covered = front[y, x] >= 0
                drawn += covered
                if kind[y, x] == SEEN:
                    if covered:
                        both += 1
                        visible += 1
                        sum_x += x
                        sum_y += y
                        error = (depth[y, x] + offset - observed[y, x]) / depth_scale
                        if error == error:  # no point was observed here
                            depth_sum += error * error / (1 + error * error)
                            depth_count += 1
                            ratio_sum += observed[y, x] / depth[y, x]
                    else:
                        missed += 1
                elif covered and kind[y, x] == FREE:
                    hidden = depth[y, x] + offset > observed[y, x] + tolerance
                    extra += not hidden
                    visible += not hidden
                    sum_x += 0 if hidden else x
                    sum_y += 0 if hidden else y
        terms[k, 0], terms[k, 1], terms[k, 2] = both, missed, extra
        terms[k, 3], terms[k, 4] = depth_sum, depth_count
        terms[k, 5] = _colour_cost(front, kind, photo, colors) if len(colors) else 0.0
        terms[k, 6], terms[k, 7] = drawn, visible
        terms[k, 8], terms[k, 9] = sum_x / max(visible, 1.0), sum_y / max(visible, 1.0)
        terms[k, 10] = ratio_sum / depth_count if depth_count > 0 else 1.0
        terms[k, 11] = offset
    return terms


@compiled()
def _common_offset(depth, kind, observed, scale):
    """Robust mean of how far observed points lie behind drawn ones."""
    errors = np.zeros(kind.size, np.float32)
    count = 0
    for y in range(kind.shape[0]):
        for x in range(kind.shape[1]):
            if kind[y, x] == SEEN and depth[y, x] < np.inf:
                error = observed[y, x] - depth[y, x]
                if error == error:
                    errors[count] = error
                    count += 1
    if not count:
        return 0.0
    offset = errors[:count].mean()
    for _ in range(2):  # what is far from the mean so far counts less
        total, weights = 0.0, 0.0
        for i in range(count):
            far = (errors[i] - offset) / scale
            weight = 1 / (1 + far * far) ** 2
            total += weight * errors[i]
            weights += weight
        offset = total / weights
    return offset


@compiled()
def _colour_cost(front, kind, photo, colors):
    """1 − correlation of colours over covered seen pixels, in 0…1; brightness and tint are free.

    Channels are centred each, so that the light's colour and the exposure do not matter.
    """
    count = 0.0
    sums = np.zeros((5, 3), np.float64)  # a, b, aa, bb, ab
    for y in range(front.shape[0]):
        for x in range(front.shape[1]):
            n = front[y, x]
            if n < 0 or kind[y, x] != SEEN:
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
