"""Condition tokens: how many, of what, and in which order."""

import pytest
import torch

from scenelift.models.layers.dino import DinoEmbedder, DinoParams, VisionTransformer
from scenelift.models.sam3d.condition import ConditionEmbedder, ConditionParams
from scenelift.models.sam3d.pointpatch import PointPatchEmbedder, PointPatchParams
from scenelift.models.sam3d.preprocess import ConditionImages, PointViews

DINO = DinoParams(width=64, blocks=1, side=3, registers=4)
STRUCTURE = ConditionParams(width=32, dino=DINO, points=PointPatchParams(width=32, side=2))
LATENT = ConditionParams(width=32, dino=DINO, prenorm=True, points=None)
SIDE = 42  # pixels, three patches


def randomised(module):
    generator = torch.Generator().manual_seed(0)
    for parameter in module.requires_grad_(False).parameters():
        parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def images(seed: int = 1) -> ConditionImages:
    generator = torch.Generator().manual_seed(seed)

    def picture(channels):
        return torch.rand(1, channels, SIDE, SIDE, generator=generator)

    points = PointViews(crop=picture(3), full=picture(3), scale=torch.ones(3), shift=torch.zeros(3))
    return ConditionImages(
        image=picture(3),
        mask=picture(1).round(),
        full_image=picture(3),
        full_mask=picture(1).round(),
        points=points,
    )


@pytest.mark.parametrize(("params", "count"), [(STRUCTURE, 4 * 10 + 2 * 4), (LATENT, 4 * 14)])
def test_sizes_and_number_of_tokens(params, count):
    embedder = randomised(ConditionEmbedder(params))
    assert embedder.embed(images()).shape == (1, count, 32)
    state = embedder.state_dict()
    assert ConditionParams.from_state_dict(state, prenorm=params.prenorm) == params


def test_tokens_of_each_view_depend_on_that_view_alone():
    embedder = randomised(ConditionEmbedder(STRUCTURE))
    a, b = images(1), images(2)
    tokens = embedder.embed(a)
    for name, start, stop in (
        ("image", 0, 10),
        ("full_image", 10, 20),
        ("mask", 20, 30),
        ("full_mask", 30, 40),
        ("points", 40, 48),
    ):
        views = {f: getattr(a, f) for f in ("image", "full_image", "mask", "full_mask", "points")}
        changed = embedder.embed(ConditionImages(**(views | {name: getattr(b, name)})))
        differs = (changed - tokens).abs().amax((0, 2)) > 1e-4
        assert differs[start:stop].any()
        assert not differs[:start].any()
        assert not differs[stop:].any()


def test_points_can_be_withheld():
    embedder = randomised(ConditionEmbedder(STRUCTURE))
    seen, withheld = (embedder.embed(images(), use_points=use) for use in (True, False))
    assert (withheld[:, 40:] == 0).all()
    assert torch.equal(withheld[:, :40], seen[:, :40])


def test_a_stage_that_embeds_points_needs_them():
    without = images()
    without = ConditionImages(
        image=without.image,
        mask=without.mask,
        full_image=without.full_image,
        full_mask=without.full_mask,
        points=None,
    )
    with pytest.raises(ValueError, match="needs a point map"):
        ConditionEmbedder(STRUCTURE).embed(without)
    assert ConditionEmbedder(LATENT).embed(without).shape == (1, 56, 32)


def test_a_mask_is_embedded_like_a_grey_picture():
    embedder = randomised(DinoEmbedder(DINO, prenorm=False))
    mask = images().mask
    torch.testing.assert_close(embedder(mask), embedder(mask.repeat(1, 3, 1, 1)))


def test_both_policies_see_the_same_patches():
    plain = randomised(DinoEmbedder(DINO, prenorm=False))
    raw = DinoEmbedder(DINO, prenorm=True)
    raw.load_state_dict(plain.state_dict())
    with torch.no_grad():
        for norm in (plain.backbone.norm, raw.backbone.norm):
            norm.weight.fill_(1)
            norm.bias.fill_(0)
        picture = images().image
        kept, every = plain(picture), raw(picture)
    assert (kept.shape[1], every.shape[1]) == (10, 14)
    # Without gains, the network's norm and the plain norm differ by their epsilon alone.
    torch.testing.assert_close(kept, torch.cat([every[:, :1], every[:, 5:]], 1), rtol=0, atol=1e-3)


def test_pictures_of_other_sizes_give_a_token_for_each_patch():
    network = randomised(VisionTransformer(DinoParams(width=64, blocks=2, side=3, registers=0)))
    tapped = network.tokens_after(torch.rand(1, 3, 5 * 14, 2 * 14), (0, 1))
    assert [patches.shape for patches, _ in tapped] == [(1, 64, 5, 2)] * 2
    tokens = network.norm(network(torch.ones(1, 3, 5 * 14, 2 * 14)))
    ((last, class_token),) = network.tokens_after(torch.ones(1, 3, 5 * 14, 2 * 14), (1,))
    torch.testing.assert_close(last.flatten(2).transpose(1, 2), tokens[:, 1:])
    torch.testing.assert_close(class_token, tokens[:, 0])


def test_a_point_changes_its_own_window_alone():
    params = PointPatchParams(width=32, side=3, window=4)
    embedder = randomised(PointPatchEmbedder(params))
    points = torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(3))
    changed = points.clone()
    changed[0, 0, 5, 10] = float("nan")  # window row 1, column 2
    differs = (embedder(changed) - embedder(points)).abs().amax((0, 2)) > 1e-6
    assert differs.nonzero().flatten().tolist() == [1 * 3 + 2]


def test_it_does_not_matter_which_coordinate_of_a_point_is_missing():
    embedder = randomised(PointPatchEmbedder(PointPatchParams(width=32, side=2, window=4)))
    points = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    tokens = []
    for missing in (float("nan"), float("inf")):
        changed = points.clone()
        changed[0, 1, 2, 3] = missing
        tokens.append(embedder(changed))
    assert torch.equal(*tokens)
    assert tokens[0].isfinite().all()
