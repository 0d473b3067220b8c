import pytest
from common import as_job, random_network

from sc_neurocore.gateware.layer import Layer


@pytest.mark.parametrize(("n_input", "neurons", "lanes", "timesteps", "membrane_width"), [
    (6, 4, 4, 5, None), (6, 7, 3, 4, None), (1, 3, 1, 3, None), (13, 5, 2, 1, 8)])
def test_commits_are_those_of_the_golden_model(simulate, n_input, neurons, lanes, timesteps,
                                               membrane_width):
    network = random_network((n_input, neurons, 2), timesteps=timesteps, seed=neurons,
                             membrane_width=membrane_width)
    layer = Layer(network.layers[0], network.widths[0], timesteps, lanes, is_output=False)
    simulate(layer, "bench_layer", network=as_job(network), lanes=lanes)
