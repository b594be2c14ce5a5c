"""Made-up things are closed, in the canonical frame, of several kinds, colours and sizes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from scenelift.training.scenes.decimation import decimated
from scenelift.training.scenes.families import FAMILIES, PREFIX, made_up
from scenelift.training.scenes.solids import ball, block, canonical, placed, tube
from scenelift.training.scenes.weights import share_of_models


@pytest.fixture(scope="module")
def some():
    return list(made_up(3))


def edges_of(surface, digits=5):
    """Count how often each edge between welded corners is used."""
    _, weld = np.unique(surface.vertices.round(digits), axis=0, return_inverse=True)
    faces = weld.reshape(-1)[surface.faces]
    faces = faces[
        (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    ]
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(pairs, 1), axis=0, return_counts=True)[1]


def test_every_family_has_as_many_of_its_label(some):
    assert Counter(m.label for m in some) == {family.label: 3 for family in FAMILIES}
    assert len({m.entry.id for m in some}) == len(some)
    assert all(m.entry.id.startswith(PREFIX) and m.split == "train" for m in some)


def test_they_fill_the_cube_and_have_their_sizes(some):
    metres = {family.label: family.metres for family in FAMILIES}
    for model in some:
        low, high = model.surface.vertices.min(0), model.surface.vertices.max(0)
        np.testing.assert_allclose((high - low).max(), 1, atol=1e-5)
        np.testing.assert_allclose(high + low, 0, atol=1e-5)
        size = np.array(model.entry.size)
        np.testing.assert_allclose(size / size.max(), high - low, atol=1e-5)
        assert metres[model.label][0] <= size.max() <= metres[model.label][1]
        assert 100 < len(model.surface.faces) < 6000


def test_their_surfaces_are_closed(some):
    for model in some:
        open_edges = (edges_of(model.surface) % 2).mean()
        assert open_edges < 0.003, model.entry.id  # where corners of two parts meet by chance


def test_most_are_in_several_colours(some):
    several = [len(np.unique(m.surface.face_color, axis=0)) > 1 for m in some]
    assert np.mean(several) > 0.85


def test_normals_are_unit_and_across_their_faces(some):
    for surface in (model.surface for model in some):
        a, b, c = (surface.vertices[surface.faces[:, k]].astype(float) for k in range(3))
        flat = np.cross(b - a, c - a)
        area = np.linalg.norm(flat, axis=1)
        there = area > 1e-7
        smooth = surface.normals[surface.faces].mean(1)
        cosine = np.abs((flat * smooth).sum(1)[there] / area[there])
        assert np.average(cosine, weights=area[there]) > 0.85


def test_each_is_another_and_the_same_again(some):
    assert len({m.surface.vertices.tobytes() for m in some}) == len(some)
    for again, model in zip(made_up(1), some, strict=False):
        assert again.entry == model.entry
        np.testing.assert_array_equal(again.surface.vertices, model.surface.vertices)


def test_blocks_tubes_and_balls_are_where_they_are_asked_for():
    brick = block((2, 1, 4), (1, 0, 0), (5, 1, 0), round=0.5)
    np.testing.assert_allclose(brick.vertices.min(0), (4, 1, -2), atol=1e-6)
    np.testing.assert_allclose(brick.vertices.max(0), (6, 2, 2), atol=1e-6)
    narrow = block((2, 1, 4), (1, 0, 0), taper=(0.5, 0.25))
    top = narrow.vertices[narrow.vertices[:, 1] > 0.99]
    np.testing.assert_allclose(np.ptp(top, axis=0)[[0, 2]], (0.95, 0.975), atol=0.03)
    rod = tube([(0, 0, 0), (0, 3, 0)], (0.5, 0.5), (0, 1, 0))
    np.testing.assert_allclose(np.ptp(rod.vertices, axis=0), (1, 3, 1), atol=1e-6)
    tipped = placed(rod, (0, 0, 0), axis="x", degrees=90)
    np.testing.assert_allclose(tipped.vertices[:, 2].max(), 3, atol=1e-6)
    for closed in (brick, rod, ball((1, 2, 3), (0, 0, 1))):
        assert (edges_of(closed) == 2).all()


def test_smaller_surfaces_keep_shape_and_colours():
    halves = np.zeros((40, 60, 3))
    halves[20:] = 1
    fine = ball((1, 2, 1), halves, around=60, rows=40)
    coarse = decimated(fine, 600)
    assert 400 < len(coarse.faces) <= 600
    middle = coarse.vertices[coarse.faces].mean(1)[:, 1]
    upper = coarse.face_color[:, 0] > 0.5
    assert upper[middle > 0.2].all()
    assert not upper[middle < -0.2].any()
    np.testing.assert_allclose(canonical(coarse)[1], canonical(fine)[1], atol=0.02)
    assert decimated(coarse, 600) is coarse


def test_they_are_shown_less_often_than_scans_and_furniture(some):
    names = ("ycb#1", "people#anny/1-sits", "eTeks#chair", "family#car/0")
    models = [replace(some[0], entry=replace(some[0].entry, id=name)) for name in names]
    shares = share_of_models(models)
    assert list(np.argsort(-shares)) == [0, 2, 1, 3]
