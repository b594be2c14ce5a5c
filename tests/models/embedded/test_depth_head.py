"""The depth head's answers become a point map of the photo's size, edges and camera."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.models.embedded import depth_head
from scenelift.models.embedded.depth_head import DepthHeadPointMapper
from scenelift.progress import silent
from scenelift.types import Image, Instance


class Answers:
    """A head that sees a step in depth, `sky` above it, and a focal length."""

    def __init__(self, near=1.0, far=4.0, scale=1.0, log_focal=0.0, sky=False, error=0.1):
        self.near, self.far, self.scale = near, far, scale
        self.log_focal, self.sky, self.error = log_focal, sky, error
        self.asked, self.last = [], []

    def run(self, picture, hints, *, last=False):
        self.last.append(last)
        assert picture.shape[0] // 14 * 8 == hints.shape[1]
        assert picture.shape[1] // 14 * 8 == hints.shape[2]
        self.asked.append(picture)
        maps = np.zeros((3, *hints.shape[1:]), np.float32)
        lower = hints.shape[1] // 2
        maps[0, :lower], maps[0, lower:] = np.log(self.far), np.log(self.near)
        maps[1] = np.log(self.error)
        maps[2] = -5
        maps[2, :lower] = 5 if self.sky else -5
        return maps, np.array([np.log(self.scale), self.log_focal, 0, 1, 0], np.float32)


def estimate(head, height=120, width=200, **photo):
    image = Image(pixels=np.zeros((height, width, 3), np.uint8), **photo)
    return DepthHeadPointMapper(head).estimate(image, (), silent())


def test_a_step_in_depth_stays_a_step_without_points_between():
    depth = -estimate(Answers()).points[..., 2]
    between = (depth > 1.02) & (depth < 3.9)
    assert not between.any()
    assert depth[0].mean() == pytest.approx(4, rel=1e-5)  # float32
    assert depth[-1].mean() == pytest.approx(1, rel=1e-5)


def test_the_scale_multiplies_every_depth():
    once, twice = (estimate(Answers(scale=s)).points for s in (1.0, 2.0))
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-5)  # float32


def test_the_sky_has_no_points():
    points = estimate(Answers(sky=True)).points
    assert np.isnan(points[0]).all()
    assert np.isfinite(points[-1]).all()


def test_a_thing_in_the_sky_has_points_and_a_roof_before_it_keeps_its_own():
    kite, roof = np.zeros((120, 200), bool), np.zeros((120, 200), bool)
    kite[10:30, 40:70] = roof[50:100, 120:180] = True
    instances = [Instance(mask=m, label="", score=1.0, box=(0, 0, 1, 1)) for m in (kite, roof)]
    photo = Image(pixels=np.zeros((120, 200, 3), np.uint8))
    points = DepthHeadPointMapper(Answers(sky=True)).estimate(photo, instances, silent()).points
    there = np.isfinite(points[..., 2])
    assert there[kite].all()
    assert not there[:50][~kite[:50]].any()
    assert not there[50:58][roof[50:58]].any()


@given(error=st.floats(1e-3, 20))
@settings(deadline=None, max_examples=10)
def test_confidence_is_the_exponential_of_the_error_that_is_expected(error):
    made = estimate(Answers(error=error), height=42, width=56)
    assert made.confidence is not None
    np.testing.assert_allclose(made.confidence, np.exp(-error), rtol=1e-4)  # float32 logarithms


def test_there_is_no_confidence_in_the_sky():
    made = estimate(Answers(sky=True))
    assert made.confidence is not None
    assert ((made.confidence > 0) == np.isfinite(made.points[..., 2])).all()


def test_one_look_that_is_sure_of_itself_is_outvoted():
    class Sure(Answers):
        def run(self, picture, hints, *, last=False):
            self.error = 1e-3 if not self.asked else 0.5
            return super().run(picture, hints)

    np.testing.assert_allclose(estimate(Sure()).confidence, np.exp(-0.5), rtol=1e-4)  # as above


def test_the_focal_length_is_over_the_longer_side():
    assert estimate(Answers(log_focal=np.log(0.8))).camera.fx == pytest.approx(160, rel=1e-5)


def test_exif_is_believed_before_the_head():
    assert estimate(Answers(), focal_px=321.0).camera.fx == pytest.approx(321)


def test_an_absurd_focal_length_is_limited():
    camera = estimate(Answers(log_focal=9.0)).camera
    field = 2 * np.degrees(np.arctan(0.5 * camera.width / camera.fx))
    assert field == pytest.approx(depth_head.FIELDS[0])


def test_the_photo_is_looked_at_in_several_sizes_as_it_is_and_mirrored():
    head = Answers()
    pixels = np.full((60, 90, 3), 40, np.uint8)
    pixels[:, 45:] = 200
    DepthHeadPointMapper(head).estimate(Image(pixels=pixels), (), silent())
    assert len({picture.shape for picture in head.asked}) == len(depth_head.AUGMENTATIONS)
    for picture, (_, mirror) in zip(head.asked, depth_head.AUGMENTATIONS, strict=True):
        assert (picture[0, 0, 0] > 100) == mirror
    assert head.last == [False, False, True], "memory is given back once"


def test_edges_that_lie_elsewhere_in_each_look_stay_steps():
    class Unsure(Answers):
        def run(self, picture, hints, *, last=False):
            maps, numbers = super().run(picture, hints)
            return np.roll(maps, len(self.asked) - 2, axis=1), numbers

    depth = -estimate(Unsure()).points[8:-8, :, 2]  # rolled rows come in at the border
    assert not ((depth > 1.1) & (depth < 3.6)).any()


@pytest.mark.parametrize("mirrored_sees", [1.0, 9.0])
def test_one_look_that_errs_is_outvoted(mirrored_sees):
    class Errs(Answers):
        def run(self, picture, hints, *, last=False):
            self.far = self.near = mirrored_sees if not self.asked else 2.0
            return super().run(picture, hints)

    np.testing.assert_allclose(-estimate(Errs()).points[..., 2], 2.0, rtol=1e-5)  # float32
