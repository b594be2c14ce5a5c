"""Estimate a point map without a depth network: things of usual size on a level ground.

Two cues tell how far an object is: how tall it appears against how tall such things are, and how
far below the horizon it touches the ground. The camera's pitch and height are those for which the
two agree best; each object then stands at the distance both suggest, drawn towards those of the
others, above all of those it touches. The background is the ground plane up to a wall behind
everything.

Distances come out in about metres, but are guesses: the map does not call itself metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.geometry.default_camera import default_camera
from scenelift.geometry.regions import distance_inside
from scenelift.pointmap.sizes import typical_size
from scenelift.progress import Reporter
from scenelift.types import Camera, Image, Instance, PointMap

__all__ = ["EmbeddedPointMapper"]

# Photos are taken slightly downwards: prior on the pitch, and how firmly it is held.
PITCH_DEG, PITCH_SPREAD_DEG = 10.0, 12.0
PITCHES_DEG = np.arange(-10.0, 61.0, 1.0)
# Standard deviation of the logarithm of a distance taken from a typical height: a factor 1.35.
SIZE_SPREAD, UNKNOWN_SIZE_SPREAD = 0.3, 1.0
# Likewise for ground contact, and how far the two may disagree before contact is disbelieved.
CONTACT_SPREAD, CONTACT_DISBELIEF = 0.2, 0.7
# Standard deviation of the logarithm by which distances differ: of objects that touch in the photo
# (a factor 1.1), and of any two (7, which moves only what nothing else is known of).
TOUCHING_SPREAD, TOGETHER_SPREAD = 0.1, 2.0
TOUCH = 0.01  # gap over the photo's longer side that still counts as touching
LEVEL = 0.4  # difference of lowest rows over the taller object's height
WALL_BEHIND = 2.0  # distance of the wall over that of the farthest object
EDGE = 2  # pixels: a mask this close to the photo's border is cut by it
NEAREST = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outline:
    """One instance's outline, from which its distance is estimated.

    Attributes:
        by_size: distance at which a thing of its class has its apparent height.
        spread: of the logarithm of that distance.
        drop: tangent of the angle between its lowest row and the optical axis, downwards.
        grounded: its lowest row is where it stands: not cut off, and things like it stand.
    """

    by_size: float
    spread: float
    drop: float
    grounded: bool


@dataclass(frozen=True, slots=True)
class _Ground:
    """A camera's pitch (radians, downwards) and height above level ground."""

    pitch: float
    height: float

    def depth(self, drop: NDArray | float) -> NDArray[np.float64]:
        """Compute the ground's depth `drop` below the optical axis; infinite above the horizon."""
        slope = np.sin(self.pitch) + np.cos(self.pitch) * np.asarray(drop, np.float64)
        return np.divide(
            self.height, slope, out=np.full(np.shape(slope), np.inf), where=slope > 1e-6
        )


class EmbeddedPointMapper:
    """Places objects by size and ground contact. See the module."""

    name = "embedded"
    version = "3"

    def estimate(self, image: Image, instances: Sequence[Instance], report: Reporter) -> PointMap:
        """Estimate the point map; see `PointMapper.estimate`.

        Raises:
            InputError: a mask is not of the photo's size.
        """
        camera = default_camera(image)
        for instance in instances:
            if instance.mask.shape != (image.height, image.width):
                height, width = instance.mask.shape
                raise InputError(
                    f"The mask of {instance.label!r} is {width}×{height} pixels, the photo "
                    f"{image.width}×{image.height}; masks must have the photo's size."
                )
        report.update(0.0)
        outlines = [_look(instance, camera) for instance in instances]
        ground = _fit_ground(outlines)
        floor = any(one.grounded for one in outlines)
        # Without anything on the floor, whatever there is stands on one table top.
        apart = [_distance(one, ground, stands=one.grounded or not floor) for one in outlines]
        distances = _gathered(apart, [one.spread for one in outlines], _touching(instances))

        drops = (np.arange(image.height) + 0.5 - camera.cy) / camera.fy
        wall = WALL_BEHIND * max(distances, default=3 * ground.height)
        depth = np.repeat(np.clip(ground.depth(drops), NEAREST, wall)[:, None], image.width, axis=1)
        # Far objects first: where masks overlap, the nearer one is seen.
        for k in sorted(range(len(outlines)), key=lambda k: -distances[k]):
            depth[instances[k].mask] = distances[k]
        report.update(1.0)
        return PointMap(
            points=camera.unproject(depth), camera=camera, source=self.name, shows_relief=False
        )


def _look(instance: Instance, camera: Camera) -> _Outline:
    x0, y0, x1, y1 = Instance.box_of(instance.mask)
    size = typical_size(instance.class_name, instance.label)
    cut_below = y1 >= camera.height - EDGE
    is_cut_off = cut_below or y0 <= EDGE or x0 <= EDGE or x1 >= camera.width - EDGE
    # What is cut off is taller than it appears; what is wide was perhaps lying down.
    spread = SIZE_SPREAD if size.in_table else UNKNOWN_SIZE_SPREAD
    return _Outline(
        by_size=camera.fy * size.height / (y1 - y0),
        spread=spread * (1.5 if is_cut_off else 1.0),
        drop=(y1 - camera.cy) / camera.fy,
        grounded=size.floor and not cut_below,
    )


def _fit_ground(outlines: Sequence[_Outline]) -> _Ground:
    """Fit the pitch and height for which ground contact and apparent sizes agree best.

    For a given pitch the height is a weighted median; the pitch is searched. Without anything that
    stands on the ground, whatever there is stands on a table top, which serves as well.
    """
    standing = [one for one in outlines if one.grounded] or list(outlines)
    if not standing:
        return _Ground(np.radians(PITCH_DEG), 1.5)
    by_size = np.log([one.by_size for one in standing])
    drops = np.array([one.drop for one in standing])
    weights = np.array([1 / one.spread for one in standing])
    best, least = _Ground(np.radians(PITCH_DEG), 1.5), np.inf
    for pitch in np.radians(PITCHES_DEG):
        depth = _Ground(pitch, 1.0).depth(drops)  # for a height of 1
        on_ground = np.isfinite(depth)
        cost = ((np.degrees(pitch) - PITCH_DEG) / PITCH_SPREAD_DEG) ** 2
        # An object above the horizon cannot stand: as bad as a disagreement at the limit.
        cost += float((weights[~on_ground] ** 2 * CONTACT_DISBELIEF**2).sum())
        if not on_ground.any():
            continue
        offsets = by_size[on_ground] - np.log(depth[on_ground])
        log_height = _weighted_median(offsets, weights[on_ground])
        residual = np.minimum(np.abs(offsets - log_height), CONTACT_DISBELIEF)
        cost += float(((weights[on_ground] * residual) ** 2).sum())
        if cost < least:
            best, least = _Ground(float(pitch), float(np.exp(log_height))), cost
    return best


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    running = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(running, 0.5 * running[-1])])


def _distance(one: _Outline, ground: _Ground, *, stands: bool) -> float:
    """Compute a distance by size, and move it towards ground contact as far as that is trusted."""
    by_contact = float(ground.depth(one.drop))
    if not (stands and np.isfinite(by_contact)):
        return max(NEAREST, one.by_size)
    disagreement = np.log(by_contact / one.by_size)
    if abs(disagreement) > CONTACT_DISBELIEF + one.spread:
        return max(NEAREST, one.by_size)
    trust = one.spread**2 / (one.spread**2 + CONTACT_SPREAD**2)
    return max(NEAREST, one.by_size * float(np.exp(trust * disagreement)))


def _touching(instances: Sequence[Instance]) -> NDArray[np.bool_]:  # [K, K]
    """Find objects that touch in the photo, or nearly, and end at about the same height in it.

    What ends much higher stands behind, and is only hidden in part.
    """
    count = len(instances)
    touching = np.zeros((count, count), np.bool_)
    if count < 2:
        return touching
    boxes = np.array([Instance.box_of(instance.mask) for instance in instances])
    bottoms, heights = boxes[:, 3], boxes[:, 3] - boxes[:, 1]
    reach = max(1, round(TOUCH * max(instances[0].mask.shape)))
    for i in range(count):
        near = distance_inside(~instances[i].mask) <= reach
        for j in range(i + 1, count):
            level = abs(bottoms[i] - bottoms[j]) <= LEVEL * max(heights[i], heights[j])
            touching[i, j] = touching[j, i] = level and bool((near & instances[j].mask).any())
    return touching


def _gathered(
    distances: Sequence[float], spreads: Sequence[float], touching: NDArray[np.bool_]
) -> list[float]:
    """Move distances closer together, as things in one photo usually are.

    Each logarithm is held to its own estimate by its spread, to those of objects that touch it
    firmly and to all others loosely: the most likely distances if these were all Gaussian.
    """
    count = len(distances)
    logs, own = np.log(distances), 1 / np.square(spreads)
    pull = np.where(touching, TOUCHING_SPREAD**-2, TOGETHER_SPREAD**-2 / max(count - 1, 1))
    np.fill_diagonal(pull, 0)
    matrix = np.diag(own + pull.sum(1)) - pull
    return np.exp(np.linalg.solve(matrix, own * logs)).tolist() if count else []
