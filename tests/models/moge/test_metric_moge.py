"""All published sizes of MoGe-2 are read strictly, and what they do not know is refused."""

import copy

import pytest
import torch

from scenelift.errors import WeightsError
from scenelift.models.moge.checkpoint import load_metric_moge, load_moge
from scenelift.models.moge.geometry import geometry_of
from scenelift.models.moge.metric import MoGeOutput
from scenelift.models.moge.parts import view_plane
from scenelift.testing.fake_weights import draw_weights
from scenelift.testing.moge2_sizes import (
    PARAMETERS,
    PUBLISHED,
    TINY,
    plant_metric_plane,
    shapes_of,
    write_moge2,
)


@pytest.fixture(scope="module")
def tiny() -> dict[str, torch.Tensor]:
    return draw_weights(shapes_of(TINY), seed=0)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_size_loads_strictly(tmp_path, name):
    # One number each, repeated: a file of kilobytes with the published names and shapes.
    tensors = {k: torch.zeros(()).expand(s) for k, s in shapes_of(PUBLISHED[name]).items()}
    network = load_metric_moge(write_moge2(tmp_path / "model.pt", PUBLISHED[name], tensors))
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name]
    assert (network.params.normal is not None) == name.endswith("normal")
    assert network.params.scale is not None
    assert network.params.tokens() == 3600
    assert network.params.tokens(0) == 1200


def test_what_is_missing_or_left_over_is_named(tmp_path, tiny):
    lacking = dict(tiny)
    del lacking["neck.input_blocks.1.bias"]
    with pytest.raises(WeightsError, match=r"1 missing \(neck\.input_blocks\.1\.bias\)"):
        load_metric_moge(write_moge2(tmp_path / "model.pt", TINY, lacking))
    surplus = tiny | {"refiner.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"1 left over \(refiner\.weight\)"):
        load_metric_moge(write_moge2(tmp_path / "model.pt", TINY, surplus))


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (("neck", "resamplers"), ["pixel_shuffle"] * 4, "resampler 'pixel_shuffle'"),
        (("points_head", "res_block_in_norm"), "instance_norm", "norm 'instance_norm'"),
        (("mask_head", "activation"), "silu", "activation 'silu'"),
        (("remap_output",), "sinh", "remap_output is 'sinh'"),
        (("encoder", "backbone"), "convnext", "'convnext' is no DINOv2"),
        (("encoder", "intermediate_layers"), [0, 2], "not among the 2"),
        (("neck", "num_res_blocks"), [1, 1], "2 values for 5 levels"),
        (("points_head",), None, "its sizes cannot be read"),
    ],
)
def test_what_no_published_file_asks_for_is_refused(tmp_path, tiny, place, value, reason):
    config = copy.deepcopy(TINY)
    table = config
    for key in place[:-1]:
        table = table[key]
    table[place[-1]] = value
    with pytest.raises(WeightsError, match=reason):
        load_metric_moge(write_moge2(tmp_path / "model.pt", config, tiny))


def test_versions_are_told_apart(tmp_path, tiny):
    path = write_moge2(tmp_path / "model.pt", TINY, tiny)
    with pytest.raises(WeightsError, match="no MoGe v1"):
        load_moge(path)
    torch.save({"model_config": {"remap_output": "exp"}, "model": tiny}, tmp_path / "v1.pt")
    with pytest.raises(WeightsError, match="no MoGe-2"):
        load_metric_moge(tmp_path / "v1.pt")


def test_heads_that_are_not_in_the_configuration_do_not_exist(tmp_path):
    config = {k: v for k, v in TINY.items() if k not in ("normal_head", "scale_head")}
    shapes = {k: s for k, s in shapes_of(TINY).items() if not k.startswith(("normal", "scale"))}
    tensors = draw_weights(shapes, seed=0)
    network = load_metric_moge(write_moge2(tmp_path / "model.pt", config, tensors))
    with torch.inference_mode():
        output = network(torch.rand(1, 3, 40, 30), 12)
    assert output.normal is None
    assert output.scale is None
    assert not geometry_of(output).metric


@pytest.mark.parametrize("size", [(60, 90), (90, 40), (30, 30)])
def test_planted_ground_comes_out_in_metres(tmp_path, tiny, size):
    tensors = {name: tensor.clone() for name, tensor in tiny.items()}
    plant_metric_plane(tensors, metres=3.0)
    network = load_metric_moge(write_moge2(tmp_path / "model.pt", TINY, tensors))
    with torch.inference_mode():
        found = geometry_of(network(torch.rand(1, 3, *size), network.params.tokens()))
    assert found.metric
    assert found.mask.all()
    assert found.focal == pytest.approx(1, rel=0.05)
    middle = found.depth[size[0] // 2, size[1] // 2]
    assert float(middle) == pytest.approx(3, rel=0.05)
    assert found.depth[-1].mean() < middle < found.depth[0].mean()
    assert found.normal is not None
    torch.testing.assert_close(found.normal.norm(dim=-1), torch.ones(size))


def test_a_point_is_invalid_where_the_mask_or_its_depth_says_so():
    plane = view_plane(48, 64, 4 / 3, torch.zeros(1))
    z = 2 + plane[0]
    points = torch.stack([plane[0] * z, plane[1] * z, z], -1)[None]
    points[:, 3, 5, 2] = -9
    mask = torch.ones(1, 48, 64)
    mask[:, :, :4] = 0.5
    normal = torch.zeros(1, 48, 64, 3)
    normal[..., 2] = -1
    scale = torch.tensor([2.0])
    found = geometry_of(MoGeOutput(points=points, mask=mask, normal=normal, scale=scale))
    assert not found.mask[:, :4].any()
    assert not found.mask[3, 5]
    assert found.mask.sum() == 48 * 60 - 1
    assert found.points[3, 5].isinf().all()
    assert found.depth[3, 5].isinf()
    assert found.normal is not None
    assert (found.normal[3, 5] == 0).all()
    assert (found.normal[3, 6] == normal[0, 3, 6]).all()
