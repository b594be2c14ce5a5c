"""TRELLIS.2 and Pixal3D make a surface with materials of a picture, where it stood."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

from scenelift.compose.fit import FittedPose
from scenelift.errors import InputError, ReconstructionError, WeightsError
from scenelift.geometry.transforms import (
    compose_transform,
    matrix_from_quaternion,
    transform_points,
)
from scenelift.models.layers.dinov3 import from_timm
from scenelift.models.slat.frame import OBJECT_FROM_ZUP
from scenelift.models.trellis.preprocess import crop_box
from scenelift.models.trellis2.checkpoints import Trellis2Folder, load_models
from scenelift.models.trellis2.dual_grid import dual_grid_mesh
from scenelift.models.trellis2.model import LiftedSurface
from scenelift.options import ExportOptions, FinishOptions, LayoutOptions, ReconstructionOptions
from scenelift.output.scene import write_scene
from scenelift.pipeline import Pipeline
from scenelift.progress import silent
from scenelift.reconstruct import RECONSTRUCTORS, SeveralSeedsReconstructor
from scenelift.reconstruct.pixal3d import Pixal3DReconstructor, crop_view, pose_in_view
from scenelift.reconstruct.surface import shape_of_surface
from scenelift.reconstruct.trellis2 import Trellis2Reconstructor
from scenelift.render.meshes import render_mesh
from scenelift.render.splats import render_splats
from scenelift.testing.fake_trellis2 import TINY2
from scenelift.testing.fakes import ColorSegmenter, PlanePointMapper, disc_photo
from scenelift.testing.planted_surface import plant, striped
from scenelift.types import (
    Camera,
    Image,
    Instance,
    Mesh,
    ObjectView,
    PointMap,
    Pose,
    Prompt,
    Reconstruction,
)

FAST: dict[str, Any] = {"device": "cpu", "structure_steps": 3, "latent_steps": 2}


@pytest.fixture(scope="module")
def image() -> Image:
    return disc_photo()


@pytest.fixture(scope="module")
def points(image) -> PointMap:
    return PlanePointMapper().estimate(image, (), silent())


@pytest.fixture(scope="module")
def disc(image) -> Instance:
    return ColorSegmenter().segment(image, Prompt(phrases=("red",)), silent()).instances[0]


def place_anywhere(shape, view, *, up, seed, report) -> FittedPose:
    """In place of the search, which has tests of its own."""
    return FittedPose(pose=Pose(translation=(0, 0, -2)), confidence=0.1, quality={})


def trellis2(weights, **options) -> Trellis2Reconstructor:
    loaded = Trellis2Reconstructor.load(
        ReconstructionOptions(weights=weights, **{**FAST, **options})
    )
    return Trellis2Reconstructor(loaded.model, version=loaded.version, place=place_anywhere)


def pixal3d(weights, **options) -> Pixal3DReconstructor:
    return Pixal3DReconstructor.load(ReconstructionOptions(weights=weights, **{**FAST, **options}))


def run(reconstructor, image, disc, points, seed=3) -> Reconstruction:
    view = ObjectView(image=image, instance=disc, points=points)
    return reconstructor.reconstruct(view, seed=seed, report=silent())


@pytest.mark.parametrize("kind", ["512", "1024", "1024_cascade", "1536_cascade"])
def test_every_kind_makes_a_box_with_materials(tiny_pbr, image, disc, points, kind):
    result = run(trellis2(tiny_pbr, voxel_kind=kind), image, disc, points)
    mesh, volume = result.shape.mesh, result.shape.materials
    side = {"512": 16, "1024": 32, "1024_cascade": 32, "1536_cascade": 48}[kind]
    assert volume.resolution == side
    assert len(volume.cells) == len(np.unique(volume.cells, axis=0))
    assert len(mesh.faces) > 100
    assert np.abs(mesh.vertices).max() <= 0.5
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume > 0  # outwards
    assert len(result.shape.gaussians) > 10_000
    assert any("uncertain" in note for note in result.notes)


def test_the_same_seed_makes_the_same_object_alone_and_among_others(tiny_pbr, image, disc, points):
    reconstructor = trellis2(tiny_pbr, voxel_kind="512")
    assert isinstance(reconstructor, SeveralSeedsReconstructor)
    alone = run(reconstructor, image, disc, points, seed=4)
    view = ObjectView(image=image, instance=disc, points=points)
    both = reconstructor.start_samples(view, seeds=[3, 4], report=silent())
    first, second = (attempt() for attempt in both)
    same = second.shape.materials.values.astype(float) - alone.shape.materials.values
    assert np.abs(same).max() < 1e-2  # up to the rounding of a batch's kernels
    assert not np.array_equal(first.shape.materials.values, alone.shape.materials.values)


def test_a_photo_becomes_a_scene_with_materials_in_its_files(tiny_pbr, image, tmp_path):
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), trellis2(tiny_pbr))
    finish = FinishOptions(faces=500, texture_size=128)
    alone = LayoutOptions(background="none")
    scene = pipeline.run(image, "red", seed=1, finish=finish, layout=alone)
    (thing,) = scene.objects
    assert thing.shape.materials is None  # baked
    assert thing.shape.mesh.texture is not None
    assert thing.shape.mesh.material.surface is not None
    assert thing.shape.mesh.material.normal is not None
    few = ExportOptions(preview_frames=2, preview_size=64)
    write_scene(scene, tmp_path / "scene", options=few)
    data = (tmp_path / "scene" / "scene.glb").read_bytes()
    gltf = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    (material,) = gltf["materials"]
    assert "metallicRoughnessTexture" in material["pbrMetallicRoughness"]
    assert "normalTexture" in material
    assert "map_Pr" in (tmp_path / "scene" / "scene.mtl").read_text()


def test_a_model_says_what_it_lacks(tmp_path):
    options = ReconstructionOptions(weights=tmp_path, device="cpu")
    for name in ("trellis2", "pixal3d"):
        assert RECONSTRUCTORS.entry(name).lacks(options)
    with pytest.raises(WeightsError, match="models download pbr"):
        Trellis2Reconstructor.load(options)


def test_files_that_do_not_belong_together_are_refused(tiny_pbr, tmp_path):
    folder = tmp_path / "trellis2"
    (folder / "ckpts").mkdir(parents=True)
    for file in (tiny_pbr / "pbr" / "trellis2").rglob("*.*"):
        if file.is_file():
            target = folder / file.relative_to(tiny_pbr / "pbr" / "trellis2")
            target.symlink_to(file)
    settings = folder / "ckpts" / "slat_flow_img2shape_dit_1_3B_512_bf16.json"
    content = json.loads(settings.read_text())
    content["args"]["num_heads"] = 7
    settings.unlink()
    settings.write_text(json.dumps(content))
    files = Trellis2Folder(
        folder,
        tiny_pbr / "pbr" / "dinov3-large",
        others={"microsoft/TRELLIS-image-large": tiny_pbr / "pbr" / "trellis-structure"},
    )
    load_models(files, "1024")  # does not read it
    with pytest.raises(WeightsError, match="num_heads"):
        load_models(files, "512")


def test_timm_s_file_of_dinov3_is_the_same_network(tiny_pbr):
    from safetensors.torch import load_file

    ours = load_file(tiny_pbr / "pbr" / "dinov3-large" / "model.safetensors")
    for name, tensor in ours.items():  # in timm's there are no such biases, and no mask token
        if name.endswith(("q_proj.bias", "v_proj.bias", "mask_token")):
            tensor.zero_()
    timm = {
        "cls_token": ours["embeddings.cls_token"],
        "reg_token": ours["embeddings.register_tokens"],
        "norm.weight": ours["norm.weight"],
        "norm.bias": ours["norm.bias"],
    }
    for part in ("weight", "bias"):
        timm[f"patch_embed.proj.{part}"] = ours[f"embeddings.patch_embeddings.{part}"]
    for i in range(TINY2.dino.blocks):
        layer = f"layer.{i}."
        timm[f"blocks.{i}.attn.qkv.weight"] = torch.cat(
            [ours[f"{layer}attention.{p}_proj.weight"] for p in "qkv"]
        )
        timm[f"blocks.{i}.gamma_1"] = ours[f"{layer}layer_scale1.lambda1"]
        timm[f"blocks.{i}.gamma_2"] = ours[f"{layer}layer_scale2.lambda1"]
        for theirs, name in (
            ("norm1", "norm1"),
            ("norm2", "norm2"),
            ("attn.proj", "attention.o_proj"),
            ("mlp.fc1", "mlp.up_proj"),
            ("mlp.fc2", "mlp.down_proj"),
        ):
            for part in ("weight", "bias"):
                timm[f"blocks.{i}.{theirs}.{part}"] = ours[f"{layer}{name}.{part}"]
    mapped = from_timm(timm)
    assert mapped.keys() == ours.keys()
    assert all(torch.equal(mapped[name], ours[name]) for name in ours)


# A wedge with a dent: no turn of it looks like another.
def wedge(p: torch.Tensor) -> torch.Tensor:
    box = (p.abs() - torch.tensor([0.4, 0.25, 0.3])).amax(1)
    slope = (0.6 * p[:, 0] + 0.8 * p[:, 2] - 0.15) * 0.9
    return torch.maximum(box, slope) * 0.7


@pytest.fixture(scope="module")
def planted() -> LiftedSurface:
    surface = plant(wedge, striped, 64)
    cells = surface.voxels.coords[:, 1:]
    vertices, faces = dual_grid_mesh(cells, surface.grid, 64)
    used, faces = torch.unique(faces, return_inverse=True)
    return LiftedSurface(
        vertices=vertices[used],
        faces=faces,
        cells=cells,
        attributes=surface.attributes,
        resolution=64,
        tokens=len(surface.tokens),
        notes=(),
    )


@pytest.mark.parametrize("turn", [np.eye(3), OBJECT_FROM_ZUP], ids=["view", "upright"])
def test_the_volume_turns_with_the_surface(planted, turn):
    shape, _ = shape_of_surface(planted, turn, seed=0)
    volume = shape.materials
    centres = ((volume.cells + 0.5) / volume.resolution - 0.5) * volume.side
    truth = striped(torch.from_numpy(centres / volume.side @ turn).float()).numpy()
    np.testing.assert_allclose(volume.values.astype(float), truth, atol=2e-3)
    # Voxels lie on the surface wherever it is turned to.
    nearest = np.linalg.norm(
        shape.mesh.vertices[::50, None] - centres[None].astype(np.float32), axis=-1
    ).min(1)
    assert nearest.max() < 1.8 / volume.resolution


def test_splats_cover_what_the_mesh_covers_in_its_colours(planted):
    shape, _ = shape_of_surface(planted, np.eye(3), seed=0)
    camera = Camera.from_fov(256, 256, fov_deg=40)
    place = compose_transform(1.0, [0.92, 0.25, 0.3, 0.0], [0, 0, -1.6])
    eye = np.linalg.inv(place)
    mesh = render_mesh(shape.mesh, camera, eye, shading="none", supersample=2)
    splats = render_splats(shape.gaussians, camera, eye)
    covered, seen = mesh.alpha > 0.5, splats.alpha > 0.5
    assert (covered & seen).sum() / (covered | seen).sum() > 0.97
    inside = (mesh.alpha > 0.99) & (splats.alpha > 0.95)
    error = (mesh.color - splats.color)[inside]
    assert 10 * np.log10(1 / (error**2).mean()) > 30


def seen_scene(mesh: Mesh, pose: Pose, camera: Camera) -> tuple[Image, Instance, PointMap]:
    """A photo of a mesh in its place, with its true points."""
    matrix = compose_transform(pose.scale, list(pose.rotation), list(pose.translation))
    placed = replace(
        mesh, vertices=transform_points(mesh.vertices, matrix).astype(np.float32), normals=None
    )
    drawn = render_mesh(placed, camera, background=(0, 0, 0))
    points = camera.unproject(drawn.depth)
    points[~np.isfinite(drawn.depth)] = np.nan
    mask = drawn.face_id >= 0
    instance = Instance(mask=mask, label="wedge", score=1.0, box=Instance.box_of(mask))
    return ObjectView(
        image=Image(pixels=drawn.pixels()),
        instance=instance,
        points=PointMap(points=points, camera=camera),
    )


@pytest.mark.parametrize("at", [(0.0, 0.0), (0.7, -0.45), (-0.9, 0.5)])
def test_pixal3d_s_pose_is_the_true_one(planted, at):
    """An object that comes out in the view of its crop is put back where the photo shows it.

    The model's part is to make it in that frame; here the truth stands in for it.
    """
    shape, _ = shape_of_surface(planted, np.eye(3), seed=0)
    camera = Camera.from_fov(320, 240, fov_deg=55)
    depth, scale = 2.4, 0.8
    truth = _pose([0.9, 0.2, -0.35, 0.16], (*at, -depth), scale)
    photo = seen_scene(shape.mesh, truth, camera)
    alpha = np.where(photo.mask, 255, 0).astype(np.uint8)
    view = crop_view(tuple(float(c) for c in crop_box(alpha, factor=1.1)), camera)
    # What the model would give: the object turned into the view's frame, in a cube that fills the
    # crop at the object's own distance.
    true_turn = matrix_from_quaternion(np.array(truth.rotation))
    into_view = view.rotation.T @ true_turn
    centre = view.rotation.T @ np.array(truth.translation)
    distance = 0.5 / math.tan(view.fov / 2)
    side = -centre[2] / distance
    made = shape.mesh.vertices @ into_view.T * (scale / side)
    made = made + (centre - [0, 0, centre[2]]) / side
    mesh = Mesh(vertices=made.astype(np.float32), faces=shape.mesh.faces)
    pose, quality = pose_in_view(mesh, view, photo)
    placed = compose_transform(pose.scale, list(pose.rotation), list(pose.translation))
    ours = transform_points(made, placed)
    theirs = transform_points(
        shape.mesh.vertices,
        compose_transform(truth.scale, list(truth.rotation), list(truth.translation)),
    )
    error = np.linalg.norm(ours - theirs, axis=1)
    assert error.mean() < 0.01 * depth
    assert quality["view_overlap"] > 0.9


def _pose(rotation, translation, scale) -> Pose:
    q = np.array(rotation) / np.linalg.norm(rotation)
    return Pose(rotation=tuple(q), translation=translation, scale=scale)


def test_an_object_without_depth_has_no_distance(planted):
    shape, _ = shape_of_surface(planted, np.eye(3), seed=0)
    camera = Camera.from_fov(64, 64, fov_deg=50)
    photo = seen_scene(shape.mesh, _pose([1, 0, 0, 0], (0.0, 0.0, -2.0), 0.8), camera)
    points = replace(photo.points, points=np.full_like(photo.points.points, np.nan))
    view = crop_view((10.0, 10.0, 50.0, 50.0), camera)
    with pytest.raises(ReconstructionError, match="no depth"):
        pose_in_view(shape.mesh, view, replace(photo, points=points))


def test_pixal3d_makes_an_object_in_the_photo_s_view(tiny_pbr, image, disc, points):
    result = run(pixal3d(tiny_pbr), image, disc, points)
    assert result.shape.materials.resolution == 32
    assert len(result.shape.mesh.faces) > 100
    assert result.pose.scale > 0
    assert result.pose.translation[2] < 0
    with pytest.raises(InputError, match="1024_cascade"):
        pixal3d(tiny_pbr, voxel_kind="512")
