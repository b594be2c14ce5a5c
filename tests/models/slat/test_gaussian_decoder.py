"""Splats equal to the published code's, as values and as its own file."""

from pathlib import Path

import numpy as np
import pytest
import torch

from scenelift.models.layers.sparse import SparseTensor, Voxels
from scenelift.models.slat.gaussian_decoder import (
    GaussianDecoder,
    GaussianDecoderParams,
    GaussianHeadParams,
    RawGaussians,
    hammersley_offsets,
)
from scenelift.testing.golden import read_case
from scenelift.weights.state_dicts import load_module

GOLDEN = Path(__file__).parents[2] / "golden" / "sam3d"


@torch.inference_mode()
def test_equals_the_published_file():
    name = "gs4_decoder"
    case = read_case(GOLDEN, name)
    params = GaussianDecoderParams.from_state_dict(case.state, heads=3)
    decoder = load_module(lambda: GaussianDecoder(params), case.state, source=name)
    splats = decoder(SparseTensor(case.input("feats"), Voxels(case.input("coords"), 24))).activate()

    header, _, body = (GOLDEN / case.scalars["meta.ply"]).read_bytes().partition(b"end_header\n")
    names = [line.split()[-1] for line in header.decode().splitlines() if "property" in line]
    values = np.frombuffer(body, "<f4").reshape(-1, len(names))
    ply = {name: values[:, k].astype(np.float64) for k, name in enumerate(names)}

    def columns(prefix, count):
        return np.stack([ply[f"{prefix}_{k}"] for k in range(count)], 1)

    # Six digits: float32, once through a logarithm and back.
    close = {"rtol": 2e-5, "atol": 5e-6}
    np.testing.assert_allclose(splats.means, np.stack([ply[a] for a in "xyz"], 1), **close)
    np.testing.assert_allclose(splats.sh0, columns("f_dc", 3), **close)
    np.testing.assert_allclose(splats.scales, np.exp(columns("scale", 3)), **close)
    np.testing.assert_allclose(splats.opacities, 1 / (1 + np.exp(-ply["opacity"])), **close)
    quaternions = columns("rot", 4)
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    np.testing.assert_allclose(splats.rotations, quaternions, **close)


@pytest.mark.parametrize(("gaussians", "stored_bytes"), [(32, 171_441_280), (4, 170_235_152)])
def test_published_sizes_give_the_published_state_dict(gaussians, stored_bytes):
    with torch.device("meta"):
        tensors = GaussianDecoder(GaussianDecoderParams(gaussians=gaussians)).state_dict()
    assert len(tensors) == 101
    # Half precision in the blocks, single elsewhere.
    size = sum(t.numel() * (2 if k.startswith("blocks.") else 4) for k, t in tensors.items())
    assert size == stored_bytes
    inferred = GaussianDecoderParams.from_state_dict(tensors)
    assert inferred == GaussianDecoderParams(gaussians=gaussians)


def test_raw_zeros_give_the_configured_biases():
    head = GaussianHeadParams(kernel=0.003)
    zeros = torch.zeros(1, 3)
    splat = RawGaussians(
        means=zeros,
        sh0=zeros,
        scales=zeros,
        rotations=torch.zeros(1, 4),
        opacities=torch.zeros(1),
        head=head,
    ).activate()
    # 0.004 after the softplus, and a kernel of 0.003 beside it: a 3-4-5 triangle.
    np.testing.assert_allclose(splat.scales, [[0.005] * 3], rtol=1e-5)
    np.testing.assert_allclose(splat.opacities, [0.1], rtol=1e-6)
    np.testing.assert_allclose(splat.rotations, [[1, 0, 0, 0]])


def test_splats_of_a_voxel_start_spread_over_it():
    starts = hammersley_offsets(32).tanh() * 0.75  # in voxels from the centre
    assert starts.min() >= -0.5 - 1e-6
    assert starts.max() <= 0.5
    octants = {tuple(point) for point in (starts > 0).tolist()}
    assert len(octants) == 8


def test_splats_lie_voxel_by_voxel_within_reach():
    params = GaussianDecoderParams(gaussians=4)
    with torch.device("meta"):
        decoder = GaussianDecoder(params)
    decoder.offset_perturbation = hammersley_offsets(4)
    voxels = Voxels(torch.tensor([[0, 0, 0, 0], [0, 63, 5, 20]]), 64)
    latent = SparseTensor(torch.zeros(2, 8), voxels)
    raw = decoder.splats(10 * torch.randn(2, 14 * 4), latent)
    centres = (voxels.coords[:, 1:] + 0.5) / 64 - 0.5
    away = (raw.means - centres.repeat_interleave(4, 0)).abs()
    assert away.max() <= 0.75 / 64 + 1e-6
