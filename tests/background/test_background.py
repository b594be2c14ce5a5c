"""The background is where the room is, and shows nothing of what stood before it."""

from functools import cache

import numpy as np
import pytest
from scipy import ndimage
from tests.background.room import FLOOR, RED, WALL, room

from scenelift.background.inpaint import SAME, Sources, complete
from scenelift.background.layers import BEHIND_EDGES, Reliefs
from scenelift.background.margin import Margin
from scenelift.background.relief import relief_behind, relief_behind_edges
from scenelift.background.shape import JUMP
from scenelift.background.stage import lift_background
from scenelift.background.surroundings import look_around
from scenelift.render.meshes import render_mesh
from scenelift.render.splats import render_splats
from scenelift.render.turntable import photo_cameras
from scenelift.types import Image, Instance, Mesh, PointMap, Pose, SceneObject, Shape


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
    drawn = render_mesh(lift_background(image, points, [box]).mesh, points.camera).pixels()
    values = drawn[112:128, 100:135].mean(-1)  # floor, behind the box
    assert values.std() > 15  # checks of 150 and 210 have 30


def test_the_photo_comes_back_in_its_own_view():
    image, points, box, _ = room()
    drawn = render_splats(lift_background(image, points, [box]).gaussians, points.camera).pixels()
    error = np.abs(drawn.astype(float) - image.pixels)[~box.mask].mean(-1)
    assert np.median(error) < 6
    assert error.mean() < 12


def test_a_camera_that_moves_to_the_side_sees_no_void():
    image, points, box, _ = room()
    splats = lift_background(image, points, [box]).gaussians
    about = np.array([[0.0, 0, -2]])
    for view, pose in photo_cameras(about, points.camera, frames=4, size=120)[1::2]:
        assert (render_splats(splats, view, pose).alpha > 0.5).mean() > 0.99


def test_what_stands_in_front_keeps_its_outline_and_hides_something():
    """Nobody asked for the box: it stays, and behind its edge there is wall, not a hole."""
    image, points, box, truth = room()
    background = lift_background(image, points, [])
    depth = drawn_depth(background, points)
    inside = np.asarray(ndimage.binary_erosion(box.mask), bool)
    outside = ~np.asarray(ndimage.binary_dilation(box.mask), bool)
    assert np.quantile(np.abs(depth[inside] - 2), 0.99) < 0.1
    wall = outside & (truth == -WALL) & np.isfinite(depth)
    assert np.quantile(np.abs(depth[wall] + WALL), 0.99) < 0.2
    beside = np.eye(4)
    beside[0, 3] = 0.4  # sees wall that the photo does not
    drawn = render_mesh(background.mesh, points.camera, beside)
    assert (drawn.alpha > 0).mean() > 0.95


def test_objects_stand_before_the_background_also_where_the_points_put_them_deeper():
    """The layout moved the box back until the floor would cut through it."""
    image, points, box, _ = room()
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 60), np.linspace(-0.9, 0, 60))
    corners = np.stack([x, y, np.full_like(x, -3.5)], -1).reshape(-1, 3)
    shape = Shape(mesh=Mesh(vertices=corners.astype(np.float32), faces=np.zeros((0, 3), np.int32)))
    moved = SceneObject(index=0, instance=box, shape=shape, pose=Pose())
    depth = drawn_depth(lift_background(image, points, [box], objects=[moved]), points)
    place = points.camera.project(corners).astype(int)
    behind = depth[place[:, 1], place[:, 0]][box.mask[place[:, 1], place[:, 0]]]
    assert len(behind) > 500
    assert (behind > 3.5).mean() > 0.95


def test_what_stands_before_an_object_that_was_placed_deeper_is_taken_out_too():
    """The picture behind edges is completed before objects are placed: it is put right then."""
    image, points, box, _ = room()
    around = look_around(image, points, [box])
    assert around.pictures.taken_out[60, 70:120].mean() < 0.1  # the wall above the box
    x, y = np.meshgrid(np.linspace(-2, 2, 90), np.linspace(-2, 2, 90))
    solid = np.stack([x, y, np.full_like(x, 1.5 * WALL)], -1).reshape(-1, 3)
    deeper = Reliefs.of(around.visible, around.planes, solid)
    _, taken_out = around.pictures.behind_edges_of(deeper, around.margin)
    assert taken_out[60, 100:135].mean() > 0.9


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


def test_bytes_repeat():
    image, points, box, _ = room()
    one, two = (lift_background(image, points, [box]) for _ in range(2))
    np.testing.assert_array_equal(one.mesh.texture, two.mesh.texture)
    np.testing.assert_array_equal(one.gaussians.means, two.gaussians.means)


def test_sizes_stay_sane_where_every_cell_is_cut():
    image, points, box, _ = room(size=(1200, 900))
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.choice([1.0, 1.5], (90, 120)), np.ones((10, 10)))
    torn = PointMap(
        points=(points.points * blocks[..., None]).astype(np.float32), camera=points.camera
    )
    background = lift_background(image, torn, [box])
    assert 20_000 < len(background.mesh.faces) <= 60_000
    assert 20_000 < len(background.gaussians) <= 300_000


def test_the_sky_hangs_behind_everything():
    image, points, box, _ = room(sky=True)
    background = lift_background(image, points, [box])
    depth = drawn_depth(background, points)
    assert np.nanmin(depth[5:40]) > 4.0


ODD = {
    "all sky": {},
    "no floor": {"floor": False},
    "all covered": {},
    "no object": {"box": False},
    "wall ahead": {},
    "panorama": {"size": (800, 100)},
    "portrait": {"size": (90, 400)},
    "tiny": {"size": (16, 12)},
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_photos_give_something_sane_or_a_note(kind):
    image, points, box, _ = room(**ODD[kind])
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
    else:
        drawn = render_splats(background.gaussians, points.camera)
        assert (drawn.alpha > 0.5).mean() > 0.97


def test_a_photo_of_one_colour_is_completed_with_it():
    _, points, box, _ = room()
    pixels = np.full((*box.mask.shape, 3), 90, np.uint8)
    pixels[box.mask] = RED
    texture = lift_background(Image(pixels=pixels), points, [box]).mesh.texture
    assert texture is not None
    assert np.abs(texture.astype(int) - 90).max() <= 2


def test_a_rail_hides_itself_and_not_the_floor_before_it():
    """Else the picture behind it would be continued over the floor, from what is far away."""
    around, second = _with_a_rail()
    assert second.front is not None
    front = around.margin.on_photo(second.front, around.hidden)
    assert front[101:105].mean() > 0.9
    floor = np.zeros_like(front)
    floor[135:, 60:180] = True  # as far away as the rail, and nearer; the plane ends at the sides
    assert front[floor].mean() < 0.02


def test_a_tiled_floor_stays_a_plane():
    """Its depth changes, and so do its colours: that is no edge to be sharpened."""
    around, _ = _with_a_rail()
    surface = around.margin.on_photo(around.visible.surface, around.hidden)
    assert (surface[140:178, 60:180] == 0).mean() > 0.99
    assert around.planes[0].kind == "ground"


@cache
def _with_a_rail():
    """What is around, and the second layer, of the room with a rail before its wall."""
    image, points, _, _ = room(box=False)
    places, pixels = points.points.copy(), image.pixels.copy()
    rail = slice(100, 106)  # rows: as far away as the floor some forty rows further down
    places[rail], pixels[rail] = 2.0 * places[rail] / -places[rail][..., 2:], RED
    around = look_around(Image(pixels=pixels), PointMap(points=places, camera=points.camera), [])
    relief = relief_behind(around.visible, around.planes)
    second = relief_behind_edges(relief, around.planes, jump=JUMP, reach=BEHIND_EDGES)
    assert second is not None
    return around, second


BLUE = (60, 80, 210)


def test_behind_an_edge_goes_on_what_is_there_although_it_has_edges_of_its_own():
    """A box before a screen before a wall: from beside one sees the screen behind the box."""
    image, points, box, _ = room(floor=False)
    pixels, places = image.pixels.copy(), points.points.copy()
    screen = np.zeros_like(box.mask)
    screen[40:150, 68:167] = True
    screen &= ~box.mask
    pixels[screen] = BLUE
    places[screen] = 3.0 * places[screen] / -places[screen][..., 2:]
    around = look_around(Image(pixels=pixels), PointMap(points=places, camera=points.camera), [])
    inside = box.mask & ~np.asarray(ndimage.binary_erosion(box.mask, iterations=8), bool)
    behind = around.pictures.behind_edges[inside].astype(int)
    assert (np.abs(behind - BLUE).max(-1) < 60).mean() > 0.9


def test_the_rim_of_a_thing_is_its_own_where_a_networks_depth_is_that_of_the_floor():
    image, points, box, truth = room()
    places, pixels = points.points.copy(), image.pixels
    rim = box.mask & ~np.asarray(ndimage.binary_erosion(box.mask, iterations=3), bool)
    places[rim] = (places[rim] / -places[rim][..., 2:]) * truth[rim][:, None]
    around = look_around(Image(pixels=pixels), PointMap(points=places, camera=points.camera), [])
    depth = around.margin.on_photo(around.visible.depth, around.hidden)
    sides = rim.copy()
    sides[:, 100:135] = False
    sides[:105] = False  # before the floor, left and right
    assert (depth[sides] < 2.2).mean() > 0.4


def test_a_hole_is_filled_from_the_surface_that_it_lies_on_wherever_that_is_shown():
    """All around the hole is grass; what lies behind it is shown in another picture alone."""
    grass, screen = np.full((96, 128, 3), (60, 160, 60), np.uint8), np.zeros((96, 128), bool)
    screen[20:70, 80:125] = True
    hole = np.zeros_like(screen)
    hole[30:60, 20:60] = True
    shown = np.where(screen[..., None], BLUE, grass).astype(np.uint8)
    on_screen = np.where(screen, 9 * SAME, 0)
    sources = Sources(pixels=shown, left_out=np.zeros_like(screen), regions=on_screen)
    for behind, colour in ((9 * SAME, BLUE), (0, (60, 160, 60))):
        filled = complete(grass, hole, np.where(hole, behind, 0), sources=sources)
        assert (np.abs(filled[hole].astype(int) - colour).max(-1) < 40).mean() > 0.9


def test_a_floor_far_before_the_objects_has_a_wider_margin_and_as_many_rows():
    """A swing about them sees more of it, at the lower corners."""
    image, points, box, _ = room()
    near = look_around(image, points, [box])
    places = points.points.copy()
    places[box.mask] *= 4
    far = look_around(image, PointMap(points=places, camera=points.camera), [box])
    assert near.margin.left_right == round(0.16 * image.width)
    assert far.margin.left_right > 0.22 * image.width
    rows, columns = near.visible.depth.shape
    assert far.visible.depth.shape == (pytest.approx(rows, abs=2), pytest.approx(columns, abs=2))


def test_a_margin_goes_on_without_a_seam_and_doubles_nothing():
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 255, (40, 60, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    margin = Margin(left_right=96, top_bottom=40)
    wide = margin.continued(pixels)
    np.testing.assert_array_equal(margin.inside(wide), pixels)
    seam = np.abs(wide[:, 95].astype(int) - wide[:, 96]).mean()
    assert seam < 0.2 * np.abs(np.diff(pixels[:, ::10].astype(int), axis=1)).mean()
    assert wide[:, :10].std() < 0.5 * wide[:, 85:95].std()
    assert wide[:5].std() < 0.5 * pixels[:5].std()
    with_none = Margin(left_right=0, top_bottom=0).continued(pixels)
    np.testing.assert_array_equal(with_none, pixels)
