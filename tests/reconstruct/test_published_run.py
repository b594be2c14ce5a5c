"""The whole of SAM 3D Objects agrees with a recorded run of the published pipeline.

`tests/golden/sam3d_run` holds what the published `InferencePipelinePointMap.run` made of a picture,
a mask and given points, on a CPU in float32 with all its defaults, with the made-up checkpoint that
`write_checkpoints` writes here again: latents, voxels, pose, every 25th splat, vertex and face, and
the SHA-256 of every fifth face.
"""

import hashlib
import json
import lzma
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load

from scenelift.models.layers.blocks import BlockParams
from scenelift.models.layers.dino import DinoParams
from scenelift.models.sam3d.condition import ConditionParams
from scenelift.models.sam3d.pointpatch import PointPatchParams
from scenelift.models.sam3d.structure_flow import StructureLatents
from scenelift.models.slat.latent_flow import LatentFlowParams
from scenelift.models.slat.latent_torso import TorsoParams
from scenelift.models.slat.structure_decoder import StructureVAEParams
from scenelift.models.slat.structure_flow import StructureFlowParams
from scenelift.options import ReconstructionOptions
from scenelift.progress import silent
from scenelift.reconstruct.sam3d import SAM3DReconstructor
from scenelift.testing import fake_weights
from scenelift.testing.fake_checkpoints import TINY, Sizes, write_checkpoints
from scenelift.types import Camera, Image, Instance, ObjectView, PointMap

GOLDEN = Path(__file__).parents[1] / "golden" / "sam3d_run"
CASE = json.loads((GOLDEN / "case.json").read_text())
EXPECTED = load(lzma.decompress((GOLDEN / "expected.safetensors.xz").read_bytes()))

BLOCK = BlockParams(width=64, heads=2, condition_width=128, mlp_ratio=2)
DINO = DinoParams(width=128, blocks=2, side=4)
SIZES = Sizes(
    structure_flow=StructureFlowParams(block=BLOCK, blocks=2, resolution=16),
    structure_condition=ConditionParams(
        width=128, dino=DINO, points=PointPatchParams(width=64, side=4)
    ),
    structure_decoder=StructureVAEParams(channels=(16, 8, 8), blocks=2, middle_blocks=2),
    latent_flow=LatentFlowParams(block=BLOCK, blocks=2, io_channels=16),
    latent_condition=ConditionParams(width=128, dino=DINO, prenorm=True, points=None),
    torso=TorsoParams(width=256, blocks=3, heads=4, mlp_ratio=2),
    upsampled=(64, 32),
    moge=TINY.moge,
    moge_area=TINY.moge_area,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Our latents of the first stage, and what became of them."""
    folder = tmp_path_factory.mktemp("checkpoint")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_weights, "_OBJECT_SHARE", CASE["object_share"])
        list(write_checkpoints(folder, SIZES))
    options = ReconstructionOptions(weights=folder, device="cpu", precision="float32")
    reconstructor = SAM3DReconstructor.load(options)
    image = Image(pixels=np.array(PIL.Image.open(GOLDEN / "photo.png").convert("RGB")))
    mask = np.array(PIL.Image.open(GOLDEN / "mask.png")) > 0
    with lzma.open(GOLDEN / "points_pytorch3d.npy.xz") as file:
        points = np.load(file).astype(np.float32)
    height, width = mask.shape
    camera = Camera(fx=200, fy=200, cx=width / 2, cy=height / 2, width=width, height=height)
    view = ObjectView(
        image=image,
        instance=Instance(mask=mask, label="x", score=1.0, box=Instance.box_of(mask)),
        points=PointMap(points=points * np.float32([-1, 1, -1]), camera=camera, source="given"),
    )
    reconstructor.begin(view.image, view.points)
    images = reconstructor._inputs(view)
    (begun,) = reconstructor.model.begin(images, seeds=[CASE["seed"]], report=silent())
    coords = reconstructor.model._occupied(begun).coords
    lifted = reconstructor.model.complete(images, begun, report=silent())
    return StructureLatents(*begun.state), coords, lifted


def close(name, actual):
    expected = EXPECTED[name]
    actual = torch.as_tensor(actual).float().reshape(expected.shape)
    torch.testing.assert_close(actual, expected, rtol=0, atol=CASE["tolerance"].get(name, 1e-4))


def test_the_first_stage_gives_the_published_latents(run):
    latents, _, _ = run
    close("shape", latents.shape)
    close("rotation6", latents.rotation)
    close("translation_latent", latents.translation)
    close("scale_latent", latents.scale)


def test_the_same_voxels_are_occupied(run):
    _, coords, _ = run
    assert torch.equal(coords.short(), EXPECTED["coords"])


def test_the_object_stands_where_the_published_pipeline_puts_it(run):
    pose = run[2].pose
    close("rotation", pose.rotation)
    close("translation", pose.translation)
    close("scale", pose.scale)


def test_splats_are_the_published_ones(run):
    gaussians, stride = run[2].gaussians, CASE["stride"]
    assert len(gaussians.means) == CASE["counts"][0]
    close("gs_xyz", gaussians.means[::stride])
    close("gs_scaling", gaussians.scales[::stride])
    close("gs_rotation", gaussians.rotations[::stride])
    close("gs_opacity", gaussians.opacities[::stride])
    close("gs_dc", gaussians.sh0[::stride])


def test_the_mesh_is_the_published_one_its_faces_in_order(run):
    mesh, stride = run[2].mesh, CASE["stride"]
    assert [list(mesh.vertices.shape), list(mesh.faces.shape)] == CASE["counts"][1:]
    close("mesh_vertices", mesh.vertices[::stride])
    close("mesh_attributes", mesh.attributes[::stride])
    assert torch.equal(mesh.faces[::stride], EXPECTED["mesh_faces"])
    faces = mesh.faces[:: CASE["faces_stride"]].numpy().astype("<i4")
    assert hashlib.sha256(faces.tobytes()).hexdigest() == CASE["faces_sha256"]
