"""Tools, tableware, bottles, fruit: what lies on a table and fits a hand."""

from __future__ import annotations

import math

import numpy as np
from scipy.interpolate import PchipInterpolator

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

__all__ = [
    "CUTLERY",
    "FRUIT",
    "banana",
    "bottle",
    "cutlery",
    "fruit",
    "hammer",
    "pan",
    "plate",
    "screwdriver",
    "strawberry",
    "teapot",
    "umbrella",
    "wrench",
]


def _bar(
    stations: list[tuple[float, float, float]],
    colours: np.ndarray | tuple[float, float, float],
    power: float = 3,
    sag: float = 0.0,
    rows: int = 17,
) -> Surface:
    """Make a bar along x: stations are (x, half width along z, half thickness along y)."""
    at, wide, thick = np.array(stations).T
    x = np.linspace(at[0], at[-1], rows)
    breadth, height = PchipInterpolator(at, wide)(x), PchipInterpolator(at, thick)(x)
    ring = rounded_square(12, power)
    lift = sag * ((x - at[0]) / (at[-1] - at[0]) * 2 - 1) ** 2
    grid = np.stack(
        [
            np.broadcast_to(x[:, None], (rows, 12)),
            lift[:, None] + height[:, None] * ring[:, 1],
            breadth[:, None] * ring[:, 0],
        ],
        -1,
    )
    return loft(grid, colours)


def bottle(rng: np.random.Generator) -> Surface:
    """Make a closed bottle with a cap and a label around it or in front."""
    body, label, cap, print_ = (paint(rng) for _ in range(4))
    height, ring = rng.uniform(3.5, 8), circle(28)
    if rng.random() < 0.2:
        ring = rounded_square(28, 6) * (1, rng.uniform(0.5, 1))
    neck, shoulder = rng.uniform(0.25, 0.55), rng.uniform(0.5, 0.8)
    waist = rng.uniform(0.85, 1) if rng.random() < 0.3 else 1.0
    points = [0, 0.03, 0.35, shoulder, (shoulder + 0.93) / 2, 0.93]
    radii = [0.9, 1, waist, 1, (neck + 0.85) / 2, neck]
    rise = np.linspace(0, 0.93, 25)
    profile = np.stack([PchipInterpolator(points, radii)(rise), height * rise], 1)
    colours = np.broadcast_to(body, (24, 28, 3)).copy()
    low, high = sorted(rng.uniform(0.08, shoulder, 2))
    rows = (rise[:-1] > low) & (rise[:-1] < max(high, low + 0.2))
    part = 28 if rng.random() < 0.6 else int(rng.integers(8, 16))
    colours[np.ix_(rows, np.arange(part))] = label
    inner = np.flatnonzero(rows)[1:-1:2]
    colours[np.ix_(inner, np.arange(2, part - 2))] = print_
    lid = rng.uniform(1.05, 1.5) * neck
    tall = height * rng.uniform(0.05, 0.12)
    top = [(lid, 0), (lid, tall), (0.92 * lid, tall * 1.06), (0, tall * 1.06)]
    return join(
        [
            lathed([(0, 0), profile[0]], ring, body),
            lathed([profile[-1], (0, profile[-1, 1])], ring, body),
            lathed(profile, ring, colours),
            placed(lathed([(0, 0), *top], circle(20), cap), (0, 0.92 * height, 0)),
        ]
    )


def plate(rng: np.random.Generator) -> Surface:
    """Make a plate, its rim in another colour at times."""
    glaze, rim, back = paint(rng), paint(rng), paint(rng)
    lift, well = rng.uniform(0.08, 0.25), rng.uniform(0.5, 0.75)
    ring = circle(40) if rng.random() < 0.85 else rounded_square(40, 5)
    inside = [
        (0, 0.05),
        (well, 0.05),
        (well + 0.08, 0.05 + lift / 2),
        (0.97, 0.05 + lift),
        (1, 0.04 + lift),
    ]
    colours = np.broadcast_to(glaze, (4, 40, 3)).copy()
    if rng.random() < 0.6:
        colours[int(rng.integers(1, 4)) :] = rim
    under = [(1, 0.04 + lift), (well, 0), (0, 0)]
    return join(
        [lathed(inside, ring, colours), lathed(under, ring, back if rng.random() < 0.4 else glaze)]
    )


CUTLERY = ("spoon", "fork", "knife")


def cutlery(kind: int, rng: np.random.Generator) -> Surface:
    """Make one of `CUTLERY`, in two colours at times, lying along x."""
    steel = metal(rng) if rng.random() < 0.8 else paint(rng)
    grip = np.broadcast_to(steel, (16, 12, 3)).copy()
    if rng.random() < 0.4:
        grip[:8] = paint(rng)
    wide = rng.uniform(0.03, 0.05)
    if CUTLERY[kind] == "spoon":
        bowl = rng.uniform(0.09, 0.13)
        parts = [
            _bar([(-0.5, wide, 0.012), (-0.1, wide / 2, 0.012), (0.27, wide / 2, 0.012)], grip)
        ]
        half = ball((rng.uniform(0.13, 0.17), 0.045, bowl), steel, (0.36, 0, 0))
        dip = half.vertices[:, 1] > 0
        half.vertices[dip, 1] *= -0.55
        return join([*parts, half])
    if CUTLERY[kind] == "fork":
        head, tines = rng.uniform(0.07, 0.1), int(rng.integers(3, 5))
        stations = [(-0.5, wide, 0.012), (0, wide / 2, 0.014), (0.2, head, 0.01), (0.3, head, 0.01)]
        parts = [_bar(stations, grip)]
        for z in np.linspace(-1, 1, tines) * head * 0.85:
            path = [(0.28, 0, z), (0.4, 0.02, z), (0.52, 0.04, z * 0.95)]
            parts.append(tube(path, (0.013, 0.012, 0.006), steel, circle(6)))
        return join(parts)
    blade = rng.uniform(0.04, 0.08)
    stations = [(-0.5, wide, 0.02), (-0.05, wide, 0.02), (0.0, blade, 0.006), (0.4, blade, 0.005)]
    return _bar([*stations, (0.52, 0.01, 0.003)], grip)


def pan(rng: np.random.Generator) -> Surface:
    """Make a frying pan or a pot, open, with one long handle or two short ones."""
    outside, inside, grip = paint(rng), metal(rng) * rng.uniform(0.2, 1.2), paint(rng)
    tall, flare = rng.uniform(0.15, 1.0), rng.uniform(0.7, 1)
    wall = 0.04
    outline = [(0, 0), (flare, 0), (1, tall), (1 - wall, tall)]
    inner = [(1 - wall, tall), (flare - wall, wall), (0, wall)]
    parts = [lathed(outline, circle(32), outside), lathed(inner, circle(32), inside.clip(0, 1))]
    if tall < 0.55:
        long = rng.uniform(0.9, 1.6)
        path = [
            (0.93, tall * 0.75, 0),
            (1.2, tall * 0.9, 0),
            (1 + long, tall + rng.uniform(0, 0.4), 0),
        ]
        parts.append(tube(path, np.full((3, 2), 0.07) * (1.4, 0.8), grip))
    else:
        for side in (-1, 1):
            turn = np.linspace(-0.3, 0.3, 9)
            out = 0.97 + 0.22 * np.cos(turn / 0.3 * math.pi / 2)
            path = np.stack(
                [side * out * np.cos(turn), np.full(9, tall * 0.8), out * np.sin(turn)], 1
            )
            parts.append(tube(path, 0.05, grip, side=(0, 1, 0)))
    return join(parts)


def teapot(rng: np.random.Generator) -> Surface:
    """Make a teapot or kettle with spout, handle and lid."""
    body, lid = paint(rng), paint(rng)
    lid = lid if rng.random() < 0.5 else body
    tall = rng.uniform(1.1, 1.9)
    rise = np.linspace(0, 1, 17)
    knots = [0.6, rng.uniform(0.85, 1), 1, rng.uniform(0.7, 0.95), 0.45]
    radii = PchipInterpolator(np.linspace(0, 1, 5), knots)(rise)
    colours = np.broadcast_to(body, (16, 28, 3)).copy()
    if rng.random() < 0.4:
        colours[int(rng.integers(2, 8)) : int(rng.integers(9, 15))] = paint(rng)
    parts = [
        lathed([(0, 0), (0.6, 0)], circle(28), body),
        lathed([(0.45, tall), (0, tall)], circle(28), body),
        lathed(np.stack([radii, tall * rise], 1), circle(28), colours),
        lathed(
            [(0, tall), (0.45, tall), (0.3, tall + 0.12), (0.08, tall + 0.18), (0, tall + 0.18)],
            circle(20),
            lid,
        ),
        ball(rng.uniform(0.07, 0.13), lid, (0, tall + 0.24, 0), around=10, rows=8),
    ]
    reach = rng.uniform(1.4, 1.9)
    path = np.array([(0.7, 0.3), (1.15, 0.42), (reach - 0.2, 0.75), (reach, 1.0)]) * (1, tall)
    parts.append(tube(np.c_[path, np.zeros(4)], (0.24, 0.17, 0.11, 0.08), body))
    turn = np.linspace(0, math.pi, 13)
    thick = rng.uniform(0.06, 0.1)
    if rng.random() < 0.7:
        out = rng.uniform(0.5, 0.8)
        loop = np.stack([-0.75 - out * np.sin(turn), tall * (0.5 - 0.36 * np.cos(turn))], 1)
    else:
        loop = np.stack(
            [0.75 * np.cos(turn), tall * 0.85 + rng.uniform(0.7, 1.1) * np.sin(turn)], 1
        )
    parts.append(tube(np.c_[loop, np.zeros(13)], thick, lid))
    return join(parts)


def hammer(rng: np.random.Generator) -> Surface:
    """Make a hammer or mallet that lies along x."""
    grip, head, wrap = wood(rng) if rng.random() < 0.5 else paint(rng), metal(rng) * 0.8, paint(rng)
    colours = np.broadcast_to(grip, (16, 12, 3)).copy()
    if rng.random() < 0.6:
        colours[: int(rng.integers(4, 9))] = wrap
    shaft = [(-0.5, 0.03, 0.035), (-0.3, 0.035, 0.04), (0.1, 0.022, 0.026), (0.5, 0.026, 0.03)]
    long, thick = rng.uniform(0.14, 0.22), rng.uniform(0.045, 0.08)
    path = np.array([-1, -0.55, -0.5, 0.5, 0.55, 1]) * long
    face = np.array([1, 1, 0.75, 0.75, 1, 1]) * thick
    along = np.c_[np.full(6, 0.46), np.zeros(6), path]
    claw = np.stack([face, face], 1)
    if rng.random() < 0.6:
        claw[3:, 1] *= (0.7, 0.5, 0.15)
        along[4:, 0] -= (0.03, 0.1)
    ring = circle(12) if rng.random() < 0.6 else rounded_square(12, 6)
    return join([_bar(shaft, colours), tube(along, claw, head, ring, side=(0, 1, 0))])


def screwdriver(rng: np.random.Generator) -> Surface:
    """Make a screwdriver that lies along x."""
    colours = np.broadcast_to(paint(rng), (16, 12, 3)).copy()
    colours[:, :: int(rng.integers(2, 5))] = paint(rng)
    fat = rng.uniform(0.045, 0.08)
    grip = [
        (-0.5, fat * 0.7, fat * 0.7),
        (-0.42, fat, fat),
        (-0.2, fat * 0.85, fat * 0.85),
        (-0.1, fat * 0.6, fat * 0.6),
    ]
    thin = rng.uniform(0.015, 0.028)
    blade = [
        (-0.12, thin, thin),
        (0.4, thin, thin),
        (0.46, thin * 1.5, thin * 0.5),
        (0.5, thin * 1.3, thin * 0.2),
    ]
    return join([_bar(grip, colours, 2), _bar(blade, metal(rng), 2)])


def wrench(rng: np.random.Generator) -> Surface:
    """Make an open-ended or ring wrench that lies along x."""
    steel, thin, wide = metal(rng), rng.uniform(0.02, 0.035), rng.uniform(0.035, 0.06)
    parts = [_bar([(-0.4, wide, thin), (0, wide * 0.8, thin * 0.8), (0.4, wide, thin)], steel)]
    for end in (-1, 1):
        jaw = rng.uniform(0.08, 0.12)
        gap = 0.0 if rng.random() < 0.4 else rng.uniform(0.7, 1.1)
        turn = np.linspace(gap, 2 * math.pi - gap, 21)
        path = np.stack([end * (0.45 + jaw * np.cos(turn)), np.zeros(21), jaw * np.sin(turn)], 1)
        parts.append(
            tube(path, np.full((21, 2), 0.035) * (thin / 0.035 * 1.2, 1), steel, side=(0, 1, 0))
        )
    return join(parts)


FRUIT = ("apple", "orange", "pear", "lemon", "tomato")


def fruit(kind: int, rng: np.random.Generator) -> Surface:
    """Make one of `FRUIT`: a turned body with a stalk, blushed."""
    skins = (
        (0.75, 0.1, 0.1),
        (0.95, 0.55, 0.1),
        (0.65, 0.75, 0.2),
        (0.95, 0.85, 0.2),
        (0.85, 0.2, 0.1),
    )
    shapes = (
        (0.8, 1, 1, 0.75),
        (0.85, 1, 1, 0.85),
        (0.9, 1, 0.6, 0.4),
        (0.6, 1, 1, 0.6),
        (0.9, 1, 1, 0.9),
    )
    skin = (np.array(skins[kind]) * rng.uniform(0.8, 1.15, 3)).clip(0, 1)
    radii = np.array(shapes[kind]) * rng.uniform(0.95, 1.05, 4)
    height = (1.8, 1.9, 2.5, 2.5, 1.6)[kind] * rng.uniform(0.92, 1.08)
    rise = np.linspace(0, 1, 15)
    swell = np.clip(1 - np.abs(2 * rise - 1) ** 2.4, 0, 1) ** (1 / 2.2)
    profile = np.stack(
        [PchipInterpolator((0, 0.35, 0.65, 1), radii)(rise) * swell, height * rise], 1
    )
    if kind in (0, 4):  # dimples
        profile[[0, -1], 1] += (0.12, -0.2)
    colours = np.broadcast_to(skin, (14, 20, 3)).copy()
    if rng.random() < 0.5:
        colours[:, : int(rng.integers(4, 10))] = (
            0.6 * skin + 0.4 * np.array((0.8, 0.7, 0.2))
        ).clip(0, 1)
    top = profile[-1, 1]
    stalk = tube(
        [(0, top - 0.1, 0), (0.1, top + rng.uniform(0.1, 0.4), 0)], 0.05, (0.3, 0.2, 0.1), circle(6)
    )
    parts = [lathed(profile, circle(20), colours), stalk]
    if rng.random() < 0.3:
        parts.append(
            placed(
                ball((0.3, 0.03, 0.14), (0.2, 0.5, 0.15)), (0.3, top + 0.1, 0), axis="z", degrees=20
            )
        )
    return join(parts)


def banana(rng: np.random.Generator) -> Surface:
    """Make a banana, or a bunch of them."""
    parts = []
    for k in range(int(rng.choice((1, 1, 2, 4)))):
        turn = np.linspace(-0.8, 0.8, 13) * rng.uniform(0.8, 1.1)
        path = np.stack([np.sin(turn), 1 - np.cos(turn), np.zeros(13)], 1)
        thick = 0.13 * np.interp(
            np.linspace(0, 1, 13), (0, 0.08, 0.3, 0.7, 0.9, 1), (0.4, 0.45, 1, 1, 0.4, 0.3)
        )
        colours = np.broadcast_to((0.93, 0.8, 0.2), (12, 8, 3)) * rng.uniform(0.85, 1.05)
        colours[[0, -1]] = (0.3, 0.22, 0.1)
        one = tube(path, thick, colours.clip(0, 1), circle(8))
        parts.append(
            placed(placed(one, axis="x", degrees=90), (0, 0, 0.2 * k), axis="y", degrees=12.0 * k)
        )
    return join(parts)


def strawberry(rng: np.random.Generator) -> Surface:
    """Make a strawberry, speckled, leaves on top."""
    rise = np.linspace(0, 1, 15)
    radii = PchipInterpolator((0, 0.15, 0.6, 0.85, 1), (0, 0.35, 0.9, 0.95, 0.3))(rise)
    colours = np.broadcast_to((0.8, 0.1, 0.1), (14, 20, 3)) * rng.uniform(0.85, 1.1)
    colours[1::3, ::4] = (0.9, 0.75, 0.3)
    height = rng.uniform(1.8, 2.6)
    parts = [lathed(np.stack([radii, height * rise], 1), circle(20), colours.clip(0, 1))]
    parts.append(lathed([(0.3, height), (0, height)], circle(20), colours[0, 1].clip(0, 1)))
    for k in range(6):
        leaf = ball((0.4, 0.04, 0.13), (0.25, 0.55, 0.15), (0.35, 0, 0), around=8, rows=6)
        parts.append(placed(leaf, (0, height * 0.99, 0), degrees=60.0 * k))
    return join(parts)


def umbrella(rng: np.random.Generator) -> Surface:
    """Make an open umbrella, its panels in turns of two colours."""
    cloth = np.stack([paint(rng), paint(rng)])
    rise = np.linspace(0, math.pi / 2, 9)
    tall, sides = rng.uniform(0.25, 0.5), 24
    profile = np.stack([np.cos(rise), tall * np.sin(rise)], 1)
    inner = profile[::-1] * (1, 0.96) - (0, 0.012)
    panels = cloth[np.arange(sides) // 3 % 2] if rng.random() < 0.6 else cloth[np.zeros(sides, int)]
    both = np.broadcast_to(panels, (18, sides, 3))
    canopy = lathed(np.concatenate([profile, inner, profile[:1]]), circle(sides), both)
    long = rng.uniform(0.9, 1.3)
    stick = tube([(0, tall + 0.08, 0), (0, -long, 0)], 0.02, metal(rng))
    turn = np.linspace(0, math.pi, 9)
    hook = np.stack([0.09 - 0.09 * np.cos(turn), -long - 0.12 * np.sin(turn), np.zeros(9)], 1)
    grip = wood(rng) if rng.random() < 0.5 else paint(rng)
    return join(
        [canopy, stick, tube(hook, 0.03, grip), block((0.05, 0.1, 0.05), grip, (0, -long, 0))]
    )
