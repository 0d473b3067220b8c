"""The engine that is fastest: work is done for spikes alone, and a layer at a time.

As there is no feedback, a layer can take in a block of timesteps before the next one does: the
weights of an input are fetched once for all of its spikes.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from ..network import IntegerNetwork
from ..synapses import INPUT
from ..widths import signed_width
from . import kernels
from .arrays import Arrays, Product, number_type
from .encoding import Images, encoder_draws, limits
from .products import State
from .tables import table

CHUNK_VALUES = 2**16
"""Values of the widest layer that a chunk of images may have: all layers' fit into a cache."""

BLOCK = 32
"""Timesteps at a time: bits of a mask."""

Masks = npt.NDArray[np.uint32]
"""Spikes of a block of timesteps as bits, (batch, inputs or neurons)."""


class _Layer:
    """A layer; its neurons are numbered channel last within, and by channel outside."""

    def __init__(self, network: IntegerNetwork, index: int) -> None:
        layer, neurons = network.layers[index], network.neurons(index)
        widths = network.widths[index]
        steady, self.sources, spiking = [], [], []
        for source, one in zip(network.sources(index), layer.synapses, strict=True):
            if network.encoder == "direct" and source.layer == INPUT:
                steady.append(one)
            else:
                self.sources.append(source.layer)
                spiking.append(one)
        lowest, highest = neurons.lowest, neurons.highest
        self.steady = [Product(one, Arrays(), number_type(
            signed_width(int(lowest.min()), int(highest.max())))) for one in steady]
        self.table = table(spiking, layer.n_output, network.scale(index))
        self.positions = layer.synapses[0].positions
        self.biases, self.thresholds, self.initial_membranes = (
            self.channel_last(values[None].astype(np.int32))
            for values in (neurons.biases, neurons.thresholds, neurons.initial_membranes))
        self.limit = 2 ** (widths.membrane - 1) if widths.saturates else 0

    def channel_last(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Renumber the neurons of (batch, n_output) values for use within."""
        return _exchange(values, self.positions)

    def by_channel(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Undo `channel_last`."""
        return _exchange(values, values.shape[1] // self.positions)

    def constants(self, images: Images) -> npt.NDArray[np.int32]:
        """What each neuron receives in every timestep, (batch, n_output), or (1, n_output)."""
        total = self.biases
        for product in self.steady:
            drive = product(images.astype(product.weights.dtype)).astype(np.int32)
            total = total + self.channel_last(drive)
        return total

    def advance(self, masks: Mapping[int, Masks], size: int, constants: npt.NDArray[np.int32],
                membranes: npt.NDArray[np.int32]) -> Masks:
        """Take in ``size`` timesteps' spikes, update the membranes and return own spikes."""
        received = [masks[source] for source in self.sources]
        batch = len(membranes)
        together = (received[0] if len(received) == 1 else
                    np.concatenate([np.empty((batch, 0), np.uint32), *received], axis=1))
        fired = np.empty(membranes.shape, np.uint32)
        kernels.advance(together, self.table.segments, self.table.groups, self.table.entries,
                        self.table.weights, self.table.width, size, constants, self.thresholds[0],
                        self.limit, membranes, fired)
        return self.by_channel(fired)


def _exchange(values: npt.NDArray[Any], inner: int) -> npt.NDArray[Any]:
    """Swap the two axes that the neurons are numbered along, the inner of which is so long."""
    batch = len(values)
    swapped = values.reshape(batch, -1, inner).swapaxes(1, 2)
    return np.ascontiguousarray(swapped).reshape(batch, -1)


class Events:
    """Runs images through a network by its spikes; ``chunk`` is how many it takes at a time.

    Several threads may call `simulate` at once.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        # No reference to the network: `events` would keep it forever
        self.timesteps, self.encoder = network.timesteps, network.encoder
        self.n_output, self.intensity_width = network.n_output, network.intensity_width
        inputs = network.n_input * (network.timesteps if network.encoder == "events" else 1)
        self.chunk = max(1, CHUNK_VALUES // max(inputs, *network.shape))
        self.layers = [_Layer(network, index) for index in range(len(network.layers))]
        self.draws = encoder_draws(network)

    def simulate(self, images: Images, every: bool = False) -> Iterator[State]:
        """Yield the state of the output neurons after the last timestep, or after every one."""
        size = 1 if every else BLOCK
        constants = [layer.constants(images) for layer in self.layers]
        membranes = [np.tile(layer.initial_membranes, (len(images), 1)) for layer in self.layers]
        counts = np.zeros((len(images), self.n_output), dtype=np.int64)
        for start in range(0, self.timesteps, size):
            stop = min(start + size, self.timesteps)
            masks = self._input_masks(images, start, stop)
            for index, layer in enumerate(self.layers):
                masks[index] = layer.advance(masks, stop - start, constants[index],
                                             membranes[index])
            counts += np.bitwise_count(masks[len(self.layers) - 1])
            if every or stop == self.timesteps:
                final = self.layers[-1].by_channel(membranes[-1])
                yield counts.copy(), final.astype(np.int64)

    def _input_masks(self, images: Images, start: int, stop: int) -> dict[int, Masks]:
        """Spikes of the input in timesteps ``start`` to ``stop`` − 1."""
        if self.encoder == "direct":
            return {}
        if self.encoder == "events":
            return {INPUT: _packed(images[:, start:stop])}
        masks = np.empty(images.shape, np.uint32)
        kernels.encode(self.draws[start:stop], limits(images, self.intensity_width), masks)
        return {INPUT: masks}


def _packed(trains: Images) -> Masks:
    """Spike trains of up to 32 timesteps, (batch, timesteps, n), as masks."""
    batch, timesteps, n = trains.shape
    padded = np.zeros((batch, BLOCK, n), dtype=bool)
    padded[:, :timesteps] = trains
    octets = np.packbits(padded, axis=1, bitorder="little").swapaxes(1, 2)
    return np.ascontiguousarray(octets).view("<u4")[:, :, 0].astype(np.uint32)


_known: WeakKeyDictionary[IntegerNetwork, Events] = WeakKeyDictionary()


def events(network: IntegerNetwork) -> Events:
    """Return the engine of a network, made once: that takes as long as a hundred small images."""
    if network not in _known:
        _known[network] = Events(network)
    return _known[network]
