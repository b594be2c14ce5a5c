"""Time whole scenes on one device: photo and masks in, every file of the output folder out.

    python -m benchmarks.scene_gpu [--size tiny] [--device cpu] [--objects 1,4,27] [--kind ugly]
        [--model trellis2] [--ways plain,fast,compiled,compiled+caching] [--keep-stages]
        [--vram 8GB [--alone-with 8GB]] [--repeats 3,3,0] [--stacks FILE] [--kernels FILE]
        [--json FILE]

For every number of objects: a first run in this process, then `--repeats` more (one number, or one
for each number of objects), of which the best is shown, stage by stage. Networks have random
weights of the published sizes, and what they "find" is planted: see `planted.py`. Columns: seconds
of each stage, summed over the objects (stages overlap, so they may sum to more than the wall time);
wall time; share of the wall time in which the GPU computed (sampled by NVML); GiB at the peak, by
this process's tensors, by what PyTorch held, and of host memory; with `--device cuda:all`, of the
process that leads.

`--keep-stages` stores every stage's result meanwhile, as the command line does, so that a run could
be resumed. `--alone-with 8GB` has another process take all of the device's memory but that, first.
The published code's figures, printed below, are their authors'.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # nothing need be installed

import torch

from benchmarks.kernels import recording
from benchmarks.planted import (
    PlantedPointMapper,
    PlantedReconstructor,
    Planting,
    made_up_backends,
)
from benchmarks.stacks import Tree, watching
from scenelift import overlap
from scenelift.crew import Crew
from scenelift.device import split_devices
from scenelift.options import ReconstructionOptions, read_bytes
from scenelift.output.manifest import read_manifest
from scenelift.output.scene import peak_memory_bytes
from scenelift.pipeline import Pipeline
from scenelift.progress import Event, Reporter
from scenelift.runtime import Runtime
from scenelift.segment.given import GivenSegmenter
from scenelift.stages import StageStore

GIB = 2**30
STAGES = (
    *("segment", "pointmap", "reconstruct", "finish"),
    *("compose", "background", "preview", "write"),
)
PUBLISHED = """published, by their authors (other hardware, other objects):
  SAM 3D Objects, networks alone, one object on an H100    5.3 s; its texture some 30 s more
  SAM 3D Objects, scenes of 27 objects, GPU not named      230 to 462 s"""


@dataclass
class Run:
    """What one run took.

    Attributes:
        wall: seconds, all of it. busy: share of them in which the GPU computed, or None.
        first_object: seconds until one object was finished.
        tail: seconds from the last object's finishing to the end.
        stages: seconds of each, summed over the objects.
        allocated, held: GiB of the device at the peak. host: GiB of this process, so far.
        retries: how often PyTorch gave back all the memory that it kept, to get some: the device
            waits for that.
        frees: pieces of memory that were given back to CUDA, one by one or all at once.
        pools: GiB that PyTorch holds at the end, and those of them in use, by stream and kind.
        made: checksum of what the networks made, whatever stands in its place; of a crew none.
        notes: of the scene's manifest, which say what could not be done as wanted.
    """

    wall: float
    busy: float | None
    first_object: float
    tail: float
    stages: dict[str, float]
    allocated: float
    held: float
    host: float
    retries: int
    faces: list[int]
    textured: int
    made: str
    frees: int
    pools: dict[str, tuple[float, float]]
    notes: list[str] = field(default_factory=list)


def lift(
    pipeline: Pipeline,
    planting: Planting,
    folder: Path,
    devices: Sequence[str],
    *,
    keep_stages: bool = False,
    listen: Callable[[Event], object] = lambda event: None,
) -> Run:
    """Run the whole job once, into an empty folder."""
    device = torch.device(devices[0])
    shutil.rmtree(folder, ignore_errors=True)
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    retries, frees = _retries(device), _frees(device)
    finished: list[float] = []

    def hear(event: Event) -> None:
        listen(event)
        if event.kind == "stage_finished" and event.stage == "finish":
            finished.append(time.perf_counter())

    began = time.perf_counter()
    with sampling(devices) as samples:
        store = StageStore(folder.with_name("stages")) if keep_stages else None
        scene = pipeline.run(planting.image, "vase", report=Reporter(hear), store=store)
        scene.save(folder)
        if store is not None:
            store.clear()
    wall = time.perf_counter() - began
    manifest = read_manifest(folder)
    stages: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    for timing in manifest.timings:
        stages[timing.stage] = stages.get(timing.stage, 0.0) + timing.seconds
    notes = [*manifest.notes, *(note for o in manifest.objects for note in o.notes)]
    notes += [f"{failed.label}: {failed.reason}" for failed in manifest.failed]
    return Run(
        wall=wall,
        busy=sum(samples) / len(samples) if samples else None,
        first_object=min(finished, default=began) - began,
        tail=began + wall - max(finished, default=began),
        stages=stages,
        allocated=torch.cuda.max_memory_allocated(device) / GIB if cuda else 0.0,
        held=torch.cuda.max_memory_reserved(device) / GIB if cuda else 0.0,
        host=(peak_memory_bytes() or 0) / GIB,
        retries=_retries(device) - retries,
        faces=[o.faces for o in manifest.objects],
        textured=sum(
            o.shape.mesh is not None and o.shape.mesh.texture is not None for o in scene.objects
        ),
        made=_checksum(pipeline.reconstructor),
        frees=_frees(device) - frees,
        pools=_pools(device),
        notes=list(dict.fromkeys(notes)),
    )


def _checksum(reconstructor: Any) -> str:
    text = json.dumps(sorted(reconstructor.made.items()))
    return f"{zlib.crc32(text.encode()):08x}" if reconstructor.made else ""


def _frees(device: torch.device) -> int:
    return torch.cuda.memory_stats(device)["num_device_free"] if device.type == "cuda" else 0


def _pools(device: torch.device) -> dict[str, tuple[float, float]]:
    """What each stream holds for itself, and what is held for recordings."""
    pools: dict[str, tuple[float, float]] = {}
    for segment in torch.cuda.memory_snapshot() if device.type == "cuda" else ():
        is_recorded = tuple(segment.get("segment_pool_id", (0, 0))) != (0, 0)
        name = f"{segment['stream'] % 10**6}{' recorded' if is_recorded else ''}"
        held, used = pools.get(name, (0.0, 0.0))
        pools[name] = (
            held + segment["total_size"] / GIB,
            used + segment["allocated_size"] / GIB,
        )
    return pools


def _retries(device: torch.device) -> int:
    return torch.cuda.memory_stats(device)["num_alloc_retries"] if device.type == "cuda" else 0


@contextmanager
def sampling(devices: Sequence[str]) -> Iterator[list[float]]:
    """Fill a list with the devices' mean utilisation, 0…1, every 50 ms; a CPU has none."""
    samples: list[float] = []
    done = threading.Event()
    gpus = [torch.device(name) for name in devices if name.startswith("cuda")]

    def sample() -> None:
        while gpus and not done.wait(0.05):
            samples.append(sum(torch.cuda.utilization(gpu) for gpu in gpus) / len(gpus) / 100)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


@contextmanager
def others_hold(device: torch.device, left: int | None) -> Iterator[None]:
    """Let another process take all of a device's memory but `left` bytes."""
    if left is None:
        yield
        return
    code = (
        "import sys, torch\n"
        "free, _ = torch.cuda.mem_get_info(sys.argv[1])\n"
        "taken = max(0, free - int(sys.argv[2]))\n"
        "held = torch.zeros(taken, dtype=torch.uint8, device=sys.argv[1])\n"
        "print(torch.cuda.mem_get_info(sys.argv[1])[0] / 2**30, flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(device), str(left)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        say(f"another process holds the rest: {float(other.stdout.readline()):.2f} GiB are free")
        try:
            yield
        finally:
            other.stdin.close()
            other.wait()


def since_process_began() -> float:
    """Seconds, on Linux."""
    ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def say(text: str) -> None:
    print(text, flush=True)  # whatever happens next, this was measured


def show(name: str, run: Run) -> None:
    stages = " ".join(f"{run.stages[stage]:7.2f}" for stage in STAGES)
    busy = "    -" if run.busy is None else f"{run.busy:5.0%}"
    say(
        f"{name:22} {stages} {run.wall:8.2f} {busy} {run.allocated:6.2f} {run.held:6.2f} "
        f"{run.host:6.2f}"
    )


def _backends(
    options: argparse.Namespace, plantings: Sequence[Planting], devices: Sequence[str], way: str
) -> tuple[PlantedPointMapper, PlantedReconstructor, Crew | None]:
    """Those of one way of `--ways`."""
    told = way.split("+")
    unknown = set(told) - {"plain", "fast", "caching", "compiled"}
    if unknown:
        raise SystemExit(f"--ways: {', '.join(unknown)} is none of plain, fast, caching, compiled")
    return made_up_backends(
        options.model,
        options.size,
        plantings,
        devices,
        compile="compiled" in told,
        vram_bytes=read_bytes(options.vram) if options.vram else None,
        fast="fast" in told,
        caching="caching" in told,
    )


def _measure(
    pipeline: Pipeline,
    planting: Planting,
    folder: Path,
    devices: Sequence[str],
    options: argparse.Namespace,
    repeats: int,
) -> list[Run]:
    """First run and repeats of one number of objects, printed."""
    count = len(planting.instances)
    plural = "objects" if count > 1 else "object"
    once = partial(lift, pipeline, planting, folder, devices, keep_stages=options.keep_stages)
    with watching() if options.first_stacks else nullcontext() as trees:
        made = [once()]
    if trees is not None:
        _write_stacks(options.first_stacks, trees, f"{count} {plural}, first", made[0])
    show(f"{count} {plural}, first", made[0])
    made += [once() for _ in range(repeats)]
    best = min(made[1:] or made, key=lambda run: run.wall)
    show(f"{count} {plural}, warm", best)
    say(
        f"  first object after {made[0].first_object:.1f} s in the first run, "
        f"{best.first_object:.1f} s warm; {best.tail:.2f} s after the last one; "
        f"{best.textured} of {count} textured, "
        f"at most {max(best.faces, default=0):,} faces"
        f"{f'; made {best.made}' if best.made else ''}"
        f"{f'; memory given back {best.retries} times' if best.retries else ''}"
        f"{f'; {best.frees} pieces freed' if best.frees else ''}"
    )
    if best.pools:
        each = (f"{name} {held:.2f} ({used:.2f})" for name, (held, used) in best.pools.items())
        say(f"  GiB held (in use) at the end, by stream: {', '.join(each)}")
    for note in best.notes:
        say(f"  note: {note}")
    if options.stacks and repeats:
        with watching() as trees:
            again = once()
        _write_stacks(options.stacks, trees, f"{count} {plural}", again)
    if options.kernels and repeats:
        with recording() as record:

            def mark(event: Event) -> None:
                if event.kind in ("stage_started", "stage_finished"):
                    began = "begins" if event.kind == "stage_started" else "ends"
                    record.mark(f"{event.stage} {event.object_index or 0} {began}")

            once(listen=mark)
        with options.kernels.open("a") as file:
            file.write("\n".join([f"{count} {plural}", *record.lines()]) + "\n\n")
    if options.keep:
        shutil.copytree(folder, options.keep, dirs_exist_ok=True)
    return made


def _write_stacks(path: Path, trees: dict[str, Tree], name: str, run: Run) -> None:
    lines = [f"{name}, {run.wall:.2f} s"]
    for thread, tree in trees.items():
        lines += tree.lines(thread, least=0.005 * run.wall)
    with path.open("a") as file:
        file.write("\n".join(lines) + "\n\n")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--objects", default="1,4,27")
    parser.add_argument("--kind", choices=("plausible", "ugly"), default="plausible")
    parser.add_argument("--model", choices=("sam3d", "trellis", "trellis2"), default="sam3d")
    parser.add_argument(
        "--ways",
        default="plain",
        help="plain, fast (the preset), caching (of velocities), compiled, fast+compiled: in turn",
    )
    parser.add_argument("--vram", help="as of `scenelift run`")
    parser.add_argument("--alone-with", help="have another process take all memory but this")
    parser.add_argument("--at-once", help="objects that are finished at the same time: 2,3 in turn")
    parser.add_argument("--keep-stages", action="store_true", help="store results meanwhile")
    parser.add_argument("--repeats", default="2", help="one number, or one for each of --objects")
    parser.add_argument("--keep", type=Path, help="write the last scene here as well")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--stacks", type=Path, help="write where one more run's time goes here")
    parser.add_argument("--first-stacks", type=Path, help="the same of the first run")
    parser.add_argument("--kernels", type=Path, help="write what the GPU does in one more run here")
    options = parser.parse_args(argv)
    devices = split_devices(options.device)
    device = torch.device(devices[0])
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    say(
        f"{len(devices)} × {name}, PyTorch {torch.__version__}; {options.model}, "
        f"{options.kind} objects{f', --vram {options.vram}' if options.vram else ''}"
    )
    runs: dict[str, dict] = {}
    left = read_bytes(options.alone_with) if options.alone_with else None
    with others_hold(device, left), tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        imported = since_process_began()
        vram_bytes = read_bytes(options.vram) if options.vram else None
        wanted = ReconstructionOptions(device=options.device, vram_bytes=vram_bytes)
        runtime = Runtime.of(wanted)
        counts = [int(count) for count in options.objects.split(",")]
        repeats = [int(count) for count in options.repeats.split(",")]
        repeats *= len(counts) if len(repeats) == 1 else 1
        # All of them first, as a crew's processes are given them when they start.
        plantings = [Planting.of(options.size, options.kind, count) for count in counts]
        planted = time.perf_counter() - began
        ways = options.ways.split(",")
        at_onces = [int(n) for n in options.at_once.split(",")] if options.at_once else [0]
        counted = list(zip(plantings, repeats, strict=True))
        mapper, reconstructor, crew = _backends(options, plantings, devices, ways[0])
        drawn = time.perf_counter() - began - planted
        say(
            f"imports {imported:.1f} s; drawing the scene {planted:.1f} s and the weights "
            f"{drawn:.1f} s, in place of reading them"
        )
        columns = " ".join(f"{stage[:7]:>7}" for stage in STAGES)
        say(f"{'seconds':22} {columns} {'wall':>8} {'busy':>5} {'GiB':>6} {'held':>6} {'host':>6}")
        for way in ways:
            if way != ways[0]:
                if reconstructor.inner is not None:
                    reconstructor.inner.release()
                mapper, reconstructor, crew = _backends(options, plantings, devices, way)
            each = [(at_once, *one) for at_once in at_onces for one in counted]
            for at_once, planting, more in each:
                say(f"{way}{f', {at_once} finished at once' if at_once else ''}:")
                if at_once:
                    overlap.AT_ONCE = overlap.AT_ONCE_BESIDE_GPU = at_once
                count = len(planting.instances)
                mapper.planting = planting
                segmenter = GivenSegmenter(planting.instances)
                pipeline = Pipeline(segmenter, mapper, reconstructor, runtime=runtime, crew=crew)
                made = _measure(pipeline, planting, Path(folder) / "scene", devices, options, more)
                runs[f"{way}, {count}{f', {at_once} at once' if at_once else ''}"] = {
                    "first": asdict(made[0]),
                    "warm": [asdict(run) for run in made[1:]],
                }
            if crew is not None:
                crew.close()
    say(PUBLISHED)
    if options.json:
        content = {
            "device": name,
            "options": {name: str(value) for name, value in vars(options).items()},
            "runs": runs,
        }
        options.json.write_text(json.dumps(content, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
