"""The pipeline hands stage results on, isolates failures, and stops when it is told."""

from __future__ import annotations

import numpy as np
import pytest

from scenelift.errors import Cancelled, InputError, NothingFound, ObjectFailed
from scenelift.pipeline import Pipeline
from scenelift.progress import CancelToken, Reporter
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    disc_photo,
)
from scenelift.types import BoxPrompt, Prompt


def test_a_phrase_for_each_object_makes_a_scene_of_both(pipeline):
    scene = pipeline.run(disc_photo(), ["red", "blue"])
    assert [o.instance.label for o in scene.objects] == ["red", "blue"]
    assert [o.name for o in scene.objects] == ["00_red", "01_blue"]
    # Balls stand where their discs were seen; beside the picture's middle, perspective stretches
    # a ball but not a disc, and the best overlap is a little off centre.
    for o, (u, v) in zip(scene.objects, [(50, 60), (112, 66)], strict=True):
        np.testing.assert_allclose(scene.camera.project(o.pose.translation), [u, v], atol=2)


def test_one_prompt_may_hold_several_phrases(pipeline):
    assert len(pipeline.run(disc_photo(), "red; blue").objects) == 2


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", "prompt is empty"),
        ([], "prompt is empty"),
        (" ; ", "prompt is empty"),
        (Prompt(), "prompt is empty"),
        ("x" * 10_000, "10000 characters"),
        ("red\x00disc", "control characters"),
        ([f"thing {k}" for k in range(100)], "100 phrases"),
    ],
)
def test_prompts_that_cannot_be_used_are_refused(pipeline, prompt, message):
    with pytest.raises(InputError, match=message):
        pipeline.run(disc_photo(), prompt)


def test_a_box_alone_is_a_prompt(pipeline):
    prompt = Prompt(boxes=(BoxPrompt(box=(1, 2, 3, 4)),))
    with pytest.raises(NothingFound):  # the colour segmenter knows no boxes
        pipeline.run(disc_photo(), prompt)


def test_nothing_found_tells_what_the_photo_has(pipeline):
    with pytest.raises(NothingFound, match=r"'unicorn'.*red, green, blue"):
        pipeline.run(disc_photo(), "unicorn")


def test_a_phrase_among_others_that_matches_nothing_is_named(pipeline):
    scene = pipeline.run(disc_photo(), "red; unicorn")
    assert "Nothing in the photo matches 'unicorn'." in scene.provenance.notes


def test_object_k_uses_seed_plus_k_whatever_the_order():
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())
    both = pipeline.run(disc_photo(), "red; blue", seed=5)
    blue = pipeline.run(disc_photo(), "blue", seed=6)
    np.testing.assert_array_equal(
        both.objects[1].shape.gaussians.means, blue.objects[0].shape.gaussians.means
    )


def test_a_failed_object_is_reported_and_the_others_go_on():
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor(fail_on="red"))
    scene = pipeline.run(disc_photo(), "red; blue")
    assert [o.index for o in scene.objects] == [1]
    (failed,) = scene.provenance.failed
    assert (failed.index, failed.error) == (0, "object-failed")
    assert "told to fail" in failed.reason


def test_a_bug_in_one_object_does_not_lose_the_others():
    class Buggy(BallReconstructor):
        def reconstruct(self, view, **options):
            if view.instance.label == "blue":
                raise ZeroDivisionError("a bug")
            return super().reconstruct(view, **options)

    scene = Pipeline(ColorSegmenter(), PlanePointMapper(), Buggy()).run(disc_photo(), "red; blue")
    assert len(scene.objects) == 1
    assert scene.provenance.failed[0].error == "ZeroDivisionError"


def test_when_every_object_fails_the_run_fails():
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor(fail_on="red"))
    with pytest.raises(ObjectFailed, match="told to fail"):
        pipeline.run(disc_photo(), "red")


def test_max_objects_keeps_the_first_and_records_the_rest(pipeline):
    scene = pipeline.run(disc_photo(), Prompt(phrases=("red", "blue"), max_objects=1))
    assert [o.instance.label for o in scene.objects] == ["red"]
    assert scene.provenance.dropped[0].reason == "beyond the 1 objects asked for"


def test_events_tell_the_story_in_order(pipeline):
    events = []
    pipeline.run(disc_photo(), "red; blue", report=Reporter(events.append))
    finished = [(e.stage, e.object_index) for e in events if e.kind == "stage_finished"]
    assert finished[:2] == [("segment", None), ("pointmap", None)]
    assert finished[-2:] == [("compose", None), ("background", None)]
    # An object is finished while others are reconstructed, and after it was itself.
    of_objects = finished[2:-2]
    assert [entry for entry in of_objects if entry[0] == "reconstruct"] == [
        ("reconstruct", 0),
        ("reconstruct", 1),
    ]
    for k in (0, 1):
        assert of_objects.index(("reconstruct", k)) < of_objects.index(("finish", k))
    assert all(0 <= e.fraction <= 1 for e in events)


def test_cancelling_stops_at_the_next_step(pipeline):
    token = CancelToken()
    seen = []

    def watch(event):
        seen.append(event)
        if event.stage == "pointmap" and event.kind == "stage_finished":
            token.cancel()

    with pytest.raises(Cancelled):
        pipeline.run(disc_photo(), "red", report=Reporter(watch, token=token))
    assert not [e for e in seen if e.stage == "reconstruct"]
