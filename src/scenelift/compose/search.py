"""Search for the pose that explains the photo best: a grid of rotations, then evolution.

Poses near another are six or seven numbers in units of what is usually wrong: a turn about the
object's centre, a shift across the picture, a change of apparent size, and a change of distance
that keeps the silhouette. The last is known from depth alone, all others from the mask as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.transforms import matrix_from_quaternion

__all__ = [
    "Nearby",
    "evolve",
    "improve",
    "quarter_turns",
    "rotation_grid",
    "rotation_of_vector",
    "turn_between",
]

Costs = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Costs [S, P] of points [S, P, D]."""


def rotation_of_vector(vector: NDArray) -> NDArray[np.float64]:  # [..., 3] -> [..., 3, 3]
    """Make rotations about the vectors' directions by their lengths in radians."""
    v = np.asarray(vector, np.float64)
    half = np.linalg.norm(v, axis=-1, keepdims=True) / 2
    # sin(h) / h stays smooth at zero.
    q = np.concatenate([np.cos(half), v / 2 * np.sinc(half / math.pi)], -1)
    return matrix_from_quaternion(q)


def rotation_grid(count: int) -> NDArray[np.float64]:  # [count, 3, 3]
    """Spread rotations evenly over all there are (super-Fibonacci spirals, Alexa 2022)."""
    phi, psi = math.sqrt(2), 1.533751168755204288118041
    s = np.arange(count) + 0.5
    r, big = np.sqrt(s / count), np.sqrt(1 - s / count)
    alpha, beta = 2 * math.pi * s / phi, 2 * math.pi * s / psi
    q = np.stack([r * np.sin(alpha), r * np.cos(alpha), big * np.sin(beta), big * np.cos(beta)], -1)
    return matrix_from_quaternion(q)


class Nearby:
    """Poses around each of S poses, as seven numbers each; zeros are that pose itself.

    Radians of a turn about the object's centre (camera axes), shifts right and up as shares of
    the object's scale, and logarithms of factors of its apparent size and of its distance.

    Args:
        poses: float64 [S, 3, 4], camera_from_object.
        centre: float64 [3], of the object in its own frame: turns are about it.
    """

    def __init__(self, poses: NDArray[np.float64], centre: NDArray[np.float64]) -> None:
        self.linear, self.centre = poses[:, None, :, :3], centre
        self.scale = np.cbrt(np.linalg.det(poses[:, :, :3]))[:, None, None]
        self.middle = (poses[:, :, :3] @ centre + poses[:, :, 3])[:, None]

    def at(self, x: NDArray[np.float64]) -> NDArray[np.float64]:  # [S, P, 7] -> [S, P, 3, 4]
        """Return P poses around each of the S poses."""
        along = np.exp(x[..., 6:])  # [S, P, 1]
        rotation = rotation_of_vector(x[..., :3]) @ self.linear
        linear = rotation * (np.exp(x[..., 5:6]) * along)[..., None]
        shift = np.concatenate([x[..., 3:5], np.zeros_like(along)], -1) * self.scale
        offset = (self.middle + shift) * along - linear @ self.centre
        return np.concatenate([linear, offset[..., None]], -1)


def evolve(
    costs: Costs,
    starts: int,
    spread: NDArray[np.float64],  # [D]
    *,
    generations: int,
    population: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # [S, D], [S]
    """Minimise S searches by CMA-ES side by side, each from zero; return points and costs.

    Hansen, The CMA Evolution Strategy: A Tutorial, arXiv:1604.00772, with its default constants.
    The costs may have steps, as silhouettes do; the result is never worse than the start.

    Args:
        costs: of [S, P, D] points.
        starts: S.
        spread: standard deviations of the first generation.
    """
    d = len(spread)
    parents = population // 2
    weights = np.log(parents + 0.5) - np.log(np.arange(1, parents + 1))
    weights /= weights.sum()
    effective = 1 / float((weights**2).sum())
    c_sigma = (effective + 2) / (d + effective + 5)
    damping = 1 + 2 * max(0.0, math.sqrt((effective - 1) / (d + 1)) - 1) + c_sigma
    c_path = (4 + effective / d) / (d + 4 + 2 * effective / d)
    c_one = 2 / ((d + 1.3) ** 2 + effective)
    c_mu = min(1 - c_one, 2 * (effective - 2 + 1 / effective) / ((d + 2) ** 2 + effective))
    length = math.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d**2))  # of a normal vector, on average
    sigma_gain = math.sqrt(c_sigma * (2 - c_sigma) * effective)
    path_gain = math.sqrt(c_path * (2 - c_path) * effective)

    mean, sigma = np.zeros((starts, d)), np.ones((starts, 1))
    covariance = np.tile(np.eye(d), (starts, 1, 1))
    path, sigma_path = np.zeros((starts, d)), np.zeros((starts, d))
    best = np.zeros((starts, d))
    best_cost = costs(best[:, None])[:, 0]
    for _ in range(generations):
        values, axes = np.linalg.eigh(covariance)
        root = np.sqrt(np.maximum(values, 1e-20))[:, None]  # [S, 1, D]
        normal = rng.standard_normal((starts, population, d))
        steps = (normal * root) @ axes.transpose(0, 2, 1)  # [S, P, D]
        candidates = (mean[:, None] + sigma[..., None] * steps) * spread
        cost = costs(candidates)
        order = np.argsort(cost, axis=1, kind="stable")
        first = np.take_along_axis(candidates, order[:, :1, None], 1)[:, 0]
        first_cost = np.take_along_axis(cost, order[:, :1], 1)[:, 0]
        better = first_cost < best_cost
        best[better], best_cost[better] = first[better], first_cost[better]

        best_steps = np.take_along_axis(steps, order[:, :parents, None], 1)
        move = weights @ best_steps  # [S, D]
        mean += sigma * move
        whitened = (((move[:, None] @ axes) / root) @ axes.transpose(0, 2, 1))[:, 0]
        sigma_path = (1 - c_sigma) * sigma_path + sigma_gain * whitened
        norm = np.linalg.norm(sigma_path, axis=1, keepdims=True)
        steady = norm < (1.4 + 2 / (d + 1)) * length
        path = (1 - c_path) * path + steady * path_gain * move
        covariance = (
            (1 - c_one - c_mu) * covariance
            + c_one * path[:, :, None] * path[:, None]
            + c_mu * (best_steps.transpose(0, 2, 1) * weights) @ best_steps
        )
        sigma = sigma * np.exp(c_sigma / damping * (norm / length - 1))
    return best, best_cost


def improve(
    cost: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    poses: NDArray[np.float64],
    centre: NDArray[np.float64],
    spread: NDArray[np.float64],
    effort: tuple[int, int],
    rng: np.random.Generator,
    *,
    pull: float = 0.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the best pose [S, 3, 4] near each of S poses; return poses and costs [S].

    Args:
        cost: of poses [K, 3, 4].
        poses: [S, 3, 4], camera_from_object.
        centre: of the object in its own frame.
        spread: how far off the poses are, in the units of `Nearby`.
        effort: population and generations.
        rng: of the candidates.
        pull: cost of an error of one standard deviation, towards the poses as they came; not
            part of the costs that are returned.
    """
    near = Nearby(poses, centre)

    def costs(x: NDArray[np.float64]) -> NDArray[np.float64]:
        value = cost(near.at(x).reshape(-1, 3, 4)).reshape(x.shape[:2])
        return value + pull * ((x / spread) ** 2).sum(-1)

    population, generations = effort
    best, value = evolve(
        costs, len(poses), spread, generations=generations, population=population, rng=rng
    )
    return near.at(best[:, None])[:, 0], value - pull * ((best / spread) ** 2).sum(-1)


def quarter_turns(pose: NDArray, centre: NDArray) -> NDArray[np.float64]:  # [9, 3, 4]
    """Turn a pose [3, 4] by one, two and three quarters about each axis of the shape."""
    turns = rotation_of_vector(
        (np.eye(3)[:, None] * (np.arange(1, 4) * np.pi / 2)[:, None]).reshape(-1, 3)
    )
    linear = pose[:, :3] @ turns
    middle = pose[:, :3] @ centre + pose[:, 3]
    return np.concatenate([linear, (middle - linear @ centre)[..., None]], 2)


def turn_between(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the smallest rotation of one unit vector onto another."""
    axis, cosine = np.cross(a, b), float(a @ b)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        if cosine > 0:
            return np.eye(3)
        across = np.cross(a, np.eye(3)[np.abs(a).argmin()])  # half a turn about any such axis
        return rotation_of_vector(across / np.linalg.norm(across) * np.pi)
    return rotation_of_vector(axis / sine * np.arctan2(sine, cosine))
