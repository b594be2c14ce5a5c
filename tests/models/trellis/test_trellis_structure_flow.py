"""TRELLIS's first flow: sizes as published, zero conditions for free, cells in their order."""

import pytest
import torch

from scenelift.models.layers.blocks import BlockParams
from scenelift.models.sam3d.structure_flow import StructureFlow as Sam3dStructureFlow
from scenelift.models.sam3d.structure_flow import structure_noise as sam3d_noise
from scenelift.models.slat.precision import to_half
from scenelift.models.slat.structure_decoder import cube_from_tokens
from scenelift.models.slat.structure_flow import StructureFlowParams
from scenelift.models.trellis.structure_flow import StructureFlow, structure_noise, tokens_from_cube
from scenelift.testing.fake_weights import draw_weights
from scenelift.weights.state_dicts import load_module

PARAMS = StructureFlowParams(
    block=BlockParams(width=32, heads=4, condition_width=12, mlp_ratio=2), blocks=2, resolution=3
)


@pytest.fixture(scope="module")
def flow() -> StructureFlow:
    network = StructureFlow(PARAMS)
    shapes = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    network.load_state_dict(draw_weights(shapes, seed=0))
    return network.eval().requires_grad_(False)


def noise(seed: int = 0) -> torch.Tensor:
    return structure_noise(PARAMS, torch.Generator().manual_seed(seed))


def test_default_sizes_are_the_published_ones():
    with torch.device("meta"):
        network = StructureFlow(StructureFlowParams())
    state = network.state_dict()
    assert len(state) == 489
    assert sum(t.numel() for t in state.values()) == 559_737_864


def test_sizes_are_read_from_the_state_dict(flow):
    assert StructureFlowParams.from_state_dict(flow.state_dict()) == PARAMS


def test_no_context_stands_for_a_condition_of_zeros(flow):
    t = torch.tensor([0.7])
    zeros = flow.remember(torch.zeros(1, 5, 12))
    # Softmax over equal keys, in another order of additions.
    torch.testing.assert_close(flow(noise(), t, None), flow(noise(), t, zeros), atol=1e-5, rtol=0)


def test_cells_keep_their_place(flow):
    cube = torch.arange(27.0 * 8).view(1, 8, 3, 3, 3)
    tokens = tokens_from_cube(cube)
    assert torch.equal(cube_from_tokens(tokens), cube)
    assert torch.equal(tokens[0, 2 * 9 + 1 * 3 + 0], cube[0, :, 2, 1, 0])


def test_noise_is_what_the_published_code_draws():
    torch.manual_seed(42)
    published = torch.randn(1, 8, 3, 3, 3)
    assert torch.equal(cube_from_tokens(noise(42)), published)


def test_sam3ds_shape_stream_computes_the_same(flow):
    """Under other names, TRELLIS's network is one of SAM 3D Objects' two streams."""
    twin = Sam3dStructureFlow(PARAMS)
    state = twin.state_dict()
    for name, tensor in flow.state_dict().items():
        block, dot, rest = name.partition(".norm2.")
        candidates = [name, f"latent_mapping.shape.{name}"]
        if dot:
            candidates.append(f"{block}.norm2.shape.{rest}")
        for part in ("cross_attn", "mlp"):
            candidates.append(name.replace(f".{part}.", f".{part}.shape.", 1))
        stem, _, last = name.rpartition(".")
        candidates.append(f"{stem}.shape.{last}")  # self-attention
        (found,) = {c for c in candidates if c in state}
        state[found] = tensor
    twin.load_state_dict(state)

    generator = torch.Generator().manual_seed(1)
    latents = sam3d_noise(PARAMS, generator)._replace(shape=noise())
    cond, t = torch.randn(1, 5, 12, generator=generator), torch.tensor([0.3])
    expected = twin(latents, t, twin.remember(cond), step=None).shape
    torch.testing.assert_close(flow(noise(), t, flow.remember(cond)), expected)


def test_half_precision_matrices_change_little(flow):
    halved = load_module(
        lambda: StructureFlow(PARAMS), to_half(flow.state_dict()), source="a half-precision copy"
    )
    assert halved.compute_dtype == torch.float16
    cond = torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(2))
    t = torch.tensor([0.5])
    expected = flow(noise(), t, flow.remember(cond))
    actual = halved(noise(), t, halved.remember(cond))
    assert actual.dtype == torch.float32
    # Two blocks of float16, whose numbers have three digits.
    torch.testing.assert_close(actual, expected, atol=0.02, rtol=0.02)
