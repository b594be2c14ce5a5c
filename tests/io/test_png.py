"""A picture is packed once, whoever asks for it."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image as PillowImage

from scenelift.io import png
from scenelift.io.png import png_bytes


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(png, "_LATELY", png._Lately(100_000))


def picture(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape or (64, 48, 3), np.uint8)


def opened(data: bytes) -> np.ndarray:
    return np.asarray(PillowImage.open(io.BytesIO(data)))


def count_packings(monkeypatch) -> list[object]:
    packed, inner, slow = [], PillowImage.fromarray, threading.Event()

    def counted(pixels):
        packed.append(pixels)
        slow.wait(0.2)
        return inner(pixels)

    monkeypatch.setattr(png.PillowImage, "fromarray", counted)
    return packed


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_it_holds_the_picture(shape):
    np.testing.assert_array_equal(opened(png_bytes(picture(0, *shape))), picture(0, *shape))


def test_threads_that_ask_for_one_picture_share_the_work(monkeypatch):
    packed = count_packings(monkeypatch)
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(png_bytes, [picture(0) for _ in range(4)]))
    assert len(packed) == 1
    assert len(set(files)) == 1


def test_pictures_of_other_content_or_shape_are_other_files():
    zeros = np.zeros((4, 6, 3), np.uint8)
    for other in (np.zeros((6, 4, 3), np.uint8), np.zeros((4, 18), np.uint8), zeros + 1):
        assert png_bytes(zeros) != png_bytes(other)
        np.testing.assert_array_equal(opened(png_bytes(other)), other)
    zeros[0, 0] = 9  # the same array, changed
    np.testing.assert_array_equal(opened(png_bytes(zeros)), zeros)


def test_too_many_are_forgotten_the_oldest_first(monkeypatch):
    packed = count_packings(monkeypatch)
    for seed in range(20):  # 9 KB each, of 100
        png_bytes(picture(seed))
    png_bytes(picture(19))
    assert len(packed) == 20
    png_bytes(picture(0))
    assert len(packed) == 21


def test_what_cannot_be_packed_fails_every_time_and_is_forgotten():
    bad = np.zeros((3, 3, 7), np.uint8)
    for _ in range(2):
        with pytest.raises(TypeError):
            png_bytes(bad)
    assert not png._LATELY._files
