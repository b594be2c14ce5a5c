"""GLBs are valid glTF, look right in viewers and come back as they were."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from tests.drivers.khronos import khronos_report

from scenelift.errors import InputError
from scenelift.finish.stage import finish_mesh
from scenelift.geometry.transforms import compose_transform
from scenelift.io.glb import GlbNode, glb_bytes, read_glb, write_glb
from scenelift.options import FinishOptions
from scenelift.types import Mesh

TURNED = compose_transform(1.7, [0.9, 0.1, -0.3, 0.2], [0.5, -1, -3])


def colored_box() -> Mesh:
    box = trimesh.creation.box()
    rng = np.random.default_rng(0)
    return Mesh(
        vertices=box.vertices.astype(np.float32),
        faces=box.faces.astype(np.int32),
        colors=rng.integers(0, 256, (len(box.vertices), 3), np.uint8),
        normals=box.vertex_normals.astype(np.float32),
    )


def textured_square() -> Mesh:
    return Mesh(
        vertices=np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        uv=np.array([[0, 0], [1, 0], [1, 1], [0, 0.75]], np.float32),
        texture=np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8),
    )


def empty_mesh() -> Mesh:
    return Mesh(vertices=np.zeros((0, 3), np.float32), faces=np.zeros((0, 3), np.int32))


def large_mesh() -> Mesh:
    ball = trimesh.creation.icosphere(subdivisions=7)  # more vertices than 16 bits count
    return Mesh(vertices=ball.vertices.astype(np.float32), faces=ball.faces.astype(np.int32))


def some_nodes() -> list[GlbNode]:
    return [
        GlbNode(name="00_box", mesh=colored_box(), matrix=TURNED),
        GlbNode(name="01_Bücher", mesh=textured_square()),
        GlbNode(name="02_nothing", mesh=empty_mesh()),
    ]


def document(path: Path) -> dict:
    data = path.read_bytes()
    (size,) = struct.unpack_from("<I", data, 12)
    return json.loads(data[20 : 20 + size])


@pytest.mark.parametrize(
    "nodes",
    [some_nodes(), [], [GlbNode(name="ball", mesh=large_mesh())]],
    ids=["objects", "none", "large"],
)
def test_khronos_validator_has_nothing_to_say(tmp_path, nodes):
    path = tmp_path / "scene.glb"
    write_glb(path, nodes)
    issues = khronos_report(path)["issues"]
    assert issues["numErrors"] == issues["numWarnings"] == 0, issues["messages"]


@pytest.mark.parametrize("ending", ["textured.glb", "colored.glb", "compact.glb"])
def test_khronos_validator_has_nothing_to_say_of_finished_meshes(tmp_path, ending):
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.4)
    decoded = Mesh(
        vertices=ball.vertices.astype(np.float32),
        faces=ball.faces.astype(np.int32),
        colors=np.rint(255 * (ball.vertices + 0.5)).astype(np.uint8),
    )
    options = FinishOptions(faces=500, texture_size=64, vertex_colors=ending == "colored.glb")
    nodes = [GlbNode(name="ball", mesh=finish_mesh(decoded, None, options).mesh, matrix=TURNED)]
    path = tmp_path / ending
    if ending == "compact.glb":
        pytest.importorskip("meshoptimizer", reason="meshoptimizer is not installed")
        from scenelift.io.glb_compact import compact_glb

        path.write_bytes(compact_glb(glb_bytes(nodes)))
    else:
        write_glb(path, nodes)
    issues = khronos_report(path)["issues"]
    assert issues["numErrors"] == issues["numWarnings"] == 0, issues["messages"]


def test_round_trip(tmp_path):
    path = tmp_path / "scene.glb"
    write_glb(path, some_nodes())
    back = read_glb(path)
    assert [node.name for node in back] == [node.name for node in some_nodes()]
    for node, original in zip(back, some_nodes(), strict=True):
        np.testing.assert_allclose(node.matrix, original.matrix, atol=1e-12)
        for name in ("vertices", "faces", "colors", "texture"):
            np.testing.assert_array_equal(
                getattr(node.mesh, name), getattr(original.mesh, name), err_msg=name
            )
        for name in ("uv", "normals"):
            value, expected = getattr(node.mesh, name), getattr(original.mesh, name)
            assert (value is None) == (expected is None)
            if value is not None:
                np.testing.assert_allclose(value, expected, atol=1e-6)


def test_every_srgb_value_survives_linear_vertex_colours(tmp_path):
    box = colored_box()
    vertices = np.random.default_rng(0).normal(size=(256, 3)).astype(np.float32)
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    mesh = Mesh(vertices=vertices, faces=box.faces, colors=grey)
    write_glb(tmp_path / "grey.glb", [GlbNode(name="grey", mesh=mesh)])
    (node,) = read_glb(tmp_path / "grey.glb")
    np.testing.assert_array_equal(node.mesh.colors, grey)


def test_vertex_colours_are_linear_in_the_file(tmp_path):
    box = colored_box()
    middle = Mesh(vertices=box.vertices, faces=box.faces, colors=np.full((8, 3), 188, np.uint8))
    write_glb(tmp_path / "a.glb", [GlbNode(name="a", mesh=middle)])
    loaded = trimesh.load_scene(tmp_path / "a.glb")
    (geometry,) = loaded.geometry.values()
    # sRGB 188 is half the light. trimesh hands out the file's linear values.
    half = np.asarray(geometry.visual.vertex_attributes["color"])[:, :3] / 65535
    np.testing.assert_allclose(half, 0.5, atol=0.005)


def test_another_program_sees_the_scene_where_we_put_it(tmp_path):
    path = tmp_path / "scene.glb"
    write_glb(path, some_nodes())
    scene = trimesh.load_scene(path)
    matrix, _ = scene.graph["00_box"]
    np.testing.assert_allclose(matrix, TURNED, atol=1e-6)
    _, name = scene.graph["01_Bücher"]
    visual = scene.geometry[name].visual
    np.testing.assert_allclose(visual.uv, textured_square().uv, atol=1e-6)
    shown = np.asarray(visual.material.baseColorTexture)[..., :3]
    np.testing.assert_array_equal(shown, textured_square().texture)


def test_materials_are_not_metallic_and_two_sided_only_where_open(tmp_path):
    path = tmp_path / "scene.glb"
    # A seam of texture coordinates splits vertices: the box of separate faces is still closed.
    box = colored_box()
    split = Mesh(
        vertices=box.vertices[box.faces.ravel()],
        faces=np.arange(3 * len(box.faces), dtype=np.int32).reshape(-1, 3),
    )
    write_glb(path, [*some_nodes(), GlbNode(name="split", mesh=split)])
    materials = {m["name"]: m for m in document(path)["materials"]}
    assert all(m["pbrMetallicRoughness"]["metallicFactor"] == 0 for m in materials.values())
    assert materials["01_Bücher"]["doubleSided"] is True
    assert "doubleSided" not in materials["00_box"]
    assert "doubleSided" not in materials["split"]


def test_the_same_objects_give_the_same_bytes(tmp_path):
    for name in ("a.glb", "b.glb"):
        write_glb(tmp_path / name, some_nodes())
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()
    assert document(tmp_path / "a.glb")["asset"] == {"version": "2.0", "generator": "scenelift"}


def test_a_mirrored_matrix_is_refused(tmp_path):
    node = GlbNode(name="mirrored", mesh=colored_box(), matrix=np.diag([-1.0, 1, 1, 1]))
    with pytest.raises(ValueError, match="similarity"):
        write_glb(tmp_path / "a.glb", [node])


@pytest.mark.parametrize("damage", ["empty", "cut", "magic", "json", "index", "types", "nested"])
def test_damaged_files_are_refused(tmp_path, damage):
    path = tmp_path / "scene.glb"
    write_glb(path, some_nodes())
    data = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "cut": data[:-10],
            "magic": b"glTG" + data[4:],
            "json": data.replace(b'"asset"', b'"asset'),
            "types": data.replace(b'"nodes":[0,1,2]', b'"nodes":[{},[]]'),
            "nested": data[:20] + b"[" * (len(data) - 20),
            "index": data.replace(b'"bufferView":1', b'"bufferView":9'),
        }[damage]
    )
    with pytest.raises(InputError, match=r"scene\.glb"):
        read_glb(path)
