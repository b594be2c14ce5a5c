"""Files on request lie beside the others, in the manifest; or it says why not."""

import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree as Xml

import numpy as np
import PIL.Image
import pytest
import trimesh
from scipy.spatial import cKDTree
from tests.drivers.patience import patient

from scenelift.errors import SetupError
from scenelift.formats import extra_file
from scenelift.geometry.transforms import (
    matrix_from_quaternion,
    quaternion_from_matrix,
    transform_points,
)
from scenelift.io.splat_reader import read_splats
from scenelift.options import EXTRA_FORMATS, Density, ExportOptions
from scenelift.output.manifest import read_manifest
from scenelift.output.original import check_original
from scenelift.output.scene import write_scene
from scenelift.physics.materials import DEFAULT_DENSITY
from scenelift.types import Gaussians, Mesh, Pose, Shape

QUICK = {"preview_frames": 1, "preview_size": 64}


@pytest.fixture
def scene(pipeline, photo):
    return pipeline.run(photo, "red; blue")


def written(scene, folder, **options):
    write_scene(scene, folder, options=ExportOptions(**QUICK, **options))
    return read_manifest(folder)


def test_every_format_is_written_and_listed(scene, tmp_path):
    manifest = written(scene, tmp_path, formats=tuple(EXTRA_FORMATS))
    listed = {file.path for file in manifest.files}
    assert {extra_file(kind) for kind in EXTRA_FORMATS} <= listed
    assert not manifest.skipped


def test_formats_of_an_earlier_run_go_when_they_are_not_asked_for_again(scene, tmp_path):
    folder = tmp_path / "scene"
    alone = {file.path for file in written(scene, folder).files}
    whole = written(scene, folder, formats=tuple(EXTRA_FORMATS))
    check_original(folder)  # it may be edited: each file is one that a scene has
    written(scene, folder)
    assert {file.path for file in whole.files} > alone
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == {*alone, "scene.json"}


def test_objects_with_meshes_alone_are_previewed_and_have_no_splat_files(scene, tmp_path):
    meshes = [replace(o, shape=Shape(mesh=o.shape.mesh)) for o in scene.objects]
    scene = replace(scene, background=None)
    pixels = []
    for objects in (scene.objects, [scene.objects[0], meshes[1]], meshes):
        folder = tmp_path / f"{len(pixels)}"
        manifest = written(replace(scene, objects=tuple(objects)), folder, formats=("spz", "stl"))
        red, _, blue = np.moveaxis(np.asarray(PIL.Image.open(folder / "preview.png"), int), 2, 0)
        pixels.append([np.count_nonzero(red > blue + 90), np.count_nonzero(blue > red + 90)])
    assert "no splats" in manifest.skipped["scene.spz"]
    assert min(pixels[0]) > 50
    np.testing.assert_allclose(pixels[1:], [pixels[0]] * 2, rtol=0.25)


@pytest.fixture
def turned_scene(scene):
    """Two slabs, each with thin splats that lie flat on it, turned and scaled by its pose."""
    slab = trimesh.creation.box(extents=(1.0, 0.3, 0.6)).subdivide_to_size(0.08)
    vertices = slab.vertices.astype(np.float32)
    flat = np.array([0.02, 0.02, 0.0005], np.float32)
    shape = Shape(
        mesh=Mesh(vertices=vertices, faces=slab.faces.astype(np.int32)),
        gaussians=Gaussians(
            means=slab.triangles_center.astype(np.float32),
            scales=np.tile(flat, (len(slab.faces), 1)),
            rotations=quaternion_from_matrix(axes_along(slab.face_normals)).astype(np.float32),
            opacities=np.full(len(slab.faces), 0.9, np.float32),
            sh0=np.zeros((len(slab.faces), 3), np.float32),
        ),
    )
    poses = (
        Pose(rotation=unit((0.5, 0.5, -0.1, 0.7)), translation=(0.4, 0.1, -3.0), scale=1.7),
        Pose(rotation=unit((0.9, -0.1, 0.4, 0.1)), translation=(-1.2, 0.5, -4.0), scale=0.6),
    )
    objects = tuple(
        replace(o, shape=shape, pose=p) for o, p in zip(scene.objects, poses, strict=True)
    )
    return replace(scene, objects=objects, background=None)


def unit(quaternion):
    q = np.array(quaternion)
    return tuple((q / np.linalg.norm(q)).tolist())


def axes_along(normals):
    """Rotations [N, 3, 3] whose third axis is the normal."""
    helper = np.where(np.abs(normals[:, :1]) < 0.7, [[1.0, 0, 0]], [[0, 1.0, 0]])
    x = np.cross(helper, normals)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.stack([x, np.cross(normals, x), normals], -1)


def usd_meshes(path):
    from pxr import Usd, UsdGeom

    stage, cache = Usd.Stage.Open(str(path)), UsdGeom.XformCache()
    for prim in stage.Traverse():
        if prim.IsA(UsdGeom.Mesh):
            mesh = UsdGeom.Mesh(prim)
            matrix = np.array(cache.GetLocalToWorldTransform(prim)).T
            faces = np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3)
            yield trimesh.Trimesh(
                transform_points(np.array(mesh.GetPointsAttr().Get()), matrix), faces
            )


def test_ply_glb_obj_and_usdz_coincide_when_objects_are_turned_and_scaled(turned_scene, tmp_path):
    written(turned_scene, tmp_path, formats=("usdz",))
    surfaces = {
        "glb": trimesh.load(tmp_path / "scene.glb", force="mesh"),
        "obj": trimesh.load(tmp_path / "scene.obj", force="mesh"),
        "usdz": trimesh.util.concatenate(list(usd_meshes(tmp_path / "scene.usdz"))),
    }
    splats = read_splats(tmp_path / "scene.ply")
    size = float(np.ptp(surfaces["glb"].bounds, axis=0).max())
    # Half a standard deviation along each splat's long axes: they lie on the surface only if its
    # quaternion was turned with the pose. (Splats sit in the middle of faces, far from edges.)
    turns = matrix_from_quaternion(splats.rotations)
    ends = [splats.means]
    for axis in (0, 1):
        reach = 0.5 * splats.scales[:, axis : axis + 1] * turns[:, :, axis]
        ends += [splats.means + reach, splats.means - reach]
    points = np.concatenate(ends)
    for name, surface in surfaces.items():
        samples, _ = trimesh.sample.sample_surface(surface, 200_000, seed=0)
        distance, _ = cKDTree(samples).query(points)
        assert distance.max() < 0.005 * size, name


def test_a_package_that_is_not_there_costs_its_file_only(scene, tmp_path, monkeypatch):
    import scenelift.io.usd

    def absent(*args, **kwargs):
        raise SetupError("Writing .usdz needs the package usd-core.")

    monkeypatch.setattr(scenelift.io.usd, "write_usdz", absent)
    manifest = written(scene, tmp_path, formats=("usdz", "stl"))
    assert "usd-core" in manifest.skipped["scene.usdz"]
    assert (tmp_path / "scene.stl").is_file()


def test_a_scene_keeps_no_more_splats_than_asked_and_says_what_that_costs(scene, tmp_path):
    whole = sum(len(o.shape.gaussians) for o in scene.objects)
    manifest = written(scene, tmp_path, max_splats=whole // 2)
    assert len(read_splats(tmp_path / "scene.ply")) == whole // 2
    assert sum(o.gaussians for o in manifest.objects) == whole // 2
    assert any("dB PSNR" in note for note in manifest.notes)
    assert not any("dB PSNR" in note for note in written(scene, tmp_path, max_splats=whole).notes)


@pytest.mark.parametrize("frame", ["y-up", "y-down"])
def test_splat_files_have_the_axes_asked_for_and_the_manifest_says_which(scene, tmp_path, frame):
    manifest = written(scene, tmp_path, formats=("splat", "spz"), splat_frame=frame)
    assert manifest.splat_frame == frame
    turned = frame == "y-down"
    up = read_splats(tmp_path / "scene.ply", frame="y-up").means
    assert (up[:, 2].mean() > 0) == turned  # y down looks ahead along +z
    for name, own in (("scene.splat", None), ("scene.spz", "y-up")):
        same = read_splats(tmp_path / name, frame=own or frame).means
        true = read_splats(tmp_path / "scene.ply", frame=frame).means
        distance, _ = cKDTree(same).query(true)
        assert distance.max() < 2e-3


def test_simulators_and_printers_share_one_scene(scene, tmp_path):
    """And scene.json says what simulators were told."""
    scene = replace(scene, levels=(-1.5, -0.6), background=None)
    densities = (Density(label="red", kg_per_m3=123.0),)
    formats = ("mjcf", "urdf", "usd", "3mf", "usdz")
    manifest = written(scene, tmp_path, formats=formats, densities=densities)
    assert manifest.physics is not None
    red, blue = manifest.physics.bodies
    assert (red.name, red.density, blue.density) == (manifest.objects[0].name, 123, DEFAULT_DENSITY)
    root = Xml.parse(tmp_path / "scene.urdf").getroot()
    masses = {
        link.get("name"): float(link.find("inertial/mass").get("value"))
        for link in root.findall("link")
        if link.find("inertial") is not None
    }
    assert masses == pytest.approx({b.name: b.mass for b in manifest.physics.bodies}, rel=1e-4)
    assert manifest.physics.world_from_scene[2][3] == pytest.approx(1.5)  # the lowest level
    colliders = list((tmp_path / "scene_physics").glob(f"{red.name}_*.stl"))
    assert len(colliders) == red.colliders
    paths = [f.path for f in manifest.files]
    assert len(paths) == len(set(paths))
    assert {"scene.xml", "scene.urdf", "scene.usdc", "scene.3mf", "scene.usdz"} <= set(paths)
    assert {f"scene_physics/{o.name}.obj" for o in manifest.objects} <= set(paths)


IN_A_NEW_PROCESS = """
import sys
from pathlib import Path
from tests.interop.known_scene import known_scene
from scenelift.options import ExportOptions
from scenelift.output.scene import write_scene

sys.setswitchinterval(1e-5)
formats = ("usdz", "usd", "compact.glb", "sog")
options = ExportOptions(formats=formats, preview_frames=1, preview_size=64)
manifest = write_scene(known_scene(), Path(sys.argv[1]), options=options)
print(*(file.path for file in manifest.files))
"""


def test_native_packages_do_not_wait_for_each_other_in_a_new_process(tmp_path):
    """OpenUSD, loaded in one thread while another loads anything, hung or came in empty."""
    done = subprocess.run(
        [sys.executable, "-c", IN_A_NEW_PROCESS, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=patient(120),
    )
    assert {"scene.usdz", "scene.usdc", "scene.compact.glb"} <= set(done.stdout.split())
