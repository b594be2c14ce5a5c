"""The background is where the room is, and shows nothing of what stood before it."""

import numpy as np
import pytest
from tests.background.room import FLOOR, RED, WALL, room

from scenelift.background.stage import lift_background
from scenelift.render.meshes import render_mesh
from scenelift.types import Image, Instance, PointMap


def drawn_depth(background, points):
    return render_mesh(background.mesh, points.camera).depth


def test_floor_and_wall_go_on_behind_the_object():
    image, points, box, truth = room()
    background = lift_background(image, points, [box])
    assert background.planes == ("ground", "wall")
    depth = drawn_depth(background, points)
    hidden = box.mask
    assert np.isfinite(depth[hidden]).all()
    error = np.abs(depth[hidden] / truth[hidden] - 1)
    assert np.median(error) < 0.01
    assert np.quantile(error, 0.95) < 0.05
    # And what was seen stays where it was seen.
    shown = ~hidden & np.isfinite(depth)
    assert shown.mean() > 0.75
    assert np.median(np.abs(depth[shown] / truth[shown] - 1)) < 0.01


def test_nothing_of_the_object_is_painted_on_the_floor():
    image, points, box, _ = room()
    background = lift_background(image, points, [box])
    assert background.mesh.texture is not None
    red = np.array(RED)
    texture = background.mesh.texture.astype(int)
    assert np.abs(texture - red).max(-1).min() > 60
    splats = background.gaussians.rgb * 255
    assert np.abs(splats - red).max(-1).min() > 60


def test_what_was_hidden_is_completed_with_the_texture_around_it():
    """Checks of the floor are there with their contrast, where a blur would have none."""
    image, points, box, _ = room()
    pixels = lift_background(image, points, [box]).mesh.texture
    assert pixels is not None
    whole = pixels[: pixels.shape[0] // (1 if pixels.shape[0] <= 200 else 2)]
    floor = np.zeros(box.mask.shape, bool)
    floor[112:128, 100:135] = True
    assert whole.shape[:2] == box.mask.shape
    values = whole[floor].mean(-1)
    assert values.std() > 15  # checks of 150 and 210 have 30


def test_ground_lies_at_its_height_and_level():
    image, points, box, _ = room()
    background = lift_background(image, points, [box])
    assert np.degrees(np.arccos(background.up[1])) < 1
    assert min(abs(level - FLOOR) for level in background.levels) < 0.02


def test_a_scene_in_other_units_grows_about_the_camera():
    image, points, box, _ = room()
    one = lift_background(image, points, [box])
    two = lift_background(image, points, [box], factor=2.0)
    np.testing.assert_allclose(two.mesh.vertices, 2 * one.mesh.vertices, rtol=1e-6)
    np.testing.assert_allclose(two.gaussians.scales, 2 * one.gaussians.scales, rtol=1e-6)
    np.testing.assert_allclose(two.levels, 2 * np.array(one.levels))


def test_planes_alone_are_flat():
    image, points, box, _ = room()
    background = lift_background(image, points, [box], mode="planes")
    vertices = background.mesh.vertices
    off = np.minimum(np.abs(vertices[:, 1] - FLOOR), np.abs(vertices[:, 2] - WALL))
    assert off.max() < 0.1
    assert len(vertices) > 1000


def test_sizes_stay_sane_and_bytes_repeat():
    image, points, box, _ = room()
    one, two = (lift_background(image, points, [box]) for _ in range(2))
    assert len(one.mesh.faces) <= 60_000
    assert len(one.gaussians) <= 300_000
    np.testing.assert_array_equal(one.mesh.texture, two.mesh.texture)
    np.testing.assert_array_equal(one.gaussians.means, two.gaussians.means)


def test_the_sky_hangs_behind_everything():
    image, points, box, _ = room(sky=True)
    background = lift_background(image, points, [box])
    depth = drawn_depth(background, points)
    assert np.nanmin(depth[5:40]) > 4.0


@pytest.mark.parametrize("kind", ["all sky", "no floor", "all covered", "no object", "wall ahead"])
def test_odd_photos_give_something_sane_or_a_note(kind):
    image, points, box, _ = room(box=kind != "no object", floor=kind != "no floor")
    instances = [] if kind == "no object" else [box]
    if kind == "all sky":
        points = PointMap(points=np.full_like(points.points, np.nan), camera=points.camera)
    if kind == "all covered":
        mask = np.ones_like(box.mask)
        instances = [
            Instance(mask=mask, label="x", score=1.0, box=(0.0, 0.0, 240.0, 180.0)),
        ]
    if kind == "wall ahead":
        flat = points.camera.unproject(np.full(box.mask.shape, 0.3, np.float32))
        points = PointMap(points=flat, camera=points.camera)
    background = lift_background(image, points, instances)
    assert np.isfinite(background.mesh.vertices).all()
    assert np.isfinite(background.gaussians.means).all()
    assert (background.gaussians.scales > 0).all()
    if kind in ("all sky", "all covered"):
        assert background.notes


def test_a_photo_of_one_colour_is_completed_with_it():
    _, points, box, _ = room()
    pixels = np.full((*box.mask.shape, 3), 90, np.uint8)
    pixels[box.mask] = RED
    texture = lift_background(Image(pixels=pixels), points, [box]).mesh.texture
    assert texture is not None
    assert np.abs(texture.astype(int) - 90).max() <= 2
