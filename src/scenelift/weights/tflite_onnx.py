"""Converts TFLite models to ONNX: the operators of MediaPipe's SSD and Objectron, no others.

TFLite keeps images as [B, H, W, C], ONNX convolves [B, C, H, W]. Image tensors are converted once,
where they enter, and turned back only where an operator looks at the order of the numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import tflite
from numpy.typing import NDArray

from scenelift.errors import WeightsError
from scenelift.weights.onnx_graph import OnnxGraph

__all__ = ["convert"]

_DTYPES = {
    tflite.TensorType.FLOAT32: np.dtype("<f4"),
    tflite.TensorType.FLOAT16: np.dtype("<f2"),
    tflite.TensorType.INT32: np.dtype("<i4"),
}
_OPERATOR_NAMES = {
    code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)
}


def convert(source: bytes, outputs: Mapping[str, str]) -> onnx.ModelProto:
    """Translate a float (or float16-weight) TFLite model.

    Args:
        source: the `.tflite` file.
        outputs: our name of each output by the name it has in the file.

    Returns:
        Model with the input `image`, float32 in the shape the file declares, and those outputs.

    Raises:
        WeightsError: the file is not TFLite, or uses something this converter does not cover.
    """
    try:
        model = tflite.Model.GetRootAs(source, 0)
        return _Converter(model).run(outputs)
    except (struct.error, IndexError, TypeError, ValueError) as exc:
        raise WeightsError(f"The TFLite model cannot be read: {exc}") from exc


class _Converter:
    def __init__(self, model: Any) -> None:
        self._model = model
        self._subgraph = model.Subgraphs(0)
        self._graph = OnnxGraph()
        self._stored: dict[int, NDArray[Any]] = {}  # constants, in TFLite's layout
        self._names: dict[int, str] = {}  # ONNX names of computed tensors
        self._channels_first: set[str] = set()  # those of them that are [B, C, H, W]

    def run(self, outputs: Mapping[str, str]) -> onnx.ModelProto:
        for k in self._subgraph.InputsAsNumpy():
            self._names[int(k)] = self._graph.input("image", self._shape(int(k)))
        for k in range(self._subgraph.OperatorsLength()):
            self._translate(self._subgraph.Operators(k))

        nodes = {
            self._subgraph.Tensors(int(k)).Name().decode(): int(k)
            for k in self._subgraph.OutputsAsNumpy()
        }
        if set(nodes) != set(outputs):
            raise WeightsError(
                f"The TFLite model has the outputs {sorted(nodes)}, expected {sorted(outputs)}."
            )
        return self._graph.model(
            {
                ours: (self._channels_last(nodes[theirs]), self._shape(nodes[theirs]))
                for theirs, ours in outputs.items()
            }
        )

    def _translate(self, operator: Any) -> None:
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        # Files of before 2020 keep the code in the older, 8-bit field.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = _OPERATOR_NAMES.get(number, str(number))
        translate = getattr(self, f"_{name.lower()}", None)
        if translate is None:
            raise WeightsError(f"The TFLite operator {name} is not one this converter knows.")
        translate(operator, [int(k) for k in operator.InputsAsNumpy()], int(operator.Outputs(0)))

    # Tensors

    def _shape(self, index: int) -> list[int]:
        return [int(n) for n in self._subgraph.Tensors(index).ShapeAsNumpy()]

    def _value(self, index: int) -> NDArray[Any]:
        """Read a constant: one stored in the file, or one of those widened from float16."""
        if index in self._stored:
            return self._stored[index]
        tensor = self._subgraph.Tensors(index)
        data = self._model.Buffers(tensor.Buffer()).DataAsNumpy()
        dtype = _DTYPES.get(tensor.Type())
        if dtype is None or not isinstance(data, np.ndarray):
            raise WeightsError(
                f"The tensor {tensor.Name().decode()!r} is not a float or int32 constant."
            )
        return data.view(dtype).reshape(self._shape(index))

    def _image(self, index: int) -> str:
        """Return the ONNX name of an image tensor, as [B, C, H, W]."""
        name = self._names[index]
        if name in self._channels_first:
            return name
        return self._graph.add("Transpose", name, perm=[0, 3, 1, 2])

    def _channels_last(self, index: int) -> str:
        """Return the ONNX name of a tensor in TFLite's own layout."""
        name = self._names[index]
        if name not in self._channels_first:
            return name
        return self._graph.add("Transpose", name, perm=[0, 2, 3, 1])

    def _set(self, index: int, name: str, *, channels_first: bool = False) -> None:
        self._names[index] = name
        if channels_first:
            self._channels_first.add(name)

    def _activate(self, name: str, activation: int) -> str:
        kinds = tflite.ActivationFunctionType
        if activation == kinds.NONE:
            return name
        if activation == kinds.RELU:
            return self._graph.add("Relu", name)
        if activation == kinds.RELU6:
            low, high = np.float32(0), np.float32(6)
            return self._graph.add(
                "Clip",
                name,
                self._graph.constant(np.asarray(low)),
                self._graph.constant(np.asarray(high)),
            )
        raise WeightsError(f"The TFLite activation {activation} is not one this converter knows.")

    # Operators, by their name in TFLite

    def _dequantize(self, operator: Any, inputs: list[int], output: int) -> None:
        self._stored[output] = self._value(inputs[0])

    def _conv_2d(self, operator: Any, inputs: list[int], output: int) -> None:
        options = _options(operator, tflite.Conv2DOptions())
        kernel = self._value(inputs[1]).transpose(0, 3, 1, 2)  # [O, I, h, w] from [O, h, w, I]
        self._convolve(options, inputs, output, kernel, groups=1)

    def _depthwise_conv_2d(self, operator: Any, inputs: list[int], output: int) -> None:
        options = _options(operator, tflite.DepthwiseConv2DOptions())
        kernel = self._value(inputs[1]).transpose(3, 0, 1, 2)  # [C·m, 1, h, w] from [1, h, w, C·m]
        self._convolve(options, inputs, output, kernel, groups=self._shape(inputs[0])[3])

    def _convolve(
        self, options: Any, inputs: list[int], output: int, kernel: NDArray[Any], groups: int
    ) -> None:
        size = kernel.shape[2:]
        strides = [options.StrideH(), options.StrideW()]
        dilations = [options.DilationHFactor(), options.DilationWFactor()]
        before, after = [0, 0], [0, 0]
        if options.Padding() == tflite.Padding.SAME:
            for k in range(2):
                length, result = self._shape(inputs[0])[1 + k], self._shape(output)[1 + k]
                total = (result - 1) * strides[k] + (size[k] - 1) * dilations[k] + 1 - length
                before[k] = max(total, 0) // 2  # an odd pixel goes behind
                after[k] = max(total, 0) - before[k]
        name = self._graph.add(
            "Conv",
            self._image(inputs[0]),
            self._graph.constant(kernel),
            self._graph.constant(self._value(inputs[2])),
            kernel_shape=list(size),
            strides=strides,
            dilations=dilations,
            pads=before + after,
            group=groups,
        )
        name = self._activate(name, options.FusedActivationFunction())
        self._set(output, name, channels_first=True)

    def _add(self, operator: Any, inputs: list[int], output: int) -> None:
        options = _options(operator, tflite.AddOptions())
        a, b = (self._image(k) for k in inputs)
        name = self._activate(self._graph.add("Add", a, b), options.FusedActivationFunction())
        self._set(output, name, channels_first=True)

    def _mean(self, operator: Any, inputs: list[int], output: int) -> None:
        axes = sorted(int(axis) for axis in self._value(inputs[1]))
        if axes != [1, 2] or len(self._shape(output)) != 2:
            raise WeightsError(f"TFLite's MEAN over the axes {axes} is not covered, only [1, 2].")
        image = self._image(inputs[0])
        self._set(output, self._graph.add("ReduceMean", image, axes=[2, 3], keepdims=0))

    def _fully_connected(self, operator: Any, inputs: list[int], output: int) -> None:
        options = _options(operator, tflite.FullyConnectedOptions())
        name = self._graph.add(
            "Gemm",
            self._channels_last(inputs[0]),
            self._graph.constant(self._value(inputs[1])),  # [O, I]
            self._graph.constant(self._value(inputs[2])),
            transB=1,
        )
        self._set(output, self._activate(name, options.FusedActivationFunction()))

    def _logistic(self, operator: Any, inputs: list[int], output: int) -> None:
        self._set(output, self._graph.add("Sigmoid", self._channels_last(inputs[0])))

    def _reshape(self, operator: Any, inputs: list[int], output: int) -> None:
        shape = self._graph.constant(np.asarray(self._shape(output), np.int64))
        self._set(output, self._graph.add("Reshape", self._channels_last(inputs[0]), shape))

    def _concatenation(self, operator: Any, inputs: list[int], output: int) -> None:
        options = _options(operator, tflite.ConcatenationOptions())
        parts = [self._channels_last(k) for k in inputs]
        name = self._graph.add("Concat", *parts, axis=options.Axis())
        self._set(output, self._activate(name, options.FusedActivationFunction()))


def _options(operator: Any, options: Any) -> Any:
    table = operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    return options
