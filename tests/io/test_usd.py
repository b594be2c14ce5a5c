"""A USDZ holds meshes and splats in their places, as OpenUSD itself reads them."""

import numpy as np
import pytest
import trimesh

from scenelift.geometry.transforms import compose_transform, transform_points
from scenelift.io.glb import GlbNode
from scenelift.io.usd import write_usdz
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


def test_meshes_and_splats_stand_where_the_scene_has_them(tmp_path):
    nodes = [
        GlbNode(name="00_box", mesh=colored_box(), matrix=PLACE),
        GlbNode(name="01_square", mesh=textured_square()),
    ]
    write_usdz(tmp_path / "scene.usdz", nodes, {"00_box": some_splats()}, metres=True)
    stage, cache = stage_of(tmp_path / "scene.usdz")
    box = scene_points(stage, cache, "/scene/object_00_box/mesh", "points")
    np.testing.assert_allclose(box, transform_points(nodes[0].mesh.vertices, PLACE), atol=1e-6)
    means = scene_points(stage, cache, "/scene/object_00_box/splats", "positions")
    np.testing.assert_allclose(means, transform_points(some_splats().means, PLACE), atol=1e-6)
    from pxr import UsdGeom

    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0


def test_splats_keep_their_numbers_and_the_order_of_their_quaternions(tmp_path):
    nodes = [GlbNode(name="a", mesh=colored_box())]
    write_usdz(tmp_path / "scene.usdz", nodes, {"a": some_splats()})
    stage, _ = stage_of(tmp_path / "scene.usdz")
    prim = stage.GetPrimAtPath("/scene/object_a/splats")
    assert prim.GetTypeName() == "ParticleField3DGaussianSplat"
    quaternions = prim.GetAttribute("orientations").Get()
    read = np.array([[q.GetReal(), *q.GetImaginary()] for q in quaternions])
    np.testing.assert_allclose(read, some_splats().rotations, atol=1e-6)
    np.testing.assert_allclose(prim.GetAttribute("opacities").Get(), [0.25, 0.75])
    np.testing.assert_allclose(prim.GetAttribute("scales").Get(), some_splats().scales)


def test_a_texture_travels_inside(tmp_path):
    import zipfile

    write_usdz(tmp_path / "scene.usdz", [GlbNode(name="x", mesh=textured_square())], {})
    names = zipfile.ZipFile(tmp_path / "scene.usdz").namelist()
    assert any(name.endswith(".png") for name in names)
    from pxr import UsdUtils

    *_, unresolved = UsdUtils.ComputeAllDependencies(str(tmp_path / "scene.usdz"))
    assert not unresolved
