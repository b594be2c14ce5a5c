"""What stands is where points and ground agree that it is, and neither alone decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scenelift.compose.layout import lay_out
from scenelift.geometry.transforms import pose_matrix, transform_points
from scenelift.options import LayoutOptions
from scenelift.types import PointMap, Pose, SceneObject, Shape

GROUND = -0.8
REPAIRED = LayoutOptions(refine=False)


def on_the_ground(x: float, z: float, scale: float) -> Pose:
    return Pose(translation=(x, GROUND + scale / 2, z), scale=scale)


def foot(shape: Shape, pose: Pose) -> float:
    assert shape.mesh is not None
    return float(transform_points(shape.mesh.vertices, pose_matrix(pose))[:, 1].min())


def stretched(photo, factor: float) -> PointMap:
    """The points with everything but the objects that much farther away."""
    points = photo.points.points.copy()
    objects = np.any([i.mask for i in photo.instances], axis=0)
    points[~objects] *= factor
    return replace(photo.points, points=points)


def laid(photo, placed, points=None):
    objects = [
        SceneObject(index=k, instance=photo.instances[k], shape=shape, pose=pose)
        for k, (shape, pose) in enumerate(placed)
    ]
    return lay_out(objects, photo.image, points or photo.points, REPAIRED).placements


@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_points_and_ground_share_the_say_about_the_distance(crate, photograph, factor):
    true = on_the_ground(0.1, -3.0, 0.6)
    photo = photograph([(crate, true)], ground=GROUND)
    (after,) = laid(photo, [(crate, true)], stretched(photo, factor))
    moved = after.pose.translation[2] / true.translation[2]
    # Sliding until the foot meets the ground would be all of `factor`; a crate a fifth as wide
    # as it is far away goes half of the way to the likeliest distance.
    assert 0.05 < (moved - 1) / (factor - 1) < 0.6
    assert foot(crate, after.pose) == pytest.approx(factor * GROUND, abs=0.01)
    assert after.quality["mask_iou"] > 0.9


def test_an_object_slides_with_what_it_stands_on(crate, photograph):
    low = on_the_ground(0.0, -3.0, 0.6)
    high = Pose(translation=(0, GROUND + 0.75, -3.0), scale=0.3)
    photo = photograph([(crate, low), (crate, high)], ground=GROUND)
    under, upper = laid(photo, [(crate, low), (crate, high)], stretched(photo, 1.06))
    farther = [p.pose.translation[2] / -3.0 - 1 for p in (under, upper)]
    assert farther[0] > 0.004
    # A pixel of the photo is 0.006 of the distance: a silhouette tells places to half of one.
    assert farther[1] == pytest.approx(farther[0], abs=0.003)


def test_a_shape_unlike_its_mask_is_not_made_to_stand(crate, chair, photograph):
    pose = on_the_ground(0.0, -3.0, 1.0)
    photo = photograph([(chair, pose)], ground=GROUND)
    floating = replace(pose, translation=(0.0, pose.translation[1] + 0.1, -3.0))
    (after,) = laid(photo, [(crate, floating)])
    np.testing.assert_allclose(pose_matrix(after.pose), pose_matrix(floating), atol=1e-9)
