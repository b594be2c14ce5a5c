"""Thickness follows the outline by a law that can be checked where its solution is known."""

from __future__ import annotations

import numpy as np
import pytest

from scenelift.reconstruct.embedded.inflate import inflate
from scenelift.reconstruct.embedded.outline import trace_outline
from scenelift.reconstruct.embedded.proportions import DEFAULT, Proportions, proportions_of

# So deep that no class limit flattens what is tested here, and nothing is stretched.
FREE = Proportions(1.0)


def half_thickness(mask, u, v, proportions=FREE, hidden_by=None):
    outline = trace_outline(mask, hidden_by)
    phi = inflate(outline, proportions)
    values = outline.sample(phi, np.atleast_1d(float(u)), np.atleast_1d(float(v)))
    return float(np.sqrt(np.maximum(values[0], 0)))


def bar(width, turned=False):
    v, u = np.mgrid[:200, :200] + 0.5
    across, along = (u + v - 200, u - v) if turned else (v - 100, u - 100)
    norm = np.sqrt(2) if turned else 1
    return (np.abs(across / norm) <= width / 2) & (np.abs(along / norm) <= 90)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("width", [10, 20, 40])
def test_a_long_bar_becomes_round(width, turned):
    # As deep as wide; the ends and the class's depth take a little, the pixel grid half a pixel.
    assert half_thickness(bar(width, turned), 100, 100) == pytest.approx(
        width / 2, rel=0.06, abs=0.7
    )


def test_twice_the_photo_gives_twice_the_thickness():
    mask = bar(24) | bar(24).T
    twice = np.kron(mask, np.ones((2, 2), bool))
    for u, v in ((100, 100), (50, 100), (100, 30)):
        once = half_thickness(mask, u, v)
        assert half_thickness(twice, 2 * u, 2 * v) == pytest.approx(2 * once, rel=0.05)


def test_wide_parts_are_thicker_than_thin_ones():
    mask = bar(8)
    v, u = np.mgrid[:200, :200] + 0.5
    mask |= (u - 100) ** 2 + (v - 100) ** 2 < 40**2
    assert half_thickness(mask, 100, 100) > 4 * half_thickness(mask, 30, 100)
    assert half_thickness(mask, 30, 100) > 2


def test_a_lathe_ignores_a_handle():
    """The cup's body stays as deep as it is wide; the handle stays a thin tube."""
    body = np.zeros((200, 200), bool)
    body[50:150, 40:120] = True
    handle = np.zeros_like(body)
    handle[70:130, 120:150] = True
    handle[80:120, 120:140] = False
    cup = proportions_of("cup")
    assert half_thickness(body | handle, 80, 100, cup) == pytest.approx(40, rel=0.15)
    assert half_thickness(body | handle, 145, 100, cup) < 10


def test_the_photos_border_cuts_and_does_not_taper():
    mask = np.zeros((200, 200), bool)
    mask[80:120, :100] = True  # leaves the photo on the left
    assert half_thickness(mask, 2, 100) > 0.9 * half_thickness(mask, 50, 100)
    assert half_thickness(mask, 98, 100) < 0.6 * half_thickness(mask, 50, 100)


@pytest.mark.parametrize(
    ("phrase", "known_as"),
    [
        ("red coffee mug", "mug"),
        ("Dining_Table", "dining table"),
        ("cups", "cup"),
        ("wine-glasses", "wine glass"),
    ],
)
def test_phrases_are_read_to_the_thing_they_name(phrase, known_as):
    assert proportions_of(phrase) == proportions_of(known_as) != DEFAULT


def test_the_class_goes_before_the_label_and_nonsense_gets_the_default():
    assert proportions_of("cup", "gizmo").round
    assert proportions_of(None, "mug").round
    assert proportions_of("gizmo", None, "") == DEFAULT
