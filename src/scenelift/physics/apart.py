"""Cut colliders of different bodies apart where they pierce each other.

What begins inside something else is thrown out of it by every engine. Shapes and places are right
to some centimetres only, so colliders are trimmed instead of moved: of all planes between two
pieces, the one that costs the two bodies the smallest share of their volume.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scenelift.physics.hulls import Hull, cut

__all__ = ["cut_apart"]

PIERCES = 5e-4  # of the smaller piece: less deep is a touch
GAP = 5e-4  # likewise, between what was cut
CANDIDATES = 10  # directions that are tried, the least deep first
AXES = np.concatenate([np.eye(3), -np.eye(3)])


def cut_apart(bodies: Sequence[Sequence[Hull]], fixed: Sequence[Hull] = ()) -> list[list[Hull]]:
    """Trim the colliders of bodies so that no two bodies share space.

    Args:
        bodies: each one's colliders in the world.
        fixed: colliders of what does not give way.

    Returns:
        Each one's colliders; at least one, as it was, where nothing would be left.
    """
    whole: list[list[Hull | None]] = [list(hulls) for hulls in bodies]
    volumes = [sum(h.volume for h in hulls) for hulls in bodies]
    still: list[Hull | None] = list(fixed)
    for a, hulls in enumerate(whole):
        _part(hulls, volumes[a], still, np.inf)
        for b in range(a):
            _part(hulls, volumes[a], whole[b], volumes[b])
    return [
        [h for h in hulls if h is not None] or [max(before, key=lambda h: h.volume)]
        for hulls, before in zip(whole, bodies, strict=True)
    ]


def _part(
    first: list[Hull | None], volume: float, second: list[Hull | None], other_volume: float
) -> None:
    """Part the colliders of two bodies; one of infinite volume does not give way."""
    for i in range(len(first)):
        for j in range(len(second)):
            a, b = first[i], second[j]
            if a is not None and b is not None and _pierce(a, b):
                first[i], second[j] = _parted(a, b, volume, other_volume)


def _size(a: Hull, b: Hull) -> float:
    """Return the longest side of the smaller of two pieces."""
    return min(float(np.ptp(h.vertices, axis=0).max()) for h in (a, b))


def _pierce(a: Hull, b: Hull) -> bool:
    """Return whether two pieces share more than a touch."""
    low = np.maximum(a.vertices.min(0), b.vertices.min(0))
    high = np.minimum(a.vertices.max(0), b.vertices.max(0))
    depth = PIERCES * _size(a, b)
    if (high - low < 2 * depth).any():
        return False
    from scipy.optimize import linprog

    # The largest ball inside both: its radius is how deep they share space.
    normals, offsets = (np.concatenate(x) for x in zip(a.planes(), b.planes(), strict=True))
    middle = (low + high) / 2
    ball = linprog(
        [0, 0, 0, -1],
        A_ub=np.column_stack([normals, np.ones(len(normals))]),
        b_ub=offsets - normals @ middle,
        bounds=[(None, None)] * 4,
    )
    return ball.status != 0 or ball.x[3] > depth


def _parted(
    a: Hull, b: Hull, volume: float, other_volume: float
) -> tuple[Hull | None, Hull | None]:
    """Cut two pieces by the plane that costs their bodies the least."""
    directions = np.concatenate([a.planes()[0], -b.planes()[0], AXES])
    ends = (directions @ a.vertices.T).max(1)  # a ends there, and b begins
    begins = (directions @ b.vertices.T).min(1)
    gap = GAP * _size(a, b)
    best: tuple[float, Hull | None, Hull | None] = (np.inf, None, None)
    for k in np.argsort(ends - begins)[:CANDIDATES]:
        normal = directions[k]
        levels = [begins[k]]
        if np.isfinite(other_volume):
            levels = [(ends[k] + begins[k]) / 2, begins[k], ends[k]]
        for level in levels:
            below = cut(a, normal, level - gap)
            above = cut(b, -normal, -level) if np.isfinite(other_volume) else b
            cost = _loss(a, below) / volume + _loss(b, above) / other_volume
            if cost < best[0] - 1e-6:
                best = cost, below, above
    return best[1:]


def _loss(before: Hull, after: Hull | None) -> float:
    return before.volume - (0.0 if after is None else after.volume)
