"""Linear maps, one after the other and added up: what lies between two layers, as synapses.

All of it is exact. What is made of convolutions stays one wherever a single one computes the same;
pools and scales are convolutions, too.
"""

from functools import reduce
from math import gcd, prod

import numpy as np

from sc_neurocore.conversion.checks import FloatArray
from sc_neurocore.synapses import Convolution, Dense, Pair, Shape, Synapses

LARGEST_MATRIX = 2**24
"""Weights of a dense matrix that is made where there was none: 128 MB."""

Chain = tuple[Synapses, ...]
"""Linear maps one after the other, as few as possible; none is the identity."""


class UnsupportedError(ValueError):
    """Why something can't be converted, to be read after the name of what can't."""


def image_shape(shape: tuple[int, ...]) -> Shape:
    """Channels, height and width of an image; a vector is one pixel with many channels."""
    if len(shape) == 3:
        return (shape[0], shape[1], shape[2])
    return (shape[0], 1, shape[1]) if len(shape) == 2 else (prod(shape), 1, 1)


def diagonal(factors: FloatArray, shape: tuple[int, ...]) -> Convolution:
    """The map that multiplies each value of an image by its factor."""
    image = image_shape(shape)
    by_channel = factors.reshape(image[0], -1)
    if (by_channel != by_channel[:, :1]).any():
        image, by_channel = (factors.size, 1, 1), factors.reshape(-1, 1)
    return Convolution(by_channel[:, :1, None, None], image, groups=image[0])


def _factors(synapses: Convolution) -> FloatArray | None:
    """What each channel is multiplied by, if that is all that happens."""
    plain = (synapses.kernel.shape[1:] == (1, 1, 1) and synapses.stride == (1, 1)
             and synapses.padding == (0, 0)
             and synapses.kernel.shape[0] == synapses.groups)
    return synapses.kernel.reshape(-1) if plain else None


def _check_matrix(n_output: int, n_input: int) -> None:
    if n_output * n_input > LARGEST_MATRIX:
        raise UnsupportedError(f"would need a matrix of {n_output}×{n_input} weights for it and "
                               f"the maps before it, more than {LARGEST_MATRIX}: put an activation "
                               "between them")


# --- one map after the other -------------------------------------------------------------------

def extended(chain: Chain, then: Synapses) -> Chain:
    """The maps of ``chain`` and one more."""
    while chain:
        both = composed(chain[-1], then)
        if both is None:
            break
        chain, then = chain[:-1], both
    return (*chain, then)


def composed(first: Synapses, then: Synapses) -> Synapses | None:
    """One map that does both, unless they are convolutions and no single one does."""
    if isinstance(first, Convolution) and isinstance(then, Convolution):
        return _composed_convolution(first, then)
    _check_matrix(then.n_output, first.n_input)
    if isinstance(then, Dense):
        return Dense(pulled_back(then.weights, first))
    return Dense(np.ascontiguousarray(then.apply(first.rows.T).T))


def pulled_back(weights: FloatArray, first: Synapses) -> FloatArray:
    """Weights (n, n_output of ``first``) as weights (n, n_input of ``first``)."""
    if isinstance(first, Dense):
        return weights @ first.weights
    pixels = first.input_shape[1] * first.input_shape[2]
    upper = weights.reshape(len(weights), first.groups, -1, first.positions)
    kernel = first.kernel.reshape(first.groups, upper.shape[2], first.kernel.shape[1], -1)
    result = np.zeros((len(weights), first.input_shape[0], pixels))
    for tap, seen in enumerate(first.windows.indices()):
        inside = seen >= 0
        part = kernel[..., tap].swapaxes(1, 2) @ upper[..., inside]
        result[:, :, seen[inside]] += part.reshape(*result.shape[:2], -1)
    return result.reshape(len(weights), -1)


def _composed_convolution(first: Convolution, then: Convolution) -> Convolution | None:
    if first.output_shape != then.input_shape:
        return None
    if (factors := _factors(then)) is not None:
        return first.with_rows(first.rows * factors[:, None])
    if (factors := _factors(first)) is not None:
        return then.scale_inputs(np.repeat(factors, first.positions))
    if not all(_is_zero_outside(first, then, axis) for axis in (0, 1)):
        return None
    far = [dilation * stride for dilation, stride in zip(then.dilation, first.stride, strict=True)]
    sizes = list(zip(then.kernel.shape[2:], far, first.kernel.shape[2:], first.dilation,
                     strict=True))
    steps = [gcd(a if k > 1 else 0, b if m > 1 else 0) or 1 for k, a, m, b in sizes]
    reach = [((k - 1) * a + (m - 1) * b) // step + 1
             for (k, a, m, b), step in zip(sizes, steps, strict=True)]
    groups = gcd(first.groups, then.groups)
    inner, outer = _regrouped(first, groups), _regrouped(then, groups)
    kernel = np.zeros((groups, outer.shape[1], inner.shape[2], *reach))
    for tap in np.ndindex(then.kernel.shape[2:]):
        part = outer[..., tap[0], tap[1]] @ inner.reshape(*inner.shape[:2], -1)
        places = tuple(_taps(i * a // step, m, b // step)
                       for i, (_, a, m, b), step in zip(tap, sizes, steps, strict=True))
        kernel[..., places[0], places[1]] += part.reshape(groups, -1, *inner.shape[2:])
    stride, padding = _product(first.stride, then.stride), _product(then.padding, first.stride)
    padding = (padding[0] + first.padding[0], padding[1] + first.padding[1])
    return Convolution(kernel.reshape(-1, *kernel.shape[2:]), first.input_shape, stride, padding,
                       (steps[0], steps[1]), groups)


def _product(a: Pair, b: Pair) -> Pair:
    return (a[0] * b[0], a[1] * b[1])


def _taps(start: int, size: int, step: int) -> slice:
    step = max(1, step)
    return slice(start, start + (size - 1) * step + 1, step)


def _is_zero_outside(first: Convolution, then: Convolution, axis: int) -> bool:
    """Whether ``first``, continued into the padding of ``then``, would give 0 there as well."""
    reach = first.dilation[axis] * (first.kernel.shape[2 + axis] - 1) + 1
    stride, padding = first.stride[axis], first.padding[axis]
    last = first.windows.size[axis] * stride - padding
    return then.padding[axis] == 0 or (reach <= stride + padding
                                       and last >= first.input_shape[1 + axis])


def _regrouped(synapses: Convolution, groups: int) -> FloatArray:
    """Kernel in fewer groups: (groups, channels out, channels in, height, width)."""
    merged = synapses.groups // groups
    channels_out, channels_in, height, width = synapses.kernel.shape
    channels_out //= synapses.groups
    kernel = np.zeros((groups, merged, channels_out, merged, channels_in, height, width))
    each = np.arange(merged)
    kernel[:, each, :, each] = synapses.kernel.reshape(
        groups, merged, channels_out, channels_in, height, width).swapaxes(0, 1)
    return kernel.reshape(groups, merged * channels_out, merged * channels_in, height, width)


# --- the sum of two maps -----------------------------------------------------------------------

def added(a: Chain, b: Chain, shape: tuple[int, ...]) -> Chain | None:
    """One map that is the sum of two of the same values, unless they are too different."""
    if len(a) > 1 or len(b) > 1:
        return None
    first, other = (chain[0] if chain else diagonal(np.ones(prod(shape)), shape)
                    for chain in (a, b))
    if isinstance(first, Convolution) and isinstance(other, Convolution):
        both = _added_convolutions(first, other)
        return None if both is None else (both,)
    if first.n_output * first.n_input > LARGEST_MATRIX:
        return None
    return (Dense(matrix(first) + matrix(other)),)


def _added_convolutions(a: Convolution, b: Convolution) -> Convolution | None:
    if (a.input_shape, a.stride, a.output_shape) != (b.input_shape, b.stride, b.output_shape):
        return None
    padding = (max(a.padding[0], b.padding[0]), max(a.padding[1], b.padding[1]))
    steps, sizes = [], []
    for axis in (0, 1):
        taps = [(one.kernel.shape[2 + axis], one.dilation[axis], padding[axis] - one.padding[axis])
                for one in (a, b)]
        step = gcd(*(dilation if size > 1 else 0 for size, dilation, _ in taps),
                   *(start for *_, start in taps)) or 1
        steps.append(step)
        sizes.append(max(start + (size - 1) * dilation for size, dilation, start in taps)
                     // step + 1)
    groups = gcd(a.groups, b.groups)
    kernel = np.zeros((groups, len(a.kernel) // groups, a.input_shape[0] // groups, *sizes))
    for one in (a, b):
        places = [_taps((padding[axis] - one.padding[axis]) // steps[axis],
                        one.kernel.shape[2 + axis], one.dilation[axis] // steps[axis])
                  for axis in (0, 1)]
        kernel[..., places[0], places[1]] += _regrouped(one, groups)
    # padded as the one that is padded most, it fits the image, and makes as many windows
    return Convolution(kernel.reshape(-1, *kernel.shape[2:]), a.input_shape, a.stride, padding,
                       (steps[0], steps[1]), groups)


# --- as synapses --------------------------------------------------------------------------------

def matrix(synapses: Synapses) -> FloatArray:
    """Dense weights, if they are not too many."""
    if isinstance(synapses, Dense):
        return synapses.weights
    _check_matrix(synapses.n_output, synapses.n_input)
    return pulled_back(np.eye(synapses.n_output), synapses)


def single(chain: Chain, shape: tuple[int, ...]) -> Synapses:
    """One map for a whole chain; a Dense where every input reaches every neuron of its own."""
    if not chain:
        return _simplified(diagonal(np.ones(prod(shape)), shape))
    if len(chain) == 1:
        return _simplified(chain[0])
    _check_matrix(chain[-1].n_output, max(one.n_input for one in chain))
    return Dense(reduce(pulled_back, chain[-2::-1], matrix(chain[-1])))


def _simplified(synapses: Synapses) -> Synapses:
    if isinstance(synapses, Convolution) and synapses.groups == 1 and synapses.padding == (0, 0) \
            and synapses.kernel.shape[2:] == synapses.input_shape[1:]:
        return Dense(synapses.rows)
    return synapses
