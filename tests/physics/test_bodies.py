"""Objects as rigid bodies: their masses, colliders, and what carries them."""

import numpy as np
import pytest
import trimesh
from tests.interop.known_scene import CENTRES, SIZE, known_scene

from scenelift.geometry.transforms import transform_points
from scenelift.physics.bodies import world_of
from scenelift.physics.hulls import convex_hulls
from scenelift.physics.materials import DEFAULT_DENSITY, density_of
from scenelift.types import Mesh

pytest.importorskip("coacd")


def mesh_of(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(vertices=shape.vertices.astype(np.float32), faces=shape.faces.astype(np.int32))


CUP = trimesh.creation.annulus(0.35, 0.45, 1.0, segments=12)


@pytest.fixture(scope="module")
def cup_hulls():
    return convex_hulls(mesh_of(CUP))


def test_the_hulls_of_a_cup_leave_it_open(cup_hulls):
    assert len(cup_hulls) > 3
    parts = [trimesh.Trimesh(h.vertices, h.faces) for h in cup_hulls]
    assert all(p.is_watertight and p.volume > 0 for p in parts)
    middle = np.array([[0.0, 0, 0], [0.1, 0, 0.2]])
    assert not any(p.contains(middle).any() for p in parts)
    assert sum(h.volume for h in cup_hulls) == pytest.approx(CUP.volume, rel=0.2)


def test_the_same_mesh_gives_the_same_hulls(cup_hulls):
    again = convex_hulls(mesh_of(CUP))
    assert [h.vertices.tolist() for h in cup_hulls] == [h.vertices.tolist() for h in again]


def test_a_convex_mesh_is_one_piece_of_few_corners():
    (hull,) = convex_hulls(mesh_of(trimesh.creation.icosphere(3, 0.5)))
    assert len(hull.vertices) <= 48
    np.testing.assert_allclose(np.ptp(hull.vertices, axis=0), 1, atol=0.05)


@pytest.mark.parametrize("corners", [3, 4])
def test_a_sheet_gets_a_thickness(corners):
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)[:corners]
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)[: corners - 2]
    (hull,) = convex_hulls(Mesh(vertices=vertices, faces=faces))
    assert hull.volume > 0


def test_bodies_stand_upright_where_the_scene_has_them():
    scene = known_scene()
    world = world_of(scene.objects, metres=True)
    for body, o in zip(world.bodies, scene.objects, strict=True):
        expected = transform_points(
            np.array([o.pose.translation], np.float32), world.world_from_scene
        )
        np.testing.assert_allclose(body.position, expected[0], atol=1e-6)
        assert body.mass == pytest.approx(DEFAULT_DENSITY * SIZE**3, rel=1e-3)
    red, green, blue = world.bodies
    assert red.lowest == pytest.approx(0, abs=1e-6)
    assert green.position[2] - red.position[2] == pytest.approx(CENTRES["green"][1], abs=1e-6)
    assert blue.position[1] > red.position[1]  # further away


def test_what_stands_on_nothing_gets_a_shelf_at_its_foot():
    world = world_of(known_scene().objects)
    (shelf,) = world.shelves
    assert shelf.height == pytest.approx(world.bodies[1].lowest)
    assert shelf.low[0] < world.bodies[1].position[0] < shelf.high[0]


def test_a_level_of_the_photo_is_taken_for_floor_and_shelf():
    """What hangs over them a little stays there, and its feet reach them."""
    scene = known_scene()
    lowest = min(y for _, y, _ in CENTRES.values()) - SIZE / 2
    world = world_of(scene.objects, levels=(lowest - 0.02, CENTRES["green"][1] - SIZE / 2 - 0.01))
    red, green, _ = world.bodies
    assert red.position[2] == pytest.approx(0.02 + SIZE / 2, abs=1e-6)
    assert red.lowest == pytest.approx(0, abs=1e-6)
    (shelf,) = world.shelves
    assert green.position[2] - SIZE / 2 - shelf.height == pytest.approx(0.01, abs=1e-6)
    assert green.lowest == pytest.approx(shelf.height, abs=1e-6)
    assert [b.stands_on for b in world.bodies] == ["floor", "surface", "floor"]


def test_nothing_begins_inside_what_carries_it():
    """A level that the photo shows a little too high would throw things up: they are cut there."""
    lowest = min(y for _, y, _ in CENTRES.values()) - SIZE / 2
    levels = (lowest + 0.03, CENTRES["green"][1] - SIZE / 2 + 0.02)
    world = world_of(known_scene().objects, levels=levels)
    (shelf,) = world.shelves
    red, green, _ = world.bodies
    assert red.position[2] == pytest.approx(SIZE / 2 - 0.03, abs=1e-6)
    assert red.lowest == pytest.approx(0, abs=1e-6)
    assert green.lowest == pytest.approx(shelf.height, abs=1e-6)


def test_a_level_far_above_a_foot_is_not_its_floor():
    lowest = min(y for _, y, _ in CENTRES.values()) - SIZE / 2
    world = world_of(known_scene().objects, levels=(lowest + 0.9 * SIZE,))
    assert world.bodies[0].position[2] == pytest.approx(SIZE / 2, abs=1e-6)


def test_gravity_follows_the_way_up_of_the_photo():
    tilted = np.array([0.2, 1.0, 0.3])
    world = world_of(known_scene().objects, up=tilted)
    turn = world.world_from_scene[:3, :3]
    np.testing.assert_allclose(turn @ tilted / np.linalg.norm(tilted), [0, 0, 1], atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)


def test_densities_go_by_the_words_of_a_label():
    assert density_of("wooden chair") == density_of("chair") != DEFAULT_DENSITY
    assert density_of("Books") == density_of("book")
    assert density_of("thing of no name") == DEFAULT_DENSITY
    assert density_of("coffee cup", {"cup": 123}) == 123
    assert density_of("coffee cup", {"coffee cup": 7, "cup": 123}) == 7
