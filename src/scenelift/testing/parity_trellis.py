"""Parity checks of what is TRELLIS's own, and of what it shares as TRELLIS uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from scenelift.geometry.transforms import transform_gaussians
from scenelift.io.ply import read_ply
from scenelift.models.layers.dino import DinoEmbedder
from scenelift.models.layers.sparse import SparseTensor, Voxels
from scenelift.models.slat.config import Section
from scenelift.models.slat.gaussian_decoder import GaussianDecoder, GaussianDecoderParams
from scenelift.models.slat.sampling import SamplingParams, State, Velocity, sample_flow, time_grid
from scenelift.models.slat.structure_decoder import cube_from_tokens
from scenelift.models.slat.structure_flow import StructureFlowParams
from scenelift.models.trellis.config import image_embedder_params
from scenelift.models.trellis.preprocess import crop_on_black
from scenelift.models.trellis.structure_flow import StructureFlow, tokens_from_cube
from scenelift.testing.comparison import Check, Comparison
from scenelift.testing.golden import GoldenCase
from scenelift.testing.parity_latent import latent_flow_of, velocity_of
from scenelift.types import Pose
from scenelift.weights.state_dicts import load_module

__all__ = ["CHECKS", "compare_states", "recognises"]

# One network evaluation: float32 sums of at most a few thousand products of order 1, in another
# order than the published code's. 4e-6 was reached.
_ATOL = 2e-5
# 25 steps, guided with strength 5, each adding to what the ones before got wrong.
_ATOL_SAMPLED = 1e-4
# The published file's rotations have passed through float32 matrices.
_ATOL_FILE = 1e-4

# What the published PLY export turns objects by: a quarter about x, (x, y, z) → (x, −z, y).
_EXPORTED = Pose(rotation=(0.5**0.5, 0.5**0.5, 0.0, 0.0))


def recognises(case: GoldenCase) -> bool:
    """Whether a case was recorded with TRELLIS, whose cases share names with SAM 3D Objects'."""
    signs = ("pos_emb", "inputs.noise", "outputs.velocity_uncond")
    names = (*case.parameters, *case.tensors)
    return any(name in signs or name.startswith("inputs.rgba.") for name in names)


def _structure_flow(case: GoldenCase) -> StructureFlow:
    params = StructureFlowParams.from_state_dict(case.state)
    return load_module(lambda: StructureFlow(params), case.state, source=case.name)


def _structure_velocity(case: GoldenCase) -> Velocity:
    flow = _structure_flow(case)
    contexts = [flow.remember(cond[None]) for cond in case.input("cond")]

    def velocity(x: State, time: Tensor, view: int | None) -> State:
        return (flow(x[0], time, None if view is None else contexts[view]),)

    return velocity


def _voxels(case: GoldenCase) -> Voxels:
    coords = case.input("coords")
    resolution = case.scalar("meta.resolution", "meta.res") or int(coords[:, 1:].max()) + 1
    return Voxels(coords, int(resolution))


def _sampling(case: GoldenCase, prefix: str = "meta.") -> SamplingParams:
    first, last = case.scalars[f"{prefix}cfg_interval"]
    return SamplingParams(
        steps=int(case.scalars[f"{prefix}steps"]),
        rescale=float(case.scalars[f"{prefix}rescale_t"]),
        guidance=float(case.scalars[f"{prefix}cfg_strength"]),
        guided=(1 - last, 1 - first),
        toward_noise=True,
    )


def _check_preprocess(case: GoldenCase, comparison: Comparison) -> None:
    for name, rgba in case.under("inputs.rgba").items():
        expected = case.output(f"rgb518.{name}")
        pixels = rgba.numpy()
        actual = crop_on_black(pixels[..., :3], pixels[..., 3], size=expected.shape[0])
        comparison.equal(name, torch.from_numpy(actual), expected)


def _check_condition(case: GoldenCase, comparison: Comparison) -> None:
    tensors = {f"backbone.{name}": tensor for name, tensor in case.state.items()}
    params = image_embedder_params(tensors, Section())
    build = partial(DinoEmbedder, params, prenorm=True)
    embedder = load_module(build, tensors, source=case.name)
    cond = embedder(case.input("image"))
    comparison.close("cond", cond, case.output("cond"), atol=_ATOL)


def _check_structure_flow(case: GoldenCase, comparison: Comparison) -> None:
    flow = _structure_flow(case)
    x, t = tokens_from_cube(case.input("x")), case.input("t") / flow.params.time_scale
    context = flow.remember(case.input("cond"))
    for name, memory in (("velocity", context), ("velocity_uncond", None)):
        actual = cube_from_tokens(flow(x, t, memory))
        comparison.close(name, actual, case.output(name), atol=_ATOL)


def _check_structure_sampler(case: GoldenCase, comparison: Comparison) -> None:
    noise = (tokens_from_cube(case.input("noise")),)
    settings = sorted({n.split(".")[1] for n in case.tensors if n.startswith("outputs.")})
    for name in settings:
        params = _sampling(case, f"meta.{name}.")
        states: list[Tensor] = []
        network_times: list[float] = []
        network = _structure_velocity(case)

        def velocity(
            x: State,
            time: Tensor,
            view: int | None,
            network: Velocity = network,
            states: list[Tensor] = states,
            network_times: list[float] = network_times,
        ) -> State:
            if view is not None:
                states.append(cube_from_tokens(x[0]))
                network_times.append(1000 * float(time))
            return network(x, time, view)

        (x,) = sample_flow(velocity, noise, params)
        states.append(cube_from_tokens(x))
        times = torch.tensor(network_times), torch.tensor(case.scalars[f"meta.{name}.network_t"])
        comparison.close(f"{name}.network_t", *times, atol=1e-3)  # in units of 1/1000
        compare_states(case, comparison, name, states, params)


def compare_states(
    case: GoldenCase,
    comparison: Comparison,
    name: str,
    states: Sequence[Tensor],
    params: SamplingParams,
) -> None:
    """Compare a sampler's states, before its first step and after each, with those of a case."""
    for output, step in (
        ("x_after_first", 1),
        ("x_half", params.steps // 2 + 1),
        ("samples", params.steps),
    ):
        expected = case.output(f"{name}.{output}")
        comparison.close(f"{name}.{output}", states[step], expected, atol=_ATOL_SAMPLED)
    # Where the first step points to: its velocity over the whole of the time.
    grid = time_grid(params.steps, params.rescale)
    first = states[0] + (states[1] - states[0]) / (grid[1] - grid[0])
    # The published estimate has 1e-5 of noise left in it, and the quotient's rounding.
    comparison.close(f"{name}.x0_first", first, case.output(f"{name}.x0_first"), atol=5e-4)


def _check_several_images(case: GoldenCase, comparison: Comparison) -> None:
    noise, params = (tokens_from_cube(case.input("noise")),), _sampling(case)
    views = len(case.input("cond"))
    for mode in ("stochastic", "multidiffusion"):
        (x,) = sample_flow(_structure_velocity(case), noise, params, views=views, mode=mode)
        comparison.close(mode, cube_from_tokens(x), case.output(mode), atol=_ATOL_SAMPLED)


def _check_latent_flow(case: GoldenCase, comparison: Comparison) -> None:
    flow, voxels = latent_flow_of(case), _voxels(case)
    x, t = case.input("x"), case.input("t") / flow.params.time_scale
    h, e = flow.input_layer(x), flow.t_embedder(case.input("t"))
    for index, block in enumerate(flow.input_blocks):
        h = block(h, e, voxels)
        expected = case.output(f"input_block{index}")
        comparison.close(f"input_blocks.{index}", h, expected, atol=_ATOL)
    context = flow.remember(case.input("cond"))
    for name, memory in (("velocity", context), ("velocity_uncond", None)):
        comparison.close(name, flow(x, t, voxels, memory), case.output(name), atol=_ATOL)


def _check_latent_sampler(case: GoldenCase, comparison: Comparison) -> None:
    flow, voxels = latent_flow_of(case), _voxels(case)
    velocity = velocity_of(flow, flow.remember(case.input("cond")), voxels)
    (x,) = sample_flow(velocity, (case.input("noise"),), _sampling(case))
    comparison.close("samples", x, case.output("samples"), atol=_ATOL_SAMPLED)
    mean, std = (torch.tensor(case.scalars[f"meta.{name}"]) for name in ("mean", "std"))
    comparison.close("slat", x * std + mean, case.output("slat"), atol=3 * _ATOL_SAMPLED)


def _check_gaussians(case: GoldenCase, comparison: Comparison) -> None:
    params = GaussianDecoderParams.from_state_dict(
        case.state, heads=int(case.scalar("meta.heads", "meta.num_heads") or 12)
    )
    decoder = load_module(lambda: GaussianDecoder(params), case.state, source=case.name)
    splats = decoder(SparseTensor(case.input("feats"), _voxels(case))).activate()
    actual = {
        "xyz": torch.from_numpy(splats.means),
        "features_dc": torch.from_numpy(splats.sh0)[:, None],
        "scaling": torch.from_numpy(splats.scales),
        "opacity": torch.from_numpy(splats.opacities)[:, None],
        "rotation": torch.from_numpy(splats.rotations),
    }
    expected = {name: case.output(name) for name in actual}
    # Their quaternions are not normalised.
    expected["rotation"] = torch.nn.functional.normalize(expected["rotation"], dim=1)
    comparison.close_each("splats", actual, expected, atol=_ATOL)

    file = case.folder / f"{case.name}.ply"
    if not file.is_file():
        return
    turned, recorded = transform_gaussians(splats, _EXPORTED), read_ply(file)
    for name in ("means", "scales", "opacities", "sh0"):
        ours, theirs = (torch.from_numpy(getattr(g, name)) for g in (turned, recorded))
        comparison.close(f"file.{name}", ours, theirs, atol=_ATOL)
    ours, theirs = (torch.from_numpy(g.rotations) for g in (turned, recorded))
    signs = (ours * theirs).sum(1, keepdim=True).sign()  # q and −q are one rotation
    comparison.close("file.rotations", ours * signs, theirs, atol=_ATOL_FILE)


CHECKS: Mapping[str, Check] = {
    "preprocess": _check_preprocess,
    "cond": _check_condition,
    "ss_flow": _check_structure_flow,
    "ss_sampler": _check_structure_sampler,
    "multi_image": _check_several_images,
    "slat_flow": _check_latent_flow,
    "slat_sampler": _check_latent_sampler,
    "gs_ply": _check_gaussians,
}
"""By the name of the case."""
