"""Reshaping, activations, dropout and arithmetic of values.

Parameters are as in `linear_operators`.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from sc_neurocore.conversion.ann import Activation
from sc_neurocore.conversion.checks import FloatArray, check_at_least
from sc_neurocore.conversion.tracing.affine import UnsupportedError
from sc_neurocore.conversion.tracing.linear_operators import axis_of, numbers
from sc_neurocore.conversion.tracing.values import LayerList, Pooled, Value
from sc_neurocore.extras import require

try:
    import torch
except ModuleNotFoundError:
    require("torch", "convert")
    raise


class Batch:
    """Stands for the number of images, wherever a model computes with shapes."""

    def __repr__(self) -> str:
        return "the size of the batch"


BATCH = Batch()


# --- shapes ------------------------------------------------------------------------------------

def flatten(at: LayerList, input: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    """Make one dimension of several."""
    axes = len(input.shape) + 1
    start, end = (axis + axes if axis < 0 else axis for axis in (start_dim, end_dim))
    if not 1 <= start <= end < axes:
        raise UnsupportedError(f"flattens dimensions {start_dim} to {end_dim}, not 1 to -1, "
                               "all of an image")
    merged = prod(input.shape[start - 1:end])
    return _reshaped(input, (*input.shape[:start - 1], merged, *input.shape[end:]))


def reshape(at: LayerList, input: Value, *shape: Any) -> Value:
    """Give images another shape; one of the sizes may be −1."""
    sizes = list(shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape)
    known = [size for size in sizes[1:] if size != -1]
    if not sizes or not all(isinstance(size, int) for size in known) or len(known) + 2 < len(sizes):
        raise UnsupportedError("must be given a shape of integers, at most one of them -1, "
                               f"not {tuple(shape)}")
    rest = [input.size // max(1, prod(known)) if size == -1 else size for size in sizes[1:]]
    whole = prod(rest) == input.size and (sizes[0] is BATCH or len(rest) == len(known))
    if sizes[0] not in (BATCH, -1) or not whole:
        raise UnsupportedError(f"must keep images of shape {input.shape} apart, as "
                               f"x.view(x.size(0), -1) does, not make {tuple(sizes)}")
    return _reshaped(input, tuple(rest))


def squeeze(at: LayerList, input: Value, dim: Any = None) -> Value:
    """Leave out dimensions of size 1."""
    axes = [] if dim is None else [dim] if isinstance(dim, int) else list(dim)
    places = {axis_of(input, axis) for axis in axes}
    if not places or 0 in places:
        raise UnsupportedError("must say which dimension, not that of the batch")
    return _reshaped(input, tuple(size for axis, size in enumerate(input.shape, 1)
                                  if axis not in places or size > 1))


def unsqueeze(at: LayerList, input: Value, dim: int) -> Value:
    """Insert a dimension of size 1."""
    axes = len(input.shape) + 2
    axis = dim + axes if dim < 0 else dim
    if not 1 <= axis < axes:
        raise UnsupportedError(f"must add a dimension in range(1, {axes}) or range({1 - axes}, 0), "
                               f"after that of the batch, not {dim}")
    return _reshaped(input, (*input.shape[:axis - 1], 1, *input.shape[axis - 1:]))


def _reshaped(input: Value, shape: tuple[int, ...]) -> Value:
    if len(shape) > 1 and shape[0] != input.shape[0] and not input.is_input:
        raise UnsupportedError(f"must flatten images or keep their channels, not make {shape} "
                               f"of {input.shape}")
    return input.reshaped(shape)


def size(at: LayerList, input: Value, dim: int | None = None) -> Any:
    """Give the shape, the batch included."""
    sizes = (BATCH, *input.shape)
    return sizes if dim is None else sizes[axis_of(input, dim)]


def dim(at: LayerList, input: Value) -> int:
    """Count the dimensions, the batch included."""
    return len(input.shape) + 1


def attribute(at: LayerList, input: Value, name: str) -> Any:
    """Give what ``getattr`` finds, if it is about the shape."""
    if name == "shape":
        return size(at, input)
    if name == "ndim":
        return dim(at, input)
    raise UnsupportedError(f"uses .{name}")


# --- activations -------------------------------------------------------------------------------

def relu(at: LayerList, input: Value | Pooled, inplace: bool = False) -> Value:
    """Rectify."""
    return at.activate(input, Activation("relu"))


def relu6(at: LayerList, input: Value | Pooled, inplace: bool = False) -> Value:
    """Rectify, and clip at 6."""
    return at.activate(input, Activation("relu6", 6.0))


def clamp(at: LayerList, input: Value | Pooled, min: Any = None, max: Any = None) -> Value:
    """Rectify, and clip at any limit."""
    limits = [bound for bound in (min, max) if bound is not None]
    if not all(isinstance(bound, int | float) for bound in limits) or min is None or min != 0:
        raise UnsupportedError(f"must clamp from 0 on, not from {min} to {max}")
    if max is None:
        return relu(at, input)
    if max <= 0:
        raise UnsupportedError(f"must clamp to more than 0, not to {max}")
    return at.activate(input, Activation("relu6" if max == 6 else "clamp", float(max)))


def clamp_min(at: LayerList, input: Value | Pooled, min: Any) -> Value:
    """Rectify."""
    return clamp(at, input, min)


def hardtanh(at: LayerList, input: Value | Pooled, min_val: float = -1.0, max_val: float = 1.0,
             inplace: bool = False) -> Value:
    """Rectify, and clip at any limit."""
    return clamp(at, input, min_val, max_val)


def qcfs(at: LayerList, input: Value | Pooled, theta: torch.Tensor, T: int) -> Value:
    """Quantize, clip, floor, shift."""
    steps = check_at_least(f"{at.path}.T", T, 1)
    limit = numbers(f"{at.path}.theta", theta).item()
    if limit <= 0:
        raise ValueError(f"{at.path}.theta must be greater than 0, not {limit}")
    return at.activate(input, Activation("qcfs", limit, steps))


def dropout(at: LayerList, input: Any, p: float = 0.5, training: bool = True,
            inplace: bool = False) -> Any:
    """Do nothing, as in evaluation mode."""
    if training:
        raise UnsupportedError("drops out in evaluation mode, too: give it training=self.training")
    return input


def identity(at: LayerList, input: Any, memory_format: Any = None) -> Any:
    """Do nothing."""
    return input


def clone(at: LayerList, input: Any) -> Any:
    """Copy."""
    return input


# --- arithmetic --------------------------------------------------------------------------------

def add(at: LayerList, input: Any, other: Any, alpha: float = 1) -> Value:
    """Add two values, or a constant."""
    if isinstance(input, Value) and isinstance(other, Value):
        if input.shape != other.shape:
            raise UnsupportedError(f"must add values of the same shape, not {input.shape} and "
                                   f"{other.shape}")
        return input.plus(other if alpha == 1 else other.scaled(np.array(float(alpha))))
    if not isinstance(input, Value):
        return add(at, _scaled(other, alpha), input)
    offsets = alpha * _constant(at, input, other)
    return input.shifted(offsets) if offsets.any() else input


def sub(at: LayerList, input: Any, other: Any, alpha: float = 1) -> Value:
    """Subtract two values, or a constant."""
    return add(at, input, other, -alpha)


def neg(at: LayerList, input: Value) -> Value:
    """Change the sign."""
    return _scaled(input, -1)


def mul(at: LayerList, input: Any, other: Any) -> Value:
    """Multiply by a constant."""
    if isinstance(input, Value) and isinstance(other, Value):
        raise UnsupportedError("must multiply by constants, not by another result")
    if not isinstance(input, Value):
        input, other = other, input
    return _multiplied(input, _constant(at, input, other))


def div(at: LayerList, input: Any, other: Any) -> Value:
    """Divide by a constant."""
    if isinstance(other, Value):
        raise UnsupportedError("must divide by constants, not by another result")
    divisors = _constant(at, input, other)
    if not divisors.all():
        raise UnsupportedError("must not divide by 0")
    return _multiplied(input, 1 / divisors)


def _scaled(input: Value, factor: float) -> Value:
    return _multiplied(input, np.array(float(factor)))


def _multiplied(input: Value, factors: FloatArray) -> Value:
    return input if (factors == 1).all() else input.scaled(factors)


def _constant(at: LayerList, input: Value, constant: Any) -> FloatArray:
    """Numbers that can be broadcast to an image."""
    if not isinstance(constant, int | float | torch.Tensor):
        raise UnsupportedError(f"must take numbers, not {constant!r}")
    array = numbers(f"{at.path}: constant", torch.as_tensor(constant))
    if array.ndim > len(input.shape) and len(array) == 1:
        array = array[0]
    fits = array.ndim <= len(input.shape) and all(
        size in (1, whole) for size, whole in zip(array.shape[::-1], input.shape[::-1],
                                                  strict=False))
    if not fits:
        raise UnsupportedError(f"must have a constant that fits {input.shape}, not one of shape "
                               f"{tuple(array.shape)}")
    return array
