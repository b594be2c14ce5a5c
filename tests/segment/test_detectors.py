"""Views are laid over the photo, looked at, and mapped back to its pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from scenelift.errors import Cancelled, WeightsError
from scenelift.models.embedded.box_fusion import Detections, iou
from scenelift.models.embedded.classes import CLASSES, COCO
from scenelift.models.embedded.nanodet import BINS, NanoDet, decode_level
from scenelift.models.embedded.ssd import NUMBERS, SSD, anchors, decode_boxes
from scenelift.progress import CancelToken, Reporter, silent
from scenelift.segment.embedded.detectors import detect, windows
from scenelift.types import Box


class RedDetector:
    """Finds the tight box of the red pixels of a view, cut where the view ends."""

    name = "red"

    def detect(self, photo: Pillow.Image, window: Box) -> Detections:
        x0, y0, x1, y1 = (round(edge) for edge in window)
        view = np.asarray(photo.crop((x0, y0, x1, y1)))
        rows, columns = np.nonzero(view[..., 0] > 128)
        if not rows.size:
            return Detections.none()
        box = [columns.min() + x0, rows.min() + y0, columns.max() + 1 + x0, rows.max() + 1 + y0]
        return Detections(
            np.array([box], np.float32), np.array([0.8], np.float32), np.zeros(1, np.int64)
        )


def photo_with(box: tuple[int, int, int, int], width: int, height: int) -> np.ndarray:
    pixels = np.zeros((height, width, 3), np.uint8)
    x0, y0, x1, y1 = box
    pixels[y0:y1, x0:x1, 0] = 255
    return pixels


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((10, 20, 60, 90), (200, 100)),  # too small for tiles
        ((30, 40, 900, 600), (1000, 700)),  # across all tiles
        ((700, 500, 760, 540), (1000, 700)),  # inside one tile
        ((450, 300, 550, 400), (1000, 700)),  # where all tiles overlap
        ((0, 0, 1000, 700), (1000, 700)),  # the whole photo
    ],
)
def test_a_box_comes_back_where_it_was(box, size):
    found = detect([RedDetector()], photo_with(box, *size), silent())
    assert len(found) == 1
    assert found.boxes[0].tolist() == list(box)
    assert found.scores[0] == pytest.approx(0.8)


def test_a_large_photo_is_looked_at_smaller_and_answered_in_its_own_pixels():
    box = (1000, 500, 2000, 1500)
    found = detect([RedDetector()], photo_with(box, 4000, 3000), silent())
    # One pixel of the copy is three of the photo.
    np.testing.assert_allclose(found.boxes[0], box, atol=3)


def test_an_object_that_a_tile_cuts_off_is_not_a_second_object():
    # Both left tiles show only a part of it, which overlaps the whole too little to be fused.
    found = detect([RedDetector()], photo_with((20, 300, 980, 420), 1000, 700), silent())
    assert found.boxes.tolist() == [[20, 300, 980, 420]]


@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 5000), (3, 900)])
def test_any_shape_of_photo_is_looked_at(size):
    assert len(detect([RedDetector()], photo_with((0, 0, 0, 0), *size), silent())) == 0


def test_two_detectors_that_agree_are_surer_than_one():
    pixels = photo_with((10, 20, 60, 90), 200, 100)
    one = detect([RedDetector()], pixels, silent())
    two = detect([RedDetector(), RedDetector()], pixels, silent())
    assert len(two) == 1
    assert one.scores[0] < two.scores[0] <= 1


def test_no_detectors_find_nothing():
    assert len(detect([], photo_with((10, 20, 60, 90), 200, 100), silent())) == 0


def test_looking_can_be_stopped():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        detect([RedDetector()], photo_with((0, 0, 9, 9), 9, 9), Reporter(print, token=token))


@given(st.integers(1, 4000), st.integers(1, 4000))
@settings(deadline=None)
def test_the_windows_stay_in_the_photo_and_the_first_is_all_of_it(width, height):
    views = windows(width, height)
    assert views[0] == (0, 0, width, height)
    assert len(views) in (1, 5)
    for x0, y0, x1, y1 in views:
        assert 0 <= x0 < x1 <= width + 1e-6
        assert 0 <= y0 < y1 <= height + 1e-6


# NanoDet's head


def bins_for(distances: list[float]) -> np.ndarray:  # [4] in strides, whole numbers -> [44]
    logits = np.full((4, BINS), -50, np.float32)
    logits[np.arange(4), np.array(distances, int)] = 50
    return logits.reshape(-1)


def test_nanodet_measures_distances_from_the_cell_in_strides():
    cells = 416 // 32
    scores = np.zeros((cells * cells, 80), np.float32)
    bins = np.zeros((cells * cells, 44), np.float32)
    cell = 3 * cells + 5  # row 3, column 5: centre (5.5, 3.5) strides
    scores[cell, 17] = 0.75
    bins[cell] = bins_for([1, 2, 3, 4])
    found = decode_level(scores, bins, 32)
    assert found.classes.tolist() == [17]
    assert found.scores.tolist() == [0.75]
    np.testing.assert_allclose(found.boxes[0] / 32, [4.5, 1.5, 8.5, 7.5], atol=1e-5)


class RecordedNetwork:
    """Answers every input with the same outputs, and keeps the input."""

    def __init__(self, outputs: dict[str, np.ndarray]) -> None:
        self.outputs, self.image = outputs, np.zeros(0)

    def run(self, names, feeds):
        self.image = feeds["image"]
        return [self.outputs[name] for name in names]


def test_nanodet_sees_blue_first_and_answers_in_pixels_of_the_photo():
    outputs = {}
    for stride in (8, 16, 32):
        count = (416 // stride) ** 2
        outputs[f"scores_{stride}"] = np.zeros((1, count, 80), np.float32)
        outputs[f"bins_{stride}"] = np.zeros((1, count, 44), np.float32)
    # Row 3, column 5 of the coarse level: x 4.5…6.5, y 2.5…4.5 strides of 32.
    outputs["scores_32"][0, 3 * 13 + 5, 2] = 0.9
    outputs["bins_32"][0, 3 * 13 + 5] = bins_for([1, 1, 1, 1])
    network = RecordedNetwork(outputs)
    photo = Pillow.new("RGB", (832, 416), (255, 0, 0))
    found = NanoDet(network).detect(photo, (0, 0, 832, 416))  # pyright: ignore[reportArgumentType]

    assert network.image.shape == (1, 3, 416, 416)
    # The red channel, last: (255 - 123.675) / 58.395; below the photo there is black padding.
    assert network.image[0, 2, 0, 0] == pytest.approx(2.2489, abs=1e-3)
    assert network.image[0, 0, 0, 0] == pytest.approx(-103.53 / 57.375, abs=1e-3)
    assert network.image[0, 2, 300, 0] == pytest.approx(-123.675 / 58.395, abs=1e-3)
    assert [CLASSES[i] for i in found.classes] == ["car"]
    np.testing.assert_allclose(found.boxes[0], [288, 160, 416, 288], atol=1e-3)


# SSD's head


def test_ssd_has_the_1917_anchors_of_its_weights():
    priors = anchors()
    assert priors.shape == (1917, 4)
    np.testing.assert_allclose(priors[0], [0.5 / 19, 0.5 / 19, 0.1, 0.1], atol=1e-6)
    # The last cell covers the photo: scale 0.95, then sqrt(0.95 · 1).
    np.testing.assert_allclose(priors[-6], [0.5, 0.5, 0.95, 0.95], atol=1e-6)
    np.testing.assert_allclose(priors[-1, 2:], np.sqrt(0.95), atol=1e-6)


def test_ssd_codes_shift_and_scale_the_anchor():
    priors = np.array([[0.5, 0.4, 0.2, 0.1]], np.float32)
    zero = decode_boxes(np.zeros((1, 4), np.float32), priors)
    np.testing.assert_allclose(zero, [[0.4, 0.35, 0.6, 0.45]], atol=1e-6)
    # Down by half its height, right by its width; twice as high, as wide as it was.
    code = np.array([[5.0, 10.0, 5 * np.log(2), 0.0]], np.float32)
    moved = decode_boxes(code, priors)
    np.testing.assert_allclose(moved, [[0.6, 0.35, 0.8, 0.55]], atol=1e-6)


def test_ssd_reports_neither_background_nor_columns_that_stand_for_nothing():
    logits = np.full((1, 1917, 24), -9, np.float32)
    logits[..., [0, 12]] = 9  # background everywhere, and a number that was never used
    logits[0, 1916, 7] = 2
    network = RecordedNetwork({"boxes": np.zeros((1, 1917, 1, 4), np.float32), "logits": logits})
    photo = Pillow.new("RGB", (600, 300), (255, 255, 255))
    classes = {5: CLASSES.index("dog"), 7: CLASSES.index("cup")}
    ssd = SSD(network, classes, name="ssd", trust=0.5)  # pyright: ignore[reportArgumentType]
    found = ssd.detect(photo, (0, 0, 600, 300))

    np.testing.assert_allclose(network.image, 1)  # white is 1, whatever the channel
    assert [CLASSES[i] for i in found.classes] == ["cup"]
    assert found.scores[0] == pytest.approx(0.5 / (1 + np.exp(-2)), abs=1e-6)
    margin = (1 - np.sqrt(0.95)) / 2
    np.testing.assert_allclose(
        found.boxes[0], [600 * margin, 300 * margin, 600 * (1 - margin), 300 * (1 - margin)], 1e-4
    )


def test_cocos_numbers_skip_the_categories_that_were_never_used():
    by_number = dict(zip(NUMBERS, COCO, strict=True))
    # Beside the gaps and at both ends, as COCO's own table has them.
    told = {1: "person", 11: "fire hydrant", 13: "stop sign", 44: "bottle", 46: "wine glass"}
    told |= {65: "bed", 67: "dining table", 70: "toilet", 84: "book", 90: "toothbrush"}
    assert {number: by_number[number] for number in told} == told


# On photos


@pytest.fixture(scope="module")
def installed():
    try:
        return [NanoDet.load(), SSD.of_open_images(), SSD.of_coco()]
    except WeightsError as exc:
        pytest.skip(str(exc))


@pytest.mark.weights
@pytest.mark.parametrize(
    ("photo", "class_name", "box"),
    [
        ("coffee", "cup", (170, 20, 430, 290)),  # drawn by hand
        ("chelsea", "cat", (0, 0, 425, 300)),
        ("astronaut", "person", (15, 10, 365, 512)),
    ],
)
def test_what_anybody_would_name_is_found_once(installed, photo, class_name, box):
    import skimage.data

    found = detect(installed, getattr(skimage.data, photo)(), silent())
    index = CLASSES.index(class_name)
    sure = found.take((found.scores >= 0.4) & (found.classes == index))
    assert len(sure) == 1
    # A detector's box of a cup may end at its rim or include its saucer.
    assert iou(sure.boxes[0], np.array(box, np.float32)) > 0.7
