"""ONNX operators with weights or windows as torch's layers: one function an operator.

Each takes a node and returns the modules that do the same, in order, and the nodes that they stand
for: a MatMul and the Add of a bias after it are one Linear.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sc_neurocore.extras import require
from sc_neurocore.interchange.onnx_graph import Graph, Node

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["Reading", "average_pool", "axes_of", "batch_norm", "conv", "filled", "gemm",
           "global_pool", "matmul", "max_pool", "mean", "pool_of_sequences"]

Reading = tuple[list[nn.Module], list[Node]]


def _tensor(node: Node, graph: Graph, array: npt.NDArray[Any]) -> torch.Tensor:
    """Weights of a node as torch's, in the precision of the network."""
    kind = "float64" if graph.dtype == torch.float64 else "float32"
    if array.dtype.kind != "f" or not np.can_cast(array.dtype, kind) or array.size == 0:
        raise node.refuse(f"must have {kind} weights, not {array.dtype} of shape {array.shape}")
    return torch.from_numpy(np.array(array)).to(graph.dtype)


def _weights(node: Node, graph: Graph, index: int) -> torch.Tensor:
    return _tensor(node, graph, graph.constant(node, index))


def filled(module: nn.Module, **state: torch.Tensor) -> nn.Module:
    """Give a module that was made on the meta device, without numbers, those of ``state``."""
    module.load_state_dict(state, assign=True)
    return module


def _added_bias(node: Node, graph: Graph, size: int) -> tuple[torch.Tensor | None, list[Node]]:
    """Bias of ``size`` values that the Add right after a node adds, if any, and the nodes."""
    add = graph.next(node)
    constants = [] if add is None or add.op != "Add" else [
        graph.constants[name] for name in add.inputs if name in graph.constants]
    if add is None or not constants:
        return None, [node]
    bias = constants[0]
    n_spatial = len(graph.shape(node)) - 1 if node.op == "Conv" else 0
    channels_first = (1,) * (bias.ndim - n_spatial - 1) + (size,) + (1,) * n_spatial
    if bias.shape != channels_first or bias.ndim > len(graph.shape(node)) + 1:
        raise add.refuse(f"must add {size} values to {node.name!r}, one to each of its outputs or "
                         f"channels, not a constant of shape {bias.shape}")
    return _tensor(add, graph, bias.reshape(-1)), [node, add]


def _matrix(node: Node, graph: Graph) -> torch.Tensor:
    weight = _weights(node, graph, 1)
    if weight.ndim != 2:
        raise node.refuse(f"must have weights of two dimensions, not {tuple(weight.shape)}")
    return weight


def _linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
    n_output, n_input = weight.shape
    module = nn.Linear(n_input, n_output, bias=bias is not None, device="meta")
    return _with_weights(module, weight, bias)


def _with_weights(module: nn.Module, weight: torch.Tensor,
                  bias: torch.Tensor | None) -> nn.Module:
    return filled(module, weight=weight, **({} if bias is None else {"bias": bias}))


def gemm(node: Node, graph: Graph) -> Reading:
    """A Linear, alpha and beta multiplied into its weights."""
    if node.attributes.get("transA", 0):
        raise node.refuse("must have transA = 0")
    if len(graph.shape(node)) != 1:
        raise node.refuse(f"must take rows of values, not {graph.shape(node)}; flatten them first")
    weight = _matrix(node, graph) * node.attributes.get("alpha", 1.0)
    weight = weight if node.attributes.get("transB", 0) else weight.T.contiguous()
    if not node.has(2):
        bias, parts = _added_bias(node, graph, len(weight))
        return [_linear(weight, bias)], parts
    bias = _weights(node, graph, 2) * node.attributes.get("beta", 1.0)
    if bias.numel() not in (1, len(weight)) or bias.numel() != (bias.shape or (1,))[-1]:
        raise node.refuse(f"must have a bias of {len(weight)} values, not {tuple(bias.shape)}")
    return [_linear(weight, bias.reshape(-1).expand(len(weight)).clone())], [node]


def matmul(node: Node, graph: Graph) -> Reading:
    """A Linear, with the bias that an Add after it adds."""
    graph.shape(node)
    weight = _matrix(node, graph)
    bias, parts = _added_bias(node, graph, weight.shape[1])
    return [_linear(weight.T.contiguous(), bias)], parts


def conv(node: Node, graph: Graph) -> Reading:
    """A Conv1d or Conv2d."""
    weight = _weights(node, graph, 1)
    n_spatial = _spatial(node, graph)
    kernel = list(weight.shape[2:])
    if weight.ndim != n_spatial + 2 or node.attributes.get("kernel_shape", kernel) != kernel:
        raise node.refuse(f"must have weights of {n_spatial + 2} dimensions that end with its "
                          f"kernel_shape, not {tuple(weight.shape)}")
    bias, parts = ((_weights(node, graph, 2), [node]) if node.has(2)
                   else _added_bias(node, graph, len(weight)))
    kind = (nn.Conv1d, nn.Conv2d)[n_spatial - 1]
    groups = node.attributes.get("group", 1)
    module = kind(weight.shape[1] * groups, len(weight), groups=groups, bias=bias is not None,
                  device="meta", **_window(node, graph, kernel))
    return [_with_weights(module, weight, bias)], parts


def batch_norm(node: Node, graph: Graph) -> Reading:
    """A BatchNorm1d or BatchNorm2d with its running statistics."""
    # before opset 14, giving the statistics, too, was what said that it was training
    if node.attributes.get("training_mode", 0) or any(node.outputs[1:]):
        raise node.refuse("must be exported in evaluation mode: call model.eval() first")
    rank = len(graph.shape(node))
    if rank > 3:
        raise node.refuse(f"must take images of at most 3 dimensions, not {rank}")
    kind = nn.BatchNorm2d if rank == 3 else nn.BatchNorm1d
    names = ("weight", "bias", "running_mean", "running_var")
    state = {name: _weights(node, graph, place) for place, name in enumerate(names, 1)}
    module = kind(state["weight"].numel(), node.attributes.get("epsilon", 1e-5), device="meta")
    return [filled(module, **state, num_batches_tracked=torch.tensor(0))], [node]


def _spatial(node: Node, graph: Graph) -> int:
    """Dimensions over which windows move: 1 for sequences of channels, 2 for images."""
    shape = graph.shape(node)
    if len(shape) not in (2, 3):
        raise node.refuse("must take (channels, length) or (channels, height, width), "
                          f"not {shape}")
    return len(shape) - 1


def _positive(node: Node, name: str, n_spatial: int) -> list[int]:
    values: list[int] = list(node.attributes.get(name, [1] * n_spatial))
    if len(values) != n_spatial or min(values) < 1:
        raise node.refuse(f"must have {name} of {n_spatial} values of at least 1, not {values}")
    return values


def _window(node: Node, graph: Graph, kernel: Sequence[int]) -> dict[str, Any]:
    """Kernel size, stride, padding and dilation as torch's modules take them."""
    sizes = graph.shape(node)[1:]
    stride = _positive(node, "strides", len(sizes))
    dilation = _positive(node, "dilations", len(sizes))
    # what a window must be given in all, where the result has a value for each stride begun
    total = [max((-(-size // step) - 1) * step + (width - 1) * gap + 1 - size, 0)
             for size, step, width, gap in zip(sizes, stride, kernel, dilation, strict=True)]
    return {"kernel_size": _plain(kernel), "stride": _plain(stride),
            "padding": _plain(_padding(node, total)), "dilation": _plain(dilation)}


def _padding(node: Node, total: Sequence[int]) -> list[int]:
    """Padding at each side; ``total`` is that of both sides under auto_pad SAME."""
    pads = list(node.attributes.get("pads", [0] * 2 * len(total)))
    auto = node.attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = [pad // 2 for pad in total] + [pad - pad // 2 for pad in total]
    elif auto == "VALID":
        pads = [0] * 2 * len(total)
    elif auto != "NOTSET":
        raise node.refuse("must have auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER, "
                          f"not {auto}")
    before, after = pads[:len(total)], pads[len(total):]
    if before != after or len(before) != len(total) or min(pads) < 0:
        raise node.refuse(f"must have the same padding on both sides, not {pads} "
                          "(begins, then ends)")
    return before


def _plain(values: Sequence[int]) -> Any:
    """One number if all are the same, as one writes it by hand."""
    return values[0] if len(set(values)) == 1 else tuple(values)


def max_pool(node: Node, graph: Graph) -> Reading:
    """A MaxPool1d or MaxPool2d."""
    n_spatial = _spatial(node, graph)
    window = _window(node, graph, _positive(node, "kernel_shape", n_spatial))
    kind = (nn.MaxPool1d, nn.MaxPool2d)[n_spatial - 1]
    return [kind(**window, ceil_mode=_ceil_mode(node))], [node]


def average_pool(node: Node, graph: Graph) -> Reading:
    """An AvgPool1d or AvgPool2d."""
    n_spatial = _spatial(node, graph)
    window = _window(node, graph, _positive(node, "kernel_shape", n_spatial))
    if window.pop("dilation") != 1:
        raise node.refuse("must have dilations of 1")
    kind = (nn.AvgPool1d, nn.AvgPool2d)[n_spatial - 1]
    return [kind(**window, ceil_mode=_ceil_mode(node),
                 count_include_pad=bool(node.attributes.get("count_include_pad", 0)))], [node]


def _ceil_mode(node: Node) -> bool:
    ceil_mode = bool(node.attributes.get("ceil_mode", 0))
    if ceil_mode and node.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        raise node.refuse("must have ceil_mode 0 if auto_pad says what the size is")
    return ceil_mode


def global_pool(node: Node, graph: Graph) -> Reading:
    """An AdaptiveAvgPool1d or AdaptiveAvgPool2d of 1."""
    return [_adaptive_pool(_spatial(node, graph))], [node]


def _adaptive_pool(n_spatial: int) -> nn.Module:
    return nn.AdaptiveAvgPool1d(1) if n_spatial == 1 else nn.AdaptiveAvgPool2d(1)


def axes_of(node: Node, graph: Graph, rank: int) -> list[int]:
    """Axes of an image, the batch being 0, counted from the front and in order."""
    axes = graph.argument(node, "axes", 1) or []
    if not all(-rank <= axis < rank for axis in axes):
        raise node.refuse(f"must have axes in range({-rank}, {rank}), not {axes}")
    return sorted(axis % rank for axis in axes)


def mean(node: Node, graph: Graph) -> Reading:
    """The same for a mean over all of an image, flattened unless it keeps its dimensions."""
    n_spatial = _spatial(node, graph)
    axes, every = axes_of(node, graph, n_spatial + 2), list(range(2, n_spatial + 2))
    if axes != every:
        raise node.refuse(f"must be over all of an image, axes {every}, not {axes}")
    keep = node.attributes.get("keepdims", 1)
    return [_adaptive_pool(n_spatial), *([] if keep else [nn.Flatten()])], [node]


def pool_of_sequences(node: Node, graph: Graph) -> Reading:
    """AdaptiveAvgPool1d(1) as torch's exporter writes it: of images that are one pixel high."""
    parts: list[Node] = [node]
    while len(parts) < 3 and (after := graph.next(parts[-1])) is not None:
        parts.append(after)
    wrong = node.refuse("is supported only where it makes an AdaptiveAvgPool1d of 1")
    if [part.op for part in parts] != ["Unsqueeze", "ReduceMean", "Squeeze"]:
        raise wrong
    axes = [axes_of(part, graph, 4) for part in parts]
    keep = parts[1].attributes.get("keepdims", 1)
    if len(graph.shape(node)) != 2 or axes != [[2], [2, 3], [2]] or not keep:
        raise wrong
    return [nn.AdaptiveAvgPool1d(1)], parts
