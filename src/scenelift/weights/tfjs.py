"""Converts TensorFlow.js graph models to ONNX: the operators of two detectors, no others."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from scenelift.errors import WeightsError
from scenelift.weights.onnx_graph import OnnxGraph

__all__ = ["convert"]

_DTYPES = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4"), "int32": np.dtype("<i4")}


def convert(
    topology: bytes,
    weights: bytes,
    outputs: Mapping[str, tuple[str, tuple[int, ...]]],
    *,
    image: tuple[str, tuple[int, ...]] | None = None,
    half: bool = False,
) -> onnx.ModelProto:
    """Translate a graph model, or the part of it between an image and some outputs.

    Args:
        topology: the `.json` file.
        weights: the files of weights, one behind the other.
        outputs: for each node that is an output, our name of it and its shape.
        image: the node that is the image, and its shape; without it, the model's own input.
        half: store the kernels of convolutions as float16.

    Returns:
        Model with the input `image`, float32 in that shape, and those outputs. Weights stored as
        float16 stay so in the file.

    Raises:
        WeightsError: the file is not such a model, or uses something this converter does not
            cover.
    """
    try:
        model = json.loads(topology)
        nodes = {node["name"]: node for node in model["modelTopology"]["node"]}
        stored = _read_weights(model["weightsManifest"], weights)
        return _Converter(nodes, stored, image, half=half).run(outputs)
    except (KeyError, IndexError, TypeError, ValueError) as exc:
        raise WeightsError(f"The TensorFlow.js model cannot be read: {exc!r}") from exc


def _read_weights(manifest: list[Any], data: bytes) -> dict[str, NDArray[Any]]:
    """Read arrays by name, one behind the other; float16 stands for float32."""
    arrays, offset = {}, 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        name, shape = entry["name"], tuple(entry["shape"])
        kind = entry.get("quantization", {}).get("dtype", entry["dtype"])
        if kind not in _DTYPES:
            raise WeightsError(f"The weight {name!r} is stored as {kind}, which is not covered.")
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(data, _DTYPES[kind], count, offset).reshape(shape)
        offset += arrays[name].nbytes
    if offset != len(data):
        raise WeightsError(f"The weights have {len(data)} bytes; their index names {offset}.")
    return arrays


class _Converter:
    def __init__(
        self,
        nodes: Mapping[str, Mapping[str, Any]],
        stored: Mapping[str, NDArray[Any]],
        image: tuple[str, tuple[int, ...]] | None,
        *,
        half: bool,
    ) -> None:
        self._nodes = nodes
        self._stored = stored
        self._image, self._half = image, half
        self._graph = OnnxGraph()
        self._constants: dict[str, NDArray[Any]] = {}
        self._names: dict[str, str] = {}  # ONNX names of computed tensors

    def run(self, outputs: Mapping[str, tuple[str, tuple[int, ...]]]) -> onnx.ModelProto:
        if self._image is not None:
            name, shape = self._image
            self._names[name] = self._graph.input("image", shape)
        for name in TopologicalSorter(self._sources_of(outputs)).static_order():
            if name not in self._names:
                self._translate(self._nodes[name])
        return self._graph.model(
            {ours: (self._names[node], shape) for node, (ours, shape) in outputs.items()}
        )

    def _sources_of(self, outputs: Iterable[str]) -> dict[str, list[str]]:
        """List the nodes that outputs need, in the file's order, and what each of them reads."""
        sources: dict[str, list[str]] = {}
        ahead = list(outputs)
        while ahead:
            name = ahead.pop()
            if name not in sources:
                is_image = name in self._names
                inputs = [] if is_image else _inputs(self._nodes[name])
                sources[name] = [_node_of(i) for i in inputs]
                ahead += sources[name]
        return {name: sources[name] for name in self._nodes if name in sources}

    def _translate(self, node: Mapping[str, Any]) -> None:
        op, inputs = node["op"], _inputs(node)
        if op == "Const":
            self._constants[node["name"]] = self._stored[node["name"]]
            return
        # The exporter computes shapes in the graph; what depends on constants alone is known.
        if inputs and all(_node_of(i) in self._constants for i in inputs):
            values = [self._constants[_node_of(i)] for i in inputs]
            self._constants[node["name"]] = _fold(op, values)
            return
        translate = getattr(self, f"_{op.lower()}", None)
        if translate is None:
            raise WeightsError(f"The TensorFlow.js operator {op} is not one this converter knows.")
        translate(node, inputs)

    # Tensors

    def _value(self, tensor: str) -> NDArray[Any]:
        return self._constants[_node_of(tensor)]

    def _tensor(self, tensor: str) -> str:
        """Return the ONNX name of a tensor, which becomes a stored array if it is constant."""
        tensor = tensor.removesuffix(":0")
        if tensor in self._constants:
            return self._graph.constant(self._constants[tensor])
        return self._names[tensor]

    def _apply(self, node: Mapping[str, Any], op: str, *inputs: str, **attributes: Any) -> None:
        self._names[node["name"]] = self._graph.add(op, *inputs, **attributes)

    def _on_channels_first(
        self, node: Mapping[str, Any], op: str, image: str, *others: str, **attributes: Any
    ) -> None:
        """Apply an ONNX operator on [B, C, H, W] to a tensor that is [B, H, W, C]."""
        turned = self._graph.add("Transpose", self._tensor(image), perm=[0, 3, 1, 2])
        result = self._graph.add(op, turned, *others, **attributes)
        self._apply(node, "Transpose", result, perm=[0, 2, 3, 1])

    # Operators, by their name in TensorFlow

    def _placeholder(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        shape = [int(d["size"]) for d in node["attr"]["shape"]["shape"]["dim"]]
        self._names[node["name"]] = self._graph.input("image", shape)

    def _identity(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        self._names[node["name"]] = self._tensor(inputs[0])

    def _conv2d(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        kernel = self._value(inputs[1]).transpose(3, 2, 0, 1)  # [O, I, h, w] from [h, w, I, O]
        self._convolve(node, inputs[0], kernel)

    def _depthwiseconv2dnative(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        height, width, channels, each = self._value(inputs[1]).shape
        kernel = self._value(inputs[1]).transpose(2, 3, 0, 1)  # [C, M, h, w] from [h, w, C, M]
        kernel = kernel.reshape(channels * each, 1, height, width)
        self._convolve(node, inputs[0], kernel, group=channels)

    def _convolve(
        self, node: Mapping[str, Any], image: str, kernel: NDArray[Any], **attributes: Any
    ) -> None:
        if self._half:
            kernel = kernel.astype(np.float16)
        attributes |= _window(node) | {"strides": _integers(node, "strides")[1:3]}
        self._on_channels_first(node, "Conv", image, self._graph.constant(kernel), **attributes)

    def _maxpool(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        size, strides = _integers(node, "ksize")[1:3], _integers(node, "strides")[1:3]
        attributes = _window(node) | {"kernel_shape": size, "strides": strides}
        self._on_channels_first(node, "MaxPool", inputs[0], **attributes)

    def _fusedbatchnorm(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        gain, bias, mean, variance = (self._value(i).astype(np.float64) for i in inputs[1:5])
        gain = gain / np.sqrt(variance + node["attr"]["epsilon"]["f"])
        scale, offset = gain.astype(np.float32), (bias - mean * gain).astype(np.float32)
        scaled = self._graph.add("Mul", self._tensor(inputs[0]), self._graph.constant(scale))
        self._apply(node, "Add", scaled, self._graph.constant(offset))

    def _relu6(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        limits = (self._graph.constant(np.array(limit, np.float32)) for limit in (0, 6))
        self._apply(node, "Clip", self._tensor(inputs[0]), *limits)

    def _resizebilinear(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        if not node["attr"]["half_pixel_centers"]["b"] or node["attr"]["align_corners"]["b"]:
            raise WeightsError("TensorFlow.js's ResizeBilinear needs half-pixel centres here.")
        # ONNX wants all four lengths: batch and channels are those of the image.
        image = self._graph.add("Transpose", self._tensor(inputs[0]), perm=[0, 3, 1, 2])
        lengths = self._graph.add("Shape", image, start=0, end=2)
        size = self._graph.constant(self._value(inputs[1]).astype(np.int64))
        lengths = self._graph.add("Concat", lengths, size, axis=0)
        resized = self._graph.add(
            "Resize",
            image,
            "",
            "",
            lengths,
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
        self._apply(node, "Transpose", resized, perm=[0, 2, 3, 1])

    def _pad(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        before_and_after = self._value(inputs[1]).T.astype(np.int64)  # [2, axes] from [axes, 2]
        operands = [self._tensor(inputs[0]), self._graph.constant(before_and_after.reshape(-1))]
        if len(inputs) == 3:
            operands.append(self._tensor(inputs[2]))
        self._apply(node, "Pad", *operands)

    _padv2 = _pad

    def _add(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        self._apply(node, "Add", *(self._tensor(i) for i in inputs))

    _biasadd = _add

    def _mul(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        self._apply(node, "Mul", *(self._tensor(i) for i in inputs))

    def _addn(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        self._apply(node, "Sum", *(self._tensor(i) for i in inputs))

    def _leakyrelu(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        self._apply(node, "LeakyRelu", self._tensor(inputs[0]), alpha=node["attr"]["alpha"]["f"])

    def _sigmoid(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        self._apply(node, "Sigmoid", self._tensor(inputs[0]))

    def _transpose(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        order = [int(axis) for axis in self._value(inputs[1])]
        self._apply(node, "Transpose", self._tensor(inputs[0]), perm=order)

    def _reshape(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        shape = self._graph.constant(self._lengths(inputs[1]))
        self._apply(node, "Reshape", self._tensor(inputs[0]), shape)

    def _lengths(self, tensor: str) -> NDArray[np.int64]:
        """Read a shape of constants, of which the first, the batch's, may be computed."""
        if _node_of(tensor) in self._constants:
            return self._value(tensor).astype(np.int64)
        node = self._nodes[_node_of(tensor)]
        _, *others = parts = _inputs(node)
        if node["op"] != "Pack" or any(_node_of(i) not in self._constants for i in others):
            raise WeightsError(
                f"TensorFlow.js's {node['op']} {node['name']!r} computes lengths beside the "
                "batch's, which is not covered."
            )
        lengths = [int(self._value(i)) if _node_of(i) in self._constants else 0 for i in parts]
        return np.array(lengths, np.int64)  # ONNX: 0 is the input's own length

    def _of_batch(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        """What only serves to compute the batch's length: `_lengths` goes without."""

    _shape = _stridedslice = _pack = _of_batch

    def _concatv2(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        *parts, axis = inputs
        tensors = [self._tensor(part) for part in parts]
        self._apply(node, "Concat", *tensors, axis=int(self._value(axis)))

    def _splitv(self, node: Mapping[str, Any], inputs: list[str]) -> None:
        sizes = self._value(inputs[1]).astype(np.int64)
        parts = self._graph.add_many(
            "Split",
            self._tensor(inputs[0]),
            self._graph.constant(sizes),
            outputs=len(sizes),
            axis=int(self._value(inputs[2])),
        )
        self._names[node["name"]] = parts[0]
        for k, part in enumerate(parts[1:], start=1):
            self._names[f"{node['name']}:{k}"] = part


def _fold(op: str, values: list[NDArray[Any]]) -> NDArray[Any]:
    if op == "AddV2":
        return values[0] + values[1]
    if op == "SparseToDense" and values[0].shape[0] == 0:  # no entries: all the default value
        return np.full(values[1], values[3])
    raise WeightsError(f"The TensorFlow.js operator {op} on constants is not covered.")


def _inputs(node: Mapping[str, Any]) -> list[str]:
    """List the tensors a node reads: "node" or "node:output"."""
    return node.get("input", [])


def _node_of(tensor: str) -> str:
    return tensor.partition(":")[0]


def _integers(node: Mapping[str, Any], attribute: str) -> list[int]:
    return [int(n) for n in node["attr"][attribute]["list"]["i"]]


def _text(node: Mapping[str, Any], attribute: str) -> str:
    """Read a word, which older files write as a list of bytes."""
    value = node["attr"][attribute]["s"]
    return (base64.b64decode(value) if isinstance(value, str) else bytes(value)).decode()


def _window(node: Mapping[str, Any]) -> dict[str, Any]:
    """Read how a convolution or pooling pads; refuse other layouts and gaps in its window."""
    layout, padding = _text(node, "data_format"), _text(node, "padding")
    dilated = "dilations" in node["attr"] and set(_integers(node, "dilations")) != {1}
    if layout != "NHWC" or padding not in ("VALID", "SAME") or dilated:
        raise WeightsError(
            f"TensorFlow.js's {node['op']} needs NHWC, VALID or SAME, and no dilation here; "
            f"{node['name']!r} is {layout}, {padding}{', dilated' if dilated else ''}."
        )
    return {"auto_pad": "SAME_UPPER"} if padding == "SAME" else {}
