"""Bags, suitcases and shoes."""

from __future__ import annotations

import math

import numpy as np

from scenelift.training.scenes.meshes import Surface, join
from scenelift.training.scenes.solids import (
    block,
    loft,
    metal,
    paint,
    placed,
    rounded_square,
    tube,
)

__all__ = ["backpack", "handbag", "shoe", "suitcase"]


def _arch(
    width: float, height: float, at: tuple[float, float, float], lean: float = 0.0
) -> np.ndarray:  # [13, 3]
    """List points of an arch over x whose feet stand on y of `at`."""
    turn = np.linspace(0, math.pi, 13)
    rise = np.sin(turn) ** 0.7
    x, y, z = at
    return np.stack([x - width / 2 * np.cos(turn), y + height * rise, z + lean * rise], 1)


def handbag(rng: np.random.Generator) -> Surface:
    """Make a bag with one handle or two, perhaps with a flap or a band."""
    width, height, depth = 1.0, rng.uniform(0.5, 1.1), rng.uniform(0.2, 0.5)
    hide, trim = paint(rng), paint(rng)
    taper = (rng.uniform(0.65, 1.1), rng.uniform(0.3, 0.9))
    parts = [block((width, height, depth), hide, round=rng.uniform(0.2, 0.9), taper=taper)]
    top = (width * taper[0], depth * taper[1])
    if rng.random() < 0.5:
        flap = rng.uniform(0.3, 0.7) * height
        size = (0.9 * top[0], flap, depth * 1.04)
        parts.append(block(size, trim, (0, height - flap, 0.02), round=0.2, taper=(1, taper[1])))
        parts.append(block((0.1, 0.08, 0.03), metal(rng), (0, height - flap, depth / 2 + 0.02)))
    else:
        pocket = (rng.uniform(0.4, 0.7), rng.uniform(0.3, 0.5) * height, 0.08)
        parts.append(block(pocket, trim, (0, 0.1 * height, depth * 0.47), round=0.7))
    reach, thick = rng.uniform(0.25, 0.9) * height, rng.uniform(0.015, 0.035)
    apart = rng.uniform(0.35, 0.75) * top[0]
    for side in (-1, 1) if rng.random() < 0.6 else (0,):
        lean = side * rng.uniform(0, 0.15)
        path = _arch(apart, reach, (0, height * 0.95, side * top[1] * 0.42), lean)
        parts.append(tube(path, (np.full((13, 2), thick) * (1.8, 1)), trim))
    return join(parts)


def backpack(rng: np.random.Generator) -> Surface:
    """Make a rucksack with pockets, shoulder straps and a loop."""
    width, height, depth = rng.uniform(0.55, 0.75), 1.0, rng.uniform(0.3, 0.45)
    cloth, trim, strap = paint(rng), paint(rng), paint(rng)
    taper = (rng.uniform(0.7, 0.95), rng.uniform(0.55, 0.9))
    parts = [block((width, height, depth), cloth, round=0.8, taper=taper, corner=3)]
    tall = rng.uniform(0.3, 0.55)
    parts.append(block((width * 0.8, tall, 0.16), trim, (0, 0.05, depth / 2), round=0.8))
    if rng.random() < 0.6:
        for side in (-1, 1):
            at = (side * width / 2, 0.05, 0)
            parts.append(block((0.12, rng.uniform(0.25, 0.4), depth * 0.6), trim, at, round=0.8))
    if rng.random() < 0.5:
        parts.append(block((width * 0.72, 0.25, depth * 0.85), trim, (0, 0.8, 0.04), round=0.7))
    turn = np.linspace(0, math.pi, 13)
    out = rng.uniform(0.08, 0.2)
    for side in (-1, 1):
        path = np.stack(
            [
                side * width * (0.2 + 0.12 * np.sin(turn)),
                0.15 + 0.38 * (1 - np.cos(turn)),
                -depth / 2 * np.linspace(0.95, taper[1], 13) - out * np.sin(turn),
            ],
            1,
        )
        parts.append(tube(path, np.full((13, 2), 0.02) * (1, 2.2), strap))
    parts.append(tube(_arch(0.18, 0.08, (0, 0.97, -0.05)), 0.018, strap))
    return join(parts)


def suitcase(rng: np.random.Generator) -> Surface:
    """Make a suitcase: ribs, wheels and a bar, or a handle on top of a flat one."""
    width, height, depth = rng.uniform(0.6, 0.8), 1.0, rng.uniform(0.25, 0.42)
    shell, trim, dark = paint(rng), paint(rng), np.full(3, rng.uniform(0.05, 0.3))
    parts = [block((width, height, depth), shell, round=rng.uniform(0.2, 0.7))]
    for x in np.linspace(-0.4, 0.4, rng.integers(0, 6)):
        size = (0.04, height * 0.86, depth * 1.04)
        parts.append(block(size, shell * 0.85, (x * width, 0.07, 0), round=0.3, corner=1))
    parts.append(block((width * 1.02, height * 1.01, 0.03), trim, round=0.9, corner=3))
    if rng.random() < 0.7:
        for x in (-0.4, 0.4):
            for z in (-0.35, 0.35):
                at = (x * width, -0.07, z * depth)
                parts.append(block((0.05, 0.1, 0.08), dark, at, round=0.9))
        if rng.random() < 0.6:
            path = _arch(0.4 * width, rng.uniform(0.15, 0.5), (0, 0.98, -depth * 0.3))
            path[:, 1] = 0.98 + np.ptp(path[:, 1]) * np.clip(
                3 * np.sin(np.linspace(0, 3.14, 13)), 0, 1
            )
            parts.append(tube(path, 0.018, dark))
    parts.append(tube(_arch(0.3 * width, 0.06, (0, 0.98, 0)), 0.02, dark))
    return join(parts)


def shoe(rng: np.random.Generator) -> Surface:
    """Make a shoe or a boot along z, its toe in front, with a sole of its own."""
    upper, sole, accent, inside = (paint(rng) for _ in range(4))
    low, wide = rng.uniform(0.2, 0.3), rng.uniform(0.16, 0.2)
    shaft = rng.uniform(0.3, 0.8) if rng.random() < 0.25 else 0.0
    z = np.linspace(-0.5, 0.5, 15)
    breadth = wide * np.interp(
        z, (-0.5, -0.42, -0.1, 0.25, 0.44, 0.5), (0.45, 0.75, 0.78, 1, 0.7, 0.3)
    )
    tall = np.interp(z, (-0.5, -0.4, -0.2, 0.05, 0.3, 0.5), (0.85, 1, 0.98, 0.72, 0.42, 0.25)) * low
    ring = rounded_square(14, 2.6)
    thick = rng.uniform(0.04, 0.09)
    grid = np.stack(
        [
            breadth[:, None] * ring[:, 0],
            thick + tall[:, None] * (0.5 + 0.5 * ring[:, 1]),
            np.broadcast_to(z[:, None], (15, 14)),
        ],
        -1,
    )
    colours = np.broadcast_to(upper, (14, 14, 3)).copy()
    if rng.random() < 0.6:
        colours[rng.integers(9, 12) :] = accent
    if rng.random() < 0.6:
        start = rng.integers(3, 7)
        colours[start : start + rng.integers(1, 4)] = accent
    heel = rng.uniform(0, 0.06) * np.clip(-4 * z - 0.4, 0, 1)
    base = np.stack(
        [
            1.06 * breadth[:, None] * ring[:, 0],
            np.where(ring[:, 1] > 0, thick * 1.3, 0) + np.zeros_like(z)[:, None],
            np.broadcast_to(1.03 * z[:, None], (15, 14)),
        ],
        -1,
    )
    base[..., 1] -= heel[:, None] * (ring[:, 1] < 0)
    parts = [loft(grid, colours), loft(base, sole)]
    mouth = thick + low * (0.95 + shaft)
    leg = [(0, thick + 0.3 * low, -0.22), (0, mouth, -0.26)]
    size = np.array([(wide * 0.72, 0.2), (wide * (0.72 + shaft * 0.2), 0.19)])
    parts.append(tube(leg, size, upper, rounded_square(14, 2.2), side=(1, 0, 0)))
    hole = [(0, mouth - 0.01, -0.26), (0, mouth + 0.006, -0.26)]
    parts.append(tube(hole, size * 0.82, inside * 0.5, rounded_square(14, 2.2), side=(1, 0, 0)))
    if not shaft and rng.random() < 0.8:
        for k in range(rng.integers(3, 6)):
            at = (0, thick + low * (0.86 - 0.09 * k), 0.0 + 0.05 * k)
            lace = block((wide * 0.9, 0.02, 0.02), accent, round=0.9, corner=1)
            parts.append(placed(lace, at))
    return join(parts)
