"""What a reader makes of a file, in the same words for every reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["HUES", "Reading", "part_of", "reading_of"]

HUES = ("red", "green", "blue")

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Reading:
    """What one reader makes of one file.

    Attributes:
        centres: colour -> mean place of all that has this colour, in the reader's own axes.
        rgb: colour -> its mean, sRGB in 0…1.
        low, high: corners of the box around everything.
        kinds: what is there: "mesh", "points", "splats".
        shown: those of them that the reader shows.
        names: of the parts.
        refusal: why it could not be read, or empty.
    """

    centres: dict[str, Triple] = field(default_factory=dict)
    rgb: dict[str, Triple] = field(default_factory=dict)
    low: Triple = (0.0, 0.0, 0.0)
    high: Triple = (0.0, 0.0, 0.0)
    kinds: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    refusal: str = ""

    @property
    def up(self) -> str:
        """The axis on which green lies above the others, as "+y"; "?" where there is no green."""
        if "green" not in self.centres or len(self.centres) < 2:
            return "?"
        others = [p for hue, p in self.centres.items() if hue != "green"]
        offset = np.subtract(self.centres["green"], np.mean(others, axis=0))
        axis = int(np.argmax(np.abs(offset)))
        return ("+" if offset[axis] > 0 else "-") + "xyz"[axis]


def part_of(
    name: str,
    kind: str,
    points: NDArray[np.floating],  # [N, 3]
    rgb: NDArray[np.floating] | None,  # [N, 3] or [1, 3], sRGB in 0…1
) -> dict[str, Any]:
    """One part of a file, as `pages/report.mjs` describes it."""
    hues = np.array(["none"] * len(points), dtype=object)
    if rgb is not None:
        rgb = np.broadcast_to(rgb, points.shape)
        hues = np.array(HUES, dtype=object)[rgb.argmax(1)]
    return {
        "name": name,
        "kind": kind,
        "count": len(points),
        "low": points.min(0).tolist(),
        "high": points.max(0).tolist(),
        "shown": True,
        "hues": {
            str(hue): {
                "centre": points[hues == hue].mean(0).tolist(),
                "rgb": [0.0] * 3 if rgb is None else rgb[hues == hue].mean(0).tolist(),
                "count": int((hues == hue).sum()),
            }
            for hue in sorted(set(hues))
        },
    }


def reading_of(parts: Sequence[dict[str, Any]]) -> Reading:
    """The reading of a file's parts."""
    sums: dict[str, list[tuple[int, list[float], list[float]]]] = {}
    for p in parts:
        for hue, place in p["hues"].items():
            sums.setdefault(hue, []).append((place["count"], place["centre"], place["rgb"]))

    def mean(hue: str, at: int) -> Triple:
        weights = [entry[0] for entry in sums[hue]]
        return _triple(np.average([entry[at] for entry in sums[hue]], axis=0, weights=weights))

    full = [p for p in parts if p["count"]]
    return Reading(
        centres={hue: mean(hue, 1) for hue in sums if hue in HUES},
        rgb={hue: mean(hue, 2) for hue in sums if hue in HUES},
        low=_triple(np.min([p["low"] for p in full], axis=0)) if full else (0.0, 0.0, 0.0),
        high=_triple(np.max([p["high"] for p in full], axis=0)) if full else (0.0, 0.0, 0.0),
        kinds=frozenset(p["kind"] for p in full),
        shown=frozenset(p["kind"] for p in parts if p["shown"]),
        names=tuple(p["name"] for p in parts),
    )


def _triple(values: NDArray) -> Triple:
    x, y, z = values
    return float(x), float(y), float(z)
