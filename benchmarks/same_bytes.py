"""Record the SHA-256 of every file that runs write, and compare with an earlier record.

    python benchmarks/same_bytes.py --record FILE       before a change
    python benchmarks/same_bytes.py --compare FILE      after it; exits with 1 where bytes differ
    python benchmarks/same_bytes.py --compare FILE --only fakes,sam3d

A change that should not change results is shown to change none: same photo, prompt, seed, machine
and number of threads (`OMP_NUM_THREADS`) give the same bytes, but of `scene.usdz`. The runs, each
but the first through the command line:

    fakes          coloured discs, the small backends of `scenelift.testing.fakes`, `Scene.save`
    sam3           masks of a tiny SAM 3
    grounded-sam2  masks of a tiny Grounding DINO and a tiny SAM 2.1
    sam3d          given masks, tiny MoGe and SAM 3D Objects; then with every option they have
    trellis        boxes, tiny MoGe and TRELLIS; then several photos of one object
    embedded       the photo of README's demo; needs `scenelift models download embedded`

Of `scene.json`, which holds timings, what it says of prompt, camera and objects is compared value
by value; fields that the earlier record lacks are listed and make no difference.

All of it takes some three minutes of one core; `--only fakes,sam3,grounded-sam2` a quarter of that.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

Hashes = dict[str, str]

FORMATS = "spz,sog,splat,compressed.ply,usdz,stl,compact.glb"
# What scene.json says of a scene; the rest is of one run (times, memory) or of the code's version.
FACTS = ("prompt", "seed", "quality", "units", "camera", "scene_from_camera", "objects", "failed")
BOXES = ("--box", "red=26,36,74,84", "--box", "blue=94,48,130,84")
QUICK = ("--steps", "2", "--faces", "500")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--record", type=Path, metavar="FILE", help="write hashes here")
    what.add_argument("--compare", type=Path, metavar="FILE", help="compare with this record")
    parser.add_argument("--only", default=",".join(RUNS), help="runs, with commas between")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the outputs here")
    args = parser.parse_args()
    names = args.only.split(",")
    if unknown := set(names) - RUNS.keys():
        parser.error(f"no such run: {', '.join(sorted(unknown))}. There are: {', '.join(RUNS)}")

    with tempfile.TemporaryDirectory() as folder:
        record = hashes_of(names, args.keep or Path(folder))
    if args.record:
        args.record.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        print(f"{sum(map(len, record.values()))} hashes of {len(record)} runs in {args.record}")
        return
    earlier = json.loads(args.compare.read_text())
    raise SystemExit(1 if differences(earlier, record) else 0)


def hashes_of(names: list[str], folder: Path) -> dict[str, Hashes]:
    """Name of a run -> file or fact -> its hash or value."""
    inputs = folder / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    write_inputs(inputs)
    record: dict[str, Hashes] = {}
    for name in names:
        began = time.process_time() + sum(os.times()[2:4])
        for part, out in RUNS[name](inputs, folder / name):
            record[part] = {**files_in(out), **facts_in(out)}
        seconds = time.process_time() + sum(os.times()[2:4]) - began
        print(f"{name}: {seconds:.0f} s of processor time", flush=True)
    return record


def differences(earlier: dict[str, Hashes], record: dict[str, Hashes]) -> int:
    """Print what differs between two records, of the runs that both have, and return how many."""
    count = 0
    for name in record:
        if name not in earlier:
            print(f"{name}: not in the earlier record")
            continue
        before, now = earlier[name], record[name]
        changed = [key for key in before if key in now and before[key] != now[key]]
        gone = [key for key in before if key not in now]
        more = [key for key in now if key not in before]
        print(f"{name}: {len(before) - len(changed) - len(gone)} of {len(before)} as before")
        for key in changed:
            print(f"  differs  {key}: {before[key][:60]} -> {now[key][:60]}")
        for key in gone:
            print(f"  missing  {key}")
        for key in more:
            print(f"  new      {key}")
        count += len(changed) + len(gone)
    return count


def files_in(out: Path) -> Hashes:
    """Relative path -> SHA-256 of every file of an output folder but scene.json."""
    files = (p for p in sorted(out.rglob("*")) if p.is_file() and p.name != "scene.json")
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if ".scenelift" not in path.parts
    }


def facts_in(out: Path) -> Hashes:
    """scene.json#path.to.value -> the value, for every value of `FACTS`."""
    path = out / "scene.json"
    if not path.is_file():
        return {}
    manifest = json.loads(path.read_text())
    return {
        f"scene.json#{key}": value
        for fact in FACTS
        for key, value in leaves(fact, manifest.get(fact))
    }


def leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from leaves(f"{path}.{key}", inner)
        case list():
            for index, inner in enumerate(value):
                yield from leaves(f"{path}.{index}", inner)
        case _:
            yield path, json.dumps(value)


def write_inputs(folder: Path) -> None:
    """Photos of discs and of coffee, and the masks of the discs."""
    import PIL.Image
    import skimage.data

    from scenelift.progress import silent
    from scenelift.testing.fakes import ColorSegmenter, disc_photo
    from scenelift.types import Prompt

    photo = disc_photo()
    PIL.Image.fromarray(photo.pixels).save(folder / "discs.png")
    PIL.Image.fromarray(photo.pixels[:, ::-1]).save(folder / "mirrored.png")
    PIL.Image.fromarray(skimage.data.coffee()).save(folder / "coffee.png")
    segmentation = ColorSegmenter().segment(photo, Prompt(phrases=("red", "blue")), silent())
    for instance in segmentation.instances:
        PIL.Image.fromarray(instance.mask).save(folder / f"{instance.label}.png")


def cli(*args: object) -> None:
    """Run scenelift in a process of its own, as a user does."""
    command = [sys.executable, "-m", "scenelift", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}\n{done.stderr}")


def run_fakes(inputs: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    from scenelift import Pipeline
    from scenelift.testing.fakes import BallReconstructor, ColorSegmenter, PlanePointMapper

    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())
    pipeline.run(inputs / "discs.png", "red; blue", seed=3).save(folder)
    yield "fakes", folder


def run_sam3(inputs: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    from scenelift.testing.tiny_segmenters import write_sam3

    model = write_sam3(inputs / "sam3")
    cli(
        *("segment", inputs / "coffee.png", "-p", "cup", "-p", "cat", "--min-score", "0.2"),
        *("--segmenter", "sam3", "--segmenter-model", model, "--device", "cpu", "--out", folder),
    )
    yield "sam3", folder


def run_grounded_sam2(inputs: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    from scenelift.testing.tiny_segmenters import write_grounding_dino, write_sam2

    models = (write_grounding_dino(inputs / "dino"), write_sam2(inputs / "sam2"))
    cli(
        *("segment", inputs / "coffee.png", "-p", "cup", "-p", "cat", "--min-score", "0.05"),
        *("--box", "spoon=320,190,410,335", "--segmenter", "grounded-sam2"),
        *("--segmenter-model", "+".join(map(str, models)), "--device", "cpu", "--out", folder),
    )
    yield "grounded-sam2", folder


def run_sam3d(inputs: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    from scenelift.testing.fake_checkpoints import TINY, write_checkpoints

    weights = inputs / "sam3d"
    flow = replace(TINY.structure_flow, resolution=3)
    list(write_checkpoints(weights, replace(TINY, structure_flow=flow)))
    common = (
        *("run", inputs / "discs.png", "--quality", "full", "--weights", weights),
        *("--mask", inputs / "red.png", "--device", "cpu", *QUICK),
    )
    out = folder / "defaults"
    cli(*common, "--mask", inputs / "blue.png", "--seed", 5, "--out", out)
    yield "sam3d", out
    out = folder / "options"
    cli(
        *(*common, "--best-of", 2, "--few-splats", "--distilled", "--vertex-colors"),
        *("--no-refine", "--no-repair", "--formats", FORMATS, "--max-splats", 200, "--out", out),
        *("--preview-path", "flight", "--preview-format", "webp"),
    )
    yield "sam3d-options", out


def run_trellis(inputs: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    from scenelift.testing.fake_checkpoints import MOGE_FILE, TINY, write_checkpoints
    from scenelift.testing.fake_trellis import write_trellis
    from scenelift.testing.tiny_segmenters import write_grounding_dino, write_sam2

    weights = inputs / "trellis"
    sizes = replace(TINY, structure_flow=replace(TINY.structure_flow, resolution=3))
    list(write_trellis(weights, sizes))
    list(write_checkpoints(weights / "full", sizes))
    assert (weights / "full" / MOGE_FILE).is_file()
    write_grounding_dino(weights / "open" / "grounding-dino")
    write_sam2(weights / "open" / "sam2.1")
    common = (
        *("--quality", "open", "--pointmapper", "moge", "--weights", weights, "--device", "cpu"),
        *(*QUICK, *BOXES),
    )
    out = folder / "defaults"
    cli("run", inputs / "discs.png", *common, "--seed", 5, "--out", out)
    yield "trellis", out
    out = folder / "options"
    cli(
        *("run", inputs / "discs.png", inputs / "mirrored.png", "--same-object", "-p", "red"),
        *(*common, "--no-refine", "--view-mode", "multidiffusion", "--out", out),
    )
    yield "trellis-views", out


def run_embedded(inputs: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    cli(
        *("run", inputs / "coffee.png", "--prompt", "cup", "--box", "spoon=320,190,410,335"),
        *("--quality", "embedded", "--formats", FORMATS, "--out", folder),
    )
    yield "embedded", folder


RUNS: dict[str, Callable[[Path, Path], Iterator[tuple[str, Path]]]] = {
    "fakes": run_fakes,
    "sam3": run_sam3,
    "grounded-sam2": run_grounded_sam2,
    "sam3d": run_sam3d,
    "trellis": run_trellis,
    "embedded": run_embedded,
}


if __name__ == "__main__":
    main()
