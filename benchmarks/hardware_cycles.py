"""Cycles of the accelerator over a data set, and the accuracies of what it computes.

Spikes come from matrix products and the simulator's random numbers; some images are compared with
the golden model. The cycles are those of `timing.predict`, which co-simulation proves.
"""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from kept import Store, digest, sources

from sc_neurocore import golden, simulator
from sc_neurocore.network import IntegerArray, IntegerLayer, IntegerNetwork
from sc_neurocore.simulator.encoding import encoder_draws, limits
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.storage import parameters_crc32
from sc_neurocore.timing import BoolArray, predict

CHECKED = 3
"""Images whose spikes are compared with the golden model's."""
CHUNK = 1000
SEEDS = range(1, 6)

_RUNNING = ("golden.py", "simulator", "network.py", "layers.py", "widths.py", "synapses.py")
_TIMING = ("timing.py", "spec.py", "rounds.py")


def network_key(network: IntegerNetwork, *more: object) -> str:
    """Hash of all that a network's results depend on, and of something else."""
    return digest(parameters_crc32(network), network.shape, network.timesteps, network.encoder,
                  network.intensity_width, network.seed, network.schedule, *more)


def spikes_of(network: IntegerNetwork, intensities: IntegerArray) -> list[BoolArray]:
    """Spikes of the input and of each layer, one (batch, timesteps, n) array each.

    Raises
    ------
    RuntimeError
        If they are not those of the golden model.
    """
    draws = encoder_draws(network)
    spikes = [draws < limits(intensities, network.intensity_width)[:, None]]
    for layer in network.layers:
        spikes.append(np.concatenate([
            _fired(layer, spikes[-1][begin:begin + CHUNK])
            for begin in range(0, len(intensities), CHUNK)]))
    trace = golden.trace(network, intensities[:CHECKED]).trace
    for found, expected in zip(spikes, (trace.input_spikes, *trace.spikes), strict=True):
        if not np.array_equal(found[:CHECKED], expected):
            raise RuntimeError("The spikes are not the golden model's")
    return spikes


def _fired(layer: IntegerLayer, received: BoolArray) -> BoolArray:
    """Spikes of a layer; float64 holds the sums of integers exactly."""
    weights = layer.weights.T.astype(np.float64)
    drives = (received.astype(np.float64) @ weights).astype(np.int64) + layer.biases
    membranes = np.tile(layer.initial_membranes, (len(received), 1))
    fired = np.zeros(drives.shape, dtype=bool)
    for timestep in range(drives.shape[1]):
        membranes += drives[:, timestep]
        fired[:, timestep] = membranes >= layer.thresholds
        membranes -= layer.thresholds * fired[:, timestep]
        if layer.membrane_width is not None:
            limit = 2 ** (layer.membrane_width - 1)
            np.clip(membranes, -limit, limit - 1, out=membranes)
    return fired


def work(network: IntegerNetwork, spec: AcceleratorSpec, spikes: list[BoolArray]) -> IntegerArray:
    """Events times folds of each layer in each timestep, (layers, batch, timesteps); by the rows of
    weights that the layer reads in a cycle."""
    return np.array([events.sum(axis=2) * spec.folds(network, index) / spec.ports[index]
                     for index, events in enumerate(spikes[:-1])])


def cycles(store: Store, network: IntegerNetwork, spec: AcceleratorSpec,
           intensities: IntegerArray) -> dict[str, float]:
    """Cycles an image of images that follow each other without a pause.

    Returns
    -------
    dict
        ``images``; ``min``, ``mean`` and ``max``, between the last result of an image and that of
        the next; ``bound``, the mean of the slowest layer's events times folds, added up over
        timesteps; ``output_slowest``, the fraction of timesteps in which that is the last layer;
        ``latency``, of the first image; ``events``, of the input, mean in a timestep.
    """
    key = network_key(network, asdict(spec), intensities, sources(*_RUNNING, *_TIMING),
                      Path(__file__).read_bytes())

    def measure() -> dict[str, float]:
        spikes = spikes_of(network, intensities)
        run = predict(network, spec, spikes[0], spikes[1:])
        intervals = np.diff(run.results[:, -1])
        rows = work(network, spec, spikes)
        return {"images": len(intensities), "min": int(intervals.min()),
                "mean": float(intervals.mean()), "max": int(intervals.max()),
                "bound": float(rows.max(axis=0).sum(axis=1).mean()),
                "output_slowest": float((rows[-1] > rows[:-1].max(axis=0)).mean()),
                "latency": int(run.latency[0]), "events": float(spikes[0].sum(axis=2).mean())}

    return store.result("cycles", key, measure)


def accuracy(store: Store, network: IntegerNetwork, intensities: IntegerArray,
             labels: IntegerArray, ideal: bool = False) -> list[float]:
    """Fraction that is right, by seed; with ``ideal``, of independent Bernoulli spikes.

    Bernoulli spikes have the intensity's fraction of full scale as their probability, and differ
    from image to image; the LFSR's numbers are the same for all images.
    """
    key = network_key(network, intensities, labels, ideal, list(SEEDS), sources(*_RUNNING),
                      Path(__file__).read_bytes())

    def measure() -> list[float]:
        if not ideal:
            return [float(right) for right in
                    simulator.accuracy(network, intensities, labels, seeds=SEEDS)]
        return [float(np.mean(_bernoulli(network, intensities, seed) == labels)) for seed in SEEDS]

    return store.result("bernoulli" if ideal else "accuracy", key, measure)


def _bernoulli(network: IntegerNetwork, intensities: IntegerArray, seed: int) -> IntegerArray:
    """Classes of images whose spikes are drawn independently."""
    rng, listening = np.random.default_rng(seed), replace(network, encoder="events")
    predicted = []
    for begin in range(0, len(intensities), CHUNK):
        rates = intensities[begin:begin + CHUNK, None] / network.full_scale
        shape = (len(rates), network.timesteps, network.n_input)
        predicted.append(simulator.run(listening, rng.random(shape) < rates).predicted)
    return np.concatenate(predicted)
