"""An ONNX graph as `onnx_operators` reads it: nodes, constants, and shapes found along the way."""

import operator
from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from sc_neurocore.extras import require

try:
    import torch
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["Graph", "Node", "UnsupportedError"]

_DTYPES = {"FLOAT": torch.float32, "FLOAT16": torch.float32, "DOUBLE": torch.float64}


class UnsupportedError(ValueError):
    """What can't be imported, and why; the message names the node."""


class Node:
    """One node. Attributes are Python values, text included; an absent input is the name ``""``."""

    def __init__(self, proto: Any) -> None:
        value = require("onnx", "interchange").helper.get_attribute_value
        domain = "" if proto.domain in ("", "ai.onnx") else f"{proto.domain}."
        self.op = domain + _text(proto.op_type)
        self.inputs = [_text(name) for name in proto.input]
        self.outputs = [_text(name) for name in proto.output]
        self.output = self.outputs[0] if self.outputs else ""
        self.name = _text(proto.name) or f"{self.op}_{self.output}"
        self.attributes: dict[str, Any] = {}
        for attribute in proto.attribute:
            found = value(attribute)
            self.attributes[attribute.name] = _text(found) if isinstance(found, bytes) else found

    def has(self, index: int) -> bool:
        """Whether an optional input is there."""
        return index < len(self.inputs) and bool(self.inputs[index])

    def refuse(self, reason: str) -> UnsupportedError:
        """Make the error that says why this node can't be imported."""
        return UnsupportedError(f"node {self.name!r} ({self.op}) {reason}")


class Graph:
    """Nodes in the order of the file, and what is known of the values between them.

    Parameters
    ----------
    proto : onnx.GraphProto
        Checked by onnx, its external data loaded.

    Attributes
    ----------
    constants : dict of str to ndarray
        Initializers, and what can be computed from them alone.
    shapes : dict of str to tuple of int
        Of each value that depends on the input, without the batch. At first it holds the input's;
        whoever reads a node enters that of its output.
    batch : int or None
        Images that the file was exported for; None if that is left open.
    dtype : torch.dtype
        float64 if the input is, otherwise float32.

    Raises
    ------
    UnsupportedError
        If there isn't exactly one input of fixed size, a batch of images, and one output.
    """

    def __init__(self, proto: Any) -> None:
        self.nodes = [Node(node) for node in proto.node]
        self.producers = {name: node for node in self.nodes for name in node.outputs if name}
        self.constants = _constants(proto, self.nodes)
        initialized = {tensor.name for tensor in proto.initializer}
        inputs = [value for value in proto.input if value.name not in initialized]
        for kind, values in (("input", inputs), ("output", list(proto.output))):
            if len(values) != 1:
                names = ", ".join(repr(value.name) for value in values) or "none"
                raise UnsupportedError(f"the network must have one {kind}, not {names}")
        self.input: str = inputs[0].name
        self.output: str = proto.output[0].name
        self.consumers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in set(node.inputs):
                self.consumers.setdefault(name, []).append(node)
        self.dtype, self.batch, shape = _input_type(inputs[0])
        self.shapes = {self.input: shape}

    def path(self) -> list[Node]:
        """List the nodes, in order, through which what is in the images reaches the output."""
        reached, found = {self.input}, []
        for node in self.nodes:
            if node.op != "Shape" and not reached.isdisjoint(node.inputs):
                reached.update(node.outputs)
                found.append(node)
        needed, kept = {self.output}, []
        for node in reversed(found):
            if not needed.isdisjoint(node.outputs):
                needed.update(node.inputs)
                kept.append(node)
        return kept[::-1]

    def next(self, node: Node) -> Node | None:
        """Give the only node that takes what ``node`` gives, if there is just one."""
        consumers = self.consumers.get(node.output, [])
        alone = len(consumers) == 1 and node.output != self.output
        return consumers[0] if alone else None

    def argument(self, node: Node, name: str, index: int, default: Any = None) -> Any:
        """Give an attribute that later opsets made an input, which must be a constant."""
        if name in node.attributes:
            return node.attributes[name]
        return self.constant(node, index).tolist() if node.has(index) else default

    def constant(self, node: Node, index: int) -> npt.NDArray[Any]:
        """Give an input that must be a constant."""
        name = node.inputs[index]
        if name not in self.constants:
            raise node.refuse(f"must have a constant as input {index + 1}, not the result {name!r}")
        return self.constants[name]

    def shape(self, node: Node, index: int = 0) -> tuple[int, ...]:
        """Give the shape, without the batch, of an input that must depend on the images."""
        name = node.inputs[index]
        if name not in self.shapes:
            raise node.refuse(f"must take what the images become as input {index + 1}, "
                              f"not {name!r}")
        return self.shapes[name]

    def sizes(self, node: Node, name: str) -> list[int | None]:
        """Compute a shape that ``node`` takes as a value; None stands for the size of the batch.

        This is what an exporter makes of ``x.view(x.size(0), -1)``.
        """
        if name in self.constants:
            return [operator.index(size) for size in self.constants[name].reshape(-1)]
        source = self.producers.get(name)
        if source is None or source.op not in _SIZES:
            raise node.refuse(f"must have a shape that can be computed, not {name!r}")
        if source.op == "Shape":
            sizes = [None, *self.shape(source)]
            return sizes[source.attributes.get("start"):source.attributes.get("end")]
        parts = [self.sizes(node, part) for part in source.inputs[:_SIZES[source.op]]]
        if source.op == "Concat":
            return [size for part in parts for size in part]
        if source.op == "Gather":
            places = self.constant(source, 1).reshape(-1)
            return [parts[0][int(place)] for place in places]
        if source.op == "Mul" and None not in parts[0] + parts[1]:
            return [prod(pair) for pair in zip(*parts, strict=True)]
        if source.op == "Mul":
            raise node.refuse("must keep the size of the batch as it is")
        return parts[0]


_SIZES = {"Shape": 0, "Concat": None, "Gather": 1, "Mul": 2, "Unsqueeze": 1, "Squeeze": 1,
          "Cast": 1, "Identity": 1}
"""Operators that shapes are computed with, and how many of their inputs are shapes."""


def _text(value: str | bytes) -> str:
    """Text of a file; protobuf leaves as bytes what is none."""
    return value if isinstance(value, str) else value.decode("utf-8")


def _constants(proto: Any, nodes: Iterable[Node]) -> dict[str, npt.NDArray[Any]]:
    onnx = require("onnx", "interchange")
    if proto.sparse_initializer:
        raise UnsupportedError("sparse initializers must be exported as dense ones")
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.initializer}
    for node in nodes:
        if node.op == "Constant":
            constants[node.output] = _value(node)
        elif node.op in ("Identity", "Cast", "Transpose") and node.inputs[0] in constants:
            array = constants[node.inputs[0]]
            if node.op == "Cast":
                array = array.astype(onnx.helper.tensor_dtype_to_np_dtype(node.attributes["to"]))
            elif node.op == "Transpose":
                array = array.transpose(node.attributes.get("perm"))
            constants[node.output] = array
    for name, array in constants.items():
        if array.dtype.kind in "cOSU":
            raise UnsupportedError(f"constant {name!r} must be real numbers, not {array.dtype}")
    return constants


def _value(node: Node) -> npt.NDArray[Any]:
    (kind, value), = node.attributes.items()
    if kind == "value":
        return np.asarray(require("onnx", "interchange").numpy_helper.to_array(value))
    if kind.startswith(("value_float", "value_int")):
        return np.array(value, dtype=np.float32 if "float" in kind else np.int64)
    raise node.refuse("must hold numbers")


def _input_type(value: Any) -> tuple[torch.dtype, int | None, tuple[int, ...]]:
    """Kind of numbers, size of the batch and of what is in it."""
    onnx = require("onnx", "interchange")
    tensor = value.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
    if kind not in _DTYPES:
        raise UnsupportedError(f"input {value.name!r} must be float, double or float16, "
                               f"not {kind.lower()}")
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    fixed = tuple(size for size in sizes[1:] if size is not None and size > 0)
    if len(sizes) < 2 or len(fixed) < len(sizes) - 1:
        shown = ", ".join(dim.dim_param or str(dim.dim_value) for dim in tensor.shape.dim)
        raise UnsupportedError(f"input {value.name!r} must be a batch of images of fixed size, "
                               f"not of shape ({shown})")
    return _DTYPES[kind], sizes[0] if sizes[0] and sizes[0] > 0 else None, fixed
