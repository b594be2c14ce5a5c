"""Chooses how often each model is shown: furniture, vessels and scans more often than toys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenelift.training.scenes.families import PREFIX as MADE_UP
from scenelift.training.scenes.pack import Model
from scenelift.training.scenes.people import PREFIX as PLAIN_PEOPLE

__all__ = ["share_of_models", "weight_of"]

REALISTIC = ("aws-", "gazebo#", "khronos#", "ycb#", "drake#")
"""Scans and textured models, by how their ids begin."""
STYLISED = ("market#", "quaternius#", "kenney#", "kaykit-", "mmmm#", "village#", "liminal#")
PEOPLE, SOLIDS = "people#", "pybullet#"
WEIGHTS = {
    "realistic": 5.0,
    "stylised": 0.25,
    "people": 3.0,
    "plain people": 1.0,
    "made up": 0.5,
    "solid": 1.0,
    "furniture": 3.0,
}
"""Furniture of the catalogue and vessels are half of what is shown, scans a fifth: with less a
training gained on things of every sort and nothing in furnished rooms (docs/log.md). People dressed
in plain regions are three times as many as the others."""


def share_of_models(models: Sequence[Model]) -> NDArray[np.float64]:  # [M], sums to 1
    """Compute each model's chance to be drawn."""
    weights = np.array([weight_of(model) for model in models])
    return weights / weights.sum()


def weight_of(model: Model) -> float:
    """Look up how often a model is shown, beside others."""
    return WEIGHTS[_kind(model.entry.id)]


def _kind(name: str) -> str:
    if name.startswith(PLAIN_PEOPLE):
        return "plain people"
    if name.startswith(MADE_UP):
        return "made up"
    if name.startswith(PEOPLE):
        return "people"
    if name.startswith(REALISTIC):
        return "realistic"
    if name.startswith(STYLISED):
        return "stylised"
    return "solid" if name.startswith(SOLIDS) else "furniture"
