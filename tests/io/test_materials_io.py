"""Every mesh format carries metal, roughness, alpha and normal maps, as other programs read."""

import io
import json
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image as PillowImage
from tests.drivers.khronos import khronos_report

from scenelift.io.glb import GlbNode, glb_bytes, read_glb, write_glb
from scenelift.io.obj import write_obj
from scenelift.types import Material, Mesh

SIZE = 4


def made_of(material: Material | None) -> Mesh:
    """A square with a texture, seen from +z, u along x and v along y."""
    rng = np.random.default_rng(0)
    return Mesh(
        vertices=np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        uv=np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32),
        texture=rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8),
        normals=np.tile(np.float32([0, 0, 1]), (4, 1)),
        tangents=np.tile(np.float32([1, 0, 0, 1]), (4, 1)),  # written where they are used
        material=material,
    )


def maps(mode="blend") -> Material:
    rng = np.random.default_rng(1)
    surface = rng.integers(0, 256, (SIZE, SIZE, 2), dtype=np.uint8)
    normal = np.tile(np.uint8([128, 128, 255]), (SIZE, SIZE, 1))
    if mode == "opaque":
        return Material(surface=surface, normal=normal)
    alpha = rng.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
    return Material(surface=surface, alpha=alpha, alpha_mode=mode, normal=normal)


KINDS = {
    "blend": maps(),
    "mask": maps("mask"),
    "opaque maps": maps("opaque"),
    "plain metal": Material(metallic=1.0, roughness=0.25),
    "nothing said": None,
}


def gltf_of(data: bytes) -> tuple[dict, bytes]:
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def picture(gltf: dict, binary: bytes, texture: dict) -> np.ndarray:
    view = gltf["bufferViews"][
        gltf["images"][gltf["textures"][texture["index"]]["source"]]["bufferView"]
    ]
    start = view.get("byteOffset", 0)
    with PillowImage.open(io.BytesIO(binary[start : start + view["byteLength"]])) as image:
        return np.array(image)


@pytest.mark.parametrize("kind", KINDS)
def test_a_glb_reads_back_as_it_was_written(tmp_path, kind):
    mesh = made_of(KINDS[kind])
    write_glb(tmp_path / "a.glb", [GlbNode(name="square", mesh=mesh)])
    (node,) = read_glb(tmp_path / "a.glb")
    assert (node.mesh.material is None) == (mesh.material is None)
    np.testing.assert_array_equal(node.mesh.texture, mesh.texture)
    if mesh.material is None:
        return
    if mesh.material.normal is not None:
        np.testing.assert_array_equal(node.mesh.tangents, mesh.tangents)
    read = node.mesh.material
    assert read.alpha_mode == mesh.material.alpha_mode
    assert (read.metallic, read.roughness) == (mesh.material.metallic, mesh.material.roughness)
    for name in ("surface", "alpha", "normal"):
        want, have = getattr(mesh.material, name), getattr(read, name)
        assert (want is None) == (have is None)
        if want is not None:
            np.testing.assert_array_equal(have, want)


def test_gltf_finds_roughness_in_green_metal_in_blue_and_alpha_with_the_colour():
    mesh = made_of(KINDS["blend"])
    gltf, binary = gltf_of(glb_bytes([GlbNode(name="square", mesh=mesh)]))
    (material,) = gltf["materials"]
    surface = material["pbrMetallicRoughness"]
    assert material["alphaMode"] == "BLEND"
    assert surface["metallicFactor"] == surface["roughnessFactor"] == 1
    packed = picture(gltf, binary, surface["metallicRoughnessTexture"])
    np.testing.assert_array_equal(packed[..., 2], mesh.material.surface[..., 0])
    np.testing.assert_array_equal(packed[..., 1], mesh.material.surface[..., 1])
    base = picture(gltf, binary, surface["baseColorTexture"])
    np.testing.assert_array_equal(base[..., 3], mesh.material.alpha)
    assert picture(gltf, binary, material["normalTexture"]).shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_khronos_validator_has_nothing_to_say(tmp_path, kind):
    path = tmp_path / "a.glb"
    write_glb(path, [GlbNode(name="square", mesh=made_of(KINDS[kind]))])
    issues = khronos_report(path)["issues"]
    assert issues["messages"] == []


def test_a_compact_glb_loses_nothing_of_the_maps_that_are_numbers():
    pytest.importorskip("meshoptimizer")
    from scenelift.io.glb_compact import compact_glb

    mesh = made_of(KINDS["blend"])
    gltf, binary = gltf_of(compact_glb(glb_bytes([GlbNode(name="square", mesh=mesh)])))
    for texture in gltf["textures"]:
        texture["source"] = texture["extensions"]["EXT_texture_webp"]["source"]
    (material,) = gltf["materials"]
    packed = picture(gltf, binary, material["pbrMetallicRoughness"]["metallicRoughnessTexture"])
    np.testing.assert_array_equal(packed[..., 2], mesh.material.surface[..., 0])
    np.testing.assert_array_equal(
        picture(gltf, binary, material["normalTexture"]), mesh.material.normal
    )
    base = picture(gltf, binary, material["pbrMetallicRoughness"]["baseColorTexture"])
    assert base.shape == (SIZE, SIZE, 4)


def test_an_obj_names_every_map_by_the_keys_of_its_extension(tmp_path):
    mesh = made_of(KINDS["mask"])
    written = write_obj(tmp_path / "scene.obj", [GlbNode(name="square", mesh=mesh)])
    keys = dict(
        line.split(" ", 1) for line in (tmp_path / "scene.mtl").read_text().splitlines() if line
    )
    for key, expected in {
        "map_Kd": mesh.texture,
        "map_d": mesh.material.alpha,
        "map_Pm": mesh.material.surface[..., 0],
        "map_Pr": mesh.material.surface[..., 1],
        "norm": mesh.material.normal,
    }.items():
        file = tmp_path / keys[key]
        assert file in written
        np.testing.assert_array_equal(np.array(PillowImage.open(file)), expected)
    assert written[-1].name == "scene.obj"
    assert trimesh.load(tmp_path / "scene.obj", force="mesh").faces.shape == (2, 3)


def test_an_obj_without_maps_says_metal_and_roughness_as_numbers(tmp_path):
    write_obj(tmp_path / "scene.obj", [GlbNode(name="square", mesh=made_of(KINDS["plain metal"]))])
    lines = (tmp_path / "scene.mtl").read_text().splitlines()
    assert {"Pm 1", "Pr 0.25"} <= set(lines)


def test_a_usd_preview_surface_reads_the_same_numbers(tmp_path):
    pytest.importorskip("pxr", reason="the extra 'usd' is not installed")
    from pxr import Usd, UsdShade

    from scenelift.io.usd import write_usdz

    write_usdz(
        tmp_path / "a.usdz",
        [
            GlbNode(name="square", mesh=made_of(KINDS["mask"])),
            GlbNode(name="metal", mesh=made_of(KINDS["plain metal"])),
        ],
    )
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    shader = UsdShade.Shader(stage.GetPrimAtPath("/scene/square/material_square/surface"))
    for name, channel in {
        "diffuseColor": "rgb",
        "opacity": "a",
        "metallic": "b",
        "roughness": "g",
        "normal": "rgb",
    }.items():
        source, output, _ = shader.GetInput(name).GetConnectedSource()
        assert output == channel
        file = UsdShade.Shader(source.GetPrim()).GetInput("file").Get()
        assert file.resolvedPath
    assert shader.GetInput("opacityThreshold").Get() == 0.5
    metal = UsdShade.Shader(stage.GetPrimAtPath("/scene/metal/material_metal/surface"))
    assert metal.GetInput("metallic").Get() == 1.0
    assert metal.GetInput("roughness").Get() == 0.25


def test_maps_without_texture_coordinates_are_refused():
    with pytest.raises(ValueError, match="need uv"):
        Mesh(
            vertices=np.zeros((3, 3), np.float32),
            faces=np.array([[0, 1, 2]], np.int32),
            material=Material(surface=np.zeros((2, 2, 2), np.uint8)),
        )
    with pytest.raises(ValueError, match="alpha_mode"):
        Material(alpha=np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="metallic"):
        Material(metallic=1.5)
