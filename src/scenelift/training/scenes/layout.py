"""Places things: furniture along walls, chairs at tables, cups on top, nothing inside another.

World frame: metres, y up, floor at y = 0, the viewer towards +z. A room reaches from its back
wall at z = −depth to beyond the camera; its front is open.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scenelift.training.scenes.catalogue import Entry
from scenelift.training.scenes.classes import draw_model
from scenelift.training.scenes.meshes import Surface

__all__ = ["PlacedObject", "Plan", "Slot", "arrange", "overlap"]

GAP = 0.03
"""Metres kept free between footprints."""

Draw = Callable[[str, Any, np.random.Generator], tuple[Entry, Surface] | None]
"""A model of a label and a split at random, or None: `classes.draw_model`, `MeshPack.draw`."""

Spot = Literal["wall", "floor", "at", "top"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One object that a plan would like to have.

    Attributes:
        labels: one of them is drawn.
        spot: "wall" with its back to one, "floor" anywhere, "at" a table and facing it,
            "top" of a piece of furniture.
        chance: how often it is tried.
        turn: for "floor", degrees that its front may be turned away from the viewer.
    """

    labels: tuple[str, ...]
    spot: Spot = "floor"
    chance: float = 1.0
    turn: float = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A kind of scene: the ground its objects share, and what to put there.

    Attributes:
        name: "living room".
        width, depth: ranges of the ground's sides in metres.
        ground: height of the ground: 0 for a floor, 0.74 for a table top.
        backdrop: what is behind.
        slots: tried in order.
    """

    name: str
    width: tuple[float, float]
    depth: tuple[float, float]
    slots: tuple[Slot, ...]
    ground: float = 0.0
    backdrop: Literal["room", "table", "street"] = "room"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacedObject:
    """An object in the world.

    Attributes:
        label: what it is.
        entry: the catalogue's model.
        surface: the model in its canonical frame.
        scale: metres of its longest side.
        yaw: radians that its front is turned from +z towards +x.
        position: of the middle of its underside, world.
        half: half its width and depth in metres, along its own axes.
    """

    label: str
    entry: Entry
    surface: Surface
    scale: float
    yaw: float
    position: tuple[float, float, float]
    half: tuple[float, float]
    height: float

    @property
    def world_from_object(self) -> NDArray[np.float64]:
        """Return the similarity from the canonical frame of its model, 4×4."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        matrix = np.eye(4)
        matrix[:3, :3] = self.scale * np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        matrix[:3, 3] = self.position
        matrix[1, 3] += self.height / 2
        return matrix

    def footprint(self, margin: float = 0.0) -> NDArray[np.float64]:
        """Return the corners of its box on the ground, x and z, [4, 2]."""
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (np.array(self.half) + margin)
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return corners @ np.array([[c, -s], [s, c]]) + np.array(self.position)[[0, 2]]

    def corners(self) -> NDArray[np.float64]:
        """Return the corners of its box in the world, [8, 3]."""
        low = np.insert(self.footprint(), 1, self.position[1], axis=1)
        return np.concatenate([low, low + np.array([0, self.height, 0])])


@dataclass(slots=True)
class _Ground:
    width: float
    depth: float
    height: float
    objects: list[PlacedObject] = field(default_factory=list)
    on_top: dict[int, list[PlacedObject]] = field(default_factory=dict)


def arrange(
    plan: Plan, split: str, rng: np.random.Generator, draw: Draw = draw_model
) -> tuple[list[PlacedObject], tuple[float, float]]:
    """Place as much of a plan as fits.

    Args:
        draw: where models come from.

    Returns:
        The objects, and the ground's width and depth.
    """
    ground = _Ground(rng.uniform(*plan.width), rng.uniform(*plan.depth), plan.ground)
    for slot in plan.slots:
        if rng.random() >= slot.chance:
            continue
        label = slot.labels[rng.integers(len(slot.labels))]
        shape = draw(label, split, rng)
        if shape is None:
            continue
        candidate = _candidate(label, *shape)
        for _ in range(40):
            objects = _try(slot, candidate, ground, rng)
            if objects is not None:
                ground.objects.append(objects)
                break
    return ground.objects, (ground.width, ground.depth)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Candidate:
    label: str
    entry: Entry
    surface: Surface
    scale: float
    half: tuple[float, float]
    height: float

    def at(self, x: float, y: float, z: float, yaw: float) -> PlacedObject:
        return PlacedObject(
            label=self.label,
            entry=self.entry,
            surface=self.surface,
            scale=self.scale,
            yaw=yaw,
            position=(x, y, z),
            half=self.half,
            height=self.height,
        )


def _candidate(label: str, entry: Entry, surface: Surface) -> _Candidate:
    used = surface.vertices[np.unique(surface.faces)]
    size = (used.max(0) - used.min(0)) * max(entry.size)
    return _Candidate(
        label=label,
        entry=entry,
        surface=surface,
        scale=max(entry.size),
        half=(float(size[0] / 2), float(size[2] / 2)),
        height=float(size[1]),
    )


def _try(
    slot: Slot, what: _Candidate, ground: _Ground, rng: np.random.Generator
) -> PlacedObject | None:
    match slot.spot:
        case "wall":
            candidate = _by_wall(what, ground, rng)
        case "floor":
            candidate = _on_floor(what, ground, math.radians(slot.turn), rng)
        case "at":
            candidate = _at_table(what, ground, rng)
        case "top":
            return _on_top(what, ground, rng)
    if candidate is None or not _within(candidate, ground):
        return None
    footprint = candidate.footprint(GAP)
    floor = [other for other in ground.objects if other.position[1] == ground.height]
    return None if any(overlap(footprint, other.footprint()) for other in floor) else candidate


def _by_wall(what: _Candidate, ground: _Ground, rng: np.random.Generator) -> PlacedObject | None:
    gap, jitter = rng.uniform(0.03, 0.1), math.radians(rng.uniform(-2, 2))
    reach = what.half[1] + gap
    side = rng.choice(["back", "left", "right"], p=[0.7, 0.15, 0.15])
    if side == "back":
        span = ground.width / 2 - what.half[0]
        if span <= 0:
            return None
        return what.at(rng.uniform(-span, span), ground.height, -ground.depth + reach, jitter)
    farthest, nearest = what.half[0] - ground.depth, -0.35 * ground.depth
    if farthest > nearest:
        return None
    z = rng.uniform(farthest, nearest)
    sign = -1 if side == "left" else 1
    x = sign * (ground.width / 2 - reach)
    return what.at(x, ground.height, z, -sign * math.pi / 2 + jitter)


def _on_floor(
    what: _Candidate, ground: _Ground, turn: float, rng: np.random.Generator
) -> PlacedObject | None:
    x = rng.uniform(-ground.width / 2, ground.width / 2)
    z = rng.uniform(-ground.depth, 0)
    return what.at(x, ground.height, z, rng.uniform(-turn, turn))


def _at_table(what: _Candidate, ground: _Ground, rng: np.random.Generator) -> PlacedObject | None:
    tables = [p for p in ground.objects if p.label in ("dining table", "desk")]
    if not tables:
        return None
    table = tables[rng.integers(len(tables))]
    # A desk stands with its back to the wall: only its front is free.
    side = 0 if table.label == "desk" else int(rng.integers(4))
    yaw = table.yaw + side * math.pi / 2
    reach = table.half[1 if side % 2 == 0 else 0] + what.half[1] + rng.uniform(0.04, 0.25)
    along = (table.half[0 if side % 2 == 0 else 1] * 0.6) * rng.uniform(-1, 1)
    x = table.position[0] + math.sin(yaw) * reach + math.cos(yaw) * along
    z = table.position[2] + math.cos(yaw) * reach - math.sin(yaw) * along
    return what.at(x, ground.height, z, yaw + math.pi + math.radians(rng.uniform(-20, 20)))


FLAT_TOPS = frozenset(
    {"dining table", "desk", "coffee table", "bedside table", "cabinet", "washing machine"}
)


def _on_top(what: _Candidate, ground: _Ground, rng: np.random.Generator) -> PlacedObject | None:
    # Desks above 0.85 m have shelves on them: their highest point is not where things stand.
    supports = [k for k, p in enumerate(ground.objects) if p.label in FLAT_TOPS and p.height < 0.95]
    if not supports:
        return None
    index = supports[rng.integers(len(supports))]
    support = ground.objects[index]
    radius = math.hypot(*what.half)
    # 80 % of the top, so that things stand on round tables too.
    free = [half * 0.8 - radius for half in support.half]
    if min(free) <= 0:
        return None
    across, along = rng.uniform(-1, 1, 2) * free
    c, s = math.cos(support.yaw), math.sin(support.yaw)
    candidate = what.at(
        support.position[0] + c * across + s * along,
        support.position[1] + support.height,
        support.position[2] - s * across + c * along,
        support.yaw + math.radians(rng.uniform(-35, 35)),
    )
    neighbours = ground.on_top.setdefault(index, [])
    footprint = candidate.footprint(GAP)
    if any(overlap(footprint, other.footprint()) for other in neighbours):
        return None
    neighbours.append(candidate)
    return candidate


def _within(candidate: PlacedObject, ground: _Ground) -> bool:
    x, z = candidate.footprint().T
    return bool(
        np.all(np.abs(x) <= ground.width / 2) and np.all(z >= -ground.depth) and np.all(z <= 0.1)
    )


def overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Tell whether two convex polygons [N, 2] overlap: no edge of either separates them."""
    return not any(_separates(p, q) for p, q in ((a, b), (b, a)))


def _separates(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    edges = np.roll(a, -1, axis=0) - a
    for normal in np.stack([-edges[:, 1], edges[:, 0]], 1):
        on_a, on_b = a @ normal, b @ normal
        if on_a.max() < on_b.min() or on_b.max() < on_a.min():
            return True
    return False
