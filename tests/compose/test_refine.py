"""How far along the viewing rays a pose follows the points depends on what they can know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scenelift.compose.placed_object import PlacedObject
from scenelift.compose.refine import refine
from scenelift.types import Pose, SceneObject

FARTHER = 1.04  # a first pose that much too far away, and as much too large: the mask agrees


@pytest.mark.parametrize(("scale", "least", "most"), [(0.3, 0.0, 0.4), (2.0, 0.7, 1.0)])
def test_the_larger_an_object_the_more_its_points_say_about_its_distance(
    crate, photograph, scale, least, most
):
    # Turned, so that refinement has something to gain.
    turned = Pose(rotation=(np.cos(0.1), 0.0, np.sin(0.1), 0.0), scale=scale)
    true = replace(turned, rotation=(np.cos(0.2), 0.0, np.sin(0.2), 0.0), translation=(0, 0.2, -4))
    photo = photograph([(crate, true)])
    first = replace(turned, translation=(0, 0.2 * FARTHER, -4 * FARTHER), scale=scale * FARTHER)
    o = SceneObject(index=0, instance=photo.instances[0], shape=crate, pose=first)
    placed = PlacedObject.of(o, photo.image, photo.points)
    before = placed.distance
    assert refine(placed, np.random.default_rng(0))
    gone = np.log(before / placed.distance) / np.log(FARTHER)
    assert least <= gone <= most


def test_what_is_far_or_small_goes_less_of_the_way(crate, photograph):
    photo = photograph([(crate, Pose(translation=(0, 0, -3.0)))])
    reaches = [
        PlacedObject.of(
            SceneObject(
                index=0,
                instance=photo.instances[0],
                shape=crate,
                pose=Pose(translation=(0, 0, -away), scale=scale),
            ),
            photo.image,
            photo.points,
        ).reach
        for scale, away in ((1.0, 1.0), (1.0, 3.0), (0.5, 3.0), (0.5, 6.0), (1.0, 12.0))
    ]
    assert reaches == sorted(reaches, reverse=True)
    assert 0 < reaches[-1] < 0.2 < 0.9 < reaches[0] < 1
    # Size and distance count together only.
    assert reaches[3] == pytest.approx(reaches[4])
