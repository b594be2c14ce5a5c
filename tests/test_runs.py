"""A run writes a whole folder, repeats to the byte, and loses nothing when it is interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
from filelock import FileLock

from scenelift.errors import Cancelled, ImageError, InputError, NothingFound, OutputError
from scenelift.io.files import TEMPORARY_PREFIX, sha256_of
from scenelift.io.glb import read_glb
from scenelift.options import ExportOptions, LayoutOptions
from scenelift.output.manifest import read_manifest
from scenelift.output.overlay import PALETTE, TINT
from scenelift.pipeline import Pipeline
from scenelift.progress import CancelToken, Reporter, silent
from scenelift.runs import WORK_FOLDER, RunSpec, run_job
from scenelift.stages import StageStore
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    disc_photo,
)
from scenelift.types import Prompt
from tests.drivers.small import SMALL


def spec(photo, out, *phrases, **options):
    return RunSpec(
        photo=photo,
        prompt=Prompt(phrases=phrases or ("red", "blue")),
        out=out,
        **{**SMALL, **options},
    )


def files_below(folder):
    return {
        str(p.relative_to(folder)): sha256_of(p)
        for p in folder.rglob("*")
        if p.is_file() and WORK_FOLDER not in p.parts
    }


class Counting(ColorSegmenter):
    calls = 0

    def segment(self, image, prompt, report):
        self.calls += 1
        return super().segment(image, prompt, report)


def test_the_folder_holds_what_the_manifest_lists_and_nothing_else(photo, pipeline, tmp_path):
    whole = LayoutOptions()
    manifest = run_job(spec(photo, tmp_path / "out", layout=whole), pipeline, silent())
    found = files_below(tmp_path / "out")
    assert found.pop("scene.json")
    assert found == {f.path: f.sha256 for f in manifest.files}
    expected = {
        *("scene.ply", "scene.glb", "scene.obj", "scene.mtl", "preview.gif", "preview.png"),
        *("input.png", "overlay.png", "scene_00_red.png", "scene_01_blue.png"),
        *("background.ply", "background.glb", "scene_background.png"),
        *(f"objects/00_red/{n}" for n in ("mask.png", "splats.ply", "mesh.glb")),
        *(f"objects/01_blue/{n}" for n in ("mask.png", "splats.ply", "mesh.glb")),
    }
    assert set(found) == expected
    assert manifest.complete
    assert read_manifest(tmp_path / "out") == manifest
    assert not list((tmp_path / "out" / WORK_FOLDER).glob("*.npz"))


def test_same_seed_same_bytes_and_another_seed_other_bytes(photo, pipeline, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run_job(spec(photo, tmp_path / name, seed=seed), pipeline, silent())
    a, b, c = (files_below(tmp_path / name) for name in "abc")
    for found in (a, b, c):
        found.pop("scene.json")  # holds the timings
    assert a == b
    assert a["scene.ply"] != c["scene.ply"]


def test_a_run_that_is_done_returns_at_once_unless_something_changed(photo, tmp_path):
    counting = Counting()
    pipeline = Pipeline(counting, PlanePointMapper(), BallReconstructor())
    out = tmp_path / "out"
    first = run_job(spec(photo, out), pipeline, silent())
    assert run_job(spec(photo, out), pipeline, silent()) == first
    assert counting.calls == 1
    (out / "scene.ply").write_bytes(b"edited")
    run_job(spec(photo, out), pipeline, silent())
    assert counting.calls == 2
    run_job(spec(photo, out, seed=9), pipeline, silent())
    assert counting.calls == 3
    run_job(spec(photo, out, seed=9, force=True), pipeline, silent())
    assert counting.calls == 4


def test_files_of_an_earlier_scene_go_and_the_users_own_stay(photo, pipeline, tmp_path):
    out = tmp_path / "out"
    run_job(spec(photo, out), pipeline, silent())
    (out / "notes.txt").write_text("mine")
    run_job(spec(photo, out, "blue"), pipeline, silent())
    found = files_below(out)
    assert "objects/00_blue/mask.png" in found
    assert not [name for name in found if "red" in name]
    assert "notes.txt" in found


def test_failed_objects_are_in_the_manifest(photo, tmp_path):
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor(fail_on="red"))
    manifest = run_job(spec(photo, tmp_path / "out"), pipeline, silent())
    assert not manifest.complete
    assert [(f.index, f.label) for f in manifest.failed] == [(0, "red")]
    assert [o.name for o in manifest.objects] == ["01_blue"]


def test_stages_that_finished_before_a_cancellation_are_not_run_again(photo, tmp_path):
    counting, token = Counting(), CancelToken()
    pipeline = Pipeline(counting, PlanePointMapper(), BallReconstructor())

    def stop_after_first_object(event):
        if event.kind == "stage_finished" and event.object_index == 0:
            token.cancel()

    with pytest.raises(Cancelled):
        run_job(
            spec(photo, tmp_path / "out"), pipeline, Reporter(stop_after_first_object, token=token)
        )
    assert not (tmp_path / "out" / "scene.json").exists()
    events = []
    manifest = run_job(spec(photo, tmp_path / "out"), pipeline, Reporter(events.append))
    resumed = [(e.stage, e.object_index) for e in events if e.kind == "stage_resumed"]
    assert resumed == [("segment", None), ("pointmap", None), ("reconstruct", 0)]
    assert counting.calls == 1
    assert len(manifest.objects) == 2


def test_a_killed_run_resumes_and_gives_the_same_bytes(photo, pipeline, tmp_path):
    """SIGKILL while the second object is being reconstructed."""
    code = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from scenelift.pipeline import Pipeline
        from scenelift.progress import Reporter
        from scenelift.runs import RunSpec, run_job
        from scenelift.testing.fakes import BallReconstructor, ColorSegmenter, PlanePointMapper
        from scenelift.types import Prompt

        def wait(event):
            if event.kind == "stage_started" and event.object_index == 1:
                print("ready", flush=True)
                sys.stdin.read()  # until it is killed, or the test is gone

        run_job(
            RunSpec(photo=Path(sys.argv[1]), prompt=Prompt(phrases=("red", "blue")),
                    out=Path(sys.argv[2])),
            Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor()),
            Reporter(wait),
        )
        """
    )
    out = tmp_path / "killed"
    command = [sys.executable, "-c", code, photo, out]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            with pytest.raises(OutputError, match="Another run"):
                run_job(spec(photo, out), pipeline, silent())
        finally:
            child.kill()

    events = []
    run_job(spec(photo, out), pipeline, Reporter(events.append))
    assert "stage_resumed" in {e.kind for e in events}
    run_job(spec(photo, tmp_path / "whole"), pipeline, silent())
    killed, whole = files_below(out), files_below(tmp_path / "whole")
    del killed["scene.json"], whole["scene.json"]
    assert killed == whole
    assert not [n for _, _, names in os.walk(out) for n in names if n.startswith(TEMPORARY_PREFIX)]


def test_a_folder_in_use_by_another_run_is_refused(photo, pipeline, tmp_path):
    (tmp_path / "out" / WORK_FOLDER).mkdir(parents=True)
    with (
        FileLock(tmp_path / "out" / WORK_FOLDER / "lock"),
        pytest.raises(OutputError, match="Another run"),
    ):
        run_job(spec(photo, tmp_path / "out"), pipeline, silent())


def test_bad_input_is_told_before_any_model_runs(photo, tmp_path):
    counting = Counting()
    pipeline = Pipeline(counting, PlanePointMapper(), BallReconstructor())
    with pytest.raises(ImageError):
        run_job(spec(tmp_path / "none.png", tmp_path / "out"), pipeline, silent())
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        run_job(spec(photo, tmp_path / "file"), pipeline, silent())
    assert counting.calls == 0


def test_nothing_found_leaves_no_scene(photo, pipeline, tmp_path):
    with pytest.raises(NothingFound):
        run_job(spec(photo, tmp_path / "out", "unicorn"), pipeline, silent())
    assert files_below(tmp_path / "out") == {}


def test_a_manifest_cannot_make_us_delete_outside_its_folder(photo, pipeline, tmp_path):
    out, victim = tmp_path / "out", tmp_path / "victim.txt"
    victim.write_text("precious")
    run_job(spec(photo, out), pipeline, silent())
    text = (out / "scene.json").read_text().replace("input.png", "../victim.txt")
    (out / "scene.json").write_text(text)
    run_job(spec(photo, out, "blue"), pipeline, silent())
    assert victim.read_text() == "precious"


def test_numbers_agree_in_overlay_files_manifest_and_scene(tmp_path):
    """The first object fails: the others keep their numbers everywhere."""
    discs = [("red", 30, 60, 22), ("green", 85, 60, 18), ("blue", 132, 60, 14)]
    picture = disc_photo(discs)
    photo = tmp_path / "three.png"
    PIL.Image.fromarray(picture.pixels).save(photo)
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor(fail_on="red"))
    out = tmp_path / "out"
    wanted = spec(photo, out, "red", "green", "blue", layout=LayoutOptions())
    manifest = run_job(wanted, pipeline, silent())

    assert [(f.index, f.label) for f in manifest.failed] == [(0, "red")]
    named = [(o.index, o.name) for o in manifest.objects]
    assert named == [(1, "01_green"), (2, "02_blue")]
    assert sorted(p.name for p in (out / "objects").iterdir()) == ["01_green", "02_blue"]
    names = [node.name for node in read_glb(out / "scene.glb")]
    assert names == ["01_green", "02_blue", "background"]

    # Object k is tinted with colour k of the palette, in pixels between outline and label.
    overlay = np.asarray(PIL.Image.open(out / "overlay.png")).astype(float)
    enlarged = overlay.shape[0] // picture.height
    for number, (_, x, y, radius) in enumerate(discs):
        u, v = int(x), int(y + 0.75 * radius)
        base = picture.pixels[v, u].astype(float)
        tint = overlay[v * enlarged, u * enlarged] - base
        towards = PALETTE[number] - base
        np.testing.assert_allclose(tint, TINT * towards, atol=1.5)  # rounding to 8 bits


@pytest.mark.parametrize("name", ["scene.ply", "scene.glb", "preview.png", "scene.spz"])
def test_a_users_file_under_an_outputs_name_is_refused_and_stays(photo, pipeline, tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_bytes(b"mine")
    (out / "scene.json").write_text('{"asset": {"generator": "another program"}}')
    wanted = spec(photo, out, export=ExportOptions(formats=("spz",), preview_frames=2))
    with pytest.raises(InputError, match=rf"{name}.* another --out.*--force"):
        run_job(wanted, pipeline, silent())
    assert (out / name).read_bytes() == b"mine"
    run_job(replace(wanted, force=True), pipeline, silent())
    assert (out / name).read_bytes() != b"mine"


def test_a_scenes_file_that_was_changed_since_is_renamed_when_another_comes(
    photo, pipeline, tmp_path
):
    out, notes = tmp_path / "out", []
    run_job(spec(photo, out), pipeline, silent())
    changed = (out / "scene.glb").read_bytes()[:-1] + b"x"  # of the same length, and newer
    (out / "scene.glb").write_bytes(changed)
    report = Reporter(lambda event: notes.append(event.message))
    run_job(spec(photo, out, seed=1), pipeline, report)
    assert (out / "scene.glb~").read_bytes() == changed
    assert [path.name for path in out.rglob("*~")] == ["scene.glb~"]
    assert any("scene.glb was changed" in note for note in notes)
    run_job(spec(photo, out), pipeline, silent())
    assert (out / "scene.glb~").read_bytes() == changed


@pytest.mark.parametrize("content", [b"", b"\0" * 500, b"half"])
def test_a_scene_whose_manifest_was_cut_off_is_made_again(photo, pipeline, tmp_path, content):
    out = tmp_path / "out"
    run_job(spec(photo, out), pipeline, silent())
    manifest = (out / "scene.json").read_bytes()
    (out / "scene.json").write_bytes(
        manifest[: len(manifest) // 2] if content == b"half" else content
    )
    assert run_job(spec(photo, out), pipeline, silent()).complete


def test_a_disk_that_fills_up_ends_the_run_and_blames_no_object(
    photo, pipeline, tmp_path, monkeypatch
):
    save = StageStore.save

    def full(store, stage, key, value):
        if stage.startswith("reconstruct"):
            raise OutputError("The disk is full.")
        save(store, stage, key, value)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(StageStore, "save", full)
        with pytest.raises(OutputError, match="full"):
            run_job(
                spec(photo, out),
                Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor()),
                silent(),
            )
    again = Pipeline(Counting(), PlanePointMapper(), BallReconstructor())
    assert run_job(spec(photo, out), again, silent()).complete
    assert again.segmenter.calls == 0
