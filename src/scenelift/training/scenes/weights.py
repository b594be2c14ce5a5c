"""Chooses how often each model is shown: real-looking ones and people more often than toys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenelift.training.scenes.families import PREFIX as MADE_UP
from scenelift.training.scenes.pack import Model
from scenelift.training.scenes.people import PREFIX as PLAIN_PEOPLE

__all__ = ["share_of_models"]

REALISTIC = ("aws-", "gazebo#", "khronos#", "ycb#", "drake#")
"""Scans and textured models, by how their ids begin."""
STYLISED = ("market#", "quaternius#", "kenney#", "kaykit-", "mmmm#", "village#", "liminal#")
PEOPLE = "people#"
WEIGHTS = {
    "realistic": 3.0,
    "stylised": 0.5,
    "people": 6.0,
    "plain people": 2.0,
    "made up": 0.7,
    "other": 1.0,
}
"""Those dressed in plain regions are three times as many as the others."""


def share_of_models(models: Sequence[Model]) -> NDArray[np.float64]:  # [M], sums to 1
    """Compute each model's chance to be drawn."""
    weights = np.array([WEIGHTS[_kind(model.entry.id)] for model in models])
    return weights / weights.sum()


def _kind(name: str) -> str:
    if name.startswith(PLAIN_PEOPLE):
        return "plain people"
    if name.startswith(MADE_UP):
        return "made up"
    if name.startswith(PEOPLE):
        return "people"
    if name.startswith(REALISTIC):
        return "realistic"
    return "stylised" if name.startswith(STYLISED) else "other"
