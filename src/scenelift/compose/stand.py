"""Objects that stood on something are made to stand on it.

What an object rests on is the level or the object's top nearest to its foot. Its up is turned to
the way up where it nearly is, and the four numbers that remain (turn about the vertical, place on
the support, size) are fitted to the photo once more, with the foot kept on the support.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scenelift.compose.ground import Ground
from scenelift.compose.placed import TIGHT, Placed
from scenelift.compose.search import evolve, rotation_of_vector, turn_between

__all__ = ["FLOOR", "stand"]

FLOOR = -1  # stands for a level where the index of an object is expected

FLOATS, SINKS = 0.22, 0.3  # of the object's size: a foot that far off still stood there
NOISE = 0.025  # of its distance: so does one that far off, since point maps are
UPRIGHT = np.cos(np.radians(20))  # an axis that near the way up was meant to point there
FOOT = 0.08  # of the height: the part that is the foot
ENOUGH = 12  # points of a level about a foot that tell its height there
FLAT = 0.3  # height of the camera over its distance at which plane and points count alike
SLACK = 0.12  # what standing may cost in agreement with the photo,
OFF_ITS_MASK = 0.03  # and how much of that the silhouette: the mask is the surest of what is known
LIKE_ITS_MASK = 0.78  # IoU below which a shape is too rough to tell where its foot is

# Turn about the vertical in radians, shifts right and away, logarithm of the size.
ERRORS = np.array([0.06, 0.05, 0.08, 0.06])
PULL = 0.003
FARTHEST = 0.25  # of its size: further along the rays, an error in height is the likelier cause
# Sliding along the viewing rays costs the silhouette nothing: the points' word against it counts
# for more than while refining, where they compete with the first pose alone.
STANDING = replace(TIGHT, offset=0.012)
EFFORT = (14, 16)  # population, generations


@dataclass(frozen=True, slots=True)
class Support:
    """A height that an object may stand at, and whose it is: an object's index, or `FLOOR`."""

    height: float
    of: int


def stand(placed: Sequence[Placed], ground: Ground, rng: np.random.Generator) -> None:
    """Make every object stand that does so nearly, the lowest first."""
    up = ground.up
    below: list[Placed] = []
    for o in sorted(placed, key=lambda o: float((o.surface() @ up).min())):
        support = _support_of(o, below, ground)
        if support is not None:
            _settle(o, support, up, rng)
        below.append(o)


def _support_of(o: Placed, below: Sequence[Placed], ground: Ground) -> Support | None:
    """What the object most likely stands on; None where nothing is near its foot."""
    up = ground.up
    surface = o.surface()
    heights = surface @ up
    base, size = float(heights.min()), o.size
    noise = NOISE * float(np.linalg.norm(surface.mean(0)))
    floats, sinks = max(FLOATS * size, noise), max(SINKS * size, noise)
    foot = surface[heights < base + FOOT * float(np.ptp(heights)) + 1e-9]
    found = [
        Support(_height_at(foot, ground, k, size), FLOOR)
        for k in range(len(ground.levels))
        if k == 0 or _around(foot, ground, k, size).size >= ENOUGH
    ]
    across = _horizontal(up)
    low, high = (foot @ across.T).min(0), (foot @ across.T).max(0)
    for other in below:
        theirs = other.surface()
        flat = theirs @ across.T
        under = ((flat >= low) & (flat <= high)).all(1)
        reach = theirs[under] @ up
        reach = reach[(reach > base - floats) & (reach < base + sinks)]
        if reach.size:
            found.append(Support(float(reach.max()), other.index))
    found = [s for s in found if -sinks < base - s.height < floats]
    return min(found, key=lambda s: abs(base - s.height), default=None)


def _around(foot: NDArray, ground: Ground, level: int, size: float) -> NDArray[np.float64]:
    """Heights [N] of what was seen of a level about the foot."""
    points = ground.points[ground.level == level]
    apart = (points - foot.mean(0)) @ _horizontal(ground.up).T
    return points[np.linalg.norm(apart, axis=1) < size] @ ground.up


def _height_at(foot: NDArray, ground: Ground, level: int, size: float) -> float:
    """Height of a level at the foot.

    The plane of all points is nearer to the truth than the few about the foot. But seen from low
    above, a little in height is much in distance, where those few are wrong by as much as the
    object's own points: the lower the camera, the more they count.
    """
    plane = ground.levels[level]
    here = _around(foot, ground, level, size)
    if here.size < ENOUGH:
        return plane
    trust = plane**2 / (plane**2 + (FLAT * float(np.linalg.norm(foot.mean(0)))) ** 2)
    return trust * plane + (1 - trust) * float(np.median(here))


def _horizontal(up: NDArray[np.float64]) -> NDArray[np.float64]:  # [2, 3]
    """Right and away from the camera, along the ground."""
    right = np.cross([0.0, 0.0, -1.0], up)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(up, right)])


def _settle(o: Placed, support: Support, up: NDArray, rng: np.random.Generator) -> None:
    before = o.compared(o.pose[None], STANDING)
    if before.iou[0] < LIKE_ITS_MASK:
        return
    most = float(before.cost(STANDING)[0]) + SLACK
    least = float(before.iou[0]) - OFF_ITS_MASK

    def agrees(pose: NDArray[np.float64]) -> bool:
        after = o.compared(pose[None], STANDING)
        return bool(after.cost(STANDING)[0] < most and after.iou[0] > least)

    base = float((o.surface() @ up).min())
    for rotation in _uprights(o.pose[:, :3] / o.scale, up):
        pose = _standing(o, rotation, support.height, base, up, rng)
        if agrees(pose):
            moved = float(np.linalg.norm((pose - o.pose) @ [*o.centre, 1]))
            what = "the ground" if support.of == FLOOR else f"object {support.of}"
            o.notes.append(f"It was made to stand on {what} ({moved / o.size:.0%} of its size).")
            o.pose, o.standing = pose, support.of
            return
    # Its shape is not good enough to tell: straight up or down is the smallest move.
    shift = support.height - base
    lifted = o.pose + np.outer(shift * up, [0, 0, 0, 1])
    if agrees(lifted):
        o.notes.append(f"It was {'lifted' if shift > 0 else 'lowered'} onto what it stands on.")
        o.pose, o.standing = lifted, support.of


def _uprights(rotation: NDArray, up: NDArray) -> list[NDArray[np.float64]]:
    """The rotation with its nearest axis upright, where that is near, then as it is."""
    axes = np.concatenate([rotation.T, -rotation.T])
    nearest = int((axes @ up).argmax())
    if axes[nearest] @ up < UPRIGHT:
        return [rotation]
    return [turn_between(axes[nearest], up) @ rotation, rotation]


def _standing(
    o: Placed,
    rotation: NDArray,
    height: float,
    base: float,
    up: NDArray,
    rng: np.random.Generator,
) -> NDArray[np.float64]:  # [3, 4]
    """The best pose that stands at a height."""
    across = _horizontal(up)
    lowest = float((o.surfels.points @ (up @ rotation)).min())  # of the shape at scale 1
    middle = o.pose @ [*o.centre, 1]
    scales, middles = [o.scale], [middle]
    # Along the viewing rays the silhouette stays: nearer and smaller, or farther and larger.
    if base * height > 0:
        far = FARTHEST * o.size / float(np.linalg.norm(middle))
        factor = float(np.clip(height / base, 1 - far, 1 + far))
        scales.append(o.scale * factor)
        middles.append(middle * factor)

    def poses(x: NDArray[np.float64]) -> NDArray[np.float64]:  # [S, P, 4] -> [S, P, 3, 4]
        scale = np.array(scales)[:, None] * np.exp(x[..., 3])
        turned = rotation_of_vector(x[..., :1] * up) @ rotation
        linear = turned * scale[..., None, None]
        place = np.array(middles)[:, None] + (x[..., 1:3] * o.size) @ across
        offset = place - linear @ o.centre
        offset += ((height - scale * lowest) - offset @ up)[..., None] * up
        return np.concatenate([linear, offset[..., None]], -1)

    def costs(x: NDArray[np.float64]) -> NDArray[np.float64]:
        compared = o.compared(poses(x).reshape(-1, 3, 4), STANDING).cost(STANDING)
        return compared.reshape(x.shape[:2]) + PULL * ((x / ERRORS) ** 2).sum(-1)

    population, generations = EFFORT
    x, value = evolve(
        costs, len(scales), ERRORS, generations=generations, population=population, rng=rng
    )
    return poses(x[:, None])[int(value.argmin()), 0]
