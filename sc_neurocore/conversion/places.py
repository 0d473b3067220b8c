"""Layers whose weights will be rounded, and what around them decides about the scales."""

from dataclasses import dataclass
from math import prod
from typing import Any

from sc_neurocore.conversion.functional import trace
from sc_neurocore.conversion.qcfs import QCFSActivation
from sc_neurocore.extras import require
from sc_neurocore.network import MAXIMUM_PARAMETER
from sc_neurocore.quantization import finest_scale

try:
    import torch
    from torch import fx, nn
    from torch.nn import functional
    from torch.nn.utils import parametrize
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["Place", "find_places"]

_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_TRANSPARENT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity, nn.Flatten, nn.Unflatten,
                nn.MaxPool1d, nn.MaxPool2d)
_TRANSPARENT_FUNCTIONS = (torch.flatten, torch.reshape, functional.max_pool1d, torch.max_pool1d,
                          functional.max_pool2d, torch.max_pool2d, functional.dropout,
                          "flatten", "reshape", "view", "contiguous")


@dataclass(frozen=True)
class _Rates:
    """What a layer receives: spikes of an activation, None for the inputs, averaged over windows.

    Conversion makes ``window`` weights of one, each of that part of it.
    """

    activation: QCFSActivation | None
    window: int = 1

    def theta(self) -> Any:
        """Activation that a rate of 1 stands for, a number or a tensor of one."""
        return 1.0 if self.activation is None else self.activation.theta.detach().double()


@dataclass(eq=False)
class Place:
    """A layer with weights, and what decides about the scales of its neurons.

    ``before`` is what it receives and ``after`` the QCFSActivation that follows, None where λ isn't
    known. As this is no module, activations don't appear in the state dict again.
    """

    name: str
    layer: Any
    before: _Rates | None
    norm: Any = None
    after: Any = None
    last: bool = False

    @property
    def whole(self) -> bool:
        """Whether the scales are whole thresholds, and of a known θ."""
        return not self.last and self.before is not None and self.after is not None

    def check(self) -> None:
        """Raise ValueError if the layer can't be rounded."""
        for module in filter(None, (self.layer, self.norm)):
            if parametrize.is_parametrized(module):
                raise ValueError(f"{self.name} ({_type_name(module)}) must not be parametrized: "
                                 "what is rounded has to be the weight itself")
        if self.norm is not None and self.norm.running_var is None:
            raise ValueError(f"{self.name} must be followed by a BatchNorm with running statistics")

    def finest(self, fan_in: int, width: int) -> float:
        """Greatest scale that quantization takes; where θ isn't known, nor is it."""
        if self.before is None or not self.whole:
            return MAXIMUM_PARAMETER
        return finest_scale(fan_in * self.before.window, self.after.T, width)

    def unit(self) -> Any:
        """What biases are measured in: thresholds, if they are known."""
        return self.after.theta.detach().double() if self.whole else 1.0

    def factors(self) -> Any:
        """By which conversion multiplies the rows of the weight, (n_output, 1) or a number."""
        slopes = 1.0 if self.norm is None else self.slopes()[:, None]
        if self.before is None:
            return slopes
        return slopes / self.before.window * (self.before.theta() / self.unit())

    def slopes(self) -> torch.Tensor:
        """(n_output,) by which the BatchNorm multiplies."""
        slopes = 1 / torch.sqrt(self.norm.running_var.double() + self.norm.eps)
        return slopes if self.norm.weight is None else slopes * self.norm.weight.detach().double()

    def shift(self) -> Any:
        """(n_output,) that conversion adds to the bias, when it folds the BatchNorm; or 0."""
        if self.norm is None:
            return 0.0
        bias = 0.0 if self.layer.bias is None else self.layer.bias.detach().double()
        return (bias - self.norm.running_mean.double()) * self.slopes()


def find_places(model: nn.Module) -> list[Place]:
    """Layers with weights in the order of the forward pass, and what is around them."""
    root = nn.Sequential(model)  # the tracer opens its root, be it a Linear
    places: list[Place] = []
    values: dict[fx.Node, Any] = {}
    for node in trace(root).nodes:
        value = values[node.all_input_nodes[0]] if node.all_input_nodes else None
        if node.op == "placeholder":
            value = _Rates(None)
        elif node.op == "call_module":
            name, module = f"model{node.target[1:]}", root.get_submodule(node.target)
            value = _after(name, module, value, places)
        elif node.target not in _TRANSPARENT_FUNCTIONS:
            value = None
        values[node] = value
    if not places:
        raise ValueError("No Linear or Conv layers found in model")
    places[-1].last = True
    return places


def _after(name: str, module: nn.Module, value: Any, places: list[Place]) -> Any:
    """What comes out of a module: rates, the place of a layer without activation yet, or None.

    A BatchNorm that is not that of a layer stands for itself, until an activation.
    """
    if isinstance(module, QCFSActivation):
        if isinstance(value, Place):
            value.after = module
        return _Rates(module)
    if isinstance(module, _WEIGHTED + _POOLS) and isinstance(value, Place | nn.Module):
        raise ValueError(f"{name} ({_type_name(module)}) must come after an activation, not after "
                         "a layer that conversion makes one with it")
    if isinstance(module, _WEIGHTED):
        if any(place.layer is module for place in places):
            raise ValueError(f"{name} ({_type_name(module)}) must be used in one place: two would "
                             "round it to different integers")
        places.append(Place(name, module, value))
        return places[-1]
    if isinstance(module, _NORMS):
        if not isinstance(value, Place) or value.norm is not None:
            return module
        value.norm = module
        return value
    if isinstance(module, _POOLS):
        return _averaged(module, value)
    return value if isinstance(module, _TRANSPARENT) else None


def _averaged(pool: Any, rates: _Rates | None) -> _Rates | None:
    """Rates averaged over windows, if these are side by side, so that each counts once."""
    if rates is None or not isinstance(pool, nn.AvgPool1d | nn.AvgPool2d):
        return None
    size, stride, padding = (
        amount if isinstance(amount, tuple) else (amount,) * (2 if isinstance(pool, nn.AvgPool2d)
                                                              else 1)
        for amount in (pool.kernel_size, pool.stride, pool.padding))
    if size != stride or any(padding) or pool.ceil_mode or getattr(pool, "divisor_override", None):
        return None
    return _Rates(rates.activation, rates.window * prod(size))


def _type_name(module: nn.Module) -> str:
    return type(module).__name__
