"""Searching for the pose that explains most: a grid of rotations, and evolution near a pose.

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

__all__ = ["Nearby", "evolve", "rotation_grid", "rotation_of_vector"]

Costs = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Costs [K] of K points [K, D]."""


def rotation_of_vector(vector: NDArray) -> NDArray[np.float64]:  # [..., 3] -> [..., 3, 3]
    """Rotations about the vectors' directions by their lengths in radians."""
    v = np.asarray(vector, np.float64)
    half = np.linalg.norm(v, axis=-1, keepdims=True) / 2
    # sin(h) / h stays smooth at zero.
    q = np.concatenate([np.cos(half), v / 2 * np.sinc(half / math.pi)], -1)
    return matrix_from_quaternion(q)


def rotation_grid(count: int) -> NDArray[np.float64]:  # [count, 3, 3]
    """Rotations spread evenly over all there are (super-Fibonacci spirals, Alexa 2022)."""
    phi, psi = math.sqrt(2), 1.533751168755204288118041
    s = np.arange(count) + 0.5
    r, big = np.sqrt(s / count), np.sqrt(1 - s / count)
    alpha, beta = 2 * math.pi * s / phi, 2 * math.pi * s / psi
    q = np.stack([r * np.sin(alpha), r * np.cos(alpha), big * np.sin(beta), big * np.cos(beta)], -1)
    return matrix_from_quaternion(q)


class Nearby:
    """Poses around one, by seven numbers each: zeros are that pose itself.

    Attributes:
        SPREAD: float64 [7], what one stands for: radians (turn, three axes), then shares of the
            object's size (shift right, shift up), of its apparent size, and of its distance.

    Args:
        pose: float64 [3, 4], camera_from_object.
        centre: float64 [3], of the object in its own frame: turns are about it.
    """

    def __init__(self, pose: NDArray[np.float64], centre: NDArray[np.float64]) -> None:
        self.pose, self.centre = pose, centre
        self.scale = float(np.cbrt(np.linalg.det(pose[:, :3])))
        self.middle = pose[:, :3] @ centre + pose[:, 3]

    def at(self, x: NDArray[np.float64]) -> NDArray[np.float64]:  # [K, 7] -> [K, 3, 4]
        """The poses of K points: radians, shares of the size, logarithms of factors."""
        turned = rotation_of_vector(x[:, :3]) @ self.pose[:, :3]  # [K, 3, 3]
        along = np.exp(x[:, 6])[:, None]
        shift = np.stack([x[:, 3], x[:, 4], np.zeros(len(x))], 1) * self.scale
        linear = turned * (np.exp(x[:, 5])[:, None] * along)[..., None]
        middle = (self.middle + shift) * along
        return np.concatenate([linear, (middle - linear @ self.centre)[..., None]], 2)


def evolve(
    costs: Costs,
    start: NDArray[np.float64],  # [D]
    spread: NDArray[np.float64],  # [D]
    *,
    generations: int,
    population: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], float]:
    """The best point of CMA-ES near a start, and its cost.

    Hansen, The CMA Evolution Strategy: A Tutorial, arXiv:1604.00772, with the default constants;
    the steps' lengths adapt to `spread` first. Costs may have steps, as silhouettes do.
    """
    d = len(start)
    parents = population // 2
    weights = np.log(parents + 0.5) - np.log(np.arange(1, parents + 1))
    weights /= weights.sum()
    effective = 1 / float((weights**2).sum())
    c_sigma = (effective + 2) / (d + effective + 5)
    damping = 1 + 2 * max(0.0, math.sqrt((effective - 1) / (d + 1)) - 1) + c_sigma
    c_path = (4 + effective / d) / (d + 4 + 2 * effective / d)
    c_one = 2 / ((d + 1.3) ** 2 + effective)
    c_mu = min(1 - c_one, 2 * (effective - 2 + 1 / effective) / ((d + 2) ** 2 + effective))
    length = math.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d**2))  # of a normal vector

    mean, sigma, covariance = np.zeros(d), 1.0, np.eye(d)
    path, sigma_path = np.zeros(d), np.zeros(d)
    best, best_cost = start, float(costs(start[None])[0])
    for _ in range(generations):
        values, axes = np.linalg.eigh(covariance)
        root = np.sqrt(np.maximum(values, 1e-20))
        z = rng.standard_normal((population, d))
        steps = (z * root) @ axes.T
        candidates = start + (mean + sigma * steps) * spread
        cost = costs(candidates)
        order = np.argsort(cost, kind="stable")
        if cost[order[0]] < best_cost:
            best, best_cost = candidates[order[0]], float(cost[order[0]])
        chosen = steps[order[:parents]]
        move = weights @ chosen
        mean = mean + sigma * move
        whitened = (move @ axes / root) @ axes.T
        sigma_path = (1 - c_sigma) * sigma_path + math.sqrt(
            c_sigma * (2 - c_sigma) * effective
        ) * whitened
        norm = float(np.linalg.norm(sigma_path))
        steady = norm < (1.4 + 2 / (d + 1)) * length
        path = (1 - c_path) * path + steady * math.sqrt(c_path * (2 - c_path) * effective) * move
        covariance = (
            (1 - c_one - c_mu) * covariance
            + c_one * np.outer(path, path)
            + c_mu * (chosen.T * weights) @ chosen
        )
        sigma *= math.exp(c_sigma / damping * (norm / length - 1))
    return best, best_cost
