"""USD files hold the scene in its place, as OpenUSD itself reads and validates them."""

import zipfile

import numpy as np
import pytest
import trimesh

from scenelift.geometry.transforms import compose_transform, transform_points
from scenelift.io.glb import GlbNode
from scenelift.io.usd import write_usd, write_usdz
from scenelift.physics.bodies import world_of
from scenelift.types import Gaussians, Mesh

pxr = pytest.importorskip("pxr", reason="the extra 'usd' is not installed")

PLACE = compose_transform(1.7, [0.9, 0.1, -0.3, 0.2], [0.5, -1, -3])


def stage_of(path):
    from pxr import Usd, UsdGeom

    stage = Usd.Stage.Open(str(path))
    return stage, UsdGeom.XformCache()


def scene_points(stage, cache, path, attribute):
    prim = stage.GetPrimAtPath(path)
    points = np.array(prim.GetAttribute(attribute).Get())
    matrix = np.array(cache.GetLocalToWorldTransform(prim))
    return transform_points(points, matrix.T)


def textured_square() -> Mesh:
    return Mesh(
        vertices=np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        uv=np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32),
        texture=np.zeros((5, 7, 3), np.uint8),
    )


def colored_box() -> Mesh:
    box = trimesh.creation.box()
    return Mesh(
        vertices=box.vertices.astype(np.float32),
        faces=box.faces.astype(np.int32),
        colors=np.full((len(box.vertices), 3), 128, np.uint8),
        normals=box.vertex_normals.astype(np.float32),
    )


def some_splats() -> Gaussians:
    return Gaussians(
        means=np.array([[0.1, 0.2, 0.3], [-0.2, 0.1, 0]], np.float32),
        scales=np.full((2, 3), 0.01, np.float32),
        rotations=np.array([[0.9, 0.1, 0.3, 0.3], [0, 1, 0, 0]], np.float32),
        opacities=np.array([0.25, 0.75], np.float32),
        sh0=np.array([[0, 1, -1], [0.5, 0, 0]], np.float32),
    )


def some_nodes() -> list[GlbNode]:
    return [
        GlbNode(name="00_box", mesh=colored_box(), matrix=PLACE),
        GlbNode(name="01_square", mesh=textured_square()),
    ]


def complaints(path) -> list[str]:
    """What OpenUSD's own validators find."""
    from pxr import Usd, UsdValidation

    stage = Usd.Stage.Open(str(path))
    registry = UsdValidation.ValidationRegistry()
    names = [m.name for m in registry.GetAllValidatorMetadata()]
    context = UsdValidation.ValidationContext(registry.GetOrLoadValidatorsByName(names))
    return [error.GetMessage() for error in context.Validate(stage)]


def packed_names(path) -> list[str]:
    return zipfile.ZipFile(path).namelist()


def test_meshes_and_splats_stand_where_the_scene_has_them(tmp_path):
    nodes = some_nodes()
    write_usd(tmp_path / "scene.usdc", nodes, {"00_box": some_splats()}, None)
    stage, cache = stage_of(tmp_path / "scene.usdc")
    box = scene_points(stage, cache, "/scene/object_00_box/mesh_00_box", "points")
    np.testing.assert_allclose(box, transform_points(nodes[0].mesh.vertices, PLACE), atol=1e-6)
    means = scene_points(stage, cache, "/scene/object_00_box/splats", "positions")
    np.testing.assert_allclose(means, transform_points(some_splats().means, PLACE), atol=1e-6)


@pytest.mark.parametrize("name", ["scene.usdz", "scene.usdc"])
def test_units_axes_and_names_are_always_written(tmp_path, name):
    from pxr import UsdGeom

    path = tmp_path / name
    if name.endswith("z"):
        write_usdz(path, some_nodes())
    else:
        write_usd(path, some_nodes(), {}, None)
    stage, _ = stage_of(path)
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.StageHasAuthoredMetersPerUnit(stage)
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    names = {p.GetName() for p in stage.Traverse()}
    assert {"mesh_00_box", "mesh_01_square", "material_00_box", "material_01_square"} <= names
    colours = stage.GetPrimAtPath("/scene/object_00_box/mesh_00_box").GetAttribute(
        "primvars:displayColor"
    )
    assert len(colours.Get()) == len(some_nodes()[0].mesh.vertices)


def test_splats_keep_their_numbers_and_the_order_of_their_quaternions(tmp_path):
    nodes = [GlbNode(name="a", mesh=colored_box())]
    write_usd(tmp_path / "scene.usdc", nodes, {"a": some_splats()}, None)
    stage, _ = stage_of(tmp_path / "scene.usdc")
    prim = stage.GetPrimAtPath("/scene/a/splats")
    assert prim.GetTypeName() == "ParticleField3DGaussianSplat"
    quaternions = prim.GetAttribute("orientations").Get()
    read = np.array([[q.GetReal(), *q.GetImaginary()] for q in quaternions])
    np.testing.assert_allclose(read, some_splats().rotations, atol=1e-6)
    np.testing.assert_allclose(prim.GetAttribute("opacities").Get(), [0.25, 0.75])
    np.testing.assert_allclose(prim.GetAttribute("scales").Get(), some_splats().scales)


def test_splats_keep_the_rules_of_simready(tmp_path):
    """SPL.001 to SPL.006 of NVIDIA's SimReady Foundation, VG.035 of their asset requirements."""
    from pxr import UsdGeom

    write_usd(
        tmp_path / "scene.usdc", [GlbNode(name="a", mesh=colored_box())], {"a": some_splats()}, None
    )
    stage, _ = stage_of(tmp_path / "scene.usdc")
    (prim,) = [p for p in stage.Traverse() if p.GetTypeName() == "ParticleField3DGaussianSplat"]
    assert prim.GetPath().HasPrefix(stage.GetDefaultPrim().GetPath())

    def values(name):
        assert prim.GetAttribute(name).HasAuthoredValue(), name
        return np.array(prim.GetAttribute(name).Get(), float)

    positions, scales, opacities = values("positions"), values("scales"), values("opacities")
    assert len(positions) == len(scales) == len(opacities) == 2
    assert (scales > 0).all()
    assert ((opacities >= 0) & (opacities <= 1)).all()
    orientations = prim.GetAttribute("orientations").Get()
    np.testing.assert_allclose([q.GetLength() for q in orientations], 1, atol=1e-3)
    assert len(orientations) == 2
    degree = prim.GetAttribute("radiance:sphericalHarmonicsDegree").Get()
    coefficients = prim.GetAttribute("radiance:sphericalHarmonicsCoefficients")
    assert len(coefficients.Get()) == 2 * (degree + 1) ** 2
    assert UsdGeom.Primvar(coefficients).GetInterpolation() == UsdGeom.Tokens.vertex
    assert UsdGeom.Primvar(coefficients).GetElementSize() == (degree + 1) ** 2
    low, high = np.array(UsdGeom.Boundable(prim).GetExtentAttr().Get())
    assert (low <= positions).all()
    assert (positions <= high).all()


def test_meshes_have_normals_and_no_spare_points(tmp_path):
    """Other validators than OpenUSD's want them: NVIDIA's, of `make test-interop`."""
    box = trimesh.creation.box()
    mesh = Mesh(vertices=box.vertices.astype(np.float32), faces=box.faces[2:].astype(np.int32))
    spare = np.concatenate([mesh.vertices, [[9, 9, 9]]]).astype(np.float32)
    node = GlbNode(name="a", mesh=Mesh(vertices=spare, faces=mesh.faces))
    write_usd(tmp_path / "scene.usdc", [node], {}, None)
    stage, _ = stage_of(tmp_path / "scene.usdc")
    prim = stage.GetPrimAtPath("/scene/a/mesh_a")
    points = np.array(prim.GetAttribute("points").Get())
    corners = np.array(prim.GetAttribute("faceVertexIndices").Get()).reshape(-1, 3)
    np.testing.assert_array_equal(points[corners], mesh.vertices[mesh.faces])
    assert points.max() < 1
    normals = np.array(prim.GetAttribute("normals").Get())
    np.testing.assert_allclose(normals, box.face_normals[2:], atol=1e-6)


def test_a_texture_travels_inside_the_package_and_beside_the_layer(tmp_path):
    from pxr import UsdUtils

    nodes = [GlbNode(name="x", mesh=textured_square())]
    write_usdz(tmp_path / "scene.usdz", nodes)
    assert any(name.endswith(".png") for name in packed_names(tmp_path / "scene.usdz"))
    written = write_usd(tmp_path / "scene.usdc", nodes, {}, None)
    assert written[-1].name == "scene.usdc"
    assert [f.parent.name for f in written[:-1]] == ["scene_usd"]
    for name in ("scene.usdz", "scene.usdc"):
        *_, unresolved = UsdUtils.ComputeAllDependencies(str(tmp_path / name))
        assert not unresolved


def test_a_package_for_phones_keeps_apples_rules(tmp_path):
    """Of Apple's page on USDZ: one layer first, known files, nothing compressed, aligned to 64
    bytes, y up, metres, a default prim, and no schemas beyond geometry and preview materials."""
    path = tmp_path / "scene.usdz"
    write_usdz(path, some_nodes())
    archive = zipfile.ZipFile(path)
    entries = archive.infolist()
    assert entries[0].filename.endswith(".usdc")
    data = path.read_bytes()
    for entry in entries:
        assert entry.compress_type == zipfile.ZIP_STORED
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)  # same scene, same bytes
        assert entry.filename.rpartition(".")[2] in {"usdc", "png", "jpg"}
        name, extra = np.frombuffer(data[entry.header_offset + 26 :][:4], "<u2")
        assert (entry.header_offset + 30 + int(name) + int(extra)) % 64 == 0
    stage, _ = stage_of(path)
    assert stage.GetDefaultPrim()
    kinds = {p.GetTypeName() for p in stage.Traverse()}
    assert kinds == {"Xform", "Mesh", "Material", "Shader"}
    schemas = {s for p in stage.Traverse() for s in p.GetAppliedSchemas()}
    assert schemas == {"MaterialBindingAPI", "NodeDefAPI"}  # NodeDefAPI: of every shader
    assert not complaints(path)


def test_simulators_find_bodies_with_mass_colliders_and_ground(tmp_path):
    pytest.importorskip("coacd", reason="the extra 'physics' is not installed")
    from pxr import UsdPhysics
    from tests.interop.known_scene import known_scene

    from scenelift.compose import create_scene_mesh

    objects = known_scene().objects
    world = world_of(objects, metres=True)
    splats = {o.name: o.shape.gaussians for o in objects if o.shape.gaussians is not None}
    path = tmp_path / "scene.usdc"
    write_usd(path, create_scene_mesh(objects), splats, world)
    stage, cache = stage_of(path)
    for body in world.bodies:
        prim = stage.GetPrimAtPath(f"/scene/object_{body.name}")
        assert prim.HasAPI(UsdPhysics.RigidBodyAPI)
        mass = UsdPhysics.MassAPI(prim).GetMassAttr().Get()
        assert mass == pytest.approx(body.mass, rel=1e-5)
        hull = scene_points(stage, cache, prim.GetPath().AppendChild("collider_0"), "points")
        world_points = transform_points(hull, world.world_from_scene)
        np.testing.assert_allclose(np.sort(world_points, 0), np.sort(body.corners(), 0), atol=1e-5)
    floor = stage.GetPrimAtPath("/scene/ground/floor")
    assert floor.HasAPI(UsdPhysics.CollisionAPI)
    assert not floor.HasAPI(UsdPhysics.RigidBodyAPI)
    assert not complaints(path)


def test_openusd_computes_the_mass_properties_that_mjcf_and_urdf_have(tmp_path):
    """A slanted post, turned and scaled: its mass centre is beside its middle."""
    pytest.importorskip("coacd", reason="the extra 'physics' is not installed")
    from pxr import Gf, Usd, UsdPhysics
    from tests.drivers.solids import leaning, thing

    from scenelift.compose import create_scene_mesh

    objects = [thing(0, "post", leaning(), (0, 1, -4), turn=(0, 30, 3), scale=2.0)]
    world = world_of(objects)
    write_usd(tmp_path / "scene.usdc", create_scene_mesh(objects), {}, world)
    stage = Usd.Stage.Open(str(tmp_path / "scene.usdc"))
    (body,) = world.bodies
    rigid = UsdPhysics.RigidBodyAPI(stage.GetPrimAtPath(f"/scene/object_{body.name}"))
    mass, moments, centre, axes = rigid.ComputeMassProperties(
        lambda _: UsdPhysics.RigidBodyAPI.MassInformation()
    )
    assert mass == pytest.approx(body.mass, rel=1e-5)
    np.testing.assert_allclose(centre, body.centre, atol=1e-5)  # in metres there
    turn = np.array(Gf.Matrix3d(Gf.Quatd(axes))).T  # row vectors there
    np.testing.assert_allclose(turn @ np.diag(moments) @ turn.T, body.inertia, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["scene.usdz", "scene.usdc"])
def test_the_same_scene_gives_the_same_bytes(tmp_path, name):
    contents = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / name
        if name.endswith("z"):
            write_usdz(path, some_nodes())
        else:
            write_usd(path, some_nodes(), {"00_box": some_splats()}, None)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
