"""A TFLite model must compute the same after its translation to ONNX."""

import flatbuffers
import numpy as np
import onnxruntime
import pytest
import tflite
from scipy.signal import correlate

from scenelift.errors import WeightsError
from scenelift.weights import tflite_onnx
from scenelift.weights.onnx_graph import serialize

DTYPES = {
    "float32": tflite.TensorType.FLOAT32,
    "float16": tflite.TensorType.FLOAT16,
    "int32": tflite.TensorType.INT32,
}


class Model:
    """Writes a TFLite file of one graph. Tensors are added before the operators that use them."""

    def __init__(self):
        self.builder = flatbuffers.Builder(1024)
        self.buffers = [self._buffer(b"")]
        self.tensors, self.codes, self.operators = [], [], []

    def _buffer(self, data):
        vector = self.builder.CreateByteVector(data)
        tflite.BufferStart(self.builder)
        tflite.BufferAddData(self.builder, vector)
        return tflite.BufferEnd(self.builder)

    def tensor(self, name, shape, value=None, dtype="float32"):
        if value is not None:
            self.buffers.append(self._buffer(np.ascontiguousarray(value, dtype).tobytes()))
        label = self.builder.CreateString(name)
        dims = self.builder.CreateNumpyVector(np.array(shape, np.int32))
        tflite.TensorStart(self.builder)
        tflite.TensorAddShape(self.builder, dims)
        tflite.TensorAddType(self.builder, DTYPES[dtype])
        tflite.TensorAddBuffer(self.builder, 0 if value is None else len(self.buffers) - 1)
        tflite.TensorAddName(self.builder, label)
        self.tensors.append(tflite.TensorEnd(self.builder))
        return len(self.tensors) - 1

    def operator(self, name, inputs, output, kind=None, **options):
        """`kind` names the option table, `options` its fields."""
        b = self.builder
        table = None
        if kind:
            getattr(tflite, f"{kind}Start")(b)
            for field, value in options.items():
                getattr(tflite, f"{kind}Add{field}")(b, value)
            table = getattr(tflite, f"{kind}End")(b)
        ins = b.CreateNumpyVector(np.array(inputs, np.int32))
        outs = b.CreateNumpyVector(np.array([output], np.int32))
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, len(self.codes))
        tflite.OperatorAddInputs(b, ins)
        tflite.OperatorAddOutputs(b, outs)
        if table is not None:
            tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, kind))
            tflite.OperatorAddBuiltinOptions(b, table)
        self.operators.append(tflite.OperatorEnd(b))
        code = getattr(tflite.BuiltinOperator, name)
        tflite.OperatorCodeStart(b)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, code)
        tflite.OperatorCodeAddBuiltinCode(b, code)
        self.codes.append(tflite.OperatorCodeEnd(b))

    def _vector(self, start, offsets):
        start(self.builder, len(offsets))
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def finish(self, inputs, outputs):
        b = self.builder
        tensors = self._vector(tflite.SubGraphStartTensorsVector, self.tensors)
        operators = self._vector(tflite.SubGraphStartOperatorsVector, self.operators)
        ins = b.CreateNumpyVector(np.array(inputs, np.int32))
        outs = b.CreateNumpyVector(np.array(outputs, np.int32))
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, tensors)
        tflite.SubGraphAddInputs(b, ins)
        tflite.SubGraphAddOutputs(b, outs)
        tflite.SubGraphAddOperators(b, operators)
        graphs = self._vector(tflite.ModelStartSubgraphsVector, [tflite.SubGraphEnd(b)])
        buffers = self._vector(tflite.ModelStartBuffersVector, self.buffers)
        codes = self._vector(tflite.ModelStartOperatorCodesVector, self.codes)
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        tflite.ModelAddOperatorCodes(b, codes)
        tflite.ModelAddSubgraphs(b, graphs)
        tflite.ModelAddBuffers(b, buffers)
        b.Finish(tflite.ModelEnd(b), b"TFL3")
        return bytes(b.Output())


def run(source, image):
    model = tflite_onnx.convert(source, {"y": "out"})
    return onnxruntime.InferenceSession(serialize(model)).run(["out"], {"image": image})[0]


def convolution_model(image, kernel, bias, stride, result_shape):
    model = Model()
    x = model.tensor("x", image.shape)
    k16 = model.tensor("k16", kernel.shape, kernel, "float16")
    k = model.tensor("k", kernel.shape)
    b = model.tensor("b", bias.shape, bias)
    y = model.tensor("y", result_shape)
    model.operator("DEQUANTIZE", [k16], k)
    model.operator(
        "CONV_2D", [x, k, b], y, "Conv2DOptions",
        Padding=tflite.Padding.SAME, StrideH=stride, StrideW=stride,
        FusedActivationFunction=tflite.ActivationFunctionType.RELU6,
    )  # fmt: skip
    return model.finish([x], [y])


@pytest.mark.parametrize(("size", "stride", "before"), [(8, 1, 1), (8, 2, 0), (9, 2, 1)])
def test_same_padding_puts_the_odd_pixel_behind(size, stride, before):
    rng = np.random.default_rng(size)
    image = rng.standard_normal((1, size, size, 2)).astype(np.float32)
    kernel = rng.standard_normal((3, 3, 3, 2)).astype(np.float16)  # [O, h, w, I]
    bias = rng.standard_normal(3).astype(np.float32)
    result = -(-size // stride)

    padded = np.pad(image[0].astype(float), [(before, 2), (before, 2), (0, 0)])
    planes = [correlate(padded, k.astype(float), "valid")[..., 0] for k in kernel]
    expected = np.stack(planes, -1)[::stride, ::stride][:result, :result] + bias
    actual = run(convolution_model(image, kernel, bias, stride, (1, result, result, 3)), image)
    # Rounding of 18 float32 products.
    np.testing.assert_allclose(actual[0], expected.clip(0, 6), atol=1e-5)


def test_depthwise_convolution_sum_mean_and_dense_layer_follow_numpy():
    rng = np.random.default_rng(1)
    image = rng.standard_normal((1, 4, 4, 3)).astype(np.float32)
    kernel = rng.standard_normal((1, 1, 1, 3)).astype(np.float32)
    dense = rng.standard_normal((2, 3)).astype(np.float32)
    model = Model()
    x = model.tensor("x", image.shape)
    k = model.tensor("k", kernel.shape, kernel)
    zeros = model.tensor("b", (3,), np.zeros(3))
    c = model.tensor("c", image.shape)
    s = model.tensor("s", image.shape)
    axes = model.tensor("axes", (2,), np.array([1, 2]), "int32")
    m = model.tensor("m", (1, 3))
    w = model.tensor("w", dense.shape, dense)
    bias = model.tensor("bias", (2,), np.array([0.5, -0.5]))
    d = model.tensor("d", (1, 2))
    y = model.tensor("y", (1, 2))
    model.operator(
        "DEPTHWISE_CONV_2D", [x, k, zeros], c, "DepthwiseConv2DOptions",
        Padding=tflite.Padding.VALID, StrideH=1, StrideW=1, DepthMultiplier=1,
    )  # fmt: skip
    model.operator("ADD", [c, x], s, "AddOptions")
    model.operator("MEAN", [s, axes], m, "ReducerOptions", KeepDims=False)
    model.operator("FULLY_CONNECTED", [m, w, bias], d, "FullyConnectedOptions")
    model.operator("LOGISTIC", [d], y)

    mean = (image * kernel + image).mean((1, 2))
    expected = 1 / (1 + np.exp(-(mean @ dense.T + [0.5, -0.5])))
    np.testing.assert_allclose(run(model.finish([x], [y]), image), expected, atol=1e-6)


def test_reshaping_and_joining_keep_tflites_order_of_numbers():
    image = np.arange(1 * 2 * 3 * 4, dtype=np.float32).reshape(1, 2, 3, 4)
    model = Model()
    x = model.tensor("x", image.shape)
    k = model.tensor("k", (4, 1, 1, 4), np.eye(4).reshape(4, 1, 1, 4))
    zeros = model.tensor("b", (4,), np.zeros(4))
    c = model.tensor("c", image.shape)
    shape = model.tensor("shape", (3,), np.array([1, 12, 2]), "int32")
    r = model.tensor("r", (1, 12, 2))
    y = model.tensor("y", (1, 24, 2))
    model.operator(
        "CONV_2D", [x, k, zeros], c, "Conv2DOptions",
        Padding=tflite.Padding.VALID, StrideH=1, StrideW=1,
    )  # fmt: skip
    model.operator("RESHAPE", [c, shape], r)
    model.operator("CONCATENATION", [r, r], y, "ConcatenationOptions", Axis=1)

    rows = image.reshape(1, 12, 2)
    expected = np.concatenate([rows, rows], axis=1)
    np.testing.assert_array_equal(run(model.finish([x], [y]), image), expected)


def test_an_operator_it_does_not_know_is_refused_by_name():
    model = Model()
    x, y = model.tensor("x", (1, 2)), model.tensor("y", (1, 2))
    model.operator("TANH", [x], y)
    with pytest.raises(WeightsError, match="operator TANH"):
        tflite_onnx.convert(model.finish([x], [y]), {"y": "out"})


def test_other_outputs_than_expected_are_refused():
    model = Model()
    x, y = model.tensor("x", (1, 2)), model.tensor("y", (1, 2))
    model.operator("LOGISTIC", [x], y)
    with pytest.raises(WeightsError, match="expected \\['scores'\\]"):
        tflite_onnx.convert(model.finish([x], [y]), {"scores": "out"})


@pytest.mark.parametrize("source", [b"", b"not a model at all", b"\xff" * 64])
def test_what_is_no_model_is_refused(source):
    with pytest.raises(WeightsError, match="cannot be read"):
        tflite_onnx.convert(source, {"y": "out"})
