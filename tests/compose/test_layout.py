"""Poses that are wrong are put right, and what cannot be judged is left as it came."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scenelift.compose.layout import lay_out
from scenelift.geometry.transforms import pose_matrix, transform_points
from scenelift.options import KnownLength, LayoutOptions
from scenelift.types import Instance, Pose, SceneObject, Shape

GROUND = -0.8
YAW = (float(np.cos(0.3)), 0.0, float(np.sin(0.3)), 0.0)
REFINED = LayoutOptions(repair=False)


def standing(x: float, z: float, scale: float, half: float = 0.5) -> Pose:
    """A pose on the ground, for a shape that reaches from −half to half."""
    return Pose(rotation=YAW, translation=(x, GROUND + half * scale, z), scale=scale)


def scene_objects(photo, placed) -> list[SceneObject]:
    return [
        SceneObject(index=k, instance=photo.instances[k], shape=shape, pose=pose)
        for k, (shape, pose) in enumerate(placed)
    ]


def wrong(pose: Pose) -> Pose:
    """10° about a tilted axis, a tenth too large, and displaced."""
    half = np.radians(10) / 2
    axis = np.array([0.6, 0.64, 0.48]) * np.sin(half)
    w, x, y, z = np.cos(half), *axis
    a, b, c, d = pose.rotation
    q = np.array(
        [
            w * a - x * b - y * c - z * d,
            w * b + x * a + y * d - z * c,
            w * c - x * d + y * a + z * b,
            w * d + x * c - y * b + z * a,
        ]
    )
    px, py, pz = pose.translation
    return Pose(
        rotation=tuple((q / np.linalg.norm(q)).tolist()),
        translation=(px + 0.08, py + 0.1, pz - 0.1),
        scale=1.1 * pose.scale,
    )


def surface(shape: Shape, pose: Pose):
    assert shape.mesh is not None
    return transform_points(shape.mesh.vertices, pose_matrix(pose))


def error(shape: Shape, pose: Pose, true: Pose) -> float:
    """Mean distance between corresponding points."""
    return float(np.linalg.norm(surface(shape, pose) - surface(shape, true), axis=1).mean())


def test_a_wrong_pose_is_refined_and_a_floating_object_lands(chair, photograph):
    true = standing(0.1, -3.0, 1.0)
    photo = photograph([(chair, true)], ground=GROUND)
    objects = scene_objects(photo, [(chair, wrong(true))])
    refined = lay_out(objects, photo.image, photo.points, REFINED).placements[0]
    landed = lay_out(objects, photo.image, photo.points).placements[0]
    # Where points and first pose disagree about the distance, refinement meets them about half-way.
    assert error(chair, refined.pose, true) < 0.6 * error(chair, wrong(true), true)
    assert error(chair, landed.pose, true) < 0.05
    assert surface(chair, landed.pose)[:, 1].min() == pytest.approx(GROUND, abs=0.02)
    assert any("stand on the ground" in note for note in landed.notes)
    assert landed.quality["mask_iou"] > 0.85
    assert landed.quality["flip_margin"] > 0.1


def test_the_true_pose_is_left_where_it_is(chair, photograph):
    true = standing(0.1, -3.0, 1.0)
    photo = photograph([(chair, true)], ground=GROUND)
    laid = lay_out(scene_objects(photo, [(chair, true)]), photo.image, photo.points)
    # A pixel of the small picture is 0.02 wide there.
    assert error(chair, laid.placements[0].pose, true) < 0.03


def test_nothing_changes_where_nothing_may(chair, photograph):
    pose = wrong(standing(0.1, -3.0, 1.0))
    photo = photograph([(chair, standing(0.1, -3.0, 1.0))], ground=GROUND)
    options = LayoutOptions(refine=False, repair=False)
    laid = lay_out(scene_objects(photo, [(chair, pose)]), photo.image, photo.points, options)
    assert laid.placements[0].pose == pytest.approx(pose) or error(
        chair, laid.placements[0].pose, pose
    ) == pytest.approx(0, abs=1e-6)
    assert laid.placements[0].notes == ()


def test_a_crate_on_a_crate_stays_on_top(crate, photograph):
    low, high = standing(0.0, -3.0, 0.6), Pose(translation=(0, GROUND + 0.75, -3.0), scale=0.3)
    photo = photograph([(crate, low), (crate, high)], ground=GROUND)
    sunk = replace(high, translation=(0, GROUND + 0.72, -3.0))
    laid = lay_out(scene_objects(photo, [(crate, low), (crate, sunk)]), photo.image, photo.points)
    under, upper = (surface(crate, p.pose) for p in laid.placements)
    assert upper[:, 1].min() == pytest.approx(under[:, 1].max(), abs=0.02)
    assert any("stand on object 0" in note for note in laid.placements[1].notes)


def test_crates_that_pierce_each_other_are_taken_apart(crate, photograph):
    left, right = standing(-0.35, -3.0, 0.6), standing(0.35, -3.2, 0.6)
    photo = photograph([(crate, left), (crate, right)], ground=GROUND)
    pierced = [
        (crate, replace(left, translation=(-0.25, left.translation[1], -3.0))),
        (crate, replace(right, translation=(0.25, right.translation[1], -3.1))),
    ]
    laid = lay_out(
        scene_objects(photo, pierced), photo.image, photo.points, LayoutOptions(refine=False)
    )
    inverse = np.linalg.inv(pose_matrix(laid.placements[0].pose))
    rng = np.random.default_rng(0)
    inside = transform_points(
        transform_points(rng.uniform(-0.5, 0.5, (2000, 3)), pose_matrix(laid.placements[1].pose)),
        inverse,
    )
    # A voxel is a fortieth of a crate.
    assert (np.abs(inside) < 0.5 - 1 / 40).all(1).mean() < 0.01


def test_an_object_of_a_few_pixels_keeps_its_pose(chair, crate, photograph):
    true = standing(0.1, -3.0, 1.0)
    photo = photograph([(chair, true)], ground=GROUND)
    mask = np.zeros_like(photo.instances[0].mask)
    mask[3:6, 3:6] = True
    hidden = Instance(mask=mask, label="crate", score=0.5, box=Instance.box_of(mask))
    pose = Pose(translation=(-1.9, 1.0, -4.0), scale=0.3)
    objects = [
        *scene_objects(photo, [(chair, true)]),
        SceneObject(index=1, instance=hidden, shape=crate, pose=pose),
    ]
    laid = lay_out(objects, photo.image, photo.points, REFINED)
    np.testing.assert_allclose(pose_matrix(laid.placements[1].pose), pose_matrix(pose), atol=1e-9)
    assert "Too little of it is seen" in laid.placements[1].notes[0]


def test_an_object_entirely_occluded_stays_behind_what_hides_it(chair, crate, photograph):
    """Its mask lies on the crate in front of it: all that is seen there is the crate."""
    front, behind = standing(0.1, -3.0, 1.0), standing(0.1, -4.5, 0.6)
    photo = photograph([(crate, front)], ground=GROUND)
    mask = np.zeros_like(photo.instances[0].mask)
    rows, columns = np.nonzero(photo.instances[0].mask)
    middle = int(np.median(rows)), int(np.median(columns))
    mask[middle[0] - 12 : middle[0] + 12, middle[1] - 8 : middle[1] + 8] = True
    hidden = Instance(mask=mask, label="chair", score=0.5, box=Instance.box_of(mask))
    objects = [
        *scene_objects(photo, [(crate, front)]),
        SceneObject(index=1, instance=hidden, shape=chair, pose=behind),
    ]
    laid = lay_out(objects, photo.image, photo.points)
    assert error(crate, laid.placements[0].pose, front) < 0.05
    assert np.isfinite(pose_matrix(laid.placements[1].pose)).all()
    assert laid.placements[1].pose.translation[2] < front.translation[2] - 1


def test_a_shape_without_a_surface_is_noted_and_the_others_go_on(chair, photograph):
    true = standing(0.1, -3.0, 1.0)
    photo = photograph([(chair, true)], ground=GROUND)
    nothing = Shape()
    objects = [
        SceneObject(index=0, instance=photo.instances[0], shape=nothing, pose=true),
        SceneObject(index=1, instance=photo.instances[0], shape=chair, pose=wrong(true)),
    ]
    laid = lay_out(objects, photo.image, photo.points)
    assert "neither faces nor splats" in laid.placements[0].notes[0]
    assert laid.placements[0].pose == true
    assert error(chair, laid.placements[1].pose, true) < 0.05


def test_of_two_identical_masks_neither_is_pushed_away(chair, photograph):
    true = standing(0.1, -3.0, 1.0)
    photo = photograph([(chair, true)], ground=GROUND)
    objects = [
        SceneObject(index=k, instance=photo.instances[0], shape=chair, pose=wrong(true))
        for k in range(2)
    ]
    laid = lay_out(objects, photo.image, photo.points)
    assert all(error(chair, p.pose, true) < 0.05 for p in laid.placements)
    assert any("same mask" in note for note in laid.notes)


def test_without_a_point_under_the_mask_the_distance_is_kept(chair, photograph):
    true = standing(0.1, -3.0, 1.0)
    photo = photograph([(chair, true)])
    photo.points.points[photo.instances[0].mask] = np.nan
    objects = scene_objects(photo, [(chair, wrong(true))])
    placed = lay_out(objects, photo.image, photo.points, REFINED).placements[0]
    before, after = (np.linalg.norm(p.translation) for p in (wrong(true), placed.pose))
    assert after == pytest.approx(before, rel=0.02)
    assert "depth_residual" not in placed.quality
    assert any("No point was seen" in note for note in placed.notes)


def test_it_is_said_how_sure_the_point_map_is_of_an_object(chair, photograph):
    true = standing(0.1, -3.0, 1.0)
    photo = photograph([(chair, true)])
    objects = scene_objects(photo, [(chair, true)])
    leave = LayoutOptions(refine=False, repair=False)
    silent = lay_out(objects, photo.image, photo.points, leave).placements[0]
    assert "depth_confidence" not in silent.quality
    sure = np.where(photo.instances[0].mask, np.float32(0.75), np.float32(0.25))
    told = replace(photo.points, confidence=sure)
    placed = lay_out(objects, photo.image, told, leave).placements[0]
    assert placed.quality == {**silent.quality, "depth_confidence": 0.75}


def test_one_object_and_no_ground_is_said(chair, photograph):
    true = Pose(rotation=YAW, translation=(0, 0.2, -3.0), scale=1.0)
    photo = photograph([(chair, true)])
    laid = lay_out(scene_objects(photo, [(chair, wrong(true))]), photo.image, photo.points)
    assert laid.notes == ("No ground was seen: nothing was made to stand on it.",)
    assert laid.units == "scene units"


def test_a_known_height_gives_metres_and_the_photo_stays_the_same(chair, photograph):
    true = standing(0.1, -3.0, 1.0)
    photo = photograph([(chair, true)], ground=GROUND)
    objects = scene_objects(photo, [(chair, true)])
    plain = lay_out(objects, photo.image, photo.points)
    known = LayoutOptions(known=(KnownLength(label="Thing 0", metres=2.0),))
    laid = lay_out(objects, photo.image, photo.points, known)
    assert laid.units == "metres"
    assert "±" in laid.notes[-1]
    # What simulators stand things on grows along.
    np.testing.assert_allclose(laid.up, plain.up)
    np.testing.assert_allclose(laid.levels, np.array(plain.levels) * laid.factor)
    assert plain.levels[0] == pytest.approx(GROUND, abs=0.02)
    height = np.ptp(surface(chair, laid.placements[0].pose)[:, 1])
    assert height == pytest.approx(2.0, rel=0.03)
    before, after = (
        photo.points.camera.project(surface(chair, p.placements[0].pose)) for p in (plain, laid)
    )
    np.testing.assert_allclose(before, after, atol=1e-6)


def test_the_metres_of_a_point_map_are_the_scenes_unless_the_user_knows_better(chair, photograph):
    true = standing(0.1, -3.0, 1.0)
    photo = photograph([(chair, true)], ground=GROUND)
    objects = scene_objects(photo, [(chair, true)])
    points = replace(photo.points, scale="metric", metres_per_unit=0.25, scale_note="A guess.")
    off = LayoutOptions(refine=False, repair=False)
    laid = lay_out(objects, photo.image, points, off)
    assert (laid.units, laid.factor, laid.notes) == ("metres", 0.25, ("A guess.",))
    pose = laid.placements[0].pose
    assert pose.scale == pytest.approx(0.25)
    np.testing.assert_allclose(pose.translation, 0.25 * np.array(true.translation))

    relative = lay_out(objects, photo.image, replace(points, scale="relative"), off)
    assert (relative.units, relative.factor) == ("scene units", 1.0)
    assert relative.placements[0].pose.scale == pytest.approx(1.0)

    known = replace(off, known=(KnownLength(label="Thing 0", metres=2.0),))
    laid = lay_out(objects, photo.image, points, known)
    height = np.ptp(surface(chair, laid.placements[0].pose)[:, 1])
    assert height == pytest.approx(2.0, rel=0.03)
    assert "A guess." not in laid.notes
    assert laid.factor == pytest.approx(laid.placements[0].pose.scale)


def test_a_known_height_of_nothing_in_the_photo_is_said(chair, photograph):
    true = standing(0.1, -3.0, 1.0)
    photo = photograph([(chair, true)], ground=GROUND)
    options = LayoutOptions(
        refine=False, repair=False, known=(KnownLength(label="door", metres=2.0),)
    )
    laid = lay_out(scene_objects(photo, [(chair, true)]), photo.image, photo.points, options)
    assert laid.units == "scene units"
    assert "No object is called 'door'" in laid.notes[0]
