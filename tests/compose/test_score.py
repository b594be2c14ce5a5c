"""Of several tries the one that explains the photo is kept."""

from __future__ import annotations

import numpy as np
import pytest

from scenelift.compose.score import best_of
from scenelift.compose.surfels import surfels_of
from scenelift.errors import ReconstructionError
from scenelift.pipeline import Pipeline
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    ball_shape,
    disc_photo,
)
from scenelift.types import Mesh, Pose, Reconstruction, Shape


def test_a_chair_looks_more_like_a_chair_than_a_crate_does(chair, crate, photograph):
    true = Pose(translation=(0.1, 0.0, -3.0), scale=1.0)
    photo = photograph([(chair, true)])
    tries = [
        Reconstruction(shape=Shape(), pose=true),
        Reconstruction(shape=crate, pose=true),
        Reconstruction(shape=chair, pose=true),
    ]
    assert best_of(tries, photo.view(0)) == 2


def test_the_pipeline_tries_other_seeds_and_says_which_it_kept():
    seeds = []

    class Listening(BallReconstructor):
        def reconstruct(self, *args, seed, **options):
            seeds.append(seed)
            return super().reconstruct(*args, seed=seed, **options)

    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), Listening())
    scene = pipeline.run(disc_photo(), "red", seed=7, best_of=3)
    assert len(set(seeds)) == 3
    assert seeds[0] == 7
    (kept,) = [note for note in scene.objects[0].notes if note.startswith("The best of 3 tries")]
    assert any(f"(seed {seed})" in kept for seed in seeds)


def test_splats_alone_have_a_surface_too():
    shape = ball_shape((200, 40, 40))
    surfels = surfels_of(Shape(gaussians=shape.gaussians), 500)
    radius = np.linalg.norm(surfels.points, axis=1)
    assert len(surfels.points) > 300
    assert radius.min() > 0.4
    assert surfels.colors is not None


def test_what_is_inside_a_shape_is_no_surface_of_it(crate):
    mesh = crate.mesh
    inner = Mesh(
        vertices=np.concatenate([mesh.vertices, 0.5 * mesh.vertices]),
        faces=np.concatenate([mesh.faces, mesh.faces + len(mesh.vertices)]),
    )
    surfels = surfels_of(Shape(mesh=inner), 2000)
    assert np.abs(surfels.points).max(1).min() == pytest.approx(0.5, abs=1e-4)


def test_a_shape_of_nothing_is_refused():
    with pytest.raises(ReconstructionError, match="neither faces nor splats"):
        surfels_of(Shape())
