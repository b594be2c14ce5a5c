"""What stands behind the objects, and the light on them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from scenelift.training.scenes.layout import Plan
from scenelift.training.scenes.meshes import Surface
from scenelift.training.scenes.props import (
    box,
    bricks,
    fabric,
    planks,
    quad,
    speckle,
    tiles,
    windows,
)
from scenelift.training.scenes.raycast import Light, Sky

__all__ = ["backdrop", "light", "sky"]

FRONT = 6.0
"""Metres that floor, walls and ceiling reach beyond z = 0: the camera stands inside."""

WOODS = ((0.62, 0.45, 0.30), (0.45, 0.30, 0.20), (0.75, 0.60, 0.43), (0.55, 0.50, 0.45))
PAINTS = (
    (0.90, 0.88, 0.84),
    (0.80, 0.84, 0.86),
    (0.84, 0.86, 0.78),
    (0.88, 0.78, 0.70),
    (0.66, 0.72, 0.76),
    (0.78, 0.72, 0.80),
)
CARPETS = ((0.55, 0.52, 0.50), (0.45, 0.38, 0.36), (0.40, 0.46, 0.52), (0.62, 0.58, 0.48))


def _pick(rng: np.random.Generator, colors: tuple[tuple[float, float, float], ...]) -> NDArray:
    return np.clip(np.array(colors[rng.integers(len(colors))]) + rng.normal(0, 0.02, 3), 0.05, 0.95)


def backdrop(plan: Plan, width: float, depth: float, rng: np.random.Generator) -> list[Surface]:
    """Make surfaces that are not objects: floor, walls, the table under a still life, houses."""
    match plan.backdrop:
        case "room":
            return _room(plan, width, depth, rng)
        case "table":
            top = box(
                (-width / 2 - 0.12, plan.ground - 0.04, -depth - 0.1),
                (width / 2 + 0.12, plan.ground, 0.2),
                texture=planks(rng, _pick(rng, WOODS)),
                metres=0.9,
            )
            return [top, *_room(plan, 4.5, depth + rng.uniform(0.6, 1.8), rng)]
        case "street":
            return _street(width, depth, rng)


def _room(plan: Plan, width: float, depth: float, rng: np.random.Generator) -> list[Surface]:
    height = rng.uniform(2.4, 2.9)
    left, right = -width / 2, width / 2
    wet = plan.name in ("kitchen", "bathroom")
    if wet:
        floor = tiles(rng, _pick(rng, ((0.75, 0.72, 0.68), (0.55, 0.56, 0.58), (0.85, 0.84, 0.8))))
    elif rng.random() < 0.65:
        floor = planks(rng, _pick(rng, WOODS))
    else:
        floor = fabric(rng, _pick(rng, CARPETS))
    paint = _pick(rng, PAINTS)
    tiled = wet and rng.random() < 0.5
    wall = tiles(rng, paint, count=4) if tiled else fabric(rng, paint, contrast=0.012)
    length = depth + FRONT
    surfaces = [
        quad((left, 0, FRONT), (width, 0, 0), (0, 0, -length), texture=floor, metres=1.5),
        quad((left, 0, -depth), (width, 0, 0), (0, height, 0), texture=wall, metres=1.2),
        quad((left, 0, FRONT), (0, 0, -length), (0, height, 0), texture=wall, metres=1.2),
        quad((right, 0, -depth), (0, 0, length), (0, height, 0), texture=wall, metres=1.2),
        quad((left, height, -depth), (width, 0, 0), (0, 0, length), color=(0.93, 0.93, 0.92)),
    ]
    if not wet:
        skirting = (0.92, 0.91, 0.88)
        surfaces.append(box((left, 0, -depth), (right, 0.08, -depth + 0.015), color=skirting))
    if plan.ground == 0 and rng.random() < 0.6:
        surfaces += _picture(width, depth, rng)
    return surfaces


def _picture(width: float, depth: float, rng: np.random.Generator) -> list[Surface]:
    """Make a framed picture on the back wall."""
    w, h = rng.uniform(0.4, 0.9), rng.uniform(0.4, 0.7)
    x, y = rng.uniform(-width / 2 + 0.3, width / 2 - 0.3 - w), rng.uniform(1.35, 1.55)
    canvas = np.zeros((64, 64, 3))
    rows, columns = np.mgrid[0:64, 0:64] / 64
    for _ in range(6):
        cx, cy, r = rng.random(3)
        inside = (columns - cx) ** 2 + (rows - cy) ** 2 < (0.15 + 0.35 * r) ** 2
        canvas[inside] = rng.uniform(0.2, 0.9, 3)
    canvas[canvas.sum(-1) == 0] = rng.uniform(0.5, 0.9, 3)
    image = (canvas * 255).astype(np.uint8)
    frame = box(
        (x - 0.03, y - 0.03, -depth),
        (x + w + 0.03, y + h + 0.03, -depth + 0.02),
        color=rng.choice([0.1, 0.9]) * np.ones(3),
    )
    edge_u, edge_v = np.array([w, 0, 0]), np.array([0, h, 0])
    painting = quad((x, y, -depth + 0.022), edge_u, edge_v, texture=image, metres=max(w, h))
    return [frame, painting]


def _street(width: float, depth: float, rng: np.random.Generator) -> list[Surface]:
    road = speckle(rng, _pick(rng, ((0.38, 0.38, 0.39), (0.55, 0.53, 0.50), (0.38, 0.42, 0.30))))
    pavement = tiles(rng, _pick(rng, ((0.62, 0.61, 0.60), (0.55, 0.50, 0.46))))
    edge = -depth - rng.uniform(0.2, 0.8)
    surfaces = [
        quad((-60, 0, 20), (120, 0, 0), (0, 0, -120), texture=road, metres=3.0),
        box((-60, 0, edge - 2.2), (60, 0.13, edge), texture=pavement, metres=1.2),
    ]
    x = -30.0
    while x < 30:
        w, h = rng.uniform(6, 11), rng.uniform(6, 14)
        front = edge - 2.2 - rng.uniform(0, 0.4)
        color = rng.uniform(0.45, 0.85) * np.ones(3) + rng.normal(0, 0.025, 3)
        facade = windows(rng, color) if rng.random() < 0.7 else bricks(rng, (0.55, 0.33, 0.27))
        surfaces.append(
            box((x, 0, front - 8), (x + w, h, front), texture=facade, metres=rng.uniform(2.4, 3.2))
        )
        x += w + (rng.uniform(2, 6) if rng.random() < 0.3 else 0)
    return surfaces


def light(plan: Plan, width: float, depth: float, rng: np.random.Generator) -> Light:
    """Choose a light: a ceiling lamp, a window behind the viewer's shoulder, or the sun."""
    tint = np.array([1, 1, 1]) + rng.uniform(-1, 1) * np.array([0.07, 0.0, -0.1])
    if plan.backdrop == "street":
        azimuth, elevation = math.radians(rng.uniform(-75, 75)), math.radians(rng.uniform(28, 62))
        towards = np.array(
            [
                math.sin(azimuth) * math.cos(elevation),
                math.sin(elevation),
                math.cos(azimuth) * math.cos(elevation),
            ]
        )
        across = np.cross(towards, [0, 1, 0])
        return Light(
            center=towards * 500,
            edge_a=across / np.linalg.norm(across) * 12,
            edge_b=np.cross(across / np.linalg.norm(across), towards) * 12,
            color=tint * rng.uniform(1.4, 2.2),
            reference=math.inf,
            ambient=np.array([0.62, 0.70, 0.82]) * rng.uniform(0.7, 1.0),
            reach=6.0,
        )
    ambient = np.array([0.5, 0.5, 0.5]) * rng.uniform(0.7, 1.2) * (2 - tint)
    if rng.random() < 0.5:
        center = np.array([rng.uniform(-0.6, 0.6), 2.35, -depth * rng.uniform(0.2, 0.6)])
        edges = (np.array([rng.uniform(0.4, 1.2), 0, 0]), np.array([0, 0, rng.uniform(0.4, 1.2)]))
        reference = 1.9 if plan.ground == 0 else 1.6
    else:
        side = rng.choice([-1, 1])
        center = np.array([side * (width / 2 - 0.05), 1.6, rng.uniform(0.2, 1.4)])
        edges = (np.array([0, 1.2, 0]), np.array([0, 0, 1.4]))
        reference = 3.0 if plan.ground == 0 else 1.8
    return Light(
        center=center,
        edge_a=edges[0],
        edge_b=edges[1],
        color=tint * rng.uniform(0.7, 1.1),
        reference=reference,
        ambient=ambient,
        reach=0.9 if plan.ground == 0 else 0.4,
    )


def sky(rng: np.random.Generator) -> Sky:
    """Choose a sky, from clear to overcast."""
    clouds = rng.uniform(0, 1)
    clear, grey = np.array([0.35, 0.58, 0.90]), np.array([0.78, 0.81, 0.85])
    return Sky(horizon=np.array([0.86, 0.90, 0.94]), zenith=clear * (1 - clouds) + grey * clouds)
