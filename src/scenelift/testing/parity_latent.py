"""Parity checks of the latent flow, the decoders and the mesh extraction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from scenelift.models.layers.embeddings import absolute_position_embedding
from scenelift.models.layers.sparse import SparseTensor, Voxels
from scenelift.models.slat.flexicubes import SurfaceMesh, extract_mesh
from scenelift.models.slat.gaussian_decoder import GaussianDecoder, GaussianDecoderParams
from scenelift.models.slat.latent_flow import LatentFlow, LatentFlowParams
from scenelift.models.slat.latent_torso import TorsoParams
from scenelift.models.slat.mesh_decoder import MeshDecoder, MeshDecoderParams, SubdivideBlock
from scenelift.models.slat.sampling import SamplingParams, State, Velocity, sample_flow
from scenelift.testing.comparison import Check, Comparison
from scenelift.testing.golden import GoldenCase
from scenelift.weights.state_dicts import load_module

__all__ = ["CHECKS", "latent_flow_of", "velocity_of"]

# One network evaluation: float32 sums of at most 27 · 256 products of order 1, in another order.
_ATOL = 2e-5
# 38 evaluations, each adding to what the ones before got wrong.
_ATOL_SAMPLED = 1e-4
# The surface crosses an edge at s0 / (s0 - s1) of it, s being its ends' mean distances. Values of
# order 1 are rounded by 1e-7, and s0 - s1 may be small: the crossing moves along its edge by up to
# 1e-4. Its colour, of order 1, moves by as much, its position by that share of a cell. Five times
# what `benchmarks/mesh_rounding.py` prints (docs/log.md); another patch, corner or weight is off by
# a tenth of a colour or of a cell, at any resolution far more.
_ATOL_POSITIONS = 2e-5
_ATOL_ATTRIBUTES = 2e-4
# Likewise from features that we decode, which differ from recorded ones by 5e-6, not 1e-7.
_ATOL_DECODED_POSITIONS = 2e-4
_ATOL_DECODED_ATTRIBUTES = 2e-3


def _told_resolution(case: GoldenCase) -> int | None:
    """Return the cells along a side of the grid, where the case says so."""
    value = case.scalar("meta.resolution", "meta.res", "inputs.resolution", "inputs.res")
    return None if value is None else int(value)


def _voxels(case: GoldenCase) -> Voxels:
    """Make voxels for which it does not matter how large the grid is."""
    coords = case.input("coords")
    return Voxels(coords, _told_resolution(case) or int(coords[:, 1:].max()) + 1)


def _told_heads(case: GoldenCase, width: int, error: Callable[[int], float]) -> int:
    """Return the attention heads: as the case says, or those that come nearest to its record.

    They leave no trace in the weights. A wrong number is off by more than any rounding.
    """
    value = case.scalar("meta.heads", "meta.num_heads")
    if value is not None:
        return int(value)
    return min((h for h in range(1, width + 1) if width % h == 0), key=error)


def _window(case: GoldenCase) -> int:
    return int(case.scalar("meta.window", "meta.window_size") or TorsoParams().window)


def latent_flow_of(case: GoldenCase) -> LatentFlow:
    """Build the latent flow whose weights a case has."""
    params = LatentFlowParams.from_state_dict(case.state)
    return load_module(lambda: LatentFlow(params), case.state, source=case.name)


def velocity_of(flow: nn.Module, context: object, *where: object) -> Velocity:
    """Make a sampler's velocity from a flow under one condition, at its voxels or cells."""

    def velocity(x: State, time: torch.Tensor, view: int | None) -> State:
        return (flow(x[0], time, *where, None if view is None else context),)

    return velocity


def _check_flow(case: GoldenCase, comparison: Comparison) -> None:
    flow = latent_flow_of(case)
    voxels = _voxels(case)
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
    flow = latent_flow_of(case)
    voxels = _voxels(case)
    context = flow.remember(case.input("cond"))
    velocity = velocity_of(flow, context, voxels)
    guidance = case.scalar("meta.strength", "meta.cfg_strength")
    params = SamplingParams(
        steps=len(case.output("t_seq")) - 1,
        rescale=float(case.scalar("meta.rescale_t", "meta.rescale") or 1.0),
        guidance=1.0 if guidance is None else float(guidance),
    )
    (x,) = sample_flow(velocity, (case.input("x0")[0],), params)
    comparison.close("x1", x[None], case.output("x1"), atol=_ATOL_SAMPLED)


def _check_gaussians(case: GoldenCase, comparison: Comparison) -> None:
    def with_heads(heads: int) -> GaussianDecoder:
        params = GaussianDecoderParams.from_state_dict(
            case.state, heads=heads, window=_window(case)
        )
        return load_module(lambda: GaussianDecoder(params), case.state, source=case.name)

    coords = case.input("coords")
    # Splats lie around their voxels' centres, so recorded ones tell how large a voxel is.
    centres = (coords[:, 1:] + 0.5).mean() / case.output("_xyz").mean()
    resolution = _told_resolution(case) or round(float(centres))
    latent = SparseTensor(case.input("feats"), Voxels(coords, resolution))

    def error(heads: int) -> float:
        scales = with_heads(heads)(latent).scales
        return float((scales - case.output("_scaling")).abs().max())

    width = case.state["input_layer.weight"].shape[0]
    decoder = with_heads(_told_heads(case, width, error))

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
    def with_heads(heads: int) -> MeshDecoder:
        params = MeshDecoderParams.from_state_dict(case.state, heads=heads, window=_window(case))
        return load_module(lambda: MeshDecoder(params), case.state, source=case.name)

    def skip_of(block: nn.Module, feats: torch.Tensor) -> torch.Tensor:
        assert isinstance(block, SubdivideBlock)
        return block.skip_connection(feats).repeat_interleave(8, 0)

    voxels = _voxels(case)
    latent = SparseTensor(case.input("feats"), voxels)

    def error(heads: int) -> float:
        decoder = with_heads(heads)
        skip = skip_of(decoder.upsample[0], decoder.attend(latent))
        return float((skip - case.output("up0_skip")).abs().max())

    width = case.state["input_layer.weight"].shape[0]
    decoder = with_heads(_told_heads(case, width, error))
    x = SparseTensor(decoder.attend(latent), voxels)
    for index, block in enumerate(decoder.upsample):
        name = f"up{index}"
        skip = skip_of(block, x.feats)
        comparison.close(f"{name}_skip", skip, case.output(f"{name}_skip"), atol=_ATOL)
        x = block(x)
        comparison.equal(f"{name}_coords", x.voxels.coords, case.output(f"{name}_coords"))
        comparison.close(f"{name}_feats", x.feats, case.output(f"{name}_feats"), atol=_ATOL)
    raw = decoder(latent)
    comparison.equal("raw_coords", raw.voxels.coords, case.output("raw_coords"))
    comparison.close("raw", raw.feats, case.output("raw"), atol=_ATOL)
    # From the recorded features: an edge between them and ours may cross zero elsewhere.
    factor = 2 ** len(decoder.upsample)
    cells = _told_resolution(case)
    resolution = factor * cells if cells else _mesh_resolution(case, factor)
    recorded = SparseTensor(case.output("raw"), Voxels(raw.voxels.coords, resolution))
    _compare_mesh(extract_mesh(recorded), case, comparison)


def _mesh_resolution(case: GoldenCase, factor: int) -> int:
    """Find the resolution, a multiple of `factor`, at which the mesh has its recorded size."""
    coords = case.output("raw_coords")
    lowest = resolution = factor * -(-(int(coords[:, 1:].max()) + 1) // factor)
    for _ in range(3):  # the distances' bias, and with it the surface, depends on it a little
        mesh = extract_mesh(SparseTensor(case.output("raw"), Voxels(coords, resolution)))
        ratio = (mesh.vertices + 0.5).mean() / (case.output("vertices") + 0.5).mean()
        resolution = max(lowest, factor * round(float(resolution * ratio) / factor))
    return resolution


def _check_extraction(case: GoldenCase, comparison: Comparison) -> None:
    voxels = Voxels(case.input("coords"), int(case.scalars["inputs.res"]))
    _compare_mesh(extract_mesh(SparseTensor(case.input("feats"), voxels)), case, comparison)


def _check_surface(case: GoldenCase, comparison: Comparison) -> None:
    """Latents to mesh in one go: faces in full, every `meta.stride`-th vertex."""
    heads, stride = int(case.scalars["meta.heads"]), int(case.scalars["meta.stride"])
    params = MeshDecoderParams.from_state_dict(case.state, heads=heads, window=_window(case))
    decoder = load_module(lambda: MeshDecoder(params), case.state, source=case.name)
    coords, feats = case.input("coords").int(), case.input("feats")
    voxels = Voxels(coords, int(case.scalars["meta.resolution"]))
    mesh = extract_mesh(decoder(SparseTensor(feats, voxels)))
    comparison.equal("faces", mesh.faces, case.output("faces"))
    for name, values, atol in (
        ("vertices", mesh.vertices, _ATOL_DECODED_POSITIONS),
        ("vertex_attrs", mesh.attributes, _ATOL_DECODED_ATTRIBUTES),
    ):
        comparison.close(name, values[::stride], case.output(name), atol=atol)


def _compare_mesh(mesh: SurfaceMesh, case: GoldenCase, comparison: Comparison) -> None:
    comparison.equal("faces", mesh.faces, case.output("faces"))
    for name, values, atol in (
        ("vertices", mesh.vertices, _ATOL_POSITIONS),
        ("vertex_attrs", mesh.attributes, _ATOL_ATTRIBUTES),
    ):
        comparison.close(name, values, case.output(name), atol=atol)


CHECKS: Mapping[str, Check] = {
    "slat_flow": _check_flow,
    "slat_sampler": _check_sampler,
    "gs_decoder": _check_gaussians,
    "gs4_decoder": _check_gaussians,
    "mesh_decoder": _check_mesh,
    "mesh_surface": _check_surface,
    "flexicubes": _check_extraction,
}
"""By the name of the case."""
