"""Objects of a large photo are cut out of its own pixels, not of the reduced picture."""

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from scenelift.options import ReconstructionOptions
from scenelift.progress import silent
from scenelift.reconstruct.detail import closest_mask, closest_matte, most_pixels
from scenelift.reconstruct.sam3d import SAM3DReconstructor
from scenelift.reconstruct.trellis import TrellisReconstructor
from scenelift.testing.fakes import PlanePointMapper
from scenelift.types import Image, Instance, ObjectView, View


@pytest.fixture
def photos():
    """A photo of stripes reduced to an eighth, in which they are grey; and without detail."""
    own = np.zeros((960, 1280, 3), np.uint8)
    own[:, np.arange(1280) % 8 < 4] = 255
    reduced = np.asarray(PIL.Image.fromarray(own).resize((160, 120), PIL.Image.Resampling.BOX))
    image = Image(pixels=reduced, own_size=(1280, 960), detail=own)
    return image, replace(image, detail=None)


@pytest.fixture
def instance():
    mask = np.zeros((120, 160), bool)
    mask[40:50, 70:80] = True
    return Instance(mask=mask, label="x", score=1.0, box=Instance.box_of(mask))


def contrast(picture):
    """How much neighbouring columns differ in the middle of a picture [s, s, ...]."""
    side = len(picture)
    middle = np.asarray(picture, float)[side // 3 : -side // 3, side // 3 : -side // 3]
    return np.abs(np.diff(middle, axis=1)).mean()


def test_masks_follow_to_the_photo_s_size(photos, instance):
    mask = closest_mask(photos[0], instance.mask)
    assert mask.shape == (960, 1280)
    assert Instance.box_of(mask) == (560, 320, 640, 400)
    assert closest_mask(photos[1], instance.mask) is instance.mask


def test_a_matte_s_edge_is_smooth(photos, instance):
    matte = closest_matte(photos[0], np.where(instance.mask, np.uint8(255), np.uint8(0)))
    assert 0 < matte[350, 559] < 255
    assert most_pixels(photos[0]).shape == (960, 1280, 3)
    assert most_pixels(photos[1]).shape == (120, 160, 3)


def test_sam3d_sees_the_stripes(tiny_checkpoints, photos, instance):
    options = ReconstructionOptions(weights=tiny_checkpoints, device="cpu")
    reconstructor = SAM3DReconstructor.load(options)
    close, far = (_condition(reconstructor, photo, instance) for photo in photos)
    assert contrast(close.image[0].movedim(0, -1)) > 0.2 + contrast(far.image[0].movedim(0, -1))
    # The same places of the same point map, up to the rounding of a box to pixels of .0125 units.
    a, b = (np.nan_to_num(view.points.crop.numpy()) for view in (close, far))
    assert np.abs(a - b).mean() < 0.0125


def _condition(reconstructor, photo, instance):
    points = PlanePointMapper().estimate(photo, [instance], silent())
    reconstructor.begin(photo, points)
    return reconstructor._inputs(ObjectView(image=photo, instance=instance, points=points))


def test_trellis_sees_the_stripes(tiny_open, photos, instance):
    options = ReconstructionOptions(weights=tiny_open, device="cpu")
    reconstructor = TrellisReconstructor.load(options)
    close, far = (reconstructor._picture(View(image=photo, instance=instance)) for photo in photos)
    assert contrast(close) > 50 + contrast(far)
