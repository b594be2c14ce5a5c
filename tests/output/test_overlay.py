"""The overlay tints what the masks cover, and nothing else; its labels stay in the picture."""

from __future__ import annotations

import numpy as np
import pytest

from scenelift.output.overlay import draw_overlay
from scenelift.types import Image, Instance


def instance(mask, label="cup"):
    return Instance(mask=mask, label=label, score=0.87, box=Instance.box_of(mask))


def test_far_from_any_object_the_photo_is_untouched():
    image = Image(pixels=np.full((600, 800, 3), 90, np.uint8))
    mask = np.zeros((600, 800), bool)
    mask[300:500, 300:500] = True
    overlay = draw_overlay(image, [instance(mask)])
    assert overlay.shape == image.pixels.shape
    np.testing.assert_array_equal(overlay[:250], image.pixels[:250])
    assert (overlay[320:340, 320:340] != 90).any(-1).all()


@pytest.mark.parametrize("size", [(16, 16), (1, 3000), (3000, 20), (50, 60)])
def test_photos_of_any_shape_work_and_small_ones_are_enlarged(size):
    image = Image(pixels=np.zeros((*size, 3), np.uint8))
    overlay = draw_overlay(image, [instance(np.ones(size, bool), "a label that is rather long")])
    assert max(overlay.shape) >= 480
    assert overlay.shape[0] % size[0] == 0


@pytest.mark.parametrize("top", [2, 240, 460])
def test_a_small_object_is_not_hidden_by_its_label(top):
    image = Image(pixels=np.zeros((480, 640, 3), np.uint8))
    mask = np.zeros((480, 640), bool)
    mask[top : top + 16, 300:330] = True
    drawn = draw_overlay(image, [instance(mask, "traffic light")])
    unlike_itself = np.ptp(drawn[top + 6 : top + 10, 306:324].reshape(-1, 3), axis=0).max()
    assert unlike_itself < 4  # one even tint, where a label would have letters
    assert drawn[: top + 20].any()


def test_many_objects_have_as_many_labels():
    image = Image(pixels=np.zeros((480, 640, 3), np.uint8))
    instances = []
    for k in range(12):
        mask = np.zeros((480, 640), bool)
        mask[40 * k : 40 * k + 30, 100:300] = True
        instances.append(instance(mask))
    assert draw_overlay(image, instances).any()
    np.testing.assert_array_equal(draw_overlay(image, []), image.pixels)
