"""The search's parts keep what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.compose.search import (
    Nearby,
    evolve,
    quarter_turns,
    rotation_grid,
    rotation_of_vector,
    turn_between,
)

UNIT = st.floats(-1, 1)


def degrees(a, b):
    return np.degrees(np.arccos(np.clip((np.einsum("...ij,ij->...", a, b) - 1) / 2, -1, 1)))


@settings(deadline=None)
@given(st.tuples(UNIT, UNIT, UNIT))
def test_a_vector_turns_by_its_length_about_itself(vector):
    v = np.array(vector)
    r = rotation_of_vector(v)
    np.testing.assert_allclose(r @ v, v, atol=1e-12)
    np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-12)
    assert degrees(r, np.eye(3)) == pytest.approx(np.degrees(np.linalg.norm(v)), abs=1e-4)


@settings(deadline=None)
@given(st.tuples(UNIT, UNIT, UNIT), st.tuples(UNIT, UNIT, UNIT))
def test_one_direction_is_turned_onto_another(a, b):
    a, b = np.array(a), np.array(b)
    if min(np.linalg.norm(a), np.linalg.norm(b)) < 1e-3:
        return
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    r = turn_between(a, b)
    np.testing.assert_allclose(r @ a, b, atol=1e-6)
    assert np.linalg.det(r) == pytest.approx(1)


def test_opposite_directions_are_turned_onto_each_other():
    for a in (*np.eye(3), np.array([0.6, 0.8, 0.0])):
        np.testing.assert_allclose(turn_between(a, -a) @ a, -a, atol=1e-9)


def test_every_rotation_has_one_of_the_grid_near():
    grid = rotation_grid(3000)
    rng = np.random.default_rng(0)
    for vector in rng.normal(size=(100, 3)):
        assert degrees(grid, rotation_of_vector(2 * vector)).min() < 20


def test_evolution_finds_the_bottom_of_a_skewed_valley_from_every_start():
    bottom = np.array([0.3, -0.2, 0.5, 0.1])
    skew = np.eye(4) + np.triu(np.ones((4, 4)), 1)

    def costs(x):
        return (((x - bottom) @ skew * [1, 3, 10, 0.3]) ** 2).sum(-1)

    best, cost = evolve(
        costs,
        3,
        np.full(4, 0.3),
        generations=60,
        population=12,
        rng=np.random.default_rng(0),
    )
    np.testing.assert_allclose(best, np.tile(bottom, (3, 1)), atol=0.02)
    np.testing.assert_allclose(cost, costs(best))


def test_evolution_never_ends_worse_than_it_began():
    def nowhere_better(x):
        return np.where((x == 0).all(-1), 0.0, 1.0)

    best, cost = evolve(
        nowhere_better,
        2,
        np.ones(3),
        generations=3,
        population=6,
        rng=np.random.default_rng(0),
    )
    assert not best.any()
    assert not cost.any()


def test_changing_the_distance_keeps_every_viewing_ray():
    pose = np.concatenate([rotation_of_vector(np.array([0.1, 0.7, 0.2])), [[0.3], [0.1], [-3]]], 1)
    near = Nearby(pose[None], np.zeros(3))
    moved = near.at(np.array([[[0, 0, 0, 0, 0, 0, 0.4]]]))[0, 0]
    points = np.random.default_rng(0).normal(size=(20, 4)) * 0.3
    points[:, 3] = 1
    before, after = points @ pose.T, points @ moved.T
    np.testing.assert_allclose(after, before * np.exp(0.4))


def test_quarter_turns_keep_the_middle_of_the_box():
    pose = np.concatenate(
        [2 * rotation_of_vector(np.array([0.1, 0.7, 0.2])), [[0.3], [0], [-3]]], 1
    )
    centre = np.array([0.1, -0.2, 0.05])
    turned = quarter_turns(pose, centre)
    assert turned.shape == (9, 3, 4)
    np.testing.assert_allclose(turned @ [*centre, 1], np.tile(pose @ [*centre, 1], (9, 1)))
