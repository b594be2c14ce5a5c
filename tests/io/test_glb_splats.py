"""A GLB with meshes and splats: read back exactly, valid, one of the two hidden."""

import json

import numpy as np
import pytest
from tests.io.test_glb import TURNED, colored_box, document, empty_mesh, khronos_report

from scenelift.errors import InputError
from scenelift.io.glb import SPLATTING, VISIBILITY, GlbNode, glb_bytes, read_glb, write_glb
from scenelift.types import Gaussians


def some_splats(n: int = 50) -> Gaussians:
    rng = np.random.default_rng(3)
    turns = rng.normal(size=(n, 4))
    return Gaussians(
        means=rng.normal(size=(n, 3)).astype(np.float32),
        scales=rng.uniform(0.001, 0.1, (n, 3)).astype(np.float32),
        rotations=(turns / np.linalg.norm(turns, axis=1, keepdims=True)).astype(np.float32),
        opacities=rng.uniform(0, 1, n).astype(np.float32),
        sh0=rng.normal(size=(n, 3)).astype(np.float32),
    )


@pytest.fixture
def nodes():
    return [
        GlbNode(name="00_cup", mesh=colored_box(), matrix=TURNED, splats=some_splats()),
        GlbNode(name="01_杯子", mesh=empty_mesh(), splats=some_splats(7)),
        GlbNode(name="02_box", mesh=colored_box()),
    ]


def test_mesh_splats_and_pose_come_back_as_they_were(nodes, tmp_path):
    write_glb(tmp_path / "scene.glb", nodes)
    back = read_glb(tmp_path / "scene.glb")
    assert [n.name for n in back] == [n.name for n in nodes]
    for node, again in zip(nodes, back, strict=True):
        np.testing.assert_allclose(again.matrix, node.matrix, atol=1e-7)
        np.testing.assert_array_equal(again.mesh.faces, node.mesh.faces)
        assert (again.splats is None) == (node.splats is None)
        if node.splats is not None and again.splats is not None:
            for field in ("means", "scales", "rotations", "opacities", "sh0"):
                np.testing.assert_array_equal(
                    getattr(again.splats, field), getattr(node.splats, field)
                )


def test_the_file_says_what_the_extension_asks_for(nodes, tmp_path):
    write_glb(tmp_path / "scene.glb", nodes)
    gltf = document(tmp_path / "scene.glb")
    assert gltf["extensionsUsed"] == [SPLATTING, VISIBILITY]
    assert "extensionsRequired" not in gltf  # old readers open it as meshes
    splats = [
        primitive
        for mesh in gltf["meshes"]
        for primitive in mesh["primitives"]
        if SPLATTING in primitive.get("extensions", {})
    ]
    assert len(splats) == 2
    for primitive in splats:
        assert primitive["mode"] == 0
        assert primitive["extensions"][SPLATTING] == {
            "kernel": "ellipse",
            "colorSpace": "srgb_rec709_display",
        }
        kinds = {name: gltf["accessors"][a]["type"] for name, a in primitive["attributes"].items()}
        assert kinds == {
            "POSITION": "VEC3",
            "COLOR_0": "VEC4",
            "KHR_gaussian_splatting:ROTATION": "VEC4",
            "KHR_gaussian_splatting:SCALE": "VEC3",
            "KHR_gaussian_splatting:OPACITY": "SCALAR",
            "KHR_gaussian_splatting:SH_DEGREE_0_COEF_0": "VEC3",
        }


def test_quaternions_are_written_with_w_last(tmp_path):
    splats = some_splats(1)
    write_glb(tmp_path / "s.glb", [GlbNode(name="a", mesh=empty_mesh(), splats=splats)])
    data = (tmp_path / "s.glb").read_bytes()
    w, x, y, z = splats.rotations[0]
    assert np.array([x, y, z, w], "<f4").tobytes() in data


@pytest.mark.parametrize("hidden", ["mesh", "splats"])
def test_one_part_is_hidden_and_never_the_only_one(nodes, tmp_path, hidden):
    write_glb(tmp_path / "scene.glb", nodes, hidden=hidden)
    gltf = document(tmp_path / "scene.glb")
    invisible = [
        n["name"]
        for n in gltf["nodes"]
        if n.get("extensions", {}).get(VISIBILITY) == {"visible": False}
    ]
    assert invisible == [f"00_cup {hidden}"]
    roots = [gltf["nodes"][i] for i in gltf["scenes"][0]["nodes"]]
    assert [n["name"] for n in roots] == ["00_cup", "01_杯子", "02_box"]
    assert all("mesh" not in n for n in roots[:2])


def test_meshes_alone_give_the_bytes_they_always_gave(nodes):
    plain = GlbNode(name="02_box", mesh=colored_box())
    assert b"extensionsUsed" not in glb_bytes([plain])


def test_the_khronos_validator_has_no_complaint_about_what_it_knows(nodes, tmp_path):
    write_glb(tmp_path / "scene.glb", nodes)
    messages = khronos_report(tmp_path / "scene.glb")["issues"]["messages"]
    # It does not know the extension's attributes: it calls them by a code of its own.
    foreign = {"MESH_PRIMITIVE_INVALID_ATTRIBUTE", "UNSUPPORTED_EXTENSION"}
    others = [m for m in messages if m["code"] not in foreign]
    assert not others, others


def test_another_kernel_is_refused(tmp_path):
    write_glb(tmp_path / "s.glb", [GlbNode(name="a", mesh=empty_mesh(), splats=some_splats(2))])
    data = (tmp_path / "s.glb").read_bytes()
    (tmp_path / "s.glb").write_bytes(data.replace(b'"ellipse"', b'"sphere!"'))
    with pytest.raises(InputError, match="kernel"):
        read_glb(tmp_path / "s.glb")
    json.loads(json.dumps(document(tmp_path / "s.glb")))  # still a document
