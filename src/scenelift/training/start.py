"""Loads weights to begin a training with: an earlier run's, or those of a head that ships."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from scenelift.errors import InputError
from scenelift.training.adapters import ADAPTERS, of_blocks
from scenelift.weights.dinov2_adapters import read_adapters
from scenelift.weights.shipped import adapters_beside

__all__ = ["begin", "read_weights"]

POINTS = "points."


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a head's weights in float32, under the names of its network.

    Args:
        path: `.safetensors` of `scenelift train head`, or `.onnx` of `scenelift train export`; the
            latter's 8-bit numbers come back as the numbers that run at home, those of adapters
            beside it too.

    Raises:
        InputError: there is no such file, or it holds no weights.
        WeightsError: the adapters beside it are damaged.
    """
    if not path.is_file():
        raise InputError(f"There are no weights at {path}.")
    try:
        if path.suffix == ".onnx":
            weights = _of_graph(onnx.load(str(path)).graph)
        else:
            weights = load_file(path)
    except (DecodeError, SafetensorError) as exc:
        raise InputError(
            f"{path} cannot be read: {exc}. Give what `scenelift train head` or "
            "`scenelift train export` wrote."
        ) from exc
    if path.suffix == ".onnx":
        beside = adapters_beside(path)
        if beside.is_file():
            thin = {name: torch.from_numpy(v) for name, v in read_adapters(beside).items()}
            weights |= of_blocks(thin)
        return weights
    # An adapted head is saved with its adapters beside it.
    return {name.removeprefix("head."): v.float() for name, v in weights.items()}


def _of_graph(graph: onnx.GraphProto) -> dict[str, Tensor]:
    values = {}
    for tensor in graph.initializer:
        values[tensor.name.removesuffix("_half")] = numpy_helper.to_array(tensor)
    for name in [name for name in values if name.endswith("_bytes")]:
        kernel = name.removesuffix("_bytes")
        values[kernel] = values.pop(name) * values.pop(f"{kernel}_step")
    for node in graph.node:  # parameters that are equal are stored once
        if node.op_type == "Identity" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    weights: dict[str, np.ndarray] = {
        name.removeprefix("head."): np.asarray(value, np.float32)
        for name, value in values.items()
        if name.startswith("head.") and "_Transposed" not in name
    }
    for node in graph.node:
        # "/head/blocks.0/attn/qkv/MatMul_quant" is the product by "blocks.0.attn.qkv.weight".
        if node.op_type == "MatMulInteger":
            name = node.input[1].removesuffix("_quantized")
            whole = values[node.input[1]].astype(np.float32) - values[f"{name}_zero_point"]
            matrix = (whole * values[f"{name}_scale"].astype(np.float32)).T
            if name.startswith("head."):
                weights[name.removeprefix("head.").removesuffix("_Transposed")] = matrix
            else:
                weights[f"{_module(node.name)}.weight"] = matrix
        elif node.op_type == "LayerNormalization" and node.input[1] in values:
            for kind, tensor_name in zip(("weight", "bias"), node.input[1:3], strict=True):
                weights[f"{_module(node.name)}.{kind}"] = np.asarray(
                    values[tensor_name], np.float32
                )
    return {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}


def _module(node: str) -> str:
    scopes = node.removeprefix("/head/").split("/")[:-1]
    # The layers of a Sequential repeat its scope, "embed/embed.0"; `PointPrompts` has none of its
    # own, since its methods are called one by one.
    pairs = zip(scopes, [*scopes[1:], ""], strict=True)
    name = ".".join(scope for scope, inner in pairs if not inner.startswith(f"{scope}."))
    return f"{POINTS}{name}" if name.startswith(("embed.", "adapters.")) else name


def _rank(weights: Mapping[str, Tensor]) -> int:
    """Return the rank of adapters among weights; 0: there are none."""
    return max(
        (v.shape[1] for k, v in weights.items() if k.startswith(f"{ADAPTERS}up.")), default=0
    )


def begin(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights into a network that may have further inputs and outputs.

    Inputs that the weights do not know begin with zeros, so that the network at first says what it
    said before; outputs that they do not know begin as the network has them, and so do weights for
    points (`PointPrompts`) and adapters, which at first add nothing.

    Raises:
        InputError: a parameter is missing or larger than the network's, or the weights have
            adapters and the network none, or narrower ones.
    """
    rank, own_rank = _rank(weights), _rank(network.state_dict())
    if rank > own_rank:
        own = f"some of rank {own_rank}" if own_rank else "none"
        raise InputError(
            f"The weights to begin with have adapters of rank {rank}, the network has {own}: "
            f"give --adapt {rank}, or a higher rank."
        )
    fitted = {}
    for name, own in network.state_dict().items():
        old = weights.get(name.removeprefix("head."))
        if old is None and name.startswith((POINTS, ADAPTERS)):
            fitted[name] = own
            continue
        if (
            old is None
            or old.dim() != own.dim()
            or any(a > b for a, b in zip(old.shape, own.shape, strict=True))
        ):
            have = "is missing" if old is None else f"has the shape {tuple(old.shape)}"
            raise InputError(
                f"The weights to begin with are of another network: {name} {have}, "
                f"the network's is {tuple(own.shape)}."
            )
        new = own.clone()
        new[tuple(slice(0, side) for side in old.shape)] = old.to(own)
        if old.dim() > 1 and own.shape[1] > old.shape[1]:
            new[: old.shape[0], old.shape[1] :] = 0
        fitted[name] = new
    network.load_state_dict(fitted)
