"""What each ONNX operator is in torch: the table of them all, and those without weights."""

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from sc_neurocore.conversion.qcfs import QCFSActivation
from sc_neurocore.extras import require
from sc_neurocore.interchange import onnx_layers as layers
from sc_neurocore.interchange.onnx_graph import Graph, Node, UnsupportedError
from sc_neurocore.interchange.onnx_layers import Reading

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["SUPPORTED", "read_node", "unsupported"]

SUPPORTED = ("Gemm, MatMul, Conv, BatchNormalization, Relu, Clip from 0 to 6, AveragePool, "
             "GlobalAveragePool, ReduceMean over an image, MaxPool, Flatten, Reshape and Squeeze "
             "that flatten, Dropout, Identity, Add, and the nodes of a QCFS activation")

_Reader = Callable[[Node, Graph], Reading]

_LOGITS = ("must not be part of the exported network: the class is that of the largest logit, "
           "with it or without")
_ADVICE = {
    "Softmax": _LOGITS, "LogSoftmax": _LOGITS, "ArgMax": _LOGITS,
    "Pad": "must be the padding of a Conv or pool itself, the same on both sides",
    "Sub": "must be left to the preparation of the images",
    **dict.fromkeys(("Sigmoid", "Tanh", "Gelu", "Elu", "Selu", "LeakyRelu", "PRelu", "HardSwish",
                     "HardSigmoid", "Softplus", "Mish", "Swish"), "must be replaced by Relu "
                    "before training, since a spiking neuron's rate is a rectified sum"),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul"),
                    "must be exported before quantization: weights are quantized by quantize()"),
}


def unsupported(node: Node) -> UnsupportedError | None:
    """Say why nothing in torch is found for this kind of node, if so."""
    if node.op not in _READERS:
        return node.refuse(_ADVICE.get(node.op, "is not supported"))
    unknown = node.attributes.keys() - _READERS[node.op][1]
    if unknown:
        return node.refuse(f"has unknown attributes {', '.join(sorted(unknown))}")
    return None


def read_node(node: Node, graph: Graph) -> Reading:
    """Give the modules for a node, and the nodes that they stand for, this one first.

    Raises
    ------
    UnsupportedError
        If they would compute something else than the node.
    """
    for extra in node.outputs[1:]:
        if extra in graph.consumers or extra == graph.output:
            raise node.refuse(f"must have one result, but {extra!r} is used, too")
    return _READERS[node.op][0](node, graph)


def _flatten(node: Node, graph: Graph) -> Reading:
    axis = node.attributes.get("axis", 1)
    if axis not in (1, -len(graph.shape(node))):
        raise node.refuse(f"must have axis 1, all of an image, not {axis}")
    return [nn.Flatten()], [node]


def _squeeze(node: Node, graph: Graph) -> Reading:
    shape = graph.shape(node)
    axes = layers.axes_of(node, graph, len(shape) + 1)
    left = [size for axis, size in enumerate(shape, 1) if axis not in axes]
    if 0 in axes or left != [math.prod(shape)]:
        raise node.refuse(f"must leave one dimension besides the batch, its axes given: "
                          f"{axes} of {shape} don't; use Flatten")
    return [nn.Flatten()], [node]


def _reshape(node: Node, graph: Graph) -> Reading:
    shape = graph.shape(node)
    first, *rest = graph.sizes(node, node.inputs[1]) or [0]
    copies = first == 0 and not node.attributes.get("allowzero", 0)
    batch = first is None or copies or first == graph.batch
    if not (batch and rest == [-1]) and not ((batch or first == -1) and rest == [math.prod(shape)]):
        shown = ["batch" if size is None else size for size in (first, *rest)]
        raise node.refuse(f"must flatten all but the batch, (batch, {math.prod(shape)}), "
                          f"not reshape {shape} to {shown}")
    return [nn.Flatten()], [node]


def _relu(node: Node, graph: Graph) -> Reading:
    return [nn.ReLU()], [node]


def _clip(node: Node, graph: Graph) -> Reading:
    low, high = _limits(node, graph)
    if (low, high) == (0, 1):
        return _qcfs(node, graph)
    if low != 0 or (high != 6 and high < np.finfo(np.float32).max):
        raise node.refuse(f"must be from 0 to 6, as ReLU6, or from 0 up, as ReLU, "
                          f"not from {low} to {high}")
    return [nn.ReLU6() if high == 6 else nn.ReLU()], [node]


def _limits(node: Node, graph: Graph) -> tuple[float, float]:
    limits = graph.argument(node, "min", 1, -math.inf), graph.argument(node, "max", 2, math.inf)
    if any(isinstance(limit, list) for limit in limits):
        raise node.refuse(f"must have numbers as limits, not {limits}")
    return limits


def _dropout(node: Node, graph: Graph) -> Reading:
    if graph.argument(node, "training_mode", 2, False):
        raise node.refuse("must be exported in evaluation mode: call model.eval() first")
    return [nn.Dropout(graph.argument(node, "ratio", 1, 0.5))], [node]


def _identity(node: Node, graph: Graph) -> Reading:
    return [nn.Identity()], [node]


_Pattern = tuple[tuple[str, Any], ...]

_QCFS: tuple[_Pattern, ...] = (
    # QCFSActivation
    (("Mul", "T"), ("Div", "theta"), ("Add", 0.5), ("Floor", None), ("Clip", (0.0, "T")),
     ("Mul", "theta"), ("Div", "T")),
    # IF of the authors' ANN_SNN_QCFS and MyFloor of their SNN_conversion_QCFS, both on GitHub under
    # putshua: equal to it but for the order of rounding
    (("Div", "theta"), ("Clip", (0.0, 1.0)), ("Mul", "T"), ("Add", 0.5), ("Floor", None),
     ("Div", "T"), ("Mul", "theta")),
    (("Div", "theta"), ("Mul", "T"), ("Add", 0.5), ("Floor", None), ("Div", "T"),
     ("Clip", (0.0, 1.0)), ("Mul", "theta")),
)
"""Operators and constants that a QCFS activation is exported as."""

_FOLDED: tuple[tuple[str, ...], ...] = ((), ("theta",), ("T",), ("theta", "T"))
"""What may be 1, so that exporters leave the factor out."""


def _qcfs(node: Node, graph: Graph) -> Reading:
    for pattern, ones in product(_QCFS, _FOLDED):
        left = tuple(step for step in pattern if step[1] not in ones)
        reading = _qcfs_of(node, graph, left, dict.fromkeys(ones, 1.0))
        if reading is not None:
            return reading
    raise node.refuse("is supported only as a part of a QCFS activation of one threshold, "
                      "clip(floor(x * T / theta + 0.5), 0, T) * theta / T; scaling belongs into "
                      "the preparation of the images")


def _qcfs_of(node: Node, graph: Graph, pattern: _Pattern, found: dict[str, float]
             ) -> Reading | None:
    """The activation that begins at a node if it looks like that; ``found`` are T and θ so far."""
    parts = [node]
    while len(parts) < len(pattern) and (after := graph.next(parts[-1])) is not None:
        parts.append(after)
    if [part.op for part in parts] != [op for op, _ in pattern]:
        return None
    agree = [_agrees(_operand(part, graph), constant, found)
             for part, (_, constant) in zip(parts, pattern, strict=True)]
    if not all(agree) or not found["T"].is_integer():
        return None
    module = QCFSActivation(int(found["T"]), found["theta"])
    theta = torch.tensor(found["theta"], dtype=graph.dtype)
    return [layers.filled(module, theta=theta)], parts


def _operand(node: Node, graph: Graph) -> Any:
    """Constant that a node computes with: a number, the two of Clip, None if there is none."""
    if node.op == "Clip":
        return _limits(node, graph)
    places = node.inputs[1:] if node.op == "Div" else node.inputs
    constants = [graph.constants[name] for name in places if name in graph.constants]
    alone = len(constants) == 1 and constants[0].shape in ((), (1,))
    return float(constants[0].item()) if alone else None


def _agrees(operand: Any, expected: Any, found: dict[str, float]) -> bool:
    """Whether a constant is the expected one; a name stands for what it stood for before."""
    if isinstance(expected, tuple):
        return all(_agrees(*pair, found) for pair in zip(operand, expected, strict=True))
    if isinstance(expected, str) and operand is not None:
        expected = found.setdefault(expected, operand)
    return bool(operand == expected)


def _add(node: Node, graph: Graph) -> Reading:
    if any(name in graph.constants for name in node.inputs):
        if _operand(node, graph) == 0.5:
            return _qcfs(node, graph)
        raise node.refuse("must add two results, or be the bias of a Gemm, MatMul or Conv right "
                          "before it, whose result nothing else takes")
    shapes = [graph.shape(node, place) for place in (0, 1)]
    if shapes[0] != shapes[1]:
        raise node.refuse(f"must add results of the same shape, not {shapes[0]} and {shapes[1]}")
    return [], [node]


_READERS: dict[str, tuple[_Reader, frozenset[str]]] = {
    op: (reader, frozenset(attributes.split())) for op, reader, attributes in (
        ("Gemm", layers.gemm, "alpha beta transA transB"),
        ("MatMul", layers.matmul, ""),
        ("Conv", layers.conv, "auto_pad dilations group kernel_shape pads strides"),
        ("BatchNormalization", layers.batch_norm, "epsilon momentum training_mode"),
        ("MaxPool", layers.max_pool,
         "auto_pad ceil_mode dilations kernel_shape pads storage_order strides"),
        ("AveragePool", layers.average_pool,
         "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides"),
        ("GlobalAveragePool", layers.global_pool, ""),
        ("ReduceMean", layers.mean, "axes keepdims noop_with_empty_axes"),
        ("Unsqueeze", layers.pool_of_sequences, "axes"),
        ("Flatten", _flatten, "axis"),
        ("Squeeze", _squeeze, "axes"),
        ("Reshape", _reshape, "allowzero"),
        ("Relu", _relu, ""),
        ("Clip", _clip, "max min"),
        ("Dropout", _dropout, "ratio seed"),
        ("Identity", _identity, ""),
        ("Mul", _qcfs, ""),
        ("Div", _qcfs, ""),
        ("Floor", _qcfs, ""),
        ("Add", _add, ""),
    )}
"""For each operator its reader, and the attributes of opsets 9 and later that it knows."""
