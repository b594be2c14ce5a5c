"""Remotes, phones, keyboards, monitors, laptops; books and clocks."""

from __future__ import annotations

import math

import numpy as np

from scenelift.training.scenes.meshes import Surface, join
from scenelift.training.scenes.solids import ball, block, circle, lathed, paint, placed, tube

__all__ = ["book", "clock", "keyboard", "laptop", "monitor", "mouse", "phone", "remote"]


def _shell(rng: np.random.Generator) -> np.ndarray:
    return np.full(3, rng.uniform(0.03, 0.25)) if rng.random() < 0.6 else paint(rng)


def _screen(rng: np.random.Generator, width: float, depth: float) -> list[Surface]:
    """Lay a screen flat around the origin, dark or with a few coloured fields."""
    ground = paint(rng) if rng.random() < 0.6 else np.full(3, rng.uniform(0.02, 0.12))
    parts = [block((width, 0.006, depth), ground, round=0.1, corner=1)]
    for _ in range(rng.integers(0, 7)):
        size = rng.uniform(0.08, 0.5, 2) * (width, depth)
        x, z = (rng.uniform(-0.5, 0.5, 2) * ((width, depth) - size)).tolist()
        parts.append(block((size[0], 0.008, size[1]), paint(rng), (x, 0, z), round=0.1, corner=1))
    return parts


def _keys(
    rng: np.random.Generator, rows: int, columns: int, size: tuple[float, float], level: float
) -> list[Surface]:
    colour, other = paint(rng) * rng.uniform(0.2, 1), paint(rng)
    pitch = size[0] / columns, size[1] / rows
    parts = []
    for row in range(rows):
        column = 0
        while column < columns:
            wide = columns // 2 if row == rows - 1 and column == columns // 4 else 1
            wide = 2 if row and column in (0, columns - 2) else wide
            x = (column + wide / 2) * pitch[0] - size[0] / 2
            z = (row + 0.5) * pitch[1] - size[1] / 2
            key = (pitch[0] * wide * 0.86, 0.016, pitch[1] * 0.86)
            tint = other if rng.random() < 0.05 else colour
            parts.append(block(key, tint, (x, level, z), round=0.3, corner=1, taper=(0.9, 0.9)))
            column += wide
    return parts


def remote(rng: np.random.Generator) -> Surface:
    """Make a remote control that lies along z, with buttons of several colours."""
    width, height = rng.uniform(0.2, 0.32), rng.uniform(0.08, 0.14)
    shell = _shell(rng)
    taper = (rng.uniform(0.8, 1), rng.uniform(0.94, 1))
    parts = [block((width, height, 1), shell, round=rng.uniform(0.3, 0.9), taper=taper)]
    columns, rows = int(rng.integers(2, 4)), int(rng.integers(5, 10))
    colour = paint(rng)
    for z in np.linspace(-0.4, 0.35, rows):
        for x in np.linspace(-0.3, 0.3, columns):
            tint = paint(rng) if rng.random() < 0.25 else colour
            size = np.array((0.6 / columns * width, 0.02, 0.04))
            parts.append(block(size, tint, (x * width, height * 0.97, z), round=0.8, corner=1))
    if rng.random() < 0.6:
        at = (0, height, rng.uniform(-0.2, 0.2))
        parts.append(ball((width * 0.33, 0.025, width * 0.33), paint(rng), at))
    return join(parts)


def phone(rng: np.random.Generator) -> Surface:
    """Make a smartphone that lies along z, its screen up."""
    width, thick = rng.uniform(0.46, 0.56), rng.uniform(0.05, 0.09)
    parts = [block((width, thick, 1), paint(rng), round=rng.uniform(0.4, 1))]
    screen = join(_screen(rng, width * 0.9, rng.uniform(0.82, 0.95)))
    parts.append(placed(screen, (0, thick, 0)))
    bump = block((width * 0.35, 0.03, 0.2), _shell(rng), (-width * 0.2, -0.02, -0.35), round=0.6)
    parts += [bump, block((0.02, 0.03, 0.1), _shell(rng), (width / 2, thick * 0.3, -0.2))]
    return join(parts)


def keyboard(rng: np.random.Generator) -> Surface:
    """Make a keyboard along x."""
    depth = rng.uniform(0.28, 0.4)
    columns = int(rng.integers(11, 16))
    parts = [block((1.06, 0.04, depth + 0.05), _shell(rng), round=0.5)]
    return join(parts + _keys(rng, 5, columns, (1.0, depth), 0.036))


def mouse(rng: np.random.Generator) -> Surface:
    """Make a computer mouse along z, its wheel and buttons in other colours."""
    shell = _shell(rng)
    wide, tall = rng.uniform(0.28, 0.36), rng.uniform(0.16, 0.24)
    colours = np.broadcast_to(shell, (10, 16, 3)).copy()
    if rng.random() < 0.5:
        colours[:, 9:15] = paint(rng)
    body = ball((wide, tall, 0.5), colours)
    body.vertices[body.vertices[:, 1] < 0, 1] *= 0.25
    wheel = placed(
        lathed([(0, 0), (0.06, 0), (0.06, 0.04), (0, 0.04)], circle(12), paint(rng)),
        axis="z",
        degrees=90,
    )
    parts = [body, placed(wheel, (0.02, tall * 0.8, -0.25))]
    if rng.random() < 0.4:
        turn = np.linspace(0, 3, 12)
        path = np.stack([0.2 * np.sin(2 * turn) * turn / 3, np.zeros(12), -0.45 - 0.4 * turn], 1)
        parts.append(tube(path, 0.02, shell, circle(6), side=(0, 1, 0)))
    return join(parts)


def monitor(rng: np.random.Generator) -> Surface:
    """Make a monitor or television on its foot."""
    height, thick = rng.uniform(0.5, 0.65), rng.uniform(0.03, 0.08)
    shell, lift = _shell(rng), rng.uniform(0.08, 0.25)
    screen = placed(join(_screen(rng, 0.96, height - 0.05)), axis="x", degrees=90)
    parts = [
        block((1, height, thick), shell, (0, lift, 0), round=0.3),
        placed(screen, (0, lift + height / 2, thick / 2)),
    ]
    if rng.random() < 0.6:
        parts.append(block((0.08, lift + 0.15, 0.04), shell, (0, 0, -thick / 2)))
        size = (rng.uniform(0.25, 0.45), 0.02, rng.uniform(0.18, 0.28))
        parts.append(block(size, shell, round=0.5))
    else:
        for x in (-0.35, 0.35):
            for z in (-0.12, 0.12):
                parts.append(tube([(x, lift + 0.02, 0), (x * 1.1, 0, z)], 0.012, shell))
    return join(parts)


def laptop(rng: np.random.Generator) -> Surface:
    """Make an open laptop."""
    depth, shell = rng.uniform(0.62, 0.75), _shell(rng)
    parts = [block((1, 0.04, depth), shell, round=0.5)]
    keys = join(_keys(rng, 5, int(rng.integers(10, 14)), (0.88, depth * 0.45), 0.036))
    parts.append(placed(keys, (0, 0, -depth * 0.18)))
    parts.append(block((0.28, 0.006, depth * 0.25), shell * 0.8, (0, 0.038, depth * 0.3), corner=1))
    lid = [block((1, 0.03, depth), shell * rng.uniform(0.8, 1.0), (0, -0.03, 0), round=0.5)]
    lid = join(lid + _screen(rng, 0.94, depth * 0.92))
    open_by = rng.uniform(60, 88)
    lid = placed(placed(lid, (0, 0, -depth / 2)), axis="x", degrees=open_by)
    return join([*parts, placed(lid, (0, 0.04, -depth / 2))])


def book(rng: np.random.Generator) -> Surface:
    """Make a closed book that lies, or stands a little open, or a few in a stack."""
    parts, level = [], 0.0
    for _ in range(int(rng.choice((1, 1, 2, 4)))):
        cover, title = paint(rng), paint(rng)
        width, depth, thick = rng.uniform(0.6, 0.8), rng.uniform(0.9, 1.1), rng.uniform(0.06, 0.25)
        one = [
            block((width - 0.03, thick, depth - 0.05), (0.93, 0.9, 0.82), (0.01, 0, 0), round=0.02),
            block((width, 0.02, depth), cover, (0, -0.01, 0), corner=1),
            block((width, 0.02, depth), cover, (0, thick - 0.01, 0), corner=1),
            block((0.03, thick + 0.02, depth), cover, (-width / 2, -0.01, 0), round=0.9),
            block(
                (rng.uniform(0.2, 0.9) * width, 0.01, rng.uniform(0.1, 0.6) * depth),
                title, (0, thick + 0.006, rng.uniform(-0.15, 0.15)), corner=1,
            ),
        ]  # fmt: skip
        parts.append(placed(join(one), (0, level, 0), degrees=rng.uniform(-15, 15) * (level > 0)))
        level += thick + 0.02
    return join(parts)


def clock(rng: np.random.Generator) -> Surface:
    """Make a round clock that faces +z, with marks and hands."""
    face, rim, hand = paint(rng), paint(rng), paint(rng)
    thick, ring = rng.uniform(0.08, 0.3), circle(36)
    inner = rng.uniform(0.82, 0.93)
    case = [(0, 0), (1, 0), (1, thick), (inner, thick), (inner, thick - 0.04)]
    parts = [
        lathed(case, ring, rim),
        lathed([(inner, thick - 0.04), (0, thick - 0.04)], ring, face),
    ]
    for hour in range(12):
        mark = block((0.04, 0.02, 0.12), hand, (0, thick - 0.045, inner * 0.85), corner=1)
        parts.append(placed(mark, degrees=30.0 * hour))
    for long in (0.5, 0.75):
        arm = block((0.05, 0.02, long), hand, (0, thick - 0.03, long / 2 * 0.9), corner=1)
        parts.append(placed(arm, degrees=rng.uniform(0, 360)))
    upright = placed(join(parts), axis="x", degrees=90)
    if thick < 0.2:
        return upright
    feet = [ball(0.12, rim, (math.sin(a), -math.cos(a), thick / 2)) for a in (-0.5, 0.5)]
    bells = [
        ball((0.3, 0.25, 0.2), rim, (math.sin(a), math.cos(a) * 1.1, thick / 2))
        for a in (-0.5, 0.5)
    ]
    return join([upright, *feet, *bells])
