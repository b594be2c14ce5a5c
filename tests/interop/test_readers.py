"""Our files through other people's readers: place, colour, up axis, names, and what is shown.

Each line of the table that these tests print is an observation of a version named in
`package.json`; docs/formats.md quotes it.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.interop.known_scene import CENTRES, COLOURS
from tests.interop.readers import Reading, assimp, splat_transform
from tests.interop.table import TABLE

# A reader's axes, as what it makes of ours (x right, y up, z towards the viewer).
UP = np.eye(3)
TURNED = np.diag([1.0, -1.0, -1.0])  # x right, y down, z ahead: COLMAP's, INRIA's
MIRRORED = np.diag([1.0, -1.0, 1.0])  # Babylon's right-handed mode mirrors y of splat files


def check(
    file: str,
    reader: str,
    reading: Reading,
    axes: np.ndarray = UP,
    *,
    place: float = 0.03,
    colour: float = 0.03,
) -> Reading:
    """All three colours must be where they belong and look as they were written."""
    places = {h: axes @ np.array(c) for h, c in CENTRES.items()}
    off = max(
        (
            float(np.abs(reading.centres[h] - p).max())
            for h, p in places.items()
            if h in reading.centres
        ),
        default=float("nan"),
    )
    pale = max(
        (
            float(np.abs(np.array(reading.rgb[h]) - np.array(COLOURS[h]) / 255).max())
            for h in reading.rgb
            if h in COLOURS
        ),
        default=float("nan"),
    )
    TABLE.add(file, reader, reading, off, pale)
    assert not reading.refusal, f"{reader} refuses {file}: {reading.refusal}"
    assert set(reading.centres) >= set(CENTRES), f"{reader} on {file}: {reading}"
    assert off < place, f"{reader} on {file}: {reading.centres}"
    assert pale < colour, f"{reader} on {file}: {reading.rgb}"
    return reading


@pytest.mark.parametrize("look", ["colours", "textures"])
def test_three_reads_meshes_with_names_and_colours(browser, look):
    reading = check(f"{look}/scene.glb", "three", browser.read("three", f"{look}/scene.glb"))
    assert reading.names == ("00_red", "01_green", "02_blue")
    check(f"{look}/scene.obj", "three", browser.read("three", f"{look}/scene.obj", mtl=True))


@pytest.mark.parametrize("library", ["babylon", "playcanvas"])
def test_engines_read_meshes(browser, library):
    reading = browser.read(library, "colours/scene.glb")
    # Their vertex colours come in units of their own: places are what is compared.
    check("colours/scene.glb", library, reading, colour=20)


def test_three_shows_mesh_and_points_without_its_splat_addon(browser):
    reading = check("scene.splats.glb", "three", browser.read("three", "colours/scene.splats.glb"))
    assert reading.shown == {"mesh", "points"}  # it does not know KHR_node_visibility


def test_three_shows_splats_with_its_splat_addon(browser):
    reading = browser.read("three", "colours/scene.splats.glb", splats=True)
    check("scene.splats.glb", "three + addon", reading)
    assert "splats" in reading.shown


def test_babylon_shows_the_splats_and_hides_the_meshes(browser):
    reading = browser.read("babylon", "colours/scene.splats.glb")
    check("scene.splats.glb", "babylon", reading, colour=20)
    assert reading.shown == {"splats"}


def test_playcanvas_reads_both(browser):
    reading = browser.read("playcanvas", "colours/scene.splats.glb")
    check("scene.splats.glb", "playcanvas", reading, colour=20)
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
    check(file, "supersplat", supersplat, np.diag([-1.0, -1.0, 1.0]) @ TURNED)
    assert supersplat.up == "+y"


@pytest.mark.parametrize("kind", ["ply", "splat", "sog", "compressed.ply", "spz3.spz"])
def test_spark_reads_splat_files_as_they_stand(browser, kind):
    file = f"scene.{kind}"
    axes = UP if "spz" in kind else TURNED
    check(file, "spark", browser.read("spark", f"colours/{file}"), axes)


def test_spark_does_not_read_spz_4(browser):
    reading = browser.read("spark", "colours/scene.spz")
    TABLE.add("scene.spz", "spark", reading, float("nan"), float("nan"))
    assert "gzip" in reading.refusal


@pytest.mark.parametrize("kind", ["ply", "compressed.ply", "splat", "sog", "spz", "spz3.spz"])
def test_splat_transform_reads_splat_files_in_the_axes_of_inria(scene_folder, tmp_path, kind):
    file = scene_folder / "colours" / f"scene.{kind}"
    check(file.name, "splat-transform", splat_transform(file, tmp_path), TURNED)


@pytest.mark.parametrize("kind", ["glb", "obj"])
def test_assimp_reads_meshes(scene_folder, kind):
    file = scene_folder / "colours" / f"scene.{kind}"
    # glTF's vertex colours are linear light, and assimp hands them on.
    check(file.name, "assimp", assimp(file), colour=0.2)
