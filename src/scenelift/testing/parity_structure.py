"""Parity checks of preprocessing, condition, structure and pose."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from scenelift.models.layers.dino import DinoEmbedder, DinoParams
from scenelift.models.sam3d.condition import Fuser
from scenelift.models.sam3d.make_scene import make_scene, normalised_for_viewing
from scenelift.models.sam3d.pointpatch import PointPatchEmbedder, PointPatchParams
from scenelift.models.sam3d.pose import PublishedPose, decode_pose
from scenelift.models.sam3d.preprocess import preprocess
from scenelift.models.sam3d.structure_flow import (
    LATENT_NAMES,
    StructureFlow,
    StructureLatents,
    structure_noise,
)
from scenelift.models.slat.sampling import SamplingParams, State, sample_flow, time_grid
from scenelift.models.slat.structure_decoder import (
    StructureDecoder,
    StructureEncoder,
    StructureVAEParams,
    cube_from_tokens,
)
from scenelift.models.slat.structure_flow import StructureFlowParams
from scenelift.models.slat.voxels import cap_voxels, occupied_voxels, prune_interior
from scenelift.testing.comparison import Check, Comparison
from scenelift.testing.golden import GoldenCase
from scenelift.types import Gaussians
from scenelift.weights.state_dicts import load_module, under_prefix

__all__ = ["CHECKS"]

# One network evaluation: float32 sums of at most a few thousand products of order 1, in another
# order than the published code's. Up to 4e-6 was reached.
_ATOL = 2e-5
# 25 steps, each adding to what the ones before got wrong. 3e-6 was reached.
_ATOL_SAMPLED = 1e-4
# A few float32 operations on values of order 1 (the published pose), or of order 10 (positions).
_ATOL_GEOMETRY = 5e-6


def _latents(find: Callable[[str], Tensor], prefix: str) -> StructureLatents:
    return StructureLatents(*(find(f"{prefix}.{name}") for name in LATENT_NAMES))


def _compare_latents(
    case: GoldenCase, comparison: Comparison, name: str, actual: State, *, atol: float
) -> None:
    by_name: dict[str, Tensor] = dict(zip(LATENT_NAMES, actual, strict=True))
    comparison.close_each(name, by_name, case.under(f"outputs.{name}"), atol=atol)


def _flow(case: GoldenCase) -> StructureFlow:
    params = StructureFlowParams.from_state_dict(
        case.state, stream="shape.", ends="latent_mapping.shape."
    )
    return load_module(lambda: StructureFlow(params), case.state, source=case.name)


def _check_flow(case: GoldenCase, comparison: Comparison) -> None:
    flow = _flow(case)
    latents = _latents(case.input, "latents")
    # Recorded as the network's embedding sees them.
    t, d = (case.input(name) / flow.params.time_scale for name in ("t", "d"))
    context = flow.remember(case.input("cond"))
    zeros = flow.remember(torch.zeros_like(case.input("cond")))
    for name, velocity in (
        ("velocity", flow(latents, t, context, step=d)),
        ("velocity_cfg_flag", flow(latents, t, None, step=d)),
        ("velocity_cfg_flag", flow(latents, t, zeros, step=d)),
        ("velocity_without_d", flow(latents, t, context, step=None)),
    ):
        _compare_latents(case, comparison, name, velocity, atol=_ATOL)


def _check_sampler(case: GoldenCase, comparison: Comparison) -> None:
    flow = _flow(case)
    recorded = case.output("t_seq")
    published = SamplingParams()
    guidance = case.scalar("meta.strength", "meta.cfg_strength")
    params = SamplingParams(
        steps=len(recorded) - 1,
        rescale=float(case.scalar("meta.rescale_t", "meta.rescale") or published.rescale),
        guidance=published.guidance if guidance is None else float(guidance),
    )
    grid = torch.tensor(time_grid(params.steps, params.rescale), dtype=torch.float64)
    comparison.close("t_seq", grid, recorded, atol=1e-12)

    noise = _latents(case.input, "x0")
    generator = torch.Generator().manual_seed(int(case.scalars["meta.seed"]))
    start = structure_noise(flow.params, generator)
    for name, actual, expected in zip(LATENT_NAMES, start, noise, strict=True):
        comparison.close(f"noise.{name}", actual, expected, atol=0.0)

    context = flow.remember(case.input("cond"))
    step = torch.tensor([float(case.scalars["outputs.d"])])

    def velocity(x: State, time: Tensor, view: int | None) -> State:
        return flow(StructureLatents(*x), time, None if view is None else context, step=step)

    _compare_latents(
        case, comparison, "x1", sample_flow(velocity, noise, params), atol=_ATOL_SAMPLED
    )


def _check_decoder(case: GoldenCase, comparison: Comparison) -> None:
    params = StructureVAEParams.from_state_dict(case.state)
    decoder = load_module(lambda: StructureDecoder(params), case.state, source=case.name)
    cube = cube_from_tokens(case.input("tokens"))
    comparison.close("cube", cube, case.input("cube"), atol=0.0)
    logits = decoder(cube)
    comparison.close("logits", logits, case.output("logits"), atol=_ATOL)
    # From the recorded logits: rounding may turn the sign of one of ours that is almost zero.
    comparison.equal("coords", occupied_voxels(case.output("logits")), case.output("coords"))


def _check_encoder(case: GoldenCase, comparison: Comparison) -> None:
    params = StructureVAEParams.from_state_dict(case.state)
    encoder = load_module(lambda: StructureEncoder(params), case.state, source=case.name)
    mean, log_variance = encoder(case.input("x"))
    comparison.close("mean", mean, case.output("mean"), atol=_ATOL)
    comparison.close("logvar", log_variance, case.output("logvar"), atol=_ATOL)


def _check_voxels(case: GoldenCase, comparison: Comparison) -> None:
    coords = case.input("coords")
    pruned, halved = case.output("pruned"), case.output("down")
    thinned = case.output("down_randperm")
    comparison.equal("pruned", prune_interior(coords), pruned)
    comparison.equal("unchanged", cap_voxels(pruned, len(pruned)).coords, case.output("unchanged"))
    capped = cap_voxels(coords, len(halved))
    comparison.equal("down", capped.coords, halved)
    comparison.equal(
        "factor", torch.tensor(capped.factor), torch.tensor(case.scalars["outputs.factor"])
    )
    # Recorded with torch.manual_seed(0).
    generator = torch.Generator().manual_seed(0)
    actual = cap_voxels(coords, len(thinned), generator=generator).coords
    comparison.equal("down_randperm", actual, thinned)


def _check_dino(case: GoldenCase, comparison: Comparison) -> None:
    params = DinoParams.from_state_dict(under_prefix(case.state, "backbone."))
    prenorm = case.name.startswith("dino_prenorm")
    embedder = load_module(
        lambda: DinoEmbedder(params, prenorm=prenorm), case.state, source=case.name
    )
    for name in ("image", "mask"):
        tokens = embedder(case.input(name))
        comparison.close(f"{name}_tokens", tokens, case.output(f"{name}_tokens"), atol=_ATOL)


def _check_pointpatch(case: GoldenCase, comparison: Comparison) -> None:
    params = PointPatchParams.from_state_dict(case.state)
    embedder = load_module(lambda: PointPatchEmbedder(params), case.state, source=case.name)
    comparison.close("tokens", embedder(case.input("xyz")), case.output("tokens"), atol=_ATOL)


class _Reshape(nn.Module):
    """Stands in for an embedder: cuts a vector into tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:  # [B, tokens · width] -> [B, tokens, width]
        return x.unflatten(-1, (-1, self.width))


def _check_fuser(case: GoldenCase, comparison: Comparison) -> None:
    count = sum(name.endswith(".1.w1.weight") for name in case.state)
    widths = [case.state[f"projection_nets.{i}.1.w1.weight"].shape[1] for i in range(count)]
    out_width = case.state["idx_emb"].shape[1]
    fuser = load_module(
        lambda: Fuser([_Reshape(w) for w in widths], widths, out_width),
        case.state,
        source=case.name,
    )
    inputs = [case.input(name) for name in case.scalars["meta.order"]]
    views = list(zip(inputs[::2], inputs[1::2], strict=True))
    comparison.close("tokens", fuser(views), case.output("tokens"), atol=_ATOL)
    without = fuser(views, silenced=(count - 1,))
    comparison.close("tokens_pm_dropped", without, case.output("tokens_pm_dropped"), atol=_ATOL)


def _check_preprocess(case: GoldenCase, comparison: Comparison) -> None:
    for name in sorted({n.split(".")[1] for n in case.tensors if n.startswith("inputs.")}):
        rgba, points = case.input(f"{name}.rgba"), case.input(f"{name}.pointmap")
        size = int(case.scalars["meta.size"])
        for stage, stage_points in (("ss", points), ("slat", None)):
            images = preprocess(rgba[:3], rgba[3:], stage_points, size=size)
            actual = {
                "image": images.image[0],
                "mask": images.mask[0],
                "rgb_image": images.full_image[0],
                "rgb_image_mask": images.full_mask[0],
            }
            if images.points is not None:
                views = images.points
                actual |= {"pointmap": views.crop[0], "rgb_pointmap": views.full[0]}
                actual |= {"pointmap_scale": views.scale, "pointmap_shift": views.shift}
                actual |= {"rgb_pointmap_scale": views.scale, "rgb_pointmap_shift": views.shift}
            expected = case.under(f"outputs.{name}.{stage}")
            comparison.close_each(f"{name}.{stage}", actual, expected, atol=_ATOL_GEOMETRY)


def _numbers(case: GoldenCase) -> list[str]:
    """List the numbers of the objects in a case of several, in order."""
    numbers = {n.split(".")[1] for n in case.tensors if n.startswith("inputs.")}
    return sorted(numbers, key=int)


def _check_pose(case: GoldenCase, comparison: Comparison) -> None:
    for i in _numbers(case):
        latents = _latents(case.input, f"{i}.in")
        scale, shift = case.input(f"{i}.scene_scale"), case.input(f"{i}.scene_shift")
        pose = decode_pose(latents, scale, shift)
        actual = {
            name: torch.from_numpy(getattr(pose, name))[None]
            for name in ("rotation", "translation", "scale")
        }
        expected = case.under(f"inputs.{i}.out")
        comparison.close_each(f"{i}", actual, expected, atol=_ATOL_GEOMETRY)


def _check_make_scene(case: GoldenCase, comparison: Comparison) -> None:
    objects = []
    for i in _numbers(case):
        values = {name: tensor.numpy() for name, tensor in case.under(f"inputs.{i}").items()}
        gaussians = Gaussians(
            means=values["xyz"],
            scales=values["scaling"],
            rotations=values["rotation"],
            opacities=values["opacity"][:, 0],
            sh0=values["features_dc"][:, 0],
        )
        pose = PublishedPose(
            rotation=values["quat"][0].astype(np.float64),
            translation=values["translation"][0].astype(np.float64),
            scale=values["scale"][0].astype(np.float64),
        )
        objects.append((gaussians, pose))
    scene = make_scene(objects)
    for name, merged in (
        ("scene", scene),
        ("normalised_for_viewing", normalised_for_viewing(scene)),
    ):
        splats, expected = merged.gaussians, case.under(f"outputs.{name}")
        rotations = torch.from_numpy(splats.rotations)
        # A quaternion and its negative are one rotation.
        signs = (rotations * expected["rotation"]).sum(1, keepdim=True).sign()
        actual = {
            "xyz": torch.from_numpy(splats.means),
            "scaling": torch.from_numpy(splats.scales),
            "rotation": rotations * signs,
            "opacity": torch.from_numpy(splats.opacities)[:, None],
            "features_dc": torch.from_numpy(splats.sh0)[:, None],
            "minimum_kernel_size": torch.tensor(merged.kernel),
        }
        comparison.close_each(name, actual, expected, atol=_ATOL_GEOMETRY)


CHECKS: Mapping[str, Check] = {
    "preprocess": _check_preprocess,
    "dino_norm": _check_dino,
    "dino_prenorm": _check_dino,
    "pointpatch": _check_pointpatch,
    "fuser": _check_fuser,
    "ss_flow": _check_flow,
    "ss_sampler": _check_sampler,
    "ss_decoder": _check_decoder,
    "ss_encoder": _check_encoder,
    "sparse_structure_ops": _check_voxels,
    "pose": _check_pose,
    "make_scene": _check_make_scene,
}
"""By the name of the case."""
