"""Transforms obey the laws of the groups they belong to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scenelift.geometry.transforms import (
    compose_transform,
    matrix_from_quaternion,
    multiply_quaternions,
    pose_from_matrix,
    pose_matrix,
    quaternion_from_matrix,
    transform_gaussians,
    transform_points,
)
from scenelift.types import Gaussians, Pose

unit = st.floats(-1, 1, allow_subnormal=False)
quaternions = (
    st.tuples(unit, unit, unit, unit)
    .filter(lambda q: sum(c * c for c in q) > 1e-4)
    .map(lambda q: np.array(q) / np.linalg.norm(q))
)
translations = arrays(np.float64, 3, elements=st.floats(-100, 100))
scales = st.floats(0.01, 100)
clouds = arrays(np.float64, (5, 3), elements=st.floats(-10, 10))
laws = settings(deadline=None, max_examples=200)


@laws
@given(quaternions)
def test_matrices_of_quaternions_are_rotations(q):
    r = matrix_from_quaternion(q)
    np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(r) == pytest.approx(1)


@laws
@given(quaternions)
def test_quaternion_and_matrix_are_inverse_up_to_sign(q):
    back = quaternion_from_matrix(matrix_from_quaternion(q))
    assert back[0] >= 0
    # 1e-7: the square root in the conversion halves the digits where a component is near 0.
    np.testing.assert_allclose(matrix_from_quaternion(back), matrix_from_quaternion(q), atol=1e-7)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_turns_are_not_special(axis):
    q = np.zeros(4)
    q[axis + 1] = 1.0
    np.testing.assert_allclose(
        abs(quaternion_from_matrix(matrix_from_quaternion(q))), q, atol=1e-12
    )


@laws
@given(quaternions, quaternions)
def test_products_of_quaternions_are_products_of_matrices(a, b):
    np.testing.assert_allclose(
        matrix_from_quaternion(multiply_quaternions(a, b)),
        matrix_from_quaternion(a) @ matrix_from_quaternion(b),
        atol=1e-12,
    )


@laws
@given(quaternions, translations, scales, clouds)
def test_composed_transform_scales_then_rotates_then_translates(q, t, s, points):
    expected = (s * points) @ matrix_from_quaternion(q).T + t
    actual = transform_points(points, compose_transform(s, q, t))
    np.testing.assert_allclose(actual, expected, atol=1e-9 * (1 + s * 10))


@laws
@given(quaternions, translations, scales, quaternions, translations, scales, clouds)
def test_transforms_compose_as_their_matrices(qa, ta, sa, qb, tb, sb, points):
    a, b = compose_transform(sa, qa, ta), compose_transform(sb, qb, tb)
    np.testing.assert_allclose(
        transform_points(transform_points(points, b), a),
        transform_points(points, a @ b),
        rtol=1e-9,
        atol=1e-6,
    )


@laws
@given(quaternions, translations, scales, clouds)
def test_the_inverse_matrix_undoes_a_transform(q, t, s, points):
    m = compose_transform(s, q, t)
    back = transform_points(transform_points(points, m), np.linalg.inv(m))
    np.testing.assert_allclose(back, points, atol=1e-6)


@laws
@given(quaternions, translations, scales)
def test_pose_and_matrix_are_inverse(q, t, s):
    w, x, y, z = (q if q[0] >= 0 else -q).tolist()
    pose = Pose(rotation=(w, x, y, z), translation=tuple(t.tolist()), scale=s)
    np.testing.assert_allclose(
        pose_matrix(pose_from_matrix(pose_matrix(pose))), pose_matrix(pose), atol=1e-6 * (1 + s)
    )


@pytest.mark.parametrize(
    "matrix",
    [np.diag([1.0, 2.0, 1.0, 1.0]), np.diag([-1.0, 1.0, 1.0, 1.0]), np.zeros((4, 4))],
    ids=["stretched", "mirrored", "flat"],
)
def test_only_similarities_are_poses(matrix):
    with pytest.raises(ValueError, match="not a similarity"):
        pose_from_matrix(matrix)


@laws
@given(quaternions, quaternions, scales)
def test_a_pose_moves_the_covariance_of_gaussians_with_their_means(q, own, s):
    """R (s² Σ) Rᵀ is the covariance of the transformed points."""
    w, x, y, z = (q if q[0] >= 0 else -q).tolist()
    gaussian = Gaussians(
        means=np.array([[0.1, 0.2, 0.3]], np.float32),
        scales=np.array([[0.1, 0.2, 0.4]], np.float32),
        rotations=own[None].astype(np.float32),
        opacities=np.ones(1, np.float32),
        sh0=np.zeros((1, 3), np.float32),
    )
    moved = transform_gaussians(gaussian, Pose(rotation=(w, x, y, z), scale=s))

    def covariance(g: Gaussians):
        axes = matrix_from_quaternion(g.rotations[0]) * g.scales[0]
        return axes @ axes.T

    r = matrix_from_quaternion(q)
    np.testing.assert_allclose(
        covariance(moved), s * s * r @ covariance(gaussian) @ r.T, atol=1e-5 * s * s
    )
