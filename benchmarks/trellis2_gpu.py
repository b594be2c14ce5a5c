"""Time TRELLIS.2 on one device, with random weights of the published sizes and a planted surface.

    python -m benchmarks.trellis2_gpu [--size tiny] [--device cpu] [--kinds 512,1024_cascade]
        [--model pixal3d] [--compile] [--budgets [only]] [--repeats 3] [--stacks FILE] [--json FILE]

lifts one object through the model's own code and finishes its mesh. Random weights make no object,
so its voxels, its surface and its materials are a hollow ball's, some 20 000 tokens at 1024, each
split into as many fine voxels as a real surface's would be. For every stage: calls, milliseconds
(median of the repeats) and GiB at its peak; then the whole object, best of the repeats. `--budgets`
runs again within 8 GB (512) and 12 GB (1024), `--budgets only` runs within them alone. Pixal3D has
the same networks, told of every token's own pixel, and cascades only. The published figures are
their authors': 3 s and 17 s on an H100, without a texture.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # nothing need be installed

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.stacks import watching
from scenelift.device import limit_memory
from scenelift.errors import SceneliftError
from scenelift.finish.stage import finish_mesh
from scenelift.models.layers.attention import PixelCondition
from scenelift.models.layers.dinov3 import DinoV3
from scenelift.models.layers.sparse import SparseTensor, Voxels
from scenelift.models.pixal3d.checkpoints import Pixal3DModels
from scenelift.models.pixal3d.model import Pixal3D, View
from scenelift.models.pixal3d.naf import NAF
from scenelift.models.slat.acceleration import accelerate
from scenelift.models.slat.first_stage import FirstStageResult, Sampling
from scenelift.models.slat.frame import OBJECT_FROM_ZUP
from scenelift.models.slat.sampling import SamplingParams, State
from scenelift.models.slat.structure_decoder import StructureDecoder
from scenelift.models.trellis2.checkpoints import Trellis2Models
from scenelift.models.trellis2.config import PUBLISHED
from scenelift.models.trellis2.decoder import VoxelDecoder
from scenelift.models.trellis2.dual_grid import dual_grid_mesh
from scenelift.models.trellis2.flow import VoxelFlow
from scenelift.models.trellis2.model import Trellis2, _DecodedShape
from scenelift.options import UNLIMITED, FinishOptions, ReconstructionOptions, VoxelKind
from scenelift.progress import Reporter, silent
from scenelift.reconstruct.surface import shape_of_surface
from scenelift.testing.fake_trellis2 import FULL2, TINY2, Sizes2
from scenelift.testing.planted_surface import PlantedSurface, Solid, plant, striped
from scenelift.testing.random_networks import draw

GIB = 2**30
STAGES = (
    *("_look", "_condition_on_cells", "_structure", "_logits", "_sample"),
    *("_split", "_decode_shape", "_decode_texture"),
)
BUDGETS = {"512": 8 * 10**9, "1024_cascade": 12 * 10**9}


def hollow_ball(outer: float = 0.45, inner: float = 0.28) -> Solid:
    def distance(p: Tensor) -> Tensor:
        away = p.norm(dim=1)
        return torch.maximum(away - outer, inner - away)

    return distance


def made_up_models(
    sizes: Sizes2, kind: VoxelKind, device: torch.device, *, pixal3d: bool = False
) -> Trellis2Models:
    """All networks with random weights, on the host in the types that they run in."""
    half, flow = (torch.float16, torch.bfloat16) if device.type == "cuda" else (torch.float32,) * 2
    latent = sizes.decoder.latent_channels

    def one(build: Callable[[], Any], dtype: torch.dtype) -> Any:
        network = draw(build, device, dtype=dtype)
        return network.to("cpu")

    def voxel_flow(i: int, o: int, *, varying: bool = True) -> VoxelFlow:
        params = replace(sizes.flow, in_channels=i, out_channels=o)
        if pixal3d:  # coarse features of a token's pixel, and fine ones beside
            told = sizes.dino.width * (2 if varying else 1)
            params = replace(params, block=replace(params.block, pixel_width=told))
        return one(lambda: VoxelFlow(params, varying_tokens=varying), flow)

    texture = replace(sizes.decoder, out_channels=6, decides=False)
    networks = Trellis2Models(
        settings=PUBLISHED,
        kind=kind,
        image_embedder=one(lambda: DinoV3(sizes.dino), torch.float32),
        structure_flow=voxel_flow(8, 8, varying=False),
        structure_decoder=one(lambda: StructureDecoder(sizes.structure_decoder), half),
        side=sizes.side,
        coarse_flow=voxel_flow(latent, latent) if kind.endswith("cascade") else None,
        shape_flow=voxel_flow(latent, latent),
        texture_flow=voxel_flow(2 * latent, latent),
        shape_decoder=one(lambda: VoxelDecoder(sizes.decoder), half),
        texture_decoder=one(lambda: VoxelDecoder(texture), half),
    )
    if not pixal3d:
        return networks
    shared = {f.name: getattr(networks, f.name) for f in fields(networks)}
    return Pixal3DModels(**shared, naf=one(lambda: NAF(sizes.naf_width), torch.float32))


class _Planted(Trellis2):
    """The model, with a hollow ball where its networks decide what there is."""

    coarse: PlantedSurface
    fine: PlantedSurface

    def plant(self) -> None:
        finer = self.models.shape_decoder.params.finer
        low = self._resolution(512)

        def surface(side: int) -> PlantedSurface:
            return plant(hollow_ball(), striped, side, finer=finer, device=str(self.device))

        self.coarse = self.fine = surface(low)
        if self.models.kind != "512":
            # As many voxels a side as the model itself has room for.
            target = self._resolution(1536 if self.models.kind == "1536_cascade" else 1024)
            _, side = super()._finer_cells(self.coarse.voxels.coords, low, target)
            self.fine = surface(side)

    def _structures(
        self, starts: Sequence[State], sample: Callable[[State, Reporter], State], report: Reporter
    ) -> list[tuple[State, Tensor]]:
        made = super()._structures(starts, sample, report)
        return [(tuple(torch.zeros_like(x) for x in s), self.coarse.tokens.coords) for s, _ in made]

    def _sample(
        self,
        network: VoxelFlow,
        sampling: SamplingParams,
        voxels: Voxels,
        noise: Tensor,
        condition: Tensor | PixelCondition,
        report: Reporter,
        message: str,
        beside: Tensor | None = None,
    ) -> Tensor:
        x = super()._sample(network, sampling, voxels, noise, condition, report, message, beside)
        return x.nan_to_num(0, 0, 0).clamp(-3, 3)

    def _split(self, shape: SparseTensor) -> Voxels:
        decoder = self.models.shape_decoder
        with self.memory.running(decoder, working=GIB) as network:
            network(shape, self.coarse.logits)  # a little more than `split` does
        return self.coarse.voxels

    def _finer_cells(self, coords: Tensor, side: int, resolution: int) -> tuple[Tensor, int]:
        super()._finer_cells(coords, side, resolution)
        return self.fine.tokens.coords, resolution

    def _decode_shape(self, shape: SparseTensor, resolution: int) -> _DecodedShape:
        with self.memory.running(self.models.shape_decoder, working=GIB) as decoder:
            decoded = decoder(shape, self.fine.logits)
        cells = decoded.voxels.coords[:, 1:]
        surface = dual_grid_mesh(cells, self.fine.grid, resolution)
        voxels = Voxels(decoded.voxels.coords, decoded.voxels.resolution)
        return _DecodedShape(surface=surface, voxels=voxels, logits=self.fine.logits)

    def _decode_texture(self, texture: SparseTensor, logits: Sequence[Tensor]) -> Tensor:
        super()._decode_texture(texture, logits)
        return self.fine.attributes


class Planted(_Planted):
    def begin_one(self, picture: NDArray[np.uint8], report: Reporter) -> FirstStageResult:
        return self.begin(picture, seeds=[1], report=report)[0]


class PlantedPixal3D(_Planted, Pixal3D):
    def begin_one(self, picture: NDArray[np.uint8], report: Reporter) -> FirstStageResult:
        return self.begin_view(View(picture=picture, fov=0.6), seeds=[1], report=report)[0]


class Clock:
    """Times methods of a model, waiting for the device around each."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.taken: dict[str, list[float]] = {}
        self.peaks: dict[str, float] = {}

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.wait()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        started = time.perf_counter()
        yield
        self.wait()
        self.taken.setdefault(name, []).append(time.perf_counter() - started)
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device) / GIB
            self.peaks[name] = max(peak, self.peaks.get(name, 0.0))

    def watch(self, model: Trellis2) -> None:
        for name in STAGES:
            method = getattr(model, name)

            def timed(*arguments: Any, method: Any = method, name: str = name, **named: Any) -> Any:
                label = f"{name} {arguments[6]}" if name == "_sample" else name
                with self.stage(label):
                    return method(*arguments, **named)

            setattr(model, name, timed)


def one_object(model: Planted | PlantedPixal3D, clock: Clock, report: Reporter) -> dict[str, float]:
    """Picture to finished mesh; how much of everything there was."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)
    first = model.begin_one(picture, report)
    lifted = model.complete(first, report=report)
    with clock.stage("shape"):
        shape, _ = shape_of_surface(lifted, OBJECT_FROM_ZUP, seed=1)
    assert shape.mesh is not None
    with clock.stage("finish"):
        done = finish_mesh(
            shape.mesh,
            shape.gaussians,
            FinishOptions(),
            device="cuda" if model.device.type == "cuda" else "cpu",
            materials=shape.materials,
        )
    for name, seconds in done.seconds.items():
        clock.taken.setdefault(f"  finish: {name}", []).append(seconds)
    return {
        "coarse tokens": len(model.coarse.tokens),
        "tokens": lifted.tokens,
        "voxels": len(lifted.cells),
        "faces decoded": len(lifted.faces),
        "faces": len(done.mesh.faces),
    }


def run(
    sizes: Sizes2,
    kind: VoxelKind,
    device: torch.device,
    options: argparse.Namespace,
    limit: int | None,
) -> dict[str, Any]:
    if device.type == "cuda":
        limit_memory(device, UNLIMITED)  # the networks are drawn there
    pixal3d = options.model == "pixal3d"
    models = made_up_models(sizes, kind, device, pixal3d=pixal3d)
    for network in models.accelerable:
        accelerate(network, device, compile=options.compile)
    model = (PlantedPixal3D if pixal3d else Planted)(
        models,
        device=device,
        dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
        sampling=Sampling.of(
            ReconstructionOptions(structure_steps=options.steps, latent_steps=options.steps),
            models.settings,
        ),
        vram_bytes=UNLIMITED if limit is None else limit,
    )
    model.plant()
    limit_memory(device, UNLIMITED if limit is None else limit)
    amounts, walls, clock = {}, [], Clock(device)
    one_object(model, clock, silent())  # compiles, and fills the device
    clock = Clock(device)
    clock.watch(model)
    highest = 0.0
    for _ in range(options.repeats):
        clock.wait()
        started = time.perf_counter()
        amounts = one_object(model, clock, silent())
        clock.wait()
        walls.append(time.perf_counter() - started)
        highest = max(highest, *clock.peaks.values(), 0.0) if clock.peaks else 0.0
    if options.stacks:
        with watching() as trees:
            one_object(model, Clock(device), silent())
        with options.stacks.open("a") as file:
            for thread, tree in trees.items():
                file.write("\n".join(tree.lines(thread, least=0.02)) + "\n")
    evaluations = {
        "structure": models.settings.structure_sampling,
        "shape": models.settings.latent_sampling,
        "texture": models.settings.texture_sampling,
    }
    label = f"{options.model}, {kind}{', compiled' if options.compile else ''}"
    label += f", within {limit / 1e9:.0f} GB" if limit else ""
    print(f"\n{label}: {', '.join(f'{v:,} {k}' for k, v in amounts.items())}")
    for name, times in clock.taken.items():
        calls = len(times) // options.repeats
        print(
            f"  {name:32} {calls:3} x {1000 * statistics.median(times):9.1f} ms"
            f"   {clock.peaks.get(name, 0.0):6.2f} GiB"
        )
    print(f"  whole object, best of {options.repeats}: {min(walls):.3f} s, peak {highest:.2f} GiB")
    return {
        "kind": kind,
        "limit": limit,
        "compiled": options.compile,
        "amounts": amounts,
        "evaluations": {n: p.steps + sum(p.guided_steps()) for n, p in evaluations.items()},
        "ms": {n: 1000 * statistics.median(t) for n, t in clock.taken.items()},
        "calls": {n: len(t) // options.repeats for n, t in clock.taken.items()},
        "gib": clock.peaks,
        "seconds": walls,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", choices=("tiny", "full"), default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", choices=("trellis2", "pixal3d"), default="trellis2")
    parser.add_argument("--kinds", default="512,1024_cascade")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument(
        "--budgets", nargs="?", const="too", choices=("too", "only"), help="within 8 and 12 GB"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=None, help="of every flow (published: 12)")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--stacks", type=Path, help="write where one more run's time goes here")
    options = parser.parse_args()
    device, sizes = torch.device(options.device), {"tiny": TINY2, "full": FULL2}[options.size]
    if device.type == "cuda":
        print(torch.cuda.get_device_name(device), torch.__version__)
    results = []
    for kind in options.kinds.split(","):
        limits = {None: [None], "too": [None, BUDGETS.get(kind)], "only": [BUDGETS.get(kind)]}
        for limit in limits[options.budgets]:
            try:
                results.append(run(sizes, kind, device, options, limit))
            except (SceneliftError, RuntimeError, ValueError):
                print(f"\n{kind}, limit {limit}: failed")
                traceback.print_exc(limit=6, file=sys.stdout)
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()
                limit_memory(device, UNLIMITED)
            sys.stdout.flush()
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
