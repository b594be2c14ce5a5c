"""The structure decoder puts every channel of a cell where it belongs."""

import torch

from scenelift.models.slat.structure_decoder import (
    StructureDecoder,
    StructureEncoder,
    StructureVAEParams,
    Upsample,
    cube_from_tokens,
)

PARAMS = StructureVAEParams(channels=(8, 6, 4), latent_channels=3, blocks=1, middle_blocks=2)


def test_up_sampling_shuffles_channels_into_a_cell_s_children():
    up = Upsample(2, 3).requires_grad_(False)
    x = torch.randn(1, 2, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    h, shuffled = up.conv(x), up(x)
    assert shuffled.shape == (1, 3, 4, 6, 8)
    for i, j, k in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)):
        child = shuffled[0, 2, 2 * 1 + i, 2 * 2 + j, 2 * 3 + k]
        assert child == h[0, 2 * 8 + 4 * i + 2 * j + k, 1, 2, 3]


def test_tokens_run_fastest_along_z():
    cube = cube_from_tokens(torch.arange(27.0).reshape(1, 27, 1))
    assert cube[0, 0, 1, 2, 0] == 1 * 9 + 2 * 3 + 0


def test_sizes_are_read_from_the_state_dict():
    for network in (StructureDecoder(PARAMS), StructureEncoder(PARAMS)):
        assert StructureVAEParams.from_state_dict(network.state_dict()) == PARAMS


def test_decoder_and_encoder_mirror_each_other():
    latent = torch.zeros(1, 3, 2, 2, 2)
    logits = StructureDecoder(PARAMS)(latent)
    assert logits.shape == (1, 1, 8, 8, 8)
    mean, log_variance = StructureEncoder(PARAMS)(logits)
    assert mean.shape == log_variance.shape == latent.shape


def test_inner_layers_may_be_in_half_precision():
    torch.manual_seed(0)
    decoder = StructureDecoder(PARAMS).requires_grad_(False)
    cube = torch.randn(1, 3, 2, 2, 2)
    exact = decoder(cube)
    # Norms stay in float32, as in the published file.
    for name, module in decoder.named_modules():
        if name.startswith(("blocks.", "middle_block.")) and "conv" in name:
            module.half()
    rounded = decoder(cube)
    assert rounded.dtype == torch.float32
    # float16 keeps 11 bits; a dozen layers add up to a few thousandths.
    torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.02)
