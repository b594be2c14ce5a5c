"""What training saw is found again in its mean and in its nearest model, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from benchmarks.quality import from_training
from benchmarks.quality.baselines import BoxReconstructor, InflatedReconstructor
from benchmarks.quality.from_training import (
    MeanReconstructor,
    NearestReconstructor,
    TrainingVolumes,
    mean_shape,
)
from benchmarks.quality.reconstructing import measure_reconstructor
from benchmarks.synthetic import load_or_make_validation, scenes, validation
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.errors import InputError
from scenelift.training.scenes.catalogue import catalogue
from scenelift.training.scenes.meshes import load_entry
from scenelift.training.scenes.plans import PLANS
from scenelift.training.scenes.volumes import GRID, volume_of

KITCHEN = next(k for k, plan in enumerate(PLANS) if plan.name == "kitchen")


def known(**volumes):
    packed = np.stack([np.packbits(volume) for volume in volumes.values()])
    return TrainingVolumes(ids=tuple(volumes), packed=packed)


def ball(radius):
    axis = (np.arange(GRID) + 0.5) / GRID - 0.5
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    return x**2 + y**2 + z**2 < radius**2


@pytest.fixture
def scene(models):
    return scenes.make_scene(0, KITCHEN, width=128, height=96, samples=1)


def test_the_mean_of_balls_is_a_closed_ball_of_the_mean_volume():
    radii = (0.29, 0.30, 0.31)
    volumes = known(small=ball(radii[0]), middle=ball(radii[1]), large=ball(radii[2]))
    mesh = mean_shape(volumes.mean())
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces)
    assert solid.is_watertight
    # Where only four values occur, the level is one of the balls, 10 % apart in volume.
    assert solid.volume == pytest.approx(np.mean([ball(r).mean() for r in radii]), rel=0.12)
    assert np.abs(mesh.vertices.mean(0)).max() < 1 / GRID


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_nearest_volume_is_the_one_of_the_largest_iou(seed):
    rng = np.random.default_rng(seed)
    drawn = {f"{k}": rng.random((GRID,) * 3) < rng.uniform(0.05, 0.9) for k in range(4)}
    asked = rng.random((GRID,) * 3) < 0.5
    ious = {name: (v & asked).sum() / (v | asked).sum() for name, v in drawn.items()}
    assert known(**drawn).nearest(asked) == max(ious, key=lambda name: ious[name])


def test_a_truth_that_training_saw_is_retrieved_and_its_mean_is_not_it(scene):
    entries = {entry.id: load_entry(entry) for entry in catalogue()}
    volumes = known(**{name: volume_of(surface) for name, surface in entries.items() if surface})
    oracle, mean, inflated, box = (
        measure_reconstructor(backend, [scene], [scene.points], condition="", seed=0)
        for backend in (
            NearestReconstructor(volumes, [scene]),
            MeanReconstructor(volumes, [scene]),
            InflatedReconstructor(),
            BoxReconstructor(),
        )
    )
    for row, picture, failures in (oracle, mean, inflated, box):
        assert failures == []
        assert picture is None
        assert row.figures["ADD-S@.1"] > 0
    assert oracle[0].figures["F1@.02"] > 0.999
    assert mean[0].figures["F1@.02"] < 0.8


def test_volumes_are_made_once_and_read_the_second_time(models, monkeypatch):
    monkeypatch.setattr(
        "scenelift.training.scenes.sources.split_of",
        lambda entry: "test" if "chair" in entry.id else "train",
    )
    made = TrainingVolumes.load_or_make()
    assert set(made.ids) == {"Test#refrigerator", "Test#cabinet"}
    monkeypatch.setattr(from_training, "training_models", None)
    again = TrainingVolumes.load_or_make()
    assert again.ids == made.ids
    assert (again.packed == made.packed).all()


def test_validation_photos_show_only_models_that_watch_training(models, monkeypatch):
    monkeypatch.setattr("scenelift.training.scenes.sources.split_of", lambda entry: "train")
    validation._maker.cache_clear()
    with pytest.raises(InputError, match="no model of the split 'val'"):
        load_or_make_validation("small")
