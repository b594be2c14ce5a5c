"""Poses keep their meaning on the way from the published conventions to ours."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scenelift.geometry.transforms import (
    matrix_from_quaternion,
    pose_matrix,
    quaternion_from_matrix,
    transform_gaussians,
    transform_points,
)
from scenelift.models.sam3d.make_scene import make_scene, normalised_for_viewing
from scenelift.models.sam3d.pose import (
    CAMERA_FROM_PYTORCH3D,
    PublishedPose,
    decode_pose,
    encode_pose,
    scene_pose,
)
from scenelift.models.sam3d.structure_flow import StructureLatents
from scenelift.models.slat.frame import OBJECT_FROM_ZUP
from scenelift.types import Gaussians, Pose

numbers = st.floats(-2, 2)
quaternions = (
    st.tuples(numbers, numbers, numbers, numbers)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: np.array(q) / np.linalg.norm(q))
)
poses = st.builds(
    lambda q, t, s: PublishedPose(rotation=q, translation=np.array(t), scale=np.full(3, s)),
    quaternions,
    st.tuples(numbers, numbers, numbers),
    st.floats(0.1, 3),
)


def splats(count: int, seed: int) -> Gaussians:
    rng = np.random.default_rng(seed)
    rotations = rng.normal(size=(count, 4))
    rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
    return Gaussians(
        means=rng.uniform(-0.5, 0.5, (count, 3)).astype(np.float32),
        scales=rng.uniform(0.01, 0.1, (count, 3)).astype(np.float32),
        rotations=rotations.astype(np.float32),
        opacities=rng.uniform(0, 1, count).astype(np.float32),
        sh0=rng.normal(size=(count, 3)).astype(np.float32),
    )


@given(pose=poses, size=st.floats(0.2, 5), shift=st.tuples(numbers, numbers, numbers))
def test_the_latents_of_a_pose_decode_to_it(pose, size, shift):
    there, scene_shift = scene_pose(pose), torch.tensor(shift, dtype=torch.float64)
    scene_scale = torch.full((3,), size, dtype=torch.float64)
    rotation, scale, translation = (
        torch.from_numpy(part) for part in encode_pose(there, scene_scale, scene_shift)
    )
    latents = StructureLatents(
        rotation=rotation,
        scale=scale,
        shape=torch.zeros(1),
        translation=translation,
        translation_scale=torch.zeros(1),
    )
    back = scene_pose(decode_pose(latents, scene_scale, scene_shift))
    np.testing.assert_allclose(pose_matrix(back), pose_matrix(there), atol=1e-9)


@given(pose=poses, point=st.tuples(numbers, numbers, numbers))
def test_both_conventions_put_a_point_in_the_same_place(pose, point):
    published = CAMERA_FROM_PYTORCH3D @ pose.apply(point)
    ours = transform_points(OBJECT_FROM_ZUP @ np.array(point), pose_matrix(scene_pose(pose)))
    np.testing.assert_allclose(ours, published, atol=1e-9)


def test_frames_are_rotations():
    for matrix in (OBJECT_FROM_ZUP, CAMERA_FROM_PYTORCH3D):
        np.testing.assert_array_equal(matrix @ matrix.T, np.eye(3))
        assert np.linalg.det(matrix) == pytest.approx(1)


def test_an_upright_object_stays_upright():
    # Published: turns the object's z (up) into the camera's y (up), as row vectors do.
    row_rotation = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    pose = PublishedPose(
        rotation=quaternion_from_matrix(row_rotation), translation=np.zeros(3), scale=np.ones(3)
    )
    np.testing.assert_allclose(pose.apply([0, 0, 1]), [0, 1, 0], atol=1e-12)
    ours = matrix_from_quaternion(scene_pose(pose).rotation)
    np.testing.assert_allclose(ours @ [0, 1, 0], [0, 1, 0], atol=1e-12)


@given(pose=poses, seed=st.integers(0, 100))
def test_splats_turn_with_their_object(pose, seed):
    published = make_scene([(splats(3, seed), pose)]).gaussians
    upright = transform_gaussians(
        splats(3, seed), Pose(rotation=tuple(quaternion_from_matrix(OBJECT_FROM_ZUP).tolist()))
    )
    ours = transform_gaussians(upright, scene_pose(pose))
    np.testing.assert_allclose(ours.means, published.means @ CAMERA_FROM_PYTORCH3D, atol=1e-5)
    for i in range(3):
        # Covariances, as a quaternion's sign and the order of equal axes mean nothing.
        a, b = (
            matrix_from_quaternion(g.rotations[i]) * g.scales[i].astype(float)
            for g in (ours, published)
        )
        expected = CAMERA_FROM_PYTORCH3D @ b @ b.T @ CAMERA_FROM_PYTORCH3D
        np.testing.assert_allclose(a @ a.T, expected, rtol=1e-3, atol=1e-6)


def latents(rotation=None, scale=0.0, translation=(0.0, 0.0, 0.0)) -> StructureLatents:
    return StructureLatents(
        rotation=torch.tensor(rotation or [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).reshape(1, 1, 6),
        scale=torch.full((1, 1, 3), scale),
        shape=torch.zeros(1, 8, 8),
        translation=torch.tensor(translation).reshape(1, 1, 3),
        translation_scale=torch.zeros(1, 1, 1),
    )


def test_scale_and_translation_undo_the_normalisation_of_the_points():
    S, T = torch.full((3,), 0.5), torch.tensor([1.0, 2.0, 3.0])
    pose = decode_pose(latents(scale=-1.0, translation=(0.2, 0.4, 0.6)), S, T)
    np.testing.assert_allclose(pose.scale, 0.5 * np.exp(-1.0))
    np.testing.assert_allclose(pose.translation, [1.1, 2.2, 3.3], rtol=1e-6)
    assert pose.rotation[0] >= 0
    assert np.linalg.norm(pose.rotation) == pytest.approx(1)


def test_a_coarser_grid_makes_the_object_larger():
    S, T = torch.ones(3), torch.zeros(3)
    once, twice = (decode_pose(latents(), S, T, factor=f) for f in (1, 2))
    np.testing.assert_allclose(twice.scale, 2 * once.scale)
    np.testing.assert_array_equal(twice.translation, once.translation)


def test_the_known_run_of_the_published_weights_is_reproduced():
    # Figures of a public run with the real weights: scene scale, latents, and resulting pose.
    S, T = torch.full((3,), 0.5475899), torch.tensor([-0.3599544, -0.13734, 1.8636423])
    pose = decode_pose(latents(scale=-1.0, translation=(0.00458, 0.0319, 0.0)), S, T)
    assert pose.scale[0] == pytest.approx(0.20143, abs=2e-4)
    assert pose.translation[:2] == pytest.approx([-0.357444, -0.119873], abs=1e-5)


def test_normalising_for_viewing_centres_the_opaque_splats():
    pose = PublishedPose(
        rotation=np.array([1.0, 0, 0, 0]), translation=np.array([3.0, 1, 2]), scale=np.full(3, 2.0)
    )
    scene = make_scene([(splats(200, 0), pose)])
    viewed = normalised_for_viewing(scene)
    opaque = viewed.gaussians.means[viewed.gaussians.opacities > 0.9]
    low, high = opaque.min(0), opaque.max(0)
    np.testing.assert_allclose(low + high, 0, atol=1e-5)
    assert (high - low).max() == pytest.approx(1, abs=1e-5)


def test_a_scene_without_opaque_splats_cannot_be_normalised():
    faint = splats(3, 0)
    pose = PublishedPose(
        rotation=np.array([1.0, 0, 0, 0]), translation=np.zeros(3), scale=np.ones(3)
    )
    faint.opacities[:] = 0.5
    with pytest.raises(ValueError, match="no splat of opacity"):
        normalised_for_viewing(make_scene([(faint, pose)]))
