import numpy as np
import pytest
from common import as_job, random_network

from sc_neurocore.gateware.neuron_array import NeuronArray
from sc_neurocore.network import IntegerLayer, IntegerNetwork


@pytest.mark.parametrize(("neurons", "lanes", "weight_width", "membrane_width"), [
    (3, 3, 8, None), (5, 2, 8, None), (7, 1, 2, None), (6, 4, 16, None), (4, 4, 8, 7), (5, 2, 6,
    6)])
def test_commits_follow_the_equations(simulate, neurons, lanes, weight_width, membrane_width):
    network = random_network((6, neurons, 2), timesteps=7, weight_width=weight_width,
                             membrane_width=membrane_width, seed=neurons)
    simulate(NeuronArray(network.layers[0], network.widths[0], lanes), "bench_neuron_array",
             network=as_job(network), lanes=lanes)


def test_a_membrane_at_the_threshold_fires(simulate):
    """Weights of one, so that membranes meet their thresholds exactly most of the time."""
    layer = IntegerLayer(np.ones((3, 4), int), np.array([0, 1, -1]), np.array([1, 2, 3]),
                         np.array([0, 1, 2]), weight_width=2)
    output = IntegerLayer(np.ones((1, 3), int), np.zeros(1, int), np.ones(1, int), np.zeros(1, int))
    network = IntegerNetwork((layer, output), timesteps=9)
    simulate(NeuronArray(layer, network.widths[0], 3), "bench_neuron_array",
             network=as_job(network), lanes=3)
