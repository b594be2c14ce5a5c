"""Isosurfaces are closed, turned outward, and where the field is zero."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from scenelift.geometry.isosurface import isosurface

GRID = np.stack(np.meshgrid(*(np.arange(-12.0, 13.0),) * 3, indexing="ij"), -1)


def ball(centre=(0.0, 0.0, 0.0), radius=8.0):
    return radius - np.linalg.norm(GRID - centre, axis=-1)


def test_a_ball_is_closed_outward_and_of_its_size():
    vertices, faces = isosurface(ball())
    solid = trimesh.Trimesh(vertices, faces, process=False)
    assert solid.is_watertight
    # The surface's chords cut less than 1 % off a ball of 8 samples' radius.
    assert solid.volume == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.01)
    np.testing.assert_allclose(np.linalg.norm(vertices - 12, axis=1), 8, atol=0.05)


def test_two_balls_are_two_closed_parts():
    field = np.maximum(ball((-6, 0, 0), 4), ball((6, 0, 0), 4))
    solid = trimesh.Trimesh(*isosurface(field), process=False)
    assert solid.is_watertight
    assert solid.euler_number == 4


def test_a_field_that_leaves_the_grid_is_refused():
    with pytest.raises(ValueError, match="negative on its border"):
        isosurface(ball(radius=13))


def test_a_field_without_inside_is_refused():
    with pytest.raises(ValueError, match="nowhere positive"):
        isosurface(ball() - 100)
