"""Models named by repository and commit are fetched and rebuilt: from local repositories here."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
import trimesh
from PIL import Image as Pillow
from trimesh.exchange.gltf import export_glb, export_gltf
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial
from typer.testing import CliRunner

from scenelift.commands.train import app
from scenelift.errors import InputError, ManifestError, SetupError
from scenelift.training.collected import rebuild, repositories
from scenelift.training.collected.rebuild import collect
from scenelift.training.collected.rows import read_rows
from scenelift.training.scenes.pack import MeshPack

COLLADA = """<?xml version="1.0"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset><unit name="meter" meter="1"/><up_axis>Z_UP</up_axis></asset>
<library_effects><effect id="e"><profile_COMMON><technique sid="c"><lambert>
<diffuse><color>0.1 0.8 0.2 1</color></diffuse></lambert></technique></profile_COMMON></effect>
</library_effects>
<library_materials><material id="m" name="m"><instance_effect url="#e"/></material>
</library_materials>
<library_geometries><geometry id="g"><mesh>
<source id="p"><float_array id="a" count="12">0 0 0 1 0 0 0 2 0 0 0 4</float_array>
<technique_common><accessor source="#a" count="4" stride="3">
<param name="X" type="float"/><param name="Y" type="float"/><param name="Z" type="float"/>
</accessor></technique_common></source>
<vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
<triangles count="4" material="s"><input semantic="VERTEX" source="#v" offset="0"/>
<p>0 2 1 0 1 3 1 2 3 0 3 2</p></triangles></mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="w"><node><instance_geometry url="#g"><bind_material>
<technique_common><instance_material symbol="s" target="#m"/></technique_common></bind_material>
</instance_geometry></node></visual_scene></library_visual_scenes>
<scene><instance_visual_scene url="#w"/></scene></COLLADA>
"""
SDF = """<sdf version="1.6"><model name="cart"><link name="l">
<visual name="a"><pose>0 0 1 0 0 1.5707963</pose>
<geometry><mesh><uri>model://wedge/wedge.dae</uri><scale>1 1 0.5</scale></mesh></geometry></visual>
<visual name="b"><pose>0 0 0.5 0 0 0</pose>
<geometry><box><size>4 1 1</size></box></geometry></visual>
</link></model></sdf>"""

FBX = """; FBX 7.4.0 project file
FBXHeaderExtension: { FBXHeaderVersion: 1003
FBXVersion: 7400
}
GlobalSettings: { Version: 1000
Properties70: {
P: "UpAxis", "int", "Integer", "",2
P: "UpAxisSign", "int", "Integer", "",1
P: "FrontAxis", "int", "Integer", "",1
P: "FrontAxisSign", "int", "Integer", "",-1
P: "CoordAxis", "int", "Integer", "",0
P: "CoordAxisSign", "int", "Integer", "",1
}
}
Objects: {
Geometry: 10, "Geometry::g", "Mesh" {
Vertices: *12 { a: 0,0,0,1,0,0,0,2,0,0,0,4
}
PolygonVertexIndex: *12 { a: 0,2,-2,0,1,-4,1,2,-4,0,3,-3
}
LayerElementMaterial: 0 { Version: 101
Name: ""
MappingInformationType: "AllSame"
ReferenceInformationType: "IndexToDirect"
Materials: *1 { a: 0
}
}
Layer: 0 { Version: 100
LayerElement: { Type: "LayerElementMaterial"
TypedIndex: 0
}
}
}
Model: 20, "Model::m", "Mesh" { Version: 232
Properties70: { P: "Lcl Scaling", "Lcl Scaling", "", "A",1,1,0.75
}
}
Material: 30, "Material::Leaves", "" { Version: 102
ShadingModel: "phong"
Properties70: { P: "DiffuseColor", "Color", "", "A",0.8,0.8,0.8
}
}
}
Connections: { C: "OO",20,0
C: "OO",10,20
C: "OO",30,20
}
"""


def textured_box(path, picture, sides=(2, 1, 1), reach=1.0):
    mesh = trimesh.creation.box(sides)
    mesh.unmerge_vertices()
    uv = np.tile([(0, 0), (reach, 0), (0, reach)], (len(mesh.faces), 1))
    material = PBRMaterial(baseColorTexture=picture)
    mesh.visual = TextureVisuals(uv=uv, material=material)
    path.parent.mkdir(parents=True, exist_ok=True)
    files = {path.name: export_glb(trimesh.Scene(mesh))}
    if path.suffix == ".gltf":
        files = export_gltf(trimesh.Scene(mesh))
        files[path.name] = files.pop("model.gltf")
    for name, data in files.items():
        (path.parent / name).write_bytes(data)


def commit(folder) -> str:
    def git(*words):
        done = subprocess.run(
            ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *words],
            check=True, capture_output=True,
        )  # fmt: skip
        return done.stdout.decode().strip()

    git("init", "--quiet")
    git("config", "uploadpack.allowFilter", "true")
    git("config", "uploadpack.allowAnySHA1InWant", "true")
    git("add", "--all")
    git("commit", "--quiet", "--message", "models")
    return git("rev-parse", "HEAD")


@pytest.fixture(scope="module")
def standin(tmp_path_factory):
    """Two repositories of tiny models, and the rows that name them."""
    base = tmp_path_factory.mktemp("server")
    toys, robots = base / "maker/toys", base / "lab/robots"
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    textured_box(toys / "Box [old]/box.glb", Pillow.fromarray(noise))
    palette = np.zeros((8, 8, 3), np.uint8)
    palette[:] = 200, 30, 40
    textured_box(toys / "plain/plain.gltf", Pillow.fromarray(palette), (1, 3, 1), reach=0.1)
    clear = np.zeros((8, 8, 4), np.uint8)
    textured_box(toys / "leaf/leaf.glb", Pillow.fromarray(clear))
    ball = trimesh.creation.icosphere(subdivisions=5, radius=2)  # 20 480 faces
    ball.visual = TextureVisuals(material=PBRMaterial(baseColorFactor=[0.214, 0.214, 0.214, 1.0]))
    (toys / "ball").mkdir()
    ball.export(toys / "ball/ball.glb")
    (toys / "fin").mkdir()
    (toys / "fin/fin.obj").write_text(
        "mtllib fin.mtl\nv 0 0 0\nv 2 0 0\nv 0 1 0\nv 0 0 1\nusemtl DarkWood\n"
        "f 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n"
    )
    (toys / "fin/fin.mtl").write_text("newmtl DarkWood\nKd 0.6 0.6 0.6\n")
    (toys / "fin/shrub.fbx").write_text(FBX)
    (toys / "broken").mkdir()
    (toys / "broken/broken.glb").write_bytes(b"glTF but no more")
    (toys / "huge").mkdir()
    (toys / "huge/film.bin").write_bytes(noise.tobytes() * 10)
    (toys / "LICENSE").write_text("do what you like")
    (robots / "wedge").mkdir(parents=True)
    (robots / "wedge/wedge.dae").write_text(COLLADA)
    (robots / "cart").mkdir()
    (robots / "cart/model.sdf").write_text(SDF)
    (robots / "terms.txt").write_text("name us")
    commits = {"maker/toys": commit(toys), "lab/robots": commit(robots)}

    def row(name, path, size, *, repository="maker/toys", **others):
        source = repository.split("/")[1]
        about = {
            "id": f"{source}#{name}",
            "name": name,
            "category": name,
            "source": source,
            "repository": repository,
            "commit": commits[repository],
            "path": path,
            "author": f"who made {name}",
            "licence": "CC0-1.0",
            "licence_stated_in": "LICENSE",
            "faces_before": 12,
            "size_m": None,
            "size_guess_m": size,
            "split": "train",
        }
        return about | others

    named = {"repository": "lab/robots", "licence": "CC-BY-4.0"}
    rows = [
        row("box", "Box [old]/box.glb", [2, 1, 1]),
        row("plain", "plain/plain.gltf", [0.1, 0.3, 0.1]),
        row("table", "plain/plain.gltf", [0.1, 0.1, 0.3], split="test"),
        row("leaf", "leaf/leaf.glb", [2, 1, 1]),
        row("ball", "ball/ball.glb", [1, 1, 1]),
        row("fin", "fin/fin.obj", [2, 1, 1]),
        row("shrub", "fin/shrub.fbx", [1, 3, 2]),
        row("broken", "broken/broken.glb", [1, 1, 1]),
        row("lost", "lost/lost.glb", [1, 1, 1]),
        row("other", "fin/fin.obj", [1, 1, 1]),
        row("wedge", "wedge/wedge.dae", [1, 4, 2], **named, licence_stated_in="terms.txt (line 1)"),
        row("cart", "cart/model.sdf", [4, 3, 1.5], **named),
    ]
    manifest = base / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return base, manifest, rows


@pytest.fixture(scope="module")
def made(standin, tmp_path_factory):
    base, manifest, _ = standin
    folder = tmp_path_factory.mktemp("made")
    lines = []
    done = collect(manifest, folder, base=base.as_uri(), say=lines.append)
    packs = [MeshPack.read(folder / f"models/{name}.npz") for name in ("toys", "robots")]
    models = {m.entry.id.split("#")[1]: m for pack in packs for m in pack.models}
    return folder, done, models, lines


def test_what_can_be_read_is_in_the_packs_and_the_rest_has_a_reason(made):
    _, done, models, lines = made
    assert sorted(models) == ["ball", "box", "cart", "fin", "plain", "shrub", "table", "wedge"]
    reasons = dict(done[0].left_out)
    assert "transparent pictures" in reasons["toys#leaf"]
    assert "broken.glb cannot be read" in reasons["toys#broken"]
    assert "no file lost.glb" in reasons["toys#lost"]
    assert "its sides are 1.00 x" in reasons["toys#other"]
    assert done[1].left_out == ()
    assert lines == ["toys: 6 models, 4 left out", "robots: 2 models, 0 left out"]


def test_models_stand_as_the_manifest_says(made, standin):
    _, _, models, _ = made
    sizes = {row["name"]: np.array(row["size_guess_m"]) for row in standin[2]}
    for name, model in models.items():
        sides = np.ptp(model.surface.vertices[np.unique(model.surface.faces)], axis=0)
        np.testing.assert_allclose(sides, sizes[name] / sizes[name].max(), atol=0.05)
        np.testing.assert_allclose(model.entry.size, sizes[name])
    assert models["table"].label == "dining table"
    assert models["table"].split == "val"
    for name in ("wedge", "shrub"):  # their points are at the top: along z in the files
        corners = models[name].surface.vertices
        assert np.ptp(corners[corners[:, 1] > 0.4], axis=0).max() < 0.1


def test_colours_come_along(made):
    _, _, models, _ = made
    assert len(models["box"].surface.textures) == 1
    plain = models["plain"].surface
    assert plain.textures == ()
    np.testing.assert_allclose(plain.face_color, np.tile([200, 30, 40], (12, 1)) / 255, atol=0.01)
    ball = models["ball"].surface  # a linear factor
    np.testing.assert_allclose(ball.face_color, 0.5, atol=0.01)
    assert 6000 < len(ball.faces) <= 8000
    np.testing.assert_allclose(models["wedge"].surface.face_color[0], (0.1, 0.8, 0.2), atol=0.01)
    np.testing.assert_allclose(models["shrub"].surface.face_color[0], (0.13, 0.55, 0.13), atol=0.01)
    wood = models["fin"].surface.face_color[0]  # by its name: the file has greys alone
    assert wood[0] > wood[1] > wood[2]
    assert len(np.unique(models["cart"].surface.face_color, axis=0)) == 2


def test_licences_and_authors_lie_beside(made):
    folder, *_ = made
    assert (folder / "licences/maker+toys/LICENSE").read_text() == "do what you like"
    assert (folder / "licences/lab+robots/terms.txt").read_text() == "name us"
    first, last = (folder / "attribution.txt").read_text().splitlines()
    assert first == "CC-BY-4.0: who made cart; who made wedge"
    assert last.startswith("CC0-1.0: who made ball; who made box")


def test_only_the_folders_asked_for_are_fetched(made):
    folder, *_ = made
    (toys,) = (folder / "repositories").glob("maker+toys@*")
    assert (toys / "fin/fin.mtl").is_file()
    assert not (toys / "huge").exists()


def test_what_is_complete_is_not_made_again(made, standin, monkeypatch):
    folder, done, *_ = made
    base, manifest, _ = standin

    def refused(*_):
        raise AssertionError("fetched again")

    with monkeypatch.context() as patch:
        patch.setattr(rebuild, "fetch_folders", refused)
        assert collect(manifest, folder, base=base.as_uri()) == done
        (folder / "models/robots.left-out.json").unlink()  # as if it had been stopped there
        with pytest.raises(AssertionError, match="fetched again"):
            collect(manifest, folder, base=base.as_uri(), only=["robots"])
    # The commit is here: the server is not asked for it again.
    assert collect(manifest, folder, base="file:///nowhere", only=["robots"]) == done[1:]


def test_a_server_that_lacks_the_commit_is_told_of(standin, tmp_path):
    base, manifest, rows = standin
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps(rows[0] | {"commit": "0" * 40}))
    with pytest.raises(SetupError, match="`git fetch` failed"):
        collect(other, tmp_path / "out", base=base.as_uri())
    with pytest.raises(InputError, match=r"no source 'birds'\. It has: robots, toys"):
        collect(manifest, tmp_path / "out", base=base.as_uri(), only=["birds"])


def test_without_git_it_is_said(standin, tmp_path, monkeypatch):
    monkeypatch.setattr(repositories.shutil, "which", lambda name: None)
    with pytest.raises(SetupError, match="program git"):
        collect(standin[1], tmp_path, base=standin[0].as_uri())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"repository": "--upload-pack=x/y z"}, "is not owner/name"),
        ({"commit": "main"}, "40 hexadecimal digits"),
        ({"path": "../../etc/passwd"}, "leads out of the repository"),
        ({"source": "../x"}, "is no file name"),
        ({"split": "dev"}, "none of train, val, test"),
        ({"size_guess_m": [1, 2]}, "not three numbers"),
        ({"author": None}, "'author' is None, not text"),
    ],
)
def test_rows_that_cannot_be_fetched_safely_are_refused(standin, tmp_path, change, reason):
    rows = [standin[2][0] | change, standin[2][1], standin[2][1]]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(json.dumps(r) for r in rows) + "\nno JSON\n")
    with pytest.raises(ManifestError) as caught:
        read_rows(manifest)
    lines = dict(caught.value.problems)
    assert reason in lines[1]
    assert "stands twice" in lines[3]
    assert 4 in lines


def test_files_of_one_name_in_two_folders_are_two(standin, tmp_path):
    manifest = tmp_path / "manifest.jsonl"
    rows = [standin[2][0], standin[2][0] | {"path": "new/box.glb"}]
    manifest.write_text("\n".join(json.dumps(r) for r in rows))
    assert [row.id for row in read_rows(manifest)] == ["toys#box", "toys#box~2"]


def test_the_command_says_what_it_left_out(made, standin):
    folder, *_ = made
    words = ["fetch", str(standin[1]), str(folder), "--from", standin[0].as_uri(), "--only", "toys"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0
    assert "toys: 6 models, 4 left out" in result.stdout
    assert "  toys#lost: there is no file lost.glb" in result.stdout
