"""Cutting the backbone out keeps its numbers, drops the head and opens the image's size."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from scenelift.errors import WeightsError
from scenelift.weights.dinov2 import OUTPUTS, WIDTH, cut_backbone, quantize
from scenelift.weights.onnx_graph import serialize

NAMES = list(OUTPUTS.values())
RNG = np.random.default_rng(0)
PATCH = (RNG.standard_normal((WIDTH, 3, 14, 14)) / 24).astype(np.float32)
WEIGHTS = (RNG.standard_normal((4, WIDTH, WIDTH)) / 20).astype(np.float32)


def source_graph(names=NAMES):
    """A convolution into patches, four matrix products named like the backbone's, and a head."""
    nodes = [
        helper.make_node("Conv", ["input_image", "patch"], ["p"], strides=[14, 14]),
        helper.make_node("Reshape", ["p", "shape"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["tokens"], perm=[0, 2, 1]),
        helper.make_node("Relu", ["p"], ["output_importance"]),
    ]
    order, last = [names[k] for k in (1, 2, 3, 0)], "tokens"
    for k, name in enumerate(order):
        nodes.append(helper.make_node("MatMul", [last, f"w{k}"], [name]))
        last = name
    constants = {"patch": PATCH, "shape": np.array([0, WIDTH, -1])}
    constants |= {f"w{k}": w for k, w in enumerate(WEIGHTS)}
    graph = helper.make_graph(
        nodes,
        "source",
        [helper.make_tensor_value_info("input_image", TensorProto.FLOAT, ["b", 3, 224, 224])],
        [helper.make_tensor_value_info("output_importance", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 14)]
    return helper.make_model(graph, opset_imports=opset, ir_version=7).SerializeToString()


def run(model, image):
    return onnxruntime.InferenceSession(model).run(list(OUTPUTS), {"image": image})


def test_the_backbone_keeps_its_numbers_at_other_sizes():
    model = cut_backbone(source_graph())
    onnx.checker.check_model(model)
    image = RNG.standard_normal((1, 3, 28, 42)).astype(np.float32)
    patches = image.reshape(1, 3, 2, 14, 3, 14).transpose(0, 2, 4, 1, 3, 5).reshape(1, 6, -1)
    h2 = patches @ PATCH.reshape(WIDTH, -1).T @ WEIGHTS[0]
    h5 = h2 @ WEIGHTS[1]
    h8 = h5 @ WEIGHTS[2]
    for actual, expected in zip(
        run(serialize(model), image), [h8 @ WEIGHTS[3], h2, h5, h8], strict=True
    ):
        # float32 sums of up to 588 products, five layers deep.
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)


def test_the_head_is_gone():
    graph = cut_backbone(source_graph()).graph
    assert [output.name for output in graph.output] == list(OUTPUTS)
    assert "Relu" not in {node.op_type for node in graph.node}


def test_quantised_features_point_where_the_exact_ones_do():
    model = cut_backbone(source_graph())
    image = RNG.standard_normal((1, 3, 28, 42)).astype(np.float32)
    for exact, rounded in zip(
        run(serialize(model), image), run(quantize(model), image), strict=True
    ):
        norms = np.linalg.norm(exact, axis=-1) * np.linalg.norm(rounded, axis=-1)
        cosines = (exact * rounded).sum(-1) / norms
        # Seven bits leave an error of about 1 % a layer, four layers deep.
        assert cosines.min() > 0.995


def test_quantising_the_same_model_gives_the_same_bytes():
    assert quantize(cut_backbone(source_graph())) == quantize(cut_backbone(source_graph()))


def test_another_graph_is_refused_with_the_tensor_it_lacks():
    with pytest.raises(WeightsError, match="layernorm"):
        cut_backbone(source_graph(["elsewhere", *NAMES[1:]]))
