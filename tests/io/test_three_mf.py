"""3MF files, read back by the 3MF consortium's own library."""

import zipfile

import numpy as np
import pytest
import trimesh

from scenelift.errors import FormatError
from scenelift.geometry.transforms import compose_transform
from scenelift.io.glb import GlbNode
from scenelift.io.three_mf import vertex_colours, write_3mf
from scenelift.types import Mesh

lib3mf = pytest.importorskip("lib3mf")


def box(**looks) -> Mesh:
    shape = trimesh.creation.box(extents=(1, 3, 2))
    return Mesh(
        vertices=shape.vertices.astype(np.float32), faces=shape.faces.astype(np.int32), **looks
    )


def some_nodes() -> list[GlbNode]:
    colours = np.random.default_rng(0).integers(0, 256, (8, 3), np.uint8)
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:2], picture[2:] = (200, 10, 10), (10, 10, 200)  # the upper half is red
    uv = np.array([[0.5, 0.9 if k < 4 else 0.1] for k in range(8)], np.float32)
    return [
        GlbNode(name='cup & "saucer"', mesh=box(colors=colours)),
        GlbNode(
            name="杯子",
            mesh=box(uv=uv, texture=picture),
            matrix=compose_transform(0.5, [1, 0, 0, 0], [4, 0, 0]),
        ),
    ]


def read(path):
    """Name -> vertices, faces and the colours of the corners of the faces, by lib3mf."""
    model = lib3mf.get_wrapper().CreateModel()
    reader = model.QueryReader("3mf")
    reader.SetStrictModeActive(True)
    reader.ReadFromFile(str(path))
    assert not [reader.GetWarning(k) for k in range(reader.GetWarningCount())]
    groups = {}
    iterator = model.GetColorGroups()
    while iterator.MoveNext():
        group = iterator.GetCurrentColorGroup()
        groups[group.GetResourceID()] = {
            one: (group.GetColor(one).Red, group.GetColor(one).Green, group.GetColor(one).Blue)
            for one in group.GetAllPropertyIDs()
        }
    objects = {}
    meshes = model.GetMeshObjects()
    while meshes.MoveNext():
        mesh = meshes.GetCurrentMeshObject()
        vertices = np.array([list(v.Coordinates) for v in mesh.GetVertices()])
        faces = np.array([list(t.Indices) for t in mesh.GetTriangleIndices()])
        colours = np.array(
            [
                [groups[p.ResourceID][one] for one in p.PropertyIDs]
                for p in mesh.GetAllTriangleProperties()
            ]
        )
        objects[mesh.GetName()] = vertices, faces, colours
    return model.GetUnit(), objects


def test_another_reader_finds_sizes_names_and_colours(tmp_path):
    write_3mf(tmp_path / "scene.3mf", some_nodes(), metres=True)
    unit, objects = read(tmp_path / "scene.3mf")
    assert unit == lib3mf.ModelUnit.MilliMeter
    assert list(objects) == [n.name for n in some_nodes()]
    for node in some_nodes():
        vertices, faces, colours = objects[node.name]
        np.testing.assert_array_equal(faces, node.mesh.faces)
        scale = 1000 * node.matrix[0, 0]
        # z is up: our y.
        np.testing.assert_allclose(np.ptp(vertices, 0), scale * np.array([1, 2, 3]), rtol=1e-4)
        np.testing.assert_array_equal(colours, vertex_colours(node.mesh)[node.mesh.faces])
    assert min(v[:, 2].min() for v, _, _ in objects.values()) == pytest.approx(0, abs=1e-3)


def test_a_texture_gives_each_vertex_the_colour_at_its_place(tmp_path):
    red, blue = [200, 10, 10], [10, 10, 200]
    assert vertex_colours(some_nodes()[1].mesh).tolist() == [red] * 4 + [blue] * 4


def test_without_a_scale_the_longest_side_is_100_mm(tmp_path):
    write_3mf(tmp_path / "scene.3mf", some_nodes()[:1])
    _, objects = read(tmp_path / "scene.3mf")
    (vertices, _, _) = next(iter(objects.values()))
    assert np.ptp(vertices, 0).max() == pytest.approx(100, rel=1e-4)


def test_the_same_scene_gives_the_same_bytes(tmp_path):
    for name in ("a.3mf", "b.3mf"):
        write_3mf(tmp_path / name, some_nodes())
    assert (tmp_path / "a.3mf").read_bytes() == (tmp_path / "b.3mf").read_bytes()
    assert zipfile.ZipFile(tmp_path / "a.3mf").testzip() is None


def test_no_face_is_no_file(tmp_path):
    empty = Mesh(vertices=np.zeros((0, 3), np.float32), faces=np.zeros((0, 3), np.int32))
    with pytest.raises(FormatError, match="no mesh"):
        write_3mf(tmp_path / "none.3mf", [GlbNode(name="x", mesh=empty)])
