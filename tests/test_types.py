"""Stage results refuse what does not have their shape, and cameras obey their conventions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.errors import ImageError, InputError
from scenelift.types import (
    Camera,
    Gaussians,
    Image,
    Instance,
    Mesh,
    ObjectView,
    PointMap,
    Pose,
    object_name,
)


def test_an_image_is_uint8_rgb():
    with pytest.raises(
        ImageError, match=r"expected uint8 \[any, any, 3\], got float64 \[4, 5, 3\]"
    ):
        Image(pixels=np.zeros((4, 5, 3)))
    with pytest.raises(ImageError, match=r"got uint8 \[4, 5\]"):
        Image(pixels=np.zeros((4, 5), np.uint8))


def test_gaussians_have_one_row_each():
    with pytest.raises(ValueError, match="opacities"):
        Gaussians(
            means=np.zeros((3, 3), np.float32),
            scales=np.ones((3, 3), np.float32),
            rotations=np.ones((3, 4), np.float32),
            opacities=np.ones(2, np.float32),
            sh0=np.zeros((3, 3), np.float32),
        )


def test_a_texture_needs_coordinates():
    with pytest.raises(ValueError, match="uv"):
        Mesh(
            vertices=np.zeros((3, 3), np.float32),
            faces=np.zeros((1, 3), np.int32),
            texture=np.zeros((2, 2, 3), np.uint8),
        )


@pytest.mark.parametrize(
    "bad",
    [
        {"rotation": (1.0, 1.0, 0.0, 0.0)},
        {"scale": 0.0},
        {"scale": float("nan")},
        {"translation": (0.0, float("inf"), 0.0)},
    ],
)
def test_a_pose_is_a_similarity(bad):
    with pytest.raises(ValueError, match="must be"):
        Pose(**bad)


def test_colour_and_spherical_harmonics_are_inverse():
    rgb = np.linspace(0, 1, 30, dtype=np.float32).reshape(10, 3)
    n = len(rgb)
    gaussians = Gaussians(
        means=np.zeros((n, 3), np.float32),
        scales=np.ones((n, 3), np.float32),
        rotations=np.ones((n, 4), np.float32),
        opacities=np.ones(n, np.float32),
        sh0=Gaussians.sh0_of(rgb),
    )
    np.testing.assert_allclose(gaussians.rgb, rgb, atol=1e-6)  # float32 rounding


def test_the_box_of_a_mask_is_tight_in_continuous_pixels():
    mask = np.zeros((10, 20), bool)
    mask[2:5, 7:11] = True
    assert Instance.box_of(mask) == (7.0, 2.0, 11.0, 5.0)
    with pytest.raises(ValueError, match="empty"):
        Instance.box_of(np.zeros((3, 3), bool))


def test_a_confidence_has_the_size_of_its_point_map():
    camera = Camera.from_fov(6, 4, fov_deg=50)
    points = camera.unproject(np.ones((4, 6)))
    PointMap(points=points, camera=camera, confidence=np.ones((4, 6), np.float32))
    with pytest.raises(ValueError, match=r"confidence: expected float32 \[4, 6\]"):
        PointMap(points=points, camera=camera, confidence=np.ones((6, 4), np.float32))
    PointMap(points=points, camera=camera, normals=points)
    with pytest.raises(ValueError, match=r"normals: expected float32 \[4, 6, 3\]"):
        PointMap(points=points, camera=camera, normals=points[..., :2])
    with pytest.raises(ValueError, match=r"scale: expected one of .*'relative'.*, got 'metres'"):
        PointMap(points=points, camera=camera, scale="metres")
    with pytest.raises(ValueError, match="positive number, got 0"):
        PointMap(points=points, camera=camera, metres_per_unit=0)


def rectangle(height, width) -> Instance:
    mask = np.ones((height, width), np.bool_)
    return Instance(mask=mask, label="box", score=1.0, box=Instance.box_of(mask))


@pytest.mark.parametrize("wrong", ["mask", "points", "neighbour"])
def test_what_is_said_of_an_object_has_the_size_of_its_photo(wrong):
    sizes = dict.fromkeys(("mask", "points", "neighbour"), (3, 4)) | {wrong: (4, 3)}
    height, width = sizes["points"]
    camera = Camera.from_fov(width, height, fov_deg=50)
    with pytest.raises(InputError, match="3 × 4 pixels, the photo 4 × 3"):
        ObjectView(
            image=Image(pixels=np.zeros((3, 4, 3), np.uint8)),
            instance=rectangle(*sizes["mask"]),
            points=PointMap(points=camera.unproject(np.ones((height, width))), camera=camera),
            others=(rectangle(*sizes["neighbour"]),),
        )


def test_the_camera_looks_along_minus_z_with_y_up_and_pixel_centres_at_a_half():
    camera = Camera(fx=100, fy=100, cx=32, cy=24, width=64, height=48)
    np.testing.assert_allclose(camera.project([0, 0, -5]), [32, 24])
    right_of, above = camera.project([1, 0, -5]), camera.project([0, 1, -5])
    assert right_of[0] > 32
    assert above[1] < 24
    points = camera.unproject(np.full((48, 64), 5.0))
    np.testing.assert_allclose(camera.project(points[0, 0]), [0.5, 0.5], atol=1e-4)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(2, 40),
    st.integers(2, 40),
    st.floats(20, 120),
    st.floats(0.1, 100),
)
def test_projecting_undoes_unprojecting(width, height, fov, depth):
    camera = Camera.from_fov(width, height, fov_deg=fov)
    pixels = camera.project(camera.unproject(np.full((height, width), depth)))
    expected = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)
    np.testing.assert_allclose(pixels, expected, atol=1e-3)  # points are float32


def test_a_resized_camera_sees_the_same_rays():
    camera = Camera.from_fov(640, 480, fov_deg=60)
    half = camera.resized(320, 240)
    point = np.array([0.3, -0.2, -2.0])
    np.testing.assert_allclose(half.project(point) * 2, camera.project(point))


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("red mug", "03_red-mug"),
        ("../../etc/passwd", "03_etc-passwd"),
        ("椅子", "03_yizi"),
        ("", "03_object"),
        ("a" * 100, "03_" + "a" * 40),
        ("CON", "03_con"),
    ],
)
def test_object_names_are_safe_in_any_path(label, name):
    assert object_name(3, label) == name
