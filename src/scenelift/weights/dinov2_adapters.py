"""Low-rank adapters of DINOv2: what a head's training changed in the frozen backbone.

LoRA (https://arxiv.org/abs/2106.09685): a layer y = W x + b becomes y = W x + b + (x · down) · up.
The file is safetensors with `blocks.I.LAYER.down` [in, rank] and `blocks.I.LAYER.up` [rank, out] in
8 bits, and beside each `….scale` [rank] in float32: a number is its byte by the scale of its rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from safetensors import SafetensorError
from safetensors.numpy import load_file

from scenelift.errors import WeightsError
from scenelift.weights.dinov2 import BLOCKS, WIDTH, layer_of
from scenelift.weights.shipped import AGAIN

__all__ = ["LAYERS", "adapted", "in_bytes", "read_adapters"]

LEVEL = 127  # of the largest number of a rank
LAYERS = {
    "attn.qkv": (WIDTH, 3 * WIDTH),
    "attn.proj": (WIDTH, WIDTH),
    "mlp.fc1": (WIDTH, 4 * WIDTH),
    "mlp.fc2": (4 * WIDTH, WIDTH),
}
"""Inputs and outputs of each layer that has adapters."""

# The layer that a product of the graph belongs to, and its third of the outputs.
_PRODUCTS = {
    "attention/attention/query": ("attn.qkv", 0),
    "attention/attention/key": ("attn.qkv", 1),
    "attention/attention/value": ("attn.qkv", 2),
    "attention/output/dense": ("attn.proj", 0),
    "mlp/fc1": ("mlp.fc1", 0),
    "mlp/fc2": ("mlp.fc2", 0),
}


def in_bytes(adapters: Mapping[str, NDArray[np.floating]]) -> dict[str, NDArray]:
    """Round adapters to 8 bits, as the file has them."""
    tensors: dict[str, NDArray] = {}
    for name, values in adapters.items():
        over = 0 if name.endswith(".down") else 1
        scale = np.abs(values.astype(np.float32)).max(over, keepdims=True) / LEVEL
        tensors[name] = np.rint(values / np.where(scale > 0, scale, 1)).astype(np.int8)
        tensors[f"{name}.scale"] = scale.astype(np.float32).ravel()
    return tensors


def read_adapters(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read a file of adapters.

    Raises:
        WeightsError: it is damaged, or holds other tensors than those of all blocks' layers.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, KeyError) as exc:
        raise WeightsError(f"{path} is no file of adapters: {exc}. {AGAIN}") from exc
    names = {
        f"blocks.{i}.{layer}.{part}"
        for i in range(BLOCKS)
        for layer in LAYERS
        for part in ("down", "down.scale", "up", "up.scale")
    }
    if wrong := sorted(names ^ tensors.keys()):
        raise WeightsError(
            f"{path} holds other adapters than those of DINOv2's {BLOCKS} blocks: "
            f"{wrong[0]!r} is {'missing' if wrong[0] in names else 'not expected'}. {AGAIN}"
        )
    read: dict[str, NDArray[np.float32]] = {}
    for i in range(BLOCKS):
        for layer, (inputs, outputs) in LAYERS.items():
            down, up = (tensors[f"blocks.{i}.{layer}.{part}"] for part in ("down", "up"))
            rank = down.shape[-1] if down.ndim else 0
            if down.shape != (inputs, rank) or up.shape != (rank, outputs) or not rank:
                raise WeightsError(
                    f"{path}: the adapters of blocks.{i}.{layer} have the shapes {down.shape} and "
                    f"{up.shape} in place of ({inputs}, r) and (r, {outputs}). {AGAIN}"
                )
            scales = [tensors[f"blocks.{i}.{layer}.{part}.scale"] for part in ("down", "up")]
            if down.dtype != np.int8 or up.dtype != np.int8:
                raise WeightsError(
                    f"{path}: the adapters of blocks.{i}.{layer} are {down.dtype} and {up.dtype} "
                    f"in place of int8. {AGAIN}"
                )
            if any(s.shape != (rank,) or not np.isfinite(s).all() for s in scales):
                raise WeightsError(
                    f"{path}: the adapters of blocks.{i}.{layer} have no {rank} finite scales "
                    f"each. {AGAIN}"
                )
            read[f"blocks.{i}.{layer}.down"] = down * scales[0].astype(np.float32)
            read[f"blocks.{i}.{layer}.up"] = up * scales[1].astype(np.float32)[:, None]
    return read


def adapted(model: onnx.ModelProto, adapters: Mapping[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """Add two thin matrix products beside each product of the quantised graph, in place.

    They compute in float32 on what the quantised product reads before it is quantised. Merged into
    the 8-bit matrices they would cost no time, but rounding those anew loses half as much again
    as they lose (docs/log.md).

    Args:
        model: `dinov2.onnx`.
        adapters: of `read_adapters`.

    Raises:
        WeightsError: the graph is another one.
    """
    graph = model.graph
    maker = {name: node for node in graph.node for name in node.output}
    reader = {name: node for node in graph.node for name in node.input}
    after: dict[str, list[onnx.NodeProto]] = {}  # a tensor: what is computed as soon as it is there

    def stored(name: str, values: NDArray[np.float32]) -> str:
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    narrowed = set[str]()
    for node in graph.node:
        place = layer_of(node)
        if place is None or place[1] not in _PRODUCTS:
            continue
        layer, third = _PRODUCTS[place[1]]
        name = f"blocks.{place[0]}.{layer}"
        down, up = (adapters[f"{name}.{part}"] for part in ("down", "up"))
        last = node
        for op in ("Cast", "Mul", "Add"):  # scaled, then the bias: onnxruntime fuses all of them
            last = reader[last.output[0]]
            if last.op_type != op:
                raise _other_graph(f"{op} after {node.output[0]}")
        frozen, total = f"{last.output[0]}.frozen", last.output[0]
        last.output[0] = frozen
        added = f"{name}.{third}.added"
        nodes = after.setdefault(frozen, [])
        if name not in narrowed:
            narrowed.add(name)
            read = maker[node.input[0]].input[0]  # before it is quantised
            weights = stored(f"{name}.down", down)
            nodes.append(helper.make_node("MatMul", [read, weights], [f"{name}.narrow"]))
        if layer == "attn.qkv":
            up = up[:, third * WIDTH : (third + 1) * WIDTH]
        weights = stored(f"{name}.{third}.up", up)
        nodes.append(helper.make_node("MatMul", [f"{name}.narrow", weights], [added]))
        nodes.append(helper.make_node("Add", [frozen, added], [total]))
    if len(after) != BLOCKS * len(_PRODUCTS):
        raise _other_graph(f"{BLOCKS * len(_PRODUCTS)} products of integers")
    everything = [n for node in graph.node for n in (node, *after.get(node.output[0], ()))]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in everything]
    del graph.node[:]
    graph.node.extend(copies)
    return model


def _other_graph(lacks: str) -> WeightsError:
    return WeightsError(
        f"The backbone's graph lacks {lacks}: it is not the DINOv2 that `scenelift models download "
        "embedded` installs. Run it again."
    )
