"""Boxes and points in the forms of other tools mean what they mean there, or are refused."""

from __future__ import annotations

import numpy as np
import pytest

from scenelift.coordinates import Mark, boxes_of, points_of
from scenelift.errors import InputError
from scenelift.prompts import parse_boxes, show_box
from scenelift.types import BoxPrompt, Prompt

BOX = Mark((40.0, 60.0, 220.0, 300.0))
PARTS = Mark((0.125, 0.25, 0.75, 1.0))


@pytest.mark.parametrize(
    ("written", "box"),
    [
        ("40,60,220,300,", BOX),
        ("40，60，220，300", BOX),
        ("٤٠، ٦٠، ٢٢٠، ٣٠٠", BOX),
        ("40px,60px,220px,300px", BOX),
        ("40 px  60 px 220 px 300 px", BOX),
        ("x1=40, y1=60, x2=220, y2=300", BOX),
        ("x: 40; y: 60; width: 180; height: 240", BOX),
        ("mug: 40,60,220,300", Mark(BOX.numbers, "mug")),
        ("180x240+40+60", BOX),
        ("40,60 220,60 220,300 40,300", BOX),
        ([[220, 60], [220, 300], [40, 300], [40, 60]], BOX),
        ({"cx": 130, "cy": 180, "w": 180, "h": 240}, BOX),
        ({"x_center": 130, "y_center": 180, "width": 180, "height": 240}, BOX),
        ("12.5%,25%,75%,100%", PARTS),
        ("mug=12,5 %; 25 %; 75 %; 100 %", Mark(PARTS.numbers, "mug")),
        ("0,125 0,25 0,75 1,0", PARTS),
        ({"box_2d": [250, 125, 1000, 750], "label": "mug"}, Mark(PARTS.numbers, "mug")),
        ({"box": [40, 60, 220, 300], "positive": 0}, Mark(BOX.numbers, "", False)),
        # Every number has three decimals, or 12345 would leave no box.
        ("1.125,1.250,3.500,4.750", Mark((1.125, 1.25, 3.5, 4.75))),
        ("12.345,60,220,300", Mark((12.345, 60.0, 220.0, 300.0))),
    ],
)
def test_boxes_of_other_tools(written, box):
    assert boxes_of(written) == [box]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"bbox": [40, 60, 220, 300]}, "width and height in COCO and two corners elsewhere"),
        ({"bbox_2d": [40, 60, 220, 300]}, "one model's own picture"),
        ({"box_2d": [40, 60, 2200, 300]}, r"not \[ymin, xmin, ymax, xmax\] in 0…1000"),
        ({"box": [40, 60, 220, 300], "label": 1}, "'label' in .* is 1; give a text"),
        ([[40, 60], [230, 60], [220, 300], [40, 300]], "is an outline"),
        ("12%,25%,700,90%", "mixes % and pixels"),
        ("1.024,60,2.048,300", r"thousands \(1024,60,2048,300\) or fractions \(1.024,60.0"),
        ("1,5 1,8 9,8 9,5", "four corners, or four numbers with decimal commas"),
        ("1,2,3", "is not a box"),
        ("x1=40, y1=60, x2=220", "is not a box"),
    ],
)
def test_what_means_no_one_box_is_refused(written, message):
    with pytest.raises(InputError, match=message):
        boxes_of(written)


@pytest.mark.parametrize(
    ("written", "numbers", "positive"),
    [
        ({"point": [1, 2], "label": 1}, (1, 2), True),
        ({"x": 1, "y": 2, "label": 0}, (1, 2), False),
        ({"x": 1, "y": 2, "label": np.int64(0), "positive": False}, (1, 2), False),
        ('{"point": [1, 2], "label": "0"}', (1, 2), False),
        ({"X": 1, "Y": 2, "Label": True}, (1, 2), True),
        ({"point": [1, 2], "label": "mug"}, (1, 2), None),
        ("50%, 25%", (0.5, 0.25), None),
        ("320px, 240 px,", (320, 240), None),
        ("x=320, y=240", (320, 240), None),
    ],
)
def test_points_of_other_tools(written, numbers, positive):
    (point,) = points_of(written)
    assert (point.numbers, point.positive) == (numbers, positive)


def test_points_of_segment_anything_say_with_0_that_they_are_not_meant():
    coords = np.array([[1.0, 2.0], [3.0, 4.0]])
    points = Prompt(points={"point_coords": coords, "point_labels": np.array([1, 0])}).points
    assert [(p.point, p.positive) for p in points] == [((1, 2), True), ((3, 4), False)]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"point": [1, 2], "label": 2}, r"1 \(on the object\), 0 \(not on it\) or a text"),
        ({"point": [1, 2], "label": 1, "positive": False}, "contradicts itself"),
        ({"point": [1, 2], "positive": "no"}, "'positive' .* give true or false"),
        ({"point_coords": [[1, 2]], "point_labels": [1, 0]}, "for 1 points"),
        ({"point_coords": [[1, 2]], "point_labels": [2]}, "for 1 points"),
        ("1.024,768", "thousands"),
        ("1,2 3,4", "is not a point"),
        ([320, 240, 1], "is not a point"),
    ],
)
def test_what_means_no_one_point_is_refused(written, message):
    with pytest.raises(InputError, match=message):
        points_of(written)


def test_the_last_corner_in_percent_is_no_pixel():
    from scenelift.prompts import in_pixels, parse_points

    prompt, _ = in_pixels(Prompt(points=parse_points("100%,100%")), 60, 40)
    assert prompt.points[0].point == pytest.approx((60, 40))


@pytest.mark.parametrize("box", [(1.024, 60, 2.048, 300), (0.5, 1, 2, 3), (40, 60, 220, 300)])
def test_a_box_is_read_back_as_it_is_shown(box):
    assert parse_boxes(show_box(BoxPrompt(box=box, label="a mug")))[0].box == box
