"""Walk along a traced forward pass, operation by operation."""

import inspect
from typing import Any

from sc_neurocore.conversion.tracing.affine import UnsupportedError
from sc_neurocore.conversion.tracing.forward import type_name
from sc_neurocore.conversion.tracing.operator_table import (
    ADVICE,
    FUNCTIONS,
    IN_PLACE,
    METHODS,
    MODULES,
    RISING,
    VIEWS,
    WEIGHTED,
    Operation,
    obstacle,
)
from sc_neurocore.conversion.tracing.values import LayerList, Pooled, Value
from sc_neurocore.extras import require
from sc_neurocore.synapses import INPUT, Source

try:
    import torch
    from torch import fx, nn
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["Reader", "attribute_of", "operation_of", "plain"]

_UNKNOWN = object()
"""The value of what can't be converted, and of all that follows from it."""


def operation_of(node: fx.Node, root: nn.Module) -> tuple[Operation | None, dict[str, Any]]:
    """Which operation a node is, and its arguments beside those of the node."""
    if node.op == "call_module":
        module = root.get_submodule(str(node.target))
        call = MODULES.get(type(module))
        return (None, {}) if call is None else (call.operation, call.arguments(module))
    if node.op == "call_method":
        return METHODS.get(str(node.target)), {}
    return FUNCTIONS.get(node.target), {}


def plain(operation: Any) -> Any:
    """Give an operation without the arguments that are fixed."""
    return getattr(operation, "func", operation)


def _parts(arguments: Any) -> list[Any]:
    """All that is in an argument: tuples, lists, dicts and slices opened."""
    found: list[Any] = []
    fx.node.map_aggregate(arguments, found.append)
    return found


def attribute_of(root: nn.Module, target: Any) -> Any:
    """Give the parameter, buffer or constant at a dotted path."""
    path, _, name = str(target).rpartition(".")
    return getattr(root.get_submodule(path), name)


class Reader:
    """Does each node's operation to the values before it, and collects what can't be done.

    Parameters
    ----------
    root : nn.Module
        Where the targets of a graph are found.
    layers : LayerList
        Layers are added to it.

    Attributes
    ----------
    complaints : list of str
        What can't be converted, and why.
    weighted : str
        Path of the last operation with weights; empty if there is none.
    """

    def __init__(self, root: nn.Module, layers: LayerList) -> None:
        self.root, self.at = root, layers
        self.complaints: list[str] = []
        self.weighted = ""
        self.values: dict[fx.Node, Any] = {}
        self.memory: dict[fx.Node, fx.Node] = {}

    def read(self, graph: fx.Graph, shape: tuple[int, ...] | None) -> Any:
        """Give the output's value for images of ``shape``; a layer, if there are no complaints."""
        result: Any = _UNKNOWN
        needed = self._needed(graph)
        for node in graph.nodes:
            if node.op == "placeholder":
                self.values[node] = _UNKNOWN if shape is None else Value(
                    tuple(shape), ((Source(INPUT), ()),))
            elif node.op == "output":
                value = fx.node.map_arg(node.args[0], self.values.__getitem__)
                last = node.args[0] if isinstance(node.args[0], fx.Node) else node.prev
                self.at.path = self.weighted or self._path(last)
                result = self._finished(last, value)
            elif node.op == "get_attr":
                self.values[node] = attribute_of(self.root, node.target)
            elif node in needed:
                self.at.path = self._path(node)
                self.values[node] = self._read(node)
        return result

    def _needed(self, graph: fx.Graph) -> set[fx.Node]:
        """Nodes that the output depends on, through memory that they change, too."""
        for node in graph.nodes:
            self.memory[node] = node
            first = node.args[0] if node.args else None
            if isinstance(first, fx.Node) and node.op.startswith("call") and (
                    self._changes_argument(node) or operation_of(node, self.root)[0] in VIEWS):
                self.memory[node] = self.memory[first]
        needed: set[fx.Node] = set()
        touched: set[fx.Node] = set()
        for node in reversed(graph.nodes):
            if node.op == "output" or node in needed or (
                    self._changes_argument(node) and self.memory[node] in touched):
                needed |= {node, *node.all_input_nodes}
                touched |= {self.memory[used] for used in node.all_input_nodes}
        return needed

    def _changes_argument(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return bool(getattr(self.root.get_submodule(str(node.target)), "inplace", False))
        name = getattr(node.target, "__name__", node.target)
        return node.target in IN_PLACE or bool(node.kwargs.get("inplace")) or (
            node.op.startswith("call") and str(name).endswith("_") and not str(name).endswith("__"))

    def _finished(self, node: fx.Node, value: Any) -> Any:
        """Complete the layer of the logits, which ``node`` gives."""
        if value is _UNKNOWN or self.complaints:
            return _UNKNOWN
        if not isinstance(value, Value):
            what = ("the largest of logits that are not rectified" if isinstance(value, Pooled)
                    else f"a {type(value).__name__}")
            self.complaints.append(f"model must return one tensor of logits, not {what}")
            return _UNKNOWN
        plain = value.source is not None and value.source.max_pool is None and not value.is_input
        return value if plain else self._tried(node, lambda: self.at.complete(value, None))

    def _read(self, node: fx.Node) -> Any:
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), self.values.__getitem__)
        found = _parts((args, kwargs))
        operation, extra = operation_of(node, self.root)
        if node.op == "call_module" and (
                reason := obstacle(self.root.get_submodule(str(node.target)))):
            return self._complain(node, reason)
        if not any(isinstance(value, Value | Pooled) or value is _UNKNOWN for value in found):
            return self._constant(node, args, kwargs)
        if operation is None:
            return self._complain(node, ADVICE.get(self._name(node), ""))
        if operation in WEIGHTED:
            self.weighted = self.at.path
        value = _UNKNOWN
        if not any(value is _UNKNOWN for value in found):
            value = self._done(node, operation, args, kwargs | extra)
        self._remember(node, value)
        return value

    def _done(self, node: fx.Node, operation: Operation, args: Any, kwargs: Any) -> Any:
        try:
            bound = inspect.signature(operation).bind(self.at, *args, **kwargs)
        except TypeError as error:
            return self._complain(node, f"has arguments that are not supported: {error}")
        for name, value in bound.arguments.items():
            plain = isinstance(value, Value | Pooled)
            if isinstance(value, Pooled) and operation not in RISING:
                return self._complain(node, "takes the largest of values that are not rectified: "
                                      "put the ReLU before the max pool or right after it")
            if not (plain and name in ("input", "other")) and any(
                    isinstance(part, Value | Pooled) for part in _parts(value)):
                return self._complain(
                    node, f"must take one tensor, not a {type(value).__name__}" if name == "input"
                    else f"must have a constant as {name}, not another result")
        return self._tried(node, lambda: operation(*bound.args, **bound.kwargs))

    def _tried(self, node: fx.Node, action: Any) -> Any:
        try:
            return action()
        except UnsupportedError as error:
            return self._complain(node, str(error))

    def _remember(self, node: fx.Node, value: Any) -> None:
        """What was changed in place changes under all its names."""
        first = node.args[0] if node.args else None
        if not isinstance(first, fx.Node) or not self._changes_argument(node):
            return
        for other in list(self.values):
            if self.memory[other] is self.memory[first] and self.values[other] is not _UNKNOWN:
                self.values[other] = value if value is _UNKNOWN else (
                    value.reshaped(self.values[other].shape))

    def _constant(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        """Compute what does not depend on the images."""
        if node.op == "call_module":
            return self._complain(node, "is applied to what does not depend on the images")
        if self._changes_argument(node):
            return self._complain(node, "changes what the next images would find")
        function: Any = node.target
        if node.op == "call_method":
            function, args = getattr(args[0], str(node.target)), args[1:]
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                before = torch.get_rng_state()
                value = function(*args, **kwargs)
                random = not torch.equal(before, torch.get_rng_state())
        except Exception as error:
            return self._complain(node, f"can't be computed: {error}")
        return self._complain(node, "draws random numbers") if random else value

    # --- what nodes are called -----------------------------------------------------------------

    def _complain(self, node: fx.Node, reason: str) -> Any:
        complaint = f"{self._label(node)} {reason}".rstrip()
        if complaint not in self.complaints:
            self.complaints.append(complaint)
        return _UNKNOWN

    def _name(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return type_name(self.root.get_submodule(str(node.target)))
        return str(getattr(node.target, "__name__", node.target))

    def _label(self, node: fx.Node) -> str:
        path = self._module_path(node)
        place = f"{path} ({type_name(self.root.get_submodule(path))})"
        return place if node.op == "call_module" else f"{self._name(node)}() in {place}"

    def _path(self, node: fx.Node) -> str:
        path = self._module_path(node)
        return path if node.op == "call_module" else f"{path}.{node.name}"

    @staticmethod
    def _module_path(node: fx.Node) -> str:
        if node.op == "call_module":
            return str(node.target)
        stack = node.meta.get("nn_module_stack") or {}
        return next(reversed(stack.values()), ("model", None))[0] or "model"
