"""Bodies are settled where they are: on feet, on each other, and not inside one another."""

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation
from tests.drivers.solids import box, leaning, thing

from scenelift.io.mjcf import write_mjcf
from scenelift.physics.bodies import World, world_of

pytest.importorskip("coacd")
mujoco = pytest.importorskip("mujoco")


def model_of(world: World, folder):
    path = folder / "scene.xml"
    write_mjcf(path, world)
    model = mujoco.MjModel.from_xml_path(str(path))
    return model, mujoco.MjData(model)


def moved(world: World, folder, seconds: float = 3.0) -> float:
    """How far the body ends that moves most, in metres."""
    model, data = model_of(world, folder)
    before = data.qpos.reshape(-1, 7)[:, :3].copy()
    while data.time < seconds:
        mujoco.mj_step(model, data)
    return float(np.linalg.norm(data.qpos.reshape(-1, 7)[:, :3] - before, axis=1).max())


def deepest(world: World, folder) -> float:
    """How deep bodies begin inside one another, as MuJoCo sees it."""
    model, data = model_of(world, folder)
    mujoco.mj_forward(model, data)
    return max((-float(c.dist) for c in data.contact), default=0.0)


def test_a_lifted_scene_with_every_fault_rests_where_it_was(tmp_path):
    """Sunk, floating, tilted, round, top-heavy, piercing, and on something uneven."""
    world = world_of(
        [
            thing(0, "sunk", box(0.4, 0.4, 0.4), (0, 0.17, -4)),
            thing(1, "floating", box(0.4, 0.4, 0.4), (1, 0.25, -4)),
            thing(2, "tilted", box(0.3, 0.6, 0.3), (2, 0.34, -4), turn=(0, 0, 8)),
            thing(3, "ball", trimesh.creation.icosphere(2, 0.2), (3, 0.2, -4)),
            thing(4, "lamp", leaning(), (4, 0.5, -4)),
            thing(5, "neighbour", box(0.4, 0.4, 0.4), (0.35, 0.2, -4)),
            thing(6, "lid", box(0.2, 0.1, 0.2), (1, 0.48, -4)),
        ],
        levels=(0.0,),
        metres=True,
    )
    on = {b.label: b.stands_on for b in world.bodies}
    assert on.pop("lid") == "01_floating"
    assert set(on.values()) == {"floor"}
    assert deepest(world, tmp_path) < 2e-3
    assert moved(world, tmp_path) < 0.01


def test_pieces_that_pierce_are_cut_apart_and_lose_little(tmp_path):
    shapes = [box(0.4, 0.4, 0.4), box(0.4, 0.4, 0.4)]
    world = world_of(
        [thing(k, "cube", s, (0.36 * k, 0.2, -4)) for k, s in enumerate(shapes)], levels=(0.0,)
    )
    assert deepest(world, tmp_path) < 1e-3
    for body in world.bodies:
        volume = sum(h.volume for h in body.hulls)
        assert 0.85 * 0.4**3 < volume < 0.4**3
        assert body.mass == pytest.approx(400 * 0.4**3, rel=1e-3)  # the mesh weighs what it did


def test_what_stands_beside_something_tall_is_not_carried_by_it():
    """A toaster beside a refrigerator stands on a surface of its own, and does not fall."""
    world = world_of(
        [
            thing(0, "refrigerator", box(0.6, 1.8, 0.6), (0, 0.9, -4)),
            thing(1, "toaster", box(0.3, 0.2, 0.2), (0.42, 1.0, -4)),
        ],
        levels=(0.0,),
    )
    assert world.bodies[1].stands_on == "surface"
    (shelf,) = world.shelves
    assert shelf.height == pytest.approx(0.9, abs=1e-6)


def test_what_reaches_under_a_rim_carries_nothing(tmp_path):
    """A spoon on a saucer, half under the cup: a cup on it would tip both."""
    world = world_of(
        [
            thing(0, "spoon", box(0.16, 0.04, 0.03), (0.09, 0.02, -1)),
            thing(1, "cup", box(0.1, 0.1, 0.1), (0, 0.09, -1)),
        ],
        levels=(0.0,),
    )
    assert world.bodies[1].stands_on != world.bodies[0].name
    assert moved(world, tmp_path) < 0.01


def test_a_carrier_gets_a_flat_top_where_something_stands():
    """On a gable nothing stays; the photo shows that something does."""
    gable = trimesh.Trimesh(
        vertices=[[x, y, z] for z in (-0.3, 0.3) for x, y in ((-0.3, 0), (0.3, 0), (0, 0.3))],
        faces=[
            [0, 2, 1],
            [3, 4, 5],
            [0, 1, 4],
            [0, 4, 3],
            [1, 2, 5],
            [1, 5, 4],
            [2, 0, 3],
            [2, 3, 5],
        ],
    )
    gable.fix_normals()
    world = world_of(
        [thing(0, "roof", gable, (0, 0, -4)), thing(1, "cup", box(0.2, 0.2, 0.2), (0, 0.38, -4))],
        levels=(0.0,),
    )
    roof, cup = world.bodies
    assert cup.stands_on == roof.name
    tops = roof.corners()[:, 2]
    flat = tops > cup.lowest - 3e-4
    assert tops.max() == pytest.approx(cup.lowest, abs=2e-3)
    assert flat.sum() >= 4


def test_on_a_slope_the_whole_foot_is_carried(tmp_path):
    wedge = box(0.6, 0.3, 0.6)
    wedge.vertices[(wedge.vertices[:, 0] > 0) & (wedge.vertices[:, 1] > 0), 1] += 0.2
    world = world_of(
        [
            thing(0, "wedge", wedge, (0, 0.15, -4)),
            thing(1, "cup", box(0.2, 0.2, 0.2), (0, 0.5, -4)),
        ],
        levels=(0.0,),
    )
    wedge_body, cup = world.bodies
    assert cup.stands_on == wedge_body.name
    tops = wedge_body.corners()
    beneath = tops[np.abs(tops[:, 2] - cup.lowest) < 1e-3]
    assert np.ptp(beneath[:, 0]) >= 0.2 - 1e-6
    assert moved(world, tmp_path) < 0.01


def test_what_would_tip_under_a_load_does_not_carry_it(tmp_path):
    """Beside the foot of a pedestal, on the edge of its top."""
    pedestal = box(0.6, 0.5, 0.6)
    pedestal.vertices[pedestal.vertices[:, 1] < 0] *= (0.1, 1, 0.1)
    world = world_of(
        [
            thing(0, "pedestal", pedestal, (0, 0.25, -4)),
            thing(1, "cup", box(*[0.1] * 3), (0.2, 0.55, -4)),
        ],
        levels=(0.0,),
    )
    assert world.bodies[1].stands_on == "surface"
    assert moved(world, tmp_path) < 0.01


def test_the_mass_centre_is_over_the_feet_and_looks_are_untouched():
    lamp = leaning()
    (body,) = world_of([thing(0, "lamp", lamp, (0, 0.5, -4))], levels=(0.0,)).bodies
    corners = body.corners()
    foot = corners[corners[:, 2] < 1e-6]
    centre = Rotation.from_quat(np.roll(body.rotation, -1)).apply(body.centre) + body.position
    assert foot[:, 0].min() < centre[0] < foot[:, 0].max()
    np.testing.assert_allclose(body.mesh.vertices, lamp.vertices, atol=1e-6)
