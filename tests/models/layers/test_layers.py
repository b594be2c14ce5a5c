"""The transformers' building blocks obey the identities that the samplers rely on."""

import math

import pytest
import torch
from torch import nn

from scenelift.models.layers.attention import CrossAttention, KeyValue, SelfAttention, attend
from scenelift.models.layers.blocks import BlockParams, FlowBlock, TransformerBlock
from scenelift.models.layers.embeddings import TimestepEmbedder, absolute_position_embedding
from scenelift.models.layers.norms import ChannelLayerNorm, LayerNorm32, MultiHeadRMSNorm


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def randomise(module: nn.Module, rng: torch.Generator) -> None:
    """Give every parameter a value that matters; fresh biases of zero would hide errors."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng) * 0.3)


def test_attention_without_a_context_equals_attention_to_zeros(rng):
    attention = CrossAttention(width=16, condition_width=6, heads=4)
    randomise(attention, rng)
    x = torch.randn(1, 5, 16, generator=rng)

    zeros = attention(x, attention.remember(torch.zeros(1, 9, 6)))
    shortcut = attention(x, None).expand_as(zeros)

    # Softmax weights sum to one up to float32 rounding.
    torch.testing.assert_close(shortcut, zeros, rtol=1e-5, atol=1e-6)


def test_a_batch_may_share_one_condition(rng):
    attention = CrossAttention(width=16, condition_width=6, heads=4)
    x, condition = torch.randn(3, 5, 16, generator=rng), torch.randn(1, 7, 6, generator=rng)
    shared = attention(x, attention.remember(condition))
    # Rounding of sums of 16 products.
    torch.testing.assert_close(
        shared, attention(x, attention.remember(condition.expand(3, -1, -1))), rtol=0, atol=1e-5
    )


def test_attention_equals_its_definition(rng):
    q, k, v = (torch.randn(2, n, 3, 4, generator=rng) for n in (5, 7, 7))
    weights = torch.einsum("blhe,bshe->bhls", q, k).div(math.sqrt(4)).softmax(-1)
    expected = torch.einsum("bhls,bshe->blhe", weights, v).flatten(2)
    torch.testing.assert_close(attend(q, k, v), expected, rtol=1e-5, atol=1e-6)


def test_normalised_queries_and_keys_do_not_depend_on_their_length(rng):
    attention = SelfAttention(16, 4, qk_rms_norm=True)
    q, k, _ = attention.project(torch.randn(2, 5, 16, generator=rng))
    for heads in (q, k):
        torch.testing.assert_close(heads.norm(dim=-1), torch.full((2, 5, 4), 2.0))  # √4 channels


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="width 10 must be a multiple of heads 4"):
        SelfAttention(10, 4)
    with pytest.raises(ValueError, match="width 10 must be a multiple of heads 4"):
        BlockParams(width=10, heads=4)


@pytest.mark.parametrize("norm", [LayerNorm32(8, affine=True), MultiHeadRMSNorm(2, 8)])
def test_norms_survive_half_precision_values_whose_squares_overflow(norm):
    x = torch.linspace(-3e3, 3e3, 16).reshape(1, 2, 8)
    normed = norm(x.half())
    assert normed.dtype == torch.float16
    # 2**-10 is the spacing of float16 at one; values reach √8.
    torch.testing.assert_close(normed.float(), norm(x), rtol=2e-3, atol=2e-3)


def test_channel_norm_normalises_each_voxel(rng):
    norm = ChannelLayerNorm(6)
    x = torch.randn(1, 6, 2, 3, 4, generator=rng)
    expected = LayerNorm32(6, affine=True, eps=1e-5)(x[0, :, 1, 2, 3])
    torch.testing.assert_close(norm(x)[0, :, 1, 2, 3], expected)


def test_flow_block_without_a_context_equals_one_with_zero_condition(rng):
    block = FlowBlock(BlockParams(width=16, heads=4, condition_width=6))
    randomise(block, rng)
    x, time = torch.randn(1, 5, 16, generator=rng), torch.randn(1, 16, generator=rng)
    zeros = block.cross_attn.remember(torch.zeros(1, 3, 6))
    # Differences of float32 rounding pass an MLP of 64 channels.
    torch.testing.assert_close(block(x, time, None), block(x, time, zeros), rtol=1e-4, atol=1e-4)


def test_flow_block_ignores_the_order_of_condition_tokens(rng):
    block = FlowBlock(BlockParams(width=16, heads=4, condition_width=6))
    randomise(block, rng)
    x, time = torch.randn(1, 5, 16, generator=rng), torch.randn(1, 16, generator=rng)
    context = block.cross_attn.remember(torch.randn(1, 7, 6, generator=rng))
    shuffled = KeyValue(context.keys.flip(1), context.values.flip(1))
    torch.testing.assert_close(
        block(x, time, shuffled), block(x, time, context), rtol=1e-4, atol=1e-4
    )


def test_transformer_block_hands_arguments_to_its_attention():
    class Gain(nn.Module):
        def forward(self, x, gain):
            return gain * x

    block = TransformerBlock(8, Gain())
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    h = x + 2 * block.norm1(x)
    torch.testing.assert_close(block(x, 2.0), h + block.mlp(block.norm2(h)))


def test_flow_blocks_have_the_published_parameter_names():
    names = set(FlowBlock(BlockParams(width=16, heads=4, condition_width=6)).state_dict())
    linear = ["self_attn.to_qkv", "self_attn.to_out", "cross_attn.to_q", "cross_attn.to_kv"]
    linear += ["cross_attn.to_out", "mlp.mlp.0", "mlp.mlp.2", "adaLN_modulation.1", "norm2"]
    expected = {f"{name}.{kind}" for name in linear for kind in ("weight", "bias")}
    expected |= {"self_attn.q_rms_norm.gamma", "self_attn.k_rms_norm.gamma"}
    assert names == expected


def test_position_embedding_of_the_origin_is_zeros_and_ones():
    embedding = absolute_position_embedding(torch.zeros(1, 3, dtype=torch.int32), 20)
    # Six waves of 20 // 6 = 3 frequencies, sines before cosines on each axis, two left over.
    assert embedding[0].tolist() == ([0.0] * 3 + [1.0] * 3) * 3 + [0.0] * 2


def test_positions_differ_where_any_axis_differs():
    coords = torch.cartesian_prod(*[torch.arange(4)] * 3)
    embeddings = absolute_position_embedding(coords, 24)
    distances = torch.cdist(embeddings, embeddings) + 10 * torch.eye(64)
    assert distances.min() > 0.1


def test_time_zero_is_embedded_like_any_other_time():
    embedder = TimestepEmbedder(8, frequency_width=4)
    waves = torch.tensor([[1.0, 1.0, 0.0, 0.0]])  # cosines, then sines, of zero
    torch.testing.assert_close(embedder(torch.zeros(1)), embedder.mlp(waves))
