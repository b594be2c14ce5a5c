"""Measure each stage alone and the whole, on photos with known truth.

    python -m benchmarks.quality                         two minutes on two cores
    python -m benchmarks.quality --size large --json out/quality.json
    python -m benchmarks.quality --segmenter sam3 --pointmapper moge --reconstructor sam3d

`docs/quality.md` explains every figure and keeps the history.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.quality.baselines import (
    BoxReconstructor,
    BoxSegmenter,
    RampPointMapper,
    SilhouetteReconstructor,
)
from benchmarks.quality.mapping import measure_points
from benchmarks.quality.reconstructing import (
    flat_pictures,
    measure_reconstructor,
    picture_table,
)
from benchmarks.quality.report import Row, Table, table_text, tables_json
from benchmarks.quality.segmenting import measure_boxes, measure_prompts
from benchmarks.quality.whole import measure_pipeline
from benchmarks.synthetic import SIZES, SyntheticScene, load_or_make
from scenelift import __version__
from scenelift.errors import SceneliftError, SetupError
from scenelift.io.files import write_json
from scenelift.pointmap import POINT_MAPPERS, PointMapper
from scenelift.reconstruct import RECONSTRUCTORS, Reconstructor
from scenelift.registry import BackendOptions, Registry
from scenelift.segment import SEGMENTERS, Segmenter

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    started = time.perf_counter()
    try:
        scenes = load_or_make(options.size, options.seed)
    except SceneliftError as exc:
        print(exc, file=sys.stderr)
        return exc.exit_code
    about = _about(options, scenes)
    print("\n".join(f"{key}: {value}" for key, value in about.items() if key != "models"))

    backend_options = BackendOptions(weights=options.weights, device=options.device)
    segmenter, no_segmenter = _load(SEGMENTERS, options.segmenter, backend_options)
    mapper, no_mapper = _load(POINT_MAPPERS, options.pointmapper, backend_options)
    reconstructor, no_reconstructor = _load(RECONSTRUCTORS, options.reconstructor, backend_options)

    tables: list[Table] = []
    for found in (
        _segmenting(segmenter, no_segmenter, scenes),
        _lifting(mapper, no_mapper, reconstructor, no_reconstructor, scenes, options.seed),
        _whole(segmenter, mapper, reconstructor, scenes, options.seed),
    ):
        for table in found:
            print(f"\n{table_text(table)}", flush=True)
        tables += found

    seconds = time.perf_counter() - started
    print(f"\n{seconds:.0f} s in all")
    if options.json:
        write_json(options.json, about | {"seconds": seconds, "tables": tables_json(tables)})
    return 0 if segmenter and mapper and reconstructor else SetupError.exit_code


def _segmenting(
    segmenter: Segmenter | None, why_not: str, scenes: Sequence[SyntheticScene]
) -> list[Table]:
    tables = measure_boxes([BoxSegmenter(), *([segmenter] if segmenter else [])], scenes)
    if segmenter is None:
        return [*tables, Table(title="Masks from prompts", of="objects", rows=[], not_run=why_not)]
    return [*tables, measure_prompts(segmenter, scenes)]


def _lifting(
    mapper: PointMapper | None,
    no_mapper: str,
    reconstructor: Reconstructor | None,
    no_reconstructor: str,
    scenes: Sequence[SyntheticScene],
    seed: int,
) -> list[Table]:
    points, maps = measure_points([RampPointMapper(), *([mapper] if mapper else [])], scenes)
    truth = [scene.points for scene in scenes]
    runs: list[tuple[Reconstructor, Sequence, str]] = [
        (BoxReconstructor(), truth, "true points"),
        (SilhouetteReconstructor(), truth, "true points"),
    ]
    if reconstructor is not None:
        runs.append((reconstructor, truth, "true points"))
        if mapper is not None:
            runs.append((reconstructor, maps[mapper.name], "estimated points"))
    rows: list[Row] = []
    pictures: list[Row | None] = [flat_pictures(scenes)]
    failures: list[str] = []
    for backend, given, condition in runs:
        row, picture, failed = measure_reconstructor(
            backend, scenes, given, condition=condition, seed=seed
        )
        rows.append(row)
        pictures.append(picture)
        failures += failed
    return [
        Table(
            title=points.title,
            of=points.of,
            rows=points.rows,
            failures=points.failures,
            not_run=no_mapper,
        ),
        Table(
            title="Objects from true masks",
            of="objects",
            rows=rows,
            failures=failures,
            not_run=no_reconstructor,
        ),
        picture_table(pictures),
    ]


def _whole(
    segmenter: Segmenter | None,
    mapper: PointMapper | None,
    reconstructor: Reconstructor | None,
    scenes: Sequence[SyntheticScene],
    seed: int,
) -> list[Table]:
    title = "End to end, prompts of COCO's classes, misses count as 0"
    if not (segmenter and mapper and reconstructor):
        return [Table(title=title, of="objects", rows=[], not_run="a stage is missing")]
    row, picture, failures = measure_pipeline(segmenter, mapper, reconstructor, scenes, seed=seed)
    return [
        Table(title=title, of="objects", rows=[row], failures=failures),
        picture_table([picture]),
    ]


def _load(registry: Registry[T], name: str, options: BackendOptions) -> tuple[T | None, str]:
    """The backend, or None and why it cannot run here."""
    try:
        return registry.load(name, options), ""
    except SetupError as exc:
        return None, str(exc)


def _about(options: argparse.Namespace, scenes: Sequence[SyntheticScene]) -> dict[str, Any]:
    packages = ("numpy", "scipy", "scikit-image", "onnxruntime", "trimesh", "embreex")
    models = {o.entry.id: o.entry for scene in scenes for o in scene.objects}
    return {
        "scenelift": __version__,
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages),
        "scenes": f"{len(scenes)} ({options.size}), seed {options.seed}, "
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
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--segmenter", default="embedded")
    parser.add_argument("--pointmapper", default="embedded")
    parser.add_argument("--reconstructor", default="embedded")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
