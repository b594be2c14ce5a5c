"""The open quality's own code, with tiny made-up weights, from a photo to a finished folder."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from scenelift.cli import app
from scenelift.errors import InputError
from scenelift.options import BackendOptions, LayoutOptions, ReconstructionOptions
from scenelift.pipeline import Pipeline
from scenelift.qualities import QUALITIES, choose_backends
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    disc_photo,
)
from scenelift.types import Segmentation

BOX = ("--box", "26,36,74,84")


def invoke(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def quick(tiny_open, out: Path) -> tuple[object, ...]:
    return (
        *("--weights", tiny_open, "--device", "cpu", "--steps", 2, "--faces", 500),
        *("--no-refine", "--no-repair", "--max-objects", 1, "--out", out),
        *("--texture-size", 64, "--preview-frames", 2, "--preview-size", 32),
    )


def test_auto_takes_open_where_full_cannot_run_and_says_why(tiny_open):
    choice = choose_backends("auto", BackendOptions(weights=tiny_open))
    assert choice.quality == "open"
    (note,) = choice.notes
    assert "Grounding DINO, SAM 2.1, MoGe-2 and TRELLIS" in note
    assert "For 'full': `scenelift models download full` (gated)" in note


def test_auto_names_the_parts_that_were_asked_for(tiny_open):
    options = BackendOptions(weights=tiny_open)
    choice = choose_backends("auto", options, segmenter="given", reconstructor="embedded")
    assert choice.quality == "custom"
    assert "segmenter given, point mapper moge-2, reconstructor embedded" in choice.notes[0]
    assert "are all here" not in choice.notes[0]


def test_qualities_are_preferred_in_their_order():
    assert list(QUALITIES) == ["full", "pbr", "open", "light", "embedded"]


def test_a_photo_becomes_a_folder(tiny_open, photo, tmp_path):
    """Nothing is faked but the sizes and values of the weights."""
    out = tmp_path / "out"
    result = invoke("run", photo, "--quality", "open", *BOX, *quick(tiny_open, out))
    assert result.exit_code == 0, result.output
    manifest = json.loads((out / "scene.json").read_text())
    (found,) = manifest["objects"]
    assert found["gaussians"] == 32 * found["quality"]["voxels"]
    assert 0 < found["faces"] <= 500
    assert {"pose_confidence", "mask_iou", "hidden_outline"} <= found["quality"].keys()
    assert manifest["quality"] == "open"
    assert manifest["backends"]["segmenter"].startswith("grounded-sam2")
    assert manifest["backends"]["pointmapper"].startswith("moge-2 ")
    assert manifest["units"] == "metres"
    assert any("Metres are MoGe-2's guess" in note for note in manifest["notes"])
    assert manifest["backends"]["reconstructor"].startswith("trellis trellis-image-large")
    assert all("commercial use allowed" in line for line in manifest["licences"].values())


# Several photos of one object


class Loose:
    """Takes several photos, and remembers them."""

    name, version, view_mode = "loose", "1", "stochastic"

    def __init__(self) -> None:
        self.ball = BallReconstructor()
        self.seen = []

    def begin(self, image, points):
        pass

    def reconstruct(self, view, *, seed, report):
        self.seen = [other.instance.label for other in view.further]
        return self.ball.reconstruct(view, seed=seed, report=report)


@pytest.fixture
def several() -> Pipeline:
    return Pipeline(ColorSegmenter(), PlanePointMapper(), Loose())


PLAIN = LayoutOptions(refine=False, repair=False)


def without_discs():
    return replace(disc_photo(), pixels=np.full((120, 160, 3), 128, np.uint8))


def test_the_object_is_found_in_each_photo_and_placed_in_the_first(several):
    scene = several.run_views([disc_photo()] * 3, "red", layout=PLAIN)
    (found,) = scene.objects
    assert several.reconstructor.seen == ["red", "red"]
    assert found.quality["photos"] == 3
    alone = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())
    (expected,) = alone.run(disc_photo(), "red", layout=PLAIN).objects
    assert found.pose == expected.pose
    assert "placed where the first shows it" in " ".join(found.notes)


def test_only_the_best_match_is_made(several):
    scene = several.run_views([disc_photo()] * 2, ["red", "blue"], layout=PLAIN)
    assert len(scene.objects) == 1


def test_a_photo_that_does_not_show_it_is_left_out_and_named(several):
    photos = [disc_photo(), without_discs(), disc_photo()]
    (found,) = several.run_views(photos, "red", layout=PLAIN).objects
    assert found.quality["photos"] == 2
    assert any(note.startswith("Photo 2 shows nothing like it") for note in found.notes)


def test_other_photos_make_another_result(several):
    one, other = (several.seeing([photo], as_prompt()) for photo in (disc_photo(), without_discs()))
    assert one.backends["reconstructor"] != other.backends["reconstructor"]
    assert one.backends == several.seeing([disc_photo()], as_prompt()).backends


def as_prompt():
    from scenelift.pipeline import as_prompt

    return as_prompt("red")


def test_a_reconstructor_of_one_photo_says_which_takes_several(pipeline):
    with pytest.raises(InputError, match="--quality open"):
        pipeline.run_views([disc_photo()] * 2, "red")


def test_no_photo_at_all_is_refused(several):
    with pytest.raises(InputError, match="no photo"):
        several.run_views([], "red")


def test_each_try_of_an_object_looks_for_it_once(several):
    calls = []

    class Counting(ColorSegmenter):
        def segment(self, image, prompt, report) -> Segmentation:
            calls.append(prompt.max_objects)
            return super().segment(image, prompt, report)

    pipeline = Pipeline(Counting(), several.pointmapper, several.reconstructor)
    pipeline.run_views([disc_photo()] * 2, "red", best_of=3, layout=PLAIN)
    assert calls == [1, 1]


@pytest.mark.parametrize("mode", ["stochastic", "multidiffusion"])
def test_the_command_line_takes_several_photos_of_one_object(tiny_open, photo, tmp_path, mode):
    other = tmp_path / "mirrored.png"
    PIL.Image.fromarray(disc_photo().pixels[:, ::-1]).save(other)
    out = tmp_path / "out"
    result = invoke(
        *("run", photo, other, "--same-object", "--prompt", "red", *BOX),
        *("--view-mode", mode, "--quality", "open", *quick(tiny_open, out)),
    )
    assert result.exit_code == 0, result.output
    (found,) = json.loads((out / "scene.json").read_text())["objects"]
    assert found["quality"]["photos"] == 2


def test_several_photos_ask_for_the_open_quality_whichever_else_could_run(
    photo, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    weights = ("--weights", tmp_path / "none")
    result = invoke(
        "run", photo, photo, "--same-object", "--prompt", "red", "--out", tmp_path / "o", *weights
    )
    assert result.exit_code == 4
    assert "scenelift models download open" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--same-object"),
        (("--same-object", "--quality", "embedded"), "--quality open"),
        (("--same-object", "--mask", "x.png"), "--mask belongs to one photo"),
        (("--same-object", "--view-mode", "mean"), "one of stochastic, multidiffusion"),
    ],
)
def test_photos_that_cannot_be_combined_are_refused(photo, tmp_path, options, message):
    result = invoke("run", photo, photo, "--prompt", "red", "--out", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert message in result.output


def test_a_pipeline_of_a_quality_is_told_the_options(tiny_open):
    options = ReconstructionOptions(weights=tiny_open, device="cpu", view_mode="multidiffusion")
    pipeline = Pipeline.from_quality("open", options)
    assert pipeline.reconstructor.view_mode == "multidiffusion"
