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
from .spec import AcceleratorSpec
from .timing import BoolArray, Cycles, predict


@dataclass(frozen=True, eq=False)
class Trace:
    """Every spike and membrane of a run, with a leading batch axis.

    ``input_spikes``: (batch, timesteps, n_input) bool, the events that the first layer receives.
    ``spikes``, ``membranes``: one (batch, timesteps, n_output) array a layer; the membranes are
    those stored at the end of the timestep. ``cycles``: when the accelerator commits them, if it
    was asked for.
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


def encode(network: IntegerNetwork, intensities: IntegerArray) -> BoolArray:
    """Spikes of one image, (timesteps, n_input): input j at timestep t takes draw t·n_input + j."""
    spikes = np.zeros((network.timesteps, network.n_input), dtype=bool)
    draws = lfsr_draws(network)
    for timestep in range(network.timesteps):
        for j, intensity in enumerate(intensities.tolist()):
            limit = intensity + (intensity >> (network.intensity_width - 1))
            spikes[timestep, j] = next(draws) < limit
    return spikes


def integrate_and_fire(layer: IntegerLayer, spikes: BoolArray) -> tuple[BoolArray, IntegerArray]:
    """Spikes and stored membranes, (timesteps, n_output), of a layer that receives ``spikes``."""
    membrane = layer.initial_membranes
    fired, membranes = [], []
    for events in spikes:
        integrated = membrane + layer.weights[:, events].sum(axis=1) + layer.biases
        fires = integrated >= layer.thresholds
        membrane = np.where(fires, integrated - layer.thresholds, integrated)
        if layer.membrane_width is not None:
            limit = 2 ** (layer.membrane_width - 1)
            membrane = np.clip(membrane, -limit, limit - 1)
        fired.append(fires)
        membranes.append(membrane)
    return np.array(fired), np.array(membranes)


def _run_image(network: IntegerNetwork, intensities: IntegerArray
               ) -> tuple[BoolArray, list[BoolArray], list[IntegerArray]]:
    input_spikes = spikes = encode(network, intensities)
    layer_spikes, layer_membranes = [], []
    for layer in network.layers:
        spikes, membranes = integrate_and_fire(layer, spikes)
        layer_spikes.append(spikes)
        layer_membranes.append(membranes)
    return input_spikes, layer_spikes, layer_membranes


def readout(network: IntegerNetwork, spikes: BoolArray, membranes: IntegerArray) -> Result:
    """What the output layer's spikes and membranes, (…, timesteps, n_output), say.

    The current that a neuron received is threshold·count + final membrane − initial membrane; the
    predicted class received the most, and of those the first.
    """
    output = network.layers[-1]
    counts = spikes.sum(axis=-2, dtype=np.int64)
    final = membranes[..., -1, :]
    currents = output.thresholds * counts + final - output.initial_membranes
    return Result(counts, final, currents, currents.argmax(axis=-1))


def run(network: IntegerNetwork, intensities: npt.ArrayLike) -> Result:
    """Run images through the network.

    Parameters
    ----------
    intensities : (n_input,) or (batch, n_input) integers in [0, 2^intensity_width − 1]
        See `IntegerNetwork.intensities`.

    Returns
    -------
    Result
        Its arrays have the batch axis that ``intensities`` has.

    Raises
    ------
    TypeError, ValueError
        If the intensities do not fit the network.
    """
    checked = network.check_intensities(intensities)
    result = trace(network, np.atleast_2d(checked))
    return Result(*(array[0] if checked.ndim == 1 else array for array in result.arrays()))


def trace(network: IntegerNetwork, intensities: npt.ArrayLike,
          spec: AcceleratorSpec | None = None) -> TracedResult:
    """Run images and keep every spike and membrane; with a ``spec``, the cycle of each as well.

    The images are taken to follow each other without a pause; cycle 0 is the first transfer of the
    first of them, and no stream of the accelerator is stalled from outside.

    Parameters
    ----------
    intensities : (n_input,) or (batch, n_input) integers in [0, 2^intensity_width − 1]
    spec : AcceleratorSpec, optional

    Raises
    ------
    TypeError, ValueError
        If the intensities or the spec do not fit the network.
    """
    images = np.atleast_2d(network.check_intensities(intensities))
    shape = (len(images), network.timesteps)
    input_spikes = np.zeros((*shape, network.n_input), dtype=bool)
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
