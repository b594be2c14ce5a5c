"""The SAM 3 segmenter says what the published API says, once per photo and at the photo's size."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from scenelift.errors import Cancelled, WeightsError
from scenelift.options import BackendOptions
from scenelift.progress import CancelToken, Reporter, silent
from scenelift.segment import SEGMENTERS
from scenelift.segment.filters import FilterSettings, clean_mask
from scenelift.segment.hub import fingerprint
from scenelift.segment.sam3 import SAM3Segmenter, queries_of
from scenelift.segment.sam3_network import Query
from scenelift.stages import digest
from scenelift.testing.tiny_segmenters import write_sam3
from scenelift.types import BoxPrompt, Image, Instance, Prompt

POSITIVE, NEGATIVE = (10.0, 12.0, 60.0, 70.0), (70.0, 20.0, 120.0, 80.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_sam3(tmp_path_factory.mktemp("weights") / "sam3")


@pytest.fixture(scope="module")
def segmenter(folder):
    return SAM3Segmenter.load(BackendOptions(model=str(folder), device="cpu"))


@pytest.fixture(scope="module")
def image():
    """Colour noise in blobs, upright format: neither square nor of the network's size."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    return Image(pixels=small.repeat(20, 0).repeat(20, 1))


def published(segmenter, image, query):
    """The same question through the published API alone."""
    processor, model = segmenter.network.processor, segmenter.network.model
    asked = {"images": image.pixels, "text": query.text, "return_tensors": "pt"}
    if query.boxes:
        asked["input_boxes"] = [[list(box) for box in query.boxes]]
        asked["input_boxes_labels"] = [[int(p) for p in query.positive]]
    inputs = processor(**asked)
    sizes = inputs.pop("original_sizes").tolist()
    with torch.inference_mode():
        outputs = model(**inputs)
    (found,) = processor.post_process_instance_segmentation(
        outputs, threshold=-1, target_sizes=sizes
    )
    return outputs, found


QUERIES = {
    "text": Query(text="cup"),
    "boxes": Query(text=None, boxes=(POSITIVE,), positive=(True,)),
    "both": Query(text="red dog", boxes=(POSITIVE, NEGATIVE), positive=(True, False)),
}


@pytest.mark.parametrize("kind", QUERIES)
def test_a_query_gets_what_the_published_api_says(segmenter, image, kind):
    # Asked among others, so that batches and shared features are part of the claim.
    others = [Query(text="cat"), Query(text="a box of cars")]
    segmenter.network.look(image.pixels)
    asked = [others[0], QUERIES[kind], others[1]]
    found = [f for batch in segmenter.network.find(asked) for f in batch][1]
    outputs, expected = published(segmenter, image, QUERIES[kind])
    scale = torch.tensor([image.width, image.height] * 2)
    # float32 sums in another order, in batches of another size: 1e-5 is rounding.
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(found.scores, expected["scores"], **close)
    torch.testing.assert_close(found.boxes * scale, expected["boxes"], rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(found.logits, outputs.pred_masks[0], **close)


def test_masks_are_the_published_logits_enlarged_to_the_photo(segmenter, image):
    outputs, expected = published(segmenter, image, QUERIES["text"])
    best = int(expected["scores"].argmax())
    prompt = Prompt(phrases=("cup",), min_score=float(expected["scores"].max()) - 1e-6)
    (instance,) = segmenter.segment(image, prompt, silent()).instances
    logits = F.interpolate(
        outputs.pred_masks[:, best : best + 1], (image.height, image.width), mode="bilinear"
    )[0, 0]
    assert instance.alpha is not None
    inside = logits.numpy() > 0
    np.testing.assert_array_equal(instance.mask, clean_mask(inside, FilterSettings()))
    assert instance.box == Instance.box_of(instance.mask)
    kept = instance.mask & inside
    np.testing.assert_allclose(instance.alpha[kept], logits.sigmoid().numpy()[kept], atol=1e-6)
    assert instance.score == pytest.approx(float(expected["scores"].max()), abs=1e-5)


def test_the_photo_is_looked_at_once_for_all_phrases(segmenter, image):
    looks = []
    handle = segmenter.network.model.vision_encoder.register_forward_hook(
        lambda *args: looks.append(1)
    )
    segmenter.segment(image, Prompt(phrases=("cup", "cat", "dog"), min_score=0.0), silent())
    handle.remove()
    assert len(looks) == 1


@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_the_size_of_a_batch_does_not_matter(segmenter, image, at_once):
    prompt = Prompt(
        phrases=("cup", "cat", "dog", "box", "car"),
        boxes=(BoxPrompt(box=POSITIVE, label="dog"), BoxPrompt(box=NEGATIVE, positive=False)),
    )
    queries = list(queries_of(prompt).values())
    segmenter.network.look(image.pixels)
    alone = [f for q in queries for batch in segmenter.network.find([q]) for f in batch]
    network = segmenter.network
    network.at_once, before = at_once, network.at_once
    together = [f for batch in network.find(queries) for f in batch]
    network.at_once = before
    for a, b in zip(alone, together, strict=True):
        torch.testing.assert_close(a.scores, b.scores, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(a.logits, b.logits, rtol=1e-5, atol=1e-5)


def test_results_are_ordered_repeatable_and_complete(segmenter, image):
    prompt = Prompt(phrases=("cup", "cat"), min_score=0.2)
    result = segmenter.segment(image, prompt, silent())
    again = segmenter.segment(image, replace(prompt, phrases=("cat", "cup")), silent())
    assert [(i.label, i.score) for i in result.instances] == [
        (i.label, i.score) for i in again.instances
    ]
    ranks = [(-i.score, -i.mask.sum()) for i in result.instances]
    assert ranks == sorted(ranks)
    assert all(i.mask.shape == (image.height, image.width) for i in result.instances)
    queries = 12  # objects that the tiny network proposes for each phrase
    assert len(result.instances) + len(result.dropped) == 2 * queries
    assert all(d.reason for d in result.dropped)


def test_max_objects_keeps_the_best_and_says_so(segmenter, image):
    prompt = Prompt(phrases=("cup", "cat"), min_score=0.0)
    every = segmenter.segment(image, prompt, silent()).instances
    assert len(every) > 1
    limited = segmenter.segment(image, replace(prompt, max_objects=1), silent())
    assert [i.score for i in limited.instances] == [every[0].score]
    assert any("beyond the 1 best" in d.reason for d in limited.dropped)


def test_what_lies_in_a_box_to_leave_out_is_left_out(segmenter, image):
    everywhere = BoxPrompt(box=(0, 0, image.width, image.height), positive=False)
    prompt = Prompt(phrases=("cup",), boxes=(everywhere,), min_score=0.0)
    result = segmenter.segment(image, prompt, silent())
    assert result.instances == ()
    assert any("excluded" in d.reason for d in result.dropped)


def test_no_match_is_told_with_the_best_candidate_and_what_else_is_seen(folder, image):
    segmenter = SAM3Segmenter.load(BackendOptions(model=str(folder), device="cpu"))
    segmenter._suggest = ("cup", "cat")
    result = segmenter.segment(image, Prompt(phrases=("unicorn",), min_score=0.9), silent())
    assert result.instances == ()
    assert result.suggestions == ()
    assert "'unicorn' scores 0." in result.notes[0]
    scores = {
        word: float(published(segmenter, image, Query(text=word))[1]["scores"].max())
        for word in ("unicorn", "cup", "cat")
    }
    between = (scores["unicorn"] + max(scores.values())) / 2
    if between > scores["unicorn"]:
        result = segmenter.segment(image, Prompt(phrases=("unicorn",), min_score=between), silent())
        assert max(("cup", "cat"), key=scores.__getitem__) in result.suggestions


def test_a_phrase_longer_than_the_text_encoder_reads_is_cut(segmenter, image):
    segmenter.segment(image, Prompt(phrases=("x" * 200,), min_score=0.9), silent())


def test_only_boxes_to_leave_out_is_nothing_to_look_for(segmenter, image):
    result = segmenter.segment(
        image, Prompt(boxes=(BoxPrompt(box=NEGATIVE, positive=False),)), silent()
    )
    assert result.instances == ()
    assert "nothing to look for" in result.notes[0]


def test_it_stops_between_steps_when_the_user_says_so(segmenter, image):
    token = CancelToken()

    def stop_after_the_look(event):
        if event.fraction > 0:
            token.cancel()

    with pytest.raises(Cancelled):
        segmenter.segment(
            image, Prompt(phrases=("cup", "cat")), Reporter(stop_after_the_look, token=token)
        )


def test_it_works_again_after_its_memory_was_released(segmenter, image):
    prompt = Prompt(phrases=("cup",), min_score=0.0)
    before = segmenter.segment(image, prompt, silent())
    segmenter.release()
    after = segmenter.segment(image, prompt, silent())
    assert [i.score for i in before.instances] == [i.score for i in after.instances]


names = st.sampled_from(["", "cup", "Cup", "cat", "vase"])
boxes = st.lists(st.builds(BoxPrompt, box=st.just(POSITIVE), label=names, positive=st.booleans()))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(["cup", "cat", "dog"]), unique=True), boxes)
def test_every_phrase_and_positive_box_is_asked_once(phrases, boxes):
    queries = queries_of(Prompt(phrases=tuple(phrases), boxes=tuple(boxes)))
    assert list(queries)[: len(phrases)] == phrases
    asked = sum(sum(q.positive) for q in queries.values())
    assert asked == sum(b.positive for b in boxes)
    for label, query in queries.items():
        assert query.text in (label, None)
        assert query.text or any(query.positive)
        negative = [b for b in boxes if not b.positive]
        own = [b for b in negative if b.label.casefold() in ("", label.casefold())]
        assert query.positive.count(False) == len(own)


def test_boxes_go_to_the_phrase_they_are_for():
    nameless, cat = BoxPrompt(box=POSITIVE), BoxPrompt(box=NEGATIVE, label="Cat")
    one = queries_of(Prompt(phrases=("cup",), boxes=(nameless,)))
    assert one == {"cup": Query(text="cup", boxes=(POSITIVE,), positive=(True,))}
    several = queries_of(Prompt(phrases=("cup", "cat"), boxes=(nameless, cat)))
    assert several == {
        "cup": Query(text="cup"),
        "cat": Query(text="cat", boxes=(NEGATIVE,), positive=(True,)),
        "object": Query(text=None, boxes=(POSITIVE,), positive=(True,)),
    }


# --- weights -------------------------------------------------------------------------------------


def test_weights_are_found_by_folder_name_in_the_weights_folder(folder, tmp_path):
    for place in ("sam3", "full/sam3"):
        weights = tmp_path / place.replace("/", "-")
        shutil.copytree(folder, weights / place)
        options = BackendOptions(weights=weights, device="cpu")
        assert SEGMENTERS.entry("sam3").lacks(options) == []
        assert SEGMENTERS.load("sam3", options).name == "sam3"


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No weights in any cache."""
    monkeypatch.setenv("SCENELIFT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def test_missing_weights_are_explained_with_gate_and_command(nowhere):
    (reason,) = SEGMENTERS.entry("sam3").lacks(BackendOptions())
    for part in ("https://huggingface.co/facebook/sam3", "hf auth login", "models download full"):
        assert part in reason
    (reason,) = SEGMENTERS.entry("sam3").lacks(BackendOptions(model="somebody/sam3-small"))
    assert "hf download somebody/sam3-small" in reason
    (reason,) = SEGMENTERS.entry("sam3").lacks(BackendOptions(model="./typo"))
    assert "neither a folder nor a hub id" in reason


def test_a_snapshot_in_the_hubs_cache_is_used_and_is_the_same_version_as_a_folder(folder, nowhere):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = nowhere / "hub" / "models--facebook--sam3"
    shutil.copytree(folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    segmenter = SEGMENTERS.load("sam3", BackendOptions(device="cpu"))
    assert segmenter.version == f"facebook/sam3 {fingerprint(folder)} torch.float32"


def test_the_version_changes_with_the_weights(folder, tmp_path, segmenter):
    other = tmp_path / "other"  # of the same size: another seed
    write_sam3(other, seed=1)
    changed = SAM3Segmenter.load(BackendOptions(model=str(other), device="cpu"))
    sizes = [(f / "model.safetensors").stat().st_size for f in (folder, other)]
    assert sizes[0] == sizes[1]
    assert changed.version.split()[1] != segmenter.version.split()[1]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "config.json is missing"),
        (lambda f: (f / "model.safetensors").unlink(), "lacks model.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x" * 99), "cannot be loaded"),
        (lambda f: (f / "tokenizer.json").unlink(), "lacks tokenizer.json"),
        (lambda f: rewrite(f, model_type="clip"), "a model of type 'clip'"),
        (lambda f: drop_tensor(f, "detr_decoder.query_embed.weight"), "do not fit Sam3Model"),
    ],
)
def test_damaged_and_foreign_folders_are_refused(folder, tmp_path, damage, message):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    damage(broken)
    with pytest.raises(WeightsError, match=message):
        SAM3Segmenter.load(BackendOptions(model=str(broken), device="cpu"))


def rewrite(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def drop_tensor(folder, name):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_the_published_layout_with_a_tracker_beside_the_detector_is_read(
    folder, tmp_path, segmenter, image
):
    """facebook/sam3 is the video model's checkpoint: the image model is its detector."""
    from safetensors.torch import load_file, save_file

    video = tmp_path / "video"
    shutil.copytree(folder, video)
    detector = json.loads((folder / "config.json").read_text())
    config = {"model_type": "sam3_video", "detector_config": detector}
    (video / "config.json").write_text(json.dumps(config))
    tensors = {f"detector_model.{k}": v for k, v in load_file(folder / "model.safetensors").items()}
    tensors["tracker_model.no_memory_embedding"] = torch.zeros(1, 1, 32)
    save_file(tensors, video / "model.safetensors", metadata={"format": "pt"})
    prompt = Prompt(phrases=("cup",), min_score=0.0)
    same = SAM3Segmenter.load(BackendOptions(model=str(video), device="cpu"))
    assert digest(same.segment(image, prompt, silent())) == digest(
        segmenter.segment(image, prompt, silent())
    )
