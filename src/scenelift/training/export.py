"""Exports a trained head as a small ONNX file.

Matrices of the transformer are stored in 8 bits as the backbone's are, and computed so. Large
kernels of convolutions are stored in 8 bits too, one scale an output channel, and all other numbers
in 16: onnxruntime turns both into float32 when it loads the file.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from scenelift.errors import InputError
from scenelift.training.adapters import ADAPTERS
from scenelift.training.backbone import LEVELS, WIDTH
from scenelift.training.network import CELLS, Head, HeadParams
from scenelift.training.start import read_weights
from scenelift.weights.dinov2 import quantize
from scenelift.weights.onnx_graph import serialize

__all__ = ["blended", "check_sizes", "export_head", "export_points", "stored_again"]

OPSET = 17
SMALL = 256  # elements: less is not worth a cast
LARGE = 20_000  # elements: smaller kernels are hardly worth the loss
LEVEL = 127  # of the largest weight of a kernel's output channel


class _Named(nn.Module):
    """A head whose tokens are separate inputs, as ONNX needs them."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(
        self, h2: Tensor, h5: Tensor, h8: Tensor, feat: Tensor, photo: Tensor, hints: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self.head((h2, h5, h8, feat), photo, hints)


def blended(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Average the state dicts of two runs, the second started from the first, with weights.

    Weights between two points of one training often do better on pictures unlike those trained
    on than either end (WiSE-FT, https://arxiv.org/abs/2109.01903, section 3).

    Adapters of one of them alone are blended with ones that change nothing.

    Args:
        share: of the second, 0…1.

    Raises:
        InputError: they belong to different networks.
    """
    first, second = _with_adapters(first, second), _with_adapters(second, first)
    if {k: v.shape for k, v in first.items()} != {k: v.shape for k, v in second.items()}:
        raise InputError("The weights to blend belong to different heads: give two of one head.")
    return {k: torch.lerp(v.float(), second[k].float(), share) for k, v in first.items()}


def _with_adapters(weights: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add the other's adapters to weights that have none; they change nothing."""
    added = {k: v for k, v in other.items() if k.startswith(ADAPTERS) and k not in weights}
    silent = f"{ADAPTERS}up."
    return {**weights, **{k: 0 * v if k.startswith(silent) else v for k, v in added.items()}}


def check_sizes(params: HeadParams, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not those of a head.

    Raises:
        InputError: a parameter is missing, or has another shape.
    """
    for name, own in Head(params).state_dict().items():
        if name not in weights or weights[name].shape != own.shape:
            have = (
                f"has the shape {tuple(weights[name].shape)}" if name in weights else "is missing"
            )
            raise InputError(
                f"The weights are of another network: {name} {have}, "
                f"that of the head is {tuple(own.shape)}. Name the head that they were trained for."
            )


def export_head(
    params: HeadParams,
    weights: Mapping[str, Tensor],
    *,
    quantised: bool = True,
    small_kernels: bool = True,
) -> bytes:
    """Write a head.

    Args:
        params: its sizes.
        weights: its state dict; adapters of the backbone are left out.
        quantised: False keeps the matrices in float32 and the kernels too, to compare with.
        small_kernels: store large kernels in 8 bits; False, in 16, as the mask head has them.

    Returns:
        An ONNX model with inputs `h2`, `h5`, `h8`, `feat` (float32 [B, 1 + h·w, 384]), `photo`
        [B, 3, 8h, 8w] and `hints` [B, E, 8h, 8w], and outputs `pixels` and `picture`; see `Head`.
    """
    head = Head(params)
    own = {k: v.float() for k, v in weights.items() if not k.startswith(ADAPTERS)}
    head.load_state_dict(own)
    rows, columns = 4, 6
    tokens = torch.zeros(1, 1 + rows * columns, WIDTH)
    size = (rows * CELLS, columns * CELLS)
    inputs = (
        *[tokens] * len(LEVELS),
        torch.zeros(1, 3, *size),
        torch.zeros(1, params.hints, *size),
    )
    plane = {0: "batch", 2: "height", 3: "width"}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The tracing exporter is deprecated in favour of one that needs onnxscript.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Named(head).eval(),
            inputs,
            buffer,  # pyright: ignore[reportArgumentType] - the tracing exporter takes a stream
            dynamo=False,
            opset_version=OPSET,
            input_names=[*LEVELS, "photo", "hints"],
            output_names=["pixels", "picture"],
            dynamic_axes={
                **{name: {0: "batch", 1: "tokens"} for name in LEVELS},
                "photo": plane,
                "hints": plane,
                "pixels": {0: "batch", 2: "out_height", 3: "out_width"},
                "picture": {0: "batch"},
            },
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    if not quantised:
        return serialize(model)
    return serialize(_smaller(onnx.load_model_from_string(quantize(model)), small_kernels))


def export_points(params: HeadParams, weights: Mapping[str, Tensor], shipped: Path) -> bytes:
    """Write a head with points, which answers boxes by the bits of the one that it began with.

    Args:
        params: its sizes.
        weights: its state dict, of which what points added is taken.
        shipped: the head that ships.
    """
    own = {name: value for name, value in weights.items() if name.startswith("points.")}
    return export_head(params, read_weights(shipped) | own, small_kernels=False)


def stored_again(data: bytes) -> bytes:
    """Store an exported head as it would be stored today; matrices of 8 bits stay as they are."""
    model = onnx.load_model_from_string(data)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        half = stored.get(node.input[0]) if node.op_type == "Cast" else None
        if half is None or half.data_type != TensorProto.FLOAT16:
            nodes.append(node)
            continue
        values = numpy_helper.to_array(half).astype(np.float32)
        half.CopyFrom(numpy_helper.from_array(values, node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return serialize(_smaller(model))


def _smaller(model: onnx.ModelProto, small_kernels: bool = True) -> onnx.ModelProto:
    """Store large kernels in 8 bits, but not the last one, and other float32 constants in 16."""
    kernels = [node.input[1] for node in model.graph.node if node.op_type == "Conv"][:-1]
    if not small_kernels:
        kernels = []
    initializers, nodes = [], []
    for tensor in model.graph.initializer:
        values, name = numpy_helper.to_array(tensor), tensor.name
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALL:
            initializers.append(tensor)
        elif name in kernels and values.size >= LARGE:
            most = np.abs(values).max(tuple(range(1, values.ndim)), keepdims=True)
            scale = np.maximum(most, 1e-12) / np.float32(LEVEL)
            whole = np.rint(values / scale).astype(np.int8)
            initializers += [
                numpy_helper.from_array(whole, f"{name}_bytes"),
                numpy_helper.from_array(scale, f"{name}_step"),
            ]
            nodes += [
                helper.make_node(
                    "Cast", [f"{name}_bytes"], [f"{name}_whole"], to=TensorProto.FLOAT
                ),
                helper.make_node("Mul", [f"{name}_whole", f"{name}_step"], [name]),
            ]
        else:
            stored = f"{name}_half"
            initializers.append(numpy_helper.from_array(values.astype(np.float16), stored))
            nodes.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    nodes += model.graph.node
    del model.graph.initializer[:]
    model.graph.initializer.extend(initializers)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
