"""Linear layers, convolutions, batch normalizations and pools, as maps of values.

Parameters are named as torch names them, so that a call can be bound to them as it stands. The
first is the list of layers; tensors are parameters, or what is computed from parameters alone.
Each raises `UnsupportedError` about what it can't convert exactly.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from sc_neurocore.conversion.checks import FloatArray
from sc_neurocore.conversion.tracing.affine import UnsupportedError, image_shape
from sc_neurocore.conversion.tracing.values import LayerList, Pooled, Value
from sc_neurocore.extras import require
from sc_neurocore.synapses import Convolution, Dense, MaxPool, Pair, Source

try:
    import torch
except ModuleNotFoundError:
    require("torch", "convert")
    raise


def numbers(name: str, tensor: torch.Tensor) -> FloatArray:
    """Return a tensor as float64; ValueError if it is not real and finite."""
    if tensor.is_complex():
        raise ValueError(f"{name} must be real, not {tensor.dtype}")
    array = tensor.detach().to("cpu", torch.float64).numpy().copy()
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, but holds {array[~np.isfinite(array)][0]}")
    return array


def _optional(name: str, tensor: torch.Tensor | None) -> FloatArray | None:
    return None if tensor is None else numbers(name, tensor)


# --- weights -----------------------------------------------------------------------------------

def linear(at: LayerList, input: Value, weight: torch.Tensor, bias: torch.Tensor | None = None
           ) -> Value:
    """Multiply a vector by a matrix and add a bias."""
    synapses = Dense(numbers(f"{at.path}.weight", weight))
    if len(input.shape) > 1:
        raise UnsupportedError(f"must take vectors, not images of shape {input.shape}: "
                               "put a Flatten before it")
    _check_channels(input, synapses.n_input)
    return input.through(synapses, (synapses.n_output,), _optional(f"{at.path}.bias", bias))


def convolve(at: LayerList, input: Value, weight: torch.Tensor, bias: torch.Tensor | None = None,
             stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Value:
    """Slide a kernel over an image, of one or two dimensions."""
    kernel = numbers(f"{at.path}.weight", weight)
    dims = kernel.ndim - 2
    _check_axes(input, dims)
    _check_channels(input, kernel.shape[1] * groups)
    kernel = kernel.reshape(*kernel.shape[:2], *(1,) * (2 - dims), *kernel.shape[2:])
    spread = _pair(dilation, dims, 1)
    if isinstance(padding, str):
        kernel, spread, around = _padded_by_name(kernel, spread, padding)
    else:
        around = _pair(padding, dims, 0)
    synapses = _fitting(lambda: Convolution(kernel, image_shape(input.shape),
                                            _pair(stride, dims, 1), around, spread, groups))
    shape = (len(kernel), *synapses.output_shape[3 - dims:])
    biases = _optional(f"{at.path}.bias", bias)
    return input.through(synapses, shape,
                         None if biases is None else np.repeat(biases, synapses.positions))


def _padded_by_name(kernel: FloatArray, dilation: Pair, name: str
                    ) -> tuple[FloatArray, Pair, Pair]:
    """Kernel, dilation and symmetric padding for ``valid`` or ``same``."""
    if name == "valid":
        return kernel, dilation, (0, 0)
    total = [d * (size - 1) for d, size in zip(dilation, kernel.shape[2:], strict=True)]
    if any(amount % 2 for amount in total):
        # torch pads one more at the end: a first tap of zeros makes up for the one too many here
        reach = [amount + 1 for amount in total]
        spread = np.zeros((*kernel.shape[:2], *(size + amount % 2 for size, amount
                                                in zip(reach, total, strict=True))))
        spread[..., total[0] % 2::dilation[0], total[1] % 2::dilation[1]] = kernel
        kernel, dilation = spread, (1, 1)
    return kernel, dilation, ((total[0] + 1) // 2, (total[1] + 1) // 2)


def batch_norm(at: LayerList, input: Value, running_mean: torch.Tensor, running_var: torch.Tensor,
               weight: torch.Tensor | None = None, bias: torch.Tensor | None = None,
               training: bool = False, momentum: float = 0.1, eps: float = 1e-5, *, dims: int = 0
               ) -> Value:
    """Scale and shift each channel, as the running statistics say."""
    if training:
        raise UnsupportedError("normalizes by the batch, in evaluation mode, too")
    if dims == 2 or (dims == 1 and len(input.shape) > 1):
        _check_axes(input, dims)
    mean = numbers(f"{at.path}.running_mean", running_mean)
    variance = numbers(f"{at.path}.running_var", running_var)
    _check_channels(input, len(mean))
    if (variance + eps <= 0).any():
        raise ValueError(f"{at.path}.running_var must be greater than -eps, not {variance.min()}")
    scale = 1 / np.sqrt(variance + eps)
    if weight is not None:
        scale = scale * numbers(f"{at.path}.weight", weight)
    shift = (0.0 if bias is None else numbers(f"{at.path}.bias", bias)) - mean * scale
    by_channel = (-1, *(1,) * (len(input.shape) - 1))
    return input.scaled(scale.reshape(by_channel)).shifted(shift.reshape(by_channel))


# --- pools -------------------------------------------------------------------------------------

def avg_pool(at: LayerList, input: Value, kernel_size: Any, stride: Any = None, padding: Any = 0,
             ceil_mode: bool = False, count_include_pad: bool = True,
             divisor_override: int | None = None, *, dims: int) -> Value:
    """Take the mean of each window."""
    size, step, around = _window(input, dims, kernel_size, stride, padding)
    if (size, step, around) == ((1, 1), (1, 1), (0, 0)) and not divisor_override:
        return input
    if ceil_mode:
        _check_ceil(input, size, step, around, (1, 1))
    pooled = _averaged(input, dims, size, step, around, divisor_override or prod(size))
    if count_include_pad or around == (0, 0) or divisor_override:
        return pooled
    images = image_shape(input.shape)
    inside = Convolution(np.ones((1, 1, *size)), (1, *images[1:]), step, around)
    counts = inside.apply(np.ones((1, inside.n_input))).reshape(1, *pooled.shape[1:])
    return pooled.scaled(prod(size) / counts)


def _averaged(input: Value, dims: int, size: Pair, step: Pair, around: Pair, divisor: int) -> Value:
    images = image_shape(input.shape)
    synapses = _fitting(lambda: Convolution(
        np.full((images[0], 1, *size), 1 / divisor), images, step, around, groups=images[0]))
    return input.through(synapses, (images[0], *synapses.output_shape[3 - dims:]))


def adaptive_avg_pool(at: LayerList, input: Value, output_size: Any, *, dims: int) -> Value:
    """Take the mean of windows that make a given size, if they tile the image."""
    _check_axes(input, dims)
    wanted = output_size if isinstance(output_size, Sequence) else (output_size,) * dims
    sizes = [(size, size if count is None else int(count))
             for size, count in zip(input.shape[1:], wanted, strict=True)]
    if any(size % count for size, count in sizes):
        raise UnsupportedError(f"must make a size that divides that of its images, "
                               f"{input.shape[1:]}, not {tuple(count for _, count in sizes)}")
    kernel = tuple(size // count for size, count in sizes)
    return avg_pool(at, input, kernel, kernel, dims=dims)


def mean(at: LayerList, input: Value, dim: Any = None, keepdim: bool = False, dtype: Any = None
         ) -> Value:
    """Take the mean over rows, columns or both."""
    axes = {axis_of(input, axis) for axis in ((dim,) if isinstance(dim, int) else dim or (0,))}
    if not axes or min(axes) < 2 or len(input.shape) > 3:
        raise UnsupportedError("must be taken over rows or columns of an image, "
                               f"not over dimension {dim}")
    dims = len(input.shape) - 1
    window = tuple(size if axis in axes else 1 for axis, size in enumerate(input.shape[1:], 2))
    pooled = avg_pool(at, input, window, window, dims=dims)
    kept = tuple(size for axis, size in enumerate(pooled.shape, 1) if keepdim or axis not in axes)
    return pooled.reshaped(kept)


def max_pool(at: LayerList, input: Value, kernel_size: Any, stride: Any = None, padding: Any = 0,
             dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False, *, dims: int
             ) -> Value | Pooled:
    """Take the largest of each window, of activations or of what becomes one."""
    if not at.max_pool:
        raise UnsupportedError('is exact under schedule="layer_by_layer" alone: ask for that, '
                               "or train with average pooling in its place")
    if return_indices:
        raise UnsupportedError("must not return indices")
    size, step, around = _window(input, dims, kernel_size, stride, padding)
    spread = _pair(dilation, dims, 1)
    if ceil_mode:
        _check_ceil(input, size, step, around, spread)
    pool = _fitting(lambda: MaxPool(image_shape(input.shape), size, step, around, spread))
    if (pool.windows.indices().max(axis=0) < 0).any():
        raise UnsupportedError("must have no window with padding alone in it")
    shape = (input.shape[0], *pool.output_shape[3 - dims:])
    if input.is_input:
        raise UnsupportedError("must not be applied to the images: pool them beforehand")
    if (source := input.source) is None:
        return Pooled(input, pool, shape)
    if source.max_pool is not None:
        raise UnsupportedError("must not follow another max pool: make them one")
    return Value(shape, ((Source(source.layer, pool), ()),))


def _window(input: Value, dims: int, kernel_size: Any, stride: Any, padding: Any
            ) -> tuple[Pair, Pair, Pair]:
    _check_axes(input, dims)
    size = _pair(kernel_size, dims, 1)
    # no stride, or in functions an empty one, is that of the kernel
    step = size if stride is None or stride in ((), []) else _pair(stride, dims, 1)
    return size, step, _pair(padding, dims, 0)


def _check_ceil(input: Value, size: Pair, step: Pair, padding: Pair, dilation: Pair) -> None:
    for pixels, *numbers in zip(image_shape(input.shape)[1:], size, step, padding, dilation,
                                strict=True):
        kernel, stride, around, spread = numbers
        if (pixels + 2 * around - spread * (kernel - 1) - 1) % stride:
            raise UnsupportedError("must not use ceil_mode where windows go beyond the image")


# --- what must fit -----------------------------------------------------------------------------

def _pair(value: Any, dims: int, absent: int) -> Pair:
    """Rows and columns, from one number or one a dimension; ``absent`` for rows of a vector."""
    each = tuple(value) if isinstance(value, Sequence) else (value,) * dims
    each = each * dims if len(each) == 1 else each
    if len(each) != dims or not all(isinstance(number, int) for number in each):
        raise UnsupportedError(f"must have {dims} integer(s), not {value!r}")
    return (absent, each[0]) if dims == 1 else (each[0], each[1])


def axis_of(input: Value, dim: int) -> int:
    """Give a dimension as a number from 0, which is that of the batch."""
    axes = len(input.shape) + 1
    if not isinstance(dim, int) or not -axes <= dim < axes:
        raise UnsupportedError(f"must have a dimension in range({-axes}, {axes}), not {dim!r}")
    return dim % axes


def _check_axes(input: Value, dims: int) -> None:
    if len(input.shape) != dims + 1:
        axes = ("channels", "height", "width") if dims == 2 else ("channels", "length")
        advice = f": pass input_shape=({', '.join(axes)})" if input.is_input else ""
        raise UnsupportedError(f"must take images of shape ({', '.join(axes)}), "
                               f"not {input.shape}{advice}")


def _check_channels(input: Value, expected: int) -> None:
    if input.shape[0] != expected:
        what = "values" if len(input.shape) == 1 else "channels"
        before = "the images have" if input.is_input else "the layer before it gives"
        raise UnsupportedError(f"must take {input.shape[0]} {what}, as many as {before}, "
                               f"not {expected}")


def _fitting(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except ValueError as error:
        raise UnsupportedError(f"does not fit its images: {error}") from error
