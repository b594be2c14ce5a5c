"""Points of one name are one object; what they say is so in its mask."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pytest
import torch

from scenelift.errors import InputError
from scenelift.options import BackendOptions, Options
from scenelift.output.manifest import PromptModel
from scenelift.pipeline import Pipeline, find_objects
from scenelift.progress import silent
from scenelift.segment.clicks import Clicks, FeatureCache, obey_points
from scenelift.segment.grounded_sam2 import GroundedSAM2Segmenter
from scenelift.segment.sam3 import SAM3Segmenter
from scenelift.testing.fakes import BallReconstructor, ColorSegmenter, PlanePointMapper, disc_photo
from scenelift.types import BoxPrompt, Image, PointPrompt, Prompt

RED, BLUE, GROUND = (50.0, 60.0), (112.0, 66.0), (5.0, 5.0)
PHOTO = disc_photo()


def on(point, label=""):
    return PointPrompt(point=point, label=label)


def beside(point, label=""):
    return PointPrompt(point=point, label=label, positive=False)


def found(**prompt):
    return find_objects(ColorSegmenter(), PHOTO, Prompt(**prompt), silent())


def test_points_of_one_name_are_one_object_and_a_number_begins_another():
    options = Options.from_plain({"point": ["disc=50,60", "disc=112,66", "disc#2=112,66"]})
    instances = found(points=options.search.to_prompt().points).instances
    assert [i.label for i in instances] == ["disc", "disc"]
    both, second = (i.mask for i in instances)
    red, blue = ((PHOTO.pixels == np.array(c)).all(-1) for c in ((200, 40, 40), (50, 70, 200)))
    np.testing.assert_array_equal(both, red | blue)
    np.testing.assert_array_equal(second, blue)


def test_a_point_beside_belongs_to_the_object_of_its_name():
    # To a box of that name,
    (boxed,) = found(
        boxes=(BoxPrompt(box=(20, 30, 140, 95), label="x"),), points=(beside(BLUE, "x"),)
    ).instances
    assert boxed.label == "x"
    assert not boxed.mask[66, 112]
    assert boxed.mask[60, 50]
    # to what a phrase of that name finds, or without a name to whatever is there,
    for label in ("red", ""):
        instances = found(phrases=("red", "blue"), points=(beside(RED, label),)).instances
        assert [i.label for i in instances] == ["blue"]
    # and to nothing else.
    with pytest.raises(InputError, match="'blue', but no object is called so"):
        found(phrases=("red",), points=(beside(RED, "blue"),))


def test_what_was_clicked_is_not_found_again():
    segmentation = found(phrases=("red", "blue"), points=(on(RED, "ball"),))
    assert [(i.label, i.score) for i in segmentation.instances] == [("ball", 1.0), ("blue", 0.9)]
    assert [(d.label, d.double_of) for d in segmentation.dropped] == [("red", "ball")]


def test_a_scene_of_points_alone_lists_them():
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())
    scene = pipeline.run(PHOTO, Prompt(points=(on(RED),)))
    assert [o.instance.label for o in scene.objects] == ["object"]
    listed = PromptModel.model_validate(asdict(scene.provenance.prompt))
    assert [(p.point, p.positive) for p in listed.points] == [(RED, True)]


@pytest.mark.parametrize("text", ["1", "1,2,3", "a,b", "nan,1", "cup=1,inf"])
def test_what_is_no_point_is_refused(text):
    with pytest.raises(InputError, match="is not a point"):
        Options.from_plain({"point": [text]})


def test_points_outside_the_photo_and_segmenters_without_points_are_refused():
    with pytest.raises(InputError, match="outside the photo"):
        found(points=(on((500.0, 5.0)),))

    class WordsOnly:
        name, version = "words", "1"

        def segment(self, image, prompt, report):
            raise AssertionError("it is not asked")

    with pytest.raises(InputError, match="'words' takes no points"):
        find_objects(WordsOnly(), PHOTO, Prompt(points=(on(RED),)), silent())


def test_a_mask_is_made_to_obey_its_points():
    alpha = obey_points(np.zeros((40, 60), np.float32), (on((10.5, 8.5)), beside((11.5, 8.5))))
    assert alpha[8, 10] == 1
    assert alpha[8, 11] == 0
    assert 0 < alpha.sum() < 20


def test_the_cache_is_bounded_in_bytes_and_holds_the_last_photos():
    looked = []

    @dataclass
    class Seen:
        nbytes: int

    class Clicker:
        name = "counting"

        def look(self, image):
            looked.append(int(image.pixels[0, 0, 0]))
            return Seen(40)

        def cut(self, features, clicks):
            raise AssertionError("it is not asked")

        def release(self):
            raise AssertionError("it is not asked")

    cache = FeatureCache(most_bytes=100)
    photos = [Image(pixels=np.full((4, 4, 3), v, np.uint8)) for v in range(3)]
    for k in (0, 0, 1, 0, 2, 0, 1):
        cache.look(Clicker(), photos[k])
    # The second photo was used longest ago when the third came.
    assert looked == [0, 1, 2, 1]
    assert cache.nbytes == 80


@pytest.fixture(scope="module")
def noise():
    rng = np.random.default_rng(0)
    return Image(pixels=rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(20, 0).repeat(20, 1))


@pytest.fixture(scope="module", params=["sam2.1", "sam3"])
def published(request, tmp_path_factory):
    """A clicker of tiny random weights, and the model and processor behind it."""
    from scenelift.testing.tiny_segmenters import (
        write_grounding_dino,
        write_sam2,
        write_sam3_with_tracker,
    )

    weights = tmp_path_factory.mktemp("weights")
    options = BackendOptions(weights=weights, device="cpu")
    if request.param == "sam2.1":
        write_grounding_dino(weights / "grounding-dino")
        write_sam2(weights / "sam2.1")
        segmenter = GroundedSAM2Segmenter.load(options)
    else:
        write_sam3_with_tracker(weights / "sam3")
        segmenter = SAM3Segmenter.load(options)
        assert segmenter.clicker is not None
        assert (
            segmenter.clicker._model.vision_encoder.backbone
            is segmenter.network.model.vision_encoder.backbone
        )
    return segmenter


def test_clicks_are_answered_as_by_the_published_interface(published, noise):
    """Points, a box and a mask go in as the published processors and models take them."""
    from transformers import Sam2Processor, Sam3TrackerProcessor

    clicker, model = published.clicker, published.clicker._model
    own = published.masks.processor if published.name == "grounded-sam2" else None
    processor = own or Sam3TrackerProcessor(published.network.processor.image_processor)
    assert isinstance(processor, Sam2Processor | Sam3TrackerProcessor)
    points = [[70.0, 50.0], [20.0, 90.0]]
    inputs = processor(
        images=noise.pixels,
        input_points=[[points]],
        input_labels=[[[1, 0]]],
        input_boxes=[[[10.0, 10.0, 120.0, 100.0]]],
        return_tensors="pt",
    )
    start = np.zeros((120, 160), np.bool_)
    start[30:80, 40:100] = True
    side = model.prompt_encoder.mask_input_size
    prior = torch.nn.functional.interpolate(
        torch.tensor(start).float()[None, None], size=side, mode="area"
    )
    with torch.inference_mode():
        expected = model(
            pixel_values=inputs["pixel_values"],
            input_points=inputs["input_points"],
            input_labels=inputs["input_labels"],
            input_boxes=inputs["input_boxes"],
            input_masks=8 * (2 * prior - 1),
            multimask_output=False,
        ).pred_masks[0, 0, 0]
    clicks = Clicks(
        points=(on((70.0, 50.0)), beside((20.0, 90.0))), box=(10.0, 10.0, 120.0, 100.0), mask=start
    )
    seen = clicker.look(noise)
    torch.testing.assert_close(clicker._decoded(seen, clicks), expected, rtol=1e-4, atol=1e-4)
    alpha = clicker.cut(seen, clicks)
    assert alpha.shape == (120, 160)
    assert alpha[50, 70] >= 0.5 > alpha[90, 20]
    assert seen.nbytes == sum(4 * t.numel() for t in seen.maps)


def test_points_reach_the_published_models_through_a_prompt(published, noise):
    prompt = Prompt(phrases=("cup",), points=(on((70.0, 50.0), "thing"),), min_score=0.99)
    segmentation = find_objects(published, noise, prompt, silent())
    (clicked,) = [i for i in segmentation.instances if i.label == "thing"]
    assert clicked.mask[50, 70]


@pytest.mark.weights
def test_embedded_clicks_take_the_cup_and_give_back_its_rim():
    data = pytest.importorskip("skimage.data")
    from scenelift.segment.embedded import EmbeddedSegmenter

    photo = Image(pixels=data.coffee())
    clicker = EmbeddedSegmenter.load(BackendOptions()).clicker
    assert clicker is not None
    seen = clicker.look(photo)
    cup = clicker.cut(seen, Clicks(points=(on((250.0, 200.0)),))) >= 0.5
    # The cup's box by hand; its mask is a third of the photo at most.
    assert cup[120:140, 300:320].all()
    assert 0.08 < cup.mean() < 0.35
    coffee = clicker.cut(seen, Clicks(points=(beside((300.0, 120.0)),), mask=cup)) >= 0.5
    assert not coffee[120, 300]
    # Some of the coffee goes, and the cup stays.
    assert 0.6 * cup.sum() < coffee.sum() < 0.98 * cup.sum()
    assert (coffee & ~cup).sum() == 0
    # What no box holds is found by the learned points: the wood.
    wood = clicker.cut(seen, Clicks(points=(on((40.0, 250.0)), beside((250.0, 200.0))))) >= 0.5
    assert wood[250, 40]
    assert not wood[200, 250]
