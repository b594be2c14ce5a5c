"""OBJs hold every object in the scene frame, with its colours, for any 3D program."""

import numpy as np
import pytest
import trimesh

from scenelift import threads
from scenelift.geometry.transforms import compose_transform, transform_points
from scenelift.io import obj
from scenelift.io.glb import GlbNode
from scenelift.io.obj import write_obj
from scenelift.types import Mesh

TURNED = compose_transform(1.7, [0.9, 0.1, -0.3, 0.2], [0.5, -1, -3])


def colored_box() -> Mesh:
    box = trimesh.creation.box()
    return Mesh(
        vertices=box.vertices.astype(np.float32),
        faces=box.faces.astype(np.int32),
        colors=np.random.default_rng(0).integers(0, 256, (8, 3), np.uint8),
        normals=box.vertex_normals.astype(np.float32),
    )


def textured_square(*, normals: bool = False) -> Mesh:
    return Mesh(
        vertices=np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        uv=np.array([[0, 0], [1, 0], [1, 1], [0, 0.75]], np.float32),
        texture=np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8),
        normals=np.tile(np.float32([0, 0, 1]), (4, 1)) if normals else None,
    )


def some_nodes() -> list[GlbNode]:
    return [
        GlbNode(name="00_square", mesh=textured_square(), matrix=TURNED),
        GlbNode(name="01_box", mesh=colored_box(), matrix=TURNED),
        GlbNode(name="02_my mat", mesh=textured_square(normals=True)),
    ]


def parsed(path) -> dict[str, list]:
    """The file read by hand: values of v, vt, vn, and faces of each object."""
    rows: dict[str, list] = {"v": [], "vt": [], "vn": []}
    for line in path.read_text("ascii").splitlines():
        key, *values = line.split()
        if key in rows:
            rows[key].append([float(v) for v in values])
        elif key == "o":
            rows[" ".join(values)] = group = []
        elif key == "f":
            group.append([[int(n or 0) for n in corner.split("/")] for corner in values])
    return rows


def test_objects_are_named_and_stand_in_the_scene_frame(tmp_path):
    path = tmp_path / "scene.obj"
    write_obj(path, some_nodes())
    rows = parsed(path)
    for name, node in zip(("00_square", "01_box", "02_my_mat"), some_nodes(), strict=True):
        faces = np.array(rows[name])[..., 0] - 1
        corners = np.array([v[:3] for v in rows["v"]])[faces]
        expected = transform_points(node.mesh.vertices, node.matrix)[node.mesh.faces]
        np.testing.assert_allclose(corners, expected, atol=1e-6)  # seven digits
        if node.mesh.uv is not None:
            numbers = np.array(rows[name])[..., 1] - 1
            uv = np.array(rows["vt"])[numbers]
            np.testing.assert_allclose(uv, node.mesh.uv[node.mesh.faces], atol=1e-6)
        if node.mesh.normals is not None:
            numbers = np.array(rows[name])[..., 2] - 1
            normals = np.array(rows["vn"])[numbers]
            np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-4)
            turned = transform_points(node.mesh.normals, node.matrix) - node.matrix[:3, 3]
            np.testing.assert_allclose(
                1.7 * normals if node.name == "01_box" else normals,
                turned[node.mesh.faces],
                atol=1e-4,
            )


def test_vertex_colours_follow_the_coordinates(tmp_path):
    write_obj(tmp_path / "box.obj", [GlbNode(name="box", mesh=colored_box())])
    rows = np.array(parsed(tmp_path / "box.obj")["v"])
    np.testing.assert_array_equal(np.rint(rows[:, 3:] * 255), colored_box().colors)


def test_another_program_finds_materials_and_textures(tmp_path):
    files = write_obj(tmp_path / "scene.obj", some_nodes())
    assert {f.name for f in files} == {f.name for f in tmp_path.iterdir()}
    assert files[-1] == tmp_path / "scene.obj"
    scene = trimesh.load_scene(tmp_path / "scene.obj", group_material=False, split_object=True)
    textures = [
        np.asarray(g.visual.material.image)
        for g in scene.geometry.values()
        if getattr(g.visual, "uv", None) is not None
    ]
    assert len(textures) == 2
    for texture in textures:
        np.testing.assert_array_equal(texture[..., :3], textured_square().texture)


def test_objects_of_one_name_stay_apart(tmp_path):
    twins = [GlbNode(name="mug", mesh=textured_square()) for _ in range(2)]
    write_obj(tmp_path / "scene.obj", twins)
    rows = parsed(tmp_path / "scene.obj")
    assert [key for key in rows if key.startswith("mug")] == ["mug_0", "mug_1"]


@pytest.mark.parametrize(
    "nodes",
    [
        [],
        [
            GlbNode(
                name="none",
                mesh=Mesh(vertices=np.zeros((0, 3), np.float32), faces=np.zeros((0, 3), np.int32)),
            )
        ],
    ],
)
def test_nothing_to_write_is_a_valid_file(tmp_path, nodes):
    write_obj(tmp_path / "scene.obj", nodes)
    assert parsed(tmp_path / "scene.obj")["v"] == []


def test_the_same_objects_give_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_obj(tmp_path / folder / "scene.obj", some_nodes())
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_vertex_colours_come_first_and_without_a_material(tmp_path):
    write_obj(tmp_path / "scene.obj", some_nodes())
    lines = (tmp_path / "scene.obj").read_text("ascii").splitlines()
    order = [line for line in lines if line.startswith(("o ", "usemtl "))]
    # A material holds for all that follows, so that what has none must come before.
    assert order == [
        "o 01_box",
        "o 00_square",
        "usemtl 00_square",
        "o 02_my_mat",
        "usemtl 02_my_mat",
    ]
    assert "newmtl 01_box" not in (tmp_path / "scene.mtl").read_text()


def test_a_scene_of_vertex_colours_has_no_material_file(tmp_path):
    written = write_obj(tmp_path / "scene.obj", [GlbNode(name="a", mesh=colored_box())])
    assert [path.name for path in written] == ["scene.obj"]
    assert "mtl" not in (tmp_path / "scene.obj").read_text()


def test_text_of_few_large_objects_is_held_at_once(tmp_path, monkeypatch):
    computed, at_each = [], []

    def blocks(mesh, matrix, first):
        computed.append(first)

        def written():
            at_each.append(len(computed))
            yield b""

        return written()

    monkeypatch.setattr(threads, "core_count", lambda: 8)
    monkeypatch.setattr(obj, "FACES_AT_ONCE", 3)
    monkeypatch.setattr(obj, "_object", blocks)
    write_obj(tmp_path / "scene.obj", 6 * [GlbNode(name="a", mesh=textured_square())])
    assert at_each == [1, 2, 3, 4, 5, 6]
