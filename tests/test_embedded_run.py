"""The main job with the real weights: a real photo becomes files that show what it shows."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import skimage.data
import trimesh
from scipy.spatial import cKDTree

from scenelift.errors import NothingFound
from scenelift.geometry.transforms import transform_points
from scenelift.io.glb import read_glb
from scenelift.io.splat_reader import read_splats
from scenelift.output.manifest import Manifest
from scenelift.pipeline import Pipeline
from scenelift.progress import silent
from scenelift.render.meshes import render_mesh
from scenelift.render.splats import render_splats
from scenelift.runs import RunSpec, run_job
from scenelift.types import BoxPrompt, Camera, Prompt
from tests.drivers.concatenate import concatenate_meshes

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def embedded():
    return Pipeline.from_quality("embedded")


def lift(pipeline, folder, name, **prompt):
    photo = folder / f"{name}.png"
    pixels = getattr(skimage.data, name)()
    PIL.Image.fromarray(pixels).save(photo)
    spec = RunSpec(photo=photo, prompt=Prompt(**prompt), out=folder / "out")
    return run_job(spec, pipeline, silent()), folder / "out"


@pytest.fixture(scope="module")
def coffee(embedded, tmp_path_factory):
    return lift(embedded, tmp_path_factory.mktemp("coffee"), "coffee", phrases=("cup",))


@pytest.fixture(scope="module")
def cat(embedded, tmp_path_factory):
    return lift(embedded, tmp_path_factory.mktemp("cat"), "chelsea", phrases=("cat",))


@pytest.fixture(params=["coffee", "cat"])
def scene(request) -> tuple[Manifest, object]:
    return request.getfixturevalue(request.param)


def photo_camera(manifest):
    return Camera(**manifest.camera.model_dump())


def object_nodes(out):
    return [node for node in read_glb(out / "scene.glb") if node.name != "background"]


def union_of_masks(manifest, out):
    masks = [np.array(PIL.Image.open(out / o.files["mask"])) > 0 for o in manifest.objects]
    return np.logical_or.reduce(masks)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_the_object_is_found_once_with_its_label(scene):
    manifest, _ = scene
    assert len(manifest.objects) == 1
    assert manifest.objects[0].score >= 0.4
    assert manifest.complete
    assert manifest.quality == "embedded"


def test_from_the_photos_camera_splats_and_mesh_cover_the_mask(scene):
    manifest, out = scene
    mask, camera = union_of_masks(manifest, out), photo_camera(manifest)
    splats = render_splats(read_splats(out / "scene.ply"), camera)
    nodes = object_nodes(out)
    mesh = concatenate_meshes([n.mesh for n in nodes], [n.matrix for n in nodes])
    assert iou(splats.alpha > 0.5, mask) >= 0.9
    assert iou(render_mesh(mesh, camera).alpha > 0.5, mask) >= 0.9


def test_splats_meshes_and_obj_of_the_files_coincide(scene):
    _, out = scene
    splats = read_splats(out / "scene.ply").means
    vertices = np.concatenate(
        [transform_points(n.mesh.vertices, n.matrix) for n in object_nodes(out)]
    )
    lines = (out / "scene.obj").read_text().split("\no background\n")[0].splitlines()
    of_objects = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], float)
    size = np.ptp(vertices, axis=0).max()
    for end in (np.min, np.max):
        np.testing.assert_allclose(end(of_objects, 0), end(vertices, 0), atol=1e-4 * size)
    # Floaters leave the mesh and not the splats, and splats may lie inside the mesh (a twentieth of
    # the cup's, behind its front wall), hence a share. Vertices are a hundredth apart.
    distance, _ = cKDTree(vertices).query(splats)
    assert np.quantile(distance, 0.9) < 0.02 * size


def test_the_preview_looks_like_the_photo(scene):
    """Its first picture is the photo's own view of objects and background."""
    _, out = scene
    drawn = PIL.Image.open(out / "preview.png").convert("RGB")
    photo = PIL.Image.open(out / "input.png").convert("RGB").resize(drawn.size, PIL.Image.BOX)
    error = np.asarray(drawn, float) - np.asarray(photo, float)
    assert 10 * np.log10(255**2 / (error**2).mean()) >= 22


def test_in_the_objects_pixels_the_splats_look_like_the_photo(scene):
    manifest, out = scene
    mask = union_of_masks(manifest, out)
    photo = np.array(PIL.Image.open(out / "input.png")) / 255
    seen = render_splats(read_splats(out / "scene.ply"), photo_camera(manifest))
    psnr = -10 * np.log10(np.mean((seen.color[mask] - photo[mask]) ** 2))
    assert psnr >= 22


def test_every_mesh_is_watertight(scene):
    _, out = scene
    for node in object_nodes(out):
        assert trimesh.Trimesh(node.mesh.vertices, node.mesh.faces).is_watertight


def test_a_word_outside_the_vocabulary_is_an_honest_nothing(embedded, tmp_path):
    with pytest.raises(NothingFound, match="--box") as caught:
        lift(embedded, tmp_path, "coffee", phrases=("theremin",))
    assert "theremin" in str(caught.value)
    assert "cup" in caught.value.suggestions


def test_a_box_lifts_what_no_word_names(embedded, tmp_path):
    box = BoxPrompt(box=(305, 95, 345, 365), label="rocket")
    manifest, _ = lift(embedded, tmp_path, "rocket", boxes=(box,))
    assert [o.label for o in manifest.objects] == ["rocket"]


def test_the_main_subject_needs_no_word(embedded, tmp_path):
    manifest, _ = lift(embedded, tmp_path, "chelsea", phrases=("the main subject",))
    assert len(manifest.objects) == 1
