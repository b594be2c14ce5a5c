"""Shelves, upholstery, lamps and plants in pots."""

from __future__ import annotations

import math

import numpy as np

from scenelift.training.scenes.meshes import Surface, join
from scenelift.training.scenes.solids import (
    ball,
    block,
    circle,
    lathed,
    loft,
    metal,
    paint,
    placed,
    rounded_square,
    tube,
    wood,
)

__all__ = ["bookcase", "lamp", "potted_plant", "seat", "sofa"]


def bookcase(rng: np.random.Generator) -> Surface:
    """Make shelves with books and boxes on them, with a back or without."""
    width, height, depth = rng.uniform(0.4, 1.1), rng.uniform(0.6, 1.3), rng.uniform(0.2, 0.35)
    board = rng.uniform(0.02, 0.04)
    colour = wood(rng) if rng.random() < 0.6 else paint(rng)
    parts = [
        block((board, height, depth), colour, (x * (width - board) / 2, 0, 0), corner=1)
        for x in (-1, 1)
    ]
    if rng.random() < 0.7:
        back = colour * rng.uniform(0.6, 1)
        parts.append(block((width, height, 0.015), back, (0, 0, -depth / 2), corner=1))
    levels = np.linspace(0.03, height - board, rng.integers(3, 7))
    for low, high in zip(levels, [*levels[1:], 0], strict=True):
        parts.append(block((width - board, board, depth), colour, (0, low, 0), corner=1))
        x = -width / 2 + board
        while high and x < width / 2 - 0.1:
            if rng.random() < 0.25:
                x += rng.uniform(0.05, 0.3)
                continue
            thick = rng.uniform(0.02, 0.07) if rng.random() < 0.85 else rng.uniform(0.1, 0.2)
            thick = min(thick, width / 2 - board - x)
            tall = rng.uniform(0.5, 0.9) * (high - low - board)
            size = (thick, tall, rng.uniform(0.5, 0.85) * depth)
            at = (x + thick / 2, low + board, rng.uniform(-0.1, 0.05) * depth)
            parts.append(block(size, paint(rng), at, round=0.15, corner=1))
            x += thick + 0.003
    return join(parts)


def _upholstered(rng: np.random.Generator, width: float, seats: int) -> Surface:
    cover, other, leg = paint(rng), paint(rng), wood(rng)
    other = other if rng.random() < 0.5 else cover * rng.uniform(0.8, 1)
    depth, foot = rng.uniform(0.7, 0.95), rng.uniform(0.04, 0.2)
    level, arm = rng.uniform(0.22, 0.34), rng.uniform(0.08, 0.2)
    tall = rng.uniform(0.3, 0.7)
    soft = rng.uniform(0.3, 1.0)
    parts = [block((width, level, depth), cover, (0, foot, 0), round=soft * 0.4)]
    size = (width, tall + level, rng.uniform(0.12, 0.22))
    back = placed(block(size, cover, round=soft, corner=3), axis="x", degrees=-rng.uniform(0, 14))
    parts.append(placed(back, (0, foot, -depth / 2 + 0.1)))
    if rng.random() < 0.85:
        high = level + rng.uniform(0.15, 0.3)
        for side in (-1, 1):
            at = (side * (width + arm) / 2, foot, 0)
            parts.append(block((arm, high, depth), cover, at, round=soft, corner=3))
    across = width / seats
    for k in range(seats):
        x = (k + 0.5) * across - width / 2
        size = (across * 0.98, rng.uniform(0.1, 0.17), depth * 0.8)
        parts.append(block(size, other, (x, foot + level, depth * 0.1), round=soft, corner=3))
        if rng.random() < 0.6:
            pillow = block((across * 0.9, tall * 0.9, 0.16), other, round=1, corner=3)
            pillow = placed(pillow, axis="x", degrees=-rng.uniform(5, 20))
            parts.append(placed(pillow, (x, foot + level + 0.1, -depth * 0.22)))
    if rng.random() < 0.4:
        pillow = block((0.35, 0.35, 0.14), paint(rng), round=1, corner=3)
        pillow = placed(pillow, axis="x", degrees=-25)
        parts.append(placed(pillow, (rng.uniform(-0.3, 0.3) * width, foot + level + 0.12, 0)))
    for x in (-0.45, 0.45):
        for z in (-0.42, 0.42):
            path = [(x * width, foot + 0.02, z * depth), (x * width * 1.03, 0, z * depth * 1.03)]
            parts.append(tube(path, (0.03, 0.02), leg))
    return join(parts)


def seat(rng: np.random.Generator) -> Surface:
    """Make an armchair."""
    return _upholstered(rng, rng.uniform(0.5, 0.75), 1)


def sofa(rng: np.random.Generator) -> Surface:
    """Make a sofa of two or three seats."""
    seats = int(rng.integers(2, 4))
    return _upholstered(rng, seats * rng.uniform(0.55, 0.75), seats)


def lamp(rng: np.random.Generator) -> Surface:
    """Make a lamp with a shade on a stem, or a bent desk lamp."""
    base, shade, stem = paint(rng), paint(rng), metal(rng) if rng.random() < 0.5 else paint(rng)
    foot = rng.uniform(0.12, 0.3)
    parts = [lathed([(0, 0), (foot, 0), (foot, 0.04), (0.02, 0.07), (0, 0.07)], circle(24), base)]
    if rng.random() < 0.35:
        elbow = np.array([-rng.uniform(0.1, 0.3), rng.uniform(0.4, 0.6), 0])
        head = np.array([rng.uniform(0.15, 0.35), rng.uniform(0.65, 0.9), 0])
        parts.append(tube(np.array([(0, 0.03, 0), elbow]), 0.014, stem))
        parts.append(tube([elbow, head], 0.014, stem))
        parts.append(ball(0.03, base, elbow, around=8, rows=6))
        low = rng.uniform(0.1, 0.16)
        cone = [
            (0, 0.16),
            (0.03, 0.16),
            (0.05, 0.13),
            (low, 0),
            (low * 0.93, 0),
            (0.04, 0.12),
            (0, 0.12),
        ]
        hood = placed(lathed(cone, circle(20), shade), axis="z", degrees=rng.uniform(15, 50))
        parts += [placed(hood, head - (0, 0.12, 0)), ball(0.04, (1, 0.95, 0.8), head - (0, 0.1, 0))]
        return join(parts)
    height = rng.uniform(0.35, 1.1)
    bulge = np.abs(rng.normal(0, 0.06, 9)) * (rng.random() < 0.5) + 0.02
    rise = np.linspace(0.05, height, 9)
    bulge[[0, -1]] = 0
    parts.append(
        lathed(np.stack([bulge, rise], 1), circle(16), base if rng.random() < 0.6 else stem)
    )
    low, top, tall = rng.uniform(0.15, 0.35), rng.uniform(0.08, 0.25), rng.uniform(0.18, 0.4)
    ring = circle(24) if rng.random() < 0.8 else rounded_square(24, 8)
    wall = [(top, tall), (low, 0), (low - 0.012, 0), (top - 0.012, tall), (top, tall)]
    cone = lathed(wall, ring, shade)
    parts += [placed(cone, (0, height, 0)), ball(0.05, (1, 0.96, 0.85), (0, height + 0.08, 0))]
    parts.append(
        tube([(-top, height + tall * 0.97, 0), (top, height + tall * 0.97, 0)], 0.008, stem)
    )
    return join(parts)


def potted_plant(rng: np.random.Generator) -> Surface:
    """Make a pot with blades, a small tree or a cactus in it."""
    pot, rim = paint(rng), rng.uniform(0.14, 0.24)
    foot, tall, wall = rim * rng.uniform(0.6, 1), rng.uniform(0.18, 0.36), 0.015
    ring = circle(20) if rng.random() < 0.8 else rounded_square(20, 8)
    outline = [(0, 0), (foot, 0), (rim, tall), (rim - wall, tall), (rim - wall, tall - 0.03)]
    parts = [
        lathed(outline, ring, pot),
        lathed([(rim - wall, tall - 0.03), (0, tall - 0.02)], ring, (0.2, 0.13, 0.08)),
    ]
    green = np.array([rng.uniform(0.1, 0.4), rng.uniform(0.35, 0.65), rng.uniform(0.08, 0.3)])
    kind = rng.random()
    if kind < 0.6:
        count, long = int(rng.integers(8, 22)), rng.uniform(0.35, 0.8)
        wide, droop = rng.uniform(0.02, 0.09), rng.uniform(0.1, 1.2)
        along = np.linspace(0, 1, 7)
        for k in range(count):
            turn = 2.4 * k + rng.normal(0, 0.2)
            out = rng.uniform(0.15, 0.9) * long
            reach, rise = out * along, long * (along - droop * 0.5 * along**2 * out / long)
            path = np.stack([reach * math.cos(turn), tall - 0.02 + rise, reach * math.sin(turn)], 1)
            breadth = wide * np.sin(np.clip(along, 0.06, 0.97) * math.pi) ** 0.7
            side = (-math.sin(turn), 0, math.cos(turn))
            leaf = (green * rng.uniform(0.8, 1.2)).clip(0, 1)
            radii = np.stack([breadth, np.full(7, 0.005)], 1)
            parts.append(tube(path, radii, leaf, circle(6), side))
        if rng.random() < 0.3:
            for _ in range(rng.integers(1, 6)):
                x, z = rng.normal(0, 0.12, 2)
                top = tall + long * rng.uniform(0.7, 1.1)
                parts.append(tube([(x / 3, tall, z / 3), (x, top, z)], 0.008, green, circle(5)))
                parts.append(
                    ball(rng.uniform(0.03, 0.07), paint(rng), (x, top, z), around=8, rows=6)
                )
    elif kind < 0.8:
        high = tall + rng.uniform(0.15, 0.5)
        parts.append(tube([(0, tall - 0.03, 0), (0, high, 0)], 0.02, wood(rng)))
        for _ in range(rng.integers(3, 12)):
            at = (*rng.normal(0, 0.09, 2), rng.normal(0, 0.09))
            leaf = (green * rng.uniform(0.75, 1.25)).clip(0, 1)
            at = (at[0], high + 0.12 + at[1], at[2])
            parts.append(ball(rng.uniform(0.07, 0.16, 3), leaf, at, around=9, rows=6))
    else:
        wave = 1 + 0.12 * (np.arange(24) % 2)
        high, thick = rng.uniform(0.3, 0.7), rng.uniform(0.06, 0.12)
        share = np.linspace(0, 1, 9)
        radius = thick * np.sqrt(np.clip(1 - share**6, 0.02, 1))
        for k in range(int(rng.integers(1, 4))):
            x, grow = (k - 0.5) * thick * 1.6 * (k > 0), rng.uniform(0.5, 1)
            points = radius[:, None, None] * wave[:, None] * circle(24)
            level = np.broadcast_to((tall - 0.03 + share * high * grow)[:, None], points.shape[:2])
            grid = np.stack([points[..., 0] + x, level, points[..., 1]], -1)
            stripe = np.where(np.arange(24) % 2, 0.85, 1.1)[:, None] * green
            parts.append(loft(grid, np.broadcast_to(stripe.clip(0, 1), (8, 24, 3))))
    return join(parts)
