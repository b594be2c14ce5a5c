"""One figure of a stage's result, against the range in which it is plausible."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["STAGES", "Finding", "Stage", "figure", "truth"]

Stage = Literal["segment", "pointmap", "reconstruct", "finish"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One figure of a stage's result, what is plausible, and whether it is.

    Attributes:
        stage: whose result it is about.
        name: of the figure, a few words.
        value: as it is shown.
        expected: what is plausible, as it is shown.
        ok: it is plausible.
    """

    stage: Stage
    name: str
    value: str
    expected: str
    ok: bool


def figure(
    stage: Stage, name: str, value: float, low: float = -math.inf, high: float = math.inf
) -> Finding:
    """Check that a number lies between two others; one that is not finite fails."""
    bounds = [f"≥ {low:g}"] * math.isfinite(low) + [f"≤ {high:g}"] * math.isfinite(high)
    return Finding(
        stage=stage,
        name=name,
        value=f"{value:.4g}",
        expected=", ".join(bounds) or "finite",
        ok=bool(math.isfinite(value) and low <= value <= high),
    )


def truth(stage: Stage, name: str, *, ok: bool, value: str = "", expected: str = "yes") -> Finding:
    """Check a condition that should hold."""
    text = value or ("yes" if ok else "no")
    return Finding(stage=stage, name=name, value=text, expected=expected, ok=ok)
