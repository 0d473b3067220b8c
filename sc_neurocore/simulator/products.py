"""The engine for every network and machine: matrix products, in numpy or on a torch device.

`LayerWidths.accumulator` bounds every partial sum of a layer, and so chooses the type of its
numbers: the narrowest that is exact.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ..network import IntegerArray, IntegerNetwork
from ..synapses import INPUT, Convolution
from .arrays import Arrays, Product, number_type
from .encoding import Images, encoder_draws, limits

CHUNK_VALUES = 2**20
"""Values of the widest array that a chunk of images may have: a few megabytes, about a cache."""

State = tuple[IntegerArray, IntegerArray]
"""Spikes that the output neurons have counted, and their membranes: (batch, n_output) int64."""


class Population:
    """The neurons of one layer, in a chunk of images, and the synapses that reach them."""

    def __init__(self, network: IntegerNetwork, index: int, arrays: Arrays) -> None:
        layer, neurons = network.layers[index], network.neurons(index)
        widths = network.widths[index]
        self.arrays, self.scale = arrays, network.scale(index)
        self.dtype = number_type(widths.accumulator, arrays.single)
        self.synapses: list[tuple[Any, Product]] = [
            (source, Product(one, arrays, self.dtype))
            for source, one in zip(network.sources(index), layer.synapses, strict=True)]
        self.biases, self.thresholds, self.initial_membranes = (
            arrays.array(values, self.dtype)
            for values in (neurons.biases, neurons.thresholds, neurons.initial_membranes))
        self.limit = 2 ** (widths.membrane - 1) if widths.saturates else None
        self.membranes: Any

    def start(self, batch: int) -> None:
        """Begin a chunk of ``batch`` images."""
        self.membranes = self.arrays.xp.tile(self.initial_membranes, (batch, 1))

    def drive(self, values: Mapping[int, Any]) -> Any:
        """Sum over the sources that ``values``, (batch, n) each, are of; 0 if there is none."""
        total: Any = 0
        for source, product in self.synapses:
            if source.layer not in values:
                continue
            x = self.arrays.astype(values[source.layer], self.dtype)
            if source.layer != INPUT:
                x = x * self.scale
            if source.max_pool is not None:
                x = self.arrays.pooled(source.max_pool, x)
            total = total + product(x)
        return total

    def step(self, drive: Any) -> Any:
        """Take one timestep's drive and bias, and return the spikes, all (batch, n_output)."""
        self.membranes = self.membranes + (drive + self.biases)
        fires = self.membranes >= self.thresholds
        self.membranes -= fires * self.thresholds
        if self.limit is not None:
            self.membranes = self.arrays.xp.clip(self.membranes, -self.limit, self.limit - 1)
        return fires

    def fire_all(self, drive: Any, timesteps: int) -> Any:
        """Take all timesteps' drive at once and return how often each neuron then spikes."""
        integrated = self.membranes + (drive + self.biases * timesteps)
        counts = self.arrays.xp.clip(self._quotients(integrated), 0, timesteps)
        self.membranes = integrated - counts * self.thresholds
        return counts

    def _quotients(self, membranes: Any) -> Any:
        """Floor of membranes over thresholds.

        Rounding does not lift a quotient to the next integer k. Below k > 2^e, numbers of p bits
        are at most 2^(e − p + 1) apart, so a threshold for which k − 1 / threshold becomes k is at
        least 2^(p − e); the membrane, of at least k − 1 ≥ 2^e thresholds, would have over p bits.
        """
        if self.dtype == "int64":
            return membranes // self.thresholds
        return self.arrays.xp.floor(membranes / self.thresholds)


def values_per_image(network: IntegerNetwork) -> int:
    """Values of an image's widest array: spike trains, neurons, or what a kernel's taps see."""
    inputs = network.n_input * (network.timesteps if network.encoder == "events" else 1)
    patches = [one.input_shape[0] * one.windows.indices().size
               for layer in network.layers for one in layer.synapses
               if isinstance(one, Convolution)]
    return max(inputs, *network.shape, *patches)


class Products:
    """Runs images through a network by matrix products, on ``device`` if torch is to do them.

    ``chunk`` is how many images it takes at a time.
    """

    def __init__(self, network: IntegerNetwork, device: str | None = None) -> None:
        self.network, self.arrays = network, Arrays(device)
        self.chunk = max(1, CHUNK_VALUES // values_per_image(network))
        self.populations = [Population(network, index, self.arrays)
                            for index in range(len(network.layers))]
        self.draws = self.arrays.array(encoder_draws(network))

    def simulate(self, images: Images, every: bool = False) -> Iterator[State]:
        """Yield the state of the output neurons after the last timestep, or after every one."""
        for population in self.populations:
            population.start(len(images))
        if self.network.schedule == "layer_by_layer":
            yield self._state(self._layer_by_layer(images))
            return
        counts: Any = 0
        for timestep, spikes in enumerate(self._pipelined(images), 1):
            counts = counts + self.arrays.astype(spikes, "int64")
            if every or timestep == self.network.timesteps:
                yield self._state(counts)

    def _state(self, counts: Any) -> State:
        return self.arrays.integers(counts), self.arrays.integers(self.populations[-1].membranes)

    def _input_spikes(self, images: Images) -> Iterator[Any]:
        """Yield the spikes of the input, (batch, n_input), timestep by timestep."""
        if self.network.encoder == "events":
            trains = self.arrays.array(images)
            yield from (trains[:, timestep] for timestep in range(self.network.timesteps))
        else:
            bounds = self.arrays.array(limits(images, self.network.intensity_width))
            yield from (drawn < bounds for drawn in self.draws)

    def _received(self, images: Images) -> tuple[dict[int, Any], Iterator[dict[int, Any]]]:
        """What comes from the input: the same in every timestep, and timestep by timestep."""
        if self.network.encoder == "direct":
            return {INPUT: self.arrays.array(images)}, ({} for _ in range(self.network.timesteps))
        return {}, ({INPUT: spikes} for spikes in self._input_spikes(images))

    def _pipelined(self, images: Images) -> Iterator[Any]:
        """Yield the spikes of the output layer, timestep by timestep."""
        steady, changing = self._received(images)
        constants = [population.drive(steady) for population in self.populations]
        for values in changing:
            for index, population in enumerate(self.populations):
                values[index] = population.step(constants[index] + population.drive(values))
            yield values[len(self.populations) - 1]

    def _layer_by_layer(self, images: Images) -> Any:
        """Counts of the output layer, from the whole input that each layer receives."""
        steady, changing = self._received(images)
        timesteps = self.network.timesteps
        values = {INPUT: steady[INPUT] * timesteps if steady else sum(
            self.arrays.astype(one[INPUT], "int64") for one in changing)}
        for index, population in enumerate(self.populations):
            values[index] = population.fire_all(population.drive(values), timesteps)
        return values[len(self.populations) - 1]
