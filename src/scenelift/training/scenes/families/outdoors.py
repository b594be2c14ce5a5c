"""Cars, lorries, buses, bicycles; balls, rackets, flags."""

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

__all__ = ["bicycle", "bus", "car", "flag", "racket", "skateboard", "sports_ball", "truck"]

GLASS, TYRE = np.array((0.12, 0.16, 0.2)), np.full(3, 0.07)


def _wheels(rng: np.random.Generator, wide: float, at: list[float], radius: float) -> list[Surface]:
    """Make a pair of wheels at each place along z; x is across."""
    hub, thick = metal(rng), radius * 0.62
    profile = [
        (0, 0),
        (radius * 0.94, 0),
        (radius, thick * 0.2),
        (radius, thick * 0.8),
        (radius * 0.94, thick),
    ]
    rim = [
        (0, thick),
        (0.55 * radius, thick * 0.98),
        (0.55 * radius, thick * 1.08),
        (0, thick * 1.02),
    ]
    wheel = join([lathed([*profile, (0, thick)], circle(20), TYRE), lathed(rim, circle(16), hub)])
    out = placed(wheel, axis="z", degrees=-90)
    parts = []
    for z in at:
        parts.append(placed(out, (wide - thick * 0.8, radius, z)))
        parts.append(placed(placed(out, degrees=180), (-wide + thick * 0.8, radius, z)))
    return parts


def _hull(
    stations: list[tuple[float, float, float]], wide: float, colours: np.ndarray, power: float = 6
) -> Surface:
    """Make a body along z of (z, floor, roof), a rounded rectangle across."""
    z, low, high = np.array(stations).T
    ring = rounded_square(20, power)
    middle, half = (low + high) / 2, (high - low) / 2
    grid = np.stack(
        [
            np.broadcast_to(wide * ring[:, 0], (len(z), 20)),
            middle[:, None] + half[:, None] * ring[:, 1],
            np.broadcast_to(z[:, None], (len(z), 20)),
        ],
        -1,
    )
    return loft(grid, colours)


def _lights(wide: float, level: float, front: float, rear: float) -> list[Surface]:
    pair = (
        ((0.16 * wide, 0.05, 0.04), (0.95, 0.95, 0.85), front),
        ((0.14 * wide, 0.06, 0.03), (0.7, 0.08, 0.08), rear),
    )
    return [
        ball(size, colour, (x * wide, level, z), around=10, rows=6)
        for x in (-0.72, 0.72)
        for size, colour, z in pair
    ]


def car(rng: np.random.Generator) -> Surface:
    """Make a car, +z in front: hatchback, saloon or estate, roof and windows narrower."""
    body, trim = paint(rng), np.full(3, rng.uniform(0.05, 0.3))
    wide, belt, roof = rng.uniform(0.4, 0.47), rng.uniform(0.38, 0.48), rng.uniform(0.65, 0.85)
    clear, bonnet = rng.uniform(0.1, 0.17), rng.uniform(0.75, 0.92) * belt
    nose, tail = 0.98, -0.98
    rear = rng.choice((-0.95, -0.6)) + rng.uniform(-0.02, 0.05)
    line = [
        (tail, 0.22, belt * 0.85),
        (-0.92, clear, belt),
        (0.35, clear, belt),
        (0.85, clear, bonnet),
        (nose, 0.2, bonnet * 0.75),
    ]
    parts = [_hull(line, wide, np.broadcast_to(body, (4, 20, 3)))]
    front = rng.uniform(0.3, 0.5)
    # Half width, height, rear and front of the cabin at the belt and at the roof.
    sill = np.array((wide * 0.94, belt * 0.97, rear, front))
    lid = (wide * 0.74, roof, rear + rng.uniform(0.08, 0.3), front - rng.uniform(0.3, 0.5))
    ring = rounded_square(20, 7)
    levels = []
    for share in (0, 0.15, 0.85, 1):
        half, height, back, ahead = sill + share * (np.array(lid) - sill)
        z = (back + ahead) / 2 + (ahead - back) / 2 * ring[:, 1]
        levels.append(np.stack([half * ring[:, 0], np.full(20, height), z], 1))
    colours = np.broadcast_to(body, (3, 20, 3)).copy()
    colours[1] = GLASS
    colours[1, [2, 7, 12, 17]] = body  # pillars
    parts.append(loft(np.stack(levels), colours))
    if rng.random() < 0.7:
        size, at = (lid[0] * 1.7, 0.015, (lid[3] - lid[2]) * 0.92), (0, roof, (lid[2] + lid[3]) / 2)
        parts.append(block(size, body, at, round=0.8))
    radius = rng.uniform(0.15, 0.2)
    parts += _wheels(rng, wide, [-0.62, rng.uniform(0.55, 0.65)], radius)
    parts += _lights(wide, belt * 0.72, nose - 0.06, tail + 0.02)
    for z in (nose - 0.04, tail + 0.03):
        parts.append(
            block(
                (wide * 1.9, 0.1, 0.08),
                trim if rng.random() < 0.6 else body,
                (0, 0.16, z),
                round=0.8,
            )
        )
    for x in (-1, 1):
        parts.append(
            block((0.08, 0.06, 0.05), body, (x * wide * 1.05, belt, front - 0.08), round=0.8)
        )
    return join(parts)


def truck(rng: np.random.Generator) -> Surface:
    """Make a lorry, van or pick-up: a cab and a box, a bed or a tank."""
    cab, load = paint(rng), paint(rng)
    wide, tall = rng.uniform(0.3, 0.38), rng.uniform(0.55, 0.8)
    parts = [block((wide * 1.9, 0.09, 1.92), TYRE * 2, (0, 0.18, 0), corner=1)]
    parts.append(
        block((wide * 2, tall - 0.18, 0.5), cab, (0, 0.18, 0.72), round=0.3, taper=(0.95, 0.85))
    )
    parts.append(block((wide * 1.8, 0.2, 0.06), GLASS, (0, tall - 0.28, 0.92), round=0.3))
    parts.append(block((wide * 2.01, 0.18, 0.22), GLASS, (0, tall - 0.28, 0.75), round=0.2))
    kind = rng.random()
    if kind < 0.6:
        high = rng.uniform(0.5, 1.0)
        parts.append(block((wide * 2.1, high, 1.35), load, (0, 0.24, -0.28), round=0.08))
        if rng.random() < 0.5:
            parts.append(
                block(
                    (wide * 2.13, high * rng.uniform(0.15, 0.5), rng.uniform(0.4, 1.2)),
                    paint(rng),
                    (0, 0.24 + high * 0.3, -0.28),
                    round=0.05,
                )
            )
    elif kind < 0.85:
        floor, side, rear = (wide * 2, 0.05, 1.35), (0.04, 0.22, 1.35), (wide * 2, 0.22, 0.04)
        for size, x, z in (
            (floor, 0, -0.28),
            (side, wide, -0.28),
            (side, -wide, -0.28),
            (rear, 0, -0.95),
        ):
            at = (x, 0.24, z)
            parts.append(block(size, load, at, corner=1))
        for _ in range(rng.integers(0, 4)):
            size = rng.uniform(0.15, 0.4, 3)
            parts.append(
                block(size, paint(rng), (rng.uniform(-0.1, 0.1), 0.28, rng.uniform(-0.7, 0.1)))
            )
    else:
        tank = placed(
            lathed(
                [(0, 0), (0.28, 0.02), (0.3, 0.1), (0.3, 1.2), (0.28, 1.28), (0, 1.3)],
                circle(24),
                load,
            ),
            axis="x",
            degrees=90,
        )
        parts.append(placed(tank, (0, 0.54, -0.95)))
    parts += _wheels(
        rng,
        wide,
        [-0.7, -0.35, 0.68] if rng.random() < 0.5 else [-0.6, 0.68],
        rng.uniform(0.14, 0.18),
    )
    return join(parts + _lights(wide, 0.24, 0.98, -0.96))


def bus(rng: np.random.Generator) -> Surface:
    """Make a bus, or two decks of one."""
    body, stripe = paint(rng), paint(rng)
    wide, decks = rng.uniform(0.22, 0.28), 1 + (rng.random() < 0.25)
    storey = rng.uniform(0.4, 0.5)
    tall = 0.16 + storey * decks
    parts = [block((wide * 2, tall - 0.1, 2), body, (0, 0.1, 0), round=0.25)]
    for deck in range(decks):
        level = 0.16 + storey * deck + storey * 0.42
        count = int(rng.integers(5, 9))
        for z in np.linspace(-0.85, 0.8, count):
            size = (wide * 2.03, storey * 0.4, 1.45 / count)
            parts.append(block(size, GLASS, (0, level, z), round=0.1, corner=1))
        parts.append(
            block((wide * 1.75, storey * 0.46, 2.02), GLASS, (0, level, 0), round=0.1, corner=1)
        )
    parts.append(
        block((wide * 2.02, storey * 0.14, 2.01), stripe, (0, 0.24, 0), round=0.1, corner=1)
    )
    parts += _wheels(rng, wide, [-0.6, 0.62], 0.12)
    return join(parts + _lights(wide, 0.2, 1.0, -1.0))


def bicycle(rng: np.random.Generator) -> Surface:
    """Make a bicycle, +x in front."""
    frame, grip = paint(rng), np.full(3, rng.uniform(0.05, 0.4))
    radius, steel = rng.uniform(0.3, 0.36), metal(rng)
    turn = np.linspace(0, 2 * math.pi, 33)
    parts = []
    rear, front = np.array((-0.5, radius, 0)), np.array((0.52, radius, 0))
    for hub in (rear, front):
        rim = np.stack([radius * np.cos(turn), radius * np.sin(turn), np.zeros(33)], 1)
        parts.append(tube(hub + rim * 0.95, rng.uniform(0.012, 0.025), TYRE))
        for spoke in turn[:-1:3]:
            end = hub + 0.93 * radius * np.array((math.cos(spoke), math.sin(spoke), 0))
            parts.append(tube([hub, end], 0.004, steel, circle(4)))
        parts.append(
            tube(
                [np.add(hub, (0, 0, -0.05)), np.add(hub, (0, 0, 0.05))],
                0.025,
                steel,
                side=(1, 0, 0),
            )
        )
    crank, saddle = (
        np.array((-0.08, radius * 0.85, 0)),
        np.array((-0.22, rng.uniform(0.72, 0.85), 0)),
    )
    head = np.array((0.34, rng.uniform(0.7, 0.82), 0))
    low = rng.uniform(0, 0.9) if rng.random() < 0.4 else 0.0
    seat = saddle * (1 - low * 0.6) + crank * low * 0.6
    top_tube = seat - (0, 0.03, 0), head - (0, 0.05, 0)
    for a, b, thick in (
        (crank, saddle, 0.02),
        (crank, head - (0, 0.1, 0), 0.024),
        (*top_tube, 0.02),
        (head, front, 0.018),
        (crank, rear, 0.013),
        (saddle - (0, 0.06, 0), rear, 0.013),
    ):
        parts.append(tube([a, b], thick, frame))
    parts.append(tube([saddle - (0.02, 0.02, 0), np.add(saddle, (-0.01, 0.07, 0))], 0.014, steel))
    parts.append(
        block((0.26, 0.05, 0.13), grip, np.add(saddle, (0, 0.06, 0)), round=1, taper=(0.9, 0.6))
    )
    top, reach = np.add(head, (0.02, 0.08, 0)), rng.uniform(0.2, 0.3)
    parts.append(tube([head, top], 0.015, steel))
    back = rng.uniform(-0.15, 0.1)
    bar = np.array([(back, 0.04, -1), (0, 0.02, -0.6), (0, 0, 0), (0, 0.02, 0.6), (back, 0.04, 1)])
    parts.append(tube(top + bar * (1, 1, reach), 0.014, steel, side=(1, 0, 0)))
    for side in (-1, 1):
        end = crank + np.array((0.12 * side, 0.06 * side, 0.07 * side))
        parts += [
            tube([np.add(crank, (0, 0, 0.07 * side)), end], 0.01, steel),
            block((0.09, 0.02, 0.06), grip, end, corner=1),
        ]
    ring = lathed([(0, 0), (0.09, 0), (0.09, 0.01), (0, 0.01)], circle(20), steel)
    parts.append(placed(placed(ring, axis="x", degrees=90), np.add(crank, (0, 0, 0.04))))
    if rng.random() < 0.4:
        parts.append(
            block((0.3, 0.2, 0.26), paint(rng), np.add(head, (0.16, 0.0, 0)), taper=(1.1, 1.15))
        )
    return join(parts)


def skateboard(rng: np.random.Generator) -> Surface:
    """Make a skateboard along x with bent ends."""
    deck, wheel = paint(rng), paint(rng)
    x = np.linspace(-0.5, 0.5, 21)
    wide = rng.uniform(0.11, 0.15) * np.clip((0.25 - (np.abs(x) - 0.0) ** 2) * 30, 0.2, 1) ** 0.5
    rise = 0.16 + np.clip(np.abs(x) - 0.34, 0, 1) * rng.uniform(0.2, 0.6)
    path = np.stack([x, rise, np.zeros(21)], 1)
    colours = np.broadcast_to(deck, (20, 8, 3)).copy()
    colours[:, 4:] = paint(rng)
    parts = [tube(path, np.stack([wide, np.full(21, 0.012)], 1), colours, rounded_square(8, 4))]
    for at in (-0.3, 0.3):
        parts.append(block((0.06, 0.08, 0.12), metal(rng), (at, 0.07, 0)))
        for z in (-0.09, 0.09):
            parts.append(
                tube(
                    [(at, 0.05, z - 0.025), (at, 0.05, z + 0.025)],
                    0.05,
                    wheel,
                    circle(14),
                    (1, 0, 0),
                )
            )
    return join(parts)


def sports_ball(rng: np.random.Generator) -> Surface:
    """Make a ball in two or three colours: patches, stripes, a band or a seam."""
    colours = np.broadcast_to(paint(rng), (16, 24, 3)).copy()
    other, third = paint(rng), paint(rng)
    kind = rng.integers(5)
    row, column = np.mgrid[:16, :24]
    if kind == 0:
        colours[(column // int(rng.integers(2, 6))) % 2 == 0] = other
    elif kind == 1:
        colours[(row // 3 + column // 4) % 2 == 0] = other
    elif kind == 2:
        start = int(rng.integers(3, 8))
        colours[start : start + int(rng.integers(1, 6))] = other
    elif kind == 3:
        colours[np.abs(row - 7.5 - 4 * np.sin(column / 24 * 4 * math.pi)) < 0.8] = other
    else:
        patch = (np.abs((row + 2) % 5 - 2) + np.abs((column + row // 5 * 3) % 6 - 3)) < 2.2
        colours[patch] = other
    if rng.random() < 0.3:
        colours[[0, -1]] = third
    long = 1.0 if rng.random() < 0.85 else rng.uniform(1.3, 1.6)
    whole = ball((1, long, 1), colours, around=24, rows=16)
    return placed(whole, axis="x", degrees=rng.uniform(0, 180))


def racket(rng: np.random.Generator) -> Surface:
    """Make a racket with strings, or a bat for table tennis, that lies along x."""
    frame, grip, string = paint(rng), paint(rng), paint(rng)
    half, long = rng.uniform(0.14, 0.19), rng.uniform(0.17, 0.24)
    middle = 0.5 - long
    if rng.random() < 0.3:
        face = ball(
            (long, 0.02, half * 1.1), np.broadcast_to(frame, (10, 24, 3)), (middle, 0, 0), around=24
        )
        back = ball((long * 0.97, 0.02, half * 1.07), grip, (middle, -0.02, 0), around=24)
        return join(
            [
                face,
                back,
                block((0.35, 0.05, 0.05), wood(rng), (middle - long - 0.1, -0.03, 0), round=0.8),
            ]
        )
    turn = np.linspace(0, 2 * math.pi, 33)
    rim = np.stack([middle + long * np.cos(turn), np.zeros(33), half * np.sin(turn)], 1)
    parts = [tube(rim, np.full((33, 2), 0.011) * (1.6, 1), frame, side=(0, 1, 0))]
    count = int(rng.integers(7, 12))
    for share in np.linspace(-0.85, 0.85, count):
        other = math.sqrt(1 - share**2)
        for a, b in (((share, -other), (share, other)), ((-other, share), (other, share))):
            ends = [(middle + long * u, 0, half * v) for u, v in (a, b)]
            parts.append(tube(ends, 0.003, string, circle(4), side=(0, 1, 0)))
    neck = middle - long
    for side in (-1, 1):
        parts.append(
            tube([(neck + 0.06, 0, side * half * 0.6), (neck - 0.12, 0, side * 0.012)], 0.01, frame)
        )
    parts.append(
        tube([(neck - 0.08, 0, 0), (neck - 0.18, 0, 0), (-0.5, 0, 0)], (0.018, 0.024, 0.028), grip)
    )
    return join(parts)


def flag(rng: np.random.Generator) -> Surface:
    """Make a flag of stripes or fields that waves from its pole."""
    wide, tall = rng.uniform(0.6, 1.0), rng.uniform(0.35, 0.6)
    x = np.linspace(0, wide, 19)
    wave = rng.uniform(0.03, 0.1) * np.sin(x * rng.uniform(5, 11)) * x / wide
    droop = -rng.uniform(0, 0.4) * (x / wide) ** 2 * wide
    share, rows = np.linspace(0, 1, 13), []
    for side in (0.004, -0.004):
        level = droop[:, None] + tall * (share if side > 0 else share[::-1])
        rows.append(
            np.stack(
                [
                    np.broadcast_to(x[:, None], level.shape),
                    level,
                    np.broadcast_to(wave[:, None] + side, level.shape),
                ],
                -1,
            )
        )
    colours = np.stack([paint(rng), paint(rng), paint(rng)])
    band = np.minimum(np.arange(13) // 4, 2)
    fields = np.concatenate([band, band[::-1]])
    cloth = colours[np.broadcast_to(fields, (18, 26))]
    if rng.random() < 0.5:
        cloth = colours[np.broadcast_to(np.arange(18)[:, None] // 6, (18, 26))]
    if rng.random() < 0.3:
        cloth = cloth.copy()
        cloth[:7, 6:20] = paint(rng)
    long = rng.uniform(0.9, 1.8)
    pole = tube([(-0.02, tall - long, 0), (-0.02, tall + 0.08, 0)], 0.02, wood(rng))
    return join(
        [loft(np.concatenate(rows, 1), cloth), pole, ball(0.04, metal(rng), (-0.02, tall + 0.1, 0))]
    )
