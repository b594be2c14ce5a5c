"""Time every stage of SAM 3D Objects on one device, with random weights of the published sizes.

    python benchmarks/sam3d_gpu.py [--size tiny] [--device cpu] [--no-compile] [--json FILE]

prints, for each stage, milliseconds (median), network evaluations, peak memory with its weights,
and milliseconds of the first call; indented, the same with fewer of the shortcuts; at the end, how
far half precision on the device is from float32 on the CPU. One stage's networks are on the device
at a time. The voxels are a shell of the cube, 25 864 at full size, since random weights do not
make an object.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from scenelift.models.layers.sparse import SparseTensor, use_sparse_conv
from scenelift.models.ops.sparse_conv import SPARSE_CONV
from scenelift.models.sam3d.condition import ConditionEmbedder, ConditionParams
from scenelift.models.sam3d.structure_flow import StructureFlow, StructureLatents, structure_noise
from scenelift.models.slat.acceleration import accelerate, as_cuda_graph, default_dtype, prepare
from scenelift.models.slat.flexicubes import extract_mesh
from scenelift.models.slat.gaussian_decoder import GaussianDecoder
from scenelift.models.slat.latent_flow import LatentFlow, latent_noise
from scenelift.models.slat.mesh_decoder import MeshDecoder
from scenelift.models.slat.sampling import SamplingParams, State, Velocity, sample_flow, time_grid
from scenelift.models.slat.structure_decoder import StructureDecoder, cube_from_tokens
from scenelift.options import BackendOptions
from scenelift.testing.fake_weights import plant_decoder_path, plant_object
from scenelift.testing.random_networks import FULL, TINY, Size, draw, shell

STRUCTURE = SamplingParams()
LATENT = SamplingParams(rescale=1.0, guidance=1.0)

_CORNERS = 8  # the mesh decoder's first channels: distances at a voxel's corners

# Milliseconds that the published code takes on an H100 at these sizes.
PUBLISHED = {
    "structure flow": 2306,
    "structure decoder": 8,
    "latent flow": 2858,
    "gaussian decoder": 23,
    "mesh decoder and extraction": 106,
}


@dataclass(frozen=True)
class Row:
    """One line of a table; times in milliseconds, memory in GiB."""

    name: str
    milliseconds: float
    evaluations: int = 1
    peak: float = 0.0
    first: float = 0.0  # the first call: compilation and loading of kernels
    note: str = ""


class Bench:
    """Where and how to measure."""

    def __init__(self, size: Size, device: torch.device, *, repeats: int, compile: bool) -> None:
        self.size, self.device, self.repeats, self.compile = size, device, repeats, compile
        self.rows: list[Row] = []
        self.errors: dict[str, float] = {}

    def add(self, row: Row) -> None:
        """Keep a row, and print it."""
        self.rows.append(row)
        published = PUBLISHED.get(row.name, "")
        print(
            f"{row.name:58} {row.milliseconds:8.1f} {row.evaluations:5} {row.peak:5.2f} "
            f"{row.first:7.0f} {published:>9}  {row.note}",
            flush=True,
        )

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def time(
        self, name: str, step: Callable[[], object], *, evaluations: int = 1, note: str = ""
    ) -> Row:
        """Median time of a step, after the first call and one more to warm up."""
        gc.collect()  # what earlier stages compiled refers to itself
        first = self._once(step)
        self._once(step)
        peak = 0.0
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        times = [self._once(step) for _ in range(self.repeats)]
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device) / 2**30
        return Row(name, statistics.median(times), evaluations, peak, first, note)

    def _once(self, step: Callable[[], object]) -> float:
        self.wait()
        started = time.perf_counter()
        step()
        self.wait()
        return 1e3 * (time.perf_counter() - started)

    def random(self, *shape: int, seed: int = 0) -> Tensor:
        generator = torch.Generator(self.device).manual_seed(seed)
        return torch.randn(shape, generator=generator, device=self.device)

    def autocast(self) -> torch.autocast | nullcontext[None]:
        if self.device.type != "cuda":
            return nullcontext()
        return torch.autocast("cuda", default_dtype(self.device))


def evaluations(params: SamplingParams) -> tuple[int, int]:
    """With the condition, and without."""
    times = time_grid(params.steps, params.rescale)[:-1]
    return len(times), sum(params.guides_at(t) for t in times)


def views(bench: Bench, params: ConditionParams) -> list[tuple[Tensor, Tensor]]:
    side = params.dino.side * params.dino.patch
    seen = [(bench.random(1, c, side, side), bench.random(1, c, side, side)) for c in (3, 1)]
    if params.points is not None:
        seen.append((bench.random(1, 3, side, side), bench.random(1, 3, side, side)))
    return seen


def condition(bench: Bench, name: str, params: ConditionParams) -> Tensor:
    network = draw(lambda: ConditionEmbedder(params), bench.device)
    seen = views(bench, params)
    bench.add(bench.time(name, lambda: network(seen)))
    return network(seen)


Evaluate = Callable[[bool], object]
"""One network evaluation, with the condition or without."""


def ablate(bench: Bench, stage: str, params: SamplingParams, rows: Sequence[tuple[str, Evaluate]]):
    """Time single evaluations of each variant, and add them up as the sampler would."""
    with_condition, without = evaluations(params)
    for name, evaluate in rows:
        seen = bench.time(name, lambda f=evaluate: f(True))
        free = bench.time(name, lambda f=evaluate: f(False))
        total = with_condition * seen.milliseconds + without * free.milliseconds
        note = f"{seen.milliseconds:.1f} with condition, {free.milliseconds:.1f} without"
        first = seen.first + free.first
        peak = max(seen.peak, free.peak)
        count = with_condition + without
        bench.add(Row(f"  {stage}: {name}", total, count, peak, first, note))


def structure_flow(bench: Bench, cond: Tensor) -> None:
    params = bench.size.structure
    flow = draw(lambda: StructureFlow(params), bench.device, dtype=torch.float32)
    noise = structure_noise(params, torch.Generator(bench.device).manual_seed(0))
    now, step = torch.full((1,), 0.3, device=bench.device), torch.zeros(1, device=bench.device)
    zeros = torch.zeros_like(cond)

    def published(conditional: bool) -> object:
        with bench.autocast():
            return flow(noise, now, flow.remember(cond if conditional else zeros), step=step)

    with bench.autocast():
        kept = {True: flow.remember(cond), False: flow.remember(zeros)}

    def remembered(conditional: bool) -> object:
        with bench.autocast():
            return flow(noise, now, kept[conditional], step=step)

    def constant(conditional: bool) -> object:
        with bench.autocast():
            return flow(noise, now, kept[True] if conditional else None, step=step)

    rows = [
        ("float32 weights under autocast", published),
        ("+ keys and values of the condition kept", remembered),
        ("+ constant cross-attention without condition", constant),
    ]
    ablate(bench, "structure flow", STRUCTURE, rows)
    kept.clear()
    prepare(flow, bench.device)
    context = flow.remember(cond)

    def evaluate(conditional: bool) -> object:
        return flow(noise, now, context if conditional else None, step=step)

    ablate(bench, "structure flow", STRUCTURE, [("+ matrices cast once", evaluate)])

    def velocity(x: State, t: Tensor, view: int | None) -> State:
        return flow(StructureLatents(*x), t, None if view is None else context, step=step)

    follow(bench, "structure flow", flow, velocity, noise, STRUCTURE)


def follow(
    bench: Bench,
    stage: str,
    flow: nn.Module,
    velocity: Velocity,
    noise: State,
    params: SamplingParams,
    note: str = "",
) -> None:
    """Time a whole run of the sampler: as it is, recorded, compiled, and both."""
    count = sum(evaluations(params))

    def sample() -> State:
        return sample_flow(velocity, noise, params)

    def sample_recorded() -> State:
        return sample_flow(as_cuda_graph(velocity, bench.device), noise, params)

    bench.add(bench.time(f"  {stage}: all steps, launch by launch", sample, evaluations=count))
    bench.add(bench.time(f"  {stage}: recorded", sample_recorded, evaluations=count))
    if bench.compile:
        accelerate(flow, bench.device, compile=True)
        bench.add(bench.time(f"  {stage}: compiled", sample, evaluations=count))
    bench.add(bench.time(stage, sample_recorded, evaluations=count, note=note))


def structure_decoder(bench: Bench) -> None:
    params = bench.size.structure_decoder
    decoder = draw(lambda: StructureDecoder(params), bench.device)
    side = bench.size.structure.resolution
    cube = bench.random(1, params.latent_channels, side, side, side)
    bench.add(bench.time("structure decoder", lambda: decoder(cube)))


def latent_flow(bench: Bench, cond: Tensor) -> None:
    params, voxels = bench.size.latent, shell(bench.size.resolution, bench.device)
    flow = draw(lambda: LatentFlow(params), bench.device)
    noise = latent_noise(params, len(voxels), torch.Generator(bench.device).manual_seed(0))
    now = torch.full((1,), 0.3, device=bench.device)
    context = flow.remember(cond)

    def evaluate(conditional: bool) -> object:
        return flow(noise, now, voxels, context if conditional else None)

    use_sparse_conv(flow, SPARSE_CONV.load("reference", BackendOptions()))
    ablate(bench, "latent flow", LATENT, [("reference convolution", evaluate)])
    accelerate(flow, bench.device)
    ablate(bench, "latent flow", LATENT, [("best convolution", evaluate)])

    def velocity(x: State, t: Tensor, view: int | None) -> State:
        return (flow(x[0], t, voxels, None if view is None else context),)

    follow(bench, "latent flow", flow, velocity, (noise,), LATENT, f"{len(voxels)} voxels")


def some_latent(bench: Bench) -> SparseTensor:
    """Latents on voxels that know none of their tables yet, as those of a new object."""
    voxels = shell(bench.size.resolution, bench.device)
    return SparseTensor(bench.random(len(voxels), bench.size.latent.latent_channels), voxels)


def gaussian_decoder(bench: Bench) -> None:
    decoder = draw(lambda: GaussianDecoder(bench.size.gaussians), bench.device)
    bench.add(bench.time("gaussian decoder", lambda: decoder(some_latent(bench))))


def _make_surface(decoder: MeshDecoder, latent: SparseTensor) -> None:
    """Shift the distances until the mesh has 0.42 vertices a fine voxel, as published runs have."""
    features = decoder(latent)
    bias, distances = decoder.out_layer.bias, features.feats[:, :_CORNERS]
    wanted = 0.42 * len(features.voxels)
    low, high = 0.0, 3 * float(distances.std())
    for _ in range(8):
        shift = (low + high) / 2
        distances += shift
        few = len(extract_mesh(features).vertices) < wanted
        distances -= shift
        low, high = (low, shift) if few else (shift, high)
    bias[:_CORNERS] += low


def mesh_decoder(bench: Bench) -> None:
    decoder = draw(lambda: MeshDecoder(bench.size.mesh), bench.device)
    _make_surface(decoder, some_latent(bench))

    def decode() -> SparseTensor:
        return decoder(some_latent(bench))

    use_sparse_conv(decoder, SPARSE_CONV.load("reference", BackendOptions()))
    bench.add(bench.time("  mesh decoder: reference convolution", decode))
    accelerate(decoder, bench.device)
    bench.add(bench.time("  mesh decoder: best convolution", decode))
    mesh = extract_mesh(decode())
    note = f"{len(mesh.vertices)} vertices, {len(mesh.faces)} faces"
    name = "mesh decoder and extraction"
    bench.add(bench.time(name, lambda: extract_mesh(decode()), note=note))


def compare(bench: Bench) -> None:
    """Half precision on the device against float32 on the CPU: same weights, same noise."""
    cpu = torch.device("cpu")
    size, blocks, tokens = bench.size, bench.size.compared_blocks, bench.size.compared_tokens
    params = type(size.structure)(
        **{**vars(size.structure), "blocks": blocks},
    )
    flows: dict[str, StructureFlow] = {}
    decoders: dict[str, StructureDecoder] = {}
    flow = draw(lambda: StructureFlow(params), cpu)
    plant_object(dict(flow.named_parameters()))
    decoder = draw(lambda: StructureDecoder(size.structure_decoder), cpu)
    plant_decoder_path(dict(decoder.named_parameters()))
    for place, device in (("cpu", cpu), ("device", bench.device)):
        copy, decoder_copy = StructureFlow(params), StructureDecoder(size.structure_decoder)
        copy.load_state_dict(flow.state_dict())
        decoder_copy.load_state_dict(decoder.state_dict())
        flows[place], decoders[place] = prepare(copy, device), prepare(decoder_copy, device)

    noise = structure_noise(params, torch.Generator().manual_seed(0))
    width = params.block.condition_width
    cond = torch.randn(1, tokens, width, generator=torch.Generator().manual_seed(1))
    shapes, occupied = {}, {}
    for place, device in (("cpu", cpu), ("device", bench.device)):
        network = flows[place]
        context = network.remember(cond.to(device))
        step = torch.zeros(1, device=device)
        start = tuple(x.to(device) for x in noise)
        now = torch.full((1,), 0.3, device=device)
        for conditional in (True, False):
            memory = context if conditional else None
            v = network(StructureLatents(*start), now, memory, step=step)
            shapes[place, conditional] = torch.cat([x.flatten() for x in v]).cpu()

        def velocity(
            x: State, t: Tensor, view: int | None, network=network, context=context, step=step
        ) -> State:
            seen = None if view is None else context
            return network(StructureLatents(*x), t, seen, step=step)

        x = StructureLatents(*sample_flow(velocity, start, STRUCTURE))
        occupied[place] = (decoders[place](cube_from_tokens(x.shape)) > 0).cpu()
    for conditional, name in ((True, "with"), (False, "without")):
        error = relative(shapes["device", conditional], shapes["cpu", conditional])
        bench.errors[f"structure velocity {name} condition, relative"] = error
    a, b = occupied["device"], occupied["cpu"]
    bench.errors["voxels that differ, of those occupied"] = float((a ^ b).sum() / b.sum())
    bench.errors["voxels occupied"] = float(b.sum())

    latent_params = type(size.latent)(**{**vars(size.latent), "blocks": blocks})
    slat = draw(lambda: LatentFlow(latent_params), cpu)
    twin = LatentFlow(latent_params)
    twin.load_state_dict(slat.state_dict())
    prepare(twin, bench.device)
    voxels = shell(size.resolution // 2, cpu)
    there = type(voxels)(voxels.coords.to(bench.device), voxels.resolution)
    feats = latent_noise(latent_params, len(voxels), torch.Generator().manual_seed(0))
    now = torch.full((1,), 0.3)
    for conditional, name in ((True, "with"), (False, "without")):
        expected = slat(feats, now, voxels, slat.remember(cond) if conditional else None)
        memory = twin.remember(cond.to(bench.device)) if conditional else None
        actual = twin(feats.to(bench.device), now.to(bench.device), there, memory)
        key = f"latent velocity {name} condition, relative"
        bench.errors[key] = relative(actual.cpu(), expected)


def relative(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).norm() / expected.norm())


def print_errors(bench: Bench) -> None:
    blocks, tokens = bench.size.compared_blocks, bench.size.compared_tokens
    print(f"\nagainst float32 on the CPU: {blocks} blocks, {tokens} condition tokens")
    for error, value in bench.errors.items():
        print(f"{error:58} {value:10.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    size = {"full": FULL, "tiny": TINY}[options.size]
    bench = Bench(
        size, torch.device(options.device), repeats=options.repeats, compile=options.compile
    )
    gpu = bench.device.type == "cuda"
    name = torch.cuda.get_device_name(bench.device) if gpu else "CPU"
    print(f"{name}, PyTorch {torch.__version__}, {default_dtype(bench.device)} in the blocks\n")
    print(f"{'':58} {'ms':>8} {'evals':>5} {'GiB':>5} {'first':>7} {'published':>9}")
    with torch.inference_mode():
        gaussian_decoder(bench)
        mesh_decoder(bench)
        cond = condition(bench, "condition, first stage", size.structure_condition)
        structure_flow(bench, cond)
        structure_decoder(bench)
        cond = condition(bench, "condition, second stage", size.latent_condition)
        latent_flow(bench, cond)
        del cond
        compare(bench)
    print_errors(bench)
    if options.json:
        content = {"rows": [asdict(row) for row in bench.rows], "errors": bench.errors}
        options.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
