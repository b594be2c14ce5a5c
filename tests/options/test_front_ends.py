"""With every option set, a command, a manifest's row and a job of the web app make one scene."""

from __future__ import annotations

import csv
import io
import json

import pytest
from starlette.datastructures import FormData, UploadFile
from starlette.testclient import TestClient
from tests.drivers.web import FakeQualities, fake_settings
from typer.testing import CliRunner

from scenelift.batch.items import read_plan, write_plan
from scenelift.batch.manifest import read_items
from scenelift.batch.run import begin_batch
from scenelift.batch.settings import BatchSettings
from scenelift.batch.worker import Worker
from scenelift.cli import app
from scenelift.options import Options, fields_for
from scenelift.output.manifest import Manifest, read_manifest
from scenelift.pipeline import Pipeline
from scenelift.pointmap import POINT_MAPPERS
from scenelift.progress import CancelToken
from scenelift.qualities import QUALITIES, BackendNames
from scenelift.reconstruct import RECONSTRUCTORS
from scenelift.registry import Backend
from scenelift.segment import SEGMENTERS
from scenelift.testing.fakes import BallReconstructor, ColorSegmenter, PlanePointMapper
from scenelift.webapp.app import create_app
from scenelift.webapp.folders import JobFolder
from scenelift.webapp.jobs import NewJob, Queue, new_job_id
from scenelift.webapp.lifting import Attempt
from scenelift.webapp.uploads import _read_fields

# What all of them have; a job has its boxes and phrases under names of its own.
SHARED = [f for f in fields_for("row") if "job" not in f.left_out and "run" not in f.left_out]
DRAWN = {"box": "corner=10,10,30,40", "exclude_box": "100,0,120,20"}
BOXES = [
    {"box": [10, 10, 30, 40], "label": "corner"},
    {"box": [100, 0, 120, 20], "positive": False},
]


@pytest.fixture(autouse=True)
def fake_quality(monkeypatch):
    for registry, backend in (
        (SEGMENTERS, ColorSegmenter()),
        (POINT_MAPPERS, PlanePointMapper()),
        (RECONSTRUCTORS, BallReconstructor()),
    ):
        entry = Backend(name=backend.name, load=lambda runtime, b=backend: b)
        monkeypatch.setitem(registry._backends, backend.name, entry)
    names = BackendNames(
        segmenter="fake-color", pointmapper="fake-plane", reconstructor="fake-ball"
    )
    monkeypatch.setitem(QUALITIES, "fake", names)


def text(f, value) -> str:
    if f.is_list:
        return ";".join(value)
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def by_command(photo, folder) -> Manifest:
    words = [
        "run",
        str(photo),
        "--out",
        str(folder),
        "--quality",
        "fake",
        "-p",
        "red",
        "-p",
        "blue",
    ]
    for f in SHARED:
        value = f.option.example
        if isinstance(value, bool):
            words.append(f.flag if value else f"--no-{f.name}")
        else:
            for one in value if isinstance(value, list) else [value]:
                words += [f.flag, str(one)]
    words += ["--box", DRAWN["box"], "--exclude-box", DRAWN["exclude_box"]]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return read_manifest(folder)


def by_row(photo, folder) -> Manifest:
    row = {f.name: text(f, f.option.example) for f in SHARED}
    row |= {"photo": photo.name, "prompt": "red;blue", "id": "all", **DRAWN}
    table = io.StringIO()
    writer = csv.DictWriter(table, list(row))
    writer.writeheader()
    writer.writerow(row)
    (photo.parent / "rows.csv").write_text(table.getvalue())
    settings = BatchSettings(options=Options.from_plain({"quality": "fake"}))
    items = read_items(photo.parent / "rows.csv", settings.options)
    (photo.parent / "plan").write_bytes(write_plan(items))
    items = list(read_plan(photo.parent / "plan"))
    batch, _ = begin_batch(items, folder, settings)
    settings = BatchSettings.from_json(json.loads(json.dumps(settings.to_json())))
    Worker(batch, settings).run(items)
    return read_manifest(batch.scene("all"))


def by_job(photo, folder) -> Manifest:
    form = [(f.name, text(f, f.option.example)) for f in SHARED]
    form += [("text_prompt", "red"), ("text_prompt", "blue"), ("boxes", json.dumps(BOXES))]
    upload = UploadFile(io.BytesIO(photo.read_bytes()), filename="photo.png")
    request, _ = _read_fields(FormData([*form, ("image", upload)]), fake_settings(folder))
    job = JobFolder(folder / "job")
    job.path.mkdir(parents=True)
    job.photo.write_bytes(photo.read_bytes())
    queue = Queue(folder / "queue")
    new = NewJob(id=new_job_id(), owner="ann", request=request, width=160, height=120)
    queue.add(new)
    row = queue.claim(0, lease=60)
    Attempt(
        queue,
        row,
        job,
        lambda quality: Pipeline.build(quality),
        token=CancelToken(),
        most_objects=20,
        defaults=Options(),
        stopping=lambda: False,
    ).run()
    ended = queue.get(new.id)
    queue.close()
    assert ended.state == "done", ended.error
    return read_manifest(job.scene)


def facts(manifest: Manifest) -> dict:
    """What it says of the scene, not of the run that made it."""
    apart = {"timings", "wall_seconds", "peak_memory_bytes"}
    return manifest.model_dump(mode="json", exclude=apart)


def test_every_option_set_gives_one_manifest(photo, tmp_path):
    expected = facts(by_command(photo, tmp_path / "command"))
    assert [f.name for f in SHARED if f.option.example is None] == []
    assert {"scene.stl", "scene.splat", "preview.webp"} <= {f["path"] for f in expected["files"]}
    assert [o["faces"] <= 60 for o in expected["objects"]] == [True, True]
    assert (expected["seed"], expected["units"]) == (3, "metres")
    assert facts(by_row(photo, tmp_path / "batch")) == expected
    assert facts(by_job(photo, tmp_path / "web")) == expected


def test_masks_and_depth_come_from_a_row_as_from_the_command_line(photo, tmp_path):
    import numpy as np
    import PIL.Image

    mask = np.zeros((120, 160), np.uint8)
    mask[40:80, 30:70] = 255
    PIL.Image.fromarray(mask).save(photo.parent / "mask.png")
    np.save(photo.parent / "depth.npy", np.full((120, 160), 3.0, np.float32))
    words = ("run", photo, "--mask", photo.parent / "mask.png", "--quality", "fake")
    words += ("--depth", photo.parent / "depth.npy", "--depth-scale", "0.5")
    words += ("--preview-frames", "1", "--preview-size", "16", "--out", tmp_path / "command")
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    expected = facts(read_manifest(tmp_path / "command"))
    assert [o["label"] for o in expected["objects"]] == ["object"]
    assert expected["objects"][0]["pose"]["translation"][2] == pytest.approx(-1.5, abs=0.3)

    (photo.parent / "rows.csv").write_text(
        f"photo,masks,depth,depth_scale,id\n{photo.name},mask.png,depth.npy,0.5,one\n"
    )
    small = {"quality": "fake", "preview_frames": 1, "preview_size": 16}
    settings = BatchSettings(options=Options.from_plain(small))
    items = read_items(photo.parent / "rows.csv", settings.options)
    batch, _ = begin_batch(items, tmp_path / "batch", settings)
    Worker(batch, settings).run(items)
    assert facts(read_manifest(batch.scene("one"))) == expected


def test_a_server_says_what_it_was_started_with(tmp_path):
    started = {"vram": "8GB", "compile": True, "segmenter": "grounded-sam2", "weights": tmp_path}
    settings = fake_settings(tmp_path / "data", preload=False, **started).check()
    assert settings.options.models.vram_bytes == 8 * 10**9
    server = create_app(settings, qualities=FakeQualities(), worker_module="this")
    with TestClient(server, base_url="http://localhost") as client:
        said = client.get("/api/config").json()["server"]
    assert (said["vram"], said["compile"], said["segmenter"]) == ("8GB", True, "grounded-sam2")
    assert "weights" not in said, "a path is nothing that callers may see"
