"""Vessels stand in the canonical frame, are hollow where they are open, and train, never judge."""

from __future__ import annotations

import numpy as np
import pytest

from scenelift.training.scenes import clutter, props
from scenelift.training.scenes.catalogue import Entry
from scenelift.training.scenes.generate import SceneMaker
from scenelift.training.scenes.pack import MeshPack, Model
from scenelift.training.scenes.vessels import KINDS, PREFIX, vessels
from scenelift.training.scenes.volumes import volume_of


@pytest.fixture(scope="module")
def some():
    return list(vessels(4 * len(KINDS)))


def test_they_fill_the_cube_that_models_are_in(some):
    for model in some:
        low, high = model.surface.vertices.min(0), model.surface.vertices.max(0)
        np.testing.assert_allclose((high - low).max(), 1, atol=1e-5)
        np.testing.assert_allclose(high + low, 0, atol=1e-5)
        size = np.array(model.entry.size)
        np.testing.assert_allclose(size / size.max(), high - low, atol=1e-5)


def test_each_is_another_and_the_same_again(some):
    assert len({m.surface.vertices.tobytes() for m in some}) == len(some)
    again = next(iter(vessels(1)))
    np.testing.assert_array_equal(again.surface.vertices, some[0].surface.vertices)


def test_normals_are_unit_and_across_their_faces(some):
    for surface in (model.surface for model in some):
        a, b, c = (surface.vertices[surface.faces[:, k]].astype(float) for k in range(3))
        flat = np.cross(b - a, c - a)
        area = np.linalg.norm(flat, axis=1)
        there = area > 1e-8  # a lid's middle is one point
        smooth = surface.normals[surface.faces].mean(1)
        cosine = np.abs((flat * smooth).sum(1)[there] / area[there])
        assert np.median(cosine) > 0.95


def test_open_ones_are_hollow_and_closed_ones_are_not(some):
    goblets = [m for m in some if m.entry.name == "Goblet"]
    jars = [m for m in some if m.entry.name == "Jar"]
    assert goblets
    assert jars
    for goblet in goblets:
        column = volume_of(goblet.surface)[32, :, 32]
        assert column[:4].all()  # the foot
        assert not column[-8:].any()  # the bowl
    for jar in jars:
        side = np.ptp(jar.surface.vertices[:, 1]) * 64
        assert volume_of(jar.surface).sum(1).max() >= side - 3


def one_of(split: str, number: int) -> Model:
    entry = Entry(
        id=f"{split}{number}", name="Box", author="nobody", licence="CC0-1.0",
        size=(0.5, 0.5, 0.5), rotation=None, top=None, archive=None, path="",
    )  # fmt: skip
    surface = props.box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5))
    return Model(entry=entry, label="", split=split, surface=surface)


@pytest.mark.parametrize(("split", "shown"), [("train", True), ("val", False)])
def test_only_training_shows_them(some, split, shown):
    pack = MeshPack((one_of("train", 0), one_of("val", 1), *some))
    maker = SceneMaker(pack, split, (96, 64))
    models = {int(k) for seed in range(6) for k in maker.scene((2, seed)).model}
    assert any(pack.models[k].entry.id.startswith(PREFIX) for k in models) == shown


def test_painted_models_have_plain_bands_once_over(monkeypatch):
    surface = props.box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5))
    rng = np.random.default_rng(0)
    monkeypatch.setattr(clutter, "PAINTED", 1.0)
    painted = clutter.restyled(surface, [], rng, painted=True)
    (texture,) = painted.textures
    assert 2 <= len(np.unique(texture.reshape(-1, 3), axis=0)) <= 4
    assert painted.uv.min() == 0
    assert painted.uv.max() == 1
    assert (texture == texture[:, :1]).all()


def test_what_is_kept_out_is_never_painted(monkeypatch):
    surface = props.box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5), texture=np.zeros((4, 4, 3), np.uint8))
    monkeypatch.setattr(clutter, "PAINTED", 1.0)
    grey = np.full((8, 8, 3), 90, np.uint8)
    rng = np.random.default_rng(0)
    looks = [clutter.restyled(surface, [grey], rng, painted=False) for _ in range(40)]
    assert all(len(np.unique(look.textures[0])) == 1 for look in looks)
