"""Arguments out of range or of another type are refused where they are given, with a next step."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from scenelift.errors import ImageError, InputError
from scenelift.inputs import as_image
from scenelift.pipeline import Pipeline
from scenelift.scene import Scene
from scenelift.testing.fakes import BallReconstructor, ColorSegmenter, PlanePointMapper, disc_photo
from scenelift.types import Image, Prompt

RGB = np.full((20, 25, 3), 90, np.uint8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"best_of": 0}, "best_of is 0; expected 1 to 32"),
        ({"seed": -1}, "seed is -1"),
        ({"same_seed": "no"}, "same_seed is 'no'"),
        ({"report": 1}, "report is '1', a int; a Reporter or a function"),
        ({"store": 1}, "store is '1', a int; a StageStore or a folder"),
        ({"layout": 1}, "layout is '1'"),
        ({"finish": {"faces": -1}}, "faces is -1"),
    ],
)
def test_arguments_of_a_run_are_refused_before_any_work(arguments, message):
    class Unused(ColorSegmenter):
        def segment(self, image, prompt, report):
            raise AssertionError("it was called")

    pipeline = Pipeline(Unused(), PlanePointMapper(), BallReconstructor())
    with pytest.raises(InputError, match=message):
        pipeline.run(disc_photo(), "red", **arguments)


def test_a_function_hears_of_progress_and_a_folder_keeps_stages(tmp_path):
    events = []
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())
    pipeline.run(disc_photo(), "red", report=events.append, store=str(tmp_path / "stages"))
    assert events
    assert list((tmp_path / "stages").iterdir())


def test_a_prompt_may_be_its_phrases_alone():
    assert Prompt("cup; spoon") == Prompt(phrases=("cup", "spoon"))
    numbers = Prompt("cup", min_score=np.float32(0.5), max_objects=np.int64(2))
    assert (numbers.min_score, numbers.max_objects) == (0.5, 2)
    assert type(numbers.max_objects) is int


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_score": 50}, "min_score is 50; expected 0 to 1"),
        ({"min_score": "0.5"}, "min_score is '0.5', a str"),
        ({"min_score": float("nan")}, "min_score is nan"),
        ({"mask_threshold": 1}, "mask_threshold is 1; expected 0.01 to 0.99"),
        ({"max_objects": 0}, "max_objects is 0; expected 1 to 1000"),
        ({"max_objects": True}, "max_objects is True"),
        ({"phrases": (1,)}, r"phrases are \(1,\); a text"),
        ({"phrases": (("cup", "x"),)}, "a list of texts was expected"),
        ({"phrases": 7}, "phrases are 7; a text"),
    ],
)
def test_a_prompt_is_checked_where_it_is_made(arguments, message):
    with pytest.raises(InputError, match=message):
        Prompt(**arguments)


@pytest.mark.parametrize(
    ("pixels", "advice"),
    [
        (RGB.tolist(), "np.asarray"),
        (RGB / 255.0, r"\(pixels \* 255\)"),
        (RGB.astype(np.uint16), "pixels / 257"),
        (RGB.astype(np.int64), "astype"),
        (RGB.transpose(2, 0, 1), r"transpose\(1, 2, 0\)"),
        (RGB[None], r"pixels\[0\]"),
        (RGB > 3, "masks"),
        (RGB[:0], "is empty"),
        (RGB[..., 0], "Pipeline.run"),
    ],
)
def test_pixels_that_are_no_photo_are_refused_with_what_makes_them_one(pixels, advice):
    with pytest.raises(ImageError, match=advice):
        Image(pixels=pixels)


def test_grey_and_cut_out_arrays_are_read_as_their_files_would_be():
    assert (as_image(RGB[..., 0]).pixels == RGB).all()
    assert (as_image(RGB[..., :1]).pixels == RGB).all()
    alpha = np.full((20, 25, 1), 255, np.uint8)
    assert (as_image(np.dstack([RGB, alpha])).pixels == RGB).all()
    clear = as_image(np.dstack([RGB, 0 * alpha])).pixels
    assert (clear != RGB).all()


def test_a_tensor_is_a_photo_in_either_order_of_its_axes():
    torch = pytest.importorskip("torch")
    pixels = disc_photo().pixels
    for tensor in (torch.from_numpy(pixels), torch.from_numpy(pixels).permute(2, 0, 1)):
        np.testing.assert_array_equal(as_image(tensor).pixels, pixels)


@pytest.mark.parametrize("folder", ["", " ", None, 5, b"out", "a\0b"])
def test_a_scene_is_saved_under_a_path_that_is_one(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="folder is"):
        Scene.save(cast("Any", None), cast("Any", folder))
    assert not list(tmp_path.iterdir())


def test_a_path_with_a_null_is_no_photo():
    with pytest.raises(ImageError, match="no path"):
        as_image("a\0b.png")
