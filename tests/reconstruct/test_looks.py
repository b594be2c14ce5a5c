"""What the shape head is told of depth: the point map's relief, nothing, or its own front."""

from __future__ import annotations

import numpy as np
import pytest

from scenelift.reconstruct.embedded.looks import BINS, DEPTHS, SIDE, Answer, Looks
from scenelift.reconstruct.embedded.outline import trace_outline
from scenelift.reconstruct.embedded.volume import UNTOLD, filled_space
from scenelift.types import Camera, Image, Instance, ObjectView, PointMap

H, W, DISTANCE = 90, 120, 2.0
BIN = DEPTHS[1] - DEPTHS[0]


class Head:
    """Sees a plate that lies .2 of its size deeper where the photo is white."""

    def __init__(self, told_logit=2.0):
        self.looks, self.hints, self.told_logit = 0, [], told_logit

    def tokens(self, _picture, *, last=False):
        self.looks += 1
        return {"number": self.looks}

    def answer(self, picture, tokens, hints, *, last=False):
        rays = (np.arange(SIDE) + 0.5) / SIDE * picture.shape[1]
        white = picture[140, rays.astype(int), 0] > 200
        pixels = picture[140, (np.arange(160) * picture.shape[1]) // 160, 0]
        self.hints.append((tokens["number"], hints, pixels))
        plate = abs(DEPTHS[:, None] - np.where(white, 0.2, 0.0)) < 1.01 * BIN
        maps = np.full((BINS + 3, SIDE, SIDE), -9.0, np.float32)
        sure = self.told_logit if hints[3].any() else 2.0
        maps[:BINS] = np.where(plate, sure, -9.0)[:, None]
        return maps, np.array([0, 1, 0], np.float32)


@pytest.fixture
def view():
    mask = np.zeros((H, W), bool)
    mask[25:65, 40:80] = True
    camera = Camera(width=W, height=H, fx=W, fy=W, cx=W / 2, cy=H / 2)
    depth = np.where(mask, DISTANCE, 5.0)
    pixels = np.full((H, W, 3), 128, np.uint8)
    pixels[:, 66:] = 255
    return ObjectView(
        image=Image(pixels=pixels),
        instance=Instance(mask=mask, label="thing", score=1.0, box=Instance.box_of(mask)),
        points=PointMap(points=camera.unproject(depth), camera=camera, source="given"),
    )


def filled(head, view, *, known):
    outline = trace_outline(view.mask)
    return filled_space(head, view, outline, DISTANCE, trust_relief=known)


def test_points_that_are_known_are_told_and_once(view):
    head = Head()
    filled(head, view, known=True)
    assert [number for number, *_ in head.hints] == [1, 2, 3]
    for _, hints, _ in head.hints:  # the wall behind it, too
        assert hints[3].all()
        assert hints[2][hints[0] == 0].min() > 1


def test_without_points_the_head_is_told_its_own_front_within_the_mask(view):
    head = Head()
    filled(head, view, known=False)
    # The backbone looks at each window once.
    assert [number for number, *_ in head.hints] == [1, 2, 3] * 2
    assert head.looks == 3
    first, told = head.hints[:3], head.hints[3:]
    assert not any(hints[2:4].any() for _, hints, _ in first)
    for _, hints, pixels in told:
        np.testing.assert_array_equal(hints[3], hints[0])
        inside = hints[0] > 0
        assert not hints[2][~inside].any()
        # Mirrored where the picture is; the deeper part is the smaller, so the median is 0.
        for part, depth in ((pixels == 128, 0.0), (pixels == 255, 0.2)):
            assert np.median(hints[2][inside & part]) == pytest.approx(depth, abs=BIN / 4)


@pytest.mark.parametrize(("told_logit", "there"), [(2.0, True), (-9.0, False)])
def test_what_it_says_then_counts_as_much_as_what_it_said_first(view, told_logit, there):
    """A mean of 2 and −9 is air."""
    assert UNTOLD < 1
    field = filled(Head(told_logit), view, known=False)
    middle = field.field[:, 50:62, 40:60]  # rays of the nearer part, off its border
    nearest = int(abs(field.w / 40 + BIN).argmin())  # of the bins that it filled first
    assert ((middle[nearest] > 0).mean() > 0.9) == there


def test_a_front_is_where_rays_are_expected_to_end():
    logits = np.full((BINS, SIDE, SIDE), -20.0, np.float32)
    logits[10], logits[20] = 0.0, 20.0  # half of the light stops at the first
    logits[:, :, 40:] = -20.0  # and nothing is there: as beside it
    back, up = np.zeros((3, SIDE, SIDE), np.float32), np.zeros(3)
    front = Answer(filled=logits, back=back, up=up).front()
    np.testing.assert_allclose(front, (DEPTHS[10] + DEPTHS[20]) / 2, atol=1e-4)
    nothing = Answer(filled=np.full_like(logits, -20.0), back=back, up=up)
    assert not nothing.front().any()


def test_a_front_is_told_from_its_median(view):
    head = Head()
    looks = Looks(head, view, DISTANCE)  # pyright: ignore[reportArgumentType]
    looks.with_front(np.full((SIDE, SIDE), 0.7))
    for _, hints, _ in head.hints:
        np.testing.assert_allclose(hints[2], 0, atol=1e-6)
