"""Read ONNX files: perceptrons and convolutional networks, as torch modules that convert() takes.

The mapping is our own: onnx2torch 1.5, the library for it, refuses the Reshape that torch's newer
exporter writes and makes classes of its own of others, where `convert` needs those of torch.
Nothing in a file is executed: nodes pick among the readers of `onnx_operators`, and names become
identifiers before torch.fx writes a forward pass with them.
"""

import operator
import os
import re
import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from sc_neurocore.extras import require
from sc_neurocore.interchange.onnx_graph import Graph, Node, UnsupportedError
from sc_neurocore.interchange.onnx_operators import SUPPORTED, read_node, unsupported
from sc_neurocore.messages import one_line

try:
    import torch
    from torch import fx, nn
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["load_onnx"]

_OLDEST_OPSET = 9
"""Before, BatchNormalization could normalize each value of an image by itself."""


def load_onnx(path: str | os.PathLike[str]) -> nn.Module:
    """Read a network from an ONNX file, as ``torch.onnx.export`` writes it.

    ::

        torch.onnx.export(model.eval(), (images[:1],), "model.onnx")     # dynamo=False does, too
        snn = convert(load_onnx("model.onnx"), images)

    It is made of torch's Linear, Conv1d/2d, BatchNorm1d/2d, ReLU, ReLU6, AvgPool1d/2d,
    MaxPool1d/2d, AdaptiveAvgPool1d/2d(1), Flatten, Dropout and Identity, of `QCFSActivation`, and
    of sums of two results, as in residual blocks. Modules are named after their nodes, with ``_``
    for what is no letter or digit; a Reshape that flattens is a Flatten, a MatMul and its bias are
    a Linear, and so on. θ of a QCFS is no longer learned. The first dimension of the input is the
    batch, of any size, whatever the file says.

    Parameters
    ----------
    path : str or PathLike
        The file; weights may be in files of their own beside it, never in another folder.

    Returns
    -------
    nn.Module
        An nn.Sequential if every node takes what the one before it gives, otherwise a
        torch.fx.GraphModule. In evaluation mode; in float64 if the file's input is double,
        otherwise in float32.

    Raises
    ------
    OSError
        If the file can't be opened.
    ValueError
        If it is no valid ONNX file, or holds what can't be imported: the message names the node and
        its operator, and says what is supported.
    sc_neurocore.extras.MissingExtraError
        If onnx is not installed.
    """
    file = Path(path)
    try:
        graph = _read(file)
        return _assemble(graph, _steps(graph)).eval()
    except UnsupportedError as error:
        raise ValueError(f"ONNX file {file} can't be imported: {one_line(error)}; "
                         f"supported are {SUPPORTED}") from error


def _read(file: Path) -> Graph:
    """Parse and check a file, the weights beside it read as well."""
    onnx = require("onnx", "interchange")
    data = file.read_bytes()
    try:
        model = onnx.load_model_from_string(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)     # of keys that onnx doesn't know
            onnx.external_data_helper.load_external_data_for_model(model, str(file.parent))
        onnx.checker.check_model(model)
        _check_opset(model)
        return Graph(model.graph)
    except UnsupportedError:
        raise
    except Exception as error:      # protobuf, numpy, onnx's C++ and its Python have their own
        raise ValueError(f"ONNX file {file} can't be read: {_reason(error)}") from error


def _check_opset(model: Any) -> None:
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
                default=0)
    if opset < _OLDEST_OPSET:
        raise UnsupportedError(f"it must be of opset {_OLDEST_OPSET} or newer, not {opset}; "
                               "export it again")


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {one_line(error)}"


@dataclass(frozen=True)
class _Step:
    """A module, or a sum if that is None, between values of the graph."""

    name: str
    module: nn.Module | None
    inputs: list[str]
    output: str


def _steps(graph: Graph) -> list[_Step]:
    """Read the graph from front to back, its shapes along with it."""
    nodes = graph.path()
    complaints = [str(error) for error in map(unsupported, nodes) if error]
    if complaints:
        raise UnsupportedError("; ".join(complaints))
    steps: list[_Step] = []
    read: set[str] = set()
    for node in nodes:
        if node.output not in read:
            new, parts = _read_steps(node, graph)
            steps += new
            read.update(part.output for part in parts)
    if graph.output not in graph.shapes:
        raise UnsupportedError(f"its output {graph.output!r} must depend on its input")
    return steps


def _read_steps(node: Node, graph: Graph) -> tuple[list[_Step], list[Node]]:
    """Read a node, with those after it that belong to it, and enter the shape of the result."""
    try:
        modules, parts = read_node(node, graph)
        shape = graph.shape(node)
        for module in modules:
            shape = _shape_after(module, shape, graph.dtype)
    except UnsupportedError:
        raise
    except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError) as error:
        raise node.refuse(f"can't be a module of torch: {_reason(error)}") from error
    output = parts[-1].output
    graph.shapes[output] = shape
    if not modules:
        return [_Step(_identifier(node.name), None, node.inputs, output)], parts
    names = [node.name, *(f"{node.name}_{type(module).__name__}" for module in modules[1:])]
    places = [node.inputs[0], *(f"{output}/{name}" for name in names[1:]), output]
    return [_Step(_identifier(name), module, [before], after) for name, module, (before, after)
            in zip(names, modules, pairwise(places), strict=True)], parts


def _shape_after(module: nn.Module, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[int, ...]:
    """Run a module on an image without numbers, to find the shape and whether it fits."""
    state = {name: tensor.to("meta") for name, tensor in module.state_dict().items()}
    image = torch.empty((1, *shape), dtype=dtype, device="meta")
    result = torch.func.functional_call(module.eval(), state, image)
    return tuple(result.shape[1:])


def _identifier(name: str) -> str:
    """Name of a module: torch.fx writes Python with it, and torch separates names by dots."""
    return re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_") or "node"


def _unique(steps: list[_Step]) -> list[str]:
    """Name each step differently, and like no attribute of a module."""
    taken = {*dir(nn.Sequential()), *dir(fx.GraphModule(nn.Module(), fx.Graph()))}
    names = []
    for step in steps:
        name, count = step.name, 0
        while name in taken:
            count += 1
            name = f"{step.name}_{count}"
        taken.add(name)
        names.append(name)
    return names


def _assemble(graph: Graph, steps: list[_Step]) -> nn.Module:
    """A Sequential where one step follows the other, otherwise torch.fx's graph of them."""
    names = _unique(steps)
    modules = {name: step.module for name, step in zip(names, steps, strict=True) if step.module}
    follows = [graph.input, *(step.output for step in steps)]
    if all(step.inputs == [before] for step, before in zip(steps, follows, strict=False)):
        chain = nn.Sequential()
        for name, module in modules.items():
            chain.add_module(name, module)
        return chain
    trace = fx.Graph()
    values = {graph.input: trace.placeholder("images")}
    for name, step in zip(names, steps, strict=True):
        inputs = tuple(values[value] for value in step.inputs)
        kind, target = ("call_module", name) if step.module else ("call_function", operator.add)
        values[step.output] = trace.create_node(kind, target, inputs, name=name)
    trace.output(values[graph.output])
    return fx.GraphModule(modules, trace)
