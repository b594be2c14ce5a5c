"""Parity checks of MoGe, both versions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from scenelift.models.moge.focal import focal_of_fov, recover_focal_and_shift
from scenelift.models.moge.geometry import geometry_of
from scenelift.models.moge.metric import MetricMoGe, MetricMoGeParams, MoGeOutput
from scenelift.models.moge.network import MoGe, MoGeParams
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


def _check_metric_network(case: GoldenCase, comparison: Comparison) -> None:
    params = MetricMoGeParams.from_config(_config(case), case.state, source=case.name)
    network = load_module(lambda: MetricMoGe(params), case.state, source=case.name)
    tokens = case.scalar("meta.num_tokens")
    for name in _pictures(case):
        image = case.input(f"{name}.image")[None]
        output = network(image, params.tokens() if tokens is None else int(tokens))
        actual = {"points": output.points[0], "mask": output.mask[0]}
        if output.normal is not None:
            actual["normal"] = output.normal[0]
        if output.scale is not None:
            actual["metric_scale"] = output.scale[0]
        expected = case.under(f"outputs.{name}")
        if "points" in expected:  # exponentials: relative to their distance
            distance = expected["points"].norm(dim=-1, keepdim=True)
            expected["points"], actual["points"] = (
                side["points"] / distance for side in (expected, actual)
            )
        comparison.close_each(name, actual, expected, atol=_ATOL)


def _config(case: GoldenCase) -> dict[str, Any]:
    """Build the published file's table, whose entries a case lists one by one."""
    config: dict[str, Any] = {}
    for name, value in case.scalars.items():
        if name.startswith("meta.config."):
            *tables, last = name.removeprefix("meta.config.").split(".")
            inner = config
            for table in tables:
                inner = inner.setdefault(table, {})
            inner[last] = value
    return config


def _check_metric_geometry(case: GoldenCase, comparison: Comparison) -> None:
    for name in _pictures(case):
        planted = case.under(f"inputs.{name}")
        normal, scale = planted.get("normal"), planted.get("metric_scale")
        output = MoGeOutput(
            points=planted["points"][None],
            mask=planted["mask"][None].float(),
            normal=None if normal is None else normal[None],
            scale=None if scale is None else scale.reshape(1),
        )
        recorded = case.under(f"outputs.{name}")
        for variant in sorted({key.split(".")[0] for key in recorded}):
            expected = case.under(f"outputs.{name}.{variant}")
            height, width = expected["mask"].shape
            fov = case.scalar(f"meta.{variant}", f"meta.{name}.{variant}")
            focal = None if fov is None else focal_of_fov(math.radians(fov), height, width)
            geometry = geometry_of(output, focal=focal, project=variant != "unprojected")
            actual = {"points": geometry.points, "depth": geometry.depth}
            if geometry.normal is not None:
                actual["normal"] = geometry.normal
            actual["intrinsics"] = _intrinsics(geometry.focal, width / height)
            comparison.equal(f"{name}.{variant}.mask", geometry.mask, expected.pop("mask"))
            actual = {part: value for part, value in actual.items() if part in expected}
            comparison.close_each(f"{name}.{variant}", actual, expected, atol=_ATOL_FIT)


def _intrinsics(focal: float, aspect: float) -> Tensor:  # [3, 3]
    """Return intrinsics as published: relative to the picture's width and height."""
    f = focal / 2 * math.hypot(1, aspect)
    return torch.tensor([[f / aspect, 0, 0.5], [0, f, 0.5], [0, 0, 1]])


CHECKS: Mapping[str, Check] = {
    "moge": _check_network,
    "moge_focal_shift": _check_fit,
    "moge2": _check_metric_network,
    "moge2_infer": _check_metric_geometry,
}
"""By the name of the case."""
