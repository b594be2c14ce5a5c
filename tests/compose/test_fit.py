"""A shape without a pose is put where it was seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scenelift.compose.fit import fit_pose
from scenelift.errors import ReconstructionError
from scenelift.geometry.transforms import (
    matrix_from_quaternion,
    transform_points,
)
from scenelift.types import Instance, Mesh, Pose, Shape


def turned(shape: Shape, rotation) -> Shape:
    assert shape.mesh is not None
    return Shape(
        mesh=Mesh(
            vertices=(shape.mesh.vertices @ rotation.T).astype(np.float32),
            faces=shape.mesh.faces,
            colors=shape.mesh.colors,
        )
    )


def angle(a, b) -> float:
    """Degrees between two rotation matrices."""
    return float(np.degrees(np.arccos(np.clip((np.trace(a @ b.T) - 1) / 2, -1, 1))))


def pose(yaw: float, pitch: float, translation, scale: float) -> Pose:
    """A chair turned about its own axis, seen from above."""
    y, p = np.radians(yaw) / 2, np.radians(pitch) / 2
    q = (
        np.cos(y) * np.cos(p),
        np.cos(y) * np.sin(p),
        np.sin(y) * np.cos(p),
        -np.sin(y) * np.sin(p),
    )
    q = np.array(q) * (1 if q[0] >= 0 else -1)
    return Pose(rotation=tuple(q.tolist()), translation=translation, scale=scale)


@pytest.mark.parametrize(("yaw", "up"), [(35, (0, 1, 0)), (200, (0, 1, 0)), (-70, None)])
def test_the_pose_of_a_chair_is_found_whichever_way_it_faces(chair, photograph, yaw, up):
    true = pose(yaw, 20, (0.3, -0.2, -3.0), 1.1)
    seen = photograph([(chair, true)])
    # Where the way up is not known, the shape's own frame may be turned anyhow.
    offset = np.eye(3) if up else matrix_from_quaternion((0.3, -0.7, 0.2, 0.6))
    found = fit_pose(turned(chair, offset), seen.view(0), up=up)
    rotation = matrix_from_quaternion(found.pose.rotation) @ offset
    # Two degrees move the edge of an object of 50 pixels by less than a pixel.
    assert angle(rotation, matrix_from_quaternion(true.rotation)) < 4
    assert found.pose.scale == pytest.approx(true.scale, rel=0.05)
    np.testing.assert_allclose(found.pose.translation, true.translation, atol=0.06)
    assert found.confidence > 0.5


def test_what_another_object_hides_is_not_missed(chair, crate, photograph):
    true = pose(30, 15, (0.0, 0.0, -3.0), 1.2)
    crate_pose = Pose(translation=(0.15, -0.35, -2.2), scale=0.5)
    seen = photograph([(chair, true), (crate, crate_pose)])
    alone = photograph([(chair, true)])
    assert seen.instances[0].mask.sum() < 0.8 * alone.instances[0].mask.sum()
    found = fit_pose(chair, seen.view(0))
    assert (
        angle(matrix_from_quaternion(found.pose.rotation), matrix_from_quaternion(true.rotation))
        < 6
    )
    assert found.pose.scale == pytest.approx(true.scale, rel=0.08)


def test_a_cube_that_could_face_anywhere_is_placed_with_its_corners_right(crate, photograph):
    true = pose(30, 20, (0.1, 0.0, -4.0), 1.0)
    seen = photograph([(crate, true)])
    found = fit_pose(crate, seen.view(0)).pose

    def corners(of):
        r = matrix_from_quaternion(of.rotation) * of.scale
        return transform_points(crate.mesh.vertices, np.block([[r, np.array([of.translation]).T]]))

    gaps = np.linalg.norm(corners(found)[:, None] - corners(true)[None], axis=-1)
    assert gaps.min(1).max() < 0.08


def test_without_depth_the_rotation_is_still_found(chair, photograph):
    true = pose(35, 20, (0.0, 0.0, -3.0), 1.1)
    seen = photograph([(chair, true)])
    seen.points.points[...] = np.nan
    found = fit_pose(chair, seen.view(0))
    assert (
        angle(matrix_from_quaternion(found.pose.rotation), matrix_from_quaternion(true.rotation))
        < 10
    )
    assert "distance is a guess" in found.notes[0]


def test_the_same_seed_gives_the_same_pose(chair, photograph):
    seen = photograph([(chair, pose(10, 20, (0.0, 0.0, -3.0), 1.0))])
    poses = [fit_pose(chair, seen.view(0), seed=3).pose for _ in range(2)]
    assert poses[0] == poses[1]


def test_a_mask_of_a_few_pixels_is_refused(chair, photograph):
    seen = photograph([(chair, pose(0, 0, (0.0, 0.0, -3.0), 1.0))])
    mask = np.zeros_like(seen.instances[0].mask)
    mask[5, 5:9] = True
    tiny = Instance(mask=mask, label="chair", score=1.0, box=Instance.box_of(mask))
    with pytest.raises(ReconstructionError, match="4 pixels"):
        fit_pose(chair, replace(seen.view(0), instance=tiny))
