"""Fit a converted network to what its neurons really do in T timesteps, layer after layer.

Balancing makes rates right in the limit of many timesteps. In a few of them a neuron's count is a
small whole number, spikes arrive unevenly and the input is noisy; all of that is known once T and
the encoder are, and can be allowed for with images alone, without labels or gradients. For each
layer, the layers before it being done:

1. Their neurons are simulated. The rates that come in differ from the activations that the layer
   was trained on; weights and bias are corrected by ridge regression so that the drive is, in the
   least squares, the pre-activation of the trained network.
2. Each neuron or channel gets the scale λ with which the neurons' real counts, times λ / T, have
   the least squared error from the activations.

The output layer is read out by its whole current, so the correction is all that it takes.

References
----------
Li, Deng, Dong, Gong, Gu 2021, "A free lunch from ANN: towards efficient, accurate spiking neural
networks calibration", ICML: layer-wise calibration of thresholds (3.3), biases and weights (4).
Bu et al. 2022, "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural
networks", ICLR: initial membranes of half a threshold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sc_neurocore.conversion.ann import AnnGraph, AnnLayer, layer_currents
from sc_neurocore.conversion.ann_to_snn import read_model, scaled_network
from sc_neurocore.conversion.checks import check_at_least, check_real
from sc_neurocore.conversion.converted_snn import ConvertedSNN, phases
from sc_neurocore.extras import require
from sc_neurocore.synapses import INPUT, Convolution, Synapses

try:
    from torch import nn
except ModuleNotFoundError:
    require("torch", "convert")
    raise

FloatArray = npt.NDArray[np.float32]

CANDIDATES = np.linspace(0.1, 1, 37)
"""Scales that are tried, as fractions of a channel's greatest activation."""

_VALUES = 2**24
"""Values of an array, at most: 64 MB as float32. Fewer images are used where they make more."""

_REACHED = np.float32(1 - 1e-6)
"""A membrane of 1 threshold, but for rounding errors in single precision."""


def calibrate(model: nn.Module, images: Any, T: int | None = None, *, encoder: str = "direct",
              schedule: str = "pipelined", per_channel: bool = True,
              initial_membrane_fraction: float = 0.5, ridge: float = 0.01, seed: int = 0,
              input_shape: Sequence[int] | None = None) -> ConvertedSNN:
    """Convert a trained network as `convert` does, and fit it to images, timesteps and encoder.

    Parameters
    ----------
    model, T, schedule, input_shape
        As of `convert`.
    images : (n, …) reals in [0, 1]
        Some thousand of the training images. The time it takes grows with their number; no more are
        used than fit in some hundred megabytes.
    encoder : "direct", "poisson" or "low_discrepancy"
        How the input will be coded. ``poisson`` stands for ``lfsr``, too; its draws are independent
        here from image to image, so that nothing is fitted to a seed.
    per_channel : bool
        A scale for each neuron of a dense layer and each channel of a convolution, or one a layer.
        QCFS layers keep θ.
    initial_membrane_fraction : float in [0, 1)
        Membrane at the start of every image, in thresholds.
    ridge : float
        At least 0: how much a correction of the weights has to be worth, in mean squares of an
        input; a large one leaves all but the biases as they are.
    seed : int >= 0
        Of ``poisson``.

    Returns
    -------
    ConvertedSNN
        With thresholds 1.

    Raises
    ------
    TypeError, ValueError
        As from `convert`; and if an option has the wrong kind or range.
    """
    if encoder not in ("direct", "poisson", "low_discrepancy"):
        raise ValueError("encoder must be one of direct, poisson, low_discrepancy, "
                         f"not {encoder!r}")
    ridge, initial = check_real("ridge", ridge), check_real("initial_membrane_fraction",
                                                            initial_membrane_fraction)
    if not 0 <= ridge < np.inf:
        raise ValueError(f"ridge must be at least 0 and finite, not {ridge}")
    if not 0 <= initial < 1:
        raise ValueError(f"initial_membrane_fraction must be in [0, 1), not {initial}")
    if images is None:
        raise TypeError("images must be an array of real numbers, not None")
    graph, given, timesteps = read_model(model, images, T, schedule, input_shape)
    assert given is not None
    fitted, scales = calibrated(
        graph, given.reshape(len(given), -1), timesteps, encoder=encoder, schedule=schedule,
        initial=initial, per_channel=per_channel, ridge=ridge, seed=check_at_least("seed", seed, 0))
    return scaled_network(fitted, scales, timesteps, initial, schedule)


def calibrated(graph: AnnGraph, images: npt.NDArray[Any], T: int, *, encoder: str, schedule: str,
               initial: float, per_channel: bool, ridge: float, seed: int
               ) -> tuple[AnnGraph, list[npt.NDArray[np.float64]]]:
    """Correct each layer, and choose the scales λ of its neurons, (n_output,); see `calibrate`."""
    widest = max(layer.n_output for layer in graph.layers)
    images = images[:max(1, 4 * _VALUES // (T * widest))]
    trains = {INPUT: _encoded(images.astype(np.float32), T, encoder, seed)}
    layers: list[AnnLayer] = []
    scales: list[npt.NDArray[np.float64]] = []
    for index, (layer, (currents, activations)) in enumerate(
            zip(graph.layers, graph.run(images), strict=True)):
        layers.append(corrected(layer, _mean_inputs(layer, trains), currents, ridge))
        if index == len(graph.layers) - 1:
            peak = float(currents.max())
            scales.append(np.full(layer.n_output, peak if peak > 0 else 1.0))
            break
        drives = _drives(layers[-1], trains)
        shape = (len(images), layer.channels, layer.positions)
        if layer.activation is not None and layer.activation.theta is not None:
            chosen = np.full(layer.channels, layer.activation.theta)
        else:
            few = max(1, _VALUES // drives[:, 0].size)
            chosen = best_scales(drives.reshape(T, *shape)[:, :few],
                                 activations[:few].astype(np.float32).reshape(-1, *shape[1:]),
                                 initial, schedule, not per_channel)
        scales.append(np.repeat(chosen, layer.positions))
        # A spike is worth λ to whom it reaches.
        trains[index] = _spikes(drives / np.float32(scales[-1]), initial, schedule)
        trains[index] *= np.float32(scales[-1])
    return AnnGraph(tuple(layers), graph.input_shape), scales


def _encoded(images: FloatArray, T: int, encoder: str, seed: int) -> npt.NDArray[Any]:
    """Input of each timestep, (T, n, n_input), in single precision or bools."""
    if encoder == "direct":
        return np.broadcast_to(images, (T, *images.shape))
    random = np.random.default_rng(seed)
    return np.stack([images > (random.random(images.shape, np.float32) if encoder == "poisson"
                               else phases(timestep, T, images.shape[1]))
                     for timestep in range(T)])


def _steps(layer: AnnLayer, trains: dict[int, npt.NDArray[Any]]
           ) -> Iterator[dict[int, FloatArray]]:
    for timestep in range(len(trains[INPUT])):
        yield {source.layer: trains[source.layer][timestep].astype(np.float32)
               for source in layer.sources}


def _mean_inputs(layer: AnnLayer, trains: dict[int, FloatArray]) -> list[FloatArray]:
    means = []
    for source in layer.sources:
        train = trains[source.layer]
        means.append(train.mean(axis=0, dtype=np.float32) if source.max_pool is None else
                     np.mean([source.max_pool.apply(values) for values in train], axis=0))
    return means


def _drives(layer: AnnLayer, trains: dict[int, FloatArray]) -> FloatArray:
    """What is added to the membranes in each timestep: (T, n, n_output)."""
    single = replace(layer, synapses=tuple(one.with_rows(one.rows.astype(np.float32))
                                           for one in layer.synapses),
                     bias=None if layer.bias is None else layer.bias.astype(np.float32))
    return np.stack([layer_currents(single, values) for values in _steps(layer, trains)])


def corrected(layer: AnnLayer, inputs: list[FloatArray], currents: npt.NDArray[Any], ridge: float
              ) -> AnnLayer:
    """Correct weights and bias so that ``inputs`` give ``currents``, in the least squares.

    The correction, not the weight, is kept small: it costs ``ridge`` times the mean square of an
    input. Synapses in groups keep their weights.

    Parameters
    ----------
    layer : AnnLayer
    inputs : list of (n, n_input) arrays
        Mean input of each source over the timesteps, in units of the activations.
    currents : (n, n_output) array
        Pre-activations of the trained network.
    ridge : float
        At least 0.
    """
    fitted = [index for index, one in enumerate(layer.synapses)
              if not isinstance(one, Convolution) or one.groups == 1]
    given = sum(one.apply(values) for one, values in zip(layer.synapses, inputs, strict=True))
    bias = np.zeros(layer.n_output) if layer.bias is None else layer.bias
    gram, moment = _moments([(layer.synapses[i], inputs[i]) for i in fitted],
                            currents - given - bias, layer.synapses[0].positions)
    penalty = np.full(len(gram), ridge * np.trace(gram[:-1, :-1]) / max(1, len(gram) - 1))
    penalty[-1] = 0.0
    change = np.linalg.lstsq(gram + np.diag(penalty), moment, rcond=None)[0].T
    ends = np.cumsum([layer.synapses[i].rows.shape[1] for i in fitted])[:-1]
    synapses = list(layer.synapses)
    for i, part in zip(fitted, np.split(change[:, :-1], ends, axis=1), strict=False):
        synapses[i] = synapses[i].with_rows(synapses[i].rows + part)
    return replace(layer, synapses=tuple(synapses),
                   bias=bias + np.repeat(change[:, -1], layer.synapses[0].positions))


def _moments(parts: list[tuple[Synapses, FloatArray]], missing: npt.NDArray[Any], positions: int
             ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Features times features, and times what is missing, summed over images and positions."""
    rows = missing.shape[1] // positions
    width = sum(one.rows.shape[1] for one, _ in parts) + 1
    gram, moment = np.zeros((width, width)), np.zeros((width, rows))
    chunk = max(1, _VALUES // (width * positions))
    for start in range(0, len(missing), chunk):
        target = missing[start:start + chunk].reshape(-1, rows, positions).transpose(0, 2, 1)
        features = [_features(one, values[start:start + chunk]) for one, values in parts]
        table = np.concatenate([*features, np.ones((target[..., 0].size, 1), np.float32)], axis=1)
        gram += table.T @ table
        moment += table.T @ target.reshape(len(table), -1)
    return gram, moment


def _features(synapses: Synapses, values: FloatArray) -> FloatArray:
    """What each position of each image is computed from: (n · positions, weights of a row)."""
    if not isinstance(synapses, Convolution):
        return values
    patches = synapses.windows.patches(values).reshape(len(values), -1, synapses.positions)
    return patches.transpose(0, 2, 1).reshape(len(values) * synapses.positions, -1)


def best_scales(drives: FloatArray, target: FloatArray, initial: float, schedule: str, fixed: bool
                ) -> FloatArray:
    """Scale of each channel with which counts · λ / T come closest to the activations.

    Parameters
    ----------
    drives : (T, n, channels, positions) array
        What is added to the membranes in each timestep, in units of the activations.
    target : (n, channels, positions) array
        Activations.
    initial : float
        Initial membrane, in thresholds.
    schedule : str
        As of `ConvertedSNN`.
    fixed : bool
        One scale for all channels.

    Returns
    -------
    (channels,) array
        Greater than 0.
    """
    peaks = target.max(axis=(0, 2))
    peaks[:] = peaks.max() if fixed else np.where(peaks > 0, peaks, peaks.max())
    peaks[peaks <= 0] = 1.0
    best, least = peaks.copy(), np.full(len(peaks), np.inf)
    for fraction in CANDIDATES.astype(np.float32):
        scales = fraction * peaks
        counts = _counts(drives / scales[:, None], initial, schedule)
        error = np.square(counts * (scales[:, None] / len(drives)) - target).mean(axis=(0, 2))
        error[:] = error.mean() if fixed else error
        best, least = np.where(error < least, scales, best), np.minimum(error, least)
    return best


def _counts(drives: FloatArray, initial: float, schedule: str) -> FloatArray:
    """Spikes of neurons of threshold 1 that receive ``drives``, (T, …), over all timesteps."""
    if schedule == "layer_by_layer":
        return np.clip(np.floor(drives.sum(axis=0) + np.float32(initial)), 0, len(drives))
    membranes = np.full(drives.shape[1:], initial, np.float32)
    counts = np.zeros_like(membranes)
    for drive in drives:
        membranes += drive
        fires = membranes >= _REACHED
        membranes -= fires
        counts += fires
    return counts


def _spikes(drives: FloatArray, initial: float, schedule: str) -> FloatArray:
    """Spikes of the same neurons in each timestep, (T, …)."""
    if schedule == "layer_by_layer":
        counts = _counts(drives, initial, schedule)
        return np.stack([counts > timestep for timestep in range(len(drives))]).astype(np.float32)
    membranes = np.full(drives.shape[1:], initial, np.float32)
    spikes = np.empty_like(drives)
    for drive, fires in zip(drives, spikes, strict=True):
        membranes += drive
        fires[:] = membranes >= _REACHED
        membranes -= fires
    return spikes
