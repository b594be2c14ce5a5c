"""Collect differences between what we compute and what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from scenelift.testing.golden import GoldenCase

__all__ = ["Check", "Comparison"]


class Comparison:
    """The differences of one case.

    Attributes:
        largest: largest absolute difference of any value compared; infinite where a shape or a
            set of NaN differs.
        failures: a sentence for everything that exceeded its tolerance.
    """

    def __init__(self) -> None:
        self.largest = 0.0
        self.failures: list[str] = []

    @property
    def ok(self) -> bool:
        return not self.failures

    def fail(self, reason: str) -> None:
        self.largest = float("inf")
        self.failures.append(reason)

    def close(self, name: str, actual: Tensor, expected: Tensor, *, atol: float) -> None:
        """Compare real values; NaN and infinities must stand in the same places."""
        if actual.shape != expected.shape:
            self.fail(f"{name}: shape {list(actual.shape)}, expected {list(expected.shape)}")
            return
        actual, expected = actual.double(), expected.double()
        special = ~expected.isfinite()
        same = (actual == expected) | (actual.isnan() & expected.isnan())
        if not bool((same | ~special).all()) or not bool(actual[~special].isfinite().all()):
            self.fail(f"{name}: NaN or infinity in other places")
            return
        difference = (actual - expected)[~special].abs()
        worst = difference.max().item() if difference.numel() else 0.0
        self.largest = max(self.largest, worst)
        if worst > atol:
            self.failures.append(f"{name}: differs by {worst:.2e}, at most {atol:.0e} expected")

    def close_each(
        self,
        name: str,
        actual: Mapping[str, Tensor],
        expected: Mapping[str, Tensor],
        *,
        atol: float,
    ) -> None:
        """`close` for tables of tensors, which must have the same names."""
        if actual.keys() != expected.keys():
            self.fail(f"{name}: names {sorted(actual)}, expected {sorted(expected)}")
            return
        for key in expected:
            self.close(f"{name}.{key}", actual[key], expected[key], atol=atol)

    def equal(self, name: str, actual: Tensor, expected: Tensor) -> None:
        """Compare integers and truth values, whatever their types, exactly."""
        if actual.shape != expected.shape:
            self.fail(f"{name}: shape {list(actual.shape)}, expected {list(expected.shape)}")
        elif not torch.equal(actual.long(), expected.long()):
            count = int((actual.long() != expected.long()).sum())
            self.fail(f"{name}: {count} of {expected.numel()} values differ")


Check = Callable[[GoldenCase, Comparison], None]
"""Recompute a case's outputs from its inputs and weights, and compare them."""
