"""Every backend must compute what a dense convolution computes at the occupied voxels."""

import pytest
import torch
import torch.nn.functional as F

from scenelift.errors import BackendUnavailable
from scenelift.models.ops import sparse_conv_reference
from scenelift.models.ops.neighbours import Neighbours
from scenelift.models.ops.sparse_conv import SPARSE_CONV, best_sparse_conv
from scenelift.options import BackendOptions


@pytest.fixture(params=SPARSE_CONV.names())
def backend(request):
    """An implementation and the device that it runs on."""
    gpu = request.param == "triton" and torch.cuda.is_available()
    device = "cuda" if gpu else "cpu"  # TRITON_INTERPRET=1 runs Triton's kernels on a CPU
    try:
        return SPARSE_CONV.load(request.param, BackendOptions(device=device)), device
    except BackendUnavailable as exc:
        pytest.skip(str(exc))


@pytest.fixture
def problem():
    """A batch of two grids, a kernel, and the dense answer at their voxels."""
    rng = torch.Generator().manual_seed(0)
    occupied = torch.rand(2, 6, 6, 6, generator=rng) < 0.3
    dense = torch.randn(2, 6, 6, 6, 16, generator=rng) * occupied[..., None]
    weight = torch.randn(32, 3, 3, 3, 16, generator=rng)
    bias = torch.randn(32, generator=rng)
    full = F.conv3d(dense.permute(0, 4, 1, 2, 3), weight.permute(0, 4, 1, 2, 3), bias, padding=1)
    expected = full.permute(0, 2, 3, 4, 1)[occupied]  # [N, 32]
    return dense[occupied], occupied.nonzero(), weight, bias, expected


def test_equals_dense_convolution_at_occupied_voxels(backend, problem):
    conv, device = backend
    feats, coords, weight, bias, expected = (x.to(device) for x in problem)
    actual = conv(feats, Neighbours.of(coords, 6), weight, bias)
    # float32 sums of at most 27 · 16 products of order 1: 1e-4 is rounding, more is a bug.
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_half_precision_keeps_its_type_and_sums_in_float32(backend, problem):
    conv, device = backend
    feats, coords, weight, bias, expected = (x.to(device) for x in problem)
    # Products of half-precision values rounded once more at the end; sums of 400 such products in
    # half precision itself would be off by several times 2e-2.
    actual = conv(feats.half(), Neighbours.of(coords, 6), weight.half(), bias.half())
    assert actual.dtype == torch.float16
    torch.testing.assert_close(actual.float(), expected, rtol=1e-2, atol=6e-2)


def test_a_kernel_of_some_cells_adds_up_those(backend, problem):
    conv, device = backend
    feats, coords, weight, bias, _ = (x.to(device) for x in problem)
    table, kept = Neighbours.of(coords, 6), [1, 4, 13]
    kernel = weight.flatten(1, 3)[:, kept]
    others = torch.ones(27, dtype=torch.bool, device=device)
    others[kept] = False
    zeroed = weight.flatten(1, 3).masked_fill(others[:, None], 0)
    # The same products and zeros, added in another order.
    torch.testing.assert_close(
        conv(feats, table.select(kept), kernel, bias),
        conv(feats, table, zeroed, bias),
        rtol=1e-4,
        atol=1e-4,
    )


def test_channels_need_not_fill_a_tile(backend):
    conv, device = backend
    rng = torch.Generator().manual_seed(1)
    coords = (torch.rand(9, 9, 9, generator=rng) < 0.4).nonzero()
    coords = torch.cat([torch.zeros_like(coords[:, :1]), coords], 1)  # more than a block of them
    feats = torch.randn(len(coords), 72, generator=rng)
    weight = torch.randn(136, 3, 3, 3, 72, generator=rng)
    bias = torch.randn(136, generator=rng)
    expected = sparse_conv_reference.gather_matmul(feats, Neighbours.of(coords, 9), weight, bias)
    table = Neighbours.of(coords.to(device), 9)
    actual = conv(feats.to(device), table, weight.to(device), bias.to(device))
    # Sums of 27 · 72 products of order 1.
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-4, atol=1e-3)


def test_chunks_of_the_reference_do_not_show(problem, monkeypatch):
    feats, coords, weight, bias, _ = problem
    table = Neighbours.of(coords, 6)
    whole = sparse_conv_reference.gather_matmul(feats, table, weight, bias)
    monkeypatch.setattr(sparse_conv_reference, "_CHUNK_BYTES", 27 * 16 * 4 * 5)
    pieces = sparse_conv_reference.gather_matmul(feats, table, weight, bias)
    # A product of another shape may add in another order.
    torch.testing.assert_close(pieces, whole, rtol=1e-5, atol=1e-4)


def test_without_a_gpu_the_best_backend_is_the_reference(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert best_sparse_conv(BackendOptions(device="cpu")) is sparse_conv_reference.gather_matmul


def test_asking_for_triton_on_a_cpu_says_what_it_lacks(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(BackendUnavailable, match="reference"):
        SPARSE_CONV.load("triton", BackendOptions(device="cpu"))
