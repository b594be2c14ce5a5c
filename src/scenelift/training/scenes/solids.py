"""Blocks, balls, tubes and turned shapes that made-up objects are put together from.

All are closed, y up, with a colour a face; rows of points around an axis are joined by quads.
"""

from __future__ import annotations

import colorsys
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scenelift.training.scenes.meshes import Surface

__all__ = [
    "ball",
    "block",
    "canonical",
    "circle",
    "lathed",
    "loft",
    "metal",
    "paint",
    "placed",
    "rounded_square",
    "tube",
    "turned",
    "wood",
    "woven",
]

Floats = NDArray[np.float64]

SHARP = 0.7  # cosine of a bend that is an edge


def paint(rng: np.random.Generator) -> Floats:  # [3], sRGB
    """Draw a colour: often near white, at times near black, else any hue."""
    chance = rng.random()
    if chance < 0.3:
        return rng.uniform(0.8, 0.97) - rng.uniform(0, 0.08, 3)
    if chance < 0.4:
        return np.full(3, rng.uniform(0.04, 0.2))
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.1, 0.95), rng.uniform(0.2, 1)))


def wood(rng: np.random.Generator) -> Floats:
    """Draw a brown."""
    return np.array(
        colorsys.hsv_to_rgb(
            rng.uniform(0.05, 0.11), rng.uniform(0.25, 0.7), rng.uniform(0.25, 0.85)
        )
    )


def metal(rng: np.random.Generator) -> Floats:
    """Draw a grey."""
    return np.clip(rng.uniform(0.3, 0.8) + rng.normal(0, 0.015, 3), 0, 1)


def circle(count: int) -> Floats:  # [count, 2]
    """List the corners of a regular polygon of radius 1."""
    angle = np.arange(count) / count * 2 * math.pi
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def rounded_square(count: int, power: float) -> Floats:  # [count, 2]
    """List points of a superellipse of half-axes 1: a circle at power 2, squarer above."""
    ring = circle(count)
    return np.sign(ring) * np.abs(ring) ** (2 / power)


def turned(
    profile: ArrayLike,  # [P, 2], radius and height
    ring: Floats,  # [R, 2]
    colours: ArrayLike,  # [3], or [P − 1, R, 3]
) -> Surface:
    """Sweep a profile to a surface, smooth along it; edges are where two of them meet."""
    steps = np.asarray(profile, np.float64)
    across = steps[:, :1, None] * ring  # [P, R, 2]
    up = np.broadcast_to(steps[:, 1, None], across.shape[:2])
    return woven(np.stack([across[..., 0], up, across[..., 1]], -1), colours)


def lathed(
    profile: ArrayLike,  # [P, 2], radius and height
    ring: Floats,  # [R, 2]
    colours: ArrayLike,  # [3], or [P − 1, R, 3]
) -> Surface:
    """Sweep a profile to a surface with edges where the profile bends sharply."""
    steps = np.asarray(profile, np.float64)
    along = np.diff(steps, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    sharp = (along[1:] * along[:-1]).sum(1) < SHARP
    index = np.repeat(np.arange(len(steps)), 1 + np.pad(sharp, 1))  # those stand twice
    every = np.broadcast_to(np.asarray(colours, np.float64), (len(steps) - 1, len(ring), 3))
    return turned(steps[index], ring, every[index[:-1].clip(max=len(steps) - 2)])


def loft(grid: Floats, colours: ArrayLike) -> Surface:
    """Join rows of points [P, R, 3] around a path, closed at both ends.

    Args:
        colours: [3], or [P − 1, R, 3]; the ends have those of the rows beside them.
    """
    rows, around = len(grid) - 1, grid.shape[1]
    every = np.broadcast_to(np.asarray(colours, np.float64), (rows, around, 3))
    closed = np.concatenate(
        [
            np.broadcast_to(grid[:1].mean(1, keepdims=True), (1, around, 3)),
            grid[[0]],
            grid,
            grid[[-1]],
            np.broadcast_to(grid[-1:].mean(1, keepdims=True), (1, around, 3)),
        ]
    )
    # Rows at the edges stand twice, so that each side has its own normals.
    return woven(closed, np.concatenate([every[[0, 0]], every, every[[-1, -1]]]))


def tube(
    path: ArrayLike,  # [P, 3]
    radius: ArrayLike,  # one, [P], or [P, 2]: across and along the path's own normal
    colours: ArrayLike,
    ring: Floats | None = None,
    side: ArrayLike = (0, 0, 1),
) -> Surface:
    """Sweep a ring (a circle of 8) along a path; `side` is the ring's first axis, roughly."""
    points = np.asarray(path, np.float64)
    ring = circle(8) if ring is None else ring
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    first = np.asarray(side, np.float64) - along * (along @ np.asarray(side, np.float64))[:, None]
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-12)
    second = np.cross(along, first)
    radii = np.asarray(radius, np.float64)
    radii = np.broadcast_to(radii[:, None] if radii.ndim == 1 else radii, (len(points), 2))
    a, b = (radii[:, k, None] * ring[:, k] for k in (0, 1))  # [P, R]
    grid = points[:, None] + a[..., None] * first[:, None] + b[..., None] * second[:, None]
    return loft(grid, colours)


def block(
    size: ArrayLike,
    colour: ArrayLike,
    at: ArrayLike = (0, 0, 0),
    *,
    round: float = 0.1,
    taper: ArrayLike = (1, 1),
    corner: int = 2,
) -> Surface:
    """Make a box with rounded edges that stands on the point `at`.

    Args:
        size: along x, y, z.
        round: radius of the edges over the shortest side's half.
        taper: width and depth at the top over those at the foot.
        corner: steps around an edge; 1 bevels it.
    """
    half = np.asarray(size, np.float64) / 2
    radius = max(round, 1e-3) * half.min()
    quarter = np.linspace(0, math.pi / 2, corner + 1)
    turn = np.concatenate([quarter + k * math.pi / 2 for k in range(4)])
    signs = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]).repeat(corner + 1, 0)
    rise = np.concatenate([quarter - math.pi / 2, quarter])
    up = np.repeat([-1, 1], corner + 1)
    across = np.stack([np.cos(turn), np.sin(turn)], 1)
    plane = signs * (half[[0, 2]] - radius) + radius * np.cos(rise)[:, None, None] * across
    height = up * (half[1] - radius) + radius * np.sin(rise)
    share = (height / (2 * half[1]) + 0.5)[:, None]
    plane = plane * (1 - share + share * np.asarray(taper, np.float64))[:, None]
    level = np.broadcast_to(height[:, None], plane.shape[:2])
    grid = np.stack([plane[..., 0], level + half[1], plane[..., 1]], -1)
    ends = [np.broadcast_to(grid[[k]].mean(1, keepdims=True), grid[:1].shape) for k in (0, -1)]
    return placed(woven(np.concatenate([ends[0], grid, ends[1]]), colour), at)


def ball(
    radii: ArrayLike,
    colours: ArrayLike,
    at: ArrayLike = (0, 0, 0),
    *,
    around: int = 16,
    rows: int = 10,
) -> Surface:
    """Make an ellipsoid around the point `at`; colours are [3] or [rows, around, 3]."""
    rise = np.linspace(-math.pi / 2, math.pi / 2, rows + 1)
    profile = np.stack([np.cos(rise), np.sin(rise)], 1)
    unit = turned(profile, circle(around), colours)
    radii = np.broadcast_to(np.asarray(radii, np.float64), 3)
    return placed(unit.moved(np.diag([*radii, 1.0])), at)


def placed(
    surface: Surface, at: ArrayLike = (0, 0, 0), *, axis: str = "y", degrees: float = 0.0
) -> Surface:
    """Turn a surface about an axis, then move it."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix = np.eye(4)
    matrix[[first, second], [first, second]] = cos
    matrix[second, first], matrix[first, second] = sin, -sin
    matrix[:3, 3] = np.asarray(at, np.float64)
    return surface.moved(matrix)


def canonical(surface: Surface) -> tuple[Surface, Floats]:
    """Centre a surface and make its longest side 1; return its sides too."""
    low, high = surface.vertices.min(0), surface.vertices.max(0)
    longest = float((high - low).max())
    place = np.diag([1 / longest] * 3 + [1.0])
    place[:3, 3] = -(low + high) / (2 * longest)
    return surface.moved(place), (high - low) / longest


def woven(grid: Floats, colours: ArrayLike) -> Surface:
    """Join rows of points [P, R, 3] by quads, each row closed to a ring."""
    rows, around = grid.shape[:2]
    number = np.arange(rows * around).reshape(rows, around)
    a, b = number[:-1], np.roll(number[:-1], -1, 1)
    c, d = number[1:], np.roll(number[1:], -1, 1)
    faces = np.stack([np.stack([a, b, d], -1), np.stack([a, d, c], -1)], 2).reshape(-1, 3)
    points = grid.reshape(-1, 3)
    p, q, r = (points[faces[:, k]] for k in range(3))
    across = np.cross(q - p, r - p)
    normals = np.zeros_like(points)
    for corner in faces.T:
        np.add.at(normals, corner, across)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    every = np.broadcast_to(np.asarray(colours, np.float64), (rows - 1, around, 3)).reshape(-1, 3)
    wide = np.linalg.norm(across, axis=1) > 1e-12  # the others are at poles and doubled rows
    return Surface(
        vertices=points.astype(np.float32),
        faces=faces[wide].astype(np.int32),
        normals=normals.astype(np.float32),
        uv=np.zeros((len(points), 2), np.float32),
        face_color=every.repeat(2, 0)[wide].astype(np.float32),
        face_texture=np.full(int(wide.sum()), -1, np.int32),
    )
