"""Cropping, padding and normalising one object's inputs."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.errors import InputError
from scenelift.models.sam3d import preprocess as preprocessing
from scenelift.models.sam3d.preprocess import preprocess

SIZE = 28


def photo(height: int = 40, width: int = 60, seed: int = 0) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def box_mask(x0: int, y0: int, x1: int, y1: int, height: int = 40, width: int = 60) -> torch.Tensor:
    mask = torch.zeros(1, height, width)
    mask[:, y0:y1, x0:x1] = 1
    return mask


def surface(height: int = 40, width: int = 60) -> torch.Tensor:
    points = torch.randn(3, height, width, generator=torch.Generator().manual_seed(1))
    points[2] += 5
    return points


@settings(deadline=None, max_examples=25)
@given(
    corners=st.tuples(st.integers(0, 40), st.integers(0, 25)),
    extent=st.tuples(st.integers(12, 60), st.integers(12, 40)),
)
def test_the_crop_is_a_square_a_fifth_longer_than_the_mask(corners, extent):
    (x0, y0), (w, h) = corners, extent
    mask = box_mask(x0, y0, x0 + w, y0 + h)
    images = preprocess(photo(), mask, None, size=256)
    assert images.image.shape == (1, 3, 256, 256)
    assert images.points is None
    w, h = mask[0, y0].sum().item(), mask[0, :, x0].sum().item()
    rows, columns = np.nonzero(images.mask[0, 0].numpy())
    # In pixels of the photo. The published box is measured between pixel centres and rounded
    # down twice, so it is up to three pixels shorter, and the mask may lose one at its edge.
    crop = 1.2 * max(w, h)
    assert (np.ptp(columns) + 1) / 256 * crop == pytest.approx(w, abs=4)
    assert (np.ptp(rows) + 1) / 256 * crop == pytest.approx(h, abs=4)


def test_the_full_views_are_the_photo_padded_to_a_square():
    images = preprocess(photo(), box_mask(10, 10, 20, 20), None, size=60)
    torch.testing.assert_close(images.full_image[0, :, 10:50], photo())
    assert (images.full_image[0, :, :10] == 0).all()
    assert torch.equal(images.full_mask[0, :, 10:50], box_mask(10, 10, 20, 20))


def test_beyond_the_photo_the_crop_is_zero():
    # A box of 45 pixels around a wide mask near the top begins 8 rows above the photo.
    images = preprocess(photo() + 1, box_mask(0, 10, 40, 20), surface(), size=45)
    assert images.points is not None
    for picture in (images.image[0], images.points.crop[0]):
        beyond = (picture == 0).all(0)
        assert beyond[:8].all()
        assert not beyond[8:, 3:].any()
        assert beyond[:, :3].all()


def test_points_are_normalised_by_the_object_s_median_and_the_scene_s_size():
    mask, points = box_mask(10, 10, 31, 31), surface()
    images = preprocess(photo(), mask, points, size=60)
    assert images.points is not None
    inside = points[:, mask[0] > 0]
    torch.testing.assert_close(images.points.shift, inside.median(1).values)
    distances = (points - images.points.shift[:, None, None]).abs().amax(0)
    torch.testing.assert_close(images.points.scale, distances.flatten().median().expand(3))
    restored = images.points.full[0] * images.points.scale[:, None, None]
    restored = restored + images.points.shift[:, None, None]
    torch.testing.assert_close(restored[:, 10:50], points, rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(
    scale=st.floats(0.1, 10),
    shift=st.tuples(*[st.floats(-3, 3)] * 3).map(torch.tensor),
)
def test_normalised_points_do_not_depend_on_units_or_origin(scale, shift):
    mask, points = box_mask(5, 8, 33, 31), surface()
    a = preprocess(photo(), mask, points, size=SIZE).points
    b = preprocess(photo(), mask, points * scale + shift[:, None, None], size=SIZE).points
    assert a is not None
    assert b is not None
    # Adding and removing a shift costs digits of float32.
    torch.testing.assert_close(b.full, a.full, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(b.scale, a.scale * scale, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("nothing", [float("nan"), float("inf"), float("-inf")])
def test_pixels_without_a_point_stay_without(nothing):
    points = surface()
    points[1, :20] = nothing
    images = preprocess(photo(), box_mask(10, 5, 40, 35), points, size=60)
    assert images.points is not None
    assert images.points.full[0, :, 10:30].isnan().all()
    assert images.points.full[0, :, 30:50].isfinite().all()
    assert images.points.shift.isfinite().all()


def test_an_object_without_points_is_not_normalised():
    points = surface()
    points[:, 10:20, 10:20] = float("nan")
    images = preprocess(photo(), box_mask(10, 10, 20, 20), points, size=60)
    assert images.points is not None
    assert images.points.scale.tolist() == [1, 1, 1]
    assert images.points.shift.tolist() == [0, 0, 0]
    torch.testing.assert_close(
        images.points.full[0, :, 10:50], points, equal_nan=True, rtol=0, atol=0
    )


def test_a_smaller_point_map_is_brought_to_the_photo_s_size():
    ramp = torch.linspace(0, 1, 30).expand(3, 20, 30).clone() + 1
    ramp[:, :, :3] = float("nan")
    images = preprocess(photo(), box_mask(10, 10, 31, 31), ramp, size=60)
    assert images.points is not None
    full = images.points.full[0, :, 10:50]
    assert full.shape == (3, 40, 60)
    assert full[:, :, :6].isnan().all()
    assert full[:, :, 6:].isfinite().all()
    assert (full[0, 0, 8:].diff() >= 0).all()


@pytest.mark.parametrize("corners", [(10, 10, 31, 31), (0, 10, 40, 20), (30, 2, 59, 39)])
def test_a_smaller_point_map_gives_what_enlarging_it_first_gives(corners):
    """The published way, which has no room for the whole of a large photo."""
    mask, points = box_mask(*corners, 80, 120), surface()
    points[:, :7, 20:] = float("nan")
    ours = preprocess(photo(80, 120), mask, points, size=45).points

    normalised = (points - ours.shift[:, None, None]) / ours.scale[:, None, None]
    smooth = F.interpolate(normalised.nan_to_num(nan=0.0)[None], (80, 120), mode="bilinear")[0]
    missing = F.interpolate(points.isnan().float()[None], (80, 120), mode="nearest")[0] > 0.5
    enlarged = smooth.masked_fill(missing, float("nan"))
    box = preprocessing._object_box(mask)
    crop = preprocessing._cropped(enlarged, box)
    for actual, expected in (
        (ours.crop, preprocessing._squared(crop, fill=float("nan"))),
        (ours.full, preprocessing._squared(enlarged)),
    ):
        expected = preprocessing._nearest(expected, 45)[None]
        torch.testing.assert_close(actual, expected, equal_nan=True, rtol=1e-4, atol=1e-5)


def test_bytes_are_the_same_picture():
    levels = torch.randint(0, 256, (3, 40, 60), dtype=torch.uint8)
    mask = box_mask(5, 8, 33, 31)
    a, b = (preprocess(p, mask, None, size=SIZE) for p in (levels, levels.float() / 255))
    assert torch.equal(a.image, b.image)
    assert torch.equal(a.full_image, b.full_image)


def test_an_empty_mask_is_refused():
    with pytest.raises(InputError, match="mask is empty"):
        preprocess(photo(), torch.zeros(1, 40, 60), None)


@pytest.mark.parametrize("corners", [(10, 10, 12, 30), (10, 10, 30, 12), (5, 5, 6, 6)])
def test_a_sliver_is_refused(corners):
    with pytest.raises(InputError, match="at least 3×3"):
        preprocess(photo(), box_mask(*corners), None)
