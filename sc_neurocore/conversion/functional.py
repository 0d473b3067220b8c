"""Modules in place of functions: what a ``forward`` computes without a module can't be swapped."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sc_neurocore.extras import require

try:
    import torch
    from torch import fx, nn
    from torch.nn import functional
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["in_mode", "is_rectifier", "trace", "with_relu_modules"]

_RECTIFIERS: dict[Any, tuple[str, ...]] = {
    **dict.fromkeys((torch.relu, torch.relu_, functional.relu, functional.relu6,
                     "relu", "relu_"), ()),
    **dict.fromkeys((torch.clamp, torch.clamp_, torch.clip, torch.clip_,
                     "clamp", "clamp_", "clip", "clip_"), ("min", "max")),
    **dict.fromkeys((torch.clamp_min, torch.clamp_min_, "clamp_min", "clamp_min_"), ("min",)),
    **dict.fromkeys((functional.hardtanh, functional.hardtanh_), ("min_val", "max_val")),
}
"""Functions and methods that rectify, if their bounds are right, and the bounds' names."""

_DROPOUTS: dict[Any, Any] = {
    functional.dropout: nn.Dropout, functional.dropout1d: nn.Dropout1d,
    functional.dropout2d: nn.Dropout2d, functional.dropout3d: nn.Dropout3d,
    functional.alpha_dropout: nn.AlphaDropout}


class _Tracer(fx.Tracer):
    """Opens modules down to those of torch and of this package."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m).__module__.startswith("sc_neurocore.") or super().is_leaf_module(
            m, module_qualified_name)


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """All modules of ``model`` in training or evaluation mode; later each in its own again."""
    modes = {module: module.training for module in model.modules()}
    model.train(training)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def trace(model: nn.Module) -> fx.Graph:
    """Return the graph of a model's ``forward``, the modules of this package being whole.

    Raises
    ------
    ValueError
        If torch.fx can't trace it; the message names the line.
    """
    try:
        return _Tracer().trace(model)
    except Exception as error:  # whatever a forward raises that gets a proxy for its input
        raise ValueError(f"model must be one that torch.fx can trace, but{_line(error)} "
                         f"{error}") from error


def _line(error: Exception) -> str:
    """Place of the innermost line that is neither torch's nor this module's."""
    known = str(Path(torch.__file__).parent), __file__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if not frame.filename.startswith(known)]
    return "".join(f" in {Path(frame.filename).name}, line {frame.lineno}, {frame.name}:"
                   for frame in frames[-1:])


def is_rectifier(module: nn.Module) -> bool:
    """Whether a module is a ReLU, with an upper bound or none."""
    return type(module) in (nn.ReLU, nn.ReLU6, nn.Hardtanh) and getattr(module, "min_val", 0) == 0


def with_relu_modules(model: nn.Module) -> nn.Module:
    """Return ``model`` if all its ReLUs are modules, else a GraphModule of it in which they are.

    The GraphModule has modules for dropout, too, since tracing fixes a function's mode. It shares
    the other modules with ``model``, under the same names.

    Raises
    ------
    ValueError
        If the model can't be traced or if, where it has functions to replace, anything but dropout
        depends on the mode.
    """
    if is_rectifier(model):
        return model  # the tracer would open it, and find the function inside
    if not any(_rectifier(node) for node in trace(model).nodes):
        return model
    with in_mode(model, False):
        graph = trace(model)
        traced = fx.GraphModule(model, graph, type(model).__name__)
    with in_mode(model, True):
        dropouts = _mode_dependent(graph, trace(model))
    traced.training = model.training
    for node in list(graph.nodes):
        if rectifier := _rectifier(node):
            _to_module(traced, node, rectifier)
        elif node in dropouts:
            _to_module(traced, node, _DROPOUTS[node.target](node.kwargs["p"]))
    traced.recompile()
    return traced


def _rectifier(node: fx.Node) -> nn.Module | None:
    """Module that does what a function or method does, if it rectifies."""
    if node.op not in ("call_function", "call_method") or node.target not in _RECTIFIERS:
        return None
    names = _RECTIFIERS[node.target]
    if not names:
        return nn.ReLU6() if node.target is functional.relu6 else nn.ReLU()
    given: dict[str, Any] = dict(zip(names, node.args[1:], strict=False)) | node.kwargs
    low, high = given.get(names[0]), given.get("max", given.get("max_val"))
    if not isinstance(low, int | float) or low != 0:
        return None
    if high is None:
        return nn.ReLU()
    return nn.Hardtanh(0, high) if isinstance(high, int | float) and high > 0 else None


def _mode_dependent(evaluation: fx.Graph, training: fx.Graph) -> set[fx.Node]:
    """Dropouts that differ between the two graphs, or an error about what else does."""
    if len(evaluation.nodes) != len(training.nodes):
        raise ValueError("model must do the same in training and evaluation, but for dropout; "
                         "self.training decides about more in its forward")
    different = {node for node, other in zip(evaluation.nodes, training.nodes, strict=True)
                 if node.format_node() != other.format_node()}
    for node in different:
        if node.target not in _DROPOUTS:
            raise ValueError("model must do the same in training and evaluation, but for dropout; "
                             f"{node.name} in its forward differs: make it a module")
    return different


def _to_module(traced: fx.GraphModule, node: fx.Node, module: nn.Module) -> None:
    """Have ``module`` do what the function at ``node`` did to its first argument."""
    name = node.name
    while hasattr(traced, name):
        name += "_"
    traced.add_submodule(name, module.train(traced.training))
    value: Any = node.args[0] if node.args else node.kwargs["input"]
    with traced.graph.inserting_before(node):
        replacement = traced.graph.call_module(name, (value,))
    function = node.target if isinstance(node.target, str) else node.target.__name__
    if function.endswith("_") or node.kwargs.get("inplace"):
        # what comes later saw the changed value under its old name
        order = {user: place for place, user in enumerate(traced.graph.nodes)}
        value.replace_all_uses_with(replacement, lambda user: order[user] > order[node])
    node.replace_all_uses_with(replacement)
    traced.graph.erase_node(node)
