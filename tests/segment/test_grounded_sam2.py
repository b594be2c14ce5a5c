"""Boxes are Grounding DINO's, masks are SAM 2.1's, and every box knows the phrase it matches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from scenelift.errors import Cancelled, WeightsError
from scenelift.options import BackendOptions
from scenelift.progress import CancelToken, Reporter, silent
from scenelift.segment import SEGMENTERS
from scenelift.segment.filters import FilterSettings, clean_mask
from scenelift.segment.grounded_sam2 import GroundedSAM2Segmenter
from scenelift.segment.published import split_pair
from scenelift.testing.tiny_segmenters import write_grounding_dino, write_sam2
from scenelift.types import BoxPrompt, Image, Prompt

BOX = (10.0, 12.0, 60.0, 70.0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    write_grounding_dino(folder / "grounding-dino")
    write_sam2(folder / "sam2.1")
    return folder


@pytest.fixture(scope="module")
def segmenter(weights):
    return GroundedSAM2Segmenter.load(BackendOptions(weights=weights, device="cpu"))


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image(pixels=small.repeat(20, 0).repeat(20, 1))


def published_boxes(segmenter, image, text):
    """Probabilities [boxes, tokens] and boxes in pixels, through the published API alone."""
    processor, model = segmenter.detector.processor, segmenter.detector.model
    inputs = processor(images=image.pixels, text=text, return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs)
    (found,) = processor.post_process_grounded_object_detection(
        outputs, threshold=-1, target_sizes=[(image.height, image.width)]
    )
    return outputs.logits[0].sigmoid(), found["boxes"]


def test_boxes_and_scores_are_the_published_ones(segmenter, image):
    (found,) = segmenter.detector.detect(image.pixels, ["red cup"], least=0.0)
    likely, boxes = published_boxes(segmenter, image, "red cup.")
    # [CLS] red cup . [SEP]: the phrase's own tokens are the second and third.
    torch.testing.assert_close(
        torch.tensor([d.score for d in found]), likely[:, 1:3].amax(1), rtol=1e-5, atol=1e-5
    )
    size = torch.tensor([image.width, image.height] * 2)
    expected = torch.minimum(boxes.clamp(min=0), size)
    torch.testing.assert_close(torch.tensor([d.box for d in found]), expected, rtol=1e-5, atol=1e-3)


def test_a_box_goes_to_the_phrase_that_it_matches_best(segmenter, image):
    phrases = ["red cup", "cat", "dog"]
    (found,) = segmenter.detector.detect(image.pixels, phrases, least=0.0)
    likely, _ = published_boxes(segmenter, image, "red cup. cat. dog.")
    # [CLS] red cup . cat . dog . [SEP]
    scores = torch.stack([likely[:, 1:3].amax(1), likely[:, 4], likely[:, 6]], 1)
    assert [d.phrase for d in found] == [phrases[k] for k in scores.argmax(1).tolist()]


def test_many_phrases_are_spread_over_captions_that_the_text_encoder_takes(segmenter, image):
    phrases = [f"{word}zzzz" * 8 for word in "abcdefgh"]  # spelled in letters: 40 tokens each
    captions = list(segmenter.detector._captions(phrases))
    assert len(captions) == 2
    assert [p for caption in captions for p in caption] == phrases
    found = [d for group in segmenter.detector.detect(image.pixels, phrases, 0.0) for d in group]
    assert len(found) == 12 * len(captions)


@pytest.mark.parametrize("phrase", ["St. Bernard", "...", "CUP"])
def test_full_stops_and_capitals_do_not_confuse_the_caption(segmenter, image, phrase):
    (found,) = segmenter.detector.detect(image.pixels, [phrase, "cat"], least=0.0)
    assert {d.phrase for d in found} <= {phrase, "cat"}


def test_masks_are_the_published_ones_at_the_photos_size(segmenter, image):
    boxes = [list(BOX), [30.0, 30.0, 150.0, 110.0]]
    processor, model = segmenter.masks.processor, segmenter.masks.model
    inputs = processor(images=image.pixels, input_boxes=[boxes], return_tensors="pt")
    sizes = inputs.pop("original_sizes")
    with torch.inference_mode():
        outputs = model(**inputs, multimask_output=False)
    (expected,) = processor.post_process_masks(outputs.pred_masks, sizes)
    cut = segmenter.masks.cut(image.pixels, [tuple(box) for box in boxes])
    grown = F.interpolate(torch.stack(cut)[:, None], (image.height, image.width), mode="bilinear")
    np.testing.assert_array_equal(grown > 0, expected)


def test_a_drawn_box_becomes_an_instance_of_score_1(segmenter, image):
    prompt = Prompt(boxes=(BoxPrompt(box=BOX, label="mug"),))
    (instance,) = segmenter.segment(image, prompt, silent()).instances
    assert (instance.label, instance.score) == ("mug", 1.0)
    (logits,) = segmenter.masks.cut(image.pixels, [BOX])
    grown = F.interpolate(logits[None, None], (image.height, image.width), mode="bilinear")
    inside = clean_mask((grown[0, 0] > 0).numpy(), FilterSettings())
    np.testing.assert_array_equal(instance.mask, inside)
    assert instance.alpha is not None


def test_everything_seen_is_kept_or_dropped_with_a_reason(segmenter, image):
    prompt = Prompt(phrases=("cup", "cat"), min_score=0.9)
    result = segmenter.segment(image, prompt, silent())
    assert all(i.score >= 0.9 for i in result.instances)
    assert all(d.reason for d in result.dropped)
    assert {i.label for i in result.instances} <= {"cup", "cat"}
    (found,) = segmenter.detector.detect(image.pixels, prompt.phrases, least=0.45)
    assert len(result.instances) + len(result.dropped) == len(found)


def test_no_match_says_what_came_closest_and_what_else_is_seen(weights, image):
    segmenter = GroundedSAM2Segmenter.load(BackendOptions(weights=weights, device="cpu"))
    segmenter._suggest = ("cat", "dog")
    everywhere = BoxPrompt(box=(0, 0, image.width, image.height), positive=False)
    prompt = Prompt(phrases=("cup",), boxes=(everywhere,), min_score=0.1)
    result = segmenter.segment(image, prompt, silent())
    assert result.instances == ()
    assert any("excluded" in d.reason for d in result.dropped)
    assert set(result.suggestions) <= {"cat", "dog"}
    assert result.suggestions
    nothing = segmenter.segment(image, Prompt(phrases=("cup",), min_score=1.0), silent())
    assert "The best candidate for 'cup' scores" in nothing.notes[0]


def test_it_stops_between_steps_and_works_again_after_release(segmenter, image):
    token = CancelToken()
    token.cancel()
    prompt = Prompt(phrases=("cup",), min_score=0.5)
    with pytest.raises(Cancelled):
        segmenter.segment(image, prompt, Reporter(lambda event: None, token=token))
    before = segmenter.segment(image, prompt, silent())
    segmenter.release()
    after = segmenter.segment(image, prompt, silent())
    assert [i.score for i in before.instances] == [i.score for i in after.instances]


def test_another_pair_of_models_is_two_names_or_a_folder_of_both(weights):
    detector, masks = str(weights / "grounding-dino"), str(weights / "sam2.1")
    assert split_pair(None) == (None, None)
    assert split_pair(str(weights)) == (detector, masks)
    assert split_pair("a/tiny+b/small") == ("a/tiny", "b/small")
    assert split_pair("a/tiny") == ("a/tiny", None)
    pair = SEGMENTERS.load("grounded-sam2", BackendOptions(model=f"{detector}+{masks}"))
    assert pair.version.startswith(f"{detector} ")
    with pytest.raises(WeightsError, match="a model of type 'sam2'"):
        GroundedSAM2Segmenter.load(BackendOptions(model=f"{masks}+{masks}"))


def test_missing_weights_are_explained_for_each_model(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENELIFT_HOME", str(tmp_path))
    reasons = SEGMENTERS.entry("grounded-sam2").lacks(BackendOptions())
    hub_ids = ["IDEA-Research/grounding-dino-base", "facebook/sam2.1-hiera-large"]
    for hub_id, reason in zip(hub_ids, reasons, strict=True):
        assert hub_id in reason
        assert "`scenelift models download open`" in reason
