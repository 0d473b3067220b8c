from dataclasses import replace

import numpy as np
import pytest
from common import as_job, random_network

from sc_neurocore.gateware.neuron_array import NeuronArray
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec

CASES = {
    "a lane a neuron": dict(neurons=3, lanes=3),
    "folds": dict(neurons=5, lanes=2),
    "one lane, weights of 2 bits": dict(neurons=7, lanes=1, weight_width=2),
    "weights of 16 bits": dict(neurons=6, lanes=4, weight_width=16),
    "more folds than fit in logic": dict(neurons=20, lanes=1),
    "saturating": dict(neurons=4, lanes=4, membrane_width=7),
    "saturating folds": dict(neurons=5, lanes=2, weight_width=6, membrane_width=6),
    "direct": dict(neurons=4, lanes=4, encoder="direct"),
    "direct in folds": dict(neurons=5, lanes=2, encoder="direct"),
    "layer by layer": dict(neurons=4, lanes=4, schedule="layer_by_layer"),
    "layer by layer in folds": dict(neurons=5, lanes=2, schedule="layer_by_layer"),
    "direct, layer by layer": dict(neurons=5, lanes=3, encoder="direct",
                                   schedule="layer_by_layer"),
    "direct, saturating": dict(neurons=5, lanes=3, encoder="direct", membrane_width=12),
}


@pytest.mark.parametrize("case", CASES)
def test_commits_follow_the_equations(simulate, case):
    options = dict(CASES[case])
    neurons, lanes = options.pop("neurons"), options.pop("lanes")
    how = {key: options.pop(key) for key in ("encoder", "schedule") if key in options}
    network = random_network((6, neurons, 2), timesteps=7, seed=neurons,
                             **{"intensity_width": 4, **options})
    network = replace(network, **how)
    simulate(NeuronArray(network, AcceleratorSpec((lanes, 1)), 0, trace=True), "bench_neuron_array",
             network=as_job(network), lanes=lanes)


def test_a_membrane_at_the_threshold_fires(simulate):
    """Weights of one, so that membranes meet their thresholds exactly most of the time."""
    layer = IntegerLayer(np.ones((3, 4), int), np.array([0, 1, -1]), np.array([1, 2, 3]),
                         np.array([0, 1, 2]), weight_width=2)
    output = IntegerLayer(np.ones((1, 3), int), np.zeros(1, int), np.ones(1, int), np.zeros(1, int))
    network = IntegerNetwork((layer, output), timesteps=9)
    simulate(NeuronArray(network, AcceleratorSpec((3, 1)), 0, trace=True), "bench_neuron_array",
             network=as_job(network), lanes=3)
