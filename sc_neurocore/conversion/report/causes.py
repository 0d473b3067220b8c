"""Networks on the way from a trained one to its integers, each with one more cause of error.

======================  ========================================================================
step                    activations
======================  ========================================================================
ANN                     of the trained network
clipping                rates of the spiking network's neurons for T → ∞ and inputs that are
                        constant currents: linear from 0 to 1, or in the steps of the layer's QCFS.
                        Weights that `calibrated` has corrected count from here on
time quantization       rates in T timesteps that depend on the whole input alone: its schedule made
                        layer_by_layer
unevenness              rates under its own schedule, where a spike can come too early or too late
input coding            rates with the encoder's input
weight quantization     rates of the integer network
======================  ========================================================================

Rates are multiplied by the scale λ of their neuron. Of the output layer, logits take the place of
activations, and the whole current over T, in thresholds, that of rates.

Reference
---------
Rueckauer et al. 2017, "Conversion of continuous-valued deep networks to efficient event-driven
networks for image classification", Frontiers in Neuroscience 11:682: section 2.1 derives the
errors of rates.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from sc_neurocore.conversion.ann import AnnGraph, AnnLayer, layer_currents
from sc_neurocore.conversion.converted_snn import TOLERANCE, Activity, ConvertedSNN, FloatArray
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.simulator.encoding import limits
from sc_neurocore.simulator.products import Products
from sc_neurocore.simulator.running import currents
from sc_neurocore.synapses import INPUT

CAUSES = ("clipping", "time_quantization", "unevenness", "input_coding", "weight_quantization")
"""In the order of the steps; the last one only where there is an integer network."""

_CHUNK_VALUES = 2**22
"""Spikes of the widest layer that there are at a time: 32 MB an array."""

Values = list[FloatArray]
"""Of each layer (n, n_output), in units of the trained network."""


@dataclass(frozen=True, eq=False)
class Chain:
    """The networks, and how their input is coded.

    Parameters
    ----------
    graph : AnnGraph
        The trained network.
    snn : ConvertedSNN
        With scales, and as many timesteps and the schedule that ``network`` has.
    network : IntegerNetwork, optional
    encoder : str
        That of ``network``, or as of `ConvertedSNN.run`.
    seed : int
        Of ``poisson``.

    Raises
    ------
    ValueError
        If the networks do not have the same layers, or the scales are missing or do not suit.
    """

    graph: AnnGraph
    snn: ConvertedSNN
    network: IntegerNetwork | None
    encoder: str
    seed: int

    def __post_init__(self) -> None:
        shape = (prod(self.graph.input_shape), *(layer.n_output for layer in self.graph.layers))
        others = {"model": shape} | ({"network": self.network.shape} if self.network else {})
        for name, found in others.items():
            if tuple(found) != tuple(self.snn.shape):
                raise ValueError(f"{name} must have the layers {_dashed(self.snn.shape)} of snn, "
                                 f"not {_dashed(found)}")
        if self.snn.scales is None:
            raise ValueError("snn must have scales, the activations that rates of 1 stand for; "
                             "convert() sets them")
        units = np.unique(np.asarray(self.snn.scales[-1]) / self.snn.thresholds[-1])
        if len(units) > 1:
            raise ValueError("The output layer must share one scale and one threshold, but their "
                             f"quotients are {units.min():g} to {units.max():g}")

    @cached_property
    def _engine(self) -> Products:
        assert self.network is not None
        return Products(self.network)

    @property
    def chunk(self) -> int:
        """Images at a time that memory allows."""
        size = max(1, _CHUNK_VALUES // (self.snn.T * max(self.snn.shape)))
        return size if self.network is None else min(size, self._engine.chunk)

    @property
    def causes(self) -> tuple[str, ...]:
        """Those that the chain's steps add, in their order."""
        return CAUSES if self.network else CAUSES[:-1]

    @cached_property
    def calibrated(self) -> bool:
        """Whether biases are not those of the trained network in units of λ, as `convert` has them.

        `calibrate` gives a bias to every layer.
        """
        zero = np.zeros(1)
        return not all(
            np.allclose((zero if own is None else own) * (scale / threshold),
                        zero if layer.bias is None else layer.bias, rtol=1e-5, atol=1e-9)
            for layer, own, scale, threshold in zip(self.graph.layers, self.snn.biases, self.scales,
                                                    self.thresholds, strict=True))

    def predicted(self, logits: FloatArray) -> npt.NDArray[np.int64]:
        """Classes of (n, n_output) logits as `ConvertedSNN.classify` decides on them."""
        margin = TOLERANCE * self.scales[-1][0] / self.snn.T
        return np.argmax(logits >= logits.max(axis=1, keepdims=True) - margin, axis=1)

    @cached_property
    def scales(self) -> Values:
        """λ of each neuron."""
        return [np.broadcast_to(scale, size) for scale, size
                in zip(self.snn.scales or [], self.snn.shape[1:], strict=True)]

    @cached_property
    def thresholds(self) -> Values:
        """Thresholds of the float network's neurons."""
        return [np.broadcast_to(threshold, size) for threshold, size
                in zip(self.snn.thresholds, self.snn.shape[1:], strict=True)]

    def steps(self, images: FloatArray) -> list[Values]:
        """Values of the trained network, then after each cause, for images (n, …) in [0, 1].

        With the encoder events, (n, timesteps, n_input) spikes.
        """
        flat = images.reshape(len(images), -1)
        rates = images.mean(axis=1) if self.encoder == "events" else flat
        run = list(self.graph.run(rates))
        steps = [[*(activations for _, activations in run[:-1]), run[-1][0]], self._analog(rates)]
        at_once = replace(self.snn, schedule="layer_by_layer")
        steps.append(self._spiking(at_once.activity(rates, encoder="direct")))
        steps.append(steps[-1] if self.snn.schedule == at_once.schedule else
                     self._spiking(self.snn.activity(rates, encoder="direct")))
        if self.network is None:
            coded = images if self.encoder == "events" else flat
            steps.append(steps[-1] if self.encoder == "direct" else
                         self._spiking(self.snn.activity(coded, self.seed, self.encoder)))
        else:
            steps += self._integer_steps(self.network, images)
        return steps

    def _analog(self, rates: FloatArray) -> Values:
        values, result = {INPUT: rates}, []
        for i, (layer, scale) in enumerate(zip(self.graph.layers, self.scales, strict=True)):
            own = AnnLayer(layer.path, layer.shape, self.snn.synapses(i),
                           self.snn.layer_sources(i), self.snn.biases[i], None)
            drives = layer_currents(own, values) / self.thresholds[i]
            if layer.activation is not None and layer.activation.T is not None:
                levels = layer.activation.T * scale / layer.activation.limit
                steps = np.floor(drives * levels + (0.5 + TOLERANCE)) / levels
                values[i] = np.clip(steps, 0, 1)
            else:
                values[i] = np.clip(drives, 0, 1)
            result.append(scale * (values[i] if i < self.snn.n_layers - 1 else drives))
        return result

    def _integer_steps(self, network: IntegerNetwork, images: FloatArray) -> list[Values]:
        """The last two steps: the integer network's input, in floats and in integers."""
        inputs = network.check_inputs(images.astype(np.int64) if self.encoder == "events"
                                      else network.intensities(images))
        shape = (len(inputs), network.timesteps, network.n_input)
        if self.encoder == "direct":
            activity = self.snn.activity(inputs / network.full_scale, encoder="direct")
            coded = np.broadcast_to(inputs[:, None], shape)
        else:
            coded = inputs if self.encoder == "events" else (
                self._engine.draws < limits(inputs, network.intensity_width)[:, None])
            activity = self.snn.activity(coded, encoder="events")
        return [self._spiking(activity), self._integer_values(network, coded)]

    def _integer_values(self, network: IntegerNetwork, coded: npt.NDArray[Any]) -> Values:
        """Values of the integer network for what its first layer receives, (n, T, n_input)."""
        populations = self._engine.populations
        counts: list[Any] = [0] * len(populations)
        for population in populations:
            population.start(len(coded))
        at_once = network.schedule == "layer_by_layer"
        for inputs in [coded.sum(axis=1)] if at_once else coded.transpose(1, 0, 2):
            values = {INPUT: inputs}
            for i, population in enumerate(populations):
                drive = population.drive(values)
                values[i] = (population.fire_all(drive, network.timesteps) if at_once
                             else population.step(drive))
                counts[i] = counts[i] + values[i].astype(np.int64)
        membranes = self._engine.arrays.integers(populations[-1].membranes)
        threshold = network.neurons(len(network.layers) - 1).thresholds[0]
        return self._scaled(counts, currents(network, (counts[-1], membranes)) / threshold)

    def _spiking(self, activity: Activity) -> Values:
        return self._scaled(activity.counts, activity.currents[-1] / self.thresholds[-1])

    def _scaled(self, counts: Values, received: FloatArray) -> Values:
        """Counts, and what the output layer received in thresholds, over T and times λ."""
        return [values * (scale / self.snn.T) for values, scale
                in zip([*counts[:-1], received], self.scales, strict=True)]


def _dashed(shape: tuple[int, ...]) -> str:
    return "-".join(map(str, shape))
