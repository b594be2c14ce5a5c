"""A box becomes a mask that stays in it, whatever the box and the photo."""

from __future__ import annotations

import numpy as np
import pytest

from scenelift.errors import Cancelled
from scenelift.progress import CancelToken, Reporter, silent
from scenelift.segment.embedded.features import PATCH, PatchFeatures, grid_shape
from scenelift.segment.embedded.masks import BoxMasker


class PatchColours:
    """A network whose features of a patch are its mean colour and that of its four quarters."""

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert outputs == ["feat"]
        image = inputs["image"][0]  # [3, H, W]
        rows, columns = image.shape[1] // PATCH, image.shape[2] // PATCH
        half = PATCH // 2
        quarters = image.reshape(3, rows, 2, half, columns, 2, half).mean((3, 6))
        tokens = quarters.transpose(1, 3, 0, 2, 4).reshape(rows * columns, -1)
        tokens = np.vstack([tokens.mean(0), tokens, tokens.mean(0)])[:-1]
        return [tokens[None].astype(np.float32)]


@pytest.fixture
def masker() -> BoxMasker:
    return BoxMasker(PatchFeatures(PatchColours()))


def disc(height: int, width: int, x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width] + 0.5
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def painted(mask: np.ndarray, seed: int = 0) -> np.ndarray:
    """A red object before a green background, with a little noise."""
    rng = np.random.default_rng(seed)
    colours = np.where(mask[..., None], [200, 40, 40], [40, 160, 70])
    return (colours + rng.normal(0, 6, (*mask.shape, 3))).clip(0, 255).astype(np.uint8)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def test_cuts_a_disc_out_of_its_box(masker):
    truth = disc(120, 160, 90, 60, 40)
    [mask] = masker.masks(painted(truth), [(50, 20, 130, 100)], [], silent())
    # Its edge is one pixel wide: 250 of 5000 pixels.
    assert iou(mask > 0.5, truth) > 0.95


def test_gives_one_mask_a_box_and_nothing_far_outside(masker):
    truth = disc(100, 200, 50, 50, 30) | disc(100, 200, 150, 50, 30)
    boxes = [(20.0, 20.0, 80.0, 80.0), (120.0, 20.0, 180.0, 80.0)]
    left, right = masker.masks(painted(truth), boxes, [], silent())
    on_the_left = np.arange(200) < 100
    assert iou(left > 0.5, truth & on_the_left) > 0.95
    assert iou(right > 0.5, truth & ~on_the_left) > 0.95
    assert not left[:, 100:].any()
    assert not right[:, :100].any()


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ((60, 80), (30, 30, 33, 31)),
        ((60, 80), (30.2, 30.2, 30.4, 30.4)),
        ((60, 80), (-500, -500, 900, 900)),
        ((60, 80), (60, 40, 120, 100)),
        ((60, 80), (100, 100, 120, 120)),
        ((1, 5000), (100, 0, 2000, 1)),
        ((5000, 1), (0, 10, 1, 4000)),
        ((1, 1), (0, 0, 1, 1)),
    ],
)
def test_gives_finite_values_for_any_box(masker, shape, box):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    [mask] = masker.masks(pixels, [box], [(10, 10, 40, 40)], silent())
    assert mask.shape == shape
    assert mask.dtype == np.float32
    assert np.isfinite(mask).all()
    assert mask.min() >= 0
    assert mask.max() <= 1


def test_stops_when_asked(masker):
    token = CancelToken()
    token.cancel()
    report = Reporter(lambda event: None, token=token)
    with pytest.raises(Cancelled):
        masker.masks(np.zeros((20, 20, 3), np.uint8), [(2, 2, 10, 10)], [], report)


def test_grids_have_about_the_asked_number_of_patches():
    assert grid_shape(300, 300, 34) == (34, 34)
    rows, columns = grid_shape(200, 400, 34)
    assert columns == 2 * rows
    assert abs(rows * columns - 34**2) < 40
    assert grid_shape(1, 5000, 34) == (1, 64)
