"""From floats to integers: a `ConvertedSNN` becomes an `IntegerNetwork`.

Spikes are single bits, so no scale crosses a layer: multiplying the weights, the bias and the
threshold of one neuron by the same factor changes nothing that it does. Everything is therefore
measured in thresholds here, and a neuron's scale is the integer that its threshold becomes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .network import (
    MAXIMUM_PARAMETER,
    MAXIMUM_TIMESTEPS,
    IntegerLayer,
    IntegerNetwork,
    check_integer,
)

if TYPE_CHECKING:
    from .conversion.converted_snn import ConvertedSNN

FloatArray = npt.NDArray[np.float64]

OVERSCALING = np.linspace(1, 4, 49)
"""Factors that are tried beyond the scale at which the largest weight just fits.

Clipping a few weights to represent the others better pays off with few bits, and the least squared
error says how far: Choukroun et al. 2019, "Low-bit quantization of neural networks for efficient
inference", ICCV workshops.
"""


def quantize(snn: "ConvertedSNN", weight_width: int | Sequence[int] = 8, *,
             timesteps: int | None = None, intensity_width: int = 8,
             membrane_width: int | Sequence[int | None] | None = None, encoder: str = "lfsr",
             seed: int = 1) -> IntegerNetwork:
    """Round the parameters of a spiking network to integers of a few bits.

    A hidden neuron's threshold is a whole number to begin with and its scale follows from it, so
    weights and bias are all that is rounded: to floor(scale · value + 0.5), weights clipped to
    ±(2^(weight_width − 1) − 1). The scale is the one of least squared weight error out of
    `OVERSCALING` times that at which the largest weight just fits. The output neurons share one
    scale, so that their currents can be compared, and one rounded threshold. No scale is finer than
    `finest_scale`.

    Parameters
    ----------
    snn : ConvertedSNN
    weight_width : int in [2, 16], or one a layer
        Bits of a weight.
    timesteps : int in [1, 4096], optional
        By default those of ``snn``.
    intensity_width : int in [1, 16]
        Bits of an input intensity.
    membrane_width : int in [2, 48], or one a layer, optional
        Bits of a stored membrane, which saturates there; thresholds are kept small enough for it.
        An int holds for the hidden layers: the output layer has to be as wide as it needs. None,
        also in a sequence, is a width that can't saturate.
    encoder, seed
        As of `IntegerNetwork`.

    Raises
    ------
    TypeError, ValueError
        If an option is out of range, if the thresholds of the output layer differ, or if a weight
        or bias is 2^31 thresholds or more.
    """
    hidden = snn.n_layers - 1
    weight_widths = _one_a_layer("Weight width", weight_width, (weight_width,) * snn.n_layers)
    membrane_widths = _one_a_layer("Membrane width", membrane_width,
                                   (membrane_width,) * hidden + (None,))
    steps = check_integer("Timesteps", snn.T if timesteps is None else timesteps,
                          1, MAXIMUM_TIMESTEPS)
    layers = tuple(_quantize_layer(snn, index, *widths, steps)[0]
                   for index, widths in enumerate(zip(weight_widths, membrane_widths, strict=True)))
    return IntegerNetwork(layers, steps, intensity_width, encoder, seed, snn.schedule)


def finest_scale(n_input: int, timesteps: int, weight_width: int,
                 membrane_width: int | None = None) -> int:
    """Largest threshold worth its bits: a power of two, so that biases of 1/2, 1/4, … are exact.

    Weights of half a unit's error, all inputs and timesteps added up, are wrong by less than
    2^(1 − weight_width) thresholds there. It matters to neurons with next to no weights, which
    would otherwise dictate the layer's widths. A membrane has to hold what is below the threshold.
    """
    spikes_width = (n_input * timesteps - 1).bit_length()
    width = min(weight_width + max(spikes_width - 2, 7), 30)
    return 2 ** (width if membrane_width is None else min(width, membrane_width - 1))


def _one_a_layer(name: str, value: Any, default: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return ``value`` if it is a sequence with an entry for each layer, else ``default``."""
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str):
        return default
    if len(value) != len(default):
        raise ValueError(f"{name} must be one number, or one for each of {len(default)} layers, "
                         f"not {value!r}")
    return tuple(value)


def _in_thresholds(name: str, values: FloatArray, thresholds: FloatArray) -> FloatArray:
    """Divide (n, …) by (n,) thresholds, or say which value is beyond 2^31 − 1."""
    with np.errstate(over="ignore"):
        relative = (values.T / thresholds).T
    wrong = np.argwhere(np.abs(relative) > MAXIMUM_PARAMETER)
    if len(wrong):
        neuron = int(wrong[0][0])
        value = values[tuple(wrong[0])]
        raise ValueError(f"{name}, neuron {neuron}, must be at most {MAXIMUM_PARAMETER} thresholds "
                         f"of {thresholds[neuron]:g}, not {value:g}")
    return relative


def _best_scales(weights: FloatArray, limit: int, finest: FloatArray, whole: bool) -> FloatArray:
    """Scale of each row of ``weights``, (n_rows, n), with the least squared error.

    ``finest``: (n_rows,) bounds, at least 1. With ``whole``, scales are integers from 1 up.
    """
    with np.errstate(divide="ignore", over="ignore"):
        full = limit / np.abs(weights).max(axis=1)
    best, least = np.ones(len(weights)), np.full(len(weights), np.inf)
    for factor in OVERSCALING:
        scales = np.minimum(full * factor, finest)
        if whole:
            # What misses a whole number by a rounding error is that number.
            scales = np.maximum(1, np.floor(scales * (1 + 1e-12)))
        error = weights - _rounded(weights, scales, limit) / scales[:, None]
        squared = np.einsum("ij,ij->i", error, error)
        best, least = np.where(squared < least, scales, best), np.minimum(squared, least)
    return best


def _rounded(weights: FloatArray, scales: FloatArray, limit: int) -> FloatArray:
    return np.clip(np.floor(weights * scales[:, None] + 0.5), -limit, limit)


@dataclass(frozen=True, eq=False)
class _Scaled:
    """A float layer in thresholds, and the integers that a threshold is divided into.

    A row of weights is that of a neuron, or of all neurons in a channel of a convolution.
    """

    rows: FloatArray            # (n_rows, weights of a row), those of all sources side by side
    biases: FloatArray          # (n_output,)
    scales: FloatArray          # (n_rows,)
    float_scales: FloatArray    # (n_rows,) integers that a 1 of the float network is divided into


def _scale_layer(snn: "ConvertedSNN", index: int, weight_width: int, membrane_width: int | None,
                 timesteps: int) -> _Scaled:
    synapses, bias, output = snn.synapses(index), snn.biases[index], index == snn.n_layers - 1
    rows = np.concatenate([one.rows for one in synapses], axis=1)
    finest = finest_scale(rows.shape[1], timesteps, weight_width,
                          None if output else membrane_width)
    thresholds = _row_thresholds(snn, index)
    weights = _in_thresholds(f"Weight of layer {index}", rows, thresholds)
    positions = synapses[0].positions
    biases = _in_thresholds(f"Bias of layer {index}",
                            np.zeros(synapses[0].n_output) if bias is None else bias,
                            np.repeat(thresholds, positions))
    limit = 2 ** (weight_width - 1) - 1
    largest = np.abs(biases).reshape(-1, positions).max(axis=1)
    bounds = np.minimum(finest, np.floor(MAXIMUM_PARAMETER / np.maximum(1, largest)))
    if not output:
        scales = _best_scales(weights, limit, bounds, whole=True)
    else:
        if (thresholds != thresholds[0]).any():
            raise ValueError("The output layer must share one threshold, "
                             f"not {thresholds.min():g} to {thresholds.max():g}")
        shared = _best_scales(weights.reshape(1, -1), limit, bounds.min(keepdims=True), whole=False)
        scales = np.repeat(shared, len(rows))
    return _Scaled(weights, biases, scales, scales / thresholds)


def _row_thresholds(snn: "ConvertedSNN", index: int) -> FloatArray:
    """Threshold of each row of weights; ValueError where neurons that share a row differ in it."""
    one = snn.synapses(index)[0]
    thresholds = np.broadcast_to(snn.thresholds[index], one.n_output).reshape(-1, one.positions)
    wrong = np.flatnonzero((thresholds != thresholds[:, :1]).any(axis=1))
    if len(wrong):
        raise ValueError(f"Layer {index}, channel {wrong[0]}, must share one threshold, as its "
                         f"neurons share their weights, not {thresholds[wrong[0]].min():g} to "
                         f"{thresholds[wrong[0]].max():g}")
    return thresholds[:, 0]


def _quantize_layer(snn: "ConvertedSNN", index: int, weight_width: int, membrane_width: int | None,
                    timesteps: int) -> tuple[IntegerLayer, _Scaled]:
    check_integer(f"Weight width of layer {index}", weight_width, 2, 16)
    if membrane_width is not None:
        check_integer(f"Membrane width of layer {index}", membrane_width, 2, 48)
    scaled = _scale_layer(snn, index, weight_width, membrane_width, timesteps)
    rows = _rounded(scaled.rows, scaled.scales, 2 ** (weight_width - 1) - 1).astype(np.int64)
    synapses = snn.synapses(index)
    ends = np.cumsum([one.rows.shape[1] for one in synapses])
    scales = np.repeat(scaled.scales, synapses[0].positions)
    thresholds = np.maximum(1, np.floor(scales + 0.5))
    layer = IntegerLayer(
        tuple(one.with_rows(part) for one, part
              in zip(synapses, np.split(rows, ends[:-1], axis=1), strict=True)),
        np.floor(scaled.biases * scales + 0.5).astype(np.int64),
        thresholds.astype(np.int64),
        np.floor(snn.initial_membrane_fraction * thresholds).astype(np.int64),
        weight_width, membrane_width, snn.sources[index] if snn.sources else None)
    return layer, scaled


@dataclass(frozen=True)
class LayerSummary:
    """What became of one layer.

    Weights are read as ``Q1.n``: a sign bit, then n = weight_width − 1 bits after the binary point;
    biases, thresholds and membranes have the same n, so ``UQm.n`` is a threshold of up to m bits
    before the point. The 1 of that format is 2^n / scale in the units of the float network, the
    scale being the neuron's own: the smallest and the largest are given, and are equal in the
    output layer. Widths are in bits. The membrane range holds over all inputs.
    ``largest_weight_error`` is in thresholds, clipped weights included.
    """

    n_input: int
    n_output: int
    weight_format: str
    threshold_format: str
    smallest_scale: float
    largest_scale: float
    weight_width: int
    bias_width: int
    threshold_width: int
    membrane_width: int
    accumulator_width: int
    lowest_membrane: int
    highest_membrane: int
    saturates: bool
    weights_clipped: int
    largest_weight_error: float


@dataclass(frozen=True)
class QuantizationSummary:
    """What became of each layer; ``str()`` makes a table of it."""

    layers: tuple[LayerSummary, ...]

    def as_dict(self) -> dict[str, Any]:
        """Numbers, strings and lists alone, as JSON has them."""
        return {"layers": [asdict(layer) for layer in self.layers]}

    def __str__(self) -> str:
        names = [field.name for field in fields(LayerSummary)]
        columns = [["layer", *(name.replace("_", " ") for name in names)]]
        for index, layer in enumerate(self.layers):
            columns.append([str(index), *(_text(getattr(layer, name)) for name in names)])
        widths = [max(map(len, column)) for column in columns]
        lines = [[text.rjust(width) for text, width in zip(row, widths, strict=True)]
                 for row in zip(*columns, strict=True)]
        return "\n".join("  ".join([line[0].strip().ljust(widths[0]), *line[1:]]) for line in lines)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def summarize(snn: "ConvertedSNN", network: IntegerNetwork) -> QuantizationSummary:
    """Say what `quantize` made of ``snn``: formats, widths, ranges and rounding errors.

    Raises
    ------
    ValueError
        If ``network`` is not what `quantize` makes of ``snn``.
    """
    if tuple(network.shape) != tuple(snn.shape):
        raise ValueError(f"Network must have the shape {snn.shape} of the float network, "
                         f"not {network.shape}")
    return QuantizationSummary(tuple(_summarize_layer(snn, network, index)
                                     for index in range(snn.n_layers)))


def _summarize_layer(snn: "ConvertedSNN", network: IntegerNetwork, index: int) -> LayerSummary:
    layer, widths = network.layers[index], network.widths[index]
    expected, scaled = _quantize_layer(snn, index, layer.weight_width, layer.membrane_width,
                                       network.timesteps)
    for name in ("weights", "biases", "thresholds", "initial_membranes"):
        if not np.array_equal(getattr(layer, name), getattr(expected, name)):
            raise ValueError(f"Layer {index} is not quantized from the float network: "
                             f"its {name.replace('_', ' ')} differ")
    fraction = layer.weight_width - 1
    rounded = _rounded(scaled.rows, scaled.scales, MAXIMUM_PARAMETER)
    rows = np.concatenate([one.rows for one in layer.synapses], axis=1)
    error = np.abs(rows / scaled.scales[:, None] - scaled.rows)
    return LayerSummary(
        layer.n_input, layer.n_output, f"Q1.{fraction}",
        f"UQ{max(0, widths.threshold - fraction)}.{fraction}",
        float(scaled.float_scales.min()), float(scaled.float_scales.max()),
        widths.weight, widths.bias, widths.threshold, widths.membrane, widths.accumulator,
        *widths.membrane_range, widths.saturates,
        int(np.count_nonzero(rounded != rows)), float(error.max()))
