"""Which operation each module, function and method of torch is."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sc_neurocore.conversion.qcfs import QCFSActivation
from sc_neurocore.conversion.tracing import linear_operators as maps
from sc_neurocore.conversion.tracing import operators as ops
from sc_neurocore.extras import require

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ModuleNotFoundError:
    require("torch", "convert")
    raise


Operation = Callable[..., Any]


@dataclass(frozen=True)
class _Call:
    """A module as an operation: its parameters are attributes of the module, or fixed."""

    operation: Operation
    attributes: tuple[str, ...] = ()
    fixed: tuple[tuple[str, Any], ...] = ()

    def arguments(self, module: Any) -> dict[str, Any]:
        """Give the operation's arguments, beside what the module is called with."""
        return {name: getattr(module, name) for name in self.attributes} | dict(self.fixed)


_DIMS = {dims: {operation.__name__: partial(operation, dims=dims) for operation in (
    maps.batch_norm, maps.avg_pool, maps.max_pool, maps.adaptive_avg_pool)} for dims in (1, 2)}
_1D, _2D = _DIMS[1], _DIMS[2]

_CONVOLUTION = _Call(maps.convolve, ("weight", "bias", "stride", "padding", "dilation", "groups"))
_DROPOUT = _Call(ops.dropout, fixed=(("training", False),))
_NORM = ("running_mean", "running_var", "weight", "bias", "eps")
_AVG_POOL = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
_MAX_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")

MODULES: dict[type[nn.Module], _Call] = {
    nn.Linear: _Call(maps.linear, ("weight", "bias")),
    nn.Conv1d: _CONVOLUTION,
    nn.Conv2d: _CONVOLUTION,
    nn.BatchNorm1d: _Call(_1D["batch_norm"], _NORM),
    nn.BatchNorm2d: _Call(_2D["batch_norm"], _NORM),
    nn.AvgPool1d: _Call(_1D["avg_pool"], _AVG_POOL),
    nn.AvgPool2d: _Call(_2D["avg_pool"], (*_AVG_POOL, "divisor_override")),
    nn.MaxPool1d: _Call(_1D["max_pool"], _MAX_POOL),
    nn.MaxPool2d: _Call(_2D["max_pool"], _MAX_POOL),
    nn.AdaptiveAvgPool1d: _Call(_1D["adaptive_avg_pool"], ("output_size",)),
    nn.AdaptiveAvgPool2d: _Call(_2D["adaptive_avg_pool"], ("output_size",)),
    nn.Flatten: _Call(ops.flatten, ("start_dim", "end_dim")),
    nn.Identity: _Call(ops.identity),
    nn.ReLU: _Call(ops.relu, ("inplace",)),
    nn.ReLU6: _Call(ops.relu6, ("inplace",)),
    nn.Hardtanh: _Call(ops.hardtanh, ("min_val", "max_val", "inplace")),
    QCFSActivation: _Call(ops.qcfs, ("theta", "T")),
    **dict.fromkeys((nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
                     nn.FeatureAlphaDropout), _DROPOUT),
}

FUNCTIONS: dict[Any, Operation] = {
    functional.linear: maps.linear,
    functional.conv1d: maps.convolve,
    functional.conv2d: maps.convolve,
    functional.batch_norm: maps.batch_norm,
    functional.avg_pool1d: _1D["avg_pool"],
    functional.avg_pool2d: _2D["avg_pool"],
    functional.adaptive_avg_pool1d: _1D["adaptive_avg_pool"],
    torch.adaptive_avg_pool1d: _1D["adaptive_avg_pool"],
    functional.adaptive_avg_pool2d: _2D["adaptive_avg_pool"],
    functional.max_pool1d: _1D["max_pool"],
    torch.max_pool1d: _1D["max_pool"],
    functional.max_pool2d: _2D["max_pool"],
    torch.max_pool2d: _2D["max_pool"],
    torch.mean: maps.mean,
    torch.flatten: ops.flatten,
    torch.reshape: ops.reshape,
    torch.squeeze: ops.squeeze,
    torch.unsqueeze: ops.unsqueeze,
    **dict.fromkeys((torch.relu, torch.relu_, functional.relu, functional.relu_), ops.relu),
    functional.relu6: ops.relu6,
    **dict.fromkeys((functional.hardtanh, functional.hardtanh_), ops.hardtanh),
    **dict.fromkeys((torch.clamp, torch.clamp_, torch.clip, torch.clip_), ops.clamp),
    **dict.fromkeys((torch.clamp_min, torch.clamp_min_), ops.clamp_min),
    **dict.fromkeys((functional.dropout, functional.dropout1d, functional.dropout2d,
                     functional.dropout3d, functional.alpha_dropout,
                     functional.feature_alpha_dropout), ops.dropout),
    **dict.fromkeys((operator.add, operator.iadd, torch.add), ops.add),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, torch.subtract), ops.sub),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul, torch.multiply), ops.mul),
    **dict.fromkeys((operator.truediv, operator.itruediv, torch.div, torch.divide,
                     torch.true_divide), ops.div),
    **dict.fromkeys((operator.neg, torch.neg, torch.negative), ops.neg),
    getattr: ops.attribute,
}

METHODS: dict[str, Operation] = {
    **dict.fromkeys(("contiguous", "detach", "float", "double"), ops.identity),
    **dict.fromkeys(("relu", "relu_"), ops.relu),
    **dict.fromkeys(("clamp", "clamp_", "clip", "clip_"), ops.clamp),
    **dict.fromkeys(("clamp_min", "clamp_min_"), ops.clamp_min),
    **dict.fromkeys(("view", "reshape"), ops.reshape),
    **dict.fromkeys(("add", "add_"), ops.add),
    **dict.fromkeys(("sub", "sub_"), ops.sub),
    **dict.fromkeys(("mul", "mul_"), ops.mul),
    **dict.fromkeys(("div", "div_"), ops.div),
    **dict.fromkeys(("neg", "neg_"), ops.neg),
    "clone": ops.clone, "flatten": ops.flatten, "squeeze": ops.squeeze,
    "unsqueeze": ops.unsqueeze, "mean": maps.mean, "size": ops.size, "dim": ops.dim,
}

IN_PLACE = {operator.iadd, operator.isub, operator.imul, operator.itruediv}
"""Functions that change their first argument; so do those whose names end in ``_``."""

RISING = {ops.relu, ops.relu6, ops.clamp, ops.clamp_min, ops.hardtanh, ops.qcfs, ops.identity,
          ops.dropout, ops.clone}
"""Operations that may come between a max pool and the layer before it."""

PASSING = RISING | {ops.add, ops.sub, ops.mul, ops.div, ops.neg, maps.batch_norm}
"""Operations that keep the shape."""

RESHAPING = {ops.flatten, ops.reshape, ops.squeeze, ops.unsqueeze}

VIEWS = RESHAPING | {ops.identity, ops.dropout}
"""Operations whose result shares its memory with their argument."""

WEIGHTED = {maps.linear, maps.convolve}

SUPPORTED = (f"supported are {', '.join(sorted(kind.__name__ for kind in MODULES))}, also as "
             "functions, flattening by view or reshape, sums of results, and arithmetic with "
             "constants")

ADVICE = dict.fromkeys(
    ("Softmax", "LogSoftmax", "Softmax2d", "softmax", "log_softmax", "argmax"),
    "is not needed: the class is that of the largest logit, with it or without")


def obstacle(module: Any) -> str | None:
    """Why a module can't be converted, even if its type could."""
    if module._forward_hooks or module._forward_pre_hooks:
        return "has forward hooks"
    if "forward" in vars(module):
        return "has a forward of its own"
    if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d) and module.running_mean is None:
        return "has no running statistics"
    if type(module) in (nn.Conv1d, nn.Conv2d) and module.padding_mode != "zeros":
        return f"has padding_mode {module.padding_mode!r}, not 'zeros'"
    return None
