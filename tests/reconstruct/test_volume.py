"""The front of a filled space is where it was seen, and the rest of the photo leaves it alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label

from scenelift.reconstruct.embedded.looks import BINS, DEPTHS, FAR, NEAR, SIDE
from scenelift.reconstruct.embedded.outline import trace_outline
from scenelift.reconstruct.embedded.relief import visible_relief
from scenelift.reconstruct.embedded.volume import NODES, SKIN, filled_space
from scenelift.types import Camera, Image, Instance, ObjectView, PointMap

H, W = 120, 160
FOCAL = 160.0
DISTANCE = 2.0
BIN = (FAR - NEAR) / BINS  # of the object's longer side


@pytest.fixture
def mask():
    inside = np.zeros((H, W), bool)
    inside[30:90, 40:120] = True
    return inside


@pytest.fixture
def depth(mask):
    """A plane at `DISTANCE` in front of a wall far away."""
    return np.where(mask, DISTANCE, 20.0)


def seen(depth):
    camera = Camera(width=W, height=H, fx=FOCAL, fy=FOCAL, cx=W / 2, cy=H / 2)
    return PointMap(points=camera.unproject(depth), camera=camera, source="given")


def relief(mask, depth):
    """At the centre of every pixel of the mask, in sizes of the object."""
    v, u = np.nonzero(mask)
    found = visible_relief(mask, seen(depth), DISTANCE, u + 0.5, v + 0.5)
    out = np.full(mask.shape, np.nan)
    out[mask] = found / 80
    return out


def pixels(sizes):
    """Depth at which `relief` is so many sizes."""
    return DISTANCE * (1 + sizes * 80 / FOCAL)


def test_a_step_stays_a_step(mask, depth):
    depth[:, 80:] = pixels(0.5)
    found = relief(mask, depth)
    np.testing.assert_allclose(found[30:90, 40:80], 0, atol=1e-6)
    np.testing.assert_allclose(found[30:90, 80:120], 0.5, atol=1e-6)


@pytest.mark.parametrize("sizes", [0.6, 5.0])
def test_background_at_the_masks_end_is_not_the_object(mask, depth, sizes):
    depth[:, 119] = pixels(sizes)
    np.testing.assert_allclose(relief(mask, depth)[mask], 0, atol=1e-6)


def test_a_top_seen_at_a_grazing_angle_keeps_its_far_edge(mask, depth):
    steps = np.linspace(0.4, 0, 10)
    depth[30:40] = np.where(mask[30:40], pixels(steps)[:, None], 20.0)
    np.testing.assert_allclose(relief(mask, depth)[30:40, 80], steps, atol=1e-6)


def test_without_a_point_near_the_object_its_relief_is_flat(mask, depth):
    assert (relief(mask, np.full((H, W), np.nan))[mask] == 0).all()


class Head:
    """Says the same of every bin of every ray."""

    def __init__(self, logit):
        self.logit = logit

    def tokens(self, _picture, *, last=False):
        return {}

    def answer(self, _picture, _tokens, hints, *, last=False):
        maps = np.full((BINS + 3, SIDE, SIDE), self.logit, np.float32)
        return maps, np.array([0, 1, 0], np.float32)


class Step(Head):
    """Sees a plate: its left half at depth 0, its right half so many sizes behind it."""

    def __init__(self, behind):
        self.behind = behind

    def answer(self, _picture, _tokens, hints, *, last=False):
        right = hints[4, 0, ::2] > 0  # tangents of the rays, two a ray
        plate = abs(DEPTHS[:, None] - np.where(right, self.behind, 0.0)) < 2 * BIN
        maps = np.full((BINS + 3, SIDE, SIDE), -3.0, np.float32)
        maps[:BINS] = np.where(plate, 3.0, -3.0)[:, None]
        return maps, np.array([0, 1, 0], np.float32)


def fill(mask, depth, head, *, known=True):
    if not isinstance(head, Head):
        head = Head(head)
    instance = Instance(mask=mask, label="thing", score=1.0, box=Instance.box_of(mask))
    photo = Image(pixels=np.full((H, W, 3), 128, np.uint8))
    points, outline = seen(depth), trace_outline(mask)
    view = ObjectView(image=photo, instance=instance, points=points)
    return filled_space(head, view, outline, DISTANCE, trust_relief=known)


def depths(filled):
    """First and last depth inside, in sizes of the object; NaN beside it."""
    first, last, hit = filled.extent()
    return (np.where(hit, side / 80, np.nan) for side in (first, last))


@pytest.mark.parametrize("known", [True, False])
def test_what_the_head_does_not_see_is_a_plate_however_wide(mask, depth, known):
    first, last = depths(fill(mask, depth, -5.0, known=known))
    assert np.nanmax(last - first) < (SKIN + 2) * BIN  # where it ends is known to a bin
    assert np.isfinite(first).sum() > 0.95 * (60 * 80) / (80 * 1.3 / NODES) ** 2


def test_nothing_is_in_front_of_what_is_seen_and_something_is_behind_it(mask, depth):
    depth[:, 80:] = np.where(mask[:, 80:], pixels(0.5), 20.0)
    everything = fill(mask, depth, 5.0)
    left, right = everything.u < 79, everything.u > 81
    first, last = depths(everything)
    assert np.nanmin(first[:, left]) == pytest.approx(0, abs=BIN)
    assert np.nanmin(first[:, right]) == pytest.approx(0.5, abs=BIN)
    assert np.nanmin(last) > 1.9
    skin, _ = depths(fill(mask, depth, -5.0))
    np.testing.assert_allclose(skin[:, left][np.isfinite(skin[:, left])], 0, atol=BIN)
    np.testing.assert_allclose(skin[:, right][np.isfinite(skin[:, right])], 0.5, atol=BIN)


@pytest.mark.parametrize(("behind", "solids"), [(0.1, 1), (0.4, 1), (0.8, 2)])
def test_a_step_within_the_outline_has_a_wall_unless_it_is_deep(mask, depth, behind, solids):
    filled = fill(mask, depth, Step(behind), known=False)
    assert label(filled.field > 0)[1] == solids
