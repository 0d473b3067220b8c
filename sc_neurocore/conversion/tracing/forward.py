"""A model's forward pass as a graph of operations; the model itself is left as it is."""

import copy
import operator
import traceback
from pathlib import Path
from typing import Any

from sc_neurocore.conversion.tracing.operator_table import MODULES, SUPPORTED, obstacle
from sc_neurocore.extras import require

try:
    import torch
    from torch import fx, nn
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["Tracer", "refusal", "trace_forward", "type_name"]


class _Root(nn.Module):
    """Calls the model, so that it has a path, and its hooks and defaults are seen."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Any) -> Any:
        return self.model(images)


class Proxy(fx.Proxy):
    """One that knows ``x += y`` from ``x = x + y``: the first changes what others see."""

    def __iadd__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})

    def __isub__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.isub, (self, other), {})

    def __imul__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.imul, (self, other), {})

    def __itruediv__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.itruediv, (self, other), {})


class Tracer(fx.Tracer):
    """Opens modules down to torch's and those that conversion knows.

    Attributes
    ----------
    complaints : list of str
        Modules with a forward pass that tracing does not see, or not safely.
    """

    proxy_buffer_attributes = True  # so that a forward that counts its calls doesn't count this

    def __init__(self) -> None:
        super().__init__()
        self.complaints: list[str] = []

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Make the value of a node."""
        return Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one operation."""
        return type(m) in MODULES or type(m).__module__.startswith("sc_neurocore.") or (
            super().is_leaf_module(m, module_qualified_name))

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Note what stands in the way, and go on."""
        path = self.path_of_module(m)
        reason = None if self.is_leaf_module(m, path) else obstacle(m)
        if reason and reason not in " ".join(self.complaints):
            self.complaints.append(f"{path} ({type_name(m)}) {reason}")
        return super().call_module(m, forward, args, kwargs)


def trace_forward(model: nn.Module) -> tuple[fx.Graph, nn.Module, list[str]]:
    """Trace a copy of ``model`` in evaluation mode that shares its tensors.

    Returns
    -------
    graph : fx.Graph
        Of one placeholder; the model's path is ``model``.
    root : nn.Module
        Where the graph's targets are found.
    complaints : list of str
        What can't be converted, as far as tracing shows it.

    Raises
    ------
    ValueError
        If the model can't be copied or traced; the message names module and line.
    """
    root, tracer = _Root(_copy(model)), Tracer()
    root.eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before = torch.get_rng_state()
        try:
            graph = tracer.trace(root)
        except Exception as error:  # whatever a forward raises that gets a proxy for its input
            place = next(reversed(tracer.module_stack.values()), ("model", type(model)))
            path = place[0] or "model"
            name = type_name(root.get_submodule(path))
            raise refusal([*tracer.complaints, f"{path} ({name}), which torch.fx can't trace: "
                           f"{_line(error)}{error}"]) from error
        if not torch.equal(before, torch.get_rng_state()):
            tracer.complaints.append(f"model ({type_name(model)}) draws random numbers")
    return graph, root, tracer.complaints


def _copy(model: nn.Module) -> nn.Module:
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, torch.Tensor):  # results of computations can't be deep-copied
                memo[id(value)] = value.detach().clone()
        memo |= {id(tensor): tensor for tensors in (module._parameters, module._buffers)
                 for tensor in tensors.values() if tensor is not None}
    try:
        return copy.deepcopy(model, memo)
    except Exception as error:
        raise ValueError(f"model must be one that copy.deepcopy can copy: {error}") from error


def _line(error: Exception) -> str:
    """Place of the innermost line outside torch and this file, if there is one."""
    known = (str(Path(torch.__file__).parent), __file__)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if not frame.filename.startswith(known)]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}: " if frames else ""


def type_name(module: Any) -> str:
    """Name of a module's class, with its home unless that is torch."""
    kind = type(module)
    known = kind in MODULES or kind.__module__.startswith("torch.nn.modules.")
    return kind.__name__ if known else f"{kind.__module__}.{kind.__qualname__}"


def refusal(complaints: list[str]) -> ValueError:
    """One error about all that can't be converted."""
    return ValueError(f"Can't convert {'; '.join(complaints)}; {SUPPORTED}")
