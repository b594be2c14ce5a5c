"""An object that a network saw with its own camera is seen the same with the scene's camera."""

from dataclasses import replace

import numpy as np
import pytest

from scenelift.geometry.transforms import pose_matrix, transform_points
from scenelift.options import ReconstructionOptions
from scenelift.reconstruct import sam3d
from scenelift.reconstruct.conditioning import conditioning_points, pose_for_camera
from scenelift.reconstruct.sam3d import SAM3DReconstructor
from scenelift.types import Camera, Image, Instance, ObjectView, PointMap, Pose

OWN = Camera(fx=200, fy=200, cx=80, cy=60, width=160, height=120)
SCENE = replace(OWN, fx=120, fy=120)
MASK = np.zeros((120, 160), bool)
MASK[40:80, 20:60] = True
POSE = Pose(rotation=(0.5, 0.5, 0.5, 0.5), translation=(-0.4, 0.1, -2.0), scale=0.2)


def points(offset=0.5):
    depth = np.full((120, 160), 2.0)
    return PointMap(
        points=SCENE.unproject(depth + offset),
        camera=SCENE,
        network_points=OWN.unproject(depth),
        network_camera=OWN,
    )


def outline(pose, camera):
    """Pixels of a cube's corners."""
    corners = np.array(np.meshgrid([-0.5, 0.5], [-0.5, 0.5], [-0.5, 0.5])).reshape(3, -1).T
    return camera.project(transform_points(corners, pose_matrix(pose)))


def test_it_covers_the_same_pixels_at_the_scenes_depth():
    pose = pose_for_camera(POSE, MASK, points())
    assert -pose.translation[2] == pytest.approx(2.5)
    before, after = outline(POSE, OWN), outline(pose, SCENE)
    # Perspective differs by the object's own depth, a twentieth of its distance.
    np.testing.assert_allclose(after, before, atol=1.5)
    assert np.ptp(after, axis=0) == pytest.approx(np.ptp(before, axis=0), rel=0.08)


def test_the_same_camera_and_depth_change_nothing():
    same = replace(points(0.0), camera=OWN, points=OWN.unproject(np.full((120, 160), 2.0)))
    pose = pose_for_camera(POSE, MASK, same)
    assert pose.translation == pytest.approx(POSE.translation)
    assert pose.rotation == pytest.approx(POSE.rotation)
    assert pose.scale == pytest.approx(POSE.scale)


def test_without_a_network_camera_the_pose_is_the_scenes_already():
    plain = PointMap(points=points().points, camera=SCENE)
    assert pose_for_camera(POSE, MASK, plain) is POSE
    assert conditioning_points(plain) is plain.points
    assert conditioning_points(points()).shape == (120, 160, 3)


def test_a_mask_without_points_keeps_the_depth():
    pose = pose_for_camera(POSE, ~np.ones((120, 160), bool), points())
    assert -pose.translation[2] == pytest.approx(2.0)


def test_own_points_come_with_their_camera():
    with pytest.raises(ValueError, match="come together"):
        PointMap(points=points().points, camera=SCENE, network_camera=OWN)


def test_sam3d_sees_the_networks_own_points(tiny_checkpoints):
    options = ReconstructionOptions(weights=tiny_checkpoints, device="cpu")
    reconstructor = SAM3DReconstructor.load(options)
    image = Image(pixels=np.zeros((120, 160, 3), np.uint8))
    instance = Instance(mask=MASK, label="x", score=1.0, box=Instance.box_of(MASK))
    both = points()
    own = PointMap(points=both.network_points, camera=OWN)

    def condition(points):
        reconstructor.begin(image, points)
        view = ObjectView(image=image, instance=instance, points=points)
        return view, reconstructor._inputs(view).points

    (view, seen), (_, expected) = condition(both), condition(own)
    np.testing.assert_array_equal(seen.crop, expected.crop)
    np.testing.assert_array_equal(seen.shift, expected.shift)
    assert "focal length of 200 pixels" in sam3d._notes_on(view)[0]
