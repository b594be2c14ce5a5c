"""An object's picture: square, on black, whatever surrounds the object in the photo."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.errors import InputError
from scenelift.models.trellis.preprocess import crop_on_black


def blob(height: int, width: int, box: tuple[int, int, int, int]) -> np.ndarray:
    x0, y0, x1, y1 = box
    alpha = np.zeros((height, width), np.uint8)
    alpha[y0:y1, x0:x1] = 255
    return alpha


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(3, 30), st.integers(3, 30))
def test_what_surrounds_the_object_does_not_matter(x, y, width, height):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    alpha = blob(64, 64, (x, y, x + width, y + height))
    other = np.where(alpha[..., None] > 0, pixels, rng.integers(0, 256, pixels.shape)).astype(
        np.uint8
    )
    picture = crop_on_black(pixels, alpha, size=28)
    assert picture.shape == (28, 28, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, crop_on_black(other, alpha, size=28))


def test_the_object_fills_five_sixths_of_the_picture():
    pixels = np.full((200, 300, 3), 255, np.uint8)
    picture = crop_on_black(pixels, blob(200, 300, (100, 50, 201, 151)), size=120)
    columns = np.flatnonzero(picture.max((0, 2)) > 127)
    # 101 of 120 columns; the resampled border may fall to either side.
    assert abs(len(columns) - 101) <= 1
    assert picture[0].max() == 0


def test_beyond_the_photo_it_is_black():
    pixels = np.full((60, 60, 3), 200, np.uint8)
    picture = crop_on_black(pixels, blob(60, 60, (0, 0, 40, 40)), size=48)
    assert picture[:2].max() == 0  # of 4 rows; Lanczos reaches into the nearer two
    assert picture[:, :2].max() == 0
    assert picture[24, 24].tolist() == [200, 200, 200]


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (5, 5, 6, 6)])
def test_a_mask_that_shows_nothing_is_refused(box):
    with pytest.raises(InputError, match="mask"):
        crop_on_black(np.zeros((20, 20, 3), np.uint8), blob(20, 20, box))
