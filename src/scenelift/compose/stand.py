"""Make objects stand on what supported them in the photo.

Two things tell how far away an object is: the points on it, and where its foot meets what it stands
on. Each errs on its own, so their weighted mean is better than either: the object slides along the
viewing rays, where its silhouette stays, towards the likeliest distance; large and near ones all
of the way, small and far ones little of it (`PlacedObject.reach`). There its foot is put on what
was seen beneath it, upright if it nearly is, and turn, place and size are fitted once more. Sliding
until the foot meets the ground would not do: seen from low above, a little in height is much in
distance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scenelift.compose.placed_object import POINTS_OFF, TIGHT, PlacedObject
from scenelift.compose.search import evolve, rotation_of_vector, turn_between
from scenelift.compose.support import FLOOR, Support, across, support_of
from scenelift.geometry.ground import Ground

__all__ = ["stand"]

UPRIGHT = np.cos(np.radians(20))  # an axis that near the way up was meant to point there
SLACK = 0.12  # what standing may cost in agreement with the photo,
OFF_ITS_MASK = 0.05  # and how much of that the silhouette: the mask is the surest of what is known
LIKE_ITS_MASK = 0.8  # IoU below which a shape is too rough to tell where its foot is

# Errors of what beside its points tells an object's distance, as shares of it, one standard
# deviation; the first two as measured with true shapes in their true places (docs/log.md).
LEVEL = 0.015  # the height of what it stands on, and of its foot, over the camera's height
TILT = 0.005  # that height again, over the distance from which it was seen
FOOT = 0.6  # its foot, over its size, for a shape that has nothing in common with its mask

# Of the last fit: turn about the vertical in radians, shift right, logarithm of the size, and the
# shift away over the distance, which was decided before and only gives way to a clear silhouette.
ERRORS = np.array([0.06, 0.05, 0.06])
AWAY = 0.003
PULL = 0.006  # cost of an error of one standard deviation
STANDING = replace(TIGHT, offset=0.0)  # the points' word on the distance was heard before
EFFORT = (14, 16)  # population, generations


def stand(objects: Sequence[PlacedObject], ground: Ground, rng: np.random.Generator) -> None:
    """Make every object stand that nearly does, the lowest first."""
    below: list[PlacedObject] = []
    slid = {FLOOR: 0.0}
    for o in sorted(objects, key=lambda o: float((o.surface() @ ground.up).min())):
        support = support_of(o, below, ground)
        slid[o.index] = 0.0
        if support is not None:
            slid[o.index] = _settle(o, support, slid[support.of], ground.up, rng)
        below.append(o)


def _settle(
    o: PlacedObject, support: Support, support_slide: float, up: NDArray, rng: np.random.Generator
) -> float:
    """Make an object stand, or leave it where it is.

    Args:
        support_slide: how far the support slid, and so the object on it.

    Returns:
        How far it slid: the logarithm of a factor of its distance.
    """
    before = o.compare(o.pose[None], STANDING)
    iou = float(before.iou[0])
    if iou < LIKE_ITS_MASK:
        return 0.0
    first = o.pose
    for pose, slide, stands in _candidate_poses(o, support, support_slide, 1 - iou, up, rng):
        after = o.compare(pose[None], STANDING)
        if after.cost(STANDING)[0] > before.cost(STANDING)[0] + SLACK:
            continue
        if after.iou[0] < iou - OFF_ITS_MASK:
            continue
        o.pose = pose
        shift = float(np.linalg.norm((pose - first) @ [*o.centre, 1])) / o.size
        what = "the ground" if support.of == FLOOR else f"object {support.of}"
        if stands:
            o.standing = support.of
            o.notes.append(f"It was made to stand on {what} ({shift:.0%} of its size).")
        else:
            o.notes.append(f"It was moved towards where it meets {what} ({shift:.0%} of its size).")
        return slide
    return 0.0


def _candidate_poses(
    o: PlacedObject,
    support: Support,
    support_slide: float,
    unlike: float,
    up: NDArray,
    rng: np.random.Generator,
) -> Iterator[tuple[NDArray[np.float64], float, bool]]:
    """Make poses that stand, with how far each slid and whether it stands; the last may not.

    Args:
        unlike: 1 − IoU of its silhouette and its mask.
    """
    middle, distance = o.pose @ [*o.centre, 1], o.distance
    slide = 0.0
    for rotation in _uprights(o.pose[:, :3] / o.scale, up):
        down = float(((o.surfels.points - o.centre) @ (up @ rotation)).min())
        base = float(middle @ up) + o.scale * down
        unsure = np.hypot(TILT * distance, FOOT * unlike * o.size)
        slide = _slide(base, support.level, support_slide, float(unsure), o.reach)
        yield _standing(o, rotation, support.height, slide, up, rng), slide, True
    # Its shape is not good enough to fit: as it is, straight up or down as far as may be.
    pose = o.pose * np.exp(slide)
    lift = support.height - float(((o.surfels.points @ pose[:, :3].T + pose[:, 3]) @ up).min())
    for share in (1.0, 0.5, 0.0):
        yield pose + np.outer(share * lift * up, [0, 0, 0, 1]), slide, share == 1


def _slide(base: float, level: float, support_slide: float, unsure: float, reach: float) -> float:
    """Compute the log factor that brings the object's distance nearer to the likeliest.

    Args:
        base, level: heights of its foot and of what it stands on, from the camera.
        support_slide: how far the support slid.
        unsure: standard deviation of the difference of both heights, beside `LEVEL`.
        reach: share of the way to the likeliest distance that it goes.
    """
    if base * level <= 0:  # one above the camera, one below
        return support_slide
    error = LEVEL**2 + (unsure / level) ** 2
    share = reach * POINTS_OFF**2 / (POINTS_OFF**2 + error)
    return support_slide + share * (float(np.log(level / base)) - support_slide)


def _uprights(rotation: NDArray, up: NDArray) -> list[NDArray[np.float64]]:
    """Return the rotation with its nearest axis upright, if it is near, then the unchanged one."""
    axes = np.concatenate([rotation.T, -rotation.T])
    nearest = int((axes @ up).argmax())
    if axes[nearest] @ up < UPRIGHT:
        return [rotation]
    return [turn_between(axes[nearest], up) @ rotation, rotation]


def _standing(
    o: PlacedObject,
    rotation: NDArray,
    height: float,
    slide: float,
    up: NDArray,
    rng: np.random.Generator,
) -> NDArray[np.float64]:  # [3, 4]
    """Find the best pose that stands at a height, near where the object is once it slid."""
    plane = across(up)
    lowest = float((o.surfels.points @ (up @ rotation)).min())  # of the shape at scale 1
    slid = o.pose * np.exp(slide)
    middle, scale, size = slid @ [*o.centre, 1], o.scale * np.exp(slide), o.size * np.exp(slide)
    turn, right, grow = ERRORS
    errors = np.array([turn, right, AWAY * float(np.linalg.norm(middle)) / size, grow])

    def poses(x: NDArray[np.float64]) -> NDArray[np.float64]:  # [..., 4] -> [..., 3, 4]
        grown = scale * np.exp(x[..., 3])
        linear = rotation_of_vector(x[..., :1] * up) @ rotation * grown[..., None, None]
        offset = middle + (x[..., 1:3] * size) @ plane - linear @ o.centre
        offset += ((height - grown * lowest) - offset @ up)[..., None] * up
        return np.concatenate([linear, offset[..., None]], -1)

    def costs(x: NDArray[np.float64]) -> NDArray[np.float64]:
        comparison = o.compare(poses(x).reshape(-1, 3, 4), STANDING).cost(STANDING)
        return comparison.reshape(x.shape[:2]) + PULL * ((x / errors) ** 2).sum(-1)

    population, generations = EFFORT
    x, _ = evolve(costs, 1, errors, generations=generations, population=population, rng=rng)
    return poses(x[0])
