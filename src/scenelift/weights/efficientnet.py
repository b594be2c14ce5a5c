"""EfficientNet-Lite as an ONNX graph (https://arxiv.org/abs/1905.11946), from its state dict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from scenelift.weights.onnx_graph import OnnxGraph

__all__ = ["build"]

EPSILON = 1e-3  # of the norms
HALVING = (1, 2, 3, 5)  # stages, counted from 0, whose first block halves the picture


def build(weights: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """Build the graph from `image` to `logits`.

    `image` is [B, 3, height, width], normalised by ImageNet's mean and deviation, `logits` is
    [B, 1000].

    Norms are folded into the convolutions before them; what is stored is in float16.
    """
    graph = OnnxGraph()
    six, zero = graph.constant(np.array(6, np.float32)), graph.constant(np.array(0, np.float32))

    def convolved(x: str, name: str, norm: str, *, stride: int = 1, act: bool = True) -> str:
        kernel = weights[f"{name}.weight"].astype(np.float32)
        scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + EPSILON)
        bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        x = graph.add(
            "Conv",
            x,
            graph.constant((kernel * scale[:, None, None, None]).astype(np.float16)),
            graph.constant(bias.astype(np.float32)),
            auto_pad="SAME_UPPER",
            strides=[stride, stride],
            group=len(kernel) if kernel.shape[1] == 1 and "depthwise" in name else 1,
        )
        return graph.add("Clip", x, zero, six) if act else x

    x = convolved(
        graph.input("image", ["batch", 3, "height", "width"]), "_conv_stem", "_bn0", stride=2
    )
    channels, blocks = 32, 1 + max(int(n.split(".")[1]) for n in weights if n.startswith("_blocks"))
    strides = _strides(weights, blocks)
    for k in range(blocks):
        block = f"_blocks.{k}"
        y = x
        if f"{block}._expand_conv.weight" in weights:
            y = convolved(y, f"{block}._expand_conv", f"{block}._bn0")
        y = convolved(y, f"{block}._depthwise_conv", f"{block}._bn1", stride=strides[k])
        y = convolved(y, f"{block}._project_conv", f"{block}._bn2", act=False)
        out = len(weights[f"{block}._project_conv.weight"])
        x = graph.add("Add", x, y) if strides[k] == 1 and out == channels else y
        channels = out
    x = convolved(x, "_conv_head", "_bn1")
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x), axis=1)
    matrix = graph.constant(weights["_fc.weight"].T.astype(np.float16))
    bias = graph.constant(weights["_fc.bias"].astype(np.float32))
    logits = graph.add("Add", graph.add("MatMul", x, matrix), bias)
    return graph.model({"logits": (logits, ["batch", 1000])})


def _strides(weights: Mapping[str, NDArray[Any]], blocks: int) -> list[int]:
    """List the stride of each block; a stage is a run of blocks with as many channels."""
    outs = [len(weights[f"_blocks.{k}._project_conv.weight"]) for k in range(blocks)]
    first = [k for k in range(blocks) if k == 0 or outs[k] != outs[k - 1]]
    return [2 if k in {first[s] for s in HALVING} else 1 for k in range(blocks)]
