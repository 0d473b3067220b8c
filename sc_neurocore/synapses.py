"""Which inputs reach which neurons, and with what weight.

`Dense` and `Convolution` are the two kinds of synapses that a layer has, with float weights in a
`ConvertedSNN` and integers in an `IntegerNetwork`; `MaxPool` merges spikes on their way. Inputs and
neurons are numbered as torch flattens them: channel, row, column. A convolution of one dimension is
one of two dimensions and a single row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Pair = tuple[int, int]
Shape = tuple[int, int, int]
"""Channels, height, width."""


def _numbers(name: str, values: Any, size: int, low: int) -> tuple[int, ...]:
    numbers = tuple(values) if isinstance(values, tuple | list) else ()
    if len(numbers) != size or not all(
            isinstance(n, int | np.integer) and not isinstance(n, bool) for n in numbers):
        raise TypeError(f"{name} must be {size} integers, not {values!r}")
    if min(numbers) < low:
        raise ValueError(f"{name} must be at least {low}, not {values!r}")
    return tuple(int(n) for n in numbers)


def _output_size(name: str, size: int, kernel: int, stride: int, padding: int, dilation: int
                 ) -> int:
    reach = dilation * (kernel - 1) + 1
    if size + 2 * padding < reach:
        raise ValueError(f"{name} must reach over at most {size + 2 * padding} inputs, padding "
                         f"included, not {reach}")
    return (size + 2 * padding - reach) // stride + 1


@dataclass(frozen=True)
class _Windows:
    """A kernel that slides over an image: which inputs each of its places sees."""

    input_shape: Shape
    kernel_size: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    size: Pair = field(init=False)

    def __post_init__(self) -> None:
        for name, size, low in (("input_shape", 3, 1), ("kernel_size", 2, 1), ("stride", 2, 1),
                                ("padding", 2, 0), ("dilation", 2, 1)):
            label = name.replace("_", " ").capitalize()
            object.__setattr__(self, name, _numbers(label, getattr(self, name), size, low))
        object.__setattr__(self, "size", tuple(
            _output_size("Kernel", *numbers) for numbers in zip(
                self.input_shape[1:], self.kernel_size, self.stride, self.padding, self.dilation,
                strict=True)))

    def indices(self) -> npt.NDArray[np.intp]:
        """Pixel y · width + x that each tap sees: (taps, positions); −1 in the padding."""
        rows, columns = (
            np.arange(kernel)[:, None] * dilation + np.arange(count) * stride - padding
            for kernel, dilation, count, stride, padding in zip(
                self.kernel_size, self.dilation, self.size, self.stride, self.padding, strict=True))
        height, width = self.input_shape[1:]
        y, x = rows[:, None, :, None], columns[None, :, None, :]
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        taps = self.kernel_size[0] * self.kernel_size[1]
        return np.where(inside, y * width + x, -1).reshape(taps, -1)

    def patches(self, x: Array) -> Array:
        """Values that each tap sees, 0 in the padding: (batch, channels, taps, positions)."""
        channels, height, width = self.input_shape
        images = x.reshape(len(x), channels, height * width)
        padded = np.concatenate([images, np.zeros_like(images[:, :, :1])], axis=2)
        return padded[:, :, self.indices()]


@dataclass(frozen=True, eq=False)
class Dense:
    """Every input reaches every neuron.

    Parameters
    ----------
    weights : (n_output, n_input) numbers
    """

    weights: Array

    def __post_init__(self) -> None:
        weights = np.asarray(self.weights)
        if weights.ndim != 2 or weights.size == 0:
            raise ValueError("Weights must have shape (n_output, n_input), both at least 1, "
                             f"not {weights.shape}")
        object.__setattr__(self, "weights", weights)

    @property
    def n_input(self) -> int:
        """Inputs."""
        return self.weights.shape[1]

    @property
    def n_output(self) -> int:
        """Neurons."""
        return self.weights.shape[0]

    @property
    def positions(self) -> int:
        """Neurons that share a row of weights: 1."""
        return 1

    @property
    def rows(self) -> Array:
        """(n_output, n_input): the weights that neurons have of their own."""
        return self.weights

    def with_rows(self, rows: Array) -> "Dense":
        """Return the same synapses with other weights."""
        return Dense(np.reshape(rows, self.weights.shape))

    def scale_inputs(self, factors: Array) -> "Dense":
        """Multiply the weights of each input by its factor, (n_input,)."""
        return Dense(self.weights * factors)

    def matrix(self) -> Array:
        """(n_output, n_input) weights."""
        return self.weights

    def apply(self, x: Array) -> Array:
        """Map each row of (batch, n_input) to one of (batch, n_output)."""
        return x @ self.weights.T


@dataclass(frozen=True, eq=False)
class Convolution:
    """A kernel slides over the image; the neurons of a channel share its weights.

    Neuron (channel o, row y, column x) receives, summed over i, u, v::

        kernel[o, i, u, v] · input[first + i, y·stride + u·dilation − padding, x·… + v·… − …]

    where first is that of the group of input channels that channel o belongs to, and inputs outside
    the image are 0: the cross-correlation that deep learning calls a convolution.

    Parameters
    ----------
    kernel : (channels_out, channels_in / groups, height, width) numbers
    input_shape : (channels_in, height, width)
    stride, padding, dilation : (rows, columns)
    groups : int
        Divides both numbers of channels; channel o belongs to group o // (channels_out / groups).

    Raises
    ------
    TypeError, ValueError
        If a shape does not fit the others, or the kernel is larger than the image.
    """

    kernel: Array
    input_shape: Shape
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    windows: _Windows = field(init=False, repr=False)

    def __post_init__(self) -> None:
        kernel = np.asarray(self.kernel)
        if kernel.ndim != 4 or kernel.size == 0:
            raise ValueError("Kernel must have shape (channels_out, channels_in / groups, height, "
                             f"width), none of them 0, not {kernel.shape}")
        windows = _Windows(self.input_shape, kernel.shape[2:], self.stride, self.padding,
                           self.dilation)
        for name in ("input_shape", "stride", "padding", "dilation"):
            object.__setattr__(self, name, getattr(windows, name))
        (groups,) = _numbers("Groups", (self.groups,), 1, 1)
        if kernel.shape[0] % groups or kernel.shape[1] * groups != self.input_shape[0]:
            raise ValueError(f"Kernel of shape {kernel.shape} in {groups} group(s) must take "
                             f"{kernel.shape[1] * groups} channels and divide its own by the "
                             f"groups, but the input has {self.input_shape[0]} channels")
        object.__setattr__(self, "kernel", kernel)
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "windows", windows)

    @property
    def n_input(self) -> int:
        """Inputs: channels · height · width."""
        return int(np.prod(self.input_shape))

    @property
    def output_shape(self) -> Shape:
        """Channels, height and width of the neurons."""
        return (self.kernel.shape[0], *self.windows.size)

    @property
    def n_output(self) -> int:
        """Neurons: channels · height · width."""
        return int(np.prod(self.output_shape))

    @property
    def positions(self) -> int:
        """Neurons that share a row of weights: all of a channel."""
        return self.windows.size[0] * self.windows.size[1]

    @property
    def rows(self) -> Array:
        """(channels_out, weights of a channel)."""
        return self.kernel.reshape(len(self.kernel), -1)

    def with_rows(self, rows: Array) -> "Convolution":
        """Return the same synapses with other weights."""
        return Convolution(np.reshape(rows, self.kernel.shape), self.input_shape, self.stride,
                           self.padding, self.dilation, self.groups)

    def scale_inputs(self, factors: Array) -> "Convolution":
        """Multiply the weights of each input by its factor, (n_input,), one a channel.

        Raises
        ------
        ValueError
            If the factors of a channel differ.
        """
        by_channel = np.reshape(factors, (self.input_shape[0], -1))
        if (by_channel != by_channel[:, :1]).any():
            raise ValueError("Factors must be the same all over a channel of a convolution")
        grouped = by_channel[:, 0].reshape(self.groups, 1, -1, 1, 1)
        kernel = self.kernel.reshape(self.groups, -1, *self.kernel.shape[1:]) * grouped
        return self.with_rows(kernel)

    def matrix(self) -> Array:
        """(n_output, n_input) weights, 0 where no synapse is: the definition of the convolution."""
        channels_out, channels_in = self.kernel.shape[:2]
        pixels = self.input_shape[1] * self.input_shape[2]
        matrix = np.zeros((channels_out, self.positions, self.input_shape[0], pixels),
                          self.kernel.dtype)
        taps = self.kernel.reshape(channels_out, channels_in, -1)
        for tap, seen in enumerate(self.windows.indices()):
            position = np.flatnonzero(seen >= 0)
            for output in range(channels_out):
                first = output * self.groups // channels_out * channels_in
                for i in range(channels_in):
                    matrix[output, position, first + i, seen[position]] = taps[output, i, tap]
        return matrix.reshape(self.n_output, self.n_input)

    def apply(self, x: Array) -> Array:
        """Map each row of (batch, n_input) to one of (batch, n_output)."""
        patches = self.windows.patches(x).reshape(len(x), self.groups, -1, self.positions)
        kernel = self.kernel.reshape(self.groups, len(self.kernel) // self.groups, -1)
        return (kernel @ patches).reshape(len(x), -1)


Synapses = Dense | Convolution


@dataclass(frozen=True)
class MaxPool:
    """The largest of each window of inputs, channel by channel; of spikes, whether there is one.

    Inputs are never negative; those in the padding are 0.

    Parameters
    ----------
    input_shape : (channels, height, width)
    kernel_size, stride, padding, dilation : (rows, columns)
    """

    input_shape: Shape
    kernel_size: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    windows: _Windows = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        windows = _Windows(self.input_shape, self.kernel_size, self.stride, self.padding,
                           self.dilation)
        for name in ("input_shape", "kernel_size", "stride", "padding", "dilation"):
            object.__setattr__(self, name, getattr(windows, name))
        object.__setattr__(self, "windows", windows)

    @property
    def output_shape(self) -> Shape:
        """Channels, height and width of the result."""
        return (self.input_shape[0], *self.windows.size)

    @property
    def n_input(self) -> int:
        """Inputs."""
        return int(np.prod(self.input_shape))

    @property
    def n_output(self) -> int:
        """Values of the result."""
        return int(np.prod(self.output_shape))

    def apply(self, x: Array) -> Array:
        """Map each row of (batch, n_input), none negative, to one of (batch, n_output)."""
        return self.windows.patches(x).max(axis=2).reshape(len(x), -1)


INPUT = -1
"""The index of the network's input, where layers are numbered from 0."""


@dataclass(frozen=True)
class Source:
    """Where a layer's synapses begin.

    Parameters
    ----------
    layer : int
        Index of an earlier layer, or `INPUT`.
    max_pool : MaxPool, optional
        Merges the spikes on their way.
    """

    layer: int
    max_pool: MaxPool | None = None

    def __post_init__(self) -> None:
        (layer,) = _numbers("Source", (self.layer,), 1, INPUT)
        object.__setattr__(self, "layer", layer)
        if self.max_pool is not None and not isinstance(self.max_pool, MaxPool):
            raise TypeError(f"Max pool must be a MaxPool, not {self.max_pool!r}")
        if self.max_pool is not None and layer == INPUT:
            raise ValueError("Max pool must follow a layer of neurons, not the input: "
                             "pool the images before they are encoded")

    def size(self, n_output: int) -> int:
        """Inputs that the synapses get from ``n_output`` neurons."""
        if self.max_pool is None:
            return n_output
        if self.max_pool.n_input != n_output:
            raise ValueError(f"Max pool must have {n_output} inputs, one for each neuron of its "
                             f"source, not {self.max_pool.n_input}")
        return self.max_pool.n_output


def source_sizes(name: str, sources: Sequence[Source], sizes: Mapping[int, int]) -> list[int]:
    """Inputs from each source, after its max pool; ``sizes`` are those of `INPUT` and layers.

    Raises
    ------
    ValueError
        If a source is not among them, or does not fit its max pool.
    """
    for source in sources:
        if source.layer not in sizes:
            raise ValueError(f"{name} must be the input or earlier layers, not {source.layer}")
    return [source.size(sizes[source.layer]) for source in sources]
