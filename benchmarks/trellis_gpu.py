"""Time TRELLIS next to SAM 3D Objects on one device, with random weights of the published sizes.

    python benchmarks/trellis_gpu.py [--size tiny] [--device cpu] [--json FILE]

lifts one object through each model's own code, and prints for every stage milliseconds (median)
and GiB: what it takes beyond the weights that are there when it begins. Then whole objects, at
other settings: compiled, with fewer steps, within 8 GB, of four photos in both ways. A run that
fails is named, and the others go on. Random weights make no object, so the voxels that carry
latents are a shell of the cube in both models: 25 864 at full size.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import gc
import json
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scenelift.device import choose_dtype
from scenelift.errors import SceneliftError
from scenelift.models.layers.dino import DinoEmbedder
from scenelift.models.layers.sparse import SparseTensor
from scenelift.models.sam3d.checkpoints import Sam3dModels
from scenelift.models.sam3d.condition import ConditionEmbedder
from scenelift.models.sam3d.config import PUBLISHED as SAM3D_SETTINGS
from scenelift.models.sam3d.model import SAM3D
from scenelift.models.sam3d.preprocess import ConditionImages, PointViews
from scenelift.models.sam3d.structure_flow import StructureFlow as Sam3dStructureFlow
from scenelift.models.slat.acceleration import accelerate
from scenelift.models.slat.first_stage import FirstStageResult, Sampling
from scenelift.models.slat.flexicubes import extract_mesh
from scenelift.models.slat.gaussian_decoder import GaussianDecoder
from scenelift.models.slat.latent_flow import LatentFlow
from scenelift.models.slat.mesh_decoder import MeshDecoder
from scenelift.models.slat.structure_decoder import StructureDecoder
from scenelift.models.slat.voxels import OccupiedVoxels
from scenelift.models.trellis.checkpoints import TrellisModels
from scenelift.models.trellis.config import PUBLISHED as TRELLIS_SETTINGS
from scenelift.models.trellis.model import Trellis
from scenelift.models.trellis.structure_flow import StructureFlow
from scenelift.options import ReconstructionOptions
from scenelift.testing.random_networks import FULL, TINY, Size, draw, shell

GIB = 2**30
_CORNERS = 8  # the mesh decoder's first channels: distances at a voxel's corners

# Methods of the walk, in its order.
STAGES = {
    "_look": "looking at the object",
    "_sample_structure": "structure flow",
    "_logits": "structure decoder",
    "_latent": "latent flow",
    "_gaussians": "splats",
    "_mesh": "mesh",
}


class Clock:
    """Exclusive time and extra memory of nested calls."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self.gib: dict[str, float] = {}
        self._inner: list[float] = []

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        self.wait()
        cuda = self.device.type == "cuda"
        before = torch.cuda.memory_allocated(self.device) if cuda else 0
        if cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        self._inner.append(0.0)
        started = time.perf_counter()
        yield
        self.wait()
        elapsed = time.perf_counter() - started
        nested = self._inner.pop()
        if self._inner:
            self._inner[-1] += elapsed
        self.seconds[name] = self.seconds.get(name, 0.0) + elapsed - nested
        peak = torch.cuda.max_memory_allocated(self.device) if cuda else 0
        self.gib[name] = max(self.gib.get(name, 0.0), (peak - before) / GIB)


def on_a_shell(model: Any, size: Size, clock: Clock | None) -> Any:
    """The model with its object replaced, and its stages timed where there is a clock."""

    def occupied(begun: FirstStageResult) -> OccupiedVoxels:
        return OccupiedVoxels(coords=shell(size.resolution, model.device).coords)

    model._occupied = occupied
    for method, stage in STAGES.items() if clock else ():
        inner = getattr(model, method)

        @functools.wraps(inner)
        def timed(*a: Any, _inner: Callable = inner, _stage: str = stage, **k: Any) -> Any:
            assert clock is not None
            with clock.timing(_stage):
                return _inner(*a, **k)

        setattr(model, method, timed)
    return model


class Bench:
    """Both models' networks on the host, and objects of them."""

    def __init__(self, size: Size, device: torch.device, repeats: int) -> None:
        # Without projections, TRELLIS's condition is as wide as DINOv2.
        width = size.latent_condition.dino.width
        self.size, self.device, self.repeats = size, device, repeats
        self.dtype = choose_dtype(device)
        self.trellis_size = dataclasses.replace(
            size,
            structure=_with_condition(size.structure, width),
            latent=_with_condition(size.latent, width),
        )
        self.results: dict[str, Any] = {}

    def host(self, build: Callable[[], nn.Module], dtype: torch.dtype | None = None) -> Any:
        """A random network, drawn on the device because that is faster, on the host."""
        network = draw(build, self.device, dtype=dtype).to("cpu")
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return network

    def decoders(self, size: Size) -> dict[str, Any]:
        mesh = draw(lambda: MeshDecoder(size.mesh), self.device)
        make_surface(mesh, size)
        return {
            "structure_decoder": self.host(lambda: StructureDecoder(size.structure_decoder)),
            "latent_flow": self.host(lambda: LatentFlow(size.latent)),
            "gaussian_decoder": self.host(lambda: GaussianDecoder(size.gaussians)),
            "mesh_decoder": mesh.to("cpu"),
        }

    def trellis_models(self) -> TrellisModels:
        size = self.trellis_size
        dino = size.latent_condition.dino
        return TrellisModels(
            settings=TRELLIS_SETTINGS,
            image_embedder=self.host(lambda: DinoEmbedder(dino, prenorm=True), torch.float32),
            structure_flow=self.host(lambda: StructureFlow(size.structure)),
            **self.decoders(size),
        )

    def sam3d_models(self) -> Sam3dModels:
        size = self.size
        conditions = [
            self.host(lambda params=params: ConditionEmbedder(params))
            for params in (size.structure_condition, size.latent_condition)
        ]
        # As in the published files, whose four copies of DINOv2 share memory.
        first, *others = (e.backbone for c in conditions for e in c.dino_embedders)
        for other in others:
            for name, parameter in other.named_parameters():
                parameter.data = first.get_parameter(name).data
        return Sam3dModels(
            settings=SAM3D_SETTINGS,
            structure_condition=conditions[0],
            structure_flow=self.host(lambda: Sam3dStructureFlow(size.structure)),
            latent_condition=conditions[1],
            **self.decoders(size),
        )

    def model(
        self,
        kind: type[Trellis] | type[SAM3D],
        models: Any,
        *,
        clock: Clock | None = None,
        vram_bytes: int | None = None,
        compile: bool = False,
        **steps: int,
    ) -> Any:
        options = ReconstructionOptions(**steps)  # pyright: ignore[reportArgumentType]
        for network in (models.structure_flow, models.latent_flow, models.mesh_decoder):
            accelerate(network, self.device, compile=compile)
        made = kind(
            models,
            device=self.device,
            dtype=self.dtype,
            sampling=Sampling.of(options, models.settings),
            vram_bytes=vram_bytes,
        )
        return on_a_shell(made, self.size, clock)

    def stages(self, name: str, lift: Callable[[], object], clock: Clock) -> None:
        """Median over the repeats of each stage, after two objects to warm up."""
        rows: dict[str, list[float]] = {}
        for k in range(2 + self.repeats):
            clock.seconds.clear()
            clock.gib.clear()
            lift()
            for stage, seconds in clock.seconds.items() if k >= 2 else ():
                rows.setdefault(stage, []).append(seconds)
        print(f"\n{name:58} {'ms':>8} {'GiB':>6}")
        found = {}
        for stage in STAGES.values():
            ms = 1e3 * statistics.median(rows[stage])
            found[stage] = {"ms": ms, "gib": clock.gib[stage]}
            print(f"  {stage:56} {ms:8.1f} {clock.gib[stage]:6.2f}", flush=True)
        print(f"  {'sum':56} {sum(s['ms'] for s in found.values()):8.1f}", flush=True)
        self.results[name] = found

    def whole(self, name: str, model: Any, lift: Callable[[], Any]) -> None:
        """Time of a whole object: of the first, and the median of others; and peak memory."""
        cuda = self.device.type == "cuda"
        if cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        times = []
        lifted: Any = None
        for _ in range(2 + self.repeats):
            started = time.perf_counter()
            lifted = lift()
            times.append(1e3 * (time.perf_counter() - started))
        peak = torch.cuda.max_memory_allocated(self.device) / GIB if cuda else 0.0
        ms = statistics.median(times[2:])
        note = f"{lifted.voxels} voxels, {len(lifted.mesh.faces)} faces"
        note += f"; {'; '.join(lifted.notes)}" if lifted.notes else ""
        print(f"{name:58} {ms:8.1f} {peak:6.2f} {times[0]:9.0f}  {note}", flush=True)
        self.results[name] = {"ms": ms, "gib": peak, "first_ms": times[0], "note": note}
        model.release()


def _with_condition(params: Any, width: int) -> Any:
    block = dataclasses.replace(params.block, condition_width=width)
    return dataclasses.replace(params, block=block)


@torch.inference_mode()
def make_surface(decoder: MeshDecoder, size: Size) -> None:
    """Shift the distances until the mesh has 0.42 vertices a fine voxel, as published runs have."""
    device = decoder.out_layer.weight.device
    voxels = shell(size.resolution, device)
    noise = torch.randn(
        len(voxels),
        size.latent.latent_channels,
        generator=torch.Generator(device).manual_seed(0),
        device=device,
    )
    features = decoder(SparseTensor(noise, voxels))
    distances = features.feats[:, :_CORNERS]
    low, high = 0.0, 3 * float(distances.std())
    for _ in range(8):
        shift = (low + high) / 2
        distances += shift
        few = len(extract_mesh(features).vertices) < 0.42 * len(features.voxels)
        distances -= shift
        low, high = (low, shift) if few else (shift, high)
    decoder.out_layer.bias[:_CORNERS] += low


def pictures(size: Size, count: int) -> list[np.ndarray]:
    side = size.latent_condition.dino.side * size.latent_condition.dino.patch
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(count)]


def view(size: Size, device: torch.device) -> ConditionImages:
    side = size.structure_condition.dino.side * size.structure_condition.dino.patch
    rng = torch.Generator(device).manual_seed(0)

    def random(channels: int) -> Tensor:
        return torch.rand(1, channels, side, side, generator=rng, device=device)

    points = PointViews(
        crop=random(3),
        full=random(3),
        scale=torch.ones(3, device=device),
        shift=torch.zeros(3, device=device),
    )
    return ConditionImages(
        image=random(3), mask=random(1), full_image=random(3), full_mask=random(1), points=points
    )


def attempt(name: str, step: Callable[[], None], failures: list[str]) -> None:
    try:
        step()
    except (SceneliftError, RuntimeError, ValueError, TypeError, LookupError, OSError) as exc:
        failures.append(f"{name}: {type(exc).__name__}: {exc}")
        traceback.print_exc(limit=4)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    device = torch.device(options.device)
    bench = Bench({"full": FULL, "tiny": TINY}[options.size], device, options.repeats)
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{gpu}, PyTorch {torch.__version__}, {bench.dtype} in the blocks", flush=True)
    failures: list[str] = []

    trellis = bench.trellis_models()
    sides = pictures(bench.size, 4)

    def staged_trellis() -> None:
        clock = Clock(device)
        model = bench.model(Trellis, trellis, clock=clock)
        bench.stages("TRELLIS: 25 + 25 steps", lambda: model.lift(sides[:1], seed=0), clock)
        model.release()

    attempt("TRELLIS, stages", staged_trellis, failures)

    sam3d = bench.sam3d_models()
    seen = view(bench.size, device)

    def staged_sam3d() -> None:
        clock = Clock(device)
        model = bench.model(SAM3D, sam3d, clock=clock)
        bench.stages("SAM 3D Objects: 25 + 25 steps", lambda: model.lift(seen, seed=0), clock)
        model.release()

    attempt("SAM 3D Objects, stages", staged_sam3d, failures)

    print(f"\n{'whole objects':58} {'ms':>8} {'peak':>6} {'first':>9}")

    def whole_sam3d(name: str, **settings: Any) -> Callable[[], None]:
        def step() -> None:
            model = bench.model(SAM3D, sam3d, **settings)
            bench.whole(name, model, lambda: model.lift(seen, seed=0))

        return step

    def whole_trellis(
        name: str, count: int = 1, mode: Any = "stochastic", **settings: Any
    ) -> Callable[[], None]:
        def step() -> None:
            model = bench.model(Trellis, trellis, **settings)
            bench.whole(name, model, lambda: model.lift(sides[:count], seed=0, mode=mode))

        return step

    few = {"structure_steps": 12, "latent_steps": 12}
    for name, build, settings in (
        ("TRELLIS", whole_trellis, {}),
        ("SAM 3D Objects", whole_sam3d, {}),
        ("TRELLIS, 12 + 12 steps", whole_trellis, few),
        ("SAM 3D Objects, 12 + 12 steps", whole_sam3d, few),
        ("TRELLIS, four photos, stochastic", whole_trellis, {"count": 4}),
        (
            "TRELLIS, four photos, multidiffusion",
            whole_trellis,
            {"count": 4, "mode": "multidiffusion"},
        ),
        ("TRELLIS, within 8 GB", whole_trellis, {"vram_bytes": 8 * 10**9}),
        ("SAM 3D Objects, within 8 GB", whole_sam3d, {"vram_bytes": 8 * 10**9}),
        # Last, since compiled blocks stay so.
        ("TRELLIS, compiled", whole_trellis, {"compile": options.compile}),
        ("SAM 3D Objects, compiled", whole_sam3d, {"compile": options.compile}),
    ):
        if options.compile or "compile" not in settings:
            attempt(name, build(name, **settings), failures)

    for failure in failures:
        print(f"FAILED {failure}")
    if options.json:
        content = {"device": gpu, "results": bench.results, "failures": failures}
        options.json.write_text(json.dumps(content, indent=1))
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
