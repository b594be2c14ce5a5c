"""Our files through other people's readers: boxes, places, colours, names, the way up, units.

The table that these tests print is what versions named in `package.json` do with our files;
docs/formats.md quotes it.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.interop import python_readers as python
from tests.interop.readers import assimp, khronos, splat_transform
from tests.interop.readings import Reading
from tests.interop.table import TABLE, Verdict, judged

# A reader's axes, as what it makes of ours (x right, y up, z towards the viewer).
UP = np.eye(3)
TURNED = np.diag([1.0, -1.0, -1.0])  # x right, y down, z ahead: COLMAP's, INRIA's
MIRRORED = np.diag([1.0, -1.0, 1.0])  # Babylon's right-handed mode mirrors y of splat files
SUPERSPLAT = np.diag([-1.0, -1.0, 1.0])  # half a turn about z
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])  # Blender's, printers', simulators'

TABLES_DIGITS = 0.03  # splats fill their boxes by chance, and files have 8 to 24 bits


def check(
    file: str,
    reader: str,
    reading: Reading,
    axes: np.ndarray = UP,
    *,
    unit: float = 1.0,
    names: int | None = None,
    colours: bool = True,
    on_plate: bool = False,
) -> Verdict:
    """All three colours must be where they belong and look as they were written."""
    verdict = None if reading.refusal else judged(reading, axes, on_plate=on_plate)
    TABLE.add(file, reader, reading, verdict)
    assert verdict is not None, f"{reader} refuses {file}: {reading.refusal}"
    if colours:
        assert set(reading.centres) == {"red", "green", "blue"}, f"{reader} on {file}: {reading}"
    assert verdict.unit == unit, f"{reader} on {file}: {reading}"
    assert max(verdict.box, verdict.place, verdict.colour) < TABLES_DIGITS, (verdict, reading)
    assert names is None or verdict.names == names, f"{reader} on {file}: {reading.names}"
    return verdict


@pytest.mark.parametrize("look", ["colours", "textures"])
def test_three_reads_meshes_with_names_and_colours(browser, look):
    glb, obj = f"{look}/scene.glb", f"{look}/scene.obj"
    check(glb, "three", browser.read("three", glb), names=3)
    # What has vertex colours has no material, and no .mtl.
    check(obj, "three", browser.read("three", obj, mtl=look == "textures"), names=3)


@pytest.mark.parametrize("library", ["babylon", "playcanvas"])
def test_engines_read_meshes(browser, library):
    check("colours/scene.glb", library, browser.read(library, "colours/scene.glb"), names=3)


def test_three_reads_what_printers_get(browser):
    stl, threemf = "colours/scene.stl", "colours/scene.3mf"
    printers = {"unit": 1000.0, "on_plate": True}
    check(stl, "three", browser.read("three", stl), Z_UP, colours=False, **printers)
    check(threemf, "three", browser.read("three", threemf), Z_UP, **printers)


def test_three_shows_mesh_and_points_without_its_splat_addon(browser):
    reading = browser.read("three", "colours/scene.splats.glb")
    check("scene.splats.glb", "three", reading, names=3)
    assert reading.shown == {"mesh", "points"}  # it does not know KHR_node_visibility


def test_three_shows_splats_with_its_splat_addon(browser):
    reading = browser.read("three", "colours/scene.splats.glb", splats=True)
    check("scene.splats.glb", "three + addon", reading, names=3)
    assert "splats" in reading.shown


def test_babylon_shows_the_splats_and_hides_the_meshes(browser):
    reading = browser.read("babylon", "colours/scene.splats.glb")
    check("scene.splats.glb", "babylon", reading, names=3)
    assert reading.shown == {"splats"}


def test_playcanvas_reads_both(browser):
    reading = browser.read("playcanvas", "colours/scene.splats.glb")
    check("scene.splats.glb", "playcanvas", reading, names=3)
    assert {"mesh", "splats"} <= reading.kinds


@pytest.mark.parametrize("kind", ["ply", "splat", "spz", "spz3.spz"])
def test_three_reads_splat_files_as_they_stand(browser, kind):
    file = f"scene.{kind}"
    axes = UP if "spz" in kind else TURNED
    check(file, "three", browser.read("three", f"colours/{file}"), axes)


@pytest.mark.parametrize("kind", ["ply", "splat", "sog", "spz", "spz3.spz"])
def test_babylon_reads_splat_files_with_y_down(browser, kind):
    file = f"scene.{kind}"
    axes = MIRRORED if "spz" in kind else MIRRORED @ TURNED
    check(file, "babylon", browser.read("babylon", f"colours/{file}"), axes)


@pytest.mark.parametrize("kind", ["ply", "compressed.ply", "sog"])
def test_playcanvas_reads_splat_files(browser, kind):
    file = f"scene.{kind}"
    check(file, "playcanvas", browser.read("playcanvas", f"colours/{file}"), TURNED)
    supersplat = browser.read("playcanvas", f"colours/{file}", turned=True)
    check(file, "supersplat", supersplat, SUPERSPLAT @ TURNED)
    assert supersplat.up == "+y"


@pytest.mark.parametrize("kind", ["ply", "splat", "sog", "compressed.ply", "spz3.spz"])
def test_spark_reads_splat_files_as_they_stand(browser, kind):
    file = f"scene.{kind}"
    axes = UP if "spz" in kind else TURNED
    check(file, "spark", browser.read("spark", f"colours/{file}"), axes)


def test_spark_does_not_read_spz_4(browser):
    reading = browser.read("spark", "colours/scene.spz")
    TABLE.add("scene.spz", "spark", reading, None)
    assert "gzip" in reading.refusal


@pytest.mark.parametrize("kind", ["ply", "compressed.ply", "splat", "sog", "spz", "spz3.spz"])
def test_splat_transform_reads_splat_files_in_the_axes_of_inria(scene_folder, tmp_path, kind):
    file = scene_folder / "colours" / f"scene.{kind}"
    check(file.name, "splat-transform", splat_transform(file, tmp_path), TURNED)


@pytest.mark.parametrize("kind", ["glb", "obj", "splats.glb"])
def test_assimp_reads_meshes(scene_folder, kind):
    file = scene_folder / "colours" / f"scene.{kind}"
    reading = assimp(file)
    check(f"colours/{file.name}", "assimp", reading, names=3)
    assert reading.shown == ({"mesh", "points"} if kind == "splats.glb" else {"mesh"})


@pytest.mark.parametrize(
    ("file", "names", "colours"),
    [
        ("colours/scene.glb", 3, False),  # it leaves them out where there is a material
        ("textures/scene.glb", 3, True),
        ("colours/scene.obj", 1, True),  # objects without materials become one
        ("textures/scene.obj", 3, True),
    ],
)
def test_trimesh_reads_meshes(scene_folder, file, names, colours):
    reading = python.trimesh_reads(scene_folder / file)
    check(file, "trimesh", reading, names=names, colours=colours)


def test_trimesh_reads_what_printers_get(scene_folder):
    reading = python.trimesh_reads(scene_folder / "colours/scene.stl")
    check("colours/scene.stl", "trimesh", reading, Z_UP, unit=1000, on_plate=True, colours=False)


@pytest.mark.parametrize("look", ["colours", "textures"])
@pytest.mark.parametrize("kind", ["usdz", "usdc"])
def test_openusd_reads_its_files(scene_folder, look, kind):
    file = scene_folder / look / f"scene.{kind}"
    reading = python.openusd(file)
    check(f"{look}/{file.name}", "usd-core", reading, names=3)
    assert reading.kinds == ({"mesh"} if kind == "usdz" else {"mesh", "splats"})
    verdict = python.openusd_says(file)
    TABLE.remark(f"{look}/{file.name}", "its validators", verdict)
    assert verdict.startswith("0 complaints")


@pytest.mark.parametrize("look", ["colours", "textures"])
def test_nvidias_validator_finds_nothing_wrong_with_scenes_for_simulators(scene_folder, look):
    verdict, failures = python.nvidia_says(scene_folder / look / "scene.usdc")
    TABLE.remark(f"{look}/scene.usdc", "nvidia's validator", verdict)
    assert not failures


def test_nvidias_validator_looks_at_splats(scene_folder, tmp_path):
    from pxr import Usd

    stage = Usd.Stage.Open(str(scene_folder / "colours" / "scene.usdc"))
    attribute = stage.GetPrimAtPath("/scene/object_00_red/splats").GetAttribute("opacities")
    attribute.Set([2.0, *list(attribute.Get())[1:]])
    stage.Export(str(tmp_path / "wrong.usdc"))
    _, failures = python.nvidia_says(tmp_path / "wrong.usdc")
    assert any("Opacity" in f for f in failures)


def test_mujoco_puts_bodies_where_they_were(scene_folder):
    reading = python.mujoco_reads(scene_folder / "colours" / "scene.xml")
    # The floor is z = 0 there.
    lowest = reading.low[2]
    assert lowest == pytest.approx(0, abs=1e-3)
    moved = {h: (x, y, z - 0.2) for h, (x, y, z) in reading.centres.items()}
    down = Reading(
        centres=moved,
        rgb=reading.rgb,
        low=(*reading.low[:2], reading.low[2] - 0.2),
        high=(*reading.high[:2], reading.high[2] - 0.2),
        kinds=reading.kinds,
        shown=reading.shown,
        names=reading.names,
    )
    check("scene.xml", "mujoco", down, Z_UP, names=3)


@pytest.mark.parametrize("look", ["colours", "textures"])
def test_the_khronos_validator_finds_nothing_wrong_with_what_it_knows(scene_folder, look):
    verdict = khronos(scene_folder / look / "scene.glb")
    TABLE.remark(f"{look}/scene.glb", "gltf-validator", verdict.text)
    assert not verdict.codes
    verdict = khronos(scene_folder / look / "scene.splats.glb")
    TABLE.remark(f"{look}/scene.splats.glb", "gltf-validator", verdict.text)
    # Its newest version has not heard of the extension's attributes.
    assert verdict.codes == {"MESH_PRIMITIVE_INVALID_ATTRIBUTE"}


@pytest.mark.skipif(not python.blender_python(), reason="outside CI: BPY_PYTHON names no Python")
@pytest.mark.parametrize("look", ["colours", "textures"])
@pytest.mark.parametrize("kind", ["glb", "splats.glb", "obj", "usdz", "usdc", "stl"])
def test_blender_reads_meshes(scene_folder, look, kind):
    file = scene_folder / look / f"scene.{kind}"
    printed = kind == "stl"
    check(
        f"{look}/{file.name}",
        "blender",
        python.blender(file),
        Z_UP,
        unit=1000.0 if printed else 1.0,
        on_plate=printed,
        colours=not printed,
        names=None if printed else 3,
    )


@pytest.mark.skipif(not python.blender_python(), reason="outside CI: BPY_PYTHON names no Python")
def test_blender_reads_splats_as_points_and_leaves_their_axes(scene_folder):
    """Its add-ons begin from that: docs/formats.md says what each makes of it."""
    reading = python.blender(scene_folder / "colours" / "scene.ply")
    check("scene.ply", "blender", reading, TURNED)
    assert reading.kinds == {"points"}
