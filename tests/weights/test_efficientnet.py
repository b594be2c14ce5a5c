"""Weights of an old PyTorch are read without it; the classifier's graph says what they mean."""

from __future__ import annotations

import io
import os
import pickle

import numpy as np
import onnxruntime
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from PIL import Image

from scenelift.errors import WeightsError
from scenelift.models.embedded import MEAN, STD
from scenelift.segment.embedded.categories import CATEGORIES
from scenelift.segment.embedded.namer import INNER, Namer, session_with_inner
from scenelift.weights.efficientnet import EPSILON, build
from scenelift.weights.legacy_torch import read_state_dict
from scenelift.weights.onnx_graph import serialize


def saved(tensors):
    buffer = io.BytesIO()
    torch.save(tensors, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def test_tensors_come_back_in_whatever_order_their_numbers_lie():
    base = torch.arange(24.0).reshape(2, 3, 4)
    tensors = {"a": base, "turned": base.permute(2, 0, 1), "part": base[1], "n": torch.tensor(7)}
    found = read_state_dict(saved(tensors))
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


class Evil:
    def __reduce__(self):
        return os.mkdir, ("made-by-a-pickle",)


def test_nothing_in_the_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="only tensors"):
        read_state_dict(saved({"a": Evil()}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "data", [b"", pickle.dumps(5), saved({"a": torch.zeros(9)})[:-8], b"PK\3\4"]
)
def test_what_is_damaged_or_something_else_is_an_error(data):
    with pytest.raises(WeightsError):
        read_state_dict(data)


def network(rng):
    """A classifier of one block a stage, with the published names."""
    weights = {}

    def convolution(name, norm, *shape):
        weights[f"{name}.weight"] = rng.normal(0, 0.3, shape).astype(np.float32)
        for kind in ("weight", "bias", "running_mean", "running_var"):
            spread = rng.uniform(0.5, 1.5, shape[0])
            weights[f"{norm}.{kind}"] = spread.astype(np.float32)

    outs, kernels = (16, 8, 12, 20, 24, 28, 40), (3, 3, 5, 3, 5, 5, 3)
    convolution("_conv_stem", "_bn0", 32, 3, 3, 3)
    channels = 32
    for k, (out, kernel) in enumerate([*zip(outs, kernels, strict=True), (40, 3)]):
        block, wide = f"_blocks.{k}", channels if k == 0 else 2 * channels
        if k:
            convolution(f"{block}._expand_conv", f"{block}._bn0", wide, channels, 1, 1)
        convolution(f"{block}._depthwise_conv", f"{block}._bn1", wide, 1, kernel, kernel)
        convolution(f"{block}._project_conv", f"{block}._bn2", out, wide, 1, 1)
        channels = out
    convolution("_conv_head", "_bn1", 64, 40, 1, 1)
    weights["_fc.weight"] = rng.normal(0, 0.3, (1000, 64)).astype(np.float32)
    weights["_fc.bias"] = rng.normal(0, 0.3, 1000).astype(np.float32)
    return weights


def reference(weights, x):
    """The same in PyTorch, norms by themselves, padded as TensorFlow pads."""
    weights = {name: torch.from_numpy(value) for name, value in weights.items()}

    def convolution(x, name, norm, stride=1, act=True):
        kernel = weights[f"{name}.weight"]
        size, most = x.shape[-1], kernel.shape[-1]
        missing = max((-(-size // stride) - 1) * stride + most - size, 0)
        x = F.pad(x, (missing // 2, missing - missing // 2) * 2)
        groups = len(kernel) if "depthwise" in name else 1
        x = F.conv2d(x, kernel, stride=stride, groups=groups)
        mean, var, scale, bias = (
            weights[f"{norm}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")
        )
        x = F.batch_norm(x, mean, var, scale, bias, eps=EPSILON)
        return x.clamp(0, 6) if act else x

    x = convolution(x, "_conv_stem", "_bn0", 2)
    for k, stride in enumerate((1, 2, 2, 2, 1, 2, 1, 1)):
        block, y = f"_blocks.{k}", x
        if k:
            y = convolution(y, f"{block}._expand_conv", f"{block}._bn0")
        y = convolution(y, f"{block}._depthwise_conv", f"{block}._bn1", stride)
        y = convolution(y, f"{block}._project_conv", f"{block}._bn2", act=False)
        x = x + y if k == 7 else y
    x = convolution(x, "_conv_head", "_bn1").mean((2, 3))
    return F.linear(x, weights["_fc.weight"], weights["_fc.bias"])


def test_the_graph_says_what_the_network_says():
    rng = np.random.default_rng(0)
    weights = network(rng)
    picture = rng.normal(size=(2, 3, 66, 66)).astype(np.float32)
    session = onnxruntime.InferenceSession(serialize(build(weights)))
    (found,) = session.run(["logits"], {"image": picture})
    expected = reference(weights, torch.from_numpy(picture)).numpy()
    # Kernels are stored in float16.
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())


def test_the_cells_of_a_photo_say_together_what_the_network_says_of_it(tmp_path):
    path = tmp_path / "efficientnet.onnx"
    model = build(network(np.random.default_rng(3)))
    path.write_bytes(serialize(model))
    last = {node.op_type: list(node.input) for node in model.graph.node}
    inner = (last["GlobalAveragePool"][0], last["MatMul"][1], last["Add"][1])
    assert [name.split("_")[0] for name in inner] == [name.split("_")[0] for name in INNER]
    namer = Namer(session_with_inner(path, 1, inner))
    pixels = np.random.default_rng(4).integers(0, 255, (96, 64, 3)).astype(np.uint8)
    for chances, (rows, columns) in zip(namer.maps(pixels), ((12, 8), (24, 16)), strict=True):
        assert chances.shape == (1000, rows, columns)
        size = (columns * 32, rows * 32)
        picture = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
        x = ((np.asarray(picture, np.float32) / 255 - MEAN) / STD).transpose(2, 0, 1)[None]
        logits = np.asarray(onnxruntime.InferenceSession(path).run(["logits"], {"image": x})[0])
        # The mean over cells is taken before the logits, which are linear.
        mean = np.log(chances).mean((1, 2))
        np.testing.assert_allclose(mean - mean.mean(), logits[0] - logits[0].mean(), atol=2e-3)


def test_a_classifier_that_is_no_network_is_an_error(tmp_path):
    path = tmp_path / "efficientnet.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(WeightsError, match="models verify"):
        session_with_inner(path, 1)


@pytest.mark.weights
def test_the_installed_classifier_sees_the_cup_of_a_photo_where_it_is():
    chances = Namer.load(None, 1).maps(skimage.data.coffee())[0][list(CATEGORIES["cup"])].sum(0)
    sure = np.argwhere(chances > 0.9)  # of 8 × 12 cells
    assert len(sure) > 10
    assert sure.min(0).tolist() == [0, 2]
    assert sure.max(0).tolist() == [4, 8]
