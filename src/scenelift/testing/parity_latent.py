"""Parity checks of the latent flow, the decoders and the mesh extraction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from scenelift.sam3d.flexicubes import SurfaceMesh, extract_mesh
from scenelift.sam3d.gaussian_decoder import GaussianDecoder, GaussianDecoderParams
from scenelift.sam3d.latent_flow import LatentFlow, LatentFlowParams
from scenelift.sam3d.layers.embeddings import absolute_position_embedding
from scenelift.sam3d.layers.sparse import SparseTensor, Voxels
from scenelift.sam3d.mesh_decoder import MeshDecoder, MeshDecoderParams, SubdivideBlock
from scenelift.sam3d.sampling import SamplingParams, State, sample_flow
from scenelift.testing.comparison import Check, Comparison
from scenelift.testing.golden import GoldenCase
from scenelift.weights.state_dicts import load_module

__all__ = ["CHECKS"]

# Sizes that leave no trace in the weights, as the cases were recorded.
_FLOW_RESOLUTION = 16
_GAUSSIAN_RESOLUTION, _GAUSSIAN_HEADS = 24, 3
_MESH_RESOLUTION, _MESH_HEADS = 12, 4

# One network evaluation: float32 sums of at most 27 · 256 products of order 1, in another order.
_ATOL = 2e-5
# 38 evaluations, each adding to what the ones before got wrong.
_ATOL_SAMPLED = 1e-4
# Positions are ratios of averaged distances, so a few more roundings of values below 1.
_ATOL_MESH = 2e-6


def _flow(case: GoldenCase) -> LatentFlow:
    params = LatentFlowParams.from_state_dict(case.state)
    return load_module(lambda: LatentFlow(params), case.state, source=case.name)


def _check_flow(case: GoldenCase, comparison: Comparison) -> None:
    flow = _flow(case)
    voxels = Voxels(case.input("coords"), _FLOW_RESOLUTION)
    x = case.input("x")[0]
    t = case.input("t").reshape(1) / flow.params.time_scale

    h = flow.input_layer(x)
    comparison.close("input_layer", h, case.output("input_layer"), atol=_ATOL)
    e = flow.t_embedder(t * flow.params.time_scale)
    comparison.close("t_emb", e, case.output("t_emb"), atol=_ATOL)
    for index, block in enumerate(flow.input_blocks):
        h = block(h, e, voxels)
        expected = case.output(f"input_block{index}")
        comparison.close(f"input_blocks.{index}", h, expected, atol=_ATOL)
    halved = voxels.halved
    coarse = halved.voxels.coords
    comparison.equal("down_coords", coarse, case.output("down_coords"))
    down = halved.down(case.output("input_block0"))
    comparison.close("down_feats", down, case.output("down_feats"), atol=_ATOL)
    positions = absolute_position_embedding(coarse[:, 1:], h.shape[1])
    comparison.close("ape", positions, case.output("ape"), atol=_ATOL)

    context = flow.remember(case.input("cond"))
    for name, memory in (("velocity", context), ("velocity_cfg_flag", None)):
        actual = flow(x, t, voxels, memory)
        comparison.close(name, actual[None], case.output(name), atol=_ATOL)


def _check_sampler(case: GoldenCase, comparison: Comparison) -> None:
    flow = _flow(case)
    voxels = Voxels(case.input("coords"), _FLOW_RESOLUTION)
    context = flow.remember(case.input("cond"))

    def velocity(state: State, time: torch.Tensor, conditional: bool) -> State:
        return (flow(state[0], time, voxels, context if conditional else None),)

    params = SamplingParams(steps=len(case.output("t_seq")) - 1, rescale=1.0, guidance=1.0)
    (x,) = sample_flow(velocity, (case.input("x0")[0],), params)
    comparison.close("x1", x[None], case.output("x1"), atol=_ATOL_SAMPLED)


def _check_gaussians(case: GoldenCase, comparison: Comparison) -> None:
    params = GaussianDecoderParams.from_state_dict(case.state, heads=_GAUSSIAN_HEADS)
    decoder = load_module(lambda: GaussianDecoder(params), case.state, source=case.name)
    voxels = Voxels(case.input("coords"), _GAUSSIAN_RESOLUTION)
    latent = SparseTensor(case.input("feats"), voxels)

    taps: list[torch.Tensor] = []

    def tap(block: nn.Module, arguments: Any, output: Any) -> None:
        taps.append(output)

    for block in decoder.blocks:
        block.register_forward_hook(tap)
    raw = decoder(latent)
    for index, h in enumerate(taps):
        comparison.close(f"blocks.{index}", h, case.output(f"blocks.{index}"), atol=_ATOL)

    splats = raw.activate()
    values = {
        # The published container keeps positions in a box of side 1 that begins at −0.5.
        "_xyz": raw.means + 0.5,
        "_features_dc": raw.sh0[:, None],
        "_scaling": raw.scales,
        "_rotation": raw.rotations,
        "_opacity": raw.opacities[:, None],
        "xyz": torch.from_numpy(splats.means),
        "scaling": torch.from_numpy(splats.scales),
        "rotation": torch.from_numpy(splats.rotations),
        "opacity": torch.from_numpy(splats.opacities)[:, None],
    }
    for name, value in values.items():
        comparison.close(name, value, case.output(name), atol=_ATOL)


def _check_mesh(case: GoldenCase, comparison: Comparison) -> None:
    params = MeshDecoderParams.from_state_dict(case.state, heads=_MESH_HEADS)
    decoder = load_module(lambda: MeshDecoder(params), case.state, source=case.name)
    voxels = Voxels(case.input("coords"), _MESH_RESOLUTION)

    latent = SparseTensor(case.input("feats"), voxels)
    x = SparseTensor(decoder.attend(latent), voxels)
    for index, block in enumerate(decoder.upsample):
        name = f"up{index}"
        assert isinstance(block, SubdivideBlock)
        skip = block.skip_connection(x.feats).repeat_interleave(8, 0)
        comparison.close(f"{name}_skip", skip, case.output(f"{name}_skip"), atol=_ATOL)
        x = block(x)
        comparison.equal(f"{name}_coords", x.voxels.coords, case.output(f"{name}_coords"))
        comparison.close(f"{name}_feats", x.feats, case.output(f"{name}_feats"), atol=_ATOL)
    raw = decoder(latent)
    comparison.equal("raw_coords", raw.voxels.coords, case.output("raw_coords"))
    comparison.close("raw", raw.feats, case.output("raw"), atol=_ATOL)
    # From the recorded features: an edge between them and ours may cross zero elsewhere.
    recorded = SparseTensor(case.output("raw"), raw.voxels)
    _compare_mesh(extract_mesh(recorded), case, comparison)


def _check_extraction(case: GoldenCase, comparison: Comparison) -> None:
    voxels = Voxels(case.input("coords"), int(case.scalars["inputs.res"]))
    _compare_mesh(extract_mesh(SparseTensor(case.input("feats"), voxels)), case, comparison)


def _compare_mesh(mesh: SurfaceMesh, case: GoldenCase, comparison: Comparison) -> None:
    comparison.equal("faces", mesh.faces, case.output("faces"))
    comparison.close("vertices", mesh.vertices, case.output("vertices"), atol=_ATOL_MESH)
    comparison.close("vertex_attrs", mesh.attributes, case.output("vertex_attrs"), atol=_ATOL_MESH)


CHECKS: Mapping[str, Check] = {
    "slat_flow": _check_flow,
    "slat_sampler": _check_sampler,
    "gs_decoder": _check_gaussians,
    "gs4_decoder": _check_gaussians,
    "mesh_decoder": _check_mesh,
    "flexicubes": _check_extraction,
}
"""By the name of the case."""
