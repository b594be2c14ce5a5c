"""`--segmenter` puts a published model in place of the quality's own, from photo to scene."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from scenelift.cli import app
from scenelift.errors import BackendUnavailable
from scenelift.lacks import Lack
from scenelift.options import BackendOptions
from scenelift.pointmap import POINT_MAPPERS
from scenelift.qualities import QUALITIES, BackendNames, choose_backends
from scenelift.reconstruct import RECONSTRUCTORS
from scenelift.registry import Backend
from scenelift.segment import SEGMENTERS
from scenelift.testing.fakes import BallReconstructor, PlanePointMapper
from scenelift.testing.tiny_segmenters import write_sam3


@pytest.fixture
def quality(monkeypatch):
    """`--quality lame`: small backends, and a segmenter that cannot run."""
    for registry, backend in (
        (POINT_MAPPERS, PlanePointMapper()),
        (RECONSTRUCTORS, BallReconstructor()),
    ):
        entry = Backend(name=backend.name, load=lambda options, b=backend: b)
        monkeypatch.setitem(registry._backends, backend.name, entry)

    def cannot(options):
        raise AssertionError

    lame = Backend(name="lame", load=cannot, lacks=lambda options: [Lack("it is lame")])
    monkeypatch.setitem(SEGMENTERS._backends, "lame", lame)
    names = BackendNames(segmenter="lame", pointmapper="fake-plane", reconstructor="fake-ball")
    monkeypatch.setitem(QUALITIES, "lame", names)
    return "lame"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_sam3(tmp_path_factory.mktemp("weights") / "sam3")


def invoke(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


def test_a_scene_comes_of_a_phrase_by_the_segmenter_that_was_named(photo, tmp_path, quality, model):
    named = ("--quality", quality, "--segmenter", "sam3", "--segmenter-model", model)
    what = ("-p", "cup", "-p", "cat", "--min-score", "0.2", "--max-objects", "2")
    masks, scene = tmp_path / "masks", tmp_path / "scene"
    found = invoke("segment", photo, *named, *what, "--out", masks, "--json", "--device", "cpu")
    assert found.exit_code == 0, found.output
    assert found.stderr == ""
    found = json.loads(found.stdout)
    instances = found["instances"]
    assert 0 < len(instances) <= 2
    assert all(d["reason"] for d in found["dropped"])
    with PIL.Image.open(masks / instances[0]["mask"]) as mask:
        assert mask.size == (160, 120)

    small = ("--faces", "300", "--texture-size", "64", "--preview-frames", "2", "--no-refine")
    result = invoke(
        "run", photo, *named, *what, *small, "--out", scene, "--json", "--device", "cpu"
    )
    assert result.exit_code == 0, result.output
    manifest = json.loads(result.stdout)
    assert manifest["backends"]["segmenter"].startswith(f"sam3 {model}")
    # Order and numbers agree in files, manifest and scene.
    objects = manifest["objects"]
    assert [(o["index"], o["label"]) for o in objects] == [
        (k, i["label"]) for k, i in enumerate(instances)
    ]
    assert manifest["dropped"]

    result = invoke(
        *("run", photo, "--quality", quality, "--segmenter", "sam3", "--masks-from", masks),
        *("--out", tmp_path / "again", "--json", "--device", "cpu"),
    )
    again = json.loads(result.stdout)["objects"]
    assert [(o["label"], o["box"]) for o in again] == [(o["label"], o["box"]) for o in objects]


def test_no_match_exits_with_3_and_says_what_came_closest(photo, tmp_path, quality, model):
    result = invoke(
        *("segment", photo, "-p", "unicorn", "--out", tmp_path / "out", "--device", "cpu"),
        *("--quality", quality, "--segmenter", "sam3", "--segmenter-model", model),
    )
    assert result.exit_code == 3
    message = " ".join(result.stderr.split())
    assert "Nothing in the photo matches 'unicorn'" in message
    assert "best candidate for 'unicorn' scores 0." in message


@pytest.mark.parametrize(
    ("args", "exit_code", "message"),
    [
        (["--segmenter", "sam9"], 2, "Did you mean 'sam3'? Known: sam3, grounded-sam2"),
        (["--segmenter-model", "a/b"], 2, "add --segmenter sam3"),
        (["--segmenter", "sam3", "--segmenter-model", "./none"], 4, "neither a folder nor"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_loaded(
    photo, tmp_path, quality, args, exit_code, message
):
    for command in ("segment", "run"):
        result = invoke(
            command, photo, "-p", "cup", "--quality", quality, "--out", tmp_path / "out", *args
        )
        assert result.exit_code == exit_code, result.output
        assert message in " ".join(result.stderr.split())


def test_a_named_segmenter_lets_a_quality_run_that_lacks_only_its_own(quality, model):
    options = BackendOptions(model=str(model))
    choice = choose_backends(quality, options, segmenter="sam3")
    assert (choice.quality, choice.names.segmenter) == ("custom", "sam3")
    assert choice.names.reconstructor == "fake-ball"
    with pytest.raises(BackendUnavailable, match="it is lame"):
        choose_backends(quality, options)


def test_masks_of_the_users_need_no_segmenter_at_all(photo, tmp_path, quality):
    mask = np.zeros((120, 160), np.uint8)
    mask[40:80, 30:70] = 255
    PIL.Image.fromarray(mask).save(tmp_path / "cup.png")
    result = invoke(
        *("run", photo, "--masks-from", tmp_path / "cup.png", "--quality", quality),
        *("--out", tmp_path / "out", "--json"),
    )
    assert result.exit_code == 0, result.output
