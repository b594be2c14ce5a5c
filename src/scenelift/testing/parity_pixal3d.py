"""Parity checks of Pixal3D: what it changes in TRELLIS.2."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from scenelift.models.layers.attention import PixelCondition
from scenelift.models.layers.dinov3 import DinoV3, DinoV3Params
from scenelift.models.pixal3d.condition import EncodedPicture, Guide
from scenelift.models.pixal3d.lifting import camera_distance, project, taps, token_places
from scenelift.models.pixal3d.naf import NAF, naf_params
from scenelift.models.pixal3d.preprocess import BOX_FACTOR
from scenelift.models.slat.structure_decoder import cube_from_tokens
from scenelift.models.trellis.structure_flow import tokens_from_cube
from scenelift.models.trellis2.flow import cube_cells
from scenelift.testing.comparison import Check, Comparison
from scenelift.testing.golden import GoldenCase
from scenelift.testing.parity_trellis2 import check_cascade, check_pictures, read_flow
from scenelift.weights.state_dicts import StateDict, load_module

__all__ = ["CHECKS"]

_ATOL = 2e-5


def _naf(tensors: StateDict, source: str) -> NAF:
    width = naf_params(tensors)
    return load_module(lambda: NAF(width), tensors, source=source)


def _check_preprocess(case: GoldenCase, comparison: Comparison) -> None:
    check_pictures(case, comparison, factor=BOX_FACTOR)


def _check_cascade(case: GoldenCase, comparison: Comparison) -> None:
    check_cascade(case, comparison, rounding="corners")


def _check_project(case: GoldenCase, comparison: Comparison) -> None:
    side, size = int(case.scalars["meta.grid"]), int(case.scalars["meta.image"])
    fov, distance, scale = (float(case.input(name)) for name in ("fov", "distance", "scale"))
    places = token_places(cube_cells(side), side, scale)
    pixels, depth = project(places, fov=fov, distance=distance, size=size)
    # Pixels are of the order of a hundred.
    comparison.close("points", pixels, case.output("points"), atol=1e-4)
    comparison.close("depth", depth, case.output("depth"), atol=_ATOL)
    low = case.input("lo").flatten(1, 2)
    high = case.input("hi").flatten(2).transpose(1, 2)
    for name, values in (("lo", low), ("hi", high)):
        read = taps(pixels, size, round(values.shape[1] ** 0.5)).read(values)[0]
        comparison.close(name, read, case.output(f"sampled_{name}"), atol=1e-4)
    distances = torch.tensor([camera_distance(float(f), scale) for f in case.input("fovs")])
    comparison.close("distances", distances, case.output("distances"), atol=1e-4)


def _check_structure_flow(case: GoldenCase, comparison: Comparison) -> None:
    flow, cube = read_flow(case.state, case.name), case.input("x")
    x, t = tokens_from_cube(cube), case.input("t") / flow.params.time_scale
    rotation = flow.rotation(cube_cells(cube.shape[-1]))
    context = flow.remember(PixelCondition(case.input("global"), case.input("proj")))
    for name, memory in (("velocity", context), ("velocity_uncond", None)):
        actual = cube_from_tokens(flow(x, t, rotation, memory))
        comparison.close(name, actual, case.output(name), atol=_ATOL)


def _check_latent_flow(case: GoldenCase, comparison: Comparison) -> None:
    flow, x = read_flow(case.state, case.name), case.input("x")[None]
    t = case.input("t") / flow.params.time_scale
    rotation = flow.rotation(case.input("coords")[:, 1:])
    pixels = case.input("proj").reshape(1, x.shape[1], -1)
    context = flow.remember(PixelCondition(case.input("global"), pixels))
    for name, memory in (("velocity", context), ("velocity_uncond", None)):
        comparison.close(name, flow(x, t, rotation, memory)[0], case.output(name), atol=_ATOL)


def _check_naf(case: GoldenCase, comparison: Comparison) -> None:
    network = _naf(case.state, case.name)
    for name, expected in case.under("outputs").items():
        side = int(name.removeprefix("up_"))
        actual = network(case.input("guide"), case.input("features"), side)
        comparison.close(name, actual, expected, atol=_ATOL)


def _check_condition(case: GoldenCase, comparison: Comparison) -> None:
    own = {n.removeprefix("naf."): t for n, t in case.state.items() if n.startswith("naf.")}
    dino = {n: t for n, t in case.state.items() if not n.startswith("naf.")}
    params = DinoV3Params.from_state_dict(dino, heads=int(case.scalars["meta.heads"]))
    embedder = load_module(lambda: DinoV3(params), dino, source=case.name)
    picture, side = case.input("image"), int(case.scalars["meta.grid"])
    seen_picture = EncodedPicture(
        tokens=embedder(picture),
        first=1 + params.registers,
        size=picture.shape[-1],
        fov=float(case.input("fov")),
        distance=float(case.input("distance")),
    )
    guide = Guide.of(_naf(own, case.name), picture, int(case.scalars["meta.naf_target"]))
    features = seen_picture.condition(cube_cells(side), side, guide)
    comparison.close("global", features.tokens, case.output("global"), atol=_ATOL)
    comparison.close("proj", features.pixels, case.output("proj"), atol=_ATOL)


CHECKS: Mapping[str, Check] = {
    "p3d_preprocess": _check_preprocess,
    "p3d_cascade": _check_cascade,
    "p3d_project": _check_project,
    "p3d_ss_flow": _check_structure_flow,
    "p3d_slat_flow": _check_latent_flow,
    "p3d_naf": _check_naf,
    "p3d_cond": _check_condition,
}
"""By the name of the case."""
