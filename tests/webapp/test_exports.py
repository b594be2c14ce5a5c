"""Files made of a finished scene on demand: those of a run, of the scene as it is now, or none."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import zipfile

import numpy as np
import PIL.Image
import PIL.ImageSequence
import pytest
from scipy.spatial import KDTree
from starlette.testclient import TestClient
from tests.drivers.web import FakeQualities, fake_settings
from tests.webapp.conftest import NO_WORKER

from scenelift.edit import ObjectEdit
from scenelift.errors import InputError
from scenelift.formats import EXTRA_FORMATS
from scenelift.io.splat_reader import read_splats
from scenelift.options import ExportOptions
from scenelift.output.export import export_of
from scenelift.output.scene import write_scene
from scenelift.progress import CancelToken
from scenelift.webapp.access import LOCAL_OWNER
from scenelift.webapp.app import create_app
from scenelift.webapp.housekeeping import folder_bytes
from scenelift.webapp.settings import Settings

LOOP = {"path": "circle", "format": "webp", "frames": 3, "size": 48}


@pytest.fixture
def http(desk):
    """A client of a server over the desk's folder; its tasks are the test's to do."""
    settings = fake_settings(desk.data.path, preload=False)
    app = create_app(settings, qualities=FakeQualities(), worker_module=NO_WORKER)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        client.base_url = f"http://localhost/api/jobs/{desk.id}/"
        yield client


def test_what_is_asked_for_afterwards_is_what_the_run_would_have_written(
    desk, http, lifted, tmp_path
):
    kinds = [k for k in EXTRA_FORMATS if k not in ("usd", "mjcf")]  # which take a second each
    wanted = {"formats": kinds, "turntables": [LOOP], "pictures": [{"size": 64}]}
    answer = http.post("exports", json=wanted)
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
    assert len(answer.json()["waiting"]) == len(kinds) + 2
    desk.attempt().run()

    told = http.get("exports").json()
    assert (told["state"], told["waiting"], told["refused"]) == ("idle", [], {})
    of_kind = {f["format"]: f for f in told["formats"]}
    assert {k for k, f in of_kind.items() if f["state"] == "made"} == set(kinds)
    options = ExportOptions(preview_frames=1, preview_size=32, formats=tuple(kinds))
    of_run = {f.path: f for f in write_scene(lifted, tmp_path / "run", options=options).files}
    lower_bits = (".obj", ".usdz")  # of texture coordinates, which GLB counts from the other end
    for file in (file for kind in kinds for file in of_kind[kind]["files"]):
        content = http.get(f"http://localhost{file['url']}").content
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        same = file["sha256"] == of_run[file["name"]].sha256
        assert same or file["name"].endswith(lower_bits), file["name"]
        assert file["bytes"] == pytest.approx(of_run[file["name"]].bytes, rel=1e-3)
    for name, size in (("turntable-circle-3x48.webp", (48, 36)), ("picture-64.png", (64, 48))):
        with PIL.Image.open(io.BytesIO(http.get(f"files/{name}").content)) as picture:
            assert picture.size == size
    assert [f["name"] for f in told["loops"]] == ["turntable-circle-3x48.webp", "picture-64.png"]

    # Nothing is made twice, and all of it goes into one file, or what is chosen with its parts.
    assert http.post("exports", json=wanted).json()["waiting"] == []
    with zipfile.ZipFile(io.BytesIO(http.get("scene.zip").content)) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        assert json.loads(archive.read("scene.json"))["files"] == desk.files
    assert names >= {"scene.spz", "objects/00_red/mesh.glb", "turntable-circle-3x48.webp"}
    some = http.get("scene.zip", params={"name": ["scene.obj", "scene.urdf", "scene.stl"]})
    with zipfile.ZipFile(io.BytesIO(some.content)) as archive:
        assert archive.testzip() is None
        chosen = archive.namelist()
    assert {"scene.obj", "scene.urdf", "scene.stl"} < set(chosen)
    assert any(n.startswith("scene_physics/") for n in chosen)
    assert not any(n.startswith("objects/") for n in chosen)
    assert http.get("scene.zip", params={"name": "../job.json"}).status_code == 404

    assert http.delete("exports").status_code == 204
    assert http.get("files/scene.stl").status_code == 404
    assert not desk.folder.exports.exists()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_film_shows_the_frames_of_the_loop(desk, http, lifted, tmp_path):
    films = [LOOP | {"format": kind} for kind in ("mp4", "webp")]
    assert "mp4" in http.get("exports").json()["turntable_formats"]
    http.post("exports", json={"turntables": films})
    desk.attempt().run()
    film, loop = (http.get(f"files/turntable-circle-3x48.{kind}") for kind in ("mp4", "webp"))
    assert film.headers["content-type"] == "video/mp4"
    with PIL.Image.open(io.BytesIO(loop.content)) as frames:
        expected = [np.asarray(f.convert("RGB"), int) for f in PIL.ImageSequence.Iterator(frames)]
    # A run's own film is the same.
    of_run = ExportOptions(
        preview_frames=3, preview_size=48, preview_path="circle", preview_format="mp4"
    )
    write_scene(lifted, tmp_path / "run", options=of_run)
    assert (tmp_path / "run" / "preview.mp4").read_bytes() == film.content
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", "-", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        input=film.content,
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    pictures = np.frombuffer(raw, np.uint8).reshape(-1, *expected[0].shape).astype(int)
    assert len(pictures) == 9  # three times round
    # Both lose a little, at edges of colours most; the view from another side is off by 34.
    assert all(abs(a - b).mean() < 8 for a, b in zip(pictures, 3 * expected, strict=True))
    assert abs(pictures[0] - expected[1]).mean() > 16


def test_splats_come_with_the_axes_that_are_asked_for(desk, http, tmp_path):
    asked = [("ply", "y-up"), ("ply", "y-down"), ("sog", "y-up")]
    wanted = [{"format": kind, "frame": frame} for kind, frame in asked]
    names = [f"scene.{frame}.{kind}" for kind, frame in asked]
    assert http.post("exports", json={"splats": wanted}).json()["waiting"] == names
    desk.attempt().run()
    loops = http.get("exports").json()["loops"]
    assert [f["name"] for f in loops] == names
    assert loops[0]["bytes"] == pytest.approx(loops[1]["bytes"], rel=1e-3)
    read = []
    for name, (_, frame) in zip(names, asked, strict=True):
        (tmp_path / name).write_bytes(http.get(f"files/{name}").content)
        read.append(read_splats(tmp_path / name, frame=frame))
    np.testing.assert_allclose(read[0].means, read[1].means, atol=1e-5)
    apart, _ = KDTree(read[2].means).query(read[0].means)
    assert apart.max() < 0.01
    # Read with the other axes, they would lie elsewhere.
    assert (
        np.abs(read_splats(tmp_path / names[0], frame="y-down").means - read[0].means).max() > 0.1
    )


def test_edits_come_first_and_what_was_made_before_them_goes(desk, http):
    http.post("exports", json={"formats": ["splat"]})
    desk.attempt().run()
    before = http.get("files/scene.splat").content
    http.post("exports", json={"formats": ["stl", "splat"]})
    desk.put(desk.edits(ObjectEdit(object=0, deleted=True)))
    assert desk.job.task == "edit"
    # Half-way the files of before are there, and after it none that is not of the scene as it is.
    assert http.get("files/scene.splat").content == before
    desk.attempt().run()
    assert desk.job.task == "export"
    assert http.get("files/scene.splat").status_code == 404
    desk.attempt().run()
    assert http.get("files/scene.stl").status_code == 200
    http.post("exports", json={"formats": ["splat"]})
    desk.attempt().run()
    assert len(http.get("files/scene.splat").content) < len(before)


def test_what_is_being_made_is_stopped_or_taken_up_again_and_its_end_is_told(desk, http):
    http.post("exports", json={"formats": ["stl"]})
    http.post("cancel")  # waiting
    assert (desk.job.shown_state, desk.queue.exports(desk.id, LOCAL_OWNER)[1]) == ("done", [])
    http.post("exports", json={"formats": ["stl"], "turntables": [LOOP]})
    token = CancelToken()
    attempt = desk.attempt(token)
    assert http.post("cancel").json()["export"]["state"] == "writing"
    assert http.delete("exports").status_code == 409
    token.cancel()
    attempt.run()
    told = http.get("exports").json()
    assert (told["state"], told["waiting"], told["loops"]) == ("idle", [], [])

    http.post("exports", json={"turntables": [LOOP]})
    desk.attempt()  # and killed there
    desk.queue.recover(desk.SLOT, "it was killed")
    http.post("exports", json={"formats": ["stl"]})  # beside it
    desk.attempt().run()
    told = http.get("exports").json()
    assert [f["name"] for f in told["loops"]] == ["turntable-circle-3x48.webp"]
    assert http.get("files/scene.stl").status_code == 200

    (desk.folder.scene / "objects/00_red/mesh.glb").write_bytes(b"damaged")
    http.post("exports", json={"formats": ["3mf", "splat"]})
    desk.attempt().run()
    told = http.get("exports").json()
    assert (told["state"], told["waiting"]) == ("failed", [])
    assert "mesh.glb" in told["error"]["detail"]
    assert http.get(".").json()["state"] == "done"


def test_what_cannot_be_made_is_refused_before_anything_waits(desk, http, monkeypatch):
    refused = [
        (422, {"formats": ["obj2"]}),
        (422, {"turntables": [LOOP | {"frames": 1000, "size": 1024}]}),
        (422, {"turntables": [LOOP | {"path": "../x"}]}),
        (422, {"pictures": [{"size": 0}]}),
        (422, {"splats": [{"format": "spz", "frame": "y-up"}]}),
        (422, {"pictures": [{"size": 64}] * 99}),
    ]
    if shutil.which("ffmpeg") is None:
        refused.append((503, {"turntables": [LOOP | {"format": "mp4"}]}))
    for status, body in refused:
        answer = http.post("exports", json=body)
        assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert http.post(f"http://localhost/api/jobs/{'0' * 32}/exports", json={}).status_code == 404
    size = folder_bytes(desk.folder.path)
    monkeypatch.setattr(Settings, "owner_bytes", property(lambda _: size + 1_000_000))
    answer = http.post("exports", json={"pictures": [{"size": 4096}]})
    assert (answer.status_code, answer.json()["title"]) == (507, "storage full")
    assert desk.job.state == "done"
    http.post("rerun", json={})
    for job in http.get("http://localhost/api/jobs").json()["jobs"]:
        if job["id"] != desk.id:
            url = f"http://localhost/api/jobs/{job['id']}"
            assert http.post(f"{url}/exports", json={"formats": ["stl"]}).status_code == 409
            assert http.get(f"{url}/scene.zip").status_code == 409
    with pytest.raises(InputError):
        export_of("turntable-circle-3x48.exe")
    with pytest.raises(InputError):
        export_of("scene.y-up.spz")
