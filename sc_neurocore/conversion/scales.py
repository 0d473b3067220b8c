"""Scales λ: the activation that a rate of one spike a timestep stands for.

References
----------
Diehl et al. 2015, "Fast-classifying, high-accuracy spiking deep networks through weight and
threshold balancing", IJCNN: λ is the greatest activation.
Rueckauer et al. 2017, "Conversion of continuous-valued deep networks to efficient event-driven
networks for image classification", Frontiers in Neuroscience 11:682: λ is a high percentile.
Li et al. 2021, "A free lunch from ANN: towards efficient, accurate spiking neural networks
calibration", ICML: λ has the least squared error for a number of timesteps.
"""

from dataclasses import dataclass

import numpy as np

from sc_neurocore.conversion.ann import AnnGraph, AnnLayer
from sc_neurocore.conversion.checks import FloatArray, check_real

METHODS = ("percentile", "max", "mse")

_COARSE = np.geomspace(1 / 64, 1, 96)
_FINE = np.geomspace(_COARSE[-2], 1 / _COARSE[-2], 17)
"""λs that are tried, in greatest activations, and then in the best of these."""

_SAMPLES = 2**19
"""Activations of a layer that errors are measured on, spread evenly over all."""


@dataclass(frozen=True)
class Balancing:
    """How scales are chosen.

    Parameters
    ----------
    method : "percentile", "max" or "mse"
    percentile : float in (0, 100]
        Of the positive pre-activations; for the logits with the method mse, too.
    per_channel : bool
        A scale for each neuron of a dense layer and each channel of a convolution.
    T, initial : int, float
        Timesteps, and initial membrane in thresholds, that errors are measured for.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong kind or range.
    """

    method: str = "percentile"
    percentile: float = 99.9
    per_channel: bool = False
    T: int = 16
    initial: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"scale must be one of {', '.join(METHODS)}, not {self.method!r}")
        percentile = check_real("percentile", self.percentile)
        if not 0 < percentile <= 100:
            raise ValueError(f"percentile must be in (0, 100], not {percentile}")
        if not isinstance(self.per_channel, bool):
            raise TypeError(f"per_channel must be True or False, not {self.per_channel!r}")

    def scales(self, graph: AnnGraph, images: FloatArray | None) -> list[FloatArray]:
        """Choose λ of each neuron, (n_output,) a layer, from images (n, …) that flow through."""
        if images is None:
            return [np.full(layer.n_output, _without_data(layer)) for layer in graph.layers]
        last = graph.layers[-1]
        return [np.repeat(self._scale(layer, currents, self.per_channel and layer is not last),
                          layer.positions)
                for layer, (currents, _) in zip(graph.layers, graph.run(images), strict=True)]

    def _scale(self, layer: AnnLayer, currents: FloatArray, per_channel: bool) -> FloatArray:
        """λ of each channel."""
        if layer.activation is not None and layer.activation.theta is not None:
            return np.full(layer.channels, layer.activation.theta)
        limit = np.inf if layer.activation is None else layer.activation.limit
        overall = _percentile(currents, 100 if self.method == "max" else self.percentile)
        channels = currents.reshape(len(currents), layer.channels if per_channel else 1, -1)
        if overall is None:  # nothing is ever active
            found = np.full(channels.shape[1], np.abs(currents).max() or 1.0)
        elif self.method == "mse" and layer.activation is not None:
            found = _least_error(np.clip(_samples(channels), 0, limit), self.T, self.initial)
            found[found == 0] = overall
        else:
            q = 100 if self.method == "max" else self.percentile
            found = np.array([_percentile(channels[:, i], q) or overall
                              for i in range(channels.shape[1])])
        return np.minimum(found, limit) * np.ones(layer.channels)


def _without_data(layer: AnnLayer) -> float:
    activation = layer.activation
    return activation.limit if activation is not None and activation.limit < np.inf else 1.0


def _percentile(currents: FloatArray, q: float) -> float | None:
    """Percentile of what is positive; None if nothing is."""
    positive = currents[currents > 0]
    return float(np.percentile(positive, q)) if positive.size else None


def _samples(channels: FloatArray) -> FloatArray:
    """(samples, channels) of (n, channels, positions), evenly spread."""
    n, count, positions = channels.shape
    wanted = min(n * positions, max(1, _SAMPLES // count))
    places = np.linspace(0, n * positions - 1, wanted).astype(np.intp)
    return channels[places // positions, :, places % positions]


def _least_error(activations: FloatArray, T: int, initial: float) -> FloatArray:
    """λ for each column for which clip(⌊a · T/λ + initial⌋, 0, T) · λ/T is nearest; 0 for zeros."""
    found = activations.max(axis=0)
    for factors in (_COARSE, _FINE):
        candidates = factors[:, None] * found
        errors = [_error(activations, scales, T, initial) for scales in candidates]
        found = candidates[np.argmin(errors, axis=0), np.arange(len(found))]
    return found


def _error(activations: FloatArray, scales: FloatArray, T: int, initial: float) -> FloatArray:
    steps = np.where(scales > 0, scales, 1.0) / T
    counts = np.minimum(np.floor(activations / steps + initial), T)
    return np.square(counts * steps - activations).sum(axis=0)
