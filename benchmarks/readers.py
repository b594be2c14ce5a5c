"""Damage every kind of file that is read, thousands of times: an error of ours, or a result.

    python -m benchmarks.readers [--cases 500] [--seed 0] [--only NAME …]

Bits are flipped, bytes changed, moved, repeated and cut off; numbers in text are made huge, values
nested a hundred thousand deep; sizes in headers are raised. Each reader runs in a process of its
own, which may map a gigabyte more than it has after its first good file. Exits with 1 where a
reader lets another exception out, dies, takes more memory, or more than 20 s of a processor for a
file.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import multiprocessing
import random
import re
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from benchmarks.documented_formats import documented_formats
from scenelift.errors import SceneliftError
from scenelift.formats import extra_file
from scenelift.testing.fakes import ball_shape, disc_photo
from scenelift.types import Image

MOST_BYTES = 2**30
SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One way in.

    Attributes:
        samples: file name -> content, whole and good.
        read: reads one; raises SceneliftError where it cannot.
        text: whether the content is text, which is damaged in other ways too.
    """

    samples: Callable[[], dict[str, bytes]]
    read: Callable[[Path], object]
    text: bool = False


def damaged(whole: bytes, rng: random.Random, *, text: bool) -> bytes:
    """A file that came to harm."""
    content = bytearray(whole)
    if text and rng.random() < 0.6:
        content = bytearray(_spoilt_text(whole.decode("utf-8", "replace"), rng).encode())
    for _ in range(rng.randint(0 if text else 1, 8)):
        if not content:
            break
        place = rng.randrange(len(content))
        match rng.randrange(6):
            case 0:
                content[place] ^= 1 << rng.randrange(8)
            case 1:
                content[place] = rng.randrange(256)
            case 2:
                content[place : place + 4] = rng.randbytes(4)
            case 3:
                content[place:place] = content[: rng.randrange(64)]
            case 4:
                # A size, most likely, in the first bytes.
                first = rng.randrange(min(128, len(content)))
                content[first : first + 4] = rng.choice((b"\xff\xff\xff\x7f", b"\x00\x00\xff\x00"))
            case _:
                del content[place : place + rng.randrange(16)]
    if rng.random() < 0.2 and content:
        del content[rng.randrange(len(content)) :]
    return bytes(content)


def _spoilt_text(text: str, rng: random.Random) -> str:
    spots = [m.span() for m in re.finditer(r'-?\d+\.?\d*|"[^"]*"|\[|\{|null|true|false', text)]
    if not spots:
        return text
    start, end = rng.choice(spots)
    value = rng.choice(
        (
            *("1e999", "-1e999", "NaN", "9" * 400, "1" + "0" * 5000, "-1", "0", "2147483648"),
            *("4294967296000", "null", "true", '""', '"\\u0000"', '"../../x"', "[]", "{}", "[[]]"),
            *("[" * 100_000, '{"a":' * 50_000, '"' + "x" * 100_000 + '"', "\x00", "\ud800"),
        )
    )
    return (text[:start] + value + text[end:]).encode("utf-8", "replace").decode()


def _picture(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(disc_photo().pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def _photos() -> dict[str, bytes]:
    kinds = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP")
    found = {f"photo.{kind.lower()}": _picture(kind) for kind in kinds}
    deep = np.arange(160 * 120, dtype=np.uint16).reshape(120, 160)
    buffer = io.BytesIO()
    PIL.Image.fromarray(deep).save(buffer, "PNG")
    return found | {"deep.png": buffer.getvalue(), "alpha.png": _picture("PNG", "RGBA")}


def _read_photo(path: Path) -> object:
    from scenelift.io.image import read_image

    return read_image(path)


def _masks() -> dict[str, bytes]:
    mask = np.zeros((120, 160), np.uint8)
    mask[40:80, 40:90] = 255
    found = {}
    for kind in ("PNG", "GIF", "TIFF", "BMP"):
        buffer = io.BytesIO()
        PIL.Image.fromarray(mask).save(buffer, kind)
        found[f"mask.{kind.lower()}"] = buffer.getvalue()
    for name, save in (("mask.npy", np.save), ("mask.npz", np.savez_compressed)):
        buffer = io.BytesIO()
        save(buffer, mask > 0)
        found[name] = buffer.getvalue()
    return found


def _annotations() -> dict[str, bytes]:
    polygon = [[10, 10, 90, 10, 90, 90, 10, 90]]
    runs = {"size": [120, 160], "counts": [120 * 20, 400, 120 * 140 - 400]}
    document = {
        "images": [{"id": 1, "file_name": "photo.png", "width": 160, "height": 120}],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "bowl"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": polygon, "score": 0.5},
            {"id": 2, "image_id": 1, "category_id": 2, "segmentation": runs, "iscrowd": 1},
            {"id": 3, "image_id": 1, "category_id": 2, "bbox": [5, 5, 40, 40]},
        ],
    }
    labelme = {
        "version": "5.5.0",
        "flags": {},
        "imagePath": "photo.png",
        "imageHeight": 120,
        "imageWidth": 160,
        "shapes": [
            {"label": "cup", "shape_type": "polygon", "points": [[10, 10], [90, 10], [50, 90]]},
            {"label": "bowl", "shape_type": "rectangle", "points": [[10, 10], [90, 90]]},
        ],
    }
    mask = np.zeros((120, 160), np.bool_)
    mask[40:80, 40:90] = True
    others: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for write in documented_formats(lambda: np.stack([mask, mask[::-1]])).values():
            file = Path(folder) / write(Path(folder))
            others[file.name] = file.read_bytes()
    return others | {
        "coco.json": json.dumps(document).encode(),
        "labelme.json": json.dumps(labelme).encode(),
    }


def _read_masks(path: Path) -> object:
    from scenelift.segment.given.canvas import Canvas
    from scenelift.segment.given.reading import read_given

    image = Image(pixels=np.zeros((120, 160, 3), np.uint8))
    return read_given([path], Canvas.of_image(image, Path("photo.png")))


def _instances() -> dict[str, bytes]:
    entry = {"label": "cup", "score": 0.9, "box": [40, 40, 90, 80], "mask": "00_cup.png"}
    return {"instances.json": json.dumps([entry]).encode()}


def _read_instances(path: Path) -> object:
    (path.parent / "00_cup.png").write_bytes(_masks()["mask.png"])
    return _read_masks(path.parent)


def _depths() -> dict[str, bytes]:
    depth = np.full((120, 160), 2.0, np.float32)
    points = np.dstack([depth, depth, -depth])
    found = {}
    for name, values in (("depth.npy", depth), ("points.npy", points)):
        buffer = io.BytesIO()
        np.save(buffer, values)
        found[name] = buffer.getvalue()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, points=points, intrinsics=np.diag([150.0, 150.0, 1.0]))
    found["points.npz"] = buffer.getvalue()
    for kind in ("PNG", "TIFF"):
        buffer = io.BytesIO()
        PIL.Image.fromarray(np.full((120, 160), 2000, np.uint16)).save(buffer, kind)
        found[f"depth.{kind.lower()}"] = buffer.getvalue()
    found["depth.pfm"] = b"Pf\n160 120\n-1.0\n" + depth.tobytes()
    return found


def _read_depth(path: Path) -> object:
    from scenelift.pointmap.depth_files import read_depth_file

    return read_depth_file(path, 0.001 if path.suffix in (".png", ".tiff") else None)


def _tables() -> dict[str, bytes]:
    csv = "photo,prompt,box,seed,max_objects\nphoto.png,cup;bowl,,1,2\n"
    csv += 'photo.png,,"1,2,90,80",3,1\n'
    rows = [
        {"photo": "photo.png", "prompt": ["cup"], "seed": 1},
        {"photo": "photo.png", "box": ["cup=1,2,90,80"], "faces": 500},
    ]
    return {
        "list.csv": csv.encode(),
        "list.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode(),
    }


def _read_table(path: Path) -> object:
    from scenelift.batch.manifest import read_items

    (path.parent / "photo.png").write_bytes(b"")
    return read_items(path)


def _plans() -> dict[str, bytes]:
    from scenelift.batch.items import BatchItem, write_plan
    from scenelift.types import BoxPrompt, Prompt

    prompt = Prompt(phrases=("cup",), boxes=(BoxPrompt(box=(1, 2, 90, 80), label="mug"),))
    return {"plan.jsonl": write_plan([BatchItem.of(Path("/a.png"), prompt, 0)] * 3)}


def _read_plan(path: Path) -> object:
    from scenelift.batch.items import read_plan

    return list(read_plan(path))


def _settings() -> dict[str, bytes]:
    from scenelift.batch.settings import BatchSettings

    value = {"plan": "0" * 16, "settings": BatchSettings().to_json()}
    return {"batch.json": json.dumps(value).encode()}


def _read_settings(path: Path) -> object:
    from scenelift.batch.folder import BatchFolder
    from scenelift.batch.settings import read_settings

    return read_settings(BatchFolder(path.parent))


def _journals() -> dict[str, bytes]:
    from scenelift.batch.entry import Entry

    lines = [Entry(id="a", number=n, state="claimed", digest="0").to_json() for n in (1, 2)]
    return {"journal.jsonl": b"".join(lines)}


def _read_journal(path: Path) -> object:
    from scenelift.batch.journal import JournalReader
    from scenelift.batch.ledger import Ledger

    reader = JournalReader(path.parent)
    reader.refresh()
    return reader.entries, Ledger.read(path, "a", 1)


def _stages() -> dict[str, bytes]:
    from scenelift.stages import StageStore
    from scenelift.types import Instance, Pose, Reconstruction, Segmentation

    mask = np.zeros((120, 160), np.bool_)
    mask[40:80, 40:90] = True
    found = Segmentation(
        instances=(Instance(mask=mask, label="cup", score=0.5, box=Instance.box_of(mask)),)
    )
    shape = ball_shape(np.array([200, 40, 40]), splats=200)
    values = {
        "segment": found,
        "reconstruct": Reconstruction(
            shape=shape, pose=Pose(translation=(0.0, 0.0, -2.0), scale=1.0)
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        store = StageStore(Path(folder))
        for name, value in values.items():
            store.save(name, "key", value)
        return {f"{n}.npz": (Path(folder) / f"{n}.npz").read_bytes() for n in values}


def _read_stage(path: Path) -> object:
    from scenelift.stages import StageStore
    from scenelift.types import Reconstruction, Segmentation

    kind = Segmentation if path.stem == "segment" else Reconstruction
    return StageStore(path.parent).load(path.stem, "key", kind)


def _scenes() -> dict[str, bytes]:
    from scenelift.output.manifest import CameraModel, FileModel, Manifest, PromptModel

    manifest = Manifest(
        generator="scenelift 0",
        fingerprint="0",
        complete=True,
        prompt=PromptModel(phrases=["cup"]),
        seed=0,
        quality="fake",
        backends={"segmenter": "fake"},
        units="metres",
        camera=CameraModel(fx=1, fy=1, cx=1, cy=1, width=2, height=2),
        scene_from_camera=np.eye(4).tolist(),
        objects=[],
        files=[FileModel(path="scene.ply", bytes=1, sha256="0" * 64)],
    )
    return {"scene.json": manifest.model_dump_json().encode()}


def _read_scene(path: Path) -> object:
    from scenelift.output.folder import claim_folder, forget_unfinished
    from scenelift.output.manifest import read_manifest

    with claim_folder(path.parent):
        forget_unfinished(path.parent)
    return read_manifest(path.parent)


def _splats() -> dict[str, bytes]:
    from scenelift.io.glb import GlbNode, glb_bytes
    from scenelift.io.ply import ply_bytes

    shape = ball_shape(np.array([200, 40, 40]), splats=200)
    assert shape.gaussians is not None
    assert shape.mesh is not None
    return {
        "scene.ply": ply_bytes(shape.gaussians),
        "scene.glb": glb_bytes([GlbNode(name="ball", mesh=shape.mesh, matrix=np.eye(4))]),
    }


def _read_splats(path: Path) -> object:
    from scenelift.io.glb import read_glb
    from scenelift.io.splat_reader import read_splats

    return read_glb(path) if path.suffix == ".glb" else read_splats(path)


def _others() -> dict[str, bytes]:
    """Files as other programs write them, for `view` and `convert`."""
    from scenelift.io.glb import GlbNode, write_glb
    from scenelift.io.ply import ply_bytes
    from scenelift.io.splat_formats import write_splats

    shape = ball_shape(np.array([200, 40, 40]), splats=200)
    assert shape.gaussians is not None
    assert shape.mesh is not None
    files = {"scene.ply": ply_bytes(shape.gaussians)}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("spz", "spz3", "sog", "splat", "compressed.ply"):
            path = Path(folder) / f"scene.{extra_file(kind).removeprefix('scene.')}"
            write_splats(path, shape.gaussians, kind, frame="y-down")
            files[path.name] = path.read_bytes()
        path = Path(folder) / "scene.glb"
        write_glb(path, [GlbNode(name="ball", mesh=shape.mesh, splats=shape.gaussians)])
        files[path.name] = path.read_bytes()
    return files


def _read_other(path: Path) -> object:
    from scenelift.io.splat_reader import convert_splats, read_splats

    with tempfile.TemporaryDirectory() as folder:
        for target in ("converted.spz", "converted.glb", "converted.ply"):
            convert_splats(path, Path(folder) / target)
    return read_splats(path)


def _weights() -> dict[str, bytes]:
    import torch
    from safetensors.torch import save

    tensors = {"a.weight": torch.arange(64.0).reshape(8, 8), "a.bias": torch.zeros(8)}
    buffer = io.BytesIO()
    torch.save({"state_dict": tensors}, buffer)
    return {"model.safetensors": save(tensors), "model.ckpt": buffer.getvalue()}


def _read_weights(path: Path) -> object:
    from scenelift.weights.state_dicts import read_state_dict

    found = read_state_dict(path, member="state_dict")
    return {name: float(tensor.float().sum()) for name, tensor in found.items()}


def _yamls() -> dict[str, bytes]:
    text = (
        "_target_: a.Pipeline\nss_generator_config_path: ss_generator.yaml\nrescale_t: 3\n"
        "ss_inference_steps: 25\nslat_mean: [0.1, -0.2, 0.3, 0, 1, 2, 3, 4]\n"
        "parts: &parts {a: 1, b: [x, y]}\n"
        "more:\n  - *parts\n  - *parts\nname: null\n"
    )
    return {"pipeline.yaml": text.encode(), "pipeline.json": b'{"args": {"steps": 12, "a": [1]}}'}


def _read_yaml(path: Path) -> object:
    from scenelift.models.sam3d.config import pipeline_settings
    from scenelift.models.slat.config import read_settings

    return pipeline_settings(read_settings(path))


def _records() -> dict[str, bytes]:
    record = {
        "version": 1,
        "id": "0" * 32,
        "owner": "local",
        "state": "done",
        "created": 1.0,
        "finished": 2.0,
        "width": 160,
        "height": 120,
        "request": {"prompt": {"phrases": ["cup"]}, "seed": 1},
        "selection": {"keep": [0]},
        "notes": ["a"],
        "error": None,
    }
    return {"job.json": json.dumps(record).encode()}


def _read_record(path: Path) -> object:
    from scenelift.webapp.folders import DataFolder
    from scenelift.webapp.jobs import Queue
    from scenelift.webapp.records import restore_jobs

    data = DataFolder(path.parent / "data", reserve_bytes=0)
    data.prepare()
    home = data.job("0" * 32)
    home.path.mkdir(exist_ok=True)
    path.replace(home.record)
    queue = Queue(data.database)
    try:
        restored = restore_jobs(data, queue, ["local"])
        queue.of_owner("local", limit=9)
        for job in restored:
            queue.delete(job, queue.get(job).owner)
            queue.purge(job)
    finally:
        queue.close()
    return restored


READERS = {
    "photos": Reader(samples=_photos, read=_read_photo),
    "masks": Reader(samples=_masks, read=_read_masks),
    "annotations": Reader(samples=_annotations, read=_read_masks, text=True),
    "instances": Reader(samples=_instances, read=_read_instances, text=True),
    "depth": Reader(samples=_depths, read=_read_depth),
    "tables": Reader(samples=_tables, read=_read_table, text=True),
    "plans": Reader(samples=_plans, read=_read_plan, text=True),
    "settings": Reader(samples=_settings, read=_read_settings, text=True),
    "journals": Reader(samples=_journals, read=_read_journal, text=True),
    "stages": Reader(samples=_stages, read=_read_stage),
    "scenes": Reader(samples=_scenes, read=_read_scene, text=True),
    "splats": Reader(samples=_splats, read=_read_splats),
    "others": Reader(samples=_others, read=_read_other),
    "weights": Reader(samples=_weights, read=_read_weights),
    "yaml": Reader(samples=_yamls, read=_read_yaml, text=True),
    "records": Reader(samples=_records, read=_read_record, text=True),
}


class TooSlowError(Exception):
    """A file took longer than any should."""


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    def ring(signum: int, frame: object) -> None:
        raise TooSlowError(f"{seconds} s")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def try_reader(
    name: str, cases: int, seed: int, *, most_bytes: int | None = None
) -> tuple[Counter[str], list[str]]:
    """What became of damaged files: counts, and faults.

    Args:
        most_bytes: what this process may map from then on, for good, beyond what it has after its
            first good files.
    """
    reader, rng = READERS[name], random.Random(f"{name} {seed}")
    samples = reader.samples()
    counts: Counter[str] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for file, content in samples.items():
            whole = Path(folder) / "whole" / file
            whole.parent.mkdir(exist_ok=True)
            whole.write_bytes(content)
            reader.read(whole)  # what it needs is there from now on
        if most_bytes is not None:
            mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (mapped + most_bytes, resource.RLIM_INFINITY))
        for case in range(cases):
            file = rng.choice(sorted(samples))
            path = Path(folder) / "damaged" / file
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(damaged(samples[file], rng, text=reader.text))
            try:
                with at_most(SECONDS):
                    reader.read(path)
                counts["read"] += 1
            except SceneliftError:
                counts["refused"] += 1
            except Exception as exc:  # noqa: BLE001  what this is about
                counts["fault"] += 1
                faults.append(f"{name} case {case} ({file}): {type(exc).__name__}: {exc!s:.150}")
    return counts, faults


def _child(name: str, cases: int, seed: int, answers: Any) -> None:
    logging.disable()
    answers.send(try_reader(name, cases, seed, most_bytes=MOST_BYTES))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=READERS, default=list(READERS))
    args = parser.parse_args()
    context, broken = multiprocessing.get_context("spawn"), 0
    for name in args.only:
        began = time.monotonic()
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(name, args.cases, args.seed, there))
        child.start()
        there.close()
        try:
            counts, faults = here.recv()
        except EOFError:
            child.join()
            counts, faults = Counter(), [f"{name}: the process ended with {child.exitcode}"]
        child.join()
        broken += len(faults)
        print(f"{name:10s} {dict(counts)} in {time.monotonic() - began:.0f} s")
        for fault in faults[:10]:
            print(f"  {fault}")
        sys.stdout.flush()
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
