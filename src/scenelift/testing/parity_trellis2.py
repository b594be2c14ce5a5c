"""Parity checks of TRELLIS.2: its flow, sampler, decoders, mesh, materials and picture."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from scenelift.models.layers.dinov3 import DinoV3, DinoV3Params
from scenelift.models.layers.sparse import SparseTensor, Voxels
from scenelift.models.slat.sampling import SamplingParams, State, Velocity, sample_flow
from scenelift.models.slat.structure_decoder import (
    StructureDecoder,
    StructureVAEParams,
    cube_from_tokens,
)
from scenelift.models.slat.voxels import occupied_voxels
from scenelift.models.trellis.preprocess import crop_on_black, resized, shrunk
from scenelift.models.trellis.structure_flow import tokens_from_cube
from scenelift.models.trellis2.attributes import AttributeField
from scenelift.models.trellis2.cascade import Rounding, finer_cells, pooled
from scenelift.models.trellis2.config import PUBLISHED
from scenelift.models.trellis2.decoder import VoxelDecoder, VoxelDecoderParams
from scenelift.models.trellis2.dual_grid import DualGrid, dual_grid_mesh
from scenelift.models.trellis2.flow import VoxelFlow, VoxelFlowParams, cube_cells
from scenelift.testing.comparison import Check, Comparison
from scenelift.testing.golden import GoldenCase
from scenelift.testing.parity_latent import velocity_of
from scenelift.testing.parity_trellis import compare_states
from scenelift.weights.state_dicts import StateDict, load_module, under_prefix

__all__ = ["CHECKS", "check_cascade", "check_pictures", "read_flow"]

# One evaluation: float32 sums in another order than the published code's. 2e-6 was reached.
_ATOL = 2e-5
# Twelve steps guided with strength 6.5, each adding to what the ones before got wrong.
_ATOL_SAMPLED = 1e-4
# Decoders' results are of order 1 to 20, after five levels.
_ATOL_DECODED = 1e-4


def read_flow(tensors: StateDict, source: str) -> VoxelFlow:
    params = VoxelFlowParams.from_state_dict(tensors)
    return load_module(lambda: VoxelFlow(params), tensors, source=source)


def _decoder(tensors: StateDict, source: str) -> VoxelDecoder:
    params = VoxelDecoderParams.from_state_dict(tensors)
    return load_module(lambda: VoxelDecoder(params), tensors, source=source)


def _sampling(scalars: Mapping[str, object], prefix: str, *, structure: bool) -> SamplingParams:
    first, last = scalars[f"{prefix}guidance_interval"]  # pyright: ignore[reportGeneralTypeIssues]
    number = {
        name: float(str(scalars[f"{prefix}{name}"]))
        for name in ("steps", "rescale_t", "guidance_strength", "guidance_rescale")
    }
    return SamplingParams(
        steps=int(number["steps"]),
        rescale=number["rescale_t"],
        guidance=number["guidance_strength"] - 1,
        guided=(1 - last, 1 - first),
        contrast=number["guidance_rescale"],
        spread_of_sample=structure,
        toward_noise=True,
    )


class _Recorder:
    """A velocity that records the states and times that it was called with."""

    def __init__(self, network: Velocity) -> None:
        self._network = network
        self.states: list[Tensor] = []
        self.times: list[float] = []
        self.evaluations = 0

    def __call__(self, x: State, time: Tensor, view: int | None) -> State:
        self.evaluations += 1
        if view is not None:
            self.states.append(x[0])
            self.times.append(1000 * float(time))
        return self._network(x, time, view)


def _compare_run(
    case: GoldenCase, comparison: Comparison, prefix: str, recorder: _Recorder
) -> None:
    times = torch.tensor(recorder.times), torch.tensor(case.scalars[f"{prefix}network_t"])
    comparison.close(f"{prefix}network_t", *times, atol=1e-3)  # in units of 1/1000
    counts = torch.tensor(recorder.evaluations), torch.tensor(case.scalars[f"{prefix}evaluations"])
    comparison.equal(f"{prefix}evaluations", *counts)


def check_pictures(case: GoldenCase, comparison: Comparison, *, factor: float) -> None:
    for name, rgba in case.under("inputs.rgba").items():
        pixels, alpha = shrunk(rgba[..., :3].numpy(), rgba[..., 3].numpy(), most=1024)
        crop = crop_on_black(pixels, alpha, size=None, factor=factor)
        comparison.equal(name, torch.from_numpy(crop), case.output(f"rgb.{name}"))
        for size in (512, 1024):
            digest = hashlib.sha256(resized(crop, size).tobytes()).hexdigest()
            if digest != case.scalars[f"meta.{name}.sha256_{size}"]:
                comparison.fail(f"{name}: another picture of {size}²")


def _check_preprocess(case: GoldenCase, comparison: Comparison) -> None:
    check_pictures(case, comparison, factor=1.0)


def _check_condition(case: GoldenCase, comparison: Comparison) -> None:
    params = DinoV3Params.from_state_dict(case.state, heads=int(case.scalars["meta.heads"]))
    network = load_module(lambda: DinoV3(params), case.state, source=case.name)
    for name, expected in case.under("outputs").items():
        if name == "pixels_cond":
            comparison.close(name, network(case.input("pixels")), expected, atol=_ATOL)
            continue
        size = name.rpartition("_")[2]
        picture = torch.tensor(resized(case.input(f"rgb_{size}").numpy(), int(size)))
        pixels = picture.movedim(-1, 0)[None].float() / 255
        comparison.close(name, network(pixels), expected, atol=_ATOL)


def _check_structure_flow(case: GoldenCase, comparison: Comparison) -> None:
    flow = read_flow(case.state, case.name)
    cube = case.input("x")
    rotation = flow.rotation(cube_cells(cube.shape[-1]))
    if "outputs.rope_cos" in case.tensors:
        comparison.close("cos", rotation.cos, case.output("rope_cos"), atol=_ATOL)
        comparison.close("sin", rotation.sin, case.output("rope_sin"), atol=_ATOL)
    x, t = tokens_from_cube(cube), case.input("t") / flow.params.time_scale
    context = flow.remember(case.input("cond"))
    for name, memory in (("velocity", context), ("velocity_uncond", None)):
        actual = cube_from_tokens(flow(x, t, rotation, memory))
        comparison.close(name, actual, case.output(name), atol=_ATOL)


def _check_structure_sampler(case: GoldenCase, comparison: Comparison) -> None:
    flow = read_flow(case.state, case.name)
    noise = tokens_from_cube(case.input("noise"))
    rotation = flow.rotation(cube_cells(case.input("noise").shape[-1]))
    velocity = velocity_of(flow, flow.remember(case.input("cond")), rotation)
    for name in sorted({n.split(".")[1] for n in case.tensors if n.startswith("outputs.")}):
        params = _sampling(case.scalars, f"meta.{name}.", structure=True)
        recorder = _Recorder(velocity)
        (x,) = sample_flow(recorder, (noise,), params)
        states = [cube_from_tokens(state) for state in (*recorder.states, x)]
        _compare_run(case, comparison, f"meta.{name}.", recorder)
        compare_states(case, comparison, name, states, params)


def _check_latent_flow(case: GoldenCase, comparison: Comparison) -> None:
    flow = read_flow(case.state, case.name)
    x, t = case.input("x"), case.input("t") / flow.params.time_scale
    if "inputs.shape" in case.tensors:
        x = torch.cat([x, case.input("shape")], 1)
    rotation = flow.rotation(case.input("coords")[:, 1:])
    context = flow.remember(case.input("cond"))
    blocks: dict[str, Tensor] = {}
    for index, block in enumerate(flow.blocks):

        def keep(_module: object, _inputs: object, out: Tensor, index: int = index) -> None:
            blocks[f"block{index}"] = out[0]

        block.register_forward_hook(keep)
    velocity = flow(x[None], t, rotation, context)[0]
    for name, actual in {**blocks, "velocity": velocity}.items():
        if f"outputs.{name}" in case.tensors:
            comparison.close(name, actual, case.output(name), atol=_ATOL)
    if "outputs.velocity_uncond" in case.tensors:
        free = flow(x[None], t, rotation, None)[0]
        comparison.close("velocity_uncond", free, case.output("velocity_uncond"), atol=_ATOL)


def _latents(
    flow: VoxelFlow,
    coords: Tensor,
    noise: Tensor,
    condition: Tensor,
    params: SamplingParams,
    beside: Tensor | None = None,
) -> tuple[Tensor, _Recorder]:
    """Sample a latent flow for one object."""
    rotation = flow.rotation(coords[:, 1:])
    context = flow.remember(condition)

    def velocity(x: State, time: Tensor, view: int | None) -> State:
        tokens = x[0] if beside is None else torch.cat([x[0], beside[None]], 2)
        return (flow(tokens, time, rotation, None if view is None else context),)

    recorder = _Recorder(velocity)
    (x,) = sample_flow(recorder, (noise[None],), params)
    recorder.states.append(x)
    return x[0], recorder


def _check_latent_sampler(case: GoldenCase, comparison: Comparison) -> None:
    texture = case.name.startswith("tex")
    flow, params = (
        read_flow(case.state, case.name),
        _sampling(case.scalars, "meta.", structure=False),
    )
    statistics = PUBLISHED.texture if texture else PUBLISHED.shape
    coords, noise = case.input("coords"), case.input("noise")
    beside = PUBLISHED.shape.normalised(case.input("shape_slat")) if texture else None
    states: list[list[Tensor]] = []
    for number, condition in enumerate(case.input("cond")):
        own = coords[:, 0] == number
        own_beside = None if beside is None else beside[own]
        _, recorder = _latents(flow, coords[own], noise[own], condition[None], params, own_beside)
        _compare_run(case, comparison, "meta.", recorder)
        states.append([state[0] for state in recorder.states])
    every = [torch.cat(parts) for parts in zip(*states, strict=True)]
    order = coords[:, 0].argsort(stable=True).argsort()
    steps = {"x_after_first": 1, "x_half": params.steps // 2 + 1, "samples": params.steps}
    for name, step in steps.items():
        if f"outputs.{name}" in case.tensors:
            actual = every[step][order]
            comparison.close(name, actual, case.output(name), atol=_ATOL_SAMPLED)
    slat = statistics.restored(every[-1][order])
    # Deviations are up to 6.
    comparison.close("slat", slat, case.output("slat"), atol=6 * _ATOL_SAMPLED)


def _levels(case: GoldenCase, group: str) -> list[Tensor]:
    parts = case.under(group)
    return [parts[f"sub{level}"] for level in range(sum(n[3:].isdigit() for n in parts))]


def _check_shape_decoder(case: GoldenCase, comparison: Comparison) -> None:
    decoder = _decoder(case.state, case.name)
    resolution = int(case.scalars["meta.grid"])
    coords = case.input("coords")
    latent = SparseTensor(case.input("feats"), Voxels(coords, resolution // decoder.params.finer))
    decoded = decoder(latent)
    for level, expected in enumerate(_levels(case, "outputs")):
        comparison.close(f"sub{level}", decoded.logits[level], expected, atol=_ATOL_DECODED)
        if level:
            actual = decoder.split(latent, level).coords
            comparison.equal(f"sub{level}_coords", actual, case.output(f"sub{level}_coords"))
    comparison.equal("coords", decoded.voxels.coords, case.output("coords"))
    comparison.equal("upsample_2", decoder.split(latent, 2).coords, case.output("upsample_2"))
    comparison.close("h", decoded.feats, case.output("h"), atol=_ATOL_DECODED)
    mesh = dual_grid_mesh(decoded.voxels.coords[:, 1:], DualGrid.of(decoded.feats), resolution)
    comparison.close("vertices", mesh[0], case.output("vertices"), atol=_ATOL)
    comparison.equal("faces", mesh[1], case.output("faces"))


def _check_texture_decoder(case: GoldenCase, comparison: Comparison) -> None:
    decoder = _decoder(case.state, case.name)
    coords = case.input("coords")
    side = int(coords[:, 1:].max()) + 1
    logits = _levels(case, "inputs")
    decoded = decoder(SparseTensor(case.input("feats"), Voxels(coords, side)), logits)
    comparison.equal("coords", decoded.voxels.coords, case.output("coords"))
    attributes = 0.5 * decoded.feats + 0.5
    comparison.close("attrs", attributes, case.output("attrs"), atol=_ATOL_DECODED)


def _check_dual_grid(case: GoldenCase, comparison: Comparison) -> None:
    grid = DualGrid(case.input("dual"), case.input("flags").bool(), case.input("split")[:, 0])
    coords = case.input("coords")[:, -3:]
    vertices, faces = dual_grid_mesh(coords, grid, int(case.scalars["meta.grid"]))
    comparison.close("vertices", vertices, case.output("vertices"), atol=_ATOL)
    comparison.equal("faces", faces, case.output("faces"))


def check_cascade(case: GoldenCase, comparison: Comparison, *, rounding: Rounding) -> None:
    names = {n.split(".")[1] for n in case.scalars if n.endswith(".asked")}
    for name in sorted(names):
        target, cap, result = (
            int(case.scalars[f"meta.{name}.{part}"]) for part in ("asked", "cap", "resolution")
        )
        tokens, resolution = finer_cells(
            case.input("hr_coords"), 512, target, rounding=rounding, most=cap
        )
        comparison.equal(f"{name}.resolution", torch.tensor(resolution), torch.tensor(result))
        output = name if f"outputs.{name}" in case.tensors else f"coords_{name}"
        comparison.equal(name, tokens, case.output(output))


def _check_cascade(case: GoldenCase, comparison: Comparison) -> None:
    check_cascade(case, comparison, rounding="cells")
    for name, expected in case.under("outputs").items():
        kind, _, rest = name.partition("_")
        if kind == "occupied":
            actual = occupied_voxels(pooled(case.input("logits"), int(rest)))
            comparison.equal(name, actual, expected)
        elif kind == "slat":
            # Noise of the finer flow, de-normalised: drawn after that of the coarse tokens.
            seed, _, which = rest.removeprefix("seed").partition("_")
            generator = torch.Generator().manual_seed(int(seed))
            count, channels = len(case.output(f"coords_{which}")), expected.shape[1]
            torch.randn(len(case.input("lr_coords")), channels, generator=generator)
            noise = torch.randn(count, channels, generator=generator)
            slat = PUBLISHED.shape.restored(noise)[: len(expected)]
            comparison.close(name, slat, expected, atol=_ATOL)


def _check_attributes(case: GoldenCase, comparison: Comparison) -> None:
    side = int(case.scalars["meta.grid"])
    field = AttributeField(case.input("coords")[:, -3:], case.input("attrs"), side)
    values, _ = field.at(case.input("points_in_voxels"))
    comparison.close("sampled", values, case.output("sampled"), atol=_ATOL)


def _check_bake(case: GoldenCase, comparison: Comparison) -> None:
    from scenelift.finish.materials import material_bytes
    from scenelift.finish.nearest import nearest_points

    side = int(case.scalars["meta.grid"])
    nearest = torch.from_numpy(
        nearest_points(
            case.input("vertices").numpy(),
            case.input("faces").numpy(),
            case.input("texels").numpy(),
        )
    )
    comparison.close("nearest", nearest, case.output("nearest"), atol=_ATOL)
    field = AttributeField(case.input("coords")[:, -3:], case.input("attrs"), side)
    values, _ = field.at((nearest + 0.5) * side)
    comparison.close("sampled", values, case.output("sampled"), atol=_ATOL)
    # Bytes follow from the recorded values: a difference of 1e-7 may fall on either side of one.
    recorded = material_bytes(case.output("sampled").numpy())
    base, surface = case.output("base_color_rgba"), case.output("metallic_roughness_rgb")
    expected = torch.cat([base[:, :3], surface[:, 2:], surface[:, 1:2], base[:, 3:]], 1)
    comparison.equal("bytes", torch.from_numpy(recorded), expected)


def _check_chain(case: GoldenCase, comparison: Comparison) -> None:
    """Check tiny networks one after the other; each starts from the record of the one before."""
    scalars = case.scalars
    side, low = int(scalars["meta.res"]), int(scalars["meta.grid_512"])
    generator = torch.Generator().manual_seed(int(scalars["meta.seed"]))

    def tensors(name: str) -> dict[str, Tensor]:
        return under_prefix(case.state, f"{name}/")

    def noise_of(count: int) -> Tensor:
        return torch.randn(count, 32, generator=generator)

    flow = read_flow(tensors("ss_flow"), case.name)
    noise = tokens_from_cube(torch.randn(1, 8, side, side, side, generator=generator))
    rotation, context = flow.rotation(cube_cells(side)), flow.remember(case.input("cond_512"))
    velocity = velocity_of(flow, context, rotation)
    (z,) = sample_flow(velocity, (noise,), PUBLISHED.structure_sampling)
    comparison.close("z_s", cube_from_tokens(z), case.output("z_s"), atol=_ATOL_SAMPLED)
    sizes = StructureVAEParams.from_state_dict(tensors("ss_dec"))
    structure = load_module(lambda: StructureDecoder(sizes), tensors("ss_dec"), source=case.name)
    logits = structure(case.output("z_s"))
    comparison.close("logits", logits, case.output("logits"), atol=_ATOL_DECODED)

    shape_flow, texture_flow = (
        read_flow(tensors(n), case.name) for n in ("shape_flow", "tex_flow")
    )
    shape_decoder, texture_decoder = (
        _decoder(tensors(n), case.name) for n in ("shape_dec", "tex_dec")
    )
    finer = shape_decoder.params.finer
    coords = occupied_voxels(pooled(logits, low // finer))
    comparison.equal("coords", coords, case.output("coords"))

    def latents(cells: Tensor, condition: Tensor, names: Sequence[str]) -> list[Tensor]:
        """Return shape and texture on these cells, each compared with the record."""
        x, _ = _latents(
            shape_flow, cells, noise_of(len(cells)), condition, PUBLISHED.latent_sampling
        )
        shape = PUBLISHED.shape.restored(x)
        comparison.close(names[0], shape, case.output(names[0]), atol=6 * _ATOL_SAMPLED)
        if len(names) == 1:
            return [shape]
        beside = PUBLISHED.shape.normalised(case.output(names[0]))
        x, _ = _latents(
            texture_flow,
            cells,
            noise_of(len(cells)),
            condition,
            PUBLISHED.texture_sampling,
            beside,
        )
        texture = PUBLISHED.texture.restored(x)
        comparison.close(names[1], texture, case.output(names[1]), atol=6 * _ATOL_SAMPLED)
        return [shape, texture]

    latents(coords, case.input("cond_512"), ("shape_slat", "tex_slat"))
    voxels = Voxels(coords, low // finer)
    shape = SparseTensor(case.output("shape_slat"), voxels)
    decoded = shape_decoder(shape)
    comparison.equal("attr_coords", decoded.voxels.coords, case.output("attr_coords"))
    vertices, faces = dual_grid_mesh(decoded.voxels.coords[:, 1:], DualGrid.of(decoded.feats), low)
    comparison.close("vertices", vertices, case.output("vertices"), atol=_ATOL)
    comparison.equal("faces", faces, case.output("faces"))
    texture = SparseTensor(case.output("tex_slat"), voxels)
    attributes = 0.5 * texture_decoder(texture, decoded.logits).feats + 0.5
    comparison.close("attrs", attributes, case.output("attrs"), atol=2e-4)

    resolution = int(scalars["meta.cascade"][1])
    fine = shape_decoder.split(shape, len(shape_decoder.params.channels) - 1)
    cells, _ = finer_cells(fine.coords, low, resolution, least=resolution)
    comparison.equal("cascade_coords", cells, case.output("cascade_coords"))
    generator = torch.Generator().manual_seed(int(scalars["meta.seed"]))
    torch.randn(1, 8, side, side, side, generator=generator)
    noise_of(len(coords))  # of the coarse shape
    latents(cells, case.input("cond_1024"), ("cascade_shape_slat", "cascade_tex_slat"))


CHECKS: Mapping[str, Check] = {
    "preprocess2": _check_preprocess,
    "cond2": _check_condition,
    "ss_flow2": _check_structure_flow,
    "ss_sampler2": _check_structure_sampler,
    "shape_flow": _check_latent_flow,
    "tex_flow": _check_latent_flow,
    "shape_sampler": _check_latent_sampler,
    "tex_sampler": _check_latent_sampler,
    "shape_decoder": _check_shape_decoder,
    "tex_decoder": _check_texture_decoder,
    "dual_grid_mesh": _check_dual_grid,
    "cascade": _check_cascade,
    "attr_sample": _check_attributes,
    "bake_points": _check_bake,
    "chain": _check_chain,
}
"""By the name of the case."""
