"""Exports a trained head as a small ONNX file.

Matrices of the transformer are stored in 8 bits as the backbone's are, convolutions in 16 bits
with a cast that onnxruntime folds away when it loads the file.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from scenelift.errors import InputError
from scenelift.training.backbone import LEVELS, WIDTH
from scenelift.training.network import CELLS, Head, HeadParams
from scenelift.weights.dinov2 import quantize
from scenelift.weights.onnx_graph import serialize

__all__ = ["blended", "export_head"]

OPSET = 17
SMALL = 256  # elements: less is not worth a cast


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

    Args:
        share: of the second, 0…1.

    Raises:
        InputError: they belong to different networks.
    """
    if {k: v.shape for k, v in first.items()} != {k: v.shape for k, v in second.items()}:
        raise InputError("The weights to blend belong to different heads: give two of one head.")
    return {k: torch.lerp(v.float(), second[k].float(), share) for k, v in first.items()}


def export_head(
    params: HeadParams, weights: Mapping[str, Tensor], *, quantised: bool = True
) -> bytes:
    """Write a head.

    Args:
        params: its sizes.
        weights: its state dict.
        quantised: False keeps the matrices in float32 and the kernels too, to compare with.

    Returns:
        An ONNX model with inputs `h2`, `h5`, `h8`, `feat` (float32 [B, 1 + h·w, 384]), `photo`
        [B, 3, 8h, 8w] and `hints` [B, E, 8h, 8w], and outputs `pixels` and `picture`; see `Head`.
    """
    head = Head(params)
    head.load_state_dict({k: v.float() for k, v in weights.items()})
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
    return serialize(_halved(onnx.load_model_from_string(quantize(model))))


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store the model's large float32 constants in float16."""
    initializers, casts = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALL:
            initializers.append(tensor)
            continue
        stored = f"{tensor.name}_half"
        initializers.append(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))
    del model.graph.initializer[:]
    model.graph.initializer.extend(initializers)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
