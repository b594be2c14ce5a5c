"""MJCF and URDF files load in MuJoCo, and the scene stays where the photo has it."""

import re
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
from tests.drivers.solids import leaning, thing
from tests.interop.known_scene import known_scene

from scenelift.errors import FormatError
from scenelift.io.mjcf import write_mjcf
from scenelift.io.urdf import write_urdf
from scenelift.physics.bodies import World, world_of

pytest.importorskip("coacd")
mujoco = pytest.importorskip("mujoco")

SECONDS = 5.0


@pytest.fixture(scope="module", params=["colours", "textures"])
def world(request) -> World:
    return world_of(known_scene(textured=request.param == "textures").objects, metres=True)


def test_the_scene_rests_where_it_was(world, tmp_path):
    write_mjcf(tmp_path / "scene.xml", world)
    model = mujoco.MjModel.from_xml_path(str(tmp_path / "scene.xml"))
    data = mujoco.MjData(model)
    before = data.qpos.copy().reshape(-1, 7)
    while data.time < SECONDS:
        mujoco.mj_step(model, data)
    after = data.qpos.reshape(-1, 7)
    assert np.abs(after - before).max() < 0.01
    masses = {model.body(k).name: model.body(k).mass[0] for k in range(1, model.nbody)}
    assert masses == pytest.approx({b.name: b.mass for b in world.bodies}, rel=1e-3)


def test_without_its_shelf_the_green_box_falls(world, tmp_path):
    """The simulation is real: what nothing carries does not stay."""
    files = write_mjcf(tmp_path / "scene.xml", world)
    text = files[-1].read_text()
    files[-1].write_text(re.sub(r"<geom name=\"surface_0\"[^>]*/>", "", text))
    model = mujoco.MjModel.from_xml_path(str(files[-1]))
    data = mujoco.MjData(model)
    while data.time < 1:
        mujoco.mj_step(model, data)
    assert data.body("01_green").xpos[2] < 0.5


def test_urdf_of_one_object_loads_and_weighs_the_same(world, tmp_path):
    write_urdf(tmp_path / "scene.urdf", world)
    path = tmp_path / "scene_physics" / "00_red.urdf"
    model = mujoco.MjModel.from_xml_path(str(path))
    inertial = Xml.parse(path).getroot().find("link/inertial/mass")
    assert inertial is not None
    assert float(inertial.get("value", 0)) == pytest.approx(world.bodies[0].mass, rel=1e-4)
    assert model.nmesh >= 1


def test_urdf_of_the_whole_names_every_body_in_its_place(world, tmp_path):
    write_urdf(tmp_path / "scene.urdf", world)
    robot = Xml.parse(tmp_path / "scene.urdf").getroot()
    joints = {j.find("child").get("link"): j for j in robot.findall("joint")}
    for body in world.bodies:
        origin = joints[body.name].find("origin")
        place = [float(v) for v in origin.get("xyz").split()]
        np.testing.assert_allclose(place, body.position, atol=1e-6)
    for mesh in robot.iter("mesh"):
        assert (tmp_path / mesh.get("filename")).is_file()


def test_mjcf_and_urdf_have_the_same_bodies(tmp_path):
    """Colliders, mass, mass centre and inertia of a slanted post, as MuJoCo reads both."""
    world = world_of([thing(0, "post", leaning(), (0, 1, -4), turn=(0, 30, 3), scale=2.0)])
    (body,) = world.bodies
    write_mjcf(tmp_path / "scene.xml", world)
    write_urdf(tmp_path / "scene.urdf", world)
    of_mjcf = mujoco.MjModel.from_xml_path(str(tmp_path / "scene.xml"))
    # A body of a URDF without a joint is welded to the world, and its inertia is dropped.
    spec = mujoco.MjSpec.from_file(str(tmp_path / "scene_physics" / f"{body.name}.urdf"))
    spec.worldbody.first_body().add_freejoint()
    for model in (of_mjcf, spec.compile()):
        assert model.body_mass[1] == pytest.approx(body.mass, rel=1e-4)
        np.testing.assert_allclose(model.body_ipos[1], body.centre, atol=1e-5)
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, model.body_iquat[1])
        turn = turn.reshape(3, 3)
        inertia = turn @ np.diag(model.body_inertia[1]) @ turn.T
        np.testing.assert_allclose(inertia, body.inertia, rtol=1e-3, atol=1e-4)
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        (collider,) = [
            g for g in range(model.ngeom) if model.geom_type[g] == 7 and model.geom_contype[g]
        ]
        mesh = model.geom_dataid[collider]
        first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        points = model.mesh_vert[first : first + count] @ data.geom_xmat[collider].reshape(3, 3).T
        points = points + data.geom_xpos[collider] - data.xpos[1]
        points = points @ data.xmat[1].reshape(3, 3)
        expected = body.hulls[0].vertices
        np.testing.assert_allclose(np.ptp(points, axis=0), np.ptp(expected, axis=0), atol=1e-5)
        np.testing.assert_allclose(points.max(0), expected.max(0), atol=1e-5)


def test_the_same_scene_gives_the_same_bytes(world, tmp_path):
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        files = write_mjcf(tmp_path / name / "scene.xml", world)
        contents.append([f.read_bytes() for f in files])
    assert contents[0] == contents[1]


def test_a_world_without_bodies_is_refused(tmp_path):
    empty = World(bodies=(), shelves=(), world_from_scene=np.eye(4), metres=False)
    for write, name in ((write_mjcf, "scene.xml"), (write_urdf, "scene.urdf")):
        with pytest.raises(FormatError, match="no mesh"):
            write(tmp_path / name, empty)
