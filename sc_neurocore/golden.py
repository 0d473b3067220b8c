"""The golden model: what an integer network computes, number by number.

It defines the results; the gateware is checked against it. It follows ``docs/number-format.md``
section by section and shares no code with the simulator or the gateware.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .network import LFSR_TAPS, LFSR_WIDTH, IntegerArray, IntegerLayer, IntegerNetwork
from .results import Result
from .rounds import encoder_rounds
from .spec import AcceleratorSpec
from .synapses import INPUT, MaxPool
from .timing import BoolArray, Cycles, predict


@dataclass(frozen=True, eq=False)
class Trace:
    """Every spike and membrane of a run, with a leading batch axis.

    ``input_spikes``: (batch, timesteps, n_input) bool, the events that the first layer receives;
    with the encoder direct, which makes none, the planes of bits of the intensities instead, the
    highest first, (batch, intensity_width, n_input), as the accelerator adds them up. ``spikes``,
    ``membranes``: one (batch, timesteps, n_output) array a layer; the membranes are those stored at
    the end of the timestep. ``cycles``: when the accelerator commits them, if it was asked for.
    """

    input_spikes: BoolArray
    spikes: tuple[BoolArray, ...]
    membranes: tuple[IntegerArray, ...]
    cycles: Cycles | None = None


@dataclass(frozen=True, eq=False)
class TracedResult(Result):
    """A result and how it came about."""

    trace: Trace


def lfsr_draws(network: IntegerNetwork) -> Iterator[int]:
    """Draw after draw of the encoder's LFSR, without end.

    A step shifts the register left by one and puts the exclusive or of the taps in its lowest bit.
    A draw takes ``intensity_width`` steps; it is the bits that they put in.
    """
    state = network.lfsr_state
    while True:
        for _ in range(network.intensity_width):
            feedback = 0
            for tap in LFSR_TAPS:
                feedback ^= state >> (tap - 1) & 1
            state = (state << 1 | feedback) % 2**LFSR_WIDTH
        yield state % 2**network.intensity_width


def bit_reversed(number: int, width: int) -> int:
    """Return ``number`` with its ``width`` bits in the opposite order."""
    return sum((number >> position & 1) << (width - 1 - position) for position in range(width))


def encode(network: IntegerNetwork, image: IntegerArray) -> IntegerArray:
    """What the first layer receives of one image, (timesteps, n_input): spikes, or intensities."""
    timesteps, n_input = network.timesteps, network.n_input
    if network.encoder == "events":
        return image
    if network.encoder == "direct":
        return np.tile(image, (timesteps, 1))
    spikes = np.zeros((timesteps, n_input), dtype=np.int64)
    limits = [i + (i >> (network.intensity_width - 1)) for i in image.tolist()]
    draws = lfsr_draws(network)
    width = (timesteps - 1).bit_length()
    for timestep in range(timesteps):
        for j, limit in enumerate(limits):
            if network.encoder == "lfsr":
                spikes[timestep, j] = next(draws) < limit
            else:
                phase = bit_reversed((timestep ^ j) % 2**width, width)
                spikes[timestep, j] = ((2 * phase + 1) << network.intensity_width
                                       < limit << (width + 1))
    return spikes


def largest(pool: MaxPool, values: IntegerArray) -> IntegerArray:
    """Largest of each window of ``values``, (timesteps, n_input); what is outside counts as 0."""
    channels, height, width = pool.input_shape
    images = values.reshape(-1, channels, height, width)
    pooled = np.zeros((len(images), *pool.output_shape), dtype=np.int64)
    for y, x in np.ndindex(pool.output_shape[1:]):
        for v, u in np.ndindex(pool.kernel_size):
            row = y * pool.stride[0] + v * pool.dilation[0] - pool.padding[0]
            column = x * pool.stride[1] + u * pool.dilation[1] - pool.padding[1]
            if 0 <= row < height and 0 <= column < width:
                pooled[:, :, y, x] = np.maximum(pooled[:, :, y, x], images[:, :, row, column])
    return pooled.reshape(len(images), -1)


def received(network: IntegerNetwork, index: int, encoded: IntegerArray, spikes: list[BoolArray]
             ) -> IntegerArray:
    """Inputs of a layer, (timesteps, n_input), from the image and the layers before it."""
    scale = network.scale(index)
    parts = []
    for source in network.sources(index):
        values = encoded if source.layer == INPUT else np.int64(scale) * spikes[source.layer]
        parts.append(values if source.max_pool is None else largest(source.max_pool, values))
    return np.concatenate(parts, axis=1)


def integrate_and_fire(layer: IntegerLayer, inputs: IntegerArray, schedule: str = "pipelined",
                       scale: int = 1) -> tuple[BoolArray, IntegerArray]:
    """Spikes and stored membranes, (timesteps, n_output), of a layer that receives ``inputs``."""
    biases, thresholds = scale * layer.biases, scale * layer.thresholds
    membrane = scale * layer.initial_membranes
    fired, membranes = [], []
    if schedule == "layer_by_layer":
        for values in inputs:
            membrane = membrane + layer.weights @ values + biases
    for values in inputs:
        if schedule == "pipelined":
            membrane = membrane + layer.weights @ values + biases
        fires = membrane >= thresholds
        membrane = np.where(fires, membrane - thresholds, membrane)
        if layer.membrane_width is not None:
            limit = 2 ** (layer.membrane_width - 1)
            membrane = np.clip(membrane, -limit, limit - 1)
        fired.append(fires)
        membranes.append(membrane)
    return np.array(fired), np.array(membranes)


def _run_image(network: IntegerNetwork, image: IntegerArray
               ) -> tuple[BoolArray, list[BoolArray], list[IntegerArray]]:
    encoded = encode(network, image)
    layer_spikes: list[BoolArray] = []
    layer_membranes = []
    for index, layer in enumerate(network.layers):
        inputs = received(network, index, encoded, layer_spikes)
        spikes, membranes = integrate_and_fire(layer, inputs, network.schedule,
                                               network.scale(index))
        layer_spikes.append(spikes)
        layer_membranes.append(membranes)
    if network.encoder == "direct":
        encoded = np.array([image >> plane & 1
                            for plane in reversed(range(network.intensity_width))])
    return encoded.astype(bool), layer_spikes, layer_membranes


def readout(network: IntegerNetwork, spikes: BoolArray, membranes: IntegerArray) -> Result:
    """What the output layer's spikes and membranes, (…, timesteps, n_output), say.

    The current that a neuron received is threshold·count + final membrane − initial membrane; the
    predicted class received the most, and of those the first.
    """
    output, scale = network.layers[-1], network.scale(len(network.layers) - 1)
    counts = spikes.sum(axis=-2, dtype=np.int64)
    final = membranes[..., -1, :]
    currents = final + scale * (output.thresholds * counts - output.initial_membranes)
    return Result(counts, final, currents, currents.argmax(axis=-1))


def run(network: IntegerNetwork, inputs: npt.ArrayLike) -> Result:
    """Run images through the network.

    Parameters
    ----------
    inputs : (n_input,) or (batch, …) integers in [0, 2^intensity_width − 1]
        Intensities, see `IntegerNetwork.intensities`; with the encoder events spikes, (timesteps,
        n_input) or (batch, timesteps, n_input).

    Returns
    -------
    Result
        Its arrays have a batch axis if ``inputs`` has one.

    Raises
    ------
    TypeError, ValueError
        If the inputs do not fit the network.
    """
    images, is_batch = network.check_batch(inputs)
    result = trace(network, images)
    return Result(*(array if is_batch else array[0] for array in result.arrays()))


def trace(network: IntegerNetwork, inputs: npt.ArrayLike,
          spec: AcceleratorSpec | None = None) -> TracedResult:
    """Run images and keep every spike and membrane; with a ``spec``, the cycle of each as well.

    The images are taken to follow each other without a pause; cycle 0 is the first transfer of the
    first of them, and no stream of the accelerator is stalled from outside.

    Parameters
    ----------
    inputs
        As for `run`.
    spec : AcceleratorSpec, optional

    Raises
    ------
    TypeError, ValueError
        If the inputs or the spec do not fit the network.
    """
    images, _ = network.check_batch(inputs)
    shape = (len(images), network.timesteps)
    rounds = encoder_rounds(network)
    input_spikes = np.zeros((len(images), rounds, network.n_input), dtype=bool)
    spikes = [np.zeros((*shape, layer.n_output), dtype=bool) for layer in network.layers]
    membranes = [np.zeros((*shape, layer.n_output), dtype=np.int64) for layer in network.layers]
    for index, image in enumerate(images):
        input_spikes[index], fired, stored = _run_image(network, image)
        for layer in range(len(network.layers)):
            spikes[layer][index], membranes[layer][index] = fired[layer], stored[layer]
    cycles = None if spec is None else predict(network, spec, input_spikes, spikes)
    result = readout(network, spikes[-1], membranes[-1])
    return TracedResult(*result.arrays(),
                        trace=Trace(input_spikes, tuple(spikes), tuple(membranes), cycles))
