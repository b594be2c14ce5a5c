"""A finished scene put right by hand: all files agree, nothing of the run is lost."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from scenelift.cli import app
from scenelift.edit import (
    Edits,
    ObjectEdit,
    TransformEdit,
    edits_of,
    no_edits,
    parse_edits,
)
from scenelift.edit.folder import edit_folder
from scenelift.errors import Cancelled, EditsError, InputError, OtherScene
from scenelift.io.files import sha256_of
from scenelift.io.glb import read_glb
from scenelift.io.splat_reader import read_splats
from scenelift.options import ExportOptions, LayoutOptions
from scenelift.output import folder as folders
from scenelift.output.manifest import Manifest, read_manifest
from scenelift.output.scene import write_scene
from scenelift.pipeline import Pipeline
from scenelift.progress import CancelToken, Reporter
from scenelift.runs import RunSpec, run_job
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    disc_photo,
)
from scenelift.types import Background, Prompt

SCHEMA = Path(__file__).parents[2] / "docs" / "edits.schema.json"
SMALL = ExportOptions(preview_frames=2, preview_size=32)
SCENE = "0" * 64


@pytest.fixture(scope="module")
def lifted():
    """Two balls."""
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())
    return pipeline.run(disc_photo(), "red; blue", layout=LayoutOptions(background="none"))


@pytest.fixture(scope="module")
def written(lifted, tmp_path_factory):
    """A scene as its run left it."""
    folder = tmp_path_factory.mktemp("scene") / "out"
    write_scene(lifted, folder, options=SMALL)
    return folder


@pytest.fixture
def scene(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "out"))


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in folder.rglob("*")
        if path.is_file() and folders.WORK_FOLDER not in path.parts
    }


def edits(folder, *entries, scale=None):
    return no_edits(folder).model_copy(update={"objects": entries, "scale": scale})


def moved(index, manifest, by, **facts):
    pose = manifest.objects[index].pose
    x, y, z = (a + b for a, b in zip(pose.translation, by, strict=True))
    to = TransformEdit(rotation=pose.rotation, translation=(x, y, z), scale=pose.scale)
    return ObjectEdit(object=index, transform=to, **facts)


def centres(folder):
    """Middle of every object in the scene frame, file by file."""
    manifest = read_manifest(folder)
    counts = [o.gaussians for o in manifest.objects]

    def split(points):
        return [part.mean(0) for part in np.split(points, np.cumsum(counts)[:-1])]

    nodes = read_glb(folder / "scene.glb")
    found = {
        "ply": split(read_splats(folder / "scene.ply", frame=manifest.splat_frame).means),
        "glb": [(n.mesh.vertices @ n.matrix[:3, :3].T + n.matrix[:3, 3]).mean(0) for n in nodes],
    }
    if not (folder / "scene.usdc").exists():
        return found
    Usd, UsdGeom = (pytest.importorskip(f"pxr.{name}") for name in ("Usd", "UsdGeom"))
    stage = Usd.Stage.Open(str(folder / "scene.usdc"))
    cache = UsdGeom.XformCache()
    found["usd"] = []
    for prim in stage.Traverse():
        if prim.IsA(UsdGeom.Mesh) and not prim.GetName().startswith("hull"):
            points = np.array(UsdGeom.Mesh(prim).GetPointsAttr().Get())
            if UsdGeom.Imageable(prim).ComputePurpose() == "guide":
                continue
            matrix = np.array(cache.GetLocalToWorldTransform(prim))
            found["usd"].append((points @ matrix[:3, :3] + matrix[3, :3]).mean(0))
    return found


def test_a_moved_object_is_moved_in_every_file_and_nothing_else_is(lifted, tmp_path):
    scene = tmp_path / "out"
    write_scene(lifted, scene, options=replace(SMALL, formats=("usd",)))
    before, run = centres(scene), read_manifest(scene)
    assert [*before] == ["ply", "glb", "usd"]
    by = np.array([0.5, -0.25, 0.125])
    copy = moved(1, run, by).model_copy(update={"object": 7, "copy_of": 1})
    manifest = edit_folder(scene, edits(scene, moved(0, run, by, name="ball"), copy))
    after = centres(scene)
    for kind, middles in before.items():
        assert len(middles) == 2, kind
        expected = [middles[0] + by, middles[1], middles[1] + by]
        # Half a millimetre: float32 coordinates of the files.
        np.testing.assert_allclose(after[kind], expected, atol=5e-4, err_msg=kind)
    assert [o.name for o in manifest.objects] == ["00_ball", "01_blue", "07_blue"]
    assert [n.name for n in read_glb(scene / "scene.glb")] == ["00_ball", "01_blue", "07_blue"]
    assert manifest.edited is not None
    assert manifest.edited.objects == {
        "00_ball": ["renamed", "moved"],
        "07_blue": ["a copy of object 1", "moved"],
    }
    for file in manifest.files:
        assert sha256_of(scene / file.path) == file.sha256
    assert not (scene / "objects" / "00_red").exists()


def test_a_known_length_scales_every_file_and_makes_it_metric(scene):
    before = centres(scene)
    assert read_manifest(scene).units == "scene units"
    manifest = edit_folder(scene, edits(scene, scale=0.25))
    assert manifest.units == "metres"
    for kind, middles in centres(scene).items():
        np.testing.assert_allclose(middles, 0.25 * np.array(before[kind]), atol=5e-4, err_msg=kind)


def test_the_background_is_scaled_and_otherwise_left_alone(lifted, tmp_path):
    shape = lifted.objects[0].shape
    room = Background(
        mode="photo", mesh=shape.mesh, gaussians=shape.gaussians, up=(0, 0, 1), levels=(-0.5,)
    )
    out = tmp_path / "out"
    write_scene(replace(lifted, background=room), out, options=SMALL)
    first = contents(out)
    manifest = edit_folder(out, edits(out, ObjectEdit(object=0, deleted=True)))
    assert contents(out)["background.glb"] == first["background.glb"]
    assert manifest.edited is not None
    assert manifest.edited.deleted == ["00_red"]
    assert [n.name for n in read_glb(out / "scene.glb")] == ["01_blue", "background"]
    manifest = edit_folder(out, edits(out, scale=3.0))
    assert manifest.background is not None
    assert (manifest.background.up, manifest.background.levels) == ((0, 0, 1), [-1.5])
    mesh = read_glb(out / "background.glb")[0].mesh
    np.testing.assert_allclose(mesh.vertices, 3 * room.mesh.vertices, rtol=1e-6)
    splats = read_splats(out / "background.ply", frame=manifest.splat_frame)
    np.testing.assert_allclose(splats.means, 3 * room.gaussians.means, rtol=1e-5, atol=1e-6)


def test_undoing_gives_the_first_bytes_and_one_state_has_one_form(scene, tmp_path):
    first, run = contents(scene), read_manifest(scene)
    twin = Path(shutil.copytree(scene, tmp_path / "twin"))
    cleaned = ObjectEdit(object=0, splats_removed=((3, 4), (0, 3)))
    last = edits(scene, moved(1, run, (0, 1, 0)), cleaned)
    edit_folder(scene, edits(scene, ObjectEdit(object=1, deleted=True), scale=2.0))
    edit_folder(scene, last)
    edit_folder(twin, parse_edits(last.normal().to_bytes()))
    assert contents(scene) == contents(twin)
    assert edits_of(scene) == last.normal()
    again = contents(scene)
    edit_folder(scene, last)
    assert contents(scene) == again
    assert read_manifest(scene).objects[0].gaussians == run.objects[0].gaussians - 7
    edit_folder(scene, no_edits(scene))
    assert contents(scene) == first
    assert not (scene / folders.WORK_FOLDER).exists()


def test_whoever_is_stopped_leaves_the_old_files_or_can_be_finished(scene, monkeypatch):
    first, run = contents(scene), read_manifest(scene)
    wanted = edits(scene, moved(0, run, (1, 0, 0), name="ball"))
    token = CancelToken()

    def stop(event):
        if event.stage == "preview":
            token.cancel()

    with pytest.raises(Cancelled):
        edit_folder(scene, wanted, report=Reporter(stop, token=token))
    assert contents(scene) == first
    assert not (scene / folders.WORK_FOLDER).exists()

    real, left = Path.replace, iter(range(60))

    def killed(self, target):
        if "new" in self.parts and "new" not in target.parts and next(left) > 5:
            raise SystemExit("killed while files change places")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(SystemExit):
        edit_folder(scene, wanted)
    monkeypatch.undo()
    assert not (scene / "scene.json").exists()
    manifest = edit_folder(scene, wanted)
    assert sorted(contents(scene)) == sorted(["scene.json", *(f.path for f in manifest.files)])
    edit_folder(scene, no_edits(scene))
    assert contents(scene) == first


def test_only_a_forced_run_drops_edits(photo, pipeline, tmp_path):
    small = ExportOptions(preview_frames=1, preview_size=32)
    spec = RunSpec(photo=photo, prompt=Prompt(phrases=("red",)), out=tmp_path / "out", export=small)
    run_job(spec, pipeline, Reporter(lambda event: None))
    first = contents(spec.out)
    edit_folder(spec.out, edits(spec.out, ObjectEdit(object=0, name="ball")))
    told = []
    run_job(spec, pipeline, Reporter(lambda event: told.append(event.message)))
    assert "edited since" in told[-1]
    assert read_manifest(spec.out).objects[0].label == "ball"
    with pytest.raises(InputError, match=r"edited.*--force"):
        run_job(replace(spec, seed=5), pipeline, Reporter(lambda event: None))
    assert read_manifest(spec.out).objects[0].label == "ball"
    run_job(replace(spec, force=True), pipeline, Reporter(lambda event: None))
    again = contents(spec.out)
    assert {k: v for k, v in again.items() if k != "scene.json"} == {
        k: v for k, v in first.items() if k != "scene.json"
    }
    assert not (spec.out / folders.ORIGINAL).exists()


def entry(**facts):
    return json.dumps({"version": 1, "scene": SCENE, "objects": [{"object": 0, **facts}]})


def scaled(number):
    return f'{{"version": 1, "scene": "{SCENE}", "scale": {number}}}'


def transform(**facts):
    return {"rotation": [1, 0, 0, 0], "translation": [0, 0, 0], "scale": 1, **facts}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "cannot be used"),
        ('{"version": 2, "scene": "x"}', "version 2"),
        (scaled("NaN"), "NaN"),
        (scaled("1e999"), "scale"),
        (scaled("0"), "scale"),
        ('{"version": 1, "scene": "../../etc"}', "scene"),
        (entry(operation="move"), "operation"),
        (entry(object=True), "object"),
        (entry(object=-1), "object"),
        (entry(name="a\nb\x07"), "control characters"),
        (entry(name=" "), "empty"),
        (entry(transform=transform(rotation=[2, 0, 0, 0])), "unit quaternion"),
        (entry(transform=transform(translation=[1e9, 0, 0])), "translation"),
        (entry(splats_removed=[[0, 0]]), "splats_removed"),
        (entry(splats_removed=[[0, 1]] * 200_001), "splats_removed: 200001 entries"),
        (json.dumps({"scene": SCENE, "objects": [{"object": 0}] * 2}), "two entries"),
        (
            json.dumps({"scene": SCENE, "objects": [{"object": k} for k in range(10**5)]}),
            "100000 .*most 1000",
        ),
        ('{"objects": [' + '{"object": 1},' * 10**6, "bytes"),
    ],
    ids=range(20),
)
def test_hostile_edits_are_refused_with_the_place(text, match):
    with pytest.raises(EditsError, match=match):
        parse_edits(text)


def test_edits_that_do_not_fit_are_refused_before_anything_is_written(scene):
    first = contents(scene)
    wrong = {
        "object 9": ObjectEdit(object=9, name="x"),
        "another object of the scene": ObjectEdit(object=1, copy_of=0),
        "up to number 2000": ObjectEdit(object=0, splats_removed=((1999, 2),)),
        "remove all": ObjectEdit(object=0, splats_removed=((0, 2000),)),
    }
    for match, one in wrong.items():
        with pytest.raises(EditsError, match=match):
            edit_folder(scene, edits(scene, one))
    with pytest.raises(EditsError, match="no object"):
        gone = [ObjectEdit(object=k, deleted=True) for k in (0, 1)]
        edit_folder(scene, edits(scene, *gone))
    with pytest.raises(OtherScene, match="belong to the scene 000000"):
        edit_folder(scene, Edits(scene=SCENE, scale=2.0))
    assert contents(scene) == first
    (scene / "objects" / "00_red" / "splats.ply").write_bytes(b"ply, painted over")
    with pytest.raises(InputError, match="has changed since"):
        edit_folder(scene, edits(scene, scale=2.0))


def test_the_command_prints_what_to_start_from_and_takes_it_back(scene, tmp_path):
    first, file = contents(scene), tmp_path / "mine.json"
    run = CliRunner()
    shown = run.invoke(app, ["edit", str(scene)])
    assert json.loads(shown.stdout)["objects"] == []
    told = json.loads(shown.stdout) | {"objects": [{"object": 1, "deleted": True}]}
    file.write_text(json.dumps(told))
    done = run.invoke(app, ["edit", str(scene), str(file), "--json", "-q"])
    assert [o["name"] for o in json.loads(done.stdout)["objects"]] == ["00_red"]
    Manifest.model_validate_json(done.stdout)
    refused = run.invoke(app, ["edit", str(scene), str(tmp_path / "none.json"), "--json"])
    assert (refused.exit_code, json.loads(refused.stdout)["title"]) == (2, "bad edits")
    assert run.invoke(app, ["edit", str(scene), "--reset"]).exit_code == 0
    assert contents(scene) == first


def test_the_documented_schema_is_that_of_the_code():
    """Make it again with: python -m scenelift.edit > docs/edits.schema.json"""
    assert json.loads(SCHEMA.read_text("utf-8")) == Edits.model_json_schema()
