"""Nothing in an output folder is lost: not to a second run, not to an interrupted one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.drivers.small import SMALL

from scenelift.errors import Cancelled, InputError, OutputError
from scenelift.io.files import TEMPORARY_PREFIX, atomic_write, remove_leftovers, sha256_of
from scenelift.output.folder import WORK_FOLDER, check_inputs, claim_folder, is_scene_file
from scenelift.output.instances import check_photo
from scenelift.output.manifest import MANIFEST_NAME, read_manifest
from scenelift.progress import CancelToken, Reporter, silent
from scenelift.runs import RunSpec, run_job
from scenelift.types import Prompt


def spec(photo, out, *phrases, **options):
    prompt = Prompt(phrases=phrases or ("red", "blue"))
    return RunSpec(photo=photo, prompt=prompt, out=out, **{**SMALL, **options})


def below(folder):
    """Every file, those of the work folder included, with its digest."""
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def scene_of(folder):
    """As `below`, without what timings differ in and without the work folder."""
    return {
        name: digest
        for name, digest in below(folder).items()
        if name != MANIFEST_NAME and not name.startswith(WORK_FOLDER)
    }


def test_a_second_run_touches_nothing_of_the_first(photo, pipeline, tmp_path):
    out = tmp_path / "out"
    with claim_folder(out) as work:
        half = work / "segment.npz"
        half.write_bytes(b"a stage of the first run")
        with atomic_write(out / "scene.ply") as file:
            file.write(b"half a file of the first run")
            file.flush()
            with pytest.raises(OutputError, match="Another run"):
                run_job(spec(photo, out), pipeline, silent())
            remove_leftovers(out)
        assert (out / "scene.ply").read_bytes() == b"half a file of the first run"
        assert half.read_bytes() == b"a stage of the first run"


def test_only_leftovers_of_our_own_are_removed(photo, pipeline, tmp_path):
    out = tmp_path / "out"
    for theirs in (".partial-x", f"{TEMPORARY_PREFIX}{'0' * 32}.d", "deep/.partial-x"):
        (out / theirs).mkdir(parents=True)
        (out / theirs / "letter.txt").write_text("mine")
    files = (".partial-notes.txt", ".partial-abcd1234.ply", f"deep/{TEMPORARY_PREFIX}{'0' * 32}")
    for name in files:
        (out / name).write_text("mine")
    kept = below(out)
    (out / f"{TEMPORARY_PREFIX}{'a' * 32}.ply").write_bytes(b"of a writer that was killed")
    run_job(spec(photo, out), pipeline, silent())
    after = below(out)
    assert kept.items() <= after.items()
    assert f"{TEMPORARY_PREFIX}{'a' * 32}.ply" not in after


def test_a_finished_run_leaves_no_lock(photo, pipeline, tmp_path):
    out = tmp_path / "out"
    run_job(spec(photo, out), pipeline, silent())
    assert not (out / WORK_FOLDER).exists()
    run_job(spec(photo, out), pipeline, silent())
    assert not (out / WORK_FOLDER).exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_a_stopped_run_made_goes_if_it_is_empty(tmp_path, there):
    out = tmp_path / "new" / "scene"
    if there:
        out.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt), claim_folder(out):
        raise KeyboardInterrupt
    assert out.exists() == (tmp_path / "new").exists() == there
    with claim_folder(out):
        (out / "masks.json").write_text("[]")
    assert out.exists()


@pytest.mark.parametrize(
    "name",
    [
        *("input.png", "overlay.png", "preview.png", "preview.gif", "preview.webp", "INPUT.PNG"),
        *("scene_00_red.png", "objects/00_red/mask.png", "objects/photo.png"),
        f"{WORK_FOLDER}/photo.png",
    ],
)
def test_a_photo_under_the_name_of_an_output_is_refused_before_any_work(
    photo, pipeline, tmp_path, name
):
    out = tmp_path / "out"
    theirs = out / name
    theirs.parent.mkdir(parents=True)
    shutil.copy(photo, theirs)
    before = below(out)
    link = tmp_path / "link.png"
    link.symlink_to(theirs)
    for given in (theirs, link, out / ".." / "out" / name):
        with pytest.raises(InputError, match="would be replaced"):
            run_job(spec(given, out), pipeline, silent())
    assert below(out) == before


@pytest.mark.parametrize("target", ["theirs.png", "gone.png", "folder"])
@pytest.mark.parametrize("name", ["input.png", "scene.json", "objects/00_red", "scene_physics"])
def test_a_link_under_the_name_of_an_output_is_refused_and_stays(
    photo, pipeline, tmp_path, name, target
):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    (elsewhere / "folder").mkdir(parents=True)
    shutil.copy(photo, elsewhere / "theirs.png")
    (out / name).parent.mkdir(parents=True)
    (out / name).symlink_to(elsewhere / target)
    before = below(elsewhere)
    with pytest.raises(InputError, match=f"{name} is a link to .*{target}.*another --out"):
        run_job(spec(photo, out), pipeline, silent())
    assert (out / name).is_symlink()
    assert below(elsewhere) == before


@pytest.mark.parametrize("name", ["00_cup.png", "instances.json", "overlay.png"])
def test_a_link_under_the_name_of_a_mask_is_refused(photo, tmp_path, name):
    (tmp_path / name).symlink_to(photo)
    with pytest.raises(InputError, match=f"{name} is a link to"):
        check_photo(tmp_path, photo)
    (tmp_path / name).rename(tmp_path / "other.png")
    check_photo(tmp_path, photo)


def test_a_link_under_another_name_or_to_the_whole_folder_is_followed(photo, pipeline, tmp_path):
    (tmp_path / "disk").mkdir()
    out = tmp_path / "out"
    out.symlink_to(tmp_path / "disk")
    (out / "notes.txt").symlink_to(tmp_path / "gone.txt")
    run_job(spec(photo, out), pipeline, silent())
    assert (tmp_path / "disk" / "scene.json").is_file()
    assert (out / "notes.txt").is_symlink()


@pytest.mark.parametrize("name", ["photo.png", "scene.jpg", "inputs/input.png", "my_scene.png"])
def test_a_photo_under_another_name_may_lie_there(photo, pipeline, tmp_path, name):
    theirs = tmp_path / "out" / name
    theirs.parent.mkdir(parents=True)
    shutil.copy(photo, theirs)
    run_job(spec(theirs, tmp_path / "out"), pipeline, silent())
    assert sha256_of(theirs) == sha256_of(photo)


def test_every_file_that_a_scene_has_is_known_as_such(photo, pipeline, tmp_path):
    run_job(spec(photo, tmp_path / "out"), pipeline, silent())
    names = below(tmp_path / "out")
    assert MANIFEST_NAME in names
    assert all(is_scene_file(name) for name in names)
    assert is_scene_file("scene.compact.glb")
    assert not is_scene_file("scene.jpeg")


def test_an_earlier_scenes_files_are_no_input_of_the_next(photo, pipeline, tmp_path):
    out = tmp_path / "out"
    run_job(spec(photo, out), pipeline, silent())
    with pytest.raises(InputError, match=r"input\.png"):
        check_inputs(out, [photo, out / "input.png"])
    check_inputs(out, [photo, out])


def stop_at(name):
    """A reporter whose user stops the run before a file is written."""
    token = CancelToken()

    def listen(event):
        if event.stage == "write" and event.message == name:
            token.cancel()

    return Reporter(listen, token=token)


@pytest.mark.parametrize("name", ["input.png", "objects/00_red/mask.png", "scene.glb"])
def test_a_rerun_that_is_stopped_while_writing_leaves_the_scene_as_it_was(
    photo, pipeline, tmp_path, name
):
    out = tmp_path / "out"
    run_job(spec(photo, out), pipeline, silent())
    before = below(out)
    with pytest.raises(Cancelled):
        run_job(spec(photo, out, "red", seed=5), pipeline, stop_at(name))
    assert {n: d for n, d in below(out).items() if not n.startswith(WORK_FOLDER)} == before
    read_manifest(out)

    run_job(spec(photo, out, "blue"), pipeline, silent())
    run_job(spec(photo, tmp_path / "fresh", "blue"), pipeline, silent())
    assert scene_of(out) == scene_of(tmp_path / "fresh")
    assert not (out / WORK_FOLDER / "new").exists()
    assert not (out / "objects" / "00_red").exists()


KILLED = textwrap.dedent(
    """
    import os, sys
    from pathlib import Path
    from scenelift.pipeline import Pipeline
    from scenelift.progress import silent
    from scenelift.runs import RunSpec, run_job
    from scenelift.testing.fakes import BallReconstructor, ColorSegmenter, PlanePointMapper
    from scenelift.types import Prompt
    from tests.drivers.small import SMALL

    photo, out, moves = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    real = {"replace": Path.replace, "unlink": Path.unlink}
    done = 0

    def counting(name):
        def call(path, *args, **options):
            global done
            target = Path(args[0]) if args else path
            if (out / ".scenelift" / "replacing.json").exists() and target.is_relative_to(out):
                if done == moves:
                    os.kill(os.getpid(), 9)
                done += 1
            return real[name](path, *args, **options)
        return call

    Path.replace, Path.unlink = counting("replace"), counting("unlink")
    run_job(
        RunSpec(photo=photo, prompt=Prompt(phrases=("blue",)), out=out, **SMALL),
        Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor()), silent())
    """
)


@pytest.mark.parametrize("moves", [0, 3, 20])
def test_a_process_killed_while_files_change_places_leaves_nothing_for_good(
    photo, pipeline, tmp_path, moves
):
    out = tmp_path / "out"
    run_job(spec(photo, out), pipeline, silent())
    (out / "notes.txt").write_text("mine")
    child = subprocess.run([sys.executable, "-c", KILLED, photo, out, str(moves)])
    assert child.returncode == -signal.SIGKILL
    listed = json.loads((out / WORK_FOLDER / "replacing.json").read_text())
    assert {"objects/00_red/mask.png", "objects/00_blue/mask.png"} <= set(listed)

    run_job(spec(photo, out, "green", "red"), pipeline, silent())
    run_job(spec(photo, tmp_path / "fresh", "green", "red"), pipeline, silent())
    left = scene_of(out)
    assert left.pop("notes.txt")
    assert left == scene_of(tmp_path / "fresh")
    assert not (out / WORK_FOLDER).exists()


def test_a_list_cannot_make_us_delete_what_no_scene_has(photo, pipeline, tmp_path):
    out = tmp_path / "out"
    (out / WORK_FOLDER).mkdir(parents=True)
    (out / "diary.txt").write_text("mine")
    names = ["diary.txt", "objects/../diary.txt", "../photo.txt", "/etc/passwd", 7]
    (out / WORK_FOLDER / "replacing.json").write_text(json.dumps(names))
    run_job(spec(photo, out), pipeline, silent())
    assert (out / "diary.txt").read_text() == "mine"
    assert Path("/etc/passwd").exists()


def test_a_folder_in_the_place_of_a_file_is_told_and_the_old_scene_stays(photo, pipeline, tmp_path):
    out = tmp_path / "out"
    run_job(spec(photo, out), pipeline, silent())
    os.remove(out / "scene.ply")
    (out / "scene.ply").mkdir()
    before = below(out)
    with pytest.raises(OutputError, match="is a folder"):
        run_job(spec(photo, out, seed=3), pipeline, silent())
    assert {n: d for n, d in below(out).items() if not n.startswith(WORK_FOLDER)} == before
