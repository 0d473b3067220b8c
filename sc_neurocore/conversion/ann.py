"""A trained network as conversion sees it: layers of synapses and activations, in numpy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf, prod
from typing import Any

import numpy as np

from sc_neurocore.conversion.checks import FloatArray
from sc_neurocore.extras import require
from sc_neurocore.synapses import INPUT, Array, Dense, Source, Synapses

_CHUNK_VALUES = 2**22
"""Values that the windows of a convolution see, at a time: 32 MB."""


@dataclass(frozen=True)
class Activation:
    """A function that a neuron's rate can follow: from 0 to a limit, never falling.

    Parameters
    ----------
    kind : str
        ``relu``; ``relu6``; ``clamp`` for a ReLU with another limit; ``qcfs``.
    limit : float
        Greatest value: θ for QCFS, infinity for a ReLU.
    T : int, optional
        Steps between 0 and θ, for QCFS alone.
    """

    kind: str
    limit: float = inf
    T: int | None = None

    @property
    def theta(self) -> float | None:
        """Trained threshold, of QCFS alone."""
        return None if self.T is None else self.limit

    def apply(self, currents: FloatArray) -> FloatArray:
        """Map pre-activations, of any shape."""
        if self.T is None:
            return np.clip(currents, 0, self.limit)
        counts = np.clip(np.floor(currents * self.T / self.limit + 0.5), 0, self.T)
        return counts * self.limit / self.T


@dataclass(frozen=True, eq=False)
class AnnLayer:
    """A layer of neurons: an affine map of the input and earlier layers, and an activation.

    Parameters
    ----------
    path : str
        Of the activation, or of what gives the logits; with @ and a number if it is used again.
    shape : tuple of int
        Of its activations for one image, as the model has it.
    synapses : tuple of Synapses
        float64; they have the same n_output, and the same positions.
    sources : tuple of Source
        Where they begin, one for each.
    bias : (n_output,) float64, optional
        None if it is exactly absent.
    activation : Activation, optional
        None for logits.
    """

    path: str
    shape: tuple[int, ...]
    synapses: tuple[Synapses, ...]
    sources: tuple[Source, ...]
    bias: FloatArray | None
    activation: Activation | None

    @property
    def n_output(self) -> int:
        """Neurons."""
        return self.synapses[0].n_output

    @property
    def channels(self) -> int:
        """Sets of neurons that may have a scale of their own."""
        return self.n_output // self.positions

    @property
    def positions(self) -> int:
        """Neurons of a channel: of its image, or of one row of weights if that are more."""
        return max(self.synapses[0].positions, prod(self.shape[1:]))

    def activate(self, currents: FloatArray) -> FloatArray:
        """Give the activations for pre-activations; logits are what they are."""
        return currents if self.activation is None else self.activation.apply(currents)


@dataclass(frozen=True, eq=False)
class AnnGraph:
    """A network without its torch modules.

    Parameters
    ----------
    layers : tuple of AnnLayer
        Each after those that it receives from; the last is the output.
    input_shape : tuple of int
        Of one image, as the model takes it.
    """

    layers: tuple[AnnLayer, ...]
    input_shape: tuple[int, ...]

    def currents(self, images: FloatArray) -> list[FloatArray]:
        """Compute each layer's pre-activations, (n, n_output) float64, of images (n, …)."""
        return [currents for currents, _ in self.run(images)]

    def activations(self, images: FloatArray) -> list[FloatArray]:
        """Compute each layer's activations, (n, n_output) float64, of images (n, …)."""
        return [activations for _, activations in self.run(images)]

    def run(self, images: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Yield pre-activations and activations layer by layer, and forget them when it can."""
        n_input = prod(self.input_shape)
        if images.ndim < 2 or prod(images.shape[1:]) != n_input:
            raise ValueError(f"images must have shape (n, {n_input}) or (n, "
                             f"{', '.join(map(str, self.input_shape))}), not {images.shape}")
        values = {INPUT: images.reshape(len(images), -1).astype(np.float64)}
        for i, layer in enumerate(self.layers):
            currents = layer_currents(layer, values)
            values[i] = layer.activate(currents)
            yield currents, values[i]
            for known in set(values) - {source.layer for later in self.layers[i + 1:]
                                        for source in later.sources}:
                del values[known]


def layer_currents(layer: AnnLayer, values: Mapping[int, Array]) -> Array:
    """Compute a layer's pre-activations, (n, n_output).

    ``values`` are what its sources give, (n, …) by number; the precision of the result is theirs
    and that of the weights.
    """
    currents: Any = 0.0
    for source, synapses in zip(layer.sources, layer.synapses, strict=True):
        inputs = values[source.layer]
        if source.max_pool is not None:
            pool = source.max_pool
            taps = pool.n_output * prod(pool.kernel_size)
            inputs = np.concatenate([pool.apply(part) for part in _chunks(inputs, taps)])
        currents = currents + _applied(synapses, inputs)
    return np.asarray(currents if layer.bias is None else currents + layer.bias)


def _applied(synapses: Synapses, inputs: Array) -> Array:
    if isinstance(synapses, Dense):
        return synapses.apply(inputs)
    torch = require("torch", "convert")  # the same sums as synapses.apply, several times as fast
    kernel = torch.tensor(synapses.kernel)
    seen = synapses.positions * synapses.input_shape[0] * prod(synapses.kernel.shape[2:])
    parts = [torch.conv2d(torch.tensor(part.reshape(-1, *synapses.input_shape)), kernel, None,
                          synapses.stride, synapses.padding, synapses.dilation, synapses.groups)
             for part in _chunks(inputs, seen)]
    return torch.cat(parts).flatten(1).numpy()


def _chunks(values: Array, size: int) -> list[Array]:
    """Rows of ``values`` in parts for which there are not too many of ``size`` numbers a row."""
    return np.array_split(values, max(1, min(len(values), len(values) * size // _CHUNK_VALUES)))
