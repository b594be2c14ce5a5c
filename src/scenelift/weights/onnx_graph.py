"""A small builder of ONNX graphs, for the converters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["OnnxGraph", "serialize"]

OPSET = 17  # the newest whose ReduceMean still takes its axes as an attribute
IR_VERSION = 8  # the one of that opset: onnxruntime 1.12 and newer read it


class OnnxGraph:
    """Collects nodes and constants in the order given, under names that depend on nothing else."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[int | str]) -> str:
        """Declare a float32 input."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        return name

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output and return the output's name."""
        return self.add_many(op, *inputs, outputs=1, **attributes)[0]

    def add_many(self, op: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Append a node and return the names of its outputs."""
        names = [f"{op}_{len(self._nodes)}_{k}" for k in range(outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names

    def constant(self, value: NDArray[Any]) -> str:
        """Store an array. float16 is stored as such and widened when the session is made."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        if value.dtype == np.float16:
            return self.add("Cast", name, to=TensorProto.FLOAT)
        return name

    def model(self, outputs: Mapping[str, tuple[str, Sequence[int | str]]]) -> onnx.ModelProto:
        """Close the graph.

        Args:
            outputs: for each public name, the tensor it stands for and that tensor's shape.

        Raises:
            onnx.checker.ValidationError: the graph is not a valid ONNX model.
        """
        for public, (name, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [name], [public]))
        declared = [
            helper.make_tensor_value_info(public, TensorProto.FLOAT, list(shape))
            for public, (_, shape) in outputs.items()
        ]
        graph = helper.make_graph(
            self._nodes, "graph", self._inputs, declared, initializer=self._constants
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="scenelift",
        )
        onnx.checker.check_model(model)
        return model


def serialize(model: onnx.ModelProto) -> bytes:
    """The model as bytes that are the same whenever the model is."""
    return model.SerializeToString(deterministic=True)
