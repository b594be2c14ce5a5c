"""The commands: what they write, what they print, and what they exit with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from scenelift import cli
from scenelift.cli import app
from scenelift.output.instances import check_masks, write_instances
from scenelift.output.manifest import Manifest
from scenelift.pointmap import POINT_MAPPERS
from scenelift.progress import silent
from scenelift.qualities import QUALITIES, BackendNames
from scenelift.reconstruct import RECONSTRUCTORS
from scenelift.registry import Backend
from scenelift.segment import SEGMENTERS
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    disc_photo,
)
from scenelift.types import Prompt


@pytest.fixture(autouse=True)
def fake_quality(monkeypatch):
    """`--quality fake`: the small backends, through the registries that the command line uses."""
    for registry, backend in (
        (SEGMENTERS, ColorSegmenter()),
        (POINT_MAPPERS, PlanePointMapper()),
        (RECONSTRUCTORS, BallReconstructor(fail_on="green")),
    ):
        entry = Backend(name=backend.name, load=lambda options, b=backend: b)
        monkeypatch.setitem(registry._backends, backend.name, entry)
    names = BackendNames(
        segmenter="fake-color", pointmapper="fake-plane", reconstructor="fake-ball"
    )
    monkeypatch.setitem(QUALITIES, "fake", names)


def invoke(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


SMALL = (
    *("--faces", "300", "--texture-size", "64", "--no-refine", "--background", "none"),
    *("--preview-frames", "2", "--preview-size", "32"),
)


def run(photo, out, *args):
    return invoke("run", photo, "--out", out, "--quality", "fake", *SMALL, *args)


@pytest.mark.parametrize(
    "command",
    [
        *([], ["run"], ["segment"], ["batch"], ["view"], ["doctor"], ["models"]),
        *(["slurm", "web"], ["slurm", "batch"]),
    ],
)
def test_every_command_has_help_with_an_example(command):
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    if command != ["models"]:
        assert "Example: scenelift" in " ".join(result.stdout.split())


def test_run_writes_a_scene_and_says_what_and_where(photo, tmp_path):
    result = run(photo, tmp_path / "out", "-p", "red", "-p", "blue")
    assert result.exit_code == 0, result.output
    assert "0  red" in result.stdout
    assert "1  blue" in result.stdout
    assert "peak memory" in result.stdout
    assert (tmp_path / "out" / "scene.glb").is_file()


def test_run_json_is_the_manifest_and_nothing_else(photo, tmp_path):
    result = run(photo, tmp_path / "out", "-p", "red; blue", "--json")
    manifest = Manifest.model_validate(json.loads(result.stdout))
    assert [o.label for o in manifest.objects] == ["red", "blue"]
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("args", "exit_code", "message"),
    [
        (["-p", ""], 2, "prompt is empty"),
        ([], 2, "prompt is empty"),
        (["-p", "x" * 10_000], 2, "10000 characters"),
        (["-p", "unicorn"], 3, "Nothing in the photo matches 'unicorn'"),
        (["-p", "green"], 3, "Nothing in the photo matches 'green'"),
        (["--box", "1,2,3"], 2, "is not a box"),
        (["--box", "9,9,3,3"], 2, "is empty"),
        (["--box", "900,900,950,950"], 2, "outside the photo"),
        (["-p", "red", "--quality", "finest"], 2, "'finest'"),
        (["-p", "red", "--seed", "-1"], 2, ""),
        (["-p", "red", "--mask", "nothing.png"], 2, "nothing.png"),
    ],
)
def test_bad_usage_has_a_message_and_an_exit_code(photo, tmp_path, args, exit_code, message):
    result = run(photo, tmp_path / "out", *args)
    assert result.exit_code == exit_code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_missing_photo_and_an_unwritable_folder_are_bad_input(photo, tmp_path):
    assert run(tmp_path / "none.jpg", tmp_path / "out", "-p", "red").exit_code == 2
    (tmp_path / "file").write_text("x")
    result = run(photo, tmp_path / "file", "-p", "red")
    assert (result.exit_code, "--out" in result.stderr) == (2, True)


def test_errors_are_problems_in_json(photo, tmp_path):
    result = run(photo, tmp_path / "out", "-p", "unicorn", "--json")
    problem = json.loads(result.stdout)
    assert result.exit_code == 3
    assert problem["suggestions"] == ["red", "green", "blue"]


def test_a_failed_object_makes_exit_code_5_and_keeps_the_others(tmp_path):
    from scenelift.testing.fakes import disc_photo

    photo = tmp_path / "p.png"
    discs = disc_photo([("red", 50, 60, 24), ("green", 112, 66, 18)])
    PIL.Image.fromarray(discs.pixels).save(photo)
    result = run(photo, tmp_path / "out", "-p", "red; green")
    assert result.exit_code == 5
    assert "told to fail" in result.output
    assert (tmp_path / "out" / "scene.ply").is_file()


def test_segment_writes_masks_that_run_takes_back(photo, tmp_path):
    masks = tmp_path / "masks"
    result = invoke("segment", photo, "-p", "red; blue", "--out", masks, "--quality", "fake")
    assert result.exit_code == 0, result.output
    entries = json.loads((masks / "instances.json").read_text())
    assert [(e["label"], e["mask"]) for e in entries] == [
        ("red", "00_red.png"),
        ("blue", "01_blue.png"),
    ]
    # The user paints out half of the red disc.
    red = np.array(PIL.Image.open(masks / "00_red.png"))
    red[:60] = 0
    PIL.Image.fromarray(red).save(masks / "00_red.png")
    result = run(photo, tmp_path / "out", "--mask", masks, "--json")
    manifest = json.loads(result.stdout)
    assert [o["label"] for o in manifest["objects"]] == ["red", "blue"]
    assert manifest["objects"][0]["box"][1] == 60


def test_a_depth_of_the_users_takes_the_place_of_the_model(photo, tmp_path):
    np.save(tmp_path / "depth.npy", np.full((120, 160), 3.0, np.float32))
    out = tmp_path / "out"
    as_it_came = ("--no-refine", "--no-repair")
    result = run(photo, out, "-p", "red", "--depth", tmp_path / "depth.npy", "--json", *as_it_came)
    (found,) = json.loads(result.stdout)["objects"]
    assert found["pose"]["translation"][2] == pytest.approx(-3.0)


def test_doctor_says_what_is_missing_and_exits_accordingly(tmp_path):
    result = invoke("doctor", "--quality", "fake", "--json")
    assert result.exit_code == 0
    findings = json.loads(result.stdout)
    assert findings["quality"]["can_run"]
    empty = tmp_path / "weights"
    empty.mkdir()
    result = invoke("doctor", "--quality", "embedded", "--weights", empty)
    assert result.exit_code == 4
    assert "scenelift models download embedded" in result.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_with_130_and_the_next_run_resumes(photo, tmp_path, number):
    """The first one asks the stages to stop; what was finished is kept."""
    code = (
        "import sys, time\n"
        "from scenelift.commands.shell import listen, problems\n"
        "from scenelift.pipeline import Pipeline\n"
        "from scenelift.runs import RunSpec, run_job\n"
        "from scenelift.testing.fakes import *\n"
        "from scenelift.types import Prompt\n"
        "from pathlib import Path\n"
        "class Slow(BallReconstructor):\n"
        "    def reconstruct(self, *a, report, **k):\n"
        "        print('ready', flush=True)\n"
        "        for i in range(600): report.update(i, 600); time.sleep(0.1)\n"
        "import typer\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def go(photo: Path, out: Path):\n"
        "    with problems(False), listen() as report:\n"
        "        run_job(RunSpec(photo=photo, prompt=Prompt(phrases=('red',)), out=out),\n"
        "                Pipeline(ColorSegmenter(), PlanePointMapper(), Slow()), report)\n"
        "app()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, photo, tmp_path / "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(number)
    _, errors = child.communicate()
    assert child.returncode == 130, errors
    assert "Stopping after this step" in errors
    assert "running again resumes" in errors
    assert (tmp_path / "out" / ".scenelift" / "pointmap.npz").is_file()
    assert run(photo, tmp_path / "out", "-p", "red").exit_code == 0


def test_segment_does_not_replace_its_photo_and_clears_away_its_own_masks(photo, tmp_path):
    out = tmp_path / "masks"
    for name in ("overlay.png", "07_cup.png"):
        theirs = out / name
        theirs.parent.mkdir(exist_ok=True)
        theirs.write_bytes(photo.read_bytes())
        result = CliRunner().invoke(app, ["segment", str(theirs), "-p", "red", "--out", str(out)])
        assert result.exit_code == 2
        assert "might be replaced" in result.output
        assert theirs.read_bytes() == photo.read_bytes()
        theirs.unlink()
    image = disc_photo()
    both = ColorSegmenter().segment(image, Prompt(phrases=("red", "blue")), silent())
    write_instances(out, image, both)
    (out / "02_own.png").write_bytes(b"mine")
    one = ColorSegmenter().segment(image, Prompt(phrases=("blue",)), silent())
    write_instances(out, image, one)
    names = {path.name for path in out.iterdir()}
    assert names == {"00_blue.png", "02_own.png", "instances.json", "overlay.png"}


def test_segment_does_not_replace_masks_that_somebody_repainted(photo, tmp_path):
    out = tmp_path / "masks"
    out.mkdir()
    image = disc_photo()
    write_instances(out, image, ColorSegmenter().segment(image, Prompt(phrases=("red",)), silent()))
    check_masks(out)
    (out / "00_red.png").write_bytes(b"repainted")
    result = CliRunner().invoke(app, ["segment", str(photo), "-p", "red", "--out", str(out)])
    assert result.exit_code == 2
    assert "was changed since scenelift wrote it" in " ".join(result.output.split())
    assert (out / "00_red.png").read_bytes() == b"repainted"
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "scene.json").write_text("{}")
    for folder in (str(tmp_path / "scene"), ""):
        result = CliRunner().invoke(app, ["segment", str(photo), "-p", "red", "--out", folder])
        assert result.exit_code == 2
    assert not list((tmp_path / "scene").glob("*.png"))


def test_no_console_and_no_file_name_ends_a_finished_run(tmp_path):
    """A console of Latin-1, a photo and a folder whose names are no UTF-8, a label in Chinese."""
    code = (
        "from scenelift import cli\n"
        "from scenelift.registry import Backend\n"
        "from scenelift.pointmap import POINT_MAPPERS as P\n"
        "from scenelift.reconstruct import RECONSTRUCTORS as R\n"
        "from scenelift.segment import SEGMENTERS as S\n"
        "from scenelift.qualities import QUALITIES, BackendNames\n"
        "from scenelift.testing.fakes import BallReconstructor, ColorSegmenter, PlanePointMapper\n"
        "for r, b in ((S, ColorSegmenter()), (P, PlanePointMapper()), (R, BallReconstructor())):\n"
        "    r._backends[b.name] = Backend(name=b.name, load=lambda options, b=b: b)\n"
        "QUALITIES['fake'] = BackendNames(segmenter='fake-color', pointmapper='fake-plane',\n"
        "                                 reconstructor='fake-ball')\n"
        "cli.main()\n"
    )
    # That it was reduced is noted, by its name.
    large = PIL.Image.fromarray(disc_photo().pixels).resize((4160, 390))
    large.save(tmp_path / "a.jpg")
    photo = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    os.rename(os.fsencode(tmp_path / "a.jpg"), photo)
    mask = np.zeros((390, 4160), np.uint8)
    mask[100:300, 1000:1200] = 255
    PIL.Image.fromarray(mask).save(tmp_path / "杯子.png")
    out = os.fsencode(tmp_path) + b"/out\xe9"
    done = subprocess.run(
        [
            *(sys.executable, "-c", code, "run", photo, "--out", out, "--quality", "fake"),
            *("--mask", tmp_path / "杯子.png"),
        ],
        env={**os.environ, "PYTHONIOENCODING": "latin-1", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode("latin-1")
    assert b"0  \\u676f\\u5b50 (1.00)" in done.stdout
    manifest = json.loads((Path(os.fsdecode(out)) / "scene.json").read_text("utf-8"))
    assert manifest["objects"][0]["name"] == "00_beizi"
    assert any("caf\ufffd.jpg was read" in note for note in manifest["notes"])


@pytest.mark.parametrize("loading", [KeyboardInterrupt(), ValueError()])
def test_an_interrupt_while_a_kernel_is_loaded_is_one(monkeypatch, loading):
    def interrupted():
        error = SystemError("loading")
        error.__cause__ = loading
        raise SystemError("the kernel") from error

    monkeypatch.setattr(cli, "app", interrupted)
    with pytest.raises((SystemExit, SystemError)) as caught:
        cli.main()
    code = caught.value.code if isinstance(caught.value, SystemExit) else None
    assert code == (130 if isinstance(loading, KeyboardInterrupt) else None)
