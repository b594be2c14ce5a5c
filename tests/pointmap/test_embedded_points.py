"""The point map without a network puts things of usual size where they stand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.errors import InputError
from scenelift.pointmap.embedded import EmbeddedPointMapper
from scenelift.progress import silent
from scenelift.types import Camera, Image, Instance

H, W = 240, 320
PHOTO = Image(pixels=np.zeros((H, W, 3), np.uint8))
CAMERA = Camera.from_fov(W, H, fov_deg=55)


def rectangle(x0, y0, x1, y1, label="person"):
    mask = np.zeros((H, W), bool)
    mask[round(y0) : round(y1), round(x0) : round(x1)] = True
    return Instance(mask=mask, label=label, score=1.0, box=Instance.box_of(mask))


def standing(distance, *, pitch_deg, camera_height, across=0.0, label="person", tall=1.7):
    """Mask of an upright board on level ground, seen by a camera that looks down by a pitch."""
    pitch = np.radians(pitch_deg)
    up = np.array([0.0, np.cos(pitch), np.sin(pitch)])
    ahead = np.array([0.0, np.sin(pitch), -np.cos(pitch)])
    foot = distance * ahead - camera_height * up + [across, 0, 0]
    (u, bottom), (_, top) = CAMERA.project(np.stack([foot, foot + tall * up]))
    width = 0.25 * (bottom - top)
    return rectangle(u - width / 2, top, u + width / 2, bottom, label), -foot[2]


def estimate(*instances):
    return EmbeddedPointMapper().estimate(PHOTO, instances, silent())


def depth_of(points, instance):
    return float(np.median(-points.points[..., 2][instance.mask]))


@pytest.mark.parametrize("pitch_deg", [0, 8, 16])
def test_people_stand_at_the_distances_they_were_seen_from(pitch_deg):
    near, near_z = standing(4, pitch_deg=pitch_deg, camera_height=1.6, across=-0.8)
    far, far_z = standing(8, pitch_deg=pitch_deg, camera_height=1.6, across=1.2)
    points = estimate(near, far)
    # A board that leans in the picture appears shorter by the cosine of the pitch, and the pitch
    # is drawn towards its prior: together less than a tenth.
    assert depth_of(points, near) == pytest.approx(near_z, rel=0.1)
    assert depth_of(points, far) == pytest.approx(far_z, rel=0.1)


def test_a_child_among_adults_is_placed_by_where_it_stands():
    """It appears small like somebody far away; its feet say how far it really is."""
    scene = {"pitch_deg": 10, "camera_height": 1.6}
    adults = [standing(z, across=x, **scene)[0] for z, x in ((4, -1.2), (6, 1.5), (8, -0.5))]
    child, z = standing(5, across=0.6, tall=1.2, **scene)
    points = estimate(*adults, child)
    by_size_alone = z * 1.7 / 1.2
    assert depth_of(points, child) < (z + by_size_alone) / 2


def test_a_cup_on_a_table_does_not_stand_on_the_ground():
    person, _ = standing(4, pitch_deg=10, camera_height=1.6, across=-0.8)
    cup = rectangle(200, 150, 212, 165, label="cup")
    points = estimate(person, cup)
    # Drawn towards the person a little, as all things in one photo are.
    assert depth_of(points, cup) == pytest.approx(CAMERA.fy * 0.1 / 15, rel=0.03)


def test_things_that_touch_are_at_about_the_same_distance():
    """By its height alone a lying spoon would be right in front of the camera."""
    cup = rectangle(100, 60, 160, 130, label="cup")
    spoon = rectangle(160, 90, 185, 140, label="spoon")
    apart = rectangle(210, 90, 235, 140, label="spoon")
    touching, alone = estimate(cup, spoon), estimate(cup, apart)
    assert 0.8 < depth_of(touching, spoon) / depth_of(touching, cup) < 1.25
    assert depth_of(alone, apart) / depth_of(alone, cup) < 0.8


def test_where_masks_overlap_the_nearer_object_is_seen():
    near = rectangle(100, 40, 160, 220)
    far = rectangle(120, 90, 220, 170)
    for order in ((near, far), (far, near)):
        points = estimate(*order)
        both = near.mask & far.mask
        assert -points.points[both][0, 2] == pytest.approx(depth_of(points, near))
        assert depth_of(points, near) < depth_of(points, far)


def test_the_background_lies_behind_what_stands_in_front_of_it():
    person, _ = standing(4, pitch_deg=10, camera_height=1.6)
    points = estimate(person)
    above_ground = ~person.mask & (np.arange(H)[:, None] < person.box[1])
    assert (-points.points[above_ground][:, 2] > depth_of(points, person)).all()


@settings(deadline=None, max_examples=40)
@given(
    x=st.integers(0, W - 2),
    y=st.integers(0, H - 2),
    width=st.integers(1, W),
    height=st.integers(1, H),
    label=st.sampled_from(["person", "cup", "bird", "gizmo", ""]),
)
def test_every_pixel_has_a_point_on_its_own_ray_in_front_of_the_camera(x, y, width, height, label):
    points = estimate(rectangle(x, y, min(W, x + width), min(H, y + height), label))
    v, u = np.mgrid[:H, :W] + 0.5
    seen = points.camera.project(points.points)
    assert (points.points[..., 2] < 0).all()
    # Points are float32: their rounding is 1e-4 of a pixel here.
    np.testing.assert_allclose(seen, np.stack([u, v], -1), atol=1e-2)


def test_a_photo_without_objects_has_a_point_map_too():
    points = estimate()
    assert np.isfinite(points.points).all()
    assert points.scale == "relative"


def test_the_focal_length_in_the_photo_is_used():
    photo = Image(pixels=PHOTO.pixels, focal_px=500.0)
    points = EmbeddedPointMapper().estimate(photo, [], silent())
    assert points.camera.fx == pytest.approx(500.0)
    assert (points.camera.cx, points.camera.cy) == (W / 2, H / 2)


def test_a_mask_of_another_size_is_refused():
    mask = np.ones((H // 2, W), bool)
    other = Instance(mask=mask, label="cup", score=1.0, box=Instance.box_of(mask))
    with pytest.raises(InputError, match=r"320×120.*320×240"):
        estimate(other)
