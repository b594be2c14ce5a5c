"""Measure each stage alone and the whole, on photos with known truth.

    python -m benchmarks.quality                         four minutes on two cores
    python -m benchmarks.quality --size large --json out/quality.json
    python -m benchmarks.quality --stages objects --split val --size large
    python -m benchmarks.quality --segmenter sam3 --pointmapper moge --reconstructor sam3d

`docs/quality.md` explains every figure and keeps the history.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.quality.baselines import (
    BoxReconstructor,
    BoxSegmenter,
    InflatedReconstructor,
    RampPointMapper,
    SilhouetteReconstructor,
)
from benchmarks.quality.from_training import (
    MeanReconstructor,
    NearestReconstructor,
    TrainingVolumes,
)
from benchmarks.quality.mapping import measure_points
from benchmarks.quality.reconstructing import (
    flat_pictures,
    measure_reconstructor,
    picture_table,
)
from benchmarks.quality.report import Table, table_text, tables_json
from benchmarks.quality.segmenting import measure_boxes, measure_prompts
from benchmarks.quality.whole import measure_pipeline
from benchmarks.synthetic import (
    SIZES,
    SyntheticScene,
    load_or_make,
    load_or_make_validation,
)
from scenelift import __version__
from scenelift.errors import SceneliftError, SetupError
from scenelift.io.files import write_json
from scenelift.options import BackendOptions
from scenelift.pointmap import POINT_MAPPERS, PointMapper
from scenelift.reconstruct import RECONSTRUCTORS, Reconstructor
from scenelift.registry import Registry
from scenelift.segment import SEGMENTERS, Segmenter
from scenelift.training.scenes.plans import PLANS
from scenelift.types import PointMap

T = TypeVar("T")

STAGES = ("masks", "points", "objects", "whole")

PHOTOS_IN_3D = {"small": len(PLANS), "large": SIZES["large"]}
"""Photos for `objects` and `whole`, which take most of the time: the first of each kind of place,
so that the small set takes minutes."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := set(options.stages) - set(STAGES):
        parser.error(f"--stages: {', '.join(sorted(unknown))}: choose from {', '.join(STAGES)}")
    started, processor_started = time.perf_counter(), time.process_time()
    try:
        load = load_or_make_validation if options.split == "val" else load_or_make
        scenes = load(options.size, options.seed)
    except SceneliftError as exc:
        print(exc, file=sys.stderr)
        return exc.exit_code
    about = _about(options, scenes)
    print("\n".join(f"{key}: {value}" for key, value in about.items() if key != "models"))

    tables: list[Table] = []
    for table in _measure(_backends(options), scenes, options):
        print(f"\n{table_text(table)}", flush=True)
        tables.append(table)

    seconds = time.perf_counter() - started
    processor_seconds = time.process_time() - processor_started
    print(f"\n{seconds:.0f} s in all, {processor_seconds:.0f} s of processor time")
    if options.json:
        times = {"seconds": seconds, "processor_seconds": processor_seconds}
        write_json(options.json, about | times | {"tables": tables_json(tables)})
    return SetupError.exit_code if any(table.not_run for table in tables) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Backends:
    """One of each role, or None; `lacks` says why."""

    segmenter: Segmenter | None
    mapper: PointMapper | None
    reconstructor: Reconstructor | None
    lacks: Mapping[str, str]


def _backends(options: argparse.Namespace) -> _Backends:
    given = BackendOptions(weights=options.weights, device=options.device)
    lacks: dict[str, str] = {}

    def load(role: str, registry: Registry[T], name: str) -> T | None:
        try:
            return registry.load(name, given)
        except SetupError as exc:
            lacks[role] = str(exc)
            return None

    return _Backends(
        segmenter=load("segmenter", SEGMENTERS, options.segmenter),
        mapper=load("mapper", POINT_MAPPERS, options.pointmapper),
        reconstructor=load("reconstructor", RECONSTRUCTORS, options.reconstructor),
        lacks=lacks,
    )


def _measure(
    backends: _Backends, scenes: Sequence[SyntheticScene], options: argparse.Namespace
) -> Iterator[Table]:
    """The tables of the stages asked for, each as soon as it is known."""
    in_3d = scenes[: PHOTOS_IN_3D[options.size]]
    if "masks" in options.stages:
        yield from _masks(backends, scenes)
    if "points" in options.stages or "objects" in options.stages:
        points, maps = measure_points(_known(RampPointMapper(), backends.mapper), scenes)
        if "points" in options.stages:
            yield replace(points, not_run=backends.lacks.get("mapper", ""))
        if "objects" in options.stages:
            yield from _objects(backends, in_3d, maps, options.seed)
    if "whole" in options.stages:
        yield from _whole(backends, in_3d, options.seed)


def _known(*backends: T | None) -> list[T]:
    return [backend for backend in backends if backend is not None]


def _masks(backends: _Backends, scenes: Sequence[SyntheticScene]) -> Iterator[Table]:
    yield from measure_boxes(_known(BoxSegmenter(), backends.segmenter), scenes)
    if backends.segmenter is None:
        yield Table(
            title="Masks from prompts", of="objects", rows=[], not_run=backends.lacks["segmenter"]
        )
    else:
        yield measure_prompts(backends.segmenter, scenes)


def _objects(
    backends: _Backends,
    scenes: Sequence[SyntheticScene],
    maps: Mapping[str, Sequence[PointMap | None]],
    seed: int,
) -> Iterator[Table]:
    """`maps` may go on past the scenes."""
    truth = [scene.points for scene in scenes]
    volumes = TrainingVolumes.load_or_make()
    runs: list[tuple[Reconstructor, Sequence[PointMap | None], str]] = [
        (BoxReconstructor(), truth, "true points"),
        (SilhouetteReconstructor(), truth, "true points"),
        (InflatedReconstructor(), truth, "true points"),
        (MeanReconstructor(volumes, scenes), truth, "true points"),
        (NearestReconstructor(volumes, scenes), truth, "true pose"),
    ]
    if backends.reconstructor is not None:
        runs.append((backends.reconstructor, truth, "true points"))
        if backends.mapper is not None:
            estimated = maps[backends.mapper.name][: len(scenes)]
            runs.append((backends.reconstructor, estimated, "estimated points"))
    measured = [
        measure_reconstructor(backend, scenes, given, condition=condition, seed=seed)
        for backend, given, condition in runs
    ]
    yield Table(
        title=f"Objects from true masks, {_first(scenes)}",
        of="objects",
        rows=[row for row, _, _ in measured],
        failures=[failure for _, _, failures in measured for failure in failures],
        not_run=backends.lacks.get("reconstructor", ""),
    )
    yield picture_table([flat_pictures(scenes), *(picture for _, picture, _ in measured)])


def _whole(backends: _Backends, scenes: Sequence[SyntheticScene], seed: int) -> Iterator[Table]:
    title = f"End to end, prompts of COCO's classes, misses count as 0, {_first(scenes)}"
    segmenter, mapper, reconstructor = (
        backends.segmenter,
        backends.mapper,
        backends.reconstructor,
    )
    if not (segmenter and mapper and reconstructor):
        missing = "; ".join(backends.lacks.values())
        yield Table(title=title, of="objects", rows=[], not_run=missing)
        return
    row, picture, failures = measure_pipeline(segmenter, mapper, reconstructor, scenes, seed=seed)
    yield Table(title=title, of="objects", rows=[row], failures=failures)
    yield picture_table([picture])


def _first(scenes: Sequence[SyntheticScene]) -> str:
    return f"first {len(scenes)} photos"


def _commit() -> str:
    """The commit that is measured, with "-dirty" where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # a copy without its history
    return done.stdout.strip()


def _about(options: argparse.Namespace, scenes: Sequence[SyntheticScene]) -> dict[str, Any]:
    packages = ("numpy", "scipy", "scikit-image", "onnxruntime", "trimesh", "embreex")
    models = {o.entry.id: o.entry for scene in scenes for o in scene.objects}
    return {
        "scenelift": __version__,
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "packages": ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages),
        "scenes": f"{len(scenes)} ({options.split}, {options.size}), seed {options.seed}, "
        f"{sum(len(s.objects) for s in scenes)} objects of {len(models)} models",
        "models": [
            {"id": m.id, "name": m.name, "author": m.author, "licence": m.licence}
            for m in models.values()
        ],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=list(SIZES), default="small")
    parser.add_argument(
        "--split",
        choices=["test", "val"],
        default="test",
        help="the benchmark's models, or those that watch training",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--segmenter", default="embedded")
    parser.add_argument("--pointmapper", default="embedded")
    parser.add_argument("--reconstructor", default="embedded")
    parser.add_argument(
        "--stages",
        type=lambda text: text.split(","),
        default=list(STAGES),
        help=f"some of {','.join(STAGES)}",
    )
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
