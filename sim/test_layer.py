from dataclasses import replace

import pytest
from common import as_job, random_network

from sc_neurocore.gateware.layer import Layer
from sc_neurocore.spec import AcceleratorSpec


@pytest.mark.parametrize(
    ("n_input", "neurons", "lanes", "timesteps", "membrane_width", "schedule"), [
        (6, 4, 4, 5, None, "pipelined"), (6, 7, 3, 4, None, "pipelined"),
        (1, 3, 1, 3, None, "pipelined"), (13, 5, 2, 1, 8, "pipelined"),
        (8, 5, 5, 4, 8, "pipelined"),
        (6, 4, 4, 3, None, "layer_by_layer"), (6, 7, 3, 4, None, "layer_by_layer")])
def test_commits_are_those_of_the_golden_model(simulate, n_input, neurons, lanes, timesteps,
                                               membrane_width, schedule):
    network = replace(random_network((n_input, neurons, 2), timesteps=timesteps, seed=neurons,
                                     membrane_width=membrane_width), schedule=schedule)
    layer = Layer(network, AcceleratorSpec((lanes, 1)), 0, trace=True)
    simulate(layer, "bench_layer", network=as_job(network), lanes=lanes)
