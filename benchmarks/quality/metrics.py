"""Quality figures as functions of arrays. `docs/quality.md` says what each one means.

Shape letters: H, W image rows and columns; N, M points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree
from skimage.metrics import structural_similarity

__all__ = [
    "abs_rel",
    "add_s",
    "affine_disparity",
    "box_iou",
    "chamfer",
    "delta",
    "f_score",
    "mask_iou",
    "match_by_iou",
    "median_scale",
    "order_accuracy",
    "psnr",
    "rotation_angle",
    "ssim",
    "volume_iou",
]


# Masks


def mask_iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks of one shape; 1 where both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def match_by_iou(
    found: Sequence[NDArray[np.bool_]], truth: Sequence[NDArray[np.bool_]]
) -> tuple[list[float], list[int | None]]:
    """The one-to-one assignment of masks with the largest sum of IoU.

    Returns:
        For every true mask the IoU with its partner, 0 without one; for every found mask the
        index of its partner, None where it has none or does not touch it.
    """
    iou = np.array([[mask_iou(f, t) for t in truth] for f in found]).reshape(len(found), len(truth))
    of_truth = [0.0] * len(truth)
    partners: list[int | None] = [None] * len(found)
    for row, column in zip(*linear_sum_assignment(-iou), strict=True):
        if iou[row, column] > 0:
            of_truth[column], partners[row] = float(iou[row, column]), int(column)
    return of_truth, partners


# Depth


def median_scale(estimate: NDArray, truth: NDArray) -> float:
    """The factor that brings estimated depths [N] to the truth: the median of their ratios."""
    return float(np.median(truth / estimate))


def affine_disparity(estimate: NDArray, truth: NDArray) -> NDArray[np.float64]:
    """Estimated depths [N] after the best affine map of their inverses to the true inverses.

    Least squares; a disparity that comes out below a hundredth of the true mean is raised to it.
    """
    inverse, target = 1 / np.asarray(estimate, float), 1 / np.asarray(truth, float)
    columns = np.stack([inverse, np.ones_like(inverse)], 1)
    fitted = columns @ np.linalg.lstsq(columns, target, rcond=None)[0]
    return 1 / np.maximum(fitted, 0.01 * target.mean())


def abs_rel(estimate: NDArray, truth: NDArray) -> float:
    """Mean of |estimate − truth| / truth."""
    return float(np.mean(np.abs(estimate - truth) / truth))


def delta(estimate: NDArray, truth: NDArray, threshold: float = 1.25) -> float:
    """Share of depths within a factor of `threshold` of the truth."""
    return float(np.mean(np.maximum(estimate / truth, truth / estimate) < threshold))


def order_accuracy(
    estimate: Sequence[float], truth: Sequence[float], *, apart: float = 0.05
) -> tuple[int, int]:
    """Pairs of objects whose nearer one is the right one, and pairs asked.

    Only pairs are asked whose true depths differ by more than `apart` of the smaller one.
    """
    right = asked = 0
    for i in range(len(truth)):
        for j in range(i):
            near, far = sorted((truth[i], truth[j]))
            if far <= near * (1 + apart):
                continue
            asked += 1
            right += bool((estimate[i] < estimate[j]) == (truth[i] < truth[j]))
    return right, asked


# Shapes


def chamfer(to_truth: NDArray, to_estimate: NDArray) -> float:
    """Mean of the mean distances from one surface to the other, both ways."""
    return float((to_truth.mean() + to_estimate.mean()) / 2)


def f_score(to_truth: NDArray, to_estimate: NDArray, threshold: float) -> float:
    """Harmonic mean of precision and recall.

    Args:
        to_truth: [N] distances from points of the estimate to the true surface.
        to_estimate: [M] distances from points of the true surface to the estimate.
        threshold: a point is right within it.
    """
    precision, recall = np.mean(to_truth < threshold), np.mean(to_estimate < threshold)
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def volume_iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two voxel grids."""
    return mask_iou(a, b)


# Layout


def box_iou(
    a: tuple[NDArray, NDArray],  # low [3], high [3]
    b: tuple[NDArray, NDArray],
) -> float:
    """Intersection over union of the volumes of two boxes along the axes."""
    overlap = np.prod(np.clip(np.minimum(a[1], b[1]) - np.maximum(a[0], b[0]), 0, None))
    union = np.prod(a[1] - a[0]) + np.prod(b[1] - b[0]) - overlap
    return float(overlap / union) if union > 0 else 0.0


def rotation_angle(rotation: NDArray) -> float:
    """Angle of a 3×3 rotation matrix in degrees, 0…180."""
    # atan2 keeps its accuracy near 0, where the arc cosine of the trace loses it.
    axis = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    return math.degrees(math.atan2(float(np.linalg.norm(axis)), float(np.trace(rotation)) - 1))


def add_s(estimate: NDArray, truth: NDArray, diameter: float, queries: int | None = None) -> float:
    """Mean distance to the nearest point of the other surface, both ways, over the diameter.

    Args:
        estimate, truth: [N, 3] and [M, 3] points of the surfaces in the scene, in no order.
        diameter: of the true object.
        queries: measure from so many points of each surface, to all of the other; None for all.
    """
    there = KDTree(truth).query(estimate[:queries])[0]
    back = KDTree(estimate).query(truth[:queries])[0]
    return chamfer(there, back) / diameter


# Pictures


def psnr(a: NDArray, b: NDArray, mask: NDArray[np.bool_]) -> float:
    """Peak signal-to-noise ratio in dB of two pictures [H, W, 3] in 0…1 inside a mask."""
    error = np.mean((np.asarray(a, float)[mask] - np.asarray(b, float)[mask]) ** 2)
    return float(-10 * np.log10(error)) if error > 0 else math.inf


def ssim(a: NDArray, b: NDArray, mask: NDArray[np.bool_]) -> float:
    """Structural similarity of two pictures [H, W, 3] in 0…1, mean over a mask.

    Outside the mask both are set to the same grey, so that nothing there counts.
    """
    left, right = (np.where(mask[..., None], np.asarray(x, float), 0.5) for x in (a, b))
    full = structural_similarity(left, right, channel_axis=2, data_range=1.0, full=True)[1]
    return float(np.asarray(full)[mask].mean())
