"""Settle bodies where the photo has them: each on what carries it, and none inside another.

Nothing is moved. What changes is colliders and mass centres, which are guesses of some centimetres
anyway: feet become flat and reach what carries them, pieces that pierce each other are cut apart,
and a mass centre that lies beyond the feet is drawn over them, since the photo shows a thing at
rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scenelift.physics.apart import cut_apart
from scenelift.physics.feet import foot_of, touching, with_feet
from scenelift.physics.footprint import Footprint, footprint_of
from scenelift.physics.hulls import Hull, bounds_of, hull_of

__all__ = ["FLOOR", "Settled", "Shelf", "Standing", "settle"]

FLOOR = -1  # where the index of a body is expected

FLOATS, SINKS = 0.15, 0.2  # of a body's longest side: a foot that far off still stands there
NOISE = 0.025  # of its distance from the camera: likewise, since point maps err by that
LEAST_CARRIED = 0.5  # of a foot that something must be under, its middle included
SEAT = 0.02  # of the longest side of what is carried: how thick a carrier's flat top is
SHELF_THICKNESS = 0.02  # of a table top, in units of the scene
SHELF_MARGIN = 0.05  # beyond the footprints of what stands on it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """A body in its place.

    Attributes:
        hulls: its colliders, in the world.
        centre: float64 [3], of its mass, in the world.
        stands_on: `FLOOR`, another body's index, or None for a surface that does not move.
    """

    hulls: tuple[Hull, ...]
    centre: NDArray[np.float64]
    stands_on: int | None = FLOOR

    @property
    def lowest(self) -> float:
        """Height of its lowest corner."""
        return float(bounds_of(self.hulls)[0][2])

    @property
    def size(self) -> float:
        """Its longest side."""
        low, high = bounds_of(self.hulls)
        return float((high - low).max())


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A level surface above the floor that does not move, such as a table top.

    Attributes:
        low, high: corners x, y of the rectangle.
        height: of its upper side.
        thickness: below that.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    height: float
    thickness: float = SHELF_THICKNESS

    @property
    def hull(self) -> Hull:
        """It as a convex piece."""
        corners = np.array(np.meshgrid(*zip(self.low, self.high, strict=True), [0.0, 1.0]))
        corners = corners.reshape(3, -1).T
        corners[:, 2] = self.height - corners[:, 2] * self.thickness
        return hull_of(corners)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settled:
    """Bodies at rest, with heights from the floor.

    Attributes:
        standings: the bodies, in their order.
        shelves: what does not move and carries some of them.
        floor: height of the floor before, which is now 0.
    """

    standings: tuple[Standing, ...]
    shelves: tuple[Shelf, ...]
    floor: float


@dataclass(slots=True, kw_only=True)
class _Foot:
    """Where a body stands."""

    on: int | None
    height: float
    footprint: Footprint | None = None


def settle(bodies: Sequence[Standing], levels: Sequence[float]) -> Settled:
    """Settle bodies on the floor, on table tops and on each other.

    Args:
        bodies: in the world, z up, the camera at the origin.
        levels: heights of the floor and of table tops, as the photo shows them.
    """
    slack = [_slack(b) for b in bodies]
    floor = _floor(bodies, slack, levels)
    tops = sorted(level - floor for level in levels if level > floor)
    bodies = [_lowered(b, floor) for b in bodies]
    feet: dict[int, _Foot] = {}
    hulls: list[list[Hull]] = [list(b.hulls) for b in bodies]
    for k in sorted(range(len(bodies)), key=lambda k: bodies[k].lowest):
        foot = feet[k] = _carrier(k, bodies, feet, slack[k], tops)
        foot.footprint, top = foot_of(bodies[k].hulls, foot.height, bodies[k].centre)
        hulls[k] = with_feet(bodies[k].hulls, foot.height, top) or hulls[k]
        if foot.on is not None and foot.on != FLOOR and foot.footprint is not None:
            hulls[foot.on].append(_seat(foot.footprint, foot.height, SEAT * bodies[k].size))
    shelves = _shelves(list(feet.values()))
    parted = cut_apart(hulls, [s.hull for s in shelves])
    return Settled(
        standings=tuple(
            replace(
                b,
                hulls=tuple(parted[k]),
                centre=_steady(b.centre, parted[k], feet[k].height),
                stands_on=feet[k].on,
            )
            for k, b in enumerate(bodies)
        ),
        shelves=shelves,
        floor=floor,
    )


def _slack(body: Standing) -> tuple[float, float]:
    """Return how far a body may float above what carries it, and sink into it."""
    noise = NOISE * float(np.linalg.norm(body.centre))
    return max(FLOATS * body.size, noise), max(SINKS * body.size, noise)


def _floor(
    bodies: Sequence[Standing], slack: Sequence[tuple[float, float]], levels: Sequence[float]
) -> float:
    """Return the height of the floor: a level that is too high for a body is none."""
    if not levels:
        return min((b.lowest for b in bodies), default=0.0)
    floor = min(levels)
    deep = [
        b.lowest for b, (_, sinks) in zip(bodies, slack, strict=True) if b.lowest < floor - sinks
    ]
    return min((floor, *deep))


def _lowered(body: Standing, floor: float) -> Standing:
    down = np.array([0.0, 0.0, floor])
    return replace(
        body,
        hulls=tuple(replace(h, vertices=h.vertices - down) for h in body.hulls),
        centre=body.centre - down,
    )


def _carrier(
    k: int,
    bodies: Sequence[Standing],
    feet: dict[int, _Foot],
    slack: tuple[float, float],
    tops: Sequence[float],
) -> _Foot:
    """Find what carries a body: what is nearest to its foot, else a surface of its own."""
    floats, sinks = slack
    body = bodies[k]
    low = body.lowest
    footprint, _ = foot_of(body.hulls, low, body.centre)
    choices = [_Foot(on=FLOOR, height=0.0)]
    choices += [_Foot(on=None, height=top) for top in tops]
    if footprint is not None:
        for other, foot in feet.items():
            if foot.footprint is None or not foot.footprint.steady(body.centre[:2]):
                continue  # it would tip under the load
            top = _top_below(bodies[other].hulls, footprint, low - floats, low + sinks)
            if top is not None:
                choices.append(_Foot(on=other, height=top))
    choices = [c for c in choices if -sinks < low - c.height < floats]
    # A thing that is there carries before a level where something like it was seen.
    choices.sort(key=lambda c: (c.on is None, abs(low - c.height)))
    return choices[0] if choices else _Foot(on=None, height=max(low, 0.0))


def _top_below(
    hulls: Sequence[Hull], footprint: Footprint, low: float, high: float
) -> float | None:
    """Return the height of the top of a body beneath a foot, or None if there is none."""
    places = footprint.samples()
    tops = np.full(len(places), -np.inf)
    for hull in hulls:
        top = _height_at(hull, places)
        tops = np.maximum(tops, np.where(top <= high, top, -np.inf))
    carried = tops >= low
    if not carried[0] or carried.mean() < LEAST_CARRIED:
        return None
    return float(np.median(tops[carried]))


def _height_at(hull: Hull, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the height of a piece's upper side at places [N, 2]; −∞ beside it."""
    normals, offsets = hull.planes()
    rest = offsets[:, None] - normals[:, :2] @ places.T  # normal_z · z is at most that
    z = normals[:, 2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        bounds = rest / z
    above = np.where(z > 1e-9, bounds, np.inf).min(0)
    below = np.where(z < -1e-9, bounds, -np.inf).max(0)
    beside = ((np.abs(z) <= 1e-9) & (rest < 0)).any(0)
    return np.where((above >= below) & ~beside, above, -np.inf)


def _seat(footprint: Footprint, height: float, thickness: float) -> Hull:
    """Make the flat top that a body gives to what it carries."""
    corners = footprint.corners
    ends = [np.full((len(corners), 1), height - t) for t in (0.0, thickness)]
    return hull_of(np.concatenate([np.concatenate([corners, end], axis=1) for end in ends]))


def _steady(
    centre: NDArray[np.float64], hulls: Sequence[Hull], height: float
) -> NDArray[np.float64]:
    """Draw a mass centre over the feet."""
    footprint = footprint_of(touching(hulls, height))
    if footprint is None:
        return centre
    return np.array([*footprint.nearest_steady(centre[:2]), centre[2]])


def _shelves(feet: Sequence[_Foot]) -> tuple[Shelf, ...]:
    """Make surfaces for the bodies that neither the floor nor another body carries."""
    groups: dict[float, list[NDArray[np.float64]]] = {}
    for foot in feet:
        if foot.on is None and foot.footprint is not None:
            groups.setdefault(foot.height, []).append(foot.footprint.corners)
    shelves = []
    for height, corners in groups.items():
        points = np.concatenate(corners)
        low, high = points.min(0) - SHELF_MARGIN, points.max(0) + SHELF_MARGIN
        shelves.append(
            Shelf(
                low=(float(low[0]), float(low[1])),
                high=(float(high[0]), float(high[1])),
                height=height,
                thickness=min(SHELF_THICKNESS, height),
            )
        )
    return tuple(shelves)
