"""Depth of the user's is used as it is: at the photo's size, with the camera that is known."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from scenelift.errors import InputError
from scenelift.pointmap.given import GivenPointMapper
from scenelift.progress import silent
from scenelift.types import Image

PHOTO = Image(pixels=np.zeros((40, 60, 3), np.uint8))


def estimate(path, photo=PHOTO, **options):
    return GivenPointMapper.from_file(path, **options).estimate(photo, [], silent())


def ramp(height=40, width=60):
    return np.tile(np.linspace(1, 3, width, dtype=np.float32), (height, 1))


def test_depth_becomes_points_along_the_rays(tmp_path):
    np.save(tmp_path / "d.npy", ramp())
    result = estimate(tmp_path / "d.npy")
    np.testing.assert_allclose(-result.points[..., 2], ramp())
    pixels = result.camera.project(result.points)
    np.testing.assert_allclose(pixels[3, 7], [7.5, 3.5], atol=1e-3)
    assert result.scale == "measured"


def test_a_png_counts_in_millimetres_unless_told_otherwise(tmp_path):
    values = np.full((40, 60), 1500, np.uint16)
    values[0, 0] = 0
    PIL.Image.fromarray(values).save(tmp_path / "d.png")
    points = estimate(tmp_path / "d.png").points
    assert points[5, 5, 2] == pytest.approx(-1.5)
    assert np.isnan(points[0, 0]).all()
    assert estimate(tmp_path / "d.png", scale=0.01).points[5, 5, 2] == pytest.approx(-15)


def test_intrinsics_are_scaled_with_the_photo(tmp_path):
    k = np.array([[50.0, 0, 14], [0, 55.0, 11], [0, 0, 1]])
    np.savez(tmp_path / "d.npz", depth=ramp(20, 30), intrinsics=k)
    camera = estimate(tmp_path / "d.npz").camera
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (100, 110, 28, 22)


def test_exif_gives_the_focal_length_where_nothing_else_does(tmp_path):
    np.save(tmp_path / "d.npy", ramp())
    photo = Image(pixels=PHOTO.pixels, focal_px=77.0)
    assert estimate(tmp_path / "d.npy", photo).camera.fx == pytest.approx(77)


def test_points_are_kept_and_those_behind_the_camera_are_none(tmp_path):
    points = np.dstack([ramp(), ramp(), -ramp()])
    points[1, 1, 2] = 2.0
    np.savez(tmp_path / "p.npz", points=points)
    result = estimate(tmp_path / "p.npz").points
    np.testing.assert_array_equal(result[5, 5], points[5, 5])
    assert np.isnan(result[1, 1]).all()


def test_resampling_never_mixes_near_and_far(tmp_path):
    depth = np.where(np.arange(30) < 15, 1.0, 9.0) * np.ones((20, 1))
    np.save(tmp_path / "d.npy", depth)
    assert set(np.unique(-estimate(tmp_path / "d.npy").points[..., 2])) == {1.0, 9.0}


def test_holes_of_every_kind_are_nan(tmp_path):
    depth = ramp()
    depth[0, :4] = [np.nan, np.inf, -1, 0]
    np.save(tmp_path / "d.npy", depth)
    points = estimate(tmp_path / "d.npy").points
    assert np.isnan(points[0, :4]).all()
    assert np.isfinite(points[1:]).all()


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("none.npy", None, "no depth file"),
        ("a.npy", lambda p: p.write_bytes(b""), "cannot be read"),
        ("a.npy", lambda p: p.write_bytes(b"\x93NUMPY"), "cannot be read"),
        ("a.npz", lambda p: p.write_bytes(b"PK\x03\x04"), "cannot be read"),
        ("a.npy", lambda p: np.save(p, np.array([{}]), allow_pickle=True), "cannot be read"),
        ("a.npy", lambda p: np.save(p, np.zeros(5)), r"float64 \[5\]"),
        ("a.npy", lambda p: np.save(p, np.zeros((0, 5))), "expected"),
        ("a.npy", lambda p: np.save(p, np.zeros((4, 6))), "no point in front"),
        ("a.npz", lambda p: np.savez(p, z=ramp()), "holds z"),
        ("a.npz", lambda p: np.savez(p, depth=ramp(), intrinsics=np.eye(2)), "3×3"),
        ("a.npz", lambda p: np.savez(p, depth=ramp(), intrinsics=np.zeros((3, 3))), "positive"),
        ("a.png", lambda p: PIL.Image.new("RGB", (60, 40)).save(p), "16-bit grey"),
        ("a.exr", lambda p: p.write_bytes(b"v/1"), "no depth file"),
    ],
)
def test_what_is_no_depth_is_refused(tmp_path, name, make, message):
    if make:
        make(tmp_path / name)
    with pytest.raises(InputError, match=message):
        GivenPointMapper.from_file(tmp_path / name)


def test_other_proportions_than_the_photos_are_refused(tmp_path):
    np.save(tmp_path / "d.npy", ramp(30, 30))
    with pytest.raises(InputError, match="proportions differ"):
        estimate(tmp_path / "d.npy")


def test_a_scale_must_be_positive(tmp_path):
    np.save(tmp_path / "d.npy", ramp())
    with pytest.raises(InputError, match="positive number"):
        GivenPointMapper.from_file(tmp_path / "d.npy", scale=-1)
