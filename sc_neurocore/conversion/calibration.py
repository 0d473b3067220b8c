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
3. Neurons next to each other in an image are much alike, and so are the errors of their counts,
   which pooling or the next kernel adds up. Biases make them begin at different places between two
   thresholds, as in ordered dithering, so that what they add up to is finer than any of them.

The output layer is read out by its whole current, so the correction is all that it takes.

References
----------
Li, Deng, Dong, Gong, Gu 2021, "A free lunch from ANN: towards efficient, accurate spiking neural
networks calibration", ICML: layer-wise calibration of thresholds (3.3), biases and weights (4).
Bu et al. 2022, "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural
networks", ICLR: initial membranes of half a threshold.
Bayer 1973, "An optimum method for two-level rendition of continuous-tone pictures", ICC: dithering.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

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

RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Penalties of a correction that are tried, in mean squares of an input."""

_HELD_BACK = 5

_BAYER = np.array([[-0.375, 0.125], [0.375, -0.125]])

_VALUES = 2**24
"""Values of an array for some of the images, at most: 64 MB as float32."""

_ALL_VALUES = 2**25
"""Values of the widest layer for all images, at most: 128 MB as float32, and spikes are bits."""

_REACHED = np.float32(1 - 1e-6)
"""A membrane of 1 threshold, but for rounding errors in single precision."""


def calibrate(model: nn.Module, images: Any, T: int | None = None, *, encoder: str = "direct",
              schedule: str = "pipelined", per_channel: bool = True,
              initial_membrane_fraction: float = 0.5, ridge: float | None = None,
              dither: bool = True, seed: int = 0, input_shape: Sequence[int] | None = None
              ) -> ConvertedSNN:
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
    ridge : float, optional
        At least 0: how much a correction of the weights has to be worth, in mean squares of an
        input; a large one leaves all but the biases as they are. By default each layer has the one
        that does best on images held back: the fewer images, the larger.
    dither : bool
        Biases of their own for the neurons of a channel of ReLU convolutions, which NIR has no way
        to say.
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
    initial = check_real("initial_membrane_fraction", initial_membrane_fraction)
    if ridge is not None and not 0 <= (ridge := check_real("ridge", ridge)) < np.inf:
        raise ValueError(f"ridge must be at least 0 and finite, not {ridge}")
    if not 0 <= initial < 1:
        raise ValueError(f"initial_membrane_fraction must be in [0, 1), not {initial}")
    if images is None:
        raise TypeError("images must be an array of real numbers, not None")
    graph, given, timesteps = read_model(model, images, T, schedule, input_shape)
    assert given is not None
    fitted, scales = calibrated(
        graph, given.reshape(len(given), -1), timesteps, encoder=encoder, schedule=schedule,
        initial=initial, per_channel=per_channel, ridge=ridge, dither=dither,
        seed=check_at_least("seed", seed, 0))
    return scaled_network(fitted, scales, timesteps, initial, schedule)


def calibrated(graph: AnnGraph, images: npt.NDArray[Any], T: int, *, encoder: str, schedule: str,
               initial: float, per_channel: bool, ridge: float | None, dither: bool,
               seed: int) -> tuple[AnnGraph, list[npt.NDArray[np.float64]]]:
    """Correct each layer, and choose the scales λ of its neurons, (n_output,); see `calibrate`."""
    widest = max(layer.n_output for layer in graph.layers)
    images = images[:max(1, _ALL_VALUES // widest)].astype(np.float32)
    trains: dict[int, _Constant | SpikeTrains] = {INPUT: _encoded(images, T, encoder, seed)}
    layers: list[AnnLayer] = []
    scales: list[npt.NDArray[np.float64]] = []
    for index, layer in enumerate(graph.layers):
        currents = _ann_currents(graph, images, index)
        layers.append(corrected(layer, _mean_inputs(layer, trains, T), currents, ridge))
        if index == len(graph.layers) - 1:
            peak = float(currents.max())
            scales.append(np.full(layer.n_output, peak if peak > 0 else 1.0))
            break
        few = max(1, _VALUES // (T * layer.n_output))
        if layer.activation is not None and layer.activation.theta is not None:
            chosen = np.full(layer.channels, layer.activation.theta)
        else:
            target = layer.activate(currents[:few].astype(np.float64)).astype(np.float32)
            shape = (len(target), layer.channels, layer.positions)
            starts = _starts(layer) if dither else np.zeros(layer.positions, np.float32)
            chosen = best_scales(_drives(layers[-1], trains, slice(few), T).reshape(T, *shape),
                                 target.reshape(shape), initial, schedule, not per_channel, starts)
            layers[-1] = replace(layers[-1], bias=layers[-1].bias
                                 + np.multiply.outer(chosen, starts / T).reshape(-1))
        scales.append(np.repeat(chosen, layer.positions))
        scale = scales[-1].astype(np.float32)
        trains[index] = SpikeTrains(np.concatenate(
            [packed(_spikes(_drives(layers[-1], trains, slice(start, start + few), T) / scale,
                           initial, schedule))
             for start in range(0, len(images), few)], axis=1), scale)
        for known in set(trains) - {source.layer for later in graph.layers[index + 1:]
                                    for source in later.sources}:
            del trains[known]
    return AnnGraph(tuple(layers), graph.input_shape), scales


def _starts(layer: AnnLayer) -> FloatArray:
    """Where the neurons of a channel begin, (positions,), in thresholds from the initial membrane.

    All of 1/8, 3/8, 5/8 and 7/8 in each 2×2 neurons if that is 1/2; in sequences 1/4 and 3/4.
    """
    size = layer.shape[1:]
    if not size or np.prod(size) != layer.positions or layer.positions == 1:
        return np.zeros(layer.positions, np.float32)
    pattern = _BAYER if len(size) > 1 and size[-2] > 1 else np.array([[-0.25, 0.25]])
    rows, columns = np.indices((int(np.prod(size[:-1])), size[-1])) % 2
    return pattern[rows % len(pattern), columns].reshape(-1).astype(np.float32)


class _Constant(NamedTuple):
    """The same values, (n, neurons), in every timestep."""

    values: FloatArray

    def step(self, timestep: int, images: slice) -> FloatArray:
        """What the neurons give in a timestep."""
        return self.values[images]

    def mean(self, T: int) -> FloatArray:
        """The same for the mean over all timesteps."""
        return self.values


class SpikeTrains(NamedTuple):
    """Spikes as `packed` packs them, and what one is worth to whom it reaches."""

    bits: npt.NDArray[np.uint8]
    worth: FloatArray | np.float32

    def step(self, timestep: int, images: slice) -> FloatArray:
        """What the neurons give in a timestep."""
        spikes = self.bits[timestep // 8, images] >> np.uint8(timestep % 8) & np.uint8(1)
        return spikes * self.worth

    def mean(self, T: int) -> FloatArray:
        """The same for the mean over all timesteps."""
        counts = sum(np.bitwise_count(part).astype(np.float32) for part in self.bits)
        return np.asarray(counts) * (self.worth / np.float32(T))


def packed(spikes: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Spikes (T, n, neurons), eight timesteps a byte: (⌈T / 8⌉, n, neurons)."""
    return np.packbits(spikes, axis=0, bitorder="little")


def _ann_currents(graph: AnnGraph, images: FloatArray, index: int) -> FloatArray:
    """Pre-activations of one layer, (n, n_output), computed in parts that memory allows."""
    size = max(1, _VALUES // (4 * max(layer.n_output for layer in graph.layers)))
    currents = np.empty((len(images), graph.layers[index].n_output), np.float32)
    for start in range(0, len(images), size):
        part = images[start:start + size].astype(np.float64)
        currents[start:start + size] = next(islice(graph.run(part), index, None))[0]
    return currents


def _encoded(images: FloatArray, T: int, encoder: str, seed: int) -> _Constant | SpikeTrains:
    if encoder == "direct":
        return _Constant(images)
    random = np.random.default_rng(seed)
    return SpikeTrains(packed(np.stack([
        images > (random.random(images.shape, np.float32) if encoder == "poisson"
                  else phases(timestep, T, images.shape[1]))
        for timestep in range(T)])), np.float32(1))


def _mean_inputs(layer: AnnLayer, trains: dict[int, _Constant | SpikeTrains], T: int
                 ) -> list[FloatArray]:
    means = []
    for source in layer.sources:
        train = trains[source.layer]
        means.append(train.mean(T) if source.max_pool is None else
                     np.mean([source.max_pool.apply(train.step(timestep, slice(None)))
                              for timestep in range(T)], axis=0))
    return means


def _drives(layer: AnnLayer, trains: dict[int, _Constant | SpikeTrains], images: slice, T: int
            ) -> FloatArray:
    """What is added to the membranes in each timestep: (T, n, n_output)."""
    single = replace(layer, synapses=tuple(one.with_rows(one.rows.astype(np.float32))
                                           for one in layer.synapses),
                     bias=None if layer.bias is None else layer.bias.astype(np.float32))
    return np.stack([layer_currents(single, {source.layer: trains[source.layer].step(
        timestep, images) for source in layer.sources}) for timestep in range(T)])


def corrected(layer: AnnLayer, inputs: list[FloatArray], currents: npt.NDArray[Any],
              ridge: float | None) -> AnnLayer:
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
    ridge : float, optional
        At least 0. By default that of `RIDGES` with which a correction from the other images suits
        one image in `_HELD_BACK` best.
    """
    fitted = [index for index, one in enumerate(layer.synapses)
              if not isinstance(one, Convolution) or one.groups == 1]
    border = len(currents) - len(currents) // _HELD_BACK
    fit, test = (_moments(layer, fitted, [values[part] for values in inputs], currents[part])
                 for part in (slice(border), slice(border, None)))
    if ridge is None:
        ridge = min(RIDGES, key=lambda one: _missed(_change(*fit, one), *test))
    change = _change(fit[0] + test[0], fit[1] + test[1], ridge).T
    places = np.cumsum([layer.synapses[i].rows.shape[1] for i in fitted])[:-1]
    synapses = list(layer.synapses)
    for i, part in zip(fitted, np.split(change[:, :-1], places, axis=1), strict=False):
        synapses[i] = synapses[i].with_rows(synapses[i].rows + part)
    bias = np.zeros(layer.n_output) if layer.bias is None else layer.bias
    return replace(layer, synapses=tuple(synapses),
                   bias=bias + np.repeat(change[:, -1], layer.synapses[0].positions))


def _change(gram: npt.NDArray[Any], moment: npt.NDArray[Any], ridge: float) -> npt.NDArray[Any]:
    """Correction of least squares, (features, rows), the last feature being the bias."""
    penalty = np.full(len(gram), ridge * np.trace(gram[:-1, :-1]) / max(1, len(gram) - 1))
    penalty[-1] = 0.0
    return np.linalg.lstsq(gram + np.diag(penalty), moment, rcond=None)[0]


def _missed(change: npt.NDArray[Any], gram: npt.NDArray[Any], moment: npt.NDArray[Any]) -> float:
    """Squares that a correction leaves of other images, less those that there are without it."""
    return float(np.sum(change * (gram @ change - 2 * moment)))


def _moments(layer: AnnLayer, fitted: list[int], inputs: list[FloatArray],
             currents: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Features times features, and times what is missing, summed over images and positions."""
    positions = layer.synapses[0].positions
    rows = currents.shape[1] // positions
    width = sum(layer.synapses[i].rows.shape[1] for i in fitted) + 1
    gram, moment = np.zeros((width, width)), np.zeros((width, rows))
    chunk = max(1, _VALUES // (width * positions))
    for start in range(0, len(currents), chunk):
        part = [values[start:start + chunk] for values in inputs]
        given: Any = sum(one.apply(values)
                         for one, values in zip(layer.synapses, part, strict=True))
        missing = currents[start:start + chunk] - given
        if layer.bias is not None:
            missing -= layer.bias
        target = missing.reshape(-1, rows, positions).transpose(0, 2, 1)
        features = [_features(layer.synapses[i], part[i]) for i in fitted]
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


def best_scales(drives: FloatArray, target: FloatArray, initial: float, schedule: str, fixed: bool,
                starts: FloatArray | float = 0.0) -> FloatArray:
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
    starts : (positions,) array
        What biases add to each neuron over all timesteps, in thresholds.

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
        counts = _counts(drives / scales[:, None] + starts / np.float32(len(drives)), initial,
                         schedule)
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


def _spikes(drives: FloatArray, initial: float, schedule: str) -> npt.NDArray[np.bool_]:
    """Spikes of the same neurons in each timestep, (T, …)."""
    if schedule == "layer_by_layer":
        counts = _counts(drives, initial, schedule)
        return np.stack([counts > timestep for timestep in range(len(drives))])
    membranes = np.full(drives.shape[1:], initial, np.float32)
    spikes = np.empty(drives.shape, bool)
    for drive, fires in zip(drives, spikes, strict=True):
        membranes += drive
        fires[:] = membranes >= _REACHED
        membranes -= fires
    return spikes
