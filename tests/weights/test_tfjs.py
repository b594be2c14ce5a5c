"""A TensorFlow.js graph must compute the same after its translation to ONNX."""

import base64
import json

import numpy as np
import onnxruntime
import pytest
from scipy.signal import correlate

from scenelift.errors import WeightsError
from scenelift.weights import tfjs
from scenelift.weights.onnx_graph import serialize


def text(value):
    return {"s": base64.b64encode(value.encode()).decode()}


def integers(*values):
    return {"list": {"i": [str(v) for v in values]}}


class Graph:
    """Writes the two files of a graph model."""

    def __init__(self):
        self.nodes, self.index, self.data = [], [], b""

    def const(self, name, value, quantization=None):
        value = np.asarray(value)
        entry = {"name": name, "shape": list(value.shape), "dtype": str(value.dtype)}
        if quantization:
            entry["quantization"] = {"dtype": quantization}
            value = value.astype(quantization)
        self.index.append(entry)
        self.data += value.tobytes()
        self.node(name, "Const")

    def node(self, name, op, *inputs, **attributes):
        self.nodes.append({"name": name, "op": op, "input": list(inputs), "attr": attributes})

    def image(self, *shape):
        dims = [{"size": str(n)} for n in shape]
        self.node("x", "Placeholder", shape={"shape": {"dim": dims}})

    def convert(self, outputs, **options):
        # The format promises no order of the nodes.
        model = {
            "modelTopology": {"node": self.nodes[::-1]},
            "weightsManifest": [{"paths": ["w.bin"], "weights": self.index}],
        }
        return tfjs.convert(json.dumps(model).encode(), self.data, outputs, **options)

    def run(self, image, outputs):
        model = onnxruntime.InferenceSession(serialize(self.convert(outputs)))
        return model.run([name for name, _ in outputs.values()], {"image": image})


WINDOW = {"data_format": text("NHWC"), "padding": text("VALID"), "dilations": integers(1, 1, 1, 1)}


@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_equals_direct_correlation(stride):
    rng = np.random.default_rng(0)
    image = rng.standard_normal((1, 9, 8, 3)).astype(np.float32)
    kernel = rng.standard_normal((3, 3, 3, 4)).astype(np.float16)
    graph = Graph()
    graph.image(*image.shape)
    graph.const("k", kernel.astype(np.float32), quantization="float16")
    graph.node("c", "Conv2D", "x", "k", strides=integers(1, stride, stride, 1), **WINDOW)

    # Of one type: scipy would cast memory that it has not written yet, and warn of what is there.
    exact, kernels = image[0].astype(float), kernel.astype(float)
    direct = [correlate(exact, kernels[..., o], "valid")[..., 0] for o in range(4)]
    expected = np.stack(direct, -1)[None, ::stride, ::stride]
    (actual,) = graph.run(image, {"c": ("y", expected.shape)})
    np.testing.assert_allclose(actual, expected, atol=1e-5)  # rounding of 27 float32 products


def test_padding_pooling_and_splitting_follow_numpy():
    image = np.arange(1 * 4 * 4 * 5, dtype=np.float32).reshape(1, 4, 4, 5) - 40
    graph = Graph()
    graph.image(*image.shape)
    graph.const("widths", np.array([[0, 0], [1, 0], [0, 1], [0, 0]], np.int32))
    graph.const("low", np.float32(-99))
    graph.const("sizes", np.array([2, 3], np.int32))
    graph.const("axis", np.int32(3))
    graph.node("padded", "PadV2", "x", "widths", "low")
    graph.node(
        "pool", "MaxPool", "padded", ksize=integers(1, 2, 2, 1), strides=integers(1, 2, 2, 1),
        data_format=text("NHWC"), padding=text("VALID"),
    )  # fmt: skip
    graph.node("parts", "SplitV", "pool", "sizes", "axis")
    graph.node("leaky", "LeakyRelu", "parts:1", alpha={"f": 0.1})
    graph.node("back", "ConcatV2", "leaky", "parts", "axis")

    padded = np.pad(image, [(0, 0), (1, 0), (0, 1), (0, 0)], constant_values=-99)[:, :4, :4]
    pool = padded.reshape(1, 2, 2, 2, 2, 5).max((2, 4))
    second = pool[..., 2:]
    expected = np.concatenate([np.where(second < 0, 0.1 * second, second), pool[..., :2]], -1)
    (actual,) = graph.run(image, {"back": ("y", expected.shape)})
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_bilinear_doubling_keeps_a_linear_ramp_linear_inside():
    ramp = np.tile(np.arange(6, dtype=np.float32)[None, :, None, None], (1, 1, 4, 1))
    graph = Graph()
    graph.image(*ramp.shape)
    graph.const("size", np.array([12, 8], np.int32))
    graph.node(
        "r", "ResizeBilinear", "x", "size",
        half_pixel_centers={"b": True}, align_corners={"b": False},
    )  # fmt: skip
    (actual,) = graph.run(ramp, {"r": ("y", (1, 12, 8, 1))})
    expected = (np.arange(12) + 0.5) / 2 - 0.5  # pixel centres of the small grid
    np.testing.assert_allclose(actual[0, 1:-1, 0, 0], expected[1:-1], atol=1e-6)


def test_shapes_that_the_graph_computes_from_constants_are_folded():
    image = np.arange(6, dtype=np.float32).reshape(1, 6)
    graph = Graph()
    graph.image(1, 6)
    graph.const("base", np.array([2, 3], np.int32))
    graph.const("no_indices", np.zeros((0, 1), np.int32))
    graph.const("length", np.array([2], np.int32))
    graph.const("no_values", np.zeros(0, np.int32))
    graph.const("zero", np.int32(0))
    graph.node("dense", "SparseToDense", "no_indices", "length", "no_values", "zero")
    graph.node("shape", "AddV2", "base", "dense")
    graph.node("y", "Reshape", "x", "shape")
    (actual,) = graph.run(image, {"y": ("out", (2, 3))})
    np.testing.assert_array_equal(actual, image.reshape(2, 3))


def test_an_operator_it_does_not_know_is_refused_by_name():
    graph = Graph()
    graph.image(1, 2)
    graph.node("y", "Erf", "x")
    with pytest.raises(WeightsError, match="operator Erf"):
        graph.convert({"y": ("out", (1, 2))})


def test_a_window_with_gaps_is_refused():
    graph = Graph()
    graph.image(1, 4, 4, 1)
    graph.const("k", np.ones((3, 3, 1, 1), np.float32))
    window = WINDOW | {"dilations": integers(1, 2, 2, 1)}
    graph.node("y", "Conv2D", "x", "k", strides=integers(1, 1, 1, 1), **window)
    with pytest.raises(WeightsError, match="dilated"):
        graph.convert({"y": ("out", (1, 4, 4, 1))})


def test_depthwise_convolution_that_keeps_the_size_pads_below_and_right_first():
    rng = np.random.default_rng(1)
    image = rng.standard_normal((1, 6, 6, 2)).astype(np.float32)
    kernel = rng.standard_normal((3, 3, 2, 1)).astype(np.float32)
    graph = Graph()
    graph.image(*image.shape)
    graph.const("k", kernel)
    # Older files write words as lists of bytes.
    window = {"data_format": {"s": list(b"NHWC")}, "padding": {"s": list(b"SAME")}}
    graph.node("y", "DepthwiseConv2dNative", "x", "k", strides=integers(1, 2, 2, 1), **window)

    # TensorFlow pads 6 to 7, all of it at the end, where 3 windows two apart need it.
    padded = np.pad(image[0].astype(float), [(0, 1), (0, 1), (0, 0)])
    direct = [correlate(padded[..., c], kernel[..., c, 0].astype(float), "valid") for c in (0, 1)]
    expected = np.stack(direct, -1)[None, ::2, ::2]
    (actual,) = graph.run(image, {"y": ("out", (1, 3, 3, 2))})
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_norms_limits_and_sums_follow_numpy():
    image = np.linspace(-4, 12, 12, dtype=np.float32).reshape(1, 2, 2, 3)
    graph = Graph()
    graph.image(*image.shape)
    gain, bias, mean, variance = np.float32([[1, 2, 3], [0, 1, -1], [0.5, 0, 1], [1, 4, 9]])
    for name, value in (("g", gain), ("b", bias), ("m", mean), ("v", variance)):
        graph.const(name, value)
    graph.node("norm", "FusedBatchNorm", "x", "g", "b", "m", "v", epsilon={"f": 0.5})
    graph.node("scaled", "Mul", "norm", "g")
    graph.node("limited", "Relu6", "scaled")
    graph.node("shifted", "BiasAdd", "limited", "b")
    graph.node("y", "AddN", "shifted", "x", "norm")

    norm = (image - mean) / np.sqrt(variance + 0.5) * gain + bias
    expected = np.clip(norm * gain, 0, 6) + bias + image + norm
    (actual,) = graph.run(image, {"y": ("out", image.shape)})
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_a_part_of_a_graph_goes_without_what_it_does_not_need():
    image = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    graph = Graph()
    graph.image(1, 4, 4, 3)
    graph.node("made_smaller", "Erf", "x")  # would be refused
    for name, value in (("zero", [0]), ("one", [1])):
        graph.const(name, np.array(value, np.int32))
    graph.const("rest", np.int32(-1))
    graph.node("shape", "Shape", "made_smaller")
    graph.node("batch", "StridedSlice", "shape", "zero", "one", "one")
    graph.node("lengths", "Pack", "batch", "rest")
    graph.node("y", "Reshape", "made_smaller", "lengths")
    graph.node("beyond", "Erf", "y")

    part = graph.convert({"y": ("out", (1, 12))}, image=("made_smaller", image.shape))
    model = onnxruntime.InferenceSession(serialize(part))
    (actual,) = model.run(["out"], {"image": image})
    np.testing.assert_array_equal(actual, image.reshape(1, 12))

    graph.node("turned", "Pack", "rest", "batch")
    graph.node("z", "Reshape", "made_smaller", "turned")
    with pytest.raises(WeightsError, match="beside the batch's"):
        graph.convert({"z": ("out", (12, 1))}, image=("made_smaller", image.shape))


def test_weights_of_another_length_than_their_index_are_refused():
    graph = Graph()
    graph.const("k", np.ones(3, np.float32))
    graph.data += b"\0"
    with pytest.raises(WeightsError, match="13 bytes"):
        graph.convert({})


def test_what_is_no_model_is_refused():
    with pytest.raises(WeightsError, match="cannot be read"):
        tfjs.convert(b"{}", b"", {})
