"""Mesh features equal to the published code's; its layers equal to what they abbreviate."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from scenelift.models.layers.sparse import SparseTensor, Voxels
from scenelift.models.slat import mesh_decoder
from scenelift.models.slat.flexicubes import extract_mesh
from scenelift.models.slat.mesh_decoder import (
    MeshDecoder,
    MeshDecoderParams,
    VoxelGroupNorm,
    VoxelLinear,
)
from scenelift.testing.golden import read_case
from scenelift.weights.state_dicts import load_module

GOLDEN = Path(__file__).parents[2] / "golden" / "sam3d"


@torch.inference_mode()
def test_latents_become_the_published_mesh():
    name = "mesh_decoder"
    case = read_case(GOLDEN, name)
    params = MeshDecoderParams.from_state_dict(case.state, heads=4)
    decoder = load_module(lambda: MeshDecoder(params), case.state, source=name)
    features = decoder(SparseTensor(case.input("feats"), Voxels(case.input("coords"), 12)))
    mesh = extract_mesh(features)
    assert torch.equal(mesh.faces.long(), case.output("faces"))
    # Features differ by up to 1e-5; a crossing of an edge 1/48 long moves by its slope times that.
    torch.testing.assert_close(mesh.vertices, case.output("vertices"), rtol=0, atol=2e-5)


def test_published_sizes_give_the_published_state_dict():
    with torch.device("meta"):
        tensors = MeshDecoder(MeshDecoderParams()).state_dict()
    assert len(tensors) == 120
    assert sum(t.numel() for t in tensors.values()) == 90_926_693
    assert MeshDecoderParams.from_state_dict(tensors) == MeshDecoderParams()


@pytest.mark.parametrize("inplace", [False, True])
def test_group_norm_runs_over_all_voxels(inplace, monkeypatch):
    monkeypatch.setattr(mesh_decoder, "_CHUNK_ROWS", 100)  # more than one chunk
    torch.manual_seed(0)
    norm = VoxelGroupNorm(64).requires_grad_(False)
    norm.weight.normal_()
    norm.bias.normal_()
    x = 3 + torch.randn(333, 64) * torch.arange(1, 65)
    whole = F.group_norm(x.T[None], 32, norm.weight, norm.bias, eps=1e-5)[0].T
    actual = norm(x, inplace=inplace)
    torch.testing.assert_close(actual, F.silu(whole), rtol=1e-5, atol=1e-5)
    assert (actual is x) == inplace


def test_group_norm_of_half_precision_does_not_overflow():
    norm = VoxelGroupNorm(32).requires_grad_(False)
    x = torch.full((4, 32), 3e4, dtype=torch.float16)
    x[::2] *= -1  # squares of 3e4 are beyond float16
    assert norm(x).isfinite().all()
    assert norm(x).float().max() > 0.7  # SiLU(1)


def test_group_norm_needs_whole_groups():
    with pytest.raises(ValueError, match="channels 48 must be a multiple of groups 32"):
        VoxelGroupNorm(48)


def test_linear_reads_the_stored_buffer_row_by_row_as_inputs():
    layer = VoxelLinear(3, 2).requires_grad_(False)
    layer.conv.get_parameter("weight").copy_(torch.arange(6.0).view(2, 1, 1, 1, 3))
    layer.conv.get_parameter("bias").copy_(torch.tensor([100.0, 200.0]))
    # The buffer 0 1 2 3 4 5, viewed as three inputs of two outputs.
    assert layer(torch.eye(3)).tolist() == [[100, 201], [102, 203], [104, 205]]
