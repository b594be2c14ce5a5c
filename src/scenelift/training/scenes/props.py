"""Backgrounds: rectangles and boxes with plain colours or drawn textures."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scenelift.training.scenes.meshes import Surface, join

__all__ = ["bands", "box", "bricks", "fabric", "planks", "quad", "speckle", "tiles", "windows"]


def quad(
    corner: ArrayLike,
    edge_u: ArrayLike,
    edge_v: ArrayLike,
    *,
    color: ArrayLike = (0.7, 0.7, 0.7),
    texture: NDArray[np.uint8] | None = None,
    metres: float = 1.0,
) -> Surface:
    """Make a rectangle; its texture repeats every `metres`."""
    p, u, v = (np.asarray(x, np.float64) for x in (corner, edge_u, edge_v))
    normal = np.cross(u, v)
    across, along = np.linalg.norm(u) / metres, np.linalg.norm(v) / metres
    return Surface(
        vertices=np.array([p, p + u, p + u + v, p + v], np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        normals=np.tile(normal / np.linalg.norm(normal), (4, 1)).astype(np.float32),
        uv=np.array([[0, 0], [across, 0], [across, along], [0, along]], np.float32),
        face_color=np.tile(np.asarray(color), (2, 1)).astype(np.float32),
        face_texture=np.full(2, -1 if texture is None else 0, np.int32),
        textures=() if texture is None else (texture,),
    )


def box(
    low: ArrayLike,
    high: ArrayLike,
    *,
    color: ArrayLike = (0.7, 0.7, 0.7),
    texture: NDArray[np.uint8] | None = None,
    metres: float = 1.0,
) -> Surface:
    """Make an upright box between two corners."""
    a, b = np.asarray(low, np.float64), np.asarray(high, np.float64)
    x, y, z = np.diag(b - a)
    sides = [(a, x, y), (a + z, x, y), (a, z, y), (a + x, z, y), (a, x, z), (a + y, x, z)]
    return join([quad(p, u, v, color=color, texture=texture, metres=metres) for p, u, v in sides])


def _image(values: NDArray) -> NDArray[np.uint8]:
    return (np.clip(values, 0, 1) * 255).astype(np.uint8)


def _grain(rng: np.random.Generator, height: int, width: int, smooth: int) -> NDArray[np.float64]:
    """Make noise of standard deviation about 1 that tiles, averaged over `smooth` pixels."""
    spectrum = np.fft.fft2(rng.standard_normal((height, width)))
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    noise = np.fft.ifft2(spectrum * np.exp(-((fx**2 + fy**2) * (smooth * 2.0) ** 2))).real
    return noise / noise.std()


def planks(rng: np.random.Generator, color: ArrayLike) -> NDArray[np.uint8]:
    """Draw floor boards: eight of them, with grain along the board."""
    size, rows = 512, 8
    base = np.asarray(color) * np.ones((size, size, 3))
    grain = _grain(rng, size, 64, 1).repeat(8, 1)
    base = base * (1 + 0.05 * np.roll(grain, 3, 1)[..., None])
    board = size // rows
    for k in range(rows):
        rows_of_board = slice(k * board, (k + 1) * board)
        cut = int(rng.integers(size))
        for part in (slice(0, cut), slice(cut, size)):
            base[rows_of_board, part] *= rng.uniform(0.86, 1.08)
        base[k * board : k * board + 2] *= 0.6
        base[rows_of_board, cut : cut + 2] *= 0.7
    return _image(base)


def tiles(rng: np.random.Generator, color: ArrayLike, *, count: int = 3) -> NDArray[np.uint8]:
    """Draw square tiles with joints."""
    size = 384
    base = (
        np.asarray(color)
        * np.ones((size, size, 3))
        * (1 + 0.02 * _grain(rng, size, size, 6))[..., None]
    )
    side = size // count
    for row in range(count):
        for column in range(count):
            here = (slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side))
            base[here] *= rng.uniform(0.94, 1.04)
    joint = np.minimum(np.asarray(color) * 0.7 + 0.05, 1)
    for k in range(count):
        base[k * side : k * side + 4] = joint
        base[:, k * side : k * side + 4] = joint
    return _image(base)


def fabric(
    rng: np.random.Generator, color: ArrayLike, *, contrast: float = 0.05
) -> NDArray[np.uint8]:
    """Draw carpet, or with little contrast paint: fine and coarse noise."""
    noise = contrast * (_grain(rng, 256, 256, 1) + 0.5 * _grain(rng, 256, 256, 12))
    return _image(np.asarray(color) * (1 + noise[..., None]))


def speckle(rng: np.random.Generator, color: ArrayLike) -> NDArray[np.uint8]:
    """Draw grass or asphalt: strong noise at several sizes."""
    noise = 0.08 * _grain(rng, 512, 512, 1) + 0.05 * _grain(rng, 512, 512, 4)
    noise += 0.04 * _grain(rng, 512, 512, 40)
    return _image(np.asarray(color) * (1 + noise[..., None]))


def bricks(rng: np.random.Generator, color: ArrayLike) -> NDArray[np.uint8]:
    """Draw a wall of bricks, every second course shifted by half a brick."""
    size, courses = 384, 12
    base = np.full((size, size, 3), 0.62)
    height, length = size // courses, size // 4
    for course in range(courses):
        shift = (course % 2) * length // 2
        for k in range(4):
            shade = np.asarray(color) * rng.uniform(0.8, 1.1)
            columns = (np.arange(length - 4) + k * length + shift) % size
            base[course * height + 2 : (course + 1) * height - 2, columns] = shade
    return _image(base * (1 + 0.05 * _grain(rng, size, size, 1))[..., None])


def windows(rng: np.random.Generator, color: ArrayLike) -> NDArray[np.uint8]:
    """Draw a house front: one window with a frame, to be repeated."""
    base = (
        np.asarray(color)
        * np.ones((128, 128, 3))
        * (1 + 0.02 * _grain(rng, 128, 128, 2))[..., None]
    )
    base[30:100, 36:92] = 0.92
    base[34:96, 40:88] = np.array([0.28, 0.34, 0.42]) * rng.uniform(0.8, 1.3)
    base[34:96, 62:66] = 0.92
    return _image(base)


def bands(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw two to four plain colours one above the other, with sharp edges."""
    size = 64
    edges = np.sort(rng.integers(0, size, rng.integers(1, 4)))
    colours = rng.uniform(0.03, 0.97, (len(edges) + 1, 3))
    rows = colours[np.searchsorted(edges, np.arange(size), side="right")]
    return _image(np.broadcast_to(rows[:, None], (size, size, 3)))
