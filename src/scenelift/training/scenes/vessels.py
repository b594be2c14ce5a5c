"""Cups, bowls, bottles, vases, tubs: shapes turned from a profile, no two alike.

Catalogues of furniture have a handful of each, in one colour each. Here the inside, the foot, the
rim, bands, labels and handles may differ in colour, as on what stands on real tables, so that a
network learns that an object does not end where its colour does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from scenelift.training.scenes.catalogue import Entry
from scenelift.training.scenes.meshes import Surface, join
from scenelift.training.scenes.pack import Model
from scenelift.training.scenes.solids import canonical, circle, paint, rounded_square, turned, woven

__all__ = ["PREFIX", "vessels"]

PREFIX = "vessel#"
"""What the ids of these models begin with."""

AROUND, ROWS = 48, 20  # corners of a ring; steps of a profile
MOST_SPREAD = 0.2  # deviation of the logarithms of radii


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What vessels of a kind have in common.

    Attributes:
        label, name: as in the catalogue.
        metres: longest side, from … to.
        slender: height over width, from … to.
        radii: at equal steps from bottom to top, over the widest.
        hollow: share that is open at the top.
        floor: height of the inside's bottom over that of the whole, for those with a stem.
        handles: chances of none, one and two.
        square: share whose rings are rounded rectangles.
    """

    label: str
    name: str
    metres: tuple[float, float]
    slender: tuple[float, float]
    radii: tuple[float, ...]
    hollow: float = 1.0
    floor: float = 0.0
    handles: tuple[float, float, float] = (1, 0, 0)
    square: float = 0.1


KINDS = (
    _Kind(
        label="cup", name="Cup", metres=(0.08, 0.16), slender=(0.6, 1.6),
        radii=(0.85, 0.95, 1, 1, 1), handles=(0.2, 0.76, 0.04), square=0.05,
    ),
    _Kind(
        label="bowl", name="Bowl", metres=(0.1, 0.35), slender=(0.2, 0.65),
        radii=(0.45, 0.75, 0.9, 0.97, 1), handles=(0.85, 0, 0.15), square=0.15,
    ),
    _Kind(
        label="vase", name="Vase", metres=(0.12, 0.5), slender=(0.9, 3),
        radii=(0.6, 0.9, 1, 0.7, 0.6), handles=(0.8, 0.05, 0.15),
    ),
    _Kind(
        label="bottle", name="Bottle", metres=(0.15, 0.35), slender=(2, 4.5),
        radii=(0.95, 1, 1, 0.6, 0.3), hollow=0.3, handles=(0.9, 0.1, 0),
    ),
    _Kind(
        label="", name="Goblet", metres=(0.1, 0.25), slender=(1.2, 3),
        radii=(0.85, 0.16, 0.2, 0.85, 1, 1), floor=0.5, square=0,
    ),
    _Kind(
        label="bin", name="Tub", metres=(0.2, 0.6), slender=(0.25, 1.5),
        radii=(0.8, 0.86, 0.92, 0.96, 1), handles=(0.8, 0, 0.2), square=0.6,
    ),
    _Kind(
        label="", name="Jar", metres=(0.06, 0.4), slender=(0.4, 2),
        radii=(0.8, 1, 1, 0.95, 0.6), hollow=0, handles=(0.7, 0.15, 0.15), square=0.3,
    ),
)  # fmt: skip


def vessels(count: int) -> Iterator[Model]:
    """Make the first `count` of an endless row of vessels, to train on."""
    for number in range(count):
        rng = np.random.default_rng((11, number))
        kind = KINDS[number % len(KINDS)]
        surface, sides = canonical(_vessel(kind, rng))
        size = tuple(float(s) for s in sides * rng.uniform(*kind.metres))
        entry = Entry(
            id=f"{PREFIX}{number}",
            name=kind.name,
            author="scenelift",
            licence="Apache-2.0",
            size=(size[0], size[1], size[2]),
            rotation=None,
            top=None,
            archive=Path(),
            path="",
        )
        yield Model(entry=entry, label=kind.label, split="train", surface=surface)


def _vessel(kind: _Kind, rng: np.random.Generator) -> Surface:
    """Make one of a kind, its widest radius 1 and its axis y."""
    heights = np.linspace(0, 1, len(kind.radii))
    radii = np.array(kind.radii) * np.exp(rng.normal(0, rng.uniform(0, MOST_SPREAD), len(heights)))
    radii /= radii.max()
    height = 2 * rng.uniform(*kind.slender)
    wall = rng.uniform(0.06, 0.15)
    ring = _ring(rng, square=rng.random() < kind.square)
    radius = PchipInterpolator(heights, radii)
    outside = paint(rng)
    inside = paint(rng) if rng.random() < 0.5 else outside

    steps = np.linspace(0, 1, ROWS + 1)
    outer = np.stack([radius(steps), height * steps], 1)
    top = float(outer[-1, 0])
    parts = [
        turned(np.array([[0, 0], outer[0]]), ring, outside),
        turned(outer, ring, _decorated(outside, ring, rng)),
    ]
    if rng.random() < kind.hollow and top > 1.5 * wall:
        bend = np.linspace(0, math.pi, 7)[:, None]
        rim = np.array([top - wall / 2, height])
        rim = rim + wall / 2 * np.concatenate([np.cos(bend), np.sin(bend)], 1)
        floor = max(kind.floor, min(0.5, rng.uniform(0.8, 1.6) * wall / height))
        down = np.linspace(1, floor, ROWS + 1)
        inner = np.stack([np.maximum(radius(down) - wall, 0.02), height * down], 1)
        parts += [
            turned(rim, ring, inside if rng.random() < 0.5 else outside),
            turned(inner, ring, inside),
            turned(np.array([inner[-1], [0, inner[-1, 1]]]), ring, inside),
        ]
    else:  # a lid, flat or domed
        rise = height + top * rng.choice([0, rng.uniform(0.05, 0.5)])
        bend = np.linspace(0, math.pi / 2, 9)[:, None]
        dome = np.concatenate([top * np.cos(bend), height + (rise - height) * np.sin(bend)], 1)
        parts.append(turned(dome, ring, inside))
    for side in range(rng.choice(3, p=kind.handles)):
        parts.append(_handle(radius, height, wall, outside if rng.random() < 0.8 else inside, rng))
        if side:
            parts[-1] = parts[-1].moved(np.diag([-1.0, 1, -1, 1]))
    return join(parts)


def _ring(rng: np.random.Generator, *, square: bool) -> NDArray[np.float64]:  # [AROUND, 2]
    """Draw a circle, or a superellipse, of half-axes 1 along x and at most that along z."""
    if not square:
        return circle(AROUND)
    return rounded_square(AROUND, rng.uniform(4, 12)) * (1, rng.uniform(0.5, 1))


def _decorated(
    plain: NDArray[np.float64], ring: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:  # [ROWS, AROUND, 3]
    """Choose the outside's colours, from the foot up: plain, in bands, or a label on one side."""
    colours = np.broadcast_to(plain, (ROWS, len(ring), 3)).copy()
    if rng.random() < 0.45:
        for row in rng.integers(1, ROWS, rng.integers(1, 4)):
            colours[: int(row)] = paint(rng)
    if rng.random() < 0.2:
        low, high = np.sort(rng.integers(0, ROWS + 1, 2))
        start, width = rng.integers(AROUND), rng.integers(6, AROUND // 2)
        around = np.arange(start, start + width) % AROUND
        colours[low:high, around] = paint(rng)
    return colours


def _handle(
    radius: PchipInterpolator,
    height: float,
    wall: float,
    colour: NDArray[np.float64],
    rng: np.random.Generator,
) -> Surface:
    """Make a tube in the plane of x and y that leaves the wall and comes back to it."""
    low, high = rng.uniform(0.1, 0.4), rng.uniform(0.6, 0.95)
    ends = float(radius(low)), float(radius(high))
    thick = rng.uniform(0.06, 0.12)
    turn = np.linspace(0, math.pi, 15)
    out = rng.uniform(0.35, 0.8) * np.sin(turn) ** rng.uniform(0.5, 1)
    share = (1 - np.cos(turn)) / 2
    path = np.stack(
        [
            ends[0] * (1 - share) + ends[1] * share + out - wall / 2,
            height * (low + (high - low) * share),
        ],
        1,
    )
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    normal = np.stack([-along[:, 1], along[:, 0]], 1)
    angle = np.arange(10) / 10 * 2 * math.pi
    flat = rng.uniform(0.8, 1.8)  # wider than thick
    near = path[:, None] + thick * np.cos(angle)[:, None] * normal[:, None]  # [15, 10, 2]
    across = np.broadcast_to(flat * thick * np.sin(angle), near.shape[:2])
    return woven(np.concatenate([near, across[..., None]], -1), colour)
