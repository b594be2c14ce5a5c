"""Parity checks of MoGe."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from scenelift.moge.focal import recover_focal_and_shift
from scenelift.moge.network import MoGe, MoGeParams
from scenelift.testing.comparison import Check, Comparison
from scenelift.testing.golden import GoldenCase
from scenelift.weights.state_dicts import load_module

__all__ = ["CHECKS"]

# An exponential follows twelve blocks and twenty convolutions; 1.2e-5 was reached.
_ATOL = 1e-4
# The solver stops when a step gains less than a thousandth, so its last digits are arbitrary.
_ATOL_FIT = 1e-4


def _pictures(case: GoldenCase) -> list[str]:
    return sorted({name.split(".")[1] for name in case.tensors if name.startswith("inputs.")})


def _check_network(case: GoldenCase, comparison: Comparison) -> None:
    params = MoGeParams.from_state_dict(case.state)
    network = load_module(lambda: MoGe(params), case.state, source=case.name)
    for name in _pictures(case):
        image = case.input(f"{name}.image")[None]
        points, mask = network(image, int(case.scalars["meta.num_tokens"]))
        raw_points, raw_mask = (case.output(f"{name}.{part}_raw") for part in ("points", "mask"))
        comparison.close(f"{name}.points_raw", points[0], raw_points, atol=_ATOL)
        comparison.close(f"{name}.mask_raw", mask[0], raw_mask, atol=_ATOL)
        # Rounding may turn a pixel whose recorded value is at the threshold, and no other.
        clear = (raw_mask - 0.5).abs() > _ATOL
        recorded = case.output(f"{name}.mask").bool()
        comparison.equal(f"{name}.mask", (mask[0] > 0.5)[clear], recorded[clear])


def _check_fit(case: GoldenCase, comparison: Comparison) -> None:
    for name in _pictures(case):
        fit = recover_focal_and_shift(case.input(f"{name}.points"), case.input(f"{name}.mask") > 0)
        for part, value in zip(("focal", "shift"), fit, strict=True):
            expected = case.output(f"{name}.{part}")
            comparison.close(f"{name}.{part}", torch.tensor([value]), expected, atol=_ATOL_FIT)


CHECKS: Mapping[str, Check] = {"moge": _check_network, "moge_focal_shift": _check_fit}
"""By the name of the case."""
